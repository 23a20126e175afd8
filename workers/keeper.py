"""The keeper: one thread per worker process that renews leases, ticks, and tells that the process is alive.

A claim is renewed only while its run reports progress: a thread that hangs for `HUNG_AFTER` seconds loses its claim,
and another worker takes the key over. The keeper never works on keys itself, so that it is never late. A keeper that
retires takes no new claims and goes on renewing those it has until their runs have ended.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from shared import telemetry
from shared.errors import StateUnavailable
from shared.state import Claim, Work

log = logging.getLogger(__name__)

HUNG_AFTER = 120.0
TICK_SECONDS = 0.4
ANNOUNCE_SECONDS = 5.0
STUCK_AFTER = 60.0  # seconds without a round of the loop after which the process is not alive

# Sends a wake-up message: keys, cause, wake id.
Publish = Callable[[list[str], str, str], None]


class Keeper:
    """Holds the claims of this process. `slots`: how many keys it can work on at a time."""

    def __init__(self, work: Work, publish: Publish, *, slots: int) -> None:
        self.work = work
        self.publish = publish
        self.slots = slots
        self._claims: dict[str, Claim] = {}
        self._lock = threading.Lock()
        self.retired = False
        self._odd_digest = ""
        self._outage = ""
        self._refused = ""
        self._round = time.monotonic()
        self._idle = threading.Condition(self._lock)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Starts the thread; the first announcement is made before it returns, if Redis answers."""
        self._announce()
        self._thread.start()

    def stop(self) -> None:
        """Stops renewing and takes the process off the list of workers."""
        self._stop.set()
        self._thread.join(timeout=5)
        with contextlib.suppress(StateUnavailable):
            self.work.withdraw()

    def retire(self, *, abandon: bool) -> None:
        """Ends when the runs under way have ended; meanwhile nothing new is claimed.

        With `abandon` no run under way starts another write to the controller.
        """
        self.retired = True
        with self._idle:
            if abandon:
                for claim in self._claims.values():
                    claim.given_up = True
            self._idle.wait_for(lambda: not self._claims)
        self.stop()

    def leave(self, seconds: float) -> None:
        """Claims nothing more; what still runs after `seconds` is handed back, so that others take it at once."""
        self.retired = True
        if self._stop.wait(seconds):
            return  # all runs ended in time
        with self._lock:
            left = list(self._claims.values())
        try:
            for key in self.work.release(left):
                log.warning("%s is handed back unfinished, since this worker ends", key)
                telemetry.handed_back()
        except StateUnavailable as error:
            log.warning("%d keys are not handed back, their leases end: %s", len(left), error)

    def status(self) -> dict[str, Any]:
        """What this worker is doing: `alive`, `ready`, `reasons`, its name, its settings' digest, the keys it holds.

        `alone`: those of them that run alone, since they lost their lease three times.
        """
        reasons = [self._outage] if self._outage else []
        if self._refused:
            reasons.append(self._refused)
        if self._odd_digest:
            reasons.append(_other_settings(self._odd_digest, self.work.digest))
        with self._lock:
            held = sorted(self._claims)
            alone = sorted(key for key, claim in self._claims.items() if claim.alone)
        alive = time.monotonic() - self._round < STUCK_AFTER
        return {
            "alive": alive,
            "ready": alive and not reasons,
            "reasons": reasons,
            "worker": self.work.worker,
            "digest": self.work.digest,
            "held": held,
            "alone": alone,
        }

    @contextlib.contextmanager
    def holding(self, claim: Claim) -> Iterator[None]:
        """Renews the claim while the block runs."""
        with self._lock:
            self._claims[claim.key] = claim
        try:
            yield
        finally:
            with self._idle:
                self._claims.pop(claim.key, None)
                self._idle.notify_all()

    def _run(self) -> None:
        pause = min(TICK_SECONDS, self.work.lease_ttl / 6)
        renewed = announced = time.monotonic()
        while not self._stop.wait(pause):
            self._round = now = time.monotonic()
            try:
                if now - renewed >= self.work.lease_ttl / 3 - pause:
                    self._renew(now)
                    renewed = now
                if not self.retired:
                    if now - announced >= ANNOUNCE_SECONDS:
                        self._announce_and_compare()
                        announced = now
                    self._tick()
                self._say_outage(None)
            except StateUnavailable as error:
                self._say_outage(error)

    def _say_outage(self, error: StateUnavailable | None) -> None:
        """Says when Redis goes away and when it is back, not every time that it is asked meanwhile."""
        if error is not None and not self._outage:
            log.warning("leases are not renewed and no work is taken until Redis is back: %s", error)
        elif error is None and self._outage:
            log.warning("Redis is back")
        self._outage = "" if error is None else f"Redis cannot be used: {error}"

    def _renew(self, now: float) -> None:
        with self._lock:
            alive = [claim for claim in self._claims.values() if now - claim.progress < HUNG_AFTER]
        for claim in self.work.renew(alive):
            # A run that is being finished gives its claim back itself.
            if not claim.finishing and not claim.given_up:
                log.warning("the claim of %s is lost; its run writes nothing more", claim.key)
                claim.given_up = True

    def _tick(self) -> None:
        tick = self.work.tick()
        if tick is None:
            return
        telemetry.leases_lost(tick.ended)
        for start in range(tick.wakeups):
            wake = uuid.uuid4().hex[:8]
            self.work.waking(wake)
            self.publish(tick.keys[start :: tick.wakeups][:20], "ready since the last tick", wake)

    def _announce_and_compare(self) -> None:
        """Says once, not every time, that this worker gets no work because the watcher has other settings."""
        self.work.announce(self.slots)
        published, self._refused = self.work.published()
        if published not in {self.work.digest, self._odd_digest, ""}:
            log.warning("%s", _other_settings(published, self.work.digest))
        self._odd_digest = published if published != self.work.digest else ""

    def _announce(self) -> None:
        try:
            self._announce_and_compare()
        except StateUnavailable as error:
            log.warning("this worker could not announce itself: %s", error)


def _other_settings(published: str, own: str) -> str:
    return (
        f"the watcher published settings {published}, this worker has {own} and gets no work until both read the same "
        "values.yaml, ConfigMap and environment"
    )
