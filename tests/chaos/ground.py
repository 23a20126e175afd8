"""What several scenarios stand on: a Redis of their own, the switches of a simulator, and a watch on strangers."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from cli import redis_server
from cli.processes import Processes
from tests.chaos.figures import Figure
from tests.e2e.scene import Scene

FOREIGN = 200


@contextmanager
def own_redis(folder: Path) -> Iterator[str]:
    """The URL of a Redis server that ends with the block."""
    family = Processes(folder / "logs")
    try:
        yield redis_server.start_server(family, folder / "redis", dict(os.environ))[1]
    finally:
        family.stop()


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Keeps what these say of the trouble out of the table of figures."""
    before = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def switch(url: str, path: str, body: Any = None, *, method: str = "") -> Any:
    """Turns a switch of a simulator at `url`: a body makes it a POST, nothing a GET."""
    with requests.Session() as session:
        session.trust_env = False
        chosen = method or ("GET" if body is None else "POST")
        answer = session.request(chosen, f"{url}/simulator/{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that `share` (0 to 1) of them do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


class Strangers:
    """What on the controller is not ours, as it is when this is made; with the moment of its last write."""

    def __init__(self, scene: Scene, *, at_least: int = FOREIGN) -> None:
        self._scene = scene
        self._before = self._look()
        if len(self._before) < at_least:
            raise ValueError(f"only {len(self._before)} foreign objects are there to be left alone")

    def _look(self) -> dict[str, Any]:
        """By place: the whole object, or an entry of a list that we share."""
        found: dict[str, Any] = {}
        mine = f"{self._scene.cluster}--"
        for type_, objects in self._scene.stack.avi_control("dump?volatile=1").items():
            for name, obj in objects.items():
                if type_ == "vrfcontext":
                    found |= {
                        f"{type_}/{name}/{row['route_id']}": row
                        for row in obj.get("static_routes", [])
                        if not any(label.get("value") == self._scene.cluster for label in row.get("labels", []))
                    }
                elif type_ != "serviceenginegroup" and not name.startswith(mine):
                    found[f"{type_}/{name}"] = obj
        return found

    def touched(self) -> Figure:
        """How many of them were written, changed or taken away since."""
        now = self._look()
        return Figure(
            f"foreign objects touched, of {len(self._before)}",
            sum(now.get(place) != obj for place, obj in self._before.items()),
            "==",
            0,
        )
