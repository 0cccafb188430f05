"""What commands read: files, the API with settings from environment and stack, and the time."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import NotAvailableError
from pulumi_cf_invoice.billing.models import counted
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import Source
from pulumi_cf_invoice.billing.snapshot import Snapshot, take
from pulumi_cf_invoice.cli.accounts import (
    NamedAccount,
    are_several,
    is_of_unused,
    listed,
    only_account,
    read_each,
)
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
_MOST_LISTED = 20


def config(options: argparse.Namespace) -> list[Source]:
    """Return the sources of settings before the environment. Raises `SettingsError`."""
    command_line = Source("--account-id", {}, {"accountId": "give --account-id"})
    if options.stack is None:
        return [command_line]
    from pulumi_cf_invoice.cli.stack import read_config

    stack = None if options.stack is True else options.stack
    return [command_line, *settings.config_sources(read_config(stack))]


def accounts(
    options: argparse.Namespace, before: Sequence[Source], at: datetime
) -> tuple[list[Found], list[MissingInvoice]]:
    """
    Return the invoices in the files of *options*, or else those that the API tells.

    Each account is there once. The accounts whose invoice cannot be read come besides, unless
    there is no other. Raises `CommandError`, `NoInvoiceError`, `NotAvailableError` for a snapshot
    that is too old at the time *at*, `SettingsError` or `FetchError`.
    """
    if options.files:
        return _in_files(options, at)
    for name in ("prefix", "max_age"):
        if getattr(options, name) is not None:
            raise CommandError(f"--{name.replace('_', '-')} does nothing without --from")
    if not are_several(options):
        snapshot = live(options, before)
        lacking = MissingInvoice.of_snapshot(snapshot)
        return ([], [lacking]) if lacking else ([Found.of_snapshot(snapshot)], [])
    every: list[Found] = []
    missing: list[MissingInvoice] = []
    for account, snapshot in read_each(options, before):
        error = snapshot.problem(INVOICE_PREVIEW)
        if error is None:
            every.append(replace(Found.of_snapshot(snapshot), names=account.names))
            continue
        is_unused = options.all_accounts and is_of_unused(error)
        missing.append(MissingInvoice(snapshot, error, account.names, is_unused))
    if not every and missing and not any(lacking.is_unused for lacking in missing):
        raise missing[0].error
    return every, missing


def _in_files(
    options: argparse.Namespace, at: datetime
) -> tuple[list[Found], list[MissingInvoice]]:
    if options.all_accounts:
        raise CommandError("--all-accounts does nothing with --from")
    wanted = {account.account_id: account for account in listed(options)}
    if sum(file == "-" for file, _ in options.files) > 1:
        raise CommandError("standard input can be read only once")
    every: list[Found] = []
    missing: list[MissingInvoice] = []
    for file, name, label in _files(options.files):
        for content in _in_file(file, options):
            account = wanted.get(_account_of(content) or "")
            named = _named(content, name or (account.name if account else None), label)
            if isinstance(named, MissingInvoice):
                missing.append(named)
            else:
                every.append(named)
    if are_several(options):
        every, missing = _only(wanted, every, missing, options, at)
    snapshots = [
        *(invoice.snapshot for invoice in every),
        *(lacking.snapshot for lacking in missing),
    ]
    _refuse_older(snapshots, options.max_age, at)
    return _joined(one_of_each_account(every), missing)


def _files(
    given: Sequence[tuple[str, str | None]],
) -> Iterator[tuple[str, str | None, str | None]]:
    """
    Yield the files *given* and those of folders, which are snapshots.

    Each comes with the name that a user gave it, and what it is called where it says no name.
    """
    for file, name in given:
        if file == "-" or not Path(file).is_dir():
            yield file, name, file if len(given) > 1 else None
            continue
        if name is not None:
            raise CommandError(f"--name does nothing for {one_line(file)}, which is a folder")
        inside = sorted(path for path in Path(file).glob("*.json") if path.is_file())
        if not inside:
            raise CommandError(f"{one_line(file)} has no snapshot: no file in it ends with .json")
        yield from ((str(path), None, None) for path in inside)


def _only(
    wanted: Mapping[str, NamedAccount],
    every: list[Found],
    missing: list[MissingInvoice],
    options: argparse.Namespace,
    at: datetime,
) -> tuple[list[Found], list[MissingInvoice]]:
    """
    Return what is of the accounts *wanted*, and tell of the others.

    Raises `CommandError`, which names all accounts of which nothing is there, or nothing recent.
    """
    contents: list[Found | MissingInvoice] = [*every, *missing]
    snapshots = {_account_of(content): content.snapshot for content in contents}
    absent = [account_id for account_id in wanted if account_id not in snapshots]
    older = [
        account_id
        for account_id in wanted
        if options.max_age is not None
        and (snapshot := snapshots.get(account_id)) is not None
        and at - snapshot.read_at > options.max_age
    ]
    problems = []
    if absent:
        problems.append(f"nothing is there of {_listed(absent, wanted)}")
    if older:
        hours = options.max_age.total_seconds() / 3600
        problems.append(f"read more than {hours:g} hours ago: {_listed(older, wanted)}")
    if problems:
        raise CommandError(f"{'; '.join(problems)}. Read them with `cf-invoice snapshot`")
    others = [account_id or "unknown" for account_id in snapshots if account_id not in wanted]
    if others:
        what = counted(len(others), "account")
        print(
            f"cf-invoice: left out {what} not asked for: {_listed(others, wanted)}",
            file=sys.stderr,
        )
    return (
        [found for found in every if found.state.account_id in wanted],
        [lacking for lacking in missing if lacking.account_id in wanted],
    )


def _listed(account_ids: Sequence[str], wanted: Mapping[str, NamedAccount]) -> str:
    shown = []
    for account_id in account_ids[:_MOST_LISTED]:
        name = wanted[account_id].name if account_id in wanted else None
        shown.append(f"{account_id} ({name})" if name else account_id)
    more = len(account_ids) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _account_of(content: Found | MissingInvoice) -> str | None:
    return content.account_id if isinstance(content, MissingInvoice) else content.state.account_id


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
        try:
            snapshot.refuse_older(than, at)
        except NotAvailableError as error:
            if len(given) == 1:
                raise
            raise NotAvailableError(f"account {snapshot.account_id}: {error}") from None


def live(options: argparse.Namespace, before: Sequence[Source]) -> Snapshot:
    """Request every read of the account from the API. Raises `SettingsError`."""
    sources = [*before, settings.environment(os.environ)]
    resolved = settings.resolve(only_account(options), sources)
    with _progress(f"Asking for account {resolved.account_id} …"):
        return take(resolved, now())


def in_file(file: str, options: argparse.Namespace) -> list[Found]:
    """Return the invoices in a *file*. Raises `CommandError` or `NoInvoiceError`."""
    with _named_in_errors(file):
        return input.read(read(file), account_id=only_account(options), prefix=options.prefix)


def _in_file(file: str, options: argparse.Namespace) -> Sequence[Found | MissingInvoice]:
    with _named_in_errors(file):
        content = input.read_any(
            read(file), account_id=only_account(options), prefix=options.prefix
        )
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
