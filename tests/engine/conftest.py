import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import pointed_at, september
from tests.engine import forks, vault, wheelhouse, workflows
from tests.engine.forms import FORMS, Form
from tests.engine.harness import (
    CommandLine,
    Stack,
    command_line,
    copy_with_environment,
    problem,
    run,
)
from tests.shared import shared
from tools.environment import installing

ROOT = Path(__file__).parents[2]
MakeStack = Callable[..., Stack]
MakeCommandLine = Callable[..., CommandLine]


@pytest.fixture(scope="package", autouse=True)
def _without_garbage_collection() -> Iterator[None]:
    # An engine lives for a second or two: it ends before garbage collection pays off.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOGC", "off")
        patch.setenv("GOMEMLIMIT", "1GiB")
        yield


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    found = problem()
    if found:
        pytest.fail(found, pytrace=False)


@pytest.fixture(scope="session")
def forking() -> Iterator[None]:
    """Let the engine start the providers and packs of a `Stack` as forks, where it can."""
    with forks.serving() as launchers, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stack, "launchers", launchers)
        yield


@pytest.fixture
def started_anew(forking: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine start providers and packs as it does for a user, without forks."""
    monkeypatch.setattr(Stack, "launchers", "")


@pytest.fixture
def make_stack(tmp_path: Path, forking: None) -> MakeStack:
    """A factory of stacks for a program; extra keywords are environment variables."""
    count = iter(range(100))

    def make(program: Any, project: str = "test", **environment: str) -> Stack:
        return Stack(tmp_path / str(next(count)), program, project, **environment)

    return make


def deployed_stack(
    directory: Path, factory: pytest.TempPathFactory, form: Form, **environment: str
) -> Stack:
    """
    Return a stack in which an `InvoicePreview` called `upcoming` is deployed already.

    It is a copy of one that was deployed once in this session.
    """

    def program() -> None:
        form.resource("upcoming")

    def deploy(template: Path) -> None:
        with september() as sandbox:
            run = Stack(template, program, **pointed_at(sandbox)).up()
        assert run.ok, run.text
        shutil.rmtree(template / "home")

    template = shared(factory, f"deployed-{type(form).__name__}", deploy)
    return Stack(directory, program, template=str(template), **environment)


@pytest.fixture
def make_deployed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, forking: None
) -> MakeStack:
    """A factory of a stack in which an `InvoicePreview` called `upcoming` is deployed already."""

    def make(form: Form, **environment: str) -> Stack:
        return deployed_stack(tmp_path / "deployed", tmp_path_factory, form, **environment)

    return make


@pytest.fixture
def make_command_line(tmp_path: Path, settled: dict[str, str]) -> MakeCommandLine:
    """A factory that copies a Pulumi project, with a stack `dev`, for Pulumi's own command line."""

    def make(project: Path, secrets_provider: str = vault.PROVIDER) -> CommandLine:
        made = command_line(tmp_path, copy_with_environment(project, tmp_path / "project"))
        made.environment |= settled
        init = f"pulumi stack init dev --secrets-provider {secrets_provider}"
        assert made.shell(init), made.printed
        return made

    return make


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with this package's wheel and sdist."""

    def build(directory: Path) -> None:
        run([sys.executable, "-m", "hatchling", "build", "--directory", str(directory)], ROOT)

    return shared(tmp_path_factory, "archives", build)


@pytest.fixture(scope="session")
def offline(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """
    Variables with which pip and uv install what this package needs from a folder, and ask no index.

    The folder has all that the package and its build need, without the package itself: a
    requirement that names it, and not its file, cannot be installed.
    """

    def fill(directory: Path) -> None:
        extras = "pulumi-cf-invoice[cloudflare,notify,policy,report,sandbox]"
        wheelhouse.fill(directory, [extras, "hatchling", "hatch-vcs"])
        # Builds of an editable install need it, and this environment does not keep it.
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(directory)]
        run([*pip, "editables"], directory, installing())
        config = f"no-index = true\nfind-links = [{json.dumps(str(directory))}]\n"
        (directory / "uv.toml").write_text(config)

    directory = shared(tmp_path_factory, "wheelhouse", fill)
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(directory),
        "PIP_NO_COMPILE": "1",
        "UV_CONFIG_FILE": str(directory / "uv.toml"),
        "UV_CACHE_DIR": str(directory / "uv"),
        "UV_PYTHON": sys.executable,
    }


@pytest.fixture(scope="session")
def runner_temp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runner's temporary directory, into which the action has installed itself."""

    def install(directory: Path) -> None:
        workflows.install_action(directory, tmp_path_factory.mktemp("install"))

    return shared(tmp_path_factory, "runner", install)


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
