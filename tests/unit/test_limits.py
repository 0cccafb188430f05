import re
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pulumi_cf_invoice.billing import LimitError, money
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.rules.limits import (
    IncreaseLimit,
    Limit,
    excess,
    longest,
    matching,
    parse_amount,
)
from tests.factories import ACCOUNT, OTHER_ACCOUNT
from tests.unit.test_money import currencies


@pytest.mark.parametrize(
    ("written", "amount", "currency"),
    [
        ("250.00 USD", 25000, "usd"),
        ("usd 250", 25000, "usd"),
        ("1,000 USD", 100000, "usd"),
        ("1,234,567.5 eur", 123456750, "eur"),
        ("0 USD", 0, "usd"),
        ("1900 JPY", 1900, "jpy"),
        ("1,000 JPY", 1000, "jpy"),
        ("250.5 USD", 25050, "usd"),
        ("1.000 KWD", 1000, "kwd"),
        ("1000 KWD", 1000000, "kwd"),
        ("1,000.5 KWD", 1000500, "kwd"),
        ("1,000,000 KWD", 1000000000, "kwd"),
        ("12.3456 CLF", 123456, "clf"),
    ],
)
def test_people_write_amounts_with_their_currency(written: str, amount: int, currency: str) -> None:
    assert parse_amount(written) == Money(amount, currency)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("250", "'250' has no currency: write it as '250 USD'"),
        ("-1 USD", "'-1 USD' is below zero: a limit is zero or more"),
        ("ten", "'ten' is not an amount of money: write it as '250.00 USD'"),
        ("1,00 USD", "'1,00 USD' is not an amount of money"),
        ("$250", "is not an amount of money"),
        ("1.005 USD", "1.005 has more digits than USD has"),
        ("1.5 JPY", "1.5 has more digits than JPY has"),
        ("", "is not an amount of money"),
        ("0,500 USD", "can be read two ways: write it as '500 USD' or '0.50 USD'"),
        ("USD 000,500", "can be read two ways: write it as '500 USD' or '0.50 USD'"),
        ("01,000 USD", "can be read two ways: write it as '1000 USD' or '1.00 USD'"),
        ("0,505 USD", "can be read two ways: write it as '505 USD' or with a point"),
        ("1.000 USD", "can be read two ways: write it as '1000 USD' or '1.00 USD'"),
        ("usd 250.000", "can be read two ways: write it as '250000 USD' or '250.00 USD'"),
        ("1.000 JPY", "can be read two ways: write it as '1000 JPY' or '1 JPY'"),
        ("1,000 KWD", "can be read two ways: write it as '1000 KWD' or '1.000 KWD'"),
        (
            "250.00 JPY",
            "has more digits than JPY has: write it with no decimals, such as '250 JPY'",
        ),
        ("1.0000 USD", "write it with at most 2 decimals, such as '250.00 USD'"),
        ("1.0000 KWD", "write it with at most 3 decimals, such as '250.000 KWD'"),
        *(
            (written, "is not an amount of money: write it as '250.00 USD' or '1,000.00 USD', with")
            for written in (
                "1,0000 USD",
                "1,00,000 INR",
                "1'000 USD",
                "1 000 USD",
                "1\u202f000,50 EUR",
                "1.000,50 EUR",
                "1.000.000 USD",
                "1_000 USD",
                "0,5 USD",
                "1,000. USD",
            )
        ),
        *(
            (written, "is not an amount of money: write it as '250.00 USD'")
            for written in (
                "1\u2019000 USD",
                "\uff11\uff10\uff10 USD",
                "\u0663\u0660\u0660 USD",
                "1e3 USD",
                "1k USD",
                ".5 USD",
                "5. USD",
            )
        ),
    ],
)
def test_what_is_not_an_amount_is_refused_in_words(written: str, message: str) -> None:
    with pytest.raises(LimitError, match=re.escape(message)):
        parse_amount(written)


@pytest.mark.parametrize(
    "written", [250, None, ["1 USD"], "9" * 5000 + " USD", {"accounts": {ACCOUNT: 100}}]
)
def test_anything_else_than_an_amount_is_refused_in_words(written: Any) -> None:
    with pytest.raises(LimitError, match=r"is not an amount of money|is too long"):
        Limit.parse(written)


@pytest.mark.parametrize("written", ["1.000%", "0,500%", "1,5%", "1e3%", "\uff12\uff10%", "1,000%"])
def test_a_percentage_that_can_be_read_two_ways_is_refused(written: str) -> None:
    with pytest.raises(LimitError, match="is not a percentage: write it as '20%'"):
        IncreaseLimit.parse(written)


@pytest.mark.parametrize("written", [20, None, "9" * 5000 + "%"])
def test_anything_else_than_an_increase_is_refused_in_words(written: Any) -> None:
    with pytest.raises(LimitError, match=r"is not an amount of money|is too long"):
        IncreaseLimit.parse(written)


def test_a_percentage_is_exact_in_any_decimal_context() -> None:
    limit = IncreaseLimit.parse("20.5%").from_amount(100, "usd")
    assert excess(20.5, "usd", limit) is None
    with localcontext() as context:
        context.prec = 3
        share = IncreaseLimit.parse("20%").from_amount(123456789, "usd")
    assert share.amount == Decimal("24691357.8")


@given(st.integers(0, money.LARGEST_AMOUNT), currencies)
def test_what_is_written_exactly_is_read_exactly(amount: int, currency: str) -> None:
    written = f"{money.to_major(amount, currency):f} {currency}"
    assert parse_amount(written) == (amount, currency.lower())


def test_an_account_has_its_own_limit_or_the_default() -> None:
    limit = Limit.parse({"limit": "150 USD", "accounts": {OTHER_ACCOUNT.upper(): "200 USD"}})
    assert limit.of(ACCOUNT) == Money(15000, "usd")
    assert limit.of(OTHER_ACCOUNT) == Money(20000, "usd")
    assert limit.of(None) is None
    assert Limit.parse("150 USD").of(None) == Money(15000, "usd")


def test_an_increase_is_limited_by_money_or_by_a_percentage() -> None:
    assert IncreaseLimit.parse("50 USD").from_amount(100, "usd") == Money(5000, "usd")
    assert IncreaseLimit.parse(" 12.5 % ") == IncreaseLimit(percent=Decimal("12.5"))
    assert IncreaseLimit.parse("25%").from_amount(15000, "usd") == Money(3750, "usd")
    assert IncreaseLimit.parse("25%").from_amount(-100, "usd") == Money(0, "usd")


def test_the_longest_globs_count_and_a_line_without_a_name_matches_a_star() -> None:
    globs = ["*", "openai/*", "*/gpt-5*", "mistral/*"]
    assert matching(["openai/gpt-5.5"], globs) == ["*", "openai/*", "*/gpt-5*"]
    assert longest(["*", "openai/*", "*/gpt-5*"]) == ["openai/*", "*/gpt-5*"]
    assert matching([""], ["*", "openai/*"]) == ["*"]
    assert matching(["other"], ["openai/*"]) == longest([]) == []


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({}, "it is empty"),
        ({"limt": "250 USD"}, "there is no setting 'limt'; did you mean 'limit'?"),
        ({"limit": "1 USD", "Limit": "2 USD"}, "there is no setting 'Limit'; did you mean 'limit'"),
        ({"limit": None}, "null is not an amount of money"),
        ({"accounts": {}}, "accounts is {}"),
        ({"limit": "1 USD", "accounts": None}, "accounts is null"),
        ({"accounts": {"abc": "1 USD"}}, "'abc' is not an account ID, which has 32 hex digits"),
        ({"accounts": {ACCOUNT: {"limit": "1 USD"}}}, "is not an amount of money"),
        (
            {"accounts": {ACCOUNT: "1 USD", ACCOUNT.upper(): "2 USD"}},
            f"the account {ACCOUNT} appears twice",
        ),
    ],
)
def test_a_limit_that_could_be_passed_over_is_refused(written: Any, message: str) -> None:
    with pytest.raises(LimitError, match=re.escape(message)):
        Limit.parse(written)


def test_an_amount_that_equals_its_limit_is_within_it() -> None:
    assert excess(25000, "usd", Money(25000, "usd")) is None
    assert excess(25001, "usd", Money(25000, "usd")) == "over the limit of $250.00 by $0.01"


def test_a_fraction_of_a_minor_unit_over_a_limit_is_over_it() -> None:
    message = "over the limit of $250.00 by less than $0.01"
    assert excess(25000.4, "usd", Money(25000, "usd")) == message
    assert excess(25000.5, "usd", Money(25000, "usd")) == message
    assert excess(24999.6, "usd", Money(25000, "usd")) is None


def test_another_currency_is_never_within_a_limit() -> None:
    assert excess(0, "jpy", Money(25000, "usd")) == (
        "in JPY, which cannot be compared with the limit of $250.00"
    )
