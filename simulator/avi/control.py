"""The switches under `/simulator/…`: not part of the API, without login, never logged. Keep the port on localhost.

    GET    /simulator/audit?since=N  {"calls": [{n, method, path, status, tenant, ms, name, body…}]}; DELETE clears
    POST   /simulator/faults         see below, answers {"id": …}; GET shows those that wait, DELETE clears them
    POST   /simulator/latency        {"ms": 20} for every call of the API; calls overlap
    GET    /simulator/dump           {type: {name: body}} with references as type/name; ?type=a,b only these types,
                                     ?volatile=1 with uuid, url and _last_modified
    POST   /simulator/load           the form of the dump -> {"uuids": {"type/name": uuid}}; ?foreign=N instead of a
                                     body makes N objects of other owners
    POST   /simulator/license        {"tier": "ESSENTIALS"}
    POST   /simulator/password       {"password": "…"}: from now on this one, and all sessions end
    GET    /simulator/cpu            {"seconds": CPU used by this process so far}
    GET    /simulator/ready          {"ready": true}

A fault strikes the next `count` calls (default 1, -1: all) that match, after `skip` matching ones went through:

    {"method": "POST", "path": "/api/pool", "name": "web", "count": 1, "skip": 0, "when": "before", <action>}

`path` (with query) and `name` (of the object sent) are regular expressions. The action is one of `"status": 503` (with
`body` and `headers` if wanted), `"timeout": seconds` (holds the answer), `"reset": "before"` or `"after"` (cuts the
connection), `"expire": true` (ends all sessions). `when` says whether the action comes before or after the effect of
the call; default before, for a timeout after.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from simulator.avi.audit import Audit, Faults
from simulator.avi.errors import ApiError
from simulator.avi.foreign import foreign_objects
from simulator.avi.loading import Loader
from simulator.avi.sessions import Sessions
from simulator.avi.vips import Allocator
from simulator.server import Request, Response, json_response


class Control:
    """Routes the control calls."""

    def __init__(self, audit: Audit, faults: Faults, sessions: Sessions, allocator: Allocator, loader: Loader) -> None:
        self._audit, self._faults, self._sessions = audit, faults, sessions
        self._allocator, self._loader = allocator, loader
        self._routes: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("GET", "audit"): lambda request: {"calls": audit.shown(int(request.first("since", "0")))},
            ("DELETE", "audit"): lambda _: audit.clear(),
            ("GET", "faults"): lambda _: {"faults": faults.shown()},
            ("POST", "faults"): lambda request: faults.add(request.json()).shown(),
            ("DELETE", "faults"): lambda _: faults.clear(),
            ("POST", "latency"): self._set_latency,
            ("GET", "dump"): self._dump,
            ("POST", "load"): self._load,
            ("POST", "license"): self._set_license,
            ("POST", "password"): self._set_password,
            ("GET", "cpu"): lambda _: {"seconds": time.process_time()},
            ("GET", "ready"): lambda _: {"ready": True},
        }

    def handle(self, request: Request, segments: list[str]) -> Response:
        """Answers a control call: 200 with JSON, 204 when there is nothing to say, 400 or 404 with a sentence."""
        route = self._routes.get((request.method, "/".join(segments)))
        if route is None:
            return json_response({"error": f"no such switch: {request.method} {request.path}"}, 404)
        try:
            answer = route(request)
        except ApiError as error:
            return json_response({"error": error.text}, error.status)
        except (ValueError, KeyError, TypeError, AttributeError, re.error) as error:
            return json_response({"error": f"{type(error).__name__}: {error}"}, 400)
        return Response(204) if answer is None else json_response(answer)

    def _set_latency(self, request: Request) -> dict[str, Any]:
        self._faults.latency = float(request.json()["ms"]) / 1000
        return {"ms": self._faults.latency * 1000}

    def _set_password(self, request: Request) -> None:
        self._sessions.change_password(str(request.json()["password"]))

    def _set_license(self, request: Request) -> dict[str, Any]:
        self._allocator.license_tier = str(request.json()["tier"])
        return {"tier": self._allocator.license_tier}

    def _dump(self, request: Request) -> dict[str, Any]:
        types = {name for name in request.first("type").split(",") if name}
        return self._loader.dump(types, volatile="volatile" in request.query)

    def _load(self, request: Request) -> dict[str, Any]:
        foreign = request.first("foreign")
        return {"uuids": self._loader.load(foreign_objects(int(foreign)) if foreign else request.json())}
