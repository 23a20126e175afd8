"""The objects that `ako conformance` creates: the least that each type can do with, and nothing that serves traffic.

Servers and next hops are addresses for documentation (RFC 5737) or from the node network; the policy matches a host
that does not exist. Lists are written in an order that no sorting would give.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.addresses import Network, avi_subnet, parse_network
from shared.avi.references import by_name
from shared.settings.model import Settings

Body = dict[str, Any]

# What each type is changed by to see whether an outdated write is refused.
_MARK: Final = {"markers": [{"key": "ako-conformance", "values": ["changed"]}]}
_SAID: Final = {"description": "changed by ako conformance"}
CHANGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "vsvip": _MARK,
    "sslkeyandcertificate": _MARK,
    "pool": _SAID,
    "poolgroup": _SAID,
    "httppolicyset": _SAID,
    "l4policyset": _SAID,
    "vsdatascriptset": _SAID,
    "virtualservice": _SAID,
    "vrfcontext": _SAID,
    "serviceenginegroup": _SAID,
}

# Who uses whom. Only the first of a chain is tried while the others still stand.
REFERRERS: Final[Mapping[str, str]] = {
    "pool": "poolgroup",
    "poolgroup": "vsdatascriptset",
    "vsdatascriptset": "virtualservice",
    "httppolicyset": "virtualservice",
    "vsvip": "virtualservice",
}


def of(name: str, settings: Settings) -> dict[str, Callable[[], Body]]:
    """How to make the body of each type, what is referred to first."""
    cloud = {"cloud_ref": by_name("cloud", settings.controller.cloud)}
    vrf = settings.controller.vrf
    place = {**cloud, "vrf_context_ref": by_name("vrfcontext", vrf)} if vrf else cloud
    return {
        "vsvip": lambda: {
            "name": name,
            **place,
            "vip": [_vip(settings)],
            "dns_info": [fqdn(name, "b"), fqdn(name, "a")],
        },
        "sslkeyandcertificate": lambda: {"name": name, **_certificate(name)},
        "pool": lambda: {"name": name, **cloud, "servers": [_server(last) for last in (7, 3, 5)]},
        "poolgroup": lambda: {"name": name, **cloud, "members": [{"pool_ref": by_name("pool", name)}]},
        "httppolicyset": lambda: {"name": name, "http_request_policy": {"rules": [_rule(n) for n in (2, 1, 3)]}},
        "l4policyset": lambda: {"name": name, "l4_connection_policy": {"rules": [_l4_rule(name)]}},
        "vsdatascriptset": lambda: {"name": name, **_script(name)},
        "virtualservice": lambda: {"name": name, **place, **_service(name)},
        "vrfcontext": lambda: {"name": name, **cloud, "static_routes": [_route(third) for third in (9, 4, 6)]},
        "serviceenginegroup": lambda: {"name": name, **cloud},
    }


def addresses(vsvip: Body) -> list[str]:
    """The addresses of a vsvip."""
    parts = [vip.get(field) for vip in vsvip.get("vip") or () for field in ("ip_address", "ip6_address")]
    return [str(part["addr"]) for part in parts if part]


def fqdn(name: str, host: str) -> Body:
    """An entry of a vsvip's `dns_info`."""
    return {"fqdn": f"{host}.{name}.invalid"}


def clients(policy: Body) -> set[Network]:
    """The networks of clients that an L4 policy set matches."""
    rules = (policy.get("l4_connection_policy") or {}).get("rules") or ()
    found = [
        each for rule in rules for each in ((rule.get("match") or {}).get("client_ip") or {}).get("prefixes") or ()
    ]
    return {parse_network(f"{each['ip_addr']['addr']}/{each['mask']}") for each in found}


def _servers(pool: Body) -> list[str]:
    return [str(server["ip"]["addr"]) for server in pool.get("servers") or ()]


def _rules(policy: Body) -> list[str]:
    return [str(rule["name"]) for rule in (policy.get("http_request_policy") or {}).get("rules") or ()]


def _routes(vrf: Body) -> list[str]:
    return [str(route["route_id"]) for route in vrf.get("static_routes") or ()]


def _fqdns(vsvip: Body) -> list[str]:
    return [str(row["fqdn"]) for row in vsvip.get("dns_info") or ()]


# Type, field, and how to show its elements in their order.
LISTS: Final[tuple[tuple[str, str, Callable[[Body], list[str]]], ...]] = (
    ("pool", "servers", _servers),
    ("httppolicyset", "rules", _rules),
    ("vrfcontext", "static_routes", _routes),
    ("vsvip", "dns_info", _fqdns),
)


def _vip(settings: Settings) -> Body:
    """A VIP from the first VIP network, of its families."""
    network = settings.vip_networks[0]
    named = f"/api/network/{network.uuid}" if network.uuid else by_name("network", network.name)
    subnets: Body = {"network_ref": named}
    if network.cidr is not None:
        subnets["subnet"] = avi_subnet(network.cidr)
    vip: Body = {"vip_id": "0", "auto_allocate_ip": True, "ipam_network_subnet": subnets}
    if network.v6cidr is not None:
        subnets["subnet6"] = avi_subnet(network.v6cidr)
        vip["auto_allocate_ip_type"] = "V4_V6" if network.cidr is not None else "V6_ONLY"
    return vip


def _server(last: int) -> Body:
    return {"ip": {"addr": f"192.0.2.{last}", "type": "V4"}, "port": 8080, "enabled": False}


def _rule(number: int) -> Body:
    host = {"match_criteria": "HDR_EQUALS", "value": [f"r{number}.invalid"]}
    action = {"protocol": "HTTPS", "port": 443}
    return {
        "name": f"r{number}",
        "index": number,
        "enable": True,
        "match": {"host_hdr": host},
        "redirect_action": action,
    }


def _l4_rule(name: str) -> Body:
    """As for a Service with `loadBalancerSourceRanges` of both families."""
    networks = [avi_subnet(parse_network(text)) for text in ("2001:db8:f::/48", "192.0.2.0/24")]
    pool = {"action_type": "L4_RULE_ACTION_SELECT_POOL", "pool_ref": by_name("pool", name)}
    match = {
        "port": {"match_criteria": "IS_IN", "ports": [8080]},
        "protocol": {"match_criteria": "IS_IN", "protocol": "PROTOCOL_TCP"},
        "client_ip": {"match_criteria": "IS_IN", "prefixes": networks},
    }
    return {"name": "r1", "index": 0, "match": match, "action": {"select_pool": pool}}


def _script(name: str) -> Body:
    script = {"evt": "VS_DATASCRIPT_EVT_HTTP_REQ", "script": "-- made by ako conformance\n"}
    return {"datascript": [script], "pool_group_refs": [by_name("poolgroup", name)]}


def _service(name: str) -> Body:
    return {
        "enabled": False,
        "services": [{"port": 80, "enable_ssl": False}],
        "vsvip_ref": by_name("vsvip", name),
        "http_policies": [{"index": 11, "http_policy_set_ref": by_name("httppolicyset", name)}],
        "vs_datascripts": [{"index": 0, "vs_datascript_set_ref": by_name("vsdatascriptset", name)}],
    }


def _route(third: int) -> Body:
    prefix = {"ip_addr": {"addr": f"198.51.100.{16 * third}", "type": "V4"}, "mask": 28}
    return {"route_id": f"r{third}", "prefix": prefix, "next_hop": {"addr": "192.0.2.1", "type": "V4"}}


def _certificate(name: str) -> Body:
    """A certificate of its own making with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{name}.invalid")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
        "certificate": {"certificate": made.public_bytes(serialization.Encoding.PEM).decode()},
        "key": private.decode(),
    }
