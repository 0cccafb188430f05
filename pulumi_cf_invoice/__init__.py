"""
The upcoming Cloudflare AI Gateway invoice, as a Pulumi data source.

Programs use `InvoicePreview`, `get_invoice_preview` and `export_invoice`; policy packs use
`pulumi_cf_invoice.policy`. The client below them, `pulumi_cf_invoice.billing`, needs no Pulumi.
Each name is imported from its module when it is first asked for, so that importing the package
costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

from pulumi_cf_invoice._lazy import lazy_names

if TYPE_CHECKING:
    from pulumi_cf_invoice.billing.credit_balance import CreditBalance, TopupConfig
    from pulumi_cf_invoice.billing.errors import (
        ApiError,
        BillingError,
        FetchError,
        IncompleteLinesError,
        InvalidDataError,
        InvalidResponseError,
        LimitError,
        MissingCredentialsError,
        NotAvailableError,
        RuleError,
        SettingsError,
        TransportError,
    )
    from pulumi_cf_invoice.billing.invoice import (
        Invoice,
        InvoiceLine,
        Period,
        PretaxCreditAmount,
        Pricing,
    )
    from pulumi_cf_invoice.billing.invoice_history import InvoiceHistory, PastInvoice
    from pulumi_cf_invoice.billing.usage_history import UsageEntry, UsageHistory
    from pulumi_cf_invoice.credentials import Credentials
    from pulumi_cf_invoice.forecast import Forecast, Runway
    from pulumi_cf_invoice.functions import (
        get_credit_balance,
        get_credit_balance_output,
        get_forecast,
        get_forecast_output,
        get_invoice_history,
        get_invoice_history_output,
        get_invoice_preview,
        get_invoice_preview_output,
        get_usage_history,
        get_usage_history_output,
    )
    from pulumi_cf_invoice.resource import InvoicePreview
    from pulumi_cf_invoice.stack_outputs import export_invoice

__all__ = [
    "ApiError",
    "BillingError",
    "Credentials",
    "CreditBalance",
    "FetchError",
    "Forecast",
    "IncompleteLinesError",
    "InvalidDataError",
    "InvalidResponseError",
    "Invoice",
    "InvoiceHistory",
    "InvoiceLine",
    "InvoicePreview",
    "LimitError",
    "MissingCredentialsError",
    "NotAvailableError",
    "PastInvoice",
    "Period",
    "PretaxCreditAmount",
    "Pricing",
    "RuleError",
    "Runway",
    "SettingsError",
    "TopupConfig",
    "TransportError",
    "UsageEntry",
    "UsageHistory",
    "export_invoice",
    "get_credit_balance",
    "get_credit_balance_output",
    "get_forecast",
    "get_forecast_output",
    "get_invoice_history",
    "get_invoice_history_output",
    "get_invoice_preview",
    "get_invoice_preview_output",
    "get_usage_history",
    "get_usage_history_output",
]

_import_name = lazy_names(
    __name__,
    {
        "billing.errors": [
            "ApiError",
            "BillingError",
            "FetchError",
            "IncompleteLinesError",
            "InvalidDataError",
            "InvalidResponseError",
            "LimitError",
            "MissingCredentialsError",
            "NotAvailableError",
            "RuleError",
            "SettingsError",
            "TransportError",
        ],
        "billing.credit_balance": ["CreditBalance", "TopupConfig"],
        "billing.invoice_history": ["InvoiceHistory", "PastInvoice"],
        "billing.usage_history": ["UsageEntry", "UsageHistory"],
        "billing.invoice": ["Invoice", "InvoiceLine", "Period", "PretaxCreditAmount", "Pricing"],
        "credentials": ["Credentials"],
        "forecast": ["Forecast", "Runway"],
        "functions": [
            "get_credit_balance",
            "get_credit_balance_output",
            "get_forecast",
            "get_forecast_output",
            "get_invoice_history",
            "get_invoice_history_output",
            "get_invoice_preview",
            "get_invoice_preview_output",
            "get_usage_history",
            "get_usage_history_output",
        ],
        "resource": ["InvoicePreview"],
        "stack_outputs": ["export_invoice"],
    },
)


def __getattr__(name: str) -> Any:
    return _import_name(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
