import dataclasses
import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest

from pulumi_cf_invoice import ApiError, BillingError, InvalidDataError
from pulumi_cf_invoice.billing import settings, snapshot, usage_history
from pulumi_cf_invoice.billing.answers import parse_json
from pulumi_cf_invoice.billing.cleaning import LONGEST_VALUE, inert_value
from pulumi_cf_invoice.billing.errors import NotAvailableError
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    READS,
    USAGE_HISTORY,
)
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.sandbox import Sandbox
from tests import factories
from tests.factories import ACCOUNT, NOW, TOKEN, Result, api_line, api_result, settings_for


def taken(settled: dict[str, str], at: datetime = NOW) -> Snapshot:
    return snapshot.take(settings.resolve(None, [settings.environment(settled)]), at)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def written(snapshot: Snapshot) -> dict[str, Any]:
    content: dict[str, Any] = parse_json(snapshot.to_json())
    return content


def test_a_file_has_every_read_with_the_time_of_reading(
    sandbox: Sandbox, settled: dict[str, str]
) -> None:
    snapshot = taken(settled)
    content = written(snapshot)
    assert content["read_at"] == "2026-09-15T12:00:00Z"
    assert content["account_id"] == ACCOUNT
    assert set(content["reads"]) == {read.name for read in READS}
    invoice = without_nulls(sandbox.answer(ACCOUNT)["result"])
    assert content["reads"]["invoice-preview"]["result"] == invoice
    again = Snapshot.from_json(content)
    assert again.to_json() == snapshot.to_json()
    for read in READS:
        assert again.get(read).to_api() == snapshot.get(read).to_api()


def test_many_accounts_are_read_ahead_and_come_in_their_order() -> None:
    with Sandbox(now=NOW, number_of_accounts=40) as many:
        accounts = [settings_for(many.base_url, account) for account in many.directory.ids]
        found = list(snapshot.take_each(accounts, NOW))
        assert [snapshot.account_id for snapshot in found] == many.directory.ids
        assert len(many.asked) == 40 * len(READS)
    assert all(snapshot.find(read) for snapshot in found for read in READS)


def test_the_usage_of_a_snapshot_reaches_back_for_a_forecast(settled: dict[str, str]) -> None:
    usage = taken(settled).get(USAGE_HISTORY)
    assert len(usage.entries) == usage_history.DEFAULT_DAYS
    assert usage.entries[-1].start_iso == "2026-09-15T00:00:00Z"
    assert usage.entries[-1].is_partial
    assert not usage.entries[-2].is_partial


PRIVATE = {
    "client_secret": "secret-1",
    "payment_intent": {"client_secret": "secret-2"},
    "bank_account": {"iban": "DE89secret-3"},
    "customer_email": "secret-4@example.com",
    "invoice_pdf": "https://pay.stripe.com/secret-5/pdf",
    "created_by": "secret-6@example.com",
    "new_field_of_next_year": ["secret-7"],
    "payment_method": {"brand": "secret-8", "last4": "secret-9"},
}


def test_only_the_models_own_fields_are_in_a_file(settled: dict[str, str]) -> None:
    """Other content of an answer, at any depth and under any name, is not kept anywhere."""
    day = {"start_time": 1788220800000, "aggregated_value": 5, "id": "secret-0", **PRIVATE}
    line = {**api_line(**PRIVATE), "period": {"start": 1, "end": 2, **PRIVATE}}
    line["pretax_credit_amounts"] = [{"amount": 1, "type": "discount", **PRIVATE}]
    row = dict.fromkeys(("amount_due", "amount_paid", "amount_remaining"), 1)
    topup = {"amount": 1, "error": {"message": "Declined", **PRIVATE}, **PRIVATE}
    query = dict(USAGE_HISTORY.asked(NOW, since="2026-09-01").query)
    private = factories.snapshot(
        invoice_preview={**api_result(invoice_lines=[line]), **PRIVATE},
        credit_balance={"balance": 5, "topup_config": topup, **PRIVATE},
        usage_history=Result(
            {"history": [day], **PRIVATE}, Answered(query={**query, "client_secret": "secret-10"})
        ),
        invoice_history={
            "invoices": [{**row, "currency": "usd", "description": "September", **PRIVATE}]
        },
    )
    text = private.to_json() + taken(settled).to_json()
    names = (f'"{name}"' for name in PRIVATE)
    found = [part for part in ("secret", "example.com", TOKEN, *names, "4242") if part in text]
    assert found == []
    again = Snapshot.from_json(written(private))
    assert again.get(INVOICE_HISTORY).invoices[0].description == "September"
    assert again.get(USAGE_HISTORY).total == 5
    assert again.get(CREDIT_BALANCE).topup_problem == '“{"message": "Declined"}”'
    assert [line.net for line in again.get(INVOICE_PREVIEW).invoice_lines] == [19286]


LONG_PARTS = ["4242", "42-", "pi_", "pi_a ", "_secret_", "whsec_", "DE89", "account number "]


# What is searched again from each of its positions takes minutes.
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "part", [*"a*@.:#-0 \u2022/x'", "a'", "stripe.com.", "4242 ", "last4 ", "card ", *LONG_PARTS]
)
def test_a_long_text_of_one_part_takes_time_in_proportion(part: str) -> None:
    long = part * (2**18 // len(part))
    snapshot = factories.snapshot(
        invoice_preview=api_result(invoice_lines=[api_line(description=f"x {long}")]),
        credit_balance={"balance": 5, "topup_config": {"error": f"x {long}"}},
    )
    again = Snapshot.from_json(written(snapshot))
    assert again.get(INVOICE_PREVIEW).invoice_lines[0].name.startswith("x")
    assert again.get(CREDIT_BALANCE).topup_problem


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("declined, see https://pay.stripe.com/acct_1/live_9.", "declined, see [link]"),
        ("https://pay.stripe.com/acct_1/live_9", "[link]"),
        ("jo.doe+x@mail.example.com has no funds", "[e-mail address] has no funds"),
        ("write to jo.doe@mail.example.com.", "write to [e-mail address]"),
        ("claude-sonnet-4-5@20250929 and @cf/meta", "claude-sonnet-4-5@20250929 and @cf/meta"),
        ("card ending in 4242 declined, code 4000", "card ending in [digits] declined, code 4000"),
        (
            "card \u2022\u2022\u2022\u2022 4242 declined",
            "card \u2022\u2022\u2022\u2022 [digits] declined",
        ),
        ("see invoice.stripe.com/i/acct_1/live_9", "see [link]"),
        ("see www.example.com/live_9", "see [link]"),
        ("x.ai/grok-4 and z.ai/glm-4.6", "x.ai/grok-4 and z.ai/glm-4.6"),
        (
            "'o'neil@example.com', o\u2019neil\uff20example.com",
            "'[e-mail address]', [e-mail address]",
        ),
        ("Visa ending 4242 declined", "Visa ending [digits] declined"),
        ("the period ending 2026-09-30", "the period ending 2026-09-30"),
        (
            "the card that ends in 4242, or Visa ends with 4242",
            "the card that ends in [digits], or Visa ends with [digits]",
        ),
        ("your card on file, which ends in 4242", "your card on file, which ends in [digits]"),
        ("the card expired. The period ends in 2026", "the card expired. The period ends in 2026"),
        ("pay.stripe.com:443/live_9", "[link]"),
        ("jo@example.xn--p1ai is unknown", "[e-mail address] is unknown"),
        ("card ending in: 4242", "card ending in: [digits]"),
        ("last4=4242, last 4: 4242", "last4=[digits], last 4: [digits]"),
        ("xxxx4242, XXXX-XXXX-XXXX-4242", "xxxx[digits], XXXX-XXXX-XXXX-[digits]"),
        ("****-4242", "****-[digits]"),
        ("424242XXXXXX4242, 424242******4242", "[digits], [digits]"),
        (r"{\"last4\":\"4242\"}", r"{\"last4\":\"[digits]\"}"),
        (r"ops\u0040example.com, ops%40example.com", "[e-mail address], [e-mail address]"),
        (
            r"see https:\/\/stripe.com\/i\/acct_1 or https%3A%2F%2Fstripe.com%2Fi",
            "see [link] or [link]",
        ),
        ("card 4242 4242 4242 4242, or 4242-4242-4242-4242", "card [digits], or [digits]"),
        ("gpt-4242 at 1790812800 of 4242.42", "gpt-4242 at 1790812800 of 4242.42"),
        ("4242424242424242, 378282246310005", "[digits], [digits]"),
        ("3782 822463 10005, 3056-930902-5904", "[digits], [digits]"),
        ("card 6205 5000 0000 0000 004", "card [digits]"),
        ("4242\u00a04242\u00a04242\u00a04242", "[digits]"),
        ("client_secret pi_3NxAb_secret_Zx8KqL is wrong", "client_secret [secret] is wrong"),
        (
            "seti_1Nx_secret_8K, src_client_secret_8Kq, cs_test_a1_secret_f%2F",
            "[secret], [secret], [secret]",
        ),
        ("key sk_live_51AbC, rk_test_51AbC, whsec_MfKQ+r/g=", "key [secret], [secret], [secret]"),
        ("bank account DE89 3704 0044 0532 0130 00 was closed", "bank account [IBAN] was closed"),
        ("GB82WEST12345698765432, NO93 8601 1117 947", "[IBAN], [IBAN]"),
        ("FR14-2004-1010-0505-0001-3M02-606 AND KZ86125KZT5004100100", "[IBAN] AND [IBAN]"),
        ("be68539007547034", "[IBAN]"),
        # What is beside it in groups like its own is no part of it.
        ("4242 4242 4242 4242 12/27, CVC 123", "[digits] 12/27, CVC 123"),
        ("In 2026 4242 4242 4242 4242 2 times", "In 2026 [digits] 2 times"),
        ("4242-4242-4242-4242-12, 3782 822463 10005 02/28", "[digits]-12, [digits] 02/28"),
        ("AT61 1904 3002 3457 3201 BIC BKAUATWW", "[IBAN] BIC BKAUATWW"),
        ("BE68 5390 0754 7034 EUR, NO93 8601 1117 947 NOK", "[IBAN] EUR, [IBAN] NOK"),
        ("PL61 1090 1014 0000 0712 1981 2874 PLN", "[IBAN] PLN"),
        ("DEBIT AT61 1904 3002 3457 3201", "DEBIT [IBAN]"),
        (
            "card:4242424242424242, Card number:4242424242424242",
            "card:[digits], Card number:[digits]",
        ),
        ("card_no:4242424242424242, visa-4242424242424242", "card_no:[digits], visa-[digits]"),
        ("card-4242424242424242, card no.4242424242424242", "card-[digits], card no.[digits]"),
        (
            r'said {"e":"{\"account_number\": \"000123456789\", \"routing_number\":110000000}"}',
            r'said {"e":"{\"account_number\": \"[digits]\", \"routing_number\":[digits]}"}',
        ),
        (
            r"was\n4242424242424242, card%204242424242424242%20",
            r"was\n[digits], card%20[digits]%20",
        ),
        (
            "account_number%3D000123456789, %22AT611904300234573201%22",
            "account_number%3D[digits], %22[IBAN]%22",
        ),
        ("routing%20number%20110000000", "routing%20number%20[digits]"),
        ('error: {"number":4242424242424242}', 'error: {"number":[digits]}'),
        (
            "account number 000123456, routing number: 110000000",
            "account number [digits], routing number: [digits]",
        ),
        ("acct. no. 0012-3456", "acct. no. [digits]"),
        (
            "account_number=12345678, sort code 20-00-00",
            "account_number=[digits], sort code [digits]",
        ),
        (
            "bank account 12345678, account ending 6789",
            "bank account [digits], account ending [digits]",
        ),
    ],
)
def test_a_reason_that_mentions_what_is_private_stays_a_reason(reason: str, kept: str) -> None:
    """Otherwise a failed top-up would be healthy in the file."""
    topup = {"amount": 1000, "threshold": 500, "error": reason}
    snapshot = factories.snapshot(credit_balance={"balance": 5, "topup_config": topup})
    credits = Snapshot.from_json(written(snapshot)).get(CREDIT_BALANCE)
    assert credits.topup_problem == kept
    assert not credits.topup_is_healthy


@pytest.mark.parametrize(
    "honest",
    [
        "claude-haiku-20250929, claude-haiku-4-5-20251001, gpt-4o-2024-08-06, @cf/qwen/qwen3-30b",
        "2026-09-01 2026-09-30, 20260901 20260930, 2026-09-15T12:00:00.123456789012Z",
        "1788220800, 1788220800000, 20260915120000, 202609151200",
        "$1,234,567,890,123.45, 0.000000123456789012, 123456789012.50",
        "ray 8f2b4c1d2e3f4a5b-FRA, account 023e105f4ecef8ad9ca31a8372d0c353",
        "account number 023e105f4ecef8ad9ca31a8372d0c353, DE890000000000000000000000000001",
        "in_0004, in_1234567890123456, tu_000000000001",
        "Acme account #10234, BSB 2026 rollout, savings account 2026, SKU US12ABCD1234567",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/x, replicate/1234567890123456",
        "google-vertex-ai/endpoints/4511608470067216384, 4242424242424241 tokens",
        "endpoints/4242424242424242, id1790812800000, DE89370400440532013001",
        "ft:4242424242424242, v1.4242424242424242, run-4242424242424242",
        "00000000-1234-4372-1567-012347612345, f47ac10b-58cc-4372-a567-123456789012",
        "2024 2025 2026, IN 2026 PLUS 1000 MORE, 1 000 000 000 000 tokens",
        "dynamic routing 5000, my_secret_gateway, sk_production, pi_secret",
    ],
)
def test_what_looks_like_a_number_of_a_card_or_an_account_stays(honest: str) -> None:
    """Names of models and gateways, dates, amounts, times and IDs are what a reader needs."""
    line = api_line(description=honest)
    snapshot = factories.snapshot(invoice_preview=api_result(invoice_lines=[line]))
    again = Snapshot.from_json(written(snapshot))
    assert again.get(INVOICE_PREVIEW).invoice_lines[0].description == honest


@pytest.mark.parametrize(
    "private",
    ["https://pay.stripe.com/acct_1/live_42?s=db", "a visa ending in 4242", "jo.42@example.com"],
)
@pytest.mark.parametrize("before", range(450, 530, 4))
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_what_is_private_where_a_long_reason_is_cut_is_not_half_kept(
    private: str, before: int, is_mirrored: bool
) -> None:
    near, far = "x" * before, "Declined. " * 200
    reason = f"{far}{private} {near}" if is_mirrored else f"{near} {private} {far}"
    topup = {"amount": 1000, "threshold": 500, "error": reason}
    snapshot = factories.snapshot(credit_balance={"balance": 5, "topup_config": topup})
    kept = written(snapshot)["reads"]["credit-balance"]["result"]["topup_config"]["error"]
    assert len(kept) == LONGEST_VALUE
    assert not re.search("42|stripe|example", kept)


def test_what_is_private_where_quotation_marks_make_a_reason_too_long_is_not_half_kept() -> None:
    for before in range(470, 510):
        reason = f'["{"x" * before} visa ending in 4242 {"x" * 1000}'[:1000]
        assert "4242" not in inert_value(reason)


def test_a_link_that_is_left_out_leaves_no_command_to_a_runner() -> None:
    assert "##[" not in inert_value(f"##https://example.com {'x' * 1000}")


def test_whether_there_is_a_payment_method_is_not_private() -> None:
    snapshot = factories.snapshot(
        credit_balance={"balance": 5, "has_default_payment_method": False}
    )
    assert snapshot.get(CREDIT_BALANCE).has_default_payment_method is False


def test_amounts_survive_the_file_exactly() -> None:
    body = json.dumps({"balance": 0, "topup_config": {}}).replace(": 0,", ": 640.19,")
    snapshot = factories.snapshot(
        credit_balance=parse_json(body), invoice_preview=api_result(amount_due=0.5)
    )
    again = Snapshot.from_json(written(snapshot))
    assert again.get(CREDIT_BALANCE).balance == 640.19
    assert again.get(INVOICE_PREVIEW).amount_due == 0.5


def test_an_amount_that_cannot_be_carried_is_refused_from_a_file_too() -> None:
    snapshot = factories.snapshot(credit_balance=parse_json('{"balance": 1.00000000000000000001}'))
    for each in (snapshot, Snapshot.from_json(written(snapshot))):
        with pytest.raises(BillingError, match="credit balance cannot be read: balance: "):
            each.get(CREDIT_BALANCE)


def test_a_read_that_is_refused_takes_nothing_from_the_rest(settled: dict[str, str]) -> None:
    snapshot = taken(settled)
    refusal = ApiError("credit balance", ACCOUNT, 403, 10000, "Authentication error", "Ask.", "r")
    part = dataclasses.replace(snapshot, answers={**snapshot.answers, "credit-balance": refusal})
    for each in (part, Snapshot.from_json(written(part))):
        assert each.get(INVOICE_PREVIEW) == snapshot.get(INVOICE_PREVIEW)
        assert each.find(CREDIT_BALANCE) is None
        assert str(each.problem(CREDIT_BALANCE)) == str(refusal)
        assert each.problem(INVOICE_PREVIEW) is None


def test_of_an_error_only_the_snapshots_own_address_is_written() -> None:
    elsewhere = "https://proxy.example.com/client/v4"
    said = f"see {elsewhere}/live_9, not to Cloudflare"
    refusal = ApiError("credit balance", ACCOUNT, 403, 10000, said, "Ask.", "r")
    refusal.base_url = elsewhere
    snapshot = factories.snapshot(elsewhere)
    part = dataclasses.replace(snapshot, answers={"credit-balance": refusal})
    for again in (once := Snapshot.from_json(written(part)), Snapshot.from_json(written(once))):
        problem = str(again.problem(CREDIT_BALANCE))
        assert "live_9" not in problem
        assert problem.endswith(f" The request went to {elsewhere}, not to Cloudflare.")


def test_what_is_not_in_a_file_is_not_available() -> None:
    with pytest.raises(NotAvailableError, match="the credit balance is not in the snapshot"):
        factories.snapshot().get(CREDIT_BALANCE)


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (2.0, None),
        (-0.05, None),
        (
            2.5,
            "the snapshot is 2.5 hours old, taken at 2026-09-15T12:00:00Z, but at most 2 are "
            "allowed",
        ),
        (-1.0, "which is in the future"),
    ],
)
def test_a_snapshot_older_than_allowed_is_refused(hours: float, expected: str | None) -> None:
    at = NOW + timedelta(hours=hours)
    if expected is None:
        factories.snapshot().refuse_older(timedelta(hours=2), at)
        return
    with pytest.raises(NotAvailableError, match=expected):
        factories.snapshot().refuse_older(timedelta(hours=2), at)


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ({"version": 2}, "version: 2 is not 1"),
        ({"account_id": "short"}, "not an account ID"),
        ({"account_id": None}, "not an account ID"),
        ({"read_at": "yesterday"}, "read_at is .yesterday.: it needs"),
        ({"read_at": "2026-09-15T12:00:00"}, "a time with its zone"),
        ({"read_at": "::error::\nyesterday\x1b[31m"}, "read_at is .: :error:: yesterday .31m.:"),
        ({"read_at": "2" * 10_000}, "…': it needs a time with its zone, such as 2026-09-15T12"),
        ({"read_at": None}, "read_at is missing: it needs a time with its zone"),
        ({"read_at": "9999-12-31T23:59:59Z"}, "read_at is in the year 9999"),
        ({"read_at": "0001-01-01T00:00:00+14:00"}, "read_at is in the year 1"),
        ({"reads": []}, "needs reads"),
        ({"base_url": None}, "a base_url"),
        ({"base_url": "https://user:password@example.com"}, "without a user"),
        ({"reads": {"credit-balance": 5}}, "an answer in it is not an object"),
        ({"reads": {"credit-balance": {"result": {}, "query": {}}}}, "lacks query or complete"),
        (
            {"reads": {"credit-balance": {"result": {}, "complete": True}}},
            "lacks query or complete",
        ),
    ],
)
def test_a_file_that_is_no_snapshot_says_what_is_wrong(
    broken: dict[str, Any], expected: str
) -> None:
    content = written(factories.snapshot(credit_balance={"balance": 5}))
    with pytest.raises(InvalidDataError, match=expected):
        Snapshot.from_json({**content, **broken})
