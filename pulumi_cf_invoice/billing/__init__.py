"""
Cloudflare's AI Gateway billing API, for any Python program: it needs no Pulumi.

`BillingClient` reads what `reads` declares, with `Credentials` and `Settings`; what it returns are
the models, such as `Invoice`. Each name is imported from its module on first use.
"""

from pulumi_cf_invoice._lazy import lazy_names

__getattr__, __dir__ = lazy_names(__name__)
