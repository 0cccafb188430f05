from collections.abc import Iterator
from typing import Any, NamedTuple

import pulumi
import pulumi_cf_invoice_sdk as sdk
import pytest

from pulumi_cf_invoice import InvoicePreview, get_invoice_preview
from pulumi_cf_invoice.sandbox import Sandbox
from tests.conftest import pointed_at, september
from tests.engine.conftest import MakeStack, deployed_stack
from tests.engine.forms import FORMS, in_turn
from tests.engine.harness import Stack
from tests.factories import ACCOUNT
from tests.unit.test_client import BRIEF, SAID


class Deployed(NamedTuple):
    """A deployed stack, its resources as stored, and the sandbox that its invoice comes from."""

    stack: Stack
    stored: list[dict[str, Any]]
    sandbox: Sandbox


@pytest.fixture(scope="module", params=FORMS)
def deployed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, forking: None
) -> Iterator[Deployed]:
    """One deployed stack per form, shared by all faults because none may change its state."""
    form = FORMS[request.param]
    with september() as sandbox:
        directory = tmp_path_factory.mktemp(request.param)
        stack = deployed_stack(directory, tmp_path_factory, form, **pointed_at(sandbox))
        assert stack.resource("upcoming")["outputs"][form.spelled("amount_due")] == 18846
        yield Deployed(stack, stack.stored(), sandbox)


# One fault of each kind and one of each oddity of text; the client's unit tests cover them all.
ON_THE_ENGINE = [
    *("http-403", "http-404", "http-429-long", "http-503", "error-chain", "several-errors"),
    *("challenge", "hostile-message", "redirect-elsewhere", "reset", "slow", "gzip-bomb"),
    *("html", "empty-body", "missing-fields", "inexact-amount", "echoed-credentials"),
]


@pytest.mark.parametrize(
    ("fault", "deployed"),
    [*in_turn(*ON_THE_ENGINE), (ON_THE_ENGINE[0], "plugin")],
    indirect=["deployed"],
)
def test_a_fault_is_one_line_and_leaves_the_state_alone(deployed: Deployed, fault: str) -> None:
    stack, stored, sandbox = deployed
    slow = SAID[fault].startswith("no complete answer")
    stack.environment["CF_INVOICE_TIMEOUT"] = str(BRIEF) if slow else "30"
    sandbox.fault = fault
    run = stack.up()
    assert not run.ok
    message = SAID[fault].replace("Bearer [redacted]", "")
    assert f"account {ACCOUNT}" in run.text
    assert message in run.text
    assert "Traceback" not in run.text
    assert "sandbox-token" not in run.everything
    assert stack.stored() == stored


@pytest.mark.parametrize("fault", ["http-403", "html", "reset"])
def test_get_and_function_fail_in_the_program_in_one_line(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, fault: str
) -> None:
    sandbox.fault = fault
    for program in (
        lambda: InvoicePreview.get("read", ACCOUNT),
        lambda: pulumi.export("due", get_invoice_preview().amount_due),
    ):
        run = make_stack(program, **settled).preview()
        assert not run.ok
        assert SAID[fault] in run.text
        assert "Traceback" not in run.text


@pytest.mark.parametrize("fault", ["http-403", "html", "reset"])
def test_a_read_of_the_plugin_fails_in_one_line_and_its_function_with_that_line(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, fault: str
) -> None:
    sandbox.fault = fault
    read = make_stack(lambda: sdk.InvoicePreview.get("read", ACCOUNT), **settled).preview()
    assert not read.ok
    assert SAID[fault] in read.text
    assert "Traceback" not in read.text
    # Pulumi's SDK raises this in the program as an exception of its own, so a traceback is allowed.
    asked = make_stack(lambda: sdk.get_invoice_preview_output(), **settled).preview()
    assert not asked.ok
    assert "returned an error: cannot read the upcoming invoice of account" in asked.text
    assert SAID[fault] in asked.text
    assert "plugin.py" not in asked.text
