"""The made-up accounts that the sandbox answers for."""

from dataclasses import replace
from functools import cache
from typing import Any

from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    USAGE_HISTORY,
)
from pulumi_cf_invoice.sandbox.accounts import Scenario, cost_rule, gateway
from pulumi_cf_invoice.sandbox.ledger import Credits
from pulumi_cf_invoice.sandbox.usage import DAY, Usage

Result = dict[str, Any]


def _line(
    description: str | None,
    amount: float,
    *,
    quantity: float = 1,
    unit: str | None = None,
    **more: Any,
) -> Result:
    return {
        "description": description,
        "amount": amount,
        "quantity": quantity,
        "pricing": {"unit_amount_decimal": unit},
        **more,
    }


def _discount(amount: float) -> Result:
    return {"amount": amount, "type": "discount", "discount": "di_1"}


def _balance(amount: float) -> Result:
    kind = "credit_balance_transaction"
    return {"amount": amount, "type": kind, kind: "cbt_1"}


def _usual(used: int, call: int) -> list[Result]:
    return [
        _line("anthropic/claude-haiku", 1367),
        _line(
            "openai/gpt-5.5",
            19287,
            quantity=154296000,
            unit="0.000125",
            pretax_credit_amounts=[_balance(1800), _discount(8)],
        ),
    ]


def _moving(used: int, call: int) -> list[Result]:
    first, *others = _usual(used, call)
    return [{**first, "amount": first["amount"] + 27 * call}, *others]


def _by_clock(used: int, call: int) -> list[Result]:
    """Return lines that come to what was *used* by now: a third of it for a small model."""
    if not used:
        return []
    small = used // 3
    return [_line("anthropic/claude-haiku", small), _line("openai/gpt-5.5", used - small)]


def _none(used: int, call: int) -> list[Result]:
    return []


def _yen(used: int, call: int) -> list[Result]:
    return [_line("openai/gpt-5.5", 1900, unit="1.9")]


def _dinar(used: int, call: int) -> list[Result]:
    return [_line("openai/gpt-5.5", 57125, unit="0.5")]


def _ten_thousand_lines(used: int, call: int) -> list[Result]:
    return list(_lines_of_ten_thousand_models())


# Each read of an account needs its lines several times.
@cache
def _lines_of_ten_thousand_models() -> tuple[Result, ...]:
    names = (f"provider-{n % 40:02}/model-{n:05}" for n in range(10_000))
    return tuple(
        _line(name, 100 + n % 977, quantity=1000 + n, unit="0.000125")
        for n, name in enumerate(names)
    )


def _fractions(used: int, call: int) -> list[Result]:
    return [
        _line("anthropic/claude-haiku", 640.19),
        _line("openai/gpt-5.5", 18208.31, pretax_credit_amounts=[_discount(2)]),
    ]


def _bare(used: int, call: int) -> list[Result]:
    return [
        {"amount": 500},
        {
            **dict.fromkeys(("description", "quantity", "period", "pricing"), None),
            "amount": 250,
            "pretax_credit_amounts": None,
        },
        _line("openai/gpt-5.5", 100, period={"start": None, "end": None}),
    ]


def _odd(used: int, call: int) -> list[Result]:
    # The text that Pulumi uses for an unknown value.
    marker = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    return [_line(marker, 500), _line("openai/gpt-5.5", 100, unit="free of charge")]


def _many_pages(used: int, call: int) -> list[Result]:
    return [_line(f"provider/model-{n // 2}", 100) for n in range(7)]


def _nulls(used: int, call: int) -> list[Result]:
    return [
        _line(None, 500),
        _line(None, 250, unit="0.25", quantity=1000.5),
        _line("openai/gpt-5.5", 100, pretax_credit_amounts=[]),
    ]


def _future(used: int, call: int) -> list[Result]:
    more: Result = {"region": "weur", "tier": {"name": "batch"}, "pretax_credit_amounts": None}
    return [_line("openai/gpt-6", 4200, **more)]


def _credits_exceed_usage(used: int, call: int) -> list[Result]:
    return [_line("openai/gpt-5.5", 1000, pretax_credit_amounts=[_balance(2500)])]


def _workers_ai(used: int, call: int) -> list[Result]:
    return [*_usual(used, call), _line("@cf/meta/llama-4-scout", 6214, unit="0.011")]


def _ahead_of_credits(used: int, call: int) -> list[Result]:
    *others, last = _by_clock(used, call) or [_line("openai/gpt-5.5", 0)]
    return [*others, {**last, "pretax_credit_amounts": [_balance(1275)]}]


def _included(used: int, call: int) -> list[Result]:
    return [_line("openai/gpt-5.5 (included)", 0, quantity=used, unit="0")]


def _only_what_is_required(read: str, result: Result) -> Result:
    kept = {
        CREDIT_BALANCE.name: ("balance",),
        INVOICE_HISTORY.name: ("amount_due", "amount_paid", "amount_remaining", "currency"),
        USAGE_HISTORY.name: ("aggregated_value", "start_time"),
    }
    if read == INVOICE_PREVIEW.name:
        lines = [
            line if "description" in line else {name: line[name] for name in ("amount", "currency")}
            for line in result["invoice_lines"]
        ]
        known = {name: value for name, value in result.items() if name != "status"}
        return {**known, "id": None, "invoice_lines": lines}
    if read == CREDIT_BALANCE.name:
        return {name: result[name] for name in kept[read]}
    return {
        name: [{field: entry[field] for field in kept[read]} for entry in entries]
        for name, entries in result.items()
        if isinstance(entries, list)
    }


def _with_nulls_for_lists(read: str, result: Result) -> Result:
    lists = {name: None for name, value in result.items() if isinstance(value, list)}
    return {**result, **lists}


def _without_explanations(read: str, result: Result) -> Result:
    if read == CREDIT_BALANCE.name:
        config = {name: result["topup_config"][name] for name in ("amount", "threshold")}
        return {**result, "topup_config": config}
    if read == USAGE_HISTORY.name:
        first, *others = result["history"] or [{}]
        return {"history": [{**first, "aggregated_value": None}, *others]}
    if read == INVOICE_PREVIEW.name:
        return {**result, "invoice_lines": [_of_no_type(line) for line in result["invoice_lines"]]}
    return result


def _of_no_type(line: Result) -> Result:
    credits = [{**credit, "type": None} for credit in line.get("pretax_credit_amounts") or []]
    return {**line, "pretax_credit_amounts": credits or None}


def _with_nulls(read: str, result: Result) -> Result:
    if read == CREDIT_BALANCE.name:
        config = dict.fromkeys(result["topup_config"])
        return {**result, "payment_method": None, "topup_config": config}
    if read == INVOICE_HISTORY.name:
        nulls = dict.fromkeys(("id", "status", "description", "invoice_pdf", "auto_advance"))
        return {**result, "invoices": [{**row, **nulls} for row in result["invoices"]]}
    return result


def _with_unknown_words(read: str, result: Result) -> Result:
    if read == CREDIT_BALANCE.name:
        return {**result, "currency": "usd", "promotional": {"balance": 0}}
    if read == INVOICE_HISTORY.name:
        words = {"status": "in_review", "invoice_origin": "reseller", "region": "weur"}
        return {**result, "invoices": [{**row, **words} for row in result["invoices"]]}
    if read == USAGE_HISTORY.name:
        entries = [{**entry, "unit": "neurons"} for entry in result["history"]]
        return {**result, "history": entries, "next": None}
    return {**result, "automatic_tax": {"enabled": True}}


_A_DAY = Usage(a_day=1_400)
_NO_TOP_UP = Credits(top_up=None, threshold=None)
_NEVER_BOUGHT = replace(_NO_TOP_UP, bought=0)
_STEADY = Scenario("usage of $14.00 a day, which the invoice follows", _by_clock, usage=_A_DAY)

SCENARIOS: dict[str, Scenario] = {
    "usual": Scenario("a usual month: two models, credits, $188.46 due", _usual),
    "no-usage": Scenario("no usage yet: no lines, nothing due", _none),
    "capped-gateways": Scenario(
        "gateways that all have spend limits, except one that only takes your own provider keys",
        _usual,
        gateways=(
            gateway("default", cost_rule(2), is_default=True),
            gateway("chat", cost_rule(5), cost_rule(40, 7 * DAY, technique="sliding")),
            gateway("batch", cost_rule(1, metadata={"team": {"mode": "partition"}}), cost_rule(3)),
            gateway("own-keys", byok_only=True),
        ),
    ),
    "yen": Scenario("a currency without decimals: ¥1,900", _yen, currency="jpy"),
    "dinar": Scenario("a currency with three decimals: KWD 57.125", _dinar, currency="kwd"),
    "ten-thousand-lines": Scenario("10,000 lines", _ten_thousand_lines),
    "void": Scenario(
        "a void invoice",
        _usual,
        invoice={"status": "void", "amount_due": 0, "amount_remaining": 0},
    ),
    "nulls": Scenario(
        "null descriptions and prices, a quantity with a fraction", _nulls, written=_with_nulls
    ),
    "future": Scenario(
        "unknown fields, an unknown status, and null for credits",
        _future,
        tax=42,
        invoice={"status": "scheduled"},
        written=_with_unknown_words,
        in_contract=False,
    ),
    "fractions": Scenario(
        "fractions of a cent: 18846.5 cents due, a balance of 640.19 cents",
        _fractions,
        credits=replace(_NO_TOP_UP, bought=10_000, a_month=1871.962),
        months=5,
    ),
    "without-required-fields": Scenario(
        "only amounts, currency and period: required fields that only explain are missing",
        _bare,
        written=_only_what_is_required,
        in_contract=False,
    ),
    "nulls-for-lists": Scenario(
        "null for every empty list: no lines, no history, no earlier invoices",
        _none,
        written=_with_nulls_for_lists,
        in_contract=False,
    ),
    "unexplained": Scenario(
        "credits without a type, a day without a value, a top-up that says nothing of failures",
        _usual,
        written=_without_explanations,
        in_contract=False,
    ),
    "odd": Scenario(
        "a text that equals a marker of Pulumi's, and a price that is not a number", _odd
    ),
    "pages": Scenario("7 lines on 4 pages, as earlier invoices are", _many_pages, pages="all"),
    "pages-ignored": Scenario(
        "the first page, whichever is requested", _many_pages, pages="ignored"
    ),
    "pages-short": Scenario("fewer entries than the total count says", _many_pages, pages="short"),
    "pages-moving": Scenario(
        "an amount that differs on each page, and earlier invoices that move to the next page",
        _many_pages,
        pages="moving",
    ),
    "pages-endless": Scenario(
        "pages that never stop saying that more follow", _many_pages, pages="endless"
    ),
    "pages-failing": Scenario(
        "a first page, and an error for every other", _many_pages, pages="failing"
    ),
    "moving": Scenario("the usual month, $0.27 more with each request", _moving),
    "credits-exceed-usage": Scenario(
        "credits larger than usage: $15.00 owed", _credits_exceed_usage
    ),
    "steady": _STEADY,
    "growing": replace(
        _STEADY,
        description="usage that grows by 1.5% a day, and credits without a top-up",
        usage=replace(_A_DAY, growth=0.015),
        credits=_NO_TOP_UP,
    ),
    "launch": replace(
        _STEADY,
        description="a launch six days ago, since when usage is four times what it was",
        usage=replace(_A_DAY, launched=6),
    ),
    "night-loop": replace(
        _STEADY,
        description="a loop since last night, 22:00 UTC, at thirty times the usual usage",
        usage=replace(_A_DAY, nights_of_a_loop=1),
    ),
    "three-nights-loop": replace(
        _STEADY,
        description="a loop in each of the last three nights",
        usage=replace(_A_DAY, nights_of_a_loop=3),
    ),
    "quiet-weekend": replace(
        _STEADY,
        description="no usage on Saturdays and Sundays, which the history leaves out",
        usage=replace(_A_DAY, weekdays=(140, 140, 140, 140, 140, 0, 0)),
    ),
    "new": replace(_STEADY, description="an account that began this month", months=0),
    "history-a-day-behind": replace(
        _STEADY,
        description="a history that is one day behind the invoice",
        usage=replace(_A_DAY, history_behind=1),
    ),
    "history-two-days-behind": replace(
        _STEADY,
        description="a history that is two days behind the invoice",
        usage=replace(_A_DAY, history_behind=2),
    ),
    "invoice-a-day-behind": replace(
        _STEADY,
        description="an invoice that is one day behind the history",
        usage=replace(_A_DAY, invoice_behind=1),
    ),
    "invoice-two-days-behind": replace(
        _STEADY,
        description="an invoice that is two days behind the history",
        usage=replace(_A_DAY, invoice_behind=2),
    ),
    "usage-in-dollars": replace(
        _STEADY,
        description="usage that is counted in dollars, where others have cents",
        usage=replace(_A_DAY, unit=100),
    ),
    "workers-ai": Scenario(
        "lines of Workers AI, whose usage the history does not have", _workers_ai
    ),
    "included-usage": replace(
        _STEADY,
        description="usage that is included, and costs nothing",
        lines=_included,
        usage=replace(_A_DAY, is_included=True),
    ),
    "never-paid": Scenario(
        "an account that never bought credits: inference is refused with HTTP 402",
        _none,
        credits=_NEVER_BOUGHT,
    ),
    "negative-balance": replace(
        _STEADY,
        description="a balance of -$12.75: usage ran ahead of the credits",
        credits=replace(_NO_TOP_UP, bought=9_000, a_month=1_500),
        lines=_ahead_of_credits,
    ),
    "topped-up": replace(
        _STEADY,
        description="an automatic top-up that works, and has refilled the balance each month",
        credits=Credits(bought=2_500, a_month=2_400),
    ),
    "top-up-failed": replace(
        _STEADY,
        description="an automatic top-up that failed eight hours ago, and $4.20 left",
        credits=Credits(bought=9_420, error="Your card has insufficient funds.", failed=8),
    ),
    "top-up-disabled": replace(
        _STEADY,
        description="an automatic top-up that Cloudflare disabled, and $4.20 left",
        credits=Credits(
            bought=9_420,
            error="Your card was declined.",
            disabled_reason="too_many_failed_attempts",
            failed=50,
        ),
    ),
    "unpaid": replace(
        _STEADY,
        description="an earlier invoice that is open, and one that is uncollectible",
        unpaid=((1, "open"), (4, "uncollectible")),
    ),
    "three-years": replace(
        _STEADY,
        description="36 earlier invoices, on two pages",
        credits=replace(_NO_TOP_UP, bought=60_000),
        months=36,
    ),
}
"""The scenarios by name."""
