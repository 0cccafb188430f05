"""
Spend gates for policy packs (extra ``policy``).

Each function declares a rule in code, with the same settings as in ``rules.json``.
`spend_policy_pack` runs such rules, or a file of rules, as Pulumi policies. The module `rules`
defines what each kind of rule finds, and `gates` how a declared rule is judged.

Pulumi's own policy config is applied on top of a rule's settings. A rule without a limit, and
settings that do not exist or cannot be parsed, are refused before anything is deployed.

Missing figures are reported at a preview and are a violation at an update. A resource whose check
failed is skipped, because the deployment fails anyway.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

try:
    from pulumi_policy import EnforcementLevel, Policy
except ModuleNotFoundError as missing:
    # In a pack, an exception is a traceback.
    raise SystemExit(
        f"error: {missing.name} is missing: install pulumi-cf-invoice with its extra 'policy', "
        "from where you have the package"
    ) from None

from pulumi_cf_invoice.policy import pack
from pulumi_cf_invoice.policy.pack import declared
from pulumi_cf_invoice.rules.limits import WrittenLimit


class RuleOptions(TypedDict, total=False):
    """
    Options of every rule.

    ``name`` is its own name, and ``enforcement_level`` is Pulumi's. A ``waiver`` has ``until``,
    ``by``, ``reason`` and the settings that apply until then. ``warn_at`` has percentages of the
    rule's limit (``["80%", "95%"]``), for each of which `spend_policy_pack` adds an advisory rule.
    """

    name: str
    enforcement_level: EnforcementLevel
    waiver: Mapping[str, Any]
    warn_at: Sequence[str]


class ReadingOptions(RuleOptions, total=False):
    """
    Further options of a rule on the invoice.

    With ``account_ids`` the rule reads these accounts itself, before the first resource and with
    the credentials in the pack's environment, instead of checking what the program reads.
    ``base_url`` is the API's address, if it is not Cloudflare's. With ``fail_open`` an account that
    cannot be read is only noted.
    """

    account_ids: Sequence[str]
    base_url: str
    fail_open: bool


def max_amount_due(limit: WrittenLimit | None = None, **options: Unpack[ReadingOptions]) -> Policy:
    """Require the amount due of each upcoming invoice to be within *limit*."""
    return declared("max-amount-due", {"limit": limit}, options)


def max_projected_amount_due(
    limit: WrittenLimit | None = None, **options: Unpack[ReadingOptions]
) -> Policy:
    """
    Require the amount due, and its projection to the period's end by a straight line, to be within
    *limit*.

    In the first hour of a period, when a projection is meaningless, only the amount due is judged,
    with a note.
    """
    return declared("max-projected-amount-due", {"limit": limit}, options)


def max_forecast(
    limit: WrittenLimit | None = None,
    *,
    percentile: Literal[50, 90] | None = None,
    fixed_lines: Sequence[str] | None = None,
    **options: Unpack[ReadingOptions],
) -> Policy:
    """
    Require the amount due of each of ``account_ids``, and its forecast, to be within *limit*.

    The forecast is based on daily usage. *percentile* is 50 (the median, the default) or 90, which
    is exceeded in one case out of ten. *fixed_lines* are globs on the descriptions of lines with a
    fixed fee, which are not extrapolated. If the history is too short for a forecast, or for the
    90th percentile, only the amount due is judged, with a note.
    """
    settings = {"limit": limit, "percentile": percentile, "fixedLines": fixed_lines}
    return declared("max-forecast", settings, options)


def max_daily_spend(
    limit: WrittenLimit | None = None,
    *,
    at_least: str | None = None,
    fixed_lines: Sequence[str] | None = None,
    **options: Unpack[ReadingOptions],
) -> Policy:
    """
    Require the spend of each of ``account_ids``, yesterday and today so far, to be within *limit*.

    *limit* is an amount, or a multiple of a usual day (``"3x"``), which does not count below
    *at_least*, by default a tenth of what the period has cost so far. *fixed_lines* are globs on
    the descriptions of lines with a fixed fee. Use the level ``advisory``: a mandatory rule also
    blocks the deployment that stops a loop.
    """
    settings = {"limit": limit, "atLeast": at_least, "fixedLines": fixed_lines}
    return declared("max-daily-spend", settings, options)


def max_line_amount(
    limits: Mapping[str, WrittenLimit] | None = None,
    *,
    default_limit: WrittenLimit | None = None,
    **options: Unpack[ReadingOptions],
) -> Policy:
    """
    Require the net amount of each line to be within its limit, adding up lines of the same name.

    *limits* are by glob on the description; the longest matching glob applies. *default_limit* is
    for all other lines.
    """
    settings = {"limits": limits, "defaultLimit": default_limit}
    return declared("max-line-amount", settings, options)


def max_increase(limit: str | None = None, **options: Unpack[RuleOptions]) -> Policy:
    """
    Require the amount due to rise by no more than *limit* since the last update in the same period.

    *limit* is an amount or a percentage: ``"50 USD"``, ``"20%"``. A percentage of a small amount
    allows little, and of zero nothing.
    """
    return declared("max-increase", {"limit": limit}, options)


def allowed_statuses(
    statuses: Sequence[str] | None = None, **options: Unpack[ReadingOptions]
) -> Policy:
    """Require each upcoming invoice to have one of *statuses*."""
    return declared("allowed-statuses", {"statuses": statuses}, options)


def allowed_currencies(
    currencies: Sequence[str] | None = None, **options: Unpack[ReadingOptions]
) -> Policy:
    """Require each upcoming invoice to be in one of *currencies* (ISO 4217)."""
    return declared("allowed-currencies", {"currencies": currencies}, options)


def account_budget(limit: WrittenLimit | None = None, **options: Unpack[ReadingOptions]) -> Policy:
    """
    Require the amount due of each of ``account_ids`` to be within *limit*, whatever is deployed.

    The rule always reads the accounts itself, so that nothing is created while over budget, even by
    an update without a preview.
    """
    return declared("account-budget", {"limit": limit}, options)


def min_credit_balance(
    limit: WrittenLimit | None = None, **options: Unpack[ReadingOptions]
) -> Policy:
    """
    Require the credit balance of each of ``account_ids`` not to be below *limit*.

    AI Gateway refuses inference (HTTP 402) at a balance of zero, whatever the upcoming invoice
    says. The currency is the invoice's; if that cannot be read, the rule assumes the limit's, and
    the message says so.
    """
    return declared("min-credit-balance", {"limit": limit}, options)


def min_runway(
    days: int | Literal["period"] | None = None,
    *,
    percentile: Literal[50, 90] | None = None,
    top_up_suffices: bool | None = None,
    fixed_lines: Sequence[str] | None = None,
    **options: Unpack[ReadingOptions],
) -> Policy:
    """
    Require the credits of each of ``account_ids`` to last for *days*, including today.

    ``"period"`` means until the end of the billing period. How long they last is forecast from
    daily usage: with *percentile* 50 (the default) by the median, with 90 so that they run out
    earlier in one case out of ten. With *top_up_suffices* a working automatic top-up is enough. If
    the history is too short, only a balance of zero or below is a violation, with a note.
    *fixed_lines* are globs on the descriptions of lines with a fixed fee.
    """
    settings = {
        "days": days,
        "percentile": percentile,
        "topUpSuffices": top_up_suffices,
        "fixedLines": fixed_lines,
    }
    return declared("min-runway", settings, options)


def require_healthy_top_up(**options: Unpack[ReadingOptions]) -> Policy:
    """
    Require the credits of each of ``account_ids`` to have a working automatic top-up.

    A top-up that failed, was disabled, is not set, or has no payment method is a violation.
    """
    return declared("require-healthy-top-up", {}, options)


def no_unpaid_invoices(**options: Unpack[ReadingOptions]) -> Policy:
    """Require that no earlier invoice of ``account_ids`` is open or uncollectible."""
    return declared("no-unpaid-invoices", {}, options)


def require_invoice_preview(
    resource_types: Sequence[str] | None = None,
    *,
    required_account_ids: Sequence[str] | None = None,
    **options: Unpack[RuleOptions],
) -> Policy:
    """
    Require a stack with resources of *resource_types* to have an `InvoicePreview` with figures.

    For an AI gateway, it has to be of the gateway's own account. *resource_types* are globs, by
    default on every type of AI gateway. The stack must read the invoices of *required_account_ids*
    whatever else it contains. As a stack policy, the rule runs after all resources, so it protects
    previews.
    """
    settings = {"resourceTypes": resource_types, "requiredAccountIds": required_account_ids}
    return declared("require-invoice-preview", settings, options)


def require_gateway_spend_limit(
    limit: WrittenLimit | None = None, **options: Unpack[ReadingOptions]
) -> Policy:
    """
    Require every AI gateway in a stack to have a spend limit on all of its traffic, and an
    account's gateways together to allow no more than *limit* in a month of 31 days.

    *limit* is in US dollars, like a gateway's `spend_limits`. The rule is a stack policy, like
    `require_invoice_preview`. With ``account_ids`` it covers all gateways of the accounts, whoever
    created them, as they are and as the stack changes them.
    """
    return declared("require-gateway-spend-limit", {"limit": limit}, options)


def spend_policy_pack(
    name: str = "cf-invoice-spend",
    policies: Sequence[Policy] = (),
    *,
    rules: str | Path | None = None,
    enforcement_level: EnforcementLevel = EnforcementLevel.MANDATORY,
) -> None:
    """
    Run a policy pack with *policies* and the file of *rules*, a path relative to the caller's file.

    The function serves the engine and does not return. A pack with unusable rules does not load,
    and one line says why.
    """
    # Some hosts start a pack in the folder of the program that it judges, which may have a
    # different file of that name.
    folder = Path(sys._getframe(1).f_globals.get("__file__", "")).parent
    pack.serve(name, policies, folder, rules, enforcement_level)
