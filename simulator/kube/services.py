"""What the API server makes of a Service: addresses, families, node ports and the defaults of every field.

Families are those the cluster has (`Cluster.families`, the first is the default one). A Service that says nothing gets
one family; addresses come from 10.96.0.0/16 and fd00:10:96::/112, node ports from 30000-32767.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator
from typing import Any

from simulator.kube.errors import Cause, duplicate, invalid, required, unsupported
from simulator.kube.resources import Obj
from simulator.kube.store import Change, Store

NETWORKS = {"IPv4": ipaddress.ip_network("10.96.0.0/16"), "IPv6": ipaddress.ip_network("fd00:10:96::/112")}
NODE_PORTS = range(30000, 32768)
_FIRST = 10  # addresses below are left to a cluster's own Services
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_OTHER = {"IPv4": "IPv6", "IPv6": "IPv4"}


class Cluster:
    """The cluster's Service families and which addresses and node ports are taken."""

    def __init__(self, store: Store, families: tuple[str, ...]) -> None:
        self.store = store
        self.families = families
        self._addresses: set[str] = set()
        self._ports: set[int] = set()
        self._next = dict.fromkeys(NETWORKS, _FIRST)
        self._next_port = 0
        store.listeners.append(self._heard)

    def _heard(self, change: Change) -> None:
        if change.key != "services":
            return
        if change.before is not None:
            self._addresses.difference_update(_addresses(change.before.obj))
            self._ports.difference_update(_node_ports(change.before.obj))
        if change.type != "DELETED":
            self._addresses.update(_addresses(change.record.obj))
            self._ports.update(_node_ports(change.record.obj))

    def taken(self, address: str) -> bool:
        """Whether a Service has this address."""
        return address in self._addresses

    def port_taken(self, port: int) -> bool:
        """Whether a Service has this node port."""
        return port in self._ports

    def address(self, family: str) -> str:
        """An address that no Service has."""
        network = NETWORKS[family]
        while True:
            number = self._next[family]
            self._next[family] = number + 1 if number < network.num_addresses - 2 else _FIRST
            if (text := str(network[number])) not in self._addresses:
                return text

    def node_port(self, besides: set[int]) -> int:
        """A node port that no Service has, and that is none of `besides`."""
        while True:
            port = NODE_PORTS[self._next_port % len(NODE_PORTS)]
            self._next_port += 1
            if port not in self._ports and port not in besides:
                return port


def _addresses(service: Obj) -> list[str]:
    return [text for text in service["spec"].get("clusterIPs") or () if text != "None"]


def _node_ports(service: Obj) -> list[int]:
    return [port["nodePort"] for port in service["spec"].get("ports") or () if port.get("nodePort")]


# -- defaults ------------------------------------------------------------------------------------------------------


def default_service(service: Obj, old: Obj | None, cluster: Cluster) -> None:
    """Fills in what a Service does not say; on a change, what it got before stays."""
    spec = service.setdefault("spec", {})
    before: Obj = old["spec"] if old is not None else {}
    kind = spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if kind == "ExternalName":
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            spec.pop(name, None)
        return
    spec.setdefault("internalTrafficPolicy", "Cluster")
    _families(spec, before, cluster)
    _cluster_ips(spec, before, cluster)
    if kind in {"NodePort", "LoadBalancer"}:
        spec.setdefault("externalTrafficPolicy", "Cluster")
        if kind == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)
        _allocate_node_ports(spec, before, cluster)


def default_status(service: Obj) -> None:
    """Fills in the status of a load balancer."""
    for entry in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
        if entry.get("ip"):
            entry.setdefault("ipMode", "VIP")


def _families(spec: Obj, before: Obj, cluster: Cluster) -> None:
    given = _given_addresses(spec, before)
    headless_alone = given == ["None"] and not spec.get("selector")
    old = before.get("ipFamilies") or []
    families = list(spec.get("ipFamilies") or old)
    default = "RequireDualStack" if headless_alone else "SingleStack"
    policy = spec.setdefault("ipFamilyPolicy", before.get("ipFamilyPolicy") or default)
    if not families and given and given != ["None"]:
        families = [family_of(text) for text in given]
    if not families:
        families = [cluster.families[0]]
    if policy == "SingleStack" and families == old:
        families = families[:1]  # only the policy was changed: back to one family
    both = len(cluster.families) == 2 or headless_alone
    if policy in {"PreferDualStack", "RequireDualStack"} and len(families) == 1 and both and families[0] in _OTHER:
        families.append(_OTHER[families[0]])
    spec["ipFamilies"] = families


def _given_addresses(spec: Obj, before: Obj) -> list[str]:
    """The addresses that the Service asks for, else those that it has."""
    if spec.get("clusterIPs"):
        return list(spec["clusterIPs"])
    if spec.get("clusterIP"):
        return [spec["clusterIP"]]
    return list(before.get("clusterIPs") or ())


def family_of(address: str) -> str:
    """The family of an address that is known to be one, or looks like it."""
    return "IPv6" if ":" in address else "IPv4"


def _cluster_ips(spec: Obj, before: Obj, cluster: Cluster) -> None:
    addresses = _given_addresses(spec, before)
    if spec.get("clusterIP") and addresses[:1] != [spec["clusterIP"]] and addresses == before.get("clusterIPs"):
        addresses = [spec["clusterIP"]]  # changed in the one field only; validation speaks about it
    if addresses != ["None"]:
        addresses = addresses[: len(spec["ipFamilies"])]
        for family in spec["ipFamilies"][len(addresses) :]:
            if family in cluster.families:
                addresses.append(cluster.address(family))
    if addresses:
        spec["clusterIP"], spec["clusterIPs"] = addresses[0], addresses


def _allocate_node_ports(spec: Obj, before: Obj, cluster: Cluster) -> None:
    if spec["type"] == "LoadBalancer" and not spec.get("allocateLoadBalancerNodePorts", True):
        return
    ports = spec.get("ports") or []
    known = {(port.get("protocol"), port.get("port")): port.get("nodePort") for port in before.get("ports") or ()}
    chosen = {port["nodePort"] for port in ports if port.get("nodePort")}
    for port in ports:
        if port.get("nodePort"):
            continue
        had = known.get((port["protocol"], port.get("port")))
        port["nodePort"] = had if had and had not in chosen else cluster.node_port(chosen)
        chosen.add(port["nodePort"])


# -- validation ----------------------------------------------------------------------------------------------------


def validate_service(service: Obj, old: Obj | None, cluster: Cluster) -> Iterator[Cause]:
    """What is wrong with a Service whose defaults are filled in."""
    spec = service["spec"]
    if spec["type"] not in _TYPES:
        yield unsupported("spec.type", spec["type"], _TYPES)
        return
    if spec["sessionAffinity"] not in {"ClientIP", "None"}:
        yield unsupported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    if spec["type"] == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
        return
    if not spec.get("ports") and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    yield from _port_causes(spec.get("ports") or [], old, cluster)
    yield from _family_causes(spec, old, cluster)
    yield from _address_causes(spec, old, cluster)


def _port_causes(ports: list[Obj], old: Obj | None, cluster: Cluster) -> Iterator[Cause]:
    had = set(_node_ports(old)) if old is not None else set()
    for number, port in enumerate(ports):
        where = f"spec.ports[{number}]"
        value = port.get("port", 0)
        if not 1 <= value <= 65535:
            yield invalid(f"{where}.port", value, "must be between 1 and 65535, inclusive")
        if len(ports) > 1 and not port.get("name"):
            yield required(f"{where}.name")
        if port["protocol"] not in {"TCP", "UDP", "SCTP"}:
            yield unsupported(f"{where}.protocol", port["protocol"], ("SCTP", "TCP", "UDP"))
        node_port = port.get("nodePort")
        if node_port and node_port not in NODE_PORTS:
            yield invalid(f"{where}.nodePort", node_port, "provided port is not in the valid range. The range of valid "
                          f"ports is {NODE_PORTS.start}-{NODE_PORTS.stop - 1}")  # fmt: skip
        elif node_port and node_port not in had and cluster.port_taken(node_port):
            yield invalid(f"{where}.nodePort", node_port, "provided port is already allocated")
    for field in ("name", ("protocol", "port")):
        yield from _repeated(ports, field)


def _repeated(ports: list[Obj], field: str | tuple[str, str]) -> Iterator[Cause]:
    seen: set[Any] = set()
    for number, port in enumerate(ports):
        value = port.get(field) if isinstance(field, str) else tuple(port.get(name) for name in field)
        if value in seen and value is not None:
            where = f"spec.ports[{number}]"
            yield duplicate(f"{where}.name" if isinstance(field, str) else where, value)
        seen.add(value)


def _family_causes(spec: Obj, old: Obj | None, cluster: Cluster) -> Iterator[Cause]:
    policy, families = spec["ipFamilyPolicy"], spec["ipFamilies"]
    if policy not in _POLICIES:
        yield unsupported("spec.ipFamilyPolicy", policy, _POLICIES)
    if policy == "SingleStack" and len(families) > 1:
        text = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"
        yield invalid("spec.ipFamilyPolicy", policy, text)
    if policy == "RequireDualStack" and len(cluster.families) == 1 and spec.get("clusterIP") != "None":
        yield invalid("spec.ipFamilyPolicy", policy, "Cluster is not configured for dual-stack services")
    for place, family in enumerate(families):
        where = f"spec.ipFamilies[{place}]"
        if family not in NETWORKS:
            yield unsupported(where, family, tuple(NETWORKS))
        elif family not in cluster.families and spec.get("clusterIP") != "None":
            yield invalid(where, family, "not configured on this cluster")
        elif family in families[:place]:
            yield duplicate(where, family)
    had = (old or {}).get("spec", {}).get("ipFamilies")
    if had and spec.get("clusterIP") != "None" and had[0] != families[0]:
        yield invalid("spec.ipFamilies[0]", families[0], "may not change once set")


def _address_causes(spec: Obj, old: Obj | None, cluster: Cluster) -> Iterator[Cause]:
    before = (old or {}).get("spec", {}).get("clusterIPs") or []
    for place, (address, family) in enumerate(itertools.zip_longest(spec.get("clusterIPs") or [], spec["ipFamilies"])):
        where = f"spec.clusterIPs[{place}]"
        had = before[place] if place < len(before) else None
        if address in {None, "None", had}:
            continue
        if had:
            yield invalid(where, address, "may not change once set")
            continue
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            yield invalid(where, address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
            continue
        if family and family_of(address) != family:
            yield invalid(where, address, f"expected an {family} value as indicated by `ipFamilies[{place}]`")
        elif parsed not in NETWORKS[family_of(address)]:
            yield invalid(where, address, "failed to allocate IP: the provided IP is not in the valid range")
        elif cluster.taken(address):
            yield invalid(where, address, "failed to allocate IP: provided IP is already allocated")
