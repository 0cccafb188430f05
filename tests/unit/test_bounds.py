"""Reports on the largest answers that a client accepts, and the memory they need."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.factories import ACCOUNT, END, START, api_line, api_result

LARGEST_ANSWER = 4 * 2**20
MOST_MEMORY = 300 * 2**20
LAST_SECOND = 253_402_300_799
# A process starts with the peak of the one that forked it, and a test's can be large.
_MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def as_many(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return *entry* as often as an answer may have it."""
    return [entry] * (LARGEST_ANSWER // len(json.dumps(entry)))


def lines() -> dict[str, Any]:
    count = len(as_many(api_line()))
    return api_result(invoice_lines=[api_line(description=f"a/{n}") for n in range(count)])


INVOICES: dict[str, Any] = {
    "lines": lines(),
    "credits": api_result(
        invoice_lines=[
            api_line(pretax_credit_amounts=as_many({"amount": 1, "type": "discount"})),
        ]
    ),
    "a description": api_result(invoice_lines=[api_line(description="x/" * (LARGEST_ANSWER // 2))]),
    "a period": api_result(period_start=0, period_end=LAST_SECOND),
}
PAST = {
    "amount_due": 1,
    "amount_paid": 1,
    "amount_remaining": 0,
    "currency": "usd",
    "created": START,
    "status": "paid",
}


def written(directory: Path, **reads: Any) -> Path:
    """Write a snapshot with the results of *reads*."""
    answers = {
        name.replace("_", "-"): {"query": {}, "complete": True, "result": result}
        for name, result in {"invoice_preview": api_result(), **reads}.items()
    }
    content = {
        "version": 1,
        "account_id": ACCOUNT,
        "read_at": "2026-09-15T12:00:00Z",
        "base_url": "https://api.cloudflare.com/client/v4",
        "reads": copy.deepcopy(answers),
    }
    file = directory / "snapshot.json"
    file.write_text(json.dumps(content))
    return file


def hold_memory(file: Path, form: str) -> None:
    """Report on *file* in a separate process, which must not need more than `MOST_MEMORY`."""
    command = ["report", "--from", str(file), "--format", form, "--output", f"{file}.report"]
    code = f"import sys; from pulumi_cf_invoice.cli import main; sys.exit(main({command!r}))"
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURE, sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(measured.stdout) * unit < MOST_MEMORY


# JSON has all of it; the other formats first cut it to a few lines.
@pytest.mark.parametrize(
    ("kind", "form"),
    [*((kind, "json") for kind in INVOICES), ("lines", "html"), ("lines", "markdown")],
)
def test_an_invoice_of_the_largest_size_has_a_report(kind: str, form: str, tmp_path: Path) -> None:
    hold_memory(written(tmp_path, invoice_preview=INVOICES[kind]), form)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_history_of_the_largest_size_has_a_report(form: str, tmp_path: Path) -> None:
    entry = {"start_time": START * 1000, "end_time": END * 1000, "aggregated_value": 1.5}
    starts = [(START - n * 86_400) * 1000 for n in range(len(as_many(entry)))]
    usage = [{**entry, "start_time": start, "end_time": start + 1000} for start in starts]
    file = written(
        tmp_path, invoice_history={"invoices": as_many(PAST)}, usage_history={"history": usage}
    )
    hold_memory(file, form)
