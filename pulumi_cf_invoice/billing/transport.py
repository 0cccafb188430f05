"""
Connections that respect the deadline of the read that uses them.

httpx's timeouts apply to each step: headers that trickle in restart them, and name resolution has
none. Here every step on a thread ends by the deadline that `until` sets for it, so that a read is
limited as a whole although its connection comes from a shared pool.
"""

import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import httpcore

from pulumi_cf_invoice.billing.http import httpx, proxy_for

CONNECTIONS = 16
"""The maximum number of connections to one address."""
_CONNECT_TIMEOUT = 10.0
# Shorter than any server's that we know of, so that connections rarely close under a request.
_KEPT_FOR = 4.0
_current = threading.local()


@contextmanager
def until(deadline: float, *, is_redirected: bool = False) -> Iterator[None]:
    """
    End each step of this thread's requests by *deadline*, a time of the monotonic clock.

    The address of a request that *is_redirected* is not logged.
    """
    _current.deadline, _current.is_redirected = deadline, is_redirected
    try:
        yield
    finally:
        del _current.deadline, _current.is_redirected


def open_client(base_url: str) -> httpx.Client:
    """
    Return a client for *base_url*, through the environment's proxy if there is one for it.

    Raises OSError if the certificates cannot be read, ImportError if the proxy is one of SOCKS and
    its package is missing, and ValueError or `httpx.InvalidURL` if its address cannot be used.
    """
    # Without TLS, certificates are never needed: redirects to another scheme are refused.
    is_tls = urlsplit(base_url).scheme == "https"
    transport = _Transport(_connections(proxy_for(base_url), is_tls))
    # Nothing is kept from one request to the next: many accounts share the client.
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    return httpx.Client(transport=transport, trust_env=False, cookies=no_cookies)


def _connections(proxy_url: str | None, is_tls: bool) -> httpcore.ConnectionPool:
    options: dict[str, Any] = {
        "ssl_context": httpx.create_ssl_context() if is_tls else None,
        "max_connections": CONNECTIONS,
        "max_keepalive_connections": CONNECTIONS,
        "keepalive_expiry": _KEPT_FOR,
        "network_backend": _Backend(),
    }
    if proxy_url is None:
        return httpcore.ConnectionPool(**options)
    proxy = httpx.Proxy(proxy_url)
    url = httpcore.URL(
        scheme=proxy.url.raw_scheme,
        host=proxy.url.raw_host,
        port=proxy.url.port,
        target=proxy.url.raw_path,
    )
    if proxy.url.scheme.startswith("socks5"):
        import_module("socksio")
        return httpcore.SOCKSProxy(proxy_url=url, proxy_auth=proxy.raw_auth, **options)
    return httpcore.HTTPProxy(
        proxy_url=url, proxy_auth=proxy.raw_auth, proxy_headers=proxy.headers.raw, **options
    )


class _Transport(httpx.BaseTransport):
    """Does what httpx's own transport does, on our own *connections*."""

    def __init__(self, connections: httpcore.ConnectionPool) -> None:
        self._connections = connections

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions={"timeout": {"connect": _CONNECT_TIMEOUT, "pool": _remaining()}},
        )
        with _errors_of_httpx():
            answered = self._connections.handle_request(asked)
        # Without the server's reason phrase, which httpx would log verbatim.
        return httpx.Response(answered.status, headers=answered.headers, stream=_Body(answered))

    def close(self) -> None:
        self._connections.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answered: httpcore.Response) -> None:
        self._stream: Any = answered.stream
        self._connection = answered.extensions["network_stream"]

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx():
            yield from self._stream

    def close(self) -> None:
        if self._is_followed:
            # httpcore would take the rest for the answer to the next request.
            self._connection.close()
        self._stream.close()

    @property
    def _is_followed(self) -> bool:
        """Whether more than the answer has arrived. If httpcore does not say, nobody knows."""
        try:
            rest, _ = self._stream._stream._connection._h11_state.trailing_data
        except AttributeError:
            return True
        return bool(rest)


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """Raise httpcore's errors as httpx's, which have the same names."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as error:
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from error


class _Backend(httpcore.NetworkBackend):
    """Connects to any of a name's addresses, by the deadline of the thread."""

    def __init__(self) -> None:
        self._sockets = httpcore.SyncBackend()
        self._names = _Names()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failed: Exception | None = None
        for address in self._names.addresses(host, port):
            try:
                return _Stream(
                    self._sockets.connect_tcp(
                        address, port, _bounded(timeout), local_address, socket_options
                    )
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError("the name has no address")


class _Names:
    """Resolves names, each on its own thread, because a resolution cannot be interrupted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, int], Future[list[str]]] = {}

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of *host*. Concurrent callers share the answer."""
        with suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        with self._lock:
            answer = self._asked.get((host, port)) or self._ask(host, port)
        try:
            return answer.result(_remaining())
        except TimeoutError:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from None
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from None

    def _ask(self, host: str, port: int) -> "Future[list[str]]":
        answer: Future[list[str]] = Future()
        resolve = threading.Thread(
            target=self._resolve, args=(host, port, answer), name="cf-invoice-name", daemon=True
        )
        resolve.start()
        self._asked[host, port] = answer
        return answer

    def _resolve(self, host: str, port: int, answer: "Future[list[str]]") -> None:
        outcome: list[str] | Exception
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            outcome = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        except Exception as error:
            outcome = error.with_traceback(None)
        with self._lock:
            del self._asked[host, port]
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # A timeout only limits waiting, and a peer that never stops sending makes nobody wait.
        if _is_late():
            raise httpcore.ReadTimeout("the deadline has passed")
        return self._stream.read(max_bytes, _bounded(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if _is_late():
            raise httpcore.WriteTimeout("the deadline has passed")
        self._stream.write(buffer, _bounded(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _bounded(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _OthersWords(logging.Filter):
    """
    Drops what would be logged of an answer to our requests: its status line and headers.

    An address can repeat a credential there, encoded in any way, or write what acts as a command in
    a log. httpcore logs all of them, and httpx the address to which a redirect leads.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "httpx":
            return not getattr(_current, "is_redirected", False)
        is_ours = hasattr(_current, "deadline")
        return not (is_ours and str(record.msg).startswith("receive_response"))


for _logger in ("httpcore.http11", "httpx"):
    logging.getLogger(_logger).addFilter(_OthersWords())


def _bounded(timeout: float | None) -> float | None:
    """Return *timeout* in seconds, or this thread's remaining time if that is less."""
    remaining = _remaining()
    if remaining is None or timeout is None:
        return timeout if remaining is None else remaining
    return min(timeout, remaining)


def _remaining() -> float | None:
    deadline = getattr(_current, "deadline", None)
    # A timeout of 0 would make a socket answer at once, and not time out.
    return None if deadline is None else max(0.001, deadline - time.monotonic())


def _is_late() -> bool:
    deadline = getattr(_current, "deadline", None)
    return deadline is not None and time.monotonic() >= deadline
