"""The Services of type LoadBalancer of a `Site`: dual stack, one port, as many pods as make load M of three thousand.

What is wanted of the controller is computed here from the Services as they were last loaded, as `Site` does it for its
Ingresses.
"""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass
from typing import Any

from bench import world as cluster
from tests.e2e.scene import Scene

SERVICES = f"/api/v1/namespaces/{cluster.NAMESPACE}/services"
ENDPOINTS = 24
AUTOMATIC = "avi.internal"  # the first domain of the simulator's cloud


@dataclass(slots=True)
class Shape:
    """A Service as it was last loaded; `change` numbers its endpoints."""

    port: int = 80
    change: int = 0


class Balanced:
    """Up to `count` of them; nothing is loaded before `add`."""

    def __init__(self, scene: Scene, count: int) -> None:
        self._scene = scene
        self.count = count
        self.there: dict[int, Shape] = {}

    def add(self, *numbers: int) -> None:
        """Creates Services with their endpoints."""
        for number in numbers:
            self.there[number] = Shape()
        self._scene.load([obj for number in numbers for obj in (self._service(number), self._slice(number))])

    def anything(self, draw: random.Random) -> None:
        """One random change: mostly of endpoints."""
        number = draw.randrange(self.count)
        shape = self.there.get(number)
        if shape is None:
            self.add(number)
        elif draw.random() < 0.8:
            shape.change += 1
            self._scene.load([self._slice(number)])
        elif draw.random() < 0.5:
            shape.port += 1
            self._scene.load([self._service(number)])
        else:
            del self.there[number]
            self._scene.kube.delete(f"{SERVICES}/{_name(number)}")

    def wanted(self) -> dict[str, Any]:
        """What must stand for them, by what it is."""
        found: dict[str, Any] = {}
        for number, shape in self.there.items():
            name = f"bench--{cluster.NAMESPACE}-{_name(number)}"
            found[f"virtualservice {name}"] = found[f"l4policyset {name}"] = True
            found[f"pool {name}-TCP-{shape.port}"] = set(_addresses(number, shape.change))
            fqdn = f"{_name(number)}.{cluster.NAMESPACE}.{AUTOMATIC}"
            found[f"fqdn {fqdn}"] = True
            found[f"status {_name(number)}"] = [(fqdn, 4), (fqdn, 6)]
        return found

    def statuses(self) -> dict[str, Any]:
        """What stands in the status of each: names and the versions of the addresses, in their order."""
        items = [item for page in self._scene.kube.pages(SERVICES, limit=0) for item in page.items]
        found = {}
        for item in items:
            if item["spec"]["type"] == "LoadBalancer":
                rows = item.get("status", {}).get("loadBalancer", {}).get("ingress") or []
                told = [(row.get("hostname"), ipaddress.ip_address(row["ip"]).version) for row in rows]
                found[f"status {item['metadata']['name']}"] = told
        return found

    def _service(self, number: int) -> dict[str, Any]:
        port = {"name": "main", "port": self.there[number].port, "targetPort": 8080, "protocol": "TCP"}
        families = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": _name(number), "namespace": cluster.NAMESPACE},
            "spec": {"type": "LoadBalancer", **families, "ports": [port]},
        }

    def _slice(self, number: int) -> dict[str, Any]:
        addresses = _addresses(number, self.there[number].change)
        labels = {"kubernetes.io/service-name": _name(number)}
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{_name(number)}-x", "namespace": cluster.NAMESPACE, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "main", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [text], "conditions": {"ready": True}} for text in addresses],
        }


def _name(number: int) -> str:
    return f"b{number:05d}"


def _addresses(number: int, change: int) -> list[str]:
    first = int(ipaddress.ip_address("10.245.0.0")) + (number * ENDPOINTS + change * 4000) % 60000
    return [str(ipaddress.ip_address(first + n)) for n in range(ENDPOINTS)]
