"""
Write the lock of the GitHub Action: every package that it installs, with the hashes of its files.

``python -m tools.lock`` asks the package index, through uv. The Action needs the package's
dependencies with the extra ``report``, but without Pulumi, which no report needs.
"""

import subprocess
import sys
import tomllib
from collections.abc import Iterable

from packaging.requirements import Requirement

from tools.generated import ROOT

LOCK = ROOT / "action-requirements.txt"
COMMAND = "make lock"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "Linux on x86-64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "Linux on ARM": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    "Alpine on x86-64": ("musllinux_1_2_x86_64", "musllinux_1_1_x86_64"),
    "macOS on Intel": ("macosx_14_0_x86_64", "macosx_11_0_x86_64", "macosx_10_12_x86_64"),
    "macOS on ARM": ("macosx_14_0_arm64", "macosx_11_0_arm64"),
}
"""The runners on which the Action installs, with their tags of wheels: nothing is built there."""
_MADE_FROM = "# Made from: "
_HEAD = f"""\
# What the GitHub Action installs. Written by `{COMMAND}`: do not edit it, but raise versions in a
# pull request that runs this command.
"""


def requirements() -> list[str]:
    """Return what the Action needs, as pyproject.toml says it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["report"]]
    return sorted(line for line in needed if Requirement(line).name != "pulumi")


def problem(text: str) -> str | None:
    """Say why the lock in *text* does not fit pyproject.toml, or None if it does."""
    made_from = next(
        (line[len(_MADE_FROM) :] for line in text.splitlines() if line.startswith(_MADE_FROM)), ""
    )
    if made_from != "; ".join(requirements()):
        return f"{LOCK.name} is stale, since pyproject.toml has other dependencies: run `{COMMAND}`"
    return None


def main() -> None:
    """Write the lock, and try whether every platform can install it."""
    needed = requirements()
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", PYTHONS[0], "--generate-hashes", "--no-header", "-"]
    compiled = subprocess.run(
        command, input="\n".join(needed), capture_output=True, text=True, check=False
    )
    if compiled.returncode:
        raise SystemExit(f"uv could not resolve what the Action needs:\n{compiled.stderr}")
    LOCK.write_text(
        f"{_HEAD}{_MADE_FROM}{'; '.join(needed)}\n\n{compiled.stdout}", encoding="utf-8"
    )
    print(f"wrote {LOCK.name}")
    for python in PYTHONS:
        for platform, tags in PLATFORMS.items():
            _try(python, platform, tags)


def _try(python: str, platform: str, tags: Iterable[str]) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    pip += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", "nowhere"]
    pip += ["--python-version", python, "--implementation", "cp"]
    pip += [f"--platform={tag}" for tag in tags]
    tried = subprocess.run([*pip, "-r", str(LOCK)], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise SystemExit(f"Python {python} on {platform} cannot install it:\n{tried.stderr}")
    print(f"Python {python} on {platform} can install it")


if __name__ == "__main__":
    main()
