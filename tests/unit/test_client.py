import gc
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from pulumi_cf_invoice.billing import (
    ApiError,
    BillingClient,
    BillingError,
    Credentials,
    InvalidResponseError,
    SettingsError,
    TransportError,
)
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS, Sandbox
from tests.factories import ACCOUNT, SECRET, TOKEN


def client(base_url: str, token: str = TOKEN, **options: Any) -> BillingClient:
    return BillingClient(Credentials(api_token=token), base_url=base_url, **options)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_read(sandbox: Sandbox, scenario: str) -> None:
    sandbox.scenario = scenario
    invoice = client(sandbox.base_url).get_invoice_preview(ACCOUNT)
    expected = sandbox.answer(ACCOUNT)["result"]
    assert invoice.amount_due == expected["amount_due"]
    assert len(invoice.invoice_lines) == len(expected["invoice_lines"])


def test_the_older_pair_of_email_and_key_is_accepted(sandbox: Sandbox) -> None:
    pair = Credentials(email="sandbox@example.com", api_key="sandbox-key")
    mine = BillingClient(pair, base_url=sandbox.base_url)
    assert mine.get_invoice_preview(ACCOUNT).amount_due == 18846


SAID = {
    "http-400": "HTTP 400, code 7003: Could not route to the given account (ray ID 8f1a2b3c4d5e6f70-AMS). Check the account",
    "http-401": "HTTP 401, code 10000: Authentication error (ray ID 8f1a2b3c4d5e6f70-AMS). Check that the token",
    "http-403": "HTTP 403, code 10000: Authentication error (ray ID 8f1a2b3c4d5e6f70-AMS). Give the token the permission AI Gateway Read",
    "http-404": "HTTP 404, code 7404: No billing for this account (ray ID 8f1a2b3c4d5e6f70-AMS). Check the account ID",
    "http-429": "HTTP 429, code 10013: Rate limited (ray ID 8f1a2b3c4d5e6f70-AMS). Too many requests",
    "http-429-long": "Cloudflare asks to wait 3600 s",
    "http-500": "HTTP 500, code 10001: Internal error (ray ID 8f1a2b3c4d5e6f70-AMS)",
    "http-502": "HTTP 502: Bad Gateway (ray ID 8f1a2b3c4d5e6f70-AMS)",
    "http-503": "HTTP 503, code 10002: Service unavailable",
    "http-504": "HTTP 504: Gateway Timeout",
    "redirect-elsewhere": "HTTP 302 redirects to the host 127.0.0.2, where credentials are not sent",
    "redirect-loop": "more than 3 redirects",
    "reset": "no answer from 127.0.0.1: ",
    "endless-headers": "no complete answer within 1.5 s",
    "trickle": "no complete answer within 1.5 s",
    "slow": "no complete answer within 1.5 s",
    "oversized-body": "the answer is larger than 32 MiB",
    "html": "the answer is not JSON (text/html",
    "truncated-json": "the answer is not JSON (application/json",
    "empty-body": "the answer is empty",
    "success-false": "HTTP 200, code 7500: Billing is being set up",
    "result-null": "the answer has no result",
    "missing-fields": "amount_due: Field required",
    "wrong-types": "invoice_lines: ",
    "nan": "the answer is not JSON",
    "numbers-as-text": "amount_due: not a whole number",
    "fractional-amount": "amount_due: not a whole number",
    "huge-amount": "amount_due: not a whole number",
    "two-currencies": "a line is in eur and the invoice in usd",
    "inverted-period": "the period ends before it starts",
    "invalid-utf8": "the answer is not JSON",
    "broken-gzip": "the answer's compression is broken",
    "echoed-credentials": "Invalid request headers: Bearer [redacted]",
}
RETRIED = {"http-429", "http-500", "http-502", "http-503", "http-504", "reset"}
HEALED = {"http-429-seconds", "http-429-date", "wrong-content-type"}


def test_every_fault_of_the_sandbox_is_covered_here() -> None:
    assert {*SAID, *HEALED} == set(FAULTS)


@pytest.mark.parametrize("fault", SAID)
def test_a_fault_is_one_clean_line(sandbox: Sandbox, fault: str) -> None:
    sandbox.fault = fault
    timeout = 1.5 if SAID[fault].startswith("no complete answer") else 30
    with pytest.raises(BillingError) as failed:
        client(sandbox.base_url, token=SECRET, timeout=timeout).get_invoice_preview(ACCOUNT)
    message = str(failed.value)
    assert SAID[fault] in message
    assert message.startswith(f"cannot read the upcoming invoice of account {ACCOUNT}: ")
    assert "\n" not in message
    assert SECRET not in message
    assert SECRET not in repr(failed.value)
    assert len(sandbox.requests) == (4 if fault in RETRIED | {"redirect-loop"} else 1)


@pytest.mark.parametrize("fault", sorted(RETRIED | HEALED))
def test_what_gets_better_is_retried_until_it_does(sandbox: Sandbox, fault: str) -> None:
    sandbox.fault, sandbox.fail_times = fault, 1
    assert client(sandbox.base_url).get_invoice_preview(ACCOUNT).amount_due == 18846


@pytest.mark.parametrize(
    ("name", "value"), [("SSL_CERT_FILE", "/nowhere.pem"), ("HTTPS_PROXY", "ftp://127.0.0.1:9")]
)
def test_an_environment_without_a_connection_is_one_clean_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(TransportError, match=f"account {ACCOUNT}: no connection can be set up"):
        client("https://billing.invalid").get_invoice_preview(ACCOUNT)


def test_an_api_error_tells_its_parts(sandbox: Sandbox) -> None:
    with pytest.raises(ApiError) as failed:
        client(sandbox.base_url, token="wrong").get_invoice_preview(ACCOUNT)
    error = failed.value
    assert (error.account_id, error.status, error.code) == (ACCOUNT, 403, 10000)
    assert (error.message, error.ray_id) == ("Authentication error", "8f1a2b3c4d5e6f70-AMS")


def test_an_account_is_asked_for_in_lower_case_and_a_path_is_no_account(sandbox: Sandbox) -> None:
    assert client(sandbox.base_url).get_invoice_preview(ACCOUNT.upper()).amount_due == 18846
    with pytest.raises(SettingsError, match="is not an account ID"):
        client(sandbox.base_url).get_invoice_preview("../../user")
    assert sandbox.requests == [ACCOUNT]


def test_a_base_url_without_tls_is_refused() -> None:
    with pytest.raises(SettingsError, match="neither https nor on this machine"):
        client("http://api.example.com")


def test_no_repr_of_a_client_shows_a_token() -> None:
    assert SECRET not in repr(client("https://api.example.com", token=SECRET))


@pytest.mark.parametrize("account_id", ["nope", ACCOUNT])
def test_submitting_never_raises(monkeypatch: pytest.MonkeyPatch, account_id: str) -> None:
    """What goes wrong, even before a connection can be set up, comes out of the future."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    answer = client("https://api.example.com").submit(INVOICE_PREVIEW, account_id)
    with pytest.raises(BillingError, match=r"is not an account ID|SSL_CERT_FILE"):
        answer.result()


def test_a_refused_connection_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(TransportError, match=r"no answer from 127\.0\.0\.1: .*refused"):
        client(f"http://127.0.0.1:{port}").get_invoice_preview(ACCOUNT)


def test_a_name_that_does_not_resolve_says_so() -> None:
    with pytest.raises(TransportError, match=r"from nowhere\.invalid: "):
        client("https://nowhere.invalid", timeout=10).get_invoice_preview(ACCOUNT)


def test_a_certificate_that_is_not_trusted_says_so_and_is_not_retried() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with (
        Sandbox(tls=context) as secure,
        pytest.raises(TransportError, match=r"no trusted TLS connection to 127\.0\.0\.1: "),
    ):
        client(secure.base_url).get_invoice_preview(ACCOUNT)


def test_loopback_with_tls_takes_the_certificates_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Sandbox(tls=context) as secure:
        assert client(secure.base_url).get_invoice_preview(ACCOUNT).amount_due == 18846


def test_an_invalid_response_is_an_error_of_its_own(sandbox: Sandbox) -> None:
    sandbox.fault = "html"
    with pytest.raises(InvalidResponseError):
        client(sandbox.base_url).get_invoice_preview(ACCOUNT)


def test_a_fetch_leaves_no_thread_behind(sandbox: Sandbox) -> None:
    sandbox.fault = "endless-headers"
    with pytest.raises(TransportError):
        client(sandbox.base_url, timeout=0.3).get_invoice_preview(ACCOUNT)
    for _ in range(100):
        gc.collect()
        if not any(thread.name == "cf-invoice-fetch" for thread in threading.enumerate()):
            return
        time.sleep(0.05)
    pytest.fail("the fetch's thread still runs")


@pytest.mark.parametrize("fault", ["http-403", "html", "reset", "redirect-loop", "slow"])
def test_an_error_keeps_no_frame_of_the_fetch(sandbox: Sandbox, fault: str) -> None:
    """Frames of the HTTP client hold the request, and with it the credentials."""
    sandbox.fault = fault
    answer = client(sandbox.base_url, token=SECRET, timeout=1).submit(INVOICE_PREVIEW, ACCOUNT)
    error = answer.exception()
    assert isinstance(error, BillingError)
    assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
