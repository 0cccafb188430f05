"""The benchmarks' results, and a small part of the forecast's benchmark."""

from pathlib import Path
from statistics import fmean

import pytest

from benchmarks import results
from benchmarks.__main__ import main
from benchmarks.simulated import KINDS
from benchmarks.trying import FRESH, of_straight_line, tried


def test_a_section_is_written_without_the_others(tmp_path: Path) -> None:
    """Benchmarks of one section leave what the file has of others, in the order of the titles."""
    file, titles = tmp_path / "RESULTS.md", {"one": "One", "two": "Two"}
    results.write({"two": "## Two\n\nold"}, titles, file)
    results.write({"one": "## One\n\n| a |"}, titles, file)
    results.write({"two": "## Two\n\nnew\n\n### More"}, titles, file)
    _, _, sections = file.read_text().partition("\n\n## ")
    assert sections == "One\n\n| a |\n\n## Two\n\nnew\n\n### More\n"


def test_an_unknown_section_is_refused() -> None:
    with pytest.raises(SystemExit, match="no section speed: they are performance, accounts"):
        main(["speed"])


@pytest.mark.parametrize("day", [3, 21])
def test_a_forecast_is_better_than_the_straight_line(day: int) -> None:
    """On simulated accounts of all kinds, forecasts miss the month's total by less."""
    shares = [
        of_straight_line(tried(kind, 1, number, day, FRESH) for number in range(5))
        for kind in KINDS
    ]
    assert fmean(shares) < 0.95
