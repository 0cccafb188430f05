"""The usage history by UTC day, and how much of each day is in the invoice's period."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from math import ceil

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.usage_history import UsageEntry, UsageHistory

DAY = 86_400
"""Seconds of a day."""
_RECENT = 28 * DAY
_PERCENTILE = Fraction(95, 100)


@dataclass(frozen=True)
class UsageDay:
    """The usage of one UTC day, in units of usage."""

    start: int
    """Start of the day, in Unix seconds."""
    usage: Fraction
    """The usage of the whole day; negative where something was corrected."""
    in_period: Fraction
    """The part of it that is in the invoice's period."""
    surely_in_period: Fraction
    """The same without the hour or day within which the period starts, once that is over: all of
    its usage may have been before."""
    is_over: bool
    """Whether the history has all of the day."""


def usage_days(
    history: UsageHistory, period_start: int, period_end: int, now: Fraction
) -> list[UsageDay]:
    """
    Return the days of *history* from the first one with usage on, up to the one of *now*.

    A period that starts or ends within a day has the hours of that day that it covers, and of a
    whole day's usage, or of today's until *now*, the part that is as long.
    """
    by_day: dict[int, list[UsageEntry]] = {}
    for entry in history.entries:
        if entry.start < now:
            by_day.setdefault(day_of(entry.start), []).append(entry)
    days = [
        UsageDay(
            start=start,
            usage=_total(entries),
            in_period=_in_period(entries, period_start, period_end, now),
            surely_in_period=_surely_in_period(entries, period_start, period_end, now),
            is_over=_is_whole(start, entries) and start + DAY <= now,
        )
        for start, entries in sorted(by_day.items())
    ]
    used = (number for number, day in enumerate(days) if day.usage)
    return days[next(used, len(days)) :]


def lacks_values(history: UsageHistory, period_start: int, now: Fraction) -> bool:
    """
    Return whether a day of the period, or of the last 28 days, is in *history* without its value.

    It is no day without usage. That of *now* is not known to its end in any case.
    """
    recent = min(Fraction(period_start), now - _RECENT)
    return any(recent <= day_of(start) <= now - DAY for start in history.entries_without_value)


def day_of(moment: int | Fraction) -> int:
    """Return the start of the UTC day of *moment*, both in Unix seconds."""
    return int(moment // DAY) * DAY


def date_of(start: int) -> date:
    """Return the UTC day that *start* (Unix seconds) is in."""
    return datetime.fromtimestamp(start, tz=UTC).date()


def sum_over(daily: Callable[[int], Fraction], start: Fraction, until: Fraction) -> Fraction:
    """Return the sum from *start* to *until* of *daily*, which takes the start of a day."""

    def part(day: int) -> Fraction:
        if start <= day and day + DAY <= until:
            return daily(day)
        return daily(day) * (min(until, Fraction(day + DAY)) - max(start, Fraction(day))) / DAY

    return sum(map(part, range(day_of(start), ceil(until), DAY)), Fraction(0))


def _total(entries: Iterable[UsageEntry]) -> Fraction:
    return Fraction(money.total(entry.aggregated_value for entry in entries))


def _in_period(entries: list[UsageEntry], start: int, end: int, now: Fraction) -> Fraction:
    if start <= entries[0].start and entries[-1].end <= end:
        return _total(entries)
    if entries[-1].end <= start or end <= entries[0].start:
        return Fraction(0)
    return sum((_share(entry, start, end, now) * _total([entry]) for entry in entries), Fraction(0))


def _surely_in_period(entries: list[UsageEntry], start: int, end: int, now: Fraction) -> Fraction:
    # While it goes on, "no usage yet" would be a guess as well, and no rule blocks that early.
    begun = [entry for entry in entries if start <= entry.start or now < entry.end]
    return _in_period(begun, start, end, now) if begun else Fraction(0)


def _share(entry: UsageEntry, start: int, end: int, now: Fraction) -> Fraction:
    until = min(Fraction(entry.end), now)
    covered = min(until, Fraction(end)) - max(entry.start, start)
    return max(covered, Fraction(0)) / (until - entry.start)


def _is_whole(start: int, entries: list[UsageEntry]) -> bool:
    if any(entry.is_partial for entry in entries):
        return False
    return entries[0].start == start and entries[-1].end == start + DAY


def percentile(ordered: Sequence[Fraction]) -> Fraction:
    """Return the 95th percentile of *ordered* values, between the two that are nearest to it."""
    rank = _PERCENTILE * (len(ordered) - 1)
    below = int(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)
