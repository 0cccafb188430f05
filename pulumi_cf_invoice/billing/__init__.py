"""
Cloudflare's AI Gateway billing API, for any Python program: it needs no Pulumi.

`BillingClient` reads what `reads` declares, with `Credentials` and `Settings`; what it returns are
the models, such as `Invoice`. Each name is imported from its module when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from pulumi_cf_invoice._lazy import lazy_names

if TYPE_CHECKING:
    from pulumi_cf_invoice.billing.client import BillingClient
    from pulumi_cf_invoice.billing.credentials import Credentials
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

__all__ = [
    "ApiError",
    "BillingClient",
    "BillingError",
    "Credentials",
    "CreditBalance",
    "FetchError",
    "IncompleteLinesError",
    "InvalidDataError",
    "InvalidResponseError",
    "Invoice",
    "InvoiceHistory",
    "InvoiceLine",
    "LimitError",
    "MissingCredentialsError",
    "NotAvailableError",
    "PastInvoice",
    "Period",
    "PretaxCreditAmount",
    "Pricing",
    "RuleError",
    "SettingsError",
    "TopupConfig",
    "TransportError",
    "UsageEntry",
    "UsageHistory",
]

_import_name = lazy_names(
    __name__,
    {
        "client": ["BillingClient"],
        "credentials": ["Credentials"],
        "errors": [
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
        "credit_balance": ["CreditBalance", "TopupConfig"],
        "invoice_history": ["InvoiceHistory", "PastInvoice"],
        "usage_history": ["UsageEntry", "UsageHistory"],
        "invoice": ["Invoice", "InvoiceLine", "Period", "PretaxCreditAmount", "Pricing"],
    },
)


def __getattr__(name: str) -> Any:
    return _import_name(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
