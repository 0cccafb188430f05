"""
A stand-in for Pulumi's Python language host, for tests that use Pulumi's own command line.

The real host is not in any package registry. This one runs a project's ``__main__.py`` with the
server that the SDK provides for inline programs. Policy packs and plugins run in processes of their
own, as they do under the real host. ``install`` writes its launcher.
"""

import os
import re
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc

# The SDK's server for inline programs, which no public module has.
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2


def install(directory: Path) -> None:
    """Write a launcher for the host to *directory*, which belongs on PATH."""
    launcher = directory / "pulumi-language-python"
    root = Path(__file__).parents[2]
    launcher.write_text(
        f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -u -m {__name__} "$@"\n'
    )
    launcher.chmod(0o755)


class Host(LanguageServer):
    """A language host that runs the program in the directory named by the engine."""

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version="1.0.0")

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802
        return language_pb2.LanguageHandshakeResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        yield from ()

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802
        os.chdir(request.info.program_directory or request.pwd)
        self.program = _run_program
        return super().Run(request, context)  # type: ignore[no-untyped-call]

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        program = request.info.program_directory or request.program
        environment = dict(pair.split("=", 1) for pair in request.env) or dict(os.environ)
        if request.kind == "resource":
            command = ["pulumi.run.plugin", _package(program), *request.args]
        else:
            command = ["pulumi.policy", request.args[0], program]
        with subprocess.Popen(
            [sys.executable, "-u", "-m", *command],
            cwd=request.pwd,
            env=environment,
            stdout=subprocess.PIPE,
        ) as process:
            context.add_callback(process.terminate)
            assert process.stdout
            for line in process.stdout:
                yield language_pb2.RunPluginResponse(stdout=line)


def _package(directory: str) -> str:
    """Return the name of the Python package in a plugin's directory."""
    pyproject = (Path(directory) / "pyproject.toml").read_text()
    return str(re.findall('^name = "(.*)"', pyproject, flags=re.M)[0])


def _run_program() -> None:
    runpy.run_path("__main__.py", run_name="__main__")


def main() -> None:
    """Serve until the engine stops this process, or is gone itself."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    # The engine stops its hosts with an interrupt, but cannot send one if it is killed.
    with suppress(KeyboardInterrupt):
        while os.getppid() != 1:
            time.sleep(1)


if __name__ == "__main__":
    main()
