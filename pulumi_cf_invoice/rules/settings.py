"""
The settings of rules: how each is read, and its JSON Schema with a description for people.

A reader takes what somebody wrote in JSON, and raises `LimitError` with a message for that person.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pulumi_cf_invoice.billing.errors import LimitError, SettingsError
from pulumi_cf_invoice.billing.settings import safe_base_url
from pulumi_cf_invoice.billing.suggestions import errors_under
from pulumi_cf_invoice.rules.limits import (
    ACCOUNT_ID_PATTERN,
    AMOUNT_PATTERN,
    MULTIPLE_PATTERN,
    PERCENTAGE_PATTERN,
    WARNING_PATTERN,
    IncreaseLimit,
    Limit,
    parse_account_id,
    parse_amount,
    parse_daily_limit,
    parse_warning,
    shown,
)

_AMOUNT = {"$ref": "#/$defs/amount"}
_LIMIT = {"$ref": "#/$defs/limit"}
_LIMIT_SCHEMA = {
    "anyOf": [
        _AMOUNT,
        {
            "type": "object",
            "properties": {
                "limit": _AMOUNT,
                "accounts": {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"pattern": ACCOUNT_ID_PATTERN},
                    "additionalProperties": _AMOUNT,
                },
            },
            "minProperties": 1,
            "additionalProperties": False,
        },
    ]
}
SHARED_SCHEMAS: Mapping[str, Any] = {
    "amount": {
        "description": "An amount of money with its currency: '250.00 USD', '1,000 USD'.",
        "type": "string",
        "pattern": AMOUNT_PATTERN,
    },
    "limit": _LIMIT_SCHEMA,
}
"""What the schemas of settings refer to, by name in ``$defs``."""
_PERCENTILES = (50, 90)
# The forecast of credits looks no farther ahead.
_MOST_DAYS = 366
_PERIOD = "period"
_TEXTS = {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}


@dataclass(frozen=True)
class Setting:
    """
    A setting: its reader, and its JSON Schema.

    ``scaled`` returns a percentage of the value, if that is a largest amount; else it is None.
    """

    read: Callable[[Any], Any]
    schema: Mapping[str, Any]
    scaled: Callable[[Any, Decimal], Any] | None = None

    @property
    def description(self) -> str:
        """What the setting is for."""
        return str(self.schema["description"])


def _dollars(written: Any) -> Limit:
    limit = Limit.parse(written)
    for amount in (limit.default, *limit.accounts.values()):
        if amount is not None and amount.currency != "usd":
            raise LimitError(
                f"{amount.text} is not in US dollars, in which a gateway's spend limits are: write "
                "it as '250 USD'"
            )
    return limit


def _limits(written: Any) -> dict[str, Limit]:
    if not isinstance(written, Mapping) or not written:
        raise LimitError(f"{shown(written)} has no glob: write it as {{'openai/*': '100 USD'}}")
    limits = {}
    for glob, limit in written.items():
        if not isinstance(glob, str) or not glob:
            raise LimitError(f"{shown(glob)} is not a glob: write '*' for every line")
        with errors_under(shown(glob)):
            limits[glob] = Limit.parse(limit)
    return limits


def _texts(written: Any) -> tuple[str, ...]:
    """Read a list of texts, which is not empty and has none of them twice."""
    if not isinstance(written, (list, tuple)) or not written:
        raise LimitError(f"{shown(written)} is not a list with at least one text")
    for item in written:
        if not isinstance(item, str) or not item.strip():
            raise LimitError(f"{shown(item)} is not a text")
    if len(set(written)) < len(written):
        raise LimitError("the same text appears in it twice")
    return tuple(written)


def _warnings(written: Any) -> tuple[Decimal, ...]:
    percentages = tuple(parse_warning(text) for text in _texts(written))
    if len(set(percentages)) < len(percentages):
        raise LimitError("the same percentage appears in it twice")
    return percentages


def _currencies(written: Any) -> tuple[str, ...]:
    codes = tuple(code.strip().lower() for code in _texts(written))
    for code in codes:
        if not (code.isascii() and code.isalpha() and len(code) == 3):
            raise LimitError(f"{shown(code)} is not an ISO 4217 code such as 'usd'")
    return _texts(codes)


def _account_ids(written: Any) -> tuple[str, ...]:
    if not isinstance(written, (list, tuple)) or not written:
        raise LimitError(f"{shown(written)} is not a list with at least one account ID")
    accounts = tuple(parse_account_id(account) for account in written)
    if len(set(accounts)) < len(accounts):
        raise LimitError("the same account appears in it twice")
    return accounts


def _flag(written: Any) -> bool:
    if not isinstance(written, bool):
        raise LimitError(f"{shown(written)} is neither true nor false")
    return written


def _percentile(written: Any) -> int:
    if isinstance(written, bool) or written not in _PERCENTILES:
        raise LimitError(f"{shown(written)} is neither 50 (the median) nor 90")
    return int(written)


def _runway(written: Any) -> int | str:
    if written == _PERIOD:
        return _PERIOD
    is_number = isinstance(written, (int, float)) and not isinstance(written, bool)
    if not is_number or not 1 <= written <= _MOST_DAYS or written % 1:
        raise LimitError(
            f"{shown(written)} is neither a whole number of days from 1 to {_MOST_DAYS} nor "
            "'period', for the end of the billing period"
        )
    return int(written)


def _base_url(written: Any) -> str:
    try:
        return safe_base_url(written)
    except SettingsError as error:
        raise LimitError(str(error)) from None


LIMIT = Setting(
    Limit.parse,
    {
        "description": "The largest amount allowed, such as '250 USD', or, if accounts differ, "
        "{\"limit\": '250 USD', \"accounts\": {ID: '100 USD'}}.",
        **_LIMIT,
    },
    Limit.scaled,
)
MINIMUM = Setting(
    Limit.parse,
    {
        "description": "The smallest balance allowed, such as '20 USD', or, if accounts differ, "
        "{\"limit\": '20 USD', \"accounts\": {ID: '50 USD'}}.",
        **_LIMIT,
    },
)
SPEND_LIMIT = Setting(
    _dollars,
    {
        "description": "The most that an account's gateways may allow to be spent in a month, in "
        "US dollars, such as '250 USD', or, if accounts differ, {\"limit\": '250 USD', "
        "\"accounts\": {ID: '100 USD'}}.",
        **_LIMIT,
    },
    Limit.scaled,
)
LIMITS = Setting(
    _limits,
    {
        "description": "Limits by glob on the line's description: the longest matching glob "
        "applies, and among several of the same length, the lowest limit.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"minLength": 1},
        "additionalProperties": _LIMIT,
    },
    lambda limits, percent: {glob: limit.scaled(percent) for glob, limit in limits.items()},
)
DEFAULT_LIMIT = Setting(
    Limit.parse,
    {"description": "The limit of every line that no glob matches.", **_LIMIT},
    Limit.scaled,
)
INCREASE = Setting(
    IncreaseLimit.parse,
    {
        "description": "The largest increase allowed: '50 USD', or '20%' of the last amount due.",
        "anyOf": [_AMOUNT, {"type": "string", "pattern": PERCENTAGE_PATTERN}],
    },
    IncreaseLimit.scaled,
)
WARN_AT = Setting(
    _warnings,
    {
        "description": "Percentages of the limit, such as ['80%', '95%'], at which the rule warns: "
        "each becomes an advisory rule called NAME-80%.",
        "type": "array",
        "minItems": 1,
        "uniqueItems": True,
        "items": {"type": "string", "pattern": WARNING_PATTERN},
    },
)
DAILY_LIMIT = Setting(
    parse_daily_limit,
    {
        "description": "The most that may be spent in a day: an amount such as '50 USD', also by "
        "account, or a multiple of a usual day such as '3x'.",
        "anyOf": [_LIMIT, {"type": "string", "pattern": MULTIPLE_PATTERN}],
    },
    lambda limit, percent: limit.scaled(percent),
)
AT_LEAST = Setting(
    parse_amount,
    {
        "description": "The amount below which a multiple does not count, such as '25 USD'; by "
        "default a tenth of what the period has cost so far.",
        **_AMOUNT,
    },
)
STATUSES = Setting(_texts, {"description": "The statuses allowed.", **_TEXTS})
CURRENCIES = Setting(
    _currencies,
    {
        "description": "The currencies allowed, as ISO 4217 codes.",
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "pattern": r"^\s*[A-Za-z]{3}\s*$"},
    },
)
RESOURCE_TYPES = Setting(
    _texts,
    {
        "description": "Globs on resource types: a stack with a matching resource needs an "
        "InvoicePreview.",
        **_TEXTS,
    },
)
PERCENTILE = Setting(
    _percentile,
    {
        "description": "The percentile of the forecast to judge: 50 (the median, the default), or "
        "90, which is exceeded in one case out of ten.",
        "enum": list(_PERCENTILES),
    },
)
FIXED_LINES = Setting(
    _texts,
    {
        "description": "Globs on the descriptions of lines with a fixed fee, which do not grow "
        "with usage and are not extrapolated.",
        **_TEXTS,
    },
)
RUNWAY = Setting(
    _runway,
    {
        "description": "How long the credits must last: a number of days, including today, or "
        "'period' for the rest of the billing period.",
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": _MOST_DAYS},
            {"const": _PERIOD},
        ],
    },
)
TOP_UP_SUFFICES = Setting(
    _flag,
    {
        "description": "Whether a working automatic top-up is enough, however long the credits "
        "last without it.",
        "type": "boolean",
    },
)
_ACCOUNT_IDS = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "string", "pattern": ACCOUNT_ID_PATTERN},
}
REQUIRED_ACCOUNT_IDS = Setting(
    _account_ids,
    {
        "description": "Accounts whose invoice the stack must read, whatever else it contains.",
        **_ACCOUNT_IDS,
    },
)
ACCOUNT_IDS = Setting(
    _account_ids,
    {
        "description": "Accounts that the rule reads itself, before the first resource, instead "
        "of checking what the program reads.",
        **_ACCOUNT_IDS,
    },
)
FAIL_OPEN = Setting(
    _flag,
    {
        "description": "Whether an account that cannot be read is only noted, instead of being a "
        "violation.",
        "type": "boolean",
    },
)
BASE_URL = Setting(
    _base_url,
    {
        "description": "The API's address, if the rule does not read from Cloudflare.",
        "type": "string",
    },
)
