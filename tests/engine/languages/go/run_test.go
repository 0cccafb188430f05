// Runs operations on one stack through the Automation API, on behalf of the tests in Python.
//
// It is copied next to an example's main.go, so that it can call its program, and built with
// `go test -c`. Each line of the input asks for an operation, in JSON, and each line of the output
// answers one.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"example.com/pulumi-cf-invoice/sdk/go/cfinvoice"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
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

type request struct {
	Program     string
	Operation   string
	PolicyPacks []string
}

type answer struct {
	OK      bool           `json:"ok"`
	Text    string         `json:"text"`
	Outputs map[string]any `json:"outputs"`
}

func TestRun(t *testing.T) {
	stack, err := auto.UpsertStackInlineSource(
		context.Background(), "dev", "test", nil, auto.WorkDir(os.Getenv("WORK_DIR")),
	)
	if err != nil {
		t.Fatal(err)
	}
	requests, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for requests.More() {
		var asked request
		if err := requests.Decode(&asked); err != nil {
			t.Fatal(err)
		}
		if err := answers.Encode(run(stack, asked)); err != nil {
			t.Fatal(err)
		}
	}
}

func run(stack auto.Stack, asked request) answer {
	ctx := context.Background()
	stack.Workspace().SetProgram(programs[asked.Program])
	var text bytes.Buffer
	var up auto.UpResult
	var err error
	switch asked.Operation {
	case "preview":
		_, err = stack.Preview(ctx,
			optpreview.ProgressStreams(&text), optpreview.ErrorProgressStreams(&text),
			optpreview.PolicyPacks(asked.PolicyPacks...),
		)
	case "up":
		up, err = stack.Up(ctx,
			optup.ProgressStreams(&text), optup.ErrorProgressStreams(&text),
			optup.PolicyPacks(asked.PolicyPacks...),
		)
	case "refresh":
		_, err = stack.Refresh(ctx, optrefresh.ProgressStreams(&text))
	}
	outputs := map[string]any{}
	for name, output := range up.Outputs {
		outputs[name] = output.Value
	}
	return answer{OK: err == nil, Text: text.String(), Outputs: outputs}
}
