"""
The answers that unit tests set for programs under `pulumi.runtime.set_mocks`.

`pulumi_cf_invoice.testing` has the functions to set them.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.credentials import Credentials
from pulumi_cf_invoice.billing.errors import BillingError, SettingsError
from pulumi_cf_invoice.billing.models import Model
from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    GATEWAYS,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    USAGE_HISTORY,
    Read,
)
from pulumi_cf_invoice.billing.settings import Settings, Source

ACCOUNT_ID = "023e105f4ecef8ad9ca31a8372d0c353"
"""The account of a program if neither it, nor stack config, nor the environment names one."""

STATED: dict[tuple[str, str | None], Model | BillingError] = {}
"""Answers by the name of a read and the account, or None for every account without its own."""

MAKERS = {
    INVOICE_PREVIEW.name: "make_invoice(amount_due=…)",
    CREDIT_BALANCE.name: "make_credit_balance(balance=…)",
    USAGE_HISTORY.name: "make_usage_history([…])",
    INVOICE_HISTORY.name: "make_invoice_history([…])",
    GATEWAYS.name: "make_gateways([…])",
}
"""How a test makes the answer to a read."""


class StatedAnswers:
    """The answers of a program under mocks, as set so far."""

    def __init__(self) -> None:
        self._stated = dict(STATED)

    def ask(self, read: Read[Any], resolved: Settings) -> "Future[Any]":
        """Return the completed future of an answer."""
        account = resolved.account_id
        stated = self._stated.get((read.name, account)) or self._stated.get((read.name, None))
        answer: Future[Any] = Future()
        if stated is None or isinstance(stated, BillingError):
            answer.set_exception(stated or _nothing_stated(read, account))
        else:
            answer.set_result(stated)
        return answer

    def base_url_of(self, found: object) -> None:
        """Return None: nothing that is *found* was read anywhere."""


def settings_of(account_id: Any, sources: Sequence[Source]) -> Settings:
    """
    Resolve the account as outside of a test; nothing else is needed, because no request is made.

    Raises `SettingsError`.
    """
    any_account = Source("a test", {"accountId": ACCOUNT_ID})
    return Settings(
        settings.resolve_account(account_id, [*sources, any_account]),
        Credentials(api_token="mocked"),
        settings.CLOUDFLARE_API,
        settings.DEFAULT_TIMEOUT,
    )


def _nothing_stated(read: Read[Any], account_id: str) -> SettingsError:
    setter = "set_invoice(" if read.name == INVOICE_PREVIEW.name else f"set_answers({_snake(read)}="
    return SettingsError(
        f"no {read.noun} is set for account {account_id}, and nothing is read under Pulumi's "
        f"mocks: call pulumi_cf_invoice.testing.{setter}{MAKERS[read.name]}) before the program "
        "runs"
    )


def _snake(read: Read[Any]) -> str:
    return read.name.replace("-", "_")
