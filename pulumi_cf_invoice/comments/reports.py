"""Turns a Markdown report into the text of a comment."""

import re
from collections.abc import Iterable

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.comments import FORGES
from pulumi_cf_invoice.comments.errors import CommentError
from pulumi_cf_invoice.comments.places import load
from pulumi_cf_invoice.report.markdown import END, MARKER, checksum

_AGAIN = "write it again with `cf-invoice report --format markdown`"
_TAGS = "(pre|script|style|textarea)"
# A line that begins a block of code, or of HTML in which there is no Markdown.
_OPENS = re.compile(
    rf"[\s>*+-]*(\d+[.)]\s+)?((?P<fence>`{{3,}}(?=[^`]*$)|~{{3,}})|<{_TAGS}(?![\w-]))",
    re.IGNORECASE,
)
_CLOSES_HTML = re.compile(f"</{_TAGS}>", re.IGNORECASE)


def tagged(report: str, tag: str | None) -> str:
    """
    Return a Markdown *report* as the comment of *tag*.

    Other text may stand around the report. Raises `CommentError` if *tag* is invalid, or if the
    report is missing, empty, not whole, quoted, indented or inside code, followed by another, or
    longer than any forge takes.
    """
    first_line = marker(tag)
    text = re.sub("\r\n?", "\n", report.removeprefix("\ufeff")).strip()
    # Reading a huge file line by line would take minutes.
    refuse_longer(text, max(load(name).longest for name in FORGES))
    problem = _problem(text)
    if problem:
        raise CommentError(f"cannot comment: {problem}")
    return f"{first_line}\n\n{text.removeprefix(MARKER).strip()}\n"


def refuse_longer(text: str, longest: int) -> None:
    """Raise `CommentError` if *text* has more characters than the *longest* comment may have."""
    if len(text) > longest:
        raise CommentError(
            f"cannot comment: the report has {len(text):,} characters, and a comment may have at "
            f"most {longest:,}: write it with `cf-invoice report --format markdown`"
        )


def _problem(text: str) -> str | None:
    """Return why the report in *text* is not to be posted; None if it is."""
    if not END.sub("", text.replace(MARKER, "")).strip():
        return "the report is empty"
    written = text.split("\n")
    if any(_is_not_shown(line) for line in written):
        return f"the report is indented or quoted, and would not be shown as one: {_AGAIN}"
    lines = [line.strip() for line in written]
    begins = [number for number, line in enumerate(lines) if line == MARKER]
    ends = [number for number, line in enumerate(lines) if END.fullmatch(line)]
    if len(begins) > 1:
        # Readers would take the first headline for that of all.
        return "the file has more than one report: post each by itself, with a --tag of its own"
    if len(begins) != len(ends):
        return _not_whole(f"its {'last' if len(ends) < len(begins) else 'first'} line is missing")
    if not begins:
        # Whatever it is, names in it can be mentions and links.
        return _not_whole("it has neither the first nor the last line of one in Markdown")
    [begin], [end] = begins, ends
    if checksum("\n".join(lines[begin:end])) not in lines[end]:
        return _not_whole("something in it is missing or has been changed")
    if any(re.match(" {0,3}\t| {4}", line) for line in written[begin:end]):
        return f"the report is indented, and would not be shown as one: {_AGAIN}"
    if _is_open(written[:begin]):
        return (
            "the report is inside the code or HTML that begins before it, and would not be shown "
            "as one: end that before the report"
        )
    return None


def _is_not_shown(line: str) -> bool:
    """Return whether a *line* begins or ends a report, but inside code, a quotation or a list."""
    before, ours, _ = line.partition(MARKER if MARKER in line else "<!-- end of report ")
    is_inside = re.fullmatch(r"[\s>*+-]+", before) is not None
    return bool(ours) and is_inside and re.fullmatch(" {1,3}", before) is None


def _is_open(lines: Iterable[str]) -> bool:
    """Return whether code, or HTML in which there is no Markdown, is still open after *lines*."""
    closes: re.Pattern[str] | None = None
    for line in lines:
        begin = 0
        if closes is None and (opens := _OPENS.match(line)):
            fence, begin = opens["fence"], opens.end()
            # The same sign, at least as often, and nothing else in its line.
            same = fence and rf"^[\s>]*{fence[0]}{{{len(fence)},}}\s*$"
            closes = re.compile(same) if same else _CLOSES_HTML
        if closes is not None and closes.search(line, begin):
            closes = None
    return closes is not None


def _not_whole(why: str) -> str:
    return f"the report is not whole, because {why}: {_AGAIN}"


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
