"""One forecast of an account whose month's total is known, held against that total."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean

from benchmarks.simulated import BEFORE, Account, account
from pulumi_cf_invoice.billing import Invoice, UsageHistory
from pulumi_cf_invoice.forecast import forecast_invoice
from tests.factories import START, api_line, api_result

DAYS = (3, 7, 14, 21)
"""The days of the month on which forecasts are made, at noon."""
IN_BAND, IN_BAND_BY_DAY = (0.7, 0.9), (0.66, 0.92)
"""How often the total is in the band: over all, and on each of the days."""
DAY = 86_400
_NOON = 0.5
_QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Condition:
    """How history and invoice are when they are read."""

    name: str
    history_behind: float = 0
    """Days."""
    invoice_behind: float = 0
    """Days."""
    own_unit: bool = False


FRESH = Condition("as of now")


@dataclass(frozen=True)
class Tried:
    """One forecast, and what came. All but the day are shares of the month's total."""

    kind: str
    day: int
    error: float
    straight: float
    is_in_band: bool | None
    pinball: float | None = None
    """The mean pinball loss of the 10th, 50th and 90th percentile; None without a band."""
    width: float | None = None
    """How many times the median the 90th percentile is; None without a band."""
    is_before_step: bool = False
    """Whether the step of the account was still to come."""


def tried(kind: str, seed: int, number: int, day: int, condition: Condition) -> Tried:
    """Forecast an account at noon of the *day* of the month, and compare with its total."""
    price: float = (1, 100)[number % 2]
    if condition.own_unit:
        price = random.Random(f"{seed}/{number}/unit").choice([0.00017, 0.023, 7, 2300])
    return tried_on(account(kind, seed, number), kind, day, condition, price)


def tried_on(
    made: Account, kind: str, day: int, condition: Condition = FRESH, price: float = 1
) -> Tried:
    """Forecast the account *made*, whose usage is counted in so many cents (*price*)."""
    now = day - 1 + _NOON
    at = datetime.fromtimestamp(START + now * DAY, tz=UTC)
    invoice = invoice_until(made.spend, now - condition.invoice_behind)
    forecast = forecast_invoice(
        invoice, history_until(made.usage, now - condition.history_behind, price, at), at=at
    )
    straight = invoice.projected_amount_due(at)
    if forecast.amount_due is None or straight is None:
        raise RuntimeError("no forecast")
    percentiles = [forecast.amount_due_p10, forecast.amount_due, forecast.amount_due_p90]
    return compared(sum(made.spend[BEFORE:]), percentiles, straight, kind, day, made.steps_on > now)


def compared(
    total: float,
    percentiles: Sequence[float | None],
    straight: float,
    kind: str,
    day: int,
    is_before_step: bool = False,
) -> Tried:
    """Hold the 10th, 50th and 90th of *percentiles*, and a straight line, against the *total*."""
    low, median, high = percentiles
    assert median is not None
    pinball = width = None
    if low is not None and high is not None:
        losses = (
            max(share * (total - value), (share - 1) * (total - value))
            for share, value in zip(_QUANTILES, (low, median, high), strict=True)
        )
        pinball = fmean(losses) / total
        width = high / median if median > 0 else 1.0
    return Tried(
        kind,
        day,
        error=abs(median - total) / total,
        straight=abs(straight - total) / total,
        is_in_band=None if low is None or high is None else low <= total <= high,
        pinball=pinball,
        width=width,
        is_before_step=is_before_step,
    )


def _until(days: Sequence[float], end: float) -> Iterator[float]:
    """Return the days until *end*, in days of the month; of the last one the part until then."""
    for number, amount in enumerate(days):
        yield amount * min(max(end - (number - BEFORE), 0), 1)


def invoice_until(days: Sequence[float], end: float) -> Invoice:
    """Return the invoice of what *days* cost until *end*, in days of the month."""
    gross = round(sum(list(_until(days, end))[BEFORE:]))
    line = api_line(amount=gross, pretax_credit_amounts=[])
    return Invoice.from_api(api_result(amount_due=gross, invoice_lines=[line]))


def history_until(days: Sequence[float], end: float, price: float, at: datetime) -> UsageHistory:
    """Return the history of *days* until *end*, in days of the month, as it is read *at* a time."""
    values = {
        START + (number - BEFORE) * DAY: round(amount / price, 6)
        for number, amount in enumerate(_until(days, end))
    }
    today = int(at.timestamp()) // DAY * DAY
    since = START - BEFORE * DAY
    return UsageHistory.of_values(values, window="day", since=since, until=today + DAY, at=at)


def of_straight_line(found: Iterable[Tried]) -> float:
    """Return the mean error of *found* as a share of the straight line's."""
    pairs = [(each.error, each.straight) for each in found]
    return fmean(error for error, _ in pairs) / fmean(straight for _, straight in pairs)


def by_kind(found: Iterable[Tried]) -> dict[str, list[Tried]]:
    """Return the forecasts of *found* by kind of account."""
    kinds: dict[str, list[Tried]] = {}
    for each in found:
        kinds.setdefault(each.kind, []).append(each)
    return kinds


def on(day: int, found: Iterable[Tried]) -> list[Tried]:
    """Return the forecasts of *found* that were made on the *day* of the month."""
    return [each for each in found if each.day == day]


def mean_share(found: Iterable[Tried]) -> float:
    """Return the mean of the kinds' shares of the straight line's error."""
    return fmean(of_straight_line(tries) for tries in by_kind(found).values())


def share_in_band(found: Iterable[Tried]) -> float:
    """Return how often the total was in the band, of the forecasts that have one."""
    return fmean(each.is_in_band for each in found if each.is_in_band is not None)


def row(cells: Sequence[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"
