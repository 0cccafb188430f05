"""Behaviour specific to the plugin: explicit providers, imports, and Pulumi's package commands."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pulumi
import pulumi_cf_invoice_sdk as sdk
import pytest

import pulumi_cf_invoice
from pulumi_cf_invoice import state
from pulumi_cf_invoice.plugin.version import PLACEHOLDER, semver
from pulumi_cf_invoice.sandbox import Sandbox
from pulumi_cf_invoice.state import PLUGIN_TYPE, snake_case
from tests.engine.conftest import MakeCommandLine, MakeStack
from tests.factories import ACCOUNT, OTHER_ACCOUNT, TOKEN
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
EXPORTED_SECRET = "1b47061264138c4ac30d75fd1eb44270"


def upcoming() -> None:
    pulumi.export("amount_due", sdk.InvoicePreview("upcoming").amount_due)


def with_provider(**arguments: Any) -> Any:
    def program() -> None:
        provider = sdk.Provider("own", **arguments)
        resource = sdk.InvoicePreview("upcoming", opts=pulumi.ResourceOptions(provider=provider))
        pulumi.export("account", resource.account_id)
        options = pulumi.InvokeOptions(provider=provider)
        pulumi.export("due", sdk.get_invoice_preview_output(opts=options).amount_due)

    return program


def test_the_id_is_known_at_the_first_preview(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    run = make_stack(lambda: pulumi.export("id", sdk.InvoicePreview("x").id), **settled).preview()
    assert f'id: "{ACCOUNT}"' in run.text


def test_arguments_of_the_provider_come_first(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    environment = dict.fromkeys(settled, "http://127.0.0.1:9")
    program = with_provider(
        account_id=OTHER_ACCOUNT, api_token=TOKEN, base_url=sandbox.base_url, timeout=20
    )
    stack = make_stack(program, **environment)
    stack.set("cf-invoice:accountId", ACCOUNT)
    run = stack.up()
    assert run.ok, run.text
    assert run.outputs == {"account": OTHER_ACCOUNT, "due": 18846}


def test_a_secret_address_of_the_provider_is_not_named_but_said_to_be_secret(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    del settled["CLOUDFLARE_BASE_URL"]

    def program() -> None:
        with_provider(base_url=pulumi.Output.secret(sandbox.base_url))()

    run = make_stack(program, **settled).preview()
    assert run.ok, run.text
    assert "The figures come from an address that is secret, not from Cloudflare." in run.text
    assert f"come from {sandbox.base_url}" not in run.text


@pytest.mark.parametrize("source", ["stack config", "provider"])
def test_a_secret_address_is_one_in_the_state_and_no_figure_is(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, source: str
) -> None:
    del settled["CLOUDFLARE_BASE_URL"]

    def program() -> None:
        options: Any = {}
        if source == "provider":
            provider = sdk.Provider("own", base_url=pulumi.Output.secret(sandbox.base_url))
            options = {"provider": provider}
        of_resource = pulumi.ResourceOptions(**options)
        resource = sdk.InvoicePreview("upcoming", opts=of_resource)
        read = sdk.InvoicePreview.get("read", ACCOUNT, opts=of_resource)
        result = sdk.get_invoice_preview_output(opts=pulumi.InvokeOptions(**options))
        pulumi.export("addresses", [resource.base_url, read.base_url])
        pulumi.export("result", [result.amount_due, result.base_url])

    stack = make_stack(program, **settled)
    if source == "stack config":
        stack.set("cf-invoice:baseUrl", sandbox.base_url, secret=True)
    run = stack.up()
    assert run.ok, run.text
    assert run.outputs["result"] == [18846, "an address that is secret"]
    assert sandbox.base_url not in repr(run.outputs)
    # Pulumi itself shows what is secret in stack config as `[secret]`.
    origins = set(re.findall("come from (.*?), not from Cloudflare", run.text))
    assert origins == {"an address that is secret"}
    assert stack.refresh().ok
    for name in ("upcoming", "read"):
        outputs = stack.resource(name)["outputs"]
        assert json.loads(outputs["baseUrl"]["plaintext"]) == sandbox.base_url
        assert outputs["amountDue"] == 18846
    assert json.loads(stack.resource("upcoming")["inputs"]["baseUrl"]["plaintext"])
    assert stack.preview(expect_no_changes=True).ok


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/secretpath", "ftp://127.0.0.1/secretpath"])
def test_no_error_names_a_secret_address(
    make_stack: MakeStack, settled: dict[str, str], url: str
) -> None:
    del settled["CLOUDFLARE_BASE_URL"]

    def program() -> None:
        provider = sdk.Provider("own", base_url=pulumi.Output.secret(url))
        options: Any = {"provider": provider}
        sdk.InvoicePreview("upcoming", opts=pulumi.ResourceOptions(**options))
        sdk.get_invoice_preview_output(opts=pulumi.InvokeOptions(**options))

    run = make_stack(program, CF_INVOICE_TIMEOUT="1", **settled).preview()
    assert not run.ok
    assert "[redacted]" in run.text
    assert "secretpath" not in run.text
    assert "127.0.0.1" not in run.text


def test_email_and_key_are_accepted(make_stack: MakeStack, settled: dict[str, str]) -> None:
    program = with_provider(email="sandbox@example.com", api_key="sandbox-key")
    assert make_stack(program, **settled).up().outputs["due"] == 18846


def test_stack_config_comes_before_the_environment_also_for_an_explicit_provider(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    environment = dict.fromkeys(settled, "wrong")
    for program in (with_provider(timeout=20), with_provider(timeout="20"), upcoming):
        stack = make_stack(program, **environment)
        stack.set("cf-invoice:accountId", OTHER_ACCOUNT)
        stack.set("cf-invoice:apiToken", TOKEN, secret=True)
        stack.set("cf-invoice:baseUrl", sandbox.base_url)
        stack.set("cf-invoice:timeout", "20")
        run = stack.up()
        assert run.ok, run.text
        assert stack.resource("upcoming")["id"] == OTHER_ACCOUNT


def test_the_config_of_pulumi_cloudflare_does_not_reach_a_plugin(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    stack = make_stack(upcoming, **settled)
    stack.set("cloudflare:apiToken", TOKEN, secret=True)
    run = stack.preview()
    assert not run.ok
    assert "pulumi config set --secret cf-invoice:apiToken TOKEN" in run.text


@pytest.mark.parametrize("secret", [True, False])
def test_a_token_of_the_provider_is_a_secret_in_the_state_however_it_was_given(
    make_stack: MakeStack, settled: dict[str, str], secret: bool
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    stack = make_stack(upcoming, **settled)
    stack.set("cf-invoice:apiToken", TOKEN, secret=secret)
    runs = [stack.preview(debug=True), stack.up(debug=True)]
    assert all(run.ok for run in runs), runs[0].text
    provider = stack.resource(f"default_{re.sub('[^0-9a-z]', '_', PLACEHOLDER)}")
    for stored in (provider["inputs"], provider["outputs"]):
        assert EXPORTED_SECRET in json.dumps(stored["apiToken"])
    assert TOKEN not in json.dumps(stack.resource("upcoming"))
    if secret:
        assert all(TOKEN not in run.everything for run in runs)


def test_refresh_asks_with_the_providers_own_credentials(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    stack = make_stack(with_provider(api_token=TOKEN), **settled)
    assert stack.up().ok
    sandbox.amount_due = 20001
    assert stack.refresh().ok
    assert stack.resource("upcoming")["outputs"]["amountDue"] == 20001


def test_other_credentials_are_an_update_of_the_provider_alone(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    stack = make_stack(with_provider(api_token=TOKEN), **settled)
    assert stack.up().ok
    stack.use(with_provider(email="sandbox@example.com", api_key="sandbox-key"))
    run = stack.up()
    assert run.ok, run.text
    assert ("update", "own") in run.steps
    assert ("same", "upcoming") in run.steps


def test_stack_config_that_cannot_work_is_named_as_such(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    stack = make_stack(upcoming, **settled)
    stack.set("cf-invoice:apiToken", TOKEN, secret=True)
    stack.set("cf-invoice:apiKey", "s3cret-k3y", secret=True)
    run = stack.preview()
    assert not run.ok
    assert "stack config cf-invoice: has both an API token and an e-mail or API key" in run.text


def test_advice_on_a_timeout_is_about_the_providers_own(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    def program() -> None:
        provider = sdk.Provider("own", timeout=0.5)
        sdk.InvoicePreview("upcoming", opts=pulumi.ResourceOptions(provider=provider))

    stack = make_stack(program, **settled)
    stack.set("cf-invoice:timeout", "60")
    sandbox.latency = 2
    run = stack.preview()
    assert not run.ok
    assert "or allow more time: give the provider a longer timeout." in run.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"api_token": TOKEN, "api_key": "k"}, "the provider has both an API token"),
        ({"email": "a@b.c"}, "the provider has an e-mail but no API key"),
        ({"base_url": "http://example.com"}, "is neither https nor on this machine"),
        ({"timeout": "soon"}, "the timeout 'soon' is not a number of seconds above 0"),
        ({"timeout": ""}, "its timeout is empty: give it a value"),
        ({"timeout": 0}, "is not a number of seconds above 0 and up to 3600"),
        ({"account_id": "nope"}, "'nope' is not an account ID"),
        ({"account_id": " "}, "its accountId is empty: give it a value, or leave it out to use"),
        ({"api_token": ""}, "its apiToken is empty: give it a value, or leave it out to use"),
    ],
)
def test_arguments_that_cannot_work_are_one_line(
    make_stack: MakeStack, settled: dict[str, str], arguments: dict[str, Any], message: str
) -> None:
    def program() -> None:
        provider = sdk.Provider("own", **arguments)
        sdk.InvoicePreview("upcoming", opts=pulumi.ResourceOptions(provider=provider))

    stack = make_stack(program, **settled)
    if "account_id" in arguments:
        # Where the stack config has one, it does not take the place of what was given.
        stack.set("cf-invoice:accountId", OTHER_ACCOUNT)
    run = stack.preview()
    assert not run.ok
    assert message in run.text
    assert "Traceback" not in run.text
    assert TOKEN not in run.everything


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("name", ["accountId", "apiToken", "baseUrl"])
def test_a_setting_that_is_empty_in_stack_config_is_refused(
    make_stack: MakeStack, settled: dict[str, str], name: str, own: bool
) -> None:
    """A program hands on what its config has, and another source must not take its place."""
    given = {snake_case(name): ""} if own else {}
    stack = make_stack(with_provider(**given) if own else upcoming, **settled)
    stack.set(f"cf-invoice:{name}", "")
    run = stack.preview()
    assert not run.ok
    assert f"stack config cf-invoice:{name} is empty: give it a value, or run" in run.text


def test_a_program_imports_it_by_its_account_and_the_next_preview_has_no_changes(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        options = pulumi.ResourceOptions(import_=ACCOUNT)
        sdk.InvoicePreview("upcoming", account_id=ACCOUNT, opts=options)

    stack = make_stack(program, **settled)
    for run in (stack.preview(), stack.up()):
        assert run.ok, run.text
        assert ("import", "upcoming") in run.steps
    found = state.read_state(stack.resource("upcoming"))
    assert found
    assert found.invoice.amount_due == 18846
    stack.use(upcoming)
    run = stack.preview()
    assert ("same", "upcoming") in run.steps


def test_what_the_command_line_imports_moves_like_any_other(
    make_command_line: MakeCommandLine, sandbox: Sandbox
) -> None:
    project = make_command_line(ROOT / "examples" / "ci")
    command = f"pulumi import {PLUGIN_TYPE} upcoming {ACCOUNT} --yes --generate-code=false"
    assert project.shell(command), project.printed
    (project.directory / "__main__.py").write_text(
        "import pulumi_cf_invoice_sdk as sdk\nsdk.InvoicePreview('upcoming')\n"
    )
    # An import protects the resource, but the program does not ask for that.
    assert project.shell("pulumi state unprotect --all --yes"), project.printed
    sandbox.amount_due = 20001
    project.printed = ""
    assert project.shell("pulumi preview --diff"), project.printed
    assert "~ amountDue      : 18846 => 20001" in project.printed
    moved = re.findall(r"^ +~ (\w+) *: ", project.printed, flags=re.M)
    assert moved == ["amountDue", "amountRemaining", "invoiceLines", "amount", "quantity"]
    assert project.shell("pulumi up --yes"), project.printed
    assert project.shell("pulumi stack export --file exported.json"), project.printed
    exported = json.loads((project.directory / "exported.json").read_text())
    [found] = filter(None, map(state.read_state, exported["deployment"]["resources"]))
    assert (found.account_id, found.invoice.amount_due) == (ACCOUNT, 20001)
    assert found.last_update
    assert found.last_update.amount_due == 18846


def test_importing_an_account_without_an_invoice_is_one_line(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    sandbox.fault = "http-404"
    options = pulumi.ResourceOptions(import_=ACCOUNT)
    run = make_stack(lambda: sdk.InvoicePreview("upcoming", opts=options), **settled).preview()
    assert not run.ok
    assert "HTTP 404, code 7404: No billing for this account" in run.text
    assert "Traceback" not in run.text


def test_an_interrupted_deployment_does_not_wait_for_an_answer(
    make_command_line: MakeCommandLine, sandbox: Sandbox
) -> None:
    sandbox.fault = "slow"
    project = make_command_line(ROOT / "examples" / "ci")
    (project.directory / "__main__.py").write_text(
        "import pulumi_cf_invoice_sdk as sdk\nsdk.InvoicePreview('upcoming')\n"
    )
    environment = {**project.environment, "CF_INVOICE_TIMEOUT": "300"}
    with subprocess.Popen(
        ["pulumi", "preview", "--stack", "dev", "--non-interactive"],
        cwd=project.directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        wait_until(lambda: sandbox.requests, "the plugin asked the API", process)
        process.send_signal(signal.SIGINT)
        message = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert f"account {ACCOUNT}: cancelled before an answer came. Run it again." in message


def test_the_committed_schema_is_the_plugins_but_for_the_version() -> None:
    command = ["pulumi", "package", "get-schema", str(shutil.which("pulumi-resource-cf-invoice"))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    committed = Path(pulumi_cf_invoice.__file__).with_name("schema.json").read_text()
    expected = committed.replace(PLACEHOLDER, semver(version("pulumi-cf-invoice")))
    assert done.stdout == expected, "run `make schema`"


def test_this_repository_is_a_plugin_by_its_path(make_command_line: MakeCommandLine) -> None:
    project = make_command_line(ROOT / "examples" / "ci")
    assert project.shell(f"pulumi package get-schema '{ROOT}'"), project.printed
    assert f'"{PLUGIN_TYPE}"' in project.printed


def test_a_multi_language_component_has_one(
    make_stack: MakeStack,
    settled: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    component = tmp_path / "pulumi-resource-tests"
    component.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u -m tests.engine.component "$@"\n')
    component.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    class Spend(pulumi.ComponentResource):
        def __init__(self, name: str) -> None:
            super().__init__("tests:index:Spend", name, {"amountDue": None}, remote=True)

    def program() -> None:
        pulumi.export("due", Spend("spend").amountDue)  # type: ignore[attr-defined]

    stack = make_stack(program, **settled)
    preview = stack.preview()
    assert preview.ok, preview.text
    assert "due: 18846" in preview.text
    assert stack.up().outputs == {"due": 18846}
