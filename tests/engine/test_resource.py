"""What a user of Pulumi can rely on, in both forms."""

import json
import re
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from pulumi_cf_invoice import state
from pulumi_cf_invoice.billing import BillingClient
from pulumi_cf_invoice.billing import Credentials as BillingCredentials
from pulumi_cf_invoice.report import input
from pulumi_cf_invoice.sandbox import Sandbox
from pulumi_cf_invoice.state import DYNAMIC_TYPE
from tests.engine.conftest import MakeStack
from tests.engine.forms import Form
from tests.engine.harness import Run
from tests.engine.resources import Echo
from tests.factories import ACCOUNT, OTHER_ACCOUNT, TOKEN


@pytest.fixture
def quickstart(form: Form) -> Callable[[], None]:
    def program() -> None:
        upcoming = form.resource("upcoming")
        pulumi.export("amount_due", upcoming.amount_due)
        pulumi.export("net", form.derived(upcoming).net_text)
        pulumi.export("line", upcoming.invoice_lines[0].amount)
        pulumi.export("types", upcoming.amount_due.apply(lambda due: type(due).__name__))
        pulumi.export("count", upcoming.invoice_lines.apply(len))

    return program


def test_the_figures_are_known_at_the_first_preview(
    make_stack: MakeStack, settled: dict[str, str], form: Form, quickstart: Callable[[], None]
) -> None:
    run = make_stack(quickstart, **settled).preview()
    assert run.ok, run.text
    assert run.new("upcoming")[form.spelled("amount_due")] == 18846
    assert "amount_due: 18846" in run.text
    assert 'net       : "$188.46"' in run.text


def test_an_update_exports_typed_figures(
    make_stack: MakeStack, settled: dict[str, str], form: Form, quickstart: Callable[[], None]
) -> None:
    run = make_stack(quickstart, **settled).up()
    assert run.outputs == {
        "amount_due": 18846,
        "net": "$188.46",
        "line": 1367,
        # An SDK that Pulumi generates knows no other numbers.
        "types": "int" if form.type == DYNAMIC_TYPE else "float",
        "count": 2,
    }


def test_the_type_token_is_part_of_the_public_promise(
    make_stack: MakeStack, settled: dict[str, str], form: Form, quickstart: Callable[[], None]
) -> None:
    stack = make_stack(quickstart, **settled)
    stack.up()
    assert stack.resource("upcoming")["type"] == form.type
    assert stack.resource("upcoming")["id"] == ACCOUNT


def test_the_state_is_read_back_as_the_invoice(
    make_stack: MakeStack, settled: dict[str, str], quickstart: Callable[[], None]
) -> None:
    stack = make_stack(quickstart, **settled)
    stack.up()
    found = state.read_state(stack.resource("upcoming"))
    assert found
    assert (found.account_id, found.invoice.net_text) == (ACCOUNT, "$188.46")


def test_a_changed_figure_is_an_update_with_its_property_diff(
    make_stack: MakeStack,
    settled: dict[str, str],
    sandbox: Sandbox,
    form: Form,
    quickstart: Callable[[], None],
) -> None:
    stack = make_stack(quickstart, **settled)
    stack.up()
    sandbox.amount_due = 20001
    run = stack.preview(diff=True)
    assert ("update", "upcoming") in run.steps
    assert re.search(rf"~ {form.spelled('amount_due')} *: 18846 => 20001", run.text)
    assert not stack.preview(expect_no_changes=True).ok


@pytest.mark.parametrize("scenario", ["nulls", "no-usage"])
def test_lines_that_come_change_and_go_are_in_the_diff(
    make_stack: MakeStack,
    settled: dict[str, str],
    sandbox: Sandbox,
    form: Form,
    scenario: str,
) -> None:
    stack = make_stack(lambda: form.resource("upcoming"), **settled)
    assert stack.up().ok
    sandbox.scenario = scenario
    preview = stack.preview(diff=True)
    assert form.spelled("invoice_lines") in preview.text
    assert "openai/gpt-5.5" in preview.text
    assert stack.up().ok
    found = state.read_state(stack.resource("upcoming"))
    assert found
    assert found.invoice.amount_due == sandbox.answer(ACCOUNT)["result"]["amount_due"]
    assert stack.preview(expect_no_changes=True).ok


@pytest.mark.parametrize("scenario", ["bare", "odd", "fractions", "pages-short"])
def test_an_answer_that_the_contract_allows_deploys_and_is_read_back(
    make_stack: MakeStack,
    settled: dict[str, str],
    sandbox: Sandbox,
    form: Form,
    scenario: str,
) -> None:
    """Nulls, fractions, odd texts and pages come out of the state as the model that went in."""
    sandbox.scenario = scenario
    stack = make_stack(lambda: form.resource("upcoming"), **settled)
    run = stack.up()
    assert run.ok, run.text
    found = state.read_state(stack.resource("upcoming"))
    assert found
    client = BillingClient(BillingCredentials(TOKEN), base_url=sandbox.base_url)
    expected = client.get_invoice_preview(ACCOUNT)
    assert found.invoice.to_figures().keys() == expected.to_figures().keys()
    assert found.invoice.amount_due == expected.amount_due
    assert [line.amount for line in found.invoice.invoice_lines] == [
        line.amount for line in expected.invoice_lines
    ]
    assert found.invoice.invoice_lines_complete is expected.invoice_lines_complete
    assert stack.preview(expect_no_changes=True).ok


def test_fractions_of_a_cent_are_exact_in_outputs_state_diff_and_report(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, form: Form
) -> None:
    sandbox.scenario = "fractions"

    def program() -> None:
        upcoming = form.resource("upcoming")
        pulumi.export("due", upcoming.amount_due)
        pulumi.export("line", upcoming.invoice_lines[0].amount)
        pulumi.export("decimal", form.derived(upcoming).amount_due_decimal)
        pulumi.export("invoice", form.derived(upcoming))

    stack = make_stack(program, **settled)
    run = stack.up()
    assert run.ok, run.text
    assert (run.outputs["due"], run.outputs["line"]) == (18846.5, 640.19)
    assert run.outputs["decimal"] == "188.465"
    assert stack.resource("upcoming")["outputs"][form.spelled("amount_due")] == 18846.5
    read_back = input.read(json.dumps({"invoice": run.outputs["invoice"]})).invoice
    assert read_back.amount_due == 18846.5
    assert [line.amount for line in read_back.invoice_lines] == [640.19, 18208.31]
    sandbox.scenario = "usual"
    preview = stack.preview(diff=True)
    assert re.search(rf"~ {form.spelled('amount_due')} *: 18846.5 => 18846", preview.text)


def test_an_unchanged_figure_is_no_change_in_whatever_order_it_comes(
    make_stack: MakeStack,
    settled: dict[str, str],
    sandbox: Sandbox,
    quickstart: Callable[[], None],
) -> None:
    sandbox.shuffle = True
    stack = make_stack(quickstart, **settled)
    stack.up()
    for _ in range(3):
        run = stack.preview(expect_no_changes=True)
        assert run.ok, run.text


def test_an_unknown_account_is_unknown_at_preview_and_real_on_update(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    def program() -> None:
        account = Echo("account", OTHER_ACCOUNT)
        upcoming = form.resource("upcoming", account.value)
        pulumi.export("amount_due", upcoming.amount_due)
        pulumi.export("line", upcoming.invoice_lines[0].amount)

    stack = make_stack(program, **settled)
    preview = stack.preview()
    assert preview.ok, preview.text
    assert "amount_due: [unknown]" in preview.text
    assert "line      : [unknown]" in preview.text
    up = stack.up()
    assert up.outputs == {"amount_due": 18846, "line": 1367}
    assert stack.resource("upcoming")["id"] == OTHER_ACCOUNT


def test_an_account_that_becomes_unknown_may_be_a_replacement(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    stack = make_stack(lambda: form.resource("upcoming"), **settled)
    assert stack.up().ok
    stack.use(lambda: form.resource("upcoming", Echo("account", ACCOUNT).value))
    preview = stack.preview()
    assert preview.ok, preview.text
    assert ("replace", "upcoming") in preview.steps
    up = stack.up()
    assert up.ok, up.text
    assert ("same", "upcoming") in up.steps


def test_credentials_that_are_unknown_at_preview_are_waited_for(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]

    def program() -> None:
        token = Echo("token", TOKEN)
        upcoming = form.resource("upcoming", token=token.value)
        pulumi.export("amount_due", upcoming.amount_due)

    stack = make_stack(program, **settled)
    preview = stack.preview()
    assert preview.ok, preview.text
    assert "amount_due: [unknown]" in preview.text
    assert stack.up().outputs == {"amount_due": 18846}


def test_another_account_is_a_replacement(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    stack = make_stack(lambda: form.resource("upcoming"), **settled)
    stack.up()
    stack.use(lambda: form.resource("upcoming", OTHER_ACCOUNT))
    run = stack.up()
    assert run.ok, run.text
    assert ("replace", "upcoming") in run.steps
    assert stack.resource("upcoming")["id"] == OTHER_ACCOUNT


def test_refresh_reads_the_figure_anew(
    make_stack: MakeStack,
    settled: dict[str, str],
    sandbox: Sandbox,
    form: Form,
    quickstart: Callable[[], None],
) -> None:
    stack = make_stack(quickstart, **settled)
    stack.up()
    sandbox.amount_due = 20001
    run = stack.refresh()
    assert run.ok, run.text
    assert stack.resource("upcoming")["outputs"][form.spelled("amount_due")] == 20001
    preview = stack.preview()
    assert ("same", "upcoming") in preview.steps


def test_the_figure_of_the_last_update_survives_a_refresh_and_makes_no_diff(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, form: Form
) -> None:
    def program() -> None:
        upcoming = form.resource("upcoming")
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
    found = state.read_state(stack.resource("upcoming"))
    assert found
    assert found.last_update
    assert found.last_update.amount_due == 18846
    assert run.outputs == {"last": 18846}
    assert stack.preview(expect_no_changes=True).ok


def test_refresh_without_credentials_keeps_the_figures_and_says_so(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, form: Form
) -> None:
    stack = make_stack(lambda: form.resource("upcoming"), **settled)
    stack.up()
    sandbox.amount_due = 20001
    del stack.environment["CLOUDFLARE_API_TOKEN"]
    run = stack.refresh()
    assert run.ok, run.text
    assert run.text.count("was not refreshed and keeps its stored figures") >= 1
    assert stack.resource("upcoming")["outputs"][form.spelled("amount_due")] == 18846


def test_a_failing_refresh_ends_with_the_message_and_keeps_the_state(
    make_stack: MakeStack,
    settled: dict[str, str],
    sandbox: Sandbox,
    form: Form,
    quickstart: Callable[[], None],
) -> None:
    stack = make_stack(quickstart, **settled)
    stack.up()
    sandbox.fault = "http-403"
    run = stack.refresh()
    assert not run.ok
    assert "HTTP 403, code 10000: Authentication error" in run.text
    # Pulumi makes a traceback of every error of a dynamic provider's refresh.
    assert ("Traceback" in run.text) == (form.type == DYNAMIC_TYPE)
    assert stack.resource("upcoming")["outputs"][form.spelled("amount_due")] == 18846


def test_destroy_needs_neither_credentials_nor_network(
    make_stack: MakeStack, settled: dict[str, str], quickstart: Callable[[], None]
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
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, form: Form
) -> None:
    def program() -> None:
        read = form.get("read", ACCOUNT)
        pulumi.export("due", read.amount_due)

    stack = make_stack(program, **settled)
    assert stack.up().outputs == {"due": 18846}
    assert len(sandbox.requests) == 1
    assert stack.refresh().ok
    sandbox.amount_due = 20001
    run = stack.preview()
    assert run.ok, run.text
    assert ("update", "read") not in run.steps
    assert "18846 => 20001" in run.text


def test_get_takes_outputs_and_its_state_has_no_credential(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]

    def program() -> None:
        read = form.get("read", pulumi.Output.from_input(ACCOUNT), pulumi.Output.secret(TOKEN))
        pulumi.export("amount_due", pulumi.Output.unsecret(read.amount_due))

    stack = make_stack(program, **settled)
    run = stack.up()
    assert run.ok, run.text
    assert run.outputs == {"amount_due": 18846}
    assert TOKEN not in json.dumps(stack.resource("read"))


def test_functions_ask_once_a_run_and_again_in_the_next(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, form: Form
) -> None:
    def program() -> None:
        pulumi.export("plain", form.function().amount_due)
        pulumi.export("output", form.output_function().amount_due)

    stack = make_stack(program, **settled)
    assert stack.up().outputs == {"plain": 18846, "output": 18846}
    assert len(sandbox.requests) == 1
    sandbox.amount_due = 20001
    assert stack.up().outputs == {"plain": 20001, "output": 20001}
    assert len(sandbox.requests) == 2


def test_the_functions_tell_what_follows_from_the_figures(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    names = ["gross", "credits", "net_decimal", "tax_and_adjustments_text", "period_text", "text"]

    def program() -> None:
        for name in names:
            pulumi.export(name, getattr(form.function(), name))

    assert make_stack(program, **settled).up().outputs == {
        "gross": 20654,
        "credits": 1808,
        "net_decimal": "188.46",
        "tax_and_adjustments_text": "$0.00",
        "period_text": "2026-09-01 to 2026-09-30",
        "text": "$188.46 for 2026-09-01 to 2026-09-30",
    }


def test_the_output_function_waits_for_depends_on(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    def program() -> None:
        first = Echo("first", "x")
        pulumi.export("due", form.output_function(depends_on=[first]).amount_due)

    stack = make_stack(program, **settled)
    preview = stack.preview()
    assert preview.ok, preview.text
    assert "due: [unknown]" in preview.text
    assert stack.up().outputs == {"due": 18846}


def test_the_output_function_of_an_unknown_account_is_unknown_at_preview(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    def program() -> None:
        pulumi.export("due", form.output_function(Echo("account", OTHER_ACCOUNT).value).amount_due)

    stack = make_stack(program, **settled)
    preview = stack.preview()
    assert preview.ok, preview.text
    assert "due: [unknown]" in preview.text
    assert stack.up().outputs == {"due": 18846}


def test_two_accounts_are_two_requests(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, form: Form
) -> None:
    sandbox.accounts[OTHER_ACCOUNT] = "yen"

    def program() -> None:
        pulumi.export("one", form.derived(form.resource("one")).amount_due_text)
        pulumi.export("two", form.derived(form.resource("two", OTHER_ACCOUNT)).amount_due_text)

    assert make_stack(program, **settled).up().outputs == {"one": "$188.46", "two": "¥1,900"}
    assert sorted(sandbox.requests) == [OTHER_ACCOUNT, ACCOUNT]


def test_two_hundred_resources_are_one_request(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, form: Form
) -> None:
    def program() -> None:
        for number in range(200):
            form.resource(f"upcoming-{number}")

    run = make_stack(program, **settled).preview()
    assert run.ok, run.text
    assert sandbox.requests == [ACCOUNT]


def test_an_account_in_upper_case_is_the_same(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    stack = make_stack(lambda: form.resource("upcoming", ACCOUNT.upper()), **settled)
    assert stack.up().ok
    assert stack.resource("upcoming")["id"] == ACCOUNT
    assert stack.preview(expect_no_changes=True).ok


def test_a_secret_account_stays_secret(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    stack = make_stack(
        lambda: form.resource("upcoming", pulumi.Output.secret(OTHER_ACCOUNT)), **settled
    )
    run = stack.up()
    assert run.ok, run.text
    assert stack.refresh().ok
    upcoming = stack.resource("upcoming")
    for of in (upcoming["inputs"], upcoming["outputs"]):
        # An exported stack shows a secret as an object with its plaintext.
        assert json.loads(of[form.spelled("account_id")]["plaintext"]) == OTHER_ACCOUNT
        assert of[form.spelled("amount_due")] == 18846
    assert OTHER_ACCOUNT not in run.text


def test_credentials_from_arguments_and_environment_are_in_no_event_and_no_state_of_ours(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    def program() -> None:
        form.resource("environment")
        form.resource("argument", token=TOKEN)
        form.get("read", ACCOUNT, TOKEN)

    stack = make_stack(program, **settled)
    for run in (stack.preview(debug=True), stack.up(debug=True), stack.refresh(debug=True)):
        assert run.ok, run.text
        assert TOKEN not in run.everything
    for name in ("environment", "argument", "read"):
        assert TOKEN not in json.dumps(stack.resource(name))


def test_secret_stack_config_is_in_no_event_and_no_message(
    make_stack: MakeStack,
    settled: dict[str, str],
    sandbox: Sandbox,
    quickstart: Callable[[], None],
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    stack = make_stack(quickstart, **settled)
    stack.set("cf-invoice:apiToken", TOKEN, secret=True)
    runs = [stack.preview(debug=True), stack.up(debug=True), stack.refresh(debug=True)]
    sandbox.fault = "echoed-credentials"
    runs += [stack.preview(debug=True), stack.refresh(debug=True)]
    assert [run.ok for run in runs] == [True, True, True, False, False]
    for run in runs:
        assert TOKEN not in run.everything


def test_credentials_from_the_environment_are_not_in_the_engines_verbose_log(
    make_stack: MakeStack, settled: dict[str, str], quickstart: Callable[[], None]
) -> None:
    run = make_stack(quickstart, **settled).preview(
        log_to_std_err=True, log_flow=True, log_verbosity=9
    )
    assert run.ok
    assert len(run.text) > 10_000
    assert TOKEN not in run.text


@pytest.mark.parametrize(
    ("account_id", "message"),
    [
        ("nope", "'nope' is not an account ID"),
        (7, "must be text of 32 hex digits"),
        ("", "the account ID is empty"),
    ],
)
def test_a_bad_account_is_one_line(
    make_stack: MakeStack, settled: dict[str, str], form: Form, account_id: Any, message: str
) -> None:
    run = make_stack(lambda: form.resource("upcoming", account_id), **settled).preview()
    assert_one_line(run, message)


def test_a_token_with_a_line_break_is_one_line_without_the_token(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    run = make_stack(lambda: form.resource("upcoming", token="s3cret\nx"), **settled).preview()
    assert_one_line(run, "was it copied with a line break?")
    assert "s3cret" not in run.everything


def test_no_credentials_at_all_is_one_line(
    make_stack: MakeStack, settled: dict[str, str], form: Form
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    run = make_stack(lambda: form.resource("upcoming"), **settled).preview()
    assert_one_line(run, f"no credentials for account {ACCOUNT}: set CLOUDFLARE_API_TOKEN")


def assert_one_line(run: Run, message: str) -> None:
    assert not run.ok
    assert message in run.text
    assert "Traceback" not in run.text
