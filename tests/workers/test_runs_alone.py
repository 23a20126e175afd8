"""Runs after something was lost: poison keys are told of, lost PUTs are looked up, a doubt takes nothing away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import world as cluster
from shared.state import Ledger
from tests.support import wait_for
from tests.workers.site import Site, site
from workers.owned import TABLES

PLAIN = cluster.host(1)
KEY = f"host:{PLAIN}"
POOL = f"bench--{PLAIN}_-bench-i00001"
ID = f"pool/admin/{POOL}"


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    with site(redis_url) as made:
        made.apply(*cluster.objects_of(1))
        made.run()
        made.simulator.audit.clear()
        yield made


def test_a_poison_key_says_so_before_it_runs(here: Site) -> None:
    """A key that lost three leases: an Event on its Ingress before the run, once; afterwards all is forgotten."""
    here.state.client.hset(here.state.key("lost"), KEY, 3)
    here.apply(cluster.endpoint_slice(1, change=1))
    here.run()
    (event,) = [event for event in here.kube.events if "RunsAlone" in event]
    assert event.startswith("Ingress/bench/i00001 Warning")
    assert "3 times in a row" in event
    assert here.state.hash("lost") == {}
    here.apply(cluster.endpoint_slice(1, change=2))
    here.run()
    assert KEY not in here.state.hash("problems")


def test_a_put_of_a_dead_worker_is_looked_up(here: Site) -> None:
    """The worker dies while its PUT is under way, the change is taken back meanwhile, the PUT arrives: it is undone."""
    work, ledger = here.worker.reconciler.work, Ledger(here.state)
    work.mark([KEY], "change", "test")
    dead = work.claim([KEY])
    assert dead is not None
    ledger.step(dead, permit=(ID, ""))
    late = here.find("pool", POOL)
    assert late is not None
    here.avi.update("pool", late["uuid"], {**late, "servers": late["servers"][:1]})
    here.state.client.zadd(here.state.key("claims"), {KEY: 1})
    wait_for(work.tick, what="a tick of our own")
    assert ledger.view(KEY, []).own[ID].intent == "update"
    here.run()
    pool = here.find("pool", POOL)
    assert pool is not None
    assert {row["ip"]["addr"] for row in pool["servers"]} == set(cluster.addresses(1))
    assert ledger.view(KEY, []).own[ID].intent == ""


def test_a_put_that_may_still_arrive_is_looked_up_twice(here: Site) -> None:
    """Nothing has changed when the dead worker's PUT is looked up: it is looked up once more before it is believed."""
    work, ledger = here.worker.reconciler.work, Ledger(here.state)
    work.mark([KEY], "change", "test")
    dead = work.claim([KEY])
    assert dead is not None
    ledger.step(dead, permit=(ID, ""))
    work.release([dead])
    here.run()
    assert ledger.view(KEY, []).own[ID].intent == "update"
    due = float(here.state.client.zscore(here.state.key("later"), KEY) or 0)
    seconds, _ = here.state.client.time()
    assert 40 < due / 1_000_000 - seconds <= 61


def test_a_doubted_pool_stays_in_its_group(here: Site) -> None:
    """A census that misses a pool makes it uncertain, and its parent goes on listing it: no list gets shorter."""
    ledger = Ledger(here.state)
    ledger.doubt("a short page", [ID])
    parent = next(key for key in set(ledger.owners().values()) if key.startswith("shard:"))
    here.mark([parent])
    here.state.client.delete(here.state.key("ended"))
    here.worker.reconciler.run([parent])
    here.run()
    assert here.calls("PUT", "poolgroup") == []
    assert ledger.view(KEY, []).own[ID].intent == ""


def test_the_census_reads_every_type_of_the_register(here: Site) -> None:
    """Each type that can be ours has been asked for, in all tenants."""
    here.mark(["resync"])
    here.run()
    paths = [call["path"] for call in here.simulator.audit.shown(0) if "/api/" in call["path"]]
    asked = {path.partition("?")[0].split("/")[2] for path in paths}
    assert set(TABLES) <= asked
