"""The report as JSON, with a version and a JSON Schema (``report.schema.json``)."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.report.report import Comparison, Report
from pulumi_cf_invoice.rules import Finding

VERSION: Literal[1] = 1


@dataclass(frozen=True, kw_only=True)
class Figure:
    """An amount of money in three forms."""

    amount: int | float = Field(description="In minor units of the currency.")
    decimal: str = Field(description="In major units, exactly.")
    text: str = Field(description="For people.")
    currency: str = Field(description="ISO 4217 code in lower case.")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line item of the invoice."""

    description: str | None = Field(
        description="What the line is for; null if the API does not say."
    )
    gross: int | float = Field(
        description="Before credits, in minor units of the invoice's currency."
    )
    credits: int | float = Field(description="Pre-tax credits, in minor units.")
    net: int | float = Field(description="After credits and before tax, in minor units.")
    quantity: float | None = Field(description="Number of units; null if the API gives none.")
    period_start: int | None = Field(
        description="In Unix seconds, UTC; null if the API gives no period of the line."
    )
    period_end: int | None = Field(description="In Unix seconds, UTC, not included; or null.")


@dataclass(frozen=True, kw_only=True)
class BudgetResult:
    """A budget, and what was found."""

    of: str = Field(description="amount due, projected amount due, or the name of a line.")
    is_line: bool = Field(description="Whether it is the budget of a line.")
    limit: Figure | None
    amount: Figure | None = Field(description="Null if it is not known, such as too early.")
    within: bool
    text: str = Field(description="The finding for people.")


@dataclass(frozen=True, kw_only=True)
class LineChange:
    """A line whose net amount moved."""

    name: str
    before: int | float | None = Field(
        description="Net before, in minor units; null for a new line."
    )
    after: int | float | None = Field(
        description="Net now, in minor units; null for a line that is gone."
    )
    change: int | float = Field(description="The difference, in minor units.")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The invoice that this one is compared with."""

    comparable: bool
    problem: str | None = Field(description="Why the two cannot be compared; null if they can.")
    amount_due: Figure
    change: Figure | None = Field(description="Of the amount due; null if they cannot be compared.")
    lines: list[LineChange] = Field(description="What moved, the largest change first.")


@dataclass(frozen=True, kw_only=True)
class JsonReport:
    """The report of `cf-invoice report --format json`."""

    version: Literal[1] = Field(description="Changes when a reader of this version would break.")
    at: str = Field(description="The time that the report speaks of, ISO 8601 in UTC.")
    account_id: str | None = Field(description="32 hex digits; null if the input does not tell it.")
    verdict: Literal["within", "over", "none"] = Field(
        description="none: no budget was given, or none can be judged yet."
    )
    headline: str = Field(description="The verdict in a sentence.")
    invoice_id: str | None = Field(description="Null if the API gives none.")
    status: str | None = Field(description="Null if the API gives none.")
    currency: str = Field(description="ISO 4217 code in lower case.")
    period_start: str = Field(description="ISO 8601 in UTC.")
    period_end: str = Field(description="ISO 8601 in UTC, not included.")
    period_text: str = Field(description="UTC days, the last one included.")
    amount_due: Figure
    invoice_lines_complete: bool = Field(
        description="Whether the API gave all lines; if not, what is summed from them is null."
    )
    gross: Figure | None
    credits: Figure | None
    net: Figure | None
    tax_and_adjustments: Figure | None
    projected_net: Figure | None = Field(
        description="Null in the first hour of the period, or if lines are missing."
    )
    projected_amount_due: Figure | None = Field(
        description="Null in the first hour of the period, or if lines are missing."
    )
    budgets: list[BudgetResult]
    baseline: Baseline | None = Field(description="Null if the report has no baseline.")
    lines: list[Line] = Field(description="Every line, the largest net amount first.")


def render(report: Report) -> str:
    """Return the report as JSON, which `schema` describes."""
    adapter = TypeAdapter(JsonReport)
    return adapter.dump_json(_data(report), indent=2).decode() + "\n"


def schema() -> str:
    """Return the JSON Schema of `render`, made from the model."""
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **TypeAdapter(JsonReport).json_schema(mode="serialization"),
    }
    return json.dumps(made, indent=2) + "\n"


def _data(report: Report) -> JsonReport:
    invoice = report.invoice

    def figure(amount: float | None) -> Any:
        return None if amount is None else _figure(amount, invoice.currency)

    def summed(name: str) -> Any:
        return figure(getattr(invoice, name)) if invoice.invoice_lines_complete else None

    return JsonReport(
        version=VERSION,
        at=_iso(report.at),
        account_id=report.account_id,
        verdict=report.verdict,
        headline=report.headline,
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
            invoice.projected_net(report.at) if invoice.invoice_lines_complete else None
        ),
        projected_amount_due=figure(report.projected_amount_due),
        budgets=[_budget(finding) for finding in report.findings],
        baseline=_baseline(report.comparison),
        lines=[
            Line(
                description=line.description,
                gross=line.amount,
                credits=line.credits,
                net=line.net,
                quantity=line.quantity,
                period_start=line.period.start if line.period else None,
                period_end=line.period.end if line.period else None,
            )
            for line in invoice.largest_lines
        ],
    )


def _figure(amount: float | Decimal, currency: str) -> Figure:
    return Figure(
        amount=money.number(money.exact(amount)),
        decimal=format(money.to_major(amount, currency), "f"),
        text=money.to_text(amount, currency),
        currency=currency,
    )


def _budget(finding: Finding) -> BudgetResult:
    amount = finding.amount
    return BudgetResult(
        of=finding.subject,
        is_line=finding.of_line,
        limit=_figure(finding.limit.amount, finding.limit.currency) if finding.limit else None,
        amount=None if amount is None else _figure(amount, finding.currency),
        within=finding.excess is None,
        text=finding.text,
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
        lines=[
            LineChange(
                name=change.name, before=change.before, after=change.after, change=change.amount
            )
            for change in comparison.changes
        ],
    )


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
