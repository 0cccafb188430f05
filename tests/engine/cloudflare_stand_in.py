"""
A stand-in for the pulumi-cloudflare plugin, which is not in any package registry.

It accepts any resource and returns its inputs: enough to preview, update and destroy a program that
uses pulumi-cloudflare on a real engine. Like the plugin, it refuses a gateway without what is
required of one, and does not know at the preview of a new one what the program leaves out.
"""

import sys

from pulumi.provider.experimental import provider, server
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.rpc import UNKNOWN

_GATEWAY = "cloudflare:index/aiGateway:AiGateway"
_REQUIRED = ("accountId", "rateLimitingInterval", "rateLimitingLimit")
_COMPUTED = ("byokOnly", "createdAt", "spendLimits", "workersAiBillingMode")


class Echo(provider.Provider):
    """A provider that returns every resource as requested."""

    async def check_config(self, request: provider.CheckRequest) -> provider.CheckResponse:
        return provider.CheckResponse(inputs=request.new_inputs)

    async def diff_config(self, request: provider.DiffRequest) -> provider.DiffResponse:
        return provider.DiffResponse()

    async def configure(self, request: provider.ConfigureRequest) -> provider.ConfigureResponse:
        return provider.ConfigureResponse(accept_secrets=True, supports_preview=True)

    async def check(self, request: provider.CheckRequest) -> provider.CheckResponse:
        required = _REQUIRED if request.type.endswith(_GATEWAY) else ()
        missing = [
            provider.CheckFailure(name, "Missing required argument")
            for name in required
            if request.new_inputs.get(name, PropertyValue.null()).value is None
        ]
        return provider.CheckResponse(inputs=request.new_inputs, failures=missing)

    async def diff(self, request: provider.DiffRequest) -> provider.DiffResponse:
        moved = [k for k, v in request.new_inputs.items() if request.old_state.get(k) != v]
        return provider.DiffResponse(changes=bool(moved), diffs=moved)

    async def create(self, request: provider.CreateRequest) -> provider.CreateResponse:
        leaves_out = request.preview and f"{_GATEWAY}::" in request.urn
        computed = {name: PropertyValue(UNKNOWN) for name in _COMPUTED if leaves_out}
        return provider.CreateResponse("stand-in", {**computed, **request.properties})

    async def update(self, request: provider.UpdateRequest) -> provider.UpdateResponse:
        return provider.UpdateResponse(request.news)

    async def delete(self, request: provider.DeleteRequest) -> None:
        return None


if __name__ == "__main__":
    server.main(sys.argv[1:], "6.0.0", Echo())
