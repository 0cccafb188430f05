"""
The client of Cloudflare's AI Gateway billing API.

Only what can get better is retried (HTTP 429 and 5xx, a network that failed), and a fetch is
bounded as a whole, retries, name resolution and slow answers included.
"""

import logging
import ssl
import threading
import time
from concurrent.futures import Future, InvalidStateError
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pydantic_core
import stamina

from pulumi_cf_invoice.errors import ApiError, BadAnswer, ConnectionFailed, FetchError
from pulumi_cf_invoice.invoice import Invoice
from pulumi_cf_invoice.settings import (
    CLOUDFLARE_API,
    DEFAULT_TIMEOUT,
    Authentication,
    Credentials,
    Settings,
    canonical_account_id,
    is_loopback,
    safe_base_url,
)

LARGEST_BODY = 32 * 2**20
_ATTEMPTS = 4
_REDIRECTS = 3
_CONNECT_TIMEOUT = 10.0
_RETRIED = {429, 500, 502, 503, 504}

# stamina logs each retry as a warning, which Python prints when the program set up no logging.
logging.getLogger("stamina").addHandler(logging.NullHandler())


class BillingClient:
    """
    Reads invoice previews from one base URL with one set of credentials, in any Python program.

    *timeout* is in seconds and bounds a whole fetch. Raises `SettingsError` when a part of the
    credentials is an Output, or the base URL is not safe. Each call asks the API; who wants one
    answer for many callers uses `pulumi_cf_invoice.snapshot`.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        base_url: str = CLOUDFLARE_API,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self._authentication = credentials.authentication()
        self._base_url = safe_base_url(base_url)
        self._timeout = timeout

    @classmethod
    def from_settings(cls, settings: Settings) -> "BillingClient":
        """The client for resolved settings."""
        client = cls.__new__(cls)
        client._authentication = settings.authentication
        client._base_url = settings.base_url
        client._timeout = settings.timeout
        return client

    def get_invoice_preview(self, account_id: str) -> Invoice:
        """
        The upcoming invoice of *account_id* (32 hex digits).

        Raises `SettingsError`, `ApiError`, `ConnectionFailed` or `BadAnswer`.
        """
        return self.start(canonical_account_id(account_id)).result()

    def start(self, account_id: str) -> "Future[Invoice]":
        """The same in the background: a future that is done within the timeout."""
        future: Future[Invoice] = Future()
        fetch = _Fetch(account_id, self._authentication, self._base_url, self._timeout)

        def run() -> None:
            try:
                _settle(future, fetch.run())
            except Exception as error:
                _settle(future, error)
            finally:
                watchdog.cancel()
                fetch.close()

        def give_up() -> None:
            _settle(future, fetch.timed_out())
            # Ends a read that the server keeps alive.
            fetch.close()

        # Name resolution and headers that trickle heed no timeout of httpx: the watchdog bounds
        # them. Both threads are daemons, so that neither ever keeps a process alive.
        watchdog = threading.Timer(self._timeout, give_up)
        watchdog.daemon = True
        watchdog.start()
        threading.Thread(target=run, name="cf-invoice-fetch", daemon=True).start()
        return future

    def __repr__(self) -> str:
        return f"BillingClient(base_url={self._base_url!r}, timeout={self._timeout:g})"


def _settle(future: "Future[Invoice]", outcome: Invoice | Exception) -> None:
    try:
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
    except InvalidStateError:
        pass  # The other thread was first.


class _Fetch:
    """One fetch, from the first request to the parsed invoice."""

    def __init__(
        self, account_id: str, authentication: Authentication, base_url: str, timeout: float
    ) -> None:
        self._account_id = account_id
        self._authentication = authentication
        self._url = f"{base_url}/accounts/{account_id}/ai-gateway/billing/invoice-preview"
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._last_error: FetchError | None = None
        loopback = is_loopback(urlsplit(base_url).hostname or "")
        # A proxy from the environment is for the network, not for this machine's own addresses.
        try:
            self._http = httpx.Client(
                headers={**authentication.headers, "Accept": "application/json"},
                trust_env=not loopback,
            )
        except (OSError, ValueError) as error:
            raise self._connection_failed(
                f"no connection can be set up: {self._clean(str(error))}",
                "Check SSL_CERT_FILE, SSL_CERT_DIR and the proxy's address (HTTPS_PROXY).",
            ) from None

    def close(self) -> None:
        self._http.close()

    def run(self) -> Invoice:
        retries = stamina.retry_context(
            on=self._retry_in, attempts=_ATTEMPTS, timeout=None, wait_initial=0.2, wait_max=4.0
        )
        for attempt in retries:
            with attempt:
                return self._ask()
        raise AssertionError("unreachable")

    def timed_out(self) -> ConnectionFailed:
        last = f"; before that: {self._last_error.problem}" if self._last_error else ""
        return self._connection_failed(
            f"no complete answer within {self._timeout:g} s{last}",
            "Run again, or allow more time: `pulumi config set cf-invoice:timeout SECONDS`.",
        )

    def _retry_in(self, error: Exception) -> bool | float:
        if not isinstance(error, FetchError):
            return False
        self._last_error = error
        if isinstance(error, ApiError):
            if error.status not in _RETRIED:
                return False
            wait = error.retry_after or 0.0
            if wait >= self._deadline - time.monotonic():
                return False
            return wait or True
        return isinstance(error, _NetworkFailed)

    def _ask(self) -> Invoice:
        try:
            response, body = self._get()
        except httpx.DecodingError:
            raise self._bad("the answer's compression is broken", None) from None
        except httpx.HTTPError as error:
            raise self._network_error(error) from None
        except (RuntimeError, OSError):
            # The watchdog closed the connection under a read.
            raise self.timed_out() from None
        return self._read(response, body)

    def _get(self) -> tuple[httpx.Response, bytes]:
        request = self._http.build_request("GET", self._url)
        for _ in range(_REDIRECTS + 1):
            remaining = max(0.001, self._deadline - time.monotonic())
            request.extensions["timeout"] = httpx.Timeout(
                remaining, connect=min(remaining, _CONNECT_TIMEOUT)
            ).as_dict()
            with_body = self._http.send(request, stream=True)
            try:
                if not with_body.has_redirect_location:
                    return with_body, self._body(with_body)
                request = self._next(request, with_body)
            finally:
                with_body.close()
        raise self._connection_failed(
            f"more than {_REDIRECTS} redirects", "Check the base URL and any proxy before it."
        )

    def _next(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:
        following = response.next_request
        origin = (request.url.scheme, request.url.host, request.url.port)
        if following is None or origin != (
            following.url.scheme,
            following.url.host,
            following.url.port,
        ):
            elsewhere = "nowhere" if following is None else f"the host {following.url.host}"
            raise self._connection_failed(
                f"HTTP {response.status_code} redirects to {elsewhere}, "
                "where credentials are not sent",
                "Check the base URL and any proxy before it.",
            )
        return following

    def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise self._bad(
                    f"the answer is larger than {LARGEST_BODY // 2**20} MiB", _ray(response)
                )
            if time.monotonic() > self._deadline:
                raise self.timed_out()
        return bytes(body)

    def _read(self, response: httpx.Response, body: bytes) -> Invoice:
        ray = _ray(response)
        try:
            answer = pydantic_core.from_json(body, allow_inf_nan=False)
        except ValueError:
            answer = None
        if response.status_code != 200:
            raise self._refused(response, answer)
        if not isinstance(answer, dict):
            kind = response.headers.get("content-type", "no content type").split(";")[0]
            problem = f"the answer is not JSON ({kind[:60]}, {len(body)} bytes)"
            raise self._bad(problem if body else "the answer is empty", ray)
        if answer.get("success") is not True:
            raise self._refused(response, answer)
        if answer.get("result") is None:
            raise self._bad("the answer has no result", ray)
        try:
            return Invoice.from_api(answer["result"])
        except ValueError as error:
            raise self._bad(f"the answer is no invoice: {error}", ray) from None

    def _refused(self, response: httpx.Response, answer: Any) -> ApiError:
        code, message = _first_error(answer)
        return ApiError(
            self._account_id,
            status=response.status_code,
            code=code,
            message=self._clean(message or response.reason_phrase or "no message"),
            ray_id=_ray(response),
            retry_after=_retry_after(response),
        )

    def _network_error(self, error: httpx.HTTPError) -> FetchError:
        host = urlsplit(self._url).hostname
        if isinstance(error, httpx.TimeoutException) and time.monotonic() >= self._deadline:
            return self.timed_out()
        if _caused_by(error, ssl.SSLError):
            return self._connection_failed(
                f"no trusted TLS connection to {host}: {self._clean(str(error))}",
                "Check the base URL, this machine's clock and its certificates (SSL_CERT_FILE).",
            )
        problem = self._clean(str(error)) or type(error).__name__
        return _NetworkFailed(
            self._account_id,
            f"no answer from {host}: {problem}",
            "Check the network, the base URL and any proxy, and run again.",
        )

    def _connection_failed(self, problem: str, remedy: str) -> ConnectionFailed:
        return ConnectionFailed(self._account_id, problem, remedy)

    def _bad(self, problem: str, ray: str | None) -> BadAnswer:
        return BadAnswer(self._account_id, self._clean(problem), ray)

    def _clean(self, text: str) -> str:
        line = " ".join(self._authentication.redact(text).split())
        return (line if len(line) <= 300 else f"{line[:299]}…").rstrip(".")


class _NetworkFailed(ConnectionFailed):
    """A failure of the network that a retry may find gone."""


def _first_error(answer: Any) -> tuple[int | None, str | None]:
    errors = answer.get("errors") if isinstance(answer, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return None, None
    code, message = first.get("code"), first.get("message")
    return (
        int(code) if isinstance(code, (int, float)) else None,
        message if isinstance(message, str) else None,
    )


def _ray(response: httpx.Response) -> str | None:
    ray = response.headers.get("cf-ray")
    return ray[:64] if ray else None


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False
