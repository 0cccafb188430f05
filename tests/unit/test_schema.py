import json
import re
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest

import pulumi_cf_invoice
from pulumi_cf_invoice.billing import settings
from pulumi_cf_invoice.billing.reads import READS
from pulumi_cf_invoice.plugin import schema
from pulumi_cf_invoice.plugin.version import PLACEHOLDER, semver
from pulumi_cf_invoice.sandbox import Sandbox
from tests.factories import ACCOUNT, NOW

PACKAGE = schema.package()
INVOICE = PACKAGE["resources"]["cf-invoice:index:InvoicePreview"]
FUNCTION = PACKAGE["functions"]["cf-invoice:index:getInvoicePreview"]


def described() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property in the schema together with its path."""
    for name, spec in PACKAGE["types"].items():
        yield from ((f"{name}.{key}", value) for key, value in spec["properties"].items())
    for group in ("inputProperties", "properties"):
        yield from INVOICE[group].items()
    for group in ("inputs", "outputs"):
        for function in PACKAGE["functions"].values():
            yield from function[group]["properties"].items()
    yield from PACKAGE["provider"]["inputProperties"].items()


def test_every_property_has_a_description_its_unit_and_its_place_in_the_api() -> None:
    assert {path: wrong for path, spec in described() if (wrong := wrong_with(path, spec))} == {}


def wrong_with(path: str, spec: dict[str, Any]) -> list[str]:
    """Return what is wrong with the description of the property at *path*."""
    text, place, _ = spec["description"].partition(" API: ")
    units = (
        "minor units of ",
        "Unix seconds",
        "Number of ",
        "in seconds",
        "units of usage",
        "as a share",
        "in US dollars",
    )
    is_number = spec.get("type") in ("integer", "number")
    found = {
        "no place in the API": not place,
        "no unit": is_number and not any(unit in spec["description"] for unit in units),
        "no unit of a decimal": path.endswith("Decimal")
        and not re.search("major units|minor units", spec["description"]),
        "a name of the model's": bool(re.search("[a-z]_[a-z]", text)),
    }
    return [problem for problem, is_there in found.items() if is_there]


def test_every_place_in_the_api_is_in_answers_of_it() -> None:
    places = {"result"}

    def keep(value: Any, at: str) -> None:
        inside = value.items() if isinstance(value, dict) else ()
        more = [(f"{at}.{name}", item) for name, item in inside]
        more += [(f"{at}[]", item) for item in value] if isinstance(value, list) else []
        for place, item in more:
            places.add(place)
            keep(item, place)

    with Sandbox(now=NOW) as sandbox:
        for sandbox.scenario in ("usual", "capped-gateways", "top-up-failed"):
            for read in READS:
                keep(
                    sandbox.answer(ACCOUNT, read.name, dict(read.asked(NOW).query))["result"],
                    "result",
                )
    fields = re.findall(r"API: `(result\b(?!_)[^`]*)`", json.dumps(PACKAGE))
    assert len(set(fields)) > 50
    assert set(fields) - places == set()


def test_the_committed_schema_is_what_the_models_make() -> None:
    committed = Path(pulumi_cf_invoice.__file__).with_name("schema.json").read_text()
    expected = schema.package(version=PLACEHOLDER)
    assert json.loads(committed) == expected, "run `make schema`"


@pytest.mark.parametrize(
    ("version", "semantic"),
    [
        ("0.1.0", "0.1.0"),
        ("10.20.30", "10.20.30"),
        ("0.1.0.dev57+g1a2b3c4", "0.1.0-dev.57+g1a2b3c4"),
        ("0.1.0.dev57+g1a2b3c4.d20260915", "0.1.0-dev.57+g1a2b3c4.d20260915"),
        ("0.0.0+copy", "0.0.0+copy"),
    ],
)
def test_the_schemas_version_is_the_packages_as_a_semantic_one(version: str, semantic: str) -> None:
    published = project()
    del published["Version"]
    published["Version"] = version
    assert schema.package(published)["version"] == semantic


@pytest.mark.parametrize("version", ["1.0", "1.2.3rc1", "v1.2.3", "1.2.3.4"])
def test_a_version_that_no_tag_leads_to_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(version))):
        semver(version)


def test_the_provider_takes_every_setting() -> None:
    assert list(PACKAGE["provider"]["inputProperties"]) == list(settings.SETTINGS)
    assert PACKAGE["config"]["variables"] == PACKAGE["provider"]["inputProperties"]


def test_secrets_are_marked_wherever_they_are_given() -> None:
    for variables in (PACKAGE["config"]["variables"], PACKAGE["provider"]["inputProperties"]):
        secret = [name for name, spec in variables.items() if spec.get("secret")]
        assert secret == ["apiToken", "apiKey"]


def test_amounts_may_have_a_fraction_and_instants_have_none() -> None:
    line = PACKAGE["types"]["cf-invoice:index:InvoiceLine"]["properties"]
    assert line["amount"]["type"] == line["quantity"]["type"] == "number"
    outputs = FUNCTION["outputs"]["properties"]
    assert {outputs[name]["type"] for name in ("amountDue", "net", "gross")} == {"number"}
    assert outputs["periodStart"]["type"] == "integer"


def test_what_may_be_none_is_not_required() -> None:
    line = PACKAGE["types"]["cf-invoice:index:InvoiceLine"]
    assert set(line["properties"]) - set(line["required"]) == {
        "description",
        "period",
        "pretaxCreditAmounts",
        "pricing",
        "quantity",
    }
    assert set(INVOICE["properties"]) - set(INVOICE["required"]) == {
        "baseUrl",
        "invoiceId",
        "invoiceLinesComplete",
        "lastUpdate",
        "status",
    }
    absent = set(FUNCTION["outputs"]["properties"]) - set(FUNCTION["outputs"]["required"])
    assert {"invoiceId", "status", "net", "netText", "grossDecimal"} <= absent
    assert {"amountDue", "amountDueText", "periodText", "text"}.isdisjoint(absent)


def test_no_generated_sdk_has_the_name_of_this_package() -> None:
    assert PACKAGE["language"]["python"]["packageName"] == "pulumi_cf_invoice_sdk"


def project(*, author: str = "Octo Org", **urls: str) -> Any:
    """Return the metadata of a project with an author and these URLs."""
    published = metadata("pulumi-cf-invoice")
    for name in ("Author", "Project-URL"):
        del published[name]  # type: ignore[attr-defined]
    if author:
        published["Author"] = author  # type: ignore[index]
    for name, url in urls.items():
        published["Project-URL"] = f"{name}, {url}"  # type: ignore[index]
    return published


NAMES = {"publisher", "namespace", "homepage", "repository", "logoUrl", "pluginDownloadURL"}


@pytest.mark.parametrize("urls", [{}, {"Repository": "https://example.com/octo-org/invoice"}])
def test_a_project_that_is_not_on_github_names_nobody(urls: dict[str, str]) -> None:
    package = schema.package(project(**urls))
    assert NAMES.isdisjoint(package)
    assert "http" not in json.dumps({**package, "config": {}, "provider": {}})


def test_who_publishes_it_and_where_follows_from_author_and_repository() -> None:
    repository = "https://github.com/Octo-Org/invoice"
    package = schema.package(project(Repository=repository))
    assert {name: package[name] for name in NAMES} == {
        "publisher": "Octo Org",
        # Like the name of a package that is added by its repository.
        "namespace": "octo-org",
        "homepage": repository,
        "repository": repository,
        "logoUrl": "https://raw.githubusercontent.com/Octo-Org/invoice/HEAD/docs/logo.svg",
        "pluginDownloadURL": "github://api.github.com/Octo-Org/invoice",
    }
    home = "https://invoice.example.com"
    assert schema.package(project(Repository=repository, Homepage=home))["homepage"] == home
