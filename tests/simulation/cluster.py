"""The simulated cluster: its objects, what happens to them, and a watcher's view of it.

Hosts whose number is below `STABLE` are never touched once they stand. The others come and go, move, get TLS and lose
it, share a host name between Ingresses; nodes come and go; endpoints change all the time.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable
from typing import Any

from bench import world
from shared.errors import KubeNotFound, KubeUnreachable
from shared.kinds import Projection, kinds_for
from shared.projection import STATUS_ANNOTATIONS
from shared.settings.model import Settings
from tests import pems
from tests.simulation.scheduler import Scheduler

STABLE, HOSTS = 3, 9
KEPT = "kept-lb"  # a Service of type LoadBalancer that is never touched
WRITTEN = frozenset({"Ingress", "Service"})  # kinds with a status of ours


class Cluster:
    """The objects by (kind, id), and the log of what changed: (kind, id, the object or None).

    `failures`: the share of the workers' calls to the API server that fail.
    """

    def __init__(self, settings: Settings) -> None:
        self.kinds = {kind.name: kind for kind in kinds_for(settings)}
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.log: list[tuple[str, str, dict[str, Any] | None]] = []
        self.failures = 0.0
        self._version = 0

    def apply(self, *objects: dict[str, Any]) -> None:
        """Creates or replaces objects; the status of one that was there stays."""
        for given in objects:
            self._version += 1
            obj = copy.deepcopy(given)
            meta = obj["metadata"]
            id_ = f"{meta['namespace']}/{meta['name']}" if "namespace" in meta else meta["name"]
            before = self.objects.get((obj["kind"], id_))
            uid = f"uid-{self._version}" if before is None else before["metadata"]["uid"]
            meta.update(uid=uid, creationTimestamp="2026-01-01T00:00:00Z", resourceVersion=str(self._version))
            if before is not None and obj["kind"] in WRITTEN:
                obj.setdefault("status", before.get("status", {}))
                found = before["metadata"].get("annotations") or {}
                ours = {name: text for name, text in found.items() if name in STATUS_ANNOTATIONS}
                meta["annotations"] = {**ours, **meta.get("annotations", {})}
            self._put(obj["kind"], id_, obj)

    def delete(self, kind: str, id_: str) -> None:
        """Removes an object if it is there."""
        if self.objects.pop((kind, id_), None) is not None:
            self.log.append((kind, id_, None))

    def merge(self, kind: str, id_: str, patch: dict[str, Any]) -> None:
        """A merge patch."""
        if (kind, id_) not in self.objects:
            raise KubeNotFound("not found", status=404, where=id_)
        self._version += 1
        obj = _merged(self.objects[kind, id_], patch)
        obj["metadata"]["resourceVersion"] = str(self._version)
        self._put(kind, id_, obj)

    def _put(self, kind: str, id_: str, obj: dict[str, Any]) -> None:
        self.objects[kind, id_] = obj
        self.log.append((kind, id_, obj))

    def projections(self, kind: str) -> list[Projection]:
        """What a list of the kind says now."""
        return [self.kinds[kind].project(obj) for (of, _), obj in self.objects.items() if of == kind]

    def statuses(self) -> dict[str, Any]:
        """Per Ingress and Service the host names of its status and how many addresses it has, for comparing runs."""
        found: dict[str, Any] = {}
        for (kind, id_), obj in self.objects.items():
            if kind in WRITTEN:
                rows = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
                found[f"{kind}/{id_}"] = sorted((row.get("hostname", ""), "ip" in row) for row in rows)
        return found


def _merged(obj: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    out = dict(obj) if isinstance(obj, dict) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = _merged(out.get(name), value)
    return out


class Kube:
    """The calls of the workers to the API server."""

    url = "https://10.0.0.2:6443"

    def __init__(self, cluster: Cluster, scheduler: Scheduler) -> None:
        self._cluster, self._scheduler = cluster, scheduler

    def _call(self, what: str) -> None:
        self._scheduler.pause(0.001, 0.02)
        if self._scheduler.draw.random() < self._cluster.failures:
            raise KubeUnreachable("no answer", where=what)

    def get(self, path: str) -> dict[str, Any]:
        self._call(path)
        parts = path.split("/")
        at = _KINDS[parts[-2]], f"{parts[-3]}/{parts[-1]}"
        if at not in self._cluster.objects:
            raise KubeNotFound("not found", status=404, where=path)
        return self._cluster.objects[at]

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._call(path)
        parts = path.removesuffix("/status").split("/")
        at = _KINDS[parts[-2]], f"{parts[-3]}/{parts[-1]}"
        self._cluster.merge(*at, body)
        return self._cluster.objects[at]

    def emit_event(self, *args: Any, **kwargs: Any) -> None:
        self._call("events")


_KINDS = {"secrets": "Secret", "ingresses": "Ingress", "services": "Service"}


def base() -> list[dict[str, Any]]:
    """What is there from the beginning."""
    hosts = (obj for number in range(STABLE) for obj in world.objects_of(number))
    return [*world.base(), *hosts, *load_balancer(KEPT)]


def load_balancer(name: str, *ports: tuple[str, int], **annotations: str) -> list[dict[str, Any]]:
    """A Service of type LoadBalancer and its EndpointSlice."""
    rows = [{"name": f"p{port}", "port": port, "protocol": protocol} for protocol, port in ports or (("TCP", 80),)]
    service = {
        "kind": "Service",
        "metadata": {"name": name, "namespace": world.NAMESPACE, "annotations": annotations},
        "spec": {"type": "LoadBalancer", "ports": rows},
    }
    slice_ = copy.deepcopy(world.endpoint_slice(1))
    slice_["metadata"].update(name=f"{name}-x", labels={"kubernetes.io/service-name": name})
    return [service, {**slice_, "ports": rows}]


def own_secret() -> dict[str, Any]:
    """The Secret that comes and goes, when it is good."""
    secret = copy.deepcopy(world.base()[-1])
    secret["metadata"]["name"] = "own"
    return secret


class Life:
    """What users do to the cluster, one thing after the other."""

    def __init__(self, cluster: Cluster, draw: random.Random) -> None:
        self._cluster, self._draw = cluster, draw
        self._states = itertools.cycle(("good", "spoilt", "good", "", "spoilt", ""))
        self._doings: tuple[Callable[[int], None], ...] = (
            self._come, self._come, self._come, self._go, self._go, self._flicker, self._endpoints, self._endpoints,
            self._move, self._share, self._secure, self._secret, self._node, self._class, self._serviceless,
            self._balance, self._balance, self._balance_together, self._claim_name, self._unbalance, self._another_type,
        )  # fmt: skip

    def step(self) -> str:
        """Does one thing; returns what."""
        number, do = self._draw.randrange(STABLE, HOSTS), self._draw.choice(self._doings)
        do(number)
        return f"{do.__name__.strip('_')} {number}"

    def _come(self, number: int) -> None:
        self._cluster.apply(*world.objects_of(number))

    def _go(self, number: int) -> None:
        for kind, id_ in (
            ("Ingress", f"i{number:05d}"),
            ("Service", f"s{number:05d}"),
            ("EndpointSlice", f"s{number:05d}-x"),
        ):
            self._cluster.delete(kind, f"{world.NAMESPACE}/{id_}")

    def _flicker(self, number: int) -> None:
        """There and gone again before anybody looks."""
        was = ("Ingress", f"{world.NAMESPACE}/i{number:05d}") in self._cluster.objects
        for do in (self._go, self._come) if was else (self._come, self._go):
            do(number)

    def _balance(self, number: int) -> None:
        """A Service with an address of its own, its ports different from time to time."""
        ports = (("TCP", 80), ("UDP", 53)) if self._draw.random() < 0.5 else (("TCP", 80 + self._draw.randrange(3)),)
        self._cluster.apply(*load_balancer(f"lb{number}", *ports))

    def _balance_together(self, number: int) -> None:
        """Services that share an address, as far as their ports allow."""
        key = {"ako.vmware.com/enable-shared-vip": f"vip{number % 2}"}
        self._cluster.apply(*load_balancer(f"lb{number}", ("TCP", 80 + self._draw.randrange(4)), **key))

    def _claim_name(self, number: int) -> None:
        """A Service wants the name of a host, or of another Service."""
        other = self._draw.choice(
            (world.host(number), f"lb{STABLE}.{world.NAMESPACE}.avi.internal", "claimed.example.com")
        )
        name = {"external-dns.alpha.kubernetes.io/hostname": f"own{number}.example.com,{other}"}
        self._cluster.apply(*load_balancer(f"lb{number}", **name))

    def _unbalance(self, number: int) -> None:
        self._cluster.delete("Service", f"{world.NAMESPACE}/lb{number}")

    def _another_type(self, number: int) -> None:
        """The Service is another controller's, or of another type."""
        service, _ = load_balancer(f"lb{number}")
        service["spec"].update(self._draw.choice(({"type": "ClusterIP"}, {"loadBalancerClass": "example.com/other"})))
        self._cluster.apply(service)

    def _endpoints(self, number: int) -> None:
        self._cluster.apply(world.endpoint_slice(number, change=self._draw.randrange(9)))

    def _ingress(self, number: int) -> dict[str, Any]:
        return copy.deepcopy(world.objects_of(number)[2])

    def _move(self, number: int) -> None:
        """The Ingress names another host."""
        ingress = self._ingress(number)
        host = world.host(self._draw.randrange(STABLE, HOSTS) + 100)
        ingress["spec"]["rules"][0]["host"] = host
        for row in ingress["spec"].get("tls", ()):
            row["hosts"] = [host]
        self._cluster.apply(ingress)

    def _share(self, number: int) -> None:
        """A second Ingress on the host, or no second one any more."""
        name = f"second{number}"
        if ("Ingress", f"{world.NAMESPACE}/{name}") in self._cluster.objects:
            self._cluster.delete("Ingress", f"{world.NAMESPACE}/{name}")
            return
        ingress = self._ingress(number)
        ingress["metadata"]["name"] = name
        ingress["spec"]["rules"][0]["http"]["paths"][0]["path"] = "/second"
        self._cluster.apply(ingress)

    def _secure(self, number: int) -> None:
        ingress = self._ingress(number)
        if not ingress["spec"].pop("tls", None):
            ingress["spec"]["tls"] = [{"hosts": [world.host(number)], "secretName": "own"}]
        self._cluster.apply(ingress)

    def _secret(self, number: int) -> None:
        """The Secret that some hosts name comes, gets a key that is not its own, comes right again, or goes."""
        state = next(self._states)
        if not state:
            self._cluster.delete("Secret", f"{world.NAMESPACE}/own")
            return
        secret = own_secret()
        if state == "spoilt":
            secret["data"]["tls.key"] = pems.data(*pems.pair())["tls.key"]
        self._cluster.apply(secret)

    def _node(self, number: int) -> None:
        name = f"extra{number % 3}"
        if ("Node", name) in self._cluster.objects:
            self._cluster.delete("Node", name)
            return
        node = copy.deepcopy(world.base()[2])
        node["metadata"]["name"] = name
        node["spec"] = {"podCIDRs": [f"10.244.{100 + number}.0/24"]}
        node["status"]["addresses"][0]["address"] = f"10.50.0.{100 + number}"
        self._cluster.apply(node)

    def _class(self, number: int) -> None:
        """The Ingress becomes somebody else's."""
        ingress = self._ingress(number)
        ingress["spec"]["ingressClassName"] = "other"
        self._cluster.apply(ingress)

    def _serviceless(self, number: int) -> None:
        self._cluster.delete("Service", f"{world.NAMESPACE}/s{number:05d}")
