"""The report before any format: what is due, whether it is within budget, and what moved."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Literal

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.gates import DISABLED, AccountReader, Gate
from pulumi_cf_invoice.rules import (
    AMOUNT_DUE,
    INCOMPLETE,
    PROJECTED_AMOUNT_DUE,
    TOO_EARLY,
    Finding,
    RequireInvoicePreview,
)
from pulumi_cf_invoice.rules_file import DeclaredRule, Level
from pulumi_cf_invoice.state import InvoiceState

Verdict = Literal["over", "unknown", "advisory", "within", "none"]
RuleVerdict = Literal["over", "unknown", "within", "told"]
TITLES: dict[Verdict, str] = {
    "over": "Over budget",
    "unknown": "Could not tell",
    "advisory": "Over an advisory limit",
    "within": "Within budget",
    "none": "Upcoming invoice",
}
"""The verdicts for people."""
_TAX = "(tax and adjustments)"


@dataclass(frozen=True)
class Change:
    """
    The net amount of a line before and now, in minor units; None where there was or is no such
    line.

    Lines of one name count together, and tax and adjustments count as a line.
    """

    name: str
    before: float | None
    after: float | None
    currency: str

    @property
    def amount(self) -> float:
        """The difference, in minor units."""
        return money.number(money.total([self.after or 0], less=[self.before or 0]))

    @property
    def before_text(self) -> str:
        """The amount before, for people."""
        return "new" if self.before is None else money.to_text(self.before, self.currency)

    @property
    def after_text(self) -> str:
        """The amount now, for people."""
        return "gone" if self.after is None else money.to_text(self.after, self.currency)

    @property
    def text(self) -> str:
        """The difference for people, with its sign."""
        return _signed(self.amount, self.currency)


@dataclass(frozen=True)
class Comparison:
    """What moved since a baseline; ``problem`` says why they cannot be compared, if so."""

    baseline: Invoice
    problem: str | None
    amount_due: float
    """The change of the amount due, in minor units."""
    changes: Sequence[Change]
    """The lines that moved, the largest change first."""


@dataclass(frozen=True)
class RuleResult:
    """A rule by its name and kind, how it was judged, and what has to be known of the rule."""

    name: str
    kind: str
    level: Level
    findings: Sequence[Finding] = ()
    notices: Sequence[str] = ()

    @property
    def verdict(self) -> RuleVerdict:
        """
        ``over`` or ``unknown``, which both violate the rule, ``within`` it, or ``told`` if nothing
        was judged.
        """
        statuses = {finding.status for finding in self.findings}
        order: tuple[RuleVerdict, ...] = ("over", "unknown", "within")
        return next((status for status in order if status in statuses), "told")

    @property
    def violations(self) -> list[Finding]:
        """The findings that violate the rule."""
        return [finding for finding in self.findings if finding.violates]

    @property
    def told(self) -> list[str]:
        """What is no violation but has to be known, a sentence each."""
        return [*self.notices, *(one.message for one in self.findings if one.status == "told")]


@dataclass(frozen=True)
class Report:
    """The one result that every format renders. ``at`` is the time it speaks of, in UTC."""

    state: InvoiceState
    at: datetime
    rules: Sequence[RuleResult]
    comparison: Comparison | None
    notes: Sequence[str] = ()
    """What a reader has to know of the figures, a sentence each."""

    @property
    def invoice(self) -> Invoice:
        """The invoice that the report is of."""
        return self.state.invoice

    @property
    def account_id(self) -> str | None:
        """The account of the invoice, if it is known."""
        return self.state.account_id

    @property
    def verdict(self) -> Verdict:
        """
        The verdict of all rules.

        ``over`` if a mandatory rule is exceeded, ``unknown`` if one cannot be judged or none was,
        ``advisory`` if only advisory ones are violated, ``within``, or ``none`` without rules.
        """
        mandatory = {rule.verdict for rule in self.rules if rule.level == "mandatory"}
        if "over" in mandatory:
            return "over"
        if "unknown" in mandatory:
            return "unknown"
        if any(rule.violations for rule in self.rules):
            return "advisory"
        if any(rule.verdict == "within" for rule in self.rules):
            return "within"
        return "unknown" if self.rules else "none"

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
        """
        The verdict in a sentence, for a reviewer who reads nothing else.

        It has no words that others wrote.
        """
        due = f"the upcoming invoice is {self.invoice.text}"
        if self.verdict == "none":
            return f"{due[0].upper()}{due[1:]}."
        if self.verdict == "within":
            within = (f for rule in self.rules for f in rule.findings if f.status == "within")
            limit = next((f.limit for f in within if f.subject == AMOUNT_DUE), None)
            return f"{TITLES['within']}: {due}{f', the limit is {limit.text}' if limit else ''}."
        return f"{TITLES[self.verdict]}: {due}{self._first_violation}."

    @property
    def _first_violation(self) -> str:
        levels = ("advisory",) if self.verdict == "advisory" else ("mandatory",)
        violated = [rule for rule in self.rules if rule.level in levels and rule.violations]
        # What is over comes before what cannot be told.
        violated.sort(key=lambda rule: rule.verdict != "over")
        if not violated:
            return "; no rule could be judged"
        rule, first = violated[0], violated[0].violations[0]
        if (
            first.subject == AMOUNT_DUE
            and first.excess
            and first.account_id in (None, self.account_id)
        ):
            return f", {first.excess}"
        if first.subject == PROJECTED_AMOUNT_DUE and first.excess:
            return f"; the {first.subject} is {first.text}"
        said = "is violated" if rule.verdict == "over" else "could not be judged"
        return f"; the rule {rule.name} {said}"

    @property
    def projected_amount_due(self) -> float | None:
        """
        The projected amount due in minor units; None if it is too early, or lines are missing.
        """
        if not self.invoice.invoice_lines_complete:
            return None
        return self.invoice.projected_amount_due(self.at)

    @property
    def projected_text(self) -> str:
        """The projected amount due for people."""
        if not self.invoice.invoice_lines_complete:
            return INCOMPLETE
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
        before = self.comparison.baseline.amount_due
        percent = f" ({100 * self.comparison.amount_due / before:+.1f} %)" if before > 0 else ""
        return _signed(self.comparison.amount_due, self.invoice.currency) + percent

    @property
    def key_figures(self) -> list[tuple[str, str]]:
        """The figures that a reviewer asks for, as name and text."""
        rows = [
            ("Amount due", self.invoice.amount_due_text),
            ("Net, before tax", self.sum_text("net")),
            ("Projected amount due", self.projected_text),
        ]
        if self.change_text is not None:
            rows.append(("Change since the baseline", self.change_text))
        return rows

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


def sentences(rule: RuleResult, most: int) -> list[str]:
    """
    Return what a reader has to know of *rule*, a sentence each, with *most* violations.

    Where nothing violates it, that is the figure that comes first.
    """
    told = [one.message for one in rule.violations[:most]]
    left = len(rule.violations) - most
    if left > 0:
        told.append(f"… and {left:,} more")
    within = [one for one in rule.findings if one.status == "within"]
    if within and not told:
        told.append(_within(within))
    # Every violation says what has to be known of its rule.
    return told + [one for one in rule.told if not (rule.violations and one in rule.notices)]


def _within(findings: Sequence[Finding]) -> str:
    # The largest of the lines comes first.
    first = findings[0]
    account = f"account {first.account_id}: " if first.account_id else ""
    line = f"{first.subject}: " if first.of_line else ""
    more = f"; {len(findings) - 1:,} more within" if len(findings) > 1 else ""
    return f"{account}{line}{first.text}{more}"


def judge(
    rules: Sequence[DeclaredRule], state: InvoiceState, at: datetime, reader: AccountReader
) -> list[RuleResult]:
    """
    Judge *rules* on *state*, or on the accounts that they read by themselves, at the time *at*.

    Raises `RuleError` if a rule is not complete, before anything is read.
    """
    gates = [None if rule.level == "disabled" else Gate.of(rule) for rule in rules]
    return [_result(rule, gate, state, at, reader) for rule, gate in zip(rules, gates, strict=True)]


def _result(
    rule: DeclaredRule, gate: Gate | None, state: InvoiceState, at: datetime, reader: AccountReader
) -> RuleResult:
    result = RuleResult(rule.name, rule.kind.name, rule.level or "mandatory")
    if gate is None:
        return replace(result, notices=[DISABLED])
    if isinstance(gate.rule, RequireInvoicePreview):
        return replace(result, notices=["It is judged at deployments only."])
    findings = gate.judge_accounts(reader, at) if gate.reads_accounts else gate.judge(state, at)
    return replace(result, findings=findings, notices=gate.notices(at))


def make_report(
    state: InvoiceState,
    *,
    at: datetime,
    rules: Sequence[RuleResult] = (),
    notes: Sequence[str] = (),
    baseline: Invoice | None = None,
    baseline_account_id: str | None = None,
) -> Report:
    """
    Make the report on *state* as of *at*, with the results of *rules*, compared with *baseline*.

    *notes* are what a reader has to know of the figures besides where they came from. The invoices
    of two accounts that are known and differ are not compared. Raises ValueError if
    *at* has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a report needs a time zone")
    return Report(
        state=state,
        at=at.astimezone(timezone.utc),
        rules=rules,
        notes=[*notes, *([state.origin] if state.origin else [])],
        comparison=None
        if baseline is None
        else compare(
            baseline, state.invoice, _other_account(state.account_id, baseline_account_id)
        ),
    )


def compare(baseline: Invoice, invoice: Invoice, problem: str | None = None) -> Comparison:
    """Return what moved from *baseline* to *invoice*, unless a *problem* forbids comparing them."""
    problem = problem or _incomparable(baseline, invoice)
    if problem:
        return Comparison(baseline, problem, 0, [])
    before, after = _amounts_by_name(baseline), _amounts_by_name(invoice)
    changes = [
        Change(name, before.get(name), after.get(name), invoice.currency)
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]
    changes.sort(key=lambda change: (-abs(change.amount), change.name))
    change = money.total([invoice.amount_due], less=[baseline.amount_due])
    return Comparison(baseline, None, money.number(change), changes)


def _signed(amount: float, currency: str) -> str:
    return f"{'+' if amount > 0 else ''}{money.to_text(amount, currency)}"


def _other_account(account_id: str | None, of_baseline: str | None) -> str | None:
    if None in (account_id, of_baseline) or account_id == of_baseline:
        return None
    return f"the baseline is of another account, {of_baseline}"


def _incomparable(baseline: Invoice, invoice: Invoice) -> str | None:
    if baseline.currency != invoice.currency:
        return f"the baseline is in {baseline.currency.upper()}"
    if not (baseline.invoice_lines_complete and invoice.invoice_lines_complete):
        return "the API gave only a part of the lines"
    if baseline.period_start != invoice.period_start:
        return f"the baseline is of another billing period, {baseline.period_text}"
    return None


def _amounts_by_name(invoice: Invoice) -> dict[str, float]:
    amounts = {
        name: money.number(money.total(line.net for line in lines))
        for name, lines in invoice.lines_by_name.items()
    }
    # So that the changes add up to the change of the amount due.
    if invoice.tax_and_adjustments:
        amounts[_TAX] = money.number(
            money.total([invoice.tax_and_adjustments, amounts.get(_TAX, 0)])
        )
    return amounts
