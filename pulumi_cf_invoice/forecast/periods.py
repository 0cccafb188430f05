"""The periods of invoices: their names, and which one came before."""

from datetime import UTC, datetime

from pulumi_cf_invoice.billing.models import days, instant

# Not strftime's, which follow the locale.
_MONTHS = (
    "January February March April May June July August September October November December".split()
)


def period_name(start: int, end: int) -> str:
    """Return a period in Unix seconds for people: a month by its name, another by its UTC days."""
    if _is_month(start, end):
        return _MONTHS[instant(start).month - 1]
    return days(start, end)


def period_before(start: int, end: int) -> tuple[int, int]:
    """
    Return the period before, in Unix seconds: the month before a month, else one as long.

    None begins before 1970, however long the period is.
    """
    if not _is_month(start, end):
        return max(start - (end - start), 0), start
    first = instant(start)
    year, month = (first.year, first.month - 1) if first.month > 1 else (first.year - 1, 12)
    return max(int(datetime(year, month, 1, tzinfo=UTC).timestamp()), 0), start


def _is_month(start: int, end: int) -> bool:
    first, following = instant(start), instant(end)
    months = 12 * (following.year - first.year) + following.month - first.month
    begin = datetime(first.year, first.month, 1, tzinfo=UTC)
    is_whole = first == begin and following.day == 1 and following.time() == begin.time()
    return months == 1 and is_whole
