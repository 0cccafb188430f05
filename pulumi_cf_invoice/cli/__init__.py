"""
``cf-invoice``: the upcoming invoice in a terminal and in CI (extra ``report``).

Each command imports what it needs when it runs, because a command line should answer at once.
"""

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from pulumi_cf_invoice import _command
from pulumi_cf_invoice.cli.arguments import parser

COULD_NOT_TELL = _command.FAILED
_NAME = "cf-invoice"
_LONGEST_RECORD = 1000
_OBJECTS_BEFORE_COLLECTION = 50_000
_EXTRA = "install pulumi-cf-invoice with its extra 'report', from where you have the package"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code. Whatever goes wrong is one line."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    # A sandbox whose address nobody reads would run forever, for nobody.
    return _command.run(lambda: _dispatch(given), _NAME, strict=given[:1] == ["sandbox"])


def run_and_exit() -> NoReturn:
    """Run the command of this process's arguments, and end the process with its exit code."""
    # What a command makes is kept until it ends. Searching that for garbage would take a sixth of
    # the time of a large report.
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    _command.end(main())


def _dispatch(given: list[str]) -> int:
    if given[:1] == ["sandbox"]:
        from pulumi_cf_invoice.sandbox.__main__ import main as serve

        return serve(given[1:], "cf-invoice sandbox")
    try:
        options = parser().parse_args(given)
    except _command.UsageError as error:
        if given[:1] == ["report"]:
            from pulumi_cf_invoice.cli.report import write_usage_failure

            write_usage_failure(error.message, given)
        raise
    if getattr(options, "verbose", False):
        _log_requests()
    from pulumi_cf_invoice.billing.errors import BillingError

    try:
        return int(import_module(f"pulumi_cf_invoice.cli.{options.command}").run(options))
    except BillingError as error:
        return _command.fail(_NAME, str(error))
    except ModuleNotFoundError as error:
        return _command.fail(_NAME, f"{error.name} is missing: {_EXTRA}")


def _log_requests() -> None:
    import logging

    from pulumi_cf_invoice.billing.cleaning import one_line

    class OneLine(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return one_line(f"{record.name}: {record.getMessage()}", _LONGEST_RECORD)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    # These two log addresses, statuses and waits, but no headers.
    logging.basicConfig(handlers=[handler])
    for name in ("httpx", "pulumi_cf_invoice"):
        logging.getLogger(name).setLevel(logging.INFO)
