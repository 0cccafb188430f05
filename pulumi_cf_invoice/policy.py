"""
Spend gates for policy packs (extra ``policy``).

Each factory makes one of Pulumi's policies around a rule of `rules`. Its arguments are defaults,
which Pulumi's own policy config overrides by the same names in camelCase. Limits are amounts in
major units with their currency: ``"250 USD"``, or, where accounts differ, ``{"limit": "250 USD",
"accounts": {"<account ID>": "100 USD"}}``.

A policy without a setting stays quiet. So do all of them for a resource whose check failed: that
one error is enough. Figures that are absent for another reason violate every policy that needs them
at an update, and are told of at a preview.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
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

from pulumi_cf_invoice import rules, state
from pulumi_cf_invoice.billing import cache, settings
from pulumi_cf_invoice.billing.errors import BillingError, LimitError
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.credentials import Credentials
from pulumi_cf_invoice.limits import AMOUNT_PATTERN, IncreaseLimit, Limit, WrittenLimit
from pulumi_cf_invoice.rules import LimitRule
from pulumi_cf_invoice.state import InvoiceState

_UNUSABLE = "The policy's limit cannot be used"
STACK_TYPE = "pulumi:pulumi:Stack"
GATEWAYS = ("cloudflare:index/aiGateway:*",)

Config = Mapping[str, Any]
MakeRule = Callable[[Config], LimitRule | None]
Clock = Callable[[], datetime]

_AMOUNT = {"type": "string", "pattern": AMOUNT_PATTERN}
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
_INCREASE = {"type": "string", "pattern": rf"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$|{AMOUNT_PATTERN}"}
_STRINGS = {"type": "array", "items": {"type": "string"}}


class _TooEarly(UnknownValueError):
    """A figure that nobody can know yet, of which Pulumi makes an advisory."""

    def __init__(self, message: str) -> None:
        # Pulumi's own constructor takes the path of a property, and makes another message of it.
        Exception.__init__(self, message)
        self.message = message


def _now() -> datetime:
    return datetime.now(timezone.utc)


def max_amount_due(
    limit: WrittenLimit | None = None, *, enforcement_level: EnforcementLevel | None = None
) -> Policy:
    """
    Require the amount due of each upcoming invoice to be within *limit*. Config: ``limit``.

    Raises `LimitError` if *limit* cannot be read.
    """

    return _limit_policy(
        "max-amount-due",
        "The upcoming AI Gateway invoice stays within its limit.",
        lambda config: _with_limit(rules.MaxAmountDue, config),
        {"limit": _LIMIT},
        {"limit": limit},
        enforcement_level,
    )


def max_projected_amount_due(
    limit: WrittenLimit | None = None,
    *,
    enforcement_level: EnforcementLevel | None = None,
    now: Clock = _now,
) -> Policy:
    """
    Require the amount due, projected to the period's end, to be within *limit*. Config: ``limit``.

    It is an advisory in the first hour of a period, when a projection says nothing. Raises
    `LimitError` if *limit* cannot be read.
    """
    return _limit_policy(
        "max-projected-amount-due",
        "The upcoming AI Gateway invoice, projected to its period's end, stays within its limit.",
        lambda config: _with_limit(rules.MaxProjectedAmountDue, config),
        {"limit": _LIMIT},
        {"limit": limit},
        enforcement_level,
        now,
    )


def max_line_amount(
    limits: Mapping[str, WrittenLimit] | None = None,
    *,
    default_limit: WrittenLimit | None = None,
    enforcement_level: EnforcementLevel | None = None,
) -> Policy:
    """
    Require the net amount of each line to be within its limit. Config: ``limits``,
    ``defaultLimit``.

    *limits* are by glob, of which the longest that matches the description counts; *default_limit*
    is for all other lines. Raises `LimitError` if a limit cannot be read.
    """

    def make_rule(config: Config) -> LimitRule:
        default = config["defaultLimit"]
        return rules.MaxLineAmount(
            {glob: Limit.parse(written) for glob, written in config["limits"].items()},
            None if default is None else Limit.parse(default),
        )

    return _limit_policy(
        "max-line-amount",
        "Each line of the upcoming AI Gateway invoice stays within its limit.",
        make_rule,
        {"limits": {"type": "object", "additionalProperties": _LIMIT}, "defaultLimit": _LIMIT},
        {"limits": limits or {}, "defaultLimit": default_limit},
        enforcement_level,
    )


def max_increase(
    limit: str | None = None, *, enforcement_level: EnforcementLevel | None = None
) -> Policy:
    """
    Require the amount due to rise by no more than *limit* since the last update in the same period.

    *limit* is an amount or a percentage: ``"50 USD"``, ``"20%"``. Config: ``limit``. Raises
    `LimitError` if it cannot be read.
    """

    def make_rule(config: Config) -> LimitRule | None:
        written = config["limit"]
        return None if written is None else rules.MaxIncrease(IncreaseLimit.parse(written))

    return _limit_policy(
        "max-increase",
        "The upcoming AI Gateway invoice rises slowly from one update to the next.",
        make_rule,
        {"limit": _INCREASE},
        {"limit": limit},
        enforcement_level,
    )


def allowed_statuses(
    statuses: Sequence[str] | None = None, *, enforcement_level: EnforcementLevel | None = None
) -> Policy:
    """Require each upcoming invoice to have one of *statuses*. Config: ``statuses``."""

    def evaluate(invoice: InvoiceState, config: Config) -> Iterable[str]:
        allowed = config["statuses"]
        problem = None if allowed is None else rules.status_problem(invoice, allowed)
        return [problem] if problem else []

    return _invoice_policy(
        "allowed-statuses",
        "The upcoming AI Gateway invoice has an allowed status.",
        evaluate,
        {"statuses": _STRINGS},
        {"statuses": statuses},
        enforcement_level,
    )


def allowed_currencies(
    currencies: Sequence[str] | None = None, *, enforcement_level: EnforcementLevel | None = None
) -> Policy:
    """
    Require each upcoming invoice to be in one of *currencies* (ISO 4217). Config: ``currencies``.
    """

    def evaluate(invoice: InvoiceState, config: Config) -> Iterable[str]:
        allowed = config["currencies"]
        problem = None if allowed is None else rules.currency_problem(invoice, allowed)
        return [problem] if problem else []

    return _invoice_policy(
        "allowed-currencies",
        "The upcoming AI Gateway invoice is in an allowed currency.",
        evaluate,
        {"currencies": {"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z]{3}$"}}},
        {"currencies": currencies},
        enforcement_level,
    )


def require_invoice_preview(
    resource_types: Sequence[str] = GATEWAYS, *, enforcement_level: EnforcementLevel | None = None
) -> Policy:
    """
    Require a stack with resources of *resource_types* (globs) to have an `InvoicePreview`.

    It is a stack policy, which runs after all resources: it protects previews. Config:
    ``resourceTypes``.
    """

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        globs = args.get_config().get("resourceTypes", list(resource_types))
        if any(resource.resource_type in state.TYPES for resource in args.resources):
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
    Require the amount due of an account to be within *limit*, whatever the program looks at.

    It reads the invoice by itself, with *credentials* or those of the pack's environment, and
    decides on the stack, before anything else: over budget nothing is created, even in an update
    without a preview. The account is *account_id*, else ``CLOUDFLARE_ACCOUNT_ID``; if *limit* has
    accounts and neither is given, it is each of them. An invoice that cannot be read is a
    violation, unless *fail_open* is set. Config: ``limit``, ``accountId``, ``failOpen``.

    Raises `LimitError` if *limit* cannot be read.
    """
    defaults: Config = {"limit": limit, "accountId": account_id, "failOpen": fail_open}
    given = settings.arguments(credentials.inputs if credentials else {})
    if limit is not None:
        Limit.parse(limit)

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        config = {**defaults, **args.get_config()}
        if args.resource_type != STACK_TYPE or config["limit"] is None:
            return
        try:
            limits = Limit.parse(config["limit"])
        except LimitError as error:
            report(f"{_UNUSABLE}: {error}.", None)
            return
        account = config["accountId"] or os.environ.get("CLOUDFLARE_ACCOUNT_ID")
        for one in [account] if account or not limits.accounts else list(limits.accounts):
            try:
                invoice = _fetch(one, given)
            except BillingError as error:
                if not config["failOpen"]:
                    report(f"Nothing is deployed while the budget is unknown: {error}", None)
                continue
            for finding in rules.MaxAmountDue(limits).evaluate(invoice, _now()):
                if finding.excess:
                    report(finding.message, None)

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
    Run a whole policy pack: all policies of this module, or *policies*.

    Those that are given no limit here or in the pack's config stay quiet, except
    `require_invoice_preview`, which asks by default. Serves the engine and does not return.
    """
    return PolicyPack(
        name=name,
        policies=list(policies) if policies is not None else every_policy(),
        enforcement_level=enforcement_level,
    )


def every_policy() -> list[Policy]:
    """Return one of each policy of this module, to be set by the pack's config."""
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


def _with_limit(rule: Callable[[Limit], LimitRule], config: Config) -> LimitRule | None:
    return None if config["limit"] is None else rule(Limit.parse(config["limit"]))


def _limit_policy(
    name: str,
    description: str,
    make_rule: MakeRule,
    schema: dict[str, dict[str, Any]],
    defaults: Config,
    enforcement_level: EnforcementLevel | None,
    now: Clock = _now,
) -> Policy:
    # A limit that cannot be read is told where it is written.
    make_rule(defaults)

    def evaluate(invoice: InvoiceState, config: Config) -> Iterable[str]:
        rule = make_rule(config)
        for finding in rule.evaluate(invoice, now()) if rule else []:
            if finding.excess:
                yield finding.message
            elif finding.amount is None:
                raise _TooEarly(finding.message)

    return _invoice_policy(name, description, evaluate, schema, defaults, enforcement_level)


def _invoice_policy(
    name: str,
    description: str,
    evaluate: Callable[[InvoiceState, Config], Iterable[str]],
    schema: dict[str, dict[str, Any]],
    defaults: Config,
    enforcement_level: EnforcementLevel | None,
) -> Policy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type not in state.TYPES:
            return
        config = {**defaults, **args.get_config()}
        invoice = state.read(args.resource_type, args.props)
        if invoice is None:
            if any(config.values()) and not state.check_failed(args.resource_type, args.props):
                _tell_absence(name, args.name, report)
            return
        try:
            for message in evaluate(invoice, config):
                report(message, None)
        except LimitError as error:
            report(f"{_UNUSABLE}: {error}.", None)

    return ResourceValidationPolicy(
        name=name,
        description=description,
        validate=validate,
        enforcement_level=enforcement_level,
        config_schema=PolicyConfigSchema(properties=schema),
    )


def _tell_absence(policy: str, resource: str, report: ReportViolation) -> None:
    message = (
        f"{policy} cannot judge {resource}: its figures are not known, because it was not checked. "
        "Is it left out by --target or --exclude?"
    )
    # Pulumi sets it for packs. A preview says so and passes; an update has to know.
    if os.environ.get("PULUMI_DRY_RUN") == "true":
        print(message, file=sys.stderr, flush=True)
    else:
        report(message, None)


def _fetch(account_id: str | None, given: settings.Source) -> InvoiceState:
    resolved = settings.resolve(account_id, [given, settings.environment(os.environ)])
    invoice = cache.of_this_process().get(INVOICE_PREVIEW, resolved)
    return InvoiceState(resolved.account_id, invoice)
