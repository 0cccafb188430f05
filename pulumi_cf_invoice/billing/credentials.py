"""Credentials for Cloudflare's API as text, checked before anything is sent."""

from collections.abc import Mapping
from typing import Any

from pulumi_cf_invoice.billing.errors import SettingsError

# Whatever a credential, which is printable ASCII, cannot have in it. Many such characters are seen
# by nobody, and combining marks hide between letters.
_BETWEEN = bytes(byte for byte in range(256) if not ord("!") <= byte <= ord("~"))
_NOT_IN_TOKENS = (" ", "'", '"', "`")
PARTS = ("api_token", "email", "api_key")
"""The parts of credentials, by the names of the constructor's arguments."""


class Credentials:
    """
    An API token, or the older pair of e-mail address and API key.

    Raises `SettingsError` when both kinds, half a pair or nothing is given, or when a part is not
    one line of printable ASCII text, or more than a token or key. Neither the error nor a repr
    shows any part. *source* is where they came from, for messages.
    """

    def __init__(
        self,
        api_token: str | None = None,
        *,
        email: str | None = None,
        api_key: str | None = None,
        source: str | None = None,
    ) -> None:
        self.source = source
        self._parts = given_parts({"api_token": api_token, "email": email, "api_key": api_key})
        # Whoever keeps an error keeps its frames, so no local variable may hold a credential.
        del api_token, email, api_key
        problem = problem_with(self._parts) or unsendable(self._parts)
        if problem:
            raise SettingsError(f"Credentials {problem}")

    @property
    def headers(self) -> dict[str, str]:
        """The request headers that carry the credentials."""
        if "api_token" in self._parts:
            return {"Authorization": f"Bearer {self._parts['api_token']}"}
        return {"X-Auth-Email": self._parts["email"], "X-Auth-Key": self._parts["api_key"]}

    @property
    def kind(self) -> str:
        """What the credentials are, for people."""
        return "API token" if "api_token" in self._parts else "e-mail and API key"

    def redact(self, text: str) -> str:
        """Return *text* without any part that it may repeat."""
        for part in self._parts.values():
            text = redacted(text, part)
        return text

    def redact_all(self, value: Any) -> Any:
        """Return *value*, plain data, with `redact` applied to every text in it."""
        if isinstance(value, dict):
            return {self.redact(name): self.redact_all(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.redact_all(item) for item in value]
        return self.redact(value) if isinstance(value, str) else value

    def is_in(self, body: bytes) -> bool:
        """Return whether *body*, without escapes, repeats any part, as `redact` finds it."""
        seen = _essence(body)
        return any(_essence(part.encode()) in seen for part in self._parts.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(frozenset(self._parts.items()))

    def __repr__(self) -> str:
        return f"Credentials({', '.join(self._parts)})"


def redacted(text: str, secret: str) -> str:
    """
    Return *text* without a *secret* that it may repeat, in either case.

    Characters that nobody sees can hide it from a search, so they do not count, nor does any other
    that no credential has.
    """
    wanted, seen = (_essence(each.encode("ascii", "ignore")) for each in (secret, text))
    if not wanted or wanted not in seen:
        return text
    places = [place for place, character in enumerate(text) if "!" <= character <= "~"]
    kept, end, start = [], 0, 0
    while (found := seen.find(wanted, start)) >= 0:
        start = found + len(wanted)
        kept += [text[end : places[found]], "[redacted]"]
        end = places[start - 1] + 1
    return "".join([*kept, text[end:]])


def _essence(text: bytes) -> bytes:
    return text.translate(None, _BETWEEN).lower()


def given_parts(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given *parts* without surrounding blanks; empty ones count as absent."""
    stripped = {
        name: part.strip() if isinstance(part, str) else part for name, part in parts.items()
    }
    return {name: part for name, part in stripped.items() if part is not None and part != ""}


def problem_with(parts: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a combination of *parts*, to complete a sentence about its source."""
    if "api_token" in parts and len(parts) > 1:
        return "has both an API token and an e-mail or API key: keep one kind"
    if set(parts) == {"email"}:
        return "has an email but no api_key: give both, or an api_token"
    if set(parts) == {"api_key"}:
        return "has an api_key but no email: give both, or an api_token"
    if not parts:
        return "needs an api_token, or an email with an api_key"
    return None


def unsendable(parts: Mapping[str, Any]) -> str | None:
    """
    Say which of *parts* cannot be sent as an HTTP header, which httpx would print in its error, or
    is more than a token or key, which an answer could repeat on its own.
    """
    for name, part in parts.items():
        if not isinstance(part, str):
            return f"has an {name} that is not text but {type(part).__name__}"
        if not part.isascii() or not part.isprintable():
            return (
                f"has an {name} that is not one line of printable ASCII text: "
                "was it copied with a line break?"
            )
        if name != "email" and any(sign in part for sign in _NOT_IN_TOKENS):
            return (
                f"has an {name} with a blank or a quotation mark in it: copy the token or key "
                "alone, without 'Bearer' and quotation marks"
            )
    return None
