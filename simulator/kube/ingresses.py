"""What the API server makes of an Ingress: the default class, and a validation that people run into."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from simulator.kube.errors import Cause, invalid, required, unsupported
from simulator.kube.resources import Obj
from simulator.kube.services import Cluster

CLASS_KEY = "ingressclasses.networking.k8s.io"
IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
_OLD_CLASS = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_HOST = re.compile(r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")


def default_ingress(ingress: Obj, old: Obj | None, cluster: Cluster) -> None:
    """A new Ingress that names no class gets the default one, if there is one."""
    spec = ingress.setdefault("spec", {})
    if old is not None or spec.get("ingressClassName"):
        return
    if _OLD_CLASS in (ingress["metadata"].get("annotations") or {}):
        return
    found = [record.obj for record in cluster.store.records(CLASS_KEY) if _is_default(record.obj)]
    if found:
        newest = max(found, key=lambda item: str(item["metadata"]["creationTimestamp"]))
        spec["ingressClassName"] = newest["metadata"]["name"]


def _is_default(item: Obj) -> bool:
    return (item["metadata"].get("annotations") or {}).get(IS_DEFAULT) == "true"


def validate_ingress(ingress: Obj, _: Obj | None, __: Cluster) -> Iterator[Cause]:
    """What is wrong with an Ingress."""
    spec = ingress["spec"]
    rules = spec.get("rules") or []
    if not rules and not spec.get("defaultBackend"):
        yield invalid("spec", [], "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend"):
        yield from _backend(spec["defaultBackend"], "spec.defaultBackend")
    for number, rule in enumerate(rules):
        where = f"spec.rules[{number}]"
        yield from _host(rule.get("host") or "", f"{where}.host")
        if rule.get("http") is not None:
            yield from _paths(rule["http"].get("paths") or [], f"{where}.http.paths")
    for number, entry in enumerate(spec.get("tls") or []):
        for place, host in enumerate(entry.get("hosts") or []):
            yield from _host(host, f"spec.tls[{number}].hosts[{place}]")


def _host(host: str, where: str) -> Iterator[Cause]:
    if not host:
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _HOST.match(host) or len(host) > 253:
            yield invalid(where, host, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
                          "characters, '-' or '.', and must start and end with an alphanumeric character")  # fmt: skip
    else:
        yield invalid(where, host, "must be a DNS name, not an IP address")


def _paths(paths: list[Obj], where: str) -> Iterator[Cause]:
    if not paths:
        yield required(where)
    for number, path in enumerate(paths):
        here = f"{where}[{number}]"
        kind, text = path.get("pathType"), path.get("path") or ""
        if not kind:
            yield required(f"{here}.pathType", "pathType must be specified")
        elif kind not in _PATH_TYPES:
            yield unsupported(f"{here}.pathType", kind, _PATH_TYPES)
        elif (kind != "ImplementationSpecific" and not text.startswith("/")) or (text and not text.startswith("/")):
            yield invalid(f"{here}.path", text, "must be an absolute path")
        yield from _backend(path.get("backend") or {}, f"{here}.backend")


def _backend(backend: Obj, where: str) -> Iterator[Cause]:
    service = backend.get("service")
    if service is None and backend.get("resource") is None:
        yield required(where, "at least one of `service` or `resource` must be specified")
        return
    if service is None:
        return
    if not service.get("name"):
        yield required(f"{where}.service.name")
    port = service.get("port") or {}
    if not port.get("name") and not port.get("number"):
        yield required(f"{where}.service.port", "port name or number is required")
    elif port.get("name") and port.get("number"):
        yield invalid(f"{where}.service.port", port, "cannot set both port name & port number")
    elif port.get("number") and not 1 <= port["number"] <= 65535:
        yield invalid(f"{where}.service.port.number", port["number"], "must be between 1 and 65535, inclusive")
