"""A controller without HTTP for tests of the pure core: it answers as one does and refuses what would dangle.

It resolves references to `https://…/uuid#name`, writes IPv6 addresses in another style than we do, leaves empty lists
out, fills defaults in and allocates VIPs. It keeps objects by id and asserts on every call that no live reference
points at a missing object.
"""

from __future__ import annotations

import copy
import ipaddress
import uuid
from typing import Any

from shared.avi.references import find_references, parse

MADE = (
    "virtualservice",
    "vsvip",
    "pool",
    "poolgroup",
    "httppolicyset",
    "l4policyset",
    "vsdatascriptset",
    "sslkeyandcertificate",
)
DEFAULTS: dict[str, dict[str, Any]] = {
    "virtualservice": {
        "type": "VS_TYPE_NORMAL",
        "enabled": True,
        "traffic_enabled": True,
        "east_west_placement": False,
        "remove_listening_port_on_vs_down": False,
        "enable_rhi": False,
        "weight": 1,
        "vh_type": "VS_TYPE_VH_SNI",
        "analytics_profile_ref": "https://10.0.0.1/api/analyticsprofile/analyticsprofile-1#System-Analytics-Profile",
    },
    "vsvip": {"east_west_placement": False},
    "pool": {
        "enabled": True,
        "lb_algorithm": "LB_ALGORITHM_LEAST_CONNECTIONS",
        "default_server_port": 80,
        "inline_health_monitor": True,
        "use_service_port": False,
        "host_check_enabled": False,
        "enable_http2": False,
        "sni_enabled": False,
        "graceful_disable_timeout": 1,
    },
    "poolgroup": {"implicit_priority_labels": False, "min_servers": 0, "enable_http2": False},
    "httppolicyset": {"is_internal_policy": False},
    "l4policyset": {"is_internal_policy": False},
    "vsdatascriptset": {},
    "sslkeyandcertificate": {
        "format": "SSL_PEM",
        "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
        "status": "SSL_CERTIFICATE_FINISHED",
    },
}
NESTED_DEFAULTS: dict[str, dict[str, Any]] = {
    "servers": {"enabled": True, "ratio": 1},
    "members": {"ratio": 1},
    "services": {"enable_ssl": False, "enable_http2": False},
    "rules": {"enable": True, "all_headers": False},
    "vip": {
        "enabled": True,
        "auto_allocate_ip": False,
        "auto_allocate_ip_type": "V4_ONLY",
        "auto_allocate_floating_ip": False,
    },
    "redirect_action": {"keep_query": True, "status_code": "HTTP_REDIRECT_STATUS_CODE_302"},
    "host_hdr": {"match_case": "INSENSITIVE"},
    "path": {"match_case": "INSENSITIVE", "match_decoded_string": True},
}


def uuid_of(type_: str, name: str) -> str:
    """The uuid that this controller gives to an object: the same for the same name, so that tests can compare."""
    return name if type_ == "tenant" else f"{type_}-{uuid.uuid5(uuid.NAMESPACE_DNS, name)}"


class PureController:
    """Objects by id (`type/tenant/name`)."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.writes: list[tuple[str, str]] = []

    def post(self, type_: str, tenant: str, body: dict[str, Any]) -> dict[str, Any]:
        id_ = f"{type_}/{tenant}/{body['name']}"
        assert id_ not in self.objects, f"{id_} exists already"
        self._check(tenant, body)
        own = {"uuid": uuid_of(type_, body["name"]), "url": f"https://10.0.0.1/api/{type_}/x", "_last_modified": "1"}
        own["tenant_ref"] = f"/api/tenant/?name={tenant}"
        return self._store(id_, {**own, **body}, "POST")

    def put(self, id_: str, body: dict[str, Any]) -> dict[str, Any]:
        there = self.objects[id_]
        assert body["_last_modified"] == there["_last_modified"], "412"
        assert body["uuid"] == there["uuid"]
        self._check(id_.split("/", 2)[1], body)
        return self._store(id_, {**body, "_last_modified": str(int(body["_last_modified"]) + 1)}, "PUT")

    def delete(self, id_: str) -> None:
        holders = [holder for holder, obj in self.objects.items() if id_ in self._targets(holder.split("/", 2)[1], obj)]
        assert not holders, f"{id_} is referred to by {holders}"
        del self.objects[id_]
        self.writes.append(("DELETE", id_))

    def _store(self, id_: str, body: dict[str, Any], method: str) -> dict[str, Any]:
        self.objects[id_] = answer(id_.partition("/")[0], body)
        self.writes.append((method, id_))
        return copy.deepcopy(self.objects[id_])

    def _check(self, tenant: str, body: dict[str, Any]) -> None:
        missing = self._targets(tenant, body) - set(self.objects)
        assert not missing, f"{body['name']} refers to {missing}, which do not stand"

    @staticmethod
    def _targets(tenant: str, body: dict[str, Any]) -> set[str]:
        found = [reference for reference in find_references(body) if reference.type in MADE]
        return {f"{reference.type}/{tenant}/{reference.name}" for reference in found}


def answer(type_: str, body: dict[str, Any]) -> dict[str, Any]:
    """The object as a controller shows it after a write of `body`."""
    obj = {**DEFAULTS[type_], **_render("", body)}
    for vip in obj.get("vip", ()):
        _allocate(vip)
    return obj


def _render(field: str, value: Any) -> Any:
    if isinstance(value, dict):
        parts = {name: _render(name, part) for name, part in value.items()}
        defaults = {} if field == "path" and "match_criteria" not in value else NESTED_DEFAULTS.get(field, {})
        return {**defaults, **{name: part for name, part in parts.items() if part != []}}
    if isinstance(value, list):
        return [_render(field, part) for part in value]
    if field.endswith(("_ref", "_refs")) and isinstance(value, str):
        return _resolved(value)
    if field == "addr" and ":" in value:
        return ipaddress.ip_address(value).exploded.upper()
    return value


def _resolved(text: str) -> str:
    reference = parse(text)
    if reference is None:
        return text
    name = reference.name or f"named-{reference.uuid}"
    return f"https://10.0.0.1/api/{reference.type}/{reference.uuid or uuid_of(reference.type, name)}#{name}"


def _allocate(vip: dict[str, Any]) -> None:
    kind = vip["auto_allocate_ip_type"]
    if kind in ("V4_ONLY", "V4_V6"):
        vip.setdefault("ip_address", {"addr": "10.10.1.10", "type": "V4"})
    if kind in ("V6_ONLY", "V4_V6"):
        vip.setdefault("ip6_address", {"addr": "2001:DB8:10:0:0:0:0:10", "type": "V6"})
    vip["avi_allocated_vip"] = True
