// Runs a program on the engine through the Automation API, on behalf of the tests in Python.
//
// It is copied next to an example's main.go, so that it can call its program, and built with
// `go test -c`. The request comes from environment variables; the answer goes to the file named by
// ANSWER.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"example.com/pulumi-cf-invoice/sdk/go/cfinvoice"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

var programs = map[string]pulumi.RunFunc{
	"quickstart": quickstart,
	"imported": func(ctx *pulumi.Context) error {
		account := pulumi.ID(os.Getenv("CLOUDFLARE_ACCOUNT_ID"))
		upcoming, err := cfinvoice.NewInvoicePreview(ctx, "upcoming", nil, pulumi.Import(account))
		if err == nil {
			ctx.Export("amountDue", upcoming.AmountDue)
		}
		return err
	},
	"provider": func(ctx *pulumi.Context) error {
		token := pulumi.String("sandbox-token")
		provider, err := cfinvoice.NewProvider(ctx, "own", &cfinvoice.ProviderArgs{ApiToken: token})
		if err != nil {
			return err
		}
		upcoming, err := cfinvoice.NewInvoicePreview(ctx, "upcoming", nil, pulumi.Provider(provider))
		if err != nil {
			return err
		}
		ctx.Export("amountDue", upcoming.AmountDue)
		ctx.Export("lineAmount", upcoming.InvoiceLines.Index(pulumi.Int(0)).Amount())
		return nil
	},
	"bill": func(ctx *pulumi.Context) error {
		credits, err := cfinvoice.GetCreditBalance(ctx, &cfinvoice.GetCreditBalanceArgs{})
		if err != nil {
			return err
		}
		usage := cfinvoice.GetUsageHistoryOutput(ctx, cfinvoice.GetUsageHistoryOutputArgs{
			Since: pulumi.String("2026-05-04"),
			Until: pulumi.String("2026-05-11T00:00:00Z"),
		})
		all := "all"
		history, err := cfinvoice.GetInvoiceHistory(ctx, &cfinvoice.GetInvoiceHistoryArgs{Type: &all})
		if err != nil {
			return err
		}
		listed, err := cfinvoice.GetGateways(ctx, &cfinvoice.GetGatewaysArgs{})
		if err != nil {
			return err
		}
		gateways := pulumi.StringArray{}
		for _, gateway := range listed.Gateways {
			told := gateway.GatewayId
			for _, rule := range gateway.SpendLimitRules {
				told += fmt.Sprint(" ", *rule.Limit)
			}
			gateways = append(gateways, pulumi.String(told))
		}
		ctx.Export("gateways", gateways)
		ctx.Export("balance", pulumi.Float64(credits.Balance))
		ctx.Export("topupIsOn", pulumi.Bool(credits.TopupIsOn))
		ctx.Export("usage", usage.Total())
		ctx.Export("days", usage.Entries().ApplyT(func(entries []cfinvoice.UsageEntry) int { return len(entries) }))
		ctx.Export("latest", pulumi.Float64(history.Invoices[0].AmountDue))
		return nil
	},
	"get": func(ctx *pulumi.Context) error {
		account := pulumi.ID(os.Getenv("CLOUDFLARE_ACCOUNT_ID"))
		read, err := cfinvoice.GetInvoicePreview(ctx, "read", account, nil)
		if err == nil {
			ctx.Export("amountDue", read.AmountDue)
		}
		return err
	},
}

func TestRun(t *testing.T) {
	ctx := context.Background()
	stack, err := auto.UpsertStackInlineSource(
		ctx, "dev", "test", programs[os.Getenv("PROGRAM")], auto.WorkDir(os.Getenv("WORK_DIR")),
	)
	if err != nil {
		t.Fatal(err)
	}
	outputs := auto.OutputMap{}
	packs := strings.Fields(os.Getenv("POLICY_PACK"))
	packConfigs := strings.Fields(os.Getenv("POLICY_PACK_CONFIG"))
	switch os.Getenv("OPERATION") {
	case "preview":
		_, err = stack.Preview(ctx,
			optpreview.ProgressStreams(os.Stdout), optpreview.ErrorProgressStreams(os.Stdout),
			optpreview.PolicyPacks(packs...), optpreview.PolicyPackConfigs(packConfigs...),
		)
	case "up":
		var result auto.UpResult
		result, err = stack.Up(ctx,
			optup.ProgressStreams(os.Stdout), optup.ErrorProgressStreams(os.Stdout),
			optup.PolicyPacks(packs...), optup.PolicyPackConfigs(packConfigs...),
		)
		outputs = result.Outputs
	case "refresh":
		_, err = stack.Refresh(ctx, optrefresh.ProgressStreams(os.Stdout))
	case "destroy":
		_, err = stack.Destroy(ctx, optdestroy.ProgressStreams(os.Stdout))
	}
	values := map[string]any{}
	for name, output := range outputs {
		values[name] = output.Value
	}
	answer, _ := json.Marshal(map[string]any{"ok": err == nil, "outputs": values})
	if err := os.WriteFile(os.Getenv("ANSWER"), answer, 0o600); err != nil {
		t.Fatal(err)
	}
}
