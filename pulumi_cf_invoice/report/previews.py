"""
Reads invoices from Pulumi's output of a preview or update: a digest, or the engine's events.

Both also have figures of the last deployment, and only some places have fresh ones. Figures that
are not certainly fresh are not used, and `NoInvoiceError` says which flag helps.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby, zip_longest
from typing import Any, NoReturn

from pulumi_cf_invoice import state
from pulumi_cf_invoice.billing.cleaning import COLOR, LONGEST_NAME, one_line, quoted, shown
from pulumi_cf_invoice.billing.errors import InvalidDataError
from pulumi_cf_invoice.billing.models import counted
from pulumi_cf_invoice.report.caveats import Caveat, not_known
from pulumi_cf_invoice.report.events import (
    GONE,
    STREAM,
    Operation,
    are_of_destroy,
    mapping_in,
    mappings,
    only_refreshed,
    operations,
    refuse_torn,
    stack_names,
    was_left_out,
)
from pulumi_cf_invoice.report.exported import exported_invoices, refuse_exported_alone
from pulumi_cf_invoice.report.found import Found, NoInvoiceError, NothingFreshError, PackViolation
from pulumi_cf_invoice.report.objects import PlacedObject
from pulumi_cf_invoice.report.outputs import SECRET_IN_PREVIEW, is_figure, revealed

Preview = Mapping[str, Any] | Operation
"""A digest, or the events of one preview or update."""
# A new state has its figures among the inputs, except that of a resource that is only read.
_PROPERTIES = ("inputs", "outputs")
_ERROR = re.compile(r"\W*error\b", re.IGNORECASE)
_LONGEST = 1000
_LONGEST_QUOTE = 300
_MOST_QUOTES = 3
_SHOW_SAMES = f"preview with --show-sames, or print the engine's events: `{STREAM}`"
_OLD = "only has the figures of the last deployment, which are not fresh"
_NOT_EVALUATED = (
    "does not evaluate the program's invoices, and can keep stored figures: report on a preview"
)
_NOT_YET = (
    "this preview does not know the invoice yet: its account, its credentials or something else it "
    "depends on comes from a resource that is still to be made"
)
_NO_BASELINE = "The figures of the last deployment are secret, so that no change is shown."
_READS = ("read", "read-replacement")
_IMPORTS = ("import", "import-replacement")
_FAILED = ("preview failed", "update failed")
_OF_DIGEST = {"config", "steps", "diagnostics", "duration", "changeSummary", "maybeCorrupt"}


def is_digest(document: Any) -> bool:
    """
    Return whether *document* is the digest that ``pulumi preview --json`` prints.

    One without any steps has no such name: nothing changed, or the preview failed before its first.
    """
    if not isinstance(document, Mapping) or not document:
        return False
    return isinstance(document.get("steps"), list) or document.keys() <= _OF_DIGEST


def find_invoices(objects: Iterable[PlacedObject], prefix: str | None) -> list[Found]:
    """
    Return every invoice in digests and events; a file can have those of several stacks.

    Of each stack only the last preview or update counts. For events, *prefix* selects among the
    stack's outputs. Raises `NoInvoiceError` if a preview failed for a reason other than a policy,
    if a part of one is missing, or if the last preview or update of a stack has no invoice.
    """
    found: dict[str, list[Found]] = {}
    accounts: defaultdict[str, set[str | None]] = defaultdict(set)
    refusals: dict[str, NoInvoiceError] = {}
    for stack, preview in _by_stack(_previews(objects)):
        try:
            if isinstance(preview, Operation):
                of_preview = _in_events(preview, prefix)
            else:
                of_preview = _in_digest(preview, prefix)
        except NothingFreshError as refusal:
            refusals[stack] = refusal
            continue
        # `pulumi up --json` prints a preview, which may know less, and then the update. What an
        # earlier one knew is not fresh any more.
        found[stack] = of_preview
        accounts[stack].update(invoice.state.account_id for invoice in of_preview)
        refusals.pop(stack, None)
    if refusals:
        raise next(iter(refusals.values()))
    return [
        invoice
        for stack, last in found.items()
        for invoice in _beside_earlier(last, accounts[stack], stack)
    ]


def _beside_earlier(last: list[Found], accounts: set[str | None], stack: str) -> list[Found]:
    """Return the *last* invoices of a stack, and say if earlier ones were of more *accounts*."""
    gone = accounts - {invoice.state.account_id for invoice in last}
    if not gone:
        return last
    text = (
        f"Only the last preview or update of {stack} counts: earlier ones also had invoices of "
        f"{counted(len(gone), 'other account')}."
    )
    caveat = Caveat("ambiguous", text)
    return [replace(invoice, caveats=(*invoice.caveats, caveat)) for invoice in last]


def _previews(objects: Iterable[PlacedObject]) -> Iterator[Preview]:
    """Yield digests, and the events of each operation together."""
    for of_digest, group in groupby(objects, lambda found: is_digest(found.value)):
        if of_digest:
            yield from (found.value for found in group)
        else:
            yield from operations(group)


def _by_stack(previews: Iterable[Preview]) -> Iterator[tuple[str, Preview]]:
    """
    Yield each of *previews* with its stack.

    Without steps it names none. It is known only for the digest of `pulumi up --json`, which the
    events of the update follow.
    """
    every = list(previews)
    for preview, following in zip_longest(every, every[1:]):
        is_updated = isinstance(following, Operation) and not following.is_preview
        yield _stack_of(preview) or (_stack_of(following) if is_updated else ""), preview


def _stack_of(preview: Preview) -> str:
    if isinstance(preview, Operation):
        steps = preview.steps_after
    else:
        steps = mappings(preview.get("steps"))
    return next((name for step in steps for name in stack_names(state.urn_of(step))), "")


def _in_digest(digest: Mapping[str, Any], prefix: str | None) -> list[Found]:
    """
    Return every invoice in a *digest*. Raises `NoInvoiceError`.

    A resource's last step other than a refresh has the fresh figures: both states of a refresh step
    are old. The stack's outputs are always the last deployment's.
    """
    diagnostics = mappings(digest.get("diagnostics"))
    if any(diagnostic.get("severity") == "error" for diagnostic in diagnostics):
        raise NoInvoiceError(
            _failure(diagnostics)
            or "the preview failed, and its digest does not say why: if a policy pack blocked it, "
            f"print the engine's events, which a report can judge: `{STREAM}`"
        )
    if prefix is not None:
        raise NothingFreshError(
            "--prefix chooses among the stack's outputs, which are not fresh in this preview: "
            f"print the engine's events: `{STREAM}`"
        )
    every = mappings(digest.get("steps"))
    if are_of_destroy(every):
        raise NothingFreshError(f"a destroy {_NOT_EVALUATED}")
    steps = [step for step in every if step.get("op") not in GONE]
    for step in steps:
        refuse_torn(step)
    _refuse_other_stacks(steps)
    _refuse_miscounted_steps(digest, every)
    _refuse_only_refreshed(digest)
    fresh = {state.urn_of(step): step for step in steps if step.get("op") != "refresh"}
    _refuse_not_evaluated(
        step
        for step in fresh.values()
        if was_left_out(step.get("op"), step.get("oldState"), step.get("newState"))
    )
    found: list[Found] = []
    unread = []
    for urn, step in fresh.items():
        new = mapping_in(step, "newState")
        invoice = _found(urn, new, mapping_in(step, "oldState"))
        if invoice is None:
            _refuse_read(urn, step)
            unread.append(new)
        else:
            found.append(invoice)
    if not found:
        _explain(steps, fresh.values(), diagnostics)
    left_out = _left_out(digest, steps)
    if not left_out:
        refuse_exported_alone(steps, list(_every_state(digest)))
    caveats = [*_unread(unread), *left_out]
    return [replace(invoice, caveats=(*invoice.caveats, *caveats)) for invoice in found]


def _refuse_other_stacks(steps: Sequence[Mapping[str, Any]]) -> None:
    """Refuse the beginning of one digest that goes on as another."""
    states = (mapping_in(step, "newState") for step in steps)
    every = (*steps, *(found for found in states if found))
    stacks = dict.fromkeys(name for each in every for name in stack_names(state.urn_of(each)))
    if len(stacks) > 1:
        first, second, *_ = stacks
        raise NoInvoiceError(
            f"steps of {second} follow those of {first} in one preview: the file is not whole"
        )


def _every_state(digest: Mapping[str, Any]) -> Iterator[state.InvoiceState]:
    """Yield every invoice among the states in a *digest*, old and new, that is not secret."""
    for step in mappings(digest.get("steps")):
        for name in ("oldState", "newState"):
            with suppress(NoInvoiceError, InvalidDataError):
                if found := _read(mapping_in(step, name), ()):
                    yield found


def _in_events(operation: Operation, prefix: str | None) -> list[Found]:
    """
    Return every invoice in the events of a preview or an update. Raises `NoInvoiceError`.

    The last outputs of a resource are the fresh ones. Those of the stack are too, except the first
    of a preview, and what a blocked one may have kept.
    """
    violations = _violations(operation)
    operation.refuse_gaps()
    try:
        return _among_events(operation, prefix, violations)
    except NoInvoiceError as error:
        raise type(error)(f"{error}{_said(violations)}") from None


def _said(violations: Iterable[PackViolation]) -> str:
    """Return, as a sentence to add, what mandatory policies said, which blocked a preview."""
    mandatory = (each for each in violations if each.is_mandatory)
    said = list(dict.fromkeys((each.pack, each.policy, each.message) for each in mandatory))
    if not said:
        return ""
    told = [
        f"({pack}: {policy}): {shown(quoted(message, _LONGEST_QUOTE))}"
        for pack, policy, message in said[:_MOST_QUOTES]
    ]
    if len(said) > _MOST_QUOTES:
        told.append(f"and {counted(len(said) - _MOST_QUOTES, 'more violation')}")
    return f". A policy pack blocked the preview {'; '.join(told)}"


def _among_events(
    operation: Operation, prefix: str | None, violations: Sequence[PackViolation]
) -> list[Found]:
    # No policy pack judges a refresh. What blocks a preview leaves resources only refreshed.
    is_blocked = any(violation.is_mandatory for violation in violations)
    if operation.is_destroy or (operation.only_refreshed and not is_blocked):
        what = "destroy" if operation.is_destroy else "refresh"
        raise NothingFreshError(f"a {what} {_NOT_EVALUATED}")
    resources = {
        urn: step
        for step in operation.steps_after
        if step.get("op") not in (*GONE, "refresh")
        and (urn := state.urn_of(step)) not in operation.only_refreshed
    }
    found: dict[str, Found] = {}
    unread: list[Mapping[str, Any] | None] = []
    if prefix is None:
        _refuse_not_evaluated(operation.not_evaluated)
        for urn, step in resources.items():
            new = mapping_in(step, "new")
            invoice = _found(urn, new, mapping_in(step, "old"), violations)
            if invoice is None:
                unread.append(new)
            else:
                found[urn] = invoice
    exported, hidden = exported_invoices(operation, prefix, list(found.values()))
    caveats = _unread(unread)
    if not found and not exported:
        if caveats and operation.is_preview:
            raise NothingFreshError(_NOT_YET)
        told = "".join(f". {caveat.text.rstrip('.')}" for caveat in (*caveats, *hidden))
        raise NothingFreshError(
            f"no invoice in it: the program needs an InvoicePreview, or export_invoice{told}"
        )
    if caveats and not operation.is_preview:
        raise NoInvoiceError("an InvoicePreview has no figures, although it was updated")
    said = tuple(violations)
    return [
        replace(
            invoice,
            caveats=(*invoice.caveats, *caveats, *hidden),
            violations=said,
        )
        for invoice in (*found.values(), *exported)
    ]


def _violations(operation: Operation) -> list[PackViolation]:
    """
    Return what policy packs said about an operation.

    Raises `NoInvoiceError` if it failed, unless it is a preview that only they blocked.
    """
    violations = [
        PackViolation(
            pack=_policy_name(part.get("policyPackName")),
            policy=_policy_name(part.get("policyName")),
            message=one_line(str(part.get("message")), _LONGEST),
            urn=str(part.get("resourceUrn")),
            is_mandatory=part.get("enforcementLevel") != "advisory",
        )
        for part in operation.parts("policyEvent")
    ]
    diagnostics = operation.parts("diagnosticEvent")
    failure = _failure(diagnostics)
    if failure is not None:
        raise NoInvoiceError(failure)
    failed = any(diagnostic.get("severity") == "error" for diagnostic in diagnostics)
    if not failed and not operation.has_failed:
        return violations
    is_blocked = any(violation.is_mandatory for violation in violations)
    if is_blocked and not operation.is_preview:
        raise NoInvoiceError("a policy pack blocked the update, part of which may have been made")
    if not is_blocked:
        what = "preview" if operation.is_preview else "update"
        written = _written(diagnostics)
        why = f": {written}" if written else ", but no event says why"
        raise NoInvoiceError(f"the {what} failed{why}")
    return violations


def _policy_name(name: Any) -> str:
    # Pulumi allows no other characters, and formats show it as they show the name of a rule.
    return re.sub(r"[^A-Za-z0-9 ._-]", "_", str(name))[:LONGEST_NAME] or "unnamed"


def _failure(diagnostics: Iterable[Mapping[str, Any]]) -> str | None:
    """Return why a preview failed, in its own words; None if it does not say."""
    reasons: dict[str, None] = {}
    for diagnostic in diagnostics:
        message = str(diagnostic.get("message", "")).strip().removeprefix("error: ")
        is_reason = diagnostic.get("urn") or message.lower() not in _FAILED
        if diagnostic.get("severity") == "error" and is_reason:
            if "Traceback" in message:
                # The error itself is the last line.
                message = message.splitlines()[-1]
            reasons[one_line(message, _LONGEST) or "without a reason"] = None
    if not reasons:
        return None
    return f"the preview failed: {one_line('; '.join(reasons), _LONGEST)}"


def _refuse_read(urn: str, step: Mapping[str, Any]) -> None:
    """Raise `NoInvoiceError` for an InvoicePreview that was read: a digest lacks its figures."""
    new = mapping_in(step, "newState") or {}
    kind = str(new.get("type"))
    # What the program reads itself has its figures among the inputs, known or not.
    is_given = state.has_figures(kind, mapping_in(new, "inputs") or {})
    is_known = new.get("id") not in (None, "", state.UNKNOWN) and not is_given
    is_read = step.get("op") in _IMPORTS or (step.get("op") in _READS and is_known)
    if kind in state.TYPES and is_read:
        raise NothingFreshError(
            f"this preview does not have the figures of {one_line(urn.rsplit('::', 1)[-1])}, which "
            f"Pulumi has read: print the engine's events: `{STREAM}`"
        )


def _refuse_only_refreshed(digest: Mapping[str, Any]) -> None:
    """Raise `NoInvoiceError` if an InvoicePreview in a *digest* was refreshed and not evaluated."""
    steps = mappings(digest.get("steps"))
    for step in steps:
        new = mapping_in(step, "newState") or {}
        # What the program asks for has no outputs yet.
        is_refreshed = step.get("op") == "update" and new.get("outputs")
        if is_refreshed and _resource_type(step) in state.TYPES:
            raise NothingFreshError(f"a refresh {_NOT_EVALUATED}")
    refreshed = only_refreshed(steps)
    of_ours = (state.urn_of(step) for step in steps if _resource_type(step) in state.TYPES)
    if refreshed.intersection(of_ours):
        raise NothingFreshError(f"this preview {_OLD}: {_SHOW_SAMES}")


def _written(diagnostics: Iterable[Mapping[str, Any]]) -> str:
    """
    Return what a program or a pack wrote to standard error, from its first error on.

    It is all that Pulumi's output has of one that does not start, or is refused as a whole.
    """
    written = [
        one_line(COLOR.sub("", str(diagnostic.get("message"))))
        for diagnostic in diagnostics
        if diagnostic.get("severity") == "info#err"
    ]
    first = next((n for n, text in enumerate(written) if _ERROR.match(text)), len(written))
    # What reads the file cuts it once more, without a credential that is in two of its lines.
    return one_line(" ".join(written[first:]), 4 * _LONGEST)


def _refuse_not_evaluated(steps: Iterable[Mapping[str, Any]]) -> None:
    names = [
        state.urn_of(step).rsplit("::", 1)[-1]
        for step in steps
        if _resource_type(step) in state.TYPES
    ]
    if names:
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        raise NoInvoiceError(
            f"the preview left out {one_line(names[0])}{more} by --target or --exclude: its "
            "figures are those of the last deployment, if any. Preview without these flags"
        )


def _resource_type(step: Mapping[str, Any]) -> Any:
    """Return the type of the resource of a *step*, of events or of a digest."""
    states = (mapping_in(step, name) for name in ("newState", "oldState", "new", "old"))
    return step.get("type") or next((found.get("type") for found in states if found), None)


def _unread(states: Iterable[Mapping[str, Any] | None]) -> list[Caveat]:
    """Return the caveat on how many of *states* are of an InvoicePreview without figures."""
    count = sum(found is not None and found.get("type") in state.TYPES for found in states)
    return not_known(count, "InvoicePreview resource")


def _found(
    urn: str,
    new: Mapping[str, Any] | None,
    old: Mapping[str, Any] | None,
    violations: Sequence[PackViolation] = (),
) -> Found | None:
    """
    Return the invoice of a resource with the states *new* and *old*, if it is known.

    Secret figures raise `NoInvoiceError`, unless a policy pack reports them in *violations*.
    """
    fresh = _read(new, violations)
    if fresh is None:
        return None
    try:
        before = _read(old, violations)
    except NoInvoiceError:
        return Found(fresh, names=stack_names(urn), notes=(_NO_BASELINE,), urns=(urn,))
    same = before is not None and before.account_id == fresh.account_id
    found = Found(fresh, names=stack_names(urn), urns=(urn,))
    return found.against(before if same else None)


def _read(
    of_resource: Mapping[str, Any] | None, violations: Sequence[PackViolation]
) -> state.InvoiceState | None:
    """
    Return the invoice in a resource's state, if it is known.

    Pulumi prints some secret outputs among the inputs in plain text. Raises `NoInvoiceError` for
    them anyway, unless *violations* have them, and `InvalidDataError` if the figures are not an
    invoice.
    """
    if of_resource is None or of_resource.get("type") not in state.TYPES:
        return None
    marked = of_resource.get("additionalSecretOutputs")
    is_secret = isinstance(marked, list) and any(is_figure(str(name)) for name in marked)
    readable = []
    for name in _PROPERTIES:
        properties = mapping_in(of_resource, name)
        plain = None if properties is None else revealed(properties)
        if plain is not None:
            readable.append(plain)
        elif properties is not None:
            is_secret = True
    every = (state.read(of_resource["type"], plain) for plain in readable)
    found = next((invoice for invoice in every if invoice is not None), None)
    if is_secret and not (found and _is_told(found, state.urn_of(of_resource), violations)):
        raise NoInvoiceError(SECRET_IN_PREVIEW)
    return found


def _is_told(found: state.InvoiceState, urn: str, violations: Sequence[PackViolation]) -> bool:
    """
    Return whether *violations* have the amount due of the resource *urn*.

    What a policy pack says is in plain text in the log and in the events.
    """
    amount = re.compile(rf"(?<!\w){re.escape(found.invoice.amount_due_text)}(?![.,]?\d)")
    return any(
        amount.search(violation.message)
        and (violation.urn == urn or (found.account_id or urn) in violation.message)
        for violation in violations
    )


def _refuse_miscounted_steps(digest: Mapping[str, Any], steps: list[Mapping[str, Any]]) -> None:
    """
    Refuse the *steps* of a *digest* if its summary counts more of an operation, or fewer that
    create something.

    Pulumi leaves unchanged resources out, and counts what a refresh found in place of the refresh.
    """
    summary = mapping_in(digest, "changeSummary")
    if steps and not summary:
        raise NoInvoiceError("the preview has no summary: was it cut off, or filtered?")
    shown = Counter(str(step.get("op")) for step in steps)
    for found in ("update", "delete"):
        shown[found] += shown["refresh"]
    for op, count in (summary or {}).items():
        if op != "same" and isinstance(count, int) and shown[op] < count:
            raise NoInvoiceError(
                f"the summary counts {count:,} steps '{one_line(op)}', but only {shown[op]:,} are "
                "in the preview: is it whole?"
            )
    created = (summary or {}).get("create", 0)
    if isinstance(created, int) and shown["create"] > created:
        raise NoInvoiceError(
            f"the summary counts {created:,} steps 'create', but {shown['create']:,} are in the "
            "preview: are they of two?"
        )


def _left_out(digest: Mapping[str, Any], steps: list[Mapping[str, Any]]) -> list[Caveat]:
    """Return the caveat on unchanged resources in a digest's summary that its steps do not have."""
    summary = digest.get("changeSummary")
    same = summary.get("same") if isinstance(summary, Mapping) else 0
    shown = sum(step.get("op") == "same" for step in steps)
    left_out = same - shown if isinstance(same, int) else 0
    if left_out <= 0:
        return []
    text = (
        f"Pulumi left out {counted(left_out, 'unchanged resource')}, which may be invoices of "
        f"other accounts: {_SHOW_SAMES}."
    )
    return [Caveat("not judged", text)]


def _explain(
    steps: list[Mapping[str, Any]],
    fresh: Iterable[Mapping[str, Any]],
    diagnostics: Iterable[Mapping[str, Any]],
) -> NoReturn:
    def of_ours(step: Mapping[str, Any]) -> bool:
        found = step.get("newState") or step.get("oldState")
        return isinstance(found, Mapping) and found.get("type") in state.TYPES

    if any(of_ours(step) for step in fresh):
        raise NothingFreshError(_NOT_YET)
    if any(of_ours(step) for step in steps):
        raise NothingFreshError(f"this preview {_OLD}: {_SHOW_SAMES}")
    written = _written(diagnostics)
    if written:
        raise NoInvoiceError(f"no invoice in it, and the preview wrote: {written}")
    raise NothingFreshError(
        "no invoice in it: the program needs an InvoicePreview. If it has one whose figures did "
        f"not move, Pulumi left it out: {_SHOW_SAMES}, which functions need as well. If --target "
        "or --exclude left it out, preview without these flags"
    )
