"""One kind of Kubernetes object, kept in the mirror: list, compare, watch, and again.

What makes it safe to believe:

- A list is complete or it is nothing. What it lacks is deleted last, and only when the list was read to its end; when
  it lacks suspiciously much (see `shared.guard`), the deletion is held until a second complete list a minute later
  agrees.
- A watch resumes only from a list's or a bookmark's resourceVersion. The events since then come again after a broken
  connection; the ones already applied are known by their resourceVersion and skipped, so nothing is replayed.
- 410 means list again. 401, 403, 404, 429, 5xx, silence and a Redis that does not answer mean wait and try again, with
  exponential backoff and full jitter. None of them ever means "there is nothing".
- An optional kind that was never seen and answers 404 is not installed: it holds nobody up and is looked for again
  every half minute. One that was served and now answers 404 is knowledge lost, not knowledge of absence.

A reflector lives as long as its session and runs in a thread of its own; `state` may be read from any thread.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared import telemetry
from shared.errors import KubeBusy, KubeError, KubeGone, KubeNotFound, KubeUnreachable, StaleEpoch, StateUnavailable
from shared.guard import CONFIRM_AFTER, mass
from shared.kinds import Kind, Projection
from shared.kube import KubeClient
from shared.kube.stream import SILENCE
from watcher.session import Session

log = logging.getLogger(__name__)

BACKOFF_FIRST, BACKOFF_LAST = 0.5, 30.0
MOST_ASKED_FOR = 60.0  # the longest Retry-After that is heeded
SHORTEST_DELAY = 0.2  # full jitter may draw next to nothing, and several times in a row
WATCH_SECONDS = 300
SHORTEST_WATCH = 5.0  # a watch that said nothing and ended sooner is a failure, and no proof that all is well
MOST_REPLAYED = 20_000  # events since the last bookmark beyond which a list is cheaper than remembering them
MOST_COMPLAINTS = 100
# Secrets that can hold no certificate for us; the releases that Helm keeps in Secrets are up to a megabyte each.
_SELECT = {"Secret": {"fieldSelector": "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token"}}


@dataclass(slots=True)
class KindState:
    """How a kind fares. Times are on the reflector's clock; `failing_since` is None while all is well."""

    phase: str = "listing"  # listing, watching, waiting, absent, lost
    progress: float | None = None
    failing_since: float | None = None
    error: str = ""
    held: int = 0
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """What an installation or a test may want otherwise; seconds."""

    absent_retry: float = 30.0
    confirm_after: float = CONFIRM_AFTER
    silence: float = SILENCE
    page: int = 500
    allow_mass_delete: bool = False


def backoff(failures: int, draw: Callable[[], float]) -> float:
    """Seconds to wait after the n-th failure in a row: full jitter under a doubling ceiling."""
    ceiling = min(BACKOFF_LAST, BACKOFF_FIRST * 2.0 ** min(failures - 1, 10))
    return max(SHORTEST_DELAY, ceiling * draw())


class Reflector:
    """Keeps one kind in the mirror for one session.

    `home` is the namespace for Events that concern no object; `clock`, `sleep` and `draw` are injected by tests.
    """

    def __init__(
        self,
        kind: Kind,
        kube: KubeClient,
        session: Session,
        *,
        home: str = "default",
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.kind = kind
        self.state = KindState()
        self._kube = kube
        self._session = session
        self._home = home
        self._timing = timing or Timing()
        self._clock = clock
        self._sleep = sleep or session.over.wait
        self._draw = draw
        self._path = f"{kind.path}/{kind.resource}"
        self._select = _SELECT.get(kind.name, {})
        self._version: str | None = None  # where to resume; None: list first
        self._applied: set[str] = set()  # resourceVersions of events that would come again from `_version` on
        self._passed: set[str] = set()  # those of them that this watch has delivered since its last bookmark
        self._failures = 0
        self._unpaged = False
        self._held: set[str] = set()
        self._confirm_at = math.inf
        self._complaints: set[tuple[str, str]] = set()

    def run(self, *, _rounds: int | None = None) -> None:
        """Follows the kind until the session is over. `_rounds` bounds the loop in tests."""
        while not self._session.over.is_set() and _rounds != 0:
            _rounds = None if _rounds is None else _rounds - 1
            try:
                self._round()
            except StaleEpoch as error:
                if not self._session.over.is_set():
                    log.warning("%s", error)
                    self._session.end(stale=True)
            except (KubeError, StateUnavailable) as error:
                self._failed(error)
            except Exception as error:
                # Not foreseen; the other kinds go on, readiness tells, and the next attempt starts from a list.
                log.exception("%s: unexpected error", self.kind.name)
                telemetry.defect("watch")
                self._version = None
                self._failed(error)

    def _round(self) -> None:
        """One watch, after a list where one is needed."""
        try:
            if self._version is None:
                self._list()
            self._watch()
        except KubeNotFound as error:
            self._not_served(error)

    # -- list

    def _list(self) -> None:
        self.state.phase = "listing"
        # Asked first: while Redis does not answer there is no point in reading the whole cluster.
        known = self._session.ids(self.kind.name)
        present: set[str] = set()
        version = ""
        limit = 0 if self._unpaged else self._timing.page
        for page in self._kube.pages(self._path, limit=limit, **self._select):
            objects = self._identified(page.items)
            # An object that cannot be read is present all the same.
            present.update(id_ for id_, _ in objects)
            self._session.apply(self.kind.name, self._projected(objects), ())
            version = page.resource_version
            self.state.progress = self._clock()
        missing = self._missing(known - present, len(known))
        self._session.apply(self.kind.name, (), sorted(missing))
        self._version, self._applied, self._unpaged = version, set(), False
        self.state.listed = True
        telemetry.listed(self.kind.name)
        self._session.listed(self.kind.name)

    def _missing(self, gone: set[str], known: int) -> set[str]:
        """Of what a complete list says is gone, all but what is held until another list says so too."""
        confirmed = gone & self._held if self._clock() >= self._confirm_at else set()
        waiting = gone - confirmed
        if self._timing.allow_mass_delete or not mass(len(waiting), known):
            self._held, self._confirm_at, self.state.held = set(), math.inf, 0
            return gone
        if not waiting <= self._held:
            self._confirm_at = self._clock() + self._timing.confirm_after
            self._tell_held(len(waiting), known)
        self._held, self.state.held = waiting, len(waiting)
        return confirmed

    def _tell_held(self, waiting: int, known: int) -> None:
        text = (
            f"a complete list lacks {waiting} of {known} objects of kind {self.kind.name}; they are kept "
            f"until a second list, in {self._timing.confirm_after:.0f} s, says the same"
        )
        log.error("%s", text)
        self._tell("Namespace", self._home, self._home, "", "MassDeleteHeld", text)

    # -- watch

    def _watch(self) -> None:
        opened = self._clock()
        said = False
        version = self._version or ""
        timeout = int(WATCH_SECONDS * (1.0 + self._draw()))
        silence = self._timing.silence
        with self._kube.watch(self._path, version, timeout=timeout, silence=silence, **self._select) as stream:
            self.state.phase = "watching"
            self._passed.clear()
            for batch in stream.batches():
                if self._session.over.is_set():
                    return
                if batch:
                    said = True
                    with telemetry.taking(self.kind.name, len(batch)):
                        self._take(batch)
                    self.state.progress = self._clock()
                if said or self._clock() - opened >= SHORTEST_WATCH:
                    self._well()
                if self._clock() >= self._confirm_at:
                    self._version = None
                    return
        if len(self._applied) > MOST_REPLAYED:
            self._version = None
        if not said and self._clock() - opened < SHORTEST_WATCH:
            raise KubeUnreachable("the watch ended at once", where=self._path)
        telemetry.watch_ended(self.kind.name)

    def _take(self, batch: list[dict[str, Any]]) -> None:
        """Applies a batch of events: of each object the last state only, then deletions.

        When this fails half-way the next attempt begins with a list, so bookkeeping need not be undone.
        """
        version, self._version = self._version, None
        latest: dict[str, tuple[str, dict[str, Any]]] = {}
        for event in batch:
            what, obj = event["type"], event.get("object")
            number = _version_of(obj)
            if not isinstance(obj, dict) or not number:
                raise KubeUnreachable("an event without an object", where=self._path)
            if what == "BOOKMARK":
                version = number
                self._applied -= self._passed
                self._passed.clear()
                continue
            self._passed.add(number)
            if number not in self._applied:
                self._applied.add(number)
                for id_, _ in self._identified([obj]):
                    latest.pop(id_, None)
                    latest[id_] = (what, obj)
        changed = [(id_, obj) for id_, (what, obj) in latest.items() if what != "DELETED"]
        deleted = [id_ for id_, (what, _) in latest.items() if what == "DELETED"]
        self._session.apply(self.kind.name, self._projected(changed), deleted)
        self._version = version

    # -- objects

    def _identified(self, items: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
        """The objects with their ids; what has no name or lacks its namespace is no object of this kind."""
        found = []
        for obj in items:
            metadata = obj.get("metadata")
            metadata = metadata if isinstance(metadata, dict) else {}
            name, namespace = metadata.get("name"), metadata.get("namespace")
            if (
                isinstance(name, str)
                and name
                and (not self.kind.namespaced or (isinstance(namespace, str) and namespace))
            ):
                found.append((f"{namespace}/{name}" if self.kind.namespaced else name, obj))
            else:
                log.error("%s: an object without a name was left out", self.kind.name)
        return found

    def _projected(self, objects: list[tuple[str, dict[str, Any]]]) -> list[Projection]:
        """The projections; an object whose projection fails is left out, so it stays in the mirror as it was."""
        projections = []
        for id_, obj in objects:
            try:
                projections.append(self.kind.project(obj))
            except Exception as error:  # noqa: BLE001 - whatever one object holds, the others must be served
                self._complain(id_, obj, type(error).__name__)
        return projections

    def _complain(self, id_: str, obj: dict[str, Any], kind: str) -> None:
        """Says once that an object cannot be read; never with the error's text, which may quote a Secret."""
        if (id_, kind) in self._complaints or len(self._complaints) >= MOST_COMPLAINTS:
            return
        self._complaints.add((id_, kind))
        log.error("%s %s cannot be read (%s); it stays as it was", self.kind.name, id_, kind)
        namespace, _, name = id_.rpartition("/")
        text = f"this object cannot be read ({kind}); its last readable state is served"
        self._tell(self.kind.name, namespace, name, str(obj["metadata"].get("uid") or ""), "Unreadable", text)

    def _tell(self, kind: str, namespace: str, name: str, uid: str, reason: str, text: str) -> None:
        try:
            self._kube.emit_event(kind, namespace, name, uid, type="Warning", reason=reason, message=text)
        except KubeError as error:
            log.warning("Event %s on %s %s not written: %s", reason, kind, name, error)

    # -- failures

    def _well(self) -> None:
        self._failures = 0
        self.state.failing_since, self.state.error = None, ""

    def _failed(self, error: Exception, *, phase: str = "waiting", at_least: float = 0.0) -> None:
        """Notes a failure and waits: not at all after the first 410 in a row, else by backoff."""
        self._failures += 1
        telemetry.watch_ended(self.kind.name, error)
        state = self.state
        state.phase, state.error = phase, str(error)
        if state.failing_since is None:
            state.failing_since = self._clock()
        if isinstance(error, KubeGone):
            # An expired continue token would expire again on a list that takes as long: then ask for one page.
            self._unpaged = self._version is None
            self._version = None
            if self._failures == 1:
                log.info("%s: %s; listing again", self.kind.name, error)
                return
        delay = max(backoff(self._failures, self._draw), at_least)
        if isinstance(error, KubeBusy) and error.retry_after:
            delay = max(delay, min(error.retry_after, MOST_ASKED_FOR))
        log.warning("%s: %s; trying again in %.1f s", self.kind.name, error, delay)
        self._sleep(delay)

    def _not_served(self, error: KubeNotFound) -> None:
        """404 on the kind itself."""
        self._version = None
        if not self.kind.optional:
            self._failed(error)
            return
        known = self.state.listed or bool(self._session.ids(self.kind.name))
        # Held up by it nobody must be: what the mirror knows of the kind stays as it is.
        self._session.listed(self.kind.name)
        if known:
            self._failed(error, phase="lost", at_least=self._timing.absent_retry)
            return
        self.state.phase = "absent"
        self._well()
        self._sleep(self._timing.absent_retry)


def _version_of(obj: Any) -> str:
    """The resourceVersion of an object, "" when there is none."""
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    number = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return number if isinstance(number, str) else ""
