"""Watches: each change is serialised once and handed to every watch that wants it.

A watch has a list of lines that wait; its stream sends all that wait as one chunk, so a burst costs few writes. When an
object begins or ceases to match a watch's selectors, that watch sees it appear or go. Bookmarks tell a client how far
it has seen; at the end of its time a watch closes with one.

A client that does not read makes its lines pile up here; the real server would end the watch at some point.

A watch can be troubled: silenced (the connection stays, nothing comes, not even bookmarks), closed, cut off with a TCP
reset, or told that the history is gone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable

import orjson

from simulator.kube.errors import ApiError, expired
from simulator.kube.reads import raw_of
from simulator.kube.resources import Resource
from simulator.kube.selectors import Test
from simulator.kube.store import Change, Record, Store, event_line
from simulator.kube.tables import Tables
from simulator.server import StreamReset

_LONGEST = 1800.0  # seconds; the real server closes a watch without timeoutSeconds after half an hour to an hour


class Watch:
    """One open watch. `path` is only for the control endpoint."""

    def __init__(
        self, resource: Resource, namespace: str | None, test: Test | None, path: str, tables: Tables | None = None
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self.path = path
        self.wake = asyncio.Event()
        self.pending: list[bytes] = []
        self.silent = False
        self.over = False
        self.reset = False
        self._test = test
        self._tables = tables

    def offer(self, change: Change) -> None:
        """Takes a change if it concerns this watch."""
        if self.namespace is not None and change.namespace != self.namespace:
            return
        kind = change.type
        if self._test is not None:
            now = kind != "DELETED" and self._test(change.record.obj)
            before = change.before is not None and self._test(change.before.obj)
            if not now and not before:
                return
            kind = "MODIFIED" if now and before else "ADDED" if now else "DELETED"
        self.pending.append(self._line(kind, change))
        self.wake.set()

    def begin(self, records: Iterable[Record]) -> None:
        """Starts with what is there, as events of type ADDED."""
        for record in records:
            if self._test is None or self._test(record.obj):
                self.pending.append(self._event("ADDED", record))

    def bookmark(self, version: int) -> bytes:
        """The line that says how far this watch has seen."""
        metadata = {"resourceVersion": str(version), "creationTimestamp": None}
        obj = {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": metadata}
        return event_line("BOOKMARK", orjson.dumps(self._tables.bookmark(obj) if self._tables else obj))

    def fail(self, error: ApiError) -> None:
        """Ends the watch with an ERROR event, after what waits."""
        self.pending.append(event_line("ERROR", orjson.dumps(error.status())))
        self.end()

    def end(self, *, reset: bool = False) -> None:
        """Ends the watch."""
        self.over, self.reset = True, reset
        self.wake.set()

    def _line(self, kind: str, change: Change) -> bytes:
        if kind == change.type and self.resource.storage and self._tables is None:
            return change.line
        return self._event(kind, change.record)

    def _event(self, kind: str, record: Record) -> bytes:
        if self._tables is not None:
            table = self._tables.table(self.resource, [record], {"resourceVersion": str(record.version)})
            return event_line(kind, orjson.dumps(table))
        return event_line(kind, raw_of(self.resource, record))


class Hub:
    """All open watches, and what can be done to them."""

    def __init__(self, store: Store, *, bookmark_interval: float) -> None:
        self._store = store
        self._interval = bookmark_interval
        self._open: dict[str, set[Watch]] = {}
        store.listeners.append(self._heard)

    def _heard(self, change: Change) -> None:
        for watch in self._open.get(change.key, ()):
            watch.offer(change)

    def _begin(self, watch: Watch, version: int | None) -> None:
        """Registers a watch that resumes after `version`, or (None) begins with all objects that are there."""
        self._open.setdefault(watch.resource.key, set()).add(watch)
        if version is None:
            watch.begin(self._store.records(watch.resource.key, watch.namespace))
            return
        changes = self._store.since(version)
        if changes is None:
            watch.fail(expired(f"too old resource version: {version} ({self._store.compacted})"))
            return
        for change in changes:
            if change.key == watch.resource.key:
                watch.offer(change)

    async def stream(
        self, watch: Watch, version: int | None, *, seconds: float, bookmarks: bool
    ) -> AsyncGenerator[bytes, None]:
        """What a watch from `version` on (None: from the present objects on) sends, until it ends or the client goes.

        The watch is registered here and not before, so that a stream that is never read leaves nothing behind.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + (seconds or _LONGEST)
        mark = clock() + self._interval if bookmarks else end
        try:
            self._begin(watch, version)
            while True:
                watch.wake.clear()
                if watch.reset:
                    raise StreamReset
                if watch.pending and not watch.silent:
                    chunk = b"".join(watch.pending)
                    watch.pending.clear()
                    yield chunk
                    continue
                if watch.over:
                    return
                if not await _woken(watch, None if watch.silent else min(mark, end) - clock()):
                    mark = clock() + self._interval
                    if bookmarks:
                        yield watch.bookmark(self._store.version)
                    if clock() >= end:
                        return
        finally:
            self._open[watch.resource.key].discard(watch)

    def close(self, path: re.Pattern[str], *, reset: bool) -> int:
        """Ends the watches whose path matches; returns how many."""
        found = self._matching(path)
        for watch in found:
            watch.end(reset=reset)
        return len(found)

    def silence(self, path: re.Pattern[str], *, silent: bool) -> int:
        """Makes the watches that match fall silent, or speak again and say what they missed; returns how many."""
        found = self._matching(path)
        for watch in found:
            watch.silent = silent
            watch.wake.set()
        return len(found)

    def fail(self, error: ApiError) -> None:
        """Ends all watches with an error."""
        for watch in self._matching(re.compile("")):
            watch.fail(error)

    def end_of(self, key: str) -> None:
        """Ends the watches of a kind that is no longer served."""
        for watch in list(self._open.get(key, ())):
            watch.end()

    def shown(self) -> list[dict[str, object]]:
        """The open watches."""
        return [
            {"path": watch.path, "silent": watch.silent, "waiting": len(watch.pending)}
            for watch in self._matching(re.compile(""))
        ]

    def _matching(self, path: re.Pattern[str]) -> list[Watch]:
        return [watch for watches in self._open.values() for watch in watches if path.search(watch.path)]


async def _woken(watch: Watch, seconds: float | None) -> bool:
    """Waits until something is there for the watch; False when the time is up."""
    try:
        async with asyncio.timeout(None if seconds is None else max(0.0, seconds)):
            await watch.wake.wait()
    except TimeoutError:
        return False
    return True
