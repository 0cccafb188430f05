"""Kinds of rules on the resources of a stack, which are judged at deployments only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.models import finite
from pulumi_cf_invoice.rules import settings as rule_settings
from pulumi_cf_invoice.rules.limits import Limit
from pulumi_cf_invoice.rules.rule import StackResource, StackRule, held, no_limit

GATEWAYS = ("cloudflare:index/aiGateway*:*",)
"""Globs on every type of AI gateway that pulumi-cloudflare has."""
GATEWAY = "cloudflare:index/aiGateway:AiGateway"
"""The type of AI gateway that has spend limits."""
_DAY = 24 * 60 * 60
_MONTH = 31 * _DAY
_SCOPES = ("aiGatewayProvider", "model", "metadata")
_MOST = 3


@dataclass(frozen=True)
class RequireInvoicePreview(StackRule):
    """
    A stack with resources of certain types, or any stack, reads its upcoming invoice.

    It is checked against the resources of a stack, not an invoice, and so at deployments only.
    """

    name = "require-invoice-preview"
    description = "A stack that makes AI traffic looks at its upcoming invoice."
    settings: ClassVar = {
        "resourceTypes": rule_settings.RESOURCE_TYPES,
        "requiredAccountIds": rule_settings.REQUIRED_ACCOUNT_IDS,
    }
    needs = ()
    remedy = "Add an InvoicePreview of the account to the program."

    resource_types: tuple[str, ...] = GATEWAYS
    required_account_ids: tuple[str, ...] = ()

    def evaluate_stack(self, resources: Sequence[StackResource]) -> Iterator[tuple[str, str]]:
        """Return what is wrong with a stack's *resources*: each message with a URN, or none."""
        previews = [resource for resource in resources if resource.is_preview]
        read = {resource.account_id for resource in previews if resource.account_id}
        for account in self.required_account_ids:
            if account not in read:
                yield (
                    f"The stack has to look at the invoice of account {account}, and has no "
                    "InvoicePreview of it with figures.",
                    "",
                )
        if read:
            return
        lacking = "an InvoicePreview without figures" if previews else "no InvoicePreview"
        for resource in resources:
            if any(fnmatchcase(resource.type, glob) for glob in self.resource_types):
                yield (
                    f"The stack has {one_line(resource.name)} ({resource.type}) and {lacking}: "
                    "with one that has figures the other policies see what it costs.",
                    resource.urn,
                )


@dataclass(frozen=True)
class RequireGatewaySpendLimit(StackRule):
    """
    Every AI gateway of a stack has a spend limit on all of its traffic, and those of an account
    together are within the limit.

    That is an enabled cost rule in `spend_limits` that no provider, model or metadata scopes or
    splits. Held against the limit is the most that these rules allow in a month of 31 days: a fixed
    window can straddle both ends of it, so a rule allows its limit in each window that begins in
    the month and in one more. Like every rule on a stack, it is checked at deployments only.
    """

    name = "require-gateway-spend-limit"
    description = "The spend limits of a stack's AI gateways agree with the budget."
    settings: ClassVar = {"limit": rule_settings.SPEND_LIMIT}
    needs = waivable = ("limit",)
    remedy = "Give every gateway a spend limit, lower those there are, or raise {setting}{waive}."

    limit: Limit

    def evaluate_stack(self, resources: Sequence[StackResource]) -> Iterator[tuple[str, str]]:
        by_account: dict[str | None, list[_Capped]] = {}
        for gateway in resources:
            if gateway.type != GATEWAY:
                continue
            allowed = [_Allowance.of(rule) for rule in _rules(gateway)]
            caps = [allowance for allowance in allowed if allowance is not None]
            if not caps:
                yield _uncapped(gateway), gateway.urn
                continue
            account = gateway.properties.get("accountId")
            if isinstance(account, str):
                # Both cases of its hex digits are the same account.
                account = account.lower()
            # All rules hold at once.
            lowest = min(caps, key=lambda allowance: allowance.amount)
            by_account.setdefault(account, []).append(_Capped(gateway, lowest))
        for account, capped in by_account.items():
            yield from self._judged(account, capped)

    def _judged(self, account: str | None, capped: "list[_Capped]") -> Iterator[tuple[str, str]]:
        largest = sorted(capped, key=lambda gateway: -gateway.allowance.amount)
        urn, limit = largest[0].gateway.urn, self.limit.of(account)
        if limit is None:
            # The account may be a secret.
            yield no_limit(f"that of {one_line(largest[0].gateway.name)}").message, urn
            return
        total = money.total(gateway.allowance.amount for gateway in capped)
        named = "; ".join(gateway.text for gateway in largest[:_MOST])
        more = f"; and {len(capped) - _MOST:,} more" if len(capped) > _MOST else ""
        found = held(
            "spend limits",
            total,
            "usd",
            limit,
            lambda amount, over: (
                f"The spend limits of the stack's AI gateways allow {amount} in a month of 31 "
                f"days, {over}: {named}{more}."
            ),
        )
        if found.violates:
            yield found.message, urn


@dataclass(frozen=True)
class _Allowance:
    """What a cost rule allows in a month, in cents: its limit in each of a number of windows."""

    limit: Decimal
    window: int
    windows: int

    @classmethod
    def of(cls, rule: Any) -> "_Allowance | None":
        """Return the allowance of an enabled *rule* on all traffic, None for any other."""
        # A rule is enabled unless it says otherwise, in whatever form.
        if not isinstance(rule, Mapping) or rule.get("enabled") not in (None, True):
            return None
        if rule.get("limitType") != "cost" or any(rule.get(scope) for scope in _SCOPES):
            return None
        limit, window = (finite(rule.get(name)) for name in ("limit", "window"))
        if limit is None or window is None or limit < 0 or window < 1:
            return None
        windows = -(-_MONTH // int(window))
        # A sliding window has no bounds that a month could fall between.
        straddling = 0 if rule.get("technique") == "sliding" else 1
        return cls(money.product(limit, 100), int(window), windows + straddling)

    @property
    def amount(self) -> Decimal:
        """What it allows, in cents."""
        return money.product(self.limit, self.windows)


@dataclass(frozen=True)
class _Capped:
    gateway: StackResource
    allowance: _Allowance

    @property
    def text(self) -> str:
        allowance = self.allowance
        return (
            f"{one_line(self.gateway.name)} {money.to_text(allowance.amount, 'usd')} "
            f"({allowance.windows:,} "
            f"windows of {_duration(allowance.window)} with "
            f"{money.to_text(allowance.limit, 'usd')} each)"
        )


def _rules(gateway: StackResource) -> Sequence[Any]:
    """Return the rules of a gateway whose spend limits are enabled."""
    limits = gateway.properties.get("spendLimits")
    if not isinstance(limits, Mapping) or limits.get("enabled") is not True:
        return ()
    rules = limits.get("rules")
    return rules if isinstance(rules, Sequence) else ()


def _uncapped(gateway: StackResource) -> str:
    limits = gateway.properties.get("spendLimits")
    why = "it has none of its rules enabled on all models, providers and metadata"
    if not isinstance(limits, Mapping):
        why = "it has no `spend_limits`"
    elif limits.get("enabled") is not True:
        why = "its `spend_limits` are not enabled"
    elif not limits.get("rules"):
        why = "its `spend_limits` have no rules"
    return (
        f"The AI gateway {one_line(gateway.name)} has no spend limit on all of its traffic: {why}. "
        "Credits that are topped up automatically cap nothing either."
    )


def _duration(seconds: int) -> str:
    units = {"day": _DAY, "hour": 60 * 60, "minute": 60, "second": 1}
    name, unit = next((name, unit) for name, unit in units.items() if seconds % unit == 0)
    count = seconds // unit
    return f"{count:,} {name}{'' if count == 1 else 's'}"
