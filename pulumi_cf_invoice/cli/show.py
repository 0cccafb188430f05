"""``cf-invoice show``: the invoice as tables, with every line."""

import argparse
import sys

from pulumi_cf_invoice.cli import COULD_NOT_TELL, inputs
from pulumi_cf_invoice.cli.errors import CommandError
from pulumi_cf_invoice.report import text
from pulumi_cf_invoice.report.report import make_report


def run(options: argparse.Namespace) -> int:
    """Show the invoice, and return the exit code."""
    if options.files and options.stack is not None:
        raise CommandError("--stack has no effect with --from or --snapshot")
    before = inputs.config(options)
    at = options.at or inputs.now()
    found, missing, left_out, _ = inputs.accounts(options, before, at)
    if missing and not found:
        raise missing[0].problem
    report = make_report(found, at=at, missing=missing, left_out=left_out)
    text.write_in_full(report, sys.stdout)
    return COULD_NOT_TELL if any(not account.is_unused for account in missing) else 0
