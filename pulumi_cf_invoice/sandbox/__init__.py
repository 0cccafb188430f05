"""
A local stand-in for Cloudflare's AI Gateway billing API, for demos, tests and CI.

It answers on loopback with made-up invoices (`SCENARIOS`) or with whatever can go wrong (`FAULTS`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pulumi_cf_invoice.sandbox.faults import FAULTS
    from pulumi_cf_invoice.sandbox.scenarios import SCENARIOS
    from pulumi_cf_invoice.sandbox.server import Sandbox

__all__ = ["FAULTS", "SCENARIOS", "Sandbox"]

# Imported when asked for, so that the command can say that the extra is missing.
_MODULE_OF = {"FAULTS": "faults", "SCENARIOS": "scenarios", "Sandbox": "server"}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
