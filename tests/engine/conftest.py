from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.harness import Stack, problem

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
MakeStack = Callable[..., Stack]


@pytest.fixture(scope="session", autouse=True)
def _engine() -> None:
    found = problem()
    if found:
        pytest.fail(found, pytrace=False)


@pytest.fixture
def make_stack(tmp_path: Path) -> MakeStack:
    """Makes stacks, each with a program; further keywords are the environment."""
    count = iter(range(100))

    def make(program: Any, project: str = "test", **environment: str) -> Stack:
        return Stack(tmp_path / str(next(count)), program, project, **environment)

    return make


@pytest.fixture
def settled(sandbox: Sandbox) -> dict[str, str]:
    """The environment of a program that is pointed at the sandbox."""
    return {
        "CLOUDFLARE_BASE_URL": sandbox.base_url,
        "CLOUDFLARE_API_TOKEN": "sandbox-token",
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
    }
