"""Services of type LoadBalancer of all sorts, and their life: a table to which more sorts are added by a line.

Services are numbered; one that changes its sort keeps number, name and endpoints. Preferred addresses are made of the
number, so that no two Services want one; names and keys of shared VIPs are drawn from a few, so that many do. A few
Ingresses come and go beside them, on hosts that Services claim too.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from shared.avi.client import AviClient
from shared.errors import KubeConflict
from tests.chaos import sorts
from tests.chaos.fresh import CLUSTER_UUID, TENANT, UUIDS
from tests.e2e.scene import Scene

KEY = "ako.vmware.com/enable-shared-vip"
ADDRESS = "ako.vmware.com/load-balancer-ip"
NAMES = "external-dns.alpha.kubernetes.io/hostname"
MOST, RIVALS = 200, 8
PERSISTED = (CLUSTER_UUID, TENANT, UUIDS)

Made = tuple[dict[str, Any], dict[str, str]]
"""The spec and the annotations of a Service."""


def port(number: int, protocol: str = "TCP") -> dict[str, Any]:
    return {"name": f"{protocol.lower()}-{number}", "port": number, "targetPort": 8080, "protocol": protocol}


def one(lot: sorts.Lot) -> dict[str, Any]:
    """The first family of a Service, which never changes: that of its number."""
    return {"ipFamilies": ["IPv6" if lot.number % 3 == 0 else "IPv4"], "ipFamilyPolicy": "SingleStack"}


def two(lot: sorts.Lot, policy: str) -> dict[str, Any]:
    first = one(lot)["ipFamilies"][0]
    return {"ipFamilies": [first, "IPv4" if first == "IPv6" else "IPv6"], "ipFamilyPolicy": policy}


def families(lot: sorts.Lot) -> dict[str, Any]:
    """What a Service asks for: one family, or two, wished for or demanded."""
    policy = lot.draw.choice(("SingleStack", "PreferDualStack", "RequireDualStack"))
    return one(lot) if policy == "SingleStack" else two(lot, policy)


def _plain(lot: sorts.Lot) -> Made:
    return {"ports": [port(80)], **one(lot)}, {}


def _families(lot: sorts.Lot) -> Made:
    return {"ports": [port(443)], **families(lot)}, {}


def _ports(lot: sorts.Lot) -> Made:
    return {"ports": [port(number) for number in range(80, 80 + lot.draw.randint(2, 4))], **families(lot)}, {}


def _mixed(lot: sorts.Lot) -> Made:
    protocols = lot.draw.sample(("TCP", "UDP", "SCTP"), lot.draw.randint(1, 3))
    return {"ports": [port(53, protocol) for protocol in protocols], **families(lot)}, {}


def _preferred(lot: sorts.Lot) -> Made:
    spec, _ = _plain(lot)
    address = f"10.10.250.{lot.number}" if spec["ipFamilies"] == ["IPv4"] else f"2001:db8:10::b:{lot.number:x}"
    return {**spec, "loadBalancerIP": address}, {}


def _preferred_both(lot: sorts.Lot) -> Made:
    spec = {"ports": [port(80)], **two(lot, "RequireDualStack")}
    return spec, {ADDRESS: f"10.10.251.{lot.number}, 2001:db8:10::a:{lot.number:x}"}


def _outside(lot: sorts.Lot) -> Made:
    spec, _ = _plain(lot)
    return {**spec, "loadBalancerIP": "192.0.2.7"}, {}


def _names(lot: sorts.Lot) -> Made:
    spec, _ = _families(lot)
    return spec, {NAMES: f"l{lot.number}.{sorts.DOMAIN}, {lot.shared_host()}, other.example.org"}


def _automatic_name_of_another(lot: sorts.Lot) -> Made:
    spec, _ = _families(lot)
    other = lot.draw.randrange(MOST)
    return spec, {NAMES: f"lb{other:03d}.{sorts.NAMESPACES[other % len(sorts.NAMESPACES)]}.avi.internal"}


def _bad_names(lot: sorts.Lot) -> Made:
    return _plain(lot)[0], {NAMES: f"-no-, {lot.host('-LB')}"}


def _ranges(lot: sorts.Lot) -> Made:
    spec, _ = _families(lot)
    return {**spec, "loadBalancerSourceRanges": ["192.0.2.0/24", "2001:db8::/32"], "sessionAffinity": "ClientIP"}, {}


def _stopped(lot: sorts.Lot) -> Made:
    return _plain(lot)[0], {"ako.vmware.com/disable-traffic": "true"}


def _together(lot: sorts.Lot) -> Made:
    """Shares a VIP; some want a port or families that the others do not give them."""
    number = lot.draw.choice((80, 1000 + lot.number))
    spec = {"ports": [port(number)], **one(lot)}
    return spec, {KEY: f"key{lot.draw.randrange(3)}"}


def _together_at(lot: sorts.Lot) -> Made:
    """Those of a key ask for one address, which an older one without that wish, or of another family, has not."""
    key = lot.draw.randrange(3)
    spec = {"ports": [port(2000 + lot.number, lot.draw.choice(("TCP", "UDP")))], **one(lot)}
    last = lot.number % len(sorts.NAMESPACES) * 3 + key + 1
    address = f"10.10.252.{last}" if spec["ipFamilies"] == ["IPv4"] else f"2001:db8:10::c:{last:x}"
    return spec, {KEY: f"key{key}", ADDRESS: address}


def _together_by_no_key(lot: sorts.Lot) -> Made:
    return _plain(lot)[0], {KEY: "no key!"}


def _address_nonsense(lot: sorts.Lot) -> Made:
    return _families(lot)[0], {ADDRESS: lot.draw.choice(("nonsense", "10.10.1.1,10.10.1.2", "2001:db8:99::7"))}


def _of_others(lot: sorts.Lot) -> Made:
    return {**_plain(lot)[0], "loadBalancerClass": "example.com/other"}, {}


def _of_our_class(lot: sorts.Lot) -> Made:
    return {**_plain(lot)[0], "loadBalancerClass": "ako.vmware.com/avi-lb"}, {}


def _no_balancer(lot: sorts.Lot) -> Made:
    return {**_families(lot)[0], "type": "ClusterIP"}, {}


SORTS: dict[str, Callable[[sorts.Lot], Made]] = {
    each.__name__.strip("_").replace("_", " "): each
    for each in (
        _plain, _families, _ports, _mixed, _preferred, _preferred_both, _outside, _address_nonsense, _names,
        _automatic_name_of_another, _bad_names, _ranges, _stopped, _together, _together_at, _together_by_no_key,
        _of_others, _of_our_class, _no_balancer,
    )
}  # fmt: skip


class Life:
    """The life of a cluster with up to `services` Services; see `tests.chaos.life`."""

    def __init__(self, scene: Scene, draw: random.Random, services: int) -> None:
        self._scene, self._draw, self._most = scene, draw, services
        self._there: dict[int, str] = {}
        self._rivals: set[int] = set()
        self._served, self._tenants = set(sorts.NAMESPACES), dict.fromkeys(sorts.NAMESPACES, "")
        self._order = list(SORTS)
        self._draw.shuffle(self._order)
        self._next = 0
        self.made: Counter[str] = Counter()
        self.seen: set[str] = set()
        doings: list[tuple[int, Callable[[], None]]] = [
            (8, self._come), (6, self._go), (8, self._alter), (8, self._endpoints), (1, self._flicker),
            (1, self._label), (1, self._tenant), (4, self._class), (2, self._another), (2, self._rival),
        ]  # fmt: skip
        self._doings = [doing for weight, doing in doings for _ in range(weight)]

    def begin(self) -> None:
        """Namespaces, and three quarters of the Services."""
        self._scene.load([sorts.namespace(space) for space in sorts.NAMESPACES])
        for _ in range(3 * self._most // 4):
            self._come()

    def change(self) -> None:
        """Does one thing."""
        doing = self._draw.choice(self._doings)
        doing()
        self.made[doing.__name__.strip("_")] += 1

    def heal(self) -> None:
        """Nothing that a Service stands on is ever missing."""

    def clear(self) -> None:
        """Every Service and every Ingress goes."""
        for number in list(self._there):
            self._remove(number)
        for number in list(self._rivals):
            self._take(number)

    def statuses(self) -> list[str]:
        """The work keys of the statuses."""
        rivals = [f"status:Ingress/{self._space(number)}/i{number:03d}" for number in self._rivals]
        return [f"status:Service/{self._space(number)}/lb{number:03d}" for number in self._there] + rivals

    def _space(self, number: int) -> str:
        return sorts.NAMESPACES[number % len(sorts.NAMESPACES)]

    def _path(self, number: int) -> str:
        return f"/api/v1/namespaces/{self._space(number)}/services"

    def _service(self, number: int) -> dict[str, Any]:
        """A Service of the next sort; all of them come in turn."""
        sort = self._order[self._next % len(self._order)]
        self._next += 1
        self._there[number] = sort
        self.seen.add(sort)
        spec, annotations = SORTS[sort](sorts.Lot(self._draw, number))
        meta = {"name": f"lb{number:03d}", "namespace": self._space(number), "annotations": annotations}
        return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"type": "LoadBalancer", **spec}}

    def _come(self) -> None:
        missing = [number for number in range(self._most) if number not in self._there]
        if missing:
            number = self._draw.choice(missing)
            self._scene.kube.create(self._path(number), self._service(number))
            self._pods(number)

    def _go(self) -> None:
        if len(self._there) > self._most // 2:
            self._remove(self._draw.choice(list(self._there)))

    def _remove(self, number: int) -> None:
        del self._there[number]
        self._scene.kube.delete(f"{self._path(number)}/lb{number:03d}")

    def _flicker(self) -> None:
        """There and gone again before anybody looks."""
        before = set(self._there)
        self._come()
        for number in set(self._there) - before:
            self._remove(number)

    def _another(self) -> None:
        """Gone, and another one of the same name there at once."""
        number = self._draw.choice(list(self._there))
        self._remove(number)
        self._scene.kube.create(self._path(number), self._service(number))

    def _alter(self) -> None:
        """A Service becomes one of another sort: other ports, families, address, class or type."""
        number = self._draw.choice(list(self._there))
        made = self._service(number)

        def changed(there: dict[str, Any]) -> dict[str, Any]:
            annotations = there["metadata"].get("annotations") or {}
            kept = {name: text for name, text in annotations.items() if name in PERSISTED}
            meta = {**there["metadata"], "annotations": {**kept, **made["metadata"]["annotations"]}}
            return {**there, "metadata": meta, "spec": made["spec"]}

        self._replace(number, changed)

    def _class(self) -> None:
        """A Service is given to somebody else, or comes back: by way of another type, as an API server demands it."""
        number = self._draw.choice(list(self._there))
        chosen = self._draw.choice(("ako.vmware.com/avi-lb", "example.com/other", None))  # None: the default

        def changed(there: dict[str, Any], **more: Any) -> dict[str, Any]:
            spec = {name: part for name, part in there["spec"].items() if name != "loadBalancerClass"}
            return {**there, "spec": {**spec, **more}}

        self._replace(number, lambda there: changed(there, type="ClusterIP"))
        more = {"loadBalancerClass": chosen} if chosen else {}
        self._replace(number, lambda there: changed(there, type="LoadBalancer", **more))

    def _replace(self, number: int, changed: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        path = f"{self._path(number)}/lb{number:03d}"
        while True:
            try:
                self._scene.kube.replace(path, changed(self._scene.kube.get(path)))
                return
            except KubeConflict:
                continue  # its status was written in between

    def _rival(self) -> None:
        """An Ingress comes, on a host that Services may claim, or goes."""
        number = self._draw.randrange(RIVALS)
        if number in self._rivals:
            self._take(number)
            return
        self._rivals.add(number)
        made = sorts.ingress(sorts.Lot(self._draw, number), self._space(number), "a path of a shared host")
        self._scene.kube.create(self._ingresses(number), made)

    def _take(self, number: int) -> None:
        self._rivals.discard(number)
        self._scene.kube.delete(f"{self._ingresses(number)}/i{number:03d}")

    def _ingresses(self, number: int) -> str:
        return f"/apis/networking.k8s.io/v1/namespaces/{self._space(number)}/ingresses"

    def _endpoints(self) -> None:
        self._pods(self._draw.choice(list(self._there)))

    def _pods(self, number: int) -> None:
        """None to three pods, with addresses of both families, at the ports that the Service has now."""
        name, draw = f"lb{number:03d}", self._draw
        there = self._scene.kube.get(f"{self._path(number)}/{name}")["spec"]["ports"]
        ports = [{"name": each["name"], "port": 8080, "protocol": each["protocol"]} for each in there]
        for kind, address in (("IPv4", "10.244.1.{}"), ("IPv6", "2001:db8:244:1::{}")):
            pods = [address.format(last) for last in draw.sample(range(1, 99), draw.randrange(4))]
            made = {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{name}-{kind.lower()}",
                    "namespace": self._space(number),
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": kind,
                "ports": ports,
                "endpoints": [{"addresses": [pod], "conditions": {"ready": draw.random() < 0.9}} for pod in pods],
            }
            self._scene.load([made])

    def _label(self) -> None:
        """A namespace loses the label by which it is served, or gets it back; at most one is without."""
        without = set(sorts.NAMESPACES) - self._served
        self._served ^= {without.pop() if without else self._draw.choice(sorts.NAMESPACES)}
        self._namespaces()

    def _tenant(self) -> None:
        """All that a namespace has moves to another tenant."""
        space = self._draw.choice(sorts.NAMESPACES)
        self._tenants[space] = "" if self._tenants[space] else sorts.TENANT
        self._namespaces()

    def _namespaces(self) -> None:
        for space in sorts.NAMESPACES:
            made = sorts.namespace(space, served=space in self._served, tenant=self._tenants[space])
            self._scene.load([made])

    def break_things(self, avi: AviClient) -> Iterator[str]:
        """Changes what nobody repairs while the pipeline is stopped; yields the id of each, as `fresh` has it."""
        pools = [obj for page in avi.pages("pool") for obj in page.objects if obj["name"].startswith("bench--")]
        pool = next(obj for obj in pools if obj["tenant_ref"].endswith("#admin") and obj.get("servers"))
        avi.update("pool", pool["uuid"], {**pool, "servers": pool["servers"][1:]})
        yield f"pool/admin/{pool['name']}"
        policies = [obj for page in avi.pages("l4policyset") for obj in page.objects if "#admin" in obj["tenant_ref"]]
        rules = policies[0]["l4_connection_policy"]["rules"]
        text = json.dumps(rules[0]["match"]["port"]["ports"])
        changed = json.loads(json.dumps(policies[0]).replace(f'"ports": {text}', '"ports": [9]'))
        avi.update("l4policyset", changed["uuid"], changed)
        yield f"l4policyset/admin/{changed['name']}"
        items = [item for page in self._scene.kube.pages("/api/v1/services") for item in page.items]
        first, second, third, *_ = [item for item in items if item["metadata"].get("annotations", {}).get(TENANT)]
        paths = {}
        for item in (first, second, third):
            meta = item["metadata"]
            paths[f"Service/{meta['namespace']}/{meta['name']}"] = (
                f"/api/v1/namespaces/{meta['namespace']}/services/{meta['name']}"
            )
        broken = list(paths.items())
        self._scene.kube.patch(f"{broken[0][1]}/status", {"status": {"loadBalancer": {"ingress": None}}})
        self._scene.kube.patch(broken[1][1], {"metadata": {"annotations": {TENANT: "wrong"}}})
        wrong = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.99"}]}}}
        self._scene.kube.patch(f"{broken[2][1]}/status", wrong)
        yield from paths
