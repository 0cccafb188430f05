"""Answers of the API in which what only explains is null or missing, as the command reads them."""

from pathlib import Path

import pytest

from pulumi_cf_invoice.cli import main
from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import ACCOUNT

DATA = Path(__file__).parent / "data" / "lenient"


@pytest.mark.parametrize(
    ("file", "so_far"),
    [
        ("lines-null.json", ": nothing used so far"),
        ("invoices-null.snapshot.json", " so far: $145.00"),
        ("credit-type-null.json", " so far: $174.87 in September"),
    ],
)
def test_null_where_nothing_is_does_not_refuse_a_report(
    file: str, so_far: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--at", "2026-09-15T12:00:00Z"]
    option = "--snapshot" if "snapshot" in file else "--from"
    assert main(["report", option, str(DATA / file), *at, "--budget", "250 USD"]) == 0
    assert capsys.readouterr().out.startswith(f"Within budget{so_far}")


@pytest.mark.parametrize("fault", ["long-texts", "long-signs"])
@pytest.mark.parametrize(
    "command",
    [
        ["show"],
        ["doctor"],
        ["forecast"],
        ["snapshot"],
        ["report", "--budget", "250 USD"],
        ["report", "--format", "markdown", "--budget", "250 USD"],
        ["report", "--format", "html", "--budget", "250 USD"],
        ["report", "--format", "json", "--budget", "250 USD"],
    ],
    ids=" ".join,
)
def test_a_text_of_a_megabyte_holds_up_no_command(
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: str,
    command: list[str],
) -> None:
    """A read is bounded by its timeout, and nothing holds the interpreter for longer."""
    sandbox.fault = fault
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "sandbox-token")
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
    monkeypatch.setenv("CF_INVOICE_TIMEOUT", "20")
    assert main(command) == 0
    assert len(capsys.readouterr().out) < 5_000_000
