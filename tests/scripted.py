"""An HTTP server whose every answer a test writes: for what a well-behaved emulator never does."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Exchange(BaseHTTPRequestHandler):
    """One request and the means to answer it, well or badly."""

    protocol_version = "HTTP/1.1"
    server: Scripted

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # the client has gone, or the test has torn the connection down
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass

    def _any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(f"{self.command} {self.path}")
        self.server.answer(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

    def json(self) -> Any:
        return json.loads(self.body)

    def reply(self, status: int, document: Any, **headers: str) -> None:
        """A whole answer; `document` may be bytes."""
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def open_stream(self) -> None:
        """The head of a watch."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def event(self, what: str, obj: dict[str, Any]) -> None:
        """One event of a watch, in a chunk of its own as a real API server sends it."""
        self.wfile.write(chunk(json.dumps({"type": what, "object": obj}).encode() + b"\n"))

    def end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Scripted(ThreadingHTTPServer):
    """The server; `requests` lists what was asked, `answer` is called with each `Exchange` in a thread of its own."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, answer: Callable[[Exchange], None], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.answer = answer
        self.requests: list[str] = []
        self.released = threading.Event()  # set at the end, so that silent answers end too
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"

    def handle_error(self, *args: Any) -> None:
        pass


@contextmanager
def serving(answer: Callable[[Exchange], None], tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    server = Scripted(answer, tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
