"""
The workflows in examples/ci: every job runs on a real engine, the sandbox and a forge.

GitHub's are run by act, with the action; the script of a job of GitLab is run as its runner does.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_cf_invoice.report import input, markdown
from pulumi_cf_invoice.sandbox import Sandbox
from tests import forge, receivers
from tests.engine import workflows
from tests.engine.conftest import MakeCommandLine
from tests.engine.harness import CommandLine, copy_example
from tests.engine.workflows import ROOT, GitHub, Run, pull_request
from tests.factories import ACCOUNT
from tests.forge import REPOSITORY, Forge

EXAMPLES = ROOT / "examples"
GITHUB = EXAMPLES / "ci" / "github" / "upcoming-invoice.yml"
GITLAB = EXAMPLES / "ci" / "gitlab" / "upcoming-invoice.gitlab-ci.yml"
WORKFLOW, PIPELINE = workflows.load(GITHUB), workflows.load(GITLAB)
RULES = EXAMPLES / "policy-pack" / "rules.json"
DATA = ROOT / "tests" / "unit" / "data" / "previews"
FUNCTIONS = (
    "from pulumi_cf_invoice import export_invoice, get_invoice_preview_output\n"
    "export_invoice(get_invoice_preview_output())\n"
)
COMMANDS = {
    ("preview", "Preview"): 'exit "$code"',
    ("preview", "Report"): 'exit "$code"',
    ("watch", "Report"): 'exit "$code"',
    ("update", "Update"): "pulumi up",
    ("update", "Report"): "cf-invoice report --from baseline.json",
}
"""What tells the commands of a job on GitLab that do what a step on GitHub does."""


class Project:
    """The example set up as a user's project, in which its CI jobs can run."""

    def __init__(self, command_line: CommandLine, sandbox: Sandbox, forge: Forge) -> None:
        self.command_line = command_line
        self.directory = command_line.directory
        self.sandbox = sandbox
        self.forge = forge

    def limit(self, amount: str) -> None:
        """Set the budget that comment and gate have."""
        content = json.loads(RULES.read_text())
        content["rules"]["max-amount-due"]["limit"] = amount
        of_sandbox = {"baseUrl": self.sandbox.base_url}
        content["rules"]["account-budget"] |= {"limit": "5000 USD", **of_sandbox}
        # By the example's multiple a loop is over from three in the morning on, and the test is run
        # at any time.
        content["rules"]["max-daily-spend"] |= {"limit": "2x", **of_sandbox}
        (self.directory / "policy-pack" / "rules.json").write_text(json.dumps(content))

    def deploy_functions(self) -> None:
        """Deploy a program that has no resource, only what a function gives."""
        (self.directory / "__main__.py").write_text(FUNCTIONS)
        up = "pulumi up --yes --skip-preview --stack dev"
        assert self.command_line.shell(up), self.command_line.printed

    def answer_as(self, situation: str) -> None:
        """Let the API answer as it does in *situation*."""
        self.sandbox.fault = "http-403" if situation == "failed" else None
        self.sandbox.amount_due = {"moved": 20001, "over": 99900}.get(situation)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox in the present: a scheduled job judges yesterday and today."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def project(make_command_line: MakeCommandLine, sandbox: Sandbox) -> Iterator[Project]:
    command_line = make_command_line(EXAMPLES / "ci")
    pack = copy_example(EXAMPLES / "policy-pack", command_line.directory / "policy-pack")
    # Project and pack share this environment, which has all of it: no job waits for pip.
    (pack / "PulumiPolicy.yaml").write_text("name: cf-invoice-spend\nruntime: python\n")
    (pack / "requirements.txt").unlink()
    (command_line.directory / "requirements.txt").write_text("# It is installed already.\n")
    workflows.lend_pip(command_line.bin)
    with forge.running() as running:
        made = Project(command_line, sandbox, running)
        made.limit("500 USD")
        yield made


class OnGitHub:
    """The project in a repository of GitHub, with the example's workflow."""

    def __init__(self, project: Project, runner_temp: Path, apart: Path) -> None:
        self.project = project
        self._apart, self._runner_temp = apart, runner_temp
        workflows.copy_action(project.directory)
        self.use(GITHUB.read_text())

    def use(self, workflow: str) -> None:
        """Use *workflow* for the runs that follow."""
        file = self.project.directory / ".github" / "workflows" / GITHUB.name
        file.parent.mkdir(exist_ok=True)
        file.write_text(workflow)

    def run(
        self,
        event: str,
        actor: str = "somebody",
        secrets: Mapping[str, str] | None = None,
        **payload: Any,
    ) -> Run:
        """Run the workflow for *event*, which *actor* has caused, with more *secrets*."""
        environment = dict(self.project.command_line.environment)
        environment |= {
            "GITHUB_GRAPHQL_URL": self.project.forge.github["GITHUB_GRAPHQL_URL"],
            "SHARED_RUNNER_TEMP": str(self._runner_temp),
        }
        token = environment.pop("CLOUDFLARE_API_TOKEN")
        account = environment.pop("CLOUDFLARE_ACCOUNT_ID")
        return GitHub(
            self.project.directory,
            environment,
            self._apart,
            {"GITHUB_TOKEN": "job-token", "CLOUDFLARE_API_TOKEN": token, **(secrets or {})},
            {"CLOUDFLARE_ACCOUNT_ID": account},
            actor,
        ).run(event, **payload)

    def preview(
        self, head: str = REPOSITORY, actor: str = "somebody", author: str = "somebody"
    ) -> Run:
        """Run the workflow for what *actor* did to a pull request by *author* from *head*."""
        return self.run("pull_request", actor, **pull_request(head, author))

    def artifact(self, name: str) -> str:
        """Return the only file of an artifact."""
        [file] = (self._apart / "artifacts" / f"{name}-dev").iterdir()
        return file.read_text()


@pytest.fixture
def on_github(project: Project, runner_temp: Path, tmp_path: Path) -> OnGitHub:
    return OnGitHub(project, runner_temp, tmp_path / "apart")


def on_gitlab(project: Project, job: str) -> tuple[str | None, str]:
    """Run a job of the pipeline, and return the command that failed, and the log."""
    environment = {**project.command_line.environment, **project.forge.gitlab}
    return workflows.run_on_gitlab(PIPELINE, job, project.directory, environment)


def check_on_github(on_github: OnGitHub, job: str, failing: str | None) -> None:
    """Run a job, in which the step *failing* has to fail, or every step to pass."""
    events = {"preview": "pull_request", "watch": "schedule", "update": "push"}
    run = on_github.run(events[job], **(pull_request() if job == "preview" else {}))
    assert run.jobs == {job: "failure" if failing else "success"}, run.printed
    # A report on a preview that failed fails as well.
    assert run.failed[:1] == ([failing] if failing else []), run.printed
    steps = WORKFLOW["jobs"][job]["steps"]
    if not failing:
        assert [name for name in run.steps if ">" not in name] == [
            step.get("name", step.get("uses")) for step in steps
        ]


def check_on_gitlab(project: Project, job: str, failing: str | None) -> None:
    """Run a job, in which the command that does what the step *failing* does has to fail."""
    failed, log = on_gitlab(project, job)
    assert (failed is None) == (failing is None), log
    if failing and failed:
        assert COMMANDS[job, failing] in failed, log


HEADLINES = {
    "first": "Over an advisory limit: $188.46",
    "moved": "Over an advisory limit: $200.01",
    "over": "Over budget: $999.00",
    "failed": "Unknown: there is no report.",
}


def check_comment(project: Project, situation: str) -> None:
    [comment] = project.forge.bodies
    assert HEADLINES[situation] in comment


@pytest.mark.longest
def test_a_stack_on_github_from_its_first_preview_until_it_cannot_be_read(
    on_github: OnGitHub,
) -> None:
    project = on_github.project
    check_on_github(on_github, "preview", None)
    check_comment(project, "first")
    check_on_github(on_github, "update", None)
    [found] = input.read(on_github.artifact("baseline"))
    assert (found.state.invoice.amount_due, found.state.account_id) == (18846, ACCOUNT)
    project.answer_as("moved")
    check_on_github(on_github, "preview", None)
    check_comment(project, "moved")
    assert "| Change since the baseline | +$11.55 (+6.1%) |" in project.forge.bodies[0]
    project.answer_as("over")
    check_on_github(on_github, "preview", "Report")
    check_comment(project, "over")
    assert on_github.artifact("upcoming-invoice").startswith("<!doctype html>")
    check_on_github(on_github, "update", "Update")
    project.answer_as("failed")
    check_on_github(on_github, "preview", "Preview")
    check_comment(project, "failed")


@pytest.mark.longest
def test_a_stack_on_gitlab_from_its_first_preview_until_it_cannot_be_read(project: Project) -> None:
    report = project.directory / "report.html"
    for situation, of_preview, of_update in (
        ("first", None, None),
        ("over", "Report", "Update"),
        ("failed", "Preview", "Update"),
    ):
        project.answer_as(situation)
        check_on_gitlab(project, "preview", of_preview)
        check_comment(project, situation)
        assert report.exists() == (situation != "failed")
        check_on_gitlab(project, "update", of_update)
        # The next job has a checkout of its own.
        report.unlink(missing_ok=True)


def test_a_report_on_github_is_over_where_no_rule_of_the_pack_has_anything_to_judge(
    on_github: OnGitHub,
) -> None:
    on_github.project.deploy_functions()
    on_github.project.answer_as("over")
    check_on_github(on_github, "update", "Report")


def test_a_report_on_gitlab_is_over_where_no_rule_of_the_pack_has_anything_to_judge(
    project: Project,
) -> None:
    project.deploy_functions()
    project.answer_as("over")
    check_on_gitlab(project, "preview", "Report")
    check_comment(project, "over")
    check_on_gitlab(project, "update", "Report")
    assert (project.directory / "report.html").exists()


def commit_green_report(project: Project) -> None:
    """Add a whole report to the checkout, and a link by which the page of a report is it too."""
    of_sandbox = "cf-invoice report --budget '9000 USD' --format markdown --output report.md"
    assert project.command_line.shell(of_sandbox), project.command_line.printed
    (project.directory / "report.html").symlink_to("report.md")


def test_a_report_in_the_checkout_is_not_posted_on_gitlab(project: Project) -> None:
    commit_green_report(project)
    project.answer_as("over")
    check_on_gitlab(project, "preview", "Report")
    check_comment(project, "over")
    assert (project.directory / "report.html").read_text().startswith("<!doctype html>")


def test_nor_where_what_writes_the_report_is_killed(project: Project) -> None:
    commit_green_report(project)
    command = project.command_line.bin / "cf-invoice"
    command.write_text(
        '#!/bin/sh\n[ "$1" != report ] || kill -9 $$\n'
        f'exec "{Path(sys.executable).with_name("cf-invoice")}" "$@"\n'
    )
    command.chmod(0o755)
    failed, log = on_gitlab(project, "preview")
    assert failed == 'cf-invoice comment report.md --tag "$STACK"', log
    assert project.forge.bodies == []


def test_an_older_comment_on_gitlab_is_replaced_where_the_pack_cannot_be_installed(
    project: Project,
) -> None:
    check_on_gitlab(project, "preview", None)
    (project.directory / "policy-pack" / "PulumiPolicy.yaml").write_text("runtime: nonsense\n")
    project.answer_as("over")
    check_on_gitlab(project, "preview", "Report")
    check_comment(project, "over")


def test_a_preview_in_the_checkout_is_not_reported_on_github(on_github: OnGitHub) -> None:
    directory = on_github.project.directory
    shutil.copy(DATA / "preview-first.json", directory / "preview.json")
    (directory / "requirements.txt").write_text("./no-such-wheel.whl\n")
    run = on_github.preview()
    assert run.failed == ["Install", "Report"], run.printed
    [comment] = on_github.project.forge.bodies
    assert "❔ Unknown" in comment


def commands_of_pulumi(script: str) -> list[str]:
    return re.findall(r"(?:[A-Z_]+=\w+\s+)?pulumi .*?(?= \|\||\n|$)", script)


@pytest.mark.parametrize("job", ["preview", "update"])
def test_github_and_gitlab_run_the_same_commands_of_pulumi(job: str) -> None:
    on_github = [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]
    commands = commands_of_pulumi("\n".join(on_github))
    assert commands == commands_of_pulumi("\n".join(PIPELINE[job]["script"]))
    assert len(commands) == 3


@pytest.mark.parametrize("situation", ["over", "failed"])
def test_a_scheduled_job_watches_the_budget(on_github: OnGitHub, situation: str) -> None:
    """Only the API's answer counts for it."""
    on_github.project.sandbox.scenario = "steady"
    on_github.project.answer_as(situation)
    check_on_github(on_github, "watch", "Report")
    check_on_gitlab(on_github.project, "watch", "Report")


@pytest.mark.longest
@pytest.mark.parametrize("forge_name", ["github", "gitlab"])
def test_after_a_night_of_a_loop_the_scheduled_job_is_red_and_people_are_told_once(
    on_github: OnGitHub, forge_name: str, tmp_path: Path
) -> None:
    project, sandbox = on_github.project, on_github.project.sandbox
    # The month is within its budget all the same.
    project.limit("5000 USD")
    with receivers.webhook(tmp_path, "chat.example") as (server, _):
        address = f"json://{server.address}/hook"
        project.command_line.environment["CF_INVOICE_NOTIFY"] = address

        def is_green(scenario: str) -> bool:
            sandbox.scenario = scenario
            if forge_name == "github":
                run = on_github.run("schedule", secrets={"CF_INVOICE_NOTIFY": address})
                return run.jobs == {"watch": "success"}
            return on_gitlab(project, "watch")[0] is None

        mornings = ("steady", "night-loop", "night-loop", "steady")
        assert [is_green(morning) for morning in mornings] == [True, False, False, True]
        (_, _, first), (_, _, second) = server.received
        assert re.match(
            r"Over budget: the daily spend of \S+ is \S+, over the limit of \S+ by \S+; "
            r"\S+ so far in \w+ \(day \d+ of \d+\)(; .*)?\.$",
            first["title"],
        )
        assert f"Account {ACCOUNT} spent $" in first["message"]
        assert " times a usual day ($" in first["message"]
        assert "What to do: Find what is spending it and cap its gateway" in first["message"]
        # Whatever else there is to warn of by now.
        again = second["title"] + second["message"]
        assert "No longer wrong: max-daily-spend." in again


@pytest.mark.parametrize(
    ("head", "actor", "author"),
    [
        ("somebody/name", "somebody", "somebody"),
        (REPOSITORY, "dependabot[bot]", "dependabot[bot]"),
        # Somebody has edited its title, and GitHub would hand out the secrets.
        (REPOSITORY, "somebody", "dependabot[bot]"),
    ],
)
def test_a_fork_and_dependabot_are_told_why_nothing_runs(
    on_github: OnGitHub, head: str, actor: str, author: str
) -> None:
    run = on_github.preview(head, actor, author)
    assert run.jobs == {"fork": "success"}, run.printed
    assert "A pull request from a fork or by Dependabot gets no secrets" in run.summary


def test_a_matrix_of_stacks_gets_a_comment_for_each(on_github: OnGitHub) -> None:
    shell = on_github.project.command_line.shell
    assert shell("pulumi stack init production"), on_github.project.command_line.printed
    workflow = workflows.load(GITHUB)
    preview = workflow["jobs"]["preview"]
    preview |= {"strategy": {"matrix": {"stack": ["dev", "production"]}}}
    preview |= {"env": {"STACK": "${{ matrix.stack }}"}}
    workflow["on"] = workflow.pop(True)  # type: ignore[call-overload]
    on_github.use(yaml.dump(workflow))
    assert on_github.preview().jobs == {"preview": "success"}
    tags = [body.partition("\n")[0] for body in on_github.project.forge.bodies]
    marked = [markdown.MARKER.replace(" -->", f" {stack} -->") for stack in ("dev", "production")]
    assert sorted(tags) == marked


def test_a_gate_stops_what_only_it_can_judge(on_github: OnGitHub) -> None:
    rules = on_github.project.directory / "policy-pack" / "rules.json"
    content = json.loads(rules.read_text())
    content["rules"]["require-invoice-preview"]["requiredAccountIds"] = ["0" * 32]
    rules.write_text(json.dumps(content))
    run = on_github.preview()
    assert run.failed == ["Gate"], run.printed


def test_a_comment_that_gitlab_refuses_fails_the_job(project: Project) -> None:
    project.forge.refuse(403, {"message": "insufficient_scope"})
    failed, log = on_gitlab(project, "preview")
    assert failed == 'cf-invoice comment report.md --tag "$STACK"'
    assert "the scope `api`" in log


def test_actionlint_finds_nothing_in_workflow_and_action(on_github: OnGitHub) -> None:
    # It looks for the action from the root of a repository.
    (on_github.project.directory / ".git").mkdir()
    checked = subprocess.run(
        ["actionlint", "-no-color"],
        cwd=on_github.project.directory,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


def test_github_jobs_have_the_least_permissions_and_no_secrets_for_forks() -> None:
    assert WORKFLOW["permissions"] == {}
    jobs = WORKFLOW["jobs"]
    assert jobs["preview"]["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert jobs["update"]["permissions"] == {"contents": "read"}
    assert jobs["watch"]["permissions"] == {"contents": "read"}
    assert "permissions" not in jobs["fork"]
    triggers: dict[Any, Any] = WORKFLOW[True]  # type: ignore[index]
    assert set(triggers) == {"pull_request", "push", "schedule"}
    assert "head.repo.full_name == github.repository" in jobs["preview"]["if"]
    assert "secrets." not in json.dumps(jobs["fork"])


def test_a_report_knows_the_credentials_of_what_it_reads() -> None:
    """It redacts those in its own environment, in comments and files that no forge masks."""
    for job in ("preview", "update"):
        steps = WORKFLOW["jobs"][job]["steps"]
        [report] = [step for step in steps if "from" in step.get("with", {})]
        for step in steps:
            assert step.get("env", {}).items() <= report["env"].items()
        assert "PULUMI_ACCESS_TOKEN" in report["env"]


def test_a_pull_request_is_judged_again_when_it_gets_another_target() -> None:
    """The file of rules is the target's too, and GitHub tells of its change only as an edit."""
    triggers: dict[Any, Any] = WORKFLOW[True]  # type: ignore[index]
    wanted = {"opened", "synchronize", "reopened", "edited"}
    assert set(triggers["pull_request"]["types"]) == wanted


def test_what_is_at_the_top_of_a_repository_does_not_decide_what_the_pack_installs(
    tmp_path: Path,
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.uv.workspace]\nmembers = ["policy-pack"]\n'
        '[tool.uv]\noverride-dependencies = ["pulumi==0"]\n'
    )
    (tmp_path / "policy-pack").mkdir()
    written = (EXAMPLES / "policy-pack" / "pyproject.toml").read_text()
    alone = re.sub(r"^dependencies = .*", "dependencies = []", written, flags=re.M)
    (tmp_path / "policy-pack" / "pyproject.toml").write_text(alone)
    command = [sys.executable, "-m", "uv", "lock", "--offline", "--directory", "policy-pack"]
    subprocess.run([*command, "--python", sys.executable], cwd=tmp_path, check=True)
    assert [lock.parent.name for lock in tmp_path.rglob("uv.lock")] == ["policy-pack"]
    assert "pulumi" not in (tmp_path / "policy-pack" / "uv.lock").read_text()


def test_no_text_of_others_reaches_a_shell_and_no_secret_a_step_without_need() -> None:
    for job in WORKFLOW["jobs"].values():
        assert "env" not in job
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            assert "continue-on-error" not in step
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


def test_a_scheduled_run_does_not_take_an_updates_place_in_the_queue() -> None:
    assert "github.event_name" in WORKFLOW["concurrency"]["group"]


def test_gitlab_runs_for_this_projects_own_branches_only() -> None:
    [rule] = PIPELINE["preview"]["rules"]
    wanted = "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_MERGE_REQUEST_PROJECT_ID"
    assert wanted in rule["if"]
    # A fork's pipeline, and this project's pipeline for a fork's request.
    forks = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_PROJECT_ID": "7"}
    for project in ("42", "7"):
        variables = {
            **forks,
            "CI_PROJECT_ID": project,
            "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "42",
        }
        assert not workflows.gitlab_starts(rule["if"], variables)
    assert workflows.gitlab_starts(
        rule["if"], {**forks, "CI_PROJECT_ID": "7", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "7"}
    )
