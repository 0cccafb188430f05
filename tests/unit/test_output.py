"""Files that commands write: whole or not at all, and never in colour."""

import os
import re
import stat
import sys
from pathlib import Path

import pytest

from pulumi_cf_invoice.cli import main
from pulumi_cf_invoice.comments.reports import marker
from tests.command import run

DATA = Path(__file__).with_name("data")
UPDATE = str(DATA / "preview-update.json")
COLOURS = ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR", "CLICOLOR_FORCE")
FORMATS = ("text", "markdown", "html", "json")


def test_a_file_that_is_replaced_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    file, link = tmp_path / "report.txt", tmp_path / "link"
    file.write_text("older")
    file.chmod(0o640)
    link.symlink_to(file)
    assert main(["report", "--from", UPDATE, "--output", str(link)]) == 0
    assert link.is_symlink()
    assert "$200.01" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_new_file_has_the_mode_that_the_umask_says(tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    before = os.umask(0o027)
    try:
        assert main(["report", "--from", UPDATE, "--output", str(file)]) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "stdout"
    os.mkfifo(pipe)
    # As /dev/stdout is one.
    link.symlink_to(pipe)
    # A pipe holds what is written as long as it is open for reading.
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    arguments = ["report", "--from", UPDATE, "--output"]
    assert main([*arguments, str(link)]) == 0
    assert b"$200.01" in os.read(reader, 65536)
    os.close(reader)
    assert main([*arguments, "/dev/full"]) == 2


def test_no_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--from", UPDATE, "--output", str(tmp_path / "no" / "file")]) == 2
    assert capsys.readouterr().err.endswith("/no/file: No such file or directory\n")
    assert main(["report", "--from", UPDATE, "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith(": Is a directory\n")


TOO_LONG = "x" * 300


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["report", "--from", UPDATE, "--html", TOO_LONG], "cannot write xxx"),
        (["report", "--from", UPDATE, "--output", TOO_LONG], "cannot write xxx"),
        (["report", "--from", TOO_LONG], "cannot read xxx"),
        (["report", "--from", UPDATE, "--baseline", TOO_LONG], "cannot read xxx"),
        (["report", "--from", UPDATE, "--rules", TOO_LONG], "xxx: cannot be read: File name too"),
        (["report", "--budget", "--output", TOO_LONG], "argument --budget: expected one argument"),
        (["comment", TOO_LONG], "cannot read xxx"),
        (
            ["notify", "--from", UPDATE, "--budget", "1 USD", "--dry-run", "--state", TOO_LONG],
            "the file of --state cannot be read: everything is sent again",
        ),
    ],
)
def test_a_path_at_which_nobody_can_look_is_one_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is too long is like a folder that hides its files, but from root as well."""
    main(arguments)
    errors = capsys.readouterr().err
    assert expected in errors
    assert errors.count("\n") == 1
    assert "Please report it" not in errors


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "variable", ["FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR", "CLICOLOR_FORCE"]
)
def test_no_variable_colours_a_file(
    form: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / "without", tmp_path / "with"]
    for name in COLOURS:
        monkeypatch.delenv(name, raising=False)
    for file in files:
        arguments = ["report", "--from", UPDATE, "--format", form, "--at", "2026-09-15T12:00:00Z"]
        assert main([*arguments, "--output", str(file)]) == 0
        monkeypatch.setenv(variable, "1")
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b"\x1b" not in files[1].read_bytes()


@pytest.mark.parametrize("command", ["report", "show"])
def test_no_variable_colours_standard_output_that_is_no_terminal(command: str) -> None:
    shown = run(command, "--from", UPDATE, FORCE_COLOR="1", TTY_COMPATIBLE="1")
    assert shown.returncode == 0
    assert "\x1b" not in shown.stdout


@pytest.mark.parametrize("option", ["--rules", "--from", "--baseline", "--accounts", "--html"])
def test_no_report_is_written_over_a_file_that_is_named_twice(option: str, tmp_path: Path) -> None:
    file = tmp_path / "named.json"
    file.write_text("older")
    given = ["report", "--from", UPDATE, "--budget", "1 USD", "--format", "markdown"]
    done = run(*given, option, str(file), "--output", f"{tmp_path}/../{tmp_path.name}/named.json")
    assert done.returncode == 2
    assert re.fullmatch(
        "cf-invoice: --(output|html) would write over .*named.json, which another option names: "
        "name another file\n",
        done.stderr,
    )
    assert file.read_text() == "older"


def test_an_older_report_is_replaced_where_another_option_names_it(tmp_path: Path) -> None:
    """A pull request can have both files, and a report that says that all is well."""
    older, link = tmp_path / "report.md", tmp_path / "report.html"
    given = ["report", "--from", UPDATE, "--format", "markdown", "--output", str(older)]
    assert run(*given, "--budget", "9000 USD").returncode == 0
    link.symlink_to(older.name)
    done = run(*given, "--budget", "1 USD", "--html", str(link))
    assert done.returncode == 2
    assert "--html would write over " in done.stderr
    assert "### ❔ Unknown: there is no report." in older.read_text(encoding="utf-8")
    assert "would write over" in older.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "mistake",
    [
        ["--format", "md"],
        ["--format"],
        ["--budget", "1 dollar"],
        ["--max-age", "a day"],
        ["--format", "html", "--rules", "nowhere.json"],
    ],
)
def test_an_older_report_is_replaced_whatever_is_wrong_with_the_format(
    mistake: list[str], tmp_path: Path
) -> None:
    older = tmp_path / "report.md"
    given = ["report", "--from", UPDATE, "--output", str(older)]
    assert run(*given, "--format", "markdown", "--budget", "9000 USD").returncode == 0
    assert run(*given, *mistake).returncode == 2
    assert "### ❔ Unknown: there is no report." in older.read_text(encoding="utf-8")


def test_a_failure_is_written_where_markdown_was_wanted_as_far_as_is_known(tmp_path: Path) -> None:
    written = tmp_path / "report"
    for form, is_written in (("html", False), ("text", False), ("md", True)):
        failed = run("report", "--max-age", "a day", "--format", form, "--output", str(written))
        assert failed.returncode == 2
        assert failed.stdout == ""
        assert written.exists() is is_written


def test_no_failure_is_written_among_the_snapshots_either(tmp_path: Path) -> None:
    for mistake in ([], ["--max-age", "a day"]):
        written = ["--format", "markdown", "--output", str(tmp_path / "new.json")]
        assert run("report", "--snapshot", str(tmp_path), *mistake, *written).returncode == 2
        assert not list(tmp_path.iterdir())


def test_no_report_is_written_among_the_snapshots_that_it_reads(tmp_path: Path) -> None:
    snapshot = tmp_path / "023e105f4ecef8ad9ca31a8372d0c353.json"
    snapshot.write_text("older")
    done = run("report", "--from", str(tmp_path), "--format", "json", "--output", str(snapshot))
    assert done.returncode == 2
    assert "--output would write among the snapshots in " in done.stderr
    assert snapshot.read_text() == "older"


def test_no_state_or_snapshot_is_written_over_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / "named.json"
    file.write_text("older")
    notify = ["notify", "--from", UPDATE, "--rules", str(file), "--state", str(file)]
    for given in (notify, ["snapshot", "--accounts", str(file), "--output", str(file)]):
        done = run(*given)
        assert done.returncode == 2
        assert "which another option names" in done.stderr
    assert file.read_text() == "older"


@pytest.mark.parametrize("option", ["--output", "--html"])
def test_no_file_is_called_like_standard_output(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("report", "--from", UPDATE, option, "-")
    assert done.returncode == 2
    assert f"{option}: '-' is not the name of a file" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are no links")
@pytest.mark.parametrize("name", ["", "-", "/dev/fd/{}"])
def test_an_older_report_is_replaced_where_the_other_file_is_refused(
    name: str, tmp_path: Path
) -> None:
    older = tmp_path / "report.md"
    older.write_text(marker(None))
    given = ["report", "--from", UPDATE, "--format", "markdown", "--output", str(older)]
    with (tmp_path / "log").open("w") as log:
        assert main([*given, "--html", name.format(log.fileno())]) == 2
    assert "### ❔ Unknown" in older.read_text()


@pytest.mark.parametrize("option", ["--output", "--html", "--state"])
@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_a_file_that_is_open_already_is_not_replaced(
    option: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With standard output in a file, /dev/stdout links to such a name."""
    monkeypatch.chdir(tmp_path)
    before = marker(None)
    with Path("log").open("w+") as log:
        log.write(before)
        log.flush()
        Path("link").symlink_to(f"/proc/self/fd/{log.fileno()}")
        command = "notify" if option == "--state" else "report"
        given = [command, "--from", UPDATE, "--budget", "1 USD"]
        assert main([*given, option, name.format(log.fileno())]) == 2
    assert "is a file that is open already, and would be replaced" in capsys.readouterr().err
    assert Path("log").read_text() == before
