"""
The command's standard streams: a failed write does not change the exit code by itself.

Python flushes both streams once more at exit, and exits with 120 if that fails: a closed pipe or a
full disk would replace the verdict. So this module records write failures, and the command decides
what they mean.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_STDOUT = 1
_STDERR = 2


class Output(Protocol):
    """What became of standard output."""

    @property
    def failure(self) -> OSError | None:
        """Why it could not be written, unless nobody reads it any more."""
        ...


class _Standard(io.FileIO):
    """A standard stream that drops what cannot be written, and remembers why."""

    def __init__(self, descriptor: int, strict: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.failure: OSError | None = None
        self._strict = strict

    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if self._strict:
                # Only once: what is left in the buffer is dropped at exit.
                self._strict = False
                raise
            if not isinstance(error, BrokenPipeError):
                self.failure = self.failure or error
        return memoryview(data).nbytes


class _Other:
    """A terminal, or the stream of a caller that runs the command in its own process."""

    failure = None


@contextmanager
def standard_streams(strict: bool = False) -> Iterator[Output]:
    """
    Write standard output and standard error in UTF-8, as long as somebody reads them.

    With *strict*, a failure to write to standard output raises immediately, for a command whose
    only use is its output. Streams that a caller has replaced are left alone.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, output = _opened(sys.stdout, sys.__stdout__, _STDOUT, strict)
    sys.stderr, _ = _opened(sys.stderr, sys.__stderr__, _STDERR, strict=False)
    try:
        yield output
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def _opened(
    stream: TextIO | None, own: TextIO | None, descriptor: int, strict: bool
) -> tuple[TextIO, Output]:
    if stream is None:
        # It was closed before the command started, and another file may have its number by now.
        return Path(os.devnull).open("w", encoding="utf-8"), _Other()
    if isinstance(stream, io.TextIOWrapper):
        # A report has characters that many a code page lacks.
        stream.reconfigure(encoding="utf-8", errors="replace")
    if stream is not own or stream.isatty():
        return stream, _Other()
    raw = _Standard(descriptor, strict)
    opened = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8",
        errors="replace",
        line_buffering=descriptor == _STDERR,
    )
    return opened, raw
