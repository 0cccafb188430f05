"""
`cf-invoice`, the provider plugin: the billing API in programs of every Pulumi language.

`lifecycle` defines what its resource does, and `reads` which functions there are; this module
translates that for the engine. Properties are camelCase, like Pulumi's, and credentials are the
provider's own arguments.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from itertools import zip_longest
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc
import grpc.aio
from google.protobuf.struct_pb2 import Struct
from pulumi.provider.experimental import provider
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import PropertyDiff, PropertyDiffKind
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from pulumi_cf_invoice import lifecycle
from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.credentials import Secrets
from pulumi_cf_invoice.billing.errors import (
    BillingError,
    MissingCredentialsError,
    SettingsError,
    TransportError,
)
from pulumi_cf_invoice.billing.settings import Settings, Source
from pulumi_cf_invoice.billing.suggestions import unknown_name
from pulumi_cf_invoice.plugin.version import semver
from pulumi_cf_invoice.program.imports import no_garbage
from pulumi_cf_invoice.state import (
    PLUGIN_TYPE,
    READ_PROPERTIES,
    SECRET_ADDRESS,
    UNKNOWN,
    camel_case,
    origin,
    snake_case,
    snake_cased,
)

# The client and the models are imported for the first request: the engine starts several processes
# for a stack, one of which receives none.
if TYPE_CHECKING:
    from pulumi_cf_invoice.billing.invoice import Invoice
    from pulumi_cf_invoice.billing.reads import ModelT, Read

Properties = dict[str, PropertyValue]


class _Figure(PropertyValue):
    """A value that is marshalled once, however many resources have it."""

    @cached_property
    def _marshalled(self) -> Any:
        return super().marshal()

    def marshal(self) -> Any:
        return self._marshalled


class InvoicePreviewPlugin(provider.Provider):
    """The provider. *engine* is the engine's address, to send messages to."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._sources: list[Source] = []
        self._refusal: SettingsError | None = None
        self._secret_account: str | None = None
        self._is_address_secret = False
        self._hidden = Secrets([])
        self._said: set[str] = set()
        self._resolved: dict[str | None, Settings] = {}
        self._figures: dict[int, dict[str, PropertyValue]] = {}
        self._cancelled = asyncio.get_running_loop().create_future()

    async def get_schema(self, request: provider.GetSchemaRequest) -> provider.GetSchemaResponse:
        from pulumi_cf_invoice.plugin import schema

        # Without docstrings (PYTHONOPTIMIZE=2) there is only what was made from them before.
        made = schema.package() if sys.flags.optimize < 2 else schema.committed()
        return provider.GetSchemaResponse(json.dumps(made))

    async def check_config(self, request: provider.CheckRequest) -> provider.CheckResponse:
        # Secret even if the program or the config did not say so, so that the state encrypts them.
        secrets = {
            name: value.with_secret(True)
            for name, value in request.new_inputs.items()
            if name in settings.SECRETS
        }
        return provider.CheckResponse({**request.new_inputs, **secrets})

    async def configure(self, request: provider.ConfigureRequest) -> provider.ConfigureResponse:
        # The engine gives each plugin the stack config of its own namespace in this variable.
        stack_config = json.loads(os.environ.get("PULUMI_CONFIG") or "{}")
        given = _plain(PropertyValue(request.args))
        timeout = given.get("timeout")
        if isinstance(timeout, str) and timeout != stack_config.get("timeout"):
            # Pulumi writes an argument that should be no text as JSON: `"20"` has quotation marks.
            given["timeout"] = timeout.strip('"')
        await self._refuse_what_does_nothing(given, stack_config)
        arguments, config = (
            {name: values[name] for name in settings.SETTINGS if name in values}
            for values in (given, stack_config)
        )
        self._sources = [
            Source("the arguments", {}, {"accountId": "give an accountId"}),
            settings.stack_config(config, trust=settings.STACK_CONFIG),
            settings.environment(os.environ),
        ]
        account = request.args.get("accountId", PropertyValue.null())
        if account.is_secret:
            self._secret_account = str(_plain(account)).strip().lower()
        self._is_address_secret = request.args.get("baseUrl", PropertyValue.null()).is_secret
        if self._is_address_secret:
            self._hidden = Secrets(_parts_of_address(str(given.get("baseUrl"))))
        # A default provider has the stack config as its arguments.
        if arguments != config:
            remedies = {
                "apiToken": "give the provider an apiToken",
                "timeout": "give the provider a longer timeout",
            }
            own = Source("the provider", arguments, remedies, trust="arguments")
            self._sources.insert(1, own)
        return provider.ConfigureResponse(accept_secrets=True, supports_preview=True)

    async def _refuse_what_does_nothing(
        self, arguments: Mapping[str, Any], config: Mapping[str, Any]
    ) -> None:
        """Keep which settings are unknown or empty, for each of the calls that need them."""
        refused = settings.unknown_keys(config)
        if os.environ.get("PULUMI_PROJECT") == settings.NAMESPACE:
            # They may be the program's own.
            for problem in refused:
                await self._log(engine_pb2.INFO, "", f"{problem} (or is it the program's own?)")
            refused = []
        # A default provider has the stack config as its arguments.
        of_program = [name for name in arguments if name not in config and name[:2] != "__"]
        for name in of_program:
            if name not in (*settings.SETTINGS, *settings.OF_THE_ENGINE):
                problem = unknown_name("argument", name, settings.SETTINGS)
                refused.append(f"the provider cf-invoice: {problem}")
        for name in settings.SETTINGS:
            # With both empty, nothing tells a provider of the program's own from the default one.
            if _is_empty(config.get(name)):
                key = f"{settings.NAMESPACE}:{name}"
                refused.append(
                    f"stack config {key} is empty: give it a value, or run `pulumi config rm "
                    f"{key}` to use another source"
                )
            elif _is_empty(arguments.get(name)):
                refused.append(
                    f"the provider cf-invoice: its {name} is empty: give it a value, or leave it "
                    "out to use another source"
                )
        self._refusal = SettingsError(refused[0]) if refused else None

    def _resolve(self, account_id: Any) -> Settings:
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)
        if not isinstance(account_id, str | None):
            return settings.resolve(account_id, self._sources)
        if account_id not in self._resolved:
            self._resolved[account_id] = settings.resolve(account_id, self._sources)
        return self._resolved[account_id]

    async def check(self, request: provider.CheckRequest) -> provider.CheckResponse:
        given = request.new_inputs.get("accountId", PropertyValue.null())
        olds = _decoded(request.old_inputs)
        if _plain(given) == UNKNOWN:
            return provider.CheckResponse(_encoded(lifecycle.unknown(UNKNOWN, olds)))
        from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW

        try:
            resolved, invoice = await self._ask(INVOICE_PREVIEW, _plain(given))
        except BillingError as error:
            # A failure that names a property prints its value, secret or not.
            failure = provider.CheckFailure("", self.cleaned(error))
            return provider.CheckResponse(_encoded(lifecycle.failed()), [failure])
        figures = self._encoded_figures(invoice, resolved)
        inputs = _encoded(lifecycle.checked(resolved, figures, olds))
        inputs["accountId"] = self._account(resolved.account_id, given)
        return provider.CheckResponse(inputs)

    def cleaned(self, error: BillingError) -> str:
        """Return the message of an *error* without an address that the program has as a secret."""
        return self._hidden.redact(str(error))

    async def diff(self, request: provider.DiffRequest) -> provider.DiffResponse:
        olds, news = _decoded(request.old_state), _decoded(request.new_inputs)
        changes = lifecycle.changed(olds, news)
        replaced = lifecycle.replaced(changes)
        detailed: dict[str, PropertyDiff] = {}
        for name in changes:
            if name in replaced:
                replacement = PropertyDiff(PropertyDiffKind.UPDATE_REPLACE, input_diff=True)
                detailed[camel_case(name)] = replacement
            else:
                detailed |= _differences(camel_case(name), olds.get(name), news.get(name))
        return provider.DiffResponse(
            bool(changes), [camel_case(name) for name in replaced], detailed_diff=detailed
        )

    async def read(self, request: provider.ReadRequest) -> provider.ReadResponse:
        from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW

        stored = "amountDue" in request.inputs
        try:
            resolved, invoice = await self._ask(INVOICE_PREVIEW, request.resource_id)
        except MissingCredentialsError:
            if not stored:
                raise
            stale = lifecycle.not_refreshed(request.resource_id)
            await self._log(engine_pb2.WARNING, request.urn, stale)
            return provider.ReadResponse(request.resource_id, request.properties, request.inputs)
        given = request.properties.get("accountId", PropertyValue.null())
        account = self._account(resolved.account_id, given)
        figures = {**self._encoded_figures(invoice, resolved), "account_id": account}
        outputs = lifecycle.refreshed(snake_cased(request.properties), figures)
        return provider.ReadResponse(
            resolved.account_id,
            _encoded(outputs),
            request.inputs if stored else _encoded(figures),
        )

    async def delete(self, request: provider.DeleteRequest) -> None:
        """Do nothing: nothing was created. Needs neither credentials nor the network."""

    async def invoke(self, request: provider.InvokeRequest) -> provider.InvokeResponse:
        from pulumi_cf_invoice.plugin import schema

        given = _plain(PropertyValue(request.args))
        account_id = given.pop("accountId", None)
        arguments = {snake_case(name): value for name, value in given.items()}
        now = datetime.now(UTC)
        if request.tok == schema.FORECAST:
            fixed_lines = arguments.pop("fixed_lines", None)
            # Anything but nothing, however empty, has to be a list.
            fixed_lines = () if fixed_lines is None else fixed_lines
            for name in arguments:
                problem = unknown_name("argument", camel_case(name), ["fixedLines"])
                raise SettingsError(f"forecast: {problem}")
            resolved, figures = await self._forecast(account_id, now, fixed_lines)
        else:
            read = schema.FUNCTIONS.get(request.tok)
            if read is None:
                raise SettingsError(f"cf-invoice has no function {request.tok}")
            resolved, answer = await self._ask(read.asked(now, **arguments), account_id)
            figures = answer.to_figures()
        address = lifecycle.address(resolved)
        if address and self._is_address_secret:
            # One secret in a result makes all of its figures secret.
            address = {"base_url": SECRET_ADDRESS}
        of_read = {"account_id": resolved.account_id, **address}
        return provider.InvokeResponse(_encoded(of_read | figures))

    async def _forecast(
        self, account_id: Any, at: datetime, fixed_lines: Sequence[str] = ()
    ) -> "tuple[Settings, dict[str, Any]]":
        from pulumi_cf_invoice.forecast.read import READS, forecast_answers
        from pulumi_cf_invoice.forecast.result import to_figures

        resolved = self._resolve(account_id)
        outcomes = await asyncio.gather(
            *(self._outcome(read.asked(at), account_id) for read in READS)
        )
        answers = {read.name: outcome for read, outcome in zip(READS, outcomes, strict=True)}
        return resolved, to_figures(forecast_answers(answers, at=at, fixed_lines=fixed_lines))

    async def _outcome(self, read: "Read[ModelT]", account_id: Any) -> "ModelT | BillingError":
        try:
            return (await self._ask(read, account_id))[1]
        except BillingError as error:
            return error

    async def cancel(self) -> None:
        if not self._cancelled.done():
            self._cancelled.set_result(None)

    async def _ask(self, read: "Read[ModelT]", account_id: Any) -> "tuple[Settings, ModelT]":
        with no_garbage():
            from pulumi_cf_invoice.billing import cache

        resolved = self._resolve(account_id)
        await self._say_origin(resolved)
        asked = cache.of_this_process().ask(read, resolved)
        if not asked.done():
            answer = asyncio.wrap_future(asked)
            # Its error is taken from the shared future; asyncio would log it as never retrieved.
            answer.add_done_callback(asyncio.Future.exception)
            await asyncio.wait({answer, self._cancelled}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            raise TransportError(
                read.noun, resolved.account_id, "cancelled before an answer came", "Run it again."
            )
        error = asked.exception()
        if error is not None:
            # Shared by all callers: each would make its traceback longer.
            raise error.with_traceback(None)
        return resolved, asked.result()

    def _account(self, account_id: str, given: PropertyValue) -> PropertyValue:
        """Return the account, which is secret if the program or the stack config marks it so."""
        is_secret = given.is_secret or account_id == self._secret_account
        return PropertyValue(account_id, is_secret=is_secret)

    def _encoded_figures(self, invoice: "Invoice", resolved: Settings) -> dict[str, PropertyValue]:
        # The cache keeps each invoice for as long as this process lives, and so its identity.
        if id(invoice) not in self._figures:
            figures = lifecycle.figures(invoice, resolved)
            self._figures[id(invoice)] = {
                name: _Figure(_value(figure).value, is_secret=self._is_secret(name))
                for name, figure in figures.items()
            }
        return self._figures[id(invoice)]

    def _is_secret(self, name: str) -> bool:
        return name == "base_url" and self._is_address_secret

    async def _say_origin(self, resolved: Settings) -> None:
        """Say once where figures come from, if not from Cloudflare."""
        address = settings.foreign(resolved.base_url)
        message = origin(SECRET_ADDRESS if address and self._is_address_secret else address)
        if message and message not in self._said:
            self._said.add(message)
            await self._log(engine_pb2.INFO, "", message)

    async def _log(self, severity: Any, urn: str, message: str) -> None:
        async with grpc.aio.insecure_channel(self._engine) as channel:
            request = engine_pb2.LogRequest(severity=severity, message=message, urn=urn)
            # A message that nobody receives is no reason to fail.
            with suppress(grpc.RpcError):
                await engine_pb2_grpc.EngineStub(channel).Log(request)


class _Servicer(ProviderServicer):
    """
    Pulumi's own server of the *plugin*, for its own type only, and with one line for an error of
    ours.
    """

    def __init__(self, plugin: InvoicePreviewPlugin, engine: str) -> None:
        super().__init__([], semver(version("pulumi-cf-invoice")), plugin, engine)
        self._plugin = plugin

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answered(super().Check, request, context)

    async def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answered(super().Diff, request, context)

    # The checked inputs are stored. They are passed on unchanged, since decoding and encoding them
    # takes as long as everything else.

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answered(self._create, request, context)

    async def _create(self, request: Any, context: Any) -> Any:
        account = Struct(fields={"accountId": request.properties.fields["accountId"]})
        account_id = _plain(PropertyValue.unmarshal_map(account)["accountId"])
        return provider_pb2.CreateResponse(
            id="" if account_id == UNKNOWN else account_id, properties=request.properties
        )

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answered(self._update, request, context)

    async def _update(self, request: Any, context: Any) -> Any:
        return provider_pb2.UpdateResponse(properties=request.news)

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answered(super().Delete, request, context)

    async def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answered(super().Read, request, context)

    async def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answered(super().Invoke, request, context)

    async def _answered(
        self, method: Callable[[Any, Any], Awaitable[Any]], request: Any, context: Any
    ) -> Any:
        urn = getattr(request, "urn", None)
        kind = PLUGIN_TYPE if urn is None else urn.split("::")[2].split("$")[-1]
        if kind != PLUGIN_TYPE:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"cf-invoice has no resource {kind}")
        try:
            return await method(request, context)
        except Exception as error:
            # Newer versions of the server raise another error while handling ours.
            for cause in (error, error.__context__):
                if isinstance(cause, BillingError):
                    await context.abort(grpc.StatusCode.UNKNOWN, self._plugin.cleaned(cause))
            raise


async def serve(engine: str) -> None:
    """Serve the engine at the address *engine* until it ends this process, or is gone."""
    parent = os.getppid()
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    # Python's default interrupt would end each call in progress with a traceback.
    signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(interrupted.set))
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    plugin = InvoicePreviewPlugin(engine)
    servicer = _Servicer(plugin, engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    # An engine that is killed cannot end its plugins, which would keep its output open.
    while not interrupted.is_set() and os.getppid() == parent:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(interrupted.wait(), 1)
    # Calls in progress answer immediately that they were cancelled.
    await plugin.cancel()
    await server.stop(grace=5)


def _parts_of_address(address: str) -> Iterator[str]:
    """Yield what an error can have of an *address*: all of it, its host, and its path."""
    yield address.strip().rstrip("/")
    with suppress(ValueError):
        parsed = urlsplit(address.strip())
        yield parsed.hostname or ""
        path = parsed.path.rstrip("/")
        if path != urlsplit(settings.CLOUDFLARE_API).path:
            yield path


def _encoded(properties: Mapping[str, Any]) -> Properties:
    return {camel_case(name): _value(value) for name, value in properties.items()}


def _value(plain: Any) -> PropertyValue:
    if isinstance(plain, PropertyValue):
        return plain
    if isinstance(plain, dict):
        return PropertyValue(_encoded(plain))
    if isinstance(plain, list):
        return PropertyValue([_value(item) for item in plain])
    is_number = isinstance(plain, int) and not isinstance(plain, bool)
    return PropertyValue(float(plain) if is_number else plain)


def _decoded(properties: Mapping[str, PropertyValue]) -> dict[str, Any]:
    # The names inside a property are the same in both states that are compared.
    return {
        name: _plain(properties[camel_case(name)])
        for name in ("account_id", *READ_PROPERTIES)
        if camel_case(name) in properties
    }


def _is_empty(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def _plain(value: PropertyValue) -> Any:
    content = value.value
    if isinstance(content, Mapping):
        return {name: _plain(item) for name, item in content.items()}
    if isinstance(content, Sequence) and not isinstance(content, str):
        return [_plain(item) for item in content]
    return content


def _differences(path: str, old: Any, new: Any) -> dict[str, PropertyDiff]:
    """Return where *old* and *new* differ, by path, as deep as both have a value."""
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
