"""Inputs that public bug reports led to, through the whole command. Each stands for a kind."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pulumi_cf_invoice.cli import main
from tests.unit.reports import plain

CASES = Path(__file__).with_name("data") / "cases"
FORMATS = ("text", "markdown", "html", "json")
Report = Callable[..., tuple[int, str]]


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    """Run ``cf-invoice report`` in this process; its exit code, and what it printed."""

    def run(name: str | Path, *arguments: str) -> tuple[int, str]:
        option = "--snapshot" if "snapshot" in str(name) else "--from"
        code = main(["report", option, str(CASES / name), *arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        assert printed.err.count("\n") == (1 if code == 2 and not printed.out else 0)
        return code, printed.out + printed.err

    return run


@pytest.mark.parametrize("name", ["01-untargeted.events.jsonl", "01-untargeted.digest.json"])
def test_figures_that_the_preview_did_not_evaluate_are_refused(report: Report, name: str) -> None:
    code, output = report(name, "--budget", "250 USD")
    assert code == 2
    assert "the preview left out upcoming by --target or --exclude" in output


def test_figures_that_were_evaluated_and_have_not_moved_are_judged(report: Report) -> None:
    assert report("01-control-unmoved.events.jsonl", "--budget", "250 USD")[0] == 0


@pytest.mark.parametrize("budget", ["150 USD", "250 USD"])
@pytest.mark.parametrize("form", FORMATS)
def test_a_preview_that_a_pack_blocked_has_a_report_with_what_the_pack_said(
    report: Report, form: str, budget: str
) -> None:
    name = "02-policy-violation.events.jsonl"
    code, output = report(name, "--budget", budget, "--format", form)
    assert code == 1
    for policy in ("max-amount-due", "near-budget", "max-line-amount"):
        assert f"cf-invoice-spend: {policy}" in output
    assert "by $38.46" in re.sub(r"\s+", " ", output) or "by &#36;38&#46;46" in output


def test_a_preview_that_a_pack_blocked_is_over_without_any_rule(report: Report) -> None:
    code, output = report("02-policy-violation.events.jsonl")
    assert code == 1
    assert "policy pack blocked the preview" in re.sub(r"\s+", " ", output)


def test_what_a_pack_advises_alone_fails_nothing(report: Report, tmp_path: Path) -> None:
    advised = changed(
        "02-policy-violation.events.jsonl",
        lambda text: text.replace('"mandatory"', '"advisory"').replace('"failed"', '"succeeded"'),
        lambda line: "preview failed" not in line,
    )
    (tmp_path / "advised").write_text(advised)
    code, output = report(tmp_path / "advised", "--budget", "250 USD", "--format", "json")
    assert code == 0
    assert json.loads(output)["verdict"] == "advisory"
    rules = tmp_path / "rules.json"
    rules.write_text('{"rules": {"require-invoice-preview": {}}}')
    in_period = ("--at", "2026-11-15T12:00:00Z")
    code, output = report(tmp_path / "advised", "--rules", str(rules), *in_period)
    assert code == 2, "what another pack says is no judgement of the report's own rules"
    assert output.startswith("Unknown: no rule was judged, as it is judged at deployments only; ")


def test_why_no_rule_was_judged_is_its_own_reason_also_once_the_period_has_ended(
    report: Report, tmp_path: Path
) -> None:
    rule = {"limit": "1 EUR", "enforcementLevel": "advisory"}
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"rules": {"max-amount-due": rule}}))
    ended = ("--at", "2027-01-15T12:00:00Z")
    code, output = report("01-control-unmoved.events.jsonl", "--rules", str(rules), *ended)
    assert code == 2
    assert output.startswith("Unknown: no rule was judged, as the limit of €1.00 is not in USD")


WARNED = "(Against an advisory rule|Over an advisory limit): a policy pack warned, saying “"


def advised(message: str | None = None) -> str:
    """Return a preview at which a pack warned, with one *message* in place of all it said."""
    passed = changed(
        "02-policy-violation.events.jsonl",
        lambda text: text.replace('"mandatory"', '"advisory"').replace('"failed"', '"succeeded"'),
        lambda line: "preview failed" not in line,
    )
    if message is None:
        return passed
    # No pack reports the amount then, so that it must not be secret.
    plain = re.sub(r'\{"4dabf[^}]*\}', "18846", passed)
    lines = [json.loads(line) for line in plain.splitlines()]
    for line in lines:
        if "policyEvent" in line:
            line["policyEvent"]["message"] = message
    return "\n".join(map(json.dumps, lines))


def test_what_a_pack_only_advises_is_called_neither_a_block_nor_a_violation(
    report: Report, tmp_path: Path
) -> None:
    (tmp_path / "warned").write_text(advised())
    code, output = report(tmp_path / "warned", "--budget", "250 USD")
    assert (code, "blocked" in output) == (0, False)
    assert re.match(WARNED, re.sub(r"\s+", " ", output))
    for message in (
        "can't run policy 'x' from policy pack 'y@v1' during preview: string value at .z can't be "
        "known during preview",
        "A description.\nThe AI gateway x is not judged before the update: its `z` is not known "
        "yet.",
    ):
        (tmp_path / "unknown").write_text(advised(message))
        code, output = report(tmp_path / "unknown", "--budget", "250 USD")
        assert code == 0
        begin = "Not fully judged: a policy pack could not judge everything yet, saying “"
        assert re.sub(r"\s+", " ", output).startswith(begin)
        assert not re.search("blocked|^failed", output, re.M)


TO_COME = "is not judged before the update: its `z` is not known yet."


@pytest.mark.parametrize(
    "message",
    [
        f"A description.\nx {TO_COME} is $2.00, over the limit of $1.00.",
        f"A description.\nThe AI gateway x {TO_COME} has no spend limit on all of its traffic.",
        f"A description.\nThe line The AI gateway x {TO_COME}",
    ],
)
def test_a_name_cannot_say_that_a_pack_could_not_judge(
    report: Report, tmp_path: Path, message: str
) -> None:
    (tmp_path / "warned").write_text(advised(message))
    code, output = report(tmp_path / "warned", "--budget", "250 USD")
    assert code == 0
    assert re.match(WARNED, re.sub(r"\s+", " ", output))


def test_a_preview_that_failed_for_another_reason_as_well_tells_that(
    report: Report, tmp_path: Path
) -> None:
    error = {"urn": "urn:pulumi:dev::x::a:b:C::c", "message": "no such zone", "severity": "error"}
    text = (CASES / "02-policy-violation.events.jsonl").read_text()
    failed = text.replace('{"sequence": 36,', f'{{"diagnosticEvent": {json.dumps(error)}}}\n\\g<0>')
    (tmp_path / "failed").write_text(failed.replace("\\g<0>", '{"sequence": 36,'))
    code, output = report(tmp_path / "failed", "--budget", "250 USD")
    assert code == 2
    assert output.endswith("the preview failed: no such zone\n")


def test_a_digest_of_a_blocked_preview_names_the_command_that_tells_why(
    report: Report, tmp_path: Path
) -> None:
    digest = json.loads((CASES / "01-untargeted.digest.json").read_text())
    digest["diagnostics"] = [{"message": "error: preview failed\n", "severity": "error"}]
    (tmp_path / "digest").write_text(json.dumps(digest))
    code, output = report(tmp_path / "digest")
    assert code == 2
    assert "PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true pulumi preview --json" in output


def test_secret_figures_are_reported_as_secret(report: Report) -> None:
    code, output = report("11-secret-amount.events.jsonl")
    assert code == 2
    assert "the figures are secret: leave them out of additional_secret_outputs" in output


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("13-torn.json", "begins on line 3 breaks off on line 3, column 229"),
        ("13-cut.json", "begins on line 30 is cut off at the end of the file"),
        ("13-joined.json", "something follows the JSON object that ends on line 29"),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_refused_with_the_line(
    report: Report, name: str, where: str
) -> None:
    code, output = report(name, "--budget", "250 USD")
    assert code == 2
    assert where in output


def test_the_same_file_whole_is_over(report: Report) -> None:
    assert report("13-whole.json", "--budget", "250 USD")[0] == 1


def changed(name: str, change: Callable[[str], str], keep: Callable[[str], Any]) -> str:
    """Return the recorded lines of a case, changed."""
    lines = (CASES / name).read_text().splitlines(keepends=True)
    return "".join(change(line) for line in lines if keep(line))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "name", ["10-period-looks-back.json", "10-period-looks-back.snapshot.json"]
)
def test_a_period_that_is_over_is_reported_and_a_projection_of_it_is_no_pass(
    report: Report, name: str, form: str
) -> None:
    arguments = ["--at", "2026-09-15T12:00:00Z", "--budget-projected", "300 USD", "--format", form]
    code, output = report(name, *arguments)
    assert code == 2
    assert (
        "The invoice's period, 2026-08-01 to 2026-08-31, has ended, but that of its lines, "
        "2026-09-01 to 2026-09-30, has not."
    ) in plain(output)
    assert "cannot be projected: the period has ended." in plain(output)
    if form == "json":
        [invoice] = json.loads(output)["invoices"]
        assert invoice["projected_amount_due"] is invoice["projected_net"] is None
    else:
        assert "the period has ended" in plain(output)


def test_what_is_due_of_a_period_that_is_over_is_still_judged(report: Report) -> None:
    arguments = ["--at", "2026-09-15T12:00:00Z", "--budget-projected", "100 USD"]
    assert report("10-period-looks-back.json", *arguments)[0] == 1


@pytest.mark.parametrize(
    ("period", "note"),
    [
        ((1788220800, 1788220800), "has no length: it begins and ends at 2026-09-01T00:00:00Z."),
        ((1790812800, 1793491200), "is not that of its lines, 2026-09-01 to 2026-09-30."),
        (
            (1785542400, 1788220800),
            "has ended, but that of its lines, 2026-09-01 to 2026-09-30, has not.",
        ),
    ],
)
@pytest.mark.parametrize("form", FORMATS)
def test_a_period_that_is_odd_is_reported_in_every_format(
    report: Report, tmp_path: Path, form: str, period: tuple[int, int], note: str
) -> None:
    answer = json.loads((CASES / "10-period-looks-back.json").read_text())
    answer["result"] |= dict(zip(("period_start", "period_end"), period, strict=True))
    (tmp_path / "answer").write_text(json.dumps(answer))
    arguments = ["--at", "2026-09-15T12:00:00Z", "--budget-projected", "300 USD", "--format", form]
    code, output = report(tmp_path / "answer", *arguments)
    assert code == 2
    assert note in plain(output)


@pytest.mark.parametrize(("first", "second"), [("before", "after"), ("after", "before")])
@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_a_change_of_less_than_a_cent_is_shown_as_that(
    report: Report, form: str, first: str, second: str
) -> None:
    baseline = str(CASES / f"12-subcent-{first}.json")
    code, output = report(f"12-subcent-{second}.json", "--baseline", baseline, "--format", form)
    assert code == 0
    assert plain(output).count("less than $0.01") >= 2
    assert not re.search(r"[+-]\$?0\.0|0\.0 ?%", plain(output))
