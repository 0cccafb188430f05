"""Kinds of rules on the upcoming invoice, whether the program or the rule reads it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from typing import ClassVar

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import LEFT_OUT, may_be_cut, named, one_line
from pulumi_cf_invoice.billing.invoice import Invoice, InvoiceLine
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.billing.suggestions import new_globs
from pulumi_cf_invoice.rules import settings as rule_settings
from pulumi_cf_invoice.rules.limits import IncreaseLimit, Limit, comparable, longest, matching
from pulumi_cf_invoice.rules.rule import Finding, Rule, held, no_limit
from pulumi_cf_invoice.state import InvoiceState, LastUpdate

AMOUNT_DUE = "amount due"
PROJECTED_AMOUNT_DUE = "projected amount due"
TOO_EARLY = "too early to tell"
INCOMPLETE = "not known, since the API gave only a part of the invoice's lines"
GLOBS = "globs"
"""The subject of a finding on globs that match no line."""
_LARGEST = 3


@dataclass(frozen=True)
class MaxAmountDue(Rule):
    """The amount due is within the limit."""

    name = "max-amount-due"
    limits_amount_due = True
    description = "The upcoming AI Gateway invoice stays within its limit."
    settings: ClassVar = {"limit": rule_settings.LIMIT}
    needs = waivable = ("limit",)

    limit: Limit

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        limit = self.limit.of(state.account_id)
        yield _no_limit(state) if limit is None else judged_amount_due(state, limit)


@dataclass(frozen=True)
class AccountBudget(MaxAmountDue):
    """The amount due of every listed account is within the limit, whatever is deployed."""

    name = "account-budget"
    description = "The account's upcoming AI Gateway invoice stays within its budget."
    must_read = True


@dataclass(frozen=True)
class MaxProjectedAmountDue(Rule):
    """
    The amount due, and its projection to the period's end by a straight line, are within the limit.

    If the period has ended, or differs from that of the lines, there is nothing to project, which
    is noted.
    """

    name = "max-projected-amount-due"
    limits_amount_due = True
    description = (
        "The upcoming AI Gateway invoice, projected to its period's end by a straight line, stays "
        "within its limit."
    )
    settings: ClassVar = {"limit": rule_settings.LIMIT}
    needs = waivable = ("limit",)

    limit: Limit

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        invoice, limit = state.invoice, self.limit.of(state.account_id)
        if limit is None:
            yield _no_limit(state)
            return
        # What is already due needs no projection to be over.
        due = judged_amount_due(state, limit)
        if due.violates:
            yield due
            return
        if not invoice.invoice_lines_complete:
            yield incomplete(PROJECTED_AMOUNT_DUE, state)
            return
        as_of = state.as_of(at)
        problem = invoice.period_problem(as_of)
        if problem:
            yield no_projection(state, problem)
            return
        projected = invoice.projected_amount_due(as_of)
        if projected is None:
            yield due
            early = too_early("a projection", state, "amount due", as_of)
            yield Finding("noted", PROJECTED_AMOUNT_DUE, lambda: early, is_put_off=True)
            return
        yield held(
            PROJECTED_AMOUNT_DUE,
            projected,
            invoice.currency,
            limit,
            lambda amount, over: compared(
                state,
                f"is projected to be {amount} by a straight line",
                over,
                f" It is {invoice.amount_due_text} so far.",
            ),
        )


@dataclass(frozen=True)
class MaxLineAmount(Rule):
    """
    The net amount of each line is within its limit; lines with the same name are added up.

    The longest glob that matches the line's description sets the limit; among several of the same
    length, the lowest limit applies, and without a match the default.
    """

    name = "max-line-amount"
    description = "Each line of the upcoming AI Gateway invoice stays within its limit."
    settings: ClassVar = {
        "limits": rule_settings.LIMITS,
        "defaultLimit": rule_settings.DEFAULT_LIMIT,
    }
    needs = waivable = ("limits", "defaultLimit")

    limits: Mapping[str, Limit] = field(default_factory=dict)
    default_limit: Limit | None = None

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        if not state.invoice.invoice_lines_complete:
            yield incomplete("largest line", state)
            return
        lines = state.invoice.lines_by_name
        if not lines:
            yield Finding("within", "lines", lambda: f"The {invoice_of(state)} has no lines.")
            return
        default = [] if self.default_limit is None else [("", self.default_limit)]
        used: set[str] = set()
        for name, same in lines.items():
            certain, possible = self._globs([line.description or "" for line in same])
            used.update(certain, possible)
            known = longest(certain)
            least = max(map(len, known), default=0)
            longer = [
                ("" if glob in certain else glob, self.limits[glob])
                for glob in possible
                if len(glob) >= least
            ]
            by_account = [*longer, *([("", self.limits[glob]) for glob in known] or default)]
            yield from self._judged(state, name, same, by_account)
        unused = [glob for glob in self.limits if glob not in used]
        if unused:
            yield unmatched(state, unused)

    def _globs(self, descriptions: list[str]) -> tuple[list[str], list[str]]:
        """Return the globs that match any of *descriptions*, and those that may, read whole."""
        ends = [found for found in map(_ends, descriptions) if found]
        if not ends:
            return matching(descriptions, self.limits), []
        whole = [text for text in descriptions if _ends(text) is None]
        certain = [
            glob
            for glob in self.limits
            if matching(whole, [glob]) or any(_must_match(*known, glob) for known in ends)
        ]
        return certain, [
            glob for glob in self.limits if any(_may_match(*known, glob) for known in ends)
        ]

    def _judged(
        self,
        state: InvoiceState,
        name: str,
        lines: list[InvoiceLine],
        limits: list[tuple[str, Limit]],
    ) -> Iterator[Finding]:
        """Judge *lines* by the lowest of *limits*, each with its glob if that only may match."""
        if not limits:
            return
        found = [(glob, limit.of(state.account_id)) for glob, limit in limits]
        lacking = [glob for glob, limit in found if limit is None]
        if lacking:
            yield _no_limit(state, f" for the line {named(name)}{_may_be_of(min(lacking))}")
            return
        currency = state.invoice.currency
        known = [(glob, limit) for glob, limit in found if limit is not None]
        # One that cannot be compared comes before any that can.
        glob, lowest = min(
            known, key=lambda each: (comparable(currency, each[1]), each[1].amount, each[0])
        )
        may_be, net = _may_be_of(glob), money.number(money.total(line.net for line in lines))
        judged = held(
            name,
            net,
            currency,
            lowest,
            lambda amount, over: (
                f"The line {named(name)} of the {invoice_of(state)} comes to {amount} after "
                f"credits for {_period_of(lines, state.invoice)}, {over}{may_be}."
            ),
            of_line=True,
        )
        yield replace(judged, detail=may_be) if may_be else judged


@dataclass(frozen=True)
class MaxIncrease(Rule):
    """
    The amount due has risen by no more than the limit since the last update in the same period.
    """

    name = "max-increase"
    description = "The upcoming AI Gateway invoice rises by no more than its limit between updates."
    settings: ClassVar = {"limit": rule_settings.INCREASE}
    needs = waivable = ("limit",)
    reads_accounts = False

    limit: IncreaseLimit

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        last, invoice = state.last_update, state.invoice
        if last is None:
            # Only that of a stack's resource has no time of reading.
            is_of_stack = state.read_at is None
            new = "it is new, renamed, replaced or read from another address"
            yield _no_base(state, new if is_of_stack else "it was read outside of a stack")
            return
        if last.currency != invoice.currency:
            yield _no_base(state, f"it was in {last.currency.upper()} at the last update")
            return
        if last.period_start != invoice.period_start:
            yield _no_base(state, "the last update was in another billing period")
            return
        increase = money.number(money.total([invoice.amount_due], less=[last.amount_due]))
        largest = self.limit.from_amount(last.amount_due, last.currency)
        rise = money.difference_text(max(increase, 0), invoice.currency)

        def tell(_amount: str, over: str) -> str:
            share = f" ({self.limit.text} of {money.to_text(last.amount_due, last.currency)})"
            return (
                f"The {invoice_of(state)} rose by {rise} to {invoice.amount_due_text} since "
                f"the last update, {over}{share if self.limit.percent is not None else ''}."
                f"{_largest_lines(invoice)}"
            )

        risen = held("increase", max(increase, 0), invoice.currency, largest, tell)
        yield replace(risen, is_difference=True, remedy=self._remedy_for(last))

    def _remedy_for(self, last: LastUpdate) -> str:
        if self.limit.percent is None or last.amount_due > 0:
            return ""
        # A higher percentage would not help, and a blocked update leaves the base as it is.
        return (
            f"No percentage of {money.to_text(last.amount_due, last.currency)} allows a rise: make "
            f"{{setting}} an amount, such as '50 {last.currency.upper()}'."
        )


@dataclass(frozen=True)
class AllowedStatuses(Rule):
    """The status of the invoice is one of those allowed."""

    name = "allowed-statuses"
    description = "The upcoming AI Gateway invoice has an allowed status."
    settings: ClassVar = {"statuses": rule_settings.STATUSES}
    needs = ("statuses",)
    remedy = "Settle the invoice with Cloudflare, or allow its status in {setting}."

    statuses: tuple[str, ...]

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        status = state.invoice.status
        has = "no status" if status is None else f"the status {named(status)}"
        yield _named("status", state, f"has {has}", status in self.statuses, self.statuses)


@dataclass(frozen=True)
class AllowedCurrencies(Rule):
    """The currency of the invoice is one of those allowed."""

    name = "allowed-currencies"
    description = "The upcoming AI Gateway invoice is in an allowed currency."
    settings: ClassVar = {"currencies": rule_settings.CURRENCIES}
    needs = ("currencies",)
    remedy = "Allow the currency in {setting}, and set limits in it."

    currencies: tuple[str, ...]

    def evaluate(self, state: InvoiceState, at: datetime) -> Iterator[Finding]:
        currency = state.invoice.currency
        allowed = tuple(code.upper() for code in self.currencies)
        is_allowed = currency in self.currencies
        yield _named("currency", state, f"is in {currency.upper()}", is_allowed, allowed)


def _ends(description: str) -> tuple[str, str] | None:
    """Return the ends of what a line is called, if a part between them may be left out."""
    gaps: list[tuple[int, int]] = []
    if may_be_cut(description):
        gaps += [found.span() for found in re.finditer("…", description)]
    gaps += [found.span() for found in LEFT_OUT.finditer(description)]
    if not gaps:
        return None
    return description[: min(gaps)[0]], description[max(gaps)[1] :]


def _must_match(begin: str, end: str, glob: str) -> bool:
    """Return whether any text with this *begin* and *end* matches *glob*."""
    return (glob.endswith("*") and fnmatchcase(begin, glob)) or (
        glob.startswith("*") and fnmatchcase(end, glob)
    )


def _may_match(begin: str, end: str, glob: str) -> bool:
    """Return whether a text with this *begin* and *end* could match *glob*."""
    before, after = _ends_of_glob(glob)
    begins = begin.startswith(before) or before.startswith(begin)
    return begins and (end.endswith(after) or after.endswith(end))


def _may_be_of(glob: str) -> str:
    """Say that a line is held to the limit of a *glob* that it may match; empty without one."""
    if not glob:
        return ""
    return f" (by {named(glob)}, which it may match, as a part of its description is left out)"


# There can be as many lines as fit into an answer.
@cache
def _ends_of_glob(glob: str) -> tuple[str, str]:
    """Return what any text that matches *glob* begins and ends with."""
    return re.split(r"[*?[]", glob, maxsplit=1)[0], re.split(r"[]*?]", glob)[-1]


def judged_amount_due(state: InvoiceState, limit: Money) -> Finding:
    """Compare the amount due with *limit*."""
    invoice = state.invoice
    return held(
        AMOUNT_DUE,
        invoice.amount_due,
        invoice.currency,
        limit,
        lambda amount, over: compared(state, f"is {amount}", over),
    )


def _named(
    subject: str, state: InvoiceState, has: str, is_allowed: bool, allowed: tuple[str, ...]
) -> Finding:
    is_one = "is" if is_allowed else "is not"
    which = f"which {is_one} one of those allowed: {one_line(', '.join(allowed))}."
    return Finding(
        "within" if is_allowed else "failed",
        subject,
        lambda: f"The {invoice_of(state)} {has}, {which}",
        brief=f"the upcoming invoice {has}, {which.rstrip('.')}",
    )


def unmatched(state: InvoiceState, globs: Sequence[str]) -> Finding:
    """Report the *globs* that match no line."""
    more = f" and {len(globs) - _LARGEST:,} more" if len(globs) > _LARGEST else ""
    listed = ", ".join(named(glob) for glob in globs[:_LARGEST])
    descriptions = [line.description or "" for line in state.invoice.invoice_lines]
    message = (
        f"No line of the {invoice_of(state)} matches {listed}{more}."
        f"{new_globs(globs[:_LARGEST], descriptions)}"
    )
    return Finding("noted", GLOBS, lambda: message)


def unmatched_fixed_lines(state: InvoiceState, fixed_lines: Sequence[str]) -> Iterator[Finding]:
    """Report the globs of *fixed_lines* that match no line, if all lines are known."""
    if not fixed_lines or not state.invoice.invoice_lines_complete:
        return
    from pulumi_cf_invoice.forecast.bill import bill_of

    missing = bill_of(state.invoice, fixed_lines).unmatched
    if missing:
        yield unmatched(state, missing)


def _no_limit(state: InvoiceState, which: str = "") -> Finding:
    if state.account_id is None:
        return no_limit(None, which)
    return no_limit(
        f"account {state.account_id}" if state.account_is_shown else "this account", which
    )


def _no_base(state: InvoiceState, why: str) -> Finding:
    return Finding(
        "noted",
        "increase",
        lambda: f"The {invoice_of(state)} has nothing to compare with: {why}.",
    )


def incomplete(subject: str, state: InvoiceState) -> Finding:
    """Return the finding on a sum of lines of which some are missing."""
    message = (
        f"The {subject} of the {invoice_of(state)} for {state.invoice.period_text} is {INCOMPLETE}."
    )
    return Finding("unknown", subject, lambda: message, brief=f"the {subject} is {INCOMPLETE}")


def too_early(what: str, state: InvoiceState, judged: str, at: datetime) -> str:
    """
    Say that the time *at*, before or in the first hour of a period, is too early for *what*, and
    what was *judged*.
    """
    invoice, period = invoice_of(state), state.invoice.period_text
    is_early = f"The {invoice} is not yet an hour into its period ({period})"
    if at.timestamp() < state.invoice.period_start:
        is_early = f"The period of the {invoice} ({period}) has not begun"
    return f"{is_early}, too early for {what}: only the {judged} was judged."


def no_projection(
    state: InvoiceState, problem: str, subject: str = PROJECTED_AMOUNT_DUE, done: str = "projected"
) -> Finding:
    """
    Return the note that there is nothing to be *done* with the period, because of its *problem*.
    """
    message = (
        f"The {invoice_of(state)} for {state.invoice.period_text} cannot be {done}: {problem}."
    )
    return Finding("noted", subject, lambda: message, brief=problem, is_put_off=True)


def invoice_of(state: InvoiceState) -> str:
    """Return what sentences call an invoice."""
    return f"upcoming invoice{f' of account {state.account_id}' if state.account_is_shown else ''}"


def compared(state: InvoiceState, what: str, over: str, more: str = "") -> str:
    """Say *what* an amount of the invoice is, and how it compares with its limit."""
    return (
        f"The {invoice_of(state)} {what} for {state.invoice.period_text}, {over}.{more}"
        f"{_largest_lines(state.invoice)}"
    )


def _period_of(lines: list[InvoiceLine], invoice: Invoice) -> str:
    periods = {line.period.text for line in lines if line.period}
    return periods.pop() if len(periods) == 1 else invoice.period_text


def _largest_lines(invoice: Invoice) -> str:
    lines = invoice.largest_lines
    if not invoice.invoice_lines_complete:
        return " The API gave only a part of its lines."
    if not lines:
        return " It has no lines."
    listed = ", ".join(f"{named(line.name)} {line.net_text}" for line in lines[:_LARGEST])
    return f" Largest lines: {listed}{', …' if len(lines) > _LARGEST else ''}."
