"""The invoice as a forecast sees it: what grows with usage, and what credits deduct."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.errors import SettingsError
from pulumi_cf_invoice.billing.invoice import Invoice, InvoiceLine, PretaxCreditAmount


@dataclass(frozen=True)
class Bill:
    """The lines that grow with usage, in minor units before tax."""

    gross: Fraction
    """Their sum before credits."""
    net: Fraction
    """Their sum after credits."""
    discounted: Fraction
    """The share of `gross` that discounts take off, for good."""
    credited: Fraction
    """The share of `gross` that the credit balance takes off, as long as it lasts."""
    growing: tuple[InvoiceLine, ...]
    """The lines themselves."""
    fees: tuple[InvoiceLine, ...]
    """The lines that match a glob of fixed lines."""
    refunds: tuple[InvoiceLine, ...]
    """The lines below zero."""
    earlier: tuple[InvoiceLine, ...]
    """The other lines that are of an earlier period."""
    unmatched: tuple[str, ...]
    """The globs of fixed lines that no line matches."""

    @property
    def fixed(self) -> tuple[InvoiceLine, ...]:
        """The lines that do not grow, for whatever reason."""
        return (*self.fees, *self.refunds, *self.earlier)

    @property
    def rounding(self) -> Fraction:
        """The most that `gross` can have gained or lost as each line was rounded."""
        return Fraction(len(self.growing), 2)

    def net_of(self, spend: Fraction, credit: Fraction | None) -> Fraction:
        """
        Return what remains to be paid of further *spend*, given the remaining *credit*.

        Without a limit (None), credits keep their current share.
        """
        credited = spend * self.credited
        if credit is not None:
            credited = min(credited, max(credit, Fraction(0)))
        return spend - spend * self.discounted - credited


def bill_of(invoice: Invoice, fixed_lines: Sequence[str]) -> Bill:
    """
    Return the lines of the *invoice* by whether they grow with usage.

    Those whose description matches a glob of *fixed_lines* do not, and neither do those below zero:
    a refund does not go on, and days would be too cheap if usage had to add up to less. The rest of
    an earlier period does not grow either, beside lines of this one.

    Raises `IncompleteLinesError` if the API returned only some of its lines, and `SettingsError` if
    *fixed_lines* is not a list of texts.
    """
    # A text is also a sequence, of single-character globs: "*" would match every line.
    is_list = isinstance(fixed_lines, (list, tuple))
    if not is_list or not all(isinstance(glob, str) and glob for glob in fixed_lines):
        raise SettingsError("the fixed lines must be a list of globs such as ['openai/*']")
    # The invoice itself refuses to sum only some of its lines.
    _ = invoice.gross
    fees: list[InvoiceLine] = []
    refunds: list[InvoiceLine] = []
    usage: list[InvoiceLine] = []
    matched: set[str] = set()
    for line in invoice.invoice_lines:
        globs = _matching(line, fixed_lines)
        matched.update(globs)
        (refunds if line.amount < 0 else fees if globs else usage).append(line)
    growing, earlier = invoice.split_by_period(usage)
    gross = _sum(line.amount for line in growing)
    discounted = _share(_credits(growing, of_balance=False), gross, Fraction(1))
    return Bill(
        gross=gross,
        net=_sum(line.net for line in growing),
        discounted=discounted,
        credited=_share(_credits(growing, of_balance=True), gross, 1 - discounted),
        growing=tuple(growing),
        fees=tuple(fees),
        refunds=tuple(refunds),
        earlier=tuple(earlier),
        unmatched=tuple(glob for glob in fixed_lines if glob not in matched),
    )


def _matching(line: InvoiceLine, globs: Sequence[str]) -> list[str]:
    return [glob for glob in globs if fnmatchcase(line.description or "", glob)]


def _credits(lines: Iterable[InvoiceLine], of_balance: bool) -> Fraction:
    credits = (credit for line in lines for credit in line.pretax_credit_amounts)
    return _sum(credit.amount for credit in credits if _is_discount(credit) != of_balance)


def _is_discount(credit: PretaxCreditAmount) -> bool:
    return credit.type == "discount" or credit.discount is not None


def _share(part: Fraction, gross: Fraction, most: Fraction) -> Fraction:
    if gross <= 0:
        return Fraction(0)
    return min(max(part / gross, Fraction(0)), most)


def _sum(amounts: Iterable[float]) -> Fraction:
    return Fraction(money.total(amounts))
