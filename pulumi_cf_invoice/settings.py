"""
Which account to ask for, with which credentials, where, and for how long.

For each the first source that has it decides: the argument, stack config ``cf-invoice:…``, the
stack config of pulumi-cloudflare (``cloudflare:…``), the environment (``CLOUDFLARE_…``).
"""

import ipaddress
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pulumi_cf_invoice.errors import CredentialsMissing, SettingsError

CLOUDFLARE_API = "https://api.cloudflare.com/client/v4"
DEFAULT_TIMEOUT = 30.0

GetConfig = Callable[[str], str | None]
"""Reads a key with its namespace, such as ``cf-invoice:accountId``, from stack config."""


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


def resolve(
    account_id: Any,
    credentials: Mapping[str, Any] | None,
    *,
    config: GetConfig,
    environment: Mapping[str, str],
) -> Settings:
    """
    Settle the settings from arguments, stack config and environment, in that order.

    *credentials* are the parts of `Credentials`, as plain text. Raises `SettingsError`.
    """
    account = _account(account_id, config, environment)
    return Settings(
        account_id=account,
        authentication=_authentication(credentials, account, config, environment),
        base_url=_base_url(config, environment),
        timeout=_timeout(config, environment),
    )


def _account(argument: Any, config: GetConfig, environment: Mapping[str, str]) -> str:
    if argument is not None and not isinstance(argument, str):
        raise SettingsError(
            f"the account ID must be text of 32 hex digits, not {type(argument).__name__}"
        )
    if argument is not None and not argument.strip():
        raise SettingsError(
            "the account ID is empty: give 32 hex digits, "
            "or leave it out to use cf-invoice:accountId or CLOUDFLARE_ACCOUNT_ID"
        )
    account = argument or _first(
        config("cf-invoice:accountId"), environment.get("CLOUDFLARE_ACCOUNT_ID")
    )
    if account is None:
        raise SettingsError(
            "no account ID: pass account_id, run `pulumi config set cf-invoice:accountId ID`, "
            "or set CLOUDFLARE_ACCOUNT_ID"
        )
    return canonical_account_id(account)


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
    argument: Mapping[str, Any] | None,
    account: str,
    config: GetConfig,
    environment: Mapping[str, str],
) -> Authentication:
    sources: list[tuple[str, dict[str, Any]]] = [
        ("the credentials argument", dict(argument or {})),
        ("stack config cf-invoice:", _config_parts(config, "cf-invoice")),
        ("stack config cloudflare:", _config_parts(config, "cloudflare")),
        (
            "the environment",
            {
                "api_token": environment.get("CLOUDFLARE_API_TOKEN"),
                "email": environment.get("CLOUDFLARE_EMAIL"),
                "api_key": environment.get("CLOUDFLARE_API_KEY"),
            },
        ),
    ]
    for source, parts in sources:
        given = {name: part for name, part in parts.items() if _is_given(part)}
        # An e-mail alone is no secret and proves nothing: by itself it does not make a source.
        if given:
            return _checked(given, source)
    raise CredentialsMissing(
        f"no credentials for account {account}: set CLOUDFLARE_API_TOKEN, run "
        "`pulumi config set --secret cloudflare:apiToken TOKEN`, or pass credentials; "
        "the token needs the permission AI Gateway Read"
    )


def _config_parts(config: GetConfig, namespace: str) -> dict[str, Any]:
    return {
        "api_token": config(f"{namespace}:apiToken"),
        "email": config(f"{namespace}:email"),
        "api_key": config(f"{namespace}:apiKey"),
    }


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


def _base_url(config: GetConfig, environment: Mapping[str, str]) -> str:
    url = _first(
        config("cf-invoice:baseUrl"),
        config("cloudflare:baseUrl"),
        environment.get("CLOUDFLARE_BASE_URL"),
    )
    return CLOUDFLARE_API if url is None else safe_base_url(url)


def safe_base_url(url: str) -> str:
    """*url* as it is used. Raises `SettingsError` when it is neither https nor this machine."""
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


def _timeout(config: GetConfig, environment: Mapping[str, str]) -> float:
    text = _first(config("cf-invoice:timeout"), environment.get("CF_INVOICE_TIMEOUT"))
    if text is None:
        return DEFAULT_TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise SettingsError(
            f"the timeout {_shown(text)} is no number of seconds above 0 and up to 3600"
        )
    return seconds


def _first(*values: str | None) -> str | None:
    return next((value for value in values if value and value.strip()), None)


def _is_given(part: Any) -> bool:
    return part is not None and not (isinstance(part, str) and not part.strip())


def _shown(text: str) -> str:
    # A token pasted into the wrong place must not be printed in full.
    return repr(text if len(text) <= 8 else f"{text[:4]}…")
