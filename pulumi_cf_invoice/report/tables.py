"""
The tables of a report: title, columns and cells, which the formats render.

What others wrote in a cell is marked (`named`), and cut in the middle if it is long.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import cut_in_the_middle, named, one_line
from pulumi_cf_invoice.billing.invoice import Invoice, InvoiceLine
from pulumi_cf_invoice.forecast import Forecast
from pulumi_cf_invoice.report.account import days_of, forecast_figures
from pulumi_cf_invoice.report.caveats import first
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.judging import RuleResult, worst_first
from pulumi_cf_invoice.report.months import Month
from pulumi_cf_invoice.report.report import LONGEST_LABEL, Report
from pulumi_cf_invoice.rules.rule import Finding, Status, without_account

_LONGEST_RULE = 40
_LONGEST_TEXT = 1000


@dataclass(frozen=True)
class Column:
    """
    A column of amounts, or of text (``is_text``), by its title.

    One that ``is_wide`` is left out where a screen is narrow.
    """

    title: str
    is_text: bool = False
    is_wide: bool = False


@dataclass(frozen=True)
class Table:
    """
    A table: rows of cells under columns; the last ``sums`` rows are sums of those above.

    ``left_out`` says what is not shown, and ``note`` is a note on the table.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    sums: int = 0
    left_out: str = ""
    note: str = ""


@dataclass(frozen=True)
class JudgedRow:
    """
    A rule as a reader sees it: how it was judged, its name, and a sentence for each finding.

    One that ``may_not_last`` is within its limit so far, and perhaps not for long. What it says of
    accounts that it ``passed_over``, and ``on_itself``, appears wherever the row does not.
    """

    verdict: Status
    is_mandatory: bool
    name: str
    sentences: Sequence[str]
    may_not_last: bool = False
    passed_over: Sequence[str] = ()
    on_itself: Sequence[str] = ()

    @property
    def word(self) -> str:
        """The verdict as a reader sees it, which says where it may not last."""
        return f"{self.verdict} so far" if self.may_not_last else self.verdict

    @property
    def tone(self) -> str:
        """What the row looks like: ``over``, ``unknown``, ``advisory``, ``within`` or ``none``."""
        if self.may_not_last:
            return "advisory"
        if self.verdict in ("over", "failed", "unknown") and not self.is_mandatory:
            return "advisory"
        tones = {"failed": "over", "noted": "none"}
        return tones.get(self.verdict, self.verdict)


def name_cell(text: str, longest: int = LONGEST_LABEL) -> str:
    """Return a name that others wrote as a cell."""
    return named(cut_in_the_middle(one_line(text, _LONGEST_TEXT), longest))


def judged(report: Report, most: int) -> list[JudgedRow]:
    """
    Return the rules, violated mandatory ones first, with at most *most* sentences on each.

    With several invoices, those that pass share a row, and those that may not for long another.
    """
    rules = worst_first(report.rules)
    rows = [
        _judged_row(report, rule, most)
        for rule in rules
        if len(report.invoices) < 2 or rule.violations or rule.noted
    ]
    passing = [rule for rule in rules if not (rule.violations or rule.noted)]
    if len(report.invoices) < 2:
        return rows
    in_doubt = [rule for rule in passing if _doubt(report, rule)]
    lasting = [rule for rule in passing if rule not in in_doubt]
    return rows + [
        _folded(folded, may_not_last=folded is in_doubt) for folded in (in_doubt, lasting) if folded
    ]


def _folded(rules: Sequence[RuleResult], *, may_not_last: bool) -> JudgedRow:
    """Return the one row of *rules* that pass."""
    names = ", ".join(map(_rule_name, rules))
    return JudgedRow("within", True, f"{len(rules)} more", [names], may_not_last)


def _doubt(report: Report, rule: RuleResult) -> str:
    """Return why *rule* may not be passed for long, of the first invoice; empty if it may."""
    judged = report.invoices if rule.verdict == "within" else []
    return next(filter(None, (invoice.doubt(rule) for invoice in judged)), "")


def _judged_row(report: Report, rule: RuleResult, most: int) -> JudgedRow:
    doubt = _doubt(report, rule)
    sentences = _sentences(report, rule, most)
    if doubt and len(report.invoices) == 1:
        sentences = [f"{sentences[0].rstrip('.')}; {doubt}", *sentences[1:]]
    return JudgedRow(
        rule.verdict,
        rule.is_mandatory,
        _rule_name(rule),
        sentences,
        may_not_last=bool(doubt),
        passed_over=rule.passed_over,
        on_itself=rule.on_itself,
    )


def _rule_name(rule: RuleResult) -> str:
    level = "" if rule.is_mandatory else f" ({rule.level})"
    return f"{cut_in_the_middle(rule.name, _LONGEST_RULE)}{level}"


def _sentences(report: Report, rule: RuleResult, most: int) -> list[str]:
    labelled = report.labelled(rule)
    only = report.invoices[0].account_id if len(report.invoices) == 1 else None
    violations = [(label, finding) for label, finding in labelled if finding.violates]
    sentences = [_found(label, finding, only) for label, finding in violations[:most]]
    if len(violations) > most:
        sentences.append(f"… and {len(violations) - most:,} more")
    if not violations:
        sentences += first(
            [
                f"{told.rstrip('.')}; {more:,} more within" if more else told
                for told, more in _first_within(labelled, only)
            ],
            most,
        )
    notes = _notes(report, rule, only, most)
    # A violation says itself which waiver is in force.
    return sentences + [note for note in notes if not any(note in told for told in sentences)]


def _notes(report: Report, rule: RuleResult, only: str | None, most: int) -> list[str]:
    """Return the notes on *rule* itself, and at most *most* of those on its accounts and lines."""
    known = {caveat.text for invoice in report.invoices for caveat in invoice.caveats}
    notes = [note for note in dict.fromkeys(rule.marked_notes) if note not in known]
    on_rule = {*rule.notices, *rule.marked_origins}
    told = [note for note in notes if note in on_rule]
    told += first([note for note in notes if note not in on_rule], most)
    return [without_account(note, only) for note in told] if only else told


def _found(label: str, finding: Finding, only: str | None) -> str:
    line = f"{name_cell(finding.subject)}: " if finding.of_line else ""
    if finding.amount is None or finding.limit is None:
        message = without_account(finding.marked, only) if only else finding.marked
        # A sentence names the account that a rule read itself.
        prefix = f"{label}: " if label and finding.account_id is None else ""
        return f"{prefix}{message}"
    return f"{f'{label}: ' if label else ''}{line}{finding.text}"


def _first_within(
    labelled: Sequence[tuple[str, Finding]], only: str | None
) -> list[tuple[str, int]]:
    """Return what the first finding of each label within says, and how many more are."""
    within: dict[str, list[Finding]] = {}
    for label, finding in labelled:
        if finding.status == "within":
            within.setdefault(label, []).append(finding)
    return [(_found(label, found[0], only), len(found) - 1) for label, found in within.items()]


def lines(invoice: Invoice, most: int) -> Table | None:
    """
    Return the lines as on an invoice, down to the amount due: the *most* largest, and the others.

    None if there are no lines.
    """
    every = invoice.largest_lines
    if not every:
        return None
    shown, others = every[:most], every[most:]
    has_credits = any(line.credits for line in every)
    columns = [Column("Line", is_text=True)]
    columns += [Column("Amount", is_wide=True), Column("Credits", is_wide=True)] * has_credits
    columns.append(Column("Net" if has_credits else "Amount"))

    def row(name: str, lines: Sequence[InvoiceLine]) -> list[str]:
        gross = money.total(line.amount for line in lines)
        credits = money.total([], less=(line.credits for line in lines))
        net = money.total(line.net for line in lines)
        amounts = [gross, credits, net] if has_credits else [net]
        return [name, *(money.to_text(amount, invoice.currency) for amount in amounts)]

    rows = [row(_line_cell(line), [line]) for line in shown]
    if others:
        rows.append(row(f"{len(others):,} other line{'s' * (len(others) > 1)}", others))
    blank = [""] * (len(columns) - 2)
    due = ["Amount due", *blank, invoice.amount_due_text]
    if not invoice.invoice_lines_complete:
        part = "The API gave only a part of the lines, which do not add up to the amount due."
        return Table("Lines", columns, [*rows, due], sums=1, note=part)
    tax = ["Tax and adjustments", *blank, invoice.tax_and_adjustments_text]
    sums = [row("Net, before tax", every), tax, due]
    return Table("Lines", columns, [*rows, *sums], sums=len(sums))


def _line_cell(line: InvoiceLine) -> str:
    return name_cell(one_line(line.description or "", _LONGEST_TEXT) or line.name)


def moved(report: InvoiceReport, most: int) -> Table | None:
    """Return what changed since the baseline, the *most* largest changes; None if nothing did."""
    comparison = report.comparison
    if comparison is None or not comparison.changes:
        return None
    columns = [
        Column("Line", is_text=True),
        Column("Before", is_wide=True),
        Column("Now", is_wide=True),
        Column("Change"),
    ]
    rows = [
        [name_cell(change.name), change.before_text, change.after_text, change.text]
        for change in comparison.changes[:most]
    ]
    others = comparison.changes[most:]
    if others:
        rest = money.total(change.amount for change in others)
        text = money.difference_text(rest, report.invoice.currency)
        sign = "+" if rest >= 1 else ""
        count = f"{len(others):,} other line{'s' * (len(others) > 1)}"
        rows.append([count, "", "", f"{sign}{text}"])
    due = [
        "Amount due",
        comparison.baseline.amount_due_text,
        report.invoice.amount_due_text,
        comparison.short_text,
    ]
    return Table("What moved since the baseline", columns, [*rows, due], sums=1)


def figures(report: InvoiceReport) -> Table:
    """Return what is not in the sum of the lines."""
    return _pairs("Figures", report.figures)


def forecast(report: InvoiceReport) -> Table | None:
    """
    Return how the forecast is made and how wrong it has been, and its notes; None without one.
    """
    made = report.forecast
    if made is None:
        return None
    notes = [*made.notes, *([made.runway.text] if made.runway else [])]
    rows = [*forecast_figures(made)]
    rows += [("Notes" if not number else "", note) for number, note in enumerate(notes)]
    return _pairs("Forecast", rows)


def forecast_days(made: Forecast | None) -> Table | None:
    """Return the days of a forecast; None if there are none."""
    days = days_of(made) if made else []
    if not days:
        return None
    columns = [
        Column("Day", is_text=True),
        Column("Spent"),
        Column("Due"),
        Column("10th percentile", is_wide=True),
        Column("90th percentile", is_wide=True),
    ]
    rows = [[day.date, day.spent, day.due, day.p10, day.p90] for day in days]
    note = "UTC days. Spent is after credits; due is the amount due at the end of the day."
    return Table("Day by day", columns, rows, note=note)


def months(report: InvoiceReport) -> Table | None:
    """Return what the previous months came to, oldest first, and the forecast last."""
    known = report.months.known if report.months else []
    if not known:
        return None
    columns = [Column("Month", is_text=True), Column("Amount"), Column("Known by", is_text=True)]
    rows = [
        [
            month.name,
            money.to_text(month.amount, month.currency),
            _known_by(month),
        ]
        for month in known
    ]
    expected, how = report.expected
    if expected is not None:
        text = money.to_text(expected, report.invoice.currency)
        has_ended = report.forecast is not None and report.forecast.has_ended
        known_by = "its upcoming invoice" if has_ended else "forecast"
        rows.append([report.period_name, text, how or known_by])
    return Table("Months", columns, rows)


def _known_by(month: Month) -> str:
    if month.invoice is None:
        return "usage, covered by credits" if month.is_covered else "usage"
    status = f", {named(month.invoice.status)}" if month.invoice.status else ""
    return f"its usage invoice{status}"


def other_invoices(report: InvoiceReport, most: int) -> Table | None:
    """Return credit purchases, and the earlier invoices that cannot be distinguished from them."""
    rows = report.months.others if report.months else []
    if not rows:
        return None
    columns = [
        Column("Made", is_text=True),
        Column("Amount due"),
        Column("Remaining", is_wide=True),
        Column("Status", is_text=True),
    ]
    cells = [
        [
            row.created_text,
            row.amount_due_text,
            row.amount_remaining_text,
            name_cell(row.status) if row.status else "none",
        ]
        for row in rows[:most]
    ]
    left = len(rows) - most
    return Table(
        "Purchases of credits, and other invoices",
        columns,
        cells,
        left_out=f"… and {left:,} more" if left > 0 else "",
        note="The API does not say what an invoice is for: some of these may be for a month.",
    )


def _pairs(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    columns = [Column("", is_text=True), Column("", is_text=True)]
    return Table(title, columns, [list(row) for row in rows])
