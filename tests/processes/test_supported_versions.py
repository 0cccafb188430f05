"""docs/supported-versions.md says what the package requires and what CI tests."""

import os
import re
import subprocess
import sys
from importlib.metadata import metadata, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tools.engine.__main__ import VERSION as ENGINE
from tools.languages.__main__ import OLDEST_NODE

ROOT = Path(__file__).parents[2]
ROWS = dict(
    re.findall(
        r"^\| `?([\w-]+).*? \| (.*?) \| .* \|$",
        (ROOT / "docs" / "supported-versions.md").read_text(),
        flags=re.M,
    )
)
CI: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
PYTHONS = CI["jobs"]["test"]["strategy"]["matrix"]["python"]


def version_of(job: str, action: str, setting: str) -> str:
    [found] = [
        step["with"][setting]
        for step in CI["jobs"][job]["steps"]
        if step.get("uses", "").startswith(action)
    ]
    return str(found)


def test_each_supported_python_is_tested_and_is_a_classifier() -> None:
    published = metadata("pulumi-cf-invoice")
    named = re.findall(r"Python :: (3\.\d+)", str(published.get_all("Classifier")))
    assert ROWS["Python"] == f"{PYTHONS[0]} to {PYTHONS[-1]}"
    assert named == PYTHONS == [f"3.{minor}" for minor in range(11, 11 + len(PYTHONS))]
    assert published["Requires-Python"] == f">={PYTHONS[0]}"
    assert version_of("oldest", "actions/setup-python", "python-version") == PYTHONS[0]


@pytest.mark.parametrize("name", ["pulumi", "pulumi-policy", "pulumi-cloudflare"])
def test_each_part_of_pulumi_has_the_bounds_of_the_requirement(name: str) -> None:
    requirements = map(Requirement, requires("pulumi-cf-invoice") or [])
    [asked] = {requirement.specifier for requirement in requirements if requirement.name == name}
    bounds = {spec.operator: spec.version for spec in asked}
    assert ROWS[name] == f"{bounds['>=']} or newer, below {bounds['<']}"


def test_the_engine_is_the_one_that_the_tests_build() -> None:
    assert ROWS["Pulumi"] == f"{ENGINE.rpartition('.')[0]} or newer"
    assert any(step.get("uses", "").startswith("pulumi/") for step in CI["jobs"]["test"]["steps"])
    *_, newest = CI["jobs"]["newest-engine"]["steps"]
    assert newest["run"].startswith("make test-newest-engine ")


@pytest.mark.parametrize(
    ("version", "is_taken"), [("3.254.1", False), (ENGINE, True), ("3.1000.0", True)]
)
def test_a_pulumi_on_path_is_taken_if_it_is_of_a_supported_version(
    tmp_path: Path, version: str, is_taken: bool
) -> None:
    found, cached = tmp_path / "bin", tmp_path / "pulumi-cf-invoice" / f"engine-{ENGINE}"
    for program in (found / "pulumi", found / "pulumi-language-python", cached / "pulumi"):
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\necho v{version}\n")
        program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "tools.engine"],
        cwd=ROOT,
        env={"PATH": f"{found}:{os.defpath}", "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{found if is_taken else cached}\n"


def test_node_and_go_are_the_oldest_that_programs_are_tested_with() -> None:
    assert ROWS["Node"] == f"{OLDEST_NODE} or newer"
    assert version_of("test", "actions/setup-node", "node-version") == str(OLDEST_NODE)
    module = (ROOT / "tools" / "engine" / "go.mod").read_text()
    [go] = re.findall(r"^go (\d+\.\d+)", module, flags=re.M)
    assert ROWS["Go"] == f"{go} or newer"
    assert version_of("test", "actions/setup-go", "go-version-file") == "tools/engine/go.mod"
