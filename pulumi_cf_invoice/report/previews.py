"""
Reads invoices from what Pulumi prints of a preview or an update: a digest, or the engine's events.

Either has figures of the last deployment as well, and only some of its places have fresh ones. What
is not certainly fresh is not taken, and `NoInvoiceError` says which flag helps.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from pulumi_cf_invoice import state
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.report.found import Found, NoInvoiceError, invoices_in_outputs, of_outputs

_EVENTS = ("resourcePreEvent", "resOutputsEvent", "diagnosticEvent", "summaryEvent", "preludeEvent")
_LONGEST = 1000
_STACK = "pulumi:pulumi:Stack"
_STREAM = "PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json"
_SHOW_SAMES = f"preview with --show-sames, or print the engine's events: `{_STREAM}`"
_GONE = ("delete", "delete-replaced", "create-replacement", "discard", "discard-replaced")


def is_digest(document: Any) -> bool:
    """Return whether *document* is the digest that ``pulumi preview --json`` prints."""
    return isinstance(document, Mapping) and isinstance(document.get("steps"), list)


def is_event(document: Any) -> bool:
    """Return whether *document* is one of the engine's events."""
    return isinstance(document, Mapping) and any(name in document for name in _EVENTS)


class _NothingFreshError(NoInvoiceError):
    """A preview that succeeded has no invoice, or none that is certainly fresh."""


def find_invoices(objects: Iterable[Mapping[str, Any]], prefix: str | None) -> list[Found]:
    """
    Return every invoice in digests and events, of which a file can have those of several stacks.

    Of events *prefix* chooses among the stack's outputs. Raises `NoInvoiceError` if a preview
    failed, or if a stack has no invoice in any of its previews.
    """
    found: dict[str, list[Found]] = {}
    refusals: dict[str, NoInvoiceError] = {}
    for preview in _apart(objects):
        stack = _stack_of(preview)
        found.setdefault(stack, [])
        try:
            if isinstance(preview, list):
                found[stack] += _in_events(preview, prefix)
            else:
                found[stack] += _in_digest(preview, prefix)
        except _NothingFreshError as refusal:
            # `pulumi up --json` prints a preview, which may know less, and then the update.
            refusals.setdefault(stack, refusal)
    for stack, of_stack in found.items():
        if not of_stack:
            raise refusals[stack]
    return [one for of_stack in found.values() for one in of_stack]


def _apart(
    objects: Iterable[Mapping[str, Any]],
) -> list[Mapping[str, Any] | list[Mapping[str, Any]]]:
    """Return digests, and the events of each operation together."""
    parts: list[Mapping[str, Any] | list[Mapping[str, Any]]] = []
    events: list[Mapping[str, Any]] | None = None
    for one in objects:
        if is_digest(one):
            parts.append(one)
            events = None
        elif is_event(one):
            # A diagnostic can come before the prelude of its own operation.
            if events is None or ("preludeEvent" in one and _has_begun(events)):
                events = []
                parts.append(events)
            events.append(one)
    return parts


def _has_begun(events: list[Mapping[str, Any]]) -> bool:
    return any("preludeEvent" in one or "summaryEvent" in one for one in events)


def _stack_of(preview: Mapping[str, Any] | list[Mapping[str, Any]]) -> str:
    if isinstance(preview, list):
        about = [part.get("metadata") for part in _parts(preview, "resOutputsEvent")]
    else:
        about = preview["steps"]
    names = (name for one in _mappings(about) for name in _names(str(one.get("urn"))))
    return next(names, "")


def _in_digest(digest: Mapping[str, Any], prefix: str | None) -> list[Found]:
    """
    Return every invoice in a *digest*. Raises `NoInvoiceError`.

    The last step of a resource that is no refresh has the fresh figures: both states of a refresh
    step are those of before. The stack's outputs are always the last deployment's.
    """
    _refuse_failed(_mappings(digest.get("diagnostics")))
    if prefix is not None:
        raise NoInvoiceError(
            "--prefix chooses among the stack's outputs, which are not fresh in this preview: "
            f"print the engine's events: `{_STREAM}`"
        )
    steps = [step for step in _mappings(digest["steps"]) if step.get("op") not in _GONE]
    fresh = {str(step.get("urn")): step for step in steps if step.get("op") != "refresh"}
    states = [(urn, step, _state(step, "newState")) for urn, step in fresh.items()]
    found = [_found(urn, new, _state(step, "oldState")) for urn, step, new in states]
    known = [one for one in found if one is not None]
    if not known:
        _explain(steps, fresh.values())
    notes = _unread(new for (_, _, new), one in zip(states, found, strict=True) if one is None)
    left_out = _left_out(digest, steps)
    if left_out:
        notes += (
            f"Pulumi left out {left_out} unchanged resource{'s' * (left_out != 1)}, which may be "
            f"invoices of other accounts: {_SHOW_SAMES}.",
        )
    return [replace(one, notes=notes) for one in known]


def _in_events(events: list[Mapping[str, Any]], prefix: str | None) -> list[Found]:
    """
    Return every invoice in the *events* of a preview or an update. Raises `NoInvoiceError`.

    The last outputs of a resource are the fresh ones. Those of the stack are too, except the first
    of a preview.
    """
    _refuse_failed(_parts(events, "diagnosticEvent"))
    summaries = _parts(events, "summaryEvent")
    if not summaries:
        raise NoInvoiceError("the events end before the summary: was the output cut off?")
    if any(summary.get("result", "succeeded") != "succeeded" for summary in summaries):
        raise NoInvoiceError("it failed, and no event says why")
    is_preview = bool(summaries[-1].get("isPreview", True))
    outputs = [part.get("metadata") for part in _parts(events, "resOutputsEvent")]
    made = [one for one in _mappings(outputs) if one.get("op") not in (*_GONE, "refresh")]
    last = {str(one.get("urn")): one for one in made}
    found: list[Found | None] = []
    unread: list[Any] = []
    if prefix is None:
        states = [(urn, _state(one, "new"), _state(one, "old")) for urn, one in last.items()]
        found = [_found(urn, new, old) for urn, new, old in states]
        unread = [new for (_, new, _), one in zip(states, found, strict=True) if one is None]
    of_stack = [one for one in made if one.get("type") == _STACK]
    if len(of_stack) > 1 or (of_stack and not is_preview):
        found += _of_stack(of_stack[-1], prefix)
    known = [one for one in found if one is not None]
    if not known:
        raise _NothingFreshError(
            "no invoice in it: the program needs an InvoicePreview, or export_invoice"
        )
    notes = _unread(unread)
    if notes and not is_preview:
        raise NoInvoiceError("an InvoicePreview has no figures, although it was updated")
    return [replace(one, notes=(*one.notes, *notes)) for one in known]


def _unread(states: Iterable[Mapping[str, Any] | None]) -> tuple[str, ...]:
    """Return the note on how many of *states* are of an InvoicePreview without figures."""
    count = sum(one is not None and one.get("type") in state.TYPES for one in states)
    if not count:
        return ()
    return (
        f"The figures of {count} more InvoicePreview resource{'s' * (count != 1)} are not known "
        "yet, and were not judged.",
    )


def _of_stack(metadata: Mapping[str, Any], prefix: str | None) -> list[Found]:
    def outputs(name: str) -> Mapping[str, Any]:
        found = (_state(metadata, name) or {}).get("outputs")
        return found if isinstance(found, Mapping) else {}

    olds = invoices_in_outputs(outputs("old"), prefix)
    before = [of_outputs(old).state.invoice for old in olds]
    now = invoices_in_outputs(outputs("new"), prefix)
    # Outputs that were renamed cannot be told from one another.
    baselines: list[Invoice | None] = [*before] if len(before) == len(now) else [None] * len(now)
    names = _names(str(metadata.get("urn")))
    return [
        replace(of_outputs(new, old), names=names) for new, old in zip(now, baselines, strict=True)
    ]


def _found(urn: str, new: Mapping[str, Any] | None, old: Mapping[str, Any] | None) -> Found | None:
    fresh = state.read_state(new)
    if fresh is None:
        return None
    before = state.read_state(old)
    same = before is not None and before.account_id == fresh.account_id
    return Found(fresh, before.invoice if before and same else None, names=_names(urn))


def _names(urn: str) -> tuple[str, ...]:
    """Return the stack of a URN as ``project/stack``, if it has one."""
    parts = re.match("urn:pulumi:([^:]+)::([^:]+)::", urn)
    return (one_line(f"{parts[2]}/{parts[1]}"),) if parts else ()


def _refuse_failed(diagnostics: Iterable[Mapping[str, Any]]) -> None:
    for diagnostic in diagnostics:
        if diagnostic.get("severity") == "error":
            said = str(diagnostic.get("message", "")).strip() or "without a reason"
            if "Traceback" in said:
                # The error itself is the last line.
                said = said.splitlines()[-1]
            raise NoInvoiceError(f"the preview failed: {one_line(said, _LONGEST)}")


def _left_out(digest: Mapping[str, Any], steps: list[Mapping[str, Any]]) -> int:
    """Return how many unchanged resources are in the summary of a digest and not in its steps."""
    summary = digest.get("changeSummary")
    same = summary.get("same") if isinstance(summary, Mapping) else 0
    shown = sum(step.get("op") == "same" for step in steps)
    return max(same - shown, 0) if isinstance(same, int) else 0


def _explain(steps: list[Mapping[str, Any]], fresh: Iterable[Mapping[str, Any]]) -> NoReturn:
    def of_ours(step: Mapping[str, Any]) -> bool:
        of = step.get("newState") or step.get("oldState")
        return isinstance(of, Mapping) and of.get("type") in state.TYPES

    if any(of_ours(step) for step in fresh):
        raise _NothingFreshError(
            "this preview does not know the invoice yet: its account or its credentials are "
            "outputs of resources that are still to be made"
        )
    if any(of_ours(step) for step in steps):
        raise _NothingFreshError(
            "this preview has the figures of the last deployment alone, which are not fresh: "
            f"{_SHOW_SAMES}"
        )
    raise _NothingFreshError(
        "no invoice in it: the program needs an InvoicePreview. If it has one whose figures did "
        f"not move, Pulumi left it out: {_SHOW_SAMES}, which functions need as well"
    )


def _parts(events: Iterable[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    return _mappings([event.get(name) for event in events])


def _mappings(values: Any) -> list[Mapping[str, Any]]:
    listed = values if isinstance(values, list) else []
    return [value for value in listed if isinstance(value, Mapping)]


def _state(of: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    found = of.get(name)
    return found if isinstance(found, Mapping) else None
