"""`--stack`: the commands use the stack config that a program would."""

import json
from pathlib import Path

import pytest

from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.conftest import MakeCommandLine
from tests.engine.harness import CommandLine
from tests.factories import ACCOUNT, OTHER_ACCOUNT, TOKEN

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


@pytest.fixture
def project(make_command_line: MakeCommandLine, sandbox: Sandbox) -> CommandLine:
    """A project whose settings are all in its stack's config, the token as a secret."""
    made = make_command_line(QUICKSTART)
    for name in ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_BASE_URL"):
        del made.environment[name]
    assert made.shell(
        f"pulumi config set cf-invoice:accountId {ACCOUNT}\n"
        f"pulumi config set cf-invoice:baseUrl {sandbox.base_url}\n"
        f"pulumi config set --secret cloudflare:apiToken {TOKEN}"
    ), made.said
    return made


def test_doctor_names_the_keys_of_stack_config(project: CommandLine, sandbox: Sandbox) -> None:
    assert project.shell("cf-invoice doctor --stack"), project.said
    assert f"account          {ACCOUNT} (stack config cf-invoice:accountId)" in project.said
    assert "credentials      API token (stack config cloudflare:apiToken)" in project.said
    assert "not Cloudflare's (stack config cf-invoice:baseUrl)" in project.said
    assert "invoice-preview  answered: $188.46" in project.said
    assert TOKEN not in project.said
    assert sandbox.requests == [ACCOUNT] * len(READS)


def test_show_and_report_read_the_stacks_account(project: CommandLine, sandbox: Sandbox) -> None:
    assert project.shell("cf-invoice show --stack dev"), project.said
    rules = {"account-budget": {"accountIds": [ACCOUNT], "limit": "1 USD"}}
    rules["account-budget"]["baseUrl"] = sandbox.base_url
    (project.directory / "rules.json").write_text(json.dumps({"rules": rules}))
    assert not project.shell("cf-invoice report --rules rules.json --stack dev")
    assert "account-budget" in project.said
    assert f"The upcoming invoice of account {ACCOUNT} is $188.46" in project.said
    # Once for each command: the rule shares the answer.
    assert sandbox.requests == [ACCOUNT, ACCOUNT] * len(READS)


def test_stack_config_is_never_read_unasked(project: CommandLine, sandbox: Sandbox) -> None:
    assert not project.shell("cf-invoice doctor")
    assert "no account ID: give --account-id, or set CLOUDFLARE_ACCOUNT_ID" in project.said
    assert sandbox.requests == []


def test_the_account_of_the_command_line_comes_first(
    project: CommandLine, sandbox: Sandbox
) -> None:
    assert project.shell(f"cf-invoice doctor --stack --account-id {OTHER_ACCOUNT}"), project.said
    assert f"account          {OTHER_ACCOUNT} (--account-id)" in project.said
    assert sandbox.requests == [OTHER_ACCOUNT] * len(READS)


def test_a_secret_is_decrypted_only_where_it_counts(project: CommandLine) -> None:
    """Without a passphrase a secret cannot be read; one that does not count does no harm."""
    project.environment["PULUMI_CONFIG_PASSPHRASE"] = ""
    del project.environment["PULUMI_CONFIG_PASSPHRASE"]
    assert not project.shell("cf-invoice doctor --stack")
    assert "cannot read stack config: passphrase must be set with PULUMI_CONFIG" in project.said
    with_own = {"PULUMI_CONFIG_PASSPHRASE": "tests"}
    assert project.shell(f"pulumi config set cf-invoice:apiToken {TOKEN} --plaintext", **with_own)
    assert project.shell("cf-invoice doctor --stack"), project.said
    assert "credentials      API token (stack config cf-invoice:apiToken)" in project.said


@pytest.mark.parametrize(
    ("command", "said"),
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
def test_what_cannot_be_read_is_one_line(project: CommandLine, command: str, said: str) -> None:
    project.said = ""
    assert not project.shell(command)
    [line] = [line for line in project.said.splitlines() if line.startswith("cf-invoice: ")]
    assert line.startswith("cf-invoice: cannot read stack config: ")
    assert said in line
    assert "Traceback" not in project.said
