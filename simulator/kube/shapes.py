"""The types of the fields that this server looks into: what does not fit is refused with 400, as a decoder would.

Only fields that defaulting, validation, tables and selectors touch are listed; all others may hold anything. A field
may be missing or null. After this check the rest of the code may rely on the shapes without asking again.
"""

from __future__ import annotations

from typing import Any

from simulator.kube.errors import bad_request
from simulator.kube.resources import Obj, Resource

_STRINGS: Any = {"*": str}
_INT_OR_STRING = (int, str)
_LOAD_BALANCER: Any = {"ingress": [{"ip": str, "hostname": str}]}
_BACKEND: Any = {"service": {"name": str, "port": {"number": int, "name": str}}, "resource": {"kind": str, "name": str}}
_REFERENCE: Any = {"kind": str, "namespace": str, "name": str, "uid": str}

_METADATA: Any = {
    "name": str,
    "generateName": str,
    "namespace": str,
    "uid": str,
    "resourceVersion": str,
    "labels": _STRINGS,
    "annotations": _STRINGS,
    "finalizers": [str],
    "ownerReferences": [{"uid": str, "name": str, "kind": str}],
}

_SHAPES: dict[str, Any] = {
    "namespaces": {"spec": {"finalizers": [str]}, "status": {"phase": str}},
    "nodes": {
        "spec": {"podCIDR": str, "podCIDRs": [str], "unschedulable": bool},
        "status": {
            "addresses": [{"type": str, "address": str}],
            "conditions": [{"type": str, "status": str}],
            "nodeInfo": {"kubeletVersion": str},
        },
    },
    "services": {
        "spec": {
            "type": str,
            "clusterIP": str,
            "clusterIPs": [str],
            "ipFamilies": [str],
            "ipFamilyPolicy": str,
            "selector": _STRINGS,
            "sessionAffinity": str,
            "externalName": str,
            "externalIPs": [str],
            "ports": [
                {"name": str, "port": int, "nodePort": int, "protocol": str, "targetPort": _INT_OR_STRING}
            ],
        },
        "status": {"loadBalancer": _LOAD_BALANCER},
    },
    "secrets": {"type": str, "data": _STRINGS, "stringData": _STRINGS},
    "configmaps": {"data": _STRINGS, "binaryData": _STRINGS},
    "pods": {
        "spec": {"containers": [{"name": str, "image": str}], "nodeName": str},
        "status": {"phase": str, "podIP": str, "containerStatuses": [{"ready": bool, "restartCount": int}]},
    },
    "events": {
        "involvedObject": _REFERENCE,
        "source": {"component": str},
        "reason": str,
        "message": str,
        "type": str,
        "count": int,
        "lastTimestamp": str,
        "firstTimestamp": str,
        "eventTime": str,
        "reportingComponent": str,
    },
    "endpointslices.discovery.k8s.io": {
        "addressType": str,
        "ports": [{"name": str, "port": int, "protocol": str}],
        "endpoints": [{"addresses": [str], "conditions": {"ready": bool, "serving": bool, "terminating": bool}}],
    },
    "ingresses.networking.k8s.io": {
        "spec": {
            "ingressClassName": str,
            "defaultBackend": _BACKEND,
            "tls": [{"hosts": [str], "secretName": str}],
            "rules": [{"host": str, "http": {"paths": [{"path": str, "pathType": str, "backend": _BACKEND}]}}],
        },
        "status": {"loadBalancer": _LOAD_BALANCER},
    },
    "ingressclasses.networking.k8s.io": {
        "spec": {"controller": str, "parameters": {"apiGroup": str, "kind": str, "name": str, "scope": str}}
    },
    "leases.coordination.k8s.io": {
        "spec": {"holderIdentity": str, "leaseDurationSeconds": int, "leaseTransitions": int, "renewTime": str}
    },
    "customresourcedefinitions.apiextensions.k8s.io": {
        "spec": {
            "group": str,
            "scope": str,
            "names": {"plural": str, "singular": str, "kind": str, "listKind": str, "shortNames": [str],
                      "categories": [str]},
            "versions": [
                {
                    "name": str,
                    "served": bool,
                    "storage": bool,
                    "subresources": {"status": dict},
                    "additionalPrinterColumns": [{"name": str, "type": str, "jsonPath": str}],
                }
            ],
        }
    },
}  # fmt: skip
_NAMES = {str: "string", int: "int32", bool: "bool", dict: "struct", list: "array"}


def check_shape(resource: Resource, obj: Obj) -> None:
    """Raises ApiError 400 naming the first field that has the wrong type; `obj` is in its stored form."""
    for path, shape, value in _wrong(obj, {"metadata": _METADATA, **_SHAPES.get(resource.key, {})}, ""):
        found = {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(value), "number")
        kind = type(shape) if isinstance(shape, dict | list) else shape
        wanted = "string or number" if kind is _INT_OR_STRING else _NAMES[kind]
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"json: cannot unmarshal {found} into Go struct field {resource.kind}.{path} of type {wanted}"
        )


def without_nulls(value: Any) -> Any:
    """The value without null fields: to the real server they are as good as missing."""
    if isinstance(value, dict):
        return {name: without_nulls(below) for name, below in value.items() if below is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value if item is not None]
    return value


def _wrong(value: Any, shape: Any, path: str) -> list[tuple[str, Any, Any]]:
    """(path, expected, value) of what does not fit."""
    if value is None:
        return []
    kind: Any = type(shape) if isinstance(shape, dict | list) else shape
    if not isinstance(value, kind) or (isinstance(value, bool) and shape in (int, _INT_OR_STRING)):
        return [(path, shape, value)]
    if isinstance(shape, list):
        return [wrong for item in value for wrong in _wrong(item, shape[0], path)]
    if not isinstance(shape, dict):
        return []
    if "*" in shape:
        return [(f"{path}.{name}", str, below) for name, below in value.items() if not isinstance(below, str)]
    return [
        wrong
        for name, below in shape.items()
        if name in value
        for wrong in _wrong(value[name], below, f"{path}.{name}" if path else name)
    ]
