"""Static routes: where pod networks and next hops come from, and that families never mix."""

from __future__ import annotations

import random
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
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


CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "routes.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_routes_and_events_are_those_written_by_hand(case: dict[str, Any]) -> None:
    """Each case of routes.yaml gives exactly the routes and Events that stand there, in any order of its objects."""
    chosen = case["settings"]
    for objects in (case["objects"], case["objects"][::-1]):
        found = world(*objects, family=IpFamily(chosen.get("family", "V4")), cni=chosen["cni"]).routes()
        if case["routes"] == "untouched":
            assert found.shared == ()
        else:
            (part,) = found.shared
            assert sorted(_way(each) for each in part.entries) == sorted(case["routes"])
        told = sorted((problem.name, problem.reason) for problem in found.problems)
        assert told == sorted((name, reason) for name, each in case.get("events", {}).items() for reason in each)
        assert all((problem.kind == "Node") is (problem.name != "avi-system") for problem in found.problems)


def _way(route: dict[str, Any]) -> str:
    return f"{route['prefix']['ip_addr']['addr']}/{route['prefix']['mask']} via {route['next_hop']['addr']}"


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


def test_a_route_id_is_the_same_in_every_process() -> None:
    """Made of cluster, node and prefix alone: the literal id of one route."""
    (first, _) = world(DUAL).routes().shared[0].entries
    assert first["route_id"] == "c1-676b8bb8-407149093"


@pytest.mark.parametrize(
    ("cni", "kind", "told"),
    [
        ("cilium", "", "there is no CiliumNode n1"),
        ("ovn-kubernetes", "", "the node has no annotation k8s.ovn.org/node-subnets"),
        ("flannel", "", "the node has neither spec.podCIDRs nor the annotation ako.vmware.com/pod-cidrs"),
    ],
)
def test_an_event_says_where_a_pod_network_was_looked_for(cni: str, kind: str, told: str) -> None:
    """The message names the node's source, so that nobody has to know where a CNI keeps its networks."""
    made = world(node("n1", "10.50.0.1"), {"kind": "CiliumNode", "metadata": {"name": "n2"}, "spec": {}}, cni=cni)
    (problem,) = made.routes().problems
    assert told in problem.message


TEXTS = [
    *(f"10.244.{third}.{last}/{length}" for third in range(4) for last, length in ((0, 24), (64, 26), (9, 20), (0, 8))),
    *(f"2001:DB8:244:{n}::{n}/{length}" for n in range(4) for length in (48, 64, 122)),
    "10.244.0.0", "0.0.0.0/0", "::/0", "fd00::/129", "", "::ffff:10.0.0.0/104",
]  # fmt: skip
ADDRESSES = ["10.50.0.1", "10.50.0.2", "2001:db8:50::1", "2001:0DB8:50::2", "fe80::1", "x", "::ffff:10.50.0.3"]
CNIS = ["calico", "cilium", "openshift", "ovn-kubernetes", "antrea", ""]


def _objects(draw: random.Random, cni: str) -> list[dict[str, Any]]:
    """The nodes of a small cluster and what this CNI says of their pod networks."""
    found: list[dict[str, Any]] = []
    for name in [f"n{number}" for number in range(draw.randrange(1, 5))]:
        texts = draw.sample(TEXTS, draw.randrange(4))
        annotations: dict[str, str] = {}
        if cni == "ovn-kubernetes":
            annotations["k8s.ovn.org/node-subnets"] = str({"default": texts}).replace("'", '"')
        elif cni == "antrea":
            annotations["node.antrea.io/transport-addresses"] = ", ".join(draw.sample(ADDRESSES, 2))
        found.append(node(name, *draw.sample(ADDRESSES, draw.randrange(4)), cidrs=texts, **annotations))
        if cni == "calico":
            found += [block(f"{name}-{n}", name, text) for n, text in enumerate(texts)]
        elif cni == "cilium":
            ipam = {"ipam": {"podCIDRs": texts}}
            found.append({"kind": "CiliumNode", "metadata": {"name": name}, "spec": ipam})
        elif cni == "openshift":
            subnets = [{"metadata": {"name": f"{name}-{n}"}, "subnet": text} for n, text in enumerate(texts)]
            found += [{"kind": "HostSubnet", "host": name, **subnet} for subnet in subnets]
    return found


def _check(entries: Sequence[dict[str, Any]], family: IpFamily) -> None:
    """Families, spelling and the ownership of addresses, by `ipaddress` alone."""
    seen: dict[Any, str] = {}
    for route in entries:
        prefix, hop = route["prefix"], route["next_hop"]
        network = ip_network(f"{prefix['ip_addr']['addr']}/{prefix['mask']}")  # strict: no host bits
        address = ip_address(hop["addr"])
        assert network.version == address.version
        assert hop["type"] == prefix["ip_addr"]["type"] == f"V{network.version}"
        assert family.v4 if network.version == 4 else family.v6
        assert (str(network.network_address), str(address)) == (prefix["ip_addr"]["addr"], hop["addr"])
        assert network not in seen
        seen[network] = hop["addr"]
    ids = [route["route_id"] for route in entries]
    assert len(set(ids)) == len(ids)


def test_ten_thousand_worlds() -> None:
    """Next hops have their prefix's family, all agrees with `ipaddress`, and no order of anything matters."""
    draw = random.Random(7)
    routed = 0
    for _ in range(10_000):
        cni, family = draw.choice(CNIS), draw.choice(list(IpFamily))
        objects = _objects(draw, cni)
        made = world(*objects, family=family, cni=cni).routes()
        entries = made.shared[0].entries if made.shared else ()
        _check(entries, family)
        routed += len(entries)
        draw.shuffle(objects)
        for each in objects:
            draw.shuffle(each.get("spec", {}).get("podCIDRs", []))
            draw.shuffle(each.get("spec", {}).get("ipam", {}).get("podCIDRs", []))
        again = world(*objects, family=family, cni=cni).routes()
        assert again.shared == made.shared
        assert sorted(map(repr, again.problems)) == sorted(map(repr, made.problems))
    assert routed > 5_000


NETWORKS = st.sampled_from([text for text in TEXTS if "/" in text and not text.endswith(("/0", "/129", "/104"))])


@examples(deadline=None)
@given(owned=st.lists(st.lists(NETWORKS, max_size=4), max_size=5), probe=st.data())
def test_an_address_goes_to_the_first_node_by_name_that_claims_it(owned: list[list[str]], probe: Any) -> None:
    """Longest prefix over all routes, as an engine looks them up, leads to the first claimant of any address."""
    manifests = [node(f"n{n}", f"10.50.0.{n}", f"2001:db8:50::{n}", cidrs=each) for n, each in enumerate(owned, 1)]
    found = [(ip_network(prefix), hop) for prefix, hop in routes(world(*manifests))]
    claims = [(ip_network(text, strict=False), n) for n, each in enumerate(owned, 1) for text in each]
    for network, _ in claims:
        index = probe.draw(st.integers(0, network.num_addresses - 1))
        address = network[index]
        hop = max((prefix.prefixlen, hop) for prefix, hop in found if address in prefix)[1]
        first = min(n for claimed, n in claims if address in claimed)
        assert hop == (f"10.50.0.{first}" if address.version == 4 else f"2001:db8:50::{first}")


@pytest.mark.parametrize(
    "changes",
    [
        {"disable_static_routes": True},
        {"service_type": ServiceType.NODE_PORT},
        {"service_type": ServiceType.NODE_PORT_LOCAL},
        {"cni_plugin": "ncp"},
        {"primary": False},
    ],
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
    assert desired_segroup(settings(cni_plugin="ncp"), FACTS).shared == ()
    assert desired_segroup(settings(primary=False), FACTS).shared == (part,)
