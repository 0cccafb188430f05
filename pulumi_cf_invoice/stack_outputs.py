"""The invoice as stack outputs, for CI: one documented set of names, written here and read here."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Union

from pulumi_cf_invoice import properties
from pulumi_cf_invoice.invoice import Invoice

if TYPE_CHECKING:
    import pulumi

    from pulumi_cf_invoice.resource import InvoicePreview

AMOUNTS = (
    "amount_due",
    "amount_paid",
    "amount_remaining",
    "gross",
    "credits",
    "net",
    "tax_and_adjustments",
)
"""Each is exported in minor units, as ``…_decimal`` in major units, and as ``…_text``."""
_FIELDS = tuple(field.name for field in fields(Invoice))
_WORDS = ("period_text", "text")


def export_invoice(
    invoice: Union[Invoice, "pulumi.Output[Invoice]", "InvoicePreview"], prefix: str | None = None
) -> None:
    """
    Export *invoice* as stack outputs, which ``cf-invoice --from`` reads back.

    The outputs are each amount (``amount_due`` and ``net``, say) in minor units, in major units
    (``amount_due_decimal``) and in words (``amount_due_text``); ``currency``, ``status``,
    ``invoice_id``, ``period_start``, ``period_end``, ``period_text``, ``text``, ``invoice_lines``;
    and ``account_id``, where *invoice* is a resource. With *prefix* ``ai`` each name starts with
    ``ai_``. No output depends on the clock, so none moves unless the invoice does.
    """
    import pulumi

    figures: pulumi.Output[Invoice]
    if isinstance(invoice, (Invoice, pulumi.Output)):
        figures = pulumi.Output.from_input(invoice)
    else:
        figures = invoice.invoice
        pulumi.export(_named("account_id", prefix), invoice.account_id)
    exported: Any = figures.apply(to_stack_outputs)
    for name in names():
        pulumi.export(_named(name, prefix), exported[name])


def names() -> list[str]:
    """The outputs' names, without a prefix."""
    amounts = [f"{name}{form}" for name in AMOUNTS for form in ("", "_decimal", "_text")]
    return [*dict.fromkeys([*amounts, *_FIELDS, *_WORDS])]


def to_stack_outputs(invoice: Invoice) -> dict[str, Any]:
    """The outputs' values as plain data, by name."""
    return {name: getattr(invoice, name) for name in names()} | invoice.to_outputs()


def find(outputs: Mapping[str, Any], prefix: str | None = None) -> list[dict[str, Any]]:
    """
    Every invoice among a stack's outputs, or the one with *prefix*, by unprefixed name.

    An exported `Invoice` (a mapping of its fields), and what the plugin's function gave, are found
    by the output's name as the prefix.
    """
    found = []
    for name, value in outputs.items():
        if name == "invoice_lines" or name.endswith("_invoice_lines"):
            start = name.removesuffix("invoice_lines")
            if prefix is None or start == f"{prefix}_":
                found.append({n: outputs.get(start + n) for n in ("account_id", *_FIELDS)})
        elif (
            isinstance(value, Mapping)
            and ("invoice_lines" in value or "invoiceLines" in value)
            and prefix in (None, name)
        ):
            found.append(properties.snake_cased(value))
    return found


def _named(name: str, prefix: str | None) -> str:
    return f"{prefix}_{name}" if prefix else name
