"""The servers of a pool: the endpoints of a Service, in the families that both the settings and the Service have.

In NodePortLocal mode they are the ports that Antrea has opened on nodes for the pods: see `workers.model.podports`.
In NodePort mode they are the nodes instead, at the Service's node port: with both families one server for each (AKO
takes the IPv4 address alone), and with `externalTrafficPolicy: Local` only where endpoints are, disabled where none of
them is ready. `workers.model.nodes` says which nodes serve.

Family is asked of the slice and of the address itself, never of a position: the order of `ipFamilies`, of slices, of
endpoints and of ports makes no difference to the result, which is sorted by address. Each server carries the port of
the slice that it comes from, so a named `targetPort` may differ between pods.

A Service of type LoadBalancer is served like any other (AKO gives it an empty pool): it has the same endpoints. A
Service without `ipFamilies` counts as IPv4, as with AKO; an API server fills the field.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from shared.addresses import AddressError, Family, avi_address, family_of, parse_address
from shared.projection.pods import ASKING_ANNOTATION, PORTS_ANNOTATION
from shared.settings.model import ServiceType
from workers.model.context import Context
from workers.model.families import in_words
from workers.model.nodes import EXCLUDED, serving_nodes
from workers.model.podports import not_local, pod_servers
from workers.model.served import Path
from workers.model.types import HostSnapshot, Problem

_FAMILIES = {"IPv4": Family.V4, "IPv6": Family.V6}

Server = dict[str, Any]


def servers_of(path: Path, snapshot: HostSnapshot, context: Context) -> tuple[list[Server], list[Problem]]:
    """The servers for a path's backend as Avi writes them; empty, with the reason, when there can't be any."""
    id_ = f"{path.namespace}/{path.service}"
    service = snapshot.services.get(id_)
    if service is None:
        text = f"The Service {id_} does not exist, so its pool has no servers. Create it or correct the backend."
        return [], [_of_ingress(path, "ServiceMissing", text)]
    if service["type"] == "ExternalName":
        text = f"The Service {id_} is of type ExternalName, which has no endpoints, so its pool has no servers."
        return [], [_of_ingress(path, "ServiceNotServed", text)]
    wanted = _wanted_families(service, context)
    if not wanted:
        text = (
            f"The Service {id_} is {' and '.join(service['families']) or 'IPv4'} only and AKOSettings.ipFamily is "
            f"{context.settings.ip_family.value}, so its pool has no servers."
        )
        return [], [_of_ingress(path, "NoServersOfFamily", text)]
    if context.settings.service_type is ServiceType.NODE_PORT:
        return _on_nodes(path, service, wanted, snapshot, context)
    if context.settings.service_type is ServiceType.NODE_PORT_LOCAL:
        return _at_pod_ports(path, service, snapshot)
    return _in_pods(path, wanted, snapshot)


def _in_pods(path: Path, wanted: list[Family], snapshot: HostSnapshot) -> tuple[list[Server], list[Problem]]:
    """A server for every endpoint of the Service."""
    id_ = f"{path.namespace}/{path.service}"
    port = _service_port(snapshot.services[id_], path.port)
    problems = [_of_type(slice_) for slice_ in snapshot.slices.get(id_, ()) if slice_["family"] not in _FAMILIES]
    found: dict[tuple[str, int], tuple[Any, Server]] = {}
    for family, slice_, number in _slices(id_, port, wanted, snapshot):
        _collect(slice_, family, number, found, problems)
    if port is None and not found:
        problems.append(_no_port(path))
    return [server for _, server in sorted(found.values(), key=_order)], problems


def _on_nodes(
    path: Path, service: dict[str, Any], wanted: list[Family], snapshot: HostSnapshot, context: Context
) -> tuple[list[Server], list[Problem]]:
    """A server on every node that serves, at the node port; with `externalTrafficPolicy: Local` where endpoints are."""
    port = _service_port(service, path.port) or (service["ports"][0] if len(service["ports"]) == 1 else None)
    if port is None:
        return [], [_no_port(path)]
    if not isinstance(port["node_port"], int) or not port["node_port"]:
        text = (
            f"Port {path.port} of Service {path.namespace}/{path.service} (type {service['type']}) has no node port, "
            "and L7Settings.serviceType is NodePort, so its pool has no servers. Make the Service one of type NodePort."
        )
        return [], [_of_ingress(path, "NoNodePort", text)]
    local = _local_nodes(path, port, wanted, snapshot) if service["local"] else None
    found: list[tuple[Any, Server]] = []
    for node in serving_nodes(snapshot.nodes, context):
        for family in wanted:
            address = node.addresses.get(family)
            if address is None or (local is not None and (family, node.name) not in local):
                continue
            ip, number = avi_address(address), port["node_port"]
            server: Server = {"ip": ip, "port": number, "external_uuid": f"{ip['addr']}:{number}"}
            if node.leaving or (local is not None and not local[family, node.name]):
                server["enabled"] = False
            found.append((address, server))
    if not found and local is None:
        return [], [_no_node(path, wanted, snapshot, context)]
    return [server for _, server in sorted(found, key=_order)], []


def _no_node(path: Path, wanted: list[Family], snapshot: HostSnapshot, context: Context) -> Problem:
    """Why no node serves: there is none, all are left out, or none has an address of a wanted family."""
    then = f"so the pool of Service {path.namespace}/{path.service} has no servers"
    if serving_nodes(snapshot.nodes, context):
        families = in_words(frozenset(wanted))
        text = f"No node has an address of {families} that others reach, {then}. Give them one, or change ipFamily."
        return _of_ingress(path, "NoServersOfFamily", text)
    key, value = context.settings.node_port_label
    if not snapshot.nodes:
        text = f"The cluster has no node, {then}."
    elif key:
        text = f"No node has the label {key}={value} of nodePortSelector without being excluded, {then}. Label some."
    else:
        text = f"All nodes have the label {EXCLUDED}, {then}. Take it off some of them."
    return _of_ingress(path, "NoServingNode", text)


def _at_pod_ports(path: Path, service: dict[str, Any], snapshot: HostSnapshot) -> tuple[list[Server], list[Problem]]:
    """A server for every pod of the Service, where Antrea has opened the target port on the pod's node."""
    id_ = f"{path.namespace}/{path.service}"
    if refused := not_local(service):
        return [], [_of_ingress(path, "ServiceNotServed", f"The Service {id_} {refused}, so its pool has no servers.")]
    port = _service_port(service, path.port)
    if port is None:
        return [], [_no_port(path)]
    if port["protocol"] == "SCTP":
        text = f"Port {path.port} of Service {id_} is of protocol SCTP, for which Antrea opens no node ports, so its "
        return [], [_of_ingress(path, "ServiceNotServed", f"{text}pool has no servers. Serve it by TCP.")]
    found, problems = pod_servers(snapshot.pods.get(id_, ()), port)
    waiting = any(each["enabled"] for slice_ in snapshot.slices.get(id_, ()) for each in slice_["endpoints"])
    if not found and not problems and waiting:
        text = (
            f"The Service {id_} has ready endpoints, and none of its pods has a port on its node yet, so its pool has "
            f"no servers. Antrea writes the ports into the annotation {PORTS_ANNOTATION} of the pods, within seconds. "
            "If they do not come, look whether Antrea's feature NodePortLocal is on and the Service has the "
            f'annotation {ASKING_ANNOTATION}: "true".'
        )
        problems.append(replace(_of_ingress(path, "WaitingForNodePorts", text), warning=False))
    return found, problems


def _local_nodes(
    path: Path, port: dict[str, Any], wanted: list[Family], snapshot: HostSnapshot
) -> dict[tuple[Family, str], bool]:
    """The nodes with an endpoint, by family, and whether any of it is to get requests."""
    found: dict[tuple[Family, str], bool] = {}
    for family, slice_, _ in _slices(f"{path.namespace}/{path.service}", port, wanted, snapshot):
        for endpoint in slice_["endpoints"]:
            key = (family, endpoint["node"])
            found[key] = found.get(key, False) or endpoint["enabled"]
    return found


def _slices(
    id_: str, port: dict[str, Any] | None, wanted: list[Family], snapshot: HostSnapshot
) -> Iterator[tuple[Family, dict[str, Any], int]]:
    """The slices of the wanted families that have the Service's port, each with its number there."""
    for family in wanted:
        slices = [each for each in snapshot.slices.get(id_, ()) if _FAMILIES.get(each["family"]) is family]
        for slice_ in slices:
            number = _slice_port(slice_, port, lone=len(slices) == 1)
            if number is not None:
                yield family, slice_, number


def _wanted_families(service: dict[str, Any], context: Context) -> list[Family]:
    has = {_FAMILIES.get(family) for family in service["families"]} or {Family.V4}
    return [family for family in context.families if family in has]


def _service_port(service: dict[str, Any], port: int | str) -> dict[str, Any] | None:
    """The Service's port by name or number; of one number for several protocols (HTTP/3) that of TCP."""
    key = "name" if isinstance(port, str) else "port"
    found: list[dict[str, Any]] = [each for each in service["ports"] if each[key] == port]
    return min(found, key=lambda each: bool(each["protocol"] != "TCP"), default=None)


def _slice_port(slice_: dict[str, Any], port: dict[str, Any] | None, *, lone: bool) -> int | None:
    """The slice's port for a Service port: by name, else by number; the only port of the only slice always fits."""
    ports = [each for each in slice_["ports"] if isinstance(each["port"], int)]
    if lone and len(ports) == 1:
        return int(ports[0]["port"])
    if port is not None:
        for key, value in (("name", port["name"]), ("port", port["target"])):
            for each in ports:
                if each[key] == value and each["protocol"] == port["protocol"]:
                    return int(each["port"])
    return None


def _collect(
    slice_: dict[str, Any],
    family: Family,
    port: int,
    found: dict[tuple[str, int], tuple[Any, Server]],
    problems: list[Problem],
) -> None:
    """Adds the slice's endpoints; one that stands in two slices is enabled when either says so."""
    for endpoint in slice_["endpoints"]:
        try:
            address = parse_address(endpoint["address"])
        except AddressError as error:
            problems.append(_of_slice(slice_, f"{error}; the endpoint is left out"))
            continue
        if family_of(address) is not family:
            problems.append(_of_slice(slice_, f"{address} is not an {slice_['family']} address; it is left out"))
            continue
        ip = avi_address(address)
        key = (ip["addr"], port)
        if key in found:
            known = found[key][1]
            known["enabled"] = known["enabled"] or endpoint["enabled"]
            if endpoint["node"]:
                known["server_node"] = max(known.get("server_node", ""), endpoint["node"])
            continue
        server = {"ip": ip, "port": port, "external_uuid": f"{ip['addr']}:{port}", "enabled": endpoint["enabled"]}
        if endpoint["node"]:
            server["server_node"] = endpoint["node"]
        found[key] = (address, server)
    problems += [_of_slice(slice_, text) for text in slice_.get("bad", ())]


def _no_port(path: Path) -> Problem:
    id_ = f"{path.namespace}/{path.service}"
    text = f"The Service {id_} has no port {path.port!r}, so its pool has no servers. Correct the backend's port."
    return _of_ingress(path, "ServicePortMissing", text)


def _order(entry: tuple[Any, Server]) -> tuple[int, int, int]:
    address, server = entry
    return address.version, int(address), server["port"]


def _of_ingress(path: Path, reason: str, message: str) -> Problem:
    return Problem("Ingress", path.namespace, path.ingress, reason, message)


def _of_type(slice_: dict[str, Any]) -> Problem:
    text = f"addressType {slice_['family']!r} gives no server; those of IPv4 and IPv6 do. The other slices are served."
    return Problem("EndpointSlice", slice_["ns"], slice_["name"], "AddressTypeNotServed", text)


def _of_slice(slice_: dict[str, Any], text: str) -> Problem:
    message = f"{text}. Correct the object or the controller that writes it."
    return Problem("EndpointSlice", slice_["ns"], slice_["name"], "MalformedEndpoint", message)
