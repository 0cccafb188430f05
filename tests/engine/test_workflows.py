"""The files that forges read, and what the workflows in .github are allowed to do."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.harness import run

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
EXAMPLES = ROOT / "examples" / "ci"
WORKFLOWS = sorted((GITHUB / "workflows").iterdir())
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").iterdir())
WRITES = {
    "github": {"contents", "id-token", "attestations"},
    "pypi": {"id-token"},
    "npm": {"id-token"},
}


def workflow(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def steps(file: Path) -> list[dict[str, Any]]:
    return [step for job in workflow(file)["jobs"].values() for step in job.get("steps", [])]


# One process checks all files of a schema.
SCHEMAS = {
    "vendor.dependabot": [GITHUB / "dependabot.yml"],
    "vendor.github-actions": [ROOT / "action.yml"],
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.github-issue-forms": [file for file in FORMS if file.stem != "config"],
    "vendor.github-workflows": [*WORKFLOWS, *sorted((EXAMPLES / "github").iterdir())],
    "vendor.gitlab-ci": sorted((EXAMPLES / "gitlab").iterdir()),
}


@pytest.mark.parametrize(("schema", "files"), SCHEMAS.items(), ids=list(SCHEMAS))
def test_files_keep_to_the_published_schema(schema: str, files: list[Path]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    run([*command, *map(str, files)], ROOT)


def test_actionlint_finds_nothing() -> None:
    run(["actionlint", "-no-color", *map(str, WORKFLOWS)], ROOT)


def test_no_job_may_write_but_those_that_publish() -> None:
    for file in WORKFLOWS:
        assert workflow(file)["permissions"] in ({}, {"contents": "read"})
        for name, job in workflow(file)["jobs"].items():
            allowed = job.get("permissions", {})
            written = {scope for scope, access in allowed.items() if access == "write"}
            assert written == (WRITES.get(name, set()) if file.stem == "release" else set())


def test_what_publishes_waits_for_the_tests_and_for_the_environment() -> None:
    jobs = workflow(GITHUB / "workflows" / "release.yml")["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert set(jobs["github"]["needs"]) == {"test", "build"}
    assert jobs["pypi"]["needs"] == jobs["npm"]["needs"] == ["github"]
    assert all(jobs[name]["environment"] == "release" for name in WRITES)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_workflow_has_a_secret_or_text_of_others_in_a_shell(file: Path) -> None:
    assert "secrets." not in file.read_text()
    for step in steps(file):
        assert "${{" not in step.get("run", "")
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_every_action_is_of_a_stated_version(file: Path) -> None:
    for step in steps(file):
        if "uses" in step:
            assert re.fullmatch(r"[\w./-]+@(v\d+|release/v\d+|[0-9a-f]{40})", step["uses"])


def test_the_release_names_every_action_that_others_can_move() -> None:
    file = GITHUB / "workflows" / "release.yml"
    head = file.read_text().partition("name: Release")[0]
    # The tests run in the same run, and so could replace what it uploads.
    every = [*steps(file), *steps(GITHUB / "workflows" / "ci.yml")]
    used = {step["uses"] for step in every if "uses" in step}
    assert {action for action in used if not re.search("@[0-9a-f]{40}$", action)} == set(
        re.findall(r"[\w-]+/[\w-]+@[\w/]+", head)
    )


def test_every_make_target_of_ci_exists() -> None:
    targets = re.findall("^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M)
    scripts = [step["run"] for step in steps(GITHUB / "workflows" / "ci.yml") if "run" in step]
    asked = [target for script in scripts for target in re.findall("make ([a-z-]+)", script)]
    assert {"test", "lint", "test-newest-engine", "test-oldest"} == set(asked)
    assert set(asked) <= set(targets)
