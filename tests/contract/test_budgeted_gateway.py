"""A gateway that follows a budget, in programs under Pulumi's mocks."""

from collections.abc import Iterator
from inspect import signature
from typing import Any, cast

import pulumi
import pulumi_cloudflare as cloudflare
import pytest

from pulumi_cf_invoice import testing
from pulumi_cf_invoice.billing import SettingsError
from pulumi_cf_invoice.budgeted_gateway import BudgetedGateway, GatewayArguments, Step
from pulumi_cf_invoice.rules.file import DeclaredRule
from pulumi_cf_invoice.rules.gates import Gate
from pulumi_cf_invoice.rules.on_stacks import GATEWAY
from pulumi_cf_invoice.rules.rule import StackResource, StackRule
from tests.factories import NOW
from tests.mocking import mocked_by

made: list[tuple[str, dict[str, Any]]] = []


class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        made.append((args.typ, args.inputs))
        return f"{args.name}-id", args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        return {}


@pytest.fixture(autouse=True)
def mocked() -> Iterator[None]:
    """Mocks that record what is created."""
    with mocked_by(Mocks()):
        yield


def deployed(amount_due: float, budget: str = "200 USD", **more: Any) -> dict[str, Any]:
    """Return the inputs of the `AiGateway` that is deployed at an *amount_due* in cents."""
    made.clear()

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def run() -> Any:
        gateway = BudgetedGateway("assistant", budget, **more)
        return gateway.gateway.urn

    with testing.invoice(testing.make_invoice(amount_due=amount_due)):
        run()
    [inputs] = [inputs for kind, inputs in made if kind == GATEWAY]
    return dict(inputs)


@pytest.mark.parametrize(
    ("amount_due", "requests", "dollars"),
    [(-500, 1000, 50), (0, 1000, 50), (15_000, 300, 20), (18_846, 100, 5), (20_000, 10, 1)],
)
def test_limits_tighten_in_steps_and_what_is_deployed_passes_the_rule(
    amount_due: float, requests: int, dollars: float
) -> None:
    inputs = deployed(amount_due)
    assert inputs["rateLimitingLimit"] == requests
    daily, weekly = inputs["spendLimits"]["rules"]
    assert (daily["limit"], weekly["limit"]) == (dollars, 40)
    gate = Gate.of(DeclaredRule.parse("require-gateway-spend-limit", {"limit": "200 USD"}))
    rule = gate.in_force(NOW)
    assert isinstance(rule, StackRule)
    found = rule.evaluate_stack([StackResource(GATEWAY, "x", "urn", properties=inputs)])
    assert [finding.status for finding, _ in found] == ["within"]


@pytest.mark.parametrize("budget", ["0.01 USD", "199.99 USD", "1,000.01 USD", "33.33 USD"])
def test_any_budget_is_never_exceeded_by_what_a_month_allows(budget: str) -> None:
    inputs = deployed(0, budget)
    gate = Gate.of(DeclaredRule.parse("require-gateway-spend-limit", {"limit": budget}))
    rule = gate.in_force(NOW)
    assert isinstance(rule, StackRule)
    found = rule.evaluate_stack([StackResource(GATEWAY, "x", "urn", properties=inputs)])
    assert [finding.status for finding, _ in found] == ["within"]


def test_steps_and_arguments_of_the_gateway_can_be_passed() -> None:
    steps = [Step(50, 5, 1), Step(0, 50, 10)]
    inputs = deployed(11_000, steps=steps, cache_ttl=7, ai_gateway_id="other", byok_only=True)
    assert inputs["rateLimitingLimit"] == 5
    assert (inputs["cacheTtl"], inputs["aiGatewayId"], inputs["byokOnly"]) == (7, "other", True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"budget": "0,500 USD"}, "budget: '0,500 USD' can be read two ways"),
        ({"budget": "200 EUR"}, "is not an amount above zero in US dollars"),
        ({"budget": "0 USD"}, "is not an amount above zero in US dollars"),
        ({"budget": 200}, "budget: 200 is not an amount of money"),
        ({"steps": []}, "steps: the first must apply from 0%"),
        ({"steps": [Step(10, 1, 1)]}, "steps: the first must apply from 0%"),
        ({"steps": None}, "steps: null is not a list of Step"),
        ({"steps": "0"}, "steps: '0' is not a list of Step"),
        ({"steps": [(0, 1)]}, "[0, 1] is not a Step(from_percent, requests_per_minute, daily_"),
        ({"steps": [{"from_percent": 0}]}, "is not a Step("),
        ({"steps": [Step(float("nan"), 1, 1)]}, "from_percent is NaN, which is not a number"),
        ({"steps": [Step(cast(Any, "0"), 1, 1)]}, "from_percent is '0', which is not a number"),
        ({"steps": [Step(0, cast(Any, "x"), 1)]}, "requests_per_minute is 'x', which is not a num"),
        ({"steps": [Step(0, True, 1)]}, "requests_per_minute is true, which is not a number"),
        ({"steps": [Step(0, 0, 1)]}, "requests_per_minute is not a whole number from 1 on"),
        ({"steps": [Step(0, cast(Any, 10.5), 1)]}, "requests_per_minute is not a whole number"),
        ({"steps": [Step(0, 1, cast(Any, None))]}, "daily_share is null, which is not a number"),
        ({"steps": [Step(0, 1, cast(Any, "25"))]}, "daily_share is '25', which is not a number"),
        ({"steps": [Step(0, 1, -5)]}, "daily_share is not a percentage from 0 to 100"),
        ({"steps": [Step(0, 1, float("inf"))]}, "daily_share is Infinity, which is not a number"),
        ({"budget": pulumi.Output.from_input("200 USD")}, 'budget: "<Output>" is not an amount of'),
        ({"steps": [Step(0, 1, cast(Any, pulumi.Output.from_input(5)))]}, 'is "<Output>", which'),
        ({"cach_ttl": 3}, "there is no argument 'cach_ttl'; did you mean 'cache_ttl'?"),
        ({"__props__": 3}, "there is no argument '__props__'; known: account_id, ai_gateway_id"),
        ({"ai_gateway_id": None}, "ai_gateway_id is None: leave it out, and it is 'assistant'"),
        ({"cache_ttl": None}, "cache_ttl is None: leave it out, and it is 300"),
        ({"opts": {}}, "opts must be pulumi.ResourceOptions, not dict"),
        ({"spend_limits": {}}, "BudgetedGateway sets spend_limits itself"),
        ({"rate_limiting_limit": 9}, "BudgetedGateway sets rate_limiting_limit itself"),
        ({"rate_limiting_technique": "fixed"}, "sets rate_limiting_technique itself"),
    ],
)
def test_what_cannot_work_is_one_line(arguments: dict[str, Any], expected: str) -> None:
    made.clear()
    with (
        testing.invoice(testing.make_invoice(amount_due=0)),
        pytest.raises(SettingsError) as refused,
    ):
        BudgetedGateway("assistant", **{"budget": "200 USD", **arguments})
    assert isinstance(refused.value, pulumi.RunError)
    assert expected in str(refused.value)
    assert made == []


def test_a_type_checker_knows_the_arguments_that_are_passed_on() -> None:
    ours = {"account_id", "spend_limits"}
    known = signature(cloudflare.AiGatewayArgs).parameters
    passed_on = {n for n in known if n not in ours and not n.startswith("rate_limiting_")}
    assert passed_on <= set(GatewayArguments.__annotations__)
    with pytest.raises(SettingsError):
        BudgetedGateway("assistant", "200 USD", cach_ttl=3)  # type: ignore[call-arg]
    with pytest.raises(SettingsError):
        BudgetedGateway("assistant", "200 USD", ai_gateway_id=None)  # type: ignore[arg-type]
