"""``cf-invoice snapshot``: every read of an account in one file, with the time of reading."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pulumi_cf_invoice.billing.answers import parse_json
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import BillingError
from pulumi_cf_invoice.billing.files import mode_of, read_file
from pulumi_cf_invoice.billing.models import counted
from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.billing.settings import ANY_ACCOUNT, Settings
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.cli import COULD_NOT_TELL, inputs
from pulumi_cf_invoice.cli.accounts import (
    NamedAccount,
    are_several,
    is_unused,
    read_accounts,
    resolve,
    seen,
)
from pulumi_cf_invoice.cli.errors import CommandError
from pulumi_cf_invoice.cli.output import refuse_overwriting, write_output


def run(options: argparse.Namespace) -> int:
    """Write the snapshot, or one per account, and return the exit code."""
    refuse_overwriting(options)
    before = inputs.config(options)
    if are_several(options):
        if options.output is None:
            raise CommandError("a snapshot of each account needs --output FOLDER")
        resolved = resolve(ANY_ACCOUNT, before)
        accounts = seen(options, before, resolved)
        return _write_each(accounts, resolved, Path(options.output), options)
    if options.max_age is not None:
        raise CommandError("--max-age is for a folder with a snapshot of each account")
    snapshot = inputs.live(options, before)
    refused = _refused(snapshot)
    if len(refused) == len(snapshot.answers):
        raise refused[0]
    write_output(snapshot.to_json(), options.output)
    _tell(refused)
    _tell_parts(snapshot)
    return 0


def _write_each(
    accounts: Sequence[NamedAccount],
    resolved: Settings,
    folder: Path,
    options: argparse.Namespace,
) -> int:
    """
    Write a snapshot of each of the *accounts* as soon as it is read, and return the exit code.

    Snapshots already in the *folder* that are whole and recent enough stay, so that you can run it
    again.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot write to {one_line(str(folder))}: {error.strerror}") from None
    left = [
        account
        for account in accounts
        if not _is_recent(_file(folder, account), options.max_age, resolved.base_url)
    ]
    unread = 0
    for account, snapshot in read_accounts(left, resolved):
        file, refused = _file(folder, account), _refused(snapshot)
        # Some of the accounts that a token can see have never used AI Gateway.
        has_none = options.all_accounts and is_unused(snapshot)
        if has_none or len(refused) == len(snapshot.answers):
            _tell(refused[:1])
            if has_none and mode_of(file):
                has_none = False
                _warn(
                    f"account {account.account_id} was read earlier, into {one_line(str(file))}: "
                    "to leave it out of reports, delete that file"
                )
            unread += not has_none
            continue
        write_output(replace(snapshot, name=account.name).to_json(), str(file))
        _tell(refused)
        _tell_parts(snapshot)
    if len(left) < len(accounts):
        kept = counted(len(accounts) - len(left), "account")
        _warn(f"already recent enough: {kept}")
    return COULD_NOT_TELL if unread else 0


def _file(folder: Path, account: NamedAccount) -> Path:
    return folder / f"{account.account_id}.json"


def _is_recent(file: Path, max_age: timedelta | None, base_url: str) -> bool:
    """Return whether *file* has all of every read, from *base_url* and not older than *max_age*."""
    if max_age is None:
        return False
    try:
        content = parse_json(read_file(file))
        snapshot = Snapshot.from_json(content if isinstance(content, dict) else {})
        snapshot.refuse_older(max_age, inputs.now())
    except (OSError, BillingError):
        return False
    is_whole = not snapshot.parts and all(snapshot.problem(read) is None for read in READS)
    return is_whole and (snapshot.account_id, snapshot.base_url) == (file.stem, base_url)


def _refused(snapshot: Snapshot) -> list[BillingError]:
    return [answer for answer in snapshot.answers.values() if isinstance(answer, BillingError)]


def _tell(refused: Sequence[BillingError]) -> None:
    for error in refused:
        _warn(f"not available: {error}")


def _tell_parts(snapshot: Snapshot) -> None:
    for read in snapshot.parts:
        whose = f"the {read.noun} of account {snapshot.account_id}"
        _warn(f"the API gave only a part of {whose}: run again")


def _warn(message: str) -> None:
    print(f"cf-invoice: {message}", file=sys.stderr)
