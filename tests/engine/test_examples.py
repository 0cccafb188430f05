import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pulumi
import pulumi_cloudflare as cloudflare
import pytest
import yaml

from pulumi_cf_invoice import Credentials, InvoicePreview
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.conftest import MakeStack
from tests.engine.harness import (
    CommandLine,
    command_line,
    copy_example,
    copy_with_environment,
    example,
)
from tests.factories import ACCOUNT

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


CLONE = "/path/to/pulumi-cf-invoice"
PROJECTS = sorted(EXAMPLES.rglob("Pulumi.yaml"))


def commands(example: str) -> str:
    """Return the commands of an example's README, in order, as a shell script."""
    readme = (EXAMPLES / example / "README.md").read_text()
    return "\n".join(re.findall(r"^ {4}(.*)", readme, flags=re.M))


def test_no_two_examples_have_one_name() -> None:
    names = [yaml.safe_load(file.read_text())["name"] for file in PROJECTS]
    assert len(names) == 9
    assert len(set(names)) == len(names)


def test_no_example_refers_to_what_is_outside_of_its_folder() -> None:
    """Copied anywhere, it finds the package in a wheel of its own, and asks no index for it."""
    wheel = f"./wheels/pulumi_cf_invoice-{version('pulumi-cf-invoice')}-py3-none-any.whl"
    for file in EXAMPLES.rglob("requirements.txt"):
        assert [line.partition("[")[0] for line in file.read_text().splitlines()] == [wheel]
    for file in PROJECTS:
        assert ".." not in file.read_text()
    assert f"`{wheel}`" in (ROOT / "README.md").read_text()


@pytest.fixture
def copied(
    tmp_path: Path, sandbox: Sandbox, offline: dict[str, str]
) -> Callable[[str], CommandLine]:
    """A function that copies an example, and returns a shell there that knows the sandbox."""

    def make(example: str) -> CommandLine:
        shell = command_line(
            tmp_path, copy_example(EXAMPLES / example, tmp_path / "copies" / example)
        )
        shell.environment |= {"CLOUDFLARE_BASE_URL": sandbox.base_url, **offline}
        return shell

    return make


def follow(shell: CommandLine, example: str) -> bool:
    """Run the commands of an example's README with a token and the path of this clone."""
    written = commands(example)
    assert "TOKEN\n" in written
    script = written.replace(CLONE, str(ROOT)).replace("TOKEN\n", "sandbox-token\n")
    return shell.shell(script)


@pytest.mark.usefixtures("cloudflare_plugin")
@pytest.mark.parametrize(
    ("example", "shown"),
    [
        ("quickstart", 'amount_due_text: "$188.46"'),
        ("cost-aware-gateway", "requests_per_minute: 100"),
    ],
)
def test_a_copy_does_what_its_readme_says(
    copied: Callable[[str], CommandLine], example: str, shown: str
) -> None:
    shell = copied(example)
    assert follow(shell, example), shell.said
    assert shown in shell.said
    assert (shell.directory / "venv" / "bin" / "cf-invoice").exists()


def test_the_read_only_example_is_set_up_like_the_quickstart() -> None:
    *quickstart, _ = commands("quickstart").splitlines()
    up, preview = "pulumi up --yes", "pulumi preview --expect-no-changes"
    assert commands("read-only").splitlines() == [*quickstart, up, preview]
    manifests = [EXAMPLES / name / "requirements.txt" for name in ("quickstart", "read-only")]
    assert len({file.read_text() for file in manifests}) == 1


def test_a_copy_of_the_yaml_example_does_what_its_readme_says(
    copied: Callable[[str], CommandLine],
) -> None:
    shell = copied("yaml/quickstart")
    file = shell.directory / "Pulumi.yaml"
    file.write_text(file.read_text().replace(CLONE, str(ROOT)))
    assert follow(shell, "yaml/quickstart"), shell.said
    assert 'amountDueText: "$188.46"' in shell.said


@pytest.mark.parametrize(
    "example", ["typescript/quickstart", "typescript/cost-aware-gateway", "go/quickstart"]
)
def test_a_readme_of_another_language_is_followed_as_far_as_no_host_of_it_is_needed(
    copied: Callable[[str], CommandLine], example: str
) -> None:
    """Pulumi's hosts for them, which the first and last commands need, are in no registry."""
    add, install, *settings, preview = commands(example).splitlines()
    assert add == f"pulumi package add {CLONE}"
    assert install.startswith("pulumi install ")
    assert preview == "pulumi preview"
    shell = copied(example)
    assert shell.shell("\n".join(settings)), shell.said
    assert shell.shell("pulumi config --stack dev"), shell.said
    assert ACCOUNT in shell.said


def test_a_copy_of_the_policy_pack_is_installed_by_its_readme_and_gates_a_project_beside_it(
    copied: Callable[[str], CommandLine], sandbox: Sandbox
) -> None:
    shell = copied("policy-pack")
    file = shell.directory / "rules.json"
    content = json.loads(file.read_text())
    content["rules"]["account-budget"]["baseUrl"] = sandbox.base_url
    content["rules"]["max-amount-due"]["limit"] = "200 USD"
    file.write_text(json.dumps(content))
    copy_with_environment(EXAMPLES / "quickstart", shell.directory.with_name("quickstart"))
    set_up = f"pulumi stack init dev\npulumi config set cf-invoice:accountId {ACCOUNT}"
    assert shell.shell(f"cd ../quickstart\n{set_up}"), shell.said
    assert follow(shell, "policy-pack"), shell.said
    assert "is $188.46 for 2026-09-01 to 2026-09-30, over the limit of $120.00" in shell.said
    sandbox.amount_due = 20001
    token = "export CLOUDFLARE_API_TOKEN=sandbox-token"
    last = commands("policy-pack").splitlines()[-1]
    assert not shell.shell(f"cd ../quickstart\n{token}\n{last}")
    assert "over the limit of $200.00 by $0.01" in shell.said


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
    [(-500, 1000, 50), (14999, 1000, 50), (15000, 300, 20), (20000, 10, 1)],
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


@pytest.mark.usefixtures("cloudflare_plugin")
def test_the_gateway_is_deployed_with_the_limits_that_the_preview_showed(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    project, program = example(EXAMPLES / "cost-aware-gateway")
    stack = make_stack(program, project, **settled)
    stack.set("budget", "20000")
    up = stack.up()
    assert up.ok, up.text
    assert up.outputs["requests_per_minute"] == 100
    assert up.outputs["dollars_per_day"] == 5
    assert stack.destroy().ok


@pytest.mark.usefixtures("cloudflare_plugin")
@pytest.mark.parametrize(
    ("scenario", "balance", "dollars"),
    [("usual", "$92.00", 13), ("negative-balance", "-$12.75", 1)],
)
def test_a_gateway_spends_a_share_of_the_credits_that_are_left(
    make_stack: MakeStack,
    settled: dict[str, str],
    sandbox: Sandbox,
    scenario: str,
    balance: str,
    dollars: int,
) -> None:
    project, program = example(EXAMPLES / "credit-aware-gateway")
    sandbox.scenario = scenario
    preview = make_stack(program, project, **settled).preview()
    assert preview.ok, preview.text
    assert preview.new("assistant")["spendLimits"]["rules"][0]["limit"] == dollars
    assert f'credit_balance : "{balance}"' in preview.text


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
    months = {f"{datetime.now(UTC):%Y-%m}"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    months.add(f"{datetime.now(UTC):%Y-%m}")
    assert any(f'period         : "{month}-01 to ' in done.stdout for month in months)
    assert "amount_due      : 18846 => 20001" in done.stdout
    assert "over the limit of $150.00 by $50.01" in done.stdout
    assert "HTTP 403, code 10000: Authentication error" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "- 2 deleted" in done.stdout
