"""The geometry of the charts of usage and months; the template draws them as inline SVG."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.forecast.days import date_of
from pulumi_cf_invoice.report.invoice_report import InvoiceReport

WIDTH = 360
USAGE_HEIGHT = 120
MARK = 7
"""The height of a mark above a column, with what is between the two."""
_DAYS = 31


@dataclass(frozen=True)
class DayColumn:
    """A day as a column. Lengths are in SVG units."""

    x: float
    y: float
    width: float
    height: float
    is_partial: bool
    is_over: bool = False

    @property
    def mark(self) -> str:
        """The path of the mark above a day that is over a limit, which no colour alone tells."""
        middle, tip = self.x + self.width / 2, self.y - 1.5
        top, half = tip - (MARK - 1.5), (MARK - 1.5) / 2
        return f"M{middle:g} {tip:g} L{middle - half:g} {top:g} L{middle + half:g} {top:g} Z"


@dataclass(frozen=True)
class UsageChart:
    """Usage by day over the last weeks, as far as there is any."""

    description: str
    columns: list[DayColumn]
    first_day: str
    last_day: str


def usage(report: InvoiceReport) -> UsageChart | None:
    """Return the chart of usage by day; None if there is nothing to draw."""
    history = report.account.usage_history if report.account else None
    entries = history.entries[-_DAYS:] if history else []
    highest = max((entry.aggregated_value for entry in entries), default=0)
    if highest <= 0:
        return None
    step = WIDTH / len(entries)
    columns = []
    for number, entry in enumerate(entries):
        height = max(entry.aggregated_value, 0) / highest * (USAGE_HEIGHT - 4)
        x, y = number * step, USAGE_HEIGHT - height
        columns.append(
            DayColumn(
                round(x + step * 0.1, 1),
                round(y, 1),
                round(step * 0.8, 1),
                round(height, 1),
                entry.is_partial,
                date_of(entry.start) in report.days_over,
            )
        )
    most = max(entries, key=lambda entry: entry.aggregated_value)
    used = sum(entry.aggregated_value != 0 for entry in entries)
    over = over_text(report, [date_of(entry.start) for entry in entries])
    return UsageChart(
        description=f"Usage on {used} of {len(entries)} days, most of it on {date_of(most.start)}. "
        f"{f'{over[0].upper()}{over[1:]}. ' if over else ''}"
        "The API names no unit of usage, so the columns have no scale.",
        columns=columns,
        first_day=str(date_of(entries[0].start)),
        last_day=str(date_of(entries[-1].start)),
    )


def over_text(report: InvoiceReport, shown: Collection[date]) -> str:
    """Say which of the days *shown* are over which rules; empty if none is."""
    by_rule: dict[str, list[str]] = {}
    for day, rules in report.days_over.items():
        for rule in rules if day in shown else ():
            by_rule.setdefault(rule, []).append(str(day))
    return "; ".join(f"over {rule}: {', '.join(days)}" for rule, days in by_rule.items())


@dataclass(frozen=True)
class Bar:
    """A name with an amount, and its share of the largest one in percent of the width."""

    name: str
    text: str
    share: float
    is_forecast: bool = False


def months(report: InvoiceReport) -> list[Bar]:
    """Return the months before, the oldest first, and the forecast, as shares of the largest."""
    known = report.months.known if report.months else []
    if not known:
        return []
    expected, how = report.expected
    amounts = [month.amount for month in known] + ([] if expected is None else [expected])
    largest = max(*amounts, 1)
    bars = [
        Bar(month.name, month.amount_text, round(max(100 * month.amount / largest, 0), 1))
        for month in known
    ]
    if expected is not None:
        text = f"{money.to_text(expected, report.invoice.currency)}{how or ' forecast'}"
        share = round(max(100 * expected / largest, 0), 1)
        bars.append(Bar(report.period_name, text, share, is_forecast=True))
    return bars
