"""
The nested outputs of `InvoicePreview`, as Pulumi hands them to a program.

They mirror the models of `billing.invoice`, where each field is described. As they are dictionaries
too, they can be exported and passed to other resources.
"""

# Pulumi reads these annotations at run time, and takes typing's own spelling of optional only.
# ruff: noqa: UP045
from collections.abc import Callable
from functools import wraps
from typing import Any, Optional, TypeVar

import pulumi

T = TypeVar("T")


def whole_or_exact(number: Any) -> Any:
    """
    Return *number* as an ``int`` if it is whole, and None as it is.

    Pulumi passes every number as a float, and would print 18846.0.
    """
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _whole_numbers(*names: str) -> Callable[[type[T]], type[T]]:
    """Make the properties *names* of an output type return what `whole_or_exact` does."""

    def decorate(output_type: type[T]) -> type[T]:
        for name in names:
            setattr(output_type, name, property(_converted(getattr(output_type, name).fget)))
        return output_type

    return decorate


def _converted(getter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    # With the getter's own attributes, by which Pulumi knows the property.
    @wraps(getter)
    def convert(output: Any) -> Any:
        return whole_or_exact(getter(output))

    return convert


@pulumi.output_type
class Period(dict):  # type: ignore[type-arg]
    """The time that a line covers, in Unix seconds (UTC)."""

    start: int = pulumi.property("start")
    end: int = pulumi.property("end")


@pulumi.output_type
class Pricing(dict):  # type: ignore[type-arg]
    """What one unit of a line costs, as a decimal in minor units."""

    unit_amount_decimal: Optional[str] = pulumi.property("unit_amount_decimal", default=None)


@_whole_numbers("amount")
@pulumi.output_type
class PretaxCreditAmount(dict):  # type: ignore[type-arg]
    """A credit that reduces a line before tax, in minor units."""

    amount: float = pulumi.property("amount")
    type: str = pulumi.property("type")
    credit_balance_transaction: Optional[str] = pulumi.property(
        "credit_balance_transaction", default=None
    )
    discount: Optional[str] = pulumi.property("discount", default=None)


@_whole_numbers("amount", "quantity")
@pulumi.output_type
class InvoiceLine(dict):  # type: ignore[type-arg]
    """One line item; ``amount`` is before credits, in minor units of ``currency``."""

    amount: float = pulumi.property("amount")
    currency: str = pulumi.property("currency")
    quantity: Optional[float] = pulumi.property("quantity", default=None)
    period: Optional[Period] = pulumi.property("period", default=None)
    pricing: Optional[Pricing] = pulumi.property("pricing", default=None)
    description: Optional[str] = pulumi.property("description", default=None)
    pretax_credit_amounts: Optional[list[PretaxCreditAmount]] = pulumi.property(
        "pretax_credit_amounts", default=None
    )


@_whole_numbers("amount_due")
@pulumi.output_type
class LastUpdate(dict):  # type: ignore[type-arg]
    """The invoice at the previous update, against which an increase is measured."""

    amount_due: float = pulumi.property("amount_due")
    currency: str = pulumi.property("currency")
    period_start: int = pulumi.property("period_start")
