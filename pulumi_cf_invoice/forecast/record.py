"""How wrong the method has been on an account, and what it learns from that."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from math import fsum, sqrt
from operator import mul
from statistics import fmean

from pulumi_cf_invoice.billing.models import counted
from pulumi_cf_invoice.forecast.levels import CANDIDATES, MEANS_OF, Past, without_pause

BAND_FROM = 14
"""The days of history from which on weekdays are distinguished and there is a band."""
_WEEK = 7
_YOUNG_UNTIL = 4 * _WEEK
_LONGEST_HORIZON = 14
_ORIGINS = 49
_FIRST_ORIGIN = 7
_QUANTILES = (0.1, 0.9)
# Levels are chosen by their errors over so many days, from as many past days on.
_CHOSEN_OVER, _CHOSEN_FROM = 10, 28
# An error below this share of what is usual is chance; a candidate of half the error of another
# counts 16 times as much.
_CHANCE, _POWER = 0.02, 4
# A larger multiple of what is usual only shows that something else began.
_LARGEST_ERROR = 2.75


@dataclass(frozen=True)
class TrackRecord:
    """How wrong the method would have been on this account on each day of the past weeks."""

    error: float
    """Mean error of the spend in `horizon` days, as a share of what was spent (0.12 is 12%)."""
    horizon: int
    """Number of days over which `error` is measured."""
    origins: int
    """Number of days on which the method was tried."""
    bands: tuple[tuple[float, float], ...]
    """The band of the error after 1, 2, … days, as a share of what is usual: never above and never
    below 0."""

    @property
    def text(self) -> str:
        """The error for people: ``off by 12% over 14 days, tried on 49 days``."""
        tried = f"tried on {counted(self.origins, 'day')}"
        return f"off by {100 * self.error:,.0f}% over {counted(self.horizon, 'day')}, {tried}"

    def band(self, horizon: int) -> tuple[float, float]:
        """Return the lower and upper error in *horizon* days, as shares of what is usual."""
        known = min(horizon, len(self.bands))
        wider = sqrt(horizon / known)
        low, high = self.bands[known - 1]
        return max(low * wider, -1.0), min(high * wider, _LARGEST_ERROR)


@dataclass(frozen=True)
class SoFar:
    """The spend of a day that is not over, and how much of the day has passed (0 to 1)."""

    spend: float
    part: float


@dataclass(frozen=True)
class Foreseen:
    """What is expected of the days to come."""

    spend: list[float]
    """The spend of each of them."""
    usual: float
    """The mean day of the last four weeks."""
    record: TrackRecord | None
    """How wrong such expectations were; none where history is too short for a band."""


def foresee(past: Past, days: int, horizon: int = 1, today: SoFar | None = None) -> Foreseen:
    """
    Return what to expect of the next *days*, from a *past* of at least one day.

    The error is measured over *horizon* days, 14 at most, and fewer where history is short. Under
    `BAND_FROM` days it is one level for all of them: the mean of the last week, and of all days
    where there are more. Under four weeks, *today* so far is a good part of all that is known.
    """
    spend = past.spend
    if len(spend) < BAND_FROM:
        level = fmean([fmean(spend[-_WEEK:]), fmean(spend)])
        foreseen = Foreseen([level] * days, level, None)
    else:
        tries, day = _Tries(past), len(spend)
        usual, record = past.usual(day), tries.record(horizon)
        foreseen = Foreseen(tries.foreseen(day, days), usual, record)
    if today is None or len(spend) >= _YOUNG_UNTIL:
        return foreseen
    return _with(today, fsum(spend), foreseen)


def _with(today: SoFar, spent: float, foreseen: Foreseen) -> Foreseen:
    """Return what is *foreseen*, by as much more as there is with *today* than was expected."""
    expected = spent + today.part * foreseen.spend[0]
    # A day without any yet may only be late.
    if today.spend <= 0 or expected <= 0:
        return foreseen
    more = (spent + today.spend) / expected
    return replace(foreseen, spend=[round(amount * more, 6) for amount in foreseen.spend])


class _Tries:
    """What the method says on the last day of a history, and what it would have said before."""

    def __init__(self, past: Past) -> None:
        self.past, spend = past, past.spend
        self.longest = min(_LONGEST_HORIZON, (len(spend) - _FIRST_ORIGIN) // 2)
        self.first = max(_FIRST_ORIGIN, len(spend) - self.longest - _ORIGINS + 1)
        self._chosen_over = min(_CHOSEN_OVER, self.longest)
        self._earliest = max(_FIRST_ORIGIN, self.first - self._chosen_over - _CHOSEN_FROM + 1)
        # A pause that is over says nothing about the days to come. What came is what came.
        seen = without_pause(spend)
        self._seen = past if seen is spend else Past(seen)

    def foreseen(self, day: int, days: int) -> list[float]:
        """Return what is expected on the *day* of that day and the next ones, so many *days*."""
        sight, weights = self._seen.sight(day), self._weights(day)
        steady = sum(map(mul, weights, sight.levels))
        growing = sum(map(mul, weights[len(sight.levels) :], sight.growing))
        # Rounded, or a rounding error would decide on which day credits run out.
        return [
            round(steady * share + growing * growing_share, 6)
            for share, growing_share in zip(*sight.shapes(days), strict=True)
        ]

    def record(self, horizon: int) -> TrackRecord:
        tried = self._tried()
        measured = min(horizon, self.longest)
        found = tried[measured - 1]
        spent = fsum(happened for _, happened, _ in found)
        off = fsum(abs(foreseen - happened) for foreseen, happened, _ in found)
        return TrackRecord(
            error=round(off / spent, 4) if spent else 0.0,
            horizon=measured,
            origins=len(found),
            bands=tuple(_band(found, ahead) for ahead, found in enumerate(tried, 1)),
        )

    def _tried(self) -> list[list[tuple[float, float, float]]]:
        """Return what was foreseen, happened and was usual in 1, 2, … days from past days on."""
        tried: list[list[tuple[float, float, float]]] = [[] for _ in range(self.longest)]
        for day in range(self.first, len(self.past)):
            usual = self.past.usual(day)
            expected = self.foreseen(day, min(self.longest, len(self.past) - day))
            for ahead, foreseen in enumerate(accumulate(expected), 1):
                happened = self.past.between(day, day + ahead)
                tried[ahead - 1].append((foreseen, happened, usual * ahead))
        return [found[-_ORIGINS:] for found in tried]

    def _weights(self, day: int) -> list[float]:
        """
        Return each candidate's weight on the *day*, by its errors until then.

        A short history has few tries, and they overlap, so that the best of ten candidates is
        mostly the luckiest. The fewer the tries, the more a candidate is weighted by the number of
        days it averages, which is best where spend only varies by chance.
        """
        last = day - self._chosen_over
        first = max(self._earliest, last - _CHOSEN_FROM + 1)
        count = last - first + 1
        usual = self.past.usual(day) * self._chosen_over
        if usual <= 0:
            return [1 / CANDIDATES] * CANDIDATES
        means_of = [min(days, day) for days in MEANS_OF]
        if count < 3:
            return _shares(means_of)
        until = self._squares[last + 1 - self._earliest]
        before = self._squares[first - self._earliest]
        errors = [
            sqrt(max(end - start, 0.0) / count) / usual + _CHANCE
            for end, start in zip(until, before, strict=True)
        ]
        least = min(errors)
        tried = count / _CHOSEN_FROM
        return _shares(
            [
                (least / error) ** (_POWER * tried) * days ** (1 - tried)
                for error, days in zip(errors, means_of, strict=True)
            ]
        )

    @cached_property
    def _squares(self) -> list[list[float]]:
        """The sums of each candidate's squared errors on all days before a day."""
        sums = [[0.0] * CANDIDATES]
        for day in range(self._earliest, len(self.past) - self._chosen_over + 1):
            happened = self.past.between(day, day + self._chosen_over)
            sight = self._seen.sight(day)
            steady, growing = map(sum, sight.shapes(self._chosen_over))
            errors = [
                *(level * steady - happened for level in sight.levels),
                *(level * growing - happened for level in sight.growing),
            ]
            squares = (error * error for error in errors)
            sums.append([total + square for total, square in zip(sums[-1], squares, strict=True)])
        return sums


def _shares(weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    return [weight / total for weight in weights]


def _band(found: Sequence[tuple[float, float, float]], horizon: int) -> tuple[float, float]:
    errors = sorted(_error(*pair) for pair in found)
    low, high = (_quantile(errors, share) for share in _QUANTILES)
    # Horizons overlap: the fewer of them fit into the record, the less it shows of the extremes.
    wider = 1 + horizon / len(errors)
    return min(low, 0.0) * wider, max(high, 0.0) * wider


def _error(foreseen: float, happened: float, usual: float) -> float:
    """
    Return an error as a share of what is usual.

    As a share of what was foreseen alone, it would have no limit if that was next to nothing.
    """
    most = foreseen if foreseen > usual else usual
    if most <= 0:
        return 0.0
    error = (happened - foreseen) / most
    # Rounded, so that a steady account has no band of rounding errors.
    return round(error, 6) if error < _LARGEST_ERROR else _LARGEST_ERROR


def _quantile(ordered: Sequence[float], share: float) -> float:
    position = min(max(share * (len(ordered) + 1) - 1, 0.0), len(ordered) - 1.0)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])
