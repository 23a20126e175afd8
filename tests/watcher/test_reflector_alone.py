"""A reflector by itself, on a clock of its own: how it takes a batch apart, how often it asks a server that fails."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from shared.errors import KubeError, KubeGone, KubeUnreachable
from shared.kinds import Kind
from shared.kube import ListPage
from shared.telemetry import REGISTRY
from tests.watcher.world import NODE
from watcher.reflector import Reflector, backoff


def restarts(reason: str) -> float:
    return REGISTRY.get_sample_value("ako_watch_restarts_total", {"kind": "Node", "reason": reason}) or 0.0


def lists_read() -> float:
    return REGISTRY.get_sample_value("ako_watch_lists_total", {"kind": "Node"}) or 0.0


class Alone:
    """A reflector on a clock of its own, against an API whose every answer is an error or an empty watch."""

    def __init__(self, kind: Kind, answers: Any, seed: int = 1) -> None:
        self.now = 0.0
        self.attempts: list[float] = []
        self.answers = answers
        self.applied: list[tuple[list[str], list[str]]] = []
        self.over = NeverOver()
        self.reflector = Reflector(
            kind,
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            clock=lambda: self.now,
            sleep=self.sleep,
            draw=random.Random(seed).random,
        )

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def _answer(self, what: str) -> Any:
        self.attempts.append(self.now)
        error = self.answers.get(what)
        if error is not None:
            raise error
        return None

    def pages(self, path: str, **options: Any) -> list[ListPage]:
        self._answer("list")
        return [ListPage([], "1")]

    def watch(self, path: str, version: str, **options: Any) -> Any:
        return self._answer("watch")

    def ids(self, kind: str) -> set[str]:
        return set()

    def listed(self, kind: str) -> None:
        pass

    def apply(self, kind: str, changed: Any, deleted: Any) -> None:
        if changed or deleted:
            self.applied.append(([projection.id for projection in changed], list(deleted)))


class NeverOver:
    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> bool:
        return False


def test_a_batch_keeps_the_last_state() -> None:
    """Of several events of one object in a batch only the last counts, also when it was deleted or came back."""
    one = Alone(NODE, [])
    events = [("ADDED", "n1", "1"), ("MODIFIED", "n1", "2"), ("DELETED", "n1", "3")]
    events += [("DELETED", "n2", "4"), ("ADDED", "n2", "5"), ("BOOKMARK", "", "9"), ("ADDED", "n3", "10")]
    one.reflector._take(
        [{"type": what, "object": {"metadata": {"name": name, "resourceVersion": rv}}} for what, name, rv in events]
    )
    assert one.applied == [(["n2", "n3"], ["n1"])]
    assert one.reflector._version == "9"
    assert one.reflector._applied == {"10"}


def test_a_bookmark_amid_a_replay() -> None:
    """A bookmark that comes while known events are being repeated forgets only those repeated before it."""
    one = Alone(NODE, [])
    take = one.reflector._take

    def event(what: str, number: int) -> dict[str, Any]:
        return {"type": what, "object": {"metadata": {"name": f"n{number}", "resourceVersion": str(number)}}}

    take([event("ADDED", 1), event("ADDED", 2), event("ADDED", 3)])
    one.reflector._passed.clear()  # a new watch
    take([event("BOOKMARK", 0), event("ADDED", 1), event("BOOKMARK", 1)])
    one.reflector._passed.clear()  # and another
    take([event("ADDED", 2), event("ADDED", 3), event("ADDED", 4)])
    assert one.applied == [(["n1", "n2", "n3"], []), (["n4"], [])]


@pytest.mark.parametrize("where", ["list", "watch"])
def test_503s_are_not_hammered(where: str) -> None:
    """Whatever the dice say, a server that answers 503 is asked at most ten times in ten seconds, and not given up."""
    error: KubeError = KubeUnreachable("down", status=503)
    for seed in range(200):
        alone = Alone(NODE, {where: error}, seed)
        alone.reflector.run(_rounds=40)
        tries = alone.attempts[1:] if where == "watch" else alone.attempts  # its first is the list
        assert len([at for at in tries if at < 10]) <= 10
        assert max(after - before for before, after in itertools.pairwise(tries)) <= 30


def test_410s_in_a_row_are_not_hammered() -> None:
    """The first 410 is followed by a list at once; a server that goes on saying 410 is asked ever less often."""
    alone = Alone(NODE, {"watch": KubeGone("old")})
    before = [restarts("KubeGone"), lists_read()]
    alone.reflector.run(_rounds=20)
    assert [restarts("KubeGone"), lists_read()] == [count + 20 for count in before]
    lists = alone.attempts[::2]
    assert lists[0] == lists[1] == 0.0
    assert len([at for at in lists if at < 10]) <= 10


def test_backoff_doubles_to_half_a_minute() -> None:
    """The ceiling of the wait doubles from 0.5 s and stays at 30 s; the dice choose below it."""
    assert [backoff(n, lambda: 1.0) for n in (1, 2, 3, 7, 50)] == [0.5, 1.0, 2.0, 30.0, 30.0]
    assert backoff(50, lambda: 0.5) == 15.0
