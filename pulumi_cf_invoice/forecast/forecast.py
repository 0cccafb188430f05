"""
The forecast: what was read and the time in, what is coming out.

Amounts are in minor units of the invoice's currency. What is known is exact. What is still to come
is an estimate, and rounded once, half to even, to a whole minor unit.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

from pydantic.dataclasses import dataclass as described

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.models import DESCRIBED, Estimate, days, instant
from pulumi_cf_invoice.billing.usage_history import UsageHistory
from pulumi_cf_invoice.forecast.bill import Bill, bill_of
from pulumi_cf_invoice.forecast.days import DAY, date_of, sum_over
from pulumi_cf_invoice.forecast.levels import BAND_FROM, TrackRecord, predict, track_record
from pulumi_cf_invoice.forecast.notes import notes_of
from pulumi_cf_invoice.forecast.outlook import DailyUsage, Method, Outlook, StraightLine, ahead
from pulumi_cf_invoice.forecast.priced import PricedDays, SpentDay, price_days
from pulumi_cf_invoice.forecast.runway import FORESEEN, Runway, runway
from pulumi_cf_invoice.forecast.unit import UnitName, UnknownUnit

_EARLIEST = 3_600
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Not strftime's, which follow the locale.
_MONTHS = (
    "January February March April May June July August September October November December".split()
)
_WORDS: dict[Method, str] = {
    "daily-usage": "daily usage",
    "recent-mean": f"mean of the last days, without a band (under {BAND_FROM} days of history)",
    "straight-line": "straight line",
    "too-early": "too early for a forecast",
    "period-over": "the period is over",
}


@described(frozen=True, kw_only=True, config=DESCRIBED)
class ComingDay:
    """The amount due at the end of a day that is still to come, in minor units."""

    date: date
    """The UTC day."""
    median: Estimate
    """The median of the amount due by then, in minor units of the invoice's currency."""
    p10: Estimate | None
    """The 10th percentile, in minor units of the invoice's currency; none without a band."""
    p90: Estimate | None
    """The 90th percentile, in minor units of the invoice's currency; none without a band."""


@described(frozen=True, kw_only=True, config=DESCRIBED)
class Forecast:
    """What an invoice will come to. Amounts are in minor units of `currency`."""

    method: Method
    """How the spend to come is found."""
    currency: str
    """ISO 4217 code in lower case."""
    period_start: int
    """Start of the invoice's period, in Unix seconds (UTC)."""
    period_end: int
    """End of the invoice's period, in Unix seconds (UTC), not included."""
    amount_due: Estimate | None
    """The median of the amount due at the end of the period, in minor units of `currency`; none if
    it is too early."""
    amount_due_p10: Estimate | None
    """The amount due that is exceeded nine times out of ten, in minor units of `currency`; none
    without a band."""
    amount_due_p90: Estimate | None
    """The amount due that is exceeded once out of ten times, in minor units of `currency`; none
    without a band."""
    days_of_history: int
    """Number of days of usage that it is made from; today is not among them."""
    track_record: TrackRecord | None
    """How wrong the method was on this account; none without a band."""
    unit: UnitName | None
    """What usage is counted in; none if that cannot be inferred."""
    spent: tuple[SpentDay, ...]
    """The days of the period until now; none where the history does not tell them."""
    coming: tuple[ComingDay, ...]
    """The days from now to the end of the period, today first; none if it is too early."""
    runway: Runway | None
    """How long the credits last; none if no balance was given."""
    notes: tuple[str, ...]
    """What a reader has to know: the unit that was inferred, lag, what was left out and why."""

    @property
    def method_text(self) -> str:
        """The method for people."""
        return _WORDS[self.method]

    @property
    def text(self) -> str:
        """The forecast in a line, in rough amounts: ``Forecast $392 to $447 for September``."""
        period = period_name(self.period_start, self.period_end)
        if self.amount_due is None:
            return f"Too early for a forecast for {period}"
        median = self._rough(self.amount_due)
        if self.method == "period-over":
            return f"{money.to_text(self.amount_due, self.currency)} for {period}, which is over"
        if self.method == "straight-line":
            return f"A straight line to {median} for {period}"
        if self.amount_due_p10 is None or self.amount_due_p90 is None:
            return f"Forecast {median} for {period}, without a band"
        low, high = self._rough(self.amount_due_p10), self._rough(self.amount_due_p90)
        if low == median == high:
            return f"Forecast {median} for {period}"
        band = f"{low} to {high}"
        return f"Forecast {band} for {period} (median {median})"

    @property
    def amount_due_text(self) -> str | None:
        """The median for people; none if it is too early."""
        return self._text(self.amount_due)

    @property
    def amount_due_p10_text(self) -> str | None:
        """The 10th percentile for people; none without a band."""
        return self._text(self.amount_due_p10)

    @property
    def amount_due_p90_text(self) -> str | None:
        """The 90th percentile for people; none without a band."""
        return self._text(self.amount_due_p90)

    def percentile(self, percent: int) -> float | None:
        """Return the amount due at the 10th, 50th or 90th percentile; None if it has none."""
        of = {10: self.amount_due_p10, 50: self.amount_due, 90: self.amount_due_p90}
        return of[percent]

    def to_figures(self) -> dict[str, Any]:
        """
        Return all figures, by name, as plain data, which a program can export: days as ISO 8601.
        """
        from pulumi_cf_invoice.forecast.figures import to_figures

        return to_figures(self)

    def _rough(self, amount: float) -> str:
        return money.to_rough_text(amount, self.currency)

    def _text(self, amount: float | None) -> str | None:
        return None if amount is None else money.to_text(amount, self.currency)


def period_name(start: int, end: int) -> str:
    """Return a period in Unix seconds for people: a month by its name, another by its UTC days."""
    first, following = instant(start), instant(end)
    months = 12 * (following.year - first.year) + following.month - first.month
    begin = datetime(first.year, first.month, 1, tzinfo=timezone.utc)
    is_month = months == 1 and first == begin and following.day == 1
    if is_month and following.time() == begin.time():
        return _MONTHS[first.month - 1]
    return days(start, end)


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
    priced = _priced(history, invoice, bill, now)
    outlook = _outlook(priced, invoice, bill, now)
    coming = tuple(_coming(outlook, priced, invoice, bill, balance, now))
    end = _at_end(coming, invoice, now)
    return Forecast(
        method=_method(outlook, invoice, now),
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
        runway=_runway(balance, invoice, bill, outlook, now),
        notes=tuple(notes_of(priced, outlook, invoice, bill)),
    )


def _priced(
    history: UsageHistory | None, invoice: Invoice, bill: Bill, now: Fraction
) -> PricedDays | UnknownUnit:
    if _elapsed(invoice, now) < _EARLIEST:
        return UnknownUnit("The invoice is not yet an hour into its period.")
    if history is None:
        return UnknownUnit("No usage history was read.")
    return price_days(history, invoice, bill, now)


def _outlook(
    priced: PricedDays | UnknownUnit, invoice: Invoice, bill: Bill, now: Fraction
) -> Outlook | None:
    elapsed = _elapsed(invoice, now)
    if elapsed < _EARLIEST:
        return None
    if isinstance(priced, PricedDays) and priced.has_trend:
        return _daily(priced, invoice, now)
    # What was refunded does not go on being refunded.
    return StraightLine(max(bill.gross, Fraction(0)) / elapsed)


def _elapsed(invoice: Invoice, now: Fraction) -> Fraction:
    return min(now, Fraction(invoice.period_end)) - invoice.period_start


def _daily(priced: PricedDays, invoice: Invoice, now: Fraction) -> DailyUsage:
    first = priced.settled[-1].start + DAY
    to_come = max(-int((first - invoice.period_end) // DAY), 1)
    foreseen = max(to_come, int((now - first) // DAY) + 1 + FORESEEN)
    spend = priced.spend
    return DailyUsage(first, predict(spend, foreseen), track_record(spend, to_come), priced.doubt)


def _method(outlook: Outlook | None, invoice: Invoice, now: Fraction) -> Method:
    if now >= invoice.period_end:
        return "period-over"
    return "too-early" if outlook is None else outlook.method


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
    known = unseen = Fraction(0)
    if isinstance(priced, PricedDays) and isinstance(outlook, DailyUsage):
        known, unseen = priced.not_invoiced, _not_seen(priced, outlook, now)
    credit = _limited(balance)

    def due(spend: Fraction) -> float:
        more = round(bill.net_of(known + spend, credit))
        return money.number(money.total([invoice.amount_due, more]))

    for day in ahead(outlook, now, invoice.period_end, before=unseen):
        yield ComingDay(
            date=date_of(day.start),
            median=due(day.median),
            p10=None if day.p10 is None else due(day.p10),
            p90=None if day.p90 is None else due(day.p90),
        )


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
