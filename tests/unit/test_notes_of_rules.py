"""A report's notes on rules that judged nothing, or not everything that they name."""

import re
from datetime import timedelta
from typing import Any

import pytest

from pulumi_cf_invoice import Invoice
from pulumi_cf_invoice.billing.errors import NotAvailableError
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.suggestions import new_globs
from pulumi_cf_invoice.forecast.forecast import forecast_invoice
from pulumi_cf_invoice.report import html, markdown, tables, text
from pulumi_cf_invoice.report.found import Found, MissingInvoice
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.report.overview import overview
from pulumi_cf_invoice.report.report import Report, make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import Config, configured, parse_rules
from pulumi_cf_invoice.state import InvoiceState
from tests.docs import page
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, api_line, api_result, snapshot


def reported(
    rules: dict[str, Any], config: dict[str, Config] | None = None, **changes: Any
) -> Report:
    found = [Found(InvoiceState(ACCOUNT, Invoice.from_api(api_result(**changes))))]
    declared = configured(parse_rules({"rules": rules}), config or {})
    return make_report(found, at=NOW, rules=judge(declared, found, NOW, AccountReader({})))


@pytest.mark.parametrize("level", ["disabled", None])
def test_where_the_only_rule_is_disabled_the_verdict_is_none(level: str | None) -> None:
    rule = {"limit": "1 USD", **({"enforcementLevel": level} if level else {})}
    config = {} if level else {"max-amount-due": Config(level="disabled")}
    report = reported({"max-amount-due": rule}, config)
    assert (report.verdict, report.is_known) == ("none", True)
    assert report.rules[0].noted == ["It is disabled and judges nothing."]


def test_a_disabled_rule_hides_none_that_could_not_be_judged() -> None:
    off = {"limit": "1 USD", "enforcementLevel": "disabled"}
    report = reported({"max-amount-due": off, "require-invoice-preview": {}})
    assert (report.verdict, report.is_known) == ("unknown", False)


WAIVER = {"until": "2026-09-20", "by": "the CFO", "reason": "a move"}


@pytest.mark.parametrize(
    "rules",
    [
        {"allowed-statuses": {"statuses": ["open"]}},
        {"require-healthy-top-up": {"accountIds": [ACCOUNT]}},
        {"no-unpaid-invoices": {"accountIds": [ACCOUNT]}},
        {"require-invoice-preview": {}},
    ],
    ids=lambda rules: next(iter(rules)),
)
def test_where_a_waiver_suspends_the_only_rule_the_verdict_is_none(rules: dict[str, Any]) -> None:
    [(name, settings)] = rules.items()
    report = reported({name: {**settings, "waiver": WAIVER}})
    assert (report.verdict, report.is_known, report.remedies) == ("none", True, [])
    assert report.headline.startswith("$188.46 so far in September")
    assert report.rules[0].noted == ["A waiver suspends it until 2026-09-20, by the CFO: a move."]
    ended = {**WAIVER, "until": "2026-09-14"}
    assert reported({name: {**settings, "waiver": ended}}).verdict in ("over", "unknown")


@pytest.mark.parametrize(
    "other", [{"require-invoice-preview": {}}, {"max-increase": {"limit": "20%"}}]
)
def test_a_suspended_rule_hides_none_that_could_not_be_judged(other: dict[str, Any]) -> None:
    suspended = {"statuses": ["open"], "waiver": WAIVER}
    report = reported({"allowed-statuses": suspended, **other})
    assert (report.verdict, report.is_known) == ("unknown", False)


def test_a_rule_that_is_suspended_judges_none_of_several_invoices() -> None:
    accounts = [ACCOUNT, OTHER_ACCOUNT]
    invoice = Invoice.from_api(api_result())
    found = [Found(InvoiceState(account, invoice)) for account in accounts]
    written = {"allowed-statuses": {"statuses": ["open"], "waiver": WAIVER}}
    known = snapshot(account_id=OTHER_ACCOUNT)
    reader = AccountReader({}, snapshots=[known])

    def made(rules: dict[str, Any]) -> Report:
        return make_report(
            found, at=NOW, rules=judge(parse_rules({"rules": rules}), found, NOW, reader)
        )

    suspended = made(written)
    assert (suspended.verdict, suspended.is_known) == ("none", True)
    assert {row.tone for row in overview(suspended).passing} == {"none"}
    budget = {"accountIds": [OTHER_ACCOUNT], "limit": "900 USD"}
    one_judged = made({**written, "account-budget": budget})
    assert one_judged.verdict == "within"
    assert "; no rule judged 1 of them" in one_judged.headline


def test_only_an_account_whose_rules_are_all_suspended_need_not_be_read() -> None:
    lacking = [
        MissingInvoice(snapshot(account_id=account), NotAvailableError("no billing"), is_named=True)
        for account in (ACCOUNT, OTHER_ACCOUNT)
    ]
    suspended = {"require-healthy-top-up": {"accountIds": [ACCOUNT], "waiver": WAIVER}}
    advisory = {"accountIds": [ACCOUNT], "limit": "1 USD", "enforcementLevel": "advisory"}

    def unjudged(rules: dict[str, Any]) -> list[str]:
        results = judge(parse_rules({"rules": rules}), [], NOW, AccountReader({}), lacking)
        report = make_report([], at=NOW, rules=results, missing=lacking)
        assert report.verdict == "unknown"
        return [account.account_id for account in report.unjudged]

    assert unjudged(suspended) == [OTHER_ACCOUNT]
    assert unjudged({**suspended, "min-credit-balance": advisory}) == [ACCOUNT, OTHER_ACCOUNT]


def test_a_report_too_names_the_accounts_that_a_config_takes_off_a_rule_on_stacks() -> None:
    rule = {"requiredAccountIds": [ACCOUNT, OTHER_ACCOUNT]}
    config = {"require-invoice-preview": Config({"requiredAccountIds": [ACCOUNT]})}
    assert reported({"require-invoice-preview": rule}, config).rules[0].noted == [
        "It is judged at deployments only.",
        "Pulumi's policy config replaces its list of accounts, and leaves out account "
        f"{OTHER_ACCOUNT}.",
    ]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("max-amount-due", {"limit": {"limit": "900 USD", "accounts": {OTHER_ACCOUNT: "1 USD"}}}),
        ("max-line-amount", {"limits": {"*": {"limit": "900 USD", "accounts": {}}}}),
    ],
)
def test_an_account_with_a_limit_that_nothing_judged_matches_is_noted(
    kind: str, settings: dict[str, Any]
) -> None:
    for limit in settings.get("limits", {}).values():
        limit["accounts"] = {OTHER_ACCOUNT: "1 USD", ACCOUNT: "800 USD"}
    [rule] = reported({kind: settings}).rules
    assert rule.verdict == "within"
    assert rule.noted == [f"Its limits name account {OTHER_ACCOUNT}, of which nothing was judged."]


def test_many_accounts_that_nothing_judged_matches_are_one_note() -> None:
    accounts = {f"{number:032x}": "1 USD" for number in range(1, 9)}
    limit = {"limit": "900 USD", "accounts": accounts}
    [note] = reported({"max-amount-due": {"limit": limit}}).rules[0].noted
    assert note.endswith(f"{5:032x} and 3 more, of which nothing was judged.")


def test_accounts_that_are_passed_over_are_counted_before_anything_else() -> None:
    accounts = [f"{number:032x}" for number in range(1, 41)]
    rule = {"accountIds": accounts, "failOpen": True, "limit": "1 USD"}
    [result] = reported({"account-budget": rule}).rules
    assert result.verdict == "noted"
    assert result.noted[0] == (
        "40 accounts could not be judged, which failOpen allows: accounts "
        f"{', '.join(accounts[:5])} and 35 more."
    )
    assert len(result.noted) == 41


@pytest.mark.parametrize("account", [ACCOUNT, OTHER_ACCOUNT])
def test_a_row_tells_a_waiver_once(account: str) -> None:
    """Whether the violation of a rule tells it, as where an account could not be read, or not."""
    waiver = {"until": "2026-12-31", "by": "me", "reason": "launch", "limit": "2 USD"}
    rule = {"accountIds": [account], "limit": "1 USD", "waiver": waiver}
    known = snapshot(invoice_preview=api_result())
    found = [Found.of_snapshot(known)]
    declared = parse_rules({"rules": {"account-budget": rule}})
    judged = judge(declared, found, NOW, AccountReader({}, snapshots=[known]))
    [row] = tables.judged(make_report(found, at=NOW, rules=judged), 3)
    assert " ".join(row.sentences).count("A waiver with the limit 2 USD is in force") == 1


@pytest.mark.parametrize("form", [text.render, markdown.render, html.render])
def test_no_number_of_other_notes_folds_an_account_away_that_was_passed_over(form: Any) -> None:
    accounts, elsewhere = [f"{number:032x}" for number in range(1, 13)], "http://127.0.0.1:1"
    taken = [snapshot(elsewhere, account_id=account) for account in accounts]
    rule = {
        "accountIds": [*accounts, ACCOUNT],
        "failOpen": True,
        "limit": "190 USD",
        "baseUrl": elsewhere,
        "waiver": {"until": "2026-12-31", "by": "me", "reason": "launch", "limit": "200 USD"},
    }
    found = [Found(InvoiceState(account, taken[0].get(INVOICE_PREVIEW))) for account in accounts]
    at = NOW + timedelta(hours=3)
    declared = parse_rules({"rules": {"account-budget": rule}})
    judged = judge(declared, found, at, AccountReader({}, snapshots=taken))
    report = make_report(found, at=at, rules=judged)
    assert report.verdict == "within"
    shown = re.sub("&#?[0-9a-z]+;|\\s+", " ", form(report))
    assert f"Account {ACCOUNT} could not be judged, which failOpen allows: no credentials" in shown
    assert "by me: launch" in shown
    assert "The figures come from " in shown
    assert f"Account {accounts[0]} was read on" in shown


@pytest.mark.parametrize(
    ("glob", "new"),
    [
        ("anthropic claude-haiku-4-5-20251001 Input Tokens", "anthropic/claude-haiku-4.5"),
        ("anthropic claude-haiku-4-5-20251001 *", "anthropic/claude-haiku-4.5"),
        ("anthropic claude-haiku-4-5-2025-10-01*", "anthropic/claude-haiku-4.5*"),
        ("anthropic *", "anthropic/*"),
        ("anthropic claude-*", "anthropic/claude-*"),
        ("openai gpt-5-mini* Output Tokens", "openai/gpt-5-mini*"),
        # Models that were not used.
        ("anthropic claude-opus-4-1-20250805 Input Tokens", "anthropic/claude-opus-4.1"),
        ("* Cached Input Tokens", None),
        ("xai grok-4 Output Tokens", "xai/grok-4"),
        # Globs of today, and of what is no model.
        ("anthropic/claude-opus-*", None),
        ("support fee", None),
        ("Seats, September", None),
    ],
)
def test_a_glob_for_lines_as_they_were_called_before_september_suggests_the_new_form(
    glob: str, new: str | None
) -> None:
    lines = [
        api_line(description=name)
        for name in ("anthropic/claude-haiku-4.5", "openai/gpt-5-mini-high")
    ]
    rules = {"max-line-amount": {"limits": {glob: "900 USD"}}}
    [note] = reported(rules, invoice_lines=lines).rules[0].noted
    expected = f"No line of the upcoming invoice of account {ACCOUNT} matches {glob}."
    if new is not None:
        expected += (
            f' Since 2026-09-01 a line is called provider/model: write "{new}" for "{glob}".'
        )
    assert note == expected
    invoice = Invoice.from_api(api_result(invoice_lines=lines))
    *_, of_fixed_lines = forecast_invoice(invoice, at=NOW, fixed_lines=[glob]).notes
    assert of_fixed_lines.endswith(expected.partition(".")[2])
    assert f'matches "{glob}", one of the fixed lines.' in of_fixed_lines


def test_the_docs_have_the_globs_that_are_suggested() -> None:
    rows = re.findall(r"^\| of .* \| `(.*)` \| (.*) \|$", page("rules"), re.M)
    assert len(rows) == 4
    for old, new in rows:
        suggested = new_globs([old], ["anthropic/claude-haiku-4.5"])
        assert (f'write "{new.strip("`")}" for' in suggested) == new.startswith("`"), old
