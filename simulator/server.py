"""The HTTP part that both simulators share: one handler, real sockets, no framework.

A simulator is an async function from `Request` to an answer. uvicorn's httptools protocol does the HTTP (keep-alive,
chunked bodies, flow control) on a uvloop event loop; nothing else of uvicorn is used, so that a server starts and stops
at once, also while watches are open. An answer is a `Response`, a `StreamResponse` (watches) or `RESET`, which cuts the
TCP connection without an answer: that is how faults are made.

    async def handler(request: Request) -> Answer:
        return json_response({"path": request.path})

    serve(handler, host="127.0.0.1", port=0, ready_file=Path("ready.json"))     # a process, until SIGTERM or SIGINT
    with running(handler) as server:                                            # a thread, for tests
        requests.get(server.url + "/x")

Limits: HTTP/1.1 only, no compression, no WebSocket, the whole request body is read before the handler runs. The handler
runs on the event loop: it must not block; work it does between two awaits is atomic, which the simulators rely on.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import ssl
import struct
import threading
import urllib.parse
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

log = logging.getLogger(__name__)

Headers = dict[str, str]

KEEP_ALIVE_SECONDS = 300


@dataclass(slots=True)
class Request:
    """One call: `path` percent-decoded, without the query; `query` keeps blank values; header names in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Headers
    body: bytes
    scheme: str = "http"

    @property
    def base_url(self) -> str:
        """`scheme://host:port` as the client addressed us, for links in answers."""
        return f"{self.scheme}://{self.headers.get('host', 'localhost')}"

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default

    def json(self) -> Any:
        """The body as JSON; raises `orjson.JSONDecodeError` (a ValueError)."""
        return orjson.loads(self.body)


@dataclass(slots=True)
class Response:
    """A whole answer. A header whose value has line feeds is sent once per line (several Set-Cookie)."""

    status: int = 200
    body: bytes = b""
    headers: Headers = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(slots=True)
class StreamResponse:
    """An answer sent chunk by chunk until the generator ends; the generator is closed when the client goes away."""

    chunks: AsyncGenerator[bytes, None]
    status: int = 200
    headers: Headers = field(default_factory=dict)
    content_type: str = "application/json"


class StreamReset(Exception):
    """Raised by a stream's generator to cut the connection in the middle of the answer."""


class _Reset:
    """The type of `RESET`."""


RESET = _Reset()

Answer = Response | StreamResponse | _Reset
Handler = Callable[[Request], Awaitable[Answer]]


def json_response(value: Any, status: int = 200, headers: Headers | None = None) -> Response:
    """`value` as a JSON answer."""
    return Response(status, orjson.dumps(value), headers or {})


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which lets the application reach the connection (to reset it)."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["transport"] = self.transport


class _Application:
    """The ASGI side: reads the request, calls the handler, writes the answer."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # A cancelled call belongs to a server that stops: its connection is gone and nobody waits for an answer.
        with contextlib.suppress(asyncio.CancelledError):
            await self._call(scope, receive, send)

    async def _call(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            return
        answer = await self._answer(_request(scope, body))
        if isinstance(answer, Response):
            length = (b"content-length", str(len(answer.body)).encode())
            await send(_start(answer, [length] if answer.status != 204 else []))
            await send({"type": "http.response.body", "body": answer.body})
        elif isinstance(answer, StreamResponse):
            await send(_start(answer, []))
            try:
                await _stream(answer.chunks, receive, send)
            except StreamReset:
                await _reset(scope["transport"], receive)
        else:
            await _reset(scope["transport"], receive)

    async def _answer(self, request: Request) -> Answer:
        try:
            return await self.handler(request)
        except Exception as error:  # a defect of the simulator must show as 500, not as a closed connection
            log.exception("%s %s failed", request.method, request.path)
            return json_response({"error": f"the simulator failed: {type(error).__name__}"}, 500)


def _request(scope: Any, body: bytes) -> Request:
    raw_query = scope["query_string"]
    query = urllib.parse.parse_qs(raw_query.decode("latin-1"), keep_blank_values=True) if raw_query else {}
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(scope["method"], scope["path"], query, headers, body, scope["scheme"])


def _start(answer: Response | StreamResponse, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    headers.append((b"content-type", answer.content_type.encode("latin-1")))
    for name, value in answer.headers.items():
        headers.extend((name.encode("latin-1"), line.encode("latin-1")) for line in value.split("\n"))
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


async def _stream(chunks: AsyncGenerator[bytes, None], receive: Any, send: Any) -> None:
    """Sends until the iterator ends or the client goes; in both cases the generator's `finally` blocks have run."""

    async def pump() -> None:
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})

    sending = asyncio.ensure_future(pump())
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
            await send({"type": "http.response.body", "body": b""})
    finally:
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _reset(transport: Any, receive: Any) -> None:
    """Cuts the connection and waits until it is gone."""
    _cut(transport)
    while (await receive())["type"] != "http.disconnect":
        pass


def _cut(transport: Any) -> None:
    """Ends the connection with a TCP RST, so that the peer sees a reset and not an orderly end."""
    descriptor = transport.get_extra_info("socket").fileno()
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Server:
    """A listening server on the running event loop; `url` is set once `start` returned."""

    def __init__(self, handler: Handler, *, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._config = uvicorn.Config(
            _Application(handler),
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._state = ServerState()
        self._host, self._port, self._tls = host, port, tls
        self.url = ""

    async def start(self) -> None:
        """Binds and listens; raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Protocol(self._config, self._state, {}), self._host, self._port, ssl=self._tls, backlog=1024
        )
        port = self._server.sockets[0].getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"{'https' if self._tls else 'http'}://{host}:{port}"

    async def stop(self) -> None:
        """Stops listening and drops every connection and every running call at once."""
        self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        while self._state.connections:  # noqa: ASYNC110  gone within two turns of the loop
            await asyncio.sleep(0)
        for task in list(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)


def serve(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    ready_file: Path | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT. Once listening, calls `on_ready`, writes `{"url", "pid"}` to `ready_file`."""

    async def main() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        server = Server(handler, host=host, port=port, tls=tls)
        await server.start()
        if on_ready is not None:
            on_ready(server.url)
        if ready_file is not None:
            write_ready(ready_file, {"url": server.url, "pid": os.getpid()})
        await stop.wait()
        await server.stop()

    uvloop.run(main())


def add_listen_arguments(parser: argparse.ArgumentParser) -> None:
    """Where a simulator listens: `host`, `port`, `ready_file`; beyond this machine only with a flag of its own."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--allow-remote", action="store_true", help="let --host be an address that other machines can reach: whoever "
        "does can read and change everything here")  # fmt: skip
    add("--port", type=int, default=0, help="port to listen on; 0 takes a free one (default)")
    add("--ready-file", type=Path, metavar="FILE", help='where to write {"url", "pid"} once listening')


def parse_listening(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The parsed arguments; ends with a usage error when other machines could reach the simulator unasked."""
    arguments = parser.parse_args(argv)
    if not (arguments.allow_remote or _is_loopback(arguments.host)):
        parser.error(f"--host {arguments.host} can be reached from other machines. Use 127.0.0.1 or ::1, or add "
                     "--allow-remote in a network that you trust: a simulator protects nothing")  # fmt: skip
    return arguments


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def write_ready(path: Path, content: dict[str, Any]) -> None:
    """Writes the ready file in one step: a reader sees all of it or no file."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(orjson.dumps(content))
    part.replace(path)


@contextlib.contextmanager
def running(handler: Handler, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server in a thread of this process, listening on entry and gone on exit."""
    loop = uvloop.new_event_loop()
    server = Server(handler, host=host, port=0, tls=tls)
    thread = threading.Thread(target=loop.run_forever, name="simulator", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield server
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
