"""
Kinds of rules on what is coming: the invoice's forecast, and how long the credits last.

They always read their accounts themselves, because no resource has the usage history.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.models import counted, instant
from pulumi_cf_invoice.billing.reads import CREDIT_BALANCE, INVOICE_PREVIEW, USAGE_HISTORY
from pulumi_cf_invoice.rules import settings as rule_settings
from pulumi_cf_invoice.rules.accounts import AccountState
from pulumi_cf_invoice.rules.limits import Limit
from pulumi_cf_invoice.rules.on_accounts import (
    TOPUP,
    refusal,
    running_out,
    topup_trouble,
    unexplained_failure,
    used_up,
)
from pulumi_cf_invoice.rules.on_invoices import (
    INCOMPLETE,
    compared,
    incomplete,
    invoice_of,
    judged_amount_due,
    no_projection,
    too_early,
    unmatched_fixed_lines,
)
from pulumi_cf_invoice.rules.rule import Finding, Rule, held, no_limit
from pulumi_cf_invoice.state import InvoiceState

if TYPE_CHECKING:
    from pulumi_cf_invoice.forecast import Forecast, Runway

FORECAST = "forecast"
RUNWAY = "runway"
_A_DAY = 86_400
_PERCENTILES = {50: "the median", 90: "the 90th percentile"}


@dataclass(frozen=True)
class MaxForecast(Rule):
    """
    The amount due of every listed account, and its forecast from daily usage, are within the limit.

    If the history is too short for a forecast, or for the percentile, only the amount due is
    judged, with a note. If the period has ended, there is nothing to forecast, which is noted. A
    usage history that cannot be read is a violation, and so is, from the second day of a period on,
    usage that the invoice does not charge for.
    """

    name = "max-forecast"
    limits_amount_due = True
    description = "The upcoming AI Gateway invoice is forecast to stay within its limit."
    settings: ClassVar = {
        "limit": rule_settings.LIMIT,
        "percentile": rule_settings.PERCENTILE,
        "fixedLines": rule_settings.FIXED_LINES,
    }
    needs = waivable = ("limit",)
    must_read = True
    also_reads = (USAGE_HISTORY, CREDIT_BALANCE)

    limit: Limit
    percentile: int = 50
    fixed_lines: tuple[str, ...] = ()

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        """Judge the amount due, which can be over without any forecast."""
        limit = self.limit.of(state.account_id)
        if limit is None:
            yield no_limit(f"account {state.account_id}")
        else:
            yield judged_amount_due(state, limit)

    def evaluate_account(self, state: AccountState, at: datetime) -> Iterator[Finding]:
        invoice_state, limit = state.of_invoice, self.limit.of(state.account_id)
        [due] = self.evaluate(invoice_state, at)
        if limit is None or due.violates:
            yield due
            return
        if not invoice_state.invoice.invoice_lines_complete:
            yield incomplete(FORECAST, invoice_state)
            return
        forecast = state.forecast(self.fixed_lines)
        yield from unmatched_fixed_lines(invoice_state, self.fixed_lines)
        problem = invoice_state.invoice.period_problem(state.read_at)
        if problem and forecast.has_ended:
            yield no_projection(invoice_state, problem, FORECAST, "forecast")
            return
        if _is_not_known(forecast, state):
            yield _not_known(FORECAST, state.account_id, forecast.notes[0])
            return
        amount = forecast.percentile(self.percentile)
        unjudged = _unjudged(state, forecast, self.percentile, "amount due")
        if unjudged or amount is None:
            yield due
            yield Finding("noted", FORECAST, lambda: unjudged, is_put_off=_is_put_off(forecast))
            return
        foreseen = held(
            FORECAST,
            amount,
            forecast.currency,
            limit,
            lambda text, over: compared(
                invoice_state,
                f"is forecast to be {text} ({_PERCENTILES[self.percentile]})",
                over,
                f" It is {invoice_state.invoice.amount_due_text} so far. {_basis(forecast)}",
            ),
        )
        is_upper = self.percentile != 50
        # Readers see the median beside it.
        detail = f" ({_PERCENTILES[self.percentile]})" if is_upper else ""
        yield replace(foreseen, is_foreseen=True, is_upper=is_upper, detail=detail)
        refused = state.errors.get(CREDIT_BALANCE.name)
        if refused is not None:
            message = (
                f"How long the credits of account {state.account_id} last is not known, so the "
                f"forecast assumes that they do: {refused}"
            )
            yield Finding("noted", FORECAST, lambda: message)


@dataclass(frozen=True)
class MinRunway(Rule):
    """
    The credits of every listed account last long enough, by the forecast from daily usage.

    Credits that are used up always violate it. If the history is too short for a forecast, or for
    the percentile, nothing else is judged, with a note. If the period has ended, and no forecast
    goes beyond it, that is noted. An automatic top-up counts only if the rule says so, and one that
    failed is reported first. From the second day of a period on, usage that the invoice does not
    charge for violates the rule.
    """

    name = "min-runway"
    description = "The account's AI Gateway credits are forecast to last long enough."
    settings: ClassVar = {
        "days": rule_settings.RUNWAY,
        "percentile": rule_settings.PERCENTILE,
        "topUpSuffices": rule_settings.TOP_UP_SUFFICES,
        "fixedLines": rule_settings.FIXED_LINES,
    }
    needs = waivable = ("days",)
    must_read = True
    reads = (CREDIT_BALANCE,)
    also_reads = (INVOICE_PREVIEW, USAGE_HISTORY)
    remedy = "Buy credits in Cloudflare's dashboard."

    days: int | Literal["period"]
    percentile: int = 50
    top_up_suffices: bool = False
    fixed_lines: tuple[str, ...] = ()

    def evaluate_account(self, state: AccountState, at: datetime) -> Iterator[Finding]:
        balance = state.get(CREDIT_BALANCE)
        if balance.balance <= 0:
            yield _used_up(state, balance)
            return
        topup = _topup_of(state)
        if balance.topup_is_healthy and self.top_up_suffices:
            invoice = state.find(INVOICE_PREVIEW)
            text = balance.topup_text(invoice.currency if invoice else None)
            yield Finding("within", TOPUP, lambda: f"{topup} {text}, which suffices.")
            yield from unexplained_failure(balance, topup)
            return
        found = list(self._of_forecast(state, balance, at))
        if balance.topup_problem and not any(finding.violates for finding in found):
            yield Finding("noted", TOPUP, lambda: topup_trouble(balance, topup))
        yield from found

    def _of_forecast(
        self, state: AccountState, balance: CreditBalance, at: datetime
    ) -> Iterator[Finding]:
        invoice_state = state.of_invoice
        if not invoice_state.invoice.invoice_lines_complete:
            message = f"How long the credits of account {state.account_id} last is {INCOMPLETE}."
            brief = f"how long the credits last, {INCOMPLETE.removeprefix('not known, ')}"
            yield Finding("unknown", RUNWAY, lambda: message, brief=brief)
            return
        forecast = state.forecast(self.fixed_lines)
        yield from unmatched_fixed_lines(invoice_state, self.fixed_lines)
        if _is_not_known(forecast, state):
            yield _not_known(RUNWAY, state.account_id, forecast.notes[0])
            return
        if forecast.has_ended and (self.days == "period" or forecast.track_record is None):
            yield _not_judged(invoice_state)
            return
        unjudged = _unjudged(state, forecast, self.percentile, "balance")
        if unjudged or forecast.runway is None:
            left = balance.balance_text(invoice_state.invoice.currency)
            yield Finding(
                "within", RUNWAY, lambda: f"Account {state.account_id} has {left} of credits left."
            )
            yield Finding("noted", RUNWAY, lambda: unjudged, is_put_off=_is_put_off(forecast))
            return
        yield self._judged(state, balance, forecast, forecast.runway, at)

    def _judged(
        self,
        state: AccountState,
        balance: CreditBalance,
        forecast: "Forecast",
        runway: "Runway",
        at: datetime,
    ) -> Finding:
        needed = self._needed(state.read_at, forecast)
        out = runway.runs_out if self.percentile == 50 else runway.runs_out_early
        is_over = out is not None and out < needed

        brief = None
        if is_over and out is not None:
            brief = running_out(balance, forecast.currency, out, max(state.read_at, at))

        def tell() -> str:
            by = "" if self.percentile == 50 else f", by {_PERCENTILES[self.percentile]}"
            last = (
                f"On account {state.account_id}, {runway.lasting}; they must last until "
                f"{needed} ({self._text}){by}."
            )
            if not is_over:
                return last
            before, after = _topup(state, balance, forecast.currency)
            hint = " The rule does not count it." if balance.topup_is_healthy else ""
            return f"{before}{last}{after}{hint} {refusal(balance)} {_basis(forecast)}"

        return Finding(
            "failed" if is_over else "within",
            RUNWAY,
            tell,
            brief=brief,
            remedy=to_refill(balance) if is_over else "",
            is_refilled=balance.topup_is_healthy,
            runs_out=out if is_over else None,
            is_foreseen=True,
        )

    def _needed(self, now: datetime, forecast: "Forecast") -> date:
        """Return the first day on which the credits may run out."""
        if self.days == "period":
            return instant(forecast.period_end - 1).date() + timedelta(days=1)
        return now.astimezone(UTC).date() + timedelta(days=self.days)

    @property
    def _text(self) -> str:
        if self.days == "period":
            return "the end of the period"
        return counted(self.days, "day")


def _not_judged(state: InvoiceState) -> Finding:
    """Return the note that credits cannot be judged by the invoice of a period that has ended."""
    message = (
        f"The period of the {invoice_of(state)} ({state.invoice.period_text}) has ended: how long "
        "the credits last was not judged."
    )
    return Finding("noted", RUNWAY, lambda: message, brief="the period has ended", is_put_off=True)


def _unjudged(account: AccountState, forecast: "Forecast", percentile: int, judged: str) -> str:
    """Say why only *judged* was judged; empty if the forecast can be."""
    state = account.of_invoice
    if forecast.is_too_early:
        return too_early("a forecast", state, judged, account.read_at)
    if forecast.is_not_known:
        return (
            f"The {invoice_of(state)} does not charge yet for any usage of the period's first day: "
            f"only the {judged} was judged."
        )
    if forecast.is_straight_line:
        return (
            f"There is only a straight line for the {invoice_of(state)}, which is no forecast: "
            f"only the {judged} was judged. {forecast.notes[0]}"
        )
    if percentile != 50 and forecast.track_record is None:
        return (
            f"The forecast of the {invoice_of(state)} has no band with "
            f"{counted(forecast.days_of_history, 'day')} of history, and so no 90th percentile: "
            f"only the {judged} was judged."
        )
    return ""


def _is_put_off(forecast: "Forecast") -> bool:
    """Return whether it is too early, and not that there may never be more than a straight line."""
    return forecast.is_too_early or forecast.is_not_known


def _is_not_known(forecast: "Forecast", state: AccountState) -> bool:
    """
    Return whether usage has no value, or no price a day after the beginning of the period or later.
    """
    if not forecast.is_not_known:
        return False
    from pulumi_cf_invoice.forecast.days import lacks_values

    now = Fraction(state.read_at.timestamp())
    is_early = now < forecast.period_start + _A_DAY
    return not is_early or lacks_values(state.get(USAGE_HISTORY), forecast.period_start, now)


def outdated(finding: Finding, account_id: str, made_of: Invoice, newer: Invoice) -> Finding:
    """Return what is known of a forecast *made_of* an invoice, instead of *finding*."""
    same_period = made_of.period_start == newer.period_start
    old, new = (each.amount_due_text if same_period else each.text for each in (made_of, newer))
    why = (
        f"The forecast was made of an older invoice ({old}) than the latest ({new}): read the "
        "account again."
    )
    return _not_known(finding.subject, account_id, why)


def _not_known(subject: str, account_id: str, note: str) -> Finding:
    what = f"What the upcoming invoice of account {account_id} will come to"
    if subject == RUNWAY:
        what = f"How long the credits of account {account_id} last"
    why = f"{note[0].lower()}{note[1:]}"
    brief = f"{what[0].lower()}{what[1:]} is not known, since {why.partition(':')[0]}"
    message = f"{what} is not known: {why}"
    return Finding("unknown", subject, lambda: message, brief=brief)


def _basis(forecast: "Forecast") -> str:
    """Say what a forecast is based on, and how wrong that has been."""
    record = forecast.track_record
    was_off = f", and has been {record.text}" if record is not None else ""
    of_history = f"{counted(forecast.days_of_history, 'day')} of history"
    # Beyond the end of its period, a forecast is by usage too: its method only says that it ended.
    method = forecast.method_text if record is None else "daily usage"
    return f"The forecast is based on {method}, with {of_history}{was_off}."


def _used_up(state: AccountState, balance: CreditBalance) -> Finding:
    invoice = state.find(INVOICE_PREVIEW)
    currency = invoice.currency if invoice else None
    before, after = _topup(state, balance, currency)
    message = (
        f"{before}Account {state.account_id} has no credits left: the balance is "
        f"{balance.balance_text(currency)}.{after} {refusal(balance)}"
    )
    brief, remedy = used_up(balance, currency), to_refill(balance)
    return Finding("failed", RUNWAY, lambda: message, brief=brief, remedy=remedy)


def to_refill(balance: CreditBalance) -> str:
    """Say what to do about credits that do not last, as a rule's ``remedy``."""
    where = "in Cloudflare's dashboard"
    if balance.balance > 0 and balance.topup_is_healthy:
        return (
            "If the automatic top-up is enough, set topUpSuffices to true in {rule}; if not, buy "
            f"credits {where}."
        )
    if balance.topup_problem:
        return f"Fix the automatic top-up or its payment method, or buy credits, {where}."
    if balance.topup_is_on and not balance.topup_is_healthy:
        return f"Give the automatic top-up a payment method, or buy credits, {where}."
    if balance.topup_is_on:
        return f"Buy credits, or raise what the automatic top-up adds, {where}."
    return f"Buy credits, or set an automatic top-up, {where}."


def _topup_of(state: AccountState) -> str:
    return f"The automatic top-up of account {state.account_id}"


def _topup(state: AccountState, balance: CreditBalance, currency: str | None) -> tuple[str, str]:
    """
    Say how credits are refilled, as a text to put first if that failed, and one to put last
    otherwise.
    """
    if balance.topup_problem:
        return f"{topup_trouble(balance, _topup_of(state))} ", ""
    if balance.topup_is_healthy:
        return "", f" Its automatic top-up {balance.topup_text(currency)}."
    return "", f" {topup_trouble(balance, 'Its automatic top-up')}"
