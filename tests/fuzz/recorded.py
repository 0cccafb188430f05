"""Inputs as they are recorded, which get damaged, and what is read of each."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pulumi_cf_invoice.billing.credentials import Secrets
from pulumi_cf_invoice.billing.errors import BillingError
from pulumi_cf_invoice.report import input, json_report
from pulumi_cf_invoice.report.found import Found, MissingInvoice
from pulumi_cf_invoice.report.report import make_report
from tests.factories import NOW, SECRET, api_result, snapshot
from tests.fuzz.oracles import hold_one_clean_line

Invoices = list[tuple[str | None, float]]
_DATA = Path(__file__).parents[1] / "unit" / "data"


def read(text: str) -> list[Found] | MissingInvoice | None:
    """Return the content of *text*, or None if it is refused, in one line."""
    try:
        content = text.encode("utf-8", "surrogatepass")
        return input.read_any(content, secrets=Secrets([SECRET]))
    except BillingError as error:
        hold_one_clean_line(error)
        return None


def invoices_in(text: str) -> Invoices | None:
    """Return each account in *text* with its amount due, or None if it is refused."""
    found = read(text)
    if found is None or isinstance(found, MissingInvoice):
        return None
    return [(each.state.account_id, each.state.invoice.amount_due) for each in found]


def hold_refused_or_whole(text: str, *allowed: Invoices | None) -> None:
    """
    Hold that *text* is refused, or read as one of the *allowed*.

    An account whose ID is torn is told as not known.
    """
    found = invoices_in(text)
    assert found is None or any(_is_whole(found, whole) for whole in allowed if whole)


def _is_whole(found: Invoices, whole: Invoices) -> bool:
    has_amounts = sorted(due for _, due in found) == sorted(due for _, due in whole)
    return has_amounts and {account for account, _ in found} <= {None, *dict(whole)}


def shown(found: list[Found]) -> str:
    """Return the report that has most of what was *found*."""
    return json_report.render(make_report(found, at=NOW))


def _recorded(name: str) -> str:
    return (_DATA / name).read_text(encoding="utf-8")


def _terse(stream: str) -> str:
    """Return a *stream* without messages and what nobody reads, numbered anew without a gap."""
    return _numbered(filter(_is_of_steps, map(json.loads, stream.splitlines())))


def _talkative(stream: str) -> str:
    """Return a *stream* with messages before its first step, so that its numbers are large."""
    first, *others = map(json.loads, stream.splitlines())
    message = {"diagnosticEvent": {"severity": "info", "message": "x"}}
    return _numbered([first, *[message] * 20, *others])


def _numbered(events: Iterable[dict[str, Any]]) -> str:
    each = ({**event, "sequence": n, "timestamp": 1} for n, event in enumerate(events))
    return "".join(f"{json.dumps(event)}\n" for event in each)


def _is_of_steps(event: dict[str, Any]) -> bool:
    is_error = event.get("diagnosticEvent", {}).get("severity") == "error"
    kinds = {"preludeEvent", "resourcePreEvent", "resOutputsEvent", "policyEvent", "summaryEvent"}
    return is_error or not kinds.isdisjoint(event)


TWO = _terse(_recorded("cases/13-whole.json"))
"""The events of two invoices, without a stack, in which each line counts."""
_UNCOUNTED = TWO.replace('{"create": 2}', '{"create": 1}')
ONE_READ = '"op": "read"'.join(_UNCOUNTED.rsplit('"op": "create"', 1))
"""The same with an invoice that is only read, so that the summary does not count it."""
STREAM = _recorded("previews/preview-stream-moved.ndjson")
TWO_OF_STACK = _terse(_recorded("previews/blocked/two-accounts.ndjson"))
LATER = _talkative(TWO).replace(":s::proj::", ":dev::blk::")
"""A later preview of the same stack."""
STREAMS = [
    TWO,
    ONE_READ,
    STREAM,
    TWO_OF_STACK,
    *(
        _terse(_recorded(f"previews/{name}.ndjson"))
        for name in (
            "preview-stream-moved-refresh",
            "functions/nested",
            "functions/secret-model",
            "blocked/secret-account",
            "targeted/get-preview",
        )
    ),
]
NOT_EVALUATED = [
    _terse(_recorded(f"previews/{name}.ndjson"))
    for name in ("targeted/dependents", "refresh/target")
]
"""Events without fresh figures, which are refused."""
CHEAP, DEAR = (
    f"{part}\n"
    for part in _recorded("cases/13-joined.json").rstrip().replace("}{", "}\0{").split("\0")
)
"""Two digests, each of an account."""
_CHEAP = CHEAP.replace("::up", "::first").replace("pulumi:cheap:", "pulumi:dear:")
_STEPS = [json.loads(text)["steps"][0] for text in (_CHEAP, DEAR)]
BOTH = f"{json.dumps({'steps': _STEPS, 'changeSummary': {'create': 2}}, indent=4)}\n"
"""A digest of two invoices, in as many lines as Pulumi prints it in."""
_ERROR = {"severity": "error", "message": "it has failed"}
FAILED = json.dumps({**json.loads(CHEAP), "diagnostics": [_ERROR]})
WHOLE: dict[str, Invoices | None] = {
    **{text: invoices_in(text) for text in (*STREAMS, LATER, CHEAP, DEAR, BOTH)},
    **dict.fromkeys((*NOT_EVALUATED, FAILED)),
}
"""What each preview has, or None where it is refused."""
EVERY_FIELD: dict[str, Any] = {
    "invoice_preview": api_result(),
    "credit_balance": {
        "balance": 5,
        "topup_config": {"amount": 1, "threshold": 1, "error": "x", "disabledReason": "x"},
    },
    "invoice_history": {
        "invoices": [
            {
                **{"id": "x", "amount_due": 1, "amount_paid": 0, "amount_remaining": 1},
                **{"currency": "usd", "status": "open", "description": "x"},
                **{"invoice_origin": "x", "invoice_pdf": "x", "created_by": "x"},
            }
        ]
    },
    "gateways": [
        {
            **{"id": "x", "workers_ai_billing_mode": "x"},
            "spend_limits": {"enabled": True, "rules": [{"limitType": "x", "technique": "x"}]},
        }
    ],
}
"""A result of each read that has texts, with all that it may have."""
SNAPSHOTS: list[dict[str, Any]] = [
    *(
        json.loads(_recorded(f"cases/{name}.snapshot.json"))
        for name in ("08-invoices-null", "10-period-looks-back")
    ),
    json.loads(snapshot(**EVERY_FIELD).to_json()),
]
