"""An AI Gateway whose limits tighten in steps as the upcoming invoice approaches a budget."""

import pulumi

from pulumi_cf_invoice.budgeted_gateway import BudgetedGateway

assistant = BudgetedGateway("assistant", budget=pulumi.Config().require("budget"))

pulumi.export("amount_due", assistant.invoice.invoice.amount_due_text)
pulumi.export("requests_per_minute", assistant.requests_per_minute)
pulumi.export("dollars_per_day", assistant.dollars_per_day)
