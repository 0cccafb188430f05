"""The accounts that a command reads: one, several, those in a file, or all that a token can see."""

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.cleaning import LONGEST_NAME, one_line
from pulumi_cf_invoice.billing.credentials import Secrets, secrets_in
from pulumi_cf_invoice.billing.errors import ApiError, BillingError, SettingsError, where_to
from pulumi_cf_invoice.billing.files import read_file
from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    USAGE_HISTORY,
)
from pulumi_cf_invoice.billing.settings import ANY_ACCOUNT, Settings, Source, canonical_account_id
from pulumi_cf_invoice.billing.snapshot import Snapshot, take_each
from pulumi_cf_invoice.cli.errors import CommandError
from pulumi_cf_invoice.cli.progress import progress

_OF_BILLING = (INVOICE_PREVIEW, CREDIT_BALANCE, USAGE_HISTORY, INVOICE_HISTORY)
# The codes of Cloudflare's errors, and those for an address that it does not have, or for
# credentials that it does not take.
_FIRST_CODE = 1000
_OTHERWISE = (7000, 7003, 9109, 10000)
_ACCOUNT_ID = re.compile("[0-9a-f]{32}", re.IGNORECASE)
# Of two files joined where the first has no line break at its end: a comment does not have the
# first word of a line of accounts right behind one of its own.
_JOINED_ID = re.compile(r"[^\s#/][0-9a-f]{32}(?=[\s,;]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class NamedAccount:
    """An account with its name, if it has one."""

    account_id: str
    name: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The name, in the form in which `Found` has it."""
        return (self.name,) if self.name else ()


def are_several(options: argparse.Namespace) -> bool:
    """Return whether *options* select more than the one account in the settings."""
    is_file = options.accounts_file is not None
    return bool(options.all_accounts or is_file or len(options.account_ids) > 1)


def only_account(options: argparse.Namespace) -> str | None:
    """Return the account that *options* name, if they name one. Raises `CommandError`."""
    if options.excepted and not are_several(options):
        raise CommandError("--except has no effect without --accounts or --all-accounts")
    return options.account_ids[0] if len(options.account_ids) == 1 else None


def listed(options: argparse.Namespace, secrets: Secrets) -> list[NamedAccount]:
    """
    Return the accounts that *options* name, those in a file among them, in order.

    Their names are redacted of *secrets*.

    Raises `CommandError`, with the line in the file, for invalid or repeated account IDs.
    """
    if options.accounts_file is not None:
        accounts = list(_in_file(options.accounts_file, secrets))
    else:
        given = [_canonical(written, "--account-id") for written in options.account_ids]
        twice = next((account for account in given if given.count(account) > 1), None)
        if twice is not None:
            raise CommandError(f"--account-id is given twice for account {twice}")
        accounts = [NamedAccount(account_id) for account_id in given]
    return _without(accounts, options)


def seen(
    options: argparse.Namespace, before: Sequence[Source], resolved: Settings
) -> list[NamedAccount]:
    """
    Return the accounts of *options*, or all that the token in the *resolved* settings can see.

    Those settings come from the sources *before* the environment, and from the environment.
    Raises what `listed` raises, `FetchError`, and `CommandError` for a list that is not complete.
    """
    if not options.all_accounts:
        return listed(options, known_secrets(before, options))
    from pulumi_cf_invoice.billing.client import BillingClient

    found = BillingClient.from_settings(resolved).get_accounts()
    where = where_to(settings.foreign(resolved.base_url))
    if not found.accounts_complete:
        raise CommandError(f"the API gave only a part of the list of accounts: run again.{where}")
    if not found.accounts:
        raise CommandError(
            f"the token sees no accounts: give it Account Settings Read on those to read.{where}"
        )
    named = [
        NamedAccount(account.account_id, one_line(account.name or "", LONGEST_NAME) or None)
        for account in found.accounts
    ]
    return _without(named, options)


def read_each(
    options: argparse.Namespace, before: Sequence[Source]
) -> Iterator[tuple[NamedAccount, Snapshot]]:
    """
    Yield each of the several accounts of *options* with all its reads, and show the progress.

    Raises what `seen` raises.
    """
    resolved = resolve(ANY_ACCOUNT, before)
    accounts = seen(options, before, resolved)
    yield from read_accounts(accounts, resolved)


def read_accounts(
    accounts: Sequence[NamedAccount], resolved: Settings
) -> Iterator[tuple[NamedAccount, Snapshot]]:
    """Yield each of *accounts* with all reads of it, with the *resolved* settings of any."""
    each = (replace(resolved, account_id=account.account_id) for account in accounts)
    with progress(len(accounts)) as advance:
        for account, snapshot in zip(accounts, take_each(each, datetime.now(UTC)), strict=True):
            advance()
            yield account, snapshot


def known_secrets(before: Sequence[Source], options: argparse.Namespace | None = None) -> Secrets:
    """
    Return the credentials of this run: in the environment, in the sources *before* it, and the
    addresses to notify of *options*.
    """
    of_stack = (source.get(name) for source in before for name in ("apiToken", "apiKey"))
    of_environment = (secret for _, secret in secrets_in(os.environ))
    given = [str(secret) for secret in of_stack if secret]
    return Secrets([*of_environment, *given, *getattr(options, "receivers", ())])


def resolve(account_id: str | None, before: Sequence[Source]) -> Settings:
    """Resolve the settings to read with, *before* those of the environment."""
    resolved = settings.resolve(account_id, [*before, settings.environment(os.environ)])
    # The rate limit is per token, which may have more accounts than fit into it at once.
    return replace(resolved, longest_wait=inf) if account_id == ANY_ACCOUNT else resolved


def is_unused(snapshot: Snapshot) -> bool:
    """
    Return whether Cloudflare says that an account has never used AI Gateway's billing.

    It has no invoice then, and whatever else is known of its billing is nothing either.
    """
    problems = [snapshot.problem(read) for read in _OF_BILLING]
    if problems[0] is None or not all(problem is None or _is_none(problem) for problem in problems):
        return False
    balance, usage = snapshot.find(CREDIT_BALANCE), snapshot.find(USAGE_HISTORY)
    earlier = snapshot.find(INVOICE_HISTORY)
    return not (
        (balance is not None and balance.balance)
        or (usage is not None and (usage.total or usage.entries_without_value))
        or (earlier is not None and (earlier.invoices or not earlier.invoices_complete))
    )


def _is_none(error: BillingError) -> bool:
    """Return whether *error* is Cloudflare's own for what an account does not have."""
    if not isinstance(error, ApiError) or error.status != 404 or error.code is None:
        return False
    # A proxy's page has no code, and its JSON at most the status.
    return error.code >= _FIRST_CODE and error.code not in _OTHERWISE


def _without(accounts: list[NamedAccount], options: argparse.Namespace) -> list[NamedAccount]:
    excepted = {_canonical(written, "--except") for written in options.excepted}
    unknown = excepted - {account.account_id for account in accounts}
    if unknown:
        raise CommandError(f"--except names {min(unknown)}, which is not among the accounts")
    left = [account for account in accounts if account.account_id not in excepted]
    if accounts and not left:
        raise CommandError("--except leaves out every account")
    return left


def _in_file(file: str, secrets: Secrets) -> Iterator[NamedAccount]:
    try:
        text = secrets.redact(read_file(file).decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(f"cannot read {one_line(file)}: {reason}") from None
    lines: dict[str, int] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        where = f"{one_line(file)}, line {number}"
        if line.startswith("#") and _JOINED_ID.search(line):
            raise CommandError(
                f"{where}: a word of the comment ends like an account ID: put a line break before "
                "the ID, or a blank if it is part of the comment"
            )
        if "\ufeff" in line:
            raise CommandError(f"{where}: another file begins within it: put a line break before")
        if not line or line.startswith("#"):
            continue
        words = re.split(r"[\s,;]+", line, maxsplit=1)
        account_id = _canonical(words[0], where)
        if account_id in lines:
            raise CommandError(
                f"{where}: account {account_id} appears twice, first on line {lines[account_id]}"
            )
        lines[account_id] = number
        name = " ".join(words[1:])
        if _ACCOUNT_ID.search(name):
            raise CommandError(
                f"{where}: the name has what may be a second account: give each its own line, "
                "and shorten a hash"
            )
        yield NamedAccount(account_id, one_line(name, LONGEST_NAME) or None)
    if not lines:
        raise CommandError(f"{one_line(file)} lists no accounts: write an ID and a name per line")


def _canonical(written: str, where: str) -> str:
    try:
        return canonical_account_id(written)
    except SettingsError as error:
        raise CommandError(f"{where}: {error}") from None
