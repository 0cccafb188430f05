"""The how-to guides: their commands do what they say, and readers' words lead there."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from pulumi_cf_invoice.cli.arguments import parser
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.sandbox import Sandbox
from tests.docs import ROOT, page
from tests.engine.conftest import MakeCommandLine
from tests.engine.harness import CommandLine, copy_with_environment, run
from tests.factories import ACCOUNT, OTHER_ACCOUNT
from tools import tables

QUICKSTART = ROOT / "examples" / "quickstart"
AT = "report --at 2026-09-15T12:00Z"


def shown(name: str, start: str = "") -> list[str]:
    """Return the blocks of a page that begin with *start*, in order."""
    found = re.findall(r"^( *)```\w*\n(.*?)^ *```$", page(name), flags=re.M | re.S)
    texts = (re.sub(f"^{indent}", "", text, flags=re.M) for indent, text in found)
    return [text for text in texts if text.startswith(start)]


@pytest.fixture
def shell(tmp_path: Path, settled: dict[str, str]) -> CommandLine:
    """A shell in an empty folder, with `cf-invoice` and the sandbox's variables."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return CommandLine(tmp_path, {"PATH": path, "HOME": str(tmp_path), **settled})


@pytest.fixture
def project(make_command_line: MakeCommandLine) -> CommandLine:
    """The quickstart with a stack `dev`, and beside its program a policy pack with one rule."""
    made = make_command_line(QUICKSTART)
    pack = copy_with_environment(ROOT / "examples" / "policy-pack", made.directory / "policy-pack")
    write(pack / "rules.json", {"rules": {"max-amount-due": {"limit": "150 USD"}}})
    return made


def write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def test_production_is_blocked_by_what_only_warns_elsewhere(project: CommandLine) -> None:
    config, gate, publish = shown("production-only")
    assert publish == "pulumi policy publish ORGANIZATION\n"
    assert project.shell(f"{config}pulumi stack init production"), project.printed
    assert project.shell(gate, STACK="dev"), project.printed
    assert "[advisory]" in project.printed
    warn_only = "--policy-pack-config policy-pack/warn-only.json"
    for name in ("production", "organization/quickstart/production"):
        project.printed = ""
        assert not project.shell(gate, STACK=name, CONFIG=warn_only)
        assert "[mandatory]" in project.printed
    # Without the variable it would be the selected stack, which is production.
    assert not project.shell(gate, STACK="")
    assert project.printed.endswith("STACK: parameter null or not set\n")
    report = "cf-invoice report --rules policy-pack/rules.json --policy-pack-config"
    assert f"{gate}{page('production-only')}".count("policy-pack/warn-only.json") > 1
    assert project.shell(f"{report} policy-pack/warn-only.json"), project.printed


def test_one_preview_prints_for_people_and_writes_for_the_report(project: CommandLine) -> None:
    once, in_a_job = shown("one-preview")
    preview, report = once.splitlines()
    rules = project.directory / "policy-pack" / "rules.json"
    write(rules, {"rules": {"max-amount-due": {"limit": "250 USD"}}})
    assert project.shell(preview.replace("preview", "preview --stack dev", 1)), project.printed
    assert 'amount_due_text: "$188.46"' in project.printed
    assert project.shell(report.replace("report", AT, 1)), project.printed
    assert "quickstart/dev" in project.printed.partition("Within budget")[2]

    write(rules, {"rules": {"max-amount-due": {"limit": "150 USD"}}})
    *job, comment, leave = in_a_job.splitlines()
    assert comment == "cf-invoice comment report.md"
    assert not project.shell("\n".join(["pulumi stack select dev", *job, leave]))
    assert "over the limit of $150.00" in project.printed
    assert (project.directory / "report.md").exists()
    assert not project.shell(preview.partition(" ")[2])
    assert "unknown flag: --event-log" in project.printed


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server that receives messages, and the messages it received."""
    taken: list[bytes] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/", taken
        server.shutdown()


def test_people_are_told_once_that_the_budget_is_exceeded(
    shell: CommandLine, webhook: tuple[str, list[bytes]]
) -> None:
    address, taken = webhook
    command = next(text for text in shown("slack") if text.startswith("cf-invoice notify"))
    shell.environment["CF_INVOICE_NOTIFY"] = address.replace("http://", "json://")
    for limit in ("250 USD", "150 USD", "150 USD"):
        write(shell.directory / "rules.json", {"rules": {"max-amount-due": {"limit": limit}}})
        assert shell.shell(command) == (limit == "250 USD"), shell.printed
    [message] = taken
    assert "over the limit of $150.00 by $38.46" in json.loads(message)["message"]


def test_many_stacks_have_one_report(make_command_line: MakeCommandLine) -> None:
    shell = make_command_line(QUICKSTART)
    # Folder and stack make the same words twice, and the last line does not end.
    stacks = {"search": "eu-prod", "search-eu": "prod"}
    for name, stack in stacks.items():
        folder = shell.directory / "programs" / name
        copy_with_environment(QUICKSTART, folder)
        file = folder / "Pulumi.yaml"
        file.write_text(file.read_text().replace("name: quickstart", f"name: {name}"))
        assert shell.shell(f"pulumi stack init {stack} --cwd programs/{name}"), shell.printed
    lines = "\n".join(f"programs/{name} {stack}" for name, stack in stacks.items())
    (shell.directory / "stacks.txt").write_text(lines)
    write(
        shell.directory / "policy-pack" / "rules.json",
        {"rules": {"max-amount-due": {"limit": "250 USD"}}},
    )
    _, vendor, preview, report, of_accounts = shown("many-stacks")
    assert vendor.startswith("python3 ")
    events = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
    # The checkout has a folder of the name, to which the shell writes nothing.
    previews = shell.directory / "previews" / "programs"
    (previews / "search@eu-prod.json").mkdir(parents=True)
    assert shell.shell(preview, **events), shell.printed
    assert shell.shell(report.replace("report", AT, 1)), shell.printed
    assert "search/eu-prod, search-eu/prod, account" in shell.printed
    other = previews / "search-eu@prod.json"
    other.write_text("")
    assert not shell.shell(report)
    other.unlink()
    assert not shell.shell(report)
    (shell.directory / "stacks.txt").write_text("")
    assert not shell.shell(report)
    assert "no stack is listed" in shell.printed
    accounts = f"{ACCOUNT} search\n{OTHER_ACCOUNT} support\n"
    (shell.directory / "accounts.txt").write_text(accounts)
    shell.printed = ""
    assert shell.shell(of_accounts), shell.printed
    assert shell.printed.startswith("Within budget: 2 upcoming invoices")
    assert {"search", "support"} <= set(shell.printed.split())


def test_budgets_differ_by_account_stack_and_team(shell: CommandLine, sandbox: Sandbox) -> None:
    by_account, by_stack, by_team = shown("budgets", "{")
    [on_stack, on_team] = shown("budgets", "pulumi preview"), shown("budgets", "cf-invoice report")
    for rules in (by_account, by_team):
        assert parse_rules(json.loads(rules))
    [preview, report] = on_stack[0].splitlines()
    assert preview.endswith(report.partition("rules.json ")[2])
    write(shell.directory / "policy-pack" / "rules.json", json.loads(by_account))
    write(shell.directory / "policy-pack" / "budgets" / "dev.json", json.loads(by_stack))
    report = report.replace("report", AT, 1)
    assert shell.shell(report.partition(" --policy-pack-config")[0]), shell.printed
    assert not shell.shell(report)
    assert "over the limit of $150.00 by $38.46" in shell.printed
    teams = by_team.replace('"limit": "1000 USD"', f'"limit": "1000 USD", {base_url(sandbox)}')
    teams = teams.replace('"limit": "200 USD"', f'"limit": "150 USD", {base_url(sandbox)}')
    (shell.directory / "rules.json").write_text(teams)
    assert not shell.shell(on_team[0])
    assert re.search(r"over +team-support", shell.printed)
    assert "0a1b2c3d4e5f60718293a4b5c6d7e8f9" in by_account


def base_url(sandbox: Sandbox) -> str:
    return f'"baseUrl": {json.dumps(sandbox.base_url)}'


def test_the_trend_is_in_a_report_in_a_comparison_and_in_a_file(shell: CommandLine) -> None:
    charts, since, appended = shown("trend")
    assert shell.shell(charts), shell.printed
    assert "<svg" in (shell.directory / "report.html").read_text()
    assert shell.shell("cf-invoice snapshot --output last-week.json"), shell.printed
    assert shell.shell(since), shell.printed
    assert shell.shell(appended + appended), shell.printed
    rows = (shell.directory / "trend.csv").read_text().splitlines()
    assert [row.partition(",")[2] for row in rows] == ["188.46", "188.46"]


@pytest.mark.longest
def test_without_pulumi_the_command_is_installed_from_a_clone_and_reads_the_account(
    shell: CommandLine, offline: dict[str, str]
) -> None:
    install, settings, budget, program = shown("without-pulumi")
    for shown_there, here in {
        "/path/to/pulumi-cf-invoice": str(ROOT),
        # To give the environment a pip of its own would take as long as all the rest.
        "-m venv ": "-m venv --without-pip ",
        "venv/bin/pip ": f"'{sys.executable}' -m pip --python venv/bin/python ",
    }.items():
        assert shown_there in install
        install = install.replace(shown_there, here)
    assert shell.shell(install, **offline), shell.printed
    export, *commands = re.sub("=TOKEN", "=sandbox-token", settings).split("\ncf-invoice ")
    active = f"source venv/bin/activate\n{export}\n"
    for command in [*commands, budget.removeprefix("cf-invoice ")]:
        assert shell.shell(f"{active}cf-invoice {command}"), shell.printed
    assert shell.shell(f"{active}which cf-invoice"), shell.printed
    assert shell.printed.strip().endswith(f"{shell.directory}/venv/bin/cf-invoice")
    assert "sandbox-token" in program


@pytest.mark.longest
def test_every_example_of_a_help_works_in_the_quickstart(
    make_command_line: MakeCommandLine, sandbox: Sandbox
) -> None:
    """With nothing but what the quickstart sets: the stack's account and token."""
    shell = make_command_line(QUICKSTART)
    for name in ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID"):
        del shell.environment[name]
    setting = (
        f"pulumi config set cf-invoice:accountId {ACCOUNT}\n"
        "pulumi config set --secret cloudflare:apiToken sandbox-token"
    )
    assert shell.shell(setting), shell.printed
    helps = [parser(), *(command for _, _, command in tables.commands_with_parsers())]
    examples = [
        # Long commands go on in the next line.
        re.findall("^  (.*)", made.epilog.partition("example:\n")[2].partition("\n\n")[0], re.M)
        for made in helps
        if made.epilog
    ]
    assert len(examples) >= 7
    for lines in examples:
        assert lines
        assert shell.shell("\n".join(lines)), shell.printed
    assert "Traceback" not in shell.printed


def test_the_job_for_users_of_the_plugin_is_one_that_github_takes(tmp_path: Path) -> None:
    [steps] = shown("languages", "steps:")
    job = {"runs-on": "ubuntu-latest", **yaml.safe_load(steps)}
    file = tmp_path / "preview.yml"
    file.write_text(yaml.dump({"name": "Preview", "on": "pull_request", "jobs": {"preview": job}}))
    run(["actionlint", "-no-color", str(file)], tmp_path)


QUESTIONS = {
    "notify slack": "slack",
    "only production": "production-only",
    "budget per stack": "budgets",
    "budget per account": "budgets",
    "budget per team": "budgets",
    "trend": "trend",
    "many stacks in one repository": "many-stacks",
    "thirty stacks": "many-stacks",
    "without pulumi": "without-pulumi",
    "unit tests": "testing",
    "upgrading": "upgrading",
    "upgrade the plugin": "upgrading",
    "credentials esc": "esc-and-oidc",
    "oidc": "esc-and-oidc",
    "one preview": "one-preview",
}


@pytest.mark.parametrize(("words", "name"), QUESTIONS.items())
def test_the_words_of_a_question_are_in_the_headings_of_the_page_that_answers_it(
    words: str, name: str
) -> None:
    """The site's search finds a page by its title and headings before anything else."""
    headings = "\n".join(re.findall("^#+ .*", page(name), flags=re.M)).lower()
    missing = [word for word in words.split() if not re.search(rf"\b{word}", headings)]
    assert not missing
