"""Answers of the API in which what only explains is null or missing, as the command reads them."""

from pathlib import Path

import pytest

from pulumi_cf_invoice.cli import main

DATA = Path(__file__).parent / "data" / "lenient"


@pytest.mark.parametrize(
    ("file", "amount"),
    [
        ("lines-null.json", "$0.00"),
        ("invoices-null.snapshot.json", "$145.00"),
        ("credit-type-null.json", "$174.87"),
    ],
)
def test_null_where_nothing_is_does_not_refuse_a_report(
    file: str, amount: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--at", "2026-09-15T12:00:00Z"]
    assert main(["report", "--from", str(DATA / file), *at, "--budget", "250 USD"]) == 0
    assert f"the upcoming invoice is {amount} for" in capsys.readouterr().out
