"""Collections: filters, paging, forms; and the reads that clients make at their start."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.simulator.avi_world import Api, controller


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """One world for all: sixty pools of two creators, one string group, one pool in another cloud."""
    with controller() as api:
        for n in range(60):
            api.post("/api/pool", {"name": f"p{n:02d}", "created_by": f"c{n % 2}", "default_server_port": 1000 + n})
        marks = [{"key": "created_by", "values": ["ako-x", "y"]}]
        api.post("/api/stringgroup", {"name": "s", "type": "SG_TYPE_STRING", "markers": marks})
        api.post("/api/cloud", {"name": "other", "vtype": "CLOUD_NONE"})
        api.post("/api/pool", {"name": "p00", "created_by": "c0", "cloud_ref": "/api/cloud?name=other"})
        yield api


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("pool", 61),
        ("pool?name=p07", 1),
        ("pool?name=p0", 0),
        ("pool?name=p00", 2),
        ("pool?name=p00&cloud_ref.name=Default-Cloud", 1),
        ("pool?name=p00&cloud_ref.name=nowhere", 0),
        ("pool?name.in=p01,p02,px", 2),
        ("pool?name.contains=p1", 10),
        ("pool?created_by=c1", 30),
        ("pool?created_by=c1&name.contains=p1", 5),
        ("pool?created_by=nobody", 0),
        ("pool?default_server_port=1005", 1),
        ("pool?enabled=true", 61),
        ("pool?some_parameter=of_another_release", 61),
        ("stringgroup?label_key=created_by&label_value=ako-x", 1),
        ("stringgroup?label_key=created_by&label_value=ako", 0),
        ("vsvip?name.contains=x", 0),
    ],
)
def test_filters(api: Api, path: str, count: int) -> None:
    """Each filter counts exactly the objects that pass it; no hit is an empty list, not an error."""
    answer = api.get(f"/api/{path}")
    assert answer["count"] == count
    assert len(answer["results"]) == min(count, 25)


def test_cloud_by_uuid(api: Api) -> None:
    """A cloud's objects are found by its uuid too."""
    cloud = api.get("/api/cloud?name=other")["results"][0]["uuid"]
    assert api.get(f"/api/pool?cloud_uuid={cloud}")["count"] == 1
    assert api.get(f"/api/pool?cloud_ref.uuid={cloud}")["count"] == 1


def test_paging(api: Api) -> None:
    """Following `next` from page to page gives every object once, in the order of creation, and then ends."""
    names: list[str] = []
    path = "/api/pool?created_by=c0&page_size=10"
    pages = 0
    while path:
        page = api.get(path)
        names += [pool["name"] for pool in page["results"]]
        following = page.get("next", "")
        assert not following or following.startswith(f"{api.url}/api/pool?created_by=c0&page=")
        path = following.removeprefix(api.url)
        pages += 1
    assert pages == 4
    assert names == [f"p{n:02d}" for n in range(0, 60, 2)] + ["p00"]
    assert api.refused("GET", "/api/pool?created_by=c0&page=5&page_size=10") == (404, "That page contains no results")


def test_page_sizes(api: Api) -> None:
    """A page holds 25 objects unless asked for more, and never more than 200; `next` keeps all parameters."""
    first = api.get("/api/pool?include_name=&name.contains=p")
    assert len(first["results"]) == 25
    query = parse_qs(urlsplit(first["next"]).query, keep_blank_values=True)
    assert query == {"include_name": [""], "name.contains": ["p"], "page": ["2"]}
    assert "next" not in api.get("/api/pool?page_size=1000")
    assert api.refused("GET", "/api/pool?page=x")[0] == 400


def test_the_largest_page(api: Api) -> None:
    """A page size above 200 gives 200 objects."""
    with controller() as many:
        for n in range(201):
            many.post("/api/pool", {"name": f"p{n}"})
        assert len(many.get("/api/pool?page_size=1000")["results"]) == 200


def test_forms(api: Api) -> None:
    """`include_name` puts names behind references and links, `fields` leaves out what was not asked for."""
    plain = api.get("/api/pool?name=p01")["results"][0]
    named = api.get("/api/pool?name=p01&include_name=true")["results"][0]
    assert named["cloud_ref"] == plain["cloud_ref"] + "#Default-Cloud"
    assert named["url"] == plain["url"] + "#p01"
    few = api.get("/api/pool?name=p01&fields=created_by,enabled")["results"][0]
    assert few.keys() == {"uuid", "url", "name", "_last_modified", "created_by", "enabled"}


def test_reads_at_start(api: Api) -> None:
    """What a client reads at its start is there, in the shapes of a controller."""
    assert api.get("/api/initial-data")["version"]["Version"] == "30.2.1"
    assert api.get("/api/cluster")["uuid"].startswith("cluster-")
    assert api.get("/api/cluster/runtime")["cluster_state"]["state"] == "CLUSTER_UP_NO_HA"
    assert api.get("/api/systemconfiguration")["default_license_tier"] == "ENTERPRISE"
    cloud = api.get("/api/cloud?name=Default-Cloud&include_name")["results"][0]
    assert (cloud["vtype"], cloud["license_tier"]) == ("CLOUD_VCENTER", "ENTERPRISE")
    assert cloud["ipam_provider_ref"].endswith("#ipam-internal")
    domains = api.get(f"/api/ipamdnsproviderprofiledomainlist?cloud_uuid={cloud['uuid']}")
    assert domains == {"domains": ["avi.internal", "example.com"]}
    assert api.get("/api/tenant")["results"][0]["uuid"] == "admin"
    network = api.get("/api/network?name=net1&include_name")["results"][0]
    prefixes = [(one["prefix"]["ip_addr"]["addr"], one["prefix"]["mask"]) for one in network["configured_subnets"]]
    assert prefixes == [("10.10.0.0", 16), ("2001:db8:10::", 64)]
    assert network["vrf_context_ref"].endswith("#global")
    assert api.get("/api/vrfcontext?name=global")["results"][0]["system_default"] is True
    assert api.get("/api/serviceenginegroup?name=Default-Group&cloud_ref.name=Default-Cloud")["count"] == 1
