"""The switches under `/simulator/…`: not part of the API, without a token, never logged. Keep the port on localhost.

    GET    /simulator/audit?since=N  {"calls": [{n, method, path, status, ms, t, agent}…]}; DELETE clears
    POST   /simulator/faults         see below, answers {"id": …}; GET shows those that wait, DELETE clears them
    POST   /simulator/latency        {"ms": 20} for every call of the API; calls overlap
    POST   /simulator/load           objects as JSON (one, a list, a List) or YAML documents: created or replaced as
                                     given, status included, without validation -> {"created": n, "changed": n, …}
    GET    /simulator/watches        {"watches": [{path, silent, waiting}…]}
    POST   /simulator/watches        {"action": "close", "reset", "silence" or "resume", "path": regex}
    POST   /simulator/compact        forgets history and snapshots, as etcd does: resuming and continuing are 410; open
                                     watches end with the ERROR event 410, unless {"watches": false}
    POST   /simulator/deny           {"verbs": […], "group": "", "resource": "ingresses/status", "namespace": ""}, each
                                     optional, are answered 403; GET shows the rules, DELETE clears them
    POST   /simulator/token          {"token": "new"}: from now on only this one is accepted ("" accepts everybody)
    GET    /simulator/cpu            {"seconds": CPU used by this process so far}

A fault strikes the next `count` calls (default 1, -1: all) that match, after `skip` matching ones went through:

    {"method": "PATCH", "path": "/ingresses/.*/status", "count": 1, "skip": 0, "when": "before", <action>}

`path` is a regular expression on path and query (a watch has `watch=`). The action is one of `"status": 503` (with
`reason`, `message`, `headers` or a whole `body` if wanted), `"timeout": seconds` (holds the answer), `"reset": true`
(cuts the connection). `when` says whether it comes before (default) or after the effect of the call.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from simulator.kube.access import Access, denial
from simulator.kube.audit import Audit, Faults
from simulator.kube.errors import ApiError, expired
from simulator.kube.loading import Loader
from simulator.kube.reads import Reader
from simulator.kube.store import Store
from simulator.kube.watch import Hub
from simulator.server import Request, Response, json_response


class Control:
    """Routes the control calls."""

    def __init__(
        self, audit: Audit, faults: Faults, access: Access, store: Store, reader: Reader, hub: Hub, loader: Loader
    ) -> None:
        self._faults, self._access, self._store, self._reader, self._hub = faults, access, store, reader, hub
        self._routes: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("GET", "audit"): lambda request: {"calls": audit.shown(int(request.first("since", "0")))},
            ("DELETE", "audit"): lambda _: audit.clear(),
            ("GET", "faults"): lambda _: {"faults": faults.shown()},
            ("POST", "faults"): lambda request: faults.add(request.json()).shown(),
            ("DELETE", "faults"): lambda _: faults.clear(),
            ("POST", "latency"): self._set_latency,
            ("POST", "load"): lambda request: loader.load(request.body),
            ("GET", "watches"): lambda _: {"watches": hub.shown()},
            ("POST", "watches"): self._trouble_watches,
            ("POST", "compact"): self._compact,
            ("GET", "deny"): self._denials,
            ("POST", "deny"): self._deny,
            ("DELETE", "deny"): lambda _: access.denials.clear(),
            ("POST", "token"): self._set_token,
            ("GET", "cpu"): lambda _: {"seconds": time.process_time()},
        }

    def handle(self, request: Request, segments: list[str]) -> Response:
        """Answers a control call: 200 with JSON, 204 when there is nothing to say, 4xx with a sentence."""
        route = self._routes.get((request.method, "/".join(segments)))
        if route is None:
            return json_response({"error": f"no such switch: {request.method} {request.path}"}, 404)
        try:
            answer = route(request)
        except ApiError as error:
            return json_response({"error": error.message}, error.code)
        except (ValueError, KeyError, TypeError, AttributeError, re.error) as error:
            return json_response({"error": f"{type(error).__name__}: {error}"}, 400)
        return Response(204) if answer is None else json_response(answer)

    def _set_latency(self, request: Request) -> dict[str, Any]:
        self._faults.latency = float(request.json()["ms"]) / 1000
        return {"ms": self._faults.latency * 1000}

    def _set_token(self, request: Request) -> None:
        self._access.token = str(request.json()["token"])

    def _trouble_watches(self, request: Request) -> dict[str, Any]:
        spec = request.json()
        path, action = re.compile(str(spec.get("path", ""))), spec["action"]
        if action in {"close", "reset"}:
            return {"watches": self._hub.close(path, reset=action == "reset")}
        if action in {"silence", "resume"}:
            return {"watches": self._hub.silence(path, silent=action == "silence")}
        raise ValueError("action: close, reset, silence or resume")

    def _compact(self, request: Request) -> dict[str, Any]:
        self._store.compact()
        self._reader.forget_snapshots()
        if not request.body or request.json().get("watches", True):
            self._hub.fail(expired("The resourceVersion for the provided watch is too old."))
        return {"resourceVersion": str(self._store.version)}

    def _denials(self, _: Request) -> dict[str, Any]:
        return {"deny": [{**asdict(rule), "verbs": sorted(rule.verbs)} for rule in self._access.denials]}

    def _deny(self, request: Request) -> dict[str, Any]:
        self._access.denials.append(denial(request.json()))
        return self._denials(request)
