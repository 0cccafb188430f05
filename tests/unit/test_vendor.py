"""`tools/vendor.py`, apart from the build of the wheel."""

import errno
import os
from pathlib import Path

import pytest

from tools import vendor

EARLIER = "pulumi_cf_invoice-0.1.0-py3-none-any.whl"
BUILT = "pulumi_cf_invoice-0.2.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def _built(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(directory: Path) -> Path:
        (directory / BUILT).write_bytes(b"new")
        return directory / BUILT

    monkeypatch.setattr(vendor, "_build", build)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with an earlier wheel, which a program and a pack name."""
    (tmp_path / "third_party").mkdir()
    (tmp_path / "third_party" / EARLIER).write_bytes(b"old")
    (tmp_path / "pack").mkdir()
    for folder, path in ((tmp_path, "."), (tmp_path / "pack", "..")):
        named = f"pulumi>=3\n{path}/third_party/{EARLIER}\n"
        (folder / "requirements.txt").write_text(named)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in each file below *folder*, hidden ones too."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_the_wheel_is_exchanged_and_named_everywhere(repository: Path) -> None:
    (repository / "pack" / "requirements.txt").chmod(0o640)
    assert vendor.main([str(repository)]) == 0
    assert contents(repository) == {
        f"third_party/{BUILT}": b"new",
        "requirements.txt": f"pulumi>=3\n./third_party/{BUILT}\n".encode(),
        "pack/requirements.txt": f"pulumi>=3\n../third_party/{BUILT}\n".encode(),
    }
    assert (repository / "pack" / "requirements.txt").stat().st_mode & 0o777 == 0o640
    before = contents(repository)
    assert vendor.main([str(repository)]) == 0
    assert contents(repository) == before


@pytest.mark.parametrize("files_before", [0, 1, 2])
def test_what_is_named_is_there_and_whole_even_if_the_disk_gets_full(
    files_before: int,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written: list[int] = []

    def sync(descriptor: int) -> None:
        if len(written) == files_before:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    assert vendor.main([str(repository)]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("vendor.py: cannot write ")
    assert shown.err.endswith(": No space left on device\n")
    assert shown.err.count("\n") == 1
    found = contents(repository)
    wheels = {EARLIER: b"old", **({BUILT: b"new"} if files_before else {})}
    names = {f"third_party/{name}": content for name, content in wheels.items()}
    assert {name: content for name, content in found.items() if ".txt" not in name} == names
    for name in ("requirements.txt", "pack/requirements.txt"):
        [wheel] = [wheel for wheel in (EARLIER, BUILT) if wheel.encode() in found[name]]
        assert wheel in wheels


@pytest.mark.parametrize(
    "line",
    [
        b"./third_party/%s\r\n",
        b"# \xe9\n./third_party/%s\n",
        b"\xef\xbb\xbf./third_party/%s",
        b"x @ file:///${PROJECT_ROOT}/third_party/%s\n",
        b"x @ {root:uri}/third_party/%s\n",
        b"https://example.org/deep/third_party/%s\n",
    ],
)
def test_everything_else_in_a_file_stays_as_it_is(line: bytes, repository: Path) -> None:
    """Whatever its line endings and its encoding are."""
    (repository / "requirements.txt").write_bytes(line % EARLIER.encode())
    assert vendor.main([str(repository)]) == 0
    assert (repository / "requirements.txt").read_bytes() == line % BUILT.encode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_file_in_utf_16_is_refused_before_anything_is_changed(
    encoding: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = repository / "requirements.txt"
    file.write_bytes(f"./third_party/{EARLIER}\n".encode(encoding))
    before = contents(repository)
    assert vendor.main([str(repository)]) == 1
    assert capsys.readouterr().err == (
        f"vendor.py: {file} is not in UTF-8: save it in UTF-8, and run this again\n"
    )
    assert contents(repository) == before
    file.write_bytes("pulumi>=3\n".encode(encoding))
    assert vendor.main([str(repository)]) == 0


def test_a_file_that_cannot_be_read_is_one_line_before_anything_is_changed(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "requirements-dev.txt").symlink_to("nowhere")
    before = contents(repository)
    assert vendor.main([str(repository)]) == 1
    assert capsys.readouterr().err == (
        f"vendor.py: cannot read {repository / 'requirements-dev.txt'}: No such file or directory\n"
    )
    assert contents(repository) == before
