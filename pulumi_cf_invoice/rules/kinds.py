"""Every kind of rule."""

from collections.abc import Mapping

from pulumi_cf_invoice.rules.on_accounts import (
    MinCreditBalance,
    NoUnpaidInvoices,
    RequireHealthyTopUp,
)
from pulumi_cf_invoice.rules.on_days import MaxDailySpend
from pulumi_cf_invoice.rules.on_forecasts import MaxForecast, MinRunway
from pulumi_cf_invoice.rules.on_invoices import (
    AccountBudget,
    AllowedCurrencies,
    AllowedStatuses,
    MaxAmountDue,
    MaxIncrease,
    MaxLineAmount,
    MaxProjectedAmountDue,
)
from pulumi_cf_invoice.rules.on_stacks import RequireGatewaySpendLimit, RequireInvoicePreview
from pulumi_cf_invoice.rules.rule import Rule

KINDS: Mapping[str, type[Rule]] = {
    kind.name: kind
    for kind in (
        AccountBudget,
        MaxAmountDue,
        MaxDailySpend,
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
