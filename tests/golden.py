"""
What is printed, held against the files in a folder ``golden`` beside the test's module.

A test takes the fixture `golden`. With ``--golden=write`` only such tests run, and write their
files instead; with ``--golden=check`` only they run. Either way no file may be left over.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

Golden = Callable[[str, str], None]
_OPTION = "--golden"
_used = pytest.StashKey[set[Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        _OPTION, choices=["write", "check"], help="run the tests with golden files, and write them"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption(_OPTION):
        chosen = [item for item in items if "golden" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """A function that compares a text with the golden file of a name."""
    writes = request.config.getoption(_OPTION) == "write"
    used = request.config.stash.setdefault(_used, set())

    def compare(name: str, text: str) -> None:
        file = request.path.parent / "golden" / name
        used.add(file)
        if writes:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        held = file.read_text(encoding="utf-8") if file.exists() else None
        assert text == held, f"golden/{name} says something else: run `make golden`, and review it"

    return compare


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    mode = session.config.getoption(_OPTION)
    if not mode or exitstatus:
        return
    used = session.config.stash.get(_used, set())
    left = sorted({file for one in used for file in one.parent.iterdir()} - used)
    for file in left:
        if mode == "write":
            file.unlink()
        else:
            print(f"\nno test has {file.relative_to(session.config.rootpath)}: run `make golden`")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
