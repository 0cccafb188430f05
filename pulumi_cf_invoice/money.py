"""Money: whole minor units of an ISO 4217 currency, exact decimals of it, and text for people."""

import re
from decimal import Decimal
from functools import cache
from typing import NamedTuple

LARGEST_AMOUNT = 2**53 - 1
"""The largest amount, in minor units, that Pulumi's numbers carry without losing a unit."""

# ISO 4217 where it says other than two digits, save where Stripe, whose amounts these are,
# departs from it: MGA has none there, and ISK and UGX have two.
_DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}


def digits(currency: str) -> int:
    """The number of digits after the decimal point of *currency* (ISO 4217 code, any case)."""
    return _DIGITS.get(currency.upper(), 2)


def to_major(amount: int, currency: str) -> Decimal:
    """
    *amount* in minor units as an exact decimal in major units: 18846 usd is ``188.46``.

    The result always has the currency's own number of digits.
    """
    # Built from its digits: arithmetic would round at the caller's decimal context.
    sign, figures, _ = Decimal(amount).as_tuple()
    return Decimal((sign, figures, -digits(currency)))


def to_minor(amount: Decimal, currency: str) -> int:
    """
    *amount* in major units as whole minor units: ``188.46`` usd is 18846.

    Raises ValueError when the amount has more digits than the currency.
    """
    sign, figures, exponent = amount.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{amount} is not an amount of money")
    shift = exponent + digits(currency)
    number = int("".join(map(str, figures)))
    whole, rest = divmod(number * int(10 ** max(shift, 0)), int(10 ** max(-shift, 0)))
    if rest:
        raise ValueError(f"{amount} has more digits than {currency.upper()} has")
    return -whole if sign else whole


def to_text(amount: int, currency: str) -> str:
    """*amount* in minor units as people write it, in US English: ``$188.46``, ``¥1,900``."""
    from babel.numbers import format_currency, get_currency_symbol

    code = currency.upper()
    fraction = "." + "0" * digits(code) if digits(code) else ""
    space = " " if get_currency_symbol(code, locale="en_US")[-1:].isalpha() else ""
    return format_currency(
        to_major(amount, code),
        code,
        # Babel's own precision is for display and differs from ISO 4217 (IQD has none there).
        format=f"¤{space}#,##0{fraction}",
        locale="en_US",
        currency_digits=False,
        decimal_quantization=False,
    )


class Money(NamedTuple):
    """An amount as people write it: whole minor units, and the currency's code in lower case."""

    amount: int
    currency: str

    @property
    def text(self) -> str:
        """The amount for people: ``$250.00``."""
        return to_text(self.amount, self.currency)


_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?"
WRITTEN = rf"^\s*(?:[A-Za-z]{{3}}\s*{_NUMBER}|{_NUMBER}\s*[A-Za-z]{{3}})\s*$"
"""The form that `parse` takes, as a regular expression that JSON schemas understand too."""


@cache
def parse(written: str) -> Money:
    """
    Read an amount in major units with its currency: ``250.00 USD``, ``usd 250``, ``1,000 USD``.

    Raises ValueError, in words for who wrote it, when there is no currency, no number, or a sign.
    """
    number = re.search(_NUMBER, written)
    currency = re.search("[A-Za-z]{3}", written)
    if re.match(WRITTEN, written) and number and currency:
        code = currency.group().lower()
        return Money(to_minor(Decimal(number.group().replace(",", "")), code), code)
    if re.fullmatch(rf"\s*{_NUMBER}\s*", written):
        raise ValueError(f"{written!r} has no currency: write it as '{written.strip()} USD'")
    if number and "-" in written:
        raise ValueError(f"{written!r} is below zero: a limit is zero or more")
    raise ValueError(f"{written!r} is no amount of money: write it as '250.00 USD'")
