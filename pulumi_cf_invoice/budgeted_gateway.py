"""
An AI gateway whose limits follow a budget and the upcoming invoice (extra ``cloudflare``).

It passes the rule ``require-gateway-spend-limit`` with the budget as its limit.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from inspect import signature
from math import isfinite
from typing import Any, NamedTuple, TypedDict, Unpack

import pulumi

try:
    import pulumi_cloudflare as cloudflare
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"{missing.name} is missing: install pulumi-cf-invoice with its extra 'cloudflare'",
        name=missing.name,
    ) from None

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.errors import BillingError, SettingsError
from pulumi_cf_invoice.billing.suggestions import unknown_name
from pulumi_cf_invoice.program.credentials import Credentials
from pulumi_cf_invoice.program.errors import raises_run_errors
from pulumi_cf_invoice.resource import InvoicePreview, refuse_wrong_kinds
from pulumi_cf_invoice.rules.limits import parse_amount, shown

_DAY = 24 * 60 * 60
# A month of 31 days lies within this many sliding weeks.
_WEEKS = 5


class Step(NamedTuple):
    """
    Limits that apply from a percentage of the budget on.

    ``daily_share`` is the percentage of the budget that may be spent in a day.
    """

    from_percent: float
    requests_per_minute: int
    daily_share: float


STEPS = (Step(0, 1000, 25), Step(75, 300, 10), Step(90, 100, 2.5), Step(100, 10, 0.5))
"""The default steps, which allow less from 75%, 90% and 100% of the budget on."""


class GatewayArguments(TypedDict, total=False):
    """The arguments of `AiGateway` that `BudgetedGateway` passes on."""

    ai_gateway_id: pulumi.Input[str]
    authentication: pulumi.Input[bool] | None
    byok_only: pulumi.Input[bool]
    cache_invalidate_on_update: pulumi.Input[bool]
    cache_ttl: pulumi.Input[int]
    collect_logs: pulumi.Input[bool]
    dlp: Any
    guardrails: Any
    log_classification: pulumi.Input[bool] | None
    log_management: pulumi.Input[int] | None
    log_management_strategy: pulumi.Input[str] | None
    logpush: pulumi.Input[bool] | None
    logpush_public_key: pulumi.Input[str] | None
    otels: Any
    retry_backoff: pulumi.Input[str] | None
    retry_delay: pulumi.Input[int] | None
    retry_max_attempts: pulumi.Input[int] | None
    store_id: pulumi.Input[str] | None
    stripe: Any
    workers_ai_billing_mode: pulumi.Input[str]
    zdr: pulumi.Input[bool] | None


class BudgetedGateway(pulumi.ComponentResource):
    """
    An `AiGateway` that allows less as the upcoming invoice approaches a budget.

    It reads the invoice of the account (``invoice``), and sets two rules of ``gateway``'s spend
    limits: the daily one of the step that the amount due is in (``dollars_per_day``), and a fifth
    of the budget in any seven days, so that a month never costs more than the budget even if nobody
    deploys again. ``requests_per_minute`` also comes from the step.
    """

    gateway: cloudflare.AiGateway
    """The gateway."""
    invoice: InvoicePreview
    """The upcoming invoice of its account."""
    requests_per_minute: pulumi.Output[int | None]
    """What the step allows; None if an update leaves out an invoice that was never deployed."""
    dollars_per_day: pulumi.Output[float | None]
    """What the step allows, in US dollars; None where ``requests_per_minute`` is."""

    @raises_run_errors
    def __init__(
        self,
        resource_name: str,
        budget: str,
        account_id: pulumi.Input[str] | None = None,
        credentials: Credentials | None = None,
        opts: pulumi.ResourceOptions | None = None,
        *,
        steps: Sequence[Step] = STEPS,
        **gateway: Unpack[GatewayArguments],
    ) -> None:
        """
        Declare the gateway and the invoice that it follows. Raises `SettingsError`.

        :param resource_name: The component's name in the stack, by default the gateway's ID too.
        :param budget: The most to spend in a month, such as ``"200 USD"``.
        :param account_id: 32 hex digits; by default from stack config or the environment.
        :param credentials: For the invoice; by default from stack config or the environment.
        :param opts: Pulumi's options.
        :param steps: What is allowed from which share of the budget on.
        :param gateway: Other arguments of `AiGateway`, such as ``cache_ttl``.
        """
        refuse_wrong_kinds(resource_name, opts)
        dollars = _dollars(budget)
        steps = _ordered(steps)
        arguments = _arguments(resource_name, gateway)
        super().__init__("cf-invoice:index:BudgetedGateway", resource_name, {}, opts)
        inside = pulumi.ResourceOptions(parent=self)
        self.invoice = InvoicePreview(f"{resource_name}-invoice", account_id, credentials, inside)
        current = pulumi.Output.all(
            due=self.invoice.amount_due, currency=self.invoice.currency
        ).apply(lambda figures: _step(steps, dollars, **figures))
        # Without a step they are None: a gateway that is left out as well is not created, and
        # Cloudflare's provider refuses any other without its required arguments.
        self.requests_per_minute = current.apply(lambda step: step and step.requests_per_minute)
        self.dollars_per_day = current.apply(
            lambda step: step and float(dollars * money.exact(step.daily_share) / 100)
        )
        rules = [
            {"limit_type": "cost", "limit": self.dollars_per_day, "window": _DAY},
            {
                "limit_type": "cost",
                "limit": float(dollars / _WEEKS),
                "window": 7 * _DAY,
                "technique": "sliding",
            },
        ]
        identifier = arguments["ai_gateway_id"]
        self.gateway = cloudflare.AiGateway(
            identifier if isinstance(identifier, str) else resource_name,
            **arguments,
            account_id=self.invoice.account_id,
            rate_limiting_interval=60,
            rate_limiting_limit=self.requests_per_minute,
            rate_limiting_technique="sliding",
            spend_limits={"enabled": True, "rules": rules},
            opts=inside,
        )
        self.register_outputs(
            {
                "requests_per_minute": self.requests_per_minute,
                "dollars_per_day": self.dollars_per_day,
            }
        )


def _dollars(budget: str) -> Decimal:
    try:
        amount = parse_amount(budget)
    except BillingError as error:
        raise SettingsError(f"budget: {error}") from None
    if amount.currency != "usd" or not amount.amount:
        raise SettingsError(
            f"budget: {amount.text} is not an amount above zero in US dollars, the currency of a "
            "gateway's spend limits: write it as '200 USD'"
        )
    return money.to_major(amount.amount, amount.currency)


def _ordered(steps: Sequence[Step]) -> tuple[Step, ...]:
    if not isinstance(steps, (list, tuple)):
        raise SettingsError(f"steps: {shown(steps)} is not a list of Step")
    ordered = tuple(sorted(map(_checked, steps), key=lambda step: step.from_percent))
    if not ordered or ordered[0].from_percent > 0:
        raise SettingsError("steps: the first must apply from 0% of the budget on")
    return ordered


def _checked(given: Step) -> Step:
    if not isinstance(given, (list, tuple)) or len(given) != len(Step._fields):
        raise SettingsError(f"steps: {shown(given)} is not a Step({', '.join(Step._fields)})")
    step = Step(*given)
    for name, value in step._asdict().items():
        is_number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
        if not is_number or not isfinite(value):
            raise SettingsError(f"steps: {name} is {shown(value)}, which is not a number")
    # Cloudflare takes 0 as no limit.
    if step.requests_per_minute < 1 or step.requests_per_minute % 1:
        raise SettingsError("steps: requests_per_minute is not a whole number from 1 on")
    if not 0 <= step.daily_share <= 100:
        raise SettingsError("steps: daily_share is not a percentage from 0 to 100")
    return step._replace(requests_per_minute=int(step.requests_per_minute))


@raises_run_errors
def _step(
    steps: Sequence[Step], dollars: Decimal, due: float | None, currency: str | None
) -> Step | None:
    """Return the step that an amount *due* in cents is in; None if there are no figures."""
    if due is None or currency is None:
        return None
    if currency != "usd":
        raise SettingsError(
            f"the upcoming invoice is in {currency.upper()}, and a gateway's spend limits are in "
            "US dollars: it cannot be compared with a budget"
        )
    percent = money.exact(due) / dollars
    # Credits that exceed usage make an invoice negative.
    return next((step for step in reversed(steps) if percent >= step.from_percent), steps[0])


def _arguments(resource_name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the gateway that are not limits. Raises `SettingsError`."""
    defaults = {
        "ai_gateway_id": resource_name,
        "byok_only": False,
        "cache_invalidate_on_update": True,
        "cache_ttl": 300,
        "collect_logs": True,
        "workers_ai_billing_mode": "postpaid",
    }
    for name, value in given.items():
        if _is_limit(name):
            raise SettingsError(f"BudgetedGateway sets {name} itself: use an AiGateway instead")
        if name not in (known := signature(cloudflare.AiGatewayArgs).parameters):
            names = (argument for argument in known if not _is_limit(argument))
            raise SettingsError(f"BudgetedGateway: {unknown_name('argument', name, names)}")
        if value is None and name in defaults:
            raise SettingsError(
                f"BudgetedGateway: {name} is None: leave it out, and it is {defaults[name]!r}"
            )
    return {**defaults, **given}


def _is_limit(name: str) -> bool:
    return name == "spend_limits" or name.startswith("rate_limiting_")
