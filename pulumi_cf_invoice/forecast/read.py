"""Reads what a forecast needs, for a program, a rule or a command."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pulumi_cf_invoice.billing.errors import BillingError, SettingsError
from pulumi_cf_invoice.billing.models import Model
from pulumi_cf_invoice.billing.reads import CREDIT_BALANCE, INVOICE_PREVIEW, USAGE_HISTORY, Read
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.forecast.forecast import forecast_invoice
from pulumi_cf_invoice.forecast.result import Forecast

READS: tuple[Read[Model], ...] = (INVOICE_PREVIEW, USAGE_HISTORY, CREDIT_BALANCE)
"""The reads, with their default queries. Only the first is needed."""


def forecast_answers(
    answers: Mapping[str, Model | BillingError], *, at: datetime, fixed_lines: Sequence[str] = ()
) -> Forecast:
    """
    Forecast from the *answers* to `READS` by name, read at the time *at*, or their errors.

    Without usage it is a straight line, and without a balance there is no runway: a note says why.
    Raises the error of the invoice, any `SettingsError`, and what `forecast_invoice` raises.
    """
    invoice = answers[INVOICE_PREVIEW.name]
    refused = [answer for answer in answers.values() if isinstance(answer, BillingError)]
    for error in refused:
        # Who made a mistake has to know, and is not helped by a straight line.
        if error is invoice or isinstance(error, SettingsError):
            raise error.with_traceback(None)
    given: list[Any] = [
        None if isinstance(answer, BillingError) else answer
        for answer in (answers[read.name] for read in READS)
    ]
    made = forecast_invoice(*given, at=at, fixed_lines=fixed_lines)
    return replace(made, notes=(*made.notes, *(f"Not available: {error}" for error in refused)))


def forecast_snapshot(snapshot: Snapshot, fixed_lines: Sequence[str] = ()) -> Forecast:
    """Forecast from a *snapshot* as of its time. Raises what `forecast_answers` raises."""
    answers = {read.name: snapshot.problem(read) or snapshot.get(read) for read in READS}
    return forecast_answers(answers, at=snapshot.read_at, fixed_lines=fixed_lines)
