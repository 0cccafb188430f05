"""What a report shows of an account besides its invoice: credits, earlier invoices and usage."""

from dataclasses import dataclass

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.invoice_history import InvoiceHistory, PastInvoice
from pulumi_cf_invoice.billing.models import Model
from pulumi_cf_invoice.billing.reads import CREDIT_BALANCE, INVOICE_HISTORY, USAGE_HISTORY, Read
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.billing.usage_history import UsageHistory

_READS: tuple[Read[Model], ...] = (CREDIT_BALANCE, USAGE_HISTORY, INVOICE_HISTORY)


@dataclass(frozen=True)
class AccountReport:
    """
    What a *snapshot* has of an account besides its invoice, whose *currency* the credits are in.
    """

    snapshot: Snapshot
    currency: str

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
        """The earlier invoices, the newest first; none if they could not be read."""
        return self.invoice_history.invoices if self.invoice_history else []

    @property
    def not_available(self) -> list[str]:
        """Why a read is not here, a sentence each."""
        problems = (self.snapshot.problem(read) for read in _READS)
        return [f"Not available: {problem}" for problem in problems if problem]

    @property
    def notes(self) -> list[str]:
        """What a reader has to know of the figures, a sentence each."""
        problem = self.credit_balance.topup_problem if self.credit_balance else None
        told = [f"The automatic top-up does not work: {problem}."] if problem else []
        return [*self.not_available, *told]

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
        return rows

    @staticmethod
    def _unpaid_text(history: InvoiceHistory) -> str:
        remaining: dict[str, list[float]] = {}
        for invoice in history.unpaid:
            remaining.setdefault(invoice.currency, []).append(invoice.amount_remaining)
        part = "" if history.invoices_complete else " (the API gave only a part of them)"
        if not remaining:
            return f"none{part}"
        sums = [money.to_text(money.total(of), code) for code, of in sorted(remaining.items())]
        return f"{len(history.unpaid):,}, {' and '.join(sums)} in total{part}"
