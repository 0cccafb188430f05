"""What holds whatever is read: one clean line, nothing hidden, and time in proportion."""

import time
from collections.abc import Callable
from typing import TypeVar
from unicodedata import category

from hypothesis import HealthCheck, settings

from tests.factories import SECRET

T = TypeVar("T")
EVERY_RUN = 1_000
"""The number of examples of each kind in every run, always the same ones."""
_IS_EVERY_RUN = settings.default is None or settings.default.max_examples <= EVERY_RUN
FUZZ = settings(
    max_examples=EVERY_RUN if _IS_EVERY_RUN else settings().max_examples,
    derandomize=_IS_EVERY_RUN,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TIMED = settings(FUZZ, max_examples=FUZZ.max_examples // 50)
"""The settings for what is large, so that its time can be measured."""
CANARY = "c4n4ry-0f-an-unkn0wn-f1eld"
"""A text in unknown fields, which must not appear in any output."""
LONGEST_LINE = 3_000
LARGE = 100_000
"""The length of a text whose time is measured."""
_TIMES = 16
_SLACK = 3
_ATTEMPTS = 3
_UNNOTICED = 0.1


def hold_one_clean_line(error: Exception | str) -> None:
    """Hold that an *error* is one short line with nothing hidden in it."""
    text = str(error)
    assert not [sign for sign in text if category(sign) in ("Cc", "Cs", "Co", "Zl", "Zp")]
    assert len(text) < LONGEST_LINE
    hold_nothing_hidden(text)


def hold_nothing_hidden(text: str) -> None:
    """Hold that *text*, an output of any kind, has no token and no unknown field."""
    assert SECRET not in text.lower()
    assert CANARY not in text


def hold_in_proportion(make: Callable[[int], T], do: Callable[[T], object]) -> None:
    """
    Hold that *do* takes time in proportion to the length of what *make* makes.

    It is processor time, and three times as much is allowed, so that other work on the machine does
    not matter: what takes the square of the length takes sixteen times as much.
    """
    small, large = make(LARGE // _TIMES), make(LARGE)
    do(small)  # What is imported or compiled first is no part of it.
    ratios = []
    for _ in range(_ATTEMPTS):
        allowed = _UNNOTICED + _SLACK * _TIMES * _seconds(do, small)
        ratios.append(_seconds(do, large) / allowed)
        if ratios[-1] <= 1:
            return
    raise AssertionError(f"it takes {min(ratios):.1f} times what is allowed for its length")


def _seconds(do: Callable[[T], object], what: T) -> float:
    begin = time.process_time()
    do(what)
    return time.process_time() - begin
