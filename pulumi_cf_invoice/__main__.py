"""Starts the provider plugin, the way Pulumi does: ``python -m pulumi_cf_invoice ADDRESS``."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress

from pulumi_cf_invoice import _command

_NAME = "pulumi-resource-cf-invoice"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    options = argparse.Namespace(engine=None)
    code = _command.run(lambda: _parse(arguments, options), _NAME)
    if options.engine is None:
        return code
    with suppress(KeyboardInterrupt):
        from pulumi_cf_invoice.plugin.provider import serve

        asyncio.run(serve(options.engine))
    return 0


def _parse(arguments: Sequence[str] | None, options: argparse.Namespace) -> int:
    parser = argparse.ArgumentParser(
        prog=_NAME,
        description="The cf-invoice provider plugin. Pulumi starts it by itself for a program that "
        "uses a resource or a function of cf-invoice.",
    )
    parser.add_argument("engine", nargs="?", help="the engine's address, which Pulumi passes")
    # Pulumi adds its own logging flags, one of which has a value.
    parser.add_argument("--tracing", help=argparse.SUPPRESS)
    given, _ = parser.parse_known_args(arguments)
    if given.engine is None:
        parser.error("Pulumi starts this plugin by itself, and passes it the engine's address")
    options.engine = given.engine
    return 0


if __name__ == "__main__":
    sys.exit(main())
