"""Ordinary calls: complete lists, typed errors, deadlines, credentials read again once."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from shared.errors import (
    KubeAuthError,
    KubeBusy,
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeGone,
    KubeNotFound,
    KubeRefused,
    KubeUnreachable,
)
from shared.kube import Access, KubeClient
from shared.kube.config import Bearer
from tests.scripted import Exchange, Scripted, serving
from tests.support import free_port

PATH = "/api/v1/namespaces/red/secrets"


def client(server: Scripted, **options: Any) -> KubeClient:
    return KubeClient(lambda: Access(server.url), **options)


def listing(names: str, token: str = "") -> dict[str, Any]:
    items = [{"metadata": {"name": name}} for name in names.split()]
    return {"kind": "SecretList", "metadata": {"resourceVersion": "9", "continue": token}, "items": items}


def test_importing_is_cheap() -> None:
    """Neither the package nor a client for a plain kubeconfig imports the official Kubernetes client."""
    code = "import sys, shared.kube, watcher.reflector; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pages_follow_the_continue_token() -> None:
    """A list is read page by page with its token, and each page carries the list's own resourceVersion."""

    def answer(exchange: Exchange) -> None:
        exchange.reply(200, listing("c") if "continue=t%2F1" in exchange.path else listing("a b", "t/1"))

    with serving(answer) as server:
        pages = list(client(server).pages(PATH, limit=2, fieldSelector="type!=x"))
        assert [[item["metadata"]["name"] for item in page.items] for page in pages] == [["a", "b"], ["c"]]
        assert {page.resource_version for page in pages} == {"9"}
        assert server.requests[0] == f"GET {PATH}?fieldSelector=type%21%3Dx&limit=2"


def test_an_expired_continue_token() -> None:
    """A list whose continue token expired raises KubeGone and is not taken for complete."""

    def answer(exchange: Exchange) -> None:
        if "continue" in exchange.path:
            exchange.reply(410, {"message": "The provided continue parameter is too old"})
        else:
            exchange.reply(200, listing("a", "t1"))

    with serving(answer) as server, pytest.raises(KubeGone):
        list(client(server).pages(PATH))


@pytest.mark.parametrize(
    "document",
    [{}, [], b"", b"<html>", {"kind": "Status"}, {**listing("a"), "metadata": {}}, {**listing(""), "items": "x"}],
)
def test_what_is_no_list_is_no_empty_cluster(document: Any) -> None:
    """A friendly status around something that is no list is an error, never an empty list."""
    with serving(lambda exchange: exchange.reply(200, document)) as server, pytest.raises(KubeUnreachable):
        list(client(server).pages(PATH))


def test_an_empty_list_is_a_list() -> None:
    """`items: null` is how some servers write an empty list."""
    with serving(lambda exchange: exchange.reply(200, {**listing(""), "items": None})) as server:
        assert [page.items for page in client(server).pages(PATH)] == [[]]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, KubeUnreachable),
        (400, KubeRefused),
        (401, KubeAuthError),
        (403, KubeForbidden),
        (404, KubeNotFound),
        (409, KubeConflict),
        (410, KubeGone),
        (422, KubeRefused),
        (429, KubeBusy),
        (500, KubeUnreachable),
        (503, KubeUnreachable),
    ],
)
def test_every_status_has_its_error(status: int, error: type[KubeError]) -> None:
    """Each status that is no success becomes its own error with the server's sentence and the call in it."""
    with serving(lambda exchange: exchange.reply(status, {"message": "so it is"}, Retry_After="3")) as server:
        with pytest.raises(error) as caught:
            client(server).get(f"{PATH}/s")
        assert type(caught.value) is error
        assert f"GET {PATH}/s: so it is" in str(caught.value)
        assert caught.value.status == status
        if isinstance(caught.value, KubeBusy):
            assert caught.value.retry_after == 3


def test_an_answer_that_is_no_json() -> None:
    """The text of a proxy's error page is shown, cut to a readable length."""
    with serving(lambda exchange: exchange.reply(502, b"<html>" + b"x" * 5000)) as server:
        with pytest.raises(KubeUnreachable, match="<html>x") as caught:
            client(server).get(PATH)
        assert len(str(caught.value)) < 500


def test_nobody_listens() -> None:
    """A port where nobody listens is an error that names the server and the reason."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(KubeUnreachable, match=f"{url}.*refused"):
        KubeClient(lambda: Access(url)).get(PATH)


def test_a_connection_cut_in_the_answer() -> None:
    """An answer that ends too early is no answer."""

    def answer(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("Content-Length", "100")
        exchange.end_headers()
        exchange.wfile.write(b'{"kind": ')
        exchange.close_connection = True

    with serving(answer) as server, pytest.raises(KubeUnreachable):
        client(server).get(PATH)


def test_the_deadline_holds_for_a_trickle() -> None:
    """A body that comes byte by byte, each in good time, is given up when the call as a whole took too long."""

    def answer(exchange: Exchange) -> None:
        exchange.send_response(200)
        exchange.send_header("Content-Length", "100")
        exchange.end_headers()
        while not exchange.server.released.wait(0.1):
            exchange.wfile.write(b"x")

    with serving(answer) as server:
        began = time.monotonic()
        with pytest.raises(KubeUnreachable):
            client(server, read_timeout=0.6).get(PATH)
        assert time.monotonic() - began < 1.5


def test_a_silent_server() -> None:
    """A server that never answers is given up at the deadline of the call."""
    with serving(lambda exchange: exchange.server.released.wait(10) and None) as server:
        began = time.monotonic()
        with pytest.raises(KubeUnreachable):
            client(server).get(PATH, timeout=0.3)
        assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(("method", "attempts"), [("GET", 2), ("POST", 1), ("PATCH", 1)])
def test_only_a_get_is_repeated(method: str, attempts: int) -> None:
    """When the server hangs up instead of answering, a GET is asked once more; what may have had an effect is not."""

    def answer(exchange: Exchange) -> None:
        exchange.connection.shutdown(socket.SHUT_RDWR)

    with serving(answer) as server:
        with pytest.raises(KubeUnreachable):
            client(server).request(method, PATH, None if method == "GET" else {})
        assert len(server.requests) == attempts


def test_connections_are_kept() -> None:
    """Calls one after the other use one connection."""
    ports = set()

    def answer(exchange: Exchange) -> None:
        ports.add(exchange.client_address)
        exchange.reply(200, {})

    with serving(answer) as server:
        kube = client(server)
        for _ in range(5):
            kube.patch(PATH, {"status": {}})
        assert len(ports) == 1


def test_a_401_reads_the_credentials_once_more() -> None:
    """After a 401 new credentials are read and the call is repeated; the caller notices nothing."""
    tokens = iter(["old", "new"])

    def answer(exchange: Exchange) -> None:
        good = exchange.headers["Authorization"] == "Bearer new"
        exchange.reply(200 if good else 401, {"seen": exchange.headers["Authorization"]})

    with serving(answer) as server:
        kube = KubeClient(lambda: Access(server.url, None, Bearer(f"Bearer {next(tokens)}")))
        assert kube.get(PATH) == {"seen": "Bearer new"}
        assert len(server.requests) == 2


def test_a_lasting_401_is_asked_twice_only() -> None:
    """Credentials that stay refused are an error after one repetition, and appear in no text."""
    with serving(lambda exchange: exchange.reply(401, {"message": "Unauthorized"})) as server:
        kube = KubeClient(lambda: Access(server.url, None, Bearer("Bearer s3cret")))
        with pytest.raises(KubeAuthError) as caught:
            kube.get(PATH)
        assert len(server.requests) == 2
        assert "s3cret" not in repr(caught.value) + str(caught.value) + repr(kube._link.access)


def test_a_401_with_no_new_credentials() -> None:
    """When the credentials cannot be read again the error is still one of credentials."""
    answers = iter([True, False])

    with serving(lambda exchange: exchange.reply(401, {})) as server:

        def load() -> Access:
            if next(answers):
                return Access(server.url)
            raise KubeError("cannot be read", where="/token")

        with pytest.raises(KubeAuthError, match="/token: cannot be read"):
            KubeClient(load).get(PATH)


def test_a_watch_renews_credentials_too() -> None:
    """A watch that meets a 401 is opened again with new credentials."""
    tokens = iter(["old", "new"])

    def answer(exchange: Exchange) -> None:
        if exchange.headers["Authorization"] == "Bearer new":
            exchange.open_stream()
            exchange.end_stream()
        else:
            exchange.reply(401, {})

    with serving(answer) as server:
        kube = KubeClient(lambda: Access(server.url, None, Bearer(f"Bearer {next(tokens)}")))
        with kube.watch(PATH, "1", timeout=5) as stream:
            assert list(stream) == []


def test_a_path_before_the_api() -> None:
    """An API server behind a path (as some proxies have it) is asked below that path."""
    with serving(lambda exchange: exchange.reply(200, {})) as server:
        KubeClient(lambda: Access(f"{server.url}/k8s/c1")).get("/api/v1/nodes", limit=1)
        assert server.requests == ["GET /k8s/c1/api/v1/nodes?limit=1"]


def test_the_same_words_are_one_event() -> None:
    """Saying the same about the same object again raises the count of one Event."""
    events: dict[str, dict[str, Any]] = {}

    def answer(exchange: Exchange) -> None:
        name = exchange.path.rpartition("/")[2]
        if exchange.command == "POST":
            body = exchange.json()
            taken = body["metadata"]["name"] in events
            events.setdefault(body["metadata"]["name"], body)
            exchange.reply(409 if taken else 201, body)
        elif exchange.command == "PATCH":
            events[name].update(exchange.json())
            exchange.reply(200, events[name])
        else:
            exchange.reply(200, events[name])

    with serving(answer) as server:
        kube = client(server)
        for _ in range(3):
            kube.emit_event("Ingress", "red", "ing1", "u1", type="Warning", reason="Bad", message="m" * 2000)
        kube.emit_event("Node", "", "n1", "u2", type="Normal", reason="Good", message="other")
    bad, good = events.values()
    assert bad["count"] == 3
    assert len(bad["message"]) == 1024
    assert bad["involvedObject"] == {"kind": "Ingress", "namespace": "red", "name": "ing1", "uid": "u1"}
    assert good["metadata"]["namespace"] == "default"


@pytest.mark.parametrize(
    ("answer", "allowed"), [({"status": {"allowed": True}}, True), ({"status": {}}, False), ({}, False)]
)
def test_may_i(answer: dict[str, Any], allowed: bool) -> None:
    """A permission is there when the server says so, and only then."""
    with serving(lambda exchange: exchange.reply(201, answer)) as server:
        assert client(server).can_i("list", "networking.k8s.io", "ingresses") is allowed


def test_nothing_sent_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the token nor what is written appears in a log line, however chatty logging is."""
    caplog.set_level(logging.DEBUG)
    with serving(lambda exchange: exchange.reply(422, {"message": "invalid"})) as server:
        kube = KubeClient(lambda: Access(server.url, None, Bearer("Bearer s3cret")))
        with pytest.raises(KubeRefused):
            kube.create(PATH, {"data": {"tls.key": "pr1vate"}})
    assert "s3cret" not in caplog.text
    assert "pr1vate" not in caplog.text
