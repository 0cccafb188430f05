"""Export the upcoming invoice as stack outputs for the report in CI."""

from pulumi_cf_invoice import InvoicePreview, export_invoice

export_invoice(InvoicePreview("upcoming"))
