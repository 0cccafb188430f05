"""What a reader sees first: the worst fact, the outlook, one limit, and what to do."""

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pulumi_cf_invoice.billing.errors import NotAvailableError
from pulumi_cf_invoice.billing.invoice import Invoice
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.report import html, json_report, markdown, tables, text
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.report.notice import KINDS, notice_of
from pulumi_cf_invoice.report.report import Report, make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.sandbox import SCENARIOS
from pulumi_cf_invoice.sandbox.accounts import cost_rule, gateway
from pulumi_cf_invoice.state import InvoiceState
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, api_line, api_result, snapshot
from tests.golden import Golden
from tests.unit.reports import FIRST, MORNING, OF_ACCOUNT, plain, report_on, taken
from tests.unit.test_rules_on_forecasts import usage

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


@pytest.mark.parametrize("rules", [None, {"account-budget": {"limit": "5000 USD", **OF_ACCOUNT}}])
def test_a_headline_says_that_an_invoice_is_missing_which_no_rule_needs(rules: Any) -> None:
    known = taken("usual")
    refused = NotAvailableError("HTTP 403")
    lacking = snapshot(
        account_id=OTHER_ACCOUNT, invoice_preview=refused, credit_balance={"balance": 1}
    )
    another = dataclasses.replace(known, account_id="f" * 32)
    for snapshots in ([known], [known, another]):
        alone = report_on(*snapshots, rules=rules)
        beside = report_on(*snapshots, lacking, rules=rules)
        assert "could be read" not in alone.headline
        whose = f"; this is account {ACCOUNT}" if len(snapshots) == 1 else ""
        assert beside.headline == (
            f"{alone.headline[:-1]}{whose}; not every invoice could be read."
        )
        assert beside.verdict == alone.verdict


@pytest.mark.parametrize(
    ("scenario", "rules", "headline"),
    [
        (
            "launch",
            {**EVERY, "statuses": {"rule": "allowed-statuses", "statuses": ["open"]}},
            r"Over budget: \$479\.27 so far in September \(day 15 of 30\), over the limit of "
            r"\$450\.00 by \$29\.27; forecast \$1,\d{3}\.",
        ),
        (
            "top-up-failed",
            {**EVERY, "unknown": {"rule": "max-amount-due", "limit": "1 EUR"}},
            r"Credits run out today, and AI Gateway then refuses requests: \$4\.20 left, the "
            r"top-up "
            r"failed \(“.*funds”\); \$206\.52 so far in September .*",
        ),
        (
            "never-paid",
            LIMIT,
            r"Credits are used up and AI Gateway refuses requests: \$0\.00 left, no top-up is set; "
            r"nothing used so far in September \(day 15 of 30\)\.",
        ),
        (
            "workers-ai",
            EVERY,
            r"The forecast of \$5\d\d passes the limit of \$450 about 2026-09-\d\d; \$250\.60 so "
            r"far "
            r"in September \(day 15 of 30\); without the automatic top-up, which works, \$92\.00 "
            r"of "
            r"credits run out about 2026-09-\d\d, in \d days\.",
        ),
        (
            "steady",
            {
                "max-amount-due": {"limit": "900 EUR"},
                "statuses": {"rule": "allowed-statuses", "statuses": ["open"]},
            },
            r"Against a rule, and not fully judged: the limit of €900\.00 is not in USD, as the "
            r"invoice is; \$206\.52 so "
            r".*",
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
            r"The upcoming invoice has the status draft, which is not one of those allowed: open; "
            r"\$206.*",
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
            r"Within budget so far: \$\d+\.\d\d in September \(day 15 of 30\); the forecast of "
            r"\$5\d\d passes the limit of \$450 about 2026-09-\d\d\.",
        ),
        (
            "steady",
            {"near": {"rule": "max-amount-due", "limit": "1 USD", "enforcementLevel": "advisory"}},
            r"Over an advisory limit: \$206\.52 so far in September \(day 15 of 30\), over the .*",
        ),
        (
            "steady",
            {"near": {"rule": "max-amount-due", "limit": "1 EUR", "enforcementLevel": "advisory"}},
            r"Unknown: no rule was judged, as the limit of €1\.00 is not in USD, as the invoice "
            r"is; \$206\.52 so far .*",
        ),
        (
            "steady",
            LIMIT,
            r"Within budget, but close: \$206\.52 so far in September \(day 15 of 30\); the "
            r"forecast "
            r"of up to \$44\d\.\d\d leaves \$\d\.\d\d of the limit of \$450\.00\.",
        ),
        (
            "usual",
            {"max-amount-due": {"limit": "400 USD"}},
            r"Within budget so far: .*; the forecast of up to \$\d+ may pass the limit of "
            r"\$400, on 2026-09-\d\d at the earliest\.",
        ),
        (
            "usual",
            LIMIT,
            r"Within budget: \$188\.46 so far in September \(day 15 of 30\); forecast \$39\d, "
            r"limit "
            r"\$450\.00\.",
        ),
        (
            "credits-exceed-usage",
            LIMIT,
            r"Within budget: \$15\.00 in your favour so far in September \(day 15 of 30\); limit "
            r"\$450\.00\.",
        ),
        ("steady", None, r"\$206\.52 so far in September \(day 15 of 30\); forecast \$43\d\."),
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
        (
            "usual",
            {"caps": {**OF_ACCOUNT, "rule": "require-gateway-spend-limit", "limit": "5 USD"}},
            r"Over budget: not every gateway has a spend limit, and those that do may spend "
            r"\$160\.00 in a month, over the limit of \$5\.00 .*",
        ),
    ],
    ids=[
        "over",
        "credits run out",
        "credits used up",
        "credits that are topped up, and the outlook",
        "unknown",
        "another rule",
        "outlook",
        "advisory",
        "advisory, and unknown",
        "within, with little left",
        "within, and perhaps not for long",
        "within",
        "in your favour",
        "no rules",
        "gateways",
        "gateways of which one has no limit",
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
        assert report.headline in plain(render(report))
    assert json.loads(json_report.render(report))["headline"] == report.headline


def test_a_forecast_that_passes_a_limit_is_amber_with_exit_code_0_and_in_the_json() -> None:
    report = report_on(taken("growing"), rules=LIMIT)
    assert (report.verdict, report.tone, report.is_known) == ("within", "advisory", True)
    assert markdown.render(report).split("\n")[2].startswith("### ⚠️ Within budget so far")
    outlook = json.loads(json_report.render(report))["invoices"][0]["outlook"]
    assert (outlook["rule"], outlook["limit"]["text"]) == ("max-amount-due", "$450.00")
    assert outlook["date"] in report.headline
    assert report_on(taken("steady"), rules=LIMIT).invoices[0].outlook is None


def test_hardly_over_a_limit_is_no_outlook_and_neither_is_one_that_is_exceeded() -> None:
    forecast = only(report_on(taken("growing"))).forecast
    assert forecast is not None
    assert forecast.amount_due is not None
    for share, passes in ((0.995, False), (0.98, True)):
        limit = f"{forecast.amount_due * share / 100:.2f} USD"
        report = report_on(taken("growing"), rules={"max-amount-due": {"limit": limit}})
        assert (only(report).outlook is not None) is passes
        compared = "over" if passes else "perhaps over"
        assert f", {compared} the limit of " in str(only(report).forecast_text)
    violated = {**LIMIT, "allowed-statuses": {"statuses": ["open"]}}
    both = report_on(taken("growing"), rules=violated)
    outlook = only(both).outlook
    assert outlook is not None
    assert both.headline.endswith(f"; {outlook.text}.")
    assert f" passes the limit of $450 about {outlook.date}" in outlook.text
    assert both.remedies[-1].startswith("Before 2026-09-")
    assert only(report_on(taken("launch"), rules=LIMIT)).outlook is None


def test_a_day_without_a_price_is_against_a_rule_and_not_over_a_budget() -> None:
    snapshot = taken("night-loop", MORNING)
    invoice = snapshot.answers["invoice-preview"]
    assert isinstance(invoice, Invoice)
    # Without all lines, usage has no price.
    part = dataclasses.replace(invoice, invoice_lines_complete=False)
    unpriced = dataclasses.replace(snapshot, answers={**snapshot.answers, "invoice-preview": part})
    report = report_on(unpriced, rules={"max-daily-spend": {"limit": "3x", **OF_ACCOUNT}})
    assert report.headline.startswith("Against a rule: 6.0 times a usual day on 2026-09-16 ")


def test_credits_that_are_used_up_have_a_remedy_for_their_top_up() -> None:
    remedy = "Buy credits, or set an automatic top-up, in Cloudflare's dashboard."
    assert report_on(taken("never-paid"), rules=LIMIT).remedies == [remedy]


def test_a_waiver_that_ends_before_the_period_does_is_in_the_outlook() -> None:
    waiver = {**UNTIL, "limit": "900 USD"}
    waived = {"max-amount-due": {"limit": "240 USD", "waiver": waiver}}
    outlook = only(report_on(taken("growing"), rules=waived)).outlook
    assert outlook is not None
    assert (outlook.limit.text, f"{outlook.date}") == ("$240.00", "2026-09-21")
    until_later = {**waiver, "until": "2026-10-05"}
    kept = {"max-amount-due": {"limit": "240 USD", "waiver": until_later}}
    assert only(report_on(taken("growing"), rules=kept)).outlook is None


@pytest.mark.parametrize(
    ("limit", "until", "coming", "remedy"),
    [
        (
            "100 USD",
            "2026-09-20",
            "once the waiver until 2026-09-20 ends, the limit is $100, and the forecast is $5",
            "Before 2026-09-21: raise the limit of the rule max-amount-due in rules.json or extend "
            "its waiver.",
        ),
        (
            "100 USD",
            "2026-09-15",
            "once the waiver until 2026-09-15 ends, the limit is $100, and the forecast is $5",
            "Before 2026-09-16: raise the limit of the rule max-amount-due in rules.json or extend "
            "its waiver.",
        ),
        (
            "450 USD",
            "2026-09-28",
            "once the waiver until 2026-09-28 ends, the limit is $450, and the forecast is $5",
            "Before 2026-09-29: cap the gateways with spend limits, raise the limit of the rule "
            "max-amount-due in rules.json, or extend its waiver.",
        ),
        ("450 USD", "2026-09-16", "the forecast of $5", "Before 2026-09-2"),
    ],
)
def test_where_a_limit_is_passed_because_its_waiver_ends_that_is_what_is_said(
    limit: str, until: str, coming: str, remedy: str
) -> None:
    waiver = {**UNTIL, "until": until, "limit": "900 USD"}
    report = report_on(
        taken("growing"), rules={"max-amount-due": {"limit": limit, "waiver": waiver}}
    )
    assert f"in September (day 15 of 30); {coming}" in report.headline
    [said] = [each for each in report.remedies if "the rule max-amount-due" in each]
    assert said.startswith(remedy)


def test_a_forecast_over_a_limit_is_red_only_by_a_rule() -> None:
    rules = {**LIMIT, "max-forecast": {"limit": "450 USD", **OF_ACCOUNT}}
    report = report_on(taken("growing"), rules=rules)
    assert report.verdict == "over"
    assert report.headline.startswith("Over budget: the forecast is $")


@pytest.mark.parametrize(
    ("rule", "headline"),
    [
        (
            {"rule": "max-forecast", "limit": "390 USD"},
            r"the forecast is \$429\.\d\d for September, over the limit of \$390\.00 by \S+, which "
            r"it passes about 2026-09-29; \$27\.43 so far in September \(day 2 of 30\)\.",
        ),
        (
            {"rule": "max-forecast", "limit": "390 USD", "percentile": 90},
            r"the forecast is up to \$453\.\d\d for .*0 by \S+; \$27\.43 so far in .*; the "
            r"forecast of \$429 passes the limit of \$390 about 2026-09-29\.",
        ),
        (
            {"rule": "max-projected-amount-due", "limit": "390 USD"},
            r"the straight-line projection is \$548\.60 for .*0 by \S+; \$27\.43 so far in .*; the "
            r"forecast of \$429 passes the limit of \$390 about 2026-09-29\.",
        ),
        (
            {"rule": "max-projected-amount-due", "limit": "500 USD"},
            r"the straight-line projection is \$548\.60 for .*0 by \S+; \$27\.43 so far in .*; "
            r"forecast \$429\.",
        ),
    ],
    ids=["forecast", "90th percentile", "straight line", "straight line alone"],
)
def test_the_day_on_which_a_limit_is_passed_is_said_of_the_forecast_that_passes_it(
    rule: Any, headline: str
) -> None:
    """A straight line to $548.60 passes a limit of $390 a week before a forecast of $429 does."""
    second = taken("quiet-weekend", FIRST + timedelta(days=1, hours=12))
    of_account = OF_ACCOUNT if rule["rule"] == "max-forecast" else {}
    report = report_on(second, rules={"limit": {**rule, **of_account}})
    assert re.fullmatch(f"Over budget: {headline}", report.headline), report.headline


def test_one_limit_is_in_headline_forecast_and_chart() -> None:
    rules = {
        "max-amount-due": {"limit": "600 USD"},
        "team": {"rule": "max-amount-due", "limit": "500 USD"},
        "near": {"rule": "max-amount-due", "limit": "300 USD", "enforcementLevel": "advisory"},
    }
    report = report_on(taken("usual"), rules=rules)
    invoice = only(report)
    assert ", limit $500.00." in report.headline
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


@pytest.mark.parametrize(
    ("minutes", "more", "is_outdated"),
    [
        (0, 1, False),
        (0, 20_000, True),
        (1, 1, False),
        (60, 20_000, True),
        (60, 0, False),
        (61, 0, True),
    ],
)
def test_a_newer_invoice_is_not_forecast_from_an_older_snapshot(
    minutes: int, more: int, is_outdated: bool
) -> None:
    """One with much more due never is, and one that differs otherwise is for an hour."""
    old = taken("usual")
    read_at = old.read_at + timedelta(minutes=minutes)
    result = old.get(INVOICE_PREVIEW)
    other = dataclasses.replace(result, amount_due=result.amount_due + more, status="open")
    state = InvoiceState(old.account_id, other)
    found = dataclasses.replace(Found.of_snapshot(old), state=state)
    report = only(make_report([found], at=read_at))
    assert (report.forecast is None) == is_outdated
    told = [caveat.text for caveat in report.caveats if caveat.kind == "time"]
    sentence = (
        "The snapshot of 2026-09-15 12:00 UTC is older than the invoice, so that no forecast is "
        "made from it: take a new one."
    )
    assert told == ([sentence] if is_outdated else [])


def test_a_straight_line_is_shown_only_where_there_is_no_forecast() -> None:
    forecast = only(report_on(taken("usual"), rules=LIMIT))
    assert "straight" not in text.render(report_on(taken("usual"), rules=LIMIT))
    alone = dataclasses.replace(forecast, account=None)
    assert str(alone.forecast_text).startswith("A straight line to $390 for September, within the")


@pytest.mark.parametrize(
    ("kind", "headline", "against"),
    [
        (
            "max-amount-due",
            "Within budget so far: $0.00 in September (day 15 of 30); a straight line to $214 "
            "passes the limit of $50, without a range.",
            ", over the limit of $50 (max-amount-due)",
        ),
        (
            "max-projected-amount-due",
            "Within budget: $0.00 so far in September (day 15 of 30); $214 by a straight line.",
            "",
        ),
    ],
)
def test_without_usage_every_sentence_is_of_the_same_straight_line(
    kind: str, headline: str, against: str
) -> None:
    """Credits have covered everything so far, and will not cover all of what is to come."""
    credit = {"amount": 20000, "type": "credit_balance_transaction"}
    covered = api_result(
        amount_due=0, invoice_lines=[api_line(amount=20000, pretax_credit_amounts=[credit])]
    )
    of_account = snapshot(invoice_preview=covered, credit_balance={"balance": 10})
    report = only(report_on(of_account, rules={kind: {"limit": "50 USD"}}))
    assert report.headline == headline
    assert str(report.forecast_text).startswith(f"A straight line to $214 for September{against}.")
    assert "Straight-line projection" not in dict(report.figures)


@pytest.mark.parametrize(
    ("scenario", "rules", "expected"),
    [
        (
            "usual",
            {"max-amount-due": {"limit": "1 USD"}},
            "Cap the gateways with spend limits, raise the limit of the rule max-amount-due in "
            "rules.json, or give it a waiver.",
        ),
        (
            "unpaid",
            EVERY,
            "Pay the open invoice in Cloudflare's dashboard, and ask Cloudflare how to settle the "
            "uncollectible one.",
        ),
        (
            "top-up-failed",
            EVERY,
            "Fix the automatic top-up or its payment method, or buy credits, in Cloudflare's "
            "dashboard.",
        ),
        (
            "topped-up",
            EVERY,
            "If the automatic top-up is enough, set topUpSuffices to true in the rule min-runway "
            "in rules.json; if not, buy credits in Cloudflare's dashboard.",
        ),
        ("yen", LIMIT, "Set the limit of the rule max-amount-due in rules.json in JPY."),
    ],
)
def test_what_to_do_is_said_in_every_format(scenario: str, rules: Any, expected: str) -> None:
    report = report_on(taken(scenario), rules=rules)
    for render in (text.render, markdown.render, html.render):
        assert f"What to do: {expected}" in plain(render(report).replace("*", ""))
    assert expected in json_report.render(report)


def test_hours_into_a_period_nothing_is_forecast_and_nothing_is_amber() -> None:
    early = report_on(taken("growing", FIRST + timedelta(minutes=40)), rules=LIMIT)
    assert early.tone == "within"
    assert early.headline.endswith("(day 1 of 30); no forecast before 01:00 UTC, limit $450.00.")
    start, *_ = only(early).summary
    assert start == (
        "September is less than an hour old: there is no forecast before 2026-09-01 01:00 UTC."
    )
    assert not early.remedies
    fast = report_on(taken("usual", FIRST + timedelta(minutes=40)), rules=LIMIT)
    assert (fast.verdict, fast.tone) == ("within", "advisory")
    assert re.fullmatch(
        r"Within budget so far: \$188\.46 in the first hour is \d+% of all of August \(\$\d+\); no "
        r"forecast before 01:00 UTC, limit \$450\.00\.",
        fast.headline,
    )
    assert fast.remedies == [
        "Today: find out what is spending it, and cap the gateways with spend limits."
    ]


def test_a_period_that_has_not_begun_is_said_to_be_ahead() -> None:
    before = FIRST - timedelta(days=3)
    rules = {
        **LIMIT,
        "max-projected-amount-due": {"limit": "900 USD"},
        "max-forecast": {"accountIds": [ACCOUNT], "limit": "900 USD"},
    }
    ahead = report_on(snapshot(read_at=before, usage_history=usage([10.0], before)), rules=rules)
    assert ahead.headline == (
        "Within budget: $188.46 for September, which has not begun; limit $450.00."
    )
    assert only(ahead).due_until == "the period has not begun"
    forecast = only(ahead).forecast
    assert forecast is not None
    assert forecast.notes[0] == "The invoice's period has not begun."
    rendered = plain(text.render(ahead))
    for judged in ("a projection", "a forecast"):
        assert f"has not begun, too early for {judged}: only the amount due was judged." in rendered
    assert "day 1 of" not in rendered


def test_figures_that_are_older_than_a_day_are_said_to_be_and_are_amber() -> None:
    at = NOW + timedelta(days=20)
    report = report_on(taken("usual"), rules=LIMIT, at=at)
    assert (report.verdict, report.tone) == ("within", "advisory")
    assert report.headline == (
        "Figures of 2026-09-15, 20 days old, and September has ended since: within budget then, "
        "with $188.46 in September (day 15 of 30), limit $450.00."
    )
    assert report_on(taken("usual"), rules=LIMIT, at=NOW + timedelta(hours=23)).tone == "within"
    over = report_on(taken("usual"), rules={"max-amount-due": {"limit": "1 USD"}}, at=at)
    assert over.headline.startswith("Over budget: ")
    ends = "; figures of 2026-09-15, 20 days old, and September has ended since."
    assert over.headline.endswith(ends)
    assert notice_of(over, KINDS).headline == over.headline
    soon = {"min-runway": {"days": 14, **OF_ACCOUNT}}
    for days, run_out in (
        (0, "run out about 2026-09-21, in 6 days"),
        (2, "run out about 2026-09-21, in 4 days"),
        (6, "run out today"),
        (7, "will have run out about 2026-09-21"),
    ):
        report = report_on(taken("growing"), rules=soon, at=NOW + timedelta(days=days))
        assert report.headline.startswith(f"Credits {run_out}, and AI Gateway then ")
    evening = taken("usual", datetime(2026, 9, 30, 20, tzinfo=UTC))
    for hours in (3, 4, 22):
        report = report_on(evening, rules=LIMIT, at=evening.read_at + timedelta(hours=hours))
        ended = "Figures of 2026-09-30, and September has ended since: within budget then, "
        assert report.headline.startswith(ended) == (hours > 3)


@pytest.mark.parametrize(
    ("rules", "before", "after"),
    [
        (
            {"max-amount-due": {"limit": "330 USD"}},
            "the forecast of $549 passes the limit of $330 about 2026-09-21",
            "the forecast of $549 will have passed the limit of $330 about 2026-09-21",
        ),
        (
            {"max-amount-due": {"limit": "560 USD"}},
            "may pass the limit of $560, on 2026-09-28 at the earliest",
            "may have passed the limit of $560, on 2026-09-28 at the earliest",
        ),
        (
            {"max-forecast": {"limit": "330 USD", **OF_ACCOUNT}},
            ", which it passes about 2026-09-21",
            ", which it will have passed about 2026-09-21",
        ),
        (
            {"min-runway": {"days": 30, **OF_ACCOUNT}},
            "Credits run out about 2026-09-21, in 6 days, and",
            "Credits will have run out about 2026-09-21, and",
        ),
    ],
)
def test_a_day_of_old_figures_that_is_past_is_said_to_be(
    rules: dict[str, Any], before: str, after: str
) -> None:
    for days, expected in ((0, before), (20, after)):
        report = report_on(taken("growing"), rules=rules, at=NOW + timedelta(days=days))
        assert expected in report.headline


def test_the_headline_of_several_says_how_many_have_old_figures_and_of_when() -> None:
    old, at = taken("usual"), NOW + timedelta(days=10)
    other = dataclasses.replace(old, account_id=OTHER_ACCOUNT)
    both = report_on(old, other, rules=LIMIT, at=at)
    assert both.headline.startswith(
        "Within budget so far: 2 of 2 with figures of 2026-09-15, 10 days old; 2 of 2 with a "
    )
    later = dataclasses.replace(other, read_at=NOW + timedelta(days=4))
    assert report_on(old, later, at=at).headline.startswith(
        "2 of 2 with figures of 2026-09-15 to 2026-09-19, up to 10 days old; 2 upcoming invoices, "
    )
    fresh = dataclasses.replace(other, read_at=at)
    assert report_on(old, fresh, at=at).headline.startswith("1 of 2 with figures of 2026-09-15, 10")


def test_the_headline_of_several_says_whose_period_has_ended_since_and_goes_on_with_none() -> None:
    evening = datetime(2026, 9, 30, 20, tzinfo=UTC)
    names = {ACCOUNT: "usual", OTHER_ACCOUNT: "steady"}
    first, second = (taken(name, evening, account) for account, name in names.items())
    ended = (
        "2 of 2 with figures of 2026-09-30, and September has ended since; 2 of 2 with a warning"
    )
    report = report_on(first, second, rules=LIMIT, at=evening + timedelta(hours=10))
    # The forecast comes close to the limit of one of them.
    assert report.headline.startswith(
        f"Within budget then: {ended}; $614.72 in total. Worst is Account 000000…0001: $426.26 "
    )
    assert report_on(first, second, at=evening + timedelta(days=2)).headline == (
        "2 of 2 with figures of 2026-09-30, 2 days old, and September has ended since; 2 upcoming "
        "invoices, $614.72 in total."
    )
    october = taken("steady", evening + timedelta(days=1), OTHER_ACCOUNT)
    assert report_on(first, october, rules=LIMIT, at=october.read_at).headline.startswith(
        "Within budget so far: 1 of 2 with figures of 2026-09-30, 1 day old, and September has "
        "ended since; 2 of 2 with a warning; $203.59 so far in total, heading for $"
    )


def test_what_to_do_has_the_dates_in_their_order_and_credits_that_no_rule_asks_for() -> None:
    report = report_on(taken("growing"), rules=LIMIT)
    first, second = report.remedies
    assert first.startswith("Before 2026-09-20: buy credits, or set an automatic top-up")
    upper = only(report).upper_outlook
    assert upper is not None
    assert second.startswith(f"Before {upper.date}: cap the gateways")


@pytest.mark.parametrize(
    ("name", "settings", "fact"),
    [
        (
            "max-amount-due",
            {"limit": "900 USD"},
            "the upcoming invoice is $999.00 for 2026-08-01 to 2026-08-31, over the limit of "
            "$900.00 by $99.00",
        ),
        (
            "max-line-amount",
            {"limits": {"openai/*": "900 USD"}},
            "the line openai/gpt-5.5 of the upcoming invoice comes to $999.00 after credits for "
            "2026-08-01 to 2026-08-31, over the limit of $900.00 by $99.00",
        ),
    ],
)
def test_a_period_before_that_is_over_is_told_with_its_own_figures(
    name: str, settings: dict[str, Any], fact: str
) -> None:
    snapshot = taken("usual")
    invoice = Found.of_snapshot(snapshot).invoice
    august = FIRST - timedelta(days=31)
    line = dataclasses.replace(
        invoice.invoice_lines[0],
        description="openai/gpt-5.5",
        amount=99900,
        pretax_credit_amounts=[],
        period=None,
    )
    before = dataclasses.replace(
        invoice,
        amount_due=99900,
        period_start=int(august.timestamp()),
        period_end=int(FIRST.timestamp()),
        invoice_lines=[line],
    )
    also = (InvoiceState(ACCOUNT, before),)
    headline = report_on(snapshot, rules={name: settings}, also=also).headline
    assert headline.startswith(f"Over budget: {fact}; $188.46 so far in September (day ")


def test_of_several_the_counts_and_the_worst_are_reported() -> None:
    names = ("usual", "launch", "steady", "yen")
    snapshots = [taken(name, NOW, f"{number:032x}") for number, name in enumerate(names)]
    report = report_on(*snapshots, rules=LIMIT)
    assert re.match(
        r"Over budget: 1 of 4 over, 1 unknown; \$874\.25 and ¥1,900 so far in total, "
        r"heading for \$2,\d{3} and ¥3,\d{3}\. Worst is Account 000000…0001: \$479\.27 so far in ",
        report.headline,
    )
    assert report.remedies == [
        "Account 000000…0001: Cap the gateways with spend limits, raise the limit of the rule "
        "max-amount-due in rules.json, or give it a waiver.",
        "Account 000000…0003: Set the limit of the rule max-amount-due in rules.json in JPY.",
    ]


@pytest.mark.parametrize("limit", ["350 USD", "330 USD", "500 USD"])
def test_of_several_the_first_to_pass_a_limit_is_the_worst_in_whatever_order(limit: str) -> None:
    """Its account is in the headline, and the first in what to do and in what people are told."""
    rules = {"max-amount-due": {"limit": limit}}
    for names in (("steady", "growing"), ("growing", "steady")):
        snapshots = [taken(name, NOW, f"{number:032x}") for number, name in enumerate(names)]
        report = report_on(*snapshots, rules=rules)
        worst = f"Account 000000…{names.index('growing'):04}"
        assert f"Worst is {worst}: $228.13 in September" in report.headline
        assert report.remedies[0].startswith(f"{worst}: ")
        told = [wrong.text for wrong in notice_of(report, ["outlook"]).wrong]
        assert told[0].startswith(f"max-amount-due: {worst}: the forecast of $")
        assert all("Account 000000…" in text for text in told)


SPIKE = (
    "$111.71 on 2026-09-16 (today so far) is 6 times a usual day; $362.98 so far in September (day "
    "16 of 30); forecast $613."
)
OLD = "(figures of 2026-09-14, 2 days old): $188.46 so far in September (day 14 of 30); forecast $"


@pytest.mark.parametrize(
    ("scenarios", "days_old", "warnings", "worst"),
    [
        (("no-usage", "night-loop", "steady"), (0, 0, 0), 1, f"0001: {SPIKE}"),
        (("no-usage", "usual", "steady"), (0, 2, 0), 1, f"0001 {OLD}"),
        (("usual", "night-loop", "usual"), (2, 0, 0), 2, f"0001: {SPIKE}"),
        (("usual", "usual", "usual"), (2, 2, 2), 3, "0000: $188.46 so far in "),
    ],
    ids=["unusual spend", "old figures", "both", "all of them as old"],
)
def test_of_several_within_their_limits_the_worst_is_one_with_a_warning_which_it_states(
    scenarios: tuple[str, ...], days_old: tuple[int, ...], warnings: int, worst: str
) -> None:
    of_each = enumerate(zip(scenarios, days_old, strict=True))
    snapshots = [
        taken(scenario, MORNING - timedelta(days=days), f"{number:032x}")
        for number, (scenario, days) in of_each
    ]
    report = report_on(*snapshots, rules={"max-amount-due": {"limit": "1000 USD"}}, at=MORNING)
    assert f"{warnings} of 3 with a warning; " in report.headline
    assert f" Worst is Account 000000…{worst}" in report.headline
    assert report.remedies[0].startswith(f"Account 000000…{worst[:4]}")
    assert notice_of(report, KINDS).title(()).endswith(report.headline)


@pytest.mark.parametrize(
    ("names", "rule", "own", "fact"),
    [
        (
            ("usual", "top-up-failed"),
            "min-credit-balance",
            {"limit": "100 USD"},
            "credits are down to $4.20, below the minimum of $100.00 by $95.80",
        ),
        (("growing", "top-up-failed"), "min-runway", {"days": 30}, "credits run out today"),
        (
            ("top-up-failed", "never-paid"),
            "min-runway",
            {"days": 30},
            "credits are used up and AI Gateway refuses requests",
        ),
    ],
)
def test_of_several_the_worst_is_the_one_whose_credits_are_down_to_less_or_run_out_first(
    names: tuple[str, str], rule: str, own: dict[str, Any], fact: str
) -> None:
    snapshots = [taken(name, NOW, f"{number:032x}") for number, name in enumerate(names)]
    written = {"accountIds": [each.account_id for each in snapshots], **own}
    for ordered in (snapshots, snapshots[::-1]):
        headline = report_on(*ordered, rules={rule: written}).headline
        assert f" Worst is Account 000000…0001: {fact}" in headline


UNCAPPED = gateway("default", is_default=True)
PARTLY_CAPPED = [UNCAPPED, gateway("chat", cost_rule(5))]
CAPS = {"rule": "require-gateway-spend-limit", "limit": "5 USD"}


@pytest.mark.parametrize(
    ("listed", "fact"),
    [
        (PARTLY_CAPPED, "not every gateway has a spend limit, and those that do may spend $160.00"),
        ([UNCAPPED], "the AI gateway default has no spend limit on all of its traffic: it has"),
    ],
)
def test_of_several_the_worst_is_the_one_of_which_a_gateway_has_no_limit(
    listed: list[Any], fact: str
) -> None:
    capped = taken("capped-gateways", NOW, f"{0:032x}")
    uncapped = snapshot(account_id=f"{1:032x}", gateways=listed)
    rules = {"caps": {**CAPS, "accountIds": [capped.account_id, uncapped.account_id]}}
    for ordered in ((capped, uncapped), (uncapped, capped)):
        headline = report_on(*ordered, rules=rules).headline
        assert f" Worst is Account 000000…0001: {fact}" in headline


def test_without_an_invoice_the_headline_says_that_a_gateway_has_no_limit_too() -> None:
    refused = NotAvailableError("HTTP 403")
    lacking = snapshot(invoice_preview=refused, gateways=PARTLY_CAPPED)
    report = report_on(lacking, rules={"caps": {**CAPS, **OF_ACCOUNT}})
    assert report.headline.startswith(
        f"Not all of the AI gateways of account {ACCOUNT} have a spend limit, and those that do "
        "allow $160.00 in a month of 31 days, over the limit of $5.00 by $155.00: "
    )


@pytest.mark.parametrize(
    ("names", "rules", "title", "fact"),
    [
        (
            ("pages-failing", "unpaid"),
            {"no-unpaid-invoices": {"accountIds": [f"{0:032x}", f"{1:032x}"]}},
            "Against a rule, and not fully judged: 1 of 2 failed, 1 unknown; ",
            "whether there are unpaid invoices, since the API gave only a part of the invoice ",
        ),
        (
            ("steady", "usual"),
            {
                "max-amount-due": {
                    "limit": {"limit": "420 USD", "accounts": {f"{1:032x}": "1000 USD"}}
                },
                "min-credit-balance": {
                    "accountIds": [f"{1:032x}"],
                    "limit": "100 USD",
                    "enforcementLevel": "advisory",
                },
            },
            "Within budget so far: 2 of 2 with a warning; ",
            "$206.52 in September (day 15 of 30); the forecast of $433 passes the limit of $420 ",
        ),
    ],
    ids=["unknown", "outlook"],
)
def test_of_several_the_title_is_true_of_the_worst(
    names: tuple[str, str], rules: dict[str, Any], title: str, fact: str
) -> None:
    snapshots = [taken(name, NOW, f"{number:032x}") for number, name in enumerate(names)]
    headline = report_on(*snapshots, rules=rules).headline
    assert headline.startswith(title)
    assert f" Worst is Account 000000…0000: {fact}" in headline


def test_of_several_the_worst_is_none_that_no_rule_judged() -> None:
    """Figures that are as old as its own warn of an invoice only where a rule judged it."""
    later = NOW + timedelta(days=2)
    snapshots = [taken("usual", NOW, f"{number:032x}") for number in range(2)]
    rules = {"account-budget": {"accountIds": [f"{1:032x}"], "limit": "5000 USD"}}
    headline = report_on(*snapshots, rules=rules, at=later).headline
    assert "; no rule judged 1 of them. Worst is Account 000000…0001: " in headline


@pytest.mark.parametrize("rule", ["no-unpaid-invoices", "max-amount-due"])
def test_unusual_spend_is_in_the_headline_that_warns_of_it_with_and_without_a_limit(
    rule: str,
) -> None:
    settings = {"limit": "1000 USD"} if rule == "max-amount-due" else OF_ACCOUNT
    report = report_on(taken("night-loop", MORNING), rules={rule: settings})
    assert report.tone == "advisory"
    assert SPIKE.partition(";")[0] in report.headline
    assert SPIKE.partition(";")[0] not in only(report).summary


def test_of_several_those_that_no_rule_judged_are_counted() -> None:
    snapshots = [taken("usual"), taken("usual", NOW, OTHER_ACCOUNT)]
    for limit, begins in (("900 USD", "Within budget: 2 upcoming"), ("9 USD", "Over budget: 1 of")):
        rules = {"account-budget": {"limit": limit, **OF_ACCOUNT}}
        headline = report_on(*snapshots, rules=rules).headline
        assert headline.startswith(begins)
        assert "; no rule judged 1 of them." in headline
    assert "no rule" not in report_on(*snapshots, rules=LIMIT).headline


def beside_another(
    own: Snapshot, rules: Any, at: datetime = NOW, other: Snapshot | None = None
) -> Report:
    """Return a report on an account's invoice, where rules can read another account too."""
    found, other = [Found.of_snapshot(own)], other or taken("usual", at, OTHER_ACCOUNT)
    declared = parse_rules({"rules": rules})
    results = judge(declared, found, at, AccountReader({}, snapshots=[own, other]))
    return make_report(found, at=at, rules=results)


@pytest.mark.parametrize("kind", ["account-budget", "max-forecast"])
@pytest.mark.parametrize("own", [{}, {"max-amount-due": {"limit": "5000 USD"}}])
def test_a_forecast_is_not_held_to_the_rule_of_another_account(kind: str, own: Any) -> None:
    def headline(account_id: str) -> str:
        of_account = {kind: {"accountIds": [account_id], "limit": "400 USD"}}
        report = beside_another(taken("usual"), own | of_account)
        assert [rule.verdict for rule in report.rules] == ["within"] * len(report.rules)
        rows = {row.name: row for row in tables.judged(report, 3)}
        assert rows[kind].may_not_last == ("may pass" in report.headline)
        return report.headline

    assert "may pass the limit of $400" in headline(ACCOUNT)
    assert "$400" not in headline(OTHER_ACCOUNT)


def test_a_rule_is_not_in_doubt_for_the_age_of_another_account() -> None:
    later = NOW + timedelta(days=3)
    for account_id, is_in_doubt in ((ACCOUNT, True), (OTHER_ACCOUNT, False)):
        rules = {"account-budget": {"accountIds": [account_id], "limit": "5000 USD"}}
        [row] = tables.judged(beside_another(taken("usual"), rules, later), 3)
        assert row.may_not_last == is_in_doubt


@pytest.mark.parametrize("minimum", ["1 USD", "900 USD"])
def test_the_headline_of_what_is_not_known_agrees_with_the_verdict(minimum: str) -> None:
    """Another rule may be violated."""
    rules = {
        "min-credit-balance": {**OF_ACCOUNT, "limit": minimum},
        "account-budget": {"accountIds": [OTHER_ACCOUNT], "limit": "50 USD"},
    }
    report = report_on(taken("usual"), rules=rules)
    title = {"unknown": "Unknown", "over": "Against a rule, and not fully judged"}[report.verdict]
    assert report.headline.startswith(f"{title}: account {OTHER_ACCOUNT}: no credentials ")
    assert (report.verdict == "over") == (minimum == "900 USD")


@pytest.mark.parametrize("level", ["mandatory", "advisory"])
@pytest.mark.parametrize("is_own", [True, False])
def test_each_account_in_a_headline_is_dated_by_its_own_figures(is_own: bool, level: str) -> None:
    later = NOW + timedelta(days=3)
    age = f" (figures of {NOW:%Y-%m-%d}, 3 days old): "
    own = taken("usual", NOW if is_own else later)
    other = taken("usual", later if is_own else NOW, OTHER_ACCOUNT)
    budget = {"accountIds": [OTHER_ACCOUNT], "limit": "100 USD", "enforcementLevel": level}
    report = beside_another(own, {"account-budget": budget}, later, other)
    title, _, facts = report.headline.partition(": ")
    assert title == {"mandatory": "Over budget", "advisory": "Over an advisory limit"}[level]
    mine, theirs = (age, ": ") if is_own else (": ", age)
    assert facts.startswith(f"account {OTHER_ACCOUNT}{theirs}the ")
    assert f"; account {ACCOUNT}{mine}$" in facts
    assert facts.count("days old") == 1
    notes = "\n".join(notice_of(report, KINDS).on_what_was_read)
    assert (f"Account {OTHER_ACCOUNT} was read on {NOW:%Y-%m-%d} " in notes) == (not is_own)


@pytest.mark.parametrize("refused", ["invoice-preview", "usage-history"])
@pytest.mark.parametrize("fail_open", [True, False])
@pytest.mark.parametrize("others", [0, 1, 2])
def test_an_account_that_could_not_be_read_is_dated_by_its_snapshot_and_not_as_judged(
    refused: str, fail_open: bool, others: int
) -> None:
    known, later = taken("usual", NOW, OTHER_ACCOUNT), NOW + timedelta(days=2)
    answers = {**known.answers, refused: NotAvailableError("HTTP 403")}
    lacking = dataclasses.replace(known, answers=answers)
    of_account = {"accountIds": [OTHER_ACCOUNT], "limit": "900 USD", "failOpen": fail_open}
    rules = {
        "max-forecast": of_account,
        "p90": {"rule": "max-forecast", "percentile": 90, **of_account},
    }
    found = [Found.of_snapshot(taken("usual", later, n * 32)) for n in "ab"[:others]]
    judged = judge(parse_rules({"rules": rules}), found, later, AccountReader({}, (), [lacking]))
    report = make_report(found, at=later, rules=judged)
    told = f"The snapshot of account {OTHER_ACCOUNT} was taken on 2026-09-15 12:00 UTC."
    assert [told in rule.noted for rule in report.rules] == [True, False]
    assert notice_of(report, KINDS).on_what_was_read == [f"max-forecast: {told}"]
    for render in (text.render, markdown.render, html.render, json_report.render):
        assert "is judged as of" not in render(report)
    assert "figures of" not in report.headline
    assert ("snapshot of 2026-09-15, 2 days old" in report.headline) == (not fail_open)


def test_an_unusual_day_is_said_beside_a_rule_on_the_days_of_another_account() -> None:
    rules = {
        "max-amount-due": {"limit": "5000 USD"},
        "max-daily-spend": {"accountIds": [OTHER_ACCOUNT], "limit": "900 USD"},
    }
    headline = beside_another(taken("night-loop", MORNING), rules, MORNING).headline
    assert "$111.71 on 2026-09-16 (today so far) is 6 times a usual day" in headline


REFUSED = snapshot(
    account_id=OTHER_ACCOUNT,
    invoice_preview=NotAvailableError("HTTP 403"),
    credit_balance={"balance": 9200},
)


def test_figures_beside_a_fact_about_another_account_say_whose_they_are() -> None:
    """They would be taken for those of the account that the headline begins with."""
    own, cheap = taken("growing"), {"max-amount-due": {"limit": "500 USD"}}
    budget = {"account-budget": {"accountIds": [OTHER_ACCOUNT], "limit": "100 USD"}}
    for report in (report_on(own, REFUSED, rules=cheap), beside_another(own, cheap | budget)):
        _, whose, theirs = report.headline.partition(f"; account {ACCOUNT}: ")
        assert whose, report.headline
        assert theirs.startswith("$228.13 so far in September (day 15 of 30); ")
        notice = notice_of(report, KINDS)
        assert (notice.forecast or "").startswith("Account 023e10…c353: Forecast $549 for ")
        [outlook] = [wrong.text for wrong in notice.wrong if wrong.kind == "outlook"]
        assert outlook.startswith("max-amount-due: Account 023e10…c353: the forecast of $549 ")
    shared = {"accountIds": [ACCOUNT, OTHER_ACCOUNT], "limit": "300 USD"}
    launched = taken("launch", NOW, OTHER_ACCOUNT)
    headline = beside_another(own, {"account-budget": shared}, other=launched).headline
    assert headline.startswith(f"Over budget: account {OTHER_ACCOUNT}: the upcoming invoice is ")
    assert "; the forecast of $549 passes the limit of $300 about 2026-09-" in headline
    unread = {"accountIds": [32 * "f"], "limit": "100 USD", "failOpen": True}
    headline = beside_another(own, {"account-budget": unread}).headline
    assert f"no rule was judged, as account {32 * 'f'} could not be " in headline
    assert f"; account {ACCOUNT}: $228.13 so far in September (day 15 of 30); " in headline
    faster = {"accountIds": [OTHER_ACCOUNT], "limit": "300 USD"}
    both = beside_another(
        own, {"max-amount-due": {"limit": "300 USD"}, "max-forecast": faster}
    ).headline
    assert "which it passes" not in both.partition(f"; account {ACCOUNT}: ")[0]
    assert "the forecast of $549 passes the limit of $300 about 2026-09-" in both
    known = Found.of_snapshot(own)
    unnamed = [dataclasses.replace(known, state=dataclasses.replace(known.state, account_id=None))]
    reader = AccountReader({}, snapshots=[taken("usual", NOW, OTHER_ACCOUNT)])
    judged = judge(parse_rules({"rules": budget}), unnamed, NOW, reader)
    headline = make_report(unnamed, at=NOW, rules=judged).headline
    assert "; the invoice here: $228.13 so far in September (day 15 of 30); " in headline
    alone = report_on(own, rules=cheap)
    assert ACCOUNT not in alone.headline
    assert (notice_of(alone, KINDS).forecast or "").startswith("Forecast $549 for ")


@pytest.mark.parametrize("other", ["top-up-failed", "topped-up"])
def test_what_to_do_beside_another_account_is_addressed_and_in_the_order_of_the_headline(
    other: str,
) -> None:
    rules = {
        "max-amount-due": {"limit": "450 USD"},
        "min-runway": {"accountIds": [OTHER_ACCOUNT], "days": 14},
    }
    mine, theirs = f"account {ACCOUNT}: ", f"account {OTHER_ACCOUNT}: "
    report = beside_another(taken("growing"), rules, other=taken(other, NOW, OTHER_ACCOUNT))
    # One whose top-up works comes last.
    first, second = (theirs, mine) if other == "top-up-failed" else (mine, theirs)
    assert report.headline.startswith(first.capitalize())
    assert f"; {second}" in report.headline
    addressees = [remedy.partition(": ")[0] for remedy in report.remedies]
    of_mine, of_theirs = ["Account 023e10…c353"] * 2, [f"Account {OTHER_ACCOUNT}"]
    in_order = [*of_theirs, *of_mine] if first == theirs else [*of_mine, *of_theirs]
    assert addressees == in_order
    alone = report_on(taken("growing"), rules={"max-amount-due": {"limit": "450 USD"}})
    assert not any(remedy.startswith("Account") for remedy in alone.remedies)


def test_an_abbreviation_at_the_beginning_of_a_fact_stays_one() -> None:
    headline = report_on(taken("usual"), REFUSED, rules=LIMIT).headline
    assert headline.startswith(f"Unknown: account {OTHER_ACCOUNT}: HTTP 403; ")


def test_an_account_that_is_the_only_one_is_not_repeated_by_every_rule() -> None:
    rendered = text.render(report_on(taken("top-up-failed"), rules=EVERY))
    assert rendered.count(ACCOUNT) == 1
