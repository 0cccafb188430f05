"""
What an account owes, has and has used, as functions.

They have no diff and no state: all but the upcoming invoice move with every request. Each function
makes one request per account and query in a run of the program.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pulumi

from pulumi_cf_invoice.billing.errors import SettingsError
from pulumi_cf_invoice.program import answers, settings as program_settings
from pulumi_cf_invoice.program.credentials import Credentials
from pulumi_cf_invoice.program.errors import raises_run_errors, wrong_kind

if TYPE_CHECKING:
    from pulumi_cf_invoice.billing.credit_balance import CreditBalance
    from pulumi_cf_invoice.billing.gateways import Gateways
    from pulumi_cf_invoice.billing.invoice import Invoice
    from pulumi_cf_invoice.billing.invoice_history import InvoiceHistory, Type
    from pulumi_cf_invoice.billing.reads import ModelT, Read
    from pulumi_cf_invoice.billing.settings import Settings, Source
    from pulumi_cf_invoice.billing.usage_history import Instant, UsageHistory, Window
    from pulumi_cf_invoice.forecast import Forecast
    from pulumi_cf_invoice.program.answers import Answers


@raises_run_errors
def get_invoice_preview(
    account_id: str | None = None,
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "Invoice":
    """
    Return the upcoming invoice, for plain arguments.

    *account_id* (32 hex digits) and *credentials* default to stack config, then the environment. Of
    *opts* only ``parent`` is accepted; it has no effect, since no provider plugin is called.

    Raises `SettingsError`, `ApiError`, `TransportError` or `InvalidResponseError`.
    """
    from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW

    return _get("get_invoice_preview", INVOICE_PREVIEW, account_id, credentials, opts)


@raises_run_errors
def get_invoice_preview_output(
    account_id: pulumi.Input[str] | None = None,
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "pulumi.Output[Invoice]":
    """
    Return the upcoming invoice as an Output, for arguments that may be Outputs themselves.

    Like `get_invoice_preview`, except that *opts* may be `pulumi.InvokeOutputOptions` with
    ``depends_on``: no request is made before those resources are ready.
    """
    from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW

    return _get_output(INVOICE_PREVIEW, account_id, credentials, opts)


@raises_run_errors
def get_credit_balance(
    account_id: str | None = None,
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "CreditBalance":
    """
    Return the remaining credits and the automatic top-up, for plain arguments.

    The balance is in minor units of the account's currency, which the API does not name: it is the
    upcoming invoice's. The arguments are those of `get_invoice_preview`.
    """
    from pulumi_cf_invoice.billing.reads import CREDIT_BALANCE

    return _get("get_credit_balance", CREDIT_BALANCE, account_id, credentials, opts)


@raises_run_errors
def get_credit_balance_output(
    account_id: pulumi.Input[str] | None = None,
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "pulumi.Output[CreditBalance]":
    """Return the result of `get_credit_balance` as an Output; arguments may be Outputs too."""
    from pulumi_cf_invoice.billing.reads import CREDIT_BALANCE

    return _get_output(CREDIT_BALANCE, account_id, credentials, opts)


@raises_run_errors
def get_usage_history(
    account_id: str | None = None,
    since: "Instant | None" = None,
    until: "Instant | None" = None,
    window: "Window" = "day",
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "UsageHistory":
    """
    Return the usage of each hour or day, for plain arguments: in units of usage, never money.

    *since* and *until* (not included) are instants with a time zone, as ``datetime`` or ISO 8601,
    or UTC days. They are rounded to whole UTC windows, and the result has the rounded values. The
    default is the last 100 days, including today. *window* is ``"day"`` or ``"hour"``. The other
    arguments are those of `get_invoice_preview`.
    """
    from pulumi_cf_invoice.billing.reads import USAGE_HISTORY

    arguments = {"since": since, "until": until, "window": window}
    return _get("get_usage_history", USAGE_HISTORY, account_id, credentials, opts, arguments)


@raises_run_errors
def get_usage_history_output(
    account_id: pulumi.Input[str] | None = None,
    since: "pulumi.Input[Instant] | None" = None,
    until: "pulumi.Input[Instant] | None" = None,
    window: "pulumi.Input[Window]" = "day",
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "pulumi.Output[UsageHistory]":
    """Return the result of `get_usage_history` as an Output; arguments may be Outputs too."""
    from pulumi_cf_invoice.billing.reads import USAGE_HISTORY

    arguments = {"since": since, "until": until, "window": window}
    return _get_output(USAGE_HISTORY, account_id, credentials, opts, arguments)


@raises_run_errors
def get_invoice_history(
    account_id: str | None = None,
    type: "Type" = "all",
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "InvoiceHistory":
    """
    Return the earlier invoices, newest first, for plain arguments.

    *type* is ``"all"``, ``"auto"`` or ``"manual"``, as the API calls them. The other arguments are
    those of `get_invoice_preview`.
    """
    from pulumi_cf_invoice.billing.reads import INVOICE_HISTORY

    arguments = {"type": type}
    return _get("get_invoice_history", INVOICE_HISTORY, account_id, credentials, opts, arguments)


@raises_run_errors
def get_invoice_history_output(
    account_id: pulumi.Input[str] | None = None,
    type: "pulumi.Input[Type]" = "all",
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "pulumi.Output[InvoiceHistory]":
    """Return the result of `get_invoice_history` as an Output; arguments may be Outputs too."""
    from pulumi_cf_invoice.billing.reads import INVOICE_HISTORY

    return _get_output(INVOICE_HISTORY, account_id, credentials, opts, {"type": type})


@raises_run_errors
def get_gateways(
    account_id: str | None = None,
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "Gateways":
    """
    Return the AI gateways of the account, whoever created them, for plain arguments.

    Their spend limits are in US dollars. The arguments are those of `get_invoice_preview`.
    """
    from pulumi_cf_invoice.billing.reads import GATEWAYS

    return _get("get_gateways", GATEWAYS, account_id, credentials, opts)


@raises_run_errors
def get_gateways_output(
    account_id: pulumi.Input[str] | None = None,
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "pulumi.Output[Gateways]":
    """Return the result of `get_gateways` as an Output; arguments may be Outputs too."""
    from pulumi_cf_invoice.billing.reads import GATEWAYS

    return _get_output(GATEWAYS, account_id, credentials, opts)


@raises_run_errors
def get_forecast(
    account_id: str | None = None,
    fixed_lines: Sequence[str] = (),
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "Forecast":
    """
    Return a forecast of the upcoming invoice and of how long the credits last, for plain arguments.

    The forecast combines the invoice, the usage of the last 100 days and the credit balance, which
    are requested in parallel. If usage or balance is refused, the forecast does without, and its
    notes say so. *fixed_lines* are globs on the descriptions of lines that do not grow with usage.
    The other arguments are those of `get_invoice_preview`. To export everything, export
    ``to_figures()``, which is plain data.

    Raises `IncompleteLinesError` if the API returned only some of the invoice's lines, in addition
    to what `get_invoice_preview` raises.
    """
    from pulumi_cf_invoice.forecast.read import READS, forecast_answers

    given, at = program_settings.arguments(credentials), answers.now()
    globs = fixed_lines if isinstance(fixed_lines, (list, tuple)) else (fixed_lines,)
    _refuse_outputs("get_forecast", (account_id, *globs), given)
    _refuse_waiting("get_forecast", opts)
    resolved = program_settings.resolve(account_id, given)
    asked = {read.name: answers.ask(read.asked(at), resolved) for read in READS}
    return forecast_answers(answers.outcomes(asked), at=at, fixed_lines=fixed_lines)


@raises_run_errors
def get_forecast_output(
    account_id: pulumi.Input[str] | None = None,
    fixed_lines: "pulumi.Input[Sequence[pulumi.Input[str]]]" = (),
    credentials: Credentials | None = None,
    opts: pulumi.InvokeOptions | None = None,
) -> "pulumi.Output[Forecast]":
    """Return the result of `get_forecast` as an Output; arguments may be Outputs too."""

    async def respond(of_run: "Answers", resolved: "Settings", known: dict[str, Any]) -> "Forecast":
        from pulumi_cf_invoice.forecast.read import READS, forecast_answers

        at = answers.now()
        asked = {read.name: of_run.ask(read.asked(at), resolved) for read in READS}
        await asyncio.gather(*map(asyncio.wrap_future, asked.values()), return_exceptions=True)
        return forecast_answers(answers.outcomes(asked), at=at, **known)

    given = program_settings.arguments(credentials)
    _refuse_ineffective(opts)
    depends_on = getattr(opts, "depends_on", None)
    arguments = {"fixed_lines": fixed_lines}
    return answers.when_known(account_id, given, depends_on, arguments, respond)


def _get(
    function: str,
    read: "Read[ModelT]",
    account_id: str | None,
    credentials: Credentials | None,
    opts: pulumi.InvokeOptions | None,
    arguments: dict[str, Any] | None = None,
) -> "ModelT":
    arguments = arguments or {}
    given = program_settings.arguments(credentials)
    _refuse_outputs(function, (account_id, *arguments.values()), given)
    _refuse_waiting(function, opts)
    asked = read.asked(answers.now(), **arguments)
    return answers.ask(asked, program_settings.resolve(account_id, given)).result()


def _get_output(
    read: "Read[ModelT]",
    account_id: pulumi.Input[str] | None,
    credentials: Credentials | None,
    opts: pulumi.InvokeOptions | None,
    arguments: dict[str, Any] | None = None,
) -> "pulumi.Output[ModelT]":
    given = program_settings.arguments(credentials)
    _refuse_ineffective(opts)
    depends_on = getattr(opts, "depends_on", None)
    return answers.ask_output(
        read, account_id, given, depends_on, lambda answer, _: answer, arguments or {}
    )


def _refuse_outputs(function: str, values: Iterable[Any], given: "Source") -> None:
    if program_settings.has_output(values, given):
        raise SettingsError(
            f"{function} takes plain values only: use {function}_output for Outputs"
        )


def _refuse_waiting(function: str, opts: pulumi.InvokeOptions | None) -> None:
    _refuse_ineffective(opts)
    if getattr(opts, "depends_on", None) is not None:
        raise SettingsError(f"{function} cannot wait for depends_on: use {function}_output")


def _refuse_ineffective(opts: pulumi.InvokeOptions | None) -> None:
    if opts is not None and not isinstance(opts, pulumi.InvokeOptions):
        raise wrong_kind("opts must be pulumi.InvokeOptions", opts)
    for name in ("provider", "version", "plugin_download_url"):
        if getattr(opts, name, None):
            raise SettingsError(
                f"opts.{name} has no effect here, because no provider plugin is called: leave it "
                "out, and pass credentials=Credentials.from_provider(…) to use those of a "
                "cloudflare.Provider"
            )
