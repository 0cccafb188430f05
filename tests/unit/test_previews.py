"""What Pulumi prints for previews and updates. The samples under `data/previews` are real."""

import contextlib
import copy
import gzip
import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, strategies as st

from pulumi_cf_invoice import Invoice
from pulumi_cf_invoice.billing.answers import parse_json
from pulumi_cf_invoice.billing.errors import BillingError
from pulumi_cf_invoice.report import input
from pulumi_cf_invoice.report.found import Found, NoInvoiceError
from pulumi_cf_invoice.report.notice import KINDS, notice_of
from pulumi_cf_invoice.report.outputs import invoices_in_outputs
from pulumi_cf_invoice.report.report import make_report
from pulumi_cf_invoice.state import DYNAMIC_TYPE, FIELDS, PLUGIN_TYPE, TYPES, UNKNOWN
from tests import factories
from tests.command import run
from tests.factories import ACCOUNT, OTHER_ACCOUNT, api_line, api_result
from tests.properties import examples
from tests.unit.test_report import only

PREVIEWS = Path(__file__).with_name("data") / "previews"
STALE = "which are not fresh: preview with --show-sames"


MARK = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
"""What the engine's events have in place of a secret."""


def sample(name: str) -> str:
    return (PREVIEWS / name).read_text(encoding="utf-8")


def events(name: str = "preview-stream-moved.ndjson") -> list[dict[str, Any]]:
    return [json.loads(line) for line in sample(name).splitlines()]


def lines(listed: list[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(event)}\n" for event in listed)


def digest(name: str = "preview-moved.json") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(sample(name))
    return content


def refusal(text: str | bytes, **choice: Any) -> str:
    with pytest.raises(NoInvoiceError) as refused:
        input.read(text, **choice)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def recounted(preview: dict[str, Any]) -> str:
    """Return a digest whose steps were changed, with a summary that counts them."""
    counts = Counter(step["op"] for step in preview["steps"])
    same = preview["changeSummary"].get("same", 0)
    return json.dumps({**preview, "changeSummary": {**counts, "same": same}})


def figures(found: Found) -> tuple[float, float | None]:
    before = found.baseline.amount_due if found.baseline else None
    return found.state.invoice.amount_due, before


@pytest.mark.parametrize(
    ("name", "now", "before"),
    [
        ("preview-first.json", 18846, None),
        ("preview-moved.json", 99900, 18846),
        ("preview-moved-refresh-sames.json", 99900, 18846),
        ("preview-unchanged-sames.json", 18846, 18846),
        ("preview-stream-moved.ndjson", 99900, 18846),
        ("preview-stream-moved-refresh.ndjson", 99900, 18846),
        ("preview-stream-functions.ndjson", 99900, 18846),
        ("preview-stream-destroyed.ndjson", 18846, None),
    ],
)
def test_the_fresh_figure_is_reported_and_the_last_deployments_is_the_baseline(
    name: str, now: int, before: int | None
) -> None:
    assert figures(only(sample(name))) == (now, before)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("preview-moved-refresh.json", STALE),
        ("preview-failed-refresh.json", "the preview failed: pulumi_cf_invoice.errors.ApiError: c"),
        ("preview-stream-failed.ndjson", "the preview failed: pulumi-python:dynamic/cf_invoice"),
    ],
)
def test_without_a_fresh_figure_the_reason_and_the_remedy_are_reported(
    name: str, expected: str
) -> None:
    assert expected in refusal(sample(name))


def test_an_unchanged_invoice_that_pulumi_left_out_is_no_pass() -> None:
    quiet = digest("preview-unchanged-sames.json")
    quiet["steps"] = quiet["steps"][:1]
    message = refusal(json.dumps(quiet))
    assert "If it has one whose figures did not move, Pulumi left it out: preview with" in message
    assert "PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json" in message


@pytest.mark.parametrize("name", ["preview-first.json", "preview-moved.json"])
def test_a_digest_without_a_step_that_its_summary_counts_is_refused(name: str) -> None:
    whole = digest(name)
    counted = [n for n, step in enumerate(whole["steps"]) if step["op"] not in ("same", "refresh")]
    assert counted
    for lost in counted:
        steps = [step for n, step in enumerate(whole["steps"]) if n != lost]
        message = refusal(json.dumps({**whole, "steps": steps}))
        op = whole["steps"][lost]["op"]
        assert message.startswith("the summary counts ")
        assert f"steps '{op}', but only " in message


@pytest.mark.parametrize("summary", [None, {}, []])
def test_a_digest_without_a_summary_is_refused(summary: Any) -> None:
    """As a filter leaves it, which can have left out steps as well."""
    filtered = {**digest(), "changeSummary": summary}
    assert refusal(json.dumps(filtered)).startswith("the preview has no summary: was it cut off")


def test_a_refresh_before_a_preview_in_the_same_file_is_told_from_a_torn_one() -> None:
    """It counts what it found in place of its steps."""
    refreshed = digest("preview-moved-refresh-sames.json")
    refreshed["steps"] = [step for step in refreshed["steps"] if step["op"] == "refresh"]
    refreshed["changeSummary"] = {"same": 1, "update": 1}
    assert STALE in refusal(json.dumps(refreshed))
    both = f"{json.dumps(refreshed)}\n{sample('preview-moved.json')}"
    assert figures(only(both)) == (99900, 18846)


def test_no_recorded_digest_has_fewer_steps_than_its_summary_counts() -> None:
    recorded = [file for file in PREVIEWS.rglob("*.json") if "changeSummary" in file.read_text()]
    assert len(recorded) > 10
    for file in recorded:
        try:
            input.read(file.read_text())
        except NoInvoiceError as error:
            said = str(error)
        else:
            said = ""
        assert "the summary counts" not in said, file


def test_a_refresh_alone_is_never_fresh() -> None:
    refreshed = digest("preview-moved-refresh-sames.json")
    refreshed["steps"] = [step for step in refreshed["steps"] if step["op"] == "refresh"]
    assert STALE in refusal(json.dumps(refreshed))


def test_a_resource_that_is_deleted_is_no_invoice() -> None:
    gone = digest()
    gone["steps"][1] |= {"op": "delete", "newState": None}
    assert "no invoice in it" in refusal(recounted(gone))


def test_a_resource_that_is_read_is_fresh() -> None:
    read = digest("preview-first.json")
    read["steps"][1]["op"] = "read"
    assert figures(only(recounted(read))) == (18846, None)


def test_the_first_outputs_of_a_stack_are_the_last_deployments() -> None:
    functions = events("preview-stream-functions.ndjson")
    of_stack = [e for e in functions if e.get("resOutputsEvent", {}).get("metadata", {}).get("new")]
    of_stack[-1]["resOutputsEvent"]["metadata"]["new"]["outputs"] = {}
    assert "no invoice in it" in refusal(lines(functions))
    updated = copy.deepcopy(functions)
    updated.remove(of_stack[-1])
    without_numbers = [{k: v for k, v in e.items() if k != "sequence"} for e in updated]
    without_numbers[-2]["summaryEvent"]["isPreview"] = False
    assert figures(only(lines(without_numbers)))[0] == 18846


def test_events_that_are_cut_off_are_no_pass() -> None:
    cut = [event for event in events() if "summaryEvent" not in event]
    assert refusal(lines(cut)).endswith("without a summary: was the output cut off?")
    failed = events()
    failed[-2]["summaryEvent"]["result"] = "failed"
    assert refusal(lines(failed)) == "the preview failed, but no event says why"


def test_an_update_prints_a_digest_and_then_its_events() -> None:
    update = events()
    update[-2]["summaryEvent"]["isPreview"] = False
    text = json.dumps(digest("preview-first.json"), indent=4) + "\n" + lines(update)
    assert figures(only(text)) == (99900, 18846)


@pytest.mark.parametrize("prefix", [None, "b"])
def test_an_update_is_read_by_its_events_whatever_its_digest_lacks(prefix: str | None) -> None:
    """A digest has the stack's outputs of the last deployment alone, and the events fresh ones."""
    figures = Invoice.from_api(api_result()).to_figures() | {"account_id": OTHER_ACCOUNT}
    exported = {f"b_{name}": value for name, value in figures.items()}
    update, preview = events(), digest()
    outputs_of(update).update(exported)
    update[-2]["summaryEvent"]["isPreview"] = False
    preview["steps"][0]["oldState"]["outputs"] = exported
    found = input.read(f"{json.dumps(preview)}\n{lines(update)}", prefix=prefix)
    assert found == input.read(lines(update), prefix=prefix)
    assert found[-1].state.account_id == OTHER_ACCOUNT
    assert "print the engine's events" in refusal(json.dumps(preview), prefix=prefix)


@pytest.mark.parametrize("name", ["preview-moved.json", "preview-stream-moved.ndjson"])
@pytest.mark.parametrize(
    "around",
    [
        lambda text: f"warning: using a plugin from $PATH\n{text}\nerror: later\n".encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: f"\ufeff{text}",
    ],
)
def test_what_stands_around_the_json_does_not_matter(name: str, around: Any) -> None:
    assert figures(only(around(sample(name)))) == (99900, 18846)


def twice(amount: int, account: str | None = None) -> str:
    preview = digest()
    again = copy.deepcopy(preview["steps"][1])
    again["urn"] += "-2"
    again["newState"]["inputs"]["amount_due"] = amount
    if account:
        again["newState"]["inputs"]["account_id"] = account
    preview["steps"].append(again)
    return json.dumps(preview)


def test_one_account_that_is_there_twice_is_one_invoice_and_the_higher_amount_counts() -> None:
    assert only(twice(99900)).caveats == ()
    for other, amount in ((99901, 99901), (5, 99900)):
        found = only(twice(other))
        assert found.state.invoice.amount_due == amount
        [caveat] = found.caveats
        assert caveat.text.startswith("The invoice appears more than once, as $")
        assert caveat.text.endswith(": the highest amount of the latest period counts.")


def test_an_account_that_is_there_twice_is_compared_with_its_last_update() -> None:
    preview = digest()
    new = copy.deepcopy(preview["steps"][1])
    new |= {"urn": f"{new['urn']}-2", "op": "create", "oldState": None}
    del new["newState"]["inputs"]["last_update"]
    preview["steps"].insert(1, new)
    last = only(recounted(preview)).state.last_update
    assert last is not None
    assert last.amount_due == 18846


@pytest.mark.parametrize("is_unknown", [False, True])
def test_of_previews_of_one_stack_only_the_last_counts(is_unknown: bool) -> None:
    """People append to a file day after day."""
    today = json.loads(twice(1, OTHER_ACCOUNT))
    if is_unknown:
        today["steps"][-1]["newState"]["inputs"]["amount_due"] = UNKNOWN
    else:
        del today["steps"][-1]
    found = only(f"{twice(1, OTHER_ACCOUNT)}\n{json.dumps(today)}")
    assert found.state.account_id == ACCOUNT
    assert [caveat.text for caveat in found.caveats if caveat.kind == "ambiguous"] == [
        "Only the last preview or update of ours/dev counts: earlier ones also had invoices of 1 "
        "other account."
    ]
    assert (
        found.caveats
        == only("\n".join([twice(1, OTHER_ACCOUNT), *[json.dumps(today)] * 2])).caveats
    )
    again = input.read(f"{json.dumps(today)}\n{twice(1, OTHER_ACCOUNT)}")
    assert [invoice.state.account_id for invoice in again] == [ACCOUNT, OTHER_ACCOUNT]
    assert not any(invoice.caveats for invoice in again)


def test_unchanged_resources_that_pulumi_left_out_are_reported() -> None:
    assert only(sample("preview-moved.json")).caveats == ()
    partly = digest()
    partly["changeSummary"]["same"] = 3
    [caveat] = only(json.dumps(partly)).caveats
    assert caveat.text.startswith(
        "Pulumi left out 2 unchanged resources, which may be invoices of other"
    )


@pytest.mark.parametrize("amount", [1, 99900])
def test_two_accounts_are_two_invoices_whatever_their_figures(amount: int) -> None:
    both = twice(amount, OTHER_ACCOUNT)
    found = input.read(both)
    assert [invoice.state.account_id for invoice in found] == [ACCOUNT, OTHER_ACCOUNT]
    assert [invoice.state.invoice.amount_due for invoice in found] == [99900, amount]


def of_stack(text: str, project: str, account: str, amount: int) -> str:
    """Return a sample as if it were of another stack, account and amount."""
    other = text.replace("::ours::", f"::{project}::").replace(ACCOUNT, account)
    return other.replace("99900", str(amount))


@pytest.mark.parametrize("name", ["preview-moved.json", "preview-stream-moved.ndjson"])
def test_several_previews_in_one_file_are_all_read(name: str) -> None:
    """A file that each stack's preview was appended to has every stack's invoice."""
    both = f"{sample(name)}\n{of_stack(sample(name), 'theirs', OTHER_ACCOUNT, 100)}"
    found = input.read(both)
    assert [invoice.names for invoice in found] == [("ours/dev",), ("theirs/dev",)]
    assert [invoice.state.invoice.amount_due for invoice in found] == [99900, 100]


def test_diagnostics_before_the_prelude_are_of_the_same_preview() -> None:
    diagnostic = json.dumps(
        {"diagnosticEvent": {"severity": "warning", "message": "an old plugin"}}
    )
    stream = f"{diagnostic}\n{sample('preview-stream-moved.ndjson')}"
    assert only(stream).state.invoice.amount_due == 99900
    both = f"{stream}\n{of_stack(stream, 'theirs', OTHER_ACCOUNT, 100)}"
    assert [invoice.state.invoice.amount_due for invoice in input.read(both)] == [99900, 100]


def test_one_of_several_previews_that_was_cut_off_is_reported() -> None:
    cut = "\n".join(sample("preview-stream-moved.ndjson").splitlines()[:-2])
    other = of_stack(sample("preview-stream-moved.ndjson"), "theirs", OTHER_ACCOUNT, 100)
    for parts in ([cut, other], [other, cut]):
        assert "was the output cut off?" in refusal("\n".join(parts))


def test_a_digest_and_the_events_of_another_stack_are_both_read() -> None:
    other = of_stack(sample("preview-stream-moved.ndjson"), "theirs", OTHER_ACCOUNT, 100)
    found = input.read(f"{sample('preview-moved.json')}\n{other}")
    assert [invoice.state.invoice.amount_due for invoice in found] == [99900, 100]


@pytest.mark.parametrize("broken", ["preview-failed-refresh.json", "preview-stream-failed.ndjson"])
@pytest.mark.parametrize("first", [True, False])
def test_one_of_several_previews_that_failed_is_reported(broken: str, first: bool) -> None:
    good = of_stack(sample("preview-moved.json"), "theirs", OTHER_ACCOUNT, 100)
    parts = [sample(broken), good] if first else [good, sample(broken)]
    assert "the preview failed" in refusal("\n".join(parts))


def test_one_of_several_stacks_without_an_invoice_is_reported() -> None:
    without = json.loads(json.dumps(digest()).replace("::ours::", "::theirs::"))
    without["steps"] = without["steps"][:1]
    assert "no invoice in it" in refusal(f"{sample('preview-moved.json')}\n{recounted(without)}")


WITHOUT_STEPS = {"config": {}, "duration": 1, "changeSummary": {"same": 4}}
"""What `pulumi preview --json` prints of a stack in which nothing changed."""
FAILED_EARLY = {
    "diagnostics": [{"severity": "error", "message": "error: no module named x"}],
    "duration": 1,
}
"""What it prints of one that failed before its first step."""


@pytest.mark.parametrize(
    ("other", "expected"),
    [(WITHOUT_STEPS, "no invoice in it"), (FAILED_EARLY, "the preview failed: no module named x")],
)
@pytest.mark.parametrize("good", ["preview-moved.json", "preview-stream-moved.ndjson"])
@pytest.mark.parametrize("first", [True, False])
def test_a_digest_without_steps_beside_another_preview_is_reported(
    other: dict[str, Any], expected: str, good: str, first: bool
) -> None:
    parts = [json.dumps(other), sample(good)]
    assert expected in refusal("\n".join(parts if first else parts[::-1]))
    assert expected in refusal(json.dumps(other))


def test_the_digest_of_an_update_may_have_no_steps() -> None:
    update = events()
    update[-2]["summaryEvent"]["isPreview"] = False
    assert figures(only(f"{json.dumps(WITHOUT_STEPS)}\n{lines(update)}")) == (99900, 18846)


@pytest.mark.parametrize("name", ["preview-moved.json", "preview-stream-moved.ndjson"])
def test_an_earlier_previews_figures_are_not_fresh_where_the_last_one_has_none(name: str) -> None:
    """What is appended to a file, day after day, ends with a preview that knows nothing."""
    unmoved = digest("preview-unchanged-sames.json")
    unmoved["steps"] = unmoved["steps"][:1]
    assert "Pulumi left it out" in refusal(f"{sample(name)}\n{json.dumps(unmoved)}")
    assert figures(only(f"{json.dumps(unmoved)}\n{sample(name)}")) == (99900, 18846)


def test_an_invoice_preview_without_figures_beside_another_is_reported() -> None:
    preview = json.loads(twice(1, OTHER_ACCOUNT))
    preview["steps"][-1]["newState"]["inputs"]["amount_due"] = UNKNOWN
    [caveat] = only(json.dumps(preview)).caveats
    assert caveat.text == (
        "The figures of 1 InvoicePreview resource are not known yet, and were not judged."
    )


def test_an_import_announces_no_figures_and_has_them_once_they_are_read() -> None:
    found = only(sample("imported.ndjson"))
    assert (found.state.invoice.amount_due, found.caveats) == (18846, ())


@pytest.mark.parametrize("inputs", [{"accountId": ACCOUNT}, {}, None])
def test_a_plugin_that_does_not_have_its_credentials_yet_knows_no_figures(inputs: Any) -> None:
    """As long as an argument of its provider is not known, Pulumi does not ask it for any."""
    preview = json.loads(two_invoices().replace(DYNAMIC_TYPE, PLUGIN_TYPE))
    preview["steps"][-1]["newState"]["inputs"] = inputs
    for text in (sample("unknown-credentials.ndjson"), json.dumps(preview)):
        [caveat] = only(text).caveats
        assert caveat.text.startswith("The figures of 1 InvoicePreview resource are not known yet")


@pytest.mark.parametrize("depth", [*range(100, 1000, 50), 100_000])
def test_nested_json_is_read_or_told_to_be_too_deep(depth: int) -> None:
    """What the parser still takes can be too deep to be searched, wherever its limit is."""
    preview = digest()
    preview["steps"][1]["newState"]["inputs"]["tags"] = "NESTED"
    text = json.dumps(preview).replace('"NESTED"', "[" * depth + "]" * depth)
    try:
        found = only(text)
    except NoInvoiceError as error:
        assert "nested too deeply" in str(error)  # noqa: PT017
    else:
        assert figures(found) == (99900, 18846)


@pytest.mark.parametrize(
    "name",
    [
        "preview-moved.json",
        "targeted/exclude.json",
        "functions/nested.ndjson",
        "refresh/get.ndjson",
    ],
)
def test_a_preview_within_another_object_is_refused(name: str) -> None:
    wrapped = {"dev": digest(name)} if name.endswith(".json") else {"events": events(name)}
    assert "or a preview within another object, whose figures may be" in refusal(
        json.dumps(wrapped)
    )


def test_a_prefix_that_chooses_nothing_is_refused() -> None:
    assert "--prefix chooses among" in refusal(sample("preview-moved.json"), prefix="ai")
    assert "--prefix chooses among" in refusal('{"success": true, "result": {}}', prefix="ai")
    assert "no invoice in it" in refusal(sample("preview-stream-moved.ndjson"), prefix="none")


def test_an_output_of_no_known_account_is_given_none() -> None:
    """Its figures differ from the resource's, so that nothing says whose they are."""
    figures = Invoice.from_api(api_result(amount_due=5)).to_figures()
    known = {f"a_{name}": value for name, value in figures.items()} | {"a_account_id": ACCOUNT}
    unknown = {f"b_{name}": value for name, value in figures.items()} | {"b_amount_due": 30000}
    found = input.read(json.dumps(known | unknown))
    assert [invoice.state.account_id for invoice in found] == [ACCOUNT, None]
    assert "Its account is not known" in found[1].caveats[0].text


def test_the_stack_is_named_from_the_urns() -> None:
    for name in (
        "preview-moved.json",
        "preview-stream-moved.ndjson",
        "preview-stream-functions.ndjson",
    ):
        assert only(sample(name)).names == ("ours/dev",), name


def test_one_of_two_accounts_can_be_chosen() -> None:
    both = twice(1, OTHER_ACCOUNT)
    assert only(both, account_id=OTHER_ACCOUNT).state.invoice.amount_due == 1


STREAMS = [
    "preview-stream-moved.ndjson",
    "preview-stream-moved-refresh.ndjson",
    "preview-stream-functions.ndjson",
]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_lacks_any_event_is_refused(name: str) -> None:
    whole = events(name)
    for number in range(len(whole) - 1):
        message = refusal(lines(whole[:number] + whole[number + 1 :]))
        assert "is missing" in message or "without a summary" in message, number


def test_an_update_with_a_refresh_that_lacks_two_events_is_refused_or_has_both_accounts() -> None:
    """Two numbers can be missing because they are never printed, but an account must not be."""
    whole = sample("twins-up-refresh.ndjson").splitlines()
    due = read_due("\n".join(whole))
    assert len(due) == 2
    for lost in itertools.combinations(range(len(whole)), 2):
        left = (line for number, line in enumerate(whole) if number not in lost)
        with contextlib.suppress(NoInvoiceError):
            assert read_due("\n".join(left)) == due, lost


@pytest.mark.parametrize(
    ("exported", "whose"),
    [
        ({"account_id": "e" * 32}, f"of account {'e' * 32}"),
        ({"b_account_id": "E" * 32, "b_amount_due": 30000}, f"of account {'e' * 32}"),
        ({"amount_due": 30000}, "of an account that is not known"),
        ({}, None),
        ({"account_id": ACCOUNT, "amount_due": 30000}, None),
        ({"invoice_lines": ["a name"], "amount_due": "a text"}, None),
        ({"invoice_lines": "[secret]"}, None),
    ],
)
def test_what_a_stack_exports_of_another_account_is_not_in_a_digest(
    exported: dict[str, Any], whose: str | None
) -> None:
    """Its outputs are those of the last deployment, and no resource speaks for that account."""
    preview = digest()
    [step, of_ours] = preview["steps"]
    old = of_ours["oldState"]["outputs"]
    names = ("amount_due", "amount_paid", "amount_remaining", "currency", "invoice_lines")
    start = "b_" if "b_amount_due" in exported else ""
    figures = {f"{start}{name}": old[name] for name in names}
    step["oldState"]["outputs"] = figures | exported
    if whose is None:
        assert only(json.dumps(preview)).state.account_id == ACCOUNT
        return
    assert refusal(json.dumps(preview)).startswith(f"the stack also exports figures {whose}, of ")


@pytest.mark.parametrize("how", ["left out", "renamed", "moved to another account", "a fraction"])
def test_what_a_stack_exports_of_its_own_resources_does_not_refuse_a_digest(how: str) -> None:
    preview = digest()
    [of_stack, of_ours] = preview["steps"]
    old = of_ours["oldState"]
    exported = copy.deepcopy(old["outputs"])
    if how == "left out":
        exported["account_id"] = "e" * 32
        preview["changeSummary"]["same"] += 1
    elif how == "renamed":
        urn = f"{of_ours['urn']}-before"
        preview["steps"].append({"op": "delete", "urn": urn, "oldState": {**old, "urn": urn}})
        of_ours |= {"op": "create", "oldState": None}
    elif how == "a fraction":
        for properties in (old["inputs"], old["outputs"], exported):
            properties["amount_due"] = 18846.19
        del exported["account_id"]
    else:
        for properties in (old["inputs"], old["outputs"], exported):
            properties["account_id"] = "e" * 32
    of_stack["oldState"]["outputs"] = exported
    found = only(recounted(preview))
    assert found.state.account_id == ACCOUNT
    is_told = any("left out 1 unchanged resource" in caveat.text for caveat in found.caveats)
    assert is_told == (how == "left out")


def read_due(text: str) -> dict[str | None, float]:
    return {found.state.account_id: found.invoice.amount_due for found in input.read(text)}


def case(name: str) -> list[dict[str, Any]]:
    text = (PREVIEWS.parent / "cases" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_stream_without_debug_messages_that_lacks_a_step_is_refused() -> None:
    whole = case("01-control-unmoved.events.jsonl")
    for event in whole:
        if {"resourcePreEvent", "resOutputsEvent", "summaryEvent"} & event.keys():
            refusal(lines([other for other in whole if other is not event]))


def test_a_blocked_preview_that_lacks_an_event_is_refused_or_stays_blocked() -> None:
    whole = case("02-policy-violation.events.jsonl")
    for event in whole:
        try:
            found = input.read(lines([other for other in whole if other is not event]))
        except NoInvoiceError:
            continue
        assert any(violation.is_mandatory for violation in found[0].violations)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_whose_events_are_out_of_order_or_repeated_is_refused(name: str) -> None:
    whole = events(name)
    message = refusal(lines([whole[0], whole[2], whole[1], *whole[3:]]))
    assert message.startswith(
        "line 3 has event 1 after event 2 on line 2: were the lines reordered"
    )
    assert "line 3 has event 1 after event 1" in refusal(lines([*whole[:2], *whole[1:]]))


def test_a_number_that_is_missing_is_reported_with_its_line() -> None:
    whole = [
        {"sequence": number, **event}
        for number, event in zip((0, 1, 4), bare_stream(), strict=True)
    ]
    assert refusal(lines(whole)).startswith("event 2 is missing before line 3")


def bare_stream() -> list[dict[str, Any]]:
    """Return the smallest possible stream: the events of a new invoice."""
    urn = "urn:pulumi:dev::ours::pulumi-python:dynamic/cf_invoice:InvoicePreview::upcoming"
    inputs = Invoice.from_api(api_result(amount_due=100)).to_figures() | {"account_id": ACCOUNT}
    new = {"type": urn.split("::")[2], "urn": urn, "inputs": inputs}
    return [
        {"preludeEvent": {}},
        {"resOutputsEvent": {"metadata": {"op": "create", "urn": urn, "new": new}}},
        {"summaryEvent": {"resourceChanges": {"create": 1}, "result": "succeeded"}},
    ]


@pytest.mark.parametrize(
    "torn",
    [
        lambda text: text[:-3],
        lambda text: text.replace('"type"', 'warning: torn\n"type"', 1),
        lambda text: text.replace("\n{", "{", 1),
        lambda text: text.rstrip("\n") + "warning: later\n",
        lambda text: text.replace('{"sequence": 9', '{warning\n"sequence": 9'),
        lambda text: text[3000:],
        lambda text: text.replace("\n{", '\nwarning: {"a": \n{', 1),
    ],
)
@pytest.mark.parametrize("name", STREAMS[:1])
def test_a_stream_that_is_torn_anywhere_is_refused(name: str, torn: Any) -> None:
    assert re.search("line|event", refusal(torn(lines(events(name)))))


@pytest.mark.parametrize(
    "name", ["new", "newState", "inputs", "outputs", "amount_due", "amountDue", "accountId"]
)
@pytest.mark.parametrize(
    "file",
    [
        "twins-up-refresh.ndjson",
        "read/plug-get.ndjson",
        "functions/nested.ndjson",
        "two-invoices.json",
    ],
)
def test_a_name_that_is_torn_loses_no_invoice(file: str, name: str) -> None:
    """What a program writes to standard error can be in the middle of one."""
    text = two_invoices() if file == "two-invoices.json" else sample(file)
    whole = {found.invoice.amount_due for found in input.read(text)}
    for place in re.finditer(rf'"{name}":', text):
        torn = f"{text[: place.start() + 2]}warning: late {text[place.start() + 2 :]}"
        with contextlib.suppress(NoInvoiceError):
            assert {found.invoice.amount_due for found in input.read(torn)} == whole


@pytest.mark.parametrize("left", ["period_end", "currency", "status"])
def test_a_figure_without_the_amount_due_is_that_of_a_torn_line(left: str) -> None:
    """A resource has all figures or, where they are not known yet, none."""
    preview = json.loads(two_invoices())
    state = preview["steps"][-1]["newState"]
    state["inputs"] = {name: state["inputs"][name] for name in ("account_id", left)}
    assert "the figures of another are not whole" in refusal(json.dumps(preview))


def two_invoices() -> str:
    """Return a digest of a stack with two new invoices, for different amounts."""
    digest = json.loads(sample("preview-first.json"))
    another = json.dumps(digest["steps"][1]).replace("upcoming", "another")
    another = another.replace(ACCOUNT, OTHER_ACCOUNT).replace("18846", "99900")
    digest["steps"].append(json.loads(another))
    return recounted(digest)


def test_a_step_of_the_engine_without_a_new_state_is_not_taken_for_a_torn_one() -> None:
    for op in ("delete", "delete-replaced", "discard-replaced", "remove-pending-replace"):
        digest = json.loads(two_invoices())
        digest["steps"][2] |= {"op": op, "newState": None}
        assert figures(only(recounted(digest)))[0] == 18846


@pytest.mark.parametrize(
    "beside",
    [
        "{'a': 1}",
        'got {"code": 429}, waiting',
        "Error {\n  code: 1\n}",
        "{}",
        '{"level": "warn"}',
        '{"level": "info", "result": {"rows": 3}}',
        '{"logEvent": {}}',
    ],
)
def test_what_others_write_on_lines_of_their_own_does_not_matter(beside: str) -> None:
    if beside.startswith("{'"):
        beside = f"said {beside}"
    text = f"{beside}\n{sample('preview-stream-moved.ndjson')}{beside}\n"
    assert figures(only(text)) == (99900, 18846)


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_an_address_in_a_preview_is_one_clean_line_in_every_format(form: str) -> None:
    odd = r"http://x\ud800\u001b[31m\u202e\n::error::"
    text = sample("preview-first.json").replace(
        '"amount_due"', f'"base_url": "{odd}", "amount_due"'
    )
    done = run("report", "--from", "-", "--budget", "1 USD", "--format", form, stdin=text)
    assert done.returncode == 1, done.stderr
    assert not re.search("[\x1b\ud800\u202e]|^::error", done.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize("success", [False, None, 0, 1, "true", "false", []])
def test_an_answer_of_the_api_that_is_no_success_is_refused(success: Any) -> None:
    message = refusal(json.dumps({"success": success, "result": api_result(amount_due=1)}))
    assert message == "this answer of the API is an error: without a reason"


def dear() -> str:
    """Return a preview of another account, of another stack, for much more."""
    text = sample("preview-stream-moved.ndjson").replace("::ours::", "::theirs::")
    return text.replace(ACCOUNT, OTHER_ACCOUNT).replace("99900", "999900")


@pytest.mark.parametrize(
    ("joined", "expected"),
    [
        (lambda first, second: first.encode() + second.encode("utf-16"), "line 26 is not text"),
        (lambda first, second: first.encode() + second.encode("utf-16-be"), "line 26 has a zero"),
        (lambda first, second: first.encode() + second.encode("utf-32-be"), "line 26 has a zero"),
        (lambda first, second: first.encode() + gzip.compress(second.encode()), "line 26 is not"),
        (lambda first, second: first.encode("utf-16") + second.encode(), "goes on in UTF-8"),
        (lambda first, second: first.encode("utf-16") + b"\n" + second.encode(), "UTF-"),
        (lambda first, _: first.encode().replace(b"upcoming", b"upc\xf6ming", 1), "is not text"),
    ],
)
def test_what_is_joined_in_another_encoding_is_not_passed_over(joined: Any, expected: str) -> None:
    """PowerShell's `>>` appends UTF-16 to a file in UTF-8."""
    refused = refusal(joined(sample("preview-stream-moved.ndjson"), dear()))
    assert expected in refused
    assert "was something else appended" in refused


@pytest.mark.parametrize("prefix", ["> ", "| ", "job  | ", "2026-09-15T12:00:00Z "])
def test_a_preview_with_something_before_each_line_is_read_whole_or_refused(prefix: str) -> None:
    def quoted(text: str) -> str:
        return "".join(f"{prefix}{line}\n" for line in text.splitlines())

    message = refusal(sample("preview-stream-moved.ndjson") + quoted(sample("preview-first.json")))
    assert re.match("line 2[0-9]+ has part of a preview|something follows|the JSON object", message)
    both = input.read(sample("preview-stream-moved.ndjson") + quoted(dear()))
    assert {found.invoice.amount_due for found in both} == {99900, 999900}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"amount_due":', '"amount_due": 1, "amount_due":'),
        ('"steps":', '"steps": [], "steps":'),
        ('"newState":', '"newState": null, "newState":'),
    ],
)
def test_a_name_that_is_there_twice_is_refused(before: str, after: str) -> None:
    name = before.strip(':"')
    message = refusal(sample("preview-first.json").replace(before, after, 1))
    assert f"cannot be read: '{name}' appears twice in one object" in message


def test_what_is_exported_without_its_account_is_of_no_other_account_than_the_resource() -> None:
    preview = events()
    for event in preview:
        step = event.get("resourcePreEvent") or event.get("resOutputsEvent") or {"metadata": {}}
        if step["metadata"].get("type") == "pulumi:pulumi:Stack":
            step["metadata"]["new"]["outputs"].pop("account_id", None)
    assert only(lines(preview), account_id=ACCOUNT).state.account_id == ACCOUNT
    # The program has an InvoicePreview, and the message does not ask for one.
    assert refusal(lines(preview), account_id=OTHER_ACCOUNT).endswith(
        f"no invoice of account {OTHER_ACCOUNT} in it, only of {ACCOUNT}"
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"success": True, "result": api_result(amount_due=10**6)},
        {"result": api_result(amount_due=10**6)},
        {"success": False, "errors": [{"code": 10000}], "result": None},
    ],
)
def test_an_answer_beside_a_preview_is_not_passed_over(answer: dict[str, Any]) -> None:
    message = refusal(f"{sample('preview-stream-moved.ndjson')}{json.dumps(answer)}\n")
    assert message == (
        "line 26 has an invoice or an answer of the API beside the preview: give each its own "
        "--from"
    )


def test_the_rest_of_another_preview_is_no_part_of_the_one_before_it() -> None:
    """Its events may have larger numbers, and the steps of the first satisfy its summary."""
    first = events()
    rest = [event for event in events() if not {"preludeEvent", "resourcePreEvent"} & event.keys()]
    for number, event in enumerate(rest, first[-1]["sequence"] + 1):
        event["sequence"] = number
    for cut in (rest, rest[-2:]):
        message = refusal(lines([*first, *cut]))
        assert "an event of another preview or update, whose beginning is missing" in message


def test_events_without_their_beginning_are_refused_as_all_before_it_may_be_lost() -> None:
    """Two numbers may be missing, as those of a default provider are."""
    assert refusal(lines(events()[2:])) == (
        "the events begin on line 1 without a prelude: was the beginning cut off?"
    )


def test_the_rest_of_a_preview_does_not_complete_another_without_its_end() -> None:
    first = events()
    second = json.loads(lines([{"both": first}]).replace("::ours::", "::theirs::"))["both"]
    cut = next(n for n, event in enumerate(first) if "summaryEvent" in event) - 1
    for number, event in enumerate(second, first[cut]["sequence"]):
        event["sequence"] = number
    message = refusal(lines([*first[:cut], *second[cut - 3 :]]))
    assert message.startswith("events of theirs/dev follow those of ours/dev, whose summary is")


def test_whatever_lines_a_digest_loses_it_is_refused_or_read_whole() -> None:
    """But for lines of one entry, such as those of a line of an invoice."""
    preview = json.loads(two_invoices())
    written = json.dumps(preview, indent=4).splitlines(keepends=True)
    read = 0
    for begin, end in itertools.combinations(range(len(written) + 1), 2):
        rest = "".join([*written[:begin], *written[end:]])
        if parse_json(rest) is None:
            continue
        with contextlib.suppress(BillingError):
            states = [found.state for found in input.read(rest)]
            found = {(state.account_id, state.invoice.amount_due) for state in states}
            assert found == {(ACCOUNT, 18846), (OTHER_ACCOUNT, 99900)}, (begin + 1, end)
            read += 1
    assert read


@pytest.mark.parametrize("lost", ["urn", "newState", "inputs"])
def test_a_step_that_lost_what_the_engine_writes_of_each_is_torn(lost: str) -> None:
    preview = json.loads(two_invoices())
    step = preview["steps"][-1]
    if lost == "urn":
        preview["steps"][-1] = {"op": step["op"], "detailedDiff": None}
    else:
        del (step["newState"] if lost == "inputs" else step)[lost]
    assert refusal(json.dumps(preview)).endswith("was the line torn?")


def test_the_beginning_of_a_state_does_not_go_on_as_that_of_another_stack() -> None:
    preview = json.loads(two_invoices())
    state = preview["steps"][-1]["newState"]
    state["urn"] = state["urn"].replace("::ours::", "::theirs::")
    assert refusal(json.dumps(preview)).startswith("steps of theirs/dev follow those of ours/dev")


def test_a_digest_with_more_steps_than_were_counted_is_of_two() -> None:
    preview = json.loads(two_invoices())
    preview["changeSummary"]["create"] -= 1
    assert refusal(json.dumps(preview)) == (
        "the summary counts 2 steps 'create', but 3 are in the preview: are they of two?"
    )


def test_the_beginning_of_a_digest_does_not_go_on_as_that_of_another_stack() -> None:
    digest = json.loads(two_invoices())
    digest["steps"][1:] = json.loads(
        json.dumps(digest["steps"][1:]).replace("::ours::", "::theirs::")
    )
    assert refusal(json.dumps(digest)) == (
        "steps of theirs/dev follow those of ours/dev in one preview: the file is not whole"
    )


# Whatever takes more than one pass takes minutes.
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "text",
    [
        '{"a": ' * 250_000,
        "{\n" * 1_000_000,
        "[" * 2_000_000,
        'x {"' * 500_000,
        'x {"a": 1} ' * 50_000 + "y" * 1_500_000,
        "{" + '"a": 1, ' * 220_000 + '"a": 1}',
        '"aEvent' * 280_000,
    ],
)
def test_two_megabytes_of_anything_are_refused_in_one_pass(text: str) -> None:
    assert len(refusal(text)) < 300


def test_tens_of_thousands_of_events_are_read_in_one_pass() -> None:
    first, *rest = bare_stream()
    metadata = {"op": "create", "type": "a:b:C"}
    others = [
        {"resOutputsEvent": {"metadata": {**metadata, "urn": f"urn:pulumi:dev::ours::a:b:C::{n}"}}}
        for n in range(30_000)
    ]
    stream = [{"sequence": n, **event} for n, event in enumerate([first, *others, *rest])]
    assert only(lines(stream)).state.invoice.amount_due == 100


def amounts_in(value: Any) -> set[Any]:
    if isinstance(value, dict):
        due = (value.get(name) for name in ("amount_due", "amountDue"))
        own = {amount for amount in due if isinstance(amount, (int, float))}
        return own.union(*map(amounts_in, value.values()))
    return set().union(*map(amounts_in, value)) if isinstance(value, list) else set()


ODD: st.SearchStrategy[Any] = (
    st.none() | st.integers() | st.text(max_size=5) | st.just([]) | st.just({}) | st.booleans()
)


def mutate(value: Any, data: st.DataObject) -> None:
    """Drop, reorder or replace something in *value*, at any depth."""
    found: list[tuple[Any, Any]] = []

    def walk(at: Any) -> None:
        keys = list(at) if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else []
        for key in keys:
            found.append((at, key))
            walk(at[key])

    walk(value)
    where, key = data.draw(st.sampled_from(found))
    how = data.draw(st.sampled_from(["drop", "odd", "reverse"]))
    if how == "drop":
        del where[key]
    elif how == "reverse" and isinstance(where[key], list):
        where[key].reverse()
    else:
        where[key] = data.draw(ODD)


@given(
    st.sampled_from(sorted(path.name for path in PREVIEWS.iterdir() if path.is_file())), st.data()
)
@examples(3, suppress_health_check=[HealthCheck.too_slow])
def test_a_preview_that_is_changed_anyhow_tells_a_figure_that_is_in_it_or_one_line(
    name: str, data: st.DataObject
) -> None:
    is_stream = name.endswith(".ndjson")
    content: Any = events(name) if is_stream else digest(name)
    for _ in range(data.draw(st.integers(1, 3))):
        if content:
            mutate(content, data)
    text = lines(content) if is_stream else json.dumps(content)
    try:
        found = [each.state.invoice for each in input.read(text)]
    except NoInvoiceError as error:
        message = str(error)
    else:
        message = "".join(invoice.text for invoice in found)
        assert {invoice.amount_due for invoice in found} <= amounts_in(content)
    assert "\n" not in message


TARGETED = PREVIEWS / "targeted"


@pytest.mark.parametrize("form", ["dyn", "plug"])
@pytest.mark.parametrize("printed", ["preview.ndjson", "sames.json", "up.ndjson"])
def test_figures_of_the_last_deployment_are_refused_in_every_form(form: str, printed: str) -> None:
    """The account was at $555.00 when these were taken, and what is deployed at $188.46."""
    message = refusal((TARGETED / f"{form}-{printed}").read_text())
    assert message.startswith(f"the preview left out {form} by --target or --exclude: its figures")


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("exclude.ndjson", "upcoming"),
        ("exclude.json", "upcoming"),
        ("dependents.ndjson", "plug"),
        ("refreshed.ndjson", "upcoming and 1 more"),
    ],
)
def test_every_flag_that_leaves_a_resource_out_is_noticed(name: str, left_out: str) -> None:
    """With ``--exclude``, with ``--target-dependents``, and with ``--refresh`` besides."""
    message = refusal((TARGETED / name).read_text())
    assert message.startswith(f"the preview left out {left_out} by --target or --exclude")


@pytest.mark.parametrize("name", ["new-preview.ndjson", "new-sames.json", "new-up.ndjson"])
def test_a_resource_that_was_never_deployed_is_noticed_where_it_is_left_out(name: str) -> None:
    message = refusal((TARGETED / name).read_text())
    assert message.startswith("the preview left out upcoming by --target or --exclude")


@pytest.mark.parametrize("form", ["dyn", "plug"])
def test_a_digest_without_sames_leaves_out_what_was_not_evaluated(form: str) -> None:
    message = refusal((TARGETED / f"{form}-digest.json").read_text())
    assert STALE.split(": ")[1] in message
    assert "If --target or --exclude left it out, preview without these flags" in message


@pytest.mark.parametrize("name", ["get-preview.ndjson", "get-sames.json", "get-up.ndjson"])
def test_a_resource_that_is_read_is_fresh_whatever_is_targeted(name: str) -> None:
    assert only((TARGETED / name).read_text()).state.invoice.amount_due == 55500


@pytest.mark.parametrize("printed", ["preview.ndjson", "up.ndjson"])
def test_the_outputs_of_a_stack_are_refused_where_anything_was_left_out(printed: str) -> None:
    text = (TARGETED / f"fn-{printed}").read_text()
    # The component was the target.
    assert only(text).state.invoice.amount_due == 55500
    mixed = [json.loads(line) for line in text.splitlines()]
    for event in mixed:
        step = event.get("resourcePreEvent", {}).get("metadata", {})
        if step.get("type") == "x:y:Comp":
            step["new"]["outputs"] = {"a": 1}
    assert "the stack's outputs may be those of the last deployment" in refusal(lines(mixed))


REFRESH = sorted((PREVIEWS / "refresh").iterdir())


@pytest.mark.parametrize("path", [TARGETED / "refresh-only.ndjson", *REFRESH])
def test_figures_of_an_operation_that_does_not_evaluate_the_program_are_refused(path: Path) -> None:
    """
    A refresh keeps the figures of functions, of `.get`, of what --target leaves out, and of a
    resource without credentials. Here they are $100.00, or one of two, and the account is at $999.
    """
    message = refusal(path.read_text())
    what = "destroy" if "destroy" in path.name else "refresh"
    assert message.startswith(f"a {what} does not evaluate the program's invoices")


def test_what_functions_read_in_a_refresh_that_runs_the_program_is_fresh() -> None:
    text = (PREVIEWS / "functions" / "refresh-run-program.ndjson").read_text()
    assert figures(only(text)) == (99900, 10000)


def test_a_digest_with_a_refreshed_invoice_beside_an_evaluated_one_is_refused() -> None:
    """Without --show-sames only the refresh of what has not moved is in it."""
    refreshed = digest("preview-moved-refresh-sames.json")
    another = json.loads(json.dumps(refreshed["steps"][1]).replace("::upcoming", "::other"))
    refreshed["steps"].append(another)
    assert STALE in refusal(json.dumps(refreshed))


def test_a_blocked_preview_with_a_refresh_is_over_whatever_was_only_refreshed() -> None:
    """The pack blocks before the program asks for all its resources."""
    blocked = case("02-policy-violation.events.jsonl")
    number = next(n for n, event in enumerate(blocked) if "resourcePreEvent" in event)
    refreshed = copy.deepcopy(blocked[number])
    urn = "urn:pulumi:dev::bugs::acme:index:Bucket::logs"
    refreshed["resourcePreEvent"]["metadata"] |= {"op": "refresh", "urn": urn, "type": "acme:b:B"}
    blocked.insert(number, refreshed)
    for position, event in enumerate(blocked):
        event["sequence"] = position
    assert only(lines(blocked)).invoice.amount_due == 18846


@pytest.mark.parametrize("mark", [{"ciphertext": "[secret]"}, "[secret]"])
@pytest.mark.parametrize("name", ["amount_due", "invoice_lines", "currency"])
def test_a_secret_figure_is_reported_as_secret(name: str, mark: Any) -> None:
    secret = mark
    if isinstance(mark, dict):
        secret = mark | {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
    stream = bare_stream()
    stream[1]["resOutputsEvent"]["metadata"]["new"]["inputs"][name] = secret
    assert refusal(lines(stream)).startswith("the figures are secret: leave them out of additional")
    preview = digest("preview-first.json")
    preview["steps"][1]["newState"]["inputs"][name] = secret
    assert refusal(json.dumps(preview)).startswith("the figures are secret")
    outputs = Invoice.from_api(api_result()).to_figures() | {name: secret}
    assert "add --show-secrets to `pulumi stack output`" in refusal(json.dumps(outputs))
    assert "add --show-secrets" in refusal(json.dumps({"invoice": secret}))


@pytest.mark.parametrize("form", ["dyn", "plug"])
@pytest.mark.parametrize("printed", ["unmoved.ndjson", "moved.json", "up.ndjson"])
def test_figures_of_additional_secret_outputs_are_secret_in_every_form(
    form: str, printed: str
) -> None:
    """Pulumi prints them in plain text among the inputs, and a comment would show everyone."""
    message = refusal((PREVIEWS / "secret" / f"{form}-{printed}").read_text())
    assert message.startswith("the figures are secret: leave them out of additional_secret_outputs")


def test_secret_figures_that_a_policy_pack_reported_are_judged() -> None:
    found = only(lines(case("02-policy-violation.events.jsonl")))
    assert found.state.invoice.amount_due == 18846


def test_secret_figures_stay_secret_whatever_a_policy_pack_says_of_anything_else() -> None:
    advised = events("secret/plug-other-advisory.ndjson")
    assert refusal(lines(advised)).startswith("the figures are secret")
    [violation] = [event["policyEvent"] for event in advised if "policyEvent" in event]
    urn = "urn:pulumi:dev::blk::cf-invoice:index:InvoicePreview::a"
    for message in ("It has no tags.", "$1.00 of $100.005", "$1,100.00"):
        violation |= {"resourceUrn": urn, "message": message}
        assert refusal(lines(advised)).startswith("the figures are secret")
    violation["message"] = "The invoice is $100.00, over the limit."
    assert only(lines(advised)).invoice.amount_due == 10000
    violation["resourceUrn"] = "urn:pulumi:dev::blk::pulumi:pulumi:Stack::blk-dev"
    assert refusal(lines(advised)).startswith("the figures are secret")
    violation["message"] = f"The invoice of account {ACCOUNT} is $100.00, over the limit."
    assert only(lines(advised)).invoice.amount_due == 10000


def test_a_secret_export_beside_a_resource_is_reported_as_missing() -> None:
    """Whether it is the resource's, nobody can tell."""
    stream = events("secret/export-beside-resource.ndjson")
    found = only(lines(stream))
    assert found.invoice.amount_due == 18846
    assert [caveat.text for caveat in found.caveats] == [
        "The figures of 1 exported invoice are secret, and were not judged."
    ]
    headline = make_report([found], at=factories.NOW).headline
    assert headline.endswith("; not every invoice could be read.")
    # An account that is known is that of the resource, or not.
    outputs = outputs_of(stream)
    outputs["account_id"] = ACCOUNT
    assert only(lines(stream)).caveats == ()
    outputs["account_id"] = OTHER_ACCOUNT
    assert only(lines(stream)).caveats == found.caveats
    for name in list(outputs):
        outputs[f"other_{name}"] = outputs.pop(name)
    assert refusal(lines(stream), prefix="other").startswith("the figures are secret")


@pytest.mark.parametrize("name", ["account_id", "invoice_id", "status"])
def test_a_secret_that_is_no_figure_is_left_out(name: str) -> None:
    stream = bare_stream()
    stream[1]["resOutputsEvent"]["metadata"]["new"]["inputs"][name] = "[secret]"
    found = only(lines(stream))
    assert found.state.invoice.amount_due == 100
    assert "[secret]" not in repr(found)


def test_a_line_that_is_called_like_a_secret_hides_nothing() -> None:
    outputs = Invoice.from_api(api_result(invoice_lines=[api_line(description="[secret]")]))
    [found] = input.read(json.dumps(outputs.to_figures()))
    assert [line.description for line in found.invoice.invoice_lines] == ["[secret]"]


def test_secret_figures_of_the_last_deployment_are_no_baseline() -> None:
    stream = bare_stream()
    step = stream[1]["resOutputsEvent"]["metadata"]
    step["old"] = copy.deepcopy(step["new"])
    step["old"]["inputs"]["amount_due"] = "[secret]"
    found = only(lines(stream))
    assert found.baseline is None
    assert found.notes == (
        "The figures of the last deployment are secret, so that no change is shown.",
    )


def blocked_without_invoice(*said: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a blocked preview of functions: Pulumi has no outputs of one."""
    blocked = events("preview-stream-functions.ndjson")
    outputs_of(blocked, "old").clear()
    outputs_of(blocked).clear()
    end = next(n for n, event in enumerate(blocked) if "summaryEvent" in event)
    blocked[end]["summaryEvent"]["result"] = "failed"
    urn = "urn:pulumi:dev::ours::pulumi:pulumi:Stack::ours-dev"
    of_pack = {"policyPackName": "spend", "policyName": "account-budget", "resourceUrn": urn}
    blocked[end:end] = [
        {"policyEvent": {**of_pack, "enforcementLevel": "mandatory", **event}} for event in said
    ]
    for number, event in enumerate(blocked):
        event["sequence"] = number
    return blocked


def test_what_blocked_a_preview_without_an_invoice_is_told() -> None:
    message = refusal(
        lines(
            blocked_without_invoice(
                {"message": "Each account.\n##[x] “Spent $188.46.\n"},
                {"message": "Only a warning.", "enforcementLevel": "advisory"},
            )
        )
    )
    assert "no invoice in it: the program needs an InvoicePreview, or export_invoice. " in message
    assert message.endswith(
        "A policy pack blocked the preview (spend: account-budget): “Each account. ## [x] ‘Spent "  # noqa: RUF001
        "$188.46.”"
    )
    assert "warning" not in message


def test_of_much_that_blocked_a_preview_without_an_invoice_some_is_told() -> None:
    message = refusal(
        lines(blocked_without_invoice(*({"message": f"{n} is over."} for n in (1, 1, 2, 3, 4, 5))))
    )
    assert [f"{n} is over." in message for n in range(1, 6)] == [True] * 3 + [False] * 2
    assert message.endswith("; and 2 more violations")


def test_a_blocked_preview_whose_figures_are_secret_is_refused_with_what_blocked_it() -> None:
    blocked = case("02-policy-violation.events.jsonl")
    for event in blocked:
        if "policyEvent" in event:
            event["policyEvent"]["message"] = "No bucket is public."
        metadata = (event.get("resourcePreEvent") or event.get("resOutputsEvent") or {}).get(
            "metadata", {}
        )
        if "InvoicePreview" in metadata.get("type", ""):
            metadata["new"]["additionalSecretOutputs"] = ["amount_due"]
    message = refusal(lines(blocked))
    assert "secret" in message
    assert "No bucket is public." in message


BLOCKED = PREVIEWS / "blocked"
PROD = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
WITHIN = ("--budget", "250 USD")


@pytest.mark.parametrize("account", [None, ACCOUNT, PROD])
def test_a_preview_that_a_policy_pack_blocked_is_over_whatever_account_is_chosen(
    account: str | None,
) -> None:
    """The pack is another team's, and says something about a bucket."""
    chosen = ["--account-id", account] if account else []
    file = str(BLOCKED / "two-accounts.ndjson")
    done = run("report", "--from", file, *WITHIN, *chosen)
    assert done.returncode == 1, done.stdout
    assert "no-public-buckets" in done.stdout
    both = run("report", "--from", file, *WITHIN, "--account-id", ACCOUNT, "--account-id", PROD)
    assert (both.returncode, both.stdout.count("no-public-buckets")) == (1, 1)


def test_a_stack_that_a_policy_pack_blocked_is_over_whatever_account_of_another_is_chosen(
    tmp_path: Path,
) -> None:
    blocked = of_stack(sample("blocked/two-accounts.ndjson"), "theirs", OTHER_ACCOUNT, 100)
    both = tmp_path / "previews.ndjson"
    both.write_text(sample("preview-stream-moved.ndjson") + blocked)
    chosen = ("--from", str(both), "--budget", "9000 USD", "--account-id", ACCOUNT)
    done = run("report", *chosen)
    assert (done.returncode, done.stdout.count("no-public-buckets")) == (1, 1), done.stdout


@pytest.mark.parametrize("listed", [PROD, OTHER_ACCOUNT])
def test_a_preview_that_a_policy_pack_blocked_is_over_whatever_accounts_are_listed(
    tmp_path: Path, listed: str
) -> None:
    """Even if no account of the preview is."""
    accounts, snapshot = tmp_path / "accounts.txt", tmp_path / "snapshot.json"
    accounts.write_text(f"{listed}\n")
    snapshot.write_text(factories.snapshot(account_id=listed).to_json())
    files = ["--from", str(BLOCKED / "two-accounts.ndjson")]
    files += [] if listed == PROD else ["--snapshot", str(snapshot)]
    selected = (*files, *WITHIN, "--accounts", str(accounts))
    done = run("report", *selected)
    assert done.returncode == 1, done.stdout
    assert "no-public-buckets" in done.stdout
    notice = run("notify", *selected, "--dry-run")
    assert "no-public-buckets: " in notice.stdout
    assert "account None" not in done.stdout + notice.stdout


@pytest.mark.parametrize("name", ["secret-account", "secret-config"])
def test_a_blocked_preview_is_over_if_the_pack_spoke_of_an_invoice_of_a_secret_account(
    name: str,
) -> None:
    """The invoice is there twice: an output of a function has the figures of the resource."""
    found = only((BLOCKED / f"{name}.ndjson").read_text())
    assert [violation.policy for violation in found.violations] == ["no-public-buckets"]
    assert found.state.origin.startswith("The figures come from http://127.0.0.1:8791")


@pytest.mark.parametrize(
    ("fresh", "is_judged"),
    [
        ({}, False),
        ({"b_amount_due": 1}, False),
        ({"b_invoice_lines": [api_line(amount=1)]}, False),
        ({"b_amount_due": 1, "b_invoice_lines": [api_line(amount=1)]}, True),
        # It is in the resource's words already.
        ({"b_account_id": ACCOUNT}, None),
    ],
)
def test_what_a_blocked_preview_may_have_from_the_last_deployment_is_not_judged(
    fresh: dict[str, Any], is_judged: bool | None
) -> None:
    """Of a failed run, Pulumi keeps each output of the last one that it has no other value for."""
    blocked = case("02-policy-violation.events.jsonl")
    exported = Invoice.from_api(api_result(amount_due=100)).to_outputs()
    kept = {f"b_{name}": value for name, value in exported.items()}
    outputs_of(blocked, "old").update(kept)
    outputs_of(blocked).update(kept | fresh)
    found = input.read(lines(blocked).encode())
    assert [invoice.invoice.amount_due for invoice in found] == [18846, *([1] if is_judged else [])]
    told = [caveat.text for caveat in found[0].caveats if caveat.kind == "missing"]
    assert told == [
        "1 exported invoice may be of the last deployment, and was not judged: of a blocked "
        "preview, Pulumi does not say which of the stack's outputs are its own."
    ] * (is_judged is False)


def passed_on(outputs: dict[str, Any], **exported: Any) -> list[str]:
    """
    Return what is said of the time of figures, where another stack has exported *outputs*.

    The stack itself has *exported* in place of the same figures.
    """
    stream = referring(outputs, **exported)
    return [caveat.text for caveat in only(lines(stream)).caveats if caveat.kind == "time"]


def referring(outputs: dict[str, Any], **exported: Any) -> list[dict[str, Any]]:
    stream = events("preview-stream-functions.ndjson")
    outputs_of(stream).update(exported)
    number = next(n for n, event in enumerate(stream) if "resOutputsEvent" in event)
    reference = {
        "op": "read",
        "urn": "urn:pulumi:dev::ours::pulumi:pulumi:StackReference::plat/dev",
        "type": "pulumi:pulumi:StackReference",
        "new": {"outputs": {"name": "plat/dev", "outputs": outputs}},
    }
    stream.insert(number + 1, {"resOutputsEvent": {"metadata": reference}})
    return stream


@pytest.mark.parametrize(
    ("changes", "is_fresh"),
    [
        ({}, False),
        ({"amount_due": 2}, True),
        ({"status": None, "invoice_number": None}, False),
        ({"amount_due": "[secret]"}, False),
        ({"invoice_lines": []}, True),
    ],
)
def test_what_another_stack_exported_at_its_last_deployment_may_be_old(
    changes: dict[str, Any], is_fresh: bool
) -> None:
    """It may also be what this program has just read of the same account."""
    [figures] = invoices_in_outputs(outputs_of(events("preview-stream-functions.ndjson")))
    # Pulumi keeps nulls in what a program reads, and leaves them out of what it exports.
    of_lines = [{**line, "pricing": {"unit_amount": None}} for line in figures["invoice_lines"]]
    assert of_lines
    told = passed_on({"whole": figures | {"invoice_lines": of_lines} | changes})
    assert told == [
        "The exported figures are also those of another stack's last deployment, which this one "
        "reads by a StackReference. If it only passes them on, they are as old as that."
    ] * (not is_fresh)


def test_what_another_stack_exported_may_be_old_in_any_order_of_its_lines() -> None:
    [figures] = invoices_in_outputs(outputs_of(events("preview-stream-functions.ndjson")))
    first, second = figures["invoice_lines"]
    [told] = passed_on({"whole": figures | {"invoice_lines": [second, first]}})
    assert told.startswith("The exported figures are also those of another stack's last deployment")
    assert passed_on({"whole": figures | {"invoice_lines": [second, second]}}) == []


# Each line compared with each other one takes minutes.
@pytest.mark.timeout(60)
def test_ten_thousand_lines_that_a_program_sorted_are_compared_in_one_pass() -> None:
    [figures] = invoices_in_outputs(outputs_of(events("preview-stream-functions.ndjson")))
    [line, *_] = figures["invoice_lines"]
    many = [{**line, "description": f"openai/{number}"} for number in range(10_000)]
    reference = {"whole": figures | {"invoice_lines": many[::-1]}}
    assert len(passed_on(reference, invoice_lines=many)) == 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "different",
    [
        lambda n: {"account_id": f"{n:032x}", "amount_due": n},
        lambda n: {"account_id": f"{n:032x}", "amount_due": 1},
    ],
)
def test_thousands_of_invoices_are_compared_in_one_pass(different: Any) -> None:
    """Each compared with each other one takes minutes."""
    [figures] = invoices_in_outputs(outputs_of(events("preview-stream-functions.ndjson")))
    ours = [figures | different(n) for n in range(3000)]
    theirs = [each | {"period_start": 0} for each in ours]
    read = input.read(lines(referring({"theirs": theirs}, ours=ours)))
    known = [found for found in read if found.state.account_id]
    assert len(known) == 3000
    assert not [caveat for found in known for caveat in found.caveats if caveat.kind == "time"]


@pytest.mark.timeout(60)
def test_thousands_of_invoices_without_an_account_are_compared_in_one_pass() -> None:
    [figures] = invoices_in_outputs(outputs_of(events("preview-stream-functions.ndjson")))
    ours = [figures | {"account_id": None, "amount_due": -n} for n in range(1, 3000)]
    theirs = [figures | {"account_id": f"{n:032x}", "amount_due": n} for n in range(1, 3000)]
    with pytest.raises(NoInvoiceError, match="several invoices without an account ID"):
        input.read(lines(referring({"theirs": theirs}, ours=ours)))


@pytest.mark.timeout(60)
def test_many_invoices_are_compared_with_long_ones_that_show_no_amount_due() -> None:
    """They may be any, and their lines are counted once."""
    [figures] = invoices_in_outputs(outputs_of(events("preview-stream-functions.ndjson")))
    ours = [figures | {"account_id": f"{n:032x}"} for n in range(300)]
    theirs = [{"amount_due": None, "invoice_lines": [{"amount": 1}] * 10_000}] * 20
    found = input.read(lines(referring({"theirs": theirs}, ours=ours)))
    kinds = {caveat.kind for each in found for caveat in each.caveats}
    assert (len(found), "time" in kinds) == (300, False)


@pytest.mark.timeout(30)
def test_many_resources_are_compared_with_many_exports_in_one_pass() -> None:
    """The exports are no invoices, so that each may have to do with any of the resources."""
    stream = events("preview-stream-moved.ndjson")
    outputs_of(stream)["names"] = [{"amount_due": "x", "invoice_lines": ["a"]}] * 20_000
    copied: list[dict[str, Any]] = []
    for event in stream:
        written = json.dumps(event)
        is_step = "resourcePreEvent" in event or "resOutputsEvent" in event
        for number in range(600 if is_step and "::upcoming" in written else 1):
            copied.append(json.loads(written.replace("::upcoming", f"::upcoming{number}")))
        if "summaryEvent" in event:
            copied[-1]["summaryEvent"]["resourceChanges"]["update"] = 600
    for number, event in enumerate(copied):
        event["sequence"] = number
    assert len(input.read(lines(copied))) == 1


def test_a_broken_invoice_beside_a_resource_of_its_account_is_told() -> None:
    stream = events("preview-stream-moved.ndjson")
    broken = {"account_id": ACCOUNT, "amount_due": 1, "invoice_lines": [{"amount": "x"}]}
    outputs_of(stream)["whole"] = broken
    [found] = [each for each in input.read(lines(stream)) if each.state.account_id == ACCOUNT]
    assert [caveat.text for caveat in found.caveats if caveat.kind == "not judged"] == [
        "What looks like an invoice in the stack's output whole cannot be read, and was not judged."
    ]


@pytest.mark.timeout(60)
def test_more_invoices_alike_than_are_compared_may_be_passed_on() -> None:
    [figures] = invoices_in_outputs(outputs_of(events("preview-stream-functions.ndjson")))
    theirs = [figures | {"account_id": None, "period_start": n} for n in range(3000)]
    ours = [figures | {"account_id": f"{n:032x}"} for n in range(3000)]
    read = input.read(lines(referring({"theirs": theirs}, ours=ours)))
    assert {
        caveat.text[:46] for found in read for caveat in found.caveats if caveat.kind == "time"
    } == {"The stack reads secrets or many figures of ano"}


def test_a_secret_that_another_stack_exported_may_be_the_figures() -> None:
    assert passed_on({"database": "db.example", "invoice": "[secret]"}) == [
        "The stack reads secrets or many figures of another stack's last deployment by a "
        "StackReference. If the exported figures are among them, they are as old as that."
    ]
    assert passed_on({"database": "db.example"}) == []


def test_a_secret_account_is_compared_with_its_last_update_if_an_output_names_it() -> None:
    stream = events("secret/plug-moved-and-exported.ndjson")
    for event in stream:
        for step in (event[name]["metadata"] for name in event if name.startswith("res")):
            for of_resource in (step["old"], step["new"]) if "Invoice" in step["urn"] else ():
                for properties in (of_resource["inputs"], of_resource["outputs"]):
                    properties["accountId"] = "[secret]"
    found = only(lines(stream))
    assert found.state.account_id == ACCOUNT
    assert found.state.last_update is not None
    assert (found.state.last_update.amount_due, found.invoice.amount_due) == (10000, 99900)


@pytest.mark.parametrize("seldom", ["invoice_base_url", "invoice_lines_complete"])
def test_what_an_exported_resource_seldom_has_is_not_to_come(seldom: str) -> None:
    """Pulumi takes an output that a resource does not have for unknown at a preview."""
    stream = events("preview-stream-functions.ndjson")
    before = only(lines(stream))
    outputs_of(stream)[seldom] = UNKNOWN
    assert only(lines(stream)) == before


@pytest.mark.parametrize("seldom", ["base_url", "invoice_lines_complete"])
def test_null_is_what_an_exported_resource_does_not_have(seldom: str) -> None:
    """Such as after an update at which its lines have become complete again."""
    whole = Invoice.from_api(api_result()).to_outputs() | {"account_id": ACCOUNT}
    before = input.read(json.dumps({"whole": whole}))
    assert input.read(json.dumps({"whole": {**whole, seldom: None}})) == before
    [found] = input.read(json.dumps({"whole": {**whole, seldom: None, "invoice_lines": None}}))
    assert not found.invoice.invoice_lines_complete
    read = []
    for exported in (whole, {**whole, seldom: None}):
        stream = events("preview-stream-functions.ndjson")
        outputs_of(stream)["whole"] = exported
        read.append(input.read(lines(stream).encode()))
    assert read[0] == read[1]


FUNCTIONS = PREVIEWS / "functions"
NOT_JUDGED = "What is secret or not known yet in the stack's output"


def test_the_account_in_outputs_that_a_program_wrote_itself_may_be_in_upper_case() -> None:
    figures = Invoice.from_api(api_result()).to_figures() | {"account_id": OTHER_ACCOUNT}
    written = figures | {"account_id": ACCOUNT.upper()}
    [found] = input.read(json.dumps(written), account_id=ACCOUNT)
    assert found.state.account_id == ACCOUNT
    both = input.read(json.dumps({"a": figures, "b": written}))
    assert [each.state.account_id for each in both] == [OTHER_ACCOUNT, ACCOUNT]
    assert not any(each.caveats for each in both)
    stream = events("preview-stream-functions.ndjson")
    outputs_of(stream)["more"] = written
    assert ACCOUNT in [each.state.account_id for each in input.read(lines(stream).encode())]


def outputs_of(stream: list[dict[str, Any]], name: str = "new") -> dict[str, Any]:
    """Return the last outputs of the stack, or those of the last deployment, to change them."""
    steps = [event["resOutputsEvent"]["metadata"] for event in stream if "resOutputsEvent" in event]
    of_stack = [step for step in steps if step["type"].endswith(":Stack") and step["new"]]
    outputs: dict[str, Any] = of_stack[-1][name]["outputs"]
    return outputs


@pytest.mark.parametrize(
    "nested",
    [
        lambda invoice: {"b": invoice},
        lambda invoice: [invoice],
        lambda invoice: {"all": [{"b": invoice}]},
        lambda invoice: {f"b_{name}": value for name, value in invoice.items()},
        lambda invoice: {**invoice, "more": {**invoice, "account_id": OTHER_ACCOUNT}},
    ],
)
def test_an_invoice_anywhere_among_the_outputs_is_judged(nested: Any) -> None:
    figures = Invoice.from_api(api_result(amount_due=99900)).to_figures() | {"account_id": PROD}
    mine = Invoice.from_api(api_result()).to_figures() | {"account_id": ACCOUNT}
    found = input.read(json.dumps({"dev": mine, "prod": nested(figures)}))
    assert [each.state.account_id for each in found][:2] == [ACCOUNT, PROD]
    stream = events("functions/nested.ndjson")
    outputs_of(stream)["more"] = nested(figures)
    assert {each.state.account_id for each in input.read(lines(stream))} >= {ACCOUNT, PROD}


@pytest.mark.parametrize("due", [{}, [], None, "18846"])
def test_an_invoice_among_the_lines_of_a_torn_one_is_not_passed_over(due: Any) -> None:
    invoice = Invoice.from_api(api_result(amount_due=99900)).to_figures() | {"account_id": PROD}
    torn = {"amountDue": due, "invoiceLines": [invoice]}
    found = invoices_in_outputs({"torn": torn, "mine": Invoice.from_api(api_result()).to_figures()})
    assert [each.get("account_id") for each in found] == [None, PROD, None]


def test_an_invoice_in_a_mapping_of_outputs_is_judged() -> None:
    found = input.read((FUNCTIONS / "nested.ndjson").read_text())
    assert [each.invoice.amount_due for each in found] == [10000, 99900]


def test_an_output_that_is_secret_is_no_invoice_that_was_judged() -> None:
    [caveat] = only((FUNCTIONS / "secret-model.ndjson").read_text()).caveats
    assert caveat.text == f"{NOT_JUDGED} prod was not judged, if it is an invoice."
    figures = Invoice.from_api(api_result()).to_figures()
    [caveat] = only(json.dumps({**figures, "account_id": "[secret]", "prod": "[secret]"})).caveats
    assert caveat.text.startswith(f"{NOT_JUDGED} prod was not")


@pytest.mark.parametrize("secret", ["[secret]", MARK, {"b": [MARK]}])
def test_what_is_secret_beside_the_figures_of_an_exported_invoice_may_be_another(
    secret: Any,
) -> None:
    figures = Invoice.from_api(api_result()).to_figures() | {"account_id": ACCOUNT}
    [caveat] = only(json.dumps({"a": {**figures, "others": secret}})).caveats
    assert caveat.text.startswith(f"{NOT_JUDGED} a was not judged")
    of_resource = {"invoice_id": secret, "base_url": None, "last_update": secret, "id": secret}
    assert only(json.dumps({"a": {**figures, **of_resource}})).caveats == ()


@pytest.mark.parametrize(
    ("hidden", "is_secret"),
    [(UNKNOWN, False), ({"b": [UNKNOWN]}, False), ({"b": "[secret]"}, True), (MARK, True)],
)
def test_an_output_that_is_secret_or_not_known_yet_may_be_an_invoice(
    hidden: Any, is_secret: bool
) -> None:
    stream = events("functions/secret-model.ndjson")
    outputs_of(stream)["prod"] = hidden
    [caveat] = only(lines(stream)).caveats
    assert caveat.text.startswith(f"{NOT_JUDGED} prod was not judged")
    # What is computed anew is not known at any preview, but what is secret was so before.
    outputs_of(stream, "old")["prod"] = "arn:aws:s3:::logs"
    assert only(lines(stream)).caveats == ((caveat,) if is_secret else ())


def test_an_output_that_only_refers_to_an_invoice_is_none_that_was_judged() -> None:
    figures = Invoice.from_api(api_result()).to_figures() | {"account_id": ACCOUNT}
    outputs = {"dev": figures, "prod": [reference_to(PROD)]}
    [caveat] = only(json.dumps(outputs)).caveats
    assert (caveat.kind, caveat.text) == (
        "not judged",
        "In the stack's output prod there is only a reference to an InvoicePreview, which was not "
        "judged: export what getInvoicePreview returns, or report on a preview.",
    )
    assert refusal(json.dumps({"prod": reference_to(PROD)})).endswith(caveat.text[:-1])
    of_child = {"prod": reference_to(PROD, type="my:Budget$cf-invoice:index:InvoicePreview")}
    assert only(json.dumps({"dev": figures, **of_child})).caveats == (caveat,)


def test_a_reference_to_what_was_judged_or_to_something_else_is_no_invoice() -> None:
    figures = Invoice.from_api(api_result()).to_figures() | {"account_id": ACCOUNT}
    for reference in (reference_to(ACCOUNT), reference_to(PROD, type="aws:s3:Bucket")):
        assert only(json.dumps({"dev": figures, "other": reference})).caveats == ()


def test_a_reference_to_a_resource_of_the_preview_is_none_that_was_not_judged() -> None:
    stream = events()
    [urn] = only(lines(stream)).urns
    outputs_of(stream)["whole"] = {**reference_to(""), "urn": urn}
    assert only(lines(stream)).caveats == ()
    outputs_of(stream)["whole"] = reference_to(PROD)
    [caveat] = only(lines(stream)).caveats
    assert "the stack's output whole there is only a reference" in caveat.text


def reference_to(account: str, type: str = "cf-invoice:index:InvoicePreview") -> dict[str, str]:
    """Return what Pulumi prints of an exported resource."""
    return {
        "4dabf18193072939515e22adb298388d": "5cf8f73096256a8f31e491e813e4eb8e",
        "id": account,
        "packageVersion": "",
        "urn": f"urn:pulumi:dev::bills::{type}::upcoming",
    }


def test_an_exported_invoice_that_is_not_known_yet_is_reported() -> None:
    stream = events("functions/nested.ndjson")
    prod = next(value for value in outputs_of(stream).values() if "prod" in value)["prod"]
    prod |= {"amountDue": UNKNOWN, "invoiceLines": UNKNOWN}
    [caveat] = only(lines(stream)).caveats
    text = "The figures of 1 exported invoice are not known yet, and were not judged."
    assert caveat.text == text
    outputs_of(stream).clear()
    outputs_of(stream)["prod"] = prod
    assert refusal(lines(stream)).endswith(f"or export_invoice. {text[:-1]}")


def test_some_exported_figures_of_a_resource_do_not_hide_all_of_them() -> None:
    text = (FUNCTIONS / "some-figures-of-a-resource.ndjson").read_text()
    assert only(text).invoice.amount_due == 10000
    stream = [json.loads(line) for line in text.splitlines()]
    outputs_of(stream)["amount_due"] = 1
    outputs_of(stream)["invoice_lines"] = []
    message = refusal(lines(stream))
    start = (
        "the invoice in the stack's output invoice_lines is broken: amount_paid: missing. Export "
    )
    assert message.startswith(start)
    del outputs_of(stream)["amount_due"]
    assert only(lines(stream)).invoice.amount_due == 10000


OTHER = Invoice.from_api(api_result(amount_due=99900)).to_figures()


@pytest.mark.parametrize(
    "outputs",
    [
        {"amount_due": "$100.00", "invoice_lines": ["openai/gpt-5.5"]},
        {"ai": {"amount_due": "$100.00", "invoice_lines": {"openai/gpt-5.5": "$100.00"}}},
        {"ai_amount_due": 100.5, "ai_invoice_lines": 1},
        {"ai": {"amountDue": "$100.00", "invoiceLines": []}},
    ],
)
def test_outputs_that_only_have_names_of_an_invoice_do_not_hide_a_resources(outputs: Any) -> None:
    stream = events("functions/some-figures-of-a-resource.ndjson")
    outputs_of(stream).clear()
    outputs_of(stream).update(outputs)
    found = only(lines(stream))
    assert (found.invoice.amount_due, found.caveats) == (10000, ())


def test_an_output_that_may_be_an_invoice_in_words_is_reported() -> None:
    stream = events("functions/some-figures-of-a-resource.ndjson")
    written = {"ai_amount_due": OTHER["amount_due_text"], "ai_invoice_lines": [api_line()]}
    outputs_of(stream).update(written)
    [caveat] = only(lines(stream)).caveats
    assert (caveat.kind, caveat.text) == (
        "not judged",
        "What is due is no number in the stack's output ai_invoice_lines, which was not judged, if "
        "it is an invoice.",
    )
    for own in ("$100.00", "100.00"):
        outputs_of(stream)["ai_amount_due"] = own
        assert only(lines(stream)).caveats == ()


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("ai", {"ai": {**OTHER, "amount_due": "$999.00"}}),
        ("ai", {"ai": {"account_id": OTHER_ACCOUNT, "amount_due": "$999.00", "invoice_lines": []}}),
        ("ai", {"ai": {"amount_due": "$999.00", "invoice_lines": [{"prod": OTHER}]}}),
        ("ai_invoice_lines", {"ai_amount_due": 99900, "ai_invoice_lines": [{"net": 99900}]}),
        # What is due of another account may be the same.
        ("ai", {"ai": {"account_id": OTHER_ACCOUNT, "amount_due": 10000, "invoice_lines": []}}),
        ("ai_invoice_lines", {"ai_amount_due": 99900.19, "ai_invoice_lines": [{"net": 1}]}),
    ],
)
def test_an_output_that_may_be_a_broken_invoice_is_named(name: str, outputs: Any) -> None:
    stream = events("functions/some-figures-of-a-resource.ndjson")
    outputs_of(stream).update(outputs)
    message = refusal(lines(stream))
    assert message.startswith(f"the invoice in the stack's output {name} is broken: ")
    assert "rename the outputs amount_due and invoice_lines" in message


def test_an_exported_invoice_has_no_baseline_where_the_last_deployment_had_only_its_names() -> None:
    stream = events("functions/secret-model.ndjson")
    for name, outputs in (("new", OTHER), ("old", {"amount_due": "$1.00", "invoice_lines": []})):
        outputs_of(stream, name).clear()
        outputs_of(stream, name).update(outputs)
    assert figures(only(lines(stream))) == (99900, None)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("A", "B", {"B": None}),
        ("ABC", "BCD", {"B": 2, "C": 3, "D": None}),
        ("AB", "BA", {"B": 2, "A": 1}),
        ("AB", "A", {"A": 1}),
        ("-", "A", {"A": 1}),
        ("A", "-", {"-": 1}),
        ("AB", "-A", {"-": None, "A": 1}),
        ("AB", "-", {"-": None}),
    ],
)
def test_an_exported_invoice_is_compared_with_one_of_its_account(
    before: str, now: str, expected: dict[str, int | None]
) -> None:
    """A program can retire an account and add another. A dash shows no account."""
    stream = events("preview-stream-functions.ndjson")
    [figures] = invoices_in_outputs(outputs_of(stream))
    for name, accounts in (("old", before), ("new", now)):
        outputs = outputs_of(stream, name)
        outputs.clear()
        for number, account in enumerate(accounts):
            whose = None if account == "-" else account.lower() * 32
            changed = {
                "account_id": whose,
                "amount_due": number + 1 if name == "old" else number + 9,
            }
            outputs[f"invoice{number}"] = figures | changed
    found = input.read(lines(stream))
    compared = {(each.state.account_id or "-")[0].upper(): each.baseline for each in found}
    assert expected == {
        account: baseline and baseline.amount_due for account, baseline in compared.items()
    }


def test_a_secret_address_is_reported_as_one_that_is_not_cloudflares() -> None:
    found = only((PREVIEWS / "secret" / "base-url.ndjson").read_text())
    secret = "The figures come from an address that is secret, not from Cloudflare."
    assert found.state.origin == secret
    functions = (FUNCTIONS / "configured-address.ndjson").read_text()
    address = "http://127.0.0.1:8791/client/v4"
    assert only(functions).state.origin == secret.replace("an address that is secret", address)
    assert only(functions.replace(f'"{address}"', '"[secret]"')).state.origin == secret
    for of_cloudflare in ("https://api.cloudflare.com/client/v4", ""):
        assert only(functions.replace(address, of_cloudflare)).state.origin == ""


def origins(text: str) -> str:
    """Return where the figures in *text* come from, as notices tell it."""
    report = make_report(input.read(text), at=factories.NOW)
    return notice_of(report, KINDS).origin


def test_a_last_deployment_with_figures_from_elsewhere_names_their_address() -> None:
    before, now = "http://127.0.0.1:1", "http://127.0.0.1:2"
    moved = digest()
    [step] = [step for step in moved["steps"] if step["oldState"]["type"] in TYPES]
    step["oldState"]["inputs"]["base_url"] = before
    named = f"The baseline comes from {before}, not from Cloudflare."
    assert origins(json.dumps(moved)) == named
    moved["steps"].append(copy.deepcopy(step))
    assert origins(json.dumps(moved)) == named
    for step in moved["steps"][1:]:
        step["newState"]["inputs"]["base_url"] = before
    assert origins(json.dumps(moved)) == f"The figures come from {before}, not from Cloudflare."
    for step in moved["steps"][1:]:
        step["newState"]["inputs"]["base_url"] = now
    both = origins(json.dumps(moved))
    assert named in both
    assert f"The figures come from {now}, not from Cloudflare." in both


def test_an_address_that_only_a_provider_has_is_reported_for_what_functions_have_read() -> None:
    """Outputs do not say through which provider they came."""
    text = (FUNCTIONS / "provider-address.ndjson").read_text()
    address = "http://127.0.0.1:8791/client/v4"
    told = (
        f"The figures may come from {address}, not from Cloudflare: the provider elsewhere reads "
        "there."
    )
    assert origins(text) == told
    hidden = '{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270"}'
    secret = text.replace(f'"baseUrl":"{address}"', f'"baseUrl":{hidden}')
    assert origins(secret) == told.replace(address, "an address that is secret")
    configured = text.replace('"config":{}', f'"config":{{"cf-invoice:baseUrl":"{address}"}}')
    assert origins(configured) == f"The figures come from {address}, not from Cloudflare."
    for instead in ("https://api.cloudflare.com/client/v4", UNKNOWN):
        assert origins(text.replace(address, instead)) == ""


def test_an_exported_invoice_of_a_resource_comes_from_where_the_resource_says() -> None:
    stream = events("preview-stream-moved.ndjson")
    figures = next(
        event["resOutputsEvent"]["metadata"]["new"]["inputs"]
        for event in stream
        if event.get("resOutputsEvent", {}).get("metadata", {}).get("type") in TYPES
    )
    outputs_of(stream)["invoice"] = {name: figures[name] for name in ("account_id", *FIELDS)}
    [config] = [event["preludeEvent"]["config"] for event in stream if "preludeEvent" in event]
    config["cf-invoice:baseUrl"] = "http://127.0.0.1:1"
    assert origins(lines(stream)) == ""
    outputs_of(stream)["invoice"]["amount_due"] += 1
    assert (
        origins(lines(stream)) == "The figures come from http://127.0.0.1:1, not from Cloudflare."
    )


def test_what_a_resource_of_the_plugin_has_read_is_judged_by_the_engines_events() -> None:
    found = input.read((PREVIEWS / "read" / "plug-get.ndjson").read_text())
    assert {each.invoice.amount_due for each in found} == {10000, 99900}


@pytest.mark.parametrize("name", ["plug-get", "plug-get-sames"])
def test_a_digest_without_the_figures_that_a_resource_has_read_is_refused(name: str) -> None:
    """It has another resource's, and nothing more of this one is ever in a digest."""
    text = (PREVIEWS / "read" / f"{name}.json").read_text()
    message = refusal(text)
    assert message.startswith("this preview does not have the figures of c, which Pulumi has read:")
    assert "PULUMI_ENABLE_STREAMING_JSON_PREVIEW" in message
    unknown = json.loads(text)
    step = next(step for step in unknown["steps"] if step["op"] == "read")
    step["newState"]["id"] = UNKNOWN
    for op in ("import", "import-replacement"):
        assert refusal(json.dumps(unknown).replace('"read"', f'"{op}"')) == message
    [caveat] = only(json.dumps(unknown)).caveats
    assert "1 InvoicePreview resource are not known yet" in caveat.text


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_what_a_program_reads_only_at_the_update_is_not_known_yet_in_either_form(form: str) -> None:
    """`InvoicePreview.get` waits for what it depends on, though its account is known."""
    text = (PREVIEWS / "read" / f"dyn-get-later.{form}").read_text()
    found = only(text)
    assert figures(found) == (18846, None)
    assert [caveat.text for caveat in found.caveats] == [
        "The figures of 1 InvoicePreview resource are not known yet, and were not judged."
    ]
    neither = re.sub('"amount_due": ?18846', f'"amount_due": "{UNKNOWN}"', text)
    assert refusal(neither).startswith("this preview does not know the invoice yet: its account")


def test_a_digest_of_a_preview_that_failed_without_a_word_of_it_says_what_was_written() -> None:
    written = "no invoice in it, and the preview wrote: "
    failed = PREVIEWS / "failed"
    assert refusal((failed / "pack.json").read_text()) == f"{written}error: bad rules"
    message = refusal((failed / "program.json").read_text())
    assert message.startswith(f"{written}Error: error resolving type of resource z: internal")
    assert message.endswith("on Pulumi.yaml line 8: 8: type: acme:index:Bucket")


def test_events_of_a_preview_that_failed_without_an_error_say_what_was_written() -> None:
    message = refusal(sample("failed/program.ndjson"))
    assert message.startswith("the preview failed: Error: amountDueText does not exist on a")
    assert "on Pulumi.yaml line 8: 8: due: ${a.amountDueText}" in message


def test_a_resource_that_was_renamed_by_an_alias_is_fresh_after_a_refresh() -> None:
    """The refresh speaks of its old name, and the preview of the new one."""
    text = (PREVIEWS / "alias" / "preview-refresh.ndjson").read_text()
    assert [found.invoice.amount_due for found in input.read(text)] == [10000, 99900]
    renamed = digest("preview-moved-refresh-sames.json")
    step = renamed["steps"][-1]
    assert step["op"] == "same"
    step["urn"] += "-2"
    step["newState"]["urn"] += "-2"
    assert figures(only(json.dumps(renamed))) == (99900, 18846)
