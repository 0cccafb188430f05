"""The progress of a long run: live on a terminal, and elsewhere a line every ten seconds."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

EVERY = 10.0
"""The seconds between two lines if standard error is not a terminal."""


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """
    Show the progress of *total* accounts on standard error; call what it yields for each account
    read.
    """
    done = 0

    def text() -> str:
        return f"{done:,} of {total:,} accounts read"

    if sys.stderr.isatty():
        with line_on_terminal(text()) as update:

            def show() -> None:
                nonlocal done
                done += 1
                update(text())

            yield show
        return
    over = threading.Event()

    def tell() -> None:
        while not over.wait(EVERY):
            with suppress(OSError):
                print(f"cf-invoice: {text()}", file=sys.stderr, flush=True)

    def count() -> None:
        nonlocal done
        done += 1

    # Where no thread is left, the reads say so.
    with suppress(RuntimeError):
        threading.Thread(target=tell, name="cf-invoice-progress", daemon=True).start()
    try:
        yield count
    finally:
        over.set()


@contextmanager
def line_on_terminal(text: str) -> Iterator[Callable[[str], None]]:
    """Show *text* on a terminal, and each other one that what it yields is called with."""
    from rich.console import Console

    status = Console(stderr=True).status(text)
    try:
        with suppress(RuntimeError):
            status.start()
        yield status.update
    finally:
        status.stop()
