"""The upcoming AI Gateway invoice as stack outputs."""

import pulumi

from pulumi_cf_invoice import InvoicePreview

upcoming = InvoicePreview("upcoming")

pulumi.export("amount_due", upcoming.amount_due)
pulumi.export("amount_due_text", upcoming.invoice.amount_due_text)
pulumi.export("period", upcoming.invoice.period_text)
