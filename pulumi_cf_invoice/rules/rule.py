"""What every kind of rule is made of, and what it finds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Literal

from pulumi_cf_invoice.accounts import AccountState
from pulumi_cf_invoice.billing.models import Model
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW, Read
from pulumi_cf_invoice.rule_settings import Setting
from pulumi_cf_invoice.state import InvoiceState, snake_case

Status = Literal["within", "over", "unknown", "told"]
"""
What a finding says: ``within`` the rule, ``over`` it, ``unknown``, which violates it as well, or
``told``, which is no violation but has to be known.
"""


@dataclass(frozen=True)
class Finding:
    """
    What a rule says of one figure.

    ``subject`` is what was judged, such as `AMOUNT_DUE` or the name of a line (``of_line``).
    ``amount`` and ``limit`` are None where there is none, and ``excess`` says by how much the one
    is over the other. ``account_id`` is the account that a rule read by itself.
    """

    status: Status
    subject: str
    tell: Callable[[], str] = field(repr=False, compare=False)
    amount: Money | None = None
    limit: Money | None = None
    excess: str | None = None
    of_line: bool = False
    account_id: str | None = None

    @property
    def violates(self) -> bool:
        """Whether the finding is a violation of its rule."""
        return self.status in ("over", "unknown")

    @property
    def message(self) -> str:
        """The finding in one clean line that needs no other, with account and period."""
        # Made when it is asked for: words take longer than the evaluation.
        return self.tell()

    @property
    def text(self) -> str:
        """The finding for people who see account and period beside it."""
        if self.amount is None or self.limit is None:
            return self.message
        return f"{self.amount.text}, {self.excess or f'within the limit of {self.limit.text}'}"

    def followed_by(self, more: str) -> "Finding":
        """Return the finding with *more* sentences in its message."""
        tell = self.tell
        return replace(self, tell=lambda: f"{tell()}{more}") if more else self


class Rule:
    """
    A kind of rule, with its settings.

    ``name`` is what files and configs call the kind, and ``description`` what it asks for.
    ``settings`` are its own settings by name, of which it needs at least one of ``needs``, and of
    which a waiver replaces ``waivable``. A kind that ``reads_accounts`` can be given the accounts
    to read, and has to be if it ``must_read``. Of an account it needs ``reads``, without any of
    which it cannot be judged, and uses what it ``also_reads`` where that can be had.
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
    """A kind of rule on the resources of a stack, which is judged at deployments only."""

    reads_accounts = False
    reads = ()

    def evaluate_stack(self, resources: Sequence["StackResource"]) -> Iterator[tuple[str, str]]:
        """Return what is wrong with a stack's *resources*: each message with a URN, or none."""
        raise NotImplementedError


@dataclass(frozen=True)
class StackResource:
    """
    A resource of a stack, for rules on stacks.

    ``account_id`` is the account of an `InvoicePreview` with figures (``is_preview``), else None.
    """

    type: str
    name: str
    urn: str
    is_preview: bool = False
    account_id: str | None = None
