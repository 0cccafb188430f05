"""A rate limit like the API's: a number of requests in a window, per token."""

import re
from dataclasses import dataclass, field
from math import ceil
from time import monotonic

_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass
class RateLimit:
    """
    A ``quota`` of requests in a ``window`` of seconds, which begins with a token's first request.
    """

    quota: int
    window: int
    _windows: dict[str, tuple[float, int]] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> "RateLimit":
        """Return the rate limit of a *text* such as ``100/3s``. Raises ValueError."""
        found = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,5})?([smh])", text.strip())
        if found is None:
            raise ValueError(f"{text!r} is not a rate limit: write it as 1200/5m or 100/3s")
        return cls(int(found[1]), int(found[2] or 1) * _UNITS[found[3]])

    def take(self, token: str) -> tuple[bool, dict[str, str]]:
        """Count a request with *token*; return whether it is allowed, and its answer's headers."""
        now = monotonic()
        began, used = self._windows.get(token, (now, 0))
        if now >= began + self.window:
            began, used = now, 0
        used += 1
        self._windows[token] = began, used
        left = max(self.quota - used, 0)
        reset = max(ceil(self.window - (now - began)), 1)
        headers = {
            "Ratelimit": f'"default";r={left};t={reset}',
            "Ratelimit-Policy": f'"default";q={self.quota};w={self.window}',
        }
        is_allowed = used <= self.quota
        return is_allowed, headers if is_allowed else {**headers, "Retry-After": str(reset)}
