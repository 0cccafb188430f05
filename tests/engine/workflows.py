"""GitHub's workflows, run by act on this machine, and GitLab's jobs, run as by GitLab's runner."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.forge import NUMBER, REPOSITORY
from tools.environment import installing

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"
README = ROOT / "examples" / "ci" / "README.md"
_STAND_INS = Path(__file__).with_name("actions")
_DONE = re.compile(r"\S+ +(?:Success|Failure) - Main (.*?)(?: \[[\w.µ]+\])?")


def load(file: Path) -> dict[str, Any]:
    """Return the YAML in *file*."""
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def pull_request(head: str = REPOSITORY, author: str = "somebody") -> dict[str, Any]:
    """Return the event of a pull request by *author* from a branch of the repository *head*."""
    branch = {"ref": "change", "repo": {"full_name": head}}
    user = {"login": author}
    opened = {"number": NUMBER, "user": user, "head": branch, "base": {"ref": "main"}}
    return {"number": NUMBER, "pull_request": opened}


def lend_pip(directory: Path) -> None:
    """
    Write to *directory*, which belongs on PATH, a `pip` for jobs whose packages are all here.

    It is uv's, which finds that out in a hundredth of the time.
    """
    pip = directory / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m uv pip "$@" --python "{sys.prefix}"\n')
    pip.chmod(0o755)


def copy_action(directory: Path) -> None:
    """Copy the action into a repository, with the commands of the CI example's README."""
    [commands] = re.findall(r"```\n(mkdir .*?)```", README.read_text(), flags=re.S)
    written = commands.replace("CLONE", shlex.quote(str(ROOT)))
    subprocess.run(["bash", "-e", "-c", written], cwd=directory, check=True)


@dataclass
class Run:
    """
    What the steps of a run did, and everything that they ``printed``.

    ``steps`` has the result of each step by its name, and of an action's own steps by both names
    (``Report > Comment``); ``jobs`` has the result of each job that was not skipped.
    """

    jobs: dict[str, str] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    printed: str = ""

    @property
    def failed(self) -> list[str]:
        """The names of the job's steps that failed."""
        return [
            name for name, result in self.steps.items() if result == "failure" and ">" not in name
        ]


@dataclass
class GitHub:
    """
    A runner for the workflows in *directory*.

    Variables of *environment* are the machine's, which every step sees. ``secrets`` and
    ``variables`` are the repository's, and ``actor`` is who started the run. Files of a run are
    kept in the directory *apart*. Actions of others have stand-ins, so that nothing is fetched,
    unless ``repositories`` has them, by what a workflow calls them.
    """

    directory: Path
    environment: dict[str, str]
    apart: Path
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    actor: str = "somebody"
    repositories: dict[str, Path] = field(default_factory=dict)

    @property
    def artifacts(self) -> Path:
        """The directory in which artifacts are kept, in one of its own by name."""
        return self.apart / "artifacts"

    def run(self, event: str, **payload: Any) -> Run:
        """Run the workflows for *event*, with *payload* and the repository as its content."""
        self.apart.mkdir(exist_ok=True)
        file = self.apart / "event.json"
        repository = {"full_name": REPOSITORY, "default_branch": "main"}
        file.write_text(json.dumps({"repository": repository, **payload}))
        done = subprocess.run(
            ["act", event, "--json", "--eventpath", str(file), *self._options()],
            cwd=self.directory,
            env={
                **self.environment,
                "ACT_DISABLE_VERSION_CHECK": "1",
                "ARTIFACTS": str(self.artifacts),
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.stdout, done.stderr
        return _read(json.loads(line) for line in done.stdout.splitlines())

    def _options(self) -> Iterator[str]:
        yield from ("--platform", "ubuntu-latest=-self-hosted", "--no-cache-server")
        yield from ("--action-cache-path", str(self.apart / "actions"))
        # The directory is no clone, in which act would look for these two.
        yield from ("--env", f"GITHUB_REPOSITORY={REPOSITORY}", "--env", f"SHA_REF={'0' * 40}")
        yield from ("--env", f"GITHUB_GRAPHQL_URL={self.environment['GITHUB_GRAPHQL_URL']}")
        for name, value in self.secrets.items():
            yield from ("--secret", f"{name}={value}")
        for name, value in self.variables.items():
            yield from ("--var", f"{name}={value}")
        yield from ("--actor", self.actor)
        for action in sorted(self._actions()):
            stand_in = self.repositories.get(action, _STAND_INS / action.partition("@")[0])
            yield from ("--local-repository", f"{action}={stand_in}")

    def _actions(self) -> set[str]:
        workflows = (self.directory / ".github" / "workflows").iterdir()
        jobs = (job for file in workflows for job in load(file)["jobs"].values())
        used = {step["uses"] for job in jobs for step in job["steps"] if "uses" in step}
        # act makes the checkout itself, from the directory.
        names = {name for name in used if not name.startswith(("./", "actions/checkout@"))}
        # An action may be in a folder of its repository.
        return {re.sub("^([^/]+/[^/@]+)[^@]*", r"\1", name) for name in names}


def _read(log: Iterator[Mapping[str, Any]]) -> Run:
    run = Run()
    for entry in log:
        run.printed += entry["msg"].rstrip("\n") + "\n"
        step = entry.get("stepID", [])
        if "jobResult" in entry:
            # A job of a matrix failed if one of its runs did.
            failed = "failure" in (entry["jobResult"], run.jobs.get(entry["jobID"]))
            run.jobs[entry["jobID"]] = "failure" if failed else entry["jobResult"]
        elif entry.get("stage") == "Main" and "stepResult" in entry:
            done = _DONE.fullmatch(entry["msg"].strip())
            inner = f" > {done[1]}" if done and len(step) > 1 else ""
            run.steps[entry["step"] + inner] = entry["stepResult"]
        elif entry.get("command") == "summary":
            run.summary += entry["content"]
        elif entry.get("command") == "set-output" and len(step) == 1:
            run.outputs[entry["name"]] = entry["arg"]
    return run


def install_action(runner_temp: Path, directory: Path) -> None:
    """Run a workflow in *directory* with the action, which installs itself into *runner_temp*."""
    repository = directory / "repository"
    repository.mkdir()
    copy_action(repository)
    use = {"name": "Report", "uses": "./.github/actions/cf-invoice"}
    python = {"uses": "actions/setup-python@v5", "with": {"python-version": "3.12"}}
    steps = [{"uses": "actions/checkout@v4"}, python, use]
    jobs = {"invoice": {"runs-on": "ubuntu-latest", "steps": steps}}
    file = repository / ".github" / "workflows" / "invoice.yml"
    file.parent.mkdir()
    file.write_text(yaml.dump({"name": "Invoice", "on": "push", "jobs": jobs}))
    environment = {
        **installing(),
        "GITHUB_GRAPHQL_URL": "",
        "PIP_NO_COMPILE": "1",
        "SHARED_RUNNER_TEMP": str(runner_temp),
    }
    run = GitHub(repository, environment, directory / "apart").run("push")
    assert run.steps["Report > Install cf-invoice"] == "success", run.printed
    # It is given nothing to judge.
    assert run.failed == ["Report"], run.printed


def gitlab_starts(condition: str, variables: Mapping[str, str]) -> bool:
    """Return whether a rule's *condition*, comparisons that all have to hold, lets a job start."""
    comparisons = [part.split("==") for part in condition.split("&&")]
    values = [
        [
            variables[word[1:]] if word.startswith("$") else word.strip('"')
            for word in map(str.strip, comparison)
        ]
        for comparison in comparisons
    ]
    return all(left == right for left, right in values)


def run_on_gitlab(
    pipeline: Mapping[str, Any], job: str, directory: Path, environment: Mapping[str, str]
) -> tuple[str | None, str]:
    """
    Run a job's commands in one shell, and return the one that failed, and the log.

    The job's runner starts bash with the same options, and stops at the first failure.
    """
    before = pipeline[job].get("before_script", pipeline["default"]["before_script"])
    commands = [*before, *pipeline[job]["script"]]
    numbered = "\n".join(f"at={number}\n{text}" for number, text in enumerate(commands))
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", f"trap 'echo $at' EXIT\n{numbered}"],
        cwd=directory,
        env={**environment, **pipeline.get("variables", {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    last = int(done.stdout.split()[-1])
    return commands[last] if done.returncode else None, done.stdout
