"""Runs of different keys that meet: what each of them saw must not stay when it was true for a moment only."""

from __future__ import annotations

import orjson

from bench import world as cluster
from shared.errors import AviReferenced
from shared.state import Claim
from tests.workers.site import Site, site
from workers.outcome import of_error


def run_only(world: Site, key: str) -> None:
    """Runs one key and nothing else."""
    work = world.worker.reconciler.work
    claim: Claim | None = work.claim([key])
    assert claim is not None
    assert claim.key == key
    with world.worker.keeper.holding(claim):
        world.worker.reconciler.one(claim)


def fqdns(world: Site) -> set[str]:
    """What our vsvips list."""
    return {row["fqdn"] for page in world.avi.pages("vsvip") for obj in page.objects for row in obj.get("dns_info", [])}


def test_a_shard_that_ran_between_two_changes_runs_again(redis_url: str) -> None:
    """An Ingress goes and comes back before its host runs, and the shard runs in between: it lists the host again."""
    with site(redis_url) as world:
        world.apply(*cluster.objects_of(0), *cluster.objects_of(8))
        world.run()
        (shard,) = orjson.loads(world.state.hash("rows")[cluster.host(0)])["shards"]
        assert cluster.host(0) in fqdns(world)
        world.delete("Ingress", f"{cluster.NAMESPACE}/i00000")
        world.state.client.delete(world.state.key("ended"))
        world.mark([shard])
        run_only(world, shard)
        assert cluster.host(0) not in fqdns(world)
        world.apply(cluster.objects_of(0)[2])
        world.run()
        assert cluster.host(0) in fqdns(world)


def test_a_refused_delete_is_soon_tried_again() -> None:
    """What is still referred to may be free a moment later, so its key does not wait as long as a refused object's."""
    outcome, delay = of_error(AviReferenced("referred to by a pool group"), 0)
    assert outcome == "failed"
    assert delay <= 0.5
