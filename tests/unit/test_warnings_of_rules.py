"""`warnAt`: advisory rules at percentages of a rule's limit."""

from datetime import timedelta
from typing import Any

import jsonschema
import pytest

from pulumi_cf_invoice import Invoice, RuleError
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.judging import RuleResult, judge
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import (
    Config,
    DeclaredRule,
    Level,
    configured,
    parse_rules,
    schema,
)
from pulumi_cf_invoice.rules.gates import Gate
from pulumi_cf_invoice.state import InvoiceState, LastUpdate
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, START, api_result

VALIDATOR = jsonschema.Draft202012Validator(schema())
WAIVER = {"until": "2026-09-20", "by": "me", "reason": "launch"}


def declared(
    kind: str, written: dict[str, Any], config: dict[str, Config] | None = None
) -> list[DeclaredRule]:
    content = {"rules": {kind: written}}
    VALIDATOR.validate(content)
    return configured(parse_rules(content), config or {})


def judged(
    kind: str,
    written: dict[str, Any],
    config: dict[str, Config] | None = None,
    **changes: Any,
) -> list[RuleResult]:
    last = LastUpdate(15000, "usd", START)
    found = [Found(InvoiceState(ACCOUNT, Invoice.from_api(api_result(**changes)), last))]
    return judge(declared(kind, written, config), found, NOW, AccountReader({}))


def test_each_percentage_is_an_advisory_rule_with_its_share_of_the_limit() -> None:
    over = judged("max-amount-due", {"limit": "200 USD", "warnAt": ["80%", "95 %"]})
    assert [(rule.name, rule.level, rule.verdict) for rule in over] == [
        ("max-amount-due", "mandatory", "within"),
        ("max-amount-due-80%", "advisory", "over"),
        ("max-amount-due-95%", "advisory", "within"),
    ]
    [finding] = over[1].findings
    assert "$188.46 for 2026-09-01 to 2026-09-30, over the limit of $160.00 by $28.46" in (
        finding.message
    )
    assert "the rule max-amount-due" in finding.remedy
    assert "-80%" not in finding.remedy


@pytest.mark.parametrize(
    ("kind", "settings", "limit"),
    [
        ("max-amount-due", {"limit": {"limit": "9 USD", "accounts": {ACCOUNT: "100 USD"}}}, "$80"),
        ("max-line-amount", {"limits": {"openai/*": "100 USD"}}, "$80"),
        ("max-line-amount", {"defaultLimit": "10 USD"}, "$8"),
        ("max-increase", {"limit": "20 USD"}, "$16"),
        ("max-increase", {"limit": "10%"}, "$12.00 by $26.46 (8% of $150.00)"),
        ("max-projected-amount-due", {"limit": "100.01 USD"}, "$80"),
    ],
)
def test_every_form_of_a_limit_can_warn(kind: str, settings: dict[str, Any], limit: str) -> None:
    _, tier = judged(kind, {**settings, "warnAt": ["80%"]})
    assert any(f"over the limit of {limit}" in finding.message for finding in tier.violations)


def test_a_config_of_the_rule_moves_its_warnings_and_a_warning_has_its_own() -> None:
    written = {"limit": "900 USD", "warnAt": ["80%"]}
    moved = judged("max-amount-due", written, {"max-amount-due": Config({"limit": "200 USD"})})
    assert [rule.verdict for rule in moved] == ["within", "over"]
    own = judged("max-amount-due", written, {"max-amount-due-80%": Config({}, "mandatory")})
    assert own[1].level == "mandatory"
    off = judged("max-amount-due", written, {"max-amount-due": Config({}, "disabled")})
    assert [rule.level for rule in off] == ["disabled", "disabled"]
    rules = declared("max-amount-due", written, {"max-amount-due-80%": Config({"limit": "5 USD"})})
    again = configured(rules, {})
    assert again == rules
    with pytest.raises(RuleError, match="warnAt can only be set in the file of rules"):
        judged("max-amount-due", written, {"max-amount-due": Config({"warnAt": ["5%"]})})


def test_what_a_config_says_of_all_rules_holds_for_warnings_too() -> None:
    written = {"limit": "200 USD", "warnAt": ["80%"]}

    def levels(**config: Level) -> list[Level | None]:
        named = {name.replace("_", "-"): Config({}, level) for name, level in config.items()}
        return [rule.level for rule in declared("max-amount-due", written, named)]

    assert levels(all="mandatory") == ["mandatory", "mandatory"]
    assert levels(all="disabled") == ["disabled", "disabled"]
    assert levels(max_amount_due="mandatory") == ["mandatory", "advisory"]


def test_a_waiver_holds_for_the_warnings_as_well() -> None:
    waiver = {**WAIVER, "limit": "300 USD"}
    written = {"limit": "100 USD", "warnAt": ["50%"], "waiver": waiver}
    rule, tier = judged("max-amount-due", written)
    assert (rule.verdict, tier.verdict) == ("within", "over")
    assert "over the limit of $150.00" in tier.violations[0].message
    assert tier.noted == [
        "A waiver with 50% of the limit 300 USD is in force until 2026-09-20, by me: launch."
    ]
    gate = Gate.of(declared("max-amount-due", written)[1])
    later = NOW + timedelta(days=30)
    [finding] = gate.judge(InvoiceState(ACCOUNT, Invoice.from_api(api_result())), later)
    assert "over the limit of $50.00" in finding.message


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        ("max-amount-due", {"warnAt": []}, "warnAt: [] is not a list with at least one text"),
        ("max-amount-due", {"warnAt": "80%"}, "warnAt: '80%' is not a list"),
        ("max-amount-due", {"warnAt": ["80"]}, "'80' is not a percentage below 100, such as '80%'"),
        ("max-amount-due", {"warnAt": ["100%"]}, "'100%' is not a percentage below 100"),
        ("max-amount-due", {"warnAt": ["0.00%"]}, "'0.00%' is not a percentage below 100"),
        ("max-amount-due", {"warnAt": ["0,5%"]}, "'0,5%' is not a percentage below 100"),
        ("max-amount-due", {"warnAt": ["80.000%"]}, "'80.000%' is not a percentage below 100"),
        ("max-amount-due", {"warnAt": ["80%", "80.0%"]}, "the same percentage appears in it twice"),
        ("min-credit-balance", {"warnAt": ["80%"]}, "min-credit-balance has no maximum"),
        ("allowed-statuses", {"warnAt": ["80%"]}, "allowed-statuses has no maximum"),
    ],
)
def test_a_warning_that_cannot_be_given_is_refused(
    kind: str, written: dict[str, Any], expected: str
) -> None:
    with pytest.raises(RuleError) as refused:
        parse_rules({"rules": {kind: written}})
    assert expected in str(refused.value)


def test_a_warning_at_no_more_than_a_usual_day_is_refused() -> None:
    written = {"limit": "3x", "accountIds": [ACCOUNT], "warnAt": ["34%"]}
    _, tier = declared("max-daily-spend", written)
    assert tier.settings["limit"].text == "1.02x"
    with pytest.raises(RuleError) as refused:
        declared("max-daily-spend", {**written, "warnAt": ["20%"]})
    assert str(refused.value) == (
        "rule 'max-daily-spend-20%': 20% of 3x is 0.6x, which is not more than usual: give a "
        "higher percentage"
    )
    with pytest.raises(RuleError, match=r"34% of 1\.5x is 0\.51x, which is not more than usual"):
        declared("max-daily-spend", written, {"max-daily-spend": Config({"limit": "1.5x"})})
    waiver = {**WAIVER, "limit": "2x"}
    with pytest.raises(RuleError, match=r"waiver: 34% of 2x is 0\.68x"):
        declared("max-daily-spend", {**written, "waiver": waiver})


def test_accounts_that_are_read_are_read_once_for_all_warnings() -> None:
    written = {"limit": "1 USD", "accountIds": [OTHER_ACCOUNT], "warnAt": ["50%", "80%"]}
    gates = [Gate.of(rule) for rule in declared("account-budget", written)]
    assert [gate.account_ids for gate in gates] == [(OTHER_ACCOUNT,)] * 3
