"""Nodes as others reach them: one address of each family, told by the address itself and never by its place.

The CNI's annotation comes first (calico, antrea), then the first InternalIP of the family; addresses of other kinds are
never used. Static routes lead there, and in NodePort mode pool servers are there.

**Which nodes serve in NodePort mode** follows what Kubernetes expects of load balancers today: a node that is not ready
or cordoned stays, since the health monitors see for themselves whether it answers. One with the label
`node.kubernetes.io/exclude-from-external-load-balancers` is left out. One that is on its way out (being deleted, or
tainted by the cluster autoscaler) is disabled, so that its connections can end. With `nodePortSelector` only nodes
that bear the label, with exactly that value, serve.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from shared.addresses import Address, AddressError, Family, family_of, parse_address
from workers.model.context import Context
from workers.model.types import Problem

CALICO_ANNOTATIONS = ("projectcalico.org/IPv4Address", "projectcalico.org/IPv6Address")
ANTREA_ANNOTATION = "node.antrea.io/transport-addresses"
EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


class ServingNode(NamedTuple):
    """A node that pools have servers on in NodePort mode. `leaving`: it gets no new connections."""

    name: str
    addresses: dict[Family, Address]
    leaving: bool


_Nodes = tuple[dict[str, Any], ...]
_last: tuple[_Nodes, Context, tuple[ServingNode, ...]] | None = None


def serving_nodes(nodes: _Nodes, context: Context) -> tuple[ServingNode, ...]:
    """The nodes that serve, by name. The last answer is remembered: thousands of nodes are the same for every host."""
    global _last  # noqa: PLW0603 - one tuple, replaced as a whole, so threads see the old or the new one
    last = _last
    if last is not None and last[0] is nodes and last[1] is context:
        return last[2]
    serving = sorted((node for node in nodes if _serves(node, context)), key=lambda each: str(each["name"]))
    found = tuple(ServingNode(node["name"], node_addresses(node, context)[0], node["leaving"]) for node in serving)
    _last = (nodes, context, found)
    return found


def node_problems(node: dict[str, Any], context: Context) -> list[Problem]:
    """What is wrong with a node that ought to serve in NodePort mode."""
    if not _serves(node, context):
        return []
    addresses, problems = node_addresses(node, context)
    if not addresses:
        wanted = context.settings.ip_family.value
        text = f"The node has no InternalIP of ipFamily {wanted} that others can reach, so no pool has a server on it."
        problems.append(_problem(node["name"], "NoNodeAddress", f"{text} Give it an address."))
    return problems


def node_addresses(node: dict[str, Any], context: Context) -> tuple[dict[Family, Address], list[Problem]]:
    """The node's address of each wanted family, and what is wrong with others: a text that is no address."""
    found: dict[Family, Address] = {}
    problems = []
    for where, text in _address_texts(node, context.settings.cni_plugin):
        try:
            address = parse_address(text)
        except AddressError as error:
            problems.append(_problem(node["name"], "MalformedNodeAddress", f"{where}: {error}; it is left out."))
            continue
        if family_of(address) in context.families and not _is_local(address):
            found.setdefault(family_of(address), address)
    return found, problems


def _serves(node: dict[str, Any], context: Context) -> bool:
    key, value = context.settings.node_port_label
    labels = node["labels"]
    return EXCLUDED not in labels and (not key or labels.get(key) == value)


def _is_local(address: Address) -> bool:
    """Whether an address means nothing to others than the node itself or its neighbours."""
    return address.is_link_local or address.is_loopback or address.is_unspecified or address.is_multicast


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


def _problem(node: str, reason: str, message: str) -> Problem:
    return Problem("Node", "", node, reason, message)
