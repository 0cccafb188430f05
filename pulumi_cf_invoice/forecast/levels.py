"""
The statistics: what days of spend say about the days to come.

Spend is one number per day, none of them negative, the latest day last. Only ratios between days
matter, so the unit does not. Nothing here is random.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from math import exp, log, pi, sqrt
from operator import mul
from statistics import fmean, median

from pulumi_cf_invoice.forecast.weekdays import WEEK, Weekdays

RATES = (0.03, 0.1, 0.3)
"""The weight of the latest day in an exponentially smoothed level, from slow to fast."""
CALM_RATES = (0.03, 0.1)
"""The same for levels without peaks; a fast level forgets peaks by itself."""
MEDIANS = (WEEK, 2 * WEEK, 4 * WEEK)
"""The numbers of latest days whose median is a level, which a past burst does not raise."""
GROWING_RATES = (0.1, 0.3)
"""The rates of the levels that may grow."""
MEANS_OF = (
    *((2 - rate) / rate for rate in (*RATES, *CALM_RATES)),
    *(2 / pi * days for days in MEDIANS),
    *((2 - rate) / rate for rate in GROWING_RATES),
)
"""For each candidate, the number of days whose mean varies by chance as little as its level."""
CANDIDATES = len(MEANS_OF)
"""The number of candidates: each level as it is, and some of them with growth as well."""
# What happened longer ago than a quarter of a year says little about next month.
_LONGEST = 13 * WEEK
_POWERS = {
    rate: [(1 - rate) ** days for days in range(_LONGEST + WEEK + 1)]
    for rate in {*RATES, *CALM_RATES}
}
# Whatever a day has above this multiple of the median of the four weeks before it is a peak.
_PEAK = 1.5
# When a level has moved: by how many standard errors it has to rise, within how many of the last
# days, how many days it has to last, and how many days before it count.
_CLEARLY, _RECENT, _LASTING, _BEFORE = 10.0, 6 * WEEK, 4, 14
# How much more a fall counts than a rise: a rise may be a burst, which does not last.
_FALL_COUNTS = 2
# A weekday with a smaller share of a mean day than this says nothing about the level.
_LEAST_FACTOR = 0.1
# A pause: days with at most this share of what their weekdays usually have, and how many.
_QUIET, _PAUSE_FROM, _PAUSE_UNTIL = 0.15, 3, 21


@dataclass(frozen=True)
class Sight:
    """What one day of a history shows of the days to come."""

    factors: list[float]
    """Each weekday's share of a mean day, that of the day itself first."""
    levels: list[float]
    """The mean day by each of `RATES`, `CALM_RATES` and `MEDIANS`."""
    growing: list[float]
    """The mean day by each of `GROWING_RATES`."""
    growth: float
    """The log of the daily growth."""

    def shapes(self, days: int) -> tuple[list[float], list[float]]:
        """Return the share that each of the next *days* has of a steady and of a growing level."""
        steady = (self.factors * (days // WEEK + 1))[:days]
        if not self.growth:
            return steady, steady
        growing = [
            factor * exp(self.growth * _effective_days(number))
            for number, factor in enumerate(steady, 1)
        ]
        return steady, growing


class Past:
    """A history of spend, and what could be seen on each of its days."""

    def __init__(self, spend: Sequence[float]) -> None:
        self.spend = spend
        self.sums = [0.0, *accumulate(spend)]
        self._sights: dict[int, Sight] = {}

    def before(self, spend: Sequence[float]) -> "Past":
        """
        Return the history *spend*, as it was known earlier.

        If this one begins with it, what is seen on a day is the same, and not looked for again.
        """
        earlier = Past(spend)
        if self.spend[: len(spend)] == spend:
            earlier._sights = self._sights
        return earlier

    @cached_property
    def _weekdays(self) -> Weekdays:
        return Weekdays(self.spend)

    @cached_property
    def _smoothed(self) -> list[list[float]]:
        return [_smoothed(self.spend, rate) for rate in RATES]

    @cached_property
    def _calm(self) -> list[list[float]]:
        calm = _without_peaks(self.spend)
        return [_smoothed(calm, rate) for rate in CALM_RATES]

    def __len__(self) -> int:
        return len(self.spend)

    def between(self, start: int, end: int) -> float:
        """Return what was spent from the day at *start* to the one before *end*."""
        return self.sums[end] - self.sums[start]

    def usual(self, day: int) -> float:
        """Return the mean day of the four weeks before *day*."""
        start = max(0, day - 4 * WEEK)
        return self.between(start, day) / (day - start)

    def sight(self, day: int) -> Sight:
        """Return what can be seen on the *day*, from the days before it."""
        if day not in self._sights:
            self._sights[day] = self._look(day)
        return self._sights[day]

    def _look(self, day: int) -> Sight:
        factors = self._weekdays.factors(day)
        days, means = self._recent(day, factors)
        moved = _moved(means)
        first = max(0, day - _LONGEST, days[moved] if moved else 0)
        weights = {rate: sum(map(mul, factors, _weights(rate, day - first))) for rate in _POWERS}
        by_rate = {
            rate: _level(smoothed, rate, weights[rate], first, day)
            for rate, smoothed in zip(RATES, self._smoothed, strict=True)
        }
        calm = [
            _level(smoothed, rate, weights[rate], first, day)
            for rate, smoothed in zip(CALM_RATES, self._calm, strict=True)
        ]
        since = means[moved:]
        return Sight(
            factors=factors,
            levels=[*by_rate.values(), *calm, *(median(since[-last:]) for last in MEDIANS)],
            growing=[by_rate[rate] for rate in GROWING_RATES],
            # The weeks before a level that moved are no growth.
            growth=0.0 if moved else self._growth(day),
        )

    def _recent(self, day: int, factors: list[float]) -> tuple[list[int], list[float]]:
        """Return the last days that show the level on *day*, and their spend as mean days."""
        start = max(0, day - _RECENT)
        # The weekday of the day itself comes first.
        shares = (factors * (_RECENT // WEEK))[start - day :]
        shown = [
            (other, amount / share)
            for other, amount, share in zip(
                range(start, day), self.spend[start:day], shares, strict=True
            )
            if share > _LEAST_FACTOR
        ]
        return [other for other, _ in shown], [mean for _, mean in shown]

    def _growth(self, day: int) -> float:
        """
        Return the log of the daily growth if most of eight weeks rose, or fell, on the one before.

        A step, a spike or chance leaves the order of weeks mixed, and is no growth.
        """
        count = min(8, day // WEEK)
        means = [
            self.between(day - WEEK * (back + 1), day - WEEK * back) / WEEK
            for back in reversed(range(count))
        ]
        if count < 6 or min(means) <= 0:
            return 0.0
        logs = [log(mean) for mean in means]
        slopes = [
            (logs[later] - logs[earlier]) / (later - earlier)
            for earlier in range(count)
            for later in range(earlier + 1, count)
        ]
        agreeing = abs(sum((slope > 0) - (slope < 0) for slope in slopes)) / len(slopes)
        trust = max(0.0, (agreeing - 0.6) / 0.4)
        fastest = log(1.5)
        return trust * min(max(median(slopes), -fastest), fastest) / WEEK


def without_pause(spend: Sequence[float]) -> Sequence[float]:
    """
    Return *spend* with its only pause filled by the mean of the same weekdays around it.

    A pause has ended, and has three days to three weeks of next to no spend on weekdays that
    usually have some. An account with several pauses will have more, and is left as it is.
    """
    pause = _only_pause(spend)
    if pause is None:
        return spend
    start, end = pause
    filled = list(spend)
    for day in range(start, end):
        around = [
            spend[other]
            for other in range(day - 4 * WEEK, day + 4 * WEEK + 1, WEEK)
            if 0 <= other < len(spend) and not start <= other < end
        ]
        filled[day] = fmean(around) if around else spend[day]
    return filled


def _only_pause(spend: Sequence[float]) -> tuple[int, int] | None:
    """Return the first day of the only pause and the one after its last, or None."""
    usual = [median(spend[weekday::WEEK]) for weekday in range(WEEK)]
    quiet = [
        day
        for day, amount in enumerate(spend)
        if usual[day % WEEK] > 0 and amount <= _QUIET * usual[day % WEEK]
    ]
    runs: list[list[int]] = []
    for day in quiet:
        # Weekdays that never have anything do not end a pause.
        if runs and not any(usual[between % WEEK] for between in range(runs[-1][-1] + 1, day)):
            runs[-1].append(day)
        else:
            runs.append([day])
    pauses = [run for run in runs if len(run) >= _PAUSE_FROM]
    if len(pauses) != 1 or len(quiet) - len(pauses[0]) > len(spend) / 20:
        return None
    start, end = pauses[0][0], pauses[0][-1] + 1
    is_over = start > 0 and end < len(spend)
    return (start, end) if is_over and end - start <= _PAUSE_UNTIL else None


def _without_peaks(spend: Sequence[float]) -> list[float]:
    """Return *spend* with each day limited by what is usual before it."""
    calm = list(spend)
    for day in range(WEEK, len(spend)):
        usual = median(spend[max(0, day - 4 * WEEK) : day])
        if usual > 0:
            calm[day] = min(spend[day], _PEAK * usual)
    return calm


def _level(smoothed: Sequence[float], rate: float, weights: float, first: int, day: int) -> float:
    """Return the mean day from *first* on: what was spent, per what its weekdays would have."""
    spent = smoothed[day] - _POWERS[rate][day - first] * smoothed[first]
    # A rounding error can leave the difference just below zero. If no weekday has anything, nothing
    # is expected.
    return max(spent, 0.0) / weights if weights > 1e-9 else 0.0


@cache
def _weights(rate: float, days: int) -> list[float]:
    """Return how much each weekday counts in the last *days*, that of the day after them first."""
    powers = _POWERS[rate]
    return [
        powers[WEEK - 1 - weekday]
        * (1 - powers[WEEK * ((days + weekday) // WEEK)])
        / (1 - powers[WEEK])
        for weekday in range(WEEK)
    ]


def _smoothed(spend: Sequence[float], rate: float) -> list[float]:
    """Return the sums of the days before each day, with older days counting less."""
    return list(accumulate(spend, lambda total, amount: total * (1 - rate) + amount, initial=0.0))


def _moved(means: list[float]) -> int:
    """Return where *means* of days clearly moved for good, or 0 if they did not."""
    least = 0.02 * fmean(means)
    return _split([log(mean / least + 1) for mean in means]) if least > 0 else 0


def _split(logs: list[float]) -> int:
    """Return where *logs* clearly moved for the last time, or 0 if they did not."""
    moves = _Moves(logs)
    latest = len(logs) - _LASTING
    # Every fourth day shows whether it is worth looking at each of them.
    if all(moves.at(split) < _CLEARLY / 2 for split in range(latest, 3, -4)):
        return 0
    found, most = 0, _CLEARLY
    for split in range(latest, 3, -1):
        moved = moves.at(split)
        if moved > most:
            found, most = split, moved
        elif found and moved < 0.7 * most:
            break
    return found


class _Moves:
    """How far apart the means of values are before and after a split."""

    def __init__(self, values: Sequence[float]) -> None:
        self._end = len(values)
        self._sums = [0.0, *accumulate(values)]
        self._squares = [0.0, *accumulate(map(mul, values, values))]

    def at(self, split: int) -> float:
        """Return the distance in standard errors; a fall counts more than a rise."""
        start = max(0, split - _BEFORE)
        before, after = split - start, self._end - split
        middle = self._sums[split]
        of_before = (middle - self._sums[start]) / before
        of_after = (self._sums[self._end] - middle) / after
        scatter = self._squares[self._end] - self._squares[start]
        scatter -= before * of_before * of_before + after * of_after * of_after
        # The days of an API's usage differ by at least a few percent: a smaller difference is luck.
        variance = max(scatter / (before + after - 2), 0.01)
        distance = (of_after - of_before) / sqrt(variance * (1 / before + 1 / after))
        return distance if distance > 0 else -distance * _FALL_COUNTS


@cache
def _effective_days(ahead: int) -> float:
    """Return the days of growth until *ahead* days from now: 7 that the level lags, then fading."""
    fading = 0.95
    return 7 + fading * (1 - fading**ahead) / (1 - fading)
