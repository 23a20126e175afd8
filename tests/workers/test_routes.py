"""Static routes on a controller: real Redis, real HTTP, one worker; the VRF is shared with others all the time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench import nodes as flood
from shared.errors import AkoError
from tests.workers.site import Site, site
from workers.facts import read_facts

OF_OTHERS = [
    {"route_id": "by-hand", "labels": [{"key": "team", "value": "red"}]},
    {"route_id": "bench-1", "labels": []},
    {"route_id": "bench-cilium-2", "labels": [{"key": "clustername", "value": "bench-cilium"}]},
    {"route_id": "x", "labels": [{"key": "owner", "value": "x"}, {"key": "clustername", "value": "benc"}]},
]
"""Routes that are not ours: a human's, one that is named like ours, those of clusters with names like ours."""


def node(name: str, *addresses: str, cidrs: list[str] | None = None, **annotations: str) -> dict[str, Any]:
    return {
        "kind": "Node",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"podCIDRs": cidrs or []},
        "status": {"addresses": [{"type": "InternalIP", "address": address} for address in addresses]},
    }


def cilium(name: str, *cidrs: str) -> dict[str, Any]:
    return {"kind": "CiliumNode", "metadata": {"name": name}, "spec": {"ipam": {"podCIDRs": list(cidrs)}}}


def vrf(here: Site) -> dict[str, Any]:
    found = here.find("vrfcontext", "global")
    assert found is not None
    return found


def routes(here: Site, cluster: str = "bench") -> set[str]:
    """`prefix via next hop` of each route that bears the cluster's label."""
    label = [{"key": "clustername", "value": cluster}]
    return {
        f"{each['prefix']['ip_addr']['addr']}/{each['prefix']['mask']} via {each['next_hop']['addr']}"
        for each in vrf(here).get("static_routes", [])
        if each.get("labels") == label
    }


def foreign(here: Site, *clusters: str) -> list[dict[str, Any]]:
    """The routes of others, in their order; those of `clusters` are left out."""
    ours = [[{"key": "clustername", "value": each}] for each in ("bench", *clusters)]
    return [each for each in vrf(here).get("static_routes", []) if each.get("labels") not in ours]


def put_foreign(here: Site) -> list[dict[str, Any]]:
    """Puts the routes of others into the VRF, before ours, and returns them as they stand there."""
    found = vrf(here)
    made = [
        {
            "prefix": {"ip_addr": {"addr": f"192.0.2.{16 * n}", "type": "V4"}, "mask": 28},
            "next_hop": {"addr": "10.50.0.99", "type": "V4"},
            **each,
        }
        for n, each in enumerate(OF_OTHERS)
    ]
    here.avi.update("vrfcontext", found["uuid"], {**found, "static_routes": [*made, *found.get("static_routes", [])]})
    return foreign(here)


def events(here: Site, name: str) -> list[str]:
    """The reasons of the Events on a node, in their order."""
    return _reasons(here, f"Node//{name} Warning ")


def unknown(here: Site) -> bool:
    """Whether the only Event of its kind says that no pod network is known."""
    return _reasons(here, "Namespace/avi-system/avi-system Warning ") == ["PodNetworksUnknown"]


def _reasons(here: Site, start: str) -> list[str]:
    return [each.removeprefix(start).partition(":")[0] for each in here.kube.events if each.startswith(start)]


DUAL = {"IP_FAMILY": "V4_V6", "AKO_GATE_DUAL_STACK_BACKENDS": "true", "AKO_GATE_IPV6_ANY_CNI": "true"}


@pytest.fixture
def dual(redis_url: str) -> Iterator[Site]:
    """A dual-stack site with Cilium, before its first census."""
    with site(redis_url, CNI_PLUGIN="cilium", **DUAL) as here:
        yield here


def test_routes_follow_cilium_nodes(dual: Site) -> None:
    """A CiliumNode comes, changes and goes; routes of people and of other clusters stay through all of it."""
    here = dual
    here.delete("Node", "node1", "node2")
    here.apply(node("c1", "10.50.0.1", "2001:db8:50::1"), node("c2", "10.50.0.2", "2001:db8:50::2"))
    kept = put_foreign(here)
    assert len(kept) == len(OF_OTHERS)
    here.run()
    assert routes(here) == set()
    assert unknown(here)

    here.apply(cilium("c1", "10.0.1.0/24", "fd00:1::/80"), cilium("c2", "10.0.2.0/24"))
    here.run()
    both = {"10.0.1.0/24 via 10.50.0.1", "fd00:1::/80 via 2001:db8:50::1", "10.0.2.0/24 via 10.50.0.2"}
    assert routes(here) == both
    assert foreign(here) == kept

    here.apply(cilium("c1", "10.0.1.0/24", "10.0.7.0/24"))
    here.run()
    assert routes(here) == {"10.0.1.0/24 via 10.50.0.1", "10.0.7.0/24 via 10.50.0.1", "10.0.2.0/24 via 10.50.0.2"}

    here.delete("CiliumNode", "c1")
    here.run()
    assert routes(here) == {"10.0.2.0/24 via 10.50.0.2"}
    assert events(here, "c1") == ["NoPodNetwork"]
    here.delete("CiliumNode", "c2")
    here.run()
    assert routes(here) == set()
    assert foreign(here) == kept


def test_what_was_never_seen_takes_no_route_away(redis_url: str) -> None:
    """Another cniPlugin of which the cluster has no object: the routes stay, and an Event says so."""
    with site(redis_url) as first:
        first.run()
        before = routes(first)
        assert len(before) == 2
        here = first.changed(CNI_PLUGIN="cilium")
        here.run()
        assert routes(here) == before
        assert unknown(here)
        here.close()


def test_second_addresses_and_networks_count(dual: Site) -> None:
    """A change of the second InternalIP and one of the second pod network are both noticed."""
    here = dual.changed(CNI_PLUGIN="flannel", **DUAL)
    here.delete("Node", "node1", "node2")
    cidrs = ["10.244.1.0/24", "fd00:1::/64"]
    here.apply(node("n1", "10.50.0.1", "2001:db8:50::1", cidrs=cidrs))
    here.run()
    assert routes(here) == {"10.244.1.0/24 via 10.50.0.1", "fd00:1::/64 via 2001:db8:50::1"}
    here.apply(node("n1", "10.50.0.1", "2001:db8:50::9", cidrs=cidrs))
    here.run()
    assert routes(here) == {"10.244.1.0/24 via 10.50.0.1", "fd00:1::/64 via 2001:db8:50::9"}
    here.apply(node("n1", "10.50.0.1", "2001:db8:50::9", cidrs=["10.244.1.0/24", "fd00:2::/64"]))
    here.run()
    assert routes(here) == {"10.244.1.0/24 via 10.50.0.1", "fd00:2::/64 via 2001:db8:50::9"}
    here.apply(node("n1", "10.50.0.1", cidrs=["10.244.1.0/24", "fd00:2::/64"]))
    here.run()
    assert routes(here) == {"10.244.1.0/24 via 10.50.0.1"}
    assert events(here, "n1") == ["NoNodeAddress"]
    here.close()


def test_two_clusters_share_a_vrf(redis_url: str) -> None:
    """Clusters whose names begin alike, with equal nodes and networks: each has its own routes and touches no other."""
    with site(redis_url) as one:
        one.run()
        two = Site(one.redis_url, one.avi_url, one.simulator, CLUSTER_NAME="bench-2")
        two.run()
        wanted = {"10.244.1.0/24 via 10.50.0.11", "10.244.2.0/24 via 10.50.0.12"}
        assert routes(one) == routes(one, "bench-2") == wanted
        two.delete("Node", "node1")
        two.run()
        one.mark(["routes:admin/global"])
        one.run()
        assert (routes(one), routes(one, "bench-2")) == (wanted, {"10.244.2.0/24 via 10.50.0.12"})
        ids = [each["route_id"] for each in vrf(one)["static_routes"]]
        assert len(set(ids)) == 3
        two.close()


def test_a_problem_is_told_once_while_others_come_and_go(redis_url: str) -> None:
    """A node's Event is not repeated because another node has got one, too."""
    with site(redis_url) as here:
        here.apply(node("n1", cidrs=["10.244.7.0/24"]))
        here.run()
        here.apply(node("n2", cidrs=["10.244.8.0/24"]))
        here.run()
        assert (events(here, "n1"), events(here, "n2")) == (["NoNodeAddress"], ["NoNodeAddress"])
        here.delete("Node", "n1")
        here.run()
        here.apply(node("n1", cidrs=["10.244.7.0/24"]))
        here.run()
        assert (events(here, "n1"), events(here, "n2")) == (["NoNodeAddress"] * 2, ["NoNodeAddress"])


@pytest.mark.parametrize(
    ("environ", "labelled"),
    [
        ({"DISABLE_STATIC_ROUTE_SYNC": "true"}, False),
        ({"CNI_PLUGIN": "ncp"}, False),
        ({"PRIMARY_AKO_FLAG": "false", "POD_NAMESPACE": "second"}, True),
    ],
)
def test_off_means_that_the_vrf_is_left_alone(redis_url: str, environ: dict[str, str], labelled: bool) -> None:
    """No call for the VRF's sake; the SE group is labelled all the same by an instance that is not the primary one."""
    with site(redis_url, **environ) as here:
        here.run()
        assert here.calls("PUT", "vrfcontext") == []
        assert vrf(here).get("static_routes", []) == []
        group = here.find("serviceenginegroup", "Default-Group")
        assert group is not None
        assert bool(group.get("labels")) is labelled


def test_node_networks_by_name_and_by_uuid(redis_url: str) -> None:
    """Rows of nodeNetworkList become placement networks in their order, once each; a uuid has to exist, too."""
    with site(redis_url) as plain:
        network = plain.find("network", "node-net")
        assert network is not None
        rows = f'[{{"networkUUID":"{network["uuid"]}","cidrs":["2001:db8:50::7/64"]}},'
        rows += '{"networkName":"node-net","cidrs":["10.50.0.9/24","10.50.0.0/24"]}]'
        here = plain.changed(NODE_NETWORK_LIST=rows)
        here.run()
        here.apply(*flood.backend())
        here.run()
        pool = next(each for page in here.avi.pages("pool") for each in page.objects)
        found = [
            (each["network_ref"].partition("#")[0].rpartition("/")[2], each["subnet"]["ip_addr"]["addr"])
            for each in pool["placement_networks"]
        ]
        assert found == [(network["uuid"], "2001:db8:50::"), (network["uuid"], "10.50.0.0")]
        gone = here.changed(NODE_NETWORK_LIST='[{"networkUUID":"network-gone","cidrs":["10.50.0.0/24"]}]')
        with pytest.raises(AkoError, match=r"nodeNetworkList\[0\].networkUUID"):
            read_facts(gone.avi, gone.kube, gone.settings)  # type: ignore[arg-type]
        gone.close()


def test_a_flood_of_nodes_is_few_writes(redis_url: str) -> None:
    """150 dual-stack nodes, one after the other with work in between: one write, the next not before two seconds."""
    with site(redis_url, **DUAL) as here:
        here.delete("Node", "node1", "node2")
        here.run()
        here.state.client.delete(here.state.key("ended"))
        here.simulator.audit.clear()
        for number in range(150):
            here.apply(flood.node(number))
            while here.worker.reconciler.run([]):
                pass
        assert len(here.calls("PUT", "vrfcontext")) == 1
        here.bring_forward()
        here.worker.reconciler.run([])
        assert len(here.calls("PUT", "vrfcontext")) == 2
        assert len(routes(here)) == 300
