"""
The unit of usage, which the API documents nowhere: what one of it costs, by the invoice.

Usage that is counted in minor or in major units of the invoice's currency is recognized as such,
and what it differs from the invoice by is then known to be lag: one of the two is behind.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pulumi_cf_invoice.billing import money

UnitName = Literal["minor", "major", "ratio"]
MOST_DAYS_BEHIND = 3
"""The days of spend by which usage and invoice may differ for it to be lag: two, and today."""
_NEAR = Fraction(8, 5)
_DAYS_FOR_A_RATIO = 7


@dataclass(frozen=True)
class Unit:
    """What a unit of usage costs before credits."""

    name: UnitName
    """Minor or major units of the currency, or the ratio of the invoice to usage."""
    price: Fraction
    """Minor units of the currency for one unit of usage."""
    lag: Fraction
    """What the invoice has and the usage has not, in minor units; negative the other way round."""


@dataclass(frozen=True)
class UnknownUnit:
    """A unit of usage that cannot be inferred."""

    reason: str


def infer_unit(
    gross: Fraction,
    usage: Fraction,
    *,
    lacking: Fraction | int = 0,
    currency: str,
    days: Fraction,
    days_over: int,
) -> Unit | UnknownUnit:
    """
    Infer what a unit of usage costs from *gross* and *usage* in the same part of a period.

    That part is *days* long, and has *days_over* whole days. A ratio within a factor of 1.6 of 1 or
    of the currency's minor units counts as exactly that if three days of spend would explain the
    difference: more is no lag. Any other ratio needs seven days that are over, since a history that
    is a day behind would shift it too much before. What usage is seen to be *lacking* is in the
    ratio, since the invoice is rather up to date than not.
    """
    if gross <= 0 or usage <= 0:
        return UnknownUnit(_nothing_to_compare(gross, usage))
    prices: dict[UnitName, Fraction] = {
        "minor": Fraction(1),
        "major": Fraction(10 ** money.digits(currency)),
    }
    for name, price in prices.items():
        lag = gross - usage * price
        mean_day = max(gross, usage * price) / days
        is_near = 1 / _NEAR <= gross / usage / price <= _NEAR
        if is_near and abs(lag) <= MOST_DAYS_BEHIND * mean_day:
            return Unit(name, price, lag)
    if days_over < _DAYS_FOR_A_RATIO:
        return UnknownUnit(
            "What a unit of usage costs cannot be told yet: the usage of the period does not add "
            "up to the invoice, and seven days of it have to be over before their ratio counts."
        )
    return Unit("ratio", gross / (usage + lacking), Fraction(0))


def _nothing_to_compare(gross: Fraction, usage: Fraction) -> str:
    if gross < 0:
        return "The invoice's lines are negative in sum, so that days cannot be priced."
    if usage < 0:
        return "The period's usage is negative in sum, so that days cannot be priced."
    if gross == 0 and usage == 0:
        return "There is no usage and nothing to pay for in this period yet."
    if gross == 0:
        return (
            "There is usage in this period that the invoice asks nothing for: it may be included, "
            "or the invoice behind."
        )
    return "The usage history has no usage in this period, though the invoice has."
