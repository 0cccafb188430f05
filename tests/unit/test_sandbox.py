import itertools
import signal
import socket
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS, Sandbox
from tests.factories import ACCOUNT, START

CONTRACT = Path(__file__).parents[1] / "contract" / "billing.openapi.yaml"
TOKEN = {"Authorization": "Bearer sandbox-token"}
COMMAND = [sys.executable, "-m", "pulumi_cf_invoice.sandbox"]


ANSWERS = {
    "invoice-preview": "InvoicePreviewAnswer",
    "credit-balance": "CreditBalanceAnswer",
    "usage-history": "UsageHistoryAnswer",
    "invoice-history": "InvoiceHistoryAnswer",
}
NEEDED = {"usage-history": {"value_grouping_window": "day"}}
"""The parameters without which a read is refused."""


def ask(
    sandbox: Sandbox,
    headers: dict[str, str] = TOKEN,
    read: str = "invoice-preview",
    **query: Any,
) -> httpx.Response:
    url = f"{sandbox.base_url}/accounts/{ACCOUNT}/ai-gateway/billing/{read}"
    query = {**NEEDED.get(read, {}), **query}
    return httpx.get(url, params=query, headers=headers, trust_env=False)


def results(sandbox: Sandbox) -> dict[str, Any]:
    """Return the result of each read."""
    return {read: ask(sandbox, read=read).json()["result"] for read in ANSWERS}


def usage(history: Any, since: int = START) -> Decimal:
    """Return the sum of the entries of *history* from *since* on, in Unix seconds."""
    return sum(
        (
            Decimal(repr(entry["aggregated_value"]))
            for entry in history["history"]
            if entry["start_time"] >= since * 1000
        ),
        Decimal(0),
    )


def validate(answer: Any, schema: str) -> None:
    contract = nullable(yaml.safe_load(CONTRACT.read_text()))
    document = {"$ref": f"#/components/schemas/{schema}", **contract}
    jsonschema.Draft202012Validator(document).validate(answer)


def nullable(schema: Any) -> Any:
    """Return *schema* with OpenAPI 3.0's ``nullable`` expressed as JSON Schema's null type."""
    if isinstance(schema, list):
        return [nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: nullable(value) for name, value in schema.items() if name != "nullable"}
    if schema.get("nullable") and "type" in schema:
        changed["type"] = [schema["type"], "null"]
    return changed


@pytest.mark.parametrize("read", ANSWERS)
@pytest.mark.parametrize("name", [n for n, s in SCENARIOS.items() if s.in_contract])
def test_a_healthy_answer_keeps_to_the_contract(sandbox: Sandbox, name: str, read: str) -> None:
    sandbox.scenario = name
    validate(ask(sandbox, read=read).json(), ANSWERS[read])


@pytest.mark.parametrize("name", ["usual", "steady", "fractions", "yen", "moving", "void"])
def test_the_usage_of_the_month_comes_to_the_gross_of_the_invoice(
    sandbox: Sandbox, name: str
) -> None:
    sandbox.scenario = name
    found = results(sandbox)
    gross = sum(Decimal(repr(line["amount"])) for line in found["invoice-preview"]["invoice_lines"])
    assert usage(found["usage-history"]) == gross > 0
    hours = ask(sandbox, read="usage-history", value_grouping_window="hour").json()["result"]
    assert usage(hours) == gross
    assert usage(hours, since=0) == usage(found["usage-history"], since=0)


def test_earlier_invoices_and_the_balance_come_from_one_ledger(sandbox: Sandbox) -> None:
    found = results(sandbox)
    rows = found["invoice-history"]["invoices"]
    august = [row for row in rows if row["description"] == "AI Gateway usage, 2026-08"]
    bought = sum(row["amount_due"] for row in rows if "credits" in row["description"])
    invoiced = sum(row["amount_due"] for row in rows if "usage" in row["description"])
    earlier = usage(found["usage-history"], since=0) - usage(found["usage-history"])
    on_this_invoice = 1800
    assert august[0]["created"] == START
    assert bought - (earlier - invoiced) - on_this_invoice == found["credit-balance"]["balance"]


def test_a_figure_that_is_moved_moves_a_line_and_the_usage(sandbox: Sandbox) -> None:
    before = results(sandbox)
    sandbox.amount_due = 20001
    after = results(sandbox)
    lines = [found["invoice-preview"]["invoice_lines"] for found in (before, after)]
    assert [line["amount"] for line in lines[1]] == [1367, lines[0][1]["amount"] + 20001 - 18846]
    moved = usage(after["usage-history"]) - usage(before["usage-history"])
    assert moved == 20001 - 18846
    assert after["invoice-history"] == before["invoice-history"]


def test_one_read_can_fail_alone(sandbox: Sandbox) -> None:
    sandbox.faults["credit-balance"] = "http-403"
    statuses = {read: ask(sandbox, read=read).status_code for read in ANSWERS}
    assert statuses == {**dict.fromkeys(ANSWERS, 200), "credit-balance": 403}


@pytest.mark.parametrize(
    ("read", "query", "status"),
    [
        ("usage-history", {"value_grouping_window": ""}, 400),
        ("usage-history", {"value_grouping_window": "week"}, 400),
        ("usage-history", {"start_time": "yesterday"}, 400),
        ("usage-history", {"start_time": START * 1000 + 1}, 500),
        ("usage-history", {"end_time": (START + 3600) * 1000}, 500),
        ("usage-history", {"start_time": (START + 3600) * 1000, **NEEDED["usage-history"]}, 500),
        ("invoice-history", {"type": "some"}, 400),
        ("invoice-history", {"page": "abc"}, 400),
        ("invoice-history", {"per_page": "0"}, 400),
        ("invoice-preview", {"page": "abc"}, 400),
        ("invoice-preview", {"page": "1" * 5000}, 400),
    ],
)
def test_a_query_that_cannot_be_answered_is_refused_in_the_envelope(
    sandbox: Sandbox, read: str, query: dict[str, Any], status: int
) -> None:
    answer = ask(sandbox, read=read, **query)
    assert answer.status_code == status
    validate(answer.json(), "Refusal")


def test_usage_is_answered_within_its_bounds(sandbox: Sandbox) -> None:
    bounds: dict[str, Any] = {"start_time": START * 1000, "end_time": (START + 2 * 86400) * 1000}
    found = ask(sandbox, read="usage-history", **bounds).json()["result"]["history"]
    assert [entry["start_time"] // 1000 - START for entry in found] == [0, 86400]


@pytest.mark.parametrize("fault", ["http-400", "http-403", "http-404"])
def test_a_refusal_keeps_to_the_contract(sandbox: Sandbox, fault: str) -> None:
    sandbox.fault = fault
    validate(ask(sandbox).json(), "Refusal")


def test_wrong_credentials_are_refused(sandbox: Sandbox) -> None:
    assert ask(sandbox, {}).status_code == 403
    assert ask(sandbox, {"Authorization": "Bearer other"}).status_code == 403
    pair = {"X-Auth-Email": "sandbox@example.com", "X-Auth-Key": "sandbox-key"}
    assert ask(sandbox, pair).status_code == 200


def test_a_fixed_clock_makes_answers_that_never_change(sandbox: Sandbox) -> None:
    first, second = ask(sandbox), ask(sandbox)
    assert first.content == second.content
    assert first.json()["result"]["period_start"] == 1788220800
    assert first.json()["result"]["period_end"] == 1790812800
    assert first.json()["result"]["amount_due"] == 18846


def test_the_moving_figure_moves_between_calls(sandbox: Sandbox) -> None:
    sandbox.scenario = "moving"
    dues = [ask(sandbox).json()["result"]["amount_due"] for _ in range(3)]
    assert dues == [18846, 18873, 18900]


def test_the_control_path_moves_the_figure_and_clears_it(sandbox: Sandbox) -> None:
    control = sandbox.base_url.replace("/client/v4", "/sandbox")
    httpx.put(control, json={"amount_due": 20001, "scenario": "yen"}, trust_env=False)
    result = ask(sandbox).json()["result"]
    assert (result["amount_due"], result["currency"]) == (20001, "jpy")
    httpx.put(control, json={"amount_due": None}, trust_env=False)
    assert httpx.get(control, trust_env=False).json()["amount_due"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"scenario": "nope"},
        {"fault": "nope"},
        {"amount_due": "1"},
        {"x": 1},
        [],
        {"faults": "http-503"},
        {"faults": {"nope": "http-503"}},
        {"faults": {"credit-balance": "nope"}},
        {"faults": {"credit-balance": "two-currencies"}},
    ],
)
def test_the_control_path_refuses_what_it_does_not_know(sandbox: Sandbox, change: Any) -> None:
    control = sandbox.base_url.replace("/client/v4", "/sandbox")
    answer = httpx.put(control, json=change, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_refused_change_changes_nothing_and_a_null_clears(sandbox: Sandbox) -> None:
    control = sandbox.base_url.replace("/client/v4", "/sandbox")
    both = {"amount_due": 5, "scenario": "nope"}
    assert httpx.put(control, json=both, trust_env=False).status_code == 400
    assert sandbox.amount_due is None
    sandbox.scenario = "yen"
    assert httpx.put(control, json={"scenario": None}, trust_env=False).status_code == 200
    assert sandbox.scenario == "usual"


def test_the_control_path_breaks_one_read_and_mends_it(sandbox: Sandbox) -> None:
    control = sandbox.base_url.replace("/client/v4", "/sandbox")
    state = httpx.put(control, json={"faults": {"usage-history": "reset"}}, trust_env=False).json()
    assert state["faults"] == {"usage-history": "reset"}
    with pytest.raises(httpx.TransportError):
        ask(sandbox, read="usage-history")
    assert ask(sandbox).status_code == 200
    assert httpx.put(control, json={"faults": None}, trust_env=False).json()["faults"] == {}
    assert ask(sandbox, read="usage-history").status_code == 200


def test_shuffled_lines_come_in_another_order_each_time(sandbox: Sandbox) -> None:
    sandbox.shuffle = True
    orders = [
        [line["description"] for line in ask(sandbox).json()["result"]["invoice_lines"]]
        for _ in range(4)
    ]
    assert all(before != after for before, after in itertools.pairwise(orders))


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/client/v4/zones", 404, 7000),
        ("GET", "/client/v4/accounts/nope/ai-gateway/billing/invoice-preview", 400, 7003),
        ("POST", f"/client/v4/accounts/{ACCOUNT}/ai-gateway/billing/invoice-preview", 405, 10405),
    ],
)
def test_what_is_not_served_is_refused_in_the_envelope(
    sandbox: Sandbox, method: str, path: str, status: int, code: int
) -> None:
    url = sandbox.base_url.replace("/client/v4", path)
    answer = httpx.request(method, url, headers=TOKEN, trust_env=False)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["code"] == code
    assert answer.headers["cf-ray"]


def test_an_unknown_scenario_of_an_account_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="no scenario 'nope'"):
        sandbox.accounts[ACCOUNT] = "nope"


@pytest.mark.parametrize("fault", [name for name, fault in FAULTS.items() if fault.respond])
def test_a_fault_answers_every_read_whether_or_not_there_is_anything(
    sandbox: Sandbox, fault: str
) -> None:
    sandbox.fault = fault
    expected = (
        {int(fault.split("-")[1])} if fault.startswith("http-") else {200, 302, 400, 403, 404}
    )
    base = f"{sandbox.base_url}/accounts/{ACCOUNT}/ai-gateway/billing"
    with httpx.Client(headers=TOKEN, trust_env=False) as client:
        for scenario, read in itertools.product(("usual", "no-usage", "bare", "pages"), ANSWERS):
            sandbox.scenario = scenario
            with client.stream("GET", f"{base}/{read}", params=NEEDED.get(read)) as answer:
                assert answer.status_code in (expected if FAULTS[fault].concerns(read) else {200})


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no scenario 'nope'; there are: usual, "):
        Sandbox("nope")


def test_the_command_prints_two_exports_and_stops_at_a_signal() -> None:
    with subprocess.Popen(
        [*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert lines[0].startswith("export CLOUDFLARE_BASE_URL=http://127.0.0.1:")
        assert lines[1] == "export CLOUDFLARE_API_TOKEN=sandbox-token\n"
        base_url = lines[0].split("=")[1].strip()
        account = f"{base_url}/accounts/{ACCOUNT}/ai-gateway/billing/invoice-preview"
        assert httpx.get(account, headers=TOKEN, trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert output == ""
    assert "Traceback" not in errors


def test_a_port_in_use_is_one_line(sandbox: Sandbox) -> None:
    port = sandbox.base_url.split(":")[2].split("/")[0]
    done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"cannot listen on port {port}: Address already in use\n"


def test_a_port_that_is_none_is_one_line() -> None:
    done = subprocess.run(
        [*COMMAND, "--port", "70000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "70000 is not a port: 0 to 65535" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_names_every_scenario() -> None:
    done = subprocess.run([*COMMAND, "--list"], capture_output=True, text=True, check=True)
    assert all(f"  {name} " in done.stdout for name in SCENARIOS)


@pytest.mark.parametrize(
    "fault", [None, "reset", "endless-headers", "trickle", "slow", "oversized-body"]
)
def test_a_sandbox_stops_at_once_in_silence_and_leaves_no_thread(
    fault: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    before = set(threading.enumerate())
    with Sandbox(fault=fault) as sandbox:
        address = ("127.0.0.1", int(sandbox.base_url.split(":")[2].split("/")[0]))
        with socket.create_connection(address) as client:
            client.sendall(b"GET /client/v4/accounts/x/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert set(threading.enumerate()) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_missing_extra_is_one_line_that_says_what_to_install(missing: str) -> None:
    program = f"import sys, runpy; sys.modules[{missing!r}] = None; sys.argv = ['sandbox']; "
    program += "runpy.run_module('pulumi_cf_invoice.sandbox', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    install = "install pulumi-cf-invoice with its extra 'sandbox', from where you have the package"
    assert done.stderr == f"the sandbox needs {missing}: {install}\n"
