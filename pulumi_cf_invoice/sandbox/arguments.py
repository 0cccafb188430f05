"""The sandbox's arguments."""

import argparse
import re
from collections.abc import Iterable
from datetime import datetime

from pulumi_cf_invoice._command import Parser, instant

_EPILOG = """\
example:
  python -m pulumi_cf_invoice.sandbox --port 8787 --now 2026-09-15T12:00:00Z

while it runs, another program can move the figure or break the API, or a single
read of it:
  curl -X PUT http://127.0.0.1:8787/sandbox -d '{"amount_due": 20001}'
  curl -X PUT http://127.0.0.1:8787/sandbox -d '{"fault": "http-503"}'
  curl -X PUT http://127.0.0.1:8787/sandbox \\
    -d '{"faults": {"credit-balance": "http-403"}}'
  curl -X PUT http://127.0.0.1:8787/sandbox \\
    -d '{"fault": null, "faults": null, "amount_due": null}'
"""


def parser(
    scenarios: Iterable[str], faults: Iterable[str], program: str | None
) -> argparse.ArgumentParser:
    """Return the parser of *program*, which knows these scenarios and faults by name."""
    made = Parser(
        prog=program or "python -m pulumi_cf_invoice.sandbox",
        description="A local stand-in for Cloudflare's AI Gateway billing API.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--scenario",
        default="usual",
        choices=scenarios,
        metavar="NAME",
        help="what it answers with (default: usual)",
    )
    made.add_argument("--fault", choices=faults, metavar="NAME", help="what goes wrong")
    made.add_argument("--port", type=_port, default=8787, help="0 for a free one (default: 8787)")
    made.add_argument("--now", type=_now, help="fix the clock, in ISO 8601")
    made.add_argument(
        "--accounts",
        type=_count,
        default=1,
        metavar="N",
        help="list that many accounts, each with its own figures in the scenario 'usual'",
    )
    made.add_argument(
        "--rate-limit",
        type=_rate_limit,
        metavar="100/3s",
        help="refuse a token's requests beyond that, with HTTP 429",
    )
    made.add_argument(
        "--latency", type=_milliseconds, default=0, metavar="MS", help="delay each answer"
    )
    made.add_argument("--list", action="store_true", help="list scenarios and faults, and stop")
    return made


def _port(text: str) -> int:
    return _whole(text, 0, 65535, "a port: 0 to 65535")


def _count(text: str) -> int:
    return _whole(text, 1, 100_000, "a number of accounts: 1 to 100,000")


def _milliseconds(text: str) -> int:
    return _whole(text, 0, 60_000, "a number of milliseconds: 0 to 60,000")


def _whole(text: str, least: int, most: int, what: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text} is not {what}")
    return int(text)


def _now(text: str) -> datetime:
    now = instant(text)
    if not 1971 <= now.year <= 9998:
        raise argparse.ArgumentTypeError(f"{text} is not in the years 1971 to 9998")
    return now


def _rate_limit(text: str) -> str:
    from pulumi_cf_invoice.sandbox.limits import RateLimit

    try:
        RateLimit.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
