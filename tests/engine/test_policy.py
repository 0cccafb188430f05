import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pulumi_cf_invoice_sdk as sdk
import pulumi_cloudflare as cloudflare
import pytest
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2
from pulumi.runtime.proto.resource_pb2 import RegisterResourceRequest
from pulumi.runtime.settings import get_monitor

from pulumi_cf_invoice import InvoicePreview
from pulumi_cf_invoice.budgeted_gateway import BudgetedGateway
from pulumi_cf_invoice.report import input
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules, read_rules
from pulumi_cf_invoice.rules.on_stacks import RequireGatewaySpendLimit, RequireInvoicePreview
from pulumi_cf_invoice.rules.rule import without_account
from pulumi_cf_invoice.sandbox import SCENARIOS, Sandbox
from tests.conftest import pointed_at
from tests.engine.conftest import MakeCommandLine, MakeStack
from tests.engine.forms import ONE_FORM, Form, in_turn
from tests.engine.harness import Program, Run, copy_with_environment, example
from tests.engine.resources import Echo, Forged
from tests.factories import ACCOUNT, OTHER_ACCOUNT, TOKEN
from tests.hosts import hosts
from tests.waiting import wait_until

VERDICT = (
    f"The upcoming invoice of account {ACCOUNT} is $188.46 for 2026-09-01 to 2026-09-30, over the "
    "limit of $150.00 by $38.46. Largest lines: openai/gpt-5.5 $174.79, anthropic/claude-haiku "
    "$13.67."
)
MakePack = Callable[..., dict[str, Any]]
ExamplePack = Callable[..., dict[str, Any]]
EXAMPLE = Path(__file__).parents[2] / "examples" / "policy-pack"


@pytest.fixture
def program(form: Form) -> Program:
    def run() -> None:
        upcoming = form.resource("upcoming")
        Echo("dependent", form.derived(upcoming).amount_due_text)
        pulumi.export("amount_due", upcoming.amount_due)

    return run


@pytest.fixture
def pack(tmp_path: Path) -> MakePack:
    """
    A factory that writes a policy pack and its config, and returns the options to run it.

    The pack has policies in code, or a file of rules.
    """

    def make(
        policies: str | None = None,
        config: dict[str, Any] | None = None,
        rules: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        directory = tmp_path / "pack"
        directory.mkdir(exist_ok=True)
        (directory / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 0.0.1\n")
        (directory / "rules.json").write_text(json.dumps({"rules": rules}))
        (directory / "__main__.py").write_text(
            "from pulumi_cf_invoice.policy import *\n"
            "from pulumi_policy import EnforcementLevel, ResourceValidationPolicy\n"
            f"spend_policy_pack('tests', {policies or 'rules=' + repr('rules.json')})\n"
        )
        if config is None:
            return {"policy_packs": [str(directory)]}
        file = tmp_path / "config.json"
        file.write_text(json.dumps(config))
        return {"policy_packs": [str(directory)], "policy_pack_configs": [str(file)]}

    return make


@pytest.fixture
def example_pack(tmp_path: Path, settled: dict[str, str]) -> ExamplePack:
    """A factory that copies the example pack, pointed at the sandbox, with settings of a rule."""

    def make(rule: str = "account-budget", **changes: Any) -> dict[str, Any]:
        directory = tmp_path / "example"
        copy_with_environment(EXAMPLE, directory)
        file = directory / "rules.json"
        content = json.loads(file.read_text())
        for reads in ("account-budget", "max-daily-spend"):
            content["rules"][reads]["baseUrl"] = sandbox_url(settled)
        content["rules"][rule].update(changes)
        file.write_text(json.dumps(content))
        return {"policy_packs": [str(directory)]}

    return make


def sandbox_url(settled: dict[str, str]) -> str:
    return settled["CLOUDFLARE_BASE_URL"]


def created(stack: Any) -> list[str]:
    return [r["urn"].split("::")[-1] for r in stack.stored() if "Stack" not in r["type"]]


def count_of(run: Run, message: str) -> int:
    return sum(message in event.policy_event.message for event in run.events if event.policy_event)


def notes_of(run: Run) -> list[str]:
    """Return each line that a pack noted."""
    found = (event.diagnostic_event for event in run.events if event.diagnostic_event)
    return [line for diagnostic in found for line in diagnostic.message.splitlines()]


def messages(run: Run) -> str:
    """Return a run's output and policy events together, as an abrupt end may truncate either."""
    return run.text + "".join(e.policy_event.message for e in run.events if e.policy_event)


@pytest.mark.usefixtures("started_anew")
def test_the_example_pack_blocks_an_over_budget_preview(
    make_stack: MakeStack, program: Program, settled: dict[str, str], example_pack: ExamplePack
) -> None:
    stack = make_stack(program, **settled)
    run = stack.preview(**example_pack())
    assert not run.ok
    assert VERDICT in run.text
    assert "The upcoming AI Gateway invoice stays within its limit." in run.text
    assert "[advisory]  near-budget" in run.text
    assert "Traceback" not in run.text
    assert created(stack) == []


@ONE_FORM
def test_the_example_pack_passes_below_its_limits_and_warns(
    make_stack: MakeStack,
    program: Program,
    settled: dict[str, str],
    sandbox: Sandbox,
    example_pack: ExamplePack,
) -> None:
    run = make_stack(program, **settled).up(**example_pack("max-amount-due", limit="200 USD"))
    assert run.ok, run.text
    assert "over the limit of $120.00 by $68.46" in run.text
    # The invoice by the resource, and the invoice and the usage by the rules that read themselves.
    assert sorted(asked.read for asked in sandbox.asked) == [
        "invoice-preview",
        "invoice-preview",
        "usage-history",
    ]


def test_the_example_pack_blocks_by_itself_whatever_the_program_reads(
    make_stack: MakeStack, settled: dict[str, str], example_pack: ExamplePack
) -> None:
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    run = stack.up(**example_pack("account-budget", limit="150 USD"))
    assert not run.ok
    assert VERDICT in messages(run)
    assert created(stack) == []


def test_an_address_in_a_packs_rules_gets_a_token_only_where_the_runner_names_it(
    make_stack: MakeStack, sandbox: Sandbox, pack: MakePack, tmp_path: Path
) -> None:
    host = "api.example.com"
    url = f"https://{host}/client/v4"
    rule = {"accountIds": [ACCOUNT], "limit": "1000 USD", "baseUrl": url}
    with hosts(sandbox.base_url, [host], tmp_path) as internet:
        environment = {"CLOUDFLARE_API_TOKEN": TOKEN, **internet.environment}
        options = pack(rules={"account-budget": rule})
        refused = make_stack(lambda: Echo("x", "x"), **environment).preview(**options)
        assert not refused.ok
        assert (
            f"sets the base URL {url}, to which credentials from the environment are"
            in messages(refused)
        )
        assert TOKEN not in messages(refused)
        assert host not in internet.tokens
        environment["CLOUDFLARE_BASE_URL"] = url
        trusted = make_stack(lambda: Echo("x", "x"), **environment).preview(**options)
        assert trusted.ok, trusted.text
        assert f"The figures come from {url}, not from Cloudflare." in notes_of(trusted)
        assert internet.tokens == {host: {f"Bearer {TOKEN}"}}


@ONE_FORM
def test_a_block_at_an_update_creates_nothing_that_depends_on_the_invoice(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack
) -> None:
    stack = make_stack(program, **settled)
    run = stack.up(**pack("[max_amount_due('150 USD')]"))
    assert not run.ok
    assert VERDICT in run.text
    assert "dependent" not in created(stack)
    assert "upcoming" not in created(stack)


@ONE_FORM
def test_several_violations_are_reported_at_once(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack
) -> None:
    policies = "[max_amount_due('150 USD'), max_line_amount({'openai/*': '100 USD'}), "
    policies += "allowed_statuses(['open']), allowed_currencies(['eur'])]"
    run = make_stack(program, **settled).preview(**pack(policies))
    assert not run.ok
    for message in (
        VERDICT,
        "comes to $174.79 after credits",
        "has the status draft, which is not one of those allowed: open.",
        "is in USD, which is not one of those allowed: EUR.",
    ):
        assert message in run.text


# One form is enough: these are refused before Pulumi sees any resource. What else a config is
# refused for is in tests/unit/test_rules_file.py.
LIMITED = {"max-amount-due": {"limit": "1000 USD"}, "near": {"rule": "max-amount-due"}}


@ONE_FORM
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"max-amount-due": {"limts": "1 USD"}}, "no setting 'limts'; did you mean 'limit'?"),
        ({"max-amont-due": "mandatory"}, "no rule 'max-amont-due'; did you mean 'max-amount-due'"),
        # Pulumi itself refuses a config of a name that it does not know, in its own words.
        ({"max-amont-due": {"limit": "1 USD"}}, 'error: configuring policy pack "tests"'),
        ({}, "rule 'near': it has no limit and would let everything pass"),
    ],
)
def test_a_config_that_would_do_nothing_is_refused_before_anything_runs(
    make_stack: MakeStack,
    program: Program,
    settled: dict[str, str],
    sandbox: Sandbox,
    pack: MakePack,
    config: Any,
    expected: str,
) -> None:
    run = make_stack(program, **settled).preview(**pack(rules=LIMITED, config=config))
    assert not run.ok
    assert expected in run.text
    assert "Traceback" not in run.text
    assert sandbox.requests == []


@ONE_FORM
@pytest.mark.parametrize(
    ("policies", "rules", "expected"),
    [
        (None, {"max-amount-due": {"limits": "1 USD"}}, "rules.json: rule 'max-amount-due': there"),
        ("[max_amount_due('250')]", None, "'250' has no currency: write it as '250 USD'"),
    ],
)
def test_a_pack_whose_rules_cannot_be_used_does_not_load(
    make_stack: MakeStack,
    program: Program,
    settled: dict[str, str],
    pack: MakePack,
    policies: str | None,
    rules: Any,
    expected: str,
) -> None:
    run = make_stack(program, **settled).preview(**pack(policies, rules=rules))
    assert not run.ok
    assert "error: policy pack 'tests': " in run.text
    assert expected in run.text
    assert "Traceback" not in run.text


@ONE_FORM
def test_a_config_brings_a_limit_and_a_level_and_a_disabled_rule_is_named(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack
) -> None:
    config = {
        "max-amount-due": {"limit": "usd 1,000"},
        "near": {"limit": "150 USD", "enforcementLevel": "advisory"},
        "max-increase": "disabled",
    }
    rules = {**LIMITED, "max-increase": {}}
    run = make_stack(program, **settled).up(**pack(rules=rules, config=config))
    assert run.ok, run.text
    assert VERDICT in run.text
    assert "max-increase: It is disabled and judges nothing." in run.text


@ONE_FORM
def test_a_waiver_and_a_rule_without_a_base_are_noted(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack
) -> None:
    waiver = {"until": "2999-01-01", "by": "the CFO", "reason": "launch week"}
    rules = {
        "max-amount-due": {"limit": "150 USD", "waiver": {**waiver, "limit": "500 USD"}},
        "ended": {
            "rule": "max-amount-due",
            "limit": "500 USD",
            "waiver": {**waiver, "until": "2020-01-01", "limit": "1 USD"},
        },
        "allowed-statuses": {"statuses": ["open"], "waiver": waiver},
        "max-increase": {"limit": "20%"},
    }
    run = make_stack(program, **settled).up(**pack(rules=rules))
    assert run.ok, run.text
    author = "by the CFO: launch week."
    for message in (
        f"max-amount-due: A waiver with the limit 500 USD is in force until 2999-01-01, {author}",
        "ended: Its waiver (until 2020-01-01, by the CFO: launch week) has ended.",
        f"allowed-statuses: A waiver suspends it until 2999-01-01, {author}",
        "it is new, renamed, replaced or read from another address",
        f"The figures come from {sandbox_url(settled)}, not from Cloudflare.",
    ):
        assert message in run.text


@ONE_FORM
def test_an_invoice_of_an_earlier_period_is_noted_once(
    make_stack: MakeStack, program: Program, pack: MakePack
) -> None:
    with Sandbox(now=datetime(2026, 6, 15, tzinfo=UTC)) as stopped:
        reading = {"accountIds": [ACCOUNT], "baseUrl": stopped.base_url}
        rules = {
            "account-budget": {"limit": "900 USD", **reading},
            "max-amount-due": {"limit": "900 USD"},
            "max-line-amount": {"defaultLimit": "900 USD"},
        }
        run = make_stack(program, **pointed_at(stopped)).preview(**pack(rules=rules))
    assert run.ok, run.text
    note = f"Account {ACCOUNT}: The invoice's period, 2026-06-01 to 2026-06-30, has ended."
    assert notes_of(run).count(note) == 1


@pytest.mark.parametrize(("source", "form"), in_turn("program", "stack-config"), indirect=["form"])
def test_a_secret_account_is_not_printed(
    make_stack: MakeStack, form: Form, settled: dict[str, str], pack: MakePack, source: str
) -> None:
    del settled["CLOUDFLARE_ACCOUNT_ID"]
    secret = "0" * 31 + "7"

    def program() -> None:
        form.resource("upcoming", pulumi.Output.secret(secret) if source == "program" else None)

    stack = make_stack(program, **settled)
    if source == "stack-config":
        stack.set("cf-invoice:accountId", secret, secret=True)
    run = stack.preview(**pack("[max_amount_due('150 USD'), max_increase('1%')]"))
    assert not run.ok
    assert "The upcoming invoice is $188.46 for" in run.text
    assert secret not in run.text


def test_a_secret_address_of_the_plugins_provider_is_said_to_be_secret(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, pack: MakePack
) -> None:
    del settled["CLOUDFLARE_BASE_URL"]

    def program() -> None:
        provider = sdk.Provider("own", base_url=pulumi.Output.secret(sandbox.base_url))
        sdk.InvoicePreview("upcoming", opts=pulumi.ResourceOptions(provider=provider))

    run = make_stack(program, **settled).preview(**pack("[max_amount_due('150 USD')]"))
    assert not run.ok
    origins = set(re.findall("come from (.*?), not from Cloudflare", messages(run)))
    assert origins == {"an address that is secret"}


def test_an_unknown_account_is_an_advisory_at_preview_and_a_verdict_on_update(
    make_stack: MakeStack, form: Form, settled: dict[str, str], pack: MakePack
) -> None:
    def unknown() -> None:
        form.resource("upcoming", Echo("account", ACCOUNT).value)

    stack = make_stack(unknown, **settled)
    options = pack("[max_amount_due('150 USD')]")
    preview = stack.preview(**options)
    assert preview.ok, preview.text
    assert "can't run policy 'max-amount-due'" in preview.text
    assert "can't be known during preview" in preview.text
    up = stack.up(**options)
    assert not up.ok
    assert VERDICT in up.text


def test_unknown_credentials_are_an_advisory_at_preview_and_a_verdict_on_update(
    make_stack: MakeStack, form: Form, settled: dict[str, str], pack: MakePack
) -> None:
    """Pulumi does not ask a plugin whose credentials are unknown, not even to check a resource."""
    del settled["CLOUDFLARE_API_TOKEN"]

    def unknown() -> None:
        form.resource("upcoming", ACCOUNT, Echo("token", TOKEN).value)

    stack = make_stack(unknown, **settled)
    on_stack = "require_invoice_preview(resource_types=['pulumi:pulumi:Stack'])"
    options = pack(f"[max_amount_due('150 USD'), {on_stack}]")
    preview = stack.preview(**options)
    assert preview.ok, preview.text
    assert "can't run policy 'max-amount-due'" in preview.text
    assert "The InvoicePreview upcoming is not judged before the update" in messages(preview)
    assert "--target" not in preview.text
    up = stack.up(**options)
    assert not up.ok
    assert VERDICT in up.text


def test_a_subclass_is_gated_like_the_resource_itself(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    class Company(InvoicePreview):
        pass

    run = make_stack(lambda: Company("upcoming"), **settled).up(**pack("[max_amount_due('1 USD')]"))
    assert not run.ok
    assert "over the limit of $1.00 by $187.46" in run.text


@pytest.mark.parametrize(("fault", "form"), in_turn("http-403", "http-503"), indirect=["form"])
def test_a_failed_read_is_one_error_and_the_policies_stay_quiet(
    make_stack: MakeStack,
    form: Form,
    settled: dict[str, str],
    sandbox: Sandbox,
    pack: MakePack,
    fault: str,
) -> None:
    sandbox.fault = fault
    policies = "[max_amount_due('1 USD'), max_increase('1 USD'), require_invoice_preview()]"
    run = make_stack(lambda: form.resource("upcoming"), **settled).preview(**pack(policies))
    assert not run.ok
    assert "cannot read the upcoming invoice" in run.text
    assert [event for event in run.events if event.policy_event] == []
    assert "Traceback" not in run.text


@ONE_FORM
def test_an_invoice_that_is_not_targeted_is_reported_and_blocks_the_update(
    make_stack: MakeStack, form: Form, settled: dict[str, str], pack: MakePack
) -> None:
    def program() -> None:
        form.resource("upcoming")
        Echo("targeted", "x")

    options = pack("[max_amount_due('1 USD')]")
    options["target"] = ["urn:pulumi:dev::test::pulumi-python:dynamic/tests:Echo::targeted"]
    stack = make_stack(program, **settled)
    message = "max-amount-due cannot judge upcoming: its figures are not known"
    preview = stack.preview(**options)
    assert preview.ok, preview.text
    assert message in preview.text
    update = stack.up(**options)
    assert not update.ok
    assert message in messages(update)


def test_a_host_that_sets_no_variable_tells_a_preview_from_an_update_all_the_same(
    make_command_line: MakeCommandLine, settled: dict[str, str], pack: MakePack
) -> None:
    """Pulumi's Python host starts packs in its own environment, in which no variable says so."""
    [directory] = pack(rules={"max-amount-due": {"limit": "1 USD"}})["policy_packs"]
    project = make_command_line(EXAMPLE.parent / "ci")
    flags = f"--stack dev --policy-pack {directory} --exclude '**upcoming'"
    assert project.shell(f"pulumi preview {flags}"), project.printed
    assert "max-amount-due cannot judge upcoming" in project.printed
    update = f"pulumi up --yes --skip-preview {flags}"
    assert not project.shell(update, PULUMI_DRY_RUN="true"), project.printed


def test_an_increase_violates_also_after_a_refresh(
    make_stack: MakeStack,
    program: Program,
    settled: dict[str, str],
    sandbox: Sandbox,
    pack: MakePack,
) -> None:
    stack = make_stack(program, **settled)
    options = pack("[max_increase('10 USD')]")
    assert stack.up(**options).ok
    sandbox.amount_due = 20001
    for run in (stack.preview(**options), stack.up(refresh=True, **options)):
        assert not run.ok
        assert "rose by $11.55 to $200.01 since the last update, over the limit" in run.text


@ONE_FORM
def test_rules_that_judged_nothing_say_so_at_previews_and_updates(
    make_stack: MakeStack, form: Form, settled: dict[str, str], pack: MakePack
) -> None:
    def reading() -> None:
        Echo("alone", "x")
        form.get("read", ACCOUNT)

    rules = {
        "max-amount-due": {"limit": "0 USD"},
        "near": {"rule": "max-amount-due", "limit": "0 USD", "enforcementLevel": "advisory"},
        "off": {"rule": "max-amount-due", "limit": "0 USD", "enforcementLevel": "disabled"},
        "require-invoice-preview": {},
        "require-gateway-spend-limit": {"limit": "1 USD"},
        **budget(settled, "1000 USD"),
    }
    stack = make_stack(lambda: Echo("alone", "x"), **settled)
    for operation in (stack.preview, stack.up):
        run = operation(**pack(rules=rules))
        stack.use(reading)
        assert run.ok, run.text
        notes = notes_of(run)
        for name in ("max-amount-due", "near"):
            message = f"{name}: It judged nothing, because the stack has no InvoicePreview."
            assert sum(message in note for note in notes) == 1, notes
        for name, lacks in (
            ("require-invoice-preview", "resource of its resourceTypes"),
            ("require-gateway-spend-limit", "AI gateway"),
        ):
            message = f"{name}: It judged nothing, because the stack has no {lacks}."
            assert sum(message in note for note in notes) == 1, notes
        assert sum("judged nothing" in note for note in notes) == 4, notes
        assert sum("off: It is disabled and judges nothing." in note for note in notes) == 1


@ONE_FORM
@pytest.mark.parametrize("in_code", [False, True])
def test_a_rule_warns_at_percentages_of_its_limit(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack, in_code: bool
) -> None:
    rules = {"max-amount-due": {"limit": "900 USD", "warnAt": ["80%", "95%"]}}
    code = "[max_amount_due('900 USD', warn_at=['80%', '95%'])]" if in_code else None
    config = {"max-amount-due": {"limit": "200 USD"}, "max-amount-due-95%": "advisory"}
    run = make_stack(program, **settled).preview(**pack(code, config, rules))
    assert run.ok, run.text
    [violation] = [event.policy_event for event in run.events if event.policy_event]
    assert (violation.policy_name, violation.enforcement_level) == (
        "max-amount-due-80%",
        "advisory",
    )
    assert "over the limit of $160.00 by $28.46" in violation.message


@ONE_FORM
def test_a_limit_of_an_account_that_was_not_judged_is_noted(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack
) -> None:
    accounts = {ACCOUNT: "1000 USD", OTHER_ACCOUNT.upper(): "5 USD"}
    rules = {"max-amount-due": {"limit": {"limit": "1000 USD", "accounts": accounts}}}
    run = make_stack(program, **settled).up(**pack(rules=rules))
    assert run.ok, run.text
    message = f"Its limits name account {OTHER_ACCOUNT}, of which nothing was judged."
    assert sum(message in note for note in notes_of(run)) == 1, run.text
    assert "judged nothing" not in run.text


@ONE_FORM
def test_a_stack_that_has_to_look_at_an_invoice_is_told_so(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack
) -> None:
    options = pack("[require_invoice_preview(['pulumi-python:dynamic/tests:*'])]")
    stack = make_stack(lambda: Echo("alone", "x"), **settled)
    run = stack.preview(**options)
    assert not run.ok
    assert (
        "The stack has alone (pulumi-python:dynamic/tests:Echo), but no InvoicePreview" in run.text
    )
    stack.use(program)
    assert stack.preview(**options).ok


def budget(settled: dict[str, str], limit: str = "150 USD", **more: Any) -> dict[str, Any]:
    rule = {"accountIds": [ACCOUNT], "baseUrl": sandbox_url(settled), "limit": limit, **more}
    return {"account-budget": {name: value for name, value in rule.items() if value is not None}}


@pytest.mark.parametrize(
    "flags",
    [
        {"target": ["urn:pulumi:dev::test::pulumi-python:dynamic/tests:Echo::independent"]},
        {"exclude": ["**"]},
        {"exclude": ["urn:pulumi:dev::test::pulumi:pulumi:Stack::test-dev"]},
    ],
    ids=["target", "exclude", "exclude-stack"],
)
def test_over_its_budget_an_update_creates_nothing_at_all(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack, flags: dict[str, Any]
) -> None:
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    run = stack.up(**pack(rules=budget(settled)), **flags)
    assert not run.ok
    assert VERDICT in messages(run)
    assert created(stack) == []


def test_a_forged_or_forgotten_resource_is_not_asked(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    def program() -> None:
        Forged("upcoming", ACCOUNT)

    rules = {"max-amount-due": {"limit": "150 USD"}, **budget(settled)}
    stack = make_stack(program, **settled)
    run = stack.up(**pack(rules=rules))
    assert not run.ok
    assert VERDICT in messages(run)


def test_an_update_that_only_deletes_is_gated_and_a_waiver_helps(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    assert stack.up().ok
    stack.use(lambda: None)
    assert not stack.up(**pack(rules=budget(settled))).ok
    waiver = {"until": "2999-01-01", "by": "x", "reason": "cut", "limit": "500 USD"}
    run = stack.up(**pack(rules=budget(settled, waiver=waiver)))
    assert run.ok, run.text
    assert "A waiver with the limit 500 USD is in force" in run.text
    assert created(stack) == []


def test_a_program_that_registers_nothing_is_gated_although_no_resource_begins(
    make_stack: MakeStack,
    settled: dict[str, str],
    pack: MakePack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such is one that ends before it runs any of Pulumi, whose resources are all deleted."""
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    assert stack.up().ok
    monkeypatch.setattr(LanguageServer, "Run", lambda *_: language_pb2.RunResponse())
    [rule] = budget(settled).values()
    of_somebody_else = (
        "ResourceValidationPolicy('other', 'x', lambda args, report: report('a resource'))"
    )
    policies = f"[{of_somebody_else}, account_budget({rule['limit']!r}, "
    policies += f"account_ids={rule['accountIds']}, base_url={rule['baseUrl']!r})]"
    for operation in (stack.preview, stack.up):
        run = operation(**pack(policies))
        assert not run.ok
        assert VERDICT in messages(run)
        assert count_of(run, "a resource") == 0
    run = stack.up(**pack(rules=budget(settled, enforcementLevel="advisory")))
    assert run.ok, run.text
    assert count_of(run, VERDICT) == 1
    run = stack.up(**pack(rules=budget(settled, "500 USD")))
    assert run.ok, run.text


def test_every_account_that_is_named_is_checked_whatever_the_environment_says(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, pack: MakePack
) -> None:
    limit = {"accounts": {ACCOUNT: "1000 USD", OTHER_ACCOUNT: "1 USD"}}
    rules = budget(settled, limit=limit, accountIds=[ACCOUNT, OTHER_ACCOUNT])  # type: ignore[arg-type]
    run = make_stack(lambda: Echo("independent", "x"), **settled).up(**pack(rules=rules))
    assert not run.ok
    assert f"account {OTHER_ACCOUNT} is $188.46" in messages(run)
    assert sorted(sandbox.requests) == sorted([ACCOUNT, OTHER_ACCOUNT])


def test_eight_rules_read_an_account_once_and_tell_once_why_it_failed(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, pack: MakePack
) -> None:
    sandbox.fault = "http-503"
    [rule] = budget(settled).values()
    rules = {f"budget-{n}": {"rule": "account-budget", **rule} for n in range(8)}
    run = make_stack(lambda: Echo("independent", "x"), **settled).preview(**pack(rules=rules))
    assert not run.ok
    assert len(sandbox.requests) == 4
    assert count_of(run, "Cloudflare said HTTP 503") == 1
    assert count_of(run, "could not be judged: budget-0 says why.") == 7


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("CLOUDFLARE_API_TOKEN", "wrong", "HTTP 403, code 10000: Authentication error"),
        ("CLOUDFLARE_API_TOKEN", "", "set CLOUDFLARE_API_TOKEN; the token needs"),
    ],
)
def test_a_budget_that_cannot_be_read_fails_closed(
    make_stack: MakeStack,
    settled: dict[str, str],
    pack: MakePack,
    setting: str,
    value: str,
    expected: str,
) -> None:
    settled[setting] = value
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    run = stack.up(**pack(rules=budget(settled)))
    assert not run.ok
    assert f"Account {ACCOUNT} could not be judged: " in messages(run)
    assert expected in messages(run)
    assert "pulumi config" not in messages(run)
    assert created(stack) == []
    opened = stack.up(**pack(rules=budget(settled), config={"account-budget": {"failOpen": True}}))
    assert opened.ok
    allowed = "could not be judged, which failOpen allows: "
    assert f"account-budget: Account {ACCOUNT} {allowed}" in opened.text


def test_a_base_url_of_the_environment_does_not_redirect_a_rule(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack, sandbox: Sandbox
) -> None:
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    run = stack.up(**pack(rules=budget(settled, baseUrl=None)))
    assert not run.ok
    assert "set that in the rule, or unset the variable" in messages(run)
    assert sandbox.requests == []


RULES = {
    "max-amount-due": {"limit": "150 USD"},
    "max-projected-amount-due": {"limit": "100 USD"},
    "max-line-amount": {"limits": {"openai/*": "100 USD", "x/*": "1 USD"}, "defaultLimit": "9 USD"},
    "max-increase": {"limit": "1%"},
    "allowed-statuses": {"statuses": ["draft"]},
    "allowed-currencies": {"currencies": ["usd"]},
}


@ONE_FORM
def test_pack_and_report_say_the_same_of_every_scenario(
    make_stack: MakeStack,
    form: Form,
    settled: dict[str, str],
    sandbox: Sandbox,
    pack: MakePack,
    tmp_path: Path,
) -> None:
    names = [name for name in SCENARIOS if name not in ("ten-thousand-lines", "moving")]
    accounts = {f"{number:032x}": name for number, name in enumerate(names, 1)}
    sandbox.accounts.update(accounts)

    def program() -> None:
        for account, name in accounts.items():
            form.resource(name, account)

    run = make_stack(program, **settled).preview(**pack(rules=RULES))
    assert not run.ok
    # The report reads the same figures from the same properties, as a preview's JSON has them.
    steps = [
        {
            "op": "create",
            "urn": f"urn:pulumi:dev::test::{form.type}::{name}",
            "newState": {"type": form.type, "inputs": run.new(name)},
        }
        for name in names
    ]
    digest = json.dumps({"steps": steps, "changeSummary": {"create": len(steps)}})
    rules = read_rules(tmp_path / "pack" / "rules.json")
    for account, name in accounts.items():
        [given] = input.read(digest, account_id=account)
        results = judge(rules, [given], datetime.now(UTC), AccountReader({}))
        for rule in results:
            packs = [
                event.policy_event.message.split("\n", 1)[1].strip()
                for event in run.events
                if event.policy_event
                and event.policy_event.policy_name == rule.name
                and (event.policy_event.resource_urn or "").endswith(f"::{name}")
            ]
            # A pack names an account once, as long as it has met no other.
            said_by_pack = [without_account(message, account) for message in packs]
            said_by_report = [
                without_account(finding.violation, account) for finding in rule.violations
            ]
            assert said_by_pack == said_by_report, (name, rule.name)
            for note in rule.noted:
                assert f"{rule.name}: {note}" in run.text, (name, rule.name)


# What no resource has, and what a program sets.


def of_account(settled: dict[str, str], **limits: str) -> dict[str, Any]:
    rule = {"accountIds": [ACCOUNT], "baseUrl": sandbox_url(settled)}
    return {
        "min-credit-balance": {"limit": limits.get("balance", "1000000 USD"), **rule},
        "account-budget": {"limit": limits.get("budget", "1000 USD"), **rule},
    }


def test_with_too_few_credits_an_update_creates_nothing_at_all(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, pack: MakePack
) -> None:
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    run = stack.up(**pack(rules=of_account(settled)))
    assert not run.ok
    assert f"The credit balance of account {ACCOUNT} is " in messages(run)
    assert "below the minimum of $1,000,000.00 by" in messages(run)
    assert created(stack) == []
    # The invoice, for the currency and for the budget, and the balance.
    assert sandbox.requests == [ACCOUNT, ACCOUNT]
    healthy = stack.up(**pack(rules=of_account(settled, balance="0 USD")))
    assert healthy.ok, healthy.text
    assert "independent" in created(stack)


def test_credits_that_cannot_be_read_block_and_every_reason_is_reported_once(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    settled["CLOUDFLARE_API_TOKEN"] = "wrong"
    rules = of_account(settled)
    rules["near"] = {"rule": "min-credit-balance", **rules["min-credit-balance"]}
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    run = stack.preview(**pack(rules=rules))
    assert not run.ok
    assert count_of(run, "cannot read the credit balance") == 1
    assert count_of(run, "cannot read the upcoming invoice") == 1
    assert count_of(run, "could not be judged: min-credit-balance says why.") == 1


def coming(base_url: str, **more: Any) -> dict[str, Any]:
    rule = {"accountIds": [ACCOUNT], "baseUrl": base_url, **more}
    return {
        "max-forecast": {"limit": "1000 USD", "percentile": 90, **rule},
        "min-runway": {"days": 366, **rule},
    }


def spike(base_url: str) -> dict[str, Any]:
    """Return a rule that every day of an account in use is over, and that only warns."""
    rule = {"accountIds": [ACCOUNT], "baseUrl": base_url, "limit": "0.01 USD"}
    return {"max-daily-spend": {**rule, "enforcementLevel": "advisory"}}


def test_no_update_passes_on_a_usage_history_that_cannot_be_read(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, pack: MakePack
) -> None:
    sandbox.faults["usage-history"] = "http-403"
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    run = stack.up(**pack(rules=coming(sandbox_url(settled))))
    assert not run.ok
    assert count_of(run, f"cannot read the usage history of account {ACCOUNT}") == 1
    assert count_of(run, "could not be judged: max-forecast says why.") == 1
    assert created(stack) == []
    # Invoice, usage and balance, each once.
    assert sandbox.requests == [ACCOUNT] * 3
    opened = stack.up(**pack(rules=coming(sandbox_url(settled), failOpen=True)))
    assert opened.ok, opened.text
    assert (
        "could not be judged, which failOpen allows: cannot read the usage history" in opened.text
    )


def test_a_pack_judges_what_is_coming_and_a_spike_as_a_report_does_by_the_real_clock(
    make_stack: MakeStack, pack: MakePack
) -> None:
    with Sandbox("steady") as sandbox:
        rules = coming(sandbox.base_url) | spike(sandbox.base_url)
        stack = make_stack(lambda: Echo("independent", "x"), **pointed_at(sandbox))
        run = stack.preview(**pack(rules=rules))
        reader = AccountReader({"CLOUDFLARE_API_TOKEN": TOKEN})
        reported = judge(parse_rules({"rules": rules}), [], datetime.now(UTC), reader)
    # In the first hour of a month it is too early, and the account passes.
    mandatory = [rule for rule in reported if rule.is_mandatory]
    assert run.ok == (not any(rule.violations for rule in mandatory))
    for rule in reported:
        events = [event.policy_event for event in run.events if event.policy_event]
        events = [event for event in events if event.policy_name == rule.name]
        assert {event.enforcement_level for event in events} <= {rule.level}
        # The figures move with the clock.
        message = sorted(event.message.split("\n", 1)[1].split("$")[0].strip() for event in events)
        without = (without_account(finding.violation, ACCOUNT) for finding in rule.violations)
        assert [without_account(text, ACCOUNT) for text in message] == sorted(
            text.split("$")[0].strip() for text in without
        )
    [daily] = [rule for rule in reported if rule.kind == "max-daily-spend"]
    # At the beginning of a month nothing has a price yet.
    assert daily.verdict == "over" or datetime.now(UTC).day == 1


@pytest.mark.usefixtures("cloudflare_plugin")
def test_the_example_gateway_allows_no_more_than_its_budget_at_preview_and_update(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    project, program = example(EXAMPLE.parent / "cost-aware-gateway")
    stack = make_stack(program, project, **settled)
    stack.set("budget", "200 USD")
    # Under way to the budget it may spend $5 a day, which is $160.00.
    assert stack.up(**pack("[require_gateway_spend_limit('160 USD')]")).ok
    less = pack("[require_gateway_spend_limit('159 USD')]")
    for run in (stack.preview(**less), stack.up(**less)):
        assert not run.ok
        assert (
            "The spend limits of the stack's AI gateways allow $160.00 in a month of 31 days, over "
            "the limit of $159.00 by $1.00: assistant $160.00 (32 windows of 1 day at $5.00 each)"
        ) in messages(run)


@pytest.mark.usefixtures("cloudflare_plugin")
def test_every_gateway_of_an_account_is_held_against_the_budget_whoever_made_it(
    make_stack: MakeStack, settled: dict[str, str], sandbox: Sandbox, pack: MakePack
) -> None:
    def program() -> None:
        BudgetedGateway("chat", "200 USD", ACCOUNT)

    def rule(limit: str) -> dict[str, Any]:
        reading = {"accountIds": [ACCOUNT], "baseUrl": sandbox_url(settled)}
        return {"require-gateway-spend-limit": {"limit": limit, **reading}}

    stack = make_stack(program, **settled)
    run = stack.preview(**pack(rules=rule("200 USD")))
    assert not run.ok
    assert (
        f"The AI gateway default of account {ACCOUNT} has no spend limit on all of its traffic: it "
        "has no `spend_limits`."
    ) in messages(run)
    sandbox.scenario = "capped-gateways"
    # $160.00 of the stack's own, as it will be, and two others.
    run = stack.preview(**pack(rules=rule("300 USD")))
    assert not run.ok
    message = f"The spend limits of the AI gateways of account {ACCOUNT} allow $320.00 in a month"
    assert message in messages(run)
    assert "chat $160.00 (32 windows of 1 day at $5.00 each)" in messages(run)
    run = stack.up(**pack(rules=rule("320 USD")))
    assert run.ok, run.text
    assert any("own-keys" in note and "was left out" in note for note in notes_of(run))


def test_a_resource_that_a_program_registers_before_its_stack_is_not_created_either(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    refused = []

    def program() -> None:
        monitor = get_monitor()
        assert monitor is not None
        early = RegisterResourceRequest(type="test:index:Early", name="early", custom=False)
        try:
            monitor.RegisterResource(early)
        except grpc.RpcError as error:
            refused.append(error)

    rule = {"limit": "1 USD", "accountIds": [ACCOUNT], "baseUrl": sandbox_url(settled)}
    stack = make_stack(program, **settled)
    run = stack.up(**pack(rules={"account-budget": rule}))
    assert not run.ok
    assert "over the limit of $1.00 by $187.46" in messages(run)
    # The engine does not wait for the program's thread.
    wait_until(lambda: refused, "the resource was refused")
    assert created(stack) == []


def test_a_component_that_calls_itself_a_gateway_hides_none_of_the_account(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    """A rule that reads accounts by itself holds whatever the program does."""

    def program() -> None:
        rules = [{"limitType": "cost", "limit": 1, "window": 86400, "enabled": True}]
        claimed = {"aiGatewayId": "default", "spendLimits": {"enabled": True, "rules": rules}}
        kind = "cloudflare:index/aiGateway:AiGateway"
        pulumi.ComponentResource(kind, "forged", {"accountId": ACCOUNT, **claimed})

    rule = {"limit": "999 USD", "accountIds": [ACCOUNT], "baseUrl": sandbox_url(settled)}
    run = make_stack(program, **settled).preview(
        **pack(rules={"require-gateway-spend-limit": rule})
    )
    assert not run.ok
    assert f"The AI gateway default of account {ACCOUNT} has no spend limit" in messages(run)


@pytest.mark.usefixtures("cloudflare_plugin")
def test_a_stack_cannot_say_that_a_gateway_of_the_account_has_a_spend_limit(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    provider: dict[str, str] = {}

    def program() -> None:
        elsewhere = cloudflare.Provider("elsewhere", **provider) if provider else None
        gateway("default", 1, elsewhere)

    rule = {"limit": "999 USD", "accountIds": [ACCOUNT], "baseUrl": sandbox_url(settled)}
    options = pack(rules={"require-gateway-spend-limit": rule})
    uncapped = f"The AI gateway default of account {ACCOUNT} has no spend limit on all of its"
    stack = make_stack(program, **settled)
    preview = stack.preview(**options)
    assert preview.ok, preview.text
    assert any(uncapped in note and "pulumi refresh" in note for note in notes_of(preview))
    # The stand-in changes nothing in the account, as Pulumi if the state has the limit already.
    update = stack.up(**options)
    assert not update.ok
    assert uncapped in messages(update)
    provider["base_url"] = "http://127.0.0.1:9/client/v4"
    preview = stack.preview(**options)
    assert not preview.ok
    assert uncapped in messages(preview)


@pytest.mark.usefixtures("cloudflare_plugin")
def test_a_spend_limit_that_depends_on_a_resource_to_come_is_an_advisory_and_then_a_verdict(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    def program() -> None:
        limit = Echo("limit", "9").value.apply(float)
        gateway("assistant", limit)
        token = Echo("token", "x" * 40).value
        # Pulumi does not ask its provider before the update, but knows what the program asks for.
        gateway("elsewhere", 1, cloudflare.Provider("later", api_token=token))
        InvoicePreview("later", account_id=Echo("account", OTHER_ACCOUNT).value)

    def with_known() -> None:
        program()
        gateway("uncapped")

    stack = make_stack(program, **settled)
    options = pack("[require_gateway_spend_limit('200 USD'), require_invoice_preview()]")
    preview = stack.preview(**options)
    assert preview.ok, preview.text
    found = [event.policy_event for event in preview.events if event.policy_event]
    advisories = {
        (str(advisory.resource_urn).rsplit("::", 1)[-1], advisory.message.strip())
        for advisory in found
    }
    of_gateways, of_stacks = RequireGatewaySpendLimit, RequireInvoicePreview
    assert advisories == {
        (
            "assistant",
            f"{of_gateways.description}\nThe AI gateway assistant is not judged before the update: "
            "its `spend_limits` is not known yet.",
        ),
        (
            "later",
            f"{of_stacks.description}\nThe InvoicePreview later is not judged before the update: "
            "its figures are not known yet.",
        ),
    }
    stack.use(with_known)
    preview = stack.preview(**options)
    assert not preview.ok
    assert "The AI gateway uncapped has no spend limit on all of its traffic" in messages(preview)
    assert "The AI gateway assistant is not judged before the update" in messages(preview)
    stack.use(program)
    update = stack.up(**options)
    assert not update.ok
    assert "allow $320.00 in a month of 31 days, over the limit of $200.00" in messages(update)


@ONE_FORM
@pytest.mark.usefixtures("cloudflare_plugin")
def test_a_gateway_needs_the_invoice_of_its_own_account(
    make_stack: MakeStack, form: Form, settled: dict[str, str], pack: MakePack
) -> None:
    secret = "0" * 31 + "7"

    def program(account_id: Any, of_invoice: str = OTHER_ACCOUNT) -> Callable[[], None]:
        def made() -> None:
            account = account_id() if callable(account_id) else account_id
            gateway("chat", account_id=account)
            form.resource("upcoming", of_invoice)

        return made

    options = pack("[require_invoice_preview()]")
    stack = make_stack(program(ACCOUNT), **settled)
    preview = stack.preview(**options)
    assert not preview.ok
    lacking = "but no InvoicePreview of that account with figures, only of others"
    assert f"of account {ACCOUNT}, {lacking}" in messages(preview)
    stack.use(program(lambda: pulumi.Output.secret(secret)))
    preview = stack.preview(**options)
    assert not preview.ok
    assert f"of an account that is secret, {lacking}" in messages(preview)
    assert secret not in preview.text
    stack.use(program(ACCOUNT, ACCOUNT))
    assert stack.preview(**options).ok
    # Any will do until the update knows better.
    stack.use(program(lambda: Echo("account", ACCOUNT).value))
    assert stack.preview(**options).ok
    update = stack.up(**options)
    assert not update.ok
    assert f"of account {ACCOUNT}, {lacking}" in messages(update)


def gateway(
    name: str, limit: Any = None, provider: Any = None, account_id: pulumi.Input[str] = ACCOUNT
) -> None:
    """Make a gateway whose spend limit, if any, is *limit* a day, by the default *provider*."""
    rules = [{"limit_type": "cost", "limit": limit, "window": 86400}]
    cloudflare.AiGateway(
        name,
        account_id=account_id,
        ai_gateway_id=name,
        cache_invalidate_on_update=True,
        cache_ttl=0,
        collect_logs=True,
        rate_limiting_interval=0,
        rate_limiting_limit=0,
        spend_limits={"enabled": True, "rules": rules} if limit else None,
        opts=pulumi.ResourceOptions(provider=provider),
    )
