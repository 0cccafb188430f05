"""The billing API's answers about a made-up account, for each read."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.invoice_history import TYPES
from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    USAGE_HISTORY,
)
from pulumi_cf_invoice.sandbox.ledger import USUAL_CREDITS, Credits, Ledger
from pulumi_cf_invoice.sandbox.pages import PAGE_SIZE, Pages, page_of
from pulumi_cf_invoice.sandbox.usage import DAY, USUAL_USAGE, WINDOWS, Month, Series, Usage

Result = dict[str, Any]
Lines = Callable[[int, int], list[Result]]
WORKERS_AI = "@cf/"
"""The prefix of models whose usage is on the invoice but not in the history."""
_ROWS_OF_A_PAGE = 20


def gateway(
    name: str, *rules: Result, is_default: bool = False, enabled: bool = True, **changes: Any
) -> Result:
    """Return an AI gateway as the API lists it, with these *rules* of its spend limits."""
    limits = {"spend_limits": {"enabled": enabled, "rules": list(rules)}} if rules else {}
    return {
        "id": name,
        "cache_invalidate_on_update": False,
        "cache_ttl": 0,
        "collect_logs": True,
        "created_at": "2026-03-01T09:00:00Z",
        "modified_at": "2026-03-01T09:00:00Z",
        "rate_limiting_interval": 0,
        "rate_limiting_limit": 0,
        "is_default": is_default,
        "byok_only": False,
        "workers_ai_billing_mode": "postpaid",
        **limits,
        **changes,
    }


def cost_rule(limit: float, window: int = DAY, **changes: Any) -> Result:
    """Return a rule of a gateway's spend limits: *limit* US dollars in *window* seconds."""
    rule = {"limit": limit, "limitType": "cost", "window": window, "enabled": True}
    return {"id": f"rule-{window}", "technique": "fixed", **rule, **changes}


USUAL_GATEWAYS = (
    gateway("default", is_default=True),
    gateway("chat", cost_rule(5)),
)
"""The gateways of a usual account: `default`, which nothing caps, and one with a daily limit."""


class QueryError(Exception):
    """A query that the API refuses, with its HTTP status and its code and message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(status, code, message)
        self.refusal = status, code, message


def _as_it_is(_read: str, result: Result) -> Result:
    return result


@dataclass(frozen=True)
class Scenario:
    """
    A made-up account.

    ``lines`` creates the lines of its invoice from the month's usage in minor units and the number
    of earlier calls. ``invoice`` overrides fields of the invoice. ``months`` is the number of
    months in its history, and ``unpaid`` the statuses of unpaid invoices, by months ago.
    ``written`` changes a result as the last step. ``in_contract`` is whether the answers follow the
    contract as published today. ``pages`` is how entries come in pages, if they do. ``gateways``
    are the account's AI gateways.
    """

    description: str
    lines: Lines
    currency: str = "usd"
    tax: int = 0
    invoice: Mapping[str, Any] = field(default_factory=dict)
    usage: Usage = USUAL_USAGE
    credits: Credits = USUAL_CREDITS
    months: int = 6
    unpaid: tuple[tuple[int, str], ...] = ()
    written: Callable[[str, Result], Result] = _as_it_is
    in_contract: bool = True
    pages: Pages | None = None
    gateways: tuple[Result, ...] = USUAL_GATEWAYS

    def at(self, now: datetime, call: int = 0, amount_due: int | None = None) -> "Account":
        """Return the account at *now*, after *call* earlier calls; *amount_due* moves a line."""
        return Account(self, int(now.timestamp()), Month.of(now), call, amount_due)


@dataclass(frozen=True)
class Account:
    """A scenario at a time, in Unix seconds."""

    scenario: Scenario
    now: int
    month: Month
    call: int
    amount_due: int | None

    @property
    def gateways(self) -> list[Result]:
        """The AI gateways of the account."""
        return list(self.scenario.gateways)

    def result(self, read: str, query: Mapping[str, str] | None = None) -> Result:
        """Return the ``result`` of the read of that name. Raises `QueryError`."""
        answers: dict[str, Callable[[Mapping[str, str]], Result]] = {
            INVOICE_PREVIEW.name: lambda _: self._invoice,
            CREDIT_BALANCE.name: lambda _: self._ledger.credit_balance(self.now),
            USAGE_HISTORY.name: self._usage_history,
            INVOICE_HISTORY.name: self._invoice_history,
        }
        return self.scenario.written(read, answers[read](query or {}))

    @cached_property
    def _invoice(self) -> Result:
        scenario = self.scenario
        lines = [
            {
                "currency": scenario.currency,
                "period": {"start": self.month.start, "end": self.month.end},
                **line,
            }
            for line in scenario.lines(self._used, self.call)
        ]
        due = money.number(
            money.total(
                [*(line["amount"] for line in lines), scenario.tax],
                less=(credit["amount"] for credit in _credits(lines)),
            )
        )
        invoice = {
            "id": "upcoming_in_1QxBars",
            "amount_due": due,
            "amount_paid": 0,
            "amount_remaining": due,
            "currency": scenario.currency,
            "period_start": self.month.start,
            "period_end": self.month.end,
            "status": "draft",
            "invoice_lines": lines,
            **scenario.invoice,
        }
        return invoice if self.amount_due is None else self._moved(invoice, self.amount_due)

    def _moved(self, invoice: Result, due: int) -> Result:
        """Return *invoice* with that amount *due*, changing its largest line accordingly."""
        by = money.total([due], less=[invoice["amount_due"]])
        lines = invoice["invoice_lines"] or [
            {
                "description": "openai/gpt-5.5",
                "amount": 0,
                "currency": self.scenario.currency,
                "quantity": 1,
                "period": {"start": self.month.start, "end": self.month.end},
                "pricing": {"unit_amount_decimal": None},
            }
        ]
        largest = max(lines, key=lambda line: line["amount"])
        amount = money.number(money.total([largest["amount"], by]))
        moved = {**largest, "amount": amount, "quantity": _quantity(largest, amount)}
        return {
            **invoice,
            "amount_due": due,
            "amount_remaining": due,
            "invoice_lines": [moved if line is largest else line for line in lines],
        }

    @cached_property
    def _used(self) -> int:
        """What an invoice of this month's usage comes to by now, in whole minor units."""
        if self.scenario.usage.a_day is None:
            return 0
        until = self.now - self.scenario.usage.invoice_behind * DAY
        if until <= self.month.start:
            return 0
        return int(self._usual.between(self.month.start, until))

    @cached_property
    def _usual(self) -> Series:
        """The usage if nobody had changed this month's figure."""
        a_day = self.scenario.usage.a_day
        if a_day is not None:
            return Series(self.scenario.usage, self.now, self.month, Decimal(a_day))
        gross = _metered(self.scenario.lines(0, 0))
        return Series(self.scenario.usage, self.now, self.month, gross / 15, gross)

    @cached_property
    def _series(self) -> Series:
        usual = _metered(self.scenario.lines(self._used, 0))
        moved = money.total([_metered(self._invoice["invoice_lines"])], less=[usual])
        return self._usual.moved(moved) if moved else self._usual

    @cached_property
    def _past(self) -> list[Month]:
        """The earlier months, the oldest first."""
        months = [self.month]
        for _ in range(self.scenario.months):
            months.append(months[-1].previous)
        return months[:0:-1]

    @cached_property
    def _ledger(self) -> Ledger:
        of_balance = (
            credit["amount"]
            for credit in _credits(self._invoice["invoice_lines"])
            if credit["type"] == "credit_balance_transaction"
        )
        return Ledger(
            self.scenario.credits,
            [(month, self._cost(month)) for month in self._past],
            money.total(of_balance),
            self.now,
            currency=self.scenario.currency,
            unpaid=self.scenario.unpaid,
        )

    def _cost(self, month: Month) -> Decimal:
        return Decimal(0) if self.scenario.usage.is_included else self._series.total(month)

    def _usage_history(self, query: Mapping[str, str]) -> Result:
        window = query.get("value_grouping_window")
        if window not in WINDOWS:
            raise QueryError(400, 7001, "value_grouping_window must be one of: day, hour")
        length = WINDOWS[window]
        first = min((month.start for month in self._past), default=self.month.start)
        known = self.now - self.scenario.usage.history_behind * DAY
        since = max(_bound(query, "start_time", first, length), first)
        until = _bound(query, "end_time", known + length, length)
        history = []
        for start in range(since, min(until, known), length):
            value = self._series.between(start, min(start + length, known))
            if value:
                history.append(
                    {
                        "id": f"{window}-{start}",
                        "aggregated_value": money.number(value / self.scenario.usage.unit),
                        "start_time": start * 1000,
                        "end_time": (start + length) * 1000,
                    }
                )
        return {"history": history}

    def _invoice_history(self, query: Mapping[str, str]) -> Result:
        wanted = query.get("type", "all")
        if wanted not in TYPES:
            raise QueryError(400, 7001, f"type must be one of: {', '.join(TYPES)}")
        rows = [row for row in self._ledger.invoices if wanted in ("all", row["invoice_origin"])]
        number = whole_number(query, "page", 1)
        size = PAGE_SIZE if self.scenario.pages else _ROWS_OF_A_PAGE
        size = whole_number(query, "per_page", size)
        if self.scenario.pages == "moving":
            # An invoice is added with each page, and pushes the last of one page to the next.
            rows = rows[:1] * (number - 1) + rows
        part, info = page_of(rows, number, size, self.scenario.pages)
        return {"invoices": part, "pagination": info}


def whole_number(query: Mapping[str, str], name: str, default: int) -> int:
    """Return a parameter of *query* that counts from 1. Raises `QueryError`."""
    given = query.get(name)
    if given is None:
        return default
    number = _number(given)
    # More digits than this could make a range that Python refuses.
    if number is None or number != int(number) or not 1 <= number < 10**9:
        raise QueryError(400, 7001, f"{name} must be a whole number of at least 1")
    return int(number)


def _number(text: str) -> Decimal | None:
    """Return *text* as a number, in any of JSON's forms, or None if it is not one."""
    if not re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", text):
        return None
    number = Decimal(text)
    return number if abs(number.adjusted()) < 30 else None


def _bound(query: Mapping[str, str], name: str, default: int, length: int) -> int:
    """Return a bound of *query* in Unix seconds. Raises `QueryError`."""
    given = query.get(name)
    if given is None:
        return default - default % length
    number = _number(given)
    if number is None or not 0 <= number < 10**15:
        raise QueryError(400, 7001, f"{name} must be a number of milliseconds")
    seconds, rest = int(number // 1000), number % 1000
    if rest or seconds % length:
        raise QueryError(500, 10001, "Internal error")
    return seconds


def _metered(lines: Iterable[Result]) -> Decimal:
    """Return the gross of the *lines* whose usage the history has."""
    return money.total(
        line["amount"]
        for line in lines
        if not (line.get("description") or "").startswith(WORKERS_AI)
    )


def _quantity(line: Result, amount: float) -> Any:
    """Return the quantity that comes to *amount* at the price of *line*, if it has one."""
    before, quantity = line["amount"], line.get("quantity")
    price = (line.get("pricing") or {}).get("unit_amount_decimal")
    if not (before and quantity and price):
        return quantity
    return max(round(quantity * amount / before), 0)


def _credits(lines: Iterable[Result]) -> list[Result]:
    return [credit for line in lines for credit in line.get("pretax_credit_amounts") or []]
