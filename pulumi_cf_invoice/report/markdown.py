"""The report for a pull request, in the Markdown of GitHub and GitLab."""

from collections.abc import Iterable

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.report.report import Report

MARKER = "<!-- pulumi-cf-invoice report -->"
"""The first line, which readers do not see: by it a workflow finds the comment to update."""
LARGEST = 65_536
"""
The most characters in a comment on GitHub; in any script it is less than a job summary's 1 MiB.
"""
_ROWS = 100
_SIGNS = {"over": "🔴", "within": "🟢", "none": "⚪"}


def render(report: Report) -> str:
    """Return the report as Markdown of at most 65,536 characters, which says what is left out."""
    rows = _ROWS
    text = _render(report, rows)
    while len(text) > LARGEST:
        rows //= 2
        text = _render(report, rows)
    return text


def escape(text: str) -> str:
    """
    Return *text* that others wrote as Markdown that shows it and does nothing else.

    Inside ``code`` nobody is mentioned and nothing is linked, and as a numeric reference no
    character can end a table cell, a code span or the tag itself.
    """
    safe = "".join(
        character if character.isalnum() or character in " -" else f"&#{ord(character)};"
        for character in one_line(text)
    )
    return f"<code>{safe}</code>"


def _render(report: Report, rows: int) -> str:
    currency = report.invoice.currency.upper()
    parts = [
        MARKER,
        f"### {_SIGNS[report.verdict]} {_headline(report)}",
        _table(["Upcoming invoice", currency], map(list, report.key_figures)),
        *_over(report, rows),
        *_changes(report, rows),
        *_lines(report, rows),
        _footer(report),
    ]
    return "\n\n".join(parts) + "\n"


def _headline(report: Report) -> str:
    first = next((finding for finding in report.findings if finding.excess), None)
    if first is None or not first.of_line:
        return report.headline
    return report.headline.replace(first.subject, escape(first.subject), 1)


def _over(report: Report, rows: int) -> list[str]:
    lines = [finding for finding in report.findings if finding.excess and finding.of_line]
    if not lines:
        return []
    told = [f"- {escape(finding.subject)}: {finding.text}" for finding in lines[:rows]]
    return ["**Lines over their budget**", "\n".join([*told, *_rest(len(lines), rows, "- ")])]


def _changes(report: Report, rows: int) -> list[str]:
    comparison = report.comparison
    if comparison is None or comparison.problem:
        return []
    if not comparison.changes:
        return ["Nothing moved since the baseline."]
    table = _table(
        ["What moved", "Before", "Now", "Change"],
        [
            [
                escape(change.name),
                change.before_text,
                change.after_text,
                change.text,
            ]
            for change in comparison.changes[:rows]
        ],
    )
    return [table, *_rest(len(comparison.changes), rows)]


def _lines(report: Report, rows: int) -> list[str]:
    lines = report.invoice.largest_lines
    further = [[name, escape(value)] for name, value in report.further_figures]
    more = _table(["Further figures", ""], further)
    if not lines:
        return ["The invoice has no lines: nothing was used yet.", more]
    table = _table(
        ["Line", "Amount", "Credits", "Net"],
        [
            [escape(line.name), line.amount_text, line.credits_text, line.net_text]
            for line in lines[:rows]
        ],
    )
    summary = f"<summary>Details: {len(lines):,} line{'s' * (len(lines) != 1)}</summary>"
    folded = [f"<details>{summary}", table, *_rest(len(lines), rows), more, "</details>"]
    return ["\n\n".join(folded)]


def _footer(report: Report) -> str:
    account = f"Account `{report.account_id}`, as" if report.account_id else "As"
    return f"<sub>{account} of {report.at:%Y-%m-%d %H:%M} UTC.</sub>"


def _rest(count: int, shown: int, bullet: str = "") -> list[str]:
    left = count - shown
    return [f"{bullet}… and {left:,} more, left out here."] if left > 0 else []


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    rules = [":--", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rules, *rows))
