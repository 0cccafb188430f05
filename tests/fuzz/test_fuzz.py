"""
Inputs that are damaged in every way we can think of. Each has an oracle.

What is not read whole is never told as if it were, nothing raises but our own errors, which are one
line, and no output has a token or a field that nobody knows. `make fuzz` tries many more.
"""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from itertools import cycle
from pathlib import Path
from typing import Any
from unicodedata import category

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from pulumi_cf_invoice.billing.cleaning import MARKERS
from pulumi_cf_invoice.billing.errors import BillingError, InvalidDataError, NotAvailableError
from pulumi_cf_invoice.billing.pages import PageError, collect
from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    GATEWAYS,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    READS,
    USAGE_HISTORY,
)
from pulumi_cf_invoice.comments.connection import Answer
from pulumi_cf_invoice.comments.errors import CommentError
from pulumi_cf_invoice.comments.forge import Forge, Request
from pulumi_cf_invoice.comments.gitea import Gitea
from pulumi_cf_invoice.comments.github import GitHub
from pulumi_cf_invoice.comments.gitlab import GitLab
from pulumi_cf_invoice.forecast.read import forecast_answers
from pulumi_cf_invoice.report import input, json_report
from pulumi_cf_invoice.report.found import Found, MissingInvoice
from pulumi_cf_invoice.report.report import make_report
from pulumi_cf_invoice.rules.file import configured, parse_rules
from tests.command import run
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, SECRET, api_result
from tests.fuzz.damage import CANARY, ODD, add_unknown, damage_json, damage_lines, damage_text

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
DATA = Path(__file__).parents[1] / "unit" / "data"
STREAMS = [
    (DATA / "cases" / "13-whole.json").read_text(),
    *(
        (DATA / "previews" / f"{name}.ndjson").read_text()
        for name in ("preview-stream-moved", "preview-stream-moved-refresh")
    ),
    (DATA / "previews" / "targeted" / "get-preview.ndjson").read_text(),
]
DIGESTS = (DATA / "cases" / "13-joined.json").read_text().replace("}{", "}\n{").rstrip() + "\n"
SNAPSHOTS = [
    json.loads((DATA / "cases" / name).read_text())
    for name in ("08-invoices-null.snapshot.json", "10-period-looks-back.snapshot.json")
]


def hold_one_clean_line(error: Exception) -> None:
    text = str(error)
    assert not [sign for sign in text if category(sign) in ("Cc", "Cs", "Co", "Zl", "Zp")]
    assert len(text) < 3000
    assert SECRET not in text


def read(text: str) -> list[Found] | MissingInvoice | None:
    """Return the content of *text*, or None if it is refused, in one line."""
    try:
        return input.read_any(text.encode("utf-8", "surrogatepass"))
    except BillingError as error:
        hold_one_clean_line(error)
        return None


def read_whole(text: str) -> set[tuple[str | None, float]] | None:
    """Return each account in *text* with its amount due, or None if it is refused."""
    found = read(text)
    if found is None or isinstance(found, MissingInvoice):
        return None
    return {(each.state.account_id, each.state.invoice.amount_due) for each in found}


def shown(found: list[Found]) -> str:
    return json_report.render(make_report(found, at=NOW))


# Previews.


@FUZZ
@given(st.sampled_from(STREAMS), st.data())
def test_events_that_are_torn_are_refused_or_read_whole(text: str, data: st.DataObject) -> None:
    damaged = data.draw(st.sampled_from([damage_text, damage_lines]))(text, data)
    assert read_whole(damaged) in (None, read_whole(text))


@FUZZ
@given(st.data())
def test_digests_that_are_torn_are_refused_or_read_whole(data: st.DataObject) -> None:
    damaged = damage_text(DIGESTS, data)
    cheap, dear = (ACCOUNT, 100), ("b" * 32, 99900)
    # Cut between the two, either is whole.
    begin, end = DIGESTS.split("\n{\n")[0], "{\n" + DIGESTS.split("\n{\n")[1]
    alone = {begin.strip(): {cheap}, end.strip(): {dear}}
    assert read_whole(damaged) in (None, {cheap, dear}, alone.get(damaged.strip()))


@FUZZ
@given(st.permutations(range(3)), st.data())
def test_previews_in_one_file_are_all_read_or_none(order: list[int], data: st.DataObject) -> None:
    """Previews of three accounts, one after the other, of which one is damaged."""
    parts = []
    for number in order:
        text = STREAMS[1].replace("::ours::", f"::p{number}::").replace("99900", f"{number + 1}")
        parts.append(text.replace(ACCOUNT, f"{number:032x}"))
    whole = {(f"{number:032x}", number + 1) for number in order}
    number = data.draw(st.integers(0, 2))
    parts[number] = damage_text(parts[number], data)
    damaged = "".join(parts)
    allowed = [None, whole]
    if not parts[number].strip():
        # If nothing is left of it, its absence cannot be noticed.
        allowed.append({pair for pair in whole if pair[0] != f"{order[number]:032x}"})
    assert read_whole(damaged) in allowed


@FUZZ
@given(st.sampled_from(STREAMS), st.data())
def test_no_unknown_field_of_a_preview_is_shown(text: str, data: st.DataObject) -> None:
    events = [json.loads(line) for line in text.splitlines()]
    for event in data.draw(st.lists(st.sampled_from(events), min_size=1, max_size=3)):
        add_unknown(event, data)
    if data.draw(st.booleans()):
        damage_json(events, data)
    found = read("".join(f"{json.dumps(event)}\n" for event in events))
    if isinstance(found, list):
        assert CANARY not in shown(found)


# Snapshots.


@FUZZ
@given(st.sampled_from(SNAPSHOTS), st.data())
def test_a_snapshot_that_is_damaged_tells_figures_that_are_in_it_or_one_line(
    snapshot: dict[str, Any], data: st.DataObject
) -> None:
    content = copy.deepcopy(snapshot)
    for _ in range(data.draw(st.integers(1, 3))):
        data.draw(st.sampled_from([damage_json, add_unknown]))(content, data)
    text = json.dumps(content)
    if data.draw(st.integers(0, 3)) == 0:
        text = damage_text(text, data)
    found = read(text)
    if isinstance(found, list):
        written = "".join(each.snapshot.to_json() for each in found if each.snapshot)
        # A report of it takes longest of all.
        assert CANARY not in written + (shown(found) if data.draw(st.integers(0, 4)) == 0 else "")
        assert {each.state.invoice.amount_due for each in found} <= numbers_in(content)


def numbers_in(value: Any) -> set[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return set().union(*map(numbers_in, value))
    return {value} if isinstance(value, (int, float)) else set()


# Rules.

RULES: dict[str, Any] = {
    "rules": {
        "max-amount-due": {"limit": {"limit": "250 USD", "accounts": {ACCOUNT: "100 USD"}}},
        "near": {"rule": "max-amount-due", "limit": "200 USD", "enforcementLevel": "advisory"},
        "max-line-amount": {"limits": {"openai/*": "5 USD"}, "defaultLimit": "9 USD"},
        "max-increase": {"limit": "20%"},
        "allowed-statuses": {"statuses": ["draft", "open"]},
        "account-budget": {
            "accountIds": [ACCOUNT, OTHER_ACCOUNT],
            "limit": "1000 USD",
            "failOpen": True,
            "waiver": {"until": "2026-12-01", "by": "a", "reason": "b", "limit": "1500 USD"},
        },
    }
}


@FUZZ
@given(st.data())
def test_a_file_of_rules_is_taken_whole_or_refused_in_one_line(data: st.DataObject) -> None:
    content = copy.deepcopy(RULES)
    for _ in range(data.draw(st.integers(1, 3))):
        damage_json(content, data)
    is_unknown = data.draw(st.booleans())
    if is_unknown:
        add_unknown(content, data)
    try:
        rules = configured(parse_rules(content), {})
    except BillingError as error:
        hold_one_clean_line(error)
    else:
        assert {rule.name for rule in rules} >= set(content["rules"])
        assert not is_unknown


# Answers of the API, and their pages.


@FUZZ
@given(st.integers(0, 12), st.integers(1, 5), st.data())
def test_pages_are_complete_only_where_every_entry_is_there(
    total: int, size: int, data: st.DataObject
) -> None:
    """Whatever the pages say besides their count, and whichever of them fail or come twice."""
    entries = [{"id": number} for number in range(total)]
    more: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
        [{}, {"has_more": True}, {"has_more": False}, {"hasMore": "true"}]
    )

    def page(number: int) -> dict[str, Any]:
        listed = entries[(number - 1) * size : number * size]
        info = {"page": number, "total_count": total, **data.draw(more)}
        return {"result": listed, "result_info": info}

    def next_page(number: int) -> dict[str, Any]:
        what = data.draw(st.sampled_from(["it", "it", "it", "fails", "another", "odd"]))
        if what == "fails":
            raise PageError
        if what == "odd":
            return {"result": data.draw(ODD), "result_info": data.draw(ODD)}
        return page(data.draw(st.integers(1, 5)) if what == "another" else number)

    collected = collect(page(1), "", next_page)
    if collected.complete:
        assert len(collected.result) == total


@FUZZ
@given(st.sampled_from(READS), st.data())
def test_an_answer_is_parsed_without_what_nobody_knows_or_refused(
    read: Any, data: st.DataObject
) -> None:
    result: Any = copy.deepcopy(SNAPSHOTS[1]["reads"].get(read.name, {}).get("result"))
    result = api_result() if result is None else result
    for _ in range(data.draw(st.integers(1, 3))):
        data.draw(st.sampled_from([damage_json, add_unknown]))(result if result else {"x": 1}, data)
    try:
        model = read.model.from_api(result)
    except InvalidDataError as error:
        hold_one_clean_line(error)
    else:
        assert CANARY not in json.dumps(model.to_figures(), default=str)


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
        for read, result in EVERY_FIELD.items()
    }
    answers = {**models, USAGE_HISTORY.name: NotAvailableError("it has no texts")}
    for text in texts_in([*models.values(), forecast_answers(answers, at=NOW)]):
        assert not is_decoded_by_pulumi(text), text


EVERY_FIELD: dict[Any, Any] = {
    INVOICE_PREVIEW: api_result(),
    CREDIT_BALANCE: {
        "balance": 5,
        "topup_config": {"amount": 1, "threshold": 1, "error": "x", "disabledReason": "x"},
    },
    INVOICE_HISTORY: {
        "invoices": [
            {
                **{"id": "x", "amount_due": 1, "amount_paid": 0, "amount_remaining": 1},
                **{"currency": "usd", "status": "open", "description": "x"},
                **{"invoice_origin": "x", "invoice_pdf": "x", "created_by": "x"},
            }
        ]
    },
    GATEWAYS: [
        {
            **{"id": "x", "workers_ai_billing_mode": "x"},
            "spend_limits": {"enabled": True, "rules": [{"limitType": "x", "technique": "x"}]},
        }
    ],
}
"""A result of each read that has texts, with all that it may have."""


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


# Answers of a forge.

COMMENTS: dict[type[Forge], Any] = {
    GitHub: {
        "data": {
            "repository": {
                "pullRequest": {
                    "id": "PR_1",
                    "comments": {
                        "nodes": [{"id": "C", "url": "u", "body": "m", "viewerDidAuthor": True}],
                        "pageInfo": {"hasNextPage": False, "endCursor": None},
                    },
                }
            },
            "addComment": {"commentEdge": {"node": {"id": "C", "url": SECRET}}},
            "updateIssueComment": {"issueComment": {"id": "C", "url": SECRET}},
        },
        "errors": None,
    },
    GitLab: [{"id": 1, "body": "m", "author": {"id": 2}, "system": False}],
    Gitea: [{"id": 1, "body": "m", "user": {"id": 2}, "html_url": SECRET}],
}


@FUZZ
@given(st.sampled_from(list(COMMENTS)), st.data())
def test_an_answer_of_a_forge_is_understood_or_reported_in_one_line(
    forge: type[Forge], data: st.DataObject
) -> None:
    request = Request(forge, "http://127.0.0.1:9", "owner/name", 12, SECRET)
    made = forge(request, float("inf"))

    def answer(*_: Any, **__: Any) -> Answer:
        content = copy.deepcopy(COMMENTS[forge])
        for _number in range(data.draw(st.integers(0, 2))):
            damage_json(content, data)
        if data.draw(st.integers(0, 4)) == 0:
            content = data.draw(st.one_of(ODD, st.just({"message": f"no {SECRET}\n::error::"})))
        status = data.draw(st.sampled_from([200, 200, 200, 201, 301, 401, 403, 404, 422, 429, 500]))
        return Answer(status, {"retry-after": data.draw(st.text(max_size=5))}, content)

    made.connection.ask = answer  # type: ignore[method-assign]
    try:
        written = [made.update(ours, "m") for ours in made.find("m")] or [made.create("m")]
    except CommentError as error:
        hold_one_clean_line(error)
    else:
        assert all(done.address is None or isinstance(done.address, str) for done in written)
    finally:
        made.connection.close()


# The whole command.


def damaged_files() -> Iterator[Callable[[st.DataObject], str]]:
    yield lambda data: damage_text(data.draw(st.sampled_from(STREAMS)), data)
    yield lambda data: damage_text(DIGESTS, data)
    yield lambda data: damage_text(json.dumps(SNAPSHOTS[0], indent=1), data)
    yield lambda data: data.draw(st.text(max_size=50))


@FUZZ
@given(made=st.sampled_from(list(damaged_files())), data=st.data())
def test_the_command_exits_with_0_only_where_the_file_was_read(
    tmp_path_factory: pytest.TempPathFactory,
    made: Callable[[st.DataObject], str],
    data: st.DataObject,
) -> None:
    text = made(data)
    # One for all: a folder for each would take longer than everything else, and so would a synced
    # output.
    file = tmp_path_factory.getbasetemp() / "fuzz-input"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    found = read(text)
    is_read = isinstance(found, list)
    option = "--snapshot" if isinstance(found, list) and found[0].snapshot else "--from"
    done = run("report", option, str(file), "--budget", "1 USD", "--format", "json")
    assert done.returncode == (1 if is_read else 2)
    assert bool(done.stdout) == is_read
    assert done.stderr.count("\n") == (not is_read)


def test_each_kind_has_a_thousand_examples_in_every_run() -> None:
    assert FUZZ.max_examples >= EVERY_RUN
