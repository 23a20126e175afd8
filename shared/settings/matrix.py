"""The IPv6 support matrix: what is refused, why, and which feature gate allows it, as one table.

The rows are AKO's IPv6 documentation. It supports IPv6 end to end for Ingresses on vCenter clouds with Calico or
Antrea, in ClusterIP or NodePort mode, one family of servers at a time, and reaches the controller and the API server
over IPv4. Everything else is refused unless its gate below `featureGates` is on; two rows have no gate at all.

A row belongs to the phase that can tell: "load" from the settings alone, "contact" once controller and cluster have
answered, "object" for one Kubernetes object. What is not known yet is never refused. `docs/ipv6.md` is made from this
table (see `shared.settings.page`), so a row also says who asks it today.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from typing import Any, Literal

from shared.addresses import Family, Network
from shared.settings.model import IpFamily, ServiceType, Settings, VipNetwork
from shared.settings.sources import dotted

Phase = Literal["load", "contact", "object"]
Path_ = tuple[Any, ...]
Finding = tuple[Path_, str]

FAMILY: Path_ = ("AKOSettings", "ipFamily")
CNI: Path_ = ("AKOSettings", "cniPlugin")
STATIC_ROUTES: Path_ = ("AKOSettings", "disableStaticRouteSync")
SERVICE_TYPE: Path_ = ("L7Settings", "serviceType")
VIPS: Path_ = ("NetworkSettings", "vipNetworkList")
CONTROLLER: Path_ = ("ControllerSettings", "controllerHost")
KUBERNETES: Path_ = ("kubeconfig", "server")

VCENTER = "CLOUD_VCENTER"
LATER_CLOUDS = frozenset({"CLOUD_NONE", "CLOUD_NSXT"})
"""Clouds on which later releases of AKO have IPv6 too: allowed by `IPv6OtherClouds`."""
DOCUMENTED_CNIS = ("calico", "antrea")
OPENSHIFT_GROUP = "route.openshift.io"
V4_TIERS = frozenset({"ESSENTIALS", "BASIC"})
"""Licence tiers with which the controller allocates IPv4 VIPs only."""


@dataclass(frozen=True, slots=True)
class Known:
    """What only controller, cluster or object can tell; an empty field is not known yet.

    `subnets` has the configured subnets of a VIP network, by `network_key`; a network whose addresses come from
    somewhere else (DHCP, another IPAM) is not in it. The families are those of the addresses that a host is or resolves
    to; `service` is the `namespace/name` of a Service of type LoadBalancer.
    """

    cloud_type: str = ""
    license_tier: str = ""
    subnets: Mapping[str, Collection[Network]] = field(default_factory=dict)
    controller_families: frozenset[Family] = frozenset()
    api_host: str = ""
    api_families: frozenset[Family] = frozenset()
    api_groups: frozenset[str] = frozenset()
    service: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One rule in one phase.

    `condition` yields each place where the rule is broken with what was found there. `reads` are the keys that it
    looks at: with a mistake in one of them it can't be asked. `asked_by` is "" for a rule that nothing asks yet.
    """

    id: str
    phase: Phase
    refused: str  # for the page: what is refused
    condition: Callable[[Settings, Known], Iterable[Finding]]
    reads: tuple[Path_, ...]
    reason: str
    instead: str  # completes "; write ..."
    gate: str = ""
    asked_by: str = ""

    def message(self, found: str) -> str:
        """What was found, why it is refused, and what to do instead."""
        gate = f", or set featureGates.{self.gate} to true" if self.gate else ""
        return f"found {found}, {self.reason} ({self.id}); {self.instead}{gate}"


def refusals(phase: Phase, settings: Settings, known: Known | None = None) -> list[tuple[str, str]]:
    """(path, message) of everything that the matrix refuses in this phase, in the order of the table."""
    return [(dotted(path, start=True), text) for path, text in findings(phase, settings, known or Known())]


def findings(
    phase: Phase, settings: Settings, known: Known, wrong: Collection[Path_] = ()
) -> Iterator[tuple[Path_, str]]:
    """The same with paths as tuples; rules that read one of the `wrong` paths are left out."""
    for row in MATRIX:
        if row.phase != phase or row.gate in settings.gates or _unclear(row, wrong):
            continue
        for path, found in row.condition(settings, known):
            yield path, row.message(found)


def _unclear(row: Row, wrong: Collection[Path_]) -> bool:
    asked = (*row.reads, ("featureGates", row.gate))
    return any(path[: len(key)] == key or key[: len(path)] == path for key in asked for path in wrong)


def _family(settings: Settings) -> Iterator[Finding]:
    """ipFamily, when it asks for IPv6 servers."""
    if settings.ip_family.v6:
        yield FAMILY, repr(settings.ip_family.value)


def _v6cidrs(settings: Settings) -> Iterator[Finding]:
    """Each v6cidr."""
    for number, network in enumerate(settings.vip_networks):
        if network.v6cidr is not None:
            yield (*VIPS, number, "v6cidr"), repr(str(network.v6cidr))


def _ipv6(settings: Settings) -> Iterator[Finding]:
    """Everything that asks for IPv6."""
    yield from _family(settings)
    yield from _v6cidrs(settings)


def _mix(settings: Settings, _: Known) -> Iterator[Finding]:
    if settings.ip_family is IpFamily.V4_V6:
        yield from _family(settings)


def _cni(settings: Settings, _: Known) -> Iterator[Finding]:
    routed = settings.service_type is ServiceType.CLUSTER_IP and not settings.disable_static_routes
    # openshift is V6-OCP's, which no gate allows
    documented = settings.cni_plugin in (*DOCUMENTED_CNIS, "openshift")
    if settings.ip_family.v6 and routed and not documented:
        cni = repr(settings.cni_plugin) if settings.cni_plugin else "nothing"
        yield CNI, f"{cni} with ipFamily {settings.ip_family.value}"


def _node_port_local(settings: Settings, _: Known) -> Iterator[Finding]:
    if settings.ip_family.v6 and settings.service_type is ServiceType.NODE_PORT_LOCAL:
        yield SERVICE_TYPE, f"'NodePortLocal' with ipFamily {settings.ip_family.value}"


def _openshift_cni(settings: Settings, _: Known) -> Iterator[Finding]:
    if settings.cni_plugin == "openshift":
        yield from ((path, f"{found} with cniPlugin openshift") for path, found in _ipv6(settings))


def _openshift_group(settings: Settings, known: Known) -> Iterator[Finding]:
    if OPENSHIFT_GROUP in known.api_groups:
        yield from ((path, f"{found} in a cluster with {OPENSHIFT_GROUP}") for path, found in _ipv6(settings))


def _on_cloud(settings: Settings, cloud: str) -> Iterator[Finding]:
    yield from ((path, f"{found} on a cloud of type {cloud}") for path, found in _ipv6(settings))


def _later_cloud(settings: Settings, known: Known) -> Iterator[Finding]:
    if known.cloud_type in LATER_CLOUDS:
        yield from _on_cloud(settings, known.cloud_type)


def _other_cloud(settings: Settings, known: Known) -> Iterator[Finding]:
    if known.cloud_type and known.cloud_type not in {VCENTER, *LATER_CLOUDS}:
        yield from _on_cloud(settings, known.cloud_type)


def network_key(network: VipNetwork) -> str:
    """What a VIP network is found by: its UUID where that is given, else its name."""
    return network.uuid or network.name


def _license(settings: Settings, known: Known) -> Iterator[Finding]:
    if known.license_tier in V4_TIERS:
        yield from ((path, f"{found} with licence tier {known.license_tier}") for path, found in _v6cidrs(settings))


def _subnet(settings: Settings, known: Known) -> Iterator[Finding]:
    for number, network in enumerate(settings.vip_networks):
        subnets = known.subnets.get(network_key(network))
        if network.v6cidr is None or subnets is None or any(_lies_in(network.v6cidr, each) for each in subnets):
            continue
        others = ", ".join(sorted(str(each) for each in subnets if each.version == 6))
        has = f"whose IPv6 subnets are {others}" if others else "which has no IPv6 subnet"
        found = f"{str(network.v6cidr)!r} on network {network.name or network.uuid!r}, {has}"
        yield (*VIPS, number, "v6cidr"), found


def _lies_in(inner: IPv6Network, outer: Network) -> bool:
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def _load_balancer_dual(settings: Settings, known: Known) -> Iterator[Finding]:
    if known.service and any(network.cidr for network in settings.vip_networks):
        yield from ((path, f"{found} for Service {known.service}") for path, found in _v6cidrs(settings))


def _load_balancer_v6(settings: Settings, known: Known) -> Iterator[Finding]:
    if known.service and not any(network.cidr for network in settings.vip_networks):
        yield from ((path, f"{found} alone for Service {known.service}") for path, found in _v6cidrs(settings))


def _controller_literal(settings: Settings, _: Known) -> Iterator[Finding]:
    host = settings.controller.host.rpartition("//")[2]
    if host.startswith("[") or host.count(":") > 1:
        yield CONTROLLER, repr(settings.controller.host)


def _controller_name(settings: Settings, known: Known) -> Iterator[Finding]:
    if known.controller_families == {Family.V6}:
        yield CONTROLLER, f"{settings.controller.host!r}, which has IPv6 addresses only"


def _api_server(_: Settings, known: Known) -> Iterator[Finding]:
    if known.api_families == {Family.V6}:
        yield KUBERNETES, f"{known.api_host!r}, which has IPv6 addresses only"


_LOADING = "`ako validate`, and every process that reads the settings"
_CENSUS = "the census, before anything is written"
_SERVICE = "the worker that serves the Service, in an Event"
_FOLLOWING = "watcher and workers, before anything is listed or written"

MATRIX: tuple[Row, ...] = (
    Row(
        "V6-MIX",
        "load",
        "`ipFamily` V4_V6",
        _mix,
        (FAMILY,),
        "which needs servers of both families in one pool, where AKO documents one family",
        "write V4 or V6",
        "DualStackBackends",
        _LOADING,
    ),
    Row(
        "V6-CNI",
        "load",
        "`ipFamily` V6 or V4_V6 with a `cniPlugin` other than calico or antrea, where static routes are written",
        _cni,
        (FAMILY, CNI, STATIC_ROUTES, SERVICE_TYPE),
        "where AKO documents IPv6 pod networks of calico and antrea only",
        "write calico or antrea if that is the cluster's CNI, or ipFamily V4",
        "IPv6AnyCNI",
        _LOADING,
    ),
    Row(
        "V6-NPL",
        "load",
        "`ipFamily` V6 or V4_V6 with `serviceType` NodePortLocal",
        _node_port_local,
        (FAMILY, SERVICE_TYPE),
        "a mode without IPv6",
        "write ClusterIP, or ipFamily V4",
        asked_by=_LOADING,
    ),
    Row(
        "V6-OCP",
        "load",
        "`ipFamily` V6 or V4_V6, or a `v6cidr`, with `cniPlugin` openshift",
        _openshift_cni,
        (FAMILY, CNI, VIPS),
        "where AKO has no IPv6",
        "write ipFamily V4 and no v6cidr",
        asked_by=_LOADING,
    ),
    Row(
        "V6-OCP",
        "contact",
        f"`ipFamily` V6 or V4_V6, or a `v6cidr`, in a cluster with the API group {OPENSHIFT_GROUP}",
        _openshift_group,
        (FAMILY, VIPS),
        "which is OpenShift, where AKO has no IPv6",
        "write ipFamily V4 and no v6cidr",
        asked_by=_CENSUS,
    ),
    Row(
        "V6-CLOUD",
        "contact",
        "`ipFamily` V6 or V4_V6, or a `v6cidr`, on a cloud of type CLOUD_NONE or CLOUD_NSXT",
        _later_cloud,
        (FAMILY, VIPS),
        "where AKO documents IPv6 for vCenter only",
        "write ipFamily V4 and no v6cidr, use another ControllerSettings.cloudName",
        "IPv6OtherClouds",
        _CENSUS,
    ),
    Row(
        "V6-CLOUD",
        "contact",
        "`ipFamily` V6 or V4_V6, or a `v6cidr`, on any other cloud that is not vCenter",
        _other_cloud,
        (FAMILY, VIPS),
        "which has no IPv6 with AKO",
        "write ipFamily V4 and no v6cidr, or use another ControllerSettings.cloudName",
        asked_by=_CENSUS,
    ),
    Row(
        "V6-LICENSE",
        "contact",
        "a `v6cidr` on a controller with licence tier ESSENTIALS or BASIC",
        _license,
        (VIPS,),
        "which allows IPv4 VIPs only",
        "write a cidr alone, or give the controller a licence of tier ENTERPRISE",
        asked_by=_CENSUS,
    ),
    Row(
        "V6-SUBNET",
        "contact",
        "a `v6cidr` that lies in no configured subnet of its network, where Avi's own IPAM allocates from these",
        _subnet,
        (VIPS,),
        "so nothing can be allocated from it",
        "write one that lies in an IPv6 subnet of the network, or add that subnet to the network on the controller",
        asked_by=_CENSUS,
    ),
    Row(
        "V6-LB",
        "object",
        "`v6cidr` beside `cidr` for a Service of type LoadBalancer: it gets the IPv4 VIP only, and an Event",
        _load_balancer_dual,
        (VIPS,),
        "where AKO documents IPv4 VIPs only, so the Service gets the IPv4 VIP of cidr",
        "keep both and use the IPv4 VIP",
        "IPv6LoadBalancer",
        _SERVICE,
    ),
    Row(
        "V6-LB",
        "object",
        "`v6cidr` without `cidr` for a Service of type LoadBalancer: it gets no VIP, and an Event",
        _load_balancer_v6,
        (VIPS,),
        "where AKO documents IPv4 VIPs only, so the Service gets none",
        "write a cidr beside it",
        "IPv6LoadBalancer",
        _SERVICE,
    ),
    Row(
        "V6-CTRL",
        "load",
        "`controllerHost` as an IPv6 address",
        _controller_literal,
        (CONTROLLER,),
        "where AKO documents controllers at IPv4 addresses only",
        "write an IPv4 address or a name that has one",
        "IPv6Controller",
        _LOADING,
    ),
    Row(
        "V6-CTRL",
        "contact",
        "`controllerHost` as a name that has IPv6 addresses only",
        _controller_name,
        (CONTROLLER,),
        "where AKO documents controllers at IPv4 addresses only",
        "write an IPv4 address or a name that has one",
        "IPv6Controller",
        _CENSUS,
    ),
    Row(
        "V6-API",
        "contact",
        "a Kubernetes API server at an IPv6 address, or at a name that has IPv6 addresses only",
        _api_server,
        (),
        "where AKO documents API servers at IPv4 addresses only",
        "write a server that has an IPv4 address",
        "IPv6KubernetesAPI",
        _FOLLOWING,
    ),
)

GATES: tuple[str, ...] = tuple(dict.fromkeys(row.gate for row in MATRIX if row.gate))
"""Every feature gate of the matrix, by its name below `featureGates`; all are off by default."""
