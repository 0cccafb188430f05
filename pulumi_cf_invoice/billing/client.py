"""
The client of Cloudflare's AI Gateway billing API.

Transient failures are retried: HTTP 408, 429, 500, 502 to 504, 520 to 527 and 530, and network
failures. Each read is limited as a whole in memory, and in time (retries, name resolution, slow
answers and further pages included; waits for the rate limit have a limit of their own). Reads of
one address share its connections and its rate limit (`pool` and `pacing`).
"""

import logging
import time
from concurrent.futures import Future, InvalidStateError
from datetime import UTC, datetime
from importlib import import_module
from math import inf
from traceback import format_tb
from typing import Any, Generic, NamedTuple, cast
from urllib.parse import unquote_to_bytes, urlsplit

import tenacity

from pulumi_cf_invoice.billing import retries
from pulumi_cf_invoice.billing.accounts import Accounts
from pulumi_cf_invoice.billing.answers import Reader
from pulumi_cf_invoice.billing.credentials import Credentials
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.errors import (
    ApiError,
    BillingError,
    FetchError,
    InvalidDataError,
    InvalidResponseError,
    RateLimitError,
    SettingsError,
    TransportError,
)
from pulumi_cf_invoice.billing.gateways import Gateways
from pulumi_cf_invoice.billing.http import (
    BodyError,
    BodyTooLargeError,
    httpx,
    in_words,
    is_tls_error,
    read_body,
    reason_of,
    user_agent,
)
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.invoice_history import InvoiceHistory, Type
from pulumi_cf_invoice.billing.models import Answered, adapter, counted
from pulumi_cf_invoice.billing.pacing import LONGEST_WAIT, PacingError
from pulumi_cf_invoice.billing.pages import Collected, PageError, collect
from pulumi_cf_invoice.billing.pool import Pool, pool_of
from pulumi_cf_invoice.billing.reads import (
    ACCOUNTS,
    CREDIT_BALANCE,
    GATEWAYS,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    USAGE_HISTORY,
    ModelT,
    Read,
)
from pulumi_cf_invoice.billing.settings import (
    CLOUDFLARE_API,
    DEFAULT_TIMEOUT,
    Settings,
    canonical_account_id,
    refuse_secret_in,
    safe_base_url,
    seconds_of,
)
from pulumi_cf_invoice.billing.transport import until
from pulumi_cf_invoice.billing.usage_history import Instant, UsageHistory, Window

LARGEST_ANSWER = 4 * 2**20
"""The largest answer accepted, all pages together, in decompressed bytes: some 20,000 lines."""
_LARGEST_ERROR = 64 * 2**10
_REDIRECTS = 3
# Seconds that are not enough for another attempt.
_TOO_LITTLE = 0.05
_log = logging.getLogger(__name__)


class BillingClient:
    """
    Reads from one base URL with one set of credentials.

    *timeout*, in seconds, limits a whole read from its first request on, including retries;
    *more_time* is the advice in an error on how to allow more. In addition, a read waits up to
    *longest_wait* seconds for the rate limit, by default as long as *timeout*. Every call makes a
    request; to share one answer among many callers, use `AnswerCache`. Raises `SettingsError` if
    the base URL is neither https nor on this machine, if *timeout* is not above 0 and up to
    3600 or *longest_wait* is not above 0, or if *credentials* are those of a Pulumi program.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        base_url: str = CLOUDFLARE_API,
        timeout: float = DEFAULT_TIMEOUT,
        more_time: str = Settings.more_time,
        longest_wait: float | None = None,
    ) -> None:
        if not isinstance(credentials, Credentials):
            given, takes = type(credentials), "pulumi_cf_invoice.billing.Credentials"
            if given.__name__ != Credentials.__name__:
                raise SettingsError(f"BillingClient takes {takes}, not {given.__name__}")
            raise SettingsError(
                f"BillingClient takes {takes}, which are text; "
                f"{given.__module__.partition('.')[0]}.{given.__name__} is for a Pulumi program's "
                "resources and functions"
            )
        self._credentials = credentials
        refuse_secret_in(base_url, credentials)
        self._base_url = safe_base_url(base_url)
        self._timeout = seconds_of(timeout)
        self._more_time = more_time
        self._longest_wait = self._timeout
        if longest_wait is not None:
            self._longest_wait = seconds_of(longest_wait, "longest wait", inf)

    @classmethod
    def from_settings(cls, settings: Settings) -> "BillingClient":
        """Return a client with the credentials, base URL and timeout of *settings*."""
        return cls(
            settings.credentials,
            base_url=settings.base_url,
            timeout=settings.timeout,
            more_time=settings.more_time,
            longest_wait=settings.longest_wait,
        )

    def get_invoice_preview(self, account_id: str) -> Invoice:
        """
        Read the upcoming invoice of *account_id* (32 hex digits).

        Raises `SettingsError`, `ApiError`, `RateLimitError`, `TransportError` or
        `InvalidResponseError`.
        """
        return self.submit(INVOICE_PREVIEW, account_id).result()

    def get_credit_balance(self, account_id: str) -> CreditBalance:
        """Read the credit balance of *account_id*. Raises what `get_invoice_preview` raises."""
        return self.submit(CREDIT_BALANCE, account_id).result()

    def get_usage_history(
        self,
        account_id: str,
        since: Instant | None = None,
        until: Instant | None = None,
        window: Window = "day",
    ) -> UsageHistory:
        """
        Read the usage of *account_id* by *window*, in units of usage, which are not money.

        *since* and *until* are instants with a time zone, or UTC days, rounded to whole windows;
        the default is the last 100 days. Raises what `get_invoice_preview` raises.
        """
        now = _now()
        read = USAGE_HISTORY.asked(now, since=since, until=until, window=window)
        return self.submit(read, account_id).result()

    def get_invoice_history(self, account_id: str, type: Type = "all") -> InvoiceHistory:
        """
        Read the earlier invoices of *account_id*, of one *type* or of all.

        Raises what `get_invoice_preview` raises.
        """
        read = INVOICE_HISTORY.asked(_now(), type=type)
        return self.submit(read, account_id).result()

    def get_accounts(self) -> Accounts:
        """
        List the accounts that the token can see, for which it needs Account Settings Read.

        Raises what `get_invoice_preview` raises.
        """
        return self.submit(ACCOUNTS).result()

    def get_gateways(self, account_id: str) -> Gateways:
        """Read the AI gateways of *account_id*. Raises what `get_invoice_preview` raises."""
        return self.submit(GATEWAYS, account_id).result()

    def submit(self, read: Read[ModelT], account_id: str = "") -> "Future[ModelT]":
        """
        Start *read* of *account_id* in the background, with its default query if it has none.

        At most 16 reads of an address run at a time. The future completes within the timeout,
        counted from the read's first request and extended by up to *longest_wait* while the rate
        limit holds it back. It carries any error: this method raises nothing.
        """
        future: Future[ModelT] = Future()
        try:
            account_id = canonical_account_id(account_id) if read.is_of_account else ""
            read = read if read.query else read.asked(_now())
        except BillingError as error:
            future.set_exception(error.with_traceback(None))
            return future
        # Import now what the thread would import: a fork in the meantime would keep the import
        # lock, or a module that is not whole.
        import_module("pulumi_cf_invoice.billing.privacy")
        adapter(read.model)
        pool = pool_of(self._base_url)
        fetch = _Fetch(read, account_id, self._credentials, self._base_url, self._limits(), pool)

        def run() -> None:
            if not future.cancelled():
                _settle(future, fetch.outcome())

        try:
            pool.submit(run)
        except RuntimeError as error:
            _settle(future, fetch.not_started(str(error)))
        return future

    def _limits(self) -> "_Limits":
        return _Limits(self._timeout, self._longest_wait, self._more_time)

    def __repr__(self) -> str:
        return f"BillingClient(base_url={self._base_url!r}, timeout={self._timeout:g})"


def _settle(future: "Future[Any]", outcome: Any) -> None:
    try:
        if isinstance(outcome, Exception):
            future.set_exception(_without_frames(outcome))
        else:
            future.set_result(outcome)
    except InvalidStateError:
        pass  # The other thread was first.


def _without_frames(error: Exception) -> Exception:
    # Frames of httpx keep the request with its headers for as long as somebody keeps the error.
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


class _Limits(NamedTuple):
    timeout: float
    longest_wait: float
    more_time: str


class _Fetch(Generic[ModelT]):
    """One read, from the first request to the parsed model."""

    def __init__(
        self,
        read: Read[ModelT],
        account_id: str,
        credentials: Credentials,
        base_url: str,
        limits: _Limits,
        pool: Pool,
    ) -> None:
        self._read = read
        self._account_id = account_id
        self._credentials = credentials
        self._base_url = base_url
        self._limits = limits
        self._pool = pool
        self._pacer = pool.pacer(credentials)
        self._deadline = 0.0
        self._patience = limits.longest_wait
        self._reader = Reader(read, account_id, credentials, base_url)
        self._is_answered: bool | None = None
        """Whether anything came back in time; None as long as nothing was sent."""
        self._left = LARGEST_ANSWER
        self._last_error: FetchError | None = None
        self._network_error: FetchError | None = None
        self._response: httpx.Response | None = None

    def outcome(self) -> ModelT | Exception:
        """Return the model, or what went wrong."""
        try:
            return self._run()
        except BillingError as error:
            return error
        except Exception as error:
            # An answer that nobody thought of must not end a program with a traceback. Only frames
            # are logged: the message could quote the answer.
            kind, frames = type(error).__name__, "".join(format_tb(error.__traceback__))
            _log.debug("%s while reading the %s:\n%s", kind, self._read.noun, frames)
            return self._reader.invalid(f"it cannot be interpreted ({kind})", self._response)

    def _run(self) -> ModelT:
        """Make the requests, including further pages and retries. Raises `FetchError`."""
        if self._pool.is_silent:
            raise self._transport_error(
                f"no complete answer from {urlsplit(self._base_url).hostname} to the reads before "
                "it",
                "Check the network, the base URL and any proxy, and run again.",
            )
        self._deadline = time.monotonic() + self._limits.timeout
        try:
            return self._read_all(self._client())
        finally:
            if self._is_answered is not None:
                self._pool.note(self._is_answered)

    def _read_all(self, http: httpx.Client) -> ModelT:
        first = self._envelope(http, None)
        if self._read.entries is None:
            return self._parsed(Collected(first["result"], complete=True))

        def next_page(number: int) -> dict[str, Any]:
            try:
                return self._envelope(http, number)
            except FetchError as error:
                _log.info("page %d: %s", number, error.problem)
                raise PageError from None

        return self._parsed(collect(first, self._read.entries, next_page, self._read.per_page))

    def not_started(self, problem: str) -> TransportError:
        """Return the error for a fetch that the system has no thread for."""
        return self._transport_error(problem, "Close some programs, and run again.")

    def timed_out(self) -> TransportError:
        """Return the error for a fetch that reached its time limit."""
        if self._is_answered:
            # An address whose answers never end would hold every read for as long.
            self._is_answered = False
        last = f"; before that: {self._last_error.problem}" if self._last_error else ""
        return self._transport_error(
            f"no complete answer within {self._limits.timeout:g} s{last}",
            f"Run again, or allow more time: {self._limits.more_time}.",
        )

    def _parsed(self, collected: Collected) -> ModelT:
        try:
            answered = Answered(collected.complete, dict(self._read.query), self._read.at or _now())
            model = self._read.model.from_api(collected.result, answered)
        except InvalidDataError as error:
            problem = f"the answer has an invalid result: {error}"
            raise self._reader.invalid(problem, self._response) from None
        return cast(ModelT, model)

    def _envelope(self, http: httpx.Client, page: int | None) -> dict[str, Any]:
        """Request a page, with retries."""
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._is_transient),
            wait=self._wait,
            stop=tenacity.stop_after_attempt(retries.ATTEMPTS),
            before_sleep=_log_retry,
            reraise=True,
        )
        for attempt in attempts:
            with attempt:
                return self._ask(http, page, attempt.retry_state.attempt_number)
        raise AssertionError("unreachable")

    def _client(self) -> httpx.Client:
        try:
            return self._pool.client()
        except OSError as error:
            raise self._transport_error(
                f"no connection can be set up: {self._reader.cleaned(in_words(error))}",
                "Check SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE.",
            ) from None
        except ImportError:
            raise self._transport_error(
                "no connection can be set up: a SOCKS proxy needs the package socksio",
                "Run `pip install 'httpx[socks]'`, or use an HTTP proxy.",
            ) from None
        except (ValueError, httpx.InvalidURL):
            raise self._bad_proxy() from None

    def _bad_proxy(self) -> TransportError:
        # httpx's message about an address can quote a part of the proxy's password.
        return self._transport_error(
            "no connection can be set up: the address of a proxy cannot be used",
            "Check HTTPS_PROXY, ALL_PROXY and NO_PROXY.",
        )

    def _is_transient(self, error: BaseException) -> bool:
        if not isinstance(error, FetchError):
            return False
        self._last_error = error
        if isinstance(error, ApiError):
            is_limit = error.status == 429
            left = self._deadline - time.monotonic()
            allowed = min(self._patience, LONGEST_WAIT) if is_limit else left
            return error.status in retries.TRANSIENT and (error.retry_after or 0.0) < allowed
        return error is self._network_error

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = self._last_error
        if isinstance(error, ApiError) and error.status == 429:
            return 0.0  # The pacer holds it back, and all others with it.
        asked_for = error.retry_after if isinstance(error, ApiError) else None
        left = max(self._deadline - time.monotonic(), 0.0)
        return min(asked_for or retries.backoff(state), left)

    def _ask(self, http: httpx.Client, page: int | None, attempt: int) -> dict[str, Any]:
        try:
            response, body = self._get(http, page)
        except httpx.HTTPError as error:
            raise self._failed_transport(error) from None
        except (httpx.InvalidURL, UnicodeError):
            # The base URL's own host was checked before.
            raise self._transport_error(
                "no connection can be set up: the address of a proxy or of a redirect cannot be "
                "used",
                "Check HTTPS_PROXY, ALL_PROXY and NO_PROXY, and the base URL.",
            ) from None
        except RuntimeError as error:
            raise self.not_started(str(error)) from None
        self._response = response
        return self._reader.envelope(response, body, attempt, self._pacer.requests)

    def _get(self, http: httpx.Client, page: int | None) -> tuple[httpx.Response, bytes]:
        url = f"{self._base_url}{self._read.path(self._account_id)}"
        query = (*self._read.query, *(() if page is None else (("page", str(page)),)))
        request = http.build_request("GET", url, params=query, headers=self._headers())
        for redirects in range(_REDIRECTS + 1):
            response = self._send(http, request, is_redirected=redirects > 0)
            try:
                if not response.has_redirect_location:
                    with until(self._deadline):
                        return response, self._body(response)
                request = self._redirected(request, response)
            finally:
                response.close()
        raise self._transport_error(
            f"more than {_REDIRECTS} redirects", "Check the base URL and any proxy in front of it."
        )

    def _headers(self) -> dict[str, str]:
        return {
            **self._credentials.headers,
            "User-Agent": user_agent(),
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }

    def _send(
        self, http: httpx.Client, request: httpx.Request, is_redirected: bool
    ) -> httpx.Response:
        """
        Send *request* when the rate limit allows it; the wait does not count towards the timeout.
        """
        try:
            waited = self._pacer.enter(self._patience)
        except PacingError as error:
            raise self._rate_limited(error) from None
        self._patience -= waited
        self._deadline += waited
        response = None
        try:
            if time.monotonic() >= self._deadline:
                raise self.timed_out()
            self._is_answered = self._is_answered or False
            with until(self._deadline, is_redirected=is_redirected):
                response = http.send(request, stream=True)
            return response
        finally:
            if response is None:
                self._pacer.leave(None, {})
            else:
                self._is_answered = True
                self._pacer.leave(response.status_code, response.headers)

    def _redirected(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:
        following = response.next_request
        if following is not None and self._credentials.is_in(unquote_to_bytes(str(following.url))):
            # Proxies log addresses.
            raise self._transport_error(
                f"HTTP {response.status_code} redirects to an address that has the credentials in "
                "it",
                "Check the base URL and any proxy in front of it.",
            )
        if following is None or _origin(following.url) != _origin(request.url):
            elsewhere = "nowhere" if following is None else f"the host {following.url.host}"
            raise self._transport_error(
                f"HTTP {response.status_code} redirects to {self._reader.cleaned(elsewhere)}, "
                "to which credentials are not sent",
                "Check the base URL and any proxy in front of it.",
            )
        _log.info("following a redirect to the same host")
        return following

    def _body(self, response: httpx.Response) -> bytes:
        if response.status_code == 200:
            body = self._decoded(response, self._left)
            self._left -= len(body)
            return body
        try:
            return self._decoded(response, _LARGEST_ERROR)
        except InvalidResponseError:
            # The status says enough, and decides whether to retry.
            return b""

    def _decoded(self, response: httpx.Response, limit: int) -> bytes:
        try:
            return read_body(response, limit, self._deadline)
        except TimeoutError:
            raise self.timed_out() from None
        except BodyTooLargeError:
            raise self._too_large(response) from None
        except BodyError as error:
            raise self._reader.invalid(str(error), response) from None

    def _too_large(self, response: httpx.Response) -> InvalidResponseError:
        return self._reader.invalid(
            f"the answer is larger than {LARGEST_ANSWER // 2**20} MiB", response
        )

    def _failed_transport(self, error: httpx.HTTPError) -> FetchError:
        host = urlsplit(self._base_url).hostname
        is_late = time.monotonic() >= self._deadline - _TOO_LITTLE
        if isinstance(error, httpx.TimeoutException) and is_late:
            return self.timed_out()
        if is_tls_error(error):
            return self._transport_error(
                f"no trusted TLS connection to {host}: {self._reader.cleaned(reason_of(error))}",
                "Check the base URL, this machine's clock and its certificates (SSL_CERT_FILE).",
            )
        problem = self._reader.cleaned(reason_of(error))
        self._network_error = self._transport_error(
            f"no answer from {host}: {problem}",
            "Check the network, the base URL and any proxy, and run again.",
        )
        return self._network_error

    def _rate_limited(self, error: PacingError) -> RateLimitError:
        # Whoever waits without a limit cannot allow more.
        is_limited = self._limits.longest_wait < inf and not error.is_final
        more_time = f", or allow more time: {self._limits.more_time}" if is_limited else ""
        limited = RateLimitError(
            self._read.noun,
            self._account_id,
            f"{error.problem}; this run made {counted(self._pacer.requests, 'request')}",
            f"Run again when it resets, {error.resets}{more_time}.",
        )
        return self._reader.located(limited)

    def _transport_error(self, problem: str, remedy: str) -> TransportError:
        error = TransportError(self._read.noun, self._account_id, problem, remedy)
        return self._reader.located(error)


def _now() -> datetime:
    return datetime.now(UTC)


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    problem = error.problem if isinstance(error, FetchError) else error
    _log.info("attempt %d: %s; next in %.1f s", state.attempt_number, problem, state.upcoming_sleep)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
