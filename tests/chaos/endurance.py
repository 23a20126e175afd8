"""Long and gentle: everything is replaced while it works, and half an hour of changes with a fault in each minute."""

from __future__ import annotations

import re
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from cli.processes import Child
from tests.chaos.figures import Figure, Scale, scenario
from tests.chaos.processes import repeated
from tests.chaos.site import Site
from tests.support import wait_for

PER_SECOND = 20
LATENCY = 5  # milliseconds of each call to the controller
STANDBY = "watcher-standby"
_BAD = re.compile(r" ERROR |Traceback")


@scenario("rolling", "watchers and workers are replaced one after the other, as a rolling update does, under load")
def rolling(folder: Path, scale: Scale) -> Iterator[Figure]:
    rounds, hosts = scale.of(1, 3), scale.of(15, 100)
    with Site(folder, hosts, workers=scale.of(2, 4), latency=20, ttl=scale.of(3, 10)) as site:
        load = Load(site)
        old = [*site.scene.workers(), "watcher", _standby(site, STANDBY)]
        ended: list[Child] = []
        for number in range(rounds):
            old = [_replaced(site, load, name, f"{name.split('.')[0]}.{number}", ended) for name in old]
        site.settled(seconds=60)
        yield Figure("processes replaced", len(ended), "==", rounds * len(old))
        yield Figure("changes of the cluster meanwhile", load.made, ">=", 10 * len(ended))
        yield Figure("processes that did not end well", sum(each.process.returncode != 0 for each in ended), "==", 0)
        yield Figure("errors in their logs", _errors(site), "==", 0)
        yield Figure("writes that changed nothing", repeated(site.writes()), "==", 0)
        yield from site.aftermath()
        yield Figure("writes when all keys run once more after a census", site.look_again(), "==", 0)


@scenario("soak", "20 changes a second for half an hour, and a fault in each minute (small: 20 s, one every 4 s)")
def soak(folder: Path, scale: Scale) -> Iterator[Figure]:
    seconds, every = scale.of(20, 1800), scale.of(4, 60)
    with Site(folder, scale.of(20, 200), workers=3, latency=LATENCY, ttl=scale.of(2, 10)) as site:
        load, faults = Load(site), Faults(site)
        survivor, began = site.scene.workers()[0], time.monotonic()
        _standby(site, STANDBY)
        sizes: dict[str, list[tuple[float, float]]] = {survivor: [], STANDBY: []}
        while (now := time.monotonic() - began) < seconds:
            load.go_on(now)
            if len(faults.made) < now // every:
                faults.one(survivor)
            elif now % every > every / 6:
                faults.end()
            for name, points in sizes.items():
                if not points or now - points[-1][0] >= seconds / 120:
                    points.append((now, psutil.Process(site.scene.stack.processes()[name].pid).memory_info().rss / 1e6))
        faults.end()
        calm = site.settled(seconds=120)
        yield Figure("changes of the cluster", load.made, ">=", PER_SECOND * seconds * 0.9)
        yield Figure("faults", len(faults.made), ">=", seconds // every - 1)
        yield Figure("kinds of faults", len(set(faults.made)), ">=", scale.of(2, 6))
        yield Figure("from the last change to calm", calm, "<=", 30, "s")
        for name, points in sizes.items():
            what = f"memory of {name.split('-')[0]} that lives through it, growth over its second half"
            yield Figure(what, round(_growth(points), 1), "<=", scale.of(10, 5), "MB")
        yield from site.aftermath()
        site.scene.forget_audit()
        yield Figure("writes when all keys run once more after a census", site.look_again(), "==", 0)


class Load:
    """Changes of the cluster, `PER_SECOND` of them, made whenever there is time."""

    def __init__(self, site: Site) -> None:
        self._site, self.made = site, 0

    def go_on(self, seconds: float) -> None:
        """Makes what is due `seconds` after the beginning."""
        while self.made < PER_SECOND * seconds:
            self._site.anything()
            self.made += 1
            if self.made % 2000 == 0:
                self._site.scene.forget_audit()  # the simulator keeps so many calls only
        time.sleep(0.01)

    def until(self, condition: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Goes on with changes until the condition holds."""
        before, began = self.made, time.monotonic()

        def holds() -> bool:
            self.go_on(before / PER_SECOND + time.monotonic() - began)
            return condition()

        wait_for(holds, seconds=seconds, what=what)


class Faults:
    """One fault at a time, drawn from all kinds; `made` are the kinds so far."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lasting = False
        self.made: list[str] = []

    def one(self, survivor: str) -> None:
        """Makes a fault, after the end of the one before; whoever was killed is replaced."""
        self.end()
        kinds: dict[str, Callable[[], None]] = {
            "a worker is killed": lambda: self._kill_a_worker(survivor),
            "the leading watcher is killed": self._kill_the_watcher,
            "Redis is killed and comes back": self._site.restart_redis,
            "the controller cuts every connection": lambda: self._avi({"reset": "after"}),
            "the controller answers 503": lambda: self._avi({"status": 503}),
            "the controller answers 429": lambda: self._avi({"status": 429}),
            "the API server answers 503 to every GET": self._kube,
            "the controller takes 300 ms for each call": self._slow,
        }
        kind = self._site.draw.choice([each for each in kinds if each not in self.made[-3:]])
        kinds[kind]()
        self.made.append(kind)

    def end(self) -> None:
        """Ends what lasts."""
        if self._lasting:
            self._lasting = False
            self._site.scene.stack.avi_control("faults", method="DELETE")
            self._site.scene.stack.kube_control("faults", method="DELETE")
            self._site.scene.avi_switch("latency", {"ms": LATENCY})

    def _kill_a_worker(self, survivor: str) -> None:
        self._site.scene.stack.kill(self._site.draw.choice([n for n in self._site.scene.workers() if n != survivor]))
        self._site.scene.stack.start_worker()

    def _kill_the_watcher(self) -> None:
        self._site.scene.stack.kill("watcher")
        self._site.start_watcher()

    def _avi(self, fault: dict[str, object]) -> None:
        self._lasting = True
        self._site.scene.avi_switch("faults", {"path": "/api/", "count": -1, **fault})

    def _kube(self) -> None:
        self._lasting = True
        self._site.scene.stack.kube_control("faults", {"method": "GET", "path": "/apis?/", "status": 503, "count": -1})

    def _slow(self) -> None:
        self._lasting = True
        self._site.scene.avi_switch("latency", {"ms": 300})


def _standby(site: Site, name: str) -> str:
    """A second watcher, which takes over when the first one is lost."""
    site.scene.stack.start_watcher(name=name, POD_NAME=name)
    wait_for(lambda: bool(site.scene.stack.readyz(name)["ready"]), seconds=30, what="a standby")
    return name


def _replaced(site: Site, load: Load, old: str, new: str, ended: list[Child]) -> str:
    """Starts a process in the place of another one and, when it is ready, ends that one in order; its name."""
    stack = site.scene.stack
    if old.startswith("watcher"):
        stack.start_watcher(name=new, POD_NAME=new)
    else:
        new = stack.start_worker().name
    load.until(lambda: bool(stack.readyz(new)["ready"]), seconds=40, what=f"{new} being ready")
    child = stack.processes()[old]
    child.stopping = True
    child.process.send_signal(signal.SIGTERM)
    load.until(lambda: not child.alive, seconds=40, what=f"the end of {old}")
    ended.append(child)
    return new


def _errors(site: Site) -> int:
    """Lines of watchers and workers that tell of an error, or begin a traceback."""
    names = [name for name in site.scene.stack.processes() if name.startswith(("watcher", "worker"))]
    return sum(len(_BAD.findall(site.scene.stack.processes()[name].log.read_text())) for name in names)


def _growth(points: list[tuple[float, float]]) -> float:
    """Megabytes by which the second half of the measured line rises."""
    half = points[len(points) // 2 :]
    slope = statistics.linear_regression([at for at, _ in half], [size for _, size in half]).slope
    return slope * (half[-1][0] - half[0][0])
