"""What the support matrix learns from controller and cluster, and that a census concludes nothing without it."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from bench import world as cluster
from shared.addresses import Family, parse_network
from shared.errors import AviUnreachable, KubeUnreachable, SettingsError
from tests.workers.site import Site, site
from workers.contact import read_known
from workers.facts import read_facts

DUAL = '[{"networkName":"net1","cidr":"10.10.0.0/16","v6cidr":"2001:db8:10::/64"}]'
WRITES = {"POST", "PUT", "PATCH", "DELETE"}
POOL = f"bench--{cluster.host(1)}_-bench-i00001"


@pytest.fixture
def dual(redis_url: str) -> Iterator[Site]:
    """A site whose VIPs are dual-stack, with one host to build and nothing built yet."""
    with site(redis_url, VIP_NETWORK_LIST=DUAL) as made:
        made.apply(*cluster.objects_of(1))
        yield made


def change(here: Site, type_: str, name: str, **fields: Any) -> dict[str, Any]:
    """Edits an object on the controller."""
    found = here.avi.find(type_, name, tenant="*")
    assert found is not None
    return here.avi.update(type_, found["uuid"], {**found, **fields})


def refused(here: Site) -> str:
    """Lets the worker run, which writes nothing, and gives what the census was refused for."""
    before = len(here.simulator.audit.shown(0))
    here.run()
    calls = here.simulator.audit.shown(0)[before:]
    assert [call["path"] for call in calls if call["method"] in WRITES and "/login" not in call["path"]] == []
    assert here.failures("resync") == 1
    with pytest.raises(SettingsError) as caught:
        read_facts(here.avi, here.kube, here.settings)
    return "\n".join(f"{place}: {text}" for place, text in caught.value.problems)


def served(here: Site) -> bool:
    """Whether the host is built, after everything that waits was brought forward."""
    here.worker.reconciler.work.mark(["resync"], "wake", "test")
    here.run()
    return here.find("pool", POOL) is not None


def test_all_is_known_of_a_controller_that_fits(dual: Site) -> None:
    """Cloud, licence, subnets, families and API groups are what controller and cluster say; then the host is built."""
    known = read_known(dual.avi, dual.kube, dual.settings)
    assert (known.cloud_type, known.license_tier) == ("CLOUD_VCENTER", "ENTERPRISE")
    assert {name: {str(each) for each in found} for name, found in known.subnets.items()} == {
        "net1": {"10.10.0.0/16", "2001:db8:10::/64"}
    }
    assert known.controller_families == known.api_families == {Family.V4}
    assert (known.api_host, known.api_groups) == ("127.0.0.1", {"apps"})
    assert served(dual)


def test_openshift_is_known_by_its_api_group(dual: Site) -> None:
    """With route.openshift.io among the API groups the census refuses a v6cidr; without it, it goes on."""
    dual.kube.objects["/apis"]["groups"].append({"name": "route.openshift.io"})
    assert "v6cidr: found '2001:db8:10::/64' in a cluster with route.openshift.io" in refused(dual)
    dual.kube.objects["/apis"]["groups"].pop()
    assert served(dual)


def test_no_answer_about_api_groups_is_no_knowledge(dual: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the API server is silent, or talks nonsense, the census fails with that error and nothing is written."""
    get = dual.kube.get

    def silent(path: str) -> dict[str, Any]:
        if path == "/apis":
            raise KubeUnreachable("no answer", where="GET /apis")
        return get(path)

    monkeypatch.setattr(dual.kube, "get", silent)
    dual.run()
    assert dual.failures("resync") == 1
    assert dual.find("pool", POOL) is None
    with pytest.raises(KubeUnreachable, match="no answer"):
        read_facts(dual.avi, dual.kube, dual.settings)
    monkeypatch.setattr(dual.kube, "get", get)
    for nonsense in ({}, {"groups": "many"}):
        monkeypatch.setitem(dual.kube.objects, "/apis", nonsense)
        with pytest.raises(KubeUnreachable, match="not a list of API groups"):
            read_known(dual.avi, dual.kube, dual.settings)
    monkeypatch.undo()
    assert served(dual)


def test_without_ipv6_the_cluster_is_not_asked(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv4 settings have nothing to refuse, so their census does not depend on the API server."""
    with site(redis_url) as here:
        monkeypatch.delitem(here.kube.objects, "/apis")
        known = read_known(here.avi, here.kube, here.settings)
        assert (known.cloud_type, known.subnets, known.api_groups) == ("CLOUD_VCENTER", {}, frozenset())


@pytest.mark.parametrize("tier", ["ESSENTIALS", "BASIC"])
def test_a_licence_without_ipv6(dual: Site, tier: str) -> None:
    """A v6cidr on a controller whose licence has no IPv6 VIPs is refused; with another licence it is served."""
    dual.simulator.allocator.license_tier = tier
    assert f"with licence tier {tier}, which allows IPv4 VIPs only (V6-LICENSE)" in refused(dual)
    dual.simulator.allocator.license_tier = "ENTERPRISE"
    assert served(dual)


def test_a_network_without_that_subnet(dual: Site) -> None:
    """A v6cidr outside every subnet of its network is refused until the network has it."""
    network = dual.avi.find("network", "net1", tenant="*")
    assert network is not None
    subnets = network["configured_subnets"]
    change(dual, "network", "net1", configured_subnets=subnets[:1])
    dual.simulator.audit.clear()
    assert "on network 'net1', which has no IPv6 subnet, so nothing can be allocated" in refused(dual)
    change(dual, "network", "net1", configured_subnets=subnets)
    assert served(dual)


def test_addresses_from_elsewhere_are_not_known(dual: Site) -> None:
    """Of a network without subnets, one that is not there, and one with other IPAM than Avi's, no subnets are known."""

    def subnets(**changes: Any) -> Any:
        settings = dataclasses.replace(dual.settings, **changes)
        return read_known(dual.avi, dual.kube, settings).subnets

    row = dual.settings.vip_networks[0]
    assert subnets()
    assert subnets(vip_networks=(dataclasses.replace(row, name="no-such-net"),)) == {}
    assert subnets(vip_networks=(dataclasses.replace(row, v6cidr=None),)) == {}
    uuid = change(dual, "network", "net1", configured_subnets=[])["uuid"]
    assert subnets() == {}
    assert subnets(vip_networks=(dataclasses.replace(row, uuid=uuid),)) == {}
    other = dual.avi.find("network", "net2", tenant="*")
    assert other is not None
    found = subnets(vip_networks=(dataclasses.replace(row, uuid=other["uuid"]),))
    assert parse_network("2001:db8:20::/64") in found[other["uuid"]]
    change(dual, "ipamdnsproviderprofile", "ipam-internal", type="IPAMDNS_TYPE_INFOBLOX")
    assert subnets(vip_networks=(dataclasses.replace(row, uuid=other["uuid"]),)) == {}


V6_ROW = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0))]


def names(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> None:
    """Gives `<key>.example.com` these rows; an exception is raised."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        answer = answers.get(str(host).partition(".")[0])
        if isinstance(answer, Exception):
            raise answer
        return answer or real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def named(here: Site, *gates: str) -> Any:
    """The settings with the controller's name in place of its address."""
    controller = dataclasses.replace(here.settings.controller, host="avi.example.com")
    return dataclasses.replace(here.settings, controller=controller, gates=frozenset(gates))


def test_names_with_ipv6_alone(dual: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Controller and API server with AAAA only are refused before anybody is asked anything; with their gates on, what
    they say is read.
    """
    names(monkeypatch, avi=V6_ROW, k8s=V6_ROW)
    monkeypatch.setattr(dual.kube, "url", "https://k8s.example.com:6443")
    dual.simulator.audit.clear()
    with pytest.raises(SettingsError) as caught:
        read_facts(dual.avi, dual.kube, named(dual))
    assert [place for place, _ in caught.value.problems] == ["ControllerSettings.controllerHost", "kubeconfig.server"]
    assert "'avi.example.com', which has IPv6 addresses only" in str(caught.value)
    assert "featureGates.IPv6KubernetesAPI" in str(caught.value)
    assert dual.simulator.audit.shown(0) == []
    with pytest.raises(SettingsError) as caught:
        read_facts(dual.avi, dual.kube, named(dual, "IPv6Controller"))
    assert [place for place, _ in caught.value.problems] == ["kubeconfig.server"]
    assert read_facts(dual.avi, dual.kube, named(dual, "IPv6Controller", "IPv6KubernetesAPI")).cloud_uuid


def test_a_name_that_cannot_be_resolved_is_neither_refused_nor_passed(
    dual: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the resolver gives no answer for one of the hosts, the census fails as if that host had not answered."""
    gone = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    names(monkeypatch, avi=gone, k8s=gone)
    with pytest.raises(AviUnreachable, match=r"controllerHost: avi\.example\.com can't be resolved"):
        read_known(dual.avi, dual.kube, named(dual))
    monkeypatch.setattr(dual.kube, "url", "https://k8s.example.com:6443")
    with pytest.raises(KubeUnreachable, match=r"k8s\.example\.com:6443 can't be resolved"):
        read_known(dual.avi, dual.kube, dual.settings)
