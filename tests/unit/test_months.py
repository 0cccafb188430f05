"""Which earlier invoice is the usage invoice of a month, and this month against the last."""

import dataclasses
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from pulumi_cf_invoice.billing import Invoice
from pulumi_cf_invoice.billing.cleaning import shown
from pulumi_cf_invoice.billing.models import Answered, instant
from pulumi_cf_invoice.billing.money import LARGEST_AMOUNT
from pulumi_cf_invoice.billing.reads import CREDIT_BALANCE, INVOICE_HISTORY, INVOICE_PREVIEW
from pulumi_cf_invoice.billing.snapshot import Snapshot, parsed
from pulumi_cf_invoice.forecast.periods import period_before
from pulumi_cf_invoice.report import tables
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.months import Month, Months, fees_of
from tests.factories import ACCOUNT, END, START, Result, api_line, api_result, snapshot
from tests.unit.reports import report_on, taken
from tests.unit.test_rules_on_forecasts import NOON, bill, usage

STEADY = taken("steady")
WHOLE_MONTHS = usage([1000.0] * 80 + [500])
"""$10.00 a day."""
TOPUP = {"amount": 10_000, "threshold": 1000}


def at(month: int, day: int, hour: int = 6) -> int:
    return int(datetime(2026, month, day, hour, tzinfo=UTC).timestamp())


def row(amount: float, created: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"in_{amount}_{created}",
        "amount_due": amount,
        "amount_paid": amount,
        "amount_remaining": 0,
        "currency": "usd",
        "status": "paid",
        "created": created,
        **more,
    }


def with_rows(*rows: dict[str, Any], snapshot: Snapshot = STEADY, **balance: Any) -> InvoiceReport:
    answers: dict[str, Any] = {
        **snapshot.answers,
        "invoice-history": parsed(
            INVOICE_HISTORY,
            {"invoices": list(rows)},
            Answered(query={"type": "all"}, at=snapshot.read_at),
        ),
    }
    if balance:
        answers["credit-balance"] = parsed(
            CREDIT_BALANCE, {"balance": 5000, **balance}, Answered(at=snapshot.read_at)
        )
    [report] = report_on(dataclasses.replace(snapshot, answers=answers)).invoices
    return report


def with_credits(gross: int, credits: int) -> Result:
    """Return an invoice of one line of usage, of which credits of the balance take off a part."""
    credit = {"amount": credits, "type": "credit_balance_transaction"}
    line = api_line(amount=gross, pretax_credit_amounts=[credit])
    return bill(gross, amount_due=gross - credits, invoice_lines=[line])


def by_usage() -> int:
    """What August comes to by its usage, in cents."""
    last = last_month(with_rows())
    assert last is not None
    return int(last.amount)


def last_month(report: InvoiceReport) -> Month | None:
    assert report.months is not None
    return report.months.last


AUGUST = by_usage()


def test_without_an_invoice_a_month_is_reported_by_usage_as_far_as_usage_is_known() -> None:
    months = with_rows().months
    assert months is not None
    assert [month.name for month in months.known] == ["July", "August"]
    assert {month.how for month in months.known} == {" by its usage"}


@pytest.mark.parametrize(
    "amount", [AUGUST, round(AUGUST * 1.019), round(AUGUST * 0.981)], ids=["as", "above", "below"]
)
def test_an_invoice_near_a_months_usage_made_right_after_it_is_its_usage_invoice(
    amount: int,
) -> None:
    last = last_month(with_rows(row(amount, at(9, 1)), row(9900, at(8, 17))))
    assert last is not None
    assert last.invoice is not None
    assert last.amount == amount


@pytest.mark.parametrize(
    "rows",
    [
        [row(round(AUGUST * 1.03), at(9, 1))],
        [row(AUGUST, at(9, 4))],
        [row(AUGUST, at(8, 31, 23))],
        [row(AUGUST, at(9, 1), currency="eur")],
        [row(AUGUST, at(9, 1), status="void")],
        [row(AUGUST, at(9, 1)), row(AUGUST + 100, at(9, 2))],
        [row(AUGUST, None)],  # type: ignore[arg-type]
    ],
    ids=["too much", "too late", "too early", "currency", "void", "two of them", "no date"],
)
def test_what_cannot_be_told_apart_is_no_usage_invoice(rows: list[dict[str, Any]]) -> None:
    report = with_rows(*rows)
    last = last_month(report)
    assert last is not None
    assert last.invoice is None
    assert report.months is not None
    assert len(report.months.others) == len(rows)


def test_an_amount_with_tax_at_the_present_invoices_share_is_near_too() -> None:
    invoice = STEADY.get(INVOICE_PREVIEW)
    taxed = dataclasses.replace(invoice, amount_due=round(invoice.amount_due * 1.2))
    answers = {**STEADY.answers, "invoice-preview": taxed}
    snapshot = dataclasses.replace(STEADY, answers=answers)
    with_tax = round(AUGUST * 1.2)
    last = last_month(with_rows(row(with_tax, at(9, 1)), snapshot=snapshot))
    assert last is not None
    assert last.invoice is not None
    without = last_month(with_rows(row(with_tax, at(9, 1))))
    assert without is not None
    assert without.invoice is None


def test_last_months_forecast_is_compared_with_an_invoice_that_is_usage_alone() -> None:
    """It leaves out tax and fixed fees, and has the credits of now."""
    invoice = STEADY.get(INVOICE_PREVIEW)
    taxed = dataclasses.replace(invoice, amount_due=round(invoice.amount_due * 1.2))
    answers = {**STEADY.answers, "invoice-preview": taxed}
    snapshot = dataclasses.replace(STEADY, answers=answers)
    with_tax = with_rows(row(round(AUGUST * 1.2), at(9, 1)), snapshot=snapshot)
    usage_alone = with_rows(row(AUGUST, at(9, 1)))
    unlike = with_rows(row(AUGUST // 2, at(9, 1), description="usage"))
    for report, is_unlike in ((usage_alone, False), (with_tax, True), (unlike, True)):
        [told] = [line for line in report.summary if line.endswith(", which was right.")]
        assert (". By usage alone, on 2026-08-15 the forecast " in told) is is_unlike
    near = with_rows(row(round(AUGUST * 0.9), at(9, 1), description="usage")).summary
    [told] = [line for line in near if ", but it came to $" in line]
    assert "By usage alone" not in told


def test_a_multiple_of_the_top_up_with_its_fee_is_a_purchase() -> None:
    unit = round(AUGUST / 4 / 1.05)
    charged = round(4 * unit * 1.05)
    for amount, is_usage in ((unit, False), (unit + 37, True)):
        topup: dict[str, Any] = {
            "topup_config": {**TOPUP, "amount": amount},
            "has_default_payment_method": True,
        }
        last = last_month(with_rows(row(charged, at(9, 1)), **topup))
        assert last is not None
        assert (last.invoice is not None) is is_usage


def test_an_only_one_whose_own_words_say_usage_is_the_usage_invoice() -> None:
    words = {"description": "AI Gateway usage, August"}
    rows = [row(3, at(9, 1), **words), row(10500, at(9, 2))]
    last = last_month(with_rows(*rows))
    assert last is not None
    assert last.amount == 3
    both = last_month(with_rows(*rows, row(4, at(9, 2), invoice_origin="usage")))
    assert both is not None
    assert both.invoice is None


def test_months_are_the_oldest_first_and_the_forecast_is_the_last() -> None:
    rows = [row(100 * month, at(month, 1), description="usage") for month in (9, 8, 7, 6, 5)]
    months = with_rows(*rows).months
    assert isinstance(months, Months)
    assert [month.name for month in months.known] == ["April", "May", "June", "July", "August"]


def test_this_month_is_held_against_the_last() -> None:
    against = with_rows(row(AUGUST // 2, at(9, 1), description="usage")).against_last_month
    assert against is not None
    assert against.percent is not None
    assert against.percent > 80
    assert against.text.startswith("September at $")
    assert f" is {against.percent}% more than August ($" in against.text
    assert "; the largest line is " in against.text
    assert " by its usage" not in against.text
    usage = with_rows().against_last_month
    assert usage is not None
    assert usage.text.endswith(" by its usage).")


def test_tax_is_left_out_where_last_month_is_known_by_its_usage() -> None:
    invoice = STEADY.get(INVOICE_PREVIEW)
    taxed = dataclasses.replace(invoice, amount_due=invoice.amount_due + 5000)
    answers = {**STEADY.answers, "invoice-preview": taxed}
    report = with_rows(snapshot=dataclasses.replace(STEADY, answers=answers))
    plain, against = with_rows().against_last_month, report.against_last_month
    assert plain is not None
    assert against is not None
    assert against.percent == plain.percent
    assert " before tax is " in against.text


FEE = {"description": "support", "amount": 20_000, "pretax_credit_amounts": []}


def with_a_fee(*, baseline: int | None = None, **answers: Any) -> InvoiceReport:
    """Return the report on $145.00 of usage and a fixed fee of $200.00, after August's usage."""
    answers = {
        "invoice_preview": bill(14_500, amount_due=34_500, lines=[api_line(**FEE)]),
        "usage_history": WHOLE_MONTHS,
        **answers,
    }
    before = None
    if baseline is not None:
        lines = [api_line(amount=baseline, pretax_credit_amounts=[]), api_line(**FEE)]
        period = {"period_start": START - 31 * 86_400, "period_end": START}
        before = Invoice.from_api(
            api_result(amount_due=baseline + 20_000, invoice_lines=lines, **period)
        )
    rule = {"accountIds": [ACCOUNT], "limit": "900 USD", "fixedLines": ["support"]}
    made = snapshot(**answers)
    [report] = report_on(made, rules={"max-forecast": rule}, baseline=before).invoices
    return report


@pytest.mark.parametrize(
    ("baseline", "drivers"),
    [(None, ""), (31_000, "; openai/gpt-5.5 is nearly all of the fall")],
    ids=["usage alone", "a baseline too"],
)
def test_fixed_fees_are_left_out_where_last_month_is_known_by_its_usage(
    baseline: int | None, drivers: str
) -> None:
    against = with_a_fee(baseline=baseline).against_last_month
    assert against is not None
    assert shown(against.text) == (
        f"September at $300 before fixed fees is 3% less than August ($310 by its usage){drivers}."
    )


def test_tax_and_fixed_fees_are_left_out_together() -> None:
    taxed = bill(14_500, amount_due=36_000, lines=[api_line(**FEE)])
    against = with_a_fee(invoice_preview=taxed).against_last_month
    assert against is not None
    assert against.text.startswith("September at $300 before tax and fixed fees is 3% less than ")


@pytest.mark.parametrize(
    ("lines", "due", "left_out"),
    [
        ([], 14_000, "refunds"),
        ([api_line(**FEE)], 34_000, "fixed fees and refunds"),
        ([api_line(**FEE)], 35_500, "tax, fixed fees and refunds"),
    ],
)
def test_refunds_are_left_out_as_what_they_are(lines: list[Any], due: int, left_out: str) -> None:
    refund = api_line(description="Refund", amount=-500, pretax_credit_amounts=[])
    refunded = bill(14_500, amount_due=due, lines=[*lines, refund])
    against = with_a_fee(invoice_preview=refunded).against_last_month
    assert against is not None
    assert against.text == (
        f"September at $300 before {left_out} is 3% less than August ($310 by its usage)."
    )


def test_what_is_of_an_earlier_period_is_left_out_where_last_month_is_known_by_its_usage() -> None:
    august = {"start": START - 31 * 86_400, "end": START}
    rest = api_line(amount=9_000, pretax_credit_amounts=[], period=august)
    both = bill(14_500, amount_due=43_500, lines=[api_line(**FEE), rest])
    against = with_a_fee(invoice_preview=both).against_last_month
    assert against is not None
    assert shown(against.text) == (
        "September at $300 before fixed fees and what is of an earlier period is 3% less than "
        "August ($310 by its usage)."
    )


def test_a_line_grows_although_an_earlier_period_has_one_of_its_name() -> None:
    august = {"start": START - 31 * 86_400, "end": START}
    rest = api_line(amount=9_000, pretax_credit_amounts=[], period=august)
    gone = {"description": "gone", "amount": 500, "pretax_credit_amounts": [], "period": august}
    invoice = Invoice.from_api(bill(14_500, lines=[rest, api_line(**gone)]).result)
    assert fees_of(invoice, ()) == {"gone"}


@pytest.mark.parametrize("sign", [1, -1])
def test_amounts_as_large_as_an_invoice_carries_are_compared_too(sign: int) -> None:
    fixed = api_line(description="support", amount=-sign * LARGEST_AMOUNT, pretax_credit_amounts=[])
    huge = bill(14_500, amount_due=sign * LARGEST_AMOUNT, lines=[fixed])
    against = with_a_fee(invoice_preview=huge).against_last_month
    assert against is not None
    assert against.last.amount_text == "$310.00 by its usage"


def test_a_fixed_fee_does_not_drive_a_rise() -> None:
    """It is as high as last month, of which an invoice has it too."""
    of_august = {"invoices": [row(40_000, at(9, 1), description="usage")]}
    earlier = Result(of_august, Answered(query={"type": "all"}))
    against = with_a_fee(baseline=20_000, invoice_history=earlier).against_last_month
    assert against is not None
    assert shown(against.text) == (
        "September at $500 is 25% more than August ($400); openai/gpt-5.5 is nearly all of the "
        "rise."
    )


def test_a_snapshot_of_last_month_as_baseline_names_the_line_that_drives_the_change() -> None:
    [now] = report_on(taken("growing")).invoices
    last = now.against_last_month
    assert last is not None
    lines = now.invoice.invoice_lines
    before = dataclasses.replace(
        now.invoice,
        period_start=last.last.start,
        period_end=last.last.end,
        amount_due=last.last.amount,
        invoice_lines=[
            dataclasses.replace(lines[0], amount=last.last.amount - 500, pretax_credit_amounts=[]),
            dataclasses.replace(lines[1], amount=500, pretax_credit_amounts=[]),
        ],
    )
    [report] = report_on(taken("growing"), baseline=before).invoices
    assert report.comparison is None
    against = report.against_last_month
    assert against is not None
    assert f"{lines[1].name}" in against.text
    assert against.text.endswith(" of the rise.")
    half = dataclasses.replace(before, invoice_lines=before.invoice_lines[1:], amount_due=500)
    [partly] = report_on(taken("growing"), baseline=half).invoices
    assert partly.against_last_month is not None
    assert "of the rise" not in partly.against_last_month.text
    # What is not compared with is not passed over either.
    assert (partly.change_text or "").startswith(
        "not comparable: the baseline is of another billing period, "
    )


@pytest.mark.parametrize("tax", [0, 3000])
@pytest.mark.parametrize(("read_on", "is_month"), [(15, False), (31, True), (None, False)])
def test_only_a_baseline_of_its_periods_end_stands_for_last_month(
    read_on: int | None, is_month: bool, tax: int
) -> None:
    """One of the middle is a part of it, so that this month would be too much more."""
    own = snapshot(invoice_preview=bill(20_000))
    start, end = period_before(START, END)
    line = api_line(amount=15_000, pretax_credit_amounts=[], period={"start": start, "end": end})
    before = Invoice.from_api(
        api_result(
            amount_due=15_000 + tax, invoice_lines=[line], period_start=start, period_end=end
        )
    )
    at = None if read_on is None else instant(start) + timedelta(days=read_on - 1, hours=20)
    [report] = report_on(own, baseline=before, baseline_read_at=at).invoices
    against = report.against_last_month
    if is_month:
        assert against is not None
        assert f"August (${150 + tax // 100} by the baseline)" in against.text
        assert report.change_text is None
    else:
        assert against is None
        assert (report.change_text or "").startswith("not comparable: the baseline is of another ")


def test_of_lines_that_cancel_out_none_is_called_many_times_the_change() -> None:
    """Such as those of a model that another has taken the place of."""
    [last] = report_on(taken("steady")).invoices
    assert last.against_last_month is not None
    month = last.against_last_month.last
    old = dataclasses.replace(
        last.invoice.invoice_lines[0],
        description="openai/older",
        amount=month.amount,
        pretax_credit_amounts=[],
    )
    before = dataclasses.replace(
        last.invoice,
        period_start=month.start,
        period_end=month.end,
        amount_due=month.amount,
        invoice_lines=[old],
    )
    [report] = report_on(taken("steady"), baseline=before).invoices
    assert report.against_last_month is not None
    assert report.against_last_month.lines is not None
    assert "%" not in report.against_last_month.text.partition(";")[2]


@pytest.mark.parametrize("credits", [14_500, 20_000], ids=["all", "more than all"])
def test_a_month_whose_usage_credits_cover_is_not_said_to_have_had_none(credits: int) -> None:
    prepaid = with_credits(14_500, credits)
    [report] = report_on(snapshot(invoice_preview=prepaid, usage_history=WHOLE_MONTHS)).invoices
    assert report.against_last_month is not None
    assert report.against_last_month.text == (
        "August had usage; credits cover all of it, at the share that they have of September's."
    )
    table = tables.months(report)
    assert table is not None
    assert table.rows[1] == ["August", "$0.00", "usage, covered by credits"]


def test_a_month_whose_usage_rounds_to_nothing_is_not_said_to_have_had_none() -> None:
    days = usage([*[0.0] * 40, 0.1, *[0.0] * 14, *[1000.0] * NOON, 500])
    [report] = report_on(snapshot(invoice_preview=bill(14_500), usage_history=days)).invoices
    assert report.against_last_month is not None
    assert report.against_last_month.text == "August came to $0.00 by its usage."


def test_a_month_without_history_is_not_shown() -> None:
    [report] = report_on(taken("no-usage")).invoices
    assert report.against_last_month is None or "by its usage" not in report.against_last_month.text


@pytest.mark.parametrize("tax", [Fraction(0), Fraction(1, 5)])
@pytest.mark.parametrize(
    ("before", "now", "driver"),
    [
        ((100, 50), (200, 50), "A is nearly all of the rise"),
        ((200, 50), (100, 50), "A is nearly all of the fall"),
        ((100, 100), (200, 200), "B is half of the rise"),
    ],
)
def test_a_line_has_the_same_share_of_a_change_with_tax_and_without(
    before: tuple[int, int], now: tuple[int, int], driver: str, tax: Fraction
) -> None:
    def invoice(dollars: tuple[int, int], start: int, end: int) -> dict[str, Any]:
        lines = [
            api_line(
                description=name,
                amount=100 * amount,
                pretax_credit_amounts=[],
                period={"start": start, "end": end},
            )
            for name, amount in zip("AB", dollars, strict=True)
        ]
        due = int(100 * sum(dollars) * (1 + tax))
        return api_result(amount_due=due, invoice_lines=lines, period_start=start, period_end=end)

    start, end = period_before(START, END)
    read_at = instant(END) - timedelta(minutes=10)
    own = snapshot(read_at=read_at, invoice_preview=Result(invoice(now, START, END)))
    [report] = report_on(
        own,
        at=read_at,
        baseline=Invoice.from_api(invoice(before, start, end)),
        baseline_read_at=instant(end) - timedelta(hours=1),
    ).invoices
    assert report.against_last_month is not None
    assert shown(report.against_last_month.text).endswith(f"; {driver}.")


def test_no_line_drives_a_change_that_tax_is_a_part_of() -> None:
    """As where an account is taxed from this month on."""
    start, end = period_before(START, END)
    lines = [api_line(description="A", amount=10_000, pretax_credit_amounts=[])]
    before = api_result(
        amount_due=20_000,
        invoice_lines=[{**lines[0], "amount": 20_000}],
        period_start=start,
        period_end=end,
    )
    read_at = instant(END) - timedelta(minutes=10)
    now = api_result(amount_due=25_000, invoice_lines=lines)
    [report] = report_on(
        snapshot(read_at=read_at, invoice_preview=Result(now)),
        at=read_at,
        baseline=Invoice.from_api(before),
        baseline_read_at=instant(end) - timedelta(hours=1),
    ).invoices
    assert report.against_last_month is not None
    assert report.against_last_month.text.endswith("25% more than August ($200 by the baseline).")


def test_nothing_so_far_is_not_taken_for_the_whole_month() -> None:
    """As on the first day of a month whose invoice is a day behind."""
    read_at = instant(START) + timedelta(hours=12)
    nothing = api_result(amount_due=0, invoice_lines=[])
    with_history = usage([1000.0] * 80, read_at)
    own = snapshot(read_at=read_at, invoice_preview=Result(nothing), usage_history=with_history)
    start, end = period_before(START, END)
    before = Invoice.from_api(api_result(period_start=start, period_end=end))
    [report] = report_on(
        own, at=read_at, baseline=before, baseline_read_at=instant(end) - timedelta(hours=1)
    ).invoices
    assert report.against_last_month is not None
    assert report.against_last_month.text == "August came to $188 by the baseline."
