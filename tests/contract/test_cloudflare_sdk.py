"""The sandbox's answers, read with Cloudflare's own SDK so that the two cannot drift apart."""

from collections.abc import Iterator
from typing import Literal

import cloudflare
import pytest

from pulumi_cf_invoice.sandbox import SCENARIOS, Sandbox
from tests.factories import ACCOUNT, START


@pytest.fixture(scope="module")
def of_all_tests() -> Iterator[cloudflare.Cloudflare]:
    """One for all, since a client reads every certificate of the machine."""
    with cloudflare.Cloudflare(api_token="sandbox-token") as client:
        yield client


@pytest.fixture
def sdk(sandbox: Sandbox, of_all_tests: cloudflare.Cloudflare) -> cloudflare.Cloudflare:
    return of_all_tests.with_options(base_url=sandbox.base_url)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_sdk_reads_every_healthy_invoice(
    sandbox: Sandbox, sdk: cloudflare.Cloudflare, name: str
) -> None:
    sandbox.scenario = name
    read = sdk.ai_gateway.billing.invoice_preview(account_id=ACCOUNT)
    expected = sandbox.answer(ACCOUNT)["result"]
    assert read.amount_due == expected["amount_due"]
    assert read.period_end == expected["period_end"]
    assert [(line.description, line.amount) for line in read.invoice_lines or []] == [
        (line.get("description"), line["amount"]) for line in expected["invoice_lines"] or []
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_sdk_reads_every_healthy_balance(
    sandbox: Sandbox, sdk: cloudflare.Cloudflare, name: str
) -> None:
    sandbox.scenario = name
    read = sdk.ai_gateway.billing.credit_balance(account_id=ACCOUNT)
    expected = sandbox.answer(ACCOUNT, "credit-balance")["result"]
    assert read.balance == expected["balance"]
    for field, alias in (("amount", "amount"), ("last_failed_at", "lastFailedAt")):
        config = expected.get("topup_config")
        assert config is None or getattr(read.topup_config, field) == config.get(alias)


@pytest.mark.parametrize("window", ["day", "hour"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_sdk_reads_every_healthy_usage(
    sandbox: Sandbox, sdk: cloudflare.Cloudflare, name: str, window: Literal["day", "hour"]
) -> None:
    sandbox.scenario = name
    since = START * 1000
    read = sdk.ai_gateway.billing.usage_history(
        account_id=ACCOUNT, value_grouping_window=window, start_time=since
    )
    query = {"value_grouping_window": window, "start_time": str(since)}
    expected = sandbox.answer(ACCOUNT, "usage-history", query)["result"]["history"]
    assert [(entry.start_time, entry.aggregated_value) for entry in read.history or []] == [
        (entry["start_time"], entry["aggregated_value"]) for entry in expected or []
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_sdk_reads_every_healthy_history_of_invoices(
    sandbox: Sandbox, sdk: cloudflare.Cloudflare, name: str
) -> None:
    sandbox.scenario = name
    read = sdk.ai_gateway.billing.invoice_history(account_id=ACCOUNT, type="all")
    expected = sandbox.answer(ACCOUNT, "invoice-history")["result"]["invoices"]
    assert [(row.amount_due, row.status) for row in read.invoices or []] == [
        (row["amount_due"], row.get("status")) for row in expected or []
    ]


@pytest.mark.parametrize("name", [name for name, found in SCENARIOS.items() if found.in_contract])
def test_the_sdk_finds_nothing_wrong_where_an_answer_keeps_to_the_contract(
    sandbox: Sandbox, sdk: cloudflare.Cloudflare, name: str
) -> None:
    """In strict mode it refuses any read that does not fit its types."""
    sandbox.scenario = name
    since = float(START * 1000)
    strict = sdk.with_options(_extra_kwargs={"_strict_response_validation": True})
    billing = strict.ai_gateway.billing
    assert billing.invoice_preview(account_id=ACCOUNT).currency
    assert billing.credit_balance(account_id=ACCOUNT).balance is not None
    for window in ("day", "hour"):
        history = billing.usage_history(
            account_id=ACCOUNT,
            value_grouping_window=window,
            start_time=since,
            end_time=since + 86_400_000,
        ).history
        assert history is not None
    for kind in ("all", "auto", "manual"):
        assert billing.invoice_history(account_id=ACCOUNT, type=kind).invoices is not None
    assert [account.id for account in strict.accounts.list()] == [ACCOUNT]
    # A page, of which some scenarios have no end.
    gateways = strict.ai_gateway.list(account_id=ACCOUNT, per_page=100).result
    assert [gateway.id for gateway in gateways if gateway.is_default] == ["default"]
