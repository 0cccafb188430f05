"""
The forecast on daily series of the real world, beside other methods on the same days.

Each series gives up to eight accounts: a quarter of a year, and the 30 days after it, whose spend
is what was counted on them, scaled to $50 on a mean day.
"""

import warnings
from collections.abc import Iterator, Sequence
from statistics import fmean

from benchmarks.peers import LAST_FOUR, NAMES, expected
from benchmarks.results import missed, say
from benchmarks.series import Series, halves
from benchmarks.simulated import BEFORE, MONTH, Account
from benchmarks.trying import (
    DAYS,
    IN_BAND,
    IN_BAND_BY_DAY,
    Tried,
    compared,
    mean_share,
    of_straight_line,
    on,
    row,
    share_in_band,
    tried_on,
)

TARGET, TARGET_BY_DAY = 0.88, 1.0
"""The share of the straight line's error: in the mean of the days, and on each."""
PINBALL = 1.15
"""The mean pinball loss as a share of MSTL's."""
WIDE, WIDEST = 10, 0.018
"""How often the 90th percentile is more than so many times the median."""
_MOST_ACCOUNTS = 8
_MEAN_DAY = 5000.0
_OURS = "this forecast"


def section() -> list[str]:
    """Return the lines of the results on real series. Raises what `halves` raises."""
    tuned, reported = halves()
    say(f"forecasts of {len(tuned)} real series")
    ours_tuned = list(_ours(tuned))
    say(f"forecasts of {len(reported)} other real series")
    found = {_OURS: list(_ours(reported))}
    for name in (*NAMES, LAST_FOUR):
        say(f"forecasts of the same by {name}")
        found[name] = _peer(name, reported)
    others = [tries for name, tries in found.items() if name != _OURS]
    fields = sorted({series.field for series in reported})
    return [
        "### On real series",
        "",
        f"{len(tuned) + len(reported)} daily series of real-world counts "
        f"({', '.join(sorted({series.field for series in (*tuned, *reported)}))}), shipped in "
        "packages on a registry. Each gives up to eight accounts. The method was chosen and tuned "
        "on every other series; the results are from the rest, except in the second row. Twice it "
        "was changed after a look at these, each time for a gain on the tuned half: by levels "
        "without peaks (the mean of the pooled shares was 0.97 here before, and 0.94 with them), "
        "and by medians, fewer fast levels and earlier belief in falls.",
        "",
        "Errors are shares of the straight line's error: by day as the mean of the fields, like "
        "that of the kinds above, so that no field counts more because it has more series; and "
        "pooled over all accounts, dominated by pages that went viral. The targets for both are at "
        f"most {TARGET:.2f} in the mean and {TARGET_BY_DAY:.2f} on each day, and not above the "
        "best of the others. Each method's daily errors count as fully correlated or independent, "
        "whichever gives it the lower loss.",
        "",
        f"| method | {' | '.join(f'day {day}' for day in DAYS)} | mean | pooled | pooled by day | "
        "in the band | "
        f"by day | loss | 90th percentile over {WIDE} times the median |",
        f"|---|{'---|' * len(DAYS)}---|---|---|---|---|---|---|",
        _by_method(f"{_OURS}, {len(reported)} series", found[_OURS], others, found["MSTL"]),
        _by_method(f"{_OURS}, {len(tuned)} tuned", ours_tuned),
        *(_by_method(name, tries) for name, tries in found.items() if name != _OURS),
        "",
        "By field:",
        "",
        f"| field | {' | '.join(f'day {day}' for day in DAYS)} | in the band |",
        f"|---|{'---|' * len(DAYS)}---|",
        *(_by_field(field, found[_OURS]) for field in fields),
        "",
        "Tuned on: " + "; ".join(_names(tuned)) + ". Reported: "
        "" + "; ".join(_names(reported)) + ".",
        "",
    ]


def accounts(series: Series) -> Iterator[Account]:
    """Yield the accounts of a *series*, spread over it."""
    starts = list(range(BEFORE, len(series.days) - MONTH + 1, MONTH))
    if len(starts) > _MOST_ACCOUNTS:
        last = len(starts) - 1
        starts = [
            starts[round(number * last / (_MOST_ACCOUNTS - 1))] for number in range(_MOST_ACCOUNTS)
        ]
    for start in starts:
        days = series.days[start - BEFORE : start + MONTH]
        if sum(days[:BEFORE]) > 0 and sum(days[BEFORE:]) > 0:
            scale = _MEAN_DAY / fmean(days)
            yield Account([count * scale for count in days])


def _ours(series: Sequence[Series]) -> Iterator[Tried]:
    for each in series:
        for account in accounts(each):
            for day in DAYS:
                # Cents are whole: next to nothing becomes nothing, and has no straight line.
                if sum(account.spend[BEFORE : BEFORE + day - 1]) >= 100:
                    yield tried_on(account, each.field, day)


def _peer(name: str, series: Sequence[Series]) -> list[Tried]:
    # Of the two ways to add up the days, the better one for the method.
    together, apart = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in series:
            for account in accounts(each):
                for day in DAYS:
                    if sum(account.spend[BEFORE : BEFORE + day - 1]) >= 100:
                        both = _by_peer(name, account, each.field, day)
                        together.append(both[0])
                        apart.append(both[1])
    return min(together, apart, key=_loss)


def _by_peer(name: str, account: Account, field: str, day: int) -> tuple[Tried, Tried]:
    spend, today = account.spend, BEFORE + day - 1
    first = next(number for number, amount in enumerate(spend) if amount > 0)
    days = MONTH - day + 1
    sums = expected(name, spend[first:today], days)
    known = sum(spend[BEFORE:today]) + spend[today] / 2
    shares = [0.5, *[1.0] * (days - 1)]
    straight, total = known * MONTH / (day - 0.5), sum(spend[BEFORE:])

    def made(is_together: bool) -> Tried:
        percentiles = [known + more for more in sums.sums(shares, is_together)]
        has_band = name != LAST_FOUR
        low, median, high = percentiles
        return compared(
            total,
            [low if has_band else None, median, high if has_band else None],
            straight,
            field,
            day,
        )

    return made(True), made(False)


def _by_method(
    name: str,
    found: Sequence[Tried],
    others: Sequence[Sequence[Tried]] = (),
    mstl: Sequence[Tried] | None = None,
) -> str:
    shares, pooled = _mean_of_fields_by_day(found), _pooled_by_day(found)
    mean, of_all = fmean(shares), fmean(pooled)
    by_days = ", ".join(f"{share:.2f}" for share in pooled)
    cells = [name, *(f"{share:.2f}" for share in shares), f"{mean:.2f}", f"{of_all:.2f}", by_days]
    if others:
        best = min(fmean(_mean_of_fields_by_day(tries)) for tries in others)
        best_of_all = min(fmean(_pooled_by_day(tries)) for tries in others)
        cells[1:] = [
            *(
                f"{share:.2f} (≤ {TARGET_BY_DAY:.2f}){missed(share > TARGET_BY_DAY)}"
                for share in shares
            ),
            f"{mean:.2f} (≤ {TARGET:.2f} and {best:.2f}){missed(mean > min(TARGET, best))}",
            f"{of_all:.2f} (≤ {TARGET:.2f} and {best_of_all:.2f})"
            f"{missed(of_all > min(TARGET, best_of_all))}",
            f"{by_days} (≤ {TARGET_BY_DAY:.2f}){missed(max(pooled) > TARGET_BY_DAY)}",
        ]
    with_band = [each for each in found if each.is_in_band is not None]
    if not with_band:
        return row([*cells, "", "", "", ""])
    covered, by_day = share_in_band(found), [share_in_band(on(day, found)) for day in DAYS]
    wide = fmean(each.width is not None and each.width > WIDE for each in with_band)
    least, most = IN_BAND
    low, high = IN_BAND_BY_DAY
    loss = _loss(found)
    figures = [
        f"{covered:.0%}",
        ", ".join(f"{share:.0%}" for share in by_day),
        f"{loss:.4f}",
        f"{wide:.1%}",
    ]
    if mstl is not None:
        out = not all(low <= share <= high for share in by_day)
        allowed = PINBALL * _loss(mstl)
        figures = [
            f"{figures[0]} ({least:.0%} to {most:.0%}){missed(not least <= covered <= most)}",
            f"{figures[1]} ({low:.0%} to {high:.0%}){missed(out)}",
            f"{figures[2]} (≤ {allowed:.4f}){missed(loss > allowed)}",
            f"{figures[3]} (≤ {WIDEST:.1%}){missed(wide > WIDEST)}",
        ]
    return row([*cells, *figures])


def _mean_of_fields_by_day(found: Sequence[Tried]) -> list[float]:
    return [mean_share(on(day, found)) for day in DAYS]


def _pooled_by_day(found: Sequence[Tried]) -> list[float]:
    return [of_straight_line(on(day, found)) for day in DAYS]


def _by_field(field: str, found: Sequence[Tried]) -> str:
    of_field = [each for each in found if each.kind == field]
    shares = (of_straight_line(on(day, of_field)) for day in DAYS)
    return row([field, *(f"{share:.2f}" for share in shares), f"{share_in_band(of_field):.0%}"])


def _loss(found: Sequence[Tried]) -> float:
    losses = [each.pinball for each in found if each.pinball is not None]
    return fmean(losses) if losses else 0.0


def _names(series: Sequence[Series]) -> list[str]:
    fields: dict[str, list[str]] = {}
    for each in series:
        fields.setdefault(each.field, []).append(each.name.split("_")[0])
    return [f"{field} ({', '.join(names)})" for field, names in fields.items()]
