"""The watcher: one process that leads, one thread per watched kind, one door into the mirror.

The loop here does little, once a second and whenever there is news: it waits for the lease, begins an epoch, starts the
reflectors, declares the mirror complete when every kind was listed, and looks whether Redis is still the Redis that the
epoch began on. If it is not, it begins a new epoch with new reflectors, which list everything and compare. If another
watcher has taken over, it stops writing and waits for the lease again. It never handles an event itself.

New settings are a new epoch too: its begin publishes their digest, and a census follows. While the settings are not
usable (`use(None)`), nothing is watched and the lease is free for a watcher whose settings are.

`use`, `status` and `ready` may be called from any thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from shared import celeryapp
from shared.errors import StaleEpoch, StateUnavailable
from shared.kinds import Kind, kinds_for
from shared.kube import KubeClient
from shared.settings.follow import Follower
from shared.settings.model import Settings
from shared.state.connection import State
from shared.state.mirror import Mirror
from watcher.lease import Lease, identity
from watcher.reflector import Reflector, Timing
from watcher.session import Publish, Session

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds between two looks at Redis
FAILING_AFTER = 8.0  # seconds of failing after which a kind makes the watcher not ready; known outside within 10 s
STUCK_AFTER = 60.0  # seconds without a round of the loop after which the process is not alive
JOIN_SECONDS = 1.0  # reflectors are daemons: one that hangs in a call is left behind, its epoch is over


class Watcher:
    """Watches for one cluster. Without `lease` it takes itself for the only watcher and leads at once."""

    def __init__(
        self,
        settings: Settings,
        kube: KubeClient,
        mirror: Mirror,
        publish: Publish,
        *,
        kinds: Sequence[Kind] | None = None,
        lease: Lease | None = None,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._next: Settings | None = settings
        self._looked = clock()
        self._kube = kube
        self._mirror = mirror
        self._publish = publish
        self._given_kinds = None if kinds is None else tuple(kinds)
        self._lease = lease
        self._timing = timing or Timing()
        self._clock = clock
        self._wake = threading.Event()
        self._session: Session | None = None
        self._reflectors: list[Reflector] = []
        self._threads: list[threading.Thread] = []
        self._error = ""
        self._stop = threading.Event()
        self._begin_after = 0.0

    def run(self) -> None:
        """Runs until `stop`; then everything has ended within two seconds."""
        if self._lease is not None:
            keep = partial(self._lease.keep, self._stop, self._wake.set)
            threading.Thread(target=keep, name="lease", daemon=True).start()
        try:
            while not self._stop.is_set():
                self._look()
                self._wake.wait(LOOK_EVERY)
                self._wake.clear()
        finally:
            self._end_session()
            until = time.monotonic() + JOIN_SECONDS
            for thread in self._threads:
                thread.join(max(0.0, until - time.monotonic()))
            if self._lease is not None:
                self._lease.release()

    def use(self, settings: Settings | None) -> None:
        """Goes on with other settings; None: with none, until there are some."""
        self._next = settings
        self._wake.set()

    def stop(self) -> None:
        """Asks `run` to end; from another thread than its own."""
        self._stop.set()
        self._wake.set()

    def _look(self) -> None:
        """One round of the loop: is the session still good, is one needed, is its first list complete?"""
        self._looked = self._clock()
        self._take_settings()
        try:
            if self._session is not None and not self._stands(self._session):
                log.warning("epoch %d is over", self._session.epoch.number)
                self._end_session()
                if self._lease is not None:
                    self._lease.attempt()  # was it another watcher? then the lease says so now
            if self._paused or (self._lease is not None and not self._lease.held):
                self._end_session()
            elif self._session is None:
                if self._lease is None or not self._lease.error:  # an epoch is begun by who surely holds the lease
                    self._begin()
            elif not self._session.complete and not self._session.unlisted:
                self._session.finish()
            self._error = ""
        except StaleEpoch:
            self._end_session()
        except StateUnavailable as error:
            if str(error) != self._error:
                log.error("%s", error)  # noqa: TRY400 - the sentence says it all
            self._error = str(error)

    @property
    def _paused(self) -> bool:
        return self._next is None

    def _take_settings(self) -> None:
        settings = self._next
        if self._lease is not None:
            self._lease.wanted = settings is not None
        if settings is None or settings is self._settings:
            return
        if settings.digest() != self._settings.digest():
            log.warning("the settings have changed (digest %s): a new epoch begins", settings.digest())
            self._end_session()
        self._settings = settings

    def _stands(self, session: Session) -> bool:
        return not session.over.is_set() and self._mirror.check(session.epoch)

    def _begin(self) -> None:
        """Begins an epoch and lists everything; not more than once a second, should two watchers fight."""
        if self._clock() < self._begin_after:
            return
        self._begin_after = self._clock() + LOOK_EVERY
        settings = self._settings
        kinds = self._given_kinds or kinds_for(settings)
        name = self._lease.holder if self._lease is not None else identity()
        epoch = self._mirror.begin(settings.digest(), allow_mass_delete=self._timing.allow_mass_delete, name=name)
        log.info("epoch %d on incarnation %s begins", epoch.number, epoch.incarnation)
        session = Session(
            self._mirror, epoch, self._publish, [kind.name for kind in kinds], wake=self._wake, clock=self._clock
        )
        home = settings.pod_namespace
        self._reflectors = [
            Reflector(kind, self._kube, session, home=home, timing=self._timing, clock=self._clock) for kind in kinds
        ]
        self._threads = [
            threading.Thread(target=reflector.run, name=f"watch-{reflector.kind.name}", daemon=True)
            for reflector in self._reflectors
        ]
        for thread in self._threads:
            thread.start()
        self._session = session

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.end()
            self._session = None

    def ready(self) -> bool:
        """A standby that can reach the API server, or a leader whose required kinds are all listed and followed."""
        if self._paused:
            return False
        if self._lease is not None and not self._lease.held:
            return not self._lease.error
        if self._session is None:
            return False
        now = self._clock()
        return all(_follows(reflector, now) for reflector in self._reflectors if _counts(reflector, now))

    def status(self) -> dict[str, Any]:
        """What the watcher is doing, JSON-able. Per kind: phase, seconds since something was last heard (`age`, None
        for never) and since when it fails (`failing`, None while it does not), deletions held, last error.
        """
        now, session = self._clock(), self._session
        return {
            "leading": session is not None,
            "holder": self._lease.holder if self._lease is not None else "",
            "epoch": session.epoch.number if session is not None else None,
            "complete": session is not None and (session.complete or session.epoch.complete),
            "alive": now - self._looked < STUCK_AFTER,
            "ready": self.ready(),
            "reasons": self._reasons(now),
            "error": self._error or (self._lease.error if self._lease is not None else ""),
            "kinds": {reflector.kind.name: _describe(reflector, now) for reflector in self._reflectors},
        }

    def _reasons(self, now: float) -> list[str]:
        """What keeps the watcher from being ready, but for its settings."""
        if self._paused:
            return []
        if self._lease is not None and not self._lease.held:
            return [f"the lease cannot be had: {self._lease.error}"] if self._lease.error else []
        if self._session is None:
            return [self._error or "the epoch has not begun yet"]
        return [
            f"{each.kind.name} is not followed: {each.state.error or 'the first list is under way'}"
            for each in self._reflectors
            if _counts(each, now) and not _follows(each, now)
        ]


def _counts(reflector: Reflector, now: float) -> bool:
    """Whether readiness depends on the kind: on an optional one once it keeps failing, which to be absent is not."""
    return not reflector.kind.optional or _keeps_failing(reflector, now)


def _follows(reflector: Reflector, now: float) -> bool:
    return reflector.state.listed and not _keeps_failing(reflector, now)


def _keeps_failing(reflector: Reflector, now: float) -> bool:
    since = reflector.state.failing_since  # read once: the reflector's thread may clear it at any time
    return since is not None and now - since >= FAILING_AFTER


def _describe(reflector: Reflector, now: float) -> dict[str, Any]:
    state = reflector.state
    since = state.failing_since
    return {
        "phase": state.phase,
        "listed": state.listed,
        "optional": reflector.kind.optional,
        "age": None if state.progress is None else round(now - state.progress, 1),
        "failing": None if since is None else round(now - since, 1),
        "held": state.held,
        "error": state.error,
    }


def run(
    follower: Follower,
    kube: KubeClient,
    *,
    stop: threading.Event,
    report: Callable[[Callable[[], dict[str, Any]]], None],
    allow_mass_delete: bool = False,
    single: bool = False,
) -> None:
    """The watcher process, from the first usable settings until `stop`. `single` does without the lease.

    `report` is given the watcher's `status` once there is a watcher. Servers that do not answer yet are waited for.
    """
    reading = follower.usable()
    if reading is None or reading.settings is None:
        return
    settings = reading.settings
    lease = None if single else Lease(kube, settings.pod_namespace, identity())
    state = State(settings.pipeline.redis_url, settings.cluster_name)
    app = celeryapp.make_app(settings)
    timing = Timing(allow_mass_delete=allow_mass_delete)
    watcher = Watcher(settings, kube, Mirror(state), partial(celeryapp.publish, app), lease=lease, timing=timing)
    report(watcher.status)
    follower.subscribe(lambda changed: watcher.use(changed.settings))
    threading.Thread(target=_stop_after, args=(stop, watcher), name="stop", daemon=True).start()
    try:
        watcher.run()
    finally:
        state.close()


def _stop_after(stop: threading.Event, watcher: Watcher) -> None:
    stop.wait()
    watcher.stop()
