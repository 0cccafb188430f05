"""What `max-daily-spend` finds: loops, batches, weekends, and histories that are behind."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
import yaml

from pulumi_cf_invoice import ApiError, RuleError
from pulumi_cf_invoice.billing.reads import USAGE_HISTORY
from pulumi_cf_invoice.billing.usage_history import UsageHistory
from pulumi_cf_invoice.forecast.daily import last_days
from pulumi_cf_invoice.forecast.days import day_of
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.judging import judge as judge_rules
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import (
    DeclaredRule,
    configured,
    parse_rules,
    read_config,
    read_rules,
)
from pulumi_cf_invoice.rules.gates import Gate
from pulumi_cf_invoice.rules.rule import Finding
from pulumi_cf_invoice.sandbox import Sandbox
from tests.docs import ROOT
from tests.factories import ACCOUNT, END, NOW, OTHER_ACCOUNT, START, TOKEN, api_line
from tests.unit.reports import taken
from tests.unit.test_rules_on_forecasts import DAY, NOON, REFUSED, bill, judge, usage

EXAMPLES = ROOT / "examples"
TODAY = "2026-09-15"
YESTERDAY = "2026-09-14"
WEEK = [1000.0, 1000.0, 1000.0, 1000.0, 1000.0, 100.0, 100.0]


def spike(
    given: Any, days: list[float], gross: float | None = None, **answers: Any
) -> list[Finding]:
    """
    Judge an account with a usage of *days* in cents, of which the last is today so far.

    Its invoice has the usage of the period, unless *gross* says otherwise.
    """
    settings = given if isinstance(given, dict) else {"limit": given}
    gross = sum(days[-NOON - 1 :]) if gross is None else gross
    found = {"invoice_preview": bill(gross), "usage_history": usage(days), **answers}
    return judge("max-daily-spend", settings, found)


def statuses(found: list[Finding]) -> list[str]:
    return [finding.status for finding in found]


STEADY = [1000.0] * 80


@pytest.mark.parametrize("limit", ["3x", "25 USD"])
def test_a_steady_account_is_within(limit: str) -> None:
    found = spike(limit, [*STEADY, 500])
    assert statuses(found) == ["within", "within"]
    assert [str(finding.day) for finding in found] == [YESTERDAY, TODAY]


def test_a_loop_since_last_night_says_the_day_its_spend_and_what_is_usual() -> None:
    found = spike("3x", [*STEADY[1:], 1000, 12_000])
    assert statuses(found) == ["within", "over"]
    assert found[1].message == (
        f"Account {ACCOUNT} spent $120.00 on {TODAY} (today so far), over the limit of $30.00 by "
        "$90.00: 12.0 times a usual day ($10.00, the 95th percentile of 28 days); 3x is allowed."
    )
    assert found[1].text == (
        f"$120.00, over the limit of $30.00 by $90.00, on {TODAY} (today so far): 12.0 times a "
        "usual day ($10.00)"
    )
    [by_amount] = [finding for finding in spike("50 USD", [*STEADY, 12_000]) if finding.violates]
    assert by_amount.message == (
        f"Account {ACCOUNT} spent $120.00 on {TODAY} (today so far), over the limit of $50.00 by "
        "$70.00. A usual day is $10.00 (the 95th percentile of 28 days)."
    )
    assert by_amount.text == (
        f"$120.00, over the limit of $50.00 by $70.00, on {TODAY} (today so far); a usual day is "
        "$10.00"
    )
    assert "cap its gateway" in found[1].remedy


def test_nights_of_a_loop_do_not_become_usual() -> None:
    for nights in range(1, 14):
        rule = {"limit": "3x", "atLeast": "25 USD"}
        found = spike(rule, [*STEADY, *[12_000.0] * nights, 6_000])
        assert statuses(found) == ["over"] * min(nights + 1, 4), nights
        assert "12.0 times a usual day ($10.00" in found[0].message


def test_days_over_an_amount_are_not_counted_as_usual() -> None:
    found = spike("50 USD", [*STEADY, *[12_000.0] * 3, 12_000])
    assert statuses(found) == ["over"] * 4
    assert found[0].message.endswith("A usual day is $10.00 (the 95th percentile of 28 days).")


def test_what_goes_on_for_more_than_two_weeks_is_usual() -> None:
    assert statuses(spike("3x", [*STEADY, *[12_000.0] * 20, 6_000])) == ["within", "within"]


@pytest.mark.parametrize("before", [[100.0, *[0.0] * 40], [*STEADY[:30], *[0.0] * 35]])
def test_nights_of_a_leaked_key_do_not_become_usual_on_an_idle_account(before: list[float]) -> None:
    rule = {"limit": "3x", "atLeast": "25 USD"}
    for nights in range(1, 15):
        found = spike(rule, [*before, *[50_000.0] * nights, 25_000])
        assert statuses(found) == ["over"] * min(nights + 1, 4), nights
    assert statuses(spike(rule, [*before, *[50_000.0] * 20, 25_000])) == ["within", "within"]


@pytest.mark.parametrize("week", [[1, 0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 1, 0]])
@pytest.mark.parametrize("every", [1, 2], ids=["each week", "every other week"])
def test_a_batch_on_some_days_of_an_idle_account_is_usual_after_two_weeks(
    week: list[int], every: int
) -> None:
    """What is left out because nothing was usual must not keep it so."""
    fortnight = [*week, *(week if every == 1 else [0] * 7)]
    amounts = (5000.0 * (1 + number % 3 / 10) for number in range(99))
    batches = [next(amounts) * used for used in fortnight * 4]
    days = [100.0, *[0.0] * 40, *batches]
    for today in range(len(days) - 14, len(days)):
        assert set(statuses(spike("3x", days[:today]))) == {"within"}, today


def test_what_is_usual_depends_on_no_more_days_than_are_read_by_default() -> None:
    """A step in days that only a longer history has would make each of its days unusual."""
    today = day_of(Fraction(NOW.timestamp()))
    values = {
        today - ago * DAY: 1000.0 if ago < 200 and ago % 7 in (0, 2, 4) else 1.0
        for ago in range(400)
    }
    usual = set()
    for days in (100, 400):
        since, until = today - (days - 1) * DAY, today + DAY
        history = UsageHistory.of_values(values, window="day", since=since, until=until)
        usual.add(last_days(history, None, at=NOW).usual(Fraction(3)))
    assert usual == {Fraction(1000)}


@pytest.mark.parametrize("limit", ["3x", "50 USD"])
def test_a_fixed_line_that_matches_none_is_told(limit: str) -> None:
    found = spike({"limit": limit, "fixedLines": ["Sets"]}, [*STEADY, 500])
    assert statuses(found) == ["noted", "within", "within"]
    assert "matches Sets" in found[0].message


def test_a_batch_on_the_first_of_each_month_is_over_and_a_waiver_is_the_way() -> None:
    at = datetime(2026, 10, 1, 18, tzinfo=UTC)
    days = [9_000.0 if (at - timedelta(days=ago)).day == 1 else 1000.0 for ago in range(90, -1, -1)]
    rule: dict[str, Any] = {"limit": "3x", "atLeast": "25 USD"}
    answers = {
        "invoice_preview": bill(9_000, period_start=1790812800, period_end=1793491200),
        "usage_history": usage(days, at),
    }
    found = judge("max-daily-spend", rule, answers, read_at=at, at=at)
    assert statuses(found) == ["within", "over"]
    waiver = {"until": "2026-10-01", "by": "me", "reason": "batch", "limit": "10x"}
    waived = judge("max-daily-spend", {**rule, "waiver": waiver}, answers, read_at=at, at=at)
    assert statuses(waived) == ["within", "within"]


def test_cents_are_under_the_floor() -> None:
    cents = [2.0] * 80
    within = spike({"limit": "3x", "atLeast": "25 USD"}, [*cents, 90])
    assert statuses(within) == ["within", "within"]
    assert "within the limit of $25.00: 45.0 times a usual day" in within[1].message
    assert "3x is allowed, and at least $25.00." in within[1].message
    assert statuses(spike({"limit": "3x", "atLeast": "0.50 USD"}, [*cents, 90])) == [
        "within",
        "over",
    ]


def test_without_a_floor_a_tenth_of_the_period_is_one() -> None:
    days = [*[1000.0] * 79, *[10.0] * 1]
    found = spike("1.05x", [*days, 1200])
    # $12.00 is 1.2 times a usual day, and less than a tenth of $142.10.
    assert statuses(found) == ["within", "within"]
    assert "and at least $14." in found[1].message


@pytest.mark.parametrize("daily", [0.05, 0.3])
def test_a_steady_account_that_spends_less_than_a_cent_a_day_is_within(daily: float) -> None:
    """Rounded, a cent is on one day alone."""
    for number in range(3, 30):
        at = datetime(2026, 9, number, 12, tzinfo=UTC)
        days = [*[daily] * 80, daily / 2]
        answers = {
            "invoice_preview": bill(daily * (number - 0.5)),
            "usage_history": usage(days, at),
        }
        found = judge("max-daily-spend", {"limit": "3x"}, answers, read_at=at, at=at)
        assert statuses(found) == ["within", "within"], number


def test_a_quiet_week_and_a_weekend_are_within() -> None:
    assert statuses(spike("3x", [*STEADY, *[0.0] * 8])) == ["within", "within"]
    assert statuses(spike("2x", [*WEEK * 11, 1000, 500])) == ["within", "within"]
    # Monday after a weekend is no spike.
    assert statuses(spike("2x", [*WEEK * 11, 1000])) == ["within", "within"]


def test_a_new_account_is_noted_and_not_judged_by_a_multiple() -> None:
    days = [1000.0] * 9
    [note] = spike("3x", [*days, 90_000], gross=100_000)
    assert note.status == "noted"
    known = NOW + timedelta(days=6)
    assert (
        "has only 8 whole days before yesterday, and a multiple of a usual day needs 14: it is "
        f"judged from {known:%Y-%m-%d} on."
    ) in note.message
    assert statuses(spike("3x", [*[1000.0] * 14, 90_000], gross=100_000)) == ["noted"]
    assert statuses(spike("3x", [*[1000.0] * 15, 90_000], gross=100_000)) == ["within", "over"]
    assert statuses(spike("50 USD", [*days, 90_000], gross=99_000)) == ["within", "over"]


@pytest.mark.parametrize("limit", ["3x", "50 USD"])
def test_a_history_that_is_two_days_behind_is_not_known(limit: str) -> None:
    [silent] = spike(limit, [*STEADY, 0, 0], gross=14_500)
    assert silent.status == "unknown"
    assert f"{YESTERDAY} and {TODAY} is not known" in silent.message
    # Weekends without usage hide what is missing, unless the invoice shows it.
    weekends = [*[1000.0, 1000.0, 1000.0, 1000.0, 1000.0, 0.0, 0.0] * 11, 1000.0]
    [lag] = spike(limit, [*weekends, 0, 0], gross=sum(weekends[-13:]) + 1500)
    assert lag.status == "unknown"
    old = NOW - timedelta(days=2)
    [ended] = spike(limit, [], usage_history=usage([*STEADY, 1000], old), gross=14_500)
    assert ended.status == "unknown"


@pytest.mark.parametrize("limit", ["3x", "50 USD"])
@pytest.mark.parametrize("days_before", [64, 5, 0])
def test_a_period_that_costs_something_without_any_usage_is_not_known(
    limit: str, days_before: int
) -> None:
    silent = [0.0] * (NOON + 1)
    found = spike(limit, [*[1000.0] * days_before, *silent], gross=16_000)
    assert statuses(found) == ["unknown", "unknown"]
    reason = "The usage history has no usage in this period, although the invoice does."
    assert all(finding.message.endswith(reason) for finding in found)


@pytest.mark.parametrize("limit", ["3x", "50 USD"])
@pytest.mark.parametrize("silent", [4, 6, 12])
@pytest.mark.parametrize("more", [0, 40_000], ids=["as before", "a spike"])
def test_a_history_that_has_been_silent_for_long_beside_an_invoice_that_grows_is_not_known(
    limit: str, silent: int, more: float
) -> None:
    """One whose usage adds up to the invoice has a pause."""
    days = [*STEADY, *[0.0] * silent]
    [found] = spike(limit, days, gross=14_500 + more)
    assert found.status == "unknown"
    assert f"{YESTERDAY} and {TODAY} is not known" in found.message
    usage_of_period = sum(days[-NOON - 1 :])
    for price in (1, 100, 0.7):
        assert statuses(spike(limit, days, usage_of_period * price)) == ["within", "within"]
    # Nothing is missing on days that often have no usage.
    at_times = [*[1000.0, 1000.0, 0.0] * 27, *[0.0] * silent]
    assert statuses(spike("3x", at_times, gross=14_500 + more)) == ["within", "within"]


@pytest.mark.parametrize("day", [2, 3, 5, 10, 20])
@pytest.mark.parametrize("limit", ["100 USD", {"limit": "3x", "atLeast": "100 USD"}])
def test_a_spike_that_the_invoice_may_not_have_yet_is_not_known(limit: Any, day: int) -> None:
    """Divided among all usage, an invoice that lacks the loop's night makes that night cheap."""
    at = datetime(2026, 9, day, 9, tzinfo=UTC)
    days = [*[1000.0] * 98, 21_000, 375]
    a_day_ago = 1000 * (day - 2) + 1000 * 9 / 24
    for gross, yesterday in ((sum(days[-day:]), "over"), (a_day_ago, "unknown")):
        answers = {"invoice_preview": bill(gross), "usage_history": usage(days, at)}
        given = limit if isinstance(limit, dict) else {"limit": limit}
        found = judge("max-daily-spend", given, answers, read_at=at, at=at)
        assert statuses(found) == [yesterday, "within"]
    assert "and may be over the limit if it is behind. It used 21.0 times" in found[0].message


@pytest.mark.parametrize("days", [[500_000.0, 300], [500_000.0], [200.0, 416_600]])
def test_the_first_days_of_an_account_are_not_cheap_because_the_invoice_is_behind(
    days: list[float],
) -> None:
    """A key that leaked today was not used before, so that nothing says what is usual."""
    late = spike("100 USD", [*[0.0] * 80, *days], gross=1042)
    assert "unknown" in statuses(late)
    assert "over" in statuses(spike("100 USD", [*[0.0] * 80, *days]))
    in_dollars = [*[0.0] * 80, *(amount / 100 for amount in days)]
    assert "unknown" in statuses(spike("100 USD", in_dollars, gross=9000))
    few = spike("100 USD", in_dollars, gross=10)
    assert set(statuses(few)) == {"within"}


@pytest.mark.parametrize("limit", ["100 USD", {"limit": "3x", "atLeast": "25 USD"}])
def test_what_a_late_history_lacked_of_a_day_is_judged_a_day_later(limit: Any) -> None:
    """A daily job would see no spend after its own hour if it looked at each day once."""
    given = limit if isinstance(limit, dict) else {"limit": limit}
    seen = {}
    # The history is a day behind, and a loop spends $300 between 10:00 and 22:00 on the 10th.
    for day, days in {
        10: [1000.0] * 90 + [375],
        11: [1000.0] * 91 + [375],
        12: [1000.0] * 91 + [31_000, 375],
        13: [1000.0] * 91 + [31_000, 1000, 375],
    }.items():
        at = datetime(2026, 9, day, 9, tzinfo=UTC)
        gross = sum(days[-day + 1 :])
        answers = {"invoice_preview": bill(gross), "usage_history": usage([*days, 0], at)}
        found = judge("max-daily-spend", given, answers, read_at=at, at=at)
        seen[day] = [(f.status, str(f.day)) for f in found if f.violates]
    over = [("over", "2026-09-10")]
    assert seen == {10: [], 11: [], 12: over, 13: over}


@pytest.mark.parametrize("hour", [7, 14, 23])
def test_a_history_of_whole_days_does_not_make_the_last_one_dearer_by_the_hour(hour: int) -> None:
    """What the invoice has of today is today's, which such a history has when it is over."""
    at = datetime(2026, 9, 15, hour, tzinfo=UTC)
    gross = 1000 * NOON + 1000 * hour / 24
    answers = {"invoice_preview": bill(gross), "usage_history": usage([*STEADY, 0], at)}
    found = judge("max-daily-spend", {"limit": "11 USD"}, answers, read_at=at, at=at)
    assert statuses(found) == ["within", "noted"]
    assert "spent $10.00 on 2026-09-14" in found[0].message


@pytest.mark.parametrize("price", [1, 100, 0.7])
@pytest.mark.parametrize("hour", [14, 15, 18, 23])
@pytest.mark.parametrize(("yesterday", "expected"), [(1000.0, "within"), (3200.0, "over")])
def test_on_the_2nd_a_history_of_whole_days_does_not_make_the_1st_dear(
    yesterday: float, expected: str, hour: int, price: float
) -> None:
    """What the invoice has of today is what is usual of today's hours."""
    at = datetime(2026, 9, 2, hour, tzinfo=UTC)
    days = [amount / price for amount in [*STEADY, yesterday, 0.0]]
    gross = yesterday + 1000 * hour / 24
    answers = {"invoice_preview": bill(gross), "usage_history": usage(days, at)}
    found = judge("max-daily-spend", {"limit": "15 USD"}, answers, read_at=at, at=at)
    assert statuses(found) == [expected, "noted"]


@pytest.mark.parametrize("unit", [1, 100])
@pytest.mark.parametrize("invoice_late", [0, 3])
@pytest.mark.parametrize(
    ("day", "hour", "late"), [(1, 7, 4), (1, 14, 13), (1, 20, 17), (2, 18, 17)]
)
@pytest.mark.parametrize(("yesterday", "expected"), [(1000.0, "within"), (1600.0, "over")])
def test_the_hours_that_a_history_lacks_of_a_month_do_not_make_the_day_before_dear_or_cheap(
    yesterday: float, expected: str, day: int, hour: int, late: int, invoice_late: int, unit: int
) -> None:
    at = datetime(2026, 9, day, hour, tzinfo=UTC)
    days = [*STEADY, yesterday, 1000 * (hour - late) / 24]
    gross = yesterday * (day - 1) + 1000 * max(hour - invoice_late, 0) / 24
    answers = {
        "invoice_preview": bill(gross),
        "usage_history": usage([amount / unit for amount in days], at),
    }
    found = judge("max-daily-spend", {"limit": "15 USD"}, answers, read_at=at, at=at)
    assert found[0].status == expected


@pytest.mark.parametrize("minutes", [0.5, 1, 1.8, 5])
def test_a_history_of_a_months_first_minutes_makes_no_dollars_of_the_cents_of_the_day_before(
    minutes: float,
) -> None:
    at = datetime.fromtimestamp(START, UTC) + timedelta(hours=3)
    for yesterday, expected in ((1000.0, ["within", "within"]), (20_000.0, ["over", "within"])):
        answers = {
            "invoice_preview": bill(125),
            "usage_history": usage([*STEADY, yesterday, 1000 * minutes / 1440], at),
        }
        found = judge("max-daily-spend", {"limit": "15 USD"}, answers, read_at=at, at=at)
        assert statuses(found) == expected


@pytest.mark.parametrize("limit", ["100 USD", {"limit": "3x", "atLeast": "25 USD"}])
def test_a_day_that_grew_after_it_was_judged_is_judged_again_whatever_the_history_has_of_today(
    limit: Any,
) -> None:
    """The history may be late on one morning only, or a day may grow for two days."""
    grown = [*STEADY, 31_000]
    for since in ([1000], [1000, 1000]):
        found = spike(limit, [*grown, *since, 500])
        assert statuses(found) == ["over", "within", "within"]
        assert str(found[0].day) == f"2026-09-{14 - len(since)}"
    assert statuses(spike(limit, [*grown, 1000, 1000, 1000, 500])) == ["within", "within"]
    # What is less than over was told when it was yesterday.
    assert statuses(spike(limit, [*STEADY, -3000, 1000, 500])) == ["within", "within"]
    two_days_late = spike(limit, [*grown, 0, 0], gross=sum(grown[-NOON + 1 :]) + 1500)
    assert statuses(two_days_late) == ["over", "unknown"]


def test_an_earlier_day_is_compared_with_what_was_usual_before_it() -> None:
    """A new account has nothing usual before its 15th day."""
    days = [1000.0] * 12
    assert statuses(spike("3x", [*days, 1000, 9000, 1000, 500])) == ["within", "within"]
    found = spike("3x", [*days, 1000, 1000, 9000, 1000, 500])
    assert statuses(found) == ["over", "within", "within"]
    assert "($10.00, the 95th percentile of 14 days)" in found[0].message


@pytest.mark.parametrize(("friday", "expected"), [(1000.0, []), (9000.0, ["2026-10-30"])])
def test_an_ordinary_day_of_last_month_is_not_over_because_a_late_history_makes_it_dear(
    friday: float, expected: list[str]
) -> None:
    """On Monday the 2nd, the history lacks most of the month's usage, which the invoice has."""
    at = datetime(2026, 11, 2, 20, tzinfo=UTC)
    start, end = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (11, 12))
    days = [*WEEK[1:], *WEEK * 10, 1000, 1000, 1000, 1000, friday, 10, 10, 200]
    answers = {
        "invoice_preview": bill(830, period_start=start, period_end=end),
        "usage_history": usage(days, at),
    }
    found = judge("max-daily-spend", {"limit": "20 USD"}, answers, read_at=at, at=at)
    assert [str(each.day) for each in found if each.violates] == expected


def test_a_steady_day_is_not_over_because_a_history_that_is_two_days_late_makes_it_dear() -> None:
    at = datetime(2026, 9, 5, 2, tzinfo=UTC)
    # In a unit of its own, until six o'clock on the third.
    days = [*[600.0] * 80, 600, 600 / 4, 0, 0]
    answers = {
        "invoice_preview": bill(1400 * (4 + 2 / 24)),
        "usage_history": usage(days, at),
    }
    found = judge("max-daily-spend", {"limit": "24 USD"}, answers, read_at=at, at=at)
    assert statuses(found) == ["unknown"]


@pytest.mark.parametrize("unit", [1, 100, Fraction(23, 10)])
@pytest.mark.parametrize("hours_late", [8, 12, 20])
def test_a_day_twice_its_limit_is_over_once_a_history_that_is_always_late_has_all_of_it(
    hours_late: int, unit: Fraction | int
) -> None:
    seen = {}
    for day in (17, 18, 19):
        at = datetime(2026, 9, day, 6, tzinfo=UTC)
        until = 24 * (day - 1) + 6 - hours_late
        hours = [2000 / 24] * until
        # From eight o'clock in the evening of the 16th on.
        for hour in range(24 * 15 + 20, min(24 * 16, until)):
            hours[hour] += 3900 / 4
        days = [2000.0] * 70 + [
            sum(hours[24 * number : 24 * (number + 1)]) for number in range(day)
        ]
        gross = 2000 * (day - 1 + 1 / 4) + 3900
        answers = {
            "invoice_preview": bill(gross),
            "usage_history": usage([float(amount / unit) for amount in days], at),
        }
        found = judge("max-daily-spend", {"limit": "30 USD"}, answers, read_at=at, at=at)
        seen[day] = [str(each.day) for each in found if each.status == "over"]
    assert "2026-09-16" in seen[18]
    assert "2026-09-16" in seen[19]


@pytest.mark.parametrize(
    ("rule", "usual", "saturday", "gross", "expected"),
    [
        # On the 29th, a tenth of the month was more than that.
        ({"limit": "2x"}, 1200.0, 2750.0, 300, []),
        ({"limit": "2x"}, 1200.0, 12_000.0, 300, ["2026-08-29"]),
        # Before the first charge, no day has an amount to compare with the floor.
        ({"limit": "3x", "atLeast": "25 USD"}, 250.0, 900.0, 0, []),
        ({"limit": "3x", "atLeast": "25 USD"}, 250.0, 9000.0, 62, ["2026-08-29"]),
    ],
)
def test_a_day_within_a_multiple_is_not_over_as_soon_as_its_month_has_ended(
    rule: Any, usual: float, saturday: float, gross: float, expected: list[str]
) -> None:
    at = datetime(2026, 9, 1, 6, tzinfo=UTC)
    days = [*[usual] * 80, saturday, usual, usual, gross]
    answers = {"invoice_preview": bill(gross), "usage_history": usage(days, at)}
    found = judge("max-daily-spend", rule, answers, read_at=at, at=at)
    assert [str(each.day) for each in found if each.violates] == expected


@pytest.mark.parametrize("before", [[0.0], [1.0, *[0.0] * 8]], ids=["idle", "hardly used"])
@pytest.mark.parametrize("rule", ["50 USD", {"limit": "3x", "atLeast": "50 USD"}])
def test_a_loop_on_the_last_day_of_a_month_is_reported_once_a_late_history_has_it(
    before: list[float], rule: Any
) -> None:
    """
    On the 2nd its period has ended, and nothing that was used since says what it cost: it may be
    cents or dollars.
    """
    at = datetime(2026, 9, 2, 6, tzinfo=UTC)
    for loop, expected in ((50.0, []), (51.0, [("unknown", "2026-08-31")])):
        days = [100.0, *before * (90 // len(before)), loop, 0, 0]
        answers = {"invoice_preview": bill(0, invoice_lines=[]), "usage_history": usage(days, at)}
        given = rule if isinstance(rule, dict) else {"limit": rule}
        found = judge("max-daily-spend", given, answers, read_at=at, at=at)
        assert [(each.status, str(each.day)) for each in found if each.violates] == expected


@pytest.mark.parametrize("rule", ["50 USD", {"limit": "3x", "atLeast": "50 USD"}])
def test_a_batch_before_a_month_s_last_day_is_not_in_doubt_once_the_month_has_ended(
    rule: Any,
) -> None:
    """$5.00 were within the limit when they had a price, on an account that is idle otherwise."""
    at = datetime(2026, 9, 1, 6, tzinfo=UTC)
    days = [*[0.0] * 60, 500, *[0.0] * 30, 500, 0, 0, 0]
    answers = {"invoice_preview": bill(0, invoice_lines=[]), "usage_history": usage(days, at)}
    given = rule if isinstance(rule, dict) else {"limit": rule}
    found = judge("max-daily-spend", given, answers, read_at=at, at=at)
    assert not any(each.violates for each in found)


@pytest.mark.parametrize("rule", ["60 USD", {"limit": "3x", "atLeast": "60 USD"}])
def test_a_loop_makes_no_day_cheap_by_what_a_late_history_is_expected_to_lack(rule: Any) -> None:
    """A steady account of $2 a day in dollars; history and invoice are half a day late."""
    at = datetime(2026, 9, 2, 2, tzinfo=UTC)
    days = [*[2.0] * 90, 602, 2, 1.2, 0]
    answers = {"invoice_preview": bill(90), "usage_history": usage(days, at)}
    given = rule if isinstance(rule, dict) else {"limit": rule}
    found = judge("max-daily-spend", given, answers, read_at=at, at=at)
    assert [(each.status, str(each.day)) for each in found] == [
        ("over", "2026-08-30"),
        ("within", "2026-09-01"),
        ("within", "2026-09-02"),
    ]


def test_the_first_day_of_an_account_in_cents_is_no_doubt() -> None:
    """A history that is a quarter of an hour behind makes a unit cost a little over a cent."""
    found = spike("50 USD", [*[0.0] * 83, 150], gross=153)
    assert statuses(found) == ["within", "within"]


def test_a_day_can_be_any_number_of_usual_days() -> None:
    found = spike("3x", [*[1e-300] * 80, 1000, 500], gross=1500)
    assert [each.violates for each in found] == [True, True]
    assert "1,000,000,000.0 times a usual day" in found[0].message


@pytest.mark.parametrize(("limit", "yesterday"), [("25 USD", "within"), ("20 USD", "unknown")])
def test_a_spike_in_a_unit_of_its_own_is_within_what_it_costs_if_the_invoice_is_behind(
    limit: str, yesterday: str
) -> None:
    """An ordinary day is judged by its price, however little of the invoice there is."""
    found = spike(limit, [*STEADY, 4000, 500], gross=0.43 * sum([*[1000] * (NOON - 1), 4000, 500]))
    assert statuses(found) == [yesterday, "within"]
    assert statuses(spike(limit, [*STEADY, 500], gross=0.43 * 1000 * NOON)) == ["within"] * 2


def test_a_period_without_usage_that_costs_nothing_but_fees_is_within() -> None:
    quiet = [*STEADY, *[0.0] * (NOON + 1)]
    assert statuses(spike("3x", quiet, gross=0)) == ["within", "within"]
    fees = {"limit": "3x", "fixedLines": ["*"]}
    assert statuses(spike(fees, quiet, gross=16_000)) == ["within", "within"]


def test_a_history_without_today_is_judged_in_the_first_hours_of_a_month() -> None:
    read_at = datetime(2026, 10, 1, 3, tzinfo=UTC)
    start, end = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (10, 11))
    for yesterday, expected in ((1000.0, ["within", "within"]), (0.0, ["unknown", "unknown"])):
        answers = {
            "invoice_preview": bill(120, period_start=start, period_end=end),
            "usage_history": usage([*STEADY, *[0.0] * 5, yesterday, 0.0], at=read_at),
        }
        found = judge("max-daily-spend", {"limit": "3x"}, answers, read_at=read_at, at=read_at)
        assert statuses(found) == expected


def test_days_without_their_values_do_not_make_the_others_dear() -> None:
    history = usage([*STEADY, 500])
    for ago in range(2, 9):
        history.result["history"][ago]["aggregated_value"] = None
    found = spike("15 USD", [*STEADY, 500], usage_history=history)
    assert statuses(found) == ["unknown", "unknown"]
    assert "The usage history has 7 days without a value." in found[0].message
    assert statuses(spike("3x", [*STEADY, 500], usage_history=history)) == ["within", "within"]


def test_what_is_usual_is_not_known_without_the_values_of_most_days() -> None:
    history = usage([*STEADY, 9000, 500])
    for day in history.result["history"][2:]:
        day["aggregated_value"] = None
    [found] = spike("3x", [*STEADY, 9000, 500], usage_history=history)
    assert found.status == "unknown"
    assert found.message == (
        f"What is usual for account {ACCOUNT} is not known: the usage history has 80 days without "
        "a value."
    )


@pytest.mark.parametrize("limit", ["3x", "50 USD"])
def test_a_yesterday_without_its_value_is_not_known(limit: str) -> None:
    history = usage([*STEADY, 0, 500])
    history.result["history"][1]["aggregated_value"] = None
    found = spike(limit, [*STEADY, 0, 500], usage_history=history)
    # Without all values no day has a price.
    assert statuses(found) == ["unknown", "within" if limit == "3x" else "unknown"]
    assert found[0].message == (
        f"The spend of {YESTERDAY} is not known: the usage history of account {ACCOUNT} lacks it."
    )


def test_a_history_that_is_one_day_behind_says_so_and_judges_yesterday() -> None:
    found = spike("3x", [*STEADY, 12_000, 0])
    assert statuses(found) == ["over", "noted"]
    assert f"has nothing for {TODAY} (today so far) yet" in found[1].message
    assert statuses(spike("3x", [*STEADY, 1000, 0])) == ["within", "noted"]


@pytest.mark.parametrize("limit", ["3x", "50 USD"])
def test_a_day_that_corrects_others_is_noted_and_never_within(limit: str) -> None:
    found = spike(limit, [*STEADY, -3000, 500])
    assert statuses(found) == ["noted", "within"]
    assert found[0].message == (
        f"The spend of account {ACCOUNT} on {YESTERDAY} is not known: its usage is negative, which "
        "corrects that of other days."
    )
    assert statuses(spike(limit, [*STEADY, 9000, -500])) == ["over", "noted"]
    assert statuses(spike(limit, [*STEADY, -3000, -500], gross=0)) == ["noted", "noted"]
    # The day itself may have been as wrong as before.
    assert [each.is_put_off for each in spike(limit, [*STEADY, -3000, -500])] == [True, False]


def test_a_multiple_needs_no_price_and_an_amount_does() -> None:
    refused = ApiError("upcoming invoice", ACCOUNT, 403, 10000, "Authentication error", "Mend it.")
    days = [*STEADY, 12_000]
    found = spike("3x", days, invoice_preview=refused)
    assert statuses(found) == ["within", "over"]
    assert found[1].message == (
        f"On {TODAY} (today so far) account {ACCOUNT} used 12.0 times a usual day (the 95th "
        "percentile of 28 days), over the limit of 3x. The upcoming invoice, which prices it, is "
        "not known."
    )
    assert statuses(spike("50 USD", days, invoice_preview=refused)) == ["unknown"]
    # Usage that the invoice does not charge for has no price either.
    assert statuses(spike("50 USD", days, gross=0)) == ["unknown", "unknown"]
    assert statuses(spike("3x", days, gross=0)) == ["within", "over"]
    part = bill(40_000, whole=False)
    assert statuses(spike("3x", days, invoice_preview=part)) == ["within", "over"]
    assert statuses(spike("50 USD", days, invoice_preview=part)) == ["unknown", "unknown"]


def test_a_history_that_cannot_be_read_is_not_known() -> None:
    assert statuses(spike("3x", STEADY, usage_history=REFUSED)) == ["unknown"]


def test_another_currency_is_not_comparable() -> None:
    found = spike({"limit": "3x", "atLeast": "25 EUR"}, [*STEADY, 12_000])
    assert statuses(found) == ["unknown", "unknown"]
    assert [each.remedy for each in found] == ["Set the atLeast of the rule x in USD."] * 2
    in_euros = spike("25 EUR", [*STEADY, 12_000])
    assert in_euros[0].remedy == "Set the limit of the rule x in USD."
    assert statuses(in_euros) == ["unknown", "unknown"]


def test_accounts_have_amounts_of_their_own() -> None:
    limit = {"limit": "500 USD", "accounts": {ACCOUNT: "50 USD"}}
    assert statuses(spike({"limit": limit}, [*STEADY, 12_000])) == ["within", "over"]
    none = {"accounts": {ACCOUNT: "50 USD"}}
    rule = {"limit": none, "accountIds": [ACCOUNT, OTHER_ACCOUNT]}
    gate = Gate.of(DeclaredRule.parse("max-daily-spend", rule))
    assert gate.account_ids == (ACCOUNT, OTHER_ACCOUNT)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"limit": "1x"}, "'1x' is not more than usual: write it as '3x'"),
        ({"limit": "0.5x"}, "is not more than usual"),
        ({"limit": "1,5x"}, "'1,5x' is not a multiple: write it as '3x' or '2.5x'"),
        ({"limit": "1.000x"}, "is not a multiple"),
        ({"limit": "x"}, "is not a multiple"),
        ({"limit": "3"}, "has no currency"),
        ({"limit": "3x", "atLeast": "25"}, "atLeast: '25' has no currency"),
        ({"limit": "3x", "atLeast": "2x"}, "atLeast: '2x' is not an amount"),
        ({"limit": {"limit": "3x"}}, "is not an amount"),
    ],
)
def test_what_is_no_limit_of_a_day_is_refused(written: dict[str, Any], expected: str) -> None:
    with pytest.raises(RuleError) as refused:
        parse_rules({"rules": {"max-daily-spend": written}})
    assert expected in str(refused.value)


def test_a_floor_beside_an_amount_is_refused() -> None:
    rule = {"limit": "50 USD", "atLeast": "25 USD", "accountIds": [ACCOUNT]}
    with pytest.raises(RuleError, match="atLeast has no effect on an amount"):
        Gate.of(DeclaredRule.parse("max-daily-spend", rule))


def test_a_multiple_can_warn_earlier() -> None:
    rule = {"limit": "4x", "atLeast": "20 USD", "warnAt": ["50%"], "accountIds": [ACCOUNT]}
    _, tier = parse_rules({"rules": {"max-daily-spend": rule}})
    assert tier.settings["limit"].text == "2x"


@pytest.mark.parametrize("today", [[0.0], []])
@pytest.mark.parametrize("hour", [3, 7], ids=["soon", "when the history has fallen silent"])
@pytest.mark.parametrize(("yesterday", "status"), [(3000.0, "noted"), (3001.0, "unknown")])
def test_in_the_first_hours_of_a_month_yesterday_is_only_noted_if_it_was_not_unusual(
    today: list[float], hour: int, yesterday: float, status: str
) -> None:
    """Nothing was used in the period yet, so that no invoice says what yesterday cost."""
    read_at = datetime(2026, 10, 1, hour, tzinfo=UTC)
    # Even of an account that has few days.
    history = usage([*STEADY[:5], yesterday, *(today or [0.0])], at=read_at)
    if not today:
        del history.result["history"][0]
    start, end = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (10, 11))
    empty = bill(0, invoice_lines=[], period_start=start, period_end=end)
    found = judge(
        "max-daily-spend",
        {"limit": "50 USD"},
        {"invoice_preview": empty, "usage_history": history},
        read_at=read_at,
        at=read_at,
    )
    by_day = {str(finding.day): finding for finding in found}
    assert by_day["2026-09-30"].status == status
    assert by_day["2026-09-30"].message.startswith(
        f"The spend of account {ACCOUNT} on 2026-09-30 is not known. It used 3.0 times a usual day."
    )


@pytest.mark.parametrize("hour", [3, 7])
@pytest.mark.parametrize(
    ("yesterday", "gross", "expected"),
    [
        (1000.0, 5000, ["noted", "noted"]),
        (1000.0, 5001, ["unknown"]),
        (3001.0, 100, ["unknown"]),
        (0.0, 100, ["unknown"]),
    ],
    ids=["ordinary", "a loop since midnight", "a loop before", "no history of either day"],
)
def test_a_month_of_which_only_the_invoice_has_something_is_noted_within_the_limit(
    hour: int, yesterday: float, gross: int, expected: list[str]
) -> None:
    """The history is some hours behind, and nothing prices the day before."""
    read_at = datetime(2026, 10, 1, hour, tzinfo=UTC)
    start, end = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (10, 11))
    found = judge(
        "max-daily-spend",
        {"limit": "50 USD"},
        {
            "invoice_preview": bill(gross, period_start=start, period_end=end),
            "usage_history": usage([*STEADY, yesterday, 0.0], at=read_at),
        },
        read_at=read_at,
        at=read_at,
    )
    assert statuses(found)[: len(expected)] == expected


def of_september() -> Any:
    """Return an invoice with $40.00 that are left of August, and a fee of $30.00."""
    august = {"start": START - 31 * DAY, "end": START}
    rest = api_line(amount=4000, pretax_credit_amounts=[], period=august)
    fee = api_line(description="Plan fee", amount=3000, pretax_credit_amounts=[])
    return bill(0, amount_due=7000, invoice_lines=[rest, fee])


def test_what_is_left_of_last_month_prices_no_day_of_this_one() -> None:
    """Beside 60 cents of usage, $40.00 would be read as a unit of a dollar."""
    read_at = datetime.fromtimestamp(START + 90 * 60, UTC)
    answers = {
        "invoice_preview": of_september(),
        "usage_history": usage([*STEADY, 62.5], at=read_at),
        "credit_balance": {"balance": 60_000},
    }
    rules: dict[str, dict[str, object]] = {
        "max-daily-spend": {"limit": "30 USD"},
        "max-forecast": {"limit": "800 USD"},
        "min-runway": {"days": 14},
    }
    found = {
        rule: judge(rule, {**limit, "fixedLines": ["Plan*"]}, answers, read_at=read_at, at=read_at)
        for rule, limit in rules.items()
    }
    assert statuses(found["max-daily-spend"]) == ["unknown", "unknown"]
    assert statuses(found["max-forecast"]) == ["within", "noted"]
    assert statuses(found["min-runway"]) == ["within", "noted"]


def test_an_account_that_is_paused_has_spent_nothing_whatever_is_left_of_last_month() -> None:
    days = [*[1000.0] * 66, *[0.0] * 15]
    rule = {"limit": "30 USD", "fixedLines": ["Plan*"]}
    found = spike(rule, days, invoice_preview=of_september())
    assert statuses(found) == ["within", "within"]


@pytest.mark.parametrize("gross", [0, 1])
@pytest.mark.parametrize("begins", [datetime(2026, 10, 1, tzinfo=UTC), NOW + timedelta(hours=3)])
def test_a_day_before_the_invoices_period_is_not_known(begins: datetime, gross: int) -> None:
    found = spike("100 USD", [*STEADY, 500_000], invoice_preview=_bill_since(begins, gross))
    assert statuses(found) == ["unknown", "unknown"]
    assert found[1].message.endswith("The invoice's period has not begun, so it prices no day yet.")


@pytest.mark.parametrize("ago", [14, 31], ids=["in the period", "after its end"])
def test_lines_of_another_period_price_no_day(ago: int) -> None:
    begins = int((NOW - timedelta(days=ago)).timestamp())
    period = {"period_start": begins, "period_end": begins + 30 * DAY}
    line = api_line(
        amount=16_500,
        pretax_credit_amounts=[],
        period={"start": begins + 30 * DAY, "end": begins + 60 * DAY},
    )
    other = bill(16_500, invoice_lines=[line], **period)
    found = spike("100 USD", [*STEADY, 15_000], invoice_preview=other)
    assert statuses(found) == ["unknown", "unknown"]
    assert found[1].message.endswith("The lines are of another period.")
    by_usage = spike("3x", [*STEADY, 15_000], invoice_preview=other)
    assert statuses(by_usage) == ["within", "over"]


def test_the_days_of_a_history_do_not_share_what_a_longer_period_cost() -> None:
    """By default 100 days are read, and a period may be a year."""
    begins = _bill_since(NOW - timedelta(days=200), 200_500, days=365)
    found = spike("15 USD", [*STEADY, 500], invoice_preview=begins)
    assert statuses(found) == ["unknown", "unknown"]
    assert "The usage history begins after the invoice's period does" in found[0].message
    assert statuses(spike("3x", [*STEADY, 500], invoice_preview=begins)) == ["within", "within"]


def test_a_day_on_which_the_period_ended_costs_what_all_of_it_used() -> None:
    """The invoice may still be that of the period that ended five minutes into the day."""
    today = day_of(Fraction(NOW.timestamp()))
    ended = bill(30_000, period_start=today - 30 * DAY + 300, period_end=today + 300)
    found = spike("100 USD", [*STEADY, 15_000], invoice_preview=ended)
    assert statuses(found) == ["within", "over"]
    assert "$149.50" in found[1].message


def test_a_day_after_a_period_that_cost_nothing_is_not_known() -> None:
    ended = _bill_since(NOW - timedelta(days=31), 0)
    found = spike("100 USD", [0, 500_000], invoice_preview=ended)
    assert statuses(found) == ["unknown", "unknown"]
    assert found[1].message.endswith("The invoice's period has no usage and no charges yet.")
    unused = spike("100 USD", [0, 0], invoice_preview=ended)
    assert statuses(unused) == ["noted", "within"]


def test_a_whole_day_of_an_unused_period_has_cost_nothing() -> None:
    for days in ([*STEADY, *[0.0] * (NOON + 1)], [0.0, 0.0]):
        yesterday, today = spike("15 USD", days, gross=0)
        assert [yesterday.status, today.status] == ["within", "within"]
        assert f"spent $0.00 on {YESTERDAY}, within" in yesterday.message
    # Usage that a correction makes up for is no day without any.
    corrected = [*STEADY, *[0.0] * (NOON - 2), -5000, 5000, 0]
    assert statuses(spike("15 USD", corrected, gross=0))[-2:] == ["unknown", "within"]


def test_a_day_of_usage_that_the_invoice_rounds_off_has_cost_nothing() -> None:
    little = [0.02] * 20
    assert statuses(spike("1 USD", little, gross=0)) == ["within", "within"]
    for day in ([*little, 1], [*little, -5000, 5000, 0.1], [*little, 5000, -5000, 0.1]):
        assert "unknown" in statuses(spike("1 USD", day, gross=0))


@pytest.mark.parametrize("given", ["3x", {"limit": "3x", "atLeast": "25 USD"}, "25 USD"])
@pytest.mark.parametrize("days", [[*[0.01] * 40, 0.05], [0.02, *[0] * 40, 0.02, 0.01]])
def test_no_limit_is_exceeded_by_usage_that_the_invoice_rounds_off(
    given: Any, days: list[float]
) -> None:
    found = spike(given, days, gross=0)
    assert statuses(found) == ["within", "within"]
    assert "spent $0.00" in found[-1].message


@pytest.mark.parametrize(
    ("models", "a_day", "used_for"), [(20, 0.6, 6), (3, 0.2, 5), (2, 0.4, 4), (8, 0.2, 6)]
)
@pytest.mark.parametrize("limit", ["60 USD", {"limit": "3x", "atLeast": "25 USD"}])
def test_a_pause_is_known_where_rounding_made_the_invoice_more_or_less_than_usage(
    models: int, a_day: float, used_for: int, limit: Any
) -> None:
    """The invoice rounds each line, so that usage of 13.2 cents may be 20, each model's one."""
    line = api_line(amount=round(a_day * used_for), pretax_credit_amounts=[])
    paused = [*[models * a_day] * (60 + used_for), *[0] * (NOON - used_for + 1)]
    invoice = bill(line["amount"], lines=[line] * (models - 1))
    assert statuses(spike(limit, paused, invoice_preview=invoice)) == ["within", "within"]


@pytest.mark.parametrize("loop", [500, 520, 535])
def test_rounding_does_not_make_a_loop_in_dollars_one_in_cents(loop: float) -> None:
    """The invoice has 520 cents and nothing of the loop yet, whose dollars are about as many."""
    line = api_line(amount=10, pretax_credit_amounts=[])
    days = [*[0.4] * 75, loop, 0.2]
    found = spike("60 USD", days, invoice_preview=bill(10, lines=[line] * 51))
    assert statuses(found) == ["unknown", "within"]


@pytest.mark.parametrize("limit", ["10 USD", {"limit": "3x", "atLeast": "10 USD"}])
def test_rounding_is_no_doubt_where_the_days_before_rule_out_dollars(limit: Any) -> None:
    """As dollars, the first day alone would be $21.20 of an invoice of $0.46."""
    amounts = [14, 11, 8, 6, 4, 3]
    lines = [api_line(amount=amount, pretax_credit_amounts=[]) for amount in amounts]
    seldom = [5, *[0] * 65, 21.2, *[0] * 11, 24.1, 0]
    rare = bill(amounts[0], lines=lines[1:])
    assert statuses(spike(limit, seldom, invoice_preview=rare)) == ["within", "within"]


def test_no_usual_day_is_dear_because_of_rounding() -> None:
    """With thirty lines, an invoice of 22 cents can be for usage of 7."""
    begins = START + 13 * DAY
    line = api_line(amount=0, pretax_credit_amounts=[], period={"start": begins, "end": END})
    lines = [{**line, "amount": int(number < 21)} for number in range(29)]
    few = bill(1, lines=lines, period_start=begins)
    assert statuses(spike("3x", [*[5] * 75, 5, 2], invoice_preview=few)) == ["within", "within"]


def test_an_unused_period_that_began_within_a_day_has_cost_nothing() -> None:
    """All of that day's usage may have been before."""
    yesterday_noon = _bill_since(NOW - timedelta(days=1), 0)
    days = [0.0, 1000.0] * 40
    found = spike("15 USD", [*days, 0], invoice_preview=yesterday_noon)
    assert statuses(found) == ["noted", "within"]
    used = spike("15 USD", [*days, 1], invoice_preview=yesterday_noon)
    assert statuses(used) == ["unknown", "unknown"]


def test_a_loop_before_the_period_does_not_make_dollars_look_like_cents() -> None:
    """The history is hours late, and a day like the loop's is not what it lacks."""
    days = [*[1.0] * 60, 601, 1, 0.47, 0]
    period = _bill_since(NOW - timedelta(days=1, hours=12), 94)
    found = spike("60 USD", days, invoice_preview=period)
    assert [(str(each.day), each.status) for each in found if each.violates] == [
        ("2026-09-12", "over")
    ]


def _bill_since(begins: datetime, gross: int, days: int = 30) -> Any:
    start = int(begins.timestamp())
    return bill(gross, period_start=start, period_end=start + days * DAY)


# The sandbox's accounts, by the hour.


@pytest.mark.parametrize("hour", [6, 20])
@pytest.mark.parametrize("day", [2, 16])
@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("night-loop", {("within", "over"), ("over", "over")}),
        ("three-nights-loop", {("over", "over", "over")}),
        ("steady", {("within", "within")}),
        ("growing", {("within", "within")}),
        ("quiet-weekend", {("within", "within")}),
        ("history-a-day-behind", {("within", "noted")}),
        ("history-two-days-behind", {("unknown",)}),
    ],
)
def test_the_morning_after_a_loop_is_red_and_no_other(
    scenario: str, expected: set[tuple[str, ...]], day: int, hour: int
) -> None:
    now = datetime(2026, 9, day, hour, 23, tzinfo=UTC)
    with Sandbox(scenario, now=now) as sandbox:
        rule = {"limit": "3x", "atLeast": "25 USD", "accountIds": [ACCOUNT]}
        written = {**rule, "baseUrl": sandbox.base_url}
        gate = Gate.of(DeclaredRule.parse("max-daily-spend", written))
        reader = AccountReader({"CLOUDFLARE_API_TOKEN": TOKEN})
        found = gate.judge_accounts(reader, now)
    assert tuple(statuses(found)) in expected, [finding.message for finding in found]


def test_the_scheduled_job_of_the_examples_is_red_on_the_morning_after_a_loop() -> None:
    workflow = yaml.load((EXAMPLES / "ci/github/upcoming-invoice.yml").read_text(), yaml.BaseLoader)
    [schedule] = workflow["on"]["schedule"]
    minute, hour = map(int, schedule["cron"].split()[:2])
    rules = read_rules(EXAMPLES / "policy-pack/rules.json")
    watched = configured(rules, read_config(EXAMPLES / "policy-pack/watch.json"))
    for day in (1, 2, 14, 28):
        now = datetime(2026, 9, day, hour, minute, tzinfo=UTC)
        for scenario, verdict in (("night-loop", "over"), ("steady", "within")):
            snapshot = taken(scenario, now)
            found = [Found.of_snapshot(snapshot)]
            results = judge_rules(watched, found, now, AccountReader({}, snapshots=[snapshot]))
            [daily] = [result for result in results if result.kind == "max-daily-spend"]
            assert (daily.level, daily.verdict) == ("mandatory", verdict), (day, scenario)


class _Cut(Sandbox):
    """A sandbox whose usage history says that more follows, and gives the same page again."""

    def answer(self, account_id: str, read: str = "", query: Any = None) -> dict[str, Any]:
        answer = super().answer(account_id, read, query)
        is_cut = read == USAGE_HISTORY.name
        return {**answer, "result_info": {"has_more": True}} if is_cut else answer


def test_a_part_of_the_history_is_not_known_and_never_within() -> None:
    """The day that empties the budget could be on the page that is missing."""
    with _Cut(now=NOW) as sandbox:
        written = {"limit": "9999 USD", "accountIds": [ACCOUNT], "baseUrl": sandbox.base_url}
        gate = Gate.of(DeclaredRule.parse("max-daily-spend", written))
        reader = AccountReader({"CLOUDFLARE_API_TOKEN": TOKEN})
        [found] = gate.judge_accounts(reader, NOW)
        asked = [each.query.get("page") for each in sandbox.asked if each.read == "usage-history"]
    assert (found.status, asked) == ("unknown", [None, "2"])
    assert "history: the API gave only a part of it" in found.message
