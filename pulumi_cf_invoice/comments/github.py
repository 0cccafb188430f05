"""GitHub, on github.com and on Enterprise servers, through its GraphQL API."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pulumi_cf_invoice.billing.cleaning import one_line
from pulumi_cf_invoice.comments.connection import Answer
from pulumi_cf_invoice.comments.errors import CommentError
from pulumi_cf_invoice.comments.forge import (
    Comment,
    Forge,
    Variables,
    host_of,
    number_of,
    owner_and_name,
    refuse_another_server,
)

_API = "https://api.github.com/graphql"
_IMITATORS = ("GITEA_ACTIONS", "FORGEJO_ACTIONS")
_STATUSES = {"FORBIDDEN": 403, "INSUFFICIENT_SCOPES": 403, "NOT_FOUND": 404}
_SIDES = ("head", "base")
_TRANSIENT = ("", "RATE_LIMIT", "RATE_LIMITED", "SERVICE_UNAVAILABLE", "INTERNAL", "TIMEOUT")
"""Types of errors worth retrying; internal failures have no type."""
_LIMITED = re.compile("rate limit|submitted too quickly", re.IGNORECASE)
"""What GitHub says of its limits, whatever type the error has, if any."""


class GitHub(Forge):
    """GitHub. A job's token belongs to the server that GITHUB_SERVER_URL names."""

    title = "GitHub"
    longest = 65_536
    # The order of GitHub's own command line.
    token_variables = ("GH_TOKEN", "GITHUB_TOKEN")
    permission = (
        "Give the job the permission `pull-requests: write`; the token of a fork's pull request "
        "may only read."
    )
    valid_token = "Set GH_TOKEN to a token that is valid, such as ${{ github.token }}."

    @staticmethod
    def runs(variables: Variables) -> bool:
        """Return whether the variables are those of GitHub Actions."""
        return variables.get("GITHUB_ACTIONS") == "true" and not imitates_github(variables)

    @staticmethod
    def api_url(variables: Variables) -> str | None:
        """Return the GraphQL endpoint of the server that a job's token belongs to."""
        server, endpoint = variables.get("GITHUB_SERVER_URL"), variables.get("GITHUB_GRAPHQL_URL")
        if not server:
            # Outside of a job, GitHub's own command line also uses these tokens for github.com.
            is_job = "GITHUB_ACTIONS" in variables or imitates_github(variables)
            return endpoint or (None if is_job else _API)
        host = host_of(server)
        if imitates_github(variables) or (not endpoint and host != "github.com"):
            raise CommentError(
                f"cannot comment: this job's token belongs to {one_line(host)}, which is not known "
                "to be GitHub's: for Gitea and Forgejo give --forge gitea, else --api-url"
            )
        if not endpoint:
            return _API
        refuse_another_server(variables, "GITHUB_SERVER_URL", "GITHUB_GRAPHQL_URL")
        return endpoint

    @staticmethod
    def repository(variables: Variables) -> str | None:
        """Return ``OWNER/NAME``."""
        return variables.get("GITHUB_REPOSITORY")

    @staticmethod
    def number(variables: Variables) -> int | None:
        """Return the number in the ref or the event, also of a merge queue or `workflow_run`."""
        return number_in_job(variables)

    @staticmethod
    def request_text(repository: str | None, number: int | None) -> str:
        """Return the pull request for people."""
        text = f"pull request {number}" if number else "a pull request"
        return f"{text} of {repository}" if repository else text

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        """Return the header that carries *token*."""
        return {"Authorization": f"Bearer {token}"}

    def pages(self) -> Iterator[list[Comment]]:
        """Yield the pull request's comments."""
        owner, name = owner_and_name(self.request.repository)
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
            request = self.at(answer.content, "data", "repository", "pullRequest")
            self._subject = str(self.at(request, "id"))
            nodes = self.entries(self.at(request, "comments", "nodes"))
            yield [self._comment(node) for node in nodes]
            if not self.at(request, "comments", "pageInfo", "hasNextPage"):
                return
            before, after = after, self.at(request, "comments", "pageInfo", "endCursor")
            if not isinstance(after, str) or after == before:
                raise self.odd()

    def create(self, body: str) -> Comment:
        """Add a comment to the pull request that `pages` found."""
        answer = self._query(
            "mutation($subject: ID!, $body: String!) { addComment(input: "
            "{subjectId: $subject, body: $body}) { commentEdge { node { id url } } } }",
            subject=self._subject,
            body=body,
        )
        return self._comment(self.at(answer.content, "data", "addComment", "commentEdge", "node"))

    def update(self, comment: Comment, body: str) -> Comment:
        """Replace the text of *comment*."""
        answer = self._query(
            "mutation($comment: ID!, $body: String!) { updateIssueComment(input: "
            "{id: $comment, body: $body}) { issueComment { id url } } }",
            comment=comment.id,
            body=body,
        )
        updated = self.at(answer.content, "data", "updateIssueComment", "issueComment")
        return self._comment(updated)

    def _query(self, query: str, **variables: Any) -> Answer:
        answer = self.ask("POST", json={"query": query, "variables": variables})
        content = answer.content if isinstance(answer.content, Mapping) else {}
        errors = content.get("errors")
        is_limited = (errors or "data" not in content) and _LIMITED.search(answer.message)
        if not (errors or is_limited):
            return answer
        kind = _type_of(errors)
        problem = self.connection.cleaned(answer.message) or "an error without a message"
        if is_limited or kind in _TRANSIENT:
            raise self.unable(problem)
        status = _STATUSES.get(kind)
        remedy = self.remedy(status) if status else "Check --api-url, --repository and --request."
        raise self.refused(problem, answer.message, remedy)

    def _comment(self, node: Any) -> Comment:
        address = node.get("url") if isinstance(node, Mapping) else None
        return Comment(
            str(self.at(node, "id")),
            str(node.get("body")),
            address if isinstance(address, str) else None,
            node.get("viewerDidAuthor") is True,
        )


def imitates_github(variables: Variables) -> bool:
    """Return whether a runner of Gitea or Forgejo set the variables of GitHub Actions."""
    return any(variables.get(name, "false") != "false" for name in _IMITATORS)


def number_in_job(variables: Variables) -> int | None:
    """Return the number of the pull request that a job of GitHub's kind runs for."""
    ref = variables.get("GITHUB_REF", "")
    in_ref = re.fullmatch("refs/pull/([0-9]+)/(?:merge|head)", ref)
    if in_ref:
        return number_of(in_ref[1])
    queued = _queued(ref) if variables.get("GITHUB_EVENT_NAME") == "merge_group" else None
    if queued:
        return queued
    try:
        event = json.loads(Path(variables["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        return _number_in_event(event)
    except (LookupError, OSError, ValueError, AttributeError, TypeError, RecursionError):
        return None


def _number_in_event(event: Mapping[str, Any]) -> int | None:
    if "merge_group" in event:
        return _queued(event["merge_group"]["head_ref"])
    if "workflow_run" in event:
        requests = event["workflow_run"]["pull_requests"]
        numbers = {request["number"] for request in requests if _is_of(event, request)}
        # With several, it would be a guess.
        return number_of(numbers.pop()) if len(numbers) == 1 else None
    issue = event.get("issue") or {}
    request = event.get("pull_request") or (issue if "pull_request" in issue else {})
    return number_of(request.get("number"))


def _queued(ref: str) -> int | None:
    """Return the number of the pull request at the end of a merge queue, which its *ref* has."""
    queued = re.fullmatch("refs/heads/gh-readonly-queue/.+/pr-([0-9]+)-[0-9a-f]+", ref)
    return number_of(queued[1]) if queued else None


def _is_of(event: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Return whether a *request* is from a branch of the repository of *event*, and to it."""
    sides = [event.get("repository"), *((request.get(side) or {}).get("repo") for side in _SIDES)]
    return len({side["id"] for side in sides if side}) <= 1


def _type_of(errors: Any) -> str:
    """Return the type of the first error that has one, or else the code of one in a query."""
    if not isinstance(errors, list):
        return "MALFORMED"
    entries = [error for error in errors if isinstance(error, Mapping)]
    kinds = [error["type"] for error in entries if isinstance(error.get("type"), str)]
    for error in entries:
        extensions = error.get("extensions")
        if isinstance(extensions, Mapping) and isinstance(extensions.get("code"), str):
            kinds.append(extensions["code"])
    return next(iter(kinds), "")
