"""The workflows in examples/ci: each step's script runs on a real engine and the sandbox."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_cf_invoice.report import input, markdown
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine import forge
from tests.engine.conftest import MakeCommandLine
from tests.engine.forge import BOT, STRANGER, Forge
from tests.engine.harness import CommandLine, copy_with_environment
from tests.factories import ACCOUNT

EXAMPLES = Path(__file__).parents[2] / "examples"
GITHUB = EXAMPLES / "ci" / "github" / "upcoming-invoice.yml"
GITLAB = EXAMPLES / "ci" / "gitlab" / "upcoming-invoice.gitlab-ci.yml"
WORKFLOW = yaml.safe_load(GITHUB.read_text())
PIPELINE = yaml.safe_load(GITLAB.read_text())
STEPS = {
    "preview": ["Install", "Preview", "Report", "Comment", "Gate"],
    "update": ["Install", "Update", "Keep the baseline"],
    "fork": ["Explain"],
}

RULES = EXAMPLES / "policy-pack" / "rules.json"


class Project(CommandLine):
    """The example set up as a user's project, in which its CI jobs can run."""

    def __init__(self, command_line: CommandLine, forge: Forge) -> None:
        super().__init__(command_line.directory, command_line.environment)
        self.forge = forge

    def github(self, job: str) -> list[str]:
        """Run a job's steps until one fails, and return the names of those that passed."""
        passed = []
        for step in WORKFLOW["jobs"][job]["steps"]:
            if "run" not in step:
                continue
            given = {**WORKFLOW["env"], **step.get("env", {})}
            if not self.shell(step["run"], **{n: self._value(v) for n, v in given.items()}):
                break
            passed.append(step["name"])
        return passed

    def gitlab(self, job: str) -> int:
        """Run a job's commands until one fails, and return how many passed."""
        commands = [*PIPELINE["default"]["before_script"], *PIPELINE[job]["script"]]
        for count, command in enumerate(commands):
            if not self.shell(command, **PIPELINE["variables"]):
                return count
        return len(commands)

    def _value(self, written: str) -> str:
        known = {
            "github.token": "job-token",
            "github.event.pull_request.number": "12",
            **{f"secrets.{name}": value for name, value in self.environment.items()},
            **{f"vars.{name}": value for name, value in self.environment.items()},
        }
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: known[match[1]], written)

    def limit(self, amount: str, account: str = "5000 USD") -> None:
        """Set the budget that comment and gate have."""
        url = self.environment["CLOUDFLARE_BASE_URL"]
        content = json.loads(RULES.read_text())
        content["rules"]["max-amount-due"]["limit"] = amount
        content["rules"]["account-budget"] |= {"limit": account, "baseUrl": url}
        (self.directory / "policy-pack" / "rules.json").write_text(json.dumps(content))


@pytest.fixture
def project(tmp_path: Path, make_command_line: MakeCommandLine) -> Iterator[Project]:
    command_line = make_command_line(EXAMPLES / "ci")
    copy_with_environment(EXAMPLES / "policy-pack", command_line.directory / "policy-pack")
    (command_line.directory / "requirements.txt").write_text("pulumi-cf-invoice[policy,report]\n")
    command_line.environment |= {
        "PULUMI_ACCESS_TOKEN": "",
        "GITHUB_REPOSITORY": "owner/name",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "GITHUB_OUTPUT": str(tmp_path / "outputs"),
        "CI_PROJECT_ID": "3",
        "CI_MERGE_REQUEST_IID": "12",
        "COMMENT_TOKEN": "comment-token",
    }
    with forge.running() as running:
        yield Project(command_line, running)


@pytest.fixture
def on_github(project: Project) -> Project:
    project.environment["GITHUB_API_URL"] = project.forge.address
    return project


@pytest.fixture
def on_gitlab(project: Project) -> Project:
    project.environment.pop("GITHUB_API_URL", None)
    project.environment["CI_API_V4_URL"] = project.forge.address
    return project


def test_the_tests_run_every_step_that_has_a_shell() -> None:
    for job, names in STEPS.items():
        steps = WORKFLOW["jobs"][job]["steps"]
        assert [step["name"] for step in steps if "run" in step] == names
    assert set(STEPS) == set(WORKFLOW["jobs"])
    assert {"preview", "update"} <= set(PIPELINE)


def test_a_pull_request_within_budget_passes_with_a_comment(on_github: Project) -> None:
    on_github.limit("200 USD")
    assert on_github.github("preview") == STEPS["preview"], on_github.said
    [comment] = on_github.forge.comments
    assert comment["body"].startswith(markdown.MARKER)
    assert "🟡 Over an advisory limit: the upcoming invoice is $188.46" in comment["body"]
    assert "🟢 `account-budget`" in comment["body"]
    assert (on_github.directory / "report.html").read_text().startswith("<!doctype html>")
    outputs = Path(on_github.environment["GITHUB_OUTPUT"]).read_text()
    assert "verdict=advisory\n" in outputs
    assert on_github.forge.tokens == {"Bearer job-token"}


def test_a_pull_request_over_budget_is_commented_on_and_blocked(
    on_github: Project, sandbox: Sandbox
) -> None:
    on_github.limit("150 USD")
    sandbox.amount_due = 26000
    assert on_github.github("preview") == STEPS["preview"][:-1], on_github.said
    assert "over the limit of $150.00 by $110.00" in on_github.said
    [comment] = on_github.forge.comments
    assert "Over budget: the upcoming invoice is $260.00" in comment["body"]


def test_the_next_run_updates_its_own_comment_and_nobody_elses(
    on_github: Project, sandbox: Sandbox
) -> None:
    on_github.limit("1000 USD")
    on_github.forge.add(f"{markdown.MARKER} by a stranger", STRANGER)
    on_github.forge.add("a word of the bot's", BOT)
    on_github.github("preview")
    sandbox.amount_due = 20001
    on_github.github("preview")
    theirs, word, ours = on_github.forge.comments
    assert (theirs["body"], word["body"]) == (
        f"{markdown.MARKER} by a stranger",
        "a word of the bot's",
    )
    assert "$200.01" in ours["body"]


def test_what_cannot_be_told_fails_and_says_why(on_github: Project, sandbox: Sandbox) -> None:
    sandbox.fault = "http-403"
    assert on_github.github("preview") == ["Install"]
    assert on_github.forge.comments == []


def test_a_refused_comment_is_one_line(on_github: Project) -> None:
    on_github.environment["GITHUB_API_URL"] = on_github.environment["CLOUDFLARE_BASE_URL"]
    assert not on_github.shell("python comment.py README.md", GH_TOKEN="x", PULL_REQUEST="1")
    assert "cannot comment: GET http" in on_github.said
    assert "Traceback" not in on_github.said


def test_a_fork_is_told_why_nothing_runs(on_github: Project) -> None:
    assert on_github.github("fork") == STEPS["fork"]
    assert "gets no secrets" in Path(on_github.environment["GITHUB_STEP_SUMMARY"]).read_text()


def test_an_update_keeps_the_baseline_that_the_next_preview_is_compared_with(
    on_github: Project, sandbox: Sandbox
) -> None:
    on_github.limit("1000 USD")
    assert on_github.github("update") == STEPS["update"], on_github.said
    baseline = on_github.directory / "baseline.json"
    [found] = input.read(baseline.read_text())
    assert (found.state.invoice.amount_due, found.state.account_id) == (18846, ACCOUNT)
    sandbox.amount_due = 20001
    on_github.github("preview")
    assert "| Change since the baseline | +$11.55 (+6.1 %) |" in on_github.forge.comments[0]["body"]
    compared = "cf-invoice report --from preview.json --baseline baseline.json"
    assert on_github.shell(compared), on_github.said
    assert "+$11.55 (+6.1 %)" in on_github.said


def test_an_update_over_budget_is_blocked(on_github: Project) -> None:
    on_github.limit("150 USD")
    assert on_github.github("update") == ["Install"]
    assert "over the limit of $150.00 by $38.46" in on_github.said


def test_gitlab_comments_gates_and_keeps_the_baseline(on_gitlab: Project, sandbox: Sandbox) -> None:
    on_gitlab.limit("200 USD")
    assert on_gitlab.gitlab("preview") == 5, on_gitlab.said
    assert on_gitlab.gitlab("update") == 4, on_gitlab.said
    sandbox.amount_due = 20001
    assert on_gitlab.gitlab("preview") == 4
    assert "over the limit of $200.00 by $0.01" in on_gitlab.said
    [comment] = on_gitlab.forge.comments
    assert "+$11.55 (+6.1 %)" in comment["body"]
    assert on_gitlab.forge.tokens == {"comment-token"}


@pytest.mark.parametrize(
    ("schema", "file"), [("vendor.github-workflows", GITHUB), ("vendor.gitlab-ci", GITLAB)]
)
def test_the_file_keeps_to_the_published_schema(schema: str, file: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_github_jobs_have_the_least_permissions_and_no_secrets_for_forks() -> None:
    assert WORKFLOW["permissions"] == {}
    jobs = WORKFLOW["jobs"]
    assert jobs["preview"]["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert jobs["update"]["permissions"] == {"contents": "read"}
    assert "permissions" not in jobs["fork"]
    triggers: dict[Any, Any] = WORKFLOW[True]  # YAML 1.1 parses the key `on` as a boolean.
    assert set(triggers) == {"pull_request", "push"}
    assert "head.repo.full_name == github.repository" in jobs["preview"]["if"]
    assert "secrets." not in yaml.dump(jobs["fork"])


def test_no_text_of_others_reaches_a_shell_and_no_secret_a_step_without_need() -> None:
    for job in WORKFLOW["jobs"].values():
        assert "env" not in job
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


def test_gitlab_runs_for_this_projects_own_branches_only() -> None:
    [rule] = PIPELINE["preview"]["rules"]
    assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID" in rule["if"]


FUNCTIONS = (
    "from pulumi_cf_invoice import export_invoice, get_invoice_preview_output\n"
    "export_invoice(get_invoice_preview_output())\n"
)
ALL = STEPS["preview"]


@pytest.mark.parametrize(
    ("situation", "passed", "headline"),
    [
        ("first", ALL, "the upcoming invoice is $188.46"),
        ("unchanged", ALL, "the upcoming invoice is $188.46"),
        ("moved", ALL, "the upcoming invoice is $200.01"),
        ("over", ALL[:-1], "Over budget: the upcoming invoice is $999.00"),
        ("failed", ["Install"], None),
        ("destroyed", ALL, "the upcoming invoice is $188.46"),
        ("refresh", ALL, "the upcoming invoice is $200.01"),
        ("refresh-over", ALL[:-1], "Over budget: the upcoming invoice is $999.00"),
        ("functions", ALL, "the upcoming invoice is $200.01"),
        (
            "functions-over",
            ["Install", "Preview", "Report", "Comment"],
            "Over budget: the upcoming",
        ),
    ],
)
def test_every_step_of_a_pull_request_in_every_situation(
    on_github: Project,
    sandbox: Sandbox,
    situation: str,
    passed: list[str],
    headline: str | None,
) -> None:
    on_github.limit("500 USD")
    if situation.startswith("functions"):
        (on_github.directory / "__main__.py").write_text(FUNCTIONS)
    if situation not in ("first", "over"):
        assert on_github.shell("pulumi up --yes --stack dev"), on_github.said
    if situation == "destroyed":
        assert on_github.shell("pulumi destroy --yes --stack dev"), on_github.said
    if situation.startswith("refresh"):
        file = on_github.directory / "Pulumi.yaml"
        file.write_text(f"{file.read_text()}\noptions:\n  refresh: always\n")
    if situation == "failed":
        sandbox.fault = "http-403"
    if situation in ("moved", "refresh", "functions"):
        sandbox.amount_due = 20001
    if situation.endswith("over"):
        sandbox.amount_due = 99900
    # Without a resource there is nothing for a rule on resources to judge: the account's has it.
    if situation == "functions-over":
        on_github.limit("500 USD", account="600 USD")
    assert on_github.github("preview") == passed, on_github.said
    comments = [comment["body"] for comment in on_github.forge.comments]
    assert [headline in comment for comment in comments if headline] == [True] * bool(headline)
