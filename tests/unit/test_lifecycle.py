"""What check, diff and read do, tested without an engine or either provider."""

from typing import Any

import pytest

# Pulumi has no public API for the outputs of a resource class.
from pulumi._types import resource_types
from pulumi.runtime import rpc

from pulumi_cf_invoice import Invoice, lifecycle, state
from pulumi_cf_invoice.resource import InvoicePreview
from pulumi_cf_invoice.state import FIELDS, READ_PROPERTIES, UNKNOWN
from tests.factories import (
    ACCOUNT,
    OTHER_ACCOUNT,
    START,
    api_line,
    api_result,
    settings_for,
)

CLOUDFLARE = "https://api.cloudflare.com/client/v4"
ELSEWHERE = "http://127.0.0.1:1/client/v4"
READ = settings_for(CLOUDFLARE)


def figures(base_url: str = CLOUDFLARE, **changes: Any) -> dict[str, Any]:
    return lifecycle.figures(Invoice.from_api(api_result(**changes)), settings_for(base_url))


def inputs(**changes: Any) -> dict[str, Any]:
    return lifecycle.checked(READ, figures(**changes), {})


def test_the_first_check_has_account_and_figures_and_nothing_else() -> None:
    assert set(inputs()) == {"account_id", *FIELDS}


def test_the_next_check_carries_the_figure_of_the_update_before() -> None:
    checked = lifecycle.checked(READ, figures(amount_due=20001), inputs())
    assert checked["amount_due"] == 20001
    assert checked["last_update"] == {
        "amount_due": 18846,
        "currency": "usd",
        "period_start": START,
    }


@pytest.mark.parametrize("olds", [{}, {"account_id": ACCOUNT}, {"account_id": OTHER_ACCOUNT}])
def test_nothing_carries_over_from_another_account_or_without_figures(olds: Any) -> None:
    others = {**inputs(), **olds} if olds.get("account_id") == OTHER_ACCOUNT else olds
    assert "last_update" not in lifecycle.checked(READ, figures(), others)


@pytest.mark.parametrize(
    "addresses", [(CLOUDFLARE, ELSEWHERE), (ELSEWHERE, CLOUDFLARE), (ELSEWHERE, "http://[::1]")]
)
def test_nothing_carries_over_from_another_address(addresses: tuple[str, str]) -> None:
    before, now = addresses
    olds = lifecycle.checked(settings_for(before), figures(before), {})
    assert "last_update" not in lifecycle.checked(settings_for(now), figures(now), olds)
    assert "last_update" in lifecycle.checked(settings_for(before), figures(before), olds)


@pytest.mark.parametrize(
    "spelling",
    [
        "https://proxy.corp:443/client/v4",
        "https://PROXY.corp/client/v4",
        "HTTPS://proxy.corp/client/v4/",
    ],
)
def test_another_spelling_of_an_address_is_the_same(spelling: str) -> None:
    proxy = "https://proxy.corp/client/v4"
    olds = lifecycle.checked(settings_for(spelling), figures(spelling), {})
    assert "last_update" in lifecycle.checked(settings_for(proxy), figures(proxy), olds)


@pytest.mark.parametrize("missing", ["amount_due", "currency", "period_start"])
def test_nothing_carries_over_from_a_part_of_the_figures(missing: str) -> None:
    """A state can be edited."""
    olds = {name: value for name, value in inputs().items() if name != missing}
    assert "last_update" not in lifecycle.checked(READ, figures(), olds)


def test_a_base_url_that_is_not_cloudflares_is_reported() -> None:
    assert figures("http://127.0.0.1:1/client/v4")["base_url"] == "http://127.0.0.1:1/client/v4"
    assert "base_url" not in figures()


def test_lines_that_are_not_complete_are_reported() -> None:
    part = Invoice.from_outputs(
        {**Invoice.from_api(api_result()).to_outputs(), "invoice_lines_complete": False}
    )
    read = lifecycle.figures(part, settings_for(CLOUDFLARE))
    assert read["invoice_lines_complete"] is False
    assert Invoice.from_outputs(read) == part
    assert "invoice_lines_complete" not in figures()


def test_unknown_credentials_leave_the_account_and_the_last_update_known() -> None:
    checked = lifecycle.unknown(ACCOUNT, inputs())
    assert checked["account_id"] == ACCOUNT
    assert checked["last_update"]["amount_due"] == 18846
    assert {checked[name] for name in FIELDS} == {UNKNOWN}
    changes = lifecycle.changed(inputs(), checked)
    assert changes == list(FIELDS)
    assert lifecycle.replaced(changes) == []


def test_an_unknown_account_may_be_another_one() -> None:
    checked = lifecycle.unknown(UNKNOWN, inputs())
    assert set(checked.values()) == {UNKNOWN}
    assert set(checked) == {"account_id", "last_update", *FIELDS}
    assert lifecycle.replaced(lifecycle.changed(inputs(), checked)) == ["account_id"]
    assert "last_update" not in lifecycle.unknown(UNKNOWN, {})


def test_a_failed_check_has_its_mark_and_no_figures() -> None:
    for resource_type in state.TYPES:
        assert state.read(resource_type, lifecycle.failed()) is None
    assert lifecycle.failed() == {"check_failed": True}


def test_all_but_the_last_update_makes_a_diff() -> None:
    """Otherwise a stack would keep the former address beside figures that have not moved."""
    old = inputs()
    assert lifecycle.changed(old, dict(old)) == []
    assert lifecycle.changed(old, {**old, "last_update": {}}) == []
    for name in ("account_id", *READ_PROPERTIES):
        moved = {**old, name: "http://127.0.0.1"}
        assert lifecycle.changed(old, moved) == lifecycle.changed(moved, old) == [name]
    assert lifecycle.replaced(["account_id", *READ_PROPERTIES]) == ["account_id"]


def test_another_spelling_of_an_address_makes_no_diff() -> None:
    local = {**inputs(), "base_url": "http://127.0.0.1/client/v4"}
    assert lifecycle.changed({**local, "base_url": "HTTP://127.0.0.1:80/client/v4/"}, local) == []
    assert lifecycle.changed(inputs(), {**inputs(), "base_url": CLOUDFLARE}) == []
    assert lifecycle.changed(local, lifecycle.unknown(ACCOUNT, local)) == list(FIELDS)


def test_a_refresh_replaces_all_that_a_read_brings_and_keeps_the_rest() -> None:
    stored = {
        **inputs(),
        "last_update": {"amount_due": 1},
        "base_url": "http://127.0.0.1",
        "invoice_lines_complete": False,
        "__provider": "pickled",
    }
    assert lifecycle.refreshed(stored, figures(amount_due=20001)) == {
        **inputs(amount_due=20001),
        "last_update": {"amount_due": 1},
        "__provider": "pickled",
    }


def test_a_text_that_pulumi_takes_for_a_value_to_come_is_carried() -> None:
    read = figures(status=UNKNOWN, invoice_lines=[api_line(description=UNKNOWN)])
    assert UNKNOWN not in (read["status"], read["invoice_lines"][0]["description"])
    assert read["status"] == f"“{UNKNOWN}”"


def test_the_marker_of_unknown_values_is_pulumis() -> None:
    assert UNKNOWN == rpc.UNKNOWN


def test_the_figures_are_the_models_fields_and_the_resources_outputs() -> None:
    fields = set(Invoice.__annotations__) - {"invoice_lines_complete"}
    assert set(FIELDS) == {name for name in fields if not name.startswith("_")}
    others = {"account_id", "base_url", "invoice_lines_complete", "last_update"}
    assert set(resource_types(InvoicePreview)) == {*FIELDS, *others}
