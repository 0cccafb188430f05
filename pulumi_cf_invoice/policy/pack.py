"""
A Pulumi policy pack that judges declared rules: what it reads, reports and notes.

`pulumi_cf_invoice.policy` has the functions that people declare rules with.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from pulumi_cf_invoice import state
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import BillingError, RuleError
from pulumi_cf_invoice.policy import analyzer
from pulumi_cf_invoice.policy.analyzer import STACK_TYPE
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import Config, DeclaredRule, configured, read_rules, settings_of
from pulumi_cf_invoice.rules.gates import DISABLED, NO_INVOICE, UNREAD, Gate
from pulumi_cf_invoice.rules.kinds import KINDS
from pulumi_cf_invoice.rules.limits import shown
from pulumi_cf_invoice.rules.rule import Finding, Rule, StackResource, StackRule, without_account
from pulumi_cf_invoice.state import InvoiceState


def serve(
    name: str,
    policies: Sequence[Policy],
    folder: Path,
    rules: str | Path | None,
    level: EnforcementLevel,
) -> None:
    """
    Serve a pack with *policies* and the file of *rules* to the engine, for `spend_policy_pack`.

    The path of *rules* is relative to the *folder*.
    """
    try:
        of_file = map(_policy, read_rules(folder / _path(rules)) if rules else [])
        every = [*_with_warnings(_given(policies)), *of_file]
        if not every:
            raise RuleError("it has no rules: give policies, or the path of a file of rules")
        ours = [policy.rule for policy in every if isinstance(policy, _RulePolicy)]
        others = [policy.name for policy in every if not isinstance(policy, _RulePolicy)]
        # Missing settings may come with Pulumi's config, which is not known yet.
        as_declared = configured([rule.declared for rule in ours], {}, others)
    except RuleError as error:
        # Pulumi prints this verbatim, but an exception with its traceback.
        raise SystemExit(f"error: policy pack '{name}': {error}") from None

    def configure(config: Mapping[str, Config]) -> None:
        gates: list[Gate] = []
        for rule, declared in zip(ours, configured(as_declared, config, others), strict=True):
            if declared.level == "disabled":
                _note(f"{declared.name}: {DISABLED}")
                rule.disable()
            else:
                of_rule = config.get(declared.name, Config()).settings
                gates.append(rule.configure(Gate.of(declared), of_rule))
        _accounts.update(account for gate in gates for account in gate.account_ids)
        # Request everything before waiting for the first answer. Rules on stacks read an account as
        # the update leaves it.
        for gate in gates:
            if analyzer.is_preview() or not isinstance(gate.rule, StackRule):
                gate.ask(_reader, _now())

    def finish() -> None:
        for policy in every:
            if isinstance(policy, _OnInvoices):
                policy.finish()

    kinds = {rule.kind for rule in as_declared if issubclass(rule.kind, StackRule)}

    def looks_into(resource_type: str) -> bool:
        return any(kind.needs_properties(resource_type) for kind in kinds)

    analyzer.install(configure, finish, others, looks_into)
    with _mistakes_in_a_line(f"policy pack '{name}'"):
        PolicyPack(name=name, policies=every, enforcement_level=level)


@contextmanager
def _mistakes_in_a_line(what: str) -> Iterator[None]:
    """End the pack with one line, *what* and the SDK's words, where the SDK refuses an argument."""
    try:
        yield
    except TypeError as error:
        raise SystemExit(f"error: {one_line(what)}: {error}") from None


def _path(rules: Any) -> str | Path:
    """Return the path of a file of *rules*. Raises `RuleError` if it is none."""
    if not isinstance(rules, (str, Path)):
        raise RuleError(f"rules: {shown(rules)} is not a path, such as 'rules.json'")
    return rules


def _given(policies: Any) -> list[Policy]:
    """Return *policies* as a list. Raises `RuleError` if they are not policies."""
    given = list(policies) if isinstance(policies, Iterable) else [policies]
    for policy in given:
        if not isinstance(policy, Policy):
            raise RuleError(
                f"policies: {one_line(repr(policy), 60)} is not a policy: give a list of rules, "
                "such as [max_amount_due('250 USD')]"
            )
    return given


def _with_warnings(policies: Sequence[Policy]) -> list[Policy]:
    """Return *policies* with those that warn before one is violated. Raises `RuleError`."""
    return [
        each
        for policy in policies
        for each in (
            policy,
            *(
                map(_policy, policy.rule.declared.warnings)
                if isinstance(policy, _RulePolicy)
                else ()
            ),
        )
    ]


class _PackRule:
    """
    A rule of a pack, and the gate that it becomes once Pulumi has configured the pack.

    A mistake in a rule is an error when the pack is served or configured, not when the rule is
    declared: *declare* raises `RuleError`.
    """

    def __init__(self, name: str, declare: Callable[[], DeclaredRule]) -> None:
        self.name = name
        self._declare = declare
        self._config: Mapping[str, Any] | None = None
        self._gate: Gate | None = None
        self._is_disabled = False

    @cached_property
    def declared(self) -> DeclaredRule:
        """The rule as declared. Raises `RuleError`."""
        return self._declare()

    def configure(self, gate: Gate, config: Mapping[str, Any]) -> Gate:
        """Keep and return the gate with Pulumi's *config* of the rule."""
        self._gate, self._config = gate, config
        return gate

    def disable(self) -> None:
        """Have the rule judge nothing, even if Pulumi calls its policy: so with a warning tier."""
        self._is_disabled = True

    @property
    def configured(self) -> Gate | None:
        """The gate, or None if the rule is disabled or not configured."""
        return self._gate

    def gate(self, config: Mapping[str, Any]) -> Gate | None:
        """
        Return the gate with Pulumi's *config* of the rule, or None if the rule is disabled.

        Raises `RuleError`.
        """
        if self._is_disabled:
            return None
        if self._gate is None or config != self._config:
            # The SDK's server could not be extended, so nobody has configured the rule yet.
            gate = Gate.of(self.declared.configured(Config(dict(config))))
            return self.configure(gate, dict(config))
        return self._gate


class _RulePolicy:
    rule: _PackRule


class _OnInvoices(_RulePolicy, ResourceValidationPolicy):
    """A rule that is judged on each `InvoicePreview`, or on accounts before the first resource."""

    def __init__(self, rule: _PackRule, **arguments: Any) -> None:
        super().__init__(name=rule.name, validate=self._validate, **arguments)
        self.rule = rule
        self._met = False
        self._is_begun = False
        self._judged: set[str | None] = set()

    def finish(self) -> None:
        """After all resources, note what was not judged at all."""
        gate, at = self.rule.configured, _now()
        if gate is None or gate.reads_accounts or gate.in_force(at) is None:
            return
        if not self._met:
            _note(f"{gate.name}: {NO_INVOICE}")
        elif self._judged and (unmatched := gate.unmatched(self._judged, at)):
            _note(f"{gate.name}: {unmatched}")

    def _validate(self, args: ResourceValidationArgs, report: ReportViolation) -> None:
        # The stack is the first resource, unless a program registers another one before it, or no
        # stack at all.
        if args.resource_type == STACK_TYPE or not self._is_begun:
            self._before_all(args, report)
            self._is_begun = self._is_begun or args.resource_type == STACK_TYPE
        if args.resource_type in state.TYPES:
            self._on_resource(args, report)

    def _before_all(self, args: ResourceValidationArgs, report: ReportViolation) -> None:
        gate = self._gate(args, report)
        if gate is not None:
            _note_notices(gate)
            _report(gate, gate.judge_accounts(_reader, _now()), report)
            for invoice in gate.invoices(_reader, _now()):
                _note_period(invoice)
            if gate.in_force(_now()) is not None:
                _note_origin(gate, _reader)

    def _on_resource(self, args: ResourceValidationArgs, report: ReportViolation) -> None:
        self._met = True
        gate = self._gate(args, report)
        if gate is None or gate.reads_accounts or gate.in_force(_now()) is None:
            return
        try:
            invoice = _read(args)
        except BillingError as error:
            report(f"{self.name} cannot judge {one_line(args.name)}: {error}", None)
            return
        if invoice is not None:
            self._judged.add(invoice.account_id)
            findings = gate.judge(invoice, _now())
            shown = invoice.account_id if invoice.account_is_shown else None
            _report(gate, [replace(finding, account_id=shown) for finding in findings], report)
            _note_period(invoice)
            if invoice.origin:
                _note(invoice.origin)
        elif not _check_failed(args):
            if to_come := analyzer.unknown_setting(args.provider):
                raise to_come
            _report_absence(self.name, one_line(args.name), report)

    def _gate(self, args: ResourceValidationArgs, report: ReportViolation) -> Gate | None:
        try:
            return self.rule.gate(args.get_config())
        except RuleError as error:
            # If Pulumi let it pass so far, it would be reported for every resource.
            if args.resource_type == STACK_TYPE or not self._is_begun:
                report(str(error), None)
            return None


class _OnStack(_RulePolicy, StackValidationPolicy):
    """A rule that is judged on the resources of a stack."""

    def __init__(self, rule: _PackRule, **arguments: Any) -> None:
        super().__init__(name=rule.name, validate=self._validate, **arguments)
        self.rule = rule

    def _validate(self, args: StackValidationArgs, report: ReportViolation) -> None:
        try:
            gate = self.rule.gate(args.get_config())
        except RuleError as error:
            report(str(error), None)
            return
        if gate is None:
            return
        _note_notices(gate)
        at = _now()
        rule = gate.in_force(at)
        if not isinstance(rule, StackRule):
            return
        resources = [_stack_resource(rule, resource) for resource in args.resources]
        coming = []
        reader = _reader if analyzer.is_preview() else _reader_after_update
        for finding, urn in gate.judge_stack(resources, reader, at):
            if finding.is_to_come:
                coming.append((finding.message, urn))
            else:
                _report(gate, [finding], report, urn)
        _note_origin(gate, reader)
        judged = {*rule.judged_accounts(resources), *gate.account_ids}
        unmet = "" if gate.reads_accounts else rule.unmet(resources)
        note = unmet or gate.unmatched(judged, at)
        if note:
            _note(f"{gate.name}: {note}")
        # At last, as this may raise.
        for message, urn in coming:
            analyzer.advise(report, message, urn)


_reader = AccountReader(os.environ)
# After an update, accounts are no longer what they were before it.
_reader_after_update = AccountReader(os.environ)
_noted: set[str] = set()
_lock = threading.Lock()
# The accounts that rules read, and those that messages of this run have named.
_accounts: set[str] = set()
_named: set[str] = set()


def declared(kind_name: str, settings: Mapping[str, Any], options: Mapping[str, Any]) -> Policy:
    """Return the policy of a rule declared in code, with the names used there."""
    kind = KINDS[kind_name]
    given: dict[str, Any] = dict(options)
    name = given.pop("name", kind.name)
    level = given.pop("enforcement_level", None)
    named = {state.camel_case(key): value for key, value in {**settings, **given}.items()}
    written = {key: value for key, value in named.items() if value is not None}

    def declare() -> DeclaredRule:
        return DeclaredRule.parse(name, {"rule": kind.name, **written})

    with _mistakes_in_a_line(f"rule '{name}'"):
        return _made(kind, _PackRule(name, declare), level)


def _policy(declared: DeclaredRule) -> Policy:
    level = EnforcementLevel(declared.level) if declared.level else None
    return _made(declared.kind, _PackRule(declared.name, lambda: declared), level)


def _made(kind: type[Rule], rule: _PackRule, level: EnforcementLevel | None) -> Policy:
    on = _OnStack if issubclass(kind, StackRule) else _OnInvoices
    # Only descriptions: Pulumi would answer with a regular expression before a rule can in words.
    schema = {
        name: {"description": setting.description} for name, setting in settings_of(kind).items()
    }
    return on(
        rule,
        description=kind.description,
        enforcement_level=level,
        config_schema=PolicyConfigSchema(properties=schema),
    )


def _read(args: ResourceValidationArgs) -> InvoiceState | None:
    """Return the invoice of a resource, which is read once for all rules."""
    call = analyzer.current_call()
    return call.state if call else state.read(args.resource_type, args.props)


def _check_failed(args: ResourceValidationArgs) -> bool:
    call = analyzer.current_call()
    return state.check_failed(args.resource_type, call.properties if call else args.props)


def _stack_resource(rule: StackRule, resource: PolicyResource) -> StackResource:
    kind, name, urn = resource.resource_type, resource.name, resource.urn
    is_planned = analyzer.is_preview()
    if not rule.needs_properties(kind):
        return StackResource(kind, name, urn, is_planned=is_planned)
    known, unknown = analyzer.known_of(urn, resource.props)
    is_lacking = kind in state.TYPES and not state.has_figures(kind, known)
    if is_lacking and analyzer.unknown_setting(resource.provider):
        unknown |= {*state.FIELDS}
    return StackResource(
        kind,
        name,
        urn,
        known,
        unknown,
        has_provider=resource.provider is not None,
        base_url=analyzer.base_url_of(resource.provider),
        is_planned=is_planned,
        account_is_secret=analyzer.may_be_secret(urn),
    )


def _report(
    gate: Gate, findings: Sequence[Finding], report: ReportViolation, urn: str = ""
) -> None:
    for finding in findings:
        if finding.violates:
            origin = gate.origin if finding.subject != UNREAD else ""
            report(f"{_worded(finding)} {origin}".rstrip(), urn or None)
        elif finding.status == "noted":
            _note(f"{gate.name}: {finding.message}")


def _worded(finding: Finding) -> str:
    """Return the message of a violation, which names the only account once."""
    account = finding.account_id
    if account is None:
        return finding.violation
    with _lock:
        is_known = account in _named and _accounts | _named == {account}
        _named.add(account)
    return without_account(finding.violation, account) if is_known else finding.violation


def _note_notices(gate: Gate) -> None:
    for notice in gate.notices(_now()):
        _note(f"{gate.name}: {notice}")


def _note_origin(gate: Gate, reader: AccountReader) -> None:
    """Note where *gate* reads accounts from, if not from Cloudflare, and if it could read any."""
    if gate.origin and any(
        gate.has_figures(account, reader, _now()) for account in gate.account_ids
    ):
        _note(gate.origin)


def _note_period(invoice: InvoiceState) -> None:
    """Note what is odd about the period of an *invoice* that was judged, as a report says it."""
    whose = f"Account {invoice.account_id}: " if invoice.account_is_shown else ""
    for note in invoice.invoice.period_notes(invoice.as_of(_now())):
        _note(f"{whose}{note}")


def _report_absence(policy: str, resource: str, report: ReportViolation) -> None:
    message = (
        f"{policy} cannot judge {resource}: its figures are not known, because it was not checked. "
        "Was it left out by --target or --exclude?"
    )
    # A preview reports it and passes; an update must know.
    if analyzer.is_preview():
        _note(message)
    else:
        report(message, None)


def _note(message: str) -> None:
    """Print a note that is no violation, once per run: Pulumi shows a pack's standard error."""
    with _lock:
        if message in _noted:
            return
        _noted.add(message)
    print(message, file=sys.stderr, flush=True)


def _now() -> datetime:
    return datetime.now(UTC)
