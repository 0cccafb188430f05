"""
What can go wrong with the billing API, as faults that the sandbox can be set to.

A fault either makes an HTTP response, or takes over the connection with its own bytes (``wire``).
"""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

Answer = dict[str, Any]
Respond = Callable[[Request, Answer], Response]
Wire = Callable[[asyncio.Transport], None]

RAY_ID = "8f1a2b3c4d5e6f70-AMS"
_SECONDS_OF_SLOWNESS = 60


@dataclass(frozen=True)
class Fault:
    """One thing that can go wrong, as an HTTP response or as bytes on the wire."""

    description: str
    respond: Respond | None = None
    wire: Wire | None = None


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


def _changed(**changes: Any) -> Respond:
    def respond(request: Request, answer: Answer) -> Response:
        changed = {**answer, "result": {**answer["result"], **changes}}
        return Response(json.dumps(changed), media_type="application/json")

    return respond


def _soon(request: Request, answer: Answer) -> Response:
    date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=2), usegmt=True)
    return refusal(429, 10013, "Rate limited", **{"Retry-After": date})


def _elsewhere(request: Request, answer: Answer) -> Response:
    return RedirectResponse(str(request.url.replace(hostname="127.0.0.2")), 302)


def _around(request: Request, answer: Answer) -> Response:
    return RedirectResponse(str(request.url), 302)


def _echo(request: Request, answer: Answer) -> Response:
    sent = " ".join(
        request.headers.get(name, "") for name in ("authorization", "x-auth-email", "x-auth-key")
    )
    return refusal(400, 6003, f"Invalid request headers: {sent}")


def _truncated(request: Request, answer: Answer) -> Response:
    return Response(json.dumps(answer)[:-40], media_type="application/json")


def _wrong_content_type(request: Request, answer: Answer) -> Response:
    return Response(json.dumps(answer), media_type="text/plain")


def _without_amount(request: Request, answer: Answer) -> Response:
    result = {name: value for name, value in answer["result"].items() if name != "amount_due"}
    return Response(json.dumps({**answer, "result": result}), media_type="application/json")


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
    return _changed(invoice_lines=[*result["invoice_lines"], line])(request, answer)


def _inverted_period(request: Request, answer: Answer) -> Response:
    result = answer["result"]
    return _changed(period_start=result["period_end"], period_end=result["period_start"])(
        request, answer
    )


def _oversized(request: Request, answer: Answer) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"success": true, "result": "'
        for _ in range(48):
            yield b"x" * 2**20

    return StreamingResponse(body(), media_type="application/json")


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
    "http-500": Fault("HTTP 500", _status(500, 10001, "Internal error")),
    "http-502": Fault("HTTP 502 with a proxy's page", _page(502, "502 Bad Gateway")),
    "http-503": Fault("HTTP 503", _status(503, 10002, "Service unavailable")),
    "http-504": Fault("HTTP 504 with a proxy's page", _page(504, "504 Gateway Time-out")),
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
    "missing-fields": Fault("no amount_due", _without_amount),
    "wrong-types": Fault("lines that are text", _changed(invoice_lines="none")),
    "nan": Fault("an amount that is NaN", _changed(amount_due=float("nan"))),
    "numbers-as-text": Fault("an amount as text", _changed(amount_due="18846")),
    "fractional-amount": Fault("an amount with a fraction", _changed(amount_due=18846.5)),
    "huge-amount": Fault("an amount over 2^53", _changed(amount_due=2**53 + 1)),
    "two-currencies": Fault("a line in another currency", _two_currencies),
    "inverted-period": Fault("a period that ends before it starts", _inverted_period),
    "invalid-utf8": Fault("bytes that are no UTF-8", _raw(b'{"success": "\xff\xfe"}')),
    "wrong-content-type": Fault("the right JSON as text/plain", _wrong_content_type),
    "broken-gzip": Fault(
        "gzip that is broken", _raw(b"\x1f\x8b\x08nonsense", **{"Content-Encoding": "gzip"})
    ),
    "echoed-credentials": Fault("an error that repeats the credentials", _echo),
}
"""The faults by name."""
