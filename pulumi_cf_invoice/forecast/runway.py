"""How long the credits last: the first day on which they fall below zero."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.models import Estimate
from pulumi_cf_invoice.forecast.days import DAY, date_of, day_of
from pulumi_cf_invoice.forecast.outlook import Outlook, ahead

FORESEEN = 366
"""How many days to look ahead: credits that last longer last over a year."""


@dataclass(frozen=True, kw_only=True)
class Runway:
    """How long the credits last. Amounts are in minor units of `currency`."""

    balance: Estimate
    """Remaining credit, in minor units of `currency`; negative if usage has exceeded it."""
    currency: str
    """ISO 4217 code in lower case, the invoice's, because the balance has none."""
    is_known: bool
    """Whether anything can be said. Not while it is too early for a forecast or usage has no price
    yet, unless the credits are gone."""
    runs_out: date | None
    """The first day on which the credits fall below zero without a top-up; none if no such day is
    in sight, or if unknown."""
    runs_out_early: date | None
    """The same at the 90th percentile of spend; also none without a band."""
    is_topped_up: bool
    """Whether an automatic top-up is on, and nothing is known to be wrong with it."""
    topup_amount: Estimate | None
    """What a top-up adds, in minor units of `currency`; none if no top-up is set."""
    topup_threshold: Estimate | None
    """The balance below which a top-up is made, in minor units of `currency`; none if no top-up is
    set."""
    topup_problem: str | None
    """Why the automatic top-up failed or is disabled, in the API's words."""

    @property
    def text(self) -> str:
        """The runway for people. A failed top-up comes first."""
        lasting = f"{self.lasting}."
        if self.is_topped_up and self.topup_threshold is not None:
            at = money.to_text(self.topup_threshold, self.currency)
            if self.balance <= 0:
                return f"No credits are left, although they are topped up automatically at {at}."
            return f"Credits are topped up automatically at {at}; without that, {lasting}"
        failed = (
            f"The automatic top-up does not work: {self.topup_problem}. "
            if self.topup_problem
            else ""
        )
        return f"{failed}{lasting[0].upper()}{lasting[1:]}"

    @property
    def lasting(self) -> str:
        """How long the credits last without a top-up, as the beginning of a sentence's middle."""
        if self.balance <= 0:
            return "no credits are left"
        text = f"credits of {money.to_text(self.balance, self.currency)}"
        if not self.is_known:
            return f"how long {text} last is not known yet"
        is_earlier = self.runs_out_early not in (None, self.runs_out)
        early = f" ({self.runs_out_early} at the earliest)" if is_earlier else ""
        if self.runs_out is None:
            return f"{text} last over a year{early}"
        return f"{text} last until {self.runs_out}{early}"


def runway(
    balance: CreditBalance,
    currency: str,
    outlook: Outlook | None,
    *,
    now: Fraction,
    undiscounted: Fraction,
) -> Runway:
    """Return how long *balance* lasts if the share *undiscounted* of the spend is taken from it."""
    left = Fraction(money.exact(balance.balance))
    config = balance.topup_config
    out: date | None = None
    early: date | None = None
    if left <= 0:
        out = date_of(day_of(now))
    elif outlook is not None:
        for day in ahead(outlook, now, day_of(now) + FORESEEN * DAY):
            if early is None and day.p90 is not None and day.p90 * undiscounted > left:
                early = date_of(day.start)
            if day.median * undiscounted > left:
                out = date_of(day.start)
                break
    return Runway(
        balance=balance.balance,
        currency=currency,
        is_known=left <= 0 or outlook is not None,
        runs_out=out,
        runs_out_early=early,
        is_topped_up=balance.topup_is_healthy,
        topup_amount=config.amount if config else None,
        topup_threshold=config.threshold if config else None,
        topup_problem=balance.topup_problem,
    )
