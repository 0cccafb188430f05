"""
Spend gates for policy packs (extra ``policy``).

Each function declares a rule in code, with the settings that it has in ``rules.json``.
`spend_policy_pack` runs such rules, or a file of rules, as Pulumi policies. The module `rules`
defines what each kind of rule finds, and `gates` how a declared rule is judged.

Pulumi's own policy config is applied on top of a rule's settings. A rule without a limit, a setting
that does not exist and one that cannot be read are refused before anything is deployed.

Figures that are absent are reported at a preview and are a violation at an update. A resource whose
check failed is skipped, because the deployment fails anyway.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

try:
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
except ModuleNotFoundError as missing:
    # In a pack, an exception is a traceback.
    raise SystemExit(
        f"error: {missing.name} is missing: install pulumi-cf-invoice with its extra 'policy', "
        "from where you have the package"
    ) from None

from pulumi_cf_invoice import analyzer, rules, state
from pulumi_cf_invoice.accounts import AccountReader
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import BillingError, RuleError
from pulumi_cf_invoice.gates import DISABLED, Gate
from pulumi_cf_invoice.limits import WrittenLimit
from pulumi_cf_invoice.rules import Finding, Rule, StackResource, StackRule
from pulumi_cf_invoice.rules_file import (
    Config,
    DeclaredRule,
    configured,
    read_rules,
    settings_of,
)
from pulumi_cf_invoice.state import InvoiceState

if TYPE_CHECKING:
    from typing_extensions import Unpack

STACK_TYPE = "pulumi:pulumi:Stack"


class RuleOptions(TypedDict, total=False):
    """
    Options of every rule: a ``name`` of its own, Pulumi's ``enforcement_level``, and a ``waiver``
    (``until``, ``by``, ``reason``, and the settings that apply until then).
    """

    name: str
    enforcement_level: EnforcementLevel
    waiver: Mapping[str, Any]


class ReadingOptions(RuleOptions, total=False):
    """
    Further options of a rule on the invoice.

    With ``account_ids`` the rule reads these accounts itself, before the first resource and with
    the credentials in the pack's environment, instead of checking what the program reads.
    ``base_url`` is the API's address, if it is not Cloudflare's. With ``fail_open`` an account that
    cannot be read is only reported.
    """

    account_ids: Sequence[str]
    base_url: str
    fail_open: bool


def max_amount_due(
    limit: WrittenLimit | None = None, **options: "Unpack[ReadingOptions]"
) -> Policy:
    """Require the amount due of each upcoming invoice to be within *limit*."""
    return _declared(rules.MaxAmountDue, {"limit": limit}, options)


def max_projected_amount_due(
    limit: WrittenLimit | None = None, **options: "Unpack[ReadingOptions]"
) -> Policy:
    """
    Require the amount due, and its projection to the period's end by a straight line, to be within
    *limit*.

    In the first hour of a period, when a projection is meaningless, only the amount due is checked,
    and a note says so.
    """
    return _declared(rules.MaxProjectedAmountDue, {"limit": limit}, options)


def max_forecast(
    limit: WrittenLimit | None = None,
    *,
    percentile: Literal[50, 90] | None = None,
    fixed_lines: Sequence[str] | None = None,
    **options: "Unpack[ReadingOptions]",
) -> Policy:
    """
    Require the amount due of each of ``account_ids``, and its forecast, to be within *limit*.

    The forecast is made from daily usage. *percentile* is 50 (the median, and the default) or 90,
    which is exceeded once in ten times. *fixed_lines* are globs on the description of lines of a
    fixed fee, which are not extrapolated. Where history is too short for a forecast, or for a 90th
    percentile, only the amount due is checked, and a note says so.
    """
    settings = {"limit": limit, "percentile": percentile, "fixedLines": fixed_lines}
    return _declared(rules.MaxForecast, settings, options)


def max_line_amount(
    limits: Mapping[str, WrittenLimit] | None = None,
    *,
    default_limit: WrittenLimit | None = None,
    **options: "Unpack[ReadingOptions]",
) -> Policy:
    """
    Require the net amount of each line to be within its limit, adding up lines of the same name.

    *limits* are by glob on the description, and the longest glob that matches applies.
    *default_limit* is for all other lines.
    """
    settings = {"limits": limits, "defaultLimit": default_limit}
    return _declared(rules.MaxLineAmount, settings, options)


def max_increase(limit: str | None = None, **options: "Unpack[RuleOptions]") -> Policy:
    """
    Require the amount due to rise by no more than *limit* since the last update in the same period.

    *limit* is an amount or a percentage: ``"50 USD"``, ``"20%"``.
    """
    return _declared(rules.MaxIncrease, {"limit": limit}, options)


def allowed_statuses(
    statuses: Sequence[str] | None = None, **options: "Unpack[ReadingOptions]"
) -> Policy:
    """Require each upcoming invoice to have one of *statuses*."""
    return _declared(rules.AllowedStatuses, {"statuses": statuses}, options)


def allowed_currencies(
    currencies: Sequence[str] | None = None, **options: "Unpack[ReadingOptions]"
) -> Policy:
    """Require each upcoming invoice to be in one of *currencies* (ISO 4217)."""
    return _declared(rules.AllowedCurrencies, {"currencies": currencies}, options)


def account_budget(
    limit: WrittenLimit | None = None, **options: "Unpack[ReadingOptions]"
) -> Policy:
    """
    Require the amount due of each of ``account_ids`` to be within *limit*, whatever is deployed.

    The rule always reads the accounts itself, so that nothing is created over budget, even by an
    update without a preview.
    """
    return _declared(rules.AccountBudget, {"limit": limit}, options)


def min_credit_balance(
    limit: WrittenLimit | None = None, **options: "Unpack[ReadingOptions]"
) -> Policy:
    """
    Require the credit balance of each of ``account_ids`` not to be below *limit*.

    AI Gateway refuses inference (HTTP 402) at a balance of zero, whatever the upcoming invoice
    says. The currency is that of the invoice; where that cannot be read, it is taken for the
    limit's, and the message says so.
    """
    return _declared(rules.MinCreditBalance, {"limit": limit}, options)


def min_runway(
    days: int | Literal["period"] | None = None,
    *,
    percentile: Literal[50, 90] | None = None,
    top_up_suffices: bool | None = None,
    fixed_lines: Sequence[str] | None = None,
    **options: "Unpack[ReadingOptions]",
) -> Policy:
    """
    Require the credits of each of ``account_ids`` to last for *days*, today included.

    ``"period"`` is until the end of the billing period. How long they last is forecast from daily
    usage: with *percentile* 50 (the default) by the median, with 90 so that they run out earlier
    once in ten times. With *top_up_suffices* an automatic top-up that works is enough. Where
    history is too short, only a balance of zero or below is a violation, and a note says so.
    *fixed_lines* are globs on the description of lines of a fixed fee.
    """
    settings = {
        "days": days,
        "percentile": percentile,
        "topUpSuffices": top_up_suffices,
        "fixedLines": fixed_lines,
    }
    return _declared(rules.MinRunway, settings, options)


def require_healthy_top_up(**options: "Unpack[ReadingOptions]") -> Policy:
    """
    Require the credits of each of ``account_ids`` to be topped up automatically.

    A top-up that failed, was disabled, is not set, or has nothing to be paid with is a violation.
    """
    return _declared(rules.RequireHealthyTopUp, {}, options)


def no_unpaid_invoices(**options: "Unpack[ReadingOptions]") -> Policy:
    """Require that no earlier invoice of ``account_ids`` is open or uncollectible."""
    return _declared(rules.NoUnpaidInvoices, {}, options)


def require_invoice_preview(
    resource_types: Sequence[str] | None = None,
    *,
    required_account_ids: Sequence[str] | None = None,
    **options: "Unpack[RuleOptions]",
) -> Policy:
    """
    Require a stack with resources of *resource_types* to have an `InvoicePreview` with figures.

    *resource_types* are globs, by default on every type of AI gateway. The invoices of
    *required_account_ids* have to be read whatever else the stack contains. As a stack policy it
    runs after all resources, so it protects previews.
    """
    settings = {"resourceTypes": resource_types, "requiredAccountIds": required_account_ids}
    return _declared(rules.RequireInvoicePreview, settings, options)


def require_gateway_spend_limit(
    limit: WrittenLimit | None = None, **options: "Unpack[RuleOptions]"
) -> Policy:
    """
    Require every AI gateway of a stack to have a spend limit on all of its traffic, and the
    gateways of an account together to allow no more than *limit* in a month of 31 days.

    *limit* is in US dollars, as a gateway's `spend_limits` are. It is a stack policy as
    `require_invoice_preview` is.
    """
    return _declared(rules.RequireGatewaySpendLimit, {"limit": limit}, options)


def spend_policy_pack(
    name: str = "cf-invoice-spend",
    policies: Sequence[Policy] = (),
    *,
    rules: str | Path | None = None,
    enforcement_level: EnforcementLevel = EnforcementLevel.MANDATORY,
) -> None:
    """
    Run a policy pack with *policies* and the file of *rules*, a path relative to the caller's file.

    The function serves the engine and does not return. A pack with rules that cannot be used does
    not load, and one line says why.
    """
    try:
        # Some hosts start a pack in the folder of the program that it judges, whose own file of
        # that name would be another.
        pack = Path(sys._getframe(1).f_globals.get("__file__", "")).parent
        every = [*policies, *map(_policy, read_rules(pack / rules) if rules else [])]
        if not every:
            raise RuleError("it has no rules: give policies, or the path of a file of rules")
        ours = [policy.rule for policy in every if isinstance(policy, _RulePolicy)]
        others = [policy.name for policy in every if not isinstance(policy, _RulePolicy)]
        # What is missing may come with Pulumi's config, which is not known yet.
        configured([rule.declared() for rule in ours], {}, others)
    except RuleError as error:
        # Pulumi prints this as it is, and an exception with its traceback.
        raise SystemExit(f"error: policy pack '{name}': {error}") from None

    def configure(config: Mapping[str, Config]) -> None:
        gates: list[Gate] = []
        for declared in configured([rule.declared() for rule in ours], config, others):
            if declared.level == "disabled":
                _tell(f"{declared.name}: {DISABLED}")
            else:
                gates.append(Gate.of(declared))
        # All is asked for before the first answer is waited for.
        for gate in gates:
            gate.ask(_reader, _now())

    analyzer.install(configure, only_rules=not others)
    PolicyPack(name=name, policies=every, enforcement_level=enforcement_level)


class _PackRule:
    """A rule of a pack: what is wrong with it is told when the pack loads or is configured."""

    def __init__(self, name: str, declare: Callable[[], DeclaredRule]) -> None:
        self.name = name
        self.declared = declare
        """Returns the rule as it is declared. Raises `RuleError`."""
        self._config: Mapping[str, Any] | None = None
        self._gate: Gate | None = None

    def gate(self, config: Mapping[str, Any]) -> Gate:
        """Return the gate with Pulumi's *config* of the rule. Raises `RuleError`."""
        if self._gate is None or config != self._config:
            self._gate = Gate.of(self.declared().configured(Config(dict(config))))
            self._config = config
        return self._gate


class _RulePolicy:
    rule: _PackRule


class _OnInvoices(_RulePolicy, ResourceValidationPolicy):
    """A rule that is judged on each `InvoicePreview`, or on accounts before the first resource."""

    def __init__(self, rule: _PackRule, **arguments: Any) -> None:
        super().__init__(name=rule.name, validate=self._validate, **arguments)
        self.rule = rule

    def _validate(self, args: ResourceValidationArgs, report: ReportViolation) -> None:
        if args.resource_type == STACK_TYPE:
            self._before_all(args, report)
        elif args.resource_type in state.TYPES:
            self._on_resource(args, report)

    def _before_all(self, args: ResourceValidationArgs, report: ReportViolation) -> None:
        gate = self._gate(args, report)
        if gate is not None:
            _tell_of(gate)
            _report(gate, gate.judge_accounts(_reader, _now()), report)

    def _on_resource(self, args: ResourceValidationArgs, report: ReportViolation) -> None:
        gate = self._gate(args, report)
        if gate is None or gate.reads_accounts or gate.in_force(_now()) is None:
            return
        try:
            invoice = _read(args)
        except BillingError as error:
            report(f"{self.name} cannot judge {one_line(args.name)}: {error}", None)
            return
        if invoice is not None:
            _report(gate, gate.judge(invoice, _now()), report)
            if invoice.origin:
                _tell(invoice.origin)
        elif not _check_failed(args):
            _tell_absence(self.name, one_line(args.name), report)

    def _gate(self, args: ResourceValidationArgs, report: ReportViolation) -> Gate | None:
        try:
            return self.rule.gate(args.get_config())
        except RuleError as error:
            # Where Pulumi let it pass until here, it would be told for every resource.
            if args.resource_type == STACK_TYPE:
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
        _tell_of(gate)
        rule = gate.in_force(_now())
        if not isinstance(rule, StackRule):
            return
        try:
            resources = [_stack_resource(resource) for resource in args.resources]
        except BillingError as error:
            report(f"{self.name} cannot judge the stack: {error}", None)
            return
        for message, urn in rule.evaluate_stack(resources):
            report(message, urn or None)


_reader = AccountReader(os.environ)
_told: set[str] = set()
_lock = threading.Lock()


def _declared(kind: type[Rule], settings: Mapping[str, Any], options: RuleOptions) -> Policy:
    given: dict[str, Any] = dict(options)
    name = given.pop("name", kind.name)
    level = given.pop("enforcement_level", None)
    named = {state.camel_case(key): value for key, value in {**settings, **given}.items()}
    written = {key: value for key, value in named.items() if value is not None}

    def declare() -> DeclaredRule:
        return DeclaredRule.parse(name, {"rule": kind.name, **written})

    return _made(kind, _PackRule(name, declare), level)


def _policy(declared: DeclaredRule) -> Policy:
    level = EnforcementLevel(declared.level) if declared.level else None
    return _made(declared.kind, _PackRule(declared.name, lambda: declared), level)


def _made(kind: type[Rule], rule: _PackRule, level: EnforcementLevel | None) -> Policy:
    on = _OnStack if issubclass(kind, StackRule) else _OnInvoices
    # Only descriptions: Pulumi would answer with a regular expression before a rule can in words.
    schema = {name: {"description": one.description} for name, one in settings_of(kind).items()}
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


def _stack_resource(resource: PolicyResource) -> StackResource:
    kind, name, urn = resource.resource_type, resource.name, resource.urn
    if kind not in state.TYPES:
        return StackResource(kind, name, urn, properties=resource.props)
    found = state.read(kind, resource.props)
    return StackResource(kind, name, urn, True, found.account_id if found else None)


def _report(gate: Gate, findings: Sequence[Finding], report: ReportViolation) -> None:
    for finding in findings:
        if finding.violates:
            report(finding.message, None)
        elif finding.status == "told":
            _tell(f"{gate.name}: {finding.message}")


def _tell_of(gate: Gate) -> None:
    for notice in gate.notices(_now()):
        _tell(f"{gate.name}: {notice}")


def _tell_absence(policy: str, resource: str, report: ReportViolation) -> None:
    message = (
        f"{policy} cannot judge {resource}: its figures are not known, because it was not checked. "
        "Is it left out by --target or --exclude?"
    )
    # A preview says so and passes; an update has to know.
    if analyzer.is_preview():
        _tell(message)
    else:
        report(message, None)


def _tell(message: str) -> None:
    """Print what is no violation, once in a run: Pulumi shows a pack's standard error."""
    with _lock:
        if message in _told:
            return
        _told.add(message)
    print(message, file=sys.stderr, flush=True)


def _now() -> datetime:
    return datetime.now(timezone.utc)
