"""Connections to a host that may have addresses of both families.

AKO documents controllers and API servers at IPv4 addresses only. So unless the feature gate of the one or the other is
on, a host is asked for its IPv4 addresses alone and no IPv6 address of it is ever connected to, whatever its name
resolves to. The choice ends here: above, a connection has the host's name, and TLS verifies that name, no address.

The system's resolver is used as it is. While a connection is made it has its own time limits; `families` has one of
ours, since it is asked where nobody may hang.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Sequence
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from shared.addresses import AddressError, Family, family_of, parse_address

RESOLVE_SECONDS = 5.0
_FAMILIES = {socket.AF_INET: Family.V4, socket.AF_INET6: Family.V6}
_NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)

Row = tuple[Any, ...]  # of getaddrinfo: (family, type, protocol, canonical name, address)


def families(host: str, *, seconds: float = RESOLVE_SECONDS) -> frozenset[Family]:
    """The families of the addresses that `host` is or resolves to; never empty.

    Raises OSError when the resolver does not say (TimeoutError after `seconds`): then nobody knows.
    """
    try:
        return frozenset({family_of(parse_address(host))})
    except AddressError:
        pass  # a name
    answers: queue.SimpleQueue[list[Row] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_resolve(host, None, ipv6=True))
        except OSError as error:
            answers.put(error)

    # The resolver cannot be interrupted, so its thread is left behind when it takes too long.
    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"the resolver does not answer within {seconds:g} s") from None
    if isinstance(answer, OSError):
        raise answer
    return frozenset(_FAMILIES[row[0]] for row in answer if row[0] in _FAMILIES)


def dial(
    host: str, port: int, timeout: float | None, *, ipv6: bool, options: Sequence[Row] = _NO_DELAY
) -> socket.socket:
    """A TCP connection to the first address of `host` that answers, within `timeout` seconds for each.

    Without `ipv6` only to IPv4 addresses. Raises OSError.
    """
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in _resolve(host, port, ipv6=ipv6):
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(timeout)
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def _resolve(host: str, port: int | None, *, ipv6: bool) -> list[Row]:
    family = socket.AF_UNSPEC if ipv6 else socket.AF_INET
    try:
        return list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, f"{host[:60]!r} is no host name") from None
    except socket.gaierror as error:
        if not ipv6:
            error.strerror = f"{error.strerror} (asked for IPv4 addresses only)"
        raise


class Connection(HTTPConnection):
    """A connection of urllib3 that goes to IPv4 addresses only, unless `ipv6`."""

    def __init__(self, *args: Any, ipv6: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ipv6 = ipv6

    def _new_conn(self) -> socket.socket:
        """What urllib3 does here, with our choice of addresses."""
        options = self.socket_options or ()
        host = self._dns_host.strip("[]")
        try:
            return dial(host, self.port, self.timeout, ipv6=self._ipv6, options=options)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"no connection to {self.host} within {self.timeout} s") from error
        except OSError as error:
            raise NewConnectionError(self, f"no connection to {self.host}: {error}") from error


class TlsConnection(Connection, HTTPSConnection):
    """The same over TLS; the certificate is verified for the host's name."""
