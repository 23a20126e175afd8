"""Which addresses of a host are connected to, over real sockets; only the resolver's answer for a name is made up."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.addresses import Family
from shared.avi.client import AviClient
from shared.dialing import dial, families
from shared.errors import AkoError, AviUnreachable, KubeUnreachable
from shared.kube import Access, KubeClient
from shared.settings.model import Credentials
from simulator.avi.tls import self_signed, server_context
from simulator.server import Request, Response, running
from tests.support import wait_for

NAME = "dual.example.com"
V4, V6 = "127.0.0.1", "::1"
PODS = "/api/v1/pods"


class Both:
    """One port on 127.0.0.1 and on ::1; counts the connections that each of them got, and cuts them at once."""

    def __init__(self, port: int, listeners: dict[str, socket.socket]) -> None:
        self.port = port
        self.count = dict.fromkeys(listeners, 0)
        for address, listener in listeners.items():
            threading.Thread(target=self._accept, args=(address, listener), daemon=True).start()

    def _accept(self, address: str, listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            self.count[address] += 1
            peer.close()


@pytest.fixture
def both() -> Iterator[Both]:
    with contextlib.ExitStack() as stack:
        while True:  # until a port is free for both
            first = stack.enter_context(socket.create_server((V4, 0)))
            port = first.getsockname()[1]
            try:
                second = stack.enter_context(socket.create_server((V6, port), family=socket.AF_INET6))
            except OSError:
                continue
            break
        yield Both(port, {V4: first, V6: second})
        for listener in (first, second):
            listener.shutdown(socket.SHUT_RDWR)


Resolver = Callable[..., None]


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """Lets NAME have these addresses, the first one preferred; everything else is resolved as ever."""
    real = socket.getaddrinfo

    def to(*addresses: str) -> None:
        def getaddrinfo(host: Any, port: Any, family: int = 0, *args: Any, **kwargs: Any) -> Any:
            if host != NAME:
                return real(host, port, family, *args, **kwargs)
            kinds = {text: socket.AF_INET6 if ":" in text else socket.AF_INET for text in addresses}
            wanted = [text for text, kind in kinds.items() if family in {socket.AF_UNSPEC, kind}]
            if not wanted:
                raise socket.gaierror(socket.EAI_NODATA, "No address associated with hostname")
            return [row for text in wanted for row in real(text, port, kinds[text], socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return to


def call_avi(host: str, port: int, *, ipv6: bool) -> None:
    client = AviClient(f"http://{host}:{port}", Credentials("admin", "p"), ipv6=ipv6)
    with pytest.raises(AviUnreachable):
        client.get("pool", "p")
    client.close()


def call_kube(host: str, port: int, *, ipv6: bool) -> None:
    with pytest.raises(KubeUnreachable):
        KubeClient(lambda: Access(f"http://{host}:{port}"), ipv6=ipv6).get(PODS)


def watch_kube(host: str, port: int, *, ipv6: bool) -> None:
    with pytest.raises(KubeUnreachable):
        KubeClient(lambda: Access(f"http://{host}:{port}"), ipv6=ipv6).watch(PODS, "1", timeout=5)


CALLS = pytest.mark.parametrize("call", [call_avi, call_kube, watch_kube])


@CALLS
def test_without_the_gate_only_ipv4_is_connected(both: Both, resolves: Resolver, call: Callable[..., None]) -> None:
    """Of a name with A and AAAA, AAAA preferred, the IPv4 address alone gets connections."""
    resolves(V6, V4)
    call(NAME, both.port, ipv6=False)
    wait_for(lambda: both.count[V4], what="a connection over IPv4")
    assert both.count[V6] == 0


@CALLS
def test_with_the_gate_the_preferred_one_is_connected(
    both: Both, resolves: Resolver, call: Callable[..., None]
) -> None:
    """With the gate on it is the resolver's first address, of whichever family."""
    resolves(V6, V4)
    call(NAME, both.port, ipv6=True)
    wait_for(lambda: both.count[V6], what="a connection over IPv6")
    assert both.count[V4] == 0
    resolves(V4, V6)
    call(NAME, both.port, ipv6=True)
    wait_for(lambda: both.count[V4], what="a connection over IPv4")


@CALLS
@pytest.mark.parametrize("host", [f"[{V6}]", NAME])
def test_without_the_gate_ipv6_alone_is_never_connected(
    both: Both, resolves: Resolver, call: Callable[..., None], host: str
) -> None:
    """An IPv6 address, or a name that has no other, gets no connection at all."""
    resolves(V6)
    call(host, both.port, ipv6=False)
    assert both.count == {V4: 0, V6: 0}


@pytest.mark.parametrize(
    "ask",
    [
        lambda port: AviClient(f"http://{NAME}:{port}", Credentials("admin", "p")).get("pool", "p"),
        lambda port: KubeClient(lambda: Access(f"http://{NAME}:{port}")).get(PODS),
    ],
)
def test_the_refusal_says_why(both: Both, resolves: Resolver, ask: Callable[[int], Any]) -> None:
    """The error of a host without an IPv4 address says that only those were asked for."""
    resolves(V6)
    with pytest.raises(AkoError, match=r"(?i)asked for IPv4 addresses only"):
        ask(both.port)


def test_a_client_takes_a_change_of_the_gate(both: Both, resolves: Resolver) -> None:
    """A client of the API server whose gate changes uses it from the next call on, both ways."""
    resolves(V6, V4)
    kube = KubeClient(lambda: Access(f"http://{NAME}:{both.port}"))
    for allowed, address in ((True, V6), (False, V4)):
        before = both.count[address]
        kube.allow_ipv6(allowed)
        with pytest.raises(KubeUnreachable):
            kube.get(PODS)
        wait_for(lambda address=address, before=before: both.count[address] > before)  # type: ignore[misc]


def test_the_next_address_is_tried(both: Both, resolves: Resolver) -> None:
    """Where nobody listens at the first address, the second is connected; where nobody listens at all it is refused."""
    resolves("127.0.0.99", V4)
    dial(NAME, both.port, 3.0, ipv6=False).close()
    wait_for(lambda: both.count[V4])
    resolves("127.0.0.99")
    with pytest.raises(ConnectionRefusedError):
        dial(NAME, both.port, 3.0, ipv6=False)


@pytest.mark.parametrize("address", [V4, V6])
@pytest.mark.parametrize("name", [NAME, "other.example.com"])
def test_tls_verifies_the_name(tmp_path: Path, resolves: Resolver, address: str, name: str) -> None:
    """Over either family a call, a list and a watch trust a certificate for the name and refuse one for another."""

    async def handle(request: Request) -> Response:
        body = b'{"kind":"PodList","metadata":{"resourceVersion":"1"},"items":[]}'
        return Response(200, body)

    certificate, key = self_signed(name)
    trust = ssl.create_default_context(cadata=certificate.decode())
    resolves(address)
    with running(handle, host=address, tls=server_context(certificate, key)) as server:
        url = f"https://{NAME}:{server.url.rpartition(':')[2]}"
        kube = KubeClient(lambda: Access(url, trust), ipv6=True)
        avi = AviClient(url, Credentials("admin", "p", ca=certificate.decode()), ipv6=True)
        calls = [lambda: kube.get(PODS), lambda: kube.watch(PODS, "1", timeout=5).close()]
        assert [_refused_by_tls(call) for call in calls] == [name != NAME] * 2
        with pytest.raises(AkoError) as refused:
            avi.get("pool", "p")
        assert ("not trusted" in str(refused.value)) is (name != NAME)  # trusted, it misses the login's cookies


def _refused_by_tls(call: Callable[[], object]) -> bool:
    """Whether the certificate was the reason to fail; this server's answer is no watch, which comes after TLS."""
    try:
        call()
    except KubeUnreachable as error:
        return isinstance(_innermost(error), ssl.SSLCertVerificationError)
    return False


def _innermost(error: BaseException) -> BaseException:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("10.1.1.5", {Family.V4}),
        ("2001:db8::5", {Family.V6}),
    ],
)
def test_a_literal_is_its_own_family(monkeypatch: pytest.MonkeyPatch, host: str, found: set[Family]) -> None:
    """For an address no resolver is asked."""
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert families(host) == found


@pytest.mark.parametrize(
    ("addresses", "found"), [((V4,), {Family.V4}), ((V6,), {Family.V6}), ((V6, V4), {Family.V4, Family.V6})]
)
def test_a_name_has_the_families_of_its_addresses(
    resolves: Resolver, addresses: tuple[str, ...], found: set[Family]
) -> None:
    """A name's families are those that the resolver gives."""
    resolves(*addresses)
    assert families(NAME) == found


def test_what_the_resolver_does_not_say_is_an_error(monkeypatch: pytest.MonkeyPatch, resolves: Resolver) -> None:
    """A name without addresses, no host name at all, and a resolver that hangs: nobody knows, within the time given."""
    resolves()
    for host in (NAME, "a..b"):
        with pytest.raises(socket.gaierror):
            families(host)
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(10) and [])
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        families(NAME, seconds=0.05)
    released.set()
