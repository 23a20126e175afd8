"""The table of the Kubernetes kinds that are watched: where each is served and how it is projected.

The order is the order in which a full list is read: what an Ingress depends on comes before the Ingress.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.loadbalancer import project_service
from shared.projection import (
    Projection,
    fnv1a32,
    project_endpoint_slice,
    project_ingress,
    project_ingress_class,
    project_namespace,
    project_node,
    project_secret,
)
from shared.projection.networks import project_block_affinity, project_cilium_node, project_host_subnet
from shared.projection.pods import project_asking_ingress, project_pod, project_selecting_service
from shared.settings.model import ServiceType, Settings

__all__ = ["CNI_KINDS", "KINDS", "Kind", "Projection", "fnv1a32", "kinds_for"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One watched kind. `optional` kinds may not be served by the API server; missing is then not the same as empty."""

    name: str
    path: str
    resource: str
    namespaced: bool
    optional: bool
    project: Callable[[dict[str, Any]], Projection]


_CORE = "/api/v1"
_NETWORKING = "/apis/networking.k8s.io/v1"
_DISCOVERY = "/apis/discovery.k8s.io/v1"
_CALICO = "/apis/crd.projectcalico.org/v1"
_CILIUM = "/apis/cilium.io/v2"
_OPENSHIFT = "/apis/network.openshift.io/v1"

CNI_KINDS: Mapping[str, Kind] = {
    "calico": Kind("BlockAffinity", _CALICO, "blockaffinities", False, True, project_block_affinity),
    "cilium": Kind("CiliumNode", _CILIUM, "ciliumnodes", False, True, project_cilium_node),
    "openshift": Kind("HostSubnet", _OPENSHIFT, "hostsubnets", False, True, project_host_subnet),
}
"""By `cniPlugin`: the kind that holds the pod networks, where that is not the Node itself."""

KINDS: tuple[Kind, ...] = (
    Kind("Namespace", _CORE, "namespaces", False, False, project_namespace),
    Kind("Node", _CORE, "nodes", False, False, project_node),
    Kind("Service", _CORE, "services", True, False, project_service),
    Kind("EndpointSlice", _DISCOVERY, "endpointslices", True, False, project_endpoint_slice),
    Kind("Pod", _CORE, "pods", True, False, project_pod),
    Kind("Secret", _CORE, "secrets", True, False, project_secret),
    Kind("IngressClass", _NETWORKING, "ingressclasses", False, False, project_ingress_class),
    Kind("Ingress", _NETWORKING, "ingresses", True, False, project_ingress),
    *CNI_KINDS.values(),
)
"""Every kind, what an Ingress depends on before the Ingress."""


_LOCAL: Mapping[str, Callable[[dict[str, Any]], Projection]] = {
    "Service": project_selecting_service,
    "Ingress": project_asking_ingress,
}
"""The kinds of which more is kept in NodePortLocal mode."""


def kinds_for(settings: Settings) -> tuple[Kind, ...]:
    """The kinds that these settings need: of those of CNI plugins only the one of theirs, Pods for NodePortLocal."""
    local = settings.service_type is ServiceType.NODE_PORT_LOCAL
    needless = {kind.name for cni, kind in CNI_KINDS.items() if cni != settings.cni_plugin}
    if not local:
        needless.add("Pod")
    found = [kind for kind in KINDS if kind.name not in needless]
    return tuple(replace(kind, project=_LOCAL.get(kind.name, kind.project)) if local else kind for kind in found)
