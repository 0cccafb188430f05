import base64
import gc
import json
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import trustme
from tenacity import RetryCallState, Retrying

import pulumi_cf_invoice
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
from pulumi_cf_invoice.billing.retries import backoff
from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS, Sandbox
from tests.factories import ACCOUNT, OTHER_ACCOUNT, SECRET, TOKEN, api_line, api_result
from tests.waiting import wait_until


def client(base_url: str, token: str = TOKEN, **options: Any) -> BillingClient:
    return BillingClient(Credentials(api_token=token), base_url=base_url, **options)


@contextmanager
def stand_in(
    body: str, status: int = 200, phrase: str | None = None, **headers: str
) -> Iterator[tuple[str, list[Message]]]:
    """Serve *body* for every request, and give its base URL and the headers of requests."""
    asked: list[Message] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers)
            self.send_response(status, phrase)
            self.send_header("Content-Length", str(len(body.encode())))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with serving(Handler) as base_url:
        yield base_url, asked


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer every request with *handler*, and give the base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        # By default, it is half a second before it stops.
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/client/v4"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def on_the_wire(sent: Callable[[], bytes], *, forever: bool = False) -> Iterator[str]:
    """Send bytes in answer to each connection, once or *forever*, and give the base URL."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(sent())
            while forever:
                connection.sendall(sent())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/client/v4"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("scenario", [n for n, s in SCENARIOS.items() if s.pages is None])
def test_every_scenario_is_read(sandbox: Sandbox, scenario: str) -> None:
    sandbox.scenario = scenario
    invoice = client(sandbox.base_url).get_invoice_preview(ACCOUNT)
    expected = sandbox.answer(ACCOUNT)["result"]
    assert invoice.amount_due == expected["amount_due"]
    assert len(invoice.invoice_lines) == len(expected["invoice_lines"] or [])
    assert invoice.invoice_lines_complete


@pytest.mark.parametrize(
    ("scenario", "lines", "complete", "requests"),
    [
        ("pages", 7, True, 4),
        ("pages-ignored", 2, False, 2),
        ("pages-short", 7, False, 5),
        # An empty page ends it.
        ("pages-endless", 7, True, 5),
        # One fresh start; when the fields differ again, only the first page is kept.
        ("pages-moving", 2, False, 4),
        # The second page is retried just as the first would be.
        ("pages-failing", 2, False, 5),
    ],
)
def test_pages_are_followed_and_complete_is_only_what_is_all_there(
    sandbox: Sandbox, scenario: str, lines: int, complete: bool, requests: int
) -> None:
    sandbox.scenario = scenario
    invoice = client(sandbox.base_url).get_invoice_preview(ACCOUNT)
    assert len(invoice.invoice_lines) == lines
    assert invoice.invoice_lines_complete is complete
    assert len(sandbox.requests) == requests


def test_pages_that_do_not_end_in_time_are_a_part(sandbox: Sandbox) -> None:
    sandbox.scenario = "pages-failing"
    invoice = client(sandbox.base_url, timeout=0.3).get_invoice_preview(ACCOUNT)
    assert not invoice.invoice_lines_complete
    assert invoice.amount_due == 700


def test_the_older_pair_of_email_and_key_is_accepted(sandbox: Sandbox) -> None:
    pair = Credentials(email="sandbox@example.com", api_key="sandbox-key")
    mine = BillingClient(pair, base_url=sandbox.base_url)
    assert mine.get_invoice_preview(ACCOUNT).amount_due == 18846


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        ("http-401", "Check that the API key is right, active and not expired."),
        ("http-403", "Give the API key's user the permission AI Gateway Read on this account, or"),
        ("error-9109", "The API key is not valid, or may not be used from this address"),
        ("http-429", "Too many requests with this API key: "),
    ],
)
def test_where_a_pair_of_email_and_key_is_refused_there_is_no_token_to_mend(
    sandbox: Sandbox, fault: str, remedy: str
) -> None:
    sandbox.fault = fault
    pair = Credentials(email="sandbox@example.com", api_key="sandbox-key")
    with pytest.raises(ApiError) as failed:
        BillingClient(pair, base_url=sandbox.base_url).get_invoice_preview(ACCOUNT)
    assert remedy in str(failed.value)
    assert "the token" not in str(failed.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a-token", "BillingClient takes pulumi_cf_invoice.billing.Credentials, not str"),
        (
            pulumi_cf_invoice.Credentials(api_token="a-token"),
            "which are text; pulumi_cf_invoice.Credentials is for a Pulumi program's resources and ",
        ),
    ],
)
def test_a_client_takes_credentials_of_its_own(given: Any, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        BillingClient(given)


RAY = "(ray ID 8f1a2b3c4d5e6f70-AMS)"
FAILED_SIDE = "The failure is on Cloudflare's side, and 3 retries did not help: run again later."
BRIEF = 1.5
"""The timeout in seconds for faults that never complete an answer."""
SAID = {
    "http-400": f"HTTP 400, code 7003: Could not route to the given account {RAY}. Check the account",
    "http-401": f"HTTP 401, code 10000: Authentication error {RAY}. Check that the token",
    "http-403": f"HTTP 403, code 10000: Authentication error {RAY}. Give the token the permission AI Gateway Read",
    "http-404": f"HTTP 404, code 7404: No billing for this account {RAY}. Check the account ID",
    "http-408": f"HTTP 408, code 10004: Request timed out {RAY}. {FAILED_SIDE}",
    "http-429": f"HTTP 429, code 10013: Rate limited {RAY}. Too many requests",
    "http-429-long": "Cloudflare asks to wait 3600 s",
    "http-500": f"HTTP 500, code 10001: Internal error {RAY}. {FAILED_SIDE}",
    "http-501": f"HTTP 501, code 10005: Not implemented {RAY}. The failure is on Cloudflare's side: run again",
    "http-502": f"HTTP 502: Bad Gateway {RAY}. {FAILED_SIDE}",
    "http-503": f"HTTP 503, code 10002: Service unavailable {RAY}. {FAILED_SIDE}",
    "http-504": f"HTTP 504: Gateway Timeout {RAY}. {FAILED_SIDE}",
    "http-520": f"HTTP 520: no message {RAY}. {FAILED_SIDE}",
    "http-530": f"HTTP 530: no message {RAY}. {FAILED_SIDE}",
    "errors-as-text": f"HTTP 400: Bad request; Try later {RAY}. Check the account",
    "error-singular": f"HTTP 400, code 7003: No {RAY}.",
    "error-chain": f"HTTP 400, code 6111: Invalid format for Authorization header; code 6003: Invalid request headers {RAY}.",
    "several-errors": "HTTP 403, code 10000: Authentication error; code 6111: Invalid format for Authorization header; code 6003: Invalid request headers",
    "error-code-huge": f"HTTP 400: Huge {RAY}.",
    "error-9109": f"location: 192.0.2.1 {RAY}. The token is not valid, or may not be used from this address",
    "error-7000": f"HTTP 404, code 7000: No route for that URI {RAY}. Check the base URL",
    "challenge": f"HTTP 403: Forbidden {RAY}. Cloudflare answered with a browser challenge",
    "hostile-message": f"HTTP 404, code 7404: No [31m such account here {RAY}.",
    "redirect-elsewhere": "HTTP 302 redirects to the host 127.0.0.2, to which credentials are not sent",
    "redirect-loop": "more than 3 redirects",
    "reset": "no answer from 127.0.0.1: ",
    "endless-headers": f"no complete answer within {BRIEF} s",
    "trickle": f"no complete answer within {BRIEF} s",
    "slow": f"no complete answer within {BRIEF} s",
    "oversized-body": "the answer is larger than 4 MiB",
    "gzip-bomb": "the answer is larger than 4 MiB",
    "gzip-twice": "the response has an unexpected content encoding (gzip, gzip)",
    "brotli": "the response has an unexpected content encoding (br)",
    "truncated-gzip": "the answer's compression is broken",
    "broken-gzip": "the answer's compression is broken",
    "html": "the answer is not a JSON object (text/html",
    "truncated-json": "the answer is not a JSON object (application/json",
    "deep-json": "the answer is not a JSON object (application/json, 200000 bytes)",
    "empty-body": "the answer is empty",
    "success-false": "HTTP 200, code 7500: Billing is being set up",
    "result-null": "the answer has no result",
    "missing-fields": "amount_due: missing",
    "empty-lines": "invoice_lines.0.amount: missing",
    "http-503-brotli": f"HTTP 503: Service Unavailable {RAY}. {FAILED_SIDE}",
    "challenge-broken": f"HTTP 403: Forbidden {RAY}. Cloudflare answered with a browser challenge",
    "error-code-endless": f"HTTP 400: Bad Request {RAY}.",
    "wrong-types": "invoice_lines: ",
    "nan": "the answer is not a JSON object",
    "numbers-as-text": "amount_due: not a number",
    "inexact-amount": "amount_due: not an amount that can be carried exactly: more digits than",
    "huge-amount": "amount_due: not an amount that can be carried exactly: beyond",
    "two-currencies": "a line is in eur and the invoice in usd",
    "inverted-period": "the period ends before it starts",
    "invalid-utf8": "the answer is not a JSON object",
    "echoed-credentials": "Invalid request headers: Bearer [redacted]",
}
RETRIED = {
    *("http-408", "http-429", "http-500", "http-502", "http-503", "http-504", "http-520"),
    *("http-530", "http-503-brotli", "reset"),
}
HEALED = {
    "long-texts",
    "long-signs",
    "http-429-seconds",
    "http-429-date",
    "wrong-content-type",
    "huge-quantity",
}


def test_every_fault_of_the_sandbox_is_covered_here() -> None:
    of_the_invoice = {name for name, fault in FAULTS.items() if fault.concerns("invoice-preview")}
    assert {*SAID, *HEALED} == of_the_invoice


@pytest.mark.parametrize("fault", SAID)
def test_a_fault_is_one_clean_line(sandbox: Sandbox, fault: str) -> None:
    sandbox.fault = fault
    timeout = BRIEF if SAID[fault].startswith("no complete answer") else 30
    with pytest.raises(BillingError) as failed:
        client(sandbox.base_url, token=SECRET, timeout=timeout).get_invoice_preview(ACCOUNT)
    message = str(failed.value)
    assert SAID[fault] in message
    assert message.startswith(f"cannot read the upcoming invoice of account {ACCOUNT}: ")
    assert message.isprintable()
    assert SECRET not in message
    assert SECRET not in repr(failed.value)
    assert len(sandbox.requests) == (4 if fault in RETRIED | {"redirect-loop"} else 1)


@pytest.mark.parametrize("fault", sorted(RETRIED | HEALED))
def test_what_gets_better_is_retried_until_it_does(sandbox: Sandbox, fault: str) -> None:
    sandbox.fault, sandbox.fail_times = fault, 1
    assert client(sandbox.base_url).get_invoice_preview(ACCOUNT).amount_due == 18846


def test_the_pause_before_each_further_attempt_is_longer_and_not_the_same_for_everybody() -> None:
    for attempt, shortest in enumerate((0.2, 0.4, 0.8, 1.6), start=1):
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = attempt
        pauses = {backoff(state) for _ in range(20)}
        assert len(pauses) > 1
        assert all(shortest <= pause <= shortest + 0.2 for pause in pauses)


def test_an_api_error_tells_its_parts(sandbox: Sandbox) -> None:
    with pytest.raises(ApiError) as failed:
        client(sandbox.base_url, token="wrong").get_invoice_preview(ACCOUNT)
    error = failed.value
    assert (error.account_id, error.status, error.code) == (ACCOUNT, 403, 10000)
    assert (error.message, error.ray_id) == ("Authentication error", "8f1a2b3c4d5e6f70-AMS")


def test_a_refusal_in_json_is_none_where_a_program_exports_it() -> None:
    """Pulumi's engine would print what is in it."""
    body = json.dumps({"errors": [{"message": r'{"\n::error::x": 1}.'}]})
    with stand_in(body, 403) as (base_url, _), pytest.raises(ApiError) as failed:
        client(base_url).get_invoice_preview(ACCOUNT)
    assert failed.value.message == r'“{"\n::error::x": 1}”'


@pytest.mark.parametrize(
    "private", ["AT611904300234573201", "4242424242424242", "https://pay.stripe.com/acct_1/live_42"]
)
@pytest.mark.parametrize("before", [284, 290, 296])
def test_what_is_private_where_a_long_refusal_is_cut_is_not_half_told(
    private: str, before: int
) -> None:
    body = json.dumps({"errors": [{"message": f"{'x ' * (before // 2)}{private} tail"}]})
    with stand_in(body, 403) as (base_url, _), pytest.raises(ApiError) as failed:
        client(base_url).get_invoice_preview(ACCOUNT)
    assert not re.search("AT|42|stripe", failed.value.message)


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


@pytest.mark.parametrize(
    "escape",
    [
        lambda text: text,
        str.upper,
        lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
        "\u200b".join,
        "\\u00ad\\u0000".join,
        "\u3164\u0301".join,
        "\\u1160".join,
    ],
)
def test_an_answer_that_repeats_the_token_is_read_without_it(
    escape: Callable[[str], str],
) -> None:
    """What an answer says is kept in snapshots, states and reports."""
    result = api_result(invoice_lines=[api_line(description="echo")], status="echo")
    body = json.dumps({"success": True, "result": result}).replace("echo", f"a {escape(SECRET)}")
    with stand_in(body) as (base_url, _):
        invoice = client(base_url, token=SECRET).get_invoice_preview(ACCOUNT)
    assert invoice.invoice_lines[0].description == invoice.status == "a [redacted]"


def test_an_answer_that_repeats_the_token_in_full_width_letters_loses_that_text() -> None:
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in SECRET)
    for written in (wide, json.dumps(wide).strip('"')):
        result = api_result(invoice_lines=[api_line(description="echo")], status="draft")
        body = json.dumps({"success": True, "result": result}).replace("echo", f"a {written}")
        with stand_in(body) as (base_url, _):
            invoice = client(base_url, token=SECRET).get_invoice_preview(ACCOUNT)
        assert invoice.invoice_lines[0].description == "[redacted]"
        assert invoice.status == "draft"


def test_accounts_that_are_called_by_the_e_mail_address_of_the_key_keep_their_names() -> None:
    name = 'ops@example.com\'s "Account"'
    answer = {"success": True, "result": [{"id": ACCOUNT, "name": name}]}
    pair = Credentials(email="ops@example.com", api_key="key-of-sandbox")
    with stand_in(json.dumps(answer)) as (base_url, _):
        [account] = BillingClient(pair, base_url=base_url).get_accounts().accounts
    assert account.name == name


def test_an_answer_that_has_a_figure_twice_is_refused() -> None:
    """The last one would count, and hide the first."""
    body = json.dumps({"success": True, "result": api_result(amount_due=1)})
    twice = body.replace('"amount_due"', '"amount_due": 99900, "amount_due"')
    with (
        stand_in(twice) as (base_url, _),
        pytest.raises(InvalidResponseError, match="the answer is not a JSON object"),
    ):
        client(base_url).get_invoice_preview(ACCOUNT)


def test_a_name_of_a_field_that_repeats_the_token_is_read_without_it() -> None:
    limits = {"rules": [{"id": "r", "limit": 1, "metadata": {SECRET: {"mode": "partition"}}}]}
    gateways = [{"id": "g", "spend_limits": {"enabled": True, **limits}}]
    with stand_in(json.dumps({"success": True, "result": gateways})) as (base_url, _):
        read = client(base_url, token=SECRET).get_gateways(ACCOUNT)
    assert SECRET not in json.dumps([read.to_figures(), read.to_api()])


@pytest.mark.parametrize(
    ("status", "phrase", "location"),
    [
        (200, f"{SECRET} ##vso[task.setvariable variable=x]y", ""),
        (403, SECRET, ""),
        (302, "Found", f"http://{SECRET}.example.com/"),
        (302, "Found", f"http://{SECRET.upper()}.example.com/"),
        (302, "Found", f"/{SECRET}##vso[task.setvariable%20variable=x]y"),
        (302, "Found", "/##vso[task.setvariable%20variable=x]y"),
        (302, "Found", f"/{SECRET[:4]}%c2%ad{SECRET[4:]}"),
        (302, "Found", "/" + "".join(f"%{ord(letter):02x}" for letter in SECRET)),
        (302, "Found", "/" + "".join(f"%25{ord(letter):02x}" for letter in SECRET)),
        (302, "Found", f"http://[{SECRET}"),
    ],
)
def test_neither_error_nor_log_repeats_a_token_that_an_answer_has_beside_its_body(
    caplog: pytest.LogCaptureFixture, status: int, phrase: str, location: str
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Location": location, "X-Asked": SECRET} if location else {"X-Asked": SECRET}
    message = ""
    with stand_in('{"success": true}', status, phrase, **headers) as (base_url, _):
        try:
            client(base_url, token=SECRET).get_invoice_preview(ACCOUNT)
        except BillingError as error:
            message = str(error)
    assert message
    assert "HTTP Request" in caplog.text
    said = f"{message}{unquote(unquote(caplog.text))}".replace("\xad", "").lower()
    assert SECRET not in said
    assert "##vso" not in caplog.text


@pytest.mark.parametrize(
    "written",
    [
        base64.b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
        "8f1a2b3c4d5e6f70-AMSTERDAM",
    ],
)
def test_no_ray_id_is_told_that_does_not_look_like_one(
    caplog: pytest.LogCaptureFixture, written: str
) -> None:
    caplog.set_level(logging.DEBUG)
    with stand_in("{}", 503, **{"cf-ray": written}) as (base_url, _), pytest.raises(ApiError) as e:
        client(base_url, token=SECRET, timeout=BRIEF).get_invoice_preview(ACCOUNT)
    assert e.value.ray_id is None
    assert "attempt 1: Cloudflare said HTTP 503" in caplog.text
    assert "ray ID" not in f"{e.value.problem}{caplog.text}"
    assert written not in f"{e.value}{caplog.text}"


def test_a_redirect_to_a_name_that_is_none_is_one_line() -> None:
    with (
        stand_in("", 302, Location="https://xn--zzzzzz.invalid/") as (base_url, _),
        pytest.raises(TransportError, match="of a proxy or of a redirect cannot be used"),
    ):
        client(base_url).get_invoice_preview(ACCOUNT)


@pytest.mark.parametrize(
    "head",
    [
        f"HTTP/1.1 2000 {SECRET}",
        f"HTTP/1.1 200 OK\r\n{SECRET} ##vso[x]y",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + SECRET,
        f"HTTP/1.1 200 OK\r\nContent-Encoding: {SECRET}\r\nContent-Length: 0",
        # What stands between becomes text where httpx quotes an answer.
        f"ERR {SECRET[:4]}\x7f{SECRET[4:]}",
        f"HTTP/1.1 200 OK\r\n{SECRET[:4]}\xad{SECRET[4:]} x",
        f"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: https://[{SECRET[:4]}\xad{SECRET[4:]}",
    ],
)
def test_neither_error_nor_log_repeats_a_token_in_an_answer_that_is_not_http(
    caplog: pytest.LogCaptureFixture, head: str
) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        on_the_wire(lambda: f"{head}\r\n\r\n".encode()) as base_url,
        pytest.raises(BillingError) as failed,
    ):
        client(base_url, token=SECRET).get_invoice_preview(ACCOUNT)
    message = f"{failed.value}{caplog.text}".lower()
    # Whatever is left of it without what an encoding cannot have.
    assert SECRET not in message
    assert "".join(filter(str.isalnum, SECRET)) not in message
    assert SECRET[4:] not in message
    assert "##vso" not in caplog.text


@pytest.mark.parametrize("times", [1, 2])
def test_what_follows_an_answer_is_not_taken_for_the_next_one(times: int) -> None:
    """
    Otherwise an account would be judged by the invoice of another one.

    The connection is used again only if nothing follows.
    """
    connections = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            due = 2 if OTHER_ACCOUNT in self.path else 1
            connections.append(self.client_address)
            body = json.dumps({"success": True, "result": api_result(amount_due=due)}).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            self.wfile.write((head + body) * times)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with serving(Handler) as base_url:
        mine = client(base_url)
        due = [mine.get_invoice_preview(each).amount_due for each in (ACCOUNT, OTHER_ACCOUNT)]
    assert due == [1, 2]
    assert len(set(connections)) == times


def test_a_flood_of_interim_answers_ends_in_time() -> None:
    """Whoever waits for data must not be kept by a peer that never stops sending it."""
    interim = b"HTTP/1.1 102 Processing\r\n\r\n" * 1000
    with (
        on_the_wire(lambda: interim, forever=True) as base_url,
        pytest.raises(TransportError, match=r"no complete answer within 0\.5 s"),
    ):
        client(base_url, timeout=0.5).get_invoice_preview(ACCOUNT)


@pytest.mark.parametrize("number", ["1e999999999999999999", "-1e999999999999999999", "1e-99999999"])
def test_a_number_with_any_exponent_is_no_amount(number: str) -> None:
    body = json.dumps({"success": True, "result": api_result(amount_due=777)})
    with (
        stand_in(body.replace("777", number)) as (base_url, _),
        pytest.raises(InvalidResponseError, match="amount_due: not an amount that can be carried"),
    ):
        client(base_url).get_invoice_preview(ACCOUNT)


@pytest.mark.parametrize("depth", [100, 300, 900, 950, 990, 2000])
def test_an_answer_of_any_depth_is_read_or_refused(depth: int) -> None:
    """An escape makes it necessary to look into all of it for the token."""
    deep = "[" * depth + '"\\u0041"' + "]" * depth
    body = json.dumps({"success": True, "more": 777, "result": api_result()}).replace("777", deep)
    with stand_in(body) as (base_url, _):
        answer = client(base_url).submit(INVOICE_PREVIEW, ACCOUNT)
        refusal = answer.exception()
    if refusal is None:
        assert answer.result().amount_due == 18846
    else:
        assert isinstance(refusal, InvalidResponseError)
        assert "the answer is not a JSON object" in str(refusal)


def test_what_nobody_thought_of_in_an_answer_is_one_line(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr(INVOICE_PREVIEW.model, "from_api", fail)
    caplog.set_level(logging.DEBUG)
    # A command that told of its requests in this process has left another level.
    caplog.set_level(logging.DEBUG, "pulumi_cf_invoice")
    with pytest.raises(
        InvalidResponseError, match=r"it cannot be interpreted \(KeyError\)"
    ) as read:
        client(sandbox.base_url).get_invoice_preview(ACCOUNT)
    assert "in fail" in caplog.text
    assert SECRET not in f"{read.value}{caplog.text}"


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        ("90000", "asks to wait 90000 s: run again after that. This run"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", " s: run again after that. This run"),
    ],
)
def test_a_wait_of_more_than_a_day_is_told_without_a_time_of_day(asked: str, remedy: str) -> None:
    with (
        stand_in("", 429, **{"Retry-After": asked}) as (base_url, requests),
        pytest.raises(ApiError) as refused,
    ):
        client(base_url).get_invoice_preview(ACCOUNT)
    assert remedy in refused.value.remedy
    assert len(requests) == 1


def test_a_request_says_what_is_asking(sandbox: Sandbox) -> None:
    with stand_in(json.dumps({"success": True, "result": api_result()})) as (base_url, asked):
        client(base_url).get_invoice_preview(ACCOUNT)
    assert [headers["user-agent"] for headers in asked] == [
        f"pulumi-cf-invoice/{version('pulumi-cf-invoice')}"
    ]


def test_a_base_url_without_its_path_is_reported(sandbox: Sandbox) -> None:
    with pytest.raises(ApiError) as failed:
        client(sandbox.base_url.replace("/client/v4", "")).get_invoice_preview(ACCOUNT)
    assert failed.value.code == 7000
    assert failed.value.remedy.startswith("The base URL lacks /client/v4: Cloudflare's API is at")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_CERT_FILE", "/nowhere.pem"),
        ("SSLKEYLOGFILE", "/nowhere/keys"),
        ("HTTPS_PROXY", "ftp://127.0.0.1:9"),
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("HTTPS_PROXY", "http://[::1"),
        ("HTTPS_PROXY", f"http://{'a' * 64}.com:80"),
        ("HTTPS_PROXY", "http://proxy..invalid:80"),
        ("HTTPS_PROXY", f"http://user:{SECRET}#w@127.0.0.1:1"),
        ("HTTPS_PROXY", "http://127.0.0.1:notaport"),
    ],
)
def test_an_environment_without_a_connection_is_one_clean_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(TransportError) as failed:
        client("https://billing.invalid").get_invoice_preview(ACCOUNT)
    assert f"account {ACCOUNT}: no connection can be set up" in str(failed.value)
    assert name in str(failed.value) or not name.startswith("SSL")
    assert "Errno" not in str(failed.value)
    # A proxy's password is a credential too.
    assert SECRET not in str(failed.value)


def test_a_broken_no_proxy_is_one_clean_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "[::1,]:x,http://[")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(TransportError) as failed:
        client("https://billing.invalid", timeout=5).get_invoice_preview(ACCOUNT)
    assert str(failed.value).isprintable()


@pytest.mark.parametrize("account_id", ["nope", None, ACCOUNT])
def test_submitting_never_raises(monkeypatch: pytest.MonkeyPatch, account_id: Any) -> None:
    """Every failure comes out of the future, even one from before a connection is set up."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    answer = client("https://api.example.com").submit(INVOICE_PREVIEW, account_id)
    with pytest.raises(BillingError, match=r"is not an account ID|not NoneType|SSL_CERT_FILE"):
        answer.result()


def test_a_refused_connection_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(TransportError, match=r"no answer from 127\.0\.0\.1: Connection refused\."):
        client(f"http://127.0.0.1:{port}").get_invoice_preview(ACCOUNT)


def test_a_name_that_does_not_resolve_says_so() -> None:
    with pytest.raises(TransportError, match=r"from nowhere\.invalid: "):
        client("https://nowhere.invalid", timeout=10).get_invoice_preview(ACCOUNT)


def test_a_certificate_that_is_not_trusted_says_so_and_is_not_retried() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with (
        Sandbox(tls=context) as secure,
        pytest.raises(
            TransportError, match=r"no trusted TLS connection to 127\.0\.0\.1: [^(]*\. Check"
        ),
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

    def has_ended() -> bool:
        return not any(thread.name == "cf-invoice-fetch" for thread in threading.enumerate())

    gc.collect()
    wait_until(has_ended, "the fetch's thread ended")


@pytest.mark.parametrize("fault", ["http-403", "html", "reset", "redirect-loop", "slow"])
def test_an_error_keeps_no_frame_of_the_fetch(sandbox: Sandbox, fault: str) -> None:
    """The error drops the HTTP client's frames, which hold the request and its credentials."""
    sandbox.fault = fault
    answer = client(sandbox.base_url, token=SECRET, timeout=1).submit(INVOICE_PREVIEW, ACCOUNT)
    error = answer.exception()
    assert isinstance(error, BillingError)
    assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)
