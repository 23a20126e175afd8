"""The API server falls silent, is overloaded, forgets its history, or says that nothing is there or allowed.

The watcher and its reflectors run in this process, over an API server emulator with real HTTP and a real Redis; so a
scenario sees each batch that reaches the mirror. What they must never do is take an error for an empty cluster.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from bench import world as cluster
from shared.kinds import KINDS
from shared.kube import Access, KubeClient
from shared.kube.config import Bearer
from shared.kube.stream import SILENCE
from shared.settings.model import Settings
from shared.state import State
from simulator.kube.app import KubeSimulator
from simulator.server import running
from tests.chaos.figures import Figure, Scale, scenario
from tests.chaos.ground import own_redis, quiet, switch
from tests.support import wait_for
from tests.watcher.test_watcher import SETTINGS
from tests.watcher.world import INGRESS, Follower, Recording
from watcher.main import Watcher
from watcher.reflector import Reflector, Timing

TOKEN = "let-me-in"
WATCHES = "watch=1"
SHRUNK = 20.0


HOME: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SETTINGS.pod_namespace}}


class Watching:
    """A watcher in a thread of this process and the API server that it follows. `name` keeps two of them apart."""

    def __init__(self, redis_url: str, name: str, url: str, timing: Timing) -> None:
        self.url = url
        settings: Settings = replace(SETTINGS, cluster_name=name)
        self.state = State(redis_url, name)
        self.batches: list[tuple[str, list[str], list[str]]] = []
        self.marked: list[str] = []
        self.mirror = Recording(self.state, self.batches)
        self.kube = KubeClient(lambda: Access(url, authorization=Bearer(f"Bearer {TOKEN}")), read_timeout=5)
        publish: Callable[[list[str], str], None] = lambda keys, _: self.marked.extend(keys)  # noqa: E731
        self.watcher = Watcher(settings, self.kube, self.mirror, publish, timing=timing)
        self.thread = threading.Thread(target=self.watcher.run, daemon=True)

    def switch(self, path: str, body: Any = None) -> Any:
        """Turns a switch of the API server."""
        return switch(self.url, path, body)

    def load(self, objects: list[dict[str, Any]]) -> None:
        """Creates or changes objects in the cluster."""
        self.switch("load", objects)

    def start(self) -> None:
        """Follows until everything that is there was listed, and every watch is open."""
        self.thread.start()
        wait_for(lambda: self.watcher.status()["complete"], seconds=20, what="the first lists")
        wait_for(self.followed, seconds=20, what="the watches")
        # From now on the work counts as live, as it does after the first census.
        self.state.client.hset(self.state.key("meta"), "ledger_complete", "1")

    def followed(self) -> bool:
        """Whether a watch of every required kind is open."""
        return all(
            kind["phase"] == "watching" for kind in self.watcher.status()["kinds"].values() if not kind["optional"]
        )

    def stop(self) -> None:
        """Ends the watcher."""
        self.watcher.stop()
        self.thread.join(10)
        self.state.close()

    def ids(self) -> dict[str, set[str]]:
        """What the mirror holds, by kind."""
        return {kind.name: self.mirror.ids(kind.name) for kind in KINDS}

    def deleted(self) -> int:
        """How many deletions have reached the mirror."""
        return sum(len(gone) for _, _, gone in self.batches)

    def count(self, since: int, *, watch: bool) -> int:
        """How many lists, or watches, of Ingresses were asked for after call number `since`."""
        calls = [call for call in self.switch(f"audit?since={since}")["calls"] if call["method"] == "GET"]
        return sum("/ingresses" in call["path"] and (WATCHES in call["path"]) == watch for call in calls)

    def now(self) -> int:
        """The number of the last call."""
        calls = self.switch("audit")["calls"]
        return int(calls[-1]["n"]) if calls else 0


@contextmanager
def watching(
    redis_url: str, name: str = "watched", *, hosts: int = 20, timing: Timing | None = None, **options: Any
) -> Iterator[Watching]:
    """A watcher that follows a cluster of this many hosts."""
    emulator = KubeSimulator(token=TOKEN, **options)
    with quiet("watcher", "shared"), running(emulator.handle) as server:
        made = Watching(redis_url, name, server.url, timing or Timing())
        made.load([HOME, *cluster.world(hosts)])
        try:
            made.start()
            yield made
        finally:
            made.stop()


@contextmanager
def shrunk() -> Iterator[None]:
    """The watcher's own pauses and looks, `SHRUNK` times shorter."""
    with ExitStack() as stack:
        for module, name in (
            ("watcher.reflector", "BACKOFF_FIRST"),
            ("watcher.reflector", "BACKOFF_LAST"),
            ("watcher.reflector", "SHORTEST_DELAY"),
            ("watcher.reflector", "SHORTEST_WATCH"),
            ("shared.kube.stream", "TICK"),
        ):
            stack.enter_context(patch(f"{module}.{name}", getattr(import_module(module), name) / SHRUNK))
        yield


@scenario("silent-watch", "every watch falls silent while the cluster changes; nothing is cut", shrunk=SHRUNK)
def silent_watch(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Bookmarks come every second here, so that a second without one is, like a minute in reality, suspicious."""
    timing = Timing(silence=SILENCE / SHRUNK)
    rounds = scale.of(2, 8)
    blind: list[float] = []
    with shrunk(), own_redis(folder) as redis_url, watching(redis_url, timing=timing, bookmark_interval=1.0) as here:
        before = here.now()
        for number in range(rounds):
            silent = here.switch("watches", {"action": "silence", "path": ""})["watches"]
            began = time.monotonic()
            name = f"{cluster.NAMESPACE}/i{1000 + number:05d}"
            here.load(cluster.objects_of(1000 + number))
            wait_for(lambda name=name: name in here.ids()["Ingress"], seconds=30, what=f"{name} being noticed")  # type: ignore[misc]
            blind.append((time.monotonic() - began) * SHRUNK)
            wait_for(here.followed, what="every watch being open again")
        again = here.count(before, watch=True)
        yield Figure("watches made silent at once", silent, ">=", 7)
        yield Figure(f"longest blindness of {rounds}", max(blind), "<=", 75, "s (unshrunk)")
        yield Figure("watches of Ingresses opened anew for each silence", again / rounds, "==", 1)
        yield Figure("lists because of it", here.count(before, watch=False), "==", 0)
        yield Figure("objects taken away", here.deleted(), "==", 0)


class Pause:
    """A clock that only sleeping moves, and what was slept."""

    def __init__(self) -> None:
        self.time = 0.0
        self.delays: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Takes no real time."""
        self.delays.append(seconds)
        self.time += seconds


@scenario("api-server-503", "the API server answers every list with 503")
def overloaded(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Real answers, and a clock that only waiting moves: so thousands of seconds of retrying can be looked at."""
    starts = scale.of(60, 1000)
    first_ten: list[int] = []
    late: list[float] = []
    longest = 0.0
    with quiet("watcher"), own_redis(folder) as redis_url, running(KubeSimulator().handle) as server:
        switch(server.url, "faults", {"path": "/ingresses", "status": 503, "count": -1})
        for seed in range(starts):
            pause = _refused(server.url, redis_url, seed)
            times = [0.0, *accumulate(pause.delays)]
            first_ten.append(sum(at < 10 for at in times))
            longest = max(longest, *pause.delays)
            late += pause.delays[8:]
        asked = sum("/ingresses" in call["path"] for call in switch(server.url, "audit")["calls"])
    yield Figure(f"most attempts in the first 10 s, of {starts} starts", max(first_ten), "<=", 10)
    yield Figure("fewest attempts in the first 10 s", min(first_ten), ">=", 2)
    yield Figure("longest pause", longest, "<=", 30, "s")
    yield Figure("longest pause reaches the ceiling", longest, ">=", 25, "s")
    yield Figure("spread of the pauses at the ceiling (standard deviation)", statistics.pstdev(late), ">=", 5, "s")
    yield Figure("requests that the API server saw per start", asked / starts, ">=", 14)


def _refused(url: str, redis_url: str, seed: int) -> Pause:
    """A reflector of Ingresses that is refused fifteen times."""
    follower = Follower(redis_url, (INGRESS,))
    pause = Pause()
    kube = KubeClient(lambda: Access(url), read_timeout=5)
    one = Reflector(
        INGRESS, kube, follower.session, clock=lambda: pause.time, sleep=pause.sleep, draw=Random(seed).random
    )
    one.run(_rounds=15)
    follower.state.close()
    return pause


INGRESSES = f"/apis/networking.k8s.io/v1/namespaces/{cluster.NAMESPACE}/ingresses"


@scenario("history-lost", "watches end with 410 while 50 objects came and 50 went unseen")
def history_lost(folder: Path, scale: Scale) -> Iterator[Figure]:
    """The deletions are less than a fifth of what is there, so that the guard against mass deletions has no part."""
    rounds = scale.of(1, 10)
    noticed, others, twice = 0, 0, 0
    with own_redis(folder) as redis_url, watching(redis_url, hosts=300) as here:
        for number in range(rounds):
            come = [cluster.objects_of(1000 + 50 * number + n)[2] for n in range(50)]
            leave = [f"i{950 + 50 * number + n if number else n:05d}" for n in range(50)]
            marked = _gap(here, come, leave)
            wanted = {*(obj["metadata"]["name"] for obj in come), *leave}
            noticed += len(wanted & set(marked))
            others += len(set(marked) - wanted)
            twice += len(marked) - len(set(marked))
    yield Figure("objects that came or went in the gap and were noticed", noticed, "==", scale.of(100, 1000))
    yield Figure("others that were marked although they had not changed", others, "==", 0)
    yield Figure("marked more than once", twice, "==", 0)


def _gap(here: Watching, come: list[dict[str, Any]], leave: list[str]) -> list[str]:
    """Lets objects come and leave while the watch is silent, and then loses the history; what was marked for it."""
    # A watch that ends at once is a failure, which the next try waits for: each round begins with one that lasts.
    wait_for(
        lambda: here.watcher.status()["kinds"]["Ingress"]["failing"] is None, seconds=30, what="a watch that lasts"
    )
    here.switch("watches", {"action": "silence", "path": "/ingresses"})
    here.load(come)
    for name in leave:
        here.kube.delete(f"{INGRESSES}/{name}")
    here.marked.clear()
    here.switch("compact", {})
    here.switch("watches", {"action": "resume", "path": "/ingresses"})
    appeared = {f"{cluster.NAMESPACE}/{obj['metadata']['name']}" for obj in come}
    gone = {f"{cluster.NAMESPACE}/{name}" for name in leave}

    def done() -> bool:
        ids = here.mirror.ids("Ingress")
        return appeared <= ids and not gone & ids and here.followed()

    wait_for(done, seconds=20, what="the gap being noticed")
    return [key.rpartition("/")[2] for key in here.marked if key.startswith("status:")]


@dataclass(frozen=True)
class Lie:
    """A way in which an API server that is not well can look as if nothing were there."""

    name: str
    begin: Callable[[Watching], Any]


def _fault(**spec: Any) -> Callable[[Watching], Any]:
    return lambda here: here.switch("faults", {"method": "GET", "path": "/ingresses", "count": -1, **spec})


NO_LIST = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
LIES = (
    Lie("401 from everywhere", _fault(status=401, path="")),
    Lie("the token has expired", lambda here: here.switch("token", {"token": "another"})),
    Lie("200 without a list", _fault(status=200, body=NO_LIST)),
    Lie("an empty list without a version", _fault(status=200, body={"kind": "IngressList", "items": []})),
    Lie(
        "the right to list one kind is withdrawn",
        lambda here: here.switch("deny", {"verbs": ["list", "watch"], "resource": "ingresses"}),
    ),
    Lie("a kind answers 404", _fault(status=404)),
)


@scenario("no-knowledge", "the API server answers 401, 403, 404 or nonsense where a list is asked for")
def no_knowledge(folder: Path, scale: Scale) -> Iterator[Figure]:
    """All at the same time, each with a watcher, an API server and a part of Redis of its own; times are real."""
    seconds = scale.of(10, 90)
    with own_redis(folder) as redis_url, ThreadPoolExecutor(len(LIES)) as pool:
        found = list(pool.map(lambda lie: _believed(redis_url, lie, seconds), LIES))
    for lie, (unready, deleted) in zip(LIES, found, strict=True):
        yield Figure(f"{lie.name}: not ready after", unready, "<=", 10, "s")
        yield Figure(f"{lie.name}: deletions within {seconds} s", deleted, "==", 0)


def _believed(redis_url: str, lie: Lie, seconds: float) -> tuple[float, int]:
    """Seconds until the watcher was not ready, and the deletions that it believed."""
    with watching(redis_url, lie.name.replace(" ", "-")) as here:
        before = here.ids()
        lie.begin(here)
        began = time.monotonic()
        here.switch("watches", {"action": "close", "path": ""})
        wait_for(lambda: not here.watcher.ready(), seconds=30, what=f"{lie.name}: not being ready")
        unready = time.monotonic() - began
        time.sleep(max(0.0, seconds - unready))
        return unready, here.deleted() + sum(len(ids - here.ids()[kind]) for kind, ids in before.items())


@scenario("short-list", "a complete list suddenly lacks most of the cluster: once, or for good", shrunk=SHRUNK)
def short_list(folder: Path, scale: Scale) -> Iterator[Figure]:
    """A minute's waiting for the second list is three seconds here."""
    hosts = scale.of(30, 300)
    empty = {
        "kind": "IngressList",
        "apiVersion": "networking.k8s.io/v1",
        "metadata": {"resourceVersion": "1"},
        "items": [],
    }
    timing = Timing(confirm_after=60 / SHRUNK)
    with own_redis(folder) as redis_url:
        with watching(redis_url, "once", hosts=hosts, timing=timing) as here:
            here.switch("faults", {"method": "GET", "path": "/ingresses\\?limit", "status": 200, "body": empty})
            here.switch("compact", {})
            wait_for(lambda: here.watcher.status()["kinds"]["Ingress"]["held"], what="deletions being held")
            held = here.watcher.status()["kinds"]["Ingress"]["held"]
            wait_for(lambda: not here.watcher.status()["kinds"]["Ingress"]["held"], seconds=20, what="the second list")
            yield Figure("an empty list, once: deletions held", held, "==", hosts)
            yield Figure("an empty list, once: deletions", here.deleted(), "==", 0)
        with watching(redis_url, "for-good", hosts=hosts, timing=timing) as here:
            yield from _half_is_gone(here, hosts, timing.confirm_after)


def _half_is_gone(here: Watching, hosts: int, confirm_after: float) -> Iterator[Figure]:
    """Half of the Ingresses really go while nobody watches: believed at the second list and no sooner."""
    here.switch("watches", {"action": "silence", "path": "/ingresses"})
    for number in range(0, hosts, 2):
        here.kube.delete(f"{INGRESSES}/i{number:05d}")
    here.switch("compact", {})
    here.switch("watches", {"action": "resume", "path": "/ingresses"})
    wait_for(lambda: here.watcher.status()["kinds"]["Ingress"]["held"], what="deletions being held")
    began = time.monotonic()
    held = here.deleted()
    wait_for(here.deleted, seconds=20, what="the second list")
    waited = time.monotonic() - began
    wait_for(lambda: len(here.ids()["Ingress"]) == hosts // 2, what="the deletions")
    events = [item["reason"] for item in here.kube.get("/api/v1/events")["items"]]
    yield Figure("half is gone: deletions before a second list said so", held, "==", 0)
    yield Figure("half is gone: waited for the second list", waited, ">=", confirm_after * 0.8, "s (shrunk)")
    yield Figure("half is gone: deleted after it", here.deleted(), "==", hosts // 2)
    yield Figure("half is gone: Events that say so", events.count("MassDeleteHeld"), ">=", 1)
