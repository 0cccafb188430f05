"""
The credit balance: what is left to spend, and the automatic top-up that refills it.

AI Gateway refuses inference (HTTP 402) once the credits are used up, whatever the upcoming invoice
says. Amounts are in minor units (cents, for US dollars) and may have fractions. The API names no
currency: it is the account's, the same as the invoice's.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import InvalidDataError, SettingsError
from pulumi_cf_invoice.billing.models import (
    CONFIG,
    WHOLE,
    Amount,
    Answered,
    Flag,
    Text,
    WholeOrNone,
    adapter,
    derived,
    finite,
    iso,
    parsed,
)

FIGURES = ("topup_is_on", "topup_is_healthy", "topup_problem")
"""The figures of a `CreditBalance` that follow from its fields."""
FEE_PERCENT = 5
"""What Cloudflare charges for a purchase of credits, on top of the credit."""
_NAMES = {"disabled_reason": "disabledReason", "last_failed_at": "lastFailedAt"}
# No Unix second of this millennium is as large, and every millisecond since 1973 is larger.
_MILLISECONDS_FROM = 100_000_000_000
# An error object may have other fields that are nobody's business: a client's secret, a card.
_EXPLAINING = ("code", "decline_code", "type", "reason", "message")
_UNREADABLE = "a reason that cannot be read"


def _seconds_of_any(value: Any) -> Any:
    # The API documents no unit.
    if isinstance(value, str):
        return _seconds_of_text(value.strip())
    number = finite(value)
    return number / 1000 if number is not None and number >= _MILLISECONDS_FROM else value


def _seconds_of_text(text: str) -> Any:
    if text.isascii() and text.isdigit():
        return _seconds_of_any(int(text[:20]))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _reason(value: Any) -> str | None:
    # Even if it is not a text, it reports a failure.
    if isinstance(value, str) and value.strip(" "):
        # One of control characters would be blank in a snapshot, and none when that is read.
        return value if one_line(value) else _UNREADABLE
    if not value or isinstance(value, str):
        return None
    if isinstance(value, dict):
        value = {name: value[name] for name in _EXPLAINING if _is_plain(value.get(name))}
    elif isinstance(value, list):
        value = [item for item in value if _is_plain(item)]
    return json.dumps(value, default=str) if value else _UNREADABLE


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, Decimal))


_Reason = Annotated[Text, BeforeValidator(_reason)]


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class TopupConfig:
    """The automatic top-up: how much it buys, below which balance, and what last went wrong."""

    amount: Amount | None = Field(
        default=None,
        description="What a top-up adds, in minor units of the account's currency; none or 0 if "
        "no top-up is set.",
    )
    threshold: Amount | None = Field(
        default=None,
        description="The balance below which a top-up is made, in minor units of the account's "
        "currency; none or 0 if no top-up is set.",
    )
    error: _Reason = Field(
        default=None, description="Why the last top-up failed; none if the API reports no failure."
    )
    disabled_reason: _Reason = Field(
        default=None, description="Why automatic top-ups are disabled; none if they are not."
    )
    last_failed_at: Annotated[WholeOrNone, BeforeValidator(_seconds_of_any)] = Field(
        default=None,
        description="When a top-up last failed, in Unix seconds (UTC); none if never.",
    )


def _config_or_none(value: Any) -> Any:
    if not isinstance(value, dict):
        return value if isinstance(value, TopupConfig) else None
    # The API spells some names one way and some the other.
    return {
        **value,
        **{ours: value.get(theirs) or value.get(ours) for ours, theirs in _NAMES.items()},
    }


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class CreditBalance:
    """
    The credits of an account's AI Gateway, in minor units of the account's currency.

    API: ``result`` of ``GET /accounts/{account_id}/ai-gateway/billing/credit-balance``. Its payment
    method (brand and last digits of a card) is left out.
    """

    balance: Amount = Field(
        description="Remaining credit, in minor units of the account's currency; negative if "
        "usage has exceeded it."
    )
    topup_config: Annotated[TopupConfig | None, BeforeValidator(_config_or_none)] = Field(
        default=None, description="The automatic top-up; none if not given."
    )
    has_default_payment_method: Flag = Field(
        default=None, description="Whether there is a payment method for top-ups."
    )
    first_topup_success: Flag = Field(
        default=None, description="Whether credits have ever been bought; none if not given."
    )

    @classmethod
    def from_api(cls, result: Any, answered: Answered = WHOLE) -> "CreditBalance":
        """
        Parse the ``result`` of an answer.

        Raises `InvalidDataError`, which names the field, if it is not a credit balance.
        """
        if not isinstance(result, dict):
            raise InvalidDataError("result: not an object")
        return parsed(cls, result, _NAMES)

    def to_figures(self) -> dict[str, Any]:
        """
        Return the fields and the figures derived from them (`FIGURES`), by name, as plain data.
        """
        return self._fields() | derived(FIGURES, self)

    def to_api(self) -> dict[str, Any]:
        """Return the fields in the shape of the ``result`` that `from_api` parses."""
        result = self._fields()
        if "topup_config" in result:
            config = result["topup_config"]
            result["topup_config"] = {_NAMES.get(name, name): config[name] for name in config}
        return result

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = adapter(CreditBalance).dump_python(self, exclude_none=True)
        return fields

    @property
    def query(self) -> dict[str, str]:
        """None: there is nothing to choose."""
        return {}

    @property
    def is_complete(self) -> bool:
        """True: the answer comes in one piece."""
        return True

    @property
    def topup_is_on(self) -> bool:
        """Whether an automatic top-up is on: it has an amount and a threshold, and is enabled."""
        config = self.topup_config
        if config is None or config.disabled_reason:
            return False
        return (config.amount or 0) > 0 and (config.threshold or 0) > 0

    @property
    def topup_is_healthy(self) -> bool:
        """
        Whether an automatic top-up is on and nothing is known to be wrong with it.

        It is not healthy if it has no payment method, or if that is unknown.
        """
        pays = self.has_default_payment_method is True
        return self.topup_is_on and self.topup_problem is None and pays

    @property
    def topup_problem(self) -> str | None:
        """Why the automatic top-up failed or is disabled, in the API's words; none if it works."""
        config = self.topup_config
        if config is None:
            return None
        reasons = (config.disabled_reason, config.error)
        texts = (one_line(reason).rstrip(".") or _UNREADABLE for reason in reasons if reason)
        problem = "; ".join(dict.fromkeys(texts))
        if not problem:
            return None
        when = f" ({iso(config.last_failed_at)})" if config.last_failed_at else ""
        return f"{problem}{when}"

    @property
    def text(self) -> str:
        """The balance and the automatic top-up, for people; their currency is unknown here."""
        return self.text_in(None)

    def text_in(self, currency: str | None) -> str:
        """Return the balance and the automatic top-up for people, in *currency* if it is known."""
        return f"{self.balance_text(currency)}, automatic top-up: {self.topup_text(currency)}"

    def topup_text(self, currency: str | None) -> str:
        """
        Return what the automatic top-up does, for people, without the API's own words.

        It states both what is added and what is charged: Cloudflare takes a fee of 5%.
        """
        config = self.topup_config
        if config is None:
            return "not known"
        if config.disabled_reason:
            return "disabled"
        if not self.topup_is_on:
            return "none"
        adds = f"adds {amount_text(config.amount or 0, currency)}"
        charged = money.number(money.product(config.amount or 0, 100 + FEE_PERCENT).scaleb(-2))
        below = f"when the balance falls below {amount_text(config.threshold or 0, currency)}"
        failed = "; the last one failed" if self.topup_problem else ""
        return f"{adds} ({amount_text(charged, currency)} charged) {below}{failed}"

    def balance_text(self, currency: str | None) -> str:
        """Return the balance for people, in *currency* if that is known: ``$6.40``."""
        return amount_text(self.balance, currency)


def amount_text(amount: float, currency: str | None) -> str:
    """Return an *amount* of credit for people, in cents if no *currency* is known."""
    if currency is None:
        return f"{money.exact(amount):,f} cents"
    if not isinstance(currency, str):
        raise SettingsError(
            f"a currency must be a code such as 'usd', or None, not {type(currency).__name__}"
        )
    return money.to_text(amount, currency)
