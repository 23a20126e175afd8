"""Processes: watcher and workers are killed, restarted, and do without the tick that heals lost messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos.figures import Figure, Scale, scenario
from tests.chaos.site import Site
from tests.support import wait_for

LATENCY = 5  # milliseconds that each call to the controller takes, so that a kill meets calls under way
PATIENCE = 2  # kills that may be overdue before an idle worker is killed because no busy one was met


@scenario("kill-storm", "whole workers are killed, one a second, while the cluster changes")
def kill_storm(folder: Path, scale: Scale) -> Iterator[Figure]:
    # In full: 300 Ingresses, 100 Services of type LoadBalancer, 50 nodes, 3,000 endpoints.
    load = {"services": scale.of(5, 100), "nodes": scale.of(2, 48)}
    workers, ttl = scale.of(3, 4), scale.of(1, 3)
    with Site(folder, scale.of(20, 300), workers=workers, latency=LATENCY, ttl=ttl, **load) as site:
        storm = Storm(site, kills=scale.of(6, 100), events=scale.of(300, 10_000), every=scale.of(3, 10) / 10)
        storm.run()
        yield from storm.figures()
        calm = site.settled(seconds=120)
        yield Figure("from the last kill to calm", calm, "<=", 15, "s")
        writes = site.writes()
        # A kill repeats what it cut off; the small size has more kills to a write.
        again = 100 * repeated(writes) / len(writes)
        yield Figure("writes that changed nothing, of a hundred", again, "<=", scale.of(3, 1))
        yield from site.aftermath()
        yield Figure("writes when all keys run once more after a census", site.look_again(), "==", 0)


@scenario("mixed-storm", "workers and the watcher are killed and Redis is flushed while the cluster changes")
def mixed_storm(folder: Path, scale: Scale) -> Iterator[Figure]:
    flushed: list[int] = []

    def also(kill: int) -> None:
        if kill % 4 == 2:
            site.scene.stack.kill("watcher")
            site.start_watcher()
        if kill % 4 == 3:
            site.scene.state.client.flushall()
            flushed.append(kill)

    # Hosts come and go so fast here that after a flush a census would, rightly, hold their deletes for a minute.
    unheld = ["--allow-mass-delete"]
    with Site(folder, scale.of(20, 60), latency=LATENCY, ttl=scale.of(1, 3), seed=2, watcher=unheld) as site:
        storm = Storm(site, kills=scale.of(8, 60), events=scale.of(200, 3000), every=scale.of(3, 10) / 10, also=also)
        storm.run()
        yield from storm.figures()
        yield Figure("flushes of Redis", len(flushed), "==", storm.kills // 4)
        yield Figure("from the last kill to calm", site.settled(seconds=120), "<=", 30, "s")
        yield from site.aftermath()
        yield Figure("writes when all keys run once more after a census", site.look_again(), "==", 0)


@scenario("no-tick", "the same with the tick taken out of every worker: what would be left behind")
def no_tick(folder: Path, scale: Scale) -> Iterator[Figure]:
    with Site(folder, 20, workers=1, latency=LATENCY, ttl=scale.of(5, 10) / 10) as site:
        lame = partial(site.start_altered, "no-tick")
        site.kill_workers()
        for _ in range(2):
            lame()
        storm = Storm(site, kills=scale.of(3, 20), events=scale.of(100, 2000), every=0.5, start=lame)
        storm.run()
        time.sleep(3 * site.ttl)
        yield from storm.figures()
        stuck = set(site.scene.state.hash("claim")) - site.claimed(*site.scene.workers())
        yield Figure("keys left behind without tick, claimed by dead workers", len(stuck), ">=", 1)
        site.scene.stack.start_worker()
        site.settled(seconds=60)
        yield from site.aftermath()


class Storm:
    """Makes `events` changes while a worker is killed `every` so many seconds, a busy one if there is, and replaced.

    `start` starts the new worker, `also` is called after each kill with its number, from 0.
    """

    def __init__(
        self,
        site: Site,
        *,
        kills: int,
        events: int,
        every: float,
        start: Callable[[], object] | None = None,
        also: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.site, self.kills, self.events, self.every = site, kills, events, every
        self._start, self._also = start or site.scene.stack.start_worker, also
        self._killed = self._inside = self._made = 0

    def run(self) -> None:
        """Returns when the last change was made and the last worker killed."""
        began = time.monotonic()
        while self._killed < self.kills or self._made < self.events:
            due = (time.monotonic() - began) / self.every
            while self._made < min(self.events, self.events * due / self.kills):
                self.site.anything()
                self._made += 1
            if self._killed < min(self.kills, int(due)):
                self._kill(patient=self._killed >= int(due) - PATIENCE)
            time.sleep(0.005)

    def figures(self) -> Iterator[Figure]:
        """What was reached."""
        yield Figure("workers killed", self._killed, "==", self.kills)
        yield Figure("of these in the middle of a run", self._inside, ">=", 1)
        yield Figure("changes of the cluster", self._made, "==", self.events)

    def _kill(self, *, patient: bool) -> None:
        """Kills a worker that holds a claim; when none does, it waits for the next time or takes any."""
        busy = self.site.busy()
        if not busy and patient:
            return
        victim = self.site.draw.choice(busy or self.site.scene.workers())
        self.site.scene.stack.kill(victim)
        self._inside += bool(self.site.claimed(victim))
        self._start()
        self._also(self._killed)
        self._killed += 1


def repeated(writes: list[dict[str, Any]]) -> int:
    """How many writes changed nothing: the body of the PUT before, a name that was taken, an object that was gone."""
    count = 0
    last: dict[str, dict[str, Any]] = {}
    for call in writes:
        if call["method"] == "PUT" and call["status"] == 200:
            path = call["path"].partition("?")[0]
            body = {name: value for name, value in call["body"].items() if name != "_last_modified"}
            count += last.get(path) == body
            last[path] = body
        count += call["status"] in (404, 409)
    return count


@scenario("watcher-kill", "the watcher is killed again and again while the cluster changes")
def watcher_kill(folder: Path, scale: Scale) -> Iterator[Figure]:
    kills, took = scale.of(2, 20), []
    with Site(folder, scale.of(10, 300)) as site:
        for _ in range(kills):
            _changes(site, 20)
            time.sleep(site.draw.uniform(0, 0.2))
            site.scene.stack.kill("watcher")
            _changes(site, 10)
            number = site.draw.choice(list(site.ingresses))
            site.rescale(number)
            site.start_watcher()
            took.append(site.served(number, seconds=60))
        site.settled(seconds=60)
        yield Figure("watchers killed", len(took), "==", kills)
        yield Figure(
            "from a start to the first missed change applied, lists included, at most", max(took), "<=", 5, "s"
        )
        yield from site.aftermath()
        yield Figure("writes when all keys run once more after a census", site.look_again(), "==", 0)


def _changes(site: Site, count: int) -> None:
    for _ in range(count):
        site.anything()


@scenario("restart", "watcher, workers and Redis are stopped and started again; once more with an empty Redis")
def restart(folder: Path, scale: Scale) -> Iterator[Figure]:
    hosts, services = scale.of(20, 300), scale.of(5, 100)
    with Site(folder, hosts, services=services, nodes=scale.of(2, 48)) as site:
        for what in ("as it was", "empty"):
            before = site.incarnation()
            site.scene.stop_pipeline()
            site.restart_redis(empty=what == "empty")
            site.scene.forget_audit()
            site.scene.stack.kube_control("audit", method="DELETE")
            site.start_watcher()
            for _ in range(2):
                site.scene.stack.start_worker()
            site.rebuilt(before, seconds=120)
            site.settled(seconds=60)
            yield Figure(
                f"rows rebuilt from Kubernetes and the controller, Redis {what}", site.rows(), "==", hosts + services
            )
            yield Figure(f"writes to the controller, Redis {what}", len(site.writes()), "==", 0)
            writes = _kube_writes(site)
            events = [path for path in writes if "/events" in path]
            others = len(writes) - len(events)
            yield Figure(f"writes to Kubernetes but for the lease and Events, Redis {what}", others, "==", 0)
            # What was told is known to Redis alone; without it the Event that is there is counted up: POST, then PATCH.
            told = 2 * services if what == "empty" else 0
            yield Figure(f"calls for Events, Redis {what}", len(events), "<=", told)
        yield from site.aftermath()


def _kube_writes(site: Site) -> list[str]:
    calls = site.scene.stack.kube_control("audit")["calls"]
    return [call["path"] for call in calls if call["method"] != "GET" and "/leases" not in call["path"]]


@scenario("failover", "one process of each kind is lost while single changes keep coming")
def failover(folder: Path, scale: Scale) -> Iterator[Figure]:
    losses, each = scale.of(1, 5), scale.of(30, 60)
    with Site(folder, losses * each, latency=50, ttl=scale.of(2, 10)) as site:
        held: list[float] = []
        others: list[float] = []
        for number in range(losses):
            _lose_a_worker(site, range(number * each, (number + 1) * each), held, others)
        yield Figure("workers lost in the middle of a run", losses, "==", losses)
        yield Figure("changes whose key the lost workers held", len(held), ">=", losses)
        yield Figure("longest of these until written", max(held), "<=", 15, "s")
        yield Figure("longest of the other changes until written", max(others), "<=", 1, "s")
        if scale.size == "full":
            yield Figure("longest until a standby watcher has taken over", _lose_the_leader(site), "<=", 15, "s")
        site.settled(seconds=60)
        yield from site.aftermath()


def _lose_a_worker(site: Site, numbers: Sequence[int], held: list[float], others: list[float]) -> None:
    """Changes hosts one after the other and kills a busy worker half-way; adds the seconds that each change took."""
    site.scene.forget_audit()
    changed, lost = {}, set()
    for place, number in enumerate(numbers):
        changed[number] = time.time()
        site.rescale(number)
        time.sleep(0.03)
        if place == len(numbers) // 2:
            lost = _kill_busy(site)
    site.settled(seconds=60)
    written: dict[str, float] = {}
    for call in site.writes():
        written.setdefault(call.get("name", ""), float(call["t"]))
    for number, began in changed.items():
        took = written[site.pool(number)] - began
        (held if f"host:{site.ingresses[number].host}" in lost else others).append(took)
    site.scene.stack.start_worker()


def _kill_busy(site: Site) -> set[str]:
    """Kills a worker that holds keys; returns them."""
    name = wait_for(site.busy, what="a busy worker")[0]
    site.scene.stack.kill(name)
    return site.claimed(name)


def _lose_the_leader(site: Site) -> float:
    """Seconds from the death of the leading watcher, with another one standing by, to the next change being written."""
    site.scene.stack.start_watcher(name="watcher-standby", POD_NAME="watcher-1")
    wait_for(lambda: site.scene.stack.readyz("watcher-standby")["ready"], seconds=30, what="a standby")
    began = time.monotonic()
    site.scene.stack.kill("watcher")
    site.rescale(0)
    site.served(0, seconds=60)
    return time.monotonic() - began
