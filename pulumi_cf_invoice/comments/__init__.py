"""
Comments that carry a report, on a pull request of GitHub or a merge request of GitLab.

Of all comments there, ours is the one that was written with this token and begins with the marker
of its tag. It is updated, so that a request has one comment of each tag.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

import tenacity

from pulumi_cf_invoice.billing import retries
from pulumi_cf_invoice.billing.answers import reasons
from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.billing.credentials import unsendable
from pulumi_cf_invoice.billing.errors import BillingError, SettingsError
from pulumi_cf_invoice.billing.http import httpx
from pulumi_cf_invoice.billing.settings import is_loopback, safe_base_url
from pulumi_cf_invoice.report.markdown import MARKER

ForgeName = Literal["github", "gitlab"]
_SECONDS = 30.0
_LONGEST_WAIT = 60.0
_LONGEST_MESSAGE = 300


class CommentError(BillingError):
    """A report cannot be posted. The text says what the forge said, and what to do."""


class _TransientError(CommentError):
    """A failure that can get better by itself; *wait* is in seconds, if the forge asks for one."""

    def __init__(self, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.wait = wait


@dataclass(frozen=True)
class Request:
    """
    A pull or merge request, and the API and token that it is reached by.

    ``api_url`` is GitHub's GraphQL endpoint or the root of GitLab's REST API. ``repository`` is
    ``owner/name``, or with GitLab a project's ID as well.
    """

    forge: ForgeName
    api_url: str
    repository: str
    number: int
    token: str = field(repr=False)

    @property
    def text(self) -> str:
        """The request for people."""
        if self.forge == "github":
            return f"pull request {self.number} of {self.repository}"
        return f"merge request {self.number} of project {self.repository}"


@dataclass(frozen=True)
class Comment:
    """A comment: its ID in the forge's own terms, and its address, if the forge tells it."""

    id: str
    address: str | None


def find_request(
    variables: Mapping[str, str],
    *,
    forge: ForgeName | None = None,
    api_url: str | None = None,
    repository: str | None = None,
    number: int | None = None,
) -> Request:
    """
    Return the request that a job of CI runs for, by the *variables* of GitHub Actions or GitLab CI.

    What is given comes before the variables. Raises `CommentError` if something is missing, or if
    *api_url* is not an address that a token may be sent to.
    """
    forge = forge or _forge_of(variables)
    if forge == "github":
        # The order of GitHub's own command line.
        token = variables.get("GH_TOKEN") or variables.get("GITHUB_TOKEN")
        api_url = api_url or variables.get("GITHUB_GRAPHQL_URL") or "https://api.github.com/graphql"
        repository = repository or variables.get("GITHUB_REPOSITORY")
        number = number or _number_on_github(variables)
        token_variable = "GH_TOKEN or GITHUB_TOKEN"
    else:
        token = variables.get("GITLAB_TOKEN")
        api_url = api_url or variables.get("CI_API_V4_URL") or "https://gitlab.com/api/v4"
        repository = repository or variables.get("CI_PROJECT_ID")
        number = number or _whole(variables.get("CI_MERGE_REQUEST_IID"))
        token_variable = "GITLAB_TOKEN"
    if not repository:
        raise CommentError("cannot comment: it is not known where: give --repository")
    if not number:
        raise CommentError(
            "cannot comment: this job runs for no pull or merge request: give --request NUMBER"
        )
    if not (token or "").strip():
        raise CommentError(f"cannot comment: no token: set {token_variable}")
    problem = unsendable({"access token": str(token).strip()})
    if problem:
        raise CommentError(f"cannot comment: {token_variable} {problem}")
    return Request(forge, _safe(api_url), repository, number, str(token).strip())


def _safe(api_url: str) -> str:
    try:
        return safe_base_url(api_url)
    except SettingsError as error:
        raise CommentError(f"cannot comment: --api-url: {error}") from None


def tagged(report: str, tag: str | None) -> str:
    """
    Return a *report* in Markdown as the comment of *tag*.

    Raises `CommentError` if *tag* cannot stand in a marker, or the report is empty.
    """
    text = report.removeprefix("\ufeff").removeprefix(MARKER).strip()
    if not text:
        raise CommentError("cannot comment: the report is empty")
    return f"{marker(tag)}\n\n{text}\n"


def marker(tag: str | None) -> str:
    """Return the line that a comment of *tag* begins with. Raises `CommentError`."""
    if tag is None:
        return MARKER
    if not re.fullmatch("(?!.*--)[A-Za-z0-9][A-Za-z0-9._/-]{0,63}", tag):
        raise CommentError(
            f"cannot comment: the tag {one_line(tag)!r} is not up to 64 letters, digits and . _ / -"
        )
    return MARKER.replace(" -->", f" {tag} -->")


def post(request: Request, body: str, *, dry_run: bool = False) -> str:
    """
    Update our comment of the same marker, or create it, and return what was done, as a sentence.

    In a *dry_run* nothing is written. Raises `CommentError`.
    """
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_helps_to_retry),
        wait=_wait,
        stop=tenacity.stop_after_attempt(retries.ATTEMPTS),
        reraise=True,
    )
    with _connection(request) as http:
        # As a whole, so that a comment which was created although its answer got lost is found.
        return attempts(_post, _Forge.of(request, http), body, dry_run)


def _post(forge: "_Forge", body: str, dry_run: bool) -> str:
    if len(body) > forge.longest:
        raise CommentError(
            f"cannot comment: the report has {len(body):,} characters, and a comment at most "
            f"{forge.longest:,}: write it with `cf-invoice report --format markdown`"
        )
    where = forge.request.text
    ours = forge.find(body.partition("\n")[0])
    if ours is None:
        if dry_run:
            return f"Would comment on {where}."
        return f"Commented on {where}{_at(forge.create(body))}"
    if dry_run:
        return f"Would update the comment on {where}{_at(ours)}"
    return f"Updated the comment on {where}{_at(forge.update(ours, body))}"


def _at(comment: Comment) -> str:
    return f": {one_line(comment.address)}" if comment.address else "."


class _Forge:
    """What the two forges share: asking, and telling what was refused."""

    title: ClassVar[str]
    longest: ClassVar[int]
    permission: ClassVar[str]
    valid_token: ClassVar[str]

    def __init__(self, request: Request, http: "httpx.Client") -> None:
        self.request = request
        self.http = http

    @staticmethod
    def of(request: Request, http: "httpx.Client") -> "_Forge":
        return (_GitHub if request.forge == "github" else _GitLab)(request, http)

    def find(self, marker: str) -> Comment | None:
        """Return the comment that this token wrote and that begins with *marker*."""
        raise NotImplementedError

    def create(self, body: str) -> Comment:
        """Create a comment."""
        raise NotImplementedError

    def update(self, comment: Comment, body: str) -> Comment:
        """Replace the text of *comment*."""
        raise NotImplementedError

    def ask(self, method: str, path: str = "", **more: Any) -> "httpx.Response":
        """Ask the forge. Raises `CommentError` for whatever is no success."""
        try:
            answer = self.http.request(method, f"{self.request.api_url}{path}", **more)
        except httpx.HTTPError as error:
            host = urlsplit(self.request.api_url).hostname
            said = one_line(str(error)) or type(error).__name__
            raise _TransientError(
                f"cannot comment on {self.request.text}: no answer from {host}: {said}. "
                "Check the network, and run again."
            ) from None
        if not answer.is_success:
            raise self._refusal(answer)
        return answer

    def found(self, answer: "httpx.Response", *path: str) -> Any:
        """Return what stands at *path* in the JSON of an *answer*. Raises `CommentError`."""
        try:
            content = answer.json()
            for name in path:
                content = content[name]
        except (ValueError, RecursionError, LookupError, TypeError):
            content = None
        if content is None:
            raise CommentError(
                f"cannot comment on {self.request.text}: {self.title}'s answer lacks what was "
                "asked for. Check --api-url."
            )
        return content

    def refused(self, said: str, remedy: str) -> CommentError:
        """Return the error for a refusal."""
        return CommentError(self._sentence(said, remedy))

    def unable(self, said: str, wait: float | None = None) -> CommentError:
        """Return the error for what can get better by itself."""
        return _TransientError(self._sentence(said, "Run again later."), wait)

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

    def _refusal(self, answer: "httpx.Response") -> CommentError:
        status, wait = answer.status_code, retries.retry_after(answer.headers)
        said = f"HTTP {status}{_message(answer)}"
        # GitHub's secondary limits are a 403.
        if status in retries.TRANSIENT or (status == 403 and wait is not None):
            return self.unable(said, wait)
        return self.refused(said, self.remedy(status))

    def _sentence(self, said: str, remedy: str) -> str:
        return f"cannot comment on {self.request.text}: {self.title} said {said}. {remedy}"


class _GitHub(_Forge):
    title = "GitHub"
    longest = 65_536
    permission = (
        "Give the job the permission `pull-requests: write`; the token of a fork's pull request "
        "may only read."
    )
    valid_token = "Set GH_TOKEN to a token that is valid, such as ${{ github.token }}."

    def find(self, marker: str) -> Comment | None:
        return next(
            (
                Comment(str(one["id"]), one.get("url"))
                for one in self._comments()
                if one.get("viewerDidAuthor")
                and "id" in one
                and str(one.get("body")).startswith(marker)
            ),
            None,
        )

    def create(self, body: str) -> Comment:
        answer = self._query(
            "mutation($subject: ID!, $body: String!) { addComment(input: "
            "{subjectId: $subject, body: $body}) { commentEdge { node { id url } } } }",
            subject=self._subject,
            body=body,
        )
        return self._comment(self.found(answer, "data", "addComment", "commentEdge", "node"))

    def update(self, comment: Comment, body: str) -> Comment:
        answer = self._query(
            "mutation($comment: ID!, $body: String!) { updateIssueComment(input: "
            "{id: $comment, body: $body}) { issueComment { id url } } }",
            comment=comment.id,
            body=body,
        )
        return self._comment(self.found(answer, "data", "updateIssueComment", "issueComment"))

    def _comments(self) -> Iterator[Mapping[str, Any]]:
        owner, _, name = self.request.repository.partition("/")
        after = None
        while True:
            answer = self._query(
                "query($owner: String!, $name: String!, $number: Int!, $after: String) "
                "{ repository(owner: $owner, name: $name) { pullRequest(number: $number) "
                "{ id comments(first: 100, after: $after) { nodes { id url body viewerDidAuthor } "
                "pageInfo { hasNextPage endCursor } } } } }",
                owner=owner,
                name=name,
                number=self.request.number,
                after=after,
            )
            there = ("data", "repository", "pullRequest")
            self._subject = self.found(answer, *there, "id")
            yield from _mappings(self.found(answer, *there, "comments", "nodes"))
            if not self.found(answer, *there, "comments", "pageInfo", "hasNextPage"):
                return
            after = self.found(answer, *there, "comments", "pageInfo", "endCursor")

    def _query(self, query: str, **variables: Any) -> "httpx.Response":
        answer = self.ask("POST", json={"query": query, "variables": variables})
        errors = _json(answer).get("errors")
        if not errors:
            return answer
        kind = next((str(one.get("type", "")) for one in errors if isinstance(one, Mapping)), "")
        status = {"FORBIDDEN": 403, "INSUFFICIENT_SCOPES": 403, "NOT_FOUND": 404}.get(kind)
        said = _message(answer).removeprefix(": ") or "an error without a message"
        if status is None:
            # It has no other errors than limits and failures of its own, while a query is right.
            raise self.unable(said)
        raise self.refused(said, self.remedy(status))

    @staticmethod
    def _comment(node: Mapping[str, Any]) -> Comment:
        return Comment(str(node.get("id")), node.get("url"))


class _GitLab(_Forge):
    title = "GitLab"
    longest = 1_000_000
    permission = (
        "Give GITLAB_TOKEN, a project access token, the scope `api` and at least the role Reporter."
    )
    valid_token = (
        "Set GITLAB_TOKEN to a project access token that is valid: CI_JOB_TOKEN may not comment."
    )

    def find(self, marker: str) -> Comment | None:
        me = self.found(self.ask("GET", "/user"), "id")
        return next(
            (
                Comment(str(note["id"]), None)
                for note in self._notes_there()
                # Anyone can begin a comment with the marker.
                if (note.get("author") or {}).get("id") == me
                and "id" in note
                and str(note.get("body")).startswith(marker)
            ),
            None,
        )

    def create(self, body: str) -> Comment:
        answer = self.ask("POST", self._notes, json={"body": body})
        return Comment(str(self.found(answer, "id")), None)

    def update(self, comment: Comment, body: str) -> Comment:
        self.ask("PUT", f"{self._notes}/{comment.id}", json={"body": body})
        return comment

    @property
    def _notes(self) -> str:
        project = quote(self.request.repository, safe="")
        return f"/projects/{project}/merge_requests/{self.request.number}/notes"

    def _notes_there(self) -> Iterator[Mapping[str, Any]]:
        page: str | None = "1"
        while page:
            parameters = {"per_page": "100", "page": page, "sort": "asc", "order_by": "created_at"}
            answer = self.ask("GET", self._notes, params=parameters)
            yield from _mappings(self.found(answer))
            # The number, and not the link, which could lead a token elsewhere.
            page = answer.headers.get("x-next-page")


def _connection(request: Request) -> "httpx.Client":
    name = "Authorization" if request.forge == "github" else "PRIVATE-TOKEN"
    token = f"Bearer {request.token}" if request.forge == "github" else request.token
    try:
        return httpx.Client(
            headers={name: token, "Accept": "application/json"},
            timeout=_SECONDS,
            # A proxy of the environment is for the network, not for this machine's own addresses.
            trust_env=not is_loopback(urlsplit(request.api_url).hostname or ""),
        )
    except (ImportError, OSError, ValueError, httpx.InvalidURL):
        # What httpx says of an address can quote a part of the proxy's password.
        raise CommentError(
            f"cannot comment on {request.text}: no connection can be set up. Check HTTPS_PROXY, "
            "ALL_PROXY and NO_PROXY, and SSL_CERT_FILE."
        ) from None


def _helps_to_retry(error: BaseException) -> bool:
    return isinstance(error, _TransientError) and (error.wait or 0.0) <= _LONGEST_WAIT


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.wait if isinstance(error, _TransientError) else None) or retries.backoff(state)


def _forge_of(variables: Mapping[str, str]) -> ForgeName:
    if variables.get("GITLAB_CI") == "true":
        return "gitlab"
    if variables.get("GITHUB_ACTIONS") == "true":
        return "github"
    raise CommentError(
        "cannot comment: this is neither GitHub Actions nor GitLab CI: give --forge, --repository "
        "and --request"
    )


def _number_on_github(variables: Mapping[str, str]) -> int | None:
    of_ref = re.fullmatch("refs/pull/([0-9]+)/(?:merge|head)", variables.get("GITHUB_REF", ""))
    if of_ref:
        return int(of_ref[1])
    try:
        event = json.loads(Path(variables["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        issue = event.get("issue") or {}
        request = event.get("pull_request") or (issue if "pull_request" in issue else {})
        return _whole(str(request.get("number")))
    except (LookupError, OSError, ValueError, AttributeError, TypeError):
        return None


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch("[0-9]{1,18}", text) else None


def _mappings(values: Any) -> list[Mapping[str, Any]]:
    return [one for one in values if isinstance(one, Mapping)] if isinstance(values, list) else []


def _json(answer: "httpx.Response") -> Mapping[str, Any]:
    try:
        content = answer.json()
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, Mapping) else {}


def _message(answer: "httpx.Response") -> str:
    """Return what a refusal says, behind a colon, or nothing."""
    said = "; ".join(dict.fromkeys(reason.message for reason in reasons(_json(answer))))
    return f": {one_line(said, _LONGEST_MESSAGE).rstrip('.')}" if said else ""
