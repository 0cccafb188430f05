import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.shared import shared
from tools.environment import installing

_ON_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_NONE = (
    "no browser for the report's tests: put Chromium or Chrome on PATH, "
    "or run `playwright install chromium`"
)


# Playwright's loop counts as running in this thread until it ends, and breaks the `asyncio.run` of
# any other module's test that the same worker gets.
@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        # On a new machine it is installed first, which two workers cannot do at once.
        shared(tmp_path_factory, "browser", lambda _: executable(playwright))
        found = executable(playwright)
        if found is None:
            pytest.fail(_NONE, pytrace=False)
        # Chromium refuses to run as root, as in most containers, unless its own sandbox is off.
        launched = playwright.chromium.launch(
            executable_path=found, chromium_sandbox=os.geteuid() != 0
        )
        yield launched
        launched.close()


def executable(playwright: Playwright) -> str | None:
    """Return a browser on PATH, else Playwright's own, else the distribution's, else None."""
    own = playwright.chromium.executable_path
    return _on_path() or (own if Path(own).exists() else None) or _installed()


def _on_path() -> str | None:
    return next((path for path in map(shutil.which, _ON_PATH) if path), None)


def _installed() -> str | None:
    # Install it only where a test run may: as root, as in CI, with Debian's package manager.
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    environment = {**installing(), "DEBIAN_FRONTEND": "noninteractive"}
    # A new machine may be installing its own updates.
    apt = ["apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=300"]
    install = [*apt, "install", "--no-install-recommends", "chromium", "fonts-dejavu"]
    for command in ([*apt, "update"], install):
        subprocess.run(command, env=environment, capture_output=True, check=False)
    return _on_path()
