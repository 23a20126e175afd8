"""Static routes to the pods: for each pod network of a node, a route by way of that node.

The next hop has the family of the prefix, by type; a node without an address of that family gets no route for it and a
problem, never a route of mixed families. Only the families of `ipFamily` are routed. Where pod networks come from is
told by `workers.model.podnetworks`. While no object of the kind that a CNI plugin keeps them in was ever seen, nothing
is known of them, and no route is touched.

Route ids are made of node name and prefix, so a restart, another worker or a route that vanishes changes none of the
others; AKO's change at every start.

**An address is routed to one node: the first by name of those that claim it.** So a network that equals or lies in one
of a node with an earlier name is not routed. A larger one around it is: the longer prefix wins on the Service Engines,
so that nothing is taken from the other node. Either way the node with the later name is told. Networks of one node may
lie in each other.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from shared.addresses import (
    Address,
    AddressError,
    Family,
    Network,
    avi_address,
    avi_subnet,
    family_of,
    parse_network,
)
from shared.kinds import fnv1a32
from shared.settings.model import ServiceType, Settings
from workers.model.context import Context, context_for
from workers.model.nodes import node_addresses, node_problems
from workers.model.podnetworks import Source, source_of
from workers.model.types import Desired, Facts, Problem, RoutesSnapshot, SharedPart

UNROUTED = frozenset(("NoNodeAddress", "PodNetworkTaken", "MalformedPodNetwork", "NoPodNetwork", "PodNetworksUnknown"))
"""The reasons of problems that mean a pod network without a route; PodNetworksUnknown stands for all of them."""


def routes_off(settings: Settings) -> str:
    """Why this cluster has no static routes at all, "" when it has. The SE group's label goes with them."""
    if settings.service_type is not ServiceType.CLUSTER_IP:
        return f"serviceType is {settings.service_type.value}"
    if settings.disable_static_routes:
        return "disableStaticRouteSync is true"
    return "NSX routes to the pods of cniPlugin ncp" if settings.cni_plugin == "ncp" else ""


def routes_active(settings: Settings) -> bool:
    """Whether static routes are ours to write: the cluster has some, and this is its primary instance."""
    return settings.primary and not routes_off(settings)


def looks_at_nodes(settings: Settings) -> bool:
    """Whether the key of the routes has anything to do: it also tells in NodePort mode which nodes can't serve."""
    return routes_active(settings) or settings.service_type is ServiceType.NODE_PORT


def left_out(desired: Desired, settings: Settings) -> dict[str, int]:
    """How many pod networks are not routed, by the reason that the Event on the Node gives."""
    if not routes_active(settings):
        return {}
    return dict(Counter(problem.reason for problem in desired.problems if problem.reason in UNROUTED))


def desired_routes(snapshot: RoutesSnapshot, settings: Settings, facts: Facts) -> Desired:
    """Our static routes in the VRF. Without a shared part in the answer the VRF is not to be touched at all.

    In NodePort mode there are none, and the answer says which nodes can't serve.
    """
    if not routes_active(settings):
        return Desired(problems=_unreachable(snapshot, settings, facts))
    if settings.delete_config:
        return Desired(shared=(SharedPart("vrfcontext", settings.controller.tenant, facts.vrf, "static_routes", ()),))
    context = context_for(settings, facts)
    nodes = sorted(snapshot.nodes, key=lambda each: str(each["name"]))
    source = source_of(settings.cni_plugin, snapshot)
    if isinstance(source, str):
        return Desired(problems=(_unseen(source, settings),) if nodes else ())
    problems: list[Problem] = []
    routed = _Routed()
    for node in nodes:
        _route_node(node, source, context, routed, problems)
    problems += routed.overlaps()
    ids: set[str] = set()
    entries = tuple(_entry(node, prefix, hop, ids, settings) for prefix, node, hop in routed.ways)
    part = SharedPart("vrfcontext", settings.controller.tenant, facts.vrf, "static_routes", entries)
    return Desired(problems=tuple(problems), shared=(part,))


def _unreachable(snapshot: RoutesSnapshot, settings: Settings, facts: Facts) -> tuple[Problem, ...]:
    """What is wrong with nodes that ought to serve in NodePort mode; without routes nobody else looks at them all."""
    if settings.service_type is not ServiceType.NODE_PORT or settings.delete_config:
        return ()
    context = context_for(settings, facts)
    nodes = sorted(snapshot.nodes, key=lambda each: str(each["name"]))
    return tuple(problem for node in nodes for problem in node_problems(node, context))


class _Routed:
    """The networks that are routed so far, and to which nodes."""

    def __init__(self) -> None:
        self.ways: list[tuple[Network, str, Address]] = []
        self._owners: dict[tuple[int, int, int], tuple[Network, str]] = {}
        self._lengths: dict[int, set[int]] = {4: set(), 6: set()}

    def add(self, prefix: Network, node: str, hop: Address) -> None:
        """Routes a network to a node."""
        self.ways.append((prefix, node, hop))
        self._owners[_key(prefix, prefix.prefixlen)] = (prefix, node)
        self._lengths[prefix.version].add(prefix.prefixlen)

    def around(self, prefix: Network, node: str) -> Iterator[tuple[Network, str]]:
        """The routed networks of other nodes that hold all of `prefix` or are the same, the largest first."""
        for length in sorted(self._lengths[prefix.version]):
            found = self._owners.get(_key(prefix, length)) if length <= prefix.prefixlen else None
            if found is not None and found[1] != node:
                yield found

    def overlaps(self) -> Iterator[Problem]:
        """A problem for each routed network that has holes, since parts of it are routed to other nodes."""
        holes: dict[tuple[Network, str], list[str]] = {}
        for prefix, node, _ in self.ways:
            for larger in self.around(prefix, node):
                holes.setdefault(larger, []).append(f"{prefix} of node {node}")
        for (prefix, node), inside in holes.items():
            shown = ", ".join(inside[:3]) + (f" and {len(inside) - 3} more" if len(inside) > 3 else "")
            text = (
                f"The pod network {prefix} holds {shown}: these are routed to their nodes, the rest of it to this one."
            )
            yield _problem(node, "PodNetworksOverlap", text + " Give each node networks of its own.")


def _key(network: Network, length: int) -> tuple[int, int, int]:
    """The network of that length around this one."""
    return network.version, length, int(network.network_address) >> (network.max_prefixlen - length)


def _route_node(
    node: dict[str, Any], source: Source, context: Context, routed: _Routed, problems: list[Problem]
) -> None:
    name = node["name"]
    hops, wrong = node_addresses(node, context)
    problems += wrong
    for prefix in _prefixes(node, source, context, problems):
        hop = hops.get(family_of(prefix))
        if hop is None:
            problems.append(_no_address(name, prefix))
        elif taken := next(routed.around(prefix, name), None):
            network, other = taken
            lies = "" if network == prefix else f"lies in {network}, which "
            text = f"The pod network {prefix} {lies}is routed to node {other} already, so it is not routed to this one."
            problems.append(_problem(name, "PodNetworkTaken", text + " Give each node networks of its own."))
        else:
            routed.add(prefix, name, hop)


def _entry(node: str, prefix: Network, hop: Address, ids: set[str], settings: Settings) -> dict[str, Any]:
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


def _prefixes(node: dict[str, Any], source: Source, context: Context, problems: list[Problem]) -> list[Network]:
    """The node's pod networks of the wanted families, each once, sorted."""
    stands = source(node)
    found = set()
    for text in stands.texts:
        try:
            network = _pod_network(text)
        except AddressError as error:
            told = f"{stands.where}: {error}; it is left out."
            problems.append(_problem(node["name"], "MalformedPodNetwork", told))
            continue
        if family_of(network) in context.families:
            found.add(network)
    if not found and stands.lacking:
        wanted = " or ".join(family.value for family in context.families)
        lacking = f"{stands.where} has {', '.join(sorted(stands.texts))}" if stands.texts else stands.lacking
        text = f"The node has no {wanted} pod network, so nothing is routed to its pods: {lacking}."
        problems.append(_problem(node["name"], "MalformedPodNetwork" if stands.wrong else "NoPodNetwork", text))
    return sorted(found, key=lambda each: (each.version, int(each.network_address), each.prefixlen))


def _pod_network(text: str) -> Network:
    network = parse_network(text)
    if not network.prefixlen:
        raise AddressError(f"{text!r} is every address there is, which no node has")
    return network


def _no_address(node: str, prefix: Network) -> Problem:
    family = "IPv4" if family_of(prefix) is Family.V4 else "IPv6"
    text = f"The node has no {family} InternalIP that others can reach, so its pod network {prefix} is not routed."
    return _problem(node, "NoNodeAddress", text + " Give it an address.")


def _unseen(kind: str, settings: Settings) -> Problem:
    """One for all nodes, on our namespace."""
    text = (
        f"No {kind} was ever seen in the cluster, so the pod networks of its nodes are not known and no static route "
        f"is written or removed. Is cniPlugin {settings.cni_plugin} the cluster's CNI?"
    )
    home = settings.pod_namespace
    return Problem("Namespace", home, home, "PodNetworksUnknown", text)


def _problem(node: str, reason: str, message: str) -> Problem:
    return Problem("Node", "", node, reason, message)
