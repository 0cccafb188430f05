"""A loopback server with as much of a forge's comments API as a job uses, in pages of one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOT, STRANGER = 41898282, 7


class Forge(ThreadingHTTPServer):
    """
    The server, with what it received.

    ``comments`` name their author in the terms of both GitHub and GitLab, ``requests`` are request
    lines, and ``tokens`` are the credentials that came with them.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.comments: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.tokens: set[str] = set()

    @property
    def address(self) -> str:
        """The base URL of the API."""
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, body: str, author: int) -> dict[str, Any]:
        """Add a comment."""
        made = {"id": len(self.comments) + 1, "body": body}
        self.comments.append(made | {"user": {"id": author}, "author": {"id": author}})
        return made


@contextmanager
def running() -> Iterator[Forge]:
    """Serve a forge for the duration of the context."""
    with Forge() as forge:
        thread = threading.Thread(target=forge.serve_forever, daemon=True)
        thread.start()
        yield forge
        forge.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Forge

    def handle_one_request(self) -> None:
        super().handle_one_request()
        if self.requestline:
            self.server.requests.append(self.requestline)
            token = self.headers.get("PRIVATE-TOKEN") or self.headers.get("Authorization")
            self.server.tokens.add(token or "")

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path.endswith("/user"):
            self._answer({"id": BOT})
            return
        page = int(parse_qs(address.query).get("page", ["1"])[0])
        more = page < len(self.server.comments)
        following = f"{self.server.address}{address.path}?page={page + 1}"
        link = {"Link": f'<{following}>; rel="next"'} if more else {}
        self._answer(self.server.comments[page - 1 : page], **link)

    def do_POST(self) -> None:
        self._answer(self.server.add(self._body(), BOT))

    def do_PATCH(self) -> None:
        number = int(self.path.rsplit("/", 1)[1])
        comment = next(c for c in self.server.comments if c["id"] == number)
        comment["body"] = self._body()
        self._answer(comment)

    do_PUT = do_PATCH  # noqa: N815

    def _body(self) -> str:
        length = int(self.headers["Content-Length"])
        return str(json.loads(self.rfile.read(length))["body"])

    def _answer(self, content: Any, **headers: str) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Suppress the log of requests."""
