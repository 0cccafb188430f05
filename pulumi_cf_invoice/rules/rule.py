"""What every kind of rule consists of, and what it finds."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal

from pulumi_cf_invoice.billing import cleaning, money
from pulumi_cf_invoice.billing.models import Model
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW, Read
from pulumi_cf_invoice.rules.accounts import AccountState
from pulumi_cf_invoice.rules.limits import comparable, excess, shortfall
from pulumi_cf_invoice.rules.settings import Setting
from pulumi_cf_invoice.state import InvoiceState, snake_case

Status = Literal["within", "over", "failed", "unknown", "noted"]
"""
What a finding says: ``within`` the rule, ``over`` its limit, ``failed`` for a rule without a limit,
``unknown``, which also violates it, or ``noted``, which is not a violation but worth knowing.
"""

NOT_YET = "is not judged before the update: "
"""What messages say of a resource that depends on another one to come."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What a rule says about one figure.

    ``subject`` is what was judged, such as `AMOUNT_DUE` or the name of a line (``of_line``).
    ``amount`` and ``limit``, which ``is_minimum`` or else a maximum, are None if there is none.
    ``account_id`` is the account that a rule read itself, and ``age`` says, in a few words, how old
    what it read is, or the snapshot that lacks it; it is empty for less than a day. ``brief`` is a
    short form of the fact without account and rule, unless it compares an amount with a limit. What
    others wrote in it is marked (`named`). ``remedy`` is what to do about a violation, in a
    sentence. ``is_passed_over`` means that an account could not be read, which the rule allows.
    ``is_refilled`` means that a working top-up adds to the credits, and ``runs_out`` is the UTC day
    on which they run out if they do not last; it is None if they are used up. ``day`` is the UTC
    day whose spend was judged, if it is one. ``detail`` is what a reader has to know besides amount
    and limit, as the end of the `text`. ``is_to_come`` means that the figure is not known before an
    update, which judges it, and ``is_put_off`` that it is too early to judge it, which a day later
    it is not. ``is_foreseen`` means that a forecast was judged, and ``is_upper`` that its 90th
    percentile was. ``is_uncapped`` means that some of what may be spent has no limit at all.
    """

    status: Status
    subject: str
    tell: Callable[[], str] = field(repr=False, compare=False)
    amount: Money | None = None
    limit: Money | None = None
    is_minimum: bool = False
    of_line: bool = False
    is_difference: bool = False
    account_id: str | None = None
    brief: str | None = None
    remedy: str = ""
    is_passed_over: bool = False
    is_refilled: bool = False
    runs_out: date | None = None
    day: date | None = None
    detail: str = ""
    is_to_come: bool = False
    is_put_off: bool = False
    is_foreseen: bool = False
    is_upper: bool = False
    is_uncapped: bool = False
    age: str = ""

    @property
    def violates(self) -> bool:
        """Whether the finding is a violation of its rule."""
        return self.status in ("over", "failed", "unknown")

    @property
    def is_judged(self) -> bool:
        """Whether the figure is known, and within its rule or not."""
        return self.status in ("within", "over", "failed")

    @property
    def excess(self) -> str | None:
        """By how much the amount is over the limit, or below one that is a minimum, if it is."""
        if self.amount is None or self.limit is None:
            return None
        return (shortfall if self.is_minimum else excess)(*self.amount, self.limit)

    @property
    def message(self) -> str:
        """The finding in one clean line that needs no other, with account and period."""
        return cleaning.shown(self.marked)

    @property
    def violation(self) -> str:
        """The message, and what to do about it: what a policy pack reports."""
        return f"{self.message} {self.remedy}" if self.remedy else self.message

    @property
    def marked(self) -> str:
        """The message with what others wrote in it marked (`named`)."""
        # Made when it is asked for: words take longer than the evaluation.
        return self.tell()

    @property
    def text(self) -> str:
        """The finding for people who see account and period next to it."""
        if self.amount is None or self.limit is None:
            return self.marked
        tell = money.difference_text if self.is_difference else money.to_text
        compared = self.excess or within(self.limit, self.is_minimum)
        return f"{tell(*self.amount)}, {compared}{self.detail}"

    def followed_by(self, more: str) -> "Finding":
        """Return the finding with *more* sentences in its message."""
        tell = self.tell
        return replace(self, tell=lambda: f"{tell()}{more}") if more else self


def without_account(message: str, account_id: str) -> str:
    """Return a *message* of one account where readers know which that is."""
    # In that case the text after it begins the sentence.
    message = re.sub(rf"On account {account_id}, (.)", lambda found: str(found[1]).upper(), message)
    for phrase, instead in (
        (f" of account {account_id}", ""),
        (f"Account {account_id} ", "The account "),
        (f"account {account_id}", "the account"),
    ):
        message = message.replace(phrase, instead)
    return f"{message[:1].upper()}{message[1:]}"


class Rule:
    """
    A kind of rule, with its settings.

    ``name`` is the kind's name in files and configs, and ``description`` what it requires.
    ``settings`` are its own settings by name: it needs at least one of ``needs``, and a waiver
    replaces ``waivable``. A kind that ``reads_accounts`` accepts accounts to read, and requires
    them if it ``must_read``. It cannot be judged without all of its ``reads`` of an account, and
    uses what it ``also_reads`` if available. Some of these it only needs at times:
    `AccountState.get` raises if they were refused. ``remedy`` is what to do about a violation,
    unless the finding has its own: in either, ``{rule}`` is the place of the rule, ``{setting}``
    that of its limit, and ``{raise_it}`` what to do about that, ``{or_raise_it}`` at the end of a
    list. A kind that ``limits_amount_due`` has a
    `Limit` on the whole invoice.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    settings: ClassVar[Mapping[str, Setting]]
    needs: ClassVar[tuple[str, ...]]
    waivable: ClassVar[tuple[str, ...]] = ()
    reads_accounts: ClassVar[bool] = True
    must_read: ClassVar[bool] = False
    reads: ClassVar[tuple[Read[Model], ...]] = (INVOICE_PREVIEW,)
    also_reads: ClassVar[tuple[Read[Model], ...]] = ()
    remedy: ClassVar[str] = "Cap the gateways with spend limits, {or_raise_it}."
    limits_amount_due: ClassVar[bool] = False

    @classmethod
    def from_settings(cls, values: Mapping[str, Any]) -> "Rule":
        """Return the rule with *values* that the readers of its settings returned."""
        return cls(**{snake_case(name): value for name, value in values.items()})

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        """Return what the rule finds in *state* at the time *at*, which has a time zone."""
        raise NotImplementedError

    def evaluate_account(self, state: AccountState, at: datetime) -> Iterator[Finding]:
        """Return what the rule finds in an account that it read by itself, at the time *at*."""
        return self.evaluate(state.of_invoice, at)


class StackRule(Rule):
    """
    A kind of rule on a stack's resources, which is judged at its deployments.

    One that reads accounts is judged on both, at the end of a deployment. It ``looks_into``
    resources of certain types, which are globs, and needs the properties of no other.
    """

    reads_accounts = False
    reads: ClassVar[tuple[Read[Model], ...]] = ()
    looks_into: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def needs_properties(cls, resource_type: str) -> bool:
        """Return whether it looks into resources of a type."""
        return any(fnmatchcase(resource_type, glob) for glob in cls.looks_into)

    def evaluate_stack(
        self, resources: Sequence["StackResource"], accounts: Sequence[AccountState] = ()
    ) -> Iterator["tuple[Finding, str]"]:
        """
        Return what the rule finds in a stack's *resources*, and in the *accounts* that it read.

        Each finding comes with the URN it is about, or an empty one.
        """
        raise NotImplementedError

    def judged_accounts(self, resources: Sequence["StackResource"]) -> set[str | None]:
        """Return the accounts whose resources the rule judges by limits."""
        return set()

    def unmet(self, resources: Sequence["StackResource"]) -> str:
        """Return why the rule judges none of *resources*, in a sentence; empty if it does."""
        raise NotImplementedError


@dataclass(frozen=True)
class StackResource:
    """
    A resource of a stack, for rules on stacks.

    ``properties`` are those that are known, as plain data, and ``unknown`` are the names of those
    that depend on a resource to come, at a preview: both only for a rule that looks into the type.
    A resource that ``has_provider`` is what its type says, but a component can call itself
    anything. ``base_url`` is the address that its provider was given, if any. One that
    ``is_planned`` has its new properties only after the update. If its ``account_is_secret``, no
    message may name it.
    """

    type: str
    name: str
    urn: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    unknown: Collection[str] = ()
    has_provider: bool = True
    base_url: str | None = None
    is_planned: bool = True
    account_is_secret: bool = False


def held(
    subject: str,
    amount: float | Decimal,
    currency: str,
    limit: Money,
    tell: Callable[[str, str], str],
    is_minimum: bool = False,
    of_line: bool = False,
) -> Finding:
    """
    Compare *amount*, perhaps *of_line*, with *limit*, which is a maximum or a minimum.

    *tell* makes the message from the amount's text and its comparison with the limit.
    """
    judged = Money(amount, currency)
    by = money.total([amount], less=[limit.amount])
    status: Status = "within"
    if not comparable(currency, limit):
        status = "unknown"
    elif by < 0 if is_minimum else by > 0:
        status = _violated(is_minimum)

    def message() -> str:
        return tell(judged.text, finding.excess or within(limit, is_minimum))

    finding = Finding(status, subject, message, judged, limit, is_minimum, of_line)
    return finding


def to_come(what: str, lacks: str) -> Finding:
    """Return the finding that *what* is judged at an update, because it *lacks* something now."""
    message = f"{what} {NOT_YET}{lacks} not known yet."
    return Finding("noted", "stack", lambda: message, is_to_come=True)


def _violated(is_minimum: bool) -> Status:
    return "failed" if is_minimum else "over"


def within(limit: Money, is_minimum: bool) -> str:
    """Say that an amount is within its *limit*."""
    return f"{'not below the minimum' if is_minimum else 'within the limit'} of {limit.text}"


def no_limit(account: str | None, which: str = "") -> Finding:
    """
    Return the finding on an *account* that has no limit, as sentences call it.

    *which* says what limits they are, if there are several.
    """
    unknown = "the account is not known (--account-id names it)"
    has_none = f"{account} has none" if account else unknown
    why = f"the limits{which} differ by account: {has_none}"
    return Finding("unknown", "limit", lambda: f"{why[0].upper()}{why[1:]}.", brief=why)
