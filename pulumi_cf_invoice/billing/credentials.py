"""Credentials for Cloudflare's API as text, checked before anything is sent."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from html import unescape
from typing import Any
from unicodedata import normalize

from pulumi_cf_invoice.billing.cleaning import COLOR
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
# Of our Markdown, a word joiner.
_BETWEEN_LETTERS = rf"(?:{COLOR.pattern}|[^!-~]|&#8288;)*+"
# As of Markdown and HTML, of the program text of a string, and of a URL. Without what comes before,
# a run of backslashes would be searched from each of them anew.
_REFERENCE = re.compile("&(?:#[0-9]{1,20}|#[xX][0-9a-fA-F]{1,20}|[A-Za-z][A-Za-z0-9]{1,31}(?=;));?")
_CODE_BEGINS = r"(?:(?<!\\)\\++(?:u00|x)|%(?:25)*+)"
_HEX = "[0-9a-fA-F]"
_CODE = re.compile(
    rf"(?<!\\)\\++(?:[nrtbfv]|u({_HEX}{{4}})|U0{{4}}({_HEX}{{4}})|x({_HEX}{{2}})|u{{({_HEX}{{1,5}})}})"
    rf"|%(?:25)*+([0-7]{_HEX})|%(?:25)*+[89a-fA-F]{_HEX}"
)
# Each quotation of a quotation adds one, and no log has more of them.
_DEEPEST_ESCAPES = 4
_BACKSLASH = re.compile(r"\\(?=[!-/:-@\[-`{-~])")
_JSON_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
# Two of these are one character.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
PARTS = ("api_token", "email", "api_key")
"""The parts of credentials, by the names of the constructor's arguments."""
# Stack config, the environment and the plugin each have names of their own.
_WORDS = dict(zip(PARTS, ("API token", "e-mail", "API key"), strict=True))


class Secrets:
    """
    Texts that what others write may repeat, and that nothing of ours may. A repr shows none.

    Less than eight characters are no secret, and occur in words.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        # One that has escapes itself, such as an address, is repeated with and without them.
        views = (view for text in texts for view in _views(text).split(b" "))
        essences = {view for view in views if len(view) >= _SHORTEST_SECRET}
        # One may be a part of another.
        self._essences = sorted(essences, key=len, reverse=True)
        self._shortest = min(map(len, essences), default=0)

    def redact(self, text: str) -> str:
        """
        Return *text* without any secret that it may repeat, in either case.

        Characters that nobody sees can hide one from a search, so they do not count, nor do a
        terminal's colours, nor any other character that no credential has. The escapes of Markdown,
        HTML, JSON and URLs count as what they show. A text that repeats one in other letters, such
        as full-width ones, is dropped as a whole.
        """
        if not self._essences or (len(text) < self._shortest and text.isascii()):
            return text
        seen = _views(text)
        for number, wanted in enumerate(self._essences):
            if wanted in seen:
                text = self._repetitions[number].sub(_REDACTED, text)
                seen = _views(text)
            if wanted in seen:
                return _REDACTED
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

    def is_in(self, text: str | bytes) -> bool:
        """Return whether *text*, without JSON's escapes, repeats a secret, as `redact` sees it."""
        if not self._essences:
            return False
        seen = _views(text if isinstance(text, str) else text.decode(errors="ignore"))
        return any(wanted in seen for wanted in self._essences)

    def may_be_in_json(self, text: str) -> bool:
        """Return whether a text within the JSON of *text* may repeat a secret."""
        if not self._essences:
            return False
        if "\\" not in text:
            return self.is_in(text)
        return bool(_SURROGATE.search(text)) or self.is_in(_JSON_ESCAPE.sub(_unescaped, text))

    @cached_property
    def _repetitions(self) -> list[re.Pattern[str]]:
        """The pattern of a repetition of each secret in its own letters, which takes a while."""
        return [
            re.compile(_BETWEEN_LETTERS.join(map(_letter, wanted)), re.IGNORECASE | re.ASCII)
            for wanted in self._essences
        ]


def secrets_in(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each credential among the *variables* of an environment, with its variable's name."""
    for variable, value in variables.items():
        if variable.endswith(("_TOKEN", "_API_KEY")) or variable == "CF_INVOICE_NOTIFY":
            for line in value.splitlines():
                # Of addresses there is one per line, among comments.
                if not (variable == "CF_INVOICE_NOTIFY" and line.startswith("#")):
                    yield variable, line


def without_secrets(text: str, variables: Mapping[str, str]) -> str:
    """Return *text* without the credentials among the *variables* of an environment."""
    return Secrets(secret for _, secret in secrets_in(variables)).redact(text)


class Credentials(Secrets):
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
        super().__init__(
            part for name, part in self._parts.items() if not (name == "email" and "@" in part)
        )

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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(frozenset(self._parts.items()))

    def __repr__(self) -> str:
        return f"Credentials({', '.join(self._parts)})"


def _letter(code: int) -> str:
    letter = chr(code)
    either = {ord(letter), ord(letter.upper())}
    references = "|".join(f"0*{each}|x0*{each:x}" for each in either)
    codes = "|".join(f"{each:x}" for each in either)
    return rf"(?:\\?{re.escape(letter)}|&#(?:{references});|{_CODE_BEGINS}(?:{codes}))"


def _views(text: str) -> bytes:
    """
    Return what *text* shows of the characters of a credential as it is, and without its escapes.

    An escape within another is one as well. A blank, which no credential has, is between the two.
    """
    views = [_essence(text)]
    for _ in range(_DEEPEST_ESCAPES):
        plain = _decoded(text)
        if plain == text:
            break
        text = plain
        views.append(_essence(text))
    return b" ".join(views)


def _decoded(text: str) -> str:
    if "&" in text:
        text = _REFERENCE.sub(lambda found: unescape(found[0]), text)
    if "\\" in text or "%" in text:
        text = _CODE.sub(_of_code, text)
    return text


def _of_code(found: re.Match[str]) -> str:
    # Nobody sees a line break, and nothing of a letter that is not ASCII is in a credential.
    code = next(filter(None, found.groups()), None)
    return chr(int(code, 16)) if code else ""


def _essence(text: str) -> bytes:
    """Return what *text* shows of the characters of a credential, in lower case."""
    if "\\" in text:
        text = _BACKSLASH.sub("", text)
    if "\x1b" in text:
        text = COLOR.sub("", text)
    if text.isascii():
        return text.encode().translate(None, _BETWEEN).lower()
    pieces = (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
    plain = b"".join(normalize("NFKD", piece).encode("ascii", "ignore") for piece in pieces)
    return plain.translate(None, _BETWEEN).lower()


def _unescaped(escape: re.Match[str]) -> str:
    letter = escape[1]
    if len(letter) > 1:
        return chr(int(letter[1:], 16))
    # What the other letters stand for is seen by nobody.
    return letter if letter in '"\\/' else ""


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
        return "has an e-mail but no API key: give both, or an API token"
    if set(parts) == {"api_key"}:
        return "has an API key but no e-mail: give both, or an API token"
    if not parts:
        return "needs an API token, or an e-mail with an API key"
    return None


def unsendable(parts: Mapping[str, Any]) -> str | None:
    """
    Say which of *parts* cannot be sent as an HTTP header, which httpx would print in its error, or
    is more than a token or key, which an answer could repeat on its own.
    """
    for name, part in parts.items():
        word = _WORDS.get(name, name)
        if not isinstance(part, str):
            return f"has an {word} that is not text but {type(part).__name__}"
        if not part.isascii() or not part.isprintable():
            return (
                f"has an {word} that is not one line of printable ASCII text: "
                "was it copied with a line break?"
            )
        if name != "email" and any(sign in part for sign in _NOT_IN_TOKENS):
            return (
                f"has an {word} with a blank or a quotation mark in it: copy the token or key "
                "alone, without 'Bearer' and quotation marks"
            )
    return None
