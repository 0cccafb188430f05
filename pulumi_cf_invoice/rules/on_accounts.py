"""
Kinds of rules on what no resource has: the credit balance and earlier invoices.

They always read their accounts themselves.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import ClassVar

from pulumi_cf_invoice.billing.cleaning import named, quoted
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.invoice_history import InvoiceHistory, PastInvoice
from pulumi_cf_invoice.billing.models import counted, iso
from pulumi_cf_invoice.billing.reads import CREDIT_BALANCE, INVOICE_HISTORY, INVOICE_PREVIEW
from pulumi_cf_invoice.rules import settings as rule_settings
from pulumi_cf_invoice.rules.accounts import AccountState
from pulumi_cf_invoice.rules.limits import Limit
from pulumi_cf_invoice.rules.rule import Finding, Rule, held, no_limit

TOPUP = "automatic top-up"
_SETTLED = ("draft", "paid", "void")
_MOST = 3
_DAY = 24 * 60 * 60


@dataclass(frozen=True)
class MinCreditBalance(Rule):
    """
    The credit balance of every listed account is not below the limit.

    At a balance of zero, AI Gateway refuses inference (HTTP 402), whatever the invoice says.
    """

    name = "min-credit-balance"
    remedy = "Buy credits in Cloudflare's dashboard, or lower {setting}."
    description = "The account's AI Gateway credits do not fall below their minimum."
    settings: ClassVar = {"limit": rule_settings.MINIMUM}
    needs = waivable = ("limit",)
    must_read = True
    reads = (CREDIT_BALANCE,)
    also_reads = (INVOICE_PREVIEW,)

    limit: Limit

    def evaluate_account(self, state: AccountState, at: datetime) -> Iterator[Finding]:
        minimum = self.limit.of(state.account_id)
        if minimum is None:
            yield no_limit(f"account {state.account_id}")
            return
        balance, invoice = state.get(CREDIT_BALANCE), state.find(INVOICE_PREVIEW)
        currency = minimum.currency if invoice is None else invoice.currency
        found = held(
            "credit balance",
            balance.balance,
            currency,
            minimum,
            lambda amount, below: (
                f"The credit balance of account {state.account_id} is {amount}, {below}. "
                f"{_refills(balance, currency)} {refusal(balance)}"
            ),
            is_minimum=True,
        )
        if invoice is not None:
            yield found
            return
        assumed = (
            f"It is taken to be in {currency.upper()}, because its currency is not known: "
            f"{state.errors[INVOICE_PREVIEW.name]}"
        )
        yield found.followed_by(f" {assumed}") if found.violates else found
        if not found.violates:
            lacking = (
                f"The credit balance of account {state.account_id} has no currency of its own."
            )
            yield Finding("noted", "currency", lambda: f"{lacking} {assumed}")


@dataclass(frozen=True)
class RequireHealthyTopUp(Rule):
    """
    The credits of every listed account have a working automatic top-up.

    A top-up that failed or was disabled is a violation, reported in the API's own words. So is one
    that is not set, that has no payment method, or whose payment method is unknown.
    """

    name = "require-healthy-top-up"
    remedy = "Fix the automatic top-up, or its payment method, in Cloudflare's dashboard."
    description = "A working automatic top-up refills the account's AI Gateway credits."
    settings: ClassVar = {}
    needs = ()
    must_read = True
    reads = (CREDIT_BALANCE,)
    also_reads = (INVOICE_PREVIEW,)

    def evaluate_account(self, state: AccountState, at: datetime) -> Iterator[Finding]:
        balance = state.get(CREDIT_BALANCE)
        topup = f"The automatic top-up of account {state.account_id}"
        if balance.topup_config is None or _payment_is_unknown(balance):
            brief = topup_trouble(balance, "the automatic top-up").rstrip(".")
            yield Finding("unknown", TOPUP, lambda: topup_trouble(balance, topup), brief=brief)
            return
        if balance.topup_is_healthy:
            invoice = state.find(INVOICE_PREVIEW)
            text = balance.topup_text(invoice.currency if invoice else None)
            yield Finding("within", TOPUP, lambda: f"{topup} {text}.")
            yield from unexplained_failure(balance, topup)
            return
        is_set = balance.topup_is_on or balance.topup_problem
        yield Finding(
            "failed",
            TOPUP,
            lambda: f"{topup_trouble(balance, topup)} {refusal(balance)}",
            brief=topup_trouble(balance, "the automatic top-up").rstrip("."),
            remedy="" if is_set else "Set an automatic top-up in Cloudflare's dashboard.",
        )


@dataclass(frozen=True)
class NoUnpaidInvoices(Rule):
    """
    No earlier invoice of the listed accounts is open or uncollectible.

    An incomplete history violates the rule even if it shows no such invoice. So does an amount
    remaining on an invoice whose status does not say whether it is paid.
    """

    name = "no-unpaid-invoices"
    description = "The account's earlier AI Gateway invoices are paid."
    settings: ClassVar = {}
    needs = ()
    must_read = True
    reads = (INVOICE_HISTORY,)
    remedy = "Pay the open invoices in Cloudflare's dashboard."

    def evaluate_account(self, state: AccountState, at: datetime) -> Iterator[Finding]:
        history, account = state.get(INVOICE_HISTORY), f"account {state.account_id}"
        subject, part = "earlier invoices", _part(history)
        other = Counter(row.status for row in history.invoices if not _is_known(row))
        if history.unpaid:
            more = f" There may be more: {part}." if part else ""
            yield Finding(
                "failed",
                subject,
                lambda: f"Account {state.account_id} has {_unpaid(history, at)}{more}",
                brief=_unpaid_in_brief(history),
                remedy=_to_pay(history),
            )
        elif part:
            message = f"Whether {account} has unpaid invoices is not known, since {part}."
            brief = f"whether there are unpaid invoices, since {part}"
            yield Finding("unknown", subject, lambda: message, brief=brief)
        elif not other:
            message = _none_unpaid(len(history.invoices), account)
            yield Finding("within", subject, lambda: message)
        if other:
            brief = "whether all earlier invoices are paid"
            yield Finding("unknown", subject, lambda: _of_other_status(other, account), brief=brief)


def _none_unpaid(count: int, account: str) -> str:
    """Say that none of *count* earlier invoices of an *account* is unpaid."""
    if count == 1:
        return f"The only earlier invoice of {account} is not unpaid."
    which = f"None of {count:,} earlier invoices" if count else "No earlier invoice"
    return f"{which} of {account} is unpaid."


def _unpaid_in_brief(history: InvoiceHistory) -> str:
    count = len(history.unpaid)
    are = "earlier invoices are" if count != 1 else "earlier invoice is"
    return f"{count:,} {are} unpaid, {history.unpaid_sum_text}{' in total' if count != 1 else ''}"


def _to_pay(history: InvoiceHistory) -> str:
    """Say how to settle invoices if paying the open ones is not all; empty if it is."""
    statuses = [row.status for row in history.unpaid]
    uncollectible = statuses.count("uncollectible")
    if not uncollectible:
        return ""
    to_pay = statuses.count("open")
    if to_pay:
        invoices = "invoice" if to_pay == 1 else "invoices"
        settle = f"the uncollectible {'one' if uncollectible == 1 else 'ones'}"
        return (
            f"Pay the open {invoices} in Cloudflare's dashboard, and ask Cloudflare how to settle "
            f"{settle}."
        )
    invoices = "invoice" if uncollectible == 1 else "invoices"
    return f"Ask Cloudflare how to settle the uncollectible {invoices}."


def _refills(balance: CreditBalance, currency: str) -> str:
    if balance.topup_is_healthy:
        return (
            f"Its automatic top-up {balance.topup_text(currency)}, so credits do not cap spending."
        )
    return topup_trouble(balance, "Its automatic top-up")


def refusal(balance: CreditBalance) -> str:
    """Say when AI Gateway refuses inference."""
    if balance.balance <= 0:
        return "AI Gateway refuses inference at zero and below (HTTP 402)."
    return "AI Gateway refuses inference once the credits are used up (HTTP 402)."


def used_up(balance: CreditBalance, currency: str | None) -> str:
    """Say briefly that no credits are left."""
    left = balance.balance_text(currency)
    has = f"{left} left" if balance.balance == 0 else f"the balance is {left}"
    return f"credits are used up and AI Gateway refuses requests: {has}{_topup_in_brief(balance)}"


def running_out(balance: CreditBalance, currency: str, out: date, now: datetime) -> str:
    """Say briefly that credits run out on the day *out*, as of *now*."""
    days = (out - now.astimezone(UTC).date()).days
    when = {0: "today", 1: "tomorrow"}.get(days, f"about {out}, in {days} days")
    run_out = f"run out {when}"
    if days < 0:
        run_out = f"will have run out about {out}"
    left = balance.balance_text(currency)
    if balance.topup_is_healthy:
        return f"without the automatic top-up, which works, {left} of credits {run_out}"
    refused = ", and AI Gateway then refuses requests"
    return f"credits {run_out}{refused}: {left} left{_topup_in_brief(balance)}"


def quoted_problem(problem: str) -> str:
    """Return what the API said of a top-up in quotation marks, and the time behind them."""
    reason, time = _reason_and_time(problem)
    return f"{quoted(reason)}{time}"


def _reason_and_time(problem: str) -> tuple[str, str]:
    reason, time = re.fullmatch(r"(.*?)( \([0-9TZ:-]+\))?", problem, re.DOTALL).groups()  # type: ignore[union-attr]
    return reason, time or ""


def _topup_in_brief(balance: CreditBalance) -> str:
    config = balance.topup_config
    if config is None or balance.topup_is_healthy:
        return ""
    if balance.topup_problem:
        is_disabled = "is disabled" if config.disabled_reason else "failed"
        reason, _ = _reason_and_time(balance.topup_problem)
        return f", the top-up {is_disabled} ({quoted(reason)})"
    return ", the top-up has no payment method" if balance.topup_is_on else ", no top-up is set"


def unexplained_failure(balance: CreditBalance, topup: str) -> Iterator[Finding]:
    """Report a failure of the automatic *topup*, which is healthy according to the API."""
    if balance.topup_config is not None and balance.topup_config.last_failed_at:
        failed = iso(balance.topup_config.last_failed_at)
        message = f"{topup} last failed at {failed}, and the API gives no reason."
        yield Finding("noted", TOPUP, lambda: message)


def topup_trouble(balance: CreditBalance, topup: str) -> str:
    """Say what is wrong with the automatic *topup*, which is not healthy."""
    config, problem = balance.topup_config, balance.topup_problem
    if config is None:
        return f"{topup} is not known: the API says nothing about it."
    if problem:
        return (
            f"{topup} {'is disabled' if config.disabled_reason else 'failed'}: "
            f"{quoted_problem(problem)}."
        )
    if _payment_is_unknown(balance):
        return f"{topup} may have no payment method: the API does not say that it has one."
    return f"{topup} {'has no payment method' if balance.topup_is_on else 'is not set'}."


def _payment_is_unknown(balance: CreditBalance) -> bool:
    """Return whether the payment method is the only unknown of an automatic top-up."""
    is_unknown = balance.has_default_payment_method is None
    return is_unknown and balance.topup_is_on and not balance.topup_problem


def _part(history: InvoiceHistory) -> str:
    """Say why *history* may lack invoices; empty if it has them all."""
    if not history.invoices_complete:
        return "the API gave only a part of the invoice history"
    return "" if history.type == "all" else f"only {history.type} invoices were read"


def _is_known(invoice: PastInvoice) -> bool:
    has_status = invoice.is_unpaid or invoice.status in _SETTLED
    return has_status or invoice.amount_remaining <= 0


def _unpaid(history: InvoiceHistory, at: datetime) -> str:
    oldest = sorted(history.unpaid, key=lambda invoice: invoice.created or 0)
    listed = "; ".join(_row(invoice, at) for invoice in oldest[:_MOST])
    more = f"; and {len(oldest) - _MOST:,} more" if len(oldest) > _MOST else ""
    count, total = len(oldest), history.unpaid_sum_text
    in_total = f", {total} in total" if count > 1 else ""
    return f"{counted(count, 'unpaid invoice')}{in_total}: {listed}{more}."


def _row(invoice: PastInvoice, at: datetime) -> str:
    """Say what remains to be paid of an invoice, and for how long."""
    identifier = f" ({named(invoice.invoice_id)})" if invoice.invoice_id else ""
    since = "for an unknown time"
    if invoice.created is not None:
        days = max(int(at.timestamp()) - invoice.created, 0) // _DAY
        since = f"for {counted(days, 'day')}"
    return f"{invoice.amount_remaining_text} {invoice.status} {since}{identifier}"


def _of_other_status(statuses: "Counter[str | None]", account: str) -> str:
    listed = ", ".join(_having(status, count) for status, count in [*statuses.items()][:_MOST])
    others = sum([*statuses.values()][_MOST:])
    have = "has another status" if others == 1 else "have other statuses"
    more = f", and {others:,} more {have}" if others else ""
    return f"Whether all earlier invoices of {account} are paid is not known: {listed}{more}."


def _having(status: str | None, count: int) -> str:
    what = f"the status {named(status)}" if status else "no status"
    return f"{count:,} {'has' if count == 1 else 'have'} {what}"
