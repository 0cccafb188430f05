"""
Errors of the billing core, each one line for people.

    BillingError
    ├── SettingsError                  the account, credentials, base URL or an option cannot work
    │   └── MissingCredentialsError    no source has a credential
    ├── LimitError                     a spend limit cannot be parsed
    ├── RuleError                      a rule, or a file of rules, cannot be used as written
    ├── InvalidDataError               data does not fit its model
    ├── IncompleteLinesError           a sum of lines was requested, but some lines are missing
    ├── NotAvailableError              a snapshot does not have it, or is too old
    └── FetchError                     a request failed
        ├── ApiError                   Cloudflare refused, or could not answer
        ├── RateLimitError             the rate limit allows no request soon enough
        ├── TransportError             no complete answer arrived
        └── InvalidResponseError       an answer arrived that cannot be used

None of them needs Pulumi. Errors that the package's resource and functions raise in a Pulumi
program are also `pulumi.RunError`, for which Pulumi prints one line and no traceback. All can be
pickled and copied: ``args`` are the constructor's arguments.
"""


class BillingError(Exception):
    """Base of all errors. The message is one line and never contains a credential."""


class SettingsError(BillingError):
    """The account, the credentials, the base URL or an option cannot work as given."""


class MissingCredentialsError(SettingsError):
    """No source has a credential: neither arguments, stack config nor the environment."""


class LimitError(BillingError):
    """A spend limit cannot be parsed."""


class RuleError(BillingError):
    """A rule, or a file of rules, cannot be used as written. The message says what to do."""


class InvalidDataError(BillingError):
    """Data does not fit its model. The message names the field and what is wrong with it."""


class IncompleteLinesError(BillingError):
    """A sum of the invoice's lines is unknown, because the API returned only some of them."""


class NotAvailableError(BillingError):
    """A snapshot does not have what was requested, or is too old. The message says why."""


class FetchError(BillingError):
    """
    A request failed.

    ``noun`` is what was requested ("upcoming invoice"), and ``account_id`` is the account, empty
    for a list of accounts. ``problem`` is what went wrong and ``remedy`` what to do, each without
    the rest of the sentence. ``base_url`` is the address of the request, if it is not
    Cloudflare's.
    """

    base_url: str | None = None

    def __init__(self, noun: str, account_id: str, problem: str, remedy: str) -> None:
        super().__init__(noun, account_id, problem, remedy)
        self.noun = noun
        self.account_id = account_id
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return (
            f"cannot read the {self.noun}{_of(self.account_id)}: "
            f"{self.problem}. {self.remedy}{where_to(self.base_url)}"
        )


def where_to(base_url: str | None) -> str:
    """Return the end of an error, where a request went; empty if to Cloudflare, which is None."""
    return f" The request went to {base_url}, not to Cloudflare." if base_url else ""


class ApiError(FetchError):
    """
    Cloudflare answered with an error.

    ``status`` is the HTTP status, ``code`` the code of the innermost reason, if it has one, and
    ``message`` has all reasons in one line. ``ray_id`` is the answer's cf-ray, which Cloudflare's
    support asks for. ``retry_after`` is how long Cloudflare asks to wait, in seconds.
    """

    def __init__(
        self,
        noun: str,
        account_id: str,
        status: int,
        code: int | None,
        message: str,
        remedy: str,
        ray_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        answer = f"HTTP {status}" + ("" if code is None else f", code {code}") + f": {message}"
        problem = f"Cloudflare said {answer}{_in_brackets(ray_id)}"
        super().__init__(noun, account_id, problem, remedy)
        self.args = (noun, account_id, status, code, message, remedy, ray_id, retry_after)
        self.status = status
        self.code = code
        self.message = message
        self.ray_id = ray_id
        self.retry_after = retry_after


class RateLimitError(FetchError):
    """
    No request was sent, because the rate limit allows none soon enough.

    The message says when the limit resets, and how many requests the run made.
    """


class TransportError(FetchError):
    """No complete answer arrived: the network, TLS, a redirect, or the time limit."""


class InvalidResponseError(FetchError):
    """
    An answer arrived that cannot be used, or whose figures cannot be represented exactly.

    ``ray_id`` is the answer's cf-ray, if it has one.
    """

    def __init__(self, noun: str, account_id: str, problem: str, ray_id: str | None = None) -> None:
        super().__init__(
            noun,
            account_id,
            f"{problem}{_in_brackets(ray_id)}",
            "Check that the base URL is Cloudflare's API; if it is, report this to Cloudflare "
            "with the ray ID.",
        )
        self.args = (noun, account_id, problem, ray_id)
        self.ray_id = ray_id


def _of(account_id: str) -> str:
    return f" of account {account_id}" if account_id else ""


def _in_brackets(ray_id: str | None) -> str:
    return f" (ray ID {ray_id})" if ray_id else ""
