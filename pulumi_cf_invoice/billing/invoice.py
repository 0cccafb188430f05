"""
The upcoming invoice: the API's ``result``, parsed, and the figures that follow from it.

Amounts are whole minor units (cents, for US dollars) of the invoice's currency. Credits reduce
them, and everything is before tax unless its description says otherwise.
"""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.dataclasses import dataclass

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.errors import InvalidDataError

AMOUNTS = (
    "amount_due",
    "amount_paid",
    "amount_remaining",
    "gross",
    "credits",
    "net",
    "tax_and_adjustments",
)
"""
The invoice's amounts by name: each is there in minor units, as an exact decimal in major units
(``net_decimal``: "188.46") and as text for people (``net_text``: "$188.46").
"""
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that datetime can express
_EARLIEST_PROJECTION = timedelta(hours=1)


def _whole(value: float) -> int:
    if not value.is_integer() or abs(value) > money.LARGEST_AMOUNT:
        raise ValueError("not a whole number within ±(2^53 - 1)")
    return int(value)


def _whole_if_integral(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def _list_if_null(value: Any) -> Any:
    return [] if value is None else value


# To a type checker these are plain numbers. The union tries the usual case, a JSON integer, without
# a call into Python, and accepts 18846.0 as well; text and booleans are never numbers.
if TYPE_CHECKING:
    Amount = int
    UnixSeconds = int
    Quantity = float
else:
    _Float = Annotated[float, Strict(), Field(allow_inf_nan=False)]
    Amount = Annotated[
        Annotated[int, Strict(), Field(ge=-money.LARGEST_AMOUNT, le=money.LARGEST_AMOUNT)]
        | Annotated[_Float, AfterValidator(_whole)],
        Field(union_mode="left_to_right"),
        WithJsonSchema({"type": "integer"}),
    ]
    UnixSeconds = Annotated[Amount, Field(ge=0, le=_LAST_SECOND)]
    Quantity = Annotated[
        Annotated[int, Strict()] | Annotated[_Float, AfterValidator(_whole_if_integral)],
        Field(union_mode="left_to_right"),
        WithJsonSchema({"type": "number"}),
    ]
Currency = Annotated[str, StringConstraints(strict=True, to_lower=True, pattern="^[A-Za-z]{3}$")]
DecimalText = Annotated[
    str, StringConstraints(strict=True, pattern=r"^-?\d+(\.\d+)?([eE][+-]?\d+)?$")
]


class _Decimal:
    """A figure of the model in major units, as an exact decimal ("188.46")."""

    def __init__(self, figure: str) -> None:
        self.figure = figure

    def __get__(self, model: Any, owner: type) -> str:
        return str(money.to_major(getattr(model, self.figure), model.currency))


class _Text:
    """A figure of the model as text for people ("$188.46")."""

    def __init__(self, figure: str) -> None:
        self.figure = figure

    def __get__(self, model: Any, owner: type) -> str:
        return money.to_text(getattr(model, self.figure), model.currency)


# Dataclasses, not BaseModels: they parse four times as fast, and Pulumi exports them as a mapping
# of their fields, whereas a BaseModel would silently become a list of pairs.
_config = ConfigDict(extra="ignore")


@dataclass(frozen=True, kw_only=True, config=_config)
class Period:
    """The time that a line covers."""

    start: UnixSeconds = Field(description="Start of the period, in Unix seconds (UTC).")
    end: UnixSeconds = Field(description="End of the period, in Unix seconds (UTC), not included.")

    @property
    def start_iso(self) -> str:
        """Start of the period, as ISO 8601 in UTC."""
        return _iso(self.start)

    @property
    def end_iso(self) -> str:
        """End of the period, not included, as ISO 8601 in UTC."""
        return _iso(self.end)

    @property
    def text(self) -> str:
        """The period for people, in UTC days, the last one included."""
        return _days(self.start, self.end)


@dataclass(frozen=True, kw_only=True, config=_config)
class Pricing:
    """What one unit of a line costs."""

    unit_amount_decimal: DecimalText | None = Field(
        default=None,
        description="Price of one unit in minor units, a decimal of any precision; none if the "
        "line has no unit price.",
    )


@dataclass(frozen=True, kw_only=True, config=_config)
class PretaxCreditAmount:
    """A credit that reduces a line before tax."""

    amount: Amount = Field(description="The credit, in minor units of the line's `currency`.")
    type: str = Field(description="What grants the credit: a credit balance or a discount.")
    credit_balance_transaction: str | None = Field(
        default=None, description="ID of the credit balance transaction, if that is the type."
    )
    discount: str | None = Field(
        default=None, description="ID of the discount, if that is the type."
    )


@dataclass(frozen=True, kw_only=True, config=_config)
class InvoiceLine:
    """One line item of the invoice, such as the usage of one model."""

    description: str | None = Field(
        default=None, description="What the line is for; none if the API gives no name."
    )
    amount: Amount = Field(description="Amount before credits, in minor units of `currency`.")
    currency: Currency = Field(
        description="ISO 4217 code in lower case, the same as the invoice's."
    )
    quantity: Quantity = Field(description="Number of units, which may have a fraction.")
    period: Period = Field(description="The time that the line covers.")
    pricing: Pricing = Field(description="What one unit costs.")
    pretax_credit_amounts: Annotated[list[PretaxCreditAmount], BeforeValidator(_list_if_null)] = (
        Field(default_factory=list, description="The credits that reduce the line before tax.")
    )

    amount_decimal = _Decimal("amount")
    amount_text = _Text("amount")
    credits_decimal = _Decimal("credits")
    credits_text = _Text("credits")
    net_decimal = _Decimal("net")
    net_text = _Text("net")

    @property
    def name(self) -> str:
        """The description, or a placeholder for a line without one."""
        return self.description or "(no description)"

    @property
    def credits(self) -> int:
        """Sum of the line's pre-tax credits, in minor units of `currency`."""
        return sum(credit.amount for credit in self.pretax_credit_amounts)

    @property
    def net(self) -> int:
        """The line's amount less its credits, before tax, in minor units of `currency`."""
        return self.amount - self.credits


@dataclass(frozen=True, kw_only=True, config=_config)
class Invoice:
    """
    The upcoming invoice of an account's AI Gateway, as the billing API previews it.

    Each of the `AMOUNTS` is in minor units of `currency`, and is there as an exact decimal in major
    units (``net_decimal``: "188.46") and as text for people (``net_text``: "$188.46") as well.

    API: ``result`` of ``GET /accounts/{account_id}/ai-gateway/billing/invoice-preview``.
    """

    invoice_id: str = Field(description="The API's `id` of the previewed invoice.")
    amount_due: Amount = Field(
        description="What the invoice will ask for, tax included, in minor units of `currency`."
    )
    amount_paid: Amount = Field(
        description="What has been paid of it, in minor units of `currency`."
    )
    amount_remaining: Amount = Field(
        description="What remains to be paid, in minor units of `currency`."
    )
    currency: Currency = Field(description="ISO 4217 code in lower case.")
    period_start: UnixSeconds = Field(description="Start of the period, in Unix seconds (UTC).")
    period_end: UnixSeconds = Field(
        description="End of the period, in Unix seconds (UTC), not included."
    )
    status: str = Field(
        description="draft, open, paid, uncollectible or void; a status that this package does not "
        "know is kept as it is."
    )
    invoice_lines: list[InvoiceLine] = Field(description="The line items, in a stable order.")
    invoice_lines_complete: bool = Field(
        default=True, description="Whether `invoice_lines` are all that the invoice has."
    )

    amount_due_decimal = _Decimal("amount_due")
    amount_due_text = _Text("amount_due")
    amount_paid_decimal = _Decimal("amount_paid")
    amount_paid_text = _Text("amount_paid")
    amount_remaining_decimal = _Decimal("amount_remaining")
    amount_remaining_text = _Text("amount_remaining")
    gross_decimal = _Decimal("gross")
    gross_text = _Text("gross")
    credits_decimal = _Decimal("credits")
    credits_text = _Text("credits")
    net_decimal = _Decimal("net")
    net_text = _Text("net")
    tax_and_adjustments_decimal = _Decimal("tax_and_adjustments")
    tax_and_adjustments_text = _Text("tax_and_adjustments")

    @classmethod
    def from_api(cls, result: Any) -> "Invoice":
        """
        Read the ``result`` of an answer.

        Raises `InvalidDataError`, which names the field, if it is not an invoice.
        """
        if not isinstance(result, dict):
            raise InvalidDataError("result is not an object")
        if "id" not in result:
            raise InvalidDataError("id: Field required")
        return cls.from_outputs({**result, "invoice_id": result["id"]})

    @classmethod
    def from_outputs(cls, outputs: dict[str, Any]) -> "Invoice":
        """
        Read what `to_outputs` returned, whose numbers may have become floats on the way.

        Raises `InvalidDataError`, which names the field, if it is not an invoice.
        """
        try:
            invoice = _adapter().validate_python(outputs)
        except ValidationError as error:
            raise InvalidDataError(_first_problem(error)) from None
        # The API promises no order; without one of ours a reordered answer would be a diff.
        for line in invoice.invoice_lines:
            line.pretax_credit_amounts.sort(key=_credit_order)
        invoice.invoice_lines.sort(key=_line_order)
        return invoice

    @model_validator(mode="after")
    def _consistent(self) -> "Invoice":
        if self.period_end < self.period_start:
            raise ValueError("the period ends before it starts")
        for line in self.invoice_lines:
            if line.currency != self.currency:
                raise ValueError(f"a line is in {line.currency} and the invoice in {self.currency}")
            if line.period.end < line.period.start:
                raise ValueError("a line's period ends before it starts")
        return self

    def to_outputs(self) -> dict[str, Any]:
        """
        Return the invoice's fields as plain data, the way a stack stores them.

        What the API left empty (null, or a line without credits) is left out, and so is
        ``invoice_lines_complete`` where it is true.
        """
        outputs: dict[str, Any] = _adapter().dump_python(self, exclude_none=True)
        if self.invoice_lines_complete:
            del outputs["invoice_lines_complete"]
        for line in outputs["invoice_lines"]:
            if not line["pretax_credit_amounts"]:
                del line["pretax_credit_amounts"]
        return outputs

    def to_figures(self) -> dict[str, Any]:
        """
        Return the fields and all that follows from them, by name, as plain data (see `FIGURES`).
        """
        figures = {name: getattr(self, name) for name in FIGURES}
        return figures | self.to_outputs()

    @property
    def gross(self) -> int:
        """Sum of the line amounts before credits, in minor units of `currency`."""
        return sum(line.amount for line in self.invoice_lines)

    @property
    def credits(self) -> int:
        """Sum of the lines' pre-tax credits, in minor units of `currency`."""
        return sum(line.credits for line in self.invoice_lines)

    @property
    def net(self) -> int:
        """Sum of the lines less their credits, before tax, in minor units of `currency`."""
        return sum(line.net for line in self.invoice_lines)

    @property
    def tax_and_adjustments(self) -> int:
        """
        Difference between `amount_due` and `net`, in minor units of `currency`.

        The API includes tax and balance adjustments in the amount due without naming either, so
        this is both together.
        """
        return self.amount_due - self.net

    @property
    def period_start_iso(self) -> str:
        """Start of the period, as ISO 8601 in UTC."""
        return _iso(self.period_start)

    @property
    def period_end_iso(self) -> str:
        """End of the period, not included, as ISO 8601 in UTC."""
        return _iso(self.period_end)

    @property
    def period_text(self) -> str:
        """The period for people, in UTC days, the last one included."""
        return _days(self.period_start, self.period_end)

    @property
    def text(self) -> str:
        """The amount due and the period: ``$188.46 for 2026-09-01 to 2026-09-30``."""
        return f"{self.amount_due_text} for {self.period_text}"

    @property
    def largest_lines(self) -> list[InvoiceLine]:
        """The lines, the largest net amount first."""
        return sorted(self.invoice_lines, key=lambda line: -line.net)

    def projected_net(self, at: datetime) -> int | None:
        """
        Project `net` to the period's end, as if usage went on as it did until *at*; in minor units.

        It is a straight line over the period: None in the period's first hour, when it would say
        nothing, and `net` itself once the period is over. Raises ValueError if *at* has no time
        zone.
        """
        if at.tzinfo is None:
            raise ValueError("the time of a projection needs a time zone")
        elapsed = at - _datetime(self.period_start)
        length = timedelta(seconds=self.period_end - self.period_start)
        if elapsed >= length:
            return self.net
        if elapsed < _EARLIEST_PROJECTION:
            return None
        return _round_half_even(self.net * (length // _MICROSECOND), elapsed // _MICROSECOND)

    def projected_amount_due(self, at: datetime) -> int | None:
        """
        Project `amount_due`: `projected_net` plus `tax_and_adjustments` as they stand; in minor
        units.

        None in the period's first hour. Raises ValueError if *at* has no time zone.
        """
        net = self.projected_net(at)
        return None if net is None else net + self.tax_and_adjustments


FIGURES = tuple(
    dict.fromkeys(
        [
            *(f"{name}{form}" for name in AMOUNTS for form in ("", "_decimal", "_text")),
            *(field.name for field in fields(Invoice)),
            "period_text",
            "text",
        ]
    )
)
"""The names of `Invoice.to_figures`. None of these figures depends on the clock."""


@cache
def _adapter() -> TypeAdapter[Invoice]:
    return TypeAdapter(Invoice)


_MICROSECOND = timedelta(microseconds=1)


def _round_half_even(dividend: int, divisor: int) -> int:
    quotient, rest = divmod(dividend, divisor)
    up = 2 * rest > divisor or (2 * rest == divisor and quotient % 2 == 1)
    return quotient + up


def _datetime(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=timezone.utc)


def _iso(seconds: int) -> str:
    return _datetime(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def _days(start: int, end: int) -> str:
    last = max(start, end - 1)
    return f"{_datetime(start):%Y-%m-%d} to {_datetime(last):%Y-%m-%d}"


def _line_order(line: InvoiceLine) -> tuple[Any, ...]:
    unit = line.pricing.unit_amount_decimal
    return (
        line.description is None,
        line.description or "",
        line.period.start,
        line.period.end,
        unit is None,
        unit or "",
        line.amount,
        line.quantity,
        line.credits if line.pretax_credit_amounts else 0,
    )


def _credit_order(credit: PretaxCreditAmount) -> tuple[Any, ...]:
    return (
        credit.type,
        credit.amount,
        credit.credit_balance_transaction or "",
        credit.discount or "",
    )


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    # The last steps of a union's path name its alternatives, which are not fields of the API.
    path = _without_alternatives(first["loc"])
    problem = "not a whole number within ±(2^53 - 1)" if path != first["loc"] else first["msg"]
    where = ".".join(map(str, path)).replace("invoice_id", "id")
    return f"{where}: {problem}" if where else problem.removeprefix("Value error, ")


def _without_alternatives(path: Iterable[int | str]) -> tuple[int | str, ...]:
    steps = tuple(path)
    models = (Invoice, InvoiceLine, Period, Pricing, PretaxCreditAmount)
    names = {field.name for model in models for field in fields(model)}
    while steps and isinstance(steps[-1], str) and steps[-1] not in names:
        steps = steps[:-1]
    return steps
