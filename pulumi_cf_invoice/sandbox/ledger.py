"""
What a made-up account has bought, used up and been invoiced for in earlier months.

The balance is what was bought less the credits on the lines of all invoices.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pulumi_cf_invoice.billing import money
from pulumi_cf_invoice.sandbox.usage import DAY, HOUR, Month

Result = dict[str, Any]


@dataclass(frozen=True)
class Credits:
    """
    The credits of an account, in minor units of its currency.

    ``bought`` is what it began with, and ``a_month`` what each earlier invoice used up. ``top_up``
    is bought automatically below ``threshold``, unless there is an ``error`` or a
    ``disabled_reason``; it last failed ``failed`` hours ago.
    """

    bought: float = 20_000
    a_month: float = 1_500
    top_up: int | None = 2_500
    threshold: int | None = 1_000
    error: str | None = None
    disabled_reason: str | None = None
    failed: int | None = None


USUAL_CREDITS = Credits()


class Ledger:
    """
    The invoices of an account before *now* (Unix seconds), and the remaining balance.

    *past* are the earlier months with their usage, the oldest first, *used* are the credits on the
    upcoming invoice, and *unpaid* are the statuses of what was not paid, by months ago.
    """

    def __init__(
        self,
        credits: Credits,
        past: Sequence[tuple[Month, Decimal]],
        used: Decimal,
        now: int,
        *,
        currency: str,
        unpaid: Iterable[tuple[int, str]] = (),
    ) -> None:
        self._credits = credits
        self._currency = currency
        self._rows: list[Result] = []
        self._unpaid = dict(unpaid)
        self.balance = Decimal(0)
        opened = past[0][0].start if past else now - DAY
        if credits.bought:
            self._buy(credits.bought, opened, "manual")
        for ago, (month, usage) in zip(range(len(past), 0, -1), past, strict=True):
            settled = min(money.exact(credits.a_month), usage, self.balance)
            self.balance -= settled
            if usage:
                self._invoice(month, usage - settled, self._unpaid.get(ago, "paid"))
            self._refill(month.end - 10 * DAY)
        self.balance -= used
        if used:
            self._refill(now - HOUR)

    @property
    def invoices(self) -> list[Result]:
        """The rows of the invoice history, the newest first."""
        return sorted(self._rows, key=lambda row: row["created"], reverse=True)

    def credit_balance(self, now: int) -> Result:
        """Return the ``result`` of the credit balance at *now*, in Unix seconds."""
        credits = self._credits
        has_paid = credits.bought > 0
        failed = None if credits.failed is None else now - credits.failed * HOUR
        return {
            "balance": money.number(self.balance),
            "has_default_payment_method": has_paid,
            "payment_method": {"brand": "visa", "last4": "4242"} if has_paid else None,
            "topup_config": {
                "amount": credits.top_up,
                "threshold": credits.threshold,
                "error": credits.error,
                "disabledReason": credits.disabled_reason,
                "lastFailedAt": failed,
            },
            "first_topup_success": has_paid,
        }

    def _refill(self, at: int) -> None:
        credits = self._credits
        if not credits.top_up or credits.error or credits.disabled_reason:
            return
        while self.balance < (credits.threshold or 0):
            self._buy(credits.top_up, at, "auto")

    def _buy(self, amount: float, at: int, origin: str) -> None:
        self.balance += money.exact(amount)
        self._add(at, money.exact(amount), "AI Gateway credits", origin, "paid")

    def _invoice(self, month: Month, amount: Decimal, status: str) -> None:
        self._add(month.end, amount, f"AI Gateway usage, {month.name}", "auto", status)

    def _add(self, at: int, due: Decimal, description: str, origin: str, status: str) -> None:
        number = f"in_{len(self._rows) + 1:04}"
        paid = due if status == "paid" else Decimal(0)
        self._rows.append(
            {
                "id": number,
                "amount_due": money.number(due),
                "amount_paid": money.number(paid),
                "amount_remaining": money.number(due - paid),
                "currency": self._currency,
                "status": status,
                "created": at,
                "description": description,
                "invoice_origin": origin,
                "invoice_pdf": f"https://invoices.example.com/{number}/pdf?s=made-up",
                "created_by": "sandbox@example.com",
                "attempt_count": 1 if status == "paid" else 4,
                "attempted": True,
                "auto_advance": status != "uncollectible",
            }
        )
