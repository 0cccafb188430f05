"""
Spend limits: parsed as people write them, and compared with an amount.

Limits are written in major units with their currency: ``250.00 USD``, ``usd 250``. One that cannot
be parsed raises `LimitError`, with a message for whoever wrote it.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cache
from typing import Any

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import LimitError, SettingsError
from pulumi_cf_invoice.billing.money import (
    Money,
    currencies_with,
    difference_text,
    digits,
    percentage,
    to_major,
    total,
)
from pulumi_cf_invoice.billing.settings import canonical_account_id
from pulumi_cf_invoice.billing.suggestions import unknown_name

WrittenLimit = str | Mapping[str, str | Mapping[str, str]]
"""``"250 USD"``, or ``{"limit": "250 USD", "accounts": {"<account ID>": "100 USD"}}``."""

_WHOLE = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)"
_NUMBER = rf"{_WHOLE}(?:\.[0-9]+)?"
_ANY_NUMBER = r"[0-9](?:[0-9.,' _\s]*[0-9])?"


def _amount_pattern() -> str:
    """Return the form that `parse_amount` takes, which depends on the currency's digits."""

    def has(*counts: int) -> str:
        codes = (code for count in counts for code in currencies_with(count))
        # JSON Schema's regular expressions have no flag that ignores case.
        either = ("".join(f"[{letter}{letter.lower()}]" for letter in code) for code in codes)
        return rf"[\s\S]*(?:{'|'.join(either)})"

    refused = (
        rf"(?={has(0)})[^.]*\.",
        rf"(?!{has(3, 4)})[^.]*\.[0-9]{{3}}",
        rf"(?={has(3)})[^.]*\.[0-9]{{4}}",
        rf"(?={has(4)})[^.]*\.[0-9]{{5}}",
        # With that many decimals, a comma could be the decimal separator.
        rf"(?={has(3, 4)})[^0-9]*[0-9]{{1,3}},[0-9]{{3}}(?![.,0-9])",
    )
    of_digits = "".join(f"(?!{part})" for part in refused)
    return rf"^{of_digits}\s*(?:[A-Za-z]{{3}}\s*{_NUMBER}|{_NUMBER}\s*[A-Za-z]{{3}})\s*$"


AMOUNT_PATTERN = _amount_pattern()
"""The form that `parse_amount` takes, as a regular expression that JSON Schema understands too."""
PERCENTAGE_PATTERN = r"^\s*[0-9]+(\.[0-9]{1,2})?\s*%\s*$"
"""The form of a percentage that `IncreaseLimit.parse` takes."""
WARNING_PATTERN = r"^\s*[0-9]{1,2}(\.[0-9]{1,2})?\s*%\s*$"
"""The form of a percentage that `parse_warning` takes."""
MULTIPLE_PATTERN = r"^\s*[0-9]{1,3}(\.[0-9]{1,2})?\s*[xX]\s*$"
"""The form of a multiple that `parse_daily_limit` takes."""
ACCOUNT_ID_PATTERN = r"^\s*[0-9a-fA-F]{32}\s*$"
"""The form of an account ID, in upper or lower case."""
_LIMIT_SETTINGS = ("limit", "accounts")
_LONGEST_AMOUNT = 100
_LONGEST_SHOWN = 24


def shown(written: Any) -> str:
    """Return what somebody wrote, in JSON or a program, abridged, for a message about it."""
    if isinstance(written, str):
        # A blank at an end may be what is wrong with it.
        before, after = (" " * end.isspace() for end in (written[:1], written[-1:]))
        return repr(f"{before}{one_line(written, _LONGEST_SHOWN)}{after}")
    # Pulumi passes whole numbers as floats.
    if isinstance(written, float) and written.is_integer():
        written = int(written)
    try:
        return one_line(json.dumps(written, default=_shown_object), _LONGEST_SHOWN)
    except (TypeError, ValueError):
        # A program may pass what JSON cannot have: a tuple as a key, or a number of any length.
        return f"<{type(written).__name__}>"


def _shown_object(written: Any) -> str:
    # A program may pass one of Pulumi's Outputs, whose text is an advice to its author.
    return str(written) if isinstance(written, Decimal) else f"<{type(written).__name__}>"


def parse_amount(written: str) -> Money:
    """
    Read an amount in major units with its currency: ``250.00 USD``, ``usd 250``, ``1,000 USD``.

    Raises `LimitError` when there is no currency, no number, a sign, more decimals than the
    currency has, or when the number can be read in two ways.
    """
    if not isinstance(written, str):
        raise LimitError(f"{shown(written)} is not an amount of money: write it as '250.00 USD'")
    if len(written) > _LONGEST_AMOUNT:
        raise LimitError(f"{shown(written)} is too long for an amount of money")
    return _parsed_amount(written)


@cache
def _parsed_amount(written: str) -> Money:
    number = re.search(_ANY_NUMBER, written)
    currency = re.search("[A-Za-z]{3}", written)
    if re.match(AMOUNT_PATTERN, written) and number and currency:
        code = currency.group().lower()
        return Money(_minor_units(Decimal(number.group().strip().replace(",", "")), code), code)
    raise LimitError(_problem_with(written, number and number.group(), currency))


def _problem_with(written: str, number: str | None, currency: "re.Match[str] | None") -> str:
    """Say why *written* is not an amount, and how to write it instead."""
    if re.fullmatch(rf"\s*{_NUMBER}\s*", written):
        return f"{shown(written)} has no currency: write it as '{written.strip()} USD'"
    if number and "-" in written:
        return f"{shown(written)} is below zero: a limit is zero or more"
    if number and currency and _is_number_and(currency.group(), written, number):
        code = currency.group().upper()
        ways = _ways_to_read(number, code)
        if ways:
            problem = shown(written)
            if "." in number:
                problem = f"{number} has more digits than {code} has, and"
            return f"{problem} can be read two ways: write it as {' or '.join(ways)}"
        if re.fullmatch(rf"{_WHOLE}\.[0-9]+", number):
            most = digits(code)
            form = f"at most {most} decimals, such as" if most else "no decimals, such as"
            return (
                f"{number} has more digits than {code} has: write it with {form} "
                f"'{to_major(250 * 10**most, code)} {code}'"
            )
    grouped = ""
    if number and not number.isdigit():
        grouped = " or '1,000.00 USD', with commas between thousands and a point before decimals"
    return f"{shown(written)} is not an amount of money: write it as '250.00 USD'{grouped}"


def _is_number_and(currency: str, written: str, number: str) -> bool:
    return "".join(written.split()) in (f"{currency}{number}", f"{number}{currency}")


def _ways_to_read(number: str, currency: str) -> list[str]:
    """
    Return the two readings of a *number* with one separator and three digits, if there are two.
    """
    if not re.fullmatch("[0-9]{1,3}[.,][0-9]{3}", number):
        return []
    before, after = re.split("[.,]", number)
    most = digits(currency)
    thousands = f"'{int(before + after)} {currency}'"
    if after[most:].strip("0"):
        return [] if "." in number else [thousands, "with a point before the decimals"]
    decimals = f".{after[:most]}" if most else ""
    return [thousands, f"'{int(before)}{decimals} {currency}'"]


def _minor_units(amount: Decimal, currency: str) -> int:
    # From its digits: arithmetic would round to the caller's decimal context. It has no more of
    # them than the currency.
    _, figures, exponent = amount.as_tuple()
    missing = int(exponent) + digits(currency)
    return int("".join(map(str, figures)) + "0" * missing)


@dataclass(frozen=True)
class Limit:
    """A limit for every account, and individual limits for some."""

    default: Money | None
    accounts: Mapping[str, Money]

    @classmethod
    def parse(cls, written: WrittenLimit) -> "Limit":
        """Read a limit as it is written. Raises `LimitError`."""
        if not isinstance(written, Mapping):
            return cls(parse_amount(written), {})
        for name in written:
            if name not in _LIMIT_SETTINGS:
                raise LimitError(f"in a limit {unknown_name('setting', name, _LIMIT_SETTINGS)}")
        if not written:
            raise LimitError("it is empty: write it as '250.00 USD', or give limit and accounts")
        return cls(
            parse_amount(written["limit"]) if "limit" in written else None,  # type: ignore[arg-type]
            _parsed_accounts(written["accounts"]) if "accounts" in written else {},
        )

    def scaled(self, percent: Decimal) -> "Limit":
        """Return *percent* of the limit, for each account."""
        return Limit(
            None if self.default is None else _share(self.default, percent),
            {account: _share(amount, percent) for account, amount in self.accounts.items()},
        )

    def over(self, before: "Limit") -> "Limit":
        """Return the limit, with what it does not name of the one *before*."""
        default = before.default if self.default is None else self.default
        return Limit(default, {**before.accounts, **self.accounts})

    def of(self, account_id: str | None) -> Money | None:
        """
        Return the limit of *account_id*, if it has one.

        An unknown account has none if limits differ by account.
        """
        if account_id is None and self.accounts:
            return None
        return self.accounts.get(account_id or "", self.default)


def _parsed_accounts(written: Any) -> dict[str, Money]:
    if not isinstance(written, Mapping) or not written:
        raise LimitError(
            f"accounts is {shown(written)}: give each account ID its amount, or leave it out"
        )
    accounts: dict[str, Money] = {}
    for key, amount in written.items():
        account = parse_account_id(key)
        if account in accounts:
            raise LimitError(f"the account {account} appears twice, in upper and lower case")
        accounts[account] = parse_amount(amount)
    return accounts


def parse_account_id(written: Any) -> str:
    """Return an account ID in lower case. Raises `LimitError` if it is not 32 hex digits."""
    try:
        return canonical_account_id(written)
    except SettingsError as error:
        raise LimitError(str(error)) from None


@dataclass(frozen=True)
class Multiple:
    """A limit that is a multiple of a usual day."""

    factor: Fraction

    @classmethod
    def parse(cls, written: str) -> "Multiple":
        """Read ``3x``, which is more than 1. Raises `LimitError`."""
        factor = Decimal(re.sub("[xX]", "", written).strip())
        if factor <= 1:
            raise LimitError(f"{shown(written)} is not more than usual: write it as '3x'")
        return cls(Fraction(factor))

    def scaled(self, percent: Decimal) -> "Multiple":
        """Return *percent* of the multiple. Raises `LimitError` unless it is more than 1."""
        share = Multiple(self.factor * Fraction(percent) / 100)
        if share.factor <= 1:
            raise LimitError(
                f"{percent}% of {self.text} is {share.text}, which is not more than usual: give a "
                "higher percentage"
            )
        return share

    @property
    def text(self) -> str:
        """The multiple for people."""
        return f"{float(self.factor):g}x"


def parse_daily_limit(written: Any) -> "Limit | Multiple":
    """Read a limit of a day: an amount, by account or for all, or ``3x``. Raises `LimitError`."""
    if isinstance(written, str) and len(written) <= _LONGEST_AMOUNT:
        if re.match(MULTIPLE_PATTERN, written):
            return Multiple.parse(written)
        if re.match(r"^[^A-Za-z]*[xX]\s*$", written):
            raise LimitError(f"{shown(written)} is not a multiple: write it as '3x' or '2.5x'")
    return Limit.parse(written)


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
        if re.match(PERCENTAGE_PATTERN, written):
            return cls(percent=Decimal(written.replace("%", "").strip()))
        if "%" in written and "-" not in written:
            raise LimitError(
                f"{shown(written)} is not a percentage: write it as '20%' or '12.5%', with two "
                "decimals at most"
            )
        return cls(amount=parse_amount(written))

    def scaled(self, percent: Decimal) -> "IncreaseLimit":
        """Return *percent* of the limit."""
        if self.amount is not None:
            return IncreaseLimit(amount=_share(self.amount, percent))
        return IncreaseLimit(percent=_plain(percentage(self.percent or Decimal(0), percent)))

    def from_amount(self, before: float, currency: str) -> Money:
        """Return the largest increase allowed from *before*, in minor units of *currency*."""
        if self.amount is not None:
            return self.amount
        return Money(percentage(max(before, 0), self.percent or Decimal(0)), currency)

    @property
    def text(self) -> str:
        """The limit for people."""
        return self.amount.text if self.amount is not None else f"{self.percent}%"


def _share(amount: Money, percent: Decimal) -> Money:
    share = percentage(amount.amount, percent)
    return Money(int(share) if share == int(share) else share, amount.currency)


def _plain(number: Decimal) -> Decimal:
    """Return *number* without trailing zeros, which its text would show."""
    text = f"{number:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def parse_warning(written: Any) -> Decimal:
    """Read a percentage of a limit at which to warn, such as ``80%``. Raises `LimitError`."""
    if isinstance(written, str) and re.match(WARNING_PATTERN, written):
        percent = _plain(Decimal(written.replace("%", "").strip()))
        if percent:
            return percent
    raise LimitError(f"{shown(written)} is not a percentage below 100, such as '80%'")


def matching(descriptions: Sequence[str], globs: Iterable[str]) -> list[str]:
    """Return those of *globs* that match any of *descriptions*."""
    return [glob for glob in globs if any(fnmatchcase(text, glob) for text in descriptions)]


def longest(globs: Collection[str]) -> list[str]:
    """Return the longest of *globs*."""
    most = max(map(len, globs), default=0)
    return [glob for glob in globs if len(glob) == most]


def comparable(currency: str, limit: Money) -> bool:
    """Return whether an amount in *currency* can be compared with *limit*."""
    return currency == limit.currency


def excess(amount: float | Decimal, currency: str, limit: Money) -> str | None:
    """
    Say by how much *amount*, in minor units of *currency*, exceeds *limit*; None if it does not.

    An amount equal to its limit is within it; one in another currency never is.
    """
    return _compared(total([amount], less=[limit.amount]), currency, limit, "over the limit")


def shortfall(amount: float | Decimal, currency: str, minimum: Money) -> str | None:
    """Say by how much *amount* falls short of *minimum*, as `excess` does; None if it does not."""
    short = total([minimum.amount], less=[amount])
    return _compared(short, currency, minimum, "below the minimum")


def _compared(by: Decimal, currency: str, limit: Money, relation: str) -> str | None:
    if not comparable(currency, limit):
        return (
            f"in {currency.upper()}, which cannot be compared with the {relation.split()[-1]} of "
            f"{limit.text}"
        )
    if by <= 0:
        return None
    return f"{relation} of {limit.text} by {difference_text(by, currency)}"
