import pulumi
import pytest

from pulumi_cf_invoice import InvoicePreview, get_invoice_preview
from pulumi_cf_invoice.sandbox import FAULTS, Sandbox
from tests.engine.conftest import ACCOUNT, MakeStack
from tests.unit.test_client import HEALED, SAID


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in HEALED])
def test_a_fault_is_one_line_and_leaves_the_state_alone(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, fault: str
) -> None:
    if SAID[fault].startswith("no complete answer"):
        settled["CF_INVOICE_TIMEOUT"] = "1.5"
    stack = make_stack(lambda: InvoicePreview("upcoming"), **settled)
    stack.up()
    sandbox.fault = fault
    run = stack.up()
    assert not run.ok
    said = SAID[fault].replace("Bearer [redacted]", "")
    assert f"account {ACCOUNT}" in run.text
    assert said in run.text
    assert "Traceback" not in run.text
    assert "sandbox-token" not in run.everything
    assert stack.resource("upcoming")["outputs"]["amount_due"] == 18846


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
