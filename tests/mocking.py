"""Pulumi's mocks, set for a test and unset after it."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pulumi
from pulumi.runtime import settings
from pulumi.runtime.config import set_all_config


@contextmanager
def mocked_by(mocks: pulumi.runtime.Mocks) -> Iterator[None]:
    """Set *mocks* for a ``with`` block, in its own event loop."""
    # The collection below needs to traverse only what the block makes.
    gc.freeze()
    # Pulumi takes the current event loop, which newer versions of Python no longer make.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(mocks, preview=False)
    yield
    settings.reset_options()
    set_all_config({}, [])
    asyncio.set_event_loop(None)
    loop.close()
    # Its mocks leave loops to the garbage collector, which would report them in a later test.
    gc.collect()
