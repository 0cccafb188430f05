"""
One consistent answer: each account is asked once per base URL and credentials, however many
callers ask, on however many threads. Failures are not kept.
"""

import threading
from concurrent.futures import Future
from typing import Any
from weakref import WeakKeyDictionary

from pulumi_cf_invoice.client import BillingClient
from pulumi_cf_invoice.invoice import Invoice
from pulumi_cf_invoice.settings import Settings

_Question = tuple[str, tuple[str, ...], str]


class Snapshot:
    """The invoices of one operation, each fetched when it is first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[_Question, Future[Invoice]] = {}

    def start(self, settings: Settings) -> "Future[Invoice]":
        """A future of the account's invoice, shared by everybody who asks for the same."""
        question = (settings.base_url, settings.authentication.identity, settings.account_id)
        with self._lock:
            answer = self._answers.get(question)
            if answer is not None:
                return answer
            answer = BillingClient.from_settings(settings).start(settings.account_id)
            self._answers[question] = answer
        answer.add_done_callback(lambda done: self._forget_failure(question, done))
        return answer

    def get(self, settings: Settings) -> Invoice:
        """The account's invoice. Raises what `BillingClient.get_invoice_preview` raises."""
        return self.start(settings).result()

    def _forget_failure(self, question: _Question, answer: "Future[Invoice]") -> None:
        if answer.exception() is not None:
            with self._lock:
                self._answers.pop(question, None)


_of_process = Snapshot()
_of_runs: WeakKeyDictionary[Any, Snapshot] = WeakKeyDictionary()
_lock = threading.Lock()


def of_this_process() -> Snapshot:
    """The snapshot of a process that lives for one operation, as a dynamic provider's does."""
    return _of_process


def of_this_run() -> Snapshot:
    """
    The snapshot of the Pulumi program that is running.

    A process can run several programs, or one twice (Automation API); each run has a monitor of its
    own, and its snapshot goes when that goes.
    """
    from pulumi.runtime.settings import get_monitor

    monitor = get_monitor()
    if monitor is None:
        return _of_process
    with _lock:
        return _of_runs.setdefault(monitor, Snapshot())
