"""The world that a simulator starts with: what an administrator would have set up before AKO is installed.

A vCenter cloud with two VIP networks (net1, net2) of both families, a tiny one to run out of addresses (small-net), the
network of the nodes, an SE group, internal IPAM and DNS profiles, and the profiles that every controller brings along.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.avi.store import ADMIN
from simulator.avi.writes import Writer

Body = dict[str, Any]

DNS_DOMAINS = ("avi.internal", "example.com")

# name, then per subnet: prefix, mask, first and last address of the static range ("" for none)
NETWORKS: tuple[tuple[str, tuple[tuple[str, int, str, str], ...]], ...] = (
    (
        "net1",
        (
            ("10.10.0.0", 16, "10.10.1.10", "10.10.250.250"),
            ("2001:db8:10::", 64, "2001:db8:10::10", "2001:db8:10::ffff"),
        ),
    ),
    (
        "net2",
        (
            ("10.20.0.0", 16, "10.20.1.10", "10.20.250.250"),
            ("2001:db8:20::", 64, "2001:db8:20::10", "2001:db8:20::ffff"),
        ),
    ),
    (
        "small-net",
        (("10.30.0.0", 29, "10.30.0.2", "10.30.0.3"), ("2001:db8:30::", 125, "2001:db8:30::2", "2001:db8:30::3")),
    ),
    ("node-net", (("10.50.0.0", 24, "", ""), ("2001:db8:50::", 64, "", ""))),
    ("mgmt-net", (("10.60.0.0", 24, "10.60.0.10", "10.60.0.250"),)),
)


def seed(writer: Writer) -> None:
    """Creates the world in an empty store."""

    def make(rest_type: str, **body: Any) -> str:
        return writer.create(rest_type, body, ADMIN).uuid

    writer.create("tenant", {"name": "admin", "local": True}, "")
    cloud: Body = {"name": "Default-Cloud", "vtype": "CLOUD_VCENTER", "license_tier": "ENTERPRISE"}
    cloud["vcenter_configuration"] = {
        "privilege": "WRITE_ACCESS",
        "vcenter_url": "vcenter.example.com",
        "datacenter": "dc1",
        "username": "avi",
    }
    cloud_uuid = make("cloud", **cloud)
    make("vrfcontext", name="global", system_default=True)
    make("vrfcontext", name="management", system_default=True)
    for name, subnets in NETWORKS:
        vrf = "management" if name == "mgmt-net" else "global"
        make(
            "network",
            name=name,
            vrf_context_ref=f"/api/vrfcontext?name={vrf}",
            dhcp_enabled=False,
            configured_subnets=[_subnet(*subnet) for subnet in subnets],
        )
    cloud["ipam_provider_ref"] = _named("ipamdnsproviderprofile", make("ipamdnsproviderprofile", **_ipam()))
    cloud["dns_provider_ref"] = _named("ipamdnsproviderprofile", make("ipamdnsproviderprofile", **_dns()))
    writer.update("cloud", cloud_uuid, cloud, ADMIN)
    group: Body = {"ha_mode": "HA_MODE_SHARED", "max_se": 10, "max_vs_per_se": 100}
    make("serviceenginegroup", name="Default-Group", mgmt_network_ref="/api/network?name=mgmt-net", **group)
    for rest_type, body in _profiles():
        make(rest_type, **body)


def _named(rest_type: str, uuid: str) -> str:
    return f"/api/{rest_type}/{uuid}"


def _address(text: str) -> Body:
    return {"addr": text, "type": "V6" if ":" in text else "V4"}


def _subnet(prefix: str, mask: int, first: str, last: str) -> Body:
    body: Body = {"prefix": {"ip_addr": _address(prefix), "mask": mask}}
    if first:
        span = {"begin": _address(first), "end": _address(last)}
        body["static_ip_ranges"] = [{"type": "STATIC_IPS_FOR_VIP_AND_SE", "range": span}]
    return body


def _ipam() -> Body:
    usable = [{"nw_ref": f"/api/network?name={name}"} for name in ("net1", "net2", "small-net")]
    return {"name": "ipam-internal", "type": "IPAMDNS_TYPE_INTERNAL", "internal_profile": {"usable_networks": usable}}


def _dns() -> Body:
    domains = [{"domain_name": name} for name in DNS_DOMAINS]
    profile = {"dns_service_domain": domains, "ttl": 30}
    return {"name": "dns-internal", "type": "IPAMDNS_TYPE_INTERNAL_DNS", "internal_profile": profile}


def _profiles() -> Iterator[tuple[str, Body]]:
    """The profiles of a controller that virtual services and pools refer to by their System- names."""
    for name, kind in (
        ("System-HTTP", "HTTP"),
        ("System-Secure-HTTP", "HTTP"),
        ("System-Secure-HTTP-VDI", "HTTP"),
        ("System-L4-Application", "L4"),
        ("System-SSL-Application", "SSL"),
        ("System-Syslog", "SYSLOG"),
        ("System-DNS", "DNS"),
    ):
        yield "applicationprofile", {"name": name, "type": f"APPLICATION_PROFILE_TYPE_{kind}"}
    for name, kind in (
        ("System-TCP-Proxy", "TCP_PROXY"),
        ("System-TCP-Fast-Path", "TCP_FAST_PATH"),
        ("System-UDP-Fast-Path", "UDP_FAST_PATH"),
        ("System-UDP-Per-Pkt", "UDP_FAST_PATH"),
        ("System-UDP-No-Snat", "UDP_FAST_PATH"),
        ("System-SCTP-Proxy", "SCTP_PROXY"),
    ):
        yield "networkprofile", {"name": name, "profile": {"type": f"PROTOCOL_TYPE_{kind}"}}
    for kind in ("HTTP", "HTTPS", "TCP", "UDP", "SCTP", "Ping", "DNS", "SMTP", "IMAP", "FTP"):
        yield "healthmonitor", {"name": f"System-{kind}", "type": f"HEALTH_MONITOR_{kind.upper()}"}
    for name, kind in (
        ("System-Persistence-Client-IP", "CLIENT_IP_ADDRESS"),
        ("System-Persistence-Http-Cookie", "HTTP_COOKIE"),
        ("System-Persistence-TLS", "TLS"),
        ("System-Persistence-App-Cookie", "APP_COOKIE"),
    ):
        yield "applicationpersistenceprofile", {"name": name, "persistence_type": f"PERSISTENCE_TYPE_{kind}"}
    yield "sslprofile", {"name": "System-Standard"}
    yield "protocolparser", {"name": "Default-TLS", "parser_code": "-- built in"}
    yield "analyticsprofile", {"name": "System-Analytics-Profile"}
