"""Whole worlds in and out: objects in the form of the recorded cases (`avi.json`).

The form is `{type: {name: body}}` with references written as `type/name`, `service_metadata` as an object, and without
uuids. Loading goes through the same checks as a POST: what loads is what a controller would hold. An object that stands
already (the VRF, the SE group) gets the loaded fields over its own, its routes are added to those that are there.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from simulator.avi.references import parse
from simulator.avi.schema import Schema, Struct
from simulator.avi.scope import DEFAULT_CLOUD, Scopes
from simulator.avi.store import ADMIN, Record, Store
from simulator.avi.writes import Writer

World = dict[str, dict[str, dict[str, Any]]]

# What refers comes after what is referred to.
ORDER = (
    "tenant", "healthmonitor", "stringgroup", "sslkeyandcertificate", "pkiprofile", "applicationpersistenceprofile",
    "applicationprofile", "network", "vrfcontext", "serviceenginegroup", "pool", "poolgroup", "vsdatascriptset",
    "httppolicyset", "l4policyset", "vsvip", "virtualservice",
)  # fmt: skip
VOLATILE = ("uuid", "url", "_last_modified")
PLACEHOLDER = "<uuid>"  # stands in recorded route ids for something that differs from run to run


class Loader:
    """Loads into and dumps from one store."""

    def __init__(self, schema: Schema, store: Store, scopes: Scopes, writer: Writer) -> None:
        self._schema, self._store, self._scopes, self._writer = schema, store, scopes, writer

    def load(self, world: World) -> dict[str, str]:
        """Loads all objects; returns `type/name` -> uuid. Raises ApiError as a POST would, what came before stays."""
        unknown = world.keys() - set(self._schema.roots)
        if unknown:
            raise ValueError(f"no such types: {sorted(unknown)}")
        uuids: dict[str, str] = {}
        for rest_type in sorted(world, key=lambda name: ORDER.index(name) if name in ORDER else -1):
            objects = world[rest_type].items()
            for name, body in sorted(objects, key=lambda item: item[1].get("type") == "VS_TYPE_VH_CHILD"):
                uuids[f"{rest_type}/{name}"] = self._load(rest_type, body).uuid
        return uuids

    def _load(self, rest_type: str, body: dict[str, Any]) -> Record:
        wire = _to_wire(self._schema.roots[rest_type], body)
        wire.pop("vh_child_vs_uuid", None)
        if isinstance(wire.get("service_metadata"), dict):
            wire["service_metadata"] = json.dumps(wire["service_metadata"], separators=(",", ":"))
        for n, route in enumerate(wire.get("static_routes", [])):
            if PLACEHOLDER in route["route_id"]:
                route["route_id"] = route["route_id"].replace(PLACEHOLDER, f"recorded-{n}")
        tenant = parse(wire.get("tenant_ref", ""))
        cloud = parse(wire.get("cloud_ref", ""))
        owner = self._scopes.tenant(tenant.name if tenant else ADMIN)
        place = self._place(rest_type, owner, cloud.name if cloud else DEFAULT_CLOUD)
        standing = self._store.find(rest_type, body.get("name", ""), *place)
        if standing is None:
            return self._writer.create(rest_type, wire, owner)
        routes = [*standing.body.get("static_routes", ()), *wire.get("static_routes", ())]
        merged = standing.body | wire | ({"static_routes": routes} if routes else {})
        merged.pop("_last_modified")
        return self._writer.update(rest_type, standing.uuid, merged, owner)

    def _place(self, rest_type: str, owner: str, cloud: str) -> tuple[str, str]:
        found = next(iter(self._store.named("cloud", cloud)), None)
        in_cloud = rest_type in self._scopes.cloud_types and found is not None
        return owner if rest_type in self._scopes.tenant_types else "", found.uuid if in_cloud and found else ""

    def dump(self, types: set[str], *, volatile: bool) -> World:
        """All objects (of these types, or of all when empty). With `volatile` also uuid, url and `_last_modified`."""
        world: World = {}
        for rest_type, records in self._store.by_type.items():
            if records and (not types or rest_type in types):
                world[rest_type] = {self._key(one): self._shown(one, volatile=volatile) for one in records.values()}
        return world

    def _key(self, record: Record) -> str:
        """The name; for objects outside of tenant admin or Default-Cloud with their place before it."""
        parts = [self._store.records[record.tenant].name] if record.tenant not in {"", ADMIN} else []
        if record.cloud and self._store.records[record.cloud].name != DEFAULT_CLOUD:
            parts.append(self._store.records[record.cloud].name)
        return "/".join([*parts, record.name])

    def _shown(self, record: Record, *, volatile: bool) -> dict[str, Any]:
        body: dict[str, Any] = self._from_stored(record.body)
        if "service_metadata" in body:
            body["service_metadata"] = _parsed(body["service_metadata"])
        if "vh_child_vs_uuid" in body:
            children = [self._store.records[uuid] for uuid in record.body["vh_child_vs_uuid"]]
            body["vh_child_vs_uuid"] = sorted(f"virtualservice/{child.name}" for child in children)
        for field in VOLATILE:
            if volatile:
                body[field] = record.body[field]
            else:
                body.pop(field, None)
        return body

    def _from_stored(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._from_stored(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._from_stored(item) for item in value]
        if isinstance(value, str) and value.startswith("\ue000"):
            reference = parse(value)
            target = self._store.records.get(reference.uuid) if reference else None
            return f"{target.type}/{target.name}" if target else value
        return value


def _to_wire(struct: Struct, body: dict[str, Any]) -> dict[str, Any]:
    """The body with its `type/name` references spelt as a client would."""
    out: dict[str, Any] = {}
    for name, value in body.items():
        field = struct.fields.get(name)
        if field is None:
            out[name] = value
        elif field.repeated and isinstance(value, list):
            out[name] = [_item(field.struct, field.ref, one) for one in value]
        else:
            out[name] = _item(field.struct, field.ref, value)
    return out


def _item(struct: Struct | None, ref: str | None, value: Any) -> Any:
    if struct is not None and isinstance(value, dict):
        return _to_wire(struct, value)
    if ref is not None and isinstance(value, str) and value.startswith(f"{ref}/"):
        return f"/api/{ref}/?name={quote(value.removeprefix(f'{ref}/'), safe='')}"
    return value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
