"""The keeper: one thread per worker process that renews leases, ticks, and tells that the process is alive.

A claim is renewed only while its run reports progress: a thread that hangs for `HUNG_AFTER` seconds loses its claim,
and another worker takes the key over. The keeper never works on keys itself, so that it is never late.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from shared.errors import StateUnavailable
from shared.state import Claim, Work

log = logging.getLogger(__name__)

HUNG_AFTER = 120.0
TICK_SECONDS = 0.4
ANNOUNCE_SECONDS = 5.0

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
        self._odd_digest = ""
        self._outage = False
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

    @contextlib.contextmanager
    def holding(self, claim: Claim) -> Iterator[None]:
        """Renews the claim while the block runs."""
        with self._lock:
            self._claims[claim.key] = claim
        try:
            yield
        finally:
            with self._lock:
                self._claims.pop(claim.key, None)

    def _run(self) -> None:
        pause = min(TICK_SECONDS, self.work.lease_ttl / 6)
        renewed = announced = time.monotonic()
        while not self._stop.wait(pause):
            now = time.monotonic()
            try:
                if now - renewed >= self.work.lease_ttl / 3 - pause:
                    self._renew(now)
                    renewed = now
                if now - announced >= ANNOUNCE_SECONDS:
                    self.work.announce(self.slots)
                    self._compare_settings()
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
        self._outage = error is not None

    def _renew(self, now: float) -> None:
        with self._lock:
            alive = [claim for claim in self._claims.values() if now - claim.progress < HUNG_AFTER]
        for claim in self.work.renew(alive):
            # A run that is being finished gives its claim back itself.
            if not claim.finishing:
                log.warning("the claim of %s is lost; its run writes nothing more", claim.key)

    def _tick(self) -> None:
        tick = self.work.tick()
        if tick is None:
            return
        for start in range(tick.wakeups):
            wake = uuid.uuid4().hex[:8]
            self.work.waking(wake)
            self.publish(tick.keys[start :: tick.wakeups][:20], "ready since the last tick", wake)

    def _compare_settings(self) -> None:
        """Says once, not every time, that this worker gets no work because the watcher has other settings."""
        published = self.work.published_digest()
        if published not in {self.work.digest, self._odd_digest, ""}:
            log.warning(
                "the watcher published settings %s, this worker has %s and gets no work; "
                "give both the same values.yaml and restart the older one",
                published,
                self.work.digest,
            )
        self._odd_digest = published if published != self.work.digest else ""

    def _announce(self) -> None:
        try:
            self.work.announce(self.slots)
        except StateUnavailable as error:
            log.warning("this worker could not announce itself: %s", error)
