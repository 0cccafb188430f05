"""What to notify people of between deployments: what is wrong now and was not before."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pulumi_cf_invoice.billing.cleaning import in_one_line
from pulumi_cf_invoice.report.report import Report

Kind = Literal["over", "unknown", "advisory", "outlook"]
Key = tuple[str, str, str]
"""The kind, the rule and the subject of what is wrong."""
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The kinds of problems: a mandatory rule is violated, or cannot be judged; an advisory one is
violated; the forecast passes a limit."""
_MOST_LINES = 8
_LONGEST_LINE = 500
_UNREADABLE = "no report could be made"
# Chat programs interpret these as links, mentions and markup.
_HARMLESS = str.maketrans({"<": "\u2039", ">": "\u203a", "@": "\uff20", "`": "'"})


@dataclass(frozen=True)
class Wrong:
    """
    A problem: its kind, the rule, and the account or whatever it was found on.

    ``text`` is a sentence, and ``remedy`` what to do, if known. What others wrote in them is marked
    (`named`).
    """

    kind: Kind
    rule: str
    subject: str
    text: str
    remedy: str = ""

    @property
    def key(self) -> Key:
        """What identifies it from run to run."""
        return self.kind, self.rule, self.subject


@dataclass(frozen=True)
class Notice:
    """
    A report in the few lines that people receive.

    ``wrong`` has all problems of the requested kinds. ``forecast`` is a line for those who want to
    know what is coming. ``is_fine`` means that there are no problems of any kind, and ``unjudged``
    has the rules and subjects that could not be judged: None stands for all.
    """

    headline: str
    wrong: Sequence[Wrong]
    forecast: str | None = None
    is_fine: bool = False
    unjudged: Collection[tuple[str, str]] | None = ()

    def keys(self, before: Collection[Key]) -> list[Key]:
        """
        Return what is wrong, as it is kept from run to run.

        What was wrong *before* and cannot be judged now is not over.
        """
        return sorted({*(wrong.key for wrong in self.wrong), *self._open(before)})

    def is_news(self, before: Collection[Key]) -> bool:
        """Return whether it differs from what was wrong *before*."""
        return set(self.keys(before)) != set(before)

    def title(self, before: Collection[Key]) -> str:
        """Return the first line, for those who know what was wrong *before*."""
        if self.keys(before):
            return _harmless(self.headline)
        again = "Fine again." if self.is_fine else self._no_longer(before)
        return _harmless(f"{again} {self.headline}")

    def body(self, before: Collection[Key], link: str | None) -> str:
        """Return the lines that follow, for those who know what was wrong *before*."""
        new = [wrong for wrong in self.wrong if wrong.key not in before]
        lines = _first([f"- {_harmless(wrong.text)}" for wrong in new], "- ")
        remedies = [wrong.remedy for wrong in new if wrong.remedy]
        lines += _first([f"What to do: {_harmless(remedy)}" for remedy in remedies], "")
        still = {wrong.rule for wrong in self.wrong if wrong.key in before}
        unjudged = {key[1] for key in self._open(before)} - {wrong.rule for wrong in self.wrong}
        no_longer = self._no_longer(before) if self.keys(before) or self.is_fine else ""
        more = [
            _listed("As before", still),
            _listed("Not judged this time", unjudged),
            no_longer,
            self.forecast or "",
        ]
        lines += [_harmless(line) for line in more if line]
        return "\n".join([*lines, *([link] if link else [])])

    def _open(self, before: Collection[Key]) -> list[Key]:
        """Return what was wrong *before* but cannot be judged now."""
        return [key for key in before if self.unjudged is None or key[1:] in self.unjudged]

    def _no_longer(self, before: Collection[Key]) -> str:
        """Return the rules that were violated *before* and are not any more; empty if none are."""
        still = {key[1:] for key in self.keys(before)}
        elsewhere = {rule for rule, _ in still}
        over = {
            f"{rule} ({subject})" if rule in elsewhere else rule
            for _, rule, subject in before
            if (rule, subject) not in still and (subject or rule not in elsewhere)
        }
        return _listed("No longer wrong", over)


def notice_of(report: Report, kinds: Collection[Kind]) -> Notice:
    """Return the notice of *report* for people who want to know about *kinds*."""
    wrong, unjudged = [], set()
    # A label may be shortened.
    accounts = {
        label: invoice.account_id
        for invoice, label in zip(report.invoices, report.labels, strict=True)
    }
    for rule in report.rules:
        for label, finding in report.labelled(rule):
            if not finding.violates:
                continue
            of = f"{label}: " if label and finding.account_id is None else ""
            kind: Kind = "unknown" if finding.status == "unknown" else "over"
            kind = "advisory" if rule.level == "advisory" else kind
            subject = finding.account_id or accounts.get(label) or label
            if finding.status == "unknown":
                unjudged.add((rule.name, subject))
            text = f"{rule.name}: {of}{finding.message}"
            wrong.append(Wrong(kind, rule.name, subject, text, finding.remedy))
    for invoice, label in zip(report.invoices, report.labels, strict=True):
        violated = {rule.name for rule in invoice.rules if rule.violations}
        if invoice.outlook and invoice.outlook.rule not in violated:
            rule_name, text = invoice.outlook.rule, invoice.outlook.text
            subject = invoice.account_id or label
            wrong.append(Wrong("outlook", rule_name, subject, f"{rule_name}: {text}."))
    if report.verdict == "unknown" and not wrong:
        wrong.append(Wrong("unknown", "all rules", "", "No rule could be judged."))
    forecasts = [invoice.forecast_text for invoice in report.invoices]
    return Notice(
        report.headline,
        [each for each in wrong if each.kind in kinds],
        forecasts[0] if len(forecasts) == 1 else None,
        is_fine=not wrong,
        unjudged=unjudged,
    )


def notice_of_failure(problem: str, kinds: Collection[Kind]) -> Notice:
    """Return the notice if there is no report, because of a *problem*."""
    wrong = [Wrong("unknown", "the report", "", problem)] if "unknown" in kinds else []
    return Notice(f"Could not tell: {_UNREADABLE}.", wrong, unjudged=None)


def _first(lines: Sequence[str], bullet: str) -> list[str]:
    """Return the first of *lines*, each once, and how many more there are."""
    different = list(dict.fromkeys(lines))
    more = len(different) - _MOST_LINES
    return [*different[:_MOST_LINES], *([f"{bullet}… and {more:,} more"] if more > 0 else [])]


def _listed(what: str, rules: Collection[str]) -> str:
    return f"{what}: {', '.join(sorted(rules))}." if rules else ""


def _harmless(text: str) -> str:
    line = in_one_line(text, _LONGEST_LINE).translate(_HARMLESS)
    # A joiner keeps them from making a link of an address.
    return re.sub(r"(?i)(:)(?=//)|(\bwww)(?=\.)", "\\g<0>\u2060", line)
