"""The version according to git: of a tag, of a commit between tags, and of a copy without git."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.engine.harness import AUTHOR, commit_files, run


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with one commit and no tag."""
    return commit_files(tmp_path / "clone")


def version(directory: Path) -> str:
    """Return the version that a build from *directory* has."""
    *_, last = run([sys.executable, "-m", "hatchling", "metadata", "version"], directory).split()
    return last


def commit(directory: Path) -> str:
    """Make an empty commit, and return its name in a version."""
    run([*AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "Move"], directory)
    return "g" + run(["git", "rev-parse", "--short=7", "HEAD"], directory).strip()


def test_each_commit_is_a_version_of_its_own_and_only_tags_of_releases_count(clone: Path) -> None:
    assert re.fullmatch(r"0\.1\.0\.dev1\+g[0-9a-f]{7}", version(clone))
    second = commit(clone)
    for tag in ("v1", "v9", "2.0.0", "v2.0", "v2.0.0-rc.1", "v2.0.0.1", "sdk/go/v2.0.0"):
        run(["git", "tag", tag], clone)
    assert version(clone) == f"0.1.0.dev2+{second}"
    run(["git", "tag", "v0.1.0"], clone)
    assert version(clone) == "0.1.0"
    assert version(clone) == "0.1.0"
    third = commit(clone)
    assert version(clone) == f"0.2.0.dev1+{third}"
    readme = clone / "README.md"
    readme.write_text(readme.read_text() + "\nChanged.\n")
    assert re.fullmatch(rf"0\.2\.0\.dev1\+{third}\.d\d{{8}}", version(clone))


def test_a_shallow_clone_has_the_version_of_its_commit(clone: Path, tmp_path: Path) -> None:
    last = commit(clone)
    shallow = tmp_path / "shallow"
    run(["git", "clone", "--quiet", "--depth", "1", clone.as_uri(), str(shallow)], tmp_path)
    assert version(shallow) == f"0.1.0.dev1+{last}"


def test_a_copy_without_git_says_so_in_another_repository_too(clone: Path, tmp_path: Path) -> None:
    run(["git", "tag", "v0.1.0"], clone)
    copy = tmp_path / "repository" / "copy"
    shutil.copytree(clone, copy, ignore=shutil.ignore_patterns(".git"))
    assert version(copy) == "0.0.0+copy"
    run(["git", "init", "--quiet"], copy.parent)
    run(["git", "add", "."], copy.parent)
    commit(copy.parent)
    run(["git", "tag", "v3.0.0"], copy.parent)
    assert version(copy) == "0.0.0+copy"
