"""
The previous months: which earlier invoice is a month's usage invoice, and what usage says.

The API does not say what kind an earlier invoice is. The creation time and the amount distinguish a
usage invoice from a credit purchase; if they are not enough, nothing is concluded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import named
from pulumi_cf_invoice.billing.credit_balance import FEE_PERCENT
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.invoice_history import PastInvoice
from pulumi_cf_invoice.billing.usage_history import UsageHistory
from pulumi_cf_invoice.forecast import Forecast
from pulumi_cf_invoice.forecast.bill import bill_of
from pulumi_cf_invoice.forecast.periods import period_before, period_name
from pulumi_cf_invoice.report.account import AccountReport

BY_USAGE = " by its usage"
_MOST = 12
_MADE_WITHIN = 3 * 86_400
_NEAR = Fraction(2, 100)
_RISE = 10
"""The percent of last month from which on a reader asks what a rise is by."""
_CHARGED = Fraction(100 + FEE_PERCENT, 100)
"""What a credit purchase costs, as a share of the credit."""
_LARGEST_SHARE = 2
_SHARES = (
    (0.95, 1.05, "nearly all"),
    (0.72, 0.78, "three quarters"),
    (0.63, 0.70, "two thirds"),
    (0.47, 0.53, "half"),
)


@dataclass(frozen=True)
class Month:
    """
    A period before the invoice's, and what it came to in minor units of ``currency``.

    ``invoice`` is its usage invoice, where one of the earlier invoices is known to be that.
    Otherwise ``how`` says how the amount is known: by usage, at the invoice's price of usage,
    less the share that credits have of it, and without tax, fixed fees, refunds and what is of an
    earlier period. Credits may have all of it (``is_covered``).
    """

    start: int
    end: int
    amount: float
    currency: str
    invoice: PastInvoice | None = None
    how: str = ""
    is_unused: bool = False
    is_covered: bool = False

    @property
    def name(self) -> str:
        """The month for people: ``August``."""
        return period_name(self.start, self.end)

    @property
    def amount_text(self) -> str:
        """The amount for people, and how it is known if no invoice says it."""
        return f"{money.to_text(self.amount, self.currency)}{self.how}"

    @property
    def rough_text(self) -> str:
        """The amount in a sentence: ``$320 by its usage``."""
        return f"{money.to_rough_text(self.amount, self.currency)}{self.how}"


@dataclass(frozen=True)
class Months:
    """The months before an *invoice*, by what else was read of its *account*."""

    invoice: Invoice
    account: AccountReport
    forecast: Forecast | None

    @cached_property
    def known(self) -> list[Month]:
        """The months with a known amount, oldest first; at most the latest twelve."""
        return list(self._found())[::-1]

    @property
    def last(self) -> Month | None:
        """The month right before the invoice's, if its amount is known."""
        start, _ = self._before
        return next((month for month in self.known if month.start == start), None)

    @property
    def others(self) -> list[PastInvoice]:
        """The earlier invoices that are no month's usage invoice, as the API lists them."""
        usage = [month.invoice for month in self.known if month.invoice]
        return [row for row in self.account.earlier_invoices if row not in usage]

    @property
    def _before(self) -> tuple[int, int]:
        return period_before(self.invoice.period_start, self.invoice.period_end)

    def _found(self) -> Iterator[Month]:
        start, end = self._before
        currency = self.invoice.currency
        for _ in range(_MOST):
            by_usage = self._by_usage(start, end)
            row = self._usage_invoice(end, by_usage)
            if row is not None:
                yield Month(start, end, row.amount_due, currency, row)
            elif by_usage is not None:
                yield self._month_by_usage(start, end, round(by_usage))
            start, end = period_before(start, end)

    def _month_by_usage(self, start: int, end: int, amount: int) -> Month:
        history = self.account.usage_history
        is_unused = history is None or not _usage(history, start, end)
        return Month(
            start,
            end,
            amount,
            self.invoice.currency,
            how=BY_USAGE,
            is_unused=is_unused,
            is_covered=not is_unused and not amount and self._credits_cover_usage,
        )

    @property
    def _credits_cover_usage(self) -> bool:
        spent = self.forecast.spent if self.forecast else ()
        return any(day.gross > 0 for day in spent) and all(day.net <= 0 for day in spent)

    def _by_usage(self, start: int, end: int) -> Fraction | None:
        """Return what a month came to by its usage, at the forecast's price."""
        last = self.forecast.last_period if self.forecast else None
        history = self.account.usage_history
        if last is None or history is None or history.since > start:
            return None
        if start == last.period_start:
            return _exact(last.by_usage)
        priced = _usage(history, last.period_start, last.period_end)
        return None if priced <= 0 else _usage(history, start, end) * _exact(last.by_usage) / priced

    def _usage_invoice(self, end: int, by_usage: Fraction | None) -> PastInvoice | None:
        made_then = [
            row
            for row in self.account.earlier_invoices
            if row.created is not None
            and end <= row.created < end + _MADE_WITHIN
            and row.currency == self.invoice.currency
            and row.status != "void"
        ]
        near = [] if by_usage is None else [r for r in made_then if self._is_near(r, by_usage)]
        if len(near) == 1:
            return near[0]
        says_so = [row for row in made_then if _says_usage(row)]
        return says_so[0] if len(says_so) == 1 else None

    def _is_near(self, row: PastInvoice, net: Fraction) -> bool:
        due = _exact(row.amount_due)
        with_tax = net * (1 + self._tax_share)
        major = 10 ** money.digits(self.invoice.currency)
        is_near = any(abs(due - asked) <= max(asked * _NEAR, major) for asked in (net, with_tax))
        return is_near and not self._is_purchase(due)

    def _is_purchase(self, due: Fraction) -> bool:
        """Return whether *due* is a multiple of the automatic top-up's charge."""
        balance = self.account.credit_balance
        config = balance.topup_config if balance else None
        if config is None or not config.amount or due <= 0:
            return False
        times = due / (_exact(config.amount) * _CHARGED)
        return round(times) > 0 and abs(times - round(times)) * _exact(config.amount) * _CHARGED < 1

    @property
    def _tax_share(self) -> Fraction:
        invoice = self.invoice
        if not invoice.invoice_lines_complete or invoice.net <= 0:
            return Fraction(0)
        return _exact(invoice.tax_and_adjustments) / _exact(invoice.net)


@dataclass(frozen=True)
class AgainstLastMonth:
    """
    This period against the ``last`` month.

    ``amount`` is what this one is expected to come to, in minor units, and ``how`` says by what if
    it is no forecast. ``lines`` are last month's lines, net by name, where they are known, and
    ``fees`` the names of the invoice's lines that do not grow with usage.
    """

    invoice: Invoice
    last: Month
    amount: float | None
    how: str = ""
    lines: dict[str, float] | None = None
    fees: frozenset[str] = frozenset()
    tax: float = 0
    last_tax: float = 0

    @property
    def percent(self) -> int | None:
        """The change in percent of last month; None if that makes no sense."""
        if self.amount is None or self.amount < 0 or self.last.amount <= 0:
            return None
        change = money.total([self.amount], less=[self.last.amount])
        return round(100 * change / money.exact(self.last.amount))

    @property
    def text(self) -> str:
        """The comparison in a sentence, with lines' names marked as others' words."""
        percent, before = self.percent, f"{self.last.name} ({self.last.rough_text})"
        now = period_name(self.invoice.period_start, self.invoice.period_end)
        if self.last.is_unused:
            return f"{self.last.name} had no usage."
        if self.last.is_covered:
            return (
                f"{self.last.name} had usage; credits cover all of it, at the share that they have "
                f"of {now}'s."
            )
        # Nothing so far, which a straight line goes on with, says nothing of the month.
        if self.amount is None or percent is None or (self.how and not self.amount):
            return f"{self.last.name} came to {self.last.rough_text}."
        rough = money.to_rough_text(self.amount, self.invoice.currency)
        would_be = f"{now} at {rough}{self.how} is"
        if percent == 0:
            return f"{would_be} about the same as {before}."
        more = "more" if percent > 0 else "less"
        return f"{would_be} {abs(percent):,d}% {more} than {before}{self._drivers}."

    @property
    def _drivers(self) -> str:
        if self.amount is None:
            return ""
        if self.lines is None:
            return self._largest_line
        if not self._is_taxed_alike:
            # Of what moved, tax is a part that no line has.
            return ""
        rise = self._net - (_exact(self.last.amount) - _exact(self.last_tax))
        name, change = self._largest_change(self.lines, self._growth, rise)
        share = float(change / rise) if rise else 0
        # Where lines cancel out, each is many times what is left.
        if not 0.1 <= share <= _LARGEST_SHARE:
            return ""
        words = next((w for low, high, w in _SHARES if low <= share < high), f"{share:.0%}")
        return f"; {named(name)} is {words} of the {'rise' if rise > 0 else 'fall'}"

    @property
    def _growth(self) -> Fraction:
        """How many times as much the lines that grow with usage will come to."""
        by_name = self.invoice.net_by_name
        fees = sum((_exact(by_name[name]) for name in self.fees), Fraction(0))
        growing = _exact(self.invoice.net) - fees
        return (self._net - fees) / growing if growing > 0 else Fraction(1)

    @property
    def _net(self) -> Fraction:
        return _exact(self.amount or 0) - _exact(self.tax)

    @property
    def _is_taxed_alike(self) -> bool:
        """Whether tax and adjustments are about the same share of both periods."""
        nets = self._net, _exact(self.last.amount) - _exact(self.last_tax)
        taxes = _exact(self.tax), _exact(self.last_tax)
        if not any(taxes):
            return True
        shares = [tax / net for tax, net in zip(taxes, nets, strict=True) if net > 0]
        return len(shares) == 2 and abs(shares[0] - shares[1]) <= _NEAR

    @property
    def _largest_line(self) -> str:
        """What a rise is probably by, where last month's lines are not known."""
        if self.percent is None or self.percent < _RISE or not self.invoice.invoice_lines:
            return ""
        line = self.invoice.largest_lines[0]
        return f"; the largest line is {named(line.name)}, {line.net_text} so far"

    def _largest_change(
        self, before: dict[str, float], growth: Fraction, rise: Fraction
    ) -> tuple[str, Fraction]:
        """Return the line that drives the change, were every line but fees to grow alike."""
        now = {
            name: _exact(net) * (1 if name in self.fees else growth)
            for name, net in self.invoice.net_by_name.items()
        }
        changes = {
            name: now.get(name, Fraction(0)) - _exact(before.get(name, 0))
            for name in {**before, **now}
        }
        sign = 1 if rise > 0 else -1
        return max(changes.items(), key=lambda item: (item[1] * sign, item[0]))


def fees_of(invoice: Invoice, fixed_lines: Sequence[str]) -> frozenset[str]:
    """
    Return the names of the *invoice*'s lines that stay as they are: those that a glob of
    *fixed_lines* matches, and those of an earlier period of which no line of this one has the name.
    """
    bill = bill_of(invoice, fixed_lines)
    earlier = {line.name for line in bill.earlier} - {line.name for line in bill.growing}
    return frozenset(earlier.union(line.name for line in bill.fees))


def without_fees(invoice: Invoice, fixed_lines: Sequence[str]) -> Invoice:
    """
    Return an *invoice* without what its period's usage does not have: the lines that *fixed_lines*
    match, refunds, and what is of an earlier period.
    """
    bill = bill_of(invoice, fixed_lines)
    due = money.total([invoice.amount_due], less=[line.net for line in bill.fixed])
    # Less a refund or a fee, it could be beyond what an invoice carries.
    most = money.LARGEST_AMOUNT
    carried = max(-most, min(money.number(due), most))
    return replace(invoice, invoice_lines=list(bill.growing), amount_due=carried)


def lines_of_last_month(baseline: Invoice | None, invoice: Invoice) -> dict[str, float] | None:
    """Return the net amounts of a *baseline* by line, if it is of the month before *invoice*'s."""
    if baseline is None or baseline.currency != invoice.currency:
        return None
    before = period_before(invoice.period_start, invoice.period_end)
    if (baseline.period_start, baseline.period_end) != before:
        return None
    if not baseline.invoice_lines_complete:
        return None
    return baseline.net_by_name


def _usage(history: UsageHistory, start: int, end: int) -> Fraction:
    entries = (entry for entry in history.entries if start <= entry.start < end)
    return Fraction(money.total(entry.aggregated_value for entry in entries))


def _says_usage(row: PastInvoice) -> bool:
    words: Sequence[str | None] = (row.description, row.invoice_origin)
    return any("usage" in (word or "").lower() for word in words)


def _exact(amount: float | Decimal) -> Fraction:
    return Fraction(money.exact(amount))
