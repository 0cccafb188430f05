"""
Reads invoices from a file, whose kind it recognizes by the content.

It is what ``pulumi preview --json``, ``pulumi up --json`` or ``pulumi stack output --json`` prints,
or the API's own JSON. Text around the JSON, such as warnings, is skipped.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pulumi_cf_invoice.billing.answers import parse_json, reasons
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.credentials import Secrets
from pulumi_cf_invoice.billing.errors import BillingError, InvalidDataError
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import canonical_account_id, foreign
from pulumi_cf_invoice.billing.snapshot import Snapshot, is_snapshot
from pulumi_cf_invoice.report import previews
from pulumi_cf_invoice.report.events import is_event
from pulumi_cf_invoice.report.found import (
    Found,
    MissingInvoice,
    NoInvoiceError,
    each_once,
    merged,
    one_of_each_account,
)
from pulumi_cf_invoice.report.objects import PlacedObject, find_objects
from pulumi_cf_invoice.report.outputs import (
    SECRET_IN_OUTPUTS,
    has_secret,
    invoices_in_outputs,
    known_account,
    may_be_invoices,
    not_judged,
    of_outputs,
    only_referred_to,
)
from pulumi_cf_invoice.state import TYPES, InvoiceState, snake_case, type_in, urn_of

_MIXED = "was something else appended, or does a program write it in another encoding?"
# A name of JSON in single bytes, which text of two bytes a character does not have.
_NAME_IN_BYTES = re.compile(rb'"[A-Za-z_]{3,}"[ \t]*:')
_NONE = Secrets([])
_LONGEST_ERROR = 2000
_MOST_ACCOUNTS = 5
_ONLY_EXPORTED = frozenset({"invoice_id", "invoice_lines_complete"})
_OF_LAST_DEPLOYMENT = (
    "Stack outputs are of the last deployment: usage since then is not in these figures, and a "
    "projection takes them for those of now."
)
_NO_OBJECT = "this JSON is not an object, so neither Pulumi nor the API wrote it"
_NO_JSON = (
    "this is not JSON: give the output of `pulumi preview --json` or `pulumi stack output --json`, "
    "or the API's answer"
)


def read(
    text: str | bytes,
    *,
    account_id: str | None = None,
    prefix: str | None = None,
    secrets: Secrets = _NONE,
) -> list[Found]:
    """
    Return the invoices in *text*, one of each account, of which *account_id* or *prefix* choose.

    There is at least one. Neither they nor the error repeat any of the *secrets*. Raises
    `NoInvoiceError`.
    """
    content = read_any(text, account_id=account_id, prefix=prefix, secrets=secrets)
    if isinstance(content, MissingInvoice):
        raise NoInvoiceError(f"the snapshot has no upcoming invoice: {content.error}")
    return content


def read_any(
    text: str | bytes,
    *,
    account_id: str | None = None,
    prefix: str | None = None,
    secrets: Secrets = _NONE,
) -> list[Found] | MissingInvoice:
    """
    Return what `read` does, or the account of a snapshot that lacks its invoice and nothing else.

    Raises what `read` raises.
    """
    try:
        return _read_any(text, account_id, prefix, secrets)
    except NoInvoiceError as error:
        # Not all that it quotes went through `_redacted`, or did in one piece.
        message = secrets.redact(str(error))
        if len(message) > _LONGEST_ERROR:
            message = f"{message[: _LONGEST_ERROR - 1]}…"
        raise type(error)(message) from None


def _read_any(
    text: str | bytes, account_id: str | None, prefix: str | None, secrets: Secrets
) -> list[Found] | MissingInvoice:
    try:
        content = _redacted(decoded(text), prefix, secrets)
    except InvalidDataError as error:
        raise NoInvoiceError(f"this is not an invoice: {error}") from None
    except RecursionError:
        # What the parser takes may still be too deep to look for an invoice in.
        raise NoInvoiceError("the JSON is nested too deeply") from None
    wanted = None if account_id is None else canonical_account_id(account_id)
    if isinstance(content, MissingInvoice):
        if wanted not in (None, content.account_id):
            raise NoInvoiceError(f"the snapshot is of account {content.account_id}, not {wanted}")
        return content
    return _chosen(content, wanted)


def decoded(text: str | bytes) -> str:
    """Return *text*, which is all in one encoding. Raises `NoInvoiceError`."""
    decoded = _in_one_encoding(text) if isinstance(text, bytes) else text
    if "\0" in decoded:
        line = decoded.count("\n", 0, decoded.index("\0")) + 1
        raise NoInvoiceError(f"line {line} has a zero byte: {_MIXED}")
    return decoded.removeprefix("\ufeff")


def _in_one_encoding(text: bytes) -> str:
    # PowerShell writes UTF-16, and many editors write a byte order mark.
    encoding = json.detect_encoding(text)
    if not encoding.startswith("utf-8") and _NAME_IN_BYTES.search(text):
        raise NoInvoiceError(f"it begins as text in UTF-16, and goes on in UTF-8: {_MIXED}")
    try:
        return text.decode(encoding)
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        known = encoding[: len("utf-16")].rstrip("-").upper()
        raise NoInvoiceError(f"line {line} is not text in {known}: {_MIXED}") from None


def _redacted(text: str, prefix: str | None, secrets: Secrets) -> list[Found] | MissingInvoice:
    """
    Return what is in *text*, with the *secrets* redacted.

    Raises `NoInvoiceError` where that would change what is judged: no limit is on a line that is
    called ``[redacted]``.
    """
    if not secrets.may_be_in_json(text):
        return _content(text, prefix, None)
    redacted, plain = (_attempt(text, prefix, each) for each in (secrets, None))
    if isinstance(redacted, BillingError) and isinstance(plain, BillingError):
        raise redacted
    if (
        isinstance(redacted, BillingError)
        or isinstance(plain, BillingError)
        or _judged(redacted) != _judged(plain)
    ):
        raise NoInvoiceError(
            "what is judged in it repeats the value of a credential in the environment or of the "
            "stack, and cannot be redacted: is a variable such as X_TOKEN set to a placeholder?"
        )
    return redacted


def _attempt(
    text: str, prefix: str | None, secrets: Secrets | None
) -> list[Found] | MissingInvoice | BillingError:
    try:
        return _content(text, prefix, secrets)
    except BillingError as error:
        return error.with_traceback(None)


def _judged(content: list[Found] | MissingInvoice) -> Any:
    """Return *content* without what is only shown."""
    if isinstance(content, MissingInvoice):
        return _answers(content.snapshot)
    return [
        (
            replace(
                found,
                state=replace(found.state, base_url=found.state.base_url and ""),
                baseline_url=found.baseline_url and "",
                notes=(),
                caveats=(),
                names=(),
                snapshot=None,
                urns=(),
                violations=tuple(replace(each, message="", urn="") for each in found.violations),
            ),
            [caveat.kind for caveat in found.caveats],
            _answers(found.snapshot),
        )
        for found in content
    ]


def _answers(snapshot: Snapshot | None) -> Any:
    if snapshot is None:
        return None
    answers = {
        name: None if isinstance(answer, BillingError) else answer
        for name, answer in snapshot.answers.items()
    }
    return snapshot.account_id, snapshot.read_at, foreign(snapshot.base_url) is None, answers


def _content(
    text: str, prefix: str | None, secrets: Secrets | None
) -> list[Found] | MissingInvoice:
    if text.lstrip()[:1] == "[" and parse_json(text) is not None:
        raise NoInvoiceError(_NO_OBJECT)
    objects = _objects(text, secrets)
    if objects.of_previews:
        if objects.judged_line is not None:
            raise NoInvoiceError(
                f"line {objects.judged_line} has an invoice or an answer of the API beside the "
                "preview: give each its own --from"
            )
        return previews.find_invoices(objects.of_previews, prefix)
    if not text.strip():
        raise NoInvoiceError("it is empty")
    if objects.first is None:
        raise NoInvoiceError(_NO_OBJECT if parse_json(text) is not None else _NO_JSON)
    if objects.others > 1:
        raise NoInvoiceError("it holds several JSON objects, none of which is a preview")
    return _in_other(objects.first, prefix)


@dataclass
class _Objects:
    """
    The objects in a text: those of previews, and how many others, with the first of them.

    ``judged_line`` is where the first of the others begins that would be judged if it were alone,
    if there is one.
    """

    of_previews: list[PlacedObject] = field(default_factory=list)
    first: Mapping[str, Any] | None = None
    others: int = 0
    judged_line: int | None = None


def _objects(text: str, secrets: Secrets | None) -> _Objects:
    objects = _Objects()
    for placed in find_objects(text):
        if secrets is not None:
            placed = replace(placed, value=secrets.redact_all(placed.value))
        if _is_of_preview(placed.value):
            objects.of_previews.append(placed)
            continue
        # Only the first is ever used, and a log can have millions.
        if objects.first is None:
            objects.first = placed.value
        objects.others += 1
        if objects.judged_line is None and _is_judged(placed.value):
            objects.judged_line = placed.line
    return objects


def _is_of_preview(value: Mapping[str, Any]) -> bool:
    return is_event(value) or previews.is_digest(value)


def _is_judged(value: Mapping[str, Any]) -> bool:
    is_error = value.get("success") is False and "errors" in value
    result = value.get("result")
    # Others write a result too, such as a logger.
    has_result = isinstance(result, Mapping) and ("success" in value or "amount_due" in result)
    is_answer = is_error or has_result
    is_invoice = is_snapshot(value) or "amount_due" in value
    return is_answer or is_invoice or bool(invoices_in_outputs(value))


def _in_other(content: Mapping[str, Any], prefix: str | None) -> list[Found] | MissingInvoice:
    if is_snapshot(content):
        return _of_snapshot(Snapshot.from_json(content), prefix)
    if _holds_state(content):
        raise NoInvoiceError(
            "this is a stack's state, an update plan, or a preview within another object, whose "
            "figures may be those of the last deployment: give the output of `pulumi preview "
            "--json` or `pulumi stack output --json` as it is"
        )
    is_answer = _is_answer(content)
    if is_answer or _is_result(content):
        if prefix is not None:
            raise NoInvoiceError("--prefix chooses among stack outputs, and this is the API's JSON")
        if is_answer:
            return [_of_api(content)]
        return [Found(InvoiceState(None, Invoice.from_api(dict(content))))]
    invoices = [of_outputs(outputs) for outputs in invoices_in_outputs(content, prefix)]
    if not invoices and has_secret(content):
        raise NoInvoiceError(f"no invoice can be read in it, and {SECRET_IN_OUTPUTS}")
    referred = only_referred_to(content, invoices)
    if not invoices and referred:
        raise NoInvoiceError(f"no invoice can be read in it. {referred[0].text.rstrip('.')}")
    caveats = [*not_judged(may_be_invoices(content)), *referred] if prefix is None else []
    return [
        replace(invoice, notes=(_OF_LAST_DEPLOYMENT,), caveats=(*invoice.caveats, *caveats))
        for invoice in invoices
    ]


def _holds_state(value: Any) -> bool:
    """Return whether *value* is a resource's state or an update plan, or holds one at any depth."""
    if isinstance(value, list):
        return any(map(_holds_state, value))
    if not isinstance(value, Mapping):
        return False
    # A resource among a stack's outputs can have both, such as a reference to a stack, but no type.
    kind = value.get("type")
    is_resource = bool(kind) and (kind in TYPES or kind == type_in(urn_of(value)))
    is_state = any(isinstance(value.get(name), Mapping) for name in ("inputs", "outputs"))
    is_plan = isinstance(value.get("resourcePlans"), Mapping)
    return is_plan or (is_resource and is_state) or any(map(_holds_state, value.values()))


def _is_answer(content: Mapping[str, Any]) -> bool:
    """Return whether *content* is an answer of the API, and not a stack's outputs of such names."""
    if "success" not in content and "result" not in content:
        return False
    outputs = {name: value for name, value in content.items() if name != "result"}
    return not invoices_in_outputs(outputs) and not _is_exported(content.get("result"))


def _is_result(content: Mapping[str, Any]) -> bool:
    """Return whether *content* is the API's invoice, and not a stack's outputs, one called id."""
    is_invoice = "id" in content and "amount_due" in content and "account_id" not in content
    return is_invoice and not _is_exported(content) and len(invoices_in_outputs(content)) < 2


def _is_exported(invoice: Any) -> bool:
    """Return whether an *invoice* has what programs export, and the API does not send."""
    return isinstance(invoice, Mapping) and not _ONLY_EXPORTED.isdisjoint(map(snake_case, invoice))


def _of_snapshot(snapshot: Snapshot, prefix: str | None) -> list[Found] | MissingInvoice:
    if prefix is not None:
        raise NoInvoiceError("--prefix chooses among stack outputs, and this is a snapshot")
    try:
        found = Found.of_snapshot(snapshot)
    except BillingError as error:
        missing = MissingInvoice.of_snapshot(snapshot)
        if missing is not None:
            return missing
        raise NoInvoiceError(f"the snapshot has no upcoming invoice: {error}") from None
    return [replace(found, notes=(f"A snapshot of {snapshot.read_at:%Y-%m-%d %H:%M} UTC.",))]


def _of_api(answer: Mapping[str, Any]) -> Found:
    # What the client holds against an answer: anything else than true is no success.
    if answer.get("success", True) is not True:
        errors = "; ".join(reason.text for reason in reasons(answer)) or "without a reason"
        raise NoInvoiceError(f"this answer of the API is an error: {one_line(errors)}")
    # One page of several is a part: the others are not in the file.
    complete = INVOICE_PREVIEW.is_complete(answer)
    return Found(InvoiceState(None, Invoice.from_api(answer.get("result"), Answered(complete))))


def _chosen(found: list[Found], wanted: str | None) -> list[Found]:
    every = known = _with_copies_named(
        [_of_account(invoice, known_account(invoice.state.account_id)) for invoice in found]
    )
    if wanted is not None:
        # Another stack that a policy pack blocked stays blocked.
        violations = each_once(invoice.violations for invoice in known)
        known = [
            replace(_of_account(invoice, wanted), violations=violations)
            for invoice in known
            if invoice.state.account_id in (None, wanted)
        ]
    if not known:
        accounts = [each.state.account_id for each in every if each.state.account_is_shown]
        raise NoInvoiceError(_none(wanted, list(dict.fromkeys(filter(None, accounts)))))
    return one_of_each_account(_with_copies_merged(known))


def _with_copies_named(found: list[Found]) -> list[Found]:
    """
    Return *found*, in which one of an unknown account that is certainly here once more is of the
    account of the other.
    """
    # An invoice has no hash, and there can be thousands of each.
    accounts = {
        repr(each.invoice): each.state.account_id for each in found if each.state.account_id
    }
    return [
        each if each.state.account_id else _of_account(each, accounts.get(repr(each.invoice)))
        for each in found
    ]


def _of_account(found: Found, account_id: str | None) -> Found:
    return replace(found, state=replace(found.state, account_id=account_id))


def _none(wanted: str | None, accounts: Sequence[str]) -> str:
    """Say that there is no invoice of the *wanted* account, but perhaps of other *accounts*."""
    whose = f" of account {wanted}" if wanted else ""
    if accounts:
        more = len(accounts) - _MOST_ACCOUNTS
        named = ", ".join(accounts[:_MOST_ACCOUNTS])
        return f"no invoice{whose} in it, only of {named}{f' and {more:,} more' * (more > 0)}"
    return (
        f"no invoice{whose} in it: the program needs an "
        "InvoicePreview (for `pulumi preview --json`) or export_invoice (for `pulumi stack output "
        "--json`)"
    )


def _with_copies_merged(found: list[Found]) -> list[Found]:
    """Return *found*, or one where all are of unknown accounts and equal."""
    if any(each.state.account_id for each in found):
        return found
    if all(each.invoice == found[0].invoice for each in found):
        return [merged(found)]
    raise NoInvoiceError(
        "it has several invoices without an account ID, which cannot be told apart: choose with "
        "--account-id or --prefix"
    )
