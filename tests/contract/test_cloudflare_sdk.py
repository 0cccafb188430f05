"""
The sandbox's answers as Cloudflare's own Python SDK reads them, over real HTTP.

The SDK has no typed method for the invoice preview: this is its generic `get` with its own
models, envelope and errors, as its generated methods use them.
"""

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, cast

import cloudflare
import httpx
import pytest
from cloudflare._base_client import make_request_options
from cloudflare._wrappers import ResultWrapper

from pulumi_cf_invoice.sandbox import SCENARIOS, Sandbox

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
NOW = datetime(2026, 9, 15, 12, tzinfo=timezone.utc)


class Credit(cloudflare.BaseModel):
    amount: float
    type: str
    credit_balance_transaction: str | None = None
    discount: str | None = None


class Period(cloudflare.BaseModel):
    start: float
    end: float


class Pricing(cloudflare.BaseModel):
    unit_amount_decimal: str | None


class Line(cloudflare.BaseModel):
    description: str | None
    amount: float
    currency: str
    quantity: float
    period: Period
    pricing: Pricing
    pretax_credit_amounts: list[Credit] | None = None


class InvoicePreview(cloudflare.BaseModel):
    id: str
    amount_due: float
    amount_paid: float
    amount_remaining: float
    currency: str
    period_start: float
    period_end: float
    status: str
    invoice_lines: list[Line]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as running:
        yield running


def read(sandbox: Sandbox, **credentials: str) -> InvoicePreview:
    credentials = credentials or {"api_token": "sandbox-token"}
    with (
        httpx.Client(trust_env=False) as http,
        cloudflare.Cloudflare(
            base_url=sandbox.base_url, http_client=http, max_retries=0, **cast(Any, credentials)
        ) as client,
    ):
        return client.get(
            f"/accounts/{ACCOUNT}/ai-gateway/billing/invoice-preview",
            options=make_request_options(post_parser=ResultWrapper[InvoicePreview]._unwrapper),
            cast_to=cast(type[InvoicePreview], ResultWrapper[InvoicePreview]),
        )


@pytest.mark.parametrize("name", [*SCENARIOS])
def test_the_sdk_reads_a_healthy_scenario(sandbox: Sandbox, name: str) -> None:
    sandbox.scenario = name
    invoice = read(sandbox)
    # The SDK constructs its models without validation: validate what it understood.
    assert InvoicePreview.model_validate(invoice.model_dump()) == invoice
    assert (invoice.period_start, invoice.period_end) == (1788220800, 1790812800)
    assert all(isinstance(line, Line) for line in invoice.invoice_lines)


def test_the_sdk_reads_the_usual_figures(sandbox: Sandbox) -> None:
    invoice = read(sandbox)
    assert (invoice.amount_due, invoice.currency, invoice.status) == (18846, "usd", "draft")
    gross = {line.description: line.amount for line in invoice.invoice_lines}
    assert gross == {"anthropic/claude-haiku": 1367, "openai/gpt-5.5": 19287}


def test_the_sdk_authenticates_by_email_and_key(sandbox: Sandbox) -> None:
    assert read(sandbox, api_email="sandbox@example.com", api_key="sandbox-key").amount_due == 18846


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("http-400", cloudflare.BadRequestError),
        ("http-403", cloudflare.PermissionDeniedError),
        ("http-404", cloudflare.NotFoundError),
        ("http-429", cloudflare.RateLimitError),
        ("http-500", cloudflare.InternalServerError),
    ],
)
def test_the_sdk_reads_an_error_as_its_own(
    sandbox: Sandbox, fault: str, error: type[cloudflare.APIStatusError]
) -> None:
    sandbox.fault = fault
    with pytest.raises(error) as caught:
        read(sandbox)
    assert caught.value.errors
    assert caught.value.response.headers["cf-ray"] == "8f1a2b3c4d5e6f70-AMS"


def test_the_sdk_reads_a_wrong_token_as_permission_denied(sandbox: Sandbox) -> None:
    with pytest.raises(cloudflare.PermissionDeniedError, match="Authentication error"):
        read(sandbox, api_token="wrong")
