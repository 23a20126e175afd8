"""Every question about an IP address is answered here: what a text means, which family it is, how Avi writes it.

Pure and small on purpose. Nobody else parses an address, compares one as text or asks for a family, so two spellings
of one network are equal everywhere. The parsers are stricter than `ipaddress` where its leniency would let a mistake
through (zone ids, netmasks, prefixes such as `/064`, IPv4 in IPv6 clothing) and more lenient in one documented place:
a network may be written with host bits (`2002::1234:abcd:ffff:c0a8:101/64`) and means the network it lies in.

Parsing is remembered: the same few thousand endpoint addresses are met again in every run of a worker.
"""

from __future__ import annotations

import enum
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REMEMBERED = 16_384  # texts and addresses; some 3 MB when full, room for the endpoints of a large cluster
_LONGEST = 64  # characters; the longest correct text (an IPv6 network with an embedded IPv4 address) has 49
_MAPPED = IPv6Network("::ffff:0:0/96")
_NEVER_VIPS: tuple[tuple[Network, str], ...] = (
    (IPv4Network("0.0.0.0/8"), "unspecified"),
    (IPv4Network("127.0.0.0/8"), "loopback"),
    (IPv4Network("169.254.0.0/16"), "link-local"),
    (IPv4Network("224.0.0.0/4"), "multicast"),
    (IPv6Network("::/128"), "unspecified"),
    (IPv6Network("::1/128"), "loopback"),
    (IPv6Network("fe80::/10"), "link-local"),
    (IPv6Network("ff00::/8"), "multicast"),
)


class AddressError(ValueError):
    """A text that is not the address or network asked for; the message is one line: the text, then the reason."""


class Family(enum.Enum):
    """An address family; `value` is the text that Avi uses for it."""

    V4 = "V4"
    V6 = "V6"


def parse_address(text: str) -> Address:
    """The address that `text` means. Raises AddressError for anything that is not exactly one address."""
    return _address(_checked(text))


def parse_network(text: str) -> Network:
    """The network that `text` (`<address>/<prefix length>`, host bits allowed) lies in. Raises AddressError."""
    return _network(_checked(text))


def vip_network(text: str, family: Family) -> Network:
    """The network of that family from which VIPs can be allocated. Raises AddressError where none could be."""
    network = parse_network(text)
    if family_of(network) is not family:
        raise AddressError(f"{text!r} is an {_words(network)} network, not an {_words(family)} one")
    for block, name in _NEVER_VIPS:
        if network.version == block.version and network.overlaps(block):
            raise AddressError(f"{text!r} holds {name} addresses, which no client can reach ({block})")
    if network.prefixlen == network.max_prefixlen:
        raise AddressError(f"{text!r} is a single address, which leaves no room for VIPs")
    return network


def family_of(value: Address | Network) -> Family:
    """The family of an address or network."""
    return Family.V4 if value.version == 4 else Family.V6


def avi_address(address: Address) -> dict[str, str]:
    """An address as Avi's `IpAddr`: `{"addr", "type"}`; the text is the canonical one."""
    return {"addr": _text(address), "type": "V4" if address.version == 4 else "V6"}


def avi_subnet(network: Network) -> dict[str, Any]:
    """A network as Avi's `IpAddrPrefix`: `{"ip_addr": {"addr", "type"}, "mask": <prefix length>}`."""
    return {"ip_addr": avi_address(network.network_address), "mask": network.prefixlen}


def _checked(text: object) -> str:
    """Only text of a sane length goes on: `ipaddress` would take the number 1 for 0.0.0.1."""
    if not isinstance(text, str):
        raise AddressError(f"{type(text).__name__} is not the text of an address")
    if len(text) > _LONGEST:
        raise AddressError(f"{text[:_LONGEST]!r}... is too long for an address")
    return text


@lru_cache(maxsize=_REMEMBERED)
def _address(text: str) -> Address:
    if "%" in text:
        raise AddressError(f"{text!r} has a zone id, which means nothing outside one host")
    try:
        address: Address = IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError as error:
        raise AddressError(f"{text!r} is not an IP address: {_reason(error)}") from error
    if address.version == 6 and address in _MAPPED:
        raise AddressError(f"{text!r} is an IPv4 address in IPv6 clothing; write {address.ipv4_mapped}")
    return address


@lru_cache(maxsize=_REMEMBERED)
def _network(text: str) -> Network:
    head, slash, prefix = text.partition("/")
    address = _address(head)
    if not slash:
        raise AddressError(f"{text!r} has no prefix length (/{address.max_prefixlen} is a single address)")
    if not (prefix.isascii() and prefix.isdigit()) or (prefix != "0" and prefix.startswith("0")):
        raise AddressError(f"{text!r} has the prefix length {prefix!r}, not a plain number")
    if int(prefix) > address.max_prefixlen:
        raise AddressError(f"{text!r} has a prefix length above {address.max_prefixlen}")
    if address.version == 4:
        return IPv4Network((address, int(prefix)), strict=False)
    return IPv6Network((address, int(prefix)), strict=False)


@lru_cache(maxsize=_REMEMBERED)
def _text(address: Address) -> str:
    return str(address)


def _reason(error: AddressValueError) -> str:
    """The cause in `ipaddress`'s words, on one line."""
    return " ".join(str(error).split())


def _words(value: Network | Family) -> str:
    family = value if isinstance(value, Family) else family_of(value)
    return "IPv4" if family is Family.V4 else "IPv6"
