"""An AI Gateway whose rate limit tightens by steps as the upcoming invoice nears a budget."""

import pulumi
import pulumi_cloudflare as cloudflare

from pulumi_cf_invoice import InvoicePreview

# (share of the budget in percent, requests per minute from there on)
STEPS = [(100, 10), (90, 100), (75, 300), (0, 1000)]

budget = pulumi.Config().require_int("budget")  # in cents, as the invoice's amounts are
upcoming = InvoicePreview("upcoming")


def requests_per_minute(amount_due: int) -> int:
    """The rate limit for an amount due, in cents."""
    return next(
        (limit for percent, limit in STEPS if amount_due * 100 >= budget * percent), STEPS[-1][1]
    )


gateway = cloudflare.AiGateway(
    "assistant",
    account_id=upcoming.account_id,
    ai_gateway_id="assistant",
    cache_invalidate_on_update=True,
    cache_ttl=300,
    collect_logs=True,
    rate_limiting_interval=60,
    rate_limiting_limit=upcoming.amount_due.apply(requests_per_minute),
    rate_limiting_technique="sliding",
)

pulumi.export("amount_due", upcoming.invoice.amount_due_text)
pulumi.export("requests_per_minute", gateway.rate_limiting_limit)
