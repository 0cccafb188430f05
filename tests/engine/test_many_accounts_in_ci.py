"""The workflows of many accounts in examples/ci: a job for each takes a snapshot, one reports."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine import workflows
from tests.engine.workflows import ROOT, GitHub

EXAMPLE = ROOT / "examples" / "ci"
GITHUB = EXAMPLE / "github" / "many-accounts.yml"
GITLAB = EXAMPLE / "gitlab" / "many-accounts.gitlab-ci.yml"
WORKFLOW, PIPELINE = workflows.load(GITHUB), workflows.load(GITLAB)
LISTED = [
    line.split()[0]
    for line in (EXAMPLE / "accounts.txt").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.fixture
def several() -> Iterator[Sandbox]:
    """A sandbox with the machine's clock, because snapshots must not be too old."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def repository(tmp_path: Path, several: Sandbox) -> Path:
    """A repository with the example, and with rules one of which reads an account itself."""
    made = tmp_path / "repository"
    (made / "policy-pack").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(made)], check=True)
    shutil.copy(EXAMPLE / "accounts.txt", made)
    budget = {"accountIds": LISTED[:1], "limit": "5000 USD", "baseUrl": several.base_url}
    rules = {"max-amount-due": {"limit": "5000 USD"}, "account-budget": budget}
    (made / "policy-pack" / "rules.json").write_text(json.dumps({"rules": rules}))
    (made / "requirements.txt").write_text("# It is installed already.\n")
    return made


@pytest.fixture
def environment(several: Sandbox, tmp_path: Path) -> dict[str, str]:
    """The variables of the machine that jobs run on: no credentials."""
    programs = tmp_path / "bin"
    programs.mkdir()
    workflows.lend_pip(programs)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {
        **os.environ,
        "PATH": path,
        "CLOUDFLARE_BASE_URL": several.base_url,
        "GITHUB_GRAPHQL_URL": "",
    }


def test_on_github_each_account_is_read_once_and_one_job_reports_on_all(
    repository: Path, environment: dict[str, str], several: Sandbox, tmp_path: Path
) -> None:
    folder = repository / ".github" / "workflows"
    folder.mkdir(parents=True)
    shutil.copy(GITHUB, folder)
    # The checkout has a folder of the name.
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / "committed.json").write_text("{}")
    secrets = {"CLOUDFLARE_API_TOKEN": "sandbox-token"}
    runner = GitHub(repository, environment, tmp_path / "apart", secrets)
    run = runner.run("schedule")
    assert run.jobs == {"snapshot": "success", "report": "success"}, run.printed
    page = (runner.artifacts / "upcoming-invoices" / "report.html").read_text()
    assert all(name in page for name in ("2 upcoming invoices", "Platform", "Research"))
    assert "Within budget" in run.summary
    # The rule that reads by itself takes the snapshot.
    asked = Counter((asked.account_id, asked.read) for asked in several.asked)
    assert asked == Counter((account, read.name) for account in LISTED for read in READS)


def test_on_gitlab_an_account_whose_job_failed_is_a_row_and_the_report_fails(
    repository: Path, environment: dict[str, str]
) -> None:
    [accounts] = PIPELINE["snapshot"]["parallel"]["matrix"]
    first, second = accounts["ACCOUNT"]

    def run(job: str, pipeline: int, **variables: str) -> tuple[str | None, str]:
        given = {**environment, "CI_PIPELINE_ID": str(pipeline), **variables}
        return workflows.run_on_gitlab(PIPELINE, job, repository, given)

    # Both are of an earlier pipeline.
    for pipeline, account in ((1, first), (1, second), (2, first)):
        token = {"CLOUDFLARE_API_TOKEN": "sandbox-token"}
        failed, log = run("snapshot", pipeline, ACCOUNT=account, **token)
        assert failed is None, log
    shutil.copytree(repository / "snapshots-1", repository / "snapshots")
    failed, log = run("report", 2)
    assert failed == 'exit "$code"', log
    assert PIPELINE["snapshot"]["artifacts"]["paths"] == ["snapshots-$CI_PIPELINE_ID"]
    words = " ".join(log.split())
    assert f"Research, account {second} has no upcoming invoice here: there is no" in words
    assert "Research" in (repository / "report.html").read_text()


def test_on_gitlab_a_snapshot_that_is_committed_fails_the_report(
    repository: Path, environment: dict[str, str]
) -> None:
    """The folder of a pipeline to come can be in the commit."""
    (repository / "snapshots-7").mkdir()
    (repository / "snapshots-7" / "committed.json").write_text("{}")
    subprocess.run(["git", "add", "snapshots-7"], cwd=repository, check=True)
    given = {**environment, "CI_PIPELINE_ID": "7"}
    failed, log = workflows.run_on_gitlab(PIPELINE, "report", repository, given)
    assert "exit 2" in (failed or "")
    assert "Snapshots are committed, and would count: remove snapshots-* from" in log


def test_both_have_the_accounts_of_the_list() -> None:
    [accounts] = PIPELINE["snapshot"]["parallel"]["matrix"]
    of_github = WORKFLOW["jobs"]["snapshot"]["strategy"]["matrix"]["account"]
    assert LISTED == of_github == accounts["ACCOUNT"]


def test_jobs_have_the_least_permissions_and_only_the_snapshot_has_the_token() -> None:
    assert WORKFLOW["permissions"] == {}
    for name, job in WORKFLOW["jobs"].items():
        assert job["permissions"] == {"contents": "read"}
        assert "env" not in job
        assert ("secrets." in json.dumps(job)) == (name == "snapshot")
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False
