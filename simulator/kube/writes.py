"""Creating and changing objects, in the order of the real server: identity, shape, defaults, validation, storage.

A change that changes nothing is not stored: no new resourceVersion and no event. The main resource of a kind with a
status leaves the status alone, and the status subresource everything but the status (and, for built-in kinds, labels
and annotations). Between reading the old state and storing the new one nothing else runs, so calls are atomic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import yaml

from simulator.kube import metadata as meta
from simulator.kube import patches
from simulator.kube.apply import Appliers
from simulator.kube.errors import ApiError, already_exists, bad_request, forbidden, not_found, refused
from simulator.kube.removal import Remover
from simulator.kube.resources import CRDS, NAMESPACES, Obj, Registry, Resource
from simulator.kube.rules import NO_RULE, RULES
from simulator.kube.services import Cluster, default_status
from simulator.kube.shapes import check_shape, without_nulls
from simulator.kube.store import Record, Store

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Options:
    """How a write is meant. `trusted` is for seeding: no validation, and a status that is given is stored."""

    dry_run: bool = False
    manager: str = ""
    force: bool = False
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What a call is about; `namespace` is None for a call on all namespaces, "" for a cluster-scoped resource."""

    resource: Resource
    namespace: str | None
    name: str = ""
    sub: str = ""


class Writer:
    """Create, replace, patch; deleting is the `Remover`'s."""

    def __init__(self, store: Store, registry: Registry, cluster: Cluster, remover: Remover) -> None:
        self._store, self._registry, self._cluster, self._remover = store, registry, cluster, remover
        self._appliers = Appliers()
        store.listeners.append(
            lambda change: (
                self._appliers.forget(change.record.obj["metadata"]["uid"]) if change.type == "DELETED" else None
            )
        )

    def create(self, target: Target, body: Any, options: Options) -> Record:
        """A new object. Raises ApiError."""
        resource, namespace = target.resource, target.namespace or ""
        obj = meta.identify(resource, without_nulls(body))
        meta.place(resource, obj, namespace)
        obj = resource.stored(obj)
        check_shape(resource, obj)
        if resource.namespaced:
            self._check_namespace(resource, obj, namespace)
        if resource.status and not resource.keeps_status and not options.trusted:
            obj.pop("status", None)
        name = meta.born(resource, obj)
        if self._store.get(resource.key, namespace, name) is not None:
            raise already_exists(resource, name)
        self._admit(resource, obj, None, options)
        return self._commit(target, name, obj, options)

    def replace(self, target: Target, body: Any, options: Options) -> Record:
        """A whole new state (or status) of an object that is there. Raises ApiError."""
        resource = target.resource
        old = self._present(target)
        obj = meta.identify(resource, without_nulls(body))
        meta.place(resource, obj, target.namespace or "")
        return self._change(target, old, resource.stored(obj), options)

    def patch(self, target: Target, content_type: str, body: bytes, options: Options) -> tuple[Record, bool]:
        """A patch; True when it (server-side apply) has created the object. Raises ApiError."""
        resource = target.resource
        if content_type == APPLY_PATCH:
            return self._apply(target, body, options)
        old = self._present(target)
        # A copy of its own, so that the patch may change it in place.
        obj = resource.shown(orjson.loads(old.raw))
        patch = meta.parsed(body, orjson.loads)
        if content_type == JSON_PATCH:
            obj = patches.json_patch(obj, patch)
        elif content_type == MERGE_PATCH:
            obj = patches.merge(obj, patch)
        elif content_type == STRATEGIC_PATCH and not resource.custom:
            obj = patches.strategic(obj, patch, resource.kind)
        else:
            kinds = ", ".join((JSON_PATCH, MERGE_PATCH, APPLY_PATCH, *(() if resource.custom else (STRATEGIC_PATCH,))))
            raise ApiError(415, "the body of the request was in an unknown format - accepted media types include: "
                           + kinds)  # fmt: skip
        if b"null" in body:
            obj = without_nulls(obj)
        obj = meta.identify(resource, obj)
        meta.place(resource, obj, target.namespace or "")
        return self._change(target, old, resource.stored(obj), options), False

    def load(self, body: Any) -> str:
        """Creates or replaces an object as it is given, status included; returns created, changed or unchanged."""
        body = without_nulls(body)
        resource = self._registry.of_kind(str(body.get("apiVersion")), str(body.get("kind")))
        if resource is None:
            raise bad_request(f"no {body.get('kind')} of {body.get('apiVersion')} is served here")
        given = body.setdefault("metadata", {})
        given.pop("resourceVersion", None)
        given.pop("uid", None)
        namespace = (given.get("namespace") or "default") if resource.namespaced else ""
        target = Target(resource, namespace, str(given.get("name") or ""))
        old = self._store.get(resource.key, namespace, target.name)
        if old is None:
            self.create(target, body, Options(trusted=True))
            return "created"
        obj = meta.identify(resource, body)
        meta.place(resource, obj, namespace)
        obj["metadata"]["resourceVersion"] = old.obj["metadata"]["resourceVersion"]
        new = self._change(target, old, resource.stored(obj), Options(trusted=True))
        return "unchanged" if new is old else "changed"

    # -- how ---------------------------------------------------------------------------------------------------------

    def _present(self, target: Target) -> Record:
        record = self._store.get(target.resource.key, target.namespace or "", target.name)
        if record is None:
            raise not_found(target.resource, target.name)
        return record

    def _change(self, target: Target, old: Record, obj: Obj, options: Options) -> Record:
        """Stores `obj` (its own, in stored form) instead of `old`, unless nothing would change."""
        resource = target.resource
        meta.inherit(resource, obj, old.obj)
        if target.sub == "status":
            obj = _status_change(resource, obj, old.obj)
            check_shape(resource, obj)
            if resource.key == "services":
                default_status(obj)
        else:
            check_shape(resource, obj)
            if resource.status and not (options.trusted and "status" in obj):
                obj.pop("status", None)
                if "status" in old.obj:
                    obj["status"] = old.obj["status"]
            self._admit(resource, obj, old.obj, options)
        meta.counted(resource, obj, old.obj)
        if obj == old.obj:
            return old
        metadata = obj["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            return old if options.dry_run else self._remover.finish(resource, obj)
        return self._commit(target, target.name, obj, options)

    def _admit(self, resource: Resource, obj: Obj, old: Obj | None, options: Options) -> None:
        rule = RULES.get(resource.key, NO_RULE)
        rule.default(obj, old, self._cluster)
        if options.trusted and resource.key != CRDS.key:
            return
        causes = list(rule.validate(obj, old, self._cluster))
        if causes:
            raise refused(resource, obj["metadata"]["name"], causes)

    def _commit(self, target: Target, name: str, obj: Obj, options: Options) -> Record:
        if options.dry_run:
            return Record(obj, 0)
        record = self._store.put(target.resource.key, target.namespace or "", name, obj)
        if target.resource.key == CRDS.key:
            self._registry.define(obj)
        return record

    def _check_namespace(self, resource: Resource, obj: Obj, namespace: str) -> None:
        found = self._store.get(NAMESPACES.key, "", namespace)
        if found is None:
            raise not_found(NAMESPACES, namespace)
        if "deletionTimestamp" in found.obj["metadata"]:
            text = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(resource, obj["metadata"].get("name", ""), text)

    def _apply(self, target: Target, body: bytes, options: Options) -> tuple[Record, bool]:
        resource = target.resource
        if not options.manager:
            raise bad_request(
                "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch"
            )
        config = meta.identify(resource, without_nulls(_yaml(body)))
        meta.place(resource, config, target.namespace or "")
        if config["metadata"].setdefault("name", target.name) != target.name:
            raise bad_request("the name of the object does not match the name on the URL")
        check_shape(resource, resource.stored(config))
        old = self._store.get(resource.key, target.namespace or "", target.name)
        if old is None:
            record = self.create(target, orjson.loads(orjson.dumps(config)), options)
        else:
            present = resource.shown(orjson.loads(old.raw))
            obj = self._appliers.result(resource, present, config, options.manager, force=options.force)
            record = self._change(target, old, resource.stored(obj), options)
        if not options.dry_run:
            self._appliers.remember(record.obj["metadata"]["uid"], options.manager, config)
        return record, old is None


def _status_change(resource: Resource, obj: Obj, old: Obj) -> Obj:
    """`old` with the status of `obj`; labels and annotations may come along with that of a built-in kind."""
    changed = {**old, "metadata": dict(old["metadata"])}
    if not resource.custom:
        for field in ("labels", "annotations"):
            if field in obj["metadata"]:
                changed["metadata"][field] = obj["metadata"][field]
            else:
                changed["metadata"].pop(field, None)
    changed.pop("status", None)
    if "status" in obj:
        changed["status"] = obj["status"]
    return changed


def _yaml(body: bytes) -> Any:
    """An apply configuration: YAML, of which JSON is the common case."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return yaml.safe_load(body)
        except yaml.YAMLError:
            raise bad_request("error decoding YAML") from None
