"""The core and `cf-invoice show --from` work without Pulumi installed."""

import subprocess
import sys

from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import ACCOUNT
from tests.unit.test_cli import UPDATE

BLOCKED = "import sys; sys.modules['pulumi'] = sys.modules['pulumi_policy'] = None\n"


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_whole_core_can_be_used(sandbox: Sandbox) -> None:
    """Client, cache, models, money, settings, credentials, errors, limits and rules all work."""
    printed = run(f"""
import os, pickle
from datetime import UTC, datetime
from pulumi_cf_invoice import ApiError, Invoice, state
from pulumi_cf_invoice.rules import limits, on_invoices
from pulumi_cf_invoice.billing import BillingClient, Credentials, LimitError, cache, money, settings
from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.forecast import forecast_invoice

client = BillingClient(Credentials("sandbox-token"), base_url="{sandbox.base_url}")
invoice = client.get_invoice_preview("{ACCOUNT}")
print(invoice.text, money.to_text(invoice.net, invoice.currency))
assert Invoice.from_outputs(invoice.to_outputs()) == invoice

wrong = BillingClient(Credentials("wrong"), base_url="{sandbox.base_url}")
try:
    wrong.get_invoice_preview("{ACCOUNT}")
except ApiError as error:
    print(pickle.loads(pickle.dumps(error)))

variables = {{"CLOUDFLARE_API_TOKEN": "sandbox-token", "CLOUDFLARE_BASE_URL": "{sandbox.base_url}"}}
resolved = settings.resolve("{ACCOUNT}", [settings.environment(variables)])
for read in READS:
    assert cache.AnswerCache().get(read, resolved).to_figures()

print(forecast_invoice(invoice, at=datetime.now(UTC)).method_text)
rule = on_invoices.MaxAmountDue(limits.Limit.parse("150 USD"))
found = rule.evaluate(state.InvoiceState("{ACCOUNT}", invoice), datetime.now(UTC))
print(*(finding.message for finding in found))
try:
    limits.parse_amount("250")
except LimitError as error:
    print(error)
""")
    assert "$188.46 for 2026-09-01 to 2026-09-30 $188.46" in printed
    assert "straight line" in printed or "period has ended" in printed or "too early" in printed
    assert "HTTP 403, code 10000: Authentication error" in printed
    assert "over the limit of $150.00 by $38.46" in printed
    assert "'250' has no currency" in printed


def test_show_reads_a_file() -> None:
    arguments = ["show", "--from", UPDATE]
    printed = run(f"from pulumi_cf_invoice.cli import main; sys.exit(main({arguments!r}))")
    assert "$200.01 for September, which has ended." in printed


def test_importing_the_core_imports_no_pulumi() -> None:
    printed = run("""
sys.modules.pop('pulumi'), sys.modules.pop('pulumi_policy')
import pulumi_cf_invoice.billing.cache, pulumi_cf_invoice.rules, pulumi_cf_invoice.report.input
print(*(name for name in sys.modules if name.split('.')[0] == 'pulumi'))
""")
    assert printed.split() == []
