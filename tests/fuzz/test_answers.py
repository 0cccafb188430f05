"""Answers of the API, and their pages, that are damaged, odd or part of a whole."""

import copy
import json
from collections.abc import Iterator
from dataclasses import is_dataclass
from itertools import cycle
from typing import Any

import httpx
from hypothesis import given, strategies as st

from pulumi_cf_invoice.billing import Credentials
from pulumi_cf_invoice.billing.answers import Reader
from pulumi_cf_invoice.billing.cleaning import MARKERS
from pulumi_cf_invoice.billing.errors import FetchError, InvalidDataError, NotAvailableError
from pulumi_cf_invoice.billing.pages import MOST_PAGES, PageError, collect
from pulumi_cf_invoice.billing.reads import READS, USAGE_HISTORY, Read
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.forecast.read import forecast_answers
from tests.factories import ACCOUNT, NOW, SECRET
from tests.fuzz.damage import ODD, add_token, add_unknown, damage_json, damage_text
from tests.fuzz.oracles import (
    FUZZ,
    TIMED,
    hold_in_proportion,
    hold_nothing_hidden,
    hold_one_clean_line,
)
from tests.fuzz.recorded import EVERY_FIELD, SNAPSHOTS

RESULTS: dict[Read[Any], Any] = {
    read: EVERY_FIELD[name]
    if (name := read.name.replace("-", "_")) in EVERY_FIELD
    else SNAPSHOTS[1]["reads"][read.name]["result"]
    for read in READS
}


# Answers.


def read_answer(read: Read[Any], body: str, status: int = 200) -> bool:
    """Read the answer *body*, and return whether it was taken: whatever is told hides nothing."""
    reader = Reader(read, ACCOUNT, Credentials(api_token=SECRET), "http://127.0.0.1:9")
    response = httpx.Response(status, headers={"content-type": f"text/{SECRET}", "cf-ray": SECRET})
    try:
        content = body.encode("utf-8", "surrogatepass")
        result = reader.envelope(response, content, 1)["result"]
        model = read.model.from_api(result)
    except (FetchError, InvalidDataError) as error:
        hold_one_clean_line(error)
        return False
    written = Snapshot(ACCOUNT, NOW, reader.base_url, {read.name: model}).to_json()
    hold_nothing_hidden(json.dumps(model.to_figures(), default=str) + written)
    return True


@FUZZ
@given(
    st.sampled_from(READS),
    st.lists(st.sampled_from([damage_json, add_unknown, add_token]), min_size=1, max_size=3),
    st.data(),
)
def test_an_answer_is_parsed_without_what_is_hidden_in_it_or_refused(
    read: Read[Any], damages: list[Any], data: st.DataObject
) -> None:
    envelope = {
        **{"success": True, "errors": [{"code": 1000, "message": "x"}], "messages": ["x"]},
        "result": copy.deepcopy(RESULTS[read]),
    }
    for damage in damages:
        damage(envelope, data)
    status = data.draw(st.sampled_from([200, 200, 200, 400, 403, 429, 500]))
    is_taken = read_answer(read, json.dumps(envelope), status)
    assert not is_taken or (status == 200 and envelope["success"] is True)


@FUZZ
@given(st.sampled_from(READS), st.data())
def test_an_answer_that_is_torn_is_refused(read: Read[Any], data: st.DataObject) -> None:
    whole = json.dumps({"success": True, "result": RESULTS[read]}, indent=1)
    damaged = damage_text(whole, data)
    is_taken = read_answer(read, damaged)
    assert not is_taken or json.loads(damaged)["success"] is True


PIECES = (
    *(
        "x",
        "@",
        "www.",
        "4242-",
        "'",
        " ",
        "\\",
        "&",
        "&#",
        "%7",
        "\x1b[",
        "\u200b",
        "\ud83d",
        "::",
    ),
    *(SECRET, SECRET[:9], '{"x', "[", '"', "|", "`"),
)


@TIMED
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join),
    st.sampled_from(READS),
    st.sampled_from(["as it is", "each text", "errors", "entries"]),
)
def test_an_answer_is_read_in_time_in_proportion(piece: str, read: Read[Any], where: str) -> None:
    def made(length: int) -> str:
        text, number = piece * (length // len(piece)), length // (len(piece) + 40)
        envelope = {"success": where != "errors", "result": RESULTS[read], "errors": [text] * 2}
        if where == "as it is":
            return text
        if where == "each text":
            envelope["result"] = with_texts(RESULTS[read], cycle([text]))
        if where == "entries":
            # A reason, an entry of a list or a field that nobody knows, each time another.
            entries = [{"id": f"{piece}{n}", "message": piece} for n in range(number)]
            envelope |= {"errors": entries, "result": entries}
        return json.dumps(envelope)

    hold_in_proportion(made, lambda text: read_answer(read, text))


# Pages.

MORE = (
    lambda more: {"has_more": more},
    lambda more: {"hasMore": str(more).lower()},
    lambda more: {"next_cursor": "x" if more else None},
    lambda more: {"links": [{"rel": "next"}] if more else []},
)
"""How a page says whether more follow it."""


KINDS = {
    "all": ["it", "it", "it", "fails", "moved", "another", "odd"],
    "none": ["it", "it", "it", "fails", "moved", "another"],
    "own": ["it", "it", "it", "fails", "moved"],
}
"""What pages are there for each that may be counted: all entries, none, or those of a page."""


@FUZZ
@given(
    *(st.integers(0, 12), st.integers(1, 5), st.sampled_from(list(KINDS))),
    st.sampled_from(["result_info", "pagination", "paging", "meta"]),
    st.lists(st.sampled_from(MORE), max_size=2),
    st.data(),
)
def test_pages_are_complete_only_where_every_entry_is_there(
    total: int, size: int, counted: str, place: str, more: list[Any], data: st.DataObject
) -> None:
    """
    Whichever pages fail, come twice, or begin with the last entry of the one before.

    Where a count says how many entries there are, whether more follow may be a lie.
    """
    entries = [{"id": number} for number in range(1, total + 1)]
    is_true = counted != "all" or data.draw(st.booleans())
    kinds = ["it"]
    requests = []

    def page(number: int, moved: int = 0) -> dict[str, Any]:
        begin = (number - 1) * size
        listed = entries[begin - moved : begin + size - moved]
        info: dict[str, Any] = {"page": number}
        if counted != "none":
            info["total_count"] = total if counted == "all" else len(listed)
        for say in more if counted == "all" else more or MORE[:1]:
            info |= say((begin + size < total) is is_true)
        return {"result": listed, place: info}

    def next_page(number: int) -> dict[str, Any]:
        requests.append(number)
        kinds.append(data.draw(st.sampled_from(KINDS[counted])))
        if kinds[-1] == "fails":
            raise PageError
        if kinds[-1] == "odd":
            return {"result": data.draw(ODD), place: data.draw(ODD)}
        number = data.draw(st.integers(1, 5)) if kinds[-1] == "another" else number
        return page(number, moved=kinds[-1] == "moved" and number > 1)

    collected = collect(page(1), "", next_page)
    assert len(requests) <= 2 * MOST_PAGES
    # A result that is no list is refused by its model.
    if collected.complete and isinstance(collected.result, list):
        ids = [entry["id"] for entry in collected.result if isinstance(entry, dict)]
        assert len(collected.result) == total
        assert len(set(ids)) == len(ids)
    if set(kinds) == {"it"} and is_true and counted != "own":
        assert collected.complete


@TIMED
@given(st.sampled_from(["has_more", "total_count", "x"]), st.booleans(), st.integers(1, 20))
def test_pages_are_collected_in_time_in_proportion(name: str, are_equal: bool, pages: int) -> None:
    def made(length: int) -> list[dict[str, Any]]:
        size = length // 40 // pages
        return [
            {
                "result": [{"id": None if are_equal else n * size + m} for m in range(size)],
                "result_info": {
                    name: n < pages - 1 or 10**6,
                    **{f"{name}{m}": m for m in range(size)},
                },
            }
            for n in range(pages)
        ]

    def collected(answers: list[dict[str, Any]]) -> None:
        collect(answers[0], "", lambda number: answers[number % pages])

    hold_in_proportion(made, collected)


# Exports.

PARTS = (
    *('{"x', '["x', '":', '":1}', '"]', '{"x": 1}', "[1", "]", "{}", ".", "\u00a0", "x" * 300),
    MARKERS[0],
)
WRITTEN = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("".join)
"""What could be taken for JSON, alone or with something before or behind it."""


@FUZZ
@given(st.data())
def test_no_text_that_a_program_may_export_is_read_as_anything_else(data: st.DataObject) -> None:
    written = cycle(data.draw(st.lists(WRITTEN, min_size=1, max_size=3)))
    models = {
        read.name: read.model.from_api(with_texts(result, written))
        for read, result in RESULTS.items()
        if read is not USAGE_HISTORY
    }
    answers = {**models, USAGE_HISTORY.name: NotAvailableError("it has no texts")}
    for text in texts_in([*models.values(), forecast_answers(answers, at=NOW)]):
        assert not is_decoded_by_pulumi(text), text


def with_texts(value: Any, written: Iterator[str]) -> Any:
    """Return *value* with what is *written* in place of each of its texts."""
    if isinstance(value, dict):
        return {
            name: value[name] if name == "currency" else with_texts(value[name], written)
            for name in value
        }
    if isinstance(value, list):
        return [with_texts(item, written) for item in value]
    return next(written) if isinstance(value, str) else value


def texts_in(value: Any) -> Iterator[str]:
    """Return each text in *value*: in what it contains, in its fields and in its properties."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts_in(item)
    elif is_dataclass(value):
        names = [name for name in dir(value) if not name.startswith("_")]
        found = [getattr(value, name) for name in names]
        yield from texts_in([each for each in found if not callable(each)])


def is_decoded_by_pulumi(text: str) -> bool:
    """Return whether the engine's display decodes *text*, or the engine takes it for unknown."""
    if text in MARKERS:
        return True
    text = text.strip()
    try:
        decoded, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return "\n" in text or "\r" in text
    # Go's decoder sees no more values before a closing bracket.
    return isinstance(decoded, (dict, list)) and text[end:].lstrip()[:1] in ("", "}", "]")
