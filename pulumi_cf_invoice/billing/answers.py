"""
Interprets HTTP answers: returns the ``result``, or the error that the answer represents.

Cloudflare's envelope has a list of ``errors``; in the wild, errors also come as a single ``error``,
as plain text, or with the actual reason in the ``error_chain`` of another error. All of them are
reported, the innermost reason first.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

from pulumi_cf_invoice.billing.cleaning import LONGEST, inert_value, one_line
from pulumi_cf_invoice.billing.credentials import Credentials
from pulumi_cf_invoice.billing.errors import ApiError, FetchError, InvalidResponseError
from pulumi_cf_invoice.billing.reads import ModelT, Read
from pulumi_cf_invoice.billing.settings import CLOUDFLARE_API, STACK_CONFIG, foreign

if TYPE_CHECKING:
    import httpx

ErrorT = TypeVar("ErrorT", bound=FetchError)

_LONGEST_MESSAGE = 300
_LONGEST_READ = 10_000
_DEEPEST_CHAIN = 10
_MOST_REASONS = 20
_MOST_DIGITS = 400
_A_DAY = 24 * 60 * 60
_RAY_ID = re.compile("[0-9a-f]{16}-[A-Z]{3}")


class Reason(NamedTuple):
    """One of Cloudflare's errors: its code, if it has one, and its message."""

    code: int | None
    message: str

    @property
    def text(self) -> str:
        """The reason for people."""
        return self.message if self.code is None else f"code {self.code}: {self.message}"


@dataclass(frozen=True)
class Reader(Generic[ModelT]):
    """Interprets the answers to one read of one account. Its messages never contain credentials."""

    read: Read[ModelT]
    account_id: str
    credentials: Credentials
    base_url: str

    def envelope(
        self, response: "httpx.Response", body: bytes, attempts: int, requests: int = 1
    ) -> dict[str, Any]:
        """
        Return the content of *response* with the decoded *body*: a ``result`` and what comes with
        it.

        Raises `ApiError` for a refusal, which came at that *attempt*, after that number of
        *requests* in the run, and `InvalidResponseError` for anything else.
        """
        answer = self._parsed(body)
        if response.status_code != 200:
            raise self._refusal(response, answer, attempts, requests)
        if not isinstance(answer, dict):
            kind = self.cleaned(response.headers.get("content-type", "no content type"))
            kind = kind.split(";")[0][:60]
            problem = f"the answer is not a JSON object ({kind}, {len(body)} bytes)"
            raise self.invalid(problem if body else "the answer is empty", response)
        if answer.get("success") is not True:
            raise self._refusal(response, answer, attempts, requests)
        if answer.get("result") is None:
            raise self.invalid("the answer has no result", response)
        return answer

    def _parsed(self, body: bytes) -> Any:
        """Return the JSON of *body* without credentials that it may repeat; None if it is none."""
        answer = parse_json(body)
        # An escape, or an encoding with zero bytes, could hide one.
        may_hide = b"\\" in body or b"\0" in body
        if may_hide or self.credentials.is_in(body):
            try:
                return self.credentials.redact_all(answer)
            except RecursionError:
                return None
        return answer

    def invalid(
        self, problem: str, response: "httpx.Response | None" = None
    ) -> InvalidResponseError:
        """Return the error for an answer that cannot be used because of *problem*."""
        ray_id = None if response is None else self._ray_id(response)
        problem = self.cleaned(problem)
        return self.located(InvalidResponseError(self.read.noun, self.account_id, problem, ray_id))

    def located(self, error: ErrorT) -> ErrorT:
        """Return *error* with the address of the request, if that is not Cloudflare's."""
        error.base_url = foreign(self.base_url)
        return error

    def cleaned(self, text: str) -> str:
        """
        Return *text* that others wrote as the middle of one line, without credentials.

        What is cut is first of all freed of what is private, of which a half would not be known.
        """
        message = self.credentials.redact(text)
        if len(message) > _LONGEST_MESSAGE:
            # Hardly any is so long, and the patterns take time to compile.
            from pulumi_cf_invoice.billing.privacy import without_private

            message = without_private(message[:_LONGEST_READ])
        return one_line(message, _LONGEST_MESSAGE).rstrip(".")

    def _refusal(
        self, response: "httpx.Response", answer: Any, attempts: int, requests: int
    ) -> ApiError:
        # It imports tenacity, which is not needed for reading files.
        from pulumi_cf_invoice.billing import retries

        found = list(dict.fromkeys(islice(reasons(answer), _MOST_REASONS)))
        others = [self.cleaned(reason.text) for reason in found[1:]]
        first = found[0] if found else Reason(None, response.reason_phrase or "no message")
        retry_after = retries.retry_after(response.headers)
        refusal = ApiError(
            self.read.noun,
            self.account_id,
            response.status_code,
            first.code,
            inert_value(self.cleaned("; ".join([first.message, *others]))),
            self._remedy(
                response, {reason.code for reason in found}, retry_after, attempts, requests
            ),
            self._ray_id(response),
            retry_after,
        )
        return self.located(refusal)

    def _ray_id(self, response: "httpx.Response") -> str | None:
        written = self.cleaned(response.headers.get("cf-ray", ""))
        # Another address could write a credential there, encoded in any way.
        return written if _RAY_ID.fullmatch(written) else None

    def _remedy(
        self,
        response: "httpx.Response",
        codes: set[int | None],
        retry_after: float | None,
        attempts: int,
        requests: int,
    ) -> str:
        status = response.status_code
        if response.headers.get("cf-mitigated") == "challenge":
            return (
                "Cloudflare answered with a browser challenge: check that the base URL is the "
                "API's; if it is, run from another network."
            )
        if 7000 in codes and not urlsplit(self.base_url).path.rstrip("/").endswith("/client/v4"):
            return f"The base URL lacks /client/v4: Cloudflare's API is at {CLOUDFLARE_API}."
        if 7000 in codes:
            return "Check the base URL and the account ID."
        if 9109 in codes:
            return (
                f"The {self._key} is not valid, or may not be used from this address: check it and "
                f"its client IP address filter in Cloudflare's dashboard.{self._source}"
            )
        if status == 429:
            wait = f"Too many requests with this {self._key}: wait five minutes and run again."
            if retry_after:
                resets = ""
                if retry_after < _A_DAY:
                    at = datetime.now(UTC) + timedelta(seconds=retry_after)
                    resets = f", at {at:%H:%M:%S} UTC"
                wait = f"Cloudflare asks to wait {retry_after:.0f} s: run again after that{resets}."
            return f"{wait} This run made {requests:,} request{'' if requests == 1 else 's'}."
        if status >= 500 or status == 408:
            retries = attempts - 1
            helped = f", and {retries} {_retry(retries)} did not help" if retries else ""
            return f"The failure is on Cloudflare's side{helped}: run again later."
        if status == 404:
            return (
                "Check the account ID; an account that never used AI Gateway billing has no "
                f"{self.read.noun}."
            )
        if status == 401:
            return f"Check that the {self._key} is right, active and not expired.{self._source}"
        if status == 403 or 10000 in codes:
            return f"{self._lacks_permission}{self._source}"
        if status == 400:
            return "Check the account ID and the form of the credentials."
        return "Report this to Cloudflare with the ray ID."

    @property
    def _lacks_permission(self) -> str:
        on = " on this account" if self.read.is_of_account else ""
        permission = f"the permission {self.read.permission}{on}"
        if self._key == "token":
            return f"Give the token {permission}, or use one that has it."
        return f"Give the API key's user {permission}, or use a token that has it."

    @property
    def _key(self) -> str:
        """What was refused, in a word: a token, or the key of a pair with an e-mail."""
        return "token" if self.credentials.kind == "API token" else "API key"

    @property
    def _source(self) -> str:
        """Where the credentials came from, as a sentence to append; empty if unknown."""
        source = self.credentials.source
        if source is None:
            return ""
        doctor = (
            "cf-invoice doctor --stack" if source.startswith(STACK_CONFIG) else "cf-invoice doctor"
        )
        return f" The {self.credentials.kind} came from {source}: `{doctor}` shows every setting."


def _retry(count: int) -> str:
    return "retry" if count == 1 else "retries"


def parse_json(text: str | bytes) -> Any:
    """
    Return the JSON of *text* with exact numbers, or None if it is not JSON.

    A number beyond all that a 64-bit float can be is infinite, and a name that appears twice in an
    object is no JSON.
    """
    try:
        # pydantic's own parser would round a fraction without a word.
        return json.loads(text, **_EXACT)
    except (ValueError, RecursionError):
        return None


def _decimal(digits: str) -> Decimal:
    try:
        number = Decimal(digits)
    except ArithmeticError:
        return Decimal("Infinity")
    # Arithmetic with such an exponent raises, or takes as many digits.
    return number if number.adjusted() <= _MOST_DIGITS else Decimal("Infinity").copy_sign(number)


def _integer(digits: str) -> int | Decimal:
    # Python refuses to create an int of thousands of digits, which no float can hold either.
    return int(digits) if len(digits) <= _MOST_DIGITS else Decimal("Infinity")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """
    Return a JSON object from its *pairs*.

    Raises ValueError for a name that appears twice: the last one would hide the first.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        # What is cut could no longer be redacted.
        what = f"'{one_line(twice)}'" if len(twice) <= LONGEST else "a long name"
        raise ValueError(f"{what} appears twice in one object")
    return made


_EXACT: Mapping[str, Any] = {
    "parse_float": _decimal,
    "parse_int": _integer,
    "parse_constant": _refuse_constant,
    "object_pairs_hook": unique,
}
JSON_DECODER = json.JSONDecoder(**_EXACT)
"""Decodes JSON as `parse_json` does, and raises ValueError for anything else."""


def reasons(answer: Any, depth: int = 0) -> Iterator[Reason]:
    """Return all errors of an *answer* in any of the forms that occur, the innermost first."""
    if depth > _DEEPEST_CHAIN:
        return
    if isinstance(answer, str):
        if answer.strip():
            yield Reason(None, answer)
    elif isinstance(answer, list):
        for item in answer:
            yield from reasons(item, depth + 1)
    elif isinstance(answer, dict):
        for name in ("errors", "error", "error_chain"):
            yield from reasons(answer.get(name), depth + 1)
        message, code = answer.get("message"), _code(answer.get("code"))
        if isinstance(message, str) and message.strip():
            yield Reason(code, message)
        elif code is not None:
            yield Reason(code, "no message")


def _code(code: Any) -> int | None:
    # Any other number does not come from Cloudflare, and could have millions of digits.
    is_code = isinstance(code, (int, Decimal)) and not isinstance(code, bool) and 0 < code < 10**9
    return int(code) if is_code else None
