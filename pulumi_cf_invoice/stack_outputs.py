"""
The invoice as stack outputs, for CI: one documented set of names, which a report can read back.
"""

from collections.abc import Collection
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Union
from weakref import WeakKeyDictionary

import pulumi
from pulumi.runtime.settings import get_monitor, get_root_resource

from pulumi_cf_invoice.billing.errors import SettingsError
from pulumi_cf_invoice.billing.invoice import FIGURES, Invoice
from pulumi_cf_invoice.billing.settings import foreign
from pulumi_cf_invoice.program import answers, settings as program_settings
from pulumi_cf_invoice.program.errors import raises_run_errors, wrong_kind
from pulumi_cf_invoice.state import EXPORTED_ORIGIN

if TYPE_CHECKING:
    from pulumi_cf_invoice.resource import InvoicePreview

_NEEDED = "export_invoice takes an InvoicePreview, an Invoice or an Output of one"
_exported_in_runs: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


@raises_run_errors
def export_invoice(
    invoice: Union[Invoice, pulumi.Output[Invoice], "InvoicePreview"], prefix: str | None = None
) -> None:
    """
    Export *invoice* as stack outputs, which ``cf-invoice --from`` can read back.

    The outputs are each amount (such as ``amount_due`` and ``net``) in minor units, in major units
    (``amount_due_decimal``) and as text (``amount_due_text``); ``currency``, ``status``,
    ``invoice_id``, ``period_start``, ``period_end``, ``period_text``, ``text``, ``invoice_lines``
    and ``invoice_lines_complete``. There is ``account_id`` if *invoice* is a resource, and
    ``invoice_base_url``, where the figures came from, if it is a resource or what a function
    returned, and that is not Cloudflare. With the *prefix* ``ai`` every name starts with ``ai_``.
    No output depends on the clock, so none changes unless the invoice does.

    Raises `SettingsError` if *invoice* or *prefix* is something else, or if the program has already
    exported one of these names.
    """
    if prefix is not None and not isinstance(prefix, str):
        raise wrong_kind("the prefix of export_invoice must be text", prefix)
    figures, account, origin = _figures(invoice)
    plain: Any = figures.apply(_plain)
    # What is not known is no output: `plain` has no such name, and Pulumi stores no null.
    outputs = account | {name: plain.apply(methodcaller("get", name)) for name in FIGURES}
    outputs[EXPORTED_ORIGIN] = program_settings.address_as_configured(origin)
    prefixed = {_prefixed(name, prefix): output for name, output in outputs.items()}
    _refuse_to_replace(prefixed)
    for name, output in prefixed.items():
        pulumi.export(name, output)


def _figures(invoice: Any) -> tuple[pulumi.Output[Invoice], dict[str, Any], Any]:
    """Return the figures of *invoice*, its account by name, and where it came from, if known."""
    if isinstance(invoice, (Invoice, pulumi.Output)):
        figures: Any = pulumi.Output.from_input(invoice)
        of_run = answers.of_this_run()
        return figures, {}, figures.apply(lambda known: foreign(of_run.base_url_of(known)))
    # A program without resources does not need it.
    from pulumi_cf_invoice.resource import InvoicePreview, known_or_none

    if not isinstance(invoice, InvoicePreview):
        raise wrong_kind(_NEEDED, invoice)
    origin = pulumi.Output.from_input(known_or_none(invoice.base_url))
    return invoice.invoice, {"account_id": invoice.account_id}, origin


@raises_run_errors
def _plain(known: Invoice) -> dict[str, Any]:
    if not isinstance(known, Invoice):
        raise wrong_kind(_NEEDED, known)
    return known.to_figures()


def _refuse_to_replace(names: Collection[str]) -> None:
    """Raise `SettingsError` if this run of the program has exported one of *names* already."""
    stack = get_root_resource()
    if stack is None:
        return  # Pulumi refuses every export itself.
    exported = _exported_in_runs.setdefault(get_monitor(), set())
    # All unit tests of a process share one stack, whose outputs may be another test's.
    if not program_settings.is_mocked():
        exported.update(getattr(stack, "outputs", ()))
    taken = next((name for name in names if name in exported), None)
    if taken:
        raise SettingsError(
            f"the program exports {taken} already: give this export_invoice a prefix of its own, "
            'such as prefix="ai"'
        )
    exported.update(names)


def _prefixed(name: str, prefix: str | None) -> str:
    return f"{prefix}_{name}" if prefix else name
