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
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        pulumi_cf_invoice.nope  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, pulumi_cf_invoice; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"pulumi", "httpx", "pydantic", "stamina", "babel", "pulumi_cloudflare"}
    assert heavy.isdisjoint(done.stdout.split())


def test_a_resource_imports_no_provider_sdk() -> None:
    program = "import sys; from pulumi_cf_invoice import InvoicePreview; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert {"pulumi_cloudflare", "babel"}.isdisjoint(done.stdout.split())
