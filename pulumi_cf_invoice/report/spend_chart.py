"""The geometry of the chart of spend in a period, or of a bar where nothing can be drawn yet."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import cut_in_the_middle
from pulumi_cf_invoice.billing.models import instant
from pulumi_cf_invoice.forecast import ComingDay, SpentDay
from pulumi_cf_invoice.forecast.days import DAY
from pulumi_cf_invoice.report.charts import WIDTH, DayColumn, over_text
from pulumi_cf_invoice.report.invoice_report import Budget, InvoiceReport
from pulumi_cf_invoice.report.tables import Column, Table

HEIGHT = 268
BAR_HEIGHT = 64
"""The height of the bar that there is where nothing can be drawn over time."""
RIGHT = 250
"""Where lines end and the labels' gutter begins."""
_TOP, _BOTTOM, _BARS_TOP, _BARS_BOTTOM = 20, 188, 202, 244
_CHARACTER = 6.7
"""The width of a character on a phone, where letters are largest, in SVG units."""
_LABEL = 27
"""What a label of two lines needs of the height, where letters are largest."""
_LONGEST_LABEL = 14
_TICKS = 4
# A limit further away would leave nothing to see of the rest.
_FARTHEST = 3
_BEYOND_LIMIT = Decimal("1.2")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@dataclass(frozen=True)
class Label:
    """
    A label of two lines in the gutter at ``y``, and the height ``line_y`` of what it names.

    A leader joins the two where they are apart. ``kind`` is ``over`` for a mandatory limit,
    ``advisory``, ``forecast``, or ``beyond`` for a limit above the chart, which has no line.
    """

    amount: str
    name: str
    y: float
    line_y: float
    kind: str

    @property
    def has_leader(self) -> bool:
        """Whether the label is too far from its line to be read as its own."""
        return self.kind != "beyond" and abs(self.y - self.line_y) > 2


@dataclass(frozen=True)
class BudgetLine:
    """A limit as a line across, at ``y`` in SVG units."""

    text: str
    is_mandatory: bool
    y: float


@dataclass(frozen=True)
class Tick:
    """A round amount of the axis, at ``y`` in SVG units."""

    text: str
    y: float


@dataclass(frozen=True)
class _Scale:
    """Where an amount between the lowest and the highest one is, in SVG units."""

    low: Decimal
    high: Decimal

    def __call__(self, amount: float | Decimal) -> float:
        """Return the height of *amount*."""
        share = float((money.exact(amount) - self.low) / (self.high - self.low))
        return round(_BOTTOM - share * (_BOTTOM - _TOP), 1)


@dataclass(frozen=True)
class SpendChart:
    """
    Spend in the period: what happened by day, what is forecast, and the limits.

    Lengths are in SVG units. Paths are ``d`` attributes, empty where there is nothing to draw.
    """

    title: str
    left: float
    now_x: float
    now_y: float
    now_text: str
    now_anchor: str
    zero_y: float
    happened: str
    area: str
    forecast: str
    band: str
    straight: str
    columns: list[DayColumn]
    ticks: list[Tick]
    budgets: list[BudgetLine]
    labels: list[Label]
    unlabelled: list[str]
    first_day: str
    last_day: str
    figures: Table

    @property
    def right(self) -> float:
        """Where lines end and the labels' gutter begins."""
        return RIGHT


@dataclass(frozen=True)
class LimitBar:
    """What is due as a bar against a limit, where there is nothing to draw over time yet."""

    title: str
    due: str
    limit: str
    width: float
    limit_x: float
    is_mandatory: bool
    figures: Table

    @property
    def limit_anchor(self) -> str:
        """Where the limit's text is anchored, so that it stays within the drawing."""
        return "end" if self.limit_x > WIDTH / 2 else "start"


def spend(report: InvoiceReport) -> SpendChart | None:
    """Return the chart of spend in the period; None where there is nothing to draw over time."""
    invoice = report.invoice
    if invoice.period_end <= invoice.period_start or not _has_course(report):
        return None
    spent, coming, straight = _spent(report), _coming(report), _straight(report)
    figures = [invoice.amount_due, *_foreseen(coming), *([] if straight is None else [straight])]
    near, beyond = _near(report.budgets, max(figures))
    y, ticks = _scaled(report, [*figures, *(budget.limit.amount for budget in near)])
    left = max(len(tick.text) for tick in ticks) * _CHARACTER + 6
    x = _times(report, left)
    now = x(report.as_of.timestamp()), y(invoice.amount_due)
    ends = [(x(_end_of(day.date)), day) for day in coming]
    happened = _happened(spent, invoice.amount_due, x, y, now)
    lows = [(at, y(day.p10)) for at, day in ends if day.p10 is not None]
    highs = [(at, y(day.p90)) for at, day in ends if day.p90 is not None]
    budgets = [BudgetLine(b.text, b.is_mandatory, y(b.limit.amount)) for b in near]
    labels = _labels(report, near, beyond, _end(coming, straight), y)
    named = {label.name for label in labels}
    now_text, now_anchor = _now(report, now[0], left)
    return SpendChart(
        title=_title(report),
        left=left,
        now_x=now[0],
        now_y=now[1],
        now_text=now_text,
        now_anchor=now_anchor,
        zero_y=y(0),
        happened=_path(happened),
        area=_path([*happened, (now[0], y(0)), (happened[0][0], y(0))] if happened else []),
        forecast=_path([now, *((at, y(day.median)) for at, day in ends)] if ends else []),
        band=_path([now, *highs, *reversed(lows), now] if lows else []),
        straight=_path([] if straight is None else [now, (RIGHT, y(straight))]),
        columns=_columns(spent, x, report.days_over),
        ticks=ticks,
        budgets=budgets,
        labels=labels,
        unlabelled=[b.text for b in [*near, *beyond] if _label_name(b) not in named],
        first_day=_short(invoice.period_start),
        last_day=_short(invoice.period_end - 1),
        figures=_figures(report),
    )


def limit_bar(report: InvoiceReport) -> LimitBar | None:
    """Return what is due against the limit, where `spend` has nothing to draw and there is one."""
    limit, invoice = report.limit, report.invoice
    if limit is None or _has_course(report):
        return None
    due, most = money.exact(invoice.amount_due), money.exact(limit.limit.amount)
    # The limit stands within the bar, so that an empty one does not look full.
    largest = max(due, most * _BEYOND_LIMIT, Decimal(1))
    return LimitBar(
        title=_title(report, is_bar=True),
        due=f"{invoice.amount_due_text} so far",
        limit=f"{limit.kind} {limit.limit.text} ({cut_in_the_middle(limit.name, 24)})",
        width=round(float(max(due, Decimal(0)) / largest) * WIDTH, 1),
        limit_x=round(float(most / largest) * WIDTH, 1),
        is_mandatory=limit.is_mandatory,
        figures=_figures(report),
    )


def _has_course(report: InvoiceReport) -> bool:
    """Return whether there is anything to draw over time but a line at zero."""
    coming, straight = _coming(report), _straight(report)
    has_ended = report.as_of.timestamp() >= report.invoice.period_end
    if not coming and straight is None and not has_ended:
        return False
    # What is in the payer's favour is not spent day by day.
    return max(report.invoice.amount_due, *_foreseen(coming), straight or 0) > 0


def _spent(report: InvoiceReport) -> Sequence[SpentDay]:
    return report.forecast.spent if report.forecast else ()


def _coming(report: InvoiceReport) -> Sequence[ComingDay]:
    forecast = report.forecast
    return forecast.coming if forecast and forecast.is_forecast else ()


def _straight(report: InvoiceReport) -> float | None:
    """Return the end of the straight line, where nothing better is known and there is time left."""
    if _coming(report) or report.as_of.timestamp() >= report.invoice.period_end:
        return None
    return report.projected_amount_due


def _foreseen(coming: Sequence[ComingDay]) -> list[float]:
    every = (amount for day in coming for amount in (day.p90, day.median, day.p10))
    return [amount for amount in every if amount is not None]


def _end(coming: Sequence[ComingDay], straight: float | None) -> tuple[float, str] | None:
    """Return the amount at the end of the period, and what it is called."""
    if coming:
        return coming[-1].median, "forecast"
    return None if straight is None else (straight, "straight line")


def _near(budgets: list[Budget], highest: float) -> tuple[list[Budget], list[Budget]]:
    """Return the limits that the chart has room for, and those beyond it."""
    most = money.exact(highest) * _FARTHEST
    near = [budget for budget in budgets if money.exact(budget.limit.amount) <= most]
    return near, [budget for budget in budgets if budget not in near]


def _scaled(report: InvoiceReport, amounts: Sequence[float | Decimal]) -> tuple[_Scale, list[Tick]]:
    """Return a scale for *amounts* and zero, and the round amounts of its axis."""
    exact = [Decimal(0), *map(money.exact, amounts)]
    low, high = min(exact), max(max(exact), min(exact) + 1)
    step = _step(high - low)
    first = int((low / step).to_integral_value(ROUND_FLOOR))
    last = int((high / step).to_integral_value(ROUND_CEILING))
    values = [step * number for number in range(first, last + 1)]
    y = _Scale(min(low, values[0]), max(high, values[-1]))
    currency = report.invoice.currency
    return y, [Tick(money.to_rough_text(value, currency), y(value)) for value in values]


def _step(span: Decimal) -> Decimal:
    """Return a round step of at least a minor unit that divides *span* into few parts."""
    power = Decimal(1)
    while power * 10 * _TICKS < span:
        power *= 10
    steps = (power * factor for factor in (1, 2, 5, 10))
    return next(step for step in steps if step * _TICKS >= span)


def _times(report: InvoiceReport, left: float) -> Callable[[float], float]:
    start, end = report.invoice.period_start, report.invoice.period_end

    def x(moment: float) -> float:
        elapsed = (moment - start) / (end - start)
        return round(left + min(max(elapsed, 0.0), 1.0) * (RIGHT - left), 1)

    return x


def _now(report: InvoiceReport, x: float, left: float) -> tuple[str, str]:
    """Return what the time of the figures is called, and where its text is anchored."""
    text = "today" if report.as_of.date() == report.at.date() else _short(report.as_of.timestamp())
    half = len(text) * _CHARACTER / 2
    if x - half < left:
        return text, "start"
    return text, "end" if x + half > RIGHT else "middle"


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
    points = [(x(_end_of(spent[0].date) - DAY), y(level))]
    for day in spent[:-1]:
        level += day.net
        points.append((x(_end_of(day.date)), y(level)))
    return [*points, now]


def _columns(
    spent: Sequence[SpentDay], x: Callable[[float], float], over: Collection[date]
) -> list[DayColumn]:
    highest = max((day.net for day in spent), default=0)
    if highest <= 0:
        return []
    columns = []
    for day in spent:
        start, end = x(_end_of(day.date) - DAY), x(_end_of(day.date))
        height = max(day.net, 0) / highest * (_BARS_BOTTOM - _BARS_TOP)
        columns.append(
            DayColumn(
                start + 0.5,
                round(_BARS_BOTTOM - height, 1),
                round(max(end - start - 1, 0.5), 1),
                round(height, 1),
                not day.is_settled,
                day.date in over,
            )
        )
    return columns


def _labels(
    report: InvoiceReport,
    near: Sequence[Budget],
    beyond: Sequence[Budget],
    end: tuple[float, str] | None,
    y: _Scale,
) -> list[Label]:
    """Return the labels in the gutter, the highest first, as many as there is room for."""
    wanted = [
        Label(
            budget.limit.text,
            _label_name(budget),
            y(budget.limit.amount),
            y(budget.limit.amount),
            "over" if budget.is_mandatory else "advisory",
        )
        for budget in near
    ]
    if end is not None:
        text = money.to_text(end[0], report.invoice.currency)
        wanted.append(Label(text, end[1], y(end[0]), y(end[0]), "forecast"))
    wanted += [
        Label(f"\u2191 {budget.limit.text}", _label_name(budget), _TOP, _TOP, "beyond")
        for budget in beyond
    ]
    # What a reader asks for first: the forecast, then mandatory limits, the lowest of them first.
    order = ("forecast", "over", "advisory", "beyond")
    kept = sorted(wanted, key=lambda label: (order.index(label.kind), -label.line_y))
    room = (_BOTTOM - _TOP) // _LABEL + 1
    return list(_spread(sorted(kept[:room], key=lambda label: (label.line_y, label.kind))))


def _spread(labels: Sequence[Label]) -> Iterator[Label]:
    """Return *labels*, the highest first, apart from one another and within the chart."""
    heights: list[float] = []
    for label in labels:
        heights.append(max(label.line_y, heights[-1] + _LABEL if heights else _TOP))
    lowest: float = _BOTTOM
    for number in range(len(heights) - 1, -1, -1):
        heights[number] = min(heights[number], lowest)
        lowest = heights[number] - _LABEL
    for label, height in zip(labels, heights, strict=True):
        yield Label(label.amount, label.name, round(height, 1), label.line_y, label.kind)


def _label_name(budget: Budget) -> str:
    return cut_in_the_middle(budget.name, _LONGEST_LABEL)


def _title(report: InvoiceReport, is_bar: bool = False) -> str:
    """Describe the chart in a sentence."""
    spent = f"{report.period_name}: {report.invoice.amount_due_text} so far"
    if report.as_of.timestamp() >= report.invoice.period_end:
        spent = f"{report.period_name}: {report.invoice.amount_due_text}, the period has ended"
    forecast, straight = report.forecast, _straight(report)
    if forecast is not None and _coming(report):
        low, high = forecast.amount_due_p10, forecast.amount_due_p90
        ends = [amount for amount in (low, high) if amount is not None]
        rough = [money.to_rough_text(end, forecast.currency) for end in ends]
        median = money.to_rough_text(forecast.amount_due or 0, forecast.currency)
        spent += f", forecast {' to '.join(dict.fromkeys(rough)) or median}"
    elif straight is not None and not is_bar:
        spent += f", {money.to_rough_text(straight, report.invoice.currency)} by a straight line"
    limit = report.limit
    over = over_text(report, [day.date for day in _spent(report)])
    return (
        f"{spent}{f', {limit.kind} {limit.limit.text} ({limit.name})' if limit else ''}"
        f"{f'; {over}' if over else ''}"
    )


def _figures(report: InvoiceReport) -> Table:
    """Return every figure in the chart besides its days, as a table."""
    invoice, forecast = report.invoice, report.forecast
    rows = [["Due so far", invoice.amount_due_text]]
    straight = _straight(report)
    if forecast is not None and _coming(report):
        ends = (
            ("Forecast, median", forecast.amount_due_text),
            ("Forecast, 10th percentile", forecast.amount_due_p10_text),
            ("Forecast, 90th percentile", forecast.amount_due_p90_text),
        )
        rows += [[name, text] for name, text in ends if text is not None]
    elif straight is not None:
        rows.append(["Straight line", money.to_text(straight, invoice.currency)])
    most = max((day.net for day in _spent(report)), default=0)
    if most > 0:
        rows.append(["Most spent on a day", money.to_text(most, invoice.currency)])
    for day, rules in report.days_over.items():
        for name, finding in rules.items():
            amount = finding.amount.text if finding.amount else str(finding.brief)
            rows.append([f"Over {name} on {day}", amount])
    for budget in report.budgets:
        level = "" if budget.is_mandatory else ", advisory"
        rows.append([f"Limit {budget.name}{level}", budget.limit.text])
    columns = [Column("Figure", is_text=True), Column("Amount")]
    return Table("What the chart shows", columns, rows)


def _short(moment: float) -> str:
    day = instant(moment)
    return f"{_MONTHS[day.month - 1]} {day.day}"


def _end_of(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + DAY


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "" if not points else "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
