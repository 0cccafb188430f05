"""
Put the package's wheel into a repository, and name it wherever the package is required there.

Run it in the repository, or in a project's folder, with any Python 3.11 or newer:

    python3 /path/to/pulumi-cf-invoice/tools/vendor.py

It builds the wheel from its own clone into `third_party`, removes an earlier one, and writes its
path into each `requirements.txt` and `pyproject.toml` below the folder that names a wheel of the
package. The same command upgrades, and one wheel serves all programs and packs in a repository.
"""

import argparse
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(f"vendor.py: this is Python {sys.version.split()[0]}, and 3.11 or newer is needed")

CLONE = Path(__file__).resolve().parents[1]
FOLDER = "third_party"
WHEELS = "pulumi_cf_invoice-*.whl"
_NAMED = re.compile(rf"([:}})])?((?:[\w./-]*/)?{FOLDER}/)pulumi_cf_invoice-[^/\s\"'\[;]+\.whl")
# What is not UTF-8 stays as it is, too.
_ENCODING = "utf-8", "surrogateescape"
_NOT_OURS = {"node_modules", "sdks", "site-packages", "venv", FOLDER}


class VendoringError(Exception):
    """The wheel cannot be put into a repository; the message says why and what to do about it."""


def main(arguments: list[str] | None = None) -> int:
    """Build the wheel, name it, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="vendor.py",
        description="Put the wheel of pulumi-cf-invoice into a repository, or upgrade it there.",
        epilog="example: python3 /path/to/pulumi-cf-invoice/tools/vendor.py .",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(),
        help="the repository, or a project in it (.)",
    )
    folder = parser.parse_args(arguments).folder
    try:
        wheel, named = vendor(folder)
    except VendoringError as error:
        print(f"vendor.py: {error}", file=sys.stderr)
        return 1
    print(f"built {wheel}")
    for file in named:
        print(f"named in {file}")
    if named:
        print("Next: `pulumi install` where it is named, then commit all of these files.")
    else:
        print(f"Nothing names it yet: add the line ./{FOLDER}/{wheel.name} to a requirements.txt")
    return 0


def vendor(folder: Path) -> tuple[Path, list[Path]]:
    """
    Build the wheel into the `third_party` of *folder*, name it, and remove others of the package.

    Returns it, and the files that name it. At any time, the wheel that a file names is there.
    """
    if not folder.is_dir():
        raise VendoringError(f"there is no folder {folder}")
    naming = {file: text for file in _manifests(folder) if _NAMED.search(text := _read(file))}
    target = folder / FOLDER
    with _telling("cannot build the wheel"), tempfile.TemporaryDirectory() as directory:
        built = _build(Path(directory))
        wheel, content = target / built.name, built.read_bytes()
    with _telling(f"cannot write {wheel}"):
        target.mkdir(exist_ok=True)
        _replace(wheel, content)
    for file, before in naming.items():
        after = _NAMED.sub(partial(_renamed, _path_from(file, wheel), wheel.name), before)
        if after != before:
            with _telling(f"cannot write {file}"):
                _replace(file, after.encode(*_ENCODING))
    for earlier in target.glob(WHEELS):
        if earlier != wheel:
            with _telling(f"cannot remove {earlier}"):
                earlier.unlink()
    return wheel, [*naming]


def _build(directory: Path) -> Path:
    python = sys.executable
    if importlib.util.find_spec("pip") is None:
        try:
            venv.create(directory / "venv", with_pip=True)
        except subprocess.CalledProcessError:
            raise VendoringError(
                f"{sys.executable} can make no virtual environment: on Debian or Ubuntu, "
                "apt-get install python3-venv"
            ) from None
        python = str(directory / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python")
    pip = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory)]
    if subprocess.run([*pip, str(CLONE)], check=False).returncode:
        raise VendoringError("pip says above why it cannot be built")
    [built] = directory.glob(WHEELS)
    return built


def _manifests(folder: Path) -> Iterator[Path]:
    """Yield the files of *folder* that may require the package, each folder's own wheel apart."""
    for path, folders, files in os.walk(folder):
        here = Path(path)
        if here != folder and any((here / FOLDER).glob(WHEELS)):
            print(f"left alone: {here} has a wheel of its own; run this there as well")
            folders.clear()
            continue
        folders[:] = sorted(n for n in folders if n not in _NOT_OURS and not n.startswith("."))
        for name in sorted(files):
            if re.fullmatch(r"requirements.*\.txt|pyproject\.toml", name):
                yield here / name


def _read(file: Path) -> str:
    """Return the text of a file as it is, whatever its line endings are."""
    with _telling(f"cannot read {file}"):
        text = file.read_bytes().decode(*_ENCODING)
    if _NAMED.search(text.replace("\0", "")) and not _NAMED.search(text):
        raise VendoringError(f"{file} is not in UTF-8: save it in UTF-8, and run this again")
    return text


def _renamed(path: str, name: str, found: re.Match[str]) -> str:
    """Return what names the wheel from now on; what follows a scheme or variable stays a path."""
    before, folder = found.groups()
    return f"{before}{folder}{name}" if before else path


def _path_from(file: Path, wheel: Path) -> str:
    """Return the path of *wheel* from the folder of *file*."""
    relative = Path(os.path.relpath(wheel, file.parent)).as_posix()
    return relative if relative.startswith("../") else f"./{relative}"


def _replace(file: Path, content: bytes) -> None:
    """Write a file next to *file*, then put it in its place. A link stays a link."""
    target = file.resolve()
    beside = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as part:
            part.write(content)
            part.flush()
            os.fsync(part.fileno())
        if target.exists():
            shutil.copymode(target, beside)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Raise `VendoringError` for an `OSError`: *what* failed, and why."""
    try:
        yield
    except OSError as error:
        raise VendoringError(f"{what}: {error.strerror or error}") from None


if __name__ == "__main__":
    sys.exit(main())
