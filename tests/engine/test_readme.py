"""The README's programs, commands and output match what actually happens."""

import html
import json
import re
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import pytest

import pulumi_cf_invoice
from pulumi_cf_invoice import Invoice, InvoiceLine, output_types, policy, schema
from pulumi_cf_invoice.billing.invoice import AMOUNTS, FIGURES
from pulumi_cf_invoice.gates import Gate
from pulumi_cf_invoice.rules import KINDS
from pulumi_cf_invoice.rules_file import parse_rules, settings_of
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.conftest import MakeCommandLine, MakeStack
from tests.engine.harness import copy_with_environment, example
from tests.factories import ACCOUNT
from tools.picture import preview

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.M | re.S)


DEFAULT_SANDBOX = "http://127.0.0.1:8787/client/v4"


def block(start: str) -> str:
    return next(str(text) for _, text in BLOCKS if text.startswith(start))


def test_the_program_is_the_quickstart() -> None:
    program = (ROOT / "examples" / "quickstart" / "__main__.py").read_text()
    assert program.endswith(block("import pulumi"))


def test_the_first_preview_prints_what_the_readme_shows(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    project, program = example(ROOT / "examples" / "quickstart")
    run = make_stack(program, project, **settled).preview()
    assert block("Outputs:") in run.text


def test_the_picture_shows_a_real_preview() -> None:
    picture = (ROOT / "docs" / "preview.svg").read_text()
    drawn = html.unescape(re.sub(r"<[^>]+>", "", picture)).replace("\xa0", " ")
    for line in preview().splitlines():
        assert line.strip() in drawn


def test_the_error_is_what_a_wrong_token_gives(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    settled["CLOUDFLARE_API_TOKEN"] = "wrong"
    project, program = example(ROOT / "examples" / "quickstart")
    run = make_stack(program, project, **settled).preview()
    assert block("cannot read the upcoming invoice").strip() in run.text


def test_the_config_commands_make_the_quickstart_work(
    make_stack: MakeStack, sandbox: Sandbox
) -> None:
    project, program = example(ROOT / "examples" / "quickstart")
    stack = make_stack(program, project, CLOUDFLARE_BASE_URL=sandbox.base_url)
    commands = block("pulumi config set cf-invoice:accountId").splitlines()
    key, value = commands[0].split()[3:]
    stack.set(key, value)
    assert commands[1].split()[:4] == ["pulumi", "config", "set", "--secret"]
    stack.set(commands[1].split()[4], "sandbox-token", secret=True)
    run = stack.preview()
    assert run.ok, run.text
    assert sandbox.requests == [ACCOUNT]


def test_the_policy_pack_prints_its_message(
    make_stack: MakeStack, settled: dict[str, str], tmp_path: Path
) -> None:
    flag, folder = block("pulumi preview --policy-pack").split()[2:]
    assert flag == "--policy-pack"
    pack = copy_with_environment(ROOT / "examples" / folder, tmp_path / folder)
    written = re.search("--policy-pack-config ([^`]+)`", README)
    assert written
    config = tmp_path / "config.json"
    for_sandbox = (tmp_path / written[1]).read_text()
    assert DEFAULT_SANDBOX in for_sandbox
    config.write_text(for_sandbox.replace(DEFAULT_SANDBOX, settled["CLOUDFLARE_BASE_URL"]))
    project, program = example(ROOT / "examples" / "quickstart")
    run = make_stack(program, project, **settled).preview(
        policy_packs=[str(pack)], policy_pack_configs=[str(config)]
    )
    assert not run.ok
    assert "account-budget" not in run.text
    assert block("The upcoming invoice of account").strip() in run.text


def test_the_pack_of_a_few_lines_runs(
    make_stack: MakeStack, settled: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 0.0.1\n")
    (tmp_path / "__main__.py").write_text(block("from pulumi_cf_invoice.policy"))
    project, program = example(ROOT / "examples" / "quickstart")
    run = make_stack(program, project, **settled).preview(policy_packs=[str(tmp_path)])
    assert run.ok, run.text


@pytest.mark.parametrize(
    ("language", "example"),
    [
        ("typescript", "typescript/quickstart/index.ts"),
        ("go", "go/quickstart/main.go"),
        ("yaml", "yaml/quickstart/Pulumi.yaml"),
    ],
)
def test_a_program_in_another_language_is_the_example_that_the_tests_run(
    language: str, example: str
) -> None:
    program = (ROOT / "examples" / example).read_text()
    assert (language, program) in BLOCKS


def test_every_argument_of_the_provider_is_named() -> None:
    for name in schema.package()["provider"]["inputProperties"]:
        assert f"`{name}`" in README


def test_every_rule_has_a_row_with_its_settings() -> None:
    for kind in KINDS.values():
        settings = ", ".join(f"`{name}`" for name in settings_of(kind))
        assert f"| `{kind.name}` | {settings} |" in README
        assert hasattr(policy, kind.name.replace("-", "_"))


def test_the_rules_that_are_shown_can_be_used() -> None:
    rules = parse_rules(json.loads(block('{\n  "rules"')))
    assert [Gate.of(rule).name for rule in rules] == [
        "max-amount-due",
        "near-budget",
        "account-budget",
    ]


def test_the_report_is_what_the_ci_section_shows(make_command_line: MakeCommandLine) -> None:
    project = make_command_line(ROOT / "examples" / "quickstart")
    _, *commands = block("pip install '.[report]'").strip().splitlines()
    script = "\n".join(commands).replace("report --from", "report --at 2026-09-15T12:00Z --from")
    assert project.shell(f"pulumi stack select dev\n{script}"), project.said
    at = project.environment["CLOUDFLARE_BASE_URL"]
    assert block("Within budget:") in project.said.replace(at, DEFAULT_SANDBOX)


def test_every_stack_output_has_its_place() -> None:
    for name in [*AMOUNTS, *(name for name in FIGURES if not name.startswith(AMOUNTS))]:
        assert f"`{name}`" in README


def test_every_command_of_cf_invoice_has_a_row() -> None:
    told = subprocess.run(
        [str(Path(sys.executable).with_name("cf-invoice")), "--help"],
        capture_output=True,
        text=True,
    ).stdout
    commands = re.findall("^    ([a-z]+)(?: |$)", told, flags=re.M)
    assert len(commands) == 6
    assert all(f"| `cf-invoice {command}` |" in README for command in commands)


def sandbox_command() -> list[str]:
    python, *arguments = block("pip install '.[sandbox]'").splitlines()[1].split()
    assert python == "python"
    return [sys.executable, *arguments]


def test_the_sandbox_prints_the_two_lines() -> None:
    with subprocess.Popen(
        [*sandbox_command(), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.readline() + process.stdout.readline()
        process.terminate()
    shown = block("export CLOUDFLARE_BASE_URL")
    assert re.sub(r":\d+/", ":PORT/", printed) == shown.replace(":8787/", ":PORT/")


def test_the_sandbox_listens_on_the_port_that_the_readme_shows() -> None:
    """Seen by what it says where that port is taken: by this test, or by a sandbox that runs."""
    with socket.socket() as taken:
        with suppress(OSError):
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        told = subprocess.run(sandbox_command(), capture_output=True, text=True, timeout=60)
    assert told.stderr == "cannot listen on port 8787: Address already in use\n"


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`make (\w+)`", README))))
def test_every_make_command_exists(command: str) -> None:
    done = subprocess.run(["make", "-n", command], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("field", [field.name for field in fields(Invoice)])
def test_every_output_has_a_row(field: str) -> None:
    assert re.search(rf"^\| .*`{field}`", README, flags=re.M)


@pytest.mark.parametrize("field", [field.name for field in fields(InvoiceLine)])
def test_every_output_of_a_line_has_a_row(field: str) -> None:
    assert f"| `invoice_lines[0].{field}` |" in README
    assert hasattr(output_types.InvoiceLine, field)


def test_every_public_error_is_named() -> None:
    errors = [
        name
        for name in pulumi_cf_invoice.__all__
        if isinstance(getattr(pulumi_cf_invoice, name), type)
        and issubclass(getattr(pulumi_cf_invoice, name), Exception)
    ]
    assert len(errors) == 11
    assert all(f"`{name}`" in README for name in errors)


def test_every_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    headings = re.findall("^###? (.*)", README, flags=re.M)
    anchors = [f"#{heading.lower().replace(' ', '-')}" for heading in headings]
    assert all(target in anchors or (ROOT / target).exists() for target in targets)
