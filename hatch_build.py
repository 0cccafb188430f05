"""
The README that a package index shows, where there are no files beside it.

Its picture and links lead to the repository that pyproject.toml names, at the tag of this version.
While it names none, they are left out, and so is the list of pages at the end.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE = r"\]\((?!https?:|#)"


class IndexReadme(MetadataHookInterface):
    """A hook of the build, which makes the long description of the package from its README."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the README to the package's metadata."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        url = metadata.get("urls", {}).get("Repository", "")
        repository = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)", url)
        if repository:
            text = _with_addresses(text, repository[1], f"v{metadata['version']}")
        else:
            text = _without_links(text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def _with_addresses(text: str, repository: str, tag: str) -> str:
    files = f"https://raw.githubusercontent.com/{repository}/{tag}/"
    pages = f"https://github.com/{repository}/blob/{tag}/"
    text = re.sub(rf"(!\[[^\]]*){_RELATIVE}", rf"\1]({files}", text)
    return re.sub(_RELATIVE, f"]({pages}", text)


def _without_links(text: str) -> str:
    text = text.partition("## Read on\n")[0]
    text = re.sub(r":\n\n!\[[^\]]*\]\([^)]*\)\n", ".\n", text)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
