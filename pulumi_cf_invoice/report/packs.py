"""What policy packs said about a preview, as results next to those of the report's own rules."""

from collections.abc import Sequence

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.report.found import Found, PackViolation
from pulumi_cf_invoice.report.judging import POLICY, RuleResult
from pulumi_cf_invoice.rules.rule import NOT_YET, Finding
from pulumi_cf_invoice.state import TYPES

_PULUMI_CANNOT = "can't run policy '"
"""How Pulumi's own advisory begins, of a policy that needs a value to come."""


def policy_results(found: Sequence[Found]) -> list[RuleResult]:
    """
    Return a result for each policy that was violated where the invoices were *found*.

    A preview blocked by a mandatory policy is over it, whatever else is within.
    """
    policies: dict[tuple[str, str, bool], list[list[Finding]]] = {}
    for number, invoice in enumerate(found):
        for violation in invoice.violations:
            key = (violation.pack, violation.policy, violation.is_mandatory)
            of_invoices = policies.setdefault(key, [[] for _ in found])
            of_invoices[number].append(_finding(violation))
    return [
        RuleResult(
            f"{pack}: {policy}",
            POLICY,
            "mandatory" if is_mandatory else "advisory",
            of_invoices=of_invoices,
        )
        for (pack, policy, is_mandatory), of_invoices in policies.items()
    ]


def _finding(violation: PackViolation) -> Finding:
    message = violation.message
    if not any(resource_type in violation.urn for resource_type in TYPES):
        # Our own packs name the account.
        message = f"{one_line(violation.urn.rsplit('::', 1)[-1])}: {message}"
    is_unknown = not violation.is_mandatory and _is_unknown(violation.message)
    return Finding("unknown" if is_unknown else "failed", "policy", lambda: message)


def _is_unknown(message: str) -> bool:
    """Return whether a policy only said that it could not judge something at a preview."""
    return NOT_YET in message or message.startswith(_PULUMI_CANNOT)
