"""``cf-invoice forecast``: what the invoice will come to, and how long the credits last."""

import argparse
import sys

from pulumi_cf_invoice.cli import COULD_NOT_TELL, inputs
from pulumi_cf_invoice.cli.errors import CommandError
from pulumi_cf_invoice.forecast.read import forecast_snapshot
from pulumi_cf_invoice.report import forecasts
from pulumi_cf_invoice.report.forecasts import AccountForecast


def run(options: argparse.Namespace) -> int:
    """Print the forecasts, and return the exit code."""
    if options.files and options.stack is not None:
        raise CommandError("--stack has no effect with --snapshot")
    found, missing, left_out, _ = inputs.accounts(options, inputs.config(options), inputs.now())
    if missing and not found:
        raise missing[0].problem
    # Every file is a snapshot, and so is what the API answers.
    snapshots = [(account.snapshot, account.names) for account in found if account.snapshot]
    made = [
        AccountForecast(snapshot, forecast_snapshot(snapshot, options.fixed_lines), names)
        for snapshot, names in snapshots
    ]
    if options.format == "json":
        sys.stdout.write(forecasts.to_json(made))
    else:
        forecasts.write(made, sys.stdout)
    if left_out:
        print(f"cf-invoice: {left_out}", file=sys.stderr)
    for lacking in missing:
        print(f"cf-invoice: not available: {lacking.problem}", file=sys.stderr)
    return COULD_NOT_TELL if any(not lacking.is_unused for lacking in missing) else 0
