"""The work protocol, the mirror and the ledger on a real Redis-compatible server."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest

from shared.errors import ClaimLost, StaleEpoch
from shared.projection import Projection
from shared.state import Claim, Ledger, LedgerEntry, Mirror, State, Work
from tests.support import wait_for


def seen(
    id_: str,
    body: dict[str, Any],
    *,
    status: dict[str, Any] | None = None,
    index: tuple[tuple[str, str], ...] = (),
    marks: tuple[str, ...] = (),
    touches: tuple[str, ...] = (),
) -> Projection:
    return Projection(id_, body, status, index, marks, touches)


@dataclass
class World:
    """Redis with an incarnation, a complete mirror and a complete ledger."""

    url: str
    ttl: float = 10.0
    states: list[State] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = State(self.url, "test")
        self.mirror = Mirror(self.state)
        self.ledger = Ledger(self.state)
        self.work = Work(self.state, worker="w1", digest="d", lease_ttl=self.ttl)
        self.epoch = self.mirror.begin("d")

    def open(self) -> World:
        self.mirror.complete(self.epoch)
        self.state.client.hset(self.state.key("meta"), "facts_digest", "f")
        claim = self.claim("resync")
        self.ledger.close_census(claim, self.ledger.now(), [])
        self.work.finish(claim, "done")
        return self

    def claim(self, key: str) -> Claim:
        claim = self.work.claim([key])
        assert claim is not None
        assert claim.key == key
        return claim


def stands(world: World, id_: str) -> bool:
    """Whether an object stands on the controller, as other keys see it."""
    return world.ledger.view("host:other", [id_]).others[id_][1]


@pytest.fixture
def world(redis_url: str) -> World:
    return World(redis_url).open()


@pytest.fixture
def short(redis_url: str) -> World:
    return World(redis_url, ttl=0.15).open()


def entry(id_: str, *references: str) -> LedgerEntry:
    return LedgerEntry(id_, "u-" + id_, "1", {"name": id_}, references)


def test_only_control_keys_are_handed_out_before_mirror_and_ledger_are_complete(redis_url: str) -> None:
    """Until the mirror and the ledger are complete, hosts wait and the census runs first."""
    world = World(redis_url)
    world.work.mark(["host:a"], "change", "test")
    assert world.work.claim(["host:a"]) is None
    assert world.mirror.complete(world.epoch) == ["resync"]
    assert world.work.claim(["host:a"]).key == "resync"  # type: ignore[union-attr]
    assert world.work.claim() is None


def test_a_key_has_one_holder(world: World) -> None:
    """A claimed key is not claimed again, and claiming hands out each ready key once."""
    world.work.mark(["host:a", "host:b"], "change", "test")
    first, second = world.work.claim(), world.work.claim()
    assert {first.key, second.key} == {"host:a", "host:b"}  # type: ignore[union-attr]
    assert world.work.claim(["host:a"]) is None


def test_a_key_marked_during_its_run_runs_again(world: World) -> None:
    """A mark on a claimed key is followed by another run, even when the run ends in a failure."""
    world.work.mark(["host:a"], "change", "first")
    claim = world.claim("host:a")
    world.work.mark(["host:a"], "change", "second")
    assert world.work.finish(claim, "failed", delay=300) == "ready"
    again = world.claim("host:a")
    assert again.cause == "second"
    assert world.work.finish(again, "done") == "done"
    assert world.work.claim() is None


def test_another_worker_with_other_settings_gets_nothing(world: World) -> None:
    """A worker whose settings digest is not the published one claims nothing."""
    world.work.mark(["host:a"], "change", "test")
    other = Work(world.state, worker="w2", digest="old", lease_ttl=10)
    assert other.claim() is None
    assert world.work.claim() is not None


def test_new_settings_wait_until_everything_is_listed_under_them(world: World) -> None:
    """They may watch other kinds: until those are in the mirror neither a key nor a census is handed out."""
    world.work.mark(["host:a"], "change", "test")
    world.work.mark(["resync"], "change", "test")
    epoch = world.mirror.begin("new")
    assert not epoch.complete
    other = Work(world.state, worker="w2", digest="new", lease_ttl=10)
    assert other.claim(["resync", "host:a"]) is None
    assert world.mirror.complete(epoch) == ["resync"]
    claim = other.claim()
    assert claim is not None
    assert claim.key == "resync"
    assert other.claim(["host:a"]) is None


def test_a_pod_marks_through_the_services_that_select_it(world: World) -> None:
    """What stands under a touched ref without a key of its own passes the touch on to its dependents."""
    ingress = Projection("red/i", {}, index=(("Service/red/web", "host:a Ingress/red/i"),))
    service = Projection("red/web", {}, index=(("Selects/red/app=web", "- Service/red/web"),))
    pod = Projection("red/p", {}, touches=("Selects/red/app=web", "Selects/red/app=other"))
    assert world.mirror.apply(world.epoch, "Ingress", [ingress], [], "test") == []
    assert world.mirror.apply(world.epoch, "Service", [service], [], "test") == []
    assert world.mirror.apply(world.epoch, "Pod", [pod], [], "test") == ["host:a"]
    assert world.mirror.apply(world.epoch, "Pod", [pod], [], "test") == []
    assert world.mirror.apply(world.epoch, "Pod", [], ["red/p"], "test") == ["host:a"]


def test_need_adds_only_what_is_not_there(world: World) -> None:
    """`need` leaves a failing key its delay, `wake` brings it forward with its count, `change` clears the count."""
    world.work.mark(["host:a"], "change", "test")
    world.work.finish(world.claim("host:a"), "failed", delay=300)
    assert world.work.mark(["host:a"], "need", "test") == []
    assert world.work.claim() is None
    world.work.mark(["host:a"], "wake", "test")
    claim = world.claim("host:a")
    assert claim.failures == 1
    world.work.finish(claim, "failed", delay=300)
    world.work.mark(["host:a"], "change", "test")
    assert world.claim("host:a").failures == 0


def test_an_ended_lease_makes_the_key_ready_again(short: World) -> None:
    """The key of a dead worker is handed out again after its lease, and the dead worker's finish changes nothing."""
    short.work.mark(["host:a"], "change", "test")
    dead = short.claim("host:a")
    wait_for(
        lambda: short.work.tick() and short.state.client.zcard(short.state.key("ready:0")),
        what="the tick that frees the key",
    )
    heir = short.claim("host:a")
    assert short.work.finish(dead, "done") == "lost"
    with pytest.raises(ClaimLost):
        short.ledger.step(dead, permit=("pool/admin/x", "create"))
    short.work.renew([heir])
    assert short.ledger.step(heir, permit=("pool/admin/x", "create")) == ""


def test_renewal_keeps_a_lease(short: World) -> None:
    """A renewed claim outlives its first lease, and a renewal tells which claims are lost."""
    short.work.mark(["host:a"], "change", "test")
    claim = short.claim("host:a")
    lost = replace(claim, key="host:none")
    for _ in range(4):
        wait_for(lambda: claim.valid_until - time.monotonic() < 0.1, what="a third of the lease")
        assert short.work.renew([claim, lost]) == [lost]
    assert short.ledger.step(claim, permit=("pool/admin/x", "")) == ""


def test_a_waiting_key_sees_what_came_in_between(world: World) -> None:
    """An object that came to stand before the wait was registered makes the key ready at once."""
    world.work.mark(["host:a", "shard:admin/p-0"], "change", "test")
    waiting, owner = world.claim("host:a"), world.claim("shard:admin/p-0")
    world.ledger.step(owner, record=("virtualservice/admin/p-0", entry("virtualservice/admin/p-0")))
    done = world.work.finish(waiting, "waiting", delay=30, waits=[("stands", "virtualservice/admin/p-0")])
    assert done == "ready"


def test_a_waiting_key_is_woken_when_the_object_stands(world: World) -> None:
    """The record that makes an object stand wakes the keys that wait for it."""
    world.work.mark(["host:a", "host:b"], "change", "test")
    waiting, owner = world.claim("host:a"), world.claim("host:b")
    assert world.work.finish(waiting, "waiting", delay=30, waits=[("stands", "pool/admin/x")]) == "later"
    assert world.work.claim() is None
    world.ledger.step(owner, record=("pool/admin/x", entry("pool/admin/x")))
    assert world.claim("host:a").waited == 1


def test_a_delete_is_woken_when_the_last_referrer_is_gone(world: World) -> None:
    """A key that waits for an object to be free is woken by the update that drops the last reference."""
    world.work.mark(["host:a", "shard:admin/p-0"], "change", "test")
    pools, group = world.claim("host:a"), world.claim("shard:admin/p-0")
    world.ledger.step(pools, record=("pool/admin/x", entry("pool/admin/x")))
    world.ledger.step(group, record=("poolgroup/admin/g", entry("poolgroup/admin/g", "pool/admin/x")))
    assert world.ledger.view("host:a", []).referrers == {"pool/admin/x": frozenset({"poolgroup/admin/g"})}
    assert world.work.finish(pools, "waiting", delay=30, waits=[("gone", "pool/admin/x")]) == "later"
    world.ledger.step(group, record=("poolgroup/admin/g", entry("poolgroup/admin/g")))
    assert world.claim("host:a").key == "host:a"


def test_a_name_has_one_owner(world: World) -> None:
    """The second key that wants a name is told who owns it."""
    world.work.mark(["host:a", "host:b"], "change", "test")
    first, second = world.claim("host:a"), world.claim("host:b")
    assert world.ledger.step(first, permit=("pool/admin/x", "create")) == ""
    assert world.ledger.step(second, permit=("pool/admin/x", "create")) == "host:a"


def test_an_open_intent_is_no_standing_object(world: World) -> None:
    """Between the permit and the record an object stands for nobody."""
    world.work.mark(["host:a"], "change", "test")
    claim = world.claim("host:a")
    world.ledger.step(claim, permit=("pool/admin/x", "create"))
    (mine,) = world.ledger.view("host:a", []).own.values()
    assert (mine.intent, mine.uuid) == ("create", "")
    assert not stands(world, "pool/admin/x")
    world.ledger.step(claim, record=("pool/admin/x", entry("pool/admin/x")))
    assert stands(world, "pool/admin/x")
    assert world.ledger.view("host:b", ["pool/admin/x"]).others == {"pool/admin/x": ("host:a", True)}


def test_a_changed_row_marks_old_and_new_shards(world: World) -> None:
    """A host that moves marks the shard it leaves and the one it joins; an equal row marks nothing."""
    for row, expected in (
        ('{"shards":["shard:t/s-0"]}', {"shard:t/s-0"}),
        ('{"shards":["shard:t/s-0"]}', set()),
        ('{"shards":["shard:t/s-1"]}', {"shard:t/s-0", "shard:t/s-1"}),
        ("", {"shard:t/s-1"}),
    ):
        world.work.mark(["host:a"], "change", "test")
        world.work.finish(world.claim("host:a"), "done", row=row)
        seen = set()
        while claim := world.work.claim():
            seen.add(claim.key)
            world.work.finish(claim, "done")
        world.state.client.delete(world.state.key("ended"), world.state.key("pace:host:a"))
        assert seen == expected


def test_a_host_that_keeps_changing_is_paced(world: World) -> None:
    """Three runs at once, the fourth a little later; something it waited for brings it forward all the same."""
    for _ in range(3):
        world.work.mark(["host:a"], "change", "test")
        world.work.finish(world.claim("host:a"), "done")
    assert world.work.mark(["host:a"], "change", "test") == []
    assert world.work.claim(["host:a"]) is None
    assert world.work.mark(["host:a"], "wake", "test") == ["host:a"]
    world.work.finish(world.claim("host:a"), "done")
    world.work.mark(["host:a"], "change", "test")
    wait_for(lambda: world.work.claim(["host:a"]), seconds=3, what="the end of the pause")


def test_writes_of_the_routes_are_spaced(world: World) -> None:
    """After a first write 2 s, after a second 10 s, a repeated PUT counting once; a run without a write waits less."""
    key = "routes:admin/global"
    pauses = []
    for writes in (0, 1, 2):
        world.work.mark([key], "wake", "test")
        claim = world.claim(key)
        world.work.mark([key], "change", "a node, meanwhile")
        for _ in range(writes):
            world.ledger.step(claim, permit=("vrfcontext/admin/global", ""))
        began = world.ledger.now()
        assert world.work.finish(claim, "done") == "later"
        due = world.state.client.zscore(world.state.key("later"), key)
        pauses.append(round((due - began) / 1e6, 1))
    assert pauses == [0.5, 2.0, 10.0]


def test_a_shard_gathers_changes(world: World) -> None:
    """A shard that just ran is not handed out again before its debounce is over."""
    world.work.mark(["shard:t/s-0"], "change", "test")
    world.work.finish(world.claim("shard:t/s-0"), "done")
    assert world.work.mark(["shard:t/s-0"], "change", "test") == []
    assert world.work.claim(["shard:t/s-0"]) is None
    wait_for(lambda: world.work.claim(["shard:t/s-0"]), seconds=3, what="the end of the debounce")


def test_the_breaker_lets_one_probe_through(world: World) -> None:
    """While the controller is unreachable only `change` keys and one probe are handed out, and its answer closes it."""
    world.work.mark(["host:a", "host:b", "host:c", "change:Node/n"], "change", "test")
    world.work.finish(world.claim("host:a"), "unreachable", delay=0.0)
    assert world.claim("change:Node/n").key == "change:Node/n"
    probe = world.work.claim()
    assert probe is not None
    assert world.work.claim() is None
    world.work.finish(probe, "done", contact=True)
    assert world.work.claim() is not None


def test_live_changes_go_before_bulk(world: World) -> None:
    """A live change is handed out before bulk work, and a bulk key that changes joins the live ones."""
    world.work.mark([f"host:{i}" for i in range(5)], "change", "list", bulk=True)
    world.work.mark(["host:live"], "change", "watch")
    world.work.mark(["host:3"], "change", "watch")
    first = [world.work.claim().key for _ in range(2)]  # type: ignore[union-attr]
    assert first == ["host:live", "host:3"]


def test_the_mirror_marks_both_sides(world: World) -> None:
    """A changed projection marks its old and its new keys; an unchanged one nothing; a deleted one its keys."""
    old = seen("red/i", {"v": 1}, marks=("host:a",), index=(("Service/red/s", "host:a Ingress/red/i"),))
    new = seen("red/i", {"v": 2}, marks=("host:b",), index=(("Service/red/s", "host:b Ingress/red/i"),))
    assert world.mirror.apply(world.epoch, "Ingress", [old], [], "c") == ["host:a"]
    assert world.mirror.apply(world.epoch, "Ingress", [old], [], "c") == []
    assert set(world.mirror.apply(world.epoch, "Ingress", [new], [], "c")) == {"host:a", "host:b"}
    assert world.mirror.dependents("Service/red/s") == {"host:b Ingress/red/i"}
    slice_ = seen("red/s-1", {"v": 1}, touches=("Service/red/s",))
    assert world.mirror.apply(world.epoch, "EndpointSlice", [slice_], [], "c") == ["host:b"]
    assert world.mirror.apply(world.epoch, "Ingress", [], ["red/i"], "c") == ["host:b"]
    assert world.mirror.ids("Ingress") == set()
    assert world.mirror.dependents("Service/red/s") == set()


def test_a_status_change_marks_only_the_status(world: World) -> None:
    """When only the status part of an object differs, its status key is marked and nothing else."""
    first = seen("red/i", {"v": 1}, status={"ingress": []}, marks=("host:a",))
    world.mirror.apply(world.epoch, "Ingress", [first], [], "c")
    changed = replace(first, status={"ingress": [{"ip": "10.0.0.1"}]})
    assert world.mirror.apply(world.epoch, "Ingress", [changed], [], "c") == ["status:Ingress/red/i"]
    assert orjson.loads(world.state.hash("status:Ingress")["red/i"]) == {"ingress": [{"ip": "10.0.0.1"}]}


def test_an_overtaken_watcher_is_refused(world: World) -> None:
    """After another watcher has begun, the old epoch can write nothing."""
    world.mirror.begin("d")
    assert not world.mirror.check(world.epoch)
    with pytest.raises(StaleEpoch):
        world.mirror.apply(world.epoch, "Ingress", [seen("red/i", {})], [], "c")


def test_a_flushed_redis_stops_every_writer(world: World) -> None:
    """After FLUSHALL neither a watcher's epoch nor a worker's claim may write, and a new incarnation starts closed."""
    world.work.mark(["host:a"], "change", "test")
    claim = world.claim("host:a")
    world.state.client.flushall()
    with pytest.raises(StaleEpoch):
        world.mirror.apply(world.epoch, "Ingress", [seen("red/i", {})], [], "c")
    with pytest.raises(ClaimLost):
        world.ledger.step(claim, permit=("pool/admin/x", "create"))
    assert world.work.renew([claim]) == [claim]
    assert world.mirror.begin("d").complete is False


def test_a_census_page_older_than_a_write_is_ignored(world: World) -> None:
    """What a page says of an object that was written or deleted after the page was asked for is not believed."""
    world.work.mark(["host:a", "resync"], "change", "test")
    census, owner = world.claim("resync"), world.claim("host:a")
    asked = world.ledger.now()
    world.ledger.step(owner, record=("pool/admin/x", entry("pool/admin/x")))
    world.ledger.step(owner, record=("pool/admin/y", entry("pool/admin/y")))
    world.ledger.step(owner, record=("pool/admin/y", None))
    stale = [("host:a", LedgerEntry(f"pool/admin/{n}", "old", "0", {}, at=asked)) for n in "xy"]
    assert world.ledger.merge(census, asked, stale) == []
    (only,) = world.ledger.view("host:a", []).own.values()
    assert only.uuid == "u-pool/admin/x"


def test_what_a_census_does_not_see_is_uncertain_not_gone(world: World) -> None:
    """An object missing from a complete census keeps its entry, as uncertain; its owner is told, others go on."""
    world.work.mark(["host:a", "resync"], "change", "test")
    census, owner = world.claim("resync"), world.claim("host:a")
    world.ledger.step(owner, record=("pool/admin/x", entry("pool/admin/x")))
    assert world.ledger.close_census(census, world.ledger.now(), ["pool"]) == ["host:a"]
    (only,) = world.ledger.view("host:a", []).own.values()
    assert only.intent == "unseen"
    assert stands(world, "pool/admin/x")
    seen = LedgerEntry("pool/admin/x", "u-pool/admin/x", "1", {}, at=world.ledger.now())
    assert world.ledger.merge(census, world.ledger.now(), [("host:a", seen)]) == ["host:a"]
    assert stands(world, "pool/admin/x")


def test_wake_ups_are_bounded(world: World) -> None:
    """A tick asks for as many messages as there are ready keys and worker slots, less those under way."""
    world.work.announce(2)
    world.work.mark([f"host:{i}" for i in range(5)], "change", "test")
    world.work.waking("m1")
    tick = wait_for(world.work.tick, what="a tick of our own")
    assert tick.wakeups == 1
    assert set(tick.keys) == {f"host:{i}" for i in range(5)}
