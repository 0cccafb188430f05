"""
The kind of rule on the spend of a day, for whatever empties a budget overnight.

It always reads its accounts itself, because no resource has the usage history.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.errors import IncompleteLinesError, LimitError
from pulumi_cf_invoice.billing.models import counted, instant
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW, USAGE_HISTORY
from pulumi_cf_invoice.rules import settings as rule_settings
from pulumi_cf_invoice.rules.accounts import AccountState
from pulumi_cf_invoice.rules.limits import Limit, Multiple, comparable
from pulumi_cf_invoice.rules.on_invoices import unmatched_fixed_lines
from pulumi_cf_invoice.rules.rule import Finding, Rule, Status, held, no_limit

if TYPE_CHECKING:
    from pulumi_cf_invoice.forecast.daily import LastDay, LastDays

DAILY_SPEND = "daily spend"
_FLOOR_SHARE = Fraction(1, 10)
# A history that is hours behind makes a unit look so many times too dear on a new account.
_DEARER = Fraction(3, 2)
# A float could not hold all that Fraction can.
_MOST_TIMES = Fraction(10**9)
_ORDINARY = 3
"""How many times a usual day may be used on a day that has no price yet."""


@dataclass(frozen=True)
class MaxDailySpend(Rule):
    """
    The spend of every listed account, yesterday and today so far, is within the limit.

    The two days before are judged again, as late usage may have come since. The limit is an amount,
    or a multiple of a usual day: the 95th percentile of the last 28 days, without those that
    exceeded the rule. A multiple does not count below ``atLeast``, by default a tenth of what the
    period has cost so far. With less than 14 days of history before yesterday, a multiple gets a
    note instead of a judgement. A usage history without yesterday is a violation.
    """

    name = "max-daily-spend"
    description = "The account's daily AI Gateway spend stays within its limit."
    settings: ClassVar = {
        "limit": rule_settings.DAILY_LIMIT,
        "atLeast": rule_settings.AT_LEAST,
        "fixedLines": rule_settings.FIXED_LINES,
    }
    needs = ("limit",)
    waivable = ("limit", "atLeast")
    must_read = True
    reads = (USAGE_HISTORY,)
    also_reads = (INVOICE_PREVIEW,)
    remedy = (
        "Find what is spending it and cap its gateway (`spend_limits`), or, if it is intended, "
        "{raise_it}."
    )

    limit: "Limit | Multiple"
    at_least: Money | None = None
    fixed_lines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.at_least is not None and not isinstance(self.limit, Multiple):
            raise LimitError(
                "atLeast has no effect on an amount: it is for a multiple, such as '3x'"
            )

    def evaluate_account(self, state: AccountState, at: datetime) -> Iterator[Finding]:
        limit = self.limit if isinstance(self.limit, Multiple) else self.limit.of(state.account_id)
        if limit is None:
            yield no_limit(f"account {state.account_id}")
            return
        if state.find(INVOICE_PREVIEW) is not None:
            yield from unmatched_fixed_lines(state.of_invoice, self.fixed_lines)
        days = self._days(state)
        yield from self._grown(state, days, limit)
        if all(day.usage is None for day in days.days):
            yield _not_known(state, days)
            return
        if isinstance(limit, Multiple) and _is_too_young(days, limit):
            yield _nothing_usual(state, days)
            return
        yield from (self._judged(state, days, day, limit) for day in days.days)

    def _grown(
        self, state: AccountState, days: "LastDays", limit: Money | Multiple
    ) -> Iterator[Finding]:
        """Judge earlier days again: what else there was to say of them was said at the time."""
        floor = self.at_least if isinstance(limit, Multiple) else limit
        for day in days.earlier:
            before = days.until(day)
            if isinstance(limit, Multiple) and _is_too_young(before, limit):
                continue
            found = self._judged(state, before, day, limit)
            if found.status == "over" and not self._may_only_look_over(before, day):
                yield found
            elif floor is not None and _may_be_a_spike(state, before, day, floor):
                yield _unpriced(state, before, day)

    def _may_only_look_over(self, days: "LastDays", day: "LastDay") -> bool:
        """
        Return whether an earlier *day* may be over by something else than what it has grown by.

        In a period's first days a history that is hours behind makes usage several times too dear.
        And the floor of a multiple is that of the day's own period: by default a tenth of what that
        period cost, which is no longer known. ``atLeast`` can only be compared with a priced day.
        """
        if isinstance(self.limit, Multiple) and not day.is_in_period:
            return _is_ordinary(days, day) if self.at_least is None else day.spend is None
        return not day.is_priced_surely and _is_ordinary(days, day)

    def _judged(
        self, state: AccountState, days: "LastDays", day: "LastDay", limit: Money | Multiple
    ) -> Finding:
        if day.usage is None:
            return _missing(state, day)
        if day.usage < 0:
            return _correction(state, day)
        if days.lacks_usage:
            return _unpriced(state, days, day)
        if isinstance(limit, Multiple):
            return self._against_usual(state, days, day, limit)
        return _against_amount(state, days, day, limit)

    def _days(self, state: AccountState) -> "LastDays":
        from pulumi_cf_invoice.forecast.daily import last_days

        history, invoice = state.get(USAGE_HISTORY), state.find(INVOICE_PREVIEW)
        if isinstance(self.limit, Limit):
            # Without a price, a day has no amount.
            invoice = state.get(INVOICE_PREVIEW)
        try:
            return last_days(history, invoice, at=state.read_at, fixed_lines=self.fixed_lines)
        except IncompleteLinesError:
            return last_days(history, None, at=state.read_at)

    def _against_usual(
        self, state: AccountState, days: "LastDays", day: "LastDay", limit: Multiple
    ) -> Finding:
        usual, usage = days.usual(limit.factor) or Fraction(0), day.usage or Fraction(0)
        invoice = state.find(INVOICE_PREVIEW)
        times = _times(usage, usual)
        # What an invoice rounds to nothing costs nothing, though it says no price.
        price = Fraction(0) if days.price is None and day.spend == 0 else days.price
        if day.spend is None or price is None or invoice is None:
            is_over = usage > limit.factor * usual
            compared = "over" if is_over else "within"
            message = (
                f"On {_named(day)} account {state.account_id} used {times} ({_basis(days)}), "
                f"{compared} the limit of {limit.text}. {days.unpriced}"
            )
            return Finding(
                "over" if is_over else "within",
                _subject(day),
                lambda: message,
                brief=f"{times} on {_named(day)}",
                day=day.date,
            )
        currency = invoice.currency
        floor = self.at_least or Money(_amount((days.gross or 0) * _FLOOR_SHARE), currency)
        remedy = ""
        if not comparable(currency, floor):
            # The comparison with it says so.
            largest = floor
            remedy = f"Set the atLeast of {{rule}} in {currency.upper()}."
        else:
            usual_amount = usual * price * limit.factor
            largest = Money(max(_amount(usual_amount), money.exact(floor.amount)), currency)
        usually = Money(_amount(usual * price), currency).text
        is_floor = largest.amount == floor.amount
        of_floor = f", and at least {floor.text}" if is_floor else ""

        def tell(amount: str, over: str) -> str:
            return (
                f"Account {state.account_id} spent {amount} on {_named(day)}, {over}: {times} "
                f"({usually}, {_basis(days)}); {limit.text} is allowed{of_floor}."
            )

        detail = f", on {_named(day)}: {times} ({usually})"
        held_to = held(_subject(day), _amount(day.spend), currency, largest, tell)
        found = replace(held_to, day=day.date, detail=detail, remedy=remedy)
        if usage > limit.factor * usual and _may_cost_more(days, day, floor):
            return _in_doubt(state, days, day, found)
        return found


def _is_too_young(days: "LastDays", limit: Multiple) -> bool:
    return days.usual(limit.factor) is None and not days.lacks_usage


def _against_amount(state: AccountState, days: "LastDays", day: "LastDay", limit: Money) -> Finding:
    invoice = state.get(INVOICE_PREVIEW)
    is_comparable = comparable(invoice.currency, limit)
    if day.spend is None:
        return _unpriced(state, days, day, limit if is_comparable else None)
    usual = days.usual_within(Fraction(money.exact(limit.amount))) if is_comparable else None
    usually, detail = "", f", on {_named(day)}"
    if usual is not None and days.price is not None:
        amount = Money(_amount(usual * days.price), invoice.currency).text
        usually = f" A usual day is {amount} ({_basis(days)})."
        detail += f"; a usual day is {amount}"

    def tell(amount: str, over: str) -> str:
        return f"Account {state.account_id} spent {amount} on {_named(day)}, {over}.{usually}"

    held_to = held(_subject(day), _amount(day.spend), invoice.currency, limit, tell)
    found = replace(held_to, day=day.date, detail=detail)
    if is_comparable and _may_cost_more(days, day, limit):
        return _in_doubt(state, days, day, found)
    return found


def _is_ordinary(days: "LastDays", day: "LastDay") -> bool:
    """Return whether a *day* that may not be priced well was not far from a usual day."""
    return (day.usage or 0) <= _ORDINARY * _usual(days)


def _usual(days: "LastDays") -> Fraction:
    usual = days.usual(Fraction(_ORDINARY))
    return days.usual_so_far if usual is None else usual


def _may_be_a_spike(state: AccountState, days: "LastDays", day: "LastDay", limit: Money) -> bool:
    """
    Return whether an earlier *day* that has no price may be over the *limit*.

    Once its period has ended, only usage of the next one prices it, and an account may have none.
    The period's last day was never priced: its usage may be in major units, unless a usual day
    would be over the limit too. Days before were judged by their price, unless the history is late.
    """
    if day.spend is not None or _is_ordinary(days, day):
        return False
    most, (minor, major) = money.exact(limit.amount), _known_prices(limit.currency)
    may_be_major = _ends_a_period(state, day) and _amount(_usual(days) * major) <= most
    return _amount((day.usage or 0) * (major if may_be_major else minor)) > most


def _known_prices(currency: str) -> list[Fraction]:
    from pulumi_cf_invoice.forecast.unit import known_prices

    return list(known_prices(currency).values())


def _ends_a_period(state: AccountState, day: "LastDay") -> bool:
    invoice = state.find(INVOICE_PREVIEW)
    return invoice is not None and instant(invoice.period_start - 1).date() == day.date


def _may_cost_more(days: "LastDays", day: "LastDay", limit: Money) -> bool:
    """
    Return whether an unusual *day* costs more than *limit* if the invoice does not have it yet.

    Such a day would make usage look cheap. On a new account, where no day is unusual, it does so if
    it costs more in the next dearer unit: the minor one of the currency, or else the major one.
    """
    if day.spend_if_behind == day.spend:
        return False
    usage = day.usage or Fraction(0)
    if not days.before:
        price = days.price or Fraction(0)
        units = _known_prices(limit.currency)
        dearer = next((unit for unit in units if unit * _DEARER >= price), price)
        return _amount(usage * dearer) > money.exact(limit.amount)
    if _is_ordinary(days, day):
        return False
    return day.spend_if_behind is None or _amount(day.spend_if_behind) > money.exact(limit.amount)


def _in_doubt(state: AccountState, days: "LastDays", day: "LastDay", found: Finding) -> Finding:
    """Return what to say of a *day* that was *found* within the limit by a price in doubt."""
    if found.status != "within" or found.amount is None:
        return found
    message = (
        f"The spend of account {state.account_id} on {_named(day)} is not known: it is "
        f"{found.amount.text} if the invoice has all of it, and may be over the limit if it is "
        f"behind. It used {_times(day.usage or Fraction(0), days.usual_so_far)}."
    )
    return Finding("unknown", _subject(day), lambda: message, day=day.date)


def _unpriced(
    state: AccountState, days: "LastDays", day: "LastDay", limit: Money | None = None
) -> Finding:
    """Return the finding on a *day* without a price, given a *limit* that is an amount."""
    status: Status = "noted" if _is_first_price_to_come(days, day, limit) else "unknown"
    message = (
        f"The spend of account {state.account_id} on {_named(day)} is not known. It used "
        f"{_times(day.usage or Fraction(0), days.usual_so_far)}."
    )
    return Finding(
        status,
        _subject(day),
        lambda: f"{message} {days.unpriced}",
        day=day.date,
        is_put_off=status == "noted",
    )


def _is_first_price_to_come(days: "LastDays", day: "LastDay", limit: Money | None) -> bool:
    """
    Return whether an ordinary *day* has no price because the period has no usage yet.

    So it is with the day before an unused period. If the invoice already has charges of the period,
    they must be within the *limit*: they are all of today.
    """
    if not _is_ordinary(days, day):
        return False
    if days.is_unused:
        return not day.is_today
    is_within = limit is not None and _amount(days.gross or 0) <= money.exact(limit.amount)
    return days.began_unseen and is_within


def _subject(day: "LastDay") -> str:
    return f"{DAILY_SPEND} of {day.date}"


def _named(day: "LastDay") -> str:
    return f"{day.date}{' (today so far)' if day.is_today else ''}"


def _basis(days: "LastDays") -> str:
    from pulumi_cf_invoice.forecast.daily import USUAL_DAYS

    return f"the 95th percentile of {min(days.days_of_history, USUAL_DAYS)} days"


def _times(usage: Fraction, usual: Fraction) -> str:
    if usual > 0:
        return f"{float(min(usage / usual, _MOST_TIMES)):,.1f} times a usual day"
    return "more than a usual day, which has nothing" if usage > 0 else "nothing, as on a usual day"


def _amount(spend: Fraction | int) -> Decimal:
    """Return an amount in minor units, rounded to a thousandth of one."""
    return Decimal(round(Fraction(spend) * 1000)).scaleb(-3)


def _not_known(state: AccountState, days: "LastDays") -> Finding:
    first, last = days.days
    message = (
        f"The spend of account {state.account_id} on {first.date} and {last.date} is not known: "
        "the usage history has neither day yet."
    )
    return Finding("unknown", DAILY_SPEND, lambda: message)


def _nothing_usual(state: AccountState, days: "LastDays") -> Finding:
    """Return the finding on a history of too few days: those without a value are no new account."""
    from pulumi_cf_invoice.forecast.daily import FEWEST_DAYS

    history = state.get(USAGE_HISTORY)
    if history.entries_without_value:
        lacking = f"the usage history has {history.without_value_text}"
        what = f"What is usual for account {state.account_id} is not known: {lacking}."
        return Finding("unknown", DAILY_SPEND, lambda: what)
    known = state.read_at.date() + timedelta(days=FEWEST_DAYS - days.days_of_history)
    message = (
        f"The usage history of account {state.account_id} has only "
        f"{counted(days.days_of_history, 'whole day')} before yesterday, and a multiple of a usual "
        f"day needs {FEWEST_DAYS}: it is judged from {known} on."
    )
    return Finding("noted", DAILY_SPEND, lambda: message)


def _missing(state: AccountState, day: "LastDay") -> Finding:
    history = f"usage history of account {state.account_id}"
    status: Status = "noted"
    message = (
        f"The {history} has nothing for {_named(day)} yet, so that the day before may lack "
        "something too: it is judged again a day later."
    )
    if not day.is_today:
        status = "unknown"
        message = f"The spend of {_named(day)} is not known: the {history} lacks it."
    return Finding(status, _subject(day), lambda: message, day=day.date)


def _correction(state: AccountState, day: "LastDay") -> Finding:
    message = (
        f"The spend of account {state.account_id} on {_named(day)} is not known: its usage is "
        "negative, which corrects that of other days."
    )
    return Finding(
        "noted", _subject(day), lambda: message, day=day.date, is_put_off=not day.is_today
    )
