"""The sandbox's answers, read with Cloudflare's own SDK so that the two cannot drift apart."""

from collections.abc import Iterator

import cloudflare
import pytest

from pulumi_cf_invoice.sandbox import SCENARIOS, Sandbox
from tests.factories import ACCOUNT


@pytest.fixture
def sdk(sandbox: Sandbox) -> Iterator[cloudflare.Cloudflare]:
    with cloudflare.Cloudflare(api_token="sandbox-token", base_url=sandbox.base_url) as client:
        yield client


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_sdk_reads_every_healthy_scenario(
    sandbox: Sandbox, sdk: cloudflare.Cloudflare, name: str
) -> None:
    sandbox.scenario = name
    read = sdk.ai_gateway.billing.invoice_preview(account_id=ACCOUNT)
    expected = sandbox.answer(ACCOUNT)["result"]
    assert read.amount_due == expected["amount_due"]
    assert read.period_end == expected["period_end"]
    assert [(line.description, line.amount) for line in read.invoice_lines] == [
        (line.get("description"), line["amount"]) for line in expected["invoice_lines"]
    ]
