"""The report before any format: what is due, whether it is within budget, and what moved."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.forecast import Forecast
from pulumi_cf_invoice.report.account import AccountReport
from pulumi_cf_invoice.report.changes import Comparison, compare
from pulumi_cf_invoice.report.found import Found, MissingInvoice
from pulumi_cf_invoice.report.judging import (
    RuleResult,
    Verdict,
    said,
    verdict_of,
    verdict_text,
    violated_rules,
)
from pulumi_cf_invoice.rules.on_forecasts import FORECAST
from pulumi_cf_invoice.rules.on_invoices import (
    AMOUNT_DUE,
    INCOMPLETE,
    PROJECTED_AMOUNT_DUE,
    TOO_EARLY,
)
from pulumi_cf_invoice.rules.rule import Finding
from pulumi_cf_invoice.state import InvoiceState

_OF_WHOLE = (AMOUNT_DUE, PROJECTED_AMOUNT_DUE, FORECAST)


@dataclass(frozen=True)
class Budget:
    """A limit on the whole invoice, by the name of its rule."""

    name: str
    is_mandatory: bool
    limit: Money

    @property
    def text(self) -> str:
        """The rule and its limit, for people."""
        return f"{self.name} {self.limit.text}{'' if self.is_mandatory else ' (advisory)'}"


@dataclass(frozen=True)
class InvoiceReport:
    """
    One invoice of a report, and how the rules judged it. ``at`` is the report's time, in UTC.

    ``names`` say where it was found, as ``project/stack`` or as a user calls it, and ``notes`` what
    a reader has to know of the figures, a sentence each. ``account`` is what else was read of the
    account, if anything was.
    """

    state: InvoiceState
    at: datetime
    rules: Sequence[RuleResult]
    comparison: Comparison | None
    notes: Sequence[str] = ()
    names: Sequence[str] = ()
    account: AccountReport | None = None

    @property
    def invoice(self) -> Invoice:
        """The invoice itself."""
        return self.state.invoice

    @property
    def as_of(self) -> datetime:
        """The time of the figures: when they were read, as far as that is known."""
        return self.state.as_of(self.at)

    @property
    def account_id(self) -> str | None:
        """The account of the invoice, if it is known."""
        return self.state.account_id

    @property
    def title(self) -> str:
        """Where the invoice was found, and its account, as far as known."""
        if not self.names:
            return f"Account {self.account_id}" if self.account_id else ""
        account = [f"account {self.account_id}"] if self.account_id else []
        return ", ".join([*self.names, *account])

    @property
    def verdict(self) -> Verdict:
        """The verdict of the rules on this invoice."""
        return verdict_of(self.rules)

    @property
    def verdict_text(self) -> str:
        """The verdict for people, in few words."""
        return verdict_text(self.verdict, self.rules)

    @property
    def headline(self) -> str:
        """
        The verdict in a sentence, for a reviewer who reads nothing else.

        It has no words that others wrote.
        """
        due = f"the upcoming invoice is {self.invoice.text}"
        if self.verdict == "none":
            return f"{due[0].upper()}{due[1:]}."
        if self.verdict == "within":
            within = (f for rule in self.rules for f in rule.findings if f.status == "within")
            own = (f for f in within if f.account_id in (None, self.account_id))
            limit = next((f.limit for f in own if f.subject == AMOUNT_DUE), None)
            return f"{self.verdict_text}: {due}{f', the limit is {limit.text}' if limit else ''}."
        return f"{self.verdict_text}: {due}{self._first_violation}."

    @property
    def _first_violation(self) -> str:
        violated = violated_rules(self.rules, self.verdict)
        if not violated:
            return "; no rule could be judged"
        rule, first = violated[0], violated[0].violations[0]
        if first.excess and first.account_id in (None, self.account_id):
            of_this = first.amount and first.amount.text == self.invoice.amount_due_text
            if first.subject == AMOUNT_DUE and of_this:
                return f", {first.excess}"
            if first.subject in (PROJECTED_AMOUNT_DUE, FORECAST):
                return f"; the {first.subject} is {first.text}"
        return f"; {said(rule)}"

    @property
    def projected_amount_due(self) -> float | None:
        """
        The projected amount due in minor units; None if lines are missing, if it is too early, or
        if the invoice's period leaves nothing to project.
        """
        invoice = self.invoice
        if not invoice.invoice_lines_complete or invoice.period_problem(self.as_of):
            return None
        return invoice.projected_amount_due(self.as_of)

    @property
    def budgets(self) -> list["Budget"]:
        """The limits on the whole invoice that were judged, the lowest first."""
        found: dict[str, Budget] = {}
        for rule in self.rules:
            for finding in rule.findings:
                of_this = finding.account_id in (None, self.account_id) and not finding.of_line
                if of_this and finding.subject in _OF_WHOLE and finding.limit is not None:
                    budget = Budget(rule.name, rule.level == "mandatory", finding.limit)
                    if finding.limit.currency == self.invoice.currency:
                        found.setdefault(rule.name, budget)
        return sorted(found.values(), key=lambda one: one.limit.amount)

    @property
    def forecast(self) -> Forecast | None:
        """The forecast of the invoice's period, if there is usage or a balance to make it from."""
        forecast = self.account.forecast if self.account else None
        if forecast is None or forecast.period_start != self.invoice.period_start:
            # A preview can be of a later period than the snapshot beside it.
            return None
        return forecast

    @property
    def forecast_text(self) -> str | None:
        """
        The forecast, the lowest mandatory limit and the runway in a line for a reader who has no
        time; None if there is no forecast. It has no words that others wrote.
        """
        forecast = self.forecast
        if forecast is None:
            return None
        told = forecast.text
        limit = next((one.limit for one in self.budgets if one.is_mandatory), None)
        if limit is not None and forecast.amount_due is not None:
            told += f", {self._against(limit, forecast)} the limit of {money.to_rough_text(*limit)}"
        runway = f"; {forecast.runway.short_text}" if forecast.runway else ""
        return f"{told}{runway}."

    def _against(self, limit: Money, forecast: Forecast) -> str:
        # What is due already may be more than what the forecast of a snapshot knew of.
        median = max(forecast.amount_due or 0, self.invoice.amount_due)
        if money.exact(median) > limit.amount:
            return "over"
        highest = forecast.amount_due_p90
        may_be_over = highest is not None and money.exact(highest) > limit.amount
        return "perhaps over" if may_be_over else "within"

    @property
    def projected_text(self) -> str:
        """The projected amount due for people."""
        if not self.invoice.invoice_lines_complete:
            return INCOMPLETE
        problem = self.invoice.period_problem(self.as_of)
        if problem:
            return problem
        projected = self.projected_amount_due
        return TOO_EARLY if projected is None else money.to_text(projected, self.invoice.currency)

    def sum_text(self, name: str) -> str:
        """Return a figure that is summed from the lines (``net``), for people."""
        if not self.invoice.invoice_lines_complete:
            return INCOMPLETE
        return str(getattr(self.invoice, f"{name}_text"))

    @property
    def change_text(self) -> str | None:
        """The change since the baseline for people; None if there is no baseline."""
        if self.comparison is None:
            return None
        if self.comparison.problem:
            return f"not comparable: {self.comparison.problem}"
        return self.comparison.text

    @property
    def short_projected_text(self) -> str:
        """The projected amount due for a column of a table."""
        return self.projected_text if self.invoice.invoice_lines_complete else "not known"

    @property
    def short_change_text(self) -> str:
        """The change since the baseline where there is one to compare with, else empty."""
        if self.comparison is None or self.comparison.problem:
            return ""
        return self.comparison.short_text

    @property
    def key_figures(self) -> list[tuple[str, str]]:
        """The figures that a reviewer asks for, as name and text."""
        rows = [
            ("Amount due", self.invoice.amount_due_text),
            ("Net, before tax", self.sum_text("net")),
            ("Straight-line projection", self.projected_text),
        ]
        if self.change_text is not None:
            rows.append(("Change since the baseline", self.change_text))
        return [*rows, *(self.account.figures if self.account else [])]

    @property
    def further_figures(self) -> list[tuple[str, str]]:
        """The figures that the key figures are made of, and their period, as name and text."""
        invoice = self.invoice
        return [
            ("Credits", self.sum_text("credits")),
            ("Tax and adjustments", self.sum_text("tax_and_adjustments")),
            ("Period", f"{invoice.period_text} (UTC)"),
            ("Status", invoice.status or "none"),
        ]


@dataclass(frozen=True)
class Report:
    """The one result that every format renders: invoices, of one account each, and the rules."""

    at: datetime
    invoices: Sequence[InvoiceReport]
    rules: Sequence[RuleResult]
    missing: Sequence[MissingInvoice] = ()
    """The accounts whose invoice could not be read; there may be no other."""

    @property
    def notes(self) -> list[str]:
        """What a reader has to know of accounts without an invoice, a sentence each."""
        told = []
        for one in self.missing:
            account = AccountReport(one.snapshot, None)
            figures = "; ".join(f"{name}: {text}" for name, text in account.figures)
            of = ", ".join([*one.names, f"account {one.account_id}"])
            told.append(f"{of[0].upper()}{of[1:]} has no upcoming invoice here: {one.error}")
            told += [f"{figures}."] if figures else []
            told += account.notes
        return told

    @property
    def verdict(self) -> Verdict:
        """
        The verdict of all rules.

        ``over`` if a mandatory rule is exceeded, ``unknown`` if one cannot be judged or none was,
        ``advisory`` if only advisory ones are violated, ``within``, or ``none`` without rules.
        """
        return verdict_of(self.rules)

    @property
    def is_known(self) -> bool:
        """Whether every mandatory rule could be judged, and at least one rule was."""
        unknown = any(
            finding.status == "unknown"
            for rule in self.rules
            if rule.level == "mandatory"
            for finding in rule.findings
        )
        return self.verdict != "unknown" and not unknown

    @property
    def headline(self) -> str:
        """The verdict on all invoices in a sentence without words that others wrote."""
        if len(self.invoices) == 1:
            [only] = self.invoices
            told = replace(only, rules=self.rules).headline
            elsewhere = not only.rules and any(rule.of_accounts for rule in self.rules)
            return f"{told[:-1]}; no rule judged this invoice." if elsewhere else told
        if not self.invoices:
            violated = violated_rules(self.rules, self.verdict)
            why = f"; {said(violated[0])}" if violated else ""
            title = verdict_text(self.verdict, self.rules)
            return f"{title}: no upcoming invoice could be read{why}."
        count = len(self.invoices)
        due = f"upcoming invoices, {' and '.join(self.total_texts)} in total"
        if self.verdict == "none":
            return f"{count} {due}."
        if self.verdict == "within":
            return f"{verdict_text(self.verdict, self.rules)}: {count} {due}."
        title = verdict_text(self.verdict, self.rules)
        alike = sum(one.verdict == self.verdict for one in self.invoices)
        if alike:
            return f"{title}: {alike} of {count} {due}."
        violated = violated_rules(self.rules, self.verdict)
        why = said(violated[0]) if violated else "no rule could be judged"
        return f"{title}: {count} {due}; {why}."

    @property
    def totals(self) -> list[tuple[float, str]]:
        """The sum of the amounts due in each currency, in its minor units, by currency."""
        due = ((one.invoice.amount_due, one.invoice.currency) for one in self.invoices)
        return [(money.number(money.exact(amount)), code) for amount, code in money.totals(due)]

    @property
    def total_texts(self) -> list[str]:
        """The total in each currency for people."""
        return [money.to_text(amount, currency) for amount, currency in self.totals]

    @property
    def labels(self) -> list[str]:
        """What tells each invoice from the others: its names, with its account where needed."""
        names = [", ".join(one.names) for one in self.invoices]
        return [
            name if name and names.count(name) == 1 else one.title or "An unknown account"
            for name, one in zip(names, self.invoices, strict=True)
        ]

    def labelled(self, rule: RuleResult) -> list[tuple[str, Finding]]:
        """
        Return the findings of *rule*, each with the label of what it was found on.

        The label is empty for the invoice of a report that has only one.
        """
        labels = self.labels if len(self.invoices) != 1 else [""]
        of_accounts = {
            one.account_id: label for one, label in zip(self.invoices, labels, strict=True) if label
        }
        return [
            *(
                (label, one)
                for label, found in zip(labels, rule.of_invoices, strict=bool(rule.of_invoices))
                for one in found
            ),
            *(
                (of_accounts.get(one.account_id, f"account {one.account_id}"), one)
                for one in rule.of_accounts
            ),
        ]


def sentences(report: Report, rule: RuleResult, most: int) -> list[str]:
    """
    Return what a reader has to know of *rule*, a sentence each, with *most* violations.

    Where nothing violates it, that is the figure that comes first of each invoice.
    """
    labelled = report.labelled(rule)
    violations = [
        # A rule that reads by itself names the account.
        f"{label}: {one.message}" if label and one.account_id is None else one.message
        for label, one in labelled
        if one.violates
    ]
    said = violations[:most]
    if len(violations) > most:
        said.append(f"… and {len(violations) - most:,} more")
    if not violations:
        said += [_within(*first) for first in first_within(labelled)]
    # Every violation says what has to be known of its rule.
    return said + [one for one in rule.told if not (violations and one in rule.notices)]


def first_within(labelled: Sequence[tuple[str, Finding]]) -> list[tuple[str, Finding, int]]:
    """
    Return the first finding of each label that is within its limit, and how many more are.

    The largest of the lines comes first.
    """
    within: dict[str, list[Finding]] = {}
    for label, one in labelled:
        if one.status == "within":
            within.setdefault(label, []).append(one)
    return [(label, found[0], len(found) - 1) for label, found in within.items()]


def _within(label: str, finding: Finding, more: int) -> str:
    # What is no amount is told in a sentence, which names the account that a rule read by itself.
    is_named = finding.amount is None and finding.account_id is not None
    of = f"{label}: " if label and not is_named else ""
    line = f"{finding.subject}: " if finding.of_line else ""
    return f"{of}{line}{finding.text}{f'; {more:,} more within' if more else ''}"


def make_report(
    found: Sequence[Found],
    *,
    at: datetime,
    rules: Sequence[RuleResult] = (),
    missing: Sequence[MissingInvoice] = (),
) -> Report:
    """
    Make the report on the invoices that were *found* as of *at*, with the results of *rules*.

    Raises ValueError if *at* has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a report needs a time zone")
    at = at.astimezone(UTC)
    return Report(
        at,
        [_invoice_report(number, one, at, rules) for number, one in enumerate(found)],
        rules,
        missing,
    )


def _invoice_report(
    number: int, found: Found, at: datetime, rules: Sequence[RuleResult]
) -> InvoiceReport:
    state = found.state
    account = None
    if found.snapshot is not None:
        account = AccountReport(found.snapshot, state.invoice.currency)
    on_it = [rule.on(number, state.account_id) for rule in rules]
    return InvoiceReport(
        state=state,
        at=at,
        rules=[rule for rule in on_it if rule.of_invoices or rule.of_accounts],
        comparison=None
        if found.baseline is None
        else compare(found.baseline, state.invoice, found.baseline_problem),
        notes=[
            *found.notes,
            *([state.origin] if state.origin else []),
            *state.invoice.period_notes(state.as_of(at)),
            *(account.notes if account else []),
        ],
        names=found.names,
        account=account,
    )
