"""The command that writes a generated file, and what says that it is stale."""

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
