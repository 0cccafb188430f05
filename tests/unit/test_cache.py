import json
import threading
from contextvars import Context

import grpc
import pytest
from pulumi.runtime.proto import engine_pb2_grpc, resource_pb2_grpc
from pulumi.runtime.settings import SETTINGS, get_monitor

from pulumi_cf_invoice import get_invoice_preview
from pulumi_cf_invoice.billing import ApiError, Invoice
from pulumi_cf_invoice.billing.cache import AnswerCache
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import Settings
from pulumi_cf_invoice.sandbox import Sandbox
from tests.conftest import pointed_at
from tests.factories import ACCOUNT, OTHER_ACCOUNT, TOKEN, settings_for
from tests.waiting import wait_until


def _leave_behind(has_run: bool, has_engine: bool = True) -> None:
    """Have Pulumi give new threads the monitor and engine of an ended run, or none."""
    # Nobody listens there any more.
    channel = grpc.insecure_channel("127.0.0.1:9") if has_run else None
    monitor = resource_pb2_grpc.ResourceMonitorStub(channel) if channel else None
    engine = engine_pb2_grpc.EngineStub(channel) if channel and has_engine else None
    Context().run(setattr, SETTINGS, "monitor", monitor)
    Context().run(setattr, SETTINGS, "engine", engine)


def get(cache: AnswerCache, settings: Settings) -> Invoice:
    return cache.get(INVOICE_PREVIEW, settings)


def test_many_threads_are_one_request(sandbox: Sandbox) -> None:
    cache, settings, found = AnswerCache(), settings_for(sandbox.base_url), list[Invoice]()
    threads = [
        threading.Thread(target=lambda: found.append(get(cache, settings))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert sandbox.requests == [ACCOUNT]


def test_accounts_and_credentials_are_asked_for_apart(sandbox: Sandbox) -> None:
    cache = AnswerCache()
    get(cache, settings_for(sandbox.base_url))
    get(cache, settings_for(sandbox.base_url, OTHER_ACCOUNT))
    with pytest.raises(ApiError):
        get(cache, settings_for(sandbox.base_url, token="wrong"))
    assert sandbox.requests == [ACCOUNT, OTHER_ACCOUNT, ACCOUNT]


def test_two_accounts_are_asked_side_by_side(sandbox: Sandbox) -> None:
    sandbox.fault = "slow"
    cache = AnswerCache()
    pending = [
        cache.ask(INVOICE_PREVIEW, settings_for(sandbox.base_url, account))
        for account in (ACCOUNT, OTHER_ACCOUNT)
    ]
    wait_until(lambda: len(sandbox.requests) == 2, "both accounts were asked for")
    assert not any(answer.done() for answer in pending)


def test_a_failure_is_not_kept(sandbox: Sandbox) -> None:
    cache, settings = AnswerCache(), settings_for(sandbox.base_url)
    sandbox.fault, sandbox.fail_times = "http-403", 1
    with pytest.raises(ApiError):
        get(cache, settings)
    assert get(cache, settings).amount_due == 18846


@pytest.mark.parametrize("is_after_a_run", [False, True])
def test_outside_of_a_run_every_call_of_a_function_reads_anew(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, is_after_a_run: bool
) -> None:
    """An Automation API program asks before it decides, as often as it likes, on any thread."""
    for name, value in pointed_at(sandbox).items():
        monkeypatch.setenv(name, value)
    _leave_behind(is_after_a_run)
    thread = Context()
    assert (thread.run(get_monitor) is not None) == is_after_a_run
    first = thread.run(get_invoice_preview)
    sandbox.amount_due = 99999
    assert (first.amount_due, thread.run(get_invoice_preview).amount_due) == (18846, 99999)
    _leave_behind(False)


def test_the_threads_of_a_hosts_process_are_of_its_only_run(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a thread, Pulumi knows the config of the environment, but not which of it is secret."""
    secret = "cf-invoice:apiToken"
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps({secret: TOKEN}))
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps([secret]))
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", sandbox.base_url)
    monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
    _leave_behind(True, has_engine=False)
    due = [Context().run(get_invoice_preview).amount_due for _ in range(3)]
    _leave_behind(False)
    assert (due, sandbox.requests) == ([18846] * 3, [ACCOUNT])
    assert "plain text" not in capsys.readouterr().err
