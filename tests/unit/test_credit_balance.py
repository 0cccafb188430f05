"""The credit balance, parsed from what the API says and from what it leaves out."""

from decimal import Decimal
from typing import Any, cast

import pytest

from pulumi_cf_invoice.billing import CreditBalance, InvalidDataError, SettingsError


def balance(left: Any, **config: Any) -> CreditBalance:
    pays = {"has_default_payment_method": True}
    return CreditBalance.from_api({"balance": left, "topup_config": config, **pays})


@pytest.mark.parametrize(
    ("amount", "kept", "text"),
    [
        (2500, 2500, "$25.00"),
        (Decimal("640.19"), 640.19, "$6.40"),
        (Decimal("-1275.5"), -1275.5, "-$12.76"),
        (Decimal("2500.0"), 2500, "$25.00"),
        (0, 0, "$0.00"),
    ],
)
def test_an_amount_is_kept_exactly(amount: Any, kept: float, text: str) -> None:
    found = balance(amount)
    assert found.balance == kept
    assert type(found.balance) is type(kept)
    assert found.balance_text("usd") == text
    assert found.to_figures()["balance"] == kept


def test_a_balance_whose_currency_is_not_known_is_shown_in_minor_units() -> None:
    assert balance(Decimal("123456.5")).balance_text(None) == "123,456.5 cents"


def test_a_currency_that_is_no_text_is_refused() -> None:
    config = {"amount": 1000, "threshold": 500}
    found = CreditBalance.from_api({"balance": 5, "topup_config": config})
    for text in (found.balance_text, found.topup_text, found.text_in):
        with pytest.raises(SettingsError, match="a code such as 'usd', or None, not int"):
            text(cast(Any, 5))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({}, "balance: missing"),
        ({"balance": None}, "balance: "),
        ({"balance": "640.19"}, "balance: not a number"),
        ({"balance": True}, "balance: not a number"),
        ({"balance": 2**53}, "balance: not an amount that can be carried exactly: beyond"),
        (
            {"balance": Decimal("640.19000000000000000001")},
            "balance: not an amount that can be carried exactly: more digits",
        ),
        ({"balance": 1, "topup_config": {"amount": "10"}}, "topup_config.amount: not a number"),
        ({"balance": 1, "topup_config": {"threshold": []}}, "topup_config.threshold: "),
        ([], "result: not an object"),
    ],
)
def test_malformed_money_is_refused_by_its_name(result: Any, expected: str) -> None:
    with pytest.raises(InvalidDataError) as failed:
        CreditBalance.from_api(result)
    assert str(failed.value).startswith(expected)


@pytest.mark.parametrize("odd", [None, "none", 7, [], {"a": 1}])
def test_what_only_explains_may_be_anything(odd: Any) -> None:
    explains = ("payment_method", "has_default_payment_method", "first_topup_success", "more")
    found = CreditBalance.from_api({"balance": 5, **dict.fromkeys(explains, odd)})
    assert found == CreditBalance.from_api({"balance": 5})
    assert balance(5, lastFailedAt=odd).topup_problem is None


@pytest.mark.parametrize("name", ["error", "disabledReason"])
def test_a_reason_why_a_top_up_failed_counts_in_every_form(name: str) -> None:
    nothings: list[Any] = [None, "", " ", [], {}, False]
    for nothing in nothings:
        assert balance(5, **{name: nothing}).topup_problem is None
    unreadable: list[Any] = ["\x00\x1b", "\n", "\u202e", {"client_secret": "x"}, [[]], "..."]
    for reason in unreadable:
        assert balance(5, **{name: reason}).topup_problem == "a reason that cannot be read"
    assert balance(5, **{name: {"code": "card_declined"}}).topup_problem == (
        '“{"code": "card_declined"}”'
    )
    assert balance(5, **{name: True}).topup_problem == "true"


def test_a_reason_that_is_an_object_keeps_only_what_explains_it() -> None:
    error = {"message": "Declined", "client_secret": "pi_secret", "payment_method": {"last4": 4242}}
    assert balance(5, error=error).topup_problem == '“{"message": "Declined"}”'
    assert balance(5, error=["Declined", {"client_secret": "x"}]).topup_problem == '“["Declined"]”'


@pytest.mark.parametrize(
    ("disabled", "error", "problem"),
    [
        (r'{"\n::error::x": 1}.', None, r'“{"\n::error::x": 1}.”'),
        (r'{"\n::error::x', r'":"#\u0023vso[a]"}', r'“{"\n::error::x”; ":"#\u0023vso[a]"}'),
    ],
)
def test_a_problem_reads_as_no_json_however_it_is_made_up(
    disabled: str, error: str | None, problem: str
) -> None:
    """Pulumi's engine would print what is in it."""
    found = balance(5, disabledReason=disabled, error=error)
    assert found.topup_problem == problem


@pytest.mark.parametrize("pays", [None, False, 0, 1, "true", "yes", []])
def test_only_a_payment_method_that_is_known_makes_a_top_up_healthy(pays: Any) -> None:
    topup = {"balance": 5, "topup_config": {"amount": 2500, "threshold": 1000}}
    assert CreditBalance.from_api({**topup, "has_default_payment_method": True}).topup_is_healthy
    found = CreditBalance.from_api({**topup, "has_default_payment_method": pays})
    assert found.topup_is_on
    assert not found.topup_is_healthy
    assert not CreditBalance.from_api(topup).topup_is_healthy


@pytest.mark.parametrize("odd", [None, "none", 7, []])
def test_a_top_up_that_is_not_an_object_is_none(odd: Any) -> None:
    found = CreditBalance.from_api({"balance": 5, "topup_config": odd})
    assert found.topup_config is None
    assert not found.topup_is_on


@pytest.mark.parametrize(
    ("config", "is_on", "is_healthy"),
    [
        ({"amount": 2500, "threshold": 1000}, True, True),
        ({"amount": 0, "threshold": 1000}, False, False),
        ({"amount": 2500, "threshold": None}, False, False),
        ({"amount": 2500, "threshold": 1000, "error": "Declined"}, True, False),
        ({"amount": 2500, "threshold": 1000, "disabledReason": "failures"}, False, False),
    ],
)
def test_a_top_up_is_on_with_an_amount_and_a_threshold(
    config: dict[str, Any], is_on: bool, is_healthy: bool
) -> None:
    found = balance(5, **config)
    assert (found.topup_is_on, found.topup_is_healthy) == (is_on, is_healthy)
    figures = found.to_figures()
    assert (figures["topup_is_on"], figures["topup_is_healthy"]) == (is_on, is_healthy)


@pytest.mark.parametrize(
    "failed_at",
    [
        *(1789444800, 1789444800000, Decimal("1789444800000.0"), "1789444800", "1789444800000"),
        *("2026-09-15T04:00:00Z", "2026-09-15T06:00:00.000+02:00", "2026-09-15T04:00:00"),
    ],
)
def test_a_failure_is_reported_in_the_apis_words_with_its_time(failed_at: Any) -> None:
    found = balance(5, error="Card\ndeclined.", disabledReason="failures", lastFailedAt=failed_at)
    assert found.topup_problem == "failures; Card declined (2026-09-15T04:00:00Z)"


@pytest.mark.parametrize("name", ["disabledReason", "disabled_reason"])
def test_a_reason_counts_however_its_name_is_spelled(name: str) -> None:
    found = balance(5, amount=1, threshold=1, **{name: "card declined"})
    assert (found.topup_problem, found.topup_is_healthy) == ("card declined", False)


@pytest.mark.parametrize("error", ["\t\n", "\u2028", "\x1b\x00", "\xa0", "\u202e"])
def test_a_reason_that_nobody_can_see_is_one_in_a_snapshot_too(error: str) -> None:
    found = balance(5, amount=1, threshold=1, error=error)
    again = CreditBalance.from_api(found.to_api())
    assert again == found
    assert not again.topup_is_healthy
    assert again.topup_problem == "a reason that cannot be read"
