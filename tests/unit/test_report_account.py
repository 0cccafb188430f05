"""What a report shows of an account besides its invoice."""

import html as entities
import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pulumi_cf_invoice.billing.errors import ApiError, BillingError
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.billing.snapshot import Given, Snapshot
from pulumi_cf_invoice.report import html, json_report, markdown, text
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.report import Report, make_report
from tests.factories import ACCOUNT, NOW, api_result

FORMATS = {
    "txt": text.render,
    "md": markdown.render,
    "html": html.render,
    "json": json_report.render,
}
GOLDEN = Path(__file__).parent / "golden"
DAY = 86_400_000
SEPTEMBER = 1_788_220_800_000
CREDITS = {
    "balance": 640.19,
    "has_default_payment_method": True,
    "payment_method": {"brand": "visa", "last4": "4242"},
    "topup_config": {
        "amount": 1000,
        "threshold": 500,
        "error": "Your card was declined | *really*.",
        "disabledReason": None,
        "lastFailedAt": SEPTEMBER // 1000,
    },
}
USAGE = {
    "history": [
        {
            "id": f"u{day}",
            "start_time": SEPTEMBER + day * DAY,
            "end_time": SEPTEMBER + (day + 1) * DAY,
            "aggregated_value": 100 + 7 * day if day % 6 else 0,
        }
        for day in range(15)
    ]
}
QUERY = {
    "value_grouping_window": "day",
    "start_time": str(SEPTEMBER),
    "end_time": str(SEPTEMBER + 15 * DAY),
}


def past(amount: float, status: str | None = "paid", **more: Any) -> dict[str, Any]:
    paid = amount if status == "paid" else 0
    return {
        "id": f"in_{amount}",
        "amount_due": amount,
        "amount_paid": paid,
        "amount_remaining": amount - paid,
        "currency": "usd",
        "status": status,
        "created": 1_785_542_400,
        **more,
    }


HISTORY = {"invoices": [past(1200, "open"), past(18100), past(300, None, created=None)]}


def given(result: Any, query: dict[str, str] | None = None, complete: bool = True) -> Given:
    return Given.from_api(result, Answered(complete, query or {}, NOW))


def reported(**answers: Given | BillingError) -> Report:
    every: dict[str, Given | BillingError] = {
        "invoice-preview": given(api_result()),
        "credit-balance": given(CREDITS),
        "usage-history": given(USAGE, QUERY),
        "invoice-history": given(HISTORY, {"type": "all"}),
        **{name.replace("_", "-"): answer for name, answer in answers.items()},
    }
    snapshot = Snapshot(ACCOUNT, NOW, "https://api.cloudflare.com/client/v4", every)
    return make_report([Found.of_snapshot(snapshot)], at=NOW + timedelta(hours=1))


def plain(rendered: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", entities.unescape(rendered)))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_says_what_its_golden_file_says(suffix: str) -> None:
    """Each format matches its golden file; review the files that `UPDATE_GOLDEN=1` rewrites."""
    rendered = FORMATS[suffix](reported())
    golden = GOLDEN / f"account.{suffix}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(rendered, encoding="utf-8")
    assert rendered == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", ["txt", "md", "html"])
def test_credits_top_up_and_unpaid_invoices_are_told(suffix: str) -> None:
    told = plain(FORMATS[suffix](reported()))
    assert re.search(r"Credit balance\W+\$6\.40", told)
    assert "adds $10.00 when the balance falls below $5.00; the last one failed" in told
    assert "Your card was declined" in told
    assert re.search(r"Unpaid earlier invoices\W+1, \$12\.00 in total", told)
    assert "4242" not in told


def test_words_of_the_api_are_no_markdown() -> None:
    assert "*really*" not in markdown.render(reported())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"balance": 0}, "$0.00: AI Gateway refuses inference"),
        ({"balance": -310.5}, "-$3.10: AI Gateway refuses inference"),
        ({"topup_config": {}}, "none"),
        ({"topup_config": None}, "not known"),
        ({"topup_config": {"amount": 0, "threshold": 0}}, "none"),
        ({"topup_config": {"amount": 5, "threshold": 5, "disabledReason": "x"}}, "disabled"),
        (
            {"topup_config": {"amount": 1000, "threshold": 500}},
            "adds $10.00 when the balance falls below $5.00",
        ),
    ],
)
def test_credits_are_told_in_words(changes: dict[str, Any], said: str) -> None:
    [one] = reported(credit_balance=given({**CREDITS, **changes})).invoices
    assert said in dict(one.key_figures).values()


def test_unpaid_invoices_are_summed_by_currency_and_told_to_be_a_part() -> None:
    rows = [past(1200, "open"), past(500, "uncollectible"), past(1900, "open", currency="jpy")]
    [one] = reported(invoice_history=given({"invoices": rows}, complete=False)).invoices
    assert dict(one.key_figures)["Unpaid earlier invoices"] == (
        "3, ¥1,900 and $17.00 in total (the API gave only a part of them)"
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_read_that_was_refused_takes_nothing_from_the_rest(suffix: str) -> None:
    refused = ApiError("credit balance", ACCOUNT, 403, 10000, "Authentication error", "Ask.", "r")
    told = plain(FORMATS[suffix](reported(credit_balance=refused)))
    assert "Not available: cannot read the credit balance of account" in told
    assert "$188.46" in told
    assert "2026-08-01" in told


@pytest.mark.parametrize(
    "history",
    [{"history": []}, {"history": [{**USAGE["history"][1], "aggregated_value": -5}]}],
    ids=["none", "negative"],
)
def test_no_usage_draws_no_chart(history: dict[str, Any]) -> None:
    assert "Usage by day" not in html.render(reported(usage_history=given(history, QUERY)))


def test_the_json_has_all_that_was_read() -> None:
    for made in (reported(), reported(usage_history=BillingError("no"), invoice_history=given({}))):
        jsonschema.validate(json.loads(json_report.render(made)), json.loads(json_report.schema()))
    account = json.loads(json_report.render(reported()))["invoices"][0]["account"]
    assert account["read_at"] == "2026-09-15T12:00:00Z"
    assert account["credit_balance"]["amount"] == 640.19
    assert account["topup"]["is_healthy"] is False
    assert len(account["usage"]) == 15
    assert account["usage"][-1]["is_partial"] is True
    assert [one["amount_due"]["amount"] for one in account["earlier_invoices"]] == [
        1200,
        18100,
        300,
    ]
