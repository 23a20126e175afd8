"""What is kept of each Kubernetes object that is watched.

A *projection* holds just the fields that the model reads, so that a change of anything else marks nothing, the mirror
stays small, and no private key can reach Redis. It also says how the object is woven into the rest: `index` entries
(`ref`, `member`) answer "who depends on this ref", `marks` are the work keys that the object concerns by itself, and
`touches` are the refs whose members' work keys have to run. A member is `<work key> <Kind>/<id>`; the work key `-`
stands for none.

A projection never raises: an object comes from users, by way of an API server that may be older or laxer than the
documentation. What can't be read is left out and described under `bad`, for the model to turn into an Event; the rest
of the object is served. Fields that nothing reads yet are not kept: they would make work whenever they change. What a
Service of type LoadBalancer has beyond this is in `loadbalancer.py`.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from shared.certificates import PAIRS, look

DEFAULT_TLS_ANNOTATION = "ako.vmware.com/enable-tls"
PASSTHROUGH_ANNOTATION = "passthrough.ako.vmware.com/enabled"
INGRESS_ANNOTATIONS = (DEFAULT_TLS_ANNOTATION, PASSTHROUGH_ANNOTATION)
"""The annotations of an Ingress that the model reads."""

DEFAULT_SECRET = "router-certs-default"  # noqa: S105 - a name
"""The Secret in AKO's namespace that serves the hosts of Ingresses which ask for TLS without naming a Secret."""

STATUS_ANNOTATIONS = (
    "ako.vmware.com/controller-cluster-uuid",
    "ako.vmware.com/host-fqdn-vs-uuid-map",
    "ako.vmware.com/tenant-name",
)
"""The annotations that we write on an Ingress, part of its status."""

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
DEFAULT_BACKEND = "DefaultBackend"
"""The path type of `spec.defaultBackend`: the path "" of every host of its Ingress."""

DEFAULT_CERTIFICATE = "certificate:default"
"""The work key of the certificates made from the default Secret, one for each tenant whose Ingresses ask for it."""

BUCKETS = 8
"""Ingresses are indexed by `fnv1a32(host) % BUCKETS`; a shard of any size is a union of buckets."""

_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class Projection:
    """What the mirror keeps of one object; see the module's docstring. `id` is `ns/name`, or `name` without namespace.

    `status` (Ingress, Service) is `{"ingress": [{"ip", "hostname"}], "annotations": {...}}`: what we wrote ourselves. A
    change of it alone marks only the object's `status:` key.
    """

    id: str
    body: dict[str, Any]
    status: dict[str, Any] | None = None
    index: tuple[tuple[str, str], ...] = ()
    marks: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()


def passes_through(ingress: dict[str, Any]) -> bool:
    """Whether the TLS of all hosts of an Ingress is passed through to its servers; its `spec.tls` says nothing then."""
    return _is_true(ingress, PASSTHROUGH_ANNOTATION)


def tls_by_default(ingress: dict[str, Any]) -> bool:
    """Whether all hosts of an Ingress have TLS with the default Secret; its `spec.tls` says nothing then."""
    return _is_true(ingress, DEFAULT_TLS_ANNOTATION) and not passes_through(ingress)


def _is_true(ingress: dict[str, Any], annotation: str) -> bool:
    return str(ingress["annotations"].get(annotation, "")).lower() == "true"


def generated_host(namespace: str, ingress: str) -> str:
    """The host of a rule without one, up to the dot: the cloud's first DNS domain follows, which is not known here.

    Redis completes such a host wherever a work key is made of it (`resolved` in `state/lib.lua`).
    """
    return f"{ingress}.{namespace}."


@lru_cache(maxsize=65_536)
def fnv1a32(text: str) -> int:
    """The 32-bit FNV-1a hash of the UTF-8 bytes; its low bits are the shard number of a host."""
    value = 2166136261
    for byte in text.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


def project_ingress(obj: dict[str, Any]) -> Projection:
    """An Ingress: its rules and TLS entries; hosts, Services, Secrets and class are indexed to the hosts' work keys."""
    ns, name, meta = _identity(obj)
    spec = _map(obj.get("spec"))
    bad: list[str] = []
    class_name = spec.get("ingressClassName")
    body: dict[str, Any] = {
        "ns": ns,
        "name": name,
        "uid": _text(meta.get("uid")),
        "created": _text(meta.get("creationTimestamp")),
        "class": class_name if isinstance(class_name, str) and class_name else None,
        "annotations": kept_annotations(meta, INGRESS_ANNOTATIONS),
        "rules": _rules(spec, bad),
        "tls": _tls(spec, bad),
        "deleting": bool(meta.get("deletionTimestamp")),
    }
    if bad:
        body["bad"] = bad
    hosts = dict.fromkeys(rule["host"] or generated_host(ns, name) for rule in body["rules"])
    marks = [f"host:{host}" for host in hosts]
    if tls_by_default(body):
        marks.append(DEFAULT_CERTIFICATE)
    return Projection(
        id=f"{ns}/{name}",
        body=body,
        status=load_balancer_status(obj),
        index=_ingress_index(body, hosts),
        marks=(*marks, f"status:Ingress/{ns}/{name}"),
        touches=tuple(f"Fqdn/{host}" for host in hosts),
    )


def load_balancer_status(obj: dict[str, Any]) -> dict[str, Any]:
    """What is written into an Ingress or Service for its owner: the rows of its status and our annotations."""
    entries = _maps(_map(_map(obj.get("status")).get("loadBalancer")).get("ingress"))
    return {
        "ingress": [{key: entry[key] for key in ("ip", "hostname") if _text(entry.get(key))} for entry in entries],
        "annotations": kept_annotations(_map(obj.get("metadata")), STATUS_ANNOTATIONS),
    }


def project_service(obj: dict[str, Any]) -> Projection:
    """A Service: type, address families, ports, and whether a node serves from its own pods only (`local`)."""
    ns, name, _ = _identity(obj)
    spec = _map(obj.get("spec"))
    ports = [
        {
            "name": _text(port.get("name")),
            "port": port.get("port"),
            "target": port.get("targetPort", port.get("port")),
            "protocol": port.get("protocol") or "TCP",
            "node_port": port.get("nodePort"),
        }
        for port in _maps(spec.get("ports"))
    ]
    body = {
        "ns": ns,
        "name": name,
        "type": _text(spec.get("type")) or "ClusterIP",
        "families": [family for family in _list(spec.get("ipFamilies")) if isinstance(family, str)],
        "ports": ports,
        "local": spec.get("externalTrafficPolicy") == "Local",
    }
    return Projection(f"{ns}/{name}", body, touches=(f"Service/{ns}/{name}",))


def project_endpoint_slice(obj: dict[str, Any]) -> Projection:
    """An EndpointSlice of a Service; one that names no Service concerns nobody.

    `enabled` follows AKO: ready must be true and terminating not true; `serving` is not asked.
    """
    ns, name, meta = _identity(obj)
    service = _text(_map(meta.get("labels")).get("kubernetes.io/service-name"))
    bad: list[str] = []
    body: dict[str, Any] = {
        "ns": ns,
        "name": name,
        "service": service,
        "family": _text(obj.get("addressType")),
        "ports": [
            {"name": _text(port.get("name")), "port": port.get("port"), "protocol": port.get("protocol") or "TCP"}
            for port in _maps(obj.get("ports"))
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


def project_secret(obj: dict[str, Any]) -> Projection:
    """A Secret: what its two pairs of certificate and key are (`shared.certificates.look`), never a value.

    `certs` has an entry for `tls.crt`, and one for `alt.crt` when that pair has any content. A TLS Secret keeps its
    resourceVersion too, so that a new private key for the same certificate is noticed. Of any other Secret nothing is
    kept but its name, and it concerns nobody.
    """
    ns, name, meta = _identity(obj)
    data = _map(obj.get("data"))
    body: dict[str, Any] = {"ns": ns, "name": name, "certs": {}}
    if obj.get("type") != "kubernetes.io/tls" and "tls.crt" not in data:
        return Projection(f"{ns}/{name}", body)
    for crt, key in PAIRS.items():
        pem, private = _decoded(data, crt), _decoded(data, key)
        if pem or private or crt == "tls.crt":
            body["certs"][crt] = look(pem, private)
    body["rv"] = _text(meta.get("resourceVersion"))
    default = ("DefaultSecret",) if name == DEFAULT_SECRET else ()
    return Projection(f"{ns}/{name}", body, touches=(f"Secret/{ns}/{name}", *default))


def project_node(obj: dict[str, Any]) -> Projection:
    """A Node: InternalIP addresses in their order, pod networks, labels and the annotations of the CNI plugins.

    `leaving`: it is being deleted, or will be by the cluster autoscaler.
    """
    taints = {taint.get("key") for taint in _maps(_map(obj.get("spec")).get("taints"))}
    _, name, meta = _identity(obj)
    spec = _map(obj.get("spec"))
    cidrs = [cidr for cidr in _list(spec.get("podCIDRs")) if isinstance(cidr, str) and cidr]
    if not cidrs and isinstance(spec.get("podCIDR"), str) and spec["podCIDR"]:
        cidrs = [spec["podCIDR"]]
    addresses = [
        _text(entry.get("address"))
        for entry in _maps(_map(obj.get("status")).get("addresses"))
        if entry.get("type") == "InternalIP" and entry.get("address")
    ]
    body = {
        "name": name,
        "addresses": addresses,
        "pod_cidrs": cidrs,
        "annotations": kept_annotations(meta, NODE_ANNOTATIONS),
        "labels": _labels(meta),
        "leaving": bool(meta.get("deletionTimestamp")) or LEAVING_TAINT in taints,
    }
    return Projection(name, body, marks=(f"change:Node/{name}",))


def project_namespace(obj: dict[str, Any]) -> Projection:
    """A Namespace: its labels, and the annotations that bind it to a tenant or to an AviInfraSetting."""
    _, name, meta = _identity(obj)
    body = {"name": name, "labels": _labels(meta), "annotations": kept_annotations(meta, NAMESPACE_ANNOTATIONS)}
    return Projection(name, body, marks=(f"change:Namespace/{name}",))


def project_ingress_class(obj: dict[str, Any]) -> Projection:
    """An IngressClass: controller, whether it is a default class, and its parameters."""
    _, name, meta = _identity(obj)
    spec = _map(obj.get("spec"))
    parameters = _map(spec.get("parameters"))
    body = {
        "name": name,
        "controller": _text(spec.get("controller")),
        "default": _map(meta.get("annotations")).get(DEFAULT_CLASS_ANNOTATION) == "true",
        "parameters": {key: _text(parameters.get(key)) for key in ("apiGroup", "kind", "name")} if parameters else None,
    }
    return Projection(name, body, marks=(f"change:IngressClass/{name}",))


def _identity(obj: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    meta = _map(obj.get("metadata"))
    return _text(meta.get("namespace")), _text(meta.get("name")), meta


def _map(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _maps(value: object) -> list[dict[str, Any]]:
    return [item for item in _list(value) if isinstance(item, dict)]


def _text(value: object) -> str:
    """The text, "" for anything else; a text that can't be printed (or encoded, half a surrogate pair) is none."""
    return value if isinstance(value, str) and value.isprintable() else ""


def _labels(meta: dict[str, Any]) -> dict[str, str]:
    return {key: value for key, value in _map(meta.get("labels")).items() if isinstance(value, str)}


def kept_annotations(meta: dict[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Those of the named annotations that have a text."""
    annotations = meta.get("annotations")
    if not annotations:
        return {}
    return {name: text for name in names if (text := _text(_map(annotations).get(name)))}


def _rules(spec: dict[str, Any], bad: list[str]) -> list[dict[str, Any]]:
    """The rules whose host can be read, in their order; a rule without a host has the host "".

    A default backend becomes the path "" of every rule; without any rule, of one without a host.
    """
    rules = []
    default = _default_backend(spec, bad)
    for number, rule in enumerate(_list(spec.get("rules")) or ([{}] if default else [])):
        where = f"spec.rules[{number}]"
        host = _map(rule).get("host") or ""
        if not isinstance(rule, dict) or not isinstance(host, str) or (host and not is_host(host)):
            bad.append(f"{where}: {host!r} is not a DNS name, so the rule is left out")
            continue
        rules.append(_rule(rule, host, where, default))
    return rules


def _default_backend(spec: dict[str, Any], bad: list[str]) -> dict[str, Any] | None:
    backend = _map(spec.get("defaultBackend"))
    if not backend:
        return None
    parsed = _path({"backend": backend})
    if isinstance(parsed, str):
        bad.append(f"spec.defaultBackend: {parsed}, so it is left out")
        return None
    return {**parsed, "type": DEFAULT_BACKEND}


def _rule(rule: dict[str, Any], host: str, where: str, default: dict[str, Any] | None) -> dict[str, Any]:
    result: dict[str, Any] = {"host": host, "paths": []}
    faults = []
    for number, path in enumerate(_list(_map(rule.get("http")).get("paths"))):
        parsed = _path(_map(path))
        if isinstance(parsed, str):
            faults.append(f"{where}.http.paths[{number}]: {parsed}, so the path is left out")
        else:
            result["paths"].append(parsed)
    if default:
        result["paths"].append(default)
    elif not result["paths"] and not faults:
        faults.append(f"{where} has no http.paths, so nothing is served for it")
    if faults:
        result["bad"] = "; ".join(faults)
    return result


def _path(path: dict[str, Any]) -> dict[str, Any] | str:
    """The path, or what is wrong with it."""
    text = path.get("path") or ""
    if not isinstance(text, str) or (text and not text.startswith("/")):
        return f"the path {text!r} does not begin with /"
    if not text.isprintable():
        return f"the path {text!r} has characters that can't be printed"
    backend = _map(path.get("backend"))
    if backend.get("resource"):
        return "a backend must be a Service here, and this one is a resource"
    service = _map(backend.get("service"))
    if not _is_name(_text(service.get("name"))):
        return f"the backend names no Service but {service.get('name')!r}"
    port = _map(service.get("port"))
    number = port.get("number") or _text(port.get("name"))
    if not number or not isinstance(number, int | str):
        return f"the backend Service {service['name']} has neither a port number nor a port name"
    return {"path": text, "type": _text(path.get("pathType")), "service": service["name"], "port": number}


def _tls(spec: dict[str, Any], bad: list[str]) -> list[dict[str, Any]]:
    """The TLS entries; one whose Secret can't be a Secret's name has the Secret ""."""
    entries = []
    for number, entry in enumerate(_list(spec.get("tls"))):
        secret = _map(entry).get("secretName") or ""
        if not isinstance(entry, dict) or not isinstance(secret, str) or (secret and not _is_name(secret)):
            bad.append(f"spec.tls[{number}] names no Secret but {secret!r}")
            secret = ""
        hosts = [host for host in _list(_map(entry).get("hosts")) if isinstance(host, str)]
        entries.append({"hosts": hosts, "secret": secret})
    return entries


def is_host(host: str) -> bool:
    """Whether the text is a DNS name in lower case, maybe with a wildcard in front."""
    return len(host) <= 253 and _HOST.fullmatch(host) is not None


def _is_name(name: str) -> bool:
    """Whether the API server would take this as an object's name; so it has no blank and no slash."""
    return is_host(name) and not name.startswith("*")


def _ingress_index(body: dict[str, Any], hosts: dict[str, None]) -> tuple[tuple[str, str], ...]:
    ns = body["ns"]
    own = f"Ingress/{ns}/{body['name']}"
    index: dict[tuple[str, str], None] = {}
    for host in hosts:
        member = f"host:{host} {own}"
        bucket = "Hostless" if host.endswith(".") else f"Bucket/{fnv1a32(host) % BUCKETS}"
        for ref in (f"Host/{host}", bucket, f"Namespace/{ns}", f"IngressClass/{body['class'] or ''}"):
            index[(ref, member)] = None
    if tls_by_default(body):
        for ref in ("DefaultSecret", f"Namespace/{ns}", f"IngressClass/{body['class'] or ''}"):
            index[(ref, f"{DEFAULT_CERTIFICATE} {own}")] = None
        for host in hosts:
            index[("DefaultSecret", f"host:{host} {own}")] = None
    for rule in body["rules"]:
        host = rule["host"] or generated_host(ns, body["name"])
        for path in rule["paths"]:
            index[(f"Service/{ns}/{path['service']}", f"host:{host} {own}")] = None
    for entry in body["tls"]:
        for host in entry["hosts"]:
            if host in hosts and entry["secret"]:
                index[(f"Secret/{ns}/{entry['secret']}", f"host:{host} {own}")] = None
        generated = generated_host(ns, body["name"])
        if generated in hosts and entry["secret"] and any(host.startswith(generated) for host in entry["hosts"]):
            index[(f"Secret/{ns}/{entry['secret']}", f"host:{generated} {own}")] = None
    return tuple(index)


def _endpoints(obj: dict[str, Any], bad: list[str]) -> list[dict[str, Any]]:
    endpoints = []
    for number, endpoint in enumerate(_list(obj.get("endpoints"))):
        fields = _map(endpoint)
        addresses = _list(fields.get("addresses"))
        if not addresses or not _text(addresses[0]):
            bad.append(f"endpoints[{number}] has no address, so it is left out")
            continue
        conditions = _map(fields.get("conditions"))
        enabled = conditions.get("ready") is True and conditions.get("terminating") is not True
        endpoints.append({"address": addresses[0], "enabled": enabled, "node": _text(fields.get("nodeName"))})
    return endpoints


def _decoded(data: dict[str, Any], key: str) -> bytes:
    """The value under `key` without surrounding blanks; what is not base64, which no API server lets in, is garbage."""
    text = "".join(str(data.get(key) or "").split())
    try:
        return base64.b64decode(text, validate=True).strip()
    except ValueError:
        return b"not base64"
