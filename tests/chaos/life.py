"""What happens in the cluster of `churn`: one random change after the other, all of them through the API server.

An Ingress is created, replaced and deleted by ordinary calls, so that it is checked as any other, and what we wrote
into it stays when its owner changes it.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from bench import world as cluster
from shared.avi.client import AviClient
from shared.errors import KubeConflict
from tests.chaos import sorts
from tests.chaos.fresh import TENANT, UUIDS
from tests.e2e.scene import Scene

NETWORKING = "/apis/networking.k8s.io/v1"
ROUTE_LABEL = {"key": "clustername", "value": "bench"}


class Life:
    """The life of a cluster with up to `ingresses` Ingresses. `made` counts changes by kind, `seen` holds the sorts."""

    def __init__(self, scene: Scene, draw: random.Random, ingresses: int) -> None:
        self._scene, self._draw, self._most = scene, draw, ingresses
        self._there: dict[int, str] = {}  # the sort of each Ingress
        self._services: set[tuple[str, int]] = set()
        self._secrets: set[tuple[str, str]] = set()
        self._nodes: set[int] = set()
        self._served, self._tenants = set(sorts.NAMESPACES), dict.fromkeys(sorts.NAMESPACES, "")
        self._fleeting = True
        # Certificates are made once: any of them is a new one to a Secret that has another.
        self._certificates = [cluster.certificate.__wrapped__() for _ in range(4)]
        self._order = list(sorts.SORTS)
        self._draw.shuffle(self._order)
        self._next = 0
        self.made: Counter[str] = Counter()
        self.seen: set[str] = set()
        doings: list[tuple[int, Callable[[], None]]] = [
            (8, self._come), (6, self._go), (8, self._alter), (8, self._endpoints), (1, self._flicker),
            (3, self._class), (2, self._service), (2, self._rotate), (3, self._secret), (1, self._fleeting_class),
            (1, self._label), (1, self._tenant), (1, self._node), (1, self._default_secret),
        ]  # fmt: skip
        self._doings = [doing for weight, doing in doings for _ in range(weight)]

    def begin(self) -> None:
        """All that Ingresses stand on, and three quarters of the Ingresses."""
        spaces = (*sorts.NAMESPACES, sorts.BLOCKED)
        self._load(*(sorts.namespace(space) for space in spaces))
        self._load(sorts.ingress_class(sorts.OTHER_CLASS, "k8s.io/ingress-nginx"))
        self._load(sorts.ingress_class(sorts.FLEETING_CLASS, "ako.vmware.com/avi-lb"))
        self._services = {(space, number) for space in spaces for number in range(sorts.SERVICES)}
        self._load(*(sorts.service(*each) for each in sorted(self._services)))
        self._load(*(sorts.endpoint_slice(*each, self._draw) for each in sorted(self._services)))
        self.heal()
        for _ in range(3 * self._most // 4):
            self._come()

    def change(self) -> None:
        """Does one thing."""
        doing = self._draw.choice(self._doings)
        doing()
        self.made[doing.__name__.strip("_")] += 1

    def heal(self) -> None:
        """Every Secret is there."""
        pairs = {(space, f"cert{n}") for space in sorts.NAMESPACES for n in range(sorts.SECRETS)}
        self._give(*sorted((pairs | {(sorts.HOME, sorts.DEFAULT_SECRET)}) - self._secrets))

    def clear(self) -> None:
        """Every Ingress goes."""
        for number in list(self._there):
            self._remove(number)

    def statuses(self) -> list[str]:
        """The work keys of the statuses."""
        return [f"status:Ingress/{self._space(number)}/i{number:03d}" for number in self._there]

    # -- Ingresses -----------------------------------------------------------------------------------------------

    def _space(self, number: int) -> str:
        return sorts.BLOCKED if number % 20 == 19 else sorts.NAMESPACES[number % len(sorts.NAMESPACES)]

    def _path(self, number: int = -1) -> str:
        return f"{NETWORKING}/namespaces/{self._space(number)}/ingresses"

    def _ingress(self, number: int) -> dict[str, Any]:
        """An Ingress of the next sort; all of them come in turn."""
        sort = self._order[self._next % len(self._order)]
        self._next += 1
        self._there[number] = sort
        self.seen.add(sort)
        return sorts.ingress(sorts.Lot(self._draw, number), self._space(number), sort)

    def _come(self) -> None:
        missing = [number for number in range(self._most) if number not in self._there]
        if missing:
            number = self._draw.choice(missing)
            self._scene.kube.create(self._path(number), self._ingress(number))

    def _go(self) -> None:
        if len(self._there) > self._most // 2:
            self._remove(self._draw.choice(list(self._there)))

    def _remove(self, number: int) -> None:
        del self._there[number]
        self._scene.kube.delete(f"{self._path(number)}/i{number:03d}")

    def _flicker(self) -> None:
        """There and gone again before anybody looks."""
        before = set(self._there)
        self._come()
        for number in set(self._there) - before:
            self._remove(number)

    def _alter(self) -> None:
        """An Ingress becomes one of another sort: other hosts, paths, backends, TLS or none."""
        number = self._draw.choice(list(self._there))
        made, path = self._ingress(number), f"{self._path(number)}/i{number:03d}"
        while True:
            try:
                self._scene.kube.replace(path, sorts.altered(self._scene.kube.get(path), made))
                return
            except KubeConflict:
                continue  # its status was written in between

    def _class(self) -> None:
        """An Ingress is given to somebody else, or comes back."""
        number = self._draw.choice(list(self._there))
        chosen = self._draw.choice((sorts.CLASS, sorts.OTHER_CLASS, None))  # without one it has the default class
        self._scene.kube.patch(f"{self._path(number)}/i{number:03d}", {"spec": {"ingressClassName": chosen}})

    # -- what they stand on --------------------------------------------------------------------------------------

    def _load(self, *objects: dict[str, Any]) -> None:
        self._scene.load(list(objects))

    def _endpoints(self) -> None:
        each = self._draw.choice(sorted(self._services))
        self._load(sorts.endpoint_slice(*each, self._draw))

    def _service(self) -> None:
        """A Service goes or comes back; its endpoints stay behind, as they may for a while."""
        space, number = self._draw.choice(sorts.NAMESPACES), self._draw.randrange(sorts.SERVICES)
        if (space, number) in self._services:
            self._services.discard((space, number))
            self._scene.kube.delete(f"/api/v1/namespaces/{space}/services/web{number}")
        else:
            self._services.add((space, number))
            self._load(sorts.service(space, number))

    def _give(self, *which: tuple[str, str]) -> None:
        self._secrets.update(which)
        self._load(*(sorts.secret(space, name, self._draw.choice(self._certificates)) for space, name in which))

    def _rotate(self) -> None:
        if self._secrets:
            self._give(self._draw.choice(sorted(self._secrets)))

    def _secret(self) -> None:
        self._give_or_take(self._draw.choice(sorts.NAMESPACES), f"cert{self._draw.randrange(sorts.SECRETS)}")

    def _default_secret(self) -> None:
        self._give_or_take(sorts.HOME, sorts.DEFAULT_SECRET)

    def _give_or_take(self, space: str, name: str) -> None:
        if (space, name) in self._secrets:
            self._secrets.discard((space, name))
            self._scene.kube.delete(f"/api/v1/namespaces/{space}/secrets/{name}")
        else:
            self._give((space, name))

    def _fleeting_class(self) -> None:
        """A class of ours goes, and with it the Ingresses that name it; or comes back."""
        if self._fleeting:
            self._scene.kube.delete(f"{NETWORKING}/ingressclasses/{sorts.FLEETING_CLASS}")
        else:
            self._load(sorts.ingress_class(sorts.FLEETING_CLASS, "ako.vmware.com/avi-lb"))
        self._fleeting = not self._fleeting

    def _label(self) -> None:
        """A namespace loses the label by which it is served, or gets it back; at most one is without."""
        without = set(sorts.NAMESPACES) - self._served
        space = without.pop() if without else self._draw.choice(sorts.NAMESPACES)
        self._served ^= {space}
        self._namespace(space)

    def _tenant(self) -> None:
        """All that a namespace has moves to another tenant."""
        space = self._draw.choice(sorts.NAMESPACES)
        self._tenants[space] = "" if self._tenants[space] else sorts.TENANT
        self._namespace(space)

    def _namespace(self, space: str) -> None:
        self._load(sorts.namespace(space, served=space in self._served, tenant=self._tenants[space]))

    def _node(self) -> None:
        number = self._draw.randrange(4)
        if number in self._nodes:
            self._scene.kube.delete(f"/api/v1/nodes/extra{number}")
        else:
            self._load(sorts.node(number))
        self._nodes ^= {number}

    # -- broken by hand ------------------------------------------------------------------------------------------

    def break_things(self, avi: AviClient) -> Iterator[str]:
        """Changes what nobody repairs while the pipeline is stopped; yields the id of each, as `fresh` has it."""
        pools = [obj for page in avi.pages("pool") for obj in page.objects if obj["name"].startswith("bench--")]
        pool = next(obj for obj in pools if obj["tenant_ref"].endswith("#admin") and obj.get("servers"))
        avi.update("pool", pool["uuid"], {**pool, "servers": pool["servers"][1:]})
        yield f"pool/admin/{pool['name']}"
        copy = {name: part for name, part in pool.items() if name not in ("uuid", "url", "_last_modified")}
        orphan = json.loads(json.dumps(copy).replace(pool["name"][-4:], "i999"))  # of an Ingress that there never was
        avi.create("pool", orphan)
        yield f"pool/admin/{orphan['name']}"
        (vrf,) = [obj for page in avi.pages("vrfcontext") for obj in page.objects if obj["name"] == "global"]
        mine = next(row for row in vrf["static_routes"] if row.get("labels") == [ROUTE_LABEL])
        routes = [row for row in vrf["static_routes"] if row is not mine]
        avi.update("vrfcontext", vrf["uuid"], {**vrf, "static_routes": routes})
        yield "vrfcontext/admin/global"
        yield from self._break_statuses()

    def _break_statuses(self) -> Iterator[str]:
        items = [item for page in self._scene.kube.pages(f"{NETWORKING}/ingresses") for item in page.items]
        first, second, *_ = [item for item in items if item["metadata"].get("annotations", {}).get(UUIDS)]
        for item in (first, second):
            meta = item["metadata"]
            path = f"{NETWORKING}/namespaces/{meta['namespace']}/ingresses/{meta['name']}"
            rows = item["status"]["loadBalancer"]["ingress"]
            if item is first:  # the IPv6 address is forgotten
                self._scene.kube.patch(f"{path}/status", {"status": {"loadBalancer": {"ingress": rows[:-1]}}})
            else:
                self._scene.kube.patch(path, {"metadata": {"annotations": {TENANT: "wrong"}}})
            yield f"Ingress/{meta['namespace']}/{meta['name']}"
