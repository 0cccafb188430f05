"""Applies the rules of a report to what was found in files, and to accounts that rules read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import shown
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.models import counted
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.report.found import Found, MissingInvoice, rank
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import DeclaredRule, Level
from pulumi_cf_invoice.rules.gates import DISABLED, UNREAD, Gate, unjudged_account
from pulumi_cf_invoice.rules.on_forecasts import outdated
from pulumi_cf_invoice.rules.on_invoices import GLOBS
from pulumi_cf_invoice.rules.rule import Finding, StackRule, Status
from pulumi_cf_invoice.state import InvoiceState

Verdict = Literal["over", "unknown", "advisory", "within", "none"]
_WORST_FIRST: tuple[Status, ...] = ("over", "failed", "unknown", "within", "noted")
TITLES: dict[Verdict, str] = {
    "over": "Over budget",
    "unknown": "Unknown",
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
_PARTLY_UNKNOWN = "Not fully judged"
POLICY = "policy"
"""The kind of a policy pack's rule, which Pulumi judged at the preview."""
_A_DAY = 86_400
_JUST_NOW = timedelta(minutes=1)
_TIME_OF_READING, _ORIGIN = _OF_READING = ("time of reading", "origin")


@dataclass(frozen=True)
class RuleResult:
    """
    A rule by name and kind, how it was judged, and notes on the rule.

    ``of_invoices`` are the findings on each invoice of a report, and ``of_accounts`` those on the
    accounts that the rule read itself. ``gate`` is what judged, if this project did. While a waiver
    suspends the rule (``is_suspended``), it judges nothing.
    """

    name: str
    kind: str
    level: Level
    of_invoices: Sequence[Sequence[Finding]] = ()
    of_accounts: Sequence[Finding] = ()
    notices: Sequence[str] = ()
    gate: Gate | None = field(default=None, compare=False, repr=False)
    is_suspended: bool = False

    @property
    def findings(self) -> list[Finding]:
        """All findings."""
        of_invoices = [finding for found in self.of_invoices for finding in found]
        return [*of_invoices, *self.of_accounts]

    @property
    def verdict(self) -> Status:
        """
        ``over``, ``failed`` or ``unknown``, which all violate the rule, ``within`` it, or ``noted``
        if nothing was judged.
        """
        statuses = {finding.status for finding in self.findings}
        return next((verdict for verdict in _WORST_FIRST if verdict in statuses), "noted")

    @property
    def violations(self) -> list[Finding]:
        """The findings that violate the rule."""
        return [finding for finding in self.findings if finding.violates]

    @property
    def noted(self) -> list[str]:
        """Notes that are not violations, a sentence each."""
        return [shown(note) for note in self.marked_notes]

    @property
    def marked_notes(self) -> list[str]:
        """
        The notes, in which what others wrote is marked (`named`).

        Those on accounts that were passed over come first, and those that only tell when and from
        where an account was read come last.
        """
        noted = sorted((f for f in self.findings if f.status == "noted"), key=_after_what_matters)
        return [*self.notices, *(finding.marked for finding in noted)]

    @property
    def passed_over(self) -> list[str]:
        """The accounts that it passed over, as one sentence; empty if there are none."""
        found = [finding.message for finding in self.findings if finding.is_passed_over]
        # Of several, the first of the notices tells.
        return found if len(found) < 2 else [*map(shown, self.notices[:1])]

    @property
    def passed_over_briefly(self) -> list[str]:
        """The same without the reason, which is given for a single account only."""
        found = [finding.account_id for finding in self.findings if finding.is_passed_over]
        if len(found) != 1:
            return self.passed_over
        return [f"Account {found[0]} could not be judged, which failOpen allows."]

    @property
    def on_itself(self) -> list[str]:
        """The notes on the rule itself, such as its waiver, a sentence each."""
        passed_over = self.passed_over
        return [note for note in map(shown, self.notices) if note not in passed_over]

    @property
    def on_what_it_read(self) -> list[str]:
        """
        The notes on globs that match no line, and on when it read what is older than a day, a
        sentence each.
        """
        globs = [finding.message for finding in self.findings if finding.subject == GLOBS]
        old = [
            finding.message
            for finding in self.findings
            if finding.subject == _TIME_OF_READING and finding.age
        ]
        return [*globs, *old]

    @property
    def reasons(self) -> set[str]:
        """
        Why nothing was judged, if nothing was, briefly and marked (`named`).

        The last note on an account says it: those before are on what else there is to know.
        """
        noted = [f for f in self.findings if f.status == "noted" and f.subject not in _OF_READING]
        last = {finding.account_id: finding for finding in noted}
        of_each = {finding.brief or finding.marked for finding in last.values()}
        return of_each or set(self.notices[:1])

    @property
    def marked_origins(self) -> list[str]:
        """Those of the notes that tell where accounts were read, if not from Cloudflare."""
        return [finding.marked for finding in self.findings if finding.subject == _ORIGIN]

    @property
    def is_on_invoices(self) -> bool:
        """Whether it judges the invoices of a report, rather than accounts that it reads itself."""
        return self.gate is not None and not self.gate.reads_accounts

    @property
    def is_mandatory(self) -> bool:
        """Whether a violation of the rule is more than a warning."""
        return self.level == "mandatory"

    @property
    def is_to_judge(self) -> bool:
        """Whether it is a rule of ours that somebody wants judged now."""
        return self.kind != POLICY and self.level != "disabled" and not self.is_suspended

    @property
    def remedies(self) -> list[str]:
        """What to do about the violations, each sentence once."""
        return list(dict.fromkeys(f.remedy for f in self.violations if f.remedy))

    def on(self, number: int, account_id: str | None) -> "RuleResult":
        """Return what was found on the invoice with this *number* and of this account."""
        return replace(
            self,
            of_invoices=self.of_invoices[number : number + 1],
            of_accounts=[f for f in self.of_accounts if f.account_id == account_id],
        )


def judge(
    rules: Sequence[DeclaredRule],
    found: Sequence[Found],
    at: datetime,
    reader: AccountReader,
    missing: Sequence[MissingInvoice] = (),
) -> list[RuleResult]:
    """
    Judge *rules* on the invoices that were *found*, or on the accounts that they read themselves,
    at the time *at*.

    A rule on invoices cannot be judged on one that is *missing*, which violates it. Raises
    `RuleError` if a rule is not complete, before anything is read.
    """
    gates = [None if rule.level == "disabled" else Gate.of(rule) for rule in rules]
    # Request everything before waiting for the first answer.
    for gate in gates:
        if gate is not None:
            gate.ask(reader, at)
    results = [
        _result(rule, gate, found, at, reader, missing)
        for rule, gate in zip(rules, gates, strict=True)
    ]
    return _noted_once(results)


def _noted_once(results: Sequence[RuleResult]) -> list[RuleResult]:
    """Return *results* in which only the first notes when an account was read, and from where."""
    noted: set[str] = set()
    once = []
    for result in results:
        kept = []
        for finding in result.of_accounts:
            if finding.subject in _OF_READING and finding.message in noted:
                continue
            if finding.subject in _OF_READING:
                noted.add(finding.message)
            kept.append(finding)
        once.append(replace(result, of_accounts=kept))
    return once


def _result(
    rule: DeclaredRule,
    gate: Gate | None,
    found: Sequence[Found],
    at: datetime,
    reader: AccountReader,
    missing: Sequence[MissingInvoice],
) -> RuleResult:
    result = RuleResult(rule.name, rule.kind.name, rule.level or "mandatory", gate=gate)
    if gate is None:
        return replace(result, notices=[DISABLED])
    notices = gate.notices(at)
    if gate.in_force(at) is None:
        return replace(result, notices=notices, is_suspended=True)
    if isinstance(gate.rule, StackRule) and not gate.reads_accounts:
        return replace(result, notices=["It is judged at deployments only.", *notices])
    if gate.reads_accounts:
        findings = _of_accounts(gate, found, at, reader)
        passed_over = gate.passed_over(findings)
        notices = [*([passed_over] if passed_over else []), *notices]
        return replace(result, of_accounts=findings, notices=notices)
    judged = [
        *(invoice.state.account_id for invoice in found),
        *(account.account_id for account in missing),
    ]
    unmatched = gate.unmatched(judged, at)
    notices += [unmatched] if unmatched else []
    return replace(
        result,
        of_invoices=[_on(gate, invoice, at) for invoice in found],
        of_accounts=[_unknown(account) for account in missing],
        notices=notices,
    )


def _unknown(missing: MissingInvoice) -> Finding:
    account = missing.account_id
    message = unjudged_account(account, str(missing.error))
    return Finding("unknown", UNREAD, lambda: message, account_id=account, brief=str(missing.error))


def _of_accounts(
    gate: Gate, found: Sequence[Found], at: datetime, reader: AccountReader
) -> list[Finding]:
    """Judge the accounts of *gate*, and what violates it in states of theirs that were found."""
    read: dict[str | None, list[Finding]] = defaultdict(list)
    for finding in gate.judge_accounts(reader, at):
        read[finding.account_id].append(finding)
    known: dict[str | None, list[InvoiceState]] = defaultdict(list)
    for invoice in found:
        for state in (invoice.state, *invoice.also):
            known[state.account_id].append(state)
    findings = []
    for account in gate.account_ids if read else ():
        of_account, states = read[account], known[account]
        on_invoice = states if gate.rule.reads == (INVOICE_PREVIEW,) else []
        others = _violated_elsewhere(gate, of_account, on_invoice, at)
        when = reader.read_at(account, gate.base_url, at)
        is_read = not any(finding.subject == UNREAD for finding in of_account)
        age = _age(when, at, is_read=is_read)
        of_account = [
            replace(current, age=age)
            for finding in of_account
            for current in _current(finding, gate, states, others, at, reader)
        ]
        read_at = _time_of_reading(account, when, at, age, is_read=is_read)
        has_origin = gate.origin and gate.has_figures(account, reader, at)
        origin = [Finding("noted", _ORIGIN, lambda: gate.origin)] if has_origin else []
        more = (replace(finding, account_id=account) for finding in (*others, *read_at, *origin))
        findings += [*of_account, *more]
    return findings


def _current(
    finding: Finding,
    gate: Gate,
    states: Sequence[InvoiceState],
    others: Sequence[Finding],
    at: datetime,
    reader: AccountReader,
) -> Iterator[Finding]:
    """
    Yield *finding*; if it is within by a forecast of an older invoice than *states* have, yield
    that it is not known, or nothing where *others* have what is due over the limit.
    """
    account = finding.account_id
    if not finding.is_foreseen or finding.violates or account is None:
        yield finding
        return
    read_at = reader.read_at(account, gate.base_url, at)
    made_of = reader.ask(INVOICE_PREVIEW.asked(read_at), account, gate.base_url).result()
    newer = [
        state.invoice
        for state in states
        if has_outgrown(state, made_of, read_at, at)
        or _is_too_little(finding, made_of, state.invoice)
    ]
    if not newer:
        yield finding
    elif not others:
        unknown = outdated(finding, account, made_of, max(newer, key=rank))
        yield replace(unknown, account_id=account)


def _is_too_little(finding: Finding, known: Invoice, later: Invoice) -> bool:
    """
    Return whether *finding* foresaw less than is due by now, and would not be within otherwise.

    It was made of the invoice that was *known*, and the *later* one has added something to it.
    """
    if finding.amount is None or finding.limit is None:
        return False
    foreseen = finding.amount.amount
    grown = money.total([foreseen, later.amount_due], less=[known.amount_due])
    return later.amount_due > foreseen and grown > money.exact(finding.limit.amount)


def has_outgrown(state: InvoiceState, known: Invoice, read_at: datetime, at: datetime) -> bool:
    """
    Return whether *state*, as of the time *at*, has outgrown what was *known* at *read_at*.

    It has a later period, or more due than the mean day before *read_at* would have added since,
    with a day to spare.
    """
    later = state.invoice
    if later.period_start != known.period_start:
        return later.period_start > known.period_start
    elapsed = max(int(read_at.timestamp()) - known.period_start, _A_DAY)
    since = max(int((state.as_of(at) - read_at).total_seconds()), 0) + _A_DAY
    more = money.total([later.amount_due], less=[known.amount_due])
    return more * elapsed > max(money.exact(known.amount_due), Decimal(0)) * since


def _time_of_reading(
    account_id: str, read_at: datetime, at: datetime, age: str, *, is_read: bool
) -> list[Finding]:
    """Tell when what was judged at the time *at* was read, or could not be, if not just now."""
    if abs(at - read_at) < _JUST_NOW:
        return []
    when = f"{read_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    message = f"Account {account_id} was read on {when}, and is judged as of that time."
    if not is_read:
        message = f"The snapshot of account {account_id} was taken on {when}."
    return [Finding("noted", _TIME_OF_READING, lambda: message, age=age)]


def _age(read_at: datetime, at: datetime, *, is_read: bool) -> str:
    """
    Say how old what was read is, or what could not be; nothing if it is less than a day.

    Where something could not be read, there are no figures that could be old.
    """
    days = (at - read_at).days
    if days < 1:
        return ""
    what = "figures" if is_read else "snapshot"
    return f"{what} of {read_at.astimezone(UTC):%Y-%m-%d}, {counted(days, 'day')} old"


def _on(gate: Gate, found: Found, at: datetime) -> list[Finding]:
    """Judge an invoice, and what violates the rule in other states of its account."""
    findings = gate.judge(found.state, at)
    others = _violated_elsewhere(gate, findings, found.also, at)
    return findings + others


def _violated_elsewhere(
    gate: Gate, findings: Sequence[Finding], states: Sequence[InvoiceState], at: datetime
) -> list[Finding]:
    """Return what violates *gate* in *states*, unless that is among *findings* already."""
    messages = {finding.message for finding in findings} if states else set()
    violated = []
    for state in states:
        for finding in gate.judge(state, at):
            if finding.violates and (message := finding.message) not in messages:
                violated.append(finding)
                messages.add(message)
    return violated


def verdict_of(rules: Sequence[RuleResult]) -> Verdict:
    """
    Return the verdict of *rules* together: the worst of the mandatory ones comes first.

    It is ``unknown`` too if none of them was judged, whatever a policy pack said. Those that are
    disabled, or suspended by a waiver, do not count.
    """
    mandatory = {rule.verdict for rule in rules if rule.is_mandatory}
    if mandatory & {"over", "failed"}:
        return "over"
    if "unknown" in mandatory:
        return "unknown"
    own = [rule for rule in rules if rule.is_to_judge]
    if own and not any(finding.is_judged for rule in own for finding in rule.findings):
        return "unknown"
    if any(rule.violations for rule in rules):
        return "advisory"
    return "within" if own else "none"


def verdict_text(verdict: Verdict, rules: Sequence[RuleResult]) -> str:
    """Return a *verdict* on *rules* for people, which speaks of a budget where one is judged."""
    violations = (finding for rule in rules for finding in rule.violations)
    if verdict == "advisory" and all(finding.status == "unknown" for finding in violations):
        return _PARTLY_UNKNOWN
    if verdict not in _NO_BUDGET:
        return TITLES[verdict]
    if verdict == "within":
        within = (f for rule in rules for f in rule.findings if f.status == "within")
        on_amounts = (f for f in within if f.limit)
    else:
        level = "advisory" if verdict == "advisory" else "mandatory"
        violated = (f for rule in rules if rule.level == level for f in rule.violations)
        # One in another currency than its limit may be within it.
        on_amounts = (f for f in violated if f.excess and f.status in ("over", "failed"))
    # Credit, an unpaid invoice or a status has nothing to do with a budget.
    is_budget = any(not f.is_minimum for f in on_amounts)
    return TITLES[verdict] if is_budget else _NO_BUDGET[verdict]


def by_whom_passed_over(rules: Mapping[str, str], most: int) -> list[str]:
    """
    Return the sentences of *rules*, by their name, on accounts that they passed over, each after
    its rule; or of more than *most*, one that names the rules.
    """
    if len(rules) > most:
        return [f"Accounts passed over, which failOpen allows: {', '.join(sorted(rules))}."]
    return [f"{name}: {sentence}" for name, sentence in rules.items()]


def _after_what_matters(finding: Finding) -> tuple[bool, bool]:
    return finding.subject in _OF_READING, not finding.is_passed_over


def worst_first(rules: Sequence[RuleResult]) -> list[RuleResult]:
    """Return *rules*, mandatory ones that are violated first, then advisory ones, then the rest."""
    return sorted(rules, key=lambda rule: _WORST_FIRST.index(rule.verdict) + _after_violated(rule))


def _after_violated(rule: RuleResult) -> int:
    if not rule.violations:
        return 2 * len(_WORST_FIRST)
    return 0 if rule.is_mandatory else len(_WORST_FIRST)
