"""What commands read: files, the API with settings from environment and stack, and the time."""

import argparse
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.cleaning import LONGEST_NAME, named, one_line
from pulumi_cf_invoice.billing.credentials import Secrets
from pulumi_cf_invoice.billing.errors import NotAvailableError
from pulumi_cf_invoice.billing.files import mode_of, read_file, read_whole
from pulumi_cf_invoice.billing.models import counted
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import Source
from pulumi_cf_invoice.billing.snapshot import Snapshot, take
from pulumi_cf_invoice.cli.accounts import (
    NamedAccount,
    are_several,
    is_unused,
    known_secrets,
    listed,
    only_account,
    read_each,
)
from pulumi_cf_invoice.cli.arguments import GivenFile
from pulumi_cf_invoice.cli.errors import CommandError
from pulumi_cf_invoice.cli.output import is_unfinished
from pulumi_cf_invoice.cli.progress import line_on_terminal
from pulumi_cf_invoice.report import input
from pulumi_cf_invoice.report.found import (
    Found,
    MissingInvoice,
    NoInvoiceError,
    PackViolation,
    each_once,
    one_of_each_account,
    only_snapshot,
)

_OBJECT = re.compile(rb"^(?:\xef\xbb\xbf|\xfe\xff|\xff\xfe)?[ \t]*(?:\[\s*)?\{", re.M)
_MOST_LISTED = 20


def config(options: argparse.Namespace) -> list[Source]:
    """Return the sources of settings before the environment. Raises `SettingsError`."""
    command_line = Source("--account-id", {}, {"accountId": "give --account-id"})
    if options.stack is None:
        return [command_line]
    from pulumi_cf_invoice.cli.stack import read_config

    stack = None if options.stack is True else options.stack
    return [command_line, *settings.config_sources(read_config(stack))]


class Contents(NamedTuple):
    """
    What is known about accounts, each once: their invoices, those that are missing, and a sentence
    on what was not requested. ``violations`` are what policy packs said at all previews in the
    files, whatever was requested.
    """

    found: list[Found]
    missing: list[MissingInvoice]
    left_out: str = ""
    violations: Sequence[PackViolation] = ()


def accounts(options: argparse.Namespace, before: Sequence[Source], at: datetime) -> Contents:
    """
    Return the accounts in the files of *options*, or else from the API.

    Raises `CommandError`, `NoInvoiceError`, `SettingsError` or `FetchError`, and
    `NotAvailableError` if there is only one snapshot, which is too old at the time *at*.
    """
    if options.files:
        return _in_files(options, at, known_secrets(before, options))
    if options.prefix is not None:
        raise CommandError("--prefix has no effect without --from")
    if options.max_age is not None:
        raise CommandError("--max-age has no effect without --snapshot")
    if not are_several(options):
        snapshot = live(options, before)
        lacking = MissingInvoice.of_snapshot(snapshot)
        if lacking:
            return Contents([], [replace(lacking, is_named=True)])
        return Contents([Found.of_snapshot(snapshot)], [])
    every: list[Found] = []
    missing: list[MissingInvoice] = []
    for account, snapshot in read_each(options, before):
        error = snapshot.problem(INVOICE_PREVIEW)
        if error is None:
            every.append(replace(Found.of_snapshot(snapshot), names=account.names))
            continue
        has_none = options.all_accounts and is_unused(snapshot)
        is_named = not options.all_accounts
        missing.append(MissingInvoice(snapshot, error, account.names, has_none, is_named=is_named))
    if not every and missing and not any(lacking.is_unused for lacking in missing):
        raise missing[0].error
    return Contents(every, missing)


def _in_files(options: argparse.Namespace, at: datetime, secrets: Secrets) -> Contents:
    if options.all_accounts:
        raise CommandError("--all-accounts has no effect with --from or --snapshot")
    only = only_account(options)
    wanted = {each.account_id: each for each in listed(options, secrets)}
    _refuse_twice(options.files)
    contents: list[Found | MissingInvoice] = []
    for file in _files(options.files):
        # A folder has files of other accounts too, which are left out below.
        of_file = None if file.is_in_folder else only
        for content in _in_file(file.path, of_file, options.prefix, secrets):
            _refuse_other_kind(content, file)
            _refuse_without_time(content, file, options)
            if wanted:
                _refuse_unknown_account(content, file)
            account = wanted.get(_account_of(content) or "")
            name = file.name or (account.name if account else None)
            if isinstance(content, MissingInvoice) and not file.is_in_folder:
                content = replace(content, is_named=True)
            contents.append(_named(content, name, file.label))
    violations = each_once(each.violations for each in contents if isinstance(each, Found))
    others: list[Found | MissingInvoice] = []
    if wanted:
        others = [content for content in contents if _account_of(content) not in wanted]
        requested = (content for content in contents if _account_of(content) in wanted)
        contents = [
            replace(each, is_named=True) if isinstance(each, MissingInvoice) else each
            for each in requested
        ]
    contents = _recent(contents, options.max_age, at)
    contents += _absent(wanted.values(), set(map(_account_of, contents)), at)
    every = [content for content in contents if isinstance(content, Found)]
    missing = [content for content in contents if isinstance(content, MissingInvoice)]
    found, without = _joined(one_of_each_account(every), missing)
    return Contents(found, without, _not_asked_for(others), violations)


def _refuse_twice(given: Iterable[GivenFile]) -> None:
    """
    Raise `CommandError` if one of the files or folders *given* is there twice, by whatever path.

    Two stacks' previews may have been written to it, and only one of them is in it.
    """
    known: set[tuple[int, int] | str] = set()
    for path, _, _ in given:
        if path == "-":
            if path in known:
                raise CommandError("standard input can be read only once")
            known.add(path)
            continue
        try:
            about = Path(path).stat()
        except OSError:
            continue  # Reading it says why.
        if (about.st_dev, about.st_ino) in known:
            raise CommandError(f"{one_line(path)} is given twice: give each file once")
        known.add((about.st_dev, about.st_ino))


def _refuse_other_kind(content: Found | MissingInvoice, file: "_File") -> None:
    """
    Raise `CommandError` unless *content* is of the kind that the *file* was given as.

    A snapshot is what rules on accounts go by, and what a program exports can look like one.
    """
    if file.is_snapshot and not content.snapshot:
        raise CommandError(f"{_label(file.path)} is not a snapshot: give the file as --from")
    if content.snapshot and not file.is_snapshot:
        raise CommandError(
            f"{_label(file.path)} looks like a snapshot: if `cf-invoice snapshot` wrote it, give "
            "it as --snapshot"
        )


def _refuse_without_time(
    content: Found | MissingInvoice, file: "_File", options: argparse.Namespace
) -> None:
    """Raise `CommandError` unless the time of reading of *content* is known where it must be."""
    if options.max_age is not None and not content.snapshot:
        raise CommandError(
            f"{_label(file.path)} does not say when its figures were read, so --max-age cannot "
            "judge it: give a snapshot instead"
        )


def _refuse_unknown_account(content: Found | MissingInvoice, file: "_File") -> None:
    """
    Raise `CommandError` unless the account of *content* is known, so that it can be chosen by it.
    """
    if _account_of(content) is None:
        raise CommandError(
            f"{_label(file.path)} does not say which account it is of, so that it cannot be left "
            "out: give it with only one --account-id, which it then counts as"
        )


def _absent(
    wanted: Iterable[NamedAccount], known: Collection[str | None], at: datetime
) -> Iterator[MissingInvoice]:
    """Yield the *wanted* accounts about which nothing is *known*."""
    error = NotAvailableError("there is no snapshot of it: run `cf-invoice snapshot` again")
    for account in wanted:
        if account.account_id not in known:
            yield MissingInvoice.absent(account.account_id, at, error, account.names)


def _recent(
    contents: Sequence[Found | MissingInvoice], than: timedelta | None, at: datetime
) -> list[Found | MissingInvoice]:
    """
    Return *contents* without the snapshots that are older *than* that at the time *at*.

    What has no snapshot has been refused by `_refuse_without_time`. Raises `NotAvailableError` if
    such an old snapshot is the only one, or if its account has another.
    """
    if than is None:
        return list(contents)
    counts = Counter(map(_account_of, contents))
    recent: list[Found | MissingInvoice] = []
    for content in contents:
        snapshot = content.snapshot
        try:
            if snapshot:
                snapshot.refuse_older(than, at)
            recent.append(content)
        except NotAvailableError as error:
            if len(contents) == 1 or snapshot is None:
                raise
            if counts[snapshot.account_id] > 1:
                raise NotAvailableError(f"account {snapshot.account_id}: {error}") from None
            why = error.with_traceback(None)
            recent.append(MissingInvoice.absent(snapshot.account_id, at, why, content.names))
    return recent


def _not_asked_for(others: Sequence[Found | MissingInvoice]) -> str:
    """Name the accounts of files that are not on the list, as a sentence."""
    if not others:
        return ""
    # Several files can be on one account.
    accounts = {str(_account_of(other)): other for other in others}
    names = [
        ", ".join([*map(named, other.names), account_id]) for account_id, other in accounts.items()
    ]
    more = len(names) - _MOST_LISTED
    shown = "; ".join([*names[:_MOST_LISTED], *([f"{more:,} more"] if more > 0 else [])])
    return f"Left out, because not requested: {counted(len(names), 'account')} ({shown})."


class _File(NamedTuple):
    """A file to read, with the name that the user gave it, and a default name."""

    path: str
    is_snapshot: bool
    name: str | None = None
    label: str | None = None
    is_in_folder: bool = False


def _files(given: Sequence[GivenFile]) -> Iterator[_File]:
    """Yield the files *given*, and those in folders. Raises `CommandError`."""
    for path, is_snapshot, name in given:
        if path == "-" or not stat.S_ISDIR(mode_of(path)):
            yield _File(path, is_snapshot, name, path if len(given) > 1 else None)
            continue
        if not is_snapshot:
            raise CommandError(
                f"{one_line(path)} is a folder: give a folder of snapshots as --snapshot"
            )
        if name is not None:
            raise CommandError(f"--name has no effect on {one_line(path)}, which is a folder")
        try:
            inside = [file for file in sorted(Path(path).iterdir()) if _is_to_be_read(file)]
        except OSError as error:
            place = one_line(str(error.filename or path))
            raise CommandError(f"cannot read {place}: {error.strerror}") from None
        if not inside:
            raise CommandError(f"{one_line(path)} has no snapshot: no file in it ends with .json")
        yield from (_File(str(file), is_snapshot=True, is_in_folder=True) for file in inside)


def _is_to_be_read(path: Path) -> bool:
    """
    Return whether *path*, in a folder of snapshots, is one by its name.

    Raises `CommandError` for what must not be left out, but is not such a file, and `OSError`.
    """
    if path.is_file():
        if not _is_json(path) and _may_be_json(path):
            raise CommandError(
                f"{one_line(str(path))} would not be read, because its name does not end with "
                ".json: rename it, or move it elsewhere"
            )
        return _is_json(path)
    if path.is_dir() and any(_may_hold_json(path)):
        raise CommandError(
            f"{one_line(str(path))} is a folder with JSON in it, or a link to another folder, "
            "which would not be read: put all files into one folder (with "
            "actions/download-artifact: `merge-multiple: true`)"
        )
    if _is_json(path):
        raise CommandError(f"{one_line(str(path))} is not a file that can be read")
    return False


def _may_hold_json(folder: Path) -> Iterator[bool]:
    """
    Yield for each entry in *folder*, at any depth, whether it may be JSON or leads to another
    folder.

    Raises `OSError` for a folder that cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=refuse):
        # Links are not followed, because they can lead back.
        yield from ((Path(place) / name).is_symlink() for name in folders)
        yield from (_is_json(Path(name)) for name in folders)
        yield from (_may_be_json(Path(place) / name) for name in files)


def _is_json(path: Path) -> bool:
    # A file called only ".json" has no suffix: its writer lacked the account's ID.
    return path.name.lower().endswith(".json")


def _may_be_json(path: Path) -> bool:
    """Return whether *path* is JSON by its name, as a copy may be, or by how a line begins."""
    if is_unfinished(path):
        return False
    if ".json" in path.name.lower():
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        # Without what UTF-16 has between. What a shell wrote of warnings may come first.
        return _OBJECT.search(file.read(2**16).replace(b"\0", b"")) is not None


def _account_of(content: Found | MissingInvoice) -> str | None:
    return content.account_id if isinstance(content, MissingInvoice) else content.state.account_id


def _joined(
    every: list[Found], missing: list[MissingInvoice]
) -> tuple[list[Found], list[MissingInvoice]]:
    """
    Add the reads of a snapshot without an invoice to the account's invoice from another file.

    Raises `NoInvoiceError` if an account is in two different snapshots.
    """
    of_found = ((found.state.account_id, found.snapshot) for found in every)
    of_missing = (
        (lacking.account_id, lacking.snapshot) for lacking in missing if not lacking.is_absent
    )
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


def live(options: argparse.Namespace, before: Sequence[Source]) -> Snapshot:
    """Request every read of the account from the API. Raises `SettingsError`."""
    sources = [*before, settings.environment(os.environ)]
    resolved = settings.resolve(only_account(options), sources)
    with _progress(f"Reading account {resolved.account_id} …"):
        return take(resolved, now())


def in_file(file: str, options: argparse.Namespace, secrets: Secrets) -> list[Found]:
    """
    Return the invoices in a *file*, without *secrets*. Raises `CommandError` or `NoInvoiceError`.
    """
    account_id, prefix = only_account(options), options.prefix
    with _named_in_errors(file):
        return input.read(read(file), account_id=account_id, prefix=prefix, secrets=secrets)


def _in_file(
    file: str, account_id: str | None, prefix: str | None, secrets: Secrets
) -> Sequence[Found | MissingInvoice]:
    with _named_in_errors(file):
        content = input.read_any(read(file), account_id=account_id, prefix=prefix, secrets=secrets)
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
        return read_whole(sys.stdin.buffer) if file == "-" else read_file(file)
    except OSError as error:
        raise CommandError(f"cannot read {_label(file)}: {error.strerror}") from None


def read_text(file: str) -> str:
    """
    Return the text in *file*, which may be ``-``, in UTF-8 or UTF-16.

    Raises `CommandError`, and `NoInvoiceError` if it is in more than one encoding, or another.
    """
    with _named_in_errors(file):
        return input.decoded(read(file))


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def _named(
    found: Found | MissingInvoice, name: str | None, file: str | None
) -> Found | MissingInvoice:
    if name is not None:
        return replace(found, names=(one_line(name, LONGEST_NAME),))
    if file is not None and not found.names:
        return replace(found, names=(one_line(_label(file), LONGEST_NAME),))
    return found


def _label(file: str) -> str:
    return "standard input" if file == "-" else one_line(file)


@contextmanager
def _progress(text: str) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    with line_on_terminal(text):
        yield
