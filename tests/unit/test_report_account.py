"""What a report shows about an account besides its invoice."""

import dataclasses
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from pulumi_cf_invoice import Invoice
from pulumi_cf_invoice.billing.errors import ApiError, BillingError
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW, READS, Read
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.report import charts, html, json_report, markdown, spend_chart, tables, text
from pulumi_cf_invoice.report.found import Found, MissingInvoice, one_of_each_account
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.judging import RuleResult, judge
from pulumi_cf_invoice.report.report import Report, make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.state import InvoiceState
from tests.factories import ACCOUNT, END, NOW, START, Result, api_line, api_result, snapshot
from tests.golden import Golden
from tests.unit.reports import plain, report_on, taken

FORMATS = {
    "txt": text.render,
    "md": markdown.render,
    "html": html.render,
    "json": json_report.render,
}
DAY = 86_400_000
SEPTEMBER = 1_788_220_800_000
CREDITS = {
    "balance": 640.19,
    "has_default_payment_method": True,
    "payment_method": {"brand": "visa", "last4": "4242"},
    "topup_config": {
        "amount": 1000,
        "threshold": 500,
        "error": "Your card was declined | *really*.",
        "disabledReason": None,
        "lastFailedAt": SEPTEMBER // 1000,
    },
}
USAGE = {
    "history": [
        {
            "id": f"u{day}",
            "start_time": SEPTEMBER + day * DAY,
            "end_time": SEPTEMBER + (day + 1) * DAY,
            "aggregated_value": 100 + 7 * day if day % 6 else 0,
        }
        for day in range(15)
    ]
}
QUERY = {
    "value_grouping_window": "day",
    "start_time": str(SEPTEMBER),
    "end_time": str(SEPTEMBER + 15 * DAY),
}


def past(amount: float, status: str | None = "paid", **more: Any) -> dict[str, Any]:
    paid = amount if status == "paid" else 0
    return {
        "id": f"in_{amount}",
        "amount_due": amount,
        "amount_paid": paid,
        "amount_remaining": amount - paid,
        "currency": "usd",
        "status": status,
        "created": 1_785_542_400,
        **more,
    }


HISTORY = {"invoices": [past(1200, "open"), past(18100), past(300, None, created=None)]}


def given(result: Any, query: dict[str, str] | None = None, complete: bool = True) -> Result:
    return Result(result, Answered(complete, query or {}, NOW))


def reported(**answers: Result | BillingError) -> Report:
    return make_report([found(**answers)], at=NOW + timedelta(hours=1))


def found(**answers: Result | BillingError) -> Found:
    every: dict[str, Any] = {
        "credit_balance": given(CREDITS),
        "usage_history": given(USAGE, QUERY),
        "invoice_history": given(HISTORY, {"type": "all"}),
        "gateways": given([{"id": "default", "is_default": True}]),
        **answers,
    }
    return Found.of_snapshot(snapshot(**every))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_says_what_its_golden_file_says(suffix: str, golden: Golden) -> None:
    rendered = FORMATS[suffix](reported())
    golden(f"account.{suffix}", rendered)


@pytest.mark.parametrize("suffix", ["txt", "md", "html"])
def test_credits_top_up_and_unpaid_invoices_are_reported(suffix: str) -> None:
    shown = plain(FORMATS[suffix](reported()))
    assert re.search(r"Credit balance\W+\$6\.40", shown)
    assert (
        "adds $10.00 ($10.50 charged) when the balance falls below $5.00; the last one failed"
        in shown
    )
    assert "Your card was declined" in shown
    assert re.search(r"Unpaid earlier invoices\W+1, \$12\.00 in total", shown)
    assert "4242" not in shown


def test_words_of_the_api_are_no_markdown() -> None:
    assert "*really*" not in markdown.render(reported())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"balance": 0}, "$0.00: AI Gateway refuses inference"),
        ({"balance": -310.5}, "-$3.10: AI Gateway refuses inference"),
        ({"topup_config": {}}, "none"),
        ({"topup_config": None}, "not known"),
        ({"topup_config": {"amount": 0, "threshold": 0}}, "none"),
        ({"topup_config": {"amount": 5, "threshold": 5, "disabledReason": "x"}}, "disabled"),
        (
            {"topup_config": {"amount": 1000, "threshold": 500}},
            "adds $10.00 ($10.50 charged) when the balance falls below $5.00",
        ),
    ],
)
def test_credits_are_reported_in_words(changes: dict[str, Any], expected: str) -> None:
    [shown] = reported(credit_balance=given({**CREDITS, **changes})).invoices
    assert expected in dict(shown.figures).values()


def test_unpaid_invoices_are_summed_by_currency_and_reported_to_be_a_part() -> None:
    rows = [past(1200, "open"), past(500, "uncollectible"), past(1900, "open", currency="jpy")]
    [shown] = reported(invoice_history=given({"invoices": rows}, complete=False)).invoices
    assert dict(shown.figures)["Unpaid earlier invoices"] == (
        "3, ¥1,900 and $17.00 in total (the API gave only a part of them)"
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_read_that_was_refused_takes_nothing_from_the_rest(suffix: str) -> None:
    refused = ApiError("credit balance", ACCOUNT, 403, 10000, "Authentication error", "Ask.", "r")
    shown = plain(FORMATS[suffix](reported(credit_balance=refused)))
    assert "Not available: cannot read the credit balance of account" in shown
    assert "$188.46" in shown
    assert "2026-08-01" in shown


@pytest.mark.parametrize("read", [read for read in READS if read is not INVOICE_PREVIEW])
def test_every_read_that_was_refused_is_reported(read: Read[Any]) -> None:
    refused = ApiError(read.noun, ACCOUNT, 403, 10000, "Authentication error", "Ask.", "r")
    [shown] = reported(**{read.name.replace("-", "_"): refused}).invoices
    assert shown.account is not None
    assert [note.partition(":")[0] for note in shown.account.not_available] == ["Not available"]
    assert f"cannot read the {read.noun} of account" in shown.account.not_available[0]


@pytest.mark.parametrize(
    "history",
    [{"history": []}, {"history": [{**USAGE["history"][1], "aggregated_value": -5}]}],
    ids=["none", "negative"],
)
def test_no_usage_draws_no_chart(history: dict[str, Any]) -> None:
    assert "Usage by day" not in html.render(reported(usage_history=given(history, QUERY)))


def test_the_json_has_all_that_was_read() -> None:
    for made in (reported(), reported(usage_history=BillingError("no"), invoice_history=given({}))):
        jsonschema.validate(json.loads(json_report.render(made)), json.loads(json_report.schema()))
    account = json.loads(json_report.render(reported()))["invoices"][0]["account"]
    assert account["read_at"] == "2026-09-15T12:00:00Z"
    assert account["credit_balance"]["amount"] == 640.19
    assert account["topup"]["is_healthy"] is False
    assert len(account["usage"]) == 15
    assert account["usage"][-1]["is_partial"] is True
    assert [earlier["amount_due"]["amount"] for earlier in account["earlier_invoices"]] == [
        1200,
        18100,
        300,
    ]


# Forecasts.

WEEK = [1500, 1400, 1600, 1500, 1300, 500, 400]


def forecasting(days: int = 60, rules: dict[str, Any] | None = None) -> Report:
    """Return a report on an account with so many days of usage in cents, half of September."""
    first = SEPTEMBER // 1000 + 15 * 86_400 - days * 86_400
    # No week is quite like another, so that a forecast has a band.
    values = [WEEK[(first // 86_400 + day) % 7] + 40 * (day * day % 11 - 1) for day in range(days)]
    history = {
        "history": [
            {
                "id": f"u{day}",
                "start_time": (first + day * 86_400) * 1000,
                "end_time": (first + (day + 1) * 86_400) * 1000,
                "aggregated_value": value,
            }
            for day, value in enumerate(values)
        ]
    }
    query = {**QUERY, "start_time": str(first * 1000)}
    gross = sum(values[-15:])
    line = {**api_line(), "amount": gross, "pretax_credit_amounts": []}
    invoice = api_result(amount_due=gross, invoice_lines=[line])
    made = found(
        invoice_preview=given(invoice),
        usage_history=given(history, query),
        credit_balance=given({"balance": 10_000, "topup_config": {}}),
    )
    declared = parse_rules({"rules": rules}) if rules else []
    results = judge(declared, [made], NOW, AccountReader({}))
    return make_report([made], at=NOW, rules=results)


def test_one_line_says_forecast_and_limit_and_another_how_long_credits_last() -> None:
    rules = {
        "max-amount-due": {"limit": "300 USD"},
        "near": {"rule": "max-amount-due", "limit": "200 USD", "enforcementLevel": "advisory"},
    }
    outlook = forecasting(rules=rules).invoices[0].forecast_text
    assert outlook is not None
    assert re.fullmatch(
        r"Forecast \$\d{3} for September \(\$\d{3} to \$\d{3}\), over the limit of \$300 "
        r"\(max-amount-due\)\.",
        outlook,
    )
    within = forecasting(rules={"max-amount-due": {"limit": "900 USD"}}).invoices[0].forecast_text
    assert ", within the limit of $900 (max-amount-due)." in str(within)
    forecast = forecasting().invoices[0].forecast
    assert forecast is not None
    assert forecast.amount_due is not None
    between = f"{(forecast.amount_due + 1) / 100:.2f} USD"
    perhaps = forecasting(rules={"max-amount-due": {"limit": between}}).invoices[0].forecast_text
    assert ", perhaps over the limit of $" in str(perhaps)
    for suffix in ("txt", "md", "html"):
        rendered = plain(FORMATS[suffix](forecasting(rules=rules)))
        assert (outlook in rendered) is (suffix != "html")
        assert re.search(r"Credits of \$100\.00 last until 2026-09-\d\d", rendered)


def test_a_forecast_does_not_hide_what_a_preview_beside_its_snapshot_has() -> None:
    rules = {"max-amount-due": {"limit": "900 USD"}}
    [known] = forecasting().invoices
    declared = parse_rules({"rules": rules})
    month = {"period_start": known.invoice.period_end, "period_end": 1_793_491_200}
    for changes, expected in (
        ({"amount_due": 90_001}, ", over the limit of $900 (max-amount-due)."),
        ({"amount_due": 5, "invoice_lines": [], **month}, None),
    ):
        preview = Found(InvoiceState(ACCOUNT, Invoice.from_api(api_result(**changes))))
        read = known.account.snapshot if known.account else None
        merged = one_of_each_account([preview, Found(known.state, snapshot=read)])
        results = judge(declared, merged, NOW, AccountReader({}))
        [report] = make_report(merged, at=NOW, rules=results).invoices
        text_of = report.forecast_text
        assert text_of is None if expected is None else expected in str(text_of)
        assert tables.forecast(report) is None


NEXT_MONTH = {"period_start": END, "period_end": END + 31 * 86_400}


def judged_beside(
    read: Snapshot, changes: dict[str, Any], minutes: int, limit: str = "900 USD"
) -> tuple[list[RuleResult], InvoiceReport]:
    """Return what rules on the forecast find in a snapshot beside another state of its invoice."""
    other = dataclasses.replace(read.get(INVOICE_PREVIEW), **changes)
    at = read.read_at + timedelta(minutes=minutes)
    found = [Found.of_snapshot(read), Found(InvoiceState(ACCOUNT, other, read_at=at))]
    of_forecast: dict[str, dict[str, Any]] = {
        "max-forecast": {"limit": limit},
        "careful": {"rule": "max-forecast", "limit": limit, "percentile": 90},
        "min-runway": {"days": 1},
    }
    rules = {name: {"accountIds": [ACCOUNT], **given} for name, given in of_forecast.items()}
    merged, reader = one_of_each_account(found), AccountReader({}, snapshots=[read])
    later = read.read_at + timedelta(days=1)
    results = judge(parse_rules({"rules": rules}), merged, later, reader)
    [report] = make_report(merged, at=later, rules=results).invoices
    return results, report


@pytest.mark.parametrize(
    ("changes", "minutes", "verdicts"),
    [
        ({"amount_due": 20_200}, 1, ["unknown", "unknown", "unknown"]),
        ({"amount_due": 20_200}, -1, ["unknown", "unknown", "unknown"]),
        ({"amount_due": 25_000}, 24 * 60, ["unknown", "unknown", "unknown"]),
        ({"amount_due": 99_900}, 1, ["over", "over", "unknown"]),
        ({"amount_due": 5, **NEXT_MONTH}, 600, ["unknown", "unknown", "unknown"]),
    ],
)
def test_a_forecast_of_an_older_invoice_than_the_latest_passes_no_rule(
    changes: dict[str, Any], minutes: int, verdicts: list[str]
) -> None:
    """A forecast of $393 passed, beside $999.00 that were due by then."""
    results, report = judged_beside(taken("usual"), changes, minutes)
    assert report.forecast is None
    assert [result.verdict for result in results] == verdicts
    for result in results:
        [violation] = result.violations
        assert violation.account_id == ACCOUNT
        assert not any(finding.status == "within" for finding in result.findings)
        if violation.status == "unknown":
            assert "is not known: the forecast was made of an older" in violation.message
            assert violation.message.endswith("): read the account again.")


@pytest.mark.parametrize(
    ("changes", "minutes"),
    [
        ({"amount_due": 20_100}, -1),
        ({"amount_due": 20_100}, 1),
        ({"amount_due": 21_400}, 24 * 60),
        ({"amount_due": 18_847}, -1),
        ({"status": "open"}, 600),
        ({"amount_due": 18_845}, 600),
    ],
)
def test_a_forecast_of_the_latest_or_highest_invoice_is_judged(
    changes: dict[str, Any], minutes: int
) -> None:
    results, _ = judged_beside(taken("usual"), changes, minutes)
    assert [result.verdict for result in results] == ["within"] * 3


@pytest.mark.parametrize("minutes", [30, 8 * 60])
def test_a_forecast_of_less_than_is_due_by_now_passes_no_rule(minutes: int) -> None:
    """Even if no more has been added than on a day before."""
    last_day = datetime.fromtimestamp(END, tz=UTC) - timedelta(hours=12)
    read = taken("steady", last_day)
    [foreseen] = make_report([Found.of_snapshot(read)], at=last_day).invoices
    assert foreseen.forecast is not None
    median, most = foreseen.forecast.percentile(50), foreseen.forecast.percentile(90)
    assert median is not None
    assert most is not None
    for due, limit, verdicts in (
        (median, "430 USD", ["within", "within"]),
        (median + 1, "430 USD", ["unknown", "within"]),
        (most + 1, "430 USD", ["unknown", "unknown"]),
        # What has been added is far from the limit.
        (most + 1, "900 USD", ["within", "within"]),
    ):
        results, report = judged_beside(read, {"amount_due": due}, minutes, limit)
        assert [result.verdict for result in results[:2]] == verdicts
        assert (report.forecast is None) == (due > median or minutes > 60)


def test_what_is_judged_without_a_forecast_does_not_need_the_latest_invoice() -> None:
    fourth = datetime.fromtimestamp(START, tz=UTC) + timedelta(days=3, hours=12)
    new = taken("new", fourth)
    due = new.get(INVOICE_PREVIEW).amount_due
    of_forecast, careful, of_runway = judged_beside(new, {"amount_due": due * 2}, 1)[0]
    assert [careful.verdict, of_forecast.verdict] == ["within", "unknown"]
    assert of_runway.verdict == "unknown"


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (60, r"Forecast \$\d+ for September \(\$\d+ to \$\d+\)\."),
        (10, r"A straight line to \$\d+ for September\."),
        (0, r"A straight line to \$\d+ for September\."),
    ],
)
def test_a_forecast_is_named_after_how_it_is_made(days: int, expected: str) -> None:
    made = forecasting(days) if days else forecasting_without_usage()
    assert re.match(expected, str(made.invoices[0].forecast_text))


def forecasting_without_usage() -> Report:
    made = found(usage_history=BillingError("no usage"))
    return make_report([made], at=NOW)


@pytest.mark.parametrize("suffix", ["txt", "md", "html"])
def test_a_reader_finds_how_wrong_the_forecast_has_been(suffix: str) -> None:
    shown = plain(FORMATS[suffix](forecasting()))
    assert re.search(r"off by \d+% over 14 days, tried on \d+ days", shown)
    assert re.search(r"Days of history\W+59", shown)


@pytest.mark.parametrize("suffix", ["txt", "md", "html"])
def test_without_usage_the_report_says_why_there_is_a_straight_line(suffix: str) -> None:
    shown = plain(FORMATS[suffix](forecasting_without_usage()))
    assert ("by a straight line" if suffix == "html" else "A straight line to $") in shown
    assert "Not available: no usage" in shown


def test_incomplete_lines_make_no_forecast() -> None:
    made = make_report([found(invoice_preview=given(api_result(), complete=False))], at=NOW)
    assert made.invoices[0].forecast_text is None
    for render in FORMATS.values():
        assert "Forecast" not in render(made).replace('"forecast"', "")


def test_a_sentence_on_what_is_within_goes_on_with_how_much_more_is() -> None:
    read = taken("steady")
    invoice = dataclasses.replace(read.get(INVOICE_PREVIEW), invoice_lines_complete=False)
    partly = dataclasses.replace(read, answers={**read.answers, INVOICE_PREVIEW.name: invoice})
    rules = {"max-daily-spend": {"limit": "3x", "accountIds": [ACCOUNT]}}
    [row] = tables.judged(report_on(partly, rules=rules), 9)
    assert row.sentences[0].endswith("which prices it, is not known; 1 more within")


def test_every_budget_is_in_the_chart_the_lowest_first_and_one_far_away_is_named() -> None:
    rules = {
        "max-amount-due": {"limit": "450 USD"},
        "near": {"rule": "max-amount-due", "limit": "300 USD", "enforcementLevel": "advisory"},
        "projected": {"rule": "max-projected-amount-due", "limit": "500 USD"},
        "far": {"rule": "max-amount-due", "limit": "9000 USD"},
        "max-line-amount": {"defaultLimit": "100 USD"},
    }
    chart = spend_chart.spend(forecasting(rules=rules).invoices[0])
    assert chart is not None
    assert [line.text for line in chart.budgets] == [
        "near $300.00 (advisory)",
        "max-amount-due $450.00",
        "projected $500.00",
    ]
    heights = [line.y for line in chart.budgets]
    assert heights == sorted(heights, reverse=True)
    labels = {label.name: label for label in chart.labels}
    assert set(labels) == {"near", "max-amount-due", "projected", "far", "forecast"}
    assert (labels["far"].amount, labels["far"].kind) == ("↑ $9,000.00", "beyond")
    assert chart.unlabelled == []


def test_budgets_close_to_one_another_have_labels_apart_with_leaders() -> None:
    rules = {
        "max-amount-due": {"limit": "400 USD"},
        "careful": {"rule": "max-amount-due", "limit": "395 USD"},
        "half": {"rule": "max-amount-due", "limit": "200 USD"},
    }
    chart = spend_chart.spend(forecasting(rules=rules).invoices[0])
    assert chart is not None
    labels = [label for label in chart.labels if label.kind == "over"]
    assert [label.amount for label in labels] == ["$400.00", "$395.00", "$200.00"]
    assert labels[1].y - labels[0].y >= 24
    assert any(label.has_leader for label in labels[:2])


def test_many_budgets_leave_some_without_a_label_and_say_so() -> None:
    rules = {
        f"rule-{number}": {"rule": "max-amount-due", "limit": f"{400 + number} USD"}
        for number in range(20)
    }
    chart = spend_chart.spend(forecasting(rules=rules).invoices[0])
    assert chart is not None
    assert len(chart.budgets) == 20
    named = {label.name for label in chart.labels}
    assert {"forecast", "rule-0"} <= named
    assert chart.unlabelled == [
        budget.text for budget in chart.budgets if budget.text.split()[0] not in named
    ]
    assert chart.unlabelled[0] in html.render(forecasting(rules=rules))


def test_what_happened_is_drawn_by_day_and_never_as_a_straight_line() -> None:
    with_days = spend_chart.spend(forecasting().invoices[0])
    without = spend_chart.spend(forecasting_without_usage().invoices[0])
    assert with_days is not None
    assert without is not None
    assert with_days.happened.count("L") == len(with_days.columns) == 15
    assert (with_days.straight, without.happened, without.forecast) == ("", "", "")
    assert without.straight.count("L") == 1
    assert without.columns == []


def test_the_chart_names_what_is_forecast_and_its_table_the_most_of_a_day() -> None:
    report = forecasting().invoices[0]
    chart = spend_chart.spend(report)
    assert chart is not None
    [label] = chart.labels
    assert label.amount == report.forecast.amount_due_text  # type: ignore[union-attr]
    assert label.name == "forecast"
    assert ["Most spent on a day", "$18.20"] in chart.figures.rows


def test_what_is_in_the_payers_favour_is_not_drawn_as_spend_by_day() -> None:
    credits = [{"amount": 2500, "discount": None, "type": "credit_balance_transaction"}]
    line = {**api_line(amount=1000), "pretax_credit_amounts": credits}
    invoice = api_result(amount_due=-1500, invoice_lines=[line])
    [report] = reported(invoice_preview=given(invoice)).invoices
    assert report.forecast is not None
    assert report.forecast.spent
    assert spend_chart.spend(report) is None


def test_the_first_hour_is_a_bar_against_the_lowest_limit() -> None:
    minutes = datetime(2026, 9, 1, 0, 30, tzinfo=UTC)
    rules = parse_rules({"rules": {"max-amount-due": {"limit": "250 USD"}}})
    state = InvoiceState(ACCOUNT, Invoice.from_api(api_result(amount_due=12500)))
    results = judge(rules, [Found(state)], minutes, AccountReader({}))
    [early] = make_report([Found(state)], at=minutes, rules=results).invoices
    assert spend_chart.spend(early) is None
    bar = spend_chart.limit_bar(early)
    assert bar is not None
    assert (bar.width, bar.limit_x) == (charts.WIDTH / 2.4, charts.WIDTH / 1.2)
    assert bar.limit == "limit $250.00 (max-amount-due)"
    without = make_report([Found(state)], at=minutes).invoices[0]
    assert spend_chart.spend(without) is None
    assert spend_chart.limit_bar(without) is None


def test_the_days_of_the_chart_are_a_table_too() -> None:
    days = tables.forecast_days(forecasting().invoices[0].forecast)
    assert days is not None
    assert [row[0] for row in days.rows] == [f"2026-09-{day:02}" for day in range(1, 31)]
    assert days.rows[0][1] == "$5.00"
    assert all(days.rows[14][1:3])
    assert not days.rows[13][2]
    assert all(days.rows[-1][2:])


def test_an_old_snapshot_is_not_projected_as_if_it_were_of_now() -> None:
    """Spread over more days than it has had, the same spend would project to less."""
    rules = parse_rules({"rules": {"max-projected-amount-due": {"limit": "370 USD"}}})
    at, made = NOW + timedelta(days=10), found()
    results = judge(rules, [made], at, AccountReader({}))
    late = make_report([made], at=at, rules=results)
    [forecast] = late.invoices
    assert forecast.projected_text == reported().invoices[0].projected_text == "$375.30"
    assert late.verdict == "over"


# Without the invoice.

REFUSED = ApiError("upcoming invoice", ACCOUNT, 404, 7404, "No billing for this account", "Wait.")
BALANCE = {"accountIds": [ACCOUNT], "limit": "5 USD"}


def without_invoice(**rules: Any) -> Report:
    """Return a report on an account whose credits could be read, and its invoice could not."""
    part = snapshot(invoice_preview=REFUSED, credit_balance={"balance": 640.19})
    missing = MissingInvoice.of_snapshot(part)
    assert missing is not None
    results = judge(
        parse_rules({"rules": rules}), [], NOW, AccountReader({}, snapshots=[part]), [missing]
    )
    return make_report([], at=NOW, rules=results, missing=[missing])


def test_a_rule_on_credits_is_judged_without_the_invoice() -> None:
    within = without_invoice(**{"min-credit-balance": BALANCE})
    assert (within.verdict, within.is_known) == ("within", True)
    over = without_invoice(**{"min-credit-balance": {**BALANCE, "limit": "7 USD"}})
    assert over.verdict == "over"


@pytest.mark.parametrize(
    "rule",
    [
        {"max-amount-due": {"limit": "9000 USD"}},
        {"account-budget": {"limit": "9000 USD", "accountIds": [ACCOUNT]}},
        {"max-forecast": {"limit": "9000 USD", "accountIds": [ACCOUNT]}},
        {"allowed-statuses": {"statuses": ["draft"]}},
    ],
    ids=lambda rule: next(iter(rule)),
)
def test_a_rule_that_needs_the_invoice_is_not_known_without_it(rule: dict[str, Any]) -> None:
    made = without_invoice(**{"min-credit-balance": BALANCE, **rule})
    assert (made.verdict, made.is_known) == ("unknown", False)
    assert "No billing for this account" in made.rules[-1].violations[0].message


def test_a_waiver_that_suspends_a_rule_holds_without_the_invoice_too() -> None:
    waiver = {"until": "2026-12-01", "by": "the CFO", "reason": "a move"}
    rules = {"allowed-statuses": {"statuses": ["draft"], "waiver": waiver}}
    assert without_invoice(**{"min-credit-balance": BALANCE, **rules}).verdict == "within"


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_says_that_there_is_no_invoice_and_what_else_is_known(suffix: str) -> None:
    shown = plain(FORMATS[suffix](without_invoice(**{"min-credit-balance": BALANCE})))
    assert "no upcoming invoice to show" in shown
    assert f"Account {ACCOUNT} has no upcoming invoice here: cannot read the upcoming" in shown
    assert "Credit balance: 640.19 cents" in shown
    assert "min-credit-balance" in shown


def test_the_json_without_an_invoice_keeps_to_its_schema() -> None:
    made = json.loads(json_report.render(without_invoice(**{"min-credit-balance": BALANCE})))
    jsonschema.validate(made, json.loads(json_report.schema()))
    assert (made["invoices"], made["totals"], made["verdict"]) == ([], [], "within")


def test_spend_limits_beyond_every_float_are_a_number_in_the_json() -> None:
    limits = [
        {"enabled": True, "rules": [{"limitType": "cost", "limit": limit, "window": 1}]}
        for limit in (1e300, 1e-9)
    ]
    listed = [{"id": f"g{n}", "spend_limits": each} for n, each in enumerate(limits)]
    part = snapshot(gateways=listed)
    written = {"require-gateway-spend-limit": {"limit": "500 USD", "accountIds": [ACCOUNT]}}
    made = Found.of_snapshot(part)
    reader = AccountReader({}, snapshots=[part])
    results = judge(parse_rules({"rules": written}), [made], NOW, reader)
    content = json.loads(json_report.render(make_report([made], at=NOW, rules=results)))
    jsonschema.validate(content, json.loads(json_report.schema()))
    [finding] = content["rules"][0]["findings"]
    assert finding["status"] == "over"
    assert Decimal(finding["amount"]["decimal"]) > 10**306


def test_an_account_without_any_answer_is_not_missing_an_invoice_alone() -> None:
    assert MissingInvoice.of_snapshot(snapshot(invoice_preview=None)) is None


FEE = api_line(description="Platform fee", amount=6_000, pretax_credit_amounts=[])


def with_a_fee(rules: dict[str, Any], fixed_lines: Sequence[str] = ()) -> InvoiceReport:
    """Return the report on an account with a fee among its lines, as *rules* judge it."""
    gross = 15_000
    line = {**api_line(), "amount": gross, "pretax_credit_amounts": []}
    made = found(
        invoice_preview=given(api_result(amount_due=gross + 6_000, invoice_lines=[line, FEE])),
        usage_history=given({"history": USED}, {**QUERY, "start_time": str(USED[0]["start_time"])}),
        credit_balance=given({"balance": 10_000, "topup_config": {}}),
    )
    assert made.snapshot is not None
    declared = parse_rules({"rules": rules}) if rules else []
    reader = AccountReader({}, snapshots=[made.snapshot])
    results = judge(declared, [made], NOW, reader)
    return make_report([made], at=NOW, rules=results, fixed_lines=fixed_lines).invoices[0]


USED: list[dict[str, Any]] = [
    {
        "id": f"u{day}",
        "start_time": SEPTEMBER + (day - 45) * 86_400_000,
        "end_time": SEPTEMBER + (day - 44) * 86_400_000,
        "aggregated_value": 1000,
    }
    for day in range(60)
]


def test_the_report_shows_the_forecast_that_a_rule_was_judged_by() -> None:
    """A rule's fixed fee does not grow in the report either."""
    rule = {"accountIds": [ACCOUNT], "limit": "900 USD", "fixedLines": ["Platform*"]}
    report = with_a_fee({"max-forecast": rule})
    assert report.forecast is not None
    [judged] = report.rules[0].of_accounts
    assert judged.amount is not None
    assert judged.amount.amount == report.forecast.amount_due == 36_500
    assert not any("was judged" in note for note in report.notes)


def test_rules_with_other_fixed_lines_are_named_with_their_own_forecast() -> None:
    rules: dict[str, Any] = {
        "max-forecast": {"accountIds": [ACCOUNT], "limit": "900 USD", "fixedLines": ["Platform*"]},
        "all": {"rule": "max-forecast", "accountIds": [ACCOUNT], "limit": "900 USD"},
    }
    report = with_a_fee({"max-forecast": rules["max-forecast"], "growing": rules["all"]})
    assert report.forecast is not None
    assert report.forecast.amount_due == 36_500
    [note] = [note for note in report.notes if "was judged" in note]
    assert "growing" in note
    assert "was judged without fixed lines: Forecast $" in note


@pytest.mark.parametrize(
    ("limits", "headline", "doubts"),
    [
        (
            {"growing": "400 USD", "fixed": "420 USD"},
            "Over budget: the forecast is $4",
            {"growing": "passes the limit of $400", "fixed": ""},
        ),
        (
            {"fixed": "350 USD", "growing": "400 USD"},
            "Over budget: the forecast without fixed lines is $4",
            {"growing": "without fixed lines passes", "fixed": "the forecast of $365 passes"},
        ),
        (
            {"growing": "600 USD", "fixed": "420 USD"},
            "Within budget: $210.00 so far in September (day 15 of 30); forecast $4",
            {"growing": "", "fixed": ""},
        ),
        (
            {"growing": "600 USD", "waived": "350 USD"},
            "Within budget so far: $210.00 in September (day 15 of 30); the forecast of $365 with "
            "other fixed lines passes the limit of $350 about 2026-09-",
            {"growing": "", "waived": "with other fixed lines passes the limit of $350"},
        ),
    ],
)
def test_a_limit_is_compared_only_with_the_forecast_that_its_rule_was_judged_by(
    limits: dict[str, str], headline: str, doubts: dict[str, str]
) -> None:
    waiver = {"until": "2026-09-20", "by": "the CFO", "reason": "launch", "limit": "900 USD"}
    more: dict[str, Any] = {
        "growing": {},
        "fixed": {"fixedLines": ["Platform*"]},
        "waived": {"fixedLines": ["Platform*"], "waiver": waiver},
    }
    rules = {
        name: {"rule": "max-forecast", "accountIds": [ACCOUNT], "limit": limit, **more[name]}
        for name, limit in limits.items()
    }
    report = with_a_fee(rules)
    assert report.headline.startswith(headline)
    assert report.limit is None or report.limit.name == next(iter(limits))
    for rule in report.rules:
        doubt = report.doubt(rule)
        assert doubts[rule.name] in doubt
        assert bool(doubt) is bool(doubts[rule.name])


def test_a_report_takes_fixed_lines_as_a_forecast_does() -> None:
    report = with_a_fee({}, ["Platform*"])
    assert report.forecast is not None
    assert report.forecast.amount_due == 36_500
    rule = {"accountIds": [ACCOUNT], "limit": "900 USD"}
    [note] = [
        note
        for note in with_a_fee({"max-forecast": rule}, ["Platform*"]).notes
        if "was judged" in note
    ]
    assert "without fixed lines" in note
