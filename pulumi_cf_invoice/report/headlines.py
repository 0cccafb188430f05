"""
The headline: a report's worst fact in one sentence, in money or days.

From worst to mildest: an exceeded mandatory limit on money, credits that are used up or run out
within a rule's days, something that could not be judged, another violated mandatory rule, a
forecast over a mandatory limit, an advisory limit, and anything within its limits.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import named, quoted
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.forecast.periods import period_name
from pulumi_cf_invoice.report.judging import POLICY, RuleResult, verdict_of, verdict_text
from pulumi_cf_invoice.rules.on_accounts import used_up
from pulumi_cf_invoice.rules.on_forecasts import FORECAST, RUNWAY
from pulumi_cf_invoice.rules.on_invoices import AMOUNT_DUE, PROJECTED_AMOUNT_DUE
from pulumi_cf_invoice.rules.on_stacks import SPEND_LIMITS
from pulumi_cf_invoice.rules.rule import Finding, without_account

_SUBJECTS = (AMOUNT_DUE, FORECAST, PROJECTED_AMOUNT_DUE)
_OPEN_QUESTIONS = ("whether ", "how long ")
_LONGEST_REASON = 300
_LONGEST_QUOTE = 160


class Rank(IntEnum):
    """How bad a fact is, the worst first."""

    OVER = 1
    CREDITS = 2
    UNKNOWN = 3
    FAILED = 4
    OUTLOOK = 5
    ADVISORY = 6
    WITHIN = 7


@dataclass(frozen=True)
class Outlook:
    """A mandatory limit on the amount due that the forecast's median passes before the end."""

    rule: str
    limit: Money
    date: date
    """The UTC day on which it is passed, about."""
    amount: Money
    """The median at the end of the period."""

    @property
    def text(self) -> str:
        """The outlook as the second half of a sentence."""
        limit = money.to_rough_text(*self.limit)
        return f"the forecast passes {limit} about {self.date}"


@dataclass(frozen=True)
class Fact:
    """
    A fact that a headline can state, and how bad it is.

    ``text`` begins in lower case, without a verdict; what others wrote in it is marked (`named`).
    ``limit`` is the one that it names, if any.
    """

    rank: Rank
    text: str
    limit: Money | None = None
    order: tuple[int, Decimal] = (0, Decimal(0))
    says_amount: bool = False


@dataclass(frozen=True)
class Situation:
    """The input of a headline: an invoice, how it was judged, and what else is known."""

    invoice: Invoice
    account_id: str | None
    rules: Sequence[RuleResult]
    outlook: Outlook | None
    credits: CreditBalance | None
    limit: Money | None
    """The limit on the amount due that a reader is shown, if there is one."""

    @property
    def worst(self) -> Fact:
        """The worst fact."""
        return min(self._facts(), key=lambda fact: (fact.rank, fact.order))

    @property
    def headline(self) -> str:
        """The worst fact in a sentence, after the verdict if it does not speak for itself."""
        fact = self.worst
        due = f"the upcoming invoice is {self._due}"
        if fact.rank is Rank.WITHIN:
            verdict = verdict_of(self.rules)
            if verdict == "none":
                return f"The upcoming invoice is {self._due}."
            return f"{verdict_text(verdict, self.rules)}: {fact.text}."
        if fact.rank is Rank.OUTLOOK:
            return f"Within budget so far: {due}; {fact.text}."
        more = "" if fact.says_amount else f"; {due}"
        if fact.rank is Rank.UNKNOWN:
            opened = fact.text.startswith(_OPEN_QUESTIONS)
            return f"Could not tell{' ' if opened else ': '}{fact.text}{more}."
        if fact.rank is Rank.OVER:
            return f"Over budget: {fact.text}{more}."
        if fact.rank is Rank.ADVISORY:
            return f"{verdict_text('advisory', self.rules)}: {fact.text}{more}."
        return f"{fact.text[0].upper()}{fact.text[1:]}{more}."

    @property
    def _due(self) -> str:
        invoice = self.invoice
        period = period_name(invoice.period_start, invoice.period_end)
        return f"{invoice.amount_due_text} for {period}"

    def _facts(self) -> Iterator[Fact]:
        for rule in self.rules:
            for finding in rule.violations:
                yield self._fact(rule, finding)
        credits = self.credits
        if credits is not None and credits.balance <= 0 and not credits.topup_is_healthy:
            yield Fact(Rank.CREDITS, used_up(credits, self.invoice.currency))
        if verdict_of(self.rules) == "unknown":
            yield Fact(Rank.UNKNOWN, "no rule was judged", order=(9, Decimal(0)))
        if self.outlook is not None:
            yield Fact(Rank.OUTLOOK, self.outlook.text, self.outlook.limit)
        limit = f", the limit is {self.limit.text}" if self.limit and self._is_judged else ""
        yield Fact(Rank.WITHIN, f"the upcoming invoice is {self._due}{limit}", self.limit)

    @property
    def _is_judged(self) -> bool:
        return any(f.subject == AMOUNT_DUE for rule in self.rules for f in rule.findings)

    def _fact(self, rule: RuleResult, finding: Finding) -> Fact:
        text, says_amount = self._text(rule, finding)
        excess = Decimal(0)
        if finding.amount is not None and finding.limit is not None:
            excess = money.total([finding.amount.amount], less=[finding.limit.amount])
        subjects = (*_SUBJECTS, finding.subject)
        order = (subjects.index(finding.subject), -excess)
        return Fact(_rank(rule, finding), text, finding.limit, order, says_amount)

    def _text(self, rule: RuleResult, finding: Finding) -> tuple[str, bool]:
        """Return a short form of a finding, and whether it states the amount due."""
        other = finding.account_id not in (None, self.account_id)
        where = f"account {finding.account_id}: " if other else ""
        if finding.amount is not None and finding.limit is not None and finding.excess is not None:
            return f"{where}{self._amount_against_limit(finding, finding.amount)}", (
                finding.subject == AMOUNT_DUE and not other
            )
        if rule.kind == POLICY:
            # Pulumi has a policy's description before what it says.
            _, _, message = finding.marked.partition(". ")
            quote = quoted(_cut(message or finding.marked).rstrip("."), _LONGEST_QUOTE)
            return f"a policy pack blocked the preview, saying {quote}", False
        brief = _question(without_account(finding.brief or finding.marked, str(self.account_id)))
        return f"{where}{_cut(brief.rstrip('.'))}", False

    def _amount_against_limit(self, finding: Finding, amount: Money) -> str:
        period = period_name(self.invoice.period_start, self.invoice.period_end)
        compared = f", {finding.excess}"
        if finding.subject == AMOUNT_DUE:
            return f"the upcoming invoice is {amount.text} for {period}{compared}"
        if finding.subject in (FORECAST, PROJECTED_AMOUNT_DUE):
            what = "forecast" if finding.subject == FORECAST else "straight-line projection"
            return f"the {what} is {amount.text} for {period}{compared}"
        if finding.of_line:
            return f"{named(finding.subject, 60)} is {amount.text}{compared}"
        if finding.is_minimum:
            return f"credits are down to {amount.text}{compared}"
        if finding.subject == "increase":
            return f"the upcoming invoice rose by {amount.text} since the last update{compared}"
        if finding.subject == SPEND_LIMITS:
            return f"gateways may spend {amount.text} in a month{compared}"
        return f"the {finding.subject} is {amount.text}{compared}"


def _question(message: str) -> str:
    """Turn what a message says is not known into what could not be told."""
    found = re.match(r"(whether|how long) (.*?) is not known[,:]? ?(.*)", message, re.I | re.S)
    if found is None:
        return f"{message[:1].lower()}{message[1:]}"
    opening, what, why = found.groups()
    return f"{opening.lower()} {what}{f': {why}' if why else ''}"


def _rank(rule: RuleResult, finding: Finding) -> Rank:
    if finding.subject == RUNWAY and finding.status == "failed":
        return Rank.CREDITS
    if not rule.is_mandatory:
        return Rank.ADVISORY
    if finding.status == "unknown":
        return Rank.UNKNOWN
    return Rank.OVER if finding.status == "over" else Rank.FAILED


def _cut(text: str) -> str:
    """Return the first sentence of what may be long, such as an error with what to do."""
    first = text.split(". ")[0]
    return first if len(first) <= _LONGEST_REASON else f"{first[: _LONGEST_REASON - 1]}…"


def outlook_of(
    coming: Sequence[tuple[date, datetime, float]],
    limits: Sequence[tuple[RuleResult, str | None]],
    currency: str,
) -> Outlook | None:
    """
    Return the first of the mandatory *limits* that the forecast passes by more than 1%.

    *coming* has each day to come with its last instant and the median of the amount due by then, in
    minor units of *currency*; *limits* has each rule with the account that it applies to.
    """
    if not coming:
        return None
    passed = []
    for rule, account_id in limits:
        found = _passed(coming, rule, account_id, currency)
        if found is not None:
            passed.append(found)
    return min(passed, key=lambda outlook: (outlook.date, outlook.limit.amount), default=None)


def _passed(
    coming: Sequence[tuple[date, datetime, float]],
    rule: RuleResult,
    account_id: str | None,
    currency: str,
) -> Outlook | None:
    first: tuple[date, Money] | None = None
    is_clear = False
    for day, instant, median in coming:
        limit = rule.gate.limit(account_id, instant) if rule.gate else None
        if limit is None or limit.currency != currency:
            continue
        amount = money.exact(median)
        if amount > limit.amount and first is None:
            first = (day, limit)
        # As long as it is hardly more than the limit, it may be less.
        is_clear = is_clear or 100 * amount > 101 * money.exact(limit.amount)
    if first is None or not is_clear:
        return None
    return Outlook(rule.name, first[1], first[0], Money(coming[-1][2], currency))
