"""What is kept of an Ingress, and what its annotations and names mean; see the package."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from shared.projection.reading import (
    Projection,
    identity,
    is_host,
    is_name,
    kept_annotations,
    listing,
    mapping,
    mappings,
    text_of,
)

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

DEFAULT_BACKEND = "DefaultBackend"
"""The path type of `spec.defaultBackend`: the path "" of every host of its Ingress."""

DEFAULT_CERTIFICATE = "certificate:default"
"""The work key of the certificates made from the default Secret, one for each tenant whose Ingresses ask for it."""

BUCKETS = 8
"""Ingresses are indexed by `fnv1a32(host) % BUCKETS`; a shard of any size is a union of buckets."""


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
    ns, name, meta = identity(obj)
    spec = mapping(obj.get("spec"))
    bad: list[str] = []
    class_name = spec.get("ingressClassName")
    body: dict[str, Any] = {
        "ns": ns,
        "name": name,
        "uid": text_of(meta.get("uid")),
        "created": text_of(meta.get("creationTimestamp")),
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
    entries = mappings(mapping(mapping(obj.get("status")).get("loadBalancer")).get("ingress"))
    return {
        "ingress": [{key: entry[key] for key in ("ip", "hostname") if text_of(entry.get(key))} for entry in entries],
        "annotations": kept_annotations(mapping(obj.get("metadata")), STATUS_ANNOTATIONS),
    }


def _rules(spec: dict[str, Any], bad: list[str]) -> list[dict[str, Any]]:
    """The rules whose host can be read, in their order; a rule without a host has the host "".

    A default backend becomes the path "" of every rule; without any rule, of one without a host.
    """
    rules = []
    default = _default_backend(spec, bad)
    for number, rule in enumerate(listing(spec.get("rules")) or ([{}] if default else [])):
        where = f"spec.rules[{number}]"
        host = mapping(rule).get("host") or ""
        if not isinstance(rule, dict) or not isinstance(host, str) or (host and not is_host(host)):
            bad.append(f"{where}: {host!r} is not a DNS name, so the rule is left out")
            continue
        rules.append(_rule(rule, host, where, default))
    return rules


def _default_backend(spec: dict[str, Any], bad: list[str]) -> dict[str, Any] | None:
    backend = mapping(spec.get("defaultBackend"))
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
    for number, path in enumerate(listing(mapping(rule.get("http")).get("paths"))):
        parsed = _path(mapping(path))
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
    backend = mapping(path.get("backend"))
    if backend.get("resource"):
        return "a backend must be a Service here, and this one is a resource"
    service = mapping(backend.get("service"))
    if not is_name(text_of(service.get("name"))):
        return f"the backend names no Service but {service.get('name')!r}"
    port = mapping(service.get("port"))
    number = port.get("number") or text_of(port.get("name"))
    if not number or not isinstance(number, int | str):
        return f"the backend Service {service['name']} has neither a port number nor a port name"
    return {"path": text, "type": text_of(path.get("pathType")), "service": service["name"], "port": number}


def _tls(spec: dict[str, Any], bad: list[str]) -> list[dict[str, Any]]:
    """The TLS entries; one whose Secret can't be a Secret's name has the Secret ""."""
    entries = []
    for number, entry in enumerate(listing(spec.get("tls"))):
        secret = mapping(entry).get("secretName") or ""
        if not isinstance(entry, dict) or not isinstance(secret, str) or (secret and not is_name(secret)):
            bad.append(f"spec.tls[{number}] names no Secret but {secret!r}")
            secret = ""
        hosts = [host for host in listing(mapping(entry).get("hosts")) if isinstance(host, str)]
        entries.append({"hosts": hosts, "secret": secret})
    return entries


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
