"""The geometry of the report's charts; the template draws them as inline SVG."""

from dataclasses import dataclass

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.usage_history import UsageEntry
from pulumi_cf_invoice.report.account import AccountReport
from pulumi_cf_invoice.report.report import InvoiceReport
from pulumi_cf_invoice.rules import AMOUNT_DUE, PROJECTED_AMOUNT_DUE

WIDTH, HEIGHT = 480, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 472, 8, 162
_BARS = 8
_DAYS, _EARLIER = 31, 12


@dataclass(frozen=True)
class SpendChart:
    """Spend over the period, so far and projected, and the budget. Lengths are in SVG units."""

    description: str
    now_x: float
    now_y: float
    zero_y: float
    end_y: float | None
    budget_y: float | None
    budget_text: str
    now_text: str
    end_text: str
    first_day: str
    last_day: str


@dataclass(frozen=True)
class Bar:
    """A line, and its share of the largest one in percent of the width."""

    name: str
    text: str
    share: float


def spend(one: InvoiceReport) -> SpendChart | None:
    """Return the chart of the amount due; None for a period without length."""
    invoice = one.invoice
    length = invoice.period_end - invoice.period_start
    if length <= 0:
        return None
    elapsed = (one.at.timestamp() - invoice.period_start) / length
    now_x = _LEFT + min(max(elapsed, 0.0), 1.0) * (_RIGHT - _LEFT)
    projected = one.projected_amount_due
    budget = _budget(one)
    amounts = [0, invoice.amount_due, *(a for a in (projected, budget) if a is not None)]
    low, high = min(amounts), max(max(amounts), min(amounts) + 1)

    def y(amount: float) -> float:
        share = (money.exact(amount) - money.exact(low)) / (money.exact(high) - money.exact(low))
        return round(_BOTTOM - float(share) * (_BOTTOM - _TOP), 1)

    budget_text = "" if budget is None else f"Budget {_text(one, budget)}"
    return SpendChart(
        description=_describe(one, projected, budget_text),
        now_x=round(now_x, 1),
        now_y=y(invoice.amount_due),
        zero_y=y(0),
        end_y=None if projected is None or elapsed >= 1 else y(projected),
        budget_y=None if budget is None else y(budget),
        budget_text=budget_text,
        now_text=invoice.amount_due_text,
        end_text="" if projected is None else f"projected {_text(one, projected)}",
        first_day=invoice.period_text.split(" to ")[0],
        last_day=invoice.period_text.split(" to ")[1],
    )


@dataclass(frozen=True)
class Column:
    """A day of usage as a column. Lengths are in SVG units."""

    x: float
    y: float
    width: float
    height: float
    is_partial: bool


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
        height = max(entry.aggregated_value, 0) / highest * (_BOTTOM - _TOP)
        x, y = _LEFT + number * step, _BOTTOM - height
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


def _budget(one: InvoiceReport) -> float | None:
    return next(
        (
            money.number(money.exact(finding.limit.amount))
            for rule in one.rules
            for finding in rule.findings
            if finding.subject in (AMOUNT_DUE, PROJECTED_AMOUNT_DUE)
            and not finding.of_line
            and finding.account_id in (None, one.account_id)
            and finding.limit
            and finding.limit.currency == one.invoice.currency
        ),
        None,
    )


def _describe(one: InvoiceReport, projected: float | None, budget_text: str) -> str:
    invoice = one.invoice
    days = max(0, round((one.at.timestamp() - invoice.period_start) / 86400))
    told = f"{invoice.amount_due_text} due after {days} day{'s' * (days != 1)} of the period"
    if projected is not None:
        told += f", projected to reach {_text(one, projected)} at its end"
    return f"{told}. {budget_text or 'No budget'}."


def _text(one: InvoiceReport, amount: float) -> str:
    return money.to_text(amount, one.invoice.currency)
