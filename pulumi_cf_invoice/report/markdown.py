"""The report for a pull request, in the Markdown of GitHub and GitLab."""

import hashlib
import re
from collections.abc import Iterable, Sequence

from pulumi_cf_invoice.billing.cleaning import (
    LONGEST as LONGEST_TEXT,
    isolated,
    one_line,
    parts,
)
from pulumi_cf_invoice.report import tables
from pulumi_cf_invoice.report.caveats import first
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.judging import TITLES, by_whom_passed_over
from pulumi_cf_invoice.report.overview import Overview, Row, overview
from pulumi_cf_invoice.report.report import MANY, Report
from pulumi_cf_invoice.report.tables import JudgedRow, Table

MARKER = "<!-- pulumi-cf-invoice report -->"
"""The first line, which readers do not see: `comments` finds the comment to update by it."""
END = re.compile(r"<!-- end of report ([0-9a-f]{16}) -->")
"""The last line, which readers do not see either: it has the `checksum` of those before it."""
LARGEST = 65_400
"""
The most characters in a report: a tag fits into a comment of GitHub's 65,536 characters as well,
and in any script it is less than a job summary's 1 MiB.
"""
SIGNS = {"over": "❌", "unknown": "❔", "advisory": "⚠️", "within": "✅", "none": ""}
"""The sign of each verdict, which always comes with its word."""
_ROWS = 100
_FEW = 5
_LONGEST = 1000
# What is Markdown, or what forges make a mention, a reference or an emoji of, but no time; a dash
# begins no list here.
_ADDRESS = re.compile(r"(https?://[^\s,;“”]+[^\s,;.“”)])")
_SPECIAL = re.compile(
    r"""(@(?=[\w.])|[#!%&*\[^~](?=[\w"])|:(?!\d\d:)(?=[\w+-]+:))|[\\`*_{}\[\]<>|~&^=!]"""
)
_LINKS = (
    (re.compile(r"://"), ":&#8288;//"),
    (re.compile(r"\bwww\.", re.IGNORECASE), "www&#8288;."),
    (re.compile(r"\b(gh|gl)-(?=\d)", re.IGNORECASE), r"\1&#8288;-"),
    # GitLab takes group/project> for a project.
    (re.compile(r"(?<=[\w.-])&#62;"), "&#8288;&#62;"),
    # At the beginning of a line, GitLab takes /close for what to do.
    (re.compile("^/"), "&#47;"),
)


def render(report: Report) -> str:
    """Return the report as Markdown of at most 65,400 characters, which says what is left out."""
    rows = MANY if report.is_of_many else _ROWS
    text = _render(report, rows)
    while len(text) > LARGEST and rows:
        rows //= 2
        text = _render(report, rows)
    return text


def render_failure(reason: str) -> str:
    """Return the replacement for a report that cannot be made, with a *reason* of one line."""
    headline = f"### {SIGNS['unknown']} {TITLES['unknown']}: there is no report."
    # Others may have written the reason, and what begins a line can be Markdown or a command.
    return _joined([MARKER, headline, f"**Why:** {words(reason)}"])


def checksum(text: str) -> str:
    """Return the checksum of a report without its last line, whatever surrounds its lines."""
    lines = [line.strip() for line in text.strip().split("\n")]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest()[:16]


def escape(text: str, longest: int = LONGEST_TEXT) -> str:
    """
    Return a name that others wrote as Markdown that shows it and does nothing else.

    Inside ``code`` nobody is mentioned and nothing is linked, and as a numeric reference no
    character can end a table cell, a code span or the tag itself.
    """
    safe = "".join(
        character if character.isalnum() or character in " -" else f"&#{ord(character)};"
        for character in isolated(one_line(text, longest))
    )
    return f"<code>{safe}</code>"


def words(text: str) -> str:
    """
    Return a sentence as Markdown that shows it and does nothing else.

    Names that others wrote, which are marked in it, are code; what is quoted stays in words.
    """
    shown, before = [], ""
    for part, theirs in parts(text):
        is_name = theirs and not before.endswith("“")
        if is_name:
            shown.append(escape(part))
        else:
            shown += map(_escaped_or_address, _ADDRESS.split(isolated(part) if theirs else part))
        before = part
    return "".join(shown)


def _escaped_or_address(text: str) -> str:
    return escape(text, _LONGEST) if _ADDRESS.fullmatch(text) else _escaped(text)


def _escaped(text: str) -> str:
    begin = " " if text[:1] == " " else ""
    end = " " if text[-1:] == " " else ""
    line = one_line(text, _LONGEST)
    line = _SPECIAL.sub(_reference, line)
    for pattern, instead in _LINKS:
        line = pattern.sub(instead, line)
    return f"{begin}{line}{end}" if line else begin


def _reference(found: re.Match[str]) -> str:
    # Forges look for mentions and references in what is shown: a word joiner leaves none.
    return f"&#{ord(found[0])};{'&#8288;' if found[1] else ''}"


def _render(report: Report, rows: int) -> str:
    several = overview(report) if len(report.invoices) > 1 else None
    only = None if several else next(iter(report.invoices), None)
    most = rows or 1
    sign = SIGNS[report.tone]
    blocks = [
        MARKER,
        f"### {sign}{' ' if sign else ''}{words(report.marked_headline)}",
        *_lines([*(only.summary if only else []), *report.caveats, *first(report.notes, most)]),
        *_remedies(first(report.remedies, most)),
        *(_overview(several, rows) if several else []),
        *_rules(report, rows),
        *(_moved(only) if only else []),
        *(_folded(several, rows) if several else []),
        *(_details(only, rows) if only else []),
        _footer(report),
    ]
    return _joined(blocks)


def _joined(blocks: Sequence[str]) -> str:
    text = "\n\n".join(blocks)
    end = f"<!-- end of report {checksum(text)} -->"
    return f"{text}\n\n{end}\n"


def _lines(sentences: Iterable[str]) -> list[str]:
    every = [words(sentence) for sentence in sentences]
    return ["<br>\n".join(every)] if every else []


def _remedies(remedies: Sequence[str]) -> list[str]:
    if not remedies:
        return []
    if len(remedies) == 1:
        return [f"**What to do:** {words(remedies[0])}"]
    return ["\n".join(["**What to do**", "", *(f"- {words(remedy)}" for remedy in remedies)])]


def _overview(accounts: Overview, rows: int) -> list[str]:
    most = 4 * max(rows, 1)
    sums = [list(map(words, row)) for row in accounts.totals]
    shown = [_rows(accounts, accounts.rows(most), sums)]
    if accounts.is_folded:
        passing = accounts.passing
        blocks = [_rows(accounts, passing[:most]), *_rest(len(passing), most)]
        shown.append(_fold(accounts.passed.label, blocks))
    return shown


def _rows(accounts: Overview, rows: Sequence[Row], sums: Iterable[Sequence[str]] = ()) -> str:
    cells = [
        [f"{SIGNS[row.tone]} {words(row.cells[0])}".strip(), *map(words, row.cells[1:])]
        for row in rows
    ]
    titles = [column.title for column in accounts.columns]
    return _table(titles, [*cells, *sums], [column.is_text for column in accounts.columns])


def _rules(report: Report, rows: int) -> list[str]:
    most = rows or 1
    judged = tables.judged(report, min(most, _FEW))
    if not judged:
        return []
    cells = [
        [
            f"{SIGNS[row.tone]} {row.word}".strip(),
            words(row.name),
            "<br>".join(map(words, row.sentences)),
        ]
        for row in judged[:most]
    ]
    table, left_out = _table(["", "Rule", "Found"], cells, texts=3), judged[most:]
    return [table, *_rest(len(judged), most), *_lines(_told_anyway(left_out, most))]


def _told_anyway(rows: Sequence[JudgedRow], most: int) -> list[str]:
    """Return what a reader has to know of rules whose *rows* are left out."""
    passed_over = {row.name: sentence for row in rows for sentence in row.passed_over}
    notes = [f"{row.name}: {note}" for row in rows for note in row.on_itself]
    return [*by_whom_passed_over(passed_over, most), *first(notes, most)]


def _moved(report: InvoiceReport) -> list[str]:
    comparison = report.comparison
    if comparison is None or comparison.problem:
        return []
    table = tables.moved(report, _FEW)
    return [_drawn(table)] if table else ["Nothing moved since the baseline."]


def _folded(accounts: Overview, rows: int) -> list[str]:
    # Where there is not room for all, the table above has each with its verdict.
    rows_of = accounts.attention if accounts.is_of_many else accounts.invoices
    shown = [(row.invoice, row.label) for row in rows_of if row.invoice and row.tone != "within"]
    return [
        _fold(
            f"{words(invoice.title or label)}, {invoice.invoice.amount_due_text}",
            [
                words(invoice.marked_headline),
                *_lines([*invoice.summary, *invoice.notes]),
                *_moved(invoice),
                *_tables(invoice, rows),
            ],
        )
        for invoice, label in shown[: rows or 1]
    ] + _rest(len(shown), rows or 1)


def _details(report: InvoiceReport, rows: int) -> list[str]:
    count = len(report.invoice.invoice_lines)
    summary = f"Details: {count:,} line{'s' * (count != 1)}"
    comparison = report.comparison
    every = []
    if comparison is not None and len(comparison.changes) > _FEW and rows:
        table = tables.moved(report, rows)
        every = [_drawn(table)] if table else []
    return [_fold(summary, [*_lines(report.explanations), *every, *_tables(report, rows)])]


def _tables(report: InvoiceReport, rows: int) -> list[str]:
    lines = tables.lines(report.invoice, rows)
    every = (
        lines,
        tables.figures(report),
        tables.forecast(report),
        tables.months(report),
        tables.other_invoices(report, rows),
    )
    nothing = [] if lines else ["The invoice has no lines: nothing has been used yet."]
    return [*nothing, *(block for table in every if table for block in _with_note(table))]


def _with_note(table: Table) -> list[str]:
    return [_drawn(table), *([words(table.note)] if table.note else [])]


def _fold(summary: str, blocks: Sequence[str]) -> str:
    return "\n\n".join([f"<details><summary>{summary}</summary>", *blocks, "</details>"])


def _footer(report: Report) -> str:
    titles = [invoice.title for invoice in report.invoices]
    whose = f"{words(titles[0])}, as" if len(titles) == 1 and titles[0] else "As"
    return f"<sub>{whose} of {report.at:%Y-%m-%d %H:%M} UTC.</sub>"


def _rest(count: int, shown: int) -> list[str]:
    left = count - shown
    return [f"… and {left:,} more, left out here."] if left > 0 else []


def _drawn(table: Table) -> str:
    titles = [column.title for column in table.columns]
    titles[0] = table.title if titles[0] in ("", "Line", "Month", "Made") else titles[0]
    sums = len(table.rows) - table.sums
    rows = [
        [f"**{words(cell)}**" if number >= sums and cell else words(cell) for cell in row]
        for number, row in enumerate(table.rows)
    ]
    rows += [[table.left_out, *[""] * (len(titles) - 1)]] if table.left_out else []
    return _table(titles, rows, [column.is_text for column in table.columns])


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], texts: int | Sequence[bool] = 1
) -> str:
    is_text = [number < texts for number in range(len(head))] if isinstance(texts, int) else texts
    rules = [":--" if text else "--:" for text in is_text]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rules, *rows))
