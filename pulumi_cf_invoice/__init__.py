"""
The upcoming Cloudflare AI Gateway invoice, as a Pulumi data source.

Each public name is imported from its module when it is first asked for, so that importing the
package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pulumi_cf_invoice.client import BillingClient
    from pulumi_cf_invoice.errors import (
        ApiError,
        BadAnswer,
        ConnectionFailed,
        CredentialsMissing,
        InvoicePreviewError,
        SettingsError,
    )
    from pulumi_cf_invoice.functions import get_invoice_preview, get_invoice_preview_output
    from pulumi_cf_invoice.invoice import (
        Invoice,
        InvoiceLine,
        Period,
        PretaxCreditAmount,
        Pricing,
    )
    from pulumi_cf_invoice.resource import InvoicePreview
    from pulumi_cf_invoice.settings import Credentials
    from pulumi_cf_invoice.stack_outputs import export_invoice

__all__ = [
    "ApiError",
    "BadAnswer",
    "BillingClient",
    "ConnectionFailed",
    "Credentials",
    "CredentialsMissing",
    "Invoice",
    "InvoiceLine",
    "InvoicePreview",
    "InvoicePreviewError",
    "Period",
    "PretaxCreditAmount",
    "Pricing",
    "SettingsError",
    "export_invoice",
    "get_invoice_preview",
    "get_invoice_preview_output",
]

_MODULES = {
    "client": ["BillingClient"],
    "errors": [
        "ApiError",
        "BadAnswer",
        "ConnectionFailed",
        "CredentialsMissing",
        "InvoicePreviewError",
        "SettingsError",
    ],
    "functions": ["get_invoice_preview", "get_invoice_preview_output"],
    "invoice": ["Invoice", "InvoiceLine", "Period", "PretaxCreditAmount", "Pricing"],
    "resource": ["InvoicePreview"],
    "settings": ["Credentials"],
    "stack_outputs": ["export_invoice"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
