"""The made-up accounts that the sandbox answers for, with the ``result`` of each read."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    USAGE_HISTORY,
)

Result = dict[str, Any]


@dataclass(frozen=True)
class Month:
    """The billing period, a calendar month in UTC, in Unix seconds."""

    start: int
    end: int

    @classmethod
    def of(cls, now: datetime) -> "Month":
        """Return the month that *now* is in."""
        first = now.astimezone(timezone.utc).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        return cls(int(first.timestamp()), int(following.timestamp()))


Pages = Literal["all", "ignored", "short", "moving", "failing"]
"""
How lines come in pages: all of them, ``page=`` is ignored, fewer than there are said to be, fields
beside the lines differ from page to page, or every page after the first fails.
"""
_PAGE_SIZE = 2


@dataclass(frozen=True)
class Scenario:
    """
    A made-up account.

    ``build`` makes its invoice for a month, given the number of earlier calls. ``in_contract`` is
    whether the answer keeps to the contract as it is published today. ``pages`` is how its lines
    come in pages, if they do.
    """

    description: str
    build: Callable[[Month, int], Result]
    in_contract: bool = True
    pages: Pages | None = None

    def result(self, read: str, month: Month, call: int) -> Result:
        """Return the ``result`` of the read of that name."""
        if read == INVOICE_PREVIEW.name:
            return self.build(month, call)
        others: dict[str, Result] = {
            CREDIT_BALANCE.name: {"balance": 2500, "topup_config": {}},
            USAGE_HISTORY.name: {"history": []},
            INVOICE_HISTORY.name: {"invoices": []},
        }
        return others[read]

    def page(self, result: Result, number: int) -> tuple[Result, Result]:
        """Return the page of that number of *result*, and the ``result_info`` beside it."""
        lines = result["invoice_lines"]
        start = 0 if self.pages == "ignored" else (number - 1) * _PAGE_SIZE
        end = start + _PAGE_SIZE
        moved = {"amount_due": result["amount_due"] + number} if self.pages == "moving" else {}
        info = {
            "has_more": end < len(lines),
            "page": number,
            "per_page": _PAGE_SIZE,
            "total_count": len(lines) + (3 if self.pages == "short" else 0),
        }
        return {**result, "invoice_lines": lines[start:end], **moved}, info


def _line(
    month: Month,
    description: str | None,
    amount: float,
    *,
    currency: str = "usd",
    quantity: float = 1,
    unit: str | None = None,
    **more: Any,
) -> Result:
    return {
        "description": description,
        "amount": amount,
        "currency": currency,
        "quantity": quantity,
        "period": {"start": month.start, "end": month.end},
        "pricing": {"unit_amount_decimal": unit},
        **more,
    }


def _invoice(
    month: Month, lines: list[Result], *, tax: int = 0, status: str = "draft", **more: Any
) -> Result:
    credits = sum(c["amount"] for line in lines for c in line.get("pretax_credit_amounts") or [])
    due = sum(line["amount"] for line in lines) - credits + tax
    return {
        "id": "upcoming_in_1QxBars",
        "amount_due": due,
        "amount_paid": 0,
        "amount_remaining": due,
        "currency": lines[0]["currency"] if lines else "usd",
        "period_start": month.start,
        "period_end": month.end,
        "status": status,
        "invoice_lines": lines,
        **more,
    }


def _discount(amount: int) -> Result:
    return {"amount": amount, "type": "discount", "discount": "di_1"}


def _balance(amount: int) -> Result:
    kind = "credit_balance_transaction"
    return {"amount": amount, "type": kind, kind: "cbt_1"}


def _usual(month: Month, call: int) -> Result:
    return _invoice(
        month,
        [
            _line(month, "anthropic/claude-haiku", 1367),
            _line(
                month,
                "openai/gpt-5.5",
                19287,
                quantity=154296000,
                unit="0.000125",
                pretax_credit_amounts=[_balance(1800), _discount(8)],
            ),
        ],
    )


def _moving(month: Month, call: int) -> Result:
    usual = _usual(month, call)
    usual["invoice_lines"][0]["amount"] += 27 * call
    return _invoice(month, usual["invoice_lines"])


def _no_usage(month: Month, call: int) -> Result:
    return _invoice(month, [])


def _yen(month: Month, call: int) -> Result:
    return _invoice(month, [_line(month, "openai/gpt-5.5", 1900, currency="jpy", unit="1.9")])


def _dinar(month: Month, call: int) -> Result:
    return _invoice(month, [_line(month, "openai/gpt-5.5", 57125, currency="kwd", unit="0.5")])


def _ten_thousand_lines(month: Month, call: int) -> Result:
    names = (f"provider-{n % 40:02}/model-{n:05}" for n in range(10_000))
    lines = [
        _line(month, name, 100 + n % 977, quantity=1000 + n, unit="0.000125")
        for n, name in enumerate(names)
    ]
    return _invoice(month, lines)


def _fractions(month: Month, call: int) -> Result:
    lines = [
        _line(month, "anthropic/claude-haiku", 640.19),
        _line(month, "openai/gpt-5.5", 18208.31, pretax_credit_amounts=[_discount(2)]),
    ]
    return _invoice(month, lines, amount_due=18846.5, amount_remaining=18846.5)


def _bare(month: Month, call: int) -> Result:
    lines: list[Result] = [
        {"amount": 500, "currency": "usd"},
        {
            **dict.fromkeys(("description", "quantity", "period", "pricing"), None),
            "amount": 250,
            "currency": "usd",
            "pretax_credit_amounts": None,
        },
        _line(month, "openai/gpt-5.5", 100, period={"start": None, "end": None}),
    ]
    invoice = _invoice(month, lines)
    del invoice["status"]
    return {**invoice, "id": None}


def _odd(month: Month, call: int) -> Result:
    # The text that Pulumi takes for a value to come.
    marker = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    lines = [
        _line(month, marker, 500),
        _line(month, "openai/gpt-5.5", 100, unit="free of charge"),
    ]
    return _invoice(month, lines)


def _many_pages(month: Month, call: int) -> Result:
    lines = [_line(month, f"provider/model-{n // 2}", 100) for n in range(7)]
    return _invoice(month, lines)


def _void(month: Month, call: int) -> Result:
    return {**_usual(month, call), "status": "void", "amount_due": 0, "amount_remaining": 0}


def _nulls(month: Month, call: int) -> Result:
    lines = [
        _line(month, None, 500),
        _line(month, None, 250, unit="0.25", quantity=1000.5),
        _line(month, "openai/gpt-5.5", 100, pretax_credit_amounts=[]),
    ]
    return _invoice(month, lines)


def _future(month: Month, call: int) -> Result:
    lines = [
        _line(
            month,
            "openai/gpt-6",
            4200,
            region="weur",
            tier={"name": "batch"},
            pretax_credit_amounts=None,
        )
    ]
    return _invoice(month, lines, status="scheduled", tax=42, automatic_tax={"enabled": True})


def _credits_exceed_usage(month: Month, call: int) -> Result:
    lines = [_line(month, "openai/gpt-5.5", 1000, pretax_credit_amounts=[_balance(2500)])]
    return _invoice(month, lines)


SCENARIOS: dict[str, Scenario] = {
    "usual": Scenario("a usual month: two models, credits, $188.46 due", _usual),
    "no-usage": Scenario("no usage yet: no lines, nothing due", _no_usage),
    "yen": Scenario("a currency without decimals: ¥1,900", _yen),
    "dinar": Scenario("a currency with three decimals: KWD 57.125", _dinar),
    "ten-thousand-lines": Scenario("10,000 lines", _ten_thousand_lines),
    "void": Scenario("a void invoice", _void),
    "nulls": Scenario("null descriptions and prices, a quantity with a fraction", _nulls),
    "future": Scenario(
        "unknown fields, an unknown status, and null for credits", _future, in_contract=False
    ),
    "fractions": Scenario("fractions of a cent: 18846.5 cents due", _fractions),
    "bare": Scenario("only the fields that are required", _bare, in_contract=False),
    "odd": Scenario(
        "a text that equals a marker of Pulumi's, and a price that is not a number", _odd
    ),
    "pages": Scenario("7 lines on 4 pages", _many_pages, pages="all"),
    "pages-ignored": Scenario(
        "the first page, whichever is requested", _many_pages, pages="ignored"
    ),
    "pages-short": Scenario("fewer lines than the total count says", _many_pages, pages="short"),
    "pages-moving": Scenario("an amount that differs on each page", _many_pages, pages="moving"),
    "pages-failing": Scenario(
        "a first page, and an error for every other", _many_pages, pages="failing"
    ),
    "moving": Scenario("the usual month, $0.27 more with each request", _moving),
    "credits-exceed-usage": Scenario(
        "credits larger than usage: $15.00 owed", _credits_exceed_usage
    ),
}
"""The scenarios by name."""
