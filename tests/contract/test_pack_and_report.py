"""A policy pack and a report reach the same verdict in the same words."""

from datetime import datetime, timezone
from typing import Any

import pytest

from pulumi_cf_invoice import policy
from pulumi_cf_invoice.accounts import AccountReader
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.report import judge
from pulumi_cf_invoice.rules_file import parse_rules
from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS, Sandbox
from pulumi_cf_invoice.state import InvoiceState
from tests.factories import ACCOUNT, NOW, TOKEN
from tests.unit.test_policy import before_all


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_pack_and_report_read_an_account_to_the_same_verdict(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    sandbox.fault = fault
    variables = {"CLOUDFLARE_API_TOKEN": TOKEN, "CF_INVOICE_TIMEOUT": "3"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    names = {"account_ids": [ACCOUNT], "base_url": sandbox.base_url}
    gates = [policy.account_budget("150 USD", **names), policy.allowed_statuses(["x"], **names)]  # type: ignore[arg-type]
    written = {"accountIds": [ACCOUNT], "baseUrl": sandbox.base_url}
    rules = parse_rules(
        {
            "rules": {
                "account-budget": {"limit": "150 USD", **written},
                "allowed-statuses": {"statuses": ["x"], **written},
            }
        }
    )
    nothing = InvoiceState(None, None)  # type: ignore[arg-type]
    reported = judge(rules, [Found(nothing)], NOW, AccountReader(variables))
    for gate, rule in zip(gates, reported, strict=True):
        said = before_all(gate)
        assert without_ray(said) == without_ray([one.message for one in rule.violations])
        assert said, fault


RULES: dict[str, dict[str, Any]] = {
    "account-budget": {"limit": "150 USD"},
    "min-credit-balance": {"limit": "30 USD"},
    "require-healthy-top-up": {},
    "no-unpaid-invoices": {},
}


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "moving"])
def test_pack_and_report_say_the_same_of_every_account(
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    scenario: str,
) -> None:
    sandbox.scenario = scenario
    account = f"{list(SCENARIOS).index(scenario):032x}"
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    written = {"accountIds": [account], "baseUrl": sandbox.base_url}
    rules = parse_rules({"rules": {name: {**rule, **written} for name, rule in RULES.items()}})
    # The pack has the time from its clock.
    reader = AccountReader({"CLOUDFLARE_API_TOKEN": TOKEN})
    reported = judge(rules, [], datetime.now(timezone.utc), reader)
    capsys.readouterr()
    for rule in reported:
        settings = {"limit": RULES[rule.name]["limit"]} if "limit" in RULES[rule.name] else {}
        declare = getattr(policy, rule.name.replace("-", "_"))
        gate = declare(account_ids=[account], base_url=sandbox.base_url, **settings)
        assert before_all(gate) == [one.message for one in rule.violations]
        told = [f"{rule.name}: {said}" for said in rule.told]
        assert capsys.readouterr().err.splitlines() == told
    assert sandbox.requests.count(account) >= 2 * 3


def without_ray(messages: list[str]) -> list[str]:
    return [" ".join(word for word in m.split() if not word[:1].isdigit()) for m in messages]
