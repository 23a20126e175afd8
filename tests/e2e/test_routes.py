"""Pod networks of a CNI plugin with kinds of its own become routes, over real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import world as cluster
from tests.e2e.scene import Scene
from tests.support import wait_for


def cilium(name: str, *cidrs: str) -> dict[str, Any]:
    spec = {"ipam": {"podCIDRs": list(cidrs)}}
    return {"apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": {"name": name}, "spec": spec}


def routes(scene: Scene) -> set[str]:
    """`prefix via next hop` of the routes with our label."""
    label = {"key": "clustername", "value": "bench"}
    (vrf,) = [each for each in scene.dump()["vrfcontext"] if each["name"] == "global"]
    return {
        f"{each['prefix']['ip_addr']['addr']}/{each['prefix']['mask']} via {each['next_hop']['addr']}"
        for each in vrf.get("static_routes", [])
        if label in each.get("labels", [])
    }


def test_cilium_nodes_come_change_and_go(tmp_path: Path) -> None:
    """The watched CiliumNodes become routes and follow; the Node's own podCIDRs do not; those of others stay."""
    values = cluster.values()
    values["AKOSettings"]["cniPlugin"] = "cilium"
    with Scene(tmp_path, values, foreign=40, workers=1) as scene:
        before = scene.foreign()
        assert before["vrfcontext/global/routes"]
        scene.load([*cluster.base(), cilium("node1", "10.0.1.0/24"), cilium("node2", "10.0.2.0/24")])
        both = {"10.0.1.0/24 via 10.50.0.11", "10.0.2.0/24 via 10.50.0.12"}
        wait_for(lambda: routes(scene) == both, what="the routes of both nodes")
        scene.load([cilium("node1", "10.0.1.0/24", "10.0.3.0/24")])
        scene.kube.delete("/apis/cilium.io/v2/ciliumnodes/node2")
        after = {"10.0.1.0/24 via 10.50.0.11", "10.0.3.0/24 via 10.50.0.11"}
        wait_for(lambda: routes(scene) == after, seconds=20, what="the changed routes")
        assert scene.foreign() == before
        wait_for(lambda: _told(scene), what="the Event on the node without networks")


def _told(scene: Scene) -> bool:
    """Whether node2 has the Event, with the uid by which kubectl finds the Events of a node."""
    found = [
        each["involvedObject"]
        for page in scene.kube.pages("/api/v1/events", limit=0)
        for each in page.items
        if each["reason"] == "NoPodNetwork" and "there is no CiliumNode node2" in each["message"]
    ]
    return [(each["kind"], each["name"], each["uid"]) for each in found] == [("Node", "node2", "node2")]
