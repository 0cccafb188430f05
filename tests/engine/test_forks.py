"""A fork behaves as the process whose place it takes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine import forks
from tests.waiting import wait_until

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def launchers() -> Iterator[str]:
    with forks.serving() as directory:
        if not directory:
            pytest.skip("the engine starts no forks here")
        yield directory


@pytest.fixture
def start(launchers: str, tmp_path: Path) -> Iterator[Start]:
    """A factory that runs a program as a policy pack, by default in a fork."""
    started = list["subprocess.Popen[str]"]()

    def begin(program: str, command: list[str] | None = None, **environment: str) -> Any:
        file = tmp_path / "pack.py"
        file.write_text(program)
        process = subprocess.Popen(
            [*(command or [f"{launchers}/pulumi-analyzer-policy-python"]), "engine", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **environment},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


DESCRIBED = """\
import json, os, signal, sys, threading, time
streams = (sys.stdin, sys.stdout, sys.stderr)
print(json.dumps({
    "arguments": sys.argv,
    "directory": os.getcwd(),
    "path": sys.path,
    "environment": dict(os.environ),
    "zone": time.tzname,
    "files": sorted(os.listdir("/proc/self/fd")),
    "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "threads": threading.active_count(),
    "encodings": [stream.encoding + stream.errors for stream in streams],
    "buffers": [(str(type(stream.buffer)), stream.write_through) for stream in streams],
    "seekable": [stream.seekable() for stream in streams],
    "input": sys.stdin.read(),
    "main": __name__,
    "warnings": sys.warnoptions,
}))
"""


@pytest.mark.parametrize("variables", [{"TZ": "Asia/Tokyo"}, {"PYTHONWARNINGS": "error"}])
def test_a_fork_has_what_a_process_has(start: Start, variables: dict[str, str]) -> None:
    anew = [sys.executable, "-u", "-m", "pulumi.policy"]
    processes = [start(DESCRIBED, command, **variables) for command in (None, anew)]
    fork, process = (json.loads(each.communicate("given")[0]) for each in processes)
    for described in (fork, process):
        # The shell of the launcher adds some.
        for name in ("PWD", "OLDPWD", "SHLVL", "_"):
            described["environment"].pop(name, None)
    assert fork == process


def test_a_fork_ends_with_its_own_status_and_streams(start: Start) -> None:
    program = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(%s)"
    failing = start(program % 3)
    assert (*failing.communicate(), failing.returncode) == ("out\n", "err\n", 3)
    raising = start(program % "int('three')")
    assert "ValueError: invalid literal" in raising.communicate()[1]
    assert raising.returncode == 1


WAITING = """
import os, time
print(os.getpid(), flush=True)
time.sleep(600)
"""


def test_a_fork_ends_with_its_client(start: Start) -> None:
    client, other = start(WAITING), start(WAITING)
    assert client.stdout
    assert other.stdout
    pid, others = int(client.stdout.readline()), int(other.stdout.readline())
    client.kill()
    # Whoever reads what it wrote is told that there is no more, though another still runs.
    assert client.stdout.read() == ""
    wait_until(lambda: ended(pid), "the fork ended", other)
    assert not ended(others)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 130)]
)
def test_a_fork_gets_the_signals_of_its_client(start: Start, number: int, code: int) -> None:
    client = start(WAITING)
    assert client.stdout
    pid = int(client.stdout.readline())
    client.send_signal(number)
    client.communicate()
    assert client.returncode == code
    assert ended(pid)


def test_forks_end_with_the_test_process(start: Start, tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, time\n"
        "from tests.engine import forks\n"
        "with forks.serving() as launchers:\n"
        "    command = [f'{launchers}/pulumi-analyzer-policy-python', 'engine', sys.argv[1]]\n"
        "    subprocess.Popen(command)\n"
        "    time.sleep(600)\n"
    )
    pack = tmp_path / "pack.py"
    pack.write_text(WAITING)
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program, str(pack)], stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        process.kill()
        # The client had this output as well, and is gone too.
        assert process.stdout.read() == ""
    assert ended(pid)
