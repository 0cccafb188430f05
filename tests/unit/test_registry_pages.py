"""The pages for Pulumi's registry, and that no document sends people to a name that is not ours."""

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml

from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.plugin import schema
from tests import docs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [DOCS / "_index.md", DOCS / "installation-configuration.md"]
OUTPUTS = "Outputs:\n    amountDue "
OURS = "pulumi[-_]cf[-_]invoice|@[a-z-]+/cf-invoice"


def block(page: Path, language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), flags=re.M | re.S)
    return str(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_the_front_matter_that_the_registry_asks_for(page: Path) -> None:
    _, front, text = page.read_text().split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert set(metadata) == {"title", "meta_desc", "layout"}
    assert metadata["layout"] == "package"
    assert metadata["title"].startswith(schema.package()["displayName"])
    assert 20 < len(metadata["meta_desc"]) < 160
    assert text.startswith("\n")


@pytest.mark.parametrize(
    ("language", "example"),
    [
        ("typescript", "typescript/quickstart/index.ts"),
        ("go", "go/quickstart/main.go"),
        ("yaml", "yaml/quickstart/Pulumi.yaml"),
    ],
)
def test_the_example_is_the_one_that_the_tests_run(language: str, example: str) -> None:
    # What `pulumi new` asks for is not in the project that it makes.
    program, _, _ = (ROOT / "examples" / example).read_text().partition("template:\n")
    assert program.endswith(block(PAGES[0], language))


def test_the_registry_lets_readers_choose_each_language_that_works() -> None:
    text = PAGES[0].read_text()
    [chooser] = re.findall('{{< chooser language "(.*)" >}}', text)
    languages = chooser.split(",")
    assert languages == re.findall("{{% choosable language (.*) %}}", text)
    assert languages == re.findall(r"^```(\w+)$", text, flags=re.M)
    assert f"```\n{docs.block(OUTPUTS)}```\n" in text


def test_every_setting_of_the_provider_has_a_row() -> None:
    row = r"^\| `cf-invoice:(\w+)` \| `(\w+)` \| [^|]+ \| (yes|no) \|"
    rows = re.findall(row, PAGES[1].read_text(), flags=re.M)
    assert sorted((name, variable) for name, variable, _ in rows) == sorted(
        settings.VARIABLES.items()
    )
    assert {name for name, _, secret in rows if secret == "yes"} == set(settings.SECRETS)


def test_the_oldest_python_is_the_packages() -> None:
    asked = metadata("pulumi-cf-invoice")["Requires-Python"].removeprefix(">=")
    assert f"Python {asked} or newer" in PAGES[1].read_text()


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *DOCS.glob("*.md"), *(ROOT / "examples").rglob("*.md")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_no_page_installs_a_name_from_an_index_before_the_project_has_published_it(
    page: Path,
) -> None:
    if schema.published(metadata("pulumi-cf-invoice")):
        return
    text = page.read_text()
    assert not re.search(rf"\b(pip|npm|go|uv|yarn) (install|get|add)\b.*(?<!/)\b({OURS})", text)
    assert not re.search("https?://[^ )]*cf-invoice", text)
