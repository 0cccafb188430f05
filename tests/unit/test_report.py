import dataclasses
import html as html_entities
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, strategies as st
from markdown_it import MarkdownIt

from pulumi_cf_invoice import Invoice
from pulumi_cf_invoice.billing.cleaning import (
    LONGEST_VALUE,
    cut_in_the_middle,
    inert_value,
    one_line,
    shown,
)
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.billing.money import Money
from pulumi_cf_invoice.billing.snapshot import take
from pulumi_cf_invoice.report import html, input, json_report, markdown, text
from pulumi_cf_invoice.report.found import Found, NoInvoiceError, one_of_each_account
from pulumi_cf_invoice.report.judging import RuleResult, judge
from pulumi_cf_invoice.report.outputs import invoices_in_outputs
from pulumi_cf_invoice.report.report import Report, make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.rules.on_invoices import INCOMPLETE
from pulumi_cf_invoice.rules.rule import Finding
from pulumi_cf_invoice.sandbox import SCENARIOS, Sandbox
from pulumi_cf_invoice.state import InvoiceState, LastUpdate
from tests.factories import (
    ACCOUNT,
    NOW,
    OTHER_ACCOUNT,
    START,
    Result,
    camel_cased,
    settings_for,
    snapshot,
)
from tests.golden import Golden
from tests.unit.reports import plain

HERE = Path(__file__).parent
PREVIEW_ACCOUNT = "0123456789abcdef0123456789ab0001"
"""The account in the previews under `data`."""
CREATE = (HERE / "data" / "preview-create.json").read_text()
UPDATE = (HERE / "data" / "preview-update.json").read_text()
FORMATS = {
    "txt": text.render,
    "md": markdown.render,
    "html": html.render,
    "json": json_report.render,
}


def result(scenario: str = "usual") -> dict[str, Any]:
    return SCENARIOS[scenario].at(NOW).result("invoice-preview")


def invoice(scenario: str = "usual", **changes: Any) -> Invoice:
    return Invoice.from_api({**result(scenario), **changes})


def named(*lines: tuple[str | None, int], **changes: Any) -> Invoice:
    """Return an invoice with *lines*, each given as a description and an amount."""
    template = result()["invoice_lines"][0]
    made = [{**template, "description": name, "amount": amount} for name, amount in lines]
    due = {"amount_due": sum(amount for _, amount in lines)}
    return invoice(invoice_lines=made, **{**due, **changes})


def report(
    invoice: Invoice,
    rules: dict[str, Any] | None = None,
    *,
    at: datetime = NOW,
    base_url: str | None = None,
    **more: Any,
) -> Report:
    state = InvoiceState(PREVIEW_ACCOUNT, invoice, base_url=base_url)
    return reported(Found(state, **more), rules=rules, at=at)


def reported(*found: Found, rules: dict[str, Any] | None = None, at: datetime = NOW) -> Report:
    declared = parse_rules({"rules": rules}) if rules else []
    results = judge(declared, found, at, AccountReader({}))
    return make_report(found, at=at, rules=results)


def only(text: str | bytes, **choice: Any) -> Found:
    """Return the one invoice in *text*."""
    [found] = input.read(text, **choice)
    return found


PART = Invoice.from_api(result(), Answered(complete=False))
BUDGETS = {
    "max-amount-due": {"limit": "150 USD"},
    "near-budget": {
        "rule": "max-amount-due",
        "limit": "100 USD",
        "enforcementLevel": "advisory",
    },
    "max-projected-amount-due": {"limit": "450 USD"},
    "max-line-amount": {
        "limits": {"openai/*": "1 USD", "mistral/*": "1 USD"},
        "waiver": {
            "until": "2026-09-20",
            "by": "the CFO",
            "reason": "launch | week",
            "limits": {"openai/*": "170 USD"},
        },
    },
    "max-increase": {"limit": "20%"},
    "allowed-statuses": {"statuses": ["draft"], "enforcementLevel": "disabled"},
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_says_what_its_golden_file_says(suffix: str, golden: Golden) -> None:
    before = named(("anthropic/claude-haiku", 1367), ("gone/model", 250), amount_due=1700)
    rendered = FORMATS[suffix](report(invoice(), rules=BUDGETS, baseline=before))
    golden(f"report.{suffix}", rendered)


def test_the_json_keeps_to_its_published_schema() -> None:
    schema = Path(json_report.__file__).with_name("report.schema.json").read_text()
    assert schema == json_report.schema(), "run `make schema`"
    validator = jsonschema.Draft202012Validator(json.loads(schema))
    # Ten thousand lines are of one form.
    for scenario in SCENARIOS.keys() - {"ten-thousand-lines"}:
        for baseline in (None, invoice(), invoice("yen")):
            made = report(invoice(scenario), rules=BUDGETS, baseline=baseline)
            validator.validate(json.loads(json_report.render(made)))


# Reading input.


def test_a_first_preview_has_the_invoice_and_no_baseline() -> None:
    found = only(CREATE)
    assert (found.state.account_id, found.state.invoice.amount_due) == (PREVIEW_ACCOUNT, 18846)
    assert found.baseline is None


def test_a_preview_brings_the_last_deployment_as_its_baseline() -> None:
    found = only(UPDATE)
    assert found.baseline is not None
    assert (found.baseline.amount_due, found.state.invoice.amount_due) == (18846, 20001)


def test_a_refresh_does_not_move_the_baseline() -> None:
    preview = json.loads(UPDATE)
    preview["steps"][1]["oldState"]["outputs"]["amount_due"] = 20001
    baseline = only(json.dumps(preview)).baseline
    assert baseline is not None
    assert baseline.amount_due == 18846


def test_the_plugin_resource_is_read_like_the_dynamic_one() -> None:
    preview = json.loads(UPDATE)
    for state in ("oldState", "newState"):
        properties = preview["steps"][1][state]
        properties["type"] = "cf-invoice:index:InvoicePreview"
        properties["inputs"] = camel_cased(properties["inputs"])
    assert only(json.dumps(preview)) == only(UPDATE)


def test_stack_outputs_are_read_back_as_they_were_exported() -> None:
    outputs = {"bucket": "x", **invoice().to_figures(), "account_id": PREVIEW_ACCOUNT}
    found = only(json.dumps(outputs))
    assert (found.state.invoice, found.state.account_id) == (invoice(), PREVIEW_ACCOUNT)


def test_an_exported_model_is_read_too() -> None:
    outputs = {"invoice": invoice().to_outputs()}
    assert only(json.dumps(outputs)).state.invoice == invoice()


@pytest.mark.parametrize("name", ["id", "result", "success"])
@pytest.mark.parametrize("value", ["my-bucket-1234", {"id": "x"}, None, True])
@pytest.mark.parametrize("prefix", ["", "dev_"])
def test_an_output_with_a_name_of_the_apis_json_hides_no_invoice(
    name: str, value: Any, prefix: str
) -> None:
    dev = invoice().to_figures() | {"account_id": PREVIEW_ACCOUNT, "invoice_lines_complete": False}
    prod = invoice().to_figures() | {"account_id": OTHER_ACCOUNT, "amount_due": 99900}
    outputs = {f"{prefix}{figure}": of_dev for figure, of_dev in dev.items()}
    outputs |= {f"prod_{figure}": of_prod for figure, of_prod in prod.items()}
    found = input.read(json.dumps({**outputs, name: value}))
    assert [each.state.account_id for each in found] == [PREVIEW_ACCOUNT, OTHER_ACCOUNT]
    assert [each.invoice.invoice_lines_complete for each in found] == [False, True]


@pytest.mark.parametrize("name", ["result", "success", "id"])
def test_an_exported_model_with_a_name_of_the_apis_json_hides_no_other(name: str) -> None:
    mine = invoice().to_figures() | {"account_id": PREVIEW_ACCOUNT}
    both = {**mine, name: invoice("yen").to_figures() | {"account_id": OTHER_ACCOUNT}}
    found = input.read(json.dumps(both))
    assert {each.state.account_id for each in found} == {PREVIEW_ACCOUNT, OTHER_ACCOUNT}
    assert only(json.dumps({name: mine})).state.account_id == PREVIEW_ACCOUNT


def test_the_state_of_a_stack_is_refused() -> None:
    of_resource = {"type": "cf-invoice:index:InvoicePreview", "outputs": invoice().to_figures()}
    state = {"version": 3, "deployment": {"manifest": {}, "resources": [of_resource]}}
    # Of `pulumi preview --save-plan`.
    of_plan = {"steps": ["same"], "state": {"outputs": invoice().to_figures()}}
    plan = {"manifest": {}, "resourcePlans": {"urn:pulumi:dev::a::b:c:D::e": of_plan}}
    for form in (state, {"checkpoint": {"latest": state["deployment"]}}, plan, {"plan": plan}):
        with pytest.raises(NoInvoiceError, match="this is a stack's state, an update plan, or"):
            input.read(json.dumps(form))


def test_a_resource_among_the_outputs_is_no_state() -> None:
    """Pulumi's Python SDK exports all public attributes of a resource, such as these."""
    urn = "urn:pulumi:dev::ours::pulumi:pulumi:StackReference::base"
    reference = {"name": "base/dev", "outputs": {"vpc": "vpc-1"}, "urn": urn}
    figures = {**invoice().to_figures(), "account_id": PREVIEW_ACCOUNT}
    assert only(json.dumps({**figures, "base": reference})).state.invoice == invoice()


@pytest.mark.timeout(60)
def test_what_stands_where_a_urn_belongs_is_not_put_into_words() -> None:
    """At each level, that would take as long as all below it are large and deep."""
    nested: Any = "x" * 8 * 2**20
    for _ in range(200):
        nested = {"urn": nested}
    figures = {**invoice().to_figures(), "account_id": PREVIEW_ACCOUNT}
    assert only(json.dumps({**figures, "nested": nested})).state.invoice == invoice()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "name", ["within", "account_id", "base_url", "text", "net", "amount_due", "currency", "status"]
)
@pytest.mark.parametrize("prefix", ["", "mine_"])
def test_what_is_nested_in_invoices_is_read_once(name: str, prefix: str) -> None:
    figures = {**invoice().to_figures(), "account_id": PREVIEW_ACCOUNT}
    outputs = {f"{prefix}{field}": value for field, value in figures.items()}
    nested: Any = list(range(150_000))
    for _ in range(200):
        nested = {**outputs, f"{prefix}{name}": nested}
    assert len(invoices_in_outputs({"all": nested})) == 200


@pytest.mark.parametrize("name", ["amount_due", "invoice_lines", "currency", "account_id", "text"])
@pytest.mark.parametrize("prefix", ["", "mine_"])
@pytest.mark.parametrize("within", [dict, lambda each: {"prod": each}, lambda each: [each]])
def test_an_invoice_in_the_place_of_a_figure_is_found(name: str, prefix: str, within: Any) -> None:
    theirs = {**invoice("yen").to_figures(), "account_id": OTHER_ACCOUNT}
    mine = {**invoice().to_figures(), "account_id": PREVIEW_ACCOUNT, name: within(theirs)}
    outputs = {f"{prefix}{field}": value for field, value in mine.items()}
    is_a_line = name == "invoice_lines" and isinstance(mine[name], list)
    for of_stack in (outputs, {"all": outputs}):
        accounts = [figures.get("account_id") for figures in invoices_in_outputs(of_stack)]
        assert (OTHER_ACCOUNT in accounts) is not is_a_line


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/client/v4", "[secret]"])
def test_all_that_another_stack_exports_says_where_it_comes_from(address: str) -> None:
    """A program can pass on the outputs of a StackReference as one mapping."""
    theirs = {**invoice().to_figures(), "account_id": PREVIEW_ACCOUNT, "invoice_base_url": address}
    [found] = input.read(json.dumps({"billing": theirs}))
    named = "an address that is secret" if address == "[secret]" else address
    assert found.state.origin == f"The figures come from {named}, not from Cloudflare."
    assert not [caveat for caveat in found.caveats if caveat.kind == "not judged"]


def test_a_baseline_from_elsewhere_is_not_called_some_of_the_figures() -> None:
    address = "http://127.0.0.1:1/client/v4"
    compared = dataclasses.replace(A, baseline=B.invoice, baseline_url=address)
    named = f"The baseline comes from {address}, not from Cloudflare."
    assert reported(compared, B).origin == named
    elsewhere = dataclasses.replace(B, state=dataclasses.replace(B.state, base_url=address))
    some = f"Some of the figures come from {address}, not from Cloudflare."
    assert reported(A, elsewhere).origin == some
    assert reported(elsewhere).origin == some.replace("Some of the", "The")


def test_a_prefix_chooses_between_two_invoices() -> None:
    mine, two = invoice(), invoice("yen")
    outputs = {f"a_{name}": value for name, value in mine.to_figures().items()}
    outputs |= {f"b_{name}": value for name, value in two.to_figures().items()}
    assert only(json.dumps(outputs), prefix="b").state.invoice == two
    with pytest.raises(NoInvoiceError, match="several invoices"):
        input.read(json.dumps(outputs))


@pytest.mark.parametrize("wrap", [lambda r: {"success": True, "result": r}, lambda r: r])
def test_the_answer_of_the_api_is_read_with_and_without_its_envelope(wrap: Any) -> None:
    assert only(json.dumps(wrap(result()))).state.invoice == invoice()


def test_an_account_is_chosen_by_its_id() -> None:
    preview = json.loads(UPDATE)
    other = json.loads(json.dumps(preview["steps"][1]))
    other["urn"] += "-2"
    other["newState"]["inputs"] |= {"account_id": OTHER_ACCOUNT, "amount_due": 1}
    preview["steps"].append(other)
    both = json.dumps(preview)
    assert only(both, account_id=OTHER_ACCOUNT.upper()).state.invoice.amount_due == 1
    assert only(both, account_id=OTHER_ACCOUNT).baseline is None
    found = input.read(both)
    assert [each.state.account_id for each in found] == [PREVIEW_ACCOUNT, OTHER_ACCOUNT]


def test_one_page_of_several_is_a_part() -> None:
    answer = {"success": True, "result": result(), "result_info": {"has_more": True}}
    assert not only(json.dumps(answer)).state.invoice.invoice_lines_complete


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[" * 200_000, "this is not JSON"),
        ('{"steps": [1, null]}', "no invoice in it"),
        (
            '{"success": false, "errors": ["Bad\\u001b[31m\\nrequest"]}',
            "an error: Bad [31m request",
        ),
        (
            '{"success": false, "error": [{"code": 1, "error_chain": [{"message": "why"}]}]}',
            "an error: why; code 1: no message",
        ),
        ('{"success": false}', "an error: without a reason"),
        (
            json.dumps(result()).replace("18846", "18846.00000000000000000001", 1),
            "amount_due: not an amount that can be carried exactly",
        ),
        ("", "it is empty"),
        ("[]", "not an object"),
        ("{}", "no invoice in it"),
        ('{"steps": []}', "no invoice in it"),
        (
            '{"success": false, "errors": [{"code": 10000, "message": "no"}]}',
            "this answer of the API is an error: code 10000: no",
        ),
        ('{"success": true, "result": {}}', "this is not an invoice: amount_due: missing"),
        (
            json.dumps({**invoice().to_figures(), "amount_due": "[secret]"}),
            "--show-secrets",
        ),
        (
            '{"steps": [], "diagnostics": [{"severity": "error", "message": "it\\nbroke"}]}',
            "the preview failed: it broke",
        ),
        (
            '{"steps": [{"newState": {"type": "cf-invoice:index:InvoicePreview", "inputs": {}}}], '
            '"changeSummary": {"same": 1}}',
            "a step has no URN: was the line torn",
        ),
    ],
)
def test_what_is_no_invoice_is_refused_in_one_line(content: str, expected: str) -> None:
    with pytest.raises(NoInvoiceError) as caught:
        input.read(content)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


# Budgets.


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [("188.46 USD", "within"), ("188.45 USD", "over"), ("1000 EUR", "unknown")],
)
def test_a_budget_is_kept_up_to_the_last_cent_and_in_its_own_currency(
    limit: str, verdict: str
) -> None:
    assert report(invoice(), {"max-amount-due": {"limit": limit}}).verdict == verdict


def test_without_a_rule_there_is_no_verdict() -> None:
    assert report(invoice()).verdict == "none"


def test_a_projection_is_judged_by_its_own_budget() -> None:
    made = report(invoice(), {"max-projected-amount-due": {"limit": "200 USD"}})
    assert made.verdict == "over"
    assert (
        "straight-line projection is $389.92 for September, over the limit of $200.00 by $189.92"
        in made.headline
    )


def test_a_headline_has_a_forecast_that_is_over() -> None:
    shares = {"accountIds": [ACCOUNT], "limit": "250 USD"}
    with Sandbox(now=NOW) as sandbox:
        known = take(settings_for(sandbox.base_url), NOW)
        declared = {"rules": {"max-forecast": {**shares, "baseUrl": sandbox.base_url}}}
        rules = judge(parse_rules(declared), [], NOW, AccountReader({}, snapshots=[known]))
    made = make_report([Found.of_snapshot(known)], at=NOW, rules=rules)
    assert made.headline.startswith("Over budget: the forecast is $")
    assert made.headline.endswith("; $188.46 so far in September (day 15 of 30).")
    assert ", over the limit of $250.00 by $" in made.headline


def test_in_the_first_hour_the_amount_due_is_judged_instead_of_a_projection() -> None:
    early = datetime(2026, 9, 1, 0, 59, tzinfo=UTC)
    made = report(invoice(), {"max-projected-amount-due": {"limit": "1000 USD"}}, at=early)
    assert made.verdict == "within"
    assert "too early for a projection" in " ".join(text.render(made).split())
    over = report(invoice(), {"max-projected-amount-due": {"limit": "1 USD"}}, at=early)
    assert over.verdict == "over"


SUSPENDED = {"until": "2026-09-20", "by": "x", "reason": "y"}
OVER = {"limit": "150 USD"}
ADVISORY = {"rule": "max-amount-due", "limit": "150 USD", "enforcementLevel": "advisory"}

IN_EUROS = {**ADVISORY, "limit": "1 EUR"}


@pytest.mark.parametrize(
    ("rules", "verdict", "known"),
    [
        ({"near": ADVISORY}, "advisory", True),
        ({"near": ADVISORY, "max-amount-due": {"limit": "200 USD"}}, "advisory", True),
        ({"near": ADVISORY, "max-amount-due": OVER}, "over", True),
        ({"max-amount-due": OVER, "max-line-amount": {"defaultLimit": "1 EUR"}}, "over", False),
        ({"near": IN_EUROS}, "unknown", False),
        ({"near": IN_EUROS, "max-amount-due": {"limit": "200 USD"}}, "advisory", True),
        ({"near": IN_EUROS, "require-invoice-preview": {}}, "unknown", False),
        ({"near": ADVISORY, "require-invoice-preview": {}}, "advisory", True),
        ({"max-amount-due": {"limit": "1 EUR"}}, "unknown", False),
        ({"max-increase": {"limit": "1%"}}, "unknown", False),
        ({"max-line-amount": {"limits": {"none/*": "1 USD"}}}, "unknown", False),
        ({"max-amount-due": {**OVER, "enforcementLevel": "disabled"}}, "none", True),
        ({"require-invoice-preview": {}}, "unknown", False),
        ({"require-invoice-preview": {}, "max-amount-due": {"limit": "200 USD"}}, "within", True),
        ({"require-gateway-spend-limit": {"limit": "1 USD"}}, "unknown", False),
        (
            {"allowed-statuses": {"statuses": ["open"], "waiver": SUSPENDED}},
            "none",
            True,
        ),
    ],
)
def test_the_verdict_is_the_worst_of_the_mandatory_rules(
    rules: dict[str, Any], verdict: str, known: bool
) -> None:
    made = report(invoice(), rules)
    assert (made.verdict, made.is_known) == (verdict, known)


def test_the_verdict_speaks_of_a_budget_only_where_one_is_exceeded() -> None:
    rule = {"statuses": ["open"]}
    statuses = {"allowed-statuses": rule}
    assert report(invoice(), statuses).headline == (
        "The upcoming invoice has the status draft, which is not one of those allowed: open; "
        "$188.46 so far in September (day 15 of 30); $390 by a straight line."
    )
    in_euros = {**statuses, "max-amount-due": {"limit": "1 EUR"}}
    not_known = "Against a rule, and not fully judged: the limit of €1.00 is"
    assert report(invoice(), in_euros).headline.startswith(not_known)
    kept = {"allowed-statuses": {"statuses": ["draft"]}}
    assert report(invoice(), kept).headline.startswith("Within the rules: $188.46 so far")
    both = {**kept, "max-amount-due": {"limit": "999 USD"}}
    assert report(invoice(), both).headline.startswith("Within budget: $188.46 so far")
    advisory = {
        "allowed-statuses": {**statuses["allowed-statuses"], "enforcementLevel": "advisory"}
    }
    assert report(invoice(), advisory).headline.startswith("Against an advisory rule: the upc")
    both = {**statuses, "max-amount-due": OVER}
    assert report(invoice(), both).headline.startswith("Over budget: $188.46 so far")


def test_rules_on_an_account_are_reported_without_naming_it_twice() -> None:
    known = snapshot(credit_balance={"balance": 1999}, invoice_history={"invoices": []})
    reading = {"accountIds": [ACCOUNT]}
    rules = {"min-credit-balance": {"limit": "20 USD", **reading}, "no-unpaid-invoices": reading}
    declared = parse_rules({"rules": rules})
    found = [Found.of_snapshot(known)]
    results = judge(declared, found, NOW, AccountReader({}, snapshots=[known]))
    made = make_report(found, at=NOW, rules=results)
    assert made.headline == (
        "Credits are down to $19.99, below the minimum of $20.00 by $0.01; $188.46 so far in "
        "September (day 15 of 30); $375 by a straight line."
    )
    for form in (text.render, markdown.render, html.render):
        rendered = plain(form(made))
        assert "No earlier invoice is unpaid." in rendered
        assert f"{ACCOUNT}: No earlier" not in rendered


def test_what_differs_by_account_cannot_be_judged_where_the_account_is_not_known() -> None:
    state = InvoiceState(None, invoice())
    limit = {"limit": "1000 USD", "accounts": {OTHER_ACCOUNT: "1 USD"}}
    rules = parse_rules({"rules": {"max-amount-due": {"limit": limit}}})
    made = make_report(
        [Found(state)], at=NOW, rules=judge(rules, [Found(state)], NOW, AccountReader({}))
    )
    assert made.verdict == "unknown"
    assert "--account-id names it" in " ".join(text.render(made).split())


@pytest.mark.parametrize("render", FORMATS.values(), ids=FORMATS)
def test_every_format_tells_where_foreign_figures_came_from(render: Any) -> None:
    rendered = html_entities.unescape(render(report(invoice(), base_url="http://127.0.0.1:8787")))
    assert "http://127.0.0.1:8787" in rendered


@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_marks_figures_of_incomplete_lines(form: str, several: bool) -> None:
    part = Found(InvoiceState(PREVIEW_ACCOUNT, dataclasses.replace(PART, amount_due=18847)))
    made = reported(part, *([B] if several else []))
    rendered = html_entities.unescape(FORMATS[form](made))
    assert "$188.47" in rendered
    if form == "json":
        [marked, *_] = json.loads(rendered)["invoices"]
        assert not marked["invoice_lines_complete"]
        assert [marked[name] for name in ("net", "credits", "projected_amount_due")] == [None] * 3
    else:
        assert INCOMPLETE in " ".join(rendered.split())


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_tells_of_a_waiver_and_of_its_end(form: str) -> None:
    waived = {
        "max-amount-due": {
            "limit": "100 USD",
            "waiver": {"until": "2026-09-20", "by": "me", "reason": "launch", "limit": "1000 USD"},
        }
    }
    for at, message in [
        (NOW, "A waiver with the limit 1000 USD is in force until 2026-09-20, by me: launch."),
        (NOW.replace(day=21), "Its waiver (until 2026-09-20, by me: launch) has ended."),
    ]:
        rendered = plain(FORMATS[form](report(invoice(), waived, at=at)))
        assert message in rendered, rendered


def test_a_time_in_any_zone_is_the_same_time() -> None:
    tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    for render in FORMATS.values():
        assert render(report(invoice(), at=tokyo)) == render(report(invoice()))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        report(invoice(), at=NOW.replace(tzinfo=None))


# Baselines.


def test_changes_are_reported_by_line_and_add_up_to_the_change_of_the_amount_due() -> None:
    before = named(("kept", 100), ("grown", 100), ("gone", 50), amount_due=260)
    after = named(("kept", 100), ("grown", 300), ("new", 70), amount_due=490)
    comparison = report(after, baseline=before).invoices[0].comparison
    assert comparison is not None
    assert [(c.name, c.before_text, c.after_text, c.text) for c in comparison.changes] == [
        ("grown", "$1.00", "$3.00", "+$2.00"),
        ("new", "new", "$0.70", "+$0.70"),
        ("gone", "$0.50", "gone", "-$0.50"),
        ("(tax and adjustments)", "$0.10", "$0.20", "+$0.10"),
    ]
    assert sum(change.amount for change in comparison.changes) == comparison.amount_due == 230


def test_lines_of_one_name_are_compared_together() -> None:
    before, after = named(("a", 100), ("a", 50)), named(("a", 50), ("a", 100))
    comparison = report(after, baseline=before).invoices[0].comparison
    assert comparison is not None
    assert list(comparison.changes) == []


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        (invoice("yen"), "the baseline is in JPY"),
        (
            invoice(period_start=1782864000, period_end=1785542400),
            "the baseline is of another billing period, 2026-07-01 to 2026-07-31",
        ),
    ],
)
def test_what_cannot_be_compared_is_said_in_every_format(baseline: Invoice, expected: str) -> None:
    made = report(invoice(), baseline=baseline)
    for render in FORMATS.values():
        assert expected in plain(render(made))
    assert json.loads(json_report.render(made))["invoices"][0]["baseline"]["change"] is None


def test_a_baseline_of_nothing_has_no_percentage() -> None:
    assert report(invoice(), baseline=invoice("no-usage")).invoices[0].change_text == "+$188.46"


HOSTILE_NAMES = [
    "::error::x",
    "##[error]x",
    "@everyone | `x`",
    "<script>alert(1)</script>",
    "two\nlines",
]

# Several invoices.

A = Found(InvoiceState(PREVIEW_ACCOUNT, invoice()), invoice("moving"), names=("shop/dev",))
B = Found(InvoiceState(OTHER_ACCOUNT, invoice(amount_due=26000)), names=("docs/prod", "docs/dev"))
YEN = Found(InvoiceState(ACCOUNT, invoice("yen")), names=("shop/tokyo",))
UNKNOWN = Found(InvoiceState(None, invoice(amount_due=100)), names=("plain.json",))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_says_of_several_what_its_golden_file_says(
    suffix: str, golden: Golden
) -> None:
    rendered = FORMATS[suffix](reported(A, B, YEN, UNKNOWN, rules=BUDGETS))
    golden(f"several.{suffix}", rendered)
    if suffix == "json":
        jsonschema.validate(json.loads(rendered), json.loads(json_report.schema()))


ONE_OVER = (
    "Over budget: 1 of 2 over, 1 with a warning; $448.46 so far in total, heading for $851. Worst "
    "is docs/prod, docs/dev: $260.00 so far in September (day 15 of 30), over the limit of $200.00 "
    "by $60.00; $461 by a straight line."
)
BOTH_OVER = (
    "Over budget: 2 of 2 over; $448.46 so far in total, heading for $851. Worst is docs/prod, "
    "docs/dev: $260.00 so far in September (day 15 of 30), over the limit of $100.00 by $160.00; "
    "$461 by a straight line."
)
YEN_UNKNOWN = (
    "Unknown: 1 of 2 unknown, 1 with a warning; ¥1,900 and $188.46 so far in "
    "total, heading for ¥3,931 and $390. Worst is shop/tokyo: the limit of $200.00 is not in JPY, "
    "as the invoice is; ¥1,900 so far in September (day 15 of 30); ¥3,931 by a straight line."
)


@pytest.mark.parametrize(
    ("found", "limit", "headline"),
    [
        ([A, B], None, "2 upcoming invoices, $448.46 so far in total, heading for $851."),
        (
            [A, YEN],
            None,
            "2 upcoming invoices, ¥1,900 and $188.46 so far in total, heading for ¥3,931 and $390.",
        ),
        (
            [A, B],
            "500 USD",
            "Within budget: 2 upcoming invoices, $448.46 so far in total, heading for $851.",
        ),
        (
            [A, B],
            "400 USD",
            "Within budget so far: 2 of 2 with a warning; $448.46 so far in total, heading for "
            "$851. Worst is docs/prod, docs/dev: $260.00 in September (day 15 of 30); a straight "
            "line to $461 passes the limit of $400, without a range.",
        ),
        ([A, B], "200 USD", ONE_OVER),
        ([A, B], "100 USD", BOTH_OVER),
        (
            [A, YEN],
            "200 USD",
            YEN_UNKNOWN,
        ),
    ],
)
def test_one_headline_says_the_verdict_on_all(
    found: list[Found], limit: str | None, headline: str
) -> None:
    rules = {"max-amount-due": {"limit": limit}} if limit else None
    assert reported(*found, rules=rules).headline == headline


def test_a_headline_says_the_fact_of_a_rule_on_another_account() -> None:
    rules = {
        "max-amount-due": {"limit": "900 USD"},
        "account-budget": {"accountIds": ["f" * 32], "limit": "1 USD"},
    }
    made = reported(A, B, rules=rules)
    assert made.headline == (
        f"Unknown: account {'f' * 32}: no credentials for the account: set "
        "CLOUDFLARE_API_TOKEN; the token needs the permission AI Gateway Read; 2 upcoming "
        "invoices, $448.46 so far in total, heading for $851."
    )
    assert [each.verdict for each in made.invoices] == ["within", "within"]


def test_no_rule_passes_that_one_file_of_an_account_violates() -> None:
    state = InvoiceState(PREVIEW_ACCOUNT, named(("openai/x", 30000), amount_due=10000))
    less = Found(state, names=("shop/dev",))
    more = dataclasses.replace(A, state=InvoiceState(PREVIEW_ACCOUNT, invoice()))
    rules = {"max-line-amount": {"limits": {"openai/x": "100 USD"}}}
    august = invoice(amount_due=90000, period_start=1785542400, period_end=1788220800)
    base = LastUpdate(10000, "usd", 1788220800)
    cases: list[tuple[list[Found], dict[str, Any]]] = [
        ([less, more], rules),
        (
            [Found(InvoiceState(PREVIEW_ACCOUNT, august)), more],
            {"max-projected-amount-due": {"limit": "300 USD"}},
        ),
        (
            [more, Found(InvoiceState(PREVIEW_ACCOUNT, invoice(), base))],
            {"max-increase": {"limit": "50%"}},
        ),
        (
            [more, Found(InvoiceState(PREVIEW_ACCOUNT, PART))],
            {"max-line-amount": {"defaultLimit": "500 USD"}},
        ),
    ]
    for found, by in cases:
        for order in (found, found[::-1]):
            made = reported(*one_of_each_account(order), rules=by)
            assert made.verdict in ("over", "unknown"), (made.headline, by)
            assert len(made.invoices) == 1


def test_a_headline_has_no_limit_of_another_account() -> None:
    finding = Finding(
        "within",
        "amount due",
        lambda: "within",
        limit=Money(10000, "usd"),
        amount=Money(5000, "usd"),
        account_id=OTHER_ACCOUNT,
    )
    rule = RuleResult("account-budget", "account-budget", "mandatory", of_accounts=[finding])
    made = make_report([A], at=NOW, rules=[rule])
    assert made.headline == (
        "Within budget: $188.46 so far in September (day 15 of 30); $390 by a straight line; no "
        "rule judged this invoice."
    )


def test_a_headline_names_another_account_that_is_over_once() -> None:
    message = f"The upcoming invoice of account {OTHER_ACCOUNT} is $188.46, over the limit."
    finding = Finding("failed", "amount due", lambda: message, account_id=OTHER_ACCOUNT)
    rule = RuleResult("account-budget", "account-budget", "mandatory", of_accounts=[finding])
    made = make_report([A], at=NOW, rules=[rule])
    assert made.headline.count(OTHER_ACCOUNT) == 1
    over = f"ccount {OTHER_ACCOUNT}: the upcoming invoice is $188.46, over the limit"
    assert over in made.headline


@pytest.mark.parametrize("colons", [2, 3, 5])
def test_no_line_of_a_terminal_begins_a_command(colons: int) -> None:
    for length in range(40, 120):
        name = f"{'x' * length} {':' * colons}stop-commands{':' * colons}tok ##vso[task.x]y"
        rendered = text.render(report(named((name, 100))))
        assert not any(line.lstrip().startswith("::") for line in rendered.splitlines())
        assert "##vso[" not in rendered


def test_the_json_holds_no_command_to_a_runner() -> None:
    odd = "a ##[error]x ###vso[y]"
    rendered = json_report.render(report(named((odd, 100), status="##[x]")))
    assert "##" not in rendered
    [shown] = json.loads(rendered)["invoices"]
    assert shown["lines"][0]["description"] == "a ## [error]x ### vso[y]"


def test_an_invoice_of_a_stack_that_has_two_is_told_apart_by_its_account() -> None:
    other = dataclasses.replace(A, state=InvoiceState(OTHER_ACCOUNT, invoice()))
    assert [*map(shown, reported(A, other).labels)] == [
        f"shop/dev, account {PREVIEW_ACCOUNT}",
        f"shop/dev, account {OTHER_ACCOUNT}",
    ]


def test_of_one_account_the_highest_amount_counts_and_that_is_noted() -> None:
    again = dataclasses.replace(B, state=InvoiceState(PREVIEW_ACCOUNT, invoice(amount_due=26000)))
    [found] = one_of_each_account([A, again, A])
    assert found.state.invoice.amount_due == 26000
    assert found.names == ("shop/dev", "docs/prod", "docs/dev")
    assert found.baseline == invoice("moving")
    assert [caveat.text for caveat in found.caveats] == [
        "The invoice appears more than once, as $188.46 for 2026-09-01 to 2026-09-30 and as "
        "$260.00 for 2026-09-01 to 2026-09-30: the highest amount of the latest period counts.",
    ]


def test_one_account_in_two_currencies_is_refused() -> None:
    yen = Found(InvoiceState(PREVIEW_ACCOUNT, invoice("yen")))
    with pytest.raises(NoInvoiceError, match=f"account {PREVIEW_ACCOUNT} appears twice, in two"):
        one_of_each_account([A, yen])


def test_an_unknown_account_stands_by_itself_and_that_is_noted() -> None:
    found = one_of_each_account([A, UNKNOWN, UNKNOWN])
    assert [each.state.account_id for each in found] == [PREVIEW_ACCOUNT, None, None]
    assert "counts twice in the total" in found[1].caveats[0].text
    # Once, although it applies to a file's invoices and again to all files'.
    assert one_of_each_account(found) == found
    assert one_of_each_account([UNKNOWN]) == [UNKNOWN]


def test_where_figures_came_from_is_kept_of_two_files_of_one_account() -> None:
    foreign = Found(InvoiceState(PREVIEW_ACCOUNT, invoice(), base_url="http://127.0.0.1:1"))
    for found in ([A, foreign], [foreign, A]):
        [kept] = one_of_each_account(found)
        assert kept.state.base_url == "http://127.0.0.1:1"


@pytest.mark.parametrize("accounts", [None, [ACCOUNT]])
def test_a_violation_is_reported_once_wherever_its_figures_came_from(accounts: Any) -> None:
    """A stack's outputs do not say that its resource reads from another address."""
    resource = Found(InvoiceState(ACCOUNT, invoice(), base_url="http://127.0.0.1:1"))
    exported = Found(InvoiceState(ACCOUNT, invoice()))
    higher = Found(InvoiceState(ACCOUNT, invoice(amount_due=18847)))
    for found, count in (([resource, exported], 1), ([exported, resource, higher, higher], 2)):
        [merged] = one_of_each_account(found)
        [rule] = reported(merged, rules={"max-amount-due": {"limit": "150 USD"}}).rules
        assert len(rule.violations) == count


@pytest.mark.parametrize("kind", ["account-budget", "max-forecast"])
def test_a_rule_that_reads_a_snapshot_does_not_pass_over_a_preview_of_its_account(
    kind: str,
) -> None:
    today = (NOW - timedelta(hours=12)).timestamp()
    bounds = {"start_time": str(START * 1000), "end_time": f"{today + 86_400:.0f}000"}
    usage = Answered(query={"value_grouping_window": "day", **bounds}, at=NOW)
    read = snapshot(usage_history=Result({"history": []}, usage), credit_balance={"balance": 5})
    taken = Found.of_snapshot(read)
    higher = Found(InvoiceState(ACCOUNT, invoice(amount_due=20001)))
    rules = {kind: {"accountIds": [ACCOUNT], "limit": "190 USD"}}
    reader = AccountReader({}, snapshots=[read])
    for found, verdict in (([taken], "within"), ([taken, higher], "over")):
        merged = one_of_each_account(found)
        declared = parse_rules({"rules": rules})
        made = make_report(merged, at=NOW, rules=judge(declared, merged, NOW, reader))
        assert made.verdict == verdict
    [rule] = made.rules
    [violation] = rule.violations
    assert violation.account_id == ACCOUNT
    assert "$200.01" in violation.message


def test_a_rule_looks_for_the_invoices_of_its_accounts_once_however_many_these_are() -> None:
    class Counted(list[Found]):
        looks = 0

        def __iter__(self) -> Iterator[Found]:
            self.looks += 1
            return super().__iter__()

    def looks(count: int) -> int:
        accounts = [f"{number:032x}" for number in range(count)]
        taken = [snapshot(account_id=account) for account in accounts]
        found = Counted(map(Found.of_snapshot, taken))
        rule = {"accountIds": accounts, "limit": "190 USD"}
        declared = parse_rules({"rules": {"account-budget": rule}})
        [judged] = judge(declared, found, NOW, AccountReader({}, snapshots=taken))
        assert [finding.account_id for finding in judged.findings] == accounts
        return found.looks

    assert looks(20) == looks(2)


def test_a_rule_tells_when_the_snapshot_that_it_judged_was_read() -> None:
    taken, later = snapshot(), NOW + timedelta(hours=3)
    declared = parse_rules(
        {"rules": {"account-budget": {"accountIds": [ACCOUNT], "limit": "190 USD"}}}
    )
    reader = AccountReader({}, snapshots=[taken])
    [rule] = judge(declared, [Found.of_snapshot(taken)], later, reader)
    assert rule.verdict == "within"
    assert rule.noted == [
        f"Account {ACCOUNT} was read on 2026-09-15 12:00 UTC, and is judged as of that time."
    ]


def test_two_snapshots_of_an_account_are_refused() -> None:
    """Rules that read accounts themselves would ignore what the older one says."""
    empty, full = (snapshot(credit_balance={"balance": n}) for n in (0, 5000))
    with pytest.raises(NoInvoiceError, match=f"account {ACCOUNT} is in several snapshots, of 2026"):
        one_of_each_account([Found.of_snapshot(empty), Found.of_snapshot(full)])
    [kept] = one_of_each_account([Found.of_snapshot(full), Found.of_snapshot(full)])
    assert kept.snapshot == full


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_does_nothing_but_show(name: str) -> None:
    odd = dataclasses.replace(A, names=(name,))
    for found in ([odd], [odd, B]):
        made = reported(*found, rules=BUDGETS)
        rendered = markdown.render(made)
        page = MarkdownIt("commonmark", {"html": True}).enable("table").render(rendered)
        assert "<script" not in html.render(made) + page
        assert "@everyone" not in rendered
        lines = text.render(made).splitlines()
        assert not any(line.startswith("::") or "##[" in line for line in lines)


def test_hundreds_of_stacks_fit_into_a_comment() -> None:
    many = [
        dataclasses.replace(A, state=InvoiceState(f"{n:032x}", invoice()), names=(f"shop/{n}",))
        for n in range(400)
    ]
    for count in (200, 400):
        rendered = markdown.render(reported(*many[:count], rules=BUDGETS))
        assert len(rendered) <= markdown.LARGEST
        assert "more, left out here." in rendered
        assert f"{count} of {count} over" in rendered


# Rendering.


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_can_be_rendered_in_every_format(scenario: str) -> None:
    made = report(invoice(scenario), rules=BUDGETS, baseline=invoice())
    due = made.invoices[0].invoice.amount_due_text
    assert [form for form, render in FORMATS.items() if due not in render(made)] == []


@pytest.mark.parametrize(
    ("scenario", "due"), [("yen", "¥1,900"), ("usual", "$188.46"), ("dinar", "KWD 57.125")]
)
def test_a_currency_has_its_own_number_of_digits(scenario: str, due: str) -> None:
    made = report(invoice(scenario))
    for render in FORMATS.values():
        assert due in render(made).replace("\xa0", " ")


def test_an_invoice_without_lines_says_so() -> None:
    assert "nothing has been used yet" in markdown.render(report(invoice("no-usage")))
    assert "nothing has been used yet" in html.render(report(invoice("no-usage")))


def test_ten_thousand_lines_fit_into_a_comment_and_the_rest_is_reported() -> None:
    made = report(invoice("ten-thousand-lines"), baseline=invoice())
    rendered = markdown.render(made)
    assert len(rendered) <= 65_536
    assert len(rendered.encode()) <= 2**20
    assert "9,900 other lines" in rendered


def test_lines_with_the_longest_names_fit_as_well() -> None:
    lines = [(f"{n} {'🙂' * 500}", n) for n in range(1, 1000)]
    made = report(named(*lines), baseline=named(*((name, 2 * n) for name, n in lines)))
    assert len(markdown.render(made)) <= 65_536
    assert " other lines |" in markdown.render(made)


# Untrusted text.

HOSTILE = [
    "a | b",
    "`code` ``",
    "@everyone and @org/team #1 !1",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "[link](https://example.com) www.example.com a@example.com",
    "two\nlines\r\n\r\n# heading",
    "\\| \\",
    "</code></details>-->",
    "\x1b[31mred\x1b[0m\x07",
    "{{ 7*7 }} {% raw %}",
    "[bold]rich[/bold] :smile:",
    "‮gnirts‬",
    "فاتورة الذكاء",
    "👩‍👩‍👧 🇩🇪",
    "0" * 201,
    '{"a": 1}',
    "[" * 5000,
]


def check_markdown(description: str) -> None:
    """Assert, with a Markdown parser, that the first cell holds *description* and nothing else."""
    rendered = markdown.render(report(named((description, 100))))
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(rendered)
    rows = re.findall("<tr>\n(.*?)</tr>", page, flags=re.S)
    row = next(row for row in rows if ">$1.00<" in row and "<code>" in row)
    cells = re.findall("<td[^>]*>(.*?)</td>", row, flags=re.S)
    assert len(cells) == 2
    held = re.fullmatch("<code>([^<>]*)</code>", cells[0])
    assert held, row
    name = one_line(inert_value(description), LONGEST_VALUE) or "(no description)"
    expected = cut_in_the_middle(name, 60)
    assert re.sub("[\u2068\u2069]", "", html_entities.unescape(held.group(1))) == expected
    source_row = next(line for line in rendered.splitlines() if "</code> | $1.00" in line)
    assert not re.search("[@:#!`\\[\\]\\\\]", source_row.replace("&#", ""))


@pytest.mark.parametrize("description", HOSTILE)
def test_a_description_does_nothing_but_show_in_markdown(description: str) -> None:
    check_markdown(description)


@given(st.text(min_size=1).filter(lambda text: text.strip()))
@example("\ufdd0 and \ufffe are no characters")
def test_no_description_at_all_breaks_the_markdown(description: str) -> None:
    check_markdown(description)


@given(st.text(min_size=1))
def test_a_description_does_nothing_but_show_in_html(description: str) -> None:
    plain = html.render(report(named(("plain", 100))))
    rendered = html.render(report(named((description, 100))))
    assert re.findall("<[^>]*>", rendered) == re.findall("<[^>]*>", plain)


@pytest.mark.parametrize("description", HOSTILE)
def test_a_description_cannot_command_a_terminal(description: str) -> None:
    rendered = text.render(report(named((description, 100))))
    assert "\x1b" not in rendered
    assert "\x07" not in rendered
    assert "‮" not in rendered
    assert "[bold]rich[/bold] :smile:" in rendered or "rich" not in description


def test_right_to_left_words_and_emoji_are_kept() -> None:
    for word in ("فاتورة", "👩‍👩‍👧"):
        assert word in html.render(report(named((word, 100))))
        assert word in text.render(report(named((word, 100))))


def test_a_status_that_others_wrote_is_shown_as_words() -> None:
    odd = dataclasses.replace(invoice(), status="<b>|@me")
    assert "<b>" not in markdown.render(report(odd))
    assert "@me" not in markdown.render(report(odd))
    assert "<b>" not in html.render(report(odd))


def test_the_report_is_one_file_without_network() -> None:
    rendered = html.render(report(invoice()))
    assert not re.findall(r"\b(?:src|href)=|url\(", rendered)
    assert "default-src 'none'" in rendered
