"""
What the reads of one address share: a client with its connections, threads and pacing.

At most 16 reads run at a time, each on a thread; the rest wait for one. The threads are daemons, so
that none keeps a process alive, and they end soon after the last read; the client closes with them.
A forked child starts afresh, because its parent's threads do not exist there.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable

from pulumi_cf_invoice.billing.credentials import Credentials
from pulumi_cf_invoice.billing.http import httpx
from pulumi_cf_invoice.billing.pacing import Pacer, Throughput
from pulumi_cf_invoice.billing.transport import CONNECTIONS, open_client

Job = Callable[[], None]

READS_AT_ONCE = CONNECTIONS
"""The maximum number of concurrent reads of one address, each on its own thread."""
THREADS = "cf-invoice-fetch"
"""The name of these threads."""
_IDLE = 2.0
_SILENT_FOR = 5.0
_VARIABLES = (
    *("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"),
    *("NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
_FORGOTTEN_AFTER = 600.0


class Pool:
    """The client, threads and pacers of one base URL. Its methods may be called on any thread."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._opening = threading.Lock()
        self._client: httpx.Client | None = None
        self._throughput = Throughput()
        self._pacers: dict[int, Pacer] = {}
        self._unanswered = 0
        self._unanswered_at = 0.0
        self.used_at = time.monotonic()

    def submit(self, job: Job) -> None:
        """
        Run *job* on a thread, as soon as one is free. It must handle its own errors.

        Raises RuntimeError if the system has no thread for it.
        """
        with self._changed:
            self.used_at = time.monotonic()
            self._jobs.append(job)
            if self._idle < len(self._jobs) and self._threads < READS_AT_ONCE:
                try:
                    self._start_thread()
                except RuntimeError:
                    if not self._threads:
                        self._jobs.pop()
                        raise
            self._changed.notify()

    def client(self) -> httpx.Client:
        """Return the client that all reads share. Raises what `open_client` raises."""
        with self._opening:
            if self._client is None:
                self._client = open_client(self._base_url)
            return self._client

    def pacer(self, credentials: Credentials) -> Pacer:
        """Return the pacer of the requests that *credentials* make."""
        # By hash, so that no credential outlives its reads.
        return self._pacers.setdefault(hash(credentials), Pacer(self._throughput))

    def note(self, is_answered: bool) -> None:
        """Note whether a read was answered, by the end of its time if it reached that."""
        with self._changed:
            self._unanswered = 0 if is_answered else self._unanswered + 1
            self._unanswered_at = time.monotonic()

    @property
    def is_silent(self) -> bool:
        """
        Whether as many reads as run at a time went unanswered, and none has been answered since.
        """
        recent = time.monotonic() - self._unanswered_at < _SILENT_FOR
        return self._unanswered >= READS_AT_ONCE and recent

    def _start_thread(self) -> None:
        threading.Thread(target=self._run, name=THREADS, daemon=True).start()
        self._threads += 1

    def _run(self) -> None:
        while True:
            job = self._next_job()
            if job is None:
                return
            job()
            # A waiting thread must not keep anything of a read, which has credentials.
            del job

    def _next_job(self) -> Job | None:
        client = None
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._jobs, _IDLE)
            self._idle -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._threads -= 1
            if not self._threads:
                client, self._client = self._client, None
        if client is not None:
            client.close()
        return None


_pools: dict[tuple[str, int], Pool] = {}
_lock = threading.Lock()


def pool_of(base_url: str) -> Pool:
    """Return the pool of *base_url*, shared by the whole process."""
    with _lock:
        now = time.monotonic()
        for key, pool in list(_pools.items()):
            # What it knows of rate limits is out of date.
            if now - pool.used_at > _FORGOTTEN_AFTER:
                del _pools[key]
        # A client is made for the environment's proxy and certificates.
        key = base_url, hash(tuple(map(os.environ.get, _VARIABLES)))
        return _pools.setdefault(key, Pool(base_url))


def _begin_anew() -> None:
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
