"""
A loopback server with as much of a forge's API as comments need: GitHub's GraphQL, and the REST of
GitLab and of Gitea.

Queries are executed against the types of GitHub's schema, so that a wrong one fails. A page has one
comment, unless a test says otherwise.
"""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme
from graphql import build_schema, graphql_sync

BOT, STRANGER = 41898282, 7
REPOSITORY, NUMBER = "owner/name", 12
_SCHEMA = build_schema(
    """
    type Query { repository(owner: String!, name: String!): Repository }
    type Repository { pullRequest(number: Int!): PullRequest }
    type PullRequest { id: ID!, comments(first: Int, after: String): IssueCommentConnection! }
    type IssueCommentConnection { nodes: [IssueComment], pageInfo: PageInfo! }
    type PageInfo { hasNextPage: Boolean!, endCursor: String }
    type IssueComment { id: ID!, url: String!, body: String!, viewerDidAuthor: Boolean! }
    type Mutation {
      addComment(input: AddCommentInput!): AddCommentPayload
      updateIssueComment(input: UpdateIssueCommentInput!): UpdateIssueCommentPayload
    }
    input AddCommentInput { subjectId: ID!, body: String! }
    input UpdateIssueCommentInput { id: ID!, body: String! }
    type AddCommentPayload { commentEdge: IssueCommentEdge }
    type IssueCommentEdge { node: IssueComment }
    type UpdateIssueCommentPayload { issueComment: IssueComment }
    """
)


class Forge(ThreadingHTTPServer):
    """
    The server, with what it received.

    ``comments`` are dictionaries of ``id``, ``body`` and ``author``. ``refusals`` are answered to
    the next requests in their place, as a status, a content and headers; with None in place of a
    status the request is carried out and its answer gets lost. ``requests`` are request lines, and
    ``tokens`` are the credentials that came with them. Where ``trickle`` is set, an answer that is
    not refused never ends. A page has ``per_page`` comments.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.comments: list[dict[str, Any]] = []
        self.refusals: list[tuple[int | None, Any, dict[str, str]]] = []
        self.requests: list[str] = []
        self.tokens: set[str] = set()
        self.connections = 0
        self.scheme = "http"
        self.trickle = False
        self.per_page = 1
        self.over = threading.Event()

    @property
    def address(self) -> str:
        """The base URL of GitLab's API."""
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def get_request(self) -> Any:
        """Count a connection, whatever happens to it."""
        self.connections += 1
        return super().get_request()

    @property
    def github(self) -> dict[str, str]:
        """The variables of a job of GitHub Actions for the pull request."""
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_GRAPHQL_URL": f"{self.address}/graphql",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_REF": f"refs/pull/{NUMBER}/merge",
            "GH_TOKEN": "job-token",
        }

    @property
    def gitlab(self) -> dict[str, str]:
        """The variables of a job of GitLab CI for the merge request."""
        return {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": self.address,
            "CI_PROJECT_ID": "3",
            "CI_MERGE_REQUEST_IID": str(NUMBER),
            "GITLAB_TOKEN": "comment-token",
        }

    @property
    def gitea(self) -> dict[str, str]:
        """The variables of a job of Gitea Actions for the pull request."""
        return {
            "GITHUB_ACTIONS": "true",
            "GITEA_ACTIONS": "true",
            "GITHUB_SERVER_URL": self.address,
            "GITHUB_API_URL": f"{self.address}/api/v1",
            "GITHUB_GRAPHQL_URL": "",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_REF": f"refs/pull/{NUMBER}/head",
            "GITHUB_TOKEN": "gitea-job-token",
        }

    @property
    def bodies(self) -> list[str]:
        """The texts of all comments."""
        return [comment["body"] for comment in self.comments]

    def refuse(self, status: int, content: Any, **headers: str) -> None:
        """Refuse the next request."""
        self.refusals.append((status, content, headers))

    def lose_answer(self, after: int = 0) -> None:
        """Carry out the request that follows *after* others, and hang up instead of answering."""
        self.refusals += [(200, None, {})] * after + [(None, None, {})]

    def add(self, body: str, author: int = BOT) -> dict[str, Any]:
        """Add a comment."""
        made = {"id": len(self.comments) + 1, "body": body, "author": author}
        self.comments.append(made)
        return made


@contextmanager
def running(certificate: trustme.LeafCert | None = None) -> Iterator[Forge]:
    """Serve a forge for the duration of the context, over TLS if it has a *certificate*."""
    with Forge() as forge:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            forge.socket = context.wrap_socket(forge.socket, server_side=True)
            forge.scheme = "https"
        thread = threading.Thread(target=forge.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield forge
        forge.over.set()
        forge.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Forge

    def _handle(self) -> None:
        forge = self.server
        forge.requests.append(self.requestline)
        forge.tokens.add(
            self.headers.get("PRIVATE-TOKEN") or self.headers.get("Authorization") or ""
        )
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, content, headers = forge.refusals.pop(0) if forge.refusals else (200, None, {})
        if forge.trickle and content is None:
            self._trickle()
            return
        if status is None:
            self._answer_of(body)
            self.close_connection = True
            return
        if content is None:
            content, headers = self._answer_of(body)
        sent = content if isinstance(content, bytes) else _encoded(content)
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(sent)

    def _trickle(self) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while not self.server.over.wait(0.05):
                self.wfile.write(b" ")
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = _handle  # noqa: N815

    def _answer_of(self, body: bytes) -> tuple[Any, dict[str, str]]:
        address, sent = urlsplit(self.path), json.loads(body or b"{}")
        if address.path == "/graphql":
            return _github(self.server, sent), {}
        if address.path.removeprefix("/api/v1") == "/user":
            return {"id": BOT}, {}
        comments = self.server.comments
        if address.path.startswith("/api/v1/"):
            return _gitea(
                self.server, self.command, address.path, parse_qs(address.query), sent
            ), {}
        if self.command == "GET":
            page = int(parse_qs(address.query)["page"][0])
            following = str(page + 1) if page * self.server.per_page < len(comments) else ""
            return [_note(comment) for comment in _page(self.server, page)], {
                "X-Next-Page": following
            }
        if self.command == "POST":
            return _note(self.server.add(sent["body"])), {}
        return _note(_update(self.server, address.path.rsplit("/", 1)[1], sent["body"])), {}

    def log_message(self, *_: Any) -> None:
        """Suppress the log of requests."""


def _update(forge: Forge, identifier: str, body: str) -> dict[str, Any]:
    comment = next(comment for comment in forge.comments if str(comment["id"]) == identifier)
    comment["body"] = body
    return comment


def _encoded(content: Any) -> bytes:
    return content.encode() if isinstance(content, str) else json.dumps(content).encode()


def _gitea(
    forge: Forge, method: str, path: str, query: dict[str, list[str]], sent: dict[str, str]
) -> Any:
    def entry(comment: dict[str, Any]) -> dict[str, Any]:
        url = f"https://git.example.org/{REPOSITORY}/pulls/{NUMBER}#issuecomment-{comment['id']}"
        author = {"id": comment["author"]}
        return {"id": comment["id"], "body": comment["body"], "html_url": url, "user": author}

    if method == "PATCH":
        number = path.removeprefix(f"/api/v1/repos/{REPOSITORY}/issues/comments/")
        return entry(_update(forge, number, sent["body"]))
    assert path == f"/api/v1/repos/{REPOSITORY}/issues/{NUMBER}/comments"
    if method == "POST":
        return entry(forge.add(sent["body"]))
    return [entry(comment) for comment in _page(forge, int(query["page"][0]))]


def _page(forge: Forge, number: int) -> list[dict[str, Any]]:
    return forge.comments[(number - 1) * forge.per_page : number * forge.per_page]


def _note(comment: dict[str, Any]) -> dict[str, Any]:
    return {**comment, "author": {"id": comment["author"]}}


def _github(forge: Forge, sent: dict[str, Any]) -> Any:
    def node(comment: dict[str, Any]) -> dict[str, Any]:
        url = f"https://github.com/{REPOSITORY}/pull/{NUMBER}#issuecomment-{comment['id']}"
        mine = comment["author"] == BOT
        return {"id": comment["id"], "url": url, "body": comment["body"], "viewerDidAuthor": mine}

    def comments(_: Any, first: int, after: str | None = None) -> Any:
        page = int(after or 0) + 1
        has_next = page * forge.per_page < len(forge.comments)
        return {
            "nodes": [node(comment) for comment in _page(forge, page)],
            "pageInfo": {"hasNextPage": has_next, "endCursor": str(page)},
        }

    def repository(_: Any, owner: str, name: str) -> Any:
        return {"pullRequest": pull_request} if f"{owner}/{name}" == REPOSITORY else None

    def pull_request(_: Any, number: int) -> Any:
        return {"id": "PR", "comments": comments} if number == NUMBER else None

    def add_comment(_: Any, input: dict[str, str]) -> Any:
        return {"commentEdge": {"node": node(forge.add(input["body"]))}}

    def update_comment(_: Any, input: dict[str, str]) -> Any:
        return {"issueComment": node(_update(forge, input["id"], input["body"]))}

    done = graphql_sync(
        _SCHEMA,
        sent["query"],
        {
            "repository": repository,
            "addComment": add_comment,
            "updateIssueComment": update_comment,
        },
        variable_values=sent["variables"],
    )
    return done.formatted
