"""What is kept of Secrets, Nodes, Namespaces and IngressClasses; see the package."""

from __future__ import annotations

import base64
from typing import Any

from shared.certificates import PAIRS, look
from shared.projection.ingress import DEFAULT_SECRET
from shared.projection.reading import (
    Projection,
    identity,
    kept_annotations,
    labels_of,
    listing,
    mapping,
    mappings,
    text_of,
)

NODE_ANNOTATIONS = (
    "ako.vmware.com/pod-cidrs",
    "k8s.ovn.org/node-subnets",
    "node.antrea.io/transport-addresses",
    "projectcalico.org/IPv4Address",
    "projectcalico.org/IPv6Address",
)
LEAVING_TAINT = "ToBeDeletedByClusterAutoscaler"
NAMESPACE_ANNOTATIONS = ("ako.vmware.com/tenant-name", "aviinfrasetting.ako.vmware.com/name")
DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"


def project_secret(obj: dict[str, Any]) -> Projection:
    """A Secret: what its two pairs of certificate and key are (`shared.certificates.look`), never a value.

    `certs` has an entry for `tls.crt`, and one for `alt.crt` when that pair has any content. A TLS Secret keeps its
    resourceVersion too, so that a new private key for the same certificate is noticed. Of any other Secret nothing is
    kept but its name, and it concerns nobody.
    """
    ns, name, meta = identity(obj)
    data = mapping(obj.get("data"))
    body: dict[str, Any] = {"ns": ns, "name": name, "certs": {}}
    if obj.get("type") != "kubernetes.io/tls" and "tls.crt" not in data:
        return Projection(f"{ns}/{name}", body)
    for crt, key in PAIRS.items():
        pem, private = _decoded(data, crt), _decoded(data, key)
        if pem or private or crt == "tls.crt":
            body["certs"][crt] = look(pem, private)
    body["rv"] = text_of(meta.get("resourceVersion"))
    default = ("DefaultSecret",) if name == DEFAULT_SECRET else ()
    return Projection(f"{ns}/{name}", body, touches=(f"Secret/{ns}/{name}", *default))


def project_node(obj: dict[str, Any]) -> Projection:
    """A Node: InternalIP addresses in their order, pod networks, labels and the annotations of the CNI plugins.

    `leaving`: it is being deleted, or will be by the cluster autoscaler.
    """
    taints = {taint.get("key") for taint in mappings(mapping(obj.get("spec")).get("taints"))}
    _, name, meta = identity(obj)
    spec = mapping(obj.get("spec"))
    cidrs = [cidr for cidr in listing(spec.get("podCIDRs")) if isinstance(cidr, str) and cidr]
    if not cidrs and isinstance(spec.get("podCIDR"), str) and spec["podCIDR"]:
        cidrs = [spec["podCIDR"]]
    addresses = [
        text_of(entry.get("address"))
        for entry in mappings(mapping(obj.get("status")).get("addresses"))
        if entry.get("type") == "InternalIP" and entry.get("address")
    ]
    body = {
        "name": name,
        "addresses": addresses,
        "pod_cidrs": cidrs,
        "annotations": kept_annotations(meta, NODE_ANNOTATIONS),
        "labels": labels_of(meta),
        "leaving": bool(meta.get("deletionTimestamp")) or LEAVING_TAINT in taints,
    }
    return Projection(name, body, marks=(f"change:Node/{name}",))


def project_namespace(obj: dict[str, Any]) -> Projection:
    """A Namespace: its labels, and the annotations that bind it to a tenant or to an AviInfraSetting."""
    _, name, meta = identity(obj)
    body = {"name": name, "labels": labels_of(meta), "annotations": kept_annotations(meta, NAMESPACE_ANNOTATIONS)}
    return Projection(name, body, marks=(f"change:Namespace/{name}",))


def project_ingress_class(obj: dict[str, Any]) -> Projection:
    """An IngressClass: controller, whether it is a default class, and its parameters."""
    _, name, meta = identity(obj)
    spec = mapping(obj.get("spec"))
    parameters = mapping(spec.get("parameters"))
    body = {
        "name": name,
        "controller": text_of(spec.get("controller")),
        "default": mapping(meta.get("annotations")).get(DEFAULT_CLASS_ANNOTATION) == "true",
        "parameters": {key: text_of(parameters.get(key)) for key in ("apiGroup", "kind", "name")}
        if parameters
        else None,
    }
    return Projection(name, body, marks=(f"change:IngressClass/{name}",))


def _decoded(data: dict[str, Any], key: str) -> bytes:
    """The value under `key` without surrounding blanks; what is not base64, which no API server lets in, is garbage."""
    text = "".join(str(data.get(key) or "").split())
    try:
        return base64.b64decode(text, validate=True).strip()
    except ValueError:
        return b"not base64"
