"""What texts mean: by table for the forms that people write, by property against `ipaddress` for all others."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.addresses import (
    AddressError,
    Family,
    avi_address,
    avi_subnet,
    family_of,
    parse_address,
    parse_network,
    vip_network,
)

V4_TEXTS = st.ip_addresses(v=4).map(str)
V6_ADDRESSES = st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None)  # type: ignore[union-attr]


def v6_spellings(address: ipaddress.IPv6Address) -> list[str]:
    """The ways in which people write one IPv6 address."""
    groups = address.exploded.split(":")
    return [
        str(address),
        str(address).upper(),
        address.exploded,
        ":".join(f"{int(group, 16):X}" for group in groups),
        ":".join(groups[:6]) + ":" + str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)),
    ]


@given(V4_TEXTS)
def test_v4_agrees_with_ipaddress(text: str) -> None:
    """Every IPv4 address is read as `ipaddress` reads it, and written back as Avi's V4."""
    address = parse_address(text)
    assert address == ipaddress.ip_address(text)
    assert family_of(address) is Family.V4
    assert avi_address(address) == {"addr": text, "type": "V4"}


@given(V6_ADDRESSES)
def test_every_spelling_of_a_v6_address_is_the_same_address(address: ipaddress.IPv6Address) -> None:
    """Upper case, full, short and mixed forms are equal, and Avi gets the canonical one."""
    for text in v6_spellings(address):
        assert parse_address(text) == address
        assert avi_address(parse_address(text)) == {"addr": str(address), "type": "V6"}
    assert family_of(address) is Family.V6


@given(V4_TEXTS | V6_ADDRESSES.map(str), st.integers(0, 128))
def test_a_network_with_host_bits_means_the_network(text: str, prefix: int) -> None:
    """Each address with each prefix in range means the network that `ipaddress` finds without strictness."""
    written = f"{text}/{prefix}"
    if prefix > ipaddress.ip_address(text).max_prefixlen:
        with pytest.raises(AddressError, match="above 32"):
            parse_network(written)
        return
    network = parse_network(written)
    assert network == ipaddress.ip_network(written, strict=False)
    assert avi_subnet(network) == {
        "ip_addr": {"addr": str(network.network_address), "type": family_of(network).value},
        "mask": prefix,
    }


@given(st.text(max_size=80) | st.text("0123456789abcdefF:./%[] ", max_size=50))
def test_what_ipaddress_refuses_is_refused(text: str) -> None:
    """No text raises anything but AddressError, and none is read that `ipaddress` would not read the same way."""
    for parse, reference in ((parse_address, ipaddress.ip_address), (parse_network, _lenient_network)):
        ours, message = attempt(parse, text)
        assert ours is None or ours == reference(text)
        assert "\n" not in message


def attempt(parse: Callable[[str], Any], text: str) -> tuple[Any, str]:
    """What the parser made of the text, or its message."""
    try:
        return parse(text), ""
    except AddressError as error:
        return None, str(error)


def _lenient_network(text: str) -> Any:
    return ipaddress.ip_network(text, strict=False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be empty"),
        (" 10.0.0.1", "Only decimal digits"),
        ("10.0.0.1\n", "Only decimal digits"),
        ("010.0.0.1", "Leading zeros"),
        ("10.0.0", "Expected 4 octets"),
        ("10.0.0.256", "not permitted"),
        ("10.0.0.1/24", "Unexpected '/'"),
        ("fe80::1%eth0", "zone id"),
        ("::ffff:10.0.0.1", "write 10.0.0.1"),
        ("1:2:3:4:5:6:7:8:9", "8"),
        ("1::2::3", "At most one '::'"),
        ("abcde::", "At most 4 characters"),
        ("[2001:db8::1]", "Only hex digits"),
        ("2001:db8::1" * 20, "too long"),
    ],
)
def test_refused_addresses_say_why(text: str, reason: str) -> None:
    """A text that is not one address is refused with its reason."""
    with pytest.raises(AddressError, match=reason):
        parse_address(text)


@pytest.mark.parametrize("value", [None, 1, 3232235777, b"10.0.0.1", ["10.0.0.1"], {}])
def test_only_text_is_an_address(value: Any) -> None:
    """Numbers, bytes and containers are refused, where `ipaddress` would read the number 1 as 0.0.0.1."""
    with pytest.raises(AddressError, match="is not the text of an address"):
        parse_address(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.0.0.0", "no prefix length"),
        ("10.0.0.0/", "prefix length ''"),
        ("10.0.0.0/024", "not a plain number"),
        ("10.0.0.0/255.0.0.0", "not a plain number"),
        ("10.0.0.0/+8", "not a plain number"),
        ("10.0.0.0/33", "above 32"),
        ("2001:db8::/129", "above 128"),
        ("::ffff:10.0.0.0/104", "IPv4 address in IPv6 clothing"),
        ("fe80::1%eth0/64", "zone id"),
        ("010.0.0.0/8", "Leading zeros"),
    ],
)
def test_refused_networks_say_why(text: str, reason: str) -> None:
    """A text that is not one network is refused with its reason."""
    with pytest.raises(AddressError, match=reason):
        parse_network(text)


def test_the_documented_example_means_its_network() -> None:
    """The v6cidr of the IPv6 documentation has host bits and is accepted as the network around them."""
    network = vip_network("2002::1234:abcd:ffff:c0a8:101/64", Family.V6)
    assert str(network) == "2002:0:0:1234::/64"


@pytest.mark.parametrize(
    ("text", "family", "reason"),
    [
        ("10.0.0.0/8", Family.V6, "is an IPv4 network, not an IPv6 one"),
        ("2001:db8::/64", Family.V4, "is an IPv6 network, not an IPv4 one"),
        ("10.0.0.1/32", Family.V4, "no room"),
        ("2001:db8::1/128", Family.V6, "no room"),
        ("127.0.0.0/8", Family.V4, "loopback"),
        ("126.0.0.0/7", Family.V4, "loopback"),
        ("::1/128", Family.V6, "loopback"),
        ("169.254.7.0/24", Family.V4, "link-local"),
        ("fe80::/64", Family.V6, "link-local"),
        ("239.1.0.0/16", Family.V4, "multicast"),
        ("ff02::/16", Family.V6, "multicast"),
        ("0.0.0.0/0", Family.V4, "unspecified"),
        ("::/0", Family.V6, "unspecified"),
        ("::/64", Family.V6, "unspecified"),
    ],
)
def test_networks_that_can_give_no_vip_are_refused(text: str, family: Family, reason: str) -> None:
    """A VIP network of the wrong family, without room or holding addresses no client can reach is refused."""
    with pytest.raises(AddressError, match=reason):
        vip_network(text, family)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("10.0.0.0/31", Family.V4),
        ("128.0.0.0/3", Family.V4),
        ("2001:db8::/127", Family.V6),
        ("fd00::/8", Family.V6),
        ("64:ff9b::10.0.0.0/120", Family.V6),
    ],
)
def test_networks_just_inside_the_bounds_are_accepted(text: str, family: Family) -> None:
    """The smallest networks with room, and networks beside the refused ranges, are good VIP networks."""
    assert family_of(vip_network(text, family)) is family


def test_answers_are_remembered() -> None:
    """The same text gives the same object: the hot paths of a worker parse it once."""
    assert parse_address("2001:db8::77") is parse_address("2001:db8::77")
    assert parse_network("10.9.0.0/16") is parse_network("10.9.0.0/16")
