import threading
import time

import pytest

from pulumi_cf_invoice.billing import ApiError, Invoice, TransportError
from pulumi_cf_invoice.billing.cache import AnswerCache
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import Settings
from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import ACCOUNT, OTHER_ACCOUNT, settings_for


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
        cache.ask(INVOICE_PREVIEW, settings_for(sandbox.base_url, account, timeout=3))
        for account in (ACCOUNT, OTHER_ACCOUNT)
    ]
    while len(sandbox.requests) < 2:
        assert not any(answer.done() for answer in pending)
        time.sleep(0.01)
    for answer in pending:
        with pytest.raises(TransportError):
            answer.result()


def test_a_failure_is_not_kept(sandbox: Sandbox) -> None:
    cache, settings = AnswerCache(), settings_for(sandbox.base_url)
    sandbox.fault, sandbox.fail_times = "http-403", 1
    with pytest.raises(ApiError):
        get(cache, settings)
    assert get(cache, settings).amount_due == 18846
