"""Generated files: writes them, or compares them with what is there."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def is_check(arguments: Sequence[str]) -> bool:
    """Return whether the one flag of a generator, ``--check``, is given."""
    if arguments not in ([], ["--check"]):
        raise SystemExit(f"usage: {sys.argv[0]} [--check]")
    return bool(arguments)


def write(files: Mapping[Path, str], command: str, check: bool) -> int:
    """
    Write *files* where they differ, and return the exit code.

    With *check*, write nothing, and name each stale file and the *command* that writes it.
    """
    stale = [path for path, text in files.items() if _read(path) != text]
    for path in stale:
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        if check:
            print(f"{name} is stale: run `{command}`", file=sys.stderr)
        else:
            path.write_text(files[path], encoding="utf-8")
            print(f"wrote {name}")
    return int(check and bool(stale))


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
