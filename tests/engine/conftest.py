import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.forms import FORMS, Form
from tests.engine.harness import (
    CommandLine,
    Stack,
    command_line,
    copy_with_environment,
    problem,
)

MakeStack = Callable[..., Stack]
MakeCommandLine = Callable[[Path], CommandLine]


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    found = problem()
    if found:
        pytest.fail(found, pytrace=False)


@pytest.fixture
def make_stack(tmp_path: Path) -> MakeStack:
    """A factory of stacks for a program; extra keywords are environment variables."""
    count = iter(range(100))

    def make(program: Any, project: str = "test", **environment: str) -> Stack:
        return Stack(tmp_path / str(next(count)), program, project, **environment)

    return make


@pytest.fixture
def make_command_line(tmp_path: Path, settled: dict[str, str]) -> MakeCommandLine:
    """A factory that copies a Pulumi project, with a stack `dev`, for Pulumi's own command line."""

    def make(project: Path) -> CommandLine:
        made = command_line(tmp_path, copy_with_environment(project, tmp_path / "project"))
        made.environment |= settled
        assert made.shell("pulumi stack init dev"), made.said
        return made

    return make


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    """Each of the two forms in turn."""
    return FORMS[request.param]


@pytest.fixture
def cloudflare_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in for the pulumi-cloudflare plugin on PATH."""
    plugin = tmp_path / "plugins" / "pulumi-resource-cloudflare"
    plugin.parent.mkdir()
    stand_in = Path(__file__).with_name("cloudflare_stand_in.py")
    plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u "{stand_in}" "$@"\n')
    plugin.chmod(0o755)
    monkeypatch.setenv("PATH", f"{plugin.parent}:{os.environ['PATH']}")
