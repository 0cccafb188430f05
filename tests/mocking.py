"""Pulumi's mocks, set for a test and unset after it."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pulumi
from pulumi.runtime import mocks, settings
from pulumi.runtime.config import set_all_config


class Echoing(pulumi.runtime.Mocks):
    """Mocks of the usual kind: what goes in comes out."""

    def __init__(self, **outputs: Any) -> None:
        self.outputs = outputs
        self.seen: list[mocks.MockResourceArgs] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.seen.append(args)
        return f"{args.name}-id", {**args.inputs, **self.outputs}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], None]:
        raise AssertionError(f"{args.token} was called")


@contextmanager
def mocked_by(mocking: pulumi.runtime.Mocks) -> Iterator[None]:
    """Set *mocking* for a ``with`` block, in its own event loop."""
    # The collection below needs to traverse only what the block makes.
    gc.freeze()
    # Pulumi takes the current event loop, which newer versions of Python no longer make.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(mocking, preview=False)
    yield
    settings.reset_options()
    set_all_config({}, [])
    asyncio.set_event_loop(None)
    loop.close()
    # Its mocks leave loops to the garbage collector, which would report them in a later test.
    gc.collect()
