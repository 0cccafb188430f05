"""The report as one self-contained HTML file, light and dark, for phones and for print."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.report import charts
from pulumi_cf_invoice.report.report import InvoiceReport, Report, sentences

LINES = 200


def render(report: Report) -> str:
    """
    Return the report as an HTML document, which says so if it shows only the 200 largest lines of
    an invoice.
    """
    labels = zip(report.invoices, report.labels, strict=True)
    return _template().render(
        report=report,
        width=charts.WIDTH,
        height=charts.HEIGHT,
        rules=[(rule, sentences(report, rule, LINES)) for rule in report.rules],
        invoices=[_invoice(one, label) for one, label in labels],
    )


def _invoice(one: InvoiceReport, label: str) -> dict[str, Any]:
    lines = one.invoice.largest_lines
    comparison = one.comparison
    changes = [] if comparison is None else list(comparison.changes)
    return {
        "report": one,
        "label": label,
        "spend": charts.spend(one),
        "bars": charts.bars(one),
        "usage": charts.usage(one.account),
        "earlier": charts.earlier(one.account),
        "lines": lines[:LINES],
        "lines_left_out": max(0, len(lines) - LINES),
        "changes": changes[:LINES],
        "changes_left_out": max(0, len(changes) - LINES),
        "comparable": comparison is not None and comparison.problem is None,
    }


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["one_line"] = one_line
    return environment.get_template("report.html.j2")
