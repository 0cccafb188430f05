"""
Build everything that a release uploads, from its tag: ``python -m tools.release v1.2.3``.

Nothing is uploaded here: `.github/workflows/release.yml` does that. The folder `dist` then holds

    pypi/        the wheel and the source distribution
    pypi-sdk/    the generated Python SDK of the plugin
    npm/         the generated Node SDK
    go/          the generated Go SDK, a module for the folder `sdk/go` of the repository
    plugin/      an archive of the plugin for each platform, which Pulumi downloads
    schema.json  the schema that the SDKs were generated from
    notes.md     the changelog of this version

What cannot be released is refused in one line before anything is built: a tag that is not that of
the commit, files that are not those of the commit, a schema of other models, a version without a
section in the changelog, and a project that does not say who publishes it and where, or that is
published elsewhere.
"""

import argparse
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import PackageMetadata
from pathlib import Path

from build import BuildBackendException, BuildException
from build.util import project_wheel_metadata

from pulumi_cf_invoice.plugin import schema
from pulumi_cf_invoice.plugin.version import PLACEHOLDER
from tools.engine.__main__ import VERSION as ENGINE
from tools.languages.__main__ import sdk_generator
from tools.toolchain import Missing, same_versions, say

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "pulumi_cf_invoice" / "schema.json"
BUILD: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation"]
SYSTEMS, PROCESSORS = ("darwin", "linux", "windows"), ("amd64", "arm64")


class Refused(Exception):
    """A release that cannot be made; the message says why and what to do about it."""


def main() -> int:
    """Build the release, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.release",
        description="Build everything that a release uploads.",
        epilog="python -m tools.release v1.2.3",
    )
    parser.add_argument("tag", help="the tag of the release, v1.2.3 for version 1.2.3")
    parser.add_argument("--output", type=Path, default=Path("dist"), help="where to write (dist)")
    arguments = parser.parse_args()
    try:
        release(arguments.tag, arguments.output.resolve())
    except (Refused, Missing, BuildException, BuildBackendException) as error:
        say(f"no release: {error}")
        return 1
    return 0


def release(tag: str, output: Path) -> None:
    """Check that *tag* can be released, and write what the release uploads to *output*."""
    project = project_wheel_metadata(ROOT, isolated=False)
    version = project["Version"]
    _check_names(project)
    if tag != f"v{version}":
        raise Refused(f"the tag is {tag}, and the version of these files {version}")
    if json.loads(SCHEMA.read_text()) != schema.package(project, PLACEHOLDER):
        raise Refused(f"{SCHEMA.name} is not the schema of these models: run `make schema`")
    notes = _notes(version)
    for program in ("git", "go", "npm"):
        if not shutil.which(program):
            raise Refused(f"{program} is missing: install it, and run this again")
    if output.exists():
        raise Refused(f"{output} is there already: remove it, or name another --output")

    environment = {**os.environ, "SOURCE_DATE_EPOCH": _commit_time()}
    _run([*BUILD, "--outdir", output / "pypi", ROOT], environment)
    _write_plugin(output, version)
    released = output / SCHEMA.name
    released.write_text(SCHEMA.read_text().replace(PLACEHOLDER, version))
    with tempfile.TemporaryDirectory() as directory:
        sdks = Path(directory)
        _run([sdk_generator(), released, sdks])
        for language in ("go", "nodejs", "python"):
            shutil.copy(ROOT / "LICENSE", sdks / language)
        _write_python_sdk(sdks / "python", output, environment)
        _write_node_sdk(sdks / "nodejs", output)
        _write_go_sdk(sdks / "go", output)
    _check_versions(output, version)
    (output / "notes.md").write_text(notes)


def _check_names(project: PackageMetadata) -> None:
    names = schema.published(project)
    if not names:
        raise Refused(
            "pyproject.toml does not say where the project is published: set urls.Repository to "
            "https://github.com/OWNER/NAME"
        )
    if "publisher" not in names:
        raise Refused("pyproject.toml does not say who publishes the project: set authors")
    # Where a runner says so. A fork has the names of the project that it was made from.
    running = os.environ.get("GITHUB_REPOSITORY")
    if running and names["repository"] != f"https://github.com/{running}":
        raise Refused(
            f"this is the repository {running}, and the project is published at "
            f"{names['repository']}"
        )


def _notes(version: str) -> str:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    found = re.search(rf"^## {re.escape(version)}\b.*\n+((?:(?!## ).*\n)*)", changelog, flags=re.M)
    if not found:
        raise Refused(f"CHANGELOG.md has no section `## {version}`")
    return found[1]


def _commit_time() -> str:
    """Return when the commit was made, the time of all files, so that builds can be reproduced."""
    return _run(["git", "-C", ROOT, "log", "-1", "--format=%ct"]).strip()


def _write_plugin(output: Path, version: str) -> None:
    """
    Write the plugin's archives, which are the source distribution without its top folder.

    Pulumi's Python host makes the plugin's environment from it, on every platform.
    """
    [sdist] = (output / "pypi").glob("*.tar.gz")
    content = io.BytesIO()
    with (
        tarfile.open(sdist) as source,
        # The header has a file name and a time otherwise.
        gzip.GzipFile("", "wb", fileobj=content, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as archive,
    ):
        for member in source:
            member.name = member.name.partition("/")[2]
            archive.addfile(member, source.extractfile(member))
    (output / "plugin").mkdir()
    for system in SYSTEMS:
        for processor in PROCESSORS:
            name = f"pulumi-resource-cf-invoice-v{version}-{system}-{processor}.tar.gz"
            (output / "plugin" / name).write_bytes(content.getvalue())


def _write_python_sdk(sdk: Path, output: Path, environment: dict[str, str]) -> None:
    shutil.copy(sdk.with_name("nodejs") / "README.md", sdk)
    _run([*BUILD, "--wheel", "--outdir", output / "pypi-sdk", sdk], environment)


def _write_node_sdk(sdk: Path, output: Path) -> None:
    (output / "npm").mkdir()
    _run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], directory=sdk)
    _run(["npm", "run", "build"], directory=sdk)
    for name in ("LICENSE", "README.md", "package.json"):
        shutil.copy(sdk / name, sdk / "bin")
    _run(["npm", "pack", "--pack-destination", output / "npm", "./bin"], directory=sdk)


def _write_go_sdk(sdk: Path, output: Path) -> None:
    # The generated requirement is too old for the generated code.
    pulumi = f"github.com/pulumi/pulumi/sdk/v3@v{ENGINE}"
    _run(["go", "mod", "edit", f"-require={pulumi}"], directory=sdk)
    _run(["go", "list", "-mod=mod", "-deps", "./..."], directory=sdk)
    compiled = same_versions(sdk, ROOT / "tools" / "engine", sdk.with_name("engine.mod"))
    _run(["go", "build", *compiled, "./..."], directory=sdk)
    shutil.copytree(sdk, output / "go")


def _check_versions(output: Path, version: str) -> None:
    published = {
        file.name: f"-{version}" in file.name or f"-v{version}-" in file.name
        for folder in ("npm", "plugin", "pypi", "pypi-sdk")
        for file in (output / folder).glob("*.*z")
    }
    plugin = output / "go" / "cfinvoice" / "pulumi-plugin.json"
    published["the Go SDK"] = json.loads(plugin.read_text())["version"] == version
    for name, is_right in published.items():
        if not is_right:
            raise Refused(f"{name} is not of version {version}")


def _run(
    command: list[str | Path], environment: dict[str, str] | None = None, directory: Path = ROOT
) -> str:
    """Run *command*, which has to succeed, and return its standard output."""
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        output = (done.stderr or done.stdout).strip()
        raise Refused(f"{' '.join(map(str, command))} failed:\n{output[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
