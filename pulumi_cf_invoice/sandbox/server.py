"""The sandbox's server: the API's reads with their answers, and a thread to run it in."""

import asyncio
import json
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.accounts import PER_PAGE as ACCOUNTS_OF_A_PAGE
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.gateways import PER_PAGE as GATEWAYS_OF_A_PAGE
from pulumi_cf_invoice.billing.reads import ACCOUNTS, GATEWAYS, INVOICE_PREVIEW, READS
from pulumi_cf_invoice.sandbox.accounts import QueryError, Scenario, whole_number
from pulumi_cf_invoice.sandbox.directory import Directory
from pulumi_cf_invoice.sandbox.faults import FAULTS, RAY_ID, refusal
from pulumi_cf_invoice.sandbox.limits import RateLimit
from pulumi_cf_invoice.sandbox.pages import PAGE_SIZE, Pages, page_of
from pulumi_cf_invoice.sandbox.scenarios import SCENARIOS

TOKEN = "sandbox-token"
USUAL = "usual"
"""The default scenario of accounts."""
EMAIL, KEY = "sandbox@example.com", "sandbox-key"
_PREFIX = "/client/v4"
_NAMES = {read.name: read for read in (*READS, ACCOUNTS)}
_LONGEST_ERROR = 2000
_LARGEST_CHANGE = 64 * 2**10


class Asked(NamedTuple):
    """A request: the account, the name of the read, and the parameters of the query."""

    account_id: str
    read: str
    query: Mapping[str, str]


class Sandbox:
    """
    A running sandbox; use it as a context manager.

    Point programs to its ``base_url``. The answers can be changed while it runs: ``scenario``,
    ``fault``, ``faults`` (of single reads, by their names), ``accounts`` (account IDs with
    scenarios of their own), ``amount_due`` (changes the figure, in minor units, and the largest
    line with it), ``fail_times`` (limits faults to that many requests), ``shuffle`` (reorders the
    lines each time) and ``together`` (names of reads that are only answered once all have been
    requested). ``asked`` has the requests, in order, one for each page, and ``requests`` their
    account IDs. ``now`` fixes the clock that determines the month.

    It lists *number_of_accounts* accounts, with their own figures as long as the scenario is
    "usual", refuses requests beyond a *rate_limit* such as ``100/3s`` (``refusals`` counts them),
    and delays each answer by *latency* seconds. ``most_connections`` is the largest number of
    concurrent connections.

    It takes the API token ``sandbox-token``, or the e-mail ``sandbox@example.com`` with the key
    ``sandbox-key``.
    """

    def __init__(
        self,
        scenario: str = USUAL,
        fault: str | None = None,
        *,
        port: int = 0,
        now: datetime | None = None,
        tls: ssl.SSLContext | None = None,
        number_of_accounts: int = 1,
        rate_limit: str | None = None,
        latency: float = 0.0,
    ) -> None:
        self.directory = Directory(number_of_accounts)
        self.latency = latency
        self.refusals = 0
        self.connections = self.most_connections = 0
        self._rate_limit = None if rate_limit is None else RateLimit.parse(rate_limit)
        self._previews: Counter[str] = Counter()
        self._counted = 0
        self.accounts: dict[str, str] = _Scenarios()
        self.faults: dict[str, str] = _Faults()
        self.amount_due: int | None = None
        self.fail_times: int | None = None
        self.shuffle = False
        self.together: frozenset[str] = frozenset()
        self.asked: list[Asked] = []
        self._now = now
        self.scenario = scenario
        self.fault = fault
        self._socket = socket.create_server(("127.0.0.1", port))
        scheme = "https" if tls else "http"
        self.base_url = f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}{_PREFIX}"
        self._server = uvicorn.Server(_config(self, tls))

    @property
    def requests(self) -> list[str]:
        """The requested account IDs, in order."""
        return [asked.account_id for asked in self.asked]

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
        """Make `serve` return, even if it has not started yet."""
        self._server.should_exit = self._server.force_exit = True

    def __enter__(self) -> "Sandbox":
        self._thread = threading.Thread(target=self.serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()
        self._socket.close()

    def fault_of(self, read: str) -> str | None:
        """Return the fault that the next request for *read* meets, if any."""
        fault = self.faults.get(read, self.fault)
        if fault is None or self.fail_times == 0 or not FAULTS[fault].concerns(read):
            return None
        return fault

    def take_fault(self, read: str) -> str | None:
        """Return the fault that this request for *read* meets, and count it."""
        fault = self.fault_of(read)
        if fault is not None and self.fail_times is not None:
            self.fail_times -= 1
        return fault

    def answer(
        self,
        account_id: str,
        read: str = INVOICE_PREVIEW.name,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """
        Return a healthy answer to *read* of *account_id*, in the API's envelope.

        Raises `QueryError` for a *query* that the API refuses.
        """
        query = query or {}
        scenario = self._scenario_of(account_id)
        number = whole_number(query, "page", 1)
        if scenario.pages == "failing" and number > 1:
            raise QueryError(503, 10002, "Service unavailable")
        now = self._now or datetime.now(UTC)
        call = max(self._previews_of(account_id) - 1, 0)
        account = scenario.at(now, call, self.amount_due)
        if read == GATEWAYS.name:
            return _listed(account.gateways, query, scenario.pages)
        result = account.result(read, query)
        envelope = {"success": True, "errors": [], "messages": []}
        if read != INVOICE_PREVIEW.name:
            return {**envelope, "result": result}
        lines = result["invoice_lines"]
        if self.shuffle:
            turn = call % max(len(lines), 1)
            lines = lines[turn:] + lines[:turn]
        if scenario.pages is None:
            return {**envelope, "result": {**result, "invoice_lines": lines}}
        part, info = page_of(lines, number, PAGE_SIZE, scenario.pages)
        moved = {"amount_due": result["amount_due"] + number} if scenario.pages == "moving" else {}
        result = {**result, "invoice_lines": part, **moved}
        return {**envelope, "result": result, "result_info": info}

    def _scenario_of(self, account_id: str) -> Scenario:
        name = self.accounts.get(account_id)
        if name is None and len(self.directory.ids) > 1 and self.scenario == USUAL:
            listed = self.directory.scenario(account_id.lower())
            if listed is not None:
                return listed
        return SCENARIOS[name or self.scenario]

    def _previews_of(self, account_id: str) -> int:
        if len(self.asked) < self._counted:
            self._counted = 0
            self._previews.clear()
        for asked in self.asked[self._counted :]:
            if asked.read == INVOICE_PREVIEW.name:
                self._previews[asked.account_id] += 1
        self._counted = len(self.asked)
        return self._previews[account_id]

    def listing(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of the list of accounts, in the API's envelope. Raises `QueryError`."""
        number, size = whole_number(query, "page", 1), whole_number(query, "per_page", 20)
        size, total = min(size, ACCOUNTS_OF_A_PAGE), len(self.directory.ids)
        part = range((number - 1) * size, min(number * size, total))
        accounts = [self.directory.listed(n) for n in part]
        info = {
            "page": number,
            "per_page": size,
            "count": len(accounts),
            "total_count": total,
            "total_pages": -(-total // size),
        }
        envelope = {"success": True, "errors": [], "messages": []}
        return {**envelope, "result": accounts, "result_info": info}

    def allow(self, headers: Mapping[str, str]) -> tuple[bool, dict[str, str]]:
        """
        Count a request with these *headers*.

        Return whether the rate limit allows it, and the headers that tell of that limit.
        """
        if self._rate_limit is None:
            return True, {}
        is_allowed, stated = self._rate_limit.take(headers.get("authorization", ""))
        self.refusals += not is_allowed
        return is_allowed, stated

    async def all_asked(self) -> None:
        """Wait until all reads in ``together`` have been requested."""
        while not self.together <= {asked.read for asked in self.asked}:
            await asyncio.sleep(0.01)

    def state(self) -> dict[str, Any]:
        """Return what the control path shows."""
        return {
            "scenario": self.scenario,
            "fault": self.fault,
            "faults": dict(self.faults),
            "amount_due": self.amount_due,
            "requests": len(self.asked),
        }


def _listed(entries: list[Any], query: Mapping[str, str], pages: Pages | None) -> dict[str, Any]:
    number, size = whole_number(query, "page", 1), whole_number(query, "per_page", 20)
    size = min(size, GATEWAYS_OF_A_PAGE) if pages is None else PAGE_SIZE
    part, info = page_of(entries, number, size, pages)
    envelope = {"success": True, "errors": [], "messages": []}
    return {**envelope, "result": part, "result_info": {**info, "count": len(part)}}


class _Scenarios(dict[str, str]):
    def __setitem__(self, account_id: str, scenario: str) -> None:
        _require(scenario, SCENARIOS, "scenario")
        super().__setitem__(account_id, scenario)


class _Faults(dict[str, str]):
    def __setitem__(self, read: str, fault: str) -> None:
        _require(read, _NAMES, "read")
        _require(fault, FAULTS, "fault")
        if not FAULTS[fault].concerns(read):
            raise ValueError(f"the fault {fault!r} is none of {read}")
        super().__setitem__(read, fault)


def _require(name: str, known: dict[str, Any], kind: str) -> None:
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"no {kind} {str(name)[:60]!r}; there are: {', '.join(known)}")


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

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            sandbox.connections += 1
            sandbox.most_connections = max(sandbox.most_connections, sandbox.connections)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            sandbox.connections -= 1

        def shutdown(self) -> None:
            # At once: some faults would keep a connection open forever.
            self.transport.abort()

        def data_received(self, data: bytes) -> None:
            asked = _asked(data)
            fault = sandbox.fault_of(asked.read) if asked else None
            wire = FAULTS[fault].wire if fault else None
            if asked is None or wire is None:
                super().data_received(data)
                return
            sandbox.take_fault(asked.read)
            sandbox.asked.append(asked)
            wire(self.transport)

    return Protocol


def _asked(data: bytes) -> Asked | None:
    """Return what the first bytes of a request ask for, if that is a read of an account."""
    found = re.match(
        rb"GET \S*/accounts/([^/\s]*)/(?:ai-gateway/(?:billing/)?)?([^/?\s]*)(\S*)", data
    ) or re.match(rb"GET [^\s?]*/()(accounts)(\?\S*)? ", data)
    if found is None:
        return None
    account_id, read, query = (part.decode("ascii", "replace") for part in found.groups(b""))
    return Asked(account_id, read, dict(parse_qsl(query.lstrip("?"))))


def _app(sandbox: Sandbox) -> Starlette:
    def answering(read: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            account_id = request.path_params.get("account_id", "")
            sandbox.asked.append(Asked(account_id, read, dict(request.query_params)))
            is_allowed, stated = sandbox.allow(request.headers)
            if sandbox.latency:
                await asyncio.sleep(sandbox.latency)
            if read in sandbox.together:
                await sandbox.all_asked()
            if is_allowed:
                response = _respond(sandbox, request, read)
            else:
                response = refusal(429, 10013, "Rate limited")
            response.headers.update(stated)
            return response

        return answer

    async def control(request: Request) -> Response:
        if request.method in ("GET", "HEAD"):
            return JSONResponse(sandbox.state())
        try:
            _set(sandbox, _parsed(await request.body()))
        except ValueError as error:
            return JSONResponse({"error": one_line(str(error), _LONGEST_ERROR)}, 400)
        return JSONResponse(sandbox.state())

    async def not_found(request: Request, error: Exception) -> Response:
        return refusal(404, 7000, "No route for that URI")

    async def not_allowed(request: Request, error: Exception) -> Response:
        allowed = getattr(error, "headers", None) or {}
        return refusal(405, 10405, f"Method {request.method} is not allowed here", **allowed)

    routes = [
        *(
            Route(f"{_PREFIX}{read.path('{account_id}')}", answering(read.name))
            for read in (*READS, ACCOUNTS)
        ),
        Route("/sandbox", control, methods=["GET", "PUT"]),
    ]
    return Starlette(routes=routes, exception_handlers={404: not_found, 405: not_allowed})


def _respond(sandbox: Sandbox, request: Request, read: str) -> Response:
    account_id = request.path_params.get("account_id")
    fault = sandbox.take_fault(read)
    respond = FAULTS[fault].respond if fault else None

    def answer() -> dict[str, Any]:
        if account_id is None:
            return sandbox.listing(request.query_params)
        return sandbox.answer(account_id, read, request.query_params)

    try:
        if respond is not None:
            return respond(request, answer())
        if account_id is not None and not re.fullmatch("[0-9a-fA-F]{32}", account_id):
            # Not `request.url`, which is made of the header Host.
            return refusal(400, 7003, f"Could not route to {request.scope['path']}")
        if not _is_authentic(request):
            return refusal(403, 10000, "Authentication error")
        answered = answer()
    except QueryError as error:
        return refusal(*error.refusal)
    return Response(json.dumps(answered), media_type="application/json")


def _parsed(body: bytes) -> Any:
    if len(body) > _LARGEST_CHANGE:
        raise ValueError("the changes are too large")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the changes are not JSON") from None


def _is_authentic(request: Request) -> bool:
    sent = request.headers
    pair = (sent.get("x-auth-email"), sent.get("x-auth-key"))
    return sent.get("authorization") == f"Bearer {TOKEN}" or pair == (EMAIL, KEY)


def _set(sandbox: Sandbox, changes: Any) -> None:
    known = ("scenario", "fault", "faults", "amount_due")
    if not isinstance(changes, dict):
        raise ValueError(f"send an object with any of {', '.join(known)}")
    unknown = set(changes) - set(known)
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    settings = {**changes}
    if "scenario" in settings:
        settings["scenario"] = USUAL if settings["scenario"] is None else settings["scenario"]
        _require(settings["scenario"], SCENARIOS, "scenario")
    if settings.get("fault") is not None:
        _require(settings["fault"], FAULTS, "fault")
    if "faults" in settings:
        settings["faults"] = _faults(settings["faults"])
    due = settings.get("amount_due")
    if due is not None and (type(due) is not int or abs(due) > money.LARGEST_AMOUNT):
        raise ValueError("amount_due is a whole number of minor units, or null")
    for name, value in settings.items():
        setattr(sandbox, name, value)


def _faults(given: Any) -> _Faults:
    if not isinstance(given, dict | None):
        raise ValueError("faults is an object of reads and their faults, or null")
    faults = _Faults()
    for read, fault in (given or {}).items():
        faults[read] = fault
    return faults
