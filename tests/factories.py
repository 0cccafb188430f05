"""Test data shared by several test modules: accounts, times, and API responses."""

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pulumi_cf_invoice.billing import BillingError, Credentials
from pulumi_cf_invoice.billing.models import WHOLE, Answered, Model
from pulumi_cf_invoice.billing.reads import READS, Read
from pulumi_cf_invoice.billing.settings import CLOUDFLARE_API, DEFAULT_TIMEOUT, Settings
from pulumi_cf_invoice.billing.snapshot import Snapshot, parsed

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
OTHER_ACCOUNT = "0" * 31 + "1"
TOKEN = "sandbox-token"
"""The API token that the sandbox accepts."""
SECRET = "s3cret-t0ken"
"""A token that the sandbox refuses, and that must not show up anywhere."""

START, END = 1788220800, 1790812800
"""September 2026, the billing period of `api_result` and of the tests' sandbox."""
NOW = datetime(2026, 9, 15, 12, tzinfo=UTC)


def api_line(**changes: Any) -> dict[str, Any]:
    """Return an invoice line as the API sends it: $192.87 gross, $174.79 net."""
    return {
        "description": "openai/gpt-5.5",
        "amount": 19287,
        "currency": "usd",
        "quantity": 154296000,
        "period": {"start": START, "end": END},
        "pricing": {"unit_amount_decimal": "0.000125"},
        "pretax_credit_amounts": [{"amount": 1808, "type": "discount", "discount": "di_1"}],
        **changes,
    }


def api_result(**changes: Any) -> dict[str, Any]:
    """Return the ``result`` of an invoice preview: $188.46 due for September 2026."""
    return {
        "id": "upcoming_in_1",
        "amount_due": 18846,
        "amount_paid": 0,
        "amount_remaining": 18846,
        "currency": "usd",
        "period_start": START,
        "period_end": END,
        "status": "draft",
        "invoice_lines": [api_line()],
        **changes,
    }


def settings_for(
    base_url: str,
    account_id: str = ACCOUNT,
    token: str = TOKEN,
    timeout: float = DEFAULT_TIMEOUT,
) -> Settings:
    """Return settings for fetching from *base_url*."""
    return Settings(account_id, Credentials(api_token=token), base_url, timeout)


def with_floats(value: Any) -> Any:
    """Return *value* with integers as floats, which is how the engine passes numbers."""
    if isinstance(value, dict):
        return {key: with_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_floats(item) for item in value]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_number else value


def camel_cased(value: Any) -> Any:
    """Return *value* with its keys in camelCase, like the properties of the plugin's resource."""
    if isinstance(value, dict):
        return {
            re.sub("_([a-z])", lambda match: match[1].upper(), key): camel_cased(item)
            for key, item in value.items()
        }
    return [camel_cased(item) for item in value] if isinstance(value, list) else value


class Result(NamedTuple):
    """A ``result`` as the API sends it, with how it was answered."""

    result: Any
    answered: Answered = WHOLE


def snapshot(
    base_url: str = CLOUDFLARE_API,
    *,
    account_id: str = ACCOUNT,
    read_at: datetime = NOW,
    **results: Any,
) -> Snapshot:
    """
    Return a snapshot with the invoice of `api_result`, and other *results*.

    These are by read (``credit_balance=``): a ``result``, a `Result`, or the error of a refused
    read. None leaves a read out.
    """
    results = {"invoice_preview": api_result(), **results}
    answers = {
        read.name: _answer(read, result)
        for read in READS
        if (result := results.get(read.name.replace("-", "_"))) is not None
    }
    return Snapshot(account_id, read_at, base_url, answers)


def _answer(read: Read[Model], result: Any) -> Model | BillingError:
    if isinstance(result, BillingError):
        return result
    return parsed(read, *(result if isinstance(result, Result) else Result(result)))
