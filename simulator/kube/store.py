"""What is stored, and its history: the part that plays etcd.

Every write takes the next version number, and versions are the same counter for all kinds. A `Record` is one state of
an object, never changed afterwards, kept both as data (for selectors) and as JSON (for answers), so that an object is
serialised once per write however often it is listed or watched. A `Change` is a write; the last ones are kept in a ring
from which watches resume. What fell out of the ring can only be listed again: that is the 410.

Versions start from the time of day in milliseconds: after a restart a client's old version is too old, and not
mistaken for one of the new world.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator

import orjson

from simulator.kube.resources import Obj


class Record:
    """One state of one object. `obj` must not be changed; `raw` is its JSON."""

    __slots__ = ("obj", "raw", "version")

    def __init__(self, obj: Obj, version: int) -> None:
        self.obj = obj
        self.version = version
        self.raw = orjson.dumps(obj)


class Change:
    """One write: `type` is ADDED, MODIFIED or DELETED; a deletion's record is the last state with a new version."""

    __slots__ = ("_line", "before", "key", "name", "namespace", "record", "type")

    def __init__(
        self,
        type: str,  # noqa: A002 - the event's own word
        key: str,
        namespace: str,
        name: str,
        record: Record,
        before: Record | None,
    ) -> None:
        self.type = type
        self.key = key
        self.namespace = namespace
        self.name = name
        self.record = record
        self.before = before
        self._line = b""

    @property
    def line(self) -> bytes:
        """The event as a watch sends it, in the stored form; made once."""
        if not self._line:
            self._line = event_line(self.type, self.record.raw)
        return self._line


def event_line(type: str, raw: bytes) -> bytes:  # noqa: A002 - the event's own word
    """One line of a watch."""
    return b'{"type":"%s","object":%s}\n' % (type.encode(), raw)


class Store:
    """All objects by storage key, namespace ("" for cluster-scoped) and name. `listeners` hear of every change."""

    def __init__(self, *, ring: int) -> None:
        self.version = int(time.time() * 1000)
        self.listeners: list[Callable[[Change], None]] = []
        self._objects: dict[str, dict[str, dict[str, Record]]] = {}
        self._ring: deque[Change] = deque()
        self._ring_size = ring
        self.compacted = self.version  # a watch can resume from here on

    def get(self, key: str, namespace: str, name: str) -> Record | None:
        """The object as it is now."""
        return self._objects.get(key, {}).get(namespace, {}).get(name)

    def records(self, key: str, namespace: str | None = None) -> list[Record]:
        """All of a kind, in the order of namespace and name; None: in all namespaces."""
        spaces = self._objects.get(key, {})
        wanted = sorted(spaces) if namespace is None else [namespace]
        return [spaces[space][name] for space in wanted if space in spaces for name in sorted(spaces[space])]

    def in_namespace(self, namespace: str) -> Iterator[tuple[str, Record]]:
        """(key, record) of everything in a namespace."""
        for key, spaces in list(self._objects.items()):
            for record in list(spaces.get(namespace, {}).values()):
                yield key, record

    def put(self, key: str, namespace: str, name: str, obj: Obj) -> Record:
        """Stores a state, whose resourceVersion is set here."""
        space = self._objects.setdefault(key, {}).setdefault(namespace, {})
        before = space.get(name)
        record = self._next(obj)
        space[name] = record
        self._publish(Change("ADDED" if before is None else "MODIFIED", key, namespace, name, record, before))
        return record

    def remove(self, key: str, namespace: str, name: str, last: Obj | None = None) -> Record:
        """Removes an object that is there; returns its last state (`last` if given) with the version of the removal."""
        before = self._objects[key][namespace].pop(name)
        state = before.obj if last is None else last
        record = self._next({**state, "metadata": {**state["metadata"]}})
        self._publish(Change("DELETED", key, namespace, name, record, before))
        return record

    def since(self, version: int) -> Iterator[Change] | None:
        """The changes after `version`; None when they are no longer all known."""
        if version < self.compacted:
            return None
        # Each write takes exactly one number, so the place in the ring is known.
        return itertools.islice(self._ring, version - self.compacted, None)

    def compact(self) -> None:
        """Forgets the history; the objects stay."""
        self._ring.clear()
        self.compacted = self.version

    def _next(self, obj: Obj) -> Record:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        return Record(obj, self.version)

    def _publish(self, change: Change) -> None:
        self._ring.append(change)
        if len(self._ring) > self._ring_size:
            self.compacted = self._ring.popleft().record.version
        for listener in self.listeners:
            listener(change)
