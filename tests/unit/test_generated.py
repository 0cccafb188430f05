"""The commands that write generated and golden files, and what says that one is stale."""

from pathlib import Path

import pytest

from tools import generated


def test_a_stale_file_is_named_with_the_command_that_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    current, stale, missing = (tmp_path / name for name in ("current", "stale", "missing"))
    current.write_text("same")
    stale.write_text("before")
    files = {current: "same", stale: "after", missing: "new"}
    assert generated.write(files, "make schema", check=True) == 1
    assert capsys.readouterr().err == (
        f"{stale} is stale: run `make schema`\n{missing} is stale: run `make schema`\n"
    )
    assert stale.read_text() == "before"
    assert generated.write(files, "make schema", check=False) == 0
    assert [path.read_text() for path in files] == ["same", "after", "new"]
    assert generated.write(files, "make schema", check=True) == 0


def test_a_generator_takes_no_other_flag() -> None:
    assert not generated.is_check([])
    assert generated.is_check(["--check"])
    with pytest.raises(SystemExit, match="usage: "):
        generated.is_check(["--chekc"])


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """A folder with two tests of golden files, and a golden file that no test has."""
    pytester.makeconftest('pytest_plugins = ["tests.golden"]')
    for name in ("first", "second"):
        test = f"def test_{name}(golden): golden('{name}', '{name}')"
        pytester.makepyfile(**{f"test_{name}": test})
    golden = pytester.mkdir("golden")
    for name in ("first", "second", "left"):
        (golden / name).write_text("before")
    return golden


def test_what_no_test_has_any_more_is_removed(pytester: pytest.Pytester, folder: Path) -> None:
    assert pytester.runpytest_inprocess("--golden=check").ret == 1
    assert pytester.runpytest_inprocess("--golden=write").ret == 0
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "first": "first",
        "second": "second",
    }


@pytest.mark.parametrize(
    "selected", [["-k", "first"], ["test_first.py"], ["test_first.py::test_first"]]
)
def test_the_golden_files_of_tests_that_do_not_run_stay(
    pytester: pytest.Pytester, folder: Path, selected: list[str]
) -> None:
    assert pytester.runpytest_inprocess("--golden=write", *selected).ret == 0
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "first": "first",
        "second": "before",
        "left": "before",
    }
