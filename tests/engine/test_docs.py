"""The programs, commands and output in the README and the docs match what actually happens."""

import html
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
import yaml

import pulumi_cf_invoice
from pulumi_cf_invoice import Invoice, InvoiceLine, policy
from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.invoice import AMOUNTS, FIGURES
from pulumi_cf_invoice.plugin import schema
from pulumi_cf_invoice.program import answers, output_types
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules, settings_of
from pulumi_cf_invoice.rules.gates import Gate
from pulumi_cf_invoice.rules.kinds import KINDS
from pulumi_cf_invoice.sandbox import Sandbox
from tests.conftest import pointed_at
from tests.docs import BLOCKS, OTHERS, PAGES, ROOT, TEXT, block, blocks, page
from tests.engine.conftest import MakeCommandLine, MakeStack
from tests.engine.harness import copy_with_environment, example
from tests.factories import ACCOUNT, NOW
from tools import report_pictures, tables
from tools.picture import preview

DOCS = ROOT / "docs"
DEFAULT_SANDBOX = "http://127.0.0.1:8787/client/v4"
README_RULES = re.findall(r"^```json\n(.*?)^```$", PAGES[ROOT / "README.md"], flags=re.M | re.S)
USUAL = "$188.46 for 2026-09-01 to 2026-09-30"
PROGRAM = "import pulumi\n\nfrom pulumi_cf_invoice import InvoicePreview\n"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_generated_tables_are_what_the_code_says(path: Path) -> None:
    assert tables.updated(PAGES[path]) == PAGES[path], "run `make docs`"


def test_every_generated_table_is_in_a_page() -> None:
    assert sorted(re.findall("<!-- table: (.*) -->", TEXT)) == sorted(tables.TABLES)


def test_every_page_is_in_the_navigation() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    groups = [group for entry in navigation for group in entry.values()]
    listed = [DOCS / path for group in groups for entry in group for path in entry.values()]
    pages = {path for path in PAGES if path.parent == DOCS}
    assert sorted(listed) == sorted({*pages, DOCS / "installation-configuration.md"})


def test_the_overview_lists_the_pages_in_the_order_of_the_navigation() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    listed = re.findall(r"^\| (?:\*\*(.*)\*\*|\[.*\]\((.*\.md)\)) \|", page("index"), flags=re.M)
    expected = [
        name
        for entry in navigation
        for group, pages in entry.items()
        for name in [group, *(path for titled in pages for path in titled.values())]
    ]
    expected.remove("index.md")
    assert [group or path for group, path in listed] == expected


def test_the_program_is_the_quickstart() -> None:
    program = (ROOT / "examples" / "quickstart" / "__main__.py").read_text()
    assert program.endswith(block(PROGRAM))


def test_the_picture_shows_a_real_preview() -> None:
    picture = (ROOT / "docs" / "preview.svg").read_text()
    drawn = html.unescape(re.sub(r"<[^>]+>", "", picture)).replace("\xa0", " ")
    for line in preview().splitlines():
        assert line.strip() in drawn


def test_the_first_preview_and_a_wrong_token_print_what_the_docs_show(
    make_stack: MakeStack, settled: dict[str, str]
) -> None:
    project, program = example(ROOT / "examples" / "quickstart")
    stack = make_stack(program, project, **settled)
    assert block("Outputs:\n    amount_due ") in stack.preview().text
    assert stack.up().ok
    stack.environment["CLOUDFLARE_API_TOKEN"] = "wrong"
    error = block("cannot read the upcoming invoice").strip()
    assert error in stack.preview().text
    *_, last = block("    error: Traceback").strip().splitlines()
    assert last.endswith(error)
    assert last.strip() in stack.refresh().text


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
    written = re.search("--policy-pack-config ([^`]+json)`", page("rules"))
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
    assert block(f"The upcoming invoice of account {ACCOUNT} is $").strip() in run.text
    for line in block("Policies:").splitlines():
        assert line.strip().removesuffix("…)") in run.text


def test_the_pack_of_a_few_lines_runs(
    make_stack: MakeStack, settled: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 0.0.1\n")
    (tmp_path / "__main__.py").write_text(block("from pulumi_cf_invoice.policy"))
    program = block("from pulumi_cf_invoice import InvoicePreview, export_invoice")
    run = make_stack(lambda: exec(program), **settled).preview(policy_packs=[str(tmp_path)])
    assert run.ok, run.text
    assert f'text: "{USUAL}"' in re.sub(" +:", ":", run.text)


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
    # What `pulumi new` asks for is not in the project that it makes.
    program, _, _ = (ROOT / "examples" / example).read_text().partition("template:\n")
    assert (language, program) in BLOCKS


def test_the_action_is_copied_as_the_ci_example_says() -> None:
    assert block("mkdir -p .github/actions") in OTHERS[ROOT / "examples" / "ci" / "README.md"]


def test_every_argument_of_the_provider_is_named() -> None:
    for name in schema.package()["provider"]["inputProperties"]:
        assert f"`{name}`" in page("languages")


def test_every_rule_has_a_row_with_its_settings_and_a_function() -> None:
    assert len(KINDS) == 15
    assert "[fifteen kinds of rules](docs/rules.md)" in TEXT
    for kind in KINDS.values():
        named = ", ".join(f"`{name}`" for name in settings_of(kind))
        assert f"| `{kind.name}` | {named} |" in page("rules")
        assert hasattr(policy, kind.name.replace("-", "_"))


def test_the_rules_that_are_shown_can_be_used() -> None:
    [short] = [parse_rules(json.loads(text)) for text in README_RULES]
    shown = [text for text in blocks("{") if text in page("rules")]
    long, of_accounts, coming, daily = (parse_rules(json.loads(text)) for text in shown)
    assert [Gate.of(rule).name for rule in short] == [
        "max-amount-due",
        "max-line-amount",
        "require-invoice-preview",
    ]
    assert [Gate.of(rule).name for rule in long] == [
        "max-amount-due",
        "near-budget",
        "account-budget",
    ]
    assert [Gate.of(rule).name for rule in of_accounts] == [
        "min-credit-balance",
        "require-healthy-top-up",
        "no-unpaid-invoices",
    ]
    assert [Gate.of(rule).name for rule in daily] == ["max-daily-spend"]
    assert [Gate.of(rule).name for rule in coming] == [
        "max-forecast",
        "forecast-warning",
        "min-runway",
    ]


def test_a_forecast_over_its_limit_says_what_the_docs_show(sandbox: Sandbox) -> None:
    rules = json.loads(next(text for text in blocks("{") if "max-forecast" in text))
    for rule in rules["rules"].values():
        rule["baseUrl"] = sandbox.base_url
    reader = AccountReader({"CLOUDFLARE_API_TOKEN": "sandbox-token"})
    blocking, warning, _ = judge(parse_rules(rules), [], NOW, reader)
    assert (blocking.verdict, blocking.level) == ("within", "mandatory")
    assert (warning.verdict, warning.level) == ("over", "advisory")
    shown = block(f"The upcoming invoice of account {ACCOUNT} is forecast").strip()
    assert [finding.message for finding in warning.violations] == [shown]


def test_the_esc_environment_sets_what_is_read() -> None:
    values = yaml.safe_load(block("values:"))["values"]
    sources = settings.config_sources(lambda key: key)
    assert set(values["pulumiConfig"]) <= {
        key for source in sources for key in source.values.values()
    }
    assert set(values["environmentVariables"]) <= set(settings.VARIABLES.values())


def test_the_client_needs_only_the_lines_that_are_shown(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    program = block("from pulumi_cf_invoice.billing import BillingClient")
    arguments = 'Credentials(api_token="sandbox-token")'
    assert arguments in program
    exec(program.replace(arguments, f'{arguments}, base_url="{sandbox.base_url}"'))
    assert capsys.readouterr().out == f"{USUAL}\n"


def test_the_report_is_what_the_docs_show(make_command_line: MakeCommandLine) -> None:
    project = make_command_line(ROOT / "examples" / "quickstart")
    _, *commands = block("source venv/bin/activate\nPULUMI_").strip().splitlines()
    script = "\n".join(commands).replace("report --from", "report --at 2026-09-15T12:00Z --from")
    assert project.shell(f"pulumi stack select dev\n{script}"), project.printed
    at = project.environment["CLOUDFLARE_BASE_URL"]
    assert block("Within budget so far:") in project.printed.replace(at, DEFAULT_SANDBOX)


def test_the_forecast_is_what_the_docs_show(tmp_path: Path) -> None:
    report_pictures.write_inputs(tmp_path)
    (tmp_path / "now").rename(tmp_path / "snapshot.json")
    *_, command = block(
        "cf-invoice snapshot --output snapshot.json\ncf-invoice forecast"
    ).splitlines()
    shown = subprocess.run(
        [Path(sys.executable).with_name("cf-invoice"), *shlex.split(command)[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    [expected] = [text for text in blocks("Forecast $") if "Days of history" in text]
    # The docs show an account at Cloudflare, and no note on the stand-in.
    of_cloudflare = re.sub(r"^The figures come from .*\n", "", shown, flags=re.MULTILINE)
    assert of_cloudflare.startswith(expected.rstrip("\n"))


def test_a_snapshot_is_taken_and_reported_on_as_the_docs_show(
    tmp_path: Path, settled: dict[str, str]
) -> None:
    (tmp_path / "rules.json").write_text('{"rules": {"max-amount-due": {"limit": "250 USD"}}}')
    commands = block("cf-invoice snapshot --output snapshot.json\ncf-invoice report").splitlines()
    assert len(commands) == 2
    for command in commands:
        done = subprocess.run(
            [Path(sys.executable).with_name("cf-invoice"), *shlex.split(command)[1:]],
            cwd=tmp_path,
            env={**os.environ, **settled},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    # The forecast may pass the limit, which depends on the day.
    assert done.stdout.startswith("Within budget")


def test_the_line_on_what_is_coming_is_a_report_s(tmp_path: Path) -> None:
    report_pictures.write_inputs(tmp_path)
    [line] = [text.strip() for text in blocks("Forecast $") if "limit of $" in text]
    assert f" {line} " in " ".join(report_pictures.report(tmp_path, "text").split())


def test_the_program_that_forecasts_runs(make_stack: MakeStack) -> None:
    program = block("import pulumi\n\nfrom pulumi_cf_invoice import get_forecast\n")
    with Sandbox("growing") as sandbox:
        run = make_stack(lambda: exec(program), **pointed_at(sandbox)).preview()
    assert run.ok, run.text
    assert re.search('forecast: "[^"]+ for [A-Z][a-z]+', run.text)
    assert re.search('runway *: "[^"]*[Cc]redits', run.text)


def test_the_program_that_exports_whole_results_runs(
    make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = block("import pulumi\n\nfrom pulumi_cf_invoice import get_forecast_output, get_gat")
    exports += """
from pulumi_cf_invoice import get_credit_balance
pulumi.export("credits", get_credit_balance())
"""
    # In a month's first hour there is no forecast.
    monkeypatch.setattr(answers, "now", lambda: NOW)
    with Sandbox("growing", now=NOW) as sandbox:
        stack = make_stack(lambda: exec(exports), **pointed_at(sandbox))
        outputs = stack.up().outputs
    assert outputs["usage"]["entries"][-1]["aggregated_value"] > 0
    assert outputs["forecast"]["amount_due_text"].startswith("$")
    assert outputs["gateways"]["gateways"]
    assert outputs["credits"]["balance"]


def test_every_stack_output_has_its_place() -> None:
    for name in [*AMOUNTS, *(name for name in FIGURES if not name.startswith(AMOUNTS))]:
        assert f"`{name}`" in page("forms-and-outputs")


def sandbox_command() -> list[str]:
    command, *arguments = shown_commands("sandbox").splitlines()[-1].split()
    assert command == "venv/bin/cf-invoice"
    return [str(Path(sys.executable).with_name("cf-invoice")), *arguments]


def shown_commands(extra: str) -> str:
    """Return the block that installs *extra* from a clone into a virtual environment."""
    return next(text for text in blocks("python3 -m venv venv\n") if f"{extra}]'" in text)


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


def test_the_sandbox_listens_on_the_port_that_the_docs_show() -> None:
    """Shown by its message when the port is taken, by this test or by a running sandbox."""
    with socket.socket() as taken:
        with suppress(OSError):
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        done = subprocess.run(sandbox_command(), capture_output=True, text=True, timeout=60)
    assert done.stderr == (
        "cannot listen on port 8787: Address already in use. "
        "Give another --port, or 0 for any free one.\n"
    )


def test_the_sandbox_can_be_moved_and_broken_as_the_docs_show(sandbox: Sandbox) -> None:
    moved = []
    for line in block("curl").replace("\\\n", "").splitlines():
        *curl, url, _, content = shlex.split(line)
        assert curl == ["curl", "-X", "PUT"]
        assert DEFAULT_SANDBOX.startswith(url.removesuffix("sandbox"))
        httpx.put(f"{sandbox.base_url.removesuffix('/client/v4')}/sandbox", content=content)
        moved.append((sandbox.amount_due, sandbox.fault, dict(sandbox.faults)))
    assert moved == [
        (20001, None, {}),
        (20001, "http-503", {}),
        (20001, "http-503", {"credit-balance": "http-403"}),
        (None, None, {}),
    ]


def test_every_option_of_the_sandbox_has_a_row() -> None:
    printed = subprocess.run([*sandbox_command(), "--help"], capture_output=True, text=True).stdout
    options = set(re.findall("^  (--[a-z-]+)", printed, flags=re.M))
    assert len(options) == 8
    assert all(f"| `{option}" in page("testing") for option in options)
    assert all(line in printed for line in block("curl").splitlines())


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`make (\w+)`", TEXT))))
def test_every_make_command_exists(command: str) -> None:
    done = subprocess.run(["make", "-n", command], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0


def test_every_output_has_a_row() -> None:
    names = [field.name for model in (Invoice, InvoiceLine) for field in fields(model)]
    assert all(f"| `{name}` |" in page("forms-and-outputs") for name in names)
    assert all(hasattr(output_types.InvoiceLine, field.name) for field in fields(InvoiceLine))


def test_every_public_error_is_named() -> None:
    errors = [
        name
        for name in pulumi_cf_invoice.__all__
        if isinstance(getattr(pulumi_cf_invoice, name), type)
        and issubclass(getattr(pulumi_cf_invoice, name), Exception)
    ]
    assert len(errors) == 13
    assert all(f"`{name}`" in page("errors") for name in errors)


def test_every_public_name_is_in_the_reference() -> None:
    for name in pulumi_cf_invoice.__all__:
        is_error = name.endswith("Error")
        assert f"::: pulumi_cf_invoice.{'billing.errors' if is_error else name}\n" in page("api")


def test_every_file_that_the_docs_name_exists() -> None:
    named = set(re.findall(r"`((?:examples|benchmarks|pulumi_cf_invoice)/[\w./-]+)`", TEXT))
    assert len(named) > 8
    assert all((ROOT / path).exists() for path in named)


@pytest.mark.parametrize("path", PAGES | OTHERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", (PAGES | OTHERS)[path]):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        # The site has no other files than those in docs/.
        assert path.parent != DOCS or target.parent == path.parent, link
        # A picture's says in which colour scheme the site shows it.
        is_scheme = target.suffix == ".png" and anchor in ("only-light", "only-dark")
        assert not anchor or is_scheme or anchor in _anchors((PAGES | OTHERS)[target]), link


def _anchors(text: str) -> set[str]:
    headings = re.findall("^#+ (.*)", text, flags=re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
