"""Turns a Markdown report into the text of a comment."""

import re

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.comments.errors import CommentError
from pulumi_cf_invoice.report.markdown import END, MARKER


def tagged(report: str, tag: str | None) -> str:
    """
    Return a Markdown *report* as the comment of *tag*.

    Raises `CommentError` if *tag* is invalid, or the report is empty or truncated.
    """
    first_line = marker(tag)
    text = report.removeprefix("\ufeff").strip()
    if not _is_whole(text):
        raise CommentError(
            f"cannot comment: the report is not whole, because its last line, {END!r}, is missing: "
            "write it again with `cf-invoice report --format markdown`"
        )
    text = text.removeprefix(MARKER).strip()
    if not text.removesuffix(END).strip():
        raise CommentError("cannot comment: the report is empty")
    return f"{first_line}\n\n{text}\n"


def _is_whole(text: str) -> bool:
    """Return whether every report that begins in *text* ends in it; text of others may be there."""
    lines = [line.strip() for line in text.splitlines()]
    is_begun = 0 < len(text) < len(MARKER) and MARKER.startswith(text)
    return not is_begun and lines.count(MARKER) <= lines.count(END)


def marker(tag: str | None) -> str:
    """Return the line that a comment of *tag* begins with. Raises `CommentError`."""
    if tag is None:
        return MARKER
    if not re.fullmatch("(?!.*--)[A-Za-z0-9][A-Za-z0-9._/-]{0,63}", tag):
        raise CommentError(
            f"cannot comment: the tag {one_line(tag)!r} must be 1 to 64 letters, digits and . _ / "
            "-, begin with a letter or digit, and have no --"
        )
    return MARKER.replace(" -->", f" {tag} -->")
