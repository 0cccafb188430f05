"""
`InvoicePreview`, the upcoming invoice as a read-only resource, and its dynamic provider.

The engine never asks a dynamic provider to preview a create: it takes the inputs that `check`
returned for the resource's state. So `check` is where the invoice is fetched, which makes the
figures known at preview and shows them to policy packs.
"""

# Pulumi reads the annotations of the resource at run time.
import os
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

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

from pulumi_cf_invoice import functions, outputs, properties, settings, snapshot
from pulumi_cf_invoice.errors import (
    CredentialsMissing,
    InvoicePreviewError,
    SettingsError,
    not_refreshed,
)
from pulumi_cf_invoice.invoice import Invoice
from pulumi_cf_invoice.settings import Credentials

_FIGURES = tuple(field.name for field in fields(Invoice))


class InvoicePreviewProvider(ResourceProvider):
    """Translates between Pulumi and the snapshot. Its name is in every stack's state."""

    # There is nothing secret in it, and a secret would be encrypted for each resource.
    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        self._config = req.config

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        account_id, credentials = news.get("account_id"), news.get("credentials")
        if rpc.contains_unknowns([account_id, credentials]):
            return CheckResult({"account_id": account_id}, [])
        try:
            resolved = self._resolve(account_id, credentials)
            invoice = snapshot.of_this_process().get(resolved)
        except InvoicePreviewError as error:
            # A failure that names a property prints its value, secret or not.
            return CheckResult({}, [CheckFailure("", str(error))])
        inputs = {"account_id": resolved.account_id, **invoice.to_outputs()}
        last_update = properties.last_update(olds, resolved.account_id)
        if last_update:
            inputs["last_update"] = last_update
        return CheckResult(inputs, [])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        moved = any(olds.get(name) != news.get(name) for name in ("account_id", *_FIGURES))
        other_account = olds.get("account_id") != news.get("account_id")
        return DiffResult(changes=moved, replaces=["account_id"] if other_account else [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["account_id"], dict(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(dict(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        try:
            resolved = self._resolve(id_, None)
        except CredentialsMissing:
            print(not_refreshed(id_), file=sys.stderr, flush=True)
            return ReadResult(id_, props)
        figures = snapshot.of_this_process().get(resolved).to_outputs()
        # The inputs stay those of the last update, which is what the next check compares with.
        return ReadResult(id_, {**props, **figures})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Nothing was made, so nothing is deleted: no credentials, no network."""

    def _resolve(
        self, account_id: str | None, credentials: Mapping[str, Any] | None
    ) -> settings.Settings:
        sources = settings.of_program(self._config.get, os.environ)
        return settings.resolve(account_id, credentials, sources)


class GivenInvoiceProvider(ResourceProvider):
    """Gives back the figures that `InvoicePreview.get` fetched. Its name is in stacks' state."""

    serialize_as_secret_always = False

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, dict(props), dict(props))


class InvoicePreview(pulumi.dynamic.Resource, module="cf_invoice", name="InvoicePreview"):
    """
    The upcoming invoice of an account's AI Gateway, known at preview.

    Amounts are whole minor units (cents, for US dollars) of ``currency``, instants Unix seconds.
    A figure that moved since the last deployment is an update. ``invoice`` is the same as a model
    that knows credits, net amounts, text and projections.

    API: ``GET /accounts/{account_id}/ai-gateway/billing/invoice-preview``.
    """

    account_id: pulumi.Output[str]
    """The account, 32 hex digits in lower case. Secret where the program marks it so."""
    invoice_id: pulumi.Output[str]
    """The API's ``id`` of the previewed invoice."""
    amount_due: pulumi.Output[int]
    """What the invoice will ask for, tax included, in minor units."""
    amount_paid: pulumi.Output[int]
    """What is paid of it, in minor units."""
    amount_remaining: pulumi.Output[int]
    """What is left to pay of it, in minor units."""
    currency: pulumi.Output[str]
    """ISO 4217 code in lower case."""
    period_start: pulumi.Output[int]
    """Start of the billing period, in Unix seconds (UTC)."""
    period_end: pulumi.Output[int]
    """End of the billing period, not included, in Unix seconds (UTC)."""
    status: pulumi.Output[str]
    """draft, open, paid, uncollectible, void, or a newer word of the API's."""
    invoice_lines: pulumi.Output[list[outputs.InvoiceLine]]
    """The line items, in a stable order."""
    last_update: pulumi.Output[outputs.LastUpdate | None]
    """
    ``amount_due``, ``currency`` and ``period_start`` at the update before; none on the first one.

    For policies on an increase. It makes no diff by itself, and a refresh does not move it.
    """

    def __init__(
        self,
        resource_name: str,
        account_id: pulumi.Input[str] | None = None,
        credentials: Credentials | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        :param resource_name: The resource's name in the stack.
        :param account_id: 32 hex digits; by default from stack config or environment.
        :param credentials: By default from stack config or environment. Stored nowhere.
        :param opts: Pulumi's options. ``provider`` and ``import_`` raise `SettingsError`.
        """
        _refuse(opts)
        parts = functions.credentials_parts(credentials)
        props: dict[str, Any] = dict.fromkeys(_FIGURES)
        props |= {"account_id": account_id, "last_update": None}
        if parts:
            props["credentials"] = pulumi.Output.secret(parts)
        super().__init__(InvoicePreviewProvider(), resource_name, props, opts)

    @classmethod
    def get(
        cls,
        resource_name: str,
        id: pulumi.Input[str],
        credentials: Credentials | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> "InvoicePreview":
        """
        The upcoming invoice of account *id* (32 hex digits), read and never in the diff.

        Raises `SettingsError`, `ApiError`, `ConnectionFailed` or `BadAnswer` when *id* and
        *credentials* are plain.
        """
        _refuse(opts)
        parts = functions.credentials_parts(credentials)
        figures: dict[str, Any]
        account_id: Any
        if functions.has_output(id, parts):
            fetched: Any = functions.after(None, id, parts).apply(Invoice.to_outputs)
            figures = {name: fetched[name] for name in _FIGURES}
            account_id = pulumi.Output.from_input(id).apply(settings.canonical_account_id)
        else:
            figures = functions.start(id, parts).result().to_outputs()
            account_id = settings.canonical_account_id(str(id))
        resource = cls.__new__(cls)
        pulumi.dynamic.Resource.__init__(
            resource,
            GivenInvoiceProvider(),
            resource_name,
            {"account_id": account_id, **figures},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=account_id)),
        )
        return resource

    @property
    def invoice(self) -> pulumi.Output[Invoice]:
        """The invoice as a model, with everything that follows from its fields."""
        figures = {name: getattr(self, name) for name in _FIGURES}
        return pulumi.Output.all(**figures).apply(Invoice.from_outputs)


def _refuse(opts: pulumi.ResourceOptions | None) -> None:
    if opts is None:
        return
    if opts.import_:
        raise SettingsError(
            "InvoicePreview cannot be imported, since nothing has to be: remove import_, "
            "and the next update reads the invoice"
        )
    if opts.provider or opts.providers:
        raise SettingsError(
            "InvoicePreview takes no provider in opts: pass "
            "credentials=Credentials.from_provider(provider) instead"
        )
