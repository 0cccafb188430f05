"""
Collects all pages of an answer, and determines whether they are complete.

If ``result_info``, or ``pagination`` inside the result, says that there is more, the following
pages are requested. Entries need not have an ID, so whole pages are compared, and equal entries are
never dropped. An answer only counts as complete if that is proven: no fewer entries than any
``total_count``, no fewer pages than any ``total_pages`` and, if neither is given, a last page that
says that nothing follows. An answer without any paging information is complete.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import inf
from typing import Any

MOST_PAGES = 100
RESULT = ""
"""Names the entries of a read whose result is their list."""
_INSIDE = "pagination"
_NO = ("", "0", "false", "no", "none", "null")


class PageError(Exception):
    """Fetching a further page failed."""


@dataclass(frozen=True)
class Collected:
    """A ``result`` with the entries of every fetched page, and whether it is complete."""

    result: Any
    complete: bool


@dataclass(frozen=True)
class _Stated:
    """
    What an answer says about its pages.

    ``more`` is whether further pages follow, and ``uncounted`` whether it says so without a count.
    ``entries`` and ``pages`` are the minimum in total: infinite if the answer's number cannot be
    parsed, and None if it has none. ``number`` is this page's number.
    """

    more: bool
    uncounted: bool
    entries: float | None
    pages: float | None
    number: int

    def shows(self, entries: int, pages: int) -> bool:
        """Return whether that many *entries* on that many *pages* are complete."""
        has_all = entries >= (self.entries or 0) and pages >= (self.pages or 0)
        return has_all and not self.uncounted

    def after(self, earlier: "_Stated") -> "_Stated":
        """Return what this page says, but no less than the *earlier* ones said."""
        return replace(
            self,
            entries=_larger(self.entries, earlier.entries),
            pages=_larger(self.pages, earlier.pages),
        )


def collect(
    first: dict[str, Any], entries: str, next_page: Callable[[int], dict[str, Any]]
) -> Collected:
    """
    Return the answer *first*, an envelope, with the *entries* of the pages that follow it.

    *entries* is the field of the result that has them, or `RESULT`. *next_page* returns the
    envelope of the page of that number, or raises `PageError`. If the other fields change from one
    page to the next, everything is requested once more, from the start.
    """
    collected = _collect(first, entries, next_page)
    if collected is not None:
        return collected
    try:
        first = next_page(_stated(first).number)
    except PageError:
        return Collected(first["result"], complete=False)
    collected = _collect(first, entries, next_page)
    return collected or Collected(first["result"], complete=False)


def is_complete(envelope: Mapping[str, Any], entries: str) -> bool:
    """Return whether *envelope* alone has all *entries*, as far as it says."""
    listed = _entries(envelope.get("result"), entries)
    return _stated(envelope).shows(len(listed or ()), 1)


def _collect(
    first: dict[str, Any], entries: str, next_page: Callable[[int], dict[str, Any]]
) -> Collected | None:
    """Return what was collected, or None if the other fields changed."""
    result, stated = first["result"], _stated(first)
    listed = _entries(result, entries)
    if listed is None:
        # Its model refuses it, and says what is wrong with it.
        return Collected(result, complete=not stated.more)
    pages, number, count = [listed], stated.number, len(listed)
    while (stated.more or not stated.shows(count, len(pages))) and len(pages) < MOST_PAGES:
        number += 1
        try:
            page = next_page(number)
        except PageError:
            break
        listed = _entries(page["result"], entries)
        if not listed or listed in pages:
            break
        if _beside(page["result"], entries) != _beside(result, entries):
            return None
        pages.append(listed)
        count += len(listed)
        stated = _stated(page).after(stated)
    if len(pages) == 1:
        return Collected(result, stated.shows(count, 1))
    together = [entry for listed in pages for entry in listed]
    # An extra entry has moved from one page to the next, and hides another one.
    complete = stated.shows(count, len(pages)) and stated.entries in (None, count)
    return Collected({**result, entries: together} if entries else together, complete)


def _stated(envelope: Mapping[str, Any]) -> _Stated:
    result = envelope.get("result")
    inside = result.get(_INSIDE) if isinstance(result, Mapping) else None
    infos = [info for info in (inside, envelope.get("result_info")) if isinstance(info, Mapping)]
    saying_more = [info for info in infos if any(map(_is_yes, _named(info, "has_more")))]
    return _Stated(
        more=bool(saying_more),
        uncounted=any(
            _largest([info], "total_count") is None and _largest([info], "total_pages") is None
            for info in saying_more
        ),
        entries=_largest(infos, "total_count"),
        pages=_largest(infos, "total_pages"),
        number=next((_number(info) for info in infos if "page" in info), 1),
    )


def _larger(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _named(info: Mapping[str, Any], name: str) -> list[Any]:
    """Return the values that *info* has by that *name*, whether ``has_more`` or ``hasMore``."""
    spelt = name.replace("_", "")
    return [value for key, value in info.items() if key.replace("_", "").lower() == spelt]


def _is_yes(value: Any) -> bool:
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def _largest(infos: list[Mapping[str, Any]], name: str) -> float | None:
    values = [value for info in infos for value in _named(info, name)]
    return _larger(*(None if value is None else _count(value) for value in values))


def _count(value: Any) -> float:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()[:9])
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not value >= 0:
        return inf
    return float(min(value, 10**9))


def _number(info: Mapping[str, Any]) -> int:
    number = info.get("page")
    if isinstance(number, bool) or not isinstance(number, (int, Decimal)):
        return 1
    return int(number) if 0 < number < 10**6 else 1


def _entries(result: Any, name: str) -> list[Any] | None:
    """Return the entries of a *result* (null means no entries); None if it has no such list."""
    if name:
        if not isinstance(result, Mapping):
            return None
        result = result.get(name)
    listed = [] if result is None else result
    return listed if isinstance(listed, list) else None


def _beside(result: Any, entries: str) -> dict[str, Any]:
    if not entries:
        return {}
    return {name: value for name, value in result.items() if name not in (entries, _INSIDE)}
