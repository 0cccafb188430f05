"""Spend limits as people write them, and by how much an amount is over one, in words."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase

from pulumi_cf_invoice.money import Money, parse

WrittenLimit = str | Mapping[str, str | Mapping[str, str]]
"""``"250 USD"``, or ``{"limit": "250 USD", "accounts": {"<account ID>": "100 USD"}}``."""


@dataclass(frozen=True)
class Limit:
    """A limit for every account, with limits of their own for some."""

    default: Money | None
    accounts: Mapping[str, Money]

    @classmethod
    def parse(cls, written: WrittenLimit) -> "Limit":
        """Read a written limit. Raises ValueError, in words for who wrote it."""
        if isinstance(written, str):
            return cls(parse(written), {})
        default, accounts = written.get("limit"), written.get("accounts", {})
        if not isinstance(accounts, Mapping) or not (default is None or isinstance(default, str)):
            raise ValueError("a limit is an amount, or an object with limit and accounts")
        return cls(
            None if default is None else parse(default),
            {account.lower(): parse(amount) for account, amount in accounts.items()},
        )

    def of(self, account_id: str) -> Money | None:
        """The limit of *account_id*, where it has one."""
        return self.accounts.get(account_id, self.default)


@dataclass(frozen=True)
class IncreaseLimit:
    """How much more is too much: an amount of money, or a percentage."""

    amount: Money | None = None
    percent: Decimal | None = None

    @classmethod
    def parse(cls, written: str) -> "IncreaseLimit":
        """Read ``"50 USD"`` or ``"20%"``. Raises ValueError, in words for who wrote it."""
        percent = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*", written)
        if percent:
            return cls(percent=Decimal(percent.group(1)))
        return cls(amount=parse(written))

    def from_amount(self, before: int, currency: str) -> Money:
        """The most that an increase from *before*, in minor units of *currency*, may come to."""
        if self.amount is not None:
            return self.amount
        share = Decimal(max(before, 0)) * (self.percent or 0) / 100
        return Money(int(share), currency)

    @property
    def text(self) -> str:
        """The limit for people."""
        return self.amount.text if self.amount is not None else f"{self.percent} %"


def longest_match(description: str | None, globs: Iterable[str]) -> str | None:
    """The glob whose limit counts for a line: of those that match *description*, the longest."""
    matching = [glob for glob in globs if fnmatchcase(description or "", glob)]
    return max(matching, key=len, default=None)


def over(amount: int, currency: str, limit: Money) -> str | None:
    """
    What to say of *amount* (minor units of *currency*) where it is over *limit*; None within it.

    Exactly at the limit is within it. Another currency is never within it.
    """
    if currency != limit.currency:
        return (
            f"in {currency.upper()}, which cannot be compared with the limit of {limit.text}: "
            f"set a limit in {currency.upper()}"
        )
    if amount <= limit.amount:
        return None
    return f"over the limit of {limit.text} by {Money(amount - limit.amount, currency).text}"
