"""
The forecast: takes what was read and the time, and returns what is coming.

Amounts are in minor units of the invoice's currency. What is known is exact. What is still to come
is an estimate, and rounded once, half to even, to a whole minor unit.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.invoice import EARLIEST_PROJECTION, Invoice
from pulumi_cf_invoice.billing.usage_history import UsageHistory
from pulumi_cf_invoice.forecast.bill import Bill, bill_of
from pulumi_cf_invoice.forecast.days import DAY, date_of, day_of, sum_over
from pulumi_cf_invoice.forecast.last_period import last_period
from pulumi_cf_invoice.forecast.notes import left_out, notes_of
from pulumi_cf_invoice.forecast.outlook import (
    Ahead,
    DailyUsage,
    Method,
    Outlook,
    StraightLine,
    ahead,
)
from pulumi_cf_invoice.forecast.priced import PricedDays, price_days
from pulumi_cf_invoice.forecast.record import foresee
from pulumi_cf_invoice.forecast.result import ComingDay, Forecast
from pulumi_cf_invoice.forecast.runway import FORESEEN, Runway, runway
from pulumi_cf_invoice.forecast.unit import UnknownUnit

_EARLIEST = EARLIEST_PROJECTION.total_seconds()
_MOST_DAYS = 400
"""The days of the longest period that is forecast by day: a year, and a month of grace."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def forecast_invoice(
    invoice: Invoice,
    history: UsageHistory | None = None,
    balance: CreditBalance | None = None,
    *,
    at: datetime,
    fixed_lines: Sequence[str] = (),
) -> Forecast:
    """
    Forecast *invoice* as of *at*, the time at which everything was read.

    *fixed_lines* are globs of the descriptions of lines that do not grow with usage. Raises
    `IncompleteLinesError` if the API gave only a part of the invoice's lines, `SettingsError` if
    *fixed_lines* is no list of texts, and ValueError if *at* has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a forecast needs a time zone")
    now = Fraction((at - _EPOCH) // timedelta(microseconds=1), 1_000_000)
    bill = bill_of(invoice, fixed_lines)
    priced = _priced(history, invoice, bill, at, now)
    outlook = _outlook(priced, invoice, bill, now)
    coming = tuple(_coming(outlook, priced, invoice, bill, balance, now))
    end = _at_end(coming, invoice, now)
    other = _by_other_reading(outlook, priced, invoice, bill, balance, now)
    return Forecast(
        method=_method(outlook, priced, invoice, now),
        currency=invoice.currency,
        period_start=invoice.period_start,
        period_end=invoice.period_end,
        amount_due=end.median if end else None,
        amount_due_p10=end.p10 if end else None,
        amount_due_p90=end.p90 if end else None,
        days_of_history=len(priced.settled) if isinstance(priced, PricedDays) else 0,
        track_record=outlook.record if isinstance(outlook, DailyUsage) else None,
        unit=priced.unit.name if isinstance(priced, PricedDays) else None,
        spent=tuple(priced.spent()) if isinstance(priced, PricedDays) else (),
        coming=coming,
        runway=_runway(balance, invoice, bill, _lasting(outlook, history), now),
        last_period=last_period(priced, bill, invoice.currency)
        if isinstance(priced, PricedDays)
        else None,
        notes=(*notes_of(priced, outlook, invoice, bill, other), *left_out(history, priced)),
    )


def _priced(
    history: UsageHistory | None, invoice: Invoice, bill: Bill, at: datetime, now: Fraction
) -> PricedDays | UnknownUnit:
    if now < invoice.period_start:
        return UnknownUnit("The invoice's period has not begun.")
    if _elapsed(invoice, now) < _EARLIEST:
        return UnknownUnit("The invoice is not yet an hour into its period.")
    problem = invoice.period_problem(at, bill.growing)
    if problem and now < invoice.period_end:
        return UnknownUnit(f"{problem[0].upper()}{problem[1:]}.", is_unpriced=True)
    if _is_long(invoice):
        return UnknownUnit(
            f"The invoice's period is longer than {_MOST_DAYS} days, so it is not forecast by day."
        )
    if history is None:
        return UnknownUnit("No usage history was read.")
    return price_days(history, invoice, bill, now)


def _outlook(
    priced: PricedDays | UnknownUnit, invoice: Invoice, bill: Bill, now: Fraction
) -> Outlook | None:
    elapsed = _elapsed(invoice, now)
    if elapsed < _EARLIEST or _is_unpriced(priced):
        return None
    if isinstance(priced, PricedDays) and priced.has_trend:
        return _daily(priced, invoice, now)
    return StraightLine(bill.gross / elapsed)


def _is_unpriced(priced: PricedDays | UnknownUnit) -> bool:
    return isinstance(priced, UnknownUnit) and priced.is_unpriced


def _elapsed(invoice: Invoice, now: Fraction) -> Fraction:
    return min(now, Fraction(invoice.period_end)) - invoice.period_start


def _daily(priced: PricedDays, invoice: Invoice, now: Fraction) -> DailyUsage:
    first = priced.trend_ends
    to_come = max(-int((first - invoice.period_end) // DAY), 1)
    foreseen = max(to_come, int((now - first) // DAY) + 1 + FORESEEN)
    expected = foresee(priced.trend, foreseen, to_come, priced.so_far)
    return DailyUsage(first, expected, priced.doubt, priced.dearer)


def _method(
    outlook: Outlook | None, priced: PricedDays | UnknownUnit, invoice: Invoice, now: Fraction
) -> Method:
    if now >= invoice.period_end:
        return "period-over"
    if outlook is None:
        return "not-known" if _is_unpriced(priced) else "too-early"
    return outlook.method


def _coming(
    outlook: Outlook | None,
    priced: PricedDays | UnknownUnit,
    invoice: Invoice,
    bill: Bill,
    balance: CreditBalance | None,
    now: Fraction,
) -> Iterator[ComingDay]:
    if outlook is None:
        return
    known = at_most = unseen = Fraction(0)
    if isinstance(priced, PricedDays) and isinstance(outlook, DailyUsage):
        known, at_most = priced.not_invoiced, priced.not_invoiced_at_most
        unseen = _not_seen(priced, outlook, now)

    def due(spend: Fraction) -> float:
        return _due(spend, invoice, bill, balance)

    for day in _days_ahead(outlook, invoice, now, unseen):
        yield ComingDay(
            date=date_of(day.start),
            median=due(known + day.median),
            p10=None if day.p10 is None else due(known + day.p10),
            p90=None if day.p90 is None else due(at_most + day.p90),
        )


def _days_ahead(
    outlook: Outlook, invoice: Invoice, now: Fraction, unseen: Fraction
) -> Iterator[Ahead]:
    """Yield the days to the end of the period, and the last alone of one that is long."""
    end = invoice.period_end
    if not _is_long(invoice):
        yield from ahead(outlook, now, end, before=unseen)
    elif now < end:
        yield Ahead(day_of(end - 1), outlook.daily(end) * (end - now) / DAY, None, None)


def _is_long(invoice: Invoice) -> bool:
    return invoice.period_end - invoice.period_start > _MOST_DAYS * DAY


def _due(spend: Fraction, invoice: Invoice, bill: Bill, balance: CreditBalance | None) -> float:
    """Return the amount due, in minor units, after a further *spend* before credits."""
    more = round(bill.net_of(spend, _limited(balance)))
    return money.number(money.total([invoice.amount_due, more]))


def _by_other_reading(
    outlook: Outlook | None,
    priced: PricedDays | UnknownUnit,
    invoice: Invoice,
    bill: Bill,
    balance: CreditBalance | None,
    now: Fraction,
) -> float | None:
    """Return the median if the invoice is behind; None if there is no such other reading."""
    if not isinstance(priced, PricedDays) or not isinstance(outlook, DailyUsage):
        return None
    if priced.unit.other is None or now >= invoice.period_end:
        return None
    to_come = sum_over(outlook.daily, now, Fraction(invoice.period_end))
    median = _not_seen(priced, outlook, now) + to_come
    spend = priced.not_invoiced_at_most + median * priced.dearer
    return _due(spend, invoice, bill, balance)


def _not_seen(priced: PricedDays, outlook: DailyUsage, now: Fraction) -> Fraction:
    last = priced.fell_silent
    if last is None:
        return Fraction(0)
    start, end = (Fraction(instant) for instant in priced.period)
    expected = sum_over(outlook.daily, max(Fraction(last.start), start), min(now, end))
    return priced.not_seen(max(expected - last.in_period * priced.unit.price, Fraction(0)))


def _limited(balance: CreditBalance | None) -> Fraction | None:
    if balance is None or balance.topup_is_healthy:
        return None
    return Fraction(money.exact(balance.balance))


def _at_end(coming: Sequence[ComingDay], invoice: Invoice, now: Fraction) -> ComingDay | None:
    if now >= invoice.period_end:
        last = date_of(invoice.period_end - 1)
        return ComingDay(date=last, median=invoice.amount_due, p10=None, p90=None)
    return coming[-1] if coming else None


def _lasting(outlook: Outlook | None, history: UsageHistory | None) -> Outlook | None:
    """Return the outlook, unless it has no spend though there may be one."""
    if not isinstance(outlook, StraightLine) or outlook.rate > 0:
        return outlook
    is_idle = history is not None and not any(entry.aggregated_value for entry in history.entries)
    return outlook if is_idle else None


def _runway(
    balance: CreditBalance | None,
    invoice: Invoice,
    bill: Bill,
    outlook: Outlook | None,
    now: Fraction,
) -> Runway | None:
    if balance is None:
        return None
    share = 1 - bill.discounted
    return runway(balance, invoice.currency, outlook, now=now, undiscounted=share)
