"""`cf-invoice` as people start it: its streams, its exit codes, and what ends it early."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.sandbox import Sandbox
from tests.command import COMMAND, Done, run, start
from tests.conftest import pointed_at
from tests.factories import NOW
from tests.unit.test_cli import AT, UPDATE, write_long
from tests.unit.test_client import stand_in
from tests.waiting import wait_until


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["forecast"], "Forecast"),
        (["snapshot"], '"amount_due": 18846'),
        (["doctor"], "AI Gateway Read"),
    ],
)
def test_each_command_runs_in_a_process_of_its_own(
    settled: dict[str, str], command: list[str], expected: str
) -> None:
    """So do `show`, `report` and `completion`, in tests of what they print there."""
    done = start(*command, **settled)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


def test_verbose_tells_of_requests_and_retries_without_credentials(
    sandbox: Sandbox, settled: dict[str, str]
) -> None:
    sandbox.fault, sandbox.fail_times = "http-503", 1
    done = start("show", "--verbose", **settled)
    assert done.returncode == 0
    assert "$188.46 for September, which has ended." in done.stdout
    assert "attempt 1: Cloudflare said HTTP 503" in done.stderr
    assert "200 OK" in done.stderr
    assert "sandbox-token" not in done.stderr


def test_what_verbose_tells_is_no_command_to_a_runner(settled: dict[str, str]) -> None:
    with stand_in("{}", 302, Location="/x##vso[task.x]y") as (base_url, _):
        done = start("show", "--verbose", **{**settled, "CLOUDFLARE_BASE_URL": base_url})
    assert done.returncode == 2
    assert "following a redirect" in done.stderr
    assert "vso[" not in done.stderr


def test_bash_takes_the_completion_and_offers_the_commands() -> None:
    script = 'eval "$("$0" completion bash)"; complete -p cf-invoice'
    done = subprocess.run(["bash", "-c", script, *COMMAND], capture_output=True, text=True)
    assert "cf-invoice" in done.stdout, done.stderr


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    long = write_long(tmp_path)
    script = 'set -o pipefail; "$0" show --from "$1" | head -1'
    done = subprocess.run(["bash", "-c", script, *COMMAND, long], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""


def _on_a_terminal(**environment: str) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "report", "--from", UPDATE, "--budget", "1 USD", *AT],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        pass  # The read fails once the command has exited and closed its end.
    os.close(ours)
    process.wait(60)
    return shown.decode()


def test_colour_is_for_a_terminal_only() -> None:
    environment = {"NO_COLOR": ""}
    assert "\x1b[1;31m" in _on_a_terminal(**environment)
    assert "\x1b" not in run("report", "--from", UPDATE, **environment).stdout


def test_without_its_extra_the_command_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['rich'] = sys.modules['jinja2'] = None\n"
        "from pulumi_cf_invoice.cli import main\n"
        "for form in ('text', 'html'):\n"
        f"    print(main(['report', '--from', {UPDATE!r}, '--format', form]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["2", "2"]
    of_text, of_html = done.stderr.splitlines()
    assert "rich" in of_text
    assert "jinja2" in of_html
    for message in (of_text, of_html):
        assert "install pulumi-cf-invoice with its extra 'report'" in message


def test_output_is_utf_8_whatever_the_code_page() -> None:
    done = subprocess.run(
        [*COMMAND, "report", "--from", UPDATE, "--format", "markdown", "--budget", "1 USD"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 1
    assert "❌" in done.stdout.decode("utf-8")


def test_a_full_disk_is_exit_code_2_and_one_line(tmp_path: Path) -> None:
    """Also of a report over budget."""
    for form in ("text", "json"):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [*COMMAND, "report", "--from", UPDATE, "--format", form, "--budget", "1 USD"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert done.returncode == 2
        assert done.stderr == "cf-invoice: cannot write standard output: No space left on device\n"


def code_of(command: str, redirected: str, unbuffered: str = "") -> int:
    """Return the exit code of a *command* whose streams are *redirected* by a shell."""
    script = f'"$0" {command} {redirected}; exit "${{PIPESTATUS[0]}}"'
    return subprocess.run(
        ["bash", "-c", script, *COMMAND],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    ).returncode


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("report --from nowhere.json --format markdown --budget '250 USD'", 2),
        ("doctor 2>&1", 2),
        ("no-command 2>&1", 2),
        ("sandbox --port 0", 2),
        ("completion bash", 0),
        ("report --help", 0),
        ("sandbox --list", 0),
    ],
)
def test_the_exit_code_stays_where_nobody_reads(command: str, code: int) -> None:
    assert code_of(command, "| true") == code


@pytest.mark.parametrize(
    ("command", "code"), [("show --from nowhere.json 2>&1", 2), ("completion bash", 0)]
)
def test_the_exit_code_stays_without_buffers_too(command: str, code: int) -> None:
    assert code_of(command, "| true", unbuffered="1") == code


@pytest.mark.parametrize(
    ("redirected", "code"), [("2> /dev/full", 2), ("> /dev/full 2>&1", 2), (">&- 2>&-", 2)]
)
def test_what_cannot_be_determined_stays_2_where_errors_cannot_be_written(
    redirected: str, code: int
) -> None:
    for command in ("report --from nowhere.json", "no-command"):
        assert code_of(command, redirected) == code


def test_a_report_over_budget_that_is_discarded_is_1() -> None:
    assert code_of(f"report --from '{UPDATE}' --budget '1 USD'", ">&-") == 1


@pytest.mark.parametrize(
    "command", ["pulumi_cf_invoice.sandbox --list", "pulumi_cf_invoice --help"]
)
def test_other_commands_whose_output_cannot_be_written_say_so_in_one_line(command: str) -> None:
    shell = f"'{sys.executable}' -m {command}"
    full, piped = (
        subprocess.run(
            ["bash", "-c", f"{shell} {redirected}"], capture_output=True, text=True, timeout=60
        )
        for redirected in ("> /dev/full", "| true; exit ${PIPESTATUS[0]}")
    )
    assert full.returncode == 2
    assert re.fullmatch(
        r".*pulumi\S*: cannot write standard output: No space left on device\n", full.stderr
    )
    assert (piped.returncode in (0, 2), piped.stderr) == (True, "")


def test_closed_standard_input_is_one_line() -> None:
    script = '"$0" report --from - <&-'
    failed = subprocess.run(["bash", "-c", script, *COMMAND], capture_output=True, text=True)
    assert failed.returncode == 2
    assert failed.stderr == "cf-invoice: cannot read standard input: it is closed\n"


def test_over_budget_into_a_pipe_that_closes_stays_1() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, "report", "--from", UPDATE, "--budget", "1 USD"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_an_interrupt_is_130_without_a_traceback() -> None:
    with subprocess.Popen(
        [*COMMAND, "report", "--from", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stderr
        # More than a pipe holds is taken only by a command that has started and reads. It sleeps
        # once it has taken everything, and waits for more.
        process.stdin.write(" " * 1_000_000)
        process.stdin.flush()
        state = Path(f"/proc/{process.pid}/stat")
        wait_until(lambda: state.read_text().split(")")[1].split()[0] == "S", "it waits", process)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == ""


_ENDS_WHILE_ANSWERS_ARE_PARSED = """
import threading, time
from typing import Annotated
from pydantic import AfterValidator, TypeAdapter
from pulumi_cf_invoice import cli

answer = TypeAdapter(list[Annotated[int, AfterValidator(lambda value: value)]])

def parse():
    while True:
        answer.validate_python(range(10_000))

def interrupted():
    for _ in range(4):
        threading.Thread(target=parse, daemon=True).start()
    time.sleep(0.1)
    return 130

cli.main = interrupted
cli.run_and_exit()
"""


def test_a_command_ends_with_its_exit_code_while_answers_are_parsed() -> None:
    """Python would abort the process where it ends a thread that is in pydantic."""
    command = [sys.executable, "-c", _ENDS_WHILE_ANSWERS_ARE_PARSED]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_defect_of_ours_is_exit_code_2_and_one_line() -> None:
    code = (
        "import sys\n"
        "from pulumi_cf_invoice import cli\n"
        "from pulumi_cf_invoice.report import input\n"
        "input.read_any = lambda *a, **k: 1 / 0\n"
        f"sys.exit(cli.main(['report', '--from', {UPDATE!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "cf-invoice: it failed: ZeroDivisionError: division by zero. Please report it\n"
    )


def test_no_color_is_heeded_and_a_narrow_terminal_folds_and_cuts_no_digit() -> None:
    shown = _on_a_terminal(COLUMNS="20", NO_COLOR="1")
    assert "\x1b[1;31m" not in shown
    for amount in ("$200.01", "$192.87", "$18.08", "$174.79", "$13.67"):
        assert amount in shown
    assert "…" not in shown


# What happens to the process before the file takes the older one's place.
ENDS = {
    "a full disk": "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))",
    "a kill": "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)",
    "Ctrl-C": "os.fsync = lambda _: signal.raise_signal(signal.SIGINT)",
}


def run_after(before: str, *arguments: str) -> Done:
    """Run a command in its own process, after the code *before*."""
    code = (
        "import os, resource, signal, sys\nfrom pathlib import Path\n"
        f"from pulumi_cf_invoice.cli import main\n{before}\nsys.exit(main({list(arguments)!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        # If files cannot grow, Python would keep half a compiled file.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.mark.parametrize("end", ENDS)
def test_an_older_file_stays_whatever_ends_the_command(end: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("older")
    arguments = ["report", "--from", UPDATE, "--format", "html", "--output", str(file)]
    ended = run_after(ENDS[end], *arguments)
    assert ended.returncode == {"a full disk": 2, "a kill": -9, "Ctrl-C": 130}[end]
    assert file.read_text() == "older"
    if end == "a full disk":
        assert ended.stderr == f"cf-invoice: cannot write {file}: File too large\n"
    if end != "a kill":
        assert [file] == list(tmp_path.iterdir())


def test_a_run_that_is_interrupted_keeps_the_snapshots_that_it_has(tmp_path: Path) -> None:
    with Sandbox(now=NOW, number_of_accounts=200, latency=0.05) as many:
        command = ["snapshot", "--all-accounts", "--output", str(tmp_path)]
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"from pulumi_cf_invoice.cli import main; exit(main({command}))",
            ],
            env={**os.environ, **pointed_at(many)},
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: any(tmp_path.glob("*.json")), "a snapshot was written", process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    kept = list(tmp_path.iterdir())
    assert 0 < len(kept) < 200
    for file in kept:
        assert Snapshot.from_json(json.loads(file.read_text())).account_id == file.stem
