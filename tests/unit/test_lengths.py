"""How long and how wide a report is, and whose words it quotes."""

import dataclasses
import html as entities
import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from pulumi_cf_invoice import Invoice
from pulumi_cf_invoice.report import html, markdown, spend_chart, tables, text
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.report.report import Report, make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.state import InvoiceState
from tests.factories import ACCOUNT, NOW
from tests.unit.reports import CHARTS, report_on, six_accounts, taken
from tests.unit.test_report import BUDGETS, named, report

NAME = "x" * 94 + "-the-middle-" + "y" * 94
HEBREW = "חשבונית"


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self) -> bool:
        return True


def without_style(terminal: Terminal) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())


def unfolded(rendered: str) -> list[str]:
    """Return the lines of Markdown that a reader sees before opening anything."""
    outside = re.sub(r"<details>.*?</details>", "", rendered, flags=re.DOTALL)
    return outside.strip().splitlines()


def large(lines: int, changes: int) -> Report:
    now = [(f"provider/model-{number}", 100 + number) for number in range(lines)]
    before = [(name, amount - 1 if n < changes else amount) for n, (name, amount) in enumerate(now)]
    return report(named(*now), rules=BUDGETS, baseline=named(*before))


def test_a_comment_of_many_lines_and_changes_is_a_screen_or_two() -> None:
    rendered = markdown.render(large(320, 100))
    assert len(unfolded(rendered)) <= 60
    outside = "\n".join(unfolded(rendered))
    assert outside.count("provider&#47;model") <= 5 + len(BUDGETS)
    assert "95 other lines" in outside
    assert rendered.count("provider&#47;model") > 150


def test_a_comment_has_room_for_any_number_of_remedies_with_long_paths() -> None:
    rules = {f"team-{n}": {"rule": "max-amount-due", "limit": f"{n}.50 USD"} for n in range(100)}
    declared = parse_rules({"rules": rules})
    of_file = [dataclasses.replace(rule, source=f"{'a_/' * 130}rules.json") for rule in declared]
    found = Found(InvoiceState(ACCOUNT, named(("model", 99900))))
    results = judge(of_file, [found], NOW, AccountReader({}))
    rendered = markdown.render(make_report([found], at=NOW, rules=results))
    assert len(rendered) <= markdown.LARGEST
    assert "- … and " in rendered


def test_six_accounts_of_which_four_pass_are_one_page() -> None:
    made = six_accounts()
    assert len(text.render(made).splitlines()) <= 60
    rendered = markdown.render(made)
    assert len(unfolded(rendered)) <= 60
    assert "<details><summary>4 within</summary>" in rendered
    page = html.render(made)
    assert page.count('<details class="account">') == 6


def test_the_worst_comes_first_in_every_format() -> None:
    made = six_accounts()
    for render in (text.render, markdown.render, html.render):
        rendered = render(made)
        assert rendered.index("Account 000000…0003") < rendered.index("4 within")
    rules = {
        "near": {"rule": "max-amount-due", "limit": "1 USD", "enforcementLevel": "advisory"},
        "kept": {"rule": "max-amount-due", "limit": "900 USD"},
        "max-amount-due": {"limit": "100 USD"},
    }
    order = [row.name for row in tables.judged(report_on(taken("usual"), rules=rules), 9)]
    assert order == ["max-amount-due", "near (advisory)", "kept"]


@pytest.mark.parametrize("lines", [1, 2, 40])
@pytest.mark.parametrize("credits", [0, 250])
def test_the_lines_add_up_to_the_amount_due_whatever_is_left_out(lines: int, credits: int) -> None:
    template = named(*((f"m{number}", 1000 + number) for number in range(lines)))
    discounted = [{"amount": credits, "type": "discount", "discount": "d"} if credits else None]
    invoice = Invoice.from_api(
        {
            "id": "in",
            "amount_due": template.amount_due + 77 - credits,
            "amount_paid": 0,
            "amount_remaining": 0,
            "currency": "usd",
            "status": "draft",
            "period_start": template.period_start,
            "period_end": template.period_end,
            "invoice_lines": [
                {
                    "description": line.name,
                    "amount": line.amount,
                    "currency": "usd",
                    "quantity": 1,
                    "period": {"start": template.period_start, "end": template.period_end},
                    "pricing": {"unit_amount_decimal": "1"},
                    "pretax_credit_amounts": [
                        credit for credit in discounted if credit and not number
                    ],
                }
                for number, line in enumerate(template.invoice_lines)
            ],
        }
    )
    table = tables.lines(invoice, 5)
    assert table is not None

    def amount(cell: str) -> int:
        return round(float(cell.replace("$", "").replace(",", "")) * 100) if cell else 0

    *rows, net, tax, due = table.rows
    for column in range(1, len(table.columns)):
        assert sum(amount(row[column]) for row in rows) == amount(net[column])
    assert amount(net[-1]) + amount(tax[-1]) == amount(due[-1]) == invoice.amount_due
    assert len(rows) == min(lines, 6)
    if lines > 5:
        assert rows[-1][0] == f"{lines - 5} other lines"


def test_a_name_is_cut_in_the_middle_and_both_its_ends_are_kept() -> None:
    made = report(named((NAME, 100)))
    for render in (markdown.render, html.render):
        rendered = entities.unescape(render(made))
        assert "the-middle" not in rendered
        assert f"{'x' * 30}…{'y' * 29}" in rendered


@pytest.mark.parametrize("rules", [None, BUDGETS])
def test_a_terminal_of_80_columns_keeps_to_them(
    monkeypatch: pytest.MonkeyPatch, rules: Any
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    before = named((NAME, 50), ("gone" * 40, 7))
    text.write(report(named((NAME, 123456789)), rules=rules, baseline=before), terminal)
    for line in without_style(terminal).splitlines():
        assert cell_len(line) <= 80, line


def test_no_word_of_ours_is_broken_in_two_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    made = report_on(taken("top-up-failed"), rules={"max-amount-due": {"limit": "100 USD"}})
    text.write(made, terminal)
    wide = set(text.render(made).split())
    narrow = set(without_style(terminal).split())
    assert narrow <= wide, narrow - wide


def test_right_to_left_names_are_isolated_beside_amounts() -> None:
    made = report(named((HEBREW, 100), ("plain", 50)))
    isolated = f"\u2068{HEBREW}\u2069"
    assert isolated in text.render(made)
    assert isolated in entities.unescape(markdown.render(made))
    assert f"<bdi>{HEBREW}</bdi>" in html.render(made)
    # What needs none has none, which some terminals would show.
    assert "\u2068plain" not in text.render(made)


def test_verdicts_limits_and_changes_have_colours_in_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    made = report(named(("a", 20000)), rules=BUDGETS, baseline=named(("a", 100)))
    terminal, pipe = Terminal(), io.StringIO()
    text.write(made, terminal)
    text.write(made, pipe)
    coloured = terminal.getvalue()
    assert "\x1b[1;31mOver budget: " in coloured
    assert re.search(r"\x1b\[31mover the limit of \$\d+", coloured)
    assert re.search(r"\x1b\[33m\+\$199", coloured)
    assert "\x1b" not in pipe.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    text.write(made, plain)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", plain.getvalue())


def test_a_sentence_that_others_wrote_is_quoted_and_a_name_is_code() -> None:
    made = report_on(taken("top-up-failed"), rules={"max-amount-due": {"limit": "1 USD"}})
    rendered = markdown.render(made)
    assert "“Your card has insufficient funds”" in rendered
    assert "<code>openai&#47;gpt-5&#46;5</code>" in rendered


@pytest.mark.parametrize(
    "words",
    [
        *("@everyone", "@.x", "#1", "https://example.com/x", "www.example.com", "GH-1"),
        *("!1", "%1", '%"a milestone"', "&1", "~bug", "^alert#1", "*iteration:1", "[issue:1]"),
        *("GL-1", "group/project>", ":white_check_mark:", ":+1:", ":100:"),
    ],
)
def test_a_sentence_that_others_wrote_mentions_and_links_nobody(words: str) -> None:
    shown = markdown.words(f"The API said “\u2068see {words} now\u2069”.")
    assert words not in entities.unescape(re.sub("<code>.*?</code>", "", shown))
    assert entities.unescape(re.sub("[\u2060]|</?code>", "", entities.unescape(shown))).count(words)


def test_a_time_in_a_sentence_stays_as_it_is_to_be_copied() -> None:
    assert markdown.words("taken at 2026-09-15T12:00:00Z") == "taken at 2026-09-15T12:00:00Z"


def test_every_chart_is_drawn_or_has_a_bar_where_there_is_a_limit() -> None:
    for name, made in CHARTS.items():
        [reported] = made().invoices
        drawn = (spend_chart.spend(reported), spend_chart.limit_bar(reported))
        assert sum(chart is not None for chart in drawn) == 1, name


def test_golden_files_of_comments_have_no_sign_without_a_word() -> None:
    for path in (Path(__file__).parent / "golden").glob("*.md"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not re.search("[❌✅❔](?! [A-Za-z<])", line), line
