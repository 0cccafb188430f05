"""
What can go wrong, in one line for people.

InvoicePreviewError
├── SettingsError             account, credentials, base URL or options that cannot work
│   └── CredentialsMissing    no source has a credential
├── ApiError                  Cloudflare refused, or could not answer now
├── ConnectionFailed          no complete answer arrived
└── BadAnswer                 an answer arrived that is no invoice

All are `pulumi.RunError`: uncaught in a program, Pulumi prints their line and no traceback.
"""

from pulumi import RunError


class InvoicePreviewError(RunError):
    """The upcoming invoice could not be had. Its text is one line and never holds a credential."""


class SettingsError(InvoicePreviewError):
    """The account, the credentials, the base URL or an option cannot work as given."""


class CredentialsMissing(SettingsError):
    """No source has a credential: neither arguments, stack config nor environment."""


class FetchError(InvoicePreviewError):
    """
    A request was made and gave no invoice.

    ``account_id`` is the account that was asked for.
    """

    def __init__(self, account_id: str, problem: str, remedy: str) -> None:
        super().__init__(
            f"cannot read the upcoming invoice of account {account_id}: {problem}. {remedy}"
        )
        self.account_id = account_id
        self.problem = problem


class ApiError(FetchError):
    """
    Cloudflare answered with an error.

    ``status`` is the HTTP status; ``code`` and ``message`` are the first error of the answer, where
    it has one; ``ray_id`` is the answer's cf-ray, which Cloudflare's support asks for;
    ``retry_after`` is the wait that it asks for, in seconds.
    """

    def __init__(
        self,
        account_id: str,
        *,
        status: int,
        code: int | None,
        message: str,
        ray_id: str | None,
        retry_after: float | None = None,
    ) -> None:
        said = f"HTTP {status}" + ("" if code is None else f", code {code}") + f": {message}"
        ray = f" (ray ID {ray_id})" if ray_id else ""
        super().__init__(account_id, f"Cloudflare said {said}{ray}", _remedy(status, retry_after))
        self.status = status
        self.code = code
        self.message = message
        self.ray_id = ray_id
        self.retry_after = retry_after


class ConnectionFailed(FetchError):
    """No complete answer arrived: the network, TLS, or the time limit."""


class BadAnswer(FetchError):
    """
    An answer arrived that is no invoice, or one whose figures cannot be carried exactly.

    ``ray_id`` is the answer's cf-ray, where it has one.
    """

    def __init__(self, account_id: str, problem: str, ray_id: str | None = None) -> None:
        ray = f" (ray ID {ray_id})" if ray_id else ""
        super().__init__(
            account_id,
            f"{problem}{ray}",
            "Check that the base URL is Cloudflare's API; if it is, report this to Cloudflare "
            "with the ray ID.",
        )
        self.ray_id = ray_id


def not_refreshed(account_id: str) -> str:
    """What a refresh says that has no credentials of its own. It is no error: the state stays."""
    return (
        f"the invoice of account {account_id} was not refreshed and keeps its stored figures: "
        "a refresh does not run the program, and no other source has credentials"
    )


_REMEDIES = {
    400: "Check the account ID and the form of the credentials.",
    401: "Check that the token is right, active and not expired.",
    403: "Give the token the permission AI Gateway Read on this account, or use one that has it.",
    404: "Check the account ID; an account that never used AI Gateway billing has no invoice.",
}


def _remedy(status: int, retry_after: float | None) -> str:
    if status == 429 and retry_after:
        return f"Cloudflare asks to wait {retry_after:.0f} s: run again after that."
    if status == 429:
        return "Too many requests for this account: wait five minutes and run again."
    if status >= 500:
        return "Cloudflare's side failed, and retries did not help: run again later."
    return _REMEDIES.get(status, "Report this to Cloudflare with the ray ID.")
