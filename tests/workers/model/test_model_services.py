"""Services of type LoadBalancer: bodies worked out by hand from AKO's rules, and every reason for not serving one."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.addresses import Family
from shared.settings.model import AutoFqdn, IpFamily, ServiceType, VipNetwork
from tests.workers.model.test_model_golden import comparable
from tests.workers.model.world import AVI_CLASS, FACTS, World, endpoint_slice, ingress, load_balancer, node, settings
from workers.model.types import StandingVip

CASES = sorted((Path(__file__).parent / "load_balancers").glob("*.yaml"))
V4_ONLY = {"vip_networks": (VipNetwork("net1", cidr=IPv4Network("10.10.0.0/16")),)}
GATE = {"gates": frozenset({"IPv6LoadBalancer"})}
SHARED = {"ako.vmware.com/enable-shared-vip": "k"}
EXTERNAL_DNS = "external-dns.alpha.kubernetes.io/hostname"
ADDRESS = "ako.vmware.com/load-balancer-ip"
LATER = "2026-01-02T00:00:00Z"


def case_world(case: dict[str, Any]) -> World:
    chosen = case["settings"]
    changes: dict[str, Any] = {"gates": frozenset(chosen.get("gates", ())), "evh": chosen.get("evh", False)}
    changes["auto_fqdn"] = AutoFqdn(chosen.get("auto_fqdn", "default"))
    changes["ip_family"] = IpFamily(chosen.get("families", "V4"))
    if not chosen.get("v6cidr", True):
        changes.update(V4_ONLY)
    facts = replace(FACTS, license_tier=chosen.get("license", "ENTERPRISE"))
    annotations = {"ako.vmware.com/tenant-name": case["tenant"]} if "tenant" in case else {}
    namespace = {"kind": "Namespace", "metadata": {"name": "red", "annotations": annotations}}
    made = World(settings(**changes), facts).apply(namespace)
    made.apply(*({"kind": "Service", **each} for each in case["services"]))
    return made.apply(*({"kind": "EndpointSlice", **each} for each in case["slices"]))


def shown(type_: str, body: dict[str, Any]) -> dict[str, Any]:
    """A body ready to compare; the metadata as the structure that it is."""
    result = comparable(type_, body)
    if "service_metadata" in result:
        result["service_metadata"] = json.loads(result["service_metadata"])
    return result


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_bodies_are_those_worked_out_by_hand(path: Path) -> None:
    """Every object of the case is made and no other, with the fields that it says and the Events that it names."""
    case = yaml.safe_load(path.read_text())
    made = case_world(case)
    (key,) = made.service_keys()
    desired = made.services(key)
    bodies = {f"{each.type}/{each.name}": shown(each.type, each.body) for each in desired.objects}
    assert bodies.keys() == case["bodies"].keys()
    for id_, wanted in case["bodies"].items():
        expected = comparable(id_.partition("/")[0], {k: v for k, v in wanted.items() if "cksum" not in k})
        actual = {name: part for name, part in bodies[id_].items() if "cksum" not in name}
        if case.get("partial"):
            actual = {name: actual.get(name) for name in expected}
        assert actual == expected, id_
    assert sorted(problem.reason for problem in desired.problems) == case["told"]
    served = next(each for each in (desired.services or {}).values() if each)
    assert [family.value for family in served.families] == case["families"]


def answer(
    *manifests: dict[str, Any], vips: dict[str, StandingVip] | None = None, vip_change: bool = False, **changes: Any
) -> tuple[Any, ...]:
    """(served Services, (name, reason) of what is told, desired) of the one key of these Services."""
    made = World(settings(**{**V4_ONLY, **changes})).apply(AVI_CLASS, *manifests)
    made.vips, made.vip_change = vips or {}, vip_change
    (key,) = made.service_keys()
    desired = made.services(key)
    told = [(problem.name, problem.reason) for problem in desired.problems]
    return sorted(id_ for id_, served in (desired.services or {}).items() if served), told, desired


@pytest.mark.parametrize(
    ("manifest", "changes"),
    [
        (load_balancer(loadBalancerClass="example.com/other"), {}),
        (load_balancer(), {"default_lb_controller": False}),
        (load_balancer(), {"blocked_namespaces": frozenset({"red"})}),
        (load_balancer(), {"namespace_label": ("team", "a")}),
        (load_balancer(), {"delete_config": True}),
        ({**load_balancer(), "metadata": {"name": "db", "namespace": "red", "deletionTimestamp": "x"}}, {}),
    ],
)
def test_what_is_not_ours_wants_nothing(manifest: dict[str, Any], changes: dict[str, Any]) -> None:
    """Class, namespace, deletion and deleteConfig each take everything away, without a word on the Service."""
    _, told, desired = answer(manifest, **changes)
    assert (desired.objects, desired.services, desired.frozen, told) == ((), None, False, [])


def test_our_class_is_served_without_being_the_default() -> None:
    """defaultLBController is about Services without a class."""
    ours = load_balancer(loadBalancerClass="ako.vmware.com/avi-lb")
    assert answer(ours, default_lb_controller=False)[0] == ["red/db"]


@pytest.mark.parametrize(
    ("annotations", "changes", "said"),
    [
        ({}, {"layer7_only": True}, []),
        ({"ako.vmware.com/l4rule": "r"}, {}, [("db", "FeatureNotServed")]),
        ({"aviinfrasetting.ako.vmware.com/name": "gold"}, {}, [("db", "FeatureNotServed")]),
    ],
)
def test_what_this_release_does_not_serve_is_left_as_it_is(
    annotations: dict[str, str], changes: dict[str, Any], said: list[Any]
) -> None:
    """Nothing is written and nothing taken away; layer7Only says nothing, since others serve these Services then."""
    _, told, desired = answer(load_balancer(annotations=annotations), **changes)
    assert (desired.frozen, desired.objects, told) == (True, (), said)


@pytest.mark.parametrize(
    ("spec", "annotations", "reason"),
    [
        ({"loadBalancerIP": "10.10.0.300"}, {}, "PreferredAddress"),
        ({"loadBalancerIP": "192.0.2.1"}, {}, "PreferredAddress"),
        ({"loadBalancerIP": "2001:db8:10::5"}, {}, "PreferredAddress"),
        ({"loadBalancerIP": "10.10.0.3,10.10.0.4"}, {}, "PreferredAddress"),
        ({}, {ADDRESS: "fe80::1%eth0"}, "PreferredAddress"),
        ({"loadBalancerSourceRanges": ["10.0.0.0"]}, {}, "NoSourceRange"),
        ({"ports": [("ICMP", 80)]}, {}, "NoPorts"),
        ({}, {"ako.vmware.com/enable-shared-vip": "a b"}, "SharedVipKeyMalformed"),
        ({"ipFamilies": ["IPv6"]}, {}, "FamiliesRefused"),
        ({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"}, {}, "FamiliesRefused"),
        ({"ipFamilies": ["IPv4"], "ipFamilyPolicy": "RequireDualStack"}, {}, "FamiliesRefused"),
    ],
)
def test_a_service_that_cannot_be_served_is_refused_and_told_why(
    spec: dict[str, Any], annotations: dict[str, str], reason: str
) -> None:
    """It has no object, no status, and an Event with the reason."""
    _, told, desired = answer(load_balancer(annotations=annotations, **spec), **GATE)
    assert (desired.objects, desired.services) == ((), {"red/db": None})
    assert ("db", reason) in told


def test_names_that_are_too_long_are_refused() -> None:
    """The controller takes no name over 255 characters."""
    assert answer(load_balancer(), cluster_name="c" * 250)[1] == [("db", "NameTooLong")]


STANDING = {
    "vsvip/admin/c1--red-db": StandingVip(frozenset({Family.V4}), {Family.V4: "10.10.0.9"}),
}
SHARED_STANDING = {"vsvip/admin/c1--red-k": STANDING["vsvip/admin/c1--red-db"]}


@pytest.mark.parametrize(
    ("wanted", "reason", "sent"),
    [
        ("10.10.0.9", None, {"addr": "10.10.0.9", "type": "V4"}),
        ("10.10.0.8", "AddressNotChanged", None),
        ("10.10.0.300", "PreferredAddress", None),
        ("192.0.2.1", "PreferredAddress", None),
        ("", None, None),
    ],
)
def test_a_vip_that_stands_is_never_moved(wanted: str, reason: str | None, sent: dict[str, str] | None) -> None:
    """Whatever address is asked for later, the VIP is wanted as it stands, and the Service is told."""
    _, told, desired = answer(load_balancer(loadBalancerIP=wanted), vips=STANDING)
    assert told == ([("db", reason)] if reason else [])
    (vip,) = desired.objects[0].body["vip"]
    assert vip.get("ip_address") == sent


@pytest.mark.parametrize("policy", ["RequireDualStack", "PreferDualStack"])
def test_a_family_that_the_network_has_no_more_is_kept_until_asked(policy: str) -> None:
    """The VIP stays as it stands, the Service stays served and is told; asked for, the table of families counts."""
    both = {Family.V4: "10.10.0.9", Family.V6: "2001:db8:10::9"}
    standing = {"vsvip/admin/c1--red-db": StandingVip(frozenset(Family), both)}
    service = load_balancer(families=["IPv4", "IPv6"], ipFamilyPolicy=policy)
    served, told, desired = answer(service, vips=standing, **GATE)
    assert (served, told) == (["red/db"], [("db", "VipChangeHeld")])
    (message,) = [problem.message for problem in desired.problems]
    assert "2001:db8:10::9 away" in message
    assert desired.objects[0].vip_held
    served, told, _ = answer(service, vips=standing, vip_change=True, **GATE)
    refused = policy == "RequireDualStack"
    assert served == ([] if refused else ["red/db"])
    assert told[0] == ("db", "FamiliesRefused" if refused else "FewerFamilies")


@pytest.mark.parametrize("vips", [{}, SHARED_STANDING], ids=["nothing", "a VIP"])
@pytest.mark.parametrize("ports", [[("TCP", 53)], [("TCP", 80)]], ids=["same port", "other port"])
def test_an_address_that_can_not_be_had_decides_nothing_for_others(
    vips: dict[str, StandingVip], ports: list[tuple[str, int]]
) -> None:
    """In a shared VIP the younger Service is served and the older one left out, whatever stands."""
    wrong = load_balancer("one", ports=[("TCP", 53)], loadBalancerIP="192.0.2.1", annotations=SHARED)
    right = load_balancer("two", ports=ports, created="2026-01-02T00:00:00Z", annotations=SHARED)
    served, told, _ = answer(wrong, right, vips=vips)
    assert served == ["red/two"]
    assert told == [("one", "SharedVipAddress")]


def test_the_only_service_of_a_shared_vip_keeps_it() -> None:
    """An address that can't be had takes nothing away that stands."""
    alone = load_balancer(loadBalancerIP="192.0.2.1", annotations=SHARED)
    assert answer(alone, vips=SHARED_STANDING)[:2] == (["red/db"], [("db", "PreferredAddress")])
    assert answer(alone)[:2] == ([], [("db", "PreferredAddress")])


def test_a_second_family_may_have_an_address_of_its_own() -> None:
    """A VIP that gets its IPv6 part later gets the address that is asked for; the IPv4 one stays."""
    service = load_balancer(
        families=["IPv4", "IPv6"], ipFamilyPolicy="RequireDualStack", annotations={ADDRESS: "2001:db8:10::9"}
    )
    _, told, desired = answer(service, vips=STANDING, vip_networks=settings().vip_networks, **GATE)
    (vip,) = desired.objects[0].body["vip"]
    assert (vip["auto_allocate_ip_type"], vip["ip6_address"]["addr"]) == ("V4_V6", "2001:db8:10::9")
    assert "ip_address" not in vip
    assert told == [("db", "ServersOfOtherFamily")]


def test_spec_comes_before_the_annotation() -> None:
    """Of two IPv4 addresses that of the spec counts, as with AKO."""
    service = load_balancer(loadBalancerIP="10.10.0.5", annotations={ADDRESS: "10.10.0.6"})
    assert answer(service)[2].objects[0].body["vip"][0]["ip_address"]["addr"] == "10.10.0.5"


@pytest.mark.parametrize("families", [frozenset({Family.V6}), frozenset(Family)])
def test_a_vip_with_ipv6_is_held_without_the_gate(families: frozenset[Family]) -> None:
    """It stays as it stands, also where nothing could be given any more."""
    standing = {"vsvip/admin/c1--red-db": StandingVip(families, {Family.V6: "2001:db8:10::1"})}
    v6_only = (replace(settings().vip_networks[0], cidr=None),)
    for networks in (settings().vip_networks, v6_only):
        served, told, desired = answer(load_balancer(), vips=standing, vip_networks=networks)
        assert served == ["red/db"]
        assert told == [("db", "VipHeld")]
        kind = desired.objects[0].body["vip"][0]["auto_allocate_ip_type"]
        assert kind == ("V4_V6" if len(families) == 2 else "V6_ONLY")


@pytest.mark.parametrize(
    ("asked", "warning"), [(["IPv4"], False), (["IPv6"], True), (["IPv4", "IPv6"], True)], ids=["v4", "v6", "dual"]
)
def test_without_the_gate_the_documented_behaviour_is_told(asked: list[str], warning: bool) -> None:
    """An IPv4 VIP and an Event beside a v6cidr; a warning only for who asks for IPv6."""
    _, _, desired = answer(load_balancer(families=asked), vip_networks=settings().vip_networks)
    (problem,) = [each for each in desired.problems if each.reason == "IPv6NotServed"]
    assert problem.warning is warning
    assert "V6-LB" in problem.message
    assert "featureGates.IPv6LoadBalancer" in problem.message
    assert "auto_allocate_ip_type" not in desired.objects[0].body["vip"][0]


def test_a_v6cidr_alone_is_refused_without_the_gate() -> None:
    """As documented: no VIP, and an Event."""
    served, told, _ = answer(load_balancer(), vip_networks=(replace(settings().vip_networks[0], cidr=None),))
    assert (served, told) == ([], [("db", "IPv6NotServed")])


@pytest.mark.parametrize(
    ("one", "two", "reason"),
    [
        ({}, {"ports": [("TCP", 5432)]}, "SharedVipPortTaken"),
        ({"loadBalancerIP": "10.10.0.1"}, {"loadBalancerIP": "10.10.0.2"}, "SharedVipAddress"),
        ({}, {"loadBalancerIP": "10.10.0.2"}, "SharedVipAddress"),
        ({}, {"families": ["IPv6"]}, "SharedVipFamilies"),
        ({"loadBalancerIP": "10.10.0.1"}, {"loadBalancerIP": "10.10.0.1"}, None),
        ({"loadBalancerIP": "10.10.0.1"}, {}, None),
    ],
)
def test_who_cannot_share_is_told_and_the_others_are_served(
    one: dict[str, Any], two: dict[str, Any], reason: str | None
) -> None:
    """The oldest decides, whatever the order in which they are read."""
    first = load_balancer("one", annotations=SHARED, **one)
    second = load_balancer("two", annotations=SHARED, created=LATER, **{"ports": [("UDP", 53)], **two})
    for manifests in ((first, second), (second, first)):
        served, told, _ = answer(*manifests, vip_networks=settings().vip_networks, **GATE)
        assert served == (["red/one"] if reason else ["red/one", "red/two"])
        assert told == ([("two", reason)] if reason else [])


def test_the_next_oldest_decides_when_the_first_is_refused() -> None:
    """A Service that can't be served takes no port and chooses no address."""
    broken = load_balancer("one", annotations=SHARED, loadBalancerIP="nonsense")
    served, told, _ = answer(broken, load_balancer("two", annotations=SHARED, created=LATER))
    assert (served, told) == (["red/two"], [("one", "SharedVipAddress")])


NAME = "pg.example.com"


def names_of(made: World, key: str) -> tuple[list[str], list[str]]:
    desired = made.services(key)
    found = [row["fqdn"] for row in desired.objects[0].body.get("dns_info", [])]
    return found, [problem.message for problem in desired.problems]


def test_of_two_claims_the_older_counts() -> None:
    """The younger Service is served without the name and told who has it."""
    made = World(settings(**V4_ONLY)).apply(
        load_balancer("new", created=LATER, annotations={EXTERNAL_DNS: NAME}),
        load_balancer("old", annotations={EXTERNAL_DNS: NAME.upper()}),
    )
    assert names_of(made, "lb:red/old") == ([NAME], [])
    found, (said,) = names_of(made, "lb:red/new")
    assert found == []
    assert said.startswith(f"{NAME} belongs to Service red/old")


def test_nobody_can_claim_the_automatic_name_of_another_service() -> None:
    """Age does not count then."""
    theirs = load_balancer("db", namespace="blue", created=LATER)
    made = World(settings(**V4_ONLY)).apply(
        theirs, load_balancer("x", annotations={EXTERNAL_DNS: "db.blue.avi.internal"})
    )
    assert names_of(made, "lb:blue/db") == (["db.blue.avi.internal"], [])
    assert "Service blue/db" in names_of(made, "lb:red/x")[1][0]


def test_an_ingress_comes_before_a_claim() -> None:
    """Only one that is ours counts."""
    made = World(settings(**V4_ONLY)).apply(AVI_CLASS, load_balancer(annotations={EXTERNAL_DNS: NAME}))
    made.apply(ingress(host=NAME, ingressClassName="nginx"))
    assert names_of(made, "lb:red/db") == ([NAME], [])
    made.apply(ingress(host=NAME))
    assert "Ingress red/ing1" in names_of(made, "lb:red/db")[1][0]


@pytest.mark.parametrize(
    ("annotation", "found", "said"),
    [
        ("", ["db.red.avi.internal"], 0),
        ("a.example.com,b.avi.internal", ["a.example.com", "b.avi.internal"], 0),
        (" A.Example.com. , a.example.com", ["a.example.com"], 0),
        ("no_name", [], 1),
        ("a.elsewhere.org", [], 1),
        ("*.example.com", ["*.example.com"], 0),
    ],
)
def test_names_in_the_annotation(annotation: str, found: list[str], said: int) -> None:
    """Several names, odd spellings, names outside the cloud's domains; a bad one takes no other one's place."""
    made = World(settings(**V4_ONLY)).apply(load_balancer(annotations={EXTERNAL_DNS: annotation}))
    names, problems = names_of(made, "lb:red/db")
    assert (names, len(problems)) == (found, said)


@pytest.mark.parametrize(
    ("changes", "shared", "found"),
    [
        ({"auto_fqdn": AutoFqdn.FLAT}, {}, ["db-red.avi.internal"]),
        ({"auto_fqdn": AutoFqdn.DISABLED}, {}, []),
        ({"auto_fqdn": AutoFqdn.DISABLED}, {EXTERNAL_DNS: NAME}, []),
        ({"auto_fqdn": AutoFqdn.DISABLED}, {EXTERNAL_DNS: NAME, **SHARED}, [NAME]),
        ({"default_domain": ".example.com"}, {}, ["db.red.example.com"]),
        ({"default_domain": "elsewhere.org"}, {}, ["db.red.avi.internal"]),
    ],
)
def test_names_by_the_settings(changes: dict[str, Any], shared: dict[str, str], found: list[str]) -> None:
    """autoFQDN and defaultDomain; disabled, only a shared VIP keeps the names of the annotation, as with AKO."""
    made = World(settings(**{**V4_ONLY, **changes})).apply(load_balancer(annotations=shared))
    (key,) = made.service_keys()
    assert names_of(made, key)[0] == found


def test_affinity_without_the_profile_is_told() -> None:
    """A pool that refers to a profile that is not there could not be made at all."""
    made = World(settings(**V4_ONLY), replace(FACTS, client_ip_persistence=False))
    desired = made.apply(load_balancer(sessionAffinity="ClientIP")).services("lb:red/db")
    assert "application_persistence_profile_ref" not in desired.objects[1].body
    assert [problem.reason for problem in desired.problems] == ["AffinityNotServed"]


def test_a_malformed_source_range_is_left_out_and_the_others_count() -> None:
    """As long as one can be read; an empty match would let everybody in."""
    desired = answer(load_balancer(loadBalancerSourceRanges=["nonsense", " 192.0.2.7/24"]))[2]
    (rule,) = desired.objects[2].body["l4_connection_policy"]["rules"]
    assert rule["match"]["client_ip"]["prefixes"] == [{"ip_addr": {"addr": "192.0.2.0", "type": "V4"}, "mask": 24}]
    assert [problem.reason for problem in desired.problems] == ["SourceRangeMalformed", "SourceRangesMatched"]


def on_nodes(**spec: Any) -> tuple[list[str], list[str]]:
    """Servers as `address:port`, and what is told, in NodePort mode with two nodes and an endpoint on the first."""
    made = World(settings(**V4_ONLY, service_type=ServiceType.NODE_PORT))
    made.apply(node("n1", "10.50.0.1"), node("n2", "10.50.0.2"))
    slice_ = endpoint_slice(["10.244.1.9"], owner="db", ports=[{"name": "tcp-80", "port": 1080, "protocol": "TCP"}])
    slice_["endpoints"][0]["nodeName"] = "n1"
    ports = [{"name": "tcp-80", "port": 80, "targetPort": 1080, "protocol": "TCP", **spec.pop("port", {})}]
    service = load_balancer(annotations=spec.pop("annotations", {}), **spec)
    service["spec"]["ports"] = ports
    desired = made.apply(slice_, service).services("lb:red/db")
    servers = [each["external_uuid"] for each in desired.objects[1].body.get("servers", [])]
    return servers, [f"{problem.kind} {problem.reason}" for problem in desired.problems]


def test_in_node_port_mode_nodes_are_the_servers() -> None:
    """All of them, or with the local policy those with an endpoint; an annotated Service is served at its pods."""
    port = {"nodePort": 30080}
    assert on_nodes(port=port) == (["10.50.0.1:30080", "10.50.0.2:30080"], [])
    assert on_nodes(port=port, externalTrafficPolicy="Local") == (["10.50.0.1:30080"], [])
    skip = {"skipnodeport.ako.vmware.com/enabled": "false"}
    assert on_nodes(port=port, annotations=skip) == (["10.244.1.9:1080"], [])


def test_without_node_ports_the_service_is_told() -> None:
    """allocateLoadBalancerNodePorts: false leaves a pool without servers in NodePort mode."""
    assert on_nodes(allocateLoadBalancerNodePorts=False) == ([], ["Service NoNodePort"])
