"""Puts a report on the pull or merge request of this job, or updates the one that is there."""

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
    """Where comments are listed and made, and how one is changed, in the forge's own terms."""

    http: httpx.Client
    comments: str
    comment: str
    change: str
    author: str
    me: Any

    def put(self, body: str) -> None:
        """Change our comment, or make it."""
        ours = next((c for c in self._all() if self._is_ours(c)), None)
        if ours is None:
            self._ask("POST", self.comments, json={"body": body})
        else:
            self._ask(self.change, f"{self.comment}/{ours['id']}", json={"body": body})

    def _is_ours(self, comment: dict[str, Any]) -> bool:
        # Anybody can begin a comment with the marker, so the author counts too.
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
    """In GitHub Actions, with the job's own token."""
    api = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    http = httpx.Client(headers={"Authorization": f"Bearer {os.environ['GH_TOKEN']}"}, timeout=30)
    # The ID of github-actions[bot], whom the job's token speaks for, is the same everywhere.
    comments = f"{api}/{os.environ['PULL_REQUEST']}/comments"
    return Forge(http, comments, f"{api}/comments", "PATCH", "user", 41898282)


def gitlab() -> Forge:
    """In GitLab CI, with a project access token."""
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
