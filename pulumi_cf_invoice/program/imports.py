"""Imports in the middle of a run, when Pulumi has loaded much already."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage() -> Iterator[None]:
    """
    Collect no garbage meanwhile, for imports: they make none.

    Each collection would walk all that Pulumi has loaded, which takes a quarter of the import of
    the client and its models.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
