"""
Answers for unit tests of programs that run under `pulumi.runtime.set_mocks`.

Under mocks, resources and functions make no requests and need no credentials. Each returns what the
test has set here beforehand, and fails if the test has set nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from http.client import responses
from typing import Any, TypeVar

from pulumi_cf_invoice.billing import money, settings
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.errors import (
    ApiError,
    BillingError,
    InvalidDataError,
    SettingsError,
)
from pulumi_cf_invoice.billing.gateways import Gateway, Gateways, SpendLimitRule
from pulumi_cf_invoice.billing.invoice import Invoice, InvoiceLine
from pulumi_cf_invoice.billing.invoice_history import InvoiceHistory, PastInvoice
from pulumi_cf_invoice.billing.models import finite, parsed
from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    GATEWAYS,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    USAGE_HISTORY,
)
from pulumi_cf_invoice.billing.suggestions import unknown_name
from pulumi_cf_invoice.billing.usage_history import (
    Instant,
    UsageHistory,
    Window,
    instant_of,
    length_of,
    start_of,
)
from pulumi_cf_invoice.program.stated import ACCOUNT_ID, MAKERS, STATED

__all__ = [
    "ACCOUNT_ID",
    "answers",
    "invoice",
    "make_api_error",
    "make_credit_balance",
    "make_gateway",
    "make_gateways",
    "make_invoice",
    "make_invoice_history",
    "make_past_invoice",
    "make_usage_history",
    "set_answers",
    "set_invoice",
]

T = TypeVar("T")

_SEPTEMBER_2026 = 1788220800, 1790812800


def make_invoice(
    amount_due: float,
    *,
    currency: str = "usd",
    lines: Mapping[str, float] | Sequence[InvoiceLine] | None = None,
    amount_paid: float = 0,
    status: str | None = "draft",
    period_start: int = _SEPTEMBER_2026[0],
    period_end: int = _SEPTEMBER_2026[1],
    invoice_lines_complete: bool = True,
) -> Invoice:
    """
    Return an invoice for a test. To make one from an API answer, use `Invoice.from_api`.

    :param amount_due: In minor units of *currency*; it may have a fraction.
    :param currency: ISO 4217 code.
    :param lines: Amounts before credits, in minor units, by description; or the lines themselves.
        By default there is one line for the whole amount due.
    :param amount_paid: In minor units; the rest of *amount_due* remains to be paid.
    :param status: draft, open, paid, uncollectible or void.
    :param period_start: In Unix seconds (UTC); by default the period is September 2026.
    :param period_end: In Unix seconds (UTC), not included.
    :param invoice_lines_complete: False for an invoice with only some of its lines.
    :raises InvalidDataError: If these figures do not make a valid invoice.
    """
    _refuse_non_numbers(amount_due=amount_due, amount_paid=amount_paid)
    if lines is None:
        lines = {"usage": amount_due}
    of_invoice: Iterable[Any] = lines
    if isinstance(lines, Mapping):
        of_invoice = (
            {"description": description, "amount": amount, "currency": currency}
            for description, amount in lines.items()
        )
    invoice_lines = _listed("lines", of_invoice)
    return Invoice.from_outputs(
        {
            "invoice_id": "upcoming_in_a_test",
            "amount_due": amount_due,
            "amount_paid": amount_paid,
            "amount_remaining": money.number(money.total([amount_due], less=[amount_paid])),
            "currency": currency,
            "period_start": period_start,
            "period_end": period_end,
            "status": status,
            "invoice_lines": invoice_lines,
            "invoice_lines_complete": invoice_lines_complete,
        }
    )


def make_credit_balance(
    balance: float,
    *,
    topup_amount: float | None = None,
    topup_threshold: float | None = None,
    topup_error: str | None = None,
    topup_disabled_reason: str | None = None,
    has_default_payment_method: bool | None = True,
) -> CreditBalance:
    """
    Return a credit balance for a test, without an automatic top-up unless one is described.

    :param balance: In minor units of the account's currency; it may have a fraction or be negative.
    :param topup_amount: What a top-up adds, in minor units.
    :param topup_threshold: The balance below which a top-up is made, in minor units.
    :param topup_error: Why the last top-up failed, in the API's words.
    :param topup_disabled_reason: Why top-ups are disabled, in the API's words.
    :param has_default_payment_method: Whether there is a payment method for top-ups; None if the
        API does not say, in which case no top-up is healthy.
    :raises InvalidDataError: If these figures do not make a valid credit balance.
    """
    config = {
        "amount": topup_amount,
        "threshold": topup_threshold,
        "error": topup_error,
        "disabledReason": topup_disabled_reason,
    }
    return CreditBalance.from_api(
        {
            "balance": balance,
            "topup_config": config,
            "has_default_payment_method": has_default_payment_method,
        }
    )


def make_usage_history(
    values: Sequence[float],
    *,
    since: Instant = "2026-09-01",
    window: Window = "day",
    at: Instant | None = None,
) -> UsageHistory:
    """
    Return a usage history for a test: one value for each hour or day, starting at *since*.

    :param values: In units of usage, which are not money.
    :param since: The start, as for `get_usage_history`.
    :param window: What a value covers: day or hour.
    :param at: When the history was read: an hour or day that was not over by then is partial.
    :raises SettingsError: If *since* or *at* is not an instant, or *window* something else.
    :raises InvalidDataError: If *values* are not a list of numbers.
    """
    values = _listed("values", values)
    _refuse_non_numbers(**{f"values.{number}": value for number, value in enumerate(values)})
    start, length = start_of(since, window), length_of(window)
    return UsageHistory.of_values(
        {start + number * length: value for number, value in enumerate(values)},
        window=window,
        since=start,
        until=start + len(values) * length,
        at=None if at is None else instant_of(at, "at"),
    )


def make_invoice_history(
    invoices: Iterable[PastInvoice] = (), *, invoices_complete: bool = True
) -> InvoiceHistory:
    """
    Return an invoice history for a test: no invoices, or those of `make_past_invoice`.

    :param invoices: Newest first.
    :param invoices_complete: False for a history with only some of its invoices.
    :raises InvalidDataError: If *invoices* are something else.
    """
    values = {"invoices": _listed("invoices", invoices), "invoices_complete": invoices_complete}
    return parsed(InvoiceHistory, {"type": "all", **values})


def make_past_invoice(
    amount_due: float,
    *,
    currency: str = "usd",
    amount_paid: float | None = None,
    status: str | None = "paid",
    created: int | None = _SEPTEMBER_2026[0],
) -> PastInvoice:
    """
    Return an earlier invoice for a test.

    :param amount_due: In minor units of *currency*.
    :param currency: ISO 4217 code.
    :param amount_paid: In minor units; by default all of *amount_due* if the status is paid,
        otherwise 0.
    :param status: draft, open, paid, uncollectible or void.
    :param created: When it was created, in Unix seconds (UTC).
    :raises InvalidDataError: If these figures do not make a valid invoice.
    """
    paid = amount_paid
    if paid is None:
        paid = amount_due if status == "paid" else 0
    _refuse_non_numbers(amount_due=amount_due, amount_paid=paid)
    return parsed(
        PastInvoice,
        {
            "amount_due": amount_due,
            "amount_paid": paid,
            "amount_remaining": money.number(money.total([amount_due], less=[paid])),
            "currency": currency,
            "status": status,
            "created": created,
        },
    )


def make_gateways(gateways: Iterable[Gateway] = (), *, gateways_complete: bool = True) -> Gateways:
    """
    Return the AI gateways of an account for a test: none, or those of `make_gateway`.

    :param gateways_complete: False for a list with only some of the gateways.
    :raises InvalidDataError: If *gateways* are something else.
    """
    values = {"gateways": _listed("gateways", gateways), "gateways_complete": gateways_complete}
    return parsed(Gateways, values)


def make_gateway(
    gateway_id: str = "default", *, limit: float | None = None, window: int = 86_400, **more: Any
) -> Gateway:
    """
    Return an AI gateway for a test, without spend limits unless *limit* is given.

    :param limit: The most that it may spend in a window, in US dollars.
    :param window: The length of the window, in seconds; by default a day.
    :param more: Other fields of a `Gateway`.
    :raises InvalidDataError: If these do not make a valid gateway, or it has no such field.
    """
    names = [field.name for field in fields(Gateway)]
    for name in more:
        if name not in names:
            raise InvalidDataError(unknown_name("field of a gateway", name, names))
    capped: dict[str, Any] = {}
    if limit is not None:
        _refuse_non_numbers(limit=limit, window=window)
        rule = SpendLimitRule(limit=limit, limit_type="cost", window=window, enabled=True)
        capped = {"spend_limits_enabled": True, "spend_limit_rules": [rule]}
    return parsed(Gateway, {"gateway_id": gateway_id, **capped, **more})


def make_api_error(
    status: int,
    message: str | None = None,
    *,
    code: int | None = None,
    account_id: str = ACCOUNT_ID,
    noun: str = INVOICE_PREVIEW.noun,
) -> ApiError:
    """
    Return an error from Cloudflare, to set instead of an answer.

    :param status: The HTTP status.
    :param message: Cloudflare's message; by default the name of *status*, if it has one.
    :param code: Cloudflare's error code.
    :param account_id: The account in the error.
    :param noun: What could not be read, according to the error.
    :raises InvalidDataError: If *status* is not a number.
    """
    _refuse_non_numbers(status=status)
    return ApiError(
        noun,
        account_id,
        status,
        code,
        message or responses.get(status, "no message"),
        "This error was set by a test.",
    )


def set_invoice(stated: Invoice | BillingError, account_id: str | None = None) -> None:
    """
    Set the upcoming invoice for programs under mocks, from now on.

    :param stated: The invoice, or an error to raise instead.
    :param account_id: The account whose invoice it is; by default every account without its own.
    :raises SettingsError: If *account_id* is not an account ID, or *stated* is something else.
    """
    set_answers(invoice=stated, account_id=account_id)


def set_answers(
    *,
    invoice: Invoice | BillingError | None = None,
    credit_balance: CreditBalance | BillingError | None = None,
    usage_history: UsageHistory | BillingError | None = None,
    invoice_history: InvoiceHistory | BillingError | None = None,
    gateways: Gateways | BillingError | None = None,
    account_id: str | None = None,
) -> None:
    """
    Set the API's answers for programs under mocks, from now on: a model, or an error to raise.

    Whatever is left out stays as it is. A usage history is the answer whatever time or window the
    program requests. *account_id* and errors are those of `set_invoice`.
    """
    account = None if account_id is None else settings.canonical_account_id(account_id)
    for read, stated in (
        (INVOICE_PREVIEW, invoice),
        (CREDIT_BALANCE, credit_balance),
        (USAGE_HISTORY, usage_history),
        (INVOICE_HISTORY, invoice_history),
        (GATEWAYS, gateways),
    ):
        if stated is None:
            continue
        if not isinstance(stated, (read.model, BillingError)):
            model = read.model.__name__
            raise SettingsError(
                f"the {read.noun} for a test must be {_an(model)} or an error, not "
                f"{type(stated).__name__}: {MAKERS[read.name]} makes one, and {model}.from_api "
                "reads the API's result"
            )
        STATED[read.name, account] = stated


@contextmanager
def invoice(stated: Invoice | BillingError, account_id: str | None = None) -> Iterator[None]:
    """
    Set the upcoming invoice like `set_invoice`, until the end of a ``with`` block.

    It applies to all calls in the block, even if their Outputs only become known later.
    """
    with answers(invoice=stated, account_id=account_id):
        yield


@contextmanager
def answers(**stated: Any) -> Iterator[None]:
    """
    Set answers like `set_answers`, with the same arguments, until the end of a ``with`` block.
    """
    before = dict(STATED)
    set_answers(**stated)
    try:
        yield
    finally:
        STATED.clear()
        STATED.update(before)


def _refuse_non_numbers(**figures: Any) -> None:
    for name, value in figures.items():
        if finite(value) is None:
            raise InvalidDataError(f"{name}: not a number")


def _listed(name: str, given: Iterable[T]) -> list[T]:
    if not isinstance(given, Iterable) or isinstance(given, (str, Mapping)):
        raise InvalidDataError(f"{name}: not a list")
    return list(given)


def _an(noun: str) -> str:
    return f"{'an' if noun[0] in 'AEIO' else 'a'} {noun}"
