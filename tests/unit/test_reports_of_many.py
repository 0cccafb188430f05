"""A report of many accounts: the worst in full, the others in rows, and of a bounded size."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import cache
from html import unescape
from typing import Any

import jsonschema
import pytest

from pulumi_cf_invoice.billing.errors import NotAvailableError
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.settings import CLOUDFLARE_API
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.report import html, json_report, markdown, tables, text
from pulumi_cf_invoice.report.caveats import Caveat
from pulumi_cf_invoice.report.found import Found, MissingInvoice, compared_with
from pulumi_cf_invoice.report.judging import POLICY, RuleResult, judge
from pulumi_cf_invoice.report.report import MANY, Report, make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.rules.rule import Finding
from tests.factories import NOW
from tests.unit.reports import plain, taken

READER = AccountReader({})
RULES = {"max-amount-due": {"limit": "1000 USD"}}
OVER, WITHIN, DUE, MORE = 30, 90, 18846, 200_000
RENDERED = {"text": text.render, "markdown": markdown.render, "html": html.render}


def account(number: int) -> str:
    return f"{number:032x}"


def found(count: int, amount_due: int, first: int, whole: bool = False) -> list[Found]:
    """
    Return *count* accounts from the *first* on, the later the more is due.

    A forecast, which takes time, is made of those that are *whole*.
    """
    usual = taken("usual")
    invoice = usual.get(INVOICE_PREVIEW)
    accounts = []
    for number in range(first, first + count):
        due = dataclasses.replace(invoice, amount_due=amount_due + number)
        answers = {**usual.answers, INVOICE_PREVIEW.name: due}
        snapshot = Snapshot(account(number), NOW, CLOUDFLARE_API, answers)
        made = Found.of_snapshot(snapshot)
        accounts.append(made if whole else dataclasses.replace(made, snapshot=None))
    return accounts


def report_on(*accounts: Found, rules: Mapping[str, Any] = RULES, **more: Any) -> Report:
    declared = parse_rules({"rules": rules}) if rules else []
    return make_report(accounts, at=NOW, rules=judge(declared, accounts, NOW, READER), **more)


@cache
def many() -> Report:
    of_over = found(OVER, MORE, 1, whole=True)
    return report_on(*of_over, *found(WITHIN, DUE, OVER + 1))


def sum_within() -> str:
    """Return what the accounts within their limit come to."""
    numbers = range(OVER + 1, OVER + WITHIN + 1)
    return f"${Decimal(sum(DUE + number for number in numbers)) / 100:,.2f}"


def cells(page: str) -> list[list[str]]:
    """Return the cells of the rows of an HTML page's tables, as text."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.S)
    return [
        [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in rows
    ]


@pytest.mark.parametrize("form", RENDERED)
def test_those_that_pass_are_one_row_with_their_number_and_sum(form: str) -> None:
    rendered = RENDERED[form](many())
    words = " ".join(re.sub("<[^>]*>|[|]", " ", rendered).split())
    assert f"{WITHIN} within {sum_within()}" in words
    assert f"{OVER} of {OVER + WITHIN} over" in words


def test_a_terminal_gets_what_fits_on_a_screen() -> None:
    lines = text.render(many()).splitlines()
    assert len(lines) <= 45
    # The rows and the groups in place of others add up to the total.
    amounts = re.findall(r"^(?:- |Total).*?\$([\d,]+\.\d\d)", "\n".join(lines), re.M)
    *parts, total = (Decimal(amount.replace(",", "")) for amount in amounts)
    assert sum(parts) == total
    worst = account(OVER)
    assert next(line for line in lines if line.startswith("- ")).startswith(f"- Account {worst}")


def test_the_page_has_a_row_for_each_account_and_sections_for_the_worst_alone() -> None:
    page = html.render(many())
    rows = cells(page)
    for number in range(1, OVER + WITHIN + 1):
        assert sum(f"Account {account(number)}" in row[0] for row in rows) == 1
    [passing] = [row for row in rows if account(OVER + 1) in row[0]]
    assert passing[0].endswith("Within budget")
    assert passing[1:] == ["$188.77", "$1,000", "$390"]
    sections = re.findall(r'<div id="invoice-\d+">', page)
    assert 0 < len(sections) < OVER
    assert page.count('class="plot"') == len(sections)
    links = set(re.findall(r'href="#(invoice-\d+)"', page))
    assert {f'<div id="{link}">' for link in links} == set(sections)


def test_a_thousand_accounts_are_a_page_of_two_megabytes_at_most() -> None:
    """What every account adds is measured, and a thousand of them are what that comes to."""
    few, more = (len(html.render(report_on(*found(n, DUE, 1))).encode()) for n in (20, 60))
    assert len(html.render(many()).encode()) + 1000 * (more - few) / 40 <= 2_000_000


def test_the_json_has_every_account_on_a_line() -> None:
    rendered = json_report.render(many())
    assert len(rendered.splitlines()) == OVER + WITHIN + 2
    content = json.loads(rendered)
    jsonschema.validate(content, json.loads(json_report.schema()))
    assert [each["account_id"] for each in content["invoices"]] == [
        account(number) for number in range(1, OVER + WITHIN + 1)
    ]
    few = report_on(*found(MANY, DUE, 1))
    assert (
        json_report.render(few)
        == json.dumps(json.loads(json_report.render(few)), indent=2, ensure_ascii=False).replace(
            "##", "#\\u0023"
        )
        + "\n"
    )


@pytest.mark.parametrize("form", RENDERED)
def test_without_rules_nothing_of_many_is_in_full(form: str) -> None:
    made = report_on(*found(OVER, MORE, 1), rules={})
    rendered = RENDERED[form](made)
    assert f"{OVER} not judged" in rendered
    assert "openai/gpt" not in rendered


@pytest.mark.parametrize("form", RENDERED)
def test_an_account_that_could_not_be_read_is_a_row_that_says_why(form: str) -> None:
    lacking = [
        MissingInvoice(
            Snapshot(account(number), NOW, CLOUDFLARE_API, {}),
            NotAvailableError("its snapshot is too old. Take another"),
            names=("Team Ü",),
        )
        for number in (500, 501)
    ]
    made = dataclasses.replace(many(), missing=lacking)
    words = " ".join(re.sub("<[^>]*>|[|]", " ", RENDERED[form](made)).split())
    for number in (500, 501):
        assert f"account {account(number)}" in words
    assert words.count("Unknown: its snapshot is too old") >= 2


ELSEWHERE = "https://api.cloudf1are.com/client/v4"


def head(form: str, report: Report) -> str:
    """Return what a reader sees before any table, section or fold, as words."""
    before = re.split("<details|<table|<section|^Lines$|\\| Invoice", RENDERED[form](report))[0]
    shown = re.sub(r"<[^>]*>", "", re.sub(r"<(title|style)>.*?</\1>", "", before, flags=re.S))
    return " ".join(unescape(shown).split())


@pytest.mark.parametrize("count", [1, 2, MANY + 1])
@pytest.mark.parametrize("form", RENDERED)
def test_caveats_stand_before_all_else_once_for_all_that_share_them(form: str, count: int) -> None:
    unread = Caveat("not judged", "The figures of 1 InvoicePreview are not known.")
    accounts = [
        dataclasses.replace(
            account,
            state=dataclasses.replace(account.state, base_url=ELSEWHERE),
            caveats=(unread,)[number:],
        )
        for number, account in enumerate(found(count, DUE, 1))
    ]
    report = report_on(*accounts)
    assert report.verdict == "within"
    seen = head(form, report)
    all_of_them = {1: "", 2: "Both invoices: "}.get(count, f"All {count} invoices: ")
    assert f"{all_of_them}The figures come from {ELSEWHERE}, not from Cloudflare." in seen
    assert seen.count(ELSEWHERE) == 1
    assert f"{report.labels[0]}: {unread.text}" in seen or count == 1
    assert seen.count(unread.text) == 1
    notes = json.loads("".join(json_report.parts(report)))["notes"]
    assert [sum(text in note for note in notes) for text in (ELSEWHERE, unread.text)] == [1, 1]


def test_caveats_are_bounded_and_no_kind_hides_another() -> None:
    accounts = [
        dataclasses.replace(
            account,
            state=dataclasses.replace(account.state, base_url=f"https://{number}.example"),
            caveats=(
                Caveat("missing", f"{number} are missing."),
                *([Caveat("not judged", "It is shared.")] if number % 2 else []),
            ),
        )
        for number, account in enumerate(found(40, DUE, 1))
    ]
    report = report_on(*accounts)
    origins, left, *told, shared = report.caveats[:10], *report.caveats[10:]
    assert [f"https://{number}.example" in text for number, text in enumerate(origins)] == [
        True
    ] * 10
    assert left == "… and 30 more"
    assert [text.partition(": ")[2] for text in told[:3]] == [f"{n} are missing." for n in range(3)]
    assert told[3:] == ["… and 37 more"]
    first_three = ", ".join(report.labels[1:6:2])
    assert shared == f"{first_three} and 17 more: It is shared."


def test_figures_that_are_dated_after_the_report_are_reported() -> None:
    usual = taken("usual")
    early = NOW - timedelta(hours=1)
    [caveat] = make_report([Found.of_snapshot(usual)], at=early).caveats
    assert caveat == (
        "The figures are dated 2026-09-15 12:00 UTC, after the report's time, 2026-09-15 11:00 "
        "UTC: a clock or --at is wrong."
    )
    assert make_report([Found.of_snapshot(usual)], at=NOW).caveats == []


@pytest.mark.parametrize("form", RENDERED)
def test_a_row_says_why_an_account_within_its_limit_needs_attention(form: str) -> None:
    accounts = [Found.of_snapshot(taken(name)) for name in ("negative-balance", "usual")]
    of_other = dataclasses.replace(accounts[1].state, account_id=account(1))
    accounts[1] = Found(of_other)
    assert "Credits used up" in RENDERED[form](report_on(*accounts))


class Counting(str):
    """An account ID that counts how often one is compared with another."""

    comparisons = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counting.comparisons += 1
        return str.__eq__(self, other)


def with_counting_account(found: Found) -> Found:
    account_id = Counting(found.state.account_id)
    return dataclasses.replace(found, state=dataclasses.replace(found.state, account_id=account_id))


def test_each_of_many_invoices_finds_its_baseline_without_a_look_at_all_others() -> None:
    number = 200
    now = [*map(with_counting_account, found(number, DUE, 0))]
    before = [*map(with_counting_account, found(number, MORE, 0))]
    Counting.comparisons = 0
    compared = compared_with(now, before[::-1])
    assert Counting.comparisons < 10 * number
    assert [invoice.baseline for invoice in compared] == [each.invoice for each in before]


@pytest.mark.parametrize("first", ["never-paid", "steady"])
def test_what_is_violated_on_an_account_that_is_not_shown_is_the_headline(first: str) -> None:
    """Whatever else is wrong with the accounts that are."""
    unpaid = account(9)
    names = [first, *({"never-paid", "steady"} - {first})]
    shown_here = [taken(name, NOW, account(number)) for number, name in enumerate(names, 1)]
    reader = AccountReader({}, snapshots=[*shown_here, taken("unpaid", NOW, unpaid)])
    found = [Found.of_snapshot(each) for each in shown_here]
    rules = {"no-unpaid-invoices": {"accountIds": [unpaid]}}
    report = make_report(
        found, at=NOW, rules=judge(parse_rules({"rules": rules}), found, NOW, reader)
    )
    expected = f"Against a rule: account {unpaid}: 2 earlier invoices are unpaid, "
    assert report.headline.startswith(expected)
    pay, *others = report.remedies
    assert pay.startswith(f"Account {unpaid}: Pay the open invoice ")
    assert all(remedy.startswith("Account ") for remedy in others)


UNREAD = Snapshot(account(8), NOW, CLOUDFLARE_API, {})
REFUSED = MissingInvoice(UNREAD, NotAvailableError("HTTP 403"), is_named=True)


@pytest.mark.parametrize("missing", [(), (REFUSED,)])
@pytest.mark.parametrize(("limit", "more"), [("188 USD", ", 2 of 2 over"), ("500 USD", "")])
def test_what_is_worst_of_all_is_the_headline_of_several_though_its_account_is_not_shown(
    limit: str, more: str, missing: Sequence[MissingInvoice]
) -> None:
    """Also where those that are shown are over by less, or one could not be read."""
    usual = [taken("usual", NOW, account(number)) for number in (1, 2)]
    reader = AccountReader({}, snapshots=[*usual, taken("launch", NOW, account(9))])
    rules = {
        "mine": {"rule": "max-amount-due", "accountIds": [account(1), account(2)], "limit": limit},
        "theirs": {"rule": "max-amount-due", "accountIds": [account(9)], "limit": "100 USD"},
    }
    found = [Found.of_snapshot(each) for each in usual]
    judged = judge(parse_rules({"rules": rules}), found, NOW, reader)
    headline = make_report(found, at=NOW, rules=judged, missing=missing).headline
    assert headline.startswith(
        f"Over budget: account {account(9)}: the upcoming invoice is $479.27"
    )
    assert f" by $379.27; 2 upcoming invoices{more}, $376.92 so far in total, " in headline
    assert headline.endswith("; not every invoice could be read.") == bool(missing)
    of_less = {**rules, "theirs": {**rules["theirs"], "limit": "479 USD"}}
    judged = judge(parse_rules({"rules": of_less}), found, NOW, reader)
    headline = make_report(found, at=NOW, rules=judged, missing=missing).headline
    assert ("Worst is Account 000000…0001: " in headline) == bool(more)
    assert ("2 of 2 over, and 1 more over that is not shown; $376.92 " in headline) == bool(more)
    blocked = Finding("failed", "pack", lambda: "Pack. No.")
    of_pack = RuleResult("pack", POLICY, "mandatory", of_accounts=[blocked])
    both = make_report(found, at=NOW, rules=[*judged, of_pack], missing=missing).headline
    assert ("2 of 2 over, and 1 more over that is not shown; $376.92 " in both) == bool(more)


def test_without_an_invoice_the_worst_of_all_is_the_headline_and_what_to_do_says_for_whom() -> None:
    snapshots = [
        taken(name, NOW, account(number)) for number, name in ((8, "usual"), (9, "launch"))
    ]
    reader = AccountReader({}, snapshots=snapshots)
    rules = {
        "unread": {"rule": "max-amount-due", "accountIds": [account(7)], "limit": "100 USD"},
        "near": {"rule": "max-amount-due", "accountIds": [account(8)], "limit": "188 USD"},
        "far": {"rule": "max-amount-due", "accountIds": [account(9)], "limit": "100 USD"},
    }
    judged = judge(parse_rules({"rules": rules}), [], NOW, reader)
    report = make_report([], at=NOW, rules=judged, missing=[REFUSED])
    assert report.headline == (
        f"The upcoming invoice of account {account(9)} is $479.27 for 2026-09-01 to 2026-09-30, "
        "over the limit of $100.00 by $379.27; no upcoming invoice to show."
    )
    whom = {remedy.partition(": ")[0] for remedy in report.remedies}
    assert whom == {f"Account {account(8)}", f"Account {account(9)}"}


def test_without_an_invoice_what_is_not_known_agrees_with_the_verdict() -> None:
    reader = AccountReader({}, snapshots=[taken("unpaid", NOW, account(9))])
    rules = {
        "max-amount-due": {"accountIds": [account(7)], "limit": "100 USD"},
        "no-unpaid-invoices": {"accountIds": [account(9)]},
    }
    judged = judge(parse_rules({"rules": rules}), [], NOW, reader)
    report = make_report([], at=NOW, rules=judged, missing=[REFUSED])
    assert report.verdict == "over"
    assert report.headline.startswith("Against a rule, and not fully judged: no credentials ")


@pytest.mark.parametrize(
    ("minimum", "headline"),
    [
        (
            "999 USD",
            "Figures of 2026-09-15, 5 days old: the credit balance of account "
            f"{account(9)} is $92.00, below the minimum of $999.00 by $907.00; no upcoming invoice "
            "to show.",
        ),
        (
            "1 USD",
            "Within the rules: figures of 2026-09-15, 5 days old; no upcoming invoice to show.",
        ),
    ],
)
def test_without_an_invoice_old_figures_are_dated(minimum: str, headline: str) -> None:
    later = NOW + timedelta(days=5)
    usual = taken("usual", NOW, account(9))
    rules = {"min-credit-balance": {"accountIds": [account(9)], "limit": minimum}}
    reader = AccountReader({}, snapshots=[usual])
    judged = judge(parse_rules({"rules": rules}), [], later, reader)
    missing = MissingInvoice(usual, NotAvailableError("HTTP 403"))
    report = make_report([], at=later, rules=judged, missing=[missing])
    assert report.headline == headline
    assert report.tone != "within"
    assert report.remedies[-1] == (
        "Take a new snapshot (cf-invoice snapshot) in place of figures of 2026-09-15, 5 days old."
    )


def test_rules_that_pass_share_a_row_and_those_that_may_not_for_long_another() -> None:
    """As with one invoice, what the headline warns of is not among what is fine."""
    rules = {
        "max-amount-due": {"limit": "600 USD"},
        "max-line-amount": {"defaultLimit": "900 USD"},
        "allowed-currencies": {"currencies": ["USD"]},
    }
    found = [Found.of_snapshot(taken("growing", NOW, account(number))) for number in (1, 2)]
    report = report_on(*found, rules=rules)
    assert report.headline.startswith("Within budget so far: 2 of 2 with a warning")
    in_doubt, passing = tables.judged(report, 3)
    assert (in_doubt.word, in_doubt.name) == ("within so far", "1 more")
    assert (in_doubt.tone, in_doubt.sentences) == ("advisory", ["max-amount-due"])
    assert (passing.word, passing.name) == ("within", "2 more")
    assert passing.sentences == ["max-line-amount, allowed-currencies"]


@pytest.mark.parametrize("count", [1, 20])
def test_what_every_run_tells_of_a_rule_is_told_also_where_its_row_is_left_out(count: int) -> None:
    """Whom it passed over is told however much else there is, and of many rules in one line."""
    near = {"rule": "max-amount-due", "limit": "1 USD", "enforcementLevel": "advisory"}
    unread = {"limit": "1 USD", "accountIds": [account(1), account(2)], "failOpen": True}
    until = {"until": "2026-09-20", "by": "the CFO", "reason": "a move"}
    rules = {
        **{f"near-{number}": near for number in range(MANY)},
        **{f"open-{n}": {"rule": "min-credit-balance", **unread} for n in range(count)},
        "allowed-statuses": {"statuses": ["open"], "waiver": until},
        "off": {"rule": "max-amount-due", "enforcementLevel": "disabled"},
    }
    rendered = plain(markdown.render(report_on(*found(MANY + 1, DUE, 1), rules=rules)))
    assert f"… and {count + 2} more, left out here." in rendered
    over = "open-0: 2 accounts could not be judged, which failOpen allows: accounts "
    if count > MANY:
        over = "Accounts passed over, which failOpen allows: open-0, open-1, open-10, open-11, "
    assert over in rendered
    assert "allowed-statuses: A waiver suspends it until 2026-09-20, by the CFO: a " in rendered
    assert "off (disabled): It is disabled and judges nothing." in rendered
