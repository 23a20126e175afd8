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
    return sorted(row["external_uuid"] + ("" if row["enabled"] else " off") for row in pools[0]["servers"])


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


def test_nodes_that_come_together_are_one_write_for_each_pool(here: Site) -> None:
    """Thirty nodes, one change each, cost what one costs, and no other call than reads and these writes."""
    here.apply(*(node(f"more{number}", f"10.50.1.{number}") for number in range(1, 31)))
    here.settle()
    assert changes(here) == ["PUT pool"] * (HOSTS - 1)
    assert len(servers(here, 1)) == 32


def test_what_does_not_concern_a_pool_writes_nothing(here: Site) -> None:
    """A label of a node, and endpoints of Services that serve from every node."""
    here.apply(node("node1", "10.50.0.11", zone="a"), cluster.endpoint_slice(1, change=1))
    here.settle()
    assert changes(here) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"status": {"conditions": [{"type": "Ready", "status": "False", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}},
        {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}},
        {"spec": {"unschedulable": True, "taints": [{"key": "node.kubernetes.io/unschedulable"}]}},
    ],
    ids=["not ready", "unknown", "cordoned"],
)
def test_a_node_that_is_not_ready_or_cordoned_is_no_change(here: Site, changed: dict[str, Any]) -> None:
    """Health monitors see for themselves, so neither a heartbeat nor flapping readiness makes any work."""
    body = node("node1", "10.50.0.11")
    body["spec"] = {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"], **changed.get("spec", {})}
    body["status"] |= changed.get("status", {})
    assert here.mirror.apply(here.epoch, "Node", [here.kinds["Node"].project(body)], [], "test") == []


def test_a_node_on_its_way_out_is_disabled_first(here: Site) -> None:
    """One write for each pool that has it, which leaves its server there without new connections, and one back."""
    going = node("node1", "10.50.0.11")
    going["spec"] = {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}
    here.apply(going)
    here.settle()
    assert changes(here) == ["PUT pool"] * HOSTS
    assert servers(here, 1) == ["10.50.0.11:30001 off", "10.50.0.12:30001"]
    here.apply(node("node1", "10.50.0.11"))
    here.settle()
    assert changes(here) == ["PUT pool"] * HOSTS
    assert servers(here, 1) == ["10.50.0.11:30001", "10.50.0.12:30001"]


def test_an_excluded_node_leaves_every_pool(here: Site) -> None:
    """The label takes its servers out in one write for each pool that has any."""
    here.apply(node("node2", "10.50.0.12", **{"node.kubernetes.io/exclude-from-external-load-balancers": ""}))
    here.settle()
    assert changes(here) == ["PUT pool"] * (HOSTS - 1)
    assert servers(here, 1) == ["10.50.0.11:30001"]


def test_a_census_writes_nothing(here: Site) -> None:
    """What stands is as wanted, with whatever the controller has filled in."""
    here.mark(["resync"])
    here.settle()
    assert here.calls("GET", "pool")
    assert changes(here) == []


def test_nodes_that_a_change_of_settings_leaves_without_servers_are_told(here: Site) -> None:
    """No Node has changed, and yet none has an address of the new family: each is told once, and so are the hosts."""
    made = here.changed(SERVICE_TYPE="NodePort", IP_FAMILY="V6", CNI_PLUGIN="antrea", DISABLE_STATIC_ROUTE_SYNC="true")
    made.settle()
    told = [text.partition(":")[0] for text in made.kube.events if text.startswith("Node/")]
    assert sorted(told) == ["Node//node1 Warning NoNodeAddress", "Node//node2 Warning NoNodeAddress"]
    made.close()


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
