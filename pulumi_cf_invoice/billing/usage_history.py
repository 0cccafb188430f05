"""
The usage history: how much was used in each hour or day.

Its values are **units of usage, never money**: the API documents no unit, and users disagree
whether it is cents or dollars. They show the shape of usage over time; the invoice shows what it
costs.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.errors import InvalidDataError, SettingsError
from pulumi_cf_invoice.billing.models import (
    CONFIG,
    LAST_SECOND,
    WHOLE,
    Answered,
    Quantity,
    Slotted,
    UnixSeconds,
    adapter,
    as_given,
    counted,
    derived,
    finite,
    iso,
    parsed,
)

Window = Literal["day", "hour"]
WINDOWS: tuple[Window, ...] = get_args(Window)
FIGURES = ("total",)
"""The figures of a `UsageHistory` that follow from its fields."""
MOST_WINDOWS = 20_000
"""The maximum number of hours or days per request: about 27 months of hours."""
DEFAULT_DAYS = 100
"""The default number of days, including today: as many as a forecast and its track record need."""
SECONDS: dict[str, int] = {"day": 86_400, "hour": 3_600}
"""The length of each window."""
_FIRST = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())
"""Before there was any AI Gateway."""
_ABOUT_ONE = 1.1
"""How many windows an entry may cover, as nothing says what the API takes for the end of one."""


@dataclass(frozen=True, kw_only=True, slots=True, config=CONFIG)
class UsageEntry(Slotted):
    """The usage of one hour or day."""

    start: UnixSeconds = Field(description="Start of the hour or day, in Unix seconds (UTC).")
    end: UnixSeconds = Field(
        description="End of the hour or day, in Unix seconds (UTC), not included."
    )
    aggregated_value: Quantity = Field(description="Usage, in units of usage, which are not money.")
    is_partial: bool = Field(
        default=False, description="Whether the hour or day was not over when it was read."
    )

    @property
    def start_iso(self) -> str:
        """Start of the hour or day, as ISO 8601 in UTC."""
        return iso(self.start)


@dataclass(frozen=True, kw_only=True, config=CONFIG)
class UsageHistory:
    """
    The usage of an account's AI Gateway by hour or day. Its values are never money.

    Hours or days that the API leaves out are included with a usage of 0.

    API: ``result`` of ``GET /accounts/{account_id}/ai-gateway/billing/usage-history``.
    """

    window: Window = Field(description="What an entry covers: day or hour.")
    since: UnixSeconds = Field(
        description="Start of the requested time, in Unix seconds: the start of a UTC day or hour."
    )
    until: UnixSeconds = Field(
        description="End of the requested time, in Unix seconds, not included: the end of a UTC "
        "day or hour."
    )
    entries: list[UsageEntry] = Field(description="Every hour or day in between, in order.")
    entries_without_value: list[UnixSeconds] = Field(
        default_factory=list,
        description="Starts of the hours or days that the API returned without a value, in Unix "
        "seconds (UTC). Their usage is unknown, and is 0 in `entries`.",
    )

    @classmethod
    def from_api(cls, result: Any, answered: Answered = WHOLE) -> "UsageHistory":
        """
        Parse the ``result`` of an answer to a query that `query` made.

        Raises `InvalidDataError`, which names the field, if it is not a usage history, or only a
        part of one.
        """
        if not isinstance(result, dict):
            raise InvalidDataError("result: not an object")
        if not answered.complete:
            # Days that are missing would look like days without usage.
            raise InvalidDataError("history: the API gave only a part of it")
        if "history" not in result:
            raise InvalidDataError("history: missing")
        since, until, window = _bounds(answered.query)
        read_by = LAST_SECOND if answered.at is None else int(answered.at.timestamp())
        # Days around the requested ones may be given too. Any other instant is in another unit.
        possible = range(min(since, _FIRST), max(until, read_by) + SECONDS["day"])
        values, without_value = _values(result["history"], window, possible)
        starts = [*values, *without_value]
        if starts and not any(since <= start < until for start in starts):
            # Usage of another time would look like none.
            raise InvalidDataError("history: no entry is in the time that was requested")
        return cls.of_values(
            values,
            window=window,
            since=since,
            until=until,
            at=answered.at,
            without_value=(start for start in without_value if since <= start < until),
        )

    @classmethod
    def of_values(
        cls,
        values: dict[int, float],
        *,
        window: Window,
        since: int,
        until: int,
        at: datetime | None = None,
        without_value: Iterable[int] = (),
    ) -> "UsageHistory":
        """
        Return the history of the usage *values* by start, in Unix seconds, as read at *at*.

        *without_value* has the starts of hours or days that the API returned without a value.
        """
        length = SECONDS[window]
        fields = {
            "window": window,
            "since": since,
            "until": until,
            "entries": [
                {
                    "start": start,
                    "end": start + length,
                    "aggregated_value": values.get(start, 0),
                    "is_partial": at is not None and start + length > at.timestamp(),
                }
                for start in range(since, until, length)
            ],
            "entries_without_value": sorted(without_value),
        }
        return parsed(cls, fields)

    def to_api(self) -> dict[str, Any]:
        """Return the entries in the shape of the ``result`` that `from_api` parses."""
        values: list[tuple[int, float | None]] = [
            *((entry.start, entry.aggregated_value) for entry in self.entries),
            *((start, None) for start in self.entries_without_value),
        ]
        length = SECONDS[self.window]
        return {
            "history": [
                {
                    "start_time": start * 1000,
                    "end_time": (start + length) * 1000,
                    "aggregated_value": value,
                }
                for start, value in values
                # A missing hour or day has no usage.
                if value != 0
            ]
        }

    @property
    def query(self) -> dict[str, str]:
        """The parameters of a request that it answers."""
        return _to_query(self.window, self.since, self.until)

    @property
    def is_complete(self) -> bool:
        """True: a part of a history is refused."""
        return True

    def to_figures(self) -> dict[str, Any]:
        """Return the fields and what follows from them (`FIGURES`), by name, as plain data."""
        fields: dict[str, Any] = adapter(UsageHistory).dump_python(self)
        return fields | derived(FIGURES, self)

    @property
    def total(self) -> float:
        """Sum of the entries, in units of usage."""
        return money.number(money.total(entry.aggregated_value for entry in self.entries))

    @property
    def text(self) -> str:
        """How many of the hours or days have usage."""
        used = sum(entry.aggregated_value != 0 for entry in self.entries)
        text = f"usage in {used:,} of {len(self.entries):,} {self.window}s"
        return f"{text}, {self.without_value_text} left out" if self.entries_without_value else text

    @property
    def without_value_text(self) -> str:
        """How many hours or days the API returned without a value, for people."""
        return f"{counted(len(self.entries_without_value), self.window)} without a value"

    @property
    def since_iso(self) -> str:
        """Start of the requested time, as ISO 8601 in UTC."""
        return iso(self.since)

    @property
    def until_iso(self) -> str:
        """End of the requested time, not included, as ISO 8601 in UTC."""
        return iso(self.until)


Instant = datetime | date | str
"""A ``datetime`` with a time zone, a UTC day, or either as ISO 8601."""


def query(
    at: datetime,
    since: Instant | None = None,
    until: Instant | None = None,
    window: str = "day",
) -> dict[str, str]:
    """
    Return the parameters of a request at the time *at*.

    *since* is rounded down to the start of its hour or day, and *until* up to the end, because the
    API fails on bounds in between. The default is 100 days, including today. The future is not
    requested. Raises `SettingsError`.
    """
    length = length_of(window)
    now_ends = _floor(at, length) + length
    end = now_ends if until is None else min(_ceiling(instant_of(until, "until"), length), now_ends)
    earliest = max(0, end - DEFAULT_DAYS * SECONDS["day"])
    start = earliest if since is None else start_of(since, window)
    if start >= end:
        raise SettingsError(
            f"there is no usage to request: since is {iso(start)}, but until is {iso(end)}"
        )
    if (end - start) // length > MOST_WINDOWS:
        raise SettingsError(
            f"since {iso(start)} is too long ago: at most {MOST_WINDOWS:,} {window}s can be read"
        )
    return _to_query(window, start, end)


def _to_query(window: str, since: int, until: int) -> dict[str, str]:
    bounds = {"start_time": str(since * 1000), "end_time": str(until * 1000)}
    return {"value_grouping_window": window, **bounds}


def length_of(window: str) -> int:
    """Return the length of a *window* in seconds. Raises `SettingsError` for another word."""
    if window not in WINDOWS:
        raise SettingsError(f"window is {as_given(window)}, but must be 'day' or 'hour'")
    return SECONDS[window]


def start_of(given: Instant, window: str, name: str = "since") -> int:
    """
    Return the start of the hour or day that *given* is in, in Unix seconds.

    Raises `SettingsError`, which calls the instant by its *name*.
    """
    return _floor(instant_of(given, name), length_of(window))


def instant_of(given: Any, name: str) -> datetime:
    """Return the instant that is *given*. Raises `SettingsError`, which calls it by its *name*."""
    if isinstance(given, str):
        try:
            is_day = len(given) == len("2026-09-01")
            given = date.fromisoformat(given) if is_day else datetime.fromisoformat(given)
        except ValueError:
            raise SettingsError(
                f"{name} is {as_given(given)}, which is not ISO 8601 such as 2026-09-01T00:00:00Z"
            ) from None
    if isinstance(given, date) and not isinstance(given, datetime):
        given = datetime(given.year, given.month, given.day, tzinfo=UTC)
    if not isinstance(given, datetime):
        raise SettingsError(
            f"{name} must be a datetime or ISO 8601 text, not {type(given).__name__}"
        )
    if given.tzinfo is None:
        raise SettingsError(f"{name} is {given.isoformat()}, which needs a time zone, such as Z")
    if given.timestamp() < 0:
        raise SettingsError(f"{name} is {given.isoformat()}, which is before 1970")
    return given


def _floor(moment: datetime, length: int) -> int:
    return int(moment.timestamp() // length) * length


def _ceiling(moment: datetime, length: int) -> int:
    return -int(-moment.timestamp() // length) * length


def _bounds(query: Mapping[str, str]) -> tuple[int, int, Window]:
    """Return the bounds and the window of a *query*, which may be malformed in a file."""
    asked_for = query.get("value_grouping_window")
    window = next((window for window in WINDOWS if window == asked_for), None)
    if window is None:
        raise InvalidDataError("the window of the request is not known")
    length = SECONDS[window]
    try:
        since, until = (int(query[name]) // 1000 for name in ("start_time", "end_time"))
    except (KeyError, ValueError):
        raise InvalidDataError("the bounds of the request are not known") from None
    is_aligned = since % length == 0 and until % length == 0
    latest = min(since + MOST_WINDOWS * length, LAST_SECOND)
    if not (is_aligned and 0 <= since < until <= latest):
        raise InvalidDataError(f"the bounds of the request are not {window}s that can be requested")
    return since, until, window


def _values(history: Any, window: Window, possible: range) -> tuple[dict[int, float], list[int]]:
    """
    Return the usage by start, in Unix seconds, and the starts of entries without a value.

    Usage of a time that is not *possible* is refused.
    """
    if history is None:
        return {}, []
    if not isinstance(history, list):
        raise InvalidDataError("history: not a list")
    length = SECONDS[window]
    largest: dict[tuple[str, float], float] = {}
    sums: dict[int, float] = {}
    without_value: dict[int, None] = {}
    for number, entry in enumerate(history):
        if not isinstance(entry, dict):
            raise InvalidDataError(f"history.{number}: not an object")
        began, given = finite(entry.get("start_time")), entry.get("aggregated_value")
        if began is None or int(began // 1000) not in possible:
            what = "not an instant in milliseconds between 2023 and now"
            raise InvalidDataError(f"history.{number}.start_time: {what}")
        ended = finite(entry.get("end_time"))
        if ended is not None and (ended - began) / 1000 > length * _ABOUT_ONE:
            # All of its usage would look like that of its first day.
            after = f"more than one {window} after its start"
            raise InvalidDataError(f"history.{number}.end_time: {after}")
        start = int(began // 1000) // length * length
        if given is None:
            without_value[start] = None
            continue
        value = finite(given)
        if value is None:
            raise InvalidDataError(f"history.{number}.aggregated_value: not a number")
        less: float = 0
        if isinstance(entry.get("id"), str) and entry["id"]:
            # What the ID identifies is not documented: several entries may share it. One that comes
            # twice may have grown between two pages.
            key = entry["id"], began
            if value <= largest.get(key, float("-inf")):
                continue
            less, largest[key] = largest.get(key, 0), value
        sums[start] = money.number(money.total([sums.get(start, 0), value], less=[less]))
        if abs(sums[start]) > money.LARGEST_AMOUNT:
            raise InvalidDataError(f"history.{number}.aggregated_value: beyond ±(2^53 - 1)")
    return sums, list(without_value)
