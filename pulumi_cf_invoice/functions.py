"""The upcoming invoice as a function's result: in no diff and in no state of its own."""

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import pulumi

from pulumi_cf_invoice import settings, snapshot
from pulumi_cf_invoice.errors import SettingsError
from pulumi_cf_invoice.invoice import Invoice
from pulumi_cf_invoice.settings import Credentials


def get_invoice_preview(
    account_id: str | None = None,
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> Invoice:
    """
    The upcoming invoice, now. For plain arguments; asked once per account and run.

    *account_id* (32 hex digits) and *credentials* default to stack config and environment. Of
    *opts* nothing but ``parent`` is accepted, which changes nothing: no provider plugin is called.

    Raises `SettingsError`, `ApiError`, `ConnectionFailed` or `BadAnswer`.
    """
    parts = credentials_parts(credentials)
    if has_output(account_id, parts):
        raise SettingsError(
            "get_invoice_preview takes plain values only: "
            "use get_invoice_preview_output for Outputs"
        )
    _refuse_unhonoured(opts)
    if getattr(opts, "depends_on", None) is not None:
        raise SettingsError(
            "get_invoice_preview cannot wait for depends_on: use get_invoice_preview_output"
        )
    return start(account_id, parts).result()


def get_invoice_preview_output(
    account_id: pulumi.Input[str] | None = None,
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> pulumi.Output[Invoice]:
    """
    The upcoming invoice in an Output, for arguments that may be Outputs themselves.

    As `get_invoice_preview`; *opts* may be `pulumi.InvokeOutputOptions` with ``depends_on``, which
    is waited for before the API is asked.
    """
    _refuse_unhonoured(opts)
    depends_on = getattr(opts, "depends_on", None)
    return after(depends_on, account_id, credentials_parts(credentials))


def after(
    depends_on: Any, account_id: pulumi.Input[str] | None, parts: Mapping[str, Any]
) -> pulumi.Output[Invoice]:
    """An Output of the invoice, asked for when the arguments and *depends_on* are known."""

    def ask(known: Mapping[str, Any]) -> Any:
        # An awaitable, so that two accounts are asked side by side.
        return asyncio.wrap_future(start(known["account_id"], known["parts"]))

    return pulumi.Output.all(
        account_id=account_id, parts=dict(parts), resources=_ids(depends_on)
    ).apply(ask)


def start(account_id: Any, parts: Mapping[str, Any]) -> "Future[Invoice]":
    """Ask for the invoice with the settings of the running program."""
    from pulumi.runtime.config import get_config

    resolved = settings.resolve(account_id, parts, settings.of_program(get_config, os.environ))
    return snapshot.of_this_run().start(resolved)


def credentials_parts(credentials: Any) -> dict[str, Any]:
    """The parts of `Credentials`, or none. Raises `SettingsError` for anything else."""
    if credentials is None:
        return {}
    if not isinstance(credentials, Credentials):
        raise SettingsError(
            "credentials must be Credentials(api_token=…) or Credentials(email=…, api_key=…), "
            f"not {type(credentials).__name__}"
        )
    return credentials.parts()


def _ids(depends_on: Any) -> Any:
    if depends_on is None:
        return []
    return pulumi.Output.from_input(depends_on).apply(
        lambda found: [
            # A component has no ID; its URN is known once it is registered.
            getattr(resource, "id", resource.urn)
            for resource in (found if isinstance(found, (list, tuple)) else [found])
        ]
    )


def has_output(account_id: Any, parts: Mapping[str, Any]) -> bool:
    """Whether an argument is an Output, which has no value before the program runs on."""
    return any(isinstance(value, pulumi.Output) for value in (account_id, *parts.values()))


def _refuse_unhonoured(opts: pulumi.InvokeOptions | None) -> None:
    for name in ("provider", "version", "plugin_download_url"):
        if getattr(opts, name, None):
            raise SettingsError(
                f"opts.{name} has no effect here, since no provider plugin is called: "
                "leave it out; credentials=Credentials.from_provider(…) takes those of a "
                "cloudflare.Provider"
            )
