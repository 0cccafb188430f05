"""The report for a terminal: tables by Rich, in colour if the terminal supports it."""

import sys
from typing import IO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pulumi_cf_invoice.report import tables, terminal
from pulumi_cf_invoice.report.caveats import first
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.overview import overview
from pulumi_cf_invoice.report.report import Report
from pulumi_cf_invoice.report.terminal import NARROWEST, drawn, inert

LINES = 50
_FEW, _FEWEST = 5, 3
_ROWS = 12
_MOST = 100
_COLOURS = {
    "over": "bold red",
    "unknown": "bold magenta",
    "advisory": "bold yellow",
    "within": "bold green",
    "none": "bold",
}
_OF_LIMITS = (
    (r"\bperhaps over the limit of \S+", "yellow"),
    (r"(?<!perhaps )\bover the limit of \S+", "red"),
    (r"\bwithin the limit of \S+", "green"),
    (r"\bbelow the minimum of \S+", "red"),
)


def render(report: Report, lines: int = LINES) -> str:
    """
    Return the report as plain text, 100 columns wide, with at most *lines* lines in each table.
    """
    return terminal.render(_parts(report, lines))


def write(report: Report, file: IO[str]) -> None:
    """Write the report to *file*; on a terminal in its width and colours."""
    terminal.write(_parts(report, LINES), file)


def write_in_full(report: Report, file: IO[str]) -> None:
    """Write every table of every invoice to *file*, with all lines."""
    parts = _head(report)
    if len(report.invoices) > 1:
        parts += [Text(), drawn(overview(report).table(_ROWS))]
    terminal.write([*parts, *_invoices_in_full(report)], file)


def _parts(report: Report, lines: int) -> list[RenderableType]:
    parts = _head(report)
    if len(report.invoices) > 1:
        return [*parts, *_several(report, lines)]
    rules = _rules(report, lines)
    for only in report.invoices:
        return [*parts, *_invoice(only, lines, rules)]
    return [*parts, Text(), rules] if rules else parts


def _head(report: Report) -> list[RenderableType]:
    parts: list[RenderableType] = [inert(report.marked_headline, _COLOURS[report.tone])]
    if len(report.invoices) == 1:
        parts += map(_line, report.invoices[0].summary)
    most = _FEW if report.is_of_many else _MOST
    parts += [_line(f"What to do: {remedy}") for remedy in first(report.remedies, most)]
    return [*parts, *map(inert, report.caveats), *map(inert, first(report.notes, most))]


def _several(report: Report, lines: int) -> list[RenderableType]:
    """Return the accounts in rows, the rules, and what there is to be known of the worst."""
    is_of_many = report.is_of_many
    accounts = overview(report)
    parts: list[RenderableType] = [Text(), drawn(accounts.table(_ROWS if is_of_many else _MOST))]
    rules = _rules(report, _FEWEST if is_of_many else lines)
    parts += [Text(), rules] if rules else []
    if is_of_many:
        return parts
    if not report.rules:
        return [*parts, *_invoices_in_full(report, lines)]
    for row in accounts.attention:
        parts += [Text(), *_brief(row.invoice, row.label)] if row.invoice else []
    return parts


def _invoices_in_full(report: Report, lines: int = sys.maxsize) -> list[RenderableType]:
    if len(report.invoices) == 1:
        return _invoice(report.invoices[0], lines, None)
    parts: list[RenderableType] = []
    for invoice, label in zip(report.invoices, report.labels, strict=True):
        parts += [Text(), inert(invoice.title or label, "bold")]
        parts += [*map(_line, invoice.summary), *_invoice(invoice, lines, None, titled=True)]
    return parts


def _invoice(
    report: InvoiceReport, lines: int, rules: Table | None, titled: bool = False
) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if report.title and not titled:
        parts.append(inert(report.title))
    # The caveats of a report's only invoice are those of the report.
    parts += map(inert, report.notes if titled else report.explanations)
    if rules is not None:
        parts += [Text(), rules]
    for table in (
        tables.moved(report, lines),
        tables.lines(report.invoice, lines),
        tables.figures(report),
        tables.forecast(report),
        tables.months(report),
        tables.other_invoices(report, lines),
    ):
        if table is not None:
            parts += [Text(), drawn(table)]
            parts += [inert(table.note, "dim")] if table.note else []
    return parts


def _brief(report: InvoiceReport, label: str) -> list[RenderableType]:
    """Return what is to be known of one of several invoices that does not pass."""
    table = tables.moved(report, _FEW) or tables.lines(report.invoice, _FEW)
    drawing: list[RenderableType] = [Text(), drawn(table)] if table else []
    return [
        inert(report.title or label, "bold"),
        inert(report.marked_headline, _COLOURS[report.tone]),
        *map(_line, report.summary),
        *map(inert, report.notes),
        *drawing,
    ]


def _line(sentence: str) -> Text:
    """Return a line of ours, in which a limit that is kept or not has a colour."""
    line = inert(sentence)
    for pattern, colour in _OF_LIMITS:
        line.highlight_regex(pattern, colour)
    return line


def _rules(report: Report, lines: int) -> Table | None:
    rows = tables.judged(report, lines)
    if not rows:
        return None
    table = Table(title="Rules", title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", min_width=NARROWEST)
    table.add_column(overflow="fold", min_width=2 * NARROWEST)
    for row in rows:
        verdict, name = Text(row.word, _COLOURS[row.tone]), inert(row.name)
        for sentence in row.sentences or [""]:
            table.add_row(verdict, name, _line(sentence))
            verdict, name = Text(), Text()
    return table
