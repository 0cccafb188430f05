"""The maps of the code: every module is on them, and what they name is there."""

import re

from tests.docs import ROOT, page
from tools import tables

PACKAGE = ROOT / "pulumi_cf_invoice"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_module_is_on_the_map_with_what_it_is() -> None:
    """If this fails, `make docs` writes the map, from the first sentence of each module."""
    _, _, text = page("architecture").partition("<!-- table: modules -->\n\n")
    written, _, _ = text.partition("\n<!-- end -->")
    assert written == tables.modules()
    rows = re.findall(r"^\| `(\w+\.py)` \| (.+) \|$", written, flags=re.M)
    assert len(rows) == len(list(PACKAGE.rglob("*.py")))
    assert all(len(meaning) > 10 for _, meaning in rows)


def test_contributing_names_every_room_and_every_module_at_the_top() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    top = {path.name for path in PACKAGE.glob("*.py")}
    assert set(re.findall(r"^\| `pulumi_cf_invoice/(\w+)` \|", CONTRIBUTING, flags=re.M)) == rooms
    [row] = re.findall(r"^\| at the top: (.*?) \|", CONTRIBUTING, flags=re.M)
    assert set(re.findall(r"`(\w+\.py)`", row)) == top


def test_what_to_touch_is_there() -> None:
    _, _, text = page("architecture").partition("## What to touch\n")
    section, _, _ = text.partition("\n## ")
    touched = {
        path
        for cell in re.findall(r"\| ([^|]+) \|$", section, flags=re.M)
        for path in re.findall("`([^`]+)`", cell)
    }
    paths = {path for path in touched if "/" in path or "." in path}
    assert len(paths) > 20
    assert [p for p in paths if not (PACKAGE / p).exists() and not (ROOT / p).exists()] == []
    for subject in (
        *("a rule", "a read", "an output", "a flag", "a column", "a forge", "a scenario"),
        *("a fault", "a forecast method", "a currency", "the sentence of the 403"),
    ):
        assert subject in section
