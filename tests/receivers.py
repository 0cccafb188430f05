"""Loopback servers that take messages: a webhook, a chat behind a proxy, and mail."""

import json
import socketserver
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import trustme

ServerT = TypeVar("ServerT", bound=socketserver.BaseServer)
SECRET = "TIiajkdnlazkcOXrIdevi7FQ"


class Webhook(ThreadingHTTPServer):
    """
    A server that takes what is posted to it, for any host where it is used as a proxy.

    ``received`` are the host, the path and the JSON of each message; ``status`` is what it answers,
    ``line`` is one more among its headers, as it is, and ``parts`` are sent before the answer ends.
    With ``parts``, it does not say how long it is.
    """

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Webhook)
        self.context = context
        self.received: list[tuple[str, str, Any]] = []
        self.status = 200
        self.line = ""
        self.parts: Iterable[bytes] = ()

    @property
    def address(self) -> str:
        """The host and the port."""
        return f"127.0.0.1:{self.server_port}"


class _Webhook(BaseHTTPRequestHandler):
    server: Webhook

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.headers["Host"], self.path, json.loads(body)))
        self.send_response(self.server.status)
        if not self.server.parts:
            self.send_header("Content-Length", "2")
        if self.server.line:
            self.flush_headers()
            self.wfile.write(f"{self.server.line}\r\n".encode())
        self.end_headers()
        # Until whoever reads has enough.
        with suppress(OSError):
            for part in self.server.parts:
                self.wfile.write(part)
            self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Suppress the log of requests."""


class Mail(socketserver.ThreadingTCPServer):
    """A mail server. ``received`` are the texts of its mails."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.received: list[str] = []

    @property
    def address(self) -> str:
        """The host and the port."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Mail(socketserver.StreamRequestHandler):
    server: Mail

    def handle(self) -> None:
        self._say("220 ready")
        while line := self.rfile.readline():
            command = line.strip().upper()
            if command == b"DATA":
                self._say("354 go on")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                self.server.received.append(b"".join(lines).decode())
            self._say("221 bye" if command == b"QUIT" else "250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def webhook(directory: Path, *hosts: str) -> Iterator[tuple[Webhook, dict[str, str]]]:
    """
    Serve a webhook, also over TLS as *hosts*, for the duration of the context.

    With it comes the environment in which its certificate is trusted and it is the proxy.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    bundle = directory / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    with serving(Webhook(context)) as server:
        yield (
            server,
            {
                "HTTPS_PROXY": f"http://{server.address}",
                "NO_PROXY": "127.0.0.1",
                "REQUESTS_CA_BUNDLE": str(bundle),
            },
        )


@contextmanager
def notified(directory: Path) -> Iterator[tuple[Webhook, dict[str, str]]]:
    """Serve a webhook, also in place of chats, and return the environment that names it."""
    hosts = ("hooks.slack.com", "acme.webhook.office.com", "api.telegram.org")
    with webhook(directory, *hosts) as (server, environment):
        address = f"json://user:{SECRET}@{server.address}/hook"
        yield server, {**environment, "CF_INVOICE_NOTIFY": address}


@contextmanager
def mail() -> Iterator[Mail]:
    """Serve mail for the duration of the context."""
    with serving(Mail()) as server:
        yield server


@contextmanager
def serving(server: ServerT) -> Iterator[ServerT]:
    """Serve with *server* for the duration of the context."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
