"""
Reads an invoice from a file, whose kind is told by its content.

It is the output of ``pulumi preview --json`` or ``pulumi stack output --json``, or the API's own
JSON.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pulumi_cf_invoice import stack_outputs, state
from pulumi_cf_invoice.billing.answers import parse_json, reasons
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import BillingError, InvalidDataError
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.pages import has_more
from pulumi_cf_invoice.billing.settings import canonical_account_id
from pulumi_cf_invoice.state import InvoiceState

SECRET = "[secret]"
"""What Pulumi prints for a secret output."""


class NoInvoiceError(BillingError):
    """A file holds no invoice, or none that can be told from others."""


@dataclass(frozen=True)
class ReportInput:
    """An invoice with what is known of it, and the one of the last deployment if known."""

    state: InvoiceState
    baseline: Invoice | None = None


def read(
    text: str | bytes, *, account_id: str | None = None, prefix: str | None = None
) -> ReportInput:
    """
    Return the invoice in *text*; *account_id* or *prefix* choose one of several.

    Raises `NoInvoiceError`.
    """
    content = parse_json(text)
    if content is None:
        raise NoInvoiceError(
            "this is not JSON: give the output of `pulumi preview --json` or "
            "`pulumi stack output --json`, or the API's answer"
        )
    if not isinstance(content, Mapping):
        raise NoInvoiceError("this JSON is not an object, so neither Pulumi nor the API wrote it")
    try:
        found = _inputs(content, prefix)
    except InvalidDataError as error:
        raise NoInvoiceError(f"this is not an invoice: {error}") from None
    return _only(found, account_id)


def _inputs(content: Mapping[str, Any], prefix: str | None) -> list[ReportInput]:
    if isinstance(content.get("steps"), list):
        return _of_preview(content)
    if "success" in content or "result" in content:
        return [_of_api(content)]
    if "id" in content and "amount_due" in content:
        return [_only_invoice(Invoice.from_api(dict(content)))]
    return [_of_outputs(outputs) for outputs in stack_outputs.find_invoices(content, prefix)]


def _of_preview(preview: Mapping[str, Any]) -> list[ReportInput]:
    states = [
        (state.read_state(step.get("newState")), state.read_state(step.get("oldState")))
        for step in _steps(preview)
        if step.get("op") not in ("delete", "delete-replaced", "create-replacement")
    ]
    found = [
        ReportInput(
            replace(new, account_id=_known_account(new.account_id)),
            old.invoice if old and old.account_id == new.account_id else None,
        )
        for new, old in states
        if new
    ]
    if not found:
        _explain_empty_preview(preview)
    return found


def _steps(preview: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [step for step in preview["steps"] if isinstance(step, Mapping)]


def _explain_empty_preview(preview: Mapping[str, Any]) -> None:
    for diagnostic in preview.get("diagnostics") or []:
        if diagnostic.get("severity") == "error":
            message = one_line(str(diagnostic.get("message", "")))
            raise NoInvoiceError(f"the preview failed: {message}")
    if any((step.get("newState") or {}).get("type") in state.TYPES for step in _steps(preview)):
        raise NoInvoiceError(
            "this preview does not know the invoice yet: its account or its credentials are "
            "outputs of resources that are still to be made"
        )


def _of_api(answer: Mapping[str, Any]) -> ReportInput:
    if answer.get("success") is False:
        said = "; ".join(reason.text for reason in reasons(answer)) or "without a reason"
        raise NoInvoiceError(f"this answer of the API is an error: {one_line(said)}")
    # One page of several is a part: the others are not in the file.
    return _only_invoice(
        Invoice.from_api(answer.get("result"), complete=not has_more(dict(answer)))
    )


def _of_outputs(outputs: dict[str, Any]) -> ReportInput:
    if SECRET in outputs.values():
        raise NoInvoiceError("the figures are secret: add --show-secrets to `pulumi stack output`")
    account_id = _known_account(outputs.get("account_id"))
    return ReportInput(InvoiceState(account_id, Invoice.from_outputs(outputs)))


def _only(found: list[ReportInput], account_id: str | None) -> ReportInput:
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
    if any(one.state.invoice != found[0].state.invoice for one in found):
        accounts = ", ".join(sorted({one.state.account_id or "(unknown)" for one in found}))
        raise NoInvoiceError(
            f"several invoices in it (accounts {accounts}): "
            "choose one with --account-id or --prefix"
        )
    return found[0]


def _only_invoice(invoice: Invoice) -> ReportInput:
    return ReportInput(InvoiceState(None, invoice))


def _known_account(account_id: Any) -> str | None:
    # What stands there may be unknown, secret or anything else.
    known = isinstance(account_id, str) and re.fullmatch("[0-9a-f]{32}", account_id)
    return account_id if known else None
