"""What should stand on the controller, worked out from Kubernetes objects on a road of its own.

The demo's promise is checked with this, so it shares nothing with the model that builds the objects: it knows only what
an Ingress, a Service and its EndpointSlices, the nodes and the settings promise to the outside: addresses of which
families, which servers behind which path, which routes. It is meant for well-formed objects: what is malformed is
simply not expected.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.addresses import Address, AddressError, Network, parse_address, parse_network
from shared.errors import KubeNotFound
from shared.kinds import kinds_for
from shared.kube import KubeClient
from shared.settings.model import ServiceType, Settings

Objects = Mapping[str, list[dict[str, Any]]]
"""Kubernetes objects by kind."""

_CONTROLLER = "ako.vmware.com/avi-lb"
_DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
_SERVICE_LABEL = "kubernetes.io/service-name"
_ENABLE_TLS = "ako.vmware.com/enable-tls"
_PASSTHROUGH = "passthrough.ako.vmware.com/enabled"
_CALICO = ("projectcalico.org/IPv4Address", "projectcalico.org/IPv6Address")
_ANTREA = "node.antrea.io/transport-addresses"
_EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
_GOING = "ToBeDeletedByClusterAutoscaler"
_OVN = "k8s.ovn.org/node-subnets"
_POD_PORTS = "nodeportlocal.antrea.io"
_POD_CIDRS = "ako.vmware.com/pod-cidrs"
_POD_CIDR_CNIS = {"", "antrea", "canal", "flannel"}
_FAMILIES = {"IPv4": 4, "IPv6": 6}


@dataclass(frozen=True, slots=True)
class WantedHost:
    """One host: the servers that get requests, by path, and the Ingresses (`ns/name`) whose status names the host."""

    name: str
    tls: bool
    paths: Mapping[str, frozenset[Address]]
    ingresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that should stand: hosts by name, what Ingress statuses say, and routes (prefix → addresses of its node).

    Without `routes` it can't be told which there should be: they are not ours, or the CNI keeps its networks elsewhere.
    """

    hosts: Mapping[str, WantedHost]
    statuses: Mapping[str, list[dict[str, Any]]]
    routes: Mapping[Network, frozenset[Address]] | None


def read_cluster(kube: KubeClient, settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The objects of every kind that matters here, as they are now. Raises KubeError."""
    found: dict[str, list[dict[str, Any]]] = {}
    for kind in kinds_for(settings):
        if kind.name in {"Secret", "Namespace"}:
            continue
        try:
            pages = list(kube.pages(f"{kind.path}/{kind.resource}"))
        except KubeNotFound:
            if not kind.optional:
                raise
            pages = []
        found[kind.name] = [item for page in pages for item in page.items]
    return found


def wanted(objects: Objects, settings: Settings) -> Wanted:
    """What these objects ask for."""
    hosts: dict[str, WantedHost] = {}
    statuses: dict[str, list[dict[str, Any]]] = {}
    ours = [ingress for ingress in objects.get("Ingress", ()) if _is_ours(ingress, objects)]
    for ingress in ours:
        status = ingress.get("status") or {}
        statuses[_id(ingress)] = list((status.get("loadBalancer") or {}).get("ingress") or ())
        secure = {host for row in ingress["spec"].get("tls") or () for host in row.get("hosts") or ()}
        by_default = _says_true(ingress, _ENABLE_TLS)
        for rule in ingress["spec"].get("rules") or ():
            if host := rule.get("host"):
                servers = _paths(ingress, rule, objects, settings)
                if passed := _says_true(ingress, _PASSTHROUGH):  # nobody sees the path of such a request
                    servers = {"/": frozenset().union(*servers.values())}
                hosts[host] = _joined(
                    hosts.get(host), host, passed or by_default or host in secure, servers, _id(ingress)
                )
    return Wanted(hosts, statuses, _routes(objects, settings))


def _joined(
    known: WantedHost | None, host: str, tls: bool, paths: dict[str, frozenset[Address]], ingress: str
) -> WantedHost:
    if known is None:
        return WantedHost(host, tls, paths, (ingress,))
    # Several Ingresses may share a host, even a path; the host is secure when one of them says so.
    ingresses = tuple(dict.fromkeys((*known.ingresses, ingress)))
    return WantedHost(host, known.tls or tls, {**paths, **known.paths}, ingresses)


def _is_ours(ingress: dict[str, Any], objects: Objects) -> bool:
    name = ingress["spec"].get("ingressClassName")
    for each in objects.get("IngressClass", ()):
        if (each.get("spec") or {}).get("controller") != _CONTROLLER:
            continue
        annotations = each["metadata"].get("annotations") or {}
        if each["metadata"]["name"] == name or (name is None and annotations.get(_DEFAULT_CLASS) == "true"):
            return True
    return False


def _says_true(ingress: dict[str, Any], annotation: str) -> bool:
    annotations = ingress["metadata"].get("annotations") or {}
    return str(annotations.get(annotation, "")).lower() == "true"


def _paths(
    ingress: dict[str, Any], rule: dict[str, Any], objects: Objects, settings: Settings
) -> dict[str, frozenset[Address]]:
    found = {}
    for row in (rule.get("http") or {}).get("paths") or ():
        service = (row.get("backend") or {}).get("service")
        if service:
            namespace = ingress["metadata"].get("namespace", "default")
            serve = _SERVE[settings.service_type]
            found[str(row.get("path") or "/")] = serve(namespace, service["name"], objects, settings)
    return found


def _on_nodes(namespace: str, service: str, objects: Objects, settings: Settings) -> frozenset[Address]:
    """An address of each family that settings and Service have, on every node that gets requests for the Service."""
    families = _service_families(namespace, service, objects) & _server_families(settings)
    specs = [each["spec"] for each in objects.get("Service", ()) if _id(each) == f"{namespace}/{service}"]
    if not any(port.get("nodePort") for spec in specs for port in spec.get("ports") or ()):
        return frozenset()
    local = any(spec.get("externalTrafficPolicy") == "Local" for spec in specs)
    places = {(family, endpoint.get("nodeName")) for family, endpoint in _ready(namespace, service, objects)}
    found = set()
    for node in objects.get("Node", ()):
        if _gets_requests(node, settings):
            name = node["metadata"]["name"]
            at: dict[int, Address] = {each.version: each for each in reversed(_preferred(node, settings))}
            found |= {at[family] for family in families & at.keys() if not local or (family, name) in places}
    return frozenset(found)


def _gets_requests(node: dict[str, Any], settings: Settings) -> bool:
    """Whether a node serves node ports: it is not left out, not selected away and not about to go."""
    labels = node["metadata"].get("labels") or {}
    key, value = settings.node_port_label
    taints = {taint.get("key") for taint in (node.get("spec") or {}).get("taints") or ()}
    going = "deletionTimestamp" in node["metadata"] or _GOING in taints
    return not going and _EXCLUDED not in labels and (not key or labels.get(key) == value)


def _preferred(node: dict[str, Any], settings: Settings) -> list[Address]:
    """The node's addresses, those that its CNI names first."""
    annotations = node["metadata"].get("annotations") or {}
    texts = [row["address"] for row in node["status"].get("addresses") or () if row.get("type") == "InternalIP"]
    if settings.cni_plugin == "antrea":
        texts = [*str(annotations.get(_ANTREA, "")).split(","), *texts]
    elif settings.cni_plugin == "calico":
        texts = [*(str(annotations.get(name, "")).partition("/")[0] for name in _CALICO), *texts]
    return [address for text in texts for address in _addresses([text.strip()])]


def _servers(namespace: str, service: str, objects: Objects, settings: Settings) -> frozenset[Address]:
    """The ready endpoints of a Service in the families that the settings use and the Service has."""
    families = _service_families(namespace, service, objects) & _server_families(settings)
    ready = [each for family, each in _ready(namespace, service, objects) if family in families]
    return frozenset(_addresses(text for each in ready for text in (each.get("addresses") or [])[:1]))


def _ready(namespace: str, service: str, objects: Objects) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """The ready endpoints of a Service, each with its IP version."""
    for each in objects.get("EndpointSlice", ()):
        labels = each["metadata"].get("labels") or {}
        family = _FAMILIES.get(str(each.get("addressType")))
        if _id(each) == f"{namespace}/{each['metadata']['name']}" and labels.get(_SERVICE_LABEL) == service:
            for endpoint in each.get("endpoints") or ():
                conditions = endpoint.get("conditions") or {}
                if conditions.get("ready") and not conditions.get("terminating"):
                    yield family, endpoint


def _at_pod_ports(namespace: str, service: str, objects: Objects, settings: Settings) -> frozenset[Address]:
    """The nodes on which Antrea has opened ports for the ready pods of a Service."""
    families = _service_families(namespace, service, objects) & _server_families(settings)
    named = [each for each in objects.get("Service", ()) if _id(each) == f"{namespace}/{service}"]
    selectors = [(each["spec"].get("selector") or {}).items() for each in named]
    found = set()
    for pod in objects.get("Pod", ()):
        meta, conditions = pod["metadata"], (pod.get("status") or {}).get("conditions") or ()
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
        labels = (meta.get("labels") or {}).items()
        selected = any(selector and selector <= labels for selector in selectors)
        if selected and _id(pod) == f"{namespace}/{meta['name']}" and ready and "deletionTimestamp" not in meta:
            entries = json.loads((meta.get("annotations") or {}).get(_POD_PORTS, "[]"))
            found |= _addresses(entry["nodeIP"] for entry in entries)
    return frozenset(address for address in found if address.version in families)


_SERVE = {
    ServiceType.CLUSTER_IP: _servers,
    ServiceType.NODE_PORT: _on_nodes,
    ServiceType.NODE_PORT_LOCAL: _at_pod_ports,
}


def _service_families(namespace: str, name: str, objects: Objects) -> set[int]:
    for each in objects.get("Service", ()):
        if _id(each) == f"{namespace}/{name}":
            return {_FAMILIES[family] for family in each["spec"].get("ipFamilies") or ["IPv4"]}
    return set()


def _server_families(settings: Settings) -> set[int]:
    return ({4} if settings.ip_family.v4 else set()) | ({6} if settings.ip_family.v6 else set())


def _routes(objects: Objects, settings: Settings) -> dict[Network, frozenset[Address]] | None:
    """The pod networks that must be routed. Networks of nodes that have no address of the family are not expected."""
    if settings.disable_static_routes or settings.service_type is not ServiceType.CLUSTER_IP or not settings.primary:
        return None
    families = _server_families(settings)
    nodes = {node["metadata"]["name"]: node for node in objects.get("Node", ())}
    if settings.cni_plugin == "calico":
        blocks = [each["spec"] for each in objects.get("BlockAffinity", ())]
        used = [spec for spec in blocks if str(spec.get("deleted")).lower() != "true"]
        pairs = [(spec["cidr"], spec["node"]) for spec in used if spec.get("state", "confirmed") == "confirmed"]
    elif settings.cni_plugin == "cilium":
        names = [(each["metadata"]["name"], each["spec"]["ipam"]) for each in objects.get("CiliumNode", ())]
        pairs = [(cidr, name) for name, ipam in names for cidr in ipam.get("podCIDRs") or ()]
    elif settings.cni_plugin == "openshift":
        pairs = [(each["subnet"], each["host"]) for each in objects.get("HostSubnet", ())]
    elif settings.cni_plugin == "ovn-kubernetes":
        pairs = [(cidr, name) for name, node in nodes.items() for cidr in _ovn_subnets(node)]
    elif settings.cni_plugin in _POD_CIDR_CNIS:
        pairs = [(cidr, name) for name, node in nodes.items() for cidr in _pod_cidrs(node)]
    else:
        return None
    found: dict[Network, frozenset[Address]] = {}
    for text, name in pairs:
        network = parse_network(text)
        hops = {hop for hop in _node_addresses(nodes.get(name)) if hop.version == network.version}
        if network.version in families and hops:
            found[network] = frozenset(hops)
    return found


def _ovn_subnets(node: dict[str, Any]) -> list[str]:
    annotated = (node["metadata"].get("annotations") or {}).get(_OVN)
    default = json.loads(annotated)["default"] if annotated else []
    return [default] if isinstance(default, str) else list(default)


def _pod_cidrs(node: dict[str, Any]) -> list[str]:
    annotated = str((node["metadata"].get("annotations") or {}).get(_POD_CIDRS, ""))
    if annotated.strip():
        return [text.strip() for text in annotated.split(",") if text.strip()]
    spec = node.get("spec") or {}
    return spec.get("podCIDRs") or [cidr for cidr in (spec.get("podCIDR"),) if cidr]


def _node_addresses(node: dict[str, Any] | None) -> set[Address]:
    if node is None:
        return set()
    rows = (node.get("status") or {}).get("addresses") or ()
    annotations = node["metadata"].get("annotations") or {}
    texts = [row["address"] for row in rows if row.get("type") == "InternalIP"]
    return _addresses(texts + [str(annotations[name]).partition("/")[0] for name in _CALICO if name in annotations])


def _addresses(texts: Iterable[str]) -> set[Address]:
    found = set()
    for text in texts:
        try:
            found.add(parse_address(text))
        except AddressError:
            continue  # the pipeline says so in an Event; here it is just not expected
    return found


def _id(obj: dict[str, Any]) -> str:
    return f"{obj['metadata'].get('namespace', 'default')}/{obj['metadata']['name']}"
