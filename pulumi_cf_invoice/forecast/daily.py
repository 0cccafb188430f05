"""
The spend of the last days, and what a day usually costs: a month shows a spike too late.

Pure: usage history, invoice and time in, figures out. Days are priced as the forecast prices them.
What is usual needs no price: it is a share of usage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from fractions import Fraction
from functools import cached_property
from math import inf

from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.models import instant
from pulumi_cf_invoice.billing.usage_history import DEFAULT_DAYS, UsageHistory
from pulumi_cf_invoice.forecast.bill import Bill, bill_of
from pulumi_cf_invoice.forecast.days import (
    DAY,
    UsageDay,
    date_of,
    day_of,
    percentile,
    usage_days,
)
from pulumi_cf_invoice.forecast.priced import PricedDays, fallen_silent, price_days
from pulumi_cf_invoice.forecast.unit import MOST_DAYS_BEHIND, UnknownUnit, price_for_now

FEWEST_DAYS = 14
"""The minimum days of history to know what is usual."""
USUAL_DAYS = 28
"""The number of days that determine what is usual."""
_WEEK = 7 * DAY


@dataclass(frozen=True)
class LastDay:
    """
    A day to judge: yesterday, today so far (``is_today``), or an earlier one.

    ``usage`` is None if the history does not have it yet; ``spend``, in minor units before credits,
    is also None without a price. A day ``is_priced_surely`` where usage and invoice agree in a
    known unit. So is one that ``is_in_period`` unless the history is late; if it is, the day has to
    be whole and its unit known, or the period a week old. Where usage adds up to the invoice in no
    known unit, the invoice may have nothing of these days yet: ``spend_if_behind`` is the spend
    then, which is None where the period has no usage before them, and the same as ``spend`` where
    the unit is known, or an invoice rounds all usage to nothing. Where the unit is only known
    within rounding, it is no more than what the day costs in major units.
    """

    date: date
    is_today: bool
    is_in_period: bool
    is_priced_surely: bool
    usage: Fraction | None
    spend: Fraction | None
    spend_if_behind: Fraction | None


@dataclass(frozen=True)
class LastDays:
    """
    The last two days of an account, and the days before them, which say what is usual.

    ``earlier`` are the two days before, oldest first: they were judged when they were the last, but
    may have grown since. ``gross`` is what the period cost so far, in minor units, or None where
    that is not known. ``price`` is what a unit of usage costs, and ``unpriced`` says why that is
    not known. A period that ``is_unused`` has no usage and no charges yet; one that
    ``began_unseen`` began today, and has charges of which the history has nothing yet. A history
    that ``lacks_usage`` has none since the period began, nor yesterday, although that cost
    something.
    """

    days: tuple[LastDay, ...]
    earlier: tuple[LastDay, ...]
    before: tuple[UsageDay, ...]
    gross: Fraction | None
    price: Fraction | None
    unpriced: str
    is_unused: bool
    began_unseen: bool
    lacks_usage: bool

    @property
    def days_of_history(self) -> int:
        """The number of days before those that are judged."""
        return len(self.before)

    def until(self, day: LastDay) -> "LastDays":
        """Return what was known before *day*, by which it was judged when it was yesterday."""
        before = tuple(known for known in self.before if date_of(known.start) < day.date)
        return replace(self, before=before)

    def usual(self, multiple: Fraction) -> Fraction | None:
        """
        Return the usage of a usual day: the 95th percentile of the 28 days before those judged.

        Days with more than *multiple* of what was usual before them are left out, so that three
        nights of a loop do not become usual; after more than two weeks they do. None if there are
        fewer than 14 days.
        """
        if len(self.before) < FEWEST_DAYS:
            return None
        before = self.before[-DEFAULT_DAYS:]
        left_out: set[int] = set()
        for number in range(FEWEST_DAYS, len(before)):
            usual = _usual(before[:number], left_out)
            # On an idle account any usage is more, and one that is used at times would stay idle.
            is_new = number > len(before) - FEWEST_DAYS
            if before[number].usage > multiple * usual and (usual > 0 or is_new):
                left_out.add(before[number].start)
        return _usual(before, left_out)

    @property
    def usual_so_far(self) -> Fraction:
        """The usage of a usual day, by however few days there are: 0 if there are none."""
        return _usual(self.before, set()) if self.before else Fraction(0)

    def usual_within(self, most: Fraction) -> Fraction | None:
        """Return the usage of a usual day, leaving out days that cost more than *most*."""
        if len(self.before) < FEWEST_DAYS or self.price is None:
            return None
        return _usual(
            self.before, {day.start for day in self.before if day.usage * self.price > most}
        )


def last_days(
    history: UsageHistory,
    invoice: Invoice | None,
    *,
    at: datetime,
    fixed_lines: Sequence[str] = (),
) -> LastDays:
    """
    Return the last days of *history* as of the time *at*, priced by the *invoice*, if known.

    Lines that match a glob of *fixed_lines* do not grow with usage. Raises `IncompleteLinesError`
    if the API gave only a part of the invoice's lines.
    """
    now = Fraction(at.timestamp())
    today = day_of(now)
    period = (invoice.period_start, invoice.period_end) if invoice else (today, today + DAY)
    days = usage_days(history, *period, now)
    bill = None if invoice is None else bill_of(invoice, fixed_lines)
    priced = _priced(history, invoice, bill, now)
    currency = "" if invoice is None else invoice.currency
    prices, price, unpriced = _prices(
        priced, bill, days, now, currency, period=period, is_whole=history.since <= period[0]
    )
    known = _Known(history, bill, days, now, period[0], priced, prices, price)
    return LastDays(
        days=tuple(known.judged(day) for day in (today - DAY, today)),
        earlier=tuple(known.judged(day) for day in (today - 3 * DAY, today - 2 * DAY)),
        before=tuple(
            day for day in days if day.start < today - DAY and day.start not in known.without_value
        ),
        gross=None if bill is None else bill.gross,
        price=price,
        unpriced=unpriced,
        is_unused=price is None and today in prices,
        began_unseen=known.began_unseen,
        lacks_usage=known.lacks_usage,
    )


@dataclass(frozen=True)
class _Known:
    """
    What is known of the days to judge: those with usage, the *bill*, the *price* of a unit of usage
    and the *prices* of days, as of *now*, in the period that began at its *start*.
    """

    history: UsageHistory
    bill: Bill | None
    days: Sequence[UsageDay]
    now: Fraction
    start: int
    priced: PricedDays | UnknownUnit
    prices: Mapping[int, Fraction]
    price: Fraction | None

    def judged(self, day: int) -> LastDay:
        """Return a *day* to judge."""
        usage = self._usage(day)
        spend = None
        if usage is not None:
            of_price = None if self.price is None else usage * self.price
            spend = self.prices.get(day, of_price)
        return LastDay(
            date=date_of(day),
            is_today=day == self._today,
            is_in_period=day >= self.start,
            is_priced_surely=self._is_sure(day),
            usage=usage,
            spend=spend,
            spend_if_behind=self._spend_if_behind(usage, spend),
        )

    @cached_property
    def without_value(self) -> set[int]:
        """The days of which the history has an entry without a value."""
        return {day_of(entry) for entry in self.history.entries_without_value}

    @property
    def began_unseen(self) -> bool:
        """Whether the period began today and has charges, of which the history has nothing yet."""
        is_unpriced = isinstance(self.priced, UnknownUnit) and self.priced.is_unpriced
        has_begun = day_of(self.start) == self._today and not self._usages.get(self._today)
        return has_begun and self._has_charges and not is_unpriced

    @property
    def lacks_usage(self) -> bool:
        """Whether there is no usage in what the bill is for, nor yesterday."""
        since = min(day_of(self.start), self._today - DAY)
        return self._has_charges and not any(day.usage for day in self.days if day.start >= since)

    @property
    def _has_charges(self) -> bool:
        return self.bill is not None and self.bill.gross > 0

    @property
    def _today(self) -> int:
        return day_of(self.now)

    @cached_property
    def _usages(self) -> dict[int, Fraction]:
        return {day.start: day.usage for day in self.days}

    @cached_property
    def _silent(self) -> UsageDay | None:
        """The day in which the history ended, if it did too early."""
        # Usage that goes on without the history makes the invoice exceed it: that is no pause.
        is_unexplained = self._priced_days is not None and self._priced_days.is_unexplained
        return fallen_silent(self.days, self.now, inf if is_unexplained else MOST_DAYS_BEHIND)

    @property
    def _priced_days(self) -> PricedDays | None:
        return self.priced if isinstance(self.priced, PricedDays) else None

    @property
    def _unit_is_known(self) -> bool:
        return self._priced_days is not None and self._priced_days.unit.name != "ratio"

    def _usage(self, day: int) -> Fraction | None:
        """Return the usage of a *day*, or None if the history does not have it yet."""
        last = self._silent.start if self._silent else self.history.until
        if day >= self.history.until or day in self.without_value or day > last:
            return None
        usage = self._usages.get(day, Fraction(0))
        # The invoice has it already.
        is_behind = self._priced_days is not None and self._priced_days.history_is_behind
        return None if is_behind and not usage else usage

    def _is_sure(self, day: int) -> bool:
        """Return whether a *day* is priced surely, as `LastDay` has it."""
        agrees = self._unit_is_known and not (self._priced_days and self._priced_days.is_behind)
        if agrees or day < self.start:
            return agrees
        if self._silent is None:
            return True
        # What is yet to come changes no price that is known, and a ratio less and less.
        return day < self._silent.start if self._unit_is_known else self.now - self.start >= _WEEK

    def _spend_if_behind(self, usage: Fraction | None, spend: Fraction | None) -> Fraction | None:
        """Return the spend of a day with that *usage* if the invoice has nothing of it yet."""
        is_too_little = isinstance(self.priced, UnknownUnit) and self.priced.is_too_little
        if is_too_little or (self._unit_is_known and not self._agrees_by_rounding):
            return spend
        return None if usage is None or self._dearest is None else usage * self._dearest

    @property
    def _agrees_by_rounding(self) -> bool:
        return self._priced_days is not None and self._priced_days.agrees_by_rounding

    @cached_property
    def _dearest(self) -> Fraction | None:
        """What a unit of usage costs if the invoice has nothing of yesterday and today yet."""
        until = self._today - DAY
        behind = None if self.bill is None else _price_if_behind(self.bill, self.days, until)
        if self._priced_days is None or not self._agrees_by_rounding:
            return behind
        # Cents may agree by chance with dollars of which the invoice lacks the last.
        major = max(self._priced_days.unit.known_prices)
        return major if behind is None else min(behind, major)


def _priced(
    history: UsageHistory, invoice: Invoice | None, bill: Bill | None, now: Fraction
) -> PricedDays | UnknownUnit:
    if invoice is None or bill is None:
        return UnknownUnit("The upcoming invoice, which prices it, is not known.")
    if now < invoice.period_start:
        why = "The invoice's period has not begun, so it prices no day yet."
        return UnknownUnit(why, is_unpriced=True)
    # After its end, its days have the price that they had.
    problem = invoice.period_problem(instant(invoice.period_start), bill.growing)
    if problem:
        return UnknownUnit(f"{problem[0].upper()}{problem[1:]}.", is_unpriced=True)
    return price_days(history, invoice, bill, now)


def _prices(
    priced: PricedDays | UnknownUnit,
    bill: Bill | None,
    days: Sequence[UsageDay],
    now: Fraction,
    currency: str,
    *,
    period: tuple[int, int],
    is_whole: bool,
) -> tuple[dict[int, Fraction], Fraction | None, str]:
    """
    Return the spend of the days of the period, the price of any other, or why there is none.

    Days share what the period cost if the history has the whole of it (*is_whole*), unless they
    only add up to it within rounding.
    """
    if isinstance(priced, PricedDays):
        # A share of what is mostly rounding is no price to compare with that of a usual day.
        spent = {} if priced.agrees_by_rounding else _spent(priced)
        return spent, priced.unit.price, ""
    if bill is None or priced.is_unpriced:
        return {}, None, priced.reason
    usage = sum((day.in_period for day in days), Fraction(0))
    if is_whole and bill.gross > 0 and usage > 0:
        # The lag is not known yet: a day is its share of the period so far.
        price = price_for_now(bill.gross, usage, priced.lacking, currency=currency)
        return {}, price, ""
    today, used = day_of(now), {day.start for day in days if day.usage}
    surely = sum((day.surely_in_period for day in days), Fraction(0))
    # A part of today that is outside the period costs something as well.
    is_unused = bill.gross == 0 and surely == 0 and today not in used
    if is_unused or priced.is_too_little:
        days_before = range(today - 3 * DAY, today, DAY)
        to_judge = (day for day in days_before if priced.is_too_little or day not in used)
        unused = [today, *(day for day in to_judge if _is_in(day, period))]
        return dict.fromkeys(unused, Fraction(0)), None, priced.reason
    return {}, None, priced.reason


def _price_if_behind(bill: Bill, days: Sequence[UsageDay], until: int) -> Fraction | None:
    """Return what a unit of usage costs if the invoice only has the days *until* then."""
    usage = sum((day.in_period for day in days if day.start < until), Fraction(0))
    return bill.gross / usage if usage > 0 else None


def _spent(priced: PricedDays) -> dict[int, Fraction]:
    # A day that is only in part of the period is priced by its usage.
    grosses = priced.gross_by_day.items()
    return {day: gross for day, gross in grosses if _is_in(day, priced.period)}


def _is_in(day: int, period: tuple[int, int]) -> bool:
    """Return whether all of a *day* is in a *period*."""
    start, end = period
    return start <= day and day + DAY <= end


def _usual(days: Sequence[UsageDay], left_out: set[int]) -> Fraction:
    window = days[-USUAL_DAYS:]
    usual = [day.usage for day in window if day.start not in left_out]
    if len(usual) < FEWEST_DAYS:
        usual = [day.usage for day in window]
    return max(percentile(sorted(usual)), Fraction(0))
