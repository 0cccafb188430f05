"""
A stand-in for Pulumi's Python language host, for tests that use Pulumi's own command line.

The real host is not in any package registry. This one runs a project's ``__main__.py`` with the
server that the SDK provides for inline programs, in the virtual environment that the project names,
which ``pulumi install`` makes. Policy packs and plugins run in processes of their own, as they do
under the real host. ``install`` writes its launchers.
"""

import os
import re
import runpy
import subprocess
import sys
import tempfile
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

ROOT = Path(__file__).parents[2]

# Dynamic providers run where the project does, as with Pulumi's own launcher.
LAUNCHERS = {
    "pulumi-language-python": f'exec "{sys.executable}" -u "{__file__}" "$@"',
    "pulumi-resource-pulumi-python": f"""\
python="${{PULUMI_RUNTIME_VIRTUALENV:+$PULUMI_RUNTIME_VIRTUALENV/bin/python}}"
exec "${{python:-{sys.executable}}}" -u -m pulumi.dynamic "$@\"""",
}


def install(directory: Path) -> None:
    """Write the launchers of the host to *directory*, which belongs on PATH."""
    for name, command in LAUNCHERS.items():
        launcher = directory / name
        launcher.write_text(f"#!/bin/sh\n{command}\n")
        launcher.chmod(0o755)


class Host(LanguageServer):
    """A language host that runs the program in the directory named by the engine."""

    def __init__(self) -> None:
        super().__init__(_run_program)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version="1.0.0")

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802
        return language_pb2.LanguageHandshakeResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        directory = Path(request.info.program_directory or request.directory)
        # This environment has the plugin that is this repository.
        if (directory / "PulumiPlugin.yaml").exists() and directory != ROOT:
            yield from _made(directory / "venv", directory)
            yield from _installed(_pip(_plugin_python(directory), "."), directory)
            return
        if _has_uv(request.info):
            yield from _installed(_uv("sync"), directory)
            return
        if not (directory / "requirements.txt").exists():
            return
        environment = _environment(request.info)
        if environment:
            yield from _made(environment, directory)
        pip = _pip(_python(request.info), "-r", "requirements.txt")
        yield from _installed(pip, directory)

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802
        directory, python = request.info.program_directory or request.pwd, _python(request.info)
        if python == sys.executable:
            os.chdir(directory)
            return super().Run(request, context)  # type: ignore[no-untyped-call]
        with tempfile.NamedTemporaryFile() as answer:
            subprocess.run(
                [python, "-u", "-I", __file__, "--run", answer.name],
                input=request.SerializeToString(),
                cwd=directory,
                check=True,
            )
            return language_pb2.RunResponse.FromString(answer.read())

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        program = request.info.program_directory or request.program
        environment = dict(pair.split("=", 1) for pair in request.env) or dict(os.environ)
        if request.kind == "resource":
            python = _plugin_python(Path(program))
            command = ["pulumi.run.plugin", _package(program), *request.args]
        else:
            if _has_uv(request.info) and not _python_of(request.info).exists():
                subprocess.run(_uv("sync"), cwd=program, capture_output=True, check=True)
            python = _python(request.info)
            command = ["pulumi.policy", request.args[0], program]
        with subprocess.Popen(
            [python, "-u", "-m", *command],
            cwd=request.pwd,
            env=environment,
            stdout=subprocess.PIPE,
        ) as process:
            context.add_callback(process.terminate)
            assert process.stdout
            for line in process.stdout:
                yield language_pb2.RunPluginResponse(stdout=line)


def _has_uv(info: Any) -> bool:
    """Return whether a project or pack leaves its environment to uv."""
    return "toolchain" in info.options and str(info.options["toolchain"]) == "uv"


def _uv(command: str) -> list[str]:
    return [sys.executable, "-m", "uv", command]


def _environment(info: Any) -> Path | None:
    """Return where the virtual environment is that a project, pack or plugin names, if it does."""
    if _has_uv(info):
        return Path(info.root_directory, ".venv")
    named = "virtualenv" in info.options and str(info.options["virtualenv"])
    return Path(info.root_directory, named) if named else None


def _python_of(info: Any) -> Path:
    return (_environment(info) or Path(sys.prefix)) / "bin" / "python"


def _python(info: Any) -> str:
    """Return the interpreter for a project, pack or plugin: its own environment's, or this one."""
    environment = _environment(info)
    # In this environment, which tests lend to projects, there is nothing to start anew.
    if environment is None or environment.resolve() == Path(sys.prefix).resolve():
        return sys.executable
    python = environment / "bin" / "python"
    if not python.exists():
        raise RuntimeError(f"there is no virtual environment {environment}: run `pulumi install`")
    return str(python)


def _plugin_python(directory: Path) -> str:
    """Return the interpreter for a plugin: that of the environment in its folder, or this one."""
    own = directory / "venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def _made(environment: Path, directory: Path) -> Iterator[Any]:
    # Installing pip into it would take longer than using the one that is here.
    command = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
    yield from _installed(command, directory)


def _pip(python: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--python", python, "install", *arguments]


def _installed(command: list[str], directory: Path) -> Iterator[Any]:
    done = subprocess.run(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    yield language_pb2.InstallDependenciesResponse(stdout=done.stdout)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")


def _package(directory: str) -> str:
    """Return the name of the Python package in a plugin's directory."""
    pyproject = (Path(directory) / "pyproject.toml").read_text()
    return str(re.findall('^name = "(.*)"', pyproject, flags=re.M)[0])


def _run_program() -> None:
    runpy.run_path("__main__.py", run_name="__main__")


def run(answer: str) -> None:
    """Run the program that the request on standard input is for, and write the *answer*."""
    request = language_pb2.RunRequest.FromString(sys.stdin.buffer.read())
    response = LanguageServer(_run_program).Run(request, None)  # type: ignore[no-untyped-call]
    Path(answer).write_bytes(response.SerializeToString())


def serve() -> None:
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
    run(sys.argv[2]) if sys.argv[1] == "--run" else serve()
