"""VIP allocation: the vsvip of a shared parent or of a dedicated virtual service.

Which families the VIP has follows from the network's `cidr` and `v6cidr` alone, never from ipFamily, which is about
servers. The first VIP network is used. Addresses are canonical; a prefix written with host bits means its network.
"""

from __future__ import annotations

from typing import Any

from shared.addresses import avi_subnet
from shared.settings.model import VipNetwork
from workers.model import names
from workers.model.context import Context
from workers.model.markers import with_checksum
from workers.model.types import AviObject

VSVIP = "vsvip"


def vsvip_of(service: str, fqdns: set[str], tenant: str, context: Context) -> AviObject:
    """The vsvip of the virtual service of that name, with these FQDNs, written in alphabetical order."""
    body: dict[str, Any] = {
        "name": service,
        "tenant_ref": names.tenant_ref(tenant),
        "cloud_ref": context.cloud_ref,
        "vrf_context_ref": context.vrf_ref,
        "east_west_placement": False,
        "vip": [_vip(context)],
        "markers": [context.cluster],
    }
    if fqdns:
        body["dns_info"] = [{"fqdn": fqdn} for fqdn in sorted(fqdns)]
    return AviObject(VSVIP, tenant, service, with_checksum(body, "vsvip_cloud_config_cksum"))


def _vip(context: Context) -> dict[str, Any]:
    vip: dict[str, Any] = {"vip_id": "0", "auto_allocate_ip": True}
    if context.settings.vip_networks:
        network = context.settings.vip_networks[0]
        vip["ipam_network_subnet"] = _subnets(network)
        if network.v6cidr is not None:
            vip["auto_allocate_ip_type"] = "V4_V6" if network.cidr is not None else "V6_ONLY"
    return vip


def _subnets(network: VipNetwork) -> dict[str, Any]:
    subnets: dict[str, Any] = {"network_ref": names.network_ref(network.name, network.uuid)}
    if network.cidr is not None:
        subnets["subnet"] = avi_subnet(network.cidr)
    if network.v6cidr is not None:
        subnets["subnet6"] = avi_subnet(network.v6cidr)
    return subnets
