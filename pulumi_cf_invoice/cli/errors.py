"""The error of a command that cannot do what it was asked to."""

from pulumi_cf_invoice.billing.errors import BillingError


class CommandError(BillingError):
    """A command cannot do what its arguments say, or cannot read or write a file."""
