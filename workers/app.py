"""The worker process: its parts as its settings are now, hung into Celery.

The parts (claims, controller session, model settings) are built together from one reading of the settings and replaced
together when a reading brings others: runs under way end with what they began with, new ones take the new parts. The
new settings' epoch marks every key, so nothing stays as the old settings had it. While the settings are not usable
there are no parts: nothing is claimed, and a run under way starts no further write.

What Celery itself was built with (Redis, the number of threads) stays until the process is started again.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_shutdown, worker_shutting_down

from shared.celeryapp import TASK, publish
from shared.errors import SettingsError, StateUnavailable
from shared.kube import KubeClient
from shared.settings.follow import Follower, Reading
from workers.assembly import Worker, build
from workers.keeper import Publish
from workers.wakeup import WakeUp

log = logging.getLogger(__name__)

LEAVE_SECONDS = 8.0  # how long runs may go on after SIGTERM before their claims are handed back
SHOWN_KEYS = 10  # of a task, in Flower


class Process:
    """The parts of this process, None while there are no usable settings. May be used from any thread."""

    def __init__(self, kube: KubeClient, publish: Publish) -> None:
        self._kube = kube
        self._publish = publish
        self._reading = Reading()
        self._worker: Worker | None = None
        self._problems: list[str] = []
        self._changing = threading.Lock()

    def use(self, reading: Reading) -> None:
        """Goes on with the settings and credentials of a reading, or with none."""
        with self._changing:
            old, before = self._worker, self._reading.settings
            self._worker, self._problems = self._build(reading)
            self._reading = reading
            if old is not None:
                old.retire(abandon=self._worker is None)
            if self._worker is not None and before is not None and reading.settings is not None:
                self._say_what_stays(before.pipeline.concurrency, reading.settings.pipeline.concurrency)
                if before.pipeline.resync_interval != reading.settings.pipeline.resync_interval:
                    self._bring_census_forward(self._worker)

    def run(self, keys: list[str], wake: str, ended: list[str]) -> bool:
        """Takes a wake-up: looks at `keys`, then at whatever is ready. True when more is ready.

        `ended` is told each key with how its run ended.
        """
        worker = self._worker
        if worker is None:
            return False  # the keys stay marked, and the next tick of a usable worker wakes one for them
        worker.reconciler.work.woken(wake)
        return worker.reconciler.run(keys, ended)

    def leave(self) -> None:
        """Begins to end: claims nothing more and hands back what is not finished in time. Returns at once."""
        worker = self._worker
        if worker is not None:
            threading.Thread(target=worker.keeper.leave, args=(LEAVE_SECONDS,), name="leaving", daemon=True).start()

    def stop(self) -> None:
        """Gives up the parts; the process is about to end."""
        with self._changing:
            worker, self._worker = self._worker, None
            if worker is not None:
                worker.stop()

    def status(self) -> dict[str, Any]:
        """What this worker is doing, for /healthz and /readyz."""
        worker = self._worker
        if worker is None:
            return {"alive": True, "ready": False, "reasons": list(self._problems)}
        return worker.keeper.status()

    def _build(self, reading: Reading) -> tuple[Worker | None, list[str]]:
        if reading.settings is None or reading.credentials is None:
            return None, []  # whoever reads the settings says what is wrong with them
        try:
            worker = build(reading.settings, reading.credentials, self._kube, self._publish)
        except SettingsError as error:
            problems = [f"{place}: {text}" for place, text in error.problems]
            for problem in problems:
                log.error("%s", problem)  # noqa: TRY400 - the sentence says it all
            return None, problems
        worker.keeper.start()
        return worker, []

    def _say_what_stays(self, before: int, now: int) -> None:
        if before != now:
            log.warning(
                "pipeline.concurrency is %d from the next start of this process; until then it is %d", now, before
            )

    def _bring_census_forward(self, worker: Worker) -> None:
        """The next census still waits for the old interval: it is run now and then waits for the new one."""
        try:
            worker.reconciler.work.mark(["resync"], "wake", "the resync interval has changed")
        except StateUnavailable as error:
            log.warning("the new resync interval counts from the next census on: %s", error)


def hang_in(app: Celery, process: Process, follower: Follower) -> None:
    """Registers the task and ties the parts to the start and the end of Celery's worker."""

    def start(**_: Any) -> None:
        try:
            follower.subscribe(process.use)
        except Exception as error:
            # Celery would log an exception of a signal handler and go on with a worker that can do nothing.
            log.exception("this worker cannot start")
            raise SystemExit(1) from error

    def stop(**_: Any) -> None:
        follower.stop()
        process.stop()

    worker_init.connect(start, weak=False)
    worker_shutdown.connect(stop, weak=False)
    worker_shutting_down.connect(lambda **_: process.leave(), weak=False)

    @app.task(name=TASK)
    def reconcile(**arguments: Any) -> str:
        """A wake-up: `keys`, `cause`, `wake`. `cause`, and what comes back, are for the reader of Flower."""
        woken = WakeUp.read(arguments)
        ended: list[str] = []
        try:
            if process.run(woken.keys, woken.wake, ended):
                publish(app, [], f"more is ready (after: {woken.cause})"[:200], woken.wake)
        except StateUnavailable as error:
            log.warning("woken for %s, but %s", ", ".join(woken.keys), error.message)
        return _in_short(ended)


def _in_short(ended: list[str]) -> str:
    """The first keys with their outcomes, and how many more there were."""
    more = f" and {len(ended) - SHOWN_KEYS} more" if len(ended) > SHOWN_KEYS else ""
    return (", ".join(ended[:SHOWN_KEYS]) or "nothing was ready") + more
