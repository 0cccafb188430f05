"""
The invoice as stack outputs, for CI: one documented set of names, exported and found again here.
"""

from collections.abc import Mapping
from dataclasses import fields
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Union

from pulumi_cf_invoice.billing.invoice import FIGURES, Invoice
from pulumi_cf_invoice.state import snake_cased, without_markers

if TYPE_CHECKING:
    import pulumi

    from pulumi_cf_invoice.resource import InvoicePreview

_FIELDS = tuple(field.name for field in fields(Invoice))


def export_invoice(
    invoice: Union[Invoice, "pulumi.Output[Invoice]", "InvoicePreview"], prefix: str | None = None
) -> None:
    """
    Export *invoice* as stack outputs, which ``cf-invoice --from`` reads back.

    The outputs are each amount (such as ``amount_due`` and ``net``) in minor units, in major units
    (``amount_due_decimal``) and as text (``amount_due_text``); ``currency``, ``status``,
    ``invoice_id``, ``period_start``, ``period_end``, ``period_text``, ``text``, ``invoice_lines``
    and ``invoice_lines_complete``; and ``account_id``, if *invoice* is a resource. With the
    *prefix* ``ai`` each name starts with ``ai_``. No output depends on the clock, so none moves
    unless the invoice does.
    """
    import pulumi

    figures: pulumi.Output[Invoice]
    if isinstance(invoice, (Invoice, pulumi.Output)):
        figures = pulumi.Output.from_input(invoice)
    else:
        figures = invoice.invoice
        pulumi.export(_prefixed("account_id", prefix), invoice.account_id)
    exported: Any = figures.apply(lambda known: without_markers(known.to_figures()))
    for name in FIGURES:
        # What is not known is no output: `figures` has no such name, and Pulumi stores no null.
        pulumi.export(_prefixed(name, prefix), exported.apply(methodcaller("get", name)))


def find_invoices(outputs: Mapping[str, Any], prefix: str | None = None) -> list[dict[str, Any]]:
    """
    Return every invoice among a stack's *outputs*, or the one with *prefix*, by unprefixed names.

    An exported `Invoice` (a mapping of its fields), and what the plugin's function returned, are
    found by the output's name as the prefix.
    """
    found = []
    for name, value in outputs.items():
        if name == "invoice_lines" or name.endswith("_invoice_lines"):
            start = name.removesuffix("invoice_lines")
            if prefix is None or start == f"{prefix}_":
                named = {n: outputs.get(start + n) for n in ("account_id", *_FIELDS)}
                found.append({n: figure for n, figure in named.items() if figure is not None})
        elif (
            isinstance(value, Mapping)
            and ("invoice_lines" in value or "invoiceLines" in value)
            and prefix in (None, name)
        ):
            found.append(snake_cased(value))
    return found


def _prefixed(name: str, prefix: str | None) -> str:
    return f"{prefix}_{name}" if prefix else name
