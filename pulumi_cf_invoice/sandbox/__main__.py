"""Starts the sandbox: ``python -m pulumi_cf_invoice.sandbox``."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence

from pulumi_cf_invoice import _command
from pulumi_cf_invoice.sandbox.arguments import parser

_EXTRA = "install pulumi-cf-invoice with its extra 'sandbox', from where you have the package"


def main(arguments: Sequence[str] | None = None, program: str | None = None) -> int:
    """Run the command, called *program* in its help, and return its exit code."""
    try:
        from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS, Sandbox
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        print(f"the sandbox needs {missing}: {_EXTRA}", file=sys.stderr)
        return 2
    options = parser(SCENARIOS, FAULTS, program).parse_args(arguments)
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
            f"cannot listen on port {options.port}: {os.strerror(error.errno or 0)}. Give another "
            "--port, or 0 for any free one.",
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


def _list(*groups: Mapping[str, object]) -> None:
    for title, group in zip(("scenarios", "faults"), groups, strict=True):
        print(f"{title}:")
        for name, item in group.items():
            print(f"  {name:<21} {getattr(item, 'description', '')}")


if __name__ == "__main__":
    sys.exit(_command.run(main, "python -m pulumi_cf_invoice.sandbox", strict=True))
