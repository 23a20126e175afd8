"""Deleting: at once, or when the last finalizer is gone; a namespace takes its objects along, a definition its kind's.

A namespace is emptied a moment after its deletion was asked for, as by the controller of a real cluster: until then it
is Terminating, and `kubectl delete` can delete a manifest's other objects by themselves. There is no garbage collector:
what refers to a deleted object by an owner reference stays.
"""

from __future__ import annotations

import asyncio
from typing import Any

from simulator.kube import metadata as meta
from simulator.kube.errors import forbidden, not_found
from simulator.kube.resources import CRDS, NAMESPACES, Obj, Registry, Resource
from simulator.kube.store import Record, Store

EMPTIED_AFTER = 0.5  # seconds
_KEPT = {"default", "kube-system", "kube-public", "kube-node-lease"}


class Remover:
    """Deletes objects."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store, self._registry = store, registry

    def delete(
        self, resource: Resource, namespace: str, name: str, preconditions: Any = None, *, dry_run: bool = False
    ) -> tuple[Record, bool]:
        """(last state, whether it is gone); an object with finalizers is only marked. Raises ApiError."""
        record = self._store.get(resource.key, namespace, name)
        if record is None:
            raise not_found(resource, name)
        meta.check_preconditions(resource, record.obj, preconditions)
        if resource.key == NAMESPACES.key and name in _KEPT:
            raise forbidden(resource, name, "this namespace may not be deleted")
        if dry_run:
            return record, not record.obj["metadata"].get("finalizers")
        return self._delete(resource.key, record)

    def finish(self, resource: Resource, obj: Obj) -> Record:
        """Removes an object that has lost its last finalizer; `obj` is its last state."""
        metadata = obj["metadata"]
        namespace = metadata.get("namespace", "")
        last = self._store.remove(resource.key, namespace, metadata["name"], obj)
        self._namespace_emptied(namespace)
        return last

    def _delete(self, key: str, record: Record) -> tuple[Record, bool]:
        metadata = record.obj["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if key == NAMESPACES.key:
            return self._delete_namespace(record)
        if metadata.get("finalizers"):
            return self._mark(key, record), False
        if key == CRDS.key:
            self._delete_kind(name)
            self._registry.undefine(record.obj)
        last = self._store.remove(key, namespace, name)
        self._namespace_emptied(namespace)
        return last, True

    def _mark(self, key: str, record: Record) -> Record:
        """Notes that the object is to go; its finalizers hold it."""
        metadata = dict(record.obj["metadata"])
        if "deletionTimestamp" in metadata:
            return record
        metadata |= {"deletionTimestamp": meta.now(), "deletionGracePeriodSeconds": 0}
        if "generation" in metadata:
            metadata["generation"] += 1
        marked = {**record.obj, "metadata": metadata}
        return self._store.put(key, metadata.get("namespace", ""), metadata["name"], marked)

    def _delete_namespace(self, record: Record) -> tuple[Record, bool]:
        name = record.obj["metadata"]["name"]
        if "deletionTimestamp" not in record.obj["metadata"]:
            metadata = {**record.obj["metadata"], "deletionTimestamp": meta.now()}
            terminating = {**record.obj, "metadata": metadata, "status": {"phase": "Terminating"}}
            record = self._store.put(NAMESPACES.key, "", name, terminating)
            asyncio.get_running_loop().call_later(EMPTIED_AFTER, self._empty_namespace, name, metadata["uid"])
        return record, False

    def _empty_namespace(self, name: str, uid: str) -> None:
        found = self._store.get(NAMESPACES.key, "", name)
        if found is None or found.obj["metadata"]["uid"] != uid:
            return
        for key, inside in self._store.in_namespace(name):
            if "deletionTimestamp" not in inside.obj["metadata"]:
                self._delete(key, inside)
        self._namespace_emptied(name)

    def _namespace_emptied(self, name: str) -> None:
        """Removes a namespace that is to go and has nothing left in it."""
        found = self._store.get(NAMESPACES.key, "", name) if name else None
        if found is None or "deletionTimestamp" not in found.obj["metadata"]:
            return
        if next(self._store.in_namespace(name), None) is None and not found.obj["metadata"].get("finalizers"):
            self._store.remove(NAMESPACES.key, "", name)

    def _delete_kind(self, key: str) -> None:
        """All objects of a custom kind whose definition goes; finalizers do not hold them, nobody could remove them."""
        for record in self._store.records(key):
            metadata = record.obj["metadata"]
            self._store.remove(key, metadata.get("namespace", ""), metadata["name"])
