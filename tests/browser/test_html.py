import dataclasses
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, ViewportSize

from pulumi_cf_invoice import Invoice
from pulumi_cf_invoice.billing.reads import INVOICE_PREVIEW
from pulumi_cf_invoice.report import html
from pulumi_cf_invoice.report.found import Found
from pulumi_cf_invoice.report.judging import judge
from pulumi_cf_invoice.report.report import make_report
from pulumi_cf_invoice.rules.accounts import AccountReader
from pulumi_cf_invoice.rules.file import parse_rules
from pulumi_cf_invoice.sandbox import SCENARIOS
from pulumi_cf_invoice.state import InvoiceState
from tests.factories import ACCOUNT, NOW
from tests.unit.reports import CHARTS, six_accounts
from tests.unit.test_report import A, B, reported
from tests.unit.test_report_account import forecasting, reported as of_account

# Many accounts of the sandbox have the same invoice, and differ in what this report does not show.
DISTINCT = {
    repr(scenario.at(NOW, 0).result(INVOICE_PREVIEW.name, {})): name
    for name, scenario in reversed(SCENARIOS.items())
}.values()
PHONE, DESK = ViewportSize(width=360, height=740), ViewportSize(width=1100, height=800)
VIEWS = pytest.mark.parametrize(
    ("scheme", "size"), [("light", DESK), ("dark", PHONE)], ids=["light-desk", "dark-phone"]
)
"""Colours do not depend on the width, nor the layout on the colours."""


def write(directory: Path, scenario: str = "usual", budget: str = "150 USD", **more: Any) -> str:
    def invoice(scenario: str) -> Invoice:
        return Invoice.from_api({**SCENARIOS[scenario].at(NOW).result("invoice-preview"), **more})

    rules = parse_rules(
        {
            "rules": {
                "max-amount-due": {"limit": budget},
                "near-budget": {
                    "rule": "max-amount-due",
                    "limit": "100 USD",
                    "enforcementLevel": "advisory",
                },
                "max-line-amount": {"limits": {"*": "100 USD", "unused": "1 USD"}},
                "max-increase": {"limit": "20%"},
            }
        }
    )
    state = InvoiceState(ACCOUNT, invoice(scenario), base_url="http://127.0.0.1:8787/client/v4")
    results = judge(rules, [Found(state)], NOW, AccountReader({}))
    report = make_report([Found(state, invoice("moving"))], at=NOW, rules=results)
    file = directory / "report.html"
    file.write_text(html.render(report), encoding="utf-8")
    return file.as_uri()


def view(browser: Browser, address: str, scheme: Any = "light", size: Any = DESK) -> Page:
    page = browser.new_page(viewport=size, color_scheme=scheme)
    page.goto(address)
    return page


@VIEWS
@pytest.mark.parametrize("budget", ["150 USD", "500 USD"], ids=["over", "within"])
def test_it_is_accessible(
    browser: Browser, tmp_path: Path, scheme: str, size: Any, budget: str
) -> None:
    """Check the rules of axe-core, including contrast, headings and table semantics."""
    page = view(browser, write(tmp_path, budget=budget), scheme, size)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@VIEWS
def test_several_invoices_are_accessible_and_no_wider_than_a_phone(
    browser: Browser, tmp_path: Path, scheme: str, size: Any
) -> None:
    file = tmp_path / "several.html"
    long = dataclasses.replace(B, names=("docs/prod", "x" * 100))
    rules = {"max-amount-due": {"limit": "200 USD"}}
    file.write_text(html.render(reported(A, long, rules=rules)), encoding="utf-8")
    page = view(browser, file.as_uri(), scheme, size)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    page.click("a >> text=docs/prod")
    assert page.locator("#invoice-1").is_visible()
    assert page.locator("#invoice-1").inner_text().startswith("Over budget: ")
    assert not page.locator("#invoice-2").is_visible()


@VIEWS
def test_credits_usage_and_earlier_invoices_are_accessible_and_no_wider_than_a_phone(
    browser: Browser, tmp_path: Path, scheme: str, size: Any
) -> None:
    file = tmp_path / "account.html"
    file.write_text(html.render(of_account()), encoding="utf-8")
    page = view(browser, file.as_uri(), scheme, size)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    chart = page.get_by_role("img", name="Usage by day")
    assert chart.locator("desc").text_content() == (
        "Usage on 12 of 15 days, most of it on 2026-09-15. The API names no unit of usage, so the "
        "columns have no scale."
    )


@VIEWS
def test_a_forecast_is_accessible_and_no_wider_than_a_phone(
    browser: Browser, tmp_path: Path, scheme: str, size: Any
) -> None:
    file = tmp_path / "forecast.html"
    rules = {
        "max-amount-due": {"limit": "450 USD"},
        "near": {"rule": "max-amount-due", "limit": "300 USD", "enforcementLevel": "advisory"},
    }
    file.write_text(html.render(forecasting(rules=rules)), encoding="utf-8")
    page = view(browser, file.as_uri(), scheme, size)
    page.get_by_text("Chart data").click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.locator("path.happened, path.forecast, path.band").count() == 3
    assert page.locator("path.projection").count() == 0
    first, _, last = page.locator("text.label").all_text_contents()
    assert (first, last) == ("$450.00max-amount-due", "$300.00near")
    end = str(page.locator("text.label.forecast .amount").text_content())
    assert page.get_by_role("cell", name=end, exact=True).count() == 3
    assert page.get_by_role("rowheader", name="2026-09-30", exact=True).is_visible()
    chart = page.locator("svg.plot").first
    assert ", forecast $" in str(chart.locator("title").text_content())


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", CHARTS)
def test_no_text_of_a_chart_is_on_another_or_on_a_line(
    browser: Browser, tmp_path: Path, name: str, size: Any
) -> None:
    file = tmp_path / "chart.html"
    file.write_text(html.render(CHARTS[name]()), encoding="utf-8")
    page = view(browser, file.as_uri(), size=size)
    plot = page.locator("svg.plot").first
    texts = [(str(text.text_content()), box_of(text)) for text in plot.locator("text").all()]
    assert texts
    frame = box_of(plot)
    for text, box in texts:
        assert is_within(box, frame), text
    for (text, box), (other, another) in combinations(texts, 2):
        assert not overlap(box, another), (text, other)
    lines = [box_of(line) for line in plot.locator("line:not(.now), path.leader").all()]
    for text, box in texts:
        assert not any(overlap(box, line) for line in lines), text


def test_no_report_scrolls_sideways_on_the_narrowest_phone(
    browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "narrow.html"
    page = browser.new_page(viewport={"width": 320, "height": 640})
    for name, made in {**CHARTS, "six accounts": six_accounts}.items():
        file.write_text(html.render(made()), encoding="utf-8")
        page.goto(file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(closed => closed.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, name


def box_of(element: Locator) -> dict[str, float]:
    box = element.bounding_box()
    assert box is not None
    return {"x": box["x"], "y": box["y"], "width": box["width"], "height": box["height"]}


def is_within(box: dict[str, float], frame: dict[str, float]) -> bool:
    right, bottom = frame["x"] + frame["width"], frame["y"] + frame["height"]
    inside = box["x"] >= frame["x"] - 1 and box["x"] + box["width"] <= right + 1
    return inside and box["y"] >= frame["y"] - 1 and box["y"] + box["height"] <= bottom + 1


def overlap(box: dict[str, float], other: dict[str, float]) -> bool:
    """Return whether two boxes share more than what a letter's line spacing takes."""
    across = min(box["x"] + box["width"], other["x"] + other["width"]) - max(box["x"], other["x"])
    down = min(box["y"] + box["height"], other["y"] + other["height"]) - max(box["y"], other["y"])
    # A line has no height: what counts is whether it runs through the letters.
    if other["height"] < 2:
        middle = other["y"] + other["height"] / 2
        runs = box["y"] + box["height"] * 0.3 < middle < box["y"] + box["height"] * 0.8
        return across > 1 and runs
    return across > 1 and down > 2.5


def test_nothing_is_wider_than_a_phone(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page(viewport=PHONE)
    for scenario in DISTINCT:
        page.goto(write(tmp_path, scenario))
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], scenario


def test_a_long_name_is_no_wider_than_a_phone(browser: Browser, tmp_path: Path) -> None:
    line = {**SCENARIOS["usual"].at(NOW).result("invoice-preview")["invoice_lines"][0]}
    page = view(
        browser, write(tmp_path, invoice_lines=[{**line, "description": "x" * 300}]), size=PHONE
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_light_and_dark_are_different_and_follow_the_reader(
    browser: Browser, tmp_path: Path
) -> None:
    address = write(tmp_path)
    backgrounds = [
        view(browser, address, scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert backgrounds == ["rgb(246, 245, 242)", "rgb(21, 21, 19)"]


def test_it_asks_nobody_for_anything_and_reports_no_error(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    address = write(tmp_path)
    page.goto(address)
    assert asked == [address]
    assert errors == []


def test_the_chart_tells_in_words_what_it_draws(browser: Browser, tmp_path: Path) -> None:
    chart = view(browser, write(tmp_path)).get_by_role("img").first
    assert chart.locator("title").text_content() == (
        "September: $188.46 so far, $390 by a straight line, limit $150.00 (max-amount-due)"
    )


def test_the_projection_is_drawn_as_a_projection(browser: Browser, tmp_path: Path) -> None:
    page = view(browser, write(tmp_path))
    dashes = "getComputedStyle(document.querySelector('path.projection')).strokeDasharray"
    assert page.evaluate(dashes) != "none"
    assert page.get_by_text("The straight line is dotted.").is_visible()


def test_a_usual_report_is_printed_on_two_pages(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(html.render(CHARTS["usual"]()), encoding="utf-8")
    page = view(browser, file.as_uri())
    assert page.pdf(format="A4").count(b"/Type /Page\n") <= 2


def test_the_verdict_comes_right_after_the_amount(browser: Browser, tmp_path: Path) -> None:
    page = view(browser, write(tmp_path))
    assert page.locator("h1").inner_text() == "$188.46"
    assert page.locator(".verdict").inner_text().startswith("Over budget: ")
    assert page.locator(".verdict .sign").count() == 1


def test_what_a_description_contains_is_never_run(browser: Browser, tmp_path: Path) -> None:
    line = {**SCENARIOS["usual"].at(NOW).result("invoice-preview")["invoice_lines"][0]}
    hostile = "<img src=x onerror='document.title=1'><script>document.title=1</script>"
    page = view(browser, write(tmp_path, invoice_lines=[{**line, "description": hostile}]))
    assert page.title().startswith("Over budget: $188.46 so far in September")
    assert page.locator("img").count() == 0
