"""One HTTP exchange with the controller: a request out, a whole answer back, or AviUnreachable.

Built on `requests` (its adapter, its PreparedRequest, its exceptions) with the parts left out that cost most of its
time and that a controller client must not have: redirects, a cookie jar shared by everyone, proxies and `.netrc` from
the environment. Each thread has a `Wire` of its own, which is one kept-alive connection, so threads share nothing
that changes.

Three things are added:

- A deadline for the *whole* answer. The usual read timeout starts anew with every byte, so an answer that drips would
  hold its caller for ever. Name resolution is not covered; the resolver has its own limits.
- Whether the request went out. A failure before that (no connection, no TLS) is certain to have changed nothing;
  after it, nobody knows, and `AviUnreachable.sent` says so.
- One repetition of a GET, and only of a GET, when a kept-alive connection turns out to have been closed meanwhile.

Nothing here knows cookies, tenants or the meaning of a status. No header or body ever enters a message or a log line.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from shared.addresses import AddressError, parse_address
from shared.avi.calls import Answer, Call, unreachable
from shared.dialing import Connection, TlsConnection
from shared.errors import SettingsError

_HOST = re.compile(r"[0-9A-Za-z._-]+|[0-9a-f:.]+")
# All that the libraries below can raise for a request: ours, theirs, the socket's and a header that cannot be written.
_TRANSPORT_ERRORS = (requests.RequestException, HTTPError, http.client.HTTPException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the controller is. `host` is as it stands in a URL (an IPv6 literal in brackets)."""

    scheme: str
    host: str
    port: int | None

    @property
    def url(self) -> str:
        """`https://host[:port]`, without a slash at the end."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")


def parse_endpoint(text: str, scheme: str = "https") -> Endpoint:
    """What `controllerHost` means: `host`, `host:port`, an IPv6 literal (bare or in brackets), or a URL without a path.

    Raises SettingsError.
    """
    text = text.strip()
    url = text if "://" in text else f"{scheme}://{f'[{text}]' if _is_ipv6(text) else text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _bad_host(text) from None
    bracketed = "[" in parts.netloc
    extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc or not text.isprintable()
    if parts.scheme not in {"http", "https"} or extra or not _HOST.fullmatch(host) or bracketed != _is_ipv6(host):
        raise _bad_host(text)
    return Endpoint(parts.scheme, f"[{host}]" if bracketed else host, port)


def _is_ipv6(text: str) -> bool:
    try:
        return parse_address(text).version == 6
    except AddressError:
        return False


def _bad_host(text: str) -> SettingsError:
    shown = "the text" if "@" in text else repr(text)  # what stands before an @ may be a password
    problem = f"{shown} is no host; expected a name or address, then :port if need be ([…]:port for IPv6)"
    return SettingsError([("ControllerSettings.controllerHost", problem)])


def trust(ca: str) -> ssl.SSLContext:
    """How the controller's certificate is verified: by `ca` (PEM text or a path) alone, else by the system's store.

    Raises SettingsError when `ca` holds no certificate.
    """
    if not ca.strip():
        return ssl.create_default_context()
    try:
        if "-----BEGIN" in ca:
            context = ssl.create_default_context(cadata=ca)
        else:
            context = ssl.create_default_context(cafile=ca.strip())
    except (OSError, ValueError):
        problem = "neither PEM text nor a readable file with certificates"
        raise SettingsError([("certificateAuthorityData", problem)]) from None
    # The controller's own certificate may be given in place of its authority's.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


class _Progress:
    """How far the request under way in one thread has come."""

    __slots__ = ("body_follows", "connected", "sent")

    def __init__(self) -> None:
        self.begin(body_follows=False)

    def begin(self, *, body_follows: bool) -> None:
        self.body_follows = body_follows
        self.connected = False  # a new connection was made for it
        self.sent = False  # at least one byte of it went out


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until a point in time, however small the pieces that arrive."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer whose every byte must arrive within the read timeout, counted from the end of sending."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_DeadlineReader(raw, sock, time.monotonic() + (sock.gettimeout() or 0.0)))


class _Tracked(Connection):
    """A connection that records in `progress` when it was made and when it began to send.

    Headers and body leave in one piece, which spares a system call and, on the other side, a wake-up.
    """

    response_class = _TimedResponse

    def __init__(self, *args: Any, progress: _Progress, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._progress = progress
        self._held = b""

    def connect(self) -> None:
        super().connect()
        self._progress.connected = True

    def send(self, data: Any) -> None:
        progress = self._progress
        if progress.body_follows:
            self._held, progress.body_follows = data, False
            return
        if self.sock is None:
            self.connect()
        progress.sent = True
        held, self._held = self._held, b""
        super().send(held + data)


class _TrackedTls(_Tracked, TlsConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Tracked


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TrackedTls


class _Adapter(HTTPAdapter):
    """The adapter of `requests` for one known host: no proxies, no look-up of pools by URL, no cookie jar."""

    def __init__(self, pool: HTTPConnectionPool) -> None:
        super().__init__(max_retries=0)
        self.pool = pool

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        return self.pool

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Nothing to do for a request: the pool's TLS context verifies (see `trust`)."""

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:  # noqa: ARG002
        return request.url or ""

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.raw, response.request = resp.status, resp, req
        return response

    def close(self) -> None:
        super().close()
        self.pool.close()


class Wire:
    """One kept-alive connection of one thread. Not to be shared between threads."""

    def __init__(
        self, endpoint: Endpoint, tls: ssl.SSLContext | None, connect: float, read: float, *, ipv6: bool = False
    ) -> None:
        """`connect` and `read` are seconds: for the connection and for sending, and for the whole answer after that.

        Without `ipv6` only IPv4 addresses of the endpoint are connected to.
        """
        self._progress = _Progress()
        common: dict[str, Any] = {"maxsize": 1, "progress": self._progress, "ipv6": ipv6}
        pool: HTTPConnectionPool
        if tls is None:
            pool = _Pool(endpoint.host, endpoint.port, **common)
        else:
            pool = _TlsPool(endpoint.host, endpoint.port, **common, ssl_context=tls)
        self._adapter = _Adapter(pool)
        self._connect, self._read = connect, read

    def exchange(self, call: Call, headers: Mapping[str, str]) -> Answer:
        """Send it and read the whole answer, whatever its status. Raises AviUnreachable."""
        try:
            raw = self._send(call, headers).raw
            body = raw.read(decode_content=True)
        except _TRANSPORT_ERRORS as error:
            limits = {"connect": self._connect, "read": self._read}
            raise unreachable(call, error, sent=self._progress.sent, **limits) from None
        return Answer(raw.status, body, raw.headers.get("Retry-After"), tuple(raw.headers.getlist("Set-Cookie")))

    def close(self) -> None:
        """Close the connection; a later call fails as unreachable."""
        self._adapter.close()

    def _send(self, call: Call, headers: Mapping[str, str]) -> requests.Response:
        request = requests.PreparedRequest()
        request.method, request.url, request.body = call.method, call.path, call.body
        request.headers = CaseInsensitiveDict(headers)
        try:
            self._progress.begin(body_follows=call.body is not None)
            return self._adapter.send(request, stream=True, timeout=(self._connect, self._read))
        except requests.ConnectionError:
            # The controller closes what is idle, and a request that meets this is lost. To ask again is harmless for
            # a GET; a write may have been done before the connection broke, so only the caller can look and decide.
            stale = self._progress.sent and not self._progress.connected
            if call.method != "GET" or not stale:
                raise
        self._progress.begin(body_follows=False)
        return self._adapter.send(request, stream=True, timeout=(self._connect, self._read))
