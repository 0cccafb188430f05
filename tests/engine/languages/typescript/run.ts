// Runs a program on the engine through the Automation API, on behalf of the tests in Python.
//
// The request comes from environment variables; the answer goes to the file named by ANSWER.
import * as fs from "node:fs";
import * as process from "node:process";

import * as cfInvoice from "@pulumi/cf-invoice";
import * as automation from "@pulumi/pulumi/automation";

const env = process.env as Record<string, string>;

const programs: Record<string, automation.PulumiFn> = {
    quickstart: async () => require("./quickstart"),
    "cost-aware-gateway": async () => require("./cost-aware-gateway"),
    imported: async () => {
        const account = env.CLOUDFLARE_ACCOUNT_ID;
        const upcoming = new cfInvoice.InvoicePreview("upcoming", {}, { import: account });
        return { amountDue: upcoming.amountDue };
    },
    provider: async () => {
        const provider = new cfInvoice.Provider("own", { apiToken: "sandbox-token" });
        const upcoming = new cfInvoice.InvoicePreview("upcoming", {}, { provider });
        return { amountDue: upcoming.amountDue, lineAmount: upcoming.invoiceLines[0].amount };
    },
    get: async () => {
        const read = cfInvoice.InvoicePreview.get("read", env.CLOUDFLARE_ACCOUNT_ID);
        return { amountDue: read.amountDue };
    },
    bill: async () => {
        const credits = await cfInvoice.getCreditBalance();
        const usage = cfInvoice.getUsageHistoryOutput({ since: "2026-05-04", until: "2026-05-11T00:00:00Z" });
        const history = await cfInvoice.getInvoiceHistory({ type: "all" });
        const { gateways } = await cfInvoice.getGateways();
        return {
            balance: credits.balance,
            topupIsOn: credits.topupIsOn,
            usage: usage.total,
            days: usage.entries.apply((entries) => entries.length),
            latest: history.invoices[0].amountDue,
            gateways: gateways.map(({ gatewayId, spendLimitRules }) =>
                [gatewayId, ...(spendLimitRules ?? []).map(({ limit }) => limit)].join(" "),
            ),
        };
    },
    functions: async () => {
        const { net, netText, status } = await cfInvoice.getInvoicePreview();
        return { net, netText, status, invoice: cfInvoice.getInvoicePreviewOutput() };
    },
};

async function main(): Promise<void> {
    const stack = await automation.LocalWorkspace.createOrSelectStack(
        { stackName: "dev", projectName: "test", program: programs[env.PROGRAM] },
        { workDir: env.WORK_DIR },
    );
    for (const [name, value] of Object.entries(JSON.parse(env.CONFIG ?? "{}"))) {
        await stack.setConfig(name, { value: String(value) });
    }
    const say = (text: string) => void process.stdout.write(text);
    const options = {
        onOutput: say,
        onError: say,
        color: "never" as const,
        policyPacks: env.POLICY_PACK ? [env.POLICY_PACK] : [],
        policyPackConfigs: env.POLICY_PACK_CONFIG ? [env.POLICY_PACK_CONFIG] : [],
    };
    let outputs: automation.OutputMap = {};
    let ok = true;
    try {
        switch (env.OPERATION) {
            case "preview":
                await stack.preview(options);
                break;
            case "up":
                outputs = (await stack.up(options)).outputs;
                break;
            case "refresh":
                await stack.refresh({ onOutput: say, color: "never" });
                break;
            case "destroy":
                await stack.destroy({ onOutput: say, color: "never" });
                break;
        }
    } catch (error) {
        if (!(error instanceof automation.CommandError)) {
            throw error;
        }
        ok = false;
    }
    const values = Object.fromEntries(Object.entries(outputs).map(([name, { value }]) => [name, value]));
    fs.writeFileSync(env.ANSWER, JSON.stringify({ ok, outputs: values }));
}

void main();
