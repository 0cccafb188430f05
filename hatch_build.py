"""
Writes, during a build, the README for a package index, and the version in the plugin's schema.

An index has no files besides the README. Its picture and links lead to the repository named in
pyproject.toml, at the tag of this version. If it names none, they are left out, and so is the list
of pages at the end.
"""

import re
import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
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
            text = _with_addresses(text, repository[1], _reference(metadata["version"]))
        else:
            text = _without_links(text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


class SchemaWithVersion(BuildHookInterface[Any]):
    """A hook of the build, which puts the version into the schema that a wheel has."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the schema to the wheel's files. An editable install has the committed one."""
        if version == "editable":
            return
        package = Path(self.root, "pulumi_cf_invoice")
        versions = runpy.run_path(str(package / "plugin" / "version.py"))
        schema = (package / "schema.json").read_text(encoding="utf-8")
        semver = versions["semver"](self.metadata.version)
        self._written = tempfile.TemporaryDirectory()
        file = Path(self._written.name, "schema.json")
        file.write_text(schema.replace(versions["PLACEHOLDER"], semver), encoding="utf-8")
        build_data["force_include"][str(file)] = "pulumi_cf_invoice/schema.json"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the file that was added."""
        if version != "editable":
            self._written.cleanup()


def _reference(version: str) -> str:
    """Return the tag of a released *version*; any other one has none."""
    return f"v{version}" if re.fullmatch(r"\d+\.\d+\.\d+", version) else "HEAD"


def _with_addresses(text: str, repository: str, reference: str) -> str:
    files = f"https://raw.githubusercontent.com/{repository}/{reference}/"
    pages = f"https://github.com/{repository}/blob/{reference}/"
    text = re.sub(rf"(!\[[^\]]*){_RELATIVE}", rf"\1]({files}", text)
    return re.sub(_RELATIVE, f"]({pages}", text)


def _without_links(text: str) -> str:
    text = text.partition("## Read on\n")[0]
    picture = r"\n!\[[^\]]*\]\([^)]*\)\n"
    text = re.sub(rf":\n{picture}", ".\n", text)
    text = re.sub(picture, "", text)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
