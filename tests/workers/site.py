"""A cluster, a controller and one worker in this process: real Redis, real HTTP to the controller, no Celery."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from bench import world as cluster
from shared.avi.client import AviClient
from shared.errors import KubeNotFound
from shared.kinds import KINDS, kinds_for
from shared.settings import load
from shared.settings.model import Credentials
from shared.state import Mirror, State
from simulator.avi.app import AviSimulator
from simulator.server import running
from workers.assembly import build

PASSWORD = "only-for-this-test"


class Kube:
    """The calls that a worker makes to Kubernetes, over plain dicts."""

    url = "https://127.0.0.1:6443"

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {"/apis": {"kind": "APIGroupList", "groups": [{"name": "apps"}]}}
        self.events: list[str] = []
        self.patches: list[tuple[str, dict[str, Any]]] = []

    def get(self, path: str) -> dict[str, Any]:
        if path not in self.objects:
            raise KubeNotFound("not found", status=404, where=path)
        return self.objects[path]

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.patches.append((path, body))
        return {}

    def emit_event(
        self,
        kind: str,
        namespace: str,
        name: str,
        uid: str,
        *,
        type: str,  # noqa: A002
        reason: str,
        message: str,
    ) -> None:
        self.events.append(f"{kind}/{namespace}/{name} {type} {reason}: {message}")


class Site:
    """`apply` and `delete` change the cluster, `run` works until nothing is ready, `avi` is the controller."""

    def __init__(self, redis_url: str, avi_url: str, simulator: AviSimulator, **environ: str) -> None:
        self.redis_url = redis_url
        self.environ = environ
        self.avi_url = avi_url
        self.environment = {
            "CLUSTER_NAME": "bench",
            "CTRL_IPADDRESS": avi_url,
            "CNI_PLUGIN": "flannel",
            "NODE_NETWORK_LIST": '[{"networkName":"node-net","cidrs":["10.50.0.0/24"]}]',
            "VIP_NETWORK_LIST": '[{"networkName":"net1","cidr":"10.10.0.0/16"}]',
            "IP_FAMILY": "V4",
            "AKO_REDIS_URL": redis_url,
            **environ,
        }
        self.settings = load(environ.get("AKO_VALUES"), self.environment).settings
        self.simulator = simulator
        self.kube = Kube()
        credentials = Credentials("admin", PASSWORD)
        self.avi = AviClient(avi_url, credentials)
        self.worker = build(self.settings, credentials, self.kube, lambda keys, cause, wake: None)  # type: ignore[arg-type]
        self.state = State(redis_url, self.settings.cluster_name)
        self.mirror = Mirror(self.state)
        self.kinds = {kind.name: kind for kind in (*KINDS, *kinds_for(self.settings))}
        self.epoch = self.mirror.begin(self.settings.digest())
        self.apply(*cluster.base())
        self.mirror.complete(self.epoch)

    def changed(self, **environ: str) -> Site:
        """The same cluster and controller under other settings; this site is at its end."""
        self.close()
        made = Site(self.redis_url, self.avi_url, self.simulator, **environ)
        made.kube.objects = self.kube.objects
        return made

    def close(self) -> None:
        """Ends the connections to the controller."""
        self.avi.close()
        self.worker.avi.close()

    def apply(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            meta = {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "1", **obj["metadata"]}
            projection = self.kinds[obj["kind"]].project({**obj, "metadata": meta})
            self.mirror.apply(self.epoch, obj["kind"], [projection], [], "test")
            if obj["kind"] in {"Secret", "Ingress", "Service"}:
                kind = self.kinds[obj["kind"]]
                self.kube.objects[f"{kind.path}/namespaces/{meta['namespace']}/{kind.resource}/{meta['name']}"] = obj

    def delete(self, kind: str, *ids: str) -> None:
        self.mirror.apply(self.epoch, kind, [], ids, "test")

    def run(self) -> None:
        """Works until nothing is ready; debounces are skipped, delays after failures and waits are not."""
        while self.worker.reconciler.run([]) or self._debounced():
            self.state.client.delete(self.state.key("ended"))
            self.mark(self._debounced())

    def settle(self) -> None:
        """Works until nothing is left that could be done, what waits included."""
        for _ in range(6):
            self.run()
            self.bring_forward()
        self.run()

    def mark(self, keys: list[str]) -> None:
        """Wakes keys."""
        self.worker.reconciler.work.mark(keys, "wake", "test")

    def bring_forward(self) -> None:
        """Lets the time of every waiting key but the census come now, and that of the breaker's probe."""
        self.state.client.hdel(self.state.key("meta"), "probe_at")
        self.state.client.delete(self.state.key("ended"))
        self.mark([key for key in self._later() if key != "resync"])

    def _later(self) -> list[str]:
        return list(self.state.client.zrange(self.state.key("later"), 0, -1))

    def _debounced(self) -> list[str]:
        held = self.state.hash("waited").keys() | self.state.hash("failures").keys()
        kinds = ("shard:", "host:", "lb:", "lbshared:", "routes:")
        return [key for key in self._later() if key.startswith(kinds) and key not in held]

    def failures(self, key: str) -> int:
        return int(self.state.client.hget(self.state.key("failures"), key) or 0)

    def find(self, type_: str, name: str) -> dict[str, Any] | None:
        return self.avi.find(type_, name)

    def writes(self) -> list[tuple[str, str]]:
        """(method, path) of the calls that wrote since the audit was cleared."""
        shown = self.simulator.audit.shown(0)
        return [(c["method"], c["path"]) for c in shown if c["method"] != "GET" and "/api/" in c["path"]]

    def calls(self, method: str, type_: str) -> list[dict[str, Any]]:
        """The calls of one method for one type since the audit was cleared."""
        shown = self.simulator.audit.shown(0)
        return [c for c in shown if c["method"] == method and re.match(rf"/+api/{type_}(/|\?|$)", c["path"])]


@contextlib.contextmanager
def site(redis_url: str, **environ: str) -> Iterator[Site]:
    simulator = AviSimulator(username="admin", password=PASSWORD)
    with running(simulator.handle) as server:
        made = Site(redis_url, server.url, simulator, **environ)
        try:
            yield made
        finally:
            made.close()
