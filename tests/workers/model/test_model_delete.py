"""`deleteConfig: true`: of the fullest world nothing is wanted, in every kind of key."""

from __future__ import annotations

from dataclasses import replace

from shared.settings.model import ShardSize
from tests.workers.model.world import AVI_CLASS, World, endpoint_slice, ingress, node, secret, service, settings
from workers.model.routes import desired_routes
from workers.model.segroup import desired_segroup
from workers.model.types import RoutesSnapshot

SHARD = "shard:admin/c1--Shared-L7-0"


def world(*, delete_config: bool) -> World:
    made = World(settings(shard_size=ShardSize.SMALL, delete_config=delete_config))
    hosts = (ingress("p", host="plain.example.com"), ingress("s", host="sec.example.com", tls="foo-tls"))
    return made.apply(AVI_CLASS, service(), endpoint_slice(["10.244.1.1"]), secret(), *hosts)


def test_hosts_and_shards_want_nothing() -> None:
    """Where settings without it want objects, no host and no shard wants any, not even the vsvip that stands."""
    for host in ("plain.example.com", "sec.example.com"):
        assert world(delete_config=False).host(host).objects
        wanted = world(delete_config=True).host(host)
        assert (wanted.objects, wanted.row, wanted.frozen) == ((), None, False)
    assert world(delete_config=False).shard(SHARD).objects
    assert world(delete_config=True).shard(SHARD).objects == ()


def test_shared_lists_lose_our_part() -> None:
    """Our routes and our label are wanted as an empty part, which is another thing than no part at all."""
    facts = World(settings()).facts
    chosen = replace(settings(delete_config=True), cni_plugin="cilium")
    snapshot = RoutesSnapshot((node("n1", "10.50.0.1", cidrs=["10.244.1.0/24"]),))
    (routes,) = desired_routes(snapshot, chosen, facts).shared
    (label,) = desired_segroup(chosen, facts).shared
    assert (routes.field, routes.entries) == ("static_routes", ())
    assert (label.field, label.entries) == ("labels", ())
