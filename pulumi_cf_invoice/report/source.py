"""
Reads an invoice from a file, told apart by its content.

``pulumi preview --json``, ``pulumi stack output --json``, or the API's own JSON.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_cf_invoice import properties, stack_outputs
from pulumi_cf_invoice.errors import InvoicePreviewError
from pulumi_cf_invoice.invoice import Invoice
from pulumi_cf_invoice.settings import canonical_account_id

SECRET = "[secret]"


class NoInvoice(InvoicePreviewError):
    """What was read holds no invoice, or not one that can be told from others."""


@dataclass(frozen=True)
class Source:
    """An invoice, the account where it is told, and the last deployment's figures where told."""

    invoice: Invoice
    account_id: str | None = None
    baseline: Invoice | None = None


def read(text: str | bytes, *, account_id: str | None = None, prefix: str | None = None) -> Source:
    """
    The invoice in *text*; *account_id* or *prefix* choose where there are several.

    Raises `NoInvoice`, in one line.
    """
    try:
        content = json.loads(text)
    except ValueError:
        raise NoInvoice(
            "this is not JSON: give the output of `pulumi preview --json` or "
            "`pulumi stack output --json`, or the API's answer"
        ) from None
    if not isinstance(content, Mapping):
        raise NoInvoice("this JSON is not an object, so neither Pulumi nor the API wrote it")
    try:
        found = _sources(content, prefix)
    except ValueError as error:
        raise NoInvoice(f"this is no invoice: {error}") from None
    return _only(found, account_id)


def _sources(content: Mapping[str, Any], prefix: str | None) -> list[Source]:
    if isinstance(content.get("steps"), list):
        return _of_preview(content)
    if "success" in content or "result" in content:
        return [_of_api(content)]
    if "id" in content and "amount_due" in content:
        return [Source(Invoice.from_api(dict(content)))]
    return [_of_outputs(outputs) for outputs in stack_outputs.find(content, prefix)]


def _of_preview(preview: Mapping[str, Any]) -> list[Source]:
    states = [
        (properties.of_state(step.get("newState")), properties.of_state(step.get("oldState")))
        for step in preview["steps"]
        if step.get("op") not in ("delete", "delete-replaced", "create-replacement")
    ]
    found = [
        Source(
            new.invoice,
            _known_account(new.account_id),
            old.invoice if old and old.account_id == new.account_id else None,
        )
        for new, old in states
        if new
    ]
    if not found:
        _explain_empty_preview(preview)
    return found


def _explain_empty_preview(preview: Mapping[str, Any]) -> None:
    for diagnostic in preview.get("diagnostics") or []:
        if diagnostic.get("severity") == "error":
            message = " ".join(str(diagnostic.get("message", "")).split())
            raise NoInvoice(f"the preview failed: {message}")
    if any(
        (step.get("newState") or {}).get("type") in properties.TYPES for step in preview["steps"]
    ):
        raise NoInvoice("this preview does not know the invoice yet: its account is not made yet")


def _of_api(answer: Mapping[str, Any]) -> Source:
    if answer.get("success") is False:
        errors = answer.get("errors") or [{}]
        said = f"code {errors[0].get('code')}: {errors[0].get('message')}"
        raise NoInvoice(f"this answer of the API is an error, {said}")
    return Source(Invoice.from_api(answer.get("result")))


def _of_outputs(outputs: dict[str, Any]) -> Source:
    if SECRET in outputs.values():
        raise NoInvoice("the figures are secret: add --show-secrets to `pulumi stack output`")
    return Source(Invoice.from_outputs(outputs), _known_account(outputs.get("account_id")))


def _only(found: list[Source], account_id: str | None) -> Source:
    wanted = None if account_id is None else canonical_account_id(account_id)
    if wanted is not None:
        found = [source for source in found if source.account_id in (None, wanted)]
    if not found:
        of = f" of account {wanted}" if wanted else ""
        raise NoInvoice(
            f"no invoice{of} in it: the program needs an InvoicePreview (for `pulumi preview "
            "--json`) or export_invoice (for `pulumi stack output --json`)"
        )
    if any(source.invoice != found[0].invoice for source in found):
        accounts = ", ".join(sorted({source.account_id or "(unknown)" for source in found}))
        raise NoInvoice(
            f"several invoices in it (accounts {accounts}): "
            "choose one with --account-id or --prefix"
        )
    return found[0]


def _known_account(account_id: Any) -> str | None:
    # An unknown one, a secret one or anything else that stands there is none that can be told.
    known = isinstance(account_id, str) and re.fullmatch("[0-9a-f]{32}", account_id)
    return account_id if known else None
