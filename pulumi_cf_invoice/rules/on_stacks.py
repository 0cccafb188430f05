"""Kinds of rules on the resources of a stack, which are judged at deployments only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from pulumi_cf_invoice import rule_settings
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.rules.rule import StackResource, StackRule

GATEWAYS = ("cloudflare:index/aiGateway*:*",)
"""Globs on every type of AI gateway that pulumi-cloudflare has."""


@dataclass(frozen=True)
class RequireInvoicePreview(StackRule):
    """
    A stack with resources of certain types, or any stack, reads its upcoming invoice.

    It is checked against the resources of a stack, not an invoice, and so at deployments only.
    """

    name = "require-invoice-preview"
    description = "A stack that makes AI traffic looks at its upcoming invoice."
    settings: ClassVar = {
        "resourceTypes": rule_settings.RESOURCE_TYPES,
        "requiredAccountIds": rule_settings.REQUIRED_ACCOUNT_IDS,
    }
    needs = ()

    resource_types: tuple[str, ...] = GATEWAYS
    required_account_ids: tuple[str, ...] = ()

    def evaluate_stack(self, resources: Sequence[StackResource]) -> Iterator[tuple[str, str]]:
        """Return what is wrong with a stack's *resources*: each message with a URN, or none."""
        previews = [resource for resource in resources if resource.is_preview]
        read = {resource.account_id for resource in previews if resource.account_id}
        for account in self.required_account_ids:
            if account not in read:
                yield (
                    f"The stack has to look at the invoice of account {account}, and has no "
                    "InvoicePreview of it with figures.",
                    "",
                )
        if read:
            return
        lacking = "an InvoicePreview without figures" if previews else "no InvoicePreview"
        for resource in resources:
            if any(fnmatchcase(resource.type, glob) for glob in self.resource_types):
                yield (
                    f"The stack has {one_line(resource.name)} ({resource.type}) and {lacking}: "
                    "with one that has figures the other policies see what it costs.",
                    resource.urn,
                )
