from typing import Any

import pytest

from pulumi_cf_invoice import ApiError
from pulumi_cf_invoice.billing.cleaning import shown
from pulumi_cf_invoice.billing.credit_balance import CreditBalance
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import DeclaredRule
from pulumi_cf_invoice.rules.gates import Gate
from pulumi_cf_invoice.rules.on_accounts import topup_trouble, used_up
from pulumi_cf_invoice.rules.rule import Finding
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, Result, api_result, snapshot

REFUSED = ApiError("upcoming invoice", ACCOUNT, 403, 10000, "Authentication error", "Use another.")
TOPUP = {"amount": 1000, "threshold": 500}
DAY = 86400
TODAY = int(NOW.timestamp())


def judge(kind: str, settings: Any = None, **answers: Any) -> list[Finding]:
    """Return what a rule of *kind* finds in an account with these *answers*."""
    given = {"limit": settings} if isinstance(settings, str) else settings or {}
    written = {"rule": kind, "accountIds": [ACCOUNT], **given}
    reader = AccountReader({}, snapshots=[snapshot(**answers)])
    return Gate.of(DeclaredRule.parse("x", written)).judge_accounts(reader, NOW)


def messages(status: str, found: list[Finding]) -> list[str]:
    assert {finding.account_id for finding in found} == {ACCOUNT}
    return [finding.message for finding in found if finding.status == status]


# The credit balance.


def balance(amount: float, **more: Any) -> dict[str, Any]:
    return {"balance": amount, "has_default_payment_method": True, "topup_config": {}, **more}


def test_below_the_minimum_the_message_says_by_how_much_and_what_refills_it() -> None:
    found = judge("min-credit-balance", "20 USD", credit_balance=balance(640.19))
    assert messages("failed", found) == [
        f"The credit balance of account {ACCOUNT} is $6.40, below the minimum of $20.00 by $13.60. "
        "Its automatic top-up is not set. AI Gateway refuses inference once the credits are "
        "used up (HTTP 402)."
    ]
    assert found[0].text == "$6.40, below the minimum of $20.00 by $13.60"
    topped = balance(640.19, topup_config=TOPUP)
    [message] = messages("failed", judge("min-credit-balance", "20 USD", credit_balance=topped))
    adds = (
        "Its automatic top-up adds $10.00 ($10.50 charged) when the balance falls below $5.00, so "
        "credits do not cap spending."
    )
    assert adds in message
    failing = balance(640.19, topup_config={**TOPUP, "error": "card declined."})
    [message] = messages("failed", judge("min-credit-balance", "20 USD", credit_balance=failing))
    assert "Its automatic top-up failed: “card declined”. AI Gateway refuses" in message


def test_a_reason_with_quotation_marks_is_quoted_whole() -> None:
    failing = {**TOPUP, "error": "card” (declined): “all is well”", "lastFailedAt": 1_789_000_000}
    found = CreditBalance.from_api(balance(0, topup_config=failing))
    quote = "“card’ (declined): ‘all is well’”"  # noqa: RUF001
    assert shown(used_up(found, "usd")).endswith(f"$0.00 left, the top-up failed ({quote})")
    assert f"failed: {quote} (2026-" in shown(topup_trouble(found, "It"))


@pytest.mark.parametrize(
    ("amount", "status", "text"),
    [
        (2000, "within", "$20.00, not below the minimum of $20.00"),
        (1999.99, "failed", "$20.00, below the minimum of $20.00 by less than $0.01"),
        (1999, "failed", "$19.99, below the minimum of $20.00 by $0.01"),
        (-300, "failed", "-$3.00, below the minimum of $20.00 by $23.00"),
    ],
)
def test_a_balance_is_judged_exactly(amount: float, status: str, text: str) -> None:
    [found] = judge("min-credit-balance", "20 USD", credit_balance=balance(amount))
    assert (found.status, found.text) == (status, text)
    assert ("refuses inference at zero and below" in found.message) == (amount < 0)


def test_a_minimum_in_another_currency_than_the_invoice_is_a_violation() -> None:
    yen = api_result(currency="jpy", invoice_lines=[])
    answers = {"credit_balance": balance(2500), "invoice_preview": yen}
    [message] = messages("unknown", judge("min-credit-balance", "20 USD", **answers))
    assert "is ¥2,500, in JPY, which cannot be compared with the minimum of $20.00" in message
    assert messages("failed", judge("min-credit-balance", "2501 JPY", **answers))


def test_where_the_invoice_cannot_be_read_the_currency_is_taken_for_the_limits_and_noted() -> None:
    refused = {"invoice_preview": REFUSED}
    why = f"It is taken to be in USD, because its currency is not known: {REFUSED}"
    found = judge("min-credit-balance", "20 USD", credit_balance=balance(2500), **refused)
    assert [finding.status for finding in found] == ["within", "noted"]
    assert messages("noted", found)[0].endswith(why)
    below = judge("min-credit-balance", "26 USD", credit_balance=balance(2500), **refused)
    assert [finding.status for finding in below] == ["failed"]
    assert below[0].message.endswith(why)


def test_accounts_have_minimums_of_their_own() -> None:
    limit = {"limit": "20 USD", "accounts": {ACCOUNT: "30 USD"}}
    [message] = messages(
        "failed", judge("min-credit-balance", {"limit": limit}, credit_balance=balance(2500))
    )
    assert "below the minimum of $30.00" in message
    other = {
        "limit": {"accounts": {OTHER_ACCOUNT: "1 USD"}},
        "accountIds": [ACCOUNT, OTHER_ACCOUNT],
    }
    found = judge("min-credit-balance", other, credit_balance=balance(2500))
    assert found[0].message == f"The limits differ by account: account {ACCOUNT} has none."


def test_a_waiver_lowers_the_minimum_and_says_so() -> None:
    waiver = {"until": "2026-09-20", "by": "the CFO", "reason": "launch", "limit": "7 USD"}
    settings = {"limit": "20 USD", "waiver": waiver}
    [message] = messages(
        "failed", judge("min-credit-balance", settings, credit_balance=balance(640.19))
    )
    assert "below the minimum of $7.00 by $0.60" in message
    assert message.endswith(
        "A waiver with the limit 7 USD is in force until 2026-09-20, by the CFO: launch."
    )


# The automatic top-up.


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({**TOPUP, "error": "card\ndeclined"}, "failed: “card declined”."),
        (
            {**TOPUP, "disabledReason": "payment_failed", "lastFailedAt": TODAY},
            "is disabled: “payment_failed” (2026-09-15T12:00:00Z).",
        ),
        (
            {**TOPUP, "disabledReason": "payment_failed", "error": "no funds"},
            "is disabled: “payment_failed; no funds”.",
        ),
    ],
)
def test_a_top_up_that_does_not_work_is_a_violation_in_the_apis_words(
    config: Any, expected: str
) -> None:
    answer = balance(2500, topup_config=config)
    [message] = messages("failed", judge("require-healthy-top-up", credit_balance=answer))
    assert message.startswith(
        f"The automatic top-up of account {ACCOUNT} {expected} AI Gateway ref"
    )


def test_no_top_up_and_one_that_nothing_pays_are_violations() -> None:
    for config in ({}, {"amount": 1000}, {"amount": 0, "threshold": 0}):
        answer = balance(2500, topup_config=config)
        [found] = judge("require-healthy-top-up", credit_balance=answer)
        [message] = messages("failed", [found])
        assert message.startswith(
            f"The automatic top-up of account {ACCOUNT} is not set. AI Gateway"
        )
        assert found.remedy == "Set an automatic top-up in Cloudflare's dashboard."
    answer = balance(2500, topup_config=TOPUP, has_default_payment_method=False)
    [found] = judge("require-healthy-top-up", credit_balance=answer)
    [message] = messages("failed", [found])
    assert message.startswith(f"The automatic top-up of account {ACCOUNT} has no payment method.")
    assert found.remedy.startswith("Fix the automatic top-up, or its payment method, in ")


def test_a_top_up_that_the_api_tells_nothing_of_is_not_known() -> None:
    [message] = messages("unknown", judge("require-healthy-top-up", credit_balance={"balance": 1}))
    assert message == (
        f"The automatic top-up of account {ACCOUNT} is not known: the API says nothing about it."
    )


def test_a_healthy_top_up_is_within_and_an_unexplained_failure_is_noted() -> None:
    answer = balance(2500, topup_config=TOPUP, has_default_payment_method=True)
    [found] = judge("require-healthy-top-up", credit_balance=answer)
    assert found.status == "within"
    assert found.text == (
        f"The automatic top-up of account {ACCOUNT} adds $10.00 ($10.50 charged) when the balance "
        "falls below $5.00."
    )
    failed = balance(2500, topup_config={**TOPUP, "lastFailedAt": TODAY})
    found = judge("require-healthy-top-up", credit_balance=failed, invoice_preview=REFUSED)[0]
    assert (
        "adds 1,000 cents (1,050 cents charged) when the balance falls below 500 cents"
        in found.text
    )
    [message] = messages("noted", judge("require-healthy-top-up", credit_balance=failed))
    assert "last failed at 2026-09-15T12:00:00Z, and the API gives no reason" in message


# Earlier invoices.


def row(status: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "id": "in_1",
        "amount_due": 1200,
        "amount_paid": 0,
        "amount_remaining": 1200,
        "currency": "usd",
        "status": status,
        "created": TODAY - 12 * DAY,
        **changes,
    }


def history(*rows: Any, complete: bool = True) -> Result:
    return Result({"invoices": list(rows)}, Answered(complete))


def test_unpaid_invoices_are_reported_with_amount_age_and_number() -> None:
    rows = history(
        row("paid", id="in_2"),
        row("open"),
        row("uncollectible", id=None, created=TODAY - 40 * DAY, amount_remaining=500.5),
    )
    assert messages("failed", judge("no-unpaid-invoices", invoice_history=rows)) == [
        f"Account {ACCOUNT} has 2 unpaid invoices, $17.00 in total: $5.00 uncollectible "
        "for 40 days; $12.00 open for 12 days (in_1)."
    ]


def test_many_and_odd_rows_are_one_line() -> None:
    rows = history(
        *(row("open", created=TODAY - n * DAY + 5, id=f"in_{n}") for n in range(1, 5)),
        row("open", created=None, id="two\nlines", currency="eur"),
        complete=False,
    )
    [message] = messages("failed", judge("no-unpaid-invoices", invoice_history=rows))
    assert (
        "5 unpaid invoices, €12.00 and $48.00 in total: €12.00 open for an unknown time (two "
        "lines); " in message
    )
    assert "$12.00 open for 3 days (in_4); $12.00 open for 2 days" in message
    assert message.endswith(
        "; and 2 more. There may be more: the API gave only a part of the invoice history."
    )


def test_a_history_without_unpaid_invoices_is_within_only_if_it_is_complete() -> None:
    found = judge("no-unpaid-invoices", invoice_history=history(row("paid"), row("void", id="2")))
    assert messages("within", found) == [
        f"None of 2 earlier invoices of account {ACCOUNT} is unpaid."
    ]
    [only] = judge("no-unpaid-invoices", invoice_history=history(row("paid")))
    assert only.text == f"The only earlier invoice of account {ACCOUNT} is not unpaid."
    [none] = judge("no-unpaid-invoices", invoice_history=history())
    assert none.text == f"No earlier invoice of account {ACCOUNT} is unpaid."
    part = history(row("paid"), complete=False)
    assert messages("unknown", judge("no-unpaid-invoices", invoice_history=part)) == [
        f"Whether account {ACCOUNT} has unpaid invoices is not known, since the API gave only a "
        "part of the invoice history."
    ]


def test_what_remains_of_an_invoice_with_no_known_status_is_not_taken_for_paid() -> None:
    rows = history(row(None), row("overdue", id="2"), row(None, id="3"))
    assert messages("unknown", judge("no-unpaid-invoices", invoice_history=rows)) == [
        f"Whether all earlier invoices of account {ACCOUNT} are paid is not known: 2 have no "
        "status, 1 has the status overdue."
    ]
    many = [row(f"odd-{number}", id=str(number)) for number in range(10)]
    [message] = messages("unknown", judge("no-unpaid-invoices", invoice_history=history(*many)))
    assert message.endswith(
        "1 has the status odd-0, 1 has the status odd-1, 1 has the status odd-2, and 7 more have "
        "other statuses."
    )
    nothing_remains = history(row(None, amount_remaining=0))
    assert messages("within", judge("no-unpaid-invoices", invoice_history=nothing_remains))


def test_a_history_of_some_kinds_of_invoices_is_not_enough() -> None:
    answer = Result({"invoices": []}, Answered(query={"type": "auto"}))
    assert messages("unknown", judge("no-unpaid-invoices", invoice_history=answer)) == [
        f"Whether account {ACCOUNT} has unpaid invoices is not known, since only auto invoices "
        "were read."
    ]


# What cannot be read.


@pytest.mark.parametrize(
    ("kind", "settings", "refused"),
    [
        ("min-credit-balance", "1 USD", "credit-balance"),
        ("require-healthy-top-up", None, "credit-balance"),
        ("no-unpaid-invoices", None, "invoice-history"),
    ],
)
def test_only_a_read_that_a_rule_needs_makes_it_unknown(
    kind: str, settings: Any, refused: str
) -> None:
    healthy = {
        "credit_balance": balance(2500, topup_config=TOPUP),
        "invoice_history": history(),
        "invoice_preview": api_result(),
    }
    for read in healthy:
        answers = {**healthy, read: REFUSED}
        found = {finding.status for finding in judge(kind, settings, **answers)}
        assert ("unknown" in found) == (read == refused.replace("-", "_")), read
