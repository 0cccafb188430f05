"""
Reads accounts, for rules that read them themselves and for the command line.

A read that is refused does not affect the others: `AccountState` holds what could be read, and why
the rest could not.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import BillingError, SettingsError
from pulumi_cf_invoice.billing.models import Model
from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    INVOICE_PREVIEW,
    USAGE_HISTORY,
    ModelT,
    Read,
)
from pulumi_cf_invoice.billing.settings import Source, foreign, is_cloudflare
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.state import InvoiceState, origin

if TYPE_CHECKING:
    from pulumi_cf_invoice.forecast import Forecast


@dataclass(frozen=True)
class AccountState:
    """
    What was read of an account: ``answers`` by name of read, and ``errors`` of those refused.

    ``read_at`` is when it was read, and ``base_url`` where it came from, if not from Cloudflare.
    ``forecasts`` are those already made for the account.
    """

    account_id: str
    read_at: datetime
    answers: Mapping[str, Model]
    errors: Mapping[str, BillingError] = field(default_factory=dict)
    base_url: str | None = None
    forecasts: dict[Any, "Forecast"] = field(default_factory=dict, compare=False, repr=False)

    def get(self, read: Read[ModelT]) -> ModelT:
        """
        Return the answer of a required *read*, whatever its query was.

        Raises its error if it was refused.
        """
        if read.name in self.errors:
            raise self.errors[read.name].with_traceback(None)
        return cast(ModelT, self.answers[read.name])

    def find(self, read: Read[ModelT]) -> ModelT | None:
        """
        Return the answer of *read*, or None if it was refused, in which case there is an error.
        """
        return cast("ModelT | None", self.answers.get(read.name))

    @property
    def of_invoice(self) -> InvoiceState:
        """The upcoming invoice, which is required, in the form that rules on invoices take."""
        invoice = self.get(INVOICE_PREVIEW)
        return InvoiceState(self.account_id, invoice, base_url=self.base_url, read_at=self.read_at)

    def forecast(self, fixed_lines: tuple[str, ...] = ()) -> "Forecast":
        """
        Return the forecast as of the time of reading, which several rules share.

        It needs the invoice and the usage history. Raises the error of a refused one, and what
        `forecast_invoice` raises. Without the balance, credits are assumed to last.
        """
        from pulumi_cf_invoice.forecast import forecast_invoice

        invoice, usage = self.get(INVOICE_PREVIEW), self.get(USAGE_HISTORY)
        balance = self.find(CREDIT_BALANCE)
        key = fixed_lines, balance is None
        if key not in self.forecasts:
            self.forecasts[key] = forecast_invoice(
                invoice, usage, balance, at=self.read_at, fixed_lines=fixed_lines
            )
        return self.forecasts[key]

    @property
    def origin(self) -> str:
        """Where the figures came from, as a sentence; empty if from Cloudflare."""
        return origin(self.base_url)


class AccountReader:
    """
    Reads accounts for rules, each read once, whether it fails or not.

    Credentials and timeout come from the sources *before* and then from the environment
    *variables*, but the base URL comes from the gate: one from elsewhere would redirect a gate
    without its knowledge. An account in *snapshots* is not requested if its snapshot came from the
    same address.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        before: Sequence[Source] = (),
        snapshots: Iterable[Snapshot] = (),
    ) -> None:
        self._variables = variables
        self._before = [_without_base_url(source) for source in before]
        self._snapshots = {
            (snapshot.account_id, _address(snapshot.base_url)): snapshot for snapshot in snapshots
        }
        self._asked: dict[Any, Future[Any]] = {}
        self._times: dict[Any, datetime] = {}
        self._forecasts: dict[Any, dict[Any, Forecast]] = {}
        self._tellers: dict[tuple[bool, str, str | None, str], str] = {}
        self._lock = threading.Lock()

    def read_at(self, account_id: str, base_url: str | None, at: datetime) -> datetime:
        """
        Return when an account is read: at its snapshot's time, or at the first *at* in this run.
        """
        snapshot = self._snapshot(account_id, base_url)
        if snapshot is not None:
            return snapshot.read_at
        with self._lock:
            return self._times.setdefault((account_id, base_url), at)

    def ask(self, read: Read[ModelT], account_id: str, base_url: str | None) -> "Future[ModelT]":
        """
        Request a *read* of an account, if nobody has, from *base_url* or else from Cloudflare.

        The future carries any error.
        """
        try:
            snapshot = self._snapshot(account_id, base_url)
            if snapshot is not None:
                return _done(snapshot.get(read))
            resolved = self._settings(account_id, base_url)
        except BillingError as error:
            return _failed(error)
        # Most packs and reports read no accounts themselves.
        from pulumi_cf_invoice.billing.client import BillingClient

        key = (read, account_id, resolved.base_url)
        with self._lock:
            if key not in self._asked:
                client = BillingClient.from_settings(resolved)
                self._asked[key] = client.submit(read, account_id)
            return self._asked[key]

    def read(
        self,
        account_id: str,
        base_url: str | None,
        reads: Sequence[Read[Model]] = (INVOICE_PREVIEW,),
        also: Sequence[Read[Model]] = (),
        *,
        at: datetime,
    ) -> AccountState:
        """
        Return the answers of *reads*, and of those in *also* that are not refused.

        They count as read at the time that `read_at` has for *at*.

        Raises the `BillingError` of the first of *reads* that is refused.
        """
        asked = [(read, self.ask(read, account_id, base_url)) for read in (*reads, *also)]
        answers: dict[str, Model] = {}
        errors: dict[str, BillingError] = {}
        for read, future in asked:
            try:
                answers[read.name] = future.result()
            except BillingError as error:
                if read in reads:
                    raise
                errors[read.name] = error
        with self._lock:
            forecasts = self._forecasts.setdefault((account_id, base_url), {})
        return AccountState(
            account_id,
            self.read_at(account_id, base_url, at),
            answers,
            errors,
            foreign(base_url),
            forecasts,
        )

    def teller(
        self, account_id: str, base_url: str | None, error: str, name: str, is_strict: bool
    ) -> str:
        """
        Return the first gate that reported an *error* of an account, which may be *name*.

        One that ``is_strict`` does not refer to one that is not: of that, a note or a warning may
        be folded away.
        """
        key = account_id, base_url, error
        with self._lock:
            strict = self._tellers.get((True, *key))
            return strict or self._tellers.setdefault((is_strict, *key), name)

    def _snapshot(self, account_id: str, base_url: str | None) -> Snapshot | None:
        return self._snapshots.get((account_id, _address(base_url)))

    def _settings(self, account_id: str, base_url: str | None) -> settings.Settings:
        environment = settings.environment(self._variables)
        given = environment.get("baseUrl")
        if base_url is None and given is not None:
            base_url = settings.safe_base_url(given)
            if not is_cloudflare(base_url):
                raise SettingsError(
                    f"CLOUDFLARE_BASE_URL is {one_line(base_url)}, which is not Cloudflare's, but "
                    "a rule that reads accounts itself only uses its own `baseUrl`: set that in "
                    "the rule, or unset the variable"
                )
        own = Source("the rule", {"baseUrl": base_url})
        return settings.resolve(account_id, [own, *self._before, environment])


def _address(base_url: str | None) -> str:
    return foreign(base_url) or settings.CLOUDFLARE_API


def _done(answer: ModelT) -> "Future[ModelT]":
    future: Future[ModelT] = Future()
    future.set_result(answer)
    return future


def _failed(error: BillingError) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_exception(error.with_traceback(None))
    return future


def _without_base_url(source: Source) -> Source:
    values = {name: value for name, value in source.values.items() if name != "baseUrl"}
    return replace(source, values=values)
