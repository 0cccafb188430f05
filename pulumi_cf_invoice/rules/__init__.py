"""
The kinds of rules, and what they find.

A rule is pure: it is evaluated against what was read (an `InvoiceState` or `AccountState`, or the
resources of a stack) at a time that the caller gives. `gates` applies rules as they are declared;
policy packs and reports are adapters around that.
"""

from collections.abc import Mapping

from pulumi_cf_invoice.rules.on_accounts import (
    MinCreditBalance,
    NoUnpaidInvoices,
    RequireHealthyTopUp,
)
from pulumi_cf_invoice.rules.on_forecasts import FORECAST, RUNWAY, MaxForecast, MinRunway
from pulumi_cf_invoice.rules.on_invoices import (
    AMOUNT_DUE,
    INCOMPLETE,
    PROJECTED_AMOUNT_DUE,
    TOO_EARLY,
    AccountBudget,
    AllowedCurrencies,
    AllowedStatuses,
    MaxAmountDue,
    MaxIncrease,
    MaxLineAmount,
    MaxProjectedAmountDue,
)
from pulumi_cf_invoice.rules.on_stacks import RequireGatewaySpendLimit, RequireInvoicePreview
from pulumi_cf_invoice.rules.rule import Finding, Rule, StackResource, StackRule, Status

__all__ = [
    "AMOUNT_DUE",
    "FORECAST",
    "INCOMPLETE",
    "KINDS",
    "PROJECTED_AMOUNT_DUE",
    "RUNWAY",
    "TOO_EARLY",
    "AccountBudget",
    "AllowedCurrencies",
    "AllowedStatuses",
    "Finding",
    "MaxAmountDue",
    "MaxForecast",
    "MaxIncrease",
    "MaxLineAmount",
    "MaxProjectedAmountDue",
    "MinCreditBalance",
    "MinRunway",
    "NoUnpaidInvoices",
    "RequireGatewaySpendLimit",
    "RequireHealthyTopUp",
    "RequireInvoicePreview",
    "Rule",
    "StackResource",
    "StackRule",
    "Status",
]

KINDS: Mapping[str, type[Rule]] = {
    kind.name: kind
    for kind in (
        AccountBudget,
        MaxAmountDue,
        MaxForecast,
        MaxProjectedAmountDue,
        MaxLineAmount,
        MaxIncrease,
        AllowedStatuses,
        AllowedCurrencies,
        MinCreditBalance,
        MinRunway,
        RequireHealthyTopUp,
        NoUnpaidInvoices,
        RequireInvoicePreview,
        RequireGatewaySpendLimit,
    )
}
"""Every kind of rule by name."""
