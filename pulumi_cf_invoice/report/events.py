"""
The engine's events of one preview or update, and whether they are complete.

The engine numbers its events but does not print all: each step of a default provider is a pair of
numbers that never appear. Nothing else may be missing, or an invoice could be too.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.report.found import NoInvoiceError
from pulumi_cf_invoice.report.objects import PlacedObject
from pulumi_cf_invoice.state import (
    CHECK_FAILED,
    FIELDS,
    PLUGIN_TYPE,
    TYPES,
    is_ours,
    snake_case,
    type_in,
    urn_of,
)

STREAM = "PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json"
"""The command that prints the engine's events."""
STACK = "pulumi:pulumi:Stack"
GONE = ("delete", "delete-replaced", "create-replacement", "discard", "discard-replaced")
"""The operations after which the resource is gone, or another step has it."""
_WITHOUT_FRESH_STATE = (*GONE, "remove-pending-replace", "refresh")
_FOUND_BY_REFRESH = ("same", "update")
_KINDS = {
    "preludeEvent",
    "resourcePreEvent",
    "resOutputsEvent",
    "policyEvent",
    "diagnosticEvent",
    "summaryEvent",
}
_PROVIDERS = "pulumi:providers:"
_NEVER_NULL = {"amount_due", "currency", "period_start"}
_TORN = "was the line torn?"


def is_event(document: Any) -> bool:
    """Return whether *document* is one of the engine's events."""
    if not isinstance(document, Mapping):
        return False
    named = {name for name, part in document.items() if isinstance(part, Mapping)}
    # Others write JSON too, but only the engine numbers its events.
    is_numbered = "sequence" in document
    return bool(named & _KINDS) or (is_numbered and any(name.endswith("Event") for name in named))


def operations(events: Iterable[PlacedObject]) -> Iterator["Operation"]:
    """
    Yield the *events* of each operation together.

    An update first prints those of its preview, and a file may have been appended to.
    """
    part: list[PlacedObject] = []
    seen: set[str] = set()
    for event in events:
        if part and _begins_another(part[-1], event, seen):
            yield Operation(part)
            part, seen = [], set()
        part.append(event)
        seen.update(event.value)
    if part:
        yield Operation(part)


def _begins_another(last: PlacedObject, event: PlacedObject, seen: set[str]) -> bool:
    """Return whether *event* begins an operation after *last*, where *seen* have been its kinds."""
    is_over = "summaryEvent" in seen
    if "preludeEvent" in event.value:
        # A diagnostic can come before the prelude of its own operation.
        return is_over or "preludeEvent" in seen
    number, before = _number(event), _number(last)
    return is_over and number is not None and before is not None and number <= before


@dataclass(frozen=True)
class Operation:
    """The events of one operation, in the order in which they were printed."""

    events: Sequence[PlacedObject]

    def parts(self, name: str) -> list[Mapping[str, Any]]:
        """Return what the events called *name* hold."""
        return mappings([event.value.get(name) for event in self.events])

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """The last summary. Raises `NoInvoiceError` if there is none."""
        summaries = self.parts("summaryEvent")
        if not summaries:
            last = self.events[-1].line
            raise NoInvoiceError(
                f"the events end on line {last} without a summary: was the output cut off?"
            )
        return summaries[-1]

    @property
    def is_preview(self) -> bool:
        """Whether it is a preview, which has changed nothing."""
        return bool(self.summary.get("isPreview", True))

    @cached_property
    def has_failed(self) -> bool:
        """Whether it did not succeed."""
        return any(
            part.get("result", "succeeded") != "succeeded" for part in self.parts("summaryEvent")
        )

    @cached_property
    def steps_before(self) -> list[Mapping[str, Any]]:
        """Each step as announced: operation, URN, type, and the state before and after."""
        return mappings([part.get("metadata") for part in self.parts("resourcePreEvent")])

    @cached_property
    def steps_after(self) -> list[Mapping[str, Any]]:
        """Each step as done, whose new state has the fresh figures."""
        return mappings([part.get("metadata") for part in self.parts("resOutputsEvent")])

    @cached_property
    def not_evaluated(self) -> list[Mapping[str, Any]]:
        """
        The resources that ``--target`` or ``--exclude`` left out, with the previous figures.

        A resource that was evaluated has no outputs yet when its step is announced. Providers and
        the stack itself are always evaluated.
        """
        return [
            step
            for step in self.steps_before
            if was_left_out(step.get("op"), step.get("old"), step.get("new"))
            and step.get("type") != STACK
            and not str(step.get("type")).startswith(_PROVIDERS)
        ]

    @cached_property
    def only_refreshed(self) -> set[str]:
        """
        The URNs of the resources that no program asked for, as in a refresh by itself.

        A refresh within an update or a preview is not done as anything else.
        """
        done = {urn_of(step) for step in self.steps_after if _is_live(step)}
        return done & only_refreshed(self.steps_before)

    @property
    def is_destroy(self) -> bool:
        """Whether its steps are those of a destroy."""
        return are_of_destroy(self.steps_before)

    def refuse_gaps(self) -> None:
        """Raise `NoInvoiceError` if an event is missing or out of order, saying where."""
        summary = self.summary
        for step in (*self.steps_before, *self.steps_after):
            refuse_torn(step)
        self._refuse_steps_after_summary()
        self._refuse_other_stacks()
        self._refuse_missing_numbers()
        self._refuse_missing_beginning()
        self._refuse_missing_steps(summary.get("resourceChanges"))
        self._refuse_missing_halves()

    def _refuse_missing_numbers(self) -> None:
        numbered = [
            (number, event.line) for event in self.events if (number := _number(event)) is not None
        ]
        gaps = []
        missing = 0
        for (before, line_before), (number, line) in pairwise([(-1, 0), *numbered]):
            if number <= before:
                raise NoInvoiceError(
                    f"line {line} has event {number} after event {before} on line {line_before}: "
                    "were the lines reordered or repeated?"
                )
            if number > before + 1:
                missing += number - before - 1
                gaps.append((before + 1, line))
        if gaps and not self._explains(missing):
            first, line = gaps[0]
            raise NoInvoiceError(
                f"event {first} is missing before line {line}: the engine's output is not whole"
            )

    def _refuse_missing_beginning(self) -> None:
        """Refuse events without their prelude, with which all that was before it can be lost."""
        if not self.parts("preludeEvent"):
            raise NoInvoiceError(
                f"the events begin on line {self.events[0].line} without a prelude: was the "
                "beginning cut off?"
            )

    def _refuse_other_stacks(self) -> None:
        """Refuse parts of two operations, between which the end of one is missing."""
        stacks = dict.fromkeys(
            stack
            for event in self.events
            for part in mappings(list(event.value.values()))
            for stack in stack_names(_urn_of(part))
        )
        if len(stacks) > 1:
            first, second, *_ = stacks
            raise NoInvoiceError(
                f"events of {second} follow those of {first}, whose summary is missing: the "
                "engine's output is not whole"
            )

    def _refuse_steps_after_summary(self) -> None:
        """Refuse the rest of another operation, which alone lacks what it begins with."""
        kinds = ("resourcePreEvent", "resOutputsEvent", "summaryEvent")
        placed = [event for event in self.events if any(kind in event.value for kind in kinds)]
        for event, following in pairwise(placed):
            if "summaryEvent" in event.value:
                raise NoInvoiceError(
                    f"line {following.line} has an event of another preview or update, whose "
                    "beginning is missing"
                )

    def _explains(self, missing: int) -> bool:
        """Return whether as many events can be *missing* because nobody prints them."""
        if self._is_without_debug_messages:
            return True
        # Each step of a default provider is announced and done, below a stack.
        has_stack = any(step.get("type") == STACK for step in self.steps_before)
        return has_stack and missing % 2 == 0

    @property
    def _is_without_debug_messages(self) -> bool:
        """
        Whether debug messages were filtered out of the events.

        A program that writes them does so from its start, before the first resource.
        """
        severities = {str(part.get("severity")) for part in self.parts("diagnosticEvent")}
        after_prelude = [
            (_number(event), _number(following))
            for event, following in pairwise(self.events)
            if "preludeEvent" in event.value
        ]
        return "debug" not in severities and any(
            number is not None and following is not None and following > number + 1
            for number, following in after_prelude
        )

    def _refuse_missing_steps(self, counts: Any) -> None:
        steps_announced, steps_done = (
            Counter(_steps(steps)) for steps in (self.steps_before, self.steps_after)
        )
        announced, done = _by_operation(steps_announced), _by_operation(steps_done)
        either = _by_operation(steps_announced | steps_done)
        for op, count in counts.items() if isinstance(counts, Mapping) else ():
            # An update tells of a component's outputs only if there are any, and what a refresh
            # found is announced as a refresh.
            shown = either[op]
            if self.is_preview:
                expected = announced[op] + announced["refresh"] if announced else done[op]
                shown = min(done[op], expected)
            if isinstance(count, int) and shown < count:
                raise NoInvoiceError(
                    f"the summary counts {count:,} steps '{one_line(str(op))}', but only "
                    f"{shown:,} are in the events: a line is missing"
                )

    def _refuse_missing_halves(self) -> None:
        announced = {(str(step.get("op")), urn_of(step)) for step in self.steps_before}
        done = {(str(step.get("op")), urn_of(step)) for step in self.steps_after}
        for op, urn in done - announced:
            # Without it nobody can tell whether the resource was evaluated, or only refreshed, as
            # a refresh announces.
            is_told = op not in _FOUND_BY_REFRESH or ("refresh", urn) in announced
            if is_ours(urn) and not is_told:
                raise NoInvoiceError(f"the event that announces {_name(urn)} is missing")
        if self.has_failed:
            return
        for op, urn in announced - done:
            if op not in (*GONE, "refresh") and is_ours(urn):
                raise NoInvoiceError(f"the event with the figures of {_name(urn)} is missing")
        of_stack = [step for step in self.steps_before if step.get("type") == STACK]
        runs = any(step.get("op") not in (*GONE, "refresh") for step in of_stack)
        if runs and len(self.stack_outputs) < (2 if self.is_preview else 1):
            raise NoInvoiceError("the event with the stack's outputs is missing")

    @property
    def stack_outputs(self) -> list[Mapping[str, Any]]:
        """The steps with outputs of the stack; the first of a preview has those of before."""
        return [
            step
            for step in self.steps_after
            if step.get("type") == STACK and step.get("op") not in (*GONE, "refresh")
        ]


def only_refreshed(steps: Iterable[Mapping[str, Any]]) -> set[str]:
    """
    Return the URNs of *steps*, of events or of a digest, that have no other than a refresh.

    With an alias, the program asks for a resource by another URN than that of its old state.
    """
    by_op = {True: set[str](), False: set[str]()}
    for step in steps:
        old = _old(step)
        before = {urn_of(old)} if isinstance(old, Mapping) else set()
        by_op[step.get("op") == "refresh"] |= {urn_of(step)} | before
    return by_op[True] - by_op[False]


def are_of_destroy(steps: Sequence[Mapping[str, Any]]) -> bool:
    """
    Return whether *steps*, of events or of a digest, delete and do nothing else, or delete what the
    program asked for, as ``destroy --run-program`` does.
    """
    deleted = {
        urn_of(step)
        for step in steps
        if step.get("op") == "delete" and not _is_of_replacement(step)
    }
    live = [urn_of(step) for step in steps if _is_live(step)]
    return bool(deleted) and (not live or not deleted.isdisjoint(live))


def _is_live(step: Mapping[str, Any]) -> bool:
    return step.get("op") not in (*GONE, "refresh")


def _is_of_replacement(step: Mapping[str, Any]) -> bool:
    """Return whether a *step* deletes what an earlier update has replaced, but not deleted."""
    old = _old(step)
    return isinstance(old, Mapping) and old.get("delete") is True


def _old(step: Mapping[str, Any]) -> Any:
    """Return the old state in a *step* of events or of a digest."""
    return step.get("old", step.get("oldState"))


def was_left_out(op: Any, old: Any, new: Any) -> bool:
    """
    Return whether a step from the *old* to the *new* state, as it is announced, was left out.

    ``--target`` and ``--exclude`` make it "same". Only of such a step the outputs are there from
    the start, and only such a resource is the same without ever having been deployed.
    """
    if op != "same":
        return False
    if isinstance(new, Mapping) and new.get("outputs"):
        return True
    return isinstance(old, Mapping) and old.get("custom") is True and not old.get("id")


def refuse_torn(step: Mapping[str, Any]) -> None:
    """
    Raise `NoInvoiceError` if a *step* of ours lacks what the engine always writes of one.

    What was written into the middle of a name leaves valid JSON, and an invoice that nobody sees.
    """
    if not urn_of(step):
        raise NoInvoiceError(f"a step has no URN: {_TORN}")
    _refuse_torn_type(step)
    if not is_ours(urn_of(step)) or step.get("op") in _WITHOUT_FRESH_STATE:
        return
    new = mapping_in(step, "new") or mapping_in(step, "newState")
    if new is None:
        raise NoInvoiceError(f"{_name(urn_of(step))} has no new state: {_TORN}")
    if _lacks_figures(step, new) or any(_is_torn_invoice(*found) for found in new.items()):
        raise NoInvoiceError(f"the figures of {_name(urn_of(step))} are not whole: {_TORN}")


def _lacks_figures(step: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """
    Return whether the *new* state of a *step* has no figures that can only have been lost.

    A plugin is asked nothing as long as an argument of its provider is not known. What is read but
    not managed has no figures among its inputs, nor has what was never deployed.
    """
    if type_in(urn_of(step)) == PLUGIN_TYPE or new.get("external"):
        return False
    if was_left_out(step.get("op"), _old(step), new):
        return False
    return not _names_in(new.get("inputs")) & {"amount_due", CHECK_FAILED}


def _refuse_torn_type(step: Mapping[str, Any]) -> None:
    """
    Raise `NoInvoiceError` if a *step* says in one place that it is of ours, and in another not.
    """
    states = (step.get(name) for name in ("old", "new", "oldState", "newState"))
    named = [found.get("type") for found in states if isinstance(found, Mapping)]
    if "type" in step:
        named.append(step["type"])
    urn = step.get("urn")
    if isinstance(urn, str) and any((name in TYPES) != is_ours(urn) for name in named):
        raise NoInvoiceError(f"the type of {_name(urn)} differs from the one in its URN: {_TORN}")


def _is_torn_invoice(name: str, value: Any) -> bool:
    """
    Return whether *value*, called *name* in a state, has some figures of an invoice, but is not the
    state's whole inputs or outputs.

    The engine writes all figures, known or not, and their account, or none of them.
    """
    names = _names_in(value)
    is_whole = name in ("inputs", "outputs") and names >= {"account_id", *_NEVER_NULL}
    return not names.isdisjoint(FIELDS) and not is_whole


def _names_in(value: Any) -> set[str]:
    """Return the names of the properties in *value*, which may be anything, in snake_case."""
    # Of each input there is a list too, of what it depends on.
    written = value.items() if isinstance(value, Mapping) else ()
    return {snake_case(figure) for figure, content in written if not isinstance(content, list)}


def _steps(steps: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield operation and URN of each step, once where a resource's outputs follow its step."""
    seen = set()
    for step in steps:
        pair = (str(step.get("op")), urn_of(step))
        if pair not in seen or pair[0] in GONE:
            yield pair
        seen.add(pair)


def _by_operation(steps: Mapping[tuple[str, str], int]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for (op, _), count in steps.items():
        counted[op] += count
    return counted


def mappings(values: Any) -> list[Mapping[str, Any]]:
    """Return those of *values* that are mappings; none if it is not a list."""
    listed = values if isinstance(values, list) else []
    return [value for value in listed if isinstance(value, Mapping)]


def mapping_in(step: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Return the mapping called *name* in a *step* or a state, if it has one."""
    found = step.get(name)
    return found if isinstance(found, Mapping) else None


def stack_names(urn: str) -> tuple[str, ...]:
    """Return the stack of a URN as ``project/stack``, if it has one."""
    parts = re.match("urn:pulumi:([^:]+)::([^:]+)::", urn)
    return (one_line(f"{parts[2]}/{parts[1]}"),) if parts else ()


def _urn_of(part: Mapping[str, Any]) -> str:
    """Return the URN of the resource that a *part* of an event is about, if it is about one."""
    step = part.get("metadata")
    named = part.get("urn", part.get("resourceUrn"))
    return urn_of(step) if isinstance(step, Mapping) else str(named)


def _number(event: PlacedObject) -> int | None:
    number = event.value.get("sequence")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _name(urn: str) -> str:
    return one_line(urn.rsplit("::", 1)[-1])
