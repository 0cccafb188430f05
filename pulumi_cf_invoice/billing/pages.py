"""
Collects all pages of an answer, and determines whether they are complete.

Where ``result_info``, or ``pagination`` inside the result, says that there is more, the following
pages are asked for. Entries need not have an ID, so whole pages are compared, and equal entries are
never dropped. Pages are complete if they have as many entries as ``total_count`` says; without one,
if the last page says that nothing follows. An answer without further pages is complete by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

MOST_PAGES = 100
_INSIDE = "pagination"


class PageError(Exception):
    """Fetching a further page failed."""


@dataclass(frozen=True)
class Collected:
    """A ``result`` with the entries of every fetched page, and whether it is complete."""

    result: Any
    complete: bool


def collect(
    first: dict[str, Any],
    entries: str,
    next_page: Callable[[int], dict[str, Any]],
    progress: Callable[[Collected], None] = lambda _: None,
) -> Collected:
    """
    Return the answer *first*, an envelope, with the *entries* of the pages that follow it.

    *next_page* returns the envelope of the page of that number, or raises `PageError`. *progress*
    is called with what there is after each page. If the fields beside the entries move from one
    page to the next, all is asked for once more, from the start.
    """
    collected = _collect(first, entries, next_page, progress)
    if collected is not None:
        return collected
    try:
        first = next_page(_number(first))
    except PageError:
        return Collected(first["result"], complete=False)
    collected = _collect(first, entries, next_page, progress)
    return collected or Collected(first["result"], complete=False)


def has_more(envelope: dict[str, Any]) -> bool:
    """Return whether *envelope* says that further pages follow it."""
    return _info(envelope).get("has_more") is True


def _collect(
    first: dict[str, Any],
    entries: str,
    next_page: Callable[[int], dict[str, Any]],
    progress: Callable[[Collected], None],
) -> Collected | None:
    """Return what was collected, or None if the fields beside the entries moved."""
    result = first["result"]
    if not has_more(first) or not _is_page(result, entries):
        return Collected(result, complete=True)
    pages, number, page, ended = [result[entries]], _number(first), first, False
    while len(pages) < MOST_PAGES and not ended:
        progress(_together(result, entries, pages, complete=False))
        number += 1
        try:
            page = next_page(number)
        except PageError:
            break
        following = page["result"]
        if not _is_page(following, entries) or following[entries] in pages:
            break
        if _beside(following, entries) != _beside(result, entries):
            return None
        pages.append(following[entries])
        ended = not has_more(page)
    count = sum(map(len, pages))
    stated = _info(page).get("total_count")
    complete = count == stated or (ended and stated is None)
    return _together(result, entries, pages, complete)


def _together(result: Any, entries: str, pages: list[list[Any]], complete: bool) -> Collected:
    together = [entry for of_page in pages for entry in of_page]
    return Collected({**result, entries: together}, complete)


def _info(envelope: dict[str, Any]) -> dict[str, Any]:
    result = envelope.get("result")
    inside = result.get(_INSIDE) if isinstance(result, dict) else None
    for info in (inside, envelope.get("result_info")):
        if isinstance(info, dict):
            return info
    return {}


def _number(envelope: dict[str, Any]) -> int:
    number = _info(envelope).get("page")
    if isinstance(number, bool) or not isinstance(number, (int, Decimal)):
        return 1
    return int(number) if 0 < number < 10**6 else 1


def _is_page(result: Any, entries: str) -> bool:
    return isinstance(result, dict) and isinstance(result.get(entries), list)


def _beside(result: dict[str, Any], entries: str) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in (entries, _INSIDE)}
