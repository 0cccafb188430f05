"""
Sends requests to a forge, with a limit on the size of each answer and on the time for all.

Messages from a forge are shown as one line, without the token.
"""

import codecs
import re
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pulumi_cf_invoice.billing import retries
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.credentials import Secrets
from pulumi_cf_invoice.comments.errors import CommentError, TransientError

if TYPE_CHECKING:
    import httpx

LARGEST_ANSWER = 16 * 2**20
"""The maximum size of what is kept of an answer, in bytes."""
_LONGEST_MESSAGE = 300
_LONGEST_TEXT = 4096
_IN_TEXT = re.compile(rf'(?:[^"\\]|\\u.{{4}}|\\[^u]){{0,{_LONGEST_TEXT}}}+', re.DOTALL)
_BETWEEN_TEXTS = re.compile('[^"]*+')


@dataclass(frozen=True)
class Answer:
    """
    A forge's answer.

    ``content`` is the JSON of the body, or None if it is not JSON. ``message`` is the forge's text
    of a refusal, and ``wait`` the seconds that it asks to wait.
    """

    status: int
    headers: Mapping[str, str]
    content: Any

    @property
    def message(self) -> str:
        """The reasons in the body, if it has any."""
        from pulumi_cf_invoice.billing.answers import reasons

        return "; ".join(dict.fromkeys(reason.message for reason in reasons(self.content)))

    @property
    def wait(self) -> float | None:
        """The seconds to wait, if the forge asks for that."""
        return retries.retry_after(self.headers)


class Connection:
    """
    A connection to the API at *url*, open until *deadline*, a time of the monotonic clock.

    *place* is the name of the request in errors. *certificates* is a file with additional
    authorities to trust. Raises `CommentError` if no connection can be set up.
    """

    def __init__(
        self,
        url: str,
        token: str,
        headers: Mapping[str, str],
        deadline: float,
        *,
        place: str,
        certificates: str | None = None,
    ) -> None:
        from pulumi_cf_invoice.billing.http import httpx, proxy_for, user_agent

        self.place = place
        self.deadline = deadline
        self.last_problem = ""
        self._url = url
        self._secrets = Secrets([token])
        try:
            self._http = httpx.Client(
                headers={
                    **headers,
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                    "User-Agent": user_agent(),
                },
                verify=_context(url, certificates),
                trust_env=False,
                proxy=proxy_for(url),
            )
        except (ImportError, OSError, ValueError, httpx.InvalidURL):
            # httpx's message about an address can quote a part of the proxy's password.
            names = ["HTTPS_PROXY", "ALL_PROXY", "SSLKEYLOGFILE", "SSL_CERT_FILE"]
            last = names.pop() if not certificates else "CI_SERVER_TLS_CA_FILE"
            raise CommentError(
                f"cannot comment on {place}: no connection can be set up. Check "
                f"{', '.join(names)} and {last}."
            ) from None

    @property
    def seconds_left(self) -> float:
        """The seconds until the deadline."""
        return self.deadline - time.monotonic()

    def close(self) -> None:
        """Close it, even during a read on another thread."""
        self._http.close()

    def cleaned(self, text: str, longest: int = _LONGEST_MESSAGE) -> str:
        """Return *text* from a forge as a part of one line, without the token."""
        return one_line(self._secrets.redact(text), longest).rstrip(".")

    def ask(
        self,
        method: str,
        path: str = "",
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one request. Raises `TransientError` or `CommentError` if no answer arrives."""
        from pulumi_cf_invoice.billing.http import BodyError, BodyTooLargeError, httpx, read_body

        if self.seconds_left <= 0:
            raise self.timed_out()
        try:
            request = self._http.build_request(
                method, f"{self._url}{path}", json=json, params=params, timeout=self.seconds_left
            )
            response = self._http.send(request, stream=True)
            try:
                body = read_body(response, LARGEST_ANSWER, self.deadline, shortened)
            finally:
                response.close()
        except BodyTooLargeError:
            raise CommentError(
                f"cannot comment on {self.place}: the answer of {self._host} is too large. If the "
                "request has thousands of comments, post the report by hand; otherwise check "
                "--api-url."
            ) from None
        except BodyError as error:
            raise self._unusable(str(error)) from None
        except httpx.HTTPError as error:
            raise self._failed(error) from None
        except (TimeoutError, RuntimeError, OSError):
            # The connection was closed during a read, because the time is up.
            raise self.timed_out() from None
        except (httpx.InvalidURL, httpx.StreamError, ValueError):
            raise self._unusable("the answer is not HTTP") from None
        return Answer(response.status_code, response.headers, _json(body))

    def timed_out(self) -> CommentError:
        """Return the error for a forge that did not answer in time."""
        before = f"; before that: {self.last_problem}" if self.last_problem else ""
        return CommentError(
            f"cannot comment on {self.place}: {self._host} did not answer in time{before}. Run "
            "again later: a comment that was written meanwhile is updated."
        )

    @property
    def _host(self) -> str:
        return urlsplit(self._url).hostname or ""

    def _failed(self, error: "httpx.HTTPError") -> CommentError:
        from pulumi_cf_invoice.billing.http import httpx, is_tls_error, reason_of

        if isinstance(error, httpx.TimeoutException) and self.seconds_left <= 0:
            return self.timed_out()
        reason = self.cleaned(reason_of(error))
        if is_tls_error(error):
            return CommentError(
                f"cannot comment on {self.place}: no trusted TLS connection to {self._host}: "
                f"{reason}. Set SSL_CERT_FILE to a file with the certificate of the authority that "
                "issued the one of this host, or of the proxy in front of it."
            )
        self.last_problem = f"no answer from {self._host}: {reason}"
        return TransientError(
            f"cannot comment on {self.place}: {self.last_problem}. Check the network, and run "
            "again."
        )

    def _unusable(self, problem: str) -> CommentError:
        return CommentError(
            f"cannot comment on {self.place}: {self._host}: {self.cleaned(problem)}. Check "
            "--api-url, and any proxy in front of it."
        )


def shortened(parts: Iterable[bytes]) -> Iterator[bytes]:
    """
    Yield the JSON that arrives in *parts*, with only the beginning of each long text.

    A comment is known by its beginning, and anybody can write a page of comments that are long.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    waiting, is_inside, length = "", False, 0
    for part in parts:
        waiting += decoder.decode(part)
        at = 0
        while at < len(waiting):
            matched = (_IN_TEXT if is_inside else _BETWEEN_TEXTS).match(waiting, at)
            piece = matched[0] if matched else ""
            if not piece and waiting[at] == '"':
                piece, is_inside, length = '"', not is_inside, 0
            if not piece:
                break  # The rest of an escape is yet to come.
            at += len(piece)
            if length < _LONGEST_TEXT:
                yield piece.encode()
            if is_inside:
                length += len(piece)
        waiting = waiting[at:]


def _context(url: str, certificates: str | None) -> ssl.SSLContext | bool:
    """
    Return the authorities to trust for *url*. Raises `OSError` if certificates cannot be read.
    """
    from pulumi_cf_invoice.billing.http import httpx

    if urlsplit(url).scheme != "https":
        return False
    context = httpx.create_ssl_context()
    if certificates:
        context.load_verify_locations(cafile=certificates)
    return context


def _json(body: bytes) -> Any:
    from pulumi_cf_invoice.billing.answers import parse_json

    return parse_json(body)
