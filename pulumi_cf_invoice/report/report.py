"""The report before any format: the invoices, how the rules judged them, and the worst result."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import cut_in_the_middle, named, shown
from pulumi_cf_invoice.billing.models import counted
from pulumi_cf_invoice.report.account import AccountReport
from pulumi_cf_invoice.report.caveats import MOST_ORIGINS, addressed, first, of_several
from pulumi_cf_invoice.report.found import Found, MissingInvoice
from pulumi_cf_invoice.report.headlines import (
    Fact,
    Rank,
    Situation,
    title_of_unknown,
    uncapitalized,
    worst_violated,
)
from pulumi_cf_invoice.report.invoice_report import InvoiceReport, invoice_report
from pulumi_cf_invoice.report.judging import (
    TITLES,
    RuleResult,
    Verdict,
    verdict_of,
    verdict_text,
    worst_first,
)
from pulumi_cf_invoice.report.remedies import remedies
from pulumi_cf_invoice.rules.rule import Finding

_FIGURES, _SOME_FIGURES = "The figures ", "Some of the figures "
LONGEST_LABEL = 60
"""The maximum length of a label in a table, which is cut in the middle."""
MANY = 10
"""
The maximum number of accounts that a report shows in full: of more, it shows the worst, and rows.
"""


@dataclass(frozen=True)
class Report:
    """The one result that every format renders: invoices, of one account each, and the rules."""

    at: datetime
    invoices: Sequence[InvoiceReport]
    rules: Sequence[RuleResult]
    missing: Sequence[MissingInvoice] = ()
    """The accounts whose invoice could not be read; there may be no other."""
    left_out: str = ""
    """What was not asked for and is left out, as a sentence."""

    @property
    def caveats(self) -> list[str]:
        """What a reader has to know of the figures, which no format folds or leaves out."""
        labelled = zip(self.labels, (invoice.caveats for invoice in self.invoices), strict=True)
        return [*([self.left_out] if self.left_out else []), *of_several(list(labelled))]

    @property
    def notes(self) -> list[str]:
        """Notes on accounts without an invoice, a sentence each."""
        notes = []
        for missing in self.missing:
            account = AccountReport(missing.snapshot, None)
            figures = "; ".join(f"{name}: {text}" for name, text in account.figures)
            notes.append(f"{missing.title} has no upcoming invoice here: {missing.error}")
            notes += [f"{figures}.", *account.notes] if figures else []
            notes += [missing.origin] if figures and missing.origin else []
        return notes

    @property
    def verdict(self) -> Verdict:
        """
        The verdict of all rules.

        ``over`` if a mandatory rule is exceeded, ``unknown`` if one cannot be judged or none was,
        ``advisory`` if only advisory ones are violated, ``within``, or ``none`` if there is no
        rule to judge. Where an account that was requested is `unjudged` it is never better than
        ``unknown``.
        """
        verdict = verdict_of(self.rules)
        return "unknown" if verdict != "over" and self.unjudged else verdict

    @cached_property
    def unjudged(self) -> list[MissingInvoice]:
        """
        The accounts that were requested, but of which nothing is known that could be judged.

        They are those that are absent and, where there are rules, those that were named and could
        not be read, unless a rule has judged them, or says as a violation that it could not, or
        waivers suspend every rule on them.
        """
        judged = {
            finding.account_id
            for rule in self.rules
            for finding in rule.findings
            if _speaks_for_account(rule, finding)
        }
        has_rules = any(rule.gate for rule in self.rules)
        return [
            missing
            for missing in self.missing
            if missing.is_absent
            or (
                missing.is_named
                and has_rules
                and missing.account_id not in judged
                and not self._is_exempt(missing.account_id)
            )
        ]

    def _is_exempt(self, account_id: str) -> bool:
        """Return whether there are rules on an account, and waivers suspend them all."""
        on_it = [rule for rule in self.rules if rule.gate and rule.gate.is_on(account_id)]
        return bool(on_it) and all(rule.is_suspended for rule in on_it)

    @property
    def _absent(self) -> list[MissingInvoice]:
        return [missing for missing in self.missing if missing.is_absent]

    @property
    def _absence(self) -> str:
        """What is missing from the report, as the end of a headline; or empty."""
        count = len(self._absent)
        old = f"; nothing recent is there of {counted(count, 'account')}" if count else ""
        return f"{old}; not every invoice could be read" if self._is_unread else old

    @property
    def _is_unread(self) -> bool:
        """Whether there is an invoice that could not be read, besides those that were."""
        caveats = (caveat for invoice in self.invoices for caveat in invoice.caveats)
        return any(caveat.kind == "missing" for caveat in caveats) or any(
            not (missing.is_absent or missing.is_unused) for missing in self.missing
        )

    @property
    def is_known(self) -> bool:
        """Whether every mandatory rule could be judged, and at least one rule was."""
        unknown = any(
            finding.status == "unknown"
            for rule in self.rules
            if rule.level == "mandatory"
            for finding in rule.findings
        )
        return self.verdict != "unknown" and not unknown and not self.unjudged

    @cached_property
    def tone(self) -> Verdict:
        """The verdict, or ``advisory`` where nothing is violated and the headline is a warning."""
        is_warned = any(invoice.tone == "advisory" for invoice in self.invoices)
        is_old = not self.invoices and bool(self._oldest)
        warns = self.verdict in ("within", "none") and (is_warned or is_old)
        return "advisory" if warns else self.verdict

    @property
    def headline(self) -> str:
        """The worst fact in a sentence."""
        return shown(self.marked_headline)

    @property
    def origin(self) -> str:
        """The addresses of the figures, in a few sentences; empty if only Cloudflare's."""
        of_invoices = [
            [caveat.text for caveat in invoice.caveats if caveat.kind == "origin"]
            for invoice in self.invoices
        ]
        origins = [
            *chain.from_iterable(of_invoices),
            *(missing.origin for missing in self.missing),
            *chain.from_iterable(rule.marked_origins for rule in self.rules),
        ]
        # The headline may be about an invoice that is from Cloudflare.
        are_all = all(any(text.startswith(_FIGURES) for text in texts) for texts in of_invoices)
        what = _FIGURES if are_all else _SOME_FIGURES
        told = [text.replace(_FIGURES, what, 1) for text in dict.fromkeys(filter(None, origins))]
        return " ".join(first(told, MOST_ORIGINS))

    @cached_property
    def marked_headline(self) -> str:
        """The headline, in which what others wrote is marked (`named`)."""
        if len(self.invoices) == 1:
            [only], situation = self.invoices, self._situation
            is_unknown = self.verdict == "unknown"
            headline = situation.headline_of_unknown if is_unknown else situation.headline
            elsewhere = not only.rules and any(rule.of_accounts for rule in self.rules)
            more = "; no rule judged this invoice" if elsewhere else ""
            return f"{headline[:-1]}{more}{self._whose}{self._absence}."
        if not self.invoices:
            return self._headline_without_invoice
        return self._headline_of_several

    @property
    def _whose(self) -> str:
        """Whose figures a headline on the only invoice has, where others are missing; or empty."""
        account_id, is_told = self.invoices[0].account_id, self._situation.worst.is_of_another
        others = any(not missing.is_unused for missing in self.missing)
        return f"; this is account {account_id}" if account_id and others and not is_told else ""

    @cached_property
    def _situation(self) -> Situation:
        """The situation of the first invoice and of all accounts that rules read."""
        invoice = self.invoices[0]
        if invoice.rules == self.rules:
            # To find the worst of tens of thousands of lines once more takes a while.
            return invoice.situation
        return replace(invoice, rules=self.rules).situation

    @property
    def _headline_without_invoice(self) -> str:
        worst = worst_violated(self.rules)
        if worst is None:
            title = verdict_text(self.verdict, self.rules)
            old = f"{self._oldest}; " if self._oldest else ""
            return f"{title}: {old}no upcoming invoice to show."
        _, finding = worst
        fact = (finding.brief or finding.marked).rstrip(".").split(". ")[0]
        more = "" if finding.status == "unknown" else "; no upcoming invoice to show"
        is_unknown = "unknown" in (finding.status, self.verdict)
        title = f"{title_of_unknown(self.rules)}: " if is_unknown else ""
        age = f"{finding.age}: " if finding.age else ""
        text = f"{title}{age}{uncapitalized(fact) if age else fact}"
        return f"{text[:1].upper()}{text[1:]}{more}."

    @cached_property
    def _oldest(self) -> str:
        """The age of the oldest figures that rules judged of accounts; empty if less than a day."""
        ages = {f.age for rule in self.rules for f in rule.of_accounts if f.is_judged}
        oldest = min(filter(None, ages), default="")
        return f"some {oldest}" if oldest and len(ages) > 1 else oldest

    @property
    def _headline_of_several(self) -> str:
        count, total = f"{len(self.invoices):,}", " and ".join(self.total_texts)
        coming = " and ".join(filter(None, self.forecast_total_texts))
        heading = f", heading for {coming}" if coming else ""
        has_ended = all(invoice.has_ended_since for invoice in self.invoices)
        total += " in total" if has_ended else f" so far in total{heading}"
        title = verdict_text(self.verdict, self.rules)
        old = self._age
        if self.verdict == "none":
            return f"{old}{count} upcoming invoices, {total}{self._absence}."
        total += f"{self._no_rule_judged}{self._absence}"
        counts, elsewhere = self._counts, self._worst_elsewhere
        if elsewhere is not None:
            title = title_of_unknown(self.rules) if elsewhere.rank is Rank.UNKNOWN else title
            counts = f", {counts}" if counts else ""
            return f"{title}: {old}{elsewhere.text}; {count} upcoming invoices{counts}, {total}."
        if not counts:
            return f"{title}: {old}{count} upcoming invoices, {total}."
        title = self._title_of_worst or title
        so_far = " then" if has_ended else " so far"
        so_far = so_far if self.verdict == "within" else ""
        return f"{title}{so_far}: {old}{counts}{self._besides}; {total}. {self._worst}."

    @property
    def _title_of_worst(self) -> str:
        """The title for the worst of several invoices where the verdict is on another; or empty."""
        rank = self._by_badness[0][0].situation.worst.rank
        if rank is Rank.UNKNOWN and self.verdict == "over":
            return title_of_unknown(self.rules)
        if rank is Rank.OUTLOOK and self.verdict == "advisory":
            return f"{TITLES['within']} so far"
        return ""

    @property
    def _worst(self) -> str:
        """Which of several invoices is the worst, its age if others have another, and why."""
        worst, label = self._by_badness[0]
        stale = worst.situation.stale
        has_other_age = any(invoice.situation.stale != stale for invoice in self.invoices)
        age = f" ({uncapitalized(stale)})" if stale and has_other_age else ""
        return f"Worst is {label}{age}: {worst.situation.sentence}"

    @property
    def _violated(self) -> str:
        """What those are that violate a mandatory rule, in a word."""
        is_over_budget = verdict_text(self.verdict, self.rules) == TITLES["over"]
        return "over" if is_over_budget else "failed"

    @property
    def _besides(self) -> str:
        """How many accounts without an invoice here violate a mandatory rule too; or empty."""
        mandatory = (rule for rule in self._elsewhere if rule.is_mandatory)
        found = (finding for rule in mandatory for finding in rule.violations)
        # What a policy pack found is on no account.
        accounts = {f.account_id for f in found if f.account_id and f.status != "unknown"}
        if not accounts:
            return ""
        are = "is" if len(accounts) == 1 else "are"
        return f", and {len(accounts):,} more {self._violated} that {are} not shown"

    @property
    def _worst_elsewhere(self) -> Fact | None:
        """
        The worst fact, if it is a violation on an account without an invoice here, or if the
        verdict is of none of several invoices.
        """
        violation = replace(self.invoices[0], rules=self._elsewhere).situation.worst_violation
        if self.verdict in ("within", *(invoice.tone for invoice in self.invoices)):
            worst = self._by_badness[0][0].situation.worst
            return violation if violation and violation.badness < worst.badness else None
        if self.verdict == "unknown" and self.unjudged:
            return None
        return violation or self._situation.worst

    @cached_property
    def _elsewhere(self) -> list[RuleResult]:
        """What the rules, the worst first, found on accounts without an invoice here."""
        here = {invoice.account_id for invoice in self.invoices}
        return [
            replace(
                rule,
                of_invoices=[],
                of_accounts=[found for found in rule.of_accounts if found.account_id not in here],
            )
            for rule in worst_first(self.rules)
        ]

    @cached_property
    def _by_badness(self) -> list[tuple[InvoiceReport, str]]:
        """The invoices with their labels, the worst fact first."""
        pairs = zip(self.invoices, self.labels, strict=True)
        return sorted(pairs, key=lambda pair: pair[0].badness)

    @property
    def _no_rule_judged(self) -> str:
        """How many of several invoices no rule judged, where one judged others; or empty."""
        number = sum(not invoice.rules for invoice in self.invoices)
        if not number or not any(rule.findings for rule in self.rules):
            return ""
        return (
            f"; no rule judged {'any' if number == len(self.invoices) else f'{number:,}'} of them"
        )

    @property
    def _age(self) -> str:
        """How many of several invoices have old figures, and of when; empty if none has."""
        old = sorted(
            (invoice for invoice in self.invoices if invoice.situation.stale),
            key=lambda invoice: invoice.as_of,
        )
        if not old:
            return ""
        days = list(dict.fromkeys(f"{invoice.as_of:%Y-%m-%d}" for invoice in old))
        dates = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        up_to = "" if len(days) == 1 else "up to "
        age = f", {up_to}{counted(old[0].days_old, 'day')} old" if old[0].days_old else ""
        ended = [invoice.period_name for invoice in old if invoice.has_ended_since]
        is_same = len(set(ended)) == 1 and len(ended) == len(old)
        what = ended[0] if is_same else f"the period of {len(ended):,} of them"
        age += f", and {what} has ended since" if ended else ""
        return f"{len(old):,} of {len(self.invoices):,} with figures of {dates}{age}; "

    @property
    def _counts(self) -> str:
        """How many of several invoices are not within: ``3 of 6 over, 1 unknown``."""
        tones = [invoice.tone for invoice in self.invoices]
        if not any(invoice.rules for invoice in self.invoices):
            return ""
        words = {
            "over": self._violated,
            "unknown": "unknown",
            "advisory": "with a warning",
        }
        counts = [(tones.count(tone), text) for tone, text in words.items() if tone in tones]
        return ", ".join(
            f"{number:,}{'' if index else f' of {len(tones):,}'} {text}"
            for index, (number, text) in enumerate(counts)
        )

    @property
    def remedies(self) -> list[str]:
        """What to do about what is violated, and what will be, the worst first, each once."""
        of_rules = [remedy for rule in worst_first(self.rules) for remedy in rule.remedies]
        several, elsewhere = len(self.invoices) > 1, self._remedies_elsewhere
        of_each = [
            (remedy, label if several or elsewhere else "")
            for invoice, label in self._by_badness
            for remedy in remedies(invoice)
        ]
        begins_elsewhere = len(self.invoices) == 1 and self._situation.begins_elsewhere
        ordered = [*elsewhere, *of_each] if begins_elsewhere else [*of_each, *elsewhere]
        # Beside the only invoice, what the headline begins with comes first.
        first = of_rules if several else [remedy for remedy, _ in ordered]
        whom: dict[str, list[str]] = {remedy: [] for remedy in [*first, *of_rules]}
        for remedy, label in ordered:
            whom.setdefault(remedy, []).append(label)
        told = [
            f"{addressed(labels if all(labels) else [])}{remedy}" for remedy, labels in whom.items()
        ]
        if self._oldest and not self.invoices:
            told.append(f"Take a new snapshot (cf-invoice snapshot) in place of {self._oldest}.")
        return told

    @property
    def _remedies_elsewhere(self) -> list[tuple[str, str]]:
        """What to do about accounts without an invoice here, with a label of each beside others."""
        accounts = {f.account_id for rule in self.rules for f in rule.of_accounts}
        accounts.update(missing.account_id for missing in self.missing)
        several = len(accounts) > 1 or self.invoices
        found = dict.fromkeys(
            (finding.remedy, f"Account {finding.account_id}" if several else "")
            for rule in self._elsewhere
            for finding in rule.violations
            if finding.remedy and finding.account_id
        )
        return list(found)

    @property
    def totals(self) -> list[tuple[float, str]]:
        """
        The sum of the amounts due in each currency, in its minor units; the currency of most
        invoices comes first.
        """
        invoices = [report.invoice for report in self.invoices]
        due = money.totals((invoice.amount_due, invoice.currency) for invoice in invoices)
        codes = [invoice.currency for invoice in invoices]
        ordered = sorted(due, key=lambda total: -codes.count(total.currency))
        return [(money.number(money.exact(amount)), code) for amount, code in ordered]

    @property
    def forecast_total_texts(self) -> list[str]:
        """
        What the amounts due will come to in each currency, for people, in the order of `totals`.

        It is empty for a currency of which an invoice has neither forecast nor straight line.
        """
        texts = []
        for _, currency in self.totals:
            expected = [i.expected[0] for i in self.invoices if i.invoice.currency == currency]
            known = [amount for amount in expected if amount is not None]
            is_whole = len(known) == len(expected)
            texts.append(money.to_rough_text(money.total(known), currency) if is_whole else "")
        return texts

    @property
    def total_texts(self) -> list[str]:
        """The total in each currency for people."""
        return [money.to_text(amount, currency) for amount, currency in self.totals]

    @property
    def is_of_many(self) -> bool:
        """Whether it is of more accounts than can be shown in full."""
        return len(self.invoices) + len(self.missing) > MANY

    @cached_property
    def labels(self) -> list[str]:
        """What tells each invoice from the others: its names, with its account where needed."""
        short = [_short_label(invoice, self.is_of_many) for invoice in self.invoices]
        counts = Counter(short)
        return numbered(
            [
                label if label and counts[label] == 1 else invoice.title or "An unknown account"
                for label, invoice in zip(short, self.invoices, strict=True)
            ]
        )

    def labelled(self, rule: RuleResult) -> list[tuple[str, Finding]]:
        """
        Return the findings of *rule*, each with the label of what it was found on.

        The label is empty for the invoice of a report that has only one, and for what was found on
        no account.
        """
        labels = self.labels if len(self.invoices) != 1 else [""]
        of_accounts = {
            invoice.account_id: label for invoice, label in zip(self.invoices, labels, strict=True)
        }
        by_invoice = zip(labels, rule.of_invoices, strict=bool(rule.of_invoices))
        return [
            *((label, finding) for label, found in by_invoice for finding in found),
            *(
                (of_accounts.get(account, _of_account(account)), finding)
                for account, finding in ((each.account_id, each) for each in rule.of_accounts)
            ),
        ]


def numbered(labels: Sequence[str]) -> list[str]:
    """Return *labels*, with a number at the end of each that is there already."""
    counts: Counter[str] = Counter()
    told_apart = []
    for label in labels:
        counts[label] += 1
        told_apart.append(label if counts[label] == 1 else f"{label} ({counts[label]})")
    return told_apart


def _speaks_for_account(rule: RuleResult, finding: Finding) -> bool:
    """Return whether no more has to be said of the account of a *finding* of *rule*."""
    if finding.status == "unknown":
        return rule.is_mandatory
    return finding.status != "noted" or finding.is_passed_over


def _of_account(account_id: str | None) -> str:
    return f"account {account_id}" if account_id else ""


def _short_label(invoice: InvoiceReport, is_one_of_many: bool) -> str:
    """
    Return an invoice's names, else the ends of its account's ID; empty if neither is known.

    Of many accounts (``is_one_of_many``) not all are in full, and the ID has to stand in the row.
    """
    if invoice.names:
        return named(cut_in_the_middle(", ".join(invoice.names), LONGEST_LABEL))
    account = invoice.account_id
    if account is None or is_one_of_many:
        return ""
    return f"Account {account[:6]}…{account[-4:]}"


def make_report(
    found: Sequence[Found],
    *,
    at: datetime,
    rules: Sequence[RuleResult] = (),
    missing: Sequence[MissingInvoice] = (),
    left_out: str = "",
    fixed_lines: Sequence[str] = (),
) -> Report:
    """
    Make the report on the invoices that were *found* as of *at*, with the results of *rules*, and
    on what is *missing* or *left_out*.

    Its forecasts are made with the globs of *fixed_lines*, if any, and otherwise with those of the
    rules that judged them. Raises ValueError if *at* has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a report needs a time zone")
    at = at.astimezone(UTC)
    return Report(
        at,
        [
            invoice_report(number, invoice, at, rules, tuple(fixed_lines))
            for number, invoice in enumerate(found)
        ],
        rules,
        missing,
        left_out,
    )
