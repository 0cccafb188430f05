"""
The invoice in a resource's properties: type tokens, and reading it in either form's spelling.

The dynamic resource has snake_case names, the plugin's resource camelCase ones. Both have the
fields of the model as properties (`FIELDS`), and what a later deployment needs to know.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from pulumi_cf_invoice.billing.cleaning import MARKERS, one_line
from pulumi_cf_invoice.billing.errors import InvalidDataError

if TYPE_CHECKING:
    from pulumi_cf_invoice.billing.invoice import Invoice

DYNAMIC_TYPE = "pulumi-python:dynamic/cf_invoice:InvoicePreview"
PLUGIN_TYPE = "cf-invoice:index:InvoicePreview"
TYPES = (DYNAMIC_TYPE, PLUGIN_TYPE)

# The model's fields too; a test compares them. Importing the model would double a program's start.
FIELDS = (
    "invoice_id",
    "amount_due",
    "amount_paid",
    "amount_remaining",
    "currency",
    "period_start",
    "period_end",
    "status",
    "invoice_lines",
)
"""The properties that are fields of the invoice."""
EXPORTED_ORIGIN = "invoice_base_url"
"""The stack output that says where figures came from: programs call other things ``base_url``."""
SECRET_ADDRESS = "an address that is secret"
"""What is said in place of one: that it is secret does not make it Cloudflare's."""
READ_PROPERTIES = (*FIELDS, "invoice_lines_complete", "base_url")
"""The properties that a read of the invoice brings, all part of the diff."""
CHECK_FAILED = "check_failed"
"""The one property of a resource whose check failed, by which policies can tell it."""
UNKNOWN = MARKERS[0]
"""Pulumi's marker of an unknown value."""


@dataclass(frozen=True)
class LastUpdate:
    """The invoice at the last update: ``amount_due`` in minor units of ``currency``, and when."""

    amount_due: float
    currency: str
    period_start: int


_LONGEST_URL = 1000
LAST_UPDATE = tuple(field.name for field in fields(LastUpdate))
"""The properties of ``last_update``, copied from the invoice's properties of the same name."""


@dataclass(frozen=True)
class InvoiceState:
    """
    An invoice, the account it is of, and the figures of the update before, as far as known.

    ``base_url`` is where it came from, if not from Cloudflare. An account that the program marked
    secret is not to be shown. ``read_at`` is when the invoice was read, if that is known: an old
    one is not projected as if it were of now.
    """

    account_id: str | None
    invoice: "Invoice"
    last_update: LastUpdate | None = None
    base_url: str | None = None
    account_is_secret: bool = False
    read_at: datetime | None = None

    def as_of(self, at: datetime) -> datetime:
        """Return the time of the figures: when they were read, or *at* where that is not known."""
        return self.read_at or at

    @property
    def account_is_shown(self) -> bool:
        """Whether messages may name the account."""
        return self.account_id is not None and not self.account_is_secret

    @property
    def origin(self) -> str:
        """Where the figures came from, as a sentence; empty if from Cloudflare."""
        return origin(self.base_url)


def origin(base_url: str | None) -> str:
    """Say that figures came from *base_url*; nothing if that is None, which is Cloudflare."""
    if base_url is None:
        return ""
    return f"The figures come from {one_line(base_url)}, not from Cloudflare."


def is_ours(urn: str) -> bool:
    """Return whether the resource *urn* is an InvoicePreview, in either form."""
    return type_in(urn) in TYPES


def urn_of(step: Mapping[str, Any]) -> str:
    """Return the URN in a *step* or a state of a resource, or nothing if it has none."""
    urn = step.get("urn")
    return urn if isinstance(urn, str) else ""


def type_in(urn: str) -> str:
    """Return the type of the resource *urn*, or nothing if it has none."""
    # A URN has its type after the stack and the project, behind those of its parents.
    qualified = urn.split("::")[2:3]
    return qualified[0].rsplit("$", 1)[-1] if qualified else ""


def read(resource_type: str, properties: Mapping[str, Any]) -> InvoiceState | None:
    """
    Return the invoice in a resource's *properties*, or None if there is none.

    There is none in a resource of another type, in one whose check failed, and in one whose figures
    are not known yet. Lets through what *properties* raise for an unknown value. Raises
    `InvalidDataError` if the figures are not an invoice.
    """
    if resource_type not in TYPES:
        return None
    from pulumi_cf_invoice.billing.invoice import Invoice

    found = plain(properties)
    if resource_type == PLUGIN_TYPE:
        found = snake_cased(found)
    if found.get("amount_due", UNKNOWN) == UNKNOWN or "account_id" not in found:
        return None
    account, last, base_url = (found.get(n) for n in ("account_id", "last_update", "base_url"))
    if account is not None and not isinstance(account, str):
        raise InvalidDataError("account_id: not a text")
    return InvoiceState(
        # Both cases of its hex digits are the same account.
        account_id=None if account is None else account.strip().lower(),
        invoice=Invoice.from_outputs(found),
        last_update=_last_update(last) if last else None,
        base_url=one_line(base_url, _LONGEST_URL) if isinstance(base_url, str) else None,
    )


def check_failed(resource_type: str, properties: Mapping[str, Any]) -> bool:
    """Return whether a resource has no figures because its check failed."""
    return _spelled(resource_type, CHECK_FAILED) in properties


def has_figures(resource_type: str, properties: Mapping[str, Any]) -> bool:
    """Return whether a resource's *properties* have figures, known or not."""
    return _spelled(resource_type, "amount_due") in properties


def _spelled(resource_type: str, name: str) -> str:
    return camel_case(name) if resource_type == PLUGIN_TYPE else name


def read_state(state: Mapping[str, Any] | None) -> InvoiceState | None:
    """
    Return the invoice in a resource's state, as ``pulumi preview --json`` and exported stacks have
    it.

    At a preview a new state has its figures among the inputs alone, and an old one's inputs are
    those of the last update, which no refresh moves. Raises `InvalidDataError` if they are not an
    invoice.
    """
    if state is None:
        return None
    for name in ("inputs", "outputs"):
        properties = state.get(name)
        if isinstance(properties, Mapping):
            found = read(state.get("type", ""), properties)
            if found is not None:
                return found
    return None


def _last_update(properties: Any) -> LastUpdate:
    from pulumi_cf_invoice.billing import money

    try:
        return LastUpdate(
            money.carried(money.exact(properties["amount_due"])),
            _currency(properties["currency"]),
            int(properties["period_start"]),
        )
    except (ArithmeticError, LookupError, TypeError, ValueError):
        raise InvalidDataError("last_update: not the figures of an update") from None


def _currency(code: str) -> str:
    if not re.fullmatch("[a-z]{3}", code):
        raise ValueError(code)
    return code


@cache
def camel_case(name: str) -> str:
    """Return the plugin's name of a property: ``amount_due`` is ``amountDue``."""
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)


@cache
def snake_case(name: str) -> str:
    """Return the dynamic resource's name of a property: ``amountDue`` is ``amount_due``."""
    return re.sub("([A-Z])", r"_\1", name).lower()


def snake_cased(value: Any) -> Any:
    """
    Return *value* with the names of the dynamic resource instead of the plugin's, at any depth.
    """
    if isinstance(value, Mapping):
        return {snake_case(key): snake_cased(value[key]) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [snake_cased(item) for item in value]
    return value


def plain(value: Any) -> Any:
    """
    Return *value* with nothing but dicts and lists in it, of whatever kind those were.

    Lets through what they raise for an unknown value.
    """
    if isinstance(value, (str, float, int)):
        return value
    if isinstance(value, Mapping):
        return {key: plain(value[key]) for key in value}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return value
