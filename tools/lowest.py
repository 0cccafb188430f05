"""
Print the lowest versions that pyproject.toml allows, as a constraints file for pip.

``python -m tools.lowest > constraints.txt`` covers the package's own dependencies and extras;
development dependencies may have any version.
"""

from importlib.metadata import requires

from packaging.requirements import Requirement


def lowest() -> list[str]:
    """Return a pin to the lowest version for each dependency of the package and its extras."""
    pins = set()
    for requirement in map(Requirement, requires("pulumi-cf-invoice") or []):
        marker = str(requirement.marker or "")
        tooling = any(f'"{extra}"' in marker for extra in ("benchmark", "dev", "docs", "test"))
        if requirement.name == "pulumi-cf-invoice" or tooling:
            continue
        floors = [spec.version for spec in requirement.specifier if spec.operator == ">="]
        if not floors:
            raise SystemExit(f"error: {requirement} names no lowest version")
        pins.add(f"{requirement.name}=={floors[0]}")
    return sorted(pins)


if __name__ == "__main__":
    print(*lowest(), sep="\n")
