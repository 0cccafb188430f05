"""What the rules on the forecast and on the runway find."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pulumi_cf_invoice import ApiError, forecast
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import DeclaredRule
from pulumi_cf_invoice.rules.gates import Gate
from pulumi_cf_invoice.rules.on_forecasts import FORECAST, RUNWAY
from pulumi_cf_invoice.rules.rule import Finding
from tests.factories import (
    ACCOUNT,
    END,
    NOW,
    OTHER_ACCOUNT,
    START,
    Result,
    api_line,
    api_result,
    snapshot,
)

DAY = 86_400
NOON = 14
"""The whole days of the period that are over at `NOW`, which is at noon of the next one."""
REFUSED = ApiError("usage history", ACCOUNT, 403, 10000, "Authentication error", "Use another.")
TOPUP = {"amount": 1000, "threshold": 500}
LATER = NOW + timedelta(hours=3)
"""When a snapshot of `NOW` is judged."""
LONG_AFTER = datetime.fromtimestamp(END + 2 * DAY, tz=UTC)


def usage(days: Sequence[float], at: datetime = NOW) -> Result:
    """Return a usage history of *days* in cents, of which today is the last one."""
    today = int(at.timestamp()) // DAY * DAY
    since = today - 99 * DAY
    entries = [
        {
            "id": str(ago),
            "start_time": (today - ago * DAY) * 1000,
            "end_time": (today - ago * DAY + DAY) * 1000,
            "aggregated_value": value,
        }
        for ago, value in enumerate(reversed(days))
    ]
    query = {
        "value_grouping_window": "day",
        "start_time": str(since * 1000),
        "end_time": str((today + DAY) * 1000),
    }
    return Result({"history": entries}, Answered(True, query, at))


def bill(gross: float, **changes: Any) -> Result:
    """Return an invoice of one line of usage, without tax; *whole* says whether it is all of it."""
    whole = changes.pop("whole", True)
    period = {"start": changes.get("period_start", START), "end": changes.get("period_end", END)}
    line = api_line(amount=gross, pretax_credit_amounts=[], period=period)
    lines = [line, *changes.pop("lines", [])]
    result = api_result(**{"amount_due": gross, "invoice_lines": lines, **changes})
    return Result(result, Answered(whole))


STEADY: dict[str, Any] = {
    # $10.00 a day, as long as the history goes back.
    "invoice_preview": bill(1000 * NOON + 500),
    "usage_history": usage([1000.0] * 80 + [500]),
    "credit_balance": {"balance": 12_000, "topup_config": {}},
}
SPIKES = [4000 if n % 5 == 0 else 1000 for n in range(80)]
JUMPING: dict[str, Any] = {
    **STEADY,
    "invoice_preview": bill(sum(SPIKES[-NOON:]) + 500),
    "usage_history": usage([*SPIKES, 500]),
}
SHORT: dict[str, Any] = {
    **STEADY,
    "invoice_preview": bill(9500),
    "usage_history": usage([1000.0] * 9 + [500]),
}
NEW: dict[str, Any] = {
    **STEADY,
    "invoice_preview": bill(2500),
    "usage_history": usage([1000.0, 1000, 500]),
}


def judge(
    kind: str,
    given: Any,
    answers: dict[str, Any] = STEADY,
    *,
    read_at: Any = NOW,
    at: Any = LATER,
    **changes: Any,
) -> list[Finding]:
    """Return what a rule of *kind* finds at the time *at* in *answers* of `NOW`."""
    settings = given if isinstance(given, dict) else {_FIRST[kind]: given}
    reader = AccountReader({}, snapshots=[snapshot(read_at=read_at, **{**answers, **changes})])
    written = {"rule": kind, "accountIds": [ACCOUNT], **settings}
    found = Gate.of(DeclaredRule.parse("x", written)).judge_accounts(reader, at)
    assert all("\n" not in finding.message for finding in found)
    return found


_FIRST = {"max-forecast": "limit", "min-runway": "days"}


def statuses(found: list[Finding]) -> list[str]:
    return [finding.status for finding in found]


def messages(status: str, found: list[Finding]) -> list[str]:
    return [finding.message for finding in found if finding.status == status]


# The forecast.


def test_a_forecast_over_the_limit_tells_percentile_method_and_error() -> None:
    [found] = judge("max-forecast", "250 USD")
    assert (found.status, found.subject) == ("over", FORECAST)
    assert found.message == (
        f"The upcoming invoice of account {ACCOUNT} is forecast to be $300.00 (the median) for "
        "2026-09-01 to 2026-09-30, over the limit of $250.00 by $50.00. It is $145.00 so far. The "
        "forecast is based on daily usage, with 80 days of history, and has been off by 0% over 14 "
        "days, tried on 49 days. Largest lines: openai/gpt-5.5 $145.00."
    )
    assert found.text == "$300.00, over the limit of $250.00 by $50.00"


def test_a_forecast_at_the_limit_is_within_it() -> None:
    assert statuses(judge("max-forecast", "300 USD")) == ["within"]
    assert statuses(judge("max-forecast", "299.99 USD")) == ["over"]


def test_the_careful_percentile_is_over_where_the_median_is_not() -> None:
    [median] = judge("max-forecast", "100000 USD", JUMPING)
    [careful] = judge("max-forecast", {"limit": "100000 USD", "percentile": 90}, JUMPING)
    assert median.amount is not None
    assert careful.amount is not None
    assert median.amount.amount < careful.amount.amount
    limit = f"{median.amount.amount / 100} USD"
    assert statuses(judge("max-forecast", limit, JUMPING)) == ["within"]
    [message] = messages("over", judge("max-forecast", {"limit": limit, "percentile": 90}, JUMPING))
    assert "(the 90th percentile)" in message
    assert "and was off by 0%" not in message


def test_what_is_due_already_needs_no_forecast_to_be_over() -> None:
    whatever: Any = {"usage_history": REFUSED, "credit_balance": REFUSED}
    for changes in ({}, whatever, {"invoice_preview": bill(14_500, whole=False)}):
        [found] = judge("max-forecast", "100 USD", **changes)
        assert found.status == "over"
        assert found.message.startswith(
            f"The upcoming invoice of account {ACCOUNT} is $145.00 for 2026-09-01 to 2026-09-30, "
            "over the limit of $100.00 by $45.00."
        )
    assert statuses(judge("max-forecast", {"limit": "100 USD", "failOpen": True}, **whatever)) == [
        "over"
    ]


def test_a_usage_history_that_is_refused_lets_nothing_pass() -> None:
    [found] = judge("max-forecast", "10000 USD", usage_history=REFUSED)
    assert found.status == "unknown"
    assert found.message == f"Account {ACCOUNT} could not be judged: {REFUSED}"
    settings = {"limit": "10000 USD", "failOpen": True}
    assert statuses(judge("max-forecast", settings, usage_history=REFUSED)) == ["noted"]


@pytest.mark.parametrize(("kind", "limit"), [("max-forecast", "900 USD"), ("min-runway", 1)])
@pytest.mark.parametrize(("ago", "is_known"), [(0, True), (1, False), (27, False), (60, True)])
def test_a_day_without_its_value_is_not_a_day_without_usage(
    kind: str, limit: Any, ago: int, is_known: bool
) -> None:
    history = usage([*[1000.0] * 80, 500])
    history.result["history"][ago]["aggregated_value"] = None
    [found] = judge(kind, limit, usage_history=history)
    assert found.status == ("within" if is_known else "unknown")
    if not is_known:
        assert "the usage history has 1 day without a value" in found.message


@pytest.mark.parametrize(("kind", "limit"), [("max-forecast", "900 USD"), ("min-runway", 1)])
def test_on_the_first_day_of_a_period_usage_without_its_value_is_not_known_either(
    kind: str, limit: Any
) -> None:
    at = datetime.fromtimestamp(START, tz=UTC) + timedelta(hours=12)
    history = usage([*[1000.0] * 80, 500], at)
    history.result["history"][5]["aggregated_value"] = None
    changes: dict[str, Any] = {"invoice_preview": bill(500), "usage_history": history}
    [found] = judge(kind, limit, read_at=at, at=at, **changes)
    assert found.status == "unknown"
    assert "the usage history has 1 day without a value" in found.message


def test_a_balance_that_is_refused_is_noted_and_the_forecast_judged() -> None:
    for limit, status in (("300 USD", "within"), ("250 USD", "over")):
        found = judge("max-forecast", limit, credit_balance=REFUSED)
        assert statuses(found) == [status, "noted"]
        assert found[1].message == (
            f"How long the credits of account {ACCOUNT} last is not known, so the forecast assumes "
            f"that they do: {REFUSED}"
        )


def test_incomplete_lines_are_not_known() -> None:
    [found] = judge("max-forecast", "1000 USD", invoice_preview=bill(14_500, whole=False))
    assert (found.status, found.subject) == ("unknown", FORECAST)
    assert "The forecast of the upcoming invoice" in found.message
    assert "the API gave only a part of the invoice's lines" in found.message


def test_in_the_first_hour_the_amount_due_is_judged_and_that_is_noted() -> None:
    early = datetime.fromtimestamp(START, tz=UTC) + timedelta(minutes=30)
    answers = {
        **STEADY,
        "invoice_preview": bill(20),
        "usage_history": usage([1000.0] * 80 + [20], early),
    }
    found = judge("max-forecast", "1000 USD", answers, read_at=early)
    assert statuses(found) == ["within", "noted"]
    assert found[1].message == (
        f"The upcoming invoice of account {ACCOUNT} is not yet an hour into its period (2026-09-01 "
        "to 2026-09-30), too early for a forecast: only the amount due was judged."
    )


def test_where_there_is_only_a_straight_line_the_amount_due_is_judged_and_why_is_noted() -> None:
    found = judge("max-forecast", "26 USD", NEW)
    assert statuses(found) == ["within", "noted"]
    assert found[0].text == "$25.00, within the limit of $26.00"
    assert found[1].message == (
        f"There is only a straight line for the upcoming invoice of account {ACCOUNT}, which is no "
        "forecast: only the amount due was judged. There are fewer than three whole days of usage, "
        "too few for a trend."
    )
    none = judge("max-forecast", "200 USD", usage_history=usage([]))
    assert statuses(none) == ["within", "noted"]
    assert none[1].message.endswith(
        "The usage history has no usage in this period, although the invoice does."
    )


def test_without_a_band_the_median_can_be_judged_and_the_careful_percentile_cannot() -> None:
    [median] = judge("max-forecast", "200 USD", SHORT)
    assert median.status == "over"
    assert "is forecast to be $250.00 (the median)" in median.message
    assert (
        "The forecast is based on the mean of the last days, without a band (under 14 days of "
        "history), with 9 days of history. Largest"
    ) in median.message
    careful = judge("max-forecast", {"limit": "200 USD", "percentile": 90}, SHORT)
    assert statuses(careful) == ["within", "noted"]
    assert careful[1].message == (
        f"The forecast of the upcoming invoice of account {ACCOUNT} has no band with 9 days of "
        "history, and so no 90th percentile: only the amount due was judged."
    )


@pytest.mark.parametrize("percentile", [50, 90])
def test_after_the_end_of_the_period_there_is_nothing_to_forecast(percentile: int) -> None:
    over = datetime.fromtimestamp(END, tz=UTC) + timedelta(hours=1)
    answers = {"invoice_preview": bill(30_000), "usage_history": usage([1000.0] * 80 + [1], over)}
    settings = {"limit": "300 USD", "percentile": percentile}
    [note] = judge("max-forecast", settings, {**STEADY, **answers}, read_at=over)
    assert note.status == "noted"
    assert note.message.endswith("cannot be forecast: the period has ended.")
    settings["limit"] = "299 USD"
    [due] = judge("max-forecast", settings, {**STEADY, **answers}, read_at=over)
    assert (due.status, due.subject) == ("over", "amount due")


def test_a_limit_in_another_currency_is_not_known() -> None:
    [found] = judge("max-forecast", "10000 EUR")
    assert found.status == "unknown"
    assert "in USD, which cannot be compared with the limit of €10,000.00" in found.message


def test_accounts_have_limits_of_their_own() -> None:
    limit = {"limit": "1000 USD", "accounts": {ACCOUNT: "200 USD"}}
    [found] = judge("max-forecast", {"limit": limit})
    assert "over the limit of $200.00" in found.message
    settings = {
        "limit": {"accounts": {OTHER_ACCOUNT: "1 USD"}},
        "accountIds": [ACCOUNT, OTHER_ACCOUNT],
    }
    found = judge("max-forecast", settings)[0]
    assert found.message == f"The limits differ by account: account {ACCOUNT} has none."


def test_a_waiver_raises_the_limit_and_says_so() -> None:
    waiver = {"until": "2026-09-20", "by": "the CFO", "reason": "launch", "limit": "280 USD"}
    [found] = judge("max-forecast", {"limit": "200 USD", "waiver": waiver})
    assert "over the limit of $280.00 by $20.00" in found.message
    assert found.message.endswith("is in force until 2026-09-20, by the CFO: launch.")


def test_lines_of_a_fixed_fee_are_not_extrapolated_and_globs_that_match_none_are_noted() -> None:
    fee = api_line(description="support plan", amount=10_000, pretax_credit_amounts=[])
    answers = {
        **STEADY,
        "invoice_preview": bill(14_500, lines=[fee], amount_due=24_500),
    }
    settings = {"limit": "400 USD", "fixedLines": ["support*", "seats\n*"]}
    found = judge("max-forecast", settings, answers)
    assert statuses(found) == ["noted", "within"]
    assert found[0].message == (
        f"No line of the upcoming invoice of account {ACCOUNT} matches seats *."
    )
    assert found[1].text == "$400.00, within the limit of $400.00"


def test_a_snapshot_is_forecast_as_of_its_time_and_not_as_of_now() -> None:
    for kind, setting, status in (
        ("max-forecast", "299 USD", "over"),
        ("min-runway", 13, "failed"),
    ):
        soon, late = (judge(kind, setting, at=NOW + timedelta(days=n)) for n in (0, 9))
        assert [finding.message for finding in soon] == [finding.message for finding in late]
        assert statuses(soon) == [status]


def test_an_account_is_forecast_once_in_a_run_whatever_rules_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Sequence[str]] = []
    forecast_invoice = forecast.forecast_invoice

    def counted(*given: Any, **named: Any) -> Any:
        made.append(named["fixed_lines"])
        return forecast_invoice(*given, **named)

    monkeypatch.setattr(forecast, "forecast_invoice", counted)
    reader = AccountReader({}, snapshots=[snapshot(**STEADY)])
    rules: list[dict[str, Any]] = [
        {"rule": "max-forecast", "limit": "250 USD"},
        {"rule": "max-forecast", "limit": "250 USD", "percentile": 90},
        {"rule": "min-runway", "days": 14},
        {"rule": "max-forecast", "limit": "250 USD", "fixedLines": ["openai/*"]},
    ]
    for number, rule in enumerate(rules):
        written = {**rule, "accountIds": [ACCOUNT]}
        gate = Gate.of(DeclaredRule.parse("x", written))
        assert gate.judge_accounts(reader, LATER + timedelta(seconds=number))
    assert made == [(), ("openai/*",)]


# The runway.


def test_credits_that_run_out_too_early_are_reported_with_their_date() -> None:
    # $120.00 at $10.00 a day, half of today's still to come.
    [found] = judge("min-runway", 14)
    assert (found.status, found.subject) == ("failed", RUNWAY)
    assert found.message == (
        f"On account {ACCOUNT}, credits of $120.00 last until 2026-09-27; they must last until "
        "2026-09-29 (14 days). Its automatic top-up is not set. AI Gateway refuses inference once "
        "the credits are used up (HTTP 402). The forecast is based on daily usage, with 80 days of "
        "history, and has been off by 0% over 14 days, tried on 49 days."
    )
    assert found.text == found.message


def test_a_runway_beyond_the_end_of_a_period_is_by_daily_usage() -> None:
    at = datetime.fromtimestamp(END, tz=UTC) + timedelta(hours=1)
    answers = {"invoice_preview": bill(30_000), "usage_history": usage([1000.0] * 80 + [1], at)}
    [found] = judge("min-runway", 14, {**STEADY, **answers}, read_at=at, at=at)
    assert found.status == "failed"
    assert "The forecast is based on daily usage, with 80 days of history, and" in found.message


def test_credits_may_run_out_on_the_day_after_those_that_were_asked_for() -> None:
    assert statuses(judge("min-runway", 12)) == ["within"]
    assert statuses(judge("min-runway", 13)) == ["failed"]
    assert statuses(judge("min-runway", 366)) == ["failed"]
    assert statuses(judge("min-runway", 1)) == ["within"]


def test_a_period_ends_with_its_last_day() -> None:
    for balance, status in ((15_499, "failed"), (15_500, "within")):
        [found] = judge("min-runway", "period", credit_balance={"balance": balance})
        assert found.status == status
        assert "must last until 2026-10-01 (the end of the period)" in found.message


def test_credits_that_last_over_a_year_are_within() -> None:
    [found] = judge("min-runway", 366, credit_balance={"balance": 10**9})
    assert found.status == "within"
    assert "credits of $10,000,000.00 last over a year; they must last until" in found.text


def test_the_early_date_is_reported_and_judged_if_the_rule_is_careful() -> None:
    [median] = judge("min-runway", 1, JUMPING)
    early = median.message.partition("(")[2][: len("2026-09-20")]
    days = (date.fromisoformat(early) - NOW.date()).days
    assert f"({early} at the earliest)" in median.message
    assert statuses(judge("min-runway", days + 1, JUMPING)) == ["within"]
    assert statuses(judge("min-runway", {"days": days, "percentile": 90}, JUMPING)) == ["within"]
    [careful] = judge("min-runway", {"days": days + 1, "percentile": 90}, JUMPING)
    assert careful.status == "failed"
    assert f"({days + 1} days), by the 90th percentile." in careful.message


@pytest.mark.parametrize("balance", [0, -300])
def test_credits_that_are_used_up_violate_whatever_else_can_be_read(balance: int) -> None:
    credits = {"balance": balance, "topup_config": TOPUP, "has_default_payment_method": True}
    settings = {"days": 1, "topUpSuffices": True, "failOpen": True}
    refused: Any = {"invoice_preview": REFUSED, "usage_history": REFUSED}
    [found] = judge("min-runway", settings, credit_balance=credits, **refused)
    assert found.status == "failed"
    assert found.message.startswith(f"Account {ACCOUNT} has no credits left: the balance is ")
    assert found.message.endswith(
        " cents. Its automatic top-up adds 1,000 cents (1,050 cents charged) when the balance "
        "falls below 500 cents. AI Gateway refuses inference at zero and below (HTTP 402)."
    )
    assert found.remedy.startswith("Buy credits, or raise what the automatic top-up adds, ")
    [found] = judge("min-runway", 1, NEW, credit_balance=credits)
    assert f"the balance is {'$0.00' if balance == 0 else '-$3.00'}." in found.message


def test_a_top_up_that_works_is_enough_only_where_the_rule_says_so() -> None:
    topup = {**TOPUP, "lastFailedAt": START}
    credits = {"balance": 12_000, "topup_config": topup, "has_default_payment_method": True}
    [without] = judge("min-runway", 30, credit_balance=credits)
    assert without.status == "failed"
    assert (
        "Its automatic top-up adds $10.00 ($10.50 charged) when the balance falls below $5.00. "
        "The rule does not count it. AI Gateway"
    ) in without.message
    settings = {"days": 30, "topUpSuffices": True}
    found = judge("min-runway", settings, credit_balance=credits, usage_history=REFUSED)
    assert statuses(found) == ["within", "noted"]
    assert found[0].message == (
        f"The automatic top-up of account {ACCOUNT} adds $10.00 ($10.50 charged) when the balance "
        "falls below $5.00, which suffices."
    )
    assert "last failed at 2026-09-01T00:00:00Z" in found[1].message


def test_a_top_up_that_failed_is_reported_first_and_suffices_for_nothing() -> None:
    credits = {"balance": 12_000, "topup_config": {**TOPUP, "error": "card declined"}}
    failed = f"The automatic top-up of account {ACCOUNT} failed: “card declined”."
    settings = {"days": 30, "topUpSuffices": True}
    [over] = judge("min-runway", settings, credit_balance=credits)
    assert over.status == "failed"
    assert over.message.startswith(f"{failed} On account {ACCOUNT}, credits of $120.00 last until")
    within = judge("min-runway", {**settings, "days": 7}, credit_balance=credits)
    assert statuses(within) == ["noted", "within"]
    assert within[0].message == failed


@pytest.mark.parametrize(
    ("settings", "answers", "why"),
    [
        ({"days": 366}, NEW, "There is only a straight line for the upcoming invoice of"),
        ({"days": 366, "percentile": 90}, SHORT, "has no band with 9 days of history"),
    ],
)
def test_where_history_is_too_short_the_balance_is_judged_and_that_is_noted(
    settings: Any, answers: dict[str, Any], why: str
) -> None:
    found = judge("min-runway", settings, answers)
    assert statuses(found) == ["within", "noted"]
    assert found[0].message == f"Account {ACCOUNT} has $120.00 of credits left."
    assert why in found[1].message
    assert ": only the balance was judged." in found[1].message


def test_the_period_of_an_invoice_that_is_over_asks_for_nothing_more() -> None:
    over = datetime.fromtimestamp(END, tz=UTC) + timedelta(hours=1)
    answers = {
        **STEADY,
        "invoice_preview": bill(30_000),
        "usage_history": usage([1000.0] * 80 + [1], over),
    }
    found = judge("min-runway", "period", answers, read_at=over)
    assert statuses(found) == ["noted"]
    assert found[0].message == (
        f"The period of the upcoming invoice of account {ACCOUNT} (2026-09-01 to 2026-09-30) "
        "has ended: how long the credits last was not judged."
    )
    assert statuses(judge("min-runway", 60, answers, read_at=over)) == ["failed"]


def test_a_runway_needs_all_lines_and_every_read() -> None:
    [part] = judge("min-runway", 1, invoice_preview=bill(14_500, whole=False))
    assert (part.status, part.message) == (
        "unknown",
        f"How long the credits of account {ACCOUNT} last is not known, since the API gave only a "
        "part of the invoice's lines.",
    )
    for read in STEADY:
        answers = {**STEADY, read: REFUSED}
        assert statuses(judge("min-runway", 1, answers)) == ["unknown"], read
        allowed = {"days": 1, "failOpen": True}
        assert statuses(judge("min-runway", allowed, answers)) == ["noted"], read


def test_the_fixed_lines_of_a_runway_that_match_none_are_noted() -> None:
    found = judge("min-runway", {"days": 1, "fixedLines": ["seats*"]})
    assert statuses(found) == ["noted", "within"]
    assert "matches seats*." in found[0].message


def test_a_waiver_shortens_the_runway() -> None:
    waiver = {"until": "2026-09-20", "by": "the CFO", "reason": "card renewal", "days": 7}
    assert statuses(judge("min-runway", {"days": 30, "waiver": waiver})) == ["within"]
    assert statuses(judge("min-runway", {"days": 30, "waiver": {**waiver, "days": 20}})) == [
        "failed"
    ]


@pytest.mark.parametrize(
    ("rule", "value", "subject"),
    [("max-forecast", "900 USD", FORECAST), ("min-runway", 14, RUNWAY)],
)
def test_usage_without_a_price_is_not_known(rule: str, value: object, subject: str) -> None:
    """An invoice of zero that is behind passed an account with two days of credits left."""
    answers = {**STEADY, "invoice_preview": bill(0), "credit_balance": {"balance": 2_000}}
    [found] = judge(rule, value, answers)
    assert (found.status, found.subject) == ("unknown", subject)
    assert found.violates
    assert "is not known: there is usage in this period that the invoice does not" in found.text


@pytest.mark.parametrize(
    ("rule", "value", "subject"),
    [("max-forecast", "900 USD", FORECAST), ("min-runway", 14, RUNWAY)],
)
@pytest.mark.parametrize("history", [[1000.0] * 80 + [500], [0.0] * 81], ids=["used", "idle"])
def test_lines_of_another_period_are_not_known_from_its_second_day_on(
    rule: str, value: object, subject: str, history: list[float]
) -> None:
    """An invoice of this period with the lines of the last one passed any forecast."""

    def judged(at: datetime) -> list[Finding]:
        answers = {**STEADY, "invoice_preview": of_august, "usage_history": usage(history, at)}
        return judge(rule, value, answers, read_at=at, at=at)

    august = {"start": START - 31 * DAY, "end": START}
    of_august = bill(14_500)
    for line in of_august.result["invoice_lines"]:
        line["period"] = august
    second_day = datetime.fromtimestamp(START + DAY, tz=UTC)
    for at in (second_day, NOW):
        [found] = judged(at)
        assert (found.status, found.subject) == ("unknown", subject)
        assert "is not known: the lines are of another period." in found.message
    for at in (second_day - timedelta(minutes=1), datetime.fromtimestamp(START + 60, tz=UTC)):
        found, noted = judged(at)
        assert (found.status, noted.status, noted.is_put_off) == ("within", "noted", True)
    # There may be none.
    _, noted = judged(second_day - timedelta(minutes=1))
    assert "does not charge yet for any usage of the period's first day" in noted.message
    ended = judge("max-forecast", "900 USD", invoice_preview=of_august, read_at=LONG_AFTER)
    assert [(found.status, found.is_put_off) for found in ended] == [("noted", True)]


@pytest.mark.parametrize(
    ("rule", "limit"), [("max-forecast", {"limit": "900 USD"}), ("min-runway", {"days": 14})]
)
def test_where_only_fixed_lines_charge_for_usage_that_is_why_nothing_is_known(
    rule: str, limit: dict[str, object]
) -> None:
    """They may be more than fees, or the invoice may be behind."""
    *_, found = judge(rule, {**limit, "fixedLines": ["*"]})
    assert found.status == "unknown"
    assert found.message.endswith(
        "is not known: there is usage in this period that no line but the fixed ones charges for: "
        "list only fees as fixed lines. If they are only fees, the usage may be included, or the "
        "invoice may be behind."
    )


@pytest.mark.parametrize(("rule", "value"), [("max-forecast", "900 USD"), ("min-runway", 14)])
def test_the_first_day_of_a_period_blocks_nobody(rule: str, value: object) -> None:
    """An invoice is rarely up to date: what is known is judged, and the rest is noted."""
    at = datetime.fromtimestamp(START + 7 * 3600, tz=UTC)
    answers = {
        **STEADY,
        "invoice_preview": bill(0),
        "usage_history": usage([1000.0] * 80 + [300], at),
        "credit_balance": {"balance": 2_000},
    }
    found = judge(rule, value, answers, read_at=at, at=at)
    assert statuses(found) == ["within", "noted"]
    assert "does not charge yet for any usage of the period's first day" in found[1].text


@pytest.mark.parametrize(("rule", "value"), [("max-forecast", "900 USD"), ("min-runway", 14)])
def test_usage_of_the_day_on_which_a_period_began_may_all_be_of_the_last(
    rule: str, value: object
) -> None:
    """An account that is idle since is not blocked; usage of a later day has no price."""
    begins = START + 18 * 3600
    at = datetime.fromtimestamp(begins + DAY + 3600, tz=UTC)

    def judged(today: float) -> list[Finding]:
        answers = {
            "invoice_preview": bill(0, period_start=begins),
            "usage_history": usage([1000.0] * 80 + [today], at),
            "credit_balance": {"balance": 2_000},
        }
        return judge(rule, value, answers, read_at=at, at=at)

    within, noted = judged(0)
    assert statuses([within, noted]) == ["within", "noted"]
    assert "no usage and no charges yet" in noted.text
    [found] = judged(1)
    assert found.status == "unknown"
    assert "usage in this period that the invoice does not charge for" in found.message
