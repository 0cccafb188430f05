"""Commands about many accounts: what they request, what they name, and what they never ignore."""

import errno
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pulumi_cf_invoice import Invoice
from pulumi_cf_invoice.billing.errors import ApiError
from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.cli import main, progress
from pulumi_cf_invoice.cli.accounts import is_unused
from pulumi_cf_invoice.sandbox import Sandbox
from tests.conftest import pointed_at
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, snapshot
from tests.unit.test_client import stand_in

COUNT = 5
AT = NOW.isoformat()
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def several() -> Iterator[Sandbox]:
    """A sandbox with some accounts, all of which its token sees."""
    with Sandbox(now=NOW, number_of_accounts=COUNT) as running:
        yield running


@pytest.fixture
def run(
    several: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command against the sandbox: its exit code, and both of its streams."""
    for name, value in pointed_at(several).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CLOUDFLARE_ACCOUNT_ID")

    def command(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as error:
            code = int(error.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def reported(run: Run, *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = run("report", "--at", AT, "--format", "json", *arguments)
    report: dict[str, Any] = json.loads(out)
    return code, report


def test_missing_credentials_are_missing_for_no_account_in_particular(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN")
    folder = ["--output", str(tmp_path)]
    for command in (["report", "--budget", "1 USD"], ["snapshot", *folder], ["doctor"]):
        code, out, errors = run(*command, "--all-accounts")
        said = "no credentials: set CLOUDFLARE_API_TOKEN; " in f"{out}{errors}"
        assert (code, said) == (2, True), (out, errors)


@pytest.mark.parametrize(
    ("result", "of", "problem"),
    [
        ([], 0, "the token sees no accounts: give it Account Settings Read on those to read"),
        ([{"id": ACCOUNT}], 2, "the API gave only a part of the list of accounts: run again"),
        # One that has moved to another page meanwhile has hidden another one.
        ([{"id": ACCOUNT}, {"id": ACCOUNT.upper()}], 2, "the API gave only a part of the list"),
        ({}, 1, "the answer has an invalid result: result: not a list"),
        ([1], 1, "the answer has an invalid result: result.0: not an object"),
        ([{"id": "me"}], 1, "the answer has an invalid result: result.0.id: not an account ID"),
    ],
)
def test_accounts_of_which_the_list_is_not_whole_are_not_read(
    run: Run, monkeypatch: pytest.MonkeyPatch, result: Any, of: int, problem: str
) -> None:
    paging = {"page": 1, "per_page": 50, "count": len(result), "total_count": of, "total_pages": 1}
    answer = {"success": True, "errors": [], "result": result, "result_info": paging}
    with stand_in(json.dumps(answer)) as (base_url, _):
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", base_url)
        code, _, errors = run("report", "--all-accounts", "--budget", "1 USD")
    assert (code, problem in errors, errors.count("\n")) == (2, True, 1), errors
    assert f"The request went to {base_url}, not to Cloudflare." in errors


def test_all_accounts_that_the_token_sees_are_reported_by_name(several: Sandbox, run: Run) -> None:
    code, report = reported(run, "--all-accounts", "--budget", "5000 USD")
    assert code == 0
    assert [invoice["account_id"] for invoice in report["invoices"]] == several.directory.ids
    names = [[f"Sandbox account {number + 1}"] for number in range(COUNT)]
    assert [invoice["names"] for invoice in report["invoices"]] == names
    due = [invoice["amount_due"]["amount"] for invoice in report["invoices"]]
    assert report["totals"][0]["amount"] == sum(due)
    assert reported(run, "--all-accounts", "--budget", f"{(max(due) - 1) / 100} USD")[0] == 1


def test_an_account_is_left_out_by_its_id(several: Sandbox, run: Run) -> None:
    _, report = reported(run, "--all-accounts", "--except", ACCOUNT.upper())
    assert [each["account_id"] for each in report["invoices"]] == several.directory.ids[1:]
    assert ACCOUNT not in {asked.account_id for asked in several.asked}
    assert (
        "which is not among the accounts" in run("show", "--all-accounts", "--except", "f" * 32)[2]
    )
    every = [argument for account in several.directory.ids for argument in ("--except", account)]
    assert "leaves out every account" in run("show", "--all-accounts", *every)[2]
    alone = run("show", "--account-id", ACCOUNT, "--except", ACCOUNT)
    assert alone[0] == 2
    assert "--except has no effect without" in alone[2]


def test_accounts_are_named_by_repeating_the_option_or_in_a_file(
    several: Sandbox, run: Run, tmp_path: Path
) -> None:
    first, second = several.directory.ids[:2]
    file = tmp_path / "accounts.txt"
    # A comment can have an account that is left out.
    comments = f"# ours\n#{OTHER_ACCOUNT} old\n# ({OTHER_ACCOUNT})\n"
    lines = f"{first.upper()} Team A, of 3fe1413d\n{second}\t\n"
    file.write_text(f"\ufeff{comments}\n{lines}", "utf-8")
    _, by_option = reported(run, "--account-id", first, "--account-id", second)
    _, by_file = reported(run, "--accounts", str(file))
    for report in (by_option, by_file):
        assert [each["account_id"] for each in report["invoices"]] == [first, second]
    assert [each["names"] for each in by_file["invoices"]] == [["Team A, of 3fe1413d"], []]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"{ACCOUNT} a\nxyz b\n", "line 2: 'xyz' is not an account ID"),
        (f"{ACCOUNT}\n,prod\n", "line 2: "),
        (f"{ACCOUNT}\n;{OTHER_ACCOUNT},prod\n", "line 2: "),
        (f"{ACCOUNT}\n\n{ACCOUNT.upper()} b\n", f"line 3: account {ACCOUNT} appears twice, first"),
        (f"{ACCOUNT} {OTHER_ACCOUNT}\n", "line 1: the name has what may be a second"),
        (f"{ACCOUNT},{OTHER_ACCOUNT.upper()};b\n", "line 1: the name has what may be"),
        (f"{ACCOUNT}\n{OTHER_ACCOUNT} a (was {ACCOUNT})", "line 2: the name has what may be"),
        # Files that were joined, of which the first has no line break at its end.
        (f"{ACCOUNT} prod{OTHER_ACCOUNT} dev\n", "line 1: the name has what may be"),
        # Eight digits more make it as long as a commit's hash.
        (f"{ACCOUNT} prod 3fe1413d{OTHER_ACCOUNT} dev\n", "and shorten a hash"),
        (
            f"{ACCOUNT} a\n# of 3fe1413d{OTHER_ACCOUNT} b\n",
            "line 2: a word of the comment ends like",
        ),
        (f"{ACCOUNT} a\n# ID={OTHER_ACCOUNT}\n", "or a blank if it is part of the comment"),
        (f"{ACCOUNT}{OTHER_ACCOUNT} dev\n", "line 1: "),
        (f"{ACCOUNT} a\n# of dev{OTHER_ACCOUNT} b\n", "line 2: a word of the comment ends like"),
        (f"{ACCOUNT} a\n# face{OTHER_ACCOUNT}\n", "line 2: a word of the comment ends like"),
        (f"{ACCOUNT} a\n# of dev:{OTHER_ACCOUNT} b\n", "line 2: a word of the comment ends like"),
        (f"{ACCOUNT} a\n# dev\ufeff{OTHER_ACCOUNT} b\n", "line 2: "),
        (f"{ACCOUNT} a\ufeff\n{OTHER_ACCOUNT} b\n", "line 1: another file begins within it"),
        ("# nobody\n", "lists no accounts: write an ID and a name per line"),
    ],
)
def test_a_file_of_accounts_is_refused_with_the_line(
    run: Run, tmp_path: Path, content: str, expected: str
) -> None:
    file = tmp_path / "accounts.txt"
    file.write_text(content)
    for command in ("show", "report", "forecast", "doctor"):
        code, _, errors = run(command, "--accounts", str(file))
        assert code == 2
        assert expected in errors
        assert errors.count("\n") == 1
    assert "cannot read" in run("show", "--accounts", str(tmp_path / "none"))[2]


def test_an_account_that_is_given_twice_is_refused(run: Run) -> None:
    twice = run("show", "--account-id", ACCOUNT, "--account-id", ACCOUNT.upper())
    assert twice[0] == 2
    assert f"--account-id is given twice for account {ACCOUNT}" in twice[2]
    assert "not allowed with argument" in run("show", "--account-id", ACCOUNT, "--all-accounts")[2]


def test_a_token_that_may_not_list_accounts_is_reported_in_one_line(
    several: Sandbox, run: Run
) -> None:
    several.faults["accounts"] = "http-403"
    code, _, errors = run("report", "--all-accounts")
    assert code == 2
    assert "Account Settings Read" in errors
    assert errors.count("\n") == 1


def test_an_account_that_cannot_be_read_is_a_row_and_violates_what_is_mandatory(
    several: Sandbox, run: Run, tmp_path: Path
) -> None:
    """An account that a user named is wanted, whatever the reason it cannot be read."""
    accounts = tmp_path / "accounts.txt"
    accounts.write_text("".join(f"{account}\n" for account in several.directory.ids))
    several.faults["invoice-preview"] = "http-404"

    def once(*arguments: str) -> tuple[int, str, str]:
        several.fail_times = 1
        return run(*arguments, "--accounts", str(accounts))

    code, out, _ = once("report", "--at", AT, "--budget", "5000 USD")
    assert code == 2
    assert "Unknown" in out
    assert "has no upcoming invoice here" in " ".join(out.split())
    code, shown, _ = once("show")
    assert code == 2
    assert shown.count("openai/gpt-5.5") >= COUNT - 1
    code, out, errors = once("forecast", "--format", "json")
    assert code == 2
    assert len(json.loads(out)["forecasts"]) == COUNT - 1
    assert errors.count("\n") == 1


def test_an_account_that_never_used_ai_gateway_is_noted_among_all(
    several: Sandbox, run: Run, tmp_path: Path
) -> None:
    several.scenario = "never-paid"
    several.faults["invoice-preview"] = "http-404"
    several.fail_times = 1
    code, out, _ = run("report", "--all-accounts", "--at", AT, "--budget", "5000 USD")
    assert code == 0
    assert "No invoice: Cloudflare said HTTP" in " ".join(out.split())
    several.fail_times = 1
    code, _, errors = run("snapshot", "--all-accounts", "--output", str(tmp_path))
    assert (code, errors.count("not available"), len(list(tmp_path.iterdir()))) == (0, 1, COUNT - 1)
    several.fail_times = 1
    ids = [argument for account in several.directory.ids for argument in ("--account-id", account)]
    assert run("report", *ids, "--at", AT, "--budget", "5000 USD")[0] == 2


@pytest.mark.parametrize(
    ("code", "is_so"), [(1000, True), (7404, True), (7003, False), (9109, False), (10000, False)]
)
def test_only_a_404_with_a_code_for_nothing_there_is_an_account_never_used(
    code: int, is_so: bool
) -> None:
    refused = ApiError("upcoming invoice", ACCOUNT, 404, code, "No", "Mend it.")
    answers: dict[str, Any] = {read.name.replace("-", "_"): refused for read in READS}
    assert is_unused(snapshot(**answers)) is is_so


@pytest.mark.parametrize(
    ("scenario", "faults"),
    [
        # It has usage, credits or earlier invoices.
        ("usual", {"invoice-preview": "http-404"}),
        # A part of it is not known.
        ("never-paid", {"invoice-preview": "http-404", "usage-history": "http-403"}),
        # The address is wrong, or a proxy answers.
        ("never-paid", {read.name: "error-7000" for read in READS}),
    ],
)
def test_an_account_of_which_another_404_comes_is_not_one_that_was_never_used(
    several: Sandbox, run: Run, tmp_path: Path, scenario: str, faults: dict[str, str]
) -> None:
    several.scenario = scenario
    several.faults.update(faults)
    several.fail_times = 1 if len(faults) == 1 else None
    code, out, _ = run("report", "--all-accounts", "--at", AT, "--budget", "5000 USD")
    assert (code, "No invoice" in out) == (2, False)
    several.fail_times = None
    code, _, _ = run("snapshot", "--all-accounts", "--output", str(tmp_path))
    # Each has its file, from which a report knows that something is missing, or is unread.
    assert code == (2 if len(faults) == len(READS) else 0)
    assert len(list(tmp_path.iterdir())) == (0 if code else COUNT)


def test_where_no_account_can_be_read_the_reason_is_reported_once(
    several: Sandbox, run: Run
) -> None:
    several.fault = "http-403"
    accounts = ["--account-id", ACCOUNT, "--account-id", OTHER_ACCOUNT]
    code, _, errors = run("report", *accounts)
    assert code == 2
    assert errors.count("\n") == 1
    assert "AI Gateway Read" in errors


def test_doctor_tries_every_account(several: Sandbox, run: Run) -> None:
    code, out, _ = run("doctor", "--all-accounts")
    assert code == 0
    assert out.count("invoice-preview  answered") == COUNT
    assert f"account          {ACCOUNT}, Sandbox account 1" in out
    several.faults["invoice-preview"] = "http-404"
    several.fail_times = 1
    code, _, errors = run("doctor", "--all-accounts")
    assert code == 2
    assert f"1 of {len(READS) * COUNT} requests failed" in errors


# Folders of snapshots.


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    """A folder with a snapshot of each account."""
    made = tmp_path / "snapshots"
    assert run("snapshot", "--all-accounts", "--output", str(made))[0] == 0
    return made


@pytest.mark.timeout(60)
def test_a_text_of_blank_lines_among_snapshots_is_passed_over_in_time(
    run: Run, folder: Path
) -> None:
    (folder / "notes.txt").write_text("\n" * 2**16)
    (folder / "more.txt").write_text("[\n" * 2**15)
    code, _ = reported(run, "--snapshot", str(folder), "--budget", "5000 USD")
    assert code == 0


def test_a_snapshot_of_each_account_is_written_and_read(
    several: Sandbox, run: Run, folder: Path
) -> None:
    files = sorted(path.name for path in folder.iterdir())
    assert files == sorted(f"{account}.json" for account in several.directory.ids)
    several.asked.clear()
    code, report = reported(run, "--snapshot", str(folder), "--budget", "5000 USD")
    assert (code, several.asked) == (0, [])
    assert len(report["invoices"]) == COUNT


def test_a_run_is_run_again_for_what_is_not_recent(
    several: Sandbox, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing, older = several.directory.ids[1:3]
    (folder / f"{missing}.json").unlink()
    content = json.loads((folder / f"{older}.json").read_text())
    (folder / f"{older}.json").write_text(json.dumps({**content, "read_at": AT}))
    (folder / f"{several.directory.ids[3]}.json").write_text("torn")
    in_part = folder / f"{several.directory.ids[4]}.json"
    content = json.loads(in_part.read_text())
    content["reads"]["invoice-history"]["complete"] = False
    in_part.write_text(json.dumps(content))
    several.asked.clear()
    again = ["snapshot", "--all-accounts", "--output", str(folder), "--max-age", "1"]
    code, _, errors = run(*again)
    assert code == 0
    asked = {each.account_id for each in several.asked if each.read != "accounts"}
    assert asked == set(several.directory.ids[1:5])
    assert errors == "cf-invoice: already recent enough: 1 account\n"
    assert len(list(folder.iterdir())) == COUNT


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_read_of_which_the_api_gave_only_a_part_is_told(
    several: Sandbox, run: Run, tmp_path: Path, is_folder: bool
) -> None:
    several.scenario = "pages-short"
    account = several.directory.ids[0]
    given = ["--accounts", str(tmp_path / "accounts.txt")] if is_folder else []
    (tmp_path / "accounts.txt").write_text(account)
    given = given or ["--account-id", account]
    code, _, errors = run("snapshot", *given, "--output", str(tmp_path / "snapshots"))
    assert code == 0
    nouns = ("upcoming invoice", "invoice history", "list of AI gateways")
    said = [f"the API gave only a part of the {noun} of account {account}" for noun in nouns]
    assert errors.splitlines() == [f"cf-invoice: {each}: run again" for each in said]


def test_what_was_read_before_a_failure_stays(several: Sandbox, run: Run, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    several.fault = "http-404"
    ids = [argument for account in several.directory.ids for argument in ("--account-id", account)]
    code, _, errors = run("snapshot", *ids, "--output", str(folder))
    assert code == 2
    assert errors.count("not available") == COUNT
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def listing(accounts: list[str], folder: Path) -> list[str]:
    """Return the options of a report on *folder* with a list of these *accounts*, with names."""
    file = folder.with_name("accounts.txt")
    file.write_text("".join(f"{account} Team {n}\n" for n, account in enumerate(accounts)))
    return ["--snapshot", str(folder), "--accounts", str(file)]


def aged(folder: Path, accounts: list[str]) -> None:
    """Let the snapshots of *accounts* be nine days old."""
    for account in accounts:
        file = folder / f"{account}.json"
        content = json.loads(file.read_text())
        file.write_text(json.dumps({**content, "read_at": (NOW - timedelta(days=9)).isoformat()}))


@pytest.fixture
def recent(folder: Path) -> Path:
    """The folder, as if its snapshots had been taken just now."""
    for file in folder.iterdir():
        file.write_text(json.dumps({**json.loads(file.read_text()), "read_at": AT}))
    return folder


@pytest.mark.parametrize("rules", [[], ["--budget", "5000 USD"]], ids=["no rules", "a rule"])
def test_accounts_of_which_a_folder_has_nothing_recent_are_rows_and_exit_code_2(
    several: Sandbox, run: Run, recent: Path, rules: list[str]
) -> None:
    _, gone, older, *_ = several.directory.ids
    (recent / f"{gone}.json").unlink()
    aged(recent, [older])
    given = listing(several.directory.ids, recent)
    code, out, _ = run("report", *given, "--max-age", "96", "--at", AT, *rules)
    assert code == 2
    words = " ".join(out.split())
    assert words.startswith("Unknown: ")
    assert f"Team 1, account {gone} has no upcoming invoice here: there is no snapshot" in words
    assert f"Team 2, account {older} has no upcoming invoice here: the snapshot is 216.0" in words
    assert words.count(" Unknown: ") == 2
    code, report = reported(run, *given, "--max-age", "96", *rules)
    assert (code, report["verdict"], len(report["invoices"])) == (2, "unknown", COUNT - 2)
    # The other commands tell them, too.
    assert run("show", *given)[0] == 2
    code, _, errors = run("forecast", *given)
    assert code == 2
    assert errors.count(f"not available: account {gone}: there is no snapshot of it") == 1


def test_where_a_folder_has_nothing_recent_at_all_each_account_is_named(
    several: Sandbox, run: Run, folder: Path
) -> None:
    aged(folder, several.directory.ids)
    code, out, _ = run("report", "--snapshot", str(folder), "--max-age", "96", "--at", AT)
    assert code == 2
    assert all(account in out for account in several.directory.ids)


def test_an_old_snapshot_is_refused_where_the_account_has_figures_besides(
    run: Run, recent: Path
) -> None:
    (recent / "newer.json").write_text((recent / f"{ACCOUNT}.json").read_text())
    aged(recent, [ACCOUNT])
    code, out, errors = run("report", "--snapshot", str(recent), "--max-age", "96", "--at", AT)
    assert (code, out) == (2, "")
    assert f"account {ACCOUNT}: the snapshot is 216.0 hours old" in errors


@pytest.fixture
def refused(several: Sandbox, recent: Path) -> str:
    """An account in the folder whose invoice was refused."""
    account = several.directory.ids[1]
    file = recent / f"{account}.json"
    content = json.loads(file.read_text())
    content["reads"]["invoice-preview"] = {"error": "HTTP 403: not allowed"}
    file.write_text(json.dumps(content))
    return account


def rules_of(several: Sandbox, folder: Path, **accounts: list[str]) -> list[str]:
    """Return the options for rules that read these *accounts*, by the kind of rule."""
    limits = {"account_budget": "5000 USD", "min_credit_balance": "1 USD"}
    rules = {
        kind.replace("_", "-"): {
            "limit": limits[kind],
            "accountIds": ids,
            "baseUrl": several.base_url,
        }
        for kind, ids in accounts.items()
    }
    file = folder.with_name("rules.json")
    file.write_text(json.dumps({"rules": rules}))
    return ["--rules", str(file)]


def test_an_account_that_was_named_and_that_no_rule_could_judge_makes_the_report_unknown(
    several: Sandbox, run: Run, recent: Path, refused: str
) -> None:
    given = listing([ACCOUNT, refused], recent)
    rules = rules_of(several, recent, account_budget=[ACCOUNT])
    code, out, _ = run("report", *given, *rules, "--at", AT)
    words = " ".join(out.split())
    assert (code, words.partition(":")[0]) == (2, "Unknown")
    assert "not every invoice could be read" in words
    assert reported(run, *given, *rules)[1]["verdict"] == "unknown"
    # Without rules nothing is judged, and without a list nobody named the account.
    assert run("report", *given, "--at", AT)[0] == 0
    assert run("report", "--snapshot", str(recent), *rules, "--at", AT)[0] == 0
    # A rule that needs other reads has judged it.
    more = {"min_credit_balance": [refused], "account_budget": [ACCOUNT]}
    code, out, _ = run("report", *given, *rules_of(several, recent, **more), "--at", AT)
    assert (code, out.partition(":")[0]) == (0, "Within budget")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": "max-daily-spend", "limit": "3x"}, 2),
        ({"rule": "account-budget", "limit": "5 USD", "enforcementLevel": "advisory"}, 2),
        ({"rule": "min-credit-balance", "limit": "1 USD", "enforcementLevel": "advisory"}, 0),
        ({"rule": "account-budget", "limit": "5 USD", "failOpen": True}, 0),
    ],
    ids=["only a note", "an advisory rule unknown", "an advisory rule within", "passed over"],
)
def test_an_account_that_was_named_is_judged_by_no_note_and_by_no_advisory_rule_that_is_unknown(
    several: Sandbox,
    run: Run,
    recent: Path,
    refused: str,
    rule: dict[str, Any],
    expected: int,
) -> None:
    content = json.loads((recent / f"{refused}.json").read_text())
    history = content["reads"]["usage-history"]["result"]["history"]
    del history[:-5]
    (recent / f"{refused}.json").write_text(json.dumps(content))
    rules = rules_of(several, recent, account_budget=[ACCOUNT])
    written = json.loads(Path(rules[1]).read_text())
    written["rules"]["other"] = {**rule, "accountIds": [refused], "baseUrl": several.base_url}
    Path(rules[1]).write_text(json.dumps(written))
    code, report = reported(run, *listing([ACCOUNT, refused], recent), *rules)
    assert (code, report["verdict"]) == (expected, "unknown" if expected else "within")


def test_an_account_that_is_asked_for_by_its_id_is_unknown_where_no_rule_could_judge_it(
    several: Sandbox, run: Run, tmp_path: Path
) -> None:
    other, *_ = several.directory.ids[1:]
    rules = rules_of(several, tmp_path / "x", min_credit_balance=[ACCOUNT])
    several.faults["invoice-preview"] = "http-403"
    for account, expected in ((ACCOUNT, 0), (other, 2)):
        code, out, _ = run("report", "--account-id", account, *rules, "--at", AT)
        assert code == expected, out
        assert out.startswith("Unknown: ") == bool(expected)


@pytest.mark.parametrize("limit", ["5000 USD", "1 USD"], ids=["within", "over an advisory limit"])
def test_the_headline_on_one_invoice_is_unknown_where_another_account_is_absent(
    several: Sandbox, run: Run, recent: Path, limit: str
) -> None:
    gone = several.directory.ids[1]
    (recent / f"{gone}.json").unlink()
    given = listing([ACCOUNT, gone], recent)
    rules = rules_of(several, recent, account_budget=[ACCOUNT])
    written = json.loads(Path(rules[1]).read_text())
    written["rules"]["near"] = {
        **written["rules"]["account-budget"],
        "rule": "account-budget",
        "limit": limit,
        "enforcementLevel": "advisory",
    }
    Path(rules[1]).write_text(json.dumps(written))
    for judged in (rules, []):
        code, report = reported(run, *given, *judged)
        assert (code, report["verdict"]) == (2, "unknown")
        assert report["headline"].startswith("Unknown: $")
        assert report["headline"].endswith("; nothing recent is there of 1 account.")


def test_accounts_that_are_not_on_the_list_are_named_and_left_out(
    several: Sandbox, run: Run, folder: Path
) -> None:
    given = listing(several.directory.ids[:2], folder)
    code, out, _ = run("report", *given, "--at", AT, "--budget", "5000 USD")
    assert code == 0
    words = " ".join(out.split())
    assert "Team 0" in words
    assert "Left out, because not requested: 3 accounts (Sandbox account " in words
    _, report = reported(run, *given)
    assert len(report["invoices"]) == 2
    assert all(account in report["notes"][0] for account in several.directory.ids[2:])
    assert run("forecast", *given)[2].startswith("cf-invoice: Left out, because not requested: ")
    # An account counts once, however many files it has.
    left_out = folder / f"{several.directory.ids[2]}.json"
    (folder / "again.json").write_text(left_out.read_text())
    _, report = reported(run, *given)
    assert "not requested: 3 accounts (" in report["notes"][0]


def test_an_invoice_of_an_unknown_account_is_not_left_out(
    run: Run, recent: Path, tmp_path: Path
) -> None:
    reads = json.loads((recent / f"{ACCOUNT}.json").read_text())["reads"]
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps({"success": True, **reads["invoice-preview"]}))
    listed = tmp_path / "accounts.txt"
    listed.write_text(f"{ACCOUNT}\n{OTHER_ACCOUNT}\n")
    several = ["--account-id", ACCOUNT, "--account-id", OTHER_ACCOUNT]
    for chosen in (several, ["--accounts", str(listed)]):
        code, out, errors = run("report", "--from", str(answer), *chosen)
        assert (code, out) == (2, "")
        assert errors == (
            f"cf-invoice: {answer} does not say which account it is of, so that it cannot be left "
            "out: give it with only one --account-id, which it then counts as\n"
        )
    code, report = reported(run, "--from", str(answer), "--account-id", ACCOUNT)
    assert (code, report["invoices"][0]["account_id"]) == (0, ACCOUNT)


def test_one_account_of_a_folder_is_reported_and_the_others_are_named(
    several: Sandbox, run: Run, folder: Path
) -> None:
    account, *others = several.directory.ids
    given = ["--snapshot", str(folder), "--account-id", account.upper()]
    code, report = reported(run, *given, "--budget", "5000 USD")
    assert (code, [each["account_id"] for each in report["invoices"]]) == (0, [account])
    assert report["notes"][0].startswith("Left out, because not requested: 4 accounts (")
    assert all(other in report["notes"][0] for other in others)
    assert account in run("show", *given)[1]
    assert run("forecast", *given)[0] == 0
    (folder / f"{account}.json").unlink()
    for command in ("report", "show", "forecast"):
        code, out, errors = run(command, *given)
        assert (code, out) == (2, "")
        assert errors == (
            f"cf-invoice: account {account}: there is no snapshot of it: run `cf-invoice snapshot` "
            "again\n"
        )


def test_a_snapshot_keeps_the_name_of_its_account_without_an_address(
    run: Run, tmp_path: Path
) -> None:
    accounts = tmp_path / "accounts.txt"
    accounts.write_text(f"{ACCOUNT} Team A\n{OTHER_ACCOUNT} somebody@example.com's Account\n")
    folder = tmp_path / "named"
    assert run("snapshot", "--accounts", str(accounts), "--output", str(folder))[0] == 0
    _, report = reported(run, "--snapshot", str(folder))
    names = {invoice["account_id"]: invoice["names"] for invoice in report["invoices"]}
    assert names == {ACCOUNT: ["Team A"], OTHER_ACCOUNT: ["[e-mail address]'s Account"]}


def test_a_folder_that_holds_nothing_or_something_else_is_refused(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "has no snapshot" in run("show", "--snapshot", str(empty))[2]
    (folder / "other.json").write_text("{}")
    code, _, errors = run("show", "--snapshot", str(folder))
    assert code == 2
    assert "other.json" in errors
    assert "--name has no effect on" in run("show", "--snapshot", str(folder), "--name", "a")[2]
    assert "--output FOLDER" in run("snapshot", "--all-accounts")[2]
    assert "--max-age" in run("snapshot", "--account-id", ACCOUNT, "--max-age", "1")[2]
    assert "no effect with --from" in run("show", "--snapshot", str(folder), "--all-accounts")[2]


def test_figures_of_unknown_age_do_not_stand_in_for_a_snapshot(
    several: Sandbox, run: Run, recent: Path, tmp_path: Path
) -> None:
    invoice = json.loads((recent / f"{ACCOUNT}.json").read_text())["reads"]["invoice-preview"]
    outputs = Invoice.from_api(invoice["result"]).to_figures()
    text = json.dumps({"invoice": {"account_id": several.directory.ids[1], **outputs}})
    beside = tmp_path / "outputs.json"
    beside.write_text(text)
    (recent / f"{several.directory.ids[1]}.json").unlink()
    given = ["report", *listing(several.directory.ids, recent), "--at", AT, "--budget", "5000 USD"]
    code, out, errors = run(*given, "--from", str(beside), "--max-age", "96")
    assert (code, out) == (2, "")
    assert errors == (
        f"cf-invoice: {beside} does not say when its figures were read, so --max-age cannot judge "
        "it: give a snapshot instead\n"
    )
    assert run(*given, "--from", str(beside))[0] == 0
    misplaced = recent / beside.name
    misplaced.write_text(text)
    code, out, errors = run(*given)
    assert (code, out) == (2, "")
    assert f"{misplaced} is not a snapshot" in errors


def in_own_folder(path: Path) -> None:
    """Write a file into a folder *path*, as actions/download-artifact does by default."""
    path.mkdir()
    (path / f"{ACCOUNT}.json").write_text("{}")


def with_a_nameless_one(path: Path) -> None:
    """Make a folder *path* with a snapshot whose name does not say that it is one."""
    path.mkdir()
    (path / ACCOUNT).write_text("{}")


def with_a_link(path: Path) -> None:
    """Make a folder *path* that leads to another one with JSON in it."""
    path.mkdir()
    (path / "linked").symlink_to(path.parent.resolve())


# By its name in a folder: how to make it, and what is said of it.
NOT_SNAPSHOTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "dangling.json": (lambda path: path.symlink_to("nowhere"), "is not a file that can be read"),
    "loop.json": (lambda path: path.symlink_to(path), "is not a file that can be read"),
    "pipe.json": (os.mkfifo, "is not a file that can be read"),
    "folder.json": (Path.mkdir, "is not a file that can be read"),
    "upper.JSON": (lambda path: path.write_text("{"), "upper.JSON: "),
    "artifact": (in_own_folder, "merge-multiple: true"),
    "artifact.json": (in_own_folder, "merge-multiple: true"),
    "linked": (with_a_link, "a link to another folder, which would not be read"),
    ".json": (lambda path: path.write_text("{"), "/.json: "),
    "copy.json.": (lambda path: path.write_text("{"), "does not end with .json"),
    "lines.jsonl": (lambda path: path.write_text("{"), "does not end with .json"),
    "packed.JSON.gz": (lambda path: path.write_bytes(b"\x1f\x8b"), "does not end with .json"),
    ACCOUNT: (lambda path: path.write_text("\n {"), "does not end with .json"),
    "windows.txt": (lambda path: path.write_text("{", "utf-16"), "does not end with .json"),
    "marked": (lambda path: path.write_text("{", "utf-8-sig"), "does not end with .json"),
    "mixed.log": (lambda path: path.write_text("warning: old\n{"), "does not end with .json"),
    "listed": (lambda path: path.write_text(" " * 2000 + "[\n{"), "does not end with .json"),
    "named": (with_a_nameless_one, "merge-multiple: true"),
}


def test_nothing_in_a_folder_that_may_be_a_snapshot_is_skipped(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder / ".cf-invoice-0123456789abcdef.tmp").write_text('{"torn')
    (folder / "README.md").write_text("Every night's snapshots, as {ACCOUNT}.json")
    (folder / "logs").mkdir()
    assert run("show", "--snapshot", str(folder))[0] == 0
    for name, (make, message) in NOT_SNAPSHOTS.items():
        # A long path, as runners have, is not cut: the name is at its end.
        copy = Path(f"{'snapshots-' * 10}with-{name}")
        shutil.copytree(folder, copy)
        make(copy / name)
        code, out, errors = run("show", "--snapshot", str(copy))
        assert (code, out) == (2, "")
        assert str(copy / name) in errors
        assert message in errors
        assert errors.count("\n") == 1


def test_a_folder_in_a_folder_that_cannot_be_read_is_not_skipped(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = folder / "artifact"
    in_own_folder(inside)
    scan = os.scandir

    def refuse(path: str) -> Any:
        """Refuse as the system does, which lets an administrator read everything."""
        if Path(path) == inside:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    code, out, errors = run("show", "--snapshot", str(folder))
    assert (code, out) == (2, "")
    assert errors == f"cf-invoice: cannot read {inside}: Permission denied\n"


def test_a_snapshot_from_elsewhere_or_with_a_failed_read_is_taken_again(
    several: Sandbox, run: Run, folder: Path
) -> None:
    elsewhere, refused, lacking, *others = several.directory.ids
    content = json.loads((folder / f"{elsewhere}.json").read_text())
    content["base_url"] = "https://api.cloudflare.com/client/v4"
    (folder / f"{elsewhere}.json").write_text(json.dumps(content))
    content = json.loads((folder / f"{refused}.json").read_text())
    content["reads"]["credit-balance"] = {"error": "HTTP 403"}
    (folder / f"{refused}.json").write_text(json.dumps(content))
    content = json.loads((folder / f"{lacking}.json").read_text())
    del content["reads"]["credit-balance"]
    (folder / f"{lacking}.json").write_text(json.dumps(content))
    several.asked.clear()
    code, _, errors = run("snapshot", "--all-accounts", "--output", str(folder), "--max-age", "1")
    assert (code, errors) == (0, f"cf-invoice: already recent enough: {len(others)} accounts\n")
    asked = {each.account_id for each in several.asked if each.read != "accounts"}
    assert asked == {elsewhere, refused, lacking}


def test_an_account_that_was_read_before_is_not_one_that_was_never_used(
    several: Sandbox, run: Run, folder: Path
) -> None:
    known, *others = several.directory.ids
    for account in others:
        (folder / f"{account}.json").unlink()
    several.faults.update({read.name: "http-404" for read in READS})
    code, _, errors = run("snapshot", "--all-accounts", "--output", str(folder))
    assert code == 2
    assert [line for line in errors.splitlines() if "not available" not in line] == [
        f"cf-invoice: account {known} was read earlier, into {folder / f'{known}.json'}: to leave "
        "it out of reports, delete that file"
    ]
    (folder / f"{known}.json").unlink()
    assert run("snapshot", "--all-accounts", "--output", str(folder))[0] == 0


def test_a_long_run_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.001)
    printed = threading.Event()
    monkeypatch.setattr("builtins.print", lambda *_, **__: printed.set())
    with progress.progress(1000) as advance:
        advance()
        assert printed.wait(30)


@pytest.mark.parametrize("is_terminal", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_no_thread_is_said_of_each_account(
    count: int, is_terminal: bool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> NoReturn:
        raise RuntimeError("can't start new thread")

    master, slave = os.openpty()
    accounts = [f"--account-id={number:032x}" for number in range(count)]
    with os.fdopen(slave, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(threading, "_start_new_thread", refuse)
        if is_terminal:
            patched.setattr(sys, "stderr", terminal)
        code, shown, told = run("report", *accounts, "--budget", "1 USD")
        terminal.flush()
        told += read_all(master)
    os.close(master)
    assert code == 2
    assert (shown + told).count("can't start new thread. Close some programs, and run again.")
    assert "Please report it" not in told


def test_a_terminal_shows_how_far_a_run_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a pseudo-terminal, in one line that is written over, above which warnings stand."""
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", terminal)
        patched.setenv("TERM", "xterm")
        with progress.progress(1000) as advance:
            for _ in range(500):
                advance()
            print("waiting 140 s", file=sys.stderr)
        terminal.flush()
        shown = read_all(master)
    os.close(master)
    assert "500 of 1,000 accounts read" in shown
    assert "waiting 140 s\r\n" in shown
    # The line is gone in the end, and the cursor is there again.
    assert shown.rindex("\x1b[?25h") > shown.rindex("accounts read")


def read_all(terminal: int) -> str:
    """Return everything that was written to a pseudo-terminal so far."""
    os.set_blocking(terminal, False)
    parts = []
    with suppress(BlockingIOError):
        while part := os.read(terminal, 4096):
            parts.append(part)
    return b"".join(parts).decode()
