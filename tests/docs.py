"""The README and the pages of the docs, for tests that prove what they say."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Pulumi's registry has its own flavour of Markdown.
_OF_THE_REGISTRY = ("_index.md", "installation-configuration.md")
PAGES = {
    path: path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if path.name not in _OF_THE_REGISTRY
}
"""The texts by path."""
OTHERS = {
    path: path.read_text(encoding="utf-8")
    for pattern in ("[A-Z]*.md", "examples/*/README.md", "examples/*/*/README.md")
    for path in sorted(ROOT.glob(pattern))
    if path not in PAGES
}
"""The texts of the other Markdown files that people read."""
TEXT = "\n".join(PAGES.values())
BLOCKS = [
    (str(language), str(text))
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, flags=re.M | re.S)
]
"""The language and the text of every fenced block."""


def page(name: str) -> str:
    """Return the text of a page of the docs."""
    return PAGES[ROOT / "docs" / f"{name}.md"]


def blocks(start: str) -> list[str]:
    """Return the blocks that begin with *start*, each once."""
    return list(dict.fromkeys(text for _, text in BLOCKS if text.startswith(start)))


def block(start: str) -> str:
    """Return the one block that begins with *start*, which several pages may show."""
    [only] = blocks(start)
    return only
