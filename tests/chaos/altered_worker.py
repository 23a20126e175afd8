"""A worker with one thing wrong with it, as a process of its own: `python -m tests.chaos.altered_worker WHAT [...]`.

`no-tick`                the worker never ticks: nothing notices ended claims and lost messages
`clock`                  the wall clock of the process jumps by ten minutes, forth and back, every half second
`freeze POINT=KEY...`    once every one of these keys is being run and its first call of POINT is about to be made, the
                         whole process stops itself (SIGSTOP), as if its machine had been suspended: the keys are in
                         the hands of a worker that neither works nor knows that it does not. POINT is a method of the
                         controller's client: `get` (an update's or a delete's reading), `create`, `update`, `delete`

`READY_FILE` in the environment names the file for its address. Importing this module alters nothing and imports
nothing of the program, which must see the altered clock.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

JUMP = 600.0  # seconds
EVERY = 0.5


def without_tick() -> None:
    """Takes the tick away."""
    from shared.state import Work

    Work.tick = lambda self: None  # type: ignore[method-assign]


def jumping_clock() -> None:
    """Lets `time.time` jump: right, ten minutes ahead, right, ten minutes behind, a half second each."""
    right, right_ns = time.time, time.time_ns

    def jump() -> float:
        return (0.0, JUMP, 0.0, -JUMP)[int(time.monotonic() / EVERY) % 4]

    time.time = lambda: right() + jump()
    time.time_ns = lambda: right_ns() + int(jump() * 1e9)


def freezing(places: list[str]) -> None:
    """Stops the process when the runs of all keys have come to their points, once."""
    from shared.avi.client import AviClient
    from shared.state import Work

    running = threading.local()
    waiting = set(places)
    all_there = threading.Barrier(len(places), timeout=60)
    claim_of_work = Work.claim

    def claim(self: Work, keys: Sequence[str] = ()) -> Any:
        taken = claim_of_work(self, keys)
        running.key = None if taken is None else taken.key
        return taken

    def freezes_at(point: str) -> Callable[..., Any]:
        call = getattr(AviClient, point)

        def frozen(self: AviClient, *args: Any, **kwargs: Any) -> Any:
            place = f"{point}={running.key}"
            if place in waiting:
                waiting.discard(place)
                if all_there.wait() == 0:
                    os.kill(os.getpid(), signal.SIGSTOP)
                all_there.wait()  # nobody calls before all have been stopped
            return call(self, *args, **kwargs)

        return frozen

    Work.claim = claim  # type: ignore[method-assign]
    for point in {place.partition("=")[0] for place in places}:
        setattr(AviClient, point, freezes_at(point))


ALTERATIONS: dict[str, Callable[[], None]] = {"no-tick": without_tick, "clock": jumping_clock}


def main(arguments: list[str]) -> int:
    """Alters what it is told to, then is a worker like any other."""
    what, *more = arguments
    if what == "freeze":
        freezing(more)
    else:
        ALTERATIONS[what]()
    from cli.main import main as run

    return run(["worker", "--concurrency", "8", "--health-port", "0", "--ready-file", os.environ["READY_FILE"]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
