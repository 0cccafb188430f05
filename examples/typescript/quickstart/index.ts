// The upcoming AI Gateway invoice as stack outputs.
import * as cfInvoice from "@pulumi/cf-invoice";

const upcoming = new cfInvoice.InvoicePreview("upcoming");
const invoice = cfInvoice.getInvoicePreviewOutput({ accountId: upcoming.accountId });

export const amountDue = upcoming.amountDue;
export const amountDueText = invoice.amountDueText;
export const period = invoice.periodText;
