"""What a reader should know about a forecast, in sentences."""

from collections.abc import Iterator, Sequence

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.invoice import Invoice, InvoiceLine
from pulumi_cf_invoice.billing.models import counted
from pulumi_cf_invoice.billing.suggestions import new_globs
from pulumi_cf_invoice.billing.usage_history import UsageHistory
from pulumi_cf_invoice.forecast.bill import Bill
from pulumi_cf_invoice.forecast.days import date_of, day_of
from pulumi_cf_invoice.forecast.outlook import Outlook
from pulumi_cf_invoice.forecast.priced import PricedDays
from pulumi_cf_invoice.forecast.unit import Unit, UnknownUnit

_OWN_UNIT = (
    "Usage is in a unit of its own, at the price that the invoice charges for the period's usage."
)


def notes_of(
    priced: PricedDays | UnknownUnit,
    outlook: Outlook | None,
    invoice: Invoice,
    bill: Bill,
    other: float | None,
) -> Iterator[str]:
    """
    Return what is assumed, what does not fit, and what is left out.

    The first note says why it is a straight line, if it is one. *other* is the median, in minor
    units, if the invoice is behind and that cannot be distinguished from a price.
    """
    if isinstance(priced, UnknownUnit):
        yield priced.reason
    else:
        if outlook is not None and outlook.method == "straight-line":
            least = "seven" if priced.history_is_behind else "three"
            yield f"There are fewer than {least} whole days of usage, too few for a trend."
        yield _unit(priced, outlook, invoice.currency, other)
        yield from _fee(priced, invoice)
        yield from _lag(priced, invoice.currency)
        yield from _days(priced)
    yield from _fixed(bill, invoice)


def left_out(history: UsageHistory | None, priced: PricedDays | UnknownUnit) -> Iterator[str]:
    """
    Return what the API returned without a value before today, which a forecast by days counts as 0.
    """
    if history is None or not isinstance(priced, PricedDays):
        return
    today = day_of(priced.now)
    before = sum(start < today for start in history.entries_without_value)
    if before:
        without = f"{counted(before, history.window)} without a value"
        yield f"The usage history has {without}, which counts as no usage."


def _unit(priced: PricedDays, outlook: Outlook | None, currency: str, other: float | None) -> str:
    unit = priced.unit
    if unit.other is not None and other is not None:
        median = money.to_text(other, currency)
        has_band = outlook is not None and outlook.method == "daily-usage"
        covered = " The band covers both." if has_band else ""
        if unit.other.name == "ratio":
            return (
                f"{_OWN_UNIT} If the invoice is missing the last two days, which would go "
                f"unnoticed, the median is {median}.{covered}"
            )
        price = float(unit.price / unit.other.price)
        behind = money.to_text(money.number(money.exact(round(-unit.other.lag))), currency)
        return (
            f"Usage and invoice can be read in two ways: a unit of usage costs {price:.2f} times "
            f"{_price(unit.other, currency)}, which the forecast assumes, or the invoice is "
            f"{behind} behind, in which case the median is {median}.{covered}"
        )
    if unit.name == "ratio":
        return _OWN_UNIT
    return f"Usage is in units of {_price(unit, currency)}, which add up to the invoice."


def _price(unit: Unit, currency: str) -> str:
    # A minor unit of the currency, or a major one: whole minor units.
    return money.to_text(int(unit.price), currency)


def _fee(priced: PricedDays, invoice: Invoice) -> Iterator[str]:
    for line in priced.possible_fees:
        amount = money.to_text(line.amount, invoice.currency)
        name = one_line(line.description or "without a description")
        yield (
            f'Usage adds up to all lines but "{name}" ({amount}): if that is a fixed fee, list it '
            "as a fixed line, so that the forecast does not let it grow."
        )


def _lag(priced: PricedDays, currency: str) -> Iterator[str]:
    if not priced.is_behind:
        return
    lag = money.number(money.exact(round(abs(priced.unit.lag))))
    amount = money.to_text(lag, currency)
    if priced.history_is_behind:
        yield (
            f"The usage history is {amount} behind the invoice: its last days may still grow and "
            "do not count as a trend, and the band is wider."
        )
    else:
        yield (
            f"The invoice is {amount} behind the usage history: that amount counts as spent, and "
            "the band is wider."
        )


def _days(priced: PricedDays) -> Iterator[str]:
    if priced.fell_silent is not None:
        yield (
            f"The usage history has nothing since {date_of(priced.fell_silent.start)}: the "
            "forecast assumes that it lags, not that usage paused."
        )
    if priced.corrections:
        days = "1 day has" if priced.corrections == 1 else f"{priced.corrections} days have"
        yield f"{days} negative usage: a correction, which lowers the sum of the days before it."


def _fixed(bill: Bill, invoice: Invoice) -> Iterator[str]:
    earlier = "of an earlier period"
    yield from _that_stay(bill.fees, invoice, "a fixed fee", "fixed fees")
    yield from _that_stay(bill.earlier, invoice, earlier, earlier)
    if bill.refunds:
        amount = _sum(bill.refunds, invoice)
        yield (
            f"1 line is below zero, {amount}: a refund, which does not go on."
            if len(bill.refunds) == 1
            else f"{len(bill.refunds)} lines are below zero, {amount}: refunds, which do not go on."
        )
    descriptions = [line.description or "" for line in invoice.invoice_lines]
    for glob in bill.unmatched:
        unmatched = f'No line of the invoice matches "{one_line(glob)}", one of the fixed lines.'
        yield f"{unmatched}{new_globs([glob], descriptions)}"


def _that_stay(
    lines: Sequence[InvoiceLine], invoice: Invoice, one: str, several: str
) -> Iterator[str]:
    """Say that *lines*, if there are any, do not grow: *one* is what a single line is called."""
    if not lines:
        return
    amount = _sum(lines, invoice)
    yield (
        f"1 line is {one}, {amount}, and stays as it is."
        if len(lines) == 1
        else f"{len(lines)} lines are {several}, {amount}, and stay as they are."
    )


def _sum(lines: Sequence[InvoiceLine], invoice: Invoice) -> str:
    total = money.number(money.total(line.amount for line in lines))
    return f"{money.to_text(total, invoice.currency)} before credits"
