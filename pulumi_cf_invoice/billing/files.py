"""Reads files that others may have written or linked: none without an end, and none too large."""

import errno
import os
import re
import stat
from pathlib import Path
from typing import IO

LARGEST_FILE = 256 * 2**20
"""The largest file that is read, in bytes."""
_MOST_LINKS = 40


def mode_of(path: str | Path) -> int:
    """
    Return the mode of what is at *path*; 0 if nothing is there, or if that cannot be told.

    `Path.is_file` and the like raise there before Python 3.14. Whoever opens *path* hears why.
    """
    try:
        return Path(path).stat().st_mode
    except OSError:
        return 0


def is_special(path: str | Path) -> bool:
    """Return whether at *path* there is something that is no file: a folder, device or pipe."""
    mode = mode_of(path)
    return mode != 0 and not stat.S_ISREG(mode)


def is_open_file(path: str | Path) -> bool:
    """
    Return whether *path* is, or links to, a file by the number under which a process has it open.

    Such is ``/dev/stdout``, unless that is a pipe or a terminal.
    """
    if is_special(path):
        return False
    try:
        for _ in range(_MOST_LINKS):
            folder = Path(os.path.realpath(Path(path).parent))
            if re.fullmatch("/proc/.*/fd|/dev/fd", str(folder)):
                return True
            path = folder / Path(path).readlink()
    except OSError:
        pass  # It is no link, or cannot be looked at.
    return False


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
