"""
The benchmark of many accounts: how long one process takes to read them all, and with what.

Each run is a process of its own against a sandbox that answers after 200 ms over TLS. The limit is
what 16 requests at a time come to; the peer sends the same requests with httpx alone.
"""

import json
import math
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trustme

from benchmarks.results import say
from pulumi_cf_invoice.billing.pool import READS_AT_ONCE
from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import NOW, TOKEN

LATENCY = 0.2
"""Seconds until the sandbox answers."""
STATED = "1000000/5m"
"""A rate limit out of reach, so that answers say what is left of it, as Cloudflare's do."""
TARGETS = {100: 1.5, 1000: 1.3}
"""The most that a run may take, as a multiple of the limit, by its number of accounts."""
MEMORY = 150
"""The most memory of a run, in MB."""

_MEASURED = """
import json, resource, sys, threading, time
given = json.loads(sys.argv[1])
most = 0
def watch():
    global most
    while True:
        most = max(most, threading.active_count() - 1)
        time.sleep(0.05)
threading.Thread(target=watch, daemon=True).start()
PROGRAM
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
print(json.dumps({"took": took, "read": read, "threads": most - 1, "peak": peak}))
"""
_OURS = """
from pulumi_cf_invoice.billing import BillingClient, Credentials
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW, READS
client = BillingClient(
    Credentials(given["token"]), base_url=given["base_url"], longest_wait=float("inf")
)
reads = READS if given["every_read"] else [INVOICE_PREVIEW]
started = time.perf_counter()
asked = [client.submit(read, account) for account in given["accounts"] for read in reads]
read = sum(answer.exception() is None for answer in asked)
took = time.perf_counter() - started
"""
_BARE = """
from concurrent.futures import ThreadPoolExecutor
import httpx
started = time.perf_counter()
http = httpx.Client(
    headers={"Authorization": f"Bearer {given['token']}"},
    limits=httpx.Limits(max_connections=16, max_keepalive_connections=16),
)
def ask(account):
    url = f"{given['base_url']}/accounts/{account}/ai-gateway/billing/invoice-preview"
    return http.get(url).json()["success"]
with ThreadPoolExecutor(16) as threads:
    read = sum(threads.map(ask, given["accounts"]))
took = time.perf_counter() - started
"""


_COMMAND = """
from pulumi_cf_invoice.cli import main
started = time.process_time()
code = main(given)
took, read = time.process_time() - started, None
# 0, and 1 for over budget, are results.
if code > 1:
    raise SystemExit(code)
"""


def section() -> str:
    """Measure runs over many accounts, and return them as a section of the results."""
    rows = [measured(count) for count in (1, 10, 100, 1000)]
    rows.append(measured(100, every_read=True))
    lines = [
        "## Many accounts",
        "",
        f"Each account at {LATENCY * 1000:.0f} ms an answer over TLS, in one process. The limit is "
        f"what {READS_AT_ONCE} requests at a time come to; the peer sends the same requests with "
        "httpx alone.",
        "",
        "| accounts | requests for each | took | the limit | ratio | the peer | connections | "
        "threads | peak memory |",
        "|---|---|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        limited(),
        "",
        *reports(),
        "",
        *programs(),
    ]
    return "\n".join(lines)


def measured(count: int, every_read: bool = False) -> tuple[str, ...]:
    """Return the row of a run over *count* accounts."""
    say(f"{count:,} accounts")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with (
        tempfile.TemporaryDirectory() as directory,
        Sandbox(
            now=NOW, tls=context, number_of_accounts=count, rate_limit=STATED, latency=LATENCY
        ) as sandbox,
    ):
        certificates = Path(directory) / "ca.pem"
        authority.cert_pem.write_to_path(str(certificates))
        given = {
            "base_url": sandbox.base_url,
            "token": TOKEN,
            "accounts": sandbox.directory.ids,
            "every_read": every_read,
        }
        trusting = {"SSL_CERT_FILE": str(certificates)}
        ours = _run(_OURS, given, trusting)
        connections, requests = sandbox.most_connections, len(sandbox.asked)
        bare = None if every_read else _run(_BARE, given, trusting)
    limit = math.ceil(requests / READS_AT_ONCE) * LATENCY
    target = f" (≤ {TARGETS[count]})" if count in TARGETS and not every_read else ""
    return (
        f"{count:,}",
        f"{requests / count:g}",
        f"{ours['took']:.2f} s",
        f"{limit:.1f} s",
        f"{ours['took'] / limit:.2f}{target}",
        "" if bare is None else f"{bare['took'] / limit:.2f}",
        f"{connections} (≤ {READS_AT_ONCE})",
        f"{ours['threads']} (≤ {READS_AT_ONCE})",
        f"{ours['peak']:.0f} MB (≤ {MEMORY})",
    )


def limited(count: int = 300, rate_limit: str = "100/3s") -> str:
    """Return a sentence on a run over *count* accounts under a rate limit."""
    say(f"{count} accounts under a rate limit")
    with Sandbox(now=NOW, number_of_accounts=count, rate_limit=rate_limit) as sandbox:
        given = {
            "base_url": sandbox.base_url,
            "token": TOKEN,
            "accounts": sandbox.directory.ids,
            "every_read": False,
        }
        ours = _run(_OURS, given, {})
        refused = sandbox.refusals
    return (
        f"{count} accounts under a rate limit of {rate_limit}: {ours['read']} read ({count}) in "
        f"{ours['took']:.1f} s, {refused} answers of HTTP 429 (≤ 5)."
    )


def reports(count: int = 1000) -> list[str]:
    """Return the rows of reports on *count* accounts in a folder of snapshots, in each format."""
    say(f"reports on {count:,} accounts")
    rows = []
    with (
        Sandbox(now=NOW, number_of_accounts=count, rate_limit=STATED) as sandbox,
        tempfile.TemporaryDirectory() as directory,
    ):
        address = {"CLOUDFLARE_BASE_URL": sandbox.base_url, "CLOUDFLARE_API_TOKEN": TOKEN}
        folder, file = f"{directory}/snapshots", Path(directory) / "report"
        _run(_COMMAND, ["snapshot", "--all-accounts", "--output", folder], address)
        given = ["--snapshot", folder, "--at", NOW.isoformat(), "--budget", "500 USD"]
        for form in ("text", "markdown", "html", "json"):
            command = ["report", *given, "--format", form, "--output", str(file)]
            done = _run(_COMMAND, command, {})
            size = f"{file.stat().st_size / 1e6:.2f} MB"
            target = " (≤ 2)" if form == "html" else ""
            rows.append(
                f"| {form} | {done['took']:.1f} s | {done['peak']:.0f} MB (≤ {MEMORY}) | "
                f"{size}{target} |"
            )
    return [
        f"Reports on {count:,} accounts from a folder of their snapshots, by one rule.",
        "",
        "| format | processor time | peak memory | size |",
        "|---|---|---|---|",
        *rows,
    ]


def programs(count: int = 50) -> list[str]:
    """Return the rows of programs that read *count* accounts, in each form."""
    # Only a machine with an engine has what these need.
    import pulumi

    from tests.engine.forms import FORMS
    from tests.engine.harness import Stack

    rows = []
    for name, form in FORMS.items():
        for what, ask in (("resources", None), ("functions", form.output_function)):
            say(f"{count} accounts as {what} of the form {name}")
            with (
                Sandbox(
                    now=NOW, number_of_accounts=count, rate_limit=STATED, latency=LATENCY
                ) as sandbox,
                tempfile.TemporaryDirectory() as directory,
            ):

                def program(form=form, ask=ask, ids=tuple(sandbox.directory.ids)) -> None:  # type: ignore[no-untyped-def]
                    for number, account in enumerate(ids):
                        if ask is None:
                            form.resource(f"upcoming-{number}", account)
                        else:
                            pulumi.export(f"due-{number}", ask(account).amount_due)

                environment = {
                    "CLOUDFLARE_BASE_URL": sandbox.base_url,
                    "CLOUDFLARE_API_TOKEN": TOKEN,
                }
                stack = Stack(Path(directory), program, **environment)
                started = time.perf_counter()
                run = stack.preview()
                took = time.perf_counter() - started
                if not run.ok:
                    raise RuntimeError(run.text)
            rows.append(
                f"| {what}, {name} | {took:.1f} s | {sandbox.most_connections} | "
                f"{len(sandbox.asked)} |"
            )
    return [
        f"A preview of a program that reads {count} accounts, the engine's own time included. It "
        "checks one resource after the other, whatever the form. Checking a dynamic resource also "
        "reads the accounts of the resources after it; functions are called at once.",
        "",
        "| as | took | connections | requests |",
        "|---|---|---|---|",
        *rows,
    ]


def _run(program: str, given: Any, environment: dict[str, str]) -> dict[str, Any]:
    code = _MEASURED.replace("PROGRAM", program)
    # Below a shell: a child of this large process would begin with its peak of memory.
    command = ["sh", "-c", '"$0" -W ignore -c "$1" "$2"; exit $?', sys.executable, code]
    done = subprocess.run(
        [*command, json.dumps(given)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=600,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
