"""Runs of keys against a controller: what a run learns from it, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from bench import world as cluster
from shared.errors import AviNotFound, SettingsError
from shared.projection import fnv1a32
from shared.state import Claim
from shared.state.work import MILLION
from tests.support import wait_for
from tests.workers.site import Site, site
from workers.model.types import Problem
from workers.outcome import Result
from workers.status import Reporter

TLS, PLAIN = cluster.host(0), cluster.host(1)
TLS_POOL = f"bench--bench-{TLS}_-i00000"
PLAIN_POOL = f"bench--{PLAIN}_-bench-i00001"
CHILD = f"bench--{TLS}"


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    with site(redis_url) as made:
        made.run()
        yield made


def servers(here: Site, pool: str) -> set[str]:
    found = here.find("pool", pool)
    assert found is not None
    return {server["ip"]["addr"] for server in found.get("servers", [])}


def test_a_host_comes_and_goes(here: Site) -> None:
    """A TLS host and a plain one are built, listed by their parents, and gone again when their Ingresses go."""
    here.apply(*cluster.objects_of(0), *cluster.objects_of(1))
    here.run()
    child = here.find("virtualservice", CHILD)
    assert child is not None
    assert child["vh_domain_name"] == [TLS]
    parent = child["vh_parent_vs_ref"].partition("#")[2]
    redirect = here.find("httppolicyset", parent)
    assert redirect is not None
    assert redirect["http_request_policy"]["rules"][0]["match"]["host_hdr"]["value"] == [TLS]
    groups = [g for g in here.avi.pages("poolgroup").__next__().objects if "Shared-L7" in g["name"]]
    members = [m["pool_ref"].partition("#")[2] for group in groups for m in group.get("members", [])]
    assert members == [PLAIN_POOL]

    here.delete("Ingress", "bench/i00000", "bench/i00001")
    here.run()
    for type_ in ("virtualservice", "pool", "poolgroup", "httppolicyset", "vsdatascriptset", "sslkeyandcertificate"):
        assert [o for page in here.avi.pages(type_, created_by="ako-bench") for o in page.objects] == []
    assert here.state.hash("rows") == {}


def test_an_edit_behind_our_back_is_repaired_and_foreign_fields_stay(here: Site) -> None:
    """A census sees a changed owned field and puts it right; a field of the user's own travels through unchanged."""
    here.apply(*cluster.objects_of(0))
    here.run()
    pool = here.avi.find("pool", TLS_POOL)
    assert pool is not None
    edited = {**pool, "servers": pool["servers"][:1], "description": "mine"}
    here.avi.update("pool", pool["uuid"], edited)
    here.worker.reconciler.work.mark(["resync"], "change", "test")
    here.run()
    assert servers(here, TLS_POOL) == set(cluster.addresses(0))
    again = here.find("pool", TLS_POOL)
    assert again is not None
    assert again["description"] == "mine"


def test_an_object_deleted_behind_our_back_is_built_again(here: Site) -> None:
    """A change meets an object that somebody deleted: it is built again, in the same run."""
    here.apply(*cluster.objects_of(1))
    here.run()
    group = next(g for page in here.avi.pages("poolgroup") for g in page.objects if "Shared-L7" in g["name"])
    here.avi.update("poolgroup", group["uuid"], {**group, "members": []})
    pool = here.avi.find("pool", PLAIN_POOL)
    assert pool is not None
    here.avi.delete("pool", pool["uuid"])
    here.apply(cluster.endpoint_slice(1, change=2))
    here.run()
    assert servers(here, PLAIN_POOL) == set(cluster.addresses(1, 2))
    assert here.failures(f"host:{PLAIN}") == 0


def test_a_foreign_object_with_our_name_is_left_alone(here: Site) -> None:
    """A name that somebody else holds is refused with an Event, and that object is never touched."""
    foreign = here.avi.create("pool", {"name": PLAIN_POOL, "created_by": "somebody"})
    here.simulator.audit.clear()
    here.apply(*cluster.objects_of(1))
    here.run()
    found = here.avi.get("pool", foreign["uuid"])
    assert found["_last_modified"] == foreign["_last_modified"]
    assert here.failures(f"host:{PLAIN}") == 1
    assert any("NotApplied" in event and "i00001" in event for event in here.kube.events)


def test_a_refused_object_does_not_hold_up_the_others(here: Site) -> None:
    """The controller refuses the certificate: the child waits for it, the pools of the host are built all the same."""
    here.simulator.faults.add(
        {"method": "POST", "path": "/api/sslkeyandcertificate", "status": 400, "body": {"error": "no"}, "count": 1}
    )
    here.apply(*cluster.objects_of(0))
    here.run()
    assert here.find("pool", TLS_POOL) is not None
    assert here.find("virtualservice", CHILD) is None
    assert any("NotApplied" in event for event in here.kube.events)
    here.bring_forward()
    here.run()
    assert here.find("virtualservice", CHILD) is not None


def test_a_lost_answer_is_looked_up_before_anything_else(here: Site) -> None:
    """A POST whose answer is lost leaves an open intent; the next run finds the object and makes no second one."""
    here.simulator.faults.add({"method": "POST", "path": "/api/pool/?(\\?|$)", "reset": "after", "count": 1})
    here.apply(*cluster.objects_of(1))
    here.run()
    entry = here.worker.reconciler.work.state.hash(f"ledger:host:{PLAIN}")
    assert '"intent":"create"' in entry[f"pool/admin/{PLAIN_POOL}"]
    here.bring_forward()
    here.run()
    assert servers(here, PLAIN_POOL) == set(cluster.addresses(1))
    assert [
        c["status"] for c in here.calls("POST", "pool") if c["name"] == PLAIN_POOL and "poolgroup" not in c["path"]
    ] == [0]


def test_a_wanted_object_whose_post_got_lost_is_made_at_once(here: Site) -> None:
    """The POST never arrived: the next run makes the object, although the first one may still come."""
    here.simulator.faults.add({"method": "POST", "path": "/api/pool/?(\\?|$)", "reset": "before", "count": 1})
    here.apply(*cluster.objects_of(1))
    here.run()
    assert here.find("pool", PLAIN_POOL) is None
    here.bring_forward()
    here.run()
    assert servers(here, PLAIN_POOL) == set(cluster.addresses(1))
    assert '"intent":""' in here.state.hash(f"ledger:host:{PLAIN}")[f"pool/admin/{PLAIN_POOL}"]


def test_an_unwanted_object_whose_post_got_lost_is_looked_at_again(here: Site) -> None:
    """The Ingress goes while its pool's POST is unanswered: absence is not believed before 60 s after the intent."""
    here.simulator.faults.add({"method": "POST", "path": "/api/pool/?(\\?|$)", "reset": "before", "count": 1})
    here.apply(*cluster.objects_of(1))
    here.run()
    here.delete("Ingress", "bench/i00001")
    here.bring_forward()
    here.run()
    entries = here.state.hash(f"ledger:host:{PLAIN}")
    assert '"intent":"create"' in entries[f"pool/admin/{PLAIN_POOL}"]
    due = here.state.client.zscore(here.state.key("later"), f"host:{PLAIN}")
    seconds, _ = here.state.client.time()
    assert 40 < due / 1_000_000 - seconds <= 61


def test_concurrent_writers_of_the_routes_keep_each_others(here: Site) -> None:
    """A PUT of the VRF that comes too late is made again on what stands there, and foreign routes stay."""
    vrf = here.avi.find("vrfcontext", "global")
    assert vrf is not None
    ours = [r for r in vrf["static_routes"] if r.get("labels") == [{"key": "clustername", "value": "bench"}]]
    assert len(ours) == 2
    foreign = {
        "route_id": "7",
        "prefix": {"ip_addr": {"addr": "192.0.2.0", "type": "V4"}, "mask": 24},
        "next_hop": {"addr": "10.50.0.99", "type": "V4"},
    }
    here.avi.update("vrfcontext", vrf["uuid"], {**vrf, "static_routes": [foreign, *vrf["static_routes"]]})
    here.simulator.faults.add(
        {"method": "PUT", "path": "/api/vrfcontext", "status": 412, "body": {"error": "Need to reload object data"}}
    )
    node = {**cluster.base()[2], "metadata": {"name": "node3"}, "spec": {"podCIDRs": ["10.244.3.0/24"]}}
    node["status"] = {"addresses": [{"type": "InternalIP", "address": "10.50.0.13"}]}
    here.apply(node)
    here.run()
    after = here.avi.find("vrfcontext", "global")
    assert after is not None
    assert after["static_routes"][0] == foreign
    assert len(after["static_routes"]) == 4
    assert [call["status"] for call in here.calls("PUT", "vrfcontext")][-2:] == [412, 200]


def test_an_exhausted_network_is_said_and_tried_again(redis_url: str) -> None:
    """No free address: the vsvip is refused, its shard comes back after 90 s, and no host is deleted for it."""
    with site(redis_url, VIP_NETWORK_LIST='[{"networkName":"small-net","cidr":"10.30.0.0/29"}]') as here:
        here.run()
        here.apply(*(obj for number in range(8) for obj in cluster.objects_of(number)))
        here.run()
        vsvips = [o for page in here.avi.pages("vsvip") for o in page.objects]
        failed = [key for key in here.state.client.zrange(here.state.key("later"), 0, -1) if here.failures(key)]
        assert len(vsvips) == 2
        assert failed
        assert all(key.startswith("shard:") for key in failed)


def test_an_unknown_object_is_not_deleted_by_a_census(here: Site) -> None:
    """An object that carries our marks but that no key of this release owns is left alone."""
    body = {
        "name": "bench--odd-one",
        "created_by": "ako-bench",
        "markers": [{"key": "clustername", "values": ["bench"]}, {"key": "InfrasettingName", "values": ["gold"]}],
    }
    made = here.avi.create("pool", body)
    here.worker.reconciler.work.mark(["resync"], "change", "test")
    here.run()
    assert here.avi.get("pool", made["uuid"])["_last_modified"] == made["_last_modified"]
    with pytest.raises(AviNotFound):
        here.avi.get("pool", "pool-00000000-0000-0000-0000-000000000000")


def test_the_status_of_an_ingress_of_others_is_left_alone(here: Site) -> None:
    """An Ingress of another class keeps the status that its own controller wrote; one that was ours is cleared."""
    foreign = cluster.objects_of(1)[2]
    foreign["spec"]["ingressClassName"] = "nginx"
    foreign["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7", "hostname": PLAIN}]}}
    here.apply(foreign)
    here.run()
    assert here.kube.patches == []
    foreign["metadata"]["annotations"] = {"ako.vmware.com/host-fqdn-vs-uuid-map": "{}"}
    here.apply(foreign)
    here.run()
    path = "/apis/networking.k8s.io/v1/namespaces/bench/ingresses/i00001"
    assert [where for where, _ in here.kube.patches] == [f"{path}/status", path]


def test_enable_events_false_is_silent(here: Site) -> None:
    """With `enableEvents: false` a problem gives no Event; by default it does."""
    problem = Problem("Ingress", "bench", "i00000", "NoSecret", "The Secret is missing.")
    for wanted in (False, True):
        Reporter(here.state, here.kube, events=wanted).event(problem)  # type: ignore[arg-type]
        assert bool(here.kube.events) is wanted


def test_a_namespace_label_comes_and_goes(redis_url: str) -> None:
    """With namespaceSelector the Ingresses of a namespace are served while it bears the label."""
    selector = {"NAMESPACE_SYNC_LABEL_KEY": "avi", "NAMESPACE_SYNC_LABEL_VALUE": "on"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench", "labels": {"avi": "on"}}}
    with site(redis_url, **selector) as here:
        here.apply(*cluster.objects_of(0))
        here.run()
        assert here.find("virtualservice", CHILD) is None
        here.apply(namespace)
        here.run()
        assert here.find("virtualservice", CHILD) is not None
        here.run()
        (status,) = [body["status"] for where, body in here.kube.patches if where.endswith("/status")]
        assert status["loadBalancer"]["ingress"]
        here.apply({**namespace, "metadata": {"name": "bench", "labels": {"avi": "off"}}})
        here.run()
        assert here.find("virtualservice", CHILD) is None


def test_what_the_census_refuses_is_on_readyz(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that the support matrix refuses after the first contact make every worker unready and say why."""
    refused = SettingsError([("AKOSettings.ipFamily", "found 'V6' on a cloud of type CLOUD_AWS")])

    def census(_: Claim) -> Result:
        raise refused

    keeper = here.worker.keeper
    monkeypatch.setitem(here.worker.reconciler.handlers, "resync", census)  # type: ignore[arg-type]
    here.mark(["resync"])
    here.run()
    keeper.start()
    assert keeper.status()["reasons"] == [str(refused)]
    monkeypatch.undo()
    here.state.client.hdel(here.state.key("failures"), "resync")
    here.mark(["resync"])
    here.run()
    wait_for(lambda: keeper.status()["ready"], what="readiness")
    keeper.stop()


def test_a_shard_does_not_wait_long_for_a_host_that_went_before_it_ever_ran(redis_url: str) -> None:
    """It has seen the Ingress and waits for the pool; nobody ever makes that, and nobody can say so."""
    with site(redis_url) as made:
        made.apply(*cluster.objects_of(1))
        made.settle()
        (shard,) = orjson.loads(made.state.hash("rows")[cluster.host(1)])["shards"]
        number = next(n for n in range(3, 99, 2) if fnv1a32(cluster.host(n)) % 8 == fnv1a32(cluster.host(1)) % 8)
        made.apply(*cluster.objects_of(number))
        for ready in ("ready:0", "ready:1"):  # no worker has come to it yet
            made.state.client.zrem(made.state.key(ready), f"host:{cluster.host(number)}")
        made.state.client.delete(made.state.key("ended"))
        made.mark([shard])
        made.run()
        made.delete("Ingress", f"{cluster.NAMESPACE}/i{number:05d}")
        made.run()
        due = made.state.client.zscore(made.state.key("later"), shard)
        seconds, _ = made.state.client.time()
        assert due is not None
        assert due / MILLION - seconds < 5
        made.bring_forward()
        made.run()
        assert made.state.client.zscore(made.state.key("later"), shard) is None
