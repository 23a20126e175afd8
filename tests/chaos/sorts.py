"""Ingresses of all sorts, and what they stand on: a table to which more sorts are added by a line.

A sort is a function from a `Lot` (who draws, in which namespace, as which number) to the `spec` and the annotations of
an Ingress. Services and Secrets are drawn from a few per namespace, so that a change of one meets several Ingresses.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench import world as cluster

DOMAIN = cluster.DOMAIN
TENANT = "churn"
LABEL = ("serve", "yes")
NAMESPACES = ("red", "green", "blue", "grey")
BLOCKED = "blocked"
SERVICES, SECRETS, SHARED = 12, 6, 10
MISSING = f"web{SERVICES}"  # the Service that nobody makes
CLASS, OTHER_CLASS, FLEETING_CLASS = "avi-lb", "other", "fleeting"
HOME = "avi-system"
DEFAULT_SECRET = "router-certs-default"
PASSTHROUGH = "passthrough.ako.vmware.com/enabled"
ENABLE_TLS = "ako.vmware.com/enable-tls"

Made = tuple[dict[str, Any], dict[str, str]]
"""The spec and the annotations of an Ingress."""


@dataclass(frozen=True, slots=True)
class Lot:
    """What a sort may use: chance, and the Ingress's number, which makes hosts that no other Ingress has."""

    draw: random.Random
    number: int

    def host(self, more: str = "") -> str:
        """A host of this Ingress alone."""
        return f"c{self.number:03d}{more}.{DOMAIN}"

    def shared_host(self) -> str:
        """A host that other Ingresses, also of other namespaces, may have too."""
        return f"shared{self.draw.randrange(SHARED)}.{DOMAIN}"

    def secret(self) -> str:
        """The Secret of a certificate; some are not there at times."""
        return f"cert{self.draw.randrange(SECRETS)}"

    def backend(self, name: str = "", port: dict[str, Any] | None = None) -> dict[str, Any]:
        """A Service, by the number or the name of its port."""
        port = port or self.draw.choice(({"number": 80}, {"number": 80}, {"name": "http"}, {"name": "admin"}))
        return {"service": {"name": name or f"web{self.draw.randrange(SERVICES)}", "port": port}}

    def path(self, text: str = "/", kind: str = "Prefix", **backend: Any) -> dict[str, Any]:
        """One path of a rule."""
        return {"path": text, "pathType": kind, "backend": backend or self.backend()}


def rule(host: str, *paths: dict[str, Any]) -> dict[str, Any]:
    return {"host": host, "http": {"paths": list(paths)}}


def _plain(lot: Lot) -> Made:
    return {"rules": [rule(lot.host(), lot.path())]}, {}


def _paths(lot: Lot) -> Made:
    texts = lot.draw.sample(("/", "/a", "/a/b", "/B", "/c-d", "/e.f", "/long" * 20), lot.draw.randint(2, 5))
    kinds = ("Prefix", "Exact", "ImplementationSpecific")
    return {"rules": [rule(lot.host(), *(lot.path(text, lot.draw.choice(kinds)) for text in texts))]}, {}


def _hosts(lot: Lot) -> Made:
    hosts = [lot.host(f"-{n}") for n in range(lot.draw.randint(2, 4))]
    return {"rules": [rule(host, lot.path(), lot.path("/x", "Exact")) for host in hosts]}, {}


def _tls(lot: Lot) -> Made:
    hosts = [lot.host(f"-{n}") for n in range(lot.draw.randint(1, 3))]
    rules = [rule(host, lot.path(), lot.path("/tls")) for host in hosts]
    return {"rules": rules, "tls": [{"hosts": hosts, "secretName": lot.secret()}]}, {}


def _one_of_two_is_tls(lot: Lot) -> Made:
    rules = [rule(lot.host(), lot.path()), rule(lot.host("-open"), lot.path())]
    return {"rules": rules, "tls": [{"hosts": [lot.host()], "secretName": lot.secret()}]}, {}


def _two_secrets(lot: Lot) -> Made:
    hosts = [lot.host("-1"), lot.host("-2")]
    tls = [{"hosts": [host], "secretName": lot.secret()} for host in hosts]
    return {"rules": [rule(host, lot.path()) for host in hosts], "tls": tls}, {}


def _shared(lot: Lot) -> Made:
    return {"rules": [rule(lot.shared_host(), lot.path(f"/of-{lot.number}"))]}, {}


def _shared_path(lot: Lot) -> Made:
    """The same path as others: the oldest Ingress has it."""
    return {"rules": [rule(lot.shared_host(), lot.path("/"), lot.path("/both", "Exact"))]}, {}


def _shared_tls(lot: Lot) -> Made:
    host = lot.shared_host()
    tls = [{"hosts": [host], "secretName": lot.secret()}]
    return {"rules": [rule(host, lot.path(f"/tls-{lot.number}"))], "tls": tls}, {}


def _wildcard(lot: Lot) -> Made:
    return {"rules": [rule(f"*.{lot.host()}", lot.path())]}, {}


def _without_service(lot: Lot) -> Made:
    return {"rules": [rule(lot.host(), lot.path("/", **lot.backend(MISSING)), lot.path("/there"))]}, {}


def _without_port(lot: Lot) -> Made:
    return {"rules": [rule(lot.host(), lot.path("/", **lot.backend(port={"name": "no-such-port"})))]}, {}


def _without_http(lot: Lot) -> Made:
    return {"rules": [{"host": lot.host("-none")}, rule(lot.host(), lot.path())]}, {}


def _resource(lot: Lot) -> Made:
    bucket = {"apiGroup": "k8s.example.com", "kind": "Bucket", "name": "icons"}
    return {"rules": [rule(lot.host(), lot.path("/icons", resource=bucket), lot.path("/"))]}, {}


def _without_host(lot: Lot) -> Made:
    return {"rules": [{"http": {"paths": [lot.path()]}}]}, {}


def _default_backend(lot: Lot) -> Made:
    return {"defaultBackend": lot.backend(), "rules": [rule(lot.host(), lot.path("/some"))]}, {}


def _default_backend_alone(lot: Lot) -> Made:
    return {"defaultBackend": lot.backend()}, {}


def _passthrough(lot: Lot) -> Made:
    return {"rules": [rule(lot.host(), lot.path(), lot.path("/other"))]}, {PASSTHROUGH: "true"}


def _shared_passthrough(lot: Lot) -> Made:
    """On a host that others serve in another way: the oldest Ingress decides."""
    return {"rules": [rule(lot.shared_host(), lot.path())]}, {PASSTHROUGH: "true"}


def _tls_by_annotation(lot: Lot) -> Made:
    return {"rules": [rule(lot.host(), lot.path(), lot.path("/more"))]}, {ENABLE_TLS: "true"}


def _outside(lot: Lot) -> Made:
    return {"rules": [rule(f"c{lot.number}.elsewhere.org", lot.path()), rule(lot.host(), lot.path())]}, {}


def _of_another_class(lot: Lot) -> Made:
    return {**_plain(lot)[0], "ingressClassName": OTHER_CLASS}, {}


def _of_a_fleeting_class(lot: Lot) -> Made:
    return {**_tls(lot)[0], "ingressClassName": FLEETING_CLASS}, {}


SORTS: Mapping[str, Callable[[Lot], Made]] = {
    "plain": _plain,
    "several paths": _paths,
    "several hosts": _hosts,
    "TLS": _tls,
    "TLS for one of two hosts": _one_of_two_is_tls,
    "two Secrets": _two_secrets,
    "a path of a shared host": _shared,
    "the path of others": _shared_path,
    "TLS for a shared host": _shared_tls,
    "wildcard host": _wildcard,
    "without Service": _without_service,
    "without port": _without_port,
    "a rule without http": _without_http,
    "a backend that is no Service": _resource,
    "a rule without host": _without_host,
    "default backend": _default_backend,
    "default backend alone": _default_backend_alone,
    "passthrough": _passthrough,
    "passthrough of a shared host": _shared_passthrough,
    "TLS by annotation": _tls_by_annotation,
    "a host outside of the domains": _outside,
    "of another class": _of_another_class,
    "of a fleeting class": _of_a_fleeting_class,
}
"""Every sort by name. What is made must be what an API server accepts."""


def ingress(lot: Lot, namespace: str, sort: str) -> dict[str, Any]:
    """An Ingress of a sort, by the name that its number gives it."""
    spec, annotations = SORTS[sort](lot)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": f"i{lot.number:03d}", "namespace": namespace, "annotations": annotations},
        "spec": {"ingressClassName": CLASS, **spec},
    }


def altered(there: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """An Ingress that is there, become another sort; what we wrote into it stays, as its owner would leave it."""
    annotations = there["metadata"].get("annotations") or {}
    kept = {name: text for name, text in annotations.items() if name not in (PASSTHROUGH, ENABLE_TLS)}
    meta = {**there["metadata"], "annotations": {**kept, **made["metadata"]["annotations"]}}
    return {**there, "metadata": meta, "spec": made["spec"]}


# -- what they stand on ------------------------------------------------------------------------------------------


def namespace(name: str, *, served: bool = True, tenant: str = "") -> dict[str, Any]:
    labels = dict([LABEL]) if served else {}
    annotations = {"ako.vmware.com/tenant-name": tenant} if tenant else {}
    meta = {"name": name, "labels": labels, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}


def ingress_class(name: str, controller: str) -> dict[str, Any]:
    meta = {"name": name}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": meta,
        "spec": {"controller": controller},
    }


def service(space: str, number: int) -> dict[str, Any]:
    """A Service with two ports, one of them by the name that the pods give it."""
    ports = [
        {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
        {"name": "admin", "port": 9000, "targetPort": "adm", "protocol": "TCP"},
    ]
    meta = {"name": f"web{number}", "namespace": space}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": ports}}


def endpoint_slice(space: str, number: int, draw: random.Random) -> dict[str, Any]:
    """None to four pods, some of them not ready."""
    name = f"web{number}"
    meta = {"name": f"{name}-x", "namespace": space, "labels": {"kubernetes.io/service-name": name}}
    addresses = [f"10.244.{draw.randrange(1, 3)}.{last}" for last in draw.sample(range(1, 250), draw.randrange(5))]
    pods = [{"addresses": [each], "conditions": {"ready": draw.random() < 0.9}} for each in addresses]
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "admin", "port": 9090, "protocol": "TCP"}]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": pods,
    }


def secret(space: str, name: str, pair: tuple[str, str]) -> dict[str, Any]:
    """A TLS Secret of (certificate, key) in PEM."""
    crt, key = (base64.b64encode(text.encode()).decode() for text in pair)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": space},
        "data": {"tls.crt": crt, "tls.key": key},
    }


def node(number: int) -> dict[str, Any]:
    cidr = f"10.244.{100 + number}.0/24"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"extra{number}"},
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        "status": {"addresses": [{"type": "InternalIP", "address": f"10.50.0.{100 + number}"}]},
    }
