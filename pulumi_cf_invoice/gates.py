"""
Gates: declared rules that are complete, and judged over what a program or they themselves read.

Policy packs and reports judge through `Gate`, so that neither passes what the other blocks, and
both say it in the same words.
"""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import BillingError, LimitError, RuleError, SettingsError
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import Source, is_cloudflare
from pulumi_cf_invoice.limits import Limit
from pulumi_cf_invoice.rules import Finding, Rule, Status
from pulumi_cf_invoice.rules_file import READING, DeclaredRule, Level, Waiver, merged
from pulumi_cf_invoice.state import InvoiceState
from pulumi_cf_invoice.suggestions import told_under

DISABLED = "It is disabled, and judges nothing."
"""What has to be known of a rule whose level is ``disabled``."""


@dataclass(frozen=True)
class Gate:
    """
    A declared rule whose settings are complete.

    ``rule`` is what holds by itself, and ``waived`` what holds while ``waiver`` is in force: None
    suspends it. With ``account_ids`` the gate reads these accounts by itself, from ``base_url`` if
    that is set, and passes over one that cannot be read if it is to ``fail_open``.
    """

    name: str
    level: Level | None
    rule: Rule
    waiver: Waiver | None = None
    waived: Rule | None = None
    account_ids: tuple[str, ...] = ()
    fail_open: bool = False
    base_url: str | None = None

    @classmethod
    def of(cls, declared: DeclaredRule) -> "Gate":
        """Return the gate of a rule whose settings are merged. Raises `RuleError`."""
        with told_under(f"rule '{declared.name}'", RuleError):
            return cls._of(declared)

    @classmethod
    def _of(cls, declared: DeclaredRule) -> "Gate":
        kind, waiver = declared.kind, declared.waiver
        own = {name: declared.settings[name] for name in kind.settings if name in declared.settings}
        reading = {
            name: setting.read(declared.settings[name])
            for name, setting in READING.items()
            if name in declared.settings
        }
        accounts = reading.get("accountIds", ())
        if kind.must_read and not accounts:
            raise LimitError("it has no accountIds: name the accounts that it is to read")
        if reading and not accounts:
            raise LimitError(f"{' and '.join(reading)} does nothing without accountIds")
        rule = _rule(kind, own)
        if waiver is None or not kind.waivable:
            waived = None
        else:
            waived = _rule(kind, merged(own, waiver.settings))
        for one in (rule, waived):
            _refuse_unused_limits(one, accounts)
        return cls(
            declared.name,
            declared.level,
            rule,
            waiver,
            waived,
            accounts,
            reading.get("failOpen", False),
            reading.get("baseUrl"),
        )

    @property
    def reads_accounts(self) -> bool:
        """Whether the gate reads accounts by itself, and judges nothing else."""
        return bool(self.account_ids)

    def in_force(self, at: datetime) -> Rule | None:
        """Return the rule that counts at the time *at*; None while a waiver suspends it."""
        if self.waiver is not None and self.waiver.in_force(at):
            return self.waived
        return self.rule

    def notices(self, at: datetime) -> list[str]:
        """Return what has to be known of the gate itself at the time *at*, a sentence each."""
        return [said] if (said := self._of_waiver(at)) else []

    def judge(self, state: InvoiceState, at: datetime) -> list[Finding]:
        """Judge *state* at the time *at*, which has a time zone."""
        rule = self.in_force(at)
        if rule is None:
            return []
        found = list(rule.evaluate(state, at))
        if self.waiver is None and state.base_url is None:
            return found
        more = "".join(f" {said}" for said in (state.origin, self._of_waiver(at)) if said)
        return [finding.followed_by(more) if finding.violates else finding for finding in found]

    def judge_accounts(self, reader: "AccountReader", at: datetime) -> list[Finding]:
        """Judge each of the gate's accounts as *reader* reads it, at the time *at*."""
        if self.in_force(at) is None:
            return []
        # All are asked before the first is waited for.
        for account in self.account_ids:
            reader.ask(account, self.base_url)
        return [
            finding
            for account in self.account_ids
            for finding in self._account(reader, account, at)
        ]

    def _account(self, reader: "AccountReader", account_id: str, at: datetime) -> list[Finding]:
        try:
            found = self.judge(reader.read(account_id, self.base_url), at)
            return [replace(finding, account_id=account_id) for finding in found]
        except BillingError as error:
            teller = reader.teller(account_id, self.base_url, self.name)
            why = str(error) if teller == self.name else f"{teller} says why."
        judged = "was not judged, which failOpen allows" if self.fail_open else "is not known"
        message = f"Whether account {account_id} is within this rule {judged}: {why}"
        status: Status = "told" if self.fail_open else "unknown"
        unread = Finding(status, "account", lambda: message, account_id=account_id)
        return [unread.followed_by(f" {said}" if (said := self._of_waiver(at)) else "")]

    def _of_waiver(self, at: datetime) -> str:
        if self.waiver is None:
            return ""
        if not self.waiver.in_force(at):
            return f"Its waiver has ended, which was {self.waiver.text}."
        if self.waived is None:
            return f"A waiver suspends it {self.waiver.text}."
        limit = self.waiver.settings.get("limit")
        of = f" with the limit {one_line(limit)}" if isinstance(limit, str) else ""
        return f"A waiver{of} is in force {self.waiver.text}."


def _rule(kind: type[Rule], written: Mapping[str, Any]) -> Rule:
    if kind.needs and not any(name in written for name in kind.needs):
        raise LimitError(
            f"it has no {' or '.join(kind.needs)}, and would let everything pass: set "
            f"{'it' if len(kind.needs) == 1 else 'one of them'} in the rule or in Pulumi's config"
        )
    return kind.from_settings({n: kind.settings[n].read(value) for n, value in written.items()})


def _refuse_unused_limits(rule: Rule | None, accounts: tuple[str, ...]) -> None:
    if rule is None or not accounts:
        return
    limits = [value for value in vars(rule).values() if isinstance(value, Limit)]
    by_glob = [value for value in vars(rule).values() if isinstance(value, Mapping)]
    for limit in [*limits, *(one for globs in by_glob for one in globs.values())]:
        for account in limit.accounts:
            if account not in accounts:
                raise LimitError(
                    f"there is a limit for account {account}, which is not among accountIds"
                )


class AccountReader:
    """
    Reads the upcoming invoices of accounts for gates, each once, whether it fails or not.

    Credentials and timeout come from the sources *before* the environment *variables* and from
    these, and the base URL from the gate: one that stands elsewhere would redirect a gate that
    nobody told so.
    """

    def __init__(self, variables: Mapping[str, str], before: Sequence[Source] = ()) -> None:
        self._variables = variables
        self._before = [_without_base_url(source) for source in before]
        self._answers: dict[tuple[str, str], Future[Invoice]] = {}
        self._tellers: dict[tuple[str, str | None], str] = {}
        self._lock = threading.Lock()

    def ask(self, account_id: str, base_url: str | None) -> "Future[Invoice]":
        """
        Ask for the invoice of an account, if nobody has, at *base_url* or else at Cloudflare.

        What goes wrong is in the future.
        """
        try:
            resolved = self._settings(account_id, base_url)
        except BillingError as error:
            failed: Future[Invoice] = Future()
            failed.set_exception(error.with_traceback(None))
            return failed
        # Most packs and reports read nothing by themselves.
        from pulumi_cf_invoice.billing.client import BillingClient

        key = (account_id, resolved.base_url)
        with self._lock:
            if key not in self._answers:
                client = BillingClient.from_settings(resolved)
                self._answers[key] = client.submit(INVOICE_PREVIEW, account_id)
            return self._answers[key]

    def read(self, account_id: str, base_url: str | None) -> InvoiceState:
        """Return the invoice of an account. Raises `SettingsError` or `FetchError`."""
        invoice = self.ask(account_id, base_url).result()
        foreign = base_url is not None and not is_cloudflare(base_url)
        return InvoiceState(account_id, invoice, base_url=base_url if foreign else None)

    def teller(self, account_id: str, base_url: str | None, name: str) -> str:
        """Return the first gate that told why an account cannot be read, which may be *name*."""
        with self._lock:
            return self._tellers.setdefault((account_id, base_url), name)

    def _settings(self, account_id: str, base_url: str | None) -> settings.Settings:
        given = self._variables.get(settings.VARIABLES["baseUrl"])
        if base_url is None and given:
            base_url = settings.safe_base_url(given)
            if not is_cloudflare(base_url):
                raise SettingsError(
                    f"CLOUDFLARE_BASE_URL is {one_line(base_url)}, which is not Cloudflare's, and "
                    "a rule that reads by itself follows its own `baseUrl` alone: set that in the "
                    "rule, or unset the variable"
                )
        own = Source("the rule", {"baseUrl": base_url}, is_in_repository=True)
        environment = settings.environment(self._variables)
        return settings.resolve(account_id, [own, *self._before, environment])


def _without_base_url(source: Source) -> Source:
    values = {name: value for name, value in source.values.items() if name != "baseUrl"}
    return replace(source, values=values)
