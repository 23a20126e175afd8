"""What is counted, and what the figures of the site say: over a real Redis and a real HTTP controller."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench import world
from shared import telemetry
from shared.errors import KubeForbidden
from shared.exposition import render
from shared.state import State, keys
from shared.state.figures import MOST, MOST_TOLD, Figures, note_left_out, read_figures
from shared.telemetry import REGISTRY
from tests.workers.model.world import endpoint_slice, ingress, service
from tests.workers.site import Site, site
from tests.workers.test_vip_changes import vips
from workers.unserved import NO_SERVERS


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    with site(redis_url) as made:
        made.settle()
        yield made


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def figures(state: State) -> Figures:
    """As they are now, not as they were a moment ago."""
    state.client.delete(state.key("figures"))
    return read_figures(state)


def test_every_kind_of_key_is_in_the_table(here: Site) -> None:
    """The kinds that the figures always have a row for are those that a worker has handlers for."""
    assert set(keys.KINDS) == set(here.worker.reconciler.handlers)


def test_runs_are_told_apart_by_their_end(here: Site) -> None:
    """A run that the controller refused and one that is done count as such; the failing key is one until it is done."""
    here.simulator.faults.add(
        {"method": "POST", "path": "/api/pool", "status": 400, "body": {"error": "no"}, "count": 1}
    )
    refused, done = (value("ako_runs_total", kind="host", outcome=outcome) for outcome in ("refused", "done"))
    errors = value("ako_run_errors_total", error="AviRefused")
    here.apply(*world.objects_of(1))
    here.run()
    assert value("ako_runs_total", kind="host", outcome="refused") == refused + 1
    assert value("ako_run_errors_total", error="AviRefused") == errors + 1
    found = figures(here.state)
    assert found.failing == {"host": 1}
    assert found.problems["NotApplied"] >= 1
    here.settle()
    assert value("ako_runs_total", kind="host", outcome="done") > done
    found = figures(here.state)
    assert (found.failing, found.due, found.problems) == ({}, {}, {})


def test_a_lost_claim_and_a_held_key_are_no_success(here: Site) -> None:
    """A run whose claim is gone counts as lost, one that a census holds as held; neither as done."""
    before = {end: value("ako_runs_total", kind="segroup", outcome=end) for end in ("done", "held", "lost")}
    key = keys.segroup_key("Default-Group")
    work = here.worker.reconciler.work
    work.mark([key], "change", "test")
    claim = work.claim([key])
    assert claim is not None
    here.state.client.hdel(here.state.key("claim"), key)
    here.state.client.zrem(here.state.key("claims"), key)
    here.worker.reconciler.one(claim)
    here.state.client.hset(here.state.key("held"), key, "a reason")
    here.state.client.hset(here.state.key("held"), "host:just-found", "")
    work.mark([key], "change", "test")
    here.run()
    after = {end: value("ako_runs_total", kind="segroup", outcome=end) for end in before}
    assert after == {"done": before["done"], "held": before["held"] + 1, "lost": before["lost"] + 1}
    assert figures(here.state).held == 1  # what a census that is under way has just found is not held yet


def test_a_defect_is_counted_and_stops_nobody(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw is counted once for each run that meets it."""

    def broken(_: object) -> None:
        raise ZeroDivisionError

    before = value("ako_defects_total", where="run")
    monkeypatch.setitem(here.worker.reconciler.handlers, "segroup", broken)  # type: ignore[arg-type]
    here.mark([keys.segroup_key("Default-Group")])
    here.run()
    assert value("ako_defects_total", where="run") == before + 1


def test_drift_is_found_by_a_census_and_its_repair_counted(here: Site) -> None:
    """A pool edited on the controller is one drifted key at the next census, and one write that a census asked for."""
    here.apply(*world.objects_of(1))
    here.settle()
    labels = {"operation": "update", "type": "pool", "cause": "census"}
    repaired = value("ako_operations_total", **labels)
    census(here)
    assert figures(here.state).census["drifted"] == 0
    name = f"bench--{world.host(1)}_-bench-i00001"
    pool = here.find("pool", name)
    assert pool is not None
    here.avi.update("pool", pool["uuid"], {**pool, "servers": []})
    here.avi.create("pool", {"name": "bench--odd", "created_by": pool["created_by"], "markers": pool["markers"][:1]})
    census(here)
    found = figures(here.state)
    assert (found.census["drifted"], found.census["orphans"]) == (1, 1)
    assert value("ako_operations_total", **labels) == repaired + 1
    page = sampled(here)
    assert page["ako_census_orphans"] == 1
    assert abs(page["ako_census_last_success_timestamp_seconds"] - time.time()) < 60
    assert 0 < page["ako_census_duration_seconds"] < 60
    assert page["ako_census_interval_seconds"] == here.settings.pipeline.resync_interval
    assert page["ako_census_drifted_keys"] == 1
    here.avi.update("pool", pool["uuid"], {**(here.find("pool", name) or {}), "servers": []})
    here.state.client.hset(here.state.key("meta"), "ledger_complete", "0")  # as at the first census of an epoch
    census(here)
    assert figures(here.state).census["drifted"] == 1
    assert sampled(here)["ako_census_drifted_keys"] == 0


def census(here: Site) -> None:
    here.mark([keys.RESYNC])
    here.settle()


def sampled(here: Site) -> dict[str, float]:
    """The figures of the site as they are exposed, without their labels."""
    text = render("worker", here.worker.keeper.status(), figures(here.state), redis=True).decode()
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


def test_routes_left_out_are_counted_until_they_are_routed(here: Site) -> None:
    """A node without address and one with a network of another are counted by reason, until they are mended."""
    cidrs = {"podCIDRs": ["10.244.77.0/24"]}
    bare = {"kind": "Node", "metadata": {"name": "bare"}, "spec": cidrs, "status": {"addresses": []}}
    good = {**bare, "status": {"addresses": [{"type": "InternalIP", "address": "10.50.0.77"}]}}
    here.apply(bare)
    here.settle()
    assert figures(here.state).left_out == {"NoNodeAddress": "1"}
    labels = {"operation": "update", "type": "vrfcontext", "cause": "change"}
    written = value("ako_operations_total", **labels)
    here.apply(good, {**good, "metadata": {"name": "zzz"}})
    here.settle()
    assert figures(here.state).left_out == {"PodNetworkTaken": "1"}
    assert value("ako_operations_total", **labels) == written + 1
    here.delete("Node", "zzz")
    here.settle()
    assert figures(here.state).left_out == {}


def test_routes_that_are_switched_off_leave_nothing_out(redis_url: str) -> None:
    """When the settings have no static routes any more, the next census forgets what was left out before."""
    with site(redis_url, DISABLE_STATIC_ROUTE_SYNC="true") as here:
        note_left_out(here.state, {"NoNodeAddress": 3})
        here.settle()
        assert figures(here.state).left_out == {}


def test_the_age_of_due_keys_is_that_of_the_oldest(here: Site) -> None:
    """A key is due since it was marked or its time came, also a status and a census, which have another order."""
    client, now = here.state.client, here.worker.reconciler.work._seconds()
    marks = {"host:a": now - 5, "host:b": now - 50, "status:Ingress/red/web": now - 7 + 2, "resync": now - 9 - 1e9}
    client.zadd(here.state.key("ready:0"), {key: at * 1e6 for key, at in marks.items()})
    client.zadd(here.state.key("later"), {"shard:admin/x": (now - 3) * 1e6, "shard:admin/y": (now + 30) * 1e6})
    found = figures(here.state)
    assert found.due == {"host": 2, "status": 1, "resync": 1, "shard": 1}
    assert found.later["shard"] == 1
    ages = {kind: round(age) for kind, age in found.oldest.items()}
    assert ages == {"host": 50, "status": 7, "resync": 9, "shard": 3}


def test_vips_without_servers_are_counted_by_family(redis_url: str) -> None:
    """Both families of a host without endpoints count, once although two Ingresses name it, until there is a server."""
    with site(redis_url, **vips("dual")) as here:
        here.apply(service(), ingress(), ingress("second", paths=["/second"]))
        here.settle()
        found = figures(here.state)
        assert found.problems[NO_SERVERS] == 4
        assert found.unserved == sampled(here)["ako_vip_families_without_servers"] == 2
        here.apply(endpoint_slice(["10.244.1.5"]))
        here.settle()
        assert figures(here.state).unserved == 0


def test_the_figures_are_bounded(redis_url: str) -> None:
    """Of more keys than are looked at the rest is counted as unread, and who asks again soon costs nothing."""
    state = State(redis_url, "c1")
    with state.client.pipeline(transaction=False) as pipe:
        many = {f"host:h{number}": number + 1.0 for number in range(MOST + 5)}
        pipe.zadd(state.key("ready:1"), many)
        told = dict.fromkeys(list(many)[: MOST_TOLD * 3], '[["Ingress","red","web","NoServers","no",true]]')
        pipe.hset(state.key("problems"), mapping=told)
        pipe.execute()
    found = read_figures(state)
    assert found.due == {"host": MOST, "unread": 5}
    assert sum(found.problems.values()) == MOST_TOLD * 3
    assert MOST_TOLD <= found.unserved == found.problems[NO_SERVERS] < MOST_TOLD * 2
    state.client.delete(state.key("ready:1"))
    assert read_figures(state) == found
    state.close()


def test_what_redis_holds_of_an_older_release_is_no_error(redis_url: str) -> None:
    """Digests of problems, as an earlier release kept them, and an empty Redis give figures all the same."""
    state = State(redis_url, "c1")
    assert read_figures(state).census == {}
    state.client.hset(state.key("problems"), "host:a", "0123456789ab ba9876543210")
    state.client.hset(state.key("problems"), "host:b", "17")
    assert figures(state).problems == {}
    state.close()


@pytest.mark.parametrize(
    ("target", "resource"),
    [
        ("/api/v1/namespaces/red/services/web/status", "services"),
        ("/apis/networking.k8s.io/v1/namespaces/red/ingresses/web?x=/api/v1/pods", "ingresses"),
        ("/apis/networking.k8s.io/v1/ingresses?limit=500", "ingresses"),
        ("/api/v1/namespaces/red", "namespaces"),
        ("/apis", "discovery"),
        ("/version", "discovery"),
    ],
)
def test_calls_to_kubernetes_are_told_apart_by_resource(target: str, resource: str) -> None:
    """The label is the resource of the path, never a name; a refusal counts with its status, and is raised."""
    labels = {"method": "GET", "resource": resource}
    good, bad = (
        value("ako_kube_calls_total", status="2xx", **labels),
        value("ako_kube_calls_total", status="403", **labels),
    )
    with telemetry.kube_call("GET", target):
        pass
    with pytest.raises(KubeForbidden), telemetry.kube_call("GET", target):
        raise KubeForbidden("no", status=403)
    assert value("ako_kube_calls_total", status="2xx", **labels) == good + 1
    assert value("ako_kube_calls_total", status="403", **labels) == bad + 1


def test_statuses_are_few() -> None:
    """Whatever a controller or a proxy answers, the label has one of a few values."""
    seen = {telemetry._status(status) for status in range(1000)}
    assert {"200", "412", "503", "none", "2xx", "5xx"} <= seen
    assert len(seen) < 30


def test_a_standby_watcher_exposes_no_kinds() -> None:
    """What a watcher knew of its kinds while it led is not exposed once it doesn't, so that no alert rests on it."""
    kind = {"age": 4.0, "failing": 9.5, "held": 2}
    report = {"alive": True, "ready": True, "digest": "", "kinds": {"Ingress": kind}}
    shown = render("watcher", {**report, "leading": True}, None, redis=True).decode()
    assert 'ako_watch_failing_seconds{kind="Ingress"} 9.5' in shown
    assert 'ako_watch_held_deletions{kind="Ingress"} 2.0' in shown
    assert "ako_redis_up 0.0" in shown
    standby = render("watcher", {**report, "leading": False}, None, redis=False).decode()
    assert "ako_leading 0.0" in standby
    assert "ako_watch_failing_seconds{" not in standby
    assert "\nako_redis_up" not in standby
    assert "ako_settings_info{" not in standby
