"""The log of every call, faults to be met by calls, and latency: what tests use to watch and to trouble a client."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson

from simulator.avi.certificates import MASKED, SECRETS
from simulator.avi.sessions import Sessions
from simulator.server import RESET, Answer, Headers, Request, Response

KEPT_CALLS = 50_000
_VSVIP = re.compile(r"/api/vsvip(/|\?|$)")
ACTIONS = ("status", "timeout", "reset", "expire")


@dataclass(slots=True)
class Call:
    """One call of the API. `status` is None while it runs and 0 when the connection was reset instead of an answer.

    `vip` is what a write of a vsvip was answered: the addresses that the controller gave.
    """

    n: int
    method: str
    path: str
    tenant: str
    version: str
    status: int | None = None
    ms: float = 0.0
    name: str = ""
    error: str = ""
    body: Any = None
    vip: Any = None
    started: float = field(default=0.0, repr=False)

    def shown(self) -> dict[str, Any]:
        """The entry as JSON."""
        out = {"n": self.n, "method": self.method, "path": self.path, "status": self.status, "ms": round(self.ms, 3)}
        out |= {"tenant": self.tenant, "version": self.version, "t": self.started}
        out |= {key: value for key in ("name", "error", "body", "vip") if (value := getattr(self, key))}
        return out


class Audit:
    """The calls since the start or the last clearing, numbered from 1 over the whole life of the process."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT_CALLS)
        self._last = 0

    def begin(self, request: Request, path: str) -> Call:
        """Notes a call as it arrives."""
        self._last += 1
        headers = request.headers
        tenant = headers.get("x-avi-tenant") or headers.get("x-avi-tenant-uuid") or "admin"
        call = Call(self._last, request.method, path, tenant, headers.get("x-avi-version", ""))
        call.started = time.time()
        self._calls.append(call)
        return call

    def end(self, call: Call, answer: Answer) -> None:
        """Notes how a call was answered."""
        call.ms = (time.time() - call.started) * 1000
        call.status = answer.status if isinstance(answer, Response) else 0
        if call.status >= 400 and isinstance(answer, Response):
            call.error = _sentence(answer.body)
        elif call.method in {"POST", "PUT", "PATCH"} and _VSVIP.match(call.path) and isinstance(answer, Response):
            call.vip = orjson.loads(answer.body).get("vip")

    def shown(self, since: int) -> list[dict[str, Any]]:
        """The calls with a number above `since`."""
        return [call.shown() for call in self._calls if call.n > since]

    def clear(self) -> None:
        """Forgets the calls; the numbers go on."""
        self._calls.clear()


def masked(body: Any) -> Any:
    """The body as the log may show it."""
    if isinstance(body, dict) and any(name in body for name in SECRETS):
        return body | {name: MASKED for name in SECRETS if name in body}
    if isinstance(body, dict) and body.keys() & {"add", "replace", "delete"}:
        return {how: masked(part) for how, part in body.items()}
    return body


def _sentence(body: bytes) -> str:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body[:200].decode("utf-8", "replace")
    return str(said.get("error", "")) if isinstance(said, dict) else ""


@dataclass(slots=True)
class Fault:
    """What happens to the next `count` calls (-1: all) that match, after `skip` matching ones went through."""

    id: int
    method: str
    path: re.Pattern[str]
    name: re.Pattern[str]
    count: int
    skip: int
    action: str
    after: bool
    status: int = 500
    body: bytes = b""
    headers: Headers = field(default_factory=dict)
    seconds: float = 0.0
    hits: int = 0

    def shown(self) -> dict[str, Any]:
        """The fault as JSON."""
        return {
            "id": self.id,
            "method": self.method,
            "path": self.path.pattern,
            "name": self.name.pattern,
            "count": self.count,
            "skip": self.skip,
            "action": self.action,
            "when": "after" if self.after else "before",
            "hits": self.hits,
        }


class Faults:
    """The faults that wait for calls. The first one that matches is used."""

    def __init__(self) -> None:
        self.latency = 0.0  # seconds per call
        self._waiting: list[Fault] = []
        self._last = 0

    def add(self, spec: dict[str, Any]) -> Fault:
        """A fault as described in `control`. Raises ValueError with a sentence."""
        actions = [action for action in ACTIONS if action in spec]
        if len(actions) != 1:
            raise ValueError(f"a fault has exactly one of {', '.join(ACTIONS)}")
        action = actions[0]
        default = "after" if action == "timeout" else "before"
        when = spec["reset"] if isinstance(spec.get("reset"), str) else spec.get("when", default)
        if when not in {"before", "after"}:
            raise ValueError("when: before or after the effect of the call")
        body = spec.get("body", {"error": "made by the simulator"})
        self._last += 1
        fault = Fault(
            id=self._last,
            method=str(spec.get("method", "*")).upper(),
            path=re.compile(str(spec.get("path", ""))),
            name=re.compile(str(spec.get("name", ""))),
            count=int(spec.get("count", 1)),
            skip=int(spec.get("skip", 0)),
            action=action,
            after=when == "after",
            status=int(spec.get("status", 0)),
            body=body.encode() if isinstance(body, str) else orjson.dumps(body),
            headers={str(name).lower(): str(value) for name, value in spec.get("headers", {}).items()},
            seconds=float(spec.get("timeout", 0)),
        )
        self._waiting.append(fault)
        return fault

    def take(self, call: Call) -> Fault | None:
        """The fault that this call meets, used up by one."""
        for fault in self._waiting:
            if fault.method not in {"*", call.method} or not fault.path.search(call.path):
                continue
            if fault.name.pattern and not fault.name.search(call.name):
                continue
            fault.hits += 1
            if fault.hits <= fault.skip:
                continue
            if 0 <= fault.count <= fault.hits - fault.skip:
                self._waiting.remove(fault)
            return fault
        return None

    def shown(self) -> list[dict[str, Any]]:
        """The faults that still wait."""
        return [fault.shown() for fault in self._waiting]

    def clear(self) -> None:
        """No more faults; the latency stays."""
        self._waiting.clear()


async def strike(fault: Fault, sessions: Sessions) -> Answer | None:
    """What the client gets because of the fault; None: the call goes on as if nothing had been."""
    if fault.action == "reset":
        return RESET
    if fault.action == "status":
        return Response(fault.status, fault.body, fault.headers)
    if fault.action == "expire":
        sessions.expire()
    else:
        await asyncio.sleep(fault.seconds)
    return None
