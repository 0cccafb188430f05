from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pulumi_policy import (
    Policy,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import (
    UNKNOWN_STRING_VALUE,
    UnknownValueError,
    unknown_checking_proxy,
)

from pulumi_cf_invoice import Credentials, LimitError, lifecycle, policy
from pulumi_cf_invoice.sandbox import Sandbox
from pulumi_cf_invoice.state import DYNAMIC_TYPE, PLUGIN_TYPE
from tests.factories import (
    ACCOUNT,
    OTHER_ACCOUNT,
    START,
    api_line,
    api_result,
    camel_cased,
    with_floats,
)

OPTIONS = PolicyResourceOptions(False, [], None, [], None, [])  # type: ignore[arg-type]


def state(**changes: Any) -> dict[str, Any]:
    """Return an invoice resource's properties as the engine passes them: numbers are floats."""
    account = changes.pop("account_id", ACCOUNT)
    last = changes.pop("last_update", None)
    properties = api_result(**changes)
    properties["invoice_id"] = properties.pop("id")
    return {
        name: with_floats(value)
        for name, value in {**properties, "account_id": account, "last_update": last}.items()
    }


def judge(
    gate: Policy,
    properties: dict[str, Any],
    config: Mapping[str, Any] | None = None,
    resource_type: str = DYNAMIC_TYPE,
) -> list[str]:
    """Return the violations that *gate* reports."""
    assert isinstance(gate, ResourceValidationPolicy)
    found: list[str] = []
    args = ResourceValidationArgs(
        resource_type, unknown_checking_proxy(properties), "urn", "x", OPTIONS, None, config or {}
    )

    def report(message: str, urn: str | None = None) -> None:
        found.append(message)

    gate.validate(args, report)
    return found


def test_over_the_limit_the_message_has_the_verdict_first() -> None:
    assert judge(policy.max_amount_due("150 USD"), state()) == [
        f"The upcoming invoice of account {ACCOUNT} is $188.46 for 2026-09-01 to 2026-09-30, "
        "over the limit of $150.00 by $38.46. Largest lines: openai/gpt-5.5 $174.79."
    ]


def test_exactly_at_the_limit_passes() -> None:
    assert judge(policy.max_amount_due("188.46 USD"), state()) == []
    assert len(judge(policy.max_amount_due("188.45 USD"), state())) == 1


def test_a_limit_in_another_currency_is_a_violation() -> None:
    [message] = judge(policy.max_amount_due("1000 EUR"), state())
    assert "in USD, which cannot be compared with the limit of €1,000.00: set a limit in USD" in (
        message
    )


def test_without_a_limit_a_policy_is_quiet() -> None:
    for gate in policy.every_policy():
        if isinstance(gate, ResourceValidationPolicy):
            assert judge(gate, state()) == []


def test_config_overrides_what_the_factory_was_given() -> None:
    gate = policy.max_amount_due("1000 USD")
    assert len(judge(gate, state(), {"limit": "150 USD"})) == 1


def test_two_accounts_have_limits_of_their_own() -> None:
    gate = policy.max_amount_due(
        {"limit": "150 USD", "accounts": {OTHER_ACCOUNT.upper(): "200 USD"}}
    )
    assert len(judge(gate, state())) == 1
    assert judge(gate, state(account_id=OTHER_ACCOUNT)) == []


def test_negative_totals_and_no_lines_pass() -> None:
    empty = state(amount_due=-1500, invoice_lines=[])
    assert judge(policy.max_amount_due("0 USD"), empty) == []
    assert judge(policy.max_line_amount(default_limit="0 USD"), empty) == []
    over = state(amount_due=1500, invoice_lines=[])
    assert judge(policy.max_amount_due("0 USD"), over)[0].endswith("by $15.00. It has no lines.")


def at(moment: datetime) -> Any:
    return lambda: moment


def test_a_projection_is_judged_with_what_it_is_so_far() -> None:
    middle = datetime.fromtimestamp(START, tz=timezone.utc) + timedelta(days=15)
    gate = policy.max_projected_amount_due("300 USD", now=at(middle))
    [message] = judge(gate, state())
    # Twice the net of $174.79, plus the $13.67 of tax and adjustments, which is not projected.
    assert "is projected to be $363.25 for 2026-09-01 to 2026-09-30, over the limit" in message
    assert "It is $188.46 so far." in message
    ended = policy.max_projected_amount_due("188.46 USD", now=at(middle + timedelta(days=99)))
    assert judge(ended, state()) == []


def test_the_first_hour_of_a_period_is_an_advisory() -> None:
    early = datetime.fromtimestamp(START, tz=timezone.utc) + timedelta(minutes=30)
    with pytest.raises(UnknownValueError) as advisory:
        judge(policy.max_projected_amount_due("1 USD", now=at(early)), state())
    assert "too early for a projection" in advisory.value.message


def test_a_line_is_judged_net_by_its_longest_glob() -> None:
    limits = {"openai/*": "100 USD", "*": "1 USD"}
    [message] = judge(policy.max_line_amount(limits), state())
    assert message == (
        "openai/gpt-5.5 comes to $174.79 after credits on the upcoming invoice of account "
        f"{ACCOUNT} for 2026-09-01 to 2026-09-30, over the limit of $100.00 by $74.79."
    )
    assert judge(policy.max_line_amount({"openai/*": "174.79 USD"}), state()) == []
    nameless = state(invoice_lines=[api_line(description=None)])
    gate = policy.max_line_amount(default_limit="1 USD")
    assert judge(gate, nameless)[0].startswith("(no description) comes to $174.79")


LAST = {"amount_due": 15000, "currency": "usd", "period_start": START}


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("38 USD", "rose by $38.46 to $188.46 since the last update, over the limit of $38.00 by"),
        ("25%", "over the limit of $37.50 by $0.96 (25 % of $150.00)."),
    ],
)
def test_an_increase_is_judged_in_money_or_percent(limit: str, said: str) -> None:
    [message] = judge(policy.max_increase(limit), state(last_update=LAST))
    assert said in message


@pytest.mark.parametrize(
    ("limit", "last"),
    [
        ("38.46 USD", LAST),
        ("26%", LAST),
        ("1 USD", None),
        ("1 USD", {**LAST, "period_start": START - 1}),
        ("1 USD", {**LAST, "currency": "eur"}),
        ("1 EUR", {**LAST, "amount_due": 20000}),
    ],
)
def test_an_increase_within_the_limit_or_in_another_period_passes(limit: str, last: Any) -> None:
    assert judge(policy.max_increase(limit), state(last_update=last)) == []


def test_statuses_and_currencies_are_judged_by_name() -> None:
    [message] = judge(policy.allowed_statuses(["open"]), state())
    assert message.endswith("has the status draft, which is not among: open.")
    assert judge(policy.allowed_statuses(["draft"]), state()) == []
    [message] = judge(policy.allowed_currencies(["eur"]), state())
    assert message.endswith("is in USD, which is not among: EUR.")
    assert judge(policy.allowed_currencies(["USD"]), state()) == []


def test_the_plugins_resource_is_judged_alike() -> None:
    properties = state(last_update=LAST)
    for gate in (policy.max_amount_due("1 USD"), policy.max_increase("1 USD")):
        expected = judge(gate, properties)
        assert expected
        assert judge(gate, camel_cased(properties), resource_type=PLUGIN_TYPE) == expected


def test_other_resources_and_failed_checks_are_passed_over() -> None:
    gate = policy.max_amount_due("0 USD")
    assert judge(gate, state(), resource_type="cloudflare:index/aiGateway:AiGateway") == []
    assert judge(gate, lifecycle.failed()) == []
    failed = camel_cased(lifecycle.failed())
    assert judge(gate, failed, resource_type=PLUGIN_TYPE) == []


@pytest.mark.parametrize("properties", [{}, {"account_id": ACCOUNT}])
def test_absent_figures_violate_at_an_update_and_are_told_of_at_a_preview(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], properties: Any
) -> None:
    gate = policy.max_amount_due("0 USD")
    [message] = judge(gate, properties)
    assert message.startswith("max-amount-due cannot judge x: its figures are not known")
    monkeypatch.setenv("PULUMI_DRY_RUN", "true")
    assert judge(gate, properties) == []
    assert message in capsys.readouterr().err
    assert judge(policy.max_amount_due(), properties) == []
    assert capsys.readouterr().err == ""


def test_an_unknown_account_is_left_to_pulumis_own_advisory() -> None:
    with pytest.raises(UnknownValueError):
        judge(policy.max_amount_due("0 USD"), {"account_id": UNKNOWN_STRING_VALUE})


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("250", "has no currency: write it as '250 USD'"),
        ("-1 USD", "is below zero"),
        ("ten", "is not an amount of money"),
        ({"limit": "250"}, "has no currency"),
        ({"accounts": {ACCOUNT: "ten"}}, "is not an amount of money"),
    ],
)
def test_a_limit_that_cannot_be_read_is_refused_in_words(limit: Any, words: str) -> None:
    for factory in (
        policy.max_amount_due,
        policy.max_projected_amount_due,
        policy.account_budget,
    ):
        with pytest.raises(LimitError, match=words):
            factory(limit)
    with pytest.raises(LimitError, match=words):
        policy.max_line_amount({"*": limit})


@pytest.mark.parametrize("limit", ["250", "20 percent", "-5%"])
def test_an_increase_that_cannot_be_read_is_refused(limit: str) -> None:
    with pytest.raises(LimitError, match=limit):
        policy.max_increase(limit)


def test_a_config_with_too_many_digits_is_a_violation_that_says_so() -> None:
    [message] = judge(policy.max_amount_due(), state(), {"limit": "1.005 USD"})
    assert message == ("The policy's limit cannot be used: 1.005 has more digits than USD has.")


def resources(*types: str) -> list[PolicyResource]:
    return [
        PolicyResource(kind, {}, f"urn::{kind}", "assistant", OPTIONS, None, None, [], {})
        for kind in types
    ]


@pytest.mark.parametrize(
    ("types", "count"),
    [
        (["cloudflare:index/aiGateway:AiGateway"], 1),
        (["cloudflare:index/aiGateway:AiGateway", DYNAMIC_TYPE], 0),
        (["cloudflare:index/aiGateway:AiGateway", PLUGIN_TYPE], 0),
        (["cloudflare:index/zone:Zone"], 0),
        ([], 0),
    ],
)
def test_a_stack_with_a_gateway_has_to_look_at_an_invoice(types: list[str], count: int) -> None:
    gate = policy.require_invoice_preview()
    assert isinstance(gate, StackValidationPolicy)
    found: list[str] = []

    def report(message: str, urn: str | None = None) -> None:
        found.append(message)

    gate.validate(StackValidationArgs(resources(*types)), report)
    assert len(found) == count


@pytest.fixture
def own(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Credentials:
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", sandbox.base_url)
    return Credentials(api_token="sandbox-token")


def budget(gate: Policy) -> list[str]:
    return judge(gate, {}, resource_type=policy.STACK_TYPE)


def test_a_budget_asks_by_itself(own: Credentials, sandbox: Sandbox) -> None:
    [message] = budget(policy.account_budget("150 USD", account_id=ACCOUNT, credentials=own))
    assert "is $188.46 for 2026-09-01 to 2026-09-30, over the limit of $150.00" in message
    assert budget(policy.account_budget("200 USD", account_id=ACCOUNT, credentials=own)) == []
    assert sandbox.requests == [ACCOUNT]


def test_a_budget_by_account_asks_each(own: Credentials, sandbox: Sandbox) -> None:
    limit = {"accounts": {OTHER_ACCOUNT: "1 USD", "2" * 32: "1000 USD"}}
    [message] = budget(policy.account_budget(limit, credentials=own))
    assert OTHER_ACCOUNT in message
    assert sorted(sandbox.requests) == [OTHER_ACCOUNT, "2" * 32]


def test_a_budget_that_cannot_be_read_fails_closed_unless_told_otherwise(
    own: Credentials,
) -> None:
    wrong = Credentials(api_token="wrong")
    closed = policy.account_budget("150 USD", account_id=ACCOUNT, credentials=wrong)
    [message] = budget(closed)
    assert message.startswith("Nothing is deployed while the budget is unknown: cannot read")
    assert "HTTP 403" in message
    opened = policy.account_budget("150 USD", account_id=ACCOUNT, credentials=wrong, fail_open=True)
    assert budget(opened) == []
