"""All Avi objects of Services of type LoadBalancer: of one, or of those that share a VIP.

A virtual service with a listener for each port, its vsvip, a pool for each port and protocol, and an L4 policy set that
leads from the one to the other. Who is served, with what addresses and names, is decided in `services`; names, fields
and marks are AKO's. A pool is made even when its Service has no endpoints, as for hosts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.addresses import avi_subnet
from shared.loadbalancer import APPLICATION_PROFILE, DISABLE_TRAFFIC, SKIP_NODE_PORT
from shared.settings.model import ServiceType, Settings
from workers.model import names
from workers.model.context import Context, context_for
from workers.model.families import of_network
from workers.model.markers import PARENT_METADATA, marker, service_metadata, with_checksum
from workers.model.pools import POOL
from workers.model.served import Path
from workers.model.servers import Server, servers_of
from workers.model.services import Group, Listener, Member, families_asked, read_services
from workers.model.types import (
    AviObject,
    Desired,
    Facts,
    HostSnapshot,
    Problem,
    ServedService,
    ServiceSnapshot,
    object_id,
)
from workers.model.vips import VSVIP, vsvip_of
from workers.model.virtualservices import VIRTUAL_SERVICE

L4_POLICY_SET = "l4policyset"
PERSISTENCE = "System-Persistence-Client-IP"

_PROXY_TIERS = frozenset({"ENTERPRISE", "ENTERPRISE_WITH_CLOUD_SERVICES"})
_UDP = names.ref("networkprofile", "System-UDP-Fast-Path")
_SCTP = names.ref("networkprofile", "System-SCTP-Proxy")
_OVERRIDES = {"UDP": _UDP, "SCTP": _SCTP}


def desired_services(snapshot: ServiceSnapshot, settings: Settings, facts: Facts) -> Desired:
    """What a key of Services (`lb:…`, `lbshared:…`) owns on the controller; nothing when none of them is ours."""
    context = context_for(settings, facts)
    group = read_services(snapshot, context)
    if group is None:
        return Desired()
    if group.frozen:
        return Desired(problems=tuple(group.problems), frozen=True)
    if not group.members:
        return Desired(problems=tuple(group.problems), services=_served(group))
    fqdns = list(dict.fromkeys(name for member in group.members for name in member.names))
    pools = [_pool(member, each, group, snapshot, context) for member in group.members for each in member.listeners]
    objects = (
        _vsvip(group, fqdns, context),
        *pools,
        _policy_set(group, context),
        _virtual_service(group, fqdns, context),
    )
    return Desired(objects, tuple(dict.fromkeys(group.problems)), services=_served(group))


def _vsvip(group: Group, fqdns: list[str], context: Context) -> AviObject:
    """The VIP; a family that the network has and the Services do not want is let go by them, not by the settings."""
    released = frozenset(family.value.lower() for family in of_network(context.settings) - group.vip.families)
    made = vsvip_of(group.name, set(fqdns), group.tenant, context, group.vip)
    return replace(made, vip_held=group.vip_held, released=released)


def _served(group: Group) -> dict[str, ServedService | None]:
    service = object_id(VIRTUAL_SERVICE, group.tenant, group.name)
    vsvip = object_id(VSVIP, group.tenant, group.name)
    found: dict[str, ServedService | None] = dict.fromkeys(group.accepted)
    for member in group.members:
        found[member.id] = ServedService(service, vsvip, tuple(member.names), families_asked(member.service))
    return found


def _virtual_service(group: Group, fqdns: list[str], context: Context) -> AviObject:
    listeners = [each for member in group.members for each in member.listeners]
    body: dict[str, Any] = {
        "name": group.name,
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(group.tenant),
        "cloud_ref": context.cloud_ref,
        "vrf_context_ref": context.vrf_ref,
        "se_group_ref": context.se_group_ref,
        "error_page_profile_ref": "",
        "remove_listening_port_on_vs_down": True,
        "vsvip_ref": names.ref(VSVIP, group.name),
        "services": [_listener(each, listeners) for each in listeners],
        "l4_policies": [{"index": 0, "l4_policy_set_ref": names.ref(L4_POLICY_SET, group.name)}],
        "network_profile_ref": _network_profile({each.protocol for each in listeners}, context),
        **(_shared_part(group, fqdns, context) if group.shared else _own_part(group.members[0], context)),
    }
    return AviObject(VIRTUAL_SERVICE, group.tenant, group.name, with_checksum(body))


def _own_part(member: Member, context: Context) -> dict[str, Any]:
    """What the virtual service of one Service takes from its annotations, and how it is marked."""
    service = member.service
    annotations = service["lb"]["annotations"]
    profile = annotations.get(APPLICATION_PROFILE, "System-L4-Application")
    return {
        "application_profile_ref": names.ref("applicationprofile", profile),
        "traffic_enabled": annotations.get(DISABLE_TRAFFIC, "").lower() != "true",
        "service_metadata": service_metadata(member.names, [member.id]),
        "markers": [context.cluster, marker("Namespace", service["ns"]), marker("ServiceName", service["name"])],
    }


def _shared_part(group: Group, fqdns: list[str], context: Context) -> dict[str, Any]:
    """The same where several share it: no annotation of one of them counts, and the key takes a name's place."""
    return {
        "application_profile_ref": names.ref("applicationprofile", "System-L4-Application"),
        "service_metadata": service_metadata(fqdns),
        "markers": _shared_markers(group, context),
    }


def _shared_markers(group: Group, context: Context) -> list[dict[str, Any]]:
    return [context.cluster, marker("Namespace", group.namespace), marker("GatewayName", group.shared)]


def _listener(listener: Listener, others: list[Listener]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "port": listener.port,
        "port_range_end": listener.port,
        "enable_ssl": False,
        "enable_http2": False,
    }
    if len({each.protocol for each in others}) > 1 and listener.protocol in _OVERRIDES:
        made["override_network_profile_ref"] = _OVERRIDES[listener.protocol]
    return made


def _network_profile(protocols: set[str], context: Context) -> str:
    """The profile of the whole: of TCP before UDP before SCTP. TCP is proxied where the licence allows it."""
    if "TCP" in protocols:
        proxied = context.facts.license_tier in _PROXY_TIERS
        return names.ref("networkprofile", "System-TCP-Proxy" if proxied else "System-TCP-Fast-Path")
    return _UDP if "UDP" in protocols else _SCTP


def _policy_set(group: Group, context: Context) -> AviObject:
    pairs = [(member, each) for member in group.members for each in member.listeners]
    if group.shared:
        markers = _shared_markers(group, context)
    else:
        protocols = ",".join(sorted({each.protocol for _, each in pairs}))
        (member,) = group.members
        markers = [
            context.cluster,
            marker("Namespace", group.namespace),
            marker("ServiceName", member.service["name"]),
            marker("Protocol", protocols),
        ]
    body: dict[str, Any] = {
        "name": group.name,
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(group.tenant),
        "l4_connection_policy": {"rules": [_rule(number, *pair) for number, pair in enumerate(pairs)]},
        "markers": markers,
    }
    return AviObject(L4_POLICY_SET, group.tenant, group.name, body)


def _rule(number: int, member: Member, listener: Listener) -> dict[str, Any]:
    """One port and its pool. The rule is called like the reference to the pool, as with AKO."""
    pool = names.bare_ref(POOL, listener.pool)
    match: dict[str, Any] = {
        "port": {"match_criteria": "IS_IN", "ports": [listener.port]},
        "protocol": {"match_criteria": "IS_IN", "protocol": f"PROTOCOL_{listener.protocol}"},
    }
    if member.ranges:
        match["client_ip"] = {"match_criteria": "IS_IN", "prefixes": [avi_subnet(each) for each in member.ranges]}
    action = {"select_pool": {"action_type": "L4_RULE_ACTION_SELECT_POOL", "pool_ref": pool}}
    return {"name": pool, "index": number, "match": match, "action": action}


def _pool(member: Member, listener: Listener, group: Group, snapshot: ServiceSnapshot, context: Context) -> AviObject:
    body: dict[str, Any] = {
        "name": listener.pool,
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(group.tenant),
        "cloud_ref": context.cloud_ref,
        "vrf_ref": context.vrf_ref,
        "service_metadata": _pool_metadata(member, group, context),
        "sni_enabled": False,
        "graceful_disable_timeout": 1,
        "health_monitor_refs": [names.ref("healthmonitor", f"System-{listener.protocol}")],
        "markers": _pool_markers(member, listener, group, context),
    }
    if context.placement:
        body["placement_networks"] = context.placement
    if servers := _servers(member, listener, group, snapshot, context):
        body["servers"] = servers
    if member.service["lb"]["affinity"] == "ClientIP":
        if context.facts.client_ip_persistence:
            body["application_persistence_profile_ref"] = names.ref("applicationpersistenceprofile", PERSISTENCE)
        else:
            text = (
                f"sessionAffinity ClientIP has no effect, since the controller has no persistence profile {PERSISTENCE}"
            )
            group.say(member.service, "AffinityNotServed", f"{text}. Create the profile there, or remove the affinity.")
    return AviObject(POOL, group.tenant, listener.pool, with_checksum(body))


def _pool_metadata(member: Member, group: Group, context: Context) -> str:
    """Only where the virtual service belongs to several does the pool say whose it is."""
    if not group.shared:
        return PARENT_METADATA
    service = member.service
    automatic = names.service_fqdn(service["ns"], service["name"], context.settings, context.domains)
    return service_metadata([automatic] if automatic else [], [member.id])


def _pool_markers(member: Member, listener: Listener, group: Group, context: Context) -> list[dict[str, Any]]:
    whose = [marker("Namespace", group.namespace), marker("ServiceName", member.service["name"])]
    port = marker("Port", str(listener.port))
    if not group.shared:
        return [context.cluster, *whose, port]
    return [context.cluster, *whose, port, marker("Protocol", listener.protocol), marker("GatewayName", group.shared)]


def _servers(
    member: Member, listener: Listener, group: Group, snapshot: ServiceSnapshot, context: Context
) -> list[Server]:
    """The endpoints of the port, found as for the path of a host; in NodePort mode nodes, unless it is annotated."""
    service = member.service
    path = Path(service["ns"], service["name"], "", False, service["name"], listener.backend)
    services = {member.id: service}
    backends = HostSnapshot(
        "",
        (),
        snapshot.namespaces,
        snapshot.classes,
        services,
        snapshot.slices,
        {},
        day=0,
        nodes=snapshot.nodes,
        pods=snapshot.pods,
    )
    on_nodes = context.settings.service_type is ServiceType.NODE_PORT
    if on_nodes and SKIP_NODE_PORT in service["lb"]["annotations"]:
        context = replace(context, settings=replace(context.settings, service_type=ServiceType.CLUSTER_IP))
    servers, problems = servers_of(path, backends, context)
    group.problems += [_of_service(problem, service) for problem in problems]
    return servers


def _of_service(problem: Problem, service: dict[str, Any]) -> Problem:
    """What concerns the backend of an Ingress's path concerns the Service itself here."""
    if problem.kind != "Ingress":
        return problem
    if problem.reason == "NoNodePort":
        text = (
            "The Service has no node port, and L7Settings.serviceType is NodePort, so its pool has no servers. Set "
            f"allocateLoadBalancerNodePorts to true, or annotate it with {SKIP_NODE_PORT} to be served at its pods."
        )
        problem = replace(problem, message=text)
    return replace(problem, kind="Service", namespace=service["ns"], name=service["name"])
