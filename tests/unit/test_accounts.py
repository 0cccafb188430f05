from datetime import timedelta

import pytest

from pulumi_cf_invoice import ApiError, BillingError
from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    READS,
    USAGE_HISTORY,
)
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, TOKEN, snapshot

REFUSED = ApiError("credit balance", ACCOUNT, 403, 10000, "Authentication error", "Use another.")


def reader(*snapshots: Snapshot, **variables: str) -> AccountReader:
    return AccountReader({"CLOUDFLARE_API_TOKEN": TOKEN, **variables}, snapshots=snapshots)


def test_every_read_of_an_account_is_asked_once_however_many_want_it(sandbox: Sandbox) -> None:
    accounts = reader()
    for _ in range(2):
        state = accounts.read(
            ACCOUNT, sandbox.base_url, [read.asked(NOW) for read in READS], at=NOW
        )
    assert len(sandbox.requests) == len(READS)
    assert state.of_invoice.invoice.amount_due == 18846
    assert state.get(CREDIT_BALANCE) is state.find(CREDIT_BALANCE)
    assert state.origin == f"The figures come from {sandbox.base_url}, not from Cloudflare."


def test_another_query_and_another_account_are_reads_of_their_own(sandbox: Sandbox) -> None:
    accounts, week = reader(), USAGE_HISTORY.asked(NOW, since=NOW - timedelta(days=7))
    for account in (ACCOUNT, OTHER_ACCOUNT):
        accounts.read(account, sandbox.base_url, [USAGE_HISTORY.asked(NOW)], at=NOW)
        assert (
            len(accounts.read(account, sandbox.base_url, [week], at=NOW).get(USAGE_HISTORY).entries)
            == 8
        )
    assert sandbox.requests == [ACCOUNT, ACCOUNT, OTHER_ACCOUNT, OTHER_ACCOUNT]


def test_a_read_that_is_refused_takes_nothing_from_the_others() -> None:
    known = snapshot(credit_balance=REFUSED)
    state = reader(known).read(ACCOUNT, None, [INVOICE_PREVIEW], also=[CREDIT_BALANCE], at=NOW)
    assert state.get(INVOICE_PREVIEW).amount_due == 18846
    assert state.find(CREDIT_BALANCE) is None
    assert state.errors == {CREDIT_BALANCE.name: REFUSED}
    with pytest.raises(ApiError, match="credit balance"):
        reader(known).read(ACCOUNT, None, [INVOICE_PREVIEW, CREDIT_BALANCE], at=NOW)


def test_an_account_of_a_snapshot_is_not_asked_for(sandbox: Sandbox) -> None:
    known = reader(snapshot(sandbox.base_url, credit_balance={"balance": 640.19}))
    state = known.read(ACCOUNT, sandbox.base_url, [INVOICE_PREVIEW, CREDIT_BALANCE], at=NOW)
    assert state.get(CREDIT_BALANCE).balance == 640.19
    assert state.base_url == sandbox.base_url
    with pytest.raises(BillingError, match="the invoice history is not in the snapshot"):
        known.read(ACCOUNT, sandbox.base_url, [INVOICE_HISTORY], at=NOW)
    assert sandbox.requests == []
    assert (
        known.read(OTHER_ACCOUNT, sandbox.base_url, at=NOW).of_invoice.account_id == OTHER_ACCOUNT
    )
    assert reader(snapshot()).read(ACCOUNT, None, at=NOW).origin == ""


def test_a_snapshot_from_elsewhere_does_not_stand_for_the_address_of_a_rule(
    sandbox: Sandbox,
) -> None:
    """Otherwise the figures of a stand-in could pass for Cloudflare's."""
    elsewhere = snapshot("http://127.0.0.1:7", credit_balance={"balance": 640.19})
    state = reader(elsewhere).read(ACCOUNT, sandbox.base_url, [CREDIT_BALANCE], at=NOW)
    assert state.get(CREDIT_BALANCE).balance != 640.19
    assert sandbox.requests == [ACCOUNT]
