from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pulumi_cf_invoice import RuleError
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import DeclaredRule
from pulumi_cf_invoice.rules.gates import Gate
from pulumi_cf_invoice.rules.on_stacks import RequireInvoicePreview
from pulumi_cf_invoice.rules.rule import Finding, StackResource, StackRule
from pulumi_cf_invoice.sandbox import Sandbox
from pulumi_cf_invoice.sandbox.accounts import cost_rule, gateway
from pulumi_cf_invoice.state import DYNAMIC_TYPE
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, TOKEN, Result, api_result, snapshot

GATEWAY = "cloudflare:index/aiGateway:AiGateway"


def found_in(stack: list[StackResource], **settings: Any) -> list[str]:
    rule = RequireInvoicePreview(**settings)
    return [finding.message for finding, _ in rule.evaluate_stack(stack)]


def resource(kind: str, properties: Any = None, unknown: Any = ()) -> StackResource:
    return StackResource(kind, "assistant", "urn", properties or {}, unknown)


def preview(account_id: str | None = None, **changes: Any) -> StackResource:
    """Return an InvoicePreview, which has figures if it has an account."""
    figures = {"account_id": account_id, **api_result(**changes)} if account_id else {}
    return resource(DYNAMIC_TYPE, figures)


def to_come(account_id: str | None = None) -> StackResource:
    """Return an InvoicePreview whose figures are not known yet, or not even its account."""
    known = {"account_id": account_id} if account_id else {}
    return resource(DYNAMIC_TYPE, known, {"amount_due", *({"account_id"} - {*known})})


NOT_YET = (
    "The InvoicePreview assistant is not judged before the update: its figures are not known yet."
)


def test_a_stack_with_a_gateway_has_to_look_at_an_invoice() -> None:
    gateway, looked_at = resource(GATEWAY), preview(ACCOUNT)
    assert found_in([gateway]) == [
        f"The stack has assistant ({GATEWAY}), but no InvoicePreview: other policies cannot see "
        "what it costs."
    ]
    assert found_in([gateway, looked_at]) == []
    assert found_in([resource("cloudflare:index/zone:Zone")]) == []
    assert found_in([]) == []
    without = found_in([gateway, preview()])
    assert ", but an InvoicePreview without figures" in without[0]
    assert found_in([resource("aws:s3:Bucket")], resource_types=("aws:*",))


def of(account_id: str | None, unknown: Any = (), **more: Any) -> StackResource:
    """Return a gateway of an account."""
    made = resource(GATEWAY, {"accountId": account_id} if account_id else {}, unknown)
    return replace(made, **more)


def of_others(whose: str) -> str:
    return (
        f"The stack has assistant ({GATEWAY}) of {whose}, but no InvoicePreview of that account "
        "with figures, only of others: other policies cannot see what it costs."
    )


def test_the_invoice_of_another_account_than_a_gateways_does_not_count() -> None:
    others = of_others(f"account {ACCOUNT}")
    assert found_in([of(ACCOUNT), preview(OTHER_ACCOUNT)]) == [others]
    assert found_in([of(ACCOUNT), preview(OTHER_ACCOUNT), preview(ACCOUNT)]) == []
    assert found_in([of(ACCOUNT), of(OTHER_ACCOUNT), preview(OTHER_ACCOUNT)]) == [others]
    # Both cases are the same account.
    assert found_in([of(ACCOUNT.upper()), preview(ACCOUNT)]) == []
    assert found_in([of(ACCOUNT), preview(ACCOUNT.upper())]) == []
    secret = of(ACCOUNT, account_is_secret=True)
    assert found_in([secret, preview(OTHER_ACCOUNT)]) == [of_others("an account that is secret")]
    assert found_in([secret, preview(ACCOUNT)]) == []
    # A resource that does not say of which account it is.
    assert found_in([resource("aws:s3:Bucket"), preview(ACCOUNT)], resource_types=("aws:*",)) == []
    assert found_in([of(None), preview(OTHER_ACCOUNT)]) == []


def test_a_gateway_or_an_invoice_of_an_account_to_come_may_be_of_the_same() -> None:
    assert found_in([of(None, {"accountId"}), preview(OTHER_ACCOUNT)]) == []
    assert found_in([of(ACCOUNT), preview(OTHER_ACCOUNT), to_come()]) == [NOT_YET]
    assert found_in([of(ACCOUNT), preview(OTHER_ACCOUNT), to_come(ACCOUNT)]) == [NOT_YET]
    assert found_in([of(ACCOUNT), to_come(ACCOUNT)]) == [NOT_YET]
    # Of this one the account is known.
    message, note = found_in([of(ACCOUNT), to_come(OTHER_ACCOUNT)])
    assert (message, note) == (of_others(f"account {ACCOUNT}"), NOT_YET)


def test_accounts_that_are_required_have_to_be_looked_at_whatever_the_stack_has() -> None:
    required = {"required_account_ids": (ACCOUNT, OTHER_ACCOUNT)}
    assert len(found_in([], **required)) == 2
    [message] = found_in([preview(ACCOUNT)], **required)
    assert OTHER_ACCOUNT in message
    assert found_in([preview(ACCOUNT), preview(OTHER_ACCOUNT)], **required) == []


def test_an_invoice_that_is_not_known_yet_is_only_waited_for_where_it_can_matter() -> None:
    required = {"required_account_ids": (ACCOUNT, OTHER_ACCOUNT)}
    assert found_in([resource(GATEWAY), to_come()]) == [NOT_YET]
    assert found_in([resource(GATEWAY), to_come(), preview(ACCOUNT)]) == []
    assert found_in([to_come()]) == []
    assert found_in([to_come(), preview(ACCOUNT)], **required) == [NOT_YET]
    assert found_in([to_come(OTHER_ACCOUNT), preview(ACCOUNT)], **required) == [NOT_YET]
    # It can be the invoice of one account at most.
    *missing, note = found_in([to_come()], **required)
    assert ([ACCOUNT in missing[0], OTHER_ACCOUNT in missing[1]], note) == ([True, True], NOT_YET)
    [missing_one, note] = found_in([to_come(ACCOUNT)], **required)
    assert (OTHER_ACCOUNT in missing_one, note) == (True, NOT_YET)


def test_figures_that_are_no_invoice_are_one_line_of_their_own() -> None:
    [unreadable, without] = found_in([preview(ACCOUNT, amount_due="x"), resource(GATEWAY)])
    assert unreadable.startswith("The InvoicePreview assistant has no figures that can be read: am")
    assert ", but an InvoicePreview without figures" in without
    forged = resource(DYNAMIC_TYPE, {**api_result(), "account_id": ["x"]})
    [unreadable] = found_in([forged, preview(ACCOUNT), resource(GATEWAY)])
    assert unreadable.endswith("account_id: not a text")


def test_a_type_that_a_program_made_up_is_one_clean_line() -> None:
    kind = "cloudflare:index/aiGatewayX:\x1b[2J\n##[error]x"
    [message] = found_in([resource(kind)])
    assert "(cloudflare:index/aiGatewayX: [2J ## [error]x), but no" in message


# Spend limits of gateways.

DAY = 86400
COST = {"limitType": "cost", "limit": 5.0, "window": float(DAY)}
SCOPE = {"mode": "filter", "values": ["x"]}


def capped(*rules: Any, name: str = "assistant", account_id: str | None = ACCOUNT) -> StackResource:
    limits = {"enabled": True, "rules": list(rules)}
    properties = {"accountId": account_id, "spendLimits": limits}
    return StackResource(GATEWAY, name, f"urn of {name}", properties=properties)


def violations(limit: Any, *gateways: StackResource) -> list[str]:
    gate = Gate.of(DeclaredRule.parse("require-gateway-spend-limit", {"limit": limit}))
    rule = gate.in_force(NOW)
    assert isinstance(rule, StackRule)
    found = rule.evaluate_stack(gateways)
    return [finding.message for finding, urn in found if urn and finding.violates]


def test_what_a_gateway_allows_in_a_month_is_held_against_the_limit_exactly() -> None:
    """31 days, and one more, because a day of the gateway may begin before the month does."""
    assert violations("160 USD", capped(COST)) == []
    assert violations("159.99 USD", capped(COST)) == [
        "The spend limits of the stack's AI gateways allow $160.00 in a month of 31 days, over the "
        "limit of $159.99 by $0.01: assistant $160.00 (32 windows of 1 day at $5.00 each)."
    ]


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ({"window": 31 * DAY}, "$10.00"),
        ({"window": 30 * DAY}, "$15.00"),
        ({"window": 7 * DAY}, "$30.00"),
        ({"window": 400 * DAY}, "$10.00"),
        ({"window": 3600}, "$3,725.00"),
        ({"window": 61, "limit": 0.01}, "$439.10"),
        ({"technique": "fixed"}, "$160.00"),
        ({"technique": "sliding"}, "$155.00"),
        ({"technique": "sliding", "window": 30 * DAY}, "$10.00"),
        ({"limit": 0.1}, "$3.20"),
        ({"limit": 0.005}, "$0.16"),
        ({"enabled": True, "metadata": {}, "model": None}, "$160.00"),
    ],
)
def test_a_rule_allows_its_limit_in_every_window_that_touches_the_month(
    rule: dict[str, Any], allowed: str
) -> None:
    [message] = violations("0 USD", capped({**COST, **rule}))
    assert f"allow {allowed} in a month" in message


def test_the_gateways_of_an_account_add_up_however_its_id_is_written() -> None:
    two = [capped(COST), capped(COST, name="other", account_id=ACCOUNT.upper())]
    [message] = violations("300 USD", *two)
    assert "allow $320.00 in a month" in message
    by_account = {"limit": "999 USD", "accounts": {ACCOUNT: "1 USD"}}
    assert violations(by_account, two[1])


@pytest.mark.parametrize("name", [f"{ACCOUNT}/.", f"./{ACCOUNT}", f"x/../{ACCOUNT}", "", "x" * 32])
def test_a_gateway_of_what_is_no_account_id_is_not_of_another_account(name: str) -> None:
    """In the address of Cloudflare's API, most of these are the account."""
    [message] = violations("300 USD", capped(COST), capped(COST, name="other", account_id=name))
    assert message == (
        "The AI gateway other cannot be judged: its `account_id` is no account ID, which has 32 "
        "hex digits."
    )
    own_keys = replace(capped(COST), properties={"accountId": name, "byokOnly": True})
    assert violations("300 USD", own_keys) == []


def test_of_several_rules_of_a_gateway_the_lowest_counts_and_gateways_add_up() -> None:
    weekly = {**COST, "limit": 10, "window": 7 * DAY}
    two = [capped(COST, weekly), capped(COST, name="other")]
    assert violations("220 USD", *two) == []
    [message] = violations("100 USD", *two)
    assert message.endswith(
        "allow $220.00 in a month of 31 days, over the limit of $100.00 by $120.00: other $160.00 "
        "(32 windows of 1 day at $5.00 each); assistant $60.00 (6 windows of 7 days at $10.00 "
        "each)."
    )
    [message] = violations("1 USD", *(capped(COST, name=f"gateway-{n}") for n in range(9)))
    assert message.endswith("; and 6 more.")


def test_each_account_has_gateways_and_a_limit_of_its_own() -> None:
    two = [capped(COST), capped(COST, name="other", account_id=OTHER_ACCOUNT)]
    assert violations("160 USD", *two) == []
    limit = {"limit": "160 USD", "accounts": {OTHER_ACCOUNT: "100 USD"}}
    [message] = violations(limit, *two)
    assert "over the limit of $100.00 by $60.00: other" in message
    [message] = violations({"accounts": {OTHER_ACCOUNT: "999 USD"}}, *two)
    assert message == "The limits differ by account: that of assistant has none."


@pytest.mark.parametrize(
    "rule",
    [
        {"model": SCOPE},
        {"aiGatewayProvider": SCOPE},
        {"metadata": {"team": SCOPE}},
        {"metadata": {"user": {"mode": "partition"}}},
        {"enabled": False},
        {"enabled": "false"},
        {"limitType": "requests"},
        {"limit": None},
        {"limit": -1},
        {"limit": float("nan")},
        {"limit": True},
        {"window": 0},
        {"window": None},
    ],
)
def test_a_rule_that_caps_only_a_part_or_nothing_is_none(rule: dict[str, Any]) -> None:
    assert violations("999 USD", capped({**COST, **rule})) == [
        "The AI gateway assistant has no spend limit on all of its traffic: none of its rules is "
        "enabled for all models, providers and metadata. Credits that are topped up automatically "
        "do not cap it either."
    ]
    assert violations("999 USD", capped({**COST, **rule}, COST)) == []


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (None, "it has no `spend_limits`."),
        ({}, "its `spend_limits` are not enabled."),
        ({"enabled": False, "rules": [COST]}, "its `spend_limits` are not enabled."),
        ({"rules": [COST]}, "its `spend_limits` are not enabled."),
        ({"enabled": True}, "its `spend_limits` have no rules."),
        ({"enabled": True, "rules": []}, "its `spend_limits` have no rules."),
        ({"enabled": True, "rules": [None, "x"]}, "none of its rules is enabled"),
    ],
)
def test_a_gateway_without_a_spend_limit_is_reported_with_the_reason_at_its_own_urn(
    limits: Any, expected: str
) -> None:
    gateway = StackResource(GATEWAY, "assistant", "urn", properties={"spendLimits": limits})
    [message] = violations("999 USD", gateway)
    assert expected in message
    assert violations("0 USD", StackResource("aws:s3:Bucket", "x", "urn")) == []


def test_a_limit_that_is_not_in_dollars_is_refused() -> None:
    for limit in ("250 EUR", {"limit": "250 USD", "accounts": {ACCOUNT: "1 EUR"}}):
        with pytest.raises(RuleError, match="is not in US dollars, in which a gateway's spend"):
            violations(limit)


# Gateways that are not known yet.


def statuses(*stack: StackResource, listed: Any = None) -> list[str]:
    """Return the messages of what violates the rule, and those of what is not known yet."""
    if listed is None:
        gate = Gate.of(DeclaredRule.parse("require-gateway-spend-limit", {"limit": "200 USD"}))
        found = gate.judge_stack(stack, AccountReader({}), NOW)
    else:
        found = gates_of_account("200 USD", listed, stack)
    return [finding.message for finding, _ in found if finding.violates or finding.is_to_come]


def lacking(*unknown: str, **properties: Any) -> StackResource:
    known = {"accountId": ACCOUNT, "aiGatewayId": "chat", **properties}
    known = {name: value for name, value in known.items() if name not in unknown}
    return StackResource(GATEWAY, "later", "urn of later", known, unknown)


CAPPED = {"spendLimits": {"enabled": True, "rules": [COST]}}


@pytest.mark.parametrize(
    ("gateway", "listed", "lacks"),
    [
        (lacking("spendLimits"), None, "spend_limits"),
        (lacking("byokOnly", **CAPPED), None, "byok_only"),
        (lacking("byokOnly"), None, "byok_only"),
        (lacking("workersAiBillingMode", byokOnly=True), None, "workers_ai_billing_mode"),
        (lacking("accountId", **CAPPED), None, "account_id"),
        (lacking("aiGatewayId", **CAPPED), [], "ai_gateway_id"),
        (lacking("workersAiBillingMode", **CAPPED), None, None),
        (lacking("aiGatewayId", **CAPPED), None, None),
        (lacking("accountId", "spendLimits", byokOnly=True), None, None),
    ],
)
def test_a_gateway_waits_for_an_update_only_if_it_lacks_what_the_rule_needs(
    gateway: StackResource, listed: Any, lacks: str | None
) -> None:
    note = f"The AI gateway later is not judged before the update: its `{lacks}` is not known yet."
    assert statuses(gateway, listed=listed) == ([note] if lacks else [])
    # What is known besides is judged all the same.
    note_too = [note] if lacks else []
    *notes, message = statuses(gateway, capped(), listed=listed)
    assert notes == note_too
    assert message.startswith("The AI gateway assistant has no spend limit on all of its traffic")


def test_a_gateway_without_a_limit_violates_whatever_its_account_will_be() -> None:
    [message] = statuses(lacking("accountId", "aiGatewayId"))
    assert "The AI gateway later has no spend limit on all of its traffic" in message


def test_a_gateway_of_an_account_waits_for_what_the_stack_will_make_of_it() -> None:
    changing, default = gateway("chat", cost_rule(50)), gateway("default")
    note, message = statuses(lacking("spendLimits"), listed=[changing, default])
    assert note.endswith("its `spend_limits` is not known yet.")
    assert message.startswith(f"The AI gateway default of account {ACCOUNT} has no spend limit")
    # Without its account or its name it can be any gateway, or a new one.
    for unknown in ("accountId", "aiGatewayId"):
        found = statuses(lacking(unknown, "spendLimits"), listed=[changing, default])
        assert len(found) == 3
    forged = replace(lacking("spendLimits"), has_provider=False)
    assert len(statuses(forged, listed=[changing, default])) == 3


# All gateways of an account.

OWN_KEYS = gateway("own-keys", byok_only=True)


def of_account(
    limit: Any, listed: list[Any], *stack: StackResource, complete: bool = True
) -> list[tuple[str, str]]:
    """Return the status and message of what is found in the *listed* gateways of the account."""
    found = gates_of_account(limit, listed, stack, complete)
    return [(finding.status, finding.message) for finding, _ in found]


def violations_of_account(
    limit: Any, listed: list[Any], *stack: StackResource
) -> list[tuple[str, str]]:
    found = of_account(limit, listed, *stack)
    return [each for each in found if each[0] in ("over", "failed")]


def gates_of_account(
    limit: Any, listed: list[Any], stack: Sequence[StackResource], complete: bool = True
) -> list[tuple[Finding, str]]:
    known = snapshot(gateways=Result(listed, Answered(complete)))
    written = {"limit": limit, "accountIds": [ACCOUNT]}
    gate = Gate.of(DeclaredRule.parse("require-gateway-spend-limit", written))
    return gate.judge_stack(stack, AccountReader({}, snapshots=[known]), NOW)


def test_every_gateway_of_an_account_needs_a_limit_whoever_made_it() -> None:
    listed = [gateway("default", is_default=True), gateway("chat", cost_rule(5))]
    found = of_account("200 USD", listed)
    assert found == [
        (
            "failed",
            f"The AI gateway default of account {ACCOUNT} has no spend limit on all of its "
            "traffic: it has no `spend_limits`. Credits that are topped up automatically do not "
            "cap it either.",
        ),
        (
            "within",
            f"Not all of the AI gateways of account {ACCOUNT} have a spend limit, and those that "
            "do allow $160.00 in a month of 31 days, within the limit of $200.00: chat $160.00 (32 "
            "windows of 1 day at $5.00 each).",
        ),
    ]
    listed[0] = gateway("default", cost_rule(2))
    [(status, message)] = of_account("200 USD", listed)
    assert status == "over"
    assert "allow $224.00 in a month" in message


@pytest.mark.parametrize(
    ("limit", "place"),
    [
        ("100 USD", "the limit of the waiver of the rule"),
        ({"limit": "150 USD", "accounts": {ACCOUNT: "100 USD"}}, "the limit of the rule"),
    ],
)
def test_what_to_do_about_each_gateway_of_an_account_names_the_same_limit(
    limit: Any, place: str
) -> None:
    """A gateway without a limit of its own has nothing by which to tell whose limit holds."""
    listed = [gateway("default", is_default=True), gateway("chat", cost_rule(5))]
    waiver = {"until": "2026-09-30", "by": "bob", "reason": "r", "limit": "120 USD"}
    reader = AccountReader({}, snapshots=[snapshot(gateways=Result(listed, Answered(True)))])
    written = {"limit": limit, "accountIds": [ACCOUNT], "waiver": waiver}
    gate = Gate.of(DeclaredRule.parse("require-gateway-spend-limit", written))
    of_account = gate.judge_accounts(reader, NOW)
    of_stack = [finding for finding, _ in gate.judge_stack([], reader, NOW)]
    for found in (of_account, of_stack):
        assert [finding.status for finding in found] == ["failed", "over"]
        [remedy] = {finding.remedy for finding in found}
        assert f"or raise {place} require-gateway-spend-limit." in remedy


def test_a_gateway_that_the_stack_changes_counts_with_what_it_will_be() -> None:
    listed = [gateway("chat", cost_rule(50)), gateway("default", cost_rule(1))]
    changed = capped(COST, name="resource")
    properties = {**changed.properties, "aiGatewayId": "chat", "accountId": ACCOUNT.upper()}
    note, (status, message) = of_account("200 USD", listed, replace(changed, properties=properties))
    assert status == "within"
    assert "allow $192.00 in a month" in message
    # Pulumi may have nothing to change, where others changed it since the last update.
    assert note == (
        "noted",
        f"The AI gateway chat of account {ACCOUNT} allows $1,600.00 in a month of 31 days now, and "
        "counts with what the stack sets. If Pulumi has nothing to change about it, run `pulumi "
        "refresh` first.",
    )
    # Another gateway of that name, in another account, is another one.
    elsewhere = replace(changed, properties={**properties, "accountId": OTHER_ACCOUNT})
    found = of_account("200 USD", listed, elsewhere)
    assert [status for status, _ in found] == ["within", "over"]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (gateway("chat", COST), "allow $320.00 in a month of 31 days"),
        (gateway("chat"), "has no spend limit on all of its traffic"),
    ],
)
def test_a_violation_at_a_preview_says_that_a_gateway_to_be_deleted_still_counts(
    listed: dict[str, Any], expected: str
) -> None:
    """Pulumi does not show policies what it deletes, or replaces."""
    says = "If this deployment deletes a gateway, that still counts at a preview"
    made = capped(COST)
    properties = {**made.properties, "aiGatewayId": "chat-v2", "accountId": ACCOUNT}
    renamed = replace(made, properties=properties)
    [(_, message)] = violations_of_account("200 USD", [listed], renamed)
    assert expected in message
    assert says in message
    # The stack has no gateway any more, only itself.
    [(_, message)] = violations_of_account("1 USD", [listed], resource("pulumi:pulumi:Stack"))
    assert says in message
    updated = replace(renamed, is_planned=False)
    for found in (
        violations_of_account("1 USD", [listed], updated),
        violations_of_account("1 USD", [listed]),
    ):
        assert all(says not in message for _, message in found)
    # All of its gateways are there to stay.
    same = replace(made, properties={**properties, "aiGatewayId": "chat"})
    [(_, message)] = violations_of_account("1 USD", [listed], same)
    assert says not in message


def test_after_an_update_a_gateway_counts_as_it_is_and_not_as_the_stack_says() -> None:
    """Pulumi has nothing to change where others removed a spend limit since the last update."""
    said = capped(COST)
    properties = {**said.properties, "aiGatewayId": "chat", "accountId": ACCOUNT}
    updated = replace(said, properties=properties, is_planned=False)
    (uncapped, urn), (note, _) = sorted(
        gates_of_account("200 USD", [gateway("chat")], [updated]),
        key=lambda found: found[0].status,
    )
    assert (uncapped.status, urn) == ("failed", updated.urn)
    assert note.message == (
        f"The AI gateway chat of account {ACCOUNT} has no spend limit on all of its traffic now, "
        "although the stack sets less: run `pulumi refresh`, and update it again."
    )
    [over] = of_account("100 USD", [gateway("chat", cost_rule(4))], updated)
    assert over[0] == "over"
    assert "allow $128.00 in a month" in over[1]
    # One that the API does not list yet counts as the stack made it.
    assert [status for status, _ in of_account("200 USD", [], updated)] == ["within"]


@pytest.mark.parametrize(
    ("base_url", "statuses"),
    [
        ("http://127.0.0.1:9/client/v4", ["failed", "within"]),
        # It is not known yet.
        ("", ["failed", "within"]),
        ("https://[", ["failed", "within"]),
        ("https://api.cloudflare.com/client/v4/", ["noted", "within"]),
        ("https://API.cloudflare.com", ["noted", "within"]),
    ],
)
def test_a_gateway_that_is_made_elsewhere_hides_none(base_url: str, statuses: list[str]) -> None:
    made = capped(COST)
    properties = {**made.properties, "aiGatewayId": "default", "accountId": ACCOUNT}
    stack = replace(made, properties=properties, base_url=base_url)
    found = of_account("999 USD", [gateway("default")], stack)
    assert [status for status, _ in found] == statuses


@pytest.mark.parametrize(
    ("base_url", "is_same"),
    [
        ("https://proxy.example/client/v4", True),
        ("https://Proxy.Example:443/client/v4/", True),
        ("https://proxy.example/", False),
        ("https://proxy.example:8443/client/v4", False),
    ],
)
def test_a_gateway_counts_once_however_its_providers_address_is_spelled(
    base_url: str, is_same: bool
) -> None:
    made = capped(COST)
    properties = {**made.properties, "aiGatewayId": "default", "accountId": ACCOUNT}
    planned = replace(made, properties=properties, base_url=base_url)
    there = "https://proxy.example/client/v4"
    known = snapshot(there, gateways=[gateway("default", COST)])
    written = {"limit": "999 USD", "accountIds": [ACCOUNT], "baseUrl": there}
    gate = Gate.of(DeclaredRule.parse("require-gateway-spend-limit", written))
    [(found, _)] = gate.judge_stack([planned], AccountReader({}, snapshots=[known]), NOW)
    assert found.message.count("windows of 1 day") == (1 if is_same else 2)


def test_a_component_that_calls_itself_a_gateway_hides_none() -> None:
    """Only what a provider makes is what its type says."""
    forged = replace(capped(COST, name="default"), has_provider=False)
    properties = {**forged.properties, "aiGatewayId": "default", "accountId": ACCOUNT}
    found = of_account("999 USD", [gateway("default")], replace(forged, properties=properties))
    assert [status for status, _ in found] == ["failed", "within"]


@pytest.mark.parametrize(
    ("now", "tells"),
    [
        (gateway("chat"), "has no spend limit on all of its traffic now"),
        (gateway("chat", cost_rule(1)), ""),
        (gateway("chat", byok_only=True), ""),
    ],
)
def test_a_gateway_that_allows_more_than_the_stack_says_is_reported(now: Any, tells: str) -> None:
    changed = capped(COST)
    properties = {**changed.properties, "aiGatewayId": "chat", "accountId": ACCOUNT}
    found = of_account("200 USD", [now], replace(changed, properties=properties))
    assert [status for status, _ in found] == [*(["noted"] if tells else []), "within"]
    assert tells in found[0][1]


def test_a_gateway_for_ones_own_keys_alone_is_noted_and_left_out() -> None:
    unified = gateway("unified", byok_only=True, workers_ai_billing_mode="unified")
    found = of_account("200 USD", [OWN_KEYS, gateway("default", cost_rule(1)), unified])
    assert [status for status, _ in found] == ["noted", "failed", "within"]
    assert found[0][1] == (
        f"The AI gateway own-keys of account {ACCOUNT} only takes your own provider keys "
        "(byok_only), so it cannot add to the invoice, and was left out."
    )
    assert "The AI gateway unified" in found[1][1]
    own = {"accountId": ACCOUNT, "byokOnly": True, "workersAiBillingMode": "postpaid"}
    in_stack = StackResource(GATEWAY, "mine", "urn", properties=own)
    assert [status for status, _ in of_account("1 USD", [], in_stack)] == ["noted"]


@pytest.mark.parametrize(
    "mode",
    ["unified", "Unified", "prepaid", "", 1, False, {}, ["unified"], {"value": "unified"}],
)
def test_a_gateway_whose_workers_ai_may_be_billed_is_not_left_out(mode: Any) -> None:
    listed = gateway("x", byok_only=True, workers_ai_billing_mode=mode)
    own = {"accountId": ACCOUNT, "byokOnly": True, "workersAiBillingMode": mode}
    in_stack = StackResource(GATEWAY, "mine", "urn", properties=own)
    assert [status for status, _ in of_account("1 USD", [listed], in_stack)] == ["failed", "failed"]


@pytest.mark.parametrize("byok", ["true", 1, {}, ["true"], None])
def test_a_gateway_that_may_take_other_keys_than_ones_own_is_not_left_out(byok: Any) -> None:
    own = {"accountId": ACCOUNT, "byokOnly": byok}
    in_stack = StackResource(GATEWAY, "mine", "urn", properties=own)
    found = of_account("1 USD", [gateway("x", byok_only=byok)], in_stack)
    assert [status for status, _ in found] == ["failed", "failed"]


@pytest.mark.parametrize("yes", ["true", 1, 1.0, {}])
def test_a_spend_limit_is_enabled_only_by_what_is_true(yes: Any) -> None:
    enabled = {"accountId": ACCOUNT, "spendLimits": {"enabled": yes, "rules": [COST]}}
    of_stack = [resource(GATEWAY, enabled), capped({**COST, "enabled": yes})]
    listed = [gateway("x", cost_rule(1), enabled=yes), gateway("y", cost_rule(1, enabled=yes))]
    found = of_account("999 USD", listed, *of_stack)
    assert [status for status, _ in found] == ["failed"] * 4


def test_a_spend_limit_with_a_restriction_that_nobody_knows_yet_caps_nothing() -> None:
    restricted = {**cost_rule(1), "customer": {"mode": "filter", "values": ["a"]}}
    [(status, message)] = of_account("200 USD", [gateway("x", restricted)])
    assert status == "failed"
    assert "has no spend limit on all of its traffic" in message


def test_a_part_of_the_gateways_is_not_known_and_none_are_nothing() -> None:
    [(status, message), _] = of_account("200 USD", [gateway("x", cost_rule(1))], complete=False)
    assert status == "unknown"
    assert "the API gave only a part of them" in message
    assert of_account("1 USD", []) == []


@pytest.mark.parametrize("listed", [[], [OWN_KEYS]])
def test_an_account_without_gateways_that_can_spend_is_within_the_rule(listed: list[Any]) -> None:
    known = snapshot(gateways=Result(listed, Answered(True)))
    written = {"limit": "1 USD", "accountIds": [ACCOUNT]}
    rules = [DeclaredRule.parse("require-gateway-spend-limit", written)]
    [result] = judge(rules, [], NOW, AccountReader({}, snapshots=[known]))
    assert result.verdict == "within"
    within = result.findings[len(listed)]
    assert within.message == f"Account {ACCOUNT} has no AI gateway that can add to the invoice."


@pytest.mark.parametrize(
    "rule",
    [
        cost_rule(1, metadata={"team": {"mode": "partition"}}),
        cost_rule(1, provider={"mode": "filter", "values": ["openai"]}),
        cost_rule(1, model={"mode": "filter", "values": ["gpt"]}),
        cost_rule(1, models="x"),
        cost_rule(1, enabled=False),
        cost_rule(1, enabled="no"),
        cost_rule(1, limitType="requests"),
        {**cost_rule(1), "limit": None},
        {**cost_rule(1), "window": None},
    ],
)
def test_a_rule_of_an_account_that_is_scoped_or_off_caps_nothing(rule: Any) -> None:
    [(status, _)] = of_account("999 USD", [gateway("x", rule)])
    assert status == "failed"


def test_of_more_gateways_than_an_account_ever_has_the_first_are_named_and_all_counted() -> None:
    own_keys = [gateway(f"own-{number}", byok_only=True) for number in range(1001)]
    listed = [*own_keys, *(gateway(f"x-{number}") for number in range(1002))]
    of_stack = resource(GATEWAY, {"aiGatewayId": "x-1001", "accountId": ACCOUNT})
    found = gates_of_account("9 USD", listed, [replace(of_stack, is_planned=False)])
    failed = [(each.message, urn) for each, urn in found if each.status == "failed"]
    assert failed[0] == (
        f"1,001 AI gateways of account {ACCOUNT} have no spend limit on all of their traffic. Only "
        "the first 1,000 are named.",
        "",
    )
    assert len(failed) == 1 + 1000 + 1
    # The stack's own is a violation of its own.
    assert [message.split()[3] for message, urn in failed if urn] == ["x-1001"]
    noted = [each.message for each, _ in found if each.status == "noted"]
    assert noted[0].startswith(f"1,001 AI gateways of account {ACCOUNT} only take your own")
    assert len(noted) == 1 + 1000
    found = gates_of_account("9 USD", listed[1:-2], [])
    assert [each.message for each, _ in found if "are named" in each.message] == []


def test_spend_limits_that_are_not_enabled_cap_nothing() -> None:
    [(status, message)] = of_account("9 USD", [gateway("x", cost_rule(1), enabled=False)])
    assert (status, "are not enabled" in message) == ("failed", True)


@pytest.mark.parametrize(("fail_open", "status"), [(False, "unknown"), (True, "noted")])
def test_gateways_that_cannot_be_read_are_not_known(
    sandbox: Sandbox, fail_open: bool, status: str
) -> None:
    written = {"limit": "200 USD", "accountIds": [ACCOUNT], "baseUrl": sandbox.base_url}
    sandbox.faults["gateways"] = "http-403"
    rule = DeclaredRule.parse("require-gateway-spend-limit", {**written, "failOpen": fail_open})
    reader = AccountReader({"CLOUDFLARE_API_TOKEN": TOKEN})
    [(finding, _)] = Gate.of(rule).judge_stack([], reader, NOW)
    assert finding.status == status
    assert "cannot read the list of AI gateways of account" in finding.message


def test_a_report_judges_the_gateways_of_an_account(sandbox: Sandbox) -> None:
    sandbox.scenario = "capped-gateways"
    written = {"limit": "500 USD", "accountIds": [ACCOUNT], "baseUrl": sandbox.base_url}
    rules = [DeclaredRule.parse("require-gateway-spend-limit", written)]
    [result] = judge(rules, [], NOW, AccountReader({"CLOUDFLARE_API_TOKEN": TOKEN}))
    assert result.verdict == "within"
    assert any("own-keys" in note for note in result.noted)
