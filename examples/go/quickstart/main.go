// The upcoming AI Gateway invoice as stack outputs.
package main

import (
	"example.com/pulumi-cf-invoice/sdk/go/cfinvoice"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func main() {
	pulumi.Run(quickstart)
}

func quickstart(ctx *pulumi.Context) error {
	upcoming, err := cfinvoice.NewInvoicePreview(ctx, "upcoming", nil)
	if err != nil {
		return err
	}
	invoice := cfinvoice.LookupInvoicePreviewOutput(ctx, cfinvoice.LookupInvoicePreviewOutputArgs{
		AccountId: upcoming.AccountId,
	})

	ctx.Export("amountDue", upcoming.AmountDue)
	ctx.Export("amountDueText", invoice.AmountDueText())
	ctx.Export("period", invoice.PeriodText())
	return nil
}
