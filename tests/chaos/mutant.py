"""Runs tests with one part of the program taken out, each in a process of its own.

    python -m tests.chaos.mutant [NAME,TEST...] ...

NAME is that of a mutant, the program without one of the things that its guarantees rest on, or `-` for the program as
it is. Each is a small function that takes the thing out before pytest begins. Printed are the exit codes of pytest
(1: a test has failed) in the order of the arguments. A test that waits in vain for what the mutant cannot do gives up
after two seconds instead of ten. The processes are forked, since importing everything takes longer than the tests.
"""

from __future__ import annotations

import hashlib
import http.client
import math
import sys
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

import pytest

from shared.avi import transport
from shared.kube.stream import WatchStream
from shared.state import Work, connection
from tests import support
from tests.chaos.catalogue import scenarios
from watcher import reflector
from workers import handlers
from workers.plan import _Planner

AT_A_TIME = 4


def no_tick() -> None:
    """Nothing notices claims that have ended and delays that are over."""
    Work.tick = lambda self: None  # type: ignore[method-assign]


def no_generation() -> None:
    """A key that is marked while it runs is done when the run is."""
    source = connection._source

    def script(name: str) -> tuple[str, str]:
        text, digest = source(name)
        if name != "finish":
            return text, digest
        assert "if again then" in text
        text = text.replace("if again then", "if false then")
        return text, hashlib.sha1(text.encode()).hexdigest()

    connection._source = script  # type: ignore[assignment]


def no_second_try() -> None:
    """A write of a shared list that meets somebody else's is not tried again."""
    handlers.SHARED_TRIES = 1


def no_guard() -> None:
    """A list that lacks everything is believed."""
    reflector.mass = lambda missing, known: False  # type: ignore[attr-defined]


def no_deadline() -> None:
    """An answer of the controller may take as long as it likes."""
    transport._TimedResponse.__init__ = http.client.HTTPResponse.__init__  # type: ignore[method-assign]


def no_silence() -> None:
    """A watch that says nothing is alive for ever."""
    begin = WatchStream.__init__

    def patient(self: WatchStream, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **{**kwargs, "silence": math.inf})

    WatchStream.__init__ = patient  # type: ignore[method-assign]


def no_backoff() -> None:
    """Whatever fails is tried again at once, for ever."""
    reflector.backoff = lambda failures, draw: reflector.SHORTEST_DELAY


def deletes_first() -> None:
    """A plan deletes before it has taken the references away."""
    write = _Planner.write

    def hasty(self: _Planner) -> None:
        self.remove()
        write(self)

    _Planner.write = hasty  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    "tick": no_tick,
    "generation": no_generation,
    "second-try": no_second_try,
    "guard": no_guard,
    "deadline": no_deadline,
    "silence": no_silence,
    "backoff": no_backoff,
    "deletes-last": deletes_first,
}


def run(job: str) -> int:
    """Takes one thing out of this process and runs the tests; the exit code of pytest."""
    name, *tests = job.split(",")
    limits = []
    if name != "-":
        MUTANTS[name]()
        assert support.wait_for.__kwdefaults__ is not None
        support.wait_for.__kwdefaults__["seconds"] = 2.0
        limits = ["--timeout=4", "--timeout-method=signal"]  # without its time limits the program waits for ever
    return int(pytest.main([*tests, "-x", "-p", "no:cacheprovider", *limits]))


def main(jobs: list[str]) -> None:
    """Runs the jobs, a few at a time since they mostly wait, and prints their exit codes."""
    scenarios()  # imports nearly everything, once for all the processes
    with get_context("fork").Pool(AT_A_TIME, maxtasksperchild=1) as pool:
        codes = pool.map(run, jobs, chunksize=1)
    print("codes", *codes)


if __name__ == "__main__":
    main(sys.argv[1:])
