"""The usage history: what is requested, and how the answer is read."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from pulumi_cf_invoice.billing import InvalidDataError, SettingsError, UsageHistory
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.billing.usage_history import query
from tests.factories import NOW, START

DAY, HOUR = 86400, 3600
TOKYO = timezone(timedelta(hours=9))


def entry(start: int, value: Any, **more: Any) -> dict[str, Any]:
    return {"id": f"e{start}", "start_time": start * 1000, "aggregated_value": value, **more}


def history(*entries: Any, days: int = 3, window: str = "day", at: Any = NOW) -> UsageHistory:
    asked = {
        "value_grouping_window": window,
        "start_time": str(START * 1000),
        "end_time": str((START + days * DAY) * 1000),
    }
    return UsageHistory.from_api({"history": list(entries)}, Answered(query=asked, at=at))


@pytest.mark.parametrize(
    "changed",
    [
        {"value_grouping_window": "month"},
        {"start_time": "soon"},
        {"start_time": str(START * 1000 + 3_600_000)},
        {"end_time": str(START * 1000)},
        {"end_time": "9" * 30},
        {"start_time": "-86400000"},
        {"start_time": str(10**30 * DAY), "end_time": str((10**30 + 1) * DAY)},
    ],
)
def test_a_query_that_nobody_can_have_asked_is_refused(changed: dict[str, str]) -> None:
    """A snapshot can be edited: usage must neither vanish between its days nor fill the memory."""
    asked = {
        "value_grouping_window": "day",
        "start_time": str(START * 1000),
        "end_time": str((START + DAY) * 1000),
    }
    with pytest.raises(InvalidDataError, match="of the request"):
        UsageHistory.from_api({"history": []}, Answered(query={**asked, **changed}))


def bounds(window: str = "day", **given: Any) -> tuple[str, str]:
    asked = query(NOW, window=window, **given)
    assert asked["value_grouping_window"] == window
    start, end = (int(asked[name]) for name in ("start_time", "end_time"))
    assert start % 1000 == end % 1000 == 0
    since, until = (datetime.fromtimestamp(moment // 1000, UTC) for moment in (start, end))
    return f"{since:%m-%dT%H:%M}", f"{until:%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (datetime(2026, 9, 2, 5, 30, 1, tzinfo=UTC), date(2026, 9, 4)),
        (datetime(2026, 9, 2, 9, 30, tzinfo=TOKYO), datetime(2026, 9, 4, 9, 0, tzinfo=TOKYO)),
        ("2026-09-02", "2026-09-04"),
        ("2026-09-02T23:59:59Z", "2026-09-03T00:00:01+00:00"),
    ],
)
def test_bounds_are_moved_out_to_whole_days_of_utc(since: Any, until: Any) -> None:
    assert bounds(since=since, until=until) == ("09-02T00:00", "09-04T00:00")


@pytest.mark.parametrize(
    ("since", "until", "asked"),
    [
        ("2026-09-02T05:30:00Z", "2026-09-02T06:00:00Z", ("09-02T05:00", "09-02T06:00")),
        ("2026-09-02T05:30:00+05:45", "2026-09-02T06:00:01Z", ("09-01T23:00", "09-02T07:00")),
        ("2026-09-02T05:00:00Z", "2026-09-02T06:00:00.000001Z", ("09-02T05:00", "09-02T07:00")),
    ],
)
def test_bounds_are_moved_out_to_whole_hours_of_utc(
    since: str, until: str, asked: tuple[str, str]
) -> None:
    assert bounds("hour", since=since, until=until) == asked


def test_what_is_still_to_come_is_not_asked_for() -> None:
    assert bounds(since="2026-09-14", until="2027-01-01") == ("09-14T00:00", "09-16T00:00")
    assert bounds("hour", since="2026-09-15") == ("09-15T00:00", "09-15T13:00")


def test_a_bound_before_the_first_instant_of_unix_is_never_asked_for() -> None:
    assert query(NOW, until="1970-01-02")["start_time"] == "0"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"since": datetime(2026, 9, 1)}, "needs a time zone"),
        ({"until": "2026-09-01T00:00:00"}, "until is 2026-09-01T00:00:00, which needs a time zone"),
        ({"since": "yesterday"}, "since is 'yesterday', which is not ISO 8601"),
        ({"since": "9" * 5000}, f"since is '{'9' * 100}…{'9' * 99}', which is not ISO 8601"),
        ({"window": "w" * 5000}, f"window is '{'w' * 100}…{'w' * 99}', but must be"),
        ({"since": 1788220800}, "since must be a datetime or ISO 8601 text, not int"),
        ({"since": "2026-09-16"}, "there is no usage to request"),
        ({"since": "2026-09-03", "until": "2026-09-03"}, "there is no usage to request"),
        ({"since": "2026-09-03", "until": "2026-09-01"}, "there is no usage to request"),
        ({"since": "2020-01-01", "window": "hour"}, "at most 20,000 hours can be read"),
        ({"since": datetime.min.replace(tzinfo=TOKYO)}, "which is before 1970"),
        ({"until": date.min}, "which is before 1970"),
        ({"window": "week"}, "window is 'week', but must be 'day' or 'hour'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        query(NOW, **given)


def test_the_result_says_what_was_asked_for_and_fills_gaps_with_zero() -> None:
    found = history(entry(START + DAY, Decimal("1.5")))
    assert (found.window, found.since_iso, found.until_iso) == (
        "day",
        "2026-09-01T00:00:00Z",
        "2026-09-04T00:00:00Z",
    )
    assert [(entry.start - START, entry.end - entry.start) for entry in found.entries] == [
        (0, DAY),
        (DAY, DAY),
        (2 * DAY, DAY),
    ]
    assert [entry.aggregated_value for entry in found.entries] == [0, 1.5, 0]


def test_today_is_marked_as_a_part() -> None:
    at = datetime.fromtimestamp(START + DAY + 1, UTC)
    assert [entry.is_partial for entry in history(at=at).entries] == [False, True, True]
    hours = history(window="hour", days=1, at=datetime.fromtimestamp(START + HOUR, UTC))
    assert [entry.is_partial for entry in hours.entries] == [False] + 23 * [True]


def test_entries_come_in_any_order_and_are_added_up_by_window() -> None:
    found = history(
        entry(START + DAY, Decimal("0.1")),
        entry(START, 1),
        entry(START + DAY, Decimal("0.2"), id=None),
        entry(START - DAY, 100),
        entry(START + 3 * DAY, 100),
    )
    assert [entry.aggregated_value for entry in found.entries] == [1, 0.3, 0]
    assert found.total == 1.3


def test_an_entry_that_comes_twice_counts_once_and_an_id_of_several_counts_each() -> None:
    once = entry(START, 2)
    assert history(once, once).total == 2
    assert history(entry(START, 2, id="a"), entry(START + DAY, 3, id="a")).total == 5


@pytest.mark.parametrize("none", [None, ""])
def test_entries_without_an_id_count_each(none: str | None) -> None:
    once = entry(START, 2, id=none)
    assert history(once, once).total == 4


@pytest.mark.parametrize("values", [(2, 2.5), (2.5, 2), (2, 2.5, 2.25)])
def test_an_entry_that_comes_again_with_another_value_counts_with_the_largest(
    values: tuple[float, ...],
) -> None:
    other = entry(START, 1, id="other")
    assert history(other, *(entry(START, value) for value in values)).total == 3.5


@pytest.mark.parametrize("nothing", [{"history": None}, {"history": []}])
def test_no_history_is_no_usage(nothing: dict[str, Any]) -> None:
    asked = {
        "value_grouping_window": "day",
        "start_time": str(START * 1000),
        "end_time": str((START + DAY) * 1000),
    }
    assert UsageHistory.from_api(nothing, Answered(query=asked)).total == 0
    with pytest.raises(InvalidDataError, match=r"^history: missing"):
        UsageHistory.from_api({}, Answered(query=asked))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["none"], "history.0: not an object"),
        ([entry(START, "5")], "history.0.aggregated_value: not a number"),
        ([entry(START, True)], "history.0.aggregated_value: not a number"),
        ([entry(START, 1), {"aggregated_value": 1}], "history.1.start_time: not an instant"),
    ],
)
def test_a_malformed_entry_is_refused_by_its_name(entries: list[Any], expected: str) -> None:
    with pytest.raises(InvalidDataError, match=expected):
        history(*entries)


def test_usage_beyond_what_a_number_carries_is_refused() -> None:
    with pytest.raises(InvalidDataError, match=r"^history\.1\.aggregated_value: beyond"):
        history(entry(START, 9e15, id=None), entry(START, 9e15, id=None))


def test_a_history_of_which_nothing_was_requested_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="no entry is in the time that was requested"):
        history(entry(START - 9 * DAY, 5), entry(START - 8 * DAY, 5))
    assert history(entry(START - DAY, 5), entry(START, 7)).total == 7


@pytest.mark.parametrize(
    "milliseconds",
    [
        0,
        -START * 1000,
        # Seconds, microseconds, and a year in which nobody can have used anything yet.
        START,
        START * 1_000_000,
        (int(NOW.timestamp()) + 2 * DAY) * 1000,
    ],
)
@pytest.mark.parametrize("value", [9000, None])
def test_usage_of_an_impossible_time_is_refused_and_not_dropped(
    milliseconds: int, value: int | None
) -> None:
    odd = {"start_time": milliseconds, "end_time": None, "aggregated_value": value}
    expected = r"^history\.1\.start_time: not an instant in milliseconds between 2023 and now$"
    with pytest.raises(InvalidDataError, match=expected):
        history(entry(START, 7), odd)


def test_usage_around_the_time_that_was_requested_is_left_out_however_old_that_is() -> None:
    tomorrow = entry(int(NOW.timestamp()) // DAY * DAY + DAY, 5)
    assert history(entry(START - 900 * DAY, 5), entry(START, 7), tomorrow).total == 7
    asked = {"value_grouping_window": "day", "start_time": "0", "end_time": str(DAY * 1000)}
    of_1970 = {"history": [entry(0, 7)]}
    assert UsageHistory.from_api(of_1970, Answered(query=asked, at=NOW)).total == 7


def test_a_part_of_a_history_is_refused() -> None:
    """Days that are missing would look like days without usage, and forecasts would be low."""
    query = {"value_grouping_window": "day", "start_time": "0", "end_time": str(DAY * 1000)}
    with pytest.raises(InvalidDataError, match="history: the API gave only a part of it"):
        UsageHistory.from_api({"history": []}, Answered(False, query))


def test_a_day_without_a_value_is_left_out_and_reported() -> None:
    """Its usage is unknown: it counts as 0, and the text and the figures say so."""
    found = history(entry(START, 2), entry(START + DAY, None))
    assert found.total == 2
    assert found.entries_without_value == [START + DAY]
    assert found.text.endswith("days, 1 day without a value left out")
    assert found.to_figures()["entries_without_value"] == [START + DAY]
    again = UsageHistory.from_api(found.to_api(), Answered(query=found.query))
    assert again == found


@pytest.mark.parametrize("value", [20_000, None])
def test_an_entry_of_more_than_the_window_that_was_requested_is_refused(value: Any) -> None:
    """The usage of its later days would count for the first one, and be missing on the others."""
    for window, length in (("day", DAY), ("hour", HOUR)):
        expected = rf"^history\.1\.end_time: more than one {window} after its start"
        week = entry(START, value, end_time=(START + 7 * length) * 1000)
        with pytest.raises(InvalidDataError, match=expected):
            history(entry(START, 1), week, window=window)
        for end in (length // 24, length - 1, length, length + 1):
            one = entry(START, 2, end_time=(START + end) * 1000)
            assert history(one, window=window).total == 2


@pytest.mark.parametrize("odd", [None, "x", 7, []])
def test_what_only_explains_an_entry_may_be_anything(odd: Any) -> None:
    assert history(entry(START, 2, id=odd, end_time=odd, more=odd)).total == 2


def test_no_name_of_a_usage_history_calls_it_money() -> None:
    figures = history(entry(START, 2)).to_figures()
    names = {*figures, *figures["entries"][0]}
    assert not [name for name in names if "amount" in name or "cost" in name or "currency" in name]
