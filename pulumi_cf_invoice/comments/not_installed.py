"""
Replaces our comment on a GitHub pull request if what the Action installs is missing or broken.

Otherwise an older comment would stay green. This file runs on its own, on whatever Python a runner
has (3.6 or newer), and needs only the standard library.
"""

import json
import os
import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

MARKER = "<!-- pulumi-cf-invoice report -->"
# A hundred comments of 65,536 characters, each of which can be two escapes of six bytes.
LARGEST_ANSWER = 80 * 2**20
MOST_PAGES = 100
SECONDS = 60.0
FIND = """query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) { pullRequest(number: $number) {
    comments(first: 100, after: $after) {
      nodes { id body viewerDidAuthor } pageInfo { hasNextPage endCursor } } } } }"""
UPDATE = """mutation($comment: ID!, $body: String!) {
  updateIssueComment(input: {id: $comment, body: $body}) { issueComment { id } } }"""


ODD = "GitHub's answer lacks what was asked for."
ODD_JOB = "the number of the request, the job's token or GitHub's address cannot be read."


class NotReplacedError(Exception):
    """Why a comment could not be replaced, in words that repeat nothing that others wrote."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow no redirects: they would get the token."""


def replace(body: str, tag: str) -> bool:
    """Replace our comments of *tag*, and return whether there was one."""
    marker = MARKER.replace(" -->", " " + tag + " -->") if tag else MARKER
    replaced = False
    for comment in find(marker):
        updated = ask(UPDATE, comment=comment, body=marker + "\n\n" + body)
        if not updated["updateIssueComment"]["issueComment"]["id"]:
            raise NotReplacedError(ODD)
        replaced = True
    return replaced


def find(marker: str) -> "Iterator[str]":
    """
    Yield the IDs of the comments that this token wrote and that begin with *marker*.

    Raises `NotReplacedError` if there is none on the pages that are read, but there are more.
    """
    owner, _, name = os.environ["GITHUB_REPOSITORY"].partition("/")
    after, found, why = None, False, f"the request has more than {MOST_PAGES} pages of comments."
    for _ in range(MOST_PAGES):
        answered = ask(FIND, owner=owner, name=name, number=number(), after=after)
        comments = answered["repository"]["pullRequest"]["comments"]
        for node in filter(None, comments["nodes"]):
            if node["viewerDidAuthor"] is True and str(node["body"]).startswith(marker):
                found = True
                yield str(node["id"])
        page = comments["pageInfo"]
        if not page["hasNextPage"]:
            return
        if page["endCursor"] == after:
            # A proxy, for one, ignores which page is asked for.
            why = ODD
            break
        after = page["endCursor"]
    if not found:
        raise NotReplacedError(why)


def number() -> int:
    """Return the number of the pull request, which a merge queue has in its ref."""
    written = os.environ["PULL_REQUEST"]
    queued = re.match("refs/heads/gh-readonly-queue/.+/pr-([0-9]+)-[0-9a-f]+$", written)
    return int(queued.group(1) if queued else written)


def refuse_odd_job() -> None:
    """Raise `NotReplacedError` if the job's variables do not suffice to ask GitHub anything."""
    try:
        number()
        is_of_job(os.environ["GITHUB_GRAPHQL_URL"])
        is_token = re.match("[!-~]+$", os.environ["GH_TOKEN"].strip())
    except (KeyError, ValueError):
        raise NotReplacedError(ODD_JOB) from None
    if not is_token:
        raise NotReplacedError(ODD_JOB)


def ask(query: str, **variables: object) -> Any:
    """Return the ``data`` that GitHub answers to *query* with."""
    url = os.environ["GITHUB_GRAPHQL_URL"]
    if not is_of_job(url):
        raise NotReplacedError("GITHUB_GRAPHQL_URL is not an address of this job's GitHub.")
    sent = json.dumps({"query": query, "variables": variables}).encode()
    headers = {"Authorization": "Bearer " + os.environ["GH_TOKEN"].strip()}
    request = urllib.request.Request(url, sent, headers)
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(request, timeout=SECONDS) as answer:
        content = json.loads(answer.read(LARGEST_ANSWER).decode())
    if content.get("errors"):
        raise NotReplacedError("GitHub refused.")
    return content["data"]


def is_of_job(url: str) -> bool:
    """Return whether *url* is of the server that the job's token belongs to, or of this machine."""
    parsed = urlsplit(url)
    if parsed.hostname in ("127.0.0.1", "::1", "localhost"):
        return True
    server = urlsplit(os.environ.get("GITHUB_SERVER_URL", "https://github.com"))
    is_host = parsed.hostname in (server.hostname, "api." + str(server.hostname))
    return parsed.scheme == "https" and is_host and (parsed.port or 443) == (server.port or 443)


def outcome(file_name: str) -> str:
    """Replace the comment by the text in the file of that name, and return what was done."""
    try:
        refuse_odd_job()
        replaced = replace(read(file_name), os.environ.get("TAG", ""))
    except Exception as error:
        return "An older comment could not be replaced: " + reason(error)
    return "Replaced the older comment." if replaced else "There is no older comment."


def read(file_name: str) -> str:
    """Return the text in the file of that name."""
    try:
        with open(file_name, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except (OSError, UnicodeError):
        raise NotReplacedError("what would replace it cannot be read.") from None


def reason(error: Exception) -> str:
    """Say in words what an *error* means, whose own message could repeat the token."""
    if isinstance(error, NotReplacedError):
        return str(error)
    if isinstance(error, urllib.error.HTTPError):
        return f"GitHub said HTTP {error.code}."
    if isinstance(error, (OSError, HTTPException)):
        return "GitHub could not be reached."
    return ODD


def main() -> None:
    """Replace the comment by the text in the file that is named, and say what was done in time."""
    outcomes = ["An older comment could not be replaced: GitHub did not answer in time."]
    # urllib's timeout applies to each step: headers that trickle in restart it.
    thread = threading.Thread(target=lambda: outcomes.append(outcome(sys.argv[1])), daemon=True)
    thread.start()
    thread.join(SECONDS)
    print(outcomes[-1], flush=True)


if __name__ == "__main__":
    main()
