"""Objects that are not ours: what a client must leave alone.

They belong to the clusters `peer2` and `xpeer` (names that begin or end like that of a cluster `peer`) and to people
who work on the controller by hand, with a `created_by` of a tool or none. All kinds of objects that a client of the
controller writes itself are among them, also routes in the VRF. Addresses come from net2, so they do not shift those of
net1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

World = dict[str, dict[str, dict[str, Any]]]
Item = tuple[str, dict[str, Any]]

OWNERS = ("peer2", "xpeer", "by-hand")
PEM = """\
-----BEGIN CERTIFICATE-----
MIIBLDCB06ADAgECAgEBMAoGCCqGSM49BAMCMB8xHTAbBgNVBAMMFGludHJhbmV0
LmV4YW1wbGUuY29tMCAXDTI1MDEwMTAwMDAwMFoYDzIxMjUwMTAxMDAwMDAwWjAf
MR0wGwYDVQQDDBRpbnRyYW5ldC5leGFtcGxlLmNvbTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABKRxG44vn4DtjiN2ZkCyIUdNzFZg6xukGx6k/ruyxLAuBNHamM7Z
e+P9d1BHXjmupkbkW0SjXCTjXYew/8p/3fYwCgYIKoZIzj0EAwIDSAAwRQIhANR9
ecje1EiG7NZkERrv/gZpEamINzuBh90tC0RJLfy1AiBQwlnX5bto2zGrqhlJ/+7f
JLeWbTIP/qAnIanuq23k/A==
-----END CERTIFICATE-----
"""
"""A certificate for intranet.example.com, valid until 2125; nobody has its key."""


def foreign_objects(count: int) -> World:
    """`count` objects in the form that `Loader.load` takes. A route counts as an object."""
    world: World = {}
    items = _items()
    for _ in range(count):
        rest_type, body = next(items)
        place = world.setdefault(rest_type, {})
        if rest_type == "vrfcontext":
            vrf = place.setdefault("global", {"name": "global", "static_routes": []})
            vrf["static_routes"].append(body)
        else:
            place[body["name"]] = body
    return world


def _items() -> Iterator[Item]:
    number = 0
    while True:
        for owner in OWNERS:
            yield from _application(owner, number)
            number += 1


def _application(owner: str, number: int) -> Iterator[Item]:
    """One application of an owner, what refers after what is referred to."""
    by_hand = owner == "by-hand"
    stem = f"intranet-{number}" if by_hand else f"{owner}--app{number}.example.com"
    marks: dict[str, Any] = {} if by_hand else {"markers": [{"key": "clustername", "values": [owner]}]}
    creator = ({"created_by": "terraform"} if number % 2 else {}) if by_hand else {"created_by": f"ako-{owner}"}
    own = marks | creator
    cloud = {"cloud_ref": "cloud/Default-Cloud", "tenant_ref": "tenant/admin"}

    def made(rest_type: str, suffix: str = "", **fields: Any) -> Item:
        return rest_type, {"name": stem + suffix, **own, **fields}

    yield made("pool", "-pool", **cloud, servers=[_server(number)], health_monitor_refs=["healthmonitor/System-TCP"])
    yield made("poolgroup", "-group", **cloud, members=[{"pool_ref": f"pool/{stem}-pool"}])
    yield "vsvip", {"name": stem, **marks, **cloud, "vip": [_vip(number)], "vrf_context_ref": "vrfcontext/global"}
    yield made("sslkeyandcertificate", certificate={"certificate": PEM}, key="<sensitive>")
    yield made("httppolicyset", http_request_policy={"rules": [_rule(stem)]})
    yield made("vsdatascriptset", pool_group_refs=[f"poolgroup/{stem}-group"], datascript=[_script()])
    yield "stringgroup", {"name": stem, "type": "SG_TYPE_STRING", "kv": [{"key": stem}], **marks}
    yield made("virtualservice", **cloud, **_service(stem))
    yield "vrfcontext", _route(owner, number, by_hand=by_hand)
    if by_hand:
        yield "healthmonitor", {"name": stem, "type": "HEALTH_MONITOR_TCP"}
    else:
        yield made("pkiprofile", ca_certs=[{"certificate": PEM}])


def _service(stem: str) -> dict[str, Any]:
    return {
        "type": "VS_TYPE_VH_PARENT",
        "services": [{"port": 80, "enable_ssl": False}],
        "vsvip_ref": f"vsvip/{stem}",
        "vrf_context_ref": "vrfcontext/global",
        "se_group_ref": "serviceenginegroup/Default-Group",
        "application_profile_ref": "applicationprofile/System-HTTP",
        "network_profile_ref": "networkprofile/System-TCP-Proxy",
        "ssl_key_and_certificate_refs": [f"sslkeyandcertificate/{stem}"],
        "http_policies": [{"index": 11, "http_policy_set_ref": f"httppolicyset/{stem}"}],
        "vs_datascripts": [{"index": 0, "vs_datascript_set_ref": f"vsdatascriptset/{stem}"}],
    }


def _server(number: int) -> dict[str, Any]:
    return {"ip": {"addr": f"192.0.2.{number % 250 + 1}", "type": "V4"}, "port": 8080}


def _vip(number: int) -> dict[str, Any]:
    network = {"network_ref": "network/net2"}
    kind = ("V4_ONLY", "V6_ONLY", "V4_V6")[(number + number // 3) % 3]
    return {"vip_id": "0", "auto_allocate_ip": True, "auto_allocate_ip_type": kind, "ipam_network_subnet": network}


def _rule(stem: str) -> dict[str, Any]:
    action = {"action": "HTTP_SWITCHING_SELECT_POOLGROUP", "pool_group_ref": f"poolgroup/{stem}-group"}
    return {"name": f"{stem}-0", "index": 0, "enable": True, "switching_action": action}


def _script() -> dict[str, Any]:
    return {"evt": "VS_DATASCRIPT_EVT_HTTP_REQ", "script": "avi.vs.log('hello')"}


def _route(owner: str, number: int, *, by_hand: bool) -> dict[str, Any]:
    labels: dict[str, Any] = {} if by_hand else {"labels": [{"key": "clustername", "value": owner}]}
    high, low = divmod(number, 250)
    return {
        "route_id": str(number + 1) if by_hand else f"{owner}-{number}",
        "prefix": {"ip_addr": {"addr": f"172.{16 + high % 16}.{low}.0", "type": "V4"}, "mask": 24},
        "next_hop": {"addr": "10.50.0.250", "type": "V4"},
        **labels,
    }
