"""
A snapshot: every read of an account in the API's shape, with the time of reading.

It is for CI and for attaching to a question. It is written from the models' own fields and contains
nothing else from an answer: no credentials, payment method, people, or links, which open an invoice
for anyone. A text that mentions one of these is kept without it, because the reason why a top-up
failed matters.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from pulumi_cf_invoice.billing.cleaning import LONGEST_NAME, inert_json, one_line
from pulumi_cf_invoice.billing.errors import (
    BillingError,
    InvalidDataError,
    NotAvailableError,
    where_to,
)
from pulumi_cf_invoice.billing.models import WHOLE, Answered, Model, iso
from pulumi_cf_invoice.billing.privacy import without_private
from pulumi_cf_invoice.billing.reads import READS, ModelT, Read
from pulumi_cf_invoice.billing.settings import (
    Settings,
    canonical_account_id,
    foreign,
    safe_base_url,
)

VERSION = 1
_LONGEST_ERROR = 1000
_AHEAD = 32
_LONGEST_TIME = 40
# Both ends of a forecast from it are dates.
_YEARS = range(2000, 9000)
_CLOCKS_DIFFER_BY = timedelta(minutes=5)


@dataclass(frozen=True)
class Snapshot:
    """
    What was read of an account at a time, or why it could not be.

    ``answers`` are by the name of the read: its model, or the error. ``base_url`` is where they
    came from, and ``name`` what people call the account.
    """

    account_id: str
    read_at: datetime
    base_url: str
    answers: Mapping[str, Model | BillingError]
    name: str | None = None

    def get(self, read: Read[ModelT]) -> ModelT:
        """
        Return the model of *read*, whatever its query.

        Raises `NotAvailableError` if it was not read, or the error in its place.
        """
        answer = self.answers.get(read.name)
        if answer is None:
            raise NotAvailableError(f"the {read.noun} is not in the snapshot")
        if isinstance(answer, BillingError):
            raise answer.with_traceback(None)
        return cast(ModelT, answer)

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

    @property
    def parts(self) -> list[Read[Model]]:
        """The reads that the API answered with a part of their entries."""
        known = ((read, self.find(read)) for read in READS)
        return [read for read, model in known if model is not None and not model.is_complete]

    def refuse_older(self, than: timedelta, at: datetime) -> None:
        """Raise `NotAvailableError` if, at the time *at*, it is older than that."""
        age = at - self.read_at
        if age > than:
            raise NotAvailableError(
                f"the snapshot is {age.total_seconds() / 3600:,.1f} hours old, taken at "
                f"{iso(self.read_at.timestamp())}, but at most "
                f"{than.total_seconds() / 3600:g} are allowed: take another"
            )
        if age < -_CLOCKS_DIFFER_BY:
            raise NotAvailableError(
                f"the snapshot was taken at {iso(self.read_at.timestamp())}, which is in the "
                "future: check this machine's clock, or take another"
            )

    def to_json(self) -> str:
        """Return the snapshot as JSON, which `from_json` reads."""
        content = {
            "version": VERSION,
            "account_id": self.account_id,
            **({"name": without_private(self.name)} if self.name else {}),
            "read_at": iso(self.read_at.timestamp()),
            "base_url": self.base_url,
            "reads": {
                read.name: self._written(read) for read in READS if read.name in self.answers
            },
        }
        return f"{inert_json(json.dumps(content, indent=1, allow_nan=False))}\n"

    def _written(self, read: Read[Model]) -> dict[str, Any]:
        try:
            model = self.get(read)
        except BillingError as error:
            return {"error": self._told(str(error))}
        return {
            "query": model.query,
            "complete": model.is_complete,
            "result": _scrubbed(model.to_api()),
        }

    def _told(self, error: str) -> str:
        # The snapshot's own address is no link to something private.
        where = where_to(foreign(self.base_url))
        why = error.removesuffix(where)
        return f"{without_private(why)}{error[len(why) :]}"

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Snapshot":
        """Read what `to_json` wrote, parsed with exact numbers. Raises `InvalidDataError`."""
        if content.get("version") != VERSION:
            raise InvalidDataError(
                f"version: {one_line(str(content.get('version')))} is not {VERSION}, the one that "
                "this release reads"
            )
        reads, base_url = content.get("reads"), content.get("base_url")
        if not isinstance(reads, Mapping) or not isinstance(base_url, str):
            raise InvalidDataError("it is not a snapshot: it needs reads and a base_url")
        read_at = _instant(content.get("read_at"))
        try:
            account_id = canonical_account_id(str(content.get("account_id")))
            base_url = safe_base_url(base_url)
        except BillingError as error:
            raise InvalidDataError(f"it is not a snapshot: {error}") from None
        answers = {
            read.name: _read(read, reads[read.name], read_at)
            for read in READS
            if read.name in reads
        }
        name = content.get("name")
        name = one_line(name, LONGEST_NAME) if isinstance(name, str) else None
        return cls(account_id, read_at, base_url, answers, name or None)


def _instant(written: Any) -> datetime:
    try:
        read_at = datetime.fromisoformat(str(written))
    except ValueError:
        read_at = None
    # A time without a zone would mean something else elsewhere.
    if read_at is None or read_at.tzinfo is None:
        is_what = "missing" if written is None else repr(one_line(str(written), _LONGEST_TIME))
        raise InvalidDataError(
            f"read_at is {is_what}: it needs a time with its zone, such as 2026-09-15T12:00:00Z"
        )
    if read_at.year not in _YEARS:
        raise InvalidDataError(f"read_at is in the year {read_at.year}")
    return read_at


def take(settings: Settings, at: datetime) -> Snapshot:
    """
    Request every read of an account in parallel, at the time *at*.

    A refused read does not affect the others: its error is its answer.
    """
    [snapshot] = take_each([settings], at)
    return snapshot


def take_each(accounts: Iterable[Settings], at: datetime) -> Iterator[Snapshot]:
    """
    Take a snapshot of each of *accounts* at the time *at*, in their order.

    The next accounts are being read meanwhile, so that many accounts take only as long as their
    connections need, and the memory of a few.
    """
    ahead: deque[Callable[[], Snapshot]] = deque()
    for settings in accounts:
        ahead.append(_begin(settings, at))
        if len(ahead) > _AHEAD:
            yield ahead.popleft()()
    while ahead:
        yield ahead.popleft()()


def _begin(settings: Settings, at: datetime) -> Callable[[], Snapshot]:
    """Request every read of an account, and return a function that waits for the answers."""
    from pulumi_cf_invoice.billing.client import BillingClient

    client = BillingClient.from_settings(settings)
    asked = {read.name: client.submit(read.asked(at), settings.account_id) for read in READS}

    def finish() -> Snapshot:
        answers = {name: _outcome(answer) for name, answer in asked.items()}
        return Snapshot(settings.account_id, at, settings.base_url, answers)

    return finish


def _outcome(answer: "Future[Model]") -> Model | BillingError:
    try:
        return answer.result()
    except BillingError as error:
        return error


def is_snapshot(content: Mapping[str, Any]) -> bool:
    """Return whether *content* looks like a snapshot of any version, at most one name apart."""
    return "reads" in content and len({"version", "read_at", "base_url"} & content.keys()) > 1


def parsed(read: Read[Model], result: Any, answered: Answered = WHOLE) -> Model | InvalidDataError:
    """Return the model of a ``result``, or the error if it does not fit the model."""
    try:
        return cast(Model, read.model.from_api(result, answered))
    except InvalidDataError as error:
        return InvalidDataError(f"the {read.noun} cannot be read: {error}")


def _read(read: Read[Model], answer: Any, read_at: datetime) -> Model | BillingError:
    if not isinstance(answer, Mapping):
        raise InvalidDataError("it is not a snapshot: an answer in it is not an object")
    if "result" not in answer:
        reason = one_line(str(answer.get("error") or "it has no result"), _LONGEST_ERROR)
        return NotAvailableError(reason)
    query, complete = answer.get("query"), answer.get("complete")
    if not isinstance(query, Mapping) or not isinstance(complete, bool):
        raise InvalidDataError("it is not a snapshot: an answer in it lacks query or complete")
    texts = {name: str(value) for name, value in query.items()}
    return parsed(read, answer["result"], Answered(complete, texts, read_at))


def _scrubbed(value: Any) -> Any:
    """Return *value*, plain data, with every text `without_private`."""
    if isinstance(value, dict):
        return {name: _scrubbed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    return without_private(value) if isinstance(value, str) else value
