"""NodePort mode over a real Redis and a controller: what changes of nodes, endpoints and Services cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench import world as cluster
from tests.workers.site import Site, site

HOSTS = 4


def objects_of(number: int, *, local: bool = False) -> list[dict[str, Any]]:
    found = cluster.objects_of(number)
    service, slice_, _ = found
    service["spec"] |= {"type": "NodePort", "externalTrafficPolicy": "Local" if local else "Cluster"}
    service["spec"]["ports"][0]["nodePort"] = 30_000 + number
    for endpoint in slice_["endpoints"]:
        endpoint["nodeName"] = "node1"
    return found


def node(name: str, address: str, **labels: str) -> dict[str, Any]:
    addresses = [{"type": "InternalIP", "address": address}] if address else []
    return {"kind": "Node", "metadata": {"name": name, "labels": labels}, "status": {"addresses": addresses}}


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    """Three hosts whose Services serve from every node, and one that does from the nodes of its pods."""
    with site(redis_url, SERVICE_TYPE="NodePort") as made:
        for number in range(HOSTS):
            made.apply(*objects_of(number, local=number == HOSTS - 1))
        made.settle()
        made.simulator.audit.clear()
        yield made


def servers(here: Site, number: int) -> list[str]:
    pools = [obj for page in here.avi.pages("pool") for obj in page.objects if cluster.host(number) in obj["name"]]
    return sorted(row["external_uuid"] for row in pools[0]["servers"])


def changes(here: Site) -> list[str]:
    """What was written since the last look, by method and type."""
    found = [f"{method} {path.strip('/').split('/')[1]}" for method, path in here.writes()]
    here.simulator.audit.clear()
    return found


def test_pools_have_the_nodes_and_the_vrf_no_routes(here: Site) -> None:
    """Servers are at the node ports of the Services; Local ones only where their pods are."""
    assert servers(here, 1) == ["10.50.0.11:30001", "10.50.0.12:30001"]
    assert servers(here, 3) == ["10.50.0.11:30003"]
    vrf = here.avi.find("vrfcontext", "global")
    assert vrf is not None
    assert not vrf.get("static_routes")


def test_a_node_that_comes_and_goes_is_one_write_for_each_pool(here: Site) -> None:
    """The pools that it concerns and nothing else; one without an address is told itself and writes nothing."""
    here.apply(node("node3", "10.50.0.13"))
    here.settle()
    assert changes(here) == ["PUT pool"] * (HOSTS - 1)
    assert servers(here, 1) == ["10.50.0.11:30001", "10.50.0.12:30001", "10.50.0.13:30001"]
    here.delete("Node", "node3")
    here.settle()
    assert changes(here) == ["PUT pool"] * (HOSTS - 1)
    here.apply(node("node4", ""))
    here.settle()
    assert changes(here) == []
    assert [text for text in here.kube.events if text.startswith("Node//node4 Warning NoNodeAddress")]


def test_what_does_not_concern_a_pool_writes_nothing(here: Site) -> None:
    """A label of a node, and endpoints of Services that serve from every node."""
    here.apply(node("node1", "10.50.0.11", zone="a"), cluster.endpoint_slice(1, change=1))
    here.settle()
    assert changes(here) == []


def test_pods_that_move_take_a_local_service_along(here: Site) -> None:
    """The nodes with endpoints are the servers."""
    moved = objects_of(3)[1]
    for endpoint in moved["endpoints"]:
        endpoint["nodeName"] = "node2"
    here.apply(moved)
    here.settle()
    assert changes(here) == ["PUT pool"]
    assert servers(here, 3) == ["10.50.0.12:30003"]


def test_a_service_that_loses_its_node_port_is_told(here: Site) -> None:
    """Its pool stays, empty, and the Ingress says what to do."""
    (service, *_) = cluster.objects_of(1)
    here.apply(service)
    here.settle()
    assert changes(here) == ["PUT pool"]
    assert [text for text in here.kube.events if "Warning NoNodePort" in text and "type NodePort" in text]
