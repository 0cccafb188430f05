"""A stack on a real Pulumi engine, with a program that runs in this process."""

import io
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation

# The constructor that `_Stack` below inherits takes it, and no public module has it.
from pulumi.automation._stack import StackInitMode
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS

from tests.engine import language_host, vault

# A test process talks to hundreds of engines, and ports get reused. With its default of one shared
# pool, gRPC would use a failed connection again for the next engine on the same port.
_GRPC_CHANNEL_OPTIONS.append(("grpc.use_local_subchannel_pool", 1))

ROOT = Path(__file__).parents[2]
Program = Callable[[], Any]

_IN_SOURCE = ("sourcePosition", "stackTrace")


@cache
def _pulumi() -> automation.PulumiCommand:
    """Return the engine's command, whose version is queried only once per process."""
    return automation.PulumiCommand()


def apart(directory: Path) -> dict[str, str]:
    """Return variables that confine an engine to *directory*, away from the user's own settings."""
    return {
        "PULUMI_CONFIG_PASSPHRASE": "tests",
        "PULUMI_HOME": str(directory / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "VAULT_ADDR": vault.address(),
    }


@dataclass
class Run:
    """The result of one operation: whether it succeeded, what it printed, and its events."""

    ok: bool
    text: str
    events: list[automation.EngineEvent] = field(default_factory=list, repr=False)
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The operation and the resource name of each step."""
        steps = [
            event.resource_pre_event.metadata for event in self.events if event.resource_pre_event
        ]
        return [(str(step.op.value), step.urn.split("::")[-1]) for step in steps]

    def new(self, name: str, kind: str = "") -> dict[str, Any]:
        """
        Return a resource's outputs in the new state, or its inputs if it has no outputs yet.

        *kind* is the end of its type, where a component has a resource of the same name.
        """
        for event in self.events:
            metadata = event.resource_pre_event and event.resource_pre_event.metadata
            if metadata and metadata.urn.endswith(f"{kind}::{name}") and metadata.new:
                return dict(metadata.new.outputs or metadata.new.inputs or {})
        raise LookupError(name)

    @property
    def errors(self) -> list[str]:
        """The messages of the errors that the engine reported."""
        diagnostics = [event.diagnostic_event for event in self.events if event.diagnostic_event]
        return [event.message for event in diagnostics if event.severity == "error"]

    @property
    def everything(self) -> str:
        """All text and all events, to check for things that must not appear in them."""
        return self.text + json.dumps([repr(event.__dict__) for event in self.events], default=repr)


class _Stack(automation.Stack):
    """
    A stack without the queries that Pulumi makes after each operation.

    They start three more processes, for information that the events already contain.
    """

    def outputs(self) -> automation.OutputMap:
        return {}

    def info(self, show_secrets: bool = True) -> automation.UpdateSummary:
        return automation.UpdateSummary("", datetime.now(), "", {}, {}, "")


class _Workspace(automation.LocalWorkspace):
    """A workspace whose stack already exists, so that selecting it needs no process."""

    def __init__(self, directory: Path, program: Program, project: str) -> None:
        super().__init__(
            work_dir=str(directory / "work"),
            program=program,
            project_settings=automation.ProjectSettings(
                project, "python", backend=automation.ProjectBackend(f"file://{directory}/backend")
            ),
            pulumi_command=_pulumi(),
            secrets_provider=vault.PROVIDER,
        )

    def select_stack(self, stack_name: str) -> None:
        pass


@cache
def _new_stack(project: str) -> "tempfile.TemporaryDirectory[str]":
    """Return what `pulumi stack init` writes for a project, to copy instead of a process a test."""
    made = tempfile.TemporaryDirectory()
    directory = Path(made.name)
    for folder in ("backend", "work"):
        (directory / folder).mkdir()
    with environment(apart(directory)):
        _Workspace(directory, lambda: None, project).create_stack("dev")
    shutil.rmtree(directory / "home")
    return made


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables of this process, and of those that it starts, for a while."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Stack:
    """
    A stack in its own file backend. A failing operation returns a `Run` instead of raising.

    It begins as a copy of *template*, the directory of another stack of the project: by default,
    of one that was never deployed.
    """

    launchers = ""
    """A directory of ``forks.py``, from which the engine starts providers and packs, or none."""

    def __init__(
        self,
        directory: Path,
        program: Program,
        project: str = "test",
        template: str = "",
        **variables: str,
    ) -> None:
        self.environment = {**apart(directory), **variables}
        self._project = project
        self._stored = directory / "backend" / ".pulumi" / "stacks" / project / "dev.json"
        shutil.copytree(template or _new_stack(project).name, directory, dirs_exist_ok=True)
        with self._environment():
            workspace = _Workspace(directory, program, project)
            self._stack = _Stack("dev", workspace, StackInitMode.SELECT)

    @property
    def directory(self) -> str:
        """The workspace directory, in which the command line finds the stack."""
        return str(self._stack.workspace.work_dir)

    def set(self, key: str, value: str, secret: bool = False) -> None:
        """Set a stack config value, without a process unless it has to be encrypted."""
        if secret:
            with self._environment():
                self._stack.set_config(key, automation.ConfigValue(value, secret))
            return
        file = Path(self.directory) / "Pulumi.dev.yaml"
        settings = yaml.safe_load(file.read_text())
        name = key if ":" in key else f"{self._project}:{key}"
        settings.setdefault("config", {})[name] = value
        file.write_text(yaml.dump(settings))

    def use(self, program: Program) -> None:
        """Use *program* for the operations that follow."""
        self._stack.workspace.program = program

    def preview(self, **options: Any) -> Run:
        """Run `pulumi preview`."""
        return self._run(self._stack.preview, **options)

    def up(self, **options: Any) -> Run:
        """Run `pulumi up`."""
        return self._run(self._stack.up, **options)

    def refresh(self, **options: Any) -> Run:
        """Run `pulumi refresh`."""
        return self._run(self._stack.refresh, **options)

    def destroy(self, **options: Any) -> Run:
        """Run `pulumi destroy`."""
        return self._run(self._stack.destroy, **options)

    def state(self) -> dict[str, Any]:
        """Return the exported stack, with secrets in plain text."""
        with self._environment():
            return dict(self._stack.export_stack().deployment or {})

    def restore(self, exported: dict[str, Any]) -> None:
        """Run `pulumi stack import` with an export from a stack of the same project and name."""
        with self._environment():
            self._stack.import_stack(automation.Deployment(**exported))

    def stored(self) -> list[dict[str, Any]]:
        """
        Return the resources as the backend stores them, which needs no process.

        Where they are in the program's source is left out: those are paths from the directory of
        the stack, which is not always the one that it was deployed in.
        """
        checkpoint: dict[str, Any] = json.loads(self._stored.read_text())["checkpoint"]
        resources = (checkpoint.get("latest") or {}).get("resources", [])
        return [
            {name: value for name, value in resource.items() if name not in _IN_SOURCE}
            for resource in resources
        ]

    def resource(self, name: str) -> dict[str, Any]:
        """Return one resource of the exported stack."""
        stored = _named(self.stored(), name)
        # What has no secret is exported as it is stored.
        is_plain = '"ciphertext"' not in json.dumps(stored)
        return stored if is_plain else _named(self.state()["resources"], name)

    def _run(self, operation: Callable[..., Any], **options: Any) -> Run:
        text, events = io.StringIO(), list[automation.EngineEvent]()

        def write(line: str) -> None:
            text.write(line if line.endswith("\n") else f"{line}\n")

        say = {"on_output": write, "on_error": write, "on_event": events.append}
        with self._environment():
            try:
                operation(**say, color="never", **options)
            except automation.CommandError as error:
                return Run(False, f"{text.getvalue()}\n{error}", events)
        return Run(True, text.getvalue(), events, _stack_outputs(events))

    def _environment(self) -> AbstractContextManager[None]:
        # The program runs in this process and its provider under the engine, but both must see
        # the same environment.
        path = [self.launchers, os.environ["PATH"]]
        return environment({"PATH": os.pathsep.join(filter(None, path)), **self.environment})


def _named(resources: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(found for found in resources if found["urn"].endswith(f"::{name}"))


def _stack_outputs(events: list[automation.EngineEvent]) -> dict[str, Any]:
    """Return a program's exports, with secrets masked as they are in events."""
    for event in events:
        metadata = event.res_outputs_event and event.res_outputs_event.metadata
        if metadata and metadata.type == "pulumi:pulumi:Stack" and metadata.new:
            return dict(metadata.new.outputs or {})
    return {}


class CommandLine:
    """A shell in the directory of a Pulumi project, with what it ``printed`` so far."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.environment = environment
        self.printed = ""

    @property
    def bin(self) -> Path:
        """The first folder on its PATH."""
        return Path(self.environment["PATH"].partition(os.pathsep)[0])

    def shell(self, script: str, **environment: str) -> bool:
        """Run *script* the way a CI step is run, and return whether it passed."""
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.directory,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=600,
        )
        self.printed += done.stdout + done.stderr
        return done.returncode == 0


def command_line(directory: Path, project: Path) -> CommandLine:
    """Return a shell in *project*, whose engine and its backend are confined to *directory*."""
    launchers, backend = directory / "bin", directory / "backend"
    launchers.mkdir()
    backend.mkdir()
    if not shutil.which("pulumi-language-python"):
        language_host.install(launchers)
    path = [str(launchers), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {
        **apart(directory),
        "PATH": os.pathsep.join(path),
        "PULUMI_BACKEND_URL": f"file://{backend}",
    }
    return CommandLine(project, {**os.environ, **environment})


def copy_example(source: Path, target: Path) -> Path:
    """Copy an example without what its README's commands may have made in it."""
    made = shutil.ignore_patterns(
        "venv", ".venv", "third_party", "uv.lock", "sdks", "node_modules", "Pulumi.*.yaml"
    )
    return Path(shutil.copytree(source, target, ignore=made))


def copy_with_environment(source: Path, target: Path) -> Path:
    """Copy a project or policy pack, and lend it this virtual environment as its own."""
    copy_example(source, target)
    lend_environment(target, sys.prefix)
    return target


def lend_environment(directory: Path, environment: str | Path) -> None:
    """Let a copied project or policy pack use *environment*, which neither pip nor uv changes."""
    (directory / "venv").symlink_to(environment)
    pack = directory / "PulumiPolicy.yaml"
    if pack.exists():
        pack.write_text(pack.read_text().replace("toolchain: uv", "virtualenv: venv"))


AUTHOR = ["git", "-c", "user.name=Octocat", "-c", "user.email=octocat@example.com"]


def copy_files(directory: Path) -> None:
    """Copy the files of this repository, committed or not, without anything generated from them."""
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT)
    for name in filter(lambda name: (ROOT / name).is_file(), listed.splitlines()):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, directory / name)


def commit_files(directory: Path) -> Path:
    """Make a clone of this repository in *directory*, with a commit of its files."""
    copy_files(directory)
    run(["git", "init", "--quiet"], directory)
    run(["git", "add", "."], directory)
    run([*AUTHOR, "commit", "--quiet", "--message", "All files"], directory)
    return directory


def example(directory: Path) -> tuple[str, Program]:
    """Return the name and the program of the Pulumi project in *directory*."""
    name = yaml.safe_load((directory / "Pulumi.yaml").read_text())["name"]
    return name, lambda: runpy.run_path(str(directory / "__main__.py"), run_name="__main__")


def run(command: list[str], directory: Path, environment: dict[str, str] | None = None) -> str:
    """Run *command*, which must succeed, and return its standard output."""
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def problem() -> str | None:
    """Return why there is no engine to test on, or None if there is one."""
    if shutil.which("pulumi") and (
        shutil.which("pulumi-language-python") or shutil.which("pulumi-resource-pulumi-python")
    ):
        return None
    return (
        "no Pulumi engine: run `make test`, or put the directory that `python3 -m tools.engine` "
        "prints first on PATH"
    )
