"""An AI Gateway whose limits tighten in steps as the upcoming invoice approaches a budget."""

import pulumi

from pulumi_cf_invoice.budgeted_gateway import BudgetedGateway

budgeted = BudgetedGateway(
    "budgeted",
    budget=pulumi.Config().require("budget"),  # such as 200 USD
    ai_gateway_id="assistant",
    byok_only=False,
)

pulumi.export("amount_due", budgeted.invoice.invoice.amount_due_text)
pulumi.export("requests_per_minute", budgeted.requests_per_minute)
pulumi.export("dollars_per_day", budgeted.dollars_per_day)
