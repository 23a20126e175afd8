"""One seed: a site comes up, lives under faults, heals, and must then be what the cluster asks for, to the last field.

What should stand is told by a second site: the same cluster on a new controller, without a single fault.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench import world
from shared.projection import STATUS_ANNOTATIONS
from tests.simulation.cluster import KEPT, STABLE, WRITTEN, Life, base, own_secret
from tests.simulation.controller import READ_TIMEOUT
from tests.simulation.scheduler import START, Scheduler
from tests.simulation.site import Site, virtual_time

FAULTS_SECONDS = 60.0
SETTLE_SECONDS = 600.0
WORKERS = 3


@dataclass(slots=True)
class Outcome:
    """What came of a seed. `wrong` is empty when everything held."""

    seed: int
    wrong: str = ""
    steps: int = 0
    writes: int = 0
    strikes: dict[str, int] = field(default_factory=dict)


def simulate(redis_url: str, seed: int, trace: Callable[[str], None] | None = None) -> Outcome:
    """Runs a seed from the beginning to the end."""
    outcome = Outcome(seed)
    scheduler = Scheduler(seed, trace)
    try:
        with virtual_time(scheduler, seed):
            _Run(redis_url, seed, scheduler, outcome).all()
    except AssertionError as error:
        outcome.wrong = f"at {scheduler.now - START:.3f} s, step {scheduler.steps}: {error}"
    except Exception:  # noqa: BLE001 - what the program must never let out
        outcome.wrong = f"at {scheduler.now - START:.3f} s, step {scheduler.steps}: {traceback.format_exc()}"
    outcome.steps = scheduler.steps
    return outcome


class _Run:
    def __init__(self, redis_url: str, seed: int, scheduler: Scheduler, outcome: Outcome) -> None:
        self.url, self.seed, self.scheduler, self.outcome = redis_url, seed, scheduler, outcome
        self.draw = random.Random(seed * 7 + 1)
        self.site = Site(redis_url, seed, scheduler)
        self.life = Life(self.site.cluster, random.Random(seed * 7 + 2))
        self.drifted = False

    def all(self) -> None:
        site = self.site
        site.cluster.apply(*base())
        site.start_watcher()
        for _ in range(WORKERS):
            site.start_worker()
        self._settle("at the beginning")
        site.controller.watch.keep([*(world.host(number) for number in range(STABLE)), KEPT])
        self._live_under_faults()
        self._heal()
        self._settle("after the faults")
        actual = site.controller.dump()
        if self.drifted or site.controller.resurrected:
            actual = self._after_census()
        wanted, statuses = self._wanted()
        _same(actual, wanted)
        _same(site.cluster.statuses(), statuses)
        before = len(site.controller.writes)
        self._after_census()
        written = site.controller.writes[before:]
        assert not written, f"a census of what is right brought writes: {written}"
        site.controller.watch.everything()
        self.outcome.writes = before

    def _settle(self, when: str) -> None:
        done = self.scheduler.run(SETTLE_SECONDS, self.site.quiet)
        assert done, f"not quiet {when}: {self.site.describe()}"

    def _after_census(self) -> dict[str, Any]:
        self.site.census()
        self.scheduler.run(2.0)
        self._settle("after a census")
        return self.site.controller.dump()

    def _wanted(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a site without faults makes of this cluster."""
        scheduler = Scheduler(self.seed)
        scheduler.now = self.scheduler.now
        site = Site(self.url, self.seed, scheduler)
        objects = [_as_created(obj) for obj in self.site.cluster.objects.values()]
        site.cluster.apply(*objects)
        with virtual_time(scheduler, self.seed):
            site.start_watcher()
            site.start_worker()
            done = scheduler.run(SETTLE_SECONDS, site.quiet)
            assert done, f"a site without faults is not quiet: {site.describe()}"
        return site.controller.dump(), site.cluster.statuses()

    # -- faults --------------------------------------------------------------------------------------------------

    def _live_under_faults(self) -> None:
        site, draw = self.site, self.draw
        site.controller.rate = draw.choice((0.0, 0.02, 0.1, 0.3))
        site.redis.rate = draw.choice((0.0, 0.0, 0.005, 0.03))
        site.message_rate = draw.choice((0.0, 0.1, 0.5, 1.0))
        site.watch_rate = draw.choice((0.0, 0.1, 0.5))
        site.cluster.failures = draw.choice((0.0, 0.0, 0.1))
        busy, trouble = draw.choice((0.5, 2.0, 6.0)), draw.choice((0.0, 3.0, 8.0))
        strikes = (
            self._kill, self._kill, self._terminate, self._freeze, self._freeze, self._hang, self._watcher_dies,
            self._watcher_freezes, self._flush, self._restart, self._rewind, self._cut_off, self._drift, self._census,
            self._controller_away,
        )  # fmt: skip
        chosen = draw.sample(strikes, draw.randint(1, 6))
        if self._rewind in chosen:
            self.scheduler.spawn(None, self._take_snapshots)
        end = self.scheduler.now + FAULTS_SECONDS
        next_life, next_strike = self.scheduler.now, self.scheduler.now + (trouble or 1e9)
        while self.scheduler.now < end:
            until = min(next_life, next_strike, end)
            self.scheduler.run(max(0.0, until - self.scheduler.now))
            if until == next_life:
                self.scheduler.say(f"the cluster: {self.life.step()}")
                next_life += draw.expovariate(1 / busy)
            elif until == next_strike:
                strike = draw.choice(chosen)
                name = strike.__name__.strip("_")
                self.scheduler.say(f"trouble: {name}")
                self.outcome.strikes[name] = self.outcome.strikes.get(name, 0) + 1
                strike()
                next_strike += draw.expovariate(1 / trouble)

    def _heal(self) -> None:
        site = self.site
        site.controller.rate = site.redis.rate = site.message_rate = site.watch_rate = 0.0
        # What a host whose Secret is missing has depends on what it had, so none is missing in the end.
        site.cluster.apply(own_secret())
        site.cluster.failures = 0.0
        for process in [*site.workers, site.watcher]:
            process.no_redis_until = 0.0
        while len(site.workers) < WORKERS:
            site.start_worker()
        if site.watcher.dead:
            site.start_watcher()
        thawed = max(process.frozen_until for process in [*site.workers, site.watcher])
        self.scheduler.run(max(0.0, thawed - self.scheduler.now))

    def _some_worker(self) -> Any:
        return self.draw.choice(self.site.workers)

    def _kill(self) -> None:
        self.site.kill(self._some_worker())
        self.site.start_worker()

    def _terminate(self) -> None:
        self.site.terminate(self._some_worker())
        self.site.start_worker()

    def _freeze(self) -> None:
        self._some_worker().frozen_until = self.scheduler.now + self.draw.uniform(1.0, 20.0)

    def _hang(self) -> None:
        """A thread stands still while its process goes on, or a call takes nearly until its time limit."""
        if self.draw.random() < 0.5:
            self.site.redis.hang_next = self.draw.uniform(5.0, 150.0)
        else:
            self.site.controller.hang_next = self.draw.uniform(5.0, 0.9 * READ_TIMEOUT)

    def _watcher_dies(self) -> None:
        self.site.kill(self.site.watcher)
        self.scheduler.spawn(None, self._new_watcher, after=self.draw.uniform(0.0, 15.0))

    def _new_watcher(self) -> None:
        if self.site.watcher.dead:
            self.site.start_watcher()

    def _watcher_freezes(self) -> None:
        """Another one takes over; the old one thaws and does not know it yet."""
        self.site.watcher.frozen_until = self.scheduler.now + self.draw.uniform(5.0, 20.0)
        self.site.start_watcher()

    def _flush(self) -> None:
        self._forget_calls()
        self.site.redis.flush()

    def _restart(self) -> None:
        self._forget_calls()
        self.site.redis.restart()

    def _forget_calls(self) -> None:
        """What a frozen worker has sent may arrive when Redis knows of it no more: then only a census sees it."""
        frozen = any(worker.frozen_until > self.scheduler.now for worker in self.site.workers)
        self.drifted = self.drifted or frozen

    def _take_snapshots(self) -> None:
        for _ in range(int(FAULTS_SECONDS)):
            self.site.redis.remember()
            self.scheduler.sleep(1.0)

    def _rewind(self) -> None:
        self._forget_calls()
        self.site.redis.rewind(self.draw.randint(1, 9))

    def _cut_off(self) -> None:
        process = self.draw.choice([*self.site.workers, self.site.watcher])
        process.no_redis_until = self.scheduler.now + self.draw.uniform(1.0, 30.0)

    def _controller_away(self) -> None:
        before, self.site.controller.rate = self.site.controller.rate, 1.0

        def back() -> None:
            self.site.controller.rate = min(before, self.site.controller.rate)

        self.scheduler.spawn(None, back, after=self.draw.uniform(1.0, 20.0))

    def _census(self) -> None:
        self.site.census()

    def _drift(self) -> None:
        """Somebody changes one of our objects by hand."""
        stable = [*(world.host(number) for number in range(STABLE)), KEPT]
        ours = [one for one in self.site.controller.ours() if one.type in {"pool", "virtualservice"}]
        ours = [one for one in ours if not any(host in one.name for host in stable)]
        if not ours:
            return
        record = self.draw.choice(sorted(ours, key=lambda one: one.name))
        body = {**record.body, "description": f"changed by hand {self.scheduler.now}"}
        if record.type == "pool" and self.draw.random() < 0.5:
            body.pop("servers", None)
            self.drifted = True
        body["_last_modified"] = self.site.controller.simulator.store.now()
        self.site.controller.simulator.store.replace(record, body, record.refs)


def _as_created(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without what we have written into it."""
    if obj["kind"] not in WRITTEN:
        return obj
    found = obj["metadata"].get("annotations") or {}
    annotations = {name: text for name, text in found.items() if name not in STATUS_ANNOTATIONS}
    bare = {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
    return {name: value for name, value in bare.items() if name != "status"}


def _same(actual: dict[str, Any], wanted: dict[str, Any]) -> None:
    if actual == wanted:
        return
    missing, extra = sorted(wanted.keys() - actual.keys()), sorted(actual.keys() - wanted.keys())
    assert (missing, extra) == ([], []), f"missing: {missing}; too many: {extra}"
    for name in sorted(wanted):
        assert actual[name] == wanted[name], f"{name} is {actual[name]} and should be {wanted[name]}"
