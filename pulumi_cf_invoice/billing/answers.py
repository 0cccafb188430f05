"""Makes sense of an HTTP answer: the ``result`` of a good one, or the error that it stands for."""

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Generic, cast

import pydantic_core

from pulumi_cf_invoice.billing.credentials import Credentials
from pulumi_cf_invoice.billing.errors import ApiError, InvalidDataError, InvalidResponseError
from pulumi_cf_invoice.billing.reads import ModelT, Read

if TYPE_CHECKING:
    import httpx

_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class Reader(Generic[ModelT]):
    """Reads the answers to one read of one account; what it says never holds the credentials."""

    read: Read[ModelT]
    account_id: str
    credentials: Credentials

    def parse(self, response: "httpx.Response", body: bytes) -> ModelT:
        """
        Return what *response* with the decoded *body* says, as the read's model.

        Raises `ApiError` for a refusal, and `InvalidResponseError` for anything else.
        """
        answer = _json(body)
        if response.status_code != 200:
            raise self._refusal(response, answer)
        if not isinstance(answer, dict):
            kind = response.headers.get("content-type", "no content type").split(";")[0]
            problem = f"the answer is not JSON ({kind[:60]}, {len(body)} bytes)"
            raise self.invalid(problem if body else "the answer is empty", response)
        if answer.get("success") is not True:
            raise self._refusal(response, answer)
        if answer.get("result") is None:
            raise self.invalid("the answer has no result", response)
        try:
            return cast(ModelT, self.read.model.from_api(answer["result"]))
        except InvalidDataError as error:
            raise self.invalid(f"the answer has an invalid result: {error}", response) from None

    def invalid(
        self, problem: str, response: "httpx.Response | None" = None
    ) -> InvalidResponseError:
        """Return the error for an answer that cannot be used because of *problem*."""
        ray_id = None if response is None else _ray_id(response)
        return InvalidResponseError(self.read.noun, self.account_id, self.cleaned(problem), ray_id)

    def cleaned(self, text: str) -> str:
        """Return *text* that others wrote as the middle of one line, without credentials."""
        line = " ".join(self.credentials.redact(text).split())
        if len(line) > _LONGEST_MESSAGE:
            line = f"{line[: _LONGEST_MESSAGE - 1]}…"
        return line.rstrip(".")

    def _refusal(self, response: "httpx.Response", answer: Any) -> ApiError:
        code, message = _first_error(answer)
        return ApiError(
            self.read.noun,
            self.account_id,
            response.status_code,
            code,
            self.cleaned(message or response.reason_phrase or "no message"),
            _ray_id(response),
            _retry_after(response),
        )


def _json(body: bytes) -> Any:
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError:
        return None


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


def _ray_id(response: "httpx.Response") -> str | None:
    ray_id = response.headers.get("cf-ray")
    return ray_id[:64] if ray_id else None


def _retry_after(response: "httpx.Response") -> float | None:
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
