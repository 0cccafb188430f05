// An AI Gateway whose limits tighten in steps as the upcoming invoice approaches a budget.
import * as cfInvoice from "@pulumi/cf-invoice";
import * as cloudflare from "@pulumi/cloudflare";
import * as pulumi from "@pulumi/pulumi";

interface Step {
    /** The percentage of the budget at which this step begins. */
    from: number;
    requestsPerMinute: number;
    dollarsPerDay: number;
}

const STEPS: Step[] = [
    { from: 100, requestsPerMinute: 10, dollarsPerDay: 1 },
    { from: 90, requestsPerMinute: 100, dollarsPerDay: 5 },
    { from: 75, requestsPerMinute: 300, dollarsPerDay: 20 },
    { from: 0, requestsPerMinute: 1000, dollarsPerDay: 50 },
];
const DAY = 24 * 60 * 60;

// In cents, like the invoice's amounts.
const budget = new pulumi.Config().requireNumber("budget");
const upcoming = new cfInvoice.InvoicePreview("upcoming");

// No step matches if credits exceed usage, because the amount due is negative: use the last one.
const step = upcoming.amountDue.apply(
    (due) => STEPS.find(({ from }) => due * 100 >= budget * from) ?? STEPS[STEPS.length - 1],
);

const gateway = new cloudflare.AiGateway("assistant", {
    accountId: upcoming.accountId,
    aiGatewayId: "assistant",
    // Requests without a key of one's own are billed by Cloudflare, within the limits below.
    byokOnly: false,
    cacheInvalidateOnUpdate: true,
    cacheTtl: 300,
    collectLogs: true,
    rateLimitingInterval: 60,
    rateLimitingLimit: step.requestsPerMinute,
    rateLimitingTechnique: "sliding",
    spendLimits: {
        enabled: true,
        rules: [
            { limitType: "cost", limit: step.dollarsPerDay, window: DAY },
            // Caps the month whatever the steps allow: five sliding weeks cover 31 days.
            { limitType: "cost", limit: budget / 100 / 5, window: 7 * DAY, technique: "sliding" },
        ],
    },
});

export const amountDue = cfInvoice.getInvoicePreviewOutput().amountDueText;
export const requestsPerMinute = gateway.rateLimitingLimit;
export const dollarsPerDay = gateway.spendLimits.apply((limits) => limits?.rules?.[0].limit);
