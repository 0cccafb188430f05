import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pulumi_cf_invoice import Invoice
from pulumi_cf_invoice.billing.cleaning import shown
from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.billing.snapshot import Snapshot
from pulumi_cf_invoice.rules.file import DeclaredRule
from pulumi_cf_invoice.rules.gates import Gate
from pulumi_cf_invoice.rules.kinds import KINDS
from pulumi_cf_invoice.rules.rule import Finding
from pulumi_cf_invoice.state import InvoiceState, LastUpdate
from tests.factories import (
    ACCOUNT,
    NOW,
    OTHER_ACCOUNT,
    START,
    Result,
    api_line,
    api_result,
    snapshot,
)

LAST = LastUpdate(15000, "usd", START)
START_OF_PERIOD = datetime.fromtimestamp(START, tz=UTC)


def state(account_id: str | None = ACCOUNT, **changes: Any) -> InvoiceState:
    more = {
        name: changes.pop(name)
        for name in ("last_update", "base_url", "account_is_secret")
        if name in changes
    }
    complete = changes.pop("complete", True)
    return InvoiceState(
        account_id, Invoice.from_api(api_result(**changes), Answered(complete)), **more
    )


def judge(
    kind: str, settings: Any, judged: InvoiceState | None = None, at: datetime = NOW
) -> list[Finding]:
    """Return what a rule of *kind*, whose ``limit`` may be given alone, finds."""
    written = {"limit": settings} if isinstance(settings, str) else settings
    gate = Gate.of(DeclaredRule.parse("x", {"rule": kind, **written}))
    return gate.judge(judged or state(), at)


def violations(*arguments: Any, **more: Any) -> list[str]:
    return [finding.message for finding in judge(*arguments, **more) if finding.violates]


def in_a_snapshot(lines: list[dict[str, Any]]) -> InvoiceState:
    """Return what a snapshot keeps of an invoice with *lines*."""
    taken = snapshot(invoice_preview=Result(api_result(invoice_lines=lines)))
    kept = Snapshot.from_json(json.loads("".join(taken.to_json())))
    return InvoiceState(ACCOUNT, kept.get(INVOICE_PREVIEW))


def notes(*arguments: Any, **more: Any) -> list[str]:
    return [f.message for f in judge(*arguments, **more) if f.status == "noted"]


def statuses(*arguments: Any, **more: Any) -> list[str]:
    return [finding.status for finding in judge(*arguments, **more)]


# The amount due.


def test_over_the_limit_the_message_has_the_verdict_first() -> None:
    assert violations("max-amount-due", "150 USD") == [
        f"The upcoming invoice of account {ACCOUNT} is $188.46 for 2026-09-01 to 2026-09-30, "
        "over the limit of $150.00 by $38.46. Largest lines: openai/gpt-5.5 $174.79."
    ]


def test_exactly_at_the_limit_is_within_it() -> None:
    assert statuses("max-amount-due", "188.46 USD") == ["within"]
    assert statuses("max-amount-due", "188.45 USD") == ["over"]


def test_a_limit_in_another_currency_is_a_violation() -> None:
    [found] = judge("max-amount-due", "1000 EUR")
    assert found.status == "unknown"
    assert "in USD, which cannot be compared with the limit of €1,000.00." in (found.message)


def test_two_accounts_have_limits_of_their_own() -> None:
    limit = {"limit": "150 USD", "accounts": {OTHER_ACCOUNT.upper(): "200 USD"}}
    assert statuses("max-amount-due", {"limit": limit}) == ["over"]
    assert statuses("max-amount-due", {"limit": limit}, state(OTHER_ACCOUNT)) == ["within"]


def test_an_account_without_any_limit_is_a_violation_that_says_so() -> None:
    limit = {"accounts": {OTHER_ACCOUNT: "200 USD"}}
    for kind, settings in (
        ("max-amount-due", {"limit": limit}),
        ("max-projected-amount-due", {"limit": limit}),
    ):
        assert violations(kind, settings) == [
            f"The limits differ by account: account {ACCOUNT} has none."
        ]
    of_line = {"limits": {"openai/*": limit}, "defaultLimit": "1000 USD"}
    assert violations("max-line-amount", of_line) == [
        f"The limits for the line openai/gpt-5.5 differ by account: account {ACCOUNT} has none."
    ]


def test_negative_totals_and_no_lines_are_within() -> None:
    empty = state(amount_due=-1500, invoice_lines=[])
    assert statuses("max-amount-due", "0 USD", empty) == ["within"]
    assert statuses("max-line-amount", {"defaultLimit": "0 USD"}, empty) == ["within"]
    [message] = violations("max-amount-due", "0 USD", state(amount_due=1500, invoice_lines=[]))
    assert message.endswith("by $15.00. It has no lines.")


# The projection.


def test_a_projection_is_judged_with_what_it_is_so_far() -> None:
    middle = START_OF_PERIOD + timedelta(days=15)
    [message] = violations("max-projected-amount-due", "300 USD", at=middle)
    # Twice the net of $174.79, plus the $13.67 of tax and adjustments, which is not projected.
    projected = "is projected to be $363.25 by a straight line for 2026-09-01 to 2026-09-30, over"
    assert projected in message
    assert "It is $188.46 so far." in message
    after = middle + timedelta(days=99)
    assert statuses("max-projected-amount-due", "188.46 USD", at=after) == ["noted"]
    assert statuses("max-projected-amount-due", "188.45 USD", at=after) == ["over"]


def test_what_is_due_already_is_judged_before_any_projection() -> None:
    early = START_OF_PERIOD + timedelta(minutes=30)
    for at in (early, NOW):
        [message] = violations("max-projected-amount-due", "150 USD", at=at)
        assert "is $188.46 for" in message
    incomplete = state(complete=False)
    assert statuses("max-projected-amount-due", "150 USD", incomplete) == ["over"]
    assert statuses("max-projected-amount-due", "1000 USD", incomplete) == ["unknown"]


def test_the_first_hour_of_a_period_is_noted_and_the_amount_due_judged() -> None:
    early = START_OF_PERIOD + timedelta(minutes=30)
    found = judge("max-projected-amount-due", "1000 USD", at=early)
    assert [finding.status for finding in found] == ["within", "noted"]
    assert "too early for a projection: only the amount due was judged" in found[1].message


# Lines.


def test_a_line_is_judged_net_by_its_longest_glob() -> None:
    limits = {"limits": {"openai/*": "100 USD", "*": "1 USD"}}
    found = judge("max-line-amount", limits)
    assert [finding.message for finding in found if finding.violates] == [
        f"The line openai/gpt-5.5 of the upcoming invoice of account {ACCOUNT} comes to $174.79 "
        "after credits for 2026-09-01 to 2026-09-30, over the limit of $100.00 by $74.79."
    ]
    assert statuses("max-line-amount", {"limits": {"openai/*": "174.79 USD"}}) == ["within"]
    nameless = state(invoice_lines=[api_line(description=None)])
    [message] = violations("max-line-amount", {"defaultLimit": "1 USD"}, nameless)
    assert message.startswith("The line (no description) of")


def test_lines_of_one_name_are_judged_together() -> None:
    half = api_line(amount=6000, pretax_credit_amounts=[])
    two = state(invoice_lines=[half, half])
    assert statuses("max-line-amount", {"defaultLimit": "100 USD"}, two) == ["over"]
    assert statuses("max-line-amount", {"defaultLimit": "120 USD"}, two) == ["within"]


@pytest.mark.parametrize("order", [1, -1])
def test_of_globs_of_one_length_the_lowest_limit_counts(order: int) -> None:
    globs = [("openai/*", "100 USD"), ("*gpt-5.5", "500 USD")]
    limits = dict(globs[::order])
    assert statuses("max-line-amount", {"limits": limits}) == ["over"]
    other = dict([("openai/*", "1 EUR"), ("*gpt-5.5", "500 USD")][::order])
    assert statuses("max-line-amount", {"limits": other}) == ["unknown"]


@pytest.mark.parametrize(
    "settings",
    [
        {"limits": {"x*": "1 USD"}},
        {"limits": {"*z": "1 USD"}},
        {"limits": {"*y*": "1 USD", "xx*": "900 USD"}},
        {"limits": {"*y*z": "900 USD", "x*y*z": "1 USD"}},
        {"limits": {"q*": "900 USD"}, "defaultLimit": "1 USD"},
    ],
)
def test_a_line_whose_description_is_cut_escapes_no_limit(settings: dict[str, Any]) -> None:
    """What is left out may match any glob, or keep the others from matching."""
    long = api_line(description="x" * 600 + "y" + "z" * 600)
    assert "over" in statuses("max-line-amount", settings, state(invoice_lines=[long]))


@pytest.mark.parametrize(
    "description",
    [
        "https://api.x.ai/grok",
        "ops@example.com",
        "pi_3Nx_secret_Zx8",
        "DE89370400440532013000",
        "card 4242 4242 4242 4242",
    ],
)
def test_nor_does_one_that_a_snapshot_leaves_something_private_out_of(description: str) -> None:
    lines = [api_line(description=description)]
    kept = in_a_snapshot(lines)
    assert kept.invoice.invoice_lines[0].description != description
    limits = {"limits": {description: "1 USD"}}
    assert "over" in statuses("max-line-amount", limits, state(invoice_lines=lines))
    assert "over" in statuses("max-line-amount", limits, kept)


@pytest.mark.parametrize(
    ("description", "limits"),
    [
        ("acme/ops@example.com", {"*e-mail*": "900 USD", "acme*": "1 USD"}),
        ("acme/https://x.example/y", {"*link*": "900 USD", "acm*": "1 USD"}),
        ("acme/https://x.example/y", {"acme/??????": "900 USD", "acme/*": "1 USD"}),
        ("acme/https://x.example/y", {"acme/[[]link]": "900 USD", "acme/http*": "1 USD"}),
        ("ops@example.com/acme", {"*mail address*": "900 USD", "*/acme": "1 USD"}),
        ("acme/sk_live_abc", {"*secret*": "900 USD", "a*": "1 USD"}),
        ("acme 4242424242424242 usage", {"*digits*": "900 USD", "acme*": "1 USD"}),
        ("acme 4242424242424242 usage", {"*digits*": "900 USD", "*usage": "1 USD"}),
        ("424242xxxxxx4242 fees", {"4242*": "1 USD"}),
        ("[ops@example.com] Acme seats", {"*Acme seats": "1 USD"}),
        ("[https://acme.example] seats", {"[[]*seats": "1 USD"}),
        ("Fees 2026****2027 on cards", {"Fees 2026*": "1 USD"}),
        (f"acme/{'x' * 1200}", {"*…*": "900 USD", "acme/*": "1 USD"}),
    ],
)
def test_what_stands_in_place_of_something_private_matches_no_glob(
    description: str, limits: dict[str, str]
) -> None:
    lines = [api_line(description=description)]
    for judged in (state(invoice_lines=lines), in_a_snapshot(lines)):
        assert "over" in statuses("max-line-amount", {"limits": limits}, judged)


def test_a_glob_that_a_line_may_match_is_not_said_to_match_none() -> None:
    kept = in_a_snapshot([api_line(description="acme/ops@example.com")])
    limits = {"limits": {"*example*": "900 USD", "b*": "900 USD"}}
    assert notes("max-line-amount", limits, kept) == [
        f"No line of the upcoming invoice of account {ACCOUNT} matches b*."
    ]


@pytest.mark.parametrize(
    ("limits", "glob", "end"),
    [
        ({"openai/*": "500 USD", "*embeddings*": "1 USD"}, "*embeddings*", ""),
        ({"openai/*": "1 USD", "*embeddings*": "500 USD"}, "", ""),
        ({"openai/*": "1 USD", "*embeds*": "1 USD"}, "", ""),
        (
            {"openai/*": "500 USD", "*embeddings*": {"accounts": {OTHER_ACCOUNT: "1 USD"}}},
            "*embeddings*",
            f" differ by account: account {ACCOUNT} has none",
        ),
    ],
)
def test_a_line_says_whose_limit_it_is_held_to_where_only_what_is_left_out_may_match(
    limits: dict[str, Any], glob: str, end: str
) -> None:
    kept = in_a_snapshot([api_line(description="openai/ops@example.com")])
    [found] = judge("max-line-amount", {"limits": limits}, kept)
    said = f" (by {glob}, which it may match, as a part of its description is left out){end}"
    for message in (found.message.removesuffix("."), shown(found.text).removesuffix(".")):
        assert message.endswith(said) is bool(glob)
        assert ("left out" in message) is bool(glob)


@pytest.mark.parametrize(
    "settings",
    [
        {"limits": {"openai/*": "500 USD", "anthropic/*": "1 USD"}},
        {"limits": {"openai/*": "500 USD", "o*": "1 USD", "a*/ops": "1 USD"}},
        {"limits": {"openai/*": "500 USD"}, "defaultLimit": "1 USD"},
    ],
)
@pytest.mark.parametrize("description", ["openai/ops@example.com", f"openai/{'x' * 1200}"])
def test_what_the_ends_of_a_line_rule_out_is_none_of_its_limits(
    description: str, settings: dict[str, Any]
) -> None:
    """As those of other providers."""
    kept = in_a_snapshot([api_line(description=description)])
    assert statuses("max-line-amount", settings, kept)[0] == "within"


def test_a_glob_that_matches_no_line_is_noted() -> None:
    limits = {"limits": {"openai/*": "500 USD", "opena/*": "1 USD"}}
    assert notes("max-line-amount", limits) == [
        f"No line of the upcoming invoice of account {ACCOUNT} matches opena/*."
    ]
    # One that matches a line is not noted, even if a longer one takes all of its lines.
    assert notes("max-line-amount", {"limits": {"openai/*": "500 USD", "*": "1 USD"}}) == []


# The increase.


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("38 USD", "rose by $38.46 to $188.46 since the last update, over the limit of $38.00 by"),
        ("25%", "over the limit of $37.50 by $0.96 (25% of $150.00)."),
        ("1 EUR", "in USD, which cannot be compared with the limit of €1.00"),
    ],
)
def test_an_increase_is_judged_in_money_or_percent(limit: str, expected: str) -> None:
    [message] = violations("max-increase", limit, state(last_update=LAST))
    assert expected in message


@pytest.mark.parametrize("limit", ["38.46 USD", "26%"])
def test_an_increase_up_to_the_limit_is_within_it(limit: str) -> None:
    assert statuses("max-increase", limit, state(last_update=LAST)) == ["within"]
    fallen = replace(LAST, amount_due=20000)
    assert statuses("max-increase", "0 USD", state(last_update=fallen)) == ["within"]


@pytest.mark.parametrize(("base", "text"), [(0, "$0.00"), (-500, "-$5.00")])
def test_a_percentage_of_nothing_allows_no_rise_and_says_what_does(base: int, text: str) -> None:
    """A higher percentage would not help, and the base stays until an update succeeds."""
    from_nothing = state(last_update=replace(LAST, amount_due=base))
    [found] = judge("max-increase", "20%", from_nothing)
    assert found.status == "over"
    assert f"over the limit of $0.00 by ${188.46 - base / 100:.2f} (20% of {text})" in found.message
    assert found.remedy == (
        f"No percentage of {text} allows a rise: make the limit of the rule x an amount, such as "
        "'50 USD'."
    )
    [in_money] = judge("max-increase", "50 USD", from_nothing)
    assert "raise the limit of the rule x" in in_money.remedy
    [percent] = judge("max-increase", "20%", state(last_update=LAST))
    assert "raise the limit of the rule x" in percent.remedy


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (None, "it is new, renamed, replaced or read from another address"),
        (replace(LAST, period_start=START - 1), "the last update was in another billing period"),
        (replace(LAST, currency="eur"), "it was in EUR at the last update"),
    ],
)
def test_an_increase_without_a_base_says_so(last: Any, why: str) -> None:
    [message] = notes("max-increase", "1 USD", state(last_update=last))
    assert message.endswith(f"has nothing to compare with: {why}.")


# Statuses and currencies.


def test_statuses_and_currencies_are_judged_by_name() -> None:
    [message] = violations("allowed-statuses", {"statuses": ["open"]})
    assert message.endswith("has the status draft, which is not one of those allowed: open.")
    assert statuses("allowed-statuses", {"statuses": ["draft"]}) == ["within"]
    [message] = violations("allowed-currencies", {"currencies": ["eur"]})
    assert message.endswith("is in USD, which is not one of those allowed: EUR.")
    assert statuses("allowed-currencies", {"currencies": ["USD"]}) == ["within"]


def test_a_null_status_is_not_allowed() -> None:
    [message] = violations("allowed-statuses", {"statuses": ["draft"]}, state(status=None))
    assert "has no status, which is not one of those allowed: draft." in message


# What is unknown, or must not be shown.


def test_figures_of_incomplete_lines_violate() -> None:
    part = state(complete=False)
    assert violations("max-line-amount", {"defaultLimit": "1000 USD"}, part) == [
        f"The largest line of the upcoming invoice of account {ACCOUNT} for 2026-09-01 to "
        "2026-09-30 is not known, since the API gave only a part of the invoice's lines."
    ]
    [message] = violations("max-amount-due", "1 USD", part)
    assert message.endswith("The API gave only a part of its lines.")


EVERY: dict[str, Any] = {
    "max-amount-due": {"limit": {"accounts": {ACCOUNT: "1 USD"}}},
    "max-projected-amount-due": {"limit": "1 USD"},
    "max-line-amount": {"limits": {"*": "1 USD", "unused": "1 USD"}},
    "max-increase": {"limit": "1 USD"},
    "allowed-statuses": {"statuses": ["open"]},
    "allowed-currencies": {"currencies": ["eur"]},
}


def test_a_secret_account_is_in_no_message() -> None:
    for kind, settings in EVERY.items():
        for judged in (
            state(account_is_secret=True),
            state(account_is_secret=True, last_update=LAST),
        ):
            found = judge(kind, settings, judged)
            assert found
            assert ACCOUNT not in " ".join(finding.message for finding in found)
    other = {"limit": {"accounts": {OTHER_ACCOUNT: "1 USD"}}}
    [message] = violations("max-amount-due", other, state(account_is_secret=True))
    assert message == "The limits differ by account: this account has none."


@pytest.mark.parametrize("words", ["two\nlines\x1b[31m", "::error::no", "  padded"])
def test_every_message_is_one_clean_line_that_begins_with_our_own_words(words: str) -> None:
    odd = state(
        invoice_lines=[api_line(description=words)],
        status=words,
        last_update=LAST,
        base_url="http://127.0.0.1/\n",
    )
    for kind, settings in EVERY.items():
        for finding in judge(kind, settings, odd):
            assert "\n" not in finding.message
            assert "\x1b" not in finding.message
            assert finding.message[0].isupper()


def test_every_kind_says_what_it_asks_for() -> None:
    for kind in KINDS.values():
        assert kind.description.endswith(".")
        assert set(kind.needs) | set(kind.waivable) <= set(kind.settings)
