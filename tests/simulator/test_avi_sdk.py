"""The simulated controller as a stranger meets it: with the vendor's own Python SDK, over TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from avi.sdk.avi_api import APIError, ApiSession, ObjectNotFound

from simulator.avi.app import AviSimulator
from simulator.avi.tls import self_signed, server_context
from simulator.server import running
from tests.simulator.avi_world import PASSWORD, Api


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ApiSession, Api]]:
    """An SDK session that trusts the generated certificate, and a plain client for the switches."""
    certificate, key = self_signed("127.0.0.1")
    pem = tmp_path / "controller.pem"
    pem.write_bytes(certificate)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))  # `requests` puts it before what a session says
    with running(AviSimulator(password=PASSWORD).handle, tls=server_context(certificate, key)) as server:
        ApiSession.clear_cached_sessions()
        port = int(server.url.rsplit(":", 1)[1])
        session = ApiSession("127.0.0.1", "admin", PASSWORD, port=port, api_version="30.2.1", verify=str(pem))
        yield session, Api(server.url, verify=str(pem))
        session.close()


def test_login_and_objects(world: tuple[ApiSession, Api]) -> None:
    """The SDK logs in, creates, finds by name, refers by name, changes and deletes."""
    session, _ = world
    created = session.post("pool", data={"name": "web", "servers": [{"ip": {"addr": "10.0.0.1", "type": "V4"}}]})
    assert created.status_code == 201
    pool = session.get_object_by_name("pool", "web")
    assert pool["uuid"] == created.json()["uuid"]
    group = {"name": "group", "members": [{"pool_ref": "/api/pool?name=web"}]}
    assert session.post("poolgroup", data=json.dumps(group)).status_code == 201
    assert session.get_obj_ref(pool) in session.get_object_by_name("poolgroup", "group")["members"][0]["pool_ref"]
    assert session.put_by_name("pool", "web", data=pool | {"description": "changed"}).status_code == 200
    assert session.patch(f"pool/{pool['uuid']}", data={"replace": {"enabled": False}}).json()["enabled"] is False
    assert session.delete_by_name("pool", "web").status_code == 409
    assert session.delete_by_name("poolgroup", "group").status_code == 204
    assert session.delete_by_name("pool", "web").status_code == 204
    assert session.get_object_by_name("pool", "web") is None
    with pytest.raises(ObjectNotFound):
        session.delete_by_name("pool", "web")


def test_paging(world: tuple[ApiSession, Api]) -> None:
    """The SDK's iterator follows all pages."""
    session, _ = world
    for n in range(60):
        session.post("pool", data={"name": f"p{n}"})
    names = [pool["name"] for pool in session.get_objects_iter("pool", params={"page_size": 25})]
    assert names == [f"p{n}" for n in range(60)]


def test_two_writers(world: tuple[ApiSession, Api]) -> None:
    """Of two that change the same object the slower one gets 412, reads again and succeeds: nothing is lost."""
    session, _ = world
    session.post("pool", data={"name": "web"})
    mine = session.get_object_by_name("pool", "web")
    theirs = session.get_object_by_name("pool", "web")
    assert session.put(f"pool/{theirs['uuid']}", data=theirs | {"description": "theirs"}).status_code == 200
    tries = 0
    while (answer := session.put(f"pool/{mine['uuid']}", data=mine | {"default_server_port": 8080})).status_code == 412:
        mine = session.get_object_by_name("pool", "web")
        tries += 1
    assert (answer.status_code, tries) == (200, 1)
    assert answer.json()["description"] == "theirs"
    assert answer.json()["default_server_port"] == 8080


def test_an_expired_session(world: tuple[ApiSession, Api]) -> None:
    """After its session expired the SDK logs in again by itself."""
    session, api = world
    api.http.post(f"{api.url}/simulator/faults", json={"expire": True, "path": "/api/"})
    assert session.post("pool", data={"name": "web"}).status_code == 201
    calls = api.http.get(f"{api.url}/simulator/audit").json()["calls"]
    assert [call["status"] for call in calls if call["path"] == "/login"] == [200, 200]


def test_wrong_password(world: tuple[ApiSession, Api]) -> None:
    """A wrong password is an error for the SDK too."""
    _, api = world
    with pytest.raises(APIError, match="Invalid credentials"):
        ApiSession("127.0.0.1", "admin", "no", port=int(api.url.rsplit(":", 1)[1]), verify=True)
