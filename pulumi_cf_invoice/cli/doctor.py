"""``cf-invoice doctor``: every setting with its source, and an attempt at every read."""

import argparse
import os
from collections.abc import Iterable, Sequence

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.models import Model
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW, READS, Read
from pulumi_cf_invoice.billing.settings import Source
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.cli import inputs
from pulumi_cf_invoice.cli.accounts import (
    NamedAccount,
    are_several,
    only_account,
    read_each,
)
from pulumi_cf_invoice.cli.errors import CommandError


def run(options: argparse.Namespace) -> int:
    """Print the settings and all problems with them, and return the exit code."""
    before = inputs.config(options)
    sources = [*before, settings.environment(os.environ)]
    account_id = settings.ANY_ACCOUNT if are_several(options) else only_account(options)
    examined = settings.examine(account_id, sources)
    if are_several(options):
        examined = [setting for setting in examined if setting.name != "account"]
    for setting in examined:
        text = setting.problem or f"{setting.value} ({setting.where})"
        print(f"{setting.name:<16} {text}")
    print("permission       AI Gateway Read (or AI Gateway Write) on the account")
    problems = sum(setting.problem is not None for setting in examined)
    if problems:
        raise CommandError(
            f"no request was tried: {problems} setting{'s' * (problems != 1)} above "
            f"{'are' if problems != 1 else 'is'} missing or wrong"
        )
    refused = []
    for account, snapshot in _snapshots(options, before):
        if account is not None:
            print(f"account          {', '.join([account.account_id, *account.names])}")
        refused += [_tried(snapshot, read) for read in READS]
    if any(refused):
        raise CommandError(f"{sum(refused)} of {len(refused)} requests failed, as shown above")
    return 0


def _snapshots(
    options: argparse.Namespace, before: Sequence[Source]
) -> Iterable[tuple[NamedAccount | None, Snapshot]]:
    return (
        read_each(options, before)
        if are_several(options)
        else [(None, inputs.live(options, before))]
    )


def _tried(snapshot: Snapshot, read: Read[Model]) -> bool:
    """Print how *read* was answered, and return whether it failed."""
    error = snapshot.problem(read)
    print(f"{read.name:<16} {error or f'answered: {_answer(snapshot, read)}'}")
    return error is not None


def _answer(snapshot: Snapshot, read: Read[Model]) -> str:
    """Return the answer to *read*; credits, which have no currency, are in the invoice's."""
    answer = snapshot.get(read)
    if isinstance(answer, CreditBalance) and snapshot.problem(INVOICE_PREVIEW) is None:
        return answer.text_in(snapshot.get(INVOICE_PREVIEW).currency)
    return answer.text
