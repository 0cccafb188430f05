import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pulumi
import pulumi_cloudflare as cloudflare
import pytest

from pulumi_cf_invoice import Credentials, InvoicePreview
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.conftest import MakeStack
from tests.engine.harness import example
from tests.factories import ACCOUNT

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.mark.parametrize("name", ["quickstart", "read-only", "cost-aware-gateway"])
def test_an_example_is_a_whole_project(name: str) -> None:
    for file in ("Pulumi.yaml", "__main__.py", "README.md", "requirements.txt"):
        assert (EXAMPLES / name / file).exists()


def test_quickstart_exports_three_figures(make_stack: MakeStack, settled: dict[str, str]) -> None:
    project, program = example(EXAMPLES / "quickstart")
    run = make_stack(program, project, **settled).up()
    assert run.outputs == {
        "amount_due": 18846,
        "amount_due_text": "$188.46",
        "period": "2026-09-01 to 2026-09-30",
    }


def test_read_only_passes_expect_no_changes_while_the_figure_moves(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox
) -> None:
    project, program = example(EXAMPLES / "read-only")
    stack = make_stack(program, project, **settled)
    stack.set("cf-invoice:accountId", ACCOUNT)
    assert stack.up().outputs == {"over_budget": False}
    sandbox.amount_due = 20001
    run = stack.preview(expect_no_changes=True)
    assert run.ok, run.text
    assert "The upcoming invoice is $200.01 for 2026-09-01 to 2026-09-30." in run.text


@pytest.mark.usefixtures("cloudflare_plugin")
@pytest.mark.parametrize(
    ("due", "requests", "dollars"),
    [(-500, 1000, 50), (14999, 1000, 50), (15000, 300, 20), (18846, 100, 5), (20000, 10, 1)],
)
def test_the_gateway_slows_down_by_steps_seen_at_preview(
    make_stack: MakeStack,
    settled: dict[str, str],
    sandbox: Sandbox,
    due: int,
    requests: int,
    dollars: int,
) -> None:
    project, program = example(EXAMPLES / "cost-aware-gateway")
    stack = make_stack(program, project, **settled)
    stack.set("budget", "20000")
    sandbox.amount_due = due
    preview = stack.preview()
    assert preview.ok, preview.text
    planned = preview.new("assistant")
    assert planned["rateLimitingLimit"] == requests
    assert planned["spendLimits"]["rules"][0]["limit"] == dollars
    up = stack.up()
    assert up.ok, up.text
    assert up.outputs["requests_per_minute"] == requests
    assert up.outputs["dollars_per_day"] == dollars
    assert stack.destroy().ok


@pytest.mark.usefixtures("cloudflare_plugin")
def test_an_explicit_cloudflare_provider_lends_its_credentials(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]

    def program() -> None:
        provider = cloudflare.Provider("cloudflare", api_token="sandbox-token")
        upcoming = InvoicePreview("upcoming", credentials=Credentials.from_provider(provider))
        pulumi.export("amount_due", upcoming.amount_due)

    stack = make_stack(program, **settled)
    run = stack.up()
    assert run.ok, run.text
    assert run.outputs == {"amount_due": 18846}
    assert "sandbox-token" not in str(stack.resource("upcoming"))


@pytest.mark.usefixtures("cloudflare_plugin")
def test_a_cloudflare_provider_in_opts_is_refused_in_one_line(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    def program() -> None:
        provider = cloudflare.Provider("cloudflare", api_token="sandbox-token")
        InvoicePreview("upcoming", opts=pulumi.ResourceOptions(provider=provider))

    run = make_stack(program, **settled).preview()
    assert not run.ok
    assert "credentials=Credentials.from_provider(provider) instead" in run.text
    assert "Traceback" not in run.text


def test_the_demo_tells_its_story_of_this_month_and_leaves_nothing() -> None:
    months = {f"{datetime.now(timezone.utc):%Y-%m}"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    months.add(f"{datetime.now(timezone.utc):%Y-%m}")
    assert any(f'period         : "{month}-01 to ' in done.stdout for month in months)
    assert "amount_due      : 18846 => 20001" in done.stdout
    assert "over the limit of $150.00 by $50.01" in done.stdout
    assert "HTTP 403, code 10000: Authentication error" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "- 2 deleted" in done.stdout
