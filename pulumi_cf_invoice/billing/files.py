"""Reads files that others may have written or linked: none without an end, and none too large."""

import errno
import stat
from pathlib import Path
from typing import IO

LARGEST_FILE = 256 * 2**20
"""The largest file that is read, in bytes."""


def read_file(path: str | Path) -> bytes:
    """Return the content of a file or pipe. Raises `OSError`, also for a device or a large file."""
    mode = Path(path).stat().st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise OSError(errno.EINVAL, "it is a device")
    with Path(path).open("rb") as file:
        return read_whole(file)


def read_whole(file: IO[bytes]) -> bytes:
    """Return the content of an open *file*. Raises `OSError` if it is too large."""
    content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise OSError(errno.EFBIG, f"it is larger than {LARGEST_FILE // 2**20} MiB")
    return content
