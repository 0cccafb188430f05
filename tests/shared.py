"""Resources that are slow to make, made once for all workers of a session."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a directory that *make* fills once, and that all workers of a session share."""
    base = factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with directory.with_suffix(".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if not lock.read():
            # The leftovers of a failed attempt do not hinder the next one.
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            make(directory)
            lock.write("made")
    return directory
