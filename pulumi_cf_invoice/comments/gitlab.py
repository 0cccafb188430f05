"""GitLab, on gitlab.com and on self-managed servers, through its REST API."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from pulumi_cf_invoice.comments.connection import Answer
from pulumi_cf_invoice.comments.forge import (
    Comment,
    Forge,
    Variables,
    number_of,
    refuse_another_server,
)

_NOTES = 100
"""The notes of a page, the most that GitLab gives."""
_NEXT = re.compile(r'\brel="?next\b')


class GitLab(Forge):
    """GitLab. A merge request belongs to its target project."""

    title = "GitLab"
    longest = 1_000_000
    token_variables = ("GITLAB_TOKEN",)
    permission = (
        "Give GITLAB_TOKEN, a project access token, the scope `api` and at least the role "
        "Reporter; a locked merge request and an archived project take no comments."
    )
    valid_token = (
        "Set GITLAB_TOKEN to a project access token that is valid: CI_JOB_TOKEN may not comment."
    )

    @staticmethod
    def runs(variables: Variables) -> bool:
        """Return whether the variables are those of GitLab CI."""
        return variables.get("GITLAB_CI") == "true"

    @staticmethod
    def api_url(variables: Variables) -> str | None:
        """Return the root of the REST API of the job's own server."""
        refuse_another_server(variables, "CI_SERVER_URL", "CI_API_V4_URL")
        return variables.get("CI_API_V4_URL")

    @staticmethod
    def repository(variables: Variables) -> str | None:
        """Return the ID of the request's project."""
        # In a fork's pipeline, CI_PROJECT_ID is the fork.
        return variables.get("CI_MERGE_REQUEST_PROJECT_ID") or variables.get("CI_PROJECT_ID")

    @staticmethod
    def number(variables: Variables) -> int | None:
        """Return the number of the merge request within its project."""
        return number_of(variables.get("CI_MERGE_REQUEST_IID"))

    @staticmethod
    def certificates(variables: Variables) -> str | None:
        """Return the file with the authority of a self-managed server."""
        return variables.get("CI_SERVER_TLS_CA_FILE")

    @staticmethod
    def request_text(repository: str | None, number: int | None) -> str:
        """Return the merge request for people."""
        text = f"merge request {number}" if number else "a merge request"
        return f"{text} of project {repository}" if repository else text

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        """Return the header that carries *token*."""
        return {"PRIVATE-TOKEN": token}

    def pages(self) -> Iterator[list[Comment]]:
        """Yield the merge request's notes."""
        me = self.identifier(self.at(self.ask("GET", "/user").content, "id"))
        page = 1
        while True:
            parameters = {
                "per_page": str(_NOTES),
                "page": str(page),
                "sort": "asc",
                "order_by": "created_at",
            }
            answer = self.ask("GET", self._notes, params=parameters)
            yield [
                Comment(
                    self.identifier(note.get("id")),
                    str(note.get("body")),
                    is_ours=_author(note) == me,
                )
                for note in self.entries(answer.content)
            ]
            if not self._goes_on(answer, page):
                return
            page += 1

    def _goes_on(self, answer: Answer, page: int) -> bool:
        """Return whether more follows the *answer* to this *page*. Raises `CommentError`."""
        # The number, not the link, which could send a token elsewhere.
        following = answer.headers.get("x-next-page")
        if following is None:
            # A proxy may drop it. GitLab's own is empty at the end.
            is_full = len(answer.content) >= _NOTES
            return is_full or _NEXT.search(answer.headers.get("link", "")) is not None
        if following.strip() and number_of(following.strip()) != page + 1:
            raise self.odd()
        return bool(following.strip())

    def create(self, body: str) -> Comment:
        """Add a note to the merge request."""
        answer = self.ask("POST", self._notes, json={"body": body})
        return Comment(self.identifier(self.at(answer.content, "id")))

    def update(self, comment: Comment, body: str) -> Comment:
        """Replace the text of the note *comment*."""
        answer = self.ask("PUT", f"{self._notes}/{comment.id}", json={"body": body})
        return Comment(self.identifier(self.at(answer.content, "id")))

    @property
    def _notes(self) -> str:
        project = quote(self.request.repository, safe="")
        return f"/projects/{project}/merge_requests/{self.request.number}/notes"


def _author(note: Mapping[str, object]) -> str | None:
    author = note.get("author")
    return str(author.get("id")) if isinstance(author, Mapping) else None
