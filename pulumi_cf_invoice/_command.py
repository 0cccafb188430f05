"""
Parses a command's arguments and runs it: its exit code is its own, and whatever goes wrong is one
line.

Python flushes both streams once more at exit, and exits with 120 if that fails: a closed pipe or a
full disk would replace the verdict. So this module records write failures, and the command decides
what they mean.
"""

import argparse
import io
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TextIO

if TYPE_CHECKING:
    from datetime import datetime

    from _typeshed import ReadableBuffer as Buffer

FAILED = 2
"""The exit code of a command that could not do what it was asked for."""
INTERRUPTED = 130
_STDOUT = 1
_STDERR = 2
# What argparse quotes here can be the value of an option that it does not know.
_OF_ARGPARSE = {
    "(argument COMMAND: )invalid choice: .* (?=\\(choose from )": r"\1there is no such command ",
    "(ambiguous option: [^=]*)=.* (?=could match )": r"\1 ",
    "ignored explicit argument .*": "it takes no value",
}


class Parser(argparse.ArgumentParser):
    """
    A parser whose errors are one line, and which refuses an option with one value that is repeated,
    a value that is empty, and a credential.

    argparse takes the last value: of two files of rules, the first would never be judged. Nor would
    what a script names in a variable that is not set.
    """

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        # Python 3.14 colours the help, which FORCE_COLOR would do in a file as well.
        self.color = False
        # Both names of what an argument without an action does.
        for name in (None, "store"):
            self.register("action", name, _StoreOnce)
        self.register("type", None, _text)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """
        Return the options. An unknown one is named without its value, which may be a credential.
        """
        self._refuse_credentials(sys.argv[1:] if args is None else args)
        options, extra = self.parse_known_args(args, namespace)
        names = [
            argument.partition("=")[0] if argument.startswith("--") else argument[:2]
            for argument in extra
            if argument.startswith("-")
        ]
        if extra:
            # An address can have passwords in it.
            shown = names or [re.sub("(?s)(?<=://).*", "…", argument) for argument in extra]
            self.error(f"unrecognized arguments: {' '.join(shown)}")
        return options

    def _refuse_credentials(self, given: Sequence[str]) -> None:
        """Refuse arguments with a token, key or address to notify, which errors would quote."""
        from pulumi_cf_invoice.billing.credentials import Secrets, secrets_in

        for variable, secret in secrets_in(os.environ):
            secrets = Secrets([secret])
            if any(secrets.redact(text) != text for text in given):
                self.error(
                    f"an argument contains the value of {variable}: leave credentials in the "
                    "environment, because everybody on a machine can see arguments"
                )

    def error(self, message: str) -> NoReturn:
        """Exit with one line: the usage would be many. Raises `UsageError`."""
        for quoted, instead in _OF_ARGPARSE.items():
            message = re.sub(quoted, instead, message, flags=re.DOTALL)
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise UsageError(message)


class UsageError(SystemExit):
    """The exit of a command whose arguments are wrong, which has been said; *message* says why."""

    def __init__(self, message: str) -> None:
        super().__init__(FAILED)
        self.message = message


class _StoreOnce(argparse.Action):
    """Stores a value; *instead* is the advice in the error if the option is repeated."""

    def __init__(self, *given: Any, instead: str = "give it once", **settings: Any) -> None:
        super().__init__(*given, **settings)
        self._instead = instead

    def __call__(self, parser: Any, options: Any, value: Any, option: Any = None) -> None:
        stored: frozenset[str] = getattr(options, "stored", frozenset())
        if self.dest in stored:
            parser.error(f"{'/'.join(self.option_strings)} is given twice: {self._instead}")
        options.stored = stored | {self.dest}
        setattr(options, self.dest, value)


def _text(written: str) -> str:
    if not written.strip():
        raise argparse.ArgumentTypeError("the value is empty: is a variable not set?")
    return written


def instant(text: str) -> "datetime":
    """Return an ISO 8601 time in UTC, which is also the default time zone."""
    from pulumi_cf_invoice.billing.models import parse_instant

    try:
        return parse_instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(command: Callable[[], int], name: str, strict: bool = False) -> int:
    """
    Run a *command*, and return its exit code. Its errors begin with its *name*.

    It is *strict* if it has no use unless its output is read: then it ends where that fails.
    """
    with standard_streams(strict) as output:
        code = _guarded(command, name)
        if output.failure is None:
            return code
        return fail(name, f"cannot write standard output: {output.failure.strerror}")


def end(code: int) -> NoReturn:
    """
    End the process with the exit *code* of `run`, which has written everything.

    A read may still be under way, on a daemon thread. The interpreter ends those when it finalizes,
    and in Rust, as pydantic has it, that aborts the whole process.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)


def fail(name: str, message: str) -> int:
    """Say in one line why the command called *name* failed, and return its exit code."""
    from pulumi_cf_invoice.billing.cleaning import without_commands
    from pulumi_cf_invoice.billing.credentials import without_secrets

    # What is quoted in it may be abridged, and so not have been cleaned as a whole.
    line = without_commands(without_secrets(message, os.environ))
    print(f"{name}: {line}", file=sys.stderr)
    return FAILED


def _guarded(command: Callable[[], int], name: str) -> int:
    code = FAILED
    try:
        code = _exit_code(command)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return code
    except Exception as error:
        # Errors on files that were opened by name include that name.
        if isinstance(error, OSError) and error.filename is None:
            return fail(name, f"{_without_a_file()}: {error.strerror or error}")
        from pulumi_cf_invoice.billing.cleaning import one_line
        from pulumi_cf_invoice.billing.credentials import without_secrets

        reason = one_line(without_secrets(f"{type(error).__name__}: {error}", os.environ))
        return fail(name, f"it failed: {reason}. Please report it")


def _without_a_file() -> str:
    """Return what cannot be done after an `OSError` that names no file."""
    try:
        Path.cwd()
    except OSError:
        return "the working directory cannot be used"
    return "cannot write standard output"


def _exit_code(command: Callable[[], int]) -> int:
    try:
        return command()
    except SystemExit as ended:
        # argparse exits this way after showing help or a usage error.
        return int(ended.code or 0)


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
