"""Many accounts of one address: its connections, threads and rate limit are shared."""

import logging
import socket
import sys
import threading
from concurrent.futures import Future
from typing import Any

import httpx
import pytest

from pulumi_cf_invoice.billing import (
    ApiError,
    BillingClient,
    BillingError,
    Credentials,
    Invoice,
    RateLimitError,
    TransportError,
)
from pulumi_cf_invoice.billing.pool import READS_AT_ONCE, THREADS
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import ACCOUNT, NOW, SECRET, TOKEN
from tests.waiting import wait_until


def client(base_url: str, token: str = TOKEN, **options: Any) -> BillingClient:
    return BillingClient(Credentials(api_token=token), base_url=base_url, **options)


def ask_all(mine: BillingClient, accounts: list[str]) -> list["Future[Invoice]"]:
    return [mine.submit(INVOICE_PREVIEW, account) for account in accounts]


def fetching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREADS]


def wait_for_idle(threads: set[threading.Thread]) -> list[Any]:
    """Return the frames of *threads* as soon as they wait for another read."""

    def frames() -> list[Any]:
        now = sys._current_frames()
        return [now[thread.ident] for thread in threads if thread.ident in now]

    wait_until(
        lambda: all(frame.f_code.co_name == "wait" for frame in frames()), "the threads wait"
    )
    return frames()


def test_many_accounts_share_sixteen_connections_and_threads() -> None:
    with Sandbox(now=NOW, number_of_accounts=100, latency=0.02) as sandbox:
        earlier = set(fetching())
        asked = ask_all(client(sandbox.base_url), sandbox.directory.ids)
        assert 1 < len(set(fetching()) - earlier) <= READS_AT_ONCE
        due = {answer.result().amount_due for answer in asked}
        assert sandbox.most_connections <= READS_AT_ONCE
        assert sorted(sandbox.requests) == sorted(sandbox.directory.ids)
    assert len(due) > 50


def test_a_thread_that_waits_keeps_nothing_of_a_read(sandbox: Sandbox) -> None:
    earlier = set(fetching())
    client(sandbox.base_url, token=SECRET).submit(INVOICE_PREVIEW, ACCOUNT).exception()
    waiting = wait_for_idle(set(fetching()) - earlier)
    seen = []
    for frame in waiting:
        step: Any = frame
        while step is not None:
            seen.append(repr(step.f_locals))
            step = step.f_back
    assert seen
    assert not [text for text in seen if SECRET in text or "Fetch" in text]


def test_a_name_that_is_never_resolved_takes_no_longer_than_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All who ask for the name share one resolution, which cannot be interrupted."""
    asked, done = [], threading.Event()

    def never(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        done.wait(30)
        raise OSError("too late")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    answers = ask_all(client("https://slow.example.com", timeout=1), [ACCOUNT] * 10)
    try:
        for answer in answers:
            with pytest.raises(TransportError, match=r"no complete answer within 1 s"):
                answer.result(20)
    finally:
        done.set()
    assert asked.count("slow.example.com") == 1


@pytest.mark.parametrize("fault", ["endless-headers", "trickle"])
def test_an_address_that_completes_no_answer_is_not_asked_for_every_account(
    sandbox: Sandbox, fault: str
) -> None:
    sandbox.fault = fault
    mine = client(sandbox.base_url, timeout=0.5)
    failed = [answer.exception() for answer in ask_all(mine, [ACCOUNT] * 100)]
    assert all(isinstance(error, TransportError) for error in failed)
    assert "no complete answer from 127.0.0.1 to the reads before it" in str(failed[-1])
    assert len(sandbox.requests) < 50


def test_a_rate_limit_is_kept_and_no_account_is_unread(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Sandbox(now=NOW, number_of_accounts=50, rate_limit="20/1s") as sandbox:
        mine = client(sandbox.base_url, longest_wait=float("inf"))
        with caplog.at_level(logging.WARNING):
            invoices = [answer.result() for answer in ask_all(mine, sandbox.directory.ids)]
        assert len(invoices) == 50
        assert sandbox.refusals <= 5
    assert set(caplog.messages) <= {
        f"waiting {n} s for Cloudflare's rate limit of 20 requests in 1 second" for n in (1, 2)
    }


def test_a_run_that_begins_when_nothing_is_left_waits_as_well() -> None:
    """Its first requests are under way together, and all refused, as nothing was said before."""
    with Sandbox(now=NOW, number_of_accounts=8, rate_limit="10/4s") as sandbox:
        another = f"{sandbox.base_url}/accounts/{ACCOUNT}/ai-gateway/billing/invoice-preview"
        while sandbox.refusals == 0:
            httpx.get(another, headers={"Authorization": f"Bearer {TOKEN}"})
        sandbox.latency = 0.1
        mine = client(sandbox.base_url, longest_wait=float("inf"))
        assert len([answer.result() for answer in ask_all(mine, sandbox.directory.ids)]) == 8
        assert sandbox.refusals > 2


def test_a_read_waits_for_the_rate_limit_no_longer_than_its_timeout() -> None:
    with Sandbox(now=NOW, number_of_accounts=40, rate_limit="4/1h") as sandbox:
        mine = client(sandbox.base_url, timeout=5)
        outcomes = [answer.exception() for answer in ask_all(mine, sandbox.directory.ids)]
        assert outcomes.count(None) == 4
        assert sandbox.refusals <= 5
    # However many are not sent, the rate limit is why.
    limited = [error for error in outcomes if isinstance(error, (RateLimitError, ApiError))]
    assert len(limited) == 36
    text = str(limited[-1])
    assert text.startswith(
        f"cannot read the upcoming invoice of account {sandbox.directory.ids[-1]}: "
    )
    assert "Cloudflare's rate limit of 4 requests in 1 hour is used up; this run made " in text
    assert "Run again when it resets, at " in text


def test_a_command_for_many_accounts_does_not_wait_as_long_as_any_answer_asks_for(
    sandbox: Sandbox,
) -> None:
    sandbox.fault = "http-429-long"
    mine = client(sandbox.base_url, longest_wait=float("inf"))
    asked = ask_all(mine, [ACCOUNT] * 10)
    failed = [str(answer.exception(30)) for answer in asked]
    assert "Cloudflare asks to wait 3600 s: run again after that, at " in failed[0]
    assert "Run again when it resets, at " in failed[-1]
    assert "allow more time" not in failed[-1]


def test_without_the_headers_a_refusal_holds_back_all_others(sandbox: Sandbox) -> None:
    """HTTP 429 is met five times at most, however many accounts and however slow the answers."""
    sandbox.latency = 0.1
    sandbox.fault = "http-429-long"
    mine = client(sandbox.base_url)
    failed = [answer.exception() for answer in ask_all(mine, [ACCOUNT] * 40)]
    assert len(sandbox.requests) <= 5
    assert all(isinstance(error, BillingError) for error in failed)
    assert "Cloudflare asks to wait 3600 s: run again after that, at " in str(failed[0])
    assert " This run made " in str(failed[0])


def test_the_accounts_that_a_token_sees_are_listed_from_all_pages() -> None:
    with Sandbox(now=NOW, number_of_accounts=120) as sandbox:
        listed = client(sandbox.base_url).get_accounts()
        assert [account.account_id for account in listed.accounts] == sandbox.directory.ids
        assert listed.accounts[1].name == "Sandbox account 2"
        assert listed.is_complete
        assert len(sandbox.asked) == 3


def test_a_token_that_may_not_list_accounts_is_told_the_permission(sandbox: Sandbox) -> None:
    with pytest.raises(ApiError) as failed:
        client(sandbox.base_url, token="other").get_accounts()
    assert str(failed.value).startswith(
        "cannot read the list of accounts: Cloudflare said HTTP 403"
    )
    assert "Give the token the permission Account Settings Read, or use one" in str(failed.value)
