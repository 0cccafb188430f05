"""
Compares output with the files in a folder ``golden`` next to the test's module.

A test takes the fixture `golden`. With ``--golden=write`` only such tests run, and write their
files instead; with ``--golden=check`` only they run. In a folder of which all tests ran, a file
that no test uses is removed, or fails the check.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

Golden = Callable[[str, str], None]
_OPTION = "--golden"
# It follows from the lines before it, and would make any two changes to a report conflict.
_CHECKSUM = re.compile(r"(?<=<!-- end of report )[0-9a-f]{16}(?= -->)")
_used = pytest.StashKey[set[Path]]()
_collected = pytest.StashKey[set[Path]]()
_left_out = pytest.StashKey[set[Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        _OPTION, choices=["write", "check"], help="run the tests with golden files, and write them"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.stash[_collected] = {item.path for item in items}
    if config.getoption(_OPTION):
        chosen = [item for item in items if _is_golden(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in filter(_is_golden, items):
        item.config.stash.setdefault(_left_out, set()).add(item.path.parent)


def _is_golden(item: pytest.Item) -> bool:
    return "golden" in getattr(item, "fixturenames", ())


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """A function that compares a text with the golden file of a name."""
    writes = request.config.getoption(_OPTION) == "write"
    used = request.config.stash.setdefault(_used, set())

    def compare(name: str, text: str) -> None:
        text = _CHECKSUM.sub("CHECKSUM", text)
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
    # A worker of several has only some of the tests.
    if not mode or exitstatus or hasattr(session.config, "workerinput"):
        return
    used = session.config.stash.get(_used, set())
    folders = {file.parent for file in used if _is_whole(file.parents[1], session.config)}
    left = sorted({file for folder in folders for file in folder.iterdir()} - used)
    for file in left:
        if mode == "write":
            file.unlink()
        else:
            print(f"\nno test has {file.relative_to(session.config.rootpath)}: run `make golden`")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_whole(directory: Path, config: pytest.Config) -> bool:
    """Return whether every test with golden files of a *directory* was to run."""
    is_collected = set(directory.glob("test_*.py")) <= config.stash[_collected]
    return is_collected and directory not in config.stash.get(_left_out, set())
