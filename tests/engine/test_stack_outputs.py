import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pulumi
import pytest

from pulumi_cf_invoice import (
    InvoicePreview,
    export_invoice,
    get_invoice_preview,
    get_invoice_preview_output,
)
from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.invoice import FIGURES
from pulumi_cf_invoice.report import input
from tests.docs import ROOT
from tests.engine.conftest import MakeCommandLine, MakeStack
from tests.engine.harness import Run, Stack
from tests.factories import ACCOUNT, OTHER_ACCOUNT

FORMS: dict[str, Any] = {
    "resource": lambda: InvoicePreview("upcoming"),
    "get": lambda: InvoicePreview.get("upcoming", ACCOUNT),
    "function": get_invoice_preview,
    "output-function": get_invoice_preview_output,
    "model": lambda: InvoicePreview("upcoming").invoice,
}


def stack_output_json(stack: Stack, *more: str) -> str:
    """Return what `pulumi stack output --json` prints, with *more* options."""
    return subprocess.run(
        ["pulumi", "stack", "output", "--json", "--stack", "dev", *more],
        cwd=stack.directory,
        env={**os.environ, **stack.environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize("form", FORMS)
def test_every_form_exports_outputs_which_are_read_back(
    make_stack: MakeStack, settled: dict[str, str], form: str
) -> None:
    stack = make_stack(lambda: export_invoice(FORMS[form]()), **settled)
    run = stack.up()
    assert run.ok, run.text
    printed = stack_output_json(stack)
    outputs = json.loads(printed)
    account = {"account_id"} if form in ("resource", "get") else set()
    origin = {"invoice_base_url"} if form != "model" else set()
    assert set(outputs) == {*FIGURES, *origin, *account}
    assert outputs["amount_due"] == 18846
    assert outputs["net_decimal"] == "188.46"
    assert outputs["text"] == "$188.46 for 2026-09-01 to 2026-09-30"
    [found] = input.read(printed)
    assert found.state.invoice.amount_due_text == "$188.46"
    assert found.state.account_id == (ACCOUNT if account else None)
    assert found.state.base_url == (settled["CLOUDFLARE_BASE_URL"] if origin else None)


def test_a_prefix_keeps_two_invoices_apart(make_stack: MakeStack, settled: dict[str, str]) -> None:
    def program() -> None:
        export_invoice(InvoicePreview("upcoming"), "here")
        export_invoice(InvoicePreview("other", account_id=OTHER_ACCOUNT), prefix="there")

    stack = make_stack(program, **settled)
    assert stack.up().ok
    [there] = input.read(stack_output_json(stack), prefix="there")
    assert there.state.account_id == OTHER_ACCOUNT
    assert there.state.base_url == settled["CLOUDFLARE_BASE_URL"]


@pytest.mark.parametrize("prefix", [None, "ai"])
def test_names_that_are_exported_already_are_refused_in_one_line(
    make_stack: MakeStack, settled: dict[str, str], prefix: str | None
) -> None:
    def twice() -> None:
        export_invoice(get_invoice_preview(), prefix)
        export_invoice(InvoicePreview("other", OTHER_ACCOUNT), prefix)

    run = make_stack(twice, **settled).preview()
    name = "ai_amount_due" if prefix else "amount_due"
    assert_refused(run, f"the program exports {name} already: give this export_invoice a prefix")


def test_a_name_that_the_program_exported_itself_is_not_replaced(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        pulumi.export("currency", "EUR")
        export_invoice(get_invoice_preview())

    run = make_stack(program, **settled).preview()
    assert_refused(run, "the program exports currency already")


def test_an_export_beside_it_and_other_runs_in_the_process_are_no_reason_to_refuse(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        pulumi.export("account_id", "of another kind")
        export_invoice(get_invoice_preview())

    for stack in (make_stack(program, **settled), make_stack(program, "another", **settled)):
        for run in (stack.preview(), stack.up(), stack.up()):
            assert run.ok, run.text


def test_an_output_of_something_else_than_an_invoice_is_refused_in_one_line(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        export_invoice(InvoicePreview("upcoming").amount_due)  # type: ignore[arg-type]

    run = make_stack(program, **settled).preview()
    assert_refused(run, "takes an InvoicePreview, an Invoice or an Output of one, not int")


def assert_refused(run: Run, message: str) -> None:
    assert not run.ok
    assert message in run.text
    # An inline program prints the line a second time behind "an unhandled error".
    if "unhandled error" not in run.text:
        assert "Traceback" not in run.text


AS_CLOUDFLARE = """
from pulumi_cf_invoice.billing import settings
settings.is_cloudflare = lambda base_url: True
"""


@pytest.fixture
def as_cloudflare(
    settled: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The environment of programs that take the sandbox for Cloudflare."""
    (tmp_path / "sitecustomize.py").write_text(AS_CLOUDFLARE)
    monkeypatch.setattr(settings, "is_cloudflare", lambda base_url: True)
    return {**settled, "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("form", ["resource", "get", "function"])
def test_figures_from_cloudflare_name_no_address(
    make_stack: MakeStack, as_cloudflare: dict[str, str], form: str
) -> None:
    stack = make_stack(lambda: export_invoice(FORMS[form]()), **as_cloudflare)
    for run in (stack.preview(), stack.up(), stack.preview(expect_no_changes=True)):
        assert run.ok, run.text
        assert "base_url" not in run.text
    assert "invoice_base_url" not in json.loads(stack_output_json(stack))


@pytest.mark.parametrize("form", ["resource", "function"])
def test_a_secret_address_is_a_secret_output(
    make_stack: MakeStack, settled: dict[str, str], form: str
) -> None:
    address = settled.pop("CLOUDFLARE_BASE_URL")
    stack = make_stack(lambda: export_invoice(FORMS[form]()), **settled)
    stack.set("cf-invoice:baseUrl", address, secret=True)
    run = stack.up()
    assert run.ok, run.text
    printed = stack_output_json(stack)
    assert address not in printed
    [found] = input.read(printed)
    assert found.state.base_url == "an address that is secret"


@pytest.mark.parametrize("form", ["resource", "function"])
def test_a_secret_address_of_cloudflares_own_is_no_output(
    make_stack: MakeStack, as_cloudflare: dict[str, str], form: str
) -> None:
    address = as_cloudflare.pop("CLOUDFLARE_BASE_URL")
    stack = make_stack(lambda: export_invoice(FORMS[form]()), **as_cloudflare)
    stack.set("cf-invoice:baseUrl", address, secret=True)
    for run in (stack.preview(), stack.up(), stack.preview(expect_no_changes=True)):
        assert run.ok, run.text
        assert "base_url" not in run.text
    printed = stack_output_json(stack)
    assert "invoice_base_url" not in json.loads(printed)
    [found] = input.read(printed)
    assert found.state.origin == ""


def test_outputs_are_known_at_the_first_preview_and_do_not_move_by_themselves(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    stack = make_stack(lambda: export_invoice(InvoicePreview("upcoming")), **settled)
    assert '"$188.46 for 2026-09-01 to 2026-09-30"' in stack.preview().text
    assert stack.up().ok
    assert stack.preview(expect_no_changes=True).ok


@pytest.mark.parametrize(
    ("figures", "code", "expected"),
    [
        ("${other}", 0, "In the stack's output whole there is only a reference to an Invoice"),
        ("${own}", 0, ""),
        ("none", 2, "there is only a reference to an InvoicePreview"),
    ],
)
def test_an_exported_resource_of_the_plugin_is_never_passed_over(
    make_command_line: MakeCommandLine, figures: str, code: int, expected: str
) -> None:
    project = make_command_line(ROOT / "examples" / "yaml" / "quickstart")
    call = "{fn::invoke: {function: cf-invoice:getInvoicePreview, arguments: {accountId: '%s'}}}"
    (project.directory / "Pulumi.yaml").write_text(
        f"name: quickstart-yaml\nruntime: yaml\npackages:\n  cf-invoice: {ROOT}\n"
        "resources:\n  up: {type: cf-invoice:InvoicePreview}\n"
        f"variables:\n  own: {call % ACCOUNT}\n  other: {call % OTHER_ACCOUNT}\n"
        f"outputs:\n  whole: ${{up}}\n  figures: {figures}\n"
    )
    assert project.shell("pulumi up --yes --skip-preview"), project.printed
    # The resource itself is among the events.
    stream = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
    report = "cf-invoice report --from - || code=$?; test ${code:-0} ="
    assert project.shell(f"pulumi preview --json | {report} 0", **stream), project.printed
    assert "only a reference" not in project.printed
    assert project.shell(f"pulumi stack output --json | {report} {code}"), project.printed
    assert ("only a reference" in project.printed) == bool(expected)
    assert expected in project.printed
