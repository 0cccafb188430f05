"""
The AI gateways of an account, with their spend limits.

Unlike the rest of the API, limits are in US dollars, not in cents, and windows in seconds. They are
Cloudflare's best effort, and also count traffic with the customer's own provider keys.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from pulumi_cf_invoice.billing.cleaning import inert_value
from pulumi_cf_invoice.billing.errors import InvalidDataError
from pulumi_cf_invoice.billing.models import (
    CONFIG,
    WHOLE,
    Answered,
    Flag,
    ListOrNull,
    Quantity,
    Text,
    WholeOrNone,
    adapter,
    counted,
    distinct,
    parsed,
)

PER_PAGE = 100
"""The number of gateways per page, the most that the API allows."""
SCOPES = ("model", "provider", "metadata")
"""What can restrict a rule to a part of the traffic, or split it."""
OTHER_SCOPE = "other"
"""The scope of a rule with any other restriction than `SCOPES`."""
POSTPAID = "postpaid"
"""The default way to bill Workers AI, which is not on the invoice."""
_RULE = ("id", "limit", "limitType", "window", "technique", "enabled")
_ABOUT_RULE = ("name", "description", "note", "created_at", "modified_at")
"""What the API says of other things, and what restricts none of them."""


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class SpendLimitRule:
    """A rule of a gateway's spend limits."""

    limit: Quantity | None = Field(
        default=None, description="The most to spend in a window, in US dollars; none if not given."
    )
    limit_type: Text = Field(
        default=None, description="What is limited, in the API's word: cost; none if not given."
    )
    window: WholeOrNone = Field(
        default=None, description="The length of the window, in seconds; none if not given."
    )
    technique: Text = Field(
        default=None, description="fixed or sliding, in the API's word; none if not given."
    )
    enabled: Flag = Field(
        default=None, description="Whether the rule is enabled; none if not given."
    )
    scopes: Annotated[list[str], ListOrNull()] = Field(
        default_factory=list,
        description="What restricts the rule to a part of the traffic, or splits it: model, "
        "provider, metadata or other.",
    )


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Gateway:
    """An AI gateway."""

    gateway_id: str = Field(description="The gateway's `id`, which is its name in the account.")
    is_default: Flag = Field(
        default=None,
        description="Whether Cloudflare created the gateway by itself; none if not given.",
    )
    byok_only: Flag = Field(
        default=None,
        description="Whether it only takes requests with your own provider keys; none if not "
        "given.",
    )
    workers_ai_billing_mode: Text = Field(
        default=None,
        description="How Workers AI is billed: postpaid (elsewhere) or unified (from the credits); "
        "none if not given, and empty if not a text.",
    )
    spend_limits_enabled: Flag = Field(
        default=None, description="Whether its spend limits are enabled; none if it has none."
    )
    spend_limit_rules: Annotated[list[SpendLimitRule], ListOrNull()] = Field(
        default_factory=list, description="The gateway's spend limits."
    )


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Gateways:
    """
    The AI gateways of an account, in the API's order.

    API: ``result`` of ``GET /accounts/{account_id}/ai-gateway/gateways``.
    """

    gateways: Annotated[list[Gateway], ListOrNull()] = Field(
        description="The gateways, including the account's `default`."
    )
    gateways_complete: bool = Field(default=True, description="Whether `gateways` has all of them.")

    @classmethod
    def from_api(cls, result: Any, answered: Answered = WHOLE) -> "Gateways":
        """
        Parse the ``result`` of an answer.

        Raises `InvalidDataError`, which names the field, if it is not a list of gateways.
        """
        if not isinstance(result, list):
            raise InvalidDataError("result: not a list")
        listed = [_gateway(number, row) for number, row in enumerate(result)]
        gateways = distinct(listed, lambda gateway: gateway["gateway_id"])
        # A gateway that comes twice has moved to another page meanwhile, and hid another one.
        complete = answered.complete and len(gateways) == len(listed)
        return parsed(cls, {"gateways": gateways, "gateways_complete": complete})

    def to_api(self) -> list[dict[str, Any]]:
        """Return the gateways in the shape of the ``result`` that `from_api` parses."""
        return [_to_api(gateway) for gateway in self.to_figures()["gateways"]]

    @property
    def query(self) -> dict[str, str]:
        """The parameters of a request that it answers."""
        return query()

    @property
    def is_complete(self) -> bool:
        """Whether `gateways` has all of them."""
        return self.gateways_complete

    def to_figures(self) -> dict[str, Any]:
        """Return the fields, by name, as plain data."""
        figures: dict[str, Any] = adapter(Gateways).dump_python(self, exclude_none=True)
        return figures

    @property
    def text(self) -> str:
        """How many gateways there are, and how many of them have enabled spend limits."""
        capped = sum(gateway.spend_limits_enabled is True for gateway in self.gateways)
        part = "" if self.gateways_complete else " (the API gave only a part of them)"
        return f"{counted(len(self.gateways), 'gateway')}, {capped:,} with spend limits{part}"


def query(at: Any = None) -> dict[str, str]:
    """Return the parameters of a request."""
    return {"per_page": str(PER_PAGE)}


def _gateway(number: int, row: Any) -> dict[str, Any]:
    identifier = row.get("id") if isinstance(row, Mapping) else None
    if not isinstance(identifier, str) or not identifier:
        raise InvalidDataError(f"result.{number}.id: not a text")
    limits = row.get("spend_limits")
    limits = limits if isinstance(limits, Mapping) else {}
    rules, mode = limits.get("rules"), row.get("workers_ai_billing_mode")
    values = {
        **{name: row.get(name) for name in ("is_default", "byok_only")},
        # Not given it is the default, which anything else may not be.
        "workers_ai_billing_mode": mode if mode is None or isinstance(mode, str) else "",
        "gateway_id": inert_value(identifier),
        "spend_limits_enabled": limits.get("enabled"),
        "spend_limit_rules": [_rule(rule) for rule in rules] if isinstance(rules, list) else None,
    }
    # Hundreds of thousands fit into an answer.
    return {name: value for name, value in values.items() if value is not None}


def _rule(rule: Any) -> dict[str, Any]:
    # Anything but a rule caps nothing.
    rule = rule if isinstance(rule, Mapping) else {}
    limit = rule.get("limit")
    return {
        "limit": None if isinstance(limit, (str, list, dict)) else limit,
        "limit_type": rule.get("limitType"),
        "window": rule.get("window"),
        "technique": rule.get("technique"),
        # Any value but true disables it, unless it is left out.
        "enabled": None if rule.get("enabled") is None else rule.get("enabled") is True,
        "scopes": scopes(rule),
    }


def scopes(rule: Mapping[str, Any], known: Sequence[str] = SCOPES) -> list[str]:
    """
    Return what restricts a *rule* to a part of the traffic, or splits it: *known* names of fields.

    Any other field with a value may be a restriction too, and is called `OTHER_SCOPE`.
    """
    found = [name for name in known if rule.get(name)]
    is_other = any(rule[name] for name in rule if name not in (*known, *_RULE, *_ABOUT_RULE))
    return [*found, OTHER_SCOPE] if is_other else found


def _to_api(gateway: Mapping[str, Any]) -> dict[str, Any]:
    names = ("is_default", "byok_only", "workers_ai_billing_mode")
    rules = [
        {
            **{
                api: rule[name]
                for name, api in (
                    ("limit", "limit"),
                    ("limit_type", "limitType"),
                    ("window", "window"),
                    ("technique", "technique"),
                    ("enabled", "enabled"),
                )
                if name in rule
            },
            # The values are nobody's business here.
            **{scope: {"mode": "filter"} for scope in rule["scopes"]},
        }
        for rule in gateway["spend_limit_rules"]
    ]
    limits = {"enabled": gateway.get("spend_limits_enabled"), "rules": rules}
    return {
        "id": gateway["gateway_id"],
        **{name: gateway[name] for name in names if name in gateway},
        **({"spend_limits": limits} if rules or limits["enabled"] is not None else {}),
    }
