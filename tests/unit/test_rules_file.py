import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, strategies as st

from pulumi_cf_invoice import Invoice, RuleError
from pulumi_cf_invoice.billing import LimitError
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.report.report import Report, make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import (
    SCHEMA_FILE,
    Config,
    configured,
    parse_rules,
    read_config,
    read_rules,
    schema,
    schema_text,
)
from pulumi_cf_invoice.rules.kinds import KINDS
from pulumi_cf_invoice.rules.limits import Limit
from pulumi_cf_invoice.state import InvoiceState, LastUpdate
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, START, api_result, snapshot
from tests.properties import examples

VALIDATOR = jsonschema.Draft202012Validator(schema())
WAIVER = {"until": "2026-12-01", "by": "the CFO", "reason": "launch"}
EVERY: dict[str, Any] = {
    "rules": {
        "max-amount-due": {"limit": "250 USD"},
        "near-budget": {
            "rule": "max-amount-due",
            "limit": {"limit": "200 USD", "accounts": {ACCOUNT: "100 USD"}},
            "enforcementLevel": "advisory",
        },
        "max-projected-amount-due": {
            "limit": "400 USD",
            "waiver": {**WAIVER, "limit": "500 USD"},
        },
        "max-line-amount": {"limits": {"openai/*": "100 USD"}, "defaultLimit": "50 USD"},
        "max-increase": {"limit": "20%"},
        "allowed-statuses": {"statuses": ["draft", "open"], "waiver": WAIVER},
        "allowed-currencies": {"currencies": ["usd"], "enforcementLevel": "disabled"},
        "require-invoice-preview": {"requiredAccountIds": [ACCOUNT]},
        "require-gateway-spend-limit": {"limit": "250 USD", "waiver": {**WAIVER, "limit": "1 USD"}},
        "min-credit-balance": {"accountIds": [ACCOUNT], "limit": "20 USD"},
        "max-daily-spend": {
            "accountIds": [ACCOUNT],
            "limit": "3x",
            "atLeast": "25 USD",
            "waiver": {**WAIVER, "limit": "9x", "atLeast": "50 USD"},
        },
        "max-forecast": {
            "accountIds": [ACCOUNT],
            "limit": "400 USD",
            "percentile": 90,
            "fixedLines": ["support*"],
            "waiver": {**WAIVER, "limit": "500 USD"},
        },
        "min-runway": {
            "accountIds": [ACCOUNT],
            "days": 14,
            "percentile": 50,
            "topUpSuffices": True,
            "fixedLines": ["support*"],
            "waiver": {**WAIVER, "days": "period"},
        },
        "require-healthy-top-up": {"accountIds": [ACCOUNT], "waiver": WAIVER},
        "no-unpaid-invoices": {"accountIds": [ACCOUNT], "failOpen": True},
        "account-budget": {
            "accountIds": [ACCOUNT, OTHER_ACCOUNT],
            "limit": "1000 USD",
            "failOpen": False,
            "baseUrl": "https://example.com/v4",
        },
    }
}


def refusal(written: Any, name: str = "max-amount-due") -> str:
    with pytest.raises(RuleError) as refused:
        parse_rules({"rules": {name: written}})
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_every_kind_and_setting_can_be_declared_and_fits_the_schema() -> None:
    assert {rule.kind.name for rule in parse_rules(EVERY)} == set(KINDS)
    jsonschema.validate(EVERY, schema())


def test_the_published_schema_is_the_one_of_the_settings() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run `make schema`"


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("max-amont-due", {}, "there is no rule 'max-amont-due'; did you mean 'max-amount-due'?"),
        ("spend", {"limit": "1 USD"}, "To use a name of your own, add a `rule`."),
        ("spend", {"rule": "max-amount"}, "there is no rule 'max-amount'; did you mean"),
        ("spend", {"rule": ["max-amount-due"]}, 'rule: ["max-amount-due"] is not the name'),
        ("all", {"rule": "max-amount-due"}, "and is not 'all'"),
        ("", {"rule": "max-amount-due"}, "a name consists of letters"),
        ("two\nlines", {"rule": "max-amount-due"}, "a name consists of letters"),
        ("trailing\n", {"rule": "max-amount-due"}, "a name consists of letters"),
        ("max-amount-due", {"rule": "max-increase"}, "is itself a kind of rule"),
        ("max-amount-due", "250 USD", "'250 USD' is not an object with settings"),
        ("max-amount-due", None, "null is not an object"),
        ("max-amount-due", {"limits": "1 USD"}, "no setting 'limits'; did you mean 'limit'?"),
        ("max-amount-due", {"Limit": "1 USD"}, "no setting 'Limit'; did you mean 'limit'?"),
        ("max-amount-due", {"limit": "300"}, "limit: '300' has no currency: write it as '300 USD'"),
        ("max-amount-due", {"limit": "1.005 USD"}, "1.005 has more digits than USD has"),
        ("max-amount-due", {"limit": "-1 USD"}, "'-1 USD' is below zero"),
        ("max-amount-due", {"limit": -1}, "-1 is not an amount of money"),
        ("max-amount-due", {"limit": ["1 USD"]}, '["1 USD"] is not an amount of money'),
        ("max-amount-due", {"limit": None}, "null is not an amount of money"),
        ("max-amount-due", {"limit": {}}, "limit: it is empty"),
        ("max-amount-due", {"limit": {"accounts": {}}}, "accounts is {}"),
        ("max-amount-due", {"limit": {"accounts": {"a": "1 USD"}}}, "'a' is not an account ID"),
        ("max-amount-due", {"enforcementLevel": "strict"}, "'strict' is not mandatory or advisory"),
        ("max-amount-due", {"enforcementLevel": None}, "null is not mandatory"),
        ("max-amount-due", {"accountId": ACCOUNT}, "no setting 'accountId'; did you mean 'acc"),
        ("max-amount-due", {"accountIds": []}, "[] is not a list with at least one account ID"),
        ("max-amount-due", {"accountIds": ACCOUNT}, "is not a list"),
        (
            "max-amount-due",
            {"accountIds": [ACCOUNT, ACCOUNT.upper()]},
            "the same account appears in it twice",
        ),
        ("max-amount-due", {"accountIds": [7]}, "must be text of 32 hex digits, not int"),
        ("max-amount-due", {"failOpen": "true"}, "failOpen: 'true' is neither true nor false"),
        ("max-amount-due", {"baseUrl": "http://example.com"}, "neither https nor on this machine"),
        ("max-amount-due", {"baseUrl": 7}, "the base URL must be text"),
        ("max-increase", {"accountIds": [ACCOUNT]}, "max-increase does not read accounts itself"),
        ("max-increase", {"limit": "20 percent"}, "is not an amount of money"),
        ("max-increase", {"limit": "-5%"}, "is below zero"),
        ("max-line-amount", {"limits": {}}, "limits: {} has no glob"),
        ("max-line-amount", {"limits": "1 USD"}, "limits: '1 USD' has no glob"),
        ("max-line-amount", {"limits": {7: "1 USD"}}, "7 is not a glob"),
        ("max-amount-due", {"limit": {7: "1 USD"}}, "there is no setting '7'"),
        ("max-amount-due", {"waiver": {7: "1 USD"}}, "there is no setting of a waiver '7'"),
        ("max-line-amount", {"limits": {"": "1 USD"}}, "write '*' for every line"),
        ("max-line-amount", {"limits": {"a/*": "1"}}, "limits: 'a/*': '1' has no currency"),
        ("allowed-statuses", {"statuses": []}, "[] is not a list with at least one text"),
        ("allowed-statuses", {"statuses": "draft"}, "is not a list"),
        ("allowed-statuses", {"statuses": ["draft", 7]}, "7 is not a text"),
        ("allowed-currencies", {"currencies": ["dollar"]}, "is not an ISO 4217 code"),
        ("allowed-currencies", {"currencies": ["usd", "USD"]}, "the same text appears in it twice"),
        ("require-invoice-preview", {"requiredAccountIds": ["x"]}, "is not an account ID"),
        ("require-gateway-spend-limit", {"limit": "250 EUR"}, "is not in US dollars"),
        ("require-invoice-preview", {"accountIds": [ACCOUNT]}, "does not read accounts itself"),
        ("min-credit-balance", {"minimum": "20 USD"}, "there is no setting 'minimum'"),
        ("max-forecast", {"percentile": 10}, "percentile: 10 is neither 50 (the median) nor 90"),
        ("max-forecast", {"percentile": "90"}, "percentile: '90' is neither 50"),
        ("max-forecast", {"percentile": True}, "percentile: true is neither 50"),
        ("max-forecast", {"percentile": [50]}, "percentile: [50] is neither 50"),
        ("max-forecast", {"fixedLines": "support*"}, "fixedLines: 'support*' is not a list"),
        ("max-forecast", {"fixedLine": ["a"]}, "did you mean 'fixedLines'?"),
        ("max-forecast", {"waiver": WAIVER}, "waiver: it has no limit to apply"),
        ("min-runway", {"days": 0}, "days: 0 is neither a whole number of days from 1 to 366"),
        ("min-runway", {"days": 367}, "days: 367 is neither"),
        ("min-runway", {"days": 1.5}, "days: 1.5 is neither"),
        ("min-runway", {"days": True}, "days: true is neither"),
        ("min-runway", {"days": "14"}, "days: '14' is neither"),
        ("min-runway", {"days": "month"}, "nor 'period', for the end of the billing period"),
        ("min-runway", {"days": None}, "days: null is neither"),
        ("min-runway", {"topUpSuffices": "yes"}, "topUpSuffices: 'yes' is neither true nor false"),
        ("min-runway", {"limit": "14 days"}, "there is no setting 'limit'"),
        ("min-runway", {"waiver": {**WAIVER, "days": -1}}, "waiver: days: -1 is neither"),
        ("require-healthy-top-up", {"limit": "20 USD"}, "there is no setting 'limit'"),
        ("no-unpaid-invoice", {}, "no rule 'no-unpaid-invoice'; did you mean 'no-unpaid-invoices'"),
        ("max-amount-due", {"waiver": None}, "waiver: null is not an object"),
        ("max-amount-due", {"waiver": WAIVER}, "waiver: it has no limit to apply"),
    ],
)
def test_what_is_wrong_in_a_rule_is_refused_in_one_line(
    name: str, written: Any, expected: str
) -> None:
    assert expected in refusal(written, name)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"until": None}, "it has no end: add `until`"),
        ({"until": "soon"}, "'soon' is neither a date such as 2026-12-01 nor an instant"),
        ({"until": "2026-12-01 "}, "'2026-12-01 ' is neither a date"),
        ({"until": "\n2026-12-01"}, "' 2026-12-01' is neither a date"),
        ({"until": "2026-12-01T12:00:00"}, "is neither a date"),
        ({"until": "20261201"}, "is neither a date"),
        ({"until": 20261201}, "is neither a date"),
        ({"until": "2026-02-30"}, "'2026-02-30' is not in the calendar"),
        ({"until": "9999-12-31T23:59-10:00"}, "is not in the calendar"),
        ({"by": None}, "it does not say who granted it: add `by`"),
        ({"by": " \n"}, "who granted it"),
        ({"reason": None}, "it does not say why: add `reason`"),
        ({"reason": ["x"]}, "it does not say why"),
        ({"limits": {"*": "1 USD"}}, "no setting of a waiver 'limits'; did you mean 'limit'?"),
        ({"limit": "ten"}, "limit: 'ten' is not an amount of money"),
        ({"enforcementLevel": "advisory"}, "no setting of a waiver 'enforcementLevel'"),
    ],
)
def test_a_waiver_has_an_end_a_name_and_a_reason(changes: dict[str, Any], expected: str) -> None:
    waiver = {**WAIVER, "limit": "1 USD", **changes}
    written = {name: value for name, value in waiver.items() if value is not None}
    assert expected in refusal({"limit": "1 USD", "waiver": written})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is empty, and not a JSON object"),
        ("{'rules': {}}", "is not JSON: line 1"),
        ("[]", "[] is not an object with rules"),
        ("{}", 'it has no rules: write them under "rules", by name'),
        ('{"rules": {}}', "it has no rules"),
        ('{"rules": []}', "it has no rules"),
        ('{"rule": {"max-amount-due": {}}}', "there is no setting 'rule'; did you mean 'rules'?"),
        ('{"rules": {"a": {}, "a": {}}}', "'a' appears twice in one object"),
        ('{"rules": {"max-amount-due": {"limit": NaN}}}', "NaN is not JSON"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"rules": {"max-amount-due": {"limit": ' + "9" * 5000 + "}}}", "has 5,000 digits"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_that_names_it(
    tmp_path: Path, content: str, expected: str
) -> None:
    file = tmp_path / "rules.json"
    file.write_text(content)
    with pytest.raises(RuleError) as refused:
        read_rules(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("depth", range(100, 1000, 50))
def test_a_nested_setting_is_refused_in_one_line(tmp_path: Path, depth: int) -> None:
    """What the parser still takes can be too deep to be quoted, wherever its limit is."""
    file = tmp_path / "rules.json"
    limit = '{"limit": ' * depth + "1" + "}" * depth
    file.write_text('{"rules": {"max-amount-due": {"limit": ' + limit + "}}}")
    with pytest.raises(RuleError, match=f"^{re.escape(str(file))}: "):
        read_rules(file)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="cannot be read: No such file"):
        read_rules(tmp_path / "none.json")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(RuleError, match="is not text in UTF-8"):
        read_rules(tmp_path / "bytes")


def test_a_byte_order_mark_and_a_schema_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"$schema": "https://example.com", **EVERY}), encoding="utf-8-sig")
    assert len(read_rules(file)) == len(EVERY["rules"])


# Pulumi's config.


def config(content: Any, tmp_path: Path) -> Any:
    file = tmp_path / "config.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return configured(parse_rules(EVERY), read_config(file))


def test_a_config_sets_levels_and_settings_as_pulumi_merges_them(tmp_path: Path) -> None:
    rules = config({"all": "advisory", "max-increase": {"enforcementLevel": "remediate"}}, tmp_path)
    levels = {rule.name: rule.level for rule in rules}
    assert levels.pop("max-increase") == "mandatory"
    assert set(levels.values()) == {"advisory"}
    rules = config({"max-amount-due": {"limit": "1 USD"}}, tmp_path)
    assert (rules[0].settings, rules[0].level) == ({"limit": Limit.parse("1 USD")}, None)
    assert config("{}", tmp_path) == parse_rules(EVERY)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"near-bugdet": {}}, "there is no rule 'near-bugdet'; did you mean 'near-budget'?"),
        ({"max-amount-due": {"limt": "1 USD"}}, "there is no setting 'limt'; did you mean 'limit'"),
        ({"max-amount-due": {"limit": "300"}}, "has no currency: write it as '300 USD'"),
        ({"max-amount-due": {"waiver": WAIVER}}, "a waiver can only be set in the file of rules"),
        ({"max-amount-due": {"enforcementLevel": "no"}}, "'no' is not mandatory or advisory"),
        ({"token": "0123456789-a-secret"}, "'0123456789-…' is not mandatory or advisory"),
        ({"max-amount-due": 7}, "7 is not an object"),
        ({"all": {"limit": "1 USD"}}, "'all' takes only an enforcementLevel"),
        ([], "[] is not an object"),
        ("{", "is not JSON"),
        (" \n", "is empty, and not a JSON object"),
    ],
)
def test_a_config_that_would_do_nothing_is_refused(
    tmp_path: Path, content: Any, expected: str
) -> None:
    with pytest.raises(RuleError) as refused:
        config(content, tmp_path)
    assert expected in str(refused.value)


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(RuleError, match="two rules are called 'max-amount-due'"):
        configured([*parse_rules(EVERY), *parse_rules(EVERY)], {})
    assert configured(parse_rules(EVERY), {"other": Config()}, others=["other"])


# Any file, and any change of one.

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SETTINGS = sorted(
    {"rule", "enforcementLevel", "waiver", "accountIds", "failOpen", "baseUrl"}
    | {name for kind in KINDS.values() for name in kind.settings}
)
VALUES = ANY_JSON | st.sampled_from(
    ["250 USD", "20%", [ACCOUNT], {"limit": "1 USD"}, {"*": "1 USD"}, "advisory", True]
)
RULES = st.dictionaries(
    st.sampled_from([*KINDS, "own", "all"]) | st.text(max_size=5),
    st.dictionaries(st.sampled_from(SETTINGS) | st.text(max_size=5), VALUES, max_size=4) | ANY_JSON,
    max_size=3,
)
LAST = LastUpdate(10000, "usd", START)
UNHEALTHY = snapshot(
    credit_balance={"balance": 640.19, "topup_config": {"error": "card declined"}},
    invoice_history={
        "invoices": [
            {
                **dict.fromkeys(("amount_due", "amount_paid", "amount_remaining"), 1),
                "currency": "usd",
                "status": "open",
            }
        ]
    },
)
OVER = InvoiceState(ACCOUNT, Invoice.from_api(api_result()), LAST)


def verdict(content: Any) -> Report | RuleError:
    """Judge any *content* on an invoice that is over budget, without a network."""
    try:
        rules = configured(parse_rules(content), {})
        results = judge(rules, [Found(OVER)], NOW, AccountReader({}, snapshots=[UNHEALTHY]))
    except RuleError as error:
        return error
    return make_report([Found(OVER)], at=NOW, rules=results)


@given(ANY_JSON | st.fixed_dictionaries({"rules": RULES}))
@examples(4, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_gives_a_verdict_or_one_line(content: Any) -> None:
    made = verdict(content)
    if isinstance(made, RuleError):
        assert "\n" not in str(made)
        return
    # What we take is what an editor takes with the schema.
    jsonschema.validate(content, schema())
    for rule in made.rules:
        assert rule.findings or rule.noted


MANDATORY: dict[str, Any] = {
    "max-amount-due": {"limit": "150 USD"},
    "max-projected-amount-due": {"limit": {"limit": "100 USD", "accounts": {ACCOUNT: "160 USD"}}},
    "max-line-amount": {"limits": {"openai/*": "100 USD"}, "defaultLimit": "50 USD"},
    "max-increase": {"limit": "20%"},
    "allowed-statuses": {"statuses": ["open"]},
    "allowed-currencies": {"currencies": ["eur"]},
    "account-budget": {"limit": "150 USD", "accountIds": [ACCOUNT]},
    "min-credit-balance": {"limit": "20 USD", "accountIds": [ACCOUNT]},
    "max-forecast": {"limit": "100 USD", "percentile": 90, "accountIds": [ACCOUNT]},
    "min-runway": {"days": 14, "accountIds": [ACCOUNT]},
    "max-daily-spend": {"limit": "25 USD", "accountIds": [ACCOUNT]},
    "require-healthy-top-up": {"accountIds": [ACCOUNT]},
    "no-unpaid-invoices": {"accountIds": [ACCOUNT]},
}


def changed(content: dict[str, Any], data: st.DataObject) -> None:
    """Rename, move, drop or wrap something in *content*, keeping amounts and whole rules."""
    found: list[tuple[Any, str]] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key in value:
                found.append((value, key))
                walk(value[key])

    name = data.draw(st.sampled_from(list(content["rules"])))
    found.extend([(content, "rules"), (content["rules"], name)])
    walk(content["rules"][name])
    where, key = data.draw(st.sampled_from(found))
    how = data.draw(st.sampled_from(["rename", "case", "wrap", "null", "list", "empty", "drop"]))
    value = where[key]
    if how == "rename":
        del where[key]
        where[data.draw(st.text(max_size=3)) + key[1:]] = value
    elif how == "case":
        del where[key]
        where[key.swapcase()] = value
    elif how == "drop":
        # A rule, or an account with a limit of its own, is somebody's decision.
        if where is not content["rules"] and key != ACCOUNT:
            del where[key]
    else:
        where[key] = {"wrap": {key: value}, "null": None, "list": [value], "empty": {}}[how]


@given(st.sampled_from(list(MANDATORY)), st.data())
@examples(4, suppress_health_check=[HealthCheck.too_slow])
def test_no_slip_in_a_name_a_key_or_the_structure_turns_a_red_rule_green(
    name: str, data: st.DataObject
) -> None:
    content = {"rules": {name: copy.deepcopy(MANDATORY[name])}}
    before = verdict(content)
    assert isinstance(before, Report)
    assert before.verdict in ("over", "unknown")
    changed(content, data)
    after = verdict(content)
    if not isinstance(after, RuleError):
        assert after.verdict in ("over", "unknown"), content


def test_a_glob_may_be_called_anything_when_a_config_is_laid_over_it() -> None:
    rules = parse_rules({"rules": {"max-line-amount": {"limits": {"openai/*": "100 USD"}}}})
    limits = {"accounts": "5 USD"}
    [merged] = configured(rules, {"max-line-amount": Config({"limits": limits})})
    assert merged.settings == {"limits": {"accounts": Limit.parse("5 USD")}}


def test_many_names_take_no_time_and_little_room() -> None:
    limits = {f"model-{number}": "1 USD" for number in range(20_000)}
    made = verdict({"rules": {"max-line-amount": {"limits": limits}}})
    assert isinstance(made, Report)
    [note] = made.rules[0].noted
    assert note.endswith("matches model-0, model-1, model-2 and 19,997 more.")


def test_a_waiver_may_last_to_the_end_of_the_calendar() -> None:
    waiver = {**WAIVER, "until": "9999-12-31", "limit": "1 USD"}
    [rule] = parse_rules({"rules": {"max-amount-due": {"limit": "1 USD", "waiver": waiver}}})
    assert rule.waiver is not None
    assert rule.waiver.in_force(NOW)


def test_a_byte_order_mark_in_a_config_is_refused_as_pulumi_does(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"max-amount-due": "advisory"}', encoding="utf-8-sig")
    with pytest.raises(RuleError, match="is not JSON"):
        read_config(file)


NUMBERS = st.from_regex(r"[0-9]{1,4}([.,' ][0-9]{1,4}){0,3}", fullmatch=True)


@examples(2)
@given(
    NUMBERS,
    st.sampled_from(["USD", "usd", "Jpy", "KWD", "clf", "XXX"]),
    st.sampled_from(["{0} {1}", "{1} {0}", "{0}{1}", " {1}{0}\n"]),
)
def test_the_schema_takes_the_amounts_that_a_rule_takes(
    number: str, currency: str, form: str
) -> None:
    written = form.format(number, currency)
    try:
        Limit.parse(written)
        is_read = True
    except LimitError:
        is_read = False
    content = {"rules": {"max-amount-due": {"limit": written}}}
    assert VALIDATOR.is_valid(content) is is_read


def test_a_limit_that_can_be_read_two_ways_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text('{"rules": {"max-amount-due": {"limit": "0,500 USD"}}}')
    with pytest.raises(RuleError, match="'0,500 USD' can be read two ways: write it as '500 USD'"):
        read_rules(file)
