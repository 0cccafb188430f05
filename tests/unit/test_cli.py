import html
import json
import re
import shutil
from collections.abc import Callable
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pulumi_cf_invoice import Invoice
from pulumi_cf_invoice.billing.errors import SettingsError
from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.cli import stack as stack_config
from pulumi_cf_invoice.report import forecasts, markdown
from pulumi_cf_invoice.sandbox import Sandbox
from tests.command import run
from tests.factories import ACCOUNT, OTHER_ACCOUNT, api_line, api_result, snapshot
from tests.unit.test_client import stand_in

DATA = Path(__file__).parent / "data"
UPDATE = str(DATA / "preview-update.json")
RULES = str(DATA / "rules.json")
AT = ["--at", "2026-09-15T12:00:00Z"]


@pytest.fixture
def live(sandbox: Sandbox) -> dict[str, str]:
    """The environment variables that point a command at the sandbox."""
    return {
        "CLOUDFLARE_BASE_URL": sandbox.base_url,
        "CLOUDFLARE_API_TOKEN": "sandbox-token",
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
    }


def test_show_tells_the_live_invoice(live: dict[str, str]) -> None:
    shown = run("show", **live)
    assert shown.returncode == 0
    assert "$188.46 for September, which has ended." in shown.stdout
    assert f"Account {ACCOUNT}" in shown.stdout
    assert "openai/gpt-5.5" in shown.stdout


def test_show_reads_standard_input() -> None:
    shown = run("show", "--from", "-", stdin=Path(UPDATE).read_text())
    assert shown.returncode == 0
    assert "+$11.55 (+6.1%)" in shown.stdout


def write_long(directory: Path, count: int = 700) -> str:
    """
    Write an invoice of *count* lines, and return the file. 700 show more than a pipe holds.
    """
    name = "provider/model-with-a-name-that-needs-two-lines"
    lines = [api_line(description=f"{name}-{number}") for number in range(count)]
    invoice = Invoice.from_api(api_result(invoice_lines=lines)).to_figures()
    file = directory / "long.json"
    file.write_text(json.dumps({"invoice": {"account_id": ACCOUNT, **invoice}}))
    return str(file)


@pytest.mark.parametrize(
    ("pulumi", "problem"),
    [
        (None, "there is no `pulumi` on PATH"),
        ("not a program", "`pulumi` cannot be run: Exec format error"),
        ("#!/bin/sh\nexec sleep 60", "`pulumi config` did not answer within 0.2 s"),
        ("#!/bin/sh\necho error: no stack selected >&2; exit 255", "no stack selected"),
        ("#!/bin/sh\nexit 1", "`pulumi config` failed and did not say why"),
        ("#!/bin/sh\necho warning", "`pulumi config --json` did not print an object"),
        (
            "#!/bin/sh\nprintf '%05000d' 0 | tr 0 '['",
            "`pulumi config --json` did not print an object",
        ),
        ("#!/bin/sh\necho '{\"a\": 1}'", "`pulumi config --json` did not print an object"),
    ],
)
def test_stack_config_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pulumi: str | None, problem: str
) -> None:
    monkeypatch.setattr(stack_config, "_SECONDS", 0.2)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if pulumi else str(tmp_path))
    if pulumi:
        (tmp_path / "pulumi").write_text(pulumi)
        (tmp_path / "pulumi").chmod(0o755)
    done = run("show", "--stack", "dev")
    expected = f"cf-invoice: cannot read stack config: {problem}\n"
    assert (done.returncode, done.stderr) == (2, expected)


def stack_with(config: dict[str, str], directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `pulumi config` print a *config* in plain text, of a project in *directory*."""
    printed = json.dumps({key: {"value": value} for key, value in config.items()})
    (directory / "pulumi").write_text(f"#!/bin/sh\necho '{printed}'")
    (directory / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    monkeypatch.chdir(directory)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("project", "is_its_own"),
    [
        ("runtime:\n  name: python\nname: cf-invoice\n", True),
        ('{\n  "name": "cf-invoice"\n}', True),
        ("name: other\nmain: cf-invoice\n", False),
        ("runtime:\n  name: cf-invoice\nname: other\n", False),
        ("\n" * 1_000_000, False),
    ],
)
def test_a_setting_of_the_programs_own_is_known_by_the_projects_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: str, is_its_own: bool
) -> None:
    stack_with({"cf-invoice:region": "eu"}, tmp_path, monkeypatch)
    (tmp_path / "Pulumi.yaml").write_text(project)
    if is_its_own:
        assert stack_config.read_config("dev")("cf-invoice:region") is None
        return
    with pytest.raises(SettingsError, match="there is no setting of stack config"):
        stack_config.read_config("dev")


def test_an_empty_credential_in_stack_config_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = {"cf-invoice:apiToken": " ", "cloudflare:apiToken": "theirs"}
    stack_with(tokens, tmp_path, monkeypatch)
    assert stack_config.read_config("dev")("cloudflare:apiToken") == "theirs"
    warned = capsys.readouterr().err
    assert "cloudflare:apiToken is in plain text" in warned
    assert "cf-invoice:apiToken" not in warned


# What adds up all lines for each of them takes minutes.
@pytest.mark.timeout(60)
def test_thousands_of_lines_over_a_limit_are_judged_in_one_pass(tmp_path: Path) -> None:
    file = write_long(tmp_path, 6000)
    assert run("report", "--from", file, "--budget-line", "*=0.01 USD", *AT).returncode == 1


def test_show_has_every_line(tmp_path: Path) -> None:
    assert run("show", "--from", write_long(tmp_path)).stdout.count("/model-") == 700


@pytest.mark.parametrize(
    ("budgets", "code"),
    [
        ([], 0),
        (["--budget", "200.01 USD"], 0),
        (["--budget", "200 USD"], 1),
        (["--budget", "1000 EUR"], 2),
        (["--budget-line", "none/*=1 USD"], 2),
        (["--budget-projected", "401.47 USD"], 0),
        (["--budget-projected", "401.46 USD"], 1),
        (["--budget-line", "openai/*=174.79 USD"], 0),
        (["--budget-line", "openai/*=174.78 USD"], 1),
        (["--budget-line", "*=1 USD", "--budget-line", "openai/*=500 USD"], 1),
    ],
)
def test_the_exit_code_is_the_verdict(budgets: list[str], code: int) -> None:
    assert run("report", "--from", UPDATE, *AT, *budgets).returncode == code


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--from", "nowhere.json"], "cannot read nowhere.json: No such file"),
        (["--from", "-"], "standard input: it is empty"),
        (["--from", UPDATE, "--budget", "250"], "has no currency: write it as '250 USD'"),
        (["--from", UPDATE, "--budget", "-1 USD"], "below zero"),
        (["--from", UPDATE, "--budget-line", "openai/*"], "has no '='"),
        (["--from", UPDATE, "--at", "noon"], "is not an ISO 8601 time"),
        (["--from", UPDATE, "--at", "0001-01-01T00:00+14:00"], "is out of range"),
        (["--from", "-", "--from", "-"], "standard input can be read only once"),
        (["--from", UPDATE, "--from", "nowhere.json"], "cannot read nowhere.json"),
        (["--name", "dev", "--from", UPDATE], "there is no file before it to name"),
        (["--from", UPDATE, "--name", "a", "--name", "b"], "there is no file before it to name"),
        (["--prefix", "ai"], "--prefix has no effect without --from"),
        (["--from", UPDATE, "--stack"], "--stack has no effect with --from"),
        (["--stack", ""], "the name is empty: leave it out for the selected stack"),
        (["--from", UPDATE, "--at", "99999-01-01"], "is not an ISO 8601 time"),
        (["--from", UPDATE, "--budget", "250"], "'250' has no currency"),
        (["--from", UPDATE, "--budget", "x"], "--budget: "),
        (["--from", UPDATE, "--budget-projected", "x USD"], "--budget-projected: "),
        (["--from", UPDATE, "--budget-line", "a=x"], "--budget-line: "),
        (
            ["--from", UPDATE, "--stack", "dev", "--rules", RULES],
            "--stack has no effect with --from",
        ),
        (["--from", UPDATE, "--rules", RULES, "--budget", "1 USD"], "--budget is a second rule"),
        (
            ["--from", UPDATE, "--baseline", UPDATE, "--baseline", UPDATE],
            "two baselines of account",
        ),
        (["--from", "a\n::error::x"], "cannot read a ::error::x: No such file"),
        (["--from", UPDATE, "--rules", "nowhere.json"], "nowhere.json: cannot be read"),
        (["--from", UPDATE, "--policy-pack-config", "x"], "has no effect without --rules"),
        (["--from", UPDATE, "--rules", "a\nb"], "a b: cannot be read"),
        (
            ["--from", UPDATE, "--budget-line", "a=1 USD", "--budget-line", "a=2 USD"],
            "given twice for one glob",
        ),
        (["--from", UPDATE, "--baseline", "nowhere.json"], "cannot read nowhere.json"),
        (["--from", UPDATE, "--account-id", "f" * 32], "no invoice of account ffff"),
        (["--from", UPDATE, "--github"], "GITHUB_STEP_SUMMARY is not set"),
        (["--from", UPDATE, "--format", "html", "--output", "/no/such/file"], "cannot write"),
        ([], "no account ID"),
    ],
)
def test_what_cannot_be_determined_is_exit_code_2_and_one_line(
    arguments: list[str], expected: str
) -> None:
    failed = run("report", *arguments, GITHUB_OUTPUT="")
    assert failed.returncode == 2
    assert expected in failed.stderr
    assert failed.stderr.startswith("cf-invoice")
    assert failed.stderr.count("\n") == 1


# Those that add up.
REPEATABLE = {
    "--account-id",
    "--baseline",
    "--budget-line",
    "--except",
    "--fixed-line",
    "--from",
    "--name",
    "--snapshot",
}
VALUES = {
    "--at": "2026-09-15",
    "--fault": "http-403",
    "--now": "2026-09-15",
    "--on": "over",
    "--rate-limit": "1/1s",
    "--scenario": "usual",
}


EACH_WITH_AN_OPTION = pytest.mark.parametrize(
    ("command", "most"),
    [
        ("show", "--accounts"),
        ("report", "--budget"),
        ("comment", "--tag"),
        ("notify", "--state"),
        ("doctor", "--stack"),
        ("snapshot", "--max-age"),
        ("forecast", "--format"),
        ("sandbox", "--port"),
    ],
)


def options_of(command: str) -> dict[str, str]:
    """Return the options of *command* that take a value, with its name in the help."""
    shown = run(command, "--help").stdout
    return dict(re.findall(r"^  (--[\w-]+) ([A-Z\[{]\S*)", shown, flags=re.M))


@EACH_WITH_AN_OPTION
def test_no_option_is_empty(command: str, most: str) -> None:
    """It would be left out: a list of accounts, in a variable that is not set."""
    options = options_of(command)
    assert most in options
    for option in options:
        for empty in ("", " "):
            done = run(command, f"{option}={empty}")
            assert done.returncode == 2
            assert f"argument {option}: " in done.stderr
            assert done.stderr.count("\n") == 1


@EACH_WITH_AN_OPTION
def test_no_option_with_one_value_is_repeated(command: str, most: str) -> None:
    """The last would replace the others: a budget that nobody judges."""
    options = options_of(command)
    assert most in options
    for option in options.keys() - REPEATABLE:
        choice = re.match(r"{(\w+)", options[option])
        value = VALUES.get(option, choice[1] if choice else "1")
        done = run(command, option, value, f"{option}={value}")
        assert done.returncode == 2
        assert f"{option} is given twice" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_refused_token_is_exit_code_2_and_is_not_printed(live: dict[str, str]) -> None:
    failed = run("report", "--verbose", **{**live, "CLOUDFLARE_API_TOKEN": "wrong-secret"})
    assert failed.returncode == 2
    assert "HTTP 403, code 10000: Authentication error" in failed.stderr
    assert "wrong-secret" not in failed.stderr + failed.stdout


def test_a_baseline_file_is_compared_with(tmp_path: Path, live: dict[str, str]) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text((DATA / "preview-create.json").read_text())
    done = run("report", "--from", UPDATE, "--baseline", str(baseline), "--format", "json", *AT)
    assert baseline_in(done.stdout)["change"]["text"] == "$11.55"


def test_a_baseline_of_another_account_is_not_compared_with(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    mine = "0123456789abcdef0123456789ab0001"
    baseline.write_text((DATA / "preview-create.json").read_text().replace(mine, ACCOUNT))
    done = run("report", "--from", UPDATE, "--baseline", str(baseline), "--format", "json", *AT)
    problem = baseline_in(done.stdout)["problem"]
    assert problem == f"the baseline is of another account, {ACCOUNT}"


def test_a_baseline_from_elsewhere_is_named_in_every_format(tmp_path: Path) -> None:
    url = "https://api.example.com/client/v4"
    preview = json.loads(Path(UPDATE).read_text())
    for step in preview["steps"]:
        for state in ("oldState", "newState"):
            step.get(state, {}).get("inputs", {})["base_url"] = url
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps(preview))
    for form in ("text", "markdown", "html", "json"):
        done = run("report", "--from", UPDATE, "--baseline", str(baseline), "--format", form, *AT)
        told = " ".join(html.unescape(done.stdout).split())
        assert re.search(f"The baseline comes from (<.*?>)?{url}", told), form


def baseline_in(report: str) -> Any:
    [invoice] = json.loads(report)["invoices"]
    return invoice["baseline"]


def stack(directory: Path, project: str, account_id: str, amount: int | None = None) -> str:
    """Write a preview of a stack `dev` to a file, and return its path."""
    file = directory / f"{project}.json"
    preview = Path(UPDATE).read_text().replace("quickstart", project)
    preview = preview.replace("0123456789abcdef0123456789ab0001", account_id)
    file.write_text(preview if amount is None else preview.replace("20001", str(amount)))
    return str(file)


def test_one_report_has_several_stacks(tmp_path: Path) -> None:
    shop, docs = stack(tmp_path, "shop", ACCOUNT), stack(tmp_path, "docs", OTHER_ACCOUNT, 30000)
    both = ["--from", shop, "--from", docs, "--budget", "250 USD", *AT]
    done = run("report", *both)
    assert done.returncode == 1
    headline = (
        "Over budget: 1 of 2 over, 1 with a warning; $500.01 so far in total, heading for $903. "
    )
    assert " ".join(done.stdout.split()).startswith(headline)
    report = json.loads(run("report", *both, "--format", "json").stdout)
    assert [invoice["names"] for invoice in report["invoices"]] == [["shop/dev"], ["docs/dev"]]
    assert [invoice["account_id"] for invoice in report["invoices"]] == [ACCOUNT, OTHER_ACCOUNT]
    assert [invoice["verdict"] for invoice in report["invoices"]] == ["within", "over"]
    assert [total["text"] for total in report["totals"]] == ["$500.01"]


def test_an_account_of_two_stacks_counts_once_with_its_higher_amount(tmp_path: Path) -> None:
    shop, docs = stack(tmp_path, "shop", ACCOUNT), stack(tmp_path, "docs", ACCOUNT, 30000)
    done = run("report", "--from", shop, "--from", docs, "--budget", "250 USD", *AT)
    assert done.returncode == 1
    assert "Over budget: $300.00 so far" in done.stdout
    assert f"shop/dev, docs/dev, account {ACCOUNT}" in done.stdout
    message = " ".join(done.stdout.split())
    assert "more than once, as $200.01 for" in message
    assert "the highest amount of the latest period counts." in message


@pytest.mark.parametrize("spelt", ["{name}", "./{name}", "link.json", "hard.json"])
def test_a_file_that_is_given_twice_is_refused(tmp_path: Path, spelt: str) -> None:
    """Whoever gives one twice means two, of which one was written over the other."""
    shop = Path(stack(tmp_path, "shop", ACCOUNT))
    (tmp_path / "link.json").symlink_to(shop)
    (tmp_path / "hard.json").hardlink_to(shop)
    again = f"{tmp_path}/{spelt.format(name=shop.name)}"
    refused = run("report", "--from", str(shop), "--name", "one", "--from", again, *AT)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.endswith(" is given twice: give each file once\n")
    assert refused.stderr.count("\n") == 1


def test_so_is_a_folder_of_snapshots(live: dict[str, str], tmp_path: Path) -> None:
    run("snapshot", "--output", f"{tmp_path}/snapshot.json", **live)
    refused = run("show", "--snapshot", str(tmp_path), "--snapshot", f"{tmp_path}/.")
    assert refused.returncode == 2
    assert "is given twice: give each file once" in refused.stderr


def test_a_name_stands_for_the_file_before_it_and_a_file_for_itself(tmp_path: Path) -> None:
    plain = {"account_id": OTHER_ACCOUNT, **Invoice.from_api(api_result()).to_figures()}
    done = run(
        *["show", "--from", UPDATE, "--name", "production", "--from", "-", *AT],
        stdin=json.dumps(plain),
    )
    assert done.returncode == 0, done.stderr
    assert "\n- production " in done.stdout
    assert "\n- standard input " in done.stdout


def test_each_of_several_baselines_is_of_its_account(tmp_path: Path) -> None:
    now = [stack(tmp_path, "shop", ACCOUNT), stack(tmp_path, "docs", OTHER_ACCOUNT, 30000)]
    before = [
        stack(tmp_path, "docs-before", OTHER_ACCOUNT, 10000),
        stack(tmp_path, "shop-before", ACCOUNT, 20000),
    ]
    given = [*(["--from", file] for file in now), *(["--baseline", file] for file in before)]
    arguments = [word for pair in given for word in pair]
    done = run("report", *arguments, "--format", "json", *AT)
    invoices = json.loads(done.stdout)["invoices"]
    changes = [invoice["baseline"]["change"]["text"] for invoice in invoices]
    assert changes == ["$0.01", "$200.00"]
    other = stack(tmp_path, "other", "f" * 32)
    refused = run("report", *arguments, "--baseline", other, *AT)
    assert refused.returncode == 2
    assert f"there is a baseline of account {'f' * 32}, but no invoice of it" in refused.stderr


def test_github_gets_the_totals_of_several_stacks(tmp_path: Path) -> None:
    shop, docs = stack(tmp_path, "shop", ACCOUNT), stack(tmp_path, "docs", OTHER_ACCOUNT, 30000)
    files = {"GITHUB_STEP_SUMMARY": f"{tmp_path}/summary", "GITHUB_OUTPUT": f"{tmp_path}/outputs"}
    assert run("report", "--from", shop, "--from", docs, "--github", *AT, **files).returncode == 0
    outputs = (tmp_path / "outputs").read_text().splitlines()
    assert outputs[:5] == [
        "verdict=none",
        "headline=2 upcoming invoices, $500.01 so far in total, heading for $903.",
        "outlook=",
        "amount-due=50001",
        "amount-due-text=$500.01",
    ]
    assert outputs[6:] == ["currency=usd", "period=2026-09-01 to 2026-09-30"]


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_a_file_gets_what_standard_output_would(tmp_path: Path, form: str) -> None:
    arguments = ["report", "--from", UPDATE, "--format", form, *AT]
    printed = run(*arguments)
    written = tmp_path / "report"
    assert run(*arguments, "--output", str(written)).stdout == ""
    assert written.read_text(encoding="utf-8") == printed.stdout != ""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--from", "nowhere.json"], "cannot read nowhere.json: No such file or directory"),
        (["--from", UPDATE, "--rules", "nowhere.json"], "nowhere.json: cannot be read"),
        ([], "no account ID: give --account-id"),
        (["--from", UPDATE, "--budget", "250 dollars"], "--budget: "),
        (["--from", UPDATE, "--max-age", "a day"], "--max-age: 'a day' is not a number of hours"),
        (["--from", UPDATE, "--rules"], "--rules: expected one argument"),
    ],
)
def test_a_report_that_cannot_be_made_is_markdown_that_says_so(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    """Posted as a comment, it replaces one that would still show what was true yesterday."""
    written = tmp_path / "report.md"
    written.write_text(f"{markdown.MARKER}\n\nyesterday: within budget")
    files = {"GITHUB_STEP_SUMMARY": f"{tmp_path}/summary", "GITHUB_OUTPUT": f"{tmp_path}/outputs"}
    to_file = ["--format", "markdown", "--output", str(written), "--github"]
    failed = run("report", *arguments, *to_file, **files)
    assert failed.returncode == 2
    assert reason in failed.stderr
    assert failed.stderr.count("\n") == 1
    report = written.read_text(encoding="utf-8")
    assert report == (tmp_path / "summary").read_text(encoding="utf-8")
    assert (tmp_path / "outputs").read_text() == "verdict=unknown\n"
    assert report.startswith(f"{markdown.MARKER}\n\n### ❔ Unknown: there is no report.\n")
    assert reason in html.unescape(report)


@pytest.mark.parametrize("reason", ["/close", "# Within budget", "1. all is well", "+ well"])
def test_no_line_of_a_comment_begins_with_what_others_wrote(tmp_path: Path, reason: str) -> None:
    taken = json.loads(snapshot(credit_balance={"balance": 5}).to_json())
    taken["reads"]["invoice-preview"] = {"error": reason}
    file = tmp_path / "taken.json"
    file.write_text(json.dumps(taken))
    failed = run("report", "--snapshot", str(file), "--format", "markdown", *AT)
    assert failed.stderr == f"cf-invoice: {reason}\n"
    assert f"\n\n**Why:** {reason}\n" in html.unescape(failed.stdout)
    for sentence in (reason, f"\u2068{reason}\u2069"):
        assert not markdown.words(sentence).startswith("/")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--api-token", "s3cret-t0ken"],
        ["--api-token=s3cret-t0ken"],
        ["-ts3cret-t0ken"],
        ["--budget", "s3cret-t0ken"],
        ["--account-id", "S3CRET-T0KEN"],
        ["--at", "s3cret-t0ken"],
        ["--from", "https://x:s3cret-t0ken@example.com"],
        ["s3cret-t0ken"],
    ],
)
@pytest.mark.parametrize(
    "variable", ["CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY", "GH_TOKEN", "CF_INVOICE_NOTIFY"]
)
def test_a_credential_among_the_arguments_is_refused_and_repeated_nowhere(
    arguments: list[str], variable: str, tmp_path: Path
) -> None:
    """Reports are posted as comments, in which no runner masks it."""
    written = tmp_path / "report.md"
    form = ["--format", "markdown", "--output", str(written)]
    failed = run("report", *arguments, *form, **{variable: "s3cret-t0ken"})
    assert failed.returncode == 2
    assert failed.stderr.startswith(f"cf-invoice: an argument contains the value of {variable}: ")
    assert "t0ken" not in (failed.stdout + failed.stderr + written.read_text()).lower()


# It has signs that Markdown and HTML escape, and ends as one that was copied with its line.
REPEATED = "ghp_s3cret-T0KEN_value"
VARIABLES = ["CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY", "GH_TOKEN", "PULUMI_ACCESS_TOKEN"]
SAID = f"ValueError: Invalid header value b'Bearer {REPEATED}\\n'"
PREVIEWS = DATA / "previews"


def assert_not_repeated(*texts: str) -> None:
    """Check that none of *texts*, seen as its readers do, repeats the credential."""
    for text in texts:
        seen = re.sub("[^A-Za-z0-9]", "", html.unescape(text)).lower()
        assert "s3cret" not in seen
        assert "t0ken" not in seen


def failed_digest() -> str:
    diagnostics = [{"severity": "error", "message": SAID}]
    return json.dumps({"steps": [], "diagnostics": diagnostics, "duration": 1, "changeSummary": {}})


def failed_events() -> str:
    """Return the events of a preview that failed, as its program says."""
    text = (PREVIEWS / "preview-stream-failed.ndjson").read_text()
    said = json.dumps(SAID)[1:-1]
    return re.sub(r"pulumi-python:dynamic[^\"]* has a problem: [^\"]*", lambda _: said, text)


def crashed_events() -> str:
    """Return the events of a preview that failed, whose program only wrote to standard error."""
    events = [json.loads(line) for line in failed_events().splitlines()]
    [error] = [e for e in events if e.get("diagnosticEvent", {}).get("severity") == "error"]
    error["diagnosticEvent"] = {"message": f"error: {SAID}", "severity": "info#err"}
    return "\n".join(map(json.dumps, events))


def blocked_events() -> str:
    text = (DATA / "cases" / "02-policy-violation.events.jsonl").read_text()
    return text.replace("The upcoming AI Gateway invoice stays", f"Bearer {REPEATED} stays")


def of_stack_called_like_it() -> str:
    text = (PREVIEWS / "preview-stream-moved.ndjson").read_text()
    return text.replace("urn:pulumi:dev::", f"urn:pulumi:{REPEATED}::")


def described_line(description: str = f"openai/{REPEATED}") -> str:
    lines = [api_line(description=description)]
    return json.dumps(api_result(invoice_lines=lines))


def named_snapshot() -> str:
    read = json.loads("".join(snapshot().to_json()))
    return json.dumps({**read, "name": f"Account of {REPEATED}"})


WRITTEN = [
    failed_digest,
    failed_events,
    crashed_events,
    blocked_events,
    of_stack_called_like_it,
    named_snapshot,
]


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_a_credential_that_a_file_repeats_is_in_no_report(
    written: Callable[[], str], form: str, tmp_path: Path
) -> None:
    """Who runs a program with a token that ends in a line break reads it in the program's error."""
    summary, outputs, page = (tmp_path / name for name in ("summary", "outputs", "page.html"))
    github = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(outputs)}
    options = ["--budget", "1 USD", "--format", form, "--html", str(page), "--github", *AT]
    variables = {**github, "CLOUDFLARE_API_TOKEN": f"{REPEATED}\n"}
    source = "--snapshot" if written is named_snapshot else "--from"
    done = run("report", source, "-", *options, stdin=written(), **variables)
    assert done.returncode in (1, 2)
    everything = [done.stdout, done.stderr, summary.read_text(), outputs.read_text()]
    assert "redacted" in "".join(everything)
    assert_not_repeated(*everything, page.read_text() if page.exists() else "")


@pytest.mark.parametrize("variable", [*VARIABLES, "CF_INVOICE_NOTIFY"])
def test_each_credential_of_the_environment_is_redacted(variable: str) -> None:
    value = f"# Ours:\n {REPEATED} \n" if variable == "CF_INVOICE_NOTIFY" else f" {REPEATED}\n"
    options = ["--budget", "1 USD", "--format", "markdown"]
    done = run("report", "--from", "-", *options, stdin=failed_digest(), **{variable: value})
    assert "the preview failed: ValueError: Invalid header value b'Bearer [redacted]" in done.stderr
    assert_not_repeated(done.stdout, done.stderr)


def test_a_credential_may_look_like_a_comment() -> None:
    done = run("show", "--snapshot", "#abcdefgh12345", GITHUB_TOKEN="#abcdefgh12345")
    assert "contains the value of GITHUB_TOKEN" in done.stderr
    assert "abcdefgh12345" not in done.stdout + done.stderr
    # Of addresses it is one.
    done = run("show", "--snapshot", "abcdefgh12345", CF_INVOICE_NOTIFY="#abcdefgh12345")
    assert "abcdefgh12345: No such file or directory" in done.stderr


REFUSED = (
    "cf-invoice: standard input: what is judged in it repeats the value of a credential in the "
    "environment or of the stack, and cannot be redacted: is a variable such as X_TOKEN set to a "
    "placeholder?"
)


@pytest.mark.parametrize("token", ["disabledReason", "DISABLED"])
@pytest.mark.parametrize("hidden", ["disabledReason", "\\u0064isabledReason"])
def test_a_file_in_which_a_name_repeats_one_is_refused(token: str, hidden: str) -> None:
    """Without its name, the reason for which a top-up is disabled would be none."""
    topup = {"amount": 2500, "threshold": 1000, "disabledReason": "fraud"}
    read = snapshot(credit_balance={"balance": 5000, "topup_config": topup})
    text = "".join(read.to_json()).replace("disabledReason", hidden)
    options = ["--snapshot", "-", "--budget", "1000 USD", *AT]
    done = run("report", *options, stdin=f"Warning.\n{text}", SENTRY_AUTH_TOKEN=token)
    assert done.returncode == 2
    assert done.stderr.startswith(REFUSED)
    assert token not in done.stdout + done.stderr
    assert run("report", *options, stdin=text, SENTRY_AUTH_TOKEN=f"{token}-2").returncode == 0


def test_a_file_in_which_what_is_judged_repeats_one_is_refused(tmp_path: Path) -> None:
    """A limit on the line would have nothing to judge in ``[redacted]``."""
    rules, baseline = tmp_path / "rules.json", tmp_path / "baseline.json"
    rules.write_text(json.dumps({"rules": {"max-line-amount": {"limits": {"openai/*": "1 USD"}}}}))
    baseline.write_text(described_line())
    options = ["--rules", str(rules), *AT]
    done = run("report", "--from", "-", *options, stdin=described_line(), GH_TOKEN=REPEATED)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(REFUSED)
    assert run("report", "--from", "-", *options, stdin=described_line()).returncode == 1
    options = ["--from", UPDATE, "--baseline", str(baseline), *options]
    done = run("report", *options, GH_TOKEN=REPEATED)
    assert done.returncode == 2
    assert "what is judged in it repeats the value of a credential" in done.stderr


@pytest.mark.parametrize("placeholder", ["cloudflare", "amount_due", "invoice-preview"])
def test_a_placeholder_that_is_in_what_is_judged_is_told(placeholder: str) -> None:
    read = "".join(snapshot().to_json())
    done = run("show", "--snapshot", "-", *AT, stdin=read, OPENAI_API_KEY=placeholder)
    assert (done.returncode, done.stderr.startswith(REFUSED)) == (2, True)


@pytest.mark.parametrize("placeholder", ["sequence", "timestamp", "development"])
def test_a_placeholder_that_is_elsewhere_stops_nothing(placeholder: str) -> None:
    text = (PREVIEWS / "preview-stream-moved.ndjson").read_text()
    text = text.replace("urn:pulumi:dev::", "urn:pulumi:development::")
    plain = run("report", "--from", "-", "--budget", "1 USD", *AT, stdin=text)
    done = run("report", "--from", "-", "--budget", "1 USD", *AT, stdin=text, A_TOKEN=placeholder)
    assert (done.returncode, done.stderr) == (plain.returncode, plain.stderr)


@pytest.mark.parametrize("hidden", ["\\u{:04x}", "&#{};", "&#x{:x};"])
def test_an_escape_does_not_hide_it(hidden: str) -> None:
    for sign in "-_g":
        repeated = REPEATED.replace(sign, hidden.format(ord(sign)))
        text = named_snapshot().replace(REPEATED, repeated)
        done = run("show", "--snapshot", "-", stdin=text, CLOUDFLARE_API_TOKEN=REPEATED)
        assert "Account of [redacted]" in done.stdout
        assert_not_repeated(done.stdout)


def test_what_is_too_short_for_a_credential_stays() -> None:
    text = described_line("openai/o1-mini")
    plain = run("show", "--from", "-", *AT, stdin=text)
    for short in ("1", "true", "openai", "o1-mini"):
        assert run("show", "--from", "-", *AT, stdin=text, A_TOKEN=short).stdout == plain.stdout


def test_nor_is_it_in_what_others_are_told_or_shown(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("failed.json", "snapshot.json", "baseline.json")]
    for file, text in zip(
        files, (failed_digest(), named_snapshot(), described_line()), strict=True
    ):
        file.write_text(text)
    failed, read, baseline = map(str, files)
    for arguments in (
        ["notify", "--from", failed, "--budget", "1 USD", "--dry-run"],
        ["show", "--from", failed],
        ["show", "--snapshot", read],
        ["forecast", "--snapshot", read],
        ["forecast", "--snapshot", read, "--format", "json"],
        ["report", "--from", UPDATE, "--baseline", baseline, "--format", "json", *AT],
        ["report", "--from", UPDATE, "--baseline", failed, *AT],
    ):
        done = run(*arguments, CLOUDFLARE_API_TOKEN=f"{REPEATED}\n")
        assert "redacted" in done.stdout + done.stderr
        assert_not_repeated(done.stdout, done.stderr)


def test_nor_what_a_list_of_accounts_calls_one(tmp_path: Path) -> None:
    named, read = tmp_path / "accounts.txt", tmp_path / "snapshot.json"
    named.write_text(f"{ACCOUNT} of {REPEATED}\n{OTHER_ACCOUNT} Other\n")
    read.write_text("".join(snapshot().to_json()))
    options = ["--snapshot", str(read), "--accounts", str(named), "--budget", "1 USD"]
    done = run("report", *options, *AT, GH_TOKEN=REPEATED)
    assert "of [redacted]" in done.stdout
    assert "Other" in done.stdout
    assert_not_repeated(done.stdout, done.stderr)


@pytest.mark.parametrize(
    "command",
    [
        ["report", "--budget", "250 USD", "--format", "markdown"],
        ["report", "--rules", "rules.json", "--snapshot", "read.json", *AT],
        ["notify", "--budget", "1 USD", "--dry-run"],
        ["doctor"],
        ["snapshot", "--output", "snapshots"],
    ],
    ids=" ".join,
)
def test_nor_is_a_stacks_own_token_where_a_list_calls_an_account_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: dict[str, str], command: list[str]
) -> None:
    token = live.pop("CLOUDFLARE_API_TOKEN")
    stack_with({"cloudflare:apiToken": token}, tmp_path, monkeypatch)
    (tmp_path / "accounts.txt").write_text(f"{ACCOUNT} of {token}\n{OTHER_ACCOUNT} Other\n")
    (tmp_path / "read.json").write_text("".join(snapshot().to_json()))
    limits = {"accountIds": [ACCOUNT], "limit": "1 USD"}
    rules = {"rules": {"max-amount-due": limits}}
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    done = run(*command, "--stack", "dev", "--accounts", "accounts.txt", **live)
    written = [file.read_text() for file in (tmp_path / "snapshots").glob("*")]
    everything = "".join([done.stdout, done.stderr, *written])
    assert "redacted" in everything
    assert token not in everything


def test_nor_what_pulumi_or_a_file_of_rules_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"rules": {REPEATED: {"limit": "1 USD"}}}))
    done = run("report", "--from", UPDATE, "--rules", str(rules), GH_TOKEN=REPEATED)
    assert_not_repeated(done.stdout, done.stderr)
    long = f"error: {'x' * 290}{REPEATED}"
    (tmp_path / "pulumi").write_text(f"#!/bin/sh\necho '{long}' >&2; exit 255")
    (tmp_path / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    done = run("show", "--stack", "dev", PULUMI_ACCESS_TOKEN=REPEATED)
    assert done.stderr.startswith("cf-invoice: cannot read stack config: xxx")
    assert "ghp" not in done.stderr


@pytest.mark.parametrize("own", [None, "another-t0ken-that-applies"])
def test_nor_is_a_token_of_the_stack_in_a_report_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    config = {"cloudflare:apiToken": REPEATED, **({"cf-invoice:apiToken": own} if own else {})}
    stack_with(config, tmp_path, monkeypatch)
    rules, file = tmp_path / "rules.json", tmp_path / "line.json"
    limits = {"accountIds": [ACCOUNT], "limit": "1 USD"}
    rules.write_text(json.dumps({"rules": {"max-amount-due": limits}}))
    file.write_text(named_snapshot())
    options = ["--snapshot", str(file), "--baseline", str(file), "--stack", "dev"]
    done = run("report", *options, "--rules", str(rules), *AT)
    assert "[redacted]" in done.stdout
    assert_not_repeated(done.stdout, done.stderr)


def written_to_stderr(*messages: str) -> str:
    """Return the events of a preview that failed, whose program wrote *messages* line by line."""
    events: list[dict[str, Any]] = [
        {"preludeEvent": {"config": {}}},
        *(
            {"diagnosticEvent": {"message": message, "severity": "info#err"}}
            for message in messages
        ),
        {"summaryEvent": {"isPreview": True, "resourceChanges": {}, "result": "failed"}},
    ]
    return "\n".join(json.dumps({"sequence": n, **event}) for n, event in enumerate(events))


@pytest.mark.parametrize(
    "text",
    [
        f'{{"steps": [], "{REPEATED}": 1, "{REPEATED}": 2}}',
        '{{"steps": [], "{0}": 1, "{0}": 2}}'.format("x" * 185 + REPEATED),
        written_to_stderr("error: " + REPEATED.replace("-", "\x1b[31m-")),
        written_to_stderr("error: " + "x" * 180 + REPEATED.replace("-", "\x1b[31m-")),
        written_to_stderr("error: " + REPEATED.partition("-")[0], "-" + REPEATED.partition("-")[2]),
        # At the place where a long error is cut.
        *(
            written_to_stderr("error: " + "x" * pad, *["y" * 150] * 6, REPEATED[:17], REPEATED[17:])
            for pad in range(62, 78)
        ),
    ],
    ids=["name", "long-name", "colour", "long-colour", "two-lines", *("cut",) * 16],
)
def test_nor_is_it_in_why_a_file_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    stack_with({"cf-invoice:apiToken": REPEATED}, tmp_path, monkeypatch)
    rules, file = tmp_path / "rules.json", tmp_path / "preview.json"
    limits = {"accountIds": [ACCOUNT], "limit": "1 USD"}
    rules.write_text(json.dumps({"rules": {"max-amount-due": limits}}))
    file.write_text(text)
    options = ["--from", str(file), "--stack", "dev", "--rules", str(rules)]
    for command in (["report", "--format", "markdown"], ["notify", "--dry-run"]):
        done = run(*command, *options)
        assert done.returncode == 2
        assert "cannot be read" in done.stderr or "the preview failed: " in done.stderr
        assert_not_repeated(done.stdout, done.stderr)


@pytest.mark.parametrize("option", ["--scenario", "--port", "--rate-limit", "--fault"])
def test_nor_does_the_sandbox_repeat_one(option: str) -> None:
    failed = run("sandbox", option, "s3cret-t0ken", CLOUDFLARE_API_TOKEN="s3cret-t0ken")
    assert failed.returncode == 2
    assert "an argument contains the value of CLOUDFLARE_API_TOKEN: " in failed.stderr
    assert "s3cret" not in failed.stdout + failed.stderr


def test_the_value_of_an_unknown_option_is_not_repeated() -> None:
    """It may be a credential that the environment has not."""
    failed = run("report", "--api-token", "s3cret-t0ken", "--api-key=s3cret-k3y", "-ts3cret")
    assert failed.stderr == (
        "cf-invoice: unrecognized arguments: --api-token --api-key -t (see cf-invoice --help)\n"
    )
    assert "unrecognized arguments: report.md" in run("report", "report.md").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--api-token", "s3cret-t0ken", "report"],
        ["report", "--a=s3cret-t0ken"],
        ["report", "--all-accounts=s3cret-t0ken"],
        ["notify", "slack://s3cret-t0ken/b"],
        ["notify", "slack://a/b\ns3cret-t0ken"],
    ],
)
def test_nor_is_what_argparse_quotes(arguments: list[str]) -> None:
    failed = run(*arguments)
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert "s3cret" not in failed.stderr


@pytest.mark.parametrize(
    "mistakes",
    [
        ["--rules", "{0}", "--output", "{0}", "--max-age", "a day"],
        ["--rules", "--output={0}"],
        ["--output", "{0}", "--rules"],
    ],
)
def test_wrong_arguments_write_over_nothing_but_a_report(
    tmp_path: Path, mistakes: list[str]
) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text('{"rules": {}}')
    files = {"GITHUB_STEP_SUMMARY": f"{tmp_path}/summary", "GITHUB_OUTPUT": f"{tmp_path}/outputs"}
    given = ["--from", UPDATE, "--format", "markdown", "--github"]
    failed = run("report", *given, *(each.format(rules) for each in mistakes), **files)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert rules.read_text() == '{"rules": {}}'
    assert (tmp_path / "outputs").read_text() == "verdict=unknown\n"
    new = tmp_path / "report.md"
    run("report", *given, "--output", str(new), "--max-age", "a day", **files)
    assert new.read_text().startswith(markdown.MARKER)


def test_a_wrong_output_leaves_no_verdict_either(tmp_path: Path) -> None:
    files = {"GITHUB_STEP_SUMMARY": f"{tmp_path}/summary", "GITHUB_OUTPUT": f"{tmp_path}/outputs"}
    for wrong in (["--output"], ["--output=-"]):
        failed = run("report", "--from", UPDATE, "--github", *wrong, **files)
        assert failed.returncode == 2
        assert failed.stderr.count("\n") == 1
    assert (tmp_path / "outputs").read_text() == "verdict=unknown\n" * 2


def test_a_policy_pack_config_is_for_the_file_of_rules_alone(tmp_path: Path) -> None:
    rules, config = tmp_path / "rules.json", tmp_path / "config.json"
    rules.write_text('{"rules": {"allowed-currencies": {"currencies": ["USD"]}}}')
    config.write_text('{"all": "advisory"}')
    given = ["--rules", str(rules), "--policy-pack-config", str(config), "--budget", "1 USD"]
    assert run("report", "--from", UPDATE, *given).returncode == 1


@pytest.mark.parametrize("broken", ["--html", "--output"])
def test_a_report_that_cannot_be_written_leaves_no_verdict(tmp_path: Path, broken: str) -> None:
    """Otherwise the comment would be green, and the job red."""
    written, summary, outputs = (tmp_path / name for name in ("report.md", "summary", "outputs"))
    files = {"--html": str(tmp_path / "report.html"), "--output": str(written), broken: "/dev/full"}
    to_files = [word for option in files.items() for word in option]
    arguments = ["--from", UPDATE, "--budget", "9000 USD", "--format", "markdown", "--github"]
    variables = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(outputs)}
    failed = run("report", *arguments, *to_files, **variables)
    assert failed.returncode == 2
    assert failed.stderr == "cf-invoice: cannot write /dev/full: No space left on device\n"
    assert outputs.read_text() == "verdict=unknown\n"
    assert "✅" not in summary.read_text(encoding="utf-8")
    if broken == "--html":
        assert written.read_text(encoding="utf-8") == summary.read_text(encoding="utf-8")


def test_no_error_is_a_command_to_a_runner(tmp_path: Path) -> None:
    account = "##[x]"
    rules = tmp_path / "rules.json"
    rules.write_text(
        json.dumps({"rules": {"max-amount-due": {"limit": {"accounts": {account: "1 USD"}}}}})
    )
    for arguments in (["--account-id", account], ["--rules", str(rules)]):
        message = run("report", "--from", UPDATE, *arguments).stderr
        assert "'## [x]' is not an account ID" in message


def test_one_run_writes_the_report_as_html_as_well(tmp_path: Path) -> None:
    made, alone = tmp_path / "report.html", tmp_path / "alone.html"
    arguments = ["report", "--from", UPDATE, "--at", "2026-09-15T12:00:00Z", "--budget", "1 USD"]
    done = run(*arguments, "--format", "markdown", "--html", str(made))
    assert done.returncode == 1
    assert done.stdout == run(*arguments, "--format", "markdown").stdout
    run(*arguments, "--format", "html", "--output", str(alone))
    assert made.read_text() == alone.read_text()


def test_a_headline_that_is_shown_alone_names_an_address_that_is_not_cloudflares(
    tmp_path: Path,
) -> None:
    files = {"GITHUB_STEP_SUMMARY": f"{tmp_path}/summary", "GITHUB_OUTPUT": f"{tmp_path}/outputs"}
    preview = str(PREVIEWS / "functions" / "configured-address.ndjson")
    arguments = ["--from", preview, "--budget", "9000 USD", "--at", "2026-09-15T12:00:00Z"]
    assert run("report", *arguments, "--github", **files).returncode == 0
    outputs = (tmp_path / "outputs").read_text(encoding="utf-8").splitlines()
    [headline] = [line for line in outputs if line.startswith("headline=Within budget")]
    assert re.search(r"\. The figures come from http\S+, not from Cloudflare\.$", headline)
    nobody = run("notify", *arguments, "--dry-run")
    assert nobody.stdout.startswith("Nobody would be notified, because nothing is wrong: Within")
    assert nobody.stdout.rstrip().endswith(headline.rpartition(". The ")[2])


def test_github_gets_a_summary_and_step_outputs_also_over_budget(tmp_path: Path) -> None:
    summary, outputs = tmp_path / "summary", tmp_path / "outputs"
    summary.write_text("before\n")
    environment = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(outputs)}
    arguments = ["report", "--from", UPDATE, "--github", "--budget", "150 USD", *AT]
    assert run(*arguments, **environment).returncode == 1
    assert summary.read_text(encoding="utf-8").startswith(
        "before\n<!-- pulumi-cf-invoice report -->"
    )
    assert outputs.read_text().splitlines() == [
        "verdict=over",
        "headline=Over budget: $200.01 so far in September (day 15 of 30), over the limit of "
        "$150.00 by $50.01; $401 by a straight line.",
        "outlook=",
        "amount-due=20001",
        "amount-due-text=$200.01",
        "projected-amount-due=40147",
        "currency=usd",
        "period=2026-09-01 to 2026-09-30",
    ]


def test_doctor_names_the_sources_and_never_the_values(live: dict[str, str]) -> None:
    done = run("doctor", **live)
    assert done.returncode == 0
    assert f"account          {ACCOUNT} (CLOUDFLARE_ACCOUNT_ID)" in done.stdout
    assert "credentials      API token (CLOUDFLARE_API_TOKEN)" in done.stdout
    address = f"{live['CLOUDFLARE_BASE_URL']}, not Cloudflare's (CLOUDFLARE_BASE_URL)"
    assert f"base URL         {address}" in done.stdout
    assert "timeout          30 s (default)" in done.stdout
    assert "AI Gateway Read" in done.stdout
    assert "invoice-preview  answered: $188.46" in done.stdout
    assert "sandbox-token" not in done.stdout + done.stderr


def test_doctor_tries_every_read_once(sandbox: Sandbox, live: dict[str, str]) -> None:
    done = run("doctor", **live)
    assert len(sandbox.requests) == len(READS)
    for read in READS:
        assert re.search(rf"^{read.name} +answered: ", done.stdout, flags=re.M)
    for message in (
        "answered: $92.00, automatic top-up: adds $25.00 ($26.25 charged)",
        "usage in ",
        "earlier invoices: ",
    ):
        assert message in done.stdout


def test_doctor_explains_what_fails(live: dict[str, str]) -> None:
    done = run("doctor", **{**live, "CLOUDFLARE_API_TOKEN": "wrong"})
    assert done.returncode == 2
    assert "Give the token the permission AI Gateway Read" in done.stdout
    assert (
        done.stderr == f"cf-invoice: {len(READS)} of {len(READS)} requests failed, as shown above\n"
    )


def test_doctor_without_credentials_says_which_to_set(live: dict[str, str]) -> None:
    done = run("doctor", **{**live, "CLOUDFLARE_API_TOKEN": ""})
    assert done.returncode == 2
    assert "set CLOUDFLARE_API_TOKEN" in done.stdout
    assert done.stderr == (
        "cf-invoice: no request was tried: 1 setting above is missing or wrong\n"
    )


def test_doctor_tells_all_problems_at_once(sandbox: Sandbox) -> None:
    done = run(
        "doctor",
        CLOUDFLARE_ACCOUNT_ID="short",
        CLOUDFLARE_API_KEY="half",
        CLOUDFLARE_BASE_URL="http://example.com",
        CF_INVOICE_TIMEOUT="soon",
    )
    assert done.returncode == 2
    assert "account          'short' is not an account ID" in done.stdout
    assert "credentials      the environment has an API key but no e-mail" in done.stdout
    assert "base URL         the base URL http://example.com is neither https nor" in done.stdout
    assert "timeout          the timeout 'soon' is not a number of seconds" in done.stdout
    assert "4 settings above are missing or wrong" in done.stderr
    assert sandbox.requests == []


def test_a_remedy_names_only_what_helps_a_command() -> None:
    done = run("show")
    assert done.stderr == (
        "cf-invoice: no account ID: give --account-id, or set CLOUDFLARE_ACCOUNT_ID\n"
    )
    done = run("show", "--account-id", ACCOUNT)
    assert f"no credentials for account {ACCOUNT}: set CLOUDFLARE_API_TOKEN; the" in done.stderr


def test_sandbox_is_the_sandbox() -> None:
    done = run("sandbox", "--list")
    assert done.returncode == 0
    assert "ten-thousand-lines" in done.stdout
    assert "usage: cf-invoice sandbox" in run("sandbox", "--help").stdout


@pytest.mark.parametrize(
    "command", [[], ["show"], ["report"], ["doctor"], ["sandbox"], ["completion"]]
)
def test_every_help_has_an_example(command: list[str]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0
    assert "example" in done.stdout.lower()


@pytest.mark.parametrize(
    "command",
    [[], *([name] for name in ("show", "report", "forecast", "comment", "notify", "sandbox"))],
)
def test_a_help_keeps_to_80_columns(command: list[str]) -> None:
    done = run(*command, "--help", COLUMNS="80")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not re.search(r"\w-\n", done.stdout)


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_can_complete(shell: str) -> None:
    script = run("completion", shell).stdout
    assert "cf-invoice" in script
    assert "budget-projected" in script


# What CI can rely on.

CREATE = str(DATA / "preview-create.json")


def test_rules_of_a_file_are_judged_with_pulumis_config_over_them(tmp_path: Path) -> None:
    rules, config = tmp_path / "rules.json", tmp_path / "config.json"
    rules.write_text('{"rules": {"max-amount-due": {"limit": "1000 USD"}}}')
    config.write_text('{"max-amount-due": {"limit": "150 USD"}}')
    arguments = ["report", "--from", UPDATE, "--rules", str(rules)]
    assert run(*arguments).returncode == 0
    over = run(*arguments, "--policy-pack-config", str(config))
    assert over.returncode == 1
    assert "over the limit of $150.00" in over.stdout
    config.write_text('{"max-amont-due": "advisory"}')
    refused = run(*arguments, "--policy-pack-config", str(config))
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"cf-invoice: {config}: there is no rule 'max-amont-due'; ")
    assert "did you mean 'max-amount-due'?" in refused.stderr
    both = run(*arguments, "--budget", "1 USD")
    assert both.returncode == 2
    assert "--budget is a second rule 'max-amount-due': leave it out, or give" in both.stderr


def test_a_rule_that_reads_by_itself_asks_once_for_what_is_shown_as_well(
    sandbox: Sandbox, live: dict[str, str], tmp_path: Path
) -> None:
    rules = tmp_path / "rules.json"
    rule = {"accountIds": [ACCOUNT], "limit": "150 USD", "baseUrl": sandbox.base_url}
    rules.write_text(json.dumps({"rules": {"account-budget": rule}}))
    judged = run("report", "--rules", str(rules), **live)
    assert judged.returncode == 1
    assert sandbox.requests == [ACCOUNT] * len(READS)
    del live["CLOUDFLARE_API_TOKEN"]
    unread = run("report", "--from", CREATE, "--rules", str(rules), **live)
    assert unread.returncode == 2
    assert "set CLOUDFLARE_API_TOKEN" in " ".join(unread.stdout.split())


def test_a_broken_proxy_is_exit_code_2_and_one_line(live: dict[str, str]) -> None:
    live["CLOUDFLARE_BASE_URL"] = "https://192.0.2.1/client/v4"
    for proxy in ("http://127.0.0.1:9", "socks9://[", "http://" + "x" * 64):
        failed = run("report", HTTPS_PROXY=proxy, CF_INVOICE_TIMEOUT="2", **live)
        assert failed.returncode == 2
        assert len(failed.stderr.splitlines()) == 1
        assert "Please report it" not in failed.stderr


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("[" * 200_000, id="deep"),
        pytest.param('{"steps":' + "[" * 200_000, id="deep steps"),
        '{"steps": [1, 2.5, "x", null, []]}',
        '{"steps": [{"newState": 7, "oldState": "x", "op": []}]}',
        '{"steps": [], "diagnostics": ["it broke", 7]}',
        '{"success": false, "errors": "it broke"}',
        '{"resOutputsEvent": 7}',
        '{"summaryEvent": {}, "sequence": 1}',
        "\x00\x01\x02",
    ],
)
def test_any_content_is_exit_code_2_and_one_line(content: str) -> None:
    failed = run("report", "--from", "-", "--budget", "1 USD", stdin=content)
    assert failed.returncode == 2
    assert len(failed.stderr.splitlines()) == 1
    assert "Please report it" not in failed.stderr


def test_no_word_of_others_is_a_command_to_a_runner(tmp_path: Path) -> None:
    commands = ["::error::gone", "##[error]gone", "x" * 90 + "::error::gone", "a ##[group]b"]
    answer = json.loads(Path(CREATE).read_text())
    inputs = answer["steps"][1]["newState"]["inputs"]
    [line, *_] = inputs["invoice_lines"]
    inputs["invoice_lines"] = [{**line, "description": command} for command in commands]
    inputs["status"] = "::error::gone"
    for columns in ("100", "40"):
        shown = run("show", "--from", "-", stdin=json.dumps(answer), COLUMNS=columns).stdout
        assert "##[" not in shown
        assert not [line for line in shown.splitlines() if line.strip().startswith("::")]
        assert "::error" not in shown


def test_json_is_no_command_to_whoever_shows_it(live: dict[str, str]) -> None:
    """A terminal, or a runner that shows it in its log; programs read what is safe to print."""
    message = "##vso[task.x]\x9b31m\u202e##[error]\u2028x"
    kept = "## vso[task.x] 31m ## [error] x"
    result = api_result(invoice_lines=[api_line(description=message)])
    with stand_in(json.dumps({"success": True, "result": result})) as (base_url, _):
        variables = {**live, "CLOUDFLARE_BASE_URL": base_url}
        shown = [
            run("snapshot", **variables).stdout,
            run("report", "--budget", "1 USD", "--format", "json", **variables).stdout,
        ]
    for text in shown:
        assert kept in json.dumps(json.loads(text), ensure_ascii=False)
        assert not re.search("##|[\x7f-\x9f\u2028-\u202e]", text)


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_stack_outputs_are_said_to_be_of_the_last_deployment(form: str) -> None:
    figures = Invoice.from_api(api_result(amount_due=4000)).to_figures()
    given = ("report", "--from", "-", "--budget", "250 USD", *AT, "--format", form)
    of_outputs = run(*given, stdin=json.dumps({**figures, "account_id": ACCOUNT}))
    assert of_outputs.returncode == 0
    said = " ".join(of_outputs.stdout.split())
    assert "Stack outputs are of the last deployment: usage since then is not in these" in said
    of_api = run(*given, stdin=json.dumps(api_result(amount_due=4000)))
    assert of_api.returncode == 0
    assert "last deployment" not in of_api.stdout


def test_a_snapshot_is_a_file_to_report_and_judge_on(
    sandbox: Sandbox, live: dict[str, str], tmp_path: Path
) -> None:
    file, rules = tmp_path / "snapshot.json", tmp_path / "rules.json"
    taken = run("snapshot", "--output", str(file), **live)
    assert (taken.returncode, taken.stdout, taken.stderr) == (0, "", "")
    assert run("snapshot", **live).stdout.startswith('{\n "version": 1')
    rule = {"accountIds": [ACCOUNT], "limit": "150 USD", "baseUrl": sandbox.base_url}
    rules.write_text(json.dumps({"rules": {"account-budget": rule}}))
    asked = len(sandbox.requests)
    judged = run("report", "--snapshot", str(file), "--rules", str(rules), "--max-age", "0.5")
    assert judged.returncode == 1
    assert "over the limit of $150.00 by $38.46" in judged.stdout
    assert "A snapshot of 20" in judged.stdout
    assert "Credit balance" in judged.stdout
    assert len(sandbox.requests) == asked


def test_what_a_program_exports_is_no_snapshot_to_judge_an_account_by(
    sandbox: Sandbox, live: dict[str, str], tmp_path: Path
) -> None:
    """Outputs can have any name: only who runs the command can say that a file is a snapshot."""
    sandbox.scenario = "never-paid"
    outputs, rules = tmp_path / "outputs.json", tmp_path / "rules.json"
    run("snapshot", "--output", str(outputs), **live)
    rule = {"accountIds": [ACCOUNT], "limit": "5 USD", "baseUrl": sandbox.base_url}
    rules.write_text(json.dumps({"rules": {"account-budget": rule}}))
    sandbox.scenario = "usual"
    assert run("report", "--rules", str(rules), **live).returncode == 1
    told = {**live, "CF_INVOICE_NOTIFY": "json://127.0.0.1/"}
    for command in (["report", "--rules", str(rules)], ["notify", "--rules", str(rules)], ["show"]):
        refused = run(*command, "--from", str(outputs), **told)
        assert refused.returncode == 2
        assert (
            f"{outputs} looks like a snapshot: if `cf-invoice snapshot` wrote it" in refused.stderr
        )
        # Not as a part of another file either.
        outputs.write_text("warning: old\n" + outputs.read_text())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--snapshot", UPDATE], f"{UPDATE} is not a snapshot: give the file as --from"),
        (["--from", "."], ". is a folder: give a folder of snapshots as --snapshot"),
        (["--snapshot", "-", "--snapshot", "-"], "standard input can be read only once"),
    ],
)
def test_a_file_has_to_be_of_the_kind_that_it_is_given_as(
    arguments: list[str], expected: str
) -> None:
    refused = run("report", *arguments)
    assert refused.returncode == 2
    assert expected in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_snapshot_that_is_too_old_is_exit_code_2(live: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "snapshot.json"
    run("snapshot", "--output", str(file), **live)
    at = ["--at", "2100-01-01T00:00:00Z"]
    for command in ("report", "show"):
        old = run(command, "--snapshot", str(file), "--max-age", "24", *at)
        assert old.returncode == 2
        assert "hours old" in old.stderr
        assert run(command, "--snapshot", str(file), *at).returncode == 0


def test_a_snapshot_of_an_account_that_answers_nothing_is_none(
    live: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "snapshot.json"
    refused = run("snapshot", "--output", str(file), **{**live, "CLOUDFLARE_API_TOKEN": "wrong"})
    assert refused.returncode == 2
    assert refused.stderr.startswith("cf-invoice: cannot read the upcoming invoice of account ")
    assert refused.stderr.count("\n") == 1
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["report", "--max-age", "2"], "--max-age has no effect without --snapshot"),
        (["report", "--from", CREATE, "--max-age", "2"], "does not say when its figures were"),
        (["show", "--from", CREATE, "--max-age", "soon"], "'soon' is not a number of hours"),
        (["show", "--from", CREATE, "--max-age", "0"], "'0' is not above zero"),
        (["show", "--from", CREATE, "--max-age", "nan"], "'nan' is not a number of hours"),
    ],
)
def test_a_largest_age_is_for_snapshots_alone(
    arguments: list[str], expected: str, live: dict[str, str]
) -> None:
    done = run(*arguments, **live)
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_forecast_is_a_table_or_json_from_a_snapshot_or_live(
    sandbox: Sandbox, live: dict[str, str], tmp_path: Path
) -> None:
    sandbox.scenario = "steady"
    file = tmp_path / "snapshot.json"
    run("snapshot", "--output", str(file), **live)
    for arguments in (["--snapshot", str(file)], []):
        done = run("forecast", *arguments, **live)
        assert done.returncode == 0
        assert f"Account {ACCOUNT}, as of 20" in done.stdout
        made = run("forecast", *arguments, "--format", "json", **live)
        content = json.loads(made.stdout)
        jsonschema.validate(content, json.loads(forecasts.schema()))
        assert content["forecasts"][0]["account_id"] == ACCOUNT
        assert content["forecasts"][0]["text"] in done.stdout
    schema = Path(forecasts.__file__).with_name("forecast.schema.json")
    assert schema.read_text() == forecasts.schema(), "run `make schema`"


def test_fixed_lines_are_not_extrapolated(live: dict[str, str]) -> None:
    done = run("forecast", "--fixed-line", "openai/*", "--fixed-line", "nothing/*", **live)
    assert done.returncode == 0
    assert "1 line is a fixed fee, $192.87 before credits, and stays as it is" in done.stdout
    assert 'No line of the invoice matches "nothing/*"' in done.stdout


def test_a_report_takes_fixed_lines_too(live: dict[str, str], tmp_path: Path) -> None:
    """It refuses them if there is no forecast for them to affect."""
    snapshot = tmp_path / "snapshot.json"
    run("snapshot", "--output", str(snapshot), **live)
    done = run("report", "--snapshot", str(snapshot), "--fixed-line", "openai/*", **live)
    assert "1 line is a fixed fee, $192.87 before credits, and stays as it is" in " ".join(
        done.stdout.split()
    )
    preview = tmp_path / "preview.json"
    preview.write_text(json.dumps(api_result()))
    refused = run("report", "--from", str(preview), "--fixed-line", "openai/*", **live)
    assert refused.returncode == 2
    assert "--fixed-line has no effect without usage" in refused.stderr


def test_a_forecast_needs_more_than_an_invoice() -> None:
    done = run("forecast", "--snapshot", CREATE)
    assert done.returncode == 2
    assert f"{CREATE} is not a snapshot" in done.stderr
    assert run("forecast", "--from", CREATE).returncode == 2
    assert run("forecast", "--snapshot", CREATE, "--at", "2026-09-15").returncode == 2


def test_a_forecast_of_a_part_of_the_lines_is_exit_code_2(
    sandbox: Sandbox, live: dict[str, str]
) -> None:
    sandbox.scenario = "pages-failing"
    done = run("forecast", **live)
    assert done.returncode == 2
    assert "the API gave only a part of the invoice's lines" in done.stderr


@pytest.mark.parametrize(
    ("lacking", "expected"),
    [
        ("read_at", "read_at is missing: it needs a time with its zone"),
        ("version", "version: None is not 1"),
        ("base_url", "it is not a snapshot: it needs reads and a base_url"),
    ],
)
@pytest.mark.parametrize("option", ["--snapshot", "--from"])
def test_a_snapshot_that_lacks_something_is_told_what(
    option: str, lacking: str, expected: str
) -> None:
    content = json.loads("".join(snapshot().to_json()))
    del content[lacking]
    done = run("show", option, "-", stdin=json.dumps(content))
    assert done.returncode == 2
    assert done.stderr.startswith("cf-invoice: standard input: ")
    assert expected in done.stderr


def test_credits_are_judged_where_the_invoice_is_refused(
    sandbox: Sandbox, live: dict[str, str], tmp_path: Path
) -> None:
    sandbox.faults["invoice-preview"] = "http-404"
    file, rules = tmp_path / "snapshot.json", tmp_path / "rules.json"
    taken = run("snapshot", "--output", str(file), **live)
    assert taken.returncode == 0
    assert "not available: cannot read the upcoming invoice of account" in taken.stderr
    for limit, code in (("5 USD", 0), ("500 USD", 1)):
        rule = {"accountIds": [ACCOUNT], "limit": limit, "baseUrl": sandbox.base_url}
        rules.write_text(json.dumps({"rules": {"min-credit-balance": rule}}))
        for source in (["--snapshot", str(file)], []):
            judged = run("report", *source, "--rules", str(rules), **live)
            assert judged.returncode == code, judged.stderr
            assert "no upcoming invoice to show" in judged.stdout
    # Without anything to judge, and for commands that show an invoice, it fails as before.
    for command in ("report", "show", "forecast"):
        failed = run(command, "--snapshot", str(file), **live)
        assert failed.returncode == 2
        assert "cannot read the upcoming invoice of account" in failed.stderr
    on_invoice = run("report", "--snapshot", str(file), "--budget", "1 USD", **live)
    assert on_invoice.returncode == 2


def test_an_account_that_no_rule_is_on_is_unknown_in_its_snapshot_as_it_is_live(
    sandbox: Sandbox, live: dict[str, str], tmp_path: Path
) -> None:
    folder, rules = tmp_path / "snapshots", tmp_path / "rules.json"
    folder.mkdir()
    other, file = folder / "other.json", folder / "account.json"
    rule = {"accountIds": [OTHER_ACCOUNT], "limit": "5 USD", "baseUrl": sandbox.base_url}
    rules.write_text(json.dumps({"rules": {"min-credit-balance": rule}}))
    run("snapshot", "--account-id", OTHER_ACCOUNT, "--output", str(other), **live)
    sandbox.faults["invoice-preview"] = "http-404"
    run("snapshot", "--output", str(file), **live)
    for source in (["--snapshot", str(file)], []):
        judged = run("report", *source, "--rules", str(rules), **live)
        assert judged.returncode == 2, source
        assert judged.stdout.startswith("Unknown: no upcoming invoice to show.")
    # A folder may have accounts that nobody uses.
    judged = run("report", "--snapshot", str(folder), "--rules", str(rules), **live)
    assert judged.returncode == 0


def test_a_snapshot_without_the_invoice_adds_to_a_preview_of_the_account(
    sandbox: Sandbox, live: dict[str, str], tmp_path: Path
) -> None:
    sandbox.faults["invoice-preview"] = "http-404"
    file = tmp_path / "snapshot.json"
    account = json.loads(Path(UPDATE).read_text())["steps"][-1]["newState"]["inputs"]["account_id"]
    run("snapshot", "--output", str(file), **{**live, "CLOUDFLARE_ACCOUNT_ID": account})
    shown = run("show", "--from", UPDATE, "--snapshot", str(file), *AT)
    assert shown.returncode == 0, shown.stderr
    assert "$200.01" in shown.stdout
    assert "Credit balance" in shown.stdout


def test_two_snapshots_of_an_account_without_its_invoice_are_refused_too(
    sandbox: Sandbox, live: dict[str, str], tmp_path: Path
) -> None:
    """The ignored snapshot could have figures that a rule on the other never sees."""
    whole, low, rich = (str(tmp_path / f"{name}.json") for name in ("whole", "low", "rich"))
    run("snapshot", "--output", whole, **live)
    sandbox.faults["invoice-preview"] = "http-404"
    run("snapshot", "--output", rich, **live)
    sandbox.scenario = "never-paid"
    run("snapshot", "--output", low, **live)
    rule = {"accountIds": [ACCOUNT], "limit": "5 USD", "baseUrl": sandbox.base_url}
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"rules": {"min-credit-balance": rule}}))
    for files in ((low, rich), (rich, low), (whole, low), (low, whole)):
        several = [argument for file in files for argument in ("--snapshot", file)]
        judged = run("report", *several, "--rules", str(rules), **live)
        assert judged.returncode == 2
        assert f"account {ACCOUNT} is in several snapshots" in judged.stderr
    copy = shutil.copy(low, f"{tmp_path}/copy.json")
    same = run("report", "--snapshot", low, "--snapshot", copy, "--rules", str(rules), **live)
    assert same.returncode == 1


def test_a_snapshot_without_its_invoice_is_told_apart_from_one_that_cannot_be_used(
    sandbox: Sandbox, live: dict[str, str], tmp_path: Path
) -> None:
    sandbox.faults["invoice-preview"] = "http-404"
    file, rules = tmp_path / "snapshot.json", tmp_path / "rules.json"
    run("snapshot", "--output", str(file), **live)
    rule = {"accountIds": [ACCOUNT], "limit": "5 USD", "baseUrl": sandbox.base_url}
    rules.write_text(json.dumps({"rules": {"min-credit-balance": rule}}))
    arguments = ["report", "--snapshot", str(file), "--rules", str(rules)]
    assert run(*arguments, "--account-id", ACCOUNT.upper(), **live).returncode == 0
    for more, message in (
        (["--prefix", "ai"], "--prefix chooses among stack outputs"),
        (
            ["--account-id", OTHER_ACCOUNT],
            f"the snapshot is of account {ACCOUNT}, not {OTHER_ACCOUNT}",
        ),
    ):
        refused = run(*arguments, *more, **live)
        assert refused.returncode == 2
        assert f"{file}: {message}" in refused.stderr
    file.write_text(file.read_text().replace('"version": 1', '"version": 2'))
    broken = run(*arguments, **live)
    assert broken.returncode == 2
    assert f"{file}: this is not an invoice: version: 2 is not 1" in broken.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["report", "--rules", "rules.json"],
        ["report", "--from", "invoice.json", "--budget", "1 USD", "--html", "report.html"],
        ["snapshot", "--output", "snapshot.json"],
    ],
)
def test_a_working_directory_that_was_deleted_is_named(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    done = run(*options)
    assert done.returncode == 2
    assert done.stderr == (
        "cf-invoice: the working directory cannot be used: No such file or directory\n"
    )


def test_a_copy_of_the_package_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the GitHub Action's own."""

    def none(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", none)
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("unknown: ")
