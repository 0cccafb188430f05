"""Which failures are worth retrying, and how long to wait, except after 429, when `pacing` does."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import tenacity

TRANSIENT = frozenset([408, 429, 500, 502, 503, 504, *range(520, 528), 530])
"""The HTTP statuses after which a request is made again."""
ATTEMPTS = 4
"""The maximum number of attempts at one request."""
backoff = tenacity.wait_exponential(0.2, max=4.0) + tenacity.wait_random(0.0, 0.2)
"""The wait before another attempt, if the server does not specify one."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a ``Retry-After`` asks to wait, in either of its forms, or None."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
