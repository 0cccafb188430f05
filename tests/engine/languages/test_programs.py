"""TypeScript and Go programs that use the plugin through SDKs generated from its schema."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pulumi_cf_invoice.billing.models import Answered
from pulumi_cf_invoice.billing.reads import (
    CREDIT_BALANCE,
    INVOICE_HISTORY,
    USAGE_HISTORY,
    Read,
)
from pulumi_cf_invoice.report import input
from pulumi_cf_invoice.sandbox import Sandbox
from tests import docs
from tests.engine.harness import Run
from tests.engine.languages.harness import EXAMPLES, LANGUAGES, Language, Runner
from tests.factories import ACCOUNT
from tests.shared import shared

FIGURES = {
    "amountDue": 18846,
    "amountDueText": "$188.46",
    "period": "2026-09-01 to 2026-09-30",
}
MakeRun = Callable[..., Run]


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Language:
    """Each language in turn, with its runner and programs checked and compiled."""
    made = LANGUAGES[request.param]
    shared(tmp_path_factory, request.param, lambda _: made.compile())
    return made


@pytest.fixture
def run(language: Language, tmp_path: Path, settled: dict[str, str]) -> Iterator[MakeRun]:
    """A function that runs an operation on one stack, with the program of a given name."""
    with ExitStack() as ending:

        @cache
        def runner() -> Runner:
            started = Runner(language.command, tmp_path, settled)
            ending.callback(started.stop)
            return started

        yield lambda *operation, **packs: runner().run(*operation, **packs)


@pytest.mark.longest
def test_the_quickstart_lives_from_its_first_preview_to_an_answer_that_is_refused(
    run: MakeRun, sandbox: Sandbox
) -> None:
    preview = run("quickstart", "preview")
    assert preview.ok, preview.text
    assert docs.block("Outputs:\n    amountDue ") in preview.text
    assert len(sandbox.requests) == 1
    up = run("quickstart", "up")
    assert up.ok, up.text
    assert up.outputs == FIGURES
    assert len(sandbox.requests) == 2

    sandbox.amount_due = 20001
    moved = run("quickstart", "preview")
    assert "amountDue    : 18846 => 20001" in moved.text
    assert 'amountDueText: "$188.46" => "$200.01"' in moved.text
    refresh = run("quickstart", "refresh")
    assert refresh.ok, refresh.text
    assert "[diff: ~amountDue,amountRemaining,invoiceLines]" in refresh.text

    sandbox.amount_due = None
    sandbox.scenario = "without-required-fields"
    lacking = run("quickstart", "preview")
    assert lacking.ok, lacking.text
    assert '=> "$8.50"' in lacking.text

    sandbox.fault = "http-403"
    refused = run("quickstart", "preview")
    assert not refused.ok
    assert "InvoicePreview resource 'upcoming' has a problem: cannot read the upcoming" in (
        refused.text
    )
    assert "HTTP 403, code 10000: Authentication error" in refused.text


def test_a_pack_blocks_the_preview(run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "PulumiPolicy.yaml").write_text("runtime: python\nversion: 0.0.1\n")
    program = "from pulumi_cf_invoice.policy import *\nspend_policy_pack(rules='rules.json')\n"
    (tmp_path / "__main__.py").write_text(program)
    rules = {"max-amount-due": {"limit": "150 USD"}, "require-invoice-preview": {}}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    blocked = run("quickstart", "preview", policy_packs=[str(tmp_path)])
    assert not blocked.ok
    assert "over the limit of $150.00 by $38.46" in blocked.text


def test_it_is_imported_by_its_account(run: MakeRun) -> None:
    up = run("imported", "up")
    assert up.ok, up.text
    assert "upcoming imported" in up.text
    assert up.outputs == {"amountDue": 18846}


def test_an_explicit_provider_brings_its_token_and_fractions_of_a_cent_are_exact(
    run: MakeRun, settled: dict[str, str], sandbox: Sandbox
) -> None:
    del settled["CLOUDFLARE_API_TOKEN"]
    sandbox.scenario = "fractions"
    up = run("provider", "up")
    assert up.ok, up.text
    assert up.outputs == {"amountDue": 18846.5, "lineAmount": 640.19}
    assert "sandbox-token" not in up.text


def test_a_read_is_in_no_diff(run: MakeRun, sandbox: Sandbox) -> None:
    assert run("get", "up").outputs == {"amountDue": 18846}
    sandbox.amount_due = 20001
    preview = run("get", "preview")
    assert "amountDue: 18846 => 20001" in preview.text
    assert "InvoicePreview read update" not in preview.text


def test_the_rest_of_the_bill_is_there(run: MakeRun, sandbox: Sandbox) -> None:
    sandbox.scenario = "topped-up"
    up = run("bill", "up")
    assert up.ok, up.text
    week = {"start_time": "1777852800000", "end_time": "1778457600000"}
    assert up.outputs == bill(sandbox, {"value_grouping_window": "day", **week})
    assert up.outputs["days"] == 7


def bill(sandbox: Sandbox, query: dict[str, str]) -> dict[str, Any]:
    """Return what a program that reads the rest of the bill exports."""

    def answer(read: Read[Any], query: dict[str, str] | None = None) -> Any:
        result = sandbox.answer(ACCOUNT, read.name, query)["result"]
        return read.model.from_api(result, Answered(query=query or {}))

    credits, usage = answer(CREDIT_BALANCE), answer(USAGE_HISTORY, query)
    return {
        "balance": credits.balance,
        "topupIsOn": credits.topup_is_on,
        "usage": usage.total,
        "days": len(usage.entries),
        "latest": answer(INVOICE_HISTORY).invoices[0].amount_due,
        "gateways": ["default", "chat 5"],
    }


@pytest.mark.parametrize("language", ["typescript"], indirect=True)
def test_the_functions_give_what_follows_from_the_figures_and_what_the_report_reads(
    run: MakeRun,
) -> None:
    up = run("functions", "up")
    assert up.ok, up.text
    [found] = input.read(json.dumps({"invoice": up.outputs.pop("invoice")}))
    assert (found.state.account_id, found.state.invoice.net_text) == (ACCOUNT, "$188.46")
    assert up.outputs == {"net": 18846, "netText": "$188.46", "status": "draft"}


@pytest.mark.usefixtures("cloudflare_plugin")
@pytest.mark.parametrize("language", ["typescript"], indirect=True)
def test_the_gateway_slows_down_by_steps(
    run: MakeRun, settled: dict[str, str], sandbox: Sandbox
) -> None:
    settled["CONFIG"] = json.dumps({"budget": 20000})
    sandbox.amount_due = -500
    preview = run("cost-aware-gateway", "preview")
    assert preview.ok, preview.text
    assert "requestsPerMinute: 1000" in preview.text
    sandbox.amount_due = 18846
    up = run("cost-aware-gateway", "up")
    assert up.ok, up.text
    assert (up.outputs["requestsPerMinute"], up.outputs["dollarsPerDay"]) == (100, 5)


def manifest(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return {**content["dependencies"], **content["devDependencies"]}


@pytest.mark.parametrize("name", ["quickstart", "cost-aware-gateway"])
def test_an_example_asks_for_the_packages_that_it_was_tested_with(name: str) -> None:
    tested = manifest(Path(__file__).parent / "typescript" / "package.json")
    assert manifest(EXAMPLES / "typescript" / name / "package.json").items() <= tested.items()
