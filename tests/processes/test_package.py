import subprocess
import sys

import pytest

import pulumi_cf_invoice


@pytest.mark.parametrize("name", pulumi_cf_invoice.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(pulumi_cf_invoice, name)
    assert value.__module__.startswith("pulumi_cf_invoice.")
    assert value.__doc__
    assert name in dir(pulumi_cf_invoice)


def test_an_unknown_name_is_an_attribute_error() -> None:
    name = "nope"
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        getattr(pulumi_cf_invoice, name)


HEAVY = {"httpx", "pydantic", "tenacity", "babel", "pulumi_cloudflare"}


def imported_by(program: str) -> set[str]:
    """Return the modules that a process has loaded after running *program*."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert (HEAVY | {"pulumi"}).isdisjoint(imported_by("import pulumi_cf_invoice"))


def test_a_resource_imports_no_provider_sdk_for_its_model() -> None:
    modules = imported_by("from pulumi_cf_invoice import Invoice, InvoicePreview")
    assert {"pulumi_cloudflare", "babel", "httpx"}.isdisjoint(modules)
