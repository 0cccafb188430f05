"""The accounts that a token can see, with their names."""

from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from pulumi_cf_invoice.billing.errors import InvalidDataError, SettingsError
from pulumi_cf_invoice.billing.models import (
    CONFIG,
    WHOLE,
    Answered,
    ListOrNull,
    Text,
    adapter,
    counted,
    distinct,
    parsed,
)
from pulumi_cf_invoice.billing.settings import canonical_account_id

PER_PAGE = 50
"""The number of accounts per page, the most that the API allows."""


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Account:
    """An account."""

    account_id: str = Field(description="Its ID, 32 hex digits.")
    name: Text = Field(default=None, description="Its name; none if not given.")


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class Accounts:
    """
    The accounts that a token can see, in the API's order.

    API: ``result`` of ``GET /accounts``.
    """

    accounts: Annotated[list[Account], ListOrNull()] = Field(description="The accounts.")
    accounts_complete: bool = Field(default=True, description="Whether `accounts` has all of them.")

    @classmethod
    def from_api(cls, result: Any, answered: Answered = WHOLE) -> "Accounts":
        """Parse the ``result`` of an answer. Raises `InvalidDataError`."""
        if not isinstance(result, list):
            raise InvalidDataError("result: not a list")
        listed = [_account(number, entry) for number, entry in enumerate(result)]
        accounts = distinct(listed, lambda account: account["account_id"])
        # An account that comes twice has moved to another page meanwhile, and hid another one.
        complete = answered.complete and len(accounts) == len(listed)
        return parsed(cls, {"accounts": accounts, "accounts_complete": complete})

    def to_figures(self) -> dict[str, Any]:
        """Return the fields, by name, as plain data."""
        figures: dict[str, Any] = adapter(Accounts).dump_python(self, exclude_none=True)
        return figures

    def to_api(self) -> list[dict[str, Any]]:
        """Return the accounts in the shape of the ``result`` that `from_api` parses."""
        return [{"id": account.account_id, "name": account.name} for account in self.accounts]

    @property
    def query(self) -> dict[str, str]:
        """The parameters of a request that it answers."""
        return query()

    @property
    def is_complete(self) -> bool:
        """Whether `accounts` are all that there are."""
        return self.accounts_complete

    @property
    def text(self) -> str:
        """How many accounts there are."""
        return counted(len(self.accounts), "account")


def query(at: Any = None) -> dict[str, str]:
    """Return the parameters of a request."""
    return {"per_page": str(PER_PAGE)}


def _account(number: int, entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise InvalidDataError(f"result.{number}: not an object")
    try:
        account_id = canonical_account_id(entry.get("id"))
    except SettingsError:
        raise InvalidDataError(f"result.{number}.id: not an account ID") from None
    return {"account_id": account_id, "name": entry.get("name")}
