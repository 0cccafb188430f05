"""Waits that end: with the condition, with the process that should meet it, or with a timeout."""

import subprocess
import time
from collections.abc import Callable

import pytest

LONGEST = 60.0
"""Seconds after which even a busy machine has answered."""


def wait_until(
    is_met: Callable[[], object],
    what: str,
    process: "subprocess.Popen[str] | None" = None,
    seconds: float = LONGEST,
) -> None:
    """Wait until *is_met*; fail, naming *what* did not happen, if *process* ends first."""
    end = time.monotonic() + seconds
    while not is_met():
        if process is not None and process.poll() is not None:
            pytest.fail(f"the process ended with {process.returncode} before {what}")
        if time.monotonic() > end:
            pytest.fail(f"{seconds:.0f} seconds passed before {what}")
        time.sleep(0.01)
