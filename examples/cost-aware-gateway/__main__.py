"""An AI Gateway whose limits tighten in steps as the upcoming invoice approaches a budget."""

import pulumi
import pulumi_cloudflare as cloudflare

from pulumi_cf_invoice import InvoicePreview

# The percentage of the budget at which a step starts, requests per minute, and dollars per day.
STEPS = [(100, 10, 1), (90, 100, 5), (75, 300, 20), (0, 1000, 50)]
DAY = 24 * 60 * 60

budget = pulumi.Config().require_int("budget")  # in cents, like the invoice's amounts
upcoming = InvoicePreview("upcoming")


def step(amount_due: int) -> tuple[int, int, int]:
    """Return the step for an amount due in cents, or the last one if credits exceed usage."""
    return next((s for s in STEPS if amount_due * 100 >= budget * s[0]), STEPS[-1])


gateway = cloudflare.AiGateway(
    "assistant",
    account_id=upcoming.account_id,
    ai_gateway_id="assistant",
    cache_invalidate_on_update=True,
    cache_ttl=300,
    collect_logs=True,
    rate_limiting_interval=60,
    rate_limiting_limit=upcoming.amount_due.apply(lambda due: step(due)[1]),
    rate_limiting_technique="sliding",
    spend_limits={
        "enabled": True,
        "rules": [
            {
                "limit_type": "cost",
                "limit": upcoming.amount_due.apply(lambda due: step(due)[2]),
                "window": DAY,
            },
            # Whatever the steps allow: a month of 31 days lies within five sliding weeks.
            {
                "limit_type": "cost",
                "limit": budget / 100 / 5,
                "window": 7 * DAY,
                "technique": "sliding",
            },
        ],
    },
)

pulumi.export("amount_due", upcoming.invoice.amount_due_text)
pulumi.export("requests_per_minute", gateway.rate_limiting_limit)
pulumi.export("dollars_per_day", gateway.spend_limits.rules[0].limit)
