"""Login, cookies, CSRF, version and tenant headers of the simulated controller."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.simulator.avi_world import PASSWORD, Api, controller


@pytest.fixture
def api() -> Iterator[Api]:
    with controller() as api:
        yield api


@pytest.mark.parametrize("field", ["password", "token"])
def test_login_as_json(api: Api, field: str) -> None:
    """A JSON login answers with the version and sets the CSRF and both session cookies."""
    answer = requests.post(f"{api.url}/login", json={"username": "admin", field: PASSWORD})
    assert answer.status_code == 200
    assert answer.json()["version"]["Version"] == "30.2.1"
    assert answer.json()["session_cookie_name"] == "avi-sessionid"
    assert set(answer.cookies.keys()) == {"csrftoken", "avi-sessionid", "sessionid"}


def test_login_as_a_form(api: Api) -> None:
    """A form-encoded login is as good as a JSON one."""
    assert requests.post(f"{api.url}/login", data={"username": "admin", "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize(
    "given", [{"username": "admin", "password": "no"}, {"username": "root", "password": PASSWORD}, {}, []]
)
def test_login_refused(api: Api, given: object) -> None:
    """Wrong or missing credentials are answered with 401 and the controller's sentence."""
    answer = requests.post(f"{api.url}/login", json=given)
    assert (answer.status_code, answer.json()) == (401, {"error": "Invalid credentials"})


def test_a_call_without_a_session(api: Api) -> None:
    """Without a session, or with an unknown one, a call gets 401; initial-data is open to all."""
    assert requests.get(f"{api.url}/api/pool").status_code == 401
    assert requests.get(f"{api.url}/api/pool", cookies={"avi-sessionid": "x"}).status_code == 401
    assert requests.get(f"{api.url}/api/initial-data").json()["version"]["Version"] == "30.2.1"


def test_either_cookie_will_do(api: Api) -> None:
    """The session is recognised by either of its cookie names."""
    value = api.http.cookies["avi-sessionid"]
    for name in ("avi-sessionid", "sessionid"):
        assert requests.get(f"{api.url}/api/pool", cookies={name: value}).status_code == 200


def test_writes_need_the_csrf_token(api: Api) -> None:
    """A write with no CSRF token or a wrong one gets 403, a read does not need it."""
    for token in ("", "wrong"):
        status, text = api.refused("POST", "/api/pool", {"name": "p"}, X_CSRFToken=token)
        assert status == 403
        assert "CSRF" in text
    assert api.call("GET", "/api/pool", X_CSRFToken="").status_code == 200


def test_logout_and_expiry(api: Api) -> None:
    """After a logout, and after all sessions were made to expire, a call gets 401 until the next login."""
    assert api.call("POST", "/logout").status_code == 200
    assert api.call("GET", "/api/pool").status_code == 401
    api.login()
    api.control("POST", "faults", {"expire": True})
    assert api.call("GET", "/api/pool").status_code == 401
    api.login()
    assert api.call("GET", "/api/pool").status_code == 200


@pytest.mark.parametrize(("version", "status"), [("18.2.6", 200), ("30.2.1", 200), ("31.1.1", 400), ("new", 400)])
def test_version_header(api: Api, version: str, status: int) -> None:
    """An API version up to the controller's own is taken, a newer one and a text that is none are refused."""
    assert api.call("GET", "/api/pool", X_Avi_Version=version).status_code == status


def test_tenants(api: Api) -> None:
    """An object belongs to the tenant of the call; others do not see it, `*` reads all and writes nothing."""
    tenant = api.post("/api/tenant", {"name": "blue"})
    pool = api.post("/api/pool", {"name": "p"}, X_Avi_Tenant="blue")
    assert pool["tenant_ref"] == f"{api.url}/api/tenant/{tenant['uuid']}"
    path = f"/api/pool/{pool['uuid']}"
    assert api.refused("GET", path) == (404, "Pool object not found!")
    assert api.get("/api/pool")["count"] == 0
    assert api.get("/api/pool", X_Avi_Tenant="blue")["count"] == 1
    assert api.get("/api/pool", X_Avi_Tenant="", X_Avi_Tenant_UUID=tenant["uuid"])["count"] == 1
    assert api.get("/api/pool", X_Avi_Tenant="*")["count"] == 1
    assert api.get(path, X_Avi_Tenant="*")["name"] == "p"
    assert api.refused("POST", "/api/pool", {"name": "q"}, X_Avi_Tenant="*")[0] == 400
    assert api.refused("DELETE", path, X_Avi_Tenant="*")[0] == 400
    assert api.refused("GET", "/api/pool", X_Avi_Tenant="green") == (403, "Tenant green does not exist")


def test_names_in_tenants(api: Api) -> None:
    """The same name may stand in two tenants; a reference means the own tenant's object before that of admin."""
    api.post("/api/tenant", {"name": "blue"})
    admins = api.post("/api/pool", {"name": "p"})
    group = {"name": "g", "members": [{"pool_ref": "/api/pool?name=p"}]}
    assert admins["uuid"] in api.post("/api/poolgroup", group, X_Avi_Tenant="blue")["members"][0]["pool_ref"]
    own = api.post("/api/pool", {"name": "p", "tenant_ref": "/api/tenant/?name=blue"}, X_Avi_Tenant="blue")
    group["name"] = "h"
    assert own["uuid"] in api.post("/api/poolgroup", group, X_Avi_Tenant="blue")["members"][0]["pool_ref"]


def test_what_admin_has_for_all(api: Api) -> None:
    """A tenant sees clouds, networks and profiles of admin, but may not change them."""
    api.post("/api/tenant", {"name": "blue"})
    network = api.get("/api/network?name=net1", X_Avi_Tenant="blue")["results"][0]
    assert api.refused("PUT", f"/api/network/{network['uuid']}", network, X_Avi_Tenant="blue")[0] == 403
