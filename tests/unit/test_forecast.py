"""The forecast: what it says of every kind of account, and of every gap in what was read."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pulumi_cf_invoice.billing import (
    CreditBalance,
    IncompleteLinesError,
    Invoice,
    SettingsError,
    UsageHistory,
)
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.forecast import Forecast, TrackRecord, forecast_invoice, priced
from tests.factories import END, NOW, START, api_line, api_result

DAY, HOUR = 86_400, 3_600
NOON = 14
"""The whole days of the period that are over at `NOW`, which is at noon of the next one."""
CENTS = 1000.0
"""The usage of a steady day, in cents."""


def invoice_of(gross: float, **changes: Any) -> Invoice:
    """Return an invoice of one line of usage, without tax."""
    line = api_line(amount=gross, pretax_credit_amounts=changes.pop("credits", []))
    due = gross - sum(credit["amount"] for credit in line["pretax_credit_amounts"])
    lines = {"invoice_lines": [line, *changes.pop("lines", [])]}
    return Invoice.from_api(api_result(**{"amount_due": due, **lines, **changes}))


def history_of(
    before: Sequence[float], during: Sequence[float], *, at: datetime = NOW, factor: float = 1
) -> UsageHistory:
    """Return a daily history of the days before the period, and of those of it."""
    since = START - len(before) * DAY
    values = {since + n * DAY: amount * factor for n, amount in enumerate([*before, *during])}
    until = int(at.timestamp()) // DAY * DAY + DAY
    return UsageHistory.of_values(values, window="day", since=since, until=until, at=at)


def steady(days_before: int = 60, *, today: float = CENTS / 2, factor: float = 1) -> UsageHistory:
    """Return a history of equal days, half of today among them."""
    return history_of([CENTS] * days_before, [*[CENTS] * NOON, today], factor=factor)


def balance_of(balance: float, **topup: Any) -> CreditBalance:
    """Return a credit balance in cents, with an automatic top-up as given."""
    pays = {"has_default_payment_method": True}
    return CreditBalance.from_api({"balance": balance, "topup_config": topup or None, **pays})


GROSS = CENTS * (NOON + 0.5)
MONTH = CENTS * 30


@pytest.mark.parametrize("wrong", ["openai/*", [3], [""], None, {"openai/*": 1}])
def test_fixed_lines_that_are_no_list_of_globs_are_refused(wrong: Any) -> None:
    """A text would be a list of one-character globs, and its "*" would fix every line."""
    with pytest.raises(SettingsError, match=r"must be a list of globs such as \['openai/\*'\]"):
        forecast_invoice(invoice_of(GROSS), steady(), at=NOW, fixed_lines=wrong)


def test_a_band_without_width_is_not_shown_as_one() -> None:
    found = forecast_invoice(invoice_of(GROSS), steady(), at=NOW)
    assert found.text == "Forecast $300 for September"


def test_all_of_a_forecast_is_plain_data() -> None:
    found = forecast_invoice(invoice_of(GROSS), steady(), balance_of(2_500), at=NOW)
    figures = found.to_figures()
    assert json.loads(json.dumps(figures)) == figures
    assert figures["coming"][0]["date"] == "2026-09-15"
    assert figures["runway"]["text"].startswith("Credits of $25.00 last until 2026-09-18")


def test_a_steady_account_goes_on_as_it_was() -> None:
    """The median is what a steady account comes to, and there is next to no band."""
    found = forecast_invoice(invoice_of(GROSS), steady(), at=NOW)
    assert (found.method, found.method_text) == ("daily-usage", "daily usage")
    assert (found.amount_due, found.amount_due_p10, found.amount_due_p90) == (MONTH,) * 3
    assert (found.currency, found.period_start, found.period_end) == ("usd", START, END)
    assert found.days_of_history == 60 + NOON
    assert found.runway is None


def test_the_track_record_tells_how_wrong_the_method_was() -> None:
    """The error comes with its horizon and origins: none on a steady account, much on a jumpy "
    "one."""
    jumping = [CENTS * (1 + 3 * (n % 5 == 0)) for n in range(60 + NOON)]
    during = [*jumping[60:], 0]
    found = forecast_invoice(
        invoice_of(sum(during)), history_of(jumping[:60], during), at=NOW
    ).track_record
    none = forecast_invoice(invoice_of(GROSS), steady(), at=NOW).track_record
    assert none is not None
    assert (none.error, none.horizon, none.origins) == (0, 14, 49)
    assert found is not None
    assert 0.05 < found.error < 0.5


def test_the_days_of_the_period_add_up_to_the_invoice() -> None:
    """The spend of each day is the share of the invoice that its usage has, to the cent."""
    usage = [333.3, 1, 17.7, *[CENTS] * 11, 250]
    found = forecast_invoice(
        invoice_of(11_604, credits=[{"amount": 3_001, "type": "discount"}]),
        history_of([CENTS] * 30, usage),
        at=NOW,
    )
    assert len(found.spent) == NOON + 1
    assert sum(day.gross for day in found.spent) == 11_604
    assert sum(day.net for day in found.spent) == 11_604 - 3_001
    assert [day.gross for day in found.spent[:4]] == [333, 1, 18, 1000]
    assert [found.spent[0].date, found.spent[-1].date] == [date(2026, 9, 1), date(2026, 9, 15)]
    assert [day.is_settled for day in found.spent] == [True] * NOON + [False]


def test_the_days_to_come_lead_from_now_to_the_forecast() -> None:
    """Each day's end has the amount due by then, today's first and the period's last."""
    found = forecast_invoice(invoice_of(GROSS), steady(), at=NOW)
    assert [day.date for day in found.coming] == [date(2026, 9, n) for n in range(15, 31)]
    assert [day.median for day in found.coming[:2]] == [CENTS * 15, CENTS * 16]
    assert found.coming[-1].median == found.amount_due


def test_weekends_are_foreseen() -> None:
    """An account that rests on weekends is forecast to rest then, and on no other days."""
    start = datetime.fromtimestamp(START, tz=UTC)
    days = [0.2 * CENTS if (start + timedelta(n)).weekday() >= 5 else CENTS for n in range(-84, 30)]
    at = datetime(2026, 9, 5, tzinfo=UTC)
    gross = sum(days[84:88])
    found = forecast_invoice(
        invoice_of(gross), history_of(days[:84], days[84:88], at=at), at=at
    ).amount_due
    assert found == pytest.approx(sum(days[84:]), rel=0.04)
    assert invoice_of(gross).projected_amount_due(at) > 1.2 * sum(days[84:])  # type: ignore[operator]


def test_growth_that_lasts_for_weeks_is_carried_on() -> None:
    """An account that grew week by week comes to more than its last days suggest."""
    days = [CENTS * math.exp(0.02 * n) for n in range(-84, 30)]
    during = [*days[84 : 84 + NOON], days[84 + NOON] / 2]
    gross = round(sum(during))
    found = forecast_invoice(invoice_of(gross), history_of(days[:84], during), at=NOW).amount_due
    assert found == pytest.approx(sum(days[84:]), rel=0.05)
    assert invoice_of(gross).projected_amount_due(NOW) < 0.92 * sum(days[84:])  # type: ignore[operator]


def test_a_step_is_followed_once_it_lasted_for_days() -> None:
    """A level that doubled a week ago is the new level."""
    found = forecast_invoice(
        invoice_of(CENTS * 22),
        history_of([CENTS] * 60, [*[CENTS] * 7, *[2 * CENTS] * 7, CENTS]),
        at=NOW,
    )
    assert found.amount_due == pytest.approx(CENTS * (22 + 31), rel=0.04)


@pytest.mark.parametrize("left", [0.3, 0.5])
@pytest.mark.parametrize("since", [4, 7])
def test_a_fall_is_followed_after_four_days(since: int, left: float) -> None:
    """Spend that fell is believed sooner than spend that rose, which may be a burst."""
    usual = [CENTS * (0.8 + number % 5 / 10) for number in range(91)]
    usage = [*usual[:-since], *(left * day for day in usual[-since:])]
    during = [*usage[91 - NOON :], left * CENTS / 2]
    invoice, history = invoice_of(round(sum(during))), history_of(usage[: 91 - NOON], during)
    found = forecast_invoice(invoice, history, at=NOW).amount_due
    assert found == pytest.approx(sum(during) + left * CENTS * 15.5, rel=0.05)


def test_a_partial_day_is_no_trend() -> None:
    """Little usage early today changes what has been spent, but not what is to come."""
    found = forecast_invoice(invoice_of(CENTS * NOON + 7), steady(today=7), at=NOW)
    assert found.amount_due == CENTS * NOON + 7 + CENTS * 15.5


@pytest.mark.parametrize("factor", [1, 0.01, 0.0037, 12_345])
def test_the_unit_of_usage_does_not_matter(factor: float) -> None:
    """Usage in cents, in dollars and in a unit of its own gives the same median."""
    found = forecast_invoice(invoice_of(GROSS), steady(factor=factor), at=NOW)
    assert found.amount_due == MONTH
    assert found.unit == {1: "minor", 0.01: "major"}.get(factor, "ratio")
    message = {
        "minor": "Usage is in units of $0.01,",
        "major": "Usage is in units of $1.00,",
        "ratio": "of its own",
    }
    assert message[found.unit or ""] in found.notes[0]


def test_an_inferred_ratio_widens_the_band() -> None:
    """It covers an invoice that lacks two days, and has room for a history that lacks one."""
    found = forecast_invoice(invoice_of(GROSS), steady(factor=0.0037), at=NOW)
    assert found.amount_due_p90 == round(MONTH * 14.5 / 12.5)
    assert found.amount_due_p10 == round(GROSS + CENTS * 15.5 * 14 / 15)
    assert found.notes == (
        "Usage is in a unit of its own, at the price that the invoice charges for the period's "
        "usage. If the invoice is missing the last two days, which would go unnoticed, the median "
        "is $348.00. The band covers both.",
    )


def test_no_invoice_is_taken_to_lack_more_than_half_of_the_usage() -> None:
    """After a quiet start of a month, an invoice without the last two days would be next to 0."""
    at = datetime(2026, 9, 5, 12, tzinfo=UTC)
    usage = [*[CENTS / 100] * 2, *[CENTS] * 2, CENTS / 2]
    history = history_of([CENTS] * 60, usage, at=at, factor=0.0037)
    found = forecast_invoice(invoice_of(round(sum(usage))), history, at=at)
    assert found.amount_due is not None
    assert found.amount_due < (found.amount_due_p90 or 0) <= 3 * found.amount_due


def test_a_note_names_no_band_where_there_is_none() -> None:
    """A young account has a median by either reading, and no band."""
    at = datetime(2026, 9, 8, 12, tzinfo=UTC)
    for factor, known in ((1, 6.5), (0.0037, 7.5)):
        usage = [*[CENTS] * 7, CENTS / 2]
        history = history_of([0], usage, at=at, factor=factor)
        found = forecast_invoice(invoice_of(CENTS * known), history, at=at)
        assert (found.method, found.amount_due_p90) == ("recent-mean", None)
        assert "the median is" in found.notes[0]
        assert not any("band" in note for note in found.notes)


def test_a_yen_has_one_unit() -> None:
    """In a currency without decimals, minor units are major units."""
    lines = [api_line(amount=GROSS, currency="jpy", pretax_credit_amounts=[])]
    invoice = Invoice.from_api(api_result(amount_due=GROSS, currency="jpy", invoice_lines=lines))
    assert forecast_invoice(invoice, steady(), at=NOW).unit == "minor"


def test_another_ratio_needs_three_days_of_the_period() -> None:
    """Until then there is a straight line, which says why; after that the ratio counts."""
    for day, method in ((3, "straight-line"), (4, "daily-usage")):
        at = datetime(2026, 9, day, 12, tzinfo=UTC)
        usage = [*[CENTS] * (day - 1), CENTS / 2]
        history = history_of([CENTS] * 60, usage, at=at, factor=0.0037)
        found = forecast_invoice(invoice_of(sum(usage)), history, at=at)
        assert found.method == method
        assert any("is not known yet" in note for note in found.notes) == (day == 3)


def test_a_history_that_is_behind_is_reported_and_widens_the_band() -> None:
    """The invoice says what was spent; days that may still move are no trend."""
    history = history_of([CENTS] * 60, [*[CENTS] * (NOON - 1), CENTS / 2, 0])
    found = forecast_invoice(invoice_of(GROSS), history, at=NOW)
    assert found.amount_due == MONTH
    assert found.amount_due_p10 is not None
    assert found.amount_due_p10 < MONTH < (found.amount_due_p90 or 0)
    assert any("usage history is $10.00 behind the invoice" in note for note in found.notes)
    assert [day.is_settled for day in found.spent[-3:]] == [True, False, False]
    assert sum(day.gross for day in found.spent) == GROSS


def test_a_young_history_that_is_behind_has_its_late_days_by_the_invoice() -> None:
    """What the invoice has and the history lacks was spent on the days that are late."""
    at = datetime(2026, 9, 7, 12, tzinfo=UTC)
    history = history_of([0], [*[CENTS] * 5, CENTS / 2, 0], at=at)
    found = forecast_invoice(invoice_of(CENTS * 6.5), history, at=at)
    assert (found.method, found.amount_due) == ("recent-mean", MONTH)
    assert any("usage history is $10.00 behind the invoice" in note for note in found.notes)


def test_an_invoice_that_is_behind_is_the_other_reading_of_a_price() -> None:
    """The two cannot be told apart: the price is assumed, and the band covers both."""
    found = forecast_invoice(invoice_of(GROSS - CENTS), steady(), at=NOW)
    price = (GROSS - CENTS) / GROSS
    assert (found.unit, found.amount_due) == ("ratio", round(MONTH * price))
    assert found.amount_due_p90 is not None
    assert found.amount_due_p90 >= MONTH
    assert found.notes[0] == (
        "Usage and invoice can be read in two ways: a unit of usage costs 0.93 times $0.01, which "
        "the forecast assumes, or the invoice is $10.00 behind, in which case the median is "
        "$300.00. The band covers both."
    )
    assert sum(day.gross for day in found.spent) == GROSS - CENTS


@pytest.mark.parametrize("factor", [1, 0.01])
@pytest.mark.parametrize(
    ("first", "price"),
    list(
        zip(
            cycle((5, 6, 7, 8)),
            [0.3, 0.5, 0.64, 0.8, 0.97, 1.04, 1.3, 1.59, 1.7, 2.4, 3],
            strict=False,
        )
    ),
)
def test_a_steady_account_is_forecast_well_at_any_price(
    first: int, price: float, factor: float
) -> None:
    """From the fifth day on it is at most a tenth off, although a unit does not cost a cent."""
    for day in range(first, 26, 4):
        at = datetime(2026, 9, day, 12, tzinfo=UTC)
        usage = [*[CENTS] * (day - 1), CENTS / 2]
        history = history_of([CENTS] * 60, usage, at=at, factor=factor)
        found = forecast_invoice(invoice_of(round(sum(usage) * price)), history, at=at)
        assert found.amount_due == pytest.approx(MONTH * price, rel=0.1)
        assert found.amount_due_p90 is not None
        assert found.amount_due_p90 >= MONTH * price * 0.99


@pytest.mark.parametrize("minutes", [61, 90, 143, 150, 600])
@pytest.mark.parametrize(("unit", "factor"), [("minor", 1), ("major", 0.01), (None, 1000)])
def test_the_first_hours_of_a_period_tell_units_apart(
    unit: str | None, factor: float, minutes: int
) -> None:
    """A tenth of a day's spend is all that there is by then, and cents are no dollars."""
    at = datetime(2026, 9, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    spent = 24_000 * minutes / 1440
    history = history_of([24_000] * 60, [spent], at=at, factor=factor)
    found = forecast_invoice(invoice_of(round(spent)), history, at=at)
    assert found.unit == unit
    assert found.amount_due == pytest.approx(24_000 * 30, rel=0.01)


def early(hour: int, usage: float, gross: float, *, fee: float = 0, factor: float = 1) -> Forecast:
    """Forecast an account of `CENTS` a day at *hour* of its month's first day."""
    at = datetime.fromtimestamp(START, UTC) + timedelta(hours=hour)
    fees = [api_line(description="Platform fee", amount=fee, pretax_credit_amounts=[])]
    history = history_of([CENTS] * 60, [usage], at=at, factor=factor)
    invoice = invoice_of(round(gross), lines=fees if fee else [], amount_due=round(gross) + fee)
    return forecast_invoice(invoice, history, at=at)


@pytest.mark.parametrize(("hour", "minutes"), [(2, 2), (3, 3), (3, 6), (6, 4), (6, 8)])
def test_cents_of_which_the_history_has_a_months_first_minutes_are_no_dollars(
    hour: int, minutes: int
) -> None:
    found = early(hour, CENTS * minutes / 1440, CENTS * hour / 24)
    assert found.unit is None
    assert found.amount_due == pytest.approx(MONTH, rel=0.01)


@pytest.mark.parametrize(("hour", "fee"), [(3, 2_000), (6, 10_000)])
def test_cents_and_a_fee_are_no_dollars(hour: int, fee: float) -> None:
    """A fee that is not listed is most of what the period has cost so far."""
    assert early(hour, CENTS * (hour - 2) / 24, CENTS * hour / 24, fee=fee).unit is None


@pytest.mark.parametrize(("known", "invoiced"), [(1, 3), (3, 1), (0.5, 0.5), (0.5, 1)])
def test_dollars_are_known_in_the_first_hours_whatever_is_late(
    known: float, invoiced: float
) -> None:
    found = early(3, CENTS * known / 24, CENTS * invoiced / 24, factor=0.01)
    assert found.unit == "major"


def test_dollars_of_which_one_line_has_nearly_all_are_known_though_the_history_is_days_late() -> (
    None
):
    """After a period's first day, a fee does not make cents look like dollars."""
    usage = [*[CENTS] * (NOON - 2), 0, 0, 0]
    other = api_line(description="another model", amount=100, pretax_credit_amounts=[])
    invoice = invoice_of(GROSS - 100, lines=[other], amount_due=GROSS)
    found = forecast_invoice(invoice, history_of([CENTS] * 60, usage, factor=0.01), at=NOW)
    assert found.unit == "major"


@pytest.mark.parametrize("factor", [1, 0.01])
@pytest.mark.parametrize(("hour", "late"), [(2, 1), (3, 1), (3, 2)])
def test_a_history_of_which_a_months_first_hours_are_late_has_no_wide_band(
    hour: int, late: int, factor: float
) -> None:
    """What it lacks is what was to be expected of these hours."""
    found = early(hour, CENTS * (hour - late) / 24, CENTS * hour / 24, factor=factor)
    assert found.amount_due_p10 is not None
    assert found.amount_due_p10 <= MONTH <= (found.amount_due_p90 or 0) <= MONTH * 1.1


@pytest.mark.parametrize("factor", [1, 0.0037])
@pytest.mark.parametrize("hours", [17, 24, 41, 48])
def test_an_invoice_that_is_hours_behind_is_in_the_band(hours: int, factor: float) -> None:
    """So it is on every other day in cents, and on the others in a unit whose price cannot tell."""
    for day in range(5 if factor == 1 else 6, 26, 2):
        at = datetime(2026, 9, day, 12, tzinfo=UTC)
        usage = [*[CENTS] * (day - 1), CENTS / 2]
        history = history_of([CENTS] * 60, usage, at=at, factor=factor)
        found = forecast_invoice(invoice_of(round(sum(usage) - CENTS * hours / 24)), history, at=at)
        assert found.amount_due_p10 is not None
        assert found.amount_due_p10 <= MONTH <= (found.amount_due_p90 or 0) + 1


@pytest.mark.parametrize("hours", [17, 24, 41, 48])
def test_a_history_that_is_hours_behind_ends_early_and_is_no_price(hours: int) -> None:
    """Its last days fall off, so this is lag, and a unit of usage costs no more than before."""
    for day in range(6, 26):
        at = datetime(2026, 9, day, 12, tzinfo=UTC)
        known = day - 0.5 - hours / 24
        usage = [CENTS * min(max(known - number, 0), 1) for number in range(day)]
        history = history_of([CENTS] * 60, usage, at=at)
        found = forecast_invoice(invoice_of(CENTS * (day - 0.5)), history, at=at)
        assert found.unit == "minor"
        assert found.amount_due == pytest.approx(MONTH, rel=0.03)


def test_where_both_are_behind_silence_is_no_pause() -> None:
    """On an account that never had them, days without usage are lag: the usage is still to come."""
    history = history_of([CENTS] * 60, [*[CENTS] * (NOON - 2), 0, 0, 0])
    found = forecast_invoice(invoice_of(CENTS * (NOON - 2)), history, at=NOW)
    assert found.amount_due == MONTH
    assert any("nothing since 2026-09-12" in note for note in found.notes)


def test_a_part_of_a_day_makes_no_silence() -> None:
    """An account used in its history's first hours, and a week later, is not expected to go on."""
    start = START + 12 * HOUR
    at = datetime(2026, 9, 8, 9, 23, tzinfo=UTC)
    last, until = START + 6 * DAY, START + 7 * DAY + 10 * HOUR
    hours = [*range(start, START + DAY, HOUR), *range(last, last + 10 * HOUR, HOUR)]
    history = UsageHistory.of_values(
        dict.fromkeys(hours, 50.0), window="hour", since=start, until=until, at=at
    )
    gross = 50 * len(hours)
    found = forecast_invoice(invoice_of(gross, period_start=start), history, at=at)
    assert (found.unit, sum(day.gross for day in found.spent)) == ("minor", gross)
    assert not any("nothing since" in note for note in found.notes)


@pytest.mark.parametrize(
    ("ago", "note"),
    [
        ([0], ""),
        ([0, 60], "The usage history has 1 day without a value, which counts as no usage."),
        ([50, 60], "The usage history has 2 days without a value, which counts as no usage."),
    ],
)
def test_a_day_without_a_value_counts_as_no_usage_unless_it_is_today(
    ago: list[int], note: str
) -> None:
    today = START + NOON * DAY
    history = replace(steady(), entries_without_value=[today - days * DAY for days in ago])
    notes = forecast_invoice(invoice_of(GROSS), history, at=NOW).notes
    assert [each for each in notes if "without a value" in each] == ([note] if note else [])


def test_a_pause_of_many_days_is_one() -> None:
    """What stopped a week ago does not go on."""
    history = history_of([CENTS] * 60, [*[CENTS] * (NOON - 7), *[0] * 8])
    found = forecast_invoice(invoice_of(CENTS * (NOON - 7)), history, at=NOW)
    assert found.amount_due is not None
    assert found.amount_due < CENTS * (NOON - 7 + 8)


def test_spend_that_usage_does_not_have_is_no_lag() -> None:
    """An invoice that is half as large again all month is priced by its ratio."""
    found = forecast_invoice(invoice_of(GROSS * 1.5), steady(), at=NOW)
    assert (found.unit, found.amount_due) == ("ratio", MONTH * 1.5)


def test_chance_is_not_taken_for_a_unit() -> None:
    """A ratio that is near one early in a period, with most usage missing, is not believed."""
    at = datetime(2026, 9, 3, 12, tzinfo=UTC)
    history = history_of([CENTS] * 60, [CENTS / 2, 0, 0], at=at, factor=4)
    found = forecast_invoice(invoice_of(CENTS * 2.5), history, at=at)
    assert (found.method, found.unit) == ("straight-line", None)
    assert "nothing since 2026-09-01" in found.notes[0]


@pytest.mark.parametrize(
    ("days", "method"),
    [(2, "straight-line"), (3, "recent-mean"), (13, "recent-mean"), (14, "daily-usage")],
)
def test_short_histories_say_what_they_are(days: int, method: str) -> None:
    """Under 3 days it is a straight line, under 14 a mean without a band, then a band."""
    at = datetime.fromtimestamp(START + days * DAY + DAY / 2, tz=UTC)
    usage = [*[CENTS] * days, CENTS / 2]
    found = forecast_invoice(invoice_of(sum(usage)), history_of([0] * 60, usage, at=at), at=at)
    assert (found.method, found.days_of_history) == (method, days)
    assert found.amount_due == MONTH
    assert (found.amount_due_p10 is None) == (method != "daily-usage")
    assert (found.track_record is None) == (method != "daily-usage")
    assert any("too few for a trend" in note for note in found.notes) == (days == 2)


@pytest.mark.parametrize("days", [3, 6, 10, 13, 14, 20, 27])
def test_today_counts_for_the_part_that_has_passed_on_a_young_account(days: int) -> None:
    """Under four weeks of history, half a day is a good part of all that is known."""
    at = datetime.fromtimestamp(START + days * DAY + DAY / 2, tz=UTC)
    usage = [*[CENTS] * days, 3 * CENTS / 2]
    invoice = invoice_of(sum(usage))
    young = forecast_invoice(invoice, history_of([0] * 60, usage, at=at), at=at)
    assert young.amount_due == round(invoice.projected_amount_due(at) or 0)
    old = forecast_invoice(invoice, history_of([CENTS] * 60, usage, at=at), at=at)
    assert old.amount_due == sum(usage) + CENTS * (29.5 - days)


@pytest.mark.parametrize(("hour", "today", "gross"), [(5, 0, 8), (5, -1, 7), (12, 0, 8.5)])
def test_today_does_not_count_without_usage_or_where_the_history_lacks_some(
    hour: int, today: float, gross: float
) -> None:
    """A history that is hours behind, or a correction, says nothing about today."""
    at = datetime(2026, 9, 9, hour, tzinfo=UTC)
    history = history_of([0], [*[CENTS] * 8, today * CENTS], at=at)
    found = forecast_invoice(invoice_of(CENTS * gross), history, at=at)
    assert found.method == "recent-mean"
    assert found.coming[-1].median - found.coming[-2].median == pytest.approx(CENTS, abs=1)


def test_without_history_it_is_the_straight_line_and_named_so() -> None:
    """It is the invoice's own projection, and no day is drawn from it."""
    invoice = Invoice.from_api(api_result())
    found = forecast_invoice(invoice, at=NOW)
    assert (found.method, found.method_text) == ("straight-line", "straight line")
    assert found.amount_due == invoice.projected_amount_due(NOW)
    assert (found.spent, found.days_of_history, found.unit) == ((), 0, None)
    assert found.notes == ("No usage history was read.",)


def test_the_first_hour_is_too_early() -> None:
    """There is no forecast, and no straight line, in the first hour of a period."""
    at = datetime.fromtimestamp(START + HOUR - 1, tz=UTC)
    found = forecast_invoice(
        invoice_of(40), history_of([CENTS] * 60, [40], at=at), balance_of(500), at=at
    )
    assert (found.method, found.amount_due, found.coming) == ("too-early", None, ())
    assert found.runway is not None
    assert found.runway.text == "How long credits of $5.00 last is not known yet."


@pytest.mark.parametrize("days", [401, 36_500])
def test_a_period_of_more_than_400_days_is_noted_and_not_forecast_by_day(days: int) -> None:
    """A year of 10,000 in an answer would otherwise keep a report busy for minutes."""
    invoice = invoice_of(GROSS, period_end=START + days * DAY)
    found = forecast_invoice(invoice, steady(), balance_of(2_500), at=NOW)
    assert found.method == "straight-line"
    assert found.notes[0] == (
        "The invoice's period is longer than 400 days, so it is not forecast by day."
    )
    [last] = found.coming
    assert last.median == found.amount_due == round(GROSS * days / (NOON + 0.5))


def test_a_period_of_400_days_is_forecast_by_day() -> None:
    invoice = invoice_of(GROSS, period_end=START + 400 * DAY)
    found = forecast_invoice(invoice, steady(), at=NOW)
    assert len(found.coming) == 400 - NOON


def test_a_period_that_is_over_comes_to_what_is_due() -> None:
    """Nothing is to come, whatever was used since; the credits go on being used."""
    at = datetime.fromtimestamp(END + 2 * DAY, tz=UTC)
    history = history_of([CENTS] * 60, [CENTS] * 32, at=at)
    found = forecast_invoice(invoice_of(MONTH, amount_due=640.5), history, balance_of(2_500), at=at)
    assert (found.method, found.amount_due, found.coming) == ("period-over", 640.5, ())
    assert (found.amount_due_p10, found.amount_due_p90) == (None, None)
    assert len(found.spent) == 30
    assert found.runway is not None
    assert found.runway.runs_out == date(2026, 10, 5)


def test_a_period_of_no_length_comes_to_what_is_due() -> None:
    """There is nothing to divide by, and nothing to come."""
    invoice = invoice_of(GROSS, period_end=START)
    found = forecast_invoice(invoice, steady(), balance_of(100), at=NOW)
    assert (found.method, found.amount_due) == ("period-over", GROSS)


def test_a_period_that_starts_within_a_day_has_that_days_later_hours() -> None:
    """Hours before the period are history, and not in the invoice."""
    start = START + 18 * HOUR
    hours = range(START - 60 * DAY, START + NOON * DAY + 12 * HOUR, HOUR)
    values = dict.fromkeys(hours, 10.0)
    history = UsageHistory.of_values(
        values, window="hour", since=hours[0], until=hours[-1] + HOUR, at=NOW
    )
    gross = 10 * (6 + 24 * (NOON - 1) + 12)
    found = forecast_invoice(invoice_of(gross, period_start=start), history, at=NOW)
    assert (found.unit, found.amount_due) == ("minor", 10 * (24 * 30 - 18))
    assert [day.gross for day in found.spent[:2]] == [60, 240]
    assert sum(day.gross for day in found.spent) == gross


def test_a_whole_day_is_split_by_time() -> None:
    """Of the period's first day, a daily history counts for the share that is in the period."""
    found = forecast_invoice(
        invoice_of(GROSS - CENTS / 4, period_start=START + 6 * HOUR), steady(), at=NOW
    )
    assert found.spent[0].gross == CENTS * 3 / 4
    assert found.amount_due == MONTH - CENTS / 4


def test_a_period_that_ends_within_a_day_ends_there() -> None:
    """Of the last day only the part until the period's end is to come."""
    found = forecast_invoice(invoice_of(GROSS, period_end=END - 6 * HOUR), steady(), at=NOW)
    assert found.amount_due == MONTH - CENTS / 4


def test_a_history_that_begins_after_the_period_prices_nothing() -> None:
    """Days that are not read cannot be told from days without usage."""
    since = START + 5 * DAY
    history = UsageHistory.of_values(
        {since: CENTS}, window="day", since=since, until=START + 15 * DAY, at=NOW
    )
    found = forecast_invoice(invoice_of(GROSS), history, at=NOW)
    assert found.method == "straight-line"
    assert "begins after" in found.notes[0]


def test_a_history_that_ended_days_ago_prices_nothing() -> None:
    """What was read long before the invoice says nothing of today."""
    history = history_of([CENTS] * 60, [CENTS] * 5, at=NOW - timedelta(days=10))
    found = forecast_invoice(invoice_of(GROSS), history, at=NOW)
    assert (found.method, found.notes[0]) == (
        "straight-line",
        "The usage history ends 9 days before the forecast is made.",
    )


def test_an_invoice_of_zero_without_usage_stays_at_zero() -> None:
    """Nothing used and nothing to pay is a straight line along zero."""
    found = forecast_invoice(invoice_of(0), history_of([0] * 60, [0] * 15), at=NOW)
    assert (found.method, found.amount_due) == ("straight-line", 0)
    assert "no usage and no charges" in found.notes[0]


def test_an_invoice_without_lines_stays_at_zero() -> None:
    """An account that never used AI Gateway has a forecast too."""
    found = forecast_invoice(
        Invoice.from_api(api_result(amount_due=0, invoice_lines=[])),
        balance=balance_of(100),
        at=NOW,
    )
    assert found.amount_due == 0
    assert found.runway is not None
    assert found.runway.text == "How long credits of $1.00 last is not known yet."


def test_usage_without_a_price_is_not_known() -> None:
    """An invoice of zero that is behind says neither what is to come nor how long credits last."""
    found = forecast_invoice(invoice_of(0), steady(), balance_of(2_000), at=NOW)
    assert (found.method, found.amount_due, found.coming) == ("not-known", None, ())
    assert found.text == (
        "No forecast for September: there is usage in this period that the invoice does not charge "
        "for"
    )
    assert "may be included" in found.notes[0]
    assert found.runway is not None
    assert (found.runway.is_known, found.runway.runs_out) == (False, None)
    assert found.runway.text == "How long credits of $20.00 last is not known yet."


@pytest.mark.parametrize(("lines", "a_day"), [(1, 0.02), (1, 0.033), (10, 0.3)])
def test_usage_that_the_invoice_rounds_off_is_forecast_as_nothing(lines: int, a_day: float) -> None:
    """Such as that of an account for tests: a few calls of a hundredth of a cent."""
    made = [api_line(amount=0, description=f"openai/{n}") for n in range(lines)]
    nothing = Invoice.from_api(api_result(amount_due=0, invoice_lines=made))
    found = forecast_invoice(nothing, history_of([a_day] * 60, [a_day] * 15), at=NOW)
    assert (found.method, found.amount_due) == ("straight-line", 0)
    assert "so little usage in this period" in found.notes[0]
    more = history_of([a_day] * 60, [2 * a_day] * 15)
    assert forecast_invoice(nothing, more, at=NOW).method == "not-known"


@pytest.mark.parametrize("history", [None, steady()], ids=["without usage", "with usage"])
def test_lines_of_another_period_are_not_forecast_as_if_they_were_of_this_one(
    history: UsageHistory | None,
) -> None:
    august = {"start": START - 31 * DAY, "end": START}
    line = api_line(amount=GROSS, pretax_credit_amounts=[], period=august)
    invoice = Invoice.from_api(api_result(amount_due=GROSS, invoice_lines=[line]))
    found = forecast_invoice(invoice, history, balance_of(2_000), at=NOW)
    assert (found.method, found.amount_due, found.spent) == ("not-known", None, ())
    assert found.text == "No forecast for September: the lines are of another period"
    assert found.runway is not None
    assert not found.runway.is_known


@pytest.mark.parametrize("period", [None, {"start": START, "end": START}, {"start": 0, "end": 0}])
def test_lines_that_do_not_say_their_period_may_be_of_this_one(period: Any) -> None:
    october = {"start": START + 30 * DAY, "end": START + 60 * DAY}
    fee = api_line(description="Plan", amount=0, pretax_credit_amounts=[], period=october)
    line = api_line(amount=GROSS, pretax_credit_amounts=[], period=period)
    invoice = Invoice.from_api(api_result(amount_due=GROSS, invoice_lines=[line, fee]))
    found = forecast_invoice(invoice, steady(), at=NOW)
    plain = forecast_invoice(invoice_of(GROSS, credits=[]), steady(), at=NOW)
    assert (found.method, found.amount_due) == (plain.method, plain.amount_due)


@pytest.mark.parametrize("month", [-31, 30], ids=["in arrears", "in advance"])
def test_a_listed_fee_of_another_period_leaves_an_idle_account_known(month: int) -> None:
    begins = START + min(month, 30) * DAY
    period = {"start": begins, "end": begins + abs(month) * DAY}
    fee = api_line(description="Plan", amount=3_000, pretax_credit_amounts=[], period=period)
    invoice = Invoice.from_api(api_result(amount_due=3_000, invoice_lines=[fee]))
    idle = history_of([0] * 60, [0] * 15)
    assert forecast_invoice(invoice, idle, at=NOW).method == "not-known"
    found = forecast_invoice(invoice, idle, at=NOW, fixed_lines=["Plan"])
    assert (found.method, found.amount_due) == ("straight-line", 3_000)


def test_an_account_that_is_idle_has_credits_for_over_a_year() -> None:
    """If the history that was read has no usage, nothing spends the credits."""
    idle = history_of([0] * 60, [0] * 15)
    found = forecast_invoice(invoice_of(0), idle, balance_of(2_000), at=NOW).runway
    assert found is not None
    assert found.text == "Credits of $20.00 last over a year."


def test_a_line_that_usage_does_not_have_may_be_a_fixed_fee() -> None:
    """The note asks, and no line counts as a fixed fee unless somebody names it."""
    fee = api_line(description="Platform fee", amount=2_000, pretax_credit_amounts=[])
    invoice = invoice_of(GROSS, lines=[fee], amount_due=GROSS + 2_000)
    asked = 'Usage adds up to all lines but "Platform fee" ($20.00): if that is a fixed fee'
    assert any(asked in note for note in forecast_invoice(invoice, steady(), at=NOW).notes)
    named = forecast_invoice(invoice, steady(), at=NOW, fixed_lines=["Platform*"])
    assert not any(asked in note for note in named.notes)
    usual = forecast_invoice(invoice_of(GROSS), steady(), at=NOW)
    assert not any("fixed fee" in note for note in usual.notes)


def test_a_line_is_not_to_be_listed_as_a_fee_by_a_description_that_usage_has_too() -> None:
    """The glob would match both, and what grows with usage would no longer be forecast."""
    again = api_line(amount=2_000, pretax_credit_amounts=[])
    small = api_line(description="anthropic/claude", amount=1_450, pretax_credit_amounts=[])
    gross = GROSS - 1_450
    invoice = invoice_of(gross, lines=[again, small], amount_due=GROSS + 2_000)
    assert not any(
        "fixed fee" in note for note in forecast_invoice(invoice, steady(), at=NOW).notes
    )


def test_a_band_with_one_side_is_said_in_words() -> None:
    """A median that equals its 10th percentile is not in the middle."""
    forecast = forecast_invoice(invoice_of(GROSS), steady(), at=NOW)
    rising = replace(forecast, amount_due_p90=40_000)
    assert rising.text == "Forecast $300 for September, up to $400 and unlikely to be less"
    falling = replace(forecast, amount_due_p10=20_000)
    assert falling.text == "Forecast $300 for September, down to $200 and unlikely to be more"


@pytest.mark.parametrize(
    ("p10", "p90", "text"),
    [
        (29_000, 40_000, "Forecast $300 for September, up to $400 and unlikely to be less"),
        (28_000, 40_000, "Forecast $300 for September ($280 to $400)"),
        (28_000, 30_040, "Forecast $300 for September, down to $280 and unlikely to be more"),
        (28_000, 30_400, "Forecast $300 for September ($280 to $304)"),
        (29_930, 30_060, "Forecast $300 for September ($299 to $301)"),
        (29_960, 30_060, "Forecast $300 for September ($300 to $301)"),
        (29_960, 30_040, "Forecast $300 for September"),
    ],
)
def test_what_rounding_hides_of_a_band_makes_it_no_band_with_one_side(
    p10: int, p90: int, text: str
) -> None:
    """Small amounts are shown in whole dollars, and all of a narrow band may round to one."""
    forecast = forecast_invoice(invoice_of(GROSS), steady(), at=NOW)
    assert replace(forecast, amount_due_p10=p10, amount_due_p90=p90).text == text


@pytest.mark.parametrize("quiet", [0, 0.03])
@pytest.mark.parametrize("after", [1, 2, 5, 9, 14, 23, 37, 50, 69])
@pytest.mark.parametrize("before", [3, 15, 40])
def test_a_quiet_fortnight_does_not_block_for_weeks(quiet: float, after: int, before: int) -> None:
    """The 90th percentile is never more than five times what the period comes to."""
    for day in (3, 9, 20):
        office = [CENTS * (0.1 if number % 7 > 4 else 1 + number % 3 / 4) for number in range(180)]
        start = 91 + day - after - 12
        if start < before - 40:
            continue
        first = max(0, start - before)
        usage = [
            amount * (quiet if start <= number < start + 12 else 1)
            for number, amount in enumerate(office)
        ]
        usage[:first] = [0.0] * first
        at = datetime(2026, 9, day, 12, tzinfo=UTC)
        during = [*usage[91 : 91 + day - 1], usage[91 + day - 1] / 2]
        invoice = invoice_of(round(sum(during)))
        found = forecast_invoice(invoice, history_of(usage[:91], during, at=at), at=at)
        if found.amount_due_p90 is not None:
            assert found.amount_due_p90 <= 5 * sum(usage[91:121])


def test_an_invoice_without_usage_is_a_straight_line() -> None:
    """Spend that the history knows nothing of cannot be spread over days."""
    found = forecast_invoice(invoice_of(GROSS), history_of([0] * 60, [0] * 15), at=NOW)
    assert (found.method, found.amount_due) == ("straight-line", MONTH)


def test_credits_that_hide_all_of_it_do_so_while_they_last() -> None:
    """Nothing is due now, but what the balance does not cover will be."""
    covered = [{"amount": GROSS, "type": "credit_balance_transaction"}]
    invoice = invoice_of(GROSS, credits=covered)
    assert forecast_invoice(invoice, steady(), at=NOW).amount_due == 0
    found = forecast_invoice(invoice, steady(), balance_of(CENTS * 10), at=NOW)
    assert found.amount_due == CENTS * (15.5 - 10)
    assert [day.median for day in found.coming[9:12]] == [0, 500, 1500]
    assert found.runway is not None
    assert found.runway.runs_out == date(2026, 9, 25)
    topped_up = balance_of(CENTS * 10, amount=5000, threshold=1000)
    assert forecast_invoice(invoice, steady(), topped_up, at=NOW).amount_due == 0
    gone = balance_of(-1)
    assert forecast_invoice(invoice, steady(), gone, at=NOW).amount_due == CENTS * 15.5


def test_discounts_go_on_and_tax_stays() -> None:
    """A discount of a tenth also applies to what is to come; tax and adjustments stay as they "
    "are."""
    tenth = [{"amount": GROSS / 10, "type": "discount"}]
    invoice = invoice_of(GROSS, credits=tenth, amount_due=GROSS * 0.9 + 123)
    found = forecast_invoice(invoice, steady(), balance_of(0), at=NOW)
    assert found.amount_due == MONTH * 0.9 + 123


def test_fixed_fees_are_not_carried_on() -> None:
    """A line that a glob matches stays as it is, and a glob that matches none gets a note."""
    fee = api_line(description="Platform fee", amount=2_000, pretax_credit_amounts=[])
    invoice = invoice_of(GROSS, lines=[fee], amount_due=GROSS + 2_000)
    found = forecast_invoice(invoice, steady(), at=NOW, fixed_lines=["Platform*", "Seat*"])
    assert found.amount_due == MONTH + 2_000
    assert sum(day.gross for day in found.spent) == GROSS
    assert found.notes[-2:] == (
        "1 line is a fixed fee, $20.00 before credits, and stays as it is.",
        'No line of the invoice matches "Seat*", one of the fixed lines.',
    )
    straight = forecast_invoice(invoice, at=NOW, fixed_lines=["Platform*"])
    assert straight.amount_due == MONTH + 2_000


AUGUST = {"start": START - 31 * DAY, "end": START}


def rest_of_august(**changes: Any) -> dict[str, Any]:
    return api_line(**{"amount": 9_000, "pretax_credit_amounts": [], "period": AUGUST, **changes})


@pytest.mark.parametrize("description", ["openai/gpt-5.5", "openai/gpt-5"])
def test_the_rest_of_an_earlier_period_does_not_grow(description: str) -> None:
    """It is added once, and neither makes the period's days dearer nor is asked about as a fee."""
    rest = rest_of_august(description=description)
    invoice = invoice_of(GROSS, lines=[rest], amount_due=GROSS + 9_000)
    known = forecast_invoice(invoice_of(GROSS), steady(), balance_of(CENTS * 20), at=NOW)
    found = forecast_invoice(invoice, steady(), balance_of(CENTS * 20), at=NOW)
    assert found.amount_due == MONTH + 9_000
    assert (found.unit, found.spent, found.runway) == ("minor", known.spent, known.runway)
    assert found.notes == (
        *known.notes,
        "1 line is of an earlier period, $90.00 before credits, and stays as it is.",
    )
    straight = forecast_invoice(invoice, at=NOW)
    assert straight.amount_due == invoice.projected_amount_due(NOW) == MONTH + 9_000


def test_several_lines_of_an_earlier_period_are_summed_in_the_note() -> None:
    rests = [rest_of_august(), rest_of_august(description="anthropic/claude")]
    invoice = invoice_of(GROSS, lines=rests, amount_due=GROSS + 18_000)
    assert forecast_invoice(invoice, steady(), at=NOW).notes[-1] == (
        "2 lines are of an earlier period, $180.00 before credits, and stay as they are."
    )


def test_a_glob_that_only_matches_a_line_of_an_earlier_period_is_no_unmatched_one() -> None:
    invoice = invoice_of(
        GROSS, lines=[rest_of_august(description="Seats")], amount_due=GROSS + 9_000
    )
    found = forecast_invoice(invoice, steady(), at=NOW, fixed_lines=["Seats"])
    assert found.amount_due == MONTH + 9_000
    assert found.notes[-1] == "1 line is a fixed fee, $90.00 before credits, and stays as it is."


@pytest.mark.parametrize(
    "other",
    [
        api_line(description="Platform fee", amount=500, pretax_credit_amounts=[]),
        api_line(description="nothing used", amount=0, pretax_credit_amounts=[]),
        api_line(description="a refund", amount=-500, pretax_credit_amounts=[]),
    ],
    ids=["a fee", "nothing", "a refund"],
)
def test_the_rest_of_an_earlier_period_does_not_grow_beside_whatever_else_is_of_this_one(
    other: dict[str, Any],
) -> None:
    """An invoice that does not charge for usage yet has no price of it: not that of last month."""
    due = 9_000 + other["amount"]
    lines = {"invoice_lines": [rest_of_august(), other], "amount_due": due}
    invoice = Invoice.from_api(api_result(**lines))
    fees = ["Platform fee"]
    assert forecast_invoice(invoice, at=NOW, fixed_lines=fees).amount_due == due
    used = forecast_invoice(invoice, steady(), at=NOW, fixed_lines=fees)
    assert (used.method, used.spent) == ("not-known", ())
    grown = max(other["amount"], 0) * 30 / 14.5 - max(other["amount"], 0)
    assert invoice.projected_amount_due(NOW) == round(due + grown)


@pytest.mark.parametrize(
    "other",
    [
        rest_of_august(amount=500, period={"start": END, "end": END + 31 * DAY}),
        rest_of_august(amount=500, period=None),
        rest_of_august(amount=500, period={"start": START, "end": START}),
    ],
    ids=["a later line", "a line without a period", "a placeholder"],
)
def test_lines_of_an_earlier_period_grow_where_nothing_is_of_this_one(
    other: dict[str, Any],
) -> None:
    """An invoice's period may look ahead of that of its lines."""
    lines = {"invoice_lines": [rest_of_august(amount=GROSS - 500), other], "amount_due": GROSS}
    invoice = Invoice.from_api(api_result(**lines))
    assert invoice.projected_amount_due(NOW) == MONTH


def test_a_forecast_lets_lines_of_an_earlier_period_grow_where_nothing_is_of_this_one() -> None:
    later = rest_of_august(amount=500, period={"start": END, "end": END + 31 * DAY})
    lines = {"invoice_lines": [rest_of_august(amount=GROSS - 500), later], "amount_due": GROSS}
    found = forecast_invoice(Invoice.from_api(api_result(**lines)), steady(), at=NOW)
    assert found.amount_due == MONTH
    assert not any("earlier period" in note for note in found.notes)


@pytest.mark.parametrize(
    "period",
    [
        {"start": START - 31 * DAY, "end": START + 1},
        {"start": START - DAY, "end": START - DAY},
        {"start": START, "end": START},
        {"start": 0, "end": 0},
    ],
)
def test_a_line_whose_period_is_not_surely_over_grows(period: dict[str, int]) -> None:
    """One without a length may be a placeholder for a period that is not known."""
    lines = [rest_of_august(period=period)]
    invoice = invoice_of(GROSS, lines=lines, amount_due=GROSS + 9_000)
    found = forecast_invoice(invoice, at=NOW)
    projected = round((GROSS + 9_000) * 30 / 14.5)
    assert found.amount_due == invoice.projected_amount_due(NOW) == projected


def test_negative_usage_is_a_correction() -> None:
    """It lowers the sum of the period, and in the trend the days before it."""
    usage = [*[CENTS] * 13, -CENTS, CENTS / 2]
    found = forecast_invoice(invoice_of(sum(usage)), history_of([CENTS] * 60, usage), at=NOW)
    assert found.method == "daily-usage"
    assert sum(day.gross for day in found.spent) == sum(usage)
    assert found.spent[13].gross == -CENTS
    assert found.amount_due is not None
    assert sum(usage) + 0.8 * 15.5 * CENTS < found.amount_due < sum(usage) + 15.5 * CENTS
    assert any("1 day has negative usage: a correction" in note for note in found.notes)


def test_any_number_of_corrections_is_taken_off() -> None:
    """Each changes four weeks, so that exact fractions would double their digits each time."""
    usage = [-7.1 if day % 3 == 0 else CENTS + day % 7 / 8 for day in range(90)]
    history = history_of(usage[:-15], usage[-15:])
    found = forecast_invoice(invoice_of(round(sum(usage[-15:]))), history, at=NOW)
    assert found.method == "daily-usage"


def test_a_correction_of_all_that_was_used_leaves_nothing() -> None:
    """What rounding leaves of it would be taken for spend."""
    assert priced._corrected([*[0.1] * 28, -2.8, 3.0]) == [*[0.0] * 29, 3.0]


@pytest.mark.parametrize("usage", [-CENTS, CENTS])
def test_a_refund_does_not_go_on(usage: float) -> None:
    """A line below zero is no trend, whatever the usage is."""
    history = history_of([CENTS] * 60, [*[usage] * NOON, 0])
    found = forecast_invoice(invoice_of(-5000), history, at=NOW)
    # Usage that no line charges for may still be charged.
    known = ("not-known", None) if usage > 0 else ("straight-line", -5000)
    assert (found.method, found.amount_due) == known
    assert found.notes[-1] == (
        "1 line is below zero, -$50.00 before credits: a refund, which does not go on."
    )


def test_a_refund_makes_no_day_cheaper() -> None:
    """Usage adds up to the other lines, and what is still to come is not refunded."""
    refund = api_line(description="Goodwill credit", amount=-round(0.8 * GROSS))
    known = forecast_invoice(invoice_of(GROSS), steady(), balance_of(CENTS * 20), at=NOW)
    refunded = forecast_invoice(
        invoice_of(GROSS, lines=[refund], amount_due=GROSS + refund["amount"]),
        steady(),
        balance_of(CENTS * 20),
        at=NOW,
    )
    assert (refunded.unit, refunded.spent, refunded.runway) == ("minor", known.spent, known.runway)
    assert known.amount_due is not None
    assert refunded.amount_due == known.amount_due + refund["amount"]
    assert refunded.notes[-1].startswith("1 line is below zero, ")


def test_usage_that_is_negative_in_sum_prices_nothing() -> None:
    """Corrections larger than all usage leave the straight line."""
    history = history_of([CENTS] * 60, [*[-CENTS] * NOON, 0])
    found = forecast_invoice(invoice_of(GROSS), history, at=NOW)
    assert (found.method, found.amount_due) == ("straight-line", MONTH)
    assert "period's usage adds up to less than zero" in found.notes[0]


def test_incomplete_lines_have_no_forecast() -> None:
    """What a part of the lines adds up to is not what is spent."""
    invoice = Invoice.from_api(api_result(), Answered(complete=False))
    with pytest.raises(IncompleteLinesError, match="only a part of the invoice's lines"):
        forecast_invoice(invoice, steady(), at=NOW)


def test_a_time_without_a_zone_is_refused() -> None:
    """A forecast an hour off would be wrong without a word."""
    with pytest.raises(ValueError, match="time zone"):
        forecast_invoice(invoice_of(GROSS), at=NOW.replace(tzinfo=None))


def test_hours_and_days_say_the_same() -> None:
    """A history of hours, with gaps, gives what the same days give."""
    days = [CENTS * (1 + n % 3) for n in range(60 + NOON)]
    hourly: dict[int, float] = {START + NOON * DAY + 8 * HOUR: 100}
    for number, amount in enumerate(days):
        start = START + (number - 60) * DAY
        hourly |= {start + 9 * HOUR: amount / 2, start + 20 * HOUR: amount / 2}
    by_hour = UsageHistory.of_values(
        hourly, window="hour", since=START - 60 * DAY, until=START + 15 * DAY - 12 * HOUR, at=NOW
    )
    invoice = invoice_of(sum(days[60:]) + 100)
    by_day = history_of(days[:60], [*days[60:], 100])
    assert forecast_invoice(invoice, by_hour, at=NOW) == forecast_invoice(invoice, by_day, at=NOW)


def test_a_history_that_begins_within_a_day_leaves_that_day_out() -> None:
    """Half a first day is no low day."""
    hours = range(START - 20 * DAY + 13 * HOUR, START + NOON * DAY + 12 * HOUR, HOUR)
    history = UsageHistory.of_values(
        dict.fromkeys(hours, CENTS / 24),
        window="hour",
        since=hours[0],
        until=hours[-1] + HOUR,
        at=NOW,
    )
    found = forecast_invoice(invoice_of(GROSS), history, at=NOW)
    assert (found.days_of_history, found.amount_due) == (19 + NOON, MONTH)
    assert found.amount_due_p10 == found.amount_due_p90


def test_days_without_usage_are_days() -> None:
    """An account that works every other day is half of one that works on all."""
    days = [CENTS * (n % 2) for n in range(60 + NOON)]
    gross = sum(days[60:])
    found = forecast_invoice(invoice_of(gross), history_of(days[:60], [*days[60:], 0]), at=NOW)
    assert found.amount_due == pytest.approx(gross + 15.5 * CENTS / 2, rel=0.1)


def test_credits_last_until_the_first_day_below_zero() -> None:
    """The median and the early date are given; a balance of exactly a day's spend lasts that "
    "day."""
    found = forecast_invoice(invoice_of(GROSS), steady(), balance_of(CENTS * 2.5), at=NOW).runway
    assert found is not None
    assert (found.runs_out, found.is_topped_up) == (date(2026, 9, 18), False)
    assert found.text == ("Credits of $25.00 last until 2026-09-18.")


def test_credits_can_end_after_the_period() -> None:
    """The runway goes on where the invoice ends."""
    found = forecast_invoice(invoice_of(GROSS), steady(), balance_of(CENTS * 45.6), at=NOW).runway
    assert found is not None
    assert found.runs_out == date(2026, 10, 31)


def test_an_early_date_is_before_the_median() -> None:
    """An account that jumps may run out of credits before its median says so."""
    jumping = [CENTS * (1 + 3 * (n % 5 == 0)) for n in range(60 + NOON)]
    during = [*jumping[60:], 0]
    found = forecast_invoice(
        invoice_of(sum(during)), history_of(jumping[:60], during), balance_of(CENTS * 40), at=NOW
    ).runway
    assert found is not None
    assert found.runs_out is not None
    assert found.runs_out_early is not None
    assert found.runs_out_early < found.runs_out
    assert f"last until {found.runs_out} ({found.runs_out_early} at the earliest)" in found.text


@pytest.mark.parametrize("balance", [0, -123.45])
def test_credits_that_are_gone_are_gone_today(balance: float) -> None:
    """A balance of zero, or below it, runs out on the day of the forecast, even without one."""
    found = forecast_invoice(invoice_of(GROSS), None, balance_of(balance), at=NOW).runway
    assert found is not None
    assert (found.runs_out, found.text) == (date(2026, 9, 15), "No credits are left.")


def test_credits_that_outlast_a_year_are_described_so() -> None:
    """There is no date beyond a year."""
    found = forecast_invoice(invoice_of(GROSS), steady(), balance_of(CENTS * 1000), at=NOW).runway
    assert found is not None
    assert found.runs_out is None
    assert found.text == "Credits of $10,000.00 last over a year."


def test_a_top_up_is_said_with_what_would_be_without_it() -> None:
    """A healthy automatic top-up is named with its threshold."""
    balance = balance_of(2_500, amount=5_000, threshold=1_000)
    found = forecast_invoice(invoice_of(GROSS), steady(), balance, at=NOW).runway
    assert found is not None
    assert (found.is_topped_up, found.topup_amount, found.topup_threshold) == (True, 5000, 1000)
    assert found.text == (
        "Credits are topped up automatically at $10.00; without that, credits of $25.00 last "
        "until 2026-09-18."
    )


@pytest.mark.parametrize("balance", [0, -300])
def test_a_top_up_that_works_does_not_hide_that_no_credits_are_left(balance: float) -> None:
    """AI Gateway refuses inference until the top-up is made."""
    topped = balance_of(balance, amount=5_000, threshold=1_000)
    found = forecast_invoice(invoice_of(GROSS), steady(), topped, at=NOW).runway
    assert found is not None
    assert found.text == "No credits are left, although they are topped up automatically at $10.00."


def test_a_top_up_that_failed_is_said_first() -> None:
    """Whoever looks for a date also learns why no credits will come."""
    balance = balance_of(2_500, amount=5_000, threshold=1_000, error="Your card was declined.")
    found = forecast_invoice(invoice_of(GROSS), steady(), balance, at=NOW).runway
    assert found is not None
    assert not found.is_topped_up
    assert found.text.startswith(
        "The automatic top-up does not work: Your card was declined. Credits of"
    )


def test_discounted_spend_takes_less_of_the_credits() -> None:
    """What a discount takes off is not taken from the balance."""
    half = [{"amount": GROSS / 2, "type": "discount"}]
    invoice = invoice_of(GROSS, credits=half)
    found = forecast_invoice(invoice, steady(), balance_of(CENTS * 2.5), at=NOW).runway
    assert found is not None
    assert found.runs_out == date(2026, 9, 20)


usages = st.lists(
    st.one_of(st.just(0.0), st.floats(0.01, 1e6).map(lambda amount: round(amount, 2))),
    min_size=1,
    max_size=90,
)


def _forecast(usage: Sequence[float], **changes: Any) -> Forecast:
    at = changes.pop("at", NOW)
    before, during = usage[: -NOON - 1], usage[-NOON - 1 :]
    history = history_of(before or [0.0], during, factor=changes.pop("factor", 1))
    gross = changes.pop("gross", round(sum(during)))
    return forecast_invoice(invoice_of(gross), history, changes.pop("balance", None), at=at)


@given(usages, st.integers(0, 10**7))
def test_the_median_lies_in_its_band_above_what_is_known(usage: list[float], gross: int) -> None:
    """Whatever the usage and the invoice are, percentiles are in order and spend does not fall."""
    found = _forecast(usage, gross=gross, balance=balance_of(1000))
    if found.method == "not-known":
        assert gross == 0
        return
    assert found.amount_due is not None
    last = float(gross)
    for day in found.coming:
        assert day.median >= last
        last = day.median
        if day.p10 is not None and day.p90 is not None:
            assert gross <= day.p10 <= day.median <= day.p90
    assert found.amount_due == last
    runway = found.runway
    assert runway is not None
    if runway.runs_out and runway.runs_out_early:
        assert NOW.date() <= runway.runs_out_early <= runway.runs_out


@given(usages, st.sampled_from([2, 10, 360]))
def test_the_scale_of_usage_does_not_matter(usage: list[float], factor: int) -> None:
    """Usage in a unit of its own gives the same figures, however large the unit is."""
    whole = [float(round(amount)) for amount in usage]
    assert _forecast(whole, factor=12_345) == _forecast(whole, factor=12_345 * factor)


@given(usages)
def test_cents_and_dollars_give_the_same_figures(usage: list[float]) -> None:
    """The two units that are recognized differ in their name alone."""
    cents = _forecast([float(round(amount)) for amount in usage])
    dollars = _forecast(
        [round(amount) / 100 for amount in usage], gross=round(sum(map(round, usage[-NOON - 1 :])))
    )
    assert _without_unit(cents) == _without_unit(dollars)


def _without_unit(found: Forecast) -> Mapping[str, Any]:
    return {k: v for k, v in vars(found).items() if k not in ("unit", "notes")}


@given(usages)
def test_the_same_inputs_give_the_same_figures(usage: list[float]) -> None:
    """Nothing is random, and nothing depends on the clock."""
    assert _forecast(usage) == _forecast(usage)


@given(usages, st.integers(1, 10**6))
def test_the_spent_days_are_the_invoice_whatever_the_usage(usage: list[float], gross: int) -> None:
    """Where the usage prices a period by its ratio, its days add up to the cent."""
    found = _forecast(usage, gross=gross, factor=7.0**9)
    if found.unit == "ratio":
        assert sum(day.gross for day in found.spent) == gross


def test_days_that_a_ratio_lacks_are_in_it() -> None:
    """Usage in a unit of its own is not priced too high by days that the history lacks."""
    history = history_of([CENTS] * 60, [*[CENTS] * (NOON - 2), 0, 0, 0], factor=0.0037)
    found = forecast_invoice(invoice_of(GROSS), history, at=NOW)
    assert (found.unit, found.amount_due) == ("ratio", MONTH)


def test_a_ratio_of_a_period_without_a_settled_day_may_be_twice_the_price() -> None:
    """The history falls silent on the period's first day, as soon as a ratio counts."""
    at = datetime(2026, 9, 4, 12, tzinfo=UTC)
    history = history_of([CENTS] * 60, [CENTS / 2, 0, 0, 0], at=at, factor=0.4)
    found = forecast_invoice(invoice_of(CENTS * 3.5), history, at=at)
    assert (found.unit, found.amount_due) == ("ratio", MONTH)
    assert found.amount_due_p10 == round(CENTS * (3.5 + 26.5 / 2))


def test_a_track_record_of_one_day_is_written_in_the_singular() -> None:
    several = TrackRecord(error=0.0719, horizon=14, origins=49, bands=((0.0, 0.1),))
    single = TrackRecord(error=0.125, horizon=1, origins=1, bands=((0.0, 0.1),))
    assert several.text == "off by 7% over 14 days, tried on 49 days"
    assert single.text == "off by 12% over 1 day, tried on 1 day"


def test_the_last_period_tells_what_a_forecast_would_have_said() -> None:
    """On the same day of August it is made from what was known then, and held against August."""
    days = [CENTS] * 92  # June 1st to August 31st
    found = forecast_invoice(
        invoice_of(GROSS), history_of(days, [*[CENTS] * NOON, CENTS / 2]), at=NOW
    )
    last = found.last_period
    assert last is not None
    assert (last.as_of, last.by_usage, last.median) == (date(2026, 8, 15), CENTS * 31, CENTS * 31)
    assert last.text == (
        "On 2026-08-15 the forecast for August would have been $310, which was right; August came "
        "to $310 by its usage"
    )
    assert last.hindsight(32_000) == (
        "On 2026-08-15 the forecast for August would have been $310, but it came to $10 more than "
        "that"
    )
    assert last.hindsight(20_000).endswith(
        " would have been $310, but it came to $110 less than that: treat this month's forecast "
        "with caution"
    )
    assert found.to_figures()["last_period"]["text"] == last.text


def test_what_would_have_been_said_does_not_know_what_came() -> None:
    """A step after the same day of August shows only in what August came to."""
    days = [*[CENTS] * 76, *[3 * CENTS] * 16]
    found = forecast_invoice(
        invoice_of(3 * GROSS), history_of(days, [*[3 * CENTS] * NOON, 1.5 * CENTS]), at=NOW
    ).last_period
    assert found is not None
    assert (found.median, found.p90, found.by_usage) == (CENTS * 31, CENTS * 31, CENTS * 63)


def test_the_last_period_is_priced_after_the_share_of_credits() -> None:
    half = [{"amount": GROSS / 2, "type": "discount"}]
    found = forecast_invoice(invoice_of(GROSS, credits=half), steady(40), at=NOW).last_period
    assert found is not None
    assert (found.by_usage, found.median) == (CENTS * 31 / 2, CENTS * 31 / 2)


def test_a_last_period_that_the_history_has_a_part_of_is_not_shown() -> None:
    found = forecast_invoice(invoice_of(GROSS), steady(30), at=NOW)
    assert found.last_period is None
    assert "last_period" not in found.to_figures()


def test_a_last_period_without_enough_history_before_has_no_forecast() -> None:
    """Its sum is shown, without what a forecast would have said."""
    history = history_of([*[0] * 40, *[CENTS] * 20], [*[CENTS] * NOON, CENTS / 2])
    last = forecast_invoice(invoice_of(GROSS), history, at=NOW).last_period
    assert last is not None
    assert (last.as_of, last.median, last.by_usage) == (None, None, CENTS * 20)
    assert last.text == "August came to $200 by its usage"


def test_a_period_that_is_no_month_follows_one_that_is_as_long() -> None:
    start = START + 3 * DAY
    gross = CENTS * (NOON - 3 + 0.5)
    invoice = invoice_of(gross, period_start=start, period_end=start + 20 * DAY)
    last = forecast_invoice(invoice, steady(), at=NOW).last_period
    assert last is not None
    assert (last.period_start, last.period_end) == (start - 20 * DAY, start)
    assert last.by_usage == CENTS * 20
    assert last.name == "2026-08-15 to 2026-09-03"
