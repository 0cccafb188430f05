"""
A stand-in for HashiCorp Vault, which keeps the key of a stack's secrets.

With a passphrase, each process of Pulumi derives that key anew, which takes a fifth of a second: a
quarter of what an operation on a small stack costs.
"""

import json
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PROVIDER = "hashivault://tests"
"""The secrets provider of a stack whose key is kept here."""


class _Transit(BaseHTTPRequestHandler):
    """Vault's engine `transit`, under whose key the ciphertext is the plaintext."""

    def do_PUT(self) -> None:
        [text] = json.loads(self.rfile.read(int(self.headers["Content-Length"]))).values()
        kind = "plaintext" if "/decrypt/" in self.path else "ciphertext"
        answer = json.dumps({"data": {kind: text}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@cache
def address() -> str:
    """Return the address of a server that lasts as long as this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Transit)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
