"""What a POST, PUT, PATCH or DELETE does to the world: all or nothing, every refusal an `ApiError`.

Checks run before the first change, so a refused call leaves no trace. The rules of single types (addresses of a vsvip,
children of a virtual service, route ids of a VRF, secrets of a certificate) are the small methods at the end.
"""

from __future__ import annotations

from typing import Any

from simulator.avi.certificates import settle_certificate
from simulator.avi.errors import ApiError
from simulator.avi.patch import patched
from simulator.avi.references import parse, stored
from simulator.avi.schema import Schema
from simulator.avi.scope import ALL_TENANTS, DEFAULT_CLOUD, Resolver, Scopes
from simulator.avi.store import ADMIN, Record, Store
from simulator.avi.vips import Allocator

STALE = "Concurrent update: the object was changed by someone else. Need to reload object data"
ONE_TENANT = "Tenant * is for reads: a write is made in one tenant"


class Writer:
    """Changes the objects of one store. A call's `tenant` is a uuid."""

    def __init__(self, schema: Schema, store: Store, scopes: Scopes, allocator: Allocator) -> None:
        self._schema, self._store, self._scopes, self._allocator = schema, store, scopes, allocator

    def create(self, rest_type: str, body: Any, tenant: str) -> Record:
        """POST. Raises ApiError: 400, 404 for a reference, 409 when the name is taken."""
        if tenant == ALL_TENANTS:
            raise ApiError(400, ONE_TENANT)
        tenant, cloud = self._place(rest_type, body, tenant)
        resolver = Resolver(self._scopes, self._store, tenant, cloud)
        new = self._schema.ingest(rest_type, body, resolver)
        self._name_is_free(rest_type, str(new.get("name", "")), tenant, cloud or "")
        uuid = ADMIN if rest_type == "tenant" and new["name"] == "admin" else self._store.new_uuid(rest_type)
        record = Record(rest_type, uuid, tenant, cloud or "", {}, {})
        self._seal(record, new, resolver.refs)
        record.body, record.refs = new, resolver.refs
        self._store.put(record)
        self._after(record, {})
        return record

    def update(self, rest_type: str, uuid: str, body: Any, tenant: str) -> Record:
        """PUT. Raises ApiError: 400, 404, 409, and 412 when `_last_modified` is sent and not the object's own."""
        record = self._own(rest_type, uuid, tenant)
        if (
            isinstance(body, dict)
            and body.get("_last_modified", record.body["_last_modified"]) != record.body["_last_modified"]
        ):
            raise ApiError(412, STALE)
        self._put(record, body)
        return record

    def patch(self, rest_type: str, uuid: str, body: Any, tenant: str) -> Record:
        """PATCH with `add`, `replace` and `delete`. Raises ApiError as `update`."""
        record = self._own(rest_type, uuid, tenant)
        if not isinstance(body, dict) or not body or body.keys() - {"add", "replace", "delete"}:
            raise ApiError(400, "A PATCH has the fields add, replace and delete")
        resolver = Resolver(self._scopes, self._store, record.tenant, record.cloud or None)
        parts = {how: self._schema.ingest(rest_type, part, resolver, partial=True) for how, part in body.items()}
        self._put(record, patched(record.body, parts))
        return record

    def delete(self, rest_type: str, uuid: str, tenant: str) -> None:
        """DELETE. Raises ApiError 404, and 409 when others refer to the object."""
        record = self._own(rest_type, uuid, tenant)
        users = [one for one in self._store.referrers(uuid) if one is not record]
        if users:
            shown = [f"{self._schema.label(one.type)} {one.name}" for one in users[:20]]
            raise ApiError(409, f"Cannot delete, object is referred by: {shown}")
        self._store.remove(record)
        if rest_type == "vsvip":
            self._allocator.release(uuid, self._vrf(record, record.body), record.body.get("vip", []))
        elif rest_type == "virtualservice":
            self._join_parent(record, record.body.get("vh_parent_vs_ref"), None)

    def _place(self, rest_type: str, body: Any, tenant: str) -> tuple[str, str | None]:
        """(tenant, cloud) of a new object: what its body says, else the call's tenant and Default-Cloud."""
        if not isinstance(body, dict):
            raise ApiError(400, f"The body is not a JSON object: a {self._schema.label(rest_type)} is expected")
        if rest_type not in self._scopes.tenant_types:
            return "", None
        finder = Resolver(self._scopes, self._store, tenant, None)
        if body.get("tenant_ref"):
            tenant = finder.find("tenant", str(body["tenant_ref"]), "tenant_ref").uuid
        if rest_type not in self._scopes.cloud_types:
            return tenant, None
        return tenant, finder.find(
            "cloud", str(body.get("cloud_ref") or f"/api/cloud?name={DEFAULT_CLOUD}"), "cloud_ref"
        ).uuid

    def _own(self, rest_type: str, uuid: str, tenant: str) -> Record:
        """The object that a call in this tenant may change."""
        record = self._store.records.get(uuid)
        if record is None or record.type != rest_type or not self._scopes.visible(record, tenant):
            raise self._scopes.missing(rest_type)
        if tenant == ALL_TENANTS:
            raise ApiError(400, ONE_TENANT)
        if record.tenant and tenant != record.tenant:
            raise ApiError(403, f"The object belongs to tenant {record.tenant}, the call is made in another one")
        return record

    def deliver(self) -> None:
        """Gives every vsvip the addresses that were late (see `Allocator`); from now on none is."""
        self._allocator.late.clear()
        for record in list(self._store.of_type("vsvip")):
            old = record.body.get("vip", [])
            vips = [dict(vip) for vip in old]
            self._allocator.settle(record.uuid, self._vrf(record, record.body), vips, old)
            self._store.replace(record, {**record.body, "vip": vips}, record.refs)

    def _put(self, record: Record, body: Any) -> None:
        resolver = Resolver(self._scopes, self._store, record.tenant, record.cloud or None)
        new = self._schema.ingest(record.type, body, resolver)
        for field in ("tenant_ref", "cloud_ref"):
            if new.get(field, record.body.get(field)) != record.body.get(field):
                raise ApiError(400, f"{field}: an object cannot move to another one")
        if new.get("name", "") != record.name:
            self._name_is_free(record.type, new.get("name", ""), record.tenant, record.cloud)
        self._seal(record, new, resolver.refs)
        old = record.body
        self._store.replace(record, new, resolver.refs)
        self._after(record, old)

    def _name_is_free(self, rest_type: str, name: str, tenant: str, cloud: str) -> None:
        if self._store.find(rest_type, name, tenant, cloud) is None:
            return
        label = self._schema.label(rest_type)
        what = "Name, Tenant ref and Cloud ref" if cloud else "Name and Tenant ref" if tenant else "Name"
        raise ApiError(409, f"{label} with this {what} already exists.")

    def _seal(self, record: Record, new: dict[str, Any], refs: dict[str, None]) -> None:
        """The last checks, and what the controller adds to a new body. Addresses are taken here, so it is the last step
        that can fail.
        """
        if record.tenant:
            new["tenant_ref"] = stored("tenant", record.tenant)
            refs[record.tenant] = None
        if record.cloud:
            new["cloud_ref"] = stored("cloud", record.cloud)
            refs[record.cloud] = None
        new["uuid"] = record.uuid
        new["url"] = stored(record.type, record.uuid)
        if record.type == "vrfcontext":
            _route_ids_differ(new)
        elif record.type == "sslkeyandcertificate":
            settle_certificate(new, record.body)
        elif record.type == "virtualservice":
            self._check_service(record, new)
        elif record.type == "vsvip":
            self._allocator.settle(record.uuid, self._vrf(record, new), new.get("vip", []), record.body.get("vip", []))
        new["_last_modified"] = self._store.now()

    def _after(self, record: Record, old: dict[str, Any]) -> None:
        if record.type == "virtualservice":
            self._join_parent(record, old.get("vh_parent_vs_ref"), record.body.get("vh_parent_vs_ref"))

    def _vrf(self, record: Record, body: dict[str, Any]) -> str:
        """The VRF whose addresses a vsvip competes for."""
        reference = parse(body.get("vrf_context_ref", ""))
        found = self._scopes.lookup("vrfcontext", "global", ADMIN, record.cloud)
        return reference.uuid if reference else found.uuid if found else record.cloud

    def _check_service(self, record: Record, new: dict[str, Any]) -> None:
        child = new["type"] == "VS_TYPE_VH_CHILD"
        if child and "vh_parent_vs_ref" not in new:
            raise ApiError(400, "vh_parent_vs_ref: a virtual service of type VS_TYPE_VH_CHILD needs a parent")
        if not child and not new.keys() & {"vsvip_ref", "vip"}:
            raise ApiError(400, "vsvip_ref: a virtual service that is no child needs a VsVip")
        if child:
            parent = parse(new["vh_parent_vs_ref"])
            if parent is None or self._store.records[parent.uuid].body["type"] != "VS_TYPE_VH_PARENT":
                raise ApiError(400, "vh_parent_vs_ref: the parent is not of type VS_TYPE_VH_PARENT")
        children = record.body.get("vh_child_vs_uuid", [])
        if new["type"] == "VS_TYPE_VH_PARENT":
            new["vh_child_vs_uuid"] = list(children)
        elif children:
            raise ApiError(400, "type: a virtual service with children stays a VS_TYPE_VH_PARENT")

    def _join_parent(self, child: Record, old: str | None, new: str | None) -> None:
        if old == new:
            return
        for text, add in ((old, False), (new, True)):
            reference = parse(text) if text else None
            if reference is not None:
                parent = self._store.records[reference.uuid]
                children = parent.body["vh_child_vs_uuid"]
                (children.append if add else children.remove)(child.uuid)
                parent.forget_text()


def _route_ids_differ(vrf: dict[str, Any]) -> None:
    seen: set[str] = set()
    for route in vrf.get("static_routes", []):
        if route["route_id"] in seen:
            raise ApiError(400, f"static_routes: route_id {route['route_id']!r} is used twice")
        seen.add(route["route_id"])
