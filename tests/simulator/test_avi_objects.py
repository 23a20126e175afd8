"""POST, GET, PUT, PATCH, DELETE of single objects, and everything that is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests import pems
from tests.simulator.avi_world import Api, controller

PEM, KEY = pems.pair()
OTHER = pems.pair(1)[1]


@pytest.fixture
def api() -> Iterator[Api]:
    with controller() as api:
        yield api


def server(address: str, port: int = 80) -> dict[str, Any]:
    return {"ip": {"addr": address, "type": "V4"}, "port": port}


def test_post(api: Api) -> None:
    """A POST answers 201 with what was sent, the defaults, and what the controller adds."""
    pool = api.post("/api/pool", {"name": "p", "servers": [server("10.0.0.1")], "markers": [], "description": None})
    assert re.fullmatch(r"pool-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", pool["uuid"])
    assert pool["url"] == f"{api.url}/api/pool/{pool['uuid']}"
    assert pool["tenant_ref"] == f"{api.url}/api/tenant/admin"
    assert re.fullmatch(rf"{api.url}/api/cloud/cloud-[0-9a-f-]+", pool["cloud_ref"])
    assert re.fullmatch(r"\d{16}", pool["_last_modified"])
    assert pool["servers"] == [{"ip": {"addr": "10.0.0.1", "type": "V4"}, "port": 80, "enabled": True, "ratio": 1}]
    assert pool["lb_algorithm"] == "LB_ALGORITHM_LEAST_CONNECTIONS"
    assert not {"markers", "description"} & pool.keys()
    assert api.get(f"/api/pool/{pool['uuid']}") == pool


@pytest.mark.parametrize("path", ["/api/pool", "/api/pool/", "//api/pool", "//api//pool/"])
def test_spellings_of_a_path(api: Api, path: str) -> None:
    """A trailing slash and doubled slashes make no difference."""
    pool = api.post(path, {"name": "p"})
    assert api.get(f"{path.rstrip('/')}/{pool['uuid']}")["name"] == "p"
    assert api.get(f"{path}?name=p")["count"] == 1


@pytest.mark.parametrize(
    ("rest_type", "fields", "status", "text"),
    [
        ("pool", {"bogus_field": 1}, 400, 'Message type "Pool" has no field named "bogus_field"'),
        ("pool", {"servers": [{"x": 1}]}, 400, 'Message type "Server" has no field named "x" (in servers[0])'),
        ("pool", {"lb_algorithm": "NOPE"}, 400, "lb_algorithm: 'NOPE' is not one of the enum options ["),
        ("pool", {"description": 5}, 400, "description: 5 is not a valid string"),
        ("pool", {"default_server_port": "80"}, 400, "default_server_port: '80' is not a valid int32"),
        ("pool", {"default_server_port": True}, 400, "default_server_port: True is not a valid int32"),
        ("pool", {"enabled": 1}, 400, "enabled: 1 is not a valid bool"),
        ("pool", {"servers": {}}, 400, "servers: dict is not a valid list of Server"),
        ("pool", {"servers": [{"port": 80}]}, 400, "servers[0].ip: this field is required"),
        ("pool", {"analytics_policy": []}, 400, "analytics_policy: list is not a valid PoolAnalyticsPolicy"),
        ("poolgroup", {"min_servers": -1}, 400, "min_servers: -1 is not a valid uint32"),
        ("pool", {"name": None}, 400, "name: this field is required"),
        ("poolgroup", {"members": [{"pool_ref": "/api/pool?name=no"}]}, 404, "Pool object not found!"),
        ("poolgroup", {"members": [{"pool_ref": "/api/pool/pool-1"}]}, 404, "Pool object not found!"),
        ("poolgroup", {"members": [{"pool_ref": "no"}]}, 400, "members[0].pool_ref: 'no' is not a reference"),
        ("pool", {"vrf_ref": "/api/pool?name=x"}, 400, "vrf_ref: a reference to vrfcontext is expected, not to pool"),
        ("pool", {"cloud_ref": "/api/cloud?name=x"}, 404, "Cloud object not found!"),
        ("virtualservice", {}, 400, "vsvip_ref: a virtual service that is no child needs a VsVip"),
        ("sslkeyandcertificate", {"certificate": {"certificate": "x"}}, 400, "certificate.certificate: this is not"),
        ("sslkeyandcertificate", {"certificate": {"certificate": PEM}, "key": "x"}, 400, "key: this is not a private"),
        ("sslkeyandcertificate", {"certificate": {"certificate": PEM}, "key": OTHER}, 400, "key: the private key does"),
    ],
)
def test_refused_bodies(api: Api, rest_type: str, fields: dict[str, Any], status: int, text: str) -> None:
    """Each wrong body is refused with a sentence that names what is wrong, and nothing is created."""
    answer = api.refused("POST", f"/api/{rest_type}", {"name": "x"} | fields)
    assert answer[0] == status
    assert answer[1].startswith(text)
    assert api.get(f"/api/{rest_type}?name=x")["count"] == 0


def test_a_body_that_is_no_json(api: Api) -> None:
    """A body that is no JSON, or no object, is refused with 400."""
    for data in (b"{", b"[]", b""):
        answer = api.http.post(f"{api.url}/api/pool", data=data)
        assert answer.status_code == 400
        assert answer.json()["error"] == "The body is not a JSON object: a Pool is expected"


def test_duplicate_name(api: Api) -> None:
    """A name is taken once per type, tenant and cloud: 409 with the controller's sentence, also when renaming."""
    api.post("/api/pool", {"name": "p"})
    other = api.post("/api/pool", {"name": "q"})
    cloud_scoped = (409, "Pool with this Name, Tenant ref and Cloud ref already exists.")
    assert api.refused("POST", "/api/pool", {"name": "p"}) == cloud_scoped
    assert api.refused("PUT", f"/api/pool/{other['uuid']}", {"name": "p"}) == cloud_scoped
    api.post("/api/poolgroup", {"name": "p"})
    api.post("/api/httppolicyset", {"name": "p"})
    text = "HTTPPolicySet with this Name and Tenant ref already exists."
    assert api.refused("POST", "/api/httppolicyset", {"name": "p"}) == (409, text)


def test_names_in_clouds(api: Api) -> None:
    """The same name may stand in two clouds, and a reference means the one of the object's cloud."""
    api.post("/api/cloud", {"name": "other", "vtype": "CLOUD_NONE"})
    here = api.post("/api/pool", {"name": "p"})
    there = api.post("/api/pool", {"name": "p", "cloud_ref": "/api/cloud?name=other"})
    members = [{"pool_ref": "/api/pool?name=p"}]
    group = api.post("/api/poolgroup", {"name": "g", "cloud_ref": "/api/cloud?name=other", "members": members})
    assert there["uuid"] in group["members"][0]["pool_ref"]
    assert here["uuid"] in api.post("/api/poolgroup", {"name": "g", "members": members})["members"][0]["pool_ref"]
    only_here = api.post("/api/poolgroup", {"name": "only"})
    rule = {"name": "r", "index": 0, "enable": True}
    rule["switching_action"] = {
        "action": "HTTP_SWITCHING_SELECT_POOLGROUP",
        "pool_group_ref": "/api/poolgroup?name=only",
    }
    policy = api.post("/api/httppolicyset", {"name": "h", "http_request_policy": {"rules": [rule]}})
    assert only_here["uuid"] in str(policy)


@pytest.mark.parametrize("spelling", ["/api/pool/?name={}", "/api/pool?name={}", "https://1.2.3.4/api/pool?name={}"])
@pytest.mark.parametrize("name", ["plain", "a/b c", "ünï--x_y.z"])
def test_references_by_name(api: Api, spelling: str, name: str) -> None:
    """Every spelling of a reference by name is resolved to a full URL, for raw and for percent-encoded names."""
    pool = api.post("/api/pool", {"name": name})
    for n, written in enumerate((name, "".join(f"%{byte:02X}" for byte in name.encode()))):
        body = {"name": f"g{n}", "members": [{"pool_ref": spelling.format(written)}]}
        answer = api.post("/api/poolgroup?include_name=true", body)
        assert answer["members"][0]["pool_ref"] == f"{api.url}/api/pool/{pool['uuid']}#{name}"
        assert answer["url"].endswith(f"#g{n}")


def test_references_by_uuid(api: Api) -> None:
    """A reference may be a path or a URL with a uuid, with or without the name behind it."""
    pool = api.post("/api/pool?include_name", {"name": "p"})
    for n, text in enumerate((f"/api/pool/{pool['uuid']}", f"https://ctrl/api/pool/{pool['uuid']}", pool["url"])):
        group = api.post("/api/poolgroup", {"name": f"g{n}", "members": [{"pool_ref": text}]})
        assert group["members"][0]["pool_ref"] == f"{api.url}/api/pool/{pool['uuid']}"


def test_put(api: Api) -> None:
    """A PUT replaces the object: what is left out is gone or back at its default, and `_last_modified` rises."""
    pool = api.post("/api/pool", {"name": "p", "description": "x", "default_server_port": 8080, "created_by": "a"})
    changed = api.call("PUT", f"/api/pool/{pool['uuid']}", {"name": "p", "created_by": "b"})
    assert changed.status_code == 200
    body = changed.json()
    assert body["default_server_port"] == 80
    assert "description" not in body
    assert int(body["_last_modified"]) > int(pool["_last_modified"])
    assert {key: body[key] for key in ("uuid", "url", "tenant_ref", "cloud_ref")} == {
        key: pool[key] for key in ("uuid", "url", "tenant_ref", "cloud_ref")
    }
    assert api.get("/api/pool?created_by=a")["count"] == 0
    assert api.get("/api/pool?created_by=b")["count"] == 1


def test_stale_put(api: Api) -> None:
    """Of two PUTs made from the same read the second gets 412; without `_last_modified` it is taken."""
    pool = api.post("/api/pool", {"name": "p"})
    path = f"/api/pool/{pool['uuid']}"
    assert api.call("PUT", path, pool).status_code == 200
    status, text = api.refused("PUT", path, pool)
    assert status == 412
    assert "Need to reload object data" in text
    pool.pop("_last_modified")
    assert api.call("PUT", path, pool).status_code == 200


def test_a_refused_put_changes_nothing(api: Api) -> None:
    """After a refused PUT the object is as it was."""
    pool = api.post("/api/pool", {"name": "p"})
    assert api.refused("PUT", f"/api/pool/{pool['uuid']}", {"name": "p", "vrf_ref": "/api/vrfcontext?name=x"})[0] == 404
    assert api.get(f"/api/pool/{pool['uuid']}") == pool


def test_a_rename_shows_in_references(api: Api) -> None:
    """After a rename the object is found by its new name only, and references to it show that name."""
    pool = api.post("/api/pool", {"name": "old"})
    group = api.post("/api/poolgroup?include_name", {"name": "g", "members": [{"pool_ref": "/api/pool?name=old"}]})
    assert api.call("PUT", f"/api/pool/{pool['uuid']}", {"name": "new"}).status_code == 200
    assert api.get(f"/api/poolgroup/{group['uuid']}?include_name")["members"][0]["pool_ref"].endswith("#new")
    assert api.get("/api/pool?name=old")["count"] == 0
    assert api.get("/api/pool?name=new")["count"] == 1
    api.post("/api/pool", {"name": "old"})


def test_an_object_stays_in_its_cloud(api: Api) -> None:
    """A PUT that would move an object to another cloud is refused."""
    api.post("/api/cloud", {"name": "other", "vtype": "CLOUD_NONE"})
    pool = api.post("/api/pool", {"name": "p"})
    body = {"name": "p", "cloud_ref": "/api/cloud?name=other"}
    assert api.refused("PUT", f"/api/pool/{pool['uuid']}", body)[0] == 400


def test_patch(api: Api) -> None:
    """A PATCH adds to lists, sets and takes away; what it does not name stays."""
    pool = api.post("/api/pool", {"name": "p", "description": "x", "servers": [server("10.0.0.1")]})
    path = f"/api/pool/{pool['uuid']}"
    change = {"add": {"servers": [server("10.0.0.2"), server("10.0.0.3")]}, "replace": {"default_server_port": 8080}}
    body = api.call("PATCH", path, change).json()
    assert [one["ip"]["addr"] for one in body["servers"]] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert body["servers"][2]["ratio"] == 1
    assert (body["default_server_port"], body["description"]) == (8080, "x")
    gone = {"servers": [{"ip": {"addr": "10.0.0.2", "type": "V4"}}], "description": "x"}
    body = api.call("PATCH", path, {"delete": gone}).json()
    assert [one["ip"]["addr"] for one in body["servers"]] == ["10.0.0.1", "10.0.0.3"]
    assert "description" not in body
    assert api.refused("PATCH", path, {"set": {}})[0] == 400
    assert api.refused("PATCH", path, {"add": {"bogus": 1}})[0] == 400
    assert api.refused("PATCH", path, {"delete": {"name": "p"}})[0] == 400


def test_delete(api: Api) -> None:
    """A DELETE answers 204 and nothing; afterwards the object is gone and its name free."""
    pool = api.post("/api/pool", {"name": "p"})
    path = f"/api/pool/{pool['uuid']}"
    answer = api.call("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    for method, body in (("GET", None), ("PUT", {"name": "p"}), ("DELETE", None)):
        assert api.refused(method, path, body) == (404, "Pool object not found!")
    api.post("/api/pool", {"name": "p"})


def test_delete_of_what_is_referred_to(api: Api) -> None:
    """A referenced object is not deleted: the answer names who refers to it; freed by a PUT it can be deleted."""
    pool = api.post("/api/pool", {"name": "p"})
    group = api.post("/api/poolgroup", {"name": "x--g", "members": [{"pool_ref": "/api/pool?name=p"}]})
    text = "Cannot delete, object is referred by: ['PoolGroup x--g']"
    assert api.refused("DELETE", f"/api/pool/{pool['uuid']}") == (409, text)
    assert api.call("PUT", f"/api/poolgroup/{group['uuid']}", {"name": "x--g"}).status_code == 200
    assert api.call("DELETE", f"/api/pool/{pool['uuid']}").status_code == 204


def test_uuids_belong_to_a_type(api: Api) -> None:
    """A uuid of another type, an unknown type and a method that does not exist are refused."""
    pool = api.post("/api/pool", {"name": "p"})
    assert api.refused("GET", f"/api/poolgroup/{pool['uuid']}") == (404, "PoolGroup object not found!")
    assert api.refused("GET", "/api/nosuchtype")[0] == 404
    assert api.refused("DELETE", "/api/pool")[0] == 405
    assert api.refused("POST", f"/api/pool/{pool['uuid']}", {})[0] == 405


def vs(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "VS_TYPE_VH_PARENT", "vsvip_ref": "/api/vsvip?name=v", **fields}


def child(name: str, parent: str) -> dict[str, Any]:
    return {"name": name, "type": "VS_TYPE_VH_CHILD", "vh_parent_vs_ref": f"/api/virtualservice?name={parent}"}


def test_children_of_a_virtual_service(api: Api) -> None:
    """A parent lists its children while they are there; it cannot go before them, and lists cannot be sent."""
    api.post("/api/vsvip", {"name": "v"})
    parents = [api.post("/api/virtualservice", vs(name)) for name in ("a", "b")]
    paths = [f"/api/virtualservice/{parent['uuid']}" for parent in parents]
    one = api.post("/api/virtualservice", child("c", "a"))
    assert api.get(paths[0])["vh_child_vs_uuid"] == [one["uuid"]]
    assert api.get(paths[0])["_last_modified"] == parents[0]["_last_modified"]
    assert api.refused("DELETE", paths[0])[0] == 409
    assert api.call("PUT", paths[0], vs("a", vh_child_vs_uuid=[])).json()["vh_child_vs_uuid"] == [one["uuid"]]
    assert api.refused("PUT", paths[0], vs("a") | {"type": "VS_TYPE_NORMAL"})[0] == 400
    assert api.call("PUT", f"/api/virtualservice/{one['uuid']}", child("c", "b")).status_code == 200
    assert [api.get(path)["vh_child_vs_uuid"] for path in paths] == [[], [one["uuid"]]]
    assert api.call("DELETE", f"/api/virtualservice/{one['uuid']}").status_code == 204
    assert api.get(paths[1])["vh_child_vs_uuid"] == []
    assert api.call("DELETE", paths[1]).status_code == 204


def test_a_child_needs_a_parent(api: Api) -> None:
    """A child without a parent, or whose parent is none, is refused."""
    api.post("/api/vsvip", {"name": "v"})
    api.post("/api/virtualservice", vs("n") | {"type": "VS_TYPE_NORMAL"})
    assert api.refused("POST", "/api/virtualservice", {"name": "c", "type": "VS_TYPE_VH_CHILD"})[0] == 400
    assert api.refused("POST", "/api/virtualservice", child("c", "n"))[0] == 400


def test_route_ids(api: Api) -> None:
    """Routes of one VRF have different ids; the same id twice is refused and changes nothing."""
    vrf = api.get("/api/vrfcontext?name=global")["results"][0]
    path = f"/api/vrfcontext/{vrf['uuid']}"

    def route(route_id: str, third: int) -> dict[str, Any]:
        prefix = {"ip_addr": {"addr": f"10.244.{third}.0", "type": "V4"}, "mask": 24}
        return {"route_id": route_id, "prefix": prefix, "next_hop": {"addr": "10.50.0.1", "type": "V4"}}

    assert api.call("PUT", path, vrf | {"static_routes": [route("1", 1), route("2", 2)]}).status_code == 200
    before = api.get(path)
    status, text = api.refused("PUT", path, before | {"static_routes": [route("1", 1), route("1", 2)]})
    assert (status, text) == (400, "static_routes: route_id '1' is used twice")
    assert api.get(path) == before


def test_keys_never_come_out(api: Api) -> None:
    """The key of a certificate is masked in every answer, and a PUT without it leaves it in place."""
    body = {"name": "c", "certificate": {"certificate": PEM}, "key": KEY}
    stored = api.post("/api/sslkeyandcertificate", body)
    assert (stored["key"], stored["status"]) == ("<sensitive>", "SSL_CERTIFICATE_FINISHED")
    body.pop("key")
    again = api.call("PUT", f"/api/sslkeyandcertificate/{stored['uuid']}", body).json()
    assert again["key"] == "<sensitive>"
    assert api.refused("POST", "/api/sslkeyandcertificate", body | {"name": "d", "key": [7]})[1].startswith("key: list")
    line = KEY.splitlines()[1]
    assert line not in str(api.control("GET", "audit"))
    assert line not in str(api.control("GET", "dump"))
