"""The peer of `InvoicePreview`: a no-op dynamic resource with the same properties."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class NoOpProvider(ResourceProvider):
    """A provider that stores its inputs unchanged."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("no-op", dict(props))


class NoOp(Resource, module="benchmarks", name="NoOp"):
    """A resource with whatever properties the caller passes."""

    amount_due: pulumi.Output[int]

    def __init__(self, resource_name: str, props: dict[str, Any]) -> None:
        super().__init__(NoOpProvider(), resource_name, dict(props))
