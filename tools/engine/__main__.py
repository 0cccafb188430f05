"""
Find a Pulumi engine on this machine, or install one.

Print nothing to standard output but the directory to put first on PATH. Try, in this order, a
`pulumi` on PATH that can run Python, the cache, Pulumi's own installer, and a build of the engine
with Go from its published modules. With ``--build``, only the build counts.
"""

import argparse
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tools.toolchain import CACHE, Missing, go_build, go_command, output, say, ticking

VERSION = "3.255.0"
"""The version that is built, and the oldest that is taken from PATH."""

HERE = Path(__file__).resolve().parent
PROGRAM = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK = "github.com/pulumi/pulumi/sdk/v3"

# An engine built from source has no Python language host. Inline programs do not need one, and
# these two launchers replace what it does for dynamic providers and policy packs.
LAUNCHERS = {
    "pulumi-resource-pulumi-python": 'exec "${PULUMI_CF_INVOICE_PYTHON:-python3}" '
    '-u -m pulumi.dynamic "$@"',
    "pulumi-analyzer-policy-python": 'exec "${PULUMI_CF_INVOICE_PYTHON:-python3}" '
    '-u -m pulumi.policy "$1" "$2"',
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.engine",
        description=__doc__,
        epilog='PATH="$(python3 -m tools.engine):$PATH"',
    )
    parser.add_argument(
        "--python", default=sys.executable, help="an interpreter that has the pulumi package"
    )
    parser.add_argument(
        "--build", metavar="VERSION", help="build this version, or `latest`, whatever PATH has"
    )
    arguments = parser.parse_args()
    try:
        print(build_other(arguments.build) if arguments.build else find(arguments.python))
    except Missing as error:
        say(f"no Pulumi engine: {error}")
        return 1
    return 0


def find(python: str) -> Path:
    found = on_path()
    if found is not None:
        return found
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "engine.lock").open("w") as lock:
        # Clones that start at the same time share one build.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return cached() or install(python) or build()


def on_path() -> Path | None:
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        return None
    # The engine also looks next to its own binary, and /usr/local/bin/pulumi is often a symlink.
    beside = Path(pulumi).resolve().parent / "pulumi-language-python"
    if not beside.exists() and shutil.which("pulumi-language-python") is None:
        return None
    return Path(pulumi).parent if version(output(pulumi, "version")) >= version(VERSION) else None


def version(text: str) -> tuple[int, ...]:
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(map(int, match.groups())) if match else (0, 0, 0)


def cached() -> Path | None:
    official = CACHE / "pulumi" / "bin"
    if (official / "pulumi").exists() and (official / "pulumi-language-python").exists():
        return official
    built = CACHE / f"engine-{VERSION}"
    return with_launchers(built) if (built / "pulumi").exists() else None


def with_launchers(directory: Path) -> Path:
    for name, command in LAUNCHERS.items():
        text, launcher = f"#!/bin/sh\n{command}\n", directory / name
        if not launcher.exists() or launcher.read_text() != text:
            launcher.write_text(text)
            launcher.chmod(0o755)
    return directory


def install(python: str) -> Path | None:
    if not output(python, "-c", "import pulumi.automation as found; print(found.__name__)"):
        say("No pulumi package in this Python to ask Pulumi's installer with.")
        return None
    program = (
        "import sys; from pulumi.automation import PulumiCommand; "
        "PulumiCommand.install(root=sys.argv[1])"
    )
    target = CACHE / "pulumi"
    # Move it into place only once complete: an interrupted install must not pass for an engine.
    with tempfile.TemporaryDirectory(dir=CACHE, ignore_cleanup_errors=True) as directory:
        root = Path(directory) / "pulumi"
        with ticking("Asking Pulumi's installer for an engine", "up to a minute"):
            installed = succeeds([python, "-c", program, str(root)], seconds=60)
        if not installed:
            say("Pulumi's installer could not be reached.")
            return None
        shutil.rmtree(target, ignore_errors=True)
        root.replace(target)
    return cached()


def succeeds(command: list[str], seconds: float) -> bool:
    silent = subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdout=silent, stderr=silent, start_new_session=True)
    except OSError:
        return False
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        # The interpreter runs the installer as a shell script: kill the whole process group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def build() -> Path:
    try:
        return build_module(HERE, VERSION)
    except Missing as error:
        needed = VERSION.rpartition(".")[0]
        raise Missing(f"{error}, or Pulumi {needed} or newer with its Python support") from None


def build_other(wanted: str) -> Path:
    """Build the version *wanted* of the engine, or ``latest``, from the module that is here."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        module = Path(directory)
        for name in ("engine.go", "go.mod", "go.sum"):
            shutil.copy(HERE / name, module)
        go = [str(go_command(module)), "-C", str(module)]
        query = "latest" if wanted == "latest" else f"v{wanted}"
        found = output(*go, "list", "-m", "-f", "{{.Version}}", f"{SDK}@{query}").strip()
        if not found:
            raise Missing(f"Go finds no version {wanted} of {SDK}")
        built = CACHE / f"engine-{found.removeprefix('v')}"
        if not (built / "pulumi").exists():
            # The engine and its SDK are published together, as modules of the same version.
            output(*go, "get", f"{PROGRAM}@{found}", f"{SDK}@{found}")
            return build_module(module, found.removeprefix("v"))
    return with_launchers(built)


def build_module(module: Path, number: str) -> Path:
    target = CACHE / f"engine-{number}"
    go_build(
        module,
        PROGRAM,
        target / "pulumi",
        f"Building Pulumi engine {number} with Go",
        "three to five minutes",
        f"-X {SDK}/go/common/version.Version={number}",
    )
    return with_launchers(target)


if __name__ == "__main__":
    sys.exit(main())
