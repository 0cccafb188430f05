from decimal import Decimal, localcontext

import pytest
from babel.numbers import format_currency, get_currency_symbol
from hypothesis import given, strategies as st

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
        (640.19, "usd", "$6.40"),
        (18846.5, "usd", "$188.46"),
        (18847.5, "usd", "$188.48"),
        (-0.4, "usd", "$0.00"),
        (0, "usd", "$0.00"),
    ],
)
def test_text_is_what_people_write(amount: float, currency: str, text: str) -> None:
    assert money.to_text(amount, currency) == text


@given(st.integers(-(10**30), 10**30), currencies)
def test_text_is_as_in_us_english(amount: int, currency: str) -> None:
    code, major = currency.upper(), money.to_major(amount, currency)
    symbol = get_currency_symbol(code, locale="en_US")
    pattern = f"¤{' ' if symbol[-1:].isalpha() else ''}#,##0.{'0' * money.digits(currency)}"
    with localcontext(prec=50):
        text = format_currency(
            major,
            code,
            format=pattern.rstrip("."),
            locale="en_US",
            currency_digits=False,
        )
    assert money.to_text(amount, currency) == text


def test_text_does_not_depend_on_the_callers_decimal_context() -> None:
    with localcontext() as context:
        context.prec = 3
        assert money.to_text(1884699, "usd") == "$18,846.99"


@pytest.mark.parametrize("amount", [Decimal("640.19"), Decimal("0.1"), Decimal("-18846.5")])
def test_a_fraction_is_carried_as_the_float_that_it_is(amount: Decimal) -> None:
    assert money.exact(money.carried(amount)) == amount
    assert isinstance(money.carried(amount), float)


@pytest.mark.parametrize(
    "amount", ["0.12345678901234567", "9007199254740992", "-1e30", "NaN", "Infinity", "1e400"]
)
def test_what_a_float_would_change_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"beyond|more digits"):
        money.carried(Decimal(amount))


@given(st.lists(st.decimals(-(10**9), 10**9, places=4), max_size=20))
def test_a_total_is_exact(amounts: list[Decimal]) -> None:
    carried = [money.carried(amount) for amount in amounts]
    assert money.total(carried) == sum(amounts)
    assert money.total(carried, less=carried) == 0
