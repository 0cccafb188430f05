"""The report's charts, as their SVG has them."""

import re
from functools import cache
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from pulumi_cf_invoice.report import html, spend_chart
from tests.unit.reports import CHARTS

LINE_HEIGHT = 11.5


@cache
def page(name: str) -> str:
    """Return the HTML of one of `CHARTS`."""
    return html.render(CHARTS[name]())


def plot(name: str) -> ElementTree.Element:
    """Return the SVG of the chart of spend of one of `CHARTS`."""
    rendered = page(name)
    found = re.search(r'<svg class="plot".*?</svg>', rendered, re.DOTALL)
    assert found
    return ElementTree.fromstring(found[0])


def by_class(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [element for element in svg.iter() if name in (element.get("class") or "").split()]


def text_of(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


def number(element: ElementTree.Element, name: str) -> float:
    return float(element.get(name) or "nan")


@pytest.mark.parametrize("name", CHARTS)
def test_a_label_is_at_its_own_line_or_joined_to_it_by_a_leader(name: str) -> None:
    svg = plot(name)
    leaders = {
        tuple(map(float, re.findall(r"[\d.]+", leader.get("d") or "")))
        for leader in by_class(svg, "leader")
    }
    heights = [number(line, "y1") for line in by_class(svg, "budget")]
    for label in by_class(svg, "label"):
        kinds = (label.get("class") or "").split()
        if "data-line" not in label.attrib or "beyond" in kinds:
            continue
        at, line = number(label, "y"), number(label, "data-line")
        if "forecast" not in kinds:
            assert line in heights, text_of(label)
        joined = (spend_chart.RIGHT, line, spend_chart.RIGHT + 8, at) in leaders
        assert joined or abs(at - line) <= LINE_HEIGHT, text_of(label)


@pytest.mark.parametrize("name", CHARTS)
def test_labels_in_the_gutter_are_apart_and_within_the_chart(name: str) -> None:
    svg = plot(name)
    labels = [label for label in by_class(svg, "label") if "data-line" in label.attrib]
    heights = sorted(number(label, "y") for label in labels)
    # Two lines of text each.
    assert all(below - above >= 2 * LINE_HEIGHT for above, below in pairwise(heights))
    assert not heights or heights[-1] + LINE_HEIGHT < spend_chart.HEIGHT
    assert not heights or heights[0] >= LINE_HEIGHT


@pytest.mark.parametrize("name", CHARTS)
def test_every_figure_that_is_drawn_is_in_the_table_beside_it(name: str) -> None:
    [reported] = CHARTS[name]().invoices
    chart = spend_chart.spend(reported) or spend_chart.limit_bar(reported)
    assert chart is not None
    amounts = {row[1] for row in chart.figures.rows}
    svg = plot(name)
    for label in by_class(svg, "amount"):
        assert text_of(label).removeprefix("↑ ") in amounts
    assert reported.invoice.amount_due_text in amounts
    assert {budget.limit.text for budget in reported.budgets} <= amounts


@pytest.mark.parametrize("name", CHARTS)
def test_the_axis_has_a_few_round_values_and_zero(name: str) -> None:
    [reported] = CHARTS[name]().invoices
    chart = spend_chart.spend(reported)
    if chart is None:
        assert spend_chart.limit_bar(reported) is not None
        return
    assert 2 <= len(chart.ticks) <= 6
    assert any(re.fullmatch(r"\D*0(\.0+)?", tick.text) for tick in chart.ticks)
    digits = [re.sub(r"\D", "", tick.text).strip("0") for tick in chart.ticks]
    assert all(len(figure) <= 2 for figure in digits), [tick.text for tick in chart.ticks]
    assert len({tick.text for tick in chart.ticks}) == len(chart.ticks)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("usual", r"September: \$188.46 so far, forecast \$\d+ to \$\d+, limit \$450.00 \(.*"),
        ("nothing spent", r"September: \$0.00 so far, limit \$450.00 \(max-amount-due\)"),
        ("an hour into the period", r"September: \$188.46 so far, limit \$450.00 \(max-a.*\)"),
    ],
)
def test_a_title_says_in_a_sentence_what_is_shown(name: str, title: str) -> None:
    svg = plot(name)
    assert re.fullmatch(title, text_of(next(iter(svg))))


def test_the_time_of_the_figures_is_named() -> None:
    def named(name: str) -> Any:
        return [text_of(element) for element in by_class(plot(name), "now-text")]

    assert named("usual") == ["today"]
    assert named("the period over") == ["Sep 15"]


def test_an_advisory_limit_has_its_colour_and_name_in_the_bar_too() -> None:
    for name, kind, level in (
        ("an hour into the period", "over", "limit"),
        ("an advisory limit an hour into the period", "advisory", "advisory limit"),
    ):
        svg = plot(name)
        [line] = by_class(svg, "budget")
        assert (line.get("class") or "").split() == ["budget", kind]
        [label] = [found for found in by_class(svg, "label") if kind in (found.get("class") or "")]
        assert text_of(label).startswith(f"{level} $")


def test_a_limit_far_above_is_named_above_the_chart_and_flattens_nothing() -> None:
    svg = plot("a limit far above")
    assert by_class(svg, "budget") == []
    [label] = by_class(svg, "beyond")
    assert text_of(label) == "↑ $5,000.00max-amount-due"


@pytest.mark.parametrize("name", ["spend", "usage"])
def test_a_day_over_its_limit_is_shown_by_shape_and_words_not_by_colour_alone(name: str) -> None:
    drawn = page("a day over its limit")
    svg, caption = figure(drawn, name)
    columns = by_class(svg, "day")
    over = by_class(svg, "over")
    assert [day in over for day in columns][-3:] == [False, True, True]
    marks = [
        [float(number) for number in re.findall(r"[\d.-]+", mark.get("d") or "")]
        for mark in by_class(svg, "mark")
    ]
    over_days = [day for day in columns if day in over]
    assert len(marks) == len(over_days) == 2
    for day, (middle, tip, *_) in zip(over_days, marks, strict=True):
        assert middle == pytest.approx(number(day, "x") + number(day, "width") / 2, abs=0.1)
        assert number(day, "y") - 2 < tip < number(day, "y")
    days = "max-daily-spend-50%: 2026-09-15, 2026-09-16; over max-daily-spend: 2026-09-16"
    for words in (" ".join(map(text_of, svg)), caption):
        assert f"over {days}" in words.lower()
    assert "mark" in caption


def test_days_over_their_limit_are_in_the_table_beside_the_chart() -> None:
    [report] = CHARTS["a day over its limit"]().invoices
    chart = spend_chart.spend(report)
    assert chart is not None
    assert ["Over max-daily-spend on 2026-09-16", "$111.71"] in chart.figures.rows


@pytest.mark.parametrize("name", ["spend", "usage"])
def test_where_no_day_is_over_nothing_is_marked(name: str) -> None:
    svg, caption = figure(page("usual"), name)
    assert by_class(svg, "day")
    assert by_class(svg, "mark") == []
    assert "mark" not in caption


def figure(drawn: str, name: str) -> tuple[ElementTree.Element, str]:
    """Return the SVG and the caption of the chart of *name*."""
    found = re.search(
        rf'(<svg [^>]*aria-labelledby="{name}-title.*?</svg>).*?<figcaption>(.*?)</figcaption>',
        drawn,
        re.DOTALL,
    )
    assert found
    return ElementTree.fromstring(found[1]), re.sub("<[^>]*>", "", found[2])
