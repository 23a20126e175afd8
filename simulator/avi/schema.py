"""Field names and types of every object, compiled once from the published Avi models (`schema.json`).

`Schema.ingest` walks a body a single time and does all that needs the type of a field: it refuses unknown fields, wrong
types and unknown enum values with a sentence that names the field, fills in the controller's defaults, leaves out what
is empty (null, an empty list, an empty reference: they mean "not set") and hands every reference to the caller for
resolving. The result shares no container with the body.

The models hold no lengths, ranges or defaults: the defaults below are those that clients of a controller are known to
see, numbers are checked for the width of their type only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from simulator.avi.errors import ApiError

DEFAULTS: dict[str, dict[str, Any]] = {
    "VirtualService": {
        "type": "VS_TYPE_NORMAL",
        "enabled": True,
        "traffic_enabled": True,
        "east_west_placement": False,
        "remove_listening_port_on_vs_down": False,
        "ign_pool_net_reach": False,
        "revoke_vip_route": False,
        "weight": 1,
    },
    "Pool": {
        "enabled": True,
        "lb_algorithm": "LB_ALGORITHM_LEAST_CONNECTIONS",
        "default_server_port": 80,
        "inline_health_monitor": True,
        "use_service_port": False,
        "host_check_enabled": False,
        "rewrite_host_header_to_server_name": False,
        "enable_http2": False,
    },
    "Server": {"enabled": True, "ratio": 1},
    "PoolGroup": {"implicit_priority_labels": False, "min_servers": 0, "enable_http2": False},
    "PoolGroupMember": {"ratio": 1},
    "Vip": {
        "enabled": True,
        "auto_allocate_ip": False,
        "auto_allocate_ip_type": "V4_ONLY",
        "auto_allocate_floating_ip": False,
    },
    "VsVip": {"east_west_placement": False},
    "HTTPPolicySet": {"is_internal_policy": False},
    "SSLKeyAndCertificate": {
        "format": "SSL_PEM",
        "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
        "status": "SSL_CERTIFICATE_FINISHED",
    },
}

# What a controller shows beside the models' fields, and never takes from a client.
READ_ONLY = {"uuid", "url", "_last_modified", "vh_child_vs_uuid"}

_WIDTHS = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}

Resolve = Callable[[str, str, str], str]  # (type, text, path of the field) -> the stored form of the reference


@dataclass(slots=True)
class Field:
    """One field of a struct: `struct` is set for messages, `ref` for references, `accepts` is the check of a scalar."""

    kind: str
    accepts: Callable[[Any], bool]
    repeated: bool
    enum: tuple[str, ...] | None
    ref: str | None
    struct: Struct | None = None


@dataclass(slots=True)
class Struct:
    """One message type: its fields, what is required of a client, what is filled in."""

    name: str
    fields: dict[str, Field]
    required: tuple[str, ...]
    defaults: dict[str, Any]


class Schema:
    """The message types by name (`structs`) and by REST type (`roots`)."""

    def __init__(self) -> None:
        raw = orjson.loads(Path(__file__).with_name("schema.json").read_bytes())
        self.structs = {name: _struct(name, fields) for name, fields in raw["structs"].items()}
        for struct in self.structs.values():
            for field in struct.fields.values():
                field.struct = self.structs.get(field.kind)
        self.roots = {rest: self.structs[name] for rest, name in raw["roots"].items()}
        children = Field("string", _CHECKS["string"], repeated=True, enum=None, ref=None)
        self.structs["VirtualService"].fields["vh_child_vs_uuid"] = children

    def label(self, rest_type: str) -> str:
        """The name that messages use for a REST type: `PoolGroup` for `poolgroup`."""
        struct = self.roots.get(rest_type)
        return struct.name if struct else rest_type

    def ingest(self, rest_type: str, body: Any, resolve: Resolve, *, partial: bool = False) -> dict[str, Any]:
        """The object as it is stored, without its read-only fields.

        `partial` asks for nothing and fills in nothing: the parts of a PATCH. Raises ApiError 400, and whatever
        `resolve` raises.
        """
        struct = self.roots[rest_type]
        if not isinstance(body, dict):
            raise ApiError(400, f"The body is not a JSON object: a {struct.name} is expected")
        out = _message(struct, body, resolve, "", partial)
        for name in READ_ONLY:
            out.pop(name, None)
        return out


def _never(_: Any) -> bool:
    return False


def _struct(name: str, raw: dict[str, Any]) -> Struct:
    fields = {
        field: Field(
            spec["t"],
            _CHECKS.get(spec["t"], _never),
            bool(spec.get("r")),
            tuple(spec["e"]) if "e" in spec else None,
            spec.get("ref"),
        )
        for field, spec in raw.items()
    }
    required = tuple(field for field, spec in raw.items() if spec.get("q"))
    return Struct(name, fields, required, DEFAULTS.get(name, {}))


def _message(struct: Struct, body: dict[str, Any], resolve: Resolve, path: str, partial: bool) -> dict[str, Any]:
    out = {} if partial else struct.defaults.copy()
    fields = struct.fields
    for name, value in body.items():
        field = fields.get(name)
        if field is None:
            raise ApiError(400, f'Message type "{struct.name}" has no field named "{name}"{_at(path)}')
        if value is None:
            continue
        if field.repeated:
            if type(value) is not list:
                raise _wrong(path + name, value, f"list of {field.kind}")
            if value:
                where = path + name
                out[name] = [_value(field, item, resolve, f"{where}[{n}]", partial) for n, item in enumerate(value)]
        elif field.ref is None or value != "":
            out[name] = _value(field, value, resolve, path + name, partial)
    if not partial:
        for name in struct.required:
            if name not in out:
                raise ApiError(400, f"{path}{name}: this field is required")
    return out


def _value(field: Field, value: Any, resolve: Resolve, path: str, partial: bool) -> Any:
    if field.struct is not None:
        if type(value) is not dict:
            raise _wrong(path, value, field.kind)
        return _message(field.struct, value, resolve, path + ".", partial)
    if not field.accepts(value):
        raise _wrong(path, value, field.kind)
    if field.ref is not None:
        return resolve(field.ref, value, path)
    if field.enum is not None and value not in field.enum:
        raise ApiError(400, f"{path}: {value!r} is not one of the enum options {list(field.enum)}")
    return value


def _number_check(kind: str) -> Callable[[Any], bool]:
    if kind in _WIDTHS:
        low, high = _WIDTHS[kind]
        return lambda value: type(value) is int and low <= value <= high
    return lambda value: type(value) in {int, float}


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: type(value) is str,
    "bool": lambda value: type(value) is bool,
    **{kind: _number_check(kind) for kind in (*_WIDTHS, "float64", "float32", "double", "float")},
}


def _wrong(path: str, value: Any, kind: str) -> ApiError:
    last = path.rpartition(".")[2]
    hidden = isinstance(value, (dict, list)) or "key" in last or "pass" in last  # no secret in a sentence
    shown = type(value).__name__ if hidden else repr(value)
    return ApiError(400, f"{path}: {shown[:80]} is not a valid {kind}")


def _at(path: str) -> str:
    return f" (in {path[:-1]})" if path else ""
