"""
Starts the engine's providers and policy packs as forks of a process that has their packages.

To import Pulumi, gRPC and this package takes each of them longer than what most tests do with it.
Here, a server that lasts as long as a test process imports them once. What the engine starts is
``fork_client.py``, which hands its arguments, directory, environment and standard streams to the
server, and a fork of the server becomes the process that the engine wanted.
"""

import gc
import importlib
import io
import marshal
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

LAUNCHERS = {
    "pulumi-resource-pulumi-python": 'pulumi.dynamic "$@"',
    "pulumi-resource-cf-invoice": 'pulumi_cf_invoice "$@"',
    # The engine also passes a pack options of the language host.
    "pulumi-analyzer-policy-python": 'pulumi.policy "$1" "$2"',
}
"""The module and its arguments for each name under which the engine looks for a process."""

_IMPORTED = (
    *("dill", "grpc.aio", "pulumi.dynamic", "pulumi.policy", "pulumi_policy"),
    *("pulumi_cf_invoice.resource", "pulumi_cf_invoice.plugin.provider"),
    *("pulumi_cf_invoice.policy", "pulumi_cf_invoice.budgeted_gateway"),
)


class Request(NamedTuple):
    """What a process was started with, besides its standard streams."""

    module: str
    arguments: list[str]
    directory: str
    environment: dict[bytes, bytes]


class Server:
    """
    A server that forks for each client.

    A fork ends when its client is gone, and all of them when standard input ends, which it does
    with the test process.
    """

    def __init__(self, address: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(address)
        self._directory = Path(address).parent
        self._listener.listen(128)
        self._forks = set[int]()
        self._selector = selectors.DefaultSelector()
        self._watch(self._listener, self._accept)
        self._watch(sys.stdin.fileno(), self._end)

    def serve(self) -> Request:
        """Return in each fork, with what it is to run."""
        while True:
            # One event at a time, as each may close the file of the next.
            (key, _), *_ = self._selector.select()
            request: Request | None = key.data()
            if request:
                return request

    def _watch(self, file: Any, act: Callable[[], Request | None]) -> None:
        self._selector.register(file, selectors.EVENT_READ, act)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self._watch(client, partial(self._start, client))

    def _start(self, client: socket.socket) -> Request | None:
        self._selector.unregister(client)
        message, streams, _, _ = socket.recv_fds(client, 1 << 20, 3)
        if not message:
            client.close()
            return None
        pid = os.fork()
        if pid == 0:
            client.close()
            self._close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            return Request(*marshal.loads(message))
        for stream in streams:
            os.close(stream)
        fork = os.pidfd_open(pid)
        self._forks.add(fork)
        self._watch(client, partial(self._pass_on, client, fork))
        self._watch(fork, partial(self._report, client, fork))
        return None

    def _close(self) -> None:
        """Close in a fork what belongs to the server: above all, the connections of others."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
            elif key.fd in self._forks:
                os.close(key.fd)
        self._selector.close()

    def _pass_on(self, client: socket.socket, fork: int) -> None:
        """Send *fork* the signals that its client got, or end it with its client."""
        try:
            signals = client.recv(16)
        except ConnectionError:
            signals = b""
        for number in signals or [signal.SIGKILL]:
            signal.pidfd_send_signal(fork, number)
        if not signals:
            self._selector.unregister(client)
            client.close()

    def _report(self, client: socket.socket, fork: int) -> None:
        """Send the exit status of *fork* to its client, unless that is gone."""
        ended = os.waitid(os.P_PIDFD, fork, os.WEXITED)
        assert ended
        self._selector.unregister(fork)
        self._forks.remove(fork)
        os.close(fork)
        if client.fileno() != -1:
            self._selector.unregister(client)
            killed = ended.si_code != os.CLD_EXITED
            with client, suppress(ConnectionError):
                client.send(b"%d" % (ended.si_status + 128 * killed))

    def _end(self) -> None:
        for fork in self._forks:
            signal.pidfd_send_signal(fork, signal.SIGKILL)
            os.waitid(os.P_PIDFD, fork, os.WEXITED)
        # A test process that was killed has left it.
        shutil.rmtree(self._directory, ignore_errors=True)
        raise SystemExit


def _read_at_start() -> dict[str, str]:
    """Return the variables that Python reads when it starts."""
    return {k: v for k, v in os.environ.items() if k.startswith(("PYTHON", "LANG", "LC_"))}


def _reopen_streams() -> None:
    """Make the standard streams anew: they remember what kind of file theirs was."""
    for name in ("stdin", "stdout", "stderr"):
        old = getattr(sys, name)
        mode, buffering = ("rb", -1) if name == "stdin" else ("wb", 0)
        file = open(old.fileno(), mode, buffering, closefd=False)  # noqa: SIM115
        new = io.TextIOWrapper(file, old.encoding, old.errors, write_through=old.write_through)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def become(request: Request) -> None:
    """Run what *request* asks for in this process, as `python -m` would."""
    read = _read_at_start()
    os.environb.clear()
    os.environb.update(request.environment)
    os.chdir(request.directory)
    if _read_at_start() != read:
        command = [sys.executable, "-u", "-m", request.module, *request.arguments]
        os.execv(sys.executable, command)
    _reopen_streams()
    time.tzset()
    sys.argv[1:] = request.arguments
    sys.path.insert(0, request.directory)
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)


def main(address: str) -> None:
    """Serve at *address*, a path, and run in each fork what its client asks for."""
    # Python put the folder of this file there.
    del sys.path[0]
    for name in _IMPORTED:
        importlib.import_module(name)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise RuntimeError("an import started a thread, which would be missing in each fork")
    gc.collect()
    gc.freeze()
    server = Server(address)
    print("ready", flush=True)
    become(server.serve())


@contextmanager
def serving() -> Iterator[str]:
    """
    Run a server, and yield the directory of its launchers for PATH.

    The directory is "" where the engine has launchers of its own, where coverage is measured, which
    each process has to begin by itself, and on systems other than Linux.
    """
    measured = any(name.startswith("COVERAGE_") for name in os.environ)
    if measured or sys.platform != "linux" or shutil.which("pulumi-language-python"):
        yield ""
        return
    # The address of a socket has to be short.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        address = f"{directory}/socket"
        client = Path(__file__).with_name("fork_client.py")
        for name, command in LAUNCHERS.items():
            launcher = Path(directory) / name
            start = f'exec "{sys.executable}" -I -S "{client}" "{address}"'
            launcher.write_text(f"#!/bin/sh\n{start} {command}\n")
            launcher.chmod(0o755)
        # In a session of its own, so that an interrupt from a terminal ends the tests first.
        with subprocess.Popen(
            [sys.executable, "-u", __file__, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as server:
            assert server.stdout
            assert server.stdout.readline() == b"ready\n", "the server of forks did not start"
            yield directory
            server.communicate()


if __name__ == "__main__":
    main(sys.argv[1])
