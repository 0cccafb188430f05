"""
The nested outputs of `InvoicePreview`, as Pulumi hands them to a program.

They mirror the models of `billing.invoice`, where each field is described. As they are dictionaries
too, they can be exported and passed to other resources.
"""

# Pulumi reads these annotations at run time, and takes typing's own spelling of optional only.
# ruff: noqa: UP045
from typing import Optional

import pulumi


@pulumi.output_type
class Period(dict):  # type: ignore[type-arg]
    """The time that a line covers, in Unix seconds (UTC)."""

    start: int = pulumi.property("start")
    end: int = pulumi.property("end")


@pulumi.output_type
class Pricing(dict):  # type: ignore[type-arg]
    """What one unit of a line costs, as a decimal in minor units."""

    unit_amount_decimal: Optional[str] = pulumi.property("unit_amount_decimal", default=None)


@pulumi.output_type
class PretaxCreditAmount(dict):  # type: ignore[type-arg]
    """A credit that reduces a line before tax, in minor units."""

    amount: int = pulumi.property("amount")
    type: str = pulumi.property("type")
    credit_balance_transaction: Optional[str] = pulumi.property(
        "credit_balance_transaction", default=None
    )
    discount: Optional[str] = pulumi.property("discount", default=None)


@pulumi.output_type
class InvoiceLine(dict):  # type: ignore[type-arg]
    """One line item; ``amount`` is before credits, in minor units of ``currency``."""

    amount: int = pulumi.property("amount")
    currency: str = pulumi.property("currency")
    quantity: float = pulumi.property("quantity")
    period: Period = pulumi.property("period")
    pricing: Pricing = pulumi.property("pricing")
    description: Optional[str] = pulumi.property("description", default=None)
    pretax_credit_amounts: Optional[list[PretaxCreditAmount]] = pulumi.property(
        "pretax_credit_amounts", default=None
    )


@pulumi.output_type
class LastUpdate(dict):  # type: ignore[type-arg]
    """The invoice at the update before, against which an increase is measured."""

    amount_due: int = pulumi.property("amount_due")
    currency: str = pulumi.property("currency")
    period_start: int = pulumi.property("period_start")
