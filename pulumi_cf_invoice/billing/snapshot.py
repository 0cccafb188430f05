"""
A snapshot: every read of an account as the API gave it, and the time of reading.

It is made for CI and for attaching to a question. It holds no credentials, and what is nobody
else's business is taken out: the payment method, people and their addresses, and links, which open
an invoice for everyone. A text that only mentions one of these stays, without it: the reason why a
top-up failed has to be known.
"""

import json
import re
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.errors import (
    BillingError,
    InvalidDataError,
    NotAvailableError,
    SettingsError,
)
from pulumi_cf_invoice.billing.models import WHOLE, Answered, Model, iso
from pulumi_cf_invoice.billing.reads import READS, ModelT, Read
from pulumi_cf_invoice.billing.settings import Settings, canonical_account_id, safe_base_url

VERSION = 1
# Fields of the API, and those that Stripe, whose invoices these are, has besides. A flag, such as
# whether there is a payment method, tells nothing of it.
_PRIVATE = re.compile(
    "payment_method|card|brand|last4|customer|created_by|billing_details|mail|phone|address|_pdf|"
    "url",
    re.IGNORECASE,
)
_IN_TEXTS = (
    (re.compile(r"[\w+.-]*://\S+"), "[link]"),
    (re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)*\.[a-zA-Z]{2,}\b"), "[e-mail address]"),
    (re.compile(r"(?i)(ending (?:in|with) |[*\u2022]{2,} ?)\d{4}\b"), r"\1[digits]"),
)
_LONGEST_ERROR = 1000
# Both ends of a forecast from it are dates.
_YEARS = range(2000, 9000)
_CLOCKS_DIFFER_BY = timedelta(minutes=5)


@dataclass(frozen=True)
class Given:
    """The ``result`` of an answer as it is, with how it was answered. It is a model of any read."""

    result: Any
    answered: Answered = WHOLE

    @classmethod
    def from_api(cls, result: Any, answered: Answered = WHOLE) -> "Given":
        """Keep *result* without what is private."""
        return cls(_without_private(result), answered)

    def to_figures(self) -> dict[str, Any]:
        """Return the result."""
        return dict(self.result)

    @property
    def text(self) -> str:
        """That it is as the API gave it."""
        return "as the API gave it"


@dataclass(frozen=True)
class Snapshot:
    """
    What was read of an account at a time, or why it could not be.

    ``answers`` are by the name of the read. ``base_url`` is where they came from.
    """

    account_id: str
    read_at: datetime
    base_url: str
    answers: Mapping[str, Given | BillingError]
    _models: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def get(self, read: Read[ModelT]) -> ModelT:
        """
        Return the model of *read*, whatever its query.

        Raises `NotAvailableError` if it was not read, the error of the request if that failed, and
        `InvalidDataError` if what was read does not fit the model.
        """
        if read.name not in self._models:
            self._models[read.name] = self._parsed(read)
        return cast(ModelT, self._models[read.name])

    def find(self, read: Read[ModelT]) -> ModelT | None:
        """Return the model of *read*, or None where `get` raises."""
        try:
            return self.get(read)
        except BillingError:
            return None

    def problem(self, read: Read[Model]) -> BillingError | None:
        """Return why *read* is not available; None if it is."""
        try:
            self.get(read)
        except BillingError as error:
            return error
        return None

    def _parsed(self, read: Read[Model]) -> Any:
        given = self.answers.get(read.name)
        if given is None:
            raise NotAvailableError(f"the {read.noun} is not in the snapshot")
        if isinstance(given, BillingError):
            raise given.with_traceback(None)
        try:
            return read.model.from_api(given.result, given.answered)
        except InvalidDataError as error:
            raise InvalidDataError(f"the {read.noun} cannot be read: {error}") from None

    def refuse_older(self, than: timedelta, at: datetime) -> None:
        """Raise `NotAvailableError` if it was read longer ago than that at the time *at*."""
        age = at - self.read_at
        if age > than:
            raise NotAvailableError(
                f"the snapshot is {age.total_seconds() / 3600:,.1f} hours old, of "
                f"{iso(self.read_at.timestamp())}, and at most "
                f"{than.total_seconds() / 3600:g} are allowed: take another"
            )
        if age < -_CLOCKS_DIFFER_BY:
            raise NotAvailableError(
                f"the snapshot is of {iso(self.read_at.timestamp())}, which is still to come: its "
                "age cannot be told"
            )

    def to_json(self) -> str:
        """Return the snapshot as JSON, which `from_json` reads."""
        content = {
            "version": VERSION,
            "account_id": self.account_id,
            "read_at": iso(self.read_at.timestamp()),
            "base_url": self.base_url,
            "reads": {name: _written(given) for name, given in self.answers.items()},
        }
        return json.dumps(content, indent=1, default=_number, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Snapshot":
        """Read what `to_json` wrote, parsed with exact numbers. Raises `InvalidDataError`."""
        if content.get("version") != VERSION:
            raise InvalidDataError(
                f"version: {one_line(str(content.get('version')))} is not {VERSION}, the one that "
                "this release reads"
            )
        try:
            account_id = canonical_account_id(str(content.get("account_id")))
            read_at = datetime.fromisoformat(str(content.get("read_at")).replace("Z", "+00:00"))
        except (BillingError, ValueError) as error:
            raise InvalidDataError(f"it is not a snapshot: {error}") from None
        reads, base_url = content.get("reads"), content.get("base_url")
        if not isinstance(reads, Mapping) or not isinstance(base_url, str) or not read_at.tzinfo:
            raise InvalidDataError(
                "it is not a snapshot: it needs reads, a base_url, and a time with its zone"
            )
        if read_at.year not in _YEARS:
            raise InvalidDataError(f"it is not a snapshot: {read_at.year} is no year to read in")
        try:
            base_url = safe_base_url(base_url)
        except SettingsError as error:
            raise InvalidDataError(f"it is not a snapshot: {error}") from None
        known = {read.name for read in READS}
        answers = {name: _read(answer, read_at) for name, answer in reads.items() if name in known}
        return cls(account_id, read_at, base_url, answers)


def take(settings: Settings, at: datetime) -> Snapshot:
    """
    Ask for every read of an account, side by side, at the time *at*.

    What is refused takes nothing from the rest: its error is the answer.
    """
    from pulumi_cf_invoice.billing.client import BillingClient

    client = BillingClient.from_settings(settings)
    asked = {
        read.name: client.submit(replace(read, model=Given), settings.account_id)
        for read in (read.asked(at) for read in READS)
    }
    answers = {name: _outcome(answer, at) for name, answer in asked.items()}
    return Snapshot(settings.account_id, at, settings.base_url, answers)


def _outcome(answer: "Future[Any]", at: datetime) -> Given | BillingError:
    try:
        given: Given = answer.result()
    except BillingError as error:
        return error
    # One time for all of it, as the file has it.
    return replace(given, answered=replace(given.answered, at=at))


def is_snapshot(content: Mapping[str, Any]) -> bool:
    """Return whether *content* looks like a snapshot, of any version."""
    return {"version", "read_at", "reads"} <= content.keys()


def _written(given: Given | BillingError) -> dict[str, Any]:
    if isinstance(given, BillingError):
        return {"error": _without_private(str(given))}
    answered = given.answered
    return {"query": answered.query, "complete": answered.complete, "result": given.result}


def _read(answer: Any, read_at: datetime) -> Given | BillingError:
    if not isinstance(answer, Mapping):
        raise InvalidDataError("it is not a snapshot: an answer in it is no object")
    if "result" not in answer:
        said = one_line(str(answer.get("error") or "it has no result"), _LONGEST_ERROR)
        return NotAvailableError(said)
    query, complete = answer.get("query"), answer.get("complete")
    if not isinstance(query, Mapping) or not isinstance(complete, bool):
        raise InvalidDataError("it is not a snapshot: an answer in it lacks query or complete")
    texts = {name: str(value) for name, value in query.items()}
    return Given(answer["result"], Answered(complete, texts, read_at))


def _without_private(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_private(item)
            for name, item in value.items()
            if isinstance(item, bool) or not _PRIVATE.search(name)
        }
    if isinstance(value, list):
        return [_without_private(item) for item in value]
    if isinstance(value, str):
        for private, instead in _IN_TEXTS:
            value = private.sub(instead, value)
    return value


def _number(value: Any) -> Any:
    if not isinstance(value, Decimal):
        raise TypeError(type(value).__name__)
    try:
        return money.carried(value)
    except ValueError:
        # What no float carries is no amount, and is refused as a text as well.
        return str(value)
