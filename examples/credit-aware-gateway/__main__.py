"""An AI Gateway that may spend a share of the remaining credits, but at least a dollar a day."""

import pulumi
import pulumi_cloudflare as cloudflare

from pulumi_cf_invoice import CreditBalance, InvoicePreview, get_credit_balance_output

DAYS = 7
DAY = 24 * 60 * 60
CENTS = 100

upcoming = InvoicePreview("upcoming")
credits = get_credit_balance_output(upcoming.account_id)


def dollars_per_day(credits: CreditBalance) -> int:
    """Return how much to spend per day, in dollars, so that the credits last for `DAYS`."""
    # Whole dollars, so that not every cent shows up as a change.
    return max(int(credits.balance) // CENTS // DAYS, 1)


gateway = cloudflare.AiGateway(
    "assistant",
    account_id=upcoming.account_id,
    ai_gateway_id="assistant",
    byok_only=False,
    cache_invalidate_on_update=True,
    cache_ttl=300,
    collect_logs=True,
    rate_limiting_interval=60,
    rate_limiting_limit=1000,
    rate_limiting_technique="sliding",
    spend_limits={
        "enabled": True,
        "rules": [
            {"limit_type": "cost", "limit": credits.apply(dollars_per_day), "window": DAY},
        ],
    },
)

pulumi.export("dollars_per_day", gateway.spend_limits.rules[0].limit)
pulumi.export(
    "credit_balance",
    pulumi.Output.all(credits, upcoming.currency).apply(lambda all: all[0].balance_text(all[1])),
)
