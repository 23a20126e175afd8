"""Static routes: where pod networks and next hops come from, and that families never mix."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.settings.model import IpFamily, ServiceType
from tests.workers.model.world import FACTS, World, block, node, settings
from workers.model.segroup import desired_segroup


def routes(made: World) -> list[tuple[str, str]]:
    """(prefix, next hop) of every route."""
    (part,) = made.routes().shared
    return [(f"{r['prefix']['ip_addr']['addr']}/{r['prefix']['mask']}", r["next_hop"]["addr"]) for r in part.entries]


def world(*manifests: dict[str, Any], family: IpFamily = IpFamily.V4_V6, cni: str = "") -> World:
    return World(settings(ip_family=family, cni_plugin=cni)).apply(*manifests)


DUAL = node("n1", "10.50.0.1", "2001:db8:50::1", cidrs=["10.244.1.0/24", "2001:db8:244:1::/64"])


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (IpFamily.V4, [("10.244.1.0/24", "10.50.0.1")]),
        (IpFamily.V6, [("2001:db8:244:1::/64", "2001:db8:50::1")]),
        (IpFamily.V4_V6, [("10.244.1.0/24", "10.50.0.1"), ("2001:db8:244:1::/64", "2001:db8:50::1")]),
    ],
)
def test_only_enabled_families_are_routed(family: IpFamily, expected: list[tuple[str, str]]) -> None:
    """Each pod network of an enabled family goes by the node's address of that family, silently past the others."""
    made = world(DUAL, family=family)
    assert routes(made) == expected
    assert made.routes().problems == ()


@pytest.mark.parametrize(
    ("cni", "annotations", "hop"),
    [
        ("calico", {"projectcalico.org/IPv4Address": "10.50.0.9/24"}, "10.50.0.9"),
        ("calico", {}, "10.50.0.1"),
        ("calico", {"projectcalico.org/IPv6Address": "2001:db8::9/64"}, "10.50.0.1"),
        ("antrea", {"node.antrea.io/transport-addresses": "2001:db8::9, 10.50.0.9, 10.50.0.10"}, "10.50.0.9"),
        ("antrea", {"node.antrea.io/transport-addresses": " , "}, "10.50.0.1"),
        ("flannel", {"projectcalico.org/IPv4Address": "10.50.0.9/24"}, "10.50.0.1"),
    ],
)
def test_next_hop_is_the_cni_annotation_then_the_first_internal_ip(
    cni: str, annotations: dict[str, str], hop: str
) -> None:
    """Antrea's list is trimmed and its first address of a family counts (AKO: untrimmed, the last)."""
    made = world(node("n1", "10.50.0.1", "10.50.0.2", cidrs=["10.244.1.0/24"], **annotations), cni=cni)
    made.apply(block("b1", "n1", "10.244.1.0/24"))
    assert routes(made) == [("10.244.1.0/24", hop)]


def test_calico_blocks_are_the_pod_networks_of_calico_nodes() -> None:
    """All blocks of a node count, once each, but for deleted ones; spec.podCIDRs is not asked."""
    made = world(node("n1", "10.50.0.1", cidrs=["10.9.0.0/24"]), cni="calico", family=IpFamily.V4).apply(
        block("a", "n1", "10.244.1.64/26"),
        block("b", "n1", "10.244.1.0/26"),
        block("c", "n1", "10.244.1.0/26"),
        block("d", "n1", "10.244.2.0/26", deleted="true"),
        block("e", "n2", "10.244.3.0/26"),
    )
    assert routes(made) == [("10.244.1.0/26", "10.50.0.1"), ("10.244.1.64/26", "10.50.0.1")]


def test_pod_cidrs_annotation_may_hold_both_families() -> None:
    """The annotation stands before spec.podCIDRs, blanks and IPv6 included (AKO drops the node's routes)."""
    annotation = {"ako.vmware.com/pod-cidrs": "10.7.0.0/24, 2001:db8:7::/64"}
    made = world(node("n1", "10.50.0.1", "2001:db8:50::1", cidrs=["10.244.1.0/24"], **annotation))
    assert routes(made) == [("10.7.0.0/24", "10.50.0.1"), ("2001:db8:7::/64", "2001:db8:50::1")]


def test_a_network_is_routed_canonically_and_once() -> None:
    """Host bits and other spellings are one network; equal addresses with different masks are two."""
    cidrs = ["2001:DB8:0:1::5/64", "2001:db8:0:1::/64", "2001:db8:0:1::/80"]
    made = world(node("n1", "2001:db8:50::1", cidrs=cidrs), family=IpFamily.V6)
    assert [prefix for prefix, _ in routes(made)] == ["2001:db8:0:1::/64", "2001:db8:0:1::/80"]


def test_of_two_nodes_with_one_network_the_first_by_name_has_it() -> None:
    """One prefix is routed once per VRF and the other node is told; its remaining networks are routed."""
    made = world(
        node("n2", "10.50.0.2", cidrs=["10.244.1.0/24", "10.244.2.0/24"]),
        node("n1", "10.50.0.1", cidrs=["10.244.1.0/24"]),
        family=IpFamily.V4,
    )
    assert routes(made) == [("10.244.1.0/24", "10.50.0.1"), ("10.244.2.0/24", "10.50.0.2")]
    assert [(problem.name, problem.reason) for problem in made.routes().problems] == [("n2", "PodNetworkTaken")]


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (node("bad", cidrs=["10.244.9.0/24"]), "NoNodeAddress"),
        (node("bad", "2001:db8::9", cidrs=["10.244.9.0/24"]), "NoNodeAddress"),
        (node("bad", "10.50.0.9", cidrs=["10.244.9.0"]), "MalformedPodNetwork"),
        (node("bad", "not-an-address", cidrs=["10.244.9.0/24"]), "MalformedNodeAddress"),
        (node("bad", "10.50.0.9"), "NoPodNetwork"),
    ],
)
def test_a_node_that_cannot_be_routed_is_named_and_the_rest_is_served(manifest: dict[str, Any], reason: str) -> None:
    """A bad node makes a problem of its own and takes no other node's route away."""
    made = world(manifest, DUAL)
    assert ("10.244.1.0/24", "10.50.0.1") in routes(made)
    assert reason in {problem.reason for problem in made.routes().problems if problem.name == "bad"}


def test_route_ids_depend_on_node_and_prefix_alone() -> None:
    """Another node, another network or another order changes no other route's id; ids are unique and the cluster's."""
    small = {r["route_id"] for r in world(DUAL).routes().shared[0].entries}
    many = [node(f"n{n}", f"10.50.1.{n}", cidrs=[f"10.245.{n}.0/24", f"10.246.{n}.0/24"]) for n in range(50)]
    ids = [r["route_id"] for r in world(*many, DUAL).routes().shared[0].entries]
    assert small <= set(ids)
    assert len(set(ids)) == len(ids)
    assert all(each.startswith("c1-") for each in ids)


NETWORKS = st.sampled_from([f"10.244.{n}.0/24" for n in range(4)] + [f"2001:db8:244:{n}::/64" for n in range(4)])
ADDRESSES = st.sampled_from(["10.50.0.1", "10.50.0.2", "2001:db8:50::1", "2001:db8:50::2"])


@examples(deadline=None)
@given(
    nodes=st.lists(st.tuples(st.lists(ADDRESSES, max_size=3), st.lists(NETWORKS, max_size=3)), max_size=4),
    family=st.sampled_from(IpFamily),
    shuffled=st.randoms(use_true_random=False),
)
def test_next_hop_always_has_the_family_of_the_prefix(
    nodes: list[tuple[list[str], list[str]]], family: IpFamily, shuffled: Any
) -> None:
    """Whatever nodes there are: families match, only enabled ones occur, and the order of nodes is irrelevant."""
    manifests = [node(f"n{n}", *addresses, cidrs=cidrs) for n, (addresses, cidrs) in enumerate(nodes)]
    (part,) = world(*manifests, family=family).routes().shared
    for route in part.entries:
        assert route["next_hop"]["type"] == route["prefix"]["ip_addr"]["type"]
        assert (family.v4 if route["next_hop"]["type"] == "V4" else family.v6) is True
    shuffled.shuffle(manifests)
    assert world(*manifests, family=family).routes().shared == (part,)


@pytest.mark.parametrize(
    "changes",
    [{"disable_static_routes": True}, {"service_type": ServiceType.NODE_PORT}, {"cni_plugin": "cilium"}],
)
def test_where_routes_are_not_ours_the_vrf_is_not_touched(changes: dict[str, Any]) -> None:
    """No shared part at all, rather than an empty one that would remove routes."""
    assert World(settings(**changes)).apply(DUAL).routes().shared == ()


def test_se_group_label_is_written_where_routes_are() -> None:
    """The label says that our routes serve the group, so it goes with them."""
    (part,) = desired_segroup(settings(), FACTS).shared
    assert (part.type, part.tenant, part.name, part.field) == ("serviceenginegroup", "admin", "Default-Group", "labels")
    assert part.entries == ({"key": "clustername", "value": "c1"},)
    assert desired_segroup(settings(disable_static_routes=True), FACTS).shared == ()
