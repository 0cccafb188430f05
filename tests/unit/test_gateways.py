"""The AI gateways of an account: how they are read, and what is kept of them."""

from typing import Any

import pytest

from pulumi_cf_invoice.billing import BillingClient, Credentials, InvalidDataError
from pulumi_cf_invoice.billing.gateways import Gateways
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import ACCOUNT, TOKEN

RULE = {"id": "r", "limit": 5, "limitType": "cost", "window": 86_400, "enabled": True}


def client(sandbox: Sandbox) -> BillingClient:
    return BillingClient(Credentials(api_token=TOKEN), base_url=sandbox.base_url)


def test_the_gateways_of_an_account_have_the_default_one_among_them(sandbox: Sandbox) -> None:
    found = client(sandbox).get_gateways(ACCOUNT)
    assert [gateway.gateway_id for gateway in found.gateways] == ["default", "chat"]
    assert [gateway.is_default for gateway in found.gateways] == [True, False]
    [rule] = found.gateways[1].spend_limit_rules
    assert (rule.limit, rule.limit_type, rule.window, rule.enabled) == (5, "cost", 86_400, True)
    assert found.text == "2 gateways, 1 with spend limits"
    assert sandbox.asked[0].query == {"per_page": "100"}


def test_gateways_of_further_pages_are_read_and_a_part_says_so(sandbox: Sandbox) -> None:
    sandbox.scenario = "pages"
    assert client(sandbox).get_gateways(ACCOUNT).gateways_complete
    for scenario in ("pages-short", "pages-ignored"):
        sandbox.scenario = scenario
        part = client(sandbox).get_gateways(ACCOUNT)
        assert part.gateways_complete is (scenario == "pages-ignored"), scenario
    assert "only a part" in Gateways.from_api([], Answered(False)).text


def test_a_gateway_that_comes_twice_counts_once_and_has_hidden_another() -> None:
    found = Gateways.from_api([{"id": "a"}, {"id": "a"}, {"id": "b"}])
    assert [gateway.gateway_id for gateway in found.gateways] == ["a", "b"]
    assert not found.gateways_complete


@pytest.mark.parametrize(
    "row",
    [
        {"id": "x"},
        {"id": "x", "spend_limits": None, "byok_only": None, "is_default": "yes"},
        {"id": "x", "spend_limits": [], "workers_ai_billing_mode": 7},
        {"id": "x", "spend_limits": {"enabled": "yes", "rules": {"a": 1}}},
    ],
)
def test_what_a_gateway_lacks_is_none(row: dict[str, Any]) -> None:
    [gateway] = Gateways.from_api([row]).gateways
    assert gateway.gateway_id == "x"
    assert gateway.spend_limit_rules == []
    assert gateway.spend_limits_enabled is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"limit": "5"}, {"limit": None}),
        ({"limit": None}, {"limit": None}),
        ({"window": "day"}, {"window": None}),
        ({"enabled": "no"}, {"enabled": False}),
        ({"enabled": None}, {"enabled": None}),
        ({"model": {"mode": "filter", "values": ["a"]}}, {"scopes": ["model"]}),
        ({"metadata": {"team": {"mode": "partition"}}}, {"scopes": ["metadata"]}),
        ({"metadata": {}, "provider": None}, {"scopes": []}),
        (
            {"customer": {"mode": "filter"}, "model": {"mode": "filter"}},
            {"scopes": ["model", "other"]},
        ),
        ({"countries": ["NL"]}, {"scopes": ["other"]}),
        ({"models": "x"}, {"scopes": ["other"]}),
        ({"cached_only": True}, {"scopes": ["other"]}),
        ({"percentage": 10}, {"scopes": ["other"]}),
        ({"name": "all", "created_at": "2026-09-01T00:00:00Z"}, {"scopes": []}),
        ({"countries": [], "note": "of ours", "id": "x"}, {"scopes": []}),
    ],
)
def test_a_rule_is_read_leniently_but_never_as_a_cap_that_it_is_not(
    changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    limits = {"enabled": True, "rules": [{**RULE, **changes}]}
    [gateway] = Gateways.from_api([{"id": "x", "spend_limits": limits}]).gateways
    [rule] = gateway.spend_limit_rules
    for name, value in expected.items():
        assert getattr(rule, name) == value


@pytest.mark.parametrize("result", [{}, "x", [{}], [{"id": 7}], [{"id": ""}], [None]])
def test_what_is_no_list_of_gateways_is_refused(result: Any) -> None:
    with pytest.raises(InvalidDataError, match="result"):
        Gateways.from_api(result)


def test_a_snapshot_keeps_what_is_read_and_nothing_else() -> None:
    row = {
        "id": "chat",
        "byok_only": False,
        "logpush_public_key": "secret",
        "spend_limits": {
            "enabled": True,
            "rules": [RULE, {**RULE, "metadata": {"user": {"mode": "filter", "values": ["me"]}}}],
        },
    }
    found = Gateways.from_api([row])
    kept = found.to_api()
    assert Gateways.from_api(kept) == found
    assert "secret" not in str(kept)
    assert "user" not in str(kept)
