from fractions import Fraction
from typing import Any

import pytest

from pulumi_cf_invoice import Invoice, RuleError
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import Config, DeclaredRule, configured, parse_rules, settings_of
from pulumi_cf_invoice.rules.gates import Gate
from pulumi_cf_invoice.rules.kinds import KINDS
from pulumi_cf_invoice.rules.limits import Limit, Multiple
from pulumi_cf_invoice.rules.on_days import MaxDailySpend
from pulumi_cf_invoice.rules.rule import Finding
from pulumi_cf_invoice.rules.settings import Setting
from pulumi_cf_invoice.sandbox import Sandbox
from pulumi_cf_invoice.state import InvoiceState
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, TOKEN, api_result

STATE = InvoiceState(ACCOUNT, Invoice.from_api(api_result()))
WAIVER = {"until": "2026-09-20", "by": "the CFO", "reason": "launch week"}
BUDGET = {"limit": "150 USD", "accountIds": [ACCOUNT]}
LINES = "max-line-amount"
OF_ACCOUNT = {"limit": "50 USD", "accounts": {ACCOUNT: "100 USD"}}
DAILY = {"limit": OF_ACCOUNT, "accountIds": [ACCOUNT]}
USD_25 = Money(2500, "usd")


def gate(written: dict[str, Any], name: str = "max-amount-due", **config: Any) -> Gate:
    return Gate.of(DeclaredRule.parse(name, written).configured(Config(config)))


def messages(found: list[Finding]) -> list[str]:
    return [finding.message for finding in found if finding.violates]


# What is missing.


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("max-amount-due", {}, "it has no limit and would let everything pass: set it"),
        ("max-line-amount", {}, "it has no limits or defaultLimit and would let everything pass"),
        ("max-increase", {}, "it has no limit"),
        ("allowed-statuses", {}, "it has no statuses"),
        ("allowed-currencies", {}, "it has no currencies"),
        ("account-budget", {"limit": "1 USD"}, "it has no accountIds: list the accounts"),
        ("account-budget", {"accountIds": [ACCOUNT]}, "it has no limit"),
        ("min-credit-balance", {"limit": "1 USD"}, "it has no accountIds: list the accounts"),
        ("min-credit-balance", {"accountIds": [ACCOUNT]}, "it has no limit"),
        ("require-healthy-top-up", {}, "it has no accountIds: list the accounts"),
        ("no-unpaid-invoices", {}, "it has no accountIds: list the accounts"),
        ("require-gateway-spend-limit", {}, "it has no limit"),
        ("max-amount-due", {"limit": "1 USD", "failOpen": True}, "failOpen has no effect without"),
        (
            "max-amount-due",
            {"limit": "1 USD", "baseUrl": "https://a.b", "failOpen": False},
            "failOpen and baseUrl have no effect without accountIds",
        ),
        (
            "account-budget",
            {"limit": {"accounts": {OTHER_ACCOUNT: "1 USD"}}, "accountIds": [ACCOUNT]},
            f"there is a limit for account {OTHER_ACCOUNT}, which is not among accountIds",
        ),
        (
            "max-line-amount",
            {"limits": {"*": {"accounts": {OTHER_ACCOUNT: "1 USD"}}}, "accountIds": [ACCOUNT]},
            "which is not among accountIds",
        ),
    ],
)
def test_a_rule_that_would_judge_nothing_is_refused(name: str, written: Any, expected: str) -> None:
    with pytest.raises(RuleError) as refused:
        gate(written, name)
    assert str(refused.value).startswith(f"rule '{name}': ")
    assert expected in str(refused.value)


def test_pulumis_config_may_bring_what_is_missing_and_replaces_what_is_there() -> None:
    assert messages(gate({}, limit="150 USD").judge(STATE, NOW))
    assert not messages(gate({"limit": "1 USD"}, limit="250 USD").judge(STATE, NOW))


def test_limits_by_account_in_a_config_are_laid_over_the_rules_own() -> None:
    own = {"limit": {"limit": "150 USD", "accounts": {OTHER_ACCOUNT: "1 USD"}}}
    only = gate(own, limit={"accounts": {ACCOUNT.upper(): "1000 USD"}})
    assert not messages(only.judge(STATE, NOW))
    other = InvoiceState(OTHER_ACCOUNT, STATE.invoice)
    assert "the limit of $1.00" in messages(only.judge(other, NOW))[0]
    third = InvoiceState("2" * 32, STATE.invoice)
    assert "the limit of $150.00" in messages(only.judge(third, NOW))[0]
    replaced = gate(own, limit={"limit": "1000 USD", "accounts": {ACCOUNT: "1000 USD"}})
    assert not messages(replaced.judge(other, NOW))


def test_limits_by_glob_in_a_config_replace_the_rules_own_and_a_note_names_the_others() -> None:
    limits = {"openai/*": "100 USD", "anthropic/*": "1 USD"}
    rules = parse_rules({"rules": {LINES: {"limits": limits, "warnAt": ["80%"]}}})
    over = {LINES: Config({"limits": {"anthropic/*": "5 USD"}})}
    replaced, tier = map(Gate.of, configured(rules, over))
    assert not messages(replaced.judge(STATE, NOW))
    note = "Pulumi's policy config replaces its limits, and leaves out those for openai/*."
    assert (replaced.notices(NOW), tier.notices(NOW)) == ([note], [])
    assert gate({"limits": limits}, LINES, limits=limits).notices(NOW) == []
    of_many = {"limits": {f"m{number}": "1 USD" for number in range(7)}}
    [note] = gate(of_many, LINES, limits={"*": "1 USD"}).notices(NOW)
    assert note.endswith("those for m0, m1, m2, m3, m4, 2 more.")


@pytest.mark.parametrize(
    ("kind", "own", "config", "dropped"),
    [
        ("max-amount-due", {"limit": OF_ACCOUNT}, {"limit": "900 USD"}, f"account {ACCOUNT}"),
        ("max-daily-spend", DAILY, {"limit": "3x"}, f"account {ACCOUNT}"),
        (LINES, {"defaultLimit": OF_ACCOUNT}, {"defaultLimit": "9 USD"}, f"account {ACCOUNT}"),
        (
            LINES,
            {"limits": {"b/*": "1 USD", "a/*": OF_ACCOUNT, "c/*": OF_ACCOUNT}},
            {"limits": {"a/*": "9 USD", "c/*": OF_ACCOUNT}},
            f"b/*, a/* in account {ACCOUNT}",
        ),
        ("max-amount-due", {"limit": OF_ACCOUNT}, {"limit": OF_ACCOUNT}, None),
        (
            "max-amount-due",
            {"limit": OF_ACCOUNT},
            {"limit": {"accounts": {OTHER_ACCOUNT: "1 USD"}}},
            None,
        ),
    ],
)
def test_a_note_names_the_accounts_whose_limits_a_config_leaves_out(
    kind: str, own: dict[str, Any], config: dict[str, Any], dropped: str | None
) -> None:
    note = f"Pulumi's policy config replaces its limits, and leaves out those for {dropped}."
    assert gate(own, kind, **config).notices(NOW) == ([note] if dropped else [])


@pytest.mark.parametrize(
    ("kind", "setting", "more"),
    [
        ("account-budget", "accountIds", {"limit": "9 USD", "warnAt": ["80%"]}),
        ("require-invoice-preview", "requiredAccountIds", {}),
    ],
)
def test_a_note_names_the_accounts_that_a_config_leaves_out(
    kind: str, setting: str, more: dict[str, Any]
) -> None:
    written = {setting: [ACCOUNT, OTHER_ACCOUNT], **more}
    rules = parse_rules({"rules": {kind: written}})
    narrower = {kind: Config({setting: [OTHER_ACCOUNT.upper(), "2" * 32]})}
    [note] = Gate.of(configured(rules, narrower)[0]).notices(NOW)
    assert note == (
        f"Pulumi's policy config replaces its list of accounts, and leaves out account {ACCOUNT}."
    )
    wider = {kind: Config({setting: [ACCOUNT, OTHER_ACCOUNT, "2" * 32]})}
    assert [Gate.of(rule).notices(NOW) for rule in configured(rules, wider)] == [[]] * len(rules)


# Waivers.


def test_a_waiver_holds_until_its_end_and_every_message_says_so() -> None:
    waived = gate({"limit": "150 USD", "waiver": {**WAIVER, "limit": "180 USD"}})
    [message] = messages(waived.judge(STATE, NOW))
    assert "over the limit of $180.00" in message
    text = "A waiver with the limit 180 USD is in force until 2026-09-20, by the CFO: launch week."
    assert message.endswith(text)
    assert waived.notices(NOW) == [text]
    enough = gate({"limit": "150 USD", "waiver": {**WAIVER, "limit": "200 USD"}})
    assert messages(enough.judge(STATE, NOW)) == []
    assert enough.notices(NOW) == [text.replace("180", "200")]


def test_after_its_end_the_rule_is_as_it_was_and_says_so() -> None:
    waived = gate({"limit": "150 USD", "waiver": {**WAIVER, "limit": "1000 USD"}})
    last_second = NOW.replace(day=20, hour=23, minute=59, second=59)
    assert messages(waived.judge(STATE, last_second)) == []
    after = NOW.replace(day=21, hour=0)
    [message] = messages(waived.judge(STATE, after))
    assert "over the limit of $150.00" in message
    assert "Its waiver (until 2026-09-20, by the CFO: launch week) has ended." in message
    assert waived.notices(after)[0].startswith("Its waiver (until")


def test_a_waiver_ends_at_an_instant_in_its_own_time_zone() -> None:
    until = "2026-09-15T14:00:00+02:00"
    waived = gate({"limit": "1 USD", "waiver": {**WAIVER, "until": until, "limit": "1000 USD"}})
    assert messages(waived.judge(STATE, NOW))
    assert not messages(waived.judge(STATE, NOW.replace(hour=11, minute=59)))


def test_a_rule_without_a_limit_is_suspended() -> None:
    suspended = gate({"statuses": ["open"], "waiver": WAIVER}, "allowed-statuses")
    assert suspended.judge(STATE, NOW) == []
    assert suspended.notices(NOW) == [
        "A waiver suspends it until 2026-09-20, by the CFO: launch week."
    ]
    assert messages(suspended.judge(STATE, NOW.replace(day=21)))


def test_a_waiver_of_one_glob_keeps_the_limits_of_the_others() -> None:
    own = {"limits": {"anthropic/*": "1 USD", "openai/*": "100 USD"}}
    waived = gate({**own, "waiver": {**WAIVER, "limits": {"anthropic/*": "5 USD"}}}, LINES)
    [message] = messages(waived.judge(STATE, NOW))
    assert message.startswith("The line openai/gpt-5.5 ")
    of_account = {"openai/*": {"accounts": {ACCOUNT: "500 USD"}}}
    waived = gate({**own, "waiver": {**WAIVER, "limits": of_account}}, LINES)
    assert not messages(waived.judge(STATE, NOW))
    other = InvoiceState(OTHER_ACCOUNT, STATE.invoice)
    assert "over the limit of $100.00" in messages(waived.judge(other, NOW))[0]


def test_what_to_do_names_the_place_of_the_limit_that_was_judged() -> None:
    """A waiver in force has it, or Pulumi's config, or the rule for what neither names."""

    def remedy(own: dict[str, Any], account: str = ACCOUNT, **config: Any) -> str:
        [finding] = gate(own, **config).judge(InvoiceState(account, STATE.invoice), NOW)
        return finding.remedy.removeprefix("Cap the gateways with spend limits, ")

    rule = "the rule max-amount-due"
    lower = {**WAIVER, "limit": {"accounts": {ACCOUNT: "150 USD"}}}
    assert remedy({"limit": "100 USD"}) == f"or raise the limit of {rule}."
    waived = {"limit": "100 USD", "waiver": lower}
    assert remedy(waived) == f"or raise the limit of the waiver of {rule}."
    assert remedy(waived, OTHER_ACCOUNT) == f"or raise the limit of {rule}."
    others = {"limit": "100 USD", "accounts": {OTHER_ACCOUNT: "150 USD"}}
    assert remedy({**waived, "limit": others}) == f"or raise the limit of the waiver of {rule}."
    ended = {**waived, "waiver": {**lower, "until": "2026-09-14"}}
    assert remedy(ended) == f"or raise the limit of {rule}."
    in_config = f"or raise the limit of {rule} in Pulumi's policy config."
    assert remedy({"limit": "500 USD"}, limit="100 USD") == in_config
    one = {"accounts": {OTHER_ACCOUNT: "900 USD"}}
    assert remedy({"limit": "100 USD"}, limit=one) == f"or raise the limit of {rule}."
    rules = parse_rules({"rules": {"max-amount-due": {"limit": "500 USD", "warnAt": ["80%"]}}})
    config = {"max-amount-due": Config({"limit": "100 USD"})}
    _, tier = map(Gate.of, configured(rules, config))
    [finding] = tier.judge(STATE, NOW)
    assert finding.remedy.endswith(in_config)


def test_a_waiver_by_account_keeps_the_limits_of_the_others() -> None:
    waived = gate(
        {"limit": "150 USD", "waiver": {**WAIVER, "limit": {"accounts": {ACCOUNT: "900 USD"}}}}
    )
    assert messages(waived.judge(STATE, NOW)) == []
    assert messages(waived.judge(InvoiceState(OTHER_ACCOUNT, STATE.invoice), NOW))


@pytest.mark.parametrize(
    ("kind", "own", "waived"),
    [
        ("max-amount-due", {"limit": OF_ACCOUNT}, {"limit": "1500 USD"}),
        (
            "max-amount-due",
            {"limit": OF_ACCOUNT},
            {"limit": {"limit": "1500 USD", "accounts": {OTHER_ACCOUNT: "1 USD"}}},
        ),
        (LINES, {"limits": {"openai/*": OF_ACCOUNT}}, {"limits": {"openai/*": "1500 USD"}}),
        (LINES, {"defaultLimit": OF_ACCOUNT}, {"defaultLimit": "1500 USD"}),
    ],
)
def test_a_waiver_for_all_keeps_the_limit_of_an_account_that_it_does_not_name(
    kind: str, own: dict[str, Any], waived: dict[str, Any]
) -> None:
    rule = gate({**own, "waiver": {**WAIVER, **waived}}, kind)
    [message] = messages(rule.judge(STATE, NOW))
    assert "over the limit of $100.00" in message
    assert not messages(rule.judge(InvoiceState("2" * 32, STATE.invoice), NOW))


def test_a_waiver_with_a_multiple_is_refused_where_accounts_have_their_own_limits() -> None:
    waiver = {**WAIVER, "limit": "10x"}
    with pytest.raises(RuleError) as refused:
        gate({**DAILY, "waiver": waiver}, "max-daily-spend")
    assert str(refused.value) == (
        "rule 'max-daily-spend': waiver: limit: 10x would replace the limits of individual "
        "accounts: write it as an amount"
    )
    for own in ("50 USD", "3x"):
        gate({**DAILY, "limit": own, "waiver": waiver}, "max-daily-spend")


def test_a_limit_of_one_account_is_refused_where_it_would_take_the_multiple_of_the_others() -> None:
    own, by_account = {**DAILY, "limit": "3x"}, {"accounts": {ACCOUNT: "500 USD"}}
    gap = "limit: it would leave the other accounts without a limit: add a `limit`"
    with pytest.raises(RuleError) as refused:
        gate({**own, "waiver": {**WAIVER, "limit": by_account}}, "max-daily-spend")
    assert str(refused.value) == f"rule 'max-daily-spend': waiver: {gap}"
    with pytest.raises(RuleError) as refused:
        gate(own, "max-daily-spend", limit=by_account)
    assert str(refused.value) == f"rule 'max-daily-spend': {gap}"
    for_all = {"limit": "900 USD", **by_account}
    gate({**own, "waiver": {**WAIVER, "limit": for_all}}, "max-daily-spend")
    gate(own, "max-daily-spend", limit=for_all)


def test_an_amount_in_place_of_a_multiple_needs_no_at_least() -> None:
    own = {**DAILY, "limit": "3x", "atLeast": "25 USD"}
    amount = Limit.parse("500 USD")
    waived = gate({**own, "waiver": {**WAIVER, "limit": "500 USD"}}, "max-daily-spend")
    assert waived.in_force(NOW) == MaxDailySpend(amount)
    assert waived.in_force(NOW.replace(month=10)) == MaxDailySpend(Multiple(Fraction(3)), USD_25)
    assert gate(own, "max-daily-spend", limit="500 USD").rule == MaxDailySpend(amount)
    higher = gate(own, "max-daily-spend", limit="5x")
    assert higher.rule == MaxDailySpend(Multiple(Fraction(5)), USD_25)
    in_vain = {**WAIVER, "limit": "500 USD", "atLeast": "25 USD"}
    with pytest.raises(RuleError, match="waiver: atLeast has no effect on an amount"):
        gate({**own, "waiver": in_vain}, "max-daily-spend")


# Accounts that a gate reads by itself.


def budget(sandbox: Sandbox, **changes: Any) -> Gate:
    written = {**BUDGET, "baseUrl": sandbox.base_url, **changes}
    return gate({name: value for name, value in written.items() if value}, "account-budget")


def reader(**variables: str) -> AccountReader:
    return AccountReader({"CLOUDFLARE_API_TOKEN": TOKEN, **variables})


def test_each_account_that_is_named_is_read_whatever_the_environment_says(
    sandbox: Sandbox,
) -> None:
    both = budget(sandbox, accountIds=[ACCOUNT, OTHER_ACCOUNT])
    found = both.judge_accounts(reader(CLOUDFLARE_ACCOUNT_ID="f" * 32), NOW)
    assert [finding.account_id for finding in found] == [ACCOUNT, OTHER_ACCOUNT]
    assert len(messages(found)) == 2
    assert both.origin.endswith("not from Cloudflare.")
    assert sorted(sandbox.requests) == sorted([ACCOUNT, OTHER_ACCOUNT])


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [
        (None, "the rule sets the base URL https://gateway.invalid, to which credentials from the"),
        ("https://other.invalid", "to which credentials from the environment are not sent"),
        ("https://gateway.invalid/", "no answer from gateway.invalid"),
    ],
)
def test_a_rules_base_url_gets_the_environments_credentials_only_if_that_names_it_too(
    trusted: str | None, expected: str
) -> None:
    """The file of rules comes with a pull request, and the environment belongs to the machine."""
    variables = {"CLOUDFLARE_BASE_URL": trusted} if trusted else {}
    written = {**BUDGET, "baseUrl": "https://gateway.invalid"}
    accounts = reader(CF_INVOICE_TIMEOUT="3", **variables)
    [message] = messages(gate(written, "account-budget").judge_accounts(accounts, NOW))
    assert expected in message


def test_one_read_serves_every_rule(sandbox: Sandbox) -> None:
    accounts = reader()
    for rule in ("account-budget", "max-amount-due", "max-projected-amount-due"):
        gate({**BUDGET, "baseUrl": sandbox.base_url}, rule).judge_accounts(accounts, NOW)
    assert sandbox.requests == [ACCOUNT]
    for rule in ("min-credit-balance", "require-healthy-top-up", "no-unpaid-invoices"):
        written = {**BUDGET, "baseUrl": sandbox.base_url}
        needs = {name: value for name, value in written.items() if name in settings_of(KINDS[rule])}
        gate(needs, rule).judge_accounts(accounts, NOW)
    # The balance and the history besides: the balance's currency is that of the same invoice.
    assert sandbox.requests == [ACCOUNT] * 3


def test_a_failure_is_read_once_and_reported_once_and_violates_every_rule(sandbox: Sandbox) -> None:
    sandbox.fault = "http-503"
    accounts, written = reader(), {**BUDGET, "baseUrl": sandbox.base_url}
    first, second = gate(written, "account-budget"), gate(written, "max-amount-due")
    [message] = messages(first.judge_accounts(accounts, NOW))
    assert message.startswith(
        f"Account {ACCOUNT} could not be judged: cannot read the upcoming invoice of account "
        f"{ACCOUNT}: Cloudflare said HTTP 503"
    )
    [short] = messages(second.judge_accounts(accounts, NOW))
    assert short == f"Account {ACCOUNT} could not be judged: account-budget says why."
    assert len(sandbox.requests) == 4


@pytest.mark.parametrize("mild", [{"failOpen": True}, {"enforcementLevel": "advisory"}])
def test_a_mandatory_rule_leaves_the_reason_to_no_note_and_no_warning(mild: dict[str, Any]) -> None:
    accounts = AccountReader({})
    rules = ({**BUDGET, **mild}, BUDGET, BUDGET, {**BUDGET, **mild})
    each = [
        gate(written, rule).judge_accounts(accounts, NOW)
        for rule, written in zip(
            ("account-budget", "max-amount-due", "max-forecast", "max-projected-amount-due"),
            rules,
            strict=True,
        )
    ]
    first, second, third, fourth = (found[0].message for found in each)
    assert "no credentials for account" in first
    assert "no credentials for account" in second
    assert third.endswith("could not be judged: max-amount-due says why.")
    assert fourth.endswith(": max-amount-due says why.")


def test_an_account_that_cannot_be_read_is_passed_over_only_if_the_rule_says_so(
    sandbox: Sandbox,
) -> None:
    wrong = {"CLOUDFLARE_API_TOKEN": "wrong"}
    assert messages(budget(sandbox).judge_accounts(reader(**wrong), NOW))
    [finding] = budget(sandbox, failOpen=True).judge_accounts(reader(**wrong), NOW)
    assert finding.status == "noted"
    assert "could not be judged, which failOpen allows: cannot read the upcoming" in finding.message
    assert "HTTP 403" in finding.message


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CLOUDFLARE_API_TOKEN": ""}, "no credentials for account"),
        ({"CLOUDFLARE_EMAIL": "a@b.c"}, "the environment has both"),
        ({"CF_INVOICE_TIMEOUT": "soon"}, "the timeout 'soon' is not a number"),
        ({"CF_INVOICE_TIMEOUT": "0.001"}, "or allow more time: set CF_INVOICE_TIMEOUT."),
    ],
)
def test_a_remedy_names_what_a_pack_can_use(
    sandbox: Sandbox, variables: dict[str, str], expected: str
) -> None:
    [message] = messages(budget(sandbox).judge_accounts(reader(**variables), NOW))
    assert expected in message or "keep one kind" in message
    assert "pulumi config" not in message
    assert "cf-invoice:" not in message


def test_a_base_url_from_the_environment_is_refused(sandbox: Sandbox) -> None:
    redirected = reader(CLOUDFLARE_BASE_URL=sandbox.base_url)
    [message] = messages(budget(sandbox, baseUrl=None).judge_accounts(redirected, NOW))
    assert f"CLOUDFLARE_BASE_URL is {sandbox.base_url}, which is not Cloudflare's" in message
    assert "set that in the rule, or unset the variable" in message
    assert sandbox.requests == []
    [message] = messages(budget(sandbox).judge_accounts(redirected, NOW))
    assert "over the limit" in message


@pytest.mark.parametrize("url", ["http://[", "https://user@a.b", "http://example.com"])
def test_a_base_url_from_the_environment_that_is_none_is_one_line(
    sandbox: Sandbox, url: str
) -> None:
    odd = reader(CLOUDFLARE_BASE_URL=url)
    [message] = messages(budget(sandbox, baseUrl=None).judge_accounts(odd, NOW))
    assert "base URL" in message


def test_a_blank_base_url_in_the_environment_counts_as_absent(sandbox: Sandbox) -> None:
    blank = reader(CLOUDFLARE_BASE_URL="  ", CLOUDFLARE_API_TOKEN="")
    [message] = messages(budget(sandbox, baseUrl=None).judge_accounts(blank, NOW))
    assert "no credentials for account" in message


def test_a_waiver_is_noted_for_an_account_that_cannot_be_read(sandbox: Sandbox) -> None:
    waived = budget(sandbox, waiver={**WAIVER, "limit": "500\nUSD"})
    [message] = messages(waived.judge_accounts(reader(CLOUDFLARE_API_TOKEN=""), NOW))
    assert message.endswith(
        "A waiver with the limit 500 USD is in force until 2026-09-20, by the CFO: launch week."
    )


def test_while_a_waiver_suspends_a_rule_nothing_is_read(sandbox: Sandbox) -> None:
    written = {
        "statuses": ["open"],
        "accountIds": [ACCOUNT],
        "baseUrl": sandbox.base_url,
        "waiver": WAIVER,
    }
    assert gate(written, "allowed-statuses").judge_accounts(reader(), NOW) == []
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("kind", "written", "waived", "expected"),
    [
        (
            "max-amount-due",
            {"limit": "1 USD"},
            {"limit": {"limit": "400 USD", "accounts": {ACCOUNT.upper(): "5 USD"}}},
            f"with the limit 400 USD, 5 USD for account {ACCOUNT} is in force",
        ),
        (
            "max-line-amount",
            {"limits": {"*": "1 USD"}},
            {"limits": {"openai/*": "9 USD", "limit": "8 USD"}, "defaultLimit": "7 USD"},
            "with the limits 9 USD for openai/*, 8 USD for limit and the default limit 7 USD is",
        ),
        (
            "max-line-amount",
            {"limits": {"*": "1 USD"}},
            {"limits": {"accounts": {"accounts": {ACCOUNT: "5 USD"}}}},
            f"with the limits 5 USD for accounts for account {ACCOUNT} is in force",
        ),
        (
            "max-line-amount",
            {"limits": {"*": "1 USD"}},
            {"limits": {f"model-{number}": "9 USD" for number in range(22)}},
            "9 USD for model-18, 9 USD for model-19 and 2 more is in force",
        ),
        (
            "min-runway",
            {"days": 14, "accountIds": [ACCOUNT]},
            {"days": 5.0},
            "with a runway of 5 days is in",
        ),
        (
            "min-runway",
            {"days": 14, "accountIds": [ACCOUNT]},
            {"days": "period"},
            "with a runway to the end of the period is in force",
        ),
    ],
)
def test_a_waiver_says_all_that_it_replaces(
    kind: str, written: dict[str, Any], waived: dict[str, Any], expected: str
) -> None:
    [notice] = gate({**written, "waiver": {**WAIVER, **waived}}, kind).notices(NOW)
    assert expected in notice


def test_a_setting_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Any] = []

    def read(written: Any) -> Limit:
        reads.append(written)
        return Limit.parse(written)

    kind = KINDS["max-amount-due"]
    monkeypatch.setitem(kind.settings, "limit", Setting(read, kind.settings["limit"].schema))
    [rule] = configured([DeclaredRule.parse("max-amount-due", {"limit": "1 USD"})], {})
    Gate.of(rule)
    assert reads == ["1 USD"]
    [rule] = configured([rule], {"max-amount-due": Config({"limit": "2 USD"})})
    Gate.of(rule)
    assert reads == ["1 USD", "2 USD"]
