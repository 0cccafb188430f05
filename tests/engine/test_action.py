"""The GitHub Action, which act runs as a step of a workflow, against the sandbox and a forge."""

import ast
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.report import markdown
from pulumi_cf_invoice.sandbox import Sandbox
from tests import forge
from tests.engine import workflows
from tests.engine.workflows import ACTION, GitHub, Run, pull_request
from tests.factories import ACCOUNT, OTHER_ACCOUNT, TOKEN
from tests.forge import BOT, NUMBER, REPOSITORY, STRANGER, Forge
from tools.environment import installing

PREVIEWS = Path(__file__).parents[1] / "unit" / "data" / "previews"
WITHIN, OVER = "within.json", "over.ndjson"
RULES = {"from": WITHIN, "rules": "rules.json"}
TOO_MUCH = {"from": OVER, "rules": "rules.json"}


class Workflow(GitHub):
    """A repository with one workflow, the job of which uses the action."""

    action = "./.github/actions/cf-invoice"

    def use(
        self,
        inputs: dict[str, str],
        event: str = "pull_request",
        head: str = REPOSITORY,
        **payload: Any,
    ) -> Run:
        """Run the action with *inputs* for *event*, which may come from the repository *head*."""
        steps = [
            {"uses": "actions/checkout@v4"},
            {"uses": "actions/setup-python@v5", "with": {"python-version": "3.12"}},
            {"name": "Report", "uses": self.action, "with": inputs},
        ]
        job = {"runs-on": "ubuntu-latest", "steps": steps}
        content = {"name": "Invoice", "on": event, "jobs": {"invoice": job}}
        file = self.directory / ".github" / "workflows" / "invoice.yml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.dump(content))
        return self.run(event, **(pull_request(head) if event == "pull_request" else payload))

    def install_anew(self, directory: Path) -> None:
        """Let the runs that follow install the action, into *directory*."""
        directory.mkdir()
        self.environment |= {**installing(), "SHARED_RUNNER_TEMP": str(directory)}

    def write(self, name: str, content: str) -> None:
        """Write a file of the repository."""
        (self.directory / name).write_text(content)


@pytest.fixture
def host() -> Iterator[Forge]:
    """A running forge."""
    with forge.running() as running:
        yield running


def a_year_before(preview: str) -> str:
    """Return a sample whose period has ended: what a day of it comes to depends on the day."""
    for of_sample, before in ((1793491200, 1761955200), (1796083200, 1764547200)):
        preview = preview.replace(str(of_sample), str(before))
    return preview


@pytest.fixture
def workflow(tmp_path: Path, host: Forge, settled: dict[str, str], runner_temp: Path) -> Workflow:
    directory = tmp_path / "repository"
    directory.mkdir()
    workflows.copy_action(directory)
    for name, file in (("preview-first.json", WITHIN), ("preview-stream-moved.ndjson", OVER)):
        (directory / file).write_text(a_year_before((PREVIEWS / name).read_text()))
    environment = {
        **os.environ,
        **settled,
        "GITHUB_GRAPHQL_URL": host.github["GITHUB_GRAPHQL_URL"],
        "SHARED_RUNNER_TEMP": str(runner_temp),
    }
    made = Workflow(directory, environment, tmp_path / "apart", {"GITHUB_TOKEN": "job-token"})
    made.write("rules.json", json.dumps({"rules": {"max-amount-due": {"limit": "200 USD"}}}))
    return made


def test_a_pull_request_within_budget_gets_summary_comment_outputs_and_reports(
    workflow: Workflow, host: Forge
) -> None:
    run = workflow.use({**RULES, "tag": "dev"})
    assert run.jobs == {"invoice": "success"}, run.printed
    headline = "✅ Within budget: $188.46"
    assert headline in run.summary
    [comment] = host.bodies
    assert headline in comment
    assert comment.startswith(markdown.MARKER.replace(" -->", " dev -->"))
    assert host.tokens == {"Bearer job-token"}
    reports = {name: Path(run.outputs.pop(name)).read_text() for name in ("markdown", "html")}
    assert headline in reports["markdown"]
    assert reports["html"].startswith("<!doctype html>")
    assert run.outputs.pop("headline").startswith("Within budget: $188.46")
    assert run.outputs == {
        "verdict": "within",
        "outlook": "",
        "amount-due": "18846",
        "amount-due-text": "$188.46",
        "projected-amount-due": "",
        "currency": "usd",
        "period": "2025-11-01 to 2025-11-30",
    }


def test_the_next_run_updates_its_own_comment_and_nobody_elses(
    workflow: Workflow, host: Forge
) -> None:
    host.add(f"{markdown.MARKER} by a stranger", STRANGER)
    host.add("a word of the bot's", BOT)
    assert workflow.use(RULES).jobs == {"invoice": "success"}
    assert workflow.use(TOO_MUCH).jobs == {"invoice": "failure"}
    theirs, word, ours = host.bodies
    assert (theirs, word) == (f"{markdown.MARKER} by a stranger", "a word of the bot's")
    assert "$999.00" in ours


def test_over_budget_fails_after_everything_is_reported(workflow: Workflow, host: Forge) -> None:
    run = workflow.use(TOO_MUCH)
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert run.steps["Report > Report"] == "success"
    assert run.steps["Report > Gate"] == "failure"
    assert "Over budget: $999.00" in run.summary
    assert "Over budget: $999.00" in host.bodies[0]
    assert run.outputs["verdict"] == "over"
    assert Path(run.outputs["html"]).exists()


def test_against_a_rule_that_is_no_budget_fails_in_words_that_are_true(workflow: Workflow) -> None:
    workflow.write(
        "rules.json", json.dumps({"rules": {"allowed-currencies": {"currencies": ["EUR"]}}})
    )
    words = "Against a rule: the report says which, and why."
    # act sometimes loses what a step prints right before it ends.
    for _ in range(3):
        run = workflow.use({**RULES, "comment": "false"})
        assert run.failed == ["Report"], run.printed
        assert "USD, which is not one of those allowed: EUR" in run.summary
        assert "Over budget" not in run.printed
        if words in run.printed:
            break
    assert words in run.printed


def test_over_budget_passes_where_it_shall_not_fail(workflow: Workflow, host: Forge) -> None:
    run = workflow.use({**TOO_MUCH, "fail": "false"})
    assert run.jobs == {"invoice": "success"}, run.printed
    assert run.outputs["verdict"] == "over"
    assert len(host.bodies) == 1


@pytest.mark.parametrize("fail", ["yes", "no", ""])
def test_over_budget_fails_unless_fail_is_false(workflow: Workflow, fail: str) -> None:
    run = workflow.use({**TOO_MUCH, "fail": fail, "comment": "false"})
    assert run.jobs == {"invoice": "failure"}, run.printed


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"from": WITHIN}, "set the input rules, or budget"),
        ({"from": WITHIN, "rules": "missing.json"}, "missing.json"),
        ({"from": "missing.json", "budget": "1 USD"}, "cannot read missing.json"),
        ({"from": "*.json", "budget": "500 USD"}, "cannot read *.json"),
        ({"from": "failed.ndjson", "budget": "500 USD"}, "the preview failed"),
        ({"from": "-", "budget": "500 USD"}, "standard input"),
        ({"from": "--budget", "budget": "500 USD"}, "cannot read --budget"),
        ({"from": WITHIN, "budget": "500 USD", "baseline": "missing.json"}, "missing.json"),
        ({**RULES, "policy-pack-config": "missing.json"}, "missing.json"),
        ({**RULES, "name": "one\ntwo"}, "name has 2 lines, and from has 1"),
        ({"name": "one", "budget": "500 USD"}, "name has 1 lines, and from has 0"),
    ],
)
def test_what_cannot_be_determined_fails_whatever_fail_is(
    workflow: Workflow, host: Forge, inputs: dict[str, str], reason: str
) -> None:
    shutil.copy(PREVIEWS / "preview-stream-failed.ndjson", workflow.directory / "failed.ndjson")
    run = workflow.use({**inputs, "fail": "false"})
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert run.steps["Report > Report"] == "failure"
    assert reason in run.printed
    assert run.outputs["verdict"] == "unknown"
    [comment] = host.bodies
    assert "### ❔ Unknown: there is no report." in comment


def test_a_preview_that_a_policy_pack_blocked_is_commented(workflow: Workflow, host: Forge) -> None:
    blocked = PREVIEWS.parent / "cases" / "02-policy-violation.events.jsonl"
    shutil.copy(blocked, workflow.directory / "blocked.ndjson")
    run = workflow.use({"from": "blocked.ndjson", "budget": "250 USD"})
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert run.outputs["verdict"] == "over"
    [comment] = host.bodies
    assert "policy pack blocked the preview" in comment
    assert "cf-invoice-spend: max-amount-due" in comment


def test_a_rule_that_cannot_be_judged_is_reported_in_the_comment_and_fails(
    workflow: Workflow, host: Forge, sandbox: Sandbox
) -> None:
    rule = {"accountIds": [ACCOUNT], "limit": "500 USD", "baseUrl": sandbox.base_url}
    sandbox.fault = "http-403"
    workflow.write("rules.json", json.dumps({"rules": {"account-budget": rule}}))
    run = workflow.use({**RULES, "fail": "false"})
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert run.outputs["verdict"] == "unknown"
    assert "cannot read the upcoming invoice" in host.bodies[0]


def test_an_invoice_that_the_api_refuses_fails(workflow: Workflow, sandbox: Sandbox) -> None:
    sandbox.fault = "http-403"
    run = workflow.use({"rules": "rules.json", "fail": "false"}, event="schedule")
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert "Cloudflare said HTTP 403" in run.printed


def test_a_refused_comment_fails_and_keeps_the_report(workflow: Workflow, host: Forge) -> None:
    host.refuse(403, {"message": "Resource not accessible by integration"})
    run = workflow.use(RULES)
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert "`pull-requests: write`" in run.printed
    assert Path(run.outputs["html"]).exists()
    assert "Within budget" in run.summary


def test_an_action_that_cannot_be_installed_fails_and_replaces_an_older_comment(
    workflow: Workflow, host: Forge, tmp_path: Path
) -> None:
    tag = markdown.MARKER.replace(" -->", " dev -->")
    for body, author in ((f"{tag} theirs", STRANGER), (markdown.MARKER, BOT), (f"{tag} ✅", BOT)):
        host.add(body, author)
    workflow.install_anew(tmp_path / "runner")
    workflow.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "nowhere"}
    run = workflow.use({**RULES, "fail": "false", "tag": "dev"})
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert run.steps["Report > Install cf-invoice"] == "failure"
    assert run.outputs["verdict"] == "unknown"
    assert "cf-invoice could not be installed: see the log." in run.summary
    theirs, other, ours = host.bodies
    assert (theirs, other) == (f"{tag} theirs", markdown.MARKER)
    assert ours.startswith(f"{tag}\n\n### ❔ Unknown\n\ncf-invoice could not be installed")


def test_whatever_fails_while_it_is_installed_replaces_an_older_comment(
    workflow: Workflow, host: Forge, tmp_path: Path
) -> None:
    workflow.install_anew(tmp_path / "runner")
    _let_fail(workflow, tmp_path, "rm", "*/cf-invoice")
    _lose_job_summary(workflow, tmp_path)
    host.add(markdown.MARKER)
    run = workflow.use({**RULES, "fail": "false"})
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert run.steps["Report > Install cf-invoice"] == "failure"
    assert "### ❔ Unknown\n\ncf-invoice could not be installed: see the log." in host.bodies[0]


def test_whatever_fails_while_a_report_is_made_is_in_what_stands_in_for_it(
    workflow: Workflow, runner_temp: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "runner"
    shutil.copytree(runner_temp, broken, symlinks=True, ignore=shutil.ignore_patterns("bin"))
    workflow.environment["SHARED_RUNNER_TEMP"] = str(broken)
    _let_fail(workflow, tmp_path, "rm", "*/.ready")
    run = workflow.use({**RULES, "fail": "false"})
    assert run.steps["Report > Report"] == "failure", run.printed
    reason = "### ❔ Unknown\n\nThe report could not be made: see the log."
    assert reason in run.summary
    assert Path(run.outputs["markdown"]).read_text().strip() == reason


def test_a_verdict_that_cannot_be_told_to_github_is_not_in_a_report(
    workflow: Workflow, host: Forge, tmp_path: Path
) -> None:
    _let_fail(workflow, tmp_path, "cat", "*/outputs")
    run = workflow.use({**RULES, "fail": "false"})
    assert run.steps["Report > Report"] == "failure", run.printed
    reason = markdown.render_failure("The report could not be made: see the log.")
    assert Path(run.outputs["markdown"]).read_text() == reason
    assert host.bodies == [reason]


def test_a_job_summary_that_cannot_be_written_leaves_no_green_report(
    workflow: Workflow, host: Forge, tmp_path: Path
) -> None:
    _lose_job_summary(workflow, tmp_path)
    run = workflow.use({**RULES, "fail": "false"})
    assert run.steps["Report > Report"] == "failure", run.printed
    reason = markdown.render_failure("The report could not be made: see the log.")
    assert Path(run.outputs["markdown"]).read_text() == reason
    assert host.bodies == [reason]


def _lose_job_summary(workflow: Workflow, directory: Path) -> None:
    """Give the steps of *workflow* a file for the job's summary that cannot be opened."""
    start, lost = directory / "start", directory / "missing" / "summary.md"
    # The command itself gets another.
    start.write_text(f'[ "${{0##*/}}" = cf-invoice ] || GITHUB_STEP_SUMMARY={lost}\n')
    workflow.environment["BASH_ENV"] = str(start)


def _let_fail(workflow: Workflow, directory: Path, command: str, glob: str) -> None:
    """Let *command* fail in *workflow* where its arguments match *glob*."""
    first = directory / "first" / command
    first.parent.mkdir()
    first.write_text(
        f'#!/bin/sh\ncase "$*" in {glob}) exit 1 ;; esac\nexec {shutil.which(command)} "$@"\n'
    )
    first.chmod(0o755)
    workflow.environment["PATH"] = f"{first.parent}:{workflow.environment['PATH']}"


@pytest.mark.parametrize("lost", ["site-packages", "bin"])
def test_an_installed_action_that_cannot_start_fails_and_replaces_an_older_comment(
    workflow: Workflow, host: Forge, runner_temp: Path, tmp_path: Path, lost: str
) -> None:
    broken = tmp_path / "runner"
    shutil.copytree(runner_temp, broken, symlinks=True, ignore=shutil.ignore_patterns(lost))
    workflow.environment["SHARED_RUNNER_TEMP"] = str(broken)
    host.add(markdown.MARKER)
    run = workflow.use({**RULES, "fail": "false"})
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert run.steps["Report > Report"] == "failure"
    assert run.outputs["verdict"] == "unknown"
    reason = "### ❔ Unknown\n\ncf-invoice could not write a report: see the log."
    assert reason in run.summary
    assert Path(run.outputs["markdown"]).read_text().strip() == reason
    [comment] = host.bodies
    assert comment.strip() == f"{markdown.MARKER}\n\n{reason}"


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 3"])
def test_a_report_whose_command_was_killed_after_it_is_no_verdict(
    workflow: Workflow, host: Forge, runner_temp: Path, tmp_path: Path, end: str
) -> None:
    killed = tmp_path / "runner"
    shutil.copytree(runner_temp, killed, symlinks=True)
    workflow.environment["SHARED_RUNNER_TEMP"] = str(killed)
    command = killed / "cf-invoice" / "cf-invoice"
    command.rename(command.with_name("whole"))
    command.write_text(f'#!/bin/sh\n"$(dirname "$0")/whole" "$@"\n{end}\n')
    command.chmod(0o755)
    host.add(markdown.MARKER)
    run = workflow.use({**RULES, "fail": "false"})
    assert run.jobs == {"invoice": "failure"}, run.printed
    reason = "### ❔ Unknown\n\ncf-invoice could not write a report: see the log."
    assert run.summary.strip() == reason
    assert Path(run.outputs.pop("markdown")).read_text().strip() == reason
    assert {name: text for name, text in run.outputs.items() if text} == {"verdict": "unknown"}
    assert [comment.strip() for comment in host.bodies] == [f"{markdown.MARKER}\n\n{reason}"]


@pytest.mark.parametrize(
    ("python", "line"),
    [
        (
            "import sys; sys.version_info = (3, 9, 2, 'final', 0); import platform; "
            "platform.python_version = lambda: '3.9.2'; exec(sys.argv[4])",
            "python3 is Python 3.9.2, and 3.11 is needed: add actions/setup-python before.",
        ),
        ("raise SystemExit(127)", "There is no python3 on this runner"),
    ],
)
def test_a_runner_whose_python_is_too_old_says_so_in_one_line(
    workflow: Workflow, host: Forge, tmp_path: Path, python: str, line: str
) -> None:
    workflow.install_anew(tmp_path / "runner")
    (tmp_path / "first").mkdir()
    first = tmp_path / "first" / "python3"
    # A file is run as it is.
    first.write_text(
        f'#!/bin/sh\n[ "$3" = -c ] || exec {sys.executable} "$@"\n'
        f'exec {sys.executable} -c "{python}" "$@"\n'
    )
    first.chmod(0o755)
    workflow.environment["PATH"] = f"{first.parent}:{workflow.environment['PATH']}"
    host.add(markdown.MARKER)
    run = workflow.use(RULES)
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert line in run.printed
    assert "Traceback" not in run.printed
    assert line in host.bodies[0]


def test_nothing_of_the_workspace_is_run_and_no_setting_of_pip_counts(
    workflow: Workflow, host: Forge, tmp_path: Path
) -> None:
    ran, elsewhere = tmp_path / "ran", tmp_path / "elsewhere"
    hostile = f"open({str(ran)!r}, 'a').write(__name__)\nraise SystemExit(0)\n"
    for module in ("logging", "types", "sitecustomize", "usercustomize", "json", "pip", "httpx"):
        workflow.write(f"{module}.py", hostile)
    workflow.write("pip.conf", f"[global]\npython = {ran}\nindex-url = http://127.0.0.1:9\n")
    workflow.write("pyproject.toml", '[build-system]\nrequires = ["x"]\nbuild-backend = "json"\n')
    workflow.write("setup.py", hostile)
    workflow.write(".python-version", "2.7\n")
    configuration = tmp_path / "configuration" / "pip" / "pip.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(
        f"[global]\nprefix = {elsewhere}\nuser = true\nno-binary = :all:\npython = {ran}\n"
        f"[install]\ndry-run = true\nroot = {elsewhere}\nrequirement = {ran}\n"
    )
    workflow.install_anew(tmp_path / "runner")
    workflow.environment |= {
        "XDG_CONFIG_HOME": str(tmp_path / "configuration"),
        "PYTHONPATH": str(workflow.directory),
        "PYTHONHOME": str(elsewhere),
        "PYTHONSTARTUP": str(workflow.directory / "json.py"),
        "PIP_CONFIG_FILE": str(workflow.directory / "pip.conf"),
        "PIP_USER": "1",
        "PIP_TARGET": str(elsewhere),
        "PIP_PREFIX": str(elsewhere),
        "PIP_ROOT": str(elsewhere),
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_NO_BINARY": ":all:",
        **_where_pip_finds_packages(),
    }
    run = workflow.use(TOO_MUCH)
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert run.outputs["verdict"] == "over", run.printed
    assert "$999.00" in host.bodies[0]
    assert not ran.exists()
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [({}, "$188.46"), ({"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "nowhere"}, "❔ Unknown")],
)
def test_no_package_runs_of_an_environment_in_the_workspace_that_is_first_on_path(
    workflow: Workflow, host: Forge, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    own, ran = workflow.directory / ".venv", tmp_path / "ran"
    venv.create(own)
    [packages] = own.glob("lib/python3*/site-packages")
    (packages / "hostile.pth").write_text(f"import sys; open({str(ran)!r}, 'a').write(sys.prefix)")
    workflow.install_anew(tmp_path / "runner")
    workflow.environment |= {"PATH": f"{own / 'bin'}:{workflow.environment['PATH']}", **settings}
    host.add(markdown.MARKER)
    workflow.use(RULES)
    assert said in host.bodies[0]
    assert not ran.exists()


def test_it_installs_itself_where_python_has_no_pip(
    workflow: Workflow, host: Forge, tmp_path: Path
) -> None:
    workflow.install_anew(tmp_path / "runner")
    without = tmp_path / "first" / "python3"
    without.parent.mkdir()
    without.write_text(
        '#!/bin/sh\ncase "$*" in *"-I -m pip"*) exit 1 ;; *_base_executable*) echo "$0"; exit ;; '
        f'esac\nexec {sys.executable} "$@"\n'
    )
    without.chmod(0o755)
    workflow.environment["PATH"] = f"{without.parent}:{workflow.environment['PATH']}"
    run = workflow.use(RULES)
    assert run.jobs == {"invoice": "success"}, run.printed
    assert "$188.46" in host.bodies[0]
    assert not list((tmp_path / "runner").rglob("pip"))


def test_another_version_of_the_action_in_the_same_job_is_installed_as_well(
    workflow: Workflow, runner_temp: Path, tmp_path: Path
) -> None:
    shutil.copytree(runner_temp, tmp_path / "runner", symlinks=True)
    workflow.environment |= {**installing(), "SHARED_RUNNER_TEMP": str(tmp_path / "runner")}
    package = workflow.directory / workflow.action / "pulumi_cf_invoice"
    (package / "of_another_version.py").touch()
    run = workflow.use({**RULES, "comment": "false"})
    assert run.jobs == {"invoice": "success"}, run.printed
    assert list((tmp_path / "runner").rglob("of_another_version.py"))


_PLANT = """
import json, pathlib, subprocess, sys, zipfile
from pip._internal.cache import SimpleWheelCache
from pip._internal.models.link import Link

cache, report = sys.argv[1:]
find = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
subprocess.run([*find, "--no-deps", "--report", report, "h11==0.16.0"], check=True)
[found] = json.loads(pathlib.Path(report).read_text())["install"]
url, archive = found["download_info"]["url"], found["download_info"]["archive_info"]
for link in Link(url), Link(f"{url}#{archive['hash']}"):
    folder = pathlib.Path(SimpleWheelCache(cache).get_path_for_link(link))
    folder.mkdir(parents=True)
    (folder / "origin.json").write_text(json.dumps({"url": url, "archive_info": archive}))
    with zipfile.ZipFile(folder / "h11-0.16.0-py3-none-any.whl", "w") as wheel:
        about = ["Metadata-Version: 2.1", "Name: h11", "Version: 0.16.0"]
        for name, lines in {
            "h11/planted.py": [],
            "h11-0.16.0.dist-info/METADATA": about,
            "h11-0.16.0.dist-info/WHEEL": ["Wheel-Version: 1.0", "Tag: py3-none-any"],
            "h11-0.16.0.dist-info/RECORD": ["h11/planted.py,,"],
        }.items():
            wheel.writestr(name, "".join(line + chr(10) for line in lines))
"""


def test_no_wheel_is_taken_from_a_cache_that_others_write_to(
    workflow: Workflow, tmp_path: Path
) -> None:
    """Pip believes what the cache says of its hash."""
    cache, report = workflow.directory / "cache", tmp_path / "report.json"
    plant = [sys.executable, "-c", _PLANT, str(cache), str(report)]
    subprocess.run(plant, env=installing(), check=True)
    # Pip takes a blank in many a setting for the end of a path.
    workflow.install_anew(tmp_path / "a runner")
    workflow.environment["PIP_CACHE_DIR"] = str(cache)
    run = workflow.use({**RULES, "comment": "false"})
    assert run.jobs == {"invoice": "success"}, run.printed
    installed = list((tmp_path / "a runner").rglob("h11/*.py"))
    assert installed
    assert "planted.py" not in {file.name for file in installed}


def _where_pip_finds_packages() -> dict[str, str]:
    """Return as variables what this machine's own configuration of pip says, if there is any."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env=installing(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    settings = (line.partition("=") for line in listed.splitlines() if line.startswith("global."))
    return {
        f"PIP_{name.removeprefix('global.').replace('-', '_').upper()}": ast.literal_eval(value)
        for name, _, value in settings
    }


def test_where_pips_configuration_file_says_to_find_packages_counts(
    workflow: Workflow, tmp_path: Path
) -> None:
    configuration = tmp_path / "configuration" / "pip" / "pip.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(
        "[global]\nno-index = true\nextra-index-url =\n  http://127.0.0.1:9\n"
        f"  http://127.0.0.1:9\n[install]\nfind-links = {tmp_path / 'nowhere'}\n"
    )
    workflow.install_anew(tmp_path / "runner")
    # A variable of the machine's own would win over the file.
    for name in [name for name in workflow.environment if name.startswith("PIP_")]:
        del workflow.environment[name]
    workflow.environment["XDG_CONFIG_HOME"] = str(tmp_path / "configuration")
    run = workflow.use({**RULES, "comment": "false"})
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert "cf-invoice could not be installed: see the log." in run.summary
    # What pip says of the folder that only this file names.
    assert str(tmp_path / "nowhere") in run.printed


def test_its_environment_is_small_and_has_neither_pulumi_nor_pip(runner_temp: Path) -> None:
    files = [file for file in (runner_temp / "cf-invoice").rglob("*") if file.is_file()]
    installed = {file.parent.name.partition("-")[0] for file in files if file.name == "METADATA"}
    assert installed & {"pulumi", "grpcio", "protobuf", "pip", "setuptools"} == set()
    assert "pydantic" in installed
    # What is imported is compiled, which pip was told not to do for the rest.
    own = [file for file in files if not file.is_symlink() and file.suffix != ".pyc"]
    assert sum(file.stat().st_size for file in own) < 70_000_000


def test_it_runs_by_the_name_of_its_repository_as_well(
    workflow: Workflow, host: Forge, tmp_path: Path
) -> None:
    published = tmp_path / "published"
    shutil.copytree(workflow.directory / ".github" / "actions" / "cf-invoice", published)
    shutil.rmtree(workflow.directory / ".github" / "actions")
    workflow.action = "acme/cf-invoice@v1"
    workflow.repositories = {workflow.action: published}
    run = workflow.use(RULES)
    assert run.jobs == {"invoice": "success"}, run.printed
    assert "$188.46" in host.bodies[0]


def test_paths_may_have_spaces_and_whatever_a_shell_would_read(
    workflow: Workflow, host: Forge
) -> None:
    rules, preview = "the rules' $(touch made); *.json", 'a "preview" `touch made` & $HOME.json'
    shutil.copy(workflow.directory / "rules.json", workflow.directory / rules)
    shutil.copy(workflow.directory / OVER, workflow.directory / preview)
    inputs = {"from": f"\n  {preview}  \n\n", "rules": rules, "comment": "false"}
    run = workflow.use({**inputs, "fail": "false"})
    assert run.outputs["verdict"] == "over", run.printed
    assert run.jobs == {"invoice": "success"}
    assert host.bodies == []


def test_several_files_are_one_report_with_a_name_for_each(workflow: Workflow, host: Forge) -> None:
    other = (workflow.directory / OVER).read_text().replace(ACCOUNT, OTHER_ACCOUNT)
    workflow.write("other account.ndjson", other)
    files, names = f"{WITHIN}\nother account.ndjson\n", "the website\n\nthe app\n"
    run = workflow.use({"from": files, "name": names, "budget": "500 USD"})
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert run.outputs["verdict"] == "over"
    assert run.outputs["amount-due"] == "118746"
    [comment] = host.bodies
    assert "the website" in comment
    assert "the app" in comment


@pytest.mark.parametrize("event", ["push", "schedule", "workflow_dispatch"])
def test_without_a_pull_request_it_does_not_comment_and_says_so(
    workflow: Workflow, host: Forge, sandbox: Sandbox, event: str
) -> None:
    run = workflow.use({"rules": "rules.json"}, event=event)
    assert run.jobs == {"invoice": "success"}, run.printed
    # Both reports are made of what was read once.
    assert sorted(asked.read for asked in sandbox.asked) == sorted(read.name for read in READS)
    assert f"No comment, as {event} names no pull request" in run.printed
    assert "Within budget: $188.46" in run.summary
    assert host.requests == []


@pytest.mark.parametrize("head", ["somebody/name", None])
def test_a_forks_pull_request_gets_no_comment_and_is_told_why(
    workflow: Workflow, host: Forge, head: Any
) -> None:
    run = workflow.use(TOO_MUCH, head=head)
    assert run.jobs == {"invoice": "failure"}, run.printed
    assert "No comment, as the token of a fork's pull request can only read" in run.printed
    assert "Over budget" in run.summary
    assert host.requests == []


def test_dependabots_pull_request_gets_no_comment_and_is_told_why(
    workflow: Workflow, host: Forge
) -> None:
    workflow.actor = "dependabot[bot]"
    run = workflow.use(RULES)
    assert run.jobs == {"invoice": "success"}, run.printed
    assert "No comment, as Dependabot's token is that of a fork" in run.printed
    assert host.requests == []


def test_a_merge_queue_comments_on_the_request_at_its_end(workflow: Workflow, host: Forge) -> None:
    queued = f"refs/heads/gh-readonly-queue/main/pr-{NUMBER}-{'0' * 40}"
    run = workflow.use(RULES, event="merge_group", merge_group={"head_ref": queued})
    assert run.jobs == {"invoice": "success"}, run.printed
    assert len(host.bodies) == 1


def test_a_run_after_a_forks_request_comments_where_it_is_told(
    workflow: Workflow, host: Forge
) -> None:
    ours = {"number": NUMBER, "base": {"repo": {"id": 1}}, "head": {"repo": {"id": 1}}}
    theirs = {**ours, "base": {"repo": {"id": 2}}}
    after: dict[str, Any] = {}
    for requests in ([ours, {**ours, "number": NUMBER + 1}], [theirs], []):
        after = {"repository": {"id": 1}, "workflow_run": {"pull_requests": requests}}
        run = workflow.use(RULES, event="workflow_run", **after)
        assert run.jobs == {"invoice": "success"}, run.printed
        assert "No comment, as workflow_run names no pull request of this" in run.printed
    after["workflow_run"]["pull_requests"] = [ours]
    run = workflow.use(RULES, event="workflow_run", **after)
    assert len(host.bodies) == 1
    after["workflow_run"]["pull_requests"] = []
    run = workflow.use({**RULES, "request": str(NUMBER)}, event="workflow_run", **after)
    assert run.jobs == {"invoice": "success"}, run.printed
    assert len(host.bodies) == 1


def test_no_token_is_in_the_log(workflow: Workflow) -> None:
    run = workflow.use(RULES)
    assert "job-token" not in run.printed
    assert TOKEN not in run.printed


def test_no_input_reaches_a_shell_as_text() -> None:
    for step in workflows.load(ACTION)["runs"]["steps"]:
        assert "${{" not in step["run"]


def test_the_readme_of_the_ci_example_names_every_input_and_output() -> None:
    action = workflows.load(ACTION)
    readme = workflows.README.read_text()
    for name in (*action["inputs"], *action["outputs"]):
        assert f"`{name}`" in readme, name
