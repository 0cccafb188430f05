"""Starts the sandbox: ``python -m pulumi_cf_invoice.sandbox``."""

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


_EXTRA = "install pulumi-cf-invoice with its extra 'sandbox', from where you have the package"
_EPILOG = """\
example:
  python -m pulumi_cf_invoice.sandbox --port 8787 --now 2026-09-15T12:00:00Z

while it runs, another program can move the figure or break the API, or a single read of it:
  curl -X PUT http://127.0.0.1:8787/sandbox -d '{"amount_due": 20001}'
  curl -X PUT http://127.0.0.1:8787/sandbox -d '{"fault": "http-503"}'
  curl -X PUT http://127.0.0.1:8787/sandbox -d '{"faults": {"credit-balance": "http-403"}}'
  curl -X PUT http://127.0.0.1:8787/sandbox -d '{"fault": null, "faults": null, "amount_due": null}'
"""


def main(arguments: Sequence[str] | None = None, program: str | None = None) -> int:
    """Run the command, called *program* in its help, and return its exit code."""
    try:
        from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS, Sandbox
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        print(f"the sandbox needs {missing}: {_EXTRA}", file=sys.stderr)
        return 2
    options = _parser(SCENARIOS, FAULTS, program).parse_args(arguments)
    if options.list:
        _list(SCENARIOS, FAULTS)
        return 0
    try:
        server = Sandbox(
            options.scenario,
            options.fault,
            port=options.port,
            now=options.now,
            number_of_accounts=options.accounts,
            rate_limit=options.rate_limit,
            latency=options.latency / 1000,
        )
    except OSError as error:
        print(
            f"cannot listen on port {options.port}: {os.strerror(error.errno or 0)}",
            file=sys.stderr,
        )
        return 2
    # A signal can arrive before uvicorn handles it, and uvicorn re-raises those that it handled.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    print(f"export CLOUDFLARE_BASE_URL={server.base_url}")
    print("export CLOUDFLARE_API_TOKEN=sandbox-token", flush=True)
    print(
        f"Serving the scenario {options.scenario!r}; any account of 32 hex digits will do: "
        "pulumi config set cf-invoice:accountId 023e105f4ecef8ad9ca31a8372d0c353\n"
        "Ctrl-C stops.",
        file=sys.stderr,
        flush=True,
    )
    server.serve()
    return 0


def _parser(
    scenarios: Iterable[str], faults: Iterable[str], program: str | None
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program or "python -m pulumi_cf_invoice.sandbox",
        description="A local stand-in for Cloudflare's AI Gateway billing API.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--scenario",
        default="usual",
        choices=scenarios,
        metavar="NAME",
        help="what it answers with (default: usual)",
    )
    parser.add_argument("--fault", choices=faults, metavar="NAME", help="what goes wrong")
    parser.add_argument("--port", type=_port, default=8787, help="0 for a free one (default: 8787)")
    parser.add_argument("--now", type=_instant, help="fix the clock, in ISO 8601")
    parser.add_argument(
        "--accounts",
        type=_count,
        default=1,
        metavar="N",
        help="list that many accounts, each with its own figures in the scenario 'usual'",
    )
    parser.add_argument(
        "--rate-limit",
        type=_rate_limit,
        metavar="100/3s",
        help="refuse a token's requests beyond that, with HTTP 429",
    )
    parser.add_argument(
        "--latency", type=_milliseconds, default=0, metavar="MS", help="delay each answer"
    )
    parser.add_argument("--list", action="store_true", help="list scenarios and faults, and stop")
    return parser


def _instant(text: str) -> "datetime":
    from pulumi_cf_invoice.billing.models import parse_instant

    try:
        return parse_instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to 65535")
    return port


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text[:7]) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number of accounts: 1 to 100,000")
    return int(text)


def _milliseconds(text: str) -> int:
    if not text.isdigit() or int(text[:7]) > 60_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number of milliseconds: 0 to 60,000")
    return int(text)


def _rate_limit(text: str) -> str:
    from pulumi_cf_invoice.sandbox.limits import RateLimit

    try:
        RateLimit.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _list(*groups: Mapping[str, object]) -> None:
    for title, group in zip(("scenarios", "faults"), groups, strict=True):
        print(f"{title}:")
        for name, item in group.items():
            print(f"  {name:<21} {getattr(item, 'description', '')}")


if __name__ == "__main__":
    sys.exit(main())
