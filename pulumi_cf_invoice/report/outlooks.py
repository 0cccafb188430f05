"""The limits that a forecast passes before the period ends, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.report.judging import RuleResult
from pulumi_cf_invoice.rules.gates import Gate

_CLEARLY = 101
"""The percent of a limit above which a median passes it."""


@dataclass(frozen=True)
class Outlook:
    """
    A limit on the amount due that the forecast passes before the period ends.

    It is passed by the forecast's median, or, where ``is_upper``, by its 90th percentile.
    """

    rule: str
    limit: Money
    date: date
    """The UTC day on which it is passed, about."""
    amount: Money
    """The median, or the 90th percentile, at the end of the period."""
    in_days: int
    """How many days after the report that is; below zero if the figures are so old."""
    is_upper: bool = False
    which: str = ""
    """What tells the forecast from the one shown, in a few words; empty if it is that."""
    waived_until: str = ""
    """The end of the waiver of a limit that is passed only because it ends; empty if none does."""
    is_due: bool = False
    """Whether what is due already is more than the limit."""

    @property
    def text(self) -> str:
        """The outlook as the second half of a sentence."""
        forecast, limit = money.to_rough_text(*self.amount), money.to_rough_text(*self.limit)
        forecast += f" {self.which}" if self.which else ""
        if self.waived_until:
            up_to = "up to " if self.is_upper else ""
            return (
                f"once the waiver until {self.waived_until} ends, the limit is {limit}, and the "
                f"forecast is {up_to}{forecast}"
            )
        if self.is_upper:
            may_pass = "may have passed" if self.is_past else "may pass"
            return f"the forecast of up to {forecast} {may_pass} the limit of {limit}, {self.when}"
        return f"the forecast of {forecast} {self.passes} the limit of {limit} {self.when}"

    @property
    def order(self) -> tuple[int, Decimal]:
        """The sort key among outlooks: the earliest is the worst."""
        return 0, Decimal(self.date.toordinal())

    @property
    def is_past(self) -> bool:
        """Whether the day is before that of the report."""
        return self.in_days < 0

    @property
    def passes(self) -> str:
        """The verb for what the median does to the limit."""
        return "will have passed" if self.is_past else "passes"

    @property
    def when(self) -> str:
        """When it is passed, in a sentence's middle."""
        is_today = self.in_days == 0
        if self.is_upper:
            return f"{'today' if is_today else f'on {self.date}'} at the earliest"
        return "today" if is_today else f"about {self.date}"


def is_clearly_over(amount: float, limit: Money) -> bool:
    """Return whether a forecast of *amount*, in minor units, passes *limit* by more than 1%."""
    return 100 * money.exact(amount) > _CLEARLY * money.exact(limit.amount)


def outlook_of(
    coming: Sequence[tuple[date, datetime, float]],
    rule: RuleResult,
    account_id: str | None,
    invoice: Invoice,
    today: date,
    which: str,
    is_upper: bool,
) -> Outlook | None:
    """
    Return the outlook *today* if a forecast of *invoice* passes the limit of *rule*: its median by
    more than 1%.

    *coming* has each day to come with its last instant and the median of the amount due by then, or
    the 90th percentile (*is_upper*), in minor units of the invoice's currency; *which* tells the
    forecast from the one shown.
    """
    gate, first, waived_until = rule.gate, None, ""
    is_clear, before = is_upper, invoice.amount_due
    for day, until, median in coming:
        limit = gate.limit(account_id, until) if gate else None
        if limit is None or limit.currency != invoice.currency:
            continue
        if money.exact(median) > limit.amount and first is None:
            first = (day, limit)
            if gate and money.exact(before) > limit.amount:
                waived_until = _waived_until(gate, until)
        before = median
        # As long as it is hardly more than the limit, it may be less.
        is_clear = is_clear or is_clearly_over(median, limit)
    if first is None or not is_clear:
        return None
    highest = Money(coming[-1][2], invoice.currency)
    return Outlook(
        rule.name,
        first[1],
        first[0],
        highest,
        (first[0] - today).days,
        is_upper,
        which,
        waived_until,
        money.exact(invoice.amount_due) > first[1].amount,
    )


def _waived_until(gate: Gate, until: datetime) -> str:
    """Return the end of the waiver of *gate* if it is on the day that lasts *until* an instant."""
    waiver = gate.waiver
    if waiver is None or waiver.in_force(until) or not waiver.in_force(until - timedelta(days=1)):
        return ""
    return waiver.end
