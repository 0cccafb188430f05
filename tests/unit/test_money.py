from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_cf_invoice.billing import money

amounts = st.integers(-money.LARGEST_AMOUNT, money.LARGEST_AMOUNT)
currencies = st.sampled_from(["usd", "JPY", "kwd", "CLF", "IQD", "isk", "MGA", "xyz"])


@given(amounts, currencies)
def test_major_units_lose_nothing_and_have_the_digits_of_the_currency(
    amount: int, currency: str
) -> None:
    major = money.to_major(amount, currency)
    assert major.scaleb(money.digits(currency)) == amount
    assert -Decimal(major).as_tuple().exponent == money.digits(currency)  # type: ignore[operator]


@given(amounts, currencies)
def test_text_shows_every_digit_of_the_amount(amount: int, currency: str) -> None:
    figures = "".join(c for c in money.to_text(amount, currency) if c.isdigit())
    assert int(figures) == abs(amount)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (18846, "usd", "$188.46"),
        (1900, "jpy", "¥1,900"),
        (1234, "kwd", "KWD 1.234"),
        (1234, "iqd", "IQD 1.234"),
        (-500, "usd", "-$5.00"),
        (0, "usd", "$0.00"),
    ],
)
def test_text_is_what_people_write(amount: int, currency: str, text: str) -> None:
    assert money.to_text(amount, currency) == text
