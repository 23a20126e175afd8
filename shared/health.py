"""What a process says of itself over HTTP: is it alive, is it ready, and if not, why.

`/healthz` answers 200 while the process makes progress and 503 when its main loop hangs, so that Kubernetes restarts
it. `/readyz` answers 200 or 503 with the same report as JSON: `reasons` says in sentences what is missing. The report
never holds a credential. `/metrics` is for Prometheus. Plain HTTP, read only, one thread per connection.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from shared.errors import AkoError
from shared.exposition import CONTENT_TYPE

log = logging.getLogger(__name__)

SECONDS = 5.0  # for one request

# Returns at least `alive` (bool), `ready` (bool) and `reasons` (sentences, empty when ready); all of it JSON-able.
Report = Callable[[], dict[str, Any]]
Metrics = Callable[[], bytes]


class _Server(ThreadingHTTPServer):
    """Listens on IPv6 and IPv4 where the machine has both, else on IPv4."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        super().__init__(("", port), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class HealthServer:
    """Serves report and metrics of this process on `port` (0: a free one) until `close`.

    Raises AkoError when the port is taken.
    """

    def __init__(self, port: int, report: Report, metrics: Metrics) -> None:
        try:
            self._server = _Server(port, _handler(report, metrics))
        except OSError as error:
            raise AkoError(
                f"cannot listen on port {port} for /healthz, /readyz and /metrics ({error.strerror})",
                action="Give another --health-port; 0 takes a free one",
            ) from None
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()


def _handler(report: Report, metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = SECONDS

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._send(200, CONTENT_TYPE, metrics())
                return
            asked = {"/healthz": "alive", "/readyz": "ready"}.get(path)
            if asked is None:
                self._answer(404, {"error": "ask for /healthz, /readyz or /metrics"})
                return
            said = report()
            self._answer(200 if said[asked] else 503, said)

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            self._send(status, "application/json", orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")

        def _send(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            log.debug("health: %s", format % args)

    return Handler
