"""Which fields of which Avi objects are ours: one table per type, and what follows from the tables.

A field in a table is *owned*: it is compared, and when it is not wanted it has to be absent or equal to the value that
stands for absence (`absent`; for lists always the empty one). `GIVEN` fields are compared only when they are wanted,
since the controller chooses where we do not; `ALONG` fields are written and never compared. A field that no table
holds belongs to the controller or to the user and travels through a PUT untouched.

So an object is taken over from AKO without a write however the controller spells it, an edit behind our back is seen
although a checksum still matches, and what a user added beside our fields stays. Lists compare whole.

Fields that only custom resources set (WAF, profiles, analytics, load balancing algorithm) are in no table: an object
that carries them keeps them until a release that serves those resources owns them.

The ledger keeps an *extract*: the canonical form of every owned field that is not absent, and under `NAMES` the names
of all uuids that the object refers to. It holds no secret: keys are never extracted, certificates only as digests.
All is pure. Objects should be read with `include_name`; where an answer to a write lacks the names, the body that was
sent supplies them (`extract(..., sent=body)`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workers.fields import (
    ALONG,
    GIVEN,
    Address,
    Context,
    Digest,
    Fqdns,
    JsonText,
    Keyed,
    Kind,
    Listed,
    Markers,
    OurRef,
    Ref,
    Script,
    Struct,
    Subnet,
    Unordered,
    address_text,
    learned,
)

NAMES: Final = "@"  # in an extract: uuid → name of everything that the object refers to

Table = Mapping[str, Kind]
Extract = dict[str, Any]

TEXT = Kind()
NUMBER = Kind()
FLAG = Kind(absent=(False, ""))
FLAG_ON = Kind(absent=(True, ""))
PART = Kind(absent=("", [], {}))  # a structure that we compare as it is
CHECKSUM = Kind(mode=ALONG)

# Who and where an object is. A child virtual service is sent without its tenant, a policy set without its cloud.
_IDENTITY: Table = {
    "name": TEXT,
    "tenant_ref": Ref("tenant", mode=GIVEN),
    "cloud_ref": Ref("cloud", mode=GIVEN),
    "markers": Markers(),
}
_MADE: Table = {**_IDENTITY, "created_by": TEXT}

_PLACEMENT = Keyed(Struct({"network_ref": Ref("network"), "subnet": Subnet()}), by=("subnet", "network_ref"))

_MATCH: Table = {
    "path": Struct(
        {
            "match_criteria": TEXT,
            "match_case": Kind(absent=("INSENSITIVE", "")),
            "match_str": Unordered(TEXT),
            "match_decoded_string": FLAG_ON,
            "string_group_refs": Unordered(Ref("stringgroup")),
        }
    ),
    "host_hdr": Struct(
        {
            "match_criteria": TEXT,
            "match_case": Kind(absent=("INSENSITIVE", "")),
            "value": Unordered(TEXT),
        }
    ),
    "vs_port": Struct({"match_criteria": TEXT, "ports": Unordered(NUMBER)}),
    # What a rule of ours never matches on; found there, it changes what the rule does.
    **dict.fromkeys(
        (
            "bot_detection_result",
            "client_ip",
            "cookie",
            "geo_matches",
            "hdrs",
            "ip_reputation_type",
            "method",
            "protocol",
            "query",
            "source_ip",
            "tls_fingerprint_match",
            "version",
        ),
        PART,
    ),
}
_SWITCH: Table = {
    "action": TEXT,
    "pool_group_ref": Ref("poolgroup"),
    "pool_ref": Ref("pool"),
    "server": PART,
    "file": PART,
    "status_code": TEXT,
}
_REDIRECT: Table = {
    "port": NUMBER,
    "protocol": TEXT,
    "status_code": Kind(absent=("HTTP_REDIRECT_STATUS_CODE_302", "")),
    "keep_query": FLAG_ON,
    "host": PART,
    "path": PART,
    "add_string": TEXT,
}
_RULE: Table = {
    "name": TEXT,
    "index": NUMBER,
    "enable": FLAG_ON,
    "match": Struct(_MATCH),
    "switching_action": Struct(_SWITCH),
    "redirect_action": Struct(_REDIRECT),
    "hdr_action": PART,
    "rewrite_url_action": PART,
}
_SECURITY_RULE: Table = {**{name: _RULE[name] for name in ("name", "index", "enable", "match")}, "action": PART}
_CLIENTS: Table = {"match_criteria": TEXT, "prefixes": Unordered(Subnet()), "addrs": PART, "ranges": PART}
_L4_RULE: Table = {
    "name": TEXT,
    "index": Kind(mode=ALONG),  # the rules match disjoint ports, so their order means nothing
    "enable": FLAG_ON,
    "match": Struct(
        {
            "port": Struct({"match_criteria": TEXT, "ports": Unordered(NUMBER)}),
            "protocol": Struct({"match_criteria": TEXT, "protocol": TEXT}),
            "client_ip": Struct({**_CLIENTS, "group_refs": Unordered(Ref("ipaddrgroup"))}),
        }
    ),
    "action": Struct(
        {"select_pool": Struct({"action_type": TEXT, "pool_ref": Ref("pool"), "pool_group_ref": Ref("poolgroup")})}
    ),
}


def _single_port(service: dict[str, Any]) -> None:
    """A range that ends at its first port is no range."""
    if service.get("port_range_end") == service.get("port"):
        service.pop("port_range_end", None)


_SERVICE: Table = {
    "port": NUMBER,
    "port_range_end": Kind(absent=(0, "")),
    "enable_ssl": FLAG,
    "enable_http2": FLAG,
    "override_network_profile_ref": Ref("networkprofile"),
}
_SERVER: Table = {
    "ip": Address(),
    "port": NUMBER,
    "enabled": FLAG_ON,
    "server_node": TEXT,
    "external_uuid": Kind(mode=ALONG),  # made of address and port
}
_VIP: Table = {
    "vip_id": TEXT,
    "auto_allocate_ip": FLAG,
    "auto_allocate_ip_type": Kind(absent=("V4_ONLY", "")),
    "auto_allocate_floating_ip": FLAG,
    "ipam_network_subnet": Struct(
        {
            "network_ref": Ref("network"),
            "subnet": Subnet(mode=GIVEN),
            "subnet6": Subnet(mode=GIVEN),
        }
    ),
    "subnet_uuid": Kind(mode=GIVEN),
    # Wanted only where an address was asked for; else what the controller allocated.
    "ip_address": Address(mode=GIVEN),
    "ip6_address": Address(mode=GIVEN),
}

VIRTUALSERVICE: Table = {
    **_MADE,
    "type": Kind(absent=("VS_TYPE_NORMAL", "")),
    "cloud_config_cksum": CHECKSUM,
    "service_metadata": JsonText(),
    "application_profile_ref": Ref("applicationprofile"),
    "network_profile_ref": Ref("networkprofile"),
    "error_page_profile_ref": Ref("errorpageprofile"),
    "se_group_ref": Ref("serviceenginegroup", mode=GIVEN),
    "vrf_context_ref": Ref("vrfcontext", mode=GIVEN),
    "vsvip_ref": Ref("vsvip", mode=GIVEN),  # a child is sent without
    "services": Keyed(Struct(_SERVICE, tidy=_single_port), by=("port", "override_network_profile_ref")),
    "enable_rhi": FLAG,
    "traffic_enabled": FLAG_ON,
    "east_west_placement": FLAG,
    "ign_pool_net_reach": FLAG,
    "remove_listening_port_on_vs_down": FLAG,
    "min_pools_up": Kind(absent=(0, "")),
    "vh_type": Kind(absent=("VS_TYPE_VH_SNI", "")),
    "vh_parent_vs_ref": Ref("virtualservice"),
    "vh_domain_name": Unordered(TEXT),
    "vh_matches": Keyed(
        Struct({"host": TEXT, "rules": Keyed(Struct({"name": TEXT, "matches": Struct(_MATCH)}), by=("name",))}),
        by=("host",),
    ),
    "pool_ref": Ref("pool"),
    "pool_group_ref": Ref("poolgroup"),
    "ssl_key_and_certificate_refs": Unordered(Ref("sslkeyandcertificate")),
    "http_policies": Keyed(
        Struct({"index": NUMBER, "http_policy_set_ref": Ref("httppolicyset")}), by=("index", "http_policy_set_ref")
    ),
    "l4_policies": Keyed(
        Struct({"index": NUMBER, "l4_policy_set_ref": Ref("l4policyset")}), by=("index", "l4_policy_set_ref")
    ),
    "vs_datascripts": Keyed(
        Struct({"index": NUMBER, "vs_datascript_set_ref": Ref("vsdatascriptset")}),
        by=("index", "vs_datascript_set_ref"),
    ),
}

VSVIP: Table = {
    **_IDENTITY,
    "vsvip_cloud_config_cksum": CHECKSUM,
    "vrf_context_ref": Ref("vrfcontext", mode=GIVEN),
    "tier1_lr": TEXT,
    "east_west_placement": FLAG,
    "dns_info": Fqdns(),
    "bgp_peer_labels": Unordered(TEXT),
    "vip": Keyed(Struct(_VIP), by=("vip_id",), keep=True),
}

POOL: Table = {
    **_MADE,
    "cloud_config_cksum": CHECKSUM,
    "service_metadata": JsonText(),
    "vrf_ref": Ref("vrfcontext", mode=GIVEN),
    "tier1_lr": TEXT,
    "sni_enabled": FLAG,
    "graceful_disable_timeout": Kind(absent=(1, "")),
    "health_monitor_refs": Unordered(Ref("healthmonitor")),
    "application_persistence_profile_ref": OurRef("applicationpersistenceprofile", "System-Persistence-Client-IP"),
    "placement_networks": _PLACEMENT,
    "servers": Keyed(Struct(_SERVER), by=("ip", "port"), keep=True),
}

POOLGROUP: Table = {
    **_MADE,
    "cloud_config_cksum": CHECKSUM,
    "implicit_priority_labels": FLAG,
    "members": Keyed(
        Struct({"pool_ref": Ref("pool"), "priority_label": TEXT, "ratio": Kind(absent=(1, ""))}),
        by=("pool_ref", "priority_label"),
        keep=True,
    ),
}

HTTPPOLICYSET: Table = {
    **_MADE,
    "cloud_config_cksum": CHECKSUM,
    "http_request_policy": Struct({"rules": Keyed(Struct(_RULE), by=("index", "name"))}),
    "http_security_policy": Struct({"rules": Keyed(Struct(_SECURITY_RULE), by=("index", "name"))}),
}

L4POLICYSET: Table = {
    **_MADE,
    "l4_connection_policy": Struct({"rules": Keyed(Struct(_L4_RULE), by=("name",))}),
}

VSDATASCRIPTSET: Table = {
    **_MADE,
    "datascript": Listed(Struct({"evt": TEXT, "script": Script()})),
    "pool_group_refs": Unordered(Ref("poolgroup")),
    "protocol_parser_refs": Unordered(Ref("protocolparser")),
}

SSLKEYANDCERTIFICATE: Table = {
    **_MADE,
    "type": Kind(absent=("SSL_CERTIFICATE_TYPE_VIRTUALSERVICE", "")),
    "certificate": Struct({"certificate": Digest()}),
    "key": Kind(mode=ALONG),
    # The controller adds the issuers that it finds by itself.
    "ca_certs": Keyed(Struct({"name": TEXT, "ca_ref": Ref("sslkeyandcertificate")}), by=("name",), mode=GIVEN),
}

# The register of what can be ours, each type after those it refers to; census and plans take their types from here.
TABLES: Final[Mapping[str, Struct]] = {
    "sslkeyandcertificate": Struct(SSLKEYANDCERTIFICATE),
    "vsvip": Struct(VSVIP),
    "pool": Struct(POOL),
    "poolgroup": Struct(POOLGROUP),
    "httppolicyset": Struct(HTTPPOLICYSET),
    "l4policyset": Struct(L4POLICYSET),
    "vsdatascriptset": Struct(VSDATASCRIPTSET),
    "virtualservice": Struct(VIRTUALSERVICE),
}


def extract(type_: str, obj: Mapping[str, Any], sent: Mapping[str, Any] | None = None) -> Extract:
    """What the ledger keeps of an object as read: JSON-able, small, without secrets.

    `sent` is the body that `obj` answers, when it answers a write: it supplies the names that the answer lacks.
    Raises KeyError for a type that we do not make.
    """
    context = Context({}, obj)
    if sent is not None:
        context.names.update(learned(sent, obj))
    result: Extract = TABLES[type_].canon(obj, context) or {}
    result[NAMES] = context.names
    return result


def differs(type_: str, wanted: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    """Paths of the owned fields in which the body `wanted` differs from the extract `actual`, sorted; [] = nothing.

    Raises ValueError when the body holds a field that no table knows, KeyError for a type that we do not make.
    """
    table = TABLES[type_]
    form = table.canon(wanted, Context(actual.get(NAMES, {}), wanted, ours=True))
    return sorted(table.differences("", form, actual))


def overlay(type_: str, actual: Mapping[str, Any], wanted: Mapping[str, Any], *, vip: bool = False) -> dict[str, Any]:
    """The body of a PUT: the object as read, with our fields as wanted. `actual` is not changed, but parts are shared.

    A field that compares equal keeps the spelling that was read. The VIP of a vsvip travels as read; with `vip` it is
    the other way round: the VIP becomes what is wanted and everything else travels as read.
    """
    if vip:
        return {**actual, "vip": _changed_vips(actual.get("vip") or [], wanted.get("vip") or [])}
    merged: dict[str, Any] = TABLES[type_].merge(actual, wanted)
    if type_ == "vsvip":
        merged.pop("vip", None)
        merged.update({"vip": actual["vip"]} if "vip" in actual else {})
    return merged


def references(type_: str, obj: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(type, name) of every object of a type that we make which `obj` (read, or a body) refers to, sorted.

    Where a reference holds no name, its uuid stands in the name's place.
    """
    found = TABLES[type_].refers(obj, Context({}, obj))
    return sorted({reference for reference in found if reference[0] in TABLES})


def vips(obj: Mapping[str, Any]) -> dict[str, list[str]]:
    """The addresses of a vsvip as read, `{"v4": [...], "v6": [...]}`, canonical; floating ones alone if any."""
    floating = _addresses(obj, "floating_ip", "floating_ip6")
    return floating if floating["v4"] or floating["v6"] else _addresses(obj, "ip_address", "ip6_address")


def _addresses(obj: Mapping[str, Any], v4: str, v6: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"v4": [], "v6": []}
    for vip in obj.get("vip") or ():
        for family, name in (("v4", v4), ("v6", v6)):
            if text := (vip.get(name) or {}).get("addr"):
                found[family].append(address_text(text))
    return found


def _changed_vips(actual: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The wanted VIPs; an address that was allocated stays where its family and network stay."""
    there = {vip.get("vip_id"): vip for vip in actual}
    return [_changed_vip(there.get(vip.get("vip_id"), {}), vip) for vip in wanted]


def _changed_vip(actual: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    families = {"V6_ONLY": ("6",), "V4_V6": ("", "6")}.get(wanted.get("auto_allocate_ip_type", ""), ("",))
    result = {name: part for name, part in actual.items() if name not in _VIP and name != "avi_allocated_vip"}
    for family in ("", "6"):
        address = f"ip{family}_address"
        if family in families and address in actual and _same_network(actual, wanted, f"subnet{family}"):
            result[address] = actual[address]
            result["avi_allocated_vip"] = actual.get("avi_allocated_vip", True)
    return {**result, **wanted}


def _same_network(actual: Mapping[str, Any], wanted: Mapping[str, Any], subnet: str) -> bool:
    kind = TABLES["vsvip"].table["vip"]
    field = "ipam_network_subnet"
    before = kind.canon([{field: _only(actual.get(field) or {}, subnet)}], context := Context({}, actual))
    after = kind.canon([{field: _only(wanted.get(field) or {}, subnet)}], Context(context.names, wanted, ours=True))
    return not kind.differences("vip", after, before)


def _only(place: Mapping[str, Any], subnet: str) -> dict[str, Any]:
    return {name: part for name, part in place.items() if name in ("network_ref", subnet)}
