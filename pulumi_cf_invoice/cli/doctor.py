"""``cf-invoice doctor``: every setting with where it comes from, and one request to try them."""

import argparse
import os

from pulumi_cf_invoice.accounts import AccountReader
from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.cli import inputs
from pulumi_cf_invoice.cli.errors import CommandError


def run(options: argparse.Namespace) -> int:
    """Print the settings and all that is wrong with them, and return the exit code."""
    before = inputs.config(options)
    examined = settings.examine(options.account_id, [*before, settings.environment(os.environ)])
    for one in examined:
        print(f"{one.name:<12} {one.problem or f'{one.value} ({one.where})'}")
    print("permission   AI Gateway Read (or AI Gateway Write) on the account")
    problems = sum(one.problem is not None for one in examined)
    if problems:
        raise CommandError(
            f"no request was tried: {problems} setting{'s' * (problems != 1)} above "
            f"{'are' if problems != 1 else 'is'} missing or wrong"
        )
    invoice = inputs.live(options, before, AccountReader(os.environ, before)).invoice
    count = len(invoice.invoice_lines)
    print(f"request      answered: {invoice.text}, {count:,} line{'s' * (count != 1)}")
    return 0
