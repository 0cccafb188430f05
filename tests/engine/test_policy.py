import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

from pulumi_cf_invoice import Credentials, InvoicePreview
from pulumi_cf_invoice.sandbox import Sandbox
from tests.engine.conftest import MakeStack
from tests.engine.forms import Form
from tests.engine.harness import Program, Run
from tests.engine.resources import Echo
from tests.factories import ACCOUNT, TOKEN

PACK = Path(__file__).parents[2] / "examples" / "policy-pack"
VERDICT = (
    f"The upcoming invoice of account {ACCOUNT} is $188.46 for 2026-09-01 to 2026-09-30, over the "
    "limit of $150.00 by $38.46. Largest lines: openai/gpt-5.5 $174.79, anthropic/claude-haiku "
    "$13.67."
)
MakePack = Callable[..., dict[str, Any]]


@pytest.fixture
def program(form: Form) -> Program:
    def run() -> None:
        upcoming = form.resource("upcoming")
        Echo("dependent", form.derived(upcoming).amount_due_text)
        pulumi.export("amount_due", upcoming.amount_due)

    return run


@pytest.fixture
def pack(tmp_path: Path) -> MakePack:
    """A factory that writes a policy pack and its config, and returns the options to run it."""

    def make(policies: str, config: dict[str, Any] | None = None) -> dict[str, Any]:
        directory = tmp_path / "pack"
        directory.mkdir(exist_ok=True)
        (directory / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 0.0.1\n")
        (directory / "__main__.py").write_text(
            "from pulumi_cf_invoice.policy import *\n"
            f"from pulumi_policy import EnforcementLevel\nspend_policy_pack('tests', {policies})\n"
        )
        if config is None:
            return {"policy_packs": [str(directory)]}
        file = tmp_path / "config.json"
        file.write_text(json.dumps(config))
        return {"policy_packs": [str(directory)], "policy_pack_configs": [str(file)]}

    return make


def created(stack: Any) -> list[str]:
    resources = stack.state().get("resources", [])
    return [r["urn"].split("::")[-1] for r in resources if "Stack" not in r["type"]]


def count_of(run: Run, message: str) -> int:
    return sum(message in event.policy_event.message for event in run.events if event.policy_event)


def told(run: Run) -> str:
    """Return a run's output and policy events together, as an abrupt end may truncate either."""
    return run.text + "".join(e.policy_event.message for e in run.events if e.policy_event)


def test_the_example_pack_blocks_an_over_budget_preview(
    make_stack: MakeStack, program: Program, settled: dict[str, str]
) -> None:
    stack = make_stack(program, **settled)
    config = str(PACK / "config.json")
    run = stack.preview(policy_packs=[str(PACK)], policy_pack_configs=[config])
    assert not run.ok
    assert VERDICT in run.text
    assert "The upcoming AI Gateway invoice stays within its limit." in run.text
    assert "Traceback" not in run.text
    assert created(stack) == []


def test_the_example_pack_passes_below_its_own_limit(
    make_stack: MakeStack, program: Program, settled: dict[str, str]
) -> None:
    run = make_stack(program, **settled).up(policy_packs=[str(PACK)])
    assert run.ok, run.text
    assert count_of(run, "upcoming invoice") == 0


def test_an_advisory_says_so_and_lets_pass(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack
) -> None:
    config = {"max-amount-due": {"limit": "150 USD", "enforcementLevel": "advisory"}}
    run = make_stack(program, **settled).up(**pack("[max_amount_due()]", config))
    assert run.ok, run.text
    assert VERDICT in run.text


def test_a_block_at_an_update_creates_nothing_that_depends_on_the_invoice(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack
) -> None:
    stack = make_stack(program, **settled)
    run = stack.up(**pack("[max_amount_due('150 USD')]"))
    assert not run.ok
    assert VERDICT in run.text
    assert "dependent" not in created(stack)
    assert "upcoming" not in created(stack)


def test_several_violations_are_told_at_once(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack
) -> None:
    policies = "[max_amount_due('150 USD'), max_line_amount({'openai/*': '100 USD'}), "
    policies += "allowed_statuses(['open']), allowed_currencies(['eur'])]"
    run = make_stack(program, **settled).preview(**pack(policies))
    assert not run.ok
    for message in (
        VERDICT,
        "openai/gpt-5.5 comes to $174.79 after credits",
        "has the status draft, which is not among: open.",
        "is in USD, which is not among: EUR.",
    ):
        assert message in run.text


# One form is enough: Pulumi validates the config before it sees any resource.
@pytest.mark.parametrize("form", ["dynamic"], indirect=True)
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"max-amount-due": {"limit": "250"}}, ["max-amount-due", "limit"]),
        ({"max-amount-due": {"limit": "-1 USD"}}, ["max-amount-due", "limit"]),
        ({"max-amount-due": {"limit": "ten"}}, ["max-amount-due", "limit"]),
        ({"max-amount-due": {"limit": 250}}, ["max-amount-due", "limit"]),
    ],
)
def test_a_bad_config_is_refused_by_policy_and_property(
    make_stack: MakeStack,
    program: Program,
    settled: dict[str, str],
    pack: MakePack,
    config: Any,
    said: list[str],
) -> None:
    run = make_stack(program, **settled).preview(**pack("[max_amount_due()]", config))
    assert not run.ok
    assert all(word in run.text for word in said)
    assert "Traceback" not in run.text


@pytest.mark.parametrize("form", ["dynamic"], indirect=True)
@pytest.mark.parametrize("limit", ["250.00 USD", "usd 250", "1,000 USD"])
def test_a_config_is_written_as_people_write(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack, limit: str
) -> None:
    config = {"max-amount-due": {"limit": limit}}
    run = make_stack(program, **settled).preview(**pack("[max_amount_due()]", config))
    assert run.ok, run.text


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
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    """Only the dynamic form does this: Pulumi does not call a plugin with unknown credentials."""
    del settled["CLOUDFLARE_API_TOKEN"]

    def unknown() -> None:
        token = Echo("token", TOKEN)
        InvoicePreview("upcoming", credentials=Credentials(api_token=token.value))

    stack = make_stack(unknown, **settled)
    options = pack("[max_amount_due('150 USD')]")
    preview = stack.preview(**options)
    assert preview.ok, preview.text
    assert "can't run policy 'max-amount-due'" in preview.text
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


@pytest.mark.parametrize("fault", ["http-403", "http-503"])
def test_a_failed_read_is_one_error_and_the_policies_stay_quiet(
    make_stack: MakeStack,
    form: Form,
    settled: dict[str, str],
    sandbox: Sandbox,
    pack: MakePack,
    fault: str,
) -> None:
    sandbox.fault = fault
    policies = "[p for p in every_policy() if p.name != 'account-budget']"
    config = {"max-amount-due": {"limit": "1 USD"}, "max-increase": {"limit": "1 USD"}}
    run = make_stack(lambda: form.resource("upcoming"), **settled).preview(**pack(policies, config))
    assert not run.ok
    assert "cannot read the upcoming invoice" in run.text
    assert [event for event in run.events if event.policy_event] == []
    assert "Traceback" not in run.text


def test_an_invoice_that_is_not_targeted_is_told_of_and_blocks_the_update(
    make_stack: MakeStack, form: Form, settled: dict[str, str], pack: MakePack
) -> None:
    def program() -> None:
        form.resource("upcoming")
        Echo("targeted", "x")

    options = pack("[max_amount_due('1 USD')]")
    options["target"] = ["urn:pulumi:dev::test::pulumi-python:dynamic/tests:Echo::targeted"]
    stack = make_stack(program, **settled)
    said = "max-amount-due cannot judge upcoming: its figures are not known"
    preview = stack.preview(**options)
    assert preview.ok, preview.text
    assert said in preview.text
    update = stack.up(**options)
    assert not update.ok
    assert said in told(update)


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


def test_a_policy_without_an_invoice_in_the_stack_has_nothing_to_say(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    run = make_stack(lambda: Echo("alone", "x"), **settled).up(**pack("[max_amount_due('0 USD')]"))
    assert run.ok, run.text


def test_a_stack_that_has_to_look_at_an_invoice_is_told_so(
    make_stack: MakeStack, program: Program, settled: dict[str, str], pack: MakePack
) -> None:
    options = pack("[require_invoice_preview(['pulumi-python:dynamic/tests:*'])]")
    stack = make_stack(lambda: Echo("alone", "x"), **settled)
    run = stack.preview(**options)
    assert not run.ok
    assert (
        "The stack has alone (pulumi-python:dynamic/tests:Echo) and no InvoicePreview" in run.text
    )
    stack.use(program)
    assert stack.preview(**options).ok


BUDGET = "[account_budget('{limit}', account_id='" + ACCOUNT + "')]"


def test_over_its_budget_an_update_creates_nothing_at_all(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    run = stack.up(**pack(BUDGET.format(limit="150 USD")))
    assert not run.ok
    assert VERDICT in told(run)
    assert created(stack) == []


def test_within_its_budget_a_stack_deploys(
    make_stack: MakeStack, settled: dict[str, str], pack: MakePack
) -> None:
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    run = stack.up(**pack(BUDGET.format(limit="188.46 USD")))
    assert run.ok, run.text
    assert "independent" in created(stack)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("CLOUDFLARE_API_TOKEN", "wrong", "HTTP 403, code 10000: Authentication error"),
        ("CLOUDFLARE_BASE_URL", "http://127.0.0.1:9/client/v4", "no answer from 127.0.0.1"),
    ],
)
def test_a_budget_that_cannot_be_read_fails_closed(
    make_stack: MakeStack,
    settled: dict[str, str],
    pack: MakePack,
    setting: str,
    value: str,
    said: str,
) -> None:
    settled[setting] = value
    stack = make_stack(lambda: Echo("independent", "x"), **settled)
    run = stack.up(**pack(BUDGET.format(limit="150 USD")))
    assert not run.ok
    assert "Nothing is deployed while the budget is unknown" in told(run)
    assert said in told(run)
    assert created(stack) == []
    opened = {"account-budget": {"limit": "150 USD", "failOpen": True}}
    assert stack.up(**pack(BUDGET.format(limit="150 USD"), opened)).ok
