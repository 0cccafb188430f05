"""
Days that cost several times what is usual: a month's total shows them too late.

What is usual is what the rule ``max-daily-spend`` takes for it. Where that is nothing, on an
account that is used at times, it is the costliest day before.
"""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import accumulate

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.forecast import Forecast, SpentDay
from pulumi_cf_invoice.forecast.daily import last_days
from pulumi_cf_invoice.forecast.days import date_of
from pulumi_cf_invoice.report.account import AccountReport

MULTIPLE = 3
"""How many times as much as usual is used on a day that is named, at least."""
_SHARE = Fraction(1, 10)
"""The share of the period's spend that such a day has at least."""
_MOST_TIMES = 10**9
"""How many times as much as usual are named at most: more digits say nothing."""


@dataclass(frozen=True)
class Spike:
    """Days of the period that cost over three times what is usual, in words."""

    text: str
    """The days and what they cost, in a sentence."""
    brief: str
    """The costliest day, in a sentence's middle."""


def spike(account: AccountReport, forecast: Forecast) -> Spike | None:
    """
    Return the days that cost over three times what is usual.

    None if none did, or if what is usual is not known.
    """
    least = sum(day.gross for day in forecast.spent) * _SHARE
    large = [day for day in forecast.spent if day.gross > least]
    times, usual = _times_usual(account) if large else ({}, "")
    days = [day for day in large if times.get(day.date, 0) > MULTIPLE]
    if not days:
        return None
    most = max(days, key=lambda day: day.gross)
    before_credits = " before credits" if most.gross != most.net else ""
    spend = f"{money.to_text(most.gross, forecast.currency)}{before_credits}"
    of_most = f"{spend} on {_named(most, forecast)}"
    multiple = f"{min(round(times[most.date]), _MOST_TIMES):,d} times {usual}"
    brief = f"{of_most} is {multiple}"
    if len(days) == 1:
        return Spike(f"{brief}.", brief)
    return Spike(
        f"{len(days)} days since {days[0].date} cost over {MULTIPLE} times {usual}; the highest is "
        f"{of_most}, {multiple}.",
        brief,
    )


def _times_usual(account: AccountReport) -> tuple[dict[date, Fraction], str]:
    """
    Return how many times as much as usual was used on each day, and what is usual.

    The first is empty where that is not known.
    """
    history = account.usage_history
    if history is None:
        return {}, ""
    # Shares of usage need no price.
    known = last_days(history, None, at=account.snapshot.read_at)
    usual = known.usual(Fraction(MULTIPLE))
    if usual is None:
        return {}, ""
    before = {date_of(day.start): day.usage for day in known.before}
    last = {day.date: day.usage for day in known.days if day.usage is not None}
    used = {**before, **last}
    if usual:
        return {day: usage / usual for day, usage in used.items()}, "a usual day"
    highest = accumulate(used.values(), max)
    # Each day but the first beside the most that was used on any before.
    compared = zip(list(used.items())[1:], highest, strict=False)
    times = {day: usage / most for (day, usage), most in compared if most > 0}
    return times, "the costliest day before"


def _named(day: SpentDay, forecast: Forecast) -> str:
    is_today = bool(forecast.coming) and day.date == forecast.coming[0].date
    return f"{day.date}{' (today so far)' if is_today else ''}"
