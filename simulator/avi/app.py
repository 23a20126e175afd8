"""The simulated controller: one object per world, one handler for all its calls.

A call runs as: note it, wait for the latency, meet a fault that strikes before the effect, log in or check the session,
act on the store, meet a fault that strikes after the effect, note the answer. The acting has no await in it, so calls
are atomic and their order is that of a single-threaded server, while latencies and held answers overlap.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlencode

import orjson

from simulator.avi.audit import Audit, Call, Faults, masked, strike
from simulator.avi.boot import VERSION, VERSION_INFO, Boot
from simulator.avi.control import Control
from simulator.avi.errors import ApiError
from simulator.avi.loading import Loader
from simulator.avi.reads import Reader
from simulator.avi.references import MARK_BYTES
from simulator.avi.schema import Schema
from simulator.avi.scope import Scopes
from simulator.avi.seed import seed
from simulator.avi.sessions import Sessions
from simulator.avi.store import Store
from simulator.avi.vips import Allocator
from simulator.avi.writes import Writer
from simulator.server import Answer, Request, Response, json_response

_VERSION_TEXT = re.compile(r"\d+(\.\d+){1,3}")


class AviSimulator:
    """A seeded controller. `handle` is the handler for `simulator.server`; the parts are there for in-process tests."""

    def __init__(self, *, username: str = "admin", password: str) -> None:
        self.schema = Schema()
        self.store = Store()
        self.scopes = Scopes(self.schema, self.store)
        self.allocator = Allocator(self.store)
        self.writer = Writer(self.schema, self.store, self.scopes, self.allocator)
        self.reader = Reader(self.schema, self.store, self.scopes)
        self.sessions = Sessions(username, password, VERSION_INFO)
        self.audit = Audit()
        self.faults = Faults()
        self.boot = Boot(self.store, self.scopes, self.allocator)
        seed(self.writer)
        self.loader = Loader(self.schema, self.store, self.scopes, self.writer)
        self._control = Control(self.audit, self.faults, self.sessions, self.allocator, self.loader)

    async def handle(self, request: Request) -> Answer:
        """Answers one call."""
        segments = [part for part in request.path.split("/") if part]
        if segments[:1] == ["simulator"]:
            return self._control.handle(request, segments[1:])
        call = self.audit.begin(request, _full_path(segments, request))
        body = self._read_body(request, call, segments)
        answer = await self._with_faults(request, segments, call, body)
        self.audit.end(call, answer)
        return answer

    async def _with_faults(self, request: Request, segments: list[str], call: Call, body: Any) -> Answer:
        if self.faults.latency:
            await asyncio.sleep(self.faults.latency)
        fault = self.faults.take(call)
        if fault is None:
            return self._act(request, segments, body)
        answer = self._act(request, segments, body) if fault.after else None
        instead = await strike(fault, self.sessions)
        return instead or answer or self._act(request, segments, body)

    def _read_body(self, request: Request, call: Call, segments: list[str]) -> Any:
        """The JSON body, noted with its secrets masked; None when there is none, and for a login."""
        if not request.body or segments[:1] != ["api"]:
            return None
        try:
            body = request.json()
        except orjson.JSONDecodeError:
            return None
        call.body = masked(body)
        if isinstance(body, dict):
            call.name = str(body.get("name", ""))
        return body

    def _act(self, request: Request, segments: list[str], body: Any) -> Response:
        try:
            status, text = self._route(request, segments, body)
        except ApiError as error:
            return json_response({"error": error.text}, error.status)
        if isinstance(text, Response):
            return text
        return Response(status, text.replace(MARK_BYTES, request.base_url.encode()))

    def _route(self, request: Request, segments: list[str], body: Any) -> tuple[int, bytes | Response]:
        method = request.method
        if segments in (["login"], ["logout"]) and method == "POST":
            if segments == ["login"]:
                return 200, self.sessions.login(request)
            self.sessions.logout(request)
            return 200, b"{}"
        if segments[:1] != ["api"] or len(segments) < 2:
            raise ApiError(404, "Not found")
        if segments[1] != "initial-data":
            self.sessions.check(request)
        _check_version(request.headers.get("x-avi-version", ""))
        fixed = self.boot.paths.get("/".join(segments[1:]))
        if fixed is not None and method == "GET":
            return 200, orjson.dumps(fixed(request))
        rest_type = segments[1]
        if rest_type not in self.schema.roots or len(segments) > 3:
            raise ApiError(404, f"Not found: /{'/'.join(segments)}")
        tenant = self.scopes.tenant(
            request.headers.get("x-avi-tenant", ""), request.headers.get("x-avi-tenant-uuid", "")
        )
        if len(segments) == 2:
            return self._collection(method, rest_type, tenant, request, body)
        return self._object(method, rest_type, segments[2], tenant, request, body)

    def _collection(
        self, method: str, rest_type: str, tenant: str, request: Request, body: Any
    ) -> tuple[int, bytes | Response]:
        if method == "GET":
            return 200, self.reader.page(rest_type, tenant, request.query)
        if method == "POST":
            record = self.writer.create(rest_type, body, tenant)
            return 201, self.reader.show(record, request.query)
        raise ApiError(405, f'Method "{method}" not allowed.')

    def _object(
        self, method: str, rest_type: str, uuid: str, tenant: str, request: Request, body: Any
    ) -> tuple[int, bytes | Response]:
        if method == "GET":
            return 200, self.reader.get(rest_type, uuid, tenant, request.query)
        if method == "DELETE":
            self.writer.delete(rest_type, uuid, tenant)
            return 204, b""
        if method in {"PUT", "PATCH"}:
            write = self.writer.update if method == "PUT" else self.writer.patch
            return 200, self.reader.show(write(rest_type, uuid, body, tenant), request.query)
        raise ApiError(405, f'Method "{method}" not allowed.')


def _check_version(text: str) -> None:
    """Raises ApiError 400 for an API version that is none, or newer than the controller."""
    if not text:
        return
    if not _VERSION_TEXT.fullmatch(text):
        raise ApiError(400, f"X-Avi-Version: {text!r} is not a version")
    if [int(part) for part in text.split(".")] > [int(part) for part in VERSION.split(".")]:
        raise ApiError(400, f"API version {text} is not supported, the controller runs {VERSION}")


def _full_path(segments: list[str], request: Request) -> str:
    """Path and query as the log shows them: single slashes, a trailing one kept, parameters sorted."""
    path = "/" + "/".join(segments) + ("/" if request.path.endswith("/") and segments else "")
    if not request.query:
        return path
    pairs = sorted((key, value) for key, values in request.query.items() for value in values)
    return f"{path}?{urlencode(pairs)}"
