"""What the benchmarks found: ``RESULTS.md``, of sections that can be written one at a time."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
_HEAD = (
    "# Results\n\n`make bench` writes all of it, and `python -m benchmarks SECTION` one section."
)


def write(sections: Mapping[str, str], names: Mapping[str, str], file: Path = RESULTS) -> None:
    """Write *sections* by name, and leave those of *names* (to titles) that are not among them."""
    old = _sections(file.read_text()) if file.exists() else {}
    kept = {name: old[title] for name, title in names.items() if title in old}
    texts = [(kept | dict(sections))[name] for name in names if name in sections or name in kept]
    file.write_text("\n\n".join([_HEAD, *texts]) + "\n")


def missed(is_missed: bool) -> str:
    """Return the word for a target that *is_missed*."""
    return " **missed**" if is_missed else ""


def say(what: str) -> None:
    """Print what is being measured to standard error."""
    print(f"… {what}", file=sys.stderr, flush=True)


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): part.strip() for part in parts}
