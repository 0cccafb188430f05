// Runs operations on one stack through the Automation API, on behalf of the tests in Python.
//
// Each line of the input asks for an operation, in JSON, and each line of the output answers one.
import * as process from "node:process";
import * as readline from "node:readline";

import * as cfInvoice from "@pulumi/cf-invoice";
import * as automation from "@pulumi/pulumi/automation";

const env = process.env as Record<string, string>;

// Node runs a module once, unless it forgets it.
const example = (name: string) => async () => {
    delete require.cache[require.resolve(name)];
    return require(name);
};

const programs: Record<string, automation.PulumiFn> = {
    quickstart: example("./quickstart"),
    "cost-aware-gateway": example("./cost-aware-gateway"),
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

interface Request {
    program: string;
    operation: string;
    policyPacks: string[];
}

async function run(stack: automation.Stack, { program, operation, policyPacks }: Request): Promise<object> {
    stack.workspace.program = programs[program];
    let text = "";
    const say = (more: string) => void (text += more);
    const options = { onOutput: say, onError: say, color: "never" as const };
    let outputs: automation.OutputMap = {};
    let ok = true;
    try {
        switch (operation) {
            case "preview":
                await stack.preview({ ...options, policyPacks });
                break;
            case "up":
                outputs = (await stack.up({ ...options, policyPacks })).outputs;
                break;
            case "refresh":
                await stack.refresh(options);
                break;
        }
    } catch (error) {
        if (!(error instanceof automation.CommandError)) {
            throw error;
        }
        ok = false;
    }
    const values = Object.fromEntries(Object.entries(outputs).map(([name, { value }]) => [name, value]));
    return { ok, text, outputs: values };
}

async function main(): Promise<void> {
    const stack = await automation.LocalWorkspace.createOrSelectStack(
        { stackName: "dev", projectName: "test", program: async () => ({}) },
        { workDir: env.WORK_DIR },
    );
    for (const [name, value] of Object.entries(JSON.parse(env.CONFIG ?? "{}"))) {
        await stack.setConfig(name, { value: String(value) });
    }
    for await (const line of readline.createInterface(process.stdin)) {
        console.log(JSON.stringify(await run(stack, JSON.parse(line))));
    }
}

void main();
