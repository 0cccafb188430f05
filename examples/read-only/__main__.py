"""Read the upcoming invoice in a stack that must pass `pulumi preview --expect-no-changes`."""

import pulumi

from pulumi_cf_invoice import InvoicePreview, get_invoice_preview

invoice = get_invoice_preview()
pulumi.log.info(f"The upcoming invoice is {invoice.amount_due_text} for {invoice.period_text}.")

account_id = pulumi.Config("cf-invoice").require("accountId")
upcoming = InvoicePreview.get("upcoming", account_id)
pulumi.export("over_budget", upcoming.amount_due.apply(lambda due: due > 250_00))
