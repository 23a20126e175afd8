"""The calls of the client: what goes out, what comes back, paging, and what an unusable answer is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from shared.avi.client import AviClient
from shared.errors import AviNotFound, AviRefused, AviStale, AviUnreachable
from shared.settings.model import Credentials
from tests.shared.avi.scripted_controller import CSRF, SESSION, Controller, Request, is_in, running
from tests.support import wait_for

USER = Credentials("admin", password="pass-secret-0001")


@pytest.fixture
def controller() -> Iterator[Controller]:
    with running() as controller:
        yield controller


@pytest.fixture
def client(controller: Controller) -> Iterator[AviClient]:
    client = AviClient(controller.url, USER)
    yield client
    client.close()


def test_headers_of_a_write(controller: Controller, client: AviClient) -> None:
    """A POST carries tenant, version, referer, CSRF token and the session's cookies, and its body as JSON."""
    client.create("pool", {"name": "p"}, tenant="red")
    (sent,) = controller.requests
    assert (sent.method, sent.path, sent.query) == ("POST", "/api/pool", {"include_name": "true"})
    assert sent.body == {"name": "p"}
    assert sent.cookies == {"csrftoken": CSRF, "avi-sessionid": SESSION}
    expected = {
        "x-avi-tenant": "red",
        "x-avi-version": "30.2.1",
        "x-csrftoken": CSRF,
        "referer": f"{controller.url}/",
        "content-type": "application/json",
        "host": controller.url.removeprefix("http://"),
    }
    assert {name: sent.headers[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("user", "body"),
    [
        (USER, {"username": "admin", "password": "pass-secret-0001"}),
        (Credentials("admin", password="x", token="t"), {"username": "admin", "token": "t"}),
    ],
)
def test_login_form(controller: Controller, user: Credentials, body: dict[str, str]) -> None:
    """The login sends user and password as JSON, or the token if there is one, and happens only once."""
    client = AviClient(controller.url, user, version="22.1.3")
    client.get("pool", "pool-1")
    client.get("pool", "pool-1")
    (login,) = controller.logins
    assert (login.method, login.body, login.headers["x-avi-version"]) == ("POST", body, "22.1.3")


def test_get_update_delete_read(controller: Controller, client: AviClient) -> None:
    """Each call has its own method and path; DELETE takes an empty answer; a uuid keeps its place in the path."""
    controller.answer = lambda request: (204, b"") if request.method == "DELETE" else (200, {"name": request.path})
    assert client.get("pool", "pool-1") == {"name": "/api/pool/pool-1"}
    assert client.get("pool", "../x?y") == {"name": "/api/pool/..%2Fx%3Fy"}
    assert client.update("pool", "pool-1", {"name": "p"}) == {"name": "/api/pool/pool-1"}
    client.delete("pool", "pool-1")
    assert client.read("cluster/runtime") == {"name": "/api/cluster/runtime"}
    assert client.read("/api/list", cloud_uuid="c 1") == {"name": "/api/list"}
    seen = [(r.method, r.query) for r in controller.requests]
    named = {"include_name": "true"}
    assert seen == [
        ("GET", named),
        ("GET", named),
        ("PUT", named),
        ("DELETE", {}),
        ("GET", {}),
        ("GET", {"cloud_uuid": "c 1"}),
    ]


def test_tenants_of_any_spelling(controller: Controller, client: AviClient) -> None:
    """A tenant goes out as UTF-8; one with control characters is refused before anything is sent."""
    client.get("pool", "pool-1", tenant="grün")
    assert controller.requests[0].headers["x-avi-tenant"].encode("latin-1").decode() == "grün"
    with pytest.raises(AviRefused, match="control characters"):
        client.get("pool", "pool-1", tenant="a\r\nX-Evil: 1")
    assert len(controller.requests) == 1


def test_a_body_that_is_no_json(controller: Controller, client: AviClient) -> None:
    """A body that cannot be written as JSON is refused before anything is sent."""
    with pytest.raises(AviRefused, match="no JSON"):
        client.create("pool", {"name": "p", "x": object()})
    assert controller.requests == []


def test_an_empty_uuid_is_not_the_collection(controller: Controller, client: AviClient) -> None:
    """Without a uuid nothing is sent, least of all a DELETE of a whole collection."""
    for refused in (
        lambda: client.delete("pool", ""),
        lambda: client.get("pool", ""),
        lambda: client.update("pool", "", {}),
    ):
        with pytest.raises(AviRefused, match="without uuid"):
            refused()
    assert controller.requests == []


def _tenant(name: str) -> str:
    return f"https://c/api/tenant/tenant-1#{name}"


def test_find_takes_only_the_exact_object(controller: Controller, client: AviClient) -> None:
    """Objects of another name, cloud or tenant in the answer are passed over; without a hit it is None."""
    cloud = "https://c/api/cloud/cloud-1#Default-Cloud"
    objects = [
        {"name": "web-1", "uuid": "1", "tenant_ref": _tenant("admin")},
        {"name": "web", "uuid": "2", "tenant_ref": _tenant("red")},
        {"name": "web", "uuid": "3", "tenant_ref": _tenant("admin"), "cloud_ref": cloud.replace("Default", "Other")},
        {"name": "web", "uuid": "4", "tenant_ref": _tenant("admin"), "cloud_ref": cloud},
    ]
    controller.answer = lambda request: (200, {"count": 4, "results": objects})

    def uuid(found: dict[str, Any] | None) -> str | None:
        return found["uuid"] if found else None

    assert uuid(client.find("pool", "web", cloud="Default-Cloud")) == "4"
    assert uuid(client.find("pool", "web")) == "3"
    assert uuid(client.find("pool", "web", tenant="red")) == "2"
    assert uuid(client.find("pool", "web", tenant="*")) == "2"
    assert client.find("pool", "web", tenant="blue") is None
    assert client.find("pool", "WEB") is None
    first = controller.requests[0]
    assert first.query | {"page_size": ""} == {
        "name": "web",
        "cloud_ref.name": "Default-Cloud",
        "include_name": "true",
        "page_size": "",
    }


def test_find_escapes_the_name(controller: Controller, client: AviClient) -> None:
    """A name with characters that mean something in a URL arrives as it is."""
    controller.answer = lambda request: (200, {"count": 0, "results": []})
    assert client.find("pool", "a/b c&d=e#f%41+g") is None
    assert controller.requests[0].query["name"] == "a/b c&d=e#f%41+g"


def _paged(count: int) -> Any:
    def answer(request: Request) -> Any:
        page, size = int(request.query.get("page", 1)), int(request.query["page_size"])
        results = [{"name": f"o{number}"} for number in range(count)][(page - 1) * size : page * size]
        body: dict[str, Any] = {"count": count, "results": results}
        if page * size < count:
            body["next"] = f"https://inner.example/api/pool?x=1&page={page + 1}&page_size={size}"
        return 200, body

    return answer


def test_pages_follow_next_by_number(controller: Controller, client: AviClient) -> None:
    """All pages come in order, from our host whatever `next` says, with the time of each request, over all tenants."""
    controller.answer = _paged(250)
    pages = list(client.pages("pool", created_by="ako-x"))
    assert [len(page.objects) for page in pages] == [100, 100, 50]
    assert [item["name"] for page in pages for item in page.objects] == [f"o{number}" for number in range(250)]
    assert pages[0].requested_at < pages[1].requested_at < pages[2].requested_at
    assert {r.headers["x-avi-tenant"] for r in controller.requests} == {"*"}
    assert {r.query["created_by"] for r in controller.requests} == {"ako-x"}
    assert [len(page.objects) for page in client.pages("pool", page_size=200, tenant="red")] == [200, 50]
    assert controller.requests[-1].headers["x-avi-tenant"] == "red"


@pytest.mark.parametrize(
    ("second", "error"),
    [
        ((500, {"error": "oops"}), AviUnreachable),
        ((404, {"error": "That page contains no results"}), AviStale),
        ((200, {"count": 250}), AviUnreachable),
        ((200, {"count": 250, "results": [1]}), AviUnreachable),
        ((200, {"count": 250, "results": [], "next": "https://c/api/pool?page=2"}), AviUnreachable),
        ((200, {"count": 250, "results": [], "next": "nonsense"}), AviUnreachable),
        ((200, b"[]"), AviUnreachable),
        ((200, b'{"count": 250, "res'), AviUnreachable),
        (None, AviUnreachable),
    ],
)
def test_a_failed_page_is_never_a_short_list(
    controller: Controller, client: AviClient, second: Any, error: type[Exception]
) -> None:
    """Whatever goes wrong with a page, the list does not end quietly."""
    paged = _paged(250)
    controller.answer = lambda request: second if request.query.get("page") == "2" else paged(request)
    pages = client.pages("pool")
    assert len(next(pages).objects) == 100
    with pytest.raises(error):
        next(pages)


def test_a_collection_that_is_404_is_not_an_empty_one(controller: Controller, client: AviClient) -> None:
    """A 404 for a list is an error; "not found" is said of single objects only."""
    controller.answer = lambda request: (404, {"error": "no such type"})
    with pytest.raises(AviRefused):
        client.find("nonsense", "x")
    with pytest.raises(AviRefused):
        list(client.pages("nonsense"))
    with pytest.raises(AviNotFound):
        client.get("pool", "pool-1")


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"uuid": "pool-', b'["a"]', b"null"])
def test_a_created_object_that_cannot_be_read(controller: Controller, client: AviClient, body: bytes) -> None:
    """A 201 whose body is no JSON object may stand: it is unreachable and sent, with a clear text."""
    controller.answer = lambda request: (201, body)
    with pytest.raises(
        AviUnreachable, match=r"POST pool 'p' \(tenant admin\): the answer \(201\) is not a JSON"
    ) as caught:
        client.create("pool", {"name": "p"})
    assert caught.value.sent
    assert len(controller.requests) == 1


def test_threads_keep_their_own_connection(controller: Controller, client: AviClient) -> None:
    """Many calls of four threads use four connections (and one login), never one connection in two threads."""
    seen: dict[int, set[str]] = {}
    controller.answer = lambda request: (200, {"name": request.query["who"]})
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait(5)
        for _ in range(20):
            assert client.read("x", who=str(number)) == {"name": str(number)}

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for request in controller.requests:
        seen.setdefault(request.connection, set()).add(request.query["who"])
    assert len(controller.requests) == 80
    assert all(len(who) == 1 for who in seen.values())
    assert len(seen) == 4
    assert len(controller.logins) == 1


def test_no_more_calls_on_the_wire_than_allowed(controller: Controller) -> None:
    """With max_in_flight 2, six threads never have more than two calls under way at once."""
    client = AviClient(controller.url, USER, max_in_flight=2)
    client.get("pool", "warm-up")
    go_on = threading.Event()

    def answer(request: Request) -> Any:
        go_on.wait(10)
        return 200, {}

    controller.answer = answer
    threads = [threading.Thread(target=client.get, args=("pool", "p")) for _ in range(6)]
    for thread in threads:
        thread.start()
    wait_for(lambda: sum(is_in("acquire", thread) for thread in threads) == 4, what="four threads that wait")
    wait_for(lambda: len(controller.requests) == 3, what="two calls besides the first")
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert len(controller.requests) == 7


def test_every_exchange_is_told(controller: Controller) -> None:
    """The hook hears method, type, status and seconds of each exchange and login; status 0 stands for no answer."""
    calls: list[tuple[str, str, int, float]] = []
    client = AviClient(controller.url, USER, on_call=lambda *call: calls.append(call))
    client.create("pool", {"name": "p"})
    controller.answer = lambda request: None
    with pytest.raises(AviUnreachable):
        client.delete("vsvip", "vsvip-1")
    assert [call[:3] for call in calls] == [("POST", "login", 200), ("POST", "pool", 200), ("DELETE", "vsvip", 0)]
    assert all(0 <= call[3] < 5 for call in calls)


def test_a_closed_client_says_so(controller: Controller, client: AviClient) -> None:
    """After close() a call fails as unreachable, not sent."""
    client.get("pool", "p")
    client.close()
    with pytest.raises(AviUnreachable, match="closed") as caught:
        client.create("pool", {})
    assert not caught.value.sent
