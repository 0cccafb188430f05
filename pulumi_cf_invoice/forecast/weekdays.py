"""Each weekday's share of a mean day: the better the weeks agree on it, the more it counts."""

from collections.abc import Sequence
from operator import add, mul, sub

WEEK = 7
_MOST_WEEKS = 13


class Weekdays:
    """The weekday factors on each day of a history, from the weeks before that day alone."""

    def __init__(self, spend: Sequence[float]) -> None:
        # By day, of the weeks that end on it or on the same weekday before it: how many there are,
        # the sums of each weekday's ratio to its week's mean day, and those of the ratios' squares.
        self._counts = [0] * (len(spend) + 1)
        self._sums = [[0.0] * WEEK for _ in range(len(spend) + 1)]
        self._squares = [[0.0] * WEEK for _ in range(len(spend) + 1)]
        for end in range(WEEK, len(spend) + 1):
            week = spend[end - WEEK : end]
            mean = sum(week) / WEEK
            ratios = [amount / mean for amount in week] if mean > 0 else [0.0] * WEEK
            before = end - WEEK
            self._counts[end] = self._counts[before] + (mean > 0)
            self._sums[end] = list(map(add, self._sums[before], ratios))
            self._squares[end] = list(map(add, self._squares[before], map(mul, ratios, ratios)))

    def factors(self, day: int) -> list[float]:
        """
        Return each weekday's share of a mean day, that of the *day* (a position) first.

        The more of the difference between mean ratios the scatter between weeks would explain, the
        less it counts; if that explains all of it, there is no pattern.
        """
        first = max(day % WEEK, day - _MOST_WEEKS * WEEK)
        weeks = self._counts[day] - self._counts[first]
        if weeks < 2:
            return [1.0] * WEEK
        means = self._since(self._sums, first, day, weeks)
        squares = self._since(self._squares, first, day, weeks)
        scatter = max(sum(squares) - sum(map(mul, means, means)), 0.0)
        noise = scatter / WEEK / (weeks - 1)
        between = sum((mean - 1) ** 2 for mean in means) / (WEEK - 1)
        trust = max(0.0, 1 - noise / between) if between > 0 else 0.0
        return [max(1 + (mean - 1) * trust, 0.0) for mean in means]

    @staticmethod
    def _since(sums: list[list[float]], first: int, day: int, weeks: int) -> list[float]:
        return [total / weeks for total in map(sub, sums[day], sums[first])]
