import json
from typing import Any, cast

import pulumi
import pytest

from pulumi_cf_invoice import Credentials, InvoicePreview, get_invoice_preview
from pulumi_cf_invoice.functions import get_invoice_preview_output
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.conftest import ACCOUNT, MakeStack
from tests.engine.harness import TYPE
from tests.engine.resources import Echo

OTHER = "0" * 31 + "1"
SECRET = "sandbox-token"


def quickstart() -> None:
    upcoming = InvoicePreview("upcoming")
    pulumi.export("amount_due", upcoming.amount_due)
    pulumi.export("net", upcoming.invoice.net_text)
    pulumi.export("line", upcoming.invoice_lines[0].amount)
    pulumi.export("types", upcoming.amount_due.apply(lambda due: type(due).__name__))
    pulumi.export("count", upcoming.invoice_lines.apply(len))


def test_the_figures_are_known_at_the_first_preview(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    run = make_stack(quickstart, **settled).preview()
    assert run.ok, run.text
    assert run.new("upcoming")["amount_due"] == 18846
    assert "amount_due: 18846" in run.text
    assert 'net       : "$188.46"' in run.text


def test_an_update_exports_typed_figures(make_stack: MakeStack, settled: dict[str, str]) -> None:
    run = make_stack(quickstart, **settled).up()
    assert run.outputs == {
        "amount_due": 18846,
        "net": "$188.46",
        "line": 1367,
        "types": "int",
        "count": 2,
    }


def test_the_type_token_is_part_of_the_public_promise(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    stack = make_stack(quickstart, **settled)
    stack.up()
    assert stack.resource("upcoming")["type"] == TYPE


def test_a_changed_figure_is_an_update_with_its_property_diff(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    stack = make_stack(quickstart, **settled)
    stack.up()
    sandbox.amount_due = 20001
    run = stack.preview(diff=True)
    assert ("update", "upcoming") in run.steps
    assert "18846 => 20001" in run.text
    assert not stack.preview(expect_no_changes=True).ok


def test_an_unchanged_figure_is_no_change_in_whatever_order_it_comes(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    sandbox.shuffle = True
    stack = make_stack(quickstart, **settled)
    stack.up()
    for _ in range(3):
        run = stack.preview(expect_no_changes=True)
        assert run.ok, run.text


def test_an_unknown_account_is_unknown_at_preview_and_real_on_update(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        account = Echo("account", OTHER)
        upcoming = InvoicePreview("upcoming", account_id=account.value)
        pulumi.export("amount_due", upcoming.amount_due)

    stack = make_stack(program, **settled)
    preview = stack.preview()
    assert preview.ok, preview.text
    assert "amount_due: [unknown]" in preview.text
    up = stack.up()
    assert up.outputs == {"amount_due": 18846}
    assert stack.resource("upcoming")["id"] == OTHER


def test_credentials_that_are_unknown_at_preview_are_waited_for(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]

    def program() -> None:
        token = Echo("token", SECRET)
        upcoming = InvoicePreview("upcoming", credentials=Credentials(api_token=token.value))
        pulumi.export("amount_due", upcoming.amount_due)

    stack = make_stack(program, **settled)
    preview = stack.preview()
    assert preview.ok, preview.text
    assert "amount_due: [unknown]" in preview.text
    assert stack.up().outputs == {"amount_due": 18846}


def test_another_account_is_a_replacement(make_stack: MakeStack, settled: dict[str, str]) -> None:
    stack = make_stack(quickstart, **settled)
    stack.up()
    stack.use(lambda: InvoicePreview("upcoming", account_id=OTHER))
    run = stack.up()
    assert run.ok, run.text
    assert ("replace", "upcoming") in run.steps
    assert stack.resource("upcoming")["id"] == OTHER


def test_refresh_reads_the_figure_anew(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    stack = make_stack(quickstart, **settled)
    stack.up()
    sandbox.amount_due = 20001
    run = stack.refresh()
    assert run.ok, run.text
    assert stack.resource("upcoming")["outputs"]["amount_due"] == 20001
    assert stack.preview(expect_no_changes=True).ok


def test_the_figure_of_the_last_update_survives_a_refresh_and_makes_no_diff(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    def program() -> None:
        upcoming = InvoicePreview("upcoming")
        pulumi.export(
            "last", upcoming.last_update.apply(lambda last: last.amount_due if last else 0)
        )

    stack = make_stack(program, **settled)
    assert stack.up().outputs == {"last": 0}
    assert stack.preview(expect_no_changes=True).ok
    sandbox.amount_due = 20001
    assert stack.refresh().ok
    sandbox.amount_due = 20002
    run = stack.up()
    assert stack.resource("upcoming")["inputs"]["last_update"]["amount_due"] == 18846
    assert run.outputs == {"last": 18846}
    assert stack.preview(expect_no_changes=True).ok


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


def test_a_failing_refresh_ends_with_the_message_and_keeps_the_state(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    stack = make_stack(quickstart, **settled)
    stack.up()
    sandbox.fault = "http-403"
    run = stack.refresh()
    assert not run.ok
    assert "HTTP 403, code 10000: Authentication error" in run.text
    assert stack.resource("upcoming")["outputs"]["amount_due"] == 18846


def test_destroy_needs_neither_credentials_nor_network(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    stack = make_stack(quickstart, **settled)
    stack.up()
    for name in settled:
        del stack.environment[name]
    stack.environment["CLOUDFLARE_BASE_URL"] = "http://127.0.0.1:9"
    run = stack.destroy()
    assert run.ok, run.text
    assert ("delete", "upcoming") in run.steps


def test_get_is_read_without_a_diff_even_when_the_figure_moves(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    def program() -> None:
        read = InvoicePreview.get("read", ACCOUNT)
        pulumi.export("due", read.invoice.amount_due_text)

    stack = make_stack(program, **settled)
    assert stack.up().outputs == {"due": "$188.46"}
    assert len(sandbox.requests) == 1
    assert stack.refresh().ok
    assert len(sandbox.requests) == 1
    sandbox.amount_due = 20001
    run = stack.preview()
    assert ("update", "read") not in run.steps
    assert "$200.01" in run.text


def test_get_takes_outputs_and_stores_no_credential(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]

    def program() -> None:
        credentials = Credentials(api_token=pulumi.Output.secret(SECRET))
        read = InvoicePreview.get("read", pulumi.Output.from_input(ACCOUNT), credentials)
        pulumi.export("amount_due", read.amount_due)

    stack = make_stack(program, **settled)
    run = stack.up()
    assert run.ok, run.text
    assert run.outputs == {"amount_due": 18846}
    assert SECRET not in json.dumps(stack.state())


def test_functions_ask_once_a_run_and_again_in_the_next(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    def program() -> None:
        pulumi.export("plain", get_invoice_preview().amount_due)
        pulumi.export("output", get_invoice_preview_output().amount_due)

    stack = make_stack(program, **settled)
    assert stack.up().outputs == {"plain": 18846, "output": 18846}
    assert len(sandbox.requests) == 1
    sandbox.amount_due = 20001
    assert stack.up().outputs == {"plain": 20001, "output": 20001}
    assert len(sandbox.requests) == 2


def test_the_output_function_waits_for_depends_on(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        first = Echo("first", "x")
        opts = pulumi.InvokeOutputOptions(depends_on=[first])
        pulumi.export("due", get_invoice_preview_output(opts=opts).amount_due)

    stack = make_stack(program, **settled)
    preview = stack.preview()
    assert preview.ok, preview.text
    assert "due: [unknown]" in preview.text
    assert stack.up().outputs == {"due": 18846}


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


def test_two_accounts_are_two_requests(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    sandbox.accounts[OTHER] = "yen"

    def program() -> None:
        pulumi.export("one", InvoicePreview("one").invoice.amount_due_text)
        pulumi.export("two", InvoicePreview("two", OTHER).invoice.amount_due_text)

    assert make_stack(program, **settled).up().outputs == {"one": "$188.46", "two": "¥1,900"}
    assert sorted(sandbox.requests) == [OTHER, ACCOUNT]


def test_two_hundred_resources_are_one_request(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    def program() -> None:
        for number in range(200):
            InvoicePreview(f"upcoming-{number}")

    run = make_stack(program, **settled).preview()
    assert run.ok, run.text
    assert sandbox.requests == [ACCOUNT]


def test_a_secret_account_stays_secret(make_stack: MakeStack, settled: dict[str, str]) -> None:
    stack = make_stack(
        lambda: InvoicePreview("upcoming", account_id=pulumi.Output.secret(OTHER)), **settled
    )
    run = stack.up()
    assert run.ok, run.text
    upcoming = stack.resource("upcoming")
    for properties in (upcoming["inputs"], upcoming["outputs"]):
        # An exported stack shows a secret as an object with its plaintext.
        assert json.loads(properties["account_id"]["plaintext"]) == OTHER
        assert properties["amount_due"] == 18846
    assert OTHER not in run.text


def test_credentials_from_arguments_and_environment_are_nowhere(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        InvoicePreview("environment")
        InvoicePreview("argument", credentials=Credentials(api_token=SECRET))
        get_invoice_preview(credentials=Credentials(api_token=SECRET))

    stack = make_stack(program, **settled)
    for run in (stack.preview(debug=True), stack.up(debug=True), stack.refresh(debug=True)):
        assert run.ok, run.text
        assert SECRET not in run.everything
    assert SECRET not in json.dumps(stack.state())


def test_secret_stack_config_is_in_no_event_and_no_message(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    stack = make_stack(quickstart, **settled)
    stack.set("cloudflare:apiToken", SECRET, secret=True)
    runs = [stack.preview(debug=True), stack.up(debug=True), stack.refresh(debug=True)]
    sandbox.fault = "echoed-credentials"
    runs += [stack.preview(debug=True), stack.refresh(debug=True)]
    assert [run.ok for run in runs] == [True, True, True, False, False]
    for run in runs:
        assert SECRET not in run.everything


def test_credentials_from_the_environment_are_not_in_the_engines_verbose_log(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    run = make_stack(quickstart, **settled).preview(
        log_to_std_err=True, log_flow=True, log_verbosity=9
    )
    assert run.ok
    assert len(run.text) > 10_000
    assert SECRET not in run.text


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
        (lambda: InvoicePreview("x", "nope"), "'nope' is no account ID"),
        (lambda: InvoicePreview("x", cast(Any, 7)), "must be text of 32 hex digits"),
        (lambda: InvoicePreview("x", ""), "the account ID is empty"),
        (
            lambda: InvoicePreview("x", credentials=Credentials(api_token="a\nb")),
            "was it copied with a line break?",
        ),
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
