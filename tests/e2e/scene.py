"""A running stack as the end-to-end tests see it: what to change, and what to look at."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from bench import world as cluster
from cli.processes import Child
from cli.stack import Stack
from shared.state import State, Work, keys
from tests.support import wait_for


class Scene:
    """One pipeline of its own processes; watcher and workers are killed at the end."""

    def __init__(
        self,
        directory: Path,
        values: dict[str, Any],
        *,
        foreign: int = 0,
        workers: int = 2,
        cluster: str = "bench",
        watcher: bool = True,
    ) -> None:
        self.cluster = cluster
        seed = ["--seed-foreign", str(foreign)] if foreign else []
        self.stack = Stack(directory, values=values, workers=workers, watcher=watcher, avi_args=seed)
        self.directory = directory

    def __enter__(self) -> Scene:
        self.stack.__enter__()
        self.state = State(self.stack.redis_url, self.cluster)
        self.kube = self.stack.kube_client()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state.close()
        # Ending in order takes more than a second that nobody learns from; test_shutdown looks at it.
        for name in self.pids():
            if name.startswith(("watcher", "worker")):
                self.stack.kill(name)
        self.stack.__exit__(kind, error, trace)

    # -- what to change ------------------------------------------------------------------------------------------

    def load(self, objects: list[dict[str, Any]]) -> None:
        """Creates or replaces objects."""
        self.stack.kube_control("load", objects)

    def avi_load(self, objects: Any) -> None:
        """Puts recorded objects onto the controller."""
        self.stack.avi_control("load", objects)

    def avi_switch(self, path: str, body: Any) -> None:
        """Turns a switch of the controller simulator."""
        self.stack.avi_control(f"{path}", body)

    def restart(self, values: dict[str, Any] | None = None) -> None:
        """Stops watcher and workers, and starts one of each, with other settings if they are given."""
        self.stop_pipeline()
        if values is not None:
            path = self.directory / "other-values.yaml"
            path.write_text(yaml.safe_dump(values))
            self.stack.environ["AKO_VALUES"] = str(path)
        self.stack.start_worker()
        self.stack.start_watcher()

    def stop_pipeline(self) -> None:
        """Stops watcher and workers."""
        self.stack.family.stop([name for name in self.stack.processes() if name.startswith(("watcher", "worker"))])

    def pids(self) -> dict[str, int]:
        """The live processes by name."""
        return {name: child.pid for name, child in self.stack.processes().items() if child.alive}

    # -- what to look at -----------------------------------------------------------------------------------------

    def dump(self) -> dict[str, list[dict[str, Any]]]:
        """Every object on the controller, by type."""
        found: dict[str, dict[str, dict[str, Any]]] = self.stack.avi_control("dump")
        return {type_: list(objects.values()) for type_, objects in found.items()}

    def ours(self, type_: str) -> dict[str, dict[str, Any]]:
        """Our objects of a type, by name."""
        return {obj["name"]: obj for obj in self.dump().get(type_, []) if obj["name"].startswith(f"{self.cluster}--")}

    def foreign(self) -> dict[str, Any]:
        """All that is not ours: objects, and entries of others inside the VRF."""
        found: dict[str, Any] = {}
        for type_, objects in self.dump().items():
            for obj in objects:
                if type_ == "vrfcontext":
                    routes = [row for row in obj.get("static_routes", []) if not _labelled(row, self.cluster)]
                    found[f"{type_}/{obj['name']}/routes"] = routes
                elif type_ == "serviceenginegroup" or obj["name"].startswith(f"{self.cluster}--"):
                    continue
                else:
                    found[f"{type_}/{obj['name']}"] = _without_back_references(obj)
        return found

    def audit(self) -> list[dict[str, Any]]:
        """The calls to the controller so far."""
        calls: list[dict[str, Any]] = self.stack.avi_control("audit")["calls"]
        return [call for call in calls if "/api/" in call["path"]]

    def forget_audit(self) -> None:
        """Begins a new audit."""
        self.stack.avi_control("audit", method="DELETE")

    def writes(self) -> list[tuple[str, str]]:
        """(method, path) of the calls that wrote."""
        return [(call["method"], call["path"]) for call in self.audit() if call["method"] != "GET"]

    def status(self, number: int) -> list[dict[str, str]]:
        """The addresses in the status of an Ingress."""
        return self.ingress_status(cluster.NAMESPACE, f"i{number:05d}")

    def ingress_status(self, namespace: str, name: str) -> list[dict[str, str]]:
        """The addresses in the status of an Ingress."""
        found = self.kube.get(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{name}")
        rows: list[dict[str, str]] = found.get("status", {}).get("loadBalancer", {}).get("ingress", [])
        return rows

    def events(self) -> list[str]:
        """Every Event as `reason: message`."""
        return [f"{item['reason']}: {item['message']}" for item in self.kube.get("/api/v1/events")["items"]]

    def warnings(self, kind: str, name: str) -> list[str]:
        """The warnings on one object."""
        return [
            item["message"]
            for item in self.kube.get("/api/v1/events")["items"]
            if item["type"] == "Warning"
            and item["involvedObject"]["kind"] == kind
            and item["involvedObject"]["name"] == name
        ]

    def unfinished(self) -> list[str]:
        """Keys that are ready, claimed, or wait for something (but not the next census)."""
        with self.state.client.pipeline() as at_once:  # a key that moves between two looks would be seen in neither
            for name in ("ready:0", "ready:1", "claims", "later"):
                at_once.zrange(self.state.key(name), 0, -1)
            return [key for found in at_once.execute() for key in found if key != keys.RESYNC]

    # -- waiting -------------------------------------------------------------------------------------------------

    def converged(self, *numbers: int, seconds: float = 30) -> None:
        """Waits until these hosts are served, with status, and nothing is left to do."""

        def done() -> bool:
            return all(self.status(number) for number in numbers) and self.quiet()

        wait_for(done, seconds=seconds, what=f"hosts {numbers} being served")

    def quiet(self) -> bool:
        """Nothing is left to do."""
        return not self.unfinished()

    def workers(self) -> list[str]:
        """The names of the live workers."""
        return [name for name in self.pids() if name.startswith("worker")]

    def work(self) -> Work:
        """The work protocol, as a test may mark keys."""
        digest = self.state.fields("meta", ["digest"])[0] or ""
        return Work(self.state, worker="test", digest=digest, lease_ttl=3)

    def all_keys(self) -> list[str]:
        """Every key that owns something."""
        shared = [keys.routes_key("admin", "global"), keys.segroup_key("Default-Group")]
        return sorted(set(self.state.hash("owner").values())) + shared

    def doomed_worker(self, point: str, key: str, count: int, mark: Path) -> Child:
        """Starts a worker that kills itself at a point; see doomed_worker.py."""
        doom = {"DOOM_POINT": point, "DOOM_KEY": key, "DOOM_COUNT": str(count), "DOOM_MARK": str(mark)}
        command = [sys.executable, "-m", "tests.e2e.doomed_worker"]
        return self.stack.family.spawn("worker-doomed", command, {**self.stack.environ, **doom})


def _labelled(route: dict[str, Any], cluster: str) -> bool:
    return any(row == {"key": "clustername", "value": cluster} for row in route.get("labels", []))


def _without_back_references(obj: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in obj.items() if not re.search("_last_modified|discovered", name)}
