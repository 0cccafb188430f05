"""What the GitHub Action installs: pinned, with hashes, and as pyproject.toml asks for it."""

import ast
import re
import sys

from packaging.requirements import Requirement

from pulumi_cf_invoice.comments import not_installed
from pulumi_cf_invoice.report import markdown
from tools import lock
from tools.generated import ROOT

TEXT = lock.LOCK.read_text()
PINNED = {
    found[1]: (found[2], found[3].count("--hash=sha256:"))
    for found in re.finditer(r"^([a-z0-9-]+)==(\S+)(.*?)(?=^\S|\Z)", TEXT, flags=re.M | re.S)
}


def test_the_lock_fits_pyproject_or_says_which_command_renews_it() -> None:
    assert lock.problem(TEXT) is None, lock.problem(TEXT)
    other = TEXT.replace("httpx>=0.28", "httpx>=0.29", 1)
    assert "run `make lock`" in (lock.problem(other) or "")


def test_the_lock_pins_all_that_is_needed_with_hashes_and_no_pulumi() -> None:
    for requirement in map(Requirement, lock.requirements()):
        version, _ = PINNED[requirement.name]
        assert requirement.specifier.contains(version), requirement
    assert all(hashes for _, hashes in PINNED.values())
    assert not {"pulumi", "grpcio", "protobuf", "pip"} & set(PINNED)


def test_the_lock_names_no_host() -> None:
    assert "://" not in TEXT
    assert "--index-url" not in TEXT


def test_what_runs_where_nothing_is_installed_finds_the_same_comment() -> None:
    assert not_installed.MARKER == markdown.MARKER
    source = (ROOT / "pulumi_cf_invoice" / "comments" / "not_installed.py").read_text()
    ast.parse(source, feature_version=(3, 6))
    imported = re.findall(r"^(?:import|from) ([a-z]+)", source, flags=re.M)
    assert set(imported) <= sys.stdlib_module_names
