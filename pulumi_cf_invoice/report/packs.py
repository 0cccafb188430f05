"""What policy packs said about a preview, as results next to those of the report's own rules."""

import re
from collections.abc import Collection, Iterable, Sequence

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.report.found import Found, PackViolation
from pulumi_cf_invoice.report.judging import POLICY, RuleResult
from pulumi_cf_invoice.rules.rule import NOT_YET, Finding
from pulumi_cf_invoice.state import TYPES

_PULUMI_CANNOT = "can't run policy '"
"""How Pulumi's own advisory begins, of a policy that needs a value to come."""
# From its beginning to its end, because names in it are others' and can say the same.
_TO_COME = re.compile(
    rf"[^.]+\. The (InvoicePreview|AI gateway) .+ {NOT_YET}"
    r"its (figures are|`\w+` is) not known yet\."
)


def policy_results(violations: Iterable[PackViolation], found: Sequence[Found]) -> list[RuleResult]:
    """
    Return a result for each policy with *violations* at the previews that invoices were *found* in.

    A preview blocked by a mandatory policy is over it, whatever else is within, and even if none of
    its invoices was requested.
    """
    # Of a large stack there can be thousands.
    spoken = [frozenset(invoice.violations) for invoice in found]
    policies: dict[tuple[str, str, bool], dict[int | None, list[Finding]]] = {}
    for violation in violations:
        key = (violation.pack, violation.policy, violation.is_mandatory)
        of_policy = policies.setdefault(key, {})
        of_policy.setdefault(_invoice_of(violation, found, spoken), []).append(_finding(violation))
    return [
        RuleResult(
            f"{pack}: {policy}",
            POLICY,
            "mandatory" if is_mandatory else "advisory",
            of_invoices=[of_policy.get(number, []) for number in range(len(found))],
            of_accounts=of_policy.get(None, []),
        )
        for (pack, policy, is_mandatory), of_policy in policies.items()
    ]


def _invoice_of(
    violation: PackViolation, found: Sequence[Found], spoken: Sequence[Collection[PackViolation]]
) -> int | None:
    """
    Return the number of the invoice that a *violation* is shown with: that of its resource, or the
    first one of the same preview, if there is one. *spoken* has what packs said at each's preview.
    """
    of_preview = [n for n, violations in enumerate(spoken) if violation in violations]
    of_resource = (number for number in of_preview if violation.urn in found[number].urns)
    return next(of_resource, next(iter(of_preview), None))


def _finding(violation: PackViolation) -> Finding:
    message = violation.message
    if not any(resource_type in violation.urn for resource_type in TYPES):
        # Our own packs name the account.
        message = f"{one_line(violation.urn.rsplit('::', 1)[-1])}: {message}"
    is_unknown = not violation.is_mandatory and _is_unknown(violation.message)
    return Finding("unknown" if is_unknown else "failed", "policy", lambda: message)


def _is_unknown(message: str) -> bool:
    """Return whether a policy only said that it could not judge something at a preview."""
    return bool(_TO_COME.fullmatch(message)) or message.startswith(_PULUMI_CANNOT)
