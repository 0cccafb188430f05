"""
The lifecycle of `InvoicePreview`, as plain functions over plain data with snake_case names.

The dynamic provider and the plugin are codecs around them. The engine never asks a dynamic provider
to preview a create: it takes the inputs that `check` returned for the resource's state. So a check
fetches the invoice and returns its figures among the inputs, which makes them known at preview and
shows them to policy packs. Creating and updating pass the checked inputs on, and deleting does
nothing.

Besides the figures there are properties that are stored only where they say something: ``base_url``
(if it is not Cloudflare's), ``invoice_lines_complete`` (if it is false) and ``last_update``, which
alone makes no diff by itself.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pulumi_cf_invoice.billing.settings import CLOUDFLARE_API, foreign, is_same_address
from pulumi_cf_invoice.state import (
    CHECK_FAILED,
    FIELDS,
    LAST_UPDATE,
    READ_PROPERTIES,
    UNKNOWN,
)

if TYPE_CHECKING:
    from pulumi_cf_invoice.billing.invoice import Invoice
    from pulumi_cf_invoice.billing.settings import Settings

Properties = dict[str, Any]


def figures(invoice: "Invoice", settings: "Settings") -> Properties:
    """Return the properties from reading *invoice* with *settings*."""
    return {**invoice.to_outputs(), **address(settings)}


def address(settings: "Settings") -> Properties:
    """Return the property that says where figures came from, if not from Cloudflare."""
    base_url = foreign(settings.base_url)
    return {"base_url": base_url} if base_url else {}


def checked(settings: "Settings", figures: Properties, olds: Mapping[str, Any]) -> Properties:
    """
    Return the inputs of a check that read *figures* with *settings*; *olds* are the previous
    inputs.
    """
    before = olds.get("base_url") or CLOUDFLARE_API
    is_same = is_same_address(before, settings.base_url)
    carried = _last_update(settings.account_id, olds) if is_same else {}
    return {"account_id": settings.account_id, **figures, **carried}


def unknown(account_id: str, olds: Mapping[str, Any]) -> Properties:
    """
    Return the inputs of a check that cannot read the invoice before an update.

    *account_id* is `UNKNOWN` as well if that is why. Where the account is known it stays so, and so
    does the last update: a preview then shows figures that will be read, and no replacement.
    """
    unread = dict.fromkeys(FIELDS, UNKNOWN)
    if account_id != UNKNOWN:
        return {"account_id": account_id, **unread, **_last_update(account_id, olds)}
    last_update = {"last_update": UNKNOWN} if olds.get("amount_due") is not None else {}
    return {"account_id": UNKNOWN, **unread, **last_update}


def failed() -> Properties:
    """Return the inputs of a failed check: no figures, and the mark of a failure."""
    return {CHECK_FAILED: True}


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """
    Return the names of the properties that differ between *olds* and *news*.

    Without a diff, Pulumi would keep what was stored beside figures that have not moved: where they
    came from, and whether they are whole.
    """
    changes = [name for name in ("account_id", *FIELDS) if olds.get(name) != news.get(name)]
    if news.get("amount_due") == UNKNOWN:
        return changes
    if olds.get("invoice_lines_complete") != news.get("invoice_lines_complete"):
        changes.append("invoice_lines_complete")
    before, now = (each.get("base_url") or CLOUDFLARE_API for each in (olds, news))
    return changes if is_same_address(before, now) else [*changes, "base_url"]


def replaced(changes: list[str]) -> list[str]:
    """Return those of *changes* that replace the resource: another account is another invoice."""
    return [name for name in changes if name == "account_id"]


def refreshed(stored: Mapping[str, Any], figures: Properties) -> Properties:
    """
    Return the outputs *stored* in a state, with the *figures* of a new read in their place.

    The inputs stay those of the last update, which is what the next check compares with: the figure
    of the last update would otherwise not survive ``up --refresh``.
    """
    return {name: value for name, value in stored.items() if name not in READ_PROPERTIES} | figures


def not_refreshed(account_id: str) -> str:
    """Return the warning of a refresh without credentials, which keeps the stored figures."""
    return (
        f"the invoice of account {account_id} was not refreshed and keeps its stored figures: "
        "a refresh does not run the program, and no other source has credentials"
    )


def _last_update(account_id: str, olds: Mapping[str, Any]) -> Properties:
    # Nothing carries over from another account, or from inputs without figures.
    if olds.get("account_id") != account_id or any(olds.get(name) is None for name in LAST_UPDATE):
        return {}
    return {"last_update": {name: olds[name] for name in LAST_UPDATE}}
