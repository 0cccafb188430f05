import copy
import json
import pickle
import random
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

# Pulumi has no public API for the properties of an output type.
from pulumi._types import output_type_types
from pulumi.runtime.stack import massage

from pulumi_cf_invoice.billing import (
    IncompleteLinesError,
    InvalidDataError,
    Invoice,
    invoice as models,
    money,
)
from pulumi_cf_invoice.billing.cleaning import MARKERS
from pulumi_cf_invoice.billing.invoice import FIGURES, SUMMED
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.program import output_types
from pulumi_cf_invoice.state import UNKNOWN
from tests.factories import START, api_line, api_result, with_floats


def test_net_is_amount_less_credits() -> None:
    invoice = Invoice.from_api(api_result())
    assert (invoice.gross, invoice.credits, invoice.net) == (19287, 1808, 17479)
    assert invoice.net_decimal == "174.79"
    assert invoice.net_text == invoice.invoice_lines[0].net_text == "$174.79"
    assert invoice.tax_and_adjustments == 18846 - 17479


def test_the_period_reads_in_utc_days_with_the_last_included() -> None:
    invoice = Invoice.from_api(api_result())
    assert invoice.period_text == "2026-09-01 to 2026-09-30"
    assert invoice.period_end_iso == "2026-10-01T00:00:00Z"


def test_the_order_of_lines_and_credits_does_not_matter() -> None:
    credits = [{"amount": n, "type": "discount"} for n in (3, 1, 2)]
    lines = [
        api_line(description=name, amount=amount, pretax_credit_amounts=credits)
        for name in ("b", None, "a")
        for amount in (2, 1)
    ]
    expected = Invoice.from_api(api_result(invoice_lines=lines)).to_outputs()
    for _ in range(10):
        random.shuffle(lines)
        random.shuffle(credits)
        assert Invoice.from_api(api_result(invoice_lines=lines)).to_outputs() == expected


def test_integral_floats_are_whole_numbers() -> None:
    invoice = Invoice.from_api(api_result(amount_due=18846.0))
    assert type(invoice.to_outputs()["amount_due"]) is int


def test_credits_missing_null_or_empty_are_the_same() -> None:
    missing = api_line()
    del missing["pretax_credit_amounts"]
    forms = [missing, api_line(pretax_credit_amounts=None), api_line(pretax_credit_amounts=[])]
    read = [Invoice.from_api(api_result(invoice_lines=[form])).to_outputs() for form in forms]
    assert read[0] == read[1] == read[2]


def test_what_only_names_or_explains_may_be_null_or_missing() -> None:
    """An invoice needs nothing but its amounts, currency and period."""
    needed = api_result(invoice_lines=[{"amount": 500, "currency": "usd"}])
    del needed["id"], needed["status"]
    empty = dict.fromkeys(("description", "quantity", "period", "pricing"), None)
    empty |= {"amount": 500, "currency": "usd", "pretax_credit_amounts": None}
    nulls = api_result(id=None, status=None, invoice_lines=[empty])
    missing, null = Invoice.from_api(needed), Invoice.from_api(nulls)
    assert missing == null
    assert (missing.invoice_id, missing.status) == (None, None)
    assert missing.to_outputs()["invoice_lines"] == [{"amount": 500, "currency": "usd"}]
    assert Invoice.from_outputs(missing.to_outputs()) == missing


@pytest.mark.parametrize(
    "period", [{}, {"start": None, "end": None}, {"start": START}, {"start": -1, "end": 10**30}]
)
def test_a_period_of_a_line_that_is_not_a_time_is_none(period: Any) -> None:
    invoice = Invoice.from_api(api_result(invoice_lines=[api_line(period=period)]))
    assert invoice.invoice_lines[0].period is None


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [(10**400, None), (Decimal("1e400"), None), (1000.5, 1000.5), (2**60, float(2**60)), (3.0, 3)],
)
def test_a_quantity_beyond_a_float_is_none_and_never_stops_a_deployment(
    quantity: Any, expected: Any
) -> None:
    invoice = Invoice.from_api(api_result(invoice_lines=[api_line(quantity=quantity)]))
    assert invoice.invoice_lines[0].quantity == expected


def test_what_explains_in_another_form_is_none_and_stops_nothing() -> None:
    odd = api_line(description=5, quantity="many", pricing=[], period="September")
    invoice = Invoice.from_api(api_result(id=7, status=["draft"], invoice_lines=[odd]))
    [line] = invoice.invoice_lines
    assert (invoice.invoice_id, invoice.status) == (None, None)
    assert (line.description, line.quantity, line.pricing, line.period) == (None,) * 4


def test_an_invoice_that_a_program_exports_is_plain_down_to_its_credits() -> None:
    """Pulumi makes a mapping of each object that has a `__dict__`, and fails on any other."""
    invoice = Invoice.from_api(api_result())
    exported = massage(invoice, [])
    assert json.loads(json.dumps(exported))["invoice_lines"][0]["period"]["start"] == START
    assert exported["invoice_lines"][0]["pretax_credit_amounts"][0]["amount"] == 1808
    for same in (pickle.loads(pickle.dumps(invoice)), copy.deepcopy(invoice)):
        assert same == invoice


def test_a_lone_surrogate_is_carried_as_a_question_mark() -> None:
    invoice = Invoice.from_api(api_result(invoice_lines=[api_line(description="a\ud800")]))
    assert invoice.invoice_lines[0].description == "a?"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("a\n::error::b", "a ::error::b"),
        ("a\x1b[2J\x9b2Jb\x00", "a [2J 2Jb "),
        ("::stop-commands::x", ": :stop-commands::x"),
        ("\n \u00a0::add-mask::a ::b", "  \u00a0: :add-mask::a ::b"),
        ("##vso[task.x]y ##[error]z #1 ##", "## vso[task.x]y ## [error]z #1 ##"),
        ("\u202ea\u2028\u2066", " a  "),
        (
            "שלום 👩\u200d🔬 ❤\ufe0f 葛\U000e0100 a\u00a0b",
            "שלום 👩\u200d🔬 ❤\ufe0f 葛\U000e0100 a\u00a0b",
        ),
        ("a\u200bb\u3164c\u00add\ufeff", "a b c d "),
        ("\U000e0068\U000e0069", "  "),
        ("x" * 1000, "x" * 1000),
        (f"openai/{'x' * 5000}-suffix", f"openai/{'x' * 493}…{'x' * 492}-suffix"),
        # The engine takes these for colours, and drops them or all that follows.
        ("#<{%reset%}>#vso[task.x]y", "#< {%reset%}>#vso[task.x]y"),
        ("a<{%b < {% <c", "a< {%b < {% <c"),
        # It prints what is in JSON, a line for each part.
        (r'{"m": "#\u0023vso[task.x]y"}', r'“{"m": "#\u0023vso[task.x]y"}”'),
        ('{"::add-mask::a": 1}', '“{"::add-mask::a": 1}”'),
        (r' ["a\n::error::b", {}] }', r'“ ["a\n::error::b", {}] }”'),
        ("[" * 5000 + "]" * 5000, "“" + "[" * 499 + "…" + "]" * 498 + "”"),
        ("[1e999]", "“[1e999]”"),
        # Cut, joined with another or freed of blanks it could become JSON.
        ('{"a": 1}.', '“{"a": 1}.”'),
        ('{"a', '“{"a”'),
        ('{"a":\u00a01}', '“{"a":\u00a01}”'),
        ("\u200b[ true, a", "“ [ true, a”"),
        ("[beta] a", "[beta] a"),
        ("[trueish] [31m", "[trueish] [31m"),
        ("[31m a", "[31m a"),
        ("{a} b", "{a} b"),
        ("“[]”", "“[]”"),
        # It takes a marker for a value to come, also where others had a dot or a blank behind it.
        (UNKNOWN, f"“{UNKNOWN}”"),
        (f" {MARKERS[-1]} .", f"“ {MARKERS[-1]} .”"),
        (f"no {UNKNOWN}", f"no {UNKNOWN}"),
    ],
)
def test_a_text_is_one_line_that_acts_on_no_terminal_and_no_runner(written: str, kept: str) -> None:
    """Whoever stores or exports it has it printed by Pulumi's engine, or by anything else."""
    line = api_line(description=written, pricing={"unit_amount_decimal": written})
    invoice = Invoice.from_api(api_result(id=written, status=written, invoice_lines=[line]))
    outputs = invoice.to_outputs()
    assert (outputs["invoice_id"], outputs["status"]) == (kept, kept)
    [of_line] = outputs["invoice_lines"]
    assert of_line["description"] == of_line["pricing"]["unit_amount_decimal"] == kept
    assert Invoice.from_outputs(outputs) == invoice


def test_a_name_is_one_clean_line() -> None:
    hostile = api_line(description="a\x1b[31m\nevil: all is well " + "x" * 500)
    name = Invoice.from_api(api_result(invoice_lines=[hostile])).invoice_lines[0].name
    assert name.startswith("a [31m evil: all is well x")
    assert len(name) == 200


def test_lines_whose_long_descriptions_differ_in_what_is_cut_stay_lines_of_their_own() -> None:
    lines = [api_line(description="x" * 600 + letter + "x" * 600) for letter in "ab"]
    invoice = Invoice.from_api(api_result(invoice_lines=lines))
    assert len(invoice.invoice_lines) == 2
    assert invoice.gross == sum(line["amount"] for line in lines)


def test_a_name_reads_as_no_json_either() -> None:
    hostile = api_line(description='{"\\n::error::x":\u00a01}')
    invoice = Invoice.from_api(api_result(invoice_lines=[hostile]))
    assert invoice.invoice_lines[0].name == '“{"\\n::error::x": 1}”'


def test_lines_that_differ_in_their_credits_alone_have_an_order() -> None:
    lines = [
        api_line(pretax_credit_amounts=[{"amount": 5, "type": kind}]) for kind in ("b", "a", "c")
    ]
    read = [Invoice.from_api(api_result(invoice_lines=ordered)) for ordered in (lines, lines[::-1])]
    assert read[0] == read[1]


@pytest.mark.parametrize("amount", [18846.5, 640.19, Decimal("18846.5"), 0.1, -0.01])
def test_a_fraction_of_a_minor_unit_is_exact_in_model_outputs_and_text(amount: Any) -> None:
    invoice = Invoice.from_api(api_result(amount_due=amount))
    number = float(amount)
    assert invoice.amount_due == number
    assert invoice.to_outputs()["amount_due"] == number
    assert Decimal(invoice.amount_due_decimal) == Decimal(repr(number)) / 100
    assert Invoice.from_outputs(with_floats(invoice.to_outputs())) == invoice


def test_sums_of_fractions_are_exact() -> None:
    """Sums are exact, unlike float sums, in which 0.1 + 0.2 is 0.30000000000000004."""
    lines = [api_line(amount=amount, pretax_credit_amounts=[]) for amount in (0.1, 0.2, 640.19)]
    invoice = Invoice.from_api(api_result(amount_due=640.5, invoice_lines=lines))
    assert (invoice.gross, invoice.net, invoice.tax_and_adjustments) == (640.49, 640.49, 0.01)
    assert invoice.net_decimal == "6.4049"
    assert invoice.net_text == "$6.40"
    credit = {"amount": 0.3, "type": "discount"}
    [line] = Invoice.from_api(
        api_result(invoice_lines=[api_line(amount=0.5, pretax_credit_amounts=[credit])])
    ).invoice_lines
    assert (line.credits, line.net) == (0.3, 0.2)


def test_a_whole_amount_is_an_int_however_it_is_written() -> None:
    for written in (18846, 18846.0, Decimal("18846.0"), Decimal("1.8846e4")):
        assert type(Invoice.from_api(api_result(amount_due=written)).amount_due) is int


def test_sums_of_lines_that_are_not_complete_are_not_known() -> None:
    part = Invoice.from_api(api_result(), Answered(complete=False))
    middle = datetime.fromtimestamp(START, tz=UTC) + timedelta(days=15)
    for figure in (
        lambda: part.gross,
        lambda: part.credits,
        lambda: part.net,
        lambda: part.net_text,
        lambda: part.tax_and_adjustments_decimal,
        lambda: part.projected_net(middle),
        lambda: part.projected_amount_due(middle),
    ):
        with pytest.raises(IncompleteLinesError, match="only a part of the invoice's lines"):
            figure()
    assert part.amount_due_text == "$188.46"
    assert part.to_outputs()["invoice_lines_complete"] is False
    assert Invoice.from_outputs(part.to_outputs()) == part
    figures = part.to_figures()
    assert {*FIGURES} - {*figures} == {*SUMMED}
    assert figures["invoice_lines_complete"] is False


@pytest.mark.parametrize(
    ("due", "lines", "is_complete"),
    [(18_846, None, False), (-1, None, False), (0, None, True), (18_846, [], True)],
)
def test_null_for_the_lines_of_an_amount_due_is_no_complete_list(
    due: int, lines: Any, is_complete: bool
) -> None:
    result = api_result(amount_due=due, invoice_lines=lines)
    invoice = Invoice.from_api(result)
    assert (invoice.invoice_lines, invoice.invoice_lines_complete) == ([], is_complete)
    assert Invoice.from_outputs(invoice.to_outputs()) == invoice
    assert Invoice.from_outputs({**invoice.to_outputs(), "invoice_lines": lines}) == invoice
    assert not Invoice.from_api(result, Answered(complete=False)).invoice_lines_complete


def test_unknown_fields_and_an_unknown_status_are_no_error() -> None:
    assert Invoice.from_api(api_result(status="paused", new_field={"a": 1})).status == "paused"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"amount_due": Decimal("0.12345678901234567890")}, "amount_due: .* more digits than"),
        ({"amount_due": "18846"}, "amount_due: not a number"),
        ({"amount_due": True}, "amount_due: not a number"),
        ({"amount_due": 2**53}, r"amount_due: .* beyond ±\(2\^53 - 1\)"),
        ({"amount_due": float(2**53)}, r"amount_due: .* beyond ±\(2\^53 - 1\)"),
        ({"amount_due": Decimal("1e400")}, "amount_due: .* beyond"),
        ({"amount_due": None}, "amount_due: not a number"),
        ({"period_start": None}, "period_start: not an instant"),
        ({"period_end": 10**12}, "period_end: not an instant"),
        (
            {"invoice_lines": [api_line(), api_line(currency="eur")]},
            r"invoice_lines\.1\.currency: a line is in eur and the invoice in usd",
        ),
        (
            {"invoice_lines": [api_line(period={"start": 2, "end": 1})]},
            r"invoice_lines\.0\.period\.end: the period ends before it starts",
        ),
        ({"period_end": START - 1}, "period_end: the period ends before it starts"),
        ({"invoice_lines": "none"}, "invoice_lines: not a list"),
        ({"invoice_lines": [api_line(amount="1")]}, r"invoice_lines\.0\.amount: not a number"),
        (
            {"invoice_lines": [api_line(pretax_credit_amounts=[{"amount": None, "type": "x"}])]},
            r"pretax_credit_amounts\.0\.amount: not a number",
        ),
        ({"currency": "dollar"}, "currency: not a currency's three letters, such as usd"),
    ],
)
def test_what_would_lose_money_or_sense_is_refused_by_field(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidDataError, match=message) as refused:
        Invoice.from_api(api_result(**changes))
    assert "\n" not in str(refused.value)


amounts = st.integers(-money.LARGEST_AMOUNT, money.LARGEST_AMOUNT) | st.decimals(
    -(10**9), 10**9, places=3
)
credit = st.fixed_dictionaries({"amount": amounts, "type": st.just("discount")})
lines = st.lists(
    st.builds(
        lambda amount, credits: api_line(amount=amount, pretax_credit_amounts=credits),
        amounts,
        st.lists(credit, max_size=3),
    ),
    max_size=5,
)


@given(amounts, lines)
def test_parse_derive_and_store_never_lose_a_fraction(
    due: Any, lines: list[dict[str, Any]]
) -> None:
    invoice = Invoice.from_api(api_result(amount_due=due, invoice_lines=lines))
    gross = sum(item["amount"] for item in lines)
    credits = sum(c["amount"] for item in lines for c in item["pretax_credit_amounts"])
    assert Decimal(invoice.gross_decimal) * 100 == gross
    assert Decimal(invoice.net_decimal) * 100 == gross - credits
    tax_and_adjustments = Decimal(invoice.tax_and_adjustments_decimal) * 100
    assert Decimal(invoice.net_decimal) * 100 + tax_and_adjustments == due
    assert invoice.net == pytest.approx(float(gross - credits), abs=2)
    assert Invoice.from_outputs(with_floats(invoice.to_outputs())) == invoice


def test_the_projection_is_a_straight_line() -> None:
    invoice = Invoice.from_api(api_result())
    start = datetime.fromtimestamp(START, tz=UTC)
    assert invoice.projected_net(start + timedelta(days=15)) == 2 * 17479
    assert invoice.projected_amount_due(start + timedelta(days=15)) == 2 * 17479 + 1367
    assert invoice.projected_net(start + timedelta(minutes=59)) is None
    assert invoice.projected_net(start - timedelta(days=1)) is None
    assert invoice.projected_net(start + timedelta(days=40)) == 17479


def test_a_refund_is_projected_as_it_is() -> None:
    lines = [api_line(amount=amount, pretax_credit_amounts=[]) for amount in (29000, -23200)]
    refunded = Invoice.from_api(api_result(amount_due=5800, invoice_lines=lines))
    half = refunded.period_start + (refunded.period_end - refunded.period_start) / 2
    assert refunded.projected_amount_due(datetime.fromtimestamp(half, UTC)) == 58000 - 23200


def test_the_rest_of_an_earlier_period_is_projected_as_it_is() -> None:
    august = {"start": START - 31 * 86_400, "end": START}
    lines = [api_line(), api_line(amount=9000, pretax_credit_amounts=[], period=august)]
    invoice = Invoice.from_api(api_result(amount_due=18846 + 9000, invoice_lines=lines))
    half = datetime.fromtimestamp(START, UTC) + timedelta(days=15)
    assert invoice.projected_net(half) == 2 * 17479 + 9000
    assert invoice.projected_amount_due(half) == 2 * 17479 + 9000 + 1367


def test_a_projection_refuses_a_time_without_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Invoice.from_api(api_result()).projected_net(datetime(2026, 9, 15))


def test_the_nested_outputs_mirror_the_models() -> None:
    for name in ("Period", "Pricing", "PretaxCreditAmount", "InvoiceLine"):
        names = {field.name for field in fields(getattr(models, name))}
        assert set(output_type_types(getattr(output_types, name))) == names
