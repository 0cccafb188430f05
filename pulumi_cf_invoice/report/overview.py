"""
The accounts of a report on several, one row each: worst first, and one row for all that pass.

It has the same columns in every format, and only columns in which some account has a value.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.billing.cleaning import cut_in_the_middle, named, one_line
from pulumi_cf_invoice.billing.errors import FetchError
from pulumi_cf_invoice.report.found import MissingInvoice
from pulumi_cf_invoice.report.headlines import Rank
from pulumi_cf_invoice.report.invoice_report import InvoiceReport
from pulumi_cf_invoice.report.judging import Verdict
from pulumi_cf_invoice.report.report import LONGEST_LABEL, Report
from pulumi_cf_invoice.report.tables import Column, Table

_TONES: tuple[Verdict, ...] = ("over", "unknown", "advisory", "within", "none")
_PASSING = ("within", "none")
_LONGEST_REASON = 160
_COLUMNS = (
    Column("Invoice", is_text=True),
    Column("Amount due"),
    Column("Limit", is_wide=True),
    Column("Forecast", is_wide=True),
    Column("Change", is_wide=True),
    Column("Verdict", is_text=True),
)


@dataclass(frozen=True)
class Row:
    """
    An account, or several together: the cells, and the verdict that styles the row.

    ``invoice`` is the account's, or None, and the first cell contains its ``label``.
    """

    cells: Sequence[str]
    tone: Verdict
    label: str = ""
    invoice: InvoiceReport | None = None


@dataclass(frozen=True)
class Overview:
    """
    The accounts of a report on several.

    ``attention`` has those that need it, worst first, and ``passing`` the rest. The cells of
    ``totals`` are the sums of all, per currency.
    """

    columns: Sequence[Column]
    attention: Sequence[Row]
    passing: Sequence[Row]
    totals: Sequence[Sequence[str]]
    is_of_many: bool

    @property
    def invoices(self) -> list[Row]:
        """The rows that have an invoice, the worst first."""
        return [row for row in (*self.attention, *self.passing) if row.invoice]

    @property
    def is_folded(self) -> bool:
        """Whether a single row represents those that pass."""
        return len(self.passing) > 1 and (self.is_of_many or bool(self.attention))

    def rows(self, most: int) -> list[Row]:
        """
        Return the rows: at most *most* invoices that need attention and as many accounts that could
        not be read, plus one row for each group that is left out.
        """
        read = [row for row in self.attention if row.invoice]
        unread = [row for row in self.attention if not row.invoice]
        passing = [self.passed] if self.is_folded else self.passing
        return [*self._first(read, most), *self._first(unread, most), *passing]

    def _first(self, rows: Sequence[Row], most: int) -> list[Row]:
        left = rows[most:]
        more = [self.summed(f"… and {len(left):,} more", left)] if left else []
        return [*rows[:most], *more]

    @property
    def passed(self) -> Row:
        """The one row for all that pass, with their number and sum."""
        return self.summed(self._passing_text, self.passing)

    @property
    def _passing_text(self) -> str:
        kinds = Counter(map(_kind, self.passing))
        return ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())

    def summed(self, label: str, rows: Sequence[Row]) -> Row:
        """Return a row for several accounts, called *label*, with their sums."""
        worst = min((row.tone for row in rows), key=_TONES.index)
        reports = [row.invoice for row in rows if row.invoice]
        sums = {"Amount due": _sum(reports), "Forecast": _forecast_sum(reports)}
        cells = [sums.get(column.title, "") for column in self.columns[1:]]
        return Row([label, *cells], worst, label)

    def table(self, most: int) -> Table:
        """Return the rows and totals, with *most* of those that need attention."""
        rows = [row.cells for row in self.rows(most)]
        return Table("Invoices", self.columns, [*rows, *self.totals], sums=len(self.totals))


def overview(report: Report) -> Overview:
    """Return the accounts of a *report* of several."""
    pairs = zip(report.invoices, report.labels, strict=True)
    accounts = [_of_invoice(*pair) for pair in sorted(pairs, key=_badness)]
    accounts += map(_of_missing, report.missing)
    columns = [
        column
        for column in _COLUMNS
        if any(account.cells.get(column.title) for account in accounts)
    ]

    def placed(cells: Mapping[str, str]) -> list[str]:
        return [cells.get(column.title, "") for column in columns]

    rows = [
        Row(placed(account.cells), account.tone, account.cells["Invoice"], account.invoice)
        for account in sorted(accounts, key=lambda account: _TONES.index(account.tone))
    ]
    return Overview(
        columns,
        [row for row in rows if row.tone not in _PASSING],
        [row for row in rows if row.tone in _PASSING],
        [placed(cells) for cells in _totals(report)],
        report.is_of_many,
    )


def _totals(report: Report) -> Iterator[Mapping[str, str]]:
    """Yield the cells of the total in each currency by the titles of their columns."""
    is_mixed = len(report.totals) > 1
    texts = zip(report.totals, report.total_texts, report.forecast_total_texts, strict=True)
    for (_, code), due, coming in texts:
        total = f"Total in {code.upper()}" if is_mixed else "Total"
        yield {"Invoice": total, "Amount due": due, "Forecast": coming}


class _Account(NamedTuple):
    """An account with its cells by the titles of their columns."""

    cells: Mapping[str, str]
    tone: Verdict
    invoice: InvoiceReport | None = None


def _of_invoice(invoice: InvoiceReport, label: str) -> _Account:
    limit = invoice.limit
    cells = {
        "Invoice": label,
        "Amount due": invoice.invoice.amount_due_text,
        "Limit": money.to_rough_text(*limit.limit) if limit else "",
        "Forecast": invoice.short_forecast_text,
        "Change": invoice.short_change_text,
        "Verdict": _verdict(invoice),
    }
    return _Account(cells, invoice.tone, invoice)


def _of_missing(missing: MissingInvoice) -> _Account:
    cells = {"Invoice": _title(missing), "Verdict": _reason(missing)}
    return _Account(cells, "none" if missing.is_unused else "unknown")


def _title(missing: MissingInvoice) -> str:
    """Return the label of an account without an invoice."""
    if not missing.names:
        return missing.title
    names = named(cut_in_the_middle(", ".join(missing.names), LONGEST_LABEL))
    return f"{names}, account {missing.account_id}"


def _reason(missing: MissingInvoice) -> str:
    """Return briefly why an account has no invoice."""
    error = missing.error
    problem = error.problem if isinstance(error, FetchError) else str(error)
    why = one_line(problem, _LONGEST_REASON).split(". ")[0].rstrip(".")
    return f"{'No invoice' if missing.is_unused else 'Unknown'}: {why}"


def _verdict(invoice: InvoiceReport) -> str:
    if invoice.situation.worst.rank is Rank.CREDITS and invoice.verdict in _PASSING:
        return "Credits used up"
    return invoice.tone_text if invoice.rules else ""


def _kind(row: Row) -> str:
    """Return the label of a passing row among other passing ones."""
    if row.invoice is None:
        return "without an invoice"
    return "within" if row.tone == "within" else "not judged"


def _badness(pair: tuple[InvoiceReport, str]) -> tuple[int, object]:
    return _TONES.index(pair[0].tone), pair[0].situation.worst.badness


def _forecast_sum(reports: Sequence[InvoiceReport]) -> str:
    """Return what several will come to, in each currency; empty if one of them has no forecast."""
    expected = [(report.expected[0], report.invoice.currency) for report in reports]
    known = [(amount, currency) for amount, currency in expected if amount is not None]
    if len(known) < len(expected):
        return ""
    return " and ".join(money.to_rough_text(*amount) for amount in money.totals(known))


def _sum(reports: Iterable[InvoiceReport]) -> str:
    invoices = (report.invoice for report in reports)
    sums = money.totals((invoice.amount_due, invoice.currency) for invoice in invoices)
    return " and ".join(money.to_text(*amount) for amount in sums)
