"""Services of type LoadBalancer over real sockets: they come, change and go, and their statuses follow."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from bench import world as cluster
from tests.workers.model.world import World, endpoint_slice, load_balancer
from tests.workers.site import Site, site
from workers import owned
from workers.model.owners import MADE_TYPES
from workers.snapshot import read_facts

NAME = "bench--red-db"
POOL = "bench--red-db-TCP-5432"
CLUSTER_UUID = "ako.vmware.com/controller-cluster-uuid"
UUID_MAP = "ako.vmware.com/host-fqdn-vs-uuid-map"
TENANT = "ako.vmware.com/tenant-name"
SLICE = {"owner": "db", "ports": [{"name": "tcp-5432", "port": 6432, "protocol": "TCP"}]}
DUAL = '[{"networkName":"net1","cidr":"10.10.0.0/16","v6cidr":"2001:db8:10::/64"}]'


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    with site(redis_url) as made:
        made.run()
        yield made


def standing(here: Site) -> set[str]:
    """What of ours is on the controller: type and name."""
    found = set()
    for type_ in MADE_TYPES:
        for page in here.avi.pages(type_, tenant="*"):
            found |= {f"{type_}/{obj['name']}" for obj in page.objects if obj["name"].startswith("bench--")}
    return found


def told(here: Site, reason: str) -> list[str]:
    return [event for event in here.kube.events if f" {reason}: " in event]


def follow(here: Site, service: dict[str, Any]) -> dict[str, Any]:
    """The Service with all that was patched into it since it was applied; it is applied as the watch would."""
    base = f"/api/v1/namespaces/{service['metadata']['namespace']}/services/{service['metadata']['name']}"
    while here.kube.patches:
        for path, body in here.kube.patches:
            assert path in (base, f"{base}/status")
            changed = body.get("metadata", {}).get("annotations", {})
            kept = {**service["metadata"].get("annotations", {}), **changed}
            kept = {name: text for name, text in kept.items() if text is not None}
            service = {**service, "metadata": {**service["metadata"], "annotations": kept}}
            if "status" in body:
                service = {**service, "status": body["status"]}
        here.kube.patches.clear()
        here.apply(service)
        here.run()
    return service


def entries(service: dict[str, Any]) -> list[dict[str, str]]:
    return service["status"]["loadBalancer"]["ingress"] or []


def test_a_service_comes_changes_and_goes(here: Site) -> None:
    """It gets its objects and its status; an endpoint costs one PUT of its pool; when it goes nothing of it is left."""
    service = load_balancer()
    here.apply(service, endpoint_slice(["10.244.1.5"], **SLICE))
    here.run()
    assert standing(here) == {f"vsvip/{NAME}", f"pool/{POOL}", f"l4policyset/{NAME}", f"virtualservice/{NAME}"}
    served = follow(here, service)
    vsvip, found = here.find("vsvip", NAME), here.find("virtualservice", NAME)
    assert vsvip is not None
    assert found is not None
    assert entries(served) == [{"ip": vsvip["vip"][0]["ip_address"]["addr"], "hostname": "db.red.avi.internal"}]
    annotations = served["metadata"]["annotations"]
    assert json.loads(annotations[UUID_MAP]) == {"db.red.avi.internal": found["uuid"]}
    assert (annotations[TENANT], annotations[CLUSTER_UUID][:8]) == ("admin", "cluster-")
    assert told(here, "Synced") == [f"Service/red/db Normal Synced: Added virtualservice {NAME} for db"]

    here.simulator.audit.clear()
    here.apply(endpoint_slice(["10.244.1.5", "10.244.2.5"], **SLICE))
    here.settle()
    assert [(method, path.rpartition("/")[0]) for method, path in here.writes()] == [("PUT", "/api/pool")]

    here.delete("Service", "red/db")
    here.settle()
    assert standing(here) == set()
    assert here.state.hash("served") == {}


@pytest.mark.parametrize(
    "changes",
    [{"type": "ClusterIP"}, {"loadBalancerClass": "example.com/other"}],
    ids=["another type", "another class"],
)
def test_a_service_that_is_no_longer_ours_is_cleaned(here: Site, changes: dict[str, Any]) -> None:
    """Its objects go, and so do its status and our annotations; with another class nothing of that one's is touched."""
    service = load_balancer()
    here.apply(service)
    here.run()
    served = follow(here, service)
    assert entries(served)
    served["spec"] = {**served["spec"], **changes}
    here.apply(served)
    here.settle()
    assert standing(here) == set()
    left = follow(here, served)
    assert left["metadata"]["annotations"] == {}
    assert entries(left) == []
    assert told(here, "Removed") == ["Service/red/db Normal Removed: Removed virtualservice for db"]
    left["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}  # by its own controller
    here.apply(left)
    here.settle()
    assert here.kube.patches == []


def test_a_census_after_a_lost_redis_finds_everything_again(here: Site) -> None:
    """With an empty ledger the objects of Services are met under their keys, and nothing is written."""
    shared = {"ako.vmware.com/enable-shared-vip": "k"}
    custom = {"external-dns.alpha.kubernetes.io/hostname": "pg.example.com"}
    here.apply(
        load_balancer("db", annotations=custom),
        load_balancer("a", annotations=shared),
        load_balancer("b", ports=[("UDP", 53)], annotations=shared),
    )
    here.settle()
    before = here.state.hash("owner")
    assert set(before.values()) == {"lb:red/db", "lbshared:red/k"}
    for key in here.state.client.scan_iter(here.state.key("ledger:*")):
        here.state.client.delete(key)
    here.state.client.delete(*map(here.state.key, ("owner", "stands", "tombs")))
    here.simulator.audit.clear()
    here.mark(["resync"])
    here.settle()
    assert here.writes() == []
    assert here.state.hash("owner") == before


def test_what_was_left_of_a_service_that_is_gone_goes(here: Site) -> None:
    """A vsvip that a crash and a lost Redis left behind is told by its name and FQDN, and deleted."""
    here.apply(load_balancer())
    here.settle()
    here.delete("Service", "red/db")
    vsvip = here.find("vsvip", NAME)
    assert vsvip is not None
    here.settle()
    kept = {name: vsvip[name] for name in ("name", "markers", "dns_info", "cloud_ref", "vrf_context_ref", "tenant_ref")}
    here.avi.create("vsvip", {**kept, "vip": [{"vip_id": "0"}]})
    here.mark(["resync"])
    here.settle()
    assert standing(here) == set()


def test_an_existing_dual_vip_is_held_while_the_gate_is_off(redis_url: str) -> None:
    """Turned off, the gate takes no address away: the VIP stays, its Service is told, and the pool still follows."""
    gate = {"AKO_GATE_IPV6_LOAD_BALANCER": "true", "VIP_NETWORK_LIST": DUAL}
    service = load_balancer(families=["IPv6", "IPv4"], ipFamilyPolicy="PreferDualStack")
    with site(redis_url, **gate) as made:
        made.run()
        made.apply(service, endpoint_slice(["10.244.1.5"], **SLICE))
        made.settle()
        rows = entries(follow(made, service))
        assert [":" in row["ip"] for row in rows] == [True, False]
        here = made.changed(VIP_NETWORK_LIST=DUAL)
        here.simulator.audit.clear()
        here.settle()
        assert here.writes() == []
        assert "Service/red/db Warning VipHeld" in told(here, "VipHeld")[0]
        here.apply(endpoint_slice(["10.244.2.5"], **SLICE))
        here.settle()
        assert [path.rpartition("/")[0] for _, path in here.writes()] == ["/api/pool"]
        here.close()


def test_a_changed_preferred_address_is_refused_without_a_call(here: Site) -> None:
    """The VIP stays where it is, and the Service is told to be created anew; then it gets the address."""
    here.apply(load_balancer(loadBalancerIP="10.10.77.7"))
    here.settle()
    here.simulator.audit.clear()
    here.apply(load_balancer(loadBalancerIP="10.10.77.8"))
    here.settle()
    assert here.writes() == []
    (said,) = told(here, "AddressNotChanged")
    assert "10.10.77.7 and not at 10.10.77.8" in said
    here.delete("Service", "red/db")
    here.settle()
    here.apply(load_balancer(loadBalancerIP="10.10.77.8"))
    here.settle()
    vsvip = here.find("vsvip", NAME)
    assert vsvip is not None
    assert vsvip["vip"][0]["ip_address"]["addr"] == "10.10.77.8"


def test_an_address_in_use_is_told_to_the_service(here: Site) -> None:
    """What the controller refuses becomes an Event on the Service; nothing half-made is left."""
    here.apply(load_balancer("one", loadBalancerIP="10.10.77.7"), load_balancer("two", loadBalancerIP="10.10.77.7"))
    here.settle()
    refused = [event for event in told(here, "NotApplied") if "already in use" in event]
    assert len(refused) == 1
    assert refused[0].startswith(("Service/red/one ", "Service/red/two "))


def test_a_claimed_name_is_given_up_and_taken_back_as_others_come_and_go(here: Site) -> None:
    """An Ingress that names the host takes the name from a Service, which gets it back when the Ingress goes."""
    name = cluster.host(1)
    here.apply(load_balancer(annotations={"external-dns.alpha.kubernetes.io/hostname": name}))
    here.settle()

    def names() -> list[str]:
        vsvip = here.find("vsvip", NAME)
        assert vsvip is not None
        return [row["fqdn"] for row in vsvip.get("dns_info", [])]

    assert names() == [name]
    here.apply(*cluster.objects_of(1))
    here.settle()
    assert names() == []
    assert f"{name} belongs to Ingress bench/i00001" in told(here, "NameTaken")[0]
    here.delete("Ingress", "bench/i00001")
    here.settle()
    assert names() == [name]


@pytest.mark.parametrize(("holder", "name"), [
    ("Ingress", cluster.host(1)), ("Service", "other.bench.avi.internal"), ("claimant", "c.example.com"),
])  # fmt: skip
def test_a_name_is_free_while_the_namespace_of_its_holder_is_not_served(redis_url: str, holder: str, name: str) -> None:
    """A Service has the name for as long as the Ingress or Service of another namespace that holds it is not ours."""
    claim = {"external-dns.alpha.kubernetes.io/hostname": name}
    holders = {
        "Ingress": cluster.objects_of(1),
        "Service": [load_balancer("other", namespace=cluster.NAMESPACE)],
        "claimant": [load_balancer("other", namespace=cluster.NAMESPACE, annotations=claim)],
    }
    late = load_balancer(created="2026-01-02T00:00:00Z", annotations=claim)
    with site(redis_url, NAMESPACE_SYNC_LABEL_KEY="serve", NAMESPACE_SYNC_LABEL_VALUE="yes") as here:

        def served(namespace: str, answer: str) -> None:
            meta = {"name": namespace, "labels": {"serve": answer}}
            here.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
            here.settle()

        served("red", "yes")
        here.apply(late, *holders[holder])
        for answer, names in (("yes", []), ("no", [name]), ("yes", [])):
            served(cluster.NAMESPACE, answer)
            vsvip = here.find("vsvip", NAME)
            assert vsvip is not None
            assert [row["fqdn"] for row in vsvip.get("dns_info", [])] == names, answer


def test_a_name_is_free_while_the_class_of_its_holder_is_another_controllers(here: Site) -> None:
    """A Service gets the name of an Ingress whose IngressClass is given to somebody else."""
    holder = cluster.objects_of(1)
    here.apply(load_balancer(annotations={"external-dns.alpha.kubernetes.io/hostname": cluster.host(1)}), *holder)
    here.settle()
    (ours,) = (each for each in cluster.base() if each["kind"] == "IngressClass")
    for controller, names in (("example.com/other", [cluster.host(1)]), (ours["spec"]["controller"], [])):
        here.apply({**ours, "spec": {"controller": controller}})
        here.settle()
        vsvip = here.find("vsvip", NAME)
        assert vsvip is not None
        assert [row["fqdn"] for row in vsvip.get("dns_info", [])] == names


def test_services_share_a_vip_and_leave_it(here: Site) -> None:
    """Members come and go on one virtual service; each has a status; the last one takes everything with it."""
    shared = {"ako.vmware.com/enable-shared-vip": "k"}
    one = load_balancer("one", annotations=shared)
    two = load_balancer("two", ports=[("UDP", 53)], created="2026-01-02T00:00:00Z", annotations=shared)
    here.apply(one, two)
    here.settle()
    assert {each for each in standing(here) if each.startswith("virtualservice/")} == {"virtualservice/bench--red-k"}
    patched = {path for path, body in here.kube.patches if "status" in body}
    assert patched == {f"/api/v1/namespaces/red/services/{name}/status" for name in ("one", "two")}
    here.kube.patches.clear()
    here.apply({**two, "metadata": {**two["metadata"], "annotations": {}}})
    here.settle()
    assert {each for each in standing(here) if each.startswith("virtualservice/")} == {
        "virtualservice/bench--red-k",
        "virtualservice/bench--red-two",
    }
    here.delete("Service", "red/one", "red/two")
    here.settle()
    assert standing(here) == set()


@pytest.mark.parametrize("first", ["status:Service/red/two", "lbshared:red/k"])
def test_a_service_that_comes_to_be_refused_loses_its_status(here: Site, first: str) -> None:
    """Whether its status runs before or after the key that refuses it, which nobody has run before."""
    one, two = load_balancer("one"), load_balancer("two", created="2026-01-02T00:00:00Z")
    for number, service in enumerate((one, two)):
        here.apply(service)
        here.run()
        one, two = (follow(here, service), two) if not number else (one, follow(here, service))
    assert entries(two)
    for service in (one, two):
        service["metadata"]["annotations"]["ako.vmware.com/enable-shared-vip"] = "k"
        here.apply(service)
    here.worker.reconciler.run([first])
    here.settle()
    here.kube.patches = [(path, body) for path, body in here.kube.patches if "/two" in path]
    assert entries(follow(here, two)) == []
    assert "Service/red/two Warning SharedVipPortTaken" in told(here, "SharedVipPortTaken")[0]


def test_in_node_port_mode_a_node_that_comes_is_a_server(redis_url: str) -> None:
    """A change of the nodes reaches the pools of Services, as it does those of hosts."""
    service = load_balancer()
    service["spec"]["ports"][0]["nodePort"] = 30432
    with site(redis_url, SERVICE_TYPE="NodePort") as here:
        here.run()
        here.apply(service)
        here.settle()
        new = copy.deepcopy(cluster.base()[2])
        new["metadata"]["name"] = "late"
        new["status"]["addresses"][0]["address"] = "10.50.0.77"
        here.apply(new)
        here.settle()
        pool = here.find("pool", POOL)
        assert pool is not None
        assert {f"{each['ip']['addr']}:{each['port']}" for each in pool["servers"]} == {
            "10.50.0.11:30432",
            "10.50.0.12:30432",
            "10.50.0.77:30432",
        }


@pytest.mark.parametrize("first", ["lb:red/one", "lbshared:red/k"])
def test_an_address_moves_with_its_service_to_a_shared_vip(here: Site, first: str) -> None:
    """The key that comes too early for the address tries again within seconds and not after minutes."""
    one = load_balancer("one", loadBalancerIP="10.10.77.7")
    here.apply(one)
    here.settle()
    here.apply({**one, "metadata": {**one["metadata"], "annotations": {"ako.vmware.com/enable-shared-vip": "k"}}})
    here.worker.reconciler.run([first])
    here.run()
    due = here.state.client.zscore(here.state.key("later"), "lbshared:red/k")
    seconds, _ = here.state.client.time()
    assert due is None or due / 1e6 - seconds < 5
    here.settle()
    assert here.find("vsvip", "bench--red-one") is None
    vsvip = here.find("vsvip", "bench--red-k")
    assert vsvip is not None
    assert vsvip["vip"][0]["ip_address"]["addr"] == "10.10.77.7"


def some_service(draw: random.Random, number: int) -> dict[str, Any]:
    """A Service of any sort: own or shared VIP, any protocols, one family or two, a claimed name."""
    annotations = {}
    if number % 4 == 0:
        annotations["ako.vmware.com/enable-shared-vip"] = f"vip{number % 5}"
    elif draw.random() < 0.3:
        annotations["external-dns.alpha.kubernetes.io/hostname"] = f"s{number}.example.com,common.example.com"
    families = draw.choice((["IPv4"], ["IPv6"], ["IPv4", "IPv6"], ["IPv6", "IPv4"]))
    policies = ("PreferDualStack", "RequireDualStack") if len(families) == 2 else ("SingleStack",)
    return load_balancer(
        f"s{number}",
        ports=[(draw.choice(("TCP", "UDP", "SCTP")), 80 + number), ("TCP", 443 + draw.randrange(4))],
        families=families,
        ipFamilyPolicy=draw.choice(policies),
        created=f"2026-01-01T00:{number % 60:02}:00Z",
        annotations=annotations,
        loadBalancerClass=draw.choice((None, None, None, "example.com/other")),
        loadBalancerSourceRanges=draw.choice(([], ["192.0.2.0/24", "2001:db8::/32"])),
        sessionAffinity=draw.choice(("None", "ClientIP")),
    )


def test_two_hundred_services_of_all_sorts_come_change_and_go(redis_url: str) -> None:
    """In the end stands what the model wants for the last state, to the last field; when all go, nothing is left."""
    draw = random.Random(7)
    with site(redis_url, VIP_NETWORK_LIST=DUAL, AKO_GATE_IPV6_LOAD_BALANCER="true") as here:
        here.run()
        services = {number: some_service(draw, number) for number in range(200)}
        here.apply(*services.values())
        here.run()
        for number in draw.sample(range(200), 80):
            if draw.random() < 0.4:
                here.delete("Service", f"red/{services.pop(number)['metadata']['name']}")
            else:
                services[number] = some_service(draw, number)
                here.apply(services[number])
        here.settle()
        world = World(here.settings, read_facts(here.state)).apply(*services.values())
        wanted = {f"{each.type}/{each.name}": each for each in world.everything()[0]}
        assert standing(here) == set(wanted)
        assert len(wanted) > 400
        for each in wanted.values():
            read = here.find(each.type, each.name)
            assert read is not None
            assert owned.differs(each.type, each.body, owned.extract(each.type, read)) == [], each.id
        here.simulator.audit.clear()
        here.mark(["resync"])
        here.settle()
        assert here.writes() == []
        here.delete("Service", *(f"red/s{number}" for number in services))
        here.settle()
        assert standing(here) == set()
