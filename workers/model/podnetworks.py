"""Where the pod networks of a node stand, for each CNI plugin; as texts, nothing is parsed here but what holds them.

| cniPlugin | source |
|---|---|
| calico | BlockAffinities bound to the node, confirmed and not deleted |
| cilium | `spec.ipam.podCIDRs` of the CiliumNode of the same name |
| openshift | `subnet` of the HostSubnets whose `host` is the node |
| ovn-kubernetes | key `default` of the annotation `k8s.ovn.org/node-subnets`, a text or a list |
| any other | the annotation `ako.vmware.com/pod-cidrs`, else `spec.podCIDRs` |

Calico gives a node its blocks when pods need them, so a node without one is nothing to report; everywhere else it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from workers.model.types import RoutesSnapshot

POD_CIDRS_ANNOTATION = "ako.vmware.com/pod-cidrs"
OVN_ANNOTATION = "k8s.ovn.org/node-subnets"

_Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """The pod networks of a node: the texts and, for messages, `where` they stand.

    `lacking` says why there is none, "" where that is as it should be; `wrong`: what is there can't be read.
    """

    where: str
    texts: tuple[str, ...] = ()
    lacking: str = ""
    wrong: bool = False


Source = Callable[[_Object], Found]


def source_of(cni: str, snapshot: RoutesSnapshot) -> Source | str:
    """What finds the pod networks of a node, or the name of the kind of which nothing was ever seen."""
    if cni == "calico":
        blocks = snapshot.networks.get("BlockAffinity")
        return "BlockAffinity" if blocks is None else _calico(blocks)
    if cni == "cilium":
        nodes = snapshot.networks.get("CiliumNode")
        return "CiliumNode" if nodes is None else _cilium(nodes)
    if cni == "openshift":
        subnets = snapshot.networks.get("HostSubnet")
        return "HostSubnet" if subnets is None else _openshift(subnets)
    return _ovn if cni == "ovn-kubernetes" else _of_node


def _calico(blocks: Iterable[_Object]) -> Source:
    by_node: dict[str, list[str]] = {}
    for block in blocks:
        if not block["deleted"] and block["state"] in ("", "confirmed"):
            by_node.setdefault(block["node"], []).append(block["cidr"])
    return lambda node: Found("BlockAffinity", tuple(by_node.get(node["name"], ())))


def _cilium(nodes: Iterable[_Object]) -> Source:
    by_node = {each["node"]: tuple(each["pod_cidrs"]) for each in nodes}

    def find(node: _Object) -> Found:
        name = node["name"]
        where = f"spec.ipam.podCIDRs of CiliumNode {name}"
        lacking = f"{where} is empty" if name in by_node else f"there is no CiliumNode {name}"
        return Found(where, by_node.get(name, ()), lacking)

    return find


def _openshift(subnets: Iterable[_Object]) -> Source:
    by_node: dict[str, list[str]] = {}
    for each in subnets:
        if each["subnet"]:
            by_node.setdefault(each["node"], []).append(each["subnet"])

    def find(node: _Object) -> Found:
        name = node["name"]
        lacking = f"there is no HostSubnet with host {name} and a subnet"
        return Found(f"HostSubnet of {name}", tuple(by_node.get(name, ())), lacking)

    return find


def _ovn(node: _Object) -> Found:
    where = f"annotation {OVN_ANNOTATION}"
    text = node["annotations"].get(OVN_ANNOTATION, "")
    if not text.strip():
        return Found(where, lacking=f"the node has no {where}")
    try:
        subnets = json.loads(text)
    except (ValueError, RecursionError):
        subnets = None
    default = subnets.get("default") if isinstance(subnets, dict) else None
    networks = [default] if isinstance(default, str) else default
    if not isinstance(networks, list) or not all(isinstance(each, str) for each in networks):
        shape = '{"default": "10.244.1.0/24"} or {"default": ["10.244.1.0/24", "fd00:1::/64"]}'
        return Found(where, lacking=f"{where} is {text[:100]!r}, expected {shape}", wrong=True)
    return Found(where, tuple(networks), f"{where} has no network below the key default")


def _of_node(node: _Object) -> Found:
    annotation = node["annotations"].get(POD_CIDRS_ANNOTATION, "")
    if annotation.strip():
        where = f"annotation {POD_CIDRS_ANNOTATION}"
        texts = tuple(text for each in annotation.split(",") if (text := each.strip()))
        return Found(where, texts, f"{where} has no network")
    lacking = f"the node has neither spec.podCIDRs nor the annotation {POD_CIDRS_ANNOTATION}"
    return Found("spec.podCIDRs", tuple(node["pod_cidrs"]), lacking)
