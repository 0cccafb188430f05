"""
Days that cost several times what is usual, in words: in a month's total they show too late.

What is usual is what the rule ``max-daily-spend`` takes for it.
"""

from fractions import Fraction

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.errors import IncompleteLinesError
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.forecast import Forecast, SpentDay
from pulumi_cf_invoice.forecast.daily import last_days
from pulumi_cf_invoice.report.account import AccountReport

MULTIPLE = 3
"""How many times as much as usual a day must cost to be mentioned."""
_SHARE = Fraction(1, 10)
"""The share of the period's spend that such a day has at least."""


def text(account: AccountReport, forecast: Forecast) -> str | None:
    """
    Say which days of the period cost over three times what is usual, in a sentence.

    None if none did, or if what is usual is not known.
    """
    usual = _usual(account, forecast)
    if usual is None or usual <= 0:
        return None
    least = max(MULTIPLE * usual, sum(day.gross for day in forecast.spent) * _SHARE)
    days = [day for day in forecast.spent if day.gross > least]
    if not days:
        return None
    most = max(days, key=lambda day: day.gross)
    of_most = f"{money.to_text(most.net, forecast.currency)} on {_named(most, forecast)}"
    times = f"{float(most.gross / usual):,.0f} times a usual day"
    if len(days) == 1:
        return f"{of_most} is {times}: if that was not intended, find what is spending it."
    return (
        f"{len(days)} days since {days[0].date} cost over {MULTIPLE} times a usual day, up to "
        f"{of_most}, {times}: if that was not intended, find what is spending it."
    )


def _usual(account: AccountReport, forecast: Forecast) -> Fraction | None:
    """Return what a usual day costs before credits, in minor units; None if that is not known."""
    history, invoice = account.usage_history, account.snapshot.find(INVOICE_PREVIEW)
    if history is None or invoice is None or not forecast.spent:
        return None
    at = account.snapshot.read_at
    try:
        days = last_days(history, invoice, at=at, fixed_lines=account.fixed_lines)
    except IncompleteLinesError:
        return None
    usual = days.usual(Fraction(MULTIPLE))
    return None if usual is None or days.price is None else usual * days.price


def _named(day: SpentDay, forecast: Forecast) -> str:
    is_today = bool(forecast.coming) and day.date == forecast.coming[0].date
    return f"{day.date}{' (today so far)' if is_today else ''}"
