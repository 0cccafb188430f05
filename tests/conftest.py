import os
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from pulumi_cf_invoice.sandbox import Sandbox

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"


@pytest.fixture(autouse=True)
def _no_cloudflare_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("CLOUDFLARE_", "CF_INVOICE_")):
            monkeypatch.delenv(name)


def september() -> Sandbox:
    """A sandbox whose month is September 2026."""
    return Sandbox(now=datetime(2026, 9, 15, 12, tzinfo=timezone.utc))


def pointed_at(sandbox: Sandbox) -> dict[str, str]:
    """The environment of a program that is pointed at *sandbox*."""
    return {
        "CLOUDFLARE_BASE_URL": sandbox.base_url,
        "CLOUDFLARE_API_TOKEN": "sandbox-token",
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
    }


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A running sandbox whose month is September 2026."""
    with september() as running:
        yield running


@pytest.fixture
def settled(sandbox: Sandbox) -> dict[str, str]:
    """The environment of a program that is pointed at the sandbox."""
    return pointed_at(sandbox)
