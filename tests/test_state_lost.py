"""Keys that lose their workers: how they run alone, how a worker hands them back, what becomes of a write half done."""

from __future__ import annotations

import pytest

from shared.errors import ClaimLost, KeyHeld
from shared.state import Claim, LedgerEntry, Work
from shared.state.work import ALONE_AFTER
from tests.support import wait_for
from tests.test_state import World, entry


@pytest.fixture
def world(redis_url: str) -> World:
    return World(redis_url).open()


def other(world: World, name: str = "w2", ttl: float = 10.0) -> Work:
    return Work(world.state, worker=name, digest="d", lease_ttl=ttl)


def lost(world: World, key: str, times: int) -> None:
    """A key whose worker died this often while it ran it."""
    world.work.mark([key], "change", "test")
    world.state.client.hset(world.state.key("lost"), key, times)


def expire(world: World, claim: Claim) -> None:
    """The worker of a claim is dead: its lease is over, and a tick notices."""
    world.state.client.zadd(world.state.key("claims"), {claim.key: 1})
    wait_for(world.work.tick, what="a tick of our own")


def intents(world: World, key: str) -> dict[str, str]:
    return {id_: each.intent for id_, each in world.ledger.view(key, []).own.items()}


def test_a_lost_lease_is_a_failure_after_a_grace_of_one(world: World) -> None:
    """The first lost lease costs a key nothing, the second counts as a failure, the third makes it run alone."""
    world.work.mark(["host:a"], "change", "test")
    seen = []
    for _ in range(4):
        world.work.mark(["host:a"], "wake", "test")
        claim = world.claim("host:a")
        seen.append((claim.lost, claim.failures, claim.alone))
        expire(world, claim)
    assert seen == [(0, 0, False), (1, 0, False), (2, 1, False), (3, 2, True)]
    assert ALONE_AFTER == 3


def test_a_change_does_not_make_a_poison_key_harmless(world: World) -> None:
    """A change clears the failures of a key but not its lost leases; a finish does."""
    lost(world, "host:a", 3)
    world.work.mark(["host:a"], "change", "test")
    claim = world.claim("host:a")
    assert claim.alone
    world.work.finish(claim, "failed", delay=0.0)
    world.work.mark(["host:a"], "change", "test")
    assert not world.claim("host:a").alone


def test_a_poison_key_runs_alone_in_its_process(world: World) -> None:
    """A process that runs a poison key claims nothing else until it is finished; another process goes on."""
    lost(world, "host:p", 3)
    poison = world.claim("host:p")
    assert poison.alone
    world.work.mark(["host:a", "host:b"], "change", "test")
    assert world.work.claim(["host:a"]) is None
    assert world.work.claim() is None
    assert other(world).claim() is not None
    world.work.finish(poison, "done")
    assert world.work.claim() is not None


def test_a_busy_process_empties_itself_for_a_poison_key(world: World) -> None:
    """With other keys ready all the time a poison key still gets its turn, as soon as the running ones have ended."""
    world.work.announce(8)
    world.work.mark(["host:a", "host:b"], "change", "test")
    running = [world.work.claim(), world.work.claim()]
    lost(world, "host:p", 3)
    world.work.mark(["host:c"], "change", "test")
    assert world.work.claim(["host:p"]) is None
    assert world.work.claim(["host:c"]) is None
    world.work.finish(running[0], "done")  # type: ignore[arg-type]
    assert world.work.claim(["host:c"]) is None
    world.work.finish(running[1], "done")  # type: ignore[arg-type]
    assert world.work.claim(["host:c"]).key == "host:p"  # type: ignore[union-attr]


def test_a_poison_key_keeps_only_one_process_from_other_work(world: World) -> None:
    """While one live process empties itself for a poison key, others pass it over, however many they are."""
    world.work.announce(8)
    world.work.mark(["host:a"], "change", "test")
    busy = world.claim("host:a")
    lost(world, "host:p", 3)
    assert world.work.claim() is None
    world.work.mark(["host:b", "host:c"], "change", "test")
    second = other(world)
    assert {second.claim().key, second.claim().key} == {"host:b", "host:c"}  # type: ignore[union-attr]
    assert second.claim() is None
    world.work.finish(busy, "done")
    assert world.claim("host:p").alone


def test_a_dead_process_does_not_keep_a_poison_key(world: World) -> None:
    """A process that died while it emptied itself for a key is forgotten, and another runs the key."""
    world.work.announce(8)
    world.work.mark(["host:a"], "change", "test")
    world.claim("host:a")
    lost(world, "host:p", 3)
    assert world.work.claim() is None
    assert other(world).claim(["host:p"]) is None
    world.state.client.zadd(world.state.key("workers"), {"w1": 1})
    wait_for(world.work.tick, what="a tick of our own")
    assert other(world).claim(["host:p"]).key == "host:p"  # type: ignore[union-attr]


def test_many_poison_keys_all_run(world: World) -> None:
    """Twenty poison keys among forty others: two processes with several claims each finish them all."""
    workers = [world.work, other(world)]
    world.work.mark([f"host:{n}" for n in range(40)], "change", "test")
    for number in range(20):
        lost(world, f"host:p{number}", 3)
    done: list[str] = []
    held: list[tuple[Work, Claim]] = []
    for _ in range(200):
        for work in workers:
            work.announce(4)
            claim = work.claim()
            if claim is not None:
                assert not claim.alone or all(each is not work for each, _ in held)
                held.append((work, claim))
        if len(held) >= 4 or (held and claim is None):
            work, claim = held.pop(0)
            work.finish(claim, "done")
            done.append(claim.key)
    assert len(done) + len(held) == 60


def test_a_claim_that_is_asked_for_again_is_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim whose answer got lost on the way is repeated with its token and takes no second key."""
    world.work.mark(["host:a", "host:b"], "change", "test")
    args = ("claim", "token1", "w1", 10_000_000, "d")
    first, again = world.state.script(*args), world.state.script(*args)
    assert first == again
    assert world.state.client.zcard(world.state.key("claims")) == 1


def test_a_released_claim_is_ready_for_others_at_once(world: World) -> None:
    """What a worker hands back is claimed by another without a lost lease, and the first one can write nothing more."""
    world.work.mark(["host:a"], "change", "test")
    mine = world.claim("host:a")
    assert mine.may_write(world.ttl)
    assert world.work.release([mine]) == ["host:a"]
    heir = other(world).claim()
    assert heir is not None
    assert (heir.key, heir.lost) == ("host:a", 0)
    assert not mine.may_write(world.ttl)
    assert world.work.renew([mine]) == [mine]
    with pytest.raises(ClaimLost):
        world.ledger.step(mine, permit=("pool/admin/x", "create"))
    assert world.work.finish(mine, "done") == "lost"
    assert world.work.release([mine]) == []
    assert world.ledger.step(heir, permit=("pool/admin/x", "create")) == ""


def test_a_put_whose_worker_died_makes_its_object_uncertain(world: World) -> None:
    """Nobody knows whether the PUT arrived: the next run has to read the object, and for others it stands as before."""
    for ending in ("expire", "release"):
        world.work.mark(["host:a"], "change", "test")
        claim = world.claim("host:a")
        world.ledger.step(claim, record=("pool/admin/x", entry("pool/admin/x")))
        assert intents(world, "host:a") == {"pool/admin/x": ""}
        world.ledger.step(claim, permit=("pool/admin/x", ""))
        assert intents(world, "host:a") == {"pool/admin/x": ""}
        expire(world, claim) if ending == "expire" else world.work.release([claim])
        assert intents(world, "host:a") == {"pool/admin/x": "update"}
        assert world.ledger.view("host:b", ["pool/admin/x"]).others == {"pool/admin/x": ("host:a", True)}
        world.work.mark(["host:a"], "wake", "test")
        world.work.finish(world.claim("host:a"), "done")


def test_a_finished_put_leaves_nothing_uncertain(world: World) -> None:
    """What was recorded or ended in order is certain, also when a later run of the key dies."""
    world.work.mark(["host:a"], "change", "test")
    claim = world.claim("host:a")
    world.ledger.step(claim, record=("pool/admin/x", entry("pool/admin/x")), permit=("pool/admin/x", ""))
    world.ledger.step(claim, record=("pool/admin/x", entry("pool/admin/x")))
    expire(world, claim)
    assert intents(world, "host:a") == {"pool/admin/x": ""}


def test_a_held_key_may_not_write(world: World) -> None:
    """A key that a census holds is told so with its claim, and a run that began before gets no permit; reads go on."""
    world.work.mark(["resync", "host:a", "host:b"], "change", "test")
    census, running = world.claim("resync"), world.claim("host:a")
    assert world.ledger.hold(census, {"host:a": "1", "host:b": "1"}) == []
    with pytest.raises(KeyHeld):
        world.ledger.step(running, permit=("pool/admin/x", "create"))
    world.ledger.step(running, record=("pool/admin/x", entry("pool/admin/x")))
    assert world.claim("host:b").held
    assert world.ledger.hold(census, {"host:b": "1"}) == ["host:a"]
    assert world.ledger.step(running, permit=("pool/admin/y", "create")) == ""
    world.work.finish(census, "done")
    with pytest.raises(ClaimLost):
        world.ledger.hold(census, {})


def test_a_stranger_among_known_objects_holds_its_owner(world: World) -> None:
    """An object of ours that a later census finds may not be deleted before that census has ended."""
    world.work.mark(["resync", "host:a"], "change", "test")
    census = world.claim("resync")
    world.ledger.merge(census, world.ledger.now(), [("host:a", LedgerEntry("pool/admin/x", "u", "1", {}))])
    assert world.claim("host:a").held
    assert world.ledger.hold(census, {}) == ["host:a"]


def test_the_first_census_holds_nobody_by_itself(redis_url: str) -> None:
    """Before the ledger is complete every object is new, and no key is handed out anyway."""
    world = World(redis_url)
    world.mirror.complete(world.epoch)
    census = world.claim("resync")
    world.ledger.merge(census, world.ledger.now(), [("host:a", LedgerEntry("pool/admin/x", "u", "1", {}))])
    assert world.ledger.held() == {}
