from pulumi_cf_invoice.sandbox.faults import (
    FAULTS as FAULTS,
)
from pulumi_cf_invoice.sandbox.scenarios import (
    SCENARIOS as SCENARIOS,
)
from pulumi_cf_invoice.sandbox.server import (
    Sandbox as Sandbox,
)

__all__: list[str]
