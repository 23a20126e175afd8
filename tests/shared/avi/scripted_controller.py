"""A controller of a few lines that does exactly what a test tells it to, for faults that are hard to get otherwise."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

CSRF, SESSION = "csrf-secret-0001", "session-secret-0001"
Reply = tuple[int, Any] | tuple[int, Any, list[tuple[str, str]]]


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    connection: int  # which TCP connection it came by

    @property
    def cookies(self) -> dict[str, str]:
        pairs = (part.strip().partition("=") for part in self.headers.get("cookie", "").split(";"))
        return {name: value for name, _, value in pairs}


@dataclass
class Controller:
    """`answer` and `login` decide what is said: (status, body[, headers]), None to end the connection, or a function
    that does something else with the socket.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    logins: list[Request] = field(default_factory=list)
    answer: Callable[[Request], Reply | Callable[[socket.socket], None] | None] = lambda request: (
        200,
        {"uuid": "u", "name": "n"},
    )
    login: Callable[[Request], Reply | None] = lambda request: logged_in()


def logged_in(csrf: str = CSRF, session: str = SESSION) -> Reply:
    cookies = [
        ("Set-Cookie", f"csrftoken={csrf}; Path=/"),
        ("Set-Cookie", f"avi-sessionid={session}; Path=/; HttpOnly"),
    ]
    return 200, {"session_cookie_name": "avi-sessionid"}, cookies


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    controller: Controller

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length", 0))
        data = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        body = json.loads(data) if data else None
        request = Request(self.command, parts.path, query, headers, body, self.client_address[1])
        at_login = parts.path == "/login"
        (self.controller.logins if at_login else self.controller.requests).append(request)
        self._reply((self.controller.login if at_login else self.controller.answer)(request))

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that http.server looks for

    def _reply(self, reply: Any) -> None:
        if reply is None or callable(reply):
            if reply is not None:
                reply(self.connection)
            self.close_connection = True
            return
        status, body, extra = reply if len(reply) == 3 else (*reply, [])
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        if status == 204:
            data = b""
        self.send_response(status)
        for name, value in extra:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests are about."""


class _ServerV6(_Server):
    address_family = socket.AF_INET6


@contextmanager
def running(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Controller]:
    controller = Controller()
    handler = type("Handler", (_Handler,), {"controller": controller})
    server = (_ServerV6 if ":" in host else _Server)((host, 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    shown = f"[{host}]" if ":" in host else host
    controller.url = f"{'https' if tls else 'http'}://{shown}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield controller
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def reset(connection: socket.socket) -> None:
    """Ends the connection the hard way (RST)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def is_in(function: str, thread: threading.Thread) -> bool:
    """Whether the thread is somewhere inside that function now."""
    frame = sys._current_frames().get(thread.ident or 0)
    return any(entry.name == function for entry in traceback.extract_stack(frame)) if frame else False
