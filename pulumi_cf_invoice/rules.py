"""
Rules on the upcoming invoice, and what they find. Policy packs and reports are adapters around
them.

A rule is pure: it is evaluated against what was read (`InvoiceState`) at a time that the caller
gives.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.invoice import Invoice, InvoiceLine
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.limits import IncreaseLimit, Limit, excess, longest_match
from pulumi_cf_invoice.state import InvoiceState

AMOUNT_DUE = "amount due"
PROJECTED_AMOUNT_DUE = "projected amount due"
TOO_EARLY = "too early to tell"
INCOMPLETE = "not known, since the API gave only a part of the invoice's lines"
_LARGEST = 3


@dataclass(frozen=True)
class Finding:
    """
    One figure, checked against a rule.

    ``subject`` is `AMOUNT_DUE`, `PROJECTED_AMOUNT_DUE` or the name of a line. ``amount`` is in
    minor units of ``currency``, and None if it is not known. ``excess`` says by how much it is over
    the limit, or that it cannot be known; it is None within the limit, and where it is too early.
    """

    subject: str
    amount: float | None
    currency: str
    limit: Money | None
    excess: str | None
    tell: Callable[[], str] = field(repr=False, compare=False)
    of_line: bool = False

    @property
    def message(self) -> str:
        """The finding in a sentence of its own, with account and period."""
        # Made when it is asked for: words take longer than the evaluation.
        return self.tell()

    @property
    def text(self) -> str:
        """The finding for people who see account and period beside it."""
        limit = f" (limit {self.limit.text})" if self.limit else ""
        if self.amount is None:
            return f"{self.excess or TOO_EARLY}{limit}"
        amount = money.to_text(self.amount, self.currency)
        within = f"within the limit of {self.limit.text}" if self.limit else "within its limit"
        return f"{amount}, {self.excess or within}"


class LimitRule(Protocol):
    """A rule that holds amounts against limits."""

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        """Return what the rule finds in *state* at the time *at*, which has a time zone."""


@dataclass(frozen=True)
class MaxAmountDue:
    """The amount due is within the limit."""

    limit: Limit

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        invoice, limit = state.invoice, self.limit.of(state.account_id)
        if limit is None:
            return
        over = excess(invoice.amount_due, invoice.currency, limit)
        yield Finding(
            AMOUNT_DUE,
            invoice.amount_due,
            invoice.currency,
            limit,
            over,
            lambda: _told(state, f"is {invoice.amount_due_text}", over),
        )


@dataclass(frozen=True)
class MaxProjectedAmountDue:
    """The amount due, projected to the period's end, is within the limit."""

    limit: Limit

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        invoice, limit = state.invoice, self.limit.of(state.account_id)
        if limit is None:
            return
        if not invoice.invoice_lines_complete:
            yield _unknown(PROJECTED_AMOUNT_DUE, state, limit)
            return
        amount = invoice.projected_amount_due(at)
        over = None if amount is None else excess(amount, invoice.currency, limit)

        def tell() -> str:
            if amount is None:
                return (
                    f"the invoice of account {state.account_id} is in the first hour of its period "
                    f"({invoice.period_text}), too early for a projection"
                )
            projected = f"is projected to be {money.to_text(amount, invoice.currency)}"
            return _told(state, projected, over, f" It is {invoice.amount_due_text} so far.")

        yield Finding(PROJECTED_AMOUNT_DUE, amount, invoice.currency, limit, over, tell)


@dataclass(frozen=True)
class MaxLineAmount:
    """
    The net amount of each line is within its limit.

    That is the limit of the longest glob that matches the line's description, else the default.
    """

    limits: Mapping[str, Limit]
    default: Limit | None = None

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        if not (self.limits or self.default):
            return
        if not state.invoice.invoice_lines_complete:
            yield _unknown("largest line", state, None)
        for line in state.invoice.largest_lines:
            glob = longest_match(line.description, self.limits)
            by_account = self.default if glob is None else self.limits[glob]
            limit = None if by_account is None else by_account.of(state.account_id)
            if limit is None:
                continue
            over = excess(line.net, line.currency, limit)
            tell = partial(_told_line, state, line, over)
            yield Finding(line.name, line.net, line.currency, limit, over, tell, of_line=True)


@dataclass(frozen=True)
class MaxIncrease:
    """
    The amount due has not risen by more than the limit since the last update in the same period.
    """

    limit: IncreaseLimit

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        last, invoice = state.last_update, state.invoice
        if last is None:
            return
        if (last.period_start, last.currency) != (invoice.period_start, invoice.currency):
            return
        increase = money.number(money.total([invoice.amount_due], less=[last.amount_due]))
        largest = self.limit.from_amount(last.amount_due, last.currency)
        over = excess(increase, invoice.currency, largest) if increase > 0 else None

        def tell() -> str:
            of = f" ({self.limit.text} of {money.to_text(last.amount_due, last.currency)})"
            return (
                f"The upcoming invoice of account {state.account_id} rose by "
                f"{money.to_text(increase, invoice.currency)} to {invoice.amount_due_text} since "
                f"the last update, {over}{of if self.limit.percent is not None else ''}."
                f"{_largest_lines(invoice)}"
            )

        yield Finding("increase", increase, invoice.currency, largest, over, tell)


def status_problem(state: InvoiceState, allowed: Sequence[str]) -> str | None:
    """Say that the status of the invoice is not among those *allowed*, if so."""
    if state.invoice.status in list(allowed):
        return None
    status = state.invoice.status
    has = "no status" if status is None else f"the status {one_line(status)}"
    return (
        f"The upcoming invoice of account {state.account_id} has {has}, "
        f"which is not among: {', '.join(allowed)}."
    )


def currency_problem(state: InvoiceState, allowed: Sequence[str]) -> str | None:
    """Say that the currency of the invoice is not among those *allowed* (ISO 4217), if so."""
    if state.invoice.currency in [code.lower() for code in allowed]:
        return None
    return (
        f"The upcoming invoice of account {state.account_id} is in "
        f"{state.invoice.currency.upper()}, which is not among: "
        f"{', '.join(code.upper() for code in allowed)}."
    )


def _unknown(subject: str, state: InvoiceState, limit: Money | None) -> Finding:
    message = (
        f"The {subject} of the upcoming invoice of account {state.account_id} for "
        f"{state.invoice.period_text} is {INCOMPLETE}."
    )
    return Finding(subject, None, state.invoice.currency, limit, INCOMPLETE, lambda: message)


def _told(state: InvoiceState, what: str, over: str | None, more: str = "") -> str:
    return (
        f"The upcoming invoice of account {state.account_id} {what} for "
        f"{state.invoice.period_text}, {over}.{more}{_largest_lines(state.invoice)}"
    )


def _told_line(state: InvoiceState, line: InvoiceLine, over: str | None) -> str:
    period = line.period.text if line.period else state.invoice.period_text
    return (
        f"{line.name} comes to {line.net_text} after credits on the upcoming invoice of account "
        f"{state.account_id} for {period}, {over}."
    )


def _largest_lines(invoice: Invoice) -> str:
    lines = invoice.largest_lines
    if not invoice.invoice_lines_complete:
        return " The API gave only a part of its lines."
    if not lines:
        return " It has no lines."
    named = ", ".join(f"{line.name} {line.net_text}" for line in lines[:_LARGEST])
    return f" Largest lines: {named}{', …' if len(lines) > _LARGEST else ''}."
