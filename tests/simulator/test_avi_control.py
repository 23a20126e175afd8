"""The switches of the simulated controller: call log, faults, latency, worlds in and out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import requests

from tests.simulator.avi_world import PASSWORD, Api, controller
from tests.support import wait_for


@pytest.fixture
def api() -> Iterator[Api]:
    with controller() as api:
        yield api


def test_audit(api: Api) -> None:
    """Every call is noted with its number, status, tenant and body; switches and passwords are not."""
    api.control("DELETE", "audit")
    api.post("//api/pool/?include_name", {"name": "p"})
    api.refused("POST", "/api/pool", {"name": "p"})
    api.login()
    calls = api.control("GET", "audit")["calls"]
    assert [(call["method"], call["path"], call["status"]) for call in calls] == [
        ("POST", "/api/pool/?include_name=", 201),
        ("POST", "/api/pool", 409),
        ("POST", "/login", 200),
    ]
    assert [call["n"] for call in calls] == list(range(calls[0]["n"], calls[0]["n"] + 3))
    assert calls[0]["tenant"] == "admin"
    assert calls[0]["version"] == "30.2.1"
    assert calls[0]["body"] == {"name": "p"}
    assert calls[0]["ms"] >= 0
    assert calls[1]["error"].startswith("Pool with this Name")
    assert "body" not in calls[2]
    assert PASSWORD not in str(calls)
    assert len(api.control("GET", f"audit?since={calls[1]['n']}")["calls"]) == 1


def test_audit_masks_keys(api: Api) -> None:
    """The key of a certificate is masked in the log, also in a PATCH and in a call that is refused."""
    body = {"name": "c", "certificate": {"certificate": "x"}, "key": "private", "key_passphrase": "private"}
    api.refused("POST", "/api/sslkeyandcertificate", body)
    api.refused("PATCH", "/api/sslkeyandcertificate/x", {"replace": {"key": "private"}})
    calls = api.control("GET", "audit")["calls"][-2:]
    assert calls[0]["body"] == body | {"key": "<sensitive>", "key_passphrase": "<sensitive>"}
    assert calls[1]["body"] == {"replace": {"key": "<sensitive>"}}


def test_a_status_for_some_calls(api: Api) -> None:
    """A fault answers the next calls that match with its status, body and headers, and then is used up."""
    spec = {"method": "POST", "path": "^/api/pool", "status": 429, "count": 2, "skip": 1}
    api.control("POST", "faults", spec | {"body": {"error": "busy"}, "headers": {"Retry-After": "3"}})
    statuses = [api.call("POST", "/api/pool", {"name": f"p{n}"}).status_code for n in range(4)]
    assert statuses == [201, 429, 429, 201]
    assert api.get("/api/pool")["count"] == 2
    api.control("POST", "faults", spec | {"skip": 0, "headers": {"Retry-After": "3"}})
    answer = api.call("POST", "/api/poolgroup", {"name": "g"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    api.control("DELETE", "faults")
    api.post("/api/poolgroup", {"name": "g"})


def test_faults_by_name(api: Api) -> None:
    """A fault can be for one object; others that come meanwhile are left alone, and it stays until it is used up."""
    api.control("POST", "faults", {"name": "^q$", "status": 503, "count": -1})
    assert [api.call("POST", "/api/pool", {"name": name}).status_code for name in "pqr"] == [201, 503, 201]
    assert api.call("POST", "/api/pool", {"name": "q"}).status_code == 503
    assert api.control("GET", "faults")["faults"][0]["hits"] == 2


def test_a_status_after_the_effect(api: Api) -> None:
    """With `when: after` the client gets the error though the object was made."""
    api.control("POST", "faults", {"method": "POST", "status": 500, "when": "after"})
    assert api.call("POST", "/api/pool", {"name": "p"}).status_code == 500
    assert api.get("/api/pool?name=p")["count"] == 1


@pytest.mark.parametrize(("when", "count"), [("before", 0), ("after", 1)])
def test_reset(api: Api, when: str, count: int) -> None:
    """A reset connection is an error for the client; the object was made only if it came after the effect."""
    api.control("POST", "faults", {"method": "POST", "reset": when})
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        api.call("POST", "/api/pool", {"name": "p"})
    assert api.get("/api/pool?name=p")["count"] == count
    assert next(call for call in api.control("GET", "audit")["calls"] if call["path"] == "/api/pool")["status"] == 0


def test_a_held_answer(api: Api) -> None:
    """A timeout holds the answer after the effect: others see the object, the log shows the call as running."""
    api.control("POST", "faults", {"method": "POST", "path": "/api/pool", "timeout": 30})
    with pytest.raises(requests.ReadTimeout):
        api.http.post(f"{api.url}/api/pool", json={"name": "p"}, timeout=0.2)
    assert api.get("/api/pool?name=p")["count"] == 1
    held = [
        call for call in api.control("GET", "audit")["calls"] if call["method"] == "POST" and call["path"] != "/login"
    ]
    assert [call["status"] for call in held] == [None]


def test_a_call_held_before_its_effect(api: Api) -> None:
    """With `when: before` a timeout holds the call first, and then lets it go on."""
    api.control("POST", "faults", {"method": "POST", "path": "/api/pool", "timeout": 0.5, "when": "before"})
    thread = threading.Thread(target=api.call, args=("POST", "/api/pool", {"name": "p"}))
    thread.start()
    wait_for(lambda: any(call.get("name") == "p" for call in api.control("GET", "audit")["calls"]), what="the call")
    assert api.control("GET", "dump?type=pool") == {}
    thread.join(10)
    assert api.get("/api/pool?name=p")["count"] == 1


@pytest.mark.parametrize(
    "spec", [{}, {"status": 500, "timeout": 1}, {"reset": "never"}, {"path": "(", "status": 500}, {"status": "x"}]
)
def test_wrong_faults(api: Api, spec: dict[str, object]) -> None:
    """A fault that makes no sense is refused with a sentence."""
    answer = requests.post(f"{api.url}/simulator/faults", json=spec)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_latency_overlaps(api: Api) -> None:
    """Each call takes the latency, and calls that run at the same time take it together."""
    api.control("POST", "latency", {"ms": 200})
    start = time.monotonic()
    threads = [threading.Thread(target=api.call, args=("GET", "/api/pool")) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert 0.2 <= time.monotonic() - start < 0.9


def test_foreign_objects(api: Api) -> None:
    """Two hundred foreign objects are of many types and three owners, routes among them; none is of cluster peer."""
    before = api.control("GET", "dump")
    uuids = api.control("POST", "load?foreign=200")["uuids"]
    dump = api.control("GET", "dump")
    routes = dump["vrfcontext"]["global"]["static_routes"]
    made = sum(len(objects) for objects in dump.values()) - sum(len(objects) for objects in before.values())
    assert made + len(routes) == 200
    assert len({key.split("/")[0] for key in uuids}) >= 9
    creators = {body.get("created_by") for body in dump["virtualservice"].values()}
    assert creators == {"ako-peer2", "ako-xpeer", "terraform", None}
    assert api.get("/api/vsvip?name.contains=peer--")["count"] > 0
    assert api.get("/api/virtualservice?created_by=ako-peer")["count"] == 0
    assert dump["serviceenginegroup"] == before["serviceenginegroup"]


def test_a_world_survives_dump_and_load(api: Api) -> None:
    """What is dumped from one controller and loaded into a new one dumps the same again."""
    api.control("POST", "load?foreign=200")
    dump = api.control("GET", "dump")
    with controller() as other:
        other.control("POST", "load", dump)
        assert other.control("GET", "dump") == dump


def test_dump_shows_changes(api: Api) -> None:
    """With `volatile` the dump holds uuid and `_last_modified`, so that any write to an object shows in it."""
    pool = api.post("/api/pool", {"name": "p"})
    before = api.control("GET", "dump?type=pool,poolgroup&volatile=1")
    assert before["pool"]["p"]["uuid"] == pool["uuid"]
    api.call("PUT", f"/api/pool/{pool['uuid']}", {"name": "p"})
    assert api.control("GET", "dump?type=pool&volatile=1") != before
    assert "uuid" not in api.control("GET", "dump")["pool"]["p"]


def test_a_world_that_does_not_load(api: Api) -> None:
    """Loading what a controller would not hold is refused with the controller's sentence."""
    for world in ({"pool": {"p": {"name": "p", "bogus": 1}}}, {"nosuchtype": {}}, []):
        answer = requests.post(f"{api.url}/simulator/load", json=world)
        assert answer.status_code == 400
        assert answer.json()["error"]


def test_cpu(api: Api) -> None:
    """The CPU time of the process can be read, and an unknown switch is a 404."""
    assert api.control("GET", "cpu")["seconds"] > 0
    assert requests.get(f"{api.url}/simulator/nosuch").status_code == 404
