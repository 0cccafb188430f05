"""What commands read: files, the API with the settings of environment and stack, and the time."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.settings import Source
from pulumi_cf_invoice.billing.snapshot import Snapshot, take
from pulumi_cf_invoice.cli.errors import CommandError
from pulumi_cf_invoice.report import input
from pulumi_cf_invoice.report.found import (
    Found,
    MissingInvoice,
    NoInvoiceError,
    one_of_each_account,
    only_snapshot,
)

_LONGEST_NAME = 100


def config(options: argparse.Namespace) -> list[Source]:
    """Return the sources of settings before the environment. Raises `SettingsError`."""
    command_line = Source("--account-id", {}, {"accountId": "give --account-id"})
    if options.stack is None:
        return [command_line]
    from pulumi_cf_invoice.cli.stack import read_config

    stack = None if options.stack is True else options.stack
    return [command_line, *settings.config_sources(read_config(stack))]


def found(options: argparse.Namespace, before: Sequence[Source], at: datetime) -> list[Found]:
    """
    Return the invoices in the files of *options*, or else the one that the API tells.

    Each account is there once. Raises `CommandError`, `NoInvoiceError`, `NotAvailableError` for a
    snapshot that is too old at the time *at*, `SettingsError` or `FetchError`.
    """
    every, missing = accounts(options, before, at)
    if missing:
        raise missing[0].error
    return every


def accounts(
    options: argparse.Namespace, before: Sequence[Source], at: datetime
) -> tuple[list[Found], list[MissingInvoice]]:
    """
    Return what `found` does, and the accounts of which everything but the invoice may be known.

    Raises what `found` raises.
    """
    if not options.files:
        for name in ("prefix", "max_age"):
            if getattr(options, name) is not None:
                raise CommandError(f"--{name.replace('_', '-')} does nothing without --from")
        snapshot = live(options, before)
        lacking = MissingInvoice.of_snapshot(snapshot)
        return ([], [lacking]) if lacking else ([Found.of_snapshot(snapshot)], [])
    several = len(options.files) > 1
    if sum(file == "-" for file, _ in options.files) > 1:
        raise CommandError("standard input can be read only once")
    every: list[Found] = []
    missing: list[MissingInvoice] = []
    for file, name in options.files:
        for content in _in_file(file, options):
            named = _named(content, name, file if several else None)
            if isinstance(named, MissingInvoice):
                missing.append(named)
            else:
                every.append(named)
    snapshots = [
        *(invoice.snapshot for invoice in every),
        *(lacking.snapshot for lacking in missing),
    ]
    _refuse_older(snapshots, options.max_age, at)
    return _joined(one_of_each_account(every), missing)


def _joined(
    every: list[Found], missing: list[MissingInvoice]
) -> tuple[list[Found], list[MissingInvoice]]:
    """
    Give an account whose invoice another file has the reads of a snapshot without one.

    Raises `NoInvoiceError` if an account is in two different snapshots.
    """
    of_found = ((found.state.account_id, found.snapshot) for found in every)
    of_missing = ((lacking.account_id, lacking.snapshot) for lacking in missing)
    snapshots: dict[str | None, list[Snapshot]] = {}
    for account_id, snapshot in (*of_found, *of_missing):
        if snapshot is not None:
            snapshots.setdefault(account_id, []).append(snapshot)
    only = {account_id: only_snapshot(same) for account_id, same in snapshots.items()}
    joined = [replace(found, snapshot=only.get(found.state.account_id)) for found in every]
    known = {found.state.account_id for found in every}
    without = {
        lacking.account_id: lacking for lacking in missing if lacking.account_id not in known
    }
    return joined, list(without.values())


def _refuse_older(
    snapshots: Sequence[Snapshot | None], than: timedelta | None, at: datetime
) -> None:
    if than is None:
        return
    given = [snapshot for snapshot in snapshots if snapshot]
    if not given:
        raise CommandError("--max-age is for snapshots, and no --from is one")
    for snapshot in given:
        snapshot.refuse_older(than, at)


def live(options: argparse.Namespace, before: Sequence[Source]) -> Snapshot:
    """Ask the API for every read of the account. Raises `SettingsError`."""
    sources = [*before, settings.environment(os.environ)]
    resolved = settings.resolve(options.account_id, sources)
    with _progress(f"Asking for account {resolved.account_id} …"):
        return take(resolved, now())


def in_file(file: str, options: argparse.Namespace) -> list[Found]:
    """Return the invoices in a *file*. Raises `CommandError` or `NoInvoiceError`."""
    with _named_in_errors(file):
        return input.read(read(file), account_id=options.account_id, prefix=options.prefix)


def _in_file(file: str, options: argparse.Namespace) -> Sequence[Found | MissingInvoice]:
    with _named_in_errors(file):
        content = input.read_any(read(file), account_id=options.account_id, prefix=options.prefix)
    return [content] if isinstance(content, MissingInvoice) else content


@contextmanager
def _named_in_errors(file: str) -> Iterator[None]:
    try:
        yield
    except NoInvoiceError as error:
        raise NoInvoiceError(f"{_label(file)}: {error}") from None


def read(file: str) -> bytes:
    """Return what is in *file*, which may be ``-``. Raises `CommandError`."""
    if file == "-" and sys.stdin is None:
        raise CommandError("cannot read standard input: it is closed")
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {one_line(file)}: {error.strerror}") from None


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def _named(
    found: Found | MissingInvoice, name: str | None, file: str | None
) -> Found | MissingInvoice:
    if name is not None:
        return replace(found, names=(one_line(name, _LONGEST_NAME),))
    if file is not None and not found.names:
        return replace(found, names=(_label(file),))
    return found


def _label(file: str) -> str:
    return "standard input" if file == "-" else one_line(file, _LONGEST_NAME)


@contextmanager
def _progress(text: str) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield
