"""The client's reads other than the invoice, against real HTTP."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from pulumi_cf_invoice.billing import (
    ApiError,
    BillingClient,
    BillingError,
    Credentials,
    InvalidDataError,
    InvalidResponseError,
    InvoiceHistory,
    UsageHistory,
)
from pulumi_cf_invoice.billing.cache import AnswerCache
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    INVOICE_HISTORY,
    INVOICE_PREVIEW,
    READS,
    USAGE_HISTORY,
)
from pulumi_cf_invoice.billing.snapshot import take
from pulumi_cf_invoice.billing.usage_history import DEFAULT_DAYS
from pulumi_cf_invoice.sandbox import SCENARIOS, Sandbox
from tests.factories import ACCOUNT, NOW, OTHER_ACCOUNT, SECRET, START, TOKEN, settings_for

OTHERS = [read for read in READS if read is not INVOICE_PREVIEW]
SAID = {
    ("missing-fields", "credit-balance"): "balance: missing",
    ("missing-fields", "invoice-history"): "invoices.0.amount_due: missing",
    ("numbers-as-text", "credit-balance"): "balance: not a number",
    ("numbers-as-text", "usage-history"): "history.0.aggregated_value: not a number",
    ("numbers-as-text", "invoice-history"): "invoices.0.amount_due: not a number",
    ("inexact-amount", "credit-balance"): "balance: not an amount that can be carried exactly",
    ("inexact-amount", "invoice-history"): "invoices.0.amount_due: not an amount that can be",
    ("huge-amount", "credit-balance"): "balance: not an amount that can be carried exactly: beyond",
    ("huge-amount", "invoice-history"): "invoices.0.amount_due: not an amount that can be",
    ("nan", "credit-balance"): "the answer is not a JSON object",
    ("nan", "usage-history"): "the answer is not a JSON object",
    ("nan", "invoice-history"): "the answer is not a JSON object",
    ("wrong-types", "usage-history"): "history: not a list",
    ("wrong-types", "invoice-history"): "invoices: ",
    ("empty-lines", "usage-history"): "history.0.start_time: not an instant",
    ("empty-lines", "invoice-history"): "invoices.0.amount_due: missing",
}


OUR_WORDS = re.compile(
    r"[\w.]+: (missing|not an? [^:]+(: (beyond|more digits than) [^:]+)?|beyond [^:]+|"
    r"the period ends before it starts|no entry is in the time that was requested|"
    r"more than one day after its start)"
)
MISSING = object()


def shortened(value: Any) -> Any:
    """Return *value*, plain data, with at most one entry in every list."""
    if isinstance(value, dict):
        return {name: shortened(item) for name, item in value.items()}
    return [shortened(item) for item in value[:1]] if isinstance(value, list) else value


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Return the path of *value*, plain data, and of everything in it."""
    yield ()
    if not isinstance(value, (dict, list)):
        return
    for step, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from ((step, *path) for path in paths(item))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """Return *value*, plain data, with what stands at *path* replaced, or `MISSING`."""
    if not path:
        return None if by is MISSING else by
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    if len(path) == 1 and by is MISSING:
        del copy[path[0]]
    return copy


def client(sandbox: Sandbox, token: str = TOKEN) -> BillingClient:
    return BillingClient(Credentials(api_token=token), base_url=sandbox.base_url)


def usage(sandbox: Sandbox, **arguments: Any) -> UsageHistory:
    """Return the read of the usage at `NOW`, whatever the machine's clock."""
    return client(sandbox).submit(USAGE_HISTORY.asked(NOW, **arguments), ACCOUNT).result()


@pytest.mark.parametrize("scenario", [n for n, s in SCENARIOS.items() if s.pages != "failing"])
def test_every_scenario_is_read(sandbox: Sandbox, scenario: str) -> None:
    sandbox.scenario = scenario
    mine = client(sandbox)
    expected = sandbox.answer(ACCOUNT, "credit-balance")["result"]["balance"]
    assert mine.get_credit_balance(ACCOUNT).balance == expected
    for window in ("day", "hour"):
        query = {"value_grouping_window": window, "start_time": str(START * 1000)}
        history = sandbox.answer(ACCOUNT, "usage-history", query)["result"]["history"]
        values = {
            entry["start_time"] // 1000: entry["aggregated_value"]
            for entry in history or []
            if entry["aggregated_value"] is not None
        }
        found = usage(sandbox, since="2026-09-01", window=window)
        assert {
            entry.start: entry.aggregated_value for entry in found.entries if entry.aggregated_value
        } == values
    rows = mine.get_invoice_history(ACCOUNT).invoices
    first = sandbox.answer(ACCOUNT, "invoice-history")["result"]["invoices"] or []
    assert [row.amount_due for row in rows[: len(first)]] == [row["amount_due"] for row in first]


@pytest.mark.parametrize(("fault", "read"), SAID)
def test_a_malformed_answer_is_refused_by_the_apis_name_of_its_field(
    sandbox: Sandbox, fault: str, read: str
) -> None:
    sandbox.fault = fault
    [wanted] = [declared for declared in READS if declared.name == read]
    with pytest.raises(InvalidResponseError) as failed:
        client(sandbox).submit(wanted, ACCOUNT).result()
    assert SAID[fault, read] in str(failed.value)
    assert str(failed.value).startswith(f"cannot read the {wanted.noun} of account {ACCOUNT}: ")


@pytest.mark.parametrize("read", OTHERS, ids=lambda read: read.name)
@pytest.mark.parametrize(
    "fault",
    [
        "http-400",
        "http-403",
        "http-404",
        "several-errors",
        "html",
        "echoed-credentials",
    ],
)
def test_a_refusal_names_what_could_not_be_read_and_no_credential(
    sandbox: Sandbox, fault: str, read: Any
) -> None:
    sandbox.fault = fault
    with pytest.raises(BillingError) as failed:
        client(sandbox, SECRET).submit(read, ACCOUNT).result()
    message = str(failed.value)
    assert message.startswith(f"cannot read the {read.noun} of account {ACCOUNT}: ")
    assert message.isprintable()
    assert SECRET not in message


@pytest.mark.parametrize("read", READS, ids=lambda read: read.name)
def test_whatever_does_not_fit_its_field_is_refused_in_words_for_people(
    sandbox: Sandbox, read: Any
) -> None:
    query = dict(read.asked(NOW).query)
    result = shortened(sandbox.answer(ACCOUNT, read.name, query)["result"])
    said = set()
    for path in paths(result):
        for value in (None, True, "x", "\ud800", -5, 1.5, 10**30, [], [1], {}, MISSING):
            try:
                read.model.from_api(replaced(result, path, value), Answered(query=query))
            except InvalidDataError as error:
                said.add(str(error))
    assert said
    wordy = [text for text in said if not OUR_WORDS.fullmatch(text)]
    assert wordy == []


def test_a_type_of_invoices_that_a_snapshot_made_up_is_refused_in_words_for_people() -> None:
    made_up = Answered(query={"type": "none"})
    with pytest.raises(InvalidDataError, match=r"^type: not 'all', 'auto' or 'manual'$"):
        InvoiceHistory.from_api({"invoices": []}, made_up)


@pytest.mark.parametrize("refused", READS, ids=lambda read: read.name)
def test_a_refused_read_takes_nothing_from_the_rest(sandbox: Sandbox, refused: Any) -> None:
    sandbox.faults[refused.name] = "http-403"
    mine = client(sandbox)
    answers = {read.name: mine.submit(read, ACCOUNT) for read in READS}
    with pytest.raises(ApiError, match=f"the {refused.noun} of account"):
        answers.pop(refused.name).result()
    assert all(answer.result() for answer in answers.values())


def test_the_balance_survives_a_top_up_that_is_text(sandbox: Sandbox) -> None:
    sandbox.fault = "top-up-as-text"
    assert client(sandbox).get_credit_balance(ACCOUNT).topup_config is None


def test_entries_of_usage_that_come_twice_count_once(sandbox: Sandbox) -> None:
    once = usage(sandbox, since="2026-09-01")
    sandbox.fault = "repeated-entries"
    assert usage(sandbox, since="2026-09-01") == once
    assert once.total == 20654


@pytest.mark.parametrize(
    ("scenario", "fault", "rows", "complete"),
    [
        ("three-years", None, 37, True),
        ("pages", None, 7, True),
        ("pages-ignored", None, 2, False),
        ("pages-short", None, 7, False),
        ("pages-endless", None, 7, True),
        ("pages-failing", None, 2, False),
        # An entry that moved to the next page appears once, and another may be missing.
        ("pages-moving", None, 7, False),
        ("usual", "repeated-entries", 7, False),
        ("usual", "no-pagination", 7, True),
    ],
)
def test_pages_are_followed_and_what_is_not_all_says_so(
    sandbox: Sandbox, scenario: str, fault: str | None, rows: int, complete: bool
) -> None:
    sandbox.scenario, sandbox.fault = scenario, fault
    found = client(sandbox).get_invoice_history(ACCOUNT)
    assert len(found.invoices) == rows
    assert found.invoices_complete is complete


def test_each_page_is_asked_for_with_the_same_query(sandbox: Sandbox) -> None:
    sandbox.scenario = "three-years"
    assert len(client(sandbox).get_invoice_history(ACCOUNT, "auto").invoices) == 36
    assert [asked.query for asked in sandbox.asked] == [
        {"type": "auto"},
        {"type": "auto", "page": "2"},
    ]


@pytest.mark.parametrize(("type", "rows"), [("all", 7), ("auto", 6), ("manual", 1)])
def test_the_type_decides_which_invoices_there_are(sandbox: Sandbox, type: Any, rows: int) -> None:
    found = client(sandbox).get_invoice_history(ACCOUNT, type)
    assert (found.type, len(found.invoices)) == (type, rows)


def test_bounds_between_hours_are_aligned_before_they_are_sent(sandbox: Sandbox) -> None:
    since, until = "2026-09-02T05:30:00+05:45", "2026-09-02T06:00:01Z"
    found = usage(sandbox, since=since, until=until, window="hour")
    assert (found.since_iso, found.until_iso) == ("2026-09-01T23:00:00Z", "2026-09-02T07:00:00Z")
    assert len(found.entries) == 8
    assert len(sandbox.requests) == 1


def test_the_usage_of_nobodys_choice_is_by_day_until_tonight(sandbox: Sandbox) -> None:
    found = client(sandbox).get_usage_history(ACCOUNT)
    days = (found.until - found.since) // 86400
    assert (found.window, days, found.until % 86400) == ("day", DEFAULT_DAYS, 0)
    assert [entry.is_partial for entry in found.entries] == [False] * (days - 1) + [True]
    [asked] = sandbox.asked
    assert asked.query == {
        "value_grouping_window": "day",
        "start_time": str(found.since * 1000),
        "end_time": str(found.until * 1000),
    }


@pytest.mark.parametrize("scenario", ["quiet-weekend", "no-usage", "never-paid"])
def test_days_that_the_api_leaves_out_are_there_with_zero(sandbox: Sandbox, scenario: str) -> None:
    sandbox.scenario = scenario
    found = usage(sandbox, since="2026-09-05", until="2026-09-07")
    assert [entry.aggregated_value for entry in found.entries] == [0, 0]


def test_the_reads_of_an_account_are_asked_side_by_side(sandbox: Sandbox) -> None:
    """The sandbox answers none before all are requested."""
    sandbox.together = frozenset(read.name for read in READS)
    snapshot = take(settings_for(sandbox.base_url, timeout=20), NOW)
    assert not [read.name for read in READS if snapshot.problem(read)]


def test_a_query_is_asked_once_and_another_one_for_itself(sandbox: Sandbox) -> None:
    cache = AnswerCache()
    queries = [{}, {"window": "hour"}, {}, {"window": "day"}, {"since": "2026-09-01"}]
    for account in (ACCOUNT, OTHER_ACCOUNT):
        settings = settings_for(sandbox.base_url, account)
        for query in queries:
            cache.get(USAGE_HISTORY.asked(NOW, **query), settings)
        for kind in ("all", "auto", None):
            cache.get(INVOICE_HISTORY.asked(NOW, type=kind), settings)
        for _ in range(2):
            cache.get(CREDIT_BALANCE, settings)
    asked = [(request.account_id, request.read) for request in sandbox.asked]
    each = [USAGE_HISTORY.name] * 3 + [INVOICE_HISTORY.name] * 2 + [CREDIT_BALANCE.name]
    assert asked == [(account, read) for account in (ACCOUNT, OTHER_ACCOUNT) for read in each]


def test_an_argument_that_a_read_does_not_have_is_refused_with_the_nearest() -> None:
    with pytest.raises(BillingError, match="no argument 'windows'; did you mean 'window'"):
        USAGE_HISTORY.asked(NOW, windows="day")
