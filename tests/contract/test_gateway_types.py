import pulumi_cloudflare

from pulumi_cf_invoice.rules.limits import Limit
from pulumi_cf_invoice.rules.on_stacks import RequireGatewaySpendLimit, RequireInvoicePreview
from pulumi_cf_invoice.rules.rule import StackResource
from pulumi_cf_invoice.state import camel_case


def test_every_type_of_ai_gateway_that_pulumi_cloudflare_has_is_covered() -> None:
    tokens = {
        getattr(found, "pulumi_type", "")
        for found in vars(pulumi_cloudflare).values()
        if isinstance(found, type)
    }
    gateways = {token for token in tokens if "/aigateway" in token.lower()}
    assert "cloudflare:index/aiGatewayDynamicRouting:AiGatewayDynamicRouting" in gateways
    for token in gateways:
        assert list(RequireInvoicePreview().evaluate_stack([StackResource(token, "x", "urn")]))


def test_every_resource_that_has_spend_limits_is_held_to_them() -> None:
    rule = RequireGatewaySpendLimit(Limit.parse("250 USD"))
    limited = {
        found.pulumi_type
        for found in vars(pulumi_cloudflare).values()
        if hasattr(found, "pulumi_type") and "spend_limits" in vars(found)
    }
    assert limited
    for token in limited:
        assert list(rule.evaluate_stack([StackResource(token, "x", "urn")])), token


def test_what_scopes_a_rule_is_what_pulumi_cloudflare_lets_one_write() -> None:
    """Another property of a cost rule could also restrict it, and must be reviewed."""
    known = {"id", "limit", "limitType", "window", "enabled", "technique"}
    scopes = {"aiGatewayProvider", "model", "metadata"}
    rule = vars(pulumi_cloudflare.AiGatewaySpendLimitsRuleArgs)
    names = {camel_case(name) for name, found in rule.items() if isinstance(found, property)}
    assert names == known | scopes
