import os

import pytest


@pytest.fixture(autouse=True)
def _no_cloudflare_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("CLOUDFLARE_", "CF_INVOICE_")):
            monkeypatch.delenv(name)
