"""
The settings of a fetch: account, credentials, base URL and timeout, each from the first source that
sets it.

In a Python program the sources are the argument, stack config ``cf-invoice:…``, the stack config of
pulumi-cloudflare (``cloudflare:…``) and the environment (``CLOUDFLARE_…``), in this order; in the
plugin the argument, the provider's own arguments, stack config ``cf-invoice:…`` and the
environment.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pulumi_cf_invoice.billing.credentials import (
    PARTS,
    Credentials,
    Secrets,
    given_parts,
    problem_with,
    secrets_in,
    unsendable,
)
from pulumi_cf_invoice.billing.errors import MissingCredentialsError, SettingsError
from pulumi_cf_invoice.billing.suggestions import unknown_name

ANY_ACCOUNT = "0" * 32
"""A placeholder account to resolve settings that are the same for all."""
CLOUDFLARE_API = "https://api.cloudflare.com/client/v4"
DEFAULT_TIMEOUT = 30.0
_PORTS = {"https": 443, "http": 80}

GetConfig = Callable[[str], str | None]
"""Reads a key with its namespace, such as ``cf-invoice:accountId``, from stack config."""

VARIABLES = {
    "accountId": "CLOUDFLARE_ACCOUNT_ID",
    "apiToken": "CLOUDFLARE_API_TOKEN",
    "email": "CLOUDFLARE_EMAIL",
    "apiKey": "CLOUDFLARE_API_KEY",
    "baseUrl": "CLOUDFLARE_BASE_URL",
    "timeout": "CF_INVOICE_TIMEOUT",
}
"""The names of the settings in the environment."""
SETTINGS = tuple(VARIABLES)
"""The settings, by their names in stack config and as provider arguments."""
SECRETS = ("apiToken", "apiKey")
"""The settings that are secret."""
CREDENTIALS_ARGUMENT = "the credentials argument"
"""The name in messages for a call's own credentials."""
STACK_CONFIG = "stack config"
"""The prefix of the names of sources in stack config."""
ENVIRONMENT = "the environment"
"""The name in messages for environment variables."""
CREDENTIALS = ("apiToken", "email", "apiKey")
"""The settings that are parts of credentials."""
NAMESPACE = "cf-invoice"
"""The namespace of the package's own stack config."""
OF_THE_ENGINE = ("version", "pluginDownloadURL")
"""What Pulumi itself reads from the namespace of any provider plugin."""
_CLOUDFLARE_SETTINGS = (*CREDENTIALS, "baseUrl")
_SETTING_OF_PART = dict(zip(PARTS, CREDENTIALS, strict=True))


@dataclass(frozen=True)
class Settings:
    """
    Everything that a fetch needs.

    ``timeout`` is in seconds, for a whole read, and ``more_time`` is the advice on how to raise it
    when it runs out. In addition, a read waits up to ``longest_wait`` seconds for the rate limit,
    by default as long as the timeout.
    """

    account_id: str
    credentials: Credentials
    base_url: str
    timeout: float
    more_time: str = "pass a longer timeout"
    longest_wait: float | None = None


@dataclass(frozen=True)
class Source:
    """
    A source of settings.

    ``name`` is for people; a repr shows no value. ``remedies`` say how to set the account,
    credentials or timeout there, by ``accountId``, ``apiToken`` and ``timeout``, and ``labels``
    have the name of each setting there. ``secrets`` are credentials of others that are there as
    well, which nothing may repeat. A base URL gets the credentials of a source with the same
    ``trust``, because whoever controls one controls both. None is for sources that can come with a
    pull request.
    """

    name: str
    values: Mapping[str, Any] = field(repr=False)
    remedies: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    trust: str | None = None
    secrets: Sequence[str] = field(default=(), repr=False)

    def get(self, setting: str) -> Any:
        """Return the value of *setting*, or None if it is absent or empty."""
        return given_parts(self.values).get(setting)

    def label(self, setting: str) -> str:
        """Return the name of *setting* in this source."""
        return self.labels.get(setting, self.name)


@dataclass(frozen=True)
class Examined:
    """
    The outcome for a setting.

    ``value`` is for people and shows no credential, ``where`` says where it was found, and
    ``problem`` what is wrong with it, if anything.
    """

    name: str
    value: str = ""
    where: str = "default"
    problem: str | None = None


def arguments(parts: Mapping[str, Any]) -> Source:
    """
    Return the source of a call's own credentials, whose *parts* have the names of `Credentials`.
    """
    return given({_SETTING_OF_PART[part]: value for part, value in parts.items()})


def given(values: Mapping[str, Any]) -> Source:
    """Return the source of a call's own credentials, whose *values* have the settings' names."""
    remedies = {"accountId": "pass one", "apiToken": "pass credentials"}
    return Source(CREDENTIALS_ARGUMENT, values, remedies, trust="arguments")


def refuse_without_value(own: Source) -> None:
    """Raise `SettingsError` if *own*, a call's own credentials, were given but are all None."""
    if not _parts(own):
        raise SettingsError(
            f"{own.name} {problem_with({})}, and its Outputs are None; leave it out to use stack "
            "config or the environment"
        )


def environment(variables: Mapping[str, str]) -> Source:
    """Return the source of the environment *variables*."""
    values = {setting: variables.get(name) for setting, name in VARIABLES.items()}
    remedies = {setting: f"set {name}" for setting, name in VARIABLES.items()}
    secrets = tuple(secret for _, secret in secrets_in(variables))
    return Source(ENVIRONMENT, values, remedies, VARIABLES, ENVIRONMENT, secrets)


def stack_config(values: Mapping[str, Any], *, trust: str | None = None) -> Source:
    """
    Return the source of the stack config ``cf-invoice:``, whose keys have no namespace here.

    *trust* is None outside of the stack's own program, as in `config_sources`.
    """
    remedies = {
        "accountId": "run `pulumi config set cf-invoice:accountId ID`",
        "apiToken": "run `pulumi config set --secret cf-invoice:apiToken TOKEN`",
        "timeout": "run `pulumi config set cf-invoice:timeout SECONDS`",
    }
    return Source(f"{STACK_CONFIG} {NAMESPACE}:", values, remedies, _keys(NAMESPACE), trust)


def program_sources(config: GetConfig, variables: Mapping[str, str]) -> list[Source]:
    """
    Return the sources of a Python program after its arguments: stack config, then environment.
    """
    return [*config_sources(config, trust=STACK_CONFIG), environment(variables)]


def config_sources(config: GetConfig, *, trust: str | None = None) -> list[Source]:
    """
    Return the sources of stack config: ours, then that of pulumi-cloudflare.

    The stack's own program trusts an address in it with the credentials in it (*trust*), since
    whoever can write one can read the other. Elsewhere, an address can come with a pull request
    whose author cannot.
    """
    own = {name: config(f"{NAMESPACE}:{name}") for name in SETTINGS}
    cloudflare = {name: config(f"cloudflare:{name}") for name in _CLOUDFLARE_SETTINGS}
    return [
        stack_config(own, trust=trust),
        Source(f"{STACK_CONFIG} cloudflare:", cloudflare, {}, _keys("cloudflare"), trust),
    ]


def unknown_keys(names: Iterable[str]) -> list[str]:
    """
    Say which of *names*, keys of the stack config ``cf-invoice:`` without the prefix, are not
    settings.

    Each is an unfinished sentence, which names the setting that was probably meant.
    """
    known = [f"{NAMESPACE}:{name}" for name in SETTINGS]
    unknown = [name for name in names if name not in (*SETTINGS, *OF_THE_ENGINE)]
    return [unknown_name("setting of stack config", f"{NAMESPACE}:{n}", known) for n in unknown]


def in_plain_text(keys: Iterable[str]) -> list[str]:
    """Return a warning for each of *keys*, with namespace, that holds a secret in plain text."""
    secret = {f"{namespace}:{name}" for namespace in (NAMESPACE, "cloudflare") for name in SECRETS}
    return [
        f"stack config {key} is in plain text: run `pulumi config set --secret {key} VALUE`, with "
        "a new value if others may have seen this one"
        for key in keys
        if key in secret
    ]


def resolve(account_id: Any, sources: Sequence[Source]) -> Settings:
    """
    Resolve account, credentials, base URL and timeout, in the order of *sources*.

    *account_id* comes before all of them. Raises `SettingsError`.
    """
    account = resolve_account(account_id, sources)
    base_url = _base_url(sources)
    return Settings(
        account_id=account,
        credentials=_credentials(account, base_url, sources),
        base_url=base_url,
        timeout=_timeout(sources),
        more_time=_remedy("timeout", _until_first("timeout", sources)),
    )


def resolve_account(account_id: Any, sources: Sequence[Source]) -> str:
    """
    Resolve the account alone, as *account_id* or from the first of *sources* that has one.

    The result is 32 hex digits in lower case. Raises `SettingsError`.
    """
    if account_id is None:
        account_id = _first("accountId", sources)
    if account_id is None:
        raise SettingsError(f"no account ID: {_remedy('accountId', sources)}")
    if isinstance(account_id, str) and not account_id.strip():
        raise SettingsError(
            "the account ID is empty: give 32 hex digits, or leave it out to use another source"
        )
    return canonical_account_id(account_id)


def examine(account_id: Any, sources: Sequence[Source]) -> list[Examined]:
    """
    Return the outcome for account, credentials, base URL and timeout, with all problems at once.

    *account_id* comes before *sources*, as in `resolve`, which raises these problems instead.
    """
    found, account, base_url = [], None, CLOUDFLARE_API
    try:
        account = resolve_account(account_id, sources)
        where = _where("accountId", sources) if account_id is None else sources[0].name
        found.append(Examined("account", account, where))
    except SettingsError as error:
        found.append(Examined("account", problem=str(error)))
    try:
        base_url = _base_url(sources)
        foreign = "" if is_cloudflare(base_url) else ", not Cloudflare's"
        of_url = Examined("base URL", f"{base_url}{foreign}", _where("baseUrl", sources))
    except SettingsError as error:
        of_url = Examined("base URL", problem=str(error))
    try:
        kind = _credentials(account, base_url, sources).kind
        found.append(Examined("credentials", kind, _where_credentials(sources)))
    except SettingsError as error:
        found.append(Examined("credentials", problem=str(error)))
    found.append(of_url)
    try:
        found.append(Examined("timeout", f"{_timeout(sources):g} s", _where("timeout", sources)))
    except SettingsError as error:
        found.append(Examined("timeout", problem=str(error)))
    return found


def canonical_account_id(account_id: Any) -> str:
    """Return *account_id* in lower case. Raises `SettingsError` if it is not 32 hex digits."""
    if not isinstance(account_id, str):
        raise SettingsError(
            f"the account ID must be text of 32 hex digits, not {type(account_id).__name__}"
        )
    account = account_id.strip().lower()
    if not is_account_id(account):
        raise SettingsError(
            f"{_abridged(account)} is not an account ID, which has 32 hex digits: copy it from "
            "the account's overview page in Cloudflare's dashboard"
        )
    return account


def is_account_id(text: str) -> bool:
    """Return whether *text* is an account ID as `canonical_account_id` returns it."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None


def safe_base_url(url: str, example: str = CLOUDFLARE_API) -> str:
    """
    Return *url* without a trailing slash. Raises `SettingsError` unless it is https or loopback.

    Errors give the *example*.
    """
    if not isinstance(url, str):
        raise SettingsError(f"the base URL must be text, not {type(url).__name__}")
    url = url.strip()
    if not url.isprintable() or any(character in url for character in " ?#\\"):
        raise SettingsError(
            f"the base URL must be a plain address such as {example}, without blanks, query or "
            "fragment"
        )
    try:
        parsed = urlsplit(url)
        host, _ = parsed.hostname, parsed.port
        # A label that is empty, too long or not to be spelled in ASCII is a UnicodeError.
        (host or "").rstrip(".").encode("idna")
        _refuse_unspellable(host or "")
    except ValueError:
        raise SettingsError("the base URL cannot be read as a URL") from None
    # Brackets anywhere else are read in another way by whatever connects.
    if not re.fullmatch(r"(\[[^\[\]]+\]|[^\[\]]*)(:[0-9]*)?", parsed.netloc):
        raise SettingsError("the base URL cannot be read as a URL")
    if not host or "@" in parsed.netloc:
        raise SettingsError(
            f"the base URL must be a plain address such as {example}, with a host and without a "
            "user"
        )
    is_numeric = parsed.netloc.startswith("[") or re.fullmatch("[0-9.]+|.*:.*", host)
    if is_numeric and not _is_ip_address(host):
        raise SettingsError(f"the base URL {url} is wrong: {host} is not an IP address")
    if parsed.scheme != "https" and not (parsed.scheme == "http" and is_loopback(host)):
        raise SettingsError(
            f"the base URL {url} is neither https nor on this machine: "
            "credentials are not sent over it"
        )
    return url.rstrip("/")


def refuse_secret_in(base_url: Any, secrets: Secrets, where: str = "") -> None:
    """
    Raise `SettingsError` if *base_url*, which messages and reports name, repeats a secret.

    The error says *where* it was found.
    """
    is_given = isinstance(base_url, str) and base_url.rstrip("/") != CLOUDFLARE_API
    if is_given and secrets.is_in(base_url):
        found = f" ({where})" if where else ""
        raise SettingsError(
            f"the base URL{found} has a credential in it, and messages, reports and logs would "
            "show it: give an address without, unless a variable such as X_TOKEN is set to a "
            "placeholder"
        )


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refuse_unspellable(host: str) -> None:
    """Raise ValueError for an international *host* that httpx refuses to connect to."""
    if host.isascii() and "xn--" not in host:
        return
    import idna

    idna.encode(idna.decode(host))


def is_cloudflare(base_url: str) -> bool:
    """
    Return whether *base_url* is Cloudflare's API, over TLS.

    Other hosts of Cloudflare's are not: ``gateway.ai.cloudflare.com`` forwards to whatever an
    account configures. Neither are other paths on the same host, under which an account can serve
    anything.
    """
    parsed, known = urlsplit(base_url), urlsplit(CLOUDFLARE_API)
    is_path = parsed.path.rstrip("/") in ("", known.path)
    is_host = parsed.hostname == known.hostname and parsed.port in (None, 443)
    return parsed.scheme == "https" and is_host and is_path


def foreign(base_url: str | None) -> str | None:
    """Return *base_url*, or None if it is Cloudflare's."""
    return None if base_url is None or is_cloudflare(base_url) else base_url


def is_same_address(given: Any, base_url: str) -> bool:
    """Return whether *given*, which may be anything, is another spelling of *base_url*."""
    try:
        urls = safe_base_url(given), base_url
        first, second = (
            (url.scheme, url.hostname, url.port or _PORTS[url.scheme], url.path)
            for url in map(urlsplit, urls)
        )
    except (SettingsError, ValueError):
        return False
    return first == second or all(map(is_cloudflare, urls))


def is_loopback(host: str) -> bool:
    """Return whether *host* is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _credentials(account_id: str | None, base_url: str, sources: Sequence[Source]) -> Credentials:
    # Whoever keeps an error keeps its frames, so no local variable here may hold a credential.
    source = _source_of_credentials(sources)
    if source is None:
        whose = f" for account {account_id}" if account_id not in (None, ANY_ACCOUNT) else ""
        raise MissingCredentialsError(
            f"no credentials{whose}: {_remedy('apiToken', sources)}; "
            "the token needs the permission AI Gateway Read"
        )
    problem = problem_with(_parts(source)) or unsendable(_parts(source))
    if problem:
        raise SettingsError(f"{source.name} {problem}")
    _refuse_to_send_elsewhere(source, base_url, sources)
    return Credentials(**_parts(source), source=_where_credentials(sources))


def _refuse_to_send_elsewhere(source: Source, base_url: str, sources: Sequence[Source]) -> None:
    """Raise `SettingsError` unless the credentials of *source* may be sent to *base_url*."""
    if is_cloudflare(base_url) or is_loopback(urlsplit(base_url).hostname or ""):
        return
    of_url = next(source for source in sources if source.get("baseUrl") is not None)
    if of_url.trust is not None and of_url.trust == source.trust:
        return
    # The environment belongs to the machine: an address in it is trusted with all of the machine's
    # credentials.
    machine = next((source for source in sources if source.name == ENVIRONMENT), None)
    if machine is not None and is_same_address(machine.get("baseUrl"), base_url):
        return
    raise SettingsError(
        f"{of_url.name} sets the base URL {base_url}, to which credentials from {source.name} are "
        "not sent: set CLOUDFLARE_BASE_URL to it as well, if you trust it"
    )


def _source_of_credentials(sources: Sequence[Source]) -> Source | None:
    return next((source for source in sources if _parts(source)), None)


def _where(setting: str, sources: Sequence[Source]) -> str:
    found = (source for source in sources if source.get(setting) is not None)
    return next((source.label(setting) for source in found), "default")


def _where_credentials(sources: Sequence[Source]) -> str:
    source = _source_of_credentials(sources)
    if source is None:
        return ""
    # Parts that were given together have one label.
    labels = dict.fromkeys(source.label(_SETTING_OF_PART[name]) for name in _parts(source))
    return " and ".join(labels)


def _keys(namespace: str) -> dict[str, str]:
    return {setting: f"stack config {namespace}:{setting}" for setting in SETTINGS}


def _parts(source: Source) -> dict[str, Any]:
    return given_parts({part: source.get(name) for part, name in _SETTING_OF_PART.items()})


def _base_url(sources: Sequence[Source]) -> str:
    url = _first("baseUrl", sources)
    if url is None:
        return CLOUDFLARE_API
    refuse_secret_in(url, _secrets(sources), _where("baseUrl", sources))
    return safe_base_url(url)


def _secrets(sources: Sequence[Source]) -> Secrets:
    own = (source.get(name) for source in sources for name in SECRETS)
    others = (secret for source in sources for secret in source.secrets)
    return Secrets([*(secret for secret in own if isinstance(secret, str)), *others])


def _timeout(sources: Sequence[Source]) -> float:
    given = _first("timeout", sources)
    if given is None:
        return DEFAULT_TIMEOUT
    try:
        return seconds_of(given)
    except SettingsError as error:
        raise SettingsError(f"{error} ({_where('timeout', sources)})") from None


def seconds_of(given: Any, name: str = "timeout", most: float = 3600) -> float:
    """Return the time limit *name*. Raises `SettingsError` unless it is above 0, up to *most*."""
    try:
        seconds = 0.0 if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds <= most:
        raise SettingsError(
            f"the {name} {_abridged(str(given))} is not a number of seconds above 0 and up to "
            f"{most:g}"
        )
    return seconds


def _remedies(setting: str, sources: Sequence[Source]) -> list[str]:
    return [source.remedies[setting] for source in sources if setting in source.remedies]


def _remedy(setting: str, sources: Sequence[Source]) -> str:
    return _alternatives(_remedies(setting, sources))


def _alternatives(ways: Sequence[str]) -> str:
    """Join *ways* as people do: ``a, b, or c``."""
    if len(ways) < 3:
        return ", or ".join(ways)
    return f"{', '.join(ways[:-1])}, or {ways[-1]}"


def _until_first(setting: str, sources: Sequence[Source]) -> Sequence[Source]:
    """Return the *sources* up to the first that has the *setting*: those after it do nothing."""
    given = (place for place, source in enumerate(sources, 1) if source.get(setting) is not None)
    return sources[: next(given, len(sources))]


def _first(setting: str, sources: Sequence[Source]) -> Any:
    return next((value for source in sources if (value := source.get(setting)) is not None), None)


def _abridged(text: str) -> str:
    # A token that was pasted into the wrong place must not be printed in full.
    return repr(text if len(text) <= 8 else f"{text[:4]}…")
