"""The previous period: what it came to, and what a forecast on the same day would have said."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.models import Estimate
from pulumi_cf_invoice.forecast.bill import Bill
from pulumi_cf_invoice.forecast.days import DAY, date_of, day_of
from pulumi_cf_invoice.forecast.outlook import DailyUsage, ahead
from pulumi_cf_invoice.forecast.periods import period_before, period_name
from pulumi_cf_invoice.forecast.priced import PricedDays
from pulumi_cf_invoice.forecast.record import BAND_FROM, SoFar, foresee

_FAR_OFF = Decimal("0.2")
"""
The share of what a month came to: a larger miss means that forecasts are unreliable there.
"""
_ABOUT = Decimal("0.2")
"""
The share of a month's invoice: if usage differs by more, it was billed otherwise, as with other
credits.
"""


@dataclass(frozen=True, kw_only=True)
class LastPeriod:
    """
    The previous period by its usage, and what a forecast on the same day would have said.

    Amounts are in minor units of `currency`, less the share that credits now have of the invoice,
    without tax, adjustments, fixed fees, refunds and what is of an earlier period.
    """

    currency: str
    """ISO 4217 code in lower case, the invoice's."""
    period_start: int
    """Start of the previous period, in Unix seconds (UTC)."""
    period_end: int
    """End of the previous period, in Unix seconds (UTC), not included."""
    by_usage: Estimate
    """What the period came to by its usage, at this period's prices, in minor units of
    `currency`."""
    as_of: date | None
    """The UTC day as far into the previous period as today is into this one; none if a forecast
    would have had less than 14 days of history then, or the period was over."""
    median: Estimate | None
    """The median of what a forecast at that time would have said, in minor units of `currency`;
    none without `as_of`."""
    p10: Estimate | None
    """Its 10th percentile, in minor units of `currency`; none without `as_of`."""
    p90: Estimate | None
    """Its 90th percentile, in minor units of `currency`; none without `as_of`."""

    @property
    def name(self) -> str:
        """The period for people: ``August``."""
        return period_name(self.period_start, self.period_end)

    @property
    def text(self) -> str:
        """What would have been forecast, and what the period came to by usage, for people."""
        came_to = f"{self.name} came to {self._rough(self.by_usage)} by its usage"
        hindsight = self.hindsight(self.by_usage)
        return f"{hindsight}; {came_to}" if hindsight else came_to

    def hindsight(self, amount: float) -> str:
        """
        Return what would have been forecast, and how far that was from the *amount* it came to.

        The amount is in minor units of `currency`. Empty if nothing would have been said.
        """
        if self.as_of is None or self.p10 is None or self.p90 is None:
            return ""
        low, high = self._rough(self.p10), self._rough(self.p90)
        band = low if low == high else f"{low} to {high}"
        miss = money.total([self.p10], less=[amount]), money.total([amount], less=[self.p90])
        was = "which was right"
        if max(miss) > 0:
            off = self._rough(money.number(max(miss)))
            was = f"but it came to {off} {'less' if miss[0] > 0 else 'more'} than that"
            if max(miss) > money.exact(abs(amount)) * _FAR_OFF:
                was += ": treat this month's forecast with caution"
        return f"On {self.as_of} the forecast for {self.name} would have been {band}, {was}"

    def is_about(self, amount: float) -> bool:
        """Return whether usage alone comes to about *amount*, in minor units of `currency`."""
        difference = abs(money.total([amount], less=[self.by_usage]))
        return difference <= money.exact(abs(amount)) * _ABOUT

    def _rough(self, amount: float) -> str:
        return money.to_rough_text(amount, self.currency)


def last_period(priced: PricedDays, bill: Bill, currency: str) -> LastPeriod | None:
    """
    Return what the period before came to, by the days that are *priced* as the *bill* is.

    Returns None where the usage history does not have all of it.
    """
    start, end = period_before(*priced.period)
    if priced.since > start or end > priced.now:
        return None
    total = priced.gross_between(Fraction(start), Fraction(end))

    def net(gross: Fraction) -> int:
        return round(bill.net_of(gross, None))

    then = priced.now - priced.period[0] + start
    foreseen = _foreseen(priced, then, end)
    if foreseen is not None:
        spent = priced.gross_between(Fraction(start), then)
        median, p10, p90 = (net(spent + more) for more in foreseen)
    return LastPeriod(
        currency=currency,
        period_start=start,
        period_end=end,
        by_usage=net(total),
        as_of=date_of(int(then)) if foreseen else None,
        median=median if foreseen else None,
        p10=p10 if foreseen else None,
        p90=p90 if foreseen else None,
    )


def _foreseen(
    priced: PricedDays, then: Fraction, end: int
) -> tuple[Fraction, Fraction, Fraction] | None:
    """Return the median and the percentiles of the spend from *then* to *end*, as of then."""
    spend = priced.spend_until(then)
    if then >= end or len(spend) < BAND_FROM:
        return None
    first = day_of(then)
    days = -(-(end - first) // DAY)
    so_far = priced.gross_between(Fraction(first), then)
    today = SoFar(float(so_far), float((then - first) / DAY))
    outlook = DailyUsage(
        first, foresee(priced.trend.before(spend), days, days, today), 0, Fraction(1)
    )
    *_, last = ahead(outlook, then, end)
    if last.p10 is None or last.p90 is None:
        return None
    return last.median, last.p10, last.p90
