"""Wheels of packages that this environment has, so that tests install them without an index."""

from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePath
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_WRITTEN_BY_INSTALLERS = {"INSTALLER", "REQUESTED", "direct_url.json"}


def fill(directory: Path, requirements: list[str]) -> None:
    """
    Write to *directory* a wheel of each package that *requirements* need, directly or not.

    What they need of this package itself is left out. Asking an index for the rest would take ten
    times as long.
    """
    packages = _needed(requirements)
    del packages["pulumi-cf-invoice"]
    for package in packages.values():
        _pack(package, directory)


def _needed(requirements: list[str]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    asked, waiting = set(requirements), list(requirements)
    while waiting:
        wanted = Requirement(waiting.pop())
        package = distribution(wanted.name)
        found[canonicalize_name(wanted.name)] = package
        for text in _requirements(package, {"", *wanted.extras}):
            if text not in asked:
                asked.add(text)
                waiting.append(text)
    return found


def _requirements(package: Distribution, extras: set[str]) -> Iterator[str]:
    for text in package.requires or ():
        marker = Requirement(text).marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            yield text


def _pack(package: Distribution, directory: Path) -> None:
    with ZipFile(directory / _file_name(package), "w") as wheel:
        for file in filter(_is_of_wheel, package.files or ()):
            if file.name == "RECORD":
                listed = file.read_text().splitlines()
                kept = [row for row in listed if _is_of_wheel(PurePath(row.partition(",")[0]))]
                wheel.writestr(str(file), "\n".join([*kept, ""]))
            else:
                wheel.write(str(file.locate()), str(file))


def _is_of_wheel(file: PurePath) -> bool:
    """Return whether a file was in a package's wheel, and not written at its installation."""
    return not ({"..", "__pycache__"} & set(file.parts) or file.name in _WRITTEN_BY_INSTALLERS)


def _file_name(package: Distribution) -> str:
    description = (package.read_text("WHEEL") or "").splitlines()
    tags = [line.split()[1].split("-") for line in description if line.startswith("Tag: ")]
    kinds = (".".join(sorted(set(kind))) for kind in zip(*tags, strict=True))
    name = canonicalize_name(package.name).replace("-", "_")
    return "-".join([name, package.version, *kinds]) + ".whl"
