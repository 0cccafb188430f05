"""
`InvoicePreview`, the upcoming invoice as a read-only resource of Python programs.

`lifecycle` defines what its dynamic provider does; this module translates that for Pulumi.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.runtime import rpc

from pulumi_cf_invoice import lifecycle
from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.errors import (
    BillingError,
    MissingCredentialsError,
    NotAvailableError,
    SettingsError,
)
from pulumi_cf_invoice.billing.settings import Settings, Source
from pulumi_cf_invoice.program import (
    ahead,
    answers,
    config,
    output_types,
    settings as program_settings,
)
from pulumi_cf_invoice.program.credentials import Credentials
from pulumi_cf_invoice.program.errors import raises_run_errors, wrong_kind
from pulumi_cf_invoice.program.imports import no_garbage
from pulumi_cf_invoice.state import FIELDS, READ_PROPERTIES, UNKNOWN, origin

# The client and the model are imported where they are needed: a program that declares a resource
# needs neither, and they would double its start.
if TYPE_CHECKING:
    from pulumi_cf_invoice.billing.invoice import Invoice


# Inputs that a check reads and does not return: neither the state nor a policy sees them.
_CREDENTIALS = "credentials"
_FOLLOWING = "__following"
_said: dict[str, object] = {}


class InvoicePreviewProvider(ResourceProvider):
    """The provider of `InvoicePreview`. Its module and name are in the state of every stack."""

    # It contains no secrets, and a secret would be encrypted for each resource.
    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        self._sources = settings.program_sources(req.config.get, os.environ)

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        try:
            return CheckResult(self._checked(olds, news), [])
        except BillingError as error:
            # A failure that names a property prints its value, secret or not.
            return CheckResult(lifecycle.failed(), [CheckFailure("", str(error))])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        changes = lifecycle.changed(olds, news)
        return DiffResult(changes=bool(changes), replaces=lifecycle.replaced(changes))

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["account_id"], dict(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(dict(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            figures = _figures(settings.resolve(id_, self._sources))
        except MissingCredentialsError:
            print(lifecycle.not_refreshed(id_), file=sys.stderr, flush=True)
            return ReadResult(id_, props)
        except BillingError as error:
            refusal = error
        else:
            return ReadResult(id_, lifecycle.refreshed(props, figures))
        # Pulumi prints the frames of what a read raises: these are the fewest.
        raise refusal.with_traceback(None) from None

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Do nothing: nothing was created. Needs neither credentials nor the network."""

    def _checked(self, olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
        account_id, given = news.get("account_id"), news.get(_CREDENTIALS)
        if rpc.contains_unknowns(account_id):
            return lifecycle.unknown(UNKNOWN, olds)
        if rpc.contains_unknowns(given):
            return lifecycle.unknown(settings.resolve_account(account_id, self._sources), olds)
        arguments = settings.given(given or {})
        if given is not None:
            settings.refuse_without_value(arguments)
        resolved = settings.resolve(account_id, [arguments, *self._sources])
        figures = _figures(resolved, news.get(_FOLLOWING) or ())
        return lifecycle.checked(resolved, figures, olds)


class GivenInvoiceProvider(ResourceProvider):
    """Returns the figures that `InvoicePreview.get` fetched. Its name is in the state of stacks."""

    serialize_as_secret_always = False

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, dict(props), dict(props))


class InvoicePreview(pulumi.dynamic.Resource, module="cf_invoice", name="InvoicePreview"):
    """
    The upcoming invoice of an account's AI Gateway, known at preview.

    Amounts are in minor units (cents, for US dollars) of ``currency``: an ``int`` if whole, as they
    nearly always are, otherwise the exact ``float``. Instants are Unix seconds. Figures that have
    moved since the last deployment show up as an update. ``invoice`` is the same data as a model,
    which also has net amounts, text for people and projections.

    API: ``GET /accounts/{account_id}/ai-gateway/billing/invoice-preview``.
    """

    account_id: pulumi.Output[str]
    """The account, 32 hex digits in lower case; secret if the program or config marks it so."""
    invoice_id: pulumi.Output[str | None]
    """The API's ``id`` of the previewed invoice, if given."""
    currency: pulumi.Output[str]
    """ISO 4217 code in lower case."""
    period_start: pulumi.Output[int]
    """Start of the billing period, in Unix seconds (UTC)."""
    period_end: pulumi.Output[int]
    """End of the billing period, not included, in Unix seconds (UTC)."""
    status: pulumi.Output[str | None]
    """draft, open, paid, uncollectible, void, or a word that the API adds later; may be None."""
    invoice_lines: pulumi.Output[list[output_types.InvoiceLine]]
    """The line items, in a stable order."""
    invoice_lines_complete: pulumi.Output[bool | None]
    """False if the API returned only some of the lines, otherwise None."""
    base_url: pulumi.Output[str | None]
    """Where the figures came from, if not from Cloudflare."""
    last_update: pulumi.Output[output_types.LastUpdate | None]
    """
    ``amount_due``, ``currency`` and ``period_start`` at the previous update; None on the first one,
    and if that update read from another address.

    Policies on an increase use it. Never causes a diff by itself, and a refresh does not change it.
    """

    @raises_run_errors
    def __init__(
        self,
        resource_name: str,
        account_id: pulumi.Input[str] | None = None,
        credentials: Credentials | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Declare the invoice of an account. Raises `SettingsError`.

        :param resource_name: The resource's name in the stack.
        :param account_id: 32 hex digits; by default from stack config or the environment.
        :param credentials: By default from stack config or the environment. They are never stored.
        :param opts: Pulumi's options. Those that cannot be honoured are refused.
        """
        refuse_wrong_kinds(resource_name, opts)
        _refuse_ineffective(opts)
        if opts is not None and opts.id is not None:
            raise SettingsError("opts.id reads a resource: call InvoicePreview.get instead")
        _refuse_without_provider(opts)
        given = program_settings.arguments(credentials)
        inputs: dict[str, Any]
        if program_settings.is_mocked():
            # No provider checks the inputs: they have the figures already, as a check returns them.
            inputs = _read_by_the_program(account_id, settings.arguments({}), None)
        else:
            config.examine()
            configured = program_settings.as_configured(account_id)
            inputs = {"account_id": program_settings.none_as_empty(configured)}
            if given.values:
                inputs[_CREDENTIALS] = pulumi.Output.secret(dict(given.values))
            provider = opts and opts.provider
            inputs[_FOLLOWING] = ahead.following(inputs["account_id"], given, provider)
        self._register(InvoicePreviewProvider(), resource_name, inputs, opts)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Without these, a subclass would get its own type token, which no policy looks for.
        super().__init_subclass__(module="cf_invoice", name="InvoicePreview", **kwargs)
        # Pulumi finds the types of outputs among a class's own annotations only.
        cls.__annotations__ = {**InvoicePreview.__annotations__, **cls.__annotations__}

    @staticmethod
    @raises_run_errors
    def get(
        resource_name: str,
        id: pulumi.Input[str],
        credentials: Credentials | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> "InvoicePreview":
        """
        Read the upcoming invoice of account *id* (32 hex digits) without adding it to the diff.

        With plain arguments it is read immediately. Raises `SettingsError`, `ApiError`,
        `TransportError` or `InvalidResponseError`.
        """
        refuse_wrong_kinds(resource_name, opts)
        _refuse_ineffective(opts)
        _refuse_without_provider(opts)
        if id is None:
            raise SettingsError("InvoicePreview.get reads an account by its ID, which is None")
        return _ReadInvoicePreview(resource_name, id, program_settings.arguments(credentials), opts)

    @property
    @pulumi.getter
    def amount_due(self) -> pulumi.Output[float]:
        """What the invoice will ask for, tax included, in minor units."""
        return self._amount("amount_due")

    @property
    @pulumi.getter
    def amount_paid(self) -> pulumi.Output[float]:
        """What has been paid of it, in minor units."""
        return self._amount("amount_paid")

    @property
    @pulumi.getter
    def amount_remaining(self) -> pulumi.Output[float]:
        """What remains to be paid, in minor units."""
        return self._amount("amount_remaining")

    @property
    def invoice(self) -> "pulumi.Output[Invoice]":
        """The invoice as a model, with everything that can be computed from its fields."""
        figures = {name: getattr(self, name) for name in FIELDS}
        complete = known_or_none(self.invoice_lines_complete)
        return pulumi.Output.all(**figures, invoice_lines_complete=complete).apply(_invoice)

    def _amount(self, name: str) -> pulumi.Output[float]:
        output: pulumi.Output[float] = pulumi.get(self, name)
        return output.apply(output_types.whole_or_exact)

    def _register(
        self,
        provider: ResourceProvider,
        resource_name: str,
        properties: dict[str, Any],
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        # Pulumi only creates outputs for named properties.
        properties = {**dict.fromkeys((*READ_PROPERTIES, "last_update")), **properties}
        super().__init__(provider, resource_name, properties, opts)
        # Pulumi makes an attribute of every input. An update, which returns no value for these,
        # would resolve them to what the program gave, and exporting the resource would export that.
        for name in (_CREDENTIALS, _FOLLOWING):
            vars(self).pop(name, None)


class _ReadInvoicePreview(InvoicePreview):
    """
    What `InvoicePreview.get` returns.

    Pulumi stores the inputs of a resource that is read, so credentials cannot be among them: the
    program makes the request, and the resource gets the figures.
    """

    def __init__(
        self,
        resource_name: str,
        account_id: pulumi.Input[str],
        given: Source,
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        depends_on = None if opts is None else opts.depends_on
        properties = _read_by_the_program(account_id, given, depends_on)
        # Pulumi cannot read a resource by a secret ID.
        read = pulumi.ResourceOptions(id=program_settings.unsecret(properties["account_id"]))
        self._register(
            GivenInvoiceProvider(),
            resource_name,
            properties,
            pulumi.ResourceOptions.merge(opts, read),
        )


def _read_by_the_program(account_id: Any, given: Source, depends_on: Any) -> dict[str, Any]:
    """Return the properties of a resource whose figures the program reads itself."""
    from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW

    if depends_on or program_settings.has_output([account_id], given):
        read = answers.ask_output(INVOICE_PREVIEW, account_id, given, depends_on, lifecycle.figures)
        figures = {name: read.apply(methodcaller("get", name)) for name in READ_PROPERTIES}
        canonical = pulumi.Output.from_input(program_settings.none_as_empty(account_id)).apply(
            raises_run_errors(settings.canonical_account_id)
        )
        return {**figures, "account_id": canonical}
    resolved = program_settings.resolve(account_id, given)
    answer = answers.ask(INVOICE_PREVIEW, resolved).result()
    figures = lifecycle.figures(answer, resolved)
    return {**figures, "account_id": program_settings.as_configured(resolved.account_id)}


def _figures(resolved: Settings, following: Iterable[str] = ()) -> dict[str, Any]:
    """Read the figures, and ask for those of the accounts *following* meanwhile."""
    _say_once(origin(settings.foreign(resolved.base_url)))
    with no_garbage():
        from pulumi_cf_invoice.billing import cache
        from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW

    cached = cache.of_this_process()
    answer = cached.ask(INVOICE_PREVIEW, resolved)
    for account_id in following:
        cached.ask_ahead(INVOICE_PREVIEW, replace(resolved, account_id=account_id))
    return lifecycle.figures(answer.result(), resolved)


def _say_once(message: str) -> None:
    """Say *message*, if it is not empty, once per operation, which this process serves alone."""
    caller = object()
    if message and _said.setdefault(message, caller) is caller:
        # The engine reports what a provider prints as information.
        print(message, flush=True)


async def known_or_none(output: pulumi.Output[Any]) -> Any:
    """
    Return the value of an *output* that a resource may not have, or None if it has none.

    Pulumi treats one that is not there as unknown at a preview.
    """
    return await output.future() if await output.is_known() else None


@raises_run_errors
def _invoice(figures: dict[str, Any]) -> "Invoice":
    from pulumi_cf_invoice.billing.invoice import Invoice

    known = {name: value for name, value in figures.items() if value is not None}
    if not known:
        raise NotAvailableError(
            "the InvoicePreview has no figures: it was never deployed, and neither a refresh nor "
            "an update that leaves it out (--target, --exclude) reads it"
        )
    return Invoice.from_outputs(known)


DYNAMIC_PACKAGE = "pulumi-python"
"""The package of Python's dynamic resources, whose providers are interchangeable."""
_INEFFECTIVE = {
    "import_": "there is nothing to import; leave it out, and the next update reads the invoice",
    "provider": "pass credentials=Credentials.from_provider(provider) instead",
    "providers": "pass credentials=Credentials.from_provider(provider) instead",
    "version": "no provider plugin is called; leave it out",
    "plugin_download_url": "no provider plugin is called; leave it out",
    "ignore_changes": "the figures are read after Pulumi applies it; use InvoicePreview.get "
    "if a figure that moves must not be a change",
    "replace_on_changes": "nothing is created that could be replaced; leave it out",
    "custom_timeouts": "limit the time of a read with "
    "`pulumi config set cf-invoice:timeout SECONDS`",
}
"""Options that would be silently ignored, and what to use instead."""


def refuse_wrong_kinds(resource_name: Any, opts: Any) -> None:
    """Raise `SettingsError` in place of Pulumi's TypeError, which is printed with a traceback."""
    if not isinstance(resource_name, str):
        raise wrong_kind("resource_name must be text", resource_name)
    if not resource_name:
        raise SettingsError("resource_name is empty")
    if opts is not None and not isinstance(opts, pulumi.ResourceOptions):
        raise wrong_kind("opts must be pulumi.ResourceOptions", opts)


def _refuse_ineffective(opts: pulumi.ResourceOptions | None) -> None:
    for name, advice in _INEFFECTIVE.items():
        value = getattr(opts, name, None)
        if value and not (name in ("provider", "providers") and _is_dynamic(value)):
            raise SettingsError(f"InvoicePreview cannot honour opts.{name}: {advice}")


def _is_dynamic(given: Any) -> bool:
    """Return whether *given* are providers of Python's dynamic resources, of which this is one."""
    of_packages = given.values() if isinstance(given, Mapping) else given
    providers = [given] if isinstance(given, pulumi.ProviderResource) else list(of_packages)
    return all(getattr(provider, "package", None) == DYNAMIC_PACKAGE for provider in providers)


def _refuse_without_provider(opts: pulumi.ResourceOptions | None) -> None:
    """Raise `SettingsError` where Pulumi has no provider for the resource, in place of gRPC's."""
    if not config.is_default_provider_disabled(DYNAMIC_PACKAGE):
        return
    given = opts and (opts.provider or opts.providers)
    parent = opts and opts.parent
    if given or (parent and parent.get_provider(f"{DYNAMIC_PACKAGE}:dynamic:Resource")):
        return
    raise SettingsError(
        "InvoicePreview has no provider, since the stack config pulumi:disable-default-providers "
        f"disables that of {DYNAMIC_PACKAGE}: pass opts=pulumi.ResourceOptions(provider=dynamic), "
        f'with dynamic = pulumi.ProviderResource("{DYNAMIC_PACKAGE}", "dynamic", {{}})'
    )
