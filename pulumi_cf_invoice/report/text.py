"""The report for a terminal: tables by Rich, in colour if the terminal has any."""

from typing import IO

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pulumi_cf_invoice.report import terminal
from pulumi_cf_invoice.report.report import InvoiceReport, Report, sentences
from pulumi_cf_invoice.report.terminal import NARROWEST, inert, titled_table

LINES = 50
_COLOURS = {
    "over": "bold red",
    "unknown": "bold red",
    "advisory": "bold yellow",
    "within": "bold green",
    "none": "bold",
}


def render(report: Report, lines: int = LINES) -> str:
    """
    Return the report as plain text, 100 columns wide, with at most *lines* lines in each table.
    """
    return terminal.render(_parts(report, lines))


def write(report: Report, file: IO[str], lines: int = LINES) -> None:
    """Write the report to *file*; on a terminal in its width and colours."""
    terminal.write(_parts(report, lines), file)


def _parts(report: Report, lines: int) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text(report.headline, style=_COLOURS[report.verdict]),
        *(inert(note) for note in report.notes),
    ]
    if len(report.invoices) > 1:
        parts += [Text(), _overview(report)]
        rules = _rules(report, lines)
        parts += [Text(), rules] if rules else []
        for one, label in zip(report.invoices, report.labels, strict=True):
            parts += [Text(), inert(one.title or label, "bold")]
            parts += _invoice(one, lines, told_above=True)
        return parts
    rules = _rules(report, lines)
    if not report.invoices:
        return [*parts, Text(), rules] if rules else parts
    [only] = report.invoices
    return [*parts, *_invoice(only, lines, rules=rules)]


def _invoice(
    one: InvoiceReport, lines: int, rules: Table | None = None, told_above: bool = False
) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if one.forecast_text:
        parts.append(Text(one.forecast_text))
    if one.title and not told_above:
        parts.append(inert(one.title))
    parts += [*(inert(note) for note in one.notes), Text(), _figures(one)]
    for table in (
        rules,
        _forecast(one),
        _changes(one, lines),
        _lines(one, lines),
        _earlier(one, lines),
    ):
        if table is not None:
            parts += [Text(), table]
    return parts


def _overview(report: Report) -> Table:
    verdict = ["Verdict"] if report.rules else []
    table = titled_table("Invoices", "Invoice", "Amount due", "Projected", "Change", *verdict)
    for one, label in zip(report.invoices, report.labels, strict=True):
        table.add_row(
            inert(f"- {label}"),
            one.invoice.amount_due_text,
            one.short_projected_text,
            one.short_change_text,
            *[one.verdict_text if one.rules else "" for _ in verdict],
        )
    for text in report.total_texts:
        table.add_row("- Total", text)
    return table


def _figures(one: InvoiceReport) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(overflow="fold", min_width=NARROWEST)
    table.add_column(overflow="fold", min_width=NARROWEST)
    for name, value in [*one.key_figures, *one.further_figures]:
        table.add_row(Text(name), inert(value))
    return table


def _rules(report: Report, lines: int) -> Table | None:
    if not report.rules:
        return None
    table = titled_table("Rules")
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", min_width=2 * NARROWEST)
    for rule in report.rules:
        name = rule.name if rule.level == "mandatory" else f"{rule.name} ({rule.level})"
        verdict: str = rule.verdict
        for text in sentences(report, rule, lines):
            table.add_row(verdict, name, inert(text))
            verdict = name = ""
    return table


def _forecast(one: InvoiceReport) -> Table | None:
    if one.account is None or one.account.forecast is None:
        return None
    table = titled_table("Forecast")
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", min_width=2 * NARROWEST)
    for name, value in one.account.forecast_figures:
        table.add_row(name, value)
    runway = one.account.forecast.runway
    told = [*one.account.forecast.notes, *([runway.text] if runway else [])]
    for number, note in enumerate(told):
        table.add_row("" if number else "To know", inert(note))
    return table


def _changes(one: InvoiceReport, lines: int) -> Table | None:
    comparison = one.comparison
    if comparison is None or not comparison.changes:
        return None
    table = titled_table("What moved", "Line", "Before", "Now", "Change")
    for change in comparison.changes[:lines]:
        table.add_row(
            inert(f"- {change.name}"),
            change.before_text,
            change.after_text,
            change.text,
        )
    return _with_rest(table, len(comparison.changes), lines)


def _lines(one: InvoiceReport, lines: int) -> Table | None:
    if not one.invoice.invoice_lines:
        return None
    table = titled_table("Lines", "Line", "Amount", "Credits", "Net")
    for line in one.invoice.largest_lines[:lines]:
        table.add_row(inert(f"- {line.name}"), line.amount_text, line.credits_text, line.net_text)
    return _with_rest(table, len(one.invoice.invoice_lines), lines)


def _earlier(one: InvoiceReport, lines: int) -> Table | None:
    invoices = one.account.earlier_invoices if one.account else []
    if not invoices:
        return None
    table = titled_table("Earlier invoices", "Made", "Amount due", "Remaining", "Status")
    for invoice in invoices[:lines]:
        table.add_row(
            f"- {invoice.created_text}",
            invoice.amount_due_text,
            invoice.amount_remaining_text,
            inert(invoice.status or "none"),
        )
    return _with_rest(table, len(invoices), lines)


def _with_rest(table: Table, count: int, shown: int) -> Table:
    if count > shown:
        table.add_row(f"- … and {count - shown:,} more")
    return table
