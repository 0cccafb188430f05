"""Post a report on this job's pull or merge request, or update the one already there."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from pulumi_cf_invoice.report.markdown import MARKER


@dataclass
class Forge:
    """
    The comments of one pull or merge request, in the forge's own terms.

    ``comments`` is the address at which they are listed and created, ``comment`` the one to which
    the ID of a single comment is appended, and ``change`` the HTTP method that updates it.
    ``author`` is the field that holds a comment's author, and ``me`` the ID of this job's user.
    """

    http: httpx.Client
    comments: str
    comment: str
    change: str
    author: str
    me: Any

    def put(self, body: str) -> None:
        """Update our comment, or create it if there is none yet."""
        ours = next((c for c in self._all() if self._is_ours(c)), None)
        if ours is None:
            self._ask("POST", self.comments, json={"body": body})
        else:
            self._ask(self.change, f"{self.comment}/{ours['id']}", json={"body": body})

    def _is_ours(self, comment: dict[str, Any]) -> bool:
        # Anyone can start a comment with the marker, so the author has to match too.
        author = (comment.get(self.author) or {}).get("id")
        return author == self.me and (comment.get("body") or "").startswith(MARKER)

    def _all(self) -> Iterator[dict[str, Any]]:
        page: str | None = f"{self.comments}?per_page=100"
        while page:
            answer = self._ask("GET", page)
            yield from answer.json()
            page = answer.links.get("next", {}).get("url")

    def _ask(self, method: str, address: str, **more: Any) -> httpx.Response:
        answer = self.http.request(method, address, **more)
        if answer.is_error:
            sys.exit(f"cannot comment: {method} {answer.url} gave HTTP {answer.status_code}")
        return answer


def github() -> Forge:
    """Return GitHub's comments, authenticated with the job's own token."""
    api = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    http = httpx.Client(headers={"Authorization": f"Bearer {os.environ['GH_TOKEN']}"}, timeout=30)
    # The job's token acts as github-actions[bot], whose ID is the same everywhere.
    comments = f"{api}/{os.environ['PULL_REQUEST']}/comments"
    return Forge(http, comments, f"{api}/comments", "PATCH", "user", 41898282)


def gitlab() -> Forge:
    """Return GitLab's comments, authenticated with a project access token."""
    api = os.environ["CI_API_V4_URL"]
    http = httpx.Client(headers={"PRIVATE-TOKEN": os.environ["COMMENT_TOKEN"]}, timeout=30)
    request = os.environ["CI_MERGE_REQUEST_IID"]
    notes = f"{api}/projects/{os.environ['CI_PROJECT_ID']}/merge_requests/{request}/notes"
    me = http.get(f"{api}/user")
    if me.is_error:
        sys.exit(f"cannot comment: COMMENT_TOKEN was refused with HTTP {me.status_code}")
    return Forge(http, notes, notes, "PUT", "author", me.json()["id"])


if __name__ == "__main__":
    forge = github() if "GITHUB_API_URL" in os.environ else gitlab()
    forge.put(Path(sys.argv[1]).read_text(encoding="utf-8"))
