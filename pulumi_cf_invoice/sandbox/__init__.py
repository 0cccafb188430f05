"""
A local stand-in for Cloudflare's AI Gateway billing API, for demos, tests and CI.

It answers on loopback, with made-up invoices (`SCENARIOS`) or with what can go wrong (`FAULTS`).
"""

from pulumi_cf_invoice._lazy import lazy_names

# Imported on first use, so that the command can say that the extra is missing.
__getattr__, __dir__ = lazy_names(__name__)
