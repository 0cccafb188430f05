"""
What comments need from a forge, and what all forges share.

A forge finds the request that a CI job runs for, lists the comments on a request, and creates and
updates one. This module decides what a refusal means and what to do about it.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pulumi_cf_invoice.billing import retries
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.settings import is_loopback
from pulumi_cf_invoice.comments.connection import Answer, Connection
from pulumi_cf_invoice.comments.errors import CommentError, TransientError

Variables = Mapping[str, str]
"""Environment variables, with values stripped and without empty ones."""

MOST_PAGES = 100
"""The maximum number of pages of comments to read: ten thousand comments."""
_REMEDIES = {
    r"\blocked\b": "The request is locked: unlock its conversation, and run again.",
    r"\barchived\b": "The repository is archived, and takes no comments.",
    r"\bSAML\b|\bSSO\b|single sign-on": (
        "The organization requires single sign-on: authorize the token for it, or comment with the "
        "job's own token."
    ),
    r"\bIP allow list\b": (
        "The organization lets only some addresses in: run the job on a runner that has one."
    ),
    r"forbids access via": "Use a kind of token that the organization allows.",
    r"too long": "Write the report with `cf-invoice report --format markdown`.",
}
"""What to do about a refusal with a matching message, whatever its status."""
_LARGEST_NUMBER = 2**31 - 1


@dataclass(frozen=True)
class Request:
    """
    A pull or merge request, with the API and token to reach it.

    ``certificates`` is a file with additional authorities to trust.
    """

    forge: "type[Forge]"
    api_url: str
    repository: str
    number: int
    token: str = field(repr=False)
    certificates: str | None = None

    @property
    def text(self) -> str:
        """The request for people."""
        return one_line(self.forge.request_text(self.repository, self.number))


@dataclass(frozen=True)
class Comment:
    """
    A comment that exists.

    ``id`` is its ID in the forge's own terms, ``address`` that of its page, if the forge tells it,
    and ``is_ours`` says whether this token wrote it.
    """

    id: str
    body: str = ""
    address: str | None = None
    is_ours: bool = True


class Forge(ABC):
    """
    A forge, as one request is reached on it.

    Class variables: ``title`` is its name for people, ``longest`` the most characters of a comment,
    ``token_variables`` where its token is, the first that is set, and ``job_token_variables`` where
    it is in its own jobs besides. ``permission`` and ``valid_token`` say what to do about a token
    that may not comment, or is not valid, and ``must_be_named`` why a job does not tell by itself
    that it is the forge's.
    """

    title: ClassVar[str]
    longest: ClassVar[int]
    token_variables: ClassVar[tuple[str, ...]]
    job_token_variables: ClassVar[tuple[str, ...]] = ()
    permission: ClassVar[str]
    valid_token: ClassVar[str]
    must_be_named: ClassVar[str | None] = None

    def __init__(self, request: Request, deadline: float) -> None:
        self.request = request
        self.connection = Connection(
            request.api_url,
            request.token,
            self.headers(request.token),
            deadline,
            place=request.text,
            certificates=request.certificates,
        )

    @staticmethod
    @abstractmethod
    def runs(variables: Variables) -> bool:
        """Return whether *variables* are those of a job of this forge."""

    @staticmethod
    @abstractmethod
    def api_url(variables: Variables) -> str | None:
        """
        Return the address of the API that the token in *variables* belongs to.

        None asks the user for it. Raises `CommentError` if the token is another forge's.
        """

    @staticmethod
    @abstractmethod
    def repository(variables: Variables) -> str | None:
        """Return the repository of the request of a job with *variables*."""

    @staticmethod
    @abstractmethod
    def number(variables: Variables) -> int | None:
        """Return the number of the request of a job with *variables*."""

    @staticmethod
    def certificates(variables: Variables) -> str | None:
        """Return the file with additional authorities that a job with *variables* trusts."""
        return None

    @staticmethod
    @abstractmethod
    def request_text(repository: str | None, number: int | None) -> str:
        """Return a request for people, as far as it is known."""

    @staticmethod
    @abstractmethod
    def headers(token: str) -> dict[str, str]:
        """Return the headers that carry *token*."""

    @abstractmethod
    def pages(self) -> Iterator[list[Comment]]:
        """Yield the comments of the request, a page at a time."""

    @abstractmethod
    def create(self, body: str) -> Comment:
        """Create a comment."""

    @abstractmethod
    def update(self, comment: Comment, body: str) -> Comment:
        """Replace the text of *comment*."""

    def find(self, marker: str) -> Iterator[Comment]:
        """
        Yield the comments that this token wrote and that begin with *marker*, each once.

        Raises `CommentError` if there is none on the pages that are read, but there are more.
        """
        found = False
        seen: set[str] = set()
        for count, page in enumerate(self.pages()):
            new = {comment.id: comment for comment in page if comment.id not in seen}
            seen |= new.keys()
            if page and not new:
                # A proxy, for one, ignores which page is asked for.
                if found:
                    return
                raise self.odd()
            if count == MOST_PAGES:
                if found:
                    return
                raise CommentError(
                    f"cannot comment on {self.request.text}: it has more than {MOST_PAGES} pages "
                    f"of comments, and this report is on none of the first {MOST_PAGES}. Post the "
                    "report by hand."
                )
            for comment in new.values():
                # Anyone can begin a comment with the marker.
                if comment.is_ours and comment.body.startswith(marker):
                    found = True
                    yield comment

    def ask(self, method: str, path: str = "", **more: Any) -> Answer:
        """Make a request to the forge. Raises `CommentError` for anything but success."""
        answer = self.connection.ask(method, path, **more)
        if not 200 <= answer.status < 300:
            raise self._refusal(answer)
        return answer

    def odd(self) -> CommentError:
        """Return the error for an answer that does not match the request."""
        return CommentError(
            f"cannot comment on {self.request.text}: {self.title}'s answer lacks what was asked "
            "for. Check --api-url."
        )

    def at(self, content: Any, *path: str) -> Any:
        """Return the value at *path* in JSON. Raises `CommentError`."""
        for name in path:
            content = content.get(name) if isinstance(content, Mapping) else None
        if content is None:
            raise self.odd()
        return content

    def entries(self, content: Any) -> list[Mapping[str, Any]]:
        """Return *content*, a list of objects. Raises `CommentError`."""
        if not isinstance(content, list):
            raise self.odd()
        return [entry for entry in content if isinstance(entry, Mapping)]

    def identifier(self, value: Any) -> str:
        """Return a whole number that identifies something in a path. Raises `CommentError`."""
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
            raise self.odd()
        return str(value)

    def refused(self, problem: str, message: str, remedy: str) -> CommentError:
        """Return the error for a refusal, with the remedy of its *message* if that has one."""
        for pattern, better in _REMEDIES.items():
            if re.search(pattern, message, flags=re.IGNORECASE):
                remedy = better
                break
        return CommentError(self._sentence(problem, remedy))

    def unable(self, problem: str, wait: float | None = None) -> CommentError:
        """Return the error for a failure worth retrying."""
        self.connection.last_problem = f"{self.title} said {problem}"
        return TransientError(self._sentence(problem, "Run again later."), wait)

    def remedy(self, status: int) -> str:
        """Return what to do about a refusal with an HTTP *status*."""
        if status == 401:
            return self.valid_token
        if status == 403:
            return self.permission
        if status in (404, 410):
            return (
                "Check --repository, --request and --api-url, and that the token may see them: "
                "what a token may not see does not exist for it."
            )
        return "Check --api-url."

    def _refusal(self, answer: Answer) -> CommentError:
        status, message = answer.status, answer.message
        problem = f"HTTP {status}"
        cleaned = self.connection.cleaned(message)
        problem += f": {cleaned}" if cleaned else ""
        # GitHub's limits are a 403.
        limited = answer.wait is not None or "rate limit" in message.lower()
        if status in retries.TRANSIENT or (status == 403 and limited):
            return self.unable(problem, answer.wait)
        sso = "SSO" if answer.headers.get("x-github-sso") else ""
        return self.refused(problem, f"{message} {sso}", self.remedy(status))

    def _sentence(self, problem: str, remedy: str) -> str:
        return f"cannot comment on {self.request.text}: {self.title} said {problem}. {remedy}"


def host_of(url: str) -> str:
    """Return the host of *url* in lower case; it is empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def refuse_another_server(variables: Variables, server: str, address: str) -> None:
    """
    Raise `CommentError` if the *address* leads to another server than the job's own *server*.

    Both are names of *variables*, of which either may be absent.
    """
    if server not in variables or address not in variables:
        return
    own, asked = _host_and_port(variables[server]), _host_and_port(variables[address])
    if asked not in (own, f"api.{own}") and not is_loopback(host_of(variables[address])):
        raise CommentError(
            f"cannot comment: this job's token belongs to {one_line(own)} ({server}), and "
            f"{address} leads to {one_line(asked)}: give --api-url"
        )


def _host_and_port(url: str) -> str:
    """Return the host of *url*, with its port unless that is the usual one of the scheme."""
    try:
        parsed = urlsplit(url)
        is_usual = parsed.port in (None, {"https": 443, "http": 80}.get(parsed.scheme))
        return host_of(url) if is_usual else f"{host_of(url)}:{parsed.port}"
    except ValueError:
        return ""


def number_of(text: Any) -> int | None:
    """Return the number of a request in *text*, or None if there is none."""
    if not re.fullmatch("[0-9]{1,10}", str(text)):
        return None
    number = int(str(text))
    return number if 0 < number <= _LARGEST_NUMBER else None


def owner_and_name(repository: str) -> tuple[str, str]:
    """Return both parts of ``OWNER/NAME``. Raises `CommentError`."""
    owner, slash, name = repository.partition("/")
    if not (owner and slash and name) or "/" in name:
        raise CommentError(
            f"cannot comment: the repository {one_line(repository)!r} is not OWNER/NAME"
        )
    return owner, name
