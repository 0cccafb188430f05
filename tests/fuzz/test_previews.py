"""Previews that are torn, cut, joined or reordered: as events, and as digests."""

import json
import re
from itertools import chain
from typing import Any

from hypothesis import given, strategies as st

from tests.factories import ACCOUNT
from tests.fuzz.damage import (
    add_token,
    add_unknown,
    damage_json,
    damage_lines,
    damage_text,
    lose_lines,
    tear_word,
    write_behind_object,
    write_name_twice,
)
from tests.fuzz.oracles import FUZZ, TIMED, hold_in_proportion, hold_nothing_hidden
from tests.fuzz.recorded import (
    BOTH,
    CHEAP,
    DEAR,
    FAILED,
    LATER,
    STREAM,
    STREAMS,
    TWO,
    TWO_OF_STACK,
    WHOLE,
    hold_refused_or_whole,
    invoices_in,
    read,
    shown,
)

OTHERS = (
    STREAM.replace("::ours::", "::other::").replace(ACCOUNT, "0" * 32),
    LATER.replace("::blk::", "::third::").replace(ACCOUNT, "1" * 32).replace("b" * 32, "2" * 32),
    TWO_OF_STACK.replace(ACCOUNT, "3" * 32),
    TWO.replace("::proj::", "::fourth::")
    .replace(ACCOUNT, "4" * 32)
    .replace("b" * 32, "5" * 32)
    .replace('"invoice_id": "x"', '"invoice_id": "y"'),
)
"""Previews of stacks, accounts and invoices of their own."""
# In one line: a part of one digest could be completed by the same lines of another.
DIGESTS = (f"{json.dumps(json.loads(text))}\n" for text in (CHEAP, DEAR))
JOINED = {text: invoices_in(text) or [] for text in (*DIGESTS, *OTHERS)}
AN_EVENT = re.compile('"(prelude|resourcePre|resOutputs|diagnostic|policy|summary)Event"')
OF_NO_STEP = re.compile("(prelude|diagnostic|summary|cancel)Event")


@FUZZ
@given(st.sampled_from(list(WHOLE)), st.data())
def test_a_preview_that_is_torn_is_refused_or_read_whole(text: str, data: st.DataObject) -> None:
    # The lines of a digest are no objects, and some of them can be lost without a trace.
    of_events = [damage_text, damage_lines, damage_lines]
    ways = [damage_text] if text in (CHEAP, DEAR, BOTH, FAILED) else of_events
    hold_refused_or_whole(data.draw(st.sampled_from(ways))(text, data), WHOLE[text])


@FUZZ
@given(st.data())
def test_a_digest_that_loses_lines_is_refused_or_read_whole(data: st.DataObject) -> None:
    hold_refused_or_whole(lose_lines(BOTH, data), WHOLE[BOTH])


@FUZZ
@given(st.sampled_from([TWO, TWO_OF_STACK, CHEAP, DEAR, BOTH]), st.data())
def test_a_preview_with_a_torn_word_is_refused_or_read_whole(
    text: str, data: st.DataObject
) -> None:
    hold_refused_or_whole(tear_word(text, data), WHOLE[text])


def steps_in(text: str) -> str:
    """Return *text* without the lines of events that do not tell which preview they are of."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not OF_NO_STEP.search(line))


@FUZZ
@given(st.lists(st.sampled_from(list(JOINED)), min_size=2, max_size=3, unique=True), st.data())
def test_previews_in_one_file_are_all_read_or_none(parts: list[str], data: st.DataObject) -> None:
    damaged = data.draw(st.sampled_from([damage_text, lose_lines, lose_lines]))(
        "".join(parts), data
    )
    rest = steps_in(damaged)
    left = [part for part in parts if steps_in(part).strip() in rest]
    for part in left:
        rest = rest.replace(steps_in(part).strip(), "", 1)
    allowed = [list(chain.from_iterable(JOINED[part] for part in parts))]
    preludes = sum("preludeEvent" in part for part in left)
    if "".join(rest.split()) in ("", "{}") and damaged.count("preludeEvent") >= preludes:
        # If next to nothing is left of one, its absence cannot be noticed.
        allowed.append(list(chain.from_iterable(JOINED[part] for part in left)))
    hold_refused_or_whole(damaged, *allowed)


@FUZZ
@given(st.data())
def test_the_rest_of_a_later_preview_does_not_join_the_one_before_it(data: st.DataObject) -> None:
    rest = damage_text(LATER, data)
    # Without the name of any event, what is left is no part of a preview.
    is_left = AN_EVENT.search(rest) is not None
    hold_refused_or_whole(TWO_OF_STACK + rest, WHOLE[LATER if is_left else TWO_OF_STACK])


@FUZZ
@given(
    st.sampled_from([*STREAMS, CHEAP, DEAR, BOTH]),
    st.sampled_from([write_behind_object, write_name_twice]),
    st.data(),
)
def test_a_preview_with_more_than_its_objects_is_refused(
    text: str, write: Any, data: st.DataObject
) -> None:
    assert read(write(text, data)) is None


@FUZZ
@given(st.sampled_from([*STREAMS, CHEAP, DEAR, BOTH]), st.data())
def test_nothing_hidden_in_a_preview_is_shown(text: str, data: st.DataObject) -> None:
    parts = [text] if text in (CHEAP, DEAR, BOTH) else text.splitlines()
    objects = list(map(json.loads, parts))
    for _ in range(data.draw(st.integers(1, 3))):
        data.draw(st.sampled_from([add_token, add_unknown, damage_json]))(objects, data)
    found = read("".join(f"{json.dumps(each)}\n" for each in objects))
    if isinstance(found, list):
        hold_nothing_hidden(shown(found))


PIECES = (
    *("{}", "{", "}", '{"a": 1}', '{"a": ', "[", '"', "\\", "x", "\n", " ", '"steps": ', "::"),
    *TWO.splitlines(),
)


@TIMED
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join),
    st.sampled_from(["", "\n"]),
    st.sampled_from(["", TWO]),
)
def test_a_preview_is_read_in_time_in_proportion(piece: str, end: str, before: str) -> None:
    def made(length: int) -> str:
        return before + f"{piece}{end}" * (length // len(f"{piece}{end}"))

    hold_in_proportion(made, read)
