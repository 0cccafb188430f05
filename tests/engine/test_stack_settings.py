"""Stack config of programs: ineffective settings are refused, and risky ones cause a warning."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

from pulumi_cf_invoice import Credentials, InvoicePreview, get_invoice_preview
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.conftest import MakeStack
from tests.engine.forms import Form
from tests.engine.harness import Run, Stack
from tests.factories import ACCOUNT, TOKEN
from tests.hosts import hosts

ELSEWHERE = "https://api.example.com/client/v4"


def severities(run: Run, part: str) -> list[str]:
    """Return the severity of each diagnostic of *run* that has *part* in it."""
    found = (event.diagnostic_event for event in run.events)
    return [
        diagnostic.severity for diagnostic in found if diagnostic and part in diagnostic.message
    ]


def disable_default_providers(stack: Stack) -> None:
    stack.set("pulumi:disable-default-providers", '["*"]')


def test_a_misspelt_setting_stops_the_program_in_one_line(
    make_stack: MakeStack, form: Form, settled: dict[str, str], sandbox: Sandbox
) -> None:
    stack = make_stack(lambda: form.resource("upcoming") and None, **settled)
    stack.set("cf-invoice:acountId", ACCOUNT)
    run = stack.preview()
    assert not run.ok
    message = (
        "there is no setting of stack config 'cf-invoice:acountId'; did you mean "
        "'cf-invoice:accountId'?"
    )
    assert message in run.text
    stack.use(lambda: pulumi.export("due", form.function(ACCOUNT).amount_due))
    run = stack.preview()
    assert not run.ok
    assert message in run.text
    assert sandbox.requests == []


def test_in_a_project_called_cf_invoice_other_keys_are_only_noted(
    make_stack: MakeStack, form: Form, settled: dict[str, str]
) -> None:
    stack = make_stack(lambda: form.resource("upcoming") and None, "cf-invoice", **settled)
    stack.set("cf-invoice:timeOut", "7")
    run = stack.preview()
    assert run.ok, run.text
    note = "did you mean 'cf-invoice:timeout'? (or is it the program's own?)"
    assert set(severities(run, note)) == {"info"}


def test_a_misspelt_argument_of_the_plugins_provider_is_refused(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        provider = pulumi.ProviderResource("cf-invoice", "ours", {"timeOut": 5})
        opts = pulumi.ResourceOptions(provider=provider)
        pulumi.CustomResource("cf-invoice:index:InvoicePreview", "upcoming", {}, opts)

    run = make_stack(program, **settled).preview()
    assert not run.ok
    assert "the provider cf-invoice: there is no argument 'timeOut'; did you mean 'timeout'?" in (
        run.text
    )


def test_a_token_in_plain_text_is_warned_of_with_the_command_that_mends_it(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    """The engine does not tell a plugin: `doctor` and `--stack` warn there."""
    del settled["CLOUDFLARE_API_TOKEN"]
    stack = make_stack(lambda: InvoicePreview("upcoming") and None, **settled)
    stack.set("cf-invoice:apiToken", TOKEN)
    run = stack.preview()
    assert run.ok, run.text
    message = "run `pulumi config set --secret cf-invoice:apiToken VALUE`"
    assert severities(run, message)[0] == "warning"
    assert TOKEN not in run.text
    stack.set("cf-invoice:apiToken", TOKEN, secret=True)
    run = stack.preview()
    assert run.ok, run.text
    assert message not in run.text


@pytest.mark.parametrize("secret", ["stack config", "environment", "argument"])
def test_a_programs_address_gets_the_credentials_of_the_same_stack_config_alone(
    make_stack: MakeStack,
    form: Form,
    settled: dict[str, str],
    sandbox: Sandbox,
    tmp_path: Path,
    secret: str,
) -> None:
    given = TOKEN if secret == "argument" else None
    if secret != "environment":
        del settled["CLOUDFLARE_API_TOKEN"]
    del settled["CLOUDFLARE_BASE_URL"]
    with hosts(sandbox.base_url, ["api.example.com"], tmp_path) as internet:
        stack = make_stack(
            lambda: form.resource("upcoming", token=given) and None,
            **settled,
            **internet.environment,
        )
        stack.set("cf-invoice:baseUrl", ELSEWHERE)
        if secret == "stack config":
            stack.set("cf-invoice:apiToken", TOKEN, secret=True)
        run = stack.preview()
        if secret == "stack config":
            assert run.ok, run.text
            assert internet.tokens == {"api.example.com": {f"Bearer {TOKEN}"}}
            assert run.new("upcoming")[form.spelled("base_url")] == ELSEWHERE
        else:
            assert not run.ok
            assert f"sets the base URL {ELSEWHERE}, to which credentials from" in run.text
            assert internet.tokens == {}


def test_figures_of_a_function_from_elsewhere_say_where_from(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    def program() -> None:
        for _ in range(2):
            pulumi.export("due", get_invoice_preview().amount_due)

    run = make_stack(program, **settled).preview()
    assert run.ok, run.text
    message = f"The figures come from {sandbox.base_url}, not from Cloudflare."
    assert severities(run, message) == ["info"]


@pytest.mark.parametrize("called", ["resource", "get", "function"])
def test_an_operation_says_once_where_its_figures_come_from(
    make_stack: MakeStack, form: Form, settled: dict[str, str], sandbox: Sandbox, called: str
) -> None:
    def program() -> None:
        for name in ("first", "second"):
            if called == "function":
                form.function(ACCOUNT)
            elif called == "get":
                form.get(name, ACCOUNT)
            else:
                form.resource(name, ACCOUNT)

    stack = make_stack(program, **settled)
    message = f"The figures come from {sandbox.base_url}, not from Cloudflare."
    for run in (stack.preview(), stack.up(), stack.up()):
        assert run.ok, run.text
        assert severities(run, message) == ["info"]


def test_an_address_that_is_secret_is_said_to_be_so(
    make_stack: MakeStack, form: Form, settled: dict[str, str], sandbox: Sandbox
) -> None:
    del settled["CLOUDFLARE_BASE_URL"]
    stack = make_stack(lambda: form.resource("upcoming") and None, **settled)
    stack.set("cf-invoice:baseUrl", sandbox.base_url, secret=True)
    run = stack.preview()
    assert run.ok, run.text
    assert severities(run, "not from Cloudflare.") == ["info"]
    assert f"come from {sandbox.base_url}" not in run.text


def test_a_program_says_which_credentials_it_takes(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    from pulumi_cf_invoice import billing

    def program() -> None:
        credentials: Any = billing.Credentials(api_token=TOKEN)
        InvoicePreview("upcoming", credentials=credentials)

    run = make_stack(program, **settled).preview()
    assert not run.ok
    assert (
        "credentials must be Credentials(api_token=…) or Credentials(email=…, api_key=…) of "
        "pulumi_cf_invoice, not Credentials of pulumi_cf_invoice.billing.credentials" in run.text
    )
    with pytest.raises(billing.SettingsError, match=r"billing\.Credentials, which"):
        billing.BillingClient(Credentials(api_token=TOKEN))  # type: ignore[arg-type]


def with_provider() -> None:
    dynamic = pulumi.ProviderResource("pulumi-python", "dynamic", {})
    opts = pulumi.ResourceOptions(provider=dynamic)
    InvoicePreview("upcoming", opts=opts)
    InvoicePreview.get("read", ACCOUNT, opts=opts)


def in_a_component() -> None:
    dynamic = pulumi.ProviderResource("pulumi-python", "dynamic", {})
    opts = pulumi.ResourceOptions(providers=[dynamic])
    component = pulumi.ComponentResource("test:index:Team", "team", {}, opts)
    InvoicePreview("upcoming", opts=pulumi.ResourceOptions(parent=component))
    InvoicePreview.get("read", ACCOUNT, opts=pulumi.ResourceOptions(parent=component))


@pytest.mark.parametrize("program", [with_provider, in_a_component])
def test_a_dynamic_provider_is_taken_where_there_is_no_default_one(
    make_stack: MakeStack, settled: dict[str, str], program: Callable[[], None]
) -> None:
    stack = make_stack(program, **settled)
    disable_default_providers(stack)
    run = stack.up()
    assert run.ok, run.text
    assert stack.resource("upcoming")["outputs"]["amount_due"] == 18846
    assert stack.refresh().ok


@pytest.mark.parametrize(
    "program",
    [
        lambda: InvoicePreview("upcoming") and None,
        lambda: InvoicePreview.get("read", ACCOUNT) and None,
    ],
)
def test_without_a_provider_one_line_says_what_to_do(
    make_stack: MakeStack, settled: dict[str, str], program: Callable[[], None]
) -> None:
    stack = make_stack(program, **settled)
    disable_default_providers(stack)
    run = stack.preview()
    assert not run.ok
    assert "InvoicePreview has no provider, since the stack config pulumi:disable-default" in (
        run.text
    )
    assert "Traceback" not in run.text
    assert "grpc" not in run.text
    assert json.dumps("pulumi-python") in run.text
