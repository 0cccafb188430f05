"""The memory that a fetch takes, what it prints and what it imports."""

import json
import subprocess
import sys
from contextlib import ExitStack

import pytest

from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import ACCOUNT, NOW, SECRET, TOKEN
from tests.unit.test_client import stand_in
from tests.unit.test_credentials import WIDE


def in_a_process(*sandboxes: Sandbox, before: str = "", after: str = "") -> str:
    """
    Return what a process prints that reads the invoice of each sandbox, even if a read fails.

    The code *before* runs first of all, and the code *after* once each read has ended.
    """
    program = f"""
import resource, sys, types
from pulumi_cf_invoice.billing import BillingClient, BillingError, Credentials
{before}
for base_url in {[sandbox.base_url for sandbox in sandboxes]!r}:
    try:
        BillingClient(Credentials({TOKEN!r}), base_url=base_url).get_invoice_preview({ACCOUNT!r})
    except BillingError:
        pass
    {after}
"""
    # Below a shell: a child of this large process would begin with its peak of memory.
    command = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout


def test_no_answer_takes_more_memory_than_it_is_worth() -> None:
    """Nor do several of them, one after the other."""
    faults = [None, "oversized-body", "gzip-bomb", "gzip-twice", "deep-json", "empty-lines"]
    peak = "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    with ExitStack() as running:
        sandboxes = [
            running.enter_context(Sandbox("ten-thousand-lines", fault, now=NOW)) for fault in faults
        ]
        peaks = in_a_process(*sandboxes, after=peak).split()
        assert all(sandbox.requests for sandbox in sandboxes)
    assert [fault for fault, most in zip(faults, peaks, strict=True) if int(most) >= 300_000] == []


def test_nothing_is_printed_where_structlog_is_installed(sandbox: Sandbox) -> None:
    """Retries print nothing, although structlog makes some libraries log to standard output."""
    sandbox.fault = "http-503"
    structlog = "sys.modules['structlog'] = types.ModuleType('structlog')"
    assert in_a_process(sandbox, before=structlog) == ""


# A child of a large process would begin with its peak of memory.
GROWTH = """
import resource
from pulumi_cf_invoice.billing.credentials import Secrets
text = {unit!r} * (16 * 2**20 // len({unit!r}.encode()))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Secrets([{secret!r}]).redact(text)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("unit", [SECRET, f"{SECRET}\u4e00\u4e01", WIDE])
def test_an_answer_full_of_the_token_needs_little_memory(unit: str) -> None:
    program = GROWTH.format(unit=unit, secret=SECRET)
    command = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, program]
    grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(grown) < 200_000


def test_what_a_read_needs_is_imported_before_its_thread_starts(sandbox: Sandbox) -> None:
    """A fork during the first read would inherit the lock of an import for good."""
    assert imported_late(sandbox.base_url) == "[]\n"


def test_so_is_what_a_long_refusal_needs() -> None:
    refused = json.dumps({"errors": [{"message": "x " * 200}]})
    with stand_in(refused, 403) as (base_url, _):
        assert imported_late(base_url) == "[]\n"


def imported_late(base_url: str) -> str:
    """Return what a process that reads from *base_url* imports meanwhile, as it prints that."""
    program = f"""
import sys, threading
from contextlib import suppress
from pulumi_cf_invoice.billing import BillingClient, Credentials
from pulumi_cf_invoice.billing.errors import ApiError
late = []
class Watch:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            late.append(name)
client = BillingClient(Credentials({TOKEN!r}), base_url={base_url!r})
sys.meta_path.insert(0, Watch())
with suppress(ApiError):
    client.get_invoice_preview({ACCOUNT!r})
    client.get_credit_balance({ACCOUNT!r})
    client.get_usage_history({ACCOUNT!r})
    client.get_invoice_history({ACCOUNT!r})
print(late)
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return done.stdout
