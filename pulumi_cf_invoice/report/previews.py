"""
Reads invoices from what Pulumi prints of a preview or an update: a digest, or the engine's events.

Either has figures of the last deployment as well, and only some of its places have fresh ones. What
is not certainly fresh is not taken, and `NoInvoiceError` says which flag helps.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from pulumi_cf_invoice import stack_outputs, state
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.report.found import Found, NoInvoiceError, of_outputs

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


def in_digest(digest: Mapping[str, Any]) -> list[Found]:
    """
    Return every invoice in a *digest*. Raises `NoInvoiceError`.

    The last step of a resource that is no refresh has the fresh figures: both states of a refresh
    step are those of before. The stack's outputs are always the last deployment's.
    """
    _refuse_failed(_mappings(digest.get("diagnostics")))
    steps = [step for step in _mappings(digest["steps"]) if step.get("op") not in _GONE]
    fresh = {str(step.get("urn")): step for step in steps if step.get("op") != "refresh"}
    found = [
        _found(urn, _state(step, "newState"), _state(step, "oldState"))
        for urn, step in fresh.items()
    ]
    known = [one for one in found if one is not None]
    if not known:
        _explain(steps, fresh.values())
    left_out = _left_out(digest, steps)
    if not left_out:
        return known
    note = (
        f"Pulumi left out {left_out} unchanged resource{'s' * (left_out != 1)}, which may be "
        f"invoices of other accounts: {_SHOW_SAMES}."
    )
    return [replace(one, notes=(note,)) for one in known]


def in_events(events: Iterable[Mapping[str, Any]], prefix: str | None) -> list[Found]:
    """
    Return every invoice in the *events* of a preview or an update. Raises `NoInvoiceError`.

    The last outputs of a resource are the fresh ones. Those of the stack are too, except the first
    of a preview.
    """
    events = list(events)
    _refuse_failed(_parts(events, "diagnosticEvent"))
    summaries = _parts(events, "summaryEvent")
    if not summaries:
        raise NoInvoiceError("the events end before the summary: was the output cut off?")
    if summaries[-1].get("result", "succeeded") != "succeeded":
        raise NoInvoiceError("it failed, and no event says why")
    outputs = [part.get("metadata") for part in _parts(events, "resOutputsEvent")]
    made = [one for one in _mappings(outputs) if one.get("op") not in (*_GONE, "refresh")]
    last = {str(one.get("urn")): one for one in made}
    found = [_found(urn, _state(one, "new"), _state(one, "old")) for urn, one in last.items()]
    of_stack = [one for one in made if one.get("type") == _STACK]
    if len(of_stack) > 1 or (of_stack and not summaries[-1].get("isPreview", True)):
        found += _of_stack(of_stack[-1], prefix)
    known = [one for one in found if one is not None]
    if not known:
        raise NoInvoiceError(
            "no invoice in it: the program needs an InvoicePreview, or export_invoice"
        )
    return known


def _of_stack(metadata: Mapping[str, Any], prefix: str | None) -> list[Found]:
    def outputs(name: str) -> Mapping[str, Any]:
        found = (_state(metadata, name) or {}).get("outputs")
        return found if isinstance(found, Mapping) else {}

    olds = stack_outputs.find_invoices(outputs("old"), prefix)
    before = [of_outputs(old).state.invoice for old in olds]
    now = stack_outputs.find_invoices(outputs("new"), prefix)
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
        raise NoInvoiceError(
            "this preview does not know the invoice yet: its account or its credentials are "
            "outputs of resources that are still to be made"
        )
    if any(of_ours(step) for step in steps):
        raise NoInvoiceError(
            "this preview has the figures of the last deployment alone, which are not fresh: "
            f"{_SHOW_SAMES}"
        )
    raise NoInvoiceError(
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
