"""Behaviour specific to the dynamic resource and the Python functions."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest

from pulumi_cf_invoice import (
    ApiError,
    Credentials,
    Invoice,
    InvoiceHistory,
    InvoicePreview,
    get_credit_balance,
    get_credit_balance_output,
    get_gateways_output,
    get_invoice_history_output,
    get_invoice_preview,
    get_invoice_preview_output,
    get_usage_history_output,
)
from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.sandbox import Sandbox
from pulumi_cf_invoice.state import DYNAMIC_TYPE
from tests.conftest import pointed_at
from tests.engine.conftest import MakeCommandLine, MakeStack
from tests.engine.forms import FORMS
from tests.engine.resources import Echo
from tests.engine.test_stack_outputs import stack_output_json
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, TOKEN


def test_the_config_of_pulumi_cloudflare_is_enough(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    stack = make_stack(lambda: InvoicePreview("upcoming"), **settled)
    stack.set("cloudflare:apiToken", TOKEN, secret=True)
    for run in (stack.up(), stack.refresh()):
        assert run.ok, run.text
        assert TOKEN not in run.everything


def test_refresh_keeps_the_figures_where_credentials_are_the_programs(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    credentials = {"api_token": TOKEN}
    stack = make_stack(
        lambda: InvoicePreview("upcoming", credentials=Credentials(**credentials)), **settled
    )
    stack.up()
    sandbox.amount_due = 20001
    run = stack.refresh()
    assert run.ok, run.text
    assert "was not refreshed and keeps its stored figures" in run.text
    assert stack.resource("upcoming")["outputs"]["amount_due"] == 18846


def test_get_is_read_by_the_program_and_by_no_refresh(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    stack = make_stack(lambda: InvoicePreview.get("read", ACCOUNT), **settled)
    assert stack.up().ok
    assert stack.refresh().ok
    assert len(sandbox.requests) == 1


@pytest.mark.usefixtures("cloudflare_plugin")
def test_credentials_of_the_program_are_in_no_state_and_no_output_even_if_all_is_exported(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    from pulumi_cf_invoice.budgeted_gateway import BudgetedGateway

    def program() -> None:
        token = pulumi.Output.secret(TOKEN)
        argument = InvoicePreview("argument", credentials=Credentials(api_token=TOKEN))
        pair = Credentials(email="sandbox@example.com", api_key="sandbox-key")
        read = InvoicePreview.get("read", ACCOUNT, Credentials(api_token=token))
        pulumi.export("resource", argument)
        pulumi.export("dictionary", {"of": [InvoicePreview("pair", credentials=pair), read]})
        pulumi.export("attributes", dict(vars(InvoicePreview("secret", None, Credentials(token)))))
        pulumi.export("output", pulumi.Output.from_input(TOKEN).apply(wrapped))
        gateway = BudgetedGateway("gateway", "200 USD", credentials=Credentials(api_token=token))
        pulumi.export("component", gateway)
        pulumi.export("credentials", pair)
        get_invoice_preview(credentials=Credentials(api_token=TOKEN))

    def wrapped(token: str) -> InvoicePreview:
        return InvoicePreview("inside", credentials=Credentials(api_token=token))

    stack = make_stack(program, **settled)
    run = stack.up(debug=True)
    assert run.ok, run.text
    outputs = json.loads(stack_output_json(stack, "--show-secrets"))
    found = [outputs["resource"], *outputs["dictionary"]["of"], outputs["attributes"]]
    found += [outputs["output"], outputs["component"]["invoice"]]
    assert [exported["amount_due"] for exported in found] == [18846] * 6
    assert outputs["credentials"] == {}
    for shown in (run.everything, json.dumps(outputs), json.dumps(stack.state())):
        for part in (TOKEN, "sandbox@example.com", "sandbox-key"):
            assert part not in shown


def test_credentials_that_become_unknown_show_figures_to_come_and_no_replacement(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    # Not one that was deployed before, from another address: nothing is compared with that.
    stack = make_stack(lambda: FORMS["dynamic"].resource("upcoming"), **settled)
    assert stack.up().ok

    def unknown_credentials() -> None:
        token = Echo("token", TOKEN)
        InvoicePreview("upcoming", credentials=Credentials(api_token=token.value))

    stack.use(unknown_credentials)
    preview = stack.preview(diff=True)
    assert preview.ok, preview.text
    assert ("update", "upcoming") in preview.steps
    assert re.search(r"~ amount_due *: 18846 => \[unknown\]", preview.text)
    sandbox.amount_due = 20001
    assert stack.up().ok
    outputs = stack.resource("upcoming")["outputs"]
    assert (outputs["amount_due"], outputs["last_update"]["amount_due"]) == (20001, 18846)


class Company(InvoicePreview):
    """A subclass of the kind that a platform team would write."""

    def __init__(self, name: str) -> None:
        super().__init__(name, ACCOUNT)


def test_a_subclass_keeps_the_type_and_its_outputs(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        company, read = Company("upcoming"), Company.get("read", ACCOUNT)
        pulumi.export("due", company.invoice.amount_due_text)
        pulumi.export("line", company.invoice_lines[1].pricing.unit_amount_decimal)
        pulumi.export("read", read.amount_due)
        pulumi.export("line-read", read.invoice_lines[1].pricing.unit_amount_decimal)

    stack = make_stack(program, **settled)
    run = stack.up()
    lines = dict.fromkeys(["line", "line-read"], "0.000125")
    assert run.outputs == {"due": "$188.46", "read": 18846, **lines}, run.text
    for name in ("upcoming", "read"):
        assert stack.resource(name)["type"] == DYNAMIC_TYPE


def test_where_the_figures_came_from_is_stored_and_makes_a_diff(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    def program() -> None:
        pulumi.export("managed", InvoicePreview("managed").base_url)
        pulumi.export("read", InvoicePreview.get("read", ACCOUNT).base_url)

    stack = make_stack(program, **settled)
    assert stack.up().outputs == dict.fromkeys(["managed", "read"], sandbox.base_url)
    stack.environment["CLOUDFLARE_BASE_URL"] = sandbox.base_url.replace("127.0.0.1", "localhost")
    assert ("update", "managed") in stack.preview().steps


def test_get_waits_for_depends_on(make_stack: MakeStack, settled: dict[str, str]) -> None:
    def program() -> None:
        opts = pulumi.ResourceOptions(depends_on=[Echo("first", "x")])
        read = InvoicePreview.get("read", ACCOUNT, opts=opts)
        pulumi.export("due", read.amount_due)

    stack = make_stack(program, **settled)
    preview = stack.preview()
    assert preview.ok, preview.text
    assert "due: [unknown]" in preview.text
    assert stack.up().outputs == {"due": 18846}


PROGRAM = """
import sys

import pulumi

from pulumi_cf_invoice import Credentials, InvoicePreview

upcoming = InvoicePreview("upcoming", credentials=Credentials(api_token="sandbox-token"))
names = {"httpx", "pydantic", "tenacity", "babel", "pulumi_cf_invoice.testing"}
pulumi.export("imported", upcoming.amount_due.apply(lambda due: [due, *names & {*sys.modules}]))
"""


def test_a_program_that_declares_a_resource_imports_neither_client_nor_models(
    make_command_line: MakeCommandLine, tmp_path: Path
) -> None:
    """Even using an output needs neither, because the provider's process does the work."""
    project = tmp_path / "imports"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: imports\nruntime: python\n")
    (project / "__main__.py").write_text(PROGRAM)
    made = make_command_line(project)
    assert made.shell("pulumi up --yes --skip-preview"), made.printed
    made.printed = ""
    assert made.shell("pulumi stack output imported --json")
    assert json.loads(made.printed) == [18846]


def test_a_program_catches_an_error_of_the_core(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    sandbox.fault = "http-403"

    def program() -> None:
        try:
            get_invoice_preview()
        except ApiError as error:
            pulumi.export("status", error.status)

    assert make_stack(program, **settled).up().outputs == {"status": 403}


def test_an_error_of_an_output_is_one_line_too(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    sandbox.fault = "http-403"
    run = make_stack(
        lambda: pulumi.export("due", get_invoice_preview_output().amount_due), **settled
    ).preview()
    assert not run.ok
    assert "HTTP 403, code 10000: Authentication error" in run.text
    if "unhandled error" not in run.text:
        assert "Traceback" not in run.text


def test_exporting_the_model_gives_its_fields(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        pulumi.export("resource", InvoicePreview("upcoming").invoice)
        pulumi.export("function", get_invoice_preview())

    outputs = make_stack(program, **settled).up().outputs
    assert outputs["resource"] == outputs["function"]
    assert outputs["function"]["amount_due"] == 18846
    assert outputs["function"]["invoice_lines"][0]["description"] == "anthropic/claude-haiku"


def test_the_invoice_becomes_json_inside_of_a_program(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        upcoming = InvoicePreview("upcoming")
        text = pulumi.Output.json_dumps(upcoming.invoice.apply(Invoice.to_outputs))
        # A text that is JSON is shown as what it holds.
        pulumi.export("json", text.apply(lambda written: f"invoice={written}"))
        pulumi.export("model", upcoming.invoice.apply(Invoice.to_outputs))

    outputs = make_stack(program, **settled).up().outputs
    assert json.loads(outputs["json"].removeprefix("invoice=")) == outputs["model"]
    assert outputs["model"]["amount_due"] == 18846


def test_an_update_that_leaves_a_new_invoice_out_says_so_where_its_figures_are_used(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        pulumi.export("due", InvoicePreview("upcoming").invoice.amount_due_text)

    run = make_stack(program, **settled).up(exclude=["**InvoicePreview**"])
    assert not run.ok
    assert (
        "the InvoicePreview has no figures: it was never deployed, and neither a refresh nor an "
        "update that leaves it out (--target, --exclude) reads it"
    ) in run.text
    assert "amount_due: missing" not in run.text
    assert "Traceback" not in run.text


@pytest.mark.usefixtures("cloudflare_plugin")
def test_an_update_that_leaves_a_new_budgeted_gateway_out_passes_and_makes_none_without_limits(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    from pulumi_cf_invoice.budgeted_gateway import BudgetedGateway

    def program() -> None:
        Echo("other", "x")
        budgeted = BudgetedGateway("assistant", "200 USD")
        pulumi.export("requests_per_minute", budgeted.requests_per_minute)
        pulumi.export("dollars_per_day", budgeted.dollars_per_day)

    stack = make_stack(program, **settled)
    run = stack.up(target=["**::other"])
    assert run.ok, run.text
    assert ("create", "other") in run.steps
    # Its limits cannot be known without the invoice, and the provider refuses it.
    run = stack.up(exclude=["**InvoicePreview**"])
    assert not run.ok
    assert "rateLimitingLimit" in run.text
    assert "Traceback" not in run.text
    assert not any(stored["type"].endswith("AiGateway") for stored in stack.stored())
    assert stack.up().outputs == {"requests_per_minute": 100, "dollars_per_day": 5}


def test_a_program_asks_for_each_read_and_query_once_and_side_by_side(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    """The sandbox answers none of the reads before all of them are requested."""
    sandbox.together = frozenset(read.name for read in READS)

    def program() -> None:
        for time in ("first", "second"):
            pulumi.export(f"{time}_due", get_invoice_preview_output().amount_due)
            pulumi.export(f"{time}_balance", get_credit_balance_output().balance)
            pulumi.export(f"{time}_window", get_usage_history_output(window="hour").window)
            pulumi.export(f"{time}_rows", get_invoice_history_output().apply(rows_of))
            pulumi.export(f"{time}_gateways", get_gateways_output().text)

    def rows_of(history: InvoiceHistory) -> int:
        return len(history.invoices)

    run = make_stack(program, **settled).preview()
    assert run.ok, run.text
    assert sorted(asked.read for asked in sandbox.asked) == sorted(read.name for read in READS)


def test_a_read_that_is_refused_is_one_line_and_the_others_are_there(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    sandbox.faults["credit-balance"] = "http-403"

    def program() -> None:
        pulumi.export("due", get_invoice_preview().amount_due)
        try:
            get_credit_balance()
        except ApiError as error:
            pulumi.export("said", str(error))

    outputs = make_stack(program, **settled).up().outputs
    assert outputs["due"] == 18846
    assert outputs["said"].startswith(f"cannot read the credit balance of account {ACCOUNT}: ")


@pytest.mark.parametrize("form", ["get", "function"])
def test_a_secret_account_makes_no_figure_secret(
    make_stack: MakeStack, settled: dict[str, str], form: str
) -> None:
    def program() -> None:
        account = pulumi.Output.secret(OTHER_ACCOUNT)
        if form == "get":
            read = InvoicePreview.get("read", account)
            pulumi.export("account", read.account_id)
            pulumi.export("due", read.amount_due)
            pulumi.export("text", read.invoice.text)
        else:
            pulumi.export("due", get_invoice_preview_output(account).amount_due)

    stack = make_stack(program, **settled)
    run = stack.up()
    assert run.ok, run.text
    assert run.outputs["due"] == 18846
    assert OTHER_ACCOUNT not in run.text
    assert OTHER_ACCOUNT not in repr(run.outputs)
    if form == "get":
        assert stack.resource("read")["id"] == OTHER_ACCOUNT


def none() -> Any:
    """Return an Output of None, such as that of a stack output that does not exist."""
    return pulumi.Output.from_input(None)


INEFFECTIVE: dict[str, Any] = {
    "import_": ACCOUNT,
    "ignore_changes": ["amount_due"],
    "replace_on_changes": ["amount_due"],
    "custom_timeouts": pulumi.CustomTimeouts(create="5m"),
    "version": "1.0.0",
    "plugin_download_url": "https://example.com",
}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *(
            (
                lambda name=name, value=value: InvoicePreview(
                    "x", opts=pulumi.ResourceOptions(**{name: value})
                ),
                f"InvoicePreview cannot honour opts.{name}: ",
            )
            for name, value in INEFFECTIVE.items()
        ),
        (
            lambda: InvoicePreview.get(
                "x", ACCOUNT, opts=pulumi.ResourceOptions(ignore_changes=["amount_due"])
            ),
            "InvoicePreview cannot honour opts.ignore_changes: ",
        ),
        (
            lambda: InvoicePreview("x", opts=pulumi.ResourceOptions(id=ACCOUNT)),
            "call InvoicePreview.get instead",
        ),
        (
            lambda: InvoicePreview("x", credentials=cast(Any, "token")),
            "credentials must be Credentials(",
        ),
        (
            lambda: InvoicePreview("x", none()),
            "the account ID is empty: give 32 hex digits, or leave it out",
        ),
        (
            lambda: InvoicePreview("x", credentials=Credentials(none())),
            "the credentials argument needs an API token, or an e-mail with an API key, and its "
            "Outputs are None; leave it out to use stack config or the environment",
        ),
        (
            lambda: InvoicePreview.get("x", ACCOUNT, Credentials(none())),
            "the credentials argument needs an API token",
        ),
        (lambda: InvoicePreview.get("x", "nope"), "'nope' is not an account ID"),
        (
            lambda: get_invoice_preview(cast(Any, pulumi.Output.from_input(ACCOUNT))),
            "use get_invoice_preview_output for Outputs",
        ),
        (
            lambda: get_invoice_preview(opts=pulumi.InvokeOptions(version="1.0.0")),
            "opts.version has no effect here",
        ),
        (
            lambda: get_invoice_preview(opts=pulumi.InvokeOutputOptions(depends_on=[])),
            "get_invoice_preview cannot wait for depends_on",
        ),
        (lambda: Credentials.from_provider("token"), "not str"),
        (lambda: InvoicePreview("x", credentials=Credentials()), "needs an API token"),
    ],
)
def test_bad_input_is_one_line(
    make_stack: MakeStack, settled: dict[str, str], make: Any, message: str
) -> None:
    run = make_stack(make, **settled).preview()
    assert not run.ok
    assert message in run.text
    if "unhandled error" not in run.text:
        assert "Traceback" not in run.text


def test_resources_of_many_accounts_are_read_side_by_side_and_each_once(
    make_stack: MakeStack,
) -> None:
    """
    The engine checks one resource after the other: the first one's check asks for those after it.

    One that is refused ahead is asked for once more by its own check, which says why.
    """
    with Sandbox(now=NOW, number_of_accounts=20, latency=0.1) as several:
        accounts = several.directory.ids

        def program() -> None:
            for number, account in enumerate(accounts):
                InvoicePreview(f"upcoming-{number}", account)

        stack = make_stack(program, **pointed_at(several))
        run = stack.up()
        assert run.ok, run.text
        assert sorted(several.requests) == sorted(accounts)
        # So many are under way before an answer says what the rate limit leaves.
        assert several.most_connections >= 5
        stored = stack.resource("upcoming-0")
        assert "following" not in json.dumps([stored["inputs"], stored["outputs"]])
        several.asked.clear()
        several.faults["invoice-preview"] = "http-403"
        refused = stack.preview()
        assert not refused.ok
        assert "cannot read the upcoming invoice of account" in refused.text
        assert max(Counter(several.requests).values()) <= 2
