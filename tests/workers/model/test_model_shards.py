"""Shards: what is wanted and stands is listed, and an empty shard keeps its address."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest

from shared.settings.model import AutoFqdn, ShardSize, VipNetwork
from tests.workers.model.world import AVI_CLASS, World, endpoint_slice, ingress, secret, service, settings

PARENT = "c1--Shared-L7-0"
SHARD = f"shard:admin/{PARENT}"
OWN = f"{PARENT}.admin.avi.internal"
PLAIN, SECURE = "plain.example.com", "sec.example.com"


def world(*manifests: dict[str, Any], **changes: Any) -> World:
    made = World(settings(**{"shard_size": ShardSize.SMALL, **changes}))
    return made.apply(AVI_CLASS, service(), endpoint_slice(["10.244.1.1"]), secret(), *manifests)


def full() -> World:
    return world(ingress("p", host=PLAIN), ingress("s", host=SECURE, tls="foo-tls"))


def types(made: World) -> list[str]:
    return [each.type for each in made.shard(SHARD).objects]


def fqdns(made: World) -> list[str]:
    return [each["fqdn"] for each in made.shard(SHARD).objects[0].body.get("dns_info", [])]


def test_nothing_stands_yet() -> None:
    """The parent is made at once, so that children can come; it lists nothing and says what it waits for."""
    made = full()
    desired = made.shard(SHARD)
    assert types(made) == ["vsvip", "poolgroup", "vsdatascriptset", "virtualservice"]
    assert fqdns(made) == [OWN]
    assert "members" not in desired.objects[1].body
    assert "http_policies" not in desired.objects[-1].body
    assert set(desired.waits) == {f"pool/admin/c1--{PLAIN}_-red-p", f"virtualservice/admin/c1--{SECURE}"}


def test_what_stands_is_listed() -> None:
    """Each host enters the lists as soon as its own object stands."""
    made = full()
    made.standing.add(f"pool/admin/c1--{PLAIN}_-red-p")
    assert fqdns(made) == [OWN, PLAIN]
    made.standing.add(f"virtualservice/admin/c1--{SECURE}")
    desired = made.shard(SHARD)
    assert types(made) == ["vsvip", "poolgroup", "httppolicyset", "vsdatascriptset", "virtualservice"]
    assert fqdns(made) == [OWN, PLAIN, SECURE]
    rule = desired.objects[2].body["http_request_policy"]["rules"][0]
    assert rule["match"]["host_hdr"]["value"] == [SECURE]
    assert desired.waits == ()


def test_what_stands_but_is_not_wanted_is_not_listed() -> None:
    """A host without Ingress, or whose Secret went, leaves the lists although its objects still stand."""
    made = full()
    made.everything()
    made.objects["Secret"].clear()
    del made.objects["Ingress"]["red/p"]
    assert types(made) == ["vsvip"]
    assert fqdns(made) == [OWN]


def test_an_empty_shard_keeps_its_vsvip_with_its_own_fqdn() -> None:
    """Everything else goes; the address stays."""
    made = full()
    made.everything()
    made.objects["Ingress"].clear()
    assert types(made) == ["vsvip"]
    assert fqdns(made) == [OWN]


def test_a_shard_that_never_was_is_nothing() -> None:
    """Without hosts and without a vsvip there is nothing to keep."""
    assert world().shard(SHARD).objects == ()
    assert full().shard("shard:admin/c1--Shared-L7-5").objects == ()
    assert full().shard("shard:other/c1--Shared-L7-0").objects == ()


@pytest.mark.parametrize(
    ("network", "type_", "families"),
    [
        (VipNetwork("n", cidr=IPv4Network("10.1.0.0/24")), None, {"subnet"}),
        (VipNetwork("n", v6cidr=IPv6Network("2001:db8::/64")), "V6_ONLY", {"subnet6"}),
        (
            VipNetwork("n", cidr=IPv4Network("10.1.0.0/24"), v6cidr=IPv6Network("2001:db8::/64")),
            "V4_V6",
            {"subnet", "subnet6"},
        ),
        (VipNetwork("n"), None, set()),
    ],
)
def test_vip_families_follow_the_network(network: VipNetwork, type_: str | None, families: set[str]) -> None:
    """The allocation type is named only when IPv6 takes part; the subnets are those given."""
    made = world(ingress("p", host=PLAIN), vip_networks=(network,))
    (vip,) = made.shard(SHARD).objects[0].body["vip"]
    assert vip.get("auto_allocate_ip_type") == type_
    assert set(vip["ipam_network_subnet"]) == {"network_ref", *families}


def test_without_an_own_fqdn_an_empty_list_is_not_sent() -> None:
    """With automatic FQDNs off the vsvip of a new shard has no dns_info at all."""
    made = world(ingress("p", host=PLAIN), auto_fqdn=AutoFqdn.DISABLED)
    assert "dns_info" not in made.shard(SHARD).objects[0].body


def test_the_datascript_selects_in_the_shards_own_pool_group() -> None:
    """The script names the pool group that the object refers to, and lower-cases the label."""
    script = next(each for each in full().shard(SHARD).objects if each.type == "vsdatascriptset")
    text = script.body["datascript"][0]["script"]
    assert f'avi.poolgroup.select("{PARENT}", string.lower(' in text
    assert script.body["pool_group_refs"] == [f"/api/poolgroup/?name={PARENT}"]


def test_shards_of_every_size_share_out_all_hosts() -> None:
    """Each host is on exactly the shard that its own key names."""
    hosts = [f"h{n}.example.com" for n in range(40)]
    for size in (ShardSize.LARGE, ShardSize.MEDIUM, ShardSize.SMALL):
        made = world(*(ingress(f"i{n}", host=host) for n, host in enumerate(hosts)), shard_size=size)
        objects, problems, _ = made.everything()
        groups = [each for each in objects if each.type == "poolgroup"]
        assert len(groups) == size.value
        assert sum(len(each.body["members"]) for each in groups) == len(hosts)
        assert problems == []
