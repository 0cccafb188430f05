"""What a reader learns from a report's first lines: when, how sure that is, and what to do."""

import dataclasses
import html as entities
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from pulumi_cf_invoice.billing.errors import ApiError
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.report import html, json_report, markdown, tables, text
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.report.report import Report, make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.sandbox import SCENARIOS
from tests.factories import ACCOUNT, NOW, START, api_line, api_result, snapshot
from tests.unit.reports import ADVISORY, FIRST, MORNING, OF_ACCOUNT, report_on, taken
from tests.unit.test_rules_on_forecasts import bill, usage

TENTH = FIRST + timedelta(days=9, hours=12)
"""A moment at which an account that is as old as the month has no range yet."""
WATCH = "No action is needed yet: check again "


def limit(amount: str, **more: Any) -> dict[str, Any]:
    return {"max-amount-due": {"limit": amount, **more}}


def only(report: Report) -> InvoiceReport:
    [invoice] = report.invoices
    return invoice


def alone(rules: Mapping[str, Any]) -> Report:
    """Return the report on an invoice of which nothing else was read, as in a preview."""
    found = [dataclasses.replace(Found.of_snapshot(taken("steady")), snapshot=None)]
    results = judge(parse_rules({"rules": rules}), found, NOW, AccountReader({}))
    return make_report(found, at=NOW, rules=results)


def in_every_format(report: Report) -> list[str]:
    rendered = (render(report) for render in (text.render, markdown.render, html.render))
    return [" ".join(entities.unescape(re.sub("<[^>]*>|[*]", "", r)).split()) for r in rendered]


def test_the_day_on_which_a_limit_may_be_passed_at_the_earliest_is_in_every_format() -> None:
    report = report_on(taken("usual"), rules=limit("400 USD"))
    invoice = only(report)
    assert (report.tone, report.is_known, invoice.outlook) == ("advisory", True, None)
    assert invoice.forecast is not None
    first = next(day.date for day in invoice.forecast.coming if (day.p90 or 0) > 400_00)
    assert report.headline.endswith(f" may pass the limit of $400, on {first} at the earliest.")
    assert report.remedies == [f"{WATCH}before {first}."]
    [row] = tables.judged(report, 9)
    assert (row.word, row.tone) == ("within so far", "advisory")
    assert row.sentences[0].endswith(f"on {first} at the earliest")
    for rendered in in_every_format(report):
        for sentence in (report.headline, report.remedies[0], row.sentences[0]):
            assert sentence in rendered
        assert re.search(r"limit is passed if the rest of September costs \d% more", rendered)
    [given] = json.loads(json_report.render(report))["invoices"]
    assert (given["outlook"], given["outlook_p90"]["date"]) == (None, first.isoformat())
    assert given["outlook_p90"]["amount_due"]["amount"] == invoice.forecast.amount_due_p90
    assert given["what_to_do"] == report.remedies


def test_a_median_that_passes_a_limit_has_an_earlier_day_of_its_90th_percentile() -> None:
    [given] = json.loads(json_report.render(report_on(taken("growing"), rules=limit("450 USD"))))[
        "invoices"
    ]
    assert given["outlook_p90"]["date"] < given["outlook"]["date"]
    assert given["outlook_p90"]["rule"] == given["outlook"]["rule"] == "max-amount-due"


def test_a_90th_percentile_over_a_limit_is_no_median_over_it() -> None:
    """One number is not the forecast in the headline, and another one below it."""
    rule = {"limit": "400 USD", "percentile": 90, **OF_ACCOUNT}
    report = report_on(taken("usual"), rules={"max-forecast": rule})
    forecast = only(report).forecast
    assert forecast is not None
    most = str(forecast.amount_due_p90_text)
    passed = f"{most} for September, over the limit of $400.00 by "
    assert report.headline.startswith(f"Over budget: the forecast is up to {passed}")
    assert ", perhaps over the limit of $400 (max-forecast)." in str(only(report).forecast_text)
    [row] = tables.judged(report, 9)
    assert row.sentences[0].startswith(f"{most}, over the limit of $400.00 by ")
    assert row.sentences[0].endswith(" (the 90th percentile)")


def test_the_earliest_day_counts_by_the_limit_as_of_that_day() -> None:
    waiver = {"until": "2026-09-28", "by": "the CFO", "reason": "launch week", "limit": "900 USD"}
    report = report_on(taken("usual"), rules=limit("400 USD", waiver=waiver))
    upper = only(report).upper_outlook
    assert upper is not None
    assert (upper.limit.text, f"{upper.date}") == ("$400.00", "2026-09-30")
    assert "if the rest of September" not in str(only(report).forecast_text)
    until_later = limit("400 USD", waiver={**waiver, "until": "2026-10-02"})
    assert only(report_on(taken("usual"), rules=until_later)).upper_outlook is None


def test_an_advisory_limit_may_be_passed_where_no_limit_is_mandatory() -> None:
    near = {"near": {"rule": "max-amount-due", "limit": "400 USD", **ADVISORY}}
    assert only(report_on(taken("usual"), rules=near)).upper_outlook is not None
    both = report_on(taken("usual"), rules={**near, **limit("900 USD")})
    assert (only(both).upper_outlook, both.tone) == (None, "within")


def test_each_limit_that_the_forecast_passes_is_only_kept_so_far() -> None:
    amounts = ("400", "600", "900")
    rules = {name: {"rule": "max-amount-due", "limit": f"{name} USD"} for name in amounts}
    near = {"near": {"rule": "max-amount-due", "limit": "300 USD", **ADVISORY}}
    rows = tables.judged(report_on(taken("growing"), rules={**rules, **near}), 9)
    assert {row.name: (row.word, row.tone) for row in rows} == {
        "400": ("within so far", "advisory"),
        # The 90th percentile passes it.
        "600": ("within so far", "advisory"),
        "900": ("within", "within"),
        "near (advisory)": ("within so far", "advisory"),
    }


def test_what_has_no_range_and_leaves_little_is_amber_and_says_why_and_how_little() -> None:
    new = taken("new", TENTH)
    report = report_on(new, rules=limit("450 USD"))
    assert (report.verdict, report.tone) == ("within", "advisory")
    assert report.headline.endswith(" leaves $10.69 of the limit of $450.00, with no range yet.")
    assert report.remedies == [
        "Check again from 2026-09-15 on, when there is enough history for a range."
    ]
    for rendered in in_every_format(report):
        assert "with no range yet after 9 days of history (a range needs 14)" in rendered
        assert "The limit is passed if the rest of September costs 4% more than forecast." in (
            rendered
        )
    assert "August had no usage." in only(report).summary
    roomy = report_on(new, rules=limit("900 USD"))
    assert (roomy.tone, roomy.remedies) == ("within", [])
    assert all("(a range needs 14)" in rendered for rendered in in_every_format(roomy))


def test_a_usage_history_that_could_not_be_read_is_not_too_short() -> None:
    refused = ApiError("usage history", ACCOUNT, 503, None, "Unavailable", "Try again later.")
    report = report_on(snapshot(usage_history=refused), rules=limit("250 USD"))
    [remedy] = report.remedies
    assert "its usage history could not be read" in remedy
    for rendered in in_every_format(report):
        assert "Not available: " in rendered


def test_no_usage_in_the_period_has_no_price_to_wait_for() -> None:
    """Such as beside a fee that uses up the limit."""
    known = snapshot(invoice_preview=bill(5000), usage_history=usage([1000.0] * 40 + [0] * 20))
    [remedy] = report_on(known, rules=limit("51 USD")).remedies
    # There may be some that the history does not have yet.
    expected = "Check again in a day: the usage history has no usage in this period yet, "
    assert remedy.startswith(expected)


def test_usage_without_a_price_is_not_too_short_either() -> None:
    at = FIRST + timedelta(hours=36)
    history = usage([1000.0] * 80 + [500], at)
    known = snapshot(read_at=at, invoice_preview=bill(5000), usage_history=history)
    report = report_on(known, rules=limit("900 USD"))
    assert report.headline.endswith(" passes the limit of $900, without a range.")
    assert report.remedies == [
        "Check again in a day: usage has no price yet, without which there is no range."
    ]


def test_a_period_that_is_longer_than_the_history_gets_no_range_in_a_day() -> None:
    since = START - 200 * 86_400
    known = snapshot(
        invoice_preview=bill(5000, period_start=since), usage_history=usage([1000.0] * 100)
    )
    report = report_on(known, rules=limit("51 USD"))
    [remedy] = report.remedies
    assert remedy.startswith("Check again every few days: the usage history does not reach back ")


def test_a_straight_line_that_leaves_little_says_what_a_forecast_takes() -> None:
    report = alone(limit("435 USD"))
    assert (report.verdict, report.tone) == ("within", "advisory")
    assert report.headline.endswith(
        "; a straight line to $427.28 leaves $7.72 of the limit of $435.00, without a range."
    )
    for rendered in in_every_format(report):
        assert "Without the usage history there is neither a forecast nor a range." in rendered
        assert "costs 4% more a day than so far." in rendered
        assert "give the report a snapshot (cf-invoice snapshot) too." in rendered
    beyond = alone(limit("400 USD"))
    assert beyond.tone == "advisory"
    assert " a straight line to $427 passes the limit of $400, without a range." in beyond.headline
    assert (alone(limit("600 USD")).tone, alone(limit("600 USD")).remedies) == ("within", [])
    assert "range" not in str(only(alone(limit("100 USD"))).forecast_text)


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("history-two-days-behind", "Usage since 2026-09-13 is not complete yet: the figures may"),
        (
            "growing",
            "at the low end of its range: similar ones were sometimes much too low, but",
        ),
        ("usual", None),
    ],
)
def test_a_range_that_is_odd_is_explained(scenario: str, expected: str | None) -> None:
    report = report_on(taken(scenario), rules=limit("900 USD"))
    if expected is None:
        assert not only(report).forecast_note
    for rendered in in_every_format(report):
        assert expected is None or expected in rendered


def test_a_range_to_one_side_for_another_reason_is_not_laid_to_past_days() -> None:
    made = only(report_on(taken("growing"))).forecast
    assert made is not None
    assert made.track_record is not None
    even = dataclasses.replace(made.track_record, bands=((-0.2, 0.1),))
    assert dataclasses.replace(made, track_record=even).range_note == (
        "The forecast is at the low end of its range, which is wider because usage and invoice do "
        "not agree."
    )


def test_old_figures_say_what_they_were_and_that_a_snapshot_has_to_be_taken() -> None:
    at = NOW + timedelta(days=2, hours=3)
    report = report_on(taken("usual"), rules=limit("450 USD"), at=at)
    assert report.headline == (
        "Figures of 2026-09-15, 2 days old: within budget then, with $188.46 in September (day 15 "
        "of 30), limit $450.00."
    )
    again = (
        "Take a new snapshot (cf-invoice snapshot): these figures date from 2026-09-15 12:00 UTC."
    )
    assert report.remedies == [again]
    assert [(row.word, row.tone) for row in tables.judged(report, 9)] == [
        ("within so far", "advisory")
    ]
    coming = report_on(taken("growing"), rules=limit("450 USD"), at=at)
    outlook = only(coming).outlook
    assert outlook is not None
    assert coming.headline.endswith(f"; {outlook.text}.")
    assert coming.remedies[0] == again
    late = report_on(taken("growing"), rules=limit("450 USD"), at=NOW + timedelta(days=7))
    # The first was due on a day before the report's.
    when = [remedy.partition(":")[0] for remedy in late.remedies[1:]]
    assert when == ["Today", "Before 2026-09-24"]
    over = report_on(taken("launch"), rules=limit("450 USD"), at=at)
    assert over.remedies[-1] == again
    assert len(over.remedies) == 2


def test_a_day_that_cost_much_more_than_usual_is_said_in_words_without_any_rule() -> None:
    report = report_on(taken("night-loop"), rules=limit("900 USD"))
    assert (report.verdict, report.tone) == ("within", "advisory")
    [row] = tables.judged(report, 9)
    assert (row.word, row.tone) == ("within so far", "advisory")
    assert row.sentences[0].endswith("; after a day of unusual spend")
    sentence = only(report).unusual_spend_text
    assert re.fullmatch(
        r"\$\d+\.\d\d on 2026-09-15 \(today so far\) is \d+ times a usual day\.",
        str(sentence),
    )
    assert all(str(sentence)[:-1] in rendered for rendered in in_every_format(report))
    assert json.loads(json_report.render(report))["invoices"][0]["unusual_spend_text"] == sentence
    assert report.headline.startswith(
        f"Within budget, but {str(sentence)[:-1]}: $443.17 so far in "
    )
    assert sentence not in only(report).summary
    find_out = "Find out what is spending so much, unless it was intended."
    assert report.remedies == [find_out]
    assert report_on(taken("night-loop"), rules=limit("400 USD")).remedies[-1] == find_out
    several = only(report_on(taken("three-nights-loop"))).unusual_spend_text
    assert str(several).startswith(
        "3 days since 2026-09-13 cost over 3 times a usual day; the highest is $"
    )
    for scenario in ("usual", "steady", "growing", "new", "no-usage", "included-usage"):
        assert only(report_on(taken(scenario))).unusual_spend_text is None, scenario


def used_at_times(highest: float) -> InvoiceReport:
    """Return the report on an account that used $3.00 on each of four days, and then *highest*."""
    at_times = [300.0 if number % 24 == 0 else 0.0 for number in range(98)]
    bill = api_result(
        amount_due=highest + 300,
        invoice_lines=[api_line(amount=highest + 300, pretax_credit_amounts=[])],
    )
    history = usage([*at_times, highest, 0])
    made = snapshot(invoice_preview=bill, usage_history=history)
    return only(report_on(made, rules=limit("9000 USD")))


def test_on_an_account_that_is_used_at_times_a_day_is_compared_with_the_costliest() -> None:
    loop = used_at_times(50_000)
    sentence = "$500.00 on 2026-09-14 is 167 times the costliest day before"
    assert loop.unusual_spend_text == f"{sentence}."
    assert loop.headline.startswith(f"Within budget, but {sentence}: $503.00 so far in September ")
    assert used_at_times(900).unusual_spend_text is None
    assert used_at_times(300).unusual_spend_text is None


def test_an_unusual_day_that_credits_cover_is_said_with_what_it_cost_before_them() -> None:
    gross = 13 * 1000 + 25_000 + 2000
    credit = {"amount": gross, "type": "credit_balance_transaction"}
    line = api_line(amount=gross, pretax_credit_amounts=[credit])
    covered = snapshot(
        invoice_preview=api_result(amount_due=0, invoice_lines=[line]),
        usage_history=usage([*[1000.0] * 80, 25_000, 2000]),
    )
    report = report_on(covered, rules=limit("50 USD"))
    assert report.headline.startswith(
        "Within budget, but $250.00 before credits on 2026-09-14 is 25 times a usual day: $0.00 "
    )


def test_an_unusual_day_can_be_any_number_of_usual_days() -> None:
    tiny = snapshot(
        invoice_preview=api_result(amount_due=25_000, invoice_lines=[api_line(amount=25_000)]),
        usage_history=usage([*[5e-324] * 80, 25_000, 5e-324]),
    )
    sentence = only(report_on(tiny)).unusual_spend_text
    assert str(sentence).endswith(" on 2026-09-14 is 1,000,000,000 times a usual day.")


def test_what_a_rule_finds_of_a_day_is_said_where_something_worse_is_in_the_headline() -> None:
    daily = {"max-daily-spend": {**OF_ACCOUNT, "limit": "3x", **ADVISORY}}
    loop = taken("night-loop", MORNING)
    worse = only(report_on(loop, rules={**limit("100 USD"), **daily}))
    assert re.match(r"A day's spend: \$111\.71, over the limit of ", str(worse.unusual_spend_text))
    named = only(report_on(loop, rules={**limit("900 USD"), **daily}))
    assert " the daily spend of 2026-09-16 is $111.71" in named.headline
    assert named.unusual_spend_text is None
    # A rule that finds nothing wrong is asked, and no other multiple.
    allowed = {"max-daily-spend": {**OF_ACCOUNT, "limit": "500 USD"}}
    assert only(report_on(loop, rules=allowed)).unusual_spend_text is None


WAIVER = {"until": "2026-12-31", "by": "the CFO", "reason": "a move"}


def at_the_end(moment: datetime) -> Any:
    """Return a snapshot that was taken after its invoice's period had ended."""
    return dataclasses.replace(
        taken("steady", FIRST + timedelta(days=29, hours=23)), read_at=moment
    )


@pytest.mark.parametrize(("days", "known_by"), [(29, "forecast"), (30, "its upcoming invoice")])
def test_a_period_that_has_ended_is_no_forecast_among_the_months(days: int, known_by: str) -> None:
    months = tables.months(only(report_on(at_the_end(FIRST + timedelta(days=days, minutes=20)))))
    assert months is not None
    assert months.rows[-1][-1] == known_by


def test_a_period_that_has_ended_leaves_a_rule_on_the_forecast_unknown_and_says_until_when() -> (
    None
):
    ended = at_the_end(FIRST + timedelta(days=30, minutes=20))
    report = report_on(ended, rules={"max-forecast": {"limit": "450 USD", **OF_ACCOUNT}})
    assert (report.verdict, report.is_known) == ("unknown", False)
    assert ": no rule was judged, as the period has ended; $427.64 for September" in report.headline
    assert report.remedies == [
        "Check again when the next period's invoice appears, or add the rule max-amount-due, which "
        "also judges a period that has ended."
    ]
    assert report_on(ended, rules=limit("450 USD")).verdict == "within"


@pytest.mark.parametrize(
    "rules",
    [
        {
            "max-forecast": {"limit": "450 USD", "fixedLines": ["no such line"], **OF_ACCOUNT},
            "max-projected-amount-due": {
                "limit": "450 USD",
                "waiver": {**WAIVER, "limit": "900 USD"},
            },
            "min-runway": {"days": "period", **OF_ACCOUNT},
        },
        {
            "max-forecast": {"limit": "450 USD", **OF_ACCOUNT},
            "max-amount-due": {"limit": "1 USD", "enforcementLevel": "disabled"},
            "allowed-statuses": {"statuses": ["open"], "waiver": WAIVER},
        },
    ],
    ids=["every rule says so", "of those that are to judge"],
)
def test_rules_that_have_one_reason_are_not_judged_for_that_reason(rules: dict[str, Any]) -> None:
    ended = at_the_end(FIRST + timedelta(days=30, minutes=20))
    assert report_on(ended, rules=rules).headline.startswith(
        "Unknown: no rule was judged, as the period has ended; "
    )


@pytest.mark.parametrize("days", [20, 30], ids=["in the period", "after its end"])
@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"require-gateway-spend-limit": {"limit": "9 USD"}}, "it is judged at deployments only"),
        (
            {"max-increase": {"limit": "20%"}},
            "the upcoming invoice has nothing to compare with: it was read outside of a stack",
        ),
        (
            {"max-line-amount": {"limits": {"none/*": "9 USD"}}},
            "no line of the upcoming invoice matches none/*",
        ),
    ],
    ids=["at deployments only", "without an earlier update", "without a match"],
)
def test_why_no_rule_was_judged_is_the_rule_s_own_reason_whenever_it_is(
    rules: dict[str, Any], why: str, days: int
) -> None:
    report = report_on(at_the_end(FIRST + timedelta(days=days, minutes=20)), rules=rules)
    assert report.headline.startswith(f"Unknown: no rule was judged, as {why}; ")


def test_why_no_rule_was_judged_is_in_the_headline() -> None:
    daily = {"max-daily-spend": {**OF_ACCOUNT, "limit": "3x"}}
    report = report_on(taken("new", TENTH), rules=daily)
    assert (report.verdict, report.is_known) == ("unknown", False)
    assert ": no rule was judged, as the usage history has only 8 whole days " in report.headline
    assert ": it is judged from 2026-09-16 on; " in report.headline
    assert report.remedies == [
        "Check again later, or add a rule that can be judged now: max-amount-due."
    ]


def test_usage_without_a_price_is_to_be_looked_at_again() -> None:
    runway = {"min-runway": {"days": 7, **OF_ACCOUNT}}
    report = report_on(taken("included-usage"), rules=runway)
    assert report.verdict == "unknown"
    assert report.remedies == [
        "Check again in a day: the invoice may be behind, or the usage may be included in it."
    ]


def test_where_figures_replace_the_forecasts_sentence_no_day_is_said_to_be_expected() -> None:
    never = "The limit is not expected to be passed in September."
    assert never in html.render(report_on(taken("usual"), rules=limit("450 USD")))
    for scenario, most in (("usual", "400 USD"), ("growing", "450 USD"), ("launch", "450 USD")):
        assert never not in html.render(report_on(taken(scenario), rules=limit(most)))
    assert never not in html.render(report_on(taken("usual")))
    assert never not in html.render(alone(limit("900 USD")))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_in_every_format(scenario: str) -> None:
    """Whatever the API gave only a part of."""
    known = taken(scenario)
    if known.problem(INVOICE_PREVIEW) is None:
        rules = {**limit("250 USD"), "max-forecast": {"limit": "250 USD", "accountIds": [ACCOUNT]}}
        for report in (report_on(known), report_on(known, rules=rules)):
            assert all(in_every_format(report))
            assert json.loads(json_report.render(report))["invoices"]
