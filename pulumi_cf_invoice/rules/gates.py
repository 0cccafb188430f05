"""
Gates: declared rules with all their settings, which judge what a program reads, or accounts that
they read themselves.

Policy packs and reports judge through `Gate`, so that neither passes what the other blocks, and
both use the same words.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import BillingError, LimitError, RuleError
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import foreign
from pulumi_cf_invoice.billing.suggestions import errors_under
from pulumi_cf_invoice.rules.accounts import AccountReader, AccountState
from pulumi_cf_invoice.rules.file import READING, DeclaredRule, Level, Waiver, waived
from pulumi_cf_invoice.rules.limits import Limit
from pulumi_cf_invoice.rules.rule import Finding, Rule, StackResource, StackRule
from pulumi_cf_invoice.state import InvoiceState, origin, snake_case

NO_INVOICE = (
    "It judged nothing, because the stack has no InvoicePreview. Pulumi does not show policies "
    "what a program reads with `.get` or a function; a rule with accountIds reads the accounts "
    "itself."
)
"""The note for a rule on the program's invoices if there are none."""
_MOST_NAMED = 5
DISABLED = "It is disabled and judges nothing."
"""The note for a rule whose level is ``disabled``."""
UNREAD = "account"
"""The subject of a finding on an account that could not be read."""


@dataclass(frozen=True)
class Gate:
    """
    A declared rule whose settings are complete.

    ``rule`` normally applies, and ``waived`` applies while ``waiver`` is in force: None suspends
    it. With ``account_ids`` the gate reads these accounts itself, from ``base_url`` if that is set,
    and skips one that cannot be read if it is to ``fail_open``. ``source`` is the file or flag that
    declares it, and ``base`` the rule of which it is a warning tier. ``dropped`` are the globs
    and accounts whose limits Pulumi's config has replaced, ``unlisted`` the accounts that it has
    taken off the rule's list, and ``replaced`` the settings that are its own.
    """

    name: str
    level: Level | None
    rule: Rule
    waiver: Waiver | None = None
    waived: Rule | None = None
    account_ids: tuple[str, ...] = ()
    fail_open: bool = False
    base_url: str | None = None
    source: str = ""
    base: str | None = None
    dropped: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    replaced: frozenset[str] = frozenset()

    @classmethod
    def of(cls, declared: DeclaredRule) -> "Gate":
        """Return the gate of a rule whose settings are merged. Raises `RuleError`."""
        with errors_under(f"rule '{declared.name}'", RuleError):
            return cls._of(declared)

    @classmethod
    def _of(cls, declared: DeclaredRule) -> "Gate":
        kind, waiver, settings = declared.kind, declared.waiver, declared.settings
        own = {name: value for name, value in settings.items() if name in kind.settings}
        reading = {name: settings[name] for name in READING if name in settings}
        accounts = reading.get("accountIds", ())
        if kind.must_read and not accounts:
            raise LimitError("it has no accountIds: list the accounts that it should read")
        if reading and not accounts:
            raise LimitError(
                f"{' and '.join(reading)} {'have' if len(reading) > 1 else 'has'} no effect "
                "without accountIds"
            )
        rule = _rule(kind, own)
        under_waiver = None
        if waiver is not None and kind.waivable:
            with errors_under("waiver"):
                under_waiver = _rule(kind, waived(own, waiver.settings))
        for complete in (rule, under_waiver):
            _refuse_unused_limits(complete, accounts)
        return cls(
            declared.name,
            declared.level,
            rule,
            waiver,
            under_waiver,
            accounts,
            reading.get("failOpen", False),
            reading.get("baseUrl"),
            declared.source,
            declared.base,
            declared.dropped,
            declared.unlisted,
            declared.replaced,
        )

    @property
    def reads_accounts(self) -> bool:
        """Whether the gate reads accounts itself, and judges nothing else."""
        return bool(self.account_ids)

    def is_on(self, account_id: str | None) -> bool:
        """Return whether the gate judges an account: any, unless it reads those that it lists."""
        return not self.account_ids or account_id in self.account_ids

    def in_force(self, at: datetime) -> Rule | None:
        """Return the rule that applies at the time *at*; None while a waiver suspends it."""
        if self.waiver is not None and self.waiver.in_force(at):
            return self.waived
        return self.rule

    def limit(self, account_id: str | None, at: datetime) -> Money | None:
        """Return the limit on an account's amount due that holds at the time *at*, if any does."""
        rule = self.in_force(at) if self.is_on(account_id) else None
        if rule is None or not rule.limits_amount_due:
            return None
        limit: Limit = vars(rule)["limit"]
        return limit.of(account_id)

    def remedy(self, finding: Finding, account_id: str | None, at: datetime) -> str:
        """
        Return what to do about a *finding* on an account that violates the rule at the time *at*;
        empty if it says that.
        """
        remedy = finding.remedy or self.rule.remedy
        if finding.status == "unknown" and not finding.remedy:
            # A failed read already says what to do.
            remedy = ""
            if finding.limit is not None and finding.amount is not None:
                remedy = f"Set {{setting}} in {finding.amount.currency.upper()}."
            if finding.subject == "limit":
                remedy = "Give the account a limit in {setting}."
        return self._filled(remedy, self._is_waived(finding.limit, account_id, at))

    def rule_remedy(
        self, limit: Money, account_id: str | None, at: datetime, *, is_due: bool
    ) -> str:
        """
        Return what to do about an account's figure that is over a *limit* at the time *at*: no cap
        helps against what *is_due* already.
        """
        remedy = "{raise_it}." if is_due else self.rule.remedy
        return self._filled(remedy, self._is_waived(limit, account_id, at))

    def _filled(self, remedy: str, is_waived: bool) -> str:
        setting = self._setting(is_waived)
        is_written = self.source and not self.source.startswith("--")
        can_waive = is_written and self.rule.waivable and not is_waived
        waive = "give it a waiver" if self.waiver is None else "extend its waiver"
        ways = [f"raise {setting}", *([waive] if can_waive else [])]
        return remedy.format(
            setting=setting,
            rule=self._written,
            raise_it=" or ".join(ways),
            or_raise_it=", or ".join(ways) if can_waive else f"or {ways[0]}",
        )

    def _setting(self, is_waived: bool) -> str:
        """Return the place of the setting that has a limit, which may be the waiver's."""
        if self.source.startswith("--"):
            return self.source
        needed = next((name for name in self.rule.needs if snake_case(name) in vars(self.rule)), "")
        if is_waived:
            return f"the {needed} of the waiver of {self._written}"
        if needed in self.replaced:
            return f"the {needed} of {self._named} in Pulumi's policy config"
        return f"the {needed} of {self._written}" if needed else self._written

    def _is_waived(self, limit: Money | None, account_id: str | None, at: datetime) -> bool:
        """
        Return whether a waiver has an account's *limit* at the time *at*; it leaves others in
        force. What was not compared with one goes by the limit that the account has.
        """
        if self.waiver is None or not self.waiver.in_force(at) or not self.waiver.settings:
            return False
        own, now = (
            [each.of(account_id) for each in _limits_of(rule)] for rule in (self.rule, self.waived)
        )
        return limit not in own and (limit is not None or own != now)

    @property
    def _written(self) -> str:
        return f"{self._named}{f' in {self.source}' if self.source else ''}"

    @property
    def _named(self) -> str:
        return f"the rule {self.base or self.name}"

    def notices(self, at: datetime) -> list[str]:
        """Return notes about the gate itself at the time *at*, a sentence each."""
        sentences = (
            self._of_waiver(at),
            _left_out("limits", "those for ", self.dropped),
            _left_out("list of accounts", "", self.unlisted),
        )
        return [sentence for sentence in sentences if sentence]

    def unmatched(self, judged: Collection[str | None], at: datetime) -> str:
        """
        Report the accounts that have their own limit but are not among those *judged*.

        The result is a sentence, or empty if there are none.
        """
        named = dict.fromkeys(
            account for limit in _limits_of(self.in_force(at)) for account in limit.accounts
        )
        accounts = [account for account in named if account not in judged]
        if not accounts:
            return ""
        return f"Its limits name {_accounts(accounts)}, of which nothing was judged."

    def passed_over(self, findings: Iterable[Finding]) -> str:
        """
        Report how many accounts in *findings* could not be read, which failOpen allows.

        The result is a sentence, or empty if there are fewer than two: one speaks for itself.
        """
        accounts = [finding.account_id for finding in findings if finding.is_passed_over]
        if len(accounts) < 2:
            return ""
        named = _accounts([account for account in accounts if account])
        return f"{len(accounts):,} accounts could not be judged, which failOpen allows: {named}."

    def judge(self, state: InvoiceState, at: datetime) -> list[Finding]:
        """Judge *state* at the time *at*, which has a time zone."""
        rule = self.in_force(at)
        if rule is None:
            return []
        return self._explained(rule.evaluate(state, at), state.account_id, at)

    def judge_accounts(self, reader: AccountReader, at: datetime) -> list[Finding]:
        """Judge each of the gate's accounts as *reader* reads it, at the time *at*."""
        rule = self.in_force(at)
        if rule is None:
            return []
        self.ask(reader, at)
        return [
            replace(finding, account_id=account)
            for account in self.account_ids
            for finding in self._account(rule, reader, account, at)
        ]

    def invoices(self, reader: AccountReader, at: datetime) -> list[InvoiceState]:
        """
        Return the invoices of the gate's accounts as *reader* reads them, if the rule is on these.

        Those that cannot be read are left out.
        """
        rule = self.in_force(at)
        if rule is None or INVOICE_PREVIEW not in rule.reads:
            return []
        read = [self._read(rule, reader, account, at) for account in self.account_ids]
        return [state.of_invoice for state in read if isinstance(state, AccountState)]

    def judge_stack(
        self, resources: Sequence[StackResource], reader: AccountReader, at: datetime
    ) -> list[tuple[Finding, str]]:
        """
        Judge a stack's *resources*, and the gate's accounts as *reader* reads them.

        Each finding comes with the URN it is about, or an empty one.
        """
        rule = self.in_force(at)
        if not isinstance(rule, StackRule):
            return []
        self.ask(reader, at)
        read = [self._read(rule, reader, account, at) for account in self.account_ids]
        states = [state for state in read if isinstance(state, AccountState)]
        unread = [(finding, "") for finding in read if isinstance(finding, Finding)]
        found = [*rule.evaluate_stack(resources, states), *unread]
        # The account of a stack's resource may be a secret.
        return [
            (replace(explained, account_id=None), urn)
            for finding, urn in found
            for explained in self._explained([finding], finding.account_id, at)
        ]

    def ask(self, reader: AccountReader, at: datetime) -> None:
        """Have *reader* request what the gate reads itself, without waiting for it."""
        rule = self.in_force(at)
        if rule is None:
            return
        for account in self.account_ids:
            read_at = reader.read_at(account, self.base_url, at)
            for read in (*rule.reads, *rule.also_reads):
                reader.ask(read.asked(read_at), account, self.base_url)

    def _account(
        self, rule: Rule, reader: AccountReader, account_id: str, at: datetime
    ) -> list[Finding]:
        state = self._read(rule, reader, account_id, at)
        if isinstance(state, Finding):
            return self._explained([state], account_id, at)
        try:
            return self._explained(rule.evaluate_account(state, at), account_id, at)
        except BillingError as error:
            return self._explained([self._unread(reader, account_id, error)], account_id, at)

    def _read(
        self, rule: Rule, reader: AccountReader, account_id: str, at: datetime
    ) -> AccountState | Finding:
        """Return what is read of an account for *rule*, or the finding that it could not be."""
        # A run that passes midnight does not request a second day.
        read_at = reader.read_at(account_id, self.base_url, at)
        needed, also = (
            [read.asked(read_at) for read in reads] for reads in (rule.reads, rule.also_reads)
        )
        try:
            return reader.read(account_id, self.base_url, needed, also, at=read_at)
        except BillingError as error:
            return self._unread(reader, account_id, error)

    def _unread(self, reader: AccountReader, account_id: str, error: BillingError) -> Finding:
        is_strict = not self.fail_open and self.level in (None, "mandatory")
        teller = reader.teller(account_id, self.base_url, str(error), self.name, is_strict)
        why = str(error) if teller == self.name else f"{teller} says why."
        allowed = ", which failOpen allows" if self.fail_open else ""
        message = unjudged_account(account_id, why, allowed)
        return Finding(
            "noted" if self.fail_open else "unknown",
            UNREAD,
            lambda: message,
            brief=None if self.fail_open else why,
            is_passed_over=self.fail_open,
        )

    def _explained(
        self, found: Iterable[Finding], account_id: str | None, at: datetime
    ) -> list[Finding]:
        """Return what was *found* on an account; violations include the notes, and what to do."""
        sentence = self._of_waiver(at)
        more = f" {sentence}" if sentence else ""
        return [
            replace(finding.followed_by(more), remedy=self.remedy(finding, account_id, at))
            if finding.violates
            else finding
            for finding in found
        ]

    @property
    def origin(self) -> str:
        """Where the gate reads accounts from, as a sentence; empty if from Cloudflare."""
        return origin(foreign(self.base_url)) if self.account_ids else ""

    def has_figures(self, account_id: str, reader: AccountReader, at: datetime) -> bool:
        """Return whether nothing that the gate needs of an account was refused."""
        read_at = reader.read_at(account_id, self.base_url, at)
        asked = (
            reader.ask(read.asked(read_at), account_id, self.base_url) for read in self.rule.reads
        )
        return all(answer.exception() is None for answer in asked)

    def _of_waiver(self, at: datetime) -> str:
        if self.waiver is None:
            return ""
        if not self.waiver.in_force(at):
            return f"Its waiver ({self.waiver.text}) has ended."
        if self.waived is None:
            return f"A waiver suspends it {self.waiver.text}."
        return f"A waiver with {self.waiver.terms} is in force {self.waiver.text}."


def unjudged_account(account_id: str, why: str, allowed: str = "") -> str:
    """Return the sentence that an account could not be judged, and *why*."""
    end = "" if why.endswith(".") else "."
    return f"Account {account_id} could not be judged{allowed}: {why}{end}"


def _left_out(what: str, those: str, names: Sequence[str]) -> str:
    """Say that Pulumi's config replaces *what* of a rule, and leaves out *those* with *names*."""
    if not names:
        return ""
    more = len(names) - _MOST_NAMED
    named = [one_line(each) for each in names[:_MOST_NAMED]]
    all_named = ", ".join([*named, *([f"{more:,} more"] if more > 0 else [])])
    return f"Pulumi's policy config replaces its {what}, and leaves out {those}{all_named}."


def _rule(kind: type[Rule], values: Mapping[str, Any]) -> Rule:
    if kind.needs and not any(name in values for name in kind.needs):
        raise LimitError(
            f"it has no {' or '.join(kind.needs)} and would let everything pass: set "
            f"{'it' if len(kind.needs) == 1 else 'one of them'} in the rule or in Pulumi's config"
        )
    return kind.from_settings(values)


def _refuse_unused_limits(rule: Rule | None, accounts: tuple[str, ...]) -> None:
    if rule is None or not accounts:
        return
    for limit in _limits_of(rule):
        for account in limit.accounts:
            if account not in accounts:
                raise LimitError(
                    f"there is a limit for account {account}, which is not among accountIds"
                )


def _limits_of(rule: Rule | None) -> list[Limit]:
    """Return every limit among the settings of *rule*."""
    values = [] if rule is None else list(vars(rule).values())
    by_glob = (limit for value in values if isinstance(value, Mapping) for limit in value.values())
    return [limit for limit in (*values, *by_glob) if isinstance(limit, Limit)]


def _accounts(accounts: Sequence[str]) -> str:
    more = f" and {len(accounts) - _MOST_NAMED:,} more" if len(accounts) > _MOST_NAMED else ""
    noun = "account" if len(accounts) == 1 else "accounts"
    return f"{noun} {', '.join(accounts[:_MOST_NAMED])}{more}"
