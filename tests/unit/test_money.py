import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_cf_invoice import money

amounts = st.integers(-money.LARGEST_AMOUNT, money.LARGEST_AMOUNT)
currencies = st.sampled_from(["usd", "JPY", "kwd", "CLF", "IQD", "isk", "MGA", "xyz"])


@given(amounts, currencies)
def test_minor_to_major_and_back_loses_nothing(amount: int, currency: str) -> None:
    assert money.to_minor(money.to_major(amount, currency), currency) == amount


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


def test_an_amount_with_too_many_digits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.005 has more digits than USD has"):
        money.to_minor(Decimal("1.005"), "usd")


@pytest.mark.parametrize(
    ("written", "amount", "currency"),
    [
        ("250.00 USD", 25000, "usd"),
        ("usd 250", 25000, "usd"),
        ("1,000 USD", 100000, "usd"),
        ("1,234,567.5 eur", 123456750, "eur"),
        ("0 USD", 0, "usd"),
        ("1900 JPY", 1900, "jpy"),
    ],
)
def test_people_write_amounts_with_their_currency(written: str, amount: int, currency: str) -> None:
    assert money.parse(written) == money.Money(amount, currency)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("250", "'250' has no currency: write it as '250 USD'"),
        ("-1 USD", "'-1 USD' is below zero: a limit is zero or more"),
        ("ten", "'ten' is no amount of money: write it as '250.00 USD'"),
        ("1,00 USD", "'1,00 USD' is no amount of money"),
        ("$250", "is no amount of money"),
        ("1.005 USD", "1.005 has more digits than USD has"),
        ("1.5 JPY", "1.5 has more digits than JPY has"),
        ("", "is no amount of money"),
    ],
)
def test_what_is_no_amount_is_refused_in_words(written: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        money.parse(written)


@given(st.integers(0, money.LARGEST_AMOUNT), currencies)
def test_what_is_written_exactly_is_read_exactly(amount: int, currency: str) -> None:
    written = f"{money.to_major(amount, currency):f} {currency}"
    assert money.parse(written) == (amount, currency.lower())
