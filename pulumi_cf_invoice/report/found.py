"""What is found in a file: an invoice, and the one of the last deployment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_cf_invoice.billing.errors import BillingError
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.state import InvoiceState

SECRET = "[secret]"
"""What Pulumi prints for a secret output."""


class NoInvoiceError(BillingError):
    """A file holds no invoice, or none that can be told from others."""


@dataclass(frozen=True)
class Found:
    """
    An invoice with what is known of it, and the one of the last deployment if known.

    ``notes`` are sentences on what a reader has to know of where it was found.
    """

    state: InvoiceState
    baseline: Invoice | None = None
    notes: tuple[str, ...] = ()


def of_outputs(outputs: Mapping[str, Any], baseline: Invoice | None = None) -> Found:
    """
    Return the invoice in a stack's *outputs*, by unprefixed names.

    Raises `NoInvoiceError` if they are secret, and `InvalidDataError` if they are no invoice.
    """
    if SECRET in outputs.values():
        raise NoInvoiceError("the figures are secret: add --show-secrets to `pulumi stack output`")
    account_id = known_account(outputs.get("account_id"))
    return Found(InvoiceState(account_id, Invoice.from_outputs(dict(outputs))), baseline)


def known_account(account_id: Any) -> str | None:
    """Return *account_id* if it is one: what stands there may be unknown, secret or else."""
    known = isinstance(account_id, str) and re.fullmatch("[0-9a-f]{32}", account_id)
    return account_id if known else None
