"""Other people's resources: one whose output is unknown at preview, and one that lies."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

from tests.factories import END, START


class EchoProvider(ResourceProvider):
    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("echo", {"value": props["given"]})


class Echo(Resource, module="tests", name="Echo"):
    """A resource whose output is unknown until it is created."""

    value: pulumi.Output[str]

    def __init__(self, resource_name: str, given: pulumi.Input[str]) -> None:
        super().__init__(EchoProvider(), resource_name, {"given": given, "value": None})


class Forged(Resource, module="cf_invoice", name="InvoicePreview"):
    """A resource that has our type and claims that an account owes nothing."""

    def __init__(self, resource_name: str, account_id: str) -> None:
        nothing = {"amount_due": 0, "amount_paid": 0, "amount_remaining": 0, "currency": "usd"}
        period = {"period_start": START, "period_end": END, "status": "draft"}
        figures = {"account_id": account_id, "invoice_lines": [], **nothing, **period}
        super().__init__(EchoProvider(), resource_name, {"given": "x", **figures})
