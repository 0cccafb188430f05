"""What a report shows about an account besides its invoice: credits, earlier invoices and usage."""

from dataclasses import dataclass, field
from functools import cached_property

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.errors import BillingError
from pulumi_cf_invoice.billing.invoice_history import InvoiceHistory, PastInvoice
from pulumi_cf_invoice.billing.reads import (
    BESIDE_INVOICE,
    CREDIT_BALANCE,
    GATEWAYS,
    INVOICE_HISTORY,
    USAGE_HISTORY,
)
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.billing.usage_history import UsageHistory
from pulumi_cf_invoice.forecast import Forecast
from pulumi_cf_invoice.forecast.read import forecast_snapshot
from pulumi_cf_invoice.rules.on_accounts import quoted_problem


@dataclass(frozen=True)
class AccountReport:
    """
    What a *snapshot* has of an account besides its invoice, whose *currency* the credits are in,
    as far as that is known. ``made`` is its forecast, if that was made already, and ``fixed_lines``
    the globs that it is made with otherwise. It makes none where it ``is_outdated``: the invoice
    that is reported is newer.
    """

    snapshot: Snapshot
    currency: str | None
    made: Forecast | None = None
    fixed_lines: tuple[str, ...] = ()
    is_outdated: bool = False
    _by_fixed_lines: dict[tuple[str, ...], Forecast | None] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    @property
    def credit_balance(self) -> CreditBalance | None:
        """The credits, if they could be read."""
        return self.snapshot.find(CREDIT_BALANCE)

    @property
    def usage_history(self) -> UsageHistory | None:
        """The usage by day, if it could be read."""
        return self.snapshot.find(USAGE_HISTORY)

    @property
    def invoice_history(self) -> InvoiceHistory | None:
        """The earlier invoices, if they could be read."""
        return self.snapshot.find(INVOICE_HISTORY)

    @property
    def earlier_invoices(self) -> list[PastInvoice]:
        """The earlier invoices, newest first; none if they could not be read."""
        return self.invoice_history.invoices if self.invoice_history else []

    @property
    def not_available(self) -> list[str]:
        """Why a read is not here, a sentence each."""
        problems = (self.snapshot.problem(read) for read in BESIDE_INVOICE)
        return [f"Not available: {problem}" for problem in problems if problem]

    @property
    def notes(self) -> list[str]:
        """Notes on the figures, a sentence each."""
        return [*self.not_available, *([self.topup_note] if self.topup_note else [])]

    @property
    def topup_note(self) -> str:
        """What is wrong with the automatic top-up, as a sentence; empty if nothing is."""
        problem = self.credit_balance.topup_problem if self.credit_balance else None
        return f"The automatic top-up does not work: {quoted_problem(problem)}." if problem else ""

    @property
    def figures(self) -> list[tuple[str, str]]:
        """The figures that there are, as name and text."""
        rows = []
        credits = self.credit_balance
        if credits is not None:
            refused = ": AI Gateway refuses inference" if credits.balance <= 0 else ""
            rows += [
                ("Credit balance", f"{credits.balance_text(self.currency)}{refused}"),
                ("Automatic top-up", credits.topup_text(self.currency)),
            ]
        if self.invoice_history is not None:
            rows.append(("Unpaid earlier invoices", self._unpaid_text(self.invoice_history)))
        gateways = self.snapshot.find(GATEWAYS)
        if gateways is not None:
            rows.append(("AI gateways", gateways.text))
        return rows

    @cached_property
    def forecast(self) -> Forecast | None:
        """
        The forecast as of the time of reading; None if the invoice's lines are a part, if it is not
        in the snapshot, or if that is outdated.
        """
        if self.made is not None and not self.is_outdated:
            return self.made
        return self.forecast_with(self.fixed_lines)

    def forecast_with(self, fixed_lines: tuple[str, ...]) -> Forecast | None:
        """Return what `forecast` would be with other globs of fixed lines."""
        if self.is_outdated:
            return None
        # Several rules have the same, and a report asks more than once.
        if fixed_lines not in self._by_fixed_lines:
            self._by_fixed_lines[fixed_lines] = self._forecast_with(fixed_lines)
        return self._by_fixed_lines[fixed_lines]

    def _forecast_with(self, fixed_lines: tuple[str, ...]) -> Forecast | None:
        try:
            return forecast_snapshot(self.snapshot, fixed_lines)
        except BillingError:
            # The report says so of everything that is summed from lines, and of every read.
            return None

    @staticmethod
    def _unpaid_text(history: InvoiceHistory) -> str:
        part = "" if history.invoices_complete else " (the API gave only a part of them)"
        return f"{history.unpaid_text if history.unpaid else 'none'}{part}"


def forecast_figures(forecast: Forecast) -> list[tuple[str, str]]:
    """Return how a *forecast* is made and how wrong it has been, as name and text."""
    rows = [
        ("Method", forecast.method_text),
        ("Days of history", f"{forecast.days_of_history:,}"),
    ]
    if forecast.amount_due_text is not None:
        rows.append(("Median of the amount due", forecast.amount_due_text))
    if forecast.amount_due_p10_text is not None and forecast.amount_due_p90_text is not None:
        band = f"{forecast.amount_due_p10_text} to {forecast.amount_due_p90_text}"
        rows.append(("10th to 90th percentile", band))
    if forecast.track_record is not None:
        rows.append(("Error so far", forecast.track_record.text))
    return rows


@dataclass(frozen=True)
class ForecastDay:
    """
    A day of a period for people: what was spent on it after credits, and what will be due by its
    end. Each is empty where it is not known.
    """

    date: str
    spent: str = ""
    due: str = ""
    p10: str = ""
    p90: str = ""


def days_of(forecast: Forecast) -> list[ForecastDay]:
    """Return the days of a *forecast*, in order; today has what was spent and what will be due."""

    def text(amount: float | None) -> str:
        return "" if amount is None else money.to_text(amount, forecast.currency)

    spent = {day.date: text(day.net) for day in forecast.spent}
    coming = {day.date: (text(day.median), text(day.p10), text(day.p90)) for day in forecast.coming}
    return [
        ForecastDay(day.isoformat(), spent.get(day, ""), *coming.get(day, ()))
        for day in sorted({*spent, *coming})
    ]
