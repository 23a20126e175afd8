"""The controller is away, is written to by others, refuses: nothing is doubled, lost, hammered or left dangling."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from shared.avi.references import find_references
from tests.chaos.figures import Figure, Scale, scenario
from tests.chaos.site import Site
from tests.support import wait_for

SHRUNK = 10.0
QUICK = [sys.executable, "-m", "tests.chaos.quick_worker", str(SHRUNK)]


@scenario(
    "controller-away", "the controller cuts every connection for minutes, then answers 503 and 429", shrunk=SHRUNK
)
def controller_away(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Begins with writes that take effect although their answer is lost. Times are given as they would be unshrunk."""
    hosts, away, busy = scale.of(12, 100), scale.of(40, 600), scale.of(20, 120)
    with Site(folder, hosts) as site:
        _hurry(site)
        site.scene.forget_audit()
        site.scene.avi_switch("faults", {"method": "POST", "path": "/api/", "reset": "after", "count": 3})
        site.add(*range(hosts, hosts + 5))
        wait_for(lambda: _lost(site) == 3, what="three lost answers")
        began = time.monotonic()
        calls, keys = _trouble(site, {"reset": "before"}, away)
        yield Figure("time without an answer", (time.monotonic() - began) * SHRUNK, ">=", away, "s")
        yield Figure("keys with work", keys, ">=", hosts)
        yield Figure("requests per key and 30 s meanwhile", calls / keys / (away / 30), "<=", 1)
        calls, keys = _trouble(site, {"status": 503}, busy / 2)
        more, _ = _trouble(site, {"status": 429}, busy / 2)
        yield Figure(f"requests per key in {busy} s of 503 and 429", (calls + more) / keys, "<=", 12)
        yield Figure("everything right after", site.settled(seconds=60) * SHRUNK, "<=", 60, "s")
        taken = sum(call["method"] == "POST" and call["status"] == 409 for call in site.writes())
        yield Figure("objects that were posted a second time", taken, "==", 0)
        yield from site.aftermath()


def _hurry(site: Site) -> None:
    """Replaces the workers by ones whose pauses are shrunk."""
    stack = site.scene.stack
    for number in range(site.kill_workers()):
        stack.family.spawn(f"worker-quick-{number}", QUICK, stack.environ)
    site.rescale(0)
    site.settled(seconds=30)


def _lost(site: Site) -> int:
    return sum(call["method"] == "POST" and call["status"] == 0 for call in site.calls())


def _trouble(site: Site, fault: dict[str, Any], seconds: float) -> tuple[int, int]:
    """Lets every call meet `fault` for so long, unshrunk, while every host changes; calls, and keys with work."""
    scene = site.scene
    scene.avi_switch("faults", {**fault, "count": -1})
    before = len(scene.stack.avi_control("audit")["calls"])
    end = time.monotonic() + seconds / SHRUNK
    site.rescale(*site.ingresses)
    time.sleep(max(0.0, end - time.monotonic()))
    calls, keys = len(scene.stack.avi_control("audit")["calls"]) - before, len(scene.unfinished())
    scene.stack.avi_control("faults", method="DELETE")
    return calls, keys


# -- references ------------------------------------------------------------------------------------------------------


@scenario("takedown", "hosts come, move and go at random, and then everything of ours is taken away at once")
def takedown(folder: Path, scale: Scale) -> Iterator[Figure]:
    """What refers to what is followed here from the bodies that were sent, and not asked of the simulator."""
    hosts, changes = scale.of(16, 150), scale.of(120, 2000)
    with Site(folder, hosts, workers=2) as site:
        for _ in range(changes):
            site.anything()
        site.settled(seconds=180)
        yield Figure("writes of a random life", len(site.writes()), ">=", changes // 4)
        yield _refusals(site)
        standing = References(site)
        site.scene.forget_audit()
        for number in list(site.ingresses)[::2]:
            site.remove(number)
        _set(site, "AKOSettings", deleteConfig=True)
        wait_for(lambda: not _ours(site), seconds=scale.of(60, 240), what="the end of everything of ours")
        dangling = sum(standing.dangling_after(call) for call in site.writes())
        deletes = site.deletes()
        yield Figure("objects to be taken away", standing.ours, ">=", hosts)
        yield Figure("deletes", deletes, ">=", standing.ours)
        yield Figure("steps that left a reference to nothing", dangling, "==", 0)
        yield _refusals(site)
        yield site.strangers.touched()


def _set(site: Site, section: str, **changes: Any) -> None:
    """Changes the values file of the running processes."""
    path = Path(site.scene.stack.environ["AKO_VALUES"])
    values = yaml.safe_load(path.read_text())
    values[section] = {**values.get(section, {}), **changes}
    path.write_text(yaml.safe_dump(values))


def _ours(site: Site) -> int:
    """How many objects of ours stand."""
    time.sleep(0.1)
    return sum(name.startswith("bench--") for objects in _dump(site).values() for name in objects)


def _dump(site: Site) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = site.scene.stack.avi_control("dump?volatile=1")
    return found


def _refusals(site: Site) -> Figure:
    """Writes that were refused for the sake of references, in percent.

    Two keys that run at the same time can meet: a shard lists what a host is about to delete. Neither knows of the
    other, the controller's refusal decides, and who was refused looks again.
    """
    said = [str(call.get("error", "")).lower() for call in site.writes() if call["status"] in {400, 404, 409}]
    refused = sum("referred by" in text or "not found" in text for text in said)
    return Figure("refused for the sake of references", 100 * refused / len(site.writes()), "<=", 2, "% of the writes")


class References:
    """The objects of a controller and what they refer to, brought forward write by write."""

    def __init__(self, site: Site) -> None:
        self._names: dict[str, str] = {}  # uuid -> type/name
        self._refers: dict[str, set[str]] = {}  # type/name -> type/name
        for type_, objects in _dump(site).items():
            for name, obj in objects.items():
                self._names[obj["uuid"]] = f"{type_}/{name}"
                obj.pop("vh_child_vs_uuid", None)  # the controller's own note of who refers to the parent
                self._refers[f"{type_}/{name}"] = set(_texts(obj))
        # What the dump spells type/name is a reference when there is such an object.
        for id_, texts in self._refers.items():
            self._refers[id_] = texts & self._refers.keys()
        self.ours = sum("/bench--" in id_ for id_ in self._refers)

    def dangling_after(self, call: dict[str, Any]) -> int:
        """How many objects refer to nothing once this write has happened; one that was refused changes nothing."""
        if call["status"] not in {200, 201, 204}:
            return 0
        path = call["path"].split("?")[0].split("/")
        id_ = self._names.get(path[3], "") if len(path) > 3 else f"{path[2]}/{call['name']}"
        if call["method"] == "DELETE":
            self._refers.pop(id_)
        else:
            self._refers[id_] = {self._target(each) for each in find_references(call["body"])}
        return sum(bool(targets - self._refers.keys()) for targets in self._refers.values())

    def _target(self, reference: Any) -> str:
        return self._names.get(reference.uuid or "") or f"{reference.type}/{reference.name}"


def _texts(value: Any) -> Iterator[str]:
    """Every text in a body."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
