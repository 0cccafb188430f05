"""
The invoice history: earlier invoices, as the API lists them.

Amounts are in minor units (cents, for US dollars) of each invoice's own currency. What the API
calls ``auto`` and ``manual`` invoices is documented nowhere, and nothing here relies on it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.errors import InvalidDataError, SettingsError
from pulumi_cf_invoice.billing.models import (
    CONFIG,
    WHOLE,
    Amount,
    Answered,
    Currency,
    Flag,
    ListOrNull,
    MajorUnits,
    MoneyText,
    Text,
    WholeOrNone,
    adapter,
    as_given,
    distinct,
    instant,
    iso,
    parsed,
)

Type = Literal["all", "auto", "manual"]
TYPES: tuple[Type, ...] = get_args(Type)
UNPAID = ("open", "uncollectible")
"""The statuses of an invoice that somebody has to pay."""
_PRIVATE = ("invoice_pdf", "created_by")
_NAMES = {"invoice_id": "id"}


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class PastInvoice:
    """An earlier invoice."""

    invoice_id: Text = Field(
        default=None, description="The API's `id` of the invoice; none if not given."
    )
    amount_due: Amount = Field(
        description="What the invoice asks for, in minor units of `currency`."
    )
    amount_paid: Amount = Field(
        description="What has been paid of it, in minor units of `currency`."
    )
    amount_remaining: Amount = Field(
        description="What remains to be paid, in minor units of `currency`."
    )
    currency: Currency = Field(description="ISO 4217 code in lower case.")
    status: Text = Field(
        default=None,
        description="draft, open, paid, uncollectible or void, as given by the API; none if not "
        "given.",
    )
    created: WholeOrNone = Field(
        default=None, description="When it was created, in Unix seconds (UTC); none if not given."
    )
    description: Text = Field(default=None, description="What it is for; none if not given.")
    invoice_origin: Text = Field(
        default=None, description="What created the invoice, in the API's word; none if not given."
    )
    invoice_pdf: Text = Field(
        default=None,
        repr=False,
        description="A link that opens the invoice for anyone who has it; none if not given.",
    )
    created_by: Text = Field(
        default=None,
        repr=False,
        description="Who created it, which may be an e-mail address; none if not given.",
    )
    attempt_count: WholeOrNone = Field(
        default=None, description="Number of payment attempts; none if not given."
    )
    attempted: Flag = Field(
        default=None, description="Whether payment was attempted; none if not given."
    )
    auto_advance: Flag = Field(
        default=None, description="Whether it is collected automatically; none if not given."
    )

    amount_due_decimal = MajorUnits("amount_due")
    amount_due_text = MoneyText("amount_due")
    amount_paid_decimal = MajorUnits("amount_paid")
    amount_paid_text = MoneyText("amount_paid")
    amount_remaining_decimal = MajorUnits("amount_remaining")
    amount_remaining_text = MoneyText("amount_remaining")

    @property
    def is_unpaid(self) -> bool:
        """Whether the invoice is open or uncollectible: somebody has to pay it."""
        return self.status in UNPAID

    @property
    def created_text(self) -> str:
        """The UTC day on which it was created, for people."""
        return "date not given" if self.created is None else f"{instant(self.created):%Y-%m-%d}"

    @property
    def created_iso(self) -> str | None:
        """When it was created, as ISO 8601 in UTC; none if not given."""
        return None if self.created is None else iso(self.created)


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class InvoiceHistory:
    """
    The earlier invoices of an account's AI Gateway, the newest first.

    API: ``result`` of ``GET /accounts/{account_id}/ai-gateway/billing/invoice-history``.
    """

    type: Type = Field(description="Which invoices were requested: all, auto or manual.")
    invoices: Annotated[list[PastInvoice], ListOrNull()] = Field(
        description="The invoices, in the API's order: the newest first."
    )
    invoices_complete: bool = Field(default=True, description="Whether `invoices` has all of them.")

    @classmethod
    def from_api(cls, result: Any, answered: Answered = WHOLE) -> "InvoiceHistory":
        """
        Parse the ``result`` of an answer.

        Raises `InvalidDataError`, which names the field, if it is not an invoice history.
        """
        if not isinstance(result, dict):
            raise InvalidDataError("result: not an object")
        if "invoices" not in result:
            raise InvalidDataError("invoices: missing")
        rows = result["invoices"]
        if isinstance(rows, list):
            rows = [
                {**row, "invoice_id": row.get("id")} if isinstance(row, Mapping) else row
                for row in rows
            ]
        values = {"type": answered.query.get("type", "all"), "invoices": rows}
        found = parsed(cls, values, _NAMES)
        invoices = distinct(found.invoices, lambda invoice: invoice.invoice_id)
        return cls(
            type=found.type,
            invoices=invoices,
            # An invoice that comes twice has moved to another page meanwhile, and hid another one.
            invoices_complete=answered.complete and len(invoices) == len(found.invoices),
        )

    def to_api(self) -> dict[str, Any]:
        """
        Return the invoices in the shape of the ``result`` that `from_api` parses.

        Their links and creators are left out: a link opens an invoice for anyone who has it.
        """
        return {
            "invoices": [
                {_NAMES.get(name, name): row[name] for name in row if name not in _PRIVATE}
                for row in self.to_figures()["invoices"]
            ]
        }

    @property
    def query(self) -> dict[str, str]:
        """The parameters of a request that it answers."""
        return {"type": self.type}

    @property
    def is_complete(self) -> bool:
        """Whether `invoices` has all of them."""
        return self.invoices_complete

    def to_figures(self) -> dict[str, Any]:
        """Return the fields, by name, as plain data."""
        figures: dict[str, Any] = adapter(InvoiceHistory).dump_python(self, exclude_none=True)
        return figures

    @property
    def text(self) -> str:
        """How many invoices there are, and how many of them are unpaid."""
        part = "" if self.invoices_complete else " (the API gave only a part of them)"
        return f"earlier invoices: {len(self.invoices):,}, unpaid: {len(self.unpaid):,}{part}"

    @property
    def unpaid(self) -> list[PastInvoice]:
        """The invoices that are open or uncollectible."""
        return [invoice for invoice in self.invoices if invoice.is_unpaid]

    @property
    def unpaid_text(self) -> str:
        """How many invoices are unpaid, and what remains of them, for people."""
        return f"{len(self.unpaid):,}, {self.unpaid_sum_text} in total"

    @property
    def unpaid_sum_text(self) -> str:
        """What remains to be paid of the unpaid invoices, in each currency, for people."""
        rows = ((invoice.amount_remaining, invoice.currency) for invoice in self.unpaid)
        return " and ".join(remaining.text for remaining in money.totals(rows))


def query(at: Any = None, type: str = "all") -> dict[str, str]:
    """Return the parameters of a request. Raises `SettingsError`."""
    if type not in TYPES:
        raise SettingsError(f"type is {as_given(type)}, but must be 'all', 'auto' or 'manual'")
    return {"type": type}
