"""What is kept in NodePortLocal mode beyond the usual: Pods, and how Pods, Services and Ingresses find each other.

Antrea opens a port on the node for each pod port of an annotated Service and writes it into an annotation of the Pod.
Only Pods that have this annotation matter, and of those only what decides about servers: a heartbeat of a Pod's status
changes nothing here, and a Pod without the annotation touches nobody.

A Pod is indexed under each of its labels, so that the Pods of a Service are what all pairs of its selector have in
common. The other way round a Service is indexed under one pair of its selector, the first by name: a Pod touches the
Services under its labels and through them whoever has those as backends, never all hosts of a namespace. Under that one
pair stand also Services whose other pairs the Pod lacks; their hosts run once and find nothing to write.

An Ingress is indexed under the Services that it names as one that may ask for their annotation, which is written where
its status is; a Service that lacks the annotation touches these. One of type LoadBalancer marks its own status anyway.
`shared.projection` says what a projection is.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from shared.loadbalancer import project_service
from shared.projection.ingress import project_ingress
from shared.projection.reading import Projection, identity, listing, mapping, mappings, text_of

PORTS_ANNOTATION = "nodeportlocal.antrea.io"
"""On a Pod, by Antrea: a JSON list of its ports and where the node has them."""

ASKING_ANNOTATION = "nodeportlocal.antrea.io/enabled"
"""On a Service: "true" asks Antrea for the node ports of its Pods."""

_ENDED = frozenset({"Succeeded", "Failed"})
_MOST_QUOTED = 60


def project_pod(obj: dict[str, Any]) -> Projection:
    """A Pod: its ports on the node, its named container ports, and whether it is to get requests.

    `enabled`: the Pod is ready and is not being deleted. `ports` are sorted, each once; one without `protocols` serves
    any. One that has ended counts as one that Antrea has given nothing.
    """
    ns, name, meta = identity(obj)
    annotation = mapping(meta.get("annotations")).get(PORTS_ANNOTATION)
    status = mapping(obj.get("status"))
    if annotation is None or status.get("phase") in _ENDED:
        return Projection(f"{ns}/{name}", {"ns": ns, "name": name})
    bad: list[str] = []
    body: dict[str, Any] = {
        "ns": ns,
        "name": name,
        "uid": text_of(meta.get("uid")),
        "enabled": _is_ready(status) and not meta.get("deletionTimestamp"),
        "ports": _node_ports(annotation, bad),
        "named": _named_ports(mapping(obj.get("spec"))),
    }
    if bad:
        body["bad"] = bad
    labels = _pairs(mapping(meta.get("labels")))
    return Projection(
        f"{ns}/{name}",
        body,
        index=tuple((f"Pods/{ns}/{label}", f"- Pod/{ns}/{name}") for label in labels),
        touches=tuple(f"Selects/{ns}/{label}" for label in labels),
    )


def project_selecting_service(obj: dict[str, Any]) -> Projection:
    """A Service with its selector, and whether it has the annotation for Antrea, with whatever value (`asked`)."""
    plain = project_service(obj)
    ns, name, meta = identity(obj)
    selector = mapping(mapping(obj.get("spec")).get("selector"))
    asked = ASKING_ANNOTATION in mapping(meta.get("annotations"))
    pairs = _pairs(selector)
    body = {**plain.body, "selector": pairs, "asked": asked}
    index = ((f"Selects/{ns}/{pairs[0]}", f"- Service/{ns}/{name}"),) if pairs else ()
    touches = () if asked else (f"Asks/{ns}/{name}",)
    return dataclasses.replace(plain, body=body, index=(*plain.index, *index), touches=(*plain.touches, *touches))


def project_asking_ingress(obj: dict[str, Any]) -> Projection:
    """An Ingress whose status key is found by the Services that it names."""
    plain = project_ingress(obj)
    member = f"status:Ingress/{plain.id} Ingress/{plain.id}"
    named = {path["service"]: None for rule in plain.body["rules"] for path in rule["paths"]}
    index = tuple((f"Asks/{plain.body['ns']}/{service}", member) for service in named)
    return dataclasses.replace(plain, index=(*plain.index, *index))


def _pairs(labels: dict[str, Any]) -> list[str]:
    """Labels as sorted texts `key=value`, as the indexes have them."""
    return sorted(f"{key}={value}" for key, value in labels.items() if text_of(key) and text_of(value) == value)


def _is_ready(status: dict[str, Any]) -> bool:
    return any(
        each.get("type") == "Ready" and each.get("status") == "True" for each in mappings(status.get("conditions"))
    )


def _node_ports(annotation: object, bad: list[str]) -> list[dict[str, Any]]:
    """The entries of the annotation that can be read; the addresses stay the texts that they are."""
    try:
        entries = orjson.loads(annotation) if isinstance(annotation, str) else None
    except orjson.JSONDecodeError:
        entries = None
    if not isinstance(entries, list):
        bad.append(f"annotation {PORTS_ANNOTATION} is not a JSON list but {str(annotation)[:_MOST_QUOTED]!r}")
        return []
    found = {}
    for number, entry in enumerate(entries):
        read = _node_port(mapping(entry))
        if read is None:
            bad.append(f"entry {number} of annotation {PORTS_ANNOTATION} lacks podPort, nodeIP or nodePort")
        else:
            found[repr(read)] = read
    return [found[key] for key in sorted(found)]


def _node_port(entry: dict[str, Any]) -> dict[str, Any] | None:
    ip, port, pod_port = text_of(entry.get("nodeIP")), entry.get("nodePort"), entry.get("podPort")
    if not ip or not _is_port(port) or not _is_port(pod_port):
        return None
    # Releases of Antrea up to 1.9 write `protocols`, later ones `protocol`, those in between both.
    names = {text_of(each).upper() for each in (entry.get("protocol"), *listing(entry.get("protocols")))} - {""}
    return {"ip": ip, "port": port, "pod_port": pod_port, "protocols": sorted(names)}


def _named_ports(spec: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The numbers of named container ports, by name and protocol; the first container that has one decides."""
    found: dict[str, dict[str, int]] = {}
    # Sidecars are init containers that go on beside the others.
    sidecars = [each for each in mappings(spec.get("initContainers")) if each.get("restartPolicy") == "Always"]
    for container in (*mappings(spec.get("containers")), *sidecars):
        for port in mappings(container.get("ports")):
            if (name := text_of(port.get("name"))) and _is_port(port.get("containerPort")):
                protocol = text_of(port.get("protocol")) or "TCP"
                found.setdefault(name, {}).setdefault(protocol, port["containerPort"])
    return found


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65_536
