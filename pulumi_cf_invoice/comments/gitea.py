"""
Gitea and Forgejo, through the REST API that they share.

Their runners set the variables of GitHub Actions, with their own token and addresses, so a job must
say which forge it runs on.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from pulumi_cf_invoice.comments.forge import (
    Comment,
    Forge,
    Variables,
    host_of,
    owner_and_name,
    refuse_another_server,
)
from pulumi_cf_invoice.comments.github import GitHub, imitates_github


class Gitea(Forge):
    """Gitea or Forgejo. In their jobs, GITHUB_TOKEN is their own token."""

    title = "Gitea"
    longest = 1_000_000
    token_variables = ("GITEA_TOKEN", "FORGEJO_TOKEN")
    job_token_variables = ("GITHUB_TOKEN",)
    permission = (
        "Give the job's token the permission `pull-requests: write`, or an access token the scopes "
        "`write:issue` and `read:user`; the token of a fork's pull request may only read."
    )
    valid_token = "Set GITEA_TOKEN to a token that is valid."
    must_be_named = (
        "this job's token belongs to a server that is not GitHub's: on Gitea and Forgejo give "
        "--forge gitea, on a GitHub Enterprise server --forge github with --api-url, or post the "
        "report by hand"
    )

    @staticmethod
    def runs(variables: Variables) -> bool:
        """Return whether the variables are those of Gitea Actions or Forgejo Actions."""
        # Older runners set no variable of their own; all set an empty GraphQL address.
        return imitates_github(variables) or (
            GitHub.runs(variables)
            and host_of(variables.get("GITHUB_SERVER_URL", "")) not in ("", "github.com")
            and "GITHUB_GRAPHQL_URL" not in variables
        )

    @staticmethod
    def api_url(variables: Variables) -> str | None:
        """Return the root of the REST API of the job's own server."""
        if not Gitea.runs(variables):
            return None
        refuse_another_server(variables, "GITHUB_SERVER_URL", "GITHUB_API_URL")
        server = variables.get("GITHUB_SERVER_URL")
        of_server = f"{server.rstrip('/')}/api/v1" if server else None
        return variables.get("GITHUB_API_URL") or of_server

    @staticmethod
    def repository(variables: Variables) -> str | None:
        """Return ``OWNER/NAME``."""
        return GitHub.repository(variables)

    @staticmethod
    def number(variables: Variables) -> int | None:
        """Return the number in the ref or the event."""
        return GitHub.number(variables)

    @staticmethod
    def request_text(repository: str | None, number: int | None) -> str:
        """Return the pull request for people."""
        return GitHub.request_text(repository, number)

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        """Return the header that carries *token*."""
        return {"Authorization": f"token {token}"}

    def pages(self) -> Iterator[list[Comment]]:
        """Yield the pull request's comments, which some versions return all at once."""
        me = self.identifier(self.at(self.ask("GET", "/user").content, "id"))
        seen: set[str] = set()
        page = 1
        while True:
            parameters = {"page": str(page), "limit": "50"}
            answer = self.ask("GET", self._of_request, params=parameters)
            comments = [self._comment(entry, me) for entry in self.entries(answer.content)]
            new = [comment for comment in comments if comment.id not in seen]
            if not new:
                return
            yield new
            seen |= {comment.id for comment in new}
            page += 1

    def create(self, body: str) -> Comment:
        """Add a comment to the pull request."""
        answer = self.ask("POST", self._of_request, json={"body": body})
        return self._comment(answer.content, "")

    def update(self, comment: Comment, body: str) -> Comment:
        """Replace the text of *comment*."""
        path = f"{self._repository}/issues/comments/{comment.id}"
        return self._comment(self.ask("PATCH", path, json={"body": body}).content, "")

    @property
    def _repository(self) -> str:
        owner, name = owner_and_name(self.request.repository)
        return f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}"

    @property
    def _of_request(self) -> str:
        return f"{self._repository}/issues/{self.request.number}/comments"

    def _comment(self, entry: Any, me: str) -> Comment:
        identifier = self.identifier(self.at(entry, "id"))
        author, address = entry.get("user"), entry.get("html_url")
        written_by = author.get("id") if isinstance(author, Mapping) else None
        return Comment(
            identifier,
            str(entry.get("body")),
            address if isinstance(address, str) else None,
            written_by is not None and str(written_by) == me,
        )
