"""What to notify people of between deployments: what is wrong now and was not before."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from operator import itemgetter
from typing import Literal, NamedTuple, get_args

from pulumi_cf_invoice.billing.cleaning import in_one_line
from pulumi_cf_invoice.billing.errors import where_to
from pulumi_cf_invoice.billing.models import instant
from pulumi_cf_invoice.report.caveats import MOST_ORIGINS, first
from pulumi_cf_invoice.report.found import MissingInvoice
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.judging import TITLES, RuleResult, by_whom_passed_over
from pulumi_cf_invoice.report.report import Report, numbered
from pulumi_cf_invoice.rules.gates import unjudged_account
from pulumi_cf_invoice.rules.rule import Finding

Kind = Literal["over", "unknown", "advisory", "outlook"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The kinds of problems: a mandatory rule is violated, or cannot be judged; an advisory one is
violated; the forecast passes a limit."""
_LONGEST_LINE = 500
# Discord refuses a message of more than 2,000 characters; there are some between title and body.
_LONGEST = 1950
# The most lines of problems and of remedies, and the longest line: the first that fit are taken.
# A line of up to 250 characters says all that matters.
_LONGEST_LINES = (_LONGEST_LINE, 250), (125, 100)
_MOST_LINES = range(8, 1, -1)
_UNREADABLE = "no report could be made"
_UNKNOWN = "an unknown account"
_ALL_RULES = "all rules"
_THE_REPORT = "the report"
# In place of a day.
_ENDED = "ended"
# Chats and mail programs make links, mentions, tags, pictures and markup of these. Characters that
# look alike take the place of some; a word joiner, which nobody sees, separates the others from
# what follows.
_HARMLESS = str.maketrans("<>@`*~|[]\\", "\u2039\u203a\uff20'\uff0a\uff5e\uff5c\uff3b\uff3d\uff3c")
_WENT_TO = re.compile(r" The request went to (\S+), not to Cloudflare\.")
_EDGE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_JOINED = re.compile(
    r"""
    [&#] | :(?=[^\s\d]) | \$(?=\$) | (?<!\S)/(?=\w)
    | (?<=\S)\.(?!json\b)(?=[^\s\d.,;:!?)'"\u2019\u201d\uff3d])  # not that of a sentence
    | (?<=[^\s\d])\.(?=\d)
    | (?<![\d.])\d{1,3}\.(?=\d{1,3}\.\d{1,3}\.\d{1,3}(?!\d))  # of an IP address, not of a number
    """,
    re.VERBOSE,
)


class Key(NamedTuple):
    """What identifies a problem from run to run: see `Wrong`."""

    kind: str
    rule: str
    account: str
    day: str

    @property
    def subject(self) -> tuple[str, str]:
        """The rule and the account."""
        return self.rule, self.account

    @property
    def of_any_day(self) -> "Key":
        """What identifies problems that differ in nothing but the day."""
        return self._replace(day="")

    @property
    def ended(self) -> "Key":
        """What says that the problem has ended since, so that it is news if it is there again."""
        return self._replace(day=_ENDED)


@dataclass(frozen=True)
class Wrong:
    """
    A problem: its kind, the rule, and the account, which is empty for the whole report.

    An invoice whose account is not known is told from others by the names of its places, if any.
    ``day`` is the day that was over a limit, if it is one's spend. For an outlook it is the first
    day of the invoice's period, with which it ends. ``text`` is a sentence, and ``remedy`` what to
    do, if known. What others wrote in them is marked (`named`).
    """

    kind: Kind
    rule: str
    account: str
    text: str
    remedy: str = ""
    day: str = ""

    @property
    def key(self) -> Key:
        """What identifies it from run to run."""
        return Key(self.kind, self.rule, self.account, self.day)


@dataclass(frozen=True)
class Notice:
    """
    A report in the few lines that people receive.

    ``wrong`` has the problems of all kinds; ``kinds`` are those that people want to know about.
    ``forecast`` is a line for those who want to know what is coming. Every run tells of the rules
    which accounts they passed over, by their name (``passed_over``, or ``passed_over_briefly`` in a
    message that has no room for why), the ``notes`` on themselves, such as waivers, and those on
    what they read (``on_what_was_read``). ``origin`` names the address of the figures if it is not
    Cloudflare's. ``read`` are the accounts that have an invoice, and ``judged`` those on which some
    rule was judged; ``unjudged`` are pairs of a rule and an account that could not be.
    ``unforeseen`` are pairs of an account and its current period of which there is no forecast.
    ``rules`` are the names of what can be wrong in it, ``on_invoices`` those of rules that judge
    the invoices, and ``suspended`` those of rules that a waiver suspends. With ``no_rules``, all
    are disabled or suspended.
    """

    headline: str
    wrong: Sequence[Wrong]
    forecast: str | None = None
    notes: Sequence[str] = ()
    origin: str = ""
    read: Collection[str] = ()
    judged: Collection[str] = ()
    unjudged: Collection[tuple[str, str]] = ()
    unforeseen: Collection[tuple[str, str]] = ()
    rules: Collection[str] = ()
    on_invoices: Collection[str] = ()
    suspended: Collection[str] = ()
    kinds: Collection[Kind] = KINDS
    no_rules: bool = False
    passed_over: Mapping[str, str] = field(default_factory=dict)
    passed_over_briefly: Mapping[str, str] = field(default_factory=dict)
    on_what_was_read: Sequence[str] = ()

    @property
    def is_fine(self) -> bool:
        """Whether there are no problems of any kind."""
        return not self.wrong

    def keys(self, before: Collection[Key]) -> list[Key]:
        """
        Return what is wrong, as it is kept from run to run.

        What was wrong *before* counts as still wrong if it cannot be judged now, or if people do
        not want to know about its kind now.
        """
        unasked = [key for key in before if key.kind not in self.kinds]
        known = (wrong.key for wrong in self._asked)
        return sorted({*known, *self._still_unjudged(before), *unasked})

    def of_untold(self, before: Collection[Key]) -> list[Key]:
        """
        Return what those know whom this run tells nothing, and who knew what was wrong *before*.

        Whoever tells them may want to know about other kinds, and have other rules.
        """
        still = replace(self, kinds=KINDS).keys(before)
        has_ended = {key for key in before if key.rule in self.rules and key not in still}
        return sorted({key.ended if key in has_ended else key for key in before})

    def is_news(self, before: Collection[Key]) -> bool:
        """
        Return whether it differs from what was wrong *before*.

        A day that is not judged any more is no news as long as another is over the same limit.
        """
        now = self.keys(before)
        still = {key.of_any_day for key in now}
        has_ended = any(key.of_any_day not in still for key in before)
        return has_ended or any(key.day != _ENDED for key in set(now).difference(before))

    def title(self, before: Collection[Key]) -> str:
        """Return the first line, for those who know what was wrong *before*."""
        if self.keys(before):
            return _harmless(self.headline)
        again = "Fine again." if self.is_fine else self._no_longer(before)
        return _harmless(f"{again} {self.headline}".lstrip())

    def body(self, before: Collection[Key], link: str | None) -> str:
        """
        Return the lines that follow, for those who know what was wrong *before*.

        With the title, they are short enough for a message on Discord.
        """
        known, title, text = set(before), self.title(before), ""
        new = [wrong for wrong in self._asked if wrong.key not in known]
        problems = list(dict.fromkeys(wrong.text for wrong in new))
        remedies = list(
            dict.fromkeys(f"What to do: {wrong.remedy}" for wrong in new if wrong.remedy)
        )
        more, notes = self._more(known), _noted([*self.notes, *self.on_what_was_read])
        # What is wrong comes before other notes, of which a full message has only the number, or
        # nothing where that would take the place of a problem.
        told_of_rules = [first(notes, kept, "note") for kept in range(_MOST_LINES[0], -1, -1)]
        for lengths, most in product(_LONGEST_LINES, _MOST_LINES):
            passed_over = [
                _noted(by_whom_passed_over(each, most))
                for each in (self.passed_over, {**self.passed_over, **self.passed_over_briefly})
            ]
            # Only what is shown is made harmless: there can be tens of thousands.
            wrong = [*(f"- {problem}" for problem in first(problems, most)), *first(remedies, most)]
            for longest, noted, who in product(lengths, [*told_of_rules, []], passed_over):
                told = [*wrong, *more, *who, *noted, self.origin]
                lines = [_harmless(line, longest) for line in told if line]
                text = "\n".join([*lines, *([link] if link else [])])
                if len(title) + len(text) <= _LONGEST:
                    return text
        return text

    def _more(self, before: Collection[Key]) -> list[str]:
        """Return the lines, perhaps empty, on what is not new, and on what is coming."""
        still = {wrong.rule for wrong in self._asked if wrong.key in before}
        told = {wrong.key.subject for wrong in self._asked}
        unjudged = [key for key in self._still_unjudged(before) if key.subject not in told]
        no_longer = self._no_longer(before) if self.keys(before) or self.is_fine else ""
        return [
            _listed("As before", still),
            _listed("Not judged this time", {_what(key) for key in unjudged}),
            no_longer,
            self.forecast or "",
        ]

    @cached_property
    def _asked(self) -> list[Wrong]:
        return [wrong for wrong in self.wrong if wrong.kind in self.kinds]

    def _still_unjudged(self, before: Collection[Key]) -> list[Key]:
        """
        Return what was wrong *before* but cannot be judged now.

        What a waiver suspends counts as ended: it is news again when the waiver ends.
        """
        return [
            key.ended if key.rule in self.suspended else key
            for key in before
            if key.rule in self.suspended
            or not self._is_judged(key)
            or key.subject in self.unjudged
            or self._is_unforeseen(key)
        ]

    def _is_judged(self, key: Key) -> bool:
        """
        Return whether its account was judged, or, where no rule could be, whether one can be.

        Where there is no invoice, only rules that read the account themselves can be.
        """
        if key.account in self.read:
            return key.account in self.judged or key.rule == _ALL_RULES
        is_on_invoice = key.account and key.rule in self.on_invoices
        return key.account in self.judged and not is_on_invoice

    def _is_unforeseen(self, key: Key) -> bool:
        """Return whether it is an outlook that may still come true, as nothing says otherwise."""
        has_come_true = key.subject in self._wrong_subjects
        is_current = (key.account, key.day) in self.unforeseen
        return key.kind == "outlook" and is_current and not has_come_true

    @cached_property
    def _wrong_subjects(self) -> set[tuple[str, str]]:
        return {wrong.key.subject for wrong in self.wrong}

    def _no_longer(self, before: Collection[Key]) -> str:
        """Return the rules that were violated *before* and are not any more; empty if none are."""
        still = {key.subject for key in self.keys(before)} | self._wrong_subjects
        elsewhere = {rule for rule, _ in still}
        resolved = {
            _on(key.rule, key.account) if key.rule in elsewhere else key.rule
            for key in before
            if key.subject not in still
        }
        return _listed("No longer wrong", resolved)


def notice_of(report: Report, kinds: Collection[Kind]) -> Notice:
    """Return the notice of *report* for people who want to know about *kinds*."""
    found = _found(report)
    judged = {entry.account for entry in found if entry.finding.status != "noted"}
    labels = _labels(report, found)
    wrong = [*_violations(found), *_outlooks(report, labels)]
    wrong += _not_judged(report, found, wrong, judged)
    # A message may have room for the first of them alone.
    wrong.sort(key=lambda each: KINDS.index(each.kind))
    wrong, addresses = _without_addresses(wrong, report.origin)
    forecasts = [
        f"{_prefix(label)}{invoice.forecast_text}" if invoice.forecast_text else None
        for invoice, label in zip(report.invoices, labels, strict=True)
    ]
    return Notice(
        report.headline,
        wrong,
        forecasts[0] if len(forecasts) == 1 else None,
        [f"{rule.name}: {note}" for rule in report.rules for note in rule.on_itself],
        " ".join([*([report.origin] if report.origin else []), *first(addresses, MOST_ORIGINS)]),
        read=set(_accounts(report)),
        judged={"", *judged},
        unjudged={
            (entry.rule.name, entry.account)
            for entry in found
            if entry.finding.status == "unknown"
            or entry.finding.is_passed_over
            or entry.finding.is_put_off
        },
        unforeseen={
            (account, _period(invoice))
            for account, invoice in _invoices(report)
            if not invoice.is_foreseen
        },
        rules={_THE_REPORT, _ALL_RULES, *(rule.name for rule in report.rules)},
        on_invoices={rule.name for rule in report.rules if rule.is_on_invoices},
        suspended={rule.name for rule in report.rules if rule.is_suspended},
        kinds=kinds,
        no_rules=report.verdict == "none",
        passed_over={rule.name: note for rule in report.rules for note in rule.passed_over},
        passed_over_briefly={
            rule.name: note for rule in report.rules for note in rule.passed_over_briefly
        },
        on_what_was_read=[
            f"{rule.name}: {note}" for rule in report.rules for note in rule.on_what_it_read
        ],
    )


def notice_of_failure(problem: str, kinds: Collection[Kind], origin: str = "") -> Notice:
    """Return the notice if there is no report, because of a *problem*, which came from *origin*."""
    wrong = [Wrong("unknown", _THE_REPORT, "", problem)]
    return Notice(f"{TITLES['unknown']}: {_UNREADABLE}.", wrong, origin=origin, kinds=kinds)


class _Found(NamedTuple):
    """A finding of a rule, with its account and the label of the account in the report."""

    account: str
    label: str
    rule: RuleResult
    finding: Finding


def _found(report: Report) -> list[_Found]:
    # A label may be shortened, and is empty for the only invoice.
    labels = report.labels if len(report.invoices) != 1 else [""]
    accounts = dict(zip(labels, _accounts(report), strict=True))
    return [
        _Found(finding.account_id or accounts.get(label, ""), label, rule, finding)
        for rule in report.rules
        for label, finding in report.labelled(rule)
    ]


def _accounts(report: Report) -> list[str]:
    """Return the account of each invoice, as it is told from the others where it is not known."""
    return numbered([each.account_id or each.title or _UNKNOWN for each in report.invoices])


def _labels(report: Report, found: Sequence[_Found]) -> list[str]:
    """Return what people know each invoice by; empty where there is no other account."""
    others = {entry.account for entry in found} - {"", *_accounts(report)}
    if len(report.invoices) > 1 or report.missing or others:
        return report.labels
    return [""] * len(report.invoices)


def _violations(found: Sequence[_Found]) -> list[Wrong]:
    wrong = []
    for account, label, rule, finding in found:
        if not finding.violates:
            continue
        prefix = _prefix(label if finding.account_id is None else "")
        kind: Kind = "unknown" if finding.status == "unknown" else "over"
        kind = "advisory" if rule.level == "advisory" else kind
        text = f"{rule.name}: {prefix}{finding.message}"
        # A history that has stopped makes each day unknown, which is one problem.
        is_of_day = finding.day is not None and finding.status != "unknown"
        day = str(finding.day) if is_of_day else ""
        wrong.append(Wrong(kind, rule.name, account, text, finding.remedy, day))
    return wrong


def _outlooks(report: Report, labels: Sequence[str]) -> list[Wrong]:
    wrong = []
    for (account, invoice), label in zip(_invoices(report), labels, strict=True):
        violated = {rule.name for rule in invoice.rules if rule.violations}
        outlook = invoice.outlook
        if outlook and outlook.rule not in violated:
            text = f"{outlook.rule}: {_prefix(label)}{outlook.text}."
            found = Wrong("outlook", outlook.rule, account, text, day=_period(invoice))
            wrong.append((outlook.order, found))
    return [found for _, found in sorted(wrong, key=itemgetter(0))]


def _invoices(report: Report) -> Iterator[tuple[str, InvoiceReport]]:
    return zip(_accounts(report), report.invoices, strict=True)


def _period(invoice: InvoiceReport) -> str:
    return f"{instant(invoice.invoice.period_start):%Y-%m-%d}"


def _not_judged(
    report: Report, found: Sequence[_Found], wrong: Sequence[Wrong], judged: set[str]
) -> list[Wrong]:
    """Return the accounts without a judgement that make *report* unknown, if no rule says so."""
    told = {each.account for each in wrong if each.kind == "unknown"}
    is_judged = {each.account for each in found if each.finding.is_judged}
    reasons = {
        missing.account_id: _without_figures(missing, is_judged=missing.account_id in is_judged)
        for missing in report.unjudged
    }
    if not reasons and not told and report.verdict == "unknown":
        missing = (missing.account_id for missing in report.missing)
        accounts = {*_accounts(report), *missing, *(entry.account for entry in found)} - judged
        text = "No rule could be judged."
        reasons = {each: f"{each}: {text}" if each else text for each in accounts or [""]}
    return [
        Wrong("unknown", _ALL_RULES, account, text)
        for account, text in sorted(reasons.items())
        if account not in told
    ]


def _without_figures(missing: MissingInvoice, *, is_judged: bool) -> str:
    """Return why nothing is known of an account here, which a rule that read it may have judged."""
    account, why = missing.account_id, str(missing.error).rstrip(".")
    if is_judged:
        return f"Account {account}, which a rule read itself, has no recent snapshot: {why}."
    return unjudged_account(account, why)


def _without_addresses(wrong: Sequence[Wrong], origin: str) -> tuple[list[Wrong], list[str]]:
    """
    Return what is *wrong* without the sentences on where requests went, and these, each once, if
    the *origin* does not name the address.

    What the address said before them can be long, and is cut.
    """
    without = [replace(each, text=_WENT_TO.sub("", each.text)) for each in wrong]
    addresses = dict.fromkeys(url for each in wrong for url in _WENT_TO.findall(each.text))
    named = [where_to(url).strip() for url in addresses if url not in origin]
    return without, named


def _prefix(label: str) -> str:
    return f"{label}: " if label else ""


def _listed(what: str, rules: Collection[str]) -> str:
    return f"{what}: {', '.join(sorted(rules))}." if rules else ""


def _noted(notes: Iterable[str]) -> list[str]:
    return [f"Note: {note}" for note in notes]


def _what(key: Key) -> str:
    subject = _on(*key.subject)
    return f"the forecast for {subject}" if key.kind == "outlook" else subject


def _on(rule: str, account: str) -> str:
    return f"{rule} ({account})" if account else rule


def _harmless(text: str, longest: int = _LONGEST_LINE) -> str:
    line = in_one_line(text, longest).translate(_HARMLESS)
    safe = _JOINED.sub("\\g<0>\u2060", _EDGE.sub("\uff3f", line))
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"
