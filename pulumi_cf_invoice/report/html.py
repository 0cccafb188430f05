"""The report as one self-contained HTML file, light and dark, for phones and for print."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from pulumi_cf_invoice.billing.cleaning import one_line, parts
from pulumi_cf_invoice.report import charts, spend_chart, tables
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.markdown import SIGNS
from pulumi_cf_invoice.report.report import Report

LINES = 200
_LONGEST = 1000


def render(report: Report) -> str:
    """
    Return the report as an HTML document, which says so if it shows only the 200 largest lines of
    an invoice.
    """
    return _template().render(
        report=report,
        signs=SIGNS,
        chart=charts,
        spend_chart=spend_chart,
        title=report.headline,
        overview=tables.overview(report),
        rules=tables.judged(report, LINES),
        invoices=[_invoice(*pair) for pair in tables.ordered_invoices(report)],
    )


def words(text: str) -> Markup:
    """Return a sentence as HTML, in which names that others wrote are isolated for direction."""
    html = Markup()
    for part, theirs in parts(text):
        begin, end = (" " * part[edge].isspace() for edge in (0, -1))
        line = one_line(part, _LONGEST)
        marked = Markup("<bdi>{}</bdi>").format(line) if theirs else escape(f"{begin}{line}{end}")
        html += marked
    return html


def _invoice(report: InvoiceReport, label: str) -> dict[str, Any]:
    return {
        "report": report,
        "label": label,
        "spend": spend_chart.spend(report),
        "limit_bar": spend_chart.limit_bar(report),
        "usage": charts.usage(report),
        "months": charts.months(report),
        "days": tables.forecast_days(report.forecast),
        "moved": tables.moved(report, LINES),
        "comparable": report.comparison is not None and report.comparison.problem is None,
        "lines": tables.lines(report.invoice, LINES),
        "figures": tables.figures(report),
        "forecast": tables.forecast(report),
        "month_table": tables.months(report),
        "others": tables.other_invoices(report, LINES),
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
    environment.filters["words"] = words
    return environment.get_template("report.html.j2")
