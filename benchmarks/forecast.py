"""
The forecast on accounts whose month's total is known, against the straight line.

The accounts are simulated (`benchmarks.simulated`), or daily series of the real world
(`benchmarks.series`), on which other methods are tried as well (`benchmarks.peers`).
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from statistics import fmean
from time import process_time

from benchmarks import real
from benchmarks.results import missed, say
from benchmarks.simulated import KINDS, OTHER_KINDS, account
from benchmarks.trying import (
    DAYS,
    FRESH,
    IN_BAND,
    IN_BAND_BY_DAY,
    Condition,
    Tried,
    by_kind,
    history_until,
    invoice_until,
    mean_share,
    of_straight_line,
    on,
    row,
    share_in_band,
    tried,
)
from pulumi_cf_invoice.billing import Invoice, UsageHistory
from pulumi_cf_invoice.forecast import forecast_invoice
from tests.factories import END, START, api_line, api_result

SEEDS = (1, 2, 3, 4, 5)
"""The seeds of `make bench`."""
OTHER_SEEDS = (101, 102, 103, 104, 105)
ACCOUNTS, OTHER_ACCOUNTS, ACCOUNTS_BEHIND = 20, 10, 15
"""The accounts of a kind and a seed: of the five kinds, of other kinds, where data are behind."""
TARGETS = {3: 0.80, 7: 0.97, 14: 0.95, 21: 0.88}
"""The mean error as a share of the straight line's, at most, by day of the month."""
WORST, WORST_BEHIND = 1.15, 1.02
"""The same in any kind, and on any day where history or invoice are behind."""
OTHER_TARGET, OTHER_WORST = 0.85, 1.5
"""The same on other kinds of accounts: of all kinds and days, and of any kind."""
IN_ANY_BAND = 0.5
"""How often the total is in the band of any kind, at least."""
_DAY = 86_400

BEHIND = (
    Condition("the history 17 hours behind", history_behind=17 / 24),
    Condition("the history 41 hours behind", history_behind=41 / 24),
    Condition("the invoice 17 hours behind", invoice_behind=17 / 24),
    Condition("the invoice 41 hours behind", invoice_behind=41 / 24),
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


def simulate(
    seeds: Iterable[int],
    condition: Condition = FRESH,
    accounts: int = ACCOUNTS,
    kinds: Sequence[str] = KINDS,
) -> list[Tried]:
    """Return the forecasts of *accounts* of each of *kinds* and *seeds*, on each of `DAYS`."""
    asked = [
        (kind, seed, number, day, condition)
        for seed in seeds
        for kind in kinds
        for number in range(accounts)
        for day in DAYS
    ]
    with ProcessPoolExecutor() as pool:
        return list(pool.map(_tried, asked, chunksize=50))


def _tried(asked: tuple[str, int, int, int, Condition]) -> Tried:
    return tried(*asked)


def section() -> str:
    """Simulate everything, try the real series, and return it as a section of the results."""
    try:
        on_real_series = real.section()
    except ModuleNotFoundError as error:
        raise SystemExit(f"{error.name} is missing: `make bench` installs it") from None
    say("forecasts of simulated accounts")
    fixed = simulate(SEEDS)
    say("forecasts with other seeds")
    other = simulate(OTHER_SEEDS)
    say("forecasts of other kinds of accounts")
    other_kinds = simulate(OTHER_SEEDS, accounts=OTHER_ACCOUNTS, kinds=OTHER_KINDS)
    rows = []
    for condition in (*BEHIND, *OWN_UNIT):
        say(f"forecasts with {condition.name}")
        rows.append(_behind(condition, simulate(SEEDS[:2], condition, ACCOUNTS_BEHIND)))
    lines = [
        "## Forecast",
        "",
        f"{len(SEEDS) * ACCOUNTS} simulated accounts of each of five kinds, described in "
        "`benchmarks/simulated.py`, at noon on a day of a 30-day month. Errors are of the month's "
        "total, averaged over the kinds, and as a share of the straight line's error: under 1 is "
        f"better than the straight line. The target is at most {WORST:.2f} in any kind.",
        "",
        "How new accounts are forecast was chosen on seeds 201 to 220, and on new accounts cut "
        "from the real series that the method is tuned on. It was changed once after a look at the "
        "seeds below, for a gain on the others. On seeds 201 to 212 the share of all kinds is 0.89 "
        "on day 21: that the target is met on that day is partly luck.",
        "",
        f"| day, seeds | error | straight line's | share of it | {' | '.join(KINDS)} |",
        f"|---|---|---|---|{'---|' * len(KINDS)}",
        *(_by_day(fixed, day, SEEDS) for day in DAYS),
        *(_by_day(other, day, OTHER_SEEDS) for day in DAYS),
        "",
        "How often the total was between the 10th and the 90th percentile, among the forecasts "
        "with a band. A new account has none before its 15th day.",
        "",
        f"| seeds | all kinds | by day | {' | '.join(KINDS)} |",
        f"|---|---|---|{'---|' * len(KINDS)}",
        _in_band(fixed, SEEDS),
        _in_band(other, OTHER_SEEDS),
        "",
        "Nobody can forecast a step before it happens. Among the accounts with a step:",
        "",
        "| seeds | the step | forecasts | in the band | error | straight line's |",
        "|---|---|---|---|---|---|",
        *_by_step(fixed, SEEDS),
        *_by_step(other, OTHER_SEEDS),
        "",
        *on_real_series,
        "### On other kinds of accounts",
        "",
        f"{len(OTHER_SEEDS) * OTHER_ACCOUNTS} simulated accounts of each kind, with other seeds "
        "than those used to develop the method. The targets are at most "
        f"{OTHER_TARGET:.2f} for the mean of the kinds over the days, and {OTHER_WORST:.2f} for "
        "any kind.",
        "",
        f"| kind | {' | '.join(f'day {day}' for day in DAYS)} | mean | in the band |",
        f"|---|{'---|' * len(DAYS)}---|---|",
        *_by_other_kind(other_kinds),
        "",
        "### Where something is behind",
        "",
        f"{2 * ACCOUNTS_BEHIND} accounts of each of the five kinds, with the usage history, the "
        "invoice or both behind, or with usage in neither cents nor dollars: the share of the "
        "straight line's error, which has the same invoice and is wrong too if that is behind. The "
        f"target is at most {WORST_BEHIND:.2f}. An invoice that is behind looks like a lower "
        "price, and is treated as one: the band covers both. In a unit of its own it always does, "
        "so that it is too wide where nothing is behind.",
        "",
        f"| as read | {' | '.join(f'day {day}' for day in DAYS)} | worst kind | in the band |",
        f"|---|{'---|' * len(DAYS)}---|---|",
        *rows,
        "",
        _times(),
    ]
    return "\n".join(lines)


def _times() -> str:
    days, hours = hundred_days(), ten_thousand_hours()
    return (
        f"A forecast of 100 days takes {days * 1000:.0f} ms of CPU (≤ 20){missed(days > 0.0205)}, "
        f"and one of 10,000 hours {hours * 1000:.0f} ms (≤ 100){missed(hours > 0.1005)}."
    )


def _by_other_kind(found: Sequence[Tried]) -> Iterator[str]:
    for kind, tries in by_kind(found).items():
        shares = [of_straight_line(on(day, tries)) for day in DAYS]
        mean = fmean(shares)
        cells = [*(f"{share:.2f}" for share in shares), f"{mean:.2f}{missed(mean > OTHER_WORST)}"]
        yield row([kind, *cells, f"{share_in_band(tries):.0%}"])
    shares = [mean_share(on(day, found)) for day in DAYS]
    mean, covered = fmean(shares), share_in_band(found)
    least, most = IN_BAND
    yield row(
        [
            "all",
            *(f"{share:.2f}" for share in shares),
            f"{mean:.2f} (≤ {OTHER_TARGET:.2f}){missed(mean > OTHER_TARGET)}",
            f"{covered:.0%} ({least:.0%} to {most:.0%}){missed(not least <= covered <= most)}",
        ]
    )


def _by_day(found: Sequence[Tried], day: int, seeds: Sequence[int]) -> str:
    kinds = by_kind(each for each in found if each.day == day)
    shares = {kind: of_straight_line(tries) for kind, tries in kinds.items()}
    errors = fmean(fmean(each.error for each in tries) for tries in kinds.values())
    straight = fmean(fmean(each.straight for each in tries) for tries in kinds.values())
    mean = fmean(shares.values())
    cells = [
        f"{day}, seeds {seeds[0]} to {seeds[-1]}",
        f"{errors:.1%}",
        f"{straight:.1%}",
        f"{mean:.2f} (≤ {TARGETS[day]:.2f}){missed(mean > TARGETS[day])}",
        *(f"{share:.2f}{missed(share > WORST)}" for share in shares.values()),
    ]
    return row(cells)


def _in_band(found: Sequence[Tried], seeds: Sequence[int]) -> str:
    overall = share_in_band(found)
    by_day = [share_in_band(on(day, found)) for day in DAYS]
    low, high = IN_BAND_BY_DAY
    by_days = ", ".join(f"{share:.0%}" for share in by_day)
    is_out = not all(low <= share <= high for share in by_day)
    shares = [share_in_band(tries) for tries in by_kind(found).values()]
    least, most = IN_BAND
    cells = [
        f"{seeds[0]} to {seeds[-1]}",
        f"{overall:.0%} ({least:.0%} to {most:.0%}){missed(not least <= overall <= most)}",
        f"{by_days} ({low:.0%} to {high:.0%}){missed(is_out)}",
        *(f"{share:.0%} (≥ {IN_ANY_BAND:.0%}){missed(share < IN_ANY_BAND)}" for share in shares),
    ]
    return row(cells)


def _by_step(found: Sequence[Tried], seeds: Sequence[int]) -> Iterator[str]:
    for name, is_before in (("has been", False), ("is still to come", True)):
        tries = [each for each in by_kind(found)["step"] if each.is_before_step == is_before]
        cells = [
            f"{seeds[0]} to {seeds[-1]}",
            name,
            f"{len(tries):,}",
            f"{share_in_band(tries):.0%}",
            f"{fmean(each.error for each in tries):.1%}",
            f"{fmean(each.straight for each in tries):.1%}",
        ]
        yield row(cells)


def _behind(condition: Condition, found: Sequence[Tried]) -> str:
    shares = {
        (kind, day): of_straight_line(each for each in tries if each.day == day)
        for kind, tries in by_kind(found).items()
        for day in DAYS
    }
    worst = max(shares, key=lambda at: shares[at])
    means = [fmean(shares[kind, day] for kind in KINDS) for day in DAYS]
    cells = [
        condition.name,
        *(f"{mean:.2f}{missed(round(mean, 2) > WORST_BEHIND)}" for mean in means),
        f"{shares[worst]:.2f} ({worst[0]}, day {worst[1]})",
        f"{share_in_band(found):.0%}",
    ]
    return row(cells)


def hundred_days() -> float:
    """Return the best time of a forecast from the usual 100 days of usage, in seconds of CPU."""
    made = account("steady", 1, 1)
    at = datetime.fromtimestamp(START + 14.5 * _DAY, tz=UTC)
    invoice, history = invoice_until(made.spend, 14.5), history_until(made.usage, 14.5, 1, at)
    return _best(invoice, history, at)


def ten_thousand_hours() -> float:
    """Return the best time of a forecast from 10,000 hours of usage, in seconds of CPU."""
    at = datetime.fromtimestamp(END - 15 * _DAY, tz=UTC)
    until = int(at.timestamp())
    rng = random.Random(1)
    values = {start: rng.uniform(20, 60) for start in range(until - 36_000_000, until, 3600)}
    history = UsageHistory.of_values(values, window="hour", since=min(values), until=until, at=at)
    used = sum(value for start, value in values.items() if start >= START)
    line = api_line(amount=round(used), pretax_credit_amounts=[])
    invoice = Invoice.from_api(api_result(amount_due=round(used), invoice_lines=[line]))
    return _best(invoice, history, at)


def _best(invoice: Invoice, history: UsageHistory, at: datetime) -> float:
    times = []
    for _ in range(10):
        started = process_time()
        forecast_invoice(invoice, history, at=at)
        times.append(process_time() - started)
    return min(times)
