"""The report for a pull request, in the Markdown of GitHub and GitLab."""

from collections.abc import Iterable

from pulumi_cf_invoice.billing.cleaning import LONGEST as LONGEST_TEXT, one_line
from pulumi_cf_invoice.report.judging import TITLES, RuleResult
from pulumi_cf_invoice.report.report import InvoiceReport, Report, first_within
from pulumi_cf_invoice.rules.rule import Finding

MARKER = "<!-- pulumi-cf-invoice report -->"
"""The first line, which readers do not see: `comments` finds the comment to update by it."""
END = "<!-- end of report -->"
"""The last line, which readers do not see either: a report without it is cut off."""
LARGEST = 65_400
"""
The most characters in a report: a tag fits into a comment of GitHub's 65,536 characters as well,
and in any script it is less than a job summary's 1 MiB.
"""
_ROWS = 100
_LONGEST = 1000
_SIGNS = {"over": "🔴", "unknown": "🔴", "advisory": "🟡", "within": "🟢", "none": "⚪"}


def render(report: Report) -> str:
    """Return the report as Markdown of at most 65,400 characters, which says what is left out."""
    rows = _ROWS
    text = _render(report, rows)
    while len(text) > LARGEST and rows:
        rows //= 2
        text = _render(report, rows)
    return text


def render_failure(reason: str) -> str:
    """Return what stands in place of a report that cannot be made, for a *reason* of one line."""
    said = f"### {_SIGNS['unknown']} {TITLES['unknown']}: there is no report."
    return "\n\n".join([MARKER, said, escape(reason, _LONGEST), END]) + "\n"


def escape(text: str, longest: int = LONGEST_TEXT) -> str:
    """
    Return *text* that others wrote as Markdown that shows it and does nothing else.

    Inside ``code`` nobody is mentioned and nothing is linked, and as a numeric reference no
    character can end a table cell, a code span or the tag itself.
    """
    safe = "".join(
        character if character.isalnum() or character in " -" else f"&#{ord(character)};"
        for character in one_line(text, longest)
    )
    return f"<code>{safe}</code>"


def _render(report: Report, rows: int) -> str:
    several = len(report.invoices) > 1
    only = None if several else next(iter(report.invoices), None)
    parts = [
        MARKER,
        f"### {_SIGNS[report.verdict]} {report.headline}",
        *(escape(note, _LONGEST) for note in report.notes),
        *(_overview(report, rows) if several else []),
        *(_figures(only) if only else []),
        *_rules(report, rows),
        *(_folded(report, rows) if several else []),
        *(_invoice(only, rows) if only else []),
        _footer(report),
        END,
    ]
    return "\n\n".join(parts) + "\n"


def _figures(one: InvoiceReport) -> list[str]:
    head = ["Upcoming invoice", one.invoice.currency.upper()]
    forecast = [one.forecast_text] if one.forecast_text else []
    return [*forecast, *map(escape, one.notes), _table(head, map(list, one.key_figures))]


def _overview(report: Report, rows: int) -> list[str]:
    # Whatever needs attention comes first, should the rest have to be left out.
    ordered = sorted(
        zip(report.invoices, report.labels, strict=True),
        key=lambda pair: list(_SIGNS).index(pair[0].verdict),
    )
    most = 4 * max(rows, 1)
    shown = [
        [
            f"{_SIGNS[one.verdict]} {escape(label)}",
            one.invoice.amount_due_text,
            one.short_projected_text,
            one.short_change_text,
        ]
        for one, label in ordered[:most]
    ]
    shown += [["Total", text, "", ""] for text in report.total_texts]
    table = _table(["Upcoming invoices", "Amount due", "Projected", "Change"], shown)
    return [table, *_rest(len(ordered), most)]


def _rules(report: Report, rows: int) -> list[str]:
    if not report.rules:
        return []
    # What is violated comes first, should the rest have to be left out.
    rules = sorted(report.rules, key=lambda rule: not rule.violations)
    told = [
        f"- {_sign(rule)} `{rule.name}`: {_said(report, rule, rows)}" for rule in rules[: rows or 1]
    ]
    return ["**Rules**", "\n".join([*told, *_rest(len(rules), rows or 1, "- ")])]


def _sign(rule: RuleResult) -> str:
    if rule.violations:
        return "🔴" if rule.level == "mandatory" else "🟡"
    return "🟢" if rule.verdict == "within" else "⚪"


def _said(report: Report, rule: RuleResult, rows: int) -> str:
    labelled = report.labelled(rule)
    shown = [(label, one) for label, one in labelled if one.violates]
    if not shown:
        shown = [(label, one) for label, one, _ in first_within(labelled)]
    told = [_found(label, finding) for label, finding in shown[:rows]]
    told += [f"… and {len(shown) - rows:,} more"] if len(shown) > rows else []
    return "<br>".join([*told, *(escape(text, _LONGEST) for text in rule.told)])


def _found(label: str, finding: Finding) -> str:
    if finding.amount is None:
        return escape(finding.message, _LONGEST)
    of = f"{escape(label)}: " if label else ""
    line = f"{escape(finding.subject)}: " if finding.of_line else ""
    return f"{of}{line}{finding.text}"


def _folded(report: Report, rows: int) -> list[str]:
    # Where there is not room for all, the table above has each with its verdict.
    shown = report.invoices[: rows or 1]
    return [
        "\n\n".join(
            [
                f"<details><summary>{escape(one.title or label)}, {one.invoice.text}</summary>",
                *_figures(one),
                *_invoice(one, rows, folded=True),
                "</details>",
            ]
        )
        for one, label in zip(shown, report.labels, strict=False)
    ] + _rest(len(report.invoices), rows or 1)


def _invoice(one: InvoiceReport, rows: int, folded: bool = False) -> list[str]:
    return [*_changes(one, rows), *_lines(one, rows, folded)]


def _changes(one: InvoiceReport, rows: int) -> list[str]:
    comparison = one.comparison
    if comparison is None or comparison.problem:
        return []
    if not comparison.changes:
        return ["Nothing moved since the baseline."]
    table = _table(
        ["What moved", "Before", "Now", "Change"],
        [
            [
                escape(change.name),
                change.before_text,
                change.after_text,
                change.text,
            ]
            for change in comparison.changes[:rows]
        ],
    )
    return [table, *_rest(len(comparison.changes), rows)]


def _lines(one: InvoiceReport, rows: int, folded: bool) -> list[str]:
    lines = one.invoice.largest_lines
    further = [[name, escape(value)] for name, value in one.further_figures]
    more = [_table(["Further figures", ""], further), *_forecast(one), *_earlier(one, rows)]
    if not lines:
        return ["The invoice has no lines: nothing was used yet.", *more]
    table = _table(
        ["Line", "Amount", "Credits", "Net"],
        [
            [escape(line.name), line.amount_text, line.credits_text, line.net_text]
            for line in lines[:rows]
        ],
    )
    parts = [table, *_rest(len(lines), rows), *more]
    if folded:
        return parts
    summary = f"<summary>Details: {len(lines):,} line{'s' * (len(lines) != 1)}</summary>"
    return ["\n\n".join([f"<details>{summary}", *parts, "</details>"])]


def _forecast(one: InvoiceReport) -> list[str]:
    account = one.account
    if account is None or account.forecast is None:
        return []
    runway = account.forecast.runway
    told = [*account.forecast.notes, *([runway.text] if runway else [])]
    table = _table(["Forecast", ""], map(list, account.forecast_figures))
    return [table, "\n".join(f"- {escape(note, _LONGEST)}" for note in told)] if told else [table]


def _earlier(one: InvoiceReport, rows: int) -> list[str]:
    invoices = one.account.earlier_invoices if one.account else []
    if not invoices:
        return []
    table = _table(
        ["Earlier invoice", "Amount due", "Remaining", "Status"],
        [
            [
                invoice.created_text,
                invoice.amount_due_text,
                invoice.amount_remaining_text,
                escape(invoice.status or "none"),
            ]
            for invoice in invoices[:rows]
        ],
    )
    return [table, *_rest(len(invoices), rows)]


def _footer(report: Report) -> str:
    titles = [one.title for one in report.invoices]
    of = f"{escape(titles[0])}, as" if len(titles) == 1 and titles[0] else "As"
    return f"<sub>{of} of {report.at:%Y-%m-%d %H:%M} UTC.</sub>"


def _rest(count: int, shown: int, bullet: str = "") -> list[str]:
    left = count - shown
    return [f"{bullet}… and {left:,} more, left out here."] if left > 0 else []


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    rules = [":--", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rules, *rows))
