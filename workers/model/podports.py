"""Servers in NodePortLocal mode: for each pod of a Service the port that Antrea has opened for it on its node.

Antrea says so in an annotation of the pod, for every pod port of an annotated Service: pod port, node address, node
port, protocol. The pod port must be the Service's target port, or the container port that a named one means in that
very pod. A pod that is not ready or is going away keeps its server, disabled, as an endpoint does in ClusterIP mode
(AKO leaves pods out that are not ready). Readiness is asked of the pod itself: no pod IP is compared with anything.

This mode is IPv4 only. A node address of IPv6 is left out; a pod that has no other for the port gets an Event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.addresses import Address, AddressError, avi_address, parse_address
from shared.projection.pods import PORTS_ANNOTATION
from workers.model.types import Problem

Server = dict[str, Any]


def not_local(service: Mapping[str, Any]) -> str:
    """Why Antrea opens no ports for the pods of a Service, as what follows its name; "" when it does."""
    if service["type"] == "ExternalName":
        return "is of type ExternalName, which has no pods"
    if service["type"] == "NodePort":
        return "is of type NodePort, for which Antrea opens no ports for pods; make it one of type ClusterIP"
    if not service["selector"]:
        return "has no selector, so no pods are known to be its own; give it a selector"
    return ""


def pod_servers(pods: Iterable[dict[str, Any]], port: Mapping[str, Any]) -> tuple[list[Server], list[Problem]]:
    """The servers for one port of a Service, sorted by address and port, and what is wrong with pods.

    A node port that two pods name, of which one is about to lose it, is one server, enabled if any of them says so.
    """
    found: dict[tuple[int, int], Server] = {}
    problems: list[Problem] = []
    for pod in sorted(pods, key=lambda each: str(each["name"])):
        addresses, faults = _of_pod(pod, port)
        problems += faults
        for address, number in addresses:
            ip = avi_address(address)
            new = {"ip": ip, "port": number, "external_uuid": f"{ip['addr']}:{number}", "enabled": pod["enabled"]}
            server = found.setdefault((int(address), number), new)
            server["enabled"] = server["enabled"] or pod["enabled"]
    return [found[key] for key in sorted(found)], problems


def _of_pod(pod: dict[str, Any], port: Mapping[str, Any]) -> tuple[list[tuple[Address, int]], list[Problem]]:
    """Where the node has the target port of one pod."""
    target, protocol = port["target"], port["protocol"]
    number = target if isinstance(target, int) else pod["named"].get(str(target), {}).get(protocol)
    problems = [_malformed(pod, text) for text in pod.get("bad", ())]
    found: list[tuple[Address, int]] = []
    other: list[Address] = []
    for entry in pod["ports"]:
        if entry["pod_port"] != number or (entry["protocols"] and protocol not in entry["protocols"]):
            continue
        try:
            address = parse_address(entry["ip"])
        except AddressError as error:
            problems.append(_malformed(pod, f"annotation {PORTS_ANNOTATION}: {error}"))
            continue
        if address.version == 4:
            found.append((address, entry["port"]))
        else:
            other.append(address)
    if other and not found:
        text = (
            f"Antrea has opened port {number} of this pod at {other[0]} only, and NodePortLocal is served with IPv4, "
            "so the pod is no server. Give node and pod IPv4 addresses, or write another L7Settings.serviceType."
        )
        problems.append(Problem("Pod", pod["ns"], pod["name"], "AddressTypeNotServed", text))
    return found, problems


def _malformed(pod: dict[str, Any], text: str) -> Problem:
    message = f"{text}; it is left out. Antrea writes this annotation: look at its agent on the pod's node."
    return Problem("Pod", pod["ns"], pod["name"], "MalformedAnnotation", message)
