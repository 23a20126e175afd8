"""A small API server whose failures a test commands, and reflectors that follow it into a real Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from shared.kinds import KINDS, Kind
from shared.kube import Access, KubeClient
from shared.state import Mirror, State
from tests.scripted import Exchange, Scripted, serving
from watcher.reflector import Reflector, Timing
from watcher.session import Session

NODE = next(kind for kind in KINDS if kind.name == "Node")
INGRESS = next(kind for kind in KINDS if kind.name == "Ingress")
SLICE = next(kind for kind in KINDS if kind.name == "EndpointSlice")
BLOCK = next(kind for kind in KINDS if kind.name == "BlockAffinity")


def path_of(kind: Kind) -> str:
    return f"{kind.path}/{kind.resource}"


class Cluster:
    """Objects, a history, and switches: `refuse` answers lists, `refuse_watch` watches, with these statuses."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.version = 100
        self.objects: dict[str, dict[str, dict[str, Any]]] = {}
        self.history: list[tuple[int, str, str, dict[str, Any]]] = []
        self.served: set[str] = {path_of(kind) for kind in KINDS if not kind.optional}
        self.refuse: dict[str, int] = {}
        self.refuse_watch: dict[str, int] = {}
        self.oldest = 0  # a watch from before it is 410
        self.cut = 0  # counts up to cut every watch that is open
        self.log: list[str] = []
        self.lease: dict[str, Any] | None = None
        self.refuse_leases = 0
        self.refuse_continue = 0
        self.events: list[dict[str, Any]] = []

    def put(self, kind: Kind, name: str, **fields: Any) -> None:
        with self.lock:
            self.version += 1
            space, _, short = name.rpartition("/")
            metadata = {"name": short, "uid": f"u-{short}", "resourceVersion": str(self.version)}
            obj = {"metadata": {**metadata, **({"namespace": space} if space else {})}, **fields}
            stored = self.objects.setdefault(path_of(kind), {})
            what = "MODIFIED" if name in stored else "ADDED"
            stored[name] = obj
            self.history.append((self.version, path_of(kind), what, obj))
            self.lock.notify_all()

    def remove(self, kind: Kind, name: str) -> None:
        with self.lock:
            self.version += 1
            obj = self.objects[path_of(kind)].pop(name)
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
            self.history.append((self.version, path_of(kind), "DELETED", obj))
            self.lock.notify_all()

    def bookmark(self, kind: Kind) -> None:
        with self.lock:
            obj = {"metadata": {"resourceVersion": str(self.version)}}
            self.history.append((self.version, path_of(kind), "BOOKMARK", obj))
            self.lock.notify_all()

    def forget(self) -> None:
        """Compacts the history and ends every watch: who resumes gets a 410."""
        with self.lock:
            self.oldest = self.version
            self.history.clear()
        self.drop()

    def drop(self) -> None:
        """Cuts every open watch."""
        with self.lock:
            self.cut += 1
            self.lock.notify_all()

    def count(self, what: str, kind: Kind) -> int:
        return self.log.count(f"{what} {path_of(kind)}")

    # -- the server's side

    def answer(self, exchange: Exchange) -> None:
        path, _, query = exchange.path.partition("?")
        if exchange.command == "POST" and path.endswith("/events"):
            self.events.append(exchange.json())
            exchange.reply(201, {})
            return
        if "/leases" in path:
            self._lease(exchange, path)
            return
        watch = "watch=1" in query
        self.log.append(f"{'WATCH' if watch else 'LIST'} {path}")
        status = (self.refuse_watch if watch else self.refuse).get(path)
        if path not in self.served:
            status = 404
        if status:
            exchange.reply(status, {"message": f"commanded {status}"})
        elif watch:
            fields = dict(part.split("=") for part in query.split("&"))
            self._watch(exchange, path, int(fields["resourceVersion"]))
        else:
            self._list(exchange, path, query)

    def _lease(self, exchange: Exchange, path: str) -> None:
        if self.refuse_leases:
            exchange.reply(self.refuse_leases, {"message": "commanded"})
            return
        with self.lock:
            old = self.lease
            body = exchange.json() if exchange.body else None
            if exchange.command == "POST":
                status = 409 if old else 201
            elif old is None:
                status = 404
            else:
                stale = body and body["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]
                status = 409 if stale else 200
            if body and status < 300:
                self.version += 1
                self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
            answer = self.lease if status < 300 else {"message": "no"}
        exchange.reply(status, answer)

    def _list(self, exchange: Exchange, path: str, query: str) -> None:
        fields = dict(part.split("=") for part in query.split("&")) if query else {}
        if "continue" in fields and self.refuse_continue:
            exchange.reply(self.refuse_continue, {"message": "commanded"})
            return
        with self.lock:
            items = [obj for _, obj in sorted(self.objects.get(path, {}).items())]
            version = str(self.version)
        start, limit = int(fields.get("continue", 0)), int(fields.get("limit", 0)) or len(items)
        metadata = {"resourceVersion": version}
        if start + limit < len(items):
            metadata["continue"] = str(start + limit)
        exchange.reply(200, {"kind": "XList", "metadata": metadata, "items": items[start : start + limit]})

    def _watch(self, exchange: Exchange, path: str, version: int) -> None:
        with self.lock:  # before the client can know that the watch is open
            sent, cut, gone = 0, self.cut, version < self.oldest
        if gone:
            exchange.reply(410, {"message": "too old resource version"})
            return
        exchange.open_stream()
        while not exchange.server.released.is_set():
            with self.lock:
                todo = self.history[sent:]
                sent = len(self.history)
                if self.cut != cut:
                    break
                if not todo:
                    self.lock.wait(0.1)
            for number, where, what, obj in todo:
                if where == path and (number > version or what == "BOOKMARK"):
                    exchange.event(what, obj)
        exchange.close_connection = True


class Follower:
    """Redis's side: a session, and what was published."""

    def __init__(self, redis_url: str, kinds: tuple[Kind, ...]) -> None:
        self.state = State(redis_url, "test")
        self.mirror = Mirror(self.state)
        self.published: list[tuple[list[str], str]] = []
        self.applied: list[tuple[str, list[str], list[str]]] = []
        self.session = self.begin(kinds)

    def begin(self, kinds: tuple[Kind, ...]) -> Session:
        mirror = Recording(self.state, self.applied)
        self.session = Session(mirror, mirror.begin("d"), self.publish, [kind.name for kind in kinds])
        return self.session

    def publish(self, keys: list[str], cause: str) -> None:
        self.published.append((keys, cause))

    def ids(self, kind: Kind) -> set[str]:
        return self.mirror.ids(kind.name)

    def deletions(self) -> list[str]:
        return [id_ for _, _, deleted in self.applied for id_ in deleted]

    def changes(self) -> list[str]:
        return [id_ for _, changed, _ in self.applied for id_ in changed]


class Recording(Mirror):
    """The real mirror, which also notes each batch."""

    def __init__(self, state: State, applied: list[tuple[str, list[str], list[str]]]) -> None:
        super().__init__(state)
        self.applied = applied

    def apply(self, epoch: Any, kind: str, changed: Any, deleted: Any, cause: str) -> list[str]:
        keys = super().apply(epoch, kind, changed, deleted, cause)
        self.applied.append((kind, [projection.id for projection in changed], list(deleted)))
        return keys


@contextmanager
def following(
    cluster: Cluster, redis_url: str, *kinds: Kind, timing: Timing | None = None, **options: Any
) -> Iterator[tuple[Follower, dict[str, Reflector]]]:
    """Reflectors for `kinds`, each in its thread, until the block ends."""
    with ExitStack() as stack:
        server = stack.enter_context(serving(cluster.answer))
        follower = Follower(redis_url, kinds)
        reflectors = {kind.name: reflector(server, follower, kind, timing=timing, **options) for kind in kinds}
        threads = [threading.Thread(target=one.run, daemon=True) for one in reflectors.values()]
        for thread in threads:
            thread.start()
        try:
            yield follower, reflectors
        finally:
            follower.session.end()
            for thread in threads:
                thread.join(3)
            assert not any(thread.is_alive() for thread in threads)
            follower.state.close()


def reflector(server: Scripted, follower: Follower, kind: Kind, **options: Any) -> Reflector:
    quick: dict[str, Callable[[], float]] = {"draw": lambda: 0.1}
    kube = KubeClient(lambda: Access(server.url), read_timeout=5)
    return Reflector(kind, kube, follower.session, **{**quick, **options})
