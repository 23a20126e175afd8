"""Static routes to the pods: for each pod network of a node, a route by way of that node.

The next hop has the family of the prefix, by type; a node without an address of that family gets no route for it and a
problem, never a route of mixed families. Only the families of `ipFamily` are routed. Where pod networks come from:
calico's BlockAffinities; for every other CNI the node annotation `ako.vmware.com/pod-cidrs` (both families, unlike
AKO), else `spec.podCIDRs`. CNIs that keep them elsewhere are not served, and then no route is touched.

Route ids are made of node name and prefix, so a restart, another worker or a route that vanishes changes none of the
others; AKO's change at every start. One prefix is routed once per VRF: of two nodes that claim it, the first by name
has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from shared.addresses import (
    Address,
    AddressError,
    Family,
    Network,
    avi_address,
    avi_subnet,
    family_of,
    parse_address,
    parse_network,
)
from shared.kinds import fnv1a32
from shared.settings.model import ServiceType, Settings
from workers.model.context import Context, context_for
from workers.model.types import Desired, Facts, Problem, RoutesSnapshot, SharedPart

POD_CIDRS_ANNOTATION = "ako.vmware.com/pod-cidrs"
CALICO_ANNOTATIONS = ("projectcalico.org/IPv4Address", "projectcalico.org/IPv6Address")
ANTREA_ANNOTATION = "node.antrea.io/transport-addresses"

CNIS_NOT_SERVED = frozenset({"openshift", "ovn-kubernetes", "cilium", "ncp"})
"""CNI plugins whose pod networks are in places that this release doesn't read."""


def routes_active(settings: Settings) -> bool:
    """Whether static routes are ours to write (and with them the SE group's label): ClusterIP, and not switched off."""
    return settings.service_type is ServiceType.CLUSTER_IP and not settings.disable_static_routes


def desired_routes(snapshot: RoutesSnapshot, settings: Settings, facts: Facts) -> Desired:
    """Our static routes in the VRF. Without a shared part in the answer the VRF is not to be touched at all."""
    if not routes_active(settings):
        return Desired()
    if settings.delete_config:
        return Desired(shared=(SharedPart("vrfcontext", settings.controller.tenant, facts.vrf, "static_routes", ()),))
    if settings.cni_plugin in CNIS_NOT_SERVED:
        return Desired(problems=tuple(_not_served(node, settings) for node in snapshot.nodes))
    context = context_for(settings, facts)
    blocks = _blocks_by_node(snapshot.blocks)
    problems: list[Problem] = []
    entries: list[dict[str, Any]] = []
    owners: dict[Network, str] = {}
    ids: set[str] = set()
    for node in sorted(snapshot.nodes, key=lambda each: str(each["name"])):
        hops = _addresses(node, context, problems)
        for prefix in _prefixes(node, blocks, context, problems):
            hop = hops.get(family_of(prefix))
            if hop is None:
                problems.append(_no_address(node, prefix))
            elif prefix in owners:
                text = f"The pod network {prefix} is routed to node {owners[prefix]} already."
                problems.append(_problem(node, "PodNetworkTaken", text))
            else:
                owners[prefix] = node["name"]
                entries.append(_route(node["name"], prefix, hop, ids, settings))
    part = SharedPart("vrfcontext", settings.controller.tenant, facts.vrf, "static_routes", tuple(entries))
    return Desired(problems=tuple(problems), shared=(part,))


def _route(node: str, prefix: Network, hop: Address, ids: set[str], settings: Settings) -> dict[str, Any]:
    stem = f"{settings.cluster_name}-{hashlib.sha256(node.encode()).hexdigest()[:8]}"
    number = fnv1a32(f"{node} {prefix}")
    while f"{stem}-{number}" in ids:
        number += 1
    ids.add(f"{stem}-{number}")
    return {
        "route_id": f"{stem}-{number}",
        "prefix": avi_subnet(prefix),
        "next_hop": avi_address(hop),
        "labels": [{"key": "clustername", "value": settings.cluster_name}],
    }


def _prefixes(
    node: dict[str, Any], blocks: dict[str, list[str]], context: Context, problems: list[Problem]
) -> list[Network]:
    """The node's pod networks of the wanted families, each once, sorted."""
    calico = context.settings.cni_plugin == "calico"
    annotation = node["annotations"].get(POD_CIDRS_ANNOTATION, "")
    if calico:
        texts: Iterable[str] = blocks.get(node["name"], [])
    elif annotation.strip():
        texts = [text for each in annotation.split(",") if (text := each.strip())]
    else:
        texts = node["pod_cidrs"]
    found = set()
    for text in texts:
        try:
            network = parse_network(text)
        except AddressError as error:
            problems.append(_problem(node, "MalformedPodNetwork", f"{error}; it is left out."))
            continue
        if family_of(network) in context.families:
            found.add(network)
    if not found and not calico:
        wanted = " or ".join(family.value for family in context.families)
        problems.append(_problem(node, "NoPodNetwork", f"The node has no {wanted} pod network, so nothing is routed."))
    return sorted(found, key=lambda each: (each.version, int(each.network_address), each.prefixlen))


def _blocks_by_node(blocks: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    by_node: dict[str, list[str]] = {}
    for block in blocks:
        if not block["deleted"]:
            by_node.setdefault(block["node"], []).append(block["cidr"])
    return by_node


def _addresses(node: dict[str, Any], context: Context, problems: list[Problem]) -> dict[Family, Address]:
    """The node's address of each wanted family: the CNI's annotation first, then the first InternalIP."""
    found: dict[Family, Address] = {}
    for where, text in _address_texts(node, context.settings.cni_plugin):
        try:
            address = parse_address(text)
        except AddressError as error:
            problems.append(_problem(node, "MalformedNodeAddress", f"{where}: {error}; it is left out."))
            continue
        if family_of(address) in context.families:
            found.setdefault(family_of(address), address)
    return found


def _address_texts(node: dict[str, Any], cni: str) -> list[tuple[str, str]]:
    """(where, text) of every address that the node may be reached by, the preferred ones first."""
    annotations = node["annotations"]
    texts: list[tuple[str, str]] = []
    if cni == "calico":
        texts += [(name, annotations[name].partition("/")[0]) for name in CALICO_ANNOTATIONS if annotations.get(name)]
    elif cni == "antrea":
        listed = annotations.get(ANTREA_ANNOTATION, "").split(",")
        texts += [(ANTREA_ANNOTATION, text.strip()) for text in listed if text.strip()]
    return texts + [("InternalIP", text) for text in node["addresses"]]


def _no_address(node: dict[str, Any], prefix: Network) -> Problem:
    family = "IPv4" if family_of(prefix) is Family.V4 else "IPv6"
    text = f"The node has no {family} InternalIP, so its pod network {prefix} is not routed. Give it an address."
    return _problem(node, "NoNodeAddress", text)


def _not_served(node: dict[str, Any], settings: Settings) -> Problem:
    text = (
        f"Pod networks of cniPlugin {settings.cni_plugin} are not read by this release; no route is written or removed."
    )
    return _problem(node, "CniNotServed", text)


def _problem(node: dict[str, Any], reason: str, message: str) -> Problem:
    return Problem("Node", "", node["name"], reason, message)
