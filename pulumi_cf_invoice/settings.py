"""
Which account to ask for, with which credentials, where, and for how long.

For each the first source that has it decides. In a Python program those are the argument, stack
config ``cf-invoice:…``, the stack config of pulumi-cloudflare (``cloudflare:…``), the environment
(``CLOUDFLARE_…``); in the plugin the argument, the provider's own arguments, stack config
``cf-invoice:…``, the environment.
"""

import ipaddress
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pulumi_cf_invoice.errors import CredentialsMissing, SettingsError

CLOUDFLARE_API = "https://api.cloudflare.com/client/v4"
DEFAULT_TIMEOUT = 30.0

GetConfig = Callable[[str], str | None]
"""Reads a key with its namespace, such as ``cf-invoice:accountId``, from stack config."""

SECRETS = ("apiToken", "apiKey")
"""Those of the settings that nobody may see."""
_CLOUDFLARE_SETTINGS = ("apiToken", "email", "apiKey", "baseUrl")
VARIABLES = {
    "accountId": "CLOUDFLARE_ACCOUNT_ID",
    "apiToken": "CLOUDFLARE_API_TOKEN",
    "email": "CLOUDFLARE_EMAIL",
    "apiKey": "CLOUDFLARE_API_KEY",
    "baseUrl": "CLOUDFLARE_BASE_URL",
    "timeout": "CF_INVOICE_TIMEOUT",
}
"""The settings' names in the environment."""
SETTINGS = tuple(VARIABLES)
"""The settings by the names that they have in stack config, and as the provider's arguments."""
_PARTS = {"api_token": "apiToken", "email": "email", "api_key": "apiKey"}


class Credentials:
    """
    What proves to Cloudflare who asks: an API token, or the older pair of e-mail and key.

    Each part is text or a Pulumi Output. Pulumi stores none of it: the provider drops credentials
    before state is written.

    Raises `SettingsError` when both kinds, half a pair, or nothing is given.
    """

    def __init__(self, api_token: Any = None, *, email: Any = None, api_key: Any = None) -> None:
        self._parts = {"api_token": api_token, "email": email, "api_key": api_key}
        given = {name for name, part in self._parts.items() if _is_given(part)}
        if not given:
            raise SettingsError(
                "Credentials needs an api_token, or an email with an api_key; "
                "leave credentials out to use stack config or the environment"
            )
        _require_one_kind(given, "Credentials")

    @classmethod
    def from_provider(cls, provider: Any) -> "Credentials":
        """
        The credentials of an explicit ``pulumi_cloudflare.Provider``.

        Raises `SettingsError` when *provider* is something else.
        """
        # Importing pulumi_cloudflare takes seconds; who has a provider of it has imported it.
        cloudflare = sys.modules.get("pulumi_cloudflare")
        if cloudflare is None or not isinstance(provider, cloudflare.Provider):
            raise SettingsError(
                "Credentials.from_provider takes a pulumi_cloudflare.Provider, "
                f"not {type(provider).__name__}"
            )
        credentials = cls.__new__(cls)
        credentials._parts = {
            name: getattr(provider, name) for name in ("api_token", "email", "api_key")
        }
        return credentials

    def parts(self) -> dict[str, Any]:
        """The parts that were given, by name: text or Outputs. For the adapters only."""
        return {name: part for name, part in self._parts.items() if part is not None}

    def authentication(self) -> "Authentication":
        """
        The credentials, checked and ready to be sent, where all parts are text.

        Raises `SettingsError` otherwise.
        """
        return _checked(self.parts(), "Credentials")

    def __repr__(self) -> str:
        return f"Credentials({', '.join(self.parts())})"


@dataclass(frozen=True)
class Authentication:
    """Checked, plain credentials, ready to be sent. Its repr tells the kind only."""

    headers: Mapping[str, str] = field(repr=False, hash=False, compare=False)
    identity: tuple[str, ...] = field(repr=False)

    @property
    def kind(self) -> str:
        """What the credentials are, for people."""
        return "API token" if len(self.identity) == 1 else "e-mail and API key"

    def redact(self, text: str) -> str:
        """*text* without any credential that it may repeat."""
        for secret in self.identity:
            text = text.replace(secret, "[redacted]")
        return text


@dataclass(frozen=True)
class Settings:
    """Everything that a request needs. ``timeout`` is in seconds, for the whole fetch."""

    account_id: str
    authentication: Authentication
    base_url: str
    timeout: float


@dataclass(frozen=True)
class Source:
    """A place where settings are found. ``name`` is for people."""

    name: str
    values: Mapping[str, Any] = field(repr=False)

    def get(self, setting: str) -> Any:
        """The setting's value, or None where it is absent or empty."""
        value = self.values.get(setting)
        return value if _is_given(value) else None


def environment(variables: Mapping[str, str]) -> Source:
    """The environment's settings."""
    values = {setting: variables.get(name) for setting, name in VARIABLES.items()}
    return Source("the environment", values)


def of_program(config: GetConfig, variables: Mapping[str, str]) -> list[Source]:
    """The sources of a Python program, behind its arguments: stack config, then environment."""
    own = {name: config(f"cf-invoice:{name}") for name in SETTINGS}
    cloudflare = {name: config(f"cloudflare:{name}") for name in _CLOUDFLARE_SETTINGS}
    return [
        Source("stack config cf-invoice:", own),
        Source("stack config cloudflare:", cloudflare),
        environment(variables),
    ]


def resolve(
    account_id: Any, credentials: Mapping[str, Any] | None, sources: Sequence[Source]
) -> Settings:
    """
    Settle the settings from the arguments, then from the first of *sources* that has one.

    *credentials* are the parts of `Credentials`, as plain text. Raises `SettingsError`.
    """
    account = _account(account_id, sources)
    return Settings(
        account_id=account,
        authentication=_authentication(credentials, account, sources),
        base_url=_base_url(sources),
        timeout=_timeout(sources),
    )


def _first(setting: str, sources: Sequence[Source]) -> Any:
    return next((value for source in sources if (value := source.get(setting)) is not None), None)


def _account(argument: Any, sources: Sequence[Source]) -> str:
    if argument is None:
        argument = _first("accountId", sources)
    if argument is None:
        raise SettingsError(
            "no account ID: pass one, run `pulumi config set cf-invoice:accountId ID`, "
            "or set CLOUDFLARE_ACCOUNT_ID"
        )
    if not isinstance(argument, str):
        raise SettingsError(
            f"the account ID must be text of 32 hex digits, not {type(argument).__name__}"
        )
    if not argument.strip():
        raise SettingsError(
            "the account ID is empty: give 32 hex digits, "
            "or leave it out to use cf-invoice:accountId or CLOUDFLARE_ACCOUNT_ID"
        )
    return canonical_account_id(argument)


def canonical_account_id(account_id: str) -> str:
    """*account_id* in lower case. Raises `SettingsError` when it is not 32 hex digits."""
    account = account_id.strip().lower()
    if not re.fullmatch("[0-9a-f]{32}", account):
        raise SettingsError(
            f"{_shown(account)} is no account ID: it has 32 hex digits, and stands "
            "on the overview page of the account in Cloudflare's dashboard"
        )
    return account


def _authentication(
    argument: Mapping[str, Any] | None, account: str, sources: Sequence[Source]
) -> Authentication:
    found = [
        Source("the credentials argument", argument or {}),
        *(
            Source(source.name, {part: source.get(name) for part, name in _PARTS.items()})
            for source in sources
        ),
    ]
    for source in found:
        given = {part: value for part in _PARTS if (value := source.get(part)) is not None}
        if given:
            return _checked(given, source.name)
    raise CredentialsMissing(
        f"no credentials for account {account}: set CLOUDFLARE_API_TOKEN, run "
        "`pulumi config set --secret cf-invoice:apiToken TOKEN`, or pass credentials; "
        "the token needs the permission AI Gateway Read"
    )


def _checked(parts: Mapping[str, Any], source: str) -> Authentication:
    _require_one_kind(set(parts), source)
    for name, part in parts.items():
        # What cannot be a header's value is refused here: httpx would print it in its error.
        if not isinstance(part, str) or not part.isascii() or not part.isprintable():
            raise SettingsError(
                f"{name} in {source} is not one line of printable ASCII text: "
                "was it copied with a line break?"
            )
    if "api_token" in parts:
        token = parts["api_token"].strip()
        return Authentication({"Authorization": f"Bearer {token}"}, (token,))
    email, key = parts["email"].strip(), parts["api_key"].strip()
    return Authentication({"X-Auth-Email": email, "X-Auth-Key": key}, (key, email))


def _require_one_kind(given: set[str], source: str) -> None:
    if "api_token" in given and len(given) > 1:
        raise SettingsError(
            f"{source} has both an API token and an e-mail or API key: keep one kind"
        )
    if given == {"email"}:
        raise SettingsError(f"{source} has an email and no api_key: give both, or an api_token")
    if given == {"api_key"}:
        raise SettingsError(f"{source} has an api_key and no email: give both, or an api_token")


def _base_url(sources: Sequence[Source]) -> str:
    url = _first("baseUrl", sources)
    return CLOUDFLARE_API if url is None else safe_base_url(url)


def safe_base_url(url: str) -> str:
    """*url* as it is used. Raises `SettingsError` when it is neither https nor this machine."""
    if not isinstance(url, str):
        raise SettingsError(f"the base URL must be text, not {type(url).__name__}")
    try:
        parsed = urlsplit(url.strip())
        host, _ = parsed.hostname, parsed.port
    except ValueError:
        raise SettingsError("the base URL cannot be read as a URL") from None
    if not host or parsed.username or parsed.password or parsed.query or parsed.fragment:
        raise SettingsError(
            "the base URL must be a plain address such as "
            f"{CLOUDFLARE_API}, without user, query or fragment"
        )
    if parsed.scheme != "https" and not (parsed.scheme == "http" and is_loopback(host)):
        raise SettingsError(
            f"the base URL {url.strip()} is neither https nor on this machine: "
            "credentials are not sent over it"
        )
    return url.strip().rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _timeout(sources: Sequence[Source]) -> float:
    given = _first("timeout", sources)
    if given is None:
        return DEFAULT_TIMEOUT
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise SettingsError(
            f"the timeout {_shown(str(given))} is no number of seconds above 0 and up to 3600"
        )
    return seconds


def _is_given(part: Any) -> bool:
    return part is not None and not (isinstance(part, str) and not part.strip())


def _shown(text: str) -> str:
    # A token pasted into the wrong place must not be printed in full.
    return repr(text if len(text) <= 8 else f"{text[:4]}…")
