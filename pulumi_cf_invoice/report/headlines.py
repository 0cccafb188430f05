"""
The headline: a report's worst fact in one sentence, in money or days.

From worst to mildest: an exceeded mandatory limit on money or a gateway without one, credits that
are used up or run out within a rule's days, something that could not be judged, another violated
mandatory rule, a forecast over a mandatory limit, an advisory limit, and anything within its
limits.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum
from functools import cached_property

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import named, quoted
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.invoice import EARLIEST_PROJECTION, Invoice
from pulumi_cf_invoice.billing.models import instant
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.forecast.days import DAY
from pulumi_cf_invoice.forecast.periods import period_name
from pulumi_cf_invoice.report.judging import POLICY, TITLES, RuleResult, verdict_of, verdict_text
from pulumi_cf_invoice.report.outlooks import Outlook
from pulumi_cf_invoice.rules.on_accounts import used_up
from pulumi_cf_invoice.rules.on_forecasts import FORECAST, RUNWAY
from pulumi_cf_invoice.rules.on_invoices import AMOUNT_DUE, PROJECTED_AMOUNT_DUE
from pulumi_cf_invoice.rules.on_stacks import SPEND_LIMITS
from pulumi_cf_invoice.rules.rule import Finding, without_account

_SUBJECTS = (AMOUNT_DUE, FORECAST, PROJECTED_AMOUNT_DUE)
_LONGEST_REASON = 300
_LONGEST_QUOTE = 160
_CLOSE = 95
"""The percent of a limit from which on a forecast is close to it."""


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
class Fact:
    """
    A fact that a headline can state, and how bad it is.

    ``text`` begins in lower case, without a verdict; what others wrote in it is marked (`named`).
    ``limit`` is the one that it names, if any, and ``amount`` is what it compares with it.
    """

    rank: Rank
    text: str
    limit: Money | None = None
    order: tuple[int, Decimal] = (0, Decimal(0))
    amount: Money | None = None
    says_amount: bool = False
    """Whether the text has the amount due."""
    says_forecast: bool = False
    """Whether the text has what the amount due will come to."""
    is_hypothetical: bool = False
    """Whether it holds only without the automatic top-up, which works."""
    day: date | None = None
    """The UTC day whose spend it is about, if it is one."""
    is_of_another: bool = False
    """Whether it is about another account than the invoice's, which it names."""

    @property
    def badness(self) -> tuple[Rank, tuple[int, Decimal]]:
        """The sort key among facts, the worst first."""
        return self.rank, self.order


@dataclass(frozen=True)
class Expected:
    """
    What the amount due is expected to come to, in minor units of the invoice's currency.

    ``highest`` is the 90th percentile of a forecast, where it has one. What is no forecast
    (``is_forecast``) is a straight line.
    """

    amount: float
    highest: float | None
    is_forecast: bool

    @property
    def most(self) -> Decimal:
        """The highest amount that is known to be likely."""
        return money.exact(self.amount if self.highest is None else self.highest)


@dataclass(frozen=True)
class Situation:
    """The input of a headline: an invoice, how it was judged, and what else is known."""

    invoice: Invoice
    account_id: str | None
    as_of: datetime
    rules: Sequence[RuleResult]
    outlook: Outlook | None
    upper_outlook: Outlook | None
    other_forecasts: Mapping[str, str]
    """What tells the forecast of a rule from the one shown, by the rule's name."""
    credits: CreditBalance | None
    limit: Money | None
    """The limit on the amount due that a reader is shown, if there is one."""
    expected: Expected | None
    """What is expected to be due; None where nothing can be said, or the period has ended."""
    is_too_early: bool
    """Whether nothing can be said because the period has just begun."""
    stale: str = ""
    """That the figures are older than a day, in a few words; empty if they are not."""
    unusual: str = ""
    """What was spent in less time than usual, in a sentence's middle; empty if nothing was."""

    @cached_property
    def worst(self) -> Fact:
        """The worst fact."""
        violation = self.worst_violation
        facts = [*([violation] if violation else []), *self._other_facts()]
        return min(facts, key=lambda fact: fact.badness)

    @cached_property
    def worst_violation(self) -> Fact | None:
        """The worst fact that violates a rule; None if none does."""
        violated = worst_violated(self.rules)
        return self._fact(*violated) if violated else None

    @property
    def begins_with_age(self) -> bool:
        """
        Whether the headline begins with the age of the figures: what is worse than an outlook comes
        before it, and so does a fact about another account.
        """
        return bool(self.stale) and self.worst.rank >= Rank.OUTLOOK and not self.worst.is_of_another

    @property
    def begins_elsewhere(self) -> bool:
        """Whether the headline begins with a fact about another account."""
        is_last = self.worst.is_hypothetical and self.outlook is not None
        return self.worst.is_of_another and not is_last

    @property
    def headline(self) -> str:
        """The worst fact in a sentence, after the verdict if it does not speak for itself."""
        if self.begins_with_age:
            return f"{self.stale}: {self._then}."
        rank, sentence = self.worst.rank, f"{self.sentence}{self._at_last}"
        if rank is Rank.WITHIN:
            return f"{self._within}."
        if rank is Rank.UNKNOWN:
            return f"{title_of_unknown(self.rules)}: {sentence}."
        titles = {
            Rank.OVER: f"{verdict_text('over', self.rules)}: ",
            Rank.OUTLOOK: "Within budget so far: ",
            Rank.ADVISORY: f"{verdict_text('advisory', self.rules)}: ",
        }
        return f"{titles[rank]}{sentence}." if rank in titles else f"{_capitalized(sentence)}."

    @property
    def headline_of_unknown(self) -> str:
        """The headline where something besides the invoice makes the verdict unknown."""
        if self.worst.rank is Rank.UNKNOWN:
            return self.headline
        age = f"{uncapitalized(self.stale)}: " if self.begins_with_age else ""
        return f"{TITLES['unknown']}: {age}{self.sentence}{self._at_last}."

    @property
    def _at_last(self) -> str:
        """The age of the figures, at the end of a headline that has it nowhere else."""
        if not self.stale or self.begins_with_age or self.worst.is_of_another:
            return ""
        return f"; {uncapitalized(self.stale)}"

    @property
    def _then(self) -> str:
        """What old figures were, after a colon."""
        if self.worst.rank is not Rank.WITHIN:
            return self.sentence
        due, verdict = self._due(""), verdict_of(self.rules)
        if verdict == "none":
            return due
        title = verdict_text(verdict, self.rules)
        coming = f"; {self.closeness}" if self.closeness else self._limit_text
        return f"{title[0].lower()}{title[1:]} then, with {due}{coming}"

    @property
    def sentence(self) -> str:
        """The worst fact, what is due so far, and what is coming, without a verdict."""
        fact, outlook = self.worst, self.outlook
        if fact.rank is Rank.OUTLOOK:
            return f"{self._due('')}; {fact.text}"
        if fact.rank is Rank.WITHIN and self.may_pass:
            return f"{self._due('')}; {self.closeness}"
        if fact.is_hypothetical and outlook is not None:
            # What is coming comes before what a top-up keeps from coming.
            return f"{self._whose}{outlook.text}; {self.due_so_far}; {fact.text}"
        text, coming = fact.text, outlook.text if outlook else self._forecast
        if fact.says_forecast and not fact.is_of_another:
            # A 90th percentile, or a forecast with other fixed lines, passes it on a different day.
            compared = (fact.amount, fact.limit)
            is_same = outlook is not None and compared == (outlook.amount, outlook.limit)
            text += f", which it {outlook.passes} {outlook.when}" if outlook and is_same else ""
            coming = outlook.text if outlook and not is_same else ""
        so_far = "" if fact.says_amount else f"{self._whose}{self.due_so_far}"
        return "; ".join(part for part in (text, so_far, coming) if part)

    @property
    def _whose(self) -> str:
        """Whose figures are the invoice's, and how old, beside another account's; else empty."""
        if not self.worst.is_of_another:
            return ""
        whose = f"account {self.account_id}" if self.account_id else "the invoice here"
        age = f" ({uncapitalized(self.stale)})" if self.stale else ""
        return f"{whose}{age}: "

    @property
    def due_so_far(self) -> str:
        """What is due so far, and how much of the period that is: ``$188.46 so far in …``."""
        return self._due(" so far")

    def _due(self, so_far: str) -> str:
        invoice = self.invoice
        period = period_name(invoice.period_start, invoice.period_end)
        amount = invoice.amount_due_text
        if invoice.amount_due < 0:
            amount = f"{money.to_text(-invoice.amount_due, invoice.currency)} in your favour"
        if not invoice.amount_due and not invoice.invoice_lines:
            amount = "nothing used"
        if self.as_of.timestamp() < invoice.period_start:
            return f"{amount} for {period}, which has not begun"
        day = day_of_period(invoice, self.as_of)
        if day is None:
            return f"{amount} for {period}, which has ended"
        return f"{amount}{so_far} {'for' if period[0].isdigit() else 'in'} {period} ({day})"

    @property
    def _forecast(self) -> str:
        """What the amount due will come to, in a few words; empty where nothing can be said."""
        if self.is_too_early:
            starts = instant(self.invoice.period_start) + EARLIEST_PROJECTION
            return f"no forecast before {starts:%H:%M} UTC"
        if self.expected is None or self.expected.amount <= 0:
            return ""
        rough = money.to_rough_text(self.expected.amount, self.invoice.currency)
        return f"forecast {rough}" if self.expected.is_forecast else f"{rough} by a straight line"

    @property
    def _within(self) -> str:
        verdict = verdict_of(self.rules)
        if verdict == "none":
            return _capitalized(self.sentence)
        title = verdict_text(verdict, self.rules)
        if self.limit is None or not self._is_judged:
            return f"{title}: {self.sentence}"
        if self.may_pass:
            return f"{title} so far: {self.sentence}"
        if self.unusual and not self.is_too_early:
            title = f"{title}, but {self.unusual}"
        elif self.closeness:
            return f"{title}, but close: {self.due_so_far}; {self.closeness}"
        coming = ", ".join(filter(None, [self._forecast, f"limit {self.limit.text}"]))
        if self.is_too_early:
            due = self.unusual or self._due("")
            return f"{title} so far: {due}; {coming}"
        return f"{title}: {self.due_so_far}; {coming}"

    @property
    def _limit_text(self) -> str:
        return f", limit {self.limit.text}" if self.limit and self._is_judged else ""

    @property
    def may_pass(self) -> bool:
        """
        Whether the limit, which was judged, may be passed before the period ends.

        The 90th percentile of the forecast passes it, or comes close to it where no range is known.
        """
        if self.upper_outlook is not None:
            return True
        return self.is_close and self.expected is not None and self.expected.highest is None

    @property
    def is_close(self) -> bool:
        """
        Whether what is expected nearly uses up the limit, or passes it, while the amount due does
        not.
        """
        expected, limit = self.expected, self.limit
        if expected is None or limit is None or not self._is_judged:
            return False
        if self.invoice.amount_due > limit.amount:
            return False
        return 100 * expected.most >= _CLOSE * money.exact(limit.amount)

    @property
    def closeness(self) -> str:
        """How little what is expected leaves of the limit; empty where it leaves enough."""
        expected, limit = self.expected, self.limit
        if self.upper_outlook is not None:
            return self.upper_outlook.text
        if expected is None or limit is None or not self.is_close:
            return ""
        most, limit_text = expected.most, money.to_rough_text(*limit)
        amount = money.to_rough_text(most, limit.currency)
        compared = "may pass" if expected.is_forecast else "passes"
        if most <= limit.amount:
            # What is left is small, and has to agree with what it is left of.
            amount, limit_text = money.to_text(most, limit.currency), limit.text
            left = money.to_text(money.total([limit.amount], less=[most]), limit.currency)
            compared = f"leaves {left} of"
        if not expected.is_forecast:
            return (
                f"a straight line to {amount} {compared} the limit of {limit_text}, without a range"
            )
        if expected.highest is None:
            return (
                f"the forecast of {amount} {compared} the limit of {limit_text}, with no range yet"
            )
        return f"the forecast of up to {amount} {compared} the limit of {limit_text}"

    @property
    def margin_text(self) -> str:
        """How much more than expected would pass a limit that is close, in a sentence; or empty."""
        expected, limit = self.expected, self.limit
        if expected is None or limit is None or self.worst.rank is not Rank.WITHIN:
            return ""
        is_later = self.upper_outlook is not None and self.upper_outlook.limit != limit
        if is_later or not (self.is_close or self.may_pass):
            return ""
        left = money.total([limit.amount], less=[expected.amount])
        rest = money.total([expected.amount], less=[self.invoice.amount_due])
        if left < 0 or rest <= 0 or left >= rest:
            return ""
        share = math.ceil(100 * left / rest)
        more = f"{share}% more" if share else "any more"
        period = period_name(self.invoice.period_start, self.invoice.period_end)
        than = "than forecast" if expected.is_forecast else "a day than so far"
        return f"The limit is passed if the rest of {period} costs {more} {than}."

    def _other_facts(self) -> Iterator[Fact]:
        """Yield what is no violation."""
        credits = self.credits
        if credits is not None and credits.balance <= 0 and not credits.topup_is_healthy:
            yield Fact(Rank.CREDITS, used_up(credits, self.invoice.currency))
        if verdict_of(self.rules) == "unknown":
            yield self._unjudged
        if self.outlook is not None:
            outlook = self.outlook
            yield Fact(Rank.OUTLOOK, outlook.text, outlook.limit, outlook.order)
        yield Fact(
            Rank.WITHIN,
            self._warning or self.due_so_far,
            self.limit,
            self._first_to_watch,
            # What is unusual of the first hour is all that is due.
            says_amount=not self._warning or self.is_too_early,
        )

    @property
    def _warning(self) -> str:
        """What was spent in less time than usual, where there are rules that do not judge it."""
        return self.unusual if verdict_of(self.rules) != "none" else ""

    @property
    def _first_to_watch(self) -> tuple[int, Decimal]:
        """
        The sort key among invoices within their limits: those that may pass one come first, then
        those with unusual spend, and those that come close to a limit.
        """
        if self.upper_outlook is not None:
            return self.upper_outlook.order
        if self._warning and not self.may_pass:
            return 2, Decimal(0)
        if not self.is_close or self.expected is None or self.limit is None:
            return 4, Decimal(0)
        limit = money.exact(self.limit.amount)
        share = self.expected.most / limit if limit else self.expected.most
        return 1 if self.may_pass else 3, -share

    @property
    def _unjudged(self) -> Fact:
        """That no rule was judged, and why, if it can be said in a few words."""
        own = [rule for rule in self.rules if rule.is_to_judge]
        violated = {self._text(rule, found)[0] for rule in own for found in rule.violations[:1]}
        notes = {note for rule in own for note in rule.reasons}
        reasons = {without_account(note, str(self.account_id)).rstrip(".") for note in notes}
        reasons |= violated
        order = (9, Decimal(0))
        if len(reasons) != 1:
            return Fact(Rank.UNKNOWN, "no rule was judged", order=order)
        text = f"no rule was judged, as {uncapitalized(_cut(reasons.pop()))}"
        accounts = {finding.account_id for rule in own for finding in rule.findings}
        is_elsewhere = bool(accounts) and not accounts & {None, self.account_id}
        return Fact(Rank.UNKNOWN, text, order=order, is_of_another=is_elsewhere)

    @property
    def _is_judged(self) -> bool:
        return any(f.subject == AMOUNT_DUE for rule in self.rules for f in rule.findings)

    def _fact(self, rule: RuleResult, finding: Finding) -> Fact:
        text, says_amount = self._text(rule, finding)
        says_forecast = self._is_forecast(finding) and not self._is_of_another(finding)
        rank = _rank(rule, finding)
        unaided = rank is Rank.FAILED and finding.is_refilled
        return Fact(
            rank,
            text,
            finding.limit,
            _order(finding),
            finding.amount,
            says_amount,
            says_forecast,
            unaided,
            finding.day,
            finding.account_id not in (None, self.account_id),
        )

    def _is_forecast(self, finding: Finding) -> bool:
        """Return whether *finding* is on a forecast, or on a straight line where there is none."""
        if finding.subject == PROJECTED_AMOUNT_DUE:
            return self.expected is None or not self.expected.is_forecast
        return finding.subject == FORECAST

    def _text(self, rule: RuleResult, finding: Finding) -> tuple[str, bool]:
        """Return a short form of a finding, and whether it states the amount due."""
        other = finding.account_id not in (None, self.account_id)
        age = f" ({finding.age})" if finding.age else ""
        where = f"account {finding.account_id}{age}: " if other else ""
        is_compared = finding.limit is not None and finding.excess is not None
        if finding.amount is not None and is_compared and not self._is_of_another(finding):
            says_amount = finding.subject == AMOUNT_DUE and finding.status != "unknown"
            return (
                f"{where}{self._amount_against_limit(rule, finding, finding.amount)}",
                says_amount and not other,
            )
        if rule.kind == POLICY:
            # Pulumi has a policy's description before what it says.
            _, _, message = finding.marked.partition(". ")
            quote = quoted(_cut(message or finding.marked).rstrip("."), _LONGEST_QUOTE)
            return f"a policy pack {_done(rule, finding)}, saying {quote}", False
        account = str(finding.account_id or self.account_id)
        brief = _question(without_account(finding.brief or finding.marked, account))
        return f"{where}{_cut(brief.rstrip('.'))}", False

    def _is_of_another(self, finding: Finding) -> bool:
        """Whether *finding* is on other figures: of another account, or as of a period before."""
        if finding.subject == AMOUNT_DUE and finding.amount is not None:
            if finding.account_id not in (None, self.account_id):
                return True
            return finding.amount != Money(self.invoice.amount_due, self.invoice.currency)
        if finding.of_line and finding.amount is not None:
            same = (line for line in self.invoice.invoice_lines if line.name == finding.subject)
            net = money.total(line.net for line in same)
            return finding.amount != Money(money.number(net), self.invoice.currency)
        is_to_come = finding.subject in (FORECAST, PROJECTED_AMOUNT_DUE) and finding.excess
        return bool(is_to_come) and self.invoice.period_text not in finding.marked

    def _amount_against_limit(self, rule: RuleResult, finding: Finding, amount: Money) -> str:
        period = period_name(self.invoice.period_start, self.invoice.period_end)
        if finding.status == "unknown" and finding.limit is not None:
            currency = amount.currency.upper()
            return f"the limit of {finding.limit.text} is not in {currency}, as the invoice is"
        compared = f", {finding.excess}"
        if finding.subject == AMOUNT_DUE:
            return f"{self.due_so_far}{compared}"
        if finding.subject in (FORECAST, PROJECTED_AMOUNT_DUE):
            which = self.other_forecasts.get(rule.name)
            forecast = f"forecast {which}" if which else "forecast"
            what = forecast if finding.subject == FORECAST else "straight-line projection"
            up_to = "up to " if finding.is_upper else ""
            return f"the {what} is {up_to}{amount.text} for {period}{compared}"
        if finding.of_line:
            return f"{named(finding.subject, 60)} is {amount.text}{compared}"
        if finding.is_minimum:
            return f"credits are down to {amount.text}{compared}"
        if finding.subject == "increase":
            return f"the upcoming invoice rose by {amount.text} since the last update{compared}"
        if finding.subject == SPEND_LIMITS:
            # Whoever raises that limit has capped nothing else.
            capped = "gateways"
            if finding.is_uncapped:
                capped = "not every gateway has a spend limit, and those that do"
            return f"{capped} may spend {amount.text} in a month{compared}"
        return f"the {finding.subject} is {amount.text}{compared}"


def worst_violated(rules: Iterable[RuleResult]) -> tuple[RuleResult, Finding] | None:
    """Return the worst violation of *rules*, on whatever account; None if there is none."""
    violations = ((rule, finding) for rule in rules for finding in rule.violations)
    # There can be tens of thousands, and words take longer than a comparison.
    return min(violations, key=lambda pair: _badness(*pair), default=None)


def title_of_unknown(rules: Sequence[RuleResult]) -> str:
    """Return the verdict before a fact that is not known, though another may be violated."""
    if verdict_of(rules) != "over":
        return TITLES["unknown"]
    return f"{verdict_text('over', rules)}, and not fully judged"


def _capitalized(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def uncapitalized(text: str) -> str:
    """Return *text* as it goes on in a sentence; an abbreviation, such as HTTP, stays one."""
    return text if text[1:2].isupper() else f"{text[:1].lower()}{text[1:]}"


def day_of_period(invoice: Invoice, at: datetime) -> str | None:
    """
    Return how much of an invoice's period, which has begun, is over: ``day 15 of 30``.

    None once it has ended.
    """
    if at.timestamp() >= invoice.period_end:
        return None
    days = max(round((invoice.period_end - invoice.period_start) / DAY), 1)
    day = int((at.timestamp() - invoice.period_start) // DAY) + 1
    return f"day {min(day, days)} of {days}"


def _question(message: str) -> str:
    """Turn what a message says is not known into what could not be told."""
    found = re.match(r"(whether|how long) (.*?) is not known[,:]? ?(.*)", message, re.I | re.S)
    if found is None:
        return uncapitalized(message)
    opening, what, why = found.groups()
    separator = ", " if why.startswith("since ") else ": "
    return f"{opening.lower()} {what}{f'{separator}{why}' if why else ''}"


def _done(rule: RuleResult, finding: Finding) -> str:
    """Say what a policy pack did with a *finding*."""
    if rule.is_mandatory:
        return "blocked the preview"
    return "could not judge everything yet" if finding.status == "unknown" else "warned"


def _rank(rule: RuleResult, finding: Finding) -> Rank:
    if finding.subject == RUNWAY and finding.status == "failed" and not finding.is_refilled:
        return Rank.CREDITS
    if not rule.is_mandatory:
        return Rank.ADVISORY
    if finding.status == "unknown":
        return Rank.UNKNOWN
    return Rank.OVER if finding.status == "over" or finding.is_uncapped else Rank.FAILED


def _badness(rule: RuleResult, finding: Finding) -> tuple[Rank, tuple[int, Decimal], bool]:
    """Return the sort key among violations: one with an amount says more than one without."""
    return _rank(rule, finding), _order(finding), finding.amount is None


def _order(finding: Finding) -> tuple[int, Decimal]:
    """
    Return by what *finding* comes among those of its rank: its subject, and then its excess, or the
    day on which credits run out.
    """
    by = Decimal(finding.runs_out.toordinal() if finding.runs_out else 0)
    if finding.amount is not None and finding.limit is not None:
        excess = money.total([finding.amount.amount], less=[finding.limit.amount])
        by = excess if finding.is_minimum else -excess
    if finding.is_uncapped:
        by = -Decimal("Infinity")
    subjects = (*_SUBJECTS, finding.subject)
    return subjects.index(finding.subject) + (finding.status == "unknown"), by


def _cut(text: str) -> str:
    """Return the first sentence of what may be long, such as an error with what to do."""
    first = text.split(". ")[0]
    return first if len(first) <= _LONGEST_REASON else f"{first[: _LONGEST_REASON - 1]}…"
