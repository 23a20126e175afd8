"""In which tenant and cloud a call or an object lives, and what a name means there.

A call is made in one tenant (header `X-Avi-Tenant` by name or `X-Avi-Tenant-UUID`, default `admin`); `*` reads over
all. A tenant sees its own objects, and of `admin` what is there for all: clouds, networks, profiles, certificates. A
name in a reference is looked up in the object's cloud and tenant, then in `admin` (*assumed*).
"""

from __future__ import annotations

from simulator.avi.errors import ApiError
from simulator.avi.references import parse, stored
from simulator.avi.schema import Schema
from simulator.avi.store import ADMIN, Record, Store

ALL_TENANTS = "*"
DEFAULT_CLOUD = "Default-Cloud"
TENANT_ONLY = {"virtualservice", "vsvip", "pool", "poolgroup", "httppolicyset", "l4policyset", "vsdatascriptset"}


class Scopes:
    """Answers questions of place over one store."""

    def __init__(self, schema: Schema, store: Store) -> None:
        self._schema = schema
        self._store = store
        self.cloud_types = {rest for rest, struct in schema.roots.items() if "cloud_ref" in struct.fields}
        self.tenant_types = {rest for rest, struct in schema.roots.items() if "tenant_ref" in struct.fields}

    def tenant(self, name: str, uuid: str = "") -> str:
        """The uuid of a call's tenant, `*` for all. Raises ApiError 403 when there is none such."""
        if ALL_TENANTS in {name, uuid}:
            return ALL_TENANTS
        found = self._store.records.get(uuid) if uuid else self._store.find("tenant", name or ADMIN, "", "")
        if found is None or found.type != "tenant":
            raise ApiError(403, f"Tenant {uuid or name} does not exist")
        return found.uuid

    def visible(self, record: Record, tenant: str) -> bool:
        """Whether a call in this tenant sees the object."""
        if tenant in {ALL_TENANTS, record.tenant} or not record.tenant:
            return True
        return record.tenant == ADMIN and record.type not in TENANT_ONLY

    def missing(self, rest_type: str) -> ApiError:
        """The answer for an object that is not there."""
        return ApiError(404, f"{self._schema.label(rest_type)} object not found!")

    def lookup(self, rest_type: str, name: str, tenant: str, cloud: str | None) -> Record | None:
        """What a name means to an object in that tenant and cloud (None: an object without a cloud sees all clouds)."""
        tenants = (tenant, ADMIN) if rest_type in self.tenant_types else ("",)
        for owner in tenants:
            if rest_type not in self.cloud_types:
                found = self._store.find(rest_type, name, owner, "")
            elif cloud is not None:
                found = self._store.find(rest_type, name, owner, cloud)
            else:
                found = next((one for one in self._store.named(rest_type, name) if one.tenant == owner), None)
            if found is not None:
                return found
        return None


class Resolver:
    """Resolves the references of one object while its body is checked, and remembers what it refers to.

    A scalar call of `Schema.ingest`: `resolver(type of the field, text, path)` gives the stored form. Raises ApiError:
    400 for a text that is no reference or one to another type, 404 for one to an object that is not there.
    """

    def __init__(self, scopes: Scopes, store: Store, tenant: str, cloud: str | None) -> None:
        self._scopes, self._store = scopes, store
        self._tenant, self._cloud = tenant, cloud
        self.refs: dict[str, None] = {}

    def __call__(self, rest_type: str, text: str, path: str) -> str:
        """The stored form of the reference `text` in the field `path`."""
        target = self.find(rest_type, text, path)
        self.refs[target.uuid] = None
        return stored(rest_type, target.uuid)

    def find(self, rest_type: str, text: str, path: str) -> Record:
        """The object that the reference means."""
        reference = parse(text)
        if reference is None:
            raise ApiError(400, f"{path}: {text!r} is not a reference")
        if reference.type != rest_type:
            raise ApiError(400, f"{path}: a reference to {rest_type} is expected, not to {reference.type}")
        if reference.uuid:
            found = self._store.records.get(reference.uuid)
            if found is not None and (found.type != rest_type or not self._scopes.visible(found, self._tenant)):
                found = None
        else:
            found = self._scopes.lookup(rest_type, reference.name, self._tenant, self._cloud)
        if found is None:
            raise self._scopes.missing(rest_type)
        return found
