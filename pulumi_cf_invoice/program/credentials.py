"""Credentials as a Pulumi program passes them: they may be Outputs, or come from a provider."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import pulumi

from pulumi_cf_invoice.billing.credentials import PARTS, given_parts, problem_with
from pulumi_cf_invoice.billing.errors import SettingsError
from pulumi_cf_invoice.billing.settings import is_cloudflare, is_same_address, safe_base_url
from pulumi_cf_invoice.program.errors import raises_run_errors


class Credentials:
    """
    An API token, or the older pair of e-mail address and API key.

    Each part is text or a Pulumi Output. Pulumi never stores them, because the provider drops
    credentials before state is written.

    Raises `SettingsError` if both kinds, half a pair or nothing is given.
    """

    @raises_run_errors
    def __init__(
        self,
        api_token: pulumi.Input[str] | None = None,
        *,
        email: pulumi.Input[str] | None = None,
        api_key: pulumi.Input[str] | None = None,
    ) -> None:
        self._inputs = given_parts({"api_token": api_token, "email": email, "api_key": api_key})
        # Whoever keeps an error keeps its frames, so no local variable may hold a credential.
        del api_token, email, api_key
        problem = problem_with(self._inputs)
        if problem:
            raise SettingsError(
                f"Credentials {problem}; leave them out to use stack config or the environment"
            )

    @staticmethod
    @raises_run_errors
    def from_provider(provider: Any) -> "Credentials":
        """
        Return the credentials of an explicit ``pulumi_cloudflare.Provider``.

        They are meant for its ``base_url``: if that is not Cloudflare's, the environment's
        CLOUDFLARE_BASE_URL has to be the same, or the deployment fails without sending them.

        Raises `SettingsError` if *provider* is something else.
        """
        # Importing pulumi_cloudflare takes seconds; whoever has a provider has already imported it.
        cloudflare = sys.modules.get("pulumi_cloudflare")
        if cloudflare is None or not isinstance(provider, cloudflare.Provider):
            raise SettingsError(
                "Credentials.from_provider takes a pulumi_cloudflare.Provider, "
                f"not {type(provider).__name__}"
            )
        return _ProviderCredentials(provider)

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The given parts, by name, as text or Outputs. For internal use."""
        return self._inputs

    def __repr__(self) -> str:
        return f"Credentials({', '.join(self._inputs)})"


class _ProviderCredentials(Credentials):
    """Credentials of a provider, whose parts only become known while the program runs."""

    def __init__(self, provider: Any) -> None:
        # Apart from the credentials, which no frame of an error may hold.
        checked = pulumi.Output.from_input(provider.base_url).apply(_refuse_another)
        self._inputs = {name: _after(checked, getattr(provider, name)) for name in PARTS}


def _after(checked: pulumi.Output[None], part: pulumi.Output[Any]) -> pulumi.Output[Any]:
    """Return a *part* of credentials that is only known once it has been *checked*."""
    return checked.apply(lambda _: part)


def _is_ours(address: str) -> bool:
    try:
        own = safe_base_url(address)
    except SettingsError:
        return False
    return is_cloudflare(own) or is_same_address(os.environ.get("CLOUDFLARE_BASE_URL"), own)


@raises_run_errors
def _refuse_another(address: Any) -> None:
    """
    Raise `SettingsError` where credentials for an *address*, which may be secret, would be sent to
    another.
    """
    if not address or _is_ours(address):
        return
    raise SettingsError(
        "the provider has a base URL of its own, so its credentials are not sent to Cloudflare or "
        "elsewhere: set CLOUDFLARE_BASE_URL to it as well, if you trust it"
    )
