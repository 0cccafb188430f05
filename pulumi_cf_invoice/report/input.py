"""
Reads invoices from a file, whose kind is told by its content.

It is what ``pulumi preview --json``, ``pulumi up --json`` or ``pulumi stack output --json`` prints,
or the API's own JSON. Text around the JSON, such as warnings, is passed over.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pulumi_cf_invoice.billing.answers import find_objects, parse_json, reasons
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import BillingError, InvalidDataError
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import canonical_account_id
from pulumi_cf_invoice.billing.snapshot import Snapshot, is_snapshot
from pulumi_cf_invoice.report import previews
from pulumi_cf_invoice.report.found import (
    Found,
    MissingInvoice,
    NoInvoiceError,
    invoices_in_outputs,
    known_account,
    of_outputs,
    one_of_each_account,
)
from pulumi_cf_invoice.state import InvoiceState


def read(
    text: str | bytes, *, account_id: str | None = None, prefix: str | None = None
) -> list[Found]:
    """
    Return the invoices in *text*, one of each account, of which *account_id* or *prefix* choose.

    There is at least one. Raises `NoInvoiceError`.
    """
    try:
        found = _found(_decoded(text), prefix)
    except InvalidDataError as error:
        raise NoInvoiceError(f"this is not an invoice: {error}") from None
    named = [
        replace(one, state=replace(one.state, account_id=known_account(one.state.account_id)))
        for one in found
    ]
    return _chosen(named, account_id)


def missing_in(text: str | bytes, *, account_id: str | None = None) -> MissingInvoice | None:
    """
    Return the account in *text*, if that is a snapshot that `read` refuses for want of its invoice.

    It is None for another account than *account_id*, and for anything else that `read` refuses.
    """
    content = parse_json(_decoded(text))
    if not isinstance(content, Mapping) or not is_snapshot(content):
        return None
    try:
        missing = MissingInvoice.of_snapshot(Snapshot.from_json(content))
    except InvalidDataError:
        # What is wrong with it is in the error of `read`.
        return None
    if missing is None or account_id is None:
        return missing
    return missing if missing.account_id == canonical_account_id(account_id) else None


def _decoded(text: str | bytes) -> str:
    # PowerShell writes UTF-16, and many an editor a byte order mark.
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "replace")
    return text.removeprefix("\ufeff")


def _found(text: str, prefix: str | None) -> list[Found]:
    whole = parse_json(text)
    objects = [whole] if isinstance(whole, Mapping) else list(find_objects(text))
    if any(previews.is_event(one) or previews.is_digest(one) for one in objects):
        return previews.find_invoices(objects, prefix)
    if whole is not None and not objects:
        raise NoInvoiceError("this JSON is not an object, so neither Pulumi nor the API wrote it")
    if not objects:
        raise NoInvoiceError(
            "this is not JSON: give the output of `pulumi preview --json` or "
            "`pulumi stack output --json`, or the API's answer"
        )
    if len(objects) > 1:
        raise NoInvoiceError("there are several JSON objects in it, of which none is a preview")
    return _in_other(objects[0], prefix)


def _in_other(content: Mapping[str, Any], prefix: str | None) -> list[Found]:
    if is_snapshot(content):
        return [_of_snapshot(Snapshot.from_json(content), prefix)]
    of_api = "success" in content or "result" in content
    if of_api or ("id" in content and "amount_due" in content):
        if prefix is not None:
            raise NoInvoiceError("--prefix chooses among stack outputs, and this is the API's JSON")
        if of_api:
            return [_of_api(content)]
        return [Found(InvoiceState(None, Invoice.from_api(dict(content))))]
    return [of_outputs(outputs) for outputs in invoices_in_outputs(content, prefix)]


def _of_snapshot(snapshot: Snapshot, prefix: str | None) -> Found:
    if prefix is not None:
        raise NoInvoiceError("--prefix chooses among stack outputs, and this is a snapshot")
    try:
        found = Found.of_snapshot(snapshot)
    except BillingError as error:
        raise NoInvoiceError(f"the snapshot has no upcoming invoice: {error}") from None
    return replace(found, notes=(f"A snapshot of {snapshot.read_at:%Y-%m-%d %H:%M} UTC.",))


def _of_api(answer: Mapping[str, Any]) -> Found:
    if answer.get("success") is False:
        said = "; ".join(reason.text for reason in reasons(answer)) or "without a reason"
        raise NoInvoiceError(f"this answer of the API is an error: {one_line(said)}")
    # One page of several is a part: the others are not in the file.
    complete = INVOICE_PREVIEW.is_complete(answer)
    return Found(InvoiceState(None, Invoice.from_api(answer.get("result"), Answered(complete))))


def _chosen(found: list[Found], account_id: str | None) -> list[Found]:
    wanted = None if account_id is None else canonical_account_id(account_id)
    if wanted is not None:
        found = [
            replace(one, state=replace(one.state, account_id=wanted))
            for one in found
            if one.state.account_id in (None, wanted)
        ]
    if not found:
        of = f" of account {wanted}" if wanted else ""
        raise NoInvoiceError(
            f"no invoice{of} in it: the program needs an InvoicePreview (for `pulumi preview "
            "--json`) or export_invoice (for `pulumi stack output --json`)"
        )
    return one_of_each_account(_without_copies(found))


def _without_copies(found: list[Found]) -> list[Found]:
    """Return *found* without those of an unknown account that are certainly here once more."""
    known = [one for one in found if one.state.account_id]
    unknown = [one.state.invoice for one in found if not one.state.account_id]
    if known:
        # An exported model has no account: with equal figures it is that of a resource here.
        figures = [one.state.invoice for one in known]
        return [one for one in found if one.state.account_id or one.state.invoice not in figures]
    if all(of == unknown[0] for of in unknown):
        return found[:1]
    raise NoInvoiceError(
        "it has several invoices without an account ID, which cannot be told apart: choose with "
        "--account-id or --prefix"
    )
