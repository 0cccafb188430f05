"""
httpx, imported without its own command line, and what every connection of ours shares.

If click, rich and pygments are installed, httpx imports them for its command line, which is not
used here; that takes longer than importing the rest. It works without them.
"""

import ipaddress
import re
import ssl
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from http.client import responses
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from pulumi_cf_invoice.billing.settings import is_loopback

_COMMAND_LINE = "httpx._main"

# None in place of a module makes its import fail, which httpx handles.
sys.modules.setdefault(_COMMAND_LINE, None)  # type: ignore[arg-type]
import httpx  # noqa: E402

if sys.modules[_COMMAND_LINE] is None:
    del sys.modules[_COMMAND_LINE]

__all__ = [
    "BodyError",
    "BodyTooLargeError",
    "httpx",
    "in_words",
    "is_tls_error",
    "proxy_for",
    "read_body",
    "reason_of",
    "user_agent",
]

_GZIP = 16 + zlib.MAX_WBITS
_LONGEST_PART = 2**16


class BodyError(Exception):
    """The body of an answer cannot be used. The message says why, and can quote the answer."""


class BodyTooLargeError(BodyError):
    """The body of an answer is larger than allowed."""


@cache
def user_agent() -> str:
    """Return the ``User-Agent`` of every request, which names the package and its version."""
    try:
        return f"pulumi-cf-invoice/{version('pulumi-cf-invoice')}"
    except PackageNotFoundError:
        return "pulumi-cf-invoice"  # It is imported from its sources, without being installed.


def proxy_for(url: str) -> str | None:
    """
    Return the address of the environment's proxy for *url*, or None if there is none.

    A proxy is for the network, never for this machine's own addresses. Entries of NO_PROXY may be
    names, addresses and networks; httpx itself refuses to connect at all if it cannot parse one.
    """
    parsed = urlsplit(url)
    if is_loopback(parsed.hostname or ""):
        return None
    proxies = getproxies()
    proxy = proxies.get(parsed.scheme) or proxies.get("all")
    exempt = re.split(r"[\s,]+", proxies.get("no", ""))
    if not proxy or any(_is_exempt(url, entry) for entry in exempt):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_exempt(url: str, entry: str) -> bool:
    """Return whether an *entry* of NO_PROXY exempts *url*. One that cannot be parsed does not."""
    parsed = urlsplit(url)
    host, port = parsed.hostname or "", parsed.port or {"http": 80, "https": 443}.get(parsed.scheme)
    scheme, separator, rest = entry.lower().rpartition("://")
    if entry == "*":
        return True
    if separator and scheme not in ("all", parsed.scheme):
        return False
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(rest.strip("[]"), strict=False)
    except ValueError:
        pass  # Either is a name.
    name, colon, of_port = rest.partition(":")
    if colon and of_port != str(port):
        return False
    if name.startswith((".", "*.")):
        return host.endswith(name.removeprefix("*"))
    return bool(name) and (host == name or host.endswith(f".{name}"))


def is_tls_error(error: BaseException | None) -> bool:
    """Return whether *error* was caused by TLS, such as a certificate that is not trusted."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def in_words(error: Exception) -> str:
    """Return what *error* says, without the number of Python's and the line of its source."""
    return re.sub(r"^\[Errno -?\d+\] | \(_ssl\.c:\d+\)$", "", str(error).strip())


def reason_of(error: httpx.HTTPError) -> str:
    """
    Return why a request failed, in httpx's words.

    What is no HTTP, and a refusal of a proxy, could repeat what was sent, such as a token or the
    proxy's password, and httpx quotes it in a form in which that is not found. None of it is left
    but a status.
    """
    reason = in_words(error) or type(error).__name__
    if not isinstance(error, (httpx.ProxyError, httpx.ProtocolError)):
        return reason
    refused = re.match(r"[0-9]{3}\b", reason) if isinstance(error, httpx.ProxyError) else None
    if refused is None:
        return re.split("[:'\"]", reason)[0].strip()
    return f"the proxy refused: {refused[0]} {responses.get(int(refused[0]), '')}".rstrip()


def read_body(
    response: httpx.Response,
    limit: int,
    deadline: float,
    kept: Callable[[Iterator[bytes]], Iterator[bytes]] = iter,
) -> bytes:
    """
    Return what is *kept* of the decompressed body of a streamed *response*: all, unless given.

    Its size is limited as it arrives. *limit* is in bytes, *deadline* a time of the monotonic
    clock. Raises `BodyError`, and `TimeoutError` for what takes longer.
    """
    body = bytearray()
    for part in kept(_parts(response, deadline)):
        body += part
        if len(body) > limit:
            raise BodyTooLargeError("the answer is too large")
    return bytes(body)


def _parts(response: httpx.Response, deadline: float) -> Iterator[bytes]:
    """
    Yield the decompressed body of *response*, a bounded part at a time.

    httpx would decompress each chunk as a whole: two kilobytes can become gigabytes.
    """
    encoding = response.headers.get("content-encoding", "").strip() or "identity"
    if encoding.lower() not in ("identity", "gzip", "x-gzip"):
        raise BodyError(f"the response has an unexpected content encoding ({encoding})")
    gzip = None if encoding.lower() == "identity" else zlib.decompressobj(_GZIP)
    is_empty = True
    for chunk in response.iter_raw():
        while chunk:
            part = chunk if gzip is None else _decompressed(gzip, chunk)
            is_empty = is_empty and not part
            yield part
            chunk = gzip.unconsumed_tail or gzip.unused_data if gzip else b""
            if gzip and gzip.eof and chunk:
                gzip = zlib.decompressobj(_GZIP)
            if time.monotonic() > deadline:
                raise TimeoutError
    if gzip and not is_empty and not gzip.eof:
        raise BodyError("the answer's compression is broken")


def _decompressed(gzip: Any, chunk: bytes) -> bytes:
    try:
        return bytes(gzip.decompress(chunk, _LONGEST_PART))
    except zlib.error:
        raise BodyError("the answer's compression is broken") from None
