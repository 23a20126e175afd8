"""The API server: one object per world, one handler for all its calls.

A call runs as: note it, wait for the latency, meet a fault that strikes before the effect, check token and permission,
act on the store, meet a fault that strikes after the effect, note the answer. The acting has no await in it, so calls
are atomic and versions come in the order of the answers, while latencies, held answers and watches overlap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson

from simulator.kube import discovery
from simulator.kube.access import Access
from simulator.kube.audit import Audit, Call, Faults
from simulator.kube.control import Control
from simulator.kube.endpoints import Endpoints, body_of
from simulator.kube.errors import ApiError, no_such_path
from simulator.kube.loading import Loader
from simulator.kube.reads import Reader
from simulator.kube.removal import Remover
from simulator.kube.resources import CRDS, Registry
from simulator.kube.routes import is_resource, target_of
from simulator.kube.services import Cluster
from simulator.kube.store import Change, Store
from simulator.kube.watch import Hub
from simulator.kube.writes import Writer
from simulator.server import Answer, Request, Response, json_response

EVENT_RING = 20_000
BOOKMARK_INTERVAL = 5.0
FAMILIES = ("IPv4", "IPv6")
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
USUAL_CRDS = Path(__file__).with_name("crds.yaml")

_HEALTH = {("healthz",), ("livez",), ("readyz",)}
_OPEN = {*_HEALTH, ("version",)}  # what the real server, too, tells everybody


class KubeSimulator:
    """A cluster's API server. `handle` is the handler for `simulator.server`; the parts are there for tests.

    `ring` is how many changes can be resumed from, `bookmark_interval` is in seconds, `families` are the cluster's
    Service families. `usual_crds`: the kinds of Calico, Cilium, the OpenShift SDN and AKO are there from the start.
    """

    def __init__(
        self,
        *,
        token: str = "",
        ring: int = EVENT_RING,
        bookmark_interval: float = BOOKMARK_INTERVAL,
        families: Sequence[str] = FAMILIES,
        usual_crds: bool = True,
    ) -> None:
        self.store = Store(ring=ring)
        self.registry = Registry()
        self.hub = Hub(self.store, bookmark_interval=bookmark_interval)
        self.access = Access(token)
        self.audit = Audit()
        self.faults = Faults()
        cluster = Cluster(self.store, tuple(families))
        remover = Remover(self.store, self.registry)
        writer = Writer(self.store, self.registry, cluster, remover)
        reader = Reader(self.store)
        self.loader = Loader(writer)
        self.store.listeners.append(self._heard)
        self._endpoints = Endpoints(reader, writer, remover, self.hub, self.store)
        self._control = Control(self.audit, self.faults, self.access, self.store, reader, self.hub, self.loader)
        spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES]
        self.loader.load(orjson.dumps(spaces))
        if usual_crds:
            self.loader.load(USUAL_CRDS.read_bytes())

    def _heard(self, change: Change) -> None:
        """A kind that is no longer served has no watches."""
        if change.key == CRDS.key and change.type == "DELETED":
            self.hub.end_of(change.name)

    async def handle(self, request: Request) -> Answer:
        """Answers one call."""
        segments = [part for part in request.path.split("/") if part]
        if segments[:1] == ["simulator"]:
            return self._control.handle(request, segments[1:])
        call = self.audit.begin(request)
        answer = await self._with_faults(request, segments, call)
        self.audit.end(call, answer)
        return answer

    async def _with_faults(self, request: Request, segments: list[str], call: Call) -> Answer:
        if self.faults.latency:
            await asyncio.sleep(self.faults.latency)
        fault = self.faults.take(call)
        if fault is None:
            return self._act(request, segments, call)
        answer = self._act(request, segments, call) if fault.after else None
        instead = await fault.strike()
        return instead or answer or self._act(request, segments, call)

    def _act(self, request: Request, segments: list[str], call: Call) -> Answer:
        try:
            if tuple(segments) not in _OPEN:
                self.access.authenticate(request)
            return self._route(request, segments)
        except ApiError as error:
            call.error = error.message
            return json_response(error.status(), error.code)

    def _route(self, request: Request, segments: list[str]) -> Answer:
        if tuple(segments[:1]) in _HEALTH:
            return Response(200, b"ok", content_type="text/plain; charset=utf-8")
        if is_resource(segments):
            if segments[1:] == [discovery.REVIEW_GROUP, "v1", discovery.REVIEW]:
                return self._review(request)
            verb, target = target_of(self.registry, request, segments)
            self.access.authorize(verb, target.resource, target.sub, target.namespace, target.name)
            return self._endpoints.handle(verb, target, request)
        if request.method not in {"GET", "HEAD"}:
            raise ApiError(405, "the server does not allow this method on the requested resource")
        found = discovery.document(self.registry, segments, request.headers.get("host", ""))
        if found is None:
            raise no_such_path()
        return json_response(found)

    def _review(self, request: Request) -> Response:
        if request.method != "POST":
            raise ApiError(405, "the server does not allow this method on the requested resource")
        return json_response(self.access.review(body_of(request)), 201)
