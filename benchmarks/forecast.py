"""
The forecast on simulated accounts, whose month's total is known, against the straight line.

Five kinds of account, each a quarter of a year of history and a month long, with weekdays, and with
noise that is log-normal: steady; growing by 0.5 to 3 % a day; one step by a factor of 1.5 to 3, up
or down, on a day from a month before the period to its end; spiky, one day in ten 3 to 8 times as
large; new, from the first day of the period on. An account is made from its seed, kind and number
alone, and is the same everywhere.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from math import exp
from statistics import fmean
from time import perf_counter

from benchmarks.results import say
from pulumi_cf_invoice.billing import Invoice, UsageHistory
from pulumi_cf_invoice.forecast import forecast_invoice
from tests.factories import END, START, api_line, api_result

KINDS = ("steady", "growing", "step", "spiky", "new")
DAYS = (3, 7, 14, 21)
SEEDS = (1, 2, 3, 4, 5)
"""The seeds of `make bench`: 50 accounts of each kind for each of them."""
OTHER_SEEDS = (101, 102, 103, 104, 105)
TARGETS = {3: 0.80, 7: 0.97, 14: 0.95, 21: 0.88}
"""The mean error as a share of the straight line's, at most, by day of the month."""
WORST, WORST_BEHIND = 1.15, 2.0
"""The same in any kind, and where history or invoice are behind."""
IN_BAND, IN_ANY_BAND = (0.7, 0.9), 0.5
"""How often the total is in the band, over all, and at least in any kind."""
_DAY = 86_400
_BEFORE, _MONTH = 91, (END - START) // _DAY
_NOON = 0.5


@dataclass(frozen=True)
class Condition:
    """How history and invoice are when they are read."""

    name: str
    history_behind: int = 0
    invoice_behind: int = 0
    own_unit: bool = False


FRESH = Condition("as of now")
BEHIND = (
    Condition("the history one day behind", history_behind=1),
    Condition("the history two days behind", history_behind=2),
    Condition("the invoice one day behind", invoice_behind=1),
    Condition("the invoice two days behind", invoice_behind=2),
    Condition("both one day behind", history_behind=1, invoice_behind=1),
    Condition("both two days behind", history_behind=2, invoice_behind=2),
)
OWN_UNIT = (
    Condition("usage in a unit of its own", own_unit=True),
    Condition("the same, history one day behind", history_behind=1, own_unit=True),
    Condition("the same, history two days behind", history_behind=2, own_unit=True),
    Condition("the same, invoice one day behind", invoice_behind=1, own_unit=True),
    Condition("the same, invoice two days behind", invoice_behind=2, own_unit=True),
)


@dataclass(frozen=True)
class Account:
    """A simulated account: its spend on each day of its history and of the month, in cents."""

    days: list[float]
    steps_on: int
    """The day of its step, 0 for the first of the month; only an account with a step has one."""


@dataclass(frozen=True)
class Tried:
    """One forecast, and what came."""

    kind: str
    day: int
    error: float
    straight: float
    is_in_band: bool | None
    is_before_step: bool
    """Whether the step of the account was still to come."""


def account(kind: str, seed: int, number: int) -> Account:
    """Make the account of that number."""
    rng = random.Random(f"{seed}/{kind}/{number}")
    weekdays = [rng.uniform(0.85, 1.25) for _ in range(5)] + [rng.uniform(0.3, 0.8)] * 2
    first, level, noise = rng.randrange(7), exp(rng.uniform(4, 9)), rng.uniform(0.15, 0.4)
    growth, steps_on = rng.uniform(0.005, 0.03), rng.randrange(-30, _MONTH)
    step = rng.uniform(1.5, 3) ** rng.choice([-1, 1])
    days = []
    for day in range(-_BEFORE, _MONTH):
        one = level * weekdays[(first + day) % 7] * exp(rng.gauss(-(noise**2) / 2, noise))
        is_spike, spike = rng.random() < 0.1, rng.uniform(3, 8)
        if kind == "growing":
            one *= exp(growth * day)
        if kind == "step" and day >= steps_on:
            one *= step
        if kind == "spiky" and is_spike:
            one *= spike
        days.append(0.0 if kind == "new" and day < 0 else one)
    return Account(days, steps_on)


def tried(kind: str, seed: int, number: int, day: int, condition: Condition) -> Tried:
    """Forecast an account at noon of the *day* of the month, and compare with its total."""
    made = account(kind, seed, number)
    days = made.days
    total = sum(days[_BEFORE:])
    now = day - 1 + _NOON
    at = datetime.fromtimestamp(START + now * _DAY, tz=UTC)
    invoice = _invoice(days, now - condition.invoice_behind)
    price: float = (1, 100)[number % 2]
    if condition.own_unit:
        price = random.Random(f"{seed}/{number}/unit").choice([0.00017, 0.023, 7, 2300])
    history = _history(days, now - condition.history_behind, price, at)
    forecast = forecast_invoice(invoice, history, at=at)
    straight = invoice.projected_amount_due(at)
    if forecast.amount_due is None or straight is None:
        raise RuntimeError("no forecast")
    low, high = forecast.amount_due_p10, forecast.amount_due_p90
    return Tried(
        kind,
        day,
        error=abs(forecast.amount_due - total) / total,
        straight=abs(straight - total) / total,
        is_in_band=None if low is None or high is None else low <= total <= high,
        is_before_step=made.steps_on > now,
    )


def _until(days: Sequence[float], end: float) -> Iterator[float]:
    """Return the days until *end*, in days of the month; of the last one the part until then."""
    for number, one in enumerate(days):
        yield one * min(max(end - (number - _BEFORE), 0), 1)


def _invoice(days: Sequence[float], end: float) -> Invoice:
    gross = round(sum(list(_until(days, end))[_BEFORE:]))
    line = api_line(amount=gross, pretax_credit_amounts=[])
    return Invoice.from_api(api_result(amount_due=gross, invoice_lines=[line]))


def _history(days: Sequence[float], end: float, price: float, at: datetime) -> UsageHistory:
    values = {
        START + (number - _BEFORE) * _DAY: round(one / price, 6)
        for number, one in enumerate(_until(days, end))
    }
    today = int(at.timestamp()) // _DAY * _DAY
    since = START - _BEFORE * _DAY
    return UsageHistory.of_values(values, window="day", since=since, until=today + _DAY, at=at)


def simulate(seeds: Iterable[int], condition: Condition = FRESH, accounts: int = 50) -> list[Tried]:
    """Return the forecasts of *accounts* of each kind for each of *seeds*, on each of `DAYS`."""
    asked = [
        (kind, seed, number, day, condition)
        for seed in seeds
        for kind in KINDS
        for number in range(accounts)
        for day in DAYS
    ]
    with ProcessPoolExecutor() as pool:
        return list(pool.map(_tried, asked, chunksize=50))


def _tried(asked: tuple[str, int, int, int, Condition]) -> Tried:
    return tried(*asked)


def of_straight_line(found: Iterable[Tried]) -> float:
    """Return the mean error of *found* as a share of the straight line's."""
    pairs = [(one.error, one.straight) for one in found]
    return fmean(error for error, _ in pairs) / fmean(straight for _, straight in pairs)


def by_kind(found: Iterable[Tried]) -> dict[str, list[Tried]]:
    """Return the forecasts of *found* by kind of account."""
    kinds: dict[str, list[Tried]] = {kind: [] for kind in KINDS}
    for one in found:
        kinds[one.kind].append(one)
    return kinds


def section() -> str:
    """Simulate everything, and return it as a section of the results."""
    say("forecasts of simulated accounts")
    fixed = simulate(SEEDS)
    say("forecasts with other seeds")
    other = simulate(OTHER_SEEDS)
    rows = []
    for condition in (*BEHIND, *OWN_UNIT):
        say(f"forecasts with {condition.name}")
        rows.append(_behind(condition, simulate(SEEDS[:2], condition, accounts=25)))
    lines = [
        "## Forecast",
        "",
        f"{len(SEEDS) * 50} simulated accounts of each of five kinds, which "
        "`benchmarks/forecast.py` describes, at noon of a day of a month of 30 days. Errors are of "
        "the month's total, as a mean of the kinds, and as a share of the straight line's: under 1 "
        f"is better than it. The share is at most {WORST:.2f} in any kind.",
        "",
        f"| day, seeds | error | straight line's | share of it | {' | '.join(KINDS)} |",
        f"|---|---|---|---|{'---|' * len(KINDS)}",
        *(_by_day(fixed, day, SEEDS) for day in DAYS),
        *(_by_day(other, day, OTHER_SEEDS) for day in DAYS),
        "",
        "How often the total was within the 10th to the 90th percentile, of the forecasts that "
        "have a band. A new account has none before its 15th day.",
        "",
        f"| seeds | all kinds | {' | '.join(KINDS)} |",
        f"|---|---|{'---|' * len(KINDS)}",
        _in_band(fixed, SEEDS),
        _in_band(other, OTHER_SEEDS),
        "",
        "Nobody forecasts a step before it came. Of the accounts with a step:",
        "",
        "| seeds | the step | forecasts | in the band | error | straight line's |",
        "|---|---|---|---|---|---|",
        *_by_step(fixed, SEEDS),
        *_by_step(other, OTHER_SEEDS),
        "",
        "The same where usage history, invoice or both are behind, and where usage is counted in "
        "neither cents nor dollars: the share of the straight line's error, which has the same "
        "invoice and is wrong as well where that is behind.",
        "",
        f"| as read | {' | '.join(f'day {day}' for day in DAYS)} | worst | in the band |",
        f"|---|{'---|' * len(DAYS)}---|---|",
        *rows,
        "",
        f"10,000 hours of usage take {ten_thousand_hours() * 1000:.0f} ms (≤ 500).",
    ]
    return "\n".join(lines)


def _by_day(found: Sequence[Tried], day: int, seeds: Sequence[int]) -> str:
    kinds = by_kind(one for one in found if one.day == day)
    shares = {kind: of_straight_line(tries) for kind, tries in kinds.items()}
    errors = fmean(fmean(one.error for one in tries) for tries in kinds.values())
    straight = fmean(fmean(one.straight for one in tries) for tries in kinds.values())
    mean = fmean(shares.values())
    cells = [
        f"{day}, seeds {seeds[0]} to {seeds[-1]}",
        f"{errors:.1%}",
        f"{straight:.1%}",
        f"{mean:.2f} (≤ {TARGETS[day]:.2f}){_missed(mean > TARGETS[day])}",
        *(f"{share:.2f}{_missed(share > WORST)}" for share in shares.values()),
    ]
    return _row(cells)


def _in_band(found: Sequence[Tried], seeds: Sequence[int]) -> str:
    overall = _share_in_band(found)
    shares = [_share_in_band(tries) for tries in by_kind(found).values()]
    least, most = IN_BAND
    cells = [
        f"{seeds[0]} to {seeds[-1]}",
        f"{overall:.0%} ({least:.0%} to {most:.0%}){_missed(not least <= overall <= most)}",
        *(f"{share:.0%} (≥ {IN_ANY_BAND:.0%}){_missed(share < IN_ANY_BAND)}" for share in shares),
    ]
    return _row(cells)


def _by_step(found: Sequence[Tried], seeds: Sequence[int]) -> Iterator[str]:
    for name, is_before in (("has been", False), ("is still to come", True)):
        tries = [one for one in by_kind(found)["step"] if one.is_before_step == is_before]
        cells = [
            f"{seeds[0]} to {seeds[-1]}",
            name,
            f"{len(tries):,}",
            f"{_share_in_band(tries):.0%}",
            f"{fmean(one.error for one in tries):.1%}",
            f"{fmean(one.straight for one in tries):.1%}",
        ]
        yield _row(cells)


def _behind(condition: Condition, found: Sequence[Tried]) -> str:
    shares = {
        (kind, day): of_straight_line(one for one in tries if one.day == day)
        for kind, tries in by_kind(found).items()
        for day in DAYS
    }
    worst = max(shares, key=lambda at: shares[at])
    cells = [
        condition.name,
        *(f"{fmean(shares[kind, day] for kind in KINDS):.2f}" for day in DAYS),
        f"{shares[worst]:.2f} ({worst[0]}, day {worst[1]}; ≤ {WORST_BEHIND:.2f})"
        + _missed(shares[worst] > WORST_BEHIND),
        f"{_share_in_band(found):.0%}",
    ]
    return _row(cells)


def _share_in_band(found: Iterable[Tried]) -> float:
    return fmean(one.is_in_band for one in found if one.is_in_band is not None)


def _missed(is_missed: bool) -> str:
    return " **missed**" if is_missed else ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def ten_thousand_hours() -> float:
    """Return the best time of a forecast from 10,000 hours of usage, in seconds."""
    at = datetime.fromtimestamp(END - 15 * _DAY, tz=UTC)
    until = int(at.timestamp())
    rng = random.Random(1)
    values = {start: rng.uniform(20, 60) for start in range(until - 36_000_000, until, 3600)}
    history = UsageHistory.of_values(values, window="hour", since=min(values), until=until, at=at)
    used = sum(value for start, value in values.items() if start >= START)
    line = api_line(amount=round(used), pretax_credit_amounts=[])
    invoice = Invoice.from_api(api_result(amount_due=round(used), invoice_lines=[line]))
    times = []
    for _ in range(5):
        started = perf_counter()
        forecast_invoice(invoice, history, at=at)
        times.append(perf_counter() - started)
    return min(times)
