"""A policy pack and a report reach the same verdict in the same words."""

from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count
from typing import Any

import pytest
from pulumi_policy import Policy

from pulumi_cf_invoice import policy
from pulumi_cf_invoice.billing.snapshot import take
from pulumi_cf_invoice.policy import pack
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.judging import RuleResult, judge
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.rules.rule import without_account
from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS, Sandbox
from pulumi_cf_invoice.state import InvoiceState, snake_case
from tests.factories import NOW, TOKEN, settings_for
from tests.unit.test_policy import before_all

_numbers = count()


def an_account() -> str:
    """Return an account that no other test uses: a pack reads each account once in its lifetime."""
    return f"{next(_numbers):032x}"


ORIGIN = "The figures come from"
"""The beginning of the note that pack and report have once per run, and a pack's violations."""
WAITING = ("http-", "slow", "trickle", "endless", "reset")
"""The prefixes of faults that cause waits or retries until the time is up."""


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_pack_and_report_read_an_account_to_the_same_verdict(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    sandbox.fault = fault
    account = an_account()
    waits = (fault or "").startswith(WAITING)
    variables = {"CLOUDFLARE_API_TOKEN": TOKEN, "CF_INVOICE_TIMEOUT": "3" if waits else "30"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    names = {"account_ids": [account], "base_url": sandbox.base_url}
    gates = [policy.account_budget("150 USD", **names), policy.allowed_statuses(["x"], **names)]  # type: ignore[arg-type]
    # Pack and report are processes of their own, of which neither paces the other's requests.
    with Sandbox(fault=fault, now=NOW) as of_report:
        reported = reported_by(of_report, account, variables)
        for gate, rule in zip(gates, reported, strict=True):
            text = [message.replace(sandbox.base_url, "API") for message in said_by(gate, sandbox)]
            expected = [
                finding.violation.replace(of_report.base_url, "API") for finding in rule.violations
            ]
            assert without_ray(unnamed(text, account)) == without_ray(unnamed(expected, account))
            assert text, fault


def said_by(gate: Policy, sandbox: Sandbox) -> list[str]:
    """Return the violations of *gate* without where its figures came from."""
    origin = f" {ORIGIN} {sandbox.base_url}, not from Cloudflare."
    return [message.removesuffix(origin) for message in before_all(gate)]


def reported_by(sandbox: Sandbox, account: str, variables: dict[str, str]) -> list[RuleResult]:
    """Judge *account* like a report that reads it from *sandbox*."""
    written = {"accountIds": [account], "baseUrl": sandbox.base_url}
    rules = parse_rules(
        {
            "rules": {
                "account-budget": {"limit": "150 USD", **written},
                "allowed-statuses": {"statuses": ["x"], **written},
            }
        }
    )
    nothing = InvoiceState(None, None)  # type: ignore[arg-type]
    return judge(rules, [Found(nothing)], NOW, AccountReader(variables))


RULES: dict[str, dict[str, Any]] = {
    "account-budget": {"limit": "150 USD"},
    "max-forecast": {"limit": "1000000 USD", "percentile": 90},
    "min-credit-balance": {"limit": "30 USD"},
    "min-runway": {"days": "period"},
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
    account = an_account()
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    written = {"accountIds": [account], "baseUrl": sandbox.base_url}
    rules = parse_rules({"rules": {name: {**rule, **written} for name, rule in RULES.items()}})
    set_clock(monkeypatch, NOW)
    reported = judge(rules, [], NOW, AccountReader({"CLOUDFLARE_API_TOKEN": TOKEN}))
    capsys.readouterr()
    for rule in reported:
        settings = {snake_case(name): value for name, value in RULES[rule.name].items()}
        declare = getattr(policy, rule.name.replace("-", "_"))
        gate = declare(account_ids=[account], base_url=sandbox.base_url, **settings)
        expected = [finding.violation for finding in rule.violations]
        assert unnamed(said_by(gate, sandbox), account) == unnamed(expected, account)
        notes = [
            f"{rule.name}: {message}" for message in rule.noted if not message.startswith(ORIGIN)
        ]
        assert noted(capsys.readouterr().err) == notes
    assert sandbox.requests.count(account) >= 2 * 3


MOMENTS = {
    "the first hour": (datetime(2026, 9, 1, 0, 30, tzinfo=UTC), ("50", "90")),
    "a straight line": (datetime(2026, 9, 2, 12, tzinfo=UTC), ("50", "90")),
    "no band": (datetime(2026, 9, 10, 12, tzinfo=UTC), ("90",)),
    "a band": (datetime(2026, 9, 20, 12, tzinfo=UTC), ()),
}
"""What is known of an account that began with the month, when, and what cannot be judged then."""


@pytest.mark.parametrize(("moment", "unjudged"), MOMENTS.values(), ids=MOMENTS)
def test_pack_and_report_forecast_alike_live_and_from_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    moment: datetime,
    unjudged: tuple[str, ...],
) -> None:
    set_clock(monkeypatch, moment)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    with Sandbox("new", now=moment) as sandbox:
        account = an_account()
        known = take(settings_for(sandbox.base_url, account), moment)
        shared = {"accountIds": [account], "baseUrl": sandbox.base_url}
        declared: dict[str, Any] = {
            f"{kind}-{percentile}": {"rule": kind, **first, "percentile": percentile, **shared}
            for kind, first in (
                ("max-forecast", {"limit": "300 USD"}),
                ("min-runway", {"days": "period"}),
            )
            for percentile in (50, 90)
        }
        reader = AccountReader({}, snapshots=[known])
        notes: dict[str, list[str]] = {}
        reported = judge(parse_rules({"rules": declared}), [], moment + timedelta(hours=5), reader)
        for rule in reported:
            settings = {snake_case(name): value for name, value in declared[rule.name].items()}
            declare = getattr(policy, settings.pop("rule").replace("-", "_"))
            gate = declare(name=rule.name, **settings)
            expected = [finding.violation for finding in rule.violations]
            assert unnamed(said_by(gate, sandbox), account) == unnamed(expected, account)
            # What only a snapshot has is its age, which the first rule of an account notes.
            notes[rule.name] = [
                note
                for note in rule.noted
                if " was read on " not in note and not note.startswith(ORIGIN)
            ]
            assert len(notes[rule.name]) == len(rule.noted) - 2 * (rule is reported[0])
            assert noted(capsys.readouterr().err) == [
                f"{rule.name}: {note}" for note in notes[rule.name]
            ]
    noted_rules = {name for name, sentences in notes.items() if sentences}
    assert noted_rules == {name for name in declared if name.endswith(unjudged)}
    judged = [rule for rule in reported if rule.name not in noted_rules]
    assert {rule.verdict for rule in judged if rule.kind == "max-forecast"} <= {"over"}


def set_clock(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Set the time to *moment* for a pack, which uses its clock."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return moment

    monkeypatch.setattr(pack, "datetime", Clock)


def noted(errors: str) -> list[str]:
    """Return what a pack notes of its rules; where figures come from, it notes once in a run."""
    return [line for line in errors.splitlines() if not line.startswith(ORIGIN)]


def without_ray(messages: list[str]) -> list[str]:
    return [" ".join(word for word in m.split() if not word[:1].isdigit()) for m in messages]


def unnamed(messages: list[str], account: str) -> list[str]:
    """Return *messages*; a pack names a single account only in the first one."""
    return [without_account(message, account) for message in messages]
