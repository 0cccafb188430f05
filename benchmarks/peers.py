"""Other methods, to which the forecast is compared: of statsforecast, and the last four weeks."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from math import sqrt
from statistics import fmean

WEEK = 7
_LEVEL = 80
LAST_FOUR = "last four same weekdays"
NAMES = ("AutoETS", "AutoTheta", "MSTL")


@dataclass(frozen=True)
class Expected:
    """What a method expects of each of the next days, with its 10th and 90th percentile."""

    days: list[float]
    low: list[float]
    high: list[float]

    def sums(self, shares: Sequence[float], together: bool) -> tuple[float, float, float]:
        """
        Return the 10th, 50th and 90th percentile of the sum of the days, of each its share.

        Days are wrong *together*, or each by itself: no method says which, so the caller does.
        """
        median = _dot(shares, self.days)
        if together:
            return _dot(shares, self.low), median, _dot(shares, self.high)
        sides = zip(shares, self.days, self.low, self.high, strict=True)
        below, above = 0.0, 0.0
        for share, day, low, high in sides:
            below += (share * (day - low)) ** 2
            above += (share * (high - day)) ** 2
        return max(median - sqrt(below), 0.0), median, median + sqrt(above)


def expected(name: str, history: Sequence[float], days: int) -> Expected:
    """Return what the method of that *name* expects of the next *days* after *history*."""
    if name == LAST_FOUR:
        weeks = [history[-WEEK * (back + 1) : len(history) - WEEK * back] for back in range(4)]
        whole = [week for week in weeks if len(week) == WEEK]
        means = [fmean(same) for same in zip(*whole, strict=True)] or [fmean(history)] * WEEK
        spend = [means[number % WEEK] for number in range(days)]
        return Expected(spend, spend, spend)
    numpy = import_module("numpy")
    model = getattr(import_module("statsforecast.models"), name)(season_length=WEEK)
    made = model.forecast(y=numpy.array(history, dtype=float), h=days, level=[_LEVEL])
    # Spend is never negative.
    columns = (made["mean"], made[f"lo-{_LEVEL}"], made[f"hi-{_LEVEL}"])
    return Expected(*([max(float(value), 0.0) for value in column] for column in columns))


def _dot(shares: Sequence[float], values: Sequence[float]) -> float:
    return sum(share * value for share, value in zip(shares, values, strict=True))
