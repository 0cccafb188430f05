"""The report before any format: what is due, whether it is within budget, and what moved."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.limits import Limit
from pulumi_cf_invoice.rules import (
    AMOUNT_DUE,
    INCOMPLETE,
    TOO_EARLY,
    Finding,
    LimitRule,
    MaxAmountDue,
    MaxLineAmount,
    MaxProjectedAmountDue,
)
from pulumi_cf_invoice.state import InvoiceState

Verdict = Literal["within", "over", "none"]
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
class Report:
    """The one result that every format renders. ``at`` is the time it speaks of, in UTC."""

    invoice: Invoice
    account_id: str | None
    at: datetime
    findings: Sequence[Finding]
    comparison: Comparison | None

    @property
    def verdict(self) -> Verdict:
        """
        ``over`` if any budget is exceeded, ``none`` if no budget could be held against anything.
        """
        if any(finding.excess for finding in self.findings):
            return "over"
        told = any(finding.amount is not None for finding in self.findings)
        return "within" if told else "none"

    @property
    def headline(self) -> str:
        """The verdict in a sentence, for a reviewer who reads nothing else."""
        due = f"the upcoming invoice is {self.invoice.text}"
        first = next((finding for finding in self.findings if finding.excess), None)
        if first is not None and first.subject == AMOUNT_DUE:
            return f"Over budget: {due}, {first.excess}."
        if first is not None:
            return f"Over budget: {due}; {first.subject} {first.text}."
        if self.verdict == "within":
            limit = next((f.limit for f in self.findings if f.subject == AMOUNT_DUE), None)
            return f"Within budget: {due}{f', the limit is {limit.text}' if limit else ''}."
        return f"{due[0].upper()}{due[1:]}."

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
        rows += [
            (f"Budget for the {finding.subject}", finding.text)
            for finding in self.findings
            if not finding.of_line
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


def budget_rules(
    amount_due: Money | None = None,
    projected_amount_due: Money | None = None,
    lines: Mapping[str, Money] | None = None,
) -> list[LimitRule]:
    """Return the rules for budgets of the amount due, of its projection and of lines by glob."""
    made: list[LimitRule] = []
    if amount_due:
        made.append(MaxAmountDue(Limit(amount_due, {})))
    if projected_amount_due:
        made.append(MaxProjectedAmountDue(Limit(projected_amount_due, {})))
    if lines:
        made.append(MaxLineAmount({glob: Limit(limit, {}) for glob, limit in lines.items()}))
    return made


def make_report(
    invoice: Invoice,
    *,
    account_id: str | None = None,
    at: datetime,
    rules: Sequence[LimitRule] = (),
    baseline: Invoice | None = None,
    baseline_account_id: str | None = None,
) -> Report:
    """
    Evaluate *rules* against *invoice* as of *at*, and compare it with *baseline*.

    Accounts are 32 hex digits, if known; the invoices of two different ones are not compared.
    Raises ValueError if *at* has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a report needs a time zone")
    state = InvoiceState(account_id, invoice)
    return Report(
        invoice=invoice,
        account_id=account_id,
        at=at.astimezone(timezone.utc),
        findings=[finding for rule in rules for finding in rule.evaluate(state, at)],
        comparison=None
        if baseline is None
        else compare(baseline, invoice, _other_account(account_id, baseline_account_id)),
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
    amounts: dict[str, list[float]] = defaultdict(list)
    for line in invoice.invoice_lines:
        amounts[line.name].append(line.net)
    # So that the changes add up to the change of the amount due.
    if invoice.tax_and_adjustments:
        amounts[_TAX].append(invoice.tax_and_adjustments)
    return {name: money.number(money.total(of_name)) for name, of_name in amounts.items()}
