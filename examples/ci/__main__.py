"""The upcoming invoice as stack outputs, which a report in CI reads."""

from pulumi_cf_invoice import InvoicePreview, export_invoice

export_invoice(InvoicePreview("upcoming"))
