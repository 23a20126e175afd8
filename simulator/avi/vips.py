"""IP addresses of vsvips: what IPAM does on a controller.

A vip with `auto_allocate_ip` gets one address per family of `auto_allocate_ip_type`, from the `ipam_network_subnet`
that it names (`subnet` for IPv4, `subnet6` for IPv6) or else from all configured subnets of that network; an address is
free when no other vsvip of the VRF has it. Addresses are given out upwards within the subnet's static ranges; what was
given back is used again only when the end is reached. A vip may also ask for one address of the subnet (`ip_address`
together with `auto_allocate_ip`); it need not lie in a static range.

A PUT that leaves an allocated address out keeps it, matched by `vip_id` (*assumed*). Another address or another vip_id
is refused. A family that is no longer asked for is given back.

A controller may answer before it has allocated: addresses of the families in `late` are given by `Writer.deliver`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from simulator.avi.errors import ApiError
from simulator.avi.references import parse
from simulator.avi.store import Record, Store

FAMILIES = {"V4_ONLY": ("V4",), "V6_ONLY": ("V6",), "V4_V6": ("V4", "V6")}
FIELDS = {"V4": ("ip_address", "subnet", 4), "V6": ("ip6_address", "subnet6", 6)}
V6_TIERS = {"ENTERPRISE", "ENTERPRISE_WITH_CLOUD_SERVICES"}
CHANGED_ID = "Changing an existing VIP's vip_id is not supported. Please recreate the VIP."
CHANGED_IP = (
    "Changing the IP address of an existing VIP is not supported. "
    "If a new preferred IP is needed, please recreate the VIP."
)

Vip = dict[str, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Allocator:
    """The addresses in use, by VRF."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holders: dict[tuple[str, str], str] = {}  # (VRF uuid, address) -> vsvip uuid
        self._next: dict[tuple[str, int], int] = {}  # (network uuid, first address of a range) -> where to look next
        self.license_tier = "ENTERPRISE"
        self.late: set[str] = set()

    def settle(self, uuid: str, vrf: str, vips: list[Vip], old: list[Vip]) -> None:
        """Completes `vips` (the new ones of the vsvip `uuid`) with addresses and takes these; gives back those that
        only `old` has. Raises ApiError 400; then nothing was taken or given back.
        """
        before = {vip["vip_id"]: vip for vip in old}
        if set(before) - {vip["vip_id"] for vip in vips} and any(vip["vip_id"] not in before for vip in vips):
            raise ApiError(400, CHANGED_ID)
        taken: set[str] = set()
        for vip in vips:
            self._complete(uuid, vrf, vip, before.get(vip["vip_id"], {}), taken)
        self.release(uuid, vrf, old)
        for address in taken:
            self._holders[vrf, address] = uuid

    def release(self, uuid: str, vrf: str, vips: list[Vip]) -> None:
        """Gives the addresses of these vips back."""
        for vip in vips:
            for field, _, _ in FIELDS.values():
                if field in vip and self._holders.get((vrf, vip[field]["addr"])) == uuid:
                    del self._holders[vrf, vip[field]["addr"]]

    def _complete(self, uuid: str, vrf: str, vip: Vip, old: Vip, taken: set[str]) -> None:
        automatic = vip["auto_allocate_ip"]
        wanted = FAMILIES[vip["auto_allocate_ip_type"]] if automatic else ()
        if "V6" in wanted and self.license_tier not in V6_TIERS:
            raise ApiError(
                400, f"License tier {self.license_tier} does not allow auto_allocate_ip_type V6_ONLY or V4_V6"
            )
        for family, (field, _, version) in FIELDS.items():
            had = old.get(field)
            if field in vip:
                vip[field]["addr"] = canonical(vip[field]["addr"], version, field)
                if had and had["addr"] != vip[field]["addr"]:
                    raise ApiError(400, CHANGED_IP)
            elif family in wanted and (had or family not in self.late):
                vip[field] = dict(had) if had else {"addr": self._free(vrf, vip, family, taken), "type": family}
            if field not in vip:
                continue
            address = vip[field]["addr"]
            if automatic:
                self._inside(vip, family, address, existing=had is not None)
                vip["avi_allocated_vip"] = True
            if self._holders.get((vrf, address), uuid) != uuid or address in taken:
                raise ApiError(400, f"IP address {address} is already in use in this VRF")
            taken.add(address)

    def _inside(self, vip: Vip, family: str, address: str, *, existing: bool) -> None:
        subnets = self._subnets(vip, family)
        if not any(ipaddress.ip_address(address) in subnet for subnet, _ in subnets):
            shown = [str(subnet) for subnet, _ in subnets]
            raise ApiError(400, CHANGED_IP if existing else f"IP address {address} is not in the VIP's subnets {shown}")

    def _free(self, vrf: str, vip: Vip, family: str, taken: set[str]) -> str:
        network = self._network(vip)
        make = ipaddress.IPv4Address if family == "V4" else ipaddress.IPv6Address
        for subnet, entry in self._subnets(vip, family):
            for first, last in _ranges(entry, subnet):
                start = self._next.get((network.uuid, first), first)
                for number in _around(first, start, last):
                    address = str(make(number))
                    if (vrf, address) not in self._holders and address not in taken:
                        self._next[network.uuid, first] = number + 1
                        return address
        raise ApiError(400, f"No available free IPs in network ['{network.name}'] for {family}")

    def _network(self, vip: Vip) -> Record:
        text = vip.get("ipam_network_subnet", {}).get("network_ref") or vip.get("network_ref", "")
        reference = parse(text)
        if reference is None:
            raise ApiError(400, "vip: auto_allocate_ip needs ipam_network_subnet.network_ref")
        return self._store.records[reference.uuid]

    def _subnets(self, vip: Vip, family: str) -> list[tuple[Network, dict[str, Any]]]:
        """The subnets that may be used, each with its entry in the network's `configured_subnets`."""
        _, field, version = FIELDS[family]
        named = vip.get("ipam_network_subnet", {}).get(field)
        only = prefix(named, field) if named else None
        configured = self._network(vip).body.get("configured_subnets", [])
        pairs = [(prefix(entry["prefix"], "configured_subnets"), entry) for entry in configured]
        return [(subnet, entry) for subnet, entry in pairs if subnet.version == version and only in {None, subnet}]


def canonical(text: str, version: int, field: str) -> str:
    """The address in its one short form. Raises ApiError 400 when it is none of that IP version."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ApiError(400, f"{field}: {text!r} is not an IP address") from None
    if address.version != version:
        raise ApiError(400, f"{field}: {text} is not an IPv{version} address")
    return str(address)


def prefix(value: dict[str, Any], field: str) -> Network:
    """An `IPAddrPrefix` as a network; host bits are dropped. Raises ApiError 400."""
    text = f"{value['ip_addr']['addr']}/{value['mask']}"
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ApiError(400, f"{field}: {text!r} is not an IP prefix") from None


def _ranges(entry: dict[str, Any], subnet: Network) -> Iterator[tuple[int, int]]:
    for item in entry.get("static_ip_ranges", []):
        if item.get("type", "STATIC_IPS_FOR_VIP_AND_SE") != "STATIC_IPS_FOR_SE":
            first, last = (
                int(ipaddress.ip_address(canonical(item["range"][end]["addr"], subnet.version, "static_ip_ranges")))
                for end in ("begin", "end")
            )
            yield first, last


def _around(first: int, start: int, last: int) -> Iterator[int]:
    yield from range(start, last + 1)
    yield from range(first, min(start, last + 1))
