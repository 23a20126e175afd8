"""VIPs when the settings change: what happens by itself, what waits to be asked for, and what a controller refuses.

What happens on the way is read from the simulated controller's log of calls, which has every version of every object.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from shared.state import Ledger, LedgerEntry
from tests.workers.model.world import endpoint_slice, ingress, load_balancer, secret, service
from tests.workers.site import Site, site
from workers import owned
from workers.model.types import AviObject
from workers.vipchange import given_back

NETWORK = {
    "v4": {"cidr": "10.10.0.0/16"},
    "v6": {"v6cidr": "2001:db8:10::/64"},
    "dual": {"cidr": "10.10.0.0/16", "v6cidr": "2001:db8:10::/64"},
}
FAMILIES = {"v4": {"ip_address"}, "v6": {"ip6_address"}, "dual": {"ip_address", "ip6_address"}}
# A walk on which each of the nine changes comes once.
WALK = ["v4", "v4", "v6", "v6", "dual", "dual", "v4", "dual", "v6", "v4"]
GATES = {
    "AKO_GATE_DUAL_STACK_BACKENDS": "true",
    "AKO_GATE_IPV6_ANY_CNI": "true",
    "AKO_GATE_IPV6_LOAD_BALANCER": "true",
}
BOTH = ["IPv4", "IPv6"]
PORTS = [{"name": "p80", "port": 8080, "protocol": "TCP"}, {"name": "tcp-5432", "port": 6432, "protocol": "TCP"}]


def vips(network: str, **more: str) -> dict[str, str]:
    """The environment with a VIP network of these families."""
    return {**GATES, "VIP_NETWORK_LIST": json.dumps([{"networkName": "net1", **NETWORK[network], **more}])}


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    """A plain host, a TLS host and a Service of type LoadBalancer, all with pods of both families."""
    with site(redis_url, **vips("v4")) as made:
        yield filled(made)


def filled(made: Site) -> Site:
    for name in ("web", "db"):
        made.apply(*(endpoint_slice([a], family=f, owner=name, ports=PORTS) for f, a in zip(BOTH, PODS, strict=True)))
    made.apply(service(families=BOTH), secret())
    made.apply(ingress(), ingress("ing2", host="bar.example.com", tls="foo-tls"))
    made.apply(load_balancer(families=BOTH, ipFamilyPolicy="PreferDualStack"))
    made.settle()
    return made


PODS = ["10.244.1.5", "2001:db8:244:1::5"]


def changed(here: Site, **environ: str) -> Site:
    """The same cluster and controller under other settings, at rest."""
    made = filled(here.changed(**environ))
    made.kube.events += here.kube.events
    return made


def allow(here: Site) -> None:
    """What `ako resync --allow-vip-change` does, and the census that it asks for."""
    Ledger(here.state).allow_vip_change(here.settings.digest(), 60)
    here.worker.reconciler.work.mark(["resync"], "change", "test")
    here.settle()


def held(here: Site) -> list[str]:
    return sorted(text for text in here.kube.events if "VipChangeHeld" in text)


def addresses(vip: list[dict[str, Any]]) -> dict[str, str]:
    return {name: vip[0][name]["addr"] for name in ("ip_address", "ip6_address") if name in vip[0]}


def standing(here: Site) -> dict[str, dict[str, str]]:
    """The addresses of each of our VIPs."""
    return {each["name"]: addresses(each["vip"]) for each in vsvips(here)}


def vsvips(here: Site) -> list[dict[str, Any]]:
    return [obj for page in here.avi.pages("vsvip") for obj in page.objects if obj["name"].startswith("bench--")]


def versions(here: Site, type_: str, part: str) -> dict[str, list[Any]]:
    """Every version of each object of a type, by the log: what was answered of a VIP, what was sent of all else."""
    found: dict[str, list[Any]] = {}
    for call in here.simulator.audit.shown(0):
        written = call["method"] in {"POST", "PUT"} and call["status"] < 300
        if written and re.match(rf"/api/{type_}(/|\?|$)", call["path"]):
            found.setdefault(call["body"]["name"], []).append(call[part])
    return found


def enabled(body: dict[str, Any]) -> set[str]:
    """The families of a pool's enabled servers."""
    return {server["ip"]["type"] for server in body.get("servers", []) if server.get("enabled", True)}


def test_all_nine_changes_of_the_network(here: Site) -> None:
    """A family that stays keeps its address at all times; one that goes is held until it is asked for; servers stay."""
    names = standing(here).keys()
    assert len(names) == 3
    for before, after in itertools.pairwise(WALK):
        there = standing(here)
        assert {frozenset(each) for each in there.values()} == {frozenset(FAMILIES[before])}
        here.kube.events.clear()
        here = changed(here, **vips(after))
        if FAMILIES[before] - FAMILIES[after]:
            assert standing(here) == there, (before, after)
            assert len(held(here)) == 3
            assert "ako resync --allow-vip-change" in held(here)[0]
            allow(here)
        else:
            assert held(here) == []
        now = standing(here)
        assert {frozenset(each) for each in now.values()} == {frozenset(FAMILIES[after])}, (before, after)
    log = versions(here, "vsvip", "vip")
    assert log.keys() == names
    for each in log.values():
        for earlier, later in itertools.pairwise(map(addresses, each)):
            assert later
            assert all(later[family] == earlier[family] for family in later.keys() & earlier.keys())
    pools = versions(here, "pool", "body")
    assert len(pools) == 3
    assert all(enabled(body) for bodies in pools.values() for body in bodies[1:])
    here.close()


def test_all_nine_changes_of_the_servers(here: Site) -> None:
    """One PUT for each pool that changes; a family that stays is served at all times, and the VIPs are left alone."""
    kinds = {"v4": "V4", "v6": "V6", "dual": "V4_V6"}
    wanted = {"v4": {"V4"}, "v6": {"V6"}, "dual": {"V4", "V6"}}
    there = standing(here)
    for before, after in itertools.pairwise(WALK):
        here.simulator.audit.clear()
        here = changed(here, **vips("v4"), IP_FAMILY=kinds[after])
        pools = versions(here, "pool", "body")
        assert len(pools) == (0 if before == after else 3), (before, after)
        assert {len(bodies) for bodies in pools.values()} <= {1}
        assert all(enabled(body) == wanted[after] for bodies in pools.values() for body in bodies)
        assert versions(here, "vsvip", "vip") == {}
        assert {type_ for _, path in here.writes() if (type_ := path.split("/")[2]) != "vrfcontext"} <= {"pool"}
    assert standing(here) == there
    here.close()


def test_what_is_held_holds_up_nothing_else(here: Site) -> None:
    """Beside a VIP that waits, a new host of the same parent is served, with its name and its address."""
    here = changed(here, **vips("v6"))
    there = standing(here)
    here.apply(ingress("ing3", host="docs.example.com"))
    here.settle()
    assert standing(here) == there
    (parent,) = [each for each in vsvips(here) if "docs.example.com" in names(each)]
    assert addresses(parent["vip"]).keys() == FAMILIES["v4"]
    here.simulator.audit.clear()
    here.settle()
    assert here.simulator.audit.shown(0) == []
    here.close()


def names(vsvip: dict[str, Any]) -> set[str]:
    return {row["fqdn"] for row in vsvip.get("dns_info", [])}


def test_a_service_lets_a_family_go_by_itself(here: Site) -> None:
    """One that asks for IPv4 alone gives its IPv6 address back at once: its owner has asked, not the settings."""
    here = changed(here, **vips("dual"))
    there = standing(here)["bench--red-db"]
    assert there.keys() == FAMILIES["dual"]
    here.apply(load_balancer())
    here.settle()
    assert standing(here)["bench--red-db"] == {"ip_address": there["ip_address"]}
    assert held(here) == []
    here.close()


def test_a_permission_is_for_these_settings_alone(here: Site) -> None:
    """Asked for under one VIP network, another change of it is held all the same."""
    here = changed(here, **vips("dual"))
    allow(here)
    there = standing(here)
    here = changed(here, **vips("v4"))
    assert standing(here) == there
    assert len(held(here)) == 3
    here.close()


def test_what_the_controller_refuses_holds_up_nothing_else(here: Site) -> None:
    """Even when asked for, an address is not moved; that is told, and everything else of the parent goes on."""
    there = standing(here)
    here.simulator.audit.clear()
    here = changed(here, **vips("v4", cidr="10.99.0.0/16"))
    assert [len(held(here)), here.calls("PUT", "vsvip")] == [3, []]
    allow(here)
    assert standing(here) == there
    refused = [text for text in here.kube.events if "NotApplied" in text]
    assert len(refused) == 3
    assert all("please recreate the VIP" in text for text in refused)
    here.apply(ingress("ing3", host="docs.example.com"))
    here.settle()
    assert [each for each in vsvips(here) if "docs.example.com" in names(each)]
    assert here.find("pool", "bench--docs.example.com_-red-ing3")
    assert [text for text in here.kube.events if "NotApplied" in text] == refused
    here.close()


def test_a_family_that_is_late_hides_no_other(redis_url: str) -> None:
    """While a dual VIP has its IPv4 address only, statuses have that one; the other follows when it is there."""
    hosts = ("foo.example.com", "bar.example.com", "db.red.avi.internal")
    with site(redis_url, **vips("dual")) as here:
        here.simulator.allocator.late = {"V6"}
        filled(here)
        assert {frozenset(each) for each in standing(here).values()} == {frozenset(FAMILIES["v4"])}
        assert statuses(here) == {host: ["V4"] for host in hosts}
        here.simulator.writer.deliver()
        here.settle()
        assert statuses(here) == {host: ["V4", "V6"] for host in hosts}


def statuses(here: Site) -> dict[str, list[str]]:
    """The families that the last patch of each status shows, by host."""
    found: dict[str, list[str]] = {}
    for path, body in here.kube.patches:
        if path.endswith("/status"):
            rows = body["status"]["loadBalancer"]["ingress"] or []
            found |= {row["hostname"]: [] for row in rows}
            for row in rows:
                found[row["hostname"]].append("V6" if ":" in row["ip"] else "V4")
    return found


def vsvip(network: str, *, released: frozenset[str] = frozenset(), kind: str = "", **subnets: str) -> AviObject:
    place: dict[str, Any] = {"network_ref": f"/api/network/?name={network}"}
    for name, text in subnets.items():
        address, _, mask = text.partition("/")
        place[name] = {"ip_addr": {"addr": address, "type": "V6" if ":" in address else "V4"}, "mask": int(mask)}
    vip = {"vip_id": "0", "auto_allocate_ip": True, "ipam_network_subnet": place}
    if kind:
        vip["auto_allocate_ip_type"] = kind
    return AviObject("vsvip", "admin", "v", {"name": "v", "vip": [vip]}, released=released)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (vsvip("net1", kind="V4_V6"), []),
        (vsvip("net1"), ["2001:db8::1"]),
        (vsvip("net1", kind="V6_ONLY"), ["10.0.0.1"]),
        (vsvip("net2", kind="V4_V6"), ["10.0.0.1", "2001:db8::1"]),
        (vsvip("net1", kind="V4_V6", subnet="10.0.0.0/8", subnet6="2001:db8::/32"), []),
        (vsvip("net1", kind="V4_V6", subnet="10.0.0.0/24", subnet6="2001:db8:1::/48"), ["2001:db8::1"]),
        (vsvip("net1", kind="V4_V6", subnet="10.1.0.0/16"), ["10.0.0.1"]),
        (vsvip("net1", released=frozenset({"v6"})), []),
        (vsvip("net1", kind="V6_ONLY", released=frozenset({"v6"})), ["10.0.0.1"]),
    ],
)
def test_which_addresses_a_change_gives_back(wanted: AviObject, expected: list[str]) -> None:
    """A family that goes, another network or a subnet elsewhere; what the owner lets go does not count."""
    stands = vsvip("net1", kind="V4_V6", subnet="10.0.0.0/16", subnet6="2001:db8::/64").body
    extra = {"v4": ["10.0.0.1"], "v6": ["2001:db8::1"]}
    entry = LedgerEntry("vsvip/admin/v", "u", "1", owned.extract("vsvip", stands), extra=extra)
    assert given_back(entry, wanted) == expected
