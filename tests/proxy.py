"""A TCP proxy to trouble a connection with: silence it (half-open), delay it, cut it, lead it somewhere else.

Silence is what a network that drops packets looks like to both ends: connections stay, new ones seem to be taken, and
no byte passes. When it ends, what was sent meanwhile arrives, as TCP would send it again.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset instead of what is left
_CHUNK = 65_536


class Proxy:
    """Listens on a free port of the loopback address and passes everything on to `target` (host, port).

    `target` may be changed; it counts for connections made from then on. `delay` (seconds) holds each chunk back;
    `limit` is the number of bytes in one direction after which a connection is ended in the middle of what it says.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.delay = 0.0
        self.limit: int | None = None
        self._flows = threading.Event()
        self._flows.set()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.place = ("127.0.0.1", self.port)
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def silence(self) -> None:
        """From now on no byte passes, and no connection ends."""
        self._flows.clear()

    def speak(self) -> None:
        """Ends the silence; what was held back passes."""
        self._flows.set()

    def cut(self) -> None:
        """Resets every connection that is open."""
        with self._lock:
            ended, self._open = self._open, set()
        for sock in ended:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it
            sock.close()

    def close(self) -> None:
        """Stops listening and resets what is open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.speak()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._flows.wait()
        try:
            server = socket.create_connection(self.target, timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {client, server}
        threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
        self._pump(server, client)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Passes on until either side ends; then the other side learns of it."""
        passed = 0
        try:
            while chunk := source.recv(_CHUNK):
                time.sleep(self.delay)
                self._flows.wait()
                left = len(chunk) if self.limit is None else max(0, self.limit - passed)
                sink.sendall(chunk[:left])
                passed += len(chunk)
                if left < len(chunk):
                    break
        except OSError:
            pass  # reset by one side, or by `cut`
        self._flows.wait()
        with self._lock:
            self._open -= {source, sink}
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
