"""What is kept of Services, and of EndpointSlices, in which their endpoints are; see the package."""

from __future__ import annotations

from typing import Any

from shared.projection.reading import Projection, identity, listing, mapping, mappings, text_of


def project_service(obj: dict[str, Any]) -> Projection:
    """A Service: type, address families, ports, and whether a node serves from its own pods only (`local`)."""
    ns, name, _ = identity(obj)
    spec = mapping(obj.get("spec"))
    ports = [
        {
            "name": text_of(port.get("name")),
            "port": port.get("port"),
            "target": port.get("targetPort", port.get("port")),
            "protocol": port.get("protocol") or "TCP",
            "node_port": port.get("nodePort"),
        }
        for port in mappings(spec.get("ports"))
    ]
    body = {
        "ns": ns,
        "name": name,
        "type": text_of(spec.get("type")) or "ClusterIP",
        "families": [family for family in listing(spec.get("ipFamilies")) if isinstance(family, str)],
        "ports": ports,
        "local": spec.get("externalTrafficPolicy") == "Local",
    }
    return Projection(f"{ns}/{name}", body, touches=(f"Service/{ns}/{name}",))


def project_endpoint_slice(obj: dict[str, Any]) -> Projection:
    """An EndpointSlice of a Service; one that names no Service concerns nobody.

    `enabled` follows AKO: ready must be true and terminating not true; `serving` is not asked.
    """
    ns, name, meta = identity(obj)
    service = text_of(mapping(meta.get("labels")).get("kubernetes.io/service-name"))
    bad: list[str] = []
    body: dict[str, Any] = {
        "ns": ns,
        "name": name,
        "service": service,
        "family": text_of(obj.get("addressType")),
        "ports": [
            {"name": text_of(port.get("name")), "port": port.get("port"), "protocol": port.get("protocol") or "TCP"}
            for port in mappings(obj.get("ports"))
        ],
        "endpoints": _endpoints(obj, bad),
    }
    if bad:
        body["bad"] = bad
    if not service:
        return Projection(f"{ns}/{name}", body)
    return Projection(
        f"{ns}/{name}",
        body,
        index=((f"Slices/{ns}/{service}", f"- EndpointSlice/{ns}/{name}"),),
        touches=(f"Service/{ns}/{service}",),
    )


def _endpoints(obj: dict[str, Any], bad: list[str]) -> list[dict[str, Any]]:
    endpoints = []
    for number, endpoint in enumerate(listing(obj.get("endpoints"))):
        fields = mapping(endpoint)
        addresses = listing(fields.get("addresses"))
        if not addresses or not text_of(addresses[0]):
            bad.append(f"endpoints[{number}] has no address, so it is left out")
            continue
        conditions = mapping(fields.get("conditions"))
        enabled = conditions.get("ready") is True and conditions.get("terminating") is not True
        endpoints.append({"address": addresses[0], "enabled": enabled, "node": text_of(fields.get("nodeName"))})
    return endpoints
