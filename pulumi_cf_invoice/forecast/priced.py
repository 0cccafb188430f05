"""The days of the usage history in money: the spend of each, and which ones count."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from functools import cached_property
from math import log

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.invoice import Invoice, InvoiceLine
from pulumi_cf_invoice.billing.usage_history import UsageHistory
from pulumi_cf_invoice.forecast.bill import Bill
from pulumi_cf_invoice.forecast.days import (
    DAY,
    UsageDay,
    date_of,
    day_of,
    lacks_values,
    percentile,
    sum_over,
    usage_days,
)
from pulumi_cf_invoice.forecast.levels import Past
from pulumi_cf_invoice.forecast.record import SoFar, foresee
from pulumi_cf_invoice.forecast.unit import (
    DAYS_UNNOTICED,
    MOST_DAYS_BEHIND,
    Unit,
    UnknownUnit,
    infer_unit,
)

_ONLY_FIXED = (
    "There is usage in this period that no line but the fixed ones charges for: list only fees as "
    "fixed lines. If they are only fees, the usage may be included, or the invoice may be behind."
)
_ROUNDED_OFF = (
    "There is so little usage in this period that the invoice, which rounds each of its lines to "
    "whole minor units, has no charges yet."
)
_FEWEST_DAYS = 3
_WEEK = 7
_ENOUGH = Fraction(5, 8)
# What a silent history lacks is expected by the days before it, which is not to know all of it.
_EXPLAINED = Fraction(9, 10)
# What a few percent are.
_ABOUT = Fraction(3, 100)
_LEAST = 1e-9
# Beyond this, an amount is no amount; a float could not even hold all that Fraction can.
_LARGEST = Fraction(10**18)


@dataclass(frozen=True, kw_only=True)
class SpentDay:
    """The spend of one day of the period, by its share of usage, in minor units."""

    date: date
    """The UTC day."""
    gross: int
    """Spend before credits, in minor units of the invoice's currency. The days add up to the
    invoice's lines that grow with usage, apart from lag."""
    net: int
    """Spend less the share that credits have of the invoice, in minor units of its currency."""
    is_settled: bool
    """Whether the day has ended and the history probably has all of it."""


@dataclass(frozen=True)
class PricedDays:
    """The days of a usage history, priced by the invoice of a period."""

    bill: Bill
    unit: Unit
    days: tuple[UsageDay, ...]
    """The days from the first one with usage on, today included."""
    fell_silent: UsageDay | None
    """The last day with usage, where the history has fallen silent on an account in use."""
    period: tuple[int, int]
    since: int
    """The start of the usage history, in Unix seconds."""
    silence: tuple[Fraction, ...]
    """The usage to expect of the day on which the history falls silent, and of the next ones."""
    hours_late: Fraction
    """The usage to expect of the hours that the history lacks of the period's first day."""
    now: Fraction

    @cached_property
    def mean_day(self) -> Fraction:
        """The mean spend of a day of the period so far, in minor units."""
        start, end = self.period
        elapsed = min(self.now, Fraction(end)) - start
        return max(self.bill.gross, self._used) * DAY / elapsed

    @property
    def is_behind(self) -> bool:
        """Whether invoice and usage differ by more than a tenth of a day and rounding."""
        return abs(self.unit.lag) > max(self.mean_day / 10, self.bill.rounding)

    @property
    def agrees_by_rounding(self) -> bool:
        """Whether invoice and usage only agree within what rounding can have changed."""
        return not self.is_behind and abs(self.unit.lag) * 10 > self.mean_day

    @property
    def history_is_behind(self) -> bool:
        """Whether the invoice exceeds usage by more than a tenth of a day."""
        return self.is_behind and self.unit.lag > 0

    @property
    def is_unexplained(self) -> bool:
        """Whether the invoice exceeds usage in minor units, and is not the same in major ones."""
        return self.unit.name == "ratio" and self.unit.price > min(self.unit.known_prices)

    @property
    def not_invoiced(self) -> Fraction:
        """The usage that the invoice lacks, in minor units."""
        return max(-self.unit.lag, Fraction(0))

    @property
    def dearer(self) -> Fraction:
        """How many times as much usage costs if the invoice is behind, by the other reading."""
        other = self.unit.other
        return other.price / self.unit.price if other else Fraction(1)

    @property
    def not_invoiced_at_most(self) -> Fraction:
        """The usage that the invoice lacks by either reading, in minor units."""
        other = self.unit.other
        return max(-other.lag, Fraction(0)) if other else self.not_invoiced

    def not_seen(self, expected: Fraction) -> Fraction:
        """
        Return what was spent since the history fell silent, and is not in the invoice either.

        *expected* is the spend of that time. If the invoice has half of it or more, only the
        history is behind. A ratio does not show this, because it includes the lag.
        """
        lag = self.unit.lag
        if self.fell_silent is None or self.unit.name == "ratio" or lag * 2 >= expected:
            return Fraction(0)
        return expected - max(lag, Fraction(0))

    @cached_property
    def settled(self) -> tuple[UsageDay, ...]:
        """The days that are over, up to where the history falls silent."""
        until = self.now if self.fell_silent is None else Fraction(self.fell_silent.start)
        return tuple(day for day in self.days if day.is_over and day.start + DAY <= until)

    @cached_property
    def late(self) -> list[Fraction]:
        """
        The spend of the days that are over and that the history lacks, in minor units.

        It is what the invoice has and the history has not, by what was to be expected of them. None
        where the invoice lacks it as well.
        """
        last = self.fell_silent
        if last is None or self.unit.name == "ratio" or last.start < self.period[0]:
            return []
        expected = sum(self._lacking.values(), Fraction(0)) * self.unit.price
        if expected <= 0 or self.unit.lag * 2 < expected:
            return []
        part = self.unit.lag / expected
        return [
            ((last.usage if day == last.start else 0) + usage * part) * self.unit.price
            for day, usage in self._lacking.items()
            if day + DAY <= self.now
        ]

    @cached_property
    def _lacking(self) -> dict[int, Fraction]:
        """The usage to expect of each day since the history fell silent, less what it has."""
        last = self.fell_silent
        if last is None:
            return {}
        starts = range(last.start, last.start + DAY * len(self.silence), DAY)
        return {
            day: max(
                usage * min((self.now - day) / DAY, Fraction(1))
                - (last.usage if day == last.start else 0),
                Fraction(0),
            )
            for day, usage in zip(starts, self.silence, strict=True)
            if day < min(self.now, Fraction(self.period[1]))
        }

    @property
    def has_trend(self) -> bool:
        """Whether the settled days are enough: a history that is behind has to make up for it."""
        is_short = self.history_is_behind and not self.late
        return len(self.settled) >= (_WEEK if is_short else _FEWEST_DAYS)

    @cached_property
    def trend(self) -> Past:
        """The spend of the settled days and of those that are late, in minor units."""
        return Past([*self.spend, *(float(min(amount, _LARGEST)) for amount in self.late)])

    @property
    def so_far(self) -> SoFar | None:
        """The spend of the day after the trend so far; none where the history may lack some."""
        start, today = self.trend_ends, self.days[-1]
        is_today = today.start == start == day_of(self.now)
        if not is_today or self.fell_silent or self.history_is_behind:
            return None
        spend = min(today.usage * self.unit.price, _LARGEST)
        return SoFar(float(spend), float((self.now - start) / DAY))

    @property
    def trend_ends(self) -> int:
        """The end of the last day of the trend, in Unix seconds."""
        return self.settled[-1].start + DAY * (1 + len(self.late))

    @property
    def spend(self) -> list[float]:
        """The spend of each settled day, in minor units; corrections are in the days before."""
        return self.spend_until(self.now)

    def spend_until(self, then: Fraction) -> list[float]:
        """Return the spend of each settled day that ended by *then*, as `spend` does."""
        spend = (day.usage * self.unit.price for day in self.settled if day.start + DAY <= then)
        return _corrected([float(max(-_LARGEST, min(amount, _LARGEST))) for amount in spend])

    def gross_between(self, start: Fraction, end: Fraction) -> Fraction:
        """Return what usage from *start* to *end* (Unix seconds) cost, in minor units."""
        usages = {day.start: day.usage for day in self.days}
        return sum_over(lambda day: usages.get(day, Fraction(0)), start, end) * self.unit.price

    @property
    def doubt(self) -> float:
        """The log of the factor by which the price of usage may be wrong."""
        if self.unit.name != "ratio":
            lacking = max(sum(self._lacking.values(), Fraction(0)), self.hours_late)
            late = max(min(self.unit.lag, lacking * self.unit.price), Fraction(0))
            return abs(log(self.bill.gross / (self._used + late * _EXPLAINED)))
        # A history that is a day behind would have shifted the ratio by as much. Before the first
        # day is settled, most of the usage is estimated, and the ratio may be off as after it.
        days = max(sum(day.start >= self.period[0] for day in self.settled), 1)
        return log((days + 1) / days)

    @property
    def possible_fees(self) -> list[InvoiceLine]:
        """
        The only line without which usage would add up to the invoice, if there is one.

        It has a twentieth of the invoice at least, and usage adds up to within 3% of the others. A
        fee is named by its description, which no other line may have.
        """
        if self.unit.name != "ratio":
            return []
        found = [
            line
            for line in self.bill.growing
            if line.amount * 20 >= self.bill.gross
            and any(
                abs(self.bill.gross - Fraction(money.exact(line.amount)) - self._usage * price)
                <= self._usage * price * _ABOUT
                for price in self.unit.known_prices
            )
        ]
        if len(found) != 1 or len(self.bill.growing) == 1:
            return []
        alike = [line for line in self.bill.growing if line.description == found[0].description]
        return found if len(alike) == 1 else []

    @property
    def corrections(self) -> int:
        """The number of days with negative usage."""
        return sum(day.usage < 0 for day in self.days)

    def spent(self) -> list[SpentDay]:
        """Return the days of the period until now, in whole minor units that add up."""
        settled = {day.start for day in self.settled}
        grosses = list(self.gross_by_day.values())
        after_credits = self.bill.net / self.bill.gross
        nets = _rounded([gross * after_credits for gross in grosses])
        return [
            SpentDay(date=date_of(start), gross=gross, net=net, is_settled=start in settled)
            for start, gross, net in zip(self.gross_by_day, _rounded(grosses), nets, strict=True)
        ]

    @cached_property
    def gross_by_day(self) -> dict[int, Fraction]:
        """The exact spend of the period's days; the last ones have what only the invoice has."""
        start, end = self.period
        days = [day for day in self.days if start < day.start + DAY and day.start < end]
        if not self.is_behind:
            price = self.bill.gross / self._usage
            return {day.start: day.in_period * price for day in days}
        settled = {day.start for day in self.settled}
        late = [day.start for day in days if day.start not in settled]
        lacking = {day: self._lacking.get(day, Fraction(0)) for day in late}
        if not any(lacking.values()):
            lacking = dict.fromkeys(late, Fraction(1))
        missing = max(self.unit.lag, Fraction(0)) / (sum(lacking.values(), Fraction(0)) or 1)
        return {
            day.start: day.in_period * self.unit.price
            + lacking.get(day.start, Fraction(0)) * missing
            for day in days
        }

    @cached_property
    def _usage(self) -> Fraction:
        return sum((day.in_period for day in self.days), Fraction(0))

    @property
    def _used(self) -> Fraction:
        return self._usage * self.unit.price


def price_days(
    history: UsageHistory, invoice: Invoice, bill: Bill, now: Fraction
) -> PricedDays | UnknownUnit:
    """Price the days of *history* as of *now* by what the *invoice*'s period cost until then."""
    start, end = invoice.period_start, invoice.period_end
    if lacks_values(history, start, now):
        # The other days would have to pay for those.
        return UnknownUnit(f"The usage history has {history.without_value_text}.", is_unpriced=True)
    if not history.since <= start:
        return UnknownUnit(
            "The usage history begins after the invoice's period does, so the period's days cannot "
            "be priced."
        )
    behind = (now - min(history.until, day_of(now))) // DAY
    if behind > MOST_DAYS_BEHIND:
        return UnknownUnit(f"The usage history ends {behind} days before the forecast is made.")
    days = tuple(usage_days(history, start, end, now))
    silent = fallen_silent(days, now)
    until = min(now, Fraction(end))
    parts = (day.in_period if bill.gross else day.surely_in_period for day in days)
    usage = sum(parts, Fraction(0))
    silence = _silence(days, silent) if silent and usage > 0 else ()
    lacking = Fraction(0)
    if silent and silence:
        lacking = _lacking(silence, silent, Fraction(start), until)
    if bill.gross == 0 and usage > 0 and _is_rounded_off(days, lacking, start, bill):
        return UnknownUnit(_ROUNDED_OFF, is_too_little=True)
    late, least = Fraction(0), bill.gross
    # After a day, neither late hours nor a fee make minor units look like major ones for long.
    if until - start < DAY:
        late, least = _late(days, now, Fraction(start), until), _without_a_fee(bill)
    unit = infer_unit(
        bill.gross,
        usage,
        latest=_used_since(until - DAYS_UNNOTICED * DAY, days) + lacking,
        lacking=lacking,
        late=late,
        least=least,
        rounding=bill.rounding,
        currency=invoice.currency,
        days=(until - start) / DAY,
        days_over=sum(day.is_over and start <= day.start < end for day in days),
    )
    if isinstance(unit, UnknownUnit):
        if _charges_no_usage(unit, bill):
            return UnknownUnit(_ONLY_FIXED, is_unpriced=True)
        return replace(unit, lacking=late or _late(days, now, Fraction(start), until))
    priced = PricedDays(bill, unit, days, silent, (start, end), history.since, silence, late, now)
    # What happens to be near a price, with most of the usage not there yet, is chance.
    if silent and priced.is_behind and (silent.start + DAY - start) / (until - start) < _ENOUGH:
        why = f"The usage history has nothing since {date_of(silent.start)}."
        return UnknownUnit(why, lacking=lacking)
    return priced


def _is_rounded_off(days: Sequence[UsageDay], lacking: Fraction, start: int, bill: Bill) -> bool:
    """Return whether each line may be rounded to nothing, if usage is in minor units."""
    # A correction makes no usage less than it was.
    used = (max(day.usage, Fraction(0)) for day in days if day.start + DAY > start)
    return sum(used, Fraction(0)) + lacking <= max(bill.rounding, Fraction(1, 2))


def _charges_no_usage(unit: UnknownUnit, bill: Bill) -> bool:
    return unit.is_unpriced and bool(bill.fees) and not bill.growing


def _without_a_fee(bill: Bill) -> Fraction:
    """Return what the lines that grow would cost if the largest of several were a fee."""
    largest = max((line.amount for line in bill.growing), default=0)
    return bill.gross - Fraction(money.exact(largest)) if len(bill.growing) > 1 else bill.gross


def _used_since(moment: Fraction, days: Sequence[UsageDay]) -> Fraction:
    """Return the period's usage since *moment*; the day that it falls in counts in proportion."""
    parts = (
        day.in_period * min((day.start + DAY - moment) / DAY, Fraction(1))
        for day in days
        if day.start + DAY > moment
    )
    return sum(parts, Fraction(0))


def _silence(days: Sequence[UsageDay], silent: UsageDay) -> tuple[Fraction, ...]:
    """Return the usage to expect of the day on which the history falls silent, and the next."""
    known = [day for day in days if day.is_over and day.start < silent.start]
    most = max(day.usage for day in known)
    shares = [float(max(day.usage, Fraction(0)) / most) for day in known]
    # A loop is not what to expect of the next days.
    usual = percentile(sorted(day.usage for day in known[-4 * _WEEK :]))
    # Rounded, so that it does not depend on the scale of usage.
    return tuple(
        min(round(Fraction(share), 9) * most, usual)
        for share in foresee(Past(shares), MOST_DAYS_BEHIND + _WEEK).spend
    )


def _lacking(
    silence: Sequence[Fraction], silent: UsageDay, start: Fraction, until: Fraction
) -> Fraction:
    """Return the usage to expect of the time for which the history is silent."""
    expected = sum_over(
        lambda day: silence[(day - silent.start) // DAY],
        max(Fraction(silent.start), start),
        until,
    )
    return max(expected - silent.in_period, Fraction(0))


def _late(days: Sequence[UsageDay], now: Fraction, start: Fraction, until: Fraction) -> Fraction:
    """Return the usage to expect of the hours that the history lacks, be they too few for lag."""
    last = fallen_silent(days, now, least=Fraction(0))
    if last is None:
        return Fraction(0)
    return _lacking(_silence(days, last), last, start, until)


def fallen_silent(
    days: Sequence[UsageDay],
    now: Fraction,
    most: float = MOST_DAYS_BEHIND,
    least: Fraction = Fraction(DAY, 4),
) -> UsageDay | None:
    """
    Return the last day with usage if there is none since, and this is lag rather than a pause.

    That is so where there was usage on the same weekdays in each of the last four weeks, or on
    every day of a younger account, and there has been none for *least* seconds (by default a
    quarter of a day) to *most* days of such weekdays, a weekend apart. Without usage on a whole day
    before, there is none to expect.
    """
    used = [number for number, day in enumerate(days) if day.usage]
    if not used or used[-1] < _FEWEST_DAYS:
        return None
    if not any(day.usage > 0 and day.is_over for day in days[: used[-1]]):
        return None
    last = days[used[-1]]
    before = {day.start: day.usage > 0 for day in days[max(0, used[-1] - 4 * _WEEK) : used[-1] + 1]}
    is_young = len(before) <= _WEEK and all(before.values())

    def is_used(day: int) -> bool:
        weeks = [before[start] for start in before if (day - start) % (_WEEK * DAY) == 0]
        return is_young or (bool(weeks) and all(weeks))

    if now - (last.start + DAY) > (most + 2) * DAY:
        return None
    since = range(last.start + DAY, int(now), DAY)
    silent = sum(min(now - day, Fraction(DAY)) for day in since if is_used(day))
    return last if least <= silent <= most * DAY else None


def _corrected(spend: list[float]) -> list[float]:
    """
    Return *spend* with each correction (a negative day) taken off the four weeks before it.

    What that day itself had is not known: it counts as the same weekday before.
    """
    # Exact fractions would double their digits with each correction.
    corrected = list(spend)
    for number, amount in enumerate(spend):
        if amount >= 0:
            continue
        start = max(0, number - 4 * _WEEK)
        total = sum(corrected[start:number])
        left = 1 + amount / total if total > 0 else 0.0
        # What rounding leaves of nothing is no spend.
        left = left if left > _LEAST else 0.0
        corrected[start:number] = [before * left for before in corrected[start:number]]
        corrected[number] = corrected[number - _WEEK] if number >= _WEEK else 0.0
    return corrected


def _rounded(amounts: list[Fraction]) -> list[int]:
    """Round *amounts* so that they add up to their rounded sum."""
    rounded, total = [], Fraction(0)
    for amount in amounts:
        before = round(total)
        total += amount
        rounded.append(round(total) - before)
    return rounded
