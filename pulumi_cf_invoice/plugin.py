"""
`cf-invoice`, the provider plugin: the upcoming invoice in programs of every Pulumi language.

As in the dynamic provider `check` fetches the invoice and returns it among the inputs, so that the
figures are known at preview and policy packs see them. Properties are camelCase here, as Pulumi's
are, and credentials are the provider's own arguments.
"""

import asyncio
import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cache, cached_property
from importlib.metadata import version
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from pulumi.provider.experimental import provider
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import PropertyDiff, PropertyDiffKind
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime import rpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2_grpc

from pulumi_cf_invoice import properties, settings
from pulumi_cf_invoice.errors import (
    ConnectionFailed,
    CredentialsMissing,
    InvoicePreviewError,
    SettingsError,
    not_refreshed,
)
from pulumi_cf_invoice.properties import LAST_UPDATE, PLUGIN_FUNCTION, camel_case
from pulumi_cf_invoice.settings import Settings, Source

# The client and the model are imported for the first question: of the processes that the engine
# starts for a stack, one is never asked.
if TYPE_CHECKING:
    from pulumi_cf_invoice.invoice import Invoice

Properties = dict[str, PropertyValue]

_UNKNOWN = PropertyValue(rpc.UNKNOWN)


class _Figure(PropertyValue):
    """A value that is marshalled once, however many resources have it."""

    @cached_property
    def _marshalled(self) -> Any:
        return super().marshal()

    def marshal(self) -> Any:
        return self._marshalled


class InvoicePreviewPlugin(provider.Provider):
    """Translates between the engine and the snapshot. *engine* is its address, for messages."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._sources: list[Source] = []
        self._figures: dict[int, Properties] = {}
        self._cancelled = asyncio.get_running_loop().create_future()

    async def get_schema(self, request: provider.GetSchemaRequest) -> provider.GetSchemaResponse:
        from pulumi_cf_invoice import schema

        return provider.GetSchemaResponse(json.dumps(schema.package()))

    async def check_config(self, request: provider.CheckRequest) -> provider.CheckResponse:
        # Also where the program or the config forgot to, so that the state has them encrypted.
        secrets = {
            name: value.with_secret(True)
            for name, value in request.new_inputs.items()
            if name in settings.SECRETS
        }
        return provider.CheckResponse({**request.new_inputs, **secrets})

    async def configure(self, request: provider.ConfigureRequest) -> provider.ConfigureResponse:
        # The engine gives each plugin the stack config of its own namespace in this variable.
        stack_config = json.loads(os.environ.get("PULUMI_CONFIG") or "{}")
        arguments, config = (
            {name: given[name] for name in settings.SETTINGS if name in given}
            for given in (_plain(PropertyValue(request.args)), stack_config)
        )
        self._sources = [
            Source("stack config cf-invoice:", config),
            settings.environment(os.environ),
        ]
        # A provider that no program made has the stack config as its arguments.
        if arguments != config:
            self._sources.insert(0, Source("the provider's arguments", arguments))
        return provider.ConfigureResponse(accept_secrets=True, supports_preview=True)

    async def check(self, request: provider.CheckRequest) -> provider.CheckResponse:
        given = request.new_inputs.get("accountId", PropertyValue.null())
        if _is_unknown(given):
            return provider.CheckResponse({"accountId": given})
        try:
            resolved, invoice = await self._ask(_plain(given))
        except InvoicePreviewError as error:
            # A failure that names a property prints its value, secret or not.
            return provider.CheckResponse({}, [provider.CheckFailure("", str(error))])
        account_id = PropertyValue(resolved.account_id, is_secret=given.is_secret)
        inputs = {"accountId": account_id, **self._figures_of(invoice)}
        names = ("account_id", *LAST_UPDATE)
        olds = {name: _plain(request.old_inputs.get(camel_case(name))) for name in names}
        last_update = properties.last_update(olds, resolved.account_id)
        if last_update:
            inputs["lastUpdate"] = _value(last_update)
        return provider.CheckResponse(inputs)

    async def diff(self, request: provider.DiffRequest) -> provider.DiffResponse:
        olds, news = request.old_state, request.new_inputs
        moved: dict[str, PropertyDiff] = {}
        replaces = []
        if _plain(olds["accountId"]) != _plain(news["accountId"]):
            moved["accountId"] = PropertyDiff(PropertyDiffKind.UPDATE_REPLACE, input_diff=True)
            replaces = ["accountId"]
        # Where the account is unknown yet there are no new figures to compare.
        for name in _figure_names() if "amountDue" in news else []:
            moved |= _differences(name, _plain(olds.get(name)), _plain(news.get(name)))
        return provider.DiffResponse(bool(moved), replaces, detailed_diff=moved)

    async def create(self, request: provider.CreateRequest) -> provider.CreateResponse:
        account_id = request.properties["accountId"]
        if _is_unknown(account_id):
            return provider.CreateResponse(None, _unknown_outputs(account_id))
        return provider.CreateResponse(_plain(account_id), request.properties)

    async def update(self, request: provider.UpdateRequest) -> provider.UpdateResponse:
        return provider.UpdateResponse(request.news)

    async def read(self, request: provider.ReadRequest) -> provider.ReadResponse:
        stored = "amountDue" in request.inputs
        try:
            resolved, invoice = await self._ask(request.resource_id)
        except CredentialsMissing:
            if not stored:
                raise
            await self._warn(request.urn, not_refreshed(request.resource_id))
            return provider.ReadResponse(request.resource_id, request.properties, request.inputs)
        given = request.properties.get("accountId", PropertyValue.null())
        account_id = PropertyValue(resolved.account_id, is_secret=given.is_secret)
        read = {"accountId": account_id, **self._figures_of(invoice)}
        return provider.ReadResponse(
            resolved.account_id,
            {**request.properties, **read},
            # Those of the last update, which is what the next check compares with.
            request.inputs if stored else read,
        )

    async def delete(self, request: provider.DeleteRequest) -> None:
        """Nothing was made, so nothing is deleted: no credentials, no network."""

    async def invoke(self, request: provider.InvokeRequest) -> provider.InvokeResponse:
        if request.tok != PLUGIN_FUNCTION:
            raise SettingsError(f"cf-invoice has no function {request.tok}")
        from pulumi_cf_invoice import stack_outputs

        given = request.args.get("accountId", PropertyValue.null())
        resolved, invoice = await self._ask(_plain(given))
        figures = _spelled(stack_outputs.to_stack_outputs(invoice))
        return provider.InvokeResponse({"accountId": PropertyValue(resolved.account_id), **figures})

    async def cancel(self) -> None:
        if not self._cancelled.done():
            self._cancelled.set_result(None)

    async def _ask(self, account_id: Any) -> "tuple[Settings, Invoice]":
        from pulumi_cf_invoice import snapshot

        resolved = settings.resolve(account_id, None, self._sources)
        asked = snapshot.of_this_process().start(resolved)
        if not asked.done():
            answer = asyncio.wrap_future(asked)
            # Its error is taken from the shared future, and would be told as never retrieved.
            answer.add_done_callback(asyncio.Future.exception)
            await asyncio.wait({answer, self._cancelled}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise ConnectionFailed(
                resolved.account_id, "cancelled before an answer came", "Run it again."
            )
        error = asked.exception()
        if error is not None:
            # Shared by all who asked: each would make its traceback longer.
            raise error.with_traceback(None)
        return resolved, asked.result()

    def _figures_of(self, invoice: "Invoice") -> Properties:
        # The snapshot keeps each invoice for as long as this process lives, and so its identity.
        if id(invoice) not in self._figures:
            figures = _spelled(invoice.to_outputs())
            self._figures[id(invoice)] = {n: _Figure(v.value) for n, v in figures.items()}
        return self._figures[id(invoice)]

    async def _warn(self, urn: str, message: str) -> None:
        async with grpc.aio.insecure_channel(self._engine) as channel:
            warning = engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=message, urn=urn)
            # It is no reason to fail that nobody hears it.
            with suppress(grpc.RpcError):
                await engine_pb2_grpc.EngineStub(channel).Log(warning)


class _Servicer(ProviderServicer):
    """Pulumi's own server, without the traceback that it makes of an error for people."""

    async def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _in_one_line(super().Read(request, context), context)

    async def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _in_one_line(super().Invoke(request, context), context)


async def _in_one_line(answer: Any, context: Any) -> Any:
    try:
        return await answer
    except Exception as error:
        # Newer versions of the server raise another one while they handle ours.
        for told in (error, error.__context__):
            if isinstance(told, InvoicePreviewError):
                await context.abort(grpc.StatusCode.UNKNOWN, str(told))
        raise


async def serve(engine: str) -> None:
    """Serve the engine at the address *engine* until it ends this process, or has gone."""
    parent = os.getppid()
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    # Python's own way to be interrupted would end each call under way with a traceback.
    signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(interrupted.set))
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    plugin = InvoicePreviewPlugin(engine)
    servicer = _Servicer([], version("pulumi-cf-invoice"), plugin, engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    # An engine that is killed cannot end its plugins, which would keep its output open.
    while not interrupted.is_set() and os.getppid() == parent:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(interrupted.wait(), 1)
    # The calls under way answer that they were cancelled, which takes them no time.
    await plugin.cancel()
    await server.stop(grace=5)


@cache
def _figure_names() -> list[str]:
    from pulumi_cf_invoice.invoice import Invoice

    return [camel_case(field.name) for field in fields(Invoice)]


def _unknown_outputs(account_id: PropertyValue) -> Properties:
    return {**dict.fromkeys([*_figure_names(), "lastUpdate"], _UNKNOWN), "accountId": account_id}


def _is_unknown(value: PropertyValue) -> bool:
    return value.value == rpc.UNKNOWN


def _spelled(plain: Mapping[str, Any]) -> Properties:
    return {camel_case(name): _value(value) for name, value in plain.items()}


def _value(plain: Any) -> PropertyValue:
    if isinstance(plain, dict):
        return PropertyValue(_spelled(plain))
    if isinstance(plain, list):
        return PropertyValue([_value(item) for item in plain])
    return PropertyValue(float(plain) if isinstance(plain, int) else plain)


def _plain(value: PropertyValue | None) -> Any:
    content = value.value if value else None
    if isinstance(content, Mapping):
        return {name: _plain(item) for name, item in content.items()}
    if isinstance(content, Sequence) and not isinstance(content, str):
        return [_plain(item) for item in content]
    return content


def _differences(path: str, old: Any, new: Any) -> dict[str, PropertyDiff]:
    """Where *old* and *new* differ, by path, as deep as both have something."""
    if old == new:
        return {}
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted({*old, *new})
        steps = [(f"{path}.{name}", old.get(name), new.get(name)) for name in names]
    elif isinstance(old, list) and isinstance(new, list):
        pairs = enumerate(zip_longest(old, new))
        steps = [(f"{path}[{index}]", before, after) for index, (before, after) in pairs]
    else:
        kind = PropertyDiffKind.UPDATE
        if old is None:
            kind = PropertyDiffKind.ADD
        elif new is None:
            kind = PropertyDiffKind.DELETE
        return {path: PropertyDiff(kind, input_diff=True)}
    return {at: diff for step in steps for at, diff in _differences(*step).items()}
