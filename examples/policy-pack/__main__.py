"""A policy pack that blocks deployments while the upcoming AI Gateway invoice is over budget."""

from pulumi_policy import EnforcementLevel

from pulumi_cf_invoice.policy import (
    allowed_statuses,
    max_amount_due,
    max_increase,
    max_line_amount,
    max_projected_amount_due,
    require_invoice_preview,
    spend_policy_pack,
)

ADVISORY = EnforcementLevel.ADVISORY

spend_policy_pack(
    "cf-invoice-spend",
    [
        max_amount_due("250 USD"),
        max_projected_amount_due(enforcement_level=ADVISORY),
        max_line_amount(enforcement_level=ADVISORY),
        max_increase(enforcement_level=ADVISORY),
        allowed_statuses(["draft", "open", "paid"]),
        require_invoice_preview(),
    ],
)
