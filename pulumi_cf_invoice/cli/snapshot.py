"""``cf-invoice snapshot``: every read of an account in one file, with the time of reading."""

import argparse
import sys

from pulumi_cf_invoice.billing.errors import BillingError
from pulumi_cf_invoice.cli import inputs


def run(options: argparse.Namespace) -> int:
    """Write the snapshot, and return the exit code."""
    snapshot = inputs.live(options, inputs.config(options))
    refused = [one for one in snapshot.answers.values() if isinstance(one, BillingError)]
    if len(refused) == len(snapshot.answers):
        raise refused[0]
    inputs.write(snapshot.to_json(), options.output)
    for error in refused:
        print(f"cf-invoice: not available: {error}", file=sys.stderr)
    return 0
