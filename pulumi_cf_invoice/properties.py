"""
The invoice as a resource's properties, snake_case of the dynamic resource or camelCase of the
plugin's: read from either, and spelled for the plugin.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pulumi_cf_invoice.invoice import Invoice

DYNAMIC_TYPE = "pulumi-python:dynamic/cf_invoice:InvoicePreview"
PLUGIN_TYPE = "cf-invoice:index:InvoicePreview"
PLUGIN_FUNCTION = "cf-invoice:index:getInvoicePreview"
TYPES = (DYNAMIC_TYPE, PLUGIN_TYPE)


@dataclass(frozen=True)
class LastUpdate:
    """``amount_due`` (minor units of ``currency``) and ``period_start`` at the update before."""

    amount_due: int
    currency: str
    period_start: int


LAST_UPDATE = tuple(field.name for field in fields(LastUpdate))
"""The properties of ``last_update``, each of which is the invoice's of that name."""


@dataclass(frozen=True)
class InvoiceState:
    """What a resource tells of an invoice."""

    account_id: str
    invoice: "Invoice"
    last_update: LastUpdate | None


def last_update(old_inputs: Mapping[str, Any], account_id: str) -> dict[str, Any] | None:
    """
    What an update carries of the one before, whose inputs *old_inputs* are, in snake_case.

    None for another account, and where nothing was read before.
    """
    if old_inputs.get("account_id") != account_id or old_inputs.get("amount_due") is None:
        return None
    return {name: old_inputs[name] for name in LAST_UPDATE}


def read(resource_type: str, properties: Mapping[str, Any]) -> InvoiceState | None:
    """
    The invoice of a resource, or None where it has none.

    None for a resource of another type, and for one whose figures are missing because its check
    failed. What *properties* raise for an unknown value is let through.
    """
    if resource_type not in TYPES:
        return None
    from pulumi_cf_invoice.invoice import Invoice

    plain = _plain(properties)
    if resource_type == PLUGIN_TYPE:
        plain = snake_cased(plain)
    if "amount_due" not in plain or "account_id" not in plain:
        return None
    last = plain.get("last_update")
    return InvoiceState(
        account_id=plain["account_id"],
        invoice=Invoice.from_outputs(plain),
        last_update=LastUpdate(int(last["amount_due"]), last["currency"], int(last["period_start"]))
        if last
        else None,
    )


def of_state(state: Mapping[str, Any] | None) -> InvoiceState | None:
    """
    The invoice of a resource's state, as ``pulumi preview --json`` and exported stacks have it.

    None where there is none. At a preview a new state has its figures among the inputs alone, and
    an old one's inputs are those of the last update, which no refresh moves. Raises ValueError when
    it is no invoice.
    """
    if state is None:
        return None
    kind = state.get("type", "")
    return read(kind, state.get("inputs") or {}) or read(kind, state.get("outputs") or {})


@cache
def camel_case(name: str) -> str:
    """The plugin's name of a property: ``amount_due`` is ``amountDue``."""
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)


@cache
def _snake_case(name: str) -> str:
    return re.sub("([A-Z])", r"_\1", name).lower()


def _plain(value: Any) -> Any:
    if isinstance(value, (str, float, int)):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in value}
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return value


def snake_cased(value: Any) -> Any:
    """*value* with the names of the dynamic resource, where it has those of the plugin."""
    if isinstance(value, Mapping):
        return {_snake_case(key): snake_cased(value[key]) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [snake_cased(item) for item in value]
    return value
