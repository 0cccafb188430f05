"""
The upcoming invoice: the API's ``result``, parsed, and the figures that follow from it.

Amounts are in minor units (cents, for US dollars) of the invoice's currency. Credits reduce them,
and everything is before tax unless its description says otherwise.

Parsing is strict about money: amounts, currency and period are required, and an amount that cannot
be represented exactly is refused. Fields that only name or explain something may be missing or
malformed, and are none then.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import IncompleteLinesError, InvalidDataError
from pulumi_cf_invoice.billing.models import (
    CONFIG,
    LAST_SECOND,
    OR_NONE,
    WHOLE,
    Amount,
    Answered,
    Currency,
    ListOrNull,
    MajorUnits,
    MoneyText,
    Quantity,
    Slotted,
    Text,
    UnixSeconds,
    adapter,
    days,
    instant,
    iso,
    parsed,
)

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
The names of the invoice's amounts. Each is available in minor units, as an exact decimal in major
units (``net_decimal``: "188.46") and as text for people (``net_text``: "$188.46").
"""
EARLIEST_PROJECTION = timedelta(hours=1)
"""How long after the beginning of its period an invoice is too young to be projected."""
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True, config=CONFIG)
class Period(Slotted):
    """The time that a line covers."""

    start: UnixSeconds = Field(description="Start of the period, in Unix seconds (UTC).")
    end: UnixSeconds = Field(description="End of the period, in Unix seconds (UTC), not included.")

    @property
    def start_iso(self) -> str:
        """Start of the period, as ISO 8601 in UTC."""
        return iso(self.start)

    @property
    def end_iso(self) -> str:
        """End of the period, not included, as ISO 8601 in UTC."""
        return iso(self.end)

    @property
    def text(self) -> str:
        """The period for people, in UTC days, the last one included."""
        return days(self.start, self.end)


@dataclass(frozen=True, kw_only=True, slots=True, config=CONFIG)
class Pricing(Slotted):
    """What one unit of a line costs."""

    unit_amount_decimal: Text = Field(
        default=None,
        description="Price of one unit in minor units, as a decimal of any precision; none if the "
        "line has no unit price.",
    )


@dataclass(frozen=True, kw_only=True, slots=True, config=CONFIG)
class PretaxCreditAmount(Slotted):
    """A credit that reduces a line before tax."""

    amount: Amount = Field(description="The credit, in minor units of the line's `currency`.")
    type: Text = Field(
        default=None,
        description="What grants the credit: a credit balance or a discount; none if not given.",
    )
    credit_balance_transaction: Text = Field(
        default=None, description="ID of the credit balance transaction, if that is the type."
    )
    discount: Text = Field(default=None, description="ID of the discount, if that is the type.")


@dataclass(frozen=True, kw_only=True, slots=True, config=CONFIG)
class InvoiceLine(Slotted):
    """One line item of the invoice, such as the usage of one model."""

    description: Text = Field(default=None, description="What the line is for; none if not given.")
    amount: Amount = Field(description="Amount before credits, in minor units of `currency`.")
    currency: Currency = Field(
        description="ISO 4217 code in lower case, the same as the invoice's."
    )
    quantity: Quantity | None = Field(
        default=None,
        description="Number of units, which may have a fraction; none if not given.",
    )
    period: Annotated[Period | None, OR_NONE] = Field(
        default=None, description="The time that the line covers; none if not given."
    )
    pricing: Annotated[Pricing | None, OR_NONE] = Field(
        default=None, description="What one unit costs; none if not given."
    )
    pretax_credit_amounts: Annotated[list[PretaxCreditAmount], ListOrNull()] = Field(
        default_factory=list, description="The credits that reduce the line before tax."
    )

    amount_decimal = MajorUnits("amount")
    amount_text = MoneyText("amount")
    credits_decimal = MajorUnits("_credits")
    credits_text = MoneyText("_credits")
    net_decimal = MajorUnits("_net")
    net_text = MoneyText("_net")

    @property
    def name(self) -> str:
        """The description as one clean line, or a placeholder for a line without one."""
        return one_line(self.description or "") or "(no description)"

    @property
    def credits(self) -> float:
        """Sum of the line's pre-tax credits, in minor units of `currency`."""
        return money.number(self._credits)

    @property
    def net(self) -> float:
        """The line's amount less its credits, before tax, in minor units of `currency`."""
        return money.number(self._net) if self.pretax_credit_amounts else self.amount

    @property
    def _credits(self) -> Decimal:
        return money.total(credit.amount for credit in self.pretax_credit_amounts)

    @property
    def _net(self) -> Decimal:
        return money.total([self.amount], less=[self._credits])


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Invoice:
    """
    The upcoming invoice of an account's AI Gateway, as the billing API previews it.

    Each of the `AMOUNTS` is in minor units of `currency`. It is also available as an exact decimal
    in major units (``net_decimal``: "188.46") and as text for people (``net_text``: "$188.46").

    API: ``result`` of ``GET /accounts/{account_id}/ai-gateway/billing/invoice-preview``.
    """

    invoice_id: Text = Field(
        default=None, description="The API's `id` of the previewed invoice; none if not given."
    )
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
    status: Text = Field(
        default=None,
        description="draft, open, paid, uncollectible or void; a status that this package does not "
        "know is passed on as it is. None if not given.",
    )
    invoice_lines: Annotated[list[InvoiceLine], ListOrNull()] = Field(
        description="The line items, in a stable order."
    )
    invoice_lines_complete: bool = Field(
        default=True, description="Whether `invoice_lines` has all of the invoice's lines."
    )

    amount_due_decimal = MajorUnits("amount_due")
    amount_due_text = MoneyText("amount_due")
    amount_paid_decimal = MajorUnits("amount_paid")
    amount_paid_text = MoneyText("amount_paid")
    amount_remaining_decimal = MajorUnits("amount_remaining")
    amount_remaining_text = MoneyText("amount_remaining")
    gross_decimal = MajorUnits("_gross")
    gross_text = MoneyText("_gross")
    credits_decimal = MajorUnits("_credits")
    credits_text = MoneyText("_credits")
    net_decimal = MajorUnits("_net")
    net_text = MoneyText("_net")
    tax_and_adjustments_decimal = MajorUnits("_tax_and_adjustments")
    tax_and_adjustments_text = MoneyText("_tax_and_adjustments")

    @classmethod
    def from_api(cls, result: Any, answered: Answered = WHOLE) -> "Invoice":
        """
        Parse the ``result`` of an answer.

        Raises `InvalidDataError`, which names the field, if it is not an invoice.
        """
        if not isinstance(result, dict):
            raise InvalidDataError("result: not an object")
        fields = {"invoice_id": result.get("id"), "invoice_lines_complete": answered.complete}
        return cls.from_outputs({**result, **fields})

    @classmethod
    def from_outputs(cls, outputs: dict[str, Any]) -> "Invoice":
        """
        Parse what `to_outputs` returned. Its numbers may have become floats on the way.

        Raises `InvalidDataError`, which names the field, if it is not an invoice.
        """
        invoice = parsed(cls, outputs, {"invoice_id": "id"})
        if outputs["invoice_lines"] is None and invoice.amount_due:
            # Null is no empty list here: something is due, and not for nothing.
            invoice = replace(invoice, invoice_lines_complete=False)
        # The API promises no order; without ours, a reordered answer would cause a diff.
        for line in invoice.invoice_lines:
            if len(line.pretax_credit_amounts) > 1:
                line.pretax_credit_amounts.sort(key=_credit_order)
        _sort(invoice.invoice_lines)
        return invoice

    @model_validator(mode="after")
    def _consistent(self) -> "Invoice":
        if self.period_end < self.period_start:
            raise ValueError("period_end: the period ends before it starts")
        for number, line in enumerate(self.invoice_lines):
            if line.currency != self.currency:
                raise ValueError(
                    f"invoice_lines.{number}.currency: a line is in {line.currency} and the "
                    f"invoice in {self.currency}"
                )
            if line.period and line.period.end < line.period.start:
                raise ValueError(
                    f"invoice_lines.{number}.period.end: the period ends before it starts"
                )
        return self

    def to_outputs(self) -> dict[str, Any]:
        """
        Return the invoice's fields as plain data, as a stack stores them.

        Empty values (null, or the credits of a line without any) are omitted, and so is
        ``invoice_lines_complete`` if it is true.
        """
        outputs: dict[str, Any] = adapter(Invoice).dump_python(self, exclude_none=True)
        if self.invoice_lines_complete:
            del outputs["invoice_lines_complete"]
        for line in outputs["invoice_lines"]:
            if not line["pretax_credit_amounts"]:
                del line["pretax_credit_amounts"]
        return outputs

    def to_api(self) -> dict[str, Any]:
        """Return the fields in the shape of the ``result`` that `from_api` parses."""
        result = self.to_outputs()
        result.pop("invoice_lines_complete", None)
        if "invoice_id" in result:
            result = {"id": result.pop("invoice_id"), **result}
        return result

    @property
    def query(self) -> dict[str, str]:
        """None: there is nothing to choose."""
        return {}

    @property
    def is_complete(self) -> bool:
        """Whether `invoice_lines` has all of the invoice's lines."""
        return self.invoice_lines_complete

    def to_figures(self) -> dict[str, Any]:
        """
        Return the fields and everything computed from them, by name, as plain data (see `FIGURES`).

        Sums of lines are omitted if lines are missing.
        """
        left_out = () if self.invoice_lines_complete else SUMMED
        figures = {name: getattr(self, name) for name in FIGURES if name not in left_out}
        return figures | self.to_outputs()

    @property
    def gross(self) -> float:
        """
        Sum of the line amounts before credits, in minor units of `currency`.

        Raises `IncompleteLinesError` if the API returned only some of the lines; so do `credits`,
        `net`, `tax_and_adjustments` and the projections.
        """
        return money.number(self._gross)

    @property
    def credits(self) -> float:
        """Sum of the lines' pre-tax credits, in minor units of `currency`."""
        return money.number(self._credits)

    @property
    def net(self) -> float:
        """Sum of the lines less their credits, before tax, in minor units of `currency`."""
        return money.number(self._net)

    @property
    def tax_and_adjustments(self) -> float:
        """
        Difference between `amount_due` and `net`, in minor units of `currency`.

        The API includes tax and balance adjustments in the amount due without showing them
        separately, so this is the sum of both.
        """
        return money.number(self._tax_and_adjustments)

    @property
    def period_start_iso(self) -> str:
        """Start of the period, as ISO 8601 in UTC."""
        return iso(self.period_start)

    @property
    def period_end_iso(self) -> str:
        """End of the period, not included, as ISO 8601 in UTC."""
        return iso(self.period_end)

    @property
    def period_text(self) -> str:
        """The period for people, in UTC days, the last one included."""
        return days(self.period_start, self.period_end)

    @property
    def text(self) -> str:
        """The amount due and the period: ``$188.46 for 2026-09-01 to 2026-09-30``."""
        return f"{self.amount_due_text} for {self.period_text}"

    @property
    def largest_lines(self) -> list[InvoiceLine]:
        """The lines, the largest net amount first."""
        return sorted(self.invoice_lines, key=lambda line: -line.net)

    @property
    def lines_by_name(self) -> dict[str, list[InvoiceLine]]:
        """The lines of each name, in the order of `largest_lines`."""
        by_name: dict[str, list[InvoiceLine]] = {}
        for line in self.largest_lines:
            by_name.setdefault(line.name, []).append(line)
        return by_name

    @property
    def net_by_name(self) -> dict[str, float]:
        """The net amount of the lines of each name, in minor units."""
        return {
            name: money.number(money.total(line.net for line in lines))
            for name, lines in self.lines_by_name.items()
        }

    def projected_net(self, at: datetime) -> float | None:
        """
        Project `net` to the end of the period in minor units, as if usage continued as until *at*.

        It is a straight line over the period: None in the first hour, when it would be
        meaningless, and `net` itself once the period has ended. A line below zero, such as a
        refund, does not go on, and neither does one of an earlier period. Raises ValueError if *at*
        has no time zone.
        """
        if at.tzinfo is None:
            raise ValueError("the time of a projection needs a time zone")
        elapsed = at - instant(self.period_start)
        length = timedelta(seconds=self.period_end - self.period_start)
        if elapsed >= length:
            return self.net
        if elapsed < EARLIEST_PROJECTION:
            return None
        share = Fraction(elapsed // _MICROSECOND, length // _MICROSECOND)
        above_zero = [line for line in self.invoice_lines if line.amount >= 0]
        usage, _ = self.split_by_period(above_zero)
        grown = Fraction(money.total(line.net for line in usage))
        stays = Fraction(self._net) - grown
        # Half to even, to a whole minor unit: an estimate does not need more.
        return round(grown / share + stays)

    def projected_amount_due(self, at: datetime) -> float | None:
        """
        Project `amount_due` in minor units: `projected_net` plus `tax_and_adjustments` as they are.

        It is None in the first hour of the period. Raises ValueError if *at* has no time zone.
        """
        net = self.projected_net(at)
        return None if net is None else money.number(money.total([net, self._tax_and_adjustments]))

    def split_by_period(
        self, lines: Sequence[InvoiceLine]
    ) -> tuple[list[InvoiceLine], list[InvoiceLine]]:
        """
        Return the *lines* that may still grow, and those whose own period ended before this began.

        A period may also look ahead of that of its lines, so that none counts as earlier unless
        another line of the invoice, be it a fee, a refund or for nothing, is of a part of it.
        """
        if not any(self._is_of_a_part(line.period) for line in self.invoice_lines):
            return list(lines), []
        growing: list[InvoiceLine] = []
        earlier: list[InvoiceLine] = []
        for line in lines:
            (earlier if self._is_earlier(line.period) else growing).append(line)
        return growing, earlier

    def _is_of_a_part(self, period: Period | None) -> bool:
        if period is None:
            return False
        return period.start < self.period_end and self.period_start < period.end

    def _is_earlier(self, period: Period | None) -> bool:
        # One without a length may be no more than a placeholder.
        return period is not None and period.start < period.end <= self.period_start

    @property
    def lines_period(self) -> Period | None:
        """The time that the lines cover together; None if none of them says."""
        periods = [line.period for line in self.invoice_lines if line.period]
        if not periods:
            return None
        start = min(period.start for period in periods)
        return Period(start=start, end=max(period.end for period in periods))

    def period_problem(
        self, at: datetime, lines: Sequence[InvoiceLine] | None = None
    ) -> str | None:
        """
        Say briefly why nothing can be projected at the time *at*; None if it can.

        Only *lines* are to be projected; by default all are.
        """
        if self.period_end == self.period_start:
            return "the period has no length"
        if at >= instant(self.period_end):
            return "the period has ended"
        lines = self.invoice_lines if lines is None else lines
        return "the lines are of another period" if self._are_of_another_period(lines) else None

    def period_notes(self, at: datetime) -> list[str]:
        """Say what is odd about the period at the time *at*, in a sentence at most."""
        if self.period_end == self.period_start:
            return [
                f"The invoice's period has no length: it begins and ends at {iso(self.period_end)}."
            ]
        period, lines = f"The invoice's period, {self.period_text}", self.lines_period
        has_ended = at >= instant(self.period_end)
        when = "has ended" if has_ended else ""
        if at < instant(self.period_start):
            when = "has not begun"
        if lines is None or not self._are_of_another_period(self.invoice_lines):
            return [f"{period}, {when}."] if when else []
        if has_ended and at < instant(lines.end):
            return [f"{period}, has ended, but that of its lines, {lines.text}, has not."]
        when = f"{when}, and " if when else ""
        return [f"{period}, {when}is not that of its lines, {lines.text}."]

    def _are_of_another_period(self, lines: Sequence[InvoiceLine]) -> bool:
        """Return whether there are *lines*, and none is of a part of the period, or may be."""
        known = (line.period for line in lines if line.period)
        # One without a length may be no more than a placeholder.
        periods = [period for period in known if period.start < period.end]
        if not periods or len(periods) < len(lines):
            return False
        is_before = max(period.end for period in periods) <= self.period_start
        return is_before or self.period_end <= min(period.start for period in periods)

    @property
    def _gross(self) -> Decimal:
        return money.total(line.amount for line in self._complete_lines())

    @property
    def _credits(self) -> Decimal:
        lines = self._complete_lines()
        return money.total(credit.amount for line in lines for credit in line.pretax_credit_amounts)

    @property
    def _net(self) -> Decimal:
        return money.total([self._gross], less=[self._credits])

    @property
    def _tax_and_adjustments(self) -> Decimal:
        return money.total([self.amount_due], less=[self._net])

    def _complete_lines(self) -> list[InvoiceLine]:
        if not self.invoice_lines_complete:
            raise IncompleteLinesError(
                "the API gave only a part of the invoice's lines, so that nothing can be summed "
                "from them: gross, credits, net, tax and adjustments, and projections are not known"
            )
        return self.invoice_lines


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
DERIVED = tuple(name for name in FIGURES if name not in {field.name for field in fields(Invoice)})
"""Those of `FIGURES` that follow from the fields."""
SUMMED = tuple(
    f"{name}{form}"
    for name in ("gross", "credits", "net", "tax_and_adjustments")
    for form in ("", "_decimal", "_text")
)
"""Those of `FIGURES` that are summed from the lines, unknown if these are not complete."""


def _sort(lines: list[InvoiceLine]) -> None:
    """Sort *lines* by description, and equal ones by everything else."""
    lines.sort(key=lambda line: (line.description is None, line.description or ""))
    start = 0
    for end in range(1, len(lines) + 1):
        if end < len(lines) and lines[end].description == lines[start].description:
            continue
        if end - start > 1:
            lines[start:end] = sorted(lines[start:end], key=_line_order)
        start = end


def _line_order(line: InvoiceLine) -> tuple[Any, ...]:
    unit = line.pricing.unit_amount_decimal if line.pricing else None
    return (
        (line.period.start, line.period.end) if line.period else (LAST_SECOND + 1,),
        unit is None,
        unit or "",
        line.amount,
        line.quantity is None,
        line.quantity or 0,
        tuple(map(_credit_order, line.pretax_credit_amounts)),
    )


def _credit_order(credit: PretaxCreditAmount) -> tuple[Any, ...]:
    return (
        credit.type or "",
        credit.amount,
        credit.credit_balance_transaction or "",
        credit.discount or "",
    )
