"""
The upcoming Cloudflare AI Gateway invoice, as a Pulumi data source.

Programs use `InvoicePreview`, `get_invoice_preview` and `export_invoice`; policy packs use
`pulumi_cf_invoice.policy`. The client below them, `pulumi_cf_invoice.billing`, needs no Pulumi.
Each name is imported from its module on first use, so that importing the package costs next to
nothing.
"""

from pulumi_cf_invoice._lazy import lazy_names

__getattr__, __dir__ = lazy_names(__name__)
