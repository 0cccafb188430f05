"""
Simulated accounts, whose month's total is known: the usage of each day, made from a seed.

An account is a quarter of a year of history and a month of 30 days, with weekdays, and with noise
that is log-normal. It is made from its seed, kind and number alone, and is the same everywhere.

`KINDS`: steady; growing by 0.5 to 3% a day; one step by a factor of 1.5 to 3, up or down, on a day
from a month before the period to its end; spiky, one day in ten 3 to 8 times as large; new, from
the first day of the period on.

`OTHER_KINDS`, which the method was not made for: a launch that flattens after 10 to 30 days; a step
down to 0.2 to 0.6; a team that stops, on a day from ten before the period to its 21st; month ends,
the last three days of each month 3 to 6 times as large; batch days, one in 5 to 10 and a hundred
times the others; holidays, twelve days of 3% in the history; noise that goes on, from day to day;
use on a day in two to five; a price that changes by a factor of 1.2 to 2; a level that drifts; and
an office, without weekends.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

KINDS = ("steady", "growing", "step", "spiky", "new")
OTHER_KINDS = (
    "launch",
    "step down",
    "stop",
    "month end",
    "batch",
    "holidays",
    "autocorrelated",
    "intermittent",
    "price",
    "drift",
    "office",
)
BEFORE, MONTH = 91, 30
"""The days of an account before its month, and of the month."""


@dataclass(frozen=True)
class Account:
    """An account: its usage on each day of its history and of the month, and what that costs."""

    usage: Sequence[float]
    prices: Sequence[float] | None = None
    """Cents for one of usage, on each day; one cent if None."""
    steps_on: int = 0
    """The day of its step, 0 for the first of the month; only an account with a step has one."""

    @property
    def spend(self) -> Sequence[float]:
        """The spend on each day, in cents."""
        if self.prices is None:
            return self.usage
        return [usage * price for usage, price in zip(self.usage, self.prices, strict=True)]


def account(kind: str, seed: int, number: int) -> Account:
    """Make the account of that number."""
    rng = random.Random(f"{seed}/{kind}/{number}")
    weekdays = [rng.uniform(0.85, 1.25) for _ in range(5)] + [rng.uniform(0.3, 0.8)] * 2
    first, level, noise = rng.randrange(7), exp(rng.uniform(4, 9)), rng.uniform(0.15, 0.4)
    if kind in OTHER_KINDS:
        return _other(kind, rng, weekdays, first, level, noise)
    growth, steps_on = rng.uniform(0.005, 0.03), rng.randrange(-30, MONTH)
    step = rng.uniform(1.5, 3) ** rng.choice([-1, 1])
    days = []
    for day in range(-BEFORE, MONTH):
        usage = level * weekdays[(first + day) % 7] * exp(rng.gauss(-(noise**2) / 2, noise))
        is_spike, spike = rng.random() < 0.1, rng.uniform(3, 8)
        if kind == "growing":
            usage *= exp(growth * day)
        if kind == "step" and day >= steps_on:
            usage *= step
        if kind == "spiky" and is_spike:
            usage *= spike
        days.append(0.0 if kind == "new" and day < 0 else usage)
    return Account(days, steps_on=steps_on)


def _other(
    kind: str, rng: random.Random, weekdays: list[float], first: int, level: float, noise: float
) -> Account:
    if kind == "office":
        weekdays = [*weekdays[:5], 0.0, 0.0]
    start, length = rng.randrange(-60, -10), rng.randrange(10, 31)
    steps_on, factor = rng.randrange(-30, MONTH), rng.uniform(0.2, 0.6)
    stops_on, quiet_from = rng.randrange(-10, 21), rng.randrange(-80, -12)
    every, peak, active = rng.randrange(5, 11), rng.uniform(3, 6), rng.uniform(0.2, 0.5)
    dearer_from, dearer = rng.randrange(-20, MONTH), rng.uniform(1.2, 2) ** rng.choice([-1, 1])
    wave = drift = 0.0
    usages, prices = [], []
    for day in range(-BEFORE, MONTH):
        usage = level * weekdays[(first + day) % 7] * exp(rng.gauss(-(noise**2) / 2, noise))
        chance, move = rng.random(), rng.gauss(0, 1)
        wave, drift = 0.85 * wave + 0.3 * move, drift + 0.05 * move
        usages.append(
            usage
            * {
                "launch": 0.1 + 0.9 * min(max((day - start) / length, 0), 1),
                "step down": factor if day >= steps_on else 1,
                "stop": 0.02 if day >= stops_on else 1,
                "month end": peak if day % 30 >= 27 else 1,
                "batch": 10 if day % every == 0 else 0.1,
                "holidays": 0.03 if quiet_from <= day < quiet_from + 12 else 1,
                "autocorrelated": exp(wave),
                "intermittent": 0.0 if chance > active else 1,
                "drift": exp(drift),
            }.get(kind, 1)
        )
        prices.append(dearer if kind == "price" and day >= dearer_from else 1.0)
    return Account(usages, prices)
