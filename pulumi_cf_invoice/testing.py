"""
Invoices for unit tests of programs that run under `pulumi.runtime.set_mocks`.

Under mocks no form of the invoice makes a request or needs credentials. Each returns what the test
has set here before the program asks for it, and fails if the test has set nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from http.client import responses
from typing import Any

from pulumi_cf_invoice.billing import money, settings
from pulumi_cf_invoice.billing.credentials import Credentials
from pulumi_cf_invoice.billing.errors import ApiError, BillingError, SettingsError
from pulumi_cf_invoice.billing.invoice import Invoice, InvoiceLine
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW, Read
from pulumi_cf_invoice.billing.settings import Settings, Source

__all__ = ["ACCOUNT_ID", "invoice", "make_api_error", "make_invoice", "set_invoice"]

ACCOUNT_ID = "023e105f4ecef8ad9ca31a8372d0c353"
"""The account of a program if neither it, nor stack config, nor the environment names one."""

_SEPTEMBER_2026 = 1788220800, 1790812800
_stated: dict[str | None, Invoice | BillingError] = {}


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
    Return an invoice for a test. `Invoice.from_api` makes one from an answer of the API.

    :param amount_due: In minor units of *currency*; it may have a fraction.
    :param currency: ISO 4217 code.
    :param lines: Amounts before credits, in minor units, by description; or the lines themselves.
        By default there is one line for the whole amount due.
    :param amount_paid: In minor units; what remains to be paid is the rest of *amount_due*.
    :param status: draft, open, paid, uncollectible or void.
    :param period_start: In Unix seconds (UTC); by default the period is September 2026.
    :param period_end: In Unix seconds (UTC), not included.
    :param invoice_lines_complete: False for an invoice of which the API gave only some lines.
    :raises InvalidDataError: If these figures do not make an invoice.
    """
    if lines is None:
        lines = {"usage": amount_due}
    of_invoice: Iterable[Any] = lines
    if isinstance(lines, Mapping):
        of_invoice = (
            {"description": description, "amount": amount, "currency": currency}
            for description, amount in lines.items()
        )
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
            "invoice_lines": list(of_invoice),
            "invoice_lines_complete": invoice_lines_complete,
        }
    )


def make_api_error(
    status: int,
    message: str | None = None,
    *,
    code: int | None = None,
    account_id: str = ACCOUNT_ID,
) -> ApiError:
    """
    Return a refusal by Cloudflare, to be set instead of an invoice.

    :param status: The HTTP status.
    :param message: Cloudflare's message; by default the name of *status*, if it has one.
    :param code: Cloudflare's code of the reason.
    :param account_id: The account that the error names.
    """
    return ApiError(
        INVOICE_PREVIEW.noun,
        account_id,
        status,
        code,
        message or responses.get(status, "no message"),
        "A test states this error.",
    )


def set_invoice(stated: Invoice | BillingError, account_id: str | None = None) -> None:
    """
    Set the upcoming invoice for programs under mocks, from now on.

    :param stated: The invoice, or an error to raise instead.
    :param account_id: The account whose invoice it is; by default every account that has none of
        its own.
    :raises SettingsError: If *account_id* is not an account ID, or *stated* is something else.
    """
    if not isinstance(stated, (Invoice, BillingError)):
        raise SettingsError(
            f"an invoice for a test must be an Invoice or an error, not {type(stated).__name__}: "
            "make_invoice(amount_due=…) makes one, and Invoice.from_api reads the API's result"
        )
    _stated[None if account_id is None else settings.canonical_account_id(account_id)] = stated


@contextmanager
def invoice(stated: Invoice | BillingError, account_id: str | None = None) -> Iterator[None]:
    """
    Set the upcoming invoice as `set_invoice` does, until the end of a ``with`` block.

    Whatever the program asks for in the block gets it, even if its Outputs are only known later.
    """
    before = dict(_stated)
    set_invoice(stated, account_id)
    try:
        yield
    finally:
        _stated.clear()
        _stated.update(before)


class StatedAnswers:
    """The answers of a program under mocks, as stated by now. For the package's own use."""

    def __init__(self) -> None:
        self._stated = dict(_stated)

    def ask(self, _read: Read[Any], resolved: Settings) -> "Future[Any]":
        """Return the future of an answer, which is there already."""
        stated = self._stated.get(resolved.account_id) or self._stated.get(None)
        answer: Future[Any] = Future()
        if isinstance(stated, Invoice):
            answer.set_result(stated)
        else:
            answer.set_exception(stated or _nothing_stated(resolved.account_id))
        return answer


def settings_of(account_id: Any, sources: Sequence[Source]) -> Settings:
    """
    Resolve the account as outside of a test; nothing else is needed, as no request is made.

    For the package's own use. Raises `SettingsError`.
    """
    any_account = Source("a test", {"accountId": ACCOUNT_ID})
    return Settings(
        settings.resolve_account(account_id, [*sources, any_account]),
        Credentials(api_token="mocked"),
        settings.CLOUDFLARE_API,
        settings.DEFAULT_TIMEOUT,
    )


def _nothing_stated(account_id: str) -> SettingsError:
    return SettingsError(
        f"no invoice is stated for account {account_id}, and nothing is read under Pulumi's mocks: "
        "call pulumi_cf_invoice.testing.set_invoice(make_invoice(amount_due=…)) before the program "
        "runs"
    )
