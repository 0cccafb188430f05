"""The sandbox: scenarios, faults, control and the command line."""

import contextlib
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import yaml
from jsonschema import Draft202012Validator

from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS, Sandbox

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
OTHER_ACCOUNT = "0123456789abcdef0123456789abcdef"
TOKEN = {"Authorization": "Bearer sandbox-token"}
KEY = {"X-Auth-Email": "sandbox@example.com", "X-Auth-Key": "sandbox-key"}
NOW = datetime(2026, 9, 15, 12, tzinfo=timezone.utc)
CONTRACT = Path(__file__).parents[1] / "contract" / "invoice-preview.openapi.yaml"
MODULE = [sys.executable, "-m", "pulumi_cf_invoice.sandbox"]

IN_CONTRACT = [name for name, scenario in SCENARIOS.items() if scenario.in_contract]
OUT_OF_CONTRACT = [name for name, scenario in SCENARIOS.items() if not scenario.in_contract]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as running:
        yield running


def ask(
    box: Sandbox, headers: dict[str, str] = TOKEN, *, account: str = ACCOUNT, **options: Any
) -> httpx.Response:
    url = f"{box.base_url}/accounts/{account}/ai-gateway/billing/invoice-preview"
    return httpx.get(url, headers=headers, trust_env=False, **{"timeout": 5, **options})


def invoice(box: Sandbox, account: str = ACCOUNT) -> dict[str, Any]:
    answer = ask(box, account=account)
    assert answer.status_code == 200
    result = answer.json()["result"]
    assert isinstance(result, dict)
    return result


def control(box: Sandbox, settings: object) -> httpx.Response:
    url = box.base_url.replace("/client/v4", "/sandbox")
    return httpx.put(url, json=settings, trust_env=False)


def net(line: dict[str, Any]) -> int:
    credits = line.get("pretax_credit_amounts") or []
    return int(line["amount"] - sum(credit["amount"] for credit in credits))


def validator(schema: str) -> Draft202012Validator:
    contract = yaml.safe_load(CONTRACT.read_text())
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": contract["components"]}
    )


# Scenarios


@pytest.mark.parametrize("name", IN_CONTRACT)
def test_a_scenario_validates_against_the_published_contract(box: Sandbox, name: str) -> None:
    box.scenario = name
    validator("InvoicePreviewResponse").validate(ask(box).json())


@pytest.mark.parametrize("name", OUT_OF_CONTRACT)
def test_a_scenario_marked_as_outside_the_contract_really_is(box: Sandbox, name: str) -> None:
    box.scenario = name
    assert not validator("InvoicePreviewResponse").is_valid(ask(box).json())


@pytest.mark.parametrize("name", [*SCENARIOS])
def test_a_scenario_says_in_one_line_what_it_is(name: str) -> None:
    assert re.fullmatch(r"[^\n]+\.", SCENARIOS[name].description)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)


def test_the_usual_month_comes_to_its_well_known_figures(box: Sandbox) -> None:
    usual = invoice(box)
    claude, gpt = usual.pop("invoice_lines")
    assert usual == {
        "id": "upcoming_in_1QxBars",
        "amount_due": 18846,
        "amount_paid": 0,
        "amount_remaining": 18846,
        "currency": "usd",
        "period_start": 1788220800,
        "period_end": 1790812800,
        "status": "draft",
    }
    assert (claude["amount"], net(claude), "pretax_credit_amounts" in claude) == (1367, 1367, False)
    assert (gpt["amount"], net(gpt)) == (19287, 17479)


@pytest.mark.parametrize("name", sorted({*SCENARIOS} - {"paid-eur"}))
def test_what_is_due_is_the_sum_of_the_net_lines(box: Sandbox, name: str) -> None:
    box.scenario = name
    answer = invoice(box)
    assert answer["amount_due"] == sum(net(line) for line in answer["invoice_lines"])


@pytest.mark.parametrize(
    ("name", "currency", "due"),
    [
        ("no-usage", "usd", 0),
        ("yen", "jpy", 1900),
        ("dinar", "kwd", 12345),
        ("paid-eur", "eur", 11900),
        ("credits-exceed-usage", "usd", -1500),
    ],
)
def test_a_scenario_has_the_figure_of_its_description(
    box: Sandbox, name: str, currency: str, due: int
) -> None:
    box.scenario = name
    answer = invoice(box)
    assert (answer["currency"], answer["amount_due"]) == (currency, due)


def test_a_moving_figure_grows_by_27_on_every_call_of_an_account(box: Sandbox) -> None:
    box.scenario = "moving"
    assert [invoice(box)["amount_due"] for _ in range(3)] == [18846, 18873, 18900]
    assert invoice(box, OTHER_ACCOUNT)["amount_due"] == 18846


@pytest.mark.parametrize("name", [*SCENARIOS])
def test_two_sandboxes_with_the_same_time_give_the_same_bytes(name: str) -> None:
    with Sandbox(name, now=NOW) as one, Sandbox(name, now=NOW) as other:
        assert ask(one).content == ask(other).content


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=timezone.utc), "2026-12-01", "2027-01-01"),
        (1788220800, "2026-09-01", "2026-10-01"),
        (datetime(2026, 9, 1, tzinfo=timezone(timedelta(hours=2))), "2026-08-01", "2026-09-01"),
        (datetime(2024, 2, 29, 5), "2024-02-01", "2024-03-01"),
    ],
)
def test_the_period_is_the_calendar_month_in_utc_around_now(
    now: datetime | float, start: str, end: str
) -> None:
    with Sandbox(now=now) as box:
        answer = invoice(box)
    days = [
        datetime.fromtimestamp(answer[bound], timezone.utc).isoformat()
        for bound in ("period_start", "period_end")
    ]
    assert days == [f"{start}T00:00:00+00:00", f"{end}T00:00:00+00:00"]


def test_without_a_fixed_time_the_period_is_around_today() -> None:
    with Sandbox() as box:
        answer = invoice(box)
    assert answer["period_start"] <= time.time() < answer["period_end"]


# Authentication and routes


@pytest.mark.parametrize("headers", [TOKEN, KEY])
def test_a_token_and_an_email_with_its_key_both_authenticate(
    box: Sandbox, headers: dict[str, str]
) -> None:
    assert ask(box, headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "sandbox-token"},
        {"X-Auth-Email": "sandbox@example.com"},
        {**KEY, "X-Auth-Key": "wrong"},
    ],
)
def test_any_other_credential_is_refused_in_cloudflares_envelope(
    box: Sandbox, headers: dict[str, str]
) -> None:
    answer = ask(box, headers)
    assert answer.status_code == 403
    assert answer.json()["errors"] == [{"code": 10000, "message": "Authentication error"}]
    validator("ErrorResponse").validate(answer.json())


def test_the_accepted_token_can_be_rotated(box: Sandbox) -> None:
    box.api_token = "rotated"
    assert ask(box).status_code == 403
    assert ask(box, {"Authorization": "Bearer rotated"}).status_code == 200


@pytest.mark.parametrize("path", ["/accounts", "/accounts/me/ai-gateway/billing/invoice-preview"])
def test_an_unknown_path_is_an_envelope_with_404(box: Sandbox, path: str) -> None:
    answer = httpx.get(box.base_url + path, headers=TOKEN, trust_env=False)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, 7003)
    validator("ErrorResponse").validate(answer.json())


def test_every_answer_carries_the_same_ray_id(box: Sandbox) -> None:
    answers = [ask(box), ask(box, {}), httpx.get(box.base_url, trust_env=False)]
    assert {answer.headers["cf-ray"] for answer in answers} == {"8f1a2b3c4d5e6f70-AMS"}


# Settings of a running sandbox


def test_an_account_can_have_a_scenario_of_its_own(box: Sandbox) -> None:
    box.accounts[OTHER_ACCOUNT] = "yen"
    assert [invoice(box, account)["currency"] for account in (ACCOUNT, OTHER_ACCOUNT)] == [
        "usd",
        "jpy",
    ]


def test_requests_are_counted_in_order_and_faulty_ones_too(box: Sandbox) -> None:
    invoice(box)
    ask(box, {}, account=OTHER_ACCOUNT)
    box.fault = "http-500"
    ask(box)
    assert box.requests == [ACCOUNT, OTHER_ACCOUNT, ACCOUNT]


def test_the_amount_due_can_be_moved_and_put_back(box: Sandbox) -> None:
    box.amount_due = 20001
    moved = invoice(box)
    assert (moved["amount_due"], moved["amount_remaining"]) == (20001, 20001)
    box.amount_due = None
    assert invoice(box)["amount_due"] == 18846


def test_a_fault_can_end_after_so_many_requests(box: Sandbox) -> None:
    box.fault, box.fail_times = "http-503", 2
    assert [ask(box).status_code for _ in range(4)] == [503, 503, 200, 200]


def test_shuffled_lines_come_in_another_order_each_time(box: Sandbox) -> None:
    box.shuffle = True
    first, second = invoice(box)["invoice_lines"], invoice(box)["invoice_lines"]
    assert first != second
    assert first == second[::-1]


@pytest.mark.parametrize("setting", ["scenario", "fault"])
def test_an_unknown_name_is_refused_with_the_known_ones(box: Sandbox, setting: str) -> None:
    with pytest.raises(ValueError, match=f"unknown {setting} 'nope'; known are: .*, "):
        setattr(box, setting, "nope")
    with pytest.raises(ValueError, match="'nope'"):
        Sandbox(**{setting: "nope"})


def test_the_base_url_is_known_only_while_the_sandbox_runs() -> None:
    box = Sandbox()
    with pytest.raises(RuntimeError, match="not running"):
        _ = box.base_url
    with box:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/client/v4", box.base_url)


def test_a_port_in_use_is_an_os_error(box: Sandbox) -> None:
    port = httpx.URL(box.base_url).port
    assert port
    with pytest.raises(OSError, match="in use"), Sandbox(port=port):
        pass


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_tls_by_a_context_serves_https(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with Sandbox(tls=context) as box:
        assert ask(box, verify=trusting).status_code == 200


def test_tls_by_files_is_refused_by_a_client_that_does_not_trust_it(
    authority: trustme.CA, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    issued = authority.issue_cert("127.0.0.1")
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    with Sandbox(tls=(str(certificate), str(key))) as box:
        assert box.base_url.startswith("https://")
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            ask(box)


# Control over HTTP


def test_the_control_route_sets_and_shows_the_state(box: Sandbox) -> None:
    invoice(box)
    answer = control(box, {"scenario": "yen", "amount_due": 7, "fail_times": 1, "shuffle": True})
    state = httpx.get(str(answer.url), trust_env=False).json()
    assert state == answer.json()
    assert state == {
        "scenario": "yen",
        "fault": None,
        "amount_due": 7,
        "fail_times": 1,
        "shuffle": True,
        "requests": 1,
    }


def test_a_null_puts_a_setting_back(box: Sandbox) -> None:
    before = control(box, {}).json()
    control(
        box,
        {
            "scenario": "yen",
            "fault": "nan",
            "amount_due": 7,
            "fail_times": 1,
            "shuffle": True,
        },
    )
    after = control(
        box, dict.fromkeys(["scenario", "fault", "amount_due", "fail_times", "shuffle"])
    )
    assert after.json() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scenario": "nope"}, "unknown scenario 'nope'; known are: usual, "),
        ({"fault": "nope"}, "unknown fault 'nope'; known are: http-400, "),
        ({"amount": 1}, "unknown setting 'amount'; known are: scenario, fault, amount_due"),
        ({"amount_due": "1"}, 'amount_due is a whole number or null, not "1"'),
        ({"fail_times": True}, "fail_times is a whole number or null, not true"),
        ({"shuffle": 1}, "shuffle is true, false or null, not 1"),
        (["yen"], "send a JSON object with any of: scenario, fault"),
        ({"scenario": []}, "unknown scenario []"),
    ],
)
def test_what_control_cannot_take_is_refused_and_changes_nothing(
    box: Sandbox, settings: Any, message: str
) -> None:
    if isinstance(settings, dict):
        settings = {"amount_due": 5, **settings}
    answer = control(box, settings)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert box.amount_due is None


# Faults


@pytest.mark.parametrize("name", [*FAULTS])
def test_a_fault_says_in_one_line_what_it_is(name: str) -> None:
    assert re.fullmatch(r"[^\n]+\.", FAULTS[name].description)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_an_http_error_comes_in_the_envelope(box: Sandbox, status: int) -> None:
    box.fault = f"http-{status}"
    answer = ask(box)
    assert answer.status_code == status
    assert "retry-after" not in answer.headers
    validator("ErrorResponse").validate(answer.json())


@pytest.mark.parametrize(("name", "status"), [("http-502", 502), ("http-504", 504), ("html", 200)])
def test_a_proxys_page_is_html(box: Sandbox, name: str, status: int) -> None:
    box.fault = name
    answer = ask(box)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<html>")


@pytest.mark.parametrize(("name", "after"), [("http-429-seconds", "1"), ("http-429-long", "3600")])
def test_retry_after_in_seconds(box: Sandbox, name: str, after: str) -> None:
    box.fault = name
    answer = ask(box)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, after)


def test_retry_after_as_a_date_is_shortly_ahead(box: Sandbox) -> None:
    box.fault = "http-429-date"
    asked = time.time()
    date = parsedate_to_datetime(ask(box).headers["retry-after"]).timestamp()
    assert asked < date <= time.time() + 2


def test_a_leaking_error_repeats_whatever_token_or_key_it_was_sent(box: Sandbox) -> None:
    box.fault = "leaking-error"
    token = ask(box, {"Authorization": "Bearer canary"}).json()["errors"][0]["message"]
    key = ask(box, {"X-Auth-Key": "canary-key"}).json()["errors"][0]["message"]
    assert "Bearer canary" in token
    assert "canary-key" in key


def test_a_redirect_elsewhere_names_another_host_with_the_same_port(box: Sandbox) -> None:
    box.fault = "redirect-elsewhere"
    answer = ask(box)
    location = httpx.URL(answer.headers["location"])
    assert answer.status_code == 302
    assert location == answer.url.copy_with(host="127.0.0.2")


def test_a_redirect_loop_never_ends(box: Sandbox) -> None:
    box.fault = "redirect-loop"
    with pytest.raises(httpx.TooManyRedirects):
        ask(box, follow_redirects=True)


def test_a_reset_is_one_on_the_wire(box: Sandbox) -> None:
    box.fault = "reset"
    with connection(box) as raw, pytest.raises(ConnectionResetError):
        raw.recv(1)


def test_endless_headers_go_on_and_never_end(box: Sandbox) -> None:
    box.fault = "endless-headers"
    with connection(box) as raw:
        said = read_for(raw, seconds=0.5)
    assert said.startswith(b"HTTP/1.1 200 OK\r\nx-header-0: ")
    assert said.count(b"\r\n") > 3
    assert b"\r\n\r\n" not in said


def test_a_trickling_body_comes_byte_by_byte(box: Sandbox) -> None:
    box.fault = "trickle"
    with connection(box) as raw:
        head, _, body = read_for(raw, seconds=0.7).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body.startswith(b'1\r\n{\r\n1\r\n"\r\n')
    assert len(body) < 50


def test_a_slow_answer_outlasts_a_client_that_does_not_wait(box: Sandbox) -> None:
    box.fault = "slow"
    with pytest.raises(httpx.ReadTimeout):
        ask(box, timeout=0.3)


def test_an_oversized_body_is_over_40_megabytes_of_json(box: Sandbox) -> None:
    box.fault = "oversized-body"
    answer = ask(box, timeout=30)
    assert answer.content.startswith(b'{"success": true')
    assert len(answer.content) > 40e6


@pytest.mark.parametrize("name", ["truncated-json", "empty-body", "html"])
def test_a_broken_body_is_no_json(box: Sandbox, name: str) -> None:
    box.fault = name
    answer = ask(box)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_invalid_utf8_does_not_decode(box: Sandbox) -> None:
    box.fault = "invalid-utf8"
    with pytest.raises(UnicodeDecodeError):
        ask(box).content.decode()


def test_a_broken_gzip_does_not_decompress(box: Sandbox) -> None:
    box.fault = "broken-gzip"
    with pytest.raises(httpx.DecodingError):
        ask(box)


def test_a_wrong_content_type_is_the_right_answer_all_the_same(box: Sandbox) -> None:
    right = ask(box).json()
    box.fault = "wrong-content-type"
    answer = ask(box)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.json() == right


def test_success_false_comes_with_http_200(box: Sandbox) -> None:
    box.fault = "success-false"
    answer = ask(box)
    assert answer.status_code == 200
    assert (answer.json()["success"], answer.json()["errors"][0]["code"]) == (False, 7500)


def test_nan_is_a_bare_token(box: Sandbox) -> None:
    box.fault = "nan"
    assert b'"amount_due": NaN' in ask(box).content


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("result-null", '"result": null'),
        ("numbers-as-text", '"amount_due": "18846"'),
        ("fractional-amount", '"amount_due": 18846.5'),
        ("huge-amount", '"amount_due": 9007199254740993'),
        ("two-currencies", '"currency": "eur"'),
        ("inverted-period", '"period_start": 1790812800, "period_end": 1788220800'),
        ("wrong-types", '"currency": 840'),
    ],
)
def test_a_bad_invoice_is_written_as_described(box: Sandbox, name: str, written: str) -> None:
    box.fault = name
    assert written in ask(box).text


@pytest.mark.parametrize(
    "name", ["missing-fields", "wrong-types", "numbers-as-text", "result-null"]
)
def test_a_malformed_invoice_breaks_the_contract(box: Sandbox, name: str) -> None:
    box.fault = name
    assert not validator("InvoicePreviewResponse").is_valid(ask(box).json())


@pytest.mark.parametrize("name", [*FAULTS])
def test_the_sandbox_stops_at_once_and_in_silence_whatever_the_fault(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    box = Sandbox(fault=name)
    with box, contextlib.ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(connection(box))
        while len(box.requests) < 3:
            time.sleep(0.01)
        box_stopped = time.monotonic()
        box.__exit__(None, None, None)
        assert time.monotonic() - box_stopped < 1
    assert capfd.readouterr() == ("", "")


def test_no_thread_is_left_behind() -> None:
    with Sandbox():
        pass
    assert "cf-invoice-sandbox" not in [thread.name for thread in threading.enumerate()]


# The command line


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MODULE, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_module_prints_two_export_lines_and_stops_cleanly_on_a_signal(
    number: signal.Signals,
) -> None:
    command = [*MODULE, "--port", "0", "--scenario", "yen", "--now", "2026-09-15T12:00:00Z"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stdout
        lines = [process.stdout.readline(), process.stdout.readline()]
        exported = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines)
        path = f"/accounts/{ACCOUNT}/ai-gateway/billing/invoice-preview"
        token = {"Authorization": f"Bearer {exported['CLOUDFLARE_API_TOKEN']}"}
        answer = httpx.get(
            exported["CLOUDFLARE_BASE_URL"] + path, headers=token, trust_env=False
        ).json()
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert all(line.startswith("export ") for line in lines)
    assert (answer["result"]["currency"], answer["result"]["period_start"]) == ("jpy", 1788220800)
    assert out == ""
    assert f"pulumi config set cf-invoice:accountId {ACCOUNT}" in err
    assert "'yen'" in err
    assert "Traceback" not in err


def test_the_module_says_in_one_line_that_its_port_is_in_use(box: Sandbox) -> None:
    port = str(httpx.URL(box.base_url).port)
    done = run_module("--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"sandbox: port {port} is in use: choose another with --port (0 takes a free one)\n"
    )


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_the_module_says_in_one_line_that_the_extra_is_missing(missing: str) -> None:
    hidden = (
        f"import runpy, sys; sys.modules[{missing!r}] = None; "
        "runpy.run_module('pulumi_cf_invoice.sandbox', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'pulumi-cf-invoice[sandbox]'" in done.stderr


def test_the_module_lists_every_scenario_and_fault_with_its_description() -> None:
    done = run_module("--list")
    assert done.returncode == 0
    for name, entry in {**SCENARIOS, **FAULTS}.items():
        assert re.search(rf"^  {name} +{re.escape(entry.description)}$", done.stdout, re.MULTILINE)


def test_the_modules_help_shows_an_example_and_the_control_route() -> None:
    done = run_module("--help")
    assert done.returncode == 0
    assert "example:" in done.stdout
    assert "curl -X PUT" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenario", "nope"], "invalid choice: 'nope'"),
        (["--fault", "nope"], "invalid choice: 'nope'"),
        (["--port", "70000"], "'70000' is no port"),
        (["--now", "soon"], "'soon' is no ISO 8601 time"),
    ],
)
def test_the_module_refuses_what_it_does_not_know(arguments: list[str], message: str) -> None:
    done = run_module(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_the_sandbox_imports_neither_pulumi_nor_the_rest_of_the_package() -> None:
    program = (
        "import sys, pulumi_cf_invoice.sandbox.server; "
        "print(*sorted(name for name in sys.modules if name.startswith('pulumi')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    allowed = ("pulumi_cf_invoice", "pulumi_cf_invoice.sandbox")
    assert all(name in allowed or name.startswith(f"{allowed[1]}.") for name in done.stdout.split())


# Raw sockets


@contextlib.contextmanager
def connection(box: Sandbox) -> Iterator[socket.socket]:
    """A connection on which an invoice has been asked for."""
    url = httpx.URL(box.base_url)
    path = f"{url.path}/accounts/{ACCOUNT}/ai-gateway/billing/invoice-preview"
    head = f"GET {path} HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer sandbox-token\r\n\r\n"
    with socket.create_connection((url.host, url.port), timeout=5) as raw:
        raw.sendall(head.encode())
        yield raw


def read_for(raw: socket.socket, seconds: float) -> bytes:
    """What arrives within so many seconds."""
    said, end = b"", time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        raw.settimeout(left)
        with contextlib.suppress(TimeoutError):
            said += raw.recv(65536)
    return said
