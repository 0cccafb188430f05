"""`--stack`: the commands use the stack config that a program would."""

import json
import re
from pathlib import Path

import pytest

from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.conftest import MakeCommandLine
from tests.engine.harness import CommandLine
from tests.factories import ACCOUNT, OTHER_ACCOUNT, TOKEN
from tests.hosts import hosts

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


@pytest.fixture
def project(make_command_line: MakeCommandLine, sandbox: Sandbox) -> CommandLine:
    """A project whose settings are all in its stack's config, the token as a secret."""
    return configured(make_command_line(QUICKSTART), sandbox)


def configured(project: CommandLine, sandbox: Sandbox) -> CommandLine:
    """Move the settings of the environment of *project* to the config of its stack."""
    for name in ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_BASE_URL"):
        del project.environment[name]
    assert project.shell(
        f"pulumi config set cf-invoice:accountId {ACCOUNT}\n"
        f"pulumi config set cf-invoice:baseUrl {sandbox.base_url}\n"
        f"pulumi config set --secret cloudflare:apiToken {TOKEN}"
    ), project.printed
    return project


def test_doctor_names_the_keys_of_stack_config(project: CommandLine, sandbox: Sandbox) -> None:
    assert project.shell("cf-invoice doctor --stack"), project.printed
    assert f"account          {ACCOUNT} (stack config cf-invoice:accountId)" in project.printed
    assert "credentials      API token (stack config cloudflare:apiToken)" in project.printed
    assert "not Cloudflare's (stack config cf-invoice:baseUrl)" in project.printed
    assert "invoice-preview  answered: $188.46" in project.printed
    assert TOKEN not in project.printed
    assert sandbox.requests == [ACCOUNT] * len(READS)


def test_show_and_report_read_the_stacks_account(project: CommandLine, sandbox: Sandbox) -> None:
    assert project.shell("cf-invoice show --stack dev"), project.printed
    rules = {"account-budget": {"accountIds": [ACCOUNT], "limit": "1 USD"}}
    rules["account-budget"]["baseUrl"] = sandbox.base_url
    (project.directory / "rules.json").write_text(json.dumps({"rules": rules}))
    assert not project.shell("cf-invoice report --rules rules.json --stack dev")
    assert "account-budget" in project.printed
    assert "$188.46 for September, which has ended" in project.printed
    assert f"Account {ACCOUNT}" in project.printed
    # Once for each command: the rule shares the answer.
    assert sandbox.requests == [ACCOUNT, ACCOUNT] * len(READS)


def test_stack_config_is_never_read_unasked(project: CommandLine, sandbox: Sandbox) -> None:
    assert not project.shell("cf-invoice doctor")
    assert "no account ID: give --account-id, or set CLOUDFLARE_ACCOUNT_ID" in project.printed
    assert sandbox.requests == []


def test_the_account_of_the_command_line_comes_first(
    project: CommandLine, sandbox: Sandbox
) -> None:
    assert project.shell(f"cf-invoice doctor --stack --account-id {OTHER_ACCOUNT}"), project.printed
    assert f"account          {OTHER_ACCOUNT} (--account-id)" in project.printed
    assert sandbox.requests == [OTHER_ACCOUNT] * len(READS)


def test_a_secret_is_decrypted_only_where_it_counts(
    make_command_line: MakeCommandLine, sandbox: Sandbox
) -> None:
    """Without a passphrase a secret cannot be read; one that does not apply does no harm."""
    project = configured(make_command_line(QUICKSTART, "passphrase"), sandbox)
    del project.environment["PULUMI_CONFIG_PASSPHRASE"]
    assert not project.shell("cf-invoice doctor --stack")
    assert "cannot read stack config: passphrase must be set with PULUMI_CONFIG" in project.printed
    with_own = {"PULUMI_CONFIG_PASSPHRASE": "tests"}
    assert project.shell(f"pulumi config set cf-invoice:apiToken {TOKEN} --plaintext", **with_own)
    assert project.shell("cf-invoice doctor --stack"), project.printed
    assert "credentials      API token (stack config cf-invoice:apiToken)" in project.printed


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("cf-invoice show --stack nope", "no stack named 'nope' found"),
        ("cd .. && cf-invoice show --stack", "no Pulumi.yaml project file found"),
        ("pulumi stack unselect && cf-invoice show --stack", "no stack selected"),
        (
            'PATH="$(dirname "$(command -v cf-invoice)")" cf-invoice show --stack',
            "there is no `pulumi` on PATH",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(project: CommandLine, command: str, expected: str) -> None:
    project.printed = ""
    assert not project.shell(command)
    [line] = [line for line in project.printed.splitlines() if line.startswith("cf-invoice: ")]
    assert line.startswith("cf-invoice: cannot read stack config: ")
    assert expected in line
    assert "Traceback" not in project.printed


def test_stack_settings_without_effect_are_refused_and_risks_are_reported_by_each_command(
    project: CommandLine, sandbox: Sandbox
) -> None:
    commands = (
        "cf-invoice show --stack",
        "cf-invoice doctor --stack",
        "cf-invoice report --stack dev",
        "cf-invoice snapshot --stack --output snapshot.json",
        "cf-invoice forecast --stack",
    )
    assert project.shell(
        f"pulumi config set cf-invoice:acountId {ACCOUNT}\n"
        f"pulumi config set --plaintext cloudflare:apiToken {TOKEN}"
    ), project.printed
    for command in commands:
        project.printed = ""
        assert not project.shell(command)
        assert (
            "cf-invoice: there is no setting of stack config 'cf-invoice:acountId'; did you mean "
            "'cf-invoice:accountId'?" in project.printed
        )
    assert sandbox.requests == []
    assert project.shell(
        "pulumi config rm cf-invoice:acountId\n"
        "pulumi config set cf-invoice:baseUrl https://gateway.ai.cloudflare.com/client/v4"
    )
    for command in commands:
        project.printed = ""
        assert not project.shell(command)
        assert (
            "cf-invoice: warning: stack config cloudflare:apiToken is in plain text"
            in project.printed
        )
        assert "run `pulumi config set --secret cloudflare:apiToken VALUE`" in project.printed
        assert (
            "stack config cf-invoice: sets the base URL https://gateway.ai.cloudflare.com/client/v4"
            ", to which credentials from stack config cloudflare: are not sent" in project.printed
        )
        assert TOKEN not in project.printed


def test_a_rules_address_gets_no_secret_of_the_stack(
    project: CommandLine, sandbox: Sandbox, tmp_path: Path
) -> None:
    elsewhere = "https://api.example.com/client/v4"
    rule = {"accountIds": [ACCOUNT], "limit": "1 USD", "baseUrl": elsewhere}
    (project.directory / "rules.json").write_text(json.dumps({"rules": {"account-budget": rule}}))
    with hosts(sandbox.base_url, ["api.example.com"], tmp_path) as internet:
        assert not project.shell(
            "cf-invoice report --rules rules.json --stack dev", **internet.environment
        )
    assert internet.tokens == {}
    message = " ".join(project.printed.split())
    assert "credentials from stack config cloudflare: are not sent" in message


def test_in_a_project_called_cf_invoice_a_command_only_notes_other_keys(
    project: CommandLine, sandbox: Sandbox
) -> None:
    file = project.directory / "Pulumi.yaml"
    file.write_text(re.sub("(?m)^name: .*$", 'name: "cf-invoice" # ours', file.read_text()))
    made = "pulumi stack init ours && pulumi config set mode quick"
    settings = f"pulumi config set cf-invoice:accountId {ACCOUNT}"
    assert project.shell(f"{made} && {settings}"), project.printed
    environment = {"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_BASE_URL": sandbox.base_url}
    assert project.shell("cf-invoice show --stack ours", **environment), project.printed
    assert "'cf-invoice:mode'" in project.printed
    assert "(or is it the program's own?)" in project.printed
