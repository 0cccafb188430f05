"""The oracles themselves, which everything else goes by."""

import pytest

from tests.factories import SECRET
from tests.fuzz.oracles import (
    CANARY,
    EVERY_RUN,
    FUZZ,
    hold_in_proportion,
    hold_nothing_hidden,
    hold_one_clean_line,
)


def test_each_kind_has_a_thousand_examples_in_every_run() -> None:
    assert FUZZ.max_examples >= EVERY_RUN


def test_what_takes_the_square_of_a_texts_length_is_noticed() -> None:
    def count(text: str) -> None:
        for end in range(0, len(text), 15):
            list(text[:end])

    hold_in_proportion("x".__mul__, lambda text: text.count("x"))
    with pytest.raises(AssertionError, match="times what is allowed"):
        hold_in_proportion("x".__mul__, count)


@pytest.mark.parametrize("text", [f"it is {SECRET.upper()}.", f"a {CANARY}"])
def test_what_is_hidden_is_noticed(text: str) -> None:
    for hold in (hold_nothing_hidden, hold_one_clean_line):
        with pytest.raises(AssertionError):
            hold(text)


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[31m", "x" * 3_000])
def test_what_is_not_one_clean_line_is_noticed(text: str) -> None:
    with pytest.raises(AssertionError):
        hold_one_clean_line(text)
