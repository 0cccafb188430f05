import random
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_cf_invoice import output_types
from pulumi_cf_invoice.billing import InvalidDataError, Invoice, money
from pulumi_cf_invoice.billing import invoice as models
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


def test_unknown_fields_and_an_unknown_status_are_no_error() -> None:
    assert Invoice.from_api(api_result(status="paused", new_field={"a": 1})).status == "paused"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"amount_due": 18846.5}, "amount_due: not a whole number"),
        ({"amount_due": "18846"}, "amount_due: not a whole number"),
        ({"amount_due": True}, "amount_due: not a whole number"),
        ({"amount_due": 2**53}, "amount_due: not a whole number"),
        ({"amount_due": float(2**53)}, "amount_due: not a whole number"),
        ({"amount_due": None}, "amount_due: not a whole number"),
        ({"invoice_lines": [api_line(currency="eur")]}, "a line is in eur and the invoice in usd"),
        ({"period_end": START - 1}, "the period ends before it starts"),
        ({"invoice_lines": None}, "invoice_lines: "),
        ({"invoice_lines": [api_line(amount=0.5)]}, r"invoice_lines\.0\.amount: not a whole"),
        ({"id": 7}, "^id: "),
        ({"currency": "dollar"}, "currency: "),
    ],
)
def test_what_would_lose_money_or_sense_is_refused_by_field(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidDataError, match=message) as refused:
        Invoice.from_api(api_result(**changes))
    assert "\n" not in str(refused.value)


whole = st.integers(-money.LARGEST_AMOUNT, money.LARGEST_AMOUNT)
credit = st.fixed_dictionaries({"amount": whole, "type": st.just("discount")})
lines = st.lists(
    st.builds(
        lambda amount, credits: api_line(amount=amount, pretax_credit_amounts=credits),
        whole,
        st.lists(credit, max_size=3),
    ),
    max_size=5,
)


@given(whole, lines)
def test_parse_derive_and_store_never_lose_a_cent(due: int, lines: list[dict[str, Any]]) -> None:
    invoice = Invoice.from_api(api_result(amount_due=due, invoice_lines=lines))
    gross = sum(item["amount"] for item in lines)
    credits = sum(c["amount"] for item in lines for c in item["pretax_credit_amounts"])
    assert (invoice.gross, invoice.net) == (gross, gross - credits)
    assert invoice.net + invoice.tax_and_adjustments == due
    assert Invoice.from_outputs(with_floats(invoice.to_outputs())) == invoice


def test_the_projection_is_a_straight_line() -> None:
    invoice = Invoice.from_api(api_result())
    start = datetime.fromtimestamp(START, tz=timezone.utc)
    assert invoice.projected_net(start + timedelta(days=15)) == 2 * 17479
    assert invoice.projected_amount_due(start + timedelta(days=15)) == 2 * 17479 + 1367
    assert invoice.projected_net(start + timedelta(minutes=59)) is None
    assert invoice.projected_net(start - timedelta(days=1)) is None
    assert invoice.projected_net(start + timedelta(days=40)) == 17479


def test_a_projection_refuses_a_time_without_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Invoice.from_api(api_result()).projected_net(datetime(2026, 9, 15))


def test_the_nested_outputs_mirror_the_models() -> None:
    for name in ("Period", "Pricing", "PretaxCreditAmount", "InvoiceLine"):
        names = {field.name for field in fields(getattr(models, name))}
        assert set(getattr(output_types, name).__annotations__) == names
