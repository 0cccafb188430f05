"""What a reader has to know before relying on an invoice's figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pulumi_cf_invoice.billing.models import counted

Kind = Literal["time", "origin", "missing", "not judged", "ambiguous", "period", "incomplete"]
MOST_ORIGINS = 10
"""The most addresses that a report names."""
_MOST_LABELS, _MOST_OF_KIND = 3, 3


@dataclass(frozen=True)
class Caveat:
    """
    A sentence without which the figures of an invoice mislead: where they come from, of when they
    are, which other invoice is ``missing``, or what may be one and was not judged.

    Every format shows it outside folds. What only explains a figure is a note instead.
    """

    kind: Kind
    text: str


def of_several(invoices: Sequence[tuple[str, Iterable[Caveat]]]) -> list[str]:
    """
    Return the caveats of several *invoices*, each with its label, as a bounded number of sentences.

    A sentence that is true of more than one appears once. Of each kind, those of the most invoices
    appear, so that no kind hides another. More appear of addresses than of other kinds.
    """
    labels: dict[Caveat, list[str]] = {}
    for label, caveats in invoices:
        for caveat in dict.fromkeys(caveats):
            labels.setdefault(caveat, []).append(label)
    widest = sorted(labels, key=lambda caveat: -len(labels[caveat]))
    sentences = []
    for kind in get_args(Kind):
        of_kind = [
            f"{_whose(labels[caveat], len(invoices))}{caveat.text}"
            for caveat in widest
            if caveat.kind == kind
        ]
        sentences += first(of_kind, MOST_ORIGINS if kind == "origin" else _MOST_OF_KIND)
    return sentences


def first(sentences: Sequence[str], most: int, noun: str = "") -> list[str]:
    """Return *most* of the *sentences*, and how many are left out, perhaps with a *noun*."""
    left = len(sentences) - most
    more = counted(left, f"more {noun}") if noun else f"{left:,} more"
    return [*sentences[:most], *([f"… and {more}"] if left > 0 else [])]


def not_known(count: int, noun: str, why: str = "not known yet") -> list[Caveat]:
    """Return the caveat on *count* figures that are not known, and *why*; none if it is 0."""
    if not count:
        return []
    text = f"The figures of {counted(count, noun)} are {why}, and were not judged."
    return [Caveat("missing", text)]


def addressed(labels: Sequence[str]) -> str:
    """Return the beginning of a sentence that says for which of several invoices it is."""
    more = len(labels) - _MOST_LABELS
    whom = f"{', '.join(labels[:_MOST_LABELS])}{f' and {more:,} more' if more > 0 else ''}"
    return f"{whom}: " if labels else ""


def _whose(labels: Sequence[str], count: int) -> str:
    """Return the beginning of a sentence on the invoices with these *labels*, of *count*."""
    if len(labels) < count:
        return addressed(labels)
    if count == 1:
        return ""
    return "Both invoices: " if count == 2 else f"All {count:,} invoices: "
