"""The report as one self-contained HTML file, light and dark, for phones and for print."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.report import charts
from pulumi_cf_invoice.report.report import TITLES, Report, sentences

LINES = 200


def render(report: Report) -> str:
    """
    Return the report as an HTML document, which says so if it shows only the 200 largest lines.
    """
    lines = report.invoice.largest_lines
    comparison = report.comparison
    changes = [] if comparison is None else list(comparison.changes)
    return _template().render(
        report=report,
        invoice=report.invoice,
        verdict=TITLES[report.verdict],
        spend=charts.spend(report),
        width=charts.WIDTH,
        height=charts.HEIGHT,
        bars=charts.bars(report),
        lines=lines[:LINES],
        lines_left_out=max(0, len(lines) - LINES),
        changes=changes[:LINES],
        changes_left_out=max(0, len(changes) - LINES),
        comparable=comparison is not None and comparison.problem is None,
        rules=[(rule, sentences(rule, LINES)) for rule in report.rules],
    )


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
