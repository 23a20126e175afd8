"""VIP allocation: the vsvip of a shared parent, of a dedicated virtual service, or of Services of type LoadBalancer.

Which families the VIP of a host has follows from the network's `cidr` and `v6cidr` alone, never from ipFamily, which is
about servers; a Service chooses among them (`families`). The first VIP network is used. Addresses are canonical; a
prefix written with host bits means its network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from shared.addresses import Address, Family, avi_address, avi_subnet
from shared.settings.model import VipNetwork
from workers.model import names
from workers.model.context import Context
from workers.model.markers import with_checksum
from workers.model.types import AviObject

VSVIP = "vsvip"
VIP_CHANGE_HELD = "VipChangeHeld"


class WantedVip(NamedTuple):
    """A VIP with families, and maybe addresses, of its own choice."""

    families: frozenset[Family]
    addresses: Mapping[Family, Address]


def vsvip_of(
    service: str, fqdns: set[str], tenant: str, context: Context, wanted: WantedVip | None = None
) -> AviObject:
    """The vsvip of the virtual service of that name, with these FQDNs, written in alphabetical order.

    Without a `wanted` VIP it has the families of the network.
    """
    body: dict[str, Any] = {
        "name": service,
        "tenant_ref": names.tenant_ref(tenant),
        "cloud_ref": context.cloud_ref,
        "vrf_context_ref": context.vrf_ref,
        "east_west_placement": False,
        "vip": [_vip(context) if wanted is None else _chosen(wanted, context)],
        "markers": [context.cluster],
    }
    if fqdns:
        body["dns_info"] = [{"fqdn": fqdn} for fqdn in sorted(fqdns)]
    return AviObject(VSVIP, tenant, service, with_checksum(body, "vsvip_cloud_config_cksum"))


def families_allocated(vsvip: AviObject) -> frozenset[Family]:
    """The families of which a wanted vsvip gets addresses."""
    kind = vsvip.body["vip"][0].get("auto_allocate_ip_type", "V4_ONLY")
    return frozenset(family for family in Family if family.value in kind)


def vip_change_held(name: str, lost: Iterable[str]) -> str:
    """In words, why the VIP of a vsvip is left as it is, with the addresses that it would lose."""
    takes = f"The VIP network in the settings would take {' and '.join(lost)} away from the VIP {name}"
    action = "If that is wanted, run `ako resync --allow-vip-change`; if not, put vipNetworkList back"
    return f"{takes}, so the VIP is left as it is, and all else goes on. {action}."


def _vip(context: Context) -> dict[str, Any]:
    vip: dict[str, Any] = {"vip_id": "0", "auto_allocate_ip": True}
    if context.settings.vip_networks:
        network = context.settings.vip_networks[0]
        vip["ipam_network_subnet"] = _subnets(network)
        if network.v6cidr is not None:
            vip["auto_allocate_ip_type"] = "V4_V6" if network.cidr is not None else "V6_ONLY"
    return vip


def _chosen(wanted: WantedVip, context: Context) -> dict[str, Any]:
    vip: dict[str, Any] = {"vip_id": "0", "auto_allocate_ip": True}
    if context.settings.vip_networks:
        network = context.settings.vip_networks[0]
        v4, v6 = Family.V4 in wanted.families, Family.V6 in wanted.families
        vip["ipam_network_subnet"] = _subnets(
            replace(network, cidr=network.cidr if v4 else None, v6cidr=network.v6cidr if v6 else None)
        )
    if Family.V6 in wanted.families:
        vip["auto_allocate_ip_type"] = "V4_V6" if Family.V4 in wanted.families else "V6_ONLY"
    for family, address in wanted.addresses.items():
        vip["ip_address" if family is Family.V4 else "ip6_address"] = avi_address(address)
    return vip


def _subnets(network: VipNetwork) -> dict[str, Any]:
    subnets: dict[str, Any] = {"network_ref": names.network_ref(network.name, network.uuid)}
    if network.cidr is not None:
        subnets["subnet"] = avi_subnet(network.cidr)
    if network.v6cidr is not None:
        subnets["subnet6"] = avi_subnet(network.v6cidr)
    return subnets
