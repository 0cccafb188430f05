import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import tenacity
from hypothesis import settings

from pulumi_cf_invoice.billing import pool, retries
from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import ACCOUNT, NOW, TOKEN
from tests.properties import EVERY_RUN, NIGHTLY
from tools.environment import set_aside

set_aside(os.environ)
pytest_plugins = ["pytester", "tests.golden"]
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A background run of a shell ignores interrupts, and would pass that on to the processes that
    # tests interrupt. A signal that is handled here is not ignored there.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Pulumi's inline server leaves sockets and loops of a failed program to the garbage collector. What
# they say is of no use, and to format it within a collection breaks what the collection interrupts:
# Python 3.11 does not parse source while it parses source.
sys.unraisablehook = lambda unraisable: None

# On a busy machine a first example takes longer than any deadline.
settings.register_profile("every-run", deadline=None, max_examples=EVERY_RUN)
settings.register_profile("nightly", deadline=None, max_examples=NIGHTLY)
settings.register_profile("fuzz", deadline=None, max_examples=20_000)
settings.load_profile("every-run")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers for ``-n auto``: more than processors, as tests also wait."""
    return max(4, os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: begun last, it would be waited for alone."""
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)


def pytest_runtest_setup() -> None:
    """Forget what a test's server said of its rate limit: the next one can get the same port."""
    pool._pools.clear()


def pytest_collection() -> None:
    """Keep the garbage collector from what is imported and collected, all of which stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage from now on, and none among modules and thousands of collected tests."""
    gc.collect()
    gc.freeze()
    gc.enable()


def september() -> Sandbox:
    """Return a sandbox whose billing period is September 2026."""
    return Sandbox(now=NOW)


def pointed_at(sandbox: Sandbox) -> dict[str, str]:
    """Return the environment variables that point a program at *sandbox*."""
    return {
        "CLOUDFLARE_BASE_URL": sandbox.base_url,
        "CLOUDFLARE_API_TOKEN": TOKEN,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
    }


@pytest.fixture(scope="session", autouse=True)
def _brief_pauses() -> Iterator[None]:
    # What is retried is retried as often as ever, only sooner.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retries, "backoff", tenacity.wait_fixed(0.01))
        yield


@contextmanager
def serving(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Run *sandbox*, without waiting at the end for the tenth of a second that it takes to stop."""
    ending = ExitStack()
    try:
        yield ending.enter_context(sandbox)
    finally:
        threading.Thread(target=ending.close).start()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A running sandbox whose billing period is September 2026."""
    with serving(september()) as running:
        yield running


@pytest.fixture
def settled(sandbox: Sandbox) -> dict[str, str]:
    """The environment variables that point a program at the sandbox."""
    return pointed_at(sandbox)
