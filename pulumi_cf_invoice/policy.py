"""
Spend gates for policy packs (extra ``policy``).

Each factory makes one policy of Pulumi's. What it is given is its default; Pulumi's own policy
config overrides it, by the same names in camelCase. Limits are amounts in major units with their
currency: ``"250 USD"``, or, where accounts differ,
``{"limit": "250 USD", "accounts": {"<account ID>": "100 USD"}}``.

A policy without a setting stays quiet. So do all of them for a resource whose read failed: that one
error is enough.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from pulumi_cf_invoice import money, properties, settings, snapshot
from pulumi_cf_invoice.errors import InvoicePreviewError
from pulumi_cf_invoice.invoice import Invoice, InvoiceLine
from pulumi_cf_invoice.limits import IncreaseLimit, Limit, WrittenLimit, longest_match, over
from pulumi_cf_invoice.properties import InvoiceState
from pulumi_cf_invoice.settings import Credentials

STACK_TYPE = "pulumi:pulumi:Stack"
GATEWAYS = ("cloudflare:index/aiGateway:*",)
_LARGEST = 3

Config = Mapping[str, Any]
Judge = Callable[[InvoiceState, Config], Iterable[str]]

_AMOUNT = {"type": "string", "pattern": money.WRITTEN}
_LIMIT = {
    "oneOf": [
        _AMOUNT,
        {
            "type": "object",
            "properties": {
                "limit": _AMOUNT,
                "accounts": {"type": "object", "additionalProperties": _AMOUNT},
            },
            "additionalProperties": False,
        },
    ]
}
_INCREASE = {"type": "string", "pattern": rf"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$|{money.WRITTEN}"}
_STRINGS = {"type": "array", "items": {"type": "string"}}


class _TooEarly(UnknownValueError):
    """A figure that nobody can know yet: Pulumi makes an advisory of it."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)
        self.message = message


def max_amount_due(
    limit: WrittenLimit | None = None, *, enforcement_level: EnforcementLevel | None = None
) -> Policy:
    """
    The amount due of each upcoming invoice stays within *limit*. Config: ``limit``.

    Raises ValueError when *limit* cannot be read.
    """

    return _invoice_policy(
        "max-amount-due",
        "The upcoming AI Gateway invoice stays within its limit.",
        _amount_due_verdict,
        {"limit": _LIMIT},
        {"limit": _checked_limit(limit)},
        enforcement_level,
    )


def max_projected_amount_due(
    limit: WrittenLimit | None = None,
    *,
    enforcement_level: EnforcementLevel | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> Policy:
    """
    The amount due, projected to the period's end, stays within *limit*. Config: ``limit``.

    An advisory in the first hour of a period, when a projection says nothing. Raises ValueError
    when *limit* cannot be read.
    """

    def judge(state: InvoiceState, config: Config) -> Iterator[str]:
        invoice = state.invoice
        projected = invoice.projected_amount_due(now())
        if projected is None:
            raise _TooEarly(
                f"the invoice of account {state.account_id} is in the first hour of its period "
                f"({invoice.period_text}), too early for a projection"
            )

        def tell() -> tuple[str, str]:
            text = money.to_text(projected, invoice.currency)
            return f"is projected to be {text}", f" It is {invoice.amount_due_text} so far."

        yield from _verdict(state, config, projected, tell)

    return _invoice_policy(
        "max-projected-amount-due",
        "The upcoming AI Gateway invoice, projected to its period's end, stays within its limit.",
        judge,
        {"limit": _LIMIT},
        {"limit": _checked_limit(limit)},
        enforcement_level,
    )


def max_line_amount(
    limits: Mapping[str, WrittenLimit] | None = None,
    *,
    default_limit: WrittenLimit | None = None,
    enforcement_level: EnforcementLevel | None = None,
) -> Policy:
    """
    The net amount of each line stays within the limit of the longest glob that its description
    matches, or within *default_limit*. Config: ``limits``, ``defaultLimit``.

    Raises ValueError when a limit cannot be read.
    """
    for written in (limits or {}).values():
        _checked_limit(written)

    def judge(state: InvoiceState, config: Config) -> Iterator[str]:
        for line in state.invoice.invoice_lines:
            written = _limit_of_line(line, config)
            limit = Limit.parse(written).of(state.account_id) if written is not None else None
            excess = limit and over(line.net, line.currency, limit)
            if excess:
                yield (
                    f"{line.name} comes to {line.net_text} after credits on the upcoming "
                    f"invoice of account {state.account_id} for {line.period.text}, {excess}."
                )

    return _invoice_policy(
        "max-line-amount",
        "Each line of the upcoming AI Gateway invoice stays within its limit.",
        judge,
        {"limits": {"type": "object", "additionalProperties": _LIMIT}, "defaultLimit": _LIMIT},
        {"limits": limits or {}, "defaultLimit": _checked_limit(default_limit)},
        enforcement_level,
    )


def max_increase(
    limit: str | None = None, *, enforcement_level: EnforcementLevel | None = None
) -> Policy:
    """
    The amount due rises by no more than *limit* (``"50 USD"`` or ``"20%"``) since the last update
    in the same billing period. Config: ``limit``.

    Raises ValueError when *limit* cannot be read.
    """
    if limit is not None:
        IncreaseLimit.parse(limit)

    def judge(state: InvoiceState, config: Config) -> Iterator[str]:
        last, invoice = state.last_update, state.invoice
        if last is None or config["limit"] is None:
            return
        if (last.period_start, last.currency) != (invoice.period_start, invoice.currency):
            return
        allowed = IncreaseLimit.parse(config["limit"])
        most = allowed.from_amount(last.amount_due, last.currency)
        increase = invoice.amount_due - last.amount_due
        excess = over(increase, invoice.currency, most)
        if increase > 0 and excess:
            of = f" ({allowed.text} of {money.to_text(last.amount_due, last.currency)})"
            yield (
                f"The upcoming invoice of account {state.account_id} rose by "
                f"{money.to_text(increase, invoice.currency)} to {invoice.amount_due_text} since "
                f"the last update, {excess}{of if allowed.percent is not None else ''}."
                f"{_largest(invoice)}"
            )

    return _invoice_policy(
        "max-increase",
        "The upcoming AI Gateway invoice rises slowly from one update to the next.",
        judge,
        {"limit": _INCREASE},
        {"limit": limit},
        enforcement_level,
    )


def allowed_statuses(
    statuses: Sequence[str] | None = None, *, enforcement_level: EnforcementLevel | None = None
) -> Policy:
    """Each upcoming invoice has one of *statuses*. Config: ``statuses``."""

    def judge(state: InvoiceState, config: Config) -> Iterator[str]:
        allowed = config["statuses"]
        if allowed is not None and state.invoice.status not in list(allowed):
            yield (
                f"The upcoming invoice of account {state.account_id} has the status "
                f"{state.invoice.status}, which is not among: {', '.join(allowed)}."
            )

    return _invoice_policy(
        "allowed-statuses",
        "The upcoming AI Gateway invoice has an allowed status.",
        judge,
        {"statuses": _STRINGS},
        {"statuses": statuses},
        enforcement_level,
    )


def allowed_currencies(
    currencies: Sequence[str] | None = None, *, enforcement_level: EnforcementLevel | None = None
) -> Policy:
    """Each upcoming invoice is in one of *currencies* (ISO 4217). Config: ``currencies``."""

    def judge(state: InvoiceState, config: Config) -> Iterator[str]:
        allowed = config["currencies"]
        if allowed is not None and state.invoice.currency not in [c.lower() for c in allowed]:
            yield (
                f"The upcoming invoice of account {state.account_id} is in "
                f"{state.invoice.currency.upper()}, which is not among: "
                f"{', '.join(c.upper() for c in allowed)}."
            )

    return _invoice_policy(
        "allowed-currencies",
        "The upcoming AI Gateway invoice is in an allowed currency.",
        judge,
        {"currencies": {"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z]{3}$"}}},
        {"currencies": currencies},
        enforcement_level,
    )


def require_invoice_preview(
    resource_types: Sequence[str] = GATEWAYS, *, enforcement_level: EnforcementLevel | None = None
) -> Policy:
    """
    A stack with resources of *resource_types* (globs) looks at an upcoming invoice.

    A stack policy, which runs after all resources: it protects previews. Config: ``resourceTypes``.
    """

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        globs = args.get_config().get("resourceTypes", list(resource_types))
        if any(resource.resource_type in properties.TYPES for resource in args.resources):
            return
        for resource in args.resources:
            if any(fnmatchcase(resource.resource_type, glob) for glob in globs):
                report(
                    f"The stack has {resource.name} ({resource.resource_type}) and no "
                    "InvoicePreview: add one, so that the other policies see what it costs.",
                    resource.urn,
                )

    return StackValidationPolicy(
        name="require-invoice-preview",
        description="A stack that makes AI traffic looks at its upcoming invoice.",
        validate=validate,
        enforcement_level=enforcement_level,
        config_schema=PolicyConfigSchema(properties={"resourceTypes": _STRINGS}),
    )


def account_budget(
    limit: WrittenLimit | None = None,
    *,
    account_id: str | None = None,
    credentials: Credentials | None = None,
    fail_open: bool = False,
    enforcement_level: EnforcementLevel | None = None,
) -> Policy:
    """
    The amount due of an account stays within *limit*, whatever the program looks at.

    Fetches by itself, with *credentials* or those of the pack's environment, and decides on the
    stack, before anything else: over budget nothing is created, also in an update without preview.
    The account is *account_id*, else ``CLOUDFLARE_ACCOUNT_ID``; where *limit* has accounts and
    neither is given, each of them. When the invoice cannot be read it is a violation, unless
    *fail_open*. Config: ``limit``, ``accountId``, ``failOpen``.

    Raises ValueError when *limit* cannot be read.
    """
    defaults: Config = {
        "limit": _checked_limit(limit),
        "accountId": account_id,
        "failOpen": fail_open,
    }
    parts = credentials.parts() if credentials else None

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        config = {**defaults, **args.get_config()}
        if args.resource_type != STACK_TYPE or config["limit"] is None:
            return
        limits = Limit.parse(config["limit"])
        given = config["accountId"] or os.environ.get("CLOUDFLARE_ACCOUNT_ID")
        for account in [given] if given or not limits.accounts else list(limits.accounts):
            try:
                state = _fetch(account, parts)
            except InvoicePreviewError as error:
                if not config["failOpen"]:
                    report(f"Nothing is deployed while the budget is unknown: {error}", None)
                continue
            for message in _amount_due_verdict(state, config):
                report(message, None)

    return ResourceValidationPolicy(
        name="account-budget",
        description="The account's upcoming AI Gateway invoice stays within its budget.",
        validate=validate,
        enforcement_level=enforcement_level,
        config_schema=PolicyConfigSchema(
            properties={
                "limit": _LIMIT,
                "accountId": {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"},
                "failOpen": {"type": "boolean"},
            }
        ),
    )


def spend_policy_pack(
    name: str = "cf-invoice-spend",
    policies: Sequence[Policy] | None = None,
    *,
    enforcement_level: EnforcementLevel = EnforcementLevel.MANDATORY,
) -> PolicyPack:
    """
    A whole policy pack, running: all policies of this module, or *policies*.

    Those that are given no limit here or in the pack's config stay quiet, but for
    `require_invoice_preview`, whose default is to ask. Serves the engine and does not return.
    """
    return PolicyPack(
        name=name,
        policies=list(policies) if policies is not None else every_policy(),
        enforcement_level=enforcement_level,
    )


def every_policy() -> list[Policy]:
    """One of each policy of this module, to be set by the pack's config."""
    return [
        account_budget(),
        max_amount_due(),
        max_projected_amount_due(),
        max_line_amount(),
        max_increase(),
        allowed_statuses(),
        allowed_currencies(),
        require_invoice_preview(),
    ]


def _invoice_policy(
    name: str,
    description: str,
    judge: Judge,
    schema: dict[str, dict[str, Any]],
    defaults: Config,
    enforcement_level: EnforcementLevel | None,
) -> Policy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type not in properties.TYPES:
            return
        state = properties.read(args.resource_type, args.props)
        if state is None:
            return
        try:
            for message in judge(state, {**defaults, **args.get_config()}):
                report(message, None)
        except ValueError as error:
            report(f"The policy's limit cannot be used: {error}.", None)

    return ResourceValidationPolicy(
        name=name,
        description=description,
        validate=validate,
        enforcement_level=enforcement_level,
        config_schema=PolicyConfigSchema(properties=schema),
    )


def _amount_due_verdict(state: InvoiceState, config: Config) -> Iterator[str]:
    invoice = state.invoice
    return _verdict(
        state, config, invoice.amount_due, lambda: (f"is {invoice.amount_due_text}", "")
    )


def _verdict(
    state: InvoiceState, config: Config, amount: int, tell: Callable[[], tuple[str, str]]
) -> Iterator[str]:
    # Words are made for a violation only: they cost more than the judgement.
    if config["limit"] is None:
        return
    invoice = state.invoice
    limit = Limit.parse(config["limit"]).of(state.account_id)
    excess = limit and over(amount, invoice.currency, limit)
    if excess:
        told, more = tell()
        yield (
            f"The upcoming invoice of account {state.account_id} {told} for "
            f"{invoice.period_text}, {excess}.{more}{_largest(invoice)}"
        )


def _largest(invoice: Invoice) -> str:
    lines = invoice.largest_lines
    if not lines:
        return " It has no lines."
    named = ", ".join(f"{line.name} {line.net_text}" for line in lines[:_LARGEST])
    return f" Largest lines: {named}{', …' if len(lines) > _LARGEST else ''}."


def _limit_of_line(line: InvoiceLine, config: Config) -> WrittenLimit | None:
    glob = longest_match(line.description, config["limits"])
    written: WrittenLimit | None = (
        config["defaultLimit"] if glob is None else config["limits"][glob]
    )
    return written


def _fetch(account_id: str | None, parts: Mapping[str, Any] | None) -> InvoiceState:
    resolved = settings.resolve(account_id, parts, [settings.environment(os.environ)])
    invoice = snapshot.of_this_process().get(resolved)
    return InvoiceState(resolved.account_id, invoice, None)


def _checked_limit(written: WrittenLimit | None) -> WrittenLimit | None:
    if written is not None:
        Limit.parse(written)
    return written
