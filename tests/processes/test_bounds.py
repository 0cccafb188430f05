"""The largest answers and files, the memory that reports on them need, and what is not read."""

import copy
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pulumi_cf_invoice import Invoice
from pulumi_cf_invoice.billing import files
from tests.command import run
from tests.factories import ACCOUNT, END, START, TOKEN, api_line, api_result

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


def credits() -> dict[str, Any]:
    amounts = as_many({"amount": 1, "type": "discount"})
    return api_result(invoice_lines=[api_line(pretax_credit_amounts=amounts)])


def a_description() -> dict[str, Any]:
    return api_result(invoice_lines=[api_line(description="x/" * (LARGEST_ANSWER // 2))])


def a_period() -> dict[str, Any]:
    return api_result(period_start=0, period_end=LAST_SECOND)


PAST = {
    "amount_due": 1,
    "amount_paid": 1,
    "amount_remaining": 0,
    "currency": "usd",
    "created": START,
    "status": "paid",
}


def written(directory: Path, name: str, **reads: Any) -> Path:
    """Write a snapshot called *name* with the results of *reads*."""
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
    file = directory / f"{name}.json"
    file.write_text(json.dumps(content))
    return file


def hold_memory(
    *reports: tuple[Path, str], more: Sequence[str] = (), given: str = "--snapshot"
) -> None:
    """
    Make *reports*, each of a file and in a format, one after the other in a separate process, with
    *more* arguments. The files are *given* by an option.

    It must not need more than `MOST_MEMORY`, and so none of the reports needs more.
    """
    commands = [
        ["report", given, str(file), "--format", form, "--output", f"{file}.{form}", *more]
        for file, form in reports
    ]
    code = (
        "import sys; from pulumi_cf_invoice.cli import main; "
        f"sys.exit(any([main(command) for command in {commands!r}]))"
    )
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURE, sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(measured.stdout) * unit < MOST_MEMORY


def test_an_invoice_with_the_most_lines_has_a_report(tmp_path: Path) -> None:
    file = written(tmp_path, "lines", invoice_preview=lines())
    # JSON has all of it; the other formats first cut it to a few lines.
    hold_memory((file, "json"), (file, "html"), (file, "markdown"))


def test_the_most_lines_each_over_its_limit_have_a_report(tmp_path: Path) -> None:
    smallest = {"amount": 2, "currency": "usd", "description": "12345"}
    # Without the blanks that `dumps` adds.
    count = LARGEST_ANSWER // (len(json.dumps(smallest, separators=(",", ":"))) + 1)
    invoice_lines = [{**smallest, "description": str(n)} for n in range(count)]
    file = written(tmp_path, "over", invoice_preview=api_result(invoice_lines=invoice_lines))
    rule = {"defaultLimit": "0.01 USD", "enforcementLevel": "advisory"}
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"rules": {"max-line-amount": rule}}))
    hold_memory((file, "json"), (file, "html"), more=["--rules", str(rules)])
    [judged] = json.loads(Path(f"{file}.json").read_text())["rules"]
    assert len(judged["findings"]) == count


def test_an_invoice_of_the_largest_size_in_another_way_has_a_report(tmp_path: Path) -> None:
    largest = {made.__name__: made() for made in (credits, a_description, a_period)}
    files = [written(tmp_path, name, invoice_preview=made) for name, made in largest.items()]
    hold_memory(*((file, "json") for file in files))


def test_a_history_of_the_largest_size_has_a_report(tmp_path: Path) -> None:
    entry = {"start_time": START * 1000, "end_time": END * 1000, "aggregated_value": 1.5}
    starts = [(START - n * 86_400) * 1000 for n in range(len(as_many(entry)))]
    usage = [{**entry, "start_time": start, "end_time": start + 1000} for start in starts]
    invoices = {"invoices": as_many(PAST)}
    file = written(tmp_path, "history", invoice_history=invoices, usage_history={"history": usage})
    hold_memory((file, "text"), (file, "json"))


def test_many_invoices_of_which_a_policy_pack_says_much_have_a_report(tmp_path: Path) -> None:
    """All of it is said at the preview of each."""
    kind = "pulumi-python:dynamic/cf_invoice:InvoicePreview"
    figures = Invoice.from_api(api_result()).to_figures()
    urns = [f"urn:pulumi:dev::p::{kind}::i{number}" for number in range(300)]
    steps = []
    for number, urn in enumerate(urns):
        inputs = {**figures, "account_id": f"{number:032x}"}
        state = {"urn": urn, "type": kind, "custom": True, "inputs": inputs, "outputs": inputs}
        steps.append({"op": "create", "urn": urn, "type": kind, "new": state, "old": None})
    said = {"policyName": "p", "policyPackName": "pack", "enforcementLevel": "advisory"}
    events: list[dict[str, Any]] = [
        {"preludeEvent": {"config": {}}},
        *({"resourcePreEvent": {"metadata": step, "planning": True}} for step in steps),
        *({"resOutputsEvent": {"metadata": step, "planning": True}} for step in steps),
        *(
            {"policyEvent": {**said, "resourceUrn": urns[n % len(urns)], "message": f"m{n}"}}
            for n in range(20_000)
        ),
        {"summaryEvent": {"isPreview": True, "resourceChanges": {"create": len(urns)}}},
    ]
    file = tmp_path / "preview.json"
    file.write_text("\n".join(json.dumps({"sequence": n, **e}) for n, e in enumerate(events)))
    at = ["--at", "2026-09-15T12:00:00Z"]
    hold_memory((file, "json"), (file, "html"), more=["--budget", "900 USD", *at], given="--from")
    [_, policy] = json.loads(Path(f"{file}.json").read_text())["rules"]
    assert len(policy["findings"]) == 20_000


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/ptmx"])
def test_a_link_to_a_device_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to(device)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    snapshot = str(written(tmp_path, "snapshot.json"))
    for arguments in (
        ["report", "--from", "link", "--budget", "1 USD"],
        ["report", "--snapshot", snapshot, "--rules", "link"],
        ["report", "--snapshot", snapshot, "--budget", "1 USD", "--baseline", "link"],
        ["snapshot", "--accounts", "link", "--output", "folder"],
        ["notify", "--addresses", "link", "--snapshot", snapshot, "--budget", "1 USD"],
        ["comment", "link"],
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert done.stderr.endswith(": it is a device\n"), done.stderr
        assert done.stderr.count("\n") == 1


def test_a_file_that_is_too_large_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = written(tmp_path, "snapshot.json")
    monkeypatch.setattr(files, "LARGEST_FILE", 2**20)
    large = "{" + " " * 2**20
    assert run("show", "--snapshot", str(snapshot)).returncode == 0
    snapshot.write_text(large)
    done = run("show", "--snapshot", str(snapshot))
    assert (done.returncode, done.stderr) == (
        2,
        f"cf-invoice: cannot read {snapshot}: it is larger than 1 MiB\n",
    )
    done = run("show", "--from", "-", stdin=large)
    assert "cannot read standard input: it is larger than 1 MiB" in done.stderr
