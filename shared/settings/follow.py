"""Settings that follow their sources while a process runs.

A values file may be mended, a password rotated, a ConfigMap edited while watcher and workers run. So every process
looks at its sources every two seconds and, when what they say has changed, hands the new `Reading` to whoever
subscribed. A reading either holds usable settings or every problem at once: a typo never ends a process, and nobody
works by settings that are half wrong or no longer there.

What a process cannot change while it lives is refused as a problem of the reading: another cluster name would rename
every Avi object, and Celery is bound to its Redis.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import KubeError, KubeNotFound, SettingsError
from shared.settings import Credentials, Loaded, Settings, load, load_credentials
from shared.settings.credentials import credential_files
from shared.settings.flat import CONFIGMAP

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # seconds

Problem = tuple[str, str]
ReadConfigMap = Callable[[], Mapping[str, Any]]
Refuse = Callable[[Settings], Sequence[Problem]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the sources say: usable settings (and credentials, where asked for), or `problems` as (place, message)."""

    loaded: Loaded | None = None
    credentials: Credentials | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def settings(self) -> Settings | None:
        """The settings, None while there are problems."""
        return None if self.loaded is None else self.loaded.settings


class Sources:
    """Values file, ConfigMap and environment, as they are now. `environ` names the files; it is not read again.

    `configmap` reads the data of AKO's ConfigMap; it raises KubeNotFound when there is none, KubeError when nobody
    knows, and then what was read before still counts. `refuse` says what stands against good settings outside of them;
    it raises OSError when that can't be told, and is asked again until it has found nothing.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        credentials: bool,
        configmap: ReadConfigMap | None = None,
        refuse: Refuse | None = None,
    ) -> None:
        self._environ = dict(environ)
        self._path = environ.get("AKO_VALUES") or None
        self._credentials = credentials
        self._configmap = configmap
        self._refuse = refuse
        self._clear = refuse is None  # nothing stands against the last reading
        self._data: Mapping[str, Any] | None = None
        self._first: Settings | None = None
        self._stamp: object = None
        self._last = Reading()

    def read(self) -> Reading:
        """The reading of this moment; the same object as before when no source has changed. Never raises."""
        if problem := self._read_configmap():
            return Reading(problems=(problem,))
        stamp = (self._contents(), self._data)
        if stamp != self._stamp:
            self._stamp, self._last = stamp, self._read()
            self._clear = self._refuse is None
        if refused := self._refused():
            return Reading(problems=tuple(refused))
        return self._last

    def _refused(self) -> Sequence[Problem]:
        if self._clear or self._refuse is None or self._last.settings is None:
            return ()
        try:
            refused = self._refuse(self._last.settings)
        except OSError as error:
            log.debug("what stands against the settings can't be told now: %s", error)
            return ()
        self._clear = not refused
        return refused

    def _read(self) -> Reading:
        problems: list[Problem] = []
        loaded = credentials = None
        try:
            loaded = load(self._path, self._environ, self._data)
            problems += self._fixed(loaded.settings)
        except SettingsError as error:
            problems += error.problems
        if self._credentials:
            try:
                credentials = load_credentials(self._environ, self._path)
            except SettingsError as error:
                problems += [problem for problem in error.problems if problem not in problems]
        if problems or loaded is None:
            return Reading(problems=tuple(problems))
        self._first = self._first or loaded.settings
        return Reading(loaded, credentials)

    def _fixed(self, settings: Settings) -> list[Problem]:
        """What has changed and cannot, in a process that runs."""
        first = self._first or settings
        problems = []
        if settings.cluster_name != first.cluster_name:
            text = f"changed from {first.cluster_name!r} to {settings.cluster_name!r}, which renames every Avi object"
            problems.append(("AKOSettings.clusterName", f"{text}; write the old name or restart every process"))
        if settings.pipeline.redis_url != first.pipeline.redis_url:
            problems.append(("pipeline.redisURL", "changed; write the old one or restart every process"))
        return problems

    def _contents(self) -> tuple[bytes | None, ...]:
        """The content of every file that is read: a mounted Secret keeps neither inode nor a useful time."""
        paths = [Path(self._path)] if self._path else []
        return tuple(_bytes(path) for path in [*paths, *credential_files(self._environ)])

    def _read_configmap(self) -> Problem | None:
        if self._configmap is None:
            return None
        try:
            self._data = dict(self._configmap())
        except KubeNotFound:
            return CONFIGMAP, "there is no such ConfigMap; create it, or start without --configmap"
        except KubeError as error:
            if self._data is None:
                return CONFIGMAP, f"cannot be read yet ({error})"
            log.debug("the ConfigMap as read before still counts: %s", error)
        return None


class Follower:
    """Looks at the sources in a thread of its own and tells subscribers what has changed."""

    def __init__(self, sources: Sources, *, every: float = LOOK_EVERY) -> None:
        self._sources = sources
        self._every = every
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._subscribers: list[Callable[[Reading], None]] = []
        self.reading = sources.read()

    def start(self) -> None:
        """Begins to look every two seconds, until `stop`."""
        threading.Thread(target=self._run, name="settings", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread and any `usable` that waits."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def subscribe(self, subscriber: Callable[[Reading], None]) -> None:
        """Calls it with the reading of now and, from the thread, with each new one, in order."""
        with self._changed:
            self._subscribers.append(subscriber)
            subscriber(self.reading)

    def usable(self) -> Reading | None:
        """Waits for a reading with settings; None when `stop` was called first."""
        with self._changed:
            self._changed.wait_for(lambda: self._stop.is_set() or self.reading.settings is not None)
            return None if self._stop.is_set() else self.reading

    def look(self) -> None:
        """One look at the sources."""
        with self._changed:
            reading = self._sources.read()
            if reading == self.reading:
                return
            self.reading = reading
            self._changed.notify_all()
            for subscriber in self._subscribers:
                subscriber(reading)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self.look()
            except Exception:  # a defect in a subscriber must not leave the process deaf to the next change
                log.exception("a change of the settings was not taken over")


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
