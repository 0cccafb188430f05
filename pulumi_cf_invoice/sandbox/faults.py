"""
What can go wrong with the billing API, as faults that the sandbox can simulate.

A fault either makes an HTTP response, or takes over the connection with its own bytes (``wire``).
"""

import asyncio
import gzip
import json
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    USAGE_HISTORY,
)

Answer = dict[str, Any]
Respond = Callable[[Request, Answer], Response]
Wire = Callable[[asyncio.Transport], None]

RAY_ID = "8f1a2b3c4d5e6f70-AMS"
_SECONDS_OF_SLOWNESS = 60
_LONG = 2**20
_ENTRIES = {
    INVOICE_PREVIEW.name: "invoice_lines",
    USAGE_HISTORY.name: "history",
    INVOICE_HISTORY.name: "invoices",
}
_PREVIEW = (INVOICE_PREVIEW.name,)
_BILLING = (*_ENTRIES, CREDIT_BALANCE.name)


@dataclass(frozen=True)
class Fault:
    """One thing that can go wrong, as an HTTP response or as bytes on the wire."""

    description: str
    respond: Respond | None = None
    wire: Wire | None = None
    reads: tuple[str, ...] = ()
    """The reads that it can happen to; by default all."""

    def concerns(self, read: str) -> bool:
        """Return whether it applies to the read of that name."""
        return not self.reads or read in self.reads


def refusal(status: int, code: int, message: str, **headers: str) -> Response:
    """Return an error in Cloudflare's envelope."""
    body = {
        "success": False,
        "errors": [{"code": code, "message": message}],
        "messages": [],
        "result": None,
    }
    return Response(json.dumps(body), status, headers, "application/json")


def _status(status: int, code: int, message: str, **headers: str) -> Respond:
    return lambda request, answer: refusal(status, code, message, **headers)


def _page(status: int, title: str) -> Respond:
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return lambda request, answer: Response(page, status, media_type="text/html")


def _raw(body: bytes, media_type: str = "application/json", **headers: str) -> Respond:
    return lambda request, answer: Response(body, 200, headers, media_type)


def _raw_status(status: int, body: bytes) -> Respond:
    return lambda request, answer: Response(body, status, media_type="application/json")


def _json(answer: Answer, result: Any) -> Response:
    return Response(json.dumps({**answer, "result": result}), media_type="application/json")


def _read(request: Request) -> str:
    return str(request.scope["path"]).rpartition("/")[2]


def _entries(request: Request, answer: Answer) -> list[Any]:
    found: list[Any] = answer["result"][_ENTRIES[_read(request)]]
    return found


def _with_entries(request: Request, answer: Answer, entries: Any) -> Response:
    return _json(answer, {**answer["result"], _ENTRIES[_read(request)]: entries})


def _with_amount(request: Request, answer: Answer, *amount: Any) -> Answer:
    """Return the result with *amount* for its first amount, or without that."""
    read, result = _read(request), answer["result"]
    if read == INVOICE_PREVIEW.name:
        return _replaced(result, "amount_due", *amount)
    if read == CREDIT_BALANCE.name:
        return _replaced(result, "balance", *amount)
    name = "aggregated_value" if read == USAGE_HISTORY.name else "amount_due"
    first, *others = _entries(request, answer) or [{}]
    return {**result, _ENTRIES[read]: [_replaced(first, name, *amount), *others]}


def _replaced(fields: Answer, name: str, *value: Any) -> Answer:
    others = {field: kept for field, kept in fields.items() if field != name}
    return {**others, **dict.fromkeys([name] if value else [], *value)}


def _amount(value: Any) -> Respond:
    return lambda request, answer: _json(answer, _with_amount(request, answer, value))


def _soon(request: Request, answer: Answer) -> Response:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    return refusal(429, 10013, "Rate limited", **{"Retry-After": date})


def _elsewhere(request: Request, answer: Answer) -> Response:
    return RedirectResponse(_url(request, "127.0.0.2"), 302)


def _around(request: Request, answer: Answer) -> Response:
    return RedirectResponse(_url(request), 302)


def _url(request: Request, host: str = "127.0.0.1") -> str:
    # Not `request.url`, which is made of the header Host.
    scope = request.scope
    query = scope["query_string"].decode("ascii", "replace")
    return f"{scope['scheme']}://{host}:{scope['server'][1]}{scope['path']}?{query}"


def _echo(request: Request, answer: Answer) -> Response:
    sent = " ".join(
        request.headers.get(name, "") for name in ("authorization", "x-auth-email", "x-auth-key")
    )
    return refusal(400, 6003, f"Invalid request headers: {sent}")


def _truncated(request: Request, answer: Answer) -> Response:
    return Response(json.dumps(answer)[:-40], media_type="application/json")


def _wrong_content_type(request: Request, answer: Answer) -> Response:
    return Response(json.dumps(answer), media_type="text/plain")


def _unreadable(status: int, encoding: str, body: bytes, **headers: str) -> Respond:
    headers = {"Content-Encoding": encoding, **headers}
    return lambda request, answer: Response(body, status, headers, "text/html")


def _empty_entries(request: Request, answer: Answer) -> Response:
    many = ",".join(["{}"] * 1_000_000)
    body = bytes(_with_entries(request, answer, ["many"]).body)
    return Response(body.replace(b'"many"', many.encode()), media_type="application/json")


def _text_for_entries(request: Request, answer: Answer) -> Response:
    return _with_entries(request, answer, "none")


def _repeated_entries(request: Request, answer: Answer) -> Response:
    entries = [entry for entry in _entries(request, answer) for _ in range(2)]
    return _with_entries(request, answer, entries)


def _without_amount(request: Request, answer: Answer) -> Response:
    return _json(answer, _with_amount(request, answer))


def _inexact_amount(request: Request, answer: Answer) -> Response:
    body = bytes(_json(answer, _with_amount(request, answer, "inexact")).body)
    exact = b"18846.00000000000000000001"
    return Response(body.replace(b'"inexact"', exact), media_type="application/json")


def _text_for_top_up(request: Request, answer: Answer) -> Response:
    return _json(answer, {**answer["result"], "topup_config": "none"})


def _without_pagination(request: Request, answer: Answer) -> Response:
    return _json(answer, {"invoices": answer["result"]["invoices"]})


def _two_currencies(request: Request, answer: Answer) -> Response:
    result = answer["result"]
    line = {
        "description": "openai/gpt-5.5",
        "amount": 100,
        "currency": "eur",
        "quantity": 1,
        "period": {"start": result["period_start"], "end": result["period_end"]},
        "pricing": {"unit_amount_decimal": None},
    }
    return _with_entries(request, answer, [*result["invoice_lines"], line])


def _huge_quantity(request: Request, answer: Answer) -> Response:
    lines = [{**line, "quantity": 10**400} for line in _entries(request, answer)]
    return _with_entries(request, answer, lines)


def _long_texts(character: str) -> Respond:
    """Return an answer whose every name and reason is a megabyte of *character*."""

    def respond(request: Request, answer: Answer) -> Response:
        long, result = character * _LONG, answer["result"]
        if _read(request) == INVOICE_PREVIEW.name:
            first, *others = _entries(request, answer) or [{}]
            return _with_entries(request, answer, [{**first, "description": long}, *others])
        if _read(request) == INVOICE_HISTORY.name:
            first, *others = _entries(request, answer) or [{}]
            return _with_entries(request, answer, [{**first, "description": long}, *others])
        config = {**(result.get("topup_config") or {}), "error": long}
        return _json(answer, {**result, "topup_config": config})

    return respond


def _inverted_period(request: Request, answer: Answer) -> Response:
    result = answer["result"]
    inverted = {"period_start": result["period_end"], "period_end": result["period_start"]}
    return _json(answer, {**result, **inverted})


def _oversized(request: Request, answer: Answer) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"success": true, "result": "'
        for _ in range(48):
            yield b"x" * 2**20

    return StreamingResponse(body(), media_type="application/json")


def _bomb(levels: int) -> Respond:
    """Return an answer of 64 MiB of blanks, compressed *levels* times."""

    def respond(request: Request, answer: Answer) -> Response:
        body = _compressed_blanks()
        for _ in range(levels - 1):
            body = gzip.compress(body)
        encoding = ", ".join(["gzip"] * levels)
        return Response(body, 200, {"Content-Encoding": encoding}, "application/json")

    return respond


@cache
def _compressed_blanks() -> bytes:
    compressor = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    blank = b" " * 2**20
    return b"".join([*(compressor.compress(blank) for _ in range(64)), compressor.flush()])


def _errors(status: int, errors: Any, **more: Any) -> Respond:
    body = {"success": False, "errors": errors, "messages": [], "result": None, **more}
    return lambda request, answer: Response(json.dumps(body), status, media_type="application/json")


def _challenge(request: Request, answer: Answer) -> Response:
    page = "<html><head><title>Just a moment...</title></head><body></body></html>"
    return Response(page, 403, {"cf-mitigated": "challenge"}, "text/html")


_CHAIN = {
    "code": 6003,
    "message": "Invalid request headers",
    "error_chain": [{"code": 6111, "message": "Invalid format for Authorization header"}],
}
_HOSTILE = "No\x1b[31m\u202e such\r\naccount\u2028here"


def _slow(request: Request, answer: Answer) -> Response:
    async def body() -> AsyncIterator[bytes]:
        await asyncio.sleep(_SECONDS_OF_SLOWNESS)
        yield b"{}"

    return StreamingResponse(body(), media_type="application/json")


def _reset(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    # Closing with a linger of zero seconds sends a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _drip(first: bytes, drop: bytes) -> Wire:
    def wire(transport: asyncio.Transport) -> None:
        def again() -> None:
            if not transport.is_closing():
                transport.write(drop)
                asyncio.get_running_loop().call_later(0.1, again)

        transport.write(first)
        again()

    return wire


_TRICKLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"

FAULTS: dict[str, Fault] = {
    "http-400": Fault("HTTP 400", _status(400, 7003, "Could not route to the given account")),
    "http-401": Fault("HTTP 401", _status(401, 10000, "Authentication error")),
    "http-403": Fault("HTTP 403", _status(403, 10000, "Authentication error")),
    "http-404": Fault("HTTP 404", _status(404, 7404, "No billing for this account")),
    "http-429": Fault("HTTP 429 without Retry-After", _status(429, 10013, "Rate limited")),
    "http-429-seconds": Fault(
        "HTTP 429, Retry-After in seconds",
        _status(429, 10013, "Rate limited", **{"Retry-After": "1"}),
    ),
    "http-429-date": Fault("HTTP 429, Retry-After as a date", _soon),
    "http-429-long": Fault(
        "HTTP 429, Retry-After of an hour",
        _status(429, 10013, "Rate limited", **{"Retry-After": "3600"}),
    ),
    "http-408": Fault("HTTP 408", _status(408, 10004, "Request timed out")),
    "http-500": Fault("HTTP 500", _status(500, 10001, "Internal error")),
    "http-501": Fault("HTTP 501, which is not retried", _status(501, 10005, "Not implemented")),
    "http-502": Fault("HTTP 502 with a proxy's page", _page(502, "502 Bad Gateway")),
    "http-503": Fault("HTTP 503", _status(503, 10002, "Service unavailable")),
    "http-504": Fault("HTTP 504 with a proxy's page", _page(504, "504 Gateway Time-out")),
    "http-520": Fault("HTTP 520, from Cloudflare's edge", _page(520, "520")),
    "http-530": Fault("HTTP 530, from Cloudflare's edge", _page(530, "530")),
    "errors-as-text": Fault("errors as plain texts", _errors(400, ["Bad request", "Try later"])),
    "error-singular": Fault(
        "a single error with a list", _errors(400, None, error=[{"code": 7003, "message": "No"}])
    ),
    "error-chain": Fault("an error whose reason is in its chain", _errors(400, [_CHAIN])),
    "several-errors": Fault(
        "several errors at once",
        _errors(403, [{"code": 10000, "message": "Authentication error"}, _CHAIN]),
    ),
    "error-code-huge": Fault(
        "an error whose code is 1e400",
        _raw_status(400, b'{"success":false,"errors":[{"code":1e400,"message":"Huge"}]}'),
    ),
    "error-9109": Fault(
        "a token that may not be used from this address",
        _status(403, 9109, "Cannot use the access token from location: 192.0.2.1"),
    ),
    "error-7000": Fault("no such route", _status(404, 7000, "No route for that URI")),
    "challenge": Fault("a page that asks a browser to prove itself", _challenge),
    "hostile-message": Fault(
        "an error with control characters and line breaks", _status(404, 7404, _HOSTILE)
    ),
    "redirect-elsewhere": Fault("a redirect to another host", _elsewhere),
    "redirect-loop": Fault("a redirect to itself", _around),
    "reset": Fault("the connection is reset", wire=_reset),
    "endless-headers": Fault(
        "headers that never end", wire=_drip(b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n")
    ),
    "trickle": Fault("a body that trickles", wire=_drip(_TRICKLE, b" ")),
    "slow": Fault(f"a body that comes after {_SECONDS_OF_SLOWNESS} s", _slow),
    "oversized-body": Fault("a body of 48 MiB", _oversized),
    "html": Fault("a page instead of JSON", _page(200, "Sign in")),
    "truncated-json": Fault("JSON that is cut off", _truncated),
    "empty-body": Fault("an empty body", _raw(b"")),
    "success-false": Fault(
        "HTTP 200 that says success: false", _status(200, 7500, "Billing is being set up")
    ),
    "result-null": Fault(
        "result: null", _raw(b'{"success":true,"errors":[],"messages":[],"result":null}')
    ),
    "missing-fields": Fault(
        "no amount due, no balance, or no usage", _without_amount, reads=_BILLING
    ),
    "empty-lines": Fault(
        "a million empty lines, rows or entries", _empty_entries, reads=tuple(_ENTRIES)
    ),
    "http-503-brotli": Fault(
        "HTTP 503 in an encoding that was not requested", _unreadable(503, "br", b"x")
    ),
    "challenge-broken": Fault(
        "a challenge page whose compression is broken",
        _unreadable(403, "gzip", b"nonsense", **{"cf-mitigated": "challenge"}),
    ),
    "error-code-endless": Fault(
        "an error whose code has an exponent of 19 digits",
        _raw_status(400, b'{"success":false,"errors":[{"code":1e9999999999999999999}]}'),
    ),
    "wrong-types": Fault(
        "text instead of lines, rows or entries", _text_for_entries, reads=tuple(_ENTRIES)
    ),
    "nan": Fault("an amount that is NaN", _amount(float("nan")), reads=_BILLING),
    "numbers-as-text": Fault("an amount as text", _amount("18846"), reads=_BILLING),
    "inexact-amount": Fault(
        "an amount with more digits than a 64-bit float carries", _inexact_amount, reads=_BILLING
    ),
    "huge-amount": Fault("an amount over 2^53", _amount(2**53 + 1), reads=_BILLING),
    "two-currencies": Fault("a line in another currency", _two_currencies, reads=_PREVIEW),
    "inverted-period": Fault(
        "a period that ends before it starts", _inverted_period, reads=_PREVIEW
    ),
    "long-texts": Fault(
        "a name or a reason of a megabyte of one letter",
        _long_texts("a"),
        reads=(INVOICE_PREVIEW.name, INVOICE_HISTORY.name, CREDIT_BALANCE.name),
    ),
    "long-signs": Fault(
        "a name or a reason of a megabyte of one sign",
        _long_texts("*"),
        reads=(INVOICE_PREVIEW.name, INVOICE_HISTORY.name, CREDIT_BALANCE.name),
    ),
    "invalid-utf8": Fault("bytes that are not UTF-8", _raw(b'{"success": "\xff\xfe"}')),
    "huge-quantity": Fault("a quantity of 401 digits", _huge_quantity, reads=_PREVIEW),
    "repeated-entries": Fault(
        "each row or entry twice",
        _repeated_entries,
        reads=(USAGE_HISTORY.name, INVOICE_HISTORY.name),
    ),
    "top-up-as-text": Fault(
        "text instead of the automatic top-up", _text_for_top_up, reads=(CREDIT_BALANCE.name,)
    ),
    "no-pagination": Fault(
        "earlier invoices without paging information",
        _without_pagination,
        reads=(INVOICE_HISTORY.name,),
    ),
    "wrong-content-type": Fault("the right JSON as text/plain", _wrong_content_type),
    "gzip-bomb": Fault("64 MiB of blanks as gzip", _bomb(1)),
    "gzip-twice": Fault("64 MiB of blanks as gzip in gzip", _bomb(2)),
    "brotli": Fault("an encoding that was not requested", _raw(b"x", **{"Content-Encoding": "br"})),
    "truncated-gzip": Fault(
        "gzip that is cut off",
        _raw(gzip.compress(b'{"success": true}')[:-9], **{"Content-Encoding": "gzip"}),
    ),
    "deep-json": Fault("JSON that is 200,000 levels deep", _raw(b"[" * 200_000)),
    "broken-gzip": Fault(
        "gzip that is broken", _raw(b"\x1f\x8b\x08nonsense", **{"Content-Encoding": "gzip"})
    ),
    "echoed-credentials": Fault("an error that repeats the credentials", _echo),
}
"""The faults by name."""
