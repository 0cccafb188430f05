"""Snapshots that are torn, cut or joined, or that hold anything at all."""

import copy
import json
from typing import Any

from hypothesis import given, strategies as st

from tests.factories import SECRET, api_line
from tests.fuzz.damage import (
    add_text,
    add_token,
    add_unknown,
    damage_json,
    damage_text,
    write_behind_object,
    write_name_twice,
)
from tests.fuzz.oracles import (
    CANARY,
    FUZZ,
    TIMED,
    hold_in_proportion,
    hold_nothing_hidden,
)
from tests.fuzz.recorded import SNAPSHOTS, hold_refused_or_whole, invoices_in, read, shown

PRIVATE = "jo@example.com"
TEXTS = [f"{json.dumps(content, indent=1)}\n" for content in SNAPSHOTS]
WHOLE = {text: invoices_in(text) for text in TEXTS}


def add_private(value: Any, data: st.DataObject) -> None:
    add_text(value, PRIVATE, data)


@FUZZ
@given(
    st.sampled_from(SNAPSHOTS),
    st.lists(
        st.sampled_from([damage_json, add_unknown, add_token, add_private]), min_size=1, max_size=3
    ),
    st.data(),
)
def test_a_snapshot_tells_figures_that_are_in_it_and_nothing_hidden(
    content: dict[str, Any], damages: list[Any], data: st.DataObject
) -> None:
    content = copy.deepcopy(content)
    for damage in damages:
        damage(content, data)
    found = read(json.dumps(content))
    if isinstance(found, list):
        written = "".join(each.snapshot.to_json() for each in found if each.snapshot)
        assert PRIVATE not in written
        # A report of it takes longest of all.
        hold_nothing_hidden(written + (shown(found) if data.draw(st.integers(0, 9)) == 0 else ""))
        assert {each.state.invoice.amount_due for each in found} <= numbers_in(content)


def numbers_in(value: Any) -> set[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return set().union(*map(numbers_in, value))
    return {value} if isinstance(value, (int, float)) else set()


@FUZZ
@given(st.sampled_from(TEXTS), st.data())
def test_a_snapshot_that_is_torn_is_refused_or_read_whole(text: str, data: st.DataObject) -> None:
    hold_refused_or_whole(damage_text(text, data), WHOLE[text])


@FUZZ
@given(
    st.sampled_from(TEXTS),
    st.sampled_from(
        [
            write_behind_object,
            write_name_twice,
            lambda text, _: text + TEXTS[0],
            lambda text, _: text + text,
        ]
    ),
    st.data(),
)
def test_a_snapshot_with_more_than_its_object_is_refused(
    text: str, write: Any, data: st.DataObject
) -> None:
    assert read(write(text, data)) is None


PIECES = (
    *("a@", "b.co ", "www.", "https://", "4242-", "ending in ", "x", "'", "*", ".", " ", "\\", "&"),
    *("|", "\u200b", "\x1b[", SECRET, SECRET[:9], CANARY[:2]),
)


@TIMED
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join),
    st.sampled_from([1, 1_000]),
)
def test_a_snapshot_is_read_written_and_shown_in_time_in_proportion(
    piece: str, pieces: int
) -> None:
    """A long text or many, both in an invoice and in what is told of a failed top-up."""

    def made(length: int) -> str:
        content = copy.deepcopy(SNAPSHOTS[-1])
        invoice, balance = (
            content["reads"][name]["result"] for name in ("invoice-preview", "credit-balance")
        )
        total = length // len(piece)
        text = piece * (total if pieces == 1 else pieces // len(piece))
        invoice["invoice_lines"] = [api_line(description=text)] * (length // len(text))
        balance["topup_config"]["error"] = piece * total
        return json.dumps(content)

    def read_and_write(text: str) -> None:
        found = read(text)
        if isinstance(found, list):
            shown(found)
            for each in found:
                assert each.snapshot
                each.snapshot.to_json()

    hold_in_proportion(made, read_and_write)
