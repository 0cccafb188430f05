"""Errors of comments, each one line for people."""

from pulumi_cf_invoice.billing.errors import BillingError


class CommentError(BillingError):
    """A report cannot be posted. The message has the forge's answer, and what to do."""


class TransientError(CommentError):
    """A failure worth retrying; *wait* is in seconds, if the forge specifies one."""

    def __init__(self, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.wait = wait
