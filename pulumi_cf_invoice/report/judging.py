"""How the rules judge what was found: the invoices of a report, and the accounts they read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.report.found import Found, MissingInvoice
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import DeclaredRule, Level
from pulumi_cf_invoice.rules.gates import DISABLED, Gate
from pulumi_cf_invoice.rules.rule import Finding, StackRule
from pulumi_cf_invoice.state import InvoiceState

Verdict = Literal["over", "unknown", "advisory", "within", "none"]
RuleVerdict = Literal["over", "failed", "unknown", "within", "noted"]
TITLES: dict[Verdict, str] = {
    "over": "Over budget",
    "unknown": "Could not tell",
    "advisory": "Over an advisory limit",
    "within": "Within budget",
    "none": "Upcoming invoice",
}
"""The verdicts for people."""
_NO_BUDGET: Mapping[Verdict, str] = {
    "over": "Against a rule",
    "advisory": "Against an advisory rule",
    "within": "Within the rules",
}
POLICY = "policy"
"""The kind of a rule of a policy pack, which Pulumi judged at the preview."""
_JUST_NOW = timedelta(minutes=1)


@dataclass(frozen=True)
class RuleResult:
    """
    A rule by its name and kind, how it was judged, and what has to be known of the rule.

    ``of_invoices`` are the findings on each invoice of a report, and ``of_accounts`` those on the
    accounts that the rule read by itself.
    """

    name: str
    kind: str
    level: Level
    of_invoices: Sequence[Sequence[Finding]] = ()
    of_accounts: Sequence[Finding] = ()
    notices: Sequence[str] = ()

    @property
    def findings(self) -> list[Finding]:
        """All findings."""
        return [*(one for found in self.of_invoices for one in found), *self.of_accounts]

    @property
    def verdict(self) -> RuleVerdict:
        """
        ``over``, ``failed`` or ``unknown``, which all violate the rule, ``within`` it, or ``noted``
        if nothing was judged.
        """
        statuses = {finding.status for finding in self.findings}
        order: tuple[RuleVerdict, ...] = ("over", "failed", "unknown", "within")
        return next((status for status in order if status in statuses), "noted")

    @property
    def violations(self) -> list[Finding]:
        """The findings that violate the rule."""
        return [finding for finding in self.findings if finding.violates]

    @property
    def told(self) -> list[str]:
        """What is no violation but has to be known, a sentence each."""
        return [*self.notices, *(one.message for one in self.findings if one.status == "noted")]

    def on(self, number: int, account_id: str | None) -> "RuleResult":
        """Return what was found on the invoice with this *number* and of this account."""
        return replace(
            self,
            of_invoices=self.of_invoices[number : number + 1],
            of_accounts=[one for one in self.of_accounts if one.account_id == account_id],
        )


def judge(
    rules: Sequence[DeclaredRule],
    found: Sequence[Found],
    at: datetime,
    reader: AccountReader,
    missing: Sequence[MissingInvoice] = (),
) -> list[RuleResult]:
    """
    Judge *rules* on the invoices that were *found*, or on the accounts that they read by
    themselves, at the time *at*.

    A rule on invoices cannot be judged on one that is *missing*, which violates it. Raises
    `RuleError` if a rule is not complete, before anything is read.
    """
    gates = [None if rule.level == "disabled" else Gate.of(rule) for rule in rules]
    # All is asked for before the first answer is waited for.
    for gate in gates:
        if gate is not None:
            gate.ask(reader, at)
    return [
        _result(rule, gate, found, at, reader, missing)
        for rule, gate in zip(rules, gates, strict=True)
    ]


def _result(
    rule: DeclaredRule,
    gate: Gate | None,
    found: Sequence[Found],
    at: datetime,
    reader: AccountReader,
    missing: Sequence[MissingInvoice],
) -> RuleResult:
    result = RuleResult(rule.name, rule.kind.name, rule.level or "mandatory")
    if gate is None:
        return replace(result, notices=[DISABLED])
    if isinstance(gate.rule, StackRule):
        return replace(result, notices=["It is judged at deployments only."])
    notices = gate.notices(at)
    if gate.reads_accounts:
        findings = _of_accounts(gate, found, at, reader)
        passed_over = gate.passed_over(findings)
        notices = [*([passed_over] if passed_over else []), *notices]
        return replace(result, of_accounts=findings, notices=notices)
    judged = [*(one.state.account_id for one in found), *(one.account_id for one in missing)]
    unmatched = gate.unmatched(judged, at)
    notices += [unmatched] if unmatched else []
    return replace(
        result,
        of_invoices=[_on(gate, one, at) for one in found],
        of_accounts=[] if gate.in_force(at) is None else [_unknown(one) for one in missing],
        notices=notices,
    )


def _unknown(missing: MissingInvoice) -> Finding:
    account = missing.account_id
    message = f"Whether account {account} is within this rule is not known: {missing.error}"
    return Finding("unknown", "account", lambda: message, account_id=account)


def _of_accounts(
    gate: Gate, found: Sequence[Found], at: datetime, reader: AccountReader
) -> list[Finding]:
    """Judge the accounts of *gate*, and what violates it in states of theirs that were found."""
    read = gate.judge_accounts(reader, at)
    findings = []
    for account in gate.account_ids if read else ():
        of_account = [one for one in read if one.account_id == account]
        states = [
            state
            for one in found
            for state in (one.state, *one.also)
            if state.account_id == account and gate.rule.reads == (INVOICE_PREVIEW,)
        ]
        others = _violated_elsewhere(gate, of_account, gate.base_url, states, at)
        read_at = _time_of_reading(account, reader.read_at(account, gate.base_url, at), at)
        more = (replace(one, account_id=account) for one in (*others, *read_at))
        findings += [*of_account, *more]
    return findings


def _time_of_reading(account_id: str, read_at: datetime, at: datetime) -> list[Finding]:
    """Tell when what was judged at the time *at* was read, if not just now."""
    if abs(at - read_at) < _JUST_NOW:
        return []
    when = f"{read_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    message = f"What was judged of account {account_id} was read on {when}."
    return [Finding("noted", "time of reading", lambda: message)]


def _on(gate: Gate, found: Found, at: datetime) -> list[Finding]:
    """Judge an invoice, and what violates the rule in other states of its account."""
    findings = gate.judge(found.state, at)
    others = _violated_elsewhere(gate, findings, found.state.base_url, found.also, at)
    return findings + others


def _violated_elsewhere(
    gate: Gate,
    told: Sequence[Finding],
    base_url: str | None,
    states: Sequence[InvoiceState],
    at: datetime,
) -> list[Finding]:
    """Return what violates *gate* in *states*, unless that was *told* of *base_url* already."""
    messages = {finding.message for finding in told} if states else set()
    violated = []
    for state in states:
        # Exported outputs do not say where they came from: it is the same violation all the same.
        alike = gate.judge(replace(state, base_url=base_url), at)
        for finding, same in zip(gate.judge(state, at), alike, strict=True):
            if finding.violates and not {finding.message, same.message} & messages:
                violated.append(finding)
                messages.add(same.message)
    return violated


def verdict_of(rules: Sequence[RuleResult]) -> Verdict:
    mandatory = {rule.verdict for rule in rules if rule.level == "mandatory"}
    if mandatory & {"over", "failed"}:
        return "over"
    if "unknown" in mandatory:
        return "unknown"
    if any(rule.violations for rule in rules):
        return "advisory"
    if any(rule.verdict == "within" for rule in rules):
        return "within"
    # A rule that is disabled in so many words is not one that could not be judged.
    return "unknown" if any(rule.level != "disabled" for rule in rules) else "none"


def verdict_text(verdict: Verdict, rules: Sequence[RuleResult]) -> str:
    if verdict not in _NO_BUDGET:
        return TITLES[verdict]
    if verdict == "within":
        within = (one for rule in rules for one in rule.findings if one.status == "within")
        on_amounts = (one for one in within if one.limit)
    else:
        violated = (one for rule in violated_rules(rules, verdict) for one in rule.violations)
        # One in another currency than its limit may be within it.
        on_amounts = (one for one in violated if one.excess and one.status in ("over", "failed"))
    # Credit, an unpaid invoice or a status is no matter of a budget.
    is_budget = any(not one.is_minimum for one in on_amounts)
    return TITLES[verdict] if is_budget else _NO_BUDGET[verdict]


def violated_rules(rules: Sequence[RuleResult], verdict: Verdict) -> list[RuleResult]:
    """Return the rules that are violated and make up *verdict*, what is over first."""
    level = "advisory" if verdict == "advisory" else "mandatory"
    violated = [rule for rule in rules if rule.level == level and rule.violations]
    return sorted(violated, key=lambda rule: rule.verdict not in ("over", "failed"))


def said(rule: RuleResult) -> str:
    if rule.kind == POLICY:
        # Its name is others' words.
        return "a policy pack blocked the preview"
    said = "is violated" if rule.verdict in ("over", "failed") else "could not be judged"
    return f"the rule {rule.name} {said}"
