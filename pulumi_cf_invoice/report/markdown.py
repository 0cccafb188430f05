"""The report for a pull request, in the Markdown of GitHub and GitLab."""

from collections.abc import Iterable

from pulumi_cf_invoice.billing.cleaning import LONGEST as LONGEST_TEXT
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.report.report import Report, RuleResult
from pulumi_cf_invoice.rules import Finding

MARKER = "<!-- pulumi-cf-invoice report -->"
"""The first line, which readers do not see: `comments` finds the comment to update by it."""
LARGEST = 65_400
"""
The most characters in a report: a tag fits into a comment of GitHub's 65,536 characters as well,
and in any script it is less than a job summary's 1 MiB.
"""
_ROWS = 100
_LONGEST = 1000
_SIGNS = {"over": "🔴", "unknown": "🔴", "advisory": "🟡", "within": "🟢", "none": "⚪"}


def render(report: Report) -> str:
    """Return the report as Markdown of at most 65,400 characters, which says what is left out."""
    rows = _ROWS
    text = _render(report, rows)
    while len(text) > LARGEST and rows:
        rows //= 2
        text = _render(report, rows)
    return text


def escape(text: str, longest: int = LONGEST_TEXT) -> str:
    """
    Return *text* that others wrote as Markdown that shows it and does nothing else.

    Inside ``code`` nobody is mentioned and nothing is linked, and as a numeric reference no
    character can end a table cell, a code span or the tag itself.
    """
    safe = "".join(
        character if character.isalnum() or character in " -" else f"&#{ord(character)};"
        for character in one_line(text, longest)
    )
    return f"<code>{safe}</code>"


def _render(report: Report, rows: int) -> str:
    currency = report.invoice.currency.upper()
    parts = [
        MARKER,
        f"### {_SIGNS[report.verdict]} {report.headline}",
        *map(escape, report.notes),
        _table(["Upcoming invoice", currency], map(list, report.key_figures)),
        *_rules(report, rows),
        *_changes(report, rows),
        *_lines(report, rows),
        _footer(report),
    ]
    return "\n\n".join(parts) + "\n"


def _rules(report: Report, rows: int) -> list[str]:
    if not report.rules:
        return []
    # What is violated comes first, should the rest have to be left out.
    rules = sorted(report.rules, key=lambda rule: not rule.violations)
    told = [f"- {_sign(rule)} `{rule.name}`: {_said(rule, rows)}" for rule in rules[: rows or 1]]
    return ["**Rules**", "\n".join([*told, *_rest(len(rules), rows or 1, "- ")])]


def _sign(rule: RuleResult) -> str:
    if rule.violations:
        return "🔴" if rule.level == "mandatory" else "🟡"
    return "🟢" if rule.verdict == "within" else "⚪"


def _said(rule: RuleResult, rows: int) -> str:
    shown = rule.violations or [one for one in rule.findings if one.status == "within"][:1]
    told = [_found(finding) for finding in shown[:rows]]
    told += [f"… and {len(shown) - rows:,} more"] if len(shown) > rows else []
    return "<br>".join([*told, *(escape(text, _LONGEST) for text in rule.told)])


def _found(finding: Finding) -> str:
    if finding.amount is None:
        return escape(finding.message, _LONGEST)
    account = f"account `{finding.account_id}`: " if finding.account_id else ""
    line = f"{escape(finding.subject)}: " if finding.of_line else ""
    return f"{account}{line}{finding.text}"


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
