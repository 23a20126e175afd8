"""A small Kubernetes world for the model's tests: manifests in, desired objects out; no Redis, no controller."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import yaml

from shared.kinds import CNI_KINDS, KINDS, kinds_for
from shared.loadbalancer import service_key
from shared.projection import DEFAULT_SECRET, tls_by_default
from shared.settings.model import ControllerSettings, IpFamily, NodeNetwork, Settings, VipNetwork
from tests import pems
from workers.model.accept import hosts_of
from workers.model.certificates import desired_default_certificates
from workers.model.context import context_for
from workers.model.hosts import desired_host
from workers.model.l4 import desired_services
from workers.model.routes import desired_routes
from workers.model.segroup import desired_segroup
from workers.model.shards import desired_shard
from workers.model.types import (
    AviObject,
    CertificateSnapshot,
    Desired,
    Facts,
    HostSnapshot,
    Problem,
    RoutesSnapshot,
    ServiceSnapshot,
    ShardSnapshot,
    StandingVip,
)

GOLDEN = Path(__file__).parents[2] / "golden"
PROJECT = {kind.name: kind.project for kind in KINDS}

AVI_CLASS: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "IngressClass",
    "metadata": {"name": "avi-lb", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
    "spec": {"controller": "ako.vmware.com/avi-lb"},
}

INFRA_CLASS: dict[str, Any] = {
    "kind": "IngressClass",
    "metadata": {"name": "gold"},
    "spec": {
        "controller": "ako.vmware.com/avi-lb",
        "parameters": {"apiGroup": "ako.vmware.com", "kind": "AviInfraSetting", "name": "gold"},
    },
}
"""An IngressClass that asks for what is not served yet: its Ingresses are frozen."""

PASSTHROUGH = {"passthrough.ako.vmware.com/enabled": "true"}
"""The annotation that passes the TLS of an Ingress's hosts through."""

FACTS = Facts(
    cloud_type="CLOUD_VCENTER",
    cloud_uuid="cloud-1",
    vrf="global",
    dns_domains=("avi.internal", "example.com"),
    node_network_uuids={"node-net": "network-42"},
    cluster_uuid="cluster-7",
    license_tier="ENTERPRISE",
    se_group_uuid="serviceenginegroup-1",
)


def settings(**changes: Any) -> Settings:
    """Settings of a cluster `c1` with one dual-stack VIP network, changed as asked."""
    fields: dict[str, Any] = {
        "cluster_name": "c1",
        "controller": ControllerSettings(host="avi.example.com"),
        "vip_networks": (VipNetwork("net1", cidr=IPv4Network("10.10.0.0/16"), v6cidr=IPv6Network("2001:db8:10::/64")),),
        "node_networks": (NodeNetwork("node-net", cidrs=(IPv4Network("10.50.0.0/24"),)),),
        **changes,
    }
    return Settings(**fields)


def golden_settings(case: str) -> Settings:
    """The settings of a golden case: its `values.env` and what the README says of the rest."""
    lines = (GOLDEN / case / "values.env").read_text().split("\n")
    env = dict(line.split("=", 1) for line in lines if line)
    return settings(
        cluster_name="peer",
        cni_plugin=env["CNI_PLUGIN"],
        ip_family=IpFamily(env["IP_FAMILY"]),
        evh=env.get("ENABLE_EVH") == "true",
        vip_networks=tuple(_vip_network(row) for row in json.loads(env["VIP_NETWORK_LIST"])),
        node_networks=tuple(
            NodeNetwork(row["networkName"], cidrs=tuple(ip_network(cidr) for cidr in row["cidrs"]))
            for row in json.loads(env["NODE_NETWORK_LIST"])
        ),
    )


def _vip_network(row: Mapping[str, str]) -> VipNetwork:
    return VipNetwork(
        row["networkName"],
        cidr=IPv4Network(row["cidr"]) if "cidr" in row else None,
        v6cidr=IPv6Network(row["v6cidr"]) if "v6cidr" in row else None,
    )


@dataclass
class World:
    """Projections by kind and id. `standing` are the ids of the objects that stand on the controller.

    `labels` are those that each Pod is indexed under.
    """

    settings: Settings
    facts: Facts = FACTS
    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    labels: dict[str, set[str]] = field(default_factory=dict)
    standing: set[str] = field(default_factory=set)
    day: int = pems.DAY
    vips: dict[str, StandingVip] = field(default_factory=dict)
    vip_change: bool = False

    def apply(self, *manifests: dict[str, Any]) -> World:
        project = PROJECT | {kind.name: kind.project for kind in kinds_for(self.settings)}
        for manifest in manifests:
            kind = manifest["kind"]
            projection = project[kind](manifest)
            if kind == "Pod":
                self.labels[projection.id] = {ref.split("/", 2)[2] for ref, _ in projection.index}
            self.objects.setdefault(kind, {})[projection.id] = projection.body
        return self

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return self.objects.get(kind, {})

    def hosts(self) -> list[str]:
        return sorted({host for ing in self.of("Ingress").values() for host in self._named(ing)})

    def _named(self, ing: dict[str, Any]) -> Iterable[str]:
        return hosts_of(ing, context_for(self.settings, self.facts))

    def host_snapshot(self, host: str) -> HostSnapshot:
        slices: dict[str, tuple[dict[str, Any], ...]] = {}
        for each in self.of("EndpointSlice").values():
            key = f"{each['ns']}/{each['service']}"
            slices[key] = (*slices.get(key, ()), each)
        named = [ing for ing in self.of("Ingress").values() if host in self._named(ing)]
        return HostSnapshot(
            host,
            tuple(named),
            self.of("Namespace"),
            self.of("IngressClass"),
            self.of("Service"),
            slices,
            self.of("Secret"),
            self.day,
            frozenset(self.standing),
            tuple(self.of("Node").values()),
            {id_: self._selected(each) for id_, each in self.of("Service").items() if each.get("selector")},
        )

    def _selected(self, service: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        pods = self.of("Pod").items()
        return tuple(
            pod for id_, pod in pods if pod["ns"] == service["ns"] and self.labels[id_] >= set(service["selector"])
        )

    def host(self, host: str) -> Desired:
        return desired_host(self.host_snapshot(host), self.settings, self.facts)

    def shard(self, key: str) -> Desired:
        tenant, parent = key.removeprefix("shard:").split("/", 1)
        snapshot = ShardSnapshot(
            tenant,
            parent,
            tuple(self.of("Ingress").values()),
            self.of("Namespace"),
            self.of("IngressClass"),
            self.of("Secret"),
            frozenset(self.standing),
        )
        return desired_shard(snapshot, self.settings, self.facts)

    def service_keys(self) -> list[str]:
        return sorted({service_key(each) for each in self.of("Service").values() if "lb" in each})

    def services(self, key: str) -> Desired:
        """What a key of Services of type LoadBalancer wants; every Service and Ingress is looked at for names."""
        load_balancers = {id_: each for id_, each in self.of("Service").items() if "lb" in each}
        snapshot = ServiceSnapshot(
            key,
            {id_: each for id_, each in load_balancers.items() if service_key(each) == key},
            self.host_snapshot("").slices,
            self.of("Namespace"),
            self.of("IngressClass"),
            load_balancers,
            tuple(self.of("Ingress").values()),
            self.vips,
            tuple(self.of("Node").values()),
            self.host_snapshot("").pods,
            self.vip_change,
        )
        return desired_services(snapshot, self.settings, self.facts)

    def routes(self) -> Desired:
        networks = {kind.name: tuple(self.of(kind.name).values()) for kind in CNI_KINDS.values() if self.of(kind.name)}
        snapshot = RoutesSnapshot(tuple(self.of("Node").values()), networks)
        return desired_routes(snapshot, self.settings, self.facts)

    def certificates(self) -> Desired:
        snapshot = CertificateSnapshot(
            tuple(each for each in self.of("Ingress").values() if tls_by_default(each)),
            self.of("Namespace"),
            self.of("IngressClass"),
            self.of("Secret").get(f"{self.settings.pod_namespace}/{DEFAULT_SECRET}"),
            frozenset(self.standing),
        )
        return desired_default_certificates(snapshot, self.settings, self.facts)

    def everything(self) -> tuple[list[AviObject], list[Problem], list[Desired]]:
        """The objects of all keys that own some once all of them stand; all problems; the shared answers."""
        return self.everything_from(set())

    def everything_from(self, standing: set[str]) -> tuple[list[AviObject], list[Problem], list[Desired]]:
        """The same, from what stands already."""
        self.standing = set(standing)
        services = [self.services(key) for key in self.service_keys()]
        hosts = [self.certificates(), *(self.host(host) for host in self.hosts())]
        self.standing |= {wanted.id for each in hosts for wanted in each.objects}
        shards = [self.shard(key) for key in sorted({key for each in hosts for key in each.shards})]
        objects = [wanted for each in (*hosts, *shards, *services) for wanted in each.objects]
        self.standing |= {wanted.id for wanted in objects}
        shared = [self.routes(), desired_segroup(self.settings, self.facts)]
        return objects, [problem for each in (*hosts, *services, *shared) for problem in each.problems], shared


def golden_world(case: str) -> World:
    """The world of a golden case; node network uuids are those that its requests name."""
    manifests = [each for each in yaml.safe_load_all((GOLDEN / case / "manifests.yaml").read_text()) if each]
    for each in manifests:
        if each["kind"] == "Service":  # what the API server fills in
            each["spec"].setdefault("ipFamilies", ["IPv4"])
    uuids = {
        network["network_ref"].rsplit("/", 1)[1]
        for _, body in golden_bodies(case).items()
        for network in body.get("placement_networks", [])
    }
    (uuid,) = uuids
    fields = {name: getattr(FACTS, name) for name in FACTS.__slots__}
    facts = Facts(**{**fields, "node_network_uuids": {"node-net": uuid}})
    return World(golden_settings(case), facts).apply(AVI_CLASS, *manifests)


def golden_bodies(case: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The last body that AKO sent of each object, by (type, name)."""
    bodies = {}
    for line in (GOLDEN / case / "requests.jsonl").read_text().split("\n"):
        if not line:
            continue
        request = json.loads(line)
        if request["method"] in ("POST", "PUT") and "body" in request:
            bodies[request["path"].split("/")[2], request["body"]["name"]] = request["body"]
    return bodies


def service(name: str = "web", *, families: Iterable[str] = ("IPv4",), **spec: Any) -> dict[str, Any]:
    ports = [{"name": "p80", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "red"},
        "spec": {"type": "ClusterIP", "ipFamilies": list(families), "ports": ports, **spec},
    }


def load_balancer(
    name: str = "db",
    *,
    ports: Iterable[tuple[str, int]] = (("TCP", 5432),),
    families: Iterable[str] = ("IPv4",),
    created: str = "2026-01-01T00:00:00Z",
    namespace: str = "red",
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A Service of type LoadBalancer; `ports` are protocols and numbers, each served by the port 1000 above it."""
    rows = [
        {"name": f"{protocol.lower()}-{port}", "port": port, "targetPort": port + 1000, "protocol": protocol}
        for protocol, port in ports
    ]
    meta = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "creationTimestamp": created}
    return {
        "kind": "Service",
        "metadata": {**meta, "annotations": dict(annotations or {})},
        "spec": {"type": "LoadBalancer", "ipFamilies": list(families), "ports": rows, **spec},
    }


def endpoint_slice(
    addresses: Iterable[str], *, family: str = "IPv4", name: str = "", owner: str = "web", ports: Any = None
) -> dict[str, Any]:
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "name": name or f"{owner}-{family.lower()}",
            "namespace": "red",
            "labels": {"kubernetes.io/service-name": owner},
        },
        "addressType": family,
        "ports": [{"name": "p80", "port": 8080, "protocol": "TCP"}] if ports is None else ports,
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


def ingress(
    name: str = "ing1",
    *,
    host: str = "foo.example.com",
    paths: Iterable[str | dict[str, Any]] = ("/",),
    tls: str | None = None,
    namespace: str = "red",
    created: str = "2026-01-01T00:00:00Z",
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    entries = [each if isinstance(each, dict) else {"path": each, "pathType": "Prefix"} for each in paths]
    rules = [{"host": host, "http": {"paths": [{"backend": backend, **each} for each in entries]}}]
    body: dict[str, Any] = {"ingressClassName": "avi-lb", "rules": rules, **spec}
    if tls is not None:
        body["tls"] = [{"hosts": [host], "secretName": tls}]
    meta = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "creationTimestamp": created}
    return {"kind": "Ingress", "metadata": {**meta, "annotations": dict(annotations or {})}, "spec": body}


def secret(name: str = "foo-tls", *, namespace: str = "red", **data: str) -> dict[str, Any]:
    return {
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": "7"},
        "data": data or pems.data(*pems.pair()),
    }


def node(name: str, *addresses: str, cidrs: Iterable[str] = (), **annotations: str) -> dict[str, Any]:
    return {
        "kind": "Node",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"podCIDRs": list(cidrs)},
        "status": {"addresses": [{"type": "InternalIP", "address": address} for address in addresses]},
    }


def block(name: str, on: str, cidr: str, deleted: str = "false") -> dict[str, Any]:
    return {"kind": "BlockAffinity", "metadata": {"name": name}, "spec": {"node": on, "cidr": cidr, "deleted": deleted}}
