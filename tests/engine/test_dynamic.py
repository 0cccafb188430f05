"""What only the dynamic resource and the Python functions have."""

import json
from typing import Any, cast

import pulumi
import pytest

from pulumi_cf_invoice import Credentials, InvoicePreview, get_invoice_preview
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.conftest import ACCOUNT, MakeStack

SECRET = "sandbox-token"


def test_the_config_of_pulumi_cloudflare_is_enough(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    stack = make_stack(lambda: InvoicePreview("upcoming"), **settled)
    stack.set("cloudflare:apiToken", SECRET, secret=True)
    for run in (stack.up(), stack.refresh()):
        assert run.ok, run.text
        assert SECRET not in run.everything


def test_refresh_keeps_the_figures_where_credentials_are_the_programs(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    credentials = {"api_token": SECRET}
    stack = make_stack(
        lambda: InvoicePreview("upcoming", credentials=Credentials(**credentials)), **settled
    )
    stack.up()
    sandbox.amount_due = 20001
    run = stack.refresh()
    assert run.ok, run.text
    assert run.text.count("was not refreshed and keeps its stored figures") >= 1
    assert stack.resource("upcoming")["outputs"]["amount_due"] == 18846


def test_get_is_read_by_the_program_and_by_no_refresh(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    stack = make_stack(lambda: InvoicePreview.get("read", ACCOUNT), **settled)
    assert stack.up().ok
    assert stack.refresh().ok
    assert len(sandbox.requests) == 1


def test_credentials_of_the_program_are_nowhere_in_the_state(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        InvoicePreview("argument", credentials=Credentials(api_token=SECRET))
        InvoicePreview.get("read", ACCOUNT, Credentials(api_token=pulumi.Output.secret(SECRET)))
        get_invoice_preview(credentials=Credentials(api_token=SECRET))

    stack = make_stack(program, **settled)
    run = stack.up(debug=True)
    assert run.ok, run.text
    assert SECRET not in run.everything
    assert SECRET not in json.dumps(stack.state())


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: InvoicePreview("x", opts=pulumi.ResourceOptions(import_=ACCOUNT)),
            "InvoicePreview cannot be imported",
        ),
        (
            lambda: InvoicePreview("x", credentials=cast(Any, "token")),
            "credentials must be Credentials(",
        ),
        (lambda: InvoicePreview.get("x", "nope"), "'nope' is no account ID"),
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
        (lambda: InvoicePreview("x", credentials=Credentials()), "needs an api_token"),
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
