"""
Money: exact amounts in minor units, decimals in major units, and text for people.

The API's amounts are JSON numbers, sometimes with fractions of a minor unit. Here a whole amount is
an ``int`` and a fractional one the ``float`` with that repr, because that is what Pulumi and JSON
can represent. All arithmetic is on `exact` decimals.
"""

from collections.abc import Callable, Iterable
from decimal import Context, Decimal, localcontext
from functools import cache, lru_cache, partial
from math import isinf
from typing import NamedTuple

LARGEST_AMOUNT = 2**53 - 1
"""The amount, in minor units, up to which 64-bit floats represent every whole number."""

# ISO 4217 where it differs from two digits, except where Stripe, whose amounts these are, departs
# from it: MGA has none there, and ISK and UGX have two.
_DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
_ROUGH_FROM = 10
# More digits than any sum of 64-bit floats has: the caller's context would round.
_exact = Context(prec=2000)


class Money(NamedTuple):
    """An amount in minor units, and its currency as an ISO 4217 code in lower case."""

    amount: float | Decimal
    currency: str

    @property
    def text(self) -> str:
        """The amount for people: ``$250.00``."""
        return to_text(self.amount, self.currency)


def digits(currency: str) -> int:
    """Return the number of decimal digits of *currency* (an ISO 4217 code in any case)."""
    return _DIGITS.get(currency.upper(), 2)


def currencies_with(count: int) -> list[str]:
    """Return the currencies with *count* decimal digits, except for those with two."""
    return [code for code, its_digits in _DIGITS.items() if its_digits == count]


def exact(amount: float | Decimal) -> Decimal:
    """Return *amount* as a decimal, which for a ``float`` follows its repr."""
    return Decimal(repr(amount)) if isinstance(amount, float) else Decimal(amount)


def number(amount: Decimal) -> float:
    """
    Return *amount* as an ``int`` if it is whole, or beyond every ``float``, else as the nearest of
    these.
    """
    whole = int(amount)
    if whole == amount:
        return whole
    nearest = float(amount)
    return whole if isinf(nearest) else nearest


def carried(amount: Decimal) -> float:
    """
    Return *amount* as a number for Pulumi and JSON: an ``int`` if it is whole.

    Raises ValueError if a 64-bit float would change it, or it is beyond ±(2^53 - 1).
    """
    if not amount.is_finite() or abs(amount) > LARGEST_AMOUNT:
        raise ValueError("beyond ±(2^53 - 1)")
    nearest = number(amount)
    if exact(nearest) != amount:
        raise ValueError("more digits than a 64-bit float carries")
    return nearest


def total(amounts: Iterable[float | Decimal], less: Iterable[float | Decimal] = ()) -> Decimal:
    """Return the exact sum of *amounts*, less those in *less*."""
    whole, fractions = 0, []
    for sign, group in ((1, amounts), (-1, less)):
        for amount in group:
            if isinstance(amount, int):
                whole += sign * amount
            else:
                fraction = exact(amount)
                fractions.append(fraction if sign > 0 else fraction.copy_negate())
    result = Decimal(whole)
    for fraction in fractions:
        result = _exact.add(result, fraction)
    return result


def totals(amounts: Iterable[tuple[float, str]]) -> list[Money]:
    """Return the exact sum of *amounts* per currency."""
    by_currency: dict[str, list[float]] = {}
    for amount, currency in amounts:
        by_currency.setdefault(currency, []).append(amount)
    return [Money(total(added), currency) for currency, added in sorted(by_currency.items())]


def percentage(amount: float | Decimal, percent: Decimal) -> Decimal:
    """Return *percent* of *amount*, exactly."""
    return _exact.multiply(exact(amount), percent).scaleb(-2, _exact)


def product(amount: float | Decimal, factor: int) -> Decimal:
    """Return *amount* times *factor*, exactly."""
    return _exact.multiply(exact(amount), Decimal(factor))


def to_major(amount: float | Decimal, currency: str) -> Decimal:
    """
    Convert *amount* from minor to major units, exactly: 18846 usd is ``188.46``.

    The result has at least the currency's own number of digits.
    """
    # Built from its digits: arithmetic would round to the caller's decimal context.
    sign, figures, exponent = exact(amount).as_tuple()
    return Decimal((sign, figures, int(exponent) - digits(currency)))


def to_text(amount: float | Decimal, currency: str) -> str:
    """
    Format *amount*, in minor units, as people write it in US English: ``$188.46``, ``¥1,900``.

    A fraction of a minor unit is rounded half to even.
    """
    return _formatted(round(exact(amount)), currency, digits(currency))


def difference_text(difference: float | Decimal, currency: str) -> str:
    """
    Format a *difference* in minor units like `to_text`, but one below a minor unit as less than
    that.

    Rounded to ``$0.00``, it would look like no difference.
    """
    if 0 < abs(exact(difference)) < 1:
        return f"less than {to_text(1, currency)}"
    return to_text(difference, currency)


def to_rough_text(amount: float | Decimal, currency: str) -> str:
    """
    Format an estimate of *amount*, in minor units, for people: ``$392``.

    It is rounded half to even to a whole major unit, from ten of them on.
    """
    with localcontext(_exact):
        whole = round(to_major(amount, currency))
    if abs(whole) < _ROUGH_FROM:
        return to_text(amount, currency)
    return _formatted(whole * 10 ** digits(currency), currency, 0)


# A report shows most amounts several times, and Babel is slow for each.
@lru_cache(maxsize=4096)
def _formatted(amount: int, currency: str, shown_digits: int) -> str:
    code = currency.upper()
    # Babel computes in the caller's decimal context, which could round or refuse.
    with localcontext(_exact):
        return _format(code, shown_digits)(to_major(amount, code))


# There can be tens of thousands of lines, for each of which `format_currency` would parse the
# pattern and the locale anew.
@cache
def _format(code: str, shown_digits: int) -> Callable[[Decimal], str]:
    from babel import Locale
    from babel.numbers import get_currency_symbol, parse_pattern

    fraction = "." + "0" * shown_digits if shown_digits else ""
    space = " " if get_currency_symbol(code, locale="en_US")[-1:].isalpha() else ""
    return partial(
        parse_pattern(f"¤{space}#,##0{fraction}").apply,
        locale=Locale("en", "US"),
        currency=code,
        # Babel's own precision is for display and differs from ISO 4217 (IQD has none there).
        currency_digits=False,
        decimal_quantization=False,
    )
