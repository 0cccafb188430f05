"""
Build the docs into ``.site``: ``python -m tools.site``.

A page or an anchor that does not exist, a name that is not in the package, and anything that a page
would load from another host is an error.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
SITE = ROOT / ".site"
_LOADING = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
}
"""The attributes of each element whose address a browser loads without being asked to."""
_IN_CSS = re.compile(r"""(?:url\(|@import)\s*["']?([^"')]+)""")


class _Loads(HTMLParser):
    """Collects the addresses that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("rel") != "canonical":
            values = (given.get(name) for name in _LOADING.get(tag, ()))
            self.found += [value for value in values if value]
        self.found += _IN_CSS.findall(given.get("style") or "")


def main() -> int:
    """Build and check the site, and return the exit code."""
    built = subprocess.run(
        [Path(sys.executable).with_name("zensical"), "build", "--clean", "--strict"], cwd=ROOT
    )
    if built.returncode:
        return built.returncode
    foreign = [
        f"{path.relative_to(SITE)} loads {url}"
        for path in sorted(SITE.rglob("*"))
        for url in _loads(path)
        if urlsplit(url).netloc
    ]
    print("\n".join(foreign), end="\n" if foreign else "", file=sys.stderr)
    return 1 if foreign else 0


def _loads(path: Path) -> Iterator[str]:
    if path.suffix == ".html":
        page = _Loads()
        page.feed(path.read_text(encoding="utf-8"))
        yield from page.found
    elif path.suffix == ".css":
        yield from _IN_CSS.findall(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
