"""What has changed from one invoice to another, line by line."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.invoice import Invoice

_LEAST_SHARE = Decimal("0.05")
_TAX = "(tax and adjustments)"


@dataclass(frozen=True)
class Change:
    """
    The net amount of a line before and now, in minor units; None if there was or is no such line.

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
    """What has changed since a baseline; ``problem`` says why they cannot be compared, if so."""

    baseline: Invoice
    problem: str | None
    amount_due: float
    """The change of the amount due, in minor units."""
    changes: Sequence[Change]
    """The lines that changed, largest change first."""

    @property
    def text(self) -> str:
        """The change of the amount due for people, with its sign and its share of the baseline."""
        before = self.baseline.amount_due
        # The share of a tiny change would be 0.0%.
        if before <= 0 or abs(self.amount_due) < 1:
            return self.short_text
        percent = 100 * money.exact(self.amount_due) / money.exact(before)
        share = "less than 0.1%" if abs(percent) < _LEAST_SHARE else f"{percent:+.1f}%"
        return f"{self.short_text} ({share})"

    @property
    def short_text(self) -> str:
        """The change of the amount due for people, with its sign."""
        return _signed(self.amount_due, self.baseline.currency)


def compare(baseline: Invoice, invoice: Invoice, problem: str | None = None) -> Comparison:
    """
    Return what changed from *baseline* to *invoice*, unless a *problem* prevents comparing them.
    """
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
    return f"{'+' if amount >= 1 else ''}{money.difference_text(amount, currency)}"


def _incomparable(baseline: Invoice, invoice: Invoice) -> str | None:
    if baseline.currency != invoice.currency:
        return f"the baseline is in {baseline.currency.upper()}"
    if not (baseline.invoice_lines_complete and invoice.invoice_lines_complete):
        return "the API gave only a part of the lines"
    if baseline.period_start != invoice.period_start:
        return f"the baseline is of another billing period, {baseline.period_text}"
    return None


def _amounts_by_name(invoice: Invoice) -> dict[str, float]:
    amounts = invoice.net_by_name
    # So that the changes add up to the change of the amount due.
    if invoice.tax_and_adjustments:
        amounts[_TAX] = money.number(
            money.total([invoice.tax_and_adjustments, amounts.get(_TAX, 0)])
        )
    return amounts
