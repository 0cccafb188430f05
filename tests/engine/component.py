"""The plugin of a multi-language component that contains an invoice."""

from typing import TypedDict

import pulumi
import pulumi_cf_invoice_sdk as sdk
from pulumi.provider.experimental import component_provider_host


class SpendArgs(TypedDict):
    """The component's arguments, of which there are none."""


class Spend(pulumi.ComponentResource):
    """A component that exposes the amount due on the upcoming invoice."""

    amount_due: pulumi.Output[float]

    def __init__(
        self, name: str, args: SpendArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("tests:index:Spend", name, {}, opts)
        upcoming = sdk.InvoicePreview(f"{name}-upcoming", opts=pulumi.ResourceOptions(parent=self))
        self.amount_due = upcoming.amount_due
        self.register_outputs({"amountDue": self.amount_due})


if __name__ == "__main__":
    component_provider_host(name="tests", components=[Spend], version="1.0.0")
