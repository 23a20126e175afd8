"""SIGTERM to a worker: it ends soon and in order, and what it leaves undone is there for others at once.

The lease is far longer than these tests, so nothing that goes on after a worker's end is owed to a lease that ended.
There is one worker at a time: every write before its end is its own, and every one after it is another's.
"""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench import world as cluster
from cli.processes import Child
from shared.state import keys
from tests.e2e.scene import Scene
from tests.support import wait_for

HOSTS = range(0, 28, 2)  # these are TLS, so that each is a run of several writes
THREADS = 4
MOST_SECONDS = 10.0  # from SIGTERM to the end of the process
# A worker like any other, but its runs may go on for half a second after SIGTERM instead of eight.
IMPATIENT = """
import sys
import workers.app
from cli.main import main
workers.app.LEAVE_SECONDS = 0.5
sys.exit(main(["worker", "--health-port", "0"]))
"""
HOLD = 1.6  # seconds for which the controller holds an answer: longer than an impatient worker waits
POOL = "/api/pool?"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A cluster without hosts, a watcher, and no worker."""
    values = cluster.values(leaseTTL=120, readTimeout=5, concurrency=THREADS)
    with Scene(tmp_path, values, workers=0) as running:
        running.load(cluster.base())
        yield running


@dataclass(slots=True)
class End:
    """How a worker ended: its exit code, seconds after the first signal, when (`time.time()`), and its claims.

    `released`: of the keys that it held when it was told to end, when each was first seen not to be held any more.
    `late`: keys that it claimed afterwards. `left`: those that it held when it had ended.
    """

    code: int | None = None
    seconds: float = 0.0
    at: float = 0.0
    released: dict[str, float] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)


def claimed(scene: Scene, worker: Child) -> set[str]:
    """The keys that a worker, alive or not, has claimed."""
    return {key for key, claim in scene.state.hash("claim").items() if f"-{worker.pid}-" in claim}


def end(scene: Scene, worker: Child, *, signals: int = 1) -> End:
    """Sends SIGTERM, once or more often, and returns when the process has ended."""
    began, held, found = time.monotonic(), claimed(scene, worker), End()
    worker.stopping = True
    for number in range(1, signals + 1):
        worker.process.send_signal(signal.SIGTERM)
        wait_for(lambda number=number: shutdowns(worker) == number, what="the worker's answer to the signal")  # type: ignore[misc]
    told = time.monotonic() + 0.1  # a claim that was being asked for meanwhile is still one from before

    def ended() -> bool:
        gone, now = not worker.alive, claimed(scene, worker)
        if time.monotonic() < told:
            held.update(now)
        found.late |= now - held
        found.released.update(dict.fromkeys(held - found.released.keys() - now, time.time()))
        return gone

    wait_for(ended, seconds=2 * MOST_SECONDS, what="the end of the worker")
    found.seconds, found.at = time.monotonic() - began, time.time()
    found.code, found.left = worker.process.poll(), claimed(scene, worker)
    return found


def shutdowns(worker: Child) -> int:
    return worker.log.read_text().count("Warm shutdown")


def begin(scene: Scene) -> None:
    """Waits for the first census, then gives the worker many hosts to build."""
    wait_for(lambda: scene.state.fields("meta", ["ledger_complete"]) == ["1"], seconds=30, what="the first census")
    wait_for(scene.quiet, what="quiet")
    scene.forget_audit()
    scene.load([obj for number in HOSTS for obj in cluster.objects_of(number)])


def start_impatient(scene: Scene, name: str) -> Child:
    return scene.stack.family.spawn(name, [sys.executable, "-c", IMPATIENT], scene.stack.environ)


def ready(scene: Scene) -> set[str]:
    """The keys that whoever asks may claim now."""
    client = scene.state.client
    return {str(key) for name in ("ready:0", "ready:1") for key in client.zrange(scene.state.key(name), 0, -1)}


def writes(scene: Scene) -> list[dict[str, Any]]:
    """The calls that wrote, with the time `t` of their arrival."""
    return [call for call in scene.audit() if call["method"] != "GET"]


def of_host(call: dict[str, Any]) -> str:
    """The host's key, if it is an object of a host that a call writes."""
    found = re.search(r"h\d{5}\.example\.com", call.get("name", ""))
    return keys.host_key(found[0]) if found else ""


def check_end(scene: Scene, worker: Child, ended: End) -> None:
    """The worker has ended in order, and holds and writes nothing any more."""
    assert ended.code == 0, worker.tail()
    assert ended.seconds < MOST_SECONDS
    assert ended.left == set()
    assert ended.late == set()
    assert len(ended.released) >= THREADS, "the signal was to meet runs under way"
    assert not any(f"-{worker.pid}-" in name for name in scene.state.hash("slots"))
    assert "Traceback" not in worker.log.read_text()


def check_writes(calls: list[dict[str, Any]], ended: End) -> None:
    """Of the calls of this worker none came after its end, and none for a key that it had let go of."""
    assert calls
    assert [call for call in calls if call["t"] > ended.at] == []
    assert [call for call in calls if call["t"] > ended.released.get(of_host(call), ended.at)] == []


def check_all_is_done(scene: Scene) -> None:
    """Another worker finishes everything, makes nothing twice, and has nothing to write when all runs once more."""
    scene.stack.start_worker()
    scene.converged(*HOSTS)
    assert len(scene.ours("pool")) == len(HOSTS)
    made = [(call["path"], call["name"]) for call in writes(scene) if call["method"] == "POST"]
    assert len(made) == len(set(made))
    scene.forget_audit()
    scene.work().mark([*scene.all_keys(), keys.RESYNC], "change", "look again")
    wait_for(lambda: any(POOL in call["path"] for call in scene.audit()), what="a census")
    wait_for(scene.quiet, what="quiet")
    assert writes(scene) == []


def test_runs_that_end_in_time_are_finished(scene: Scene) -> None:
    """After SIGTERM, also after two, the runs under way are finished, no other begins, and the rest is for others."""
    for signals in (1, 2):
        worker = scene.stack.start_worker()
        if signals == 1:
            begin(scene)
            scene.avi_switch("latency", {"ms": 150})
        wait_for(lambda worker=worker: len(claimed(scene, worker)) == THREADS, what="runs under way")  # type: ignore[misc]
        ended = end(scene, worker, signals=signals)
        check_end(scene, worker, ended)
        check_writes(writes(scene), ended)
        assert "handed back" not in worker.log.read_text()
        built = {keys.host_key(fqdn) for fqdn in scene.state.hash("rows")}
        assert built >= {key for key in ended.released if key.startswith("host:")}
        assert len(built) < len(HOSTS), "there were to be hosts left to do"
        assert {keys.host_key(cluster.host(number)) for number in HOSTS} - built <= ready(scene)
    scene.avi_switch("latency", {"ms": 0})
    check_all_is_done(scene)


def test_runs_that_do_not_end_are_handed_back(scene: Scene) -> None:
    """Runs that outlast the patience lose their claims, write nothing more, and their keys are ready at once."""
    scene.avi_switch("faults", {"method": "POST", "path": re.escape(POOL), "timeout": HOLD, "count": -1})

    def held_up() -> list[dict[str, Any]]:
        return [call for call in writes(scene) if POOL in call["path"] and call["status"] is None]

    for signals in (1, 2):
        worker = start_impatient(scene, f"worker-impatient-{signals}")
        if signals == 1:
            begin(scene)
        wait_for(lambda: len(held_up()) == THREADS, what="runs held up by the controller")
        ended = end(scene, worker, signals=signals)
        check_end(scene, worker, ended)
        check_writes(writes(scene), ended)
        answered = {of_host(call): call["t"] + call["ms"] / 1000 for call in writes(scene) if POOL in call["path"]}
        assert all(at < answered[key] for key, at in ended.released.items()), "not before their calls were answered"
        assert all(f"{key} is handed back" in worker.log.read_text() for key in ended.released)
        assert {keys.host_key(cluster.host(number)) for number in HOSTS} <= ready(scene)
    scene.stack.avi_control("faults", method="DELETE")
    check_all_is_done(scene)
