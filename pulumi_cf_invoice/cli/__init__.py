"""
``cf-invoice``: the upcoming invoice in a terminal and in CI (extra ``report``).

Each command imports what it needs when it runs, because a command line should answer at once.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

from pulumi_cf_invoice.cli.arguments import parser
from pulumi_cf_invoice.cli.streams import standard_streams

COULD_NOT_TELL = 2
INTERRUPTED = 130
_LONGEST_RECORD = 1000
_EXTRA = "install pulumi-cf-invoice with its extra 'report', from where you have the package"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code. Whatever goes wrong is one line."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    # A sandbox whose address nobody reads would run forever, for nobody.
    with standard_streams(strict=given[:1] == ["sandbox"]) as output:
        code = _guarded(given)
        if output.failure is None:
            return code
        return _fail(f"cannot write standard output: {output.failure.strerror}")


def _guarded(given: list[str]) -> int:
    code = COULD_NOT_TELL
    try:
        code = _run(given)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return code
    except Exception as error:
        # Errors on files that were opened by name include that name.
        if isinstance(error, OSError) and error.filename is None:
            return _fail(f"cannot write standard output: {error.strerror or error}")
        return _fail(
            f"it failed: {_one_line(f'{type(error).__name__}: {error}')}. Please report it"
        )


def _run(given: list[str]) -> int:
    try:
        return _dispatch(given)
    except SystemExit as ended:
        # argparse exits this way after showing help or a usage error.
        return int(ended.code or 0)


def _dispatch(given: list[str]) -> int:
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
        return _fail(str(error))
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is missing: {_EXTRA}")


def _one_line(text: str, longest: int = 200) -> str:
    from pulumi_cf_invoice.billing.cleaning import one_line

    return one_line(text, longest)


def _log_requests() -> None:
    import logging

    class OneLine(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return _one_line(f"{record.name}: {record.getMessage()}", _LONGEST_RECORD)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    # These two log addresses, statuses and waits, but no headers.
    logging.basicConfig(handlers=[handler])
    for name in ("httpx", "pulumi_cf_invoice"):
        logging.getLogger(name).setLevel(logging.INFO)


def _fail(message: str) -> int:
    print(f"cf-invoice: {message}", file=sys.stderr)
    return COULD_NOT_TELL
