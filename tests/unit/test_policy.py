"""The rules as Pulumi's policies; what each of them finds is in `test_rules`."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyProviderResource,
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

from pulumi_cf_invoice import lifecycle, policy
from pulumi_cf_invoice.policy import analyzer, pack
from pulumi_cf_invoice.policy.analyzer import STACK_TYPE
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import Config
from pulumi_cf_invoice.sandbox import Sandbox
from pulumi_cf_invoice.state import DYNAMIC_TYPE, PLUGIN_TYPE
from tests.factories import (
    ACCOUNT,
    NOW,
    OTHER_ACCOUNT,
    START,
    TOKEN,
    api_line,
    api_result,
    camel_cased,
    with_floats,
)

OPTIONS = PolicyResourceOptions(False, [], None, [], None, [])  # type: ignore[arg-type]
GATEWAY = "cloudflare:index/aiGateway:AiGateway"
CODE: Any = policy
"""The module without its types, for mistakes that they would prevent."""


@pytest.fixture(autouse=True)
def new_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make each test a separate run."""
    for name in ("_accounts", "_named", "_noted"):
        monkeypatch.setattr(pack, name, set())
    monkeypatch.setattr(pack, "_now", lambda: NOW)
    for name in ("_reader", "_reader_after_update"):
        monkeypatch.setattr(pack, name, AccountReader({"CLOUDFLARE_API_TOKEN": TOKEN}))


def state(**changes: Any) -> dict[str, Any]:
    """Return an invoice resource's properties as the engine passes them: numbers are floats."""
    more: dict[str, Any] = {
        name: changes.pop(name) for name in ("last_update", "base_url") if name in changes
    }
    account = changes.pop("account_id", ACCOUNT)
    properties = api_result(**changes)
    properties["invoice_id"] = properties.pop("id")
    return {
        name: with_floats(value)
        for name, value in {**properties, "account_id": account, **more}.items()
    }


def provider(**settings: Any) -> PolicyProviderResource:
    """Return the plugin's provider with some *settings* of a program."""
    kind, properties = "pulumi:providers:cf-invoice", unknown_checking_proxy(settings)
    return PolicyProviderResource(kind, properties, "urn of provider", "explicit")


TO_COME = provider(baseUrl="http://127.0.0.1:1", apiToken=UNKNOWN_STRING_VALUE)


def judge(
    gate: Policy,
    properties: dict[str, Any],
    config: Mapping[str, Any] | None = None,
    resource_type: str = DYNAMIC_TYPE,
    by: PolicyProviderResource | None = None,
) -> list[str]:
    """Return the violations that *gate* reports on a resource *by* a provider."""
    assert isinstance(gate, ResourceValidationPolicy)
    found: list[str] = []
    properties = unknown_checking_proxy(properties)
    args = ResourceValidationArgs(resource_type, properties, "urn", "x", OPTIONS, by, config or {})

    def report(message: str, urn: str | None = None) -> None:
        found.append(message)

    gate.validate(args, report)
    return found


def before_all(gate: Policy, config: Mapping[str, Any] | None = None) -> list[str]:
    """Return the violations that *gate* reports before the first resource."""
    return judge(gate, {}, config, STACK_TYPE)


def test_a_rule_is_judged_on_what_the_engine_passes() -> None:
    gate = policy.max_amount_due("150 USD")
    assert judge(gate, state()) == [
        f"The upcoming invoice of account {ACCOUNT} is $188.46 for 2026-09-01 to 2026-09-30, "
        "over the limit of $150.00 by $38.46. Largest lines: openai/gpt-5.5 $174.79. Cap the "
        "gateways with spend limits, or raise the limit of the rule max-amount-due."
    ]
    assert judge(gate, state(), {"limit": "1000 USD"}) == []


def test_every_factory_declares_its_rule() -> None:
    waiver = {"until": "2999-01-01", "by": "x", "reason": "y"}
    gates = [
        policy.max_amount_due("1 USD"),
        policy.max_projected_amount_due("1 USD", name="near-budget"),
        policy.max_line_amount({"openai/*": "1 USD"}, default_limit="1 USD"),
        policy.max_increase("1 USD", enforcement_level=EnforcementLevel.ADVISORY),
        policy.allowed_statuses(["open"]),
        policy.allowed_currencies(["eur"]),
    ]
    last = {"amount_due": 15000, "currency": "usd", "period_start": START}
    for gate in gates:
        assert len(judge(gate, state(last_update=last))) == 1, gate.name
    assert gates[1].name == "near-budget"
    assert gates[3].enforcement_level == EnforcementLevel.ADVISORY
    suspended = policy.allowed_statuses(["open"], waiver=waiver)
    assert judge(suspended, state()) == []


def test_the_plugins_resource_is_judged_alike() -> None:
    last = {"amount_due": 15000, "currency": "usd", "period_start": START}
    properties = state(last_update=last, base_url="http://127.0.0.1:1")
    # Only the first message of a run names its only account.
    judge(policy.max_amount_due("1 USD"), properties)
    for gate in (policy.max_amount_due("1 USD"), policy.max_increase("1 USD")):
        expected = judge(gate, properties)
        assert expected
        assert judge(gate, camel_cased(properties), resource_type=PLUGIN_TYPE) == expected


@pytest.mark.parametrize("written", [ACCOUNT.upper(), f" {ACCOUNT} "])
def test_an_account_is_held_to_its_own_limit_however_it_is_written(written: str) -> None:
    gate = policy.max_amount_due({"limit": "900 USD", "accounts": {ACCOUNT: "1 USD"}})
    [violation] = judge(gate, state(account_id=written))
    assert violation.partition(", ")[2].startswith("over the limit of $1.00 by $187.46.")


def test_other_resources_and_failed_checks_are_passed_over() -> None:
    gate = policy.max_amount_due("0 USD")
    assert judge(gate, state(), resource_type=GATEWAY) == []
    assert judge(gate, lifecycle.failed()) == []
    failed = camel_cased(lifecycle.failed())
    assert judge(gate, failed, resource_type=PLUGIN_TYPE) == []


@pytest.mark.parametrize("properties", [{}, {"account_id": ACCOUNT}])
def test_absent_figures_violate_at_an_update_and_are_noted_at_a_preview(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], properties: Any
) -> None:
    name = f"of-{len(properties)}"
    gate = policy.max_amount_due("0 USD", name=name)
    [message] = judge(gate, properties)
    assert message.startswith(f"{name} cannot judge x: its figures are not known")
    monkeypatch.setenv("PULUMI_DRY_RUN", "true")
    assert judge(gate, properties) == []
    assert message in capsys.readouterr().err


def test_figures_that_are_no_invoice_are_a_violation_in_one_line() -> None:
    [message] = judge(policy.max_amount_due("0 USD"), state(amount_due="none"))
    assert message.startswith("max-amount-due cannot judge x: amount_due: ")
    for account in (["x"], {"a": 1}):
        [message] = judge(policy.max_amount_due("0 USD"), state(account_id=account))
        assert message == "max-amount-due cannot judge x: account_id: not a text"


def test_an_unknown_account_is_left_to_pulumis_own_advisory() -> None:
    with pytest.raises(UnknownValueError):
        judge(policy.max_amount_due("0 USD"), {"account_id": UNKNOWN_STRING_VALUE})


def test_an_invoice_by_a_provider_that_is_not_known_yet_is_left_to_pulumis_own_advisory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine does not ask such a provider, so that figures are absent and not unknown."""
    gate, required = policy.max_amount_due("0 USD"), policy.require_invoice_preview()
    lacking, gateway = {"accountId": ACCOUNT}, (GATEWAY, dict[str, Any]())
    one_account = policy.require_invoice_preview(required_account_ids=[OTHER_ACCOUNT])
    monkeypatch.setenv("PULUMI_DRY_RUN", "true")
    with pytest.raises(UnknownValueError):
        judge(gate, lacking, resource_type=PLUGIN_TYPE, by=TO_COME)
    with pytest.raises(UnknownValueError):
        on_stack(required, (PLUGIN_TYPE, lacking), gateway, by=TO_COME)
    with pytest.raises(UnknownValueError):
        on_stack(one_account, (PLUGIN_TYPE, {}), by=TO_COME)
    assert capsys.readouterr().err == ""
    # Nothing else is passed over: figures of the last update, what --target left out of a provider
    # that is known, and anything at an update.
    figures = camel_cased(state())
    assert len(judge(gate, figures, resource_type=PLUGIN_TYPE, by=TO_COME)) == 1
    assert on_stack(required, (PLUGIN_TYPE, figures), gateway, by=TO_COME) == []
    assert len(on_stack(required, (PLUGIN_TYPE, lacking), gateway, by=provider(apiToken="x"))) == 1
    monkeypatch.delenv("PULUMI_DRY_RUN")
    assert len(judge(gate, lacking, resource_type=PLUGIN_TYPE, by=TO_COME)) == 1
    assert len(on_stack(required, (PLUGIN_TYPE, lacking), gateway, by=TO_COME)) == 1


def test_what_is_no_violation_is_reported_once_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gate = policy.max_increase("1 USD", name="first-update")
    foreign = state(base_url="http://127.0.0.1:77")
    for _ in range(2):
        assert judge(gate, foreign) == []
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"first-update: The upcoming invoice of account {ACCOUNT} has nothing to compare with: "
        "it is new, renamed, replaced or read from another address.",
        "The figures come from http://127.0.0.1:77, not from Cloudflare.",
    ]


@pytest.mark.parametrize(
    ("month", "note"),
    [
        (6, "The invoice's period, 2026-06-01 to 2026-06-30, has ended."),
        (11, "The invoice's period, 2026-11-01 to 2026-11-30, has not begun."),
    ],
)
def test_an_invoice_of_another_time_is_noted_once_for_all_rules(
    month: int, note: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start = datetime(2026, month, 1, tzinfo=UTC)
    period = {"start": start.timestamp(), "end": (start + timedelta(days=30)).timestamp()}
    of_month = state(
        period_start=period["start"],
        period_end=period["end"],
        invoice_lines=[api_line(period=period)],
    )
    gates = [policy.max_amount_due("999 USD"), policy.max_line_amount(default_limit="999 USD")]
    assert [judge(gate, of_month) for gate in gates] == [[], []]
    assert capsys.readouterr().err == f"Account {ACCOUNT}: {note}\n"
    assert judge(gates[0], state()) == []
    assert capsys.readouterr().err == ""


def test_a_waiver_is_noted_before_the_first_resource(capsys: pytest.CaptureFixture[str]) -> None:
    waiver = {"until": "2999-01-01", "by": "the CFO", "reason": "launch", "limit": "1000 USD"}
    gate = policy.max_amount_due("1 USD", name="waived", waiver=waiver)
    assert before_all(gate) == judge(gate, state()) == []
    message = (
        "waived: A waiver with the limit 1000 USD is in force until 2999-01-01, by the CFO: launch."
    )
    assert capsys.readouterr().err == f"{message}\n"


# Where Pulumi's SDK does not let a pack check its config before anything runs.


@pytest.mark.parametrize(
    ("gate", "config", "expected"),
    [
        (policy.max_amount_due(), {}, "it has no limit"),
        (policy.max_amount_due("250"), {}, "'250' has no currency: write it as '250 USD'"),
        (policy.max_amount_due("1 USD"), {"limt": "1 USD"}, "did you mean 'limit'?"),
        (policy.max_amount_due("1 USD"), {"limit": None}, "null is not an amount of money"),
        (policy.max_amount_due({"limt": "1 USD"}), {}, "did you mean 'limit'?"),
        (policy.account_budget("1 USD"), {}, "it has no accountIds"),
        (policy.max_forecast("1 USD"), {}, "it has no accountIds"),
        (policy.max_forecast(account_ids=[ACCOUNT]), {}, "it has no limit"),
        (
            policy.max_forecast("1 USD", percentile=90, fixed_lines=[], account_ids=[ACCOUNT]),
            {},
            "fixedLines: [] is not a list with at least one text",
        ),
        (
            policy.max_forecast("1 USD", account_ids=[ACCOUNT]),
            {"percentile": 95.0},
            "percentile: 95 is neither 50 (the median) nor 90",
        ),
        (policy.min_runway("period"), {}, "it has no accountIds"),
        (policy.min_runway(account_ids=[ACCOUNT]), {}, "it has no days"),
        (
            policy.min_runway(14, top_up_suffices=True, account_ids=[ACCOUNT]),
            {"days": 400.0},
            "days: 400 is neither a whole number of days from 1 to 366",
        ),
        (policy.max_line_amount(), {}, "it has no limits or defaultLimit"),
    ],
)
def test_a_rule_that_cannot_be_used_is_a_violation_before_the_first_resource(
    gate: Policy, config: dict[str, Any], expected: str
) -> None:
    [message] = before_all(gate, config)
    assert expected in message
    assert judge(gate, state(), config) == []


def test_a_pack_without_rules_does_not_load() -> None:
    with pytest.raises(SystemExit) as refused:
        policy.spend_policy_pack("empty")
    assert str(refused.value) == (
        "error: policy pack 'empty': it has no rules: give policies, or the path of a file of rules"
    )


def served(make: Callable[[], Policy]) -> Callable[[], None]:
    return lambda: policy.spend_policy_pack("x", [make()])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: CODE.max_amount_due("1 USD", enforcement_level="advisory"), "rule 'max-amount-"),
        (lambda: CODE.max_amount_due("1 USD", name="all"), "rule 'all': "),
        (lambda: CODE.max_amount_due("1 USD", name=5), "rule '5': "),
        (served(lambda: CODE.min_runway(10**5000)), "rule 'min-runway': days: <int> is neither a"),
        (
            served(lambda: CODE.allowed_statuses([{("open",): 1}])),
            "rule 'allowed-statuses': statuses: <dict> is not a text",
        ),
        (lambda: CODE.spend_policy_pack("x", rules=5), "pack 'x': rules: 5 is not a path, such as"),
        (lambda: CODE.spend_policy_pack("x", rules=b"y"), 'rules: "<bytes>" is not a path'),
        (lambda: CODE.spend_policy_pack("x", None), "pack 'x': policies: None is not a policy"),
        (lambda: CODE.spend_policy_pack("x", ["y"]), "pack 'x': policies: 'y' is not a policy"),
        (lambda: CODE.spend_policy_pack("x y", [policy.max_increase("1%")]), "pack 'x y': "),
        (
            lambda: CODE.spend_policy_pack(
                "x", [policy.max_increase("1%")], enforcement_level="advisory"
            ),
            "pack 'x': ",
        ),
    ],
)
def test_a_mistake_in_code_is_one_line(
    monkeypatch: pytest.MonkeyPatch, make: Any, expected: str
) -> None:
    monkeypatch.setattr(analyzer, "install", lambda *arguments: None)
    with pytest.raises(SystemExit) as refused:
        make()
    message = str(refused.value)
    assert message.startswith("error: ")
    assert expected in message
    assert "\n" not in message
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("level", ["disabled", None])
def test_the_warnings_of_a_disabled_rule_judge_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], level: Any
) -> None:
    served: dict[str, Any] = {}
    monkeypatch.setattr(analyzer, "install", lambda *arguments: served.update(pack=arguments))
    monkeypatch.setattr(pack, "PolicyPack", lambda **arguments: served.update(arguments))
    rules = [
        policy.max_amount_due("1 USD", warn_at=["80%"]),
        policy.require_gateway_spend_limit("100 USD", warn_at=["80%"]),
    ]
    policy.spend_policy_pack("tests", rules)
    configure, *_ = served["pack"]
    # Pulumi sends the level of every policy; a warning's own may even be set to mandatory.
    names = [rule.name for rule in rules]
    tiers: dict[str, Config] = {f"{name}-80%": Config(level="mandatory") for name in names}
    configure({**{name: Config(level=level) for name in names}, **tiers})
    judged = [
        judge(gate, state())
        if isinstance(gate, ResourceValidationPolicy)
        else on_stack(gate, (GATEWAY, {"accountId": ACCOUNT}))
        for gate in served["policies"]
        if level is None or gate.name in tiers
    ]
    assert [len(found) for found in judged] == ([0, 0] if level else [1, 1, 1, 1])
    noted = capsys.readouterr().err
    assert ("max-amount-due-80%: It is disabled and judges nothing." in noted) == bool(level)


# Stacks.


def on_stack(
    gate: Policy,
    *resources: tuple[str, dict[str, Any]],
    found: list[str] | None = None,
    by: PolicyProviderResource | None = None,
) -> list[str]:
    """
    Return the violations that *gate* reports on resources *by* a provider, also in *found* where it
    raises in the end.
    """
    assert isinstance(gate, StackValidationPolicy)
    found = [] if found is None else found

    def report(message: str, urn: str | None = None) -> None:
        found.append(message)

    stack = [
        PolicyResource(
            kind, unknown_checking_proxy(properties), "urn", "x", OPTIONS, by, None, [], {}
        )
        for kind, properties in resources
    ]
    gate.validate(StackValidationArgs(stack), report)
    return found


def test_a_stack_has_to_look_at_its_invoice() -> None:
    gate = policy.require_invoice_preview()
    gateway: tuple[str, dict[str, Any]] = (GATEWAY, {})
    assert len(on_stack(gate, gateway)) == 1
    assert on_stack(gate, gateway, (DYNAMIC_TYPE, state())) == []
    assert on_stack(gate, gateway, (PLUGIN_TYPE, camel_cased(state()))) == []
    assert len(on_stack(gate, gateway, (DYNAMIC_TYPE, {"account_id": ACCOUNT}))) == 1
    routing = "cloudflare:index/aiGatewayDynamicRouting:AiGatewayDynamicRouting"
    for kind in (GATEWAY, routing):
        assert (
            len(on_stack(gate, (kind, {"accountId": OTHER_ACCOUNT}), (DYNAMIC_TYPE, state()))) == 1
        )
        assert on_stack(gate, (kind, {"accountId": ACCOUNT}), (DYNAMIC_TYPE, state())) == []
        to_come = (kind, {"accountId": UNKNOWN_STRING_VALUE})
        assert on_stack(gate, to_come, (DYNAMIC_TYPE, state())) == []
    required = policy.require_invoice_preview(required_account_ids=[OTHER_ACCOUNT])
    assert len(on_stack(required, (DYNAMIC_TYPE, state()))) == 1
    assert on_stack(required, (DYNAMIC_TYPE, state(account_id=OTHER_ACCOUNT))) == []


@pytest.mark.parametrize("is_preview", [True, False])
def test_the_gateways_of_an_account_are_requested_once_for_all_rules(
    monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, is_preview: bool
) -> None:
    sandbox.scenario = "capped-gateways"
    served: dict[str, Any] = {}
    monkeypatch.setattr(analyzer, "is_preview", lambda: is_preview)
    monkeypatch.setattr(analyzer, "install", lambda *arguments: served.update(pack=arguments))
    monkeypatch.setattr(pack, "PolicyPack", lambda **arguments: served.update(arguments))
    rule = policy.require_gateway_spend_limit(
        "999 USD", account_ids=[ACCOUNT], base_url=sandbox.base_url, warn_at=["10%", "80%"]
    )
    policy.spend_policy_pack("tests", [rule])
    configure, *_ = served["pack"]
    configure({})
    assert [len(on_stack(gate)) for gate in served["policies"]] == [0, 1, 0]
    assert sandbox.requests == [ACCOUNT]


def test_gateways_have_to_have_a_spend_limit_within_the_limit() -> None:
    gate = policy.require_gateway_spend_limit("100 USD")
    rule = {"limitType": "cost", "limit": 5.0, "window": 86400.0}
    capped = {"accountId": ACCOUNT, "spendLimits": {"enabled": True, "rules": [rule]}}
    [message] = on_stack(gate, (GATEWAY, capped))
    assert "allow $160.00 in a month of 31 days, over the limit of $100.00 by $60.00" in message
    [message] = on_stack(gate, (GATEWAY, {"accountId": ACCOUNT}))
    assert "has no spend limit on all of its traffic: it has no `spend_limits`." in message
    # A restriction that nobody knows yet, as the list that Pulumi's SDK makes of it.
    limits = {"enabled": True, "rules": [{**rule, "countries": ["NL"]}]}
    [message] = on_stack(gate, (GATEWAY, {**capped, "spendLimits": limits}))
    assert "none of its rules is enabled for all models, providers and metadata" in message
    waiver = {"until": "2999-01-01", "by": "x", "reason": "y", "limit": "160 USD"}
    assert (
        on_stack(policy.require_gateway_spend_limit("1 USD", waiver=waiver), (GATEWAY, capped))
        == []
    )


@pytest.mark.parametrize(
    "properties",
    [
        {"spendLimits": UNKNOWN_STRING_VALUE},
        {"spendLimits": {"enabled": True, "rules": [{"limitType": UNKNOWN_STRING_VALUE}]}},
    ],
)
def test_a_spend_limit_that_is_not_known_yet_is_left_to_pulumis_own_advisory(
    properties: dict[str, Any],
) -> None:
    with pytest.raises(UnknownValueError):
        on_stack(policy.require_gateway_spend_limit("1 USD"), (GATEWAY, properties))
    unread = {"authentication": UNKNOWN_STRING_VALUE}
    assert len(on_stack(policy.require_gateway_spend_limit("1 USD"), (GATEWAY, unread))) == 1


def test_what_is_known_is_judged_and_reported_whatever_else_is_unknown() -> None:
    uncapped: tuple[str, dict[str, Any]] = (GATEWAY, {"accountId": ACCOUNT})
    rule = {"limitType": "cost", "limit": 1.0, "window": 86400.0}
    limits = {"enabled": True, "rules": [rule]}
    unknown = (GATEWAY, {"accountId": UNKNOWN_STRING_VALUE, "spendLimits": limits})
    to_come = (DYNAMIC_TYPE, state(account_id=UNKNOWN_STRING_VALUE, amount_due="x"))
    gate, found = policy.require_gateway_spend_limit("100 USD"), list[str]()
    assert len(on_stack(gate, to_come, uncapped)) == 1
    with pytest.raises(UnknownValueError):
        on_stack(gate, unknown, uncapped, found=found)
    assert len(found) == 1
    required = policy.require_invoice_preview(required_account_ids=[ACCOUNT, OTHER_ACCOUNT])
    with pytest.raises(UnknownValueError):
        on_stack(required, to_come, uncapped, found=found)
    assert len(found) == 3
