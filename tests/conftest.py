import gc
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

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

# On a busy machine a first example takes longer than any deadline.
settings.register_profile("every-run", deadline=None, max_examples=EVERY_RUN)
settings.register_profile("nightly", deadline=None, max_examples=NIGHTLY)
settings.register_profile("fuzz", deadline=None, max_examples=20_000)
settings.load_profile("every-run")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """
    Return the number of workers for ``-n auto``: more than processors, as tests also wait.

    Each worker collects all tests, so more of them pay only where tests wait for an engine.
    """
    processors = os.cpu_count() or 1
    needs_no_engine = all("unit" in Path(argument).parts for argument in config.args)
    return processors + 1 if needs_no_engine else max(4, processors)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: begun last, it would be waited for alone."""
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from traversing modules and thousands of collected tests again."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A running sandbox whose billing period is September 2026."""
    ending = ExitStack()
    yield ending.enter_context(september())
    # It takes a tenth of a second to end, and no other test waits for that.
    threading.Thread(target=ending.close).start()


@pytest.fixture
def settled(sandbox: Sandbox) -> dict[str, str]:
    """The environment variables that point a program at the sandbox."""
    return pointed_at(sandbox)
