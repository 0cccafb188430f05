import itertools
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS, Sandbox
from tests.factories import ACCOUNT

CONTRACT = Path(__file__).parents[1] / "contract" / "billing.openapi.yaml"
TOKEN = {"Authorization": "Bearer sandbox-token"}
COMMAND = [sys.executable, "-m", "pulumi_cf_invoice.sandbox"]


def ask(sandbox: Sandbox, headers: dict[str, str] = TOKEN) -> httpx.Response:
    url = f"{sandbox.base_url}/accounts/{ACCOUNT}/ai-gateway/billing/invoice-preview"
    return httpx.get(url, headers=headers, trust_env=False)


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


@pytest.mark.parametrize("name", [n for n, s in SCENARIOS.items() if s.in_contract])
def test_a_healthy_answer_keeps_to_the_contract(sandbox: Sandbox, name: str) -> None:
    sandbox.scenario = name
    validate(ask(sandbox).json(), "InvoicePreviewAnswer")


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
    "change", [{"scenario": "nope"}, {"fault": "nope"}, {"amount_due": "1"}, {"x": 1}, []]
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
def test_a_fault_answers_in_every_scenario(sandbox: Sandbox, fault: str) -> None:
    sandbox.fault = fault
    url = f"{sandbox.base_url}/accounts/{ACCOUNT}/ai-gateway/billing/invoice-preview"
    expected = (
        {int(fault.split("-")[1])} if fault.startswith("http-") else {200, 302, 400, 403, 404}
    )
    for scenario in SCENARIOS:
        sandbox.scenario = scenario
        with httpx.stream("GET", url, headers=TOKEN, trust_env=False) as answer:
            assert answer.status_code in expected


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
