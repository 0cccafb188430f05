"""
Collects all pages of an answer, and determines whether they are complete.

If ``result_info``, ``pagination`` inside the result or a field beside either says that there is
more, the following pages are requested. Entries need not have an ID, so whole pages are compared,
and equal entries are never dropped. One that is on two pages may have moved meanwhile and hidden
another one: everything is requested once more, and has to be the same. An answer only counts as
complete if that is proven: no fewer entries than any ``total_count``, no fewer pages than any
``total_pages`` and, if neither is given, a last page that says that nothing follows, or has room
for more. A first page that says that more follows is a part whatever it counts, because the count
may be its own. An answer without any paging information is complete, unless it has exactly as many
entries as were requested for a page.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from math import inf
from typing import Any

MOST_PAGES = 100
_LARGEST_NUMBER = 10**6
RESULT = ""
"""Names the entries of a read whose result is their list."""
_BETWEEN_LETTERS = re.compile(r"[\W_]+")
# In lower case, without what is between words, since all spellings occur.
_INFOS = re.compile("pagination|paging|(?:pagination|paging|page|results?)info")
_OF_INFOS = {"page", "pagenumber", "pagesize", "perpage"}
"""What only an info has, whatever it is called."""
_LISTED = (
    "items?|results?|records?|entries|rows?|elements?|doc(?:ument)?s?|data"
    "|(?:invoice)?lines?|invoices?|history|accounts?|gateways?"
)
_MEANINGS = {
    "next": "cursor|(?:next)?continuationtoken"
    "|next(?:cursor|link|offset|start|token|ur[il]|page(?:url|link|token)?)",
    "hasmore": f"hasnext(?:page)?|hasmore(?:{_LISTED}|pages?)?|moreavailable|(?:is)?truncated",
    "islast": "islast(?:page)?",
    "totalcount": "total(?:count|items?|results?|records?|entries|elements)",
    "totalpages": "totalpages?",
}
# Elsewhere, these may be amounts of money, or anything.
_MEANINGS_IN_INFOS = {
    "next": "next.*|.*nextlink|.*continuation.*|startingafter|after",
    "hasmore": "has(?:next|more).*|more.*|remaining.*|(?:is)?(?:partial|incomplete|limited)",
    "islast": "last|nomore.*|(?:is)?(?:complete|done|finished)",
    "totalcount": f"total|total(?:numberof)?(?:{_LISTED}|hits|objects|size)(?:count)?"
    f"|(?:count|{_LISTED})total",
    "totalpages": "pages|lastpage|numpages|(?:total)?numberofpages|(?:total)?pagecount|pages?total",
    "count": f"(?:{_LISTED})count|numberof(?:{_LISTED})",
    "perpage": f"limit|pagesize|(?:{_LISTED})perpage",
}
_NESTED = ("cursors", "links")
_ABOUT_PAGES = ("hasmore", "islast", "next", "totalcount", "totalpages")
_DEEPEST_INFO = 3
# In a field of any other name, these may be anything.
_LOOSE = ("next", "cursor")
_LONGEST_NAME = 64
_NO = ("", "0", "false", "no", "none", "null")
_Place = list[tuple[str, Any]]


class PageError(Exception):
    """Fetching a further page failed."""


@dataclass(frozen=True)
class Collected:
    """
    A ``result`` with the entries of every fetched page, and whether it is complete.

    It ``repeats`` an entry if an equal one is on an earlier page.
    """

    result: Any
    complete: bool
    repeats: bool = False


@dataclass(frozen=True)
class _Stated:
    """
    What an answer says about its pages.

    ``more`` is whether further pages follow, and ``uncounted`` whether it says so without a count.
    Without any of that, a page that ``is_full`` may be followed by another one. ``entries`` and
    ``pages`` are the minimum in total, and ``number`` is this page's: infinite if the answer's
    number cannot be parsed, and None if it has none. Of a page that ``is_torn`` entries are
    missing, or the pages before it.
    """

    more: bool
    uncounted: bool
    is_full: bool
    is_torn: bool
    entries: float | None
    pages: float | None
    number: float | None

    @property
    def is_counted(self) -> bool:
        """Whether it says how many entries or pages there are."""
        return self.entries is not None or self.pages is not None

    def may_go_on(self, entries: int, pages: int) -> bool:
        """Return whether there may be another page after that many *entries* and *pages*."""
        return self.more or self.is_full or not self._counts(entries, pages)

    def shows(self, entries: int, pages: int) -> bool:
        """Return whether that many *entries* on that many *pages* are complete."""
        is_more_to_come = self.uncounted or (self.more and pages == 1)
        is_proven = not (is_more_to_come or self.is_full or self.is_torn)
        return is_proven and self._counts(entries, pages)

    def after(self, earlier: "_Stated") -> "_Stated":
        """Return what this page says, but no less than the *earlier* ones said."""
        return replace(
            self,
            entries=_larger(self.entries, earlier.entries),
            pages=_larger(self.pages, earlier.pages),
            is_torn=self.is_torn or earlier.is_torn,
        )

    def _counts(self, entries: int, pages: int) -> bool:
        return entries >= (self.entries or 0) and pages >= (self.pages or 0)


def collect(
    first: dict[str, Any],
    entries: str,
    next_page: Callable[[int], dict[str, Any]],
    per_page: int | None = None,
) -> Collected:
    """
    Return the answer *first*, an envelope, with the *entries* of the pages that follow it.

    *entries* is the field of the result that has them, or `RESULT`. *next_page* returns the
    envelope of the page of that number, or raises `PageError`. *per_page* is the requested number
    of entries, if there was one. If the other fields change from one page to the next, or an entry
    is on two pages, everything is requested once more, from the start.
    """
    stated = _stated(first, entries, per_page)
    collected = _collect(first, stated, entries, next_page, per_page)
    if collected is not None and not collected.repeats:
        return collected
    try:
        first = next_page(_first_number(stated))
    except PageError:
        return Collected(collected.result if collected else first["result"], complete=False)
    before, stated = stated, _stated(first, entries, per_page)
    if not stated.is_counted:
        # Only another count takes the place of the one that there was.
        stated = stated.after(before)
    again = _collect(first, stated, entries, next_page, per_page)
    if again is None:
        return Collected(first["result"], complete=False)
    is_steady = not again.repeats or again == collected
    return Collected(again.result, again.complete and is_steady)


def is_complete(envelope: Mapping[str, Any], entries: str) -> bool:
    """Return whether *envelope* alone has all *entries*, as far as it says."""
    listed = _entries(envelope.get("result"), entries)
    return _in_sequence(_stated(envelope, entries)).shows(len(listed or ()), 1)


def _collect(
    first: dict[str, Any],
    stated: _Stated,
    entries: str,
    next_page: Callable[[int], dict[str, Any]],
    per_page: int | None,
) -> Collected | None:
    """
    Return what was collected from the *first* page on, which *stated* something, or None if the
    other fields changed.
    """
    result, stated = first["result"], _in_sequence(stated)
    listed = _entries(result, entries)
    if listed is None:
        # Its model refuses it, and says what is wrong with it.
        return Collected(result, complete=not stated.more)
    pages, number, count = [listed], _first_number(stated), len(listed)
    while stated.may_go_on(count, len(pages)) and len(pages) < MOST_PAGES:
        number += 1
        try:
            page = next_page(number)
        except PageError:
            break
        listed = _entries(page["result"], entries)
        if listed == []:
            # The page before was only full, if this one does not say otherwise.
            more = stated.more and (stated.uncounted or _stated(page, entries).more)
            stated = replace(stated, is_full=False, more=more)
        if not listed or listed in pages:
            break
        if _beside(page["result"], entries) != _beside(result, entries):
            return None
        pages.append(listed)
        count += len(listed)
        stated = _in_sequence(_stated(page, entries, per_page).after(stated), number)
    if len(pages) == 1:
        return Collected(result, stated.shows(count, 1))
    together = [entry for listed in pages for entry in listed]
    # An extra entry has moved from one page to the next, and hides another one.
    complete = stated.shows(count, len(pages)) and stated.entries in (None, count)
    # Most answers are one page, however long, and need no comparison.
    repeated = list(_on_two(pages)) if len(pages) > 1 else []
    complete = complete and not any(map(_has_id, repeated))
    whole = {**result, entries: together} if entries else together
    return Collected(whole, complete, bool(repeated))


def _on_two(pages: list[list[Any]]) -> Iterator[Any]:
    """Yield the entries that equal one of an earlier page."""
    earlier: set[str] = set()
    for page in pages:
        texts = [json.dumps(entry, sort_keys=True, default=str) for entry in page]
        yield from (entry for entry, text in zip(page, texts, strict=True) if text in earlier)
        earlier.update(texts)


def _has_id(entry: Any) -> bool:
    return isinstance(entry, Mapping) and entry.get("id") not in (None, "")


def _stated(envelope: Mapping[str, Any], entries: str, per_page: int | None = None) -> _Stated:
    result = envelope.get("result")
    listed = _entries(result, entries) or []
    holders = [holder for holder in (result, envelope) if isinstance(holder, Mapping)]
    beside = [_place(holder) for holder in holders]
    fields = [found for holder in holders for found in _fields(holder, entries)]
    given = [value for is_info, value in fields if is_info]
    infos = [_place(info, is_info=True) for info in given if isinstance(info, Mapping)]
    # What cannot be read may say that there is more.
    unreadable = any(_is_yes(info) for info in given if not isinstance(info, Mapping))
    others = [_certain(value) for is_info, value in fields if not is_info]
    places = [*infos, *beside, *others]
    saying_more = [place for place in places if _says_more(place)]
    more = bool(saying_more) or unreadable
    of_entries = [f"total{_plain(entries)}"] if entries else []
    total_count = _largest(places, "totalcount", *of_entries)
    total_pages = _largest(places, "totalpages")
    is_stated = any(_said(place, "hasmore", "islast") for place in places)
    is_counted = total_count is not None or total_pages is not None
    lacks_earlier = bool(_largest(infos, "offset")) and not is_counted
    sizes = {_largest(infos, "perpage"), per_page} - {None}
    return _Stated(
        more=more,
        uncounted=(more and not saying_more) or any(map(_is_uncounted, saying_more)),
        is_full=0 < len(listed) in sizes and not (more or is_stated or is_counted),
        is_torn=lacks_earlier or (_largest(infos, "count") or 0) > len(listed),
        entries=total_count,
        pages=total_pages,
        number=_largest(infos, "page"),
    )


def _in_sequence(stated: _Stated, number: int | None = None) -> _Stated:
    """
    Return what the page of that *number* says, or the first page.

    Without a count, it lacks the pages between it and the one before if it has another number.
    """
    expected = (None, 0, 1) if number is None else (None, number)
    lacks_pages = stated.number not in expected and not stated.is_counted
    return replace(stated, is_torn=stated.is_torn or lacks_pages)


def _first_number(stated: _Stated) -> int:
    return 1 if stated.number is None or stated.number > _LARGEST_NUMBER else int(stated.number)


def _fields(holder: Mapping[str, Any], entries: str, depth: int = 1) -> Iterator[tuple[bool, Any]]:
    """
    Yield the fields of *holder* that may be about its pages, and those in them, each with whether
    it certainly is.
    """
    for name, value in holder.items():
        if depth == 1 and name in ("result", entries):
            continue
        plain, is_mapping = _plain(name), isinstance(value, Mapping)
        is_info = _INFOS.fullmatch(plain) is not None
        if is_info or is_mapping:
            yield is_info or not _OF_INFOS.isdisjoint(map(_plain, value)), value
        if is_mapping and depth < _DEEPEST_INFO:
            yield from _fields(value, entries, depth + 1)


def _says_more(place: _Place) -> bool:
    values = _said(place, "hasmore", "next")
    for links in _said(place, *_NESTED):
        if isinstance(links, Mapping):
            values += [*_said(_place(links), "after", "next"), _is_to_next(links)]
        elif isinstance(links, list):
            values += [link for link in links if _is_to_next(link)]
    is_last = [value for value in _said(place, "islast") if value is not None]
    return any(map(_is_yes, values)) or not all(map(_is_yes, is_last))


def _is_to_next(link: Any) -> bool:
    return isinstance(link, Mapping) and "next" in str(link.get("rel")).lower()


def _is_uncounted(place: _Place) -> bool:
    return _largest([place], "totalcount") is None and _largest([place], "totalpages") is None


def _larger(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _place(holder: Mapping[str, Any], *, is_info: bool = False) -> _Place:
    """Return what *holder* says, each by what its name means, however that is spelt."""
    return [(_meaning(_plain(name), is_info), value) for name, value in holder.items()]


def _certain(field: Mapping[str, Any]) -> _Place:
    """Return what a *field* of any name says that can be about nothing but pages."""
    certain = {name: value for name, value in field.items() if _plain(name) not in _LOOSE}
    return [(meaning, value) for meaning, value in _place(certain) if meaning in _ABOUT_PAGES]


# A hostile answer has any number of names.
@lru_cache(maxsize=1024)
def _meaning(plain: str, is_info: bool) -> str:
    tables = (_MEANINGS, _MEANINGS_IN_INFOS) if is_info else (_MEANINGS,)
    found = (
        meaning
        for table in tables
        for meaning, pattern in table.items()
        if re.fullmatch(pattern, plain)
    )
    return next(found, plain)


def _plain(name: str) -> str:
    # No longer one says anything, and `_meaning` would keep it.
    return _BETWEEN_LETTERS.sub("", name[:_LONGEST_NAME]).lower()


def _said(place: _Place, *names: str) -> list[Any]:
    return [value for name, value in place if name in names]


def _is_yes(value: Any) -> bool:
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)


def _largest(places: list[_Place], *names: str) -> float | None:
    values = [value for place in places for value in _said(place, *names)]
    return _larger(*(None if value is None else _count(value) for value in values))


def _count(value: Any) -> float:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()[:9])
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not value >= 0:
        return inf
    return float(min(value, 10**9))


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
    return {
        name: value
        for name, value in result.items()
        if name != entries and not _is_about_pages(name)
    }


def _is_about_pages(name: str) -> bool:
    """Return whether a field of that *name* beside the entries is about their pages."""
    plain = _plain(name)
    is_info = _INFOS.fullmatch(plain) is not None
    return is_info or _meaning(plain, is_info=False) in (*_NESTED, *_ABOUT_PAGES)
