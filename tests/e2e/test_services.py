"""A Service of type LoadBalancer over real processes: served, reported, changed to another type, and gone."""

from __future__ import annotations

import copy
from typing import Any

from bench import world as cluster
from tests.e2e.scene import Scene
from tests.support import wait_for
from tests.workers.model.world import endpoint_slice, load_balancer

NAME = f"bench--{cluster.NAMESPACE}-db"
SERVICE = f"/api/v1/namespaces/{cluster.NAMESPACE}/services/db"


def slice_of(*addresses: str) -> dict[str, Any]:
    made = endpoint_slice(addresses, owner="db", ports=[{"name": "tcp-5432", "port": 6432, "protocol": "TCP"}])
    made["metadata"]["namespace"] = cluster.NAMESPACE
    return {"apiVersion": "discovery.k8s.io/v1", **made}


def entries(scene: Scene) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = scene.kube.get(SERVICE).get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return rows


def test_a_service_is_served_and_let_go_again(scene: Scene) -> None:
    """Its address comes into its status, its endpoints into the pool; as ClusterIP it has neither, nor annotations."""
    service = {"apiVersion": "v1", **load_balancer(namespace=cluster.NAMESPACE)}
    for name in ("uid", "creationTimestamp"):
        del service["metadata"][name]
    scene.load([service, slice_of("10.244.1.5")])
    wait_for(lambda: bool(entries(scene)) and scene.quiet(), what="the status of the Service")
    (vip,) = scene.ours("vsvip")[NAME]["vip"]
    (row,) = entries(scene)
    assert (row["ip"], row["hostname"]) == (vip["ip_address"]["addr"], f"db.{cluster.NAMESPACE}.avi.internal")
    assert [each["ip"]["addr"] for each in scene.ours("pool")[f"{NAME}-TCP-5432"]["servers"]] == ["10.244.1.5"]
    assert f"Synced: Added virtualservice {NAME} for db" in scene.events()

    plain = copy.deepcopy(scene.kube.get(SERVICE))
    assert plain["metadata"]["annotations"]["ako.vmware.com/tenant-name"] == "admin"
    scene.kube.patch(SERVICE, {"spec": {"type": "ClusterIP"}})
    wait_for(lambda: not scene.ours("virtualservice") and scene.quiet(), what="the Service being let go")
    assert (scene.ours("vsvip"), scene.ours("pool"), scene.ours("l4policyset")) == ({}, {}, {})
    assert not scene.kube.get(SERVICE)["metadata"].get("annotations")
    assert entries(scene) == []
