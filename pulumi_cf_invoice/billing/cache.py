"""
One consistent view: each read of an account is requested once, however many callers want it.

The key is the read with its query, the account, the base URL and the credentials. Failures are not
kept.
"""

import os
import threading
from concurrent.futures import Future
from typing import Any
from weakref import WeakSet

from pulumi_cf_invoice.billing.client import BillingClient
from pulumi_cf_invoice.billing.reads import ModelT, Read
from pulumi_cf_invoice.billing.settings import Settings


class AnswerCache:
    """The answers of one operation, each fetched on first use, on any thread."""

    def __init__(self) -> None:
        self.forget()
        _caches.add(self)

    def forget(self) -> None:
        """Forget all answers, including those in progress."""
        self._lock = threading.Lock()
        self._answers: dict[Any, Future[Any]] = {}
        self._ahead: set[Any] = set()

    def ask(self, read: Read[ModelT], settings: Settings) -> "Future[ModelT]":
        """Return the future of an answer, shared by everyone who requests it."""
        key = _key(read, settings)
        with self._lock:
            answer = self._answers.get(key)
            if answer is not None:
                return answer
            client = BillingClient.from_settings(settings)
            answer = self._answers[key] = client.submit(read, settings.account_id)
        answer.add_done_callback(lambda done: self._forget_failure(key, done))
        return answer

    def ask_ahead(self, read: Read[ModelT], settings: Settings) -> None:
        """Request what will be wanted later. A refused read is not requested ahead again."""
        key = _key(read, settings)
        with self._lock:
            if key in self._ahead:
                return
            self._ahead.add(key)
        self.ask(read, settings)

    def get(self, read: Read[ModelT], settings: Settings) -> ModelT:
        """Return an answer. Raises what `BillingClient.get_invoice_preview` raises."""
        return self.ask(read, settings).result()

    def base_url_of(self, found: object) -> str | None:
        """Return the base URL that an answer which was *found* came from; None for any other."""
        with self._lock:
            answers = list(self._answers.items())
        return next(
            (
                base_url
                for (_, _, base_url, _), answer in answers
                if answer.done() and answer.exception() is None and answer.result() is found
            ),
            None,
        )

    def _forget_failure(self, key: Any, answer: "Future[Any]") -> None:
        if answer.exception() is not None:
            with self._lock:
                self._answers.pop(key, None)


def _key(read: Read[ModelT], settings: Settings) -> Any:
    return read, settings.account_id, settings.base_url, settings.credentials


_caches: WeakSet[AnswerCache] = WeakSet()
_of_process = AnswerCache()


def _forget_after_fork() -> None:
    # Threads do not survive in a forked child, which would wait forever for what they fetch.
    for cache in _caches:
        cache.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def of_this_process() -> AnswerCache:
    """Return the cache of a process that lives for one operation, such as a dynamic provider's."""
    return _of_process
