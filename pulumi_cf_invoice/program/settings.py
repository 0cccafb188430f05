"""
Settings of a running Pulumi program: plain arguments, then stack config, then the environment.
"""

import os
from collections.abc import Iterable
from typing import Any

import pulumi
from pulumi.runtime.config import get_config, is_config_secret
from pulumi.runtime.mocks import MockEngine
from pulumi.runtime.settings import get_engine

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.settings import Settings, Source
from pulumi_cf_invoice.program import config
from pulumi_cf_invoice.program.credentials import Credentials
from pulumi_cf_invoice.program.errors import wrong_kind
from pulumi_cf_invoice.state import SECRET_ADDRESS, origin

_ACCOUNT_CONFIG = "cf-invoice:accountId"


def arguments(credentials: Credentials | None) -> Source:
    """Return *credentials* as a source of settings. Raises `SettingsError` for another type."""
    if credentials is None:
        return settings.arguments({})
    if not isinstance(credentials, Credentials):
        raise wrong_kind(
            "credentials must be Credentials(api_token=…) or Credentials(email=…, api_key=…) of "
            "pulumi_cf_invoice",
            credentials,
        )
    return settings.arguments(credentials.inputs)


def has_output(values: Iterable[Any], given: Source) -> bool:
    """Return whether an argument is an Output, which has no value before the program runs on."""
    return any(isinstance(value, pulumi.Output) for value in (*values, *given.values.values()))


def resolve(account_id: Any, given: Source) -> Settings:
    """
    Resolve settings from plain arguments, then stack config, then environment. Raises
    `SettingsError`.
    """
    sources = settings.program_sources(get_config, os.environ)
    if is_mocked():
        from pulumi_cf_invoice.program import stated

        return stated.settings_of(account_id, sources)
    config.examine()
    if given.values:
        settings.refuse_without_value(given)
    resolved = settings.resolve(account_id, [given, *sources])
    if not settings.is_cloudflare(resolved.base_url):
        address = SECRET_ADDRESS if _address_is_secret() else resolved.base_url
        config.say_once(pulumi.log.info, origin(address))
    return resolved


def as_configured(account_id: Any) -> Any:
    """
    Return *account_id*, or the stack's own for None, as a secret if stack config marks it so.

    Only the program can tell, because the provider gets plain config.
    """
    configured = (get_config(_ACCOUNT_CONFIG) or "").strip()
    if not configured or not is_config_secret(_ACCOUNT_CONFIG):
        return account_id
    if account_id is None:
        return pulumi.Output.secret(configured)
    is_the_same = isinstance(account_id, str) and account_id.lower() == configured.lower()
    return pulumi.Output.secret(account_id) if is_the_same else account_id


def address_as_configured(address: pulumi.Output[Any]) -> pulumi.Output[Any]:
    """
    Return the *address* that figures came from, as a secret if stack config has a secret one.

    None, which is Cloudflare's, is no secret: it would be an output that hides an address.
    """
    if not _address_is_secret():
        return address
    return address.apply(lambda known: known if known is None else pulumi.Output.secret(known))


def _address_is_secret() -> bool:
    """Return whether stack config has an address as a secret."""
    return any(is_config_secret(f"{name}:baseUrl") for name in ("cf-invoice", "cloudflare"))


def none_as_empty(value: Any) -> Any:
    """
    Return *value*, with an empty text in place of None if it is an Output.

    What was given is refused then, where None would count as left out.
    """
    if not isinstance(value, pulumi.Output):
        return value
    return value.apply(lambda known: "" if known is None else known)


def unsecret(value: Any) -> Any:
    """Return *value* without the mark of a secret, if it is an Output."""
    return pulumi.Output.unsecret(value) if isinstance(value, pulumi.Output) else value


def is_mocked() -> bool:
    """Return whether the program runs under `pulumi.runtime.set_mocks`, in a unit test."""
    # A test may have its own monitor; the engine's is always Pulumi's.
    return isinstance(get_engine(), MockEngine)
