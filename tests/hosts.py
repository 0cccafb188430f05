"""Internet hosts on this machine: a proxy that answers for each name, over TLS."""

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import trustme


class Hosts:
    """
    What is behind ``HTTPS_PROXY``: each host is the sandbox at *base_url*, with a certificate.

    ``tokens`` are those that a host got, and ``environment`` has whoever reads go through the proxy
    and trust the certificates.
    """

    def __init__(self, base_url: str, names: list[str], directory: Path) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(directory / "authority.pem"))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(self._context)
        self._sandbox = urlsplit(base_url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.tokens: dict[str, set[str]] = {}
        self.environment = {
            "HTTPS_PROXY": f"http://127.0.0.1:{self._listener.getsockname()[1]}",
            "NO_PROXY": "127.0.0.1",
            "SSL_CERT_FILE": str(directory / "authority.pem"),
        }

    def serve(self) -> None:
        """Answer until the proxy is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _tunnel(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            client.settimeout(20)
            asked = b""
            while b"\r\n\r\n" not in asked:
                received = client.recv(65536)
                if not received:
                    return
                asked += received
            host = asked.split()[1].decode().partition(":")[0]
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with (
                self._context.wrap_socket(client, server_side=True) as secure,
                socket.create_connection((self._sandbox.hostname, self._sandbox.port)) as server,
            ):
                self._pump(host, secure, server)

    def _pump(self, host: str, secure: ssl.SSLSocket, server: socket.socket) -> None:
        while True:
            ready = [secure] if secure.pending() else select.select([secure, server], [], [], 20)[0]
            for source in ready or [None]:
                data = source.recv(65536) if source else b""
                if not data:
                    return
                if source is secure:
                    self._record(host, data)
                (server if source is secure else secure).sendall(data)

    def _record(self, host: str, data: bytes) -> None:
        for line in data.decode("latin-1").splitlines():
            name, _, value = line.partition(":")
            if name.lower() == "authorization":
                with self._lock:
                    self.tokens.setdefault(host, set()).add(value.strip())


@contextmanager
def hosts(base_url: str, names: list[str], directory: Path) -> Iterator[Hosts]:
    """Run `Hosts` with these *names*."""
    made = Hosts(base_url, names, directory)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
