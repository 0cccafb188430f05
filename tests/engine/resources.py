"""A resource whose output is unknown at preview, as with any resource still to be created."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class EchoProvider(ResourceProvider):
    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("echo", {"value": props["given"]})


class Echo(Resource, module="tests", name="Echo"):
    value: pulumi.Output[str]

    def __init__(self, resource_name: str, given: pulumi.Input[str]) -> None:
        super().__init__(EchoProvider(), resource_name, {"given": given, "value": None})
