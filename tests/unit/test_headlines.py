"""What a reader sees first: the worst fact, the outlook, one limit, and what to do."""

import dataclasses
import html as entities
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from pulumi_cf_invoice.report import html, json_report, markdown, text
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.report import Report
from pulumi_cf_invoice.sandbox import SCENARIOS
from tests.factories import ACCOUNT, NOW
from tests.golden import Golden
from tests.unit.reports import FIRST, OF_ACCOUNT, report_on, taken

LIMIT = {"max-amount-due": {"limit": "450 USD"}}
EVERY = {
    **LIMIT,
    "min-runway": {"days": 7, **OF_ACCOUNT},
    "no-unpaid-invoices": OF_ACCOUNT,
}
UNTIL = {"until": "2026-09-20", "by": "the CFO", "reason": "launch week"}


def only(report: Report) -> InvoiceReport:
    [invoice] = report.invoices
    return invoice


def test_every_account_of_the_sandbox_has_a_headline_that_its_golden_file_shows(
    golden: Golden,
) -> None:
    lines = []
    for scenario in SCENARIOS:
        snapshot = taken(scenario)
        for rules in (None, EVERY):
            report = report_on(snapshot, rules=rules)
            under = "without rules" if rules is None else report.tone
            lines.append(f"{scenario} ({under}): {report.headline}")
    golden("headlines.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("scenario", "rules", "headline"),
    [
        (
            "launch",
            {**EVERY, "statuses": {"rule": "allowed-statuses", "statuses": ["open"]}},
            r"Over budget: the upcoming invoice is \$479\.27 for September, over the limit of "
            r"\$450\.00 by \$29\.27\.",
        ),
        (
            "top-up-failed",
            {**EVERY, "unknown": {"rule": "max-amount-due", "limit": "1 EUR"}},
            r"Credits run out today: \$4\.20 left, the top-up failed \(“.*funds”\); the u.*",
        ),
        ("never-paid", LIMIT, r"Credits are used up: \$0\.00 left, no top-up is set; the upc.*"),
        (
            "steady",
            {
                "max-amount-due": {"limit": "900 EUR"},
                "statuses": {"rule": "allowed-statuses", "statuses": ["open"]},
            },
            r"Could not tell: the upcoming invoice is \$206\.52 for September, in USD, which.*",
        ),
        (
            "steady",
            {
                "statuses": {"rule": "allowed-statuses", "statuses": ["open"]},
                "near": {
                    "rule": "max-amount-due",
                    "limit": "1 USD",
                    "enforcementLevel": "advisory",
                },
            },
            r"The upcoming invoice has the status draft, which is not among: open; the upcoming .*",
        ),
        (
            "growing",
            {
                **LIMIT,
                "near": {
                    "rule": "max-amount-due",
                    "limit": "1 USD",
                    "enforcementLevel": "advisory",
                },
            },
            r"Within budget so far: the upcoming invoice is \$\d+\.\d\d for September; the "
            r"forecast passes \$450 about 2026-09-\d\d\.",
        ),
        (
            "steady",
            {"near": {"rule": "max-amount-due", "limit": "1 USD", "enforcementLevel": "advisory"}},
            r"Over an advisory limit: the upcoming invoice is \$206\.52 for September, over the .*",
        ),
        (
            "steady",
            LIMIT,
            r"Within budget: the upcoming invoice is \$206\.52 for September, .*",
        ),
        ("steady", None, r"The upcoming invoice is \$206\.52 for September\."),
        (
            "capped-gateways",
            {
                "caps": {
                    **OF_ACCOUNT,
                    "rule": "require-gateway-spend-limit",
                    "limit": "300 USD",
                }
            },
            r"Over budget: gateways may spend \$320\.00 in a month, over the limit of \$300\.00 .*",
        ),
    ],
    ids=[
        "over",
        "credits run out",
        "credits used up",
        "unknown",
        "another rule",
        "outlook",
        "advisory",
        "within",
        "no rules",
        "gateways",
    ],
)
def test_the_headline_states_the_worst_fact(scenario: str, rules: Any, headline: str) -> None:
    report = report_on(taken(scenario), rules=rules)
    assert re.fullmatch(headline, report.headline), report.headline
    for name in rules or ():
        assert name not in report.headline


def test_every_format_has_the_same_headline() -> None:
    report = report_on(taken("top-up-failed"), rules=EVERY)
    for render in (text.render, markdown.render, html.render):
        plain = entities.unescape(re.sub("<[^>]*>", "", render(report)))
        assert report.headline in " ".join(plain.split())
    assert json.loads(json_report.render(report))["headline"] == report.headline


def test_a_forecast_that_passes_a_limit_is_amber_with_exit_code_0_and_in_the_json() -> None:
    report = report_on(taken("growing"), rules=LIMIT)
    assert (report.verdict, report.tone, report.is_known) == ("within", "advisory", True)
    assert markdown.render(report).split("\n")[2].startswith("### ⚠️ Within budget so far")
    outlook = json.loads(json_report.render(report))["invoices"][0]["outlook"]
    assert (outlook["rule"], outlook["limit"]["text"]) == ("max-amount-due", "$450.00")
    assert outlook["date"] in report.headline
    assert report_on(taken("steady"), rules=LIMIT).invoices[0].outlook is None


def test_hardly_over_a_limit_is_no_outlook_and_a_violated_rule_has_none() -> None:
    forecast = only(report_on(taken("growing"))).forecast
    assert forecast is not None
    assert forecast.amount_due is not None
    for share, passes in ((0.995, False), (0.98, True)):
        limit = f"{forecast.amount_due * share / 100:.2f} USD"
        report = report_on(taken("growing"), rules={"max-amount-due": {"limit": limit}})
        assert (only(report).outlook is not None) is passes
    violated = {**LIMIT, "allowed-statuses": {"statuses": ["open"]}}
    assert only(report_on(taken("growing"), rules=violated)).outlook is None


def test_a_waiver_that_ends_before_the_period_does_is_in_the_outlook() -> None:
    waiver = {**UNTIL, "limit": "900 USD"}
    waived = {"max-amount-due": {"limit": "240 USD", "waiver": waiver}}
    outlook = only(report_on(taken("growing"), rules=waived)).outlook
    assert outlook is not None
    assert (outlook.limit.text, f"{outlook.date}") == ("$240.00", "2026-09-21")
    until_later = {**waiver, "until": "2026-10-05"}
    kept = {"max-amount-due": {"limit": "240 USD", "waiver": until_later}}
    assert only(report_on(taken("growing"), rules=kept)).outlook is None


def test_a_forecast_over_a_limit_is_red_only_by_a_rule() -> None:
    rules = {**LIMIT, "max-forecast": {"limit": "450 USD", **OF_ACCOUNT}}
    report = report_on(taken("growing"), rules=rules)
    assert report.verdict == "over"
    assert report.headline.startswith("Over budget: the forecast is $")


def test_one_limit_is_in_headline_forecast_and_chart() -> None:
    rules = {
        "max-amount-due": {"limit": "600 USD"},
        "team": {"rule": "max-amount-due", "limit": "500 USD"},
        "near": {"rule": "max-amount-due", "limit": "300 USD", "enforcementLevel": "advisory"},
    }
    report = report_on(taken("usual"), rules=rules)
    invoice = only(report)
    assert "the limit is $500.00" in report.headline
    assert ", within the limit of $500 (team)" in str(invoice.forecast_text)
    for other in ("$600", "$300"):
        assert other not in f"{report.headline}{invoice.forecast_text}"
    assert "limit $500.00 (team)</title>" in html.render(report)
    advisory = report_on(taken("usual"), rules={"near": rules["near"]})
    assert "the limit of $300 (near)" in str(only(advisory).forecast_text)


def test_another_limit_in_the_headline_leaves_the_second_line_without_one() -> None:
    rules = {**LIMIT, "max-line-amount": {"limits": {"openai/*": "100 USD"}}}
    report = report_on(taken("usual"), rules=rules)
    assert report.headline.startswith("Over budget: openai/gpt-5.5 is $")
    assert "limit" not in str(only(report).forecast_text)


def test_a_straight_line_is_shown_only_where_there_is_no_forecast() -> None:
    forecast = only(report_on(taken("usual"), rules=LIMIT))
    assert "straight" not in text.render(report_on(taken("usual"), rules=LIMIT))
    alone = dataclasses.replace(forecast, account=None)
    assert str(alone.forecast_text).startswith("A straight line to $390 for September, within the")


@pytest.mark.parametrize(
    ("scenario", "rules", "said"),
    [
        (
            "usual",
            {"max-amount-due": {"limit": "1 USD"}},
            "Raise the limit of the rule max-amount-due in rules.json or give it a waiver, or cap "
            "the gateways with spend limits.",
        ),
        ("unpaid", EVERY, "Pay the open invoices in Cloudflare's dashboard."),
        ("top-up-failed", EVERY, "Buy credits or mend the automatic top-up in Cloudflare's "),
        ("yen", LIMIT, "Set the limit of the rule max-amount-due in rules.json in JPY."),
    ],
)
def test_what_to_do_is_said_in_every_format(scenario: str, rules: Any, said: str) -> None:
    report = report_on(taken(scenario), rules=rules)
    for render in (text.render, markdown.render, html.render):
        plain = entities.unescape(re.sub("<[^>]*>|[*]", "", render(report)))
        assert f"What to do: {said}" in " ".join(plain.split())
    assert said in json_report.render(report)


def test_hours_into_a_period_nothing_is_forecast_and_nothing_is_amber() -> None:
    early = report_on(taken("growing", FIRST + timedelta(minutes=40)), rules=LIMIT)
    assert early.tone == "within"
    assert "Too early for a forecast for September" in str(only(early).forecast_text)


def test_of_several_the_counts_and_the_worst_are_told() -> None:
    names = ("usual", "launch", "steady", "yen")
    snapshots = [taken(name, NOW, f"{number:032x}") for number, name in enumerate(names)]
    report = report_on(*snapshots, rules=LIMIT)
    assert report.headline.startswith(
        "Over budget: 1 of 4 over, 1 could not be judged, ¥1,900 and "
    )
    assert report.headline.endswith(
        f" in total. Worst is Account {1:032x}: the upcoming invoice is $479.27 for September, "
        "over the limit of $450.00 by $29.27."
    )


def test_an_account_that_is_the_only_one_is_not_repeated_by_every_rule() -> None:
    rendered = text.render(report_on(taken("top-up-failed"), rules=EVERY))
    assert rendered.count(ACCOUNT) == 1
