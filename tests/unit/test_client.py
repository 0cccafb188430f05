import gc
import socket
import ssl
import threading
import time
from typing import Any

import pytest
import trustme

from pulumi_cf_invoice import (
    ApiError,
    BadAnswer,
    BillingClient,
    ConnectionFailed,
    Credentials,
    InvoicePreviewError,
    SettingsError,
)
from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS, Sandbox
from pulumi_cf_invoice.settings import Settings, of_program, resolve
from pulumi_cf_invoice.snapshot import Snapshot

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
OTHER = "0" * 32
SECRET = "s3cret-t0ken"


def settings(
    base_url: str, account: str = ACCOUNT, token: str = "sandbox-token", timeout: float = 30
) -> Settings:
    config = {"cf-invoice:baseUrl": base_url, "cf-invoice:timeout": str(timeout)}
    return resolve(account, {"api_token": token}, of_program(config.get, {}))


def client(base_url: str, **options: Any) -> BillingClient:
    return BillingClient.from_settings(settings(base_url, **options))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_read(sandbox: Sandbox, scenario: str) -> None:
    sandbox.scenario = scenario
    invoice = client(sandbox.base_url).get_invoice_preview(ACCOUNT)
    expected = sandbox.answer(ACCOUNT)["result"]
    assert invoice.amount_due == expected["amount_due"]
    assert len(invoice.invoice_lines) == len(expected["invoice_lines"])


def test_the_older_pair_of_email_and_key_is_accepted(sandbox: Sandbox) -> None:
    pair = {"email": "sandbox@example.com", "api_key": "sandbox-key"}
    config = {"cf-invoice:baseUrl": sandbox.base_url}
    resolved = resolve(ACCOUNT, pair, of_program(config.get, {}))
    assert BillingClient.from_settings(resolved).get_invoice_preview(ACCOUNT).amount_due == 18846


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
    with pytest.raises(InvoicePreviewError) as failed:
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
    with pytest.raises(ConnectionFailed, match=f"account {ACCOUNT}: no connection can be set up"):
        client("https://billing.invalid").get_invoice_preview(ACCOUNT)


def test_an_api_error_tells_its_parts(sandbox: Sandbox) -> None:
    with pytest.raises(ApiError) as failed:
        client(sandbox.base_url, token="wrong").get_invoice_preview(ACCOUNT)
    error = failed.value
    assert (error.account_id, error.status, error.code) == (ACCOUNT, 403, 10000)
    assert (error.message, error.ray_id) == ("Authentication error", "8f1a2b3c4d5e6f70-AMS")


def test_the_client_serves_any_python_program(sandbox: Sandbox) -> None:
    mine = BillingClient(Credentials(api_token="sandbox-token"), base_url=sandbox.base_url)
    assert mine.get_invoice_preview(ACCOUNT.upper()).amount_due == 18846
    assert "sandbox-token" not in repr(mine)
    with pytest.raises(SettingsError, match="is no account ID"):
        mine.get_invoice_preview("../../user")
    with pytest.raises(SettingsError, match="neither https nor on this machine"):
        BillingClient(Credentials(api_token="t"), base_url="http://api.example.com")


def test_a_refused_connection_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConnectionFailed, match=r"no answer from 127\.0\.0\.1: .*refused"):
        client(f"http://127.0.0.1:{port}").get_invoice_preview(ACCOUNT)


def test_a_name_that_does_not_resolve_says_so() -> None:
    with pytest.raises(ConnectionFailed, match=r"from nowhere\.invalid: "):
        client("https://nowhere.invalid", timeout=10).get_invoice_preview(ACCOUNT)


def test_a_certificate_that_is_not_trusted_says_so_and_is_not_retried() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with (
        Sandbox(tls=context) as secure,
        pytest.raises(ConnectionFailed, match=r"no trusted TLS connection to 127\.0\.0\.1: "),
    ):
        client(secure.base_url).get_invoice_preview(ACCOUNT)


def test_a_bad_answer_is_told_apart(sandbox: Sandbox) -> None:
    sandbox.fault = "html"
    with pytest.raises(BadAnswer):
        client(sandbox.base_url).get_invoice_preview(ACCOUNT)


def test_many_threads_are_one_request(sandbox: Sandbox) -> None:
    snapshot = Snapshot()
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(snapshot.get(settings(sandbox.base_url))))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert sandbox.requests == [ACCOUNT]


def test_accounts_and_credentials_are_asked_apart(sandbox: Sandbox) -> None:
    snapshot = Snapshot()
    snapshot.get(settings(sandbox.base_url))
    snapshot.get(settings(sandbox.base_url, OTHER))
    with pytest.raises(ApiError):
        snapshot.get(settings(sandbox.base_url, token="wrong"))
    assert sandbox.requests == [ACCOUNT, OTHER, ACCOUNT]


def test_two_accounts_are_asked_side_by_side(sandbox: Sandbox) -> None:
    sandbox.fault = "slow"
    snapshot = Snapshot()
    pending = [
        snapshot.start(settings(sandbox.base_url, account, timeout=3))
        for account in (ACCOUNT, OTHER)
    ]
    while len(sandbox.requests) < 2:
        assert not any(answer.done() for answer in pending)
        time.sleep(0.01)
    for answer in pending:
        with pytest.raises(ConnectionFailed):
            answer.result()


def test_a_failure_is_not_kept(sandbox: Sandbox) -> None:
    snapshot = Snapshot()
    sandbox.fault, sandbox.fail_times = "http-403", 1
    with pytest.raises(ApiError):
        snapshot.get(settings(sandbox.base_url))
    assert snapshot.get(settings(sandbox.base_url)).amount_due == 18846


def test_a_fetch_leaves_no_thread_behind(sandbox: Sandbox) -> None:
    sandbox.fault = "endless-headers"
    with pytest.raises(ConnectionFailed):
        client(sandbox.base_url, timeout=0.3).get_invoice_preview(ACCOUNT)
    for _ in range(100):
        gc.collect()
        if not any(thread.name == "cf-invoice-fetch" for thread in threading.enumerate()):
            return
        time.sleep(0.05)
    pytest.fail("the fetch's thread still runs")
