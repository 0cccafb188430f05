"""
Delivers a message to an address, in a process of its own.

What apprise sends with has no limit on the time or the size of an answer, and no thread can be
stopped. A process can, whatever it is doing. It gets the address on its standard input, because
everybody on a machine can see the arguments of a process.
"""

import json
import logging
import math
import os
import re
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

SECONDS = 60.0
"""The time limit for all messages together."""
AT_ONCE = 8
"""How many messages are sent at the same time, each by a process."""
_MOST_MEMORY = 32 * 2**20
_LARGEST_ANSWER = 2**18
_TOO_MUCH = 3
_REFUSED = "it could not be reached, or did not accept the message"


@dataclass(frozen=True)
class Message:
    """A message to an *address*, which is an apprise URL and contains passwords."""

    address: str = field(repr=False)
    title: str
    body: str
    is_fine: bool


def deliver(messages: Sequence[Message]) -> list[str | None]:
    """Send the messages, and return why each was not taken, or None."""
    deadline = time.monotonic() + SECONDS

    outcomes: dict[int, str | None] = {}

    def send(place: int) -> None:
        # Those that hang leave enough time for those that wait.
        turns = math.ceil((len(messages) - place) / AT_ONCE)
        outcomes[place] = _send(messages[place], (deadline - time.monotonic()) / turns)

    with ThreadPoolExecutor(AT_ONCE) as pool, suppress(RuntimeError):
        for place in range(len(messages)):
            pool.submit(send, place)
    for place in range(len(messages)):
        # Where no thread was left for it.
        if place not in outcomes:
            send(place)
    return [outcomes[place] for place in range(len(messages))]


def server(address: str) -> Any:
    """Return apprise's object for the address, or None if the address has no form of apprise's."""
    import apprise

    # No branding of apprise's in the message, and no picture from its site.
    asset = apprise.AppriseAsset(
        app_id="cf-invoice",
        app_desc="Upcoming Cloudflare AI Gateway invoice",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
    )
    with _Log():
        try:
            return apprise.Apprise.instantiate(address, asset=asset) or None
        except Exception:
            # Its message can quote the address.
            return None


def main() -> int:
    """Send the message on standard input, and print why it was not taken, if it was not."""
    given = json.load(sys.stdin)
    message = Message(**given["message"])
    receiver = server(message.address)
    _limit_answers()
    threading.Thread(target=_watch, args=(given["seconds"],), daemon=True).start()
    print(tell(receiver, message) or "", end="")
    return 0


class _Log(logging.Handler):
    """
    Captures the logs of apprise and its HTTP client while a message is sent. They can quote the
    address, so none of it is printed; only the status is kept.
    """

    def __init__(self) -> None:
        super().__init__()
        self.status: str | None = None
        self._root = logging.getLogger()
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> "_Log":
        self._handlers, self._root.handlers = self._root.handlers, [self]
        self._warnings.__enter__()
        warnings.simplefilter("ignore")
        return self

    def __exit__(self, *raised: Any) -> None:
        self._warnings.__exit__(*raised)
        self._root.handlers = self._handlers

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the HTTP status, if *record* has one."""
        found = re.search(r"\berror=([1-5][0-9]{2})\b", record.getMessage())
        self.status = found[1] if found else self.status


def _send(message: Message, seconds: float) -> str | None:
    """Send a message in a process of its own, and return why it was not taken, or None."""
    # It imports what this process does, and nothing from the working directory.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    trusted = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    if trusted:
        # apprise's HTTP client knows neither variable.
        environment.setdefault("REQUESTS_CA_BUNDLE", trusted)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            input=json.dumps({"message": asdict(message), "seconds": seconds}),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=seconds,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {seconds:.0f} s"
    if done.returncode == _TOO_MUCH:
        return "its answer is too large"
    return done.stdout or None if done.returncode == 0 else _REFUSED


def tell(receiver: Any, message: Message) -> str | None:
    """Send the message through apprise's *receiver*, and return why it was not taken, or None."""
    import apprise

    kind = apprise.NotifyType.SUCCESS if message.is_fine else apprise.NotifyType.FAILURE
    # A service that prints could print the address.
    with _Log() as log, redirect_stdout(sys.stderr):
        try:
            taken = receiver.notify(
                title=message.title,
                # Nothing is sent without a body.
                body=message.body or message.title,
                notify_type=kind,
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception:
            # Its message can quote the address.
            taken = False
    if taken:
        return None
    return f"it answered HTTP {log.status}" if log.status else _REFUSED


def _limit_answers() -> None:
    """
    Follow no redirect, which would take the keys in an address's path and headers along, and end
    this process at an answer that is too large: parsed, it would be many times as large.
    """
    import requests

    sessions: Any = requests.Session
    sessions.get_redirect_target = lambda session, response: None
    answers: Any = requests.Response
    iter_content = answers.iter_content

    def limited(*arguments: Any, **options: Any) -> Iterator[bytes]:
        size = 0
        for chunk in iter_content(*arguments, **options):
            size += len(chunk)
            if size > _LARGEST_ANSWER:
                os._exit(_TOO_MUCH)
            yield chunk

    answers.iter_content = limited


def _watch(seconds: float) -> None:
    """End this process if it takes too much memory, or if nobody is left to end it."""
    end = time.monotonic() + seconds + 1
    tracemalloc.start()
    while time.monotonic() < end and tracemalloc.get_traced_memory()[1] < _MOST_MEMORY:
        time.sleep(0.02)
    os._exit(_TOO_MUCH)


if __name__ == "__main__":
    sys.exit(main())
