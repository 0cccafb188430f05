"""The sandbox's server: the API's reads, what they answer with, and a thread to run it in."""

import asyncio
import json
import re
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW, READS
from pulumi_cf_invoice.sandbox.faults import FAULTS, RAY_ID, refusal
from pulumi_cf_invoice.sandbox.scenarios import SCENARIOS, Month, Result

TOKEN = "sandbox-token"
EMAIL, KEY = "sandbox@example.com", "sandbox-key"
_PREFIX = "/client/v4"


class Sandbox:
    """
    A running sandbox; use it as a context manager.

    ``base_url`` is what programs are pointed at. The answers can be changed while it runs:
    ``scenario``, ``fault``, ``accounts`` (account IDs with scenarios of their own), ``amount_due``
    (moves the figure, in minor units), ``fail_times`` (limits a fault to that many requests) and
    ``shuffle`` (puts the lines into another order each time). ``requests`` are the account IDs that
    were asked for, in order, one for each page. ``now`` fixes the clock that decides the month.

    It takes the API token ``sandbox-token``, or the e-mail ``sandbox@example.com`` with the key
    ``sandbox-key``.
    """

    def __init__(
        self,
        scenario: str = "usual",
        fault: str | None = None,
        *,
        port: int = 0,
        now: datetime | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.accounts: dict[str, str] = _Scenarios()
        self.amount_due: int | None = None
        self.fail_times: int | None = None
        self.shuffle = False
        self.requests: list[str] = []
        self._now = now
        self.scenario = scenario
        self.fault = fault
        self._socket = socket.create_server(("127.0.0.1", port))
        scheme = "https" if tls else "http"
        self.base_url = f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}{_PREFIX}"
        self._server = uvicorn.Server(_config(self, tls))

    @property
    def scenario(self) -> str:
        """The scenario of accounts without one of their own. Raises ValueError if it is unknown."""
        return self._scenario

    @scenario.setter
    def scenario(self, name: str) -> None:
        _require(name, SCENARIOS, "scenario")
        self._scenario = name

    @property
    def fault(self) -> str | None:
        """What goes wrong now, if anything. Raises ValueError if it is unknown."""
        return self._fault

    @fault.setter
    def fault(self, name: str | None) -> None:
        if name is not None:
            _require(name, FAULTS, "fault")
        self._fault = name

    def serve(self) -> None:
        """Serve in this thread until interrupted."""
        self._server.run([self._socket])

    def stop(self) -> None:
        """Make `serve` return, even if it has not begun yet."""
        self._server.should_exit = self._server.force_exit = True

    def __enter__(self) -> "Sandbox":
        self._thread = threading.Thread(target=self.serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()
        self._socket.close()

    def take_fault(self) -> str | None:
        """Return the fault that the next request meets, and count it."""
        if self.fault is None or self.fail_times == 0:
            return None
        if self.fail_times is not None:
            self.fail_times -= 1
        return self.fault

    def answer(
        self, account_id: str, read: str = INVOICE_PREVIEW.name, page: int = 1
    ) -> dict[str, Any]:
        """Return a healthy answer to *read* of *account_id*, in the API's envelope."""
        scenario = SCENARIOS[self.accounts.get(account_id, self.scenario)]
        now = self._now or datetime.now(timezone.utc)
        call = max(self.requests.count(account_id) - 1, 0)
        result: Result = scenario.result(read, Month.of(now), call)
        if read != INVOICE_PREVIEW.name:
            return {"success": True, "errors": [], "messages": [], "result": result}
        if self.amount_due is not None:
            result |= {"amount_due": self.amount_due, "amount_remaining": self.amount_due}
        if self.shuffle:
            turn = call % max(len(result["invoice_lines"]), 1)
            result["invoice_lines"] = (
                result["invoice_lines"][turn:] + result["invoice_lines"][:turn]
            )
        envelope = {"success": True, "errors": [], "messages": []}
        if scenario.pages is None:
            return {**envelope, "result": result}
        result, info = scenario.page(result, page)
        return {**envelope, "result": result, "result_info": info}

    def state(self) -> dict[str, Any]:
        """Return what the control path shows."""
        return {
            "scenario": self.scenario,
            "fault": self.fault,
            "amount_due": self.amount_due,
            "requests": len(self.requests),
        }


class _Scenarios(dict[str, str]):
    def __setitem__(self, account_id: str, scenario: str) -> None:
        _require(scenario, SCENARIOS, "scenario")
        super().__setitem__(account_id, scenario)


def _require(name: str, known: dict[str, Any], kind: str) -> None:
    if name not in known:
        raise ValueError(f"no {kind} {name!r}; there are: {', '.join(known)}")


def _config(sandbox: Sandbox, tls: ssl.SSLContext | None) -> uvicorn.Config:
    config = uvicorn.Config(
        _app(sandbox),
        http=_protocol(sandbox),
        log_config=None,
        log_level="critical",
        headers=[("cf-ray", RAY_ID)],
        lifespan="off",
    )
    config.load()
    config.ssl = tls
    return config


def _protocol(sandbox: Sandbox) -> type[asyncio.Protocol]:
    class Protocol(H11Protocol):
        """HTTP as it should be, unless the fault takes over the connection."""

        def shutdown(self) -> None:
            # At once: some faults would keep a connection open for good.
            self.transport.abort()

        def data_received(self, data: bytes) -> None:
            fault = sandbox.fault
            wire = FAULTS[fault].wire if fault else None
            if wire is None or b"/accounts/" not in data or sandbox.fail_times == 0:
                super().data_received(data)
                return
            sandbox.take_fault()
            sandbox.requests.append(data.split(b"/accounts/")[1].split(b"/")[0].decode())
            wire(self.transport)

    return Protocol


def _app(sandbox: Sandbox) -> Starlette:
    def answering(read: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            sandbox.requests.append(request.path_params["account_id"])
            return _respond(sandbox, request, read)

        return answer

    async def control(request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse(sandbox.state())
        try:
            _set(sandbox, await request.json())
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse(sandbox.state())

    async def not_found(request: Request, error: Exception) -> Response:
        return refusal(404, 7000, "No route for that URI")

    async def not_allowed(request: Request, error: Exception) -> Response:
        return refusal(405, 10405, f"Method {request.method} is not allowed here")

    routes = [
        *(Route(f"{_PREFIX}{read.path('{account_id}')}", answering(read.name)) for read in READS),
        Route("/sandbox", control, methods=["GET", "PUT"]),
    ]
    return Starlette(routes=routes, exception_handlers={404: not_found, 405: not_allowed})


def _respond(sandbox: Sandbox, request: Request, read: str) -> Response:
    account_id = request.path_params["account_id"]
    fault = sandbox.take_fault()
    respond = FAULTS[fault].respond if fault else None
    if respond is not None:
        return respond(request, sandbox.answer(account_id, read))
    if not re.fullmatch("[0-9a-fA-F]{32}", account_id):
        return refusal(400, 7003, f"Could not route to {request.url.path}")
    if not _is_authentic(request):
        return refusal(403, 10000, "Authentication error")
    page = int(request.query_params.get("page", 1))
    if (
        page > 1
        and SCENARIOS[sandbox.accounts.get(account_id, sandbox.scenario)].pages == "failing"
    ):
        return refusal(503, 10002, "Service unavailable")
    answer = sandbox.answer(account_id, read, page)
    return Response(json.dumps(answer), media_type="application/json")


def _is_authentic(request: Request) -> bool:
    sent = request.headers
    pair = (sent.get("x-auth-email"), sent.get("x-auth-key"))
    return sent.get("authorization") == f"Bearer {TOKEN}" or pair == (EMAIL, KEY)


def _set(sandbox: Sandbox, changes: Any) -> None:
    if not isinstance(changes, dict):
        raise ValueError("send an object with scenario, fault or amount_due")
    unknown = set(changes) - {"scenario", "fault", "amount_due"}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    settings = {**changes}
    if "scenario" in settings:
        settings["scenario"] = settings["scenario"] or "usual"
        _require(settings["scenario"], SCENARIOS, "scenario")
    if settings.get("fault") is not None:
        _require(settings["fault"], FAULTS, "fault")
    due = settings.get("amount_due")
    if due is not None and type(due) is not int:
        raise ValueError("amount_due is a whole number of minor units, or null")
    for name, value in settings.items():
        setattr(sandbox, name, value)
