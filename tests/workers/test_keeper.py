"""The keeper: what it renews, what it lets go, and what becomes of claims when the process ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from shared.state import Claim, Work
from shared.telemetry import REGISTRY
from tests.support import wait_for
from tests.test_state import World
from workers import keeper as module
from workers.keeper import Keeper


@pytest.fixture
def world(redis_url: str) -> World:
    return World(redis_url, ttl=0.6).open()


@pytest.fixture
def keeper(world: World) -> Iterator[Keeper]:
    made = Keeper(world.work, lambda keys, cause, wake: None, slots=2)
    made.start()
    yield made
    made.stop()


def claim(world: World, key: str = "host:a") -> Claim:
    world.work.mark([key], "change", "test")
    return world.claim(key)


def value(metric: str) -> float:
    return REGISTRY.get_sample_value(metric) or 0.0


def holder(world: World, key: str = "host:a") -> str | None:
    return world.state.hash("claim").get(key)


def test_a_run_that_goes_on_keeps_its_claim(world: World, keeper: Keeper) -> None:
    """A claim is renewed over several leases while its run reports progress."""
    mine = claim(world)
    with keeper.holding(mine):
        end = time.monotonic() + 3 * world.ttl
        wait_for(lambda: time.monotonic() > end, what="three leases")
        assert (holder(world) or "").startswith(mine.token)
        assert mine.may_write(world.ttl)
        assert keeper.status()["held"] == ["host:a"]


def test_a_hung_run_loses_its_claim(world: World, keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that reports no step for too long is not renewed, so that another worker takes its key."""
    monkeypatch.setattr(module, "HUNG_AFTER", 0.2)
    lost = value("ako_leases_lost_total")
    mine = claim(world)
    with keeper.holding(mine):
        wait_for(lambda: holder(world) is None, what="the end of the lease")
        assert not mine.may_write(world.ttl)
    wait_for(lambda: value("ako_leases_lost_total") == lost + 1, what="the lost lease being counted")


def test_what_is_not_finished_in_time_is_handed_back(world: World, keeper: Keeper) -> None:
    """On leaving, a key whose run goes on is ready for others at once, and that run may write nothing more."""
    handed_back = value("ako_claims_handed_back_total")
    mine = claim(world)
    other = Work(world.state, worker="w2", digest="d", lease_ttl=world.ttl)
    with keeper.holding(mine):
        keeper.leave(0.1)
        assert value("ako_claims_handed_back_total") == handed_back + 1
        assert not mine.may_write(world.ttl)
        assert keeper.retired
        heir = other.claim()
        assert heir is not None
        assert (heir.key, heir.lost) == ("host:a", 0)


def test_leaving_waits_for_the_end_of_the_runs(world: World, keeper: Keeper) -> None:
    """When everything ends in time nothing is handed back."""
    leaving = threading.Thread(target=keeper.leave, args=(30.0,))
    mine = claim(world)
    with keeper.holding(mine):
        leaving.start()
        wait_for(lambda: keeper.retired, what="the wish to leave")
        assert mine.may_write(world.ttl)
    assert world.work.finish(mine, "done") == "done"
    keeper.stop()
    leaving.join(5)
    assert not leaving.is_alive()


def test_a_claim_given_up_stays_given_up(world: World, keeper: Keeper) -> None:
    """With `abandon` a run may write nothing more, although its lease is renewed until it ends."""
    mine = claim(world)
    with keeper.holding(mine):
        retiring = threading.Thread(target=keeper.retire, kwargs={"abandon": True})
        retiring.start()
        wait_for(lambda: mine.given_up, what="the claim being given up")
        until = mine.valid_until
        wait_for(lambda: mine.valid_until > until, what="a renewal")
        assert not mine.may_write(world.ttl)
    retiring.join(5)
    assert not retiring.is_alive()


def test_a_key_that_runs_alone_is_shown(world: World, keeper: Keeper) -> None:
    """The status names the keys that run alone."""
    world.work.mark(["host:a"], "change", "test")
    world.state.client.hset(world.state.key("lost"), "host:a", 3)
    mine = world.claim("host:a")
    with keeper.holding(mine):
        assert keeper.status()["alone"] == ["host:a"]
    assert keeper.status()["alone"] == []
