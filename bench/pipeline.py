"""The whole pipeline over real processes: watcher, workers, Redis and both simulators share this machine's cores."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import requests

from bench import world
from cli.stack import Stack


class Measured:
    """A running stack with a loaded world, and ways to look at both simulators."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.kube = stack.kube_client()
        self.http = requests.Session()
        self.http.trust_env = False

    def load(self, objects: list[dict[str, Any]]) -> None:
        """Puts objects into the cluster at once."""
        self.stack.kube_control("load", objects)

    def audit(self) -> list[dict[str, Any]]:
        """Every call that the controller has answered."""
        answer = self.http.get(f"{self.stack.avi_url}/simulator/audit", timeout=60)
        calls: list[dict[str, Any]] = answer.json()["calls"]
        return calls

    def clear_audit(self) -> None:
        """Forgets the calls so far."""
        self.stack.avi_control("audit", method="DELETE")

    def writes(self) -> list[dict[str, Any]]:
        """The calls that wrote."""
        return [
            call for call in self.audit() if call["method"] in {"POST", "PUT", "DELETE"} and "/api/" in call["path"]
        ]

    def dump(self, types: str = "") -> dict[str, list[dict[str, Any]]]:
        """The objects on the controller, by type; only some `types` (comma-separated) if given."""
        found: dict[str, dict[str, dict[str, Any]]] = self.stack.avi_control(f"dump?type={types}" if types else "dump")
        return {type_: list(objects.values()) for type_, objects in found.items()}

    def statuses(self) -> int:
        """How many Ingresses carry an address."""
        items = [
            item for page in self.kube.pages("/apis/networking.k8s.io/v1/ingresses", limit=0) for item in page.items
        ]
        return sum(1 for item in items if item.get("status", {}).get("loadBalancer", {}).get("ingress"))


def until(condition: Any, seconds: float, pause: float = 0.05) -> float:
    """Waits; returns the time at which the condition was seen to hold."""
    end = time.time() + seconds
    while time.time() < end:
        if condition():
            return time.time()
        time.sleep(pause)
    raise TimeoutError(f"not converged within {seconds} s")


def expected(hosts: int) -> dict[str, int]:
    """How many objects of the measured cluster must stand for this many hosts (half of them TLS)."""
    tls = (hosts + 1) // 2
    return {"pool": hosts, "sslkeyandcertificate": tls, "httppolicyset": tls, "virtualservice": tls, "poolgroup": tls}


def _listed(measured: Measured, hosts: int) -> bool:
    """Every host is listed by its shared parent; a look that costs the simulator little."""
    return sum(len(obj.get("dns_info", [])) - 1 for obj in measured.dump("vsvip").get("vsvip", [])) == hosts


def _complete(measured: Measured, hosts: int) -> bool:
    """Every host's objects stand, and every host is listed by its shared parent."""
    if not _listed(measured, hosts):
        return False
    dump = measured.dump()
    ours = {type_: [obj for obj in objects if obj["name"].startswith("bench--")] for type_, objects in dump.items()}
    if any(len(ours.get(type_, [])) < number for type_, number in expected(hosts).items()):
        return False
    groups = [obj for obj in ours["poolgroup"] if "Shared-L7-" in obj["name"]]
    return sum(len(obj.get("members", [])) for obj in groups) == hosts // 2


def cold(hosts: int, latency_ms: int, workers: int) -> dict[str, float]:
    """Cold sync: everything but the watcher is up, the world is in the cluster, then the watcher starts."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Stack(Path(directory), values=world.values(), workers=workers, watcher=False) as stack,
    ):
        measured = Measured(stack)
        measured.load(world.world(hosts))
        stack.avi_control("latency", {"ms": latency_ms})
        before = _cpu(stack)
        began = time.time()
        stack.start_watcher()
        objects = until(lambda: _complete(measured, hosts), 300, 0.2) - began
        statuses = until(lambda: measured.statuses() == hosts, 300, 0.2) - began
        after = _cpu(stack)
        used = {name: after[name] - before.get(name, 0.0) for name in after}
        return {"objects": objects, "statuses": statuses, **used, **memory(stack)}


def latency(changes: int = 200, hosts: int = 300) -> dict[str, float]:
    """Milliseconds from an endpoint change to its PUT at the controller, one at a time and all at once."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Stack(Path(directory), values=world.values(), workers=2, watcher=False) as stack,
    ):
        measured = Measured(stack)
        measured.load(world.world(hosts))
        stack.start_watcher()
        converged(measured, hosts)
        single = [_one_change(measured, number % hosts, change=1 + number // hosts) for number in range(changes)]
        burst = _burst(measured, hosts)
    return {
        "single change, median ms": statistics.median(single),
        "single change, p99 ms": statistics.quantiles(single, n=100)[98],
        "300 changes at once: the last, ms": burst,
    }


def converged(measured: Measured, hosts: int) -> None:
    """Waits until everything stands and nothing more is written."""
    until(lambda: _complete(measured, hosts) and measured.statuses() == hosts, 120, 0.2)
    settle(measured)


def settle(measured: Measured, quiet: float = 3.0) -> None:
    """Waits until nothing was written for a while."""
    while True:
        measured.clear_audit()
        time.sleep(quiet)
        if not measured.writes():
            return


def _one_change(measured: Measured, number: int, change: int) -> float:
    measured.clear_audit()
    item = world.endpoint_slice(number, change)
    path = f"/apis/discovery.k8s.io/v1/namespaces/{world.NAMESPACE}/endpointslices/{item['metadata']['name']}"
    began = time.time()
    measured.kube.patch(path, {"endpoints": item["endpoints"]})
    until(lambda: any(call["method"] == "PUT" for call in measured.writes()), 30, 0.002)
    (put,) = [call for call in measured.writes() if call["method"] == "PUT"]
    return (put["t"] - began) * 1000


def _burst(measured: Measured, hosts: int) -> float:
    measured.clear_audit()
    changed = [world.endpoint_slice(number, change=7) for number in range(hosts)]
    began = time.time()
    measured.load(changed)
    until(lambda: len([call for call in measured.writes() if call["method"] == "PUT"]) >= hosts, 120, 0.1)
    return (max(call["t"] for call in measured.writes() if call["method"] == "PUT") - began) * 1000


def _cpu(stack: Stack) -> dict[str, float]:
    """CPU seconds so far, by role."""
    totals: dict[str, float] = {"avi": 0, "kube": 0, "redis": 0, "watcher": 0, "workers": 0}
    for name, child in stack.processes().items():
        times = psutil.Process(child.pid).cpu_times()
        totals["workers" if name.startswith("worker") else name] += times.user + times.system
    return totals


def memory(stack: Stack) -> dict[str, float]:
    """Resident megabytes of the watcher and of the largest worker."""
    sizes: dict[str, list[float]] = {"watcher": [], "worker": []}
    for name, child in stack.processes().items():
        role = name.partition("-")[0]
        if role in sizes:
            sizes[role].append(psutil.Process(child.pid).memory_info().rss / 1e6)
    return {"watcher_rss": max(sizes["watcher"]), "worker_rss": max(sizes["worker"])}
