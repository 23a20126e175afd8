"""Changes of a VIP that wait until they are asked for. Pure.

A VIP that gets a second family keeps the address that it has, so that happens by itself. A change that would give back
an address in use (a family that the VIP network has no more, another network, a subnet in which the address does not
lie) cuts off whoever uses it. Where settings ask for that, the VIP is wanted as it stands instead: everything else of
its key goes on, whoever it concerns is told, and `ako resync --allow-vip-change` lets it happen. A controller may
refuse it even then; it refuses the change of the VIP alone, which is a write of its own (`plan.ChangeVip`).

A Service of type LoadBalancer that asks for fewer families by itself is not held: its owner has asked (`released`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.state import LedgerEntry
from workers import owned
from workers.fields import Context
from workers.model.types import AviObject, Desired, ObjectId, Problem
from workers.model.vips import VIP_CHANGE_HELD, VSVIP, vip_change_held

_FAMILIES = {"V4_V6": ("v4", "v6"), "V6_ONLY": ("v6",)}
_SUBNETS = {"v4": "subnet", "v6": "subnet6"}


def hold(desired: Desired, own: Mapping[ObjectId, LedgerEntry]) -> Desired:
    """What is wanted, with every VIP as it stands that would otherwise lose an address; each is a problem."""
    objects: list[AviObject] = []
    problems = list(desired.problems)
    for wanted in desired.objects:
        entry = own.get(wanted.id) if wanted.type == VSVIP and not wanted.vip_held else None
        lost = given_back(entry, wanted) if entry is not None else []
        if lost:
            problems.append(Problem("", "", "", VIP_CHANGE_HELD, vip_change_held(wanted.name, lost)))
        objects.append(replace(wanted, vip_held=True) if lost else wanted)
    if len(problems) == len(desired.problems):
        return desired
    return replace(desired, objects=tuple(objects), problems=tuple(problems))


def given_back(entry: LedgerEntry, wanted: AviObject) -> list[str]:
    """The addresses of a vsvip that the wanted VIP gives back, but those that its owner lets go by itself."""
    after = _canonical(entry, wanted)
    before = (entry.owned.get("vip") or [{}])[0]
    families = _FAMILIES.get(after.get("auto_allocate_ip_type", ""), ("v4",))
    here, there = before.get("ipam_network_subnet", {}), after.get("ipam_network_subnet", {})
    lost: list[str] = []
    for family, subnet in _SUBNETS.items():
        stays = family in families and here.get("network_ref") == there.get("network_ref")
        if family not in wanted.released:
            addresses = entry.extra.get(family, ())
            lost += [address for address in addresses if not (stays and _lies_in(address, there.get(subnet)))]
    return lost


def _canonical(entry: LedgerEntry, wanted: AviObject) -> dict[str, Any]:
    """The wanted VIP in the form in which the ledger keeps one."""
    context = Context(entry.owned.get(owned.NAMES, {}), wanted.body, ours=True)
    found: list[dict[str, Any]] = owned.TABLES[VSVIP].table["vip"].canon(wanted.body.get("vip", ()), context) or [{}]
    return found[0]


def _lies_in(address: str, subnet: str | None) -> bool:
    """Whether an address can stay: without a subnet, any of the network will do."""
    return subnet is None or ipaddress.ip_address(address) in ipaddress.ip_network(subnet)
