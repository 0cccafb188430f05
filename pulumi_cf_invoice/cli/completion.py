"""``cf-invoice completion``: a shell's completion script."""

import argparse

import shtab

from pulumi_cf_invoice.cli.arguments import parser


def run(options: argparse.Namespace) -> int:
    """Print the script, and return the exit code."""
    print(shtab.complete(parser(), options.shell))
    return 0
