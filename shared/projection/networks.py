"""What is kept of the objects in which CNI plugins say which pod networks a node has.

Such an object concerns its node and nothing else, so it marks what a change of the node marks. Networks stay the texts
that they are: what can't be parsed is for the model to tell. `shared.projection` says what a projection is.
"""

from __future__ import annotations

from typing import Any

from shared.projection.reading import Projection, identity, listing, mapping, text_of


def project_block_affinity(obj: dict[str, Any]) -> Projection:
    """A BlockAffinity of Calico: one of the pod networks of a node. Its `deleted` is a text in the CRD.

    `state` is pending while the block is being claimed and pendingDeletion while it is given back; objects of old
    releases have none.
    """
    _, name, _ = identity(obj)
    spec = mapping(obj.get("spec"))
    node = text_of(spec.get("node"))
    body = {
        "name": name,
        "node": node,
        "cidr": text_of(spec.get("cidr")),
        "deleted": str(spec.get("deleted", "")).lower() == "true",
        "state": text_of(spec.get("state")),
    }
    return Projection(name, body, marks=_marks(node))


def project_cilium_node(obj: dict[str, Any]) -> Projection:
    """A CiliumNode: the pod networks of the node of the same name."""
    _, name, _ = identity(obj)
    ipam = mapping(mapping(obj.get("spec")).get("ipam"))
    cidrs = [cidr for cidr in listing(ipam.get("podCIDRs")) if isinstance(cidr, str) and cidr]
    return Projection(name, {"name": name, "node": name, "pod_cidrs": cidrs}, marks=_marks(name))


def project_host_subnet(obj: dict[str, Any]) -> Projection:
    """A HostSubnet of the OpenShift SDN: one pod network of the node `host`. It has no spec."""
    _, name, _ = identity(obj)
    node = text_of(obj.get("host"))
    return Projection(name, {"name": name, "node": node, "subnet": text_of(obj.get("subnet"))}, marks=_marks(node))


def _marks(node: str) -> tuple[str, ...]:
    return (f"change:Node/{node}",) if node else ()
