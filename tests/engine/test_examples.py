import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pulumi
import pulumi_cloudflare as cloudflare
import pytest
import yaml

from pulumi_cf_invoice import Credentials, InvoicePreview
from pulumi_cf_invoice.sandbox import Sandbox
from tests.docs import OTHERS, PAGES
from tests.engine.conftest import MakeStack
from tests.engine.harness import (
    AUTHOR,
    CommandLine,
    command_line,
    commit_files,
    copy_example,
    copy_with_environment,
    example,
    run,
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


PLACEHOLDER = "./third_party/pulumi_cf_invoice-0.0.0-py3-none-any.whl"


def test_no_example_refers_to_what_is_outside_of_its_folder() -> None:
    """Copied anywhere, it finds the package in its own wheel, without asking an index for it."""
    for file in EXAMPLES.rglob("requirements.txt"):
        named = [line.partition("[")[0] for line in file.read_text().splitlines()]
        assert named == [PLACEHOLDER], "vendor.py writes the wheel's name here"
    assert PLACEHOLDER in (EXAMPLES / "policy-pack" / "pyproject.toml").read_text()
    for file in PROJECTS:
        assert ".." not in file.read_text()


# The one for CI is copied into a project that is there already.
TEMPLATES = [file for file in PROJECTS if file.parent.name != "ci"]


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.parent.relative_to(EXAMPLES)))
def test_pulumi_new_asks_for_the_account_and_for_a_token_as_a_secret(file: Path) -> None:
    template = yaml.safe_load(file.read_text())["template"]
    assert template["displayName"]
    assert "README.md" in template["quickstart"]
    config = template["config"]
    assert all(setting["description"] for setting in config.values())
    assert not config["cf-invoice:accountId"].get("secret")
    tokens = [setting for name, setting in config.items() if name.endswith(":apiToken")]
    assert [setting["secret"] for setting in tokens] == [True] * len(tokens)
    assert tokens or "CLOUDFLARE_API_TOKEN" in commands(str(file.parent.relative_to(EXAMPLES)))


@pytest.mark.parametrize("path", [*PAGES, *OTHERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_hands_a_token_over_on_a_command_line_that_stores_it_in_plain(path: Path) -> None:
    """`pulumi new -c cf-invoice:apiToken=…` did, although the template says that it is a secret."""
    text = (PAGES | OTHERS)[path]
    assert not re.search(r"(-c|--config|--path) \S*(apiToken|apiKey)=", text)
    assert not re.search("config set (?!--secret)\\S*(apiToken|apiKey)", text)


@pytest.fixture
def started(
    tmp_path: Path, sandbox: Sandbox, offline: dict[str, str]
) -> Callable[[str], CommandLine]:
    """A function that returns a shell in an empty folder for an example; it knows the sandbox."""

    def start(example: str) -> CommandLine:
        folder = tmp_path / "projects" / example
        folder.mkdir(parents=True)
        shell = command_line(tmp_path, folder)
        shell.environment |= {"CLOUDFLARE_BASE_URL": sandbox.base_url, **offline}
        # The wheel is built with what this environment has; other tests build it apart.
        shell.environment["PIP_NO_BUILD_ISOLATION"] = "false"
        return shell

    return start


def script(lines: Sequence[str], clone: Path = ROOT) -> str:
    """Return commands of a README for a shell, with a token, a clone's path, and no questions."""
    written = "\n".join([*lines, ""]).replace(CLONE, str(clone))
    return written.replace("TOKEN\n", "sandbox-token\n").replace("pulumi new ", "pulumi new --yes ")


def follow(shell: CommandLine, example: str) -> bool:
    """Run the commands of an example's README."""
    written = commands(example)
    assert "TOKEN\n" in written
    return shell.shell(script(written.splitlines()))


@pytest.mark.usefixtures("cloudflare_plugin")
def test_an_example_does_what_its_readme_says(started: Callable[[str], CommandLine]) -> None:
    shell = started("cost-aware-gateway")
    assert follow(shell, "cost-aware-gateway"), shell.printed
    assert "requests_per_minute: 100" in shell.printed
    assert (shell.directory / "venv" / "bin" / "cf-invoice").exists()


def test_the_read_only_example_is_set_up_like_the_quickstart() -> None:
    *quickstart, _ = commands("quickstart").replace("quickstart", "read-only").splitlines()
    up, preview = "pulumi up --yes", "pulumi preview --expect-no-changes"
    assert commands("read-only").splitlines() == [*quickstart, up, preview]
    manifests = [EXAMPLES / name / "requirements.txt" for name in ("quickstart", "read-only")]
    assert len({file.read_text() for file in manifests}) == 1


@pytest.mark.longest
def test_a_colleague_s_clone_needs_neither_the_package_s_clone_nor_an_index_and_upgrades_with_it(
    started: Callable[[str], CommandLine], tmp_path: Path
) -> None:
    """One wheel serves a program and a pack, and the usual ignore file does not exclude it."""
    clone = commit_files(tmp_path / "clone")
    first = started("quickstart")
    new, vendor, *others = commands("quickstart").splitlines()
    repository = first.directory
    new_pack, vendor_again, *_ = commands("policy-pack").splitlines()
    assert vendor_again == vendor
    assert first.shell(script([new, f"mkdir pack\ncd pack\n{new_pack}\ncd ..", vendor], clone)), (
        first.printed
    )
    shutil.copy(Path(__file__).parent / "data" / "python.gitignore", repository / ".gitignore")
    commit = "git add . && git -c user.name=a -c user.email=b commit --quiet --message Change"
    assert first.shell(f"git init --quiet && {commit}"), first.printed
    [wheel] = (repository / "third_party").iterdir()

    colleague = CommandLine(tmp_path / "colleague", first.environment)
    run(["git", "clone", "--quiet", str(repository), str(colleague.directory)], tmp_path)
    shutil.move(clone, tmp_path / "elsewhere")
    assert colleague.shell(script(others)), colleague.printed
    assert 'amount_due_text: "$188.46"' in colleague.printed
    # The pack blocks, in an environment that uv has made at its first use.
    (colleague.directory / "pack" / "rules.json").write_text(
        '{"rules": {"max-amount-due": {"limit": "150 USD"}}}'
    )
    gated = "CLOUDFLARE_API_TOKEN=sandbox-token pulumi preview --policy-pack pack"
    assert not colleague.shell(gated)
    assert "over the limit of $150.00 by $38.46" in colleague.printed
    before = versions(colleague)
    assert set(before) == {wheel.name.split("-")[1]}

    moved = tmp_path / "elsewhere"
    run([*AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "Move"], moved)
    upgrade = [vendor, "pulumi install", "cd pack", "pulumi install"]
    assert colleague.shell(script(upgrade, moved)), colleague.printed
    after = versions(colleague)
    assert len(set(after)) == 1
    assert set(after).isdisjoint(before)
    assert len(list((colleague.directory / "third_party").iterdir())) == 1


def versions(shell: CommandLine) -> list[str]:
    """Return the package's version in the environments of a program and of its pack."""
    code = "from importlib.metadata import version; print(version('pulumi-cf-invoice'))"
    pythons = ("venv/bin/python", "pack/.venv/bin/python")
    return [run([python, "-c", code], shell.directory).strip() for python in pythons]


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("nowhere", "vendor.py: there is no folder nowhere\n"),
        ("file", "vendor.py: there is no folder file\n"),
    ],
)
def test_a_wheel_that_cannot_be_put_anywhere_is_one_line(
    tmp_path: Path, folder: str, expected: str
) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, str(ROOT / "tools" / "vendor.py"), folder]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)


def test_the_yaml_example_does_what_its_readme_says(
    started: Callable[[str], CommandLine],
) -> None:
    shell = started("yaml/quickstart")
    lines = commands("yaml/quickstart").splitlines()
    [install] = [line for line in lines if line.startswith("pulumi install ")]
    # The YAML host of the registries is an older one, which cannot do that; the rest it can.
    lines.remove(install)
    assert shell.shell(script(lines)), shell.printed
    assert 'amountDueText: "$188.46"' in shell.printed


def test_pulumi_install_makes_the_plugin_s_environment_anew_when_its_clone_has_moved(
    started: Callable[[str], CommandLine], tmp_path: Path
) -> None:
    clone = commit_files(tmp_path / "clone")
    shell = started("yaml/quickstart")
    del shell.environment["PIP_NO_BUILD_ISOLATION"]
    new, add, install, *_ = commands("yaml/quickstart").splitlines()
    assert shell.shell(script([new, add], clone)), shell.printed
    found = []
    for _ in range(2):
        # After that, this older host of YAML refuses to link the package, which the others do.
        shell.shell(install)
        [installed] = (clone / "venv").glob("lib/*/site-packages/pulumi_cf_invoice-*.dist-info")
        found.append(installed.name)
        run([*AUTHOR, "commit", "--quiet", "--allow-empty", "--message", "Move"], clone)
    assert len(set(found)) == 2
    assert "copy" not in found[0]


@pytest.mark.parametrize(
    "example", ["typescript/quickstart", "typescript/cost-aware-gateway", "go/quickstart"]
)
def test_a_readme_of_another_language_is_followed_as_far_as_no_host_of_it_is_needed(
    started: Callable[[str], CommandLine], example: str
) -> None:
    """Pulumi's hosts for them, which the other commands need, are in no registry."""
    new, add, install, *settings, preview = commands(example).splitlines()
    assert new == f"pulumi new {CLONE}/examples/{example} --generate-only"
    assert add == f"pulumi package add {CLONE}"
    assert install.startswith("pulumi install ")
    assert preview == "pulumi preview"
    shell = started(example)
    shell.directory.rmdir()
    copy_example(EXAMPLES / example, shell.directory)
    assert shell.shell("\n".join(settings)), shell.printed
    assert shell.shell("pulumi config --stack dev"), shell.printed
    assert ACCOUNT in shell.printed


def test_the_policy_pack_gates_a_project_beside_it_as_its_readme_says(
    started: Callable[[str], CommandLine], sandbox: Sandbox
) -> None:
    shell = started("policy-pack")
    new, vendor, *gate = commands("policy-pack").splitlines()
    assert shell.shell(script([new, vendor])), shell.printed
    file = shell.directory / "rules.json"
    content = json.loads(file.read_text())
    for reads in ("account-budget", "max-daily-spend"):
        content["rules"][reads]["baseUrl"] = sandbox.base_url
    content["rules"]["max-amount-due"]["limit"] = "200 USD"
    file.write_text(json.dumps(content))
    copy_with_environment(EXAMPLES / "quickstart", shell.directory.with_name("quickstart"))
    set_up = f"pulumi stack init dev\npulumi config set cf-invoice:accountId {ACCOUNT}"
    assert shell.shell(f"cd ../quickstart\n{set_up}"), shell.printed
    assert shell.shell(script(gate)), shell.printed
    assert "is $188.46 for 2026-09-01 to 2026-09-30, over the limit of $120.00" in shell.printed
    sandbox.amount_due = 20001
    assert not shell.shell(script(gate))
    assert "over the limit of $200.00 by $0.01" in shell.printed


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
    stack.set("budget", "200 USD")
    sandbox.amount_due = due
    preview = stack.preview()
    assert preview.ok, preview.text
    planned = preview.new("assistant", "AiGateway")
    assert planned["rateLimitingLimit"] == requests
    assert planned["spendLimits"]["rules"][0]["limit"] == dollars


@pytest.mark.usefixtures("cloudflare_plugin")
def test_the_gateway_is_deployed_with_the_limits_that_the_preview_showed(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    project, program = example(EXAMPLES / "cost-aware-gateway")
    stack = make_stack(program, project, **settled)
    stack.set("budget", "200 USD")
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
@pytest.mark.parametrize(
    ("address", "is_the_machines"),
    [
        ("{}", True),
        ("{}/", True),
        ("https://proxy.example/s3cret/v4", False),
        ("https://[proxy.example/s3cret", False),
    ],
)
def test_the_credentials_of_a_provider_are_for_its_own_address(
    make_stack: MakeStack,
    settled: dict[str, str],
    sandbox: Sandbox,
    address: str,
    is_the_machines: bool,
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    own = address.format(settled["CLOUDFLARE_BASE_URL"])

    def program() -> None:
        secret = pulumi.Output.secret(own)
        provider = cloudflare.Provider("cloudflare", api_token="sandbox-token", base_url=secret)
        InvoicePreview("upcoming", credentials=Credentials.from_provider(provider))

    run = make_stack(program, **settled).up()
    assert run.ok == is_the_machines, run.text
    assert bool(sandbox.requests) == is_the_machines
    refused = "the provider has a base URL of its own, so its credentials are not sent"
    assert (refused in run.text) is not is_the_machines
    assert "Traceback" not in run.text
    assert "s3cret" not in run.text


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


def test_the_demo_tells_one_story_of_this_month_and_leaves_nothing() -> None:
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
    assert "quantity             : 154296000 => 163536000" in done.stdout
    assert "over the limit of $195.00 by $5.01" in done.stdout
    assert "HTTP 403, code 10000: Authentication error" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "- 2 deleted" in done.stdout
    assert done.stdout.count("\n") <= 120
    *_, last = done.stdout.partition("Next:\n")
    named = [line.split()[0] for line in last.strip().splitlines()]
    assert named
    assert all((ROOT / name).exists() for name in named)
