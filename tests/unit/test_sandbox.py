import itertools
import json
import socket
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from pulumi_cf_invoice.sandbox import FAULTS, SCENARIOS, Sandbox, limits
from tests.command import run
from tests.conftest import serving
from tests.factories import ACCOUNT, NOW, START

CONTRACT = Path(__file__).parents[1] / "contract" / "billing.openapi.yaml"
TOKEN = {"Authorization": "Bearer sandbox-token"}
HTTP = httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
"""One for all, since a client reads every certificate of the machine."""
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
    return HTTP.get(url, params=query, headers=headers)


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
    validator(schema).validate(answer)


@cache
def validator(schema: str) -> jsonschema.Draft202012Validator:
    contract = nullable(yaml.safe_load(CONTRACT.read_text()))
    document = {"$ref": f"#/components/schemas/{schema}", **contract}
    return jsonschema.Draft202012Validator(document)


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
    for read, schema in ANSWERS.items():
        validate(ask(sandbox, read=read).json(), schema)


def gross(found: Any) -> Decimal:
    """Return the sum of the lines of the invoice among the results of all reads."""
    lines = found["invoice-preview"]["invoice_lines"]
    return sum((Decimal(repr(line["amount"])) for line in lines), Decimal(0))


BEHIND = [
    *("history-a-day-behind", "history-two-days-behind"),
    *("invoice-a-day-behind", "invoice-two-days-behind"),
]
NULLS = ("nulls-for-lists", "unexplained")
APART = (*BEHIND, *NULLS, "workers-ai", "usage-in-dollars", "included-usage")


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in APART])
def test_the_usage_of_the_month_comes_to_the_gross_of_the_invoice(name: str) -> None:
    account = SCENARIOS[name].at(NOW)
    found = {read: account.result(read, NEEDED.get(read)) for read in ANSWERS}
    hours = account.result("usage-history", {"value_grouping_window": "hour"})
    assert usage(found["usage-history"]) == usage(hours) == gross(found)
    assert usage(hours, since=0) == usage(found["usage-history"], since=0)


@pytest.mark.parametrize(("name", "per_unit"), [("usage-in-dollars", 100), ("included-usage", 0)])
def test_usage_can_be_counted_in_dollars_and_cost_nothing(
    sandbox: Sandbox, name: str, per_unit: int
) -> None:
    sandbox.scenario = name
    found = results(sandbox)
    assert gross(found) == usage(found["usage-history"]) * per_unit
    assert usage(found["usage-history"]) > 0


@pytest.mark.parametrize("name", BEHIND)
def test_one_of_invoice_and_history_can_be_behind_the_other(sandbox: Sandbox, name: str) -> None:
    sandbox.scenario = name
    found = results(sandbox)
    ratio = gross(found) / usage(found["usage-history"])
    assert 1 < (ratio if name.startswith("history") else 1 / ratio) < Decimal("1.3")


def test_the_history_does_not_have_the_usage_of_workers_ai(sandbox: Sandbox) -> None:
    sandbox.scenario = "workers-ai"
    found = results(sandbox)
    [workers_ai] = [
        line["amount"]
        for line in found["invoice-preview"]["invoice_lines"]
        if line["description"].startswith("@cf/")
    ]
    assert gross(found) - usage(found["usage-history"]) == workers_ai > 0


def days_of(name: str) -> list[float]:
    """Return the usage of the days before today in September, by the clock of the tests."""
    query = {"value_grouping_window": "day", "start_time": str(START * 1000)}
    history = SCENARIOS[name].at(NOW).result("usage-history", query)["history"]
    values = {entry["start_time"] // 1000: entry["aggregated_value"] for entry in history}
    return [values.get(START + day * 86400, 0) for day in range(14)]


def test_usage_grows_leaps_and_rests() -> None:
    growing, launch, quiet = map(days_of, ("growing", "launch", "quiet-weekend"))
    # The first day is a Tuesday.
    assert sum(growing[7:]) > sum(growing[:7])
    assert min(launch[8:11]) > 2 * max(launch[:8])
    assert [day for day, value in enumerate(quiet) if value == 0] == [4, 5, 11, 12]


@pytest.mark.parametrize(
    ("name", "balance", "has_paid", "expected"),
    [
        ("fractions", 640.19, True, None),
        ("negative-balance", -1275, True, None),
        ("never-paid", 0, False, None),
        ("top-up-failed", 420, True, "insufficient funds"),
        ("top-up-disabled", 420, True, "declined"),
        ("topped-up", 3100, True, None),
    ],
)
def test_a_balance_can_be_anything(
    sandbox: Sandbox, name: str, balance: float, has_paid: bool, expected: str | None
) -> None:
    sandbox.scenario = name
    found = ask(sandbox, read="credit-balance").json()["result"]
    assert (found["balance"], found["first_topup_success"]) == (balance, has_paid)
    error = found["topup_config"]["error"]
    assert error is None if expected is None else expected in error


def test_what_is_topped_up_automatically_is_among_the_invoices(sandbox: Sandbox) -> None:
    sandbox.scenario = "topped-up"
    rows = results(sandbox)["invoice-history"]["invoices"]
    bought = [row["amount_due"] for row in rows if row["description"] == "AI Gateway credits"]
    assert bought == [2500] * 7


def test_some_invoices_are_not_paid(sandbox: Sandbox) -> None:
    sandbox.scenario = "unpaid"
    rows = results(sandbox)["invoice-history"]["invoices"]
    unpaid = [(row["status"], row["description"]) for row in rows if row["amount_remaining"]]
    assert unpaid == [
        ("open", "AI Gateway usage, 2026-08"),
        ("uncollectible", "AI Gateway usage, 2026-05"),
    ]


@pytest.mark.parametrize("at", ["2026-12-01T00:00:00+00:00", "2027-01-01T00:30:00+00:00"])
def test_every_scenario_answers_at_the_start_of_a_month(at: str) -> None:
    for scenario in SCENARIOS.values():
        account = scenario.at(datetime.fromisoformat(at))
        for read in ANSWERS:
            assert json.dumps(account.result(read, NEEDED.get(read)))


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
    # The price is the same, so it is the quantity that has made the amount.
    for line in (lines[0][1], lines[1][1]):
        assert Decimal(line["pricing"]["unit_amount_decimal"]) * line["quantity"] == line["amount"]
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
    HTTP.put(control, json={"amount_due": 20001, "scenario": "yen"})
    result = ask(sandbox).json()["result"]
    assert (result["amount_due"], result["currency"]) == (20001, "jpy")
    HTTP.put(control, json={"amount_due": None})
    assert HTTP.get(control).json()["amount_due"] is None


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
        {"scenario": []},
        {"scenario": {"x": "y" * 9999}},
        {"fault": 1},
        {"faults": {"credit-balance": ["http-503"]}},
        {"amount_due": 2**53},
        {"amount_due": True},
        7,
    ],
)
def test_the_control_path_refuses_what_it_does_not_know(sandbox: Sandbox, change: Any) -> None:
    control = sandbox.base_url.replace("/client/v4", "/sandbox")
    answer = HTTP.put(control, json=change)
    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[" * 60_000, b'{"amount_due": ' + b"1" * 9000 + b"}", b" " * 10**6],
)
def test_a_change_that_is_not_json_is_refused_in_one_line(sandbox: Sandbox, body: bytes) -> None:
    control = sandbox.base_url.replace("/client/v4", "/sandbox")
    answer = HTTP.put(control, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].isprintable()


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "x" * 9000, "user:secret@[", "\xe9"])
@pytest.mark.parametrize("fault", [None, "redirect-elsewhere", "redirect-loop", "http-403"])
def test_no_host_breaks_an_answer(sandbox: Sandbox, host: str, fault: str | None) -> None:
    sandbox.fault = fault
    for account in (ACCOUNT, "nope"):
        request = httpx.Request(
            "GET", f"{sandbox.base_url}/accounts/{account}/ai-gateway/billing/credit-balance"
        )
        request.headers["host"] = host
        assert HTTP.send(request).status_code in (302, 400, 403)


def test_another_method_is_told_what_is_allowed(sandbox: Sandbox) -> None:
    url = f"{sandbox.base_url}/accounts/{ACCOUNT}/ai-gateway/billing/invoice-preview"
    answer = HTTP.post(url, headers=TOKEN)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    validate(answer.json(), "Refusal")


@pytest.mark.parametrize("read", ANSWERS)
@pytest.mark.parametrize("page", ["abc", "0", "-1", "1.5", "1e99", "", "NaN"])
def test_a_page_that_is_no_number_is_refused(sandbox: Sandbox, read: str, page: str) -> None:
    assert ask(sandbox, read=read, page=page).status_code == 400


def test_a_whole_number_may_be_written_as_any_number(sandbox: Sandbox) -> None:
    """Cloudflare's SDK sends the floats that its types say."""
    plain = ask(sandbox, read="usage-history", start_time="1788220800000").json()
    for text in ("1788220800000.0", "1.7882208e12", "17882208E+5", "1788220800000.000"):
        assert ask(sandbox, read="usage-history", start_time=text).json() == plain
    assert ask(sandbox, read="usage-history", start_time="1788220800000.5").status_code == 500
    assert ask(sandbox, read="usage-history", start_time="1e400").status_code == 400


def test_many_accounts_have_figures_of_their_own_that_stay(sandbox: Sandbox) -> None:
    with Sandbox(now=NOW, number_of_accounts=60) as many, Sandbox(number_of_accounts=60) as again:
        assert many.directory.ids == again.directory.ids
        assert len(set(many.directory.ids)) == 60
        dues = [many.answer(account)["result"]["amount_due"] for account in many.directory.ids]
        for account in many.directory.ids[:20]:
            answers = {
                read: many.answer(account, read, NEEDED.get(read))["result"] for read in ANSWERS
            }
            assert usage(answers["usage-history"]) == gross(answers)
    assert len(set(dues)) > 40


def test_the_list_of_accounts_comes_in_pages() -> None:
    with Sandbox(number_of_accounts=120) as many:
        url = f"{many.base_url}/accounts"
        query = {"per_page": "50", "page": "3"}
        answer = HTTP.get(url, params=query, headers=TOKEN).json()
        assert [account["id"] for account in answer["result"]] == many.directory.ids[100:]
        assert answer["result_info"] == {
            "page": 3,
            "per_page": 50,
            "count": 20,
            "total_count": 120,
            "total_pages": 3,
        }
        assert HTTP.get(url).status_code == 403


def test_a_rate_limit_refuses_the_rest_of_its_window_and_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A sum of this and an hour, less this, is more than an hour.
    monkeypatch.setattr(limits, "monotonic", lambda: 4918.5447591278635)
    with Sandbox(rate_limit="3/1h") as limited:
        answers = [ask(limited) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit"] for answer in answers[:2]] == [
            '"default";r=2;t=3600',
            '"default";r=1;t=3600',
        ]
        assert answers[3].headers["ratelimit-policy"] == '"default";q=3;w=3600'
        assert answers[3].headers["retry-after"] == "3600"
        assert limited.refusals == 1
        assert ask(limited, {"Authorization": "Bearer other"}).status_code == 403


@pytest.mark.parametrize("limit", ["", "100", "0/3s", "100/3", "100/0s", "-1/3s", "100/3d"])
def test_a_rate_limit_that_is_none_is_refused(limit: str) -> None:
    with pytest.raises(ValueError, match="is not a rate limit"):
        Sandbox(rate_limit=limit)


def test_a_name_that_no_answer_can_carry_is_refused_and_only_put_changes_anything(
    sandbox: Sandbox,
) -> None:
    control = sandbox.base_url.replace("/client/v4", "/sandbox")
    refused = HTTP.put(control, content=b'{"\\ud800": 1}')
    assert (refused.status_code, refused.json()["error"]) == (400, "unknown:")
    asked = HTTP.request("HEAD", control, content=b'{"scenario": "no-usage"}')
    assert (asked.status_code, sandbox.scenario) == (200, "usual")


def test_a_refused_change_changes_nothing_and_a_null_clears(sandbox: Sandbox) -> None:
    control = sandbox.base_url.replace("/client/v4", "/sandbox")
    both = {"amount_due": 5, "scenario": "nope"}
    assert HTTP.put(control, json=both).status_code == 400
    assert sandbox.amount_due is None
    sandbox.scenario = "yen"
    assert HTTP.put(control, json={"scenario": None}).status_code == 200
    assert sandbox.scenario == "usual"


def test_the_control_path_breaks_one_read_and_mends_it(sandbox: Sandbox) -> None:
    control = sandbox.base_url.replace("/client/v4", "/sandbox")
    state = HTTP.put(control, json={"faults": {"usage-history": "reset"}}).json()
    assert state["faults"] == {"usage-history": "reset"}
    with pytest.raises(httpx.TransportError):
        ask(sandbox, read="usage-history")
    assert ask(sandbox).status_code == 200
    assert HTTP.put(control, json={"faults": None}).json()["faults"] == {}
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
    answer = HTTP.request(method, url, headers=TOKEN)
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
    for scenario, read in itertools.product(
        ("usual", "no-usage", "without-required-fields", "pages"), ANSWERS
    ):
        sandbox.scenario = scenario
        query = NEEDED.get(read)
        with HTTP.stream("GET", f"{base}/{read}", params=query, headers=TOKEN) as answer:
            assert answer.status_code in (expected if FAULTS[fault].concerns(read) else {200})


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no scenario 'nope'; there are: usual, "):
        Sandbox("nope")


def test_a_port_in_use_is_one_line(sandbox: Sandbox) -> None:
    port = sandbox.base_url.split(":")[2].split("/")[0]
    done = run("sandbox", "--port", port)
    assert done.returncode == 2
    assert done.stderr == (
        f"cannot listen on port {port}: Address already in use. "
        "Give another --port, or 0 for any free one.\n"
    )


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--port", "70000", "70000 is not a port: 0 to 65535"),
        ("--port", "abc", "abc is not a port"),
        ("--port", "-1", "-1 is not a port"),
        ("--accounts", "²", "² is not a number of accounts: 1 to 100,000"),
        ("--accounts", "00000019999999", "00000019999999 is not a number of accounts"),
        ("--latency", "²", "² is not a number of milliseconds: 0 to 60,000"),
        ("--now", "9999-12-15T00:00:00Z", "is not in the years 1971 to 9998"),
        ("--now", "0001-01-01T00:00:00Z", "is not in the years 1971 to 9998"),
    ],
)
def test_a_number_or_time_that_cannot_be_is_one_line(
    option: str, value: str, expected: str
) -> None:
    done = run("sandbox", f"{option}={value}", "--list")
    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("year", [1971, 9998])
def test_a_clock_at_either_end_answers_every_read(year: int) -> None:
    for month in (1, 12):
        with serving(Sandbox(now=datetime(year, month, 15, tzinfo=UTC))) as sandbox:
            for read in ANSWERS:
                assert ask(sandbox, read=read).status_code == 200


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_figure_of_any_scenario_can_be_moved(sandbox: Sandbox, scenario: str) -> None:
    sandbox.scenario, sandbox.amount_due = scenario, 1
    for read in ANSWERS:
        assert ask(sandbox, read=read).status_code == 200


def test_the_list_names_every_scenario() -> None:
    done = run("sandbox", "--list")
    assert done.returncode == 0
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
    assert set(threading.enumerate()) <= before
    assert capfd.readouterr() == ("", "")
