"""The log of every call, and faults to be met by calls: what tests use to watch and to trouble a client.

Bodies are not logged: they may hold Secrets.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from simulator.kube.errors import ApiError
from simulator.server import RESET, Answer, Headers, Request, Response

KEPT_CALLS = 200_000
ACTIONS = ("status", "timeout", "reset")


@dataclass(slots=True)
class Call:
    """One call of the API. `status` is None while it is unanswered and 0 when it got a reset instead."""

    n: int
    method: str
    path: str
    agent: str
    started: float
    status: int | None = None
    ms: float = 0.0
    error: str = ""

    def shown(self) -> dict[str, Any]:
        """The entry as JSON."""
        out = {"n": self.n, "method": self.method, "path": self.path, "status": self.status, "ms": round(self.ms, 3)}
        out |= {"t": self.started, "agent": self.agent}
        return {**out, "error": self.error} if self.error else out


class Audit:
    """The calls since the start or the last clearing, numbered from 1 over the whole life of the process."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT_CALLS)
        self._last = 0

    def begin(self, request: Request) -> Call:
        """Notes a call as it arrives."""
        self._last += 1
        path = f"{request.path}?{urlencode(request.query, doseq=True)}" if request.query else request.path
        call = Call(self._last, request.method, path, request.headers.get("user-agent", ""), time.time())
        self._calls.append(call)
        return call

    def end(self, call: Call, answer: Answer) -> None:
        """Notes how a call was answered; a watch is answered when it is open."""
        call.ms = (time.time() - call.started) * 1000
        call.status = 0 if answer is RESET else answer.status  # type: ignore[union-attr]

    def shown(self, since: int) -> list[dict[str, Any]]:
        """The calls with a number above `since`."""
        return [call.shown() for call in self._calls if call.n > since]

    def clear(self) -> None:
        """Forgets the calls; the numbers go on."""
        self._calls.clear()


@dataclass(slots=True)
class Fault:
    """What happens to the next `count` calls (-1: all) that match, after `skip` matching ones went through."""

    id: int
    method: str
    path: re.Pattern[str]
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
        when = "after" if self.after else "before"
        out = {"id": self.id, "method": self.method, "path": self.path.pattern, "count": self.count, "skip": self.skip}
        return {**out, "action": self.action, "when": when, "hits": self.hits}

    async def strike(self) -> Answer | None:
        """What the client gets because of the fault; None: the call goes on as if nothing had been."""
        if self.action == "reset":
            return RESET
        if self.action == "status":
            return Response(self.status, self.body, self.headers)
        await asyncio.sleep(self.seconds)
        return None


class Faults:
    """The faults that wait for calls, in the order they were made: the first one that matches is used."""

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
        when = spec["reset"] if isinstance(spec.get("reset"), str) else spec.get("when", "before")
        if when not in {"before", "after"}:
            raise ValueError("when: before or after the effect of the call")
        status = int(spec.get("status", 0))
        message = str(spec.get("message", "made by the simulator"))
        body = ApiError(status, message, reason=str(spec.get("reason", ""))).status()
        self._last += 1
        fault = Fault(
            id=self._last,
            method=str(spec.get("method", "*")).upper(),
            path=re.compile(str(spec.get("path", ""))),
            count=int(spec.get("count", 1)),
            skip=int(spec.get("skip", 0)),
            action=action,
            after=when == "after",
            status=status,
            body=orjson.dumps(spec.get("body", body)),
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
