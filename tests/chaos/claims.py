"""Claims: one holder at a time, and what comes of holders that die, sleep or do not know the time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import world as cluster
from cli.processes import Child, Processes, module
from shared.state import Ledger, Mirror, State, Work
from tests.chaos.claimer import CLUSTER, DIGEST
from tests.chaos.figures import Figure, Scale, scenario
from tests.chaos.ground import own_redis
from tests.chaos.site import Site
from tests.support import wait_for


@scenario("one-holder", "16 processes add and run the same 50 keys at random")
def one_holder(folder: Path, scale: Scale) -> Iterator[Figure]:
    yield from _crowd(folder, processes=scale.of(8, 16), adds=scale.of(800, 10_000), jumping=0)


@scenario("crashed-holder", "a worker is killed while it runs a key")
def crashed_holder(folder: Path, scale: Scale) -> Iterator[Figure]:
    yield from _crashes(folder, ttl=scale.of(1, 10), times=scale.of(1, 5))


@scenario("clock-steps", "the clocks of some processes jump by ten minutes, forth and back")
def clock_steps(folder: Path, scale: Scale) -> Iterator[Figure]:
    processes = scale.of(4, 16)
    yield from _crowd(folder / "crowd", processes=processes, adds=scale.of(200, 10_000), jumping=processes // 2)
    yield from _crashes(folder / "crashes", ttl=scale.of(1, 10), times=scale.of(1, 3), clock=True)


@scenario("frozen-holder", "a worker is stopped between deciding on a write and making it; others go on; then it wakes")
def frozen_holder(folder: Path, scale: Scale) -> Iterator[Figure]:
    rounds, found = scale.of(1, 17), Outcomes()
    with Site(folder, 4, ttl=scale.of(5, 10) / 10, workers=1) as site:
        for _ in range(rounds):
            new = max(site.ingresses) + 1
            _freeze(site, {0: "update", 1: "update", 2: "get", 3: "get", new: "create", new + 1: "create"}, found)
        yield Figure("runs frozen before a PUT, before its GET, before a POST", found.frozen, "==", 6 * rounds)
        # A few may be left unsent: the run notices first that its claim, or its connection, is gone.
        yield Figure(
            "PUTs and POSTs sent afterwards and refused (412, 409)", found.refused, ">=", 4 * rounds - rounds // 5
        )
        yield Figure("stale writes that took effect", found.taken, "==", 0)
        yield Figure("objects not as the second holder left them", found.wrong, "==", 0)
        yield from site.aftermath()


@scenario("late-delete", "a worker is stopped right before a DELETE; the object is wanted again; then it wakes")
def late_delete(folder: Path, scale: Scale) -> Iterator[Figure]:
    rounds, found = scale.of(1, 10), Outcomes()
    with Site(folder, 6, ttl=scale.of(5, 10) / 10, workers=1) as site:
        for _ in range(rounds):
            _freeze(site, dict.fromkeys(range(6), "delete"), found)
        yield Figure("runs frozen before a DELETE", found.frozen, "==", rounds * 6)
        yield Figure("objects that it deleted although they were wanted", found.deleted, ">=", 1)
        yield Figure("of these, objects that others referred to", found.deleted_in_use, "==", 0)
        yield Figure("until everything stood again, at most", found.longest, "<=", 5, "s")
        site.settled(seconds=90)
        yield from site.aftermath()


def _crowd(folder: Path, *, processes: int, adds: int, jumping: int) -> Iterator[Figure]:
    """Lets processes fight for keys; `jumping` of them have a wall clock that jumps."""
    with own_redis(folder) as url:
        state = _opened(url)
        family = Processes(folder / "logs")
        try:
            for number in range(processes):
                clock = "jumping" if number < jumping else "right"
                command = module("tests.chaos.claimer", url, str(number), str(adds // processes), clock)
                family.spawn(f"claimer-{number}", command, os.environ)
            yield from _counted(state, family, processes, adds, jumping)
        finally:
            family.stop()
            state.close()


def _counted(state: State, family: Processes, processes: int, adds: int, jumping: int) -> Iterator[Figure]:
    def number(name: str) -> int:
        return int(state.client.get(state.key(name)) or 0)

    def done() -> bool:
        with state.client.pipeline() as at_once:  # a key that moves between two looks would be seen in neither
            for name in ("ready:0", "ready:1", "claims", "later"):
                at_once.zcard(state.key(name))
            return number("adds") == adds and not sum(at_once.execute())

    wait_for(done, seconds=300, what="every add having been run")
    alive = sum(child.alive for child in family.children.values())
    state.client.set(state.key("stop"), "1")
    wait_for(lambda: not any(child.alive for child in family.children.values()), what="the end of the processes")
    numbers, seen = state.hash("number"), state.hash("seen")
    yield Figure(f"processes, {jumping} of them with a jumping clock", alive, "==", processes)
    yield Figure(f"adds over {len(numbers)} keys", number("adds"), "==", adds)
    yield Figure("runs", number("runs"), "<=", adds)
    yield Figure("runs of a key that overlapped another one", number("overlaps"), "==", 0)
    unseen = sum(1 for key, last in numbers.items() if seen.get(key) != last)
    yield Figure("keys whose last add no later run saw", unseen, "==", 0)


def _opened(url: str) -> State:
    """Redis as it is when mirror and ledger are complete, so that claims are given."""
    state = State(url, CLUSTER)
    mirror, ledger = Mirror(state), Ledger(state)
    mirror.complete(mirror.begin(DIGEST))
    work = Work(state, worker="opener", digest=DIGEST, lease_ttl=10.0)
    claim = work.claim(["resync"])
    assert claim is not None
    ledger.close_census(claim, ledger.now(), [])
    work.finish(claim, "done")
    return state


def _crashes(folder: Path, *, ttl: int, times: int, clock: bool = False) -> Iterator[Figure]:
    """Kills a worker right after its claim, a few times; another one, whose clock may jump, must come to the key."""
    folder.mkdir(exist_ok=True)
    with Site(folder, times, ttl=ttl, workers=1) as site:
        took = [_crash(site, number, folder / f"mark-{number}", clock=clock) for number in range(times)]
        survivor = " with a jumping clock" if clock else ""
        yield Figure("workers killed while they held a claim", len(took), "==", times)
        yield Figure(f"until another one{survivor} wrote for the key, at most", max(took), "<=", ttl + 1, "s")
        site.settled(seconds=30)
        yield from site.aftermath()


def _crash(site: Site, number: int, mark: Path, *, clock: bool) -> float:
    """Seconds from the death of the holder of a host's key to the next write to its pool."""
    site.kill_workers()
    site.scene.forget_audit()
    doomed = site.scene.doomed_worker("after-claim", f"host:{cluster.host(number)}", 0, mark)
    wait_for(lambda: _announced(site, doomed), what="the worker that will die")
    site.rescale(number)
    wait_for(lambda: not doomed.alive, seconds=30, what="its death")
    died = mark.stat().st_mtime
    site.start_altered("clock") if clock else site.scene.stack.start_worker()
    put = wait_for(lambda: [call for call in site.writes() if call["method"] == "PUT"], seconds=60, what="the next run")
    return float(put[0]["t"]) - died


@dataclass(slots=True)
class Outcomes:
    """What became of frozen runs: what they sent was refused or taken, objects wrong, seconds until all was right."""

    frozen: int = 0
    refused: int = 0
    taken: int = 0
    deleted: int = 0
    deleted_in_use: int = 0
    wrong: int = 0
    longest: float = 0.0


def _freeze(site: Site, points: dict[int, str], found: Outcomes) -> None:
    """One round: a worker is frozen in the runs of some hosts, another takes them over, then the first one wakes."""
    site.kill_workers()
    keys = {number: f"host:{cluster.host(number)}" for number in points}
    sleeper = site.start_altered("freeze", *(f"{point}={keys[number]}" for number, point in points.items()))
    wait_for(lambda: _announced(site, sleeper), what="the worker that will freeze")
    begin: dict[str, Callable[[int], None]] = {"create": site.add, "delete": site.remove}
    for number, point in points.items():
        begin.get(point, site.rescale)(number)
    wait_for(lambda: _stopped(sleeper), seconds=60, what="the freeze")
    found.frozen += len(points)
    until = time.monotonic() + 3 * site.ttl
    for number, point in points.items():
        (site.add if point == "delete" else site.rescale)(number)
    site.scene.stack.start_worker()
    # What may still be deleted is right and yet looked at again, so its key comes to rest later.
    taken_over = (lambda: not site.wrong()) if "delete" in points.values() else (lambda: not site.unsettled())
    wait_for(taken_over, seconds=60, what="another worker having taken over")
    time.sleep(max(0.0, until - time.monotonic()))
    _wake(site, sleeper, found)


def _wake(site: Site, sleeper: Child, found: Outcomes) -> None:
    """Lets the frozen worker go on, and looks at what it did."""
    site.scene.forget_audit()
    began = time.monotonic()
    site.scene.stack.kill(sleeper, signal.SIGCONT)
    wait_for(lambda: not site.scene.stack.readyz(sleeper.name)["held"], seconds=30, what="the end of the stale runs")
    for call in site.writes():
        found.refused += call["status"] in (409, 412)
        found.taken += call["status"] < 300
        if (call["method"], call["status"]) == ("DELETE", 204):
            found.deleted += 1
            found.deleted_in_use += "/virtualservice/" not in call["path"]
    wait_for(lambda: not site.wrong() and not site.orphans(), seconds=90, what="everything standing again")
    found.longest = max(found.longest, time.monotonic() - began)
    found.wrong += len(site.wrong())


def _announced(site: Site, child: Child) -> bool:
    """Whether a worker has told Redis that it is there."""
    return any(f"-{child.pid}-" in name for name in site.scene.state.hash("slots"))


def _stopped(child: Child) -> bool:
    return bool(psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
