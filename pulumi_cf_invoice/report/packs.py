"""What policy packs said about a preview, as results next to those of the report's own rules."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

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
    places = _Places(found)
    policies: dict[tuple[str, str, bool], dict[int | None, list[Finding]]] = {}
    for violation in violations:
        key = (violation.pack, violation.policy, violation.is_mandatory)
        of_policy = policies.setdefault(key, {})
        of_policy.setdefault(places.of(violation), []).append(_finding(violation))
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


class _Places:
    """
    The invoice that each violation is shown with: that of its resource, or the first one of the
    same preview, if there is one.

    Of a large stack there can be thousands of either.
    """

    def __init__(self, found: Sequence[Found]) -> None:
        self._first: dict[PackViolation, int] = {}
        self._by_resource: dict[str, list[int]] = defaultdict(list)
        self._spoken: dict[int, frozenset[PackViolation]] = {}
        self._found = found
        for number, invoice in enumerate(found):
            for urn in invoice.urns:
                self._by_resource[urn].append(number)
            # The invoices of a preview share what packs said at it.
            if id(invoice.violations) not in self._spoken:
                self._spoken[id(invoice.violations)] = frozenset(invoice.violations)
                for violation in invoice.violations:
                    self._first.setdefault(violation, number)

    def of(self, violation: PackViolation) -> int | None:
        """Return the number of the invoice that a *violation* is shown with, if there is one."""
        of_resource = (
            number
            for number in self._by_resource.get(violation.urn, ())
            if violation in self._spoken[id(self._found[number].violations)]
        )
        return next(of_resource, self._first.get(violation))


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
