"""``cf-invoice show``: the invoice as tables, with every line."""

import argparse
import sys

from pulumi_cf_invoice.cli import inputs
from pulumi_cf_invoice.cli.errors import CommandError
from pulumi_cf_invoice.report import text
from pulumi_cf_invoice.report.report import make_report


def run(options: argparse.Namespace) -> int:
    """Show the invoice, and return the exit code."""
    if options.files and options.stack is not None:
        raise CommandError("--stack does nothing with --from")
    before = inputs.config(options)
    at = options.at or inputs.now()
    report = make_report(inputs.found(options, before, at), at=at)
    text.write(report, sys.stdout, lines=sys.maxsize)
    return 0
