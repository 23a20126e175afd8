"""What the simulated controller does with the addresses of a vsvip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.avi_world import Api, controller

SUBNET = {"ip_addr": {"addr": "10.10.0.0", "type": "V4"}, "mask": 16}
SUBNET6 = {"ip_addr": {"addr": "2001:db8:10::", "type": "V6"}, "mask": 64}


@pytest.fixture
def api() -> Iterator[Api]:
    with controller() as api:
        yield api


def vip(network: str = "net1", kind: str | None = None, **fields: Any) -> dict[str, Any]:
    body = {
        "vip_id": "0",
        "auto_allocate_ip": True,
        "ipam_network_subnet": {"network_ref": f"/api/network?name={network}"},
    }
    return body | ({"auto_allocate_ip_type": kind} if kind else {}) | fields


def addresses(body: dict[str, Any]) -> tuple[str | None, str | None]:
    one = body["vip"][0]
    return one.get("ip_address", {}).get("addr"), one.get("ip6_address", {}).get("addr")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, ("10.10.1.10", None)),
        ("V4_ONLY", ("10.10.1.10", None)),
        ("V6_ONLY", (None, "2001:db8:10::10")),
        ("V4_V6", ("10.10.1.10", "2001:db8:10::10")),
    ],
)
@pytest.mark.parametrize("subnets", [{}, {"subnet": SUBNET, "subnet6": SUBNET6}])
def test_families(api: Api, kind: str | None, expected: tuple[str | None, str | None], subnets: dict[str, Any]) -> None:
    """A vip gets an address of each family that it asks for, from the named subnets or from those of the network."""
    wanted = vip(kind=kind)
    wanted["ipam_network_subnet"] |= subnets
    body = api.post("/api/vsvip", {"name": "v", "vip": [wanted]})
    assert addresses(body) == expected
    assert body["vip"][0]["avi_allocated_vip"] is True
    assert body["vip"][0]["auto_allocate_ip_type"] == (kind or "V4_ONLY")


def test_each_vsvip_has_its_own(api: Api) -> None:
    """No address is given twice, and one that was given back is not the next one given."""
    made = [api.post("/api/vsvip", {"name": f"v{n}", "vip": [vip(kind="V4_V6")]}) for n in range(3)]
    assert [addresses(body)[0] for body in made] == ["10.10.1.10", "10.10.1.11", "10.10.1.12"]
    assert api.call("DELETE", f"/api/vsvip/{made[0]['uuid']}").status_code == 204
    assert addresses(api.post("/api/vsvip", {"name": "next", "vip": [vip(kind="V4_V6")]}))[0] == "10.10.1.13"


@pytest.mark.parametrize(("kind", "family"), [("V4_ONLY", "V4"), ("V6_ONLY", "V6")])
def test_exhaustion(api: Api, kind: str, family: str) -> None:
    """When all addresses are taken a POST is refused with the controller's sentence; one given back is used again."""
    made = [api.post("/api/vsvip", {"name": f"v{n}", "vip": [vip("small-net", kind)]}) for n in range(2)]
    text = f"No available free IPs in network ['small-net'] for {family}"
    assert api.refused("POST", "/api/vsvip", {"name": "v2", "vip": [vip("small-net", kind)]}) == (400, text)
    assert api.get("/api/vsvip")["count"] == 2
    api.call("DELETE", f"/api/vsvip/{made[0]['uuid']}")
    assert addresses(api.post("/api/vsvip", {"name": "v2", "vip": [vip("small-net", kind)]})) == addresses(made[0])


def test_half_of_an_allocation_is_none(api: Api) -> None:
    """When one of two families is exhausted the other one's address is not lost."""
    for n in range(2):
        api.post("/api/vsvip", {"name": f"six{n}", "vip": [vip("small-net", "V6_ONLY")]})
    assert api.refused("POST", "/api/vsvip", {"name": "both", "vip": [vip("small-net", "V4_V6")]})[0] == 400
    for n in range(2):
        api.post("/api/vsvip", {"name": f"four{n}", "vip": [vip("small-net", "V4_ONLY")]})


def test_a_put_keeps_addresses(api: Api) -> None:
    """A PUT without addresses keeps those that were allocated, and one with them is taken as well."""
    body = api.post("/api/vsvip", {"name": "v", "vip": [vip(kind="V4_V6")]})
    path = f"/api/vsvip/{body['uuid']}"
    bare = {"name": "v", "vip": [vip(kind="V4_V6")], "dns_info": [{"fqdn": "a.example.com"}]}
    assert addresses(api.call("PUT", path, bare).json()) == addresses(body)
    assert addresses(api.call("PUT", path, api.get(path)).json()) == addresses(body)


def test_families_come_and_go(api: Api) -> None:
    """A family that is added gets an address and the other keeps its own; a family dropped gives its address back."""
    body = api.post("/api/vsvip", {"name": "v", "vip": [vip("small-net", "V4_ONLY")]})
    path = f"/api/vsvip/{body['uuid']}"
    both = api.call("PUT", path, {"name": "v", "vip": [vip("small-net", "V4_V6")]}).json()
    assert addresses(both) == (addresses(body)[0], "2001:db8:30::2")
    six = api.call("PUT", path, {"name": "v", "vip": [vip("small-net", "V6_ONLY")]}).json()
    assert addresses(six) == (None, "2001:db8:30::2")
    for n in range(2):
        api.post("/api/vsvip", {"name": f"w{n}", "vip": [vip("small-net", "V4_ONLY")]})


def test_a_preferred_address(api: Api) -> None:
    """An address of the subnet may be asked for, also outside of the static range, but not one that is taken."""
    wanted = vip(ip_address={"addr": "10.10.77.7", "type": "V4"})
    assert addresses(api.post("/api/vsvip", {"name": "v", "vip": [wanted]})) == ("10.10.77.7", None)
    assert "already in use" in api.refused("POST", "/api/vsvip", {"name": "w", "vip": [wanted]})[1]
    outside = vip(ip_address={"addr": "10.99.0.1", "type": "V4"})
    assert api.refused("POST", "/api/vsvip", {"name": "w", "vip": [outside]})[0] == 400
    wrong = vip(ip_address={"addr": "2001:db8::1", "type": "V6"})
    assert api.refused("POST", "/api/vsvip", {"name": "w", "vip": [wrong]})[0] == 400


def test_a_changed_address_is_refused(api: Api) -> None:
    """Another address, another vip_id or another network for an existing vip are refused as a controller does."""
    body = api.post("/api/vsvip", {"name": "v", "vip": [vip()]})
    path = f"/api/vsvip/{body['uuid']}"
    text = "If a new preferred IP is needed, please recreate the VIP"
    for other in (vip(ip_address={"addr": "10.10.9.9", "type": "V4"}), vip("net2")):
        status, said = api.refused("PUT", path, {"name": "v", "vip": [other]})
        assert status == 400
        assert text in said
    status, said = api.refused("PUT", path, {"name": "v", "vip": [vip(vip_id="1")]})
    assert status == 400
    assert said.startswith("Changing an existing VIP's vip_id")
    assert api.get(path) == body


def test_a_subnet_that_the_network_does_not_have(api: Api) -> None:
    """From a subnet that is not configured on the network no address can be had."""
    wanted = vip()
    wanted["ipam_network_subnet"]["subnet"] = {"ip_addr": {"addr": "10.77.0.0", "type": "V4"}, "mask": 16}
    text = "No available free IPs in network ['net1'] for V4"
    assert api.refused("POST", "/api/vsvip", {"name": "v", "vip": [wanted]}) == (400, text)


def test_licence(api: Api) -> None:
    """A small licence allows IPv4 only, and shows in the system configuration."""
    api.control("POST", "license", {"tier": "ESSENTIALS"})
    assert api.get("/api/systemconfiguration")["default_license_tier"] == "ESSENTIALS"
    for kind in ("V6_ONLY", "V4_V6"):
        assert "ESSENTIALS" in api.refused("POST", "/api/vsvip", {"name": "v", "vip": [vip(kind=kind)]})[1]
    api.post("/api/vsvip", {"name": "v", "vip": [vip()]})
