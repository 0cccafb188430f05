"""The report as JSON, with a version and a JSON Schema (``report.schema.json``)."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any, Literal

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import inert_json, shown
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.invoice_history import PastInvoice
from pulumi_cf_invoice.billing.models import adapter, instant, schema_of
from pulumi_cf_invoice.forecast.result import to_figures
from pulumi_cf_invoice.report.account import AccountReport
from pulumi_cf_invoice.report.changes import Comparison
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.judging import RuleResult, Verdict
from pulumi_cf_invoice.report.months import Month
from pulumi_cf_invoice.report.outlooks import Outlook
from pulumi_cf_invoice.report.remedies import remedies
from pulumi_cf_invoice.report.report import Report
from pulumi_cf_invoice.rules.rule import Finding, Status

VERSION: Literal[1] = 1
_MOST_INDENTED = 10_000
"""Lines of invoices."""
_PART = 2**20


@dataclass(frozen=True, kw_only=True)
class Figure:
    """An amount of money in three forms."""

    amount: int | float
    """In minor units of the currency."""
    decimal: str
    """In major units, exactly."""
    text: str
    """For people."""
    currency: str
    """ISO 4217 code in lower case."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line item of the invoice."""

    description: str | None
    """What the line is for; null if not given."""
    gross: int | float
    """Before credits, in minor units of the invoice's currency."""
    credits: int | float
    """Pre-tax credits, in minor units."""
    net: int | float
    """After credits and before tax, in minor units."""
    quantity: float | None
    """Number of units; null if not given."""
    period_start: int | None
    """In Unix seconds, UTC; null if the line's period is not given."""
    period_end: int | None
    """In Unix seconds, UTC, not included; or null."""


@dataclass(frozen=True, kw_only=True)
class FindingResult:
    """One figure that a rule judged."""

    status: Status
    """over, failed (a rule without a limit) and unknown violate the rule; noted is not a violation,
    but worth knowing."""
    subject: str
    """What was judged: amount due, or the name of a line, and so on."""
    is_line: bool
    """Whether it is a figure of a line."""
    invoice: int | None
    """The index in `invoices`; null for an account that the rule read itself."""
    account_id: str | None
    """The account that the rule read itself; null if it judges an invoice."""
    limit: Figure | None
    """Null if there is none."""
    amount: Figure | None
    """Null if it is unknown, or not an amount."""
    text: str
    """The finding for people, in one line."""


@dataclass(frozen=True, kw_only=True)
class JudgedRule:
    """A rule, and what was found."""

    name: str
    rule: str
    """The kind of rule."""
    enforcement_level: Literal["mandatory", "advisory", "disabled"]
    verdict: Status
    """failed: violated, for a rule without a limit; noted: nothing was judged."""
    notices: list[str]
    """Notes on the rule, such as a waiver."""
    what_to_do: list[str]
    """What to do about its violations, a sentence each."""
    findings: Iterable[FindingResult]


@dataclass(frozen=True, kw_only=True)
class LineChange:
    """A line whose net amount moved."""

    name: str
    before: int | float | None
    """Net before, in minor units; null for a new line."""
    after: int | float | None
    """Net now, in minor units; null for a line that is gone."""
    change: int | float
    """The difference, in minor units."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The invoice that this one is compared with."""

    comparable: bool
    problem: str | None
    """Why the two cannot be compared; null if they can."""
    amount_due: Figure
    change: Figure | None
    """Of the amount due; null if they cannot be compared."""
    lines: Iterable[LineChange]
    """What changed, largest change first."""


@dataclass(frozen=True, kw_only=True)
class Topup:
    """The automatic top-up."""

    is_on: bool
    """Whether one is set and not disabled."""
    is_healthy: bool
    """Whether one is set and nothing is known to be wrong."""
    problem: str | None
    """Why it failed or is disabled, in the API's words."""
    amount: Figure | None
    """What it adds; null if no top-up is set."""
    threshold: Figure | None
    """Below which balance; null if no top-up is set."""


@dataclass(frozen=True, kw_only=True)
class EarlierInvoice:
    """An earlier invoice, as the API lists it."""

    created: str | None
    """ISO 8601 in UTC; null if not given."""
    status: str | None
    """Null if not given."""
    description: str | None
    """Null if not given."""
    amount_due: Figure
    amount_paid: Figure
    amount_remaining: Figure


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The usage of a day."""

    start: str
    """Start of the day, ISO 8601 in UTC."""
    aggregated_value: int | float
    """In units of usage, which are not money."""
    is_partial: bool
    """Whether the day was not over when it was read."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What was read of an account besides its invoice. What is null was not available."""

    read_at: str
    """ISO 8601 in UTC."""
    credit_balance: Figure | None
    """Remaining credit."""
    topup: Topup | None
    earlier_invoices: Iterable[EarlierInvoice] | None
    """Newest first."""
    earlier_invoices_complete: bool | None
    """Whether the API returned them all."""
    usage: Iterable[Usage] | None
    """By day, in order."""
    not_available: list[str]
    """Why a read is missing, a sentence each."""


@dataclass(frozen=True, kw_only=True)
class OutlookResult:
    """A limit on the amount due that the forecast passes before the period ends."""

    rule: str
    """The name of the rule."""
    limit: Figure
    """The limit on that day, including waivers."""
    date: str
    """The approximate UTC day on which it is passed."""
    amount_due: Figure
    """The median at the end of the period; or the 90th percentile, if that passes it."""
    text: str
    """For people."""


@dataclass(frozen=True, kw_only=True)
class PastMonth:
    """A period before the invoice's, and what it came to."""

    name: str
    """For people: August."""
    period_start: str
    """ISO 8601 in UTC."""
    period_end: str
    """ISO 8601 in UTC, not included."""
    amount: Figure
    known_by: Literal["usage-invoice", "usage"]
    """usage-invoice: an earlier invoice is known to be that of the month; usage: its days at the
    invoice's price of usage, without tax, fixed fees, refunds and what is of an earlier period."""
    invoice_id: str | None
    """Of the usage invoice; null if there is none."""


@dataclass(frozen=True, kw_only=True)
class ReportedInvoice:
    """One of the invoices, of one account each."""

    names: list[str]
    """Where it was found: stacks as project/stack, or the value of --name."""
    account_id: str | None
    """32 hex digits; null if not in the input."""
    verdict: Verdict
    """The verdict of the rules on this invoice; none if there are none."""
    headline: str
    """The worst fact in a sentence."""
    outlook: OutlookResult | None
    """The first mandatory limit that the forecast passes and the amount due does not exceed yet, by
    its median; null if there is none."""
    outlook_p90: OutlookResult | None
    """The same by the 90th percentile, whose date is the earliest; an advisory limit if no limit is
    mandatory. Null if there is none, or no band."""
    what_to_do: list[str]
    """What to do about the violations, worst first."""
    unusual_spend_text: str | None
    """The days that cost several times what is usual, for people; null if none did, or if the
    headline names one that a rule judged."""
    last_month_text: str | None
    """This period compared with the previous one, for people; null if unknown."""
    months: list[PastMonth]
    """The previous periods, oldest first."""
    base_url: str | None
    """Where the figures came from, or that it is secret; null if from Cloudflare, or unknown."""
    notes: list[str]
    """Notes on the figures."""
    invoice_id: str | None
    """Null if not given."""
    status: str | None
    """Null if not given."""
    currency: str
    """ISO 4217 code in lower case."""
    period_start: str
    """ISO 8601 in UTC."""
    period_end: str
    """ISO 8601 in UTC, not included."""
    period_text: str
    """UTC days, including the last one."""
    amount_due: Figure
    invoice_lines_complete: bool
    """Whether the API returned all lines; if not, their sums are null."""
    gross: Figure | None
    credits: Figure | None
    net: Figure | None
    tax_and_adjustments: Figure | None
    projected_net: Figure | None
    """Null in the first hour of the period, after its end, or if lines are missing."""
    projected_amount_due: Figure | None
    """Null in the first hour of the period, after its end, or if lines are missing."""
    baseline: Baseline | None
    """Null if there is no baseline."""
    account: Account | None
    """What else was read about the account; null if nothing was."""
    forecast_text: str | None
    """The forecast in a line; null if there is none."""
    forecast: dict[str, Any] | None
    """The account in `cf-invoice forecast --format json`; null without a forecast."""
    lines: Iterable[Line]
    """Every line, largest net amount first."""


@dataclass(frozen=True, kw_only=True)
class JsonReport:
    """The report of `cf-invoice report --format json`."""

    version: Literal[1]
    """Changes when readers of this version would break."""
    at: str
    """The time of the report, ISO 8601 in UTC."""
    verdict: Verdict
    """over: a mandatory rule is exceeded; unknown: one could not be judged, or none was; advisory:
    only advisory rules are violated; none: there is no rule to judge."""
    headline: str
    """The worst fact in a sentence."""
    totals: list[Figure]
    """The sum of the amounts due in each currency."""
    rules: Iterable[JudgedRule]
    notes: list[str]
    """What a reader has to know of the figures, once for all that share it, and notes on accounts
    whose invoice could not be read, a sentence each."""
    invoices: list[ReportedInvoice]
    """One per account; none if no invoice could be read, but rules were judged on other reads."""


def render(report: Report) -> str:
    """
    Return the report as JSON, which `schema` describes.

    Of many accounts, or with a very long invoice, each invoice is on a line of its own: indented,
    they would be twice as large.
    """
    return "".join(parts(report))


def parts(report: Report) -> Iterator[str]:
    """Yield the parts of what `render` returns, if it is not indented one invoice at a time."""
    if not report.is_of_many and _lines(report) <= _MOST_INDENTED:
        invoices = [_invoice(invoice) for invoice in report.invoices]
        yield from _written(_data(report, invoices), indent=2)
        yield "\n"
        return
    # The invoices come last.
    yield from _written(_data(report, []), less="]}")
    for number, invoice in enumerate(report.invoices):
        yield ",\n" if number else "\n"
        yield from _written(_invoice(invoice))
    yield "\n]}\n"


def _lines(report: Report) -> int:
    return sum(len(invoice.invoice.invoice_lines) for invoice in report.invoices)


def _written(
    value: JsonReport | ReportedInvoice, indent: int | None = None, less: str = ""
) -> Iterator[str]:
    """Yield the JSON of *value*, without *less* at its end, in parts of about a megabyte."""
    model: Any = type(value)
    written = adapter(model).dump_json(value, indent=indent).removesuffix(less.encode())
    start = 0
    while start < len(written):
        # As a text it can be twice as large. A comma is part of nothing that has to stay together.
        end = written.find(b",", start + _PART) + 1 or len(written)
        yield inert_json(written[start:end].decode())
        start = end


def schema() -> str:
    """Return the JSON Schema of `render`, made from the model."""
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema_of(JsonReport),
    }
    return json.dumps(made, indent=2) + "\n"


def _data(report: Report, invoices: list[ReportedInvoice]) -> JsonReport:
    return JsonReport(
        version=VERSION,
        at=_iso(report.at),
        verdict=report.verdict,
        headline=report.headline,
        totals=[_figure(amount, currency) for amount, currency in report.totals],
        rules=map(_rule, report.rules),
        notes=[shown(note) for note in (*report.caveats, *report.notes)],
        invoices=invoices,
    )


def _invoice(report: InvoiceReport) -> ReportedInvoice:
    invoice, against = report.invoice, report.against_last_month

    def figure(amount: float | None) -> Any:
        return None if amount is None else _figure(amount, invoice.currency)

    def summed(name: str) -> Any:
        return figure(getattr(invoice, name)) if invoice.invoice_lines_complete else None

    return ReportedInvoice(
        names=list(report.names),
        account_id=report.account_id,
        verdict=report.verdict,
        headline=report.headline,
        outlook=_outlook(report.outlook),
        outlook_p90=_outlook(report.upper_outlook),
        what_to_do=remedies(report),
        unusual_spend_text=report.unusual_spend_text,
        last_month_text=shown(against.text) if against else None,
        months=[_month(month) for month in report.months.known] if report.months else [],
        base_url=report.state.base_url,
        notes=[shown(note) for note in report.notes],
        invoice_id=invoice.invoice_id,
        status=invoice.status,
        currency=invoice.currency,
        period_start=invoice.period_start_iso,
        period_end=invoice.period_end_iso,
        period_text=invoice.period_text,
        amount_due=figure(invoice.amount_due),
        invoice_lines_complete=invoice.invoice_lines_complete,
        gross=summed("gross"),
        credits=summed("credits"),
        net=summed("net"),
        tax_and_adjustments=summed("tax_and_adjustments"),
        projected_net=figure(
            None if report.projected_amount_due is None else invoice.projected_net(report.as_of)
        ),
        projected_amount_due=figure(report.projected_amount_due),
        baseline=_baseline(report.comparison),
        account=_account(report.account, invoice.currency) if report.account else None,
        forecast_text=report.forecast_text,
        forecast=to_figures(report.forecast) if report.forecast else None,
        lines=(
            Line(
                description=line.description,
                gross=line.amount,
                credits=line.credits,
                net=line.net,
                quantity=None if line.quantity is None else float(line.quantity),
                period_start=line.period.start if line.period else None,
                period_end=line.period.end if line.period else None,
            )
            for line in invoice.largest_lines
        ),
    )


def _outlook(outlook: Outlook | None) -> OutlookResult | None:
    if outlook is None:
        return None
    return OutlookResult(
        rule=outlook.rule,
        limit=_figure(*outlook.limit),
        date=outlook.date.isoformat(),
        amount_due=_figure(*outlook.amount),
        text=outlook.text,
    )


def _month(month: Month) -> PastMonth:
    return PastMonth(
        name=month.name,
        period_start=_iso(instant(month.start)),
        period_end=_iso(instant(month.end)),
        amount=_figure(month.amount, month.currency),
        known_by="usage-invoice" if month.invoice else "usage",
        invoice_id=month.invoice.invoice_id if month.invoice else None,
    )


def _account(account: AccountReport, currency: str) -> Account:
    balance, history = account.credit_balance, account.invoice_history
    usage = account.usage_history
    return Account(
        read_at=_iso(account.snapshot.read_at),
        credit_balance=_figure(balance.balance, currency) if balance else None,
        topup=_topup(balance, currency) if balance else None,
        earlier_invoices=map(_earlier, history.invoices) if history else None,
        earlier_invoices_complete=history.invoices_complete if history else None,
        usage=(
            Usage(
                start=entry.start_iso,
                aggregated_value=entry.aggregated_value,
                is_partial=entry.is_partial,
            )
            for entry in usage.entries
        )
        if usage
        else None,
        not_available=[shown(sentence) for sentence in account.not_available],
    )


def _topup(balance: CreditBalance, currency: str) -> Topup:
    def figure(amount: float | None) -> Figure | None:
        return _figure(amount, currency) if amount else None

    config = balance.topup_config
    return Topup(
        is_on=balance.topup_is_on,
        is_healthy=balance.topup_is_healthy,
        problem=balance.topup_problem,
        amount=figure(config.amount) if config else None,
        threshold=figure(config.threshold) if config else None,
    )


def _earlier(row: PastInvoice) -> EarlierInvoice:
    return EarlierInvoice(
        created=row.created_iso,
        status=row.status,
        description=row.description,
        amount_due=_figure(row.amount_due, row.currency),
        amount_paid=_figure(row.amount_paid, row.currency),
        amount_remaining=_figure(row.amount_remaining, row.currency),
    )


def _figure(amount: float | Decimal, currency: str) -> Figure:
    return Figure(
        amount=money.number(money.exact(amount)),
        decimal=format(money.to_major(amount, currency), "f"),
        text=money.to_text(amount, currency),
        currency=currency,
    )


def _rule(rule: RuleResult) -> JudgedRule:
    return JudgedRule(
        name=rule.name,
        rule=rule.kind,
        enforcement_level=rule.level,
        verdict=rule.verdict,
        notices=[shown(notice) for notice in rule.notices],
        what_to_do=rule.remedies,
        findings=chain(
            (
                _finding(finding, number)
                for number, found in enumerate(rule.of_invoices)
                for finding in found
            ),
            (_finding(finding, None) for finding in rule.of_accounts),
        ),
    )


def _finding(finding: Finding, invoice: int | None) -> FindingResult:
    return FindingResult(
        invoice=invoice,
        status=finding.status,
        subject=finding.subject,
        is_line=finding.of_line,
        account_id=finding.account_id,
        limit=_figure(*finding.limit) if finding.limit else None,
        amount=_figure(*finding.amount) if finding.amount else None,
        text=shown(finding.text) if finding.status == "within" else finding.message,
    )


def _baseline(comparison: Comparison | None) -> Baseline | None:
    if comparison is None:
        return None
    before = comparison.baseline
    return Baseline(
        comparable=comparison.problem is None,
        problem=comparison.problem,
        amount_due=_figure(before.amount_due, before.currency),
        change=None
        if comparison.problem
        else _figure(comparison.amount_due, comparison.baseline.currency),
        lines=(
            LineChange(
                name=change.name, before=change.before, after=change.after, change=change.amount
            )
            for change in comparison.changes
        ),
    )


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
