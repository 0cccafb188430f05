"""Credits, usage and earlier invoices in Python programs, by the functions and by the plugin."""

import re
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_cf_invoice_sdk as sdk
import pytest

import pulumi_cf_invoice
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    GATEWAYS,
    INVOICE_HISTORY,
    USAGE_HISTORY,
    Read,
)
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.conftest import MakeCommandLine, MakeStack
from tests.engine.languages.harness import EXAMPLES, ROOT
from tests.engine.resources import Echo
from tests.factories import ACCOUNT

WEEK = {"since": "2026-05-04", "until": "2026-05-11T00:00:00Z"}
QUERY = {
    "value_grouping_window": "day",
    "start_time": "1777852800000",
    "end_time": "1778457600000",
}
# A form is the functions of the package, or of the SDK that is generated from the plugin's schema.
FORMS = pytest.mark.parametrize("functions", [pulumi_cf_invoice, sdk], ids=["functions", "plugin"])


def expected(sandbox: Sandbox) -> dict[str, Any]:
    """Return what a program that reads the rest of the bill exports."""

    def answer(read: Read[Any], query: dict[str, str] | None = None) -> Any:
        result = sandbox.answer(ACCOUNT, read.name, query)["result"]
        return read.model.from_api(result, Answered(query=query or {}))

    credits, usage = answer(CREDIT_BALANCE), answer(USAGE_HISTORY, QUERY)
    return {
        "balance": credits.balance,
        "topup": credits.topup_is_on,
        "usage": usage.total,
        "days": 7,
        "latest": answer(INVOICE_HISTORY).invoices[0].amount_due,
        "gateways": [gateway.gateway_id for gateway in answer(GATEWAYS).gateways],
    }


def bill(functions: Any) -> Callable[[], None]:
    def program() -> None:
        credits = functions.get_credit_balance()
        usage = functions.get_usage_history_output(**WEEK)
        history = functions.get_invoice_history(type="all")
        pulumi.export("balance", credits.balance)
        pulumi.export("topup", credits.topup_is_on)
        pulumi.export("usage", usage.total)
        pulumi.export("days", usage.entries.apply(len))
        pulumi.export("latest", history.invoices[0].amount_due)
        gateways = functions.get_gateways_output().gateways
        pulumi.export(
            "gateways", gateways.apply(lambda all: [gateway.gateway_id for gateway in all])
        )
        # Again, in the other form: what was read is not asked for once more.
        pulumi.export("again", functions.get_credit_balance_output().balance)

    return program


@FORMS
def test_a_program_has_the_rest_of_the_bill_at_preview_and_update(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, functions: Any
) -> None:
    sandbox.scenario = "topped-up"
    stack = make_stack(bill(functions), **settled)
    preview = stack.preview()
    assert preview.ok, preview.text
    figures = expected(sandbox)
    assert re.search(rf"balance *: {figures['balance']}\b", preview.text)
    assert len(sandbox.requests) == 4
    up = stack.up()
    assert up.ok, up.text
    assert up.outputs == {**figures, "again": figures["balance"]}
    assert len(sandbox.requests) == 8


@FORMS
def test_a_limit_comes_from_the_credits_that_are_left(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, functions: Any
) -> None:
    def program() -> None:
        credits = functions.get_credit_balance_output()
        Echo("gateway", credits.apply(lambda credit: str(int(credit.balance) // 100)))

    sandbox.scenario = "topped-up"
    preview = make_stack(program, **settled).preview()
    assert preview.ok, preview.text
    assert preview.new("gateway")["given"] == str(int(expected(sandbox)["balance"]) // 100)


@FORMS
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"window": "week"}, "window is 'week', but must be 'day' or 'hour'"),
        ({"since": "yesterday"}, "since is 'yesterday', which is not ISO 8601"),
        ({"since": "2026-05-05", "until": "2026-05-04"}, "there is no usage to request"),
    ],
)
def test_an_argument_that_cannot_work_is_one_line(
    make_stack: MakeStack,
    settled: dict[str, str],
    functions: Any,
    arguments: dict[str, str],
    expected: str,
) -> None:
    preview = make_stack(lambda: functions.get_usage_history(**arguments), **settled).preview()
    assert not preview.ok
    assert expected in preview.text


@FORMS
def test_a_refused_read_is_one_line_that_names_it(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, functions: Any
) -> None:
    sandbox.fault = "http-403"
    preview = make_stack(lambda: functions.get_credit_balance(), **settled).preview()
    assert not preview.ok
    assert f"cannot read the credit balance of account {ACCOUNT}: Cloudflare said" in preview.text


@FORMS
def test_a_program_has_a_forecast(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, functions: Any
) -> None:
    def program() -> None:
        forecast = functions.get_forecast(fixed_lines=["nothing/*"])
        pulumi.export("text", forecast.text)
        pulumi.export("runway", forecast.runway.text)
        pulumi.export("again", functions.get_forecast_output().text)
        pulumi.export("notes", forecast.notes)

    sandbox.scenario = "usual"
    up = make_stack(program, **settled).preview()
    assert up.ok, up.text
    # An invoice, its usage and the balance, however often a forecast is made from them.
    assert len(sandbox.requests) == 3
    # The sandbox's period is over by now, whatever now is.
    assert 'text  : "$188.46 for September, which has ended"' in up.text
    assert 'No line of the invoice matches \\"nothing/*\\"' in up.text


def test_a_yaml_program_has_the_rest_of_the_bill(
    make_command_line: MakeCommandLine, sandbox: Sandbox
) -> None:
    sandbox.scenario = "topped-up"
    project = make_command_line(EXAMPLES / "yaml" / "quickstart")
    calls = {
        "credits": "getCreditBalance: {}",
        "usage": 'getUsageHistory: {since: "2026-05-04", until: "2026-05-11T00:00:00Z"}',
        "history": "getInvoiceHistory: {type: all}",
        "listed": "getGateways: {}",
    }
    variables = "".join(
        f"  {name}:\n    fn::invoke:\n      function: cf-invoice:{call.partition(': ')[0]}\n"
        f"      arguments: {call.partition(': ')[2]}\n"
        for name, call in calls.items()
    )
    (project.directory / "Pulumi.yaml").write_text(
        f"name: quickstart-yaml\nruntime: yaml\npackages:\n  cf-invoice: {ROOT}\n"
        f"variables:\n{variables}"
        "outputs:\n  balance: ${credits.balance}\n  usage: ${usage.total}\n"
        "  latest: ${history.invoices[0].amountDue}\n"
        "  gateway: ${listed.gateways[0].gatewayId}\n"
    )
    assert project.shell("pulumi preview"), project.printed
    figures = expected(sandbox)
    assert figures["usage"] > 0
    for name in ("balance", "usage", "latest"):
        assert re.search(rf"{name} *: {figures[name]}\b", project.printed)
    assert re.search(rf'gateway *: "{figures["gateways"][0]}"', project.printed)
