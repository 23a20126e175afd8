"""Virtual time and one thing at a time: every program of the simulated site is a task, and the seed says who goes on.

A task runs until it asks for something outside of itself (Redis, the controller, Kubernetes, the clock). There it
pauses for a drawn, virtual while, and whoever is due next goes on. So the same seed gives the same run to the last
step, an hour costs seconds, and between any two calls of one task all others may have had their turn.

A task ends for good where it pauses once its process is dead: that is a SIGKILL at that call. A frozen process stands
still there (a suspended machine), a hung task alone does so while the rest of its process goes on.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

START = 1_800_000_000.0  # seconds; any will do


class Killed(BaseException):
    """The process of the task is dead; no `except` of the program may notice."""


class Process:
    """What lives and dies together. Times are virtual seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen_until = 0.0
        self.no_redis_until = 0.0


class Scheduler:
    """The clock and the queue of the tasks. `trace` gets a line for each step when it is given."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self.draw = random.Random(seed)
        self.now = START
        self.steps = 0
        self.trace = trace
        self.after_step: Callable[[], None] = lambda: None
        self._queue: list[tuple[float, int, greenlet, Process | None]] = []
        self._number = 0
        self._processes: dict[greenlet, Process | None] = {}
        self._hub = getcurrent()

    def spawn(self, process: Process | None, function: Callable[[], Any], after: float = 0.0) -> None:
        """Begins a task of a process (None: of nobody, it can't be killed)."""

        def run() -> None:
            try:
                if process is None or not process.dead:
                    function()
            except Killed:
                pass
            finally:
                self._processes.pop(getcurrent(), None)

        task = greenlet(run, parent=self._hub)
        self._processes[task] = process
        self._put(self.now + after, task)

    def pause(self, shortest: float, longest: float) -> None:
        """The calling task lets others go on for a drawn while. Raises Killed. Outside of a task nothing happens."""
        task = getcurrent()
        if task not in self._processes:
            return
        process = self._processes[task]
        if process is not None and process.dead:
            raise Killed
        self._put(self.now + self.draw.uniform(shortest, longest), task)
        self._hub.switch()
        if process is not None and process.dead:
            raise Killed

    def time(self) -> float:
        """As `time.time` and `time.monotonic`."""
        return self.now

    def time_ns(self) -> int:
        """As `time.time_ns`."""
        return int(self.now * 1e9)

    def sleep(self, seconds: float) -> None:
        """As `time.sleep`, in virtual time."""
        self.pause(seconds, seconds)

    def say(self, text: str) -> None:
        """A line of the trace."""
        if self.trace is not None:
            self.trace(f"{self.now - START:9.3f} {text}")

    def run(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Goes on for some virtual seconds or until `done`, which is asked once a second; True when it was done."""
        end, look = self.now + seconds, self.now
        while self._queue and self._queue[0][0] <= end:
            if self._queue[0][0] >= look:
                look = self._queue[0][0] + 1.0
                if done():
                    return True
            at, _, task, process = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            if process is not None and not process.dead and process.frozen_until > self.now:
                self._put(process.frozen_until, task)
                continue
            self.steps += 1
            task.switch()
            self.after_step()
        self.now = max(self.now, end)
        return done()

    def _put(self, at: float, task: greenlet) -> None:
        self._number += 1
        heapq.heappush(self._queue, (at, self._number, task, self._processes[task]))


class VirtualEvent:
    """As `threading.Event`, waiting in virtual time."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._set = False

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float) -> bool:
        end = self._scheduler.now + timeout
        while not self._set and self._scheduler.now < end:
            self._scheduler.sleep(min(1.0, end - self._scheduler.now))
        return self._set
