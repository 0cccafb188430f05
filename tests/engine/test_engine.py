"""The test harness itself, with programs that have nothing to do with invoices."""

import os
from collections.abc import Callable
from pathlib import Path

import pulumi
import pytest

from tests.engine.conftest import MakeStack
from tests.engine.harness import example, problem
from tests.engine.resources import Echo

pytestmark = pytest.mark.usefixtures("started_anew")


def _echo(given: str) -> Callable[[], None]:
    def program() -> None:
        pulumi.export("value", Echo("echo", given).value)

    return program


def test_a_resource_lives_from_preview_to_destroy(make_stack: MakeStack) -> None:
    """Each operation reports its steps, and the outputs and the state match the program."""
    stack = make_stack(_echo("hello"))
    assert ("create", "echo") in stack.preview().steps
    up = stack.up()
    assert up.ok, up.text
    assert up.outputs == {"value": "hello"}
    assert stack.resource("echo")["outputs"]["value"] == "hello"
    assert stack.preview(expect_no_changes=True).ok
    assert ("delete", "echo") in stack.destroy().steps


def test_a_change_fails_where_none_was_expected(make_stack: MakeStack) -> None:
    """With `expect_no_changes`, the engine rejects a change and the run is not ok."""
    stack = make_stack(_echo("before"))
    assert stack.up().ok
    stack.use(_echo("after"))
    run = stack.preview(expect_no_changes=True)
    assert not run.ok
    assert "no changes were expected" in run.text


def test_a_failing_program_is_a_run_that_is_not_ok(make_stack: MakeStack) -> None:
    """The run's text contains the program's error message, and nothing is raised."""

    def program() -> None:
        raise pulumi.RunError("there is no such month")

    run = make_stack(program).up()
    assert not run.ok
    assert "there is no such month" in run.text
    assert "Traceback" not in run.text


def test_the_environment_lasts_as_long_as_the_operation(make_stack: MakeStack) -> None:
    """The program sees the stack's environment, and the test's own is restored afterwards."""
    before = dict(os.environ)

    def program() -> None:
        pulumi.export("greeting", os.environ["GREETING"])

    run = make_stack(program, GREETING="hello").up()
    assert run.outputs == {"greeting": "hello"}
    assert dict(os.environ) == before


def test_a_project_directory_runs_as_an_example(make_stack: MakeStack, tmp_path: Path) -> None:
    """The project takes its name from Pulumi.yaml and its program from __main__.py."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "Pulumi.yaml").write_text("name: greeter\nruntime: python\n")
    (directory / "__main__.py").write_text(
        "import pulumi\npulumi.export('project', pulumi.get_project())\n"
    )
    project, program = example(directory)
    assert make_stack(program, project).up().outputs == {"project": "greeter"}


def test_no_engine_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When no engine is on PATH, the message says how to get one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert problem() == (
        "no Pulumi engine: run `make test`, or put the directory that `python3 -m tools.engine` "
        "prints first on PATH"
    )
