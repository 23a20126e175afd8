"""Connections: where to, how long, over TLS, closed by the other side; and every library error becomes one of ours."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.avi.client import AviClient
from shared.avi.transport import Endpoint, parse_endpoint, trust
from shared.errors import AviUnreachable, SettingsError
from shared.settings.model import Credentials
from tests.shared.avi.scripted_controller import Controller, Request, reset, running

USER = Credentials("admin", password="pass-secret-0001")


@pytest.fixture
def controller() -> Iterator[Controller]:
    with running() as controller:
        yield controller


# Where to


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", Endpoint("https", "10.0.0.1", None)),
        ("ctrl.example.com", Endpoint("https", "ctrl.example.com", None)),
        (" ctrl:9443 ", Endpoint("https", "ctrl", 9443)),
        ("2001:db8::1", Endpoint("https", "[2001:db8::1]", None)),
        ("[2001:db8::1]", Endpoint("https", "[2001:db8::1]", None)),
        ("[2001:db8::1]:9443", Endpoint("https", "[2001:db8::1]", 9443)),
        ("http://127.0.0.1:8080/", Endpoint("http", "127.0.0.1", 8080)),
        ("https://[::1]:443", Endpoint("https", "[::1]", 443)),
    ],
)
def test_hosts(text: str, expected: Endpoint) -> None:
    """Names, addresses and URLs mean what they say; an IPv6 literal is bracketed."""
    assert parse_endpoint(text) == expected
    assert parse_endpoint(expected.url) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "ctrl/api",
        "ctrl:port",
        "ctrl:99999",
        "ftp://ctrl",
        "https://",
        "[ctrl]",
        "fe80::1%eth0",
        "2001:db8::1:9443:x",
        "ctrl?x",
        "ctrl#x",
        "a\nb",
        "https://admin:pass-secret-0001@ctrl",
    ],
)
def test_no_hosts(text: str) -> None:
    """What is no host is a settings error that names its setting, and repeats no password of a URL."""
    with pytest.raises(SettingsError, match=r"controllerHost: .* is no host") as caught:
        parse_endpoint(text)
    assert "pass-secret-0001" not in str(caught.value)


def test_over_ipv6() -> None:
    """A controller on an IPv6 literal is reached, and told its name in brackets."""
    with running(host="::1") as controller:
        AviClient(controller.url.removeprefix("http://"), USER, scheme="http", ipv6=True).get("pool", "p")
        assert controller.requests[0].headers["host"] == controller.url.removeprefix("http://")


def test_the_environment_has_no_say(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy settings of the environment are not used."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert AviClient(controller.url, USER).get("pool", "p")


# TLS


def issued(names: list[x509.GeneralName], authority: bool, by: Any = None) -> tuple[x509.Certificate, Any]:
    """A certificate and its key, signed by itself or `by` another (certificate, key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority" if authority else "controller")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder(
            by[0].subject if by else subject, subject, key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(by[1] if by else key, hashes.SHA256()), key


def pem_text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def controller_tls(directory: Path, name: str) -> tuple[str, str, ssl.SSLContext]:
    """The PEM texts of an authority and of the controller's certificate for that name, and the controller's context."""
    authority = issued([], authority=True)
    general = x509.DNSName(name) if name[0].isalpha() else x509.IPAddress(ipaddress.ip_address(name))
    own, key = issued([general], authority=False, by=authority)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "server.pem").write_bytes(pem_text(own).encode() + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    return pem_text(authority[0]), pem_text(own), context


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_given_certificate_is_trusted(tmp_path: Path, host: str) -> None:
    """The authority as PEM text or as a file, or the controller's own certificate, is trusted, over IPv4 and IPv6."""
    authority, own, context = controller_tls(tmp_path, host)
    (tmp_path / "ca.pem").write_text(authority)
    with running(context, host) as controller:
        for ca in (authority, str(tmp_path / "ca.pem"), own):
            user = Credentials("admin", password="p", ca=ca)
            client = AviClient(controller.url.removeprefix("https://"), user, ipv6=host == "::1")
            client.create("pool", {"name": "p"})
            client.create("pool", {"name": "q"})
        assert len({r.connection for r in controller.requests}) == 3


@pytest.mark.parametrize("case", ["no authority", "another name"])
def test_an_untrusted_certificate(tmp_path: Path, case: str) -> None:
    """Without the CA, or with a certificate for another name, nothing is sent and the text says what to do."""
    name = "127.0.0.1" if case == "no authority" else "other.example.com"
    authority, _, context = controller_tls(tmp_path, name)
    user = Credentials("admin", password="p", ca="" if case == "no authority" else authority)
    with running(context) as controller:
        with pytest.raises(AviUnreachable, match=r"not trusted: .*certificateAuthorityData") as caught:
            AviClient(controller.url, user).create("pool", {"name": "p"})
        assert not caught.value.sent
        assert controller.logins == []


@pytest.mark.parametrize("ca", ["/nowhere.pem", "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----", "text"])
def test_a_ca_that_is_none(ca: str) -> None:
    """A CA that is neither PEM text nor a file is a settings error."""
    with pytest.raises(SettingsError, match="certificateAuthorityData"):
        trust(ca)


def test_tls_against_plain_http(controller: Controller) -> None:
    """A controller that does not speak TLS is unreachable, not sent."""
    with pytest.raises(AviUnreachable, match="TLS failed") as caught:
        AviClient(controller.url.replace("http:", "https:"), USER).get("pool", "p")
    assert not caught.value.sent


# How long


def test_nobody_listens() -> None:
    """A refused connection is unreachable, not sent."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = AviClient(f"http://127.0.0.1:{unused.getsockname()[1]}", USER)
        with pytest.raises(AviUnreachable, match=r"POST login .*: connection refused") as caught:
            client.create("pool", {"name": "p"})
    assert not caught.value.sent


def test_a_name_that_does_not_resolve() -> None:
    """A host that has no address is unreachable, not sent."""
    with pytest.raises(AviUnreachable) as caught:
        AviClient("http://no-such-host.invalid", USER).get("pool", "p")
    assert not caught.value.sent


def test_no_connection_in_time() -> None:
    """A host that does not take connections costs the connect timeout, and nothing was sent."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        with socket.create_connection(address), socket.socket() as second:  # these two fill the queue
            second.setblocking(False)
            second.connect_ex(address)
            client = AviClient(f"http://127.0.0.1:{address[1]}", USER, connect_timeout=0.2)
            with pytest.raises(AviUnreachable, match=r"no connection within 0\.2 s") as caught:
                client.get("pool", "p")
    assert not caught.value.sent


def drip(data: bytes) -> Any:
    """Sends these bytes one by one, each well within the read timeout."""

    def send(connection: socket.socket) -> None:
        try:
            for byte in data:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass  # the client has gone, as it should

    return send


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Slow: " + b"x" * 200,
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b" " * 200,
        b"",
    ],
)
def test_the_whole_answer_has_one_deadline(controller: Controller, data: bytes) -> None:
    """An answer that drips, in its headers or body, or never begins, ends at the read timeout; it was sent."""
    ended = threading.Event()

    def say_nothing(connection: socket.socket) -> None:
        ended.wait(10)

    controller.answer = lambda request: drip(data) if data else say_nothing
    client = AviClient(controller.url, USER, read_timeout=0.4)
    started = time.monotonic()
    with pytest.raises(AviUnreachable, match=r"no complete answer within 0\.4 s") as caught:
        client.create("pool", {"name": "p"})
    ended.set()
    assert 0.35 < time.monotonic() - started < 2
    assert caught.value.sent
    assert len(controller.requests) == 1


def test_the_deadline_holds_in_a_pause(controller: Controller) -> None:
    """Bytes that came late do not lengthen the time for those that never come."""
    ended = threading.Event()

    def begin_and_stop(connection: socket.socket) -> None:
        drip(b"HTTP/1.1 200 OK")(connection)  # 0.75 s
        ended.wait(10)

    controller.answer = lambda request: begin_and_stop
    started = time.monotonic()
    with pytest.raises(AviUnreachable, match="no complete answer"):
        AviClient(controller.url, USER, read_timeout=0.9).get("pool", "p")
    ended.set()
    assert time.monotonic() - started < 1.5  # not 0.75 s and then 0.9 s more


def test_the_deadline_is_per_answer(controller: Controller) -> None:
    """On a connection used before, each answer has the whole time again."""

    def answer(request: Request) -> Any:
        time.sleep(0.25)
        return 200, {"name": "p"}

    controller.answer = answer
    client = AviClient(controller.url, USER, read_timeout=0.6)
    for _ in range(4):
        client.get("pool", "p")
    assert len({r.connection for r in controller.requests}) == 1


# Closed by the other side


def end_hard(request: Request) -> Any:
    return reset


def break_off(request: Request) -> Any:
    return lambda connection: connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{")


def speak_nonsense(request: Request) -> Any:
    return lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


def create(client: AviClient) -> None:
    client.create("pool", {"name": "p"})


def update(client: AviClient) -> None:
    client.update("pool", "pool-1", {"name": "p"})


def delete(client: AviClient) -> None:
    client.delete("pool", "pool-1")


@pytest.mark.parametrize("end", [end_hard, break_off, speak_nonsense, lambda request: None])
@pytest.mark.parametrize("write", [create, update, delete])
def test_a_write_whose_answer_is_lost_is_never_repeated(controller: Controller, end: Any, write: Any) -> None:
    """A write on a reused connection that breaks is sent once, and the error says that it may have taken effect."""
    client = AviClient(controller.url, USER)
    client.get("pool", "p")
    controller.answer = end
    with pytest.raises(AviUnreachable) as caught:
        write(client)
    assert caught.value.sent
    assert [r.method for r in controller.requests].count(controller.requests[-1].method) == 1


@pytest.mark.parametrize("end", [end_hard, lambda request: None])
def test_a_get_on_a_connection_gone_stale_is_repeated_once(controller: Controller, end: Any) -> None:
    """A GET that meets a closed kept-alive connection is asked again on a fresh one, but not a third time."""
    client = AviClient(controller.url, USER)
    client.get("pool", "p")
    first = controller.requests[0].connection
    controller.answer = lambda request: end(request) if request.connection == first else (200, {"name": "again"})
    assert client.get("pool", "p") == {"name": "again"}
    assert len(controller.requests) == 3
    controller.answer = end
    with pytest.raises(AviUnreachable):
        client.get("pool", "p")
    assert len(controller.requests) == 5


def test_a_get_is_not_repeated_on_a_fresh_connection(controller: Controller) -> None:
    """A controller that breaks a fresh connection gets no second request."""
    client = AviClient(controller.url, USER)
    client.get("pool", "p")
    client._session._wire().close()
    del client._session._local.wire
    controller.answer = lambda request: None
    with pytest.raises(AviUnreachable):
        client.get("pool", "p")
    assert len(controller.requests) == 2


def test_a_write_on_a_connection_known_to_be_closed(controller: Controller) -> None:
    """A connection whose end has already arrived is replaced before a write, which so succeeds, once."""
    client = AviClient(controller.url, USER)
    controller.answer = lambda request: (200, {"name": "p"}, [("Connection", "close")])
    for _ in range(3):
        assert client.create("pool", {"name": "p"})
    assert len(controller.requests) == 3
