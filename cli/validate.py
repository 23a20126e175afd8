"""`ako validate`: what a values file will do, or every mistake in it at once, without contacting anybody.

Only the file counts: the environment and what controller and cluster would say are left out, so the answer is the same
on a laptop, in a pipeline and in the cluster. With `--from-configmap` the file is AKO's ConfigMap `avi-k8s-config` in
YAML, as `kubectl get configmap -o yaml` prints it, or its data alone.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from shared.errors import SettingsError
from shared.settings import Loaded, Settings, VipNetwork, load
from shared.settings.matrix import MATRIX
from shared.settings.model import ServiceType
from shared.settings.sources import read_values
from workers.model.routes import looks_at_nodes, routes_active, routes_off

Line = tuple[str, str]

_CNI_ADDRESSES = {
    "calico": "the annotations projectcalico.org/IPv4Address and IPv6Address, else InternalIP",
    "antrea": "the annotation node.antrea.io/transport-addresses, else InternalIP",
}
_POD_NETWORKS = {
    "calico": "Calico's BlockAffinities",
    "cilium": "spec.ipam.podCIDRs of the CiliumNodes",
    "openshift": "the HostSubnets of the OpenShift SDN",
    "ovn-kubernetes": "the node annotation k8s.ovn.org/node-subnets",
}
_POD_CIDRS = "the node annotation ako.vmware.com/pod-cidrs, else spec.podCIDRs"
_FAMILIES = {"V4": "IPv4", "V6": "IPv6", "V4_V6": "IPv4 and IPv6"}


def run(options: argparse.Namespace) -> int:
    """0 and a summary for usable settings; 1 and one line `path: text` per mistake."""
    as_json = options.output == "json"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the terminal may not have every letter of the file
    try:
        loaded = _loaded(options)
    except SettingsError as error:
        if not as_json:
            raise
        problems = [{"path": path, "message": text} for path, text in error.problems]
        print(json.dumps({"valid": False, "problems": problems}, indent=2))
        return 1
    summary = list(summarize(loaded.settings))
    if as_json:
        shown = {"valid": True, "summary": [list(line) for line in summary]}
        print(json.dumps({**shown, "warnings": list(loaded.warnings), "notes": list(loaded.notes)}, indent=2))
    else:
        print(f"{options.file}: valid")
        lines = [*summary, *(("warning", text) for text in loaded.warnings), *(("note", text) for text in loaded.notes)]
        for title, text in lines:
            print(f"  {title:<16}{text}")
    return 0


def _loaded(options: argparse.Namespace) -> Loaded:
    if not options.from_configmap:
        return load(options.file, {})
    return load(None, {}, _data(read_values(options.file)))


def _data(document: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The data of a ConfigMap, or the document itself when it is no Kubernetes object."""
    if "kind" not in document and "data" not in document:
        return document
    data = document.get("data") or {}
    if document.get("kind") != "ConfigMap" or not isinstance(data, Mapping):
        raise SettingsError([("kind", "is not a ConfigMap with data; give avi-k8s-config as YAML")])
    return data


def summarize(settings: Settings) -> Iterator[Line]:
    """What these settings will do, as (title, text) lines."""
    controller = settings.controller
    yield "cluster", f"{settings.cluster_name}; its Avi objects are named {settings.prefix}..."
    place = f"cloud {controller.cloud}, tenant {controller.tenant}, SE group {controller.se_group}"
    yield "controller", f"{controller.host}: {place}, VRF {controller.vrf or 'of the VIP network'}"
    if settings.delete_config:
        yield "deleteConfig", "everything of this cluster is taken off the controller, and then nothing is done"
    for network in settings.vip_networks:
        yield "VIPs", _vips(network)
    families = _FAMILIES[settings.ip_family.value]
    yield "pool servers", f"{families} addresses of {_servers(settings)} (ipFamily {settings.ip_family.value})"
    if looks_at_nodes(settings):
        yield "node addresses", f"{families}, from {_CNI_ADDRESSES.get(settings.cni_plugin, 'InternalIP')}"
    if routes_active(settings):
        source = _POD_NETWORKS.get(settings.cni_plugin, _POD_CIDRS)
        yield "pod networks", f"{source}; each becomes a static route by way of its node"
    for title, text in _off(settings):
        yield "off", f"{title}: {text}"
    for gate in sorted(settings.gates):
        yield "gate on", gate
    if settings.ip_family.v6 or any(network.v6cidr for network in settings.vip_networks):
        rules = ", ".join(dict.fromkeys(row.id for row in MATRIX if row.phase == "contact"))
        yield "asked later", f"what only controller and cluster can tell ({rules}), before anything is written"


def _vips(network: VipNetwork) -> str:
    parts = [("IPv4", network.cidr), ("IPv6", network.v6cidr)]
    given = " and ".join(f"{family} from {cidr}" for family, cidr in parts if cidr is not None)
    where = f"network {network.name or network.uuid}"
    return f"{given}, on {where}" if given else f"from any subnet of {where}"


def _servers(settings: Settings) -> str:
    """What the servers of pools are."""
    if settings.service_type is ServiceType.NODE_PORT_LOCAL:
        return "nodes, at the ports that Antrea opens for pods"
    if settings.service_type is not ServiceType.NODE_PORT:
        return "endpoints"
    key, value = settings.node_port_label
    return "nodes, at node ports" if not key else f"nodes with the label {key}={value}, at node ports"


def _off(settings: Settings) -> Iterator[Line]:
    """What is not done, and why."""
    if not routes_active(settings):
        yield "static routes", routes_off(settings) or "primaryInstance is false"
    if not any(network.v6cidr for network in settings.vip_networks):
        yield "IPv6 VIPs", "no vipNetworkList row has a v6cidr"
    if not settings.pipeline.resync_interval:
        yield "periodic census", "its interval is 0"
    held = [row for row in MATRIX if row.gate and row.gate not in settings.gates]
    if held:
        names = dict.fromkeys(f"{row.gate} ({row.id})" for row in held)
        yield "feature gates", f"{', '.join(names)}: AKO documents no IPv6 there"
