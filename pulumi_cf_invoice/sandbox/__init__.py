"""
A local stand-in for Cloudflare's AI Gateway billing API, for demos, tests and CI.

It answers on loopback, with made-up invoices (`SCENARIOS`) or with what can go wrong (`FAULTS`).
"""

from typing import TYPE_CHECKING, Any

from pulumi_cf_invoice._lazy import lazy_names

if TYPE_CHECKING:
    from pulumi_cf_invoice.sandbox.faults import FAULTS
    from pulumi_cf_invoice.sandbox.scenarios import SCENARIOS
    from pulumi_cf_invoice.sandbox.server import Sandbox

__all__ = ["FAULTS", "SCENARIOS", "Sandbox"]

# Imported when they are asked for, so that the command can say that the extra is missing.
_import_name = lazy_names(
    __name__, {"faults": ["FAULTS"], "scenarios": ["SCENARIOS"], "server": ["Sandbox"]}
)


def __getattr__(name: str) -> Any:
    return _import_name(name)
