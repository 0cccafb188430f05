import pulumi_cloudflare

from pulumi_cf_invoice.rules import RequireInvoicePreview, StackResource


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
