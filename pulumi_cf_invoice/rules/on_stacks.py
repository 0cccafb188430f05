"""
Kinds of rules on a stack's resources, which are judged at its deployments.

The one on gateways can also read an account's gateways, whoever created them.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, ClassVar

from pulumi_cf_invoice import state as invoice_state
from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import named, one_line
from pulumi_cf_invoice.billing.errors import InvalidDataError
from pulumi_cf_invoice.billing.gateways import POSTPAID, Gateway, scopes
from pulumi_cf_invoice.billing.models import finite
from pulumi_cf_invoice.billing.reads import GATEWAYS as GATEWAYS_READ
from pulumi_cf_invoice.billing.settings import CLOUDFLARE_API, is_account_id, is_same_address
from pulumi_cf_invoice.rules import settings as rule_settings
from pulumi_cf_invoice.rules.accounts import AccountState
from pulumi_cf_invoice.rules.limits import Limit
from pulumi_cf_invoice.rules.rule import (
    Finding,
    StackResource,
    StackRule,
    held,
    no_limit,
    to_come,
)

GATEWAYS = ("cloudflare:index/aiGateway*:*",)
"""Globs on every type of AI gateway that pulumi-cloudflare has."""
GATEWAY = "cloudflare:index/aiGateway:AiGateway"
"""The type of AI gateway that has spend limits."""
SPEND_LIMITS = "spend limits"
_DAY = 24 * 60 * 60
_MONTH = 31 * _DAY
_SCOPES = ("aiGatewayProvider", "provider", "model", "metadata")
_MOST = 3
# Of an account. An answer of the API has room for a quarter of a million.
_MOST_FINDINGS = 1000


@dataclass(frozen=True)
class RequireInvoicePreview(StackRule):
    """
    A stack with resources of certain types, or any stack, reads its upcoming invoice.

    That of an AI gateway is the invoice of its own account. The rule is checked against a stack's
    resources, not an invoice, so only at deployments.
    """

    name = "require-invoice-preview"
    description = "A stack that uses AI Gateway reads its upcoming invoice."
    settings: ClassVar = {
        "resourceTypes": rule_settings.RESOURCE_TYPES,
        "requiredAccountIds": rule_settings.REQUIRED_ACCOUNT_IDS,
    }
    needs = ()
    looks_into = (*invoice_state.TYPES, *GATEWAYS)
    remedy = "Add an InvoicePreview of the account to the program."

    resource_types: tuple[str, ...] = GATEWAYS
    required_account_ids: tuple[str, ...] = ()

    def evaluate_stack(
        self, resources: Sequence[StackResource], accounts: Sequence[AccountState] = ()
    ) -> Iterator[tuple[Finding, str]]:
        previews = [resource for resource in resources if resource.type in invoice_state.TYPES]
        coming = [preview for preview in previews if preview.unknown]
        read: set[str] = set()
        for preview in previews:
            try:
                read |= _account_read(preview)
            except InvalidDataError as error:
                yield _unreadable(preview, error), preview.urn
        missing = [account for account in self.required_account_ids if account not in read]
        yield from self._required(missing, coming)
        judged = [found for found in resources if self._is_judged(found)]
        unwatched = [resource for resource in judged if not _may_be_of(read, resource)]
        to_come_of = {_account(preview) for preview in coming}
        for resource in unwatched:
            if not _may_be_of(to_come_of, resource):
                yield _unwatched(resource, previews, read | to_come_of), resource.urn
        if unwatched or missing:
            for preview in coming:
                called = f"The InvoicePreview {named(preview.name)}"
                yield to_come(called, "its figures are"), preview.urn

    def _required(
        self, missing: Sequence[str], coming: Sequence[StackResource]
    ) -> Iterator[tuple[Finding, str]]:
        """Report *missing* accounts, unless each may be that of an InvoicePreview to come."""
        accounts = [_account(preview) for preview in coming]
        missing = [account for account in missing if account not in accounts]
        if len(missing) <= accounts.count(None):
            return
        for account in missing:
            message = (
                f"The stack must read the upcoming invoice of account {account}, but has no "
                "InvoicePreview of it with figures."
            )
            yield Finding("failed", "stack", partial(str, message)), ""

    def _is_judged(self, resource: StackResource) -> bool:
        return any(fnmatchcase(resource.type, glob) for glob in self.resource_types)

    def unmet(self, resources: Sequence[StackResource]) -> str:
        if self.required_account_ids or any(map(self._is_judged, resources)):
            return ""
        return "It judged nothing, because the stack has no resource of its resourceTypes."


def _account(resource: StackResource) -> str | None:
    account = resource.properties.get("account_id", resource.properties.get("accountId"))
    # Both cases of its hex digits are the same account.
    return account.lower() if isinstance(account, str) else None


def _may_be_of(accounts: Collection[str | None], resource: StackResource) -> bool:
    """Return whether a resource may be of one of *accounts*: None is one that is not known."""
    account = _account(resource)
    if account is None:
        return bool(accounts)
    return account in accounts or None in accounts


def _account_read(preview: StackResource) -> set[str]:
    """Return the account of an InvoicePreview with figures. Raises `InvalidDataError`."""
    found = None if preview.unknown else invoice_state.read(preview.type, preview.properties)
    return {found.account_id.lower()} if found and found.account_id else set()


def _unreadable(preview: StackResource, error: InvalidDataError) -> Finding:
    message = f"The InvoicePreview {named(preview.name)} has no figures that can be read: {error}"
    return Finding("unknown", "stack", lambda: message)


def _unwatched(
    resource: StackResource, previews: Sequence[StackResource], accounts: Collection[str | None]
) -> Finding:
    """Return the finding that none of *previews*, which are of *accounts*, is of a resource's."""
    lacking = "an InvoicePreview without figures" if previews else "no InvoicePreview"
    whose = ""
    if accounts:
        lacking = "no InvoicePreview of that account with figures, only of others"
        whose = " of an account that is secret"
        if not resource.account_is_secret:
            whose = f" of account {one_line(str(_account(resource)))}"
    message = (
        f"The stack has {one_line(resource.name)} ({one_line(resource.type)}){whose}, but "
        f"{lacking}: other policies cannot see what it costs."
    )
    return Finding("failed", "stack", lambda: message)


@dataclass(frozen=True)
class RequireGatewaySpendLimit(StackRule):
    """
    Every AI gateway in a stack has a spend limit on all of its traffic, and an account's spend
    limits together are within the limit.

    Such a spend limit is an enabled cost rule in `spend_limits` that is not restricted or split by
    provider, model or metadata. Compared with the limit is the most that they allow in a month of
    31 days: a fixed window can straddle both ends of the month, so a spend limit counts once for
    each window that begins in the month, and once more. With `accountIds` the rule covers all
    gateways of these accounts, as they are and as the stack changes them. A gateway that only takes
    requests with your own provider keys is noted and left out.
    """

    name = "require-gateway-spend-limit"
    description = "Every AI gateway has a spend limit, and together these stay within the budget."
    settings: ClassVar = {"limit": rule_settings.SPEND_LIMIT}
    needs = waivable = ("limit",)
    reads_accounts = True
    reads = (GATEWAYS_READ,)
    looks_into = (GATEWAY,)
    remedy = "Give every gateway a spend limit, lower the existing ones, {or_raise_it}."

    limit: Limit

    def evaluate_account(self, state: AccountState, at: datetime) -> Iterator[Finding]:
        found = [finding for finding, _ in self.evaluate_stack((), [state])]
        yield from found
        if all(finding.status == "noted" for finding in found):
            message = f"Account {state.account_id} has no AI gateway that can add to the invoice."
            yield Finding("within", SPEND_LIMITS, lambda: message)

    def judged_accounts(self, resources: Sequence[StackResource]) -> set[str | None]:
        return {_of_stack(resource).account for resource in resources if resource.type == GATEWAY}

    def evaluate_stack(
        self, resources: Sequence[StackResource], accounts: Sequence[AccountState] = ()
    ) -> Iterator[tuple[Finding, str]]:
        of_stack = [_of_stack(resource) for resource in resources if resource.type == GATEWAY]
        is_preview = any(resource.is_planned for resource in resources)
        gateways = []
        for gateway in of_stack:
            if lacks := gateway.lacks_yet(bool(accounts)):
                called = f"The AI gateway {named(gateway.name)}"
                yield to_come(called, f"its `{invoice_state.snake_case(lacks)}` is"), gateway.urn
            elif gateway.names_no_account:
                yield _of_no_account(gateway), gateway.urn
            else:
                gateways.append(gateway)
        for state in accounts:
            listed = state.get(GATEWAYS_READ)
            if not listed.gateways_complete:
                yield _part_of(state.account_id), ""
            made = {other.key: other for other in of_stack if other.is_of(state)}
            for found in listed.gateways:
                gateway = _listed(found, state.account_id)
                same = made.get(gateway.key)
                if same is None:
                    gateways.append(gateway)
                    continue
                if not same.is_planned:
                    # What the update has made of it, or left as it was, is what the account has.
                    now = replace(gateway, urn=same.urn)
                    gateways = [now if other is same else other for other in gateways]
                # One that the stack is about to change counts with its new settings.
                if not same.lacks_yet(True) and _allows_more(gateway, same):
                    yield _differs(gateway, same.is_planned), same.urn
        by_account: dict[str | None, list[_Capped]] = {}
        others = []
        for gateway in gateways:
            allowance = None if gateway.is_left_out else gateway.allowance
            if allowance is None:
                others.append(gateway)
            else:
                by_account.setdefault(gateway.account, []).append(_Capped(gateway, allowance))
        yield from _without_allowance(others, is_preview)
        read = {state.account_id for state in accounts}
        uncapped = {gateway.account for gateway in others if not gateway.is_left_out}
        for account, capped in by_account.items():
            whose = (
                f"AI gateways of account {account}" if account in read else "stack's AI gateways"
            )
            finding, urn = self._judged(account, capped, whose, are_all=account not in uncapped)
            yield _if_deleted(finding, [each.gateway for each in capped], is_preview), urn

    def unmet(self, resources: Sequence[StackResource]) -> str:
        if any(resource.type == GATEWAY for resource in resources):
            return ""
        return "It judged nothing, because the stack has no AI gateway."

    def _judged(
        self, account: str | None, capped: "list[_Capped]", whose: str, are_all: bool
    ) -> tuple[Finding, str]:
        largest = sorted(capped, key=lambda gateway: -gateway.allowance.amount)
        urn, limit = largest[0].gateway.urn, self.limit.of(account)
        if limit is None:
            # The account may be a secret.
            return no_limit(f"that of {one_line(largest[0].gateway.name)}"), urn
        total = money.total(gateway.allowance.amount for gateway in capped)
        shown = "; ".join(gateway.text for gateway in largest[:_MOST])
        more = f"; and {len(capped) - _MOST:,} more" if len(capped) > _MOST else ""
        those = f"The spend limits of the {whose}"
        if not are_all:
            those = f"Not all of the {whose} have a spend limit, and those that do"
        found = held(
            SPEND_LIMITS,
            total,
            "usd",
            limit,
            lambda amount, over: (
                f"{those} allow {amount} in a month of 31 days, {over}: {shown}{more}."
            ),
        )
        detail = f": {shown}{more}"
        return replace(found, detail=detail, account_id=account, is_uncapped=not are_all), urn


@dataclass(frozen=True)
class _Allowance:
    """What a cost rule allows in a month, in cents: its limit times a number of windows."""

    limit: Decimal
    window: int
    windows: int

    @classmethod
    def of(cls, rule: Any) -> "_Allowance | None":
        """Return the allowance of an enabled *rule* on all traffic, None for any other."""
        # A rule is enabled unless it says otherwise, in whatever form: 1 is not true either.
        if not isinstance(rule, Mapping):
            return None
        if rule.get("enabled") is not None and rule["enabled"] is not True:
            return None
        if rule.get("limitType") != "cost" or scopes(rule, _SCOPES):
            return None
        limit, window = (finite(rule.get(name)) for name in ("limit", "window"))
        if limit is None or window is None or limit < 0 or window < 1:
            return None
        windows = -(-_MONTH // int(window))
        # A sliding window has no fixed bounds for a month to straddle.
        straddling = 0 if rule.get("technique") == "sliding" else 1
        return cls(money.product(limit, 100), int(window), windows + straddling)

    @property
    def amount(self) -> Decimal:
        """What it allows, in cents."""
        return money.product(self.limit, self.windows)


@dataclass(frozen=True)
class _Gateway:
    """
    A gateway of a stack or of an account's list.

    ``rules`` are those of its spend limits if these are enabled; ``lacks`` says why none counts.
    ``unknown`` are the names of its properties that depend on a resource to come.
    """

    name: str
    identifier: str | None
    account: str | None
    urn: str
    rules: Sequence[Any]
    lacks: str
    is_left_out: bool
    is_listed: bool
    has_provider: bool = True
    base_url: str | None = None
    is_planned: bool = False
    unknown: Collection[str] = ()

    @property
    def key(self) -> tuple[str | None, str | None]:
        """What distinguishes it from other gateways."""
        return self.account, self.identifier

    def is_of(self, state: AccountState) -> bool:
        """Return whether it is made where *state* was read, as far as its provider says."""
        there = state.base_url or CLOUDFLARE_API
        is_there = self.base_url is None or is_same_address(self.base_url, there)
        return self.has_provider and is_there

    def lacks_yet(self, reads_accounts: bool) -> str:
        """
        Return the property without which the gateway cannot be judged yet; empty if it can.

        Whoever *reads_accounts* has to know which of their gateways it is.
        """
        if self.is_left_out and "workersAiBillingMode" not in self.unknown:
            return ""
        needed = ["byokOnly", "spendLimits"]
        if self.is_left_out:
            needed.append("workersAiBillingMode")
        elif self.allowance is not None:
            needed += ["accountId", *(["aiGatewayId"] if reads_accounts else [])]
        return next((name for name in needed if name in self.unknown), "")

    @property
    def names_no_account(self) -> bool:
        """
        Whether what it names as its account is none, where the account matters.

        In the API's address, ``023e…/.`` is account 023e….
        """
        if self.account is None or self.is_left_out:
            return False
        return not is_account_id(self.account)

    @property
    def allowance(self) -> _Allowance | None:
        """The lowest allowance of its rules, which all hold at once; None if it has none."""
        caps = [cap for rule in self.rules if (cap := _Allowance.of(rule)) is not None]
        return min(caps, key=lambda allowance: allowance.amount, default=None)


@dataclass(frozen=True)
class _Capped:
    gateway: _Gateway
    allowance: _Allowance

    @property
    def text(self) -> str:
        allowance = self.allowance
        return (
            f"{named(self.gateway.name)} {money.to_text(allowance.amount, 'usd')} "
            f"({allowance.windows:,} windows of {_duration(allowance.window)} at "
            f"{money.to_text(allowance.limit, 'usd')} each)"
        )


def _of_stack(resource: StackResource) -> _Gateway:
    properties = resource.properties
    limits, account = properties.get("spendLimits"), properties.get("accountId")
    identifier = properties.get("aiGatewayId")
    has_limits = isinstance(limits, Mapping)
    settings: Mapping[str, Any] = limits if isinstance(limits, Mapping) else {}
    is_enabled, rules = settings.get("enabled") is True, settings.get("rules")
    mode = properties.get("workersAiBillingMode")
    return _Gateway(
        name=resource.name,
        identifier=identifier if isinstance(identifier, str) else None,
        # Both cases of its hex digits are the same account.
        account=account.strip().lower() if isinstance(account, str) else None,
        urn=resource.urn,
        rules=rules if is_enabled and isinstance(rules, list) else (),
        lacks=_lacks(has_limits, is_enabled, bool(rules)),
        is_left_out=properties.get("byokOnly") is True and mode in (None, POSTPAID),
        is_listed=False,
        has_provider=resource.has_provider,
        base_url=resource.base_url,
        is_planned=resource.is_planned,
        unknown=resource.unknown,
    )


def _listed(gateway: Gateway, account: str) -> _Gateway:
    is_enabled, mode = gateway.spend_limits_enabled is True, gateway.workers_ai_billing_mode
    has_limits = gateway.spend_limits_enabled is not None or bool(gateway.spend_limit_rules)
    rules = [
        {
            "limit": rule.limit,
            "limitType": rule.limit_type,
            "window": rule.window,
            "technique": rule.technique,
            "enabled": rule.enabled,
            **{scope: {"mode": "filter"} for scope in rule.scopes},
        }
        for rule in gateway.spend_limit_rules
    ]
    return _Gateway(
        name=gateway.gateway_id,
        identifier=gateway.gateway_id,
        account=account,
        urn="",
        rules=rules if is_enabled else (),
        lacks=_lacks(has_limits, is_enabled, bool(rules)),
        is_left_out=gateway.byok_only is True and mode in (None, POSTPAID),
        is_listed=True,
    )


def _lacks(has_limits: bool, is_enabled: bool, has_rules: bool) -> str:
    if not has_limits:
        return "it has no `spend_limits`"
    if not is_enabled:
        return "its `spend_limits` are not enabled"
    if not has_rules:
        return "its `spend_limits` have no rules"
    return "none of its rules is enabled for all models, providers and metadata"


def _called(gateway: _Gateway) -> str:
    of_account = f" of account {gateway.account}" if gateway.is_listed else ""
    return f"The AI gateway {named(gateway.name)}{of_account}"


def _without_allowance(
    gateways: Sequence[_Gateway], is_preview: bool
) -> Iterator[tuple[Finding, str]]:
    """Report *gateways* that are left out or have no spend limit, each with its URN."""
    listed = [each for each in gateways if not each.urn]
    for (account, are_left_out), count in Counter(map(_kind, listed)).items():
        if count > _MOST_FINDINGS:
            finding = _many(f"{count:,} AI gateways of account {account}", are_left_out)
            yield _if_deleted(finding, listed, is_preview), ""
    told: Counter[tuple[str | None, bool]] = Counter()
    for gateway in gateways:
        kind = _kind(gateway)
        if not gateway.urn:
            told[kind] += 1
        if gateway.urn or told[kind] <= _MOST_FINDINGS:
            finding = _left_out(gateway) if gateway.is_left_out else _uncapped(gateway)
            yield _if_deleted(finding, [gateway], is_preview), gateway.urn


def _kind(gateway: _Gateway) -> tuple[str | None, bool]:
    return gateway.account, gateway.is_left_out


def _many(which: str, are_left_out: bool) -> Finding:
    """Return the finding on more gateways of an account than have findings of their own."""
    only = f"Only the first {_MOST_FINDINGS:,} are named."
    if are_left_out:
        message = (
            f"{which} only take your own provider keys (byok_only), so they cannot add to the "
            f"invoice, and were left out. {only}"
        )
        return Finding("noted", "gateways", lambda: message)
    message = f"{which} have no spend limit on all of their traffic. {only}"
    return Finding("failed", SPEND_LIMITS, lambda: message, is_uncapped=True)


def _uncapped(gateway: _Gateway) -> Finding:
    message = (
        f"{_called(gateway)} has no spend limit on all of its traffic: {gateway.lacks}. Credits "
        "that are topped up automatically do not cap it either."
    )
    account = gateway.account
    return Finding("failed", SPEND_LIMITS, lambda: message, account_id=account, is_uncapped=True)


def _if_deleted(finding: Finding, gateways: Sequence[_Gateway], is_preview: bool) -> Finding:
    """Return a *finding* on *gateways*, with what holds if the deployment deletes one of them."""
    may_be_deleted = is_preview and any(each.is_listed and not each.urn for each in gateways)
    if not may_be_deleted or finding.status not in ("over", "failed"):
        return finding
    return finding.followed_by(
        " If this deployment deletes a gateway, that still counts at a preview, because Pulumi "
        "does not show policies what it deletes: run `pulumi up --skip-preview`, after which the "
        "rule judges what is left."
    )


def _allows_more(gateway: _Gateway, changed: _Gateway) -> bool:
    """Return whether *gateway* is not as restricted as when it is *changed*."""
    if gateway.is_left_out or changed.is_left_out:
        return not gateway.is_left_out
    now, then = gateway.allowance, changed.allowance
    return then is not None and (now is None or now.amount > then.amount)


def _differs(gateway: _Gateway, is_planned: bool) -> Finding:
    allowance = gateway.allowance
    allows = "has no spend limit on all of its traffic"
    if allowance is not None:
        allows = f"allows {money.to_text(allowance.amount, 'usd')} in a month of 31 days"
    if is_planned:
        counts = (
            "and counts with what the stack sets. If Pulumi has nothing to change about it, run "
            "`pulumi refresh` first"
        )
    else:
        counts = "although the stack sets less: run `pulumi refresh`, and update it again"
    message = f"{_called(gateway)} {allows} now, {counts}."
    return Finding("noted", "gateways", lambda: message)


def _left_out(gateway: _Gateway) -> Finding:
    message = (
        f"{_called(gateway)} only takes your own provider keys (byok_only), so it cannot add to "
        "the invoice, and was left out."
    )
    return Finding("noted", "gateways", lambda: message)


def _of_no_account(gateway: _Gateway) -> Finding:
    message = (
        f"{_called(gateway)} cannot be judged: its `account_id` is no account ID, which has 32 hex "
        "digits."
    )
    return Finding("unknown", "gateways", lambda: message)


def _part_of(account: str) -> Finding:
    message = (
        f"Whether every AI gateway of account {account} has a spend limit is not known: the API "
        "gave only a part of them."
    )
    return Finding("unknown", "gateways", lambda: message)


def _duration(seconds: int) -> str:
    units = {"day": _DAY, "hour": 60 * 60, "minute": 60, "second": 1}
    name, unit = next((name, unit) for name, unit in units.items() if seconds % unit == 0)
    count = seconds // unit
    return f"{count:,} {name}{'' if count == 1 else 's'}"
