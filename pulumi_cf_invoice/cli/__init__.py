"""
``cf-invoice``: the upcoming invoice in a terminal and in CI (extra ``report``).

Whatever a command needs is imported when it runs: a command line has to answer at once.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper

from pulumi_cf_invoice.cli.arguments import parser

COULD_NOT_TELL = 2
INTERRUPTED = 130
_EXTRA = "install pulumi-cf-invoice with its extra 'report', from where you have the package"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code. Whatever goes wrong is one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A report has characters that many a code page lacks.
            stream.reconfigure(encoding="utf-8", errors="replace")
    code = COULD_NOT_TELL
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on, which changes nothing in what was told.
        close_stdout()
        return code
    except Exception as error:
        # Whatever is opened by its name has that in the error.
        if isinstance(error, OSError) and error.filename is None:
            close_stdout()
            return _told(f"cannot write standard output: {error.strerror or error}")
        return _told(
            f"it failed: {_one_line(f'{type(error).__name__}: {error}')}. Please report it"
        )


def _run(given: list[str]) -> int:
    if given[:1] == ["sandbox"]:
        from pulumi_cf_invoice.sandbox.__main__ import main as serve

        return serve(given[1:], "cf-invoice sandbox")
    options = parser().parse_args(given)
    if getattr(options, "verbose", False):
        _log_requests()
    from pulumi_cf_invoice.billing.errors import BillingError

    try:
        return int(import_module(f"pulumi_cf_invoice.cli.{options.command}").run(options))
    except BillingError as error:
        return _told(str(error))
    except ModuleNotFoundError as error:
        return _told(f"{error.name} is missing: {_EXTRA}")


def close_stdout() -> None:
    """Let what is still to be written go nowhere."""
    # Python would write what is left at exit, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(text: str) -> str:
    from pulumi_cf_invoice.billing.cleaning import one_line

    return one_line(text)


def _log_requests() -> None:
    import logging

    # These two log addresses, statuses and waits, and no header.
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stderr)
    for name in ("httpx", "pulumi_cf_invoice"):
        logging.getLogger(name).setLevel(logging.INFO)


def _told(message: str) -> int:
    # The exit code has to say it, whether or not anybody reads on.
    with suppress(OSError):
        print(f"cf-invoice: {message}", file=sys.stderr, flush=True)
    return COULD_NOT_TELL
