"""The invoice history, parsed from what the API says and from what it leaves out."""

from decimal import Decimal
from typing import Any

import pytest

from pulumi_cf_invoice.billing import InvalidDataError, InvoiceHistory, SettingsError
from pulumi_cf_invoice.billing.invoice_history import query
from pulumi_cf_invoice.billing.models import Answered

LINK = "https://invoices.example.com/secret"


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "in_1",
        "amount_due": 18846,
        "amount_paid": 0,
        "amount_remaining": 18846,
        "currency": "usd",
        "status": "open",
        "created": 1788220800,
        "invoice_pdf": LINK,
        **changes,
    }


def history(*rows: Any, **answered: Any) -> InvoiceHistory:
    return InvoiceHistory.from_api({"invoices": list(rows)}, Answered(**answered))


def test_amounts_are_exact_and_in_the_currency_of_each_invoice() -> None:
    found = history(
        row(id="a", amount_due=Decimal("640.19"), amount_remaining=-5),
        row(id="b", currency="JPY", amount_due=1900),
    )
    first, second = found.invoices
    assert (first.amount_due, first.amount_remaining) == (640.19, -5)
    assert (first.amount_due_decimal, first.amount_due_text) == ("6.4019", "$6.40")
    assert (second.currency, second.amount_due_text) == ("jpy", "¥1,900")


def test_the_summary_of_a_part_says_that_it_is_one() -> None:
    assert history(row()).text == "earlier invoices: 1, unpaid: 1"
    part = history(row(), complete=False)
    assert part.text == "earlier invoices: 1, unpaid: 1 (the API gave only a part of them)"


@pytest.mark.parametrize("name", ["amount_due", "amount_paid", "amount_remaining"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        ("18846", "not a number"),
        (2**53, "not an amount that can be carried exactly: beyond"),
        (Decimal("1.00000000000000000001"), "more digits"),
    ],
)
def test_malformed_money_is_refused_by_its_name(name: str, value: Any, expected: str) -> None:
    with pytest.raises(InvalidDataError) as failed:
        history(row(), row(id="b", **{name: value}))
    assert str(failed.value).startswith(f"invoices.1.{name}: ")
    assert expected in str(failed.value)


@pytest.mark.parametrize("currency", [None, "", "dollars", 840])
def test_a_currency_that_is_none_is_refused_by_its_name(currency: Any) -> None:
    with pytest.raises(InvalidDataError, match=r"invoices\.0\.currency: "):
        history(row(currency=currency))


def test_an_answer_without_its_rows_is_refused() -> None:
    with pytest.raises(InvalidDataError, match=r"^invoices: missing"):
        InvoiceHistory.from_api({"pagination": {"has_more": False}})


@pytest.mark.parametrize("invoices", ["none", {}, ["none"]])
def test_rows_that_are_none_are_refused(invoices: Any) -> None:
    with pytest.raises(InvalidDataError, match=r"^invoices"):
        InvoiceHistory.from_api({"invoices": invoices})


def test_null_for_the_rows_is_no_row() -> None:
    assert InvoiceHistory.from_api({"invoices": None}).invoices == []


@pytest.mark.parametrize("odd", [None, [], {"a": 1}])
def test_what_only_explains_may_be_null_missing_or_something_else(odd: Any) -> None:
    needed = ("amount_due", "amount_paid", "amount_remaining", "currency")
    explains = (
        *("id", "status", "created", "description", "invoice_origin", "invoice_pdf"),
        *("created_by", "attempt_count", "attempted", "auto_advance"),
    )
    bare = {name: row()[name] for name in needed}
    [found] = history({**bare, **dict.fromkeys(explains, odd)}).invoices
    assert found == history(bare).invoices[0]
    assert found.created_iso is None
    assert not found.is_unpaid


def test_what_is_unpaid_is_open_or_uncollectible() -> None:
    statuses = ("open", "uncollectible", "paid", "void", "draft", "in_review", None)
    found = history(*(row(id=f"in_{status}", status=status) for status in statuses))
    assert [invoice.status for invoice in found.unpaid] == ["open", "uncollectible"]


def test_a_row_that_comes_twice_counts_once_and_has_hidden_another() -> None:
    found = history(row(id="a"), row(id="a"), row(id="b"))
    assert [invoice.invoice_id for invoice in found.invoices] == ["a", "b"]
    assert not found.invoices_complete


@pytest.mark.parametrize("none", [None, ""])
def test_rows_without_an_id_are_all_kept(none: str | None) -> None:
    found = history(row(id=none), row(id=none))
    assert len(found.invoices) == 2
    assert found.invoices_complete


def test_an_incomplete_answer_says_so_with_what_was_asked_for() -> None:
    found = history(row(), complete=False, query={"type": "manual"})
    assert (found.type, found.invoices_complete) == ("manual", False)
    assert found.to_figures()["invoices_complete"] is False


def test_the_link_to_an_invoice_is_in_no_repr() -> None:
    found = history(row())
    assert found.invoices[0].invoice_pdf == LINK
    assert "secret" not in repr(found)


def test_a_type_that_the_api_does_not_have_is_refused() -> None:
    with pytest.raises(
        SettingsError, match="type is 'some', but must be 'all', 'auto' or 'manual'"
    ):
        query(type="some")
