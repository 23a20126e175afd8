"""The census reads the facts first, and goes no further on a cloud that the support matrix refuses."""

from __future__ import annotations

import pytest

from bench import world as cluster
from shared.errors import SettingsError
from tests.workers.site import Site, site
from workers.facts import read_facts

BOTH = '[{"networkName":"net1","cidr":"10.10.0.0/16","v6cidr":"2001:db8:10::/64"}]'
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


def on_cloud(here: Site, kind: str) -> None:
    """Makes the controller's cloud one of another type."""
    cloud = here.find("cloud", "Default-Cloud")
    assert cloud is not None
    here.avi.update("cloud", cloud["uuid"], {**cloud, "vtype": kind})


def test_ipv6_on_another_cloud_is_refused_before_anything_is_written(redis_url: str) -> None:
    """With a v6cidr on a cloud without IPv6, the census names the setting and no object is made for any host."""
    with site(redis_url, VIP_NETWORK_LIST=BOTH) as here:
        on_cloud(here, "CLOUD_NSXT")
        here.simulator.audit.clear()
        here.apply(*cluster.objects_of(1))
        here.run()
        with pytest.raises(SettingsError) as caught:
            read_facts(here.avi, here.kube, here.settings)
        calls = here.simulator.audit.shown(0)
    assert [call["path"] for call in calls if call["method"] in WRITES and "/api/" in call["path"]] == []
    assert any("/api/cloud" in call["path"] for call in calls)
    ((place, text),) = caught.value.problems
    assert place == "NetworkSettings.vipNetworkList[0].v6cidr"
    assert "(V6-CLOUD)" in text
    assert "CLOUD_NSXT" in text


def test_the_gate_lets_it_pass(redis_url: str) -> None:
    """With IPv6OtherClouds the same cloud is served."""
    with site(redis_url, VIP_NETWORK_LIST=BOTH, AKO_GATE_IPV6_OTHER_CLOUDS="true") as here:
        on_cloud(here, "CLOUD_NSXT")
        assert read_facts(here.avi, here.kube, here.settings).cloud_type == "CLOUD_NSXT"
        here.apply(*cluster.objects_of(1))
        here.run()
        assert here.find("pool", f"bench--{cluster.host(1)}_-bench-i00001") is not None
