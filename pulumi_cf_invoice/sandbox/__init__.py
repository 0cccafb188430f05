"""
A local stand-in for Cloudflare's AI Gateway billing API, for demos, tests and CI.

It answers on loopback with made-up invoices (`SCENARIOS`) or with whatever can go wrong (`FAULTS`).
"""

from pulumi_cf_invoice.sandbox.faults import FAULTS
from pulumi_cf_invoice.sandbox.scenarios import SCENARIOS
from pulumi_cf_invoice.sandbox.server import Sandbox

__all__ = ["FAULTS", "SCENARIOS", "Sandbox"]
