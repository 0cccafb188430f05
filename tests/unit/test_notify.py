"""`cf-invoice notify`, to real receivers on this machine."""

import html
import json
import os
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.errors import NotAvailableError
from pulumi_cf_invoice.billing.snapshot import take
from pulumi_cf_invoice.cli import delivery, notify
from pulumi_cf_invoice.cli.delivery import deliver
from pulumi_cf_invoice.report.found import Found, MissingInvoice
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.report.notice import KINDS, Notice, Wrong, notice_of
from pulumi_cf_invoice.report.report import make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.sandbox import Sandbox
from tests import receivers
from tests.command import run
from tests.conftest import pointed_at, serving
from tests.docs import page
from tests.factories import ACCOUNT, END, NOW, OTHER_ACCOUNT, api_result, settings_for, snapshot
from tests.receivers import SECRET, Webhook
from tests.unit.reports import MORNING, report_on, taken
from tests.unit.test_rules_on_forecasts import DAY, bill, usage

# Of apprise, which imports all its services at once.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

AT = ["--at", "2026-09-15T12:00:00Z"]
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#spend"


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[tuple[Webhook, dict[str, str]]]:
    """A webhook, and the environment with its address."""
    with receivers.notified(tmp_path) as running:
        yield running


def write(directory: Path, amount_due: int, line: str = "openai/gpt-5.5") -> str:
    """Write an invoice as the API returns it, and return the file."""
    file = directory / f"{amount_due}.json"
    lines = [{**api_result()["invoice_lines"][0], "description": line}]
    file.write_text(json.dumps(api_result(amount_due=amount_due, invoice_lines=lines)))
    return str(file)


def write_snapshot(
    directory: Path, account_id: str, amount_due: int, base_url: str = settings.CLOUDFLARE_API
) -> str:
    """Write a snapshot of the account, and return the file."""
    invoice = api_result(amount_due=amount_due)
    file = directory / f"{account_id}.json"
    file.write_text(snapshot(base_url, account_id=account_id, invoice_preview=invoice).to_json())
    return str(file)


def judged_by(how: str, directory: Path, account_id: str) -> list[str]:
    """Return the options to judge the invoice of the account, or the account itself."""
    if how == "invoice":
        return ["--budget", "250 USD"]
    rule = {"accountIds": [account_id], "limit": "250 USD"}
    (directory / "rules.json").write_text(json.dumps({"rules": {"max-amount-due": rule}}))
    return ["--rules", str(directory / "rules.json")]


def options(file: str, *more: str) -> list[str]:
    return ["notify", "--from", file, *AT, "--budget", "250 USD", *more]


def listed(directory: Path) -> list[str]:
    """Return the options to read the snapshots of the accounts on a list, all in *directory*."""
    files = ["--snapshot", str(directory / "snapshots")]
    return [*files, "--accounts", str(directory / "accounts.txt")]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    # A process takes half a second.
    def deliver(messages: Sequence[delivery.Message]) -> list[str | None]:
        return [delivery.tell(delivery.server(each.address), each) for each in messages]

    monkeypatch.setattr(delivery, "deliver", deliver)
    # What identifies an address is slow for the sake of its secrecy alone.
    monkeypatch.setattr(notify, "_COST", 2)


def test_only_what_is_new_is_told(hook: tuple[Webhook, dict[str, str]], tmp_path: Path) -> None:
    server, environment = hook
    state = ["--state", str(tmp_path / "told.json")]
    over = write(tmp_path, 55500)
    run(*options(over, *state), **environment)
    run(*options(over, *state, "--budget-line", "openai/*=1 USD"), **environment)
    message = server.received[-1][2]["message"]
    assert "- max-line-amount: " in message
    assert "- max-amount-due" not in message
    assert "As before: max-amount-due." in message


def test_each_account_is_told_for_itself(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    limit = {"limit": "10 USD", "accounts": {ACCOUNT: "150 USD", OTHER_ACCOUNT: "150 USD"}}
    rules = {"budget": {"rule": "max-amount-due", "limit": limit}}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    state = ["--state", str(tmp_path / "told.json")]

    def morning(**due: int) -> None:
        for account, amount in zip((ACCOUNT, OTHER_ACCOUNT), due.values(), strict=True):
            (tmp_path / "read").mkdir(exist_ok=True)
            write_snapshot(tmp_path / "read", account, amount)
        files = ["--snapshot", str(tmp_path / "read"), "--rules", str(tmp_path / "rules.json")]
        run("notify", *files, *AT, *state, **environment)

    morning(first=20000, second=100)
    morning(first=20000, second=30000)
    morning(first=100, second=30000)
    first, both, second = (message["message"].splitlines() for _, _, message in server.received)
    assert [line for line in first if ACCOUNT in line and line.startswith("- budget: ")]
    assert [line for line in both if OTHER_ACCOUNT in line and line.startswith("- budget: ")]
    assert not [line for line in both if line.startswith("- ") and ACCOUNT in line]
    assert "As before: budget." in both
    assert "As before: budget." in second
    assert f"No longer wrong: budget ({ACCOUNT})." in second


@pytest.mark.parametrize("how", ["invoice", "account"])
def test_only_an_account_that_was_judged_is_fine_again(
    how: str, hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook

    def morning(account_id: str, amount_due: int) -> str:
        files = ["--snapshot", write_snapshot(tmp_path, account_id, amount_due), *AT]
        by = judged_by(how, tmp_path, account_id)
        state = ["--state", str(tmp_path / "told.json")]
        return run("notify", *files, *by, *state, **environment).stdout

    morning(ACCOUNT, 55500)
    assert morning(OTHER_ACCOUNT, 100).startswith(
        "Nobody was notified, because nothing has changed"
    )
    morning(OTHER_ACCOUNT, 55500)
    morning(OTHER_ACCOUNT, 100)
    morning(ACCOUNT, 100)
    _, other, other_fine, fine = (message for _, _, message in server.received)
    assert OTHER_ACCOUNT in other["message"].splitlines()[0]
    assert other_fine["title"].startswith("Within budget")
    assert other_fine["type"] == "failure"
    lines = other_fine["message"].splitlines()
    assert f"Not judged this time: max-amount-due ({ACCOUNT})." in lines
    assert f"No longer wrong: max-amount-due ({OTHER_ACCOUNT})." in lines
    assert fine["title"].startswith("Fine again. Within budget")
    assert fine["type"] == "success"
    assert "No longer wrong: max-amount-due." in fine["message"]


def test_an_account_that_no_rule_could_judge_is_not_fine_because_another_is(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    unjudged, judged = {"max-increase": {"limit": "20%"}}, {"max-amount-due": {"limit": "900 USD"}}
    for account, rules in ((ACCOUNT, unjudged), (OTHER_ACCOUNT, judged)) * 2:
        (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
        files = ["--snapshot", write_snapshot(tmp_path, account, 100), *AT]
        by = ["--rules", str(tmp_path / "rules.json"), "--state", str(tmp_path / "told.json")]
        run("notify", *files, *by, **environment)
    [(_, _, message)] = server.received
    assert message["message"].splitlines()[0] == f"- {ACCOUNT}: No rule could be judged."


@pytest.mark.parametrize("on", ["over", "over,unknown"])
def test_what_a_rule_found_is_neither_fine_again_nor_told_anew_while_it_is_suspended(
    on: str, hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    waiver = {"until": "2026-09-30", "reason": "a launch", "by": "the CFO"}
    files = ["--snapshot", write_snapshot(tmp_path, ACCOUNT, 100), *AT]
    by = ["--rules", str(tmp_path / "rules.json"), "--state", str(tmp_path / "told.json")]
    codes = []
    for statuses, more in (("open", {}), ("open", {"waiver": waiver}), ("draft", {})):
        rules = {"allowed-statuses": {"statuses": [statuses], **more}}
        (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
        codes.append(run("notify", *files, *by, "--on", on, **environment).returncode)
    assert codes == [1, 0, 0]
    _, fine = (message for _, _, message in server.received)
    assert fine["title"].startswith("Fine again.")


def test_a_history_without_usage_to_judge_by_is_not_fine_again(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    rule = {"accountIds": [ACCOUNT], "limit": "3x"}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": {"max-daily-spend": rule}}))
    by = ["--rules", str(tmp_path / "rules.json"), "--state", str(tmp_path / "told.json")]
    for scenario in ("night-loop", "no-usage", "steady"):
        (tmp_path / "snapshot.json").write_text(taken(scenario, MORNING).to_json())
        files = ["--snapshot", str(tmp_path / "snapshot.json"), "--at", MORNING.isoformat()]
        run("notify", *files, *by, "--on", "over", **environment)
    over, fine = (message for _, _, message in server.received)
    assert over["title"].startswith("Over budget")
    assert fine["title"].startswith("Fine again.")
    assert fine["type"] == "success"


def test_a_day_over_a_limit_is_fine_again_on_an_account_that_has_not_been_used_since(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    rules = {"max-daily-spend": {"accountIds": [ACCOUNT], "limit": "60 USD"}}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    by = ["--rules", str(tmp_path / "rules.json"), "--state", str(tmp_path / "told.json")]
    used = [2000.0 if number % 20 == 0 else 0.0 for number in range(90)]
    october = {"period_start": END, "period_end": END + 31 * DAY}
    for day, since, invoice in (
        (30, [25_000.0], bill(29_000)),
        (3, [25_000.0, 0.0, 0.0, 0.0], bill(0, **october)),
        (5, [25_000.0, *[0.0] * 5], bill(0, **october)),
    ):
        at = datetime(2026, 9 if day == 30 else 10, day, 6, tzinfo=UTC)
        history = usage([*used, *since], at)
        taken_then = snapshot(read_at=at, invoice_preview=invoice, usage_history=history)
        (tmp_path / "snapshot.json").write_text(taken_then.to_json())
        files = ["--snapshot", str(tmp_path / "snapshot.json"), "--at", at.isoformat()]
        run("notify", *files, *by, "--on", "over", **environment)
    over, fine = (message for _, _, message in server.received)
    assert over["title"].startswith("Over budget")
    assert fine["title"].startswith("Fine again.")


@pytest.mark.parametrize("rule", ["max-forecast", "max-projected-amount-due"])
def test_what_is_too_early_to_judge_is_not_fine_again(
    rule: str, hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    rules = {rule: {"accountIds": [ACCOUNT], "limit": "200 USD"}}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    by = ["--rules", str(tmp_path / "rules.json"), "--state", str(tmp_path / "told.json")]
    printed = []
    for moment in ("2026-09-20T12:00", "2026-10-01T00:30"):
        at = datetime.fromisoformat(f"{moment}:00+00:00")
        (tmp_path / "snapshot.json").write_text(taken("usual", at).to_json())
        files = ["--snapshot", str(tmp_path / "snapshot.json"), "--at", at.isoformat()]
        printed.append(run("notify", *files, *by, **environment).stdout)
    assert printed[0].startswith("Notified 1 of 1")
    assert printed[1].startswith("Nobody was notified, because nothing has changed")
    [(_, _, over)] = server.received
    assert over["title"].startswith("Over budget")


def test_every_month_s_overrun_is_told_where_there_is_only_a_straight_line(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    rules = {"max-forecast": {"accountIds": [ACCOUNT], "limit": "150 USD"}}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    by = ["--rules", str(tmp_path / "rules.json"), "--state", str(tmp_path / "told.json")]
    for moment, due in (("09-20", 18846), ("10-02", 1000), ("10-20", 18846)):
        at = datetime.fromisoformat(f"2026-{moment}T12:00:00+00:00")
        content = json.loads(taken("usual", at).to_json())
        content["reads"]["usage-history"]["result"]["history"] = []
        content["reads"]["invoice-preview"]["result"]["amount_due"] = due
        (tmp_path / "snapshot.json").write_text(json.dumps(content))
        files = ["--snapshot", str(tmp_path / "snapshot.json"), "--at", at.isoformat()]
        run("notify", *files, *by, **environment)
    first, fine, second = (message["title"] for _, _, message in server.received)
    assert first.startswith("Over budget")
    assert fine.startswith("Fine again.")
    assert second.startswith("Over budget")


def test_an_account_that_is_passed_over_is_not_fine_again(
    hook: tuple[Webhook, dict[str, str]], sandbox: Sandbox, tmp_path: Path
) -> None:
    server, environment = hook
    reads = {"accountIds": [ACCOUNT], "baseUrl": sandbox.base_url}
    rules = {
        "max-amount-due": {**reads, "limit": "150 USD", "failOpen": True},
        "min-credit-balance": {**reads, "limit": "1 USD"},
    }
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    command = ["notify", "--rules", str(tmp_path / "rules.json"), *AT]
    state = ["--state", str(tmp_path / "told.json")]
    sandbox.scenario = "steady"
    codes = []
    faults: dict[str, str]
    for faults, amount_due in (({}, 20000), ({"invoice-preview": "http-403"}, 100), ({}, 100)):
        sandbox.faults, sandbox.amount_due = faults, amount_due
        done = run(*command, *state, **environment, **pointed_at(sandbox))
        codes.append(done.returncode)
    assert codes == [1, 0, 0]
    over, fine = (message for _, _, message in server.received)
    assert over["title"].startswith("Over budget")
    assert fine["title"].startswith("Fine again. Within budget")


@pytest.mark.parametrize(
    ("status", "begins"), [("draft", "The upcoming invoice has the status draft"), ("paid", "Fine")]
)
@pytest.mark.parametrize("beside", [{"max-amount-due": {"limit": "5000 USD"}}, {}])
def test_a_rule_that_a_waiver_suspends_is_not_fine_again_before_the_waiver_ends(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path, status: str, begins: str, beside: Any
) -> None:
    server, environment = hook
    waiver = {"until": "2026-09-20", "by": "the CFO", "reason": "a dispute"}
    rules = tmp_path / "rules.json"

    def tell(allowed: str, **more: Any) -> list[str]:
        """Notify people, and return the titles of what they were told."""
        before = len(server.received)
        named = {"allowed-statuses": {"statuses": [allowed], **more}}
        rules.write_text(json.dumps({"rules": named | beside}))
        by = ["--rules", str(rules), "--state", str(tmp_path / "told.json")]
        run("notify", "--from", write(tmp_path, 100), *AT, *by, **environment)
        return [message["title"] for _, _, message in server.received[before:]]

    assert len(tell("paid")) == 1
    assert tell("paid", waiver=waiver) == tell("paid", waiver=waiver) == []
    # What is still wrong afterwards is news.
    [title] = tell("paid" if status == "draft" else "draft")
    assert title.startswith(begins)


def test_what_begins_anew_is_told_also_to_those_who_could_not_be_told_of_its_end(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    state = ["--state", str(tmp_path / "told.json")]
    for amount_due, server.status in ((55500, 200), (100, 503), (55500, 200), (55500, 200)):
        run(*options(write(tmp_path, amount_due), *state), **environment)
    titles = [message["title"].split()[0] for _, _, message in server.received]
    assert titles == ["Over", "Fine", "Over"]


@pytest.mark.parametrize("refused", [False, True], ids=["absent", "refused"])
@pytest.mark.parametrize("limit", ["100 USD", "600 USD"], ids=["an advisory violation", "within"])
def test_an_account_that_no_rule_could_judge_is_told_whatever_else_is_and_until_it_is_read(
    limit: str, refused: bool, hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    folder = tmp_path / "snapshots"
    folder.mkdir()
    budget = {"rule": "account-budget", "accountIds": [ACCOUNT], "limit": "700 USD"}
    near = {**budget, "limit": limit, "enforcementLevel": "advisory"}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": {"budget": budget, "near": near}}))
    (tmp_path / "accounts.txt").write_text(f"{ACCOUNT}\n{OTHER_ACCOUNT}\n")
    write_snapshot(folder, ACCOUNT, 18846)
    if refused:
        without = snapshot(
            account_id=OTHER_ACCOUNT,
            invoice_preview=NotAvailableError("HTTP 403: not allowed"),
            credit_balance={"balance": 1},
        )
        (folder / f"{OTHER_ACCOUNT}.json").write_text(without.to_json())
    command = ["notify", *listed(tmp_path), *AT]
    command += ["--rules", str(tmp_path / "rules.json"), "--state", str(tmp_path / "told.json")]
    codes = [run(*command, **environment).returncode for _ in range(2)]
    write_snapshot(folder, OTHER_ACCOUNT, 1)
    codes.append(run(*command, **environment).returncode)
    assert codes == [2, 2, 0]
    unknown, fine = (message for _, _, message in server.received)
    assert unknown["title"].startswith("Unknown: ")
    why = "HTTP 403: not allowed" if refused else "there is no snapshot of it"
    assert f"- Account {OTHER_ACCOUNT} could not be judged: {why}" in unknown["message"]
    is_fine = limit == "600 USD"
    assert fine["title"].startswith("Fine again. " if is_fine else "No longer wrong: all rules")


def test_an_invoice_that_is_not_there_is_not_fine_because_another_rule_reads_its_account() -> None:
    balance = {"accountIds": [ACCOUNT, OTHER_ACCOUNT], "limit": "20 USD"}
    written = {"max-amount-due": {"limit": "500 USD"}, "min-credit-balance": balance}

    def morning(due: int | None, *, is_requested: bool = True) -> Notice:
        answer = NotAvailableError("HTTP 403") if due is None else bill(due)
        credits = {"balance": 9000}
        mine = snapshot(invoice_preview=bill(100), credit_balance=credits)
        other = snapshot(account_id=OTHER_ACCOUNT, invoice_preview=answer, credit_balance=credits)
        requested = [mine, other] if is_requested else [mine]
        missing = [each for each in map(MissingInvoice.of_snapshot, requested) if each]
        found = [Found.of_snapshot(each) for each in requested[: 2 - len(missing)]]
        reader = AccountReader({}, snapshots=[mine, other])
        results = judge(parse_rules({"rules": written}), found, NOW, reader, missing)
        return notice_of(make_report(found, at=NOW, rules=results, missing=missing), KINDS)

    known = morning(60000).keys([])
    assert [key.subject for key in known] == [("max-amount-due", OTHER_ACCOUNT)]
    assert not morning(60000, is_requested=False).is_news(known)
    refused = morning(None)
    assert "No longer wrong" not in refused.title(known) + refused.body(known, None)
    assert morning(100).title(refused.keys(known)).startswith("Fine again. ")


def test_an_account_without_a_recent_snapshot_that_a_rule_judged_is_not_called_unjudged() -> None:
    both = [ACCOUNT, OTHER_ACCOUNT]
    read = [snapshot(invoice_preview=bill(100), account_id=each) for each in both]
    found = [Found.of_snapshot(read[0])]
    old = NotAvailableError("the snapshot is 120.0 hours old: take another")
    missing = [MissingInvoice.absent(OTHER_ACCOUNT, NOW, old)]
    rules = parse_rules({"rules": {"account-budget": {"accountIds": both, "limit": "9 USD"}}})
    results = judge(rules, found, NOW, AccountReader({}, snapshots=read), missing)
    report = make_report(found, at=NOW, rules=results, missing=missing)
    [wrong] = notice_of(report, KINDS).wrong
    assert wrong.text == (
        f"Account {OTHER_ACCOUNT}, which a rule read itself, has no recent snapshot: {old}."
    )


def test_an_account_that_was_named_is_told_where_only_an_advisory_rule_says_that_it_is_unknown(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    folder = tmp_path / "snapshots"
    folder.mkdir()
    budget = {"rule": "account-budget", "accountIds": [ACCOUNT], "limit": "700 USD"}
    near = {"rule": "max-amount-due", "limit": "600 USD", "enforcementLevel": "advisory"}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": {"budget": budget, "near": near}}))
    (tmp_path / "accounts.txt").write_text(f"{ACCOUNT}\n{OTHER_ACCOUNT}\n")
    write_snapshot(folder, ACCOUNT, 18846)
    refused = snapshot(
        account_id=OTHER_ACCOUNT,
        invoice_preview=NotAvailableError("HTTP 403: not allowed"),
        credit_balance={"balance": 1},
    )
    (folder / f"{OTHER_ACCOUNT}.json").write_text(refused.to_json())
    command = ["notify", *listed(tmp_path), *AT]
    done = run(*command, "--rules", str(tmp_path / "rules.json"), **environment)
    assert done.returncode == 2
    [(_, _, unknown)] = server.received
    assert unknown["title"].startswith("Unknown: ")
    assert f"- Account {OTHER_ACCOUNT} could not be judged: HTTP 403" in unknown["message"]


@pytest.mark.parametrize("place", ["the file", "the rule", "both"])
def test_an_address_that_is_not_cloudflares_is_named_once(
    place: str, hook: tuple[Webhook, dict[str, str]], sandbox: Sandbox, tmp_path: Path
) -> None:
    server, environment = hook
    environment |= {"CLOUDFLARE_API_TOKEN": pointed_at(sandbox)["CLOUDFLARE_API_TOKEN"]}
    rule: dict[str, object] = {"limit": "150 USD"}
    command = ["notify", *AT, "--rules", str(tmp_path / "rules.json")]
    for base_url in (sandbox.base_url, settings.CLOUDFLARE_API):
        of_file = settings.CLOUDFLARE_API if place == "the rule" else base_url
        if place != "the file":
            rule |= {"accountIds": [ACCOUNT], "baseUrl": base_url}
        (tmp_path / "rules.json").write_text(json.dumps({"rules": {"max-amount-due": rule}}))
        file = write_snapshot(tmp_path, ACCOUNT, 55500, of_file)
        done = run(*command, "--snapshot", file, "--link", "https://ci.example/1", **environment)
        is_elsewhere = base_url != settings.CLOUDFLARE_API
        some = "Some of the" if place == "the rule" else "The"
        assert (f"{some} figures come from {base_url}, not" in done.stdout) == is_elsewhere
    (_, _, elsewhere), (_, _, cloudflare) = server.received
    shown = sandbox.base_url.replace("://127.", ":\u2060//127.\u2060")
    message = f"{some} figures come from {shown}, not from Cloudflare."
    assert elsewhere["message"].splitlines()[-2:] == [message, "https://ci.example/1"]
    assert elsewhere["message"].count("figures come from") == 1
    assert "figures come from" not in cloudflare["message"]


def test_the_address_is_named_of_an_account_without_invoice_and_where_nothing_could_be_read(
    hook: tuple[Webhook, dict[str, str]], sandbox: Sandbox, tmp_path: Path
) -> None:
    server, environment = hook
    sandbox.faults = {"invoice-preview": "http-403"}
    live = pointed_at(sandbox)
    without = take(settings.resolve(OTHER_ACCOUNT, [settings.environment(live)]), NOW)
    (tmp_path / "without.json").write_text(without.to_json())
    files = ["--snapshot", str(tmp_path / "without.json")]
    files += ["--snapshot", write_snapshot(tmp_path, ACCOUNT, 55500)]
    run("notify", *files, *AT, "--budget", "250 USD", **environment)
    run("notify", "--budget", "250 USD", **environment, **live)
    (_, _, of_files), (_, _, failure) = server.received
    shown = sandbox.base_url.replace("://127.", ":\u2060//127.\u2060")
    some = f"Some of the figures come from {shown}, not from Cloudflare."
    assert some in of_files["message"].splitlines()
    assert failure["title"].startswith("Unknown")
    # In a line of its own: what the address said before it can be long, and is cut.
    assert f"The request went to {shown}, not to Cloudflare." in failure["message"].splitlines()


def test_the_address_of_an_account_that_a_rule_cannot_read_is_in_a_line_of_its_own(
    hook: tuple[Webhook, dict[str, str]], sandbox: Sandbox, tmp_path: Path
) -> None:
    """What it said before that can be long, and is cut."""
    server, environment = hook
    sandbox.faults = {"invoice-preview": "http-403"}
    rules = tmp_path / "rules.json"
    accounts = {"accountIds": [OTHER_ACCOUNT, "c" * 32], "baseUrl": sandbox.base_url}
    rules.write_text(json.dumps({"rules": {"account-budget": {**accounts, "limit": "250 USD"}}}))
    files = ["--from", write(tmp_path, 18846), *AT, "--rules", str(rules)]
    run("notify", *files, **environment, **pointed_at(sandbox))
    [(_, _, message)] = server.received
    shown = sandbox.base_url.replace("://127.", ":\u2060//127.\u2060")
    assert message["message"].count(shown) == 1
    lines = message["message"].splitlines()
    assert f"The request went to {shown}, not to Cloudflare." in lines
    assert sum(line.startswith("- account-budget: ") for line in lines) == 2


@pytest.mark.parametrize("on", ["over", "over,unknown"])
@pytest.mark.parametrize("unknown", ["no report", "another currency"])
def test_what_cannot_be_judged_is_not_over(
    on: str, unknown: str, hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    more = ["--on", on, "--state", str(tmp_path / "told.json")]
    over, within = write(tmp_path, 55500), write(tmp_path, 18846)
    missing = str(tmp_path / "missing.json")
    euros = ["notify", "--from", over, *AT, "--budget", "250 EUR", *more]
    not_known = options(missing, *more) if unknown == "no report" else euros
    run(*options(over, *more), **environment)
    done = run(*not_known, **environment)
    assert done.returncode == 2
    assert ("Nobody was notified, because nothing has changed" in done.stdout) == (on == "over")
    run(*not_known, **environment)
    assert run(*options(within, *more), **environment).returncode == 0
    first, *between, last = [message for _, _, message in server.received]
    assert [message["title"].partition(":")[0] for message in between] == (
        ["Unknown"] if "unknown" in on else []
    )
    for message in between:
        assert "No longer" not in message["message"]
        not_judged = "Not judged this time: max-amount-due (an unknown account)."
        assert (not_judged in message["message"]) == (unknown == "no report")
    assert first["title"].startswith("Over budget")
    assert last["title"].startswith("Fine again. Within budget")
    assert "No longer wrong: max-amount-due" in last["message"]


def test_what_is_over_is_reported_as_such_where_something_else_is_not_fine(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    rules = {"near": {"rule": "max-amount-due", "limit": "100 USD", "enforcementLevel": "advisory"}}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    more = ["--rules", str(tmp_path / "rules.json"), "--state", str(tmp_path / "told.json")]
    run(*options(write(tmp_path, 55500), *more), **environment)
    run(*options(write(tmp_path, 18846), *more), **environment)
    [_, (_, _, message)] = server.received
    assert message["title"].startswith("No longer wrong: max-amount-due. Over an advisory limit: ")
    assert "No longer" not in message["message"]


def test_a_message_that_has_nothing_to_add_to_its_first_line_is_sent(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    rules = {"near": {"rule": "max-amount-due", "limit": "100 USD", "enforcementLevel": "advisory"}}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    by = ["--rules", str(tmp_path / "rules.json"), "--budget", "250 USD"]
    # Of several accounts there is no forecast.
    other = ["--snapshot", write_snapshot(tmp_path, OTHER_ACCOUNT, 100)]
    for amount_due in (55500, 18846):
        files = ["--snapshot", write_snapshot(tmp_path, ACCOUNT, amount_due), *other]
        state = ["--state", str(tmp_path / "told.json")]
        assert run("notify", *files, *AT, *by, *state, **environment).stderr == ""
    [_, (_, _, message)] = server.received
    assert message["title"].startswith("No longer wrong: max-amount-due. Over an advisory limit: ")


def test_every_address_is_told_for_itself(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    refusing = f"json://:{SECRET}@127.0.0.1:9/"
    addresses = f"{refusing}\n\n# a comment\n{environment['CF_INVOICE_NOTIFY']}\n"
    state = ["--state", str(tmp_path / "told.json")]
    over = write(tmp_path, 55500)
    done = run(*options(over, *state), **(environment | {"CF_INVOICE_NOTIFY": addresses}))
    assert done.returncode == 2
    assert done.stderr == (
        "cf-invoice: cannot notify address 1 (JSON): it could not be reached, or did not accept "
        "the message\n"
    )
    assert len(server.received) == 1
    # Whoever was not reached is notified the next time.
    done = run(*options(over, *state), **(environment | {"CF_INVOICE_NOTIFY": addresses}))
    assert "cannot notify address 1 (JSON)" in done.stderr
    assert len(server.received) == 1


@pytest.mark.parametrize("threads", [0, 1])
def test_whoever_no_thread_is_left_for_is_told_all_the_same_and_once(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def send(message: delivery.Message, seconds: float) -> str | None:
        sent.append(message.address)
        return message.address if message.address == "b" else None

    started = threading.Thread.start
    left = [True] * threads

    def start(thread: threading.Thread) -> None:
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        started(thread)

    monkeypatch.setattr(delivery, "_send", send)
    monkeypatch.setattr(threading.Thread, "start", start)
    messages = [delivery.Message(address, "", "", False) for address in "abc"]
    assert deliver(messages) == [None, "b", None]
    assert sorted(sent) == ["a", "b", "c"]


def test_an_address_is_known_by_itself_and_not_by_its_place(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    first = environment["CF_INVOICE_NOTIFY"]
    over, state = write(tmp_path, 55500), tmp_path / "told.json"

    def tell(*paths: str, file: Path = state) -> list[str]:
        """Notify the addresses with these paths, and return which of them were told."""
        before = len(server.received)
        addresses = "\n".join(first.replace("/hook", path) for path in paths)
        variables = environment | {"CF_INVOICE_NOTIFY": addresses}
        run(*options(over, "--state", str(file)), **variables)
        return [path for _, path, _ in server.received[before:]]

    assert sorted(tell("/a", "/b")) == ["/a", "/b"]
    # Moved, inserted, replaced, and given twice.
    assert tell("/b", "/a") == []
    assert tell("/new", "/b", "/a") == ["/new"]
    assert tell("/new", "/other", "/a") == ["/other"]
    assert tell("/twice", "/a", "/twice") == ["/twice"]
    # Taken out for a while.
    assert tell("/a", "/b") == []


def test_jobs_with_addresses_of_their_own_can_share_a_state(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, environment = hook
    monkeypatch.setattr(notify, "_MOST_OTHERS", 2)
    first, state = environment["CF_INVOICE_NOTIFY"], tmp_path / "told.json"

    def tell(path: str, amount_due: int = 55500) -> list[str]:
        """Notify the address with this path, and return the titles of what it was told."""
        before = len(server.received)
        variables = environment | {"CF_INVOICE_NOTIFY": first.replace("/hook", path)}
        run(*options(write(tmp_path, amount_due), "--state", str(state)), **variables)
        return [message["title"] for _, _, message in server.received[before:]]

    assert [len(tell(path)) for path in ("/a", "/b", "/a", "/b")] == [1, 1, 0, 0]
    for path in ("/a", "/b"):
        [title] = tell(path, 100)
        assert title.startswith("Fine again.")
    # Neither is a file that grows for ever: those that were not in use for longest go first.
    for path in ("/a", "/b", "/a", "/c", "/d"):
        tell(path)
    assert len(json.loads(state.read_text())["addresses"]) == 3
    assert [len(tell(path)) for path in ("/a", "/b")] == [0, 1]


@pytest.mark.parametrize("of_another", ["over,unknown", "advisory"])
def test_what_ends_while_an_address_is_not_in_the_list_is_news_to_it_when_it_begins_anew(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path, of_another: str
) -> None:
    server, environment = hook
    first, state = environment["CF_INVOICE_NOTIFY"], str(tmp_path / "told.json")

    def tell(path: str, amount_due: int, kinds: str = "over,unknown") -> list[str]:
        """Notify the address with this path, and return how what it was told begins."""
        before = len(server.received)
        variables = environment | {"CF_INVOICE_NOTIFY": first.replace("/hook", path)}
        run(*options(write(tmp_path, amount_due), "--state", state, "--on", kinds), **variables)
        return [message["title"].split()[0] for _, _, message in server.received[before:]]

    for meanwhile, now, told in (
        ([55500, 100], 55500, ["Over"]),
        ([100, 55500], 55500, ["Over"]),
        ([55500, 100], 100, ["Fine"]),
        ([55500, 55500], 55500, []),
    ):
        tell("/a", 100)
        assert tell("/a", 55500) == ["Over"]
        for amount_due in meanwhile:
            tell("/b", amount_due, of_another)
        assert tell("/a", now) == told
        assert tell("/a", now) == []


def test_a_rule_that_another_job_does_not_have_has_not_ended(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    first, rules = environment["CF_INVOICE_NOTIFY"], tmp_path / "rules.json"
    by = ["--rules", str(rules), "--state", str(tmp_path / "told.json")]

    for path, name in (("/a", "one"), ("/b", "another"), ("/a", "one")):
        rule = {"rule": "max-amount-due", "limit": "250 USD"}
        rules.write_text(json.dumps({"rules": {name: rule}}))
        variables = environment | {"CF_INVOICE_NOTIFY": first.replace("/hook", path)}
        run("notify", "--from", write(tmp_path, 55500), *AT, *by, **variables)
    assert len(server.received) == 2


def test_an_address_cannot_be_read_from_the_state(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    _, environment = hook
    over = write(tmp_path, 55500)
    states = [tmp_path / "told.json", tmp_path / "elsewhere.json"]
    for state in states:
        run(*options(over, "--state", str(state)), **environment)
    first, second = (json.loads(state.read_text()) for state in states)
    assert first["salt"] != second["salt"]
    # The same address, which was told the same.
    assert not first["addresses"].keys() & second["addresses"].keys()
    assert list(first["addresses"].values()) == list(second["addresses"].values())
    written = states[0].read_text()
    assert not [part for part in (SECRET, "127.0.0.1", "hook", "json:") if part in written]


def test_a_refusal_is_one_line_without_the_address(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    server.status = 403
    done = run(*options(write(tmp_path, 55500)), **environment)
    assert done.returncode == 2
    assert done.stderr == "cf-invoice: cannot notify address 1 (JSON): it answered HTTP 403\n"
    assert SECRET not in done.stdout


MARKUP = {
    "&#64;a &#10; &amp;#8238;": "&\u2060#\u206064;a &\u2060#\u206010; &\u2060amp;#\u20608238;",
    "[Fix](evil.example/pay)": "\uff3bFix\uff3d(evil.\u2060example/pay)",
    "**a** _b_ __c__": "\uff0a\uff0aa\uff0a\uff0a \uff3fb\uff3f \uff3f\uff3fc\uff3f\uff3f",
    "~~d~~ ||e|| \\f": "\uff5e\uff5ed\uff5e\uff5e \uff5c\uff5ce\uff5c\uff5c \uff3cf",
    "#all :siren: $$x$$": "#\u2060all :\u2060siren: $\u2060$x$\u2060$",
}
LINKS = {
    "tel:+1 mailto:a": "tel:\u2060+1 mailto:\u2060a",
    "\U0001f4b8.ws/pay evil\ufe0f.com": "\U0001f4b8.\u2060ws/pay evil\ufe0f.\u2060com",
    "203.0.113.7/pay www.a.b": "203.\u20600.113.7/pay www.\u2060a.\u2060b",
    "1.ws a.1b /stop": "1.\u2060ws a.\u20601b /\u2060stop",
    "openai/gpt-5.5_mini 12:30 1.5.2": "openai/gpt-5.5_mini 12:30 1.5.2",
}


@pytest.mark.parametrize("shown", [MARKUP, LINKS])
def test_words_of_others_are_no_markup_and_no_link_in_any_chat(
    shown: Mapping[str, str], hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    telegram = "tgram://123456789:AAabcdefghijklmnopqrstuvwxyz012345678/12345"
    environment["CF_INVOICE_NOTIFY"] += f"\n{telegram}"
    file = write(tmp_path, 55500, " ".join(shown))
    run(*options(file, "--budget-line", "*=1 USD"), **environment)
    (_, _, to_hook), (host, _, to_telegram) = sorted(server.received, key=itemgetter(0))
    assert host == "api.telegram.org"
    assert f"The line {' '.join(shown.values())} of" in to_hook["message"]
    # Telegram decodes this once.
    assert f"The line {' '.join(shown.values())} of" in html.unescape(to_telegram["text"])


@pytest.mark.parametrize(("longest", "told"), [(28, 7), (200, 5)])
def test_a_message_is_short_enough_for_discord_and_says_what_is_left_out(
    longest: int, told: int, hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    line = api_result()["invoice_lines"][0]
    names = [f"anthropic/claude-{number}{' of' * longest}"[:longest] for number in range(40)]
    lines = [{**line, "description": name} for name in names]
    (tmp_path / "long.json").write_text(
        json.dumps(api_result(amount_due=55500, invoice_lines=lines))
    )
    link = f"https://ci.example/{'1' * 150}"
    by = ["--budget-line", "*=1 USD", "--link", link]
    run(*options(str(tmp_path / "long.json"), *by), **environment)
    [(_, _, message)] = server.received
    assert len(message["title"] + message["message"]) < 2000
    *shown, more = [line for line in message["message"].splitlines() if line.startswith("- ")]
    assert shown[0].startswith("- max-amount-due: ")
    assert (len(shown), more) == (told, f"- … and {41 - told} more")
    assert "What to do: Cap the gateways with spend limits" in message["message"]
    assert message["message"].splitlines()[-1] == link


def test_mail_is_sent(tmp_path: Path) -> None:
    with receivers.mail() as server:
        address = (
            f"mailto://{server.address}/?from=ci@example.org&to=team@example.org&mode=insecure"
        )
        done = run(*options(write(tmp_path, 55500)), CF_INVOICE_NOTIFY=address)
        assert (done.returncode, done.stderr) == (1, "")
        [mail] = server.received
    assert "team@example.org" in mail
    assert "Subject: " in mail


def test_what_every_run_tells_of_the_rules_is_in_the_message_and_in_the_log(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    """Whether somebody is notified or not."""
    server, environment = hook
    waiver = {"until": "2099-01-01", "by": "cfo", "reason": "launch", "limit": "900 USD"}
    passed_over = {"limit": "900 USD", "failOpen": True}
    rules: dict[str, dict[str, Any]] = {
        "max-amount-due": {"limit": "1 USD", "waiver": waiver},
        "off": {"rule": "max-amount-due", "limit": "1 USD", "enforcementLevel": "disabled"},
        "max-line-amount": {"limits": {"openai/*": "900 USD", "nix/*": "1 USD"}},
        "account-budget": {**passed_over, "accountIds": [ACCOUNT, OTHER_ACCOUNT]},
        "max-forecast": {**passed_over, "accountIds": [ACCOUNT, OTHER_ACCOUNT, 32 * "f"]},
    }
    config = {"max-line-amount": {"limits": {"nix/*": "1 USD"}}}
    file = write_snapshot(tmp_path, ACCOUNT, 18846)
    command = ["notify", *AT, "--snapshot", file, "--rules", str(tmp_path / "rules.json")]
    command += ["--policy-pack-config", str(tmp_path / "config.json")]
    (tmp_path / "config.json").write_text(json.dumps(config))
    notes = [
        f"account-budget: Account {OTHER_ACCOUNT} could not be judged, which failOpen allows: ",
        "max-forecast: 3 accounts could not be judged, which failOpen allows: accounts ",
        "max-amount-due: A waiver with the limit 900 USD is in force until 2099-01-01, by cfo: ",
        "off: It is disabled and judges nothing.",
        "max-line-amount: Pulumi's policy config replaces its limits, and leaves out ",
        f"max-line-amount: No line of the upcoming invoice of account {ACCOUNT} matches nix/",
    ]
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    quiet = run(*command, **environment)
    first, *logged = quiet.stdout.splitlines()
    assert first.startswith("Nobody was notified, because nothing is wrong: ")
    rules["no-more"] = {"rule": "max-amount-due", "limit": "1 USD"}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    told = run(*command, **environment)
    assert told.stdout.splitlines()[1:] == logged
    [(_, _, message)] = server.received
    sent = [line for line in message["message"].splitlines() if line.startswith("Note: ")]
    for lines in (logged, sent):
        assert len(lines) == len(notes)
        for line, note in zip(lines, notes, strict=True):
            assert line.startswith(f"Note: {note}")


@pytest.mark.parametrize(("count", "is_named"), [(1, True), (12, False)])
def test_accounts_that_were_passed_over_are_told_however_much_else_there_is(
    count: int, is_named: bool, hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    """Many rules that passed some over share a line in a message, which has room for a few."""
    server, environment = hook
    passed_over = {"limit": "900 USD", "failOpen": True, "accountIds": [OTHER_ACCOUNT]}
    rules: dict[str, dict[str, Any]] = {
        **{
            f"lines-{n}": {"rule": "max-line-amount", "limits": {f"old{n}/*": "1 USD"}}
            for n in range(25)
        },
        **{f"off-{n}": {"rule": "max-amount-due", "enforcementLevel": "disabled"} for n in "ab"},
        **{f"open-{n}": {"rule": "max-amount-due", **passed_over} for n in range(count)},
        "max-amount-due": {"limit": "1 USD"},
    }
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    command = ["notify", *AT, "--snapshot", write_snapshot(tmp_path, ACCOUNT, 18846)]
    done = run(*command, "--rules", str(tmp_path / "rules.json"), **environment)
    of_each = [f"Note: open-{n}: Account {OTHER_ACCOUNT} could not be " for n in range(count)]
    names = ", ".join(sorted(f"open-{n}" for n in range(count)))
    all_in_one = [f"Note: Accounts passed over, which failOpen allows: {names}."]
    [(_, _, message)] = server.received
    sent = [each for each in message["message"].splitlines() if "failOpen" in each]
    for line, begins in zip(sent, of_each if is_named else all_in_one, strict=True):
        assert line.startswith(begins)
    _, *logged = done.stdout.splitlines()
    for line, begins in zip(logged[:count], of_each, strict=True):
        assert line.startswith(begins)
    assert [line for line in logged if " disabled " in line] == [
        f"Note: off-{n}: It is disabled and judges nothing." for n in "ab"
    ]
    assert logged[-1] == "… and 5 more"


@pytest.mark.parametrize(
    ("on", "is_told"),
    [("unknown", False), ("over,advisory", True), ("advisory", False), ("outlook", False)],
)
def test_people_are_told_of_what_they_ask_for(
    on: str, is_told: bool, hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    done = run(*options(write(tmp_path, 55500), "--on", on), **environment)
    assert done.returncode == 1
    assert bool(server.received) == is_told


def test_what_people_do_not_ask_for_now_is_not_said_to_be_fine(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    state = ["--state", str(tmp_path / "told.json")]

    def told(amount_due: int, on: str) -> int:
        run(*options(write(tmp_path, amount_due), *state, "--on", on), **environment)
        return len(server.received)

    assert told(55500, "over") == 1
    assert told(55500, "advisory") == 1
    assert told(55500, "over") == 1
    assert told(100, "over") == 2
    assert server.received[-1][2]["title"].startswith("Fine again.")


def test_two_accounts_that_are_not_known_are_told_apart_under_one_name(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    state = ["--state", str(tmp_path / "told.json"), "--budget", "250 USD", *AT]

    def morning(*due: int) -> None:
        files = [["--from", write(tmp_path, amount), "--name", "ai"] for amount in due]
        run("notify", *[word for file in files for word in file], *state, **environment)

    morning(55500, 100)
    morning(55600, 55700)
    first, both = (message["message"] for _, _, message in server.received)
    assert first.startswith("- max-amount-due: ai: ")
    assert both.startswith("- max-amount-due: ai (2): ")


def test_a_forecast_that_passes_a_limit_is_told_to_those_who_ask(
    hook: tuple[Webhook, dict[str, str]], sandbox: Sandbox, settled: dict[str, str], tmp_path: Path
) -> None:
    server, environment = hook
    sandbox.scenario = "steady"
    usual = take(settings.resolve(ACCOUNT, [settings.environment(settled)]), NOW)
    (tmp_path / "snapshot.json").write_text(usual.to_json())
    asked = ["notify", "--snapshot", str(tmp_path / "snapshot.json"), "--budget", "300 USD", *AT]
    unasked = run(*asked, **environment).stdout
    assert unasked.startswith(
        "Nobody was notified, because --on does not include it: Within budget so far"
    )
    done = run(*asked, "--on", "outlook", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    [(_, _, message)] = server.received
    assert message["title"].startswith("Within budget so far")
    assert "passes the limit of $300 about 2026-09-" in message["message"]


REFUSED = {"usage-history": "http-403"}


@pytest.fixture
def growing(hook: tuple[Webhook, dict[str, str]], tmp_path: Path) -> Callable[..., int]:
    """Notify of an account whose growing usage passes a limit, and return how many were told."""
    server, environment = hook
    state = ["--state", str(tmp_path / "told.json")]

    def morning(
        now: datetime = NOW,
        faults: dict[str, str] | None = None,
        amount_due: int | None = None,
        on: str = "over,unknown,outlook",
        **invoice: int,
    ) -> int:
        with serving(Sandbox("growing", now=now)) as sandbox:
            sandbox.faults, sandbox.amount_due = faults or {}, amount_due
            written = json.loads(take(settings_for(sandbox.base_url), now).to_json())
        written["reads"]["invoice-preview"]["result"].update(invoice)
        (tmp_path / "snapshot.json").write_text(json.dumps(written))
        files = ["--snapshot", str(tmp_path / "snapshot.json"), "--at", now.isoformat()]
        run("notify", *files, "--budget", "500 USD", "--on", on, *state, **environment)
        return len(server.received)

    return morning


def test_a_forecast_over_a_limit_is_not_fine_again_while_usage_cannot_be_read(
    hook: tuple[Webhook, dict[str, str]], growing: Callable[..., int]
) -> None:
    server, _ = hook
    assert [growing(), growing(faults=REFUSED), growing()] == [1, 1, 1]
    assert growing(amount_due=100) == 2
    assert server.received[-1][2]["title"].startswith("Fine again.")


def test_a_forecast_that_was_not_made_this_time_is_named_in_a_message_about_something_else(
    hook: tuple[Webhook, dict[str, str]], growing: Callable[..., int], tmp_path: Path
) -> None:
    server, environment = hook
    growing()
    growing(faults=REFUSED)
    files = ["--snapshot", str(tmp_path / "snapshot.json"), "--at", NOW.isoformat()]
    limits = ["--budget", "500 USD", "--budget-line", "*=1 USD", "--on", "over,outlook"]
    run("notify", *files, *limits, "--state", str(tmp_path / "told.json"), **environment)
    lines = server.received[-1][2]["message"].splitlines()
    assert f"Not judged this time: the forecast for max-amount-due ({ACCOUNT})." in lines


def test_a_forecast_ends_with_its_period_even_if_usage_cannot_be_read(
    hook: tuple[Webhook, dict[str, str]], growing: Callable[..., int]
) -> None:
    server, _ = hook
    ended = int(NOW.timestamp()) - 3600
    assert [growing(), growing(faults=REFUSED, period_end=ended)] == [1, 2]
    assert server.received[-1][2]["title"].startswith("Fine again.")


def test_a_forecast_is_reported_anew_in_the_next_period(
    hook: tuple[Webhook, dict[str, str]], growing: Callable[..., int]
) -> None:
    server, _ = hook
    october, november = NOW + timedelta(days=30), NOW + timedelta(days=61)
    assert [growing(), growing(october), growing(november, REFUSED)] == [1, 2, 3]
    _, again, fine = (message for _, _, message in server.received)
    assert "passes the limit of $500 about 2026-10-" in again["message"]
    assert "No longer" not in again["title"] + again["message"]
    assert fine["title"].startswith("Fine again.")


@pytest.mark.parametrize("on", ["over,unknown,outlook", "outlook"])
def test_a_forecast_that_has_come_true_is_neither_fine_again_nor_kept(
    on: str, hook: tuple[Webhook, dict[str, str]], growing: Callable[..., int]
) -> None:
    server, _ = hook
    growing(on=on)
    assert growing(faults=REFUSED, amount_due=60000, on=on) == 2
    over = server.received[-1][2]
    assert over["title"].startswith("Over budget: ")
    assert "No longer" not in over["message"]
    growing(faults=REFUSED, amount_due=100)
    assert growing() == (4 if "over" in on else 3)
    assert "passes the limit of $500 about" in server.received[-1][2]["message"]


def test_a_loop_in_the_night_is_reported_once_with_what_to_do_and_again_when_it_is_over(
    hook: tuple[Webhook, dict[str, str]], sandbox: Sandbox, settled: dict[str, str], tmp_path: Path
) -> None:
    server, environment = hook
    sandbox.scenario = "steady"
    quiet = take(settings.resolve(ACCOUNT, [settings.environment(settled)]), NOW).to_json()
    loop = json.loads(quiet)
    *_, last_night, _ = loop["reads"]["usage-history"]["result"]["history"]
    last_night["aggregated_value"] *= 20
    rule = {
        "accountIds": [ACCOUNT],
        "limit": "3x",
        "atLeast": "25 USD",
        "baseUrl": sandbox.base_url,
    }
    (tmp_path / "rules.json").write_text(json.dumps({"rules": {"max-daily-spend": rule}}))

    def morning(written: str) -> int:
        (tmp_path / "snapshot.json").write_text(written)
        files = [
            "--snapshot",
            str(tmp_path / "snapshot.json"),
            "--rules",
            str(tmp_path / "rules.json"),
        ]
        done = run("notify", *files, "--state", str(tmp_path / "told.json"), **environment)
        return done.returncode

    assert [morning(quiet), morning(json.dumps(loop)), morning(json.dumps(loop))] == [0, 1, 1]
    [(_, _, message)] = server.received
    assert "2026-09-14" in message["message"]
    assert "What to do: " in message["message"]
    assert [morning(quiet), morning(quiet)] == [0, 0]
    assert server.received[1][2]["title"].startswith("Fine again.")
    assert len(server.received) == 2


@pytest.fixture
def evenings(hook: tuple[Webhook, dict[str, str]], tmp_path: Path) -> Callable[..., dict[int, str]]:
    """Notify of the spend of each day every evening, and return what was sent, by the day."""
    server, environment = hook
    rule = {"accountIds": [ACCOUNT], "limit": "3x", "atLeast": "25 USD"}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": {"max-daily-spend": rule}}))
    by = ["--rules", str(tmp_path / "rules.json"), "--state", str(tmp_path / "told.json")]

    def written(now: datetime, loops: Collection[int], lost: Collection[int]) -> str:
        content = json.loads(taken("steady", now).to_json())
        result = content["reads"]["usage-history"]["result"]
        of_day = {
            datetime.fromtimestamp(entry["start_time"] / 1000, UTC).date(): entry
            for entry in result["history"]
        }
        for day in loops:
            if entry := of_day.get(date(2026, 9, day)):
                entry["aggregated_value"] *= 20
        for day in lost:
            of_day.pop(date(2026, 9, day), None)
        result["history"] = list(of_day.values())
        return json.dumps(content)

    def tell(loops: Collection[int] = (), lost: Collection[int] = ()) -> dict[int, str]:
        told = {}
        for day in range(9, 19):
            now = datetime(2026, 9, day, 22, tzinfo=UTC)
            (tmp_path / "snapshot.json").write_text(written(now, loops, lost))
            before = len(server.received)
            files = ["--snapshot", str(tmp_path / "snapshot.json"), "--at", now.isoformat()]
            run("notify", *files, *by, **environment)
            for _, _, message in server.received[before:]:
                told[day] = f"{message['title']}\n{message['message']}"
        return told

    return tell


@pytest.mark.parametrize("second", [11, 14])
def test_a_second_loop_is_told_while_the_first_is_still_judged(
    second: int, evenings: Callable[..., dict[int, str]]
) -> None:
    told = evenings(loops=[10, second])
    assert list(told) == [10, second, second + 4]
    first, again, fine = told.values()
    assert " on 2026-09-10 " in first
    assert [line for line in again.splitlines() if line.startswith("- ")] == [
        line for line in again.splitlines() if f" on 2026-09-{second} " in line
    ]
    assert "No longer" not in again
    assert fine.startswith("Fine again.")


def test_days_that_the_usage_history_lacks_are_told_once(
    evenings: Callable[..., dict[int, str]],
) -> None:
    unknown, fine = evenings(lost=range(10, 15)).values()
    assert unknown.startswith("Unknown")
    assert fine.startswith("Fine again.")


def test_the_docs_show_what_people_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    morning = taken("night-loop", datetime(2026, 9, 16, 6, 23, tzinfo=UTC))
    (tmp_path / "snapshot.json").write_text(morning.to_json())
    rule = {"accountIds": [ACCOUNT], "limit": "3x", "atLeast": "25 USD"}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": {"max-daily-spend": rule}}))
    monkeypatch.chdir(tmp_path)
    link = re.search(r"^https://\S+/runs/\d+$", page("slack"), re.M)
    assert link
    files = ["--snapshot", "snapshot.json", "--rules", "rules.json"]
    at = ["--at", morning.read_at.isoformat()]
    done = run("notify", *files, *at, "--link", link[0], "--dry-run")
    sent = done.stdout.removeprefix("Would send:\n\n").splitlines()
    [shown] = re.findall(r"^```\n(Over budget.*?)^```", page("slack"), re.M | re.S)
    # The message has the forecast as made on that day.
    assert shown.splitlines() == [line for line in sent if not line.startswith("Forecast ")]


def test_a_report_that_cannot_be_made_is_reported_and_is_exit_code_2(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    done = run(*options(str(tmp_path / "missing.json")), **environment)
    assert done.returncode == 2
    assert done.stderr.endswith("missing.json: No such file or directory\n")
    [(_, _, message)] = server.received
    assert message["title"] == "Unknown: no report could be made."
    assert "No such file or directory" in message["message"]


def test_a_dry_run_shows_the_message_and_tells_nobody(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    state = tmp_path / "told.json"
    done = run(*options(write(tmp_path, 55500), "--dry-run", "--state", str(state)), **environment)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("Would send:\n\nOver budget: $555.00")
    assert server.received == []
    assert not state.exists()
    assert run(*options(write(tmp_path, 55500), "--dry-run")).returncode == 1


def test_a_dry_run_tells_what_would_be_sent_to_its_own_addresses(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    first = hook[1]["CF_INVOICE_NOTIFY"]

    def notify(amount_due: int, *paths: str, more: Sequence[str] = ()) -> str:
        addresses = "\n".join(first.replace("/hook", path) for path in paths)
        by = ["--state", str(tmp_path / "told.json"), *more]
        given = {"CF_INVOICE_NOTIFY": addresses}
        return run(*options(write(tmp_path, amount_due), *by), **given).stdout.split(":")[0]

    notify(55500, "/a")
    notify(100, "/b")
    dry = ["--dry-run"]
    assert notify(55500, "/b", more=dry) == "Would send"
    assert notify(100, "/a", more=dry) == "Would send"
    nobody = "Nobody would be notified, because nothing is wrong"
    assert notify(100, "/b", more=dry) == nobody
    assert notify(100, "/b", "/a", more=dry) == "Would send"
    # Without an address, it is as though to those of the last run.
    assert notify(100, more=dry) == nobody


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"version": 3, "salt": "00000000000000000000000000000000", "addresses": {"00": [1]}}',
        '{"version": 3, "salt": "00000000000000000000000000000000", "addresses": [[]]}',
        '{"version": 3, "salt": "of no use", "addresses": {}}',
        '{"version": 3, "salt": 5, "addresses": {}}',
        # Without a salt, an address has the same hash in every file.
        '{"version": 3, "salt": "", "addresses": {}}',
        '{"version": 1, "addresses": [[["over", "max-amount-due", ""]]]}',
        '{"version": 2, "salt": "00000000000000000000000000000000", "addresses": {}}',
    ],
)
def test_a_broken_state_hides_nothing(
    content: str, hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    state = tmp_path / "told.json"
    state.write_text(content)
    done = run(*options(write(tmp_path, 55500), "--state", str(state)), **environment)
    assert done.returncode == 1
    assert "the file of --state cannot be read: everything is sent again" in done.stderr
    assert len(server.received) == 1
    [problems] = json.loads(state.read_text())["addresses"].values()
    assert problems == [["over", "max-amount-due", "an unknown account", ""]]


@pytest.mark.parametrize("content", ["[]", '{"rules": {}}', f"{ACCOUNT} Ours\n", " ", "\0" * 99])
def test_a_file_that_is_no_state_is_not_replaced_by_one(
    content: str, hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    rules = tmp_path / "rules.json"
    rules.write_text(content)
    done = run(*options(write(tmp_path, 55500), "--state", str(rules)), **environment)
    assert done.returncode == 2
    assert "--state names a file that `cf-invoice notify` has not written" in done.stderr
    assert (server.received, rules.read_text()) == ([], content)


def test_a_state_that_cannot_be_written_is_one_line(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    _, environment = hook
    over = write(tmp_path, 55500)
    done = run(
        *options(over, "--state", str(tmp_path / "new" / "file" / "state.json")), **environment
    )
    assert done.returncode == 1
    (tmp_path / "file").write_text("")
    done = run(*options(over, "--state", str(tmp_path / "file" / "state.json")), **environment)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("cf-invoice: cannot write the file of --state: ")


def test_a_state_that_is_no_file_is_refused_before_anybody_is_told(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        state = ["--state", str(tmp_path / name)]
        done = run(*options(write(tmp_path, 55500), *state), **environment)
        assert done.returncode == 2
        assert done.stderr == (
            "cf-invoice: --state is not a file: name one, which may not exist yet\n"
        )
    assert not server.received


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [
        ([], "", "nobody to notify: set CF_INVOICE_NOTIFY"),
        (
            [],
            f"nonsense://{SECRET}",
            "address 1 in CF_INVOICE_NOTIFY or --addresses is in no form that apprise knows",
        ),
        ([], f"json://127.0.0.1/\n{SECRET}", "address 2 in CF_INVOICE_NOTIFY or --addresses"),
        (
            [],
            f"json://127.0.0.1/, json://{SECRET}/",
            "address 1 in CF_INVOICE_NOTIFY or --addresses has another after it: write one per",
        ),
        # Two files that were joined, the first without a line break at its end.
        *(
            ([], f"json://127.0.0.1/{end}slack://{SECRET}/b/c", "address 1 in CF_INVOICE_NOTIFY or")
            for end in ("", "x", "?a=b", "?to=https://example.com/")
        ),
        ([], f"json://:{SECRET}\udcff@127.0.0.1:9/", "CF_INVOICE_NOTIFY is not UTF-8"),
        (["--addresses", "missing.txt"], "", "cannot read the file of --addresses: No such file"),
        (["--on", "ovr"], "", "there is no 'ovr'; known: over, unknown, advisory, outlook"),
    ],
)
def test_what_cannot_work_is_one_line_without_an_address(
    arguments: list[str], variable: str, expected: str, tmp_path: Path
) -> None:
    done = run(*options(write(tmp_path, 55500), *arguments), CF_INVOICE_NOTIFY=variable)
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert SECRET not in done.stderr + done.stdout


@pytest.mark.parametrize("given", ["variable", "file"])
def test_an_address_that_a_preview_repeats_is_redacted(given: str, tmp_path: Path) -> None:
    """As a program does whose own message to it failed."""
    address = f"json://127.0.0.1:9/{SECRET}/hook"
    (tmp_path / "addresses.txt").write_text(f"# ours\n{address}\n")
    diagnostics = [{"severity": "error", "message": f"cannot post to {address}"}]
    digest = {"steps": [], "changeSummary": {}, "diagnostics": diagnostics}
    (tmp_path / "preview.json").write_text(json.dumps(digest))
    options = ["notify", "--dry-run", "--from", str(tmp_path / "preview.json"), "--budget", "1 USD"]
    if given == "file":
        done = run(*options, "--addresses", str(tmp_path / "addresses.txt"))
    else:
        done = run(*options, CF_INVOICE_NOTIFY=address)
    assert "cannot post to" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_an_address_may_have_another_as_a_parameter() -> None:
    notify.Receiver(1, "json://127.0.0.1/?to=https://example.com/&from=http://example.com/")


def test_a_file_of_addresses_may_begin_with_a_byte_order_mark(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    server, environment = hook
    address = environment.pop("CF_INVOICE_NOTIFY")
    (tmp_path / "addresses.txt").write_text(f"\ufeff{address}\n", "utf-8")
    given = ["--addresses", str(tmp_path / "addresses.txt")]
    done = run(*options(write(tmp_path, 55500), *given), **environment)
    assert (done.returncode, done.stderr) == (1, "")
    assert len(server.received) == 1


@pytest.mark.parametrize("how", ["disabled", "suspended"])
def test_where_no_rule_is_in_force_nothing_is_said_to_be_fine(how: str, tmp_path: Path) -> None:
    waiver = {"until": "2099-01-01", "by": "cfo", "reason": "launch"}
    rules: dict[str, Any] = {
        "disabled": {"max-amount-due": {"limit": "1 USD", "enforcementLevel": "disabled"}},
        "suspended": {"allowed-statuses": {"statuses": ["paid"], "waiver": waiver}},
    }
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules[how]}))
    given = ("--from", write(tmp_path, 55500), "--rules", str(tmp_path / "rules.json"))
    done = run("notify", *given, *AT, "--dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith("Nobody would be notified, because no rule is in force: $555.00 ")


def test_a_disabled_rule_whose_violation_was_told_is_why_nobody_is_notified(
    hook: tuple[Webhook, dict[str, str]], tmp_path: Path
) -> None:
    _, environment = hook
    by = ["--rules", str(tmp_path / "rules.json"), "--state", str(tmp_path / "told.json")]
    told = []
    for level in ("mandatory", "disabled"):
        rule = {"limit": "1 USD", "enforcementLevel": level}
        (tmp_path / "rules.json").write_text(json.dumps({"rules": {"max-amount-due": rule}}))
        done = run("notify", "--from", write(tmp_path, 55500), *AT, *by, **environment)
        told.append(done.stdout)
    assert told[0].startswith("Notified 1 of 1 addresses")
    assert told[1].startswith("Nobody was notified, because no rule is in force: $555.00 ")


def test_nothing_to_judge_is_refused(tmp_path: Path) -> None:
    done = run("notify", "--from", write(tmp_path, 55500), CF_INVOICE_NOTIFY="json://127.0.0.1/")
    assert done.returncode == 2
    assert "nothing would be judged: give --rules or --budget" in done.stderr


# Whatever compares each problem with each takes minutes.
@pytest.mark.timeout(120)
def test_thousands_of_problems_have_a_message() -> None:
    accounts = [f"{number:032x}" for number in range(20_000)]
    wrong = [Wrong("over", "limit", account, f"{account} is over.") for account in accounts]
    notice = Notice("Over budget.", wrong, judged={"", *accounts})
    before = [problem.key for problem in wrong[1:]]
    assert notice.is_news(before)
    assert notice.body(before, None).splitlines() == [
        f"- {accounts[0]} is over.",
        "As before: limit.",
    ]
    assert Notice("Fine.", [], judged={"", *accounts}).title(before).startswith("Fine again.")


@pytest.mark.parametrize("count", [2, 9])
def test_a_message_of_everything_at_once_is_short_enough_for_discord(count: int) -> None:
    known = [Wrong("over", "a" * 100, f"{number:032x}", "Over.").key for number in range(9)]
    suspended = [Wrong("over", "b" * 100, f"{number:032x}", "Over.").key for number in range(9)]
    wrong = [
        *(Wrong("over", "c", f"{n:032x}", f"{n}" * 600, f"{n}" * 600) for n in range(9)),
        Wrong("over", "a" * 100, f"{0:032x}", "Over."),
    ]
    notice = Notice(
        *("h" * 600, wrong, "f" * 600, ["n" * 600] * 9, "o" * 600),
        judged={key.account for key in known},
        suspended={"b" * 100},
        passed_over={f"{number}" * 100: "p" * 600 for number in range(count)},
    )
    title, body = notice.title([*known, *suspended]), notice.body([*known, *suspended], "l" * 150)
    assert len(title + body) < 2000
    assert re.search("^\u2026 and [89] more notes$", body, re.MULTILINE)


def test_notes_leave_room_for_what_is_wrong() -> None:
    wrong = [Wrong("over", "limit", f"{n:032x}", f"{n} is over {'x' * 100}.") for n in range(8)]
    notes = [f"{n}: it is disabled {'n' * 200}" for n in range(8)]
    lines = Notice("Over budget.", wrong, notes=notes).body([], None).splitlines()
    assert len([line for line in lines if line.startswith("- ")]) == len(wrong)
    assert any(line.startswith("Note: 0: it is disabled") for line in lines)
    assert any(re.fullmatch("\u2026 and [1-7] more notes?", line) for line in lines)


def test_the_number_of_notes_takes_the_place_of_no_problem() -> None:
    wrong = [Wrong("over", "limit", f"{n}", f"{n} is over {'x' * 227}.") for n in range(8)]
    notes = [f"{n}: it is disabled" for n in range(3)]
    for count, noted in ((8, []), (7, notes)):
        lines = Notice("Over budget.", wrong[:count], notes=notes).body([], None).splitlines()
        assert lines == [
            *(f"- {each.text}" for each in wrong[:count]),
            *(f"Note: {note}" for note in noted),
        ]


def test_why_an_account_was_passed_over_leaves_room_for_what_is_wrong() -> None:
    unread = {"accountIds": [OTHER_ACCOUNT], "limit": "1 USD", "failOpen": True}
    rules: dict[str, dict[str, Any]] = {
        **{f"open-{n}": {"rule": "max-amount-due", **unread} for n in range(3)},
        **{f"over-{n}": {"rule": "max-amount-due", "limit": f"{n} USD"} for n in range(4)},
    }
    for count in (1, 4):
        several = {name: rules[name] for name in [*rules][: 3 + count]}
        lines = (
            notice_of(report_on(taken("usual"), rules=several), KINDS).body([], None).split("\n")
        )
        assert [line[:8] for line in lines[:count]] == [f"- over-{n}" for n in range(count)]
        for n in range(3):
            [note] = [line for line in lines if line.startswith(f"Note: open-{n}: Account ")]
            briefly = note.endswith(" could not be judged, which failOpen allows.")
            assert briefly == (count > 1), note


def test_what_is_over_is_told_before_what_is_not_known_whatever_the_order_of_rules() -> None:
    limit = {"rule": "max-amount-due", "limit": "1 USD"}
    rules = {
        "unread": {**limit, "accountIds": [OTHER_ACCOUNT]},
        "over": {**limit, "accountIds": [ACCOUNT]},
    }
    reader = AccountReader({}, snapshots=[taken("usual", NOW)])
    judged = judge(parse_rules({"rules": rules}), [], NOW, reader)
    wrong = notice_of(make_report([], at=NOW, rules=judged), KINDS).wrong
    assert [each.rule for each in wrong] == ["over", "unread"]


def test_lines_are_shortened_before_any_is_left_out() -> None:
    over = [Wrong("over", "budget", f"{n}", f"{n} is over {'x' * 150}.") for n in range(4)]
    unread = [Wrong("unknown", "limit", n, f"{n} is not known: {'x' * 360}.") for n in "abc"]
    lines = Notice("Over budget.", [*over, *unread]).body([], None).splitlines()
    assert [line[2] for line in lines] == ["0", "1", "2", "3", "a", "b", "c"]
