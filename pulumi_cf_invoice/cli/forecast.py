"""``cf-invoice forecast``: what the invoice will come to, and how long the credits last."""

import argparse
import sys

from pulumi_cf_invoice.cli import inputs
from pulumi_cf_invoice.cli.errors import CommandError
from pulumi_cf_invoice.forecast.read import forecast_snapshot
from pulumi_cf_invoice.report import forecasts
from pulumi_cf_invoice.report.forecasts import AccountForecast


def run(options: argparse.Namespace) -> int:
    """Print the forecasts, and return the exit code."""
    if options.files and options.stack is not None:
        raise CommandError("--stack does nothing with --from")
    found = inputs.found(options, inputs.config(options), inputs.now())
    made = []
    for one in found:
        if one.snapshot is None:
            raise CommandError(
                "a forecast needs the usage of an account: give --from a snapshot, which "
                "`cf-invoice snapshot` takes, or leave it out to ask the API"
            )
        forecast = forecast_snapshot(one.snapshot, options.fixed_lines)
        made.append(AccountForecast(one.snapshot, forecast, one.names))
    if options.format == "json":
        sys.stdout.write(forecasts.to_json(made))
    else:
        forecasts.write(made, sys.stdout)
    return 0
