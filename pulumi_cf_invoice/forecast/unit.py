"""
The unit of usage, which the API documents nowhere: what one costs, according to the invoice.

If usage adds up to the invoice in minor or major units of its currency, that is the unit. A
difference only counts as lag if the days of usage show it; otherwise the invoice is assumed to be
up to date, and the ratio of the two is the price. A note says that an invoice that is behind looks
the same.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pulumi_cf_invoice.billing import money

UnitName = Literal["minor", "major", "ratio"]
MOST_DAYS_BEHIND = 3
"""The days of spend by which usage and invoice may differ for it to be lag: two, and today."""
_NEAR = 2
DAYS_UNNOTICED = 2
"""The days by which an invoice may be behind without a price that would tell."""
# What the history lacks is estimated: so many times that much still is lag.
_ABOUT = Fraction(7, 4)
# The part of a day's spend by which usage and invoice that agree may differ.
_EXACT = Fraction(1, 10)
# In the first hours of a period, that tenth is more than all there is. So neither may be more than
# this many times the other, which tells minor units from major ones where no usage is late.
_FAR = Fraction(4)


@dataclass(frozen=True)
class Unit:
    """What a unit of usage costs before credits."""

    name: UnitName
    """Minor or major units of the currency, or the ratio of the invoice to usage."""
    price: Fraction
    """Minor units of the currency for one unit of usage."""
    lag: Fraction
    """What the invoice has and usage lacks, in minor units; negative the other way round."""
    known_prices: tuple[Fraction, ...]
    """What a minor and a major unit of the currency cost, in minor units."""
    other: "Unit | None" = None
    """The unit by the other reading: the invoice is behind, and a unit of usage costs more. Its
    name is ``ratio`` where nothing says by how much."""


@dataclass(frozen=True)
class UnknownUnit:
    """A unit of usage that cannot be inferred."""

    reason: str
    is_unpriced: bool = False
    """Whether there may be usage that the invoice does not charge for, or that nobody knows."""
    lacking: Fraction = Fraction(0)
    """The usage to expect of the time for which the history probably has nothing yet."""
    is_too_little: bool = False
    """Whether the period's usage is too little to be on the invoice, which rounds each line."""


def known_prices(currency: str) -> dict[UnitName, Fraction]:
    """Return what the known units cost, in minor units of the *currency*, cheapest first."""
    return {"minor": Fraction(1), "major": Fraction(10 ** money.digits(currency))}


def price_for_now(
    gross: Fraction, usage: Fraction, lacking: Fraction, *, currency: str
) -> Fraction:
    """
    Return what a unit of *usage* costs as long as that cannot be inferred.

    What the history is *lacking* makes a unit look dear, but the invoice may lack it as well: it
    only takes off what usage costs more than in the next cheaper unit that is known. Where usage in
    minor units may look like major ones, that is the minor unit.
    """
    ratio = gross / usage
    minor, major = known_prices(currency).values()
    prices = (minor,) if _may_explain(minor, gross, usage + lacking) else (minor, major)
    cheaper = (price for price in prices if price <= ratio)
    return max(gross / (usage + lacking), max(cheaper, default=ratio))


def infer_unit(
    gross: Fraction,
    usage: Fraction,
    *,
    latest: Fraction,
    lacking: Fraction,
    late: Fraction,
    least: Fraction,
    rounding: Fraction,
    currency: str,
    days: Fraction,
    days_over: int,
) -> Unit | UnknownUnit:
    """
    Infer what a unit of usage costs from *gross* and *usage* in the same part of a period.

    That part is *days* long, and has *days_over* whole days. Usage that adds up to *gross* in minor
    or in major units, with what the history is seen to be *lacking*, and within what the *rounding*
    of lines can have changed, is counted in these. Not in major ones, though, where minor ones may
    explain *gross*: with the usage that is hours *late* or, unless usage adds up to *gross* within
    a tenth, with the *least* that *gross* would be without a fee. Any other ratio is a price once
    three days are over. Where it is less than a unit's and an invoice that is up to three days
    behind would look the same, that is the other reading. Without such a unit it is that the
    invoice has nothing of the *latest* two days of usage yet.
    """
    if gross <= 0 or usage <= 0:
        return UnknownUnit(_nothing_to_compare(gross, usage), is_unpriced=gross == 0 and usage > 0)
    prices = known_prices(currency)
    known = tuple(prices.values())
    other = None
    for name, price in prices.items():
        lag = gross - usage * price
        mean_day = max(gross, usage * price) / days
        exact = max(mean_day * _EXACT, rounding)
        charges = gross if abs(lag) <= max(exact * days, rounding) else least
        may_be_minor = _may_explain(known[0], charges, usage + late)
        is_far = not 1 / _FAR <= gross / (usage + lacking) / price <= _FAR
        is_sure = not is_far and (name == "minor" or not may_be_minor)
        if -exact <= lag <= lacking * price * _ABOUT + exact and is_sure:
            return Unit(name, price, lag, known)
        is_near = 1 / _NEAR <= gross / usage / price < 1
        if is_near and -lag <= MOST_DAYS_BEHIND * mean_day:
            other = Unit(name, price, lag, known)
    if days_over < MOST_DAYS_BEHIND:
        return UnknownUnit(
            "The price of a unit of usage is not known yet: the period's usage does not add up to "
            "the invoice, and their ratio only counts once three days are over."
        )
    other = other or _unnoticed(gross, usage + lacking, latest, known)
    return Unit("ratio", gross / (usage + lacking), Fraction(0), known, other)


def _may_explain(price: Fraction, gross: Fraction, usage: Fraction) -> bool:
    """Return whether *usage* at a *price* is not far less than *gross*."""
    return gross <= usage * price * _FAR


def _unnoticed(
    gross: Fraction, usage: Fraction, latest: Fraction, known: tuple[Fraction, ...]
) -> Unit | None:
    """Return the unit if the invoice has nothing yet of the *latest* usage, half of it at most."""
    invoiced = usage - min(latest, usage / _NEAR)
    if invoiced >= usage:
        return None
    price = gross / invoiced
    return Unit("ratio", price, gross - price * usage, known)


def _nothing_to_compare(gross: Fraction, usage: Fraction) -> str:
    if usage < 0:
        return "The period's usage adds up to less than zero, so its days cannot be priced."
    if gross == 0 and usage == 0:
        return "The invoice's period has no usage and no charges yet."
    if gross == 0:
        return (
            "There is usage in this period that the invoice does not charge for: it may be "
            "included, or the invoice may be behind."
        )
    return "The usage history has no usage in this period, although the invoice does."
