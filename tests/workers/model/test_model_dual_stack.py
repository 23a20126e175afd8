"""DualStackBackends from the settings to the model: servers and routes of both families."""

from __future__ import annotations

import pytest

from shared.settings import load
from tests.workers.model.world import AVI_CLASS, World, block, endpoint_slice, ingress, load_balancer, node, service

ENVIRON = {
    "CLUSTER_NAME": "c1",
    "CTRL_IPADDRESS": "avi.example.com",
    "CNI_PLUGIN": "antrea",
    "IP_FAMILY": "V4_V6",
    "AKO_GATE_DUAL_STACK_BACKENDS": "true",
    "VIP_NETWORK_LIST": '[{"networkName":"net1","cidr":"10.10.0.0/16","v6cidr":"2001:db8:10::/64"}]',
}


def test_a_dual_stack_service_has_servers_of_both_families() -> None:
    """With the gate, ipFamily V4_V6 loads, and one pool holds the endpoints of both families."""
    made = World(load(None, ENVIRON).settings).apply(
        AVI_CLASS,
        service(families=["IPv6", "IPv4"]),
        ingress(),
        endpoint_slice(("10.244.1.1", "10.244.2.1")),
        endpoint_slice(("2001:db8::1",), family="IPv6"),
    )
    (pool,) = made.host("foo.example.com").objects
    assert [(server["ip"]["addr"], server["ip"]["type"]) for server in pool.body["servers"]] == [
        ("10.244.1.1", "V4"),
        ("10.244.2.1", "V4"),
        ("2001:db8::1", "V6"),
    ]


def test_a_single_stack_service_keeps_its_family() -> None:
    """A Service of one family has servers of that family, and nothing is wrong with it."""
    made = World(load(None, ENVIRON).settings).apply(
        AVI_CLASS, service(families=["IPv6"]), ingress(), endpoint_slice(("2001:db8::1",), family="IPv6")
    )
    answer = made.host("foo.example.com")
    (pool,) = answer.objects
    assert [server["ip"]["addr"] for server in pool.body["servers"]] == ["2001:db8::1"]
    assert answer.problems == ()


def test_routes_of_both_families_never_mix() -> None:
    """Each pod network goes by the node's address of its own family, from podCIDRs and from Calico's blocks alike."""
    expected = {("10.244.1.0", "10.50.0.1"), ("2001:db8:244:1::", "2001:db8:50::1")}
    cidrs = ["10.244.1.0/26", "2001:db8:244:1::/122"]
    plain = World(load(None, ENVIRON).settings).apply(node("n1", "10.50.0.1", "2001:db8:50::1", cidrs=cidrs))
    calico = World(load(None, ENVIRON | {"CNI_PLUGIN": "calico"}).settings).apply(
        node("n1", "10.50.0.1", "2001:db8:50::1"), *(block(f"b{n}", "n1", cidr) for n, cidr in enumerate(cidrs))
    )
    for made in (plain, calico):
        answer = made.routes()
        (part,) = answer.shared
        routes = {(route["prefix"]["ip_addr"]["addr"], route["next_hop"]["addr"]) for route in part.entries}
        assert routes == expected
        assert answer.problems == ()


@pytest.mark.parametrize(
    ("ip_family", "policy", "asked", "vip", "servers", "told"),
    [
        ("V4_V6", "RequireDualStack", ["IPv6", "IPv4"], "V4_V6", {"V4", "V6"}, []),
        ("V4_V6", "PreferDualStack", ["IPv4", "IPv6"], "V4_V6", {"V4", "V6"}, []),
        ("V4_V6", "SingleStack", ["IPv4"], "V4_ONLY", {"V4"}, []),
        ("V4_V6", "SingleStack", ["IPv6"], "V6_ONLY", {"V6"}, []),
        ("V4", "RequireDualStack", ["IPv4", "IPv6"], "V4_V6", {"V4"}, ["ServersOfOtherFamily"]),
        ("V6", "RequireDualStack", ["IPv4", "IPv6"], "V4_V6", {"V6"}, ["ServersOfOtherFamily"]),
        ("V4", "SingleStack", ["IPv6"], "V6_ONLY", set(), ["NoServersOfFamily"]),
    ],
)
def test_a_load_balancer_has_the_families_of_its_service(
    ip_family: str, policy: str, asked: list[str], vip: str, servers: set[str], told: list[str]
) -> None:
    """VIP and servers, from the settings to the bodies; a family of the VIP without servers of its own is told."""
    environ = ENVIRON | {"IP_FAMILY": ip_family, "AKO_GATE_IPV6_LOAD_BALANCER": "true"}
    ports = [{"name": "tcp-80", "port": 8080, "protocol": "TCP"}]
    made = World(load(None, environ).settings).apply(
        load_balancer(ports=[("TCP", 80)], families=asked, ipFamilyPolicy=policy),
        endpoint_slice(["10.244.1.1"], owner="db", ports=ports),
        endpoint_slice(["2001:db8::1"], family="IPv6", owner="db", ports=ports),
    )
    answer = made.services("lb:red/db")
    (allocated,) = answer.objects[0].body["vip"]
    assert allocated.get("auto_allocate_ip_type", "V4_ONLY") == vip
    assert {server["ip"]["type"] for server in answer.objects[1].body.get("servers", [])} == servers
    assert [problem.reason for problem in answer.problems] == told
