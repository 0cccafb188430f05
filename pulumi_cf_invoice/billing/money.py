"""Money: whole minor units of an ISO 4217 currency, exact decimals of it, and text for people."""

from decimal import Decimal
from typing import NamedTuple

LARGEST_AMOUNT = 2**53 - 1
"""The largest amount, in minor units, that Pulumi's 64-bit floats carry without losing a unit."""

# ISO 4217 where it differs from two digits, except where Stripe, whose amounts these are, departs
# from it: MGA has none there, and ISK and UGX have two.
_DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}


class Money(NamedTuple):
    """An amount in whole minor units, and its currency as an ISO 4217 code in lower case."""

    amount: int
    currency: str

    @property
    def text(self) -> str:
        """The amount for people: ``$250.00``."""
        return to_text(self.amount, self.currency)


def digits(currency: str) -> int:
    """Return the number of decimal digits of *currency* (an ISO 4217 code in any case)."""
    return _DIGITS.get(currency.upper(), 2)


def to_major(amount: int, currency: str) -> Decimal:
    """
    Convert *amount* from minor to major units, exactly: 18846 usd is ``188.46``.

    The result always has the currency's own number of digits.
    """
    # Built from its digits: arithmetic would round to the caller's decimal context.
    sign, figures, _ = Decimal(amount).as_tuple()
    return Decimal((sign, figures, -digits(currency)))


def to_text(amount: int, currency: str) -> str:
    """
    Format *amount*, in minor units, as people write it in US English: ``$188.46``, ``¥1,900``.
    """
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
