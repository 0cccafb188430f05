import os
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from pulumi_cf_invoice.sandbox import Sandbox


@pytest.fixture(autouse=True)
def _no_cloudflare_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("CLOUDFLARE_", "CF_INVOICE_")):
            monkeypatch.delenv(name)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A running sandbox whose month is September 2026."""
    with Sandbox(now=datetime(2026, 9, 15, 12, tzinfo=timezone.utc)) as running:
        yield running
