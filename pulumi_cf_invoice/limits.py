"""
Spend limits: read as people write them, and held against an amount.

Limits are written in major units with their currency, as one would say them: ``250.00 USD``,
``usd 250``. One that cannot be read raises `LimitError`, in words for whoever wrote it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache

from pulumi_cf_invoice.billing.errors import LimitError
from pulumi_cf_invoice.billing.money import Money, digits, percentage, to_text, total

WrittenLimit = str | Mapping[str, str | Mapping[str, str]]
"""``"250 USD"``, or ``{"limit": "250 USD", "accounts": {"<account ID>": "100 USD"}}``."""

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?"
AMOUNT_PATTERN = rf"^\s*(?:[A-Za-z]{{3}}\s*{_NUMBER}|{_NUMBER}\s*[A-Za-z]{{3}})\s*$"
"""The form that `parse_amount` takes, as a regular expression that JSON Schema understands too."""


_LONGEST_AMOUNT = 100


def parse_amount(written: str) -> Money:
    """
    Read an amount in major units with its currency: ``250.00 USD``, ``usd 250``, ``1,000 USD``.

    Raises `LimitError` when there is no currency, no number, a sign, or a digit too many.
    """
    if not isinstance(written, str):
        raise LimitError(f"{written!r} is not an amount of money: write it as '250.00 USD'")
    if len(written) > _LONGEST_AMOUNT:
        raise LimitError(f"{written[:20]!r}… is too long for an amount of money")
    return _parsed_amount(written)


@cache
def _parsed_amount(written: str) -> Money:
    number = re.search(_NUMBER, written)
    currency = re.search("[A-Za-z]{3}", written)
    if re.match(AMOUNT_PATTERN, written) and number and currency:
        code = currency.group().lower()
        return Money(_minor_units(Decimal(number.group().replace(",", "")), code), code)
    if re.fullmatch(rf"\s*{_NUMBER}\s*", written):
        raise LimitError(f"{written!r} has no currency: write it as '{written.strip()} USD'")
    if number and "-" in written:
        raise LimitError(f"{written!r} is below zero: a limit is zero or more")
    raise LimitError(f"{written!r} is not an amount of money: write it as '250.00 USD'")


def _minor_units(amount: Decimal, currency: str) -> int:
    # From its digits: arithmetic would round to the caller's decimal context.
    _, figures, exponent = amount.as_tuple()
    shift = int(exponent) + digits(currency)
    number = int("".join(map(str, figures)))
    whole, rest = divmod(number * 10 ** max(shift, 0), 10 ** max(-shift, 0))
    if rest:
        raise LimitError(f"{amount} has more digits than {currency.upper()} has")
    return int(whole)


@dataclass(frozen=True)
class Limit:
    """A limit for every account, and limits of their own for some."""

    default: Money | None
    accounts: Mapping[str, Money]

    @classmethod
    def parse(cls, written: WrittenLimit) -> "Limit":
        """Read a limit as it is written. Raises `LimitError`."""
        if not isinstance(written, Mapping):
            return cls(parse_amount(written), {})
        default, accounts = written.get("limit"), written.get("accounts", {})
        if not isinstance(accounts, Mapping) or not (default is None or isinstance(default, str)):
            raise LimitError("a limit is an amount, or an object with limit and accounts")
        return cls(
            None if default is None else parse_amount(default),
            {account.lower(): parse_amount(amount) for account, amount in accounts.items()},
        )

    def of(self, account_id: str | None) -> Money | None:
        """Return the limit of *account_id*, if it has one."""
        return self.accounts.get(account_id or "", self.default)


@dataclass(frozen=True)
class IncreaseLimit:
    """The largest increase that is allowed: an amount of money, or a percentage."""

    amount: Money | None = None
    percent: Decimal | None = None

    @classmethod
    def parse(cls, written: str) -> "IncreaseLimit":
        """Read ``"50 USD"`` or ``"20%"``. Raises `LimitError`."""
        if not isinstance(written, str) or len(written) > _LONGEST_AMOUNT:
            return cls(amount=parse_amount(written))
        percent = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*", written)
        if percent:
            return cls(percent=Decimal(percent.group(1)))
        return cls(amount=parse_amount(written))

    def from_amount(self, before: float, currency: str) -> Money:
        """Return the largest increase allowed from *before*, in minor units of *currency*."""
        if self.amount is not None:
            return self.amount
        return Money(percentage(max(before, 0), self.percent or Decimal(0)), currency)

    @property
    def text(self) -> str:
        """The limit for people."""
        return self.amount.text if self.amount is not None else f"{self.percent} %"


def longest_match(description: str | None, globs: Iterable[str]) -> str | None:
    """Return the glob whose limit counts for a line: the longest that matches *description*."""
    matching = [glob for glob in globs if fnmatchcase(description or "", glob)]
    return max(matching, key=len, default=None)


def excess(amount: float, currency: str, limit: Money) -> str | None:
    """
    Say by how much *amount*, in minor units of *currency*, exceeds *limit*; None if it does not.

    An amount that equals its limit is within it. One in another currency never is.
    """
    if currency != limit.currency:
        return (
            f"in {currency.upper()}, which cannot be compared with the limit of {limit.text}: "
            f"set a limit in {currency.upper()}"
        )
    over = total([amount], less=[limit.amount])
    if over <= 0:
        return None
    if over * 2 < 1:
        return f"over the limit of {limit.text} by less than {to_text(1, currency)}"
    return f"over the limit of {limit.text} by {to_text(over, currency)}"
