"""``cf-invoice snapshot``: every read of an account in one file, with the time of reading."""

import argparse
import sys

from pulumi_cf_invoice.billing.errors import BillingError
from pulumi_cf_invoice.cli import inputs
from pulumi_cf_invoice.cli.output import write_output


def run(options: argparse.Namespace) -> int:
    """Write the snapshot, and return the exit code."""
    snapshot = inputs.live(options, inputs.config(options))
    refused = [answer for answer in snapshot.answers.values() if isinstance(answer, BillingError)]
    if len(refused) == len(snapshot.answers):
        raise refused[0]
    write_output(snapshot.to_json(), options.output)
    for error in refused:
        print(f"cf-invoice: not available: {error}", file=sys.stderr)
    return 0
