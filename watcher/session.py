"""One epoch of a leading watcher: the only door between the reflectors and the mirror.

A session begins with an epoch and ends with it: when another watcher takes over, when Redis turns out to be another
one, when the process stops. A new epoch is a new session with new reflectors, so nothing learnt under an old epoch can
be written under a new one, and Redis refuses what is late all the same.

Writing marks keys in the same step; the message that is published afterwards only wakes a worker. So publishing is
silent until the mirror is complete, gives up at the first failure, and loses nothing by that.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from shared.errors import StaleEpoch, StateUnavailable
from shared.kinds import Projection
from shared.state.mirror import Epoch, Mirror

log = logging.getLogger(__name__)

KEYS_PER_MESSAGE = 20
APPLY_SIZE = 200  # objects in one script: Redis serves nobody else while it runs
QUIET_AFTER_FAILURE = 5.0  # seconds without publishing after a failure, so that a broken broker slows nothing down

Publish = Callable[[list[str], str], None]


class Session:
    """Writes for one epoch. Used by all reflectors at once.

    `over` is set when the session has ended, `stale` is True when it was another watcher that ended it. `wake` is set
    whenever the watcher's loop has something to look at.
    """

    def __init__(
        self,
        mirror: Mirror,
        epoch: Epoch,
        publish: Publish,
        kinds: Iterable[str],
        *,
        wake: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.epoch = epoch
        self.over = threading.Event()
        self.stale = False
        self._mirror = mirror
        self._publish = publish
        self._wake = wake or threading.Event()
        self._clock = clock
        self._lock = threading.Lock()
        self._unlisted = set(kinds)
        self._finished = False
        self._publishing = epoch.complete
        self._quiet_until = 0.0

    @property
    def unlisted(self) -> set[str]:
        """The kinds whose first list is still missing."""
        with self._lock:
            return set(self._unlisted)

    @property
    def complete(self) -> bool:
        """True once the mirror has been declared complete in this session."""
        return self._finished

    def ids(self, kind: str) -> set[str]:
        """The ids of a kind that the mirror holds. Raises StateUnavailable."""
        return self._mirror.ids(kind)

    def apply(self, kind: str, changed: Sequence[Projection], deleted: Sequence[str]) -> None:
        """Writes a batch, deletions last, and wakes workers for what it marked. Raises StaleEpoch, StateUnavailable."""
        for start in range(0, len(changed), APPLY_SIZE):
            self._apply(kind, changed[start : start + APPLY_SIZE], ())
        for start in range(0, len(deleted), APPLY_SIZE):
            self._apply(kind, (), deleted[start : start + APPLY_SIZE])

    def _apply(self, kind: str, changed: Sequence[Any], deleted: Sequence[str]) -> None:
        if self.over.is_set():
            raise StaleEpoch("the session is over", where=f"epoch {self.epoch.number}")
        cause = _cause(kind, [projection.id for projection in changed], deleted)
        keys = self._mirror.apply(self.epoch, kind, changed, deleted, cause)
        if keys and self._publishing:
            self._wake_workers(keys, cause)

    def listed(self, kind: str) -> None:
        """The first list of `kind` is in the mirror, or the kind is not served."""
        with self._lock:
            self._unlisted.discard(kind)
            done = not self._unlisted
        if done and not self._finished:
            self._wake.set()

    def finish(self) -> None:
        """Declares the mirror complete; from now on changes wake workers. Raises StaleEpoch, StateUnavailable."""
        keys = self._mirror.complete(self.epoch)
        # The mirror tells bulk from live changes by this flag.
        self.epoch = dataclasses.replace(self.epoch, complete=True)
        self._publishing = self._finished = True
        log.info("epoch %d: the mirror is complete", self.epoch.number)
        self._wake_workers(keys, "the mirror is complete")

    def end(self, *, stale: bool = False) -> None:
        """Ends the session; `stale` when another watcher has taken over."""
        self.stale = self.stale or stale
        self.over.set()
        self._wake.set()

    def _wake_workers(self, keys: list[str], cause: str) -> None:
        if self._clock() < self._quiet_until:
            return
        try:
            for start in range(0, len(keys), KEYS_PER_MESSAGE):
                self._publish(keys[start : start + KEYS_PER_MESSAGE], cause)
        except StateUnavailable as error:
            self._quiet_until = self._clock() + QUIET_AFTER_FAILURE
            log.warning("no wake-up sent for %r; the keys stay marked and are sent again later: %s", cause, error)


def _cause(kind: str, changed: Sequence[str], deleted: Sequence[str]) -> str:
    """A batch in words: `Ingress red/ing1 changed`, `EndpointSlice red/web-1 and 41 more changed`."""
    ids, verb = (changed, "changed") if changed else (deleted, "deleted")
    more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
    return f"{kind} {ids[0]}{more} {verb}"
