"""A policy pack that blocks deployments while the upcoming AI Gateway invoice is over budget."""

from pulumi_cf_invoice.policy import spend_policy_pack

spend_policy_pack("cf-invoice-spend", rules="rules.json")
