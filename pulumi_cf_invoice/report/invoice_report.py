"""
One invoice of a report: what is due, how the rules judged it, what is coming, and what changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import named, one_line, shown
from pulumi_cf_invoice.billing.invoice import EARLIEST_PROJECTION, Invoice
from pulumi_cf_invoice.billing.models import counted, instant
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import foreign
from pulumi_cf_invoice.forecast import Forecast
from pulumi_cf_invoice.forecast.bill import bill_of
from pulumi_cf_invoice.forecast.periods import period_name
from pulumi_cf_invoice.report import spikes
from pulumi_cf_invoice.report.account import AccountReport
from pulumi_cf_invoice.report.caveats import Caveat
from pulumi_cf_invoice.report.changes import Comparison, compare
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.headlines import (
    Expected,
    Rank,
    Situation,
    day_of_period,
    uncapitalized,
)
from pulumi_cf_invoice.report.judging import (
    RuleResult,
    Verdict,
    has_outgrown,
    verdict_of,
    verdict_text,
)
from pulumi_cf_invoice.report.months import (
    BY_USAGE,
    AgainstLastMonth,
    Month,
    Months,
    fees_of,
    lines_of_last_month,
    without_fees,
)
from pulumi_cf_invoice.report.outlooks import Outlook, is_clearly_over, outlook_of
from pulumi_cf_invoice.rules.on_forecasts import FORECAST, RUNWAY, MaxForecast, MinRunway
from pulumi_cf_invoice.rules.on_invoices import (
    AMOUNT_DUE,
    INCOMPLETE,
    PROJECTED_AMOUNT_DUE,
    TOO_EARLY,
)
from pulumi_cf_invoice.rules.rule import Finding, without_account
from pulumi_cf_invoice.state import InvoiceState

_OF_WHOLE = (AMOUNT_DUE, PROJECTED_AMOUNT_DUE, FORECAST)
_WHOLE = 0.95
_CLOCKS_DIFFER = timedelta(minutes=5)
_SAME_TIME = timedelta(hours=1)
"""
How much older than the invoice a snapshot may be that a forecast of it is made from, if what is due
has not outgrown it.
"""
_MUCH = 0.02
"""The share of last month that is much for the first hour of this one."""
_QUIET: Mapping[Verdict, int] = {"within": 1, "none": 2}
"""How much milder than a warning those are that need no attention."""


@dataclass(frozen=True)
class Budget:
    """A limit on the whole invoice, by the name of its rule."""

    name: str
    is_mandatory: bool
    limit: Money
    is_projected: bool = False
    """Whether it limits the invoice's own projection, which assumes that credits and fees go on."""
    is_by_other: bool = False
    """Whether it limits a forecast with other fixed lines than the one shown."""

    @property
    def kind(self) -> str:
        """What it is called: a limit that is only advisory says so."""
        return "limit" if self.is_mandatory else "advisory limit"

    @property
    def text(self) -> str:
        """The rule and its limit, for people."""
        return f"{self.name} {self.limit.text}{'' if self.is_mandatory else ' (advisory)'}"


@dataclass(frozen=True)
class InvoiceReport:
    """
    One invoice of a report, and how the rules judged it. ``at`` is the report's time, in UTC.

    ``names`` say where it was found, as ``project/stack`` or as a user calls it, ``caveats`` what a
    reader has to know of the figures, and ``explanations`` what else helps, a sentence each.
    ``account`` is what else was read of the account, if anything was. ``last_month`` is a baseline
    of the period before, which was nearly over when it was read where ``last_month_is_whole``.
    """

    state: InvoiceState
    at: datetime
    rules: Sequence[RuleResult]
    comparison: Comparison | None
    caveats: Sequence[Caveat] = ()
    explanations: Sequence[str] = ()
    names: Sequence[str] = ()
    account: AccountReport | None = None
    last_month: Invoice | None = None
    last_month_is_whole: bool = False

    @property
    def invoice(self) -> Invoice:
        """The invoice itself."""
        return self.state.invoice

    @property
    def notes(self) -> list[str]:
        """What is to be known of the figures: the caveats, and then the explanations."""
        return [*(caveat.text for caveat in self.caveats), *self.explanations]

    @property
    def as_of(self) -> datetime:
        """The time of the figures: when they were read, as far as that is known."""
        return self.state.as_of(self.at)

    @property
    def account_id(self) -> str | None:
        """The account of the invoice, if it is known."""
        return self.state.account_id

    @property
    def title(self) -> str:
        """Where the invoice was found, and its account, as far as known."""
        if not self.names:
            return f"Account {self.account_id}" if self.account_id else ""
        account = [f"account {self.account_id}"] if self.account_id else []
        return ", ".join([*map(named, self.names), *account])

    @property
    def verdict(self) -> Verdict:
        """The verdict of the rules on this invoice."""
        return verdict_of(self.rules)

    @property
    def verdict_text(self) -> str:
        """The verdict for people, briefly."""
        return verdict_text(self.verdict, self.rules)

    @cached_property
    def tone(self) -> Verdict:
        """The verdict, or ``advisory`` where nothing is violated and the headline is a warning."""
        situation = self.situation
        is_warned = bool(situation.may_pass or situation.stale or situation.unusual)
        warns = situation.worst.rank < Rank.ADVISORY or (is_warned and bool(self.rules))
        return "advisory" if warns and self.verdict in ("within", "none") else self.verdict

    @property
    def badness(self) -> tuple[Rank, int, tuple[int, Decimal]]:
        """The sort key among invoices, the worst fact first: a warning comes before none."""
        rank, order = self.situation.worst.badness
        return rank, _QUIET.get(self.tone, 0), order

    @property
    def tone_text(self) -> str:
        """The verdict for people, in few words, which says where it may not last."""
        may_not_last = self.verdict == "within" and self.tone == "advisory"
        if not may_not_last:
            return self.verdict_text
        return f"{self.verdict_text} {'then' if self.situation.stale else 'so far'}"

    def doubt(self, rule: RuleResult) -> str:
        """
        Why a *rule* that is within its limit may soon be over it, in a few words; empty if nothing
        suggests that.
        """
        if rule.gate and not rule.gate.is_on(self.account_id):
            return ""
        if self.situation.stale:
            return f"as of {self.as_of:%Y-%m-%d}"
        outlook = self._outlook([rule]) or self._outlook([rule], is_upper=True)
        if outlook is not None:
            return outlook.text
        is_headline_limit = self.limit is not None and self.limit.name == rule.name
        if is_headline_limit and self.situation.may_pass and self.upper_outlook is None:
            return self.situation.closeness
        if is_headline_limit and self.first_hour_text:
            return "too early for a forecast"
        return "after a day of unusual spend" if is_headline_limit and self.spike else ""

    @cached_property
    def situation(self) -> Situation:
        """The input of the headline."""
        return Situation(
            invoice=self.invoice,
            account_id=self.account_id,
            as_of=self.as_of,
            rules=self.rules,
            outlook=self.outlook,
            upper_outlook=self.upper_outlook,
            other_forecasts={name: _which(globs) for name, (globs, _) in self._by_others.items()},
            credits=self.account.credit_balance if self.account else None,
            limit=self.limit.limit if self.limit else None,
            expected=self._expected,
            is_too_early=self._is_too_early,
            stale=self._age,
            unusual=self._unusual,
        )

    @property
    def _expected(self) -> Expected | None:
        amount, how = self.expected
        if amount is None or self.as_of.timestamp() >= self.invoice.period_end:
            return None
        highest = self.forecast.amount_due_p90 if self.forecast and not how else None
        return Expected(amount, highest, is_forecast=not how)

    @property
    def _is_too_early(self) -> bool:
        if self.as_of.timestamp() < self.invoice.period_start:
            return False
        if self.forecast is not None:
            return self.forecast.is_too_early
        return self._can_be_projected and self.projected_amount_due is None

    @property
    def due_until(self) -> str:
        """Until when the amount due is known, for people: ``so far, day 15 of 30``."""
        if self.as_of.timestamp() < self.invoice.period_start:
            return "the period has not begun"
        day = day_of_period(self.invoice, self.as_of)
        if day is None:
            return "the period has ended"
        return f"on {day}" if self._age else f"so far, {day}"

    @property
    def headline(self) -> str:
        """The worst fact in a sentence."""
        return shown(self.marked_headline)

    @cached_property
    def marked_headline(self) -> str:
        """The headline, in which what others wrote is marked (`named`)."""
        return self.situation.headline

    @cached_property
    def outlook(self) -> Outlook | None:
        """
        The first mandatory limit that the forecast passes before the period ends.

        None where the amount due is over it already, and where there is no such limit or no
        forecast.
        """
        return self._outlook([rule for rule in self.rules if rule.is_mandatory])

    @cached_property
    def upper_outlook(self) -> Outlook | None:
        """
        The limit that the forecast's 90th percentile passes before the period ends.

        It is a mandatory one, or where there is none an advisory one. None where there is no such
        limit, or no band.
        """
        mandatory = any(budget.is_mandatory for budget in self.budgets)
        rules = [rule for rule in self.rules if rule.is_mandatory or not mandatory]
        return self._outlook(rules, is_upper=True)

    @property
    def is_foreseen(self) -> bool:
        """Whether there is an outlook to judge: from daily usage, or none as the period is over."""
        if self.as_of.timestamp() >= self.invoice.period_end:
            return True
        return self.forecast is not None and self.forecast.is_forecast

    def _outlook(self, rules: Sequence[RuleResult], *, is_upper: bool = False) -> Outlook | None:
        if self.forecast is None or not self.forecast.is_forecast:
            return None
        own = (None, self.account_id)
        today = max(self.as_of, self.at).date()
        found = []
        for rule in rules:
            if any(f.subject == AMOUNT_DUE and f.account_id in own for f in rule.violations):
                continue
            which, forecast = "", self.forecast
            if rule.name in self._by_others:
                globs, forecast = self._by_others[rule.name]
                which = _which(globs)
            coming = _amounts(forecast, is_upper)
            of_rule = (coming, rule, self.account_id, self.invoice)
            found.append(outlook_of(*of_rule, today, which, is_upper))
        known = filter(None, found)
        return min(known, key=lambda outlook: (outlook.date, outlook.limit.amount), default=None)

    @cached_property
    def _by_others(self) -> dict[str, tuple[tuple[str, ...], Forecast]]:
        """The fixed lines and the forecast of rules with others than those shown, by their name."""
        return _other_forecasts(_fixed_lines(self.rules), self.account) if self.account else {}

    @property
    def limit(self) -> Budget | None:
        """
        The limit shown to a reader: the lowest mandatory one, or the lowest of all.

        None is shown beside a forecast with which its rule does not compare it.
        """
        budgets = [budget for budget in self.budgets if not budget.is_by_other]
        mandatory = [budget for budget in budgets if budget.is_mandatory]
        return next(iter([*mandatory, *budgets]), None)

    @cached_property
    def months(self) -> Months | None:
        """The previous months, if anything besides the invoice was read of the account."""
        return Months(self.invoice, self.account, self.forecast) if self.account else None

    @cached_property
    def against_last_month(self) -> AgainstLastMonth | None:
        """This period compared with the previous one, if known."""
        lines = lines_of_last_month(self.last_month, self.invoice)
        last = self.months.last if self.months else None
        if last is None and self.last_month is not None and self.last_month_is_whole:
            baseline = self.last_month
            start, end = baseline.period_start, baseline.period_end
            due, currency = baseline.amount_due, baseline.currency
            last = Month(start, end, due, currency, how=" by the baseline")
        if last is None:
            return None
        if last.how == BY_USAGE and self.invoice.invoice_lines_complete:
            return self._against_usage(last)
        amount, how = self.expected
        fees: frozenset[str] = frozenset()
        if self.forecast is not None and self.invoice.invoice_lines_complete:
            fees = fees_of(self.invoice, self._fixed_lines)
        tax = self.invoice.tax_and_adjustments if self.invoice.invoice_lines_complete else 0
        last_tax = self.last_month.tax_and_adjustments if self.last_month and lines else 0
        whole = _whole(lines, last, last_tax)
        return AgainstLastMonth(self.invoice, last, amount, how, whole, fees, tax, last_tax)

    def _against_usage(self, last: Month) -> AgainstLastMonth:
        """Compare with a month by its usage, which has no tax, fees, refunds or earlier lines."""
        invoice, baseline = without_fees(self.invoice, self._fixed_lines), self.last_month
        if baseline is not None and baseline.invoice_lines_complete:
            baseline = without_fees(baseline, self._fixed_lines)
        lines = lines_of_last_month(baseline, invoice)
        amount, how = self.expected
        staying = bill_of(self.invoice, self._fixed_lines)
        left_out: dict[str, float | Decimal] = {
            "tax": self.invoice.tax_and_adjustments,
            "fixed fees": money.total(line.net for line in staying.fees),
            "refunds": money.total(line.net for line in staying.refunds),
            "what is of an earlier period": money.total(line.net for line in staying.earlier),
        }
        if amount is not None:
            amount = money.number(money.total([amount], less=left_out.values()))
        *others, last_name = [name for name, part in left_out.items() if part] or [""]
        named_out = " and ".join(filter(None, [", ".join(others), last_name]))
        how = f"{how} before {named_out}" if named_out else how
        return AgainstLastMonth(invoice, last, amount, how, _whole(lines, last))

    @property
    def _fixed_lines(self) -> tuple[str, ...]:
        return self.account.fixed_lines if self.account else ()

    @cached_property
    def expected(self) -> tuple[float | None, str]:
        """
        What this period is expected to come to, and how that is known if it is not a forecast.
        """
        forecast = self.forecast
        if forecast is not None and (forecast.is_forecast or forecast.has_ended):
            return forecast.amount_due, ""
        # It knows how far credits last, and which lines are fixed.
        has_line = forecast is not None and forecast.is_straight_line
        amount = forecast.amount_due if forecast and has_line else self.projected_amount_due
        return amount, " by a straight line"

    @cached_property
    def projected_amount_due(self) -> float | None:
        """
        The projected amount due in minor units; None if lines are missing, if it is too early, or
        if the invoice's period leaves nothing to project.
        """
        return self.invoice.projected_amount_due(self.as_of) if self._can_be_projected else None

    @property
    def _can_be_projected(self) -> bool:
        invoice = self.invoice
        return invoice.invoice_lines_complete and not invoice.period_problem(self.as_of)

    @cached_property
    def budgets(self) -> list["Budget"]:
        """The limits on the whole invoice that were judged, the lowest first."""
        found: dict[str, Budget] = {}
        for rule in self.rules:
            for finding in rule.findings:
                of_this = finding.account_id in (None, self.account_id) and not finding.of_line
                if of_this and finding.subject in _OF_WHOLE and finding.limit is not None:
                    is_projected = finding.subject == PROJECTED_AMOUNT_DUE
                    is_by_other = rule.name in self._by_others
                    budget = Budget(
                        rule.name, rule.is_mandatory, finding.limit, is_projected, is_by_other
                    )
                    if finding.limit.currency == self.invoice.currency:
                        found.setdefault(rule.name, budget)
        return sorted(found.values(), key=lambda budget: budget.limit.amount)

    @cached_property
    def days_over(self) -> dict[date, dict[str, Finding]]:
        """The days whose spend is over the limit of rules, with what these found, by their name."""
        days: dict[date, dict[str, Finding]] = {}
        for rule in self.rules:
            for finding in rule.findings:
                if finding.day is not None and finding.status == "over":
                    days.setdefault(finding.day, {})[rule.name] = finding
        return dict(sorted(days.items()))

    @property
    def forecast(self) -> Forecast | None:
        """The forecast of the invoice's period, if there is usage or a balance to make it from."""
        forecast = self.account.forecast if self.account else None
        if forecast is None or forecast.period_start != self.invoice.period_start:
            # A preview can be of a later period than the snapshot given with it.
            return None
        return forecast

    @property
    def forecast_text(self) -> str | None:
        """
        The forecast and the limit in a line for a reader in a hurry, and what it rests on.

        It is a straight line if there is no forecast, and None if nothing can be said. It contains
        no words that others wrote.
        """
        return " ".join(filter(None, [self._expected_text, self.forecast_note])) or None

    @property
    def _expected_text(self) -> str | None:
        """The forecast and the limit, as figures."""
        forecast = self.forecast
        straight = self.projected_amount_due
        is_unused = not self.invoice.amount_due and not self.invoice.invoice_lines
        if is_unused or (forecast is not None and forecast.has_ended):
            return None
        if self._is_too_early:
            starts = instant(self.invoice.period_start) + EARLIEST_PROJECTION
            return (
                f"{self.period_name} is less than an hour old: there is no forecast before "
                f"{starts:%Y-%m-%d %H:%M} UTC."
            )
        if forecast is not None:
            text, median = forecast.text, forecast.amount_due
        elif straight is not None:
            rough = money.to_rough_text(straight, self.invoice.currency)
            text, median = f"A straight line to {rough} for {self.period_name}", straight
        else:
            return None
        # The limit is that of the headline, or the headline has none.
        named_limit = self.situation.worst.limit
        limit = self.limit
        if limit is not None and limit.is_projected and forecast is not None:
            # Another straight line, of which the rule speaks.
            return f"{text}."
        if limit is not None and median is not None and named_limit in (None, limit.limit):
            rough = money.to_rough_text(*limit.limit)
            text += f", {self._against(limit, median)} the limit of {rough} ({limit.name})"
        return f"{text}."

    @property
    def forecast_note(self) -> str:
        """What the forecast's figures do not say: why it has no range, or how close a limit is."""
        if self._expected_text is None or self._is_too_early:
            return ""
        forecast = self.forecast
        notes = [self._basis, forecast.range_note if forecast else "", self.situation.margin_text]
        return " ".join(filter(None, notes))

    @property
    def _basis(self) -> str:
        """Why there is only a straight line, if a limit is close to it."""
        forecast = self.forecast
        if forecast is not None and forecast.is_straight_line:
            return forecast.notes[0]
        situation = self.situation
        if forecast is not None or not situation.may_pass or situation.worst.rank < Rank.WITHIN:
            return ""
        return "Without the usage history there is neither a forecast nor a range."

    def _against(self, budget: Budget, median: float) -> str:
        """How a forecast compares with a limit, in the same words as headline and rules."""
        violations = [rule.violations for rule in self.rules if rule.name == budget.name]
        # The median may be within a limit that the 90th percentile violates.
        is_violated = any(not found.is_upper for each in violations for found in each)
        # What is due already may be more than what the forecast of a snapshot knew of.
        is_due = self.invoice.amount_due > budget.limit.amount
        if is_violated or is_due or is_clearly_over(median, budget.limit):
            return "over"
        highest = self.forecast.amount_due_p90 if self.forecast else None
        may_be_over = money.exact(max(median, highest or median)) > budget.limit.amount
        return "perhaps over" if may_be_over else "within"

    @property
    def period_name(self) -> str:
        """The period for people: ``September``."""
        return period_name(self.invoice.period_start, self.invoice.period_end)

    @property
    def summary(self) -> list[str]:
        """
        The lines below the headline: the forecast, last month with what would have been forecast
        for it, and the credits. Words of others are marked.
        """
        return self._lines(self.forecast_text)

    @property
    def summary_below_figures(self) -> list[str]:
        """The `summary` where the figures of the forecast stand above it."""
        forecast = self.forecast
        is_whole = self._is_too_early or (forecast is not None and forecast.track_record is None)
        return self._lines(self.forecast_text if is_whole else self.forecast_note or self._no_date)

    @property
    def _no_date(self) -> str | None:
        """
        A sentence saying that the limit is not expected to be passed, which the figures alone leave
        the reader to work out.
        """
        expected = self.situation.expected
        is_known = expected is not None and expected.is_forecast and expected.highest is not None
        if not is_known or self.limit is None or self.tone != "within":
            return None
        return f"The limit is not expected to be passed in {self.period_name}."

    def _lines(self, forecast: str | None) -> list[str]:
        against = self.against_last_month
        last_month = [against.text if against else None, self._hindsight]
        lines = [
            self.first_hour_text,
            self.unusual_spend_text,
            forecast,
            " ".join(filter(None, last_month)),
            self.credits_text,
        ]
        # What the headline says is not repeated right below it.
        headline = self.marked_headline
        return [line for line in lines if line and line.rstrip(".") not in headline]

    @property
    def days_old(self) -> int:
        """The age of the figures in whole days; 0 where it is not known."""
        return max((self.at - self.as_of).days, 0)

    @property
    def has_ended_since(self) -> bool:
        """Whether the period has ended since the time of the figures."""
        return self.as_of.timestamp() < self.invoice.period_end <= self.at.timestamp()

    @property
    def _age(self) -> str:
        days, has_ended = self.days_old, self.has_ended_since
        if days < 1 and not has_ended:
            return ""
        old = f", {counted(days, 'day')} old" if days else ""
        ended = f", and {self.period_name} has ended since" if has_ended else ""
        return f"Figures of {self.as_of:%Y-%m-%d}{old}{ended}"

    @cached_property
    def first_hour_text(self) -> str | None:
        """The first hour's share of last month, in a sentence, if it is much."""
        last = self.months.last if self.months else None
        if not self._is_too_early or last is None or last.amount <= 0:
            return None
        share = self.invoice.amount_due / last.amount
        if share < _MUCH:
            return None
        due, all_of = self.invoice.amount_due_text, f"{last.name} ({last.rough_text})"
        return f"{due} in the first hour is {share:.0%} of all of {all_of}."

    @cached_property
    def unusual_spend_text(self) -> str | None:
        """The days that cost several times what is usual, where the headline does not name them."""
        if self.situation.worst.day is not None:
            return None
        for days in self.days_over.values():
            return "A day's spend: " + ", ".join(f.text for f in days.values())
        return self.spike.text if self.spike else None

    @cached_property
    def spike(self) -> spikes.Spike | None:
        """The days that cost several times what is usual, where no rule judges its days."""
        findings = (finding for rule in self.rules for finding in rule.findings)
        own = (each for each in findings if each.account_id in (None, self.account_id))
        is_judged = any(finding.day is not None for finding in own)
        if is_judged or self.account is None or self.forecast is None:
            return None
        return spikes.spike(self.account, self.forecast)

    @property
    def _unusual(self) -> str:
        if self.first_hour_text:
            return self.first_hour_text.rstrip(".")
        return self.spike.brief if self.spike else ""

    @property
    def credits_text(self) -> str | None:
        """
        How long the credits last, in a sentence; None where the headline says it, or where a top-up
        that works makes it no matter.
        """
        account, runway = self.account, self.forecast.runway if self.forecast else None
        if account is None or runway is None or self.situation.worst.rank is Rank.CREDITS:
            return None
        if not runway.is_topped_up:
            lasting = f"{runway.lasting[0].upper()}{runway.lasting[1:]}."
            return f"{account.topup_note} {lasting}".strip()
        balance = account.credit_balance
        is_judged = any(f.subject == RUNWAY for rule in self.rules for f in rule.findings)
        if balance is None or not is_judged:
            return None
        return f"The automatic top-up works, and {balance.topup_text(self.invoice.currency)}."

    @property
    def _hindsight(self) -> str | None:
        last = self.forecast.last_period if self.forecast else None
        if last is None or last.as_of is None:
            return None
        known = self.months.last if self.months else None
        if known is None or known.invoice is None:
            return f"{last.hindsight(last.by_usage)}."
        if self._has_more_than_usage or not last.is_about(known.amount):
            # It is not the amount that a reader sees.
            return f"By usage alone, {uncapitalized(last.hindsight(last.by_usage))}."
        return f"{last.hindsight(known.amount)}."

    @property
    def _has_more_than_usage(self) -> bool:
        """Whether the invoice contains more than usage: fixed fees or tax."""
        has_fees = self.account is not None and bool(self.account.fixed_lines)
        return has_fees or bool(self.invoice.tax_and_adjustments)

    @property
    def projected_text(self) -> str:
        """The projected amount due for people."""
        if not self.invoice.invoice_lines_complete:
            return INCOMPLETE
        problem = self.invoice.period_problem(self.as_of)
        if problem:
            return problem
        projected = self.projected_amount_due
        return TOO_EARLY if projected is None else money.to_text(projected, self.invoice.currency)

    @property
    def change_text(self) -> str | None:
        """The change since the baseline for people; None if there is no baseline."""
        if self.comparison is None:
            return None
        if self.comparison.problem:
            return f"not comparable: {self.comparison.problem}"
        return self.comparison.text

    @property
    def short_forecast_text(self) -> str:
        """What the amount due will come to, for a column of a table: the forecast, or a line."""
        amount, _ = self.expected
        if amount is not None:
            return money.to_rough_text(amount, self.invoice.currency)
        return self.projected_text if self.invoice.invoice_lines_complete else "not known"

    @property
    def short_change_text(self) -> str:
        """The change since the baseline where there is one to compare with, else empty."""
        if self.comparison is None or self.comparison.problem:
            return ""
        return self.comparison.short_text

    @property
    def figures(self) -> list[tuple[str, str]]:
        """What a reader wants to know besides the sum of the lines, as name and text."""
        invoice = self.invoice
        rows = [("Period", f"{invoice.period_text} (UTC)"), ("Status", _status(invoice))]
        if self.forecast is None or self.forecast.amount_due is None:
            rows.append(("Straight-line projection", self.projected_text))
        if self.change_text is not None:
            rows.append(("Change since the baseline", self.change_text))
        return [*rows, *(self.account.figures if self.account else [])]


def _whole(lines: dict[str, float] | None, last: Month, tax: float = 0) -> dict[str, float] | None:
    """
    Return last month's *lines* if they are all of it, but for *tax*: half of them make everything
    rise.
    """
    if lines is None or sum(lines.values()) + tax < _WHOLE * last.amount:
        return None
    return lines


def _amounts(forecast: Forecast, is_upper: bool) -> list[tuple[date, datetime, float]]:
    """Return the amount due by each day to come, for `outlook_of`."""
    amounts = ((day.date, day.p90 if is_upper else day.median) for day in forecast.coming)
    return [
        (day, datetime.combine(day, time.max, UTC), float(amount))
        for day, amount in amounts
        if amount is not None
    ]


def _status(invoice: Invoice) -> str:
    return named(invoice.status) if invoice.status else "none"


def invoice_report(
    number: int,
    found: Found,
    at: datetime,
    rules: Sequence[RuleResult],
    fixed_lines: tuple[str, ...],
) -> InvoiceReport:
    """
    Return the report on the invoice that was *found* with this *number*, as of *at*, in UTC.

    Its forecast is made with the globs of *fixed_lines*, if any, and otherwise with those of the
    *rules* that judged it.
    """
    state = found.state
    is_last_month = lines_of_last_month(found.baseline, state.invoice) is not None
    last_month = found.baseline if is_last_month and not found.baseline_problem else None
    on_it = [rule.on(number, state.account_id) for rule in rules]
    account, other_forecasts = None, []
    if found.snapshot is not None:
        judged_with = _fixed_lines(on_it)
        used = fixed_lines or next(iter(judged_with.values()), ())
        account = AccountReport(found.snapshot, state.invoice.currency, fixed_lines=used)
        if _is_outdated(account, state, at):
            account = replace(account, is_outdated=True)
        others = _other_forecasts(judged_with, account)
        other_forecasts = [_told_of(name, *found) for name, found in others.items()]
    report = InvoiceReport(
        state=state,
        at=at,
        rules=[rule for rule in on_it if rule.of_invoices or rule.of_accounts],
        comparison=None
        if found.baseline is None
        else compare(found.baseline, state.invoice, found.baseline_problem),
        caveats=[*found.caveats, *_of_other_addresses(found), *_caveats(state, at, account)],
        explanations=[
            *found.notes,
            *([account.topup_note] if account and not _tells_of_topup(account) else []),
            *other_forecasts,
        ],
        names=found.names,
        account=account,
        last_month=last_month,
        last_month_is_whole=last_month is not None and _is_whole_month(found),
    )
    # What is no part of last month's comparison is told as what cannot be compared.
    against = report.against_last_month if last_month is not None else None
    is_compared = against is not None and against.lines is not None
    return replace(report, comparison=None) if is_compared else report


def _is_whole_month(found: Found) -> bool:
    """Return whether a baseline was read when nearly all of its period was over."""
    baseline, read_at = found.baseline, found.baseline_read_at
    if baseline is None or read_at is None:
        return False
    start, end = baseline.period_start, baseline.period_end
    return read_at.timestamp() - start >= _WHOLE * (end - start)


def _is_outdated(account: AccountReport, state: InvoiceState, at: datetime) -> bool:
    """Return whether what is known of *account* is older than *state*, and of another invoice."""
    known, read_at = account.snapshot.find(INVOICE_PREVIEW), account.snapshot.read_at
    if known == state.invoice:
        return False
    if state.as_of(at) - read_at > _SAME_TIME:
        return True
    foreseen = account.forecast.amount_due if account.forecast else None
    if foreseen is not None and state.invoice.amount_due > foreseen:
        return True
    return known is not None and has_outgrown(state, known, read_at, at)


def _of_other_addresses(found: Found) -> Iterator[Caveat]:
    """Yield which parts of what was *found* come from an address that its figures do not."""
    of_snapshot = foreign(found.snapshot.base_url) if found.snapshot else None
    parts = {
        "The baseline comes": found.baseline_url,
        "What else is known of the account comes": of_snapshot,
    }
    for begins, address in parts.items():
        if address not in (None, found.state.base_url):
            yield Caveat("origin", f"{begins} from {one_line(address)}, not from Cloudflare.")


def _caveats(state: InvoiceState, at: datetime, account: AccountReport | None) -> Iterator[Caveat]:
    """Yield what a reader at the time *at* must know of an invoice, besides where it was found."""
    read_at = state.as_of(at)
    if read_at - at > _CLOCKS_DIFFER:
        when = f"{read_at:%Y-%m-%d %H:%M} UTC, after the report's time, {at:%Y-%m-%d %H:%M} UTC"
        yield Caveat("time", f"The figures are dated {when}: a clock or --at is wrong.")
    if state.origin:
        yield Caveat("origin", state.origin)
    for note in state.invoice.period_notes(read_at):
        yield Caveat("period", note)
    if not state.invoice.invoice_lines_complete:
        yield Caveat("incomplete", "The API gave only a part of the invoice's lines.")
    if account and account.is_outdated:
        taken = f"{account.snapshot.read_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        yield Caveat(
            "time",
            f"The snapshot of {taken} is older than the invoice, so that no forecast is made from "
            "it: take a new one.",
        )
    for note in account.not_available if account else ():
        yield Caveat("incomplete", without_account(note, str(state.account_id)))


def _tells_of_topup(account: AccountReport) -> bool:
    """Return whether there is nothing to say of the top-up that the report does not say anyway."""
    if not account.topup_note:
        return True
    return account.forecast is not None and account.forecast.runway is not None


def _fixed_lines(rules: Sequence[RuleResult]) -> dict[str, tuple[str, ...]]:
    """Return the globs of fixed lines of the *rules* that judged an account's forecast, by name."""
    return {
        rule.name: rule.gate.rule.fixed_lines
        for rule in rules
        if rule.of_accounts
        and rule.gate is not None
        and isinstance(rule.gate.rule, (MaxForecast, MinRunway))
    }


def _other_forecasts(
    judged_with: Mapping[str, tuple[str, ...]], account: AccountReport
) -> dict[str, tuple[tuple[str, ...], Forecast]]:
    """
    Return the fixed lines and the forecast of each rule that was judged by a different forecast
    than the one shown, by its name.
    """
    others = {
        name: (globs, account.forecast_with(globs))
        for name, globs in judged_with.items()
        if globs != account.fixed_lines
    }
    return {name: (globs, made) for name, (globs, made) in others.items() if made is not None}


def _told_of(name: str, globs: tuple[str, ...], forecast: Forecast) -> str:
    """Say by which *forecast*, with *globs* of fixed lines, the rule called *name* was judged."""
    listed = " and ".join(named(glob) for glob in globs)
    fees = f"with the fixed lines {listed}" if globs else "without fixed lines"
    return f"Rule {named(name)} was judged {fees}: {forecast.text}."


def _which(globs: tuple[str, ...]) -> str:
    """Return what tells a forecast with *globs* of fixed lines from the one shown."""
    return "with other fixed lines" if globs else "without fixed lines"
