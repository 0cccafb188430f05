"""
Paces requests within an address's rate limits, so that it refuses none.

Cloudflare allows each token 1,200 requests in 5 minutes, shared by everything that uses it. Each
answer says how many are left (``Ratelimit``) and which policies apply (``Ratelimit-Policy``).
Waiting requests share what is left; when it is used up, they wait for the reset. A refusal (HTTP
429) holds back all of them for as long as it says.
"""

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, inf
from typing import NamedTuple

from pulumi_cf_invoice.billing.models import counted
from pulumi_cf_invoice.billing.retries import retry_after

MOST_REFUSALS = 5
"""
How many times a run is refused (HTTP 429) before it sends nothing more.

Refusals of requests that were under way together count as one.
"""
LONGEST_WAIT = 330.0
"""
The longest wait for a rate limit, in seconds, however patient a caller is: a window of Cloudflare's
limit, and a little more. An answer that asks for more is not about that limit.
"""
_AT_ONCE = 16
_A_SECOND = 200
_REFUSALS_COUNT_FOR = 600.0
_LONGEST_RESET = 3600.0
_LONGEST_HEADER = 1000
_MOST_LIMITS = 16
_TOLD_FROM = 1.0
_FIRST_WAIT, _LONGEST_BACKOFF = 0.2, 4.0
# `"default";r=50;t=30`, with a name that is quoted or not.
_ITEM = re.compile(r"\"?([^\s\",;=]{1,64})\"?((?:\s*;\s*[\w-]{1,16}=[\w.-]{0,64})+)")
_PARAMETER = re.compile(r"([\w-]{1,16})=([\w.-]{0,64})")
_log = logging.getLogger("pulumi_cf_invoice")


class Policy(NamedTuple):
    """A rate limit: a quota of requests in a window of seconds."""

    quota: int
    window: float

    @property
    def text(self) -> str:
        """The policy for people: ``1,200 requests in 5 minutes``."""
        return f"{self.quota:,} requests in {_duration(self.window)}"


@dataclass
class _Left:
    requests: int
    resets_at: float


class PacingError(Exception):
    """
    The rate limit does not allow a request for longer than the caller would wait.

    ``problem`` says so, with the limit, and ``resets`` when it is over, for people. If it
    ``is_final``, no patience helps.
    """

    def __init__(self, problem: str, resets: str, is_final: bool) -> None:
        super().__init__(problem, resets, is_final)
        self.problem = problem
        self.resets = resets
        self.is_final = is_final


class _Hold(NamedTuple):
    """
    Why nothing can be sent: for at most *seconds*, and *why* if it is a rate limit.

    If it *is_final*, waiting longer does not help.
    """

    seconds: float
    why: str | None = None
    is_final: bool = False


class Throughput:
    """Counts requests to an address with any credentials: at most 200 a second."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque(maxlen=_A_SECOND)

    def add(self, now: float) -> None:
        """Note that a request is sent *now*."""
        self._sent.append(now)

    def free_in(self, now: float) -> float:
        """Return the seconds from *now* until another request may be sent."""
        return self._sent[0] + 1.0 - now if len(self._sent) == _A_SECOND else 0.0


class Pacer:
    """
    Decides when to send each request with one set of credentials to one address, on any thread.

    *throughput* is the address's, and *clock* is monotonic. ``requests`` counts the requests sent.
    """

    def __init__(
        self, throughput: Throughput | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._throughput = throughput or Throughput()
        self._clock = clock
        self._changed = threading.Condition()
        self._sent: deque[float] = deque()
        self._in_flight = 0
        self._policies: dict[str, Policy] = {}
        self._left: dict[str, _Left] = {}
        self._held_until = 0.0
        self._refusals = 0
        self._refused_at = -inf
        self._is_probing = False
        self._has_probed = False
        self._told_until = 0.0
        self.requests = 0

    def enter(self, patience: float) -> float:
        """
        Wait until a request may be sent, and return how many seconds the rate limit took of it.

        Raises `PacingError` if that would be more than *patience*, or more than `LONGEST_WAIT` at a
        time.
        """
        waited = 0.0
        with self._changed:
            while True:
                now = self._clock()
                hold = self._hold(now)
                if hold is None:
                    self._has_probed = self._is_probing
                    self._in_flight += 1
                    self._sent.append(now)
                    self._throughput.add(now)
                    self.requests += 1
                    return waited
                if hold.why is None:
                    self._changed.wait(hold.seconds)
                    continue
                if hold.is_final or hold.seconds > min(patience - waited, LONGEST_WAIT):
                    raise PacingError(hold.why, _at(hold.seconds), hold.is_final)
                self._tell(hold, now)
                self._changed.wait(hold.seconds)
                waited += self._clock() - now

    def leave(self, status: int | None, headers: Mapping[str, str]) -> None:
        """Note the answer to a request: its *status*, None if there is no answer, and *headers*."""
        with self._changed:
            self._in_flight -= 1
            if status is not None:
                self._learn(headers)
            if status == 429:
                self._hold_back(retry_after(headers))
            elif status is not None and self._has_probed:
                self._is_probing = False
            self._changed.notify_all()

    def _hold_back(self, seconds: float | None) -> None:
        """Send nothing for *seconds* after a refusal, then a single request first."""
        now = self._clock()
        wait = seconds or min(_FIRST_WAIT * 2**self._refusals, _LONGEST_BACKOFF)
        # The others that were under way say the same.
        is_another = not self._is_probing or self._has_probed
        self._refusals += is_another
        self._refused_at = now
        self._held_until = max(self._held_until, now + min(wait, _LONGEST_RESET))
        self._is_probing, self._has_probed = True, False

    def _hold(self, now: float) -> _Hold | None:
        if now - self._refused_at > _REFUSALS_COUNT_FOR:
            self._refusals = 0
        if self._refusals >= MOST_REFUSALS:
            why = f"Cloudflare refused this run {self._refusals} times for its rate limit"
            return _Hold(max(self._held_until - now, 0.0), why, is_final=True)
        if self._held_until > now:
            return _Hold(self._held_until - now, self._used_up())
        if self._in_flight >= self._at_once():
            return _Hold(_LONGEST_RESET)
        return self._held_by_quota(now)

    def _held_by_quota(self, now: float) -> _Hold | None:
        for name, left in list(self._left.items()):
            if left.resets_at <= now:
                del self._left[name]
            elif left.requests <= self._in_flight:
                # An answer under way may say that there is more.
                is_used_up = left.requests <= 0 or not self._in_flight
                return _Hold(left.resets_at - now, self._used_up(name) if is_used_up else None)
        free_in = self._throughput.free_in(now)
        if free_in > 0:
            return _Hold(free_in, f"Cloudflare's rate limit of {_A_SECOND} requests in 1 second")
        for name, policy in self._policies.items():
            if name not in self._left and len(self._sent) >= policy.quota:
                free_at = self._sent[-policy.quota] + policy.window
                if free_at > now:
                    return _Hold(free_at - now, self._used_up(name))
        longest = max((policy.window for policy in self._policies.values()), default=0.0)
        while self._sent and self._sent[0] < now - longest:
            self._sent.popleft()
        return None

    def _at_once(self) -> int:
        """Return how many requests may be under way."""
        if self._is_probing:
            return 1
        least = min((left.requests for left in self._left.values()), default=0)
        # If nobody knows what is left, or others with the token may use it meanwhile, all requests
        # in progress can be refused.
        return _AT_ONCE if least > _AT_ONCE else MOST_REFUSALS - self._refusals

    def _learn(self, headers: Mapping[str, str]) -> None:
        now = self._clock()
        for name, parameters in _items(headers.get("ratelimit-policy", "")):
            quota, window = _number(parameters, "q"), _number(parameters, "w")
            if quota and window and _has_room(self._policies, name):
                self._policies[name] = Policy(int(quota), min(window, _LONGEST_RESET))
        for name, parameters in _items(headers.get("ratelimit", "")):
            requests, reset = _number(parameters, "r"), _number(parameters, "t")
            if requests is None or not _has_room(self._left, name):
                continue
            if reset is None:
                reset = self._policies[name].window if name in self._policies else 1.0
            # The header may or may not count a second that has begun.
            reset += min(1.0, self._policies[name].window / 3) if name in self._policies else 1.0
            resets_at, known = now + min(reset, _LONGEST_RESET), self._left.get(name)
            # Answers can overtake each other: within a window, the lowest number counts.
            if known is None or resets_at > known.resets_at + 1.5:
                self._left[name] = _Left(int(requests), resets_at)
            else:
                known.requests = min(known.requests, int(requests))

    def _used_up(self, name: str = "") -> str:
        policy = self._policies.get(name)
        if policy is None and len(self._policies) == 1:
            [policy] = self._policies.values()
        limit = f" of {policy.text}" if policy else ""
        return f"Cloudflare's rate limit{limit} is used up"

    def _tell(self, hold: _Hold, now: float) -> None:
        until = now + hold.seconds
        if hold.why is None or hold.seconds < _TOLD_FROM or until <= self._told_until + 1.0:
            return
        self._told_until = until
        limit = hold.why.removesuffix(" is used up")
        _log.warning("waiting %d s for %s", ceil(hold.seconds), limit)


def _items(header: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Return the items of a *header* that is a list, by name with their parameters."""
    for item in _ITEM.finditer(header[:_LONGEST_HEADER]):
        yield item[1], dict(_PARAMETER.findall(item[2]))


def _has_room(limits: Mapping[str, object], name: str) -> bool:
    """Return whether *limits* may have one of that *name*: each is looked at for each request."""
    return name in limits or len(limits) < _MOST_LIMITS


def _number(parameters: Mapping[str, str], name: str) -> float | None:
    value = parameters.get(name, "")
    return float(value) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) else None


def _duration(seconds: float) -> str:
    for unit, noun in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= unit and seconds % unit == 0:
            return counted(int(seconds // unit), noun)
    return f"{seconds:g} seconds"


def _at(seconds: float) -> str:
    """Return the time *seconds* from now, for people."""
    if seconds <= 0:
        return "within minutes"
    moment = datetime.now(UTC) + timedelta(seconds=ceil(seconds))
    return f"at {moment:%H:%M:%S} UTC"
