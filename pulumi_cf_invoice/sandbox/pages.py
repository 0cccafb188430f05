"""Splits the sandbox's answers into pages, correctly or not."""

from typing import Any, Literal

Result = dict[str, Any]
Pages = Literal["all", "ignored", "short", "moving", "endless", "failing"]
"""
How entries come in pages: all of them, ``page=`` is ignored, fewer than there are said to be, the
pages move while they are read, each says that more follow, or every page after the first fails.
"""
PAGE_SIZE = 2
"""The number of entries per page in scenarios about pages."""


def page_of(
    entries: list[Any], number: int, size: int, pages: Pages | None
) -> tuple[list[Any], Result]:
    """Return the page of that number from *entries*, and the API's paging information."""
    start = 0 if pages == "ignored" else (number - 1) * size
    end = start + size
    info = {
        "has_more": end < len(entries) or pages == "endless",
        "page": number,
        "per_page": size,
        "total_count": len(entries) + (3 if pages == "short" else 0),
    }
    return entries[start:end], info
