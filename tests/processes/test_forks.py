"""A process that forks while it fetches."""

import os
import subprocess
import sys

import pytest

from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import ACCOUNT, TOKEN


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_during_a_fetch_does_not_hang_the_child(sandbox: Sandbox) -> None:
    """The child fetches the invoice itself, as its parent's threads do not exist there."""
    sandbox.fault, sandbox.fail_times = "slow", 1
    program = f"""
import os
from pulumi_cf_invoice.billing import Credentials, cache
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import Settings

settings = Settings("{ACCOUNT}", Credentials("{TOKEN}"), "{sandbox.base_url}", 20)
pending = cache.of_this_process().ask(INVOICE_PREVIEW, settings)
while not pending.running() and not pending.done():
    import urllib.request
    told = urllib.request.urlopen("{sandbox.base_url}".replace("/client/v4", "/sandbox")).read()
    if b'"requests":1' in told.replace(b" ", b""):
        break
if os.fork() == 0:
    print(cache.of_this_process().get(INVOICE_PREVIEW, settings).text, flush=True)
    os._exit(0)
os.wait()
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=30
    )
    assert "$188.46 for 2026-09-01 to 2026-09-30" in done.stdout, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_at_any_moment_of_the_first_fetch_does_not_hang_the_child(sandbox: Sandbox) -> None:
    """A module that a thread imports while its process forks would stay locked in the child."""
    program = f"""
import os, threading, time
from pulumi_cf_invoice.billing import Credentials, cache
from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.billing.settings import Settings

settings = Settings("{ACCOUNT}", Credentials("{TOKEN}"), "{sandbox.base_url}", 20)
for read in READS:
    cache.of_this_process().ask(read, settings)
    for moment in range(5):
        if os.fork() == 0:
            print(len(cache.of_this_process().get(READS[0], settings).text), flush=True)
            os._exit(0)
        time.sleep(moment / 1000)
for _ in range(5 * len(READS)):
    os.wait()
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=100
    )
    assert len(done.stdout.split()) == 5 * len(READS), done.stderr
