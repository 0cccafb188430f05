"""
Reads invoices from a stack's outputs in the engine's events, and says which of them may be old.

Outputs do not say where their figures came from, and some can be those of an earlier deployment.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain, islice, product, starmap
from typing import Any, Literal

from pulumi_cf_invoice import state
from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import LONGEST_NAME, MARKERS, one_line
from pulumi_cf_invoice.billing.errors import InvalidDataError
from pulumi_cf_invoice.billing.invoice import AMOUNTS, Invoice
from pulumi_cf_invoice.billing.models import counted
from pulumi_cf_invoice.report.caveats import Caveat, not_known
from pulumi_cf_invoice.report.events import GONE, STACK, STREAM, Operation, mapping_in, stack_names
from pulumi_cf_invoice.report.found import Found, NoInvoiceError, NothingFreshError
from pulumi_cf_invoice.report.outputs import (
    SECRET_IN_PREVIEW,
    broken,
    configured_address,
    foreign_address,
    has_secret,
    in_words,
    invoices_in_outputs,
    is_no_invoice,
    is_secret,
    is_unknown,
    is_whole,
    known_account,
    may_be_in_words,
    may_be_invoices,
    named_invoices,
    not_judged,
    of_outputs,
    only_referred_to,
    revealed,
)

_PASSED_ON = Caveat(
    "time",
    "The exported figures are also those of another stack's last deployment, which this one reads "
    "by a StackReference. If it only passes them on, they are as old as that.",
)
_MAY_BE_PASSED_ON = Caveat(
    "time",
    "The stack reads secrets or many figures of another stack's last deployment by a "
    "StackReference. If the exported figures are among them, they are as old as that.",
)
_STACK_REFERENCE = "pulumi:pulumi:StackReference"
_PROVIDER = "pulumi:providers:cf-invoice"
# Each exported invoice is compared with so many of other stacks.
_MOST_ALIKE = 20
_ANY = object()


def exported_invoices(
    operation: Operation, prefix: str | None, resources: list[Found]
) -> tuple[list[Found], list[Caveat]]:
    """
    Return the invoices among the stack's outputs, without those of *resources* that are unreadable,
    and the caveat on what may be others.

    Under ``--target`` and ``--exclude`` they mix fresh and old figures without a mark: raises
    `NoInvoiceError` unless all are of accounts whose resource was evaluated.
    """
    of_stack = operation.stack_outputs
    # The first outputs of a preview are the last deployment's.
    if len(of_stack) <= operation.is_preview:
        return [], []
    step = of_stack[-1]
    outputs, outputs_before = _outputs(step, "new"), _outputs(step, "old")
    now, before = named_invoices(outputs, prefix), invoices_in_outputs(outputs_before, prefix)
    evaluated = _Evaluated.of(resource.state for resource in resources)
    origins, referred = _Origins.of(operation), _Referred.of(operation)
    exported: list[Found] = []
    passed_over: dict[str, list[str]] = defaultdict(list)
    for (name, figures), earlier in zip(now, _before_each(now, before), strict=True):
        is_spoken_for = known_account(figures.get("account_id")) in evaluated.accounts
        why = _why_not_judged(figures, operation, before, evaluated, is_spoken_for)
        if why is not None:
            passed_over[why].append(name)
            continue
        try:
            invoice = _exported_invoice(name, figures)
            _refuse_left_out(invoice, operation, resources)
        except NoInvoiceError:
            if not is_spoken_for:
                raise
            passed_over["broken"].append(name)
            continue
        baseline = None if earlier is None else _baseline(earlier)
        names = stack_names(state.urn_of(step))
        if not _is_of_any(invoice, resources):
            invoice = origins.told_of(invoice)
            invoice = replace(invoice, caveats=(*invoice.caveats, *referred.passed_on(figures)))
        exported.append(replace(invoice, names=names).against(baseline))
    hidden: list[Caveat] = []
    if prefix is None:
        urns = {state.urn_of(step) for step in operation.steps_after}
        hidden = [
            *not_judged(may_be_invoices(outputs, outputs_before)),
            *only_referred_to(outputs, [*resources, *exported], urns),
        ]
    caveats = [
        *not_known(len(passed_over["unknown"]), "exported invoice"),
        *not_known(len(passed_over["secret"]), "exported invoice", "secret"),
        *_kept(len(passed_over["kept"])),
        *in_words(passed_over["in words"]),
        *broken(passed_over["broken"]),
        *hidden,
    ]
    return exported, caveats


def _why_not_judged(
    figures: Mapping[str, Any],
    operation: Operation,
    before: Sequence[Mapping[str, Any]],
    evaluated: "_Evaluated",
    is_spoken_for: bool,
) -> Literal["unknown", "kept", "secret", "in words", "ignored"] | None:
    """
    Return why exported *figures* are not judged themselves; None if they are.

    What is ignored is no invoice, or a resource that was *evaluated* is of it (*is_spoken_for*).
    """
    if operation.is_preview and is_unknown(figures):
        return "unknown"
    if operation.has_failed and not _has_moved(figures, before):
        return "ignored" if is_spoken_for else "kept"
    if any(_is_part_of(figures, resource) for resource in evaluated.alike(figures)):
        return "ignored"
    if evaluated.by_due and is_no_invoice(figures):
        is_told = figures.get("amount_due") in evaluated.due_texts
        return "in words" if may_be_in_words(figures) and not is_told else "ignored"
    if evaluated.by_due and revealed(figures) is None:
        # Those of a resource, if nothing says otherwise.
        return "ignored" if is_spoken_for else "secret"
    return None


def _refuse_left_out(invoice: Found, operation: Operation, resources: Sequence[Found]) -> None:
    if not operation.not_evaluated:
        return
    if any(invoice.invoice == resource.invoice for resource in resources):
        return
    raise NoInvoiceError(
        "the preview left out resources by --target or --exclude: the stack's outputs may be those "
        "of the last deployment. Preview without these flags"
    )


def refuse_exported_alone(
    steps: Iterable[Mapping[str, Any]], resources: Sequence[state.InvoiceState]
) -> None:
    """
    Refuse the *steps* of a digest if the stack exports what is of none of its *resources*.

    A digest has the outputs of the last deployment alone, so *resources* are its old states as well
    as the new ones. Raises `NothingFreshError`.
    """
    evaluated = _Evaluated.of(resources)
    for step in steps:
        is_stack = state.type_in(state.urn_of(step)) == STACK
        for figures in invoices_in_outputs(_outputs(step, "oldState")) if is_stack else []:
            account = known_account(figures.get("account_id"))
            alike = [] if account else evaluated.alike(figures)
            is_spoken_for = account in evaluated.accounts or any(
                _has_amounts_of(figures, resource.invoice) for resource in alike
            )
            if is_spoken_for or is_no_invoice(figures) or revealed(figures) is None:
                continue
            of_account = f"account {account}" if account else "an account that is not known"
            raise NothingFreshError(
                f"the stack also exports figures of {of_account}, of which this preview only has "
                f"those of the last deployment: print the engine's events: `{STREAM}`"
            )


@dataclass(frozen=True)
class _Referred:
    """
    What other stacks exported at their last deployments: invoices, by account and what is due, and
    whether there may be more among what is secret.
    """

    by_account_and_due: Mapping[tuple[Any, ...], Sequence[Any]]
    """As `_comparable` has them, since many invoices may have to be compared with each."""
    may_be_more: bool

    @classmethod
    def of(cls, operation: Operation) -> "_Referred":
        every = [
            mapping_in(_outputs(step, "new"), "outputs") or {}
            for step in operation.steps_after
            if step.get("type") == _STACK_REFERENCE
        ]
        index: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
        for figures in (found for outputs in every for found in invoices_in_outputs(outputs)):
            comparable = _comparable(figures)
            for place in product(*((each, _ANY) for each in _account_and_due(figures))):
                index[place].append(comparable)
        return cls(index, any(map(may_be_invoices, every)))

    def passed_on(self, figures: Mapping[str, Any]) -> Iterator[Caveat]:
        """Yield the caveat on exported *figures* that are among these, or may be."""
        # What does not show its account or what is due may be any.
        wanted = ((_ANY,) if each is None else (each, None) for each in _account_and_due(figures))
        places = (self.by_account_and_due.get(place, ()) for place in product(*wanted))
        alike = list(islice(chain.from_iterable(places), _MOST_ALIKE + 1))
        comparable = _comparable(figures) if alike else None
        if any(_agree(comparable, other) for other in alike):
            yield _PASSED_ON
        elif self.may_be_more or len(alike) > _MOST_ALIKE:
            yield _MAY_BE_PASSED_ON


def _account_and_due(figures: Mapping[str, Any]) -> tuple[str | None, float | Decimal | None]:
    return known_account(figures.get("account_id")), _number(figures.get("amount_due"))


def _comparable(value: Any) -> Any:
    """
    Return an exported *value* for `_agree`, in which null stands for what does not show.

    The program may have arranged the lines in another order, so that a list becomes the set of its
    amounts, each with the number of times that it occurs.
    """
    if isinstance(value, Mapping) and not is_secret(value):
        return {name: _comparable(each) for name, each in value.items()}
    if has_secret(value):
        return None
    return frozenset(Counter(map(_amount, value)).items()) if isinstance(value, list) else value


def _agree(value: Any, other: Any) -> bool:
    """
    Return whether two exported values differ in nothing that both have and show.

    Pulumi leaves nulls out of what a program exports, but not out of what it reads.
    """
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return all(_agree(value[name], other[name]) for name in value.keys() & other.keys())
    return value is None or other is None or value == other


def _amount(line: Any) -> float | Decimal | None:
    return _number(line.get("amount")) if isinstance(line, Mapping) else None


def _number(value: Any) -> float | Decimal | None:
    return value if isinstance(value, (int, float, Decimal)) else None


def _has_moved(figures: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> bool:
    """
    Return whether exported *figures* are certainly not those *before*, nor a mix of both.

    Where a deployment fails, the engine keeps each output of the last one that it has no other
    value for, such as one that the program no longer has.
    """
    return not any(
        figures.get("amount_due") == other.get("amount_due")
        or (figures.get("invoice_lines") or None) == other.get("invoice_lines")
        for other in before
    )


def _kept(count: int) -> list[Caveat]:
    if not count:
        return []
    text = (
        f"{counted(count, 'exported invoice')} may be of the last deployment, and "
        f"{'was' if count == 1 else 'were'} not judged: of a blocked preview, Pulumi does not say "
        "which of the stack's outputs are its own."
    )
    return [Caveat("missing", text)]


@dataclass(frozen=True)
class _Origins:
    """
    Where the figures among a stack's outputs may come from, which outputs do not say unless they
    are whole resources: the address in its config, and those that its providers read.
    """

    configured: str | None
    caveats: tuple[Caveat, ...]

    @classmethod
    def of(cls, operation: Operation) -> "_Origins":
        configs = (part.get("config") for part in operation.parts("preludeEvent"))
        configured = next(map(configured_address, configs), None)
        providers: dict[str, str] = {}
        for step in operation.steps_before:
            if step.get("type") != _PROVIDER or step.get("op") in GONE:
                continue
            inputs = mapping_in(mapping_in(step, "new") or {}, "inputs") or {}
            address = foreign_address(inputs.get("baseUrl"))
            # A provider whose address is not known yet has read nothing.
            if address not in (None, configured, *MARKERS):
                providers.setdefault(str(address), state.urn_of(step).rsplit("::", 1)[-1])
        return cls(configured, tuple(starmap(_read_through, providers.items())))

    def told_of(self, invoice: Found) -> Found:
        """Return an *invoice* with the places that it may come from, unless it says so itself."""
        if invoice.state.base_url is not None:
            return invoice
        of_config = replace(invoice.state, base_url=self.configured)
        return replace(invoice, state=of_config, caveats=self.caveats)


def _read_through(address: str, provider: str) -> Caveat:
    text = (
        f"The figures may come from {one_line(address)}, not from Cloudflare: the provider "
        f"{one_line(provider)} reads there."
    )
    return Caveat("origin", text)


@dataclass(frozen=True)
class _Evaluated:
    """The resources of an operation, to find those that figures are exported of."""

    accounts: Collection[str]
    due_texts: Collection[str]
    """What is due of each, in both of the forms in which a resource has it as a text."""
    by_due: Mapping[Decimal, Sequence[state.InvoiceState]]
    """The resources by what is due, in minor units."""

    @classmethod
    def of(cls, resources: Iterable[state.InvoiceState]) -> "_Evaluated":
        by_due: dict[Decimal, list[state.InvoiceState]] = defaultdict(list)
        accounts: set[str] = set()
        texts: set[str] = set()
        for resource in resources:
            invoice, account = resource.invoice, known_account(resource.account_id)
            by_due[money.exact(invoice.amount_due)].append(resource)
            accounts |= {account} if account else set()
            texts |= {invoice.amount_due_text, invoice.amount_due_decimal}
        return cls(accounts, texts, by_due)

    def alike(self, figures: Mapping[str, Any]) -> Sequence[state.InvoiceState]:
        """Return the resources that exported *figures* can be of, by what is due."""
        if "amount_due" not in figures:
            return [resource for resources in self.by_due.values() for resource in resources]
        # Fractions in a file are decimals.
        return self.by_due.get(figures["amount_due"], ())


def _is_part_of(figures: Mapping[str, Any], resource: state.InvoiceState) -> bool:
    """Return whether a program has exported some *figures* of a *resource*, and not others."""
    accounts = {known_account(figures.get("account_id")), resource.account_id} - {None}
    is_other = len(accounts) > 1
    return not (is_whole(figures) or is_other) and _has_amounts_of(figures, resource.invoice)


def _has_amounts_of(figures: Mapping[str, Any], invoice: Invoice) -> bool:
    amounts = ((getattr(invoice, name), figures[name]) for name in AMOUNTS if name in figures)
    return all(money.exact(amount) == exported for amount, exported in amounts)


def _is_of_any(invoice: Found, resources: Iterable[Found]) -> bool:
    """Return whether one of *resources* certainly has the same *invoice*."""
    return invoice.state.account_id is not None and any(
        resource.invoice == invoice.invoice
        and resource.state.account_id == invoice.state.account_id
        for resource in resources
    )


def _exported_invoice(name: str, figures: Mapping[str, Any]) -> Found:
    """Return an invoice by its *figures* in the output *name*."""
    try:
        return of_outputs(figures, SECRET_IN_PREVIEW)
    except InvalidDataError as error:
        raise NoInvoiceError(
            f"the invoice in the stack's output {one_line(name, LONGEST_NAME)} is broken: "
            f"{error}. Export a whole invoice (export_invoice), or rename the outputs amount_due "
            "and invoice_lines if they are none"
        ) from None


def _before_each(
    now: Sequence[tuple[str, Mapping[str, Any]]], before: Sequence[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any] | None]:
    """
    Yield what each exported invoice was *before*: the one in the same place among its account's.

    Where an account does not show, it is the one in the same place among all. Renamed outputs
    cannot be distinguished, so that nothing is known where their number has changed.
    """
    accounts = [known_account(figures.get("account_id")) for _, figures in now]
    accounts_before = [known_account(figures.get("account_id")) for figures in before]
    counts, places = Counter(accounts), Counter[str | None]()
    of_account: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for account, figures in zip(accounts_before, before, strict=True):
        of_account[account].append(figures)
    for number, account in enumerate(accounts):
        known = of_account[account] if account else []
        if len(known) == counts[account]:
            yield known[places[account]]
        elif len(before) != len(now):
            yield None
        else:
            there = accounts_before[number]
            is_another = there is not None and (account is not None or there in counts)
            yield None if is_another else before[number]
        places[account] += 1


def _baseline(outputs: Mapping[str, Any]) -> state.InvoiceState | None:
    try:
        return of_outputs(outputs).state
    except (NoInvoiceError, InvalidDataError):
        return None


def _outputs(step: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return mapping_in(mapping_in(step, name) or {}, "outputs") or {}
