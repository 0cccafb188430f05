"""
The reads of the billing API, each declared once.

The client's request, the cache key, the error message, the sandbox's route, the plugin's function,
its schema and the docs' tables follow from a declaration here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from pulumi_cf_invoice.billing import (
    accounts,
    credit_balance,
    gateways,
    invoice,
    invoice_history,
    pages,
    usage_history,
)
from pulumi_cf_invoice.billing.accounts import Accounts
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.errors import SettingsError
from pulumi_cf_invoice.billing.gateways import Gateways
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.invoice_history import InvoiceHistory
from pulumi_cf_invoice.billing.models import Model
from pulumi_cf_invoice.billing.usage_history import UsageHistory

ModelT = TypeVar("ModelT", bound=Model)
ModelT_co = TypeVar("ModelT_co", bound=Model, covariant=True)


@dataclass(frozen=True)
class Read(Generic[ModelT_co]):
    """
    One read of the billing API.

    Error messages call its result the ``noun``, and docs describe it with the ``summary``.
    ``place`` is its path below the base URL, and ``permission`` is what a token needs for it.
    ``model`` is the class that parses the result; its ``figures`` are derived from its fields, and
    some of them are ``not_always_known``. ``entries`` is the field of the result that can come in
    pages. ``arguments`` are the caller's choices, by name with a description; ``to_query`` turns
    them into the request's parameters (``query``) as of the time ``at``. ``places`` says where the
    API has fields that it names differently.
    """

    name: str
    noun: str
    summary: str
    model: type[ModelT_co]
    figures: tuple[str, ...] = ()
    not_always_known: tuple[str, ...] = ()
    entries: str | None = None
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    arguments: Mapping[str, str] = field(default_factory=dict, compare=False)
    to_query: Callable[..., Mapping[str, str]] = field(default=lambda at: {}, compare=False)
    place: str = "/accounts/{account_id}/ai-gateway/billing/{name}"
    permission: str = "AI Gateway Read"
    query: tuple[tuple[str, str], ...] = ()
    at: datetime | None = field(default=None, compare=False)

    def path(self, account_id: str) -> str:
        """Return the path below the base URL."""
        return self.place.format(account_id=account_id, name=self.name)

    @property
    def is_of_account(self) -> bool:
        """Whether it reads a single account, rather than everything that the token can see."""
        return "{account_id}" in self.place

    @property
    def per_page(self) -> int | None:
        """The number of entries per page that its query requests, if it does."""
        requested = dict(self.query).get("per_page")
        return None if requested is None else int(requested)

    def is_complete(self, envelope: Mapping[str, Any]) -> bool:
        """Return whether *envelope*, an answer to this read, says that it has all entries."""
        return self.entries is None or pages.is_complete(envelope, self.entries)

    def asked(self, at: datetime, /, **arguments: Any) -> "Read[ModelT_co]":
        """
        Return the read with the query for its *arguments* as of *at*; None means the default.

        Raises `SettingsError`.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        for name in arguments:
            if name not in self.arguments:
                from pulumi_cf_invoice.billing.suggestions import unknown_name

                problem = unknown_name("argument", name, self.arguments)
                raise SettingsError(f"{self.noun}: {problem}")
        return replace(self, query=tuple(self.to_query(at, **given).items()), at=at)


INVOICE_PREVIEW = Read(
    "invoice-preview",
    "upcoming invoice",
    "The upcoming invoice of an account's AI Gateway, outside the diff and the state, with derived "
    "values: amounts net of credits, in major units, and as text for people.",
    Invoice,
    figures=invoice.DERIVED,
    not_always_known=invoice.SUMMED,
    entries="invoice_lines",
    places={"invoice_id": "`result.id`", "invoice_lines_complete": "`result_info`"},
)
CREDIT_BALANCE = Read(
    "credit-balance",
    "credit balance",
    "The credits of an account's AI Gateway, and the automatic top-up that refills them. Amounts "
    "are in minor units of the account's currency, which the API does not name: it is the upcoming "
    "invoice's.",
    CreditBalance,
    figures=credit_balance.FIGURES,
    not_always_known=("topup_problem",),
    places={
        "topup_config.disabled_reason": "`result.topup_config.disabledReason`",
        "topup_config.last_failed_at": "`result.topup_config.lastFailedAt`",
    },
)
USAGE_HISTORY = Read(
    "usage-history",
    "usage history",
    "The usage of an account's AI Gateway by hour or day, in units of usage, which are not money: "
    "the API documents no unit. Hours or days without usage are included as 0.",
    UsageHistory,
    figures=usage_history.FIGURES,
    entries="history",
    places={
        "window": "`value_grouping_window` of the query",
        "since": "`start_time` of the query",
        "until": "`end_time` of the query",
        "entries": "`result.history`",
        "entries[].start": "`result.history[].start_time`",
        "entries[].end": "`result.history[].end_time`",
        "entries[].is_partial": "none, it is the time of the request",
        "entries_without_value": "none, these are entries of `result.history`",
    },
    arguments={
        "since": "The start, in ISO 8601 with a time zone, or a UTC day; rounded down to the start "
        "of its hour or day. The default is 100 days before the end. API: `start_time`.",
        "until": "The end, not included, in ISO 8601 with a time zone, or a UTC day; rounded up to "
        "the end of its hour or day. The default, and the latest possible, is the end of the "
        "current one. API: `end_time`.",
        "window": "What an entry covers: `day` (the default) or `hour`, in UTC. API: "
        "`value_grouping_window`.",
    },
    to_query=usage_history.query,
)
INVOICE_HISTORY = Read(
    "invoice-history",
    "invoice history",
    "The earlier invoices of an account's AI Gateway, newest first. Amounts are in minor units of "
    "each invoice's own `currency`.",
    InvoiceHistory,
    entries="invoices",
    places={
        "type": "`type` of the query",
        "invoices[].invoice_id": "`result.invoices[].id`",
        "invoices_complete": "`result.pagination`",
    },
    arguments={
        "type": "Which invoices: `all` (the default), `auto` or `manual`, as the API calls them. "
        "API: `type`.",
    },
    to_query=invoice_history.query,
)

ACCOUNTS = Read(
    "accounts",
    "list of accounts",
    "The accounts that a token can see, with their names.",
    Accounts,
    entries=pages.RESULT,
    to_query=accounts.query,
    place="/accounts",
    permission="Account Settings Read",
)

GATEWAYS = Read(
    "gateways",
    "list of AI gateways",
    "The AI gateways of an account, whoever created them, with their spend limits. Limits are in "
    "US dollars, windows in seconds.",
    Gateways,
    entries=pages.RESULT,
    places={
        "gateways": "`result`",
        "gateways[].gateway_id": "`result[].id`",
        "gateways[].spend_limits_enabled": "`result[].spend_limits.enabled`",
        "gateways[].spend_limit_rules": "`result[].spend_limits.rules`",
        "gateways[].spend_limit_rules[].limit_type": "`result[].spend_limits.rules[].limitType`",
        "gateways[].spend_limit_rules[].scopes": "`model`, `provider` and `metadata` of the rule",
        "gateways_complete": "`result_info`",
    },
    to_query=gateways.query,
    place="/accounts/{account_id}/ai-gateway/gateways",
)

READS: tuple[Read[Model], ...] = (
    INVOICE_PREVIEW,
    CREDIT_BALANCE,
    USAGE_HISTORY,
    INVOICE_HISTORY,
    GATEWAYS,
)
"""Every read of an account."""
BESIDE_INVOICE: tuple[Read[Model], ...] = (CREDIT_BALANCE, USAGE_HISTORY, INVOICE_HISTORY, GATEWAYS)
"""What a report shows in addition to the upcoming invoice."""
