"""What a pack's violations say, and what appears once per run."""

from datetime import timedelta
from typing import Any

import pytest

from pulumi_cf_invoice import policy
from pulumi_cf_invoice.billing.snapshot import take
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.rules.kinds import KINDS
from pulumi_cf_invoice.rules.rule import without_account
from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, settings_for
from tests.unit.test_policy import before_all, new_run as new_run


def test_an_only_account_stands_once_in_a_run_and_a_rules_own_address_in_each_violation(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    reading: dict[str, Any] = {"account_ids": [ACCOUNT], "base_url": sandbox.base_url}
    gates = [
        policy.account_budget("150 USD", **reading),
        policy.max_amount_due("100 USD", **reading),
        policy.min_credit_balance("5000 USD", **reading),
    ]
    messages = [message for gate in gates for message in before_all(gate)]
    assert len(messages) == 3
    assert [ACCOUNT in message for message in messages] == [True, False, False]
    assert messages[1].startswith("The upcoming invoice is $188.46 for ")
    assert messages[2].startswith("The credit balance is $")
    notes = capsys.readouterr().err.splitlines()
    assert [note for note in notes if "not from Cloudflare" in note] == [
        f"The figures come from {sandbox.base_url}, not from Cloudflare."
    ]
    for message in messages:
        assert message.endswith(f" The figures come from {sandbox.base_url}, not from Cloudflare.")


def test_the_address_of_a_request_that_failed_stands_once_in_its_violation(
    sandbox: Sandbox,
) -> None:
    sandbox.fault = "http-403"
    gate = policy.account_budget("150 USD", account_ids=[ACCOUNT], base_url=sandbox.base_url)
    [message] = before_all(gate)
    assert message.count(sandbox.base_url) == 1


@pytest.mark.parametrize(
    "address", ["https://gateway.ai.cloudflare.com/x", "http://127.0.0.1:1/client/v4"]
)
def test_no_figures_come_from_an_address_of_which_nothing_was_read(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither from one to which no credentials are sent, nor from one that does not answer."""
    waiver = {"until": "2099-12-31", "by": "cfo", "reason": "launch", "limit": "2 USD"}
    reading: dict[str, Any] = {"account_ids": [ACCOUNT], "base_url": address, "waiver": waiver}
    gates = [policy.account_budget("1 USD", **reading), policy.max_amount_due("1 USD", **reading)]
    first, second = (message for gate in gates for message in before_all(gate))
    assert address in first
    assert second.startswith("The account could not be judged: account-budget says why. A waiver ")
    for message in (first, second):
        assert ". A waiver with the limit 2 USD is in force " in message
        assert "The figures come from" not in message
    assert "The figures come from" not in capsys.readouterr().err


def test_an_invoice_of_another_time_that_rules_read_is_noted_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Sandbox(now=NOW - timedelta(days=90)) as sandbox:
        reading: dict[str, Any] = {
            "account_ids": [ACCOUNT, OTHER_ACCOUNT],
            "base_url": sandbox.base_url,
        }
        for gate in (
            policy.account_budget("9999 USD", **reading),
            policy.max_line_amount(default_limit="9999 USD", **reading),
            policy.min_credit_balance("1 USD", **reading),
        ):
            assert before_all(gate) == []
    notes = [note for note in capsys.readouterr().err.splitlines() if "period" in note]
    assert notes == [
        f"Account {account}: The invoice's period, 2026-06-01 to 2026-06-30, has ended."
        for account in (ACCOUNT, OTHER_ACCOUNT)
    ]


def test_every_message_of_several_accounts_names_its_own(sandbox: Sandbox) -> None:
    reading: dict[str, Any] = {
        "account_ids": [ACCOUNT, OTHER_ACCOUNT],
        "base_url": sandbox.base_url,
    }
    for gate in (
        policy.account_budget("150 USD", **reading),
        policy.max_amount_due("1 USD", **reading),
    ):
        first, second = before_all(gate)
        assert ACCOUNT in first
        assert OTHER_ACCOUNT in second


@pytest.mark.parametrize(
    ("kind", "settings", "end"),
    [
        (
            "account-budget",
            {"limit": "1 USD"},
            "the limit of the rule x in rules.json, or give it a waiver.",
        ),
        (
            "max-line-amount",
            {"defaultLimit": "1 USD"},
            "the limits of the rule x in rules.json, or give it a waiver.",
        ),
        ("allowed-statuses", {"statuses": ["open"]}, "the statuses of the rule x in rules.json."),
        ("allowed-currencies", {"currencies": ["EUR"]}, ", and set limits in it."),
        ("min-credit-balance", {"limit": "900 USD"}, "the limit of the rule x in rules.json."),
        (
            "min-runway",
            {"days": 300},
            "in the rule x in rules.json; if not, buy credits in Cloudflare's dashboard.",
        ),
        ("require-healthy-top-up", {}, "or its payment method, in Cloudflare's dashboard."),
        ("no-unpaid-invoices", {}, "and ask Cloudflare how to settle the uncollectible one."),
    ],
)
def test_a_violation_begins_with_the_fact_and_ends_with_what_to_change(
    kind: str, settings: dict[str, Any], end: str
) -> None:
    scenario = {"no-unpaid-invoices": "unpaid", "require-healthy-top-up": "top-up-failed"}
    with Sandbox(scenario.get(kind, "usual"), now=NOW) as sandbox:
        known = take(settings_for(sandbox.base_url), NOW)
        rule = {"rule": kind, **settings, "accountIds": [ACCOUNT], "baseUrl": sandbox.base_url}
        [declared] = parse_rules({"rules": {"x": rule}})
        [result] = judge(
            [type(declared)(**{**vars(declared), "source": "rules.json"})],
            [Found.of_snapshot(known)],
            NOW,
            AccountReader({}, snapshots=[known]),
        )
    assert result.violations
    for finding in result.violations:
        assert finding.violation.startswith(("The ", "Account ", "On account "))
        assert finding.violation.endswith(end)
        assert "rule" not in finding.violation.split(". ")[0]


def test_every_kind_of_rule_says_what_to_do() -> None:
    for kind in KINDS.values():
        raised = "raise the limit of the rule x"
        sentence = kind.remedy.format(
            setting="the limit of the rule x", raise_it=raised, or_raise_it=f"or {raised}"
        )
        assert sentence.endswith(".")
        assert "{" not in sentence


def test_a_message_without_its_account_is_still_a_sentence() -> None:
    for message, expected in (
        (f"The balance of account {ACCOUNT} is low.", "The balance is low."),
        (f"On account {ACCOUNT}, credits last.", "Credits last."),
        (f"It failed. On account {ACCOUNT}, credits last.", "It failed. Credits last."),
        (f"Account {ACCOUNT} has no credits.", "The account has no credits."),
        (f"Whether account {ACCOUNT} is within.", "Whether the account is within."),
    ):
        assert without_account(message, ACCOUNT) == expected
