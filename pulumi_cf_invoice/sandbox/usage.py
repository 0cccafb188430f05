"""
How a made-up account's usage is spread over time.

Usage follows from the date alone, by hour, so that days are the sums of their hours and a month is
the sum of its days. The unit is the minor unit of the account's currency, in ten-thousandths.
"""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import accumulate

HOUR, DAY = 3_600, 86_400
WINDOWS = {"hour": HOUR, "day": DAY}
_QUANTA = 10_000
_LOOP = 30
# The share of each hour of a UTC day, in percent of the average.
_HOURS = (
    *(40, 35, 30, 30, 35, 50, 75, 105, 135, 155, 160, 155),
    *(150, 160, 165, 160, 150, 135, 115, 100, 85, 70, 60, 45),
)
# The weight of an average hour on an average day: the shares of weekday, hour and chance.
_AVERAGE = 100 * 100 * 100


@dataclass(frozen=True)
class Month:
    """A billing period, which is a calendar month in UTC, in Unix seconds."""

    start: int
    end: int

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        """Return the month that *moment* is in."""
        first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        return cls(int(first.timestamp()), int(following.timestamp()))

    @property
    def previous(self) -> "Month":
        """The month before."""
        return Month.of(datetime.fromtimestamp(self.start - 1, UTC))

    @property
    def name(self) -> str:
        """The month as ``2026-09``."""
        return f"{datetime.fromtimestamp(self.start, UTC):%Y-%m}"


@dataclass(frozen=True)
class Usage:
    """
    The usage of an account.

    ``a_day`` is that of an average day, in minor units; by default it is what the lines of half a
    month come to. ``weekdays`` are the shares of Monday to Sunday in percent, ``growth`` how much
    more each day has than the one before, and ``launched`` how many days ago usage quadrupled. In
    each of the last ``nights_of_a_loop``, a loop used thirty times an average hour's usage, and the
    last loop is still running. The API counts in units of ``unit`` minor units. Its history is
    ``history_behind`` days late, and the invoice ``invoice_behind``. Usage that ``is_included``
    costs nothing.
    """

    a_day: int | None = None
    weekdays: tuple[int, ...] = (115, 120, 125, 120, 110, 60, 50)
    growth: float = 0
    launched: int | None = None
    nights_of_a_loop: int = 0
    unit: int = 1
    history_behind: int = 0
    invoice_behind: int = 0
    is_included: bool = False


USUAL_USAGE = Usage()


class Series:
    """
    The usage of an account until *now* (Unix seconds).

    A month has *a_day* for an average day, in minor units, except the current one where *so_far*
    says what it has.
    """

    def __init__(
        self,
        usage: Usage,
        now: int,
        month: Month,
        a_day: Decimal,
        so_far: Decimal | None = None,
    ) -> None:
        self._usage = usage
        self._now = now
        self._month = month
        self._a_day = a_day
        self._so_far = so_far
        # By the start of a month: both are needed for each of its hours.
        self._totals: dict[int, Decimal] = {}
        self._weights: dict[int, tuple[list[int], list[int]]] = {}

    def total(self, month: Month) -> Decimal:
        """Return the usage of *month*, in whole minor units unless it was stated."""
        if month.start not in self._totals:
            self._totals[month.start] = self._total(month)
        return self._totals[month.start]

    def _total(self, month: Month) -> Decimal:
        if month == self._month and self._so_far is not None:
            return max(self._so_far, Decimal(0))
        average = Decimal(sum(self._usage.weekdays) * sum(_HOURS) * 100 * HOUR) / 7
        return Decimal(round(self._a_day * self._weight(month, month.end) / average))

    def moved(self, by: Decimal) -> "Series":
        """Return a series whose current month has *by* more."""
        so_far = self.total(self._month) + by
        return Series(self._usage, self._now, self._month, self._a_day, so_far)

    def between(self, start: int, end: int) -> Decimal:
        """Return the usage from *start* to *end*, both in the same month."""
        month = _month_of(start // DAY)
        whole = self._weight(month, month.end)
        quanta = int(self.total(month) * _QUANTA)
        of_end, of_start = (
            quanta * self._weight(month, moment) // whole if whole else 0 for moment in (end, start)
        )
        return Decimal(of_end - of_start) / _QUANTA

    def _weight(self, month: Month, moment: int) -> int:
        """Return the weight of *month* until *moment*, or now if that is earlier."""
        seconds = max(min(moment, self._now, month.end) - month.start, 0)
        hours, rest = divmod(seconds, HOUR)
        if month.start not in self._weights:
            self._weights[month.start] = self._weights_of(month)
        until, weights = self._weights[month.start]
        return until[hours] * HOUR + (weights[hours] * rest if rest else 0)

    def _weights_of(self, month: Month) -> tuple[list[int], list[int]]:
        usage, today = self._usage, self._now // DAY
        launch = None if usage.launched is None else today - usage.launched
        loop = _loop(today, usage.nights_of_a_loop)
        base = self._month.start // DAY
        return _weights(usage.weekdays, usage.growth, month, base, launch, loop)


@cache
def _month_of(day: int) -> Month:
    return Month.of(datetime.fromtimestamp(day * DAY, UTC))


@cache
def _weights(
    weekdays: tuple[int, ...],
    growth: float,
    month: Month,
    base: int,
    launch: int | None,
    loop: tuple[range, ...],
) -> tuple[list[int], list[int]]:
    """Return the weight of all hours of *month* before each, and of each."""
    weights = []
    for hour in range(month.start // HOUR, month.end // HOUR):
        day = hour // 24
        # The epoch was a Thursday.
        weight = weekdays[(day + 3) % 7] * _HOURS[hour % 24] * _scatter(day)
        if launch is not None and day >= launch:
            weight *= 4
        if any(hour in night for night in loop):
            # A machine keeps no office hours.
            weight = _LOOP * _AVERAGE
        weights.append(round(weight * (1 + growth) ** (day - base)))
    return list(accumulate(weights, initial=0)), weights


def _loop(today: int, nights: int) -> tuple[range, ...]:
    """Return the hours of the last *nights*, from 22:00 to 06:00; the last one never ends."""
    starts = [(today - ago) * 24 + 22 for ago in range(nights, 0, -1)]
    return tuple(range(start, start + (8 if start < starts[-1] else 48)) for start in starts)


def _scatter(day: int) -> int:
    """Return what chance makes of *day*, in percent."""
    return 88 + zlib.crc32(str(day).encode()) % 25
