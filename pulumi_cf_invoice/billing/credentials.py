"""Credentials for Cloudflare's API as text, checked before anything is sent."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from unicodedata import normalize

from pulumi_cf_invoice.billing.errors import SettingsError

# Whatever a credential, which is printable ASCII, cannot have in it. Many such characters are seen
# by nobody, and combining marks hide between letters.
_BETWEEN = bytes(byte for byte in range(256) if not ord("!") <= byte <= ord("~"))
_NOT_IN_TOKENS = (" ", "'", '"', "`")
_REDACTED = "[redacted]"
_SHORTEST_SECRET = 8
# Characters. A few become a whole phrase when Unicode decomposes them, and a run of accents is put
# in order in the square of its length.
_PIECE = 2**6
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
        # An e-mail address is none: Cloudflare calls accounts by it ("ops@example.com's Account").
        self._secrets = [
            part
            for name, part in self._parts.items()
            if len(part) >= _SHORTEST_SECRET and not (name == "email" and "@" in part)
        ]

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
        """Return *text* without any secret part that it may repeat."""
        for secret in self._secrets:
            text = redacted(text, secret)
        return text

    def redact_all(self, value: Any) -> Any:
        """
        Return *value*, plain data, with `redact` applied to every text in it. Its lists are changed
        in place, so that a large answer is not held twice.
        """
        if isinstance(value, dict):
            return {self.redact(name): self.redact_all(item) for name, item in value.items()}
        if isinstance(value, list):
            for place, item in enumerate(value):
                value[place] = self.redact_all(item)
            return value
        return self.redact(value) if isinstance(value, str) else value

    def is_in(self, body: bytes) -> bool:
        """Return whether *body*, without escapes, repeats any secret part, as `redact` finds it."""
        seen = _essence(body.decode(errors="ignore"))
        return any(_essence(secret) in seen for secret in self._secrets)

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
    that no credential has. A text that repeats it in other letters, such as full-width ones, is
    dropped as a whole. Less than eight characters are no secret, and occur in words.
    """
    wanted = _wanted(secret)
    if len(wanted) < _SHORTEST_SECRET or (len(text) < len(wanted) and text.isascii()):
        return text
    if wanted not in _essence(text):
        return text
    rest = _repetition(wanted).sub(_REDACTED, text)
    return _REDACTED if wanted in _essence(rest) else rest


@lru_cache(maxsize=8)
def _wanted(secret: str) -> bytes:
    return _essence(secret)


@lru_cache(maxsize=8)
def _repetition(essence: bytes) -> re.Pattern[str]:
    """Return the pattern of a repetition of a secret in its own letters, which takes a while."""
    letters = map(re.escape, essence.decode())
    return re.compile("[^!-~]*+".join(letters), re.IGNORECASE | re.ASCII)


def _essence(text: str) -> bytes:
    """Return what *text* has of the characters of a credential, in lower case."""
    if text.isascii():
        return text.encode().translate(None, _BETWEEN).lower()
    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    plain = b"".join(normalize("NFKD", piece).encode("ascii", "ignore") for piece in pieces)
    return plain.translate(None, _BETWEEN).lower()


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
