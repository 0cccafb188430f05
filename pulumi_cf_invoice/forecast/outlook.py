"""The spend from now on, by each of the methods: cumulative, before credits."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import exp
from typing import Literal, Protocol

from pulumi_cf_invoice.forecast.days import DAY, day_of
from pulumi_cf_invoice.forecast.record import Foreseen, TrackRecord

Method = Literal[
    "daily-usage", "recent-mean", "straight-line", "too-early", "not-known", "period-over"
]


@dataclass(frozen=True)
class Ahead:
    """What is spent from now to the end of a day, in minor units before credits."""

    start: int
    """Start of the day, in Unix seconds."""
    median: Fraction
    p10: Fraction | None
    p90: Fraction | None


class Outlook(Protocol):
    """What is expected to be spent, and how sure that is."""

    @property
    def method(self) -> Method:
        """How the coming spend is estimated."""

    def daily(self, day: int) -> Fraction:
        """Return what is spent on the whole day that starts at *day*."""

    def band(self, day: int, spend: Fraction, days: Fraction) -> tuple[Fraction, Fraction] | None:
        """
        Return the 10th and the 90th percentile of the *spend* until the end of *day*.

        That is so many *days* from now. Returns None if nothing is known of it.
        """


@dataclass(frozen=True)
class StraightLine:
    """Spend continues as from the start of the period until now."""

    rate: Fraction
    """Minor units a second."""
    method: Method = "straight-line"

    def daily(self, day: int) -> Fraction:
        return self.rate * DAY

    def band(self, day: int, spend: Fraction, days: Fraction) -> tuple[Fraction, Fraction] | None:
        return None


@dataclass(frozen=True)
class DailyUsage:
    """Spend continues according to past daily usage."""

    first: int
    """The first day that is foreseen, which is the one after the last day that counts."""
    foreseen: Foreseen
    """The spend from `first` on, in minor units a day, and how wrong such spend has been."""
    doubt: float
    """The log of the factor by which a history that does not fit the invoice widens the band."""
    dearer: Fraction
    """How many times as much days cost if the invoice is behind; 1 if it is known not to be."""

    @property
    def record(self) -> TrackRecord | None:
        """How wrong the method was; none where history is too short for a band."""
        return self.foreseen.record

    @property
    def method(self) -> Method:
        return "recent-mean" if self.record is None else "daily-usage"

    def daily(self, day: int) -> Fraction:
        return Fraction(self.foreseen.spend[(day - self.first) // DAY])

    def band(self, day: int, spend: Fraction, days: Fraction) -> tuple[Fraction, Fraction] | None:
        if self.record is None:
            return None
        low, high = self.record.band((day - self.first) // DAY + 1)
        usual = max(spend, self._usual * days)
        below, above = spend + Fraction(low) * usual, spend + Fraction(high) * usual
        return max(below, Fraction(0)) / self._wider, above * max(self._wider, self.dearer)

    @cached_property
    def _usual(self) -> Fraction:
        return Fraction(self.foreseen.usual)

    @cached_property
    def _wider(self) -> Fraction:
        return Fraction(exp(self.doubt))


def ahead(
    outlook: Outlook, now: Fraction, until: int, before: Fraction = Fraction(0)
) -> Iterator[Ahead]:
    """
    Return what is spent from *now* to the end of each day, the last of them ending at *until*.

    What is estimated for the time *before* is added. Spend does not fall, nor do its percentiles.
    """
    if now >= until:
        return
    median, low, high = before, Fraction(0), Fraction(0)
    for day in range(day_of(now), until, DAY):
        end = min(until, day + DAY)
        length = end - max(now, Fraction(day))
        whole = outlook.daily(day)
        median += whole if length == DAY else whole * length / DAY
        band = outlook.band(day, median, (end - now) / DAY)
        if band is None:
            yield Ahead(day, median, None, None)
            continue
        low, high = max(low, band[0]), max(high, band[1])
        yield Ahead(day, median, low, high)
