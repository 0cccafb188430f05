"""
The upcoming invoice as the result of a function, which is in no diff and has no state of its own.
"""

from typing import TYPE_CHECKING

import pulumi

from pulumi_cf_invoice import program
from pulumi_cf_invoice.billing.errors import SettingsError
from pulumi_cf_invoice.credentials import Credentials
from pulumi_cf_invoice.program_errors import raises_run_errors

if TYPE_CHECKING:
    from pulumi_cf_invoice.billing.invoice import Invoice


@raises_run_errors
def get_invoice_preview(
    account_id: str | None = None,
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "Invoice":
    """
    Return the upcoming invoice, for plain arguments. Each account is requested once per run.

    *account_id* (32 hex digits) and *credentials* default to stack config, then the environment. Of
    *opts* only ``parent`` is accepted, and has no effect, since no provider plugin is called.

    Raises `SettingsError`, `ApiError`, `TransportError` or `InvalidResponseError`.
    """
    from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW

    given = program.arguments(credentials)
    if program.has_output(account_id, given):
        raise SettingsError(
            "get_invoice_preview takes plain values only: "
            "use get_invoice_preview_output for Outputs"
        )
    _refuse_ineffective(opts)
    if getattr(opts, "depends_on", None) is not None:
        raise SettingsError(
            "get_invoice_preview cannot wait for depends_on: use get_invoice_preview_output"
        )
    return program.ask(INVOICE_PREVIEW, program.resolve(account_id, given)).result()


@raises_run_errors
def get_invoice_preview_output(
    account_id: pulumi.Input[str] | None = None,
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "pulumi.Output[Invoice]":
    """
    Return the upcoming invoice as an Output, for arguments that may be Outputs themselves.

    It is like `get_invoice_preview`, except that *opts* may be `pulumi.InvokeOutputOptions` with
    ``depends_on``: the API is not asked before those resources are ready.
    """
    from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW

    given = program.arguments(credentials)
    _refuse_ineffective(opts)
    depends_on = getattr(opts, "depends_on", None)
    return program.ask_output(
        INVOICE_PREVIEW, account_id, given, depends_on, lambda invoice, _: invoice
    )


def _refuse_ineffective(opts: pulumi.InvokeOptions | None) -> None:
    for name in ("provider", "version", "plugin_download_url"):
        if getattr(opts, name, None):
            raise SettingsError(
                f"opts.{name} has no effect here, since no provider plugin is called: "
                "leave it out; credentials=Credentials.from_provider(…) takes those of a "
                "cloudflare.Provider"
            )
