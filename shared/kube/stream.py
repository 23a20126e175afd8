"""One watch: a connection of its own, read as it arrives, declared dead when it is silent.

A watch is the one call that has to look into its socket. It must tell an idle server from a half-open link (the API
server sends a bookmark about every minute, so 70 s without a byte is death), hand over many events at once when many
have arrived and a single one without waiting for more, and end within half a second when asked to. So the socket is
non-blocking, and the chunks of the answer are taken apart here; http.client does the head of the answer only.

A stream knows nothing of resuming: it yields what the server says, and raises when that cannot be trusted any more.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import orjson

from shared.dialing import dial
from shared.errors import KubeUnreachable
from shared.kube.answers import error_of
from shared.kube.config import Access

SILENCE = 70.0  # seconds without a byte after which a watch is dead
TICK = 0.5  # seconds between two looks at whether the reader wants to stop
BATCH_EVENTS = 200
BATCH_SECONDS = 0.010
_HEAD = {"Accept": "application/json", "User-Agent": "ako-celery"}


class WatchStream:
    """An open watch. A context manager; `batches` is the way to read it, iterating gives single events.

    Raises the typed errors of `shared.errors` when opening; `where` and `target` are for requests and texts only.
    Without `ipv6` only IPv4 addresses are connected to.
    """

    def __init__(
        self,
        access: Access,
        target: str,
        *,
        where: str,
        connect_timeout: float,
        read_timeout: float,
        silence: float = SILENCE,
        ipv6: bool = False,
    ) -> None:
        self._where = where
        self._silence = silence
        self._tail = b""
        self._failure: Exception | None = None
        self._connection = _connection(access)
        try:
            self._sock = self._connection.sock = _connected(access, connect_timeout, ipv6=ipv6)
            self._open(access, target, read_timeout)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise KubeUnreachable(f"watch not opened ({type(error).__name__})", where=where) from error
        except BaseException:
            self.close()
            raise

    def _open(self, access: Access, target: str, read_timeout: float) -> None:
        self._sock.settimeout(read_timeout)
        authorization = access.authorization()
        head = {**_HEAD, "Authorization": authorization} if authorization else _HEAD
        self._connection.request("GET", target, headers=head)
        self._response = self._connection.getresponse()
        if self._response.status != 200:
            retry_after = self._response.getheader("Retry-After")
            body = self._response.read(65536)
            raise error_of(self._response.status, body, where=self._where, retry_after=retry_after)
        chunked = (self._response.getheader("Transfer-Encoding") or "").lower() == "chunked"
        if self._response.getheader("Content-Length") is not None:
            # Somebody answers 200 to everything: waiting for events in it would pass for a quiet cluster.
            raise KubeUnreachable("the answer is not a watch", where=self._where)
        self._chunks = _Chunks() if chunked else None
        self._sock.settimeout(0)
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)
        self._first: bytes | None = self._leftover()

    def __enter__(self) -> WatchStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the watch; may be called again."""
        if response := getattr(self, "_response", None):
            response.close()
        self._connection.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """Yields lists of events, at most about 200 at once, and an empty list every half second of quiet.

        Ends when the server ends the watch. Raises KubeUnreachable when the stream is silent or damaged, and the
        error that an ERROR event stands for (KubeGone for 410) after the events before it.
        """
        heard = time.monotonic()
        while True:
            piece = self._receive(TICK)
            if piece is None:
                if time.monotonic() - heard >= self._silence:
                    raise KubeUnreachable(f"watch silent for {self._silence:.0f} s", where=self._where)
                yield []
                continue
            heard = time.monotonic()
            events, ended = self._drain(piece)
            if events:
                yield events
            if self._failure:
                raise self._failure
            if ended:
                return

    def _drain(self, piece: bytes | None) -> tuple[list[dict[str, Any]], bool]:
        """The events in `piece` and in what else has arrived already, and whether the stream ended."""
        until = time.monotonic() + BATCH_SECONDS
        events: list[dict[str, Any]] = []
        while piece is not None:
            if not piece or not self._parse(piece, events):
                return events, True
            if len(events) >= BATCH_EVENTS or time.monotonic() >= until:
                break
            piece = self._receive(0)
        return events, False

    def _receive(self, wait: float) -> bytes | None:
        """What has arrived: b"" at the end of the stream, None when nothing came within `wait` seconds."""
        if self._first:
            piece, self._first = self._first, None
            return piece
        try:
            try:
                return self._sock.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):
                if not wait or not self._poll.poll(wait * 1000):
                    return None
            try:
                return self._sock.recv(65536)
            except (BlockingIOError, ssl.SSLWantReadError):  # TLS bookkeeping, not data
                return None
        except OSError as error:
            raise KubeUnreachable(f"watch cut ({type(error).__name__})", where=self._where) from error

    def _leftover(self) -> bytes:
        """What http.client has read beyond the head."""
        try:
            return self._response.fp.read1(65536) or b""
        except (BlockingIOError, ssl.SSLWantReadError):
            return b""

    def _parse(self, piece: bytes, events: list[dict[str, Any]]) -> bool:
        """Adds the events completed by `piece`; False when the stream is over (then `_failure` may say why)."""
        going_on = True
        try:
            if self._chunks:
                piece, going_on = self._chunks.feed(piece)
            *lines, self._tail = (self._tail + piece).split(b"\n")
            for line in filter(None, lines):
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    self._failure = error_of(int(status.get("code") or 500), status, where=self._where)
                    return False
                events.append(event)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._failure = KubeUnreachable(f"watch damaged ({type(error).__name__})", where=self._where)
            return False
        return going_on


class _Chunks:
    """Takes `Transfer-Encoding: chunked` apart, fed with whatever a socket gave."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._left = 0  # bytes of the current chunk still to come

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """The payload that `data` completes, and False once the last chunk was seen. ValueError when damaged."""
        raw, payload, at = self._raw, bytearray(), 0
        raw += data
        while at < len(raw):
            if self._left:
                piece = raw[at : at + self._left]
                payload += piece
                self._left -= len(piece)
                at += len(piece)
                continue
            end = raw.find(b"\n", at)
            if end < 0:
                if len(raw) - at > 1024:
                    raise ValueError("no size line")
                break
            line = raw[at:end].strip()
            at = end + 1
            if line:  # an empty one is the end of the chunk before
                self._left = int(line.partition(b";")[0], 16)
                if self._left == 0:
                    return bytes(payload), False
        del raw[:at]
        return bytes(payload), True


def _connection(access: Access) -> http.client.HTTPConnection:
    """The HTTP side of a connection; its socket is ours to make, and to keep: http.client forgets it at the end."""
    parts = urlsplit(access.url)
    host = parts.hostname or ""
    if access.tls is None:
        return http.client.HTTPConnection(host, parts.port)
    return http.client.HTTPSConnection(host, parts.port, context=access.tls)


def _connected(access: Access, timeout: float, *, ipv6: bool) -> socket.socket:
    """A socket to the API server, with TLS verified for the name in the URL; `timeout` seconds for each step."""
    parts = urlsplit(access.url)
    host = parts.hostname or ""
    sock = dial(host, parts.port or (80 if access.tls is None else 443), timeout, ipv6=ipv6)
    if access.tls is None:
        return sock
    try:
        return access.tls.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise
