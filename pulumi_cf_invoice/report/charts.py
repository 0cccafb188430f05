"""The geometry of the report's charts; the template draws them as inline SVG."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.usage_history import UsageEntry
from pulumi_cf_invoice.forecast import ComingDay, SpentDay
from pulumi_cf_invoice.report.account import AccountReport, ForecastDay, days_of
from pulumi_cf_invoice.report.report import Budget, InvoiceReport

WIDTH, HEIGHT = 480, 300
_LEFT, _RIGHT = 8, 472
# Above, the amount due over the period; below, spend by day.
_BOTTOM, _BARS_TOP, _BARS_BOTTOM = 218, 236, 292
_USAGE_TOP, _USAGE_BOTTOM = 8, 162
_BARS = 8
_DAYS, _EARLIER = 31, 12
# A limit further away would leave nothing to see of the rest.
_FARTHEST = 3
# What a label needs of the chart's height on a phone, where the chart is smallest.
_LABEL = 28
# The most labels above the chart's highest line.
_STACKED = 3
_DAY = 86_400


@dataclass(frozen=True)
class Column:
    """A day as a column. Lengths are in SVG units."""

    x: float
    y: float
    width: float
    height: float
    is_partial: bool


@dataclass(frozen=True)
class BudgetLine:
    """A limit as a line across, at ``y`` in SVG units."""

    text: str
    is_mandatory: bool
    y: float


@dataclass(frozen=True)
class Labels:
    """
    The labels of lines that are close to one another, the highest limit first.

    They stand on the highest of the lines, ``bottom`` percent of the height above the chart's end.
    """

    bottom: float
    lines: list[BudgetLine]


@dataclass(frozen=True)
class End:
    """The amount at the period's end, ``bottom`` percent of the height above the chart's end."""

    text: str
    bottom: float


@dataclass(frozen=True)
class _Scale:
    """Where an amount between the lowest and the highest one is, in SVG units."""

    low: float
    high: float
    top: float
    bottom: float

    def __call__(self, amount: float) -> float:
        """Return the height of *amount*."""
        of, low, high = map(money.exact, (amount, self.low, self.high))
        share = float((of - low) / (high - low))
        return round(self.bottom - share * (self.bottom - self.top), 1)


@dataclass(frozen=True)
class SpendChart:
    """
    Spend in the period: what happened by day, what is forecast, and the budgets.

    Lengths are in SVG units. Paths are ``d`` attributes, empty where there is nothing to draw.
    """

    description: str
    now_x: float
    now_y: float
    zero_y: float
    happened: str
    area: str
    forecast: str
    band: str
    straight: str
    columns: list[Column]
    budgets: list[BudgetLine]
    labels: list[Labels]
    unlabelled: list[str]
    beyond: list[str]
    end: End | None
    caption: str
    first_day: str
    last_day: str
    days: list[ForecastDay]


@dataclass(frozen=True)
class Bar:
    """A line, and its share of the largest one in percent of the width."""

    name: str
    text: str
    share: float


def spend(one: InvoiceReport) -> SpendChart | None:
    """Return the chart of spend in the period; None where there is nothing to compare it with."""
    invoice, forecast = one.invoice, one.forecast
    length = invoice.period_end - invoice.period_start
    if length <= 0:
        return None

    def x(moment: float) -> float:
        elapsed = (moment - invoice.period_start) / length
        return round(_LEFT + min(max(elapsed, 0.0), 1.0) * (_RIGHT - _LEFT), 1)

    spent = forecast.spent if forecast else ()
    coming = forecast.coming if forecast and forecast.method != "straight-line" else ()
    straight = _straight(one, coming)
    foreseen = [amount for day in coming for amount in (day.p90, day.median) if amount is not None]
    figures = [0, invoice.amount_due, *foreseen, *([] if straight is None else [straight])]
    is_over = one.as_of.timestamp() >= invoice.period_end
    is_early = straight is None and not coming and not is_over
    if is_early and not one.budgets:
        return None
    near, beyond = _near(one.budgets, max(figures), is_early)
    columns = _columns(spent, x)
    bottom = _BOTTOM if columns else _BARS_BOTTOM
    y, lines, labels = _fitted(near, figures, bottom)
    now = x(one.as_of.timestamp()), y(invoice.amount_due)
    happened = _happened(spent, invoice.amount_due, x, y, now)
    ends = [(x(_end_of(day.date)), day) for day in coming]
    lows = [(at, y(day.p10)) for at, day in ends if day.p10 is not None]
    highs = [(at, y(day.p90)) for at, day in ends if day.p90 is not None]
    last = coming[-1].median if coming else straight
    labelled = [line for group in labels for line in group.lines]
    return SpendChart(
        description=_describe(one, straight, near + beyond),
        now_x=now[0],
        now_y=now[1],
        zero_y=y(0),
        happened=_path(happened),
        area=_path([*happened, (now[0], y(0)), (happened[0][0], y(0))] if happened else []),
        forecast=_path([now, *((at, y(day.median)) for at, day in ends)] if ends else []),
        band=_path([now, *highs, *reversed(lows), now] if lows else []),
        straight=_path([] if straight is None else [now, (_RIGHT, y(straight))]),
        columns=columns,
        budgets=lines,
        labels=labels,
        unlabelled=[line.text for line in lines if line not in labelled],
        beyond=[budget.text for budget in beyond],
        end=None if last is None else End(_text(one, last), _percent(y(last))),
        caption=_caption(one, spent if columns else (), straight, bool(ends)),
        first_day=invoice.period_text.split(" to ")[0],
        last_day=invoice.period_text.split(" to ")[1],
        days=days_of(forecast) if forecast and (spent or coming) else [],
    )


def _straight(one: InvoiceReport, coming: Sequence[ComingDay]) -> float | None:
    """Return the end of the straight line, where nothing better is known and there is time left."""
    if coming or one.as_of.timestamp() >= one.invoice.period_end:
        return None
    return one.projected_amount_due


def _near(
    budgets: list[Budget], highest: float, is_early: bool
) -> tuple[list[Budget], list[Budget]]:
    """
    Return the budgets that the chart has room for, and those beyond it.

    Where nothing was spent, or nothing can be said of the rest of the period, the lowest budget is
    what there is to measure with.
    """
    limits = [money.exact(one.limit.amount) for one in budgets]
    largest = money.exact(highest)
    if limits and (is_early or not highest):
        largest = max(largest, min(limits))
    near = [one for one, of in zip(budgets, limits, strict=True) if of <= largest * _FARTHEST]
    return near, [one for one in budgets if one not in near]


def _happened(
    spent: Sequence[SpentDay],
    due: float,
    x: Callable[[float], float],
    y: _Scale,
    now: tuple[float, float],
) -> list[tuple[float, float]]:
    """Return the amount due at the end of each day until now, by what was spent on each."""
    if not spent:
        return []
    level = due - sum(day.net for day in spent)
    points = [(x(_end_of(spent[0].date) - _DAY), y(level))]
    for day in spent[:-1]:
        level += day.net
        points.append((x(_end_of(day.date)), y(level)))
    return [*points, now]


def _columns(spent: Sequence[SpentDay], x: Callable[[float], float]) -> list[Column]:
    highest = max((day.net for day in spent), default=0)
    if highest <= 0:
        return []
    columns = []
    for day in spent:
        start, end = x(_end_of(day.date) - _DAY), x(_end_of(day.date))
        height = max(day.net, 0) / highest * (_BARS_BOTTOM - _BARS_TOP)
        width = max(end - start - 1.5, 0.5)
        columns.append(
            Column(
                start + 0.75,
                round(_BARS_BOTTOM - height, 1),
                round(width, 1),
                round(height, 1),
                not day.is_settled,
            )
        )
    return columns


def _fitted(
    budgets: list[Budget], figures: list[float], bottom: float
) -> tuple[_Scale, list[BudgetLine], list[Labels]]:
    """Return a scale that leaves room for the labels of *budgets*, their lines, and the labels."""
    limits = [money.number(money.exact(budget.limit.amount)) for budget in budgets]
    low, high = min(figures), max(*figures, *limits, min(figures) + 1)
    for room in range(1, _STACKED + 1):
        y = _Scale(low, high, room * _LABEL + 4, bottom)
        lines = [
            BudgetLine(budget.text, budget.is_mandatory, y(limit))
            for budget, limit in zip(budgets, limits, strict=True)
        ]
        labels = _labels(lines)
        if sum(len(group.lines) for group in labels) == len(lines):
            break
    return y, lines, labels


def _labels(lines: list[BudgetLine]) -> list[Labels]:
    """Return the labels of *lines*, the lowest first, as far as there is room above them."""
    groups: list[list[BudgetLine]] = []
    for line in lines:
        if groups and groups[-1][-1].y - _LABEL * len(groups[-1]) < line.y:
            groups[-1].append(line)
        else:
            groups.append([line])
    labels = []
    for group in groups:
        room = int(group[-1].y / _LABEL)
        if room:
            labels.append(Labels(_percent(group[-1].y), group[-room:][::-1]))
    return labels


def _percent(y: float) -> float:
    return round(100 * (1 - y / HEIGHT), 1)


def _caption(
    one: InvoiceReport, spent: Sequence[SpentDay], straight: float | None, is_forecast: bool
) -> str:
    told = "so far"
    if spent:
        most = _text(one, max(day.net for day in spent))
        told = f"so far (solid), with the spend of each day below ({most} at most)"
    if straight is not None:
        end = f"{_text(one, straight)} at the end of the period (dotted, a straight line)"
        return f"{told}; projected {end}."
    if is_forecast and one.forecast is not None and one.forecast.amount_due_p10 is not None:
        return f"{told}; the forecast is dashed, in the band of its 10th to 90th percentile."
    return f"{told}; the forecast is dashed." if is_forecast else f"{told}."


def _end_of(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + _DAY


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "" if not points else "M" + " L".join(f"{x:g} {y:g}" for x, y in points)


@dataclass(frozen=True)
class UsageChart:
    """Usage by day over the last weeks, as far as there is any."""

    description: str
    columns: list[Column]
    first_day: str
    last_day: str


def usage(account: AccountReport | None) -> UsageChart | None:
    """Return the chart of usage by day; None where there is none to draw."""
    history = account.usage_history if account else None
    entries = history.entries[-_DAYS:] if history else []
    highest = max((entry.aggregated_value for entry in entries), default=0)
    if highest <= 0:
        return None
    step = (_RIGHT - _LEFT) / len(entries)
    columns = []
    for number, entry in enumerate(entries):
        height = max(entry.aggregated_value, 0) / highest * (_USAGE_BOTTOM - _USAGE_TOP)
        x, y = _LEFT + number * step, _USAGE_BOTTOM - height
        columns.append(
            Column(
                round(x + step * 0.1, 1),
                round(y, 1),
                round(step * 0.8, 1),
                round(height, 1),
                entry.is_partial,
            )
        )
    most = max(entries, key=lambda entry: entry.aggregated_value)
    used = sum(entry.aggregated_value != 0 for entry in entries)
    return UsageChart(
        description=f"Usage on {used} of {len(entries)} days, most of it on {_day(most)}. "
        "The API names no unit of usage, so the columns have no scale.",
        columns=columns,
        first_day=_day(entries[0]),
        last_day=_day(entries[-1]),
    )


def earlier(account: AccountReport | None) -> list[Bar]:
    """Return the latest earlier invoices, each as a share of the largest one in its currency."""
    invoices = account.earlier_invoices[:_EARLIER] if account else []
    largest: dict[str, float] = {}
    for invoice in invoices:
        largest[invoice.currency] = max(largest.get(invoice.currency, 0), invoice.amount_due)
    return [
        Bar(
            f"{invoice.created_text}, {invoice.status or 'no status'}",
            invoice.amount_due_text,
            round(max(100 * invoice.amount_due / (largest[invoice.currency] or 1), 0), 1),
        )
        for invoice in invoices
    ]


def _day(entry: UsageEntry) -> str:
    return entry.start_iso[:10]


def bars(one: InvoiceReport) -> list[Bar]:
    """Return the largest lines, net of credits, each as a share of the largest."""
    lines = one.invoice.largest_lines[:_BARS]
    largest = max((abs(line.net) for line in lines), default=0) or 1
    return [
        Bar(line.name, line.net_text, round(max(100 * line.net / largest, 0), 1)) for line in lines
    ]


def _describe(one: InvoiceReport, straight: float | None, budgets: list[Budget]) -> str:
    invoice = one.invoice
    days = max(0, round((one.as_of.timestamp() - invoice.period_start) / _DAY))
    told = f"{invoice.amount_due_text} due after {days} day{'s' * (days != 1)} of the period"
    if straight is not None:
        told += f", projected by a straight line to reach {_text(one, straight)} at its end"
    elif one.forecast is not None:
        told += f". {one.forecast.text}"
    listed = ", ".join(budget.text for budget in budgets)
    return f"{told}. {f'Budgets: {listed}' if listed else 'No budget'}."


def _text(one: InvoiceReport, amount: float) -> str:
    return money.to_text(amount, one.invoice.currency)
