"""What the API server adds to an object and what it refuses, kind by kind (Services have a module of their own).

The defaults are those that ako-celery and its users can see; the validation is small on purpose: the mistakes that
people make with these kinds, with the real server's field and words.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from simulator.kube import crds
from simulator.kube.errors import Cause, bad_request, invalid, required, unsupported
from simulator.kube.ingresses import default_ingress, validate_ingress
from simulator.kube.resources import Obj
from simulator.kube.services import Cluster, default_service, validate_service

_CIDR = re.compile(r"^[0-9a-fA-F.:]+/\d{1,3}$")


def _no_default(obj: Obj, old: Obj | None, cluster: Cluster) -> None:
    """Nothing to fill in."""


def _all_valid(obj: Obj, old: Obj | None, cluster: Cluster) -> Iterator[Cause]:  # noqa: ARG001
    """Nothing to refuse."""
    yield from ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind's defaulting (changes the object) and validation; both get the state before a change, or None."""

    default: Callable[[Obj, Obj | None, Cluster], None] = _no_default
    validate: Callable[[Obj, Obj | None, Cluster], Iterator[Cause]] = _all_valid


def _default_namespace(namespace: Obj, _: Obj | None, __: Cluster) -> None:
    metadata = namespace["metadata"]
    metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    namespace.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    namespace.setdefault("status", {}).setdefault("phase", "Active")


def _default_node(node: Obj, _: Obj | None, __: Cluster) -> None:
    spec = node.setdefault("spec", {})
    if spec.get("podCIDR") and not spec.get("podCIDRs"):
        spec["podCIDRs"] = [spec["podCIDR"]]
    elif spec.get("podCIDRs") and not spec.get("podCIDR"):
        spec["podCIDR"] = spec["podCIDRs"][0]


def _validate_node(node: Obj, old: Obj | None, _: Cluster) -> Iterator[Cause]:
    cidrs = node["spec"].get("podCIDRs") or []
    for place, cidr in enumerate(cidrs):
        if not _CIDR.match(cidr):
            yield invalid(f"spec.podCIDRs[{place}]", cidr, "must be a valid CIDR value")
    had = (old or {}).get("spec", {}).get("podCIDRs")
    if had and had != cidrs:
        yield invalid("spec.podCIDRs", cidrs, "node updates may only change podCIDRs when they are empty")
    if cidrs and node["spec"].get("podCIDR") != cidrs[0]:
        yield invalid("spec.podCIDR", node["spec"].get("podCIDR"), "must be the first of podCIDRs")


def _default_secret(secret: Obj, _: Obj | None, __: Cluster) -> None:
    secret.setdefault("type", "Opaque")
    texts = secret.pop("stringData", None)
    if texts:
        encoded = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}
    for value in (secret.get("data") or {}).values():
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error:
            raise bad_request(
                'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 0'
            ) from None


def _validate_secret(secret: Obj, old: Obj | None, _: Cluster) -> Iterator[Cause]:
    data = secret.get("data") or {}
    if secret["type"] == "kubernetes.io/tls":
        for name in ("tls.crt", "tls.key"):
            if name not in data:
                yield required(f"data[{name}]")
    if old is not None and old.get("type") != secret["type"]:
        yield invalid("type", secret["type"], "field is immutable")
    if old is not None and old.get("immutable") and (old.get("data") or {}) != data:
        yield Cause("data", "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set")


def _default_slice(item: Obj, _: Obj | None, __: Cluster) -> None:
    item.setdefault("endpoints", [])
    for port in item.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _validate_slice(item: Obj, old: Obj | None, _: Cluster) -> Iterator[Cause]:
    kinds = ("FQDN", "IPv4", "IPv6")
    kind = item.get("addressType")
    if not kind:
        yield required("addressType")
    elif kind not in kinds:
        yield unsupported("addressType", kind, kinds)
    if old is not None and old.get("addressType") != kind:
        yield invalid("addressType", kind, "field is immutable")
    for place, endpoint in enumerate(item["endpoints"]):
        where = f"endpoints[{place}].addresses"
        addresses = endpoint.get("addresses") or []
        if not addresses:
            yield required(where, "must contain at least 1 address")
        for number, text in enumerate(addresses):
            if kind in {"IPv4", "IPv6"} and (":" in text) != (kind == "IPv6"):
                yield invalid(f"{where}[{number}]", text, f"must be a valid {kind} address")


def _default_class(item: Obj, _: Obj | None, __: Cluster) -> None:
    parameters = (item.get("spec") or {}).get("parameters")
    if parameters is not None:
        parameters.setdefault("scope", "Cluster")


def _validate_class(item: Obj, old: Obj | None, _: Cluster) -> Iterator[Cause]:
    controller = (item.get("spec") or {}).get("controller")
    if old is not None and (old.get("spec") or {}).get("controller") != controller:
        yield invalid("spec.controller", controller, "field is immutable")


def _validate_lease(lease: Obj, _: Obj | None, __: Cluster) -> Iterator[Cause]:
    spec: dict[str, Any] = lease.get("spec") or {}
    for name in ("leaseDurationSeconds", "leaseTransitions"):
        value = spec.get(name)
        if value is not None and (value < 0 or (value == 0 and name == "leaseDurationSeconds")):
            yield invalid(f"spec.{name}", value, "must be greater than 0")


def _default_event(event: Obj, _: Obj | None, __: Cluster) -> None:
    event.setdefault("source", {})
    event.setdefault("reportingComponent", event["source"].get("component", ""))
    event.setdefault("reportingInstance", event["source"].get("host", ""))


def _validate_event(event: Obj, _: Obj | None, __: Cluster) -> Iterator[Cause]:
    place = (event.get("involvedObject") or {}).get("namespace") or "default"
    if event["metadata"].get("namespace") != place:
        yield invalid("involvedObject.namespace", place, "does not match event.namespace")


def _default_pod(pod: Obj, _: Obj | None, __: Cluster) -> None:
    spec = pod.setdefault("spec", {})
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    pod.setdefault("status", {}).setdefault("phase", "Pending")


def _validate_pod(pod: Obj, _: Obj | None, __: Cluster) -> Iterator[Cause]:
    if not pod["spec"].get("containers"):
        yield required("spec.containers")


RULES: dict[str, Rule] = {
    "namespaces": Rule(_default_namespace),
    "nodes": Rule(_default_node, _validate_node),
    "services": Rule(default_service, validate_service),
    "secrets": Rule(_default_secret, _validate_secret),
    "endpointslices.discovery.k8s.io": Rule(_default_slice, _validate_slice),
    "ingresses.networking.k8s.io": Rule(default_ingress, validate_ingress),
    "ingressclasses.networking.k8s.io": Rule(_default_class, _validate_class),
    "leases.coordination.k8s.io": Rule(_no_default, _validate_lease),
    "events": Rule(_default_event, _validate_event),
    "pods": Rule(_default_pod, _validate_pod),
    "customresourcedefinitions.apiextensions.k8s.io": Rule(crds.default_crd, crds.validate_crd),
}
NO_RULE = Rule()
