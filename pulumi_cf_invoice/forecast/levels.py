"""
The statistics: what days of spend say about the days to come, and how wrong that has been.

Spend is one number a day, none of them negative, the latest day last. Only ratios between days
matter, so that the unit does not. There are no random numbers in it.
"""

from collections.abc import Sequence
from itertools import accumulate
from math import exp, fsum, log, sqrt
from statistics import fmean, median

from pydantic.dataclasses import dataclass as described

from pulumi_cf_invoice.billing.models import DESCRIBED, counted

BAND_FROM = 14
"""The days of history from which on weekdays are told apart and there is a band."""
_WEEK = 7
# What happened longer ago than a quarter of a year says little about next month.
_LONGEST = 13 * _WEEK
_LONGEST_HORIZON = 14
_ORIGINS = 49
_FIRST_ORIGIN = 7
_QUANTILES = (0.1, 0.9)
# Beyond a hundredth and a hundred times the median, a band says nothing.
_WIDEST = log(100)


@described(frozen=True, config=DESCRIBED)
class TrackRecord:
    """How wrong the method was on this account, had it been asked on each day of the past weeks."""

    error: float
    """Mean error of the spend in `horizon` days, as a share of what was spent (0.12 is 12 %)."""
    horizon: int
    """Number of days over which `error` is measured."""
    origins: int
    """Number of days on which the method was tried for it."""
    bands: tuple[tuple[float, float], ...]
    """The band of the log error after 1, 2, … days: never above and never below 0."""

    @property
    def text(self) -> str:
        """The error for people: ``off by 12 % over 14 days, tried on 49 days``."""
        tried = f"tried on {counted(self.origins, 'day')}"
        return f"off by {100 * self.error:,.0f} % over {counted(self.horizon, 'day')}, {tried}"

    def band(self, horizon: int) -> tuple[float, float]:
        """Return the lower and upper log error of what is spent in *horizon* days."""
        known = min(horizon, len(self.bands))
        wider = sqrt(horizon / known)
        low, high = self.bands[known - 1]
        return max(low * wider, -_WIDEST), min(high * wider, _WIDEST)


def predict(spend: Sequence[float], days: int) -> list[float]:
    """
    Return the spend to expect on each of the next *days*, from at least one day of *spend*.

    Under `BAND_FROM` days it is one level for all of them: the mean of the last week, and of all
    days where there are more.
    """
    if len(spend) < BAND_FROM:
        return [fmean([fmean(spend[-_WEEK:]), fmean(spend)])] * days
    recent = spend[-_LONGEST:]
    factors = _weekday_factors(recent)
    # The factors begin with the weekday of the next day, which was last seen a week before it.
    offset = -len(recent) % _WEEK
    without = [one / factors[(day + offset) % _WEEK] for day, one in enumerate(recent)]
    level, growth = _level(without), _daily_growth(recent)
    return [
        level * factors[(number - 1) % _WEEK] * exp(growth * _effective_days(number))
        for number in range(1, days + 1)
    ]


def track_record(spend: Sequence[float], horizon: int) -> TrackRecord | None:
    """
    Try the method on each of the last days, and measure its error over *horizon* days.

    The horizon is 14 days at most, and shorter where history is. Returns None where it is too short
    for a band.
    """
    if len(spend) < BAND_FROM:
        return None
    longest = min(_LONGEST_HORIZON, (len(spend) - _FIRST_ORIGIN) // 2)
    tried = _tried(spend, longest)
    measured = min(horizon, longest)
    pairs = tried[measured - 1]
    spent = fsum(happened for _, happened in pairs)
    off = fsum(abs(foreseen - happened) for foreseen, happened in pairs)
    return TrackRecord(
        error=round(off / spent, 4) if spent else 0.0,
        horizon=measured,
        origins=len(pairs),
        bands=tuple(_band(pairs, ahead) for ahead, pairs in enumerate(tried, 1)),
    )


def _tried(spend: Sequence[float], longest: int) -> list[list[tuple[float, float]]]:
    """Return what was foreseen and what happened in 1, 2, … *longest* days from past days on."""
    tried: list[list[tuple[float, float]]] = [[] for _ in range(longest)]
    first = max(_FIRST_ORIGIN, len(spend) - longest - _ORIGINS + 1)
    for origin in range(first, len(spend)):
        expected = predict(spend[:origin], min(longest, len(spend) - origin))
        foreseen = happened = 0.0
        for ahead, one in enumerate(expected):
            foreseen += one
            happened += spend[origin + ahead]
            tried[ahead].append((foreseen, happened))
    return [pairs[-_ORIGINS:] for pairs in tried]


def _band(pairs: Sequence[tuple[float, float]], horizon: int) -> tuple[float, float]:
    errors = sorted(_log_error(*pair) for pair in pairs)
    low, high = (_quantile(errors, share) for share in _QUANTILES)
    # Horizons overlap: the fewer of them fit into the record, the less it knows of the extremes.
    wider = 1 + horizon / len(errors)
    return min(low, 0.0) * wider, max(high, 0.0) * wider


def _log_error(foreseen: float, happened: float) -> float:
    # A hundredth of both keeps the error finite where nothing was spent.
    least = 0.01 * (happened + foreseen)
    return log((happened + least) / (foreseen + least)) if least > 0 else 0.0


def _quantile(ordered: Sequence[float], share: float) -> float:
    position = min(max(share * (len(ordered) + 1) - 1, 0.0), len(ordered) - 1.0)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def _weekday_factors(spend: Sequence[float]) -> list[float]:
    """
    Return what each weekday has of a mean day, the one after the last day first.

    Each day counts against its own week's mean, and few weeks count less.
    """
    weeks = []
    for end in range(len(spend), _WEEK - 1, -_WEEK):
        week = spend[end - _WEEK : end]
        mean = fmean(week)
        if mean > 0:
            weeks.append([one / mean for one in week])
    if not weeks:
        return [1.0] * _WEEK
    trust = len(weeks) / (len(weeks) + 1)
    # A factor near 0 would make the day's rest of the level a huge one.
    return [max(1 + (fmean(days) - 1) * trust, 0.05) for days in zip(*weeks, strict=True)]


def _level(spend: Sequence[float]) -> float:
    """Return the mean day without weekdays: since it last moved (3 parts), of 7 and of 14 days."""
    since, week, fortnight = fmean(_since_it_moved(spend)), fmean(spend[-7:]), fmean(spend[-14:])
    return (3 * since + week + fortnight) / 5


def _since_it_moved(spend: Sequence[float]) -> Sequence[float]:
    """Return the days since the level last moved for good, of six weeks at most."""
    recent = spend[-6 * _WEEK :]
    least = 0.02 * fmean(recent)
    if least <= 0:
        return recent
    logs = _Sums([log(one / least + 1) for one in recent])
    found, most = 0, 3.5
    for split in range(len(recent) - 4, 3, -1):
        moved = logs.distance(max(0, split - 14), split, len(recent))
        if moved > most:
            found, most = split, moved
        elif found and moved < 0.7 * most:
            break
    return recent[found:]


class _Sums:
    """Sums of values and of their squares, which tell any part's mean and variance at once."""

    def __init__(self, values: Sequence[float]) -> None:
        self.sums = [0.0, *accumulate(values)]
        self.squares = [0.0, *accumulate(value * value for value in values)]

    def distance(self, start: int, split: int, end: int) -> float:
        """Return how far apart the means before and after *split* are, in standard errors."""
        before, after = split - start, end - split
        of_before = (self.sums[split] - self.sums[start]) / before
        of_after = (self.sums[end] - self.sums[split]) / after
        squares = self.squares[end] - self.squares[start]
        squares -= before * of_before**2 + after * of_after**2
        # Days of an API's usage differ by some percent at least: less is luck.
        variance = max(squares / (before + after - 2), 0.01)
        return abs(of_before - of_after) / sqrt(variance * (1 / before + 1 / after))


def _daily_growth(spend: Sequence[float]) -> float:
    """
    Return the log growth a day where most of the last eight weeks rose, or fell, on one another.

    A step, a spike and chance leave the order of weeks mixed, and are no growth.
    """
    count = min(8, len(spend) // _WEEK)
    end = len(spend)
    means = [fmean(spend[end - _WEEK * (back + 1) : end - _WEEK * back]) for back in range(count)]
    if count < 6 or min(means) <= 0:
        return 0.0
    logs = [log(mean) for mean in reversed(means)]
    slopes = [
        (logs[later] - logs[earlier]) / (later - earlier)
        for earlier in range(count)
        for later in range(earlier + 1, count)
    ]
    agreeing = abs(sum((slope > 0) - (slope < 0) for slope in slopes)) / len(slopes)
    trust = max(0.0, (agreeing - 0.6) / 0.4)
    fastest = log(1.5)
    return trust * min(max(median(slopes), -fastest), fastest) / _WEEK


def _effective_days(ahead: int) -> float:
    """Return the days of growth until *ahead* days from now: 7 that the level lags, then fading."""
    fading = 0.95
    return 7 + fading * (1 - fading**ahead) / (1 - fading)
