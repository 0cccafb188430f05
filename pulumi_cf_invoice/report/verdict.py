"""The report as a result, before any format: what is due, is it within budget, what moved."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from pulumi_cf_invoice import money
from pulumi_cf_invoice.invoice import Invoice, InvoiceLine
from pulumi_cf_invoice.limits import longest_match, over
from pulumi_cf_invoice.money import Money

Verdict = Literal["within", "over", "none"]
TOO_EARLY = "too early to tell"
_TAX = "(tax and adjustments)"


@dataclass(frozen=True)
class Budgets:
    """What may be spent: on the invoice, on its projection, and on lines by glob."""

    amount_due: Money | None = None
    projected_amount_due: Money | None = None
    lines: Mapping[str, Money] | None = None


@dataclass(frozen=True)
class Judgement:
    """One budget, and what was held against it."""

    subject: str
    """``amount due``, ``projected amount due``, or a line's name."""
    amount: int | None
    """In minor units of ``currency``; none where it is too early for a projection."""
    currency: str
    limit: Money
    excess: str | None
    """By how much it is over, in words; none within the budget."""
    of_line: bool = False

    @property
    def text(self) -> str:
        """The judgement for people."""
        if self.amount is None:
            return f"{TOO_EARLY} (limit {self.limit.text})"
        amount = money.to_text(self.amount, self.currency)
        return f"{amount}, {self.excess or f'within the limit of {self.limit.text}'}"


@dataclass(frozen=True)
class Change:
    """
    What a line's net amount was and is, in minor units; none where there was or is no such line.

    Lines of one name count together, and tax and adjustments as a line.
    """

    name: str
    before: int | None
    after: int | None
    currency: str

    @property
    def amount(self) -> int:
        """The difference, in minor units."""
        return (self.after or 0) - (self.before or 0)

    @property
    def before_text(self) -> str:
        """What it was, for people."""
        return "new" if self.before is None else money.to_text(self.before, self.currency)

    @property
    def after_text(self) -> str:
        """What it is, for people."""
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
    amount_due: int
    """The change of the amount due, in minor units."""
    changes: Sequence[Change]
    """The lines that moved, the largest change first."""


@dataclass(frozen=True)
class Report:
    """The one result that every format renders. ``at`` is the time that it speaks of, in UTC."""

    invoice: Invoice
    account_id: str | None
    at: datetime
    judgements: Sequence[Judgement]
    comparison: Comparison | None

    @property
    def verdict(self) -> Verdict:
        """``over`` when any budget is, ``none`` when no budget could be held against anything."""
        if any(judgement.excess for judgement in self.judgements):
            return "over"
        told = any(judgement.amount is not None for judgement in self.judgements)
        return "within" if told else "none"

    @property
    def headline(self) -> str:
        """The verdict in a sentence, for a reviewer who reads nothing else."""
        due = f"the upcoming invoice is {self.invoice.text}"
        excesses = [judgement for judgement in self.judgements if judgement.excess]
        if excesses:
            first = excesses[0]
            if first.subject == "amount due":
                return f"Over budget: {due}, {first.excess}."
            return f"Over budget: {due}; {first.subject} {first.text}."
        if self.verdict == "within":
            limit = next((j.limit.text for j in self.judgements if j.subject == "amount due"), None)
            return f"Within budget: {due}{f', the limit is {limit}' if limit else ''}."
        return f"{due[0].upper()}{due[1:]}."

    @property
    def projected_text(self) -> str:
        """The projected amount due for people."""
        projected = self.invoice.projected_amount_due(self.at)
        return TOO_EARLY if projected is None else money.to_text(projected, self.invoice.currency)

    @property
    def change_text(self) -> str | None:
        """The change since the baseline for people; none where there is no baseline."""
        if self.comparison is None:
            return None
        if self.comparison.problem:
            return f"not comparable: {self.comparison.problem}"
        before = self.comparison.baseline.amount_due
        percent = f" ({100 * self.comparison.amount_due / before:+.1f} %)" if before > 0 else ""
        return _signed(self.comparison.amount_due, self.invoice.currency) + percent

    @property
    def key_figures(self) -> list[tuple[str, str]]:
        """What a reviewer asks for, in words, by name."""
        rows = [
            ("Amount due", self.invoice.amount_due_text),
            ("Net, before tax", self.invoice.net_text),
            ("Projected amount due", self.projected_text),
        ]
        rows += [
            (f"Budget for the {judgement.subject}", judgement.text)
            for judgement in self.judgements
            if not judgement.of_line
        ]
        if self.change_text is not None:
            rows.append(("Change since the baseline", self.change_text))
        return rows

    @property
    def further_figures(self) -> list[tuple[str, str]]:
        """What the key figures are made of, and of when they are."""
        invoice = self.invoice
        return [
            ("Credits", invoice.credits_text),
            ("Tax and adjustments", invoice.tax_and_adjustments_text),
            ("Period", f"{invoice.period_text} (UTC)"),
            ("Status", invoice.status),
        ]


def judge(
    invoice: Invoice,
    *,
    account_id: str | None = None,
    at: datetime,
    budgets: Budgets | None = None,
    baseline: Invoice | None = None,
    baseline_account_id: str | None = None,
) -> Report:
    """
    Judge *invoice* as of *at*, which must have a time zone (ValueError).

    Accounts are 32 hex digits, where they are known; two that differ are not compared.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a report needs a time zone")
    budgets = budgets or Budgets()
    return Report(
        invoice=invoice,
        account_id=account_id,
        at=at.astimezone(timezone.utc),
        judgements=[*_of_invoice(invoice, budgets, at), *_of_lines(invoice, budgets.lines or {})],
        comparison=None
        if baseline is None
        else compare(baseline, invoice, _other(account_id, baseline_account_id)),
    )


def compare(baseline: Invoice, invoice: Invoice, problem: str | None = None) -> Comparison:
    """What moved from *baseline* to *invoice*, where no *problem* forbids to compare them."""
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
    return Comparison(baseline, None, invoice.amount_due - baseline.amount_due, changes)


def _signed(amount: int, currency: str) -> str:
    return f"{'+' if amount > 0 else ''}{money.to_text(amount, currency)}"


def _other(account_id: str | None, of_baseline: str | None) -> str | None:
    if None in (account_id, of_baseline) or account_id == of_baseline:
        return None
    return f"the baseline is of another account, {of_baseline}"


def _incomparable(baseline: Invoice, invoice: Invoice) -> str | None:
    if baseline.currency != invoice.currency:
        return f"the baseline is in {baseline.currency.upper()}"
    if baseline.period_start != invoice.period_start:
        return f"the baseline is of another billing period, {baseline.period_text}"
    return None


def _amounts_by_name(invoice: Invoice) -> dict[str, int]:
    # With what is no line's, so that the changes add up to that of the amount due.
    amounts: dict[str, int] = defaultdict(int)
    for line in invoice.invoice_lines:
        amounts[line.name] += line.net
    if invoice.tax_and_adjustments:
        amounts[_TAX] += invoice.tax_and_adjustments
    return dict(amounts)


def _of_invoice(invoice: Invoice, budgets: Budgets, at: datetime) -> list[Judgement]:
    judgements = []
    if budgets.amount_due:
        judgements.append(_judgement("amount due", invoice.amount_due, invoice, budgets.amount_due))
    if budgets.projected_amount_due:
        amount = invoice.projected_amount_due(at)
        judgements.append(
            _judgement("projected amount due", amount, invoice, budgets.projected_amount_due)
        )
    return judgements


def _of_lines(invoice: Invoice, limits: Mapping[str, Money]) -> list[Judgement]:
    judged: list[tuple[InvoiceLine, Money]] = []
    for line in invoice.largest_lines if limits else []:
        glob = longest_match(line.description, limits)
        if glob is not None:
            judged.append((line, limits[glob]))
    return [_judgement(line.name, line.net, invoice, limit, of_line=True) for line, limit in judged]


def _judgement(
    subject: str, amount: int | None, invoice: Invoice, limit: Money, of_line: bool = False
) -> Judgement:
    excess = None if amount is None else over(amount, invoice.currency, limit)
    return Judgement(subject, amount, invoice.currency, limit, excess, of_line)
