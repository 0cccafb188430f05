"""The report as one self-contained HTML file, light and dark, for phones and for print."""

import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import one_line, parts
from pulumi_cf_invoice.report import charts, spend_chart, tables
from pulumi_cf_invoice.report.caveats import first
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.overview import overview
from pulumi_cf_invoice.report.report import MANY, Report

LINES = 200
_FEW_LINES = 20
_IN_FULL = 25
_LONGEST = 1000
# Rules' names and dates, which browsers would break at their hyphens.
_WITH_HYPHENS = re.compile(r"(?<![\w&#./-])\w{1,20}(?:-\w{1,12}){1,3}(?![\w;/-]|\.\w)")


def render(report: Report) -> str:
    """
    Return the report as an HTML document, of at most 2 MB for a thousand accounts.

    It says so if it shows only the 200 largest lines of an invoice. Of many accounts, it shows the
    worst in full, and a row for each.
    """
    is_of_many = report.is_of_many
    several = overview(report) if len(report.invoices) > 1 else None
    rows = [row for row in several.attention if row.invoice] if several else []
    if several and not is_of_many:
        rows = several.invoices
    shown = rows[:_IN_FULL]
    lines, most = (_FEW_LINES, MANY) if is_of_many else (LINES, LINES)
    only = report.invoices[0] if len(report.invoices) == 1 else None
    # Each account's tables and charts are created when they are rendered, and then dropped.
    document = _template().generate(
        report=report,
        chart=charts,
        spend_chart=spend_chart,
        title=report.headline,
        notes=[*report.caveats, *first(report.notes, most)],
        what_to_do=first(report.remedies, most),
        rules=tables.judged(report, most),
        several=several,
        numbers=defaultdict(int, {row.label: number for number, row in enumerate(shown, 1)}),
        only=_invoice(only, "", lines) if only else None,
        sections=(_invoice(row.invoice, row.label, lines) for row in shown if row.invoice),
    )
    return "".join(document)


def words(text: str) -> Markup:
    """Return a sentence as HTML, in which names that others wrote are isolated for direction."""
    html = Markup()
    for part, theirs in parts(text):
        begin, end = (" " * part[edge].isspace() for edge in (0, -1))
        line = one_line(part, _LONGEST)
        marked = Markup("<bdi>{}</bdi>").format(line) if theirs else escape(f"{begin}{line}{end}")
        html += marked
    return html


def unbroken(text: str) -> Markup:
    """Return a sentence as `words` does, in which no name or date is broken at a hyphen."""
    return Markup(_WITH_HYPHENS.sub(r'<span class="whole">\g<0></span>', str(words(text))))


def _invoice(report: InvoiceReport, label: str, lines: int) -> dict[str, Any]:
    return {
        "report": report,
        "title": report.title or label,
        # The caveats of a report's only invoice are those of the report.
        "notes": report.notes if label else report.explanations,
        # The figures at the top of a report on one invoice say what the forecast is already.
        "summary": report.summary if label else report.summary_below_figures,
        "expected": _expected(report),
        "spend": spend_chart.spend(report),
        "limit_bar": spend_chart.limit_bar(report),
        "usage": charts.usage(report),
        "months": charts.months(report),
        "days": tables.forecast_days(report.forecast),
        "moved": tables.moved(report, lines),
        "comparable": report.comparison is not None and report.comparison.problem is None,
        "lines": tables.lines(report.invoice, lines),
        "figures": tables.figures(report),
        "forecast": tables.forecast(report),
        "others": tables.other_invoices(report, lines),
    }


def _expected(report: InvoiceReport) -> tuple[str, str] | None:
    """Return what the amount due will come to, and by what; None where nothing can be said."""
    expected = report.situation.expected
    if expected is None or expected.amount <= 0:
        return None
    currency, forecast = report.invoice.currency, report.forecast
    ends = [forecast.amount_due_p10, forecast.amount_due_p90] if forecast else []
    known = [money.to_rough_text(end, currency) for end in ends if end is not None]
    if not expected.is_forecast:
        how = "by a straight line"
    elif known:
        how = f"forecast, {' to '.join(dict.fromkeys(known))}"
    else:
        how = "forecast, no range yet"
    return money.to_rough_text(expected.amount, currency), how


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
    environment.filters |= {"words": words, "unbroken": unbroken}
    return environment.get_template("report.html.j2")
